/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.h - the socket of a link: connects, receives, sends and closes through the ring.
 *
 * Closing is a machine of its own: what is in flight is cancelled, and the descriptor goes when
 * nothing is left. A channel has the same index for life; its generation tells old results apart.
 */
#ifndef LOAD_CHANNEL_H
#define LOAD_CHANNEL_H

#include "base/list.h"
#include "io/ring.h"
#include "io/timer.h"
#include "load/dial.h"
#include "load/link.h"

enum channel_timer { CHANNEL_TIMER_DEADLINE, CHANNEL_TIMER_PACE, CHANNEL_TIMER_THINK };

/* Small things are gathered into one piece up to this size; larger ones leave as a vector. */
#define CHANNEL_GATHER_BYTES ((size_t)64 * KIB)
#define CHANNEL_SCRATCH_BYTES ((size_t)20 * KIB)

struct outgoing { /* one send; from a pool while it is in flight */
    struct msghdr msg;
    struct iovec iov[SLICES_MAX + 1];
    struct slices made;                 /* by the link */
    struct slice parts[SLICES_MAX + 1]; /* what was gathered, and what was not */
    uint32_t part_count;
    uint32_t part_idx;
    size_t part_offset;
    size_t left_bytes;
    size_t asked_bytes; /* of the operation in flight */
    clock_ns prepared_at;
    bool has_more;     /* the link has more behind it */
    bool is_waited;    /* an operation that completes when there is room */
    bool is_in_flight; /* else the pace timer goes on */
    uint8_t scratch[CHANNEL_SCRATCH_BYTES];
    uint8_t gathered[CHANNEL_GATHER_BYTES];
};

/* Sockets of peers that were left without a word; they are kept until room is needed. */
#define CHANNEL_SILENT_MAX 4096

struct channel_io { /* of a worker, shared by its channels */
    struct ring *ring;
    struct timer_wheel *timers;
    struct pool outgoings;
    struct pool carries;
    struct dial_options dial;
    uint32_t dial_turn;
    uint64_t slow_write_bytes; /* a second; 0: at once */
    uint64_t slow_read_bytes;
    int silent_fds[CHANNEL_SILENT_MAX];
    uint32_t silent_count; /* so far; the oldest ones are overwritten */
    struct load_counters *counters;
    bool hurries; /* the result of a quiet send is waited for: more is to follow it */
    uint8_t token_owner;
};

struct channel {
    struct link link;
    struct list list;  /* of the worker: cold, idle ... */
    struct list dirty; /* to be flushed at the end of the turn */
    struct timer deadline, pace, think;
    struct outgoing *out;
    const struct target *target;
    uint32_t idx;
    uint32_t target_idx;
    int32_t file; /* -1: none */
    uint16_t generation;
    bool is_connecting;
    bool is_receiving; /* a multishot receive is armed */
    bool is_shutting;  /* a shutdown is in flight */
    bool is_closing;
    clock_ns think_until;
};

void channel_init(struct channel *c, uint32_t idx, const struct target *t, uint32_t target_idx);
/* channel_dial() - begin to connect for @job (or NULL). A failure to do so is the link's. */
void channel_dial(struct channel *c, struct channel_io *io, struct job *job, clock_ns now);
/* channel_on_event() - a result with the channel's generation; link_next() is to be called then.
 * @resumes: for RING_CONNECT, whether a TLS session is to be resumed */
void channel_on_event(struct channel *c, struct channel_io *io, struct ring_event *ev, bool resumes,
                      clock_ns now);
/* channel_flush() - send what the link has to say. */
void channel_flush(struct channel *c, struct channel_io *io, clock_ns now);
/* channel_on_pace() - its timer came: go on writing or reading slowly; then link_next().
 * @memory: for what is read, until link_next() says LINK_EV_MORE */
void channel_on_pace(struct channel *c, struct channel_io *io, uint8_t *memory, size_t cap,
                     clock_ns now);
/* channel_arm() - set the timer for the link's deadline. */
void channel_arm(struct channel *c, struct channel_io *io);
/* channel_close() - the link said LINK_EV_CLOSED. */
void channel_close(struct channel *c, struct channel_io *io);
/* channel_finish_close() - true once: nothing is in flight any more, and the channel is cold. */
MUST_CHECK bool channel_finish_close(struct channel *c, struct channel_io *io);

#endif
