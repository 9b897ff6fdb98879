/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - owns the shards: start, reload, counters, drain, stop. Used by the main thread only.
 */
#ifndef SERVER_H
#define SERVER_H

#include "shard.h"

struct server;

struct server_options {
    struct shard_options shard; /* the same for all but shard_idx */
    uint32_t shard_count;
    bool pins_threads; /* one core each, when there are enough */
};

/*
 * server_start() - bind every listener, start the shards, return when all of them listen
 * Return: 0, or a negative errno with @ret_text filled; then nothing is left running
 */
MUST_CHECK int server_start(const struct server_options *options, struct server **ret_server,
                            char *ret_text, size_t text_cap);

/* server_replace() - policy and rules for messages that begin from now on; returns when every shard
 * has taken them. Return: 0 or a negative errno (some shards may keep the old ones: -ENOMEM). */
MUST_CHECK int server_replace(struct server *s, struct policy *policy, struct rules *rules);

/* server_set_log_fd() - all shards write to @fd; returns when none uses the old one any more. */
void server_set_log_fd(struct server *s, int fd);

/* server_counters_print() - every counter, summed over the shards, as metrics_print() has them;
 * SERVER_COUNTERS_BYTES_MAX suffice. Waits until each shard has told those that only it can read.
 */
#define SERVER_COUNTERS_BYTES_MAX (METRICS_PRINT_BYTES_MAX + 4 * KIB)
void server_counters_print(struct server *s, struct buf *out);

/* server_has_failed() - a shard ended because its ring failed; the process should drain and exit.
 * Such a shard sends the process SIGTERM, so that somebody asks. */
bool server_has_failed(struct server *s);

/*
 * server_stop() - drain for at most @drain_ns, then end what is left; frees @s
 * Return: false when the disk does not answer (shard_drain()): nothing was freed, because the
 * kernel still uses it, and all that can be done is _exit()
 */
MUST_CHECK bool server_stop(struct server *s, uint64_t drain_ns);

#endif
