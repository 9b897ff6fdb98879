/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delay.c - durations of work, drawn from a distribution.
 *
 * The exponential one is von Neumann's: comparisons of uniform numbers, no logarithm, so that this
 * library needs no other.
 */
#include "policy/delay.h"
#include "base/assert.h"

/* Mean 1. Runs of falling numbers: one of odd length ends it, each of even length adds 1. */
static double exp_sample(struct rng *rng)
{
    for (double whole = 0;; whole += 1) {
        double first = rng_unit(rng);
        double last = first;
        bool is_odd = true;
        for (double next; (next = rng_unit(rng)) < last; last = next)
            is_odd = !is_odd;
        if (is_odd)
            return whole + first;
    }
}

clock_ns delay_sample(const struct delay *d, struct rng *rng)
{
    ASSERT(d->low <= DELAY_NS_MAX);
    switch (d->kind) {
    case DELAY_NONE:
        return 0;
    case DELAY_CONSTANT:
        return d->low;
    case DELAY_UNIFORM:
        ASSERT(d->high >= d->low && d->high <= DELAY_NS_MAX);
        return d->low + rng_below(rng, d->high - d->low + 1);
    case DELAY_EXP:
        return (clock_ns)(u64_min((uint64_t)(exp_sample(rng) * (double)d->low), DELAY_NS_MAX));
    }
    UNREACHABLE();
}
