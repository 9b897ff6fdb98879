/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_wire.h - the network between the programs of a run, where the point asks for one: each
 * connection of a client becomes one to the server, and what is said on it arrives later, slower,
 * or not at all.
 *
 * A thread of its own, which sleeps until a socket has something or something is due. Faults begin
 * where the model has them begin: when the end of the content has been handed to the server.
 */
#ifndef LAB_LIVE_WIRE_H
#define LAB_LIVE_WIRE_H

#include "lab/live_plan.h"
#include "lab/mode.h"
#include <sys/socket.h>

struct live_wire;

struct live_wire_source { /* whose messages these are */
    uint64_t run;
    uint64_t messages;
};

struct live_wire_note { /* a fault */
    uint32_t message, attempt;
    wall_us at;
    uint32_t answers; /* about recipients, or the one that there is, that had come through */
    uint32_t replies_seen, replies_due; /* k of n, as a client counts them; n is 0: not known */
    bool is_silent;                     /* nothing passes any more; else the connection was cut */
};

struct live_wire_options {
    const struct lab_point *point; /* outlives the wire */
    clock_ns time_scale_ns;
    uint64_t seed;
    struct live_wire_source sources[LAB_MIX_ROWS_MAX]; /* messages are counted through */
    uint32_t source_count;
    const char *path; /* of a unix socket to listen on; NULL: a port of the loopback interface */
    struct sockaddr_storage server;
    socklen_t server_len;
};

/* live_wire_start() - 0 or a negative errno; clients may connect at once. */
MUST_CHECK int live_wire_start(const struct live_wire_options *options,
                               struct live_wire **ret_wire);
/* live_wire_port() - that it listens on; 0: a unix socket. */
uint32_t live_wire_port(const struct live_wire *w);
/*
 * live_wire_stop() - no octet passes from here on
 * @lag_ns: grows to the largest delay of something that was due
 * Return:  0, or the negative errno of what the wire could not do
 */
MUST_CHECK int live_wire_stop(struct live_wire *w, clock_ns *lag_ns);
/* live_wire_notes() - after that: what went wrong, in order. */
const struct live_wire_note *live_wire_notes(const struct live_wire *w, uint32_t *ret_count);
/* live_wire_free() - stopped or never started; NULL is nothing. */
void live_wire_free(struct live_wire *w);

#endif
