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

/* A black hole begins with the content's end, and nobody notices in it that a connection breaks
 * besides. */
struct chance chance_draw(const struct lab_faults *faults, uint32_t attempt, struct rng *rng)
{
    struct chance c = {.cut_after_ns = CLOCK_NEVER};
    if (faults->is_first_try_only && attempt > 0)
        return c;
    if (lab_faults_have(faults, LAB_CUT_BLACK_HOLE) && rng_unit(rng) < faults->black_hole_share) {
        c.is_silent = true;
        return c;
    }
    if (lab_faults_have(faults, LAB_CUT_AFTER_REPLIES)) {
        c.cut_replies = faults->cut_replies;
        if (faults->cut_replies == 0) {
            c.cut_after_ns = 0;
            return c;
        }
    }
    if (lab_faults_have(faults, LAB_CUT_HAZARD) && faults->hazard_per_s > 0) {
        double s = -log1p(-rng_unit(rng)) / faults->hazard_per_s;
        c.cut_after_ns = s < CUT_S_MAX ? (clock_ns)(s * (double)NS_PER_S) : CLOCK_NEVER;
    }
    return c;
}
