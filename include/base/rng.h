/* SPDX-License-Identifier: Apache-2.0 */
/* rng.h - seeded pseudo-random numbers (xoshiro256**) for simulation and load; not for secrets. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "base/base.h"

struct rng {
    uint64_t s[4];
};

/* rng_init() - state from one 64-bit seed (splitmix64); equal seeds give equal sequences. */
void rng_init(struct rng *r, uint64_t seed);

/* rng_next() - 64 uniform bits. */
uint64_t rng_next(struct rng *r);

/* rng_below() - uniform in 0..@bound-1 without modulo bias; @bound > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);

/* rng_unit() - uniform in [0, 1) with 53 bits. */
double rng_unit(struct rng *r);

#endif
