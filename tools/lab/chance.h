/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chance.h - what the network has in store for a try. Pure.
 *
 * It is drawn from the seed and from what it is drawn for (message, try), and from nothing else:
 * the simulation and the wire of a live run, asked for the same try, break it at the same time.
 */
#ifndef LAB_CHANCE_H
#define LAB_CHANCE_H

#include "base/rng.h"
#include "lab/point.h"

/* chance_mix() - two numbers to one that looks like neither. */
uint64_t chance_mix(uint64_t a, uint64_t b);
/* chance_begin() - the numbers of a try: @attempt, from 0, of message @seq. */
void chance_begin(struct rng *rng, uint64_t seed, uint64_t seq, uint32_t attempt);

struct chance {            /* what comes first is what happens */
    clock_ns cut_after_ns; /* model time from the content's arrival; CLOCK_NEVER: not so */
    uint32_t cut_replies;  /* it is cut behind so many answers; 0: not so */
    bool is_silent;        /* nothing passes from the content's arrival on */
};

/* chance_draw() - for a try whose numbers nobody has drawn from yet; all that is drawn is drawn
 * when its content has arrived. */
struct chance chance_draw(const struct lab_faults *faults, uint32_t attempt, struct rng *rng);

#endif
