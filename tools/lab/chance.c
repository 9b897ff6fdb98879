/* SPDX-License-Identifier: Apache-2.0 */
/* chance.c - owns the draws of faults. */
#include "lab/chance.h"
#include <math.h>

#define CUT_S_MAX 1e9 /* nobody waits for so long */

uint64_t chance_mix(uint64_t a, uint64_t b)
{
    struct rng rng;
    rng_init(&rng, a ^ b * 0x9E3779B97F4A7C15u);
    return rng_next(&rng);
}

void chance_begin(struct rng *rng, uint64_t seed, uint64_t seq, uint32_t attempt)
{
    rng_init(rng, chance_mix(chance_mix(seed, seq), attempt));
}

struct chance chance_draw(const struct lab_faults *faults, uint32_t attempt, struct rng *rng)
{
    struct chance c = {.cut_after_ns = CLOCK_NEVER};
    if (faults->is_first_try_only && attempt > 0)
        return c;
    switch (faults->cut) {
    case LAB_CUT_AFTER_REPLIES:
        c.cut_replies = faults->cut_replies;
        c.cut_after_ns = faults->cut_replies == 0 ? 0 : CLOCK_NEVER;
        return c;
    case LAB_CUT_HAZARD:
        if (faults->hazard_per_s > 0) {
            double s = -log1p(-rng_unit(rng)) / faults->hazard_per_s;
            c.cut_after_ns = s < CUT_S_MAX ? (clock_ns)(s * (double)NS_PER_S) : CLOCK_NEVER;
        }
        return c;
    case LAB_CUT_BLACK_HOLE:
        c.is_silent = rng_unit(rng) < faults->black_hole_share;
        return c;
    case LAB_CUT_NONE:
    case LAB_CUT_SLOW:
    case LAB_CUT_COUNT:
        return c;
    }
    UNREACHABLE();
}
