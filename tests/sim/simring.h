/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simring.h - the simulated kernel behind include/io/ring.h: network, files and clock from a seed.
 *
 * Time moves only in ring_turn(), to the next thing that is due. Every operation completes after a
 * delay drawn from the seed, so completions of different operations come in any order that the real
 * kernel could produce, while bytes of one connection stay in order. Files are real ones (in a
 * scratch folder); their writes happen at completion time, so that what is not complete is not
 * there, and what lay under a write is remembered until a sync succeeds (sim_power_cut()). Peers
 * are driven by the test through the simpeer_* calls.
 */
#ifndef SIMRING_H
#define SIMRING_H

#include "io/ring.h"
#include "base/rng.h"

struct sim_options {
    uint64_t seed;
    uint64_t network_ns_max; /* delay of a segment, an accept, a send */
    uint64_t disk_ns_max;
    uint32_t short_send_percent; /* a send takes only a part */
    uint32_t short_write_percent;
    uint32_t write_error_percent;
    uint32_t sync_error_percent;
};

/* sim_configure() - for the next ring_new(); one simulated ring at a time. */
void sim_configure(const struct sim_options *options);

/* sim_rng() - the ring's own source of chance, for tests that want one seed for everything. */
struct rng *sim_rng(struct ring *r);
void sim_set_faults(struct ring *r, uint32_t write_error_percent, uint32_t sync_error_percent);
/* sim_cut_parts() - of linked sends of a connection only so many bytes leave at once, from now on;
 * SIZE_MAX: all. */
void sim_cut_parts(struct ring *r, size_t bytes);
/* sim_set_network() - how long sends take at most, from now on. */
void sim_set_network(struct ring *r, uint64_t network_ns_max);
/* sim_set_disk() - how long operations on files take at most, from now on. */
void sim_set_disk(struct ring *r, uint64_t disk_ns_max);
/* sim_hang_disk() - no write and no sync that begins from now on ends before @until; neither does a
 * write to the log, if @and_log (its bytes are there at once all the same). */
void sim_hang_disk(struct ring *r, clock_ns until, bool and_log);
/*
 * sim_power_cut() - in @dir, a copy of the spool's folder: each write that no sync has followed is
 * lost by chance. Return: how many were.
 */
uint32_t sim_power_cut(struct ring *r, const char *dir);

struct simpeer; /* one client, from its connect to its end */

/* simpeer_connect() - a client connects to the listening descriptor that the shard accepts on. */
struct simpeer *simpeer_connect(struct ring *r, int listen_fd);
/* simpeer_send() - bytes leave the client now and arrive in order, cut into segments at random. */
void simpeer_send(struct simpeer *p, struct slice bytes);
/* simpeer_shutdown() - the client ends its side behind what it has sent. */
void simpeer_shutdown(struct simpeer *p);
/* simpeer_close() - the client's program ends: it reads nothing any more, and what the server sends
 * from now on is answered with a reset. */
void simpeer_close(struct simpeer *p);
/* simpeer_reset() - the connection breaks: what is under way either way is lost. */
void simpeer_reset(struct simpeer *p);
/* simpeer_set_reading() - a client that does not read makes sends wait (after @window bytes). */
void simpeer_set_reading(struct simpeer *p, bool is_reading, size_t window);
/* simpeer_received() - everything that the server has sent and the client could have read. */
struct slice simpeer_received(const struct simpeer *p);
/* simpeer_sends() - how many sends the server has asked for, and how many of them behind a write.
 */
uint32_t simpeer_sends(const struct simpeer *p);
uint32_t simpeer_linked(const struct simpeer *p);
/* simpeer_is_ended() - the server has closed (or shut down) its side. */
bool simpeer_is_ended(const struct simpeer *p);
/* simpeer_is_closed() - the server has closed the file: nothing more can happen. */
bool simpeer_is_closed(const struct simpeer *p);

/* simpeer_was_cut() - the server closed while bytes of the client were unread: a real kernel resets
 * then, and what the client has not read yet may be lost. */
bool simpeer_was_cut(const struct simpeer *p);
/* simpeer_unread() - bytes that the client sent and the server has not received yet. */
size_t simpeer_unread(const struct simpeer *p);
/* simpeer_forget() - the test is done with a closed peer; its memory is used again. */
void simpeer_forget(struct simpeer *p);

/* sim_files_open() - accepted connections whose file the server has not closed. */
uint32_t sim_files_open(const struct ring *r);
#endif
