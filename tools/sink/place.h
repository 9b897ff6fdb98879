/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - how many messages are worked on at a time, for all workers of the sink together, and
 * how much slower that makes the work.
 *
 * A message is at hand from the end of its content to its last reply. One that finds no place waits
 * in line; its turn is told to its worker, which asks for it with place_next().
 */
#ifndef SINK_PLACE_H
#define SINK_PLACE_H

#include "base/clock.h"
#include "base/list.h"

struct places;
struct worker;

struct place {        /* of one message */
    struct list link; /* in line, or among those whose turn has come */
    struct worker *worker;
    bool is_at_hand;
    bool is_in_work;
};

/* places_new() - @capacity 0: there is always one; NULL: no memory. */
struct places *places_new(uint32_t capacity, double slowdown);
void places_free(struct places *p);

/* place_init() - of a message of @w that is not at hand. */
void place_init(struct place *pl, struct worker *w);
/* place_enter() - its content is complete; true: it can begin, false: it waits. @p may be NULL here
 * and below: it can. */
MUST_CHECK bool place_enter(struct places *p, struct place *pl);
/* place_leave() - it is over, or needs no work any more; may be called twice. */
void place_leave(struct places *p, struct place *pl);
/* place_skip_line() - what it waits for is not needed any more, and place_next() does not tell of
 * it. It stays at hand, and has a place if its turn had come. */
void place_skip_line(struct places *p, struct place *pl);
/* place_next() - one of @w whose turn has come, and which has its place now; NULL: none. */
struct place *place_next(struct places *p, const struct worker *w);
/* place_work_ns() - how long work takes that begins now, and takes @ns on an idle server. */
clock_ns place_work_ns(struct places *p, clock_ns ns);

#endif
