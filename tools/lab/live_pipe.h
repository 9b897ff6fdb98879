/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_pipe.h - one way of a connection: octets that arrive when the network of a point would have
 * brought them. Told the time; no I/O.
 *
 * As in the simulation: what is put leaves when all before it has left at the link's rate, and
 * arrives a delay later, each piece when its last octet does. When the pipe is full its sender
 * waits.
 */
#ifndef LAB_LIVE_PIPE_H
#define LAB_LIVE_PIPE_H

#include "base/clock.h"
#include "base/slice.h"

#define LIVE_PIPE_BYTES (64 * KIB)
#define LIVE_PIPE_PIECES 1024
#define LIVE_PIPE_PIECE_BYTES_MAX ((size_t)4000)

struct live_link { /* of both ways; real time */
    clock_ns delay_ns;
    double bytes_per_s; /* 0: as fast as one likes */
};

struct live_pipe {
    const struct live_link *link;
    clock_ns busy_until;   /* the last octet has left */
    clock_ns end_at;       /* when the end arrives; CLOCK_NEVER: none was put */
    uint32_t head, len;    /* octets, in the ring */
    uint32_t first, count; /* pieces */
    struct live_piece {
        clock_ns at;
        uint32_t len;
    } pieces[LIVE_PIPE_PIECES];
    uint8_t bytes[LIVE_PIPE_BYTES];
};

/* live_pipe_init() - empty; @link outlives it. */
void live_pipe_init(struct live_pipe *p, const struct live_link *link);
/* live_pipe_room() - where the next piece is to be written, and how much of it at most; 0: full. */
size_t live_pipe_room(struct live_pipe *p, uint8_t **ret_at);
/* live_pipe_put() - @len octets were written there at @now; 0 < @len <= what there was room for. */
void live_pipe_put(struct live_pipe *p, size_t len, clock_ns now);
/* live_pipe_end() - no more will be put; only the first call does something. */
void live_pipe_end(struct live_pipe *p, clock_ns now);

/* live_pipe_due() - when the next piece, or the end, arrives; CLOCK_NEVER: nothing is under way. */
clock_ns live_pipe_due(const struct live_pipe *p);
/* live_pipe_peek() - octets that have arrived at @now, in one stretch; there may be more behind
 * them. */
struct slice live_pipe_peek(const struct live_pipe *p, clock_ns now);
/* live_pipe_take() - the first @len of these are done with. */
void live_pipe_take(struct live_pipe *p, size_t len);
/* live_pipe_has_ended() - all octets were taken, and at @now the end has arrived. */
bool live_pipe_has_ended(const struct live_pipe *p, clock_ns now);

#endif
