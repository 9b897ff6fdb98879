/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ladder.h - what happened to one message, in order: what a ladder diagram of client, wire and
 * server draws.
 */
#ifndef LAB_LADDER_H
#define LAB_LADDER_H

#include "base/clock.h"

enum ladder_who { LADDER_CLIENT, LADDER_WIRE, LADDER_SERVER };
enum ladder_way { LADDER_NONE, LADDER_TO_SERVER, LADDER_TO_CLIENT }; /* of LADDER_WIRE */

#define LADDER_TEXT_BYTES_MAX 80 /* with its NUL; longer ones are cut */
#define LADDER_RUNGS_MAX 100000  /* later ones are counted in ladder.left_out only */

struct rung {
    clock_ns at;      /* model time; on the wire: when it left */
    clock_ns until;   /* when it arrived, or the work was over; CLOCK_NEVER: never; else @at */
    uint32_t attempt; /* from 0 */
    enum ladder_who who;
    enum ladder_way way;
    char text[LADDER_TEXT_BYTES_MAX]; /* ASCII */
};

struct ladder {         /* all zero: empty */
    struct rung *rungs; /* in the order of @at */
    uint32_t count, cap;
    uint64_t left_out;
};

/* ladder_add() - one more; NULL when it was left out: the limit, or no memory. The rung may move
 * with the next call. */
struct rung *ladder_add(struct ladder *l, clock_ns at, uint32_t attempt, enum ladder_who who,
                        enum ladder_way way);
/* ladder_deinit() - may be called twice. */
void ladder_deinit(struct ladder *l);

#endif
