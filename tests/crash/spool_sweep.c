/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool_sweep.c - random runs of a shard's spool on the simulated disk; the power goes after every
 * operation, in every way (everything written kept, everything not synced lost, torn at random),
 * and what recovery finds is compared with the ledger.
 *
 * Every fourth seed has write and sync as one operation.
 *
 * Usage: spool_sweep [first seed [number of seeds]]. One seed is one run; a failure prints it.
 */
#include "base/clock.h"
#include "spoolrig.h"
#include <stdio.h>
#include <stdlib.h>

#define SEEDS_DEFAULT 12
#define ACTIONS 160

struct sweep {
    uint64_t seed;
    uint64_t points;
    uint64_t images;
    char text[256];
};

static bool cut_here(void *arg, struct rig *r)
{
    struct sweep *s = arg;
    s->points++;
    for (unsigned cut = FAKERING_KEEP; cut <= FAKERING_TEAR; cut++) {
        s->images++;
        if (rig_cut_check(r, (enum fakering_cut)cut, s->seed * 1000 + s->points, s->text,
                          sizeof(s->text)))
            continue;
        printf("seed %llu, operation %llu, cut %u: %s\n", (unsigned long long)s->seed,
               (unsigned long long)s->points, cut, s->text);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : SEEDS_DEFAULT;
    uint64_t images = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        static struct rig r;
        struct sweep s = {.seed = seed};
        rig_open(&r, SPOOL_DISK);
        if (seed % 4 == 1)
            spool_set_linkable(r.spool);
        /* Without faults, with a few, and with so many that shards stop. */
        bool is_right = rig_script(&r, seed, ACTIONS, (uint32_t)(seed % 3) * 4, cut_here, &s);
        images += s.images;
        rig_close(&r);
        if (!is_right)
            return 1;
    }
    printf("%llu runs, %llu power cuts\n", (unsigned long long)count, (unsigned long long)images);
    return 0;
}
