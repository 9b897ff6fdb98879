/* SPDX-License-Identifier: Apache-2.0 */
/* ladder.c - owns the list of what happened to one message. */
#include "lab/ladder.h"
#include <stdlib.h>

struct rung *ladder_add(struct ladder *l, clock_ns at, uint32_t attempt, enum ladder_who who,
                        enum ladder_way way)
{
    if (l->count == l->cap && l->cap < LADDER_RUNGS_MAX) {
        uint32_t cap = l->cap == 0 ? 256 : l->cap * 2;
        struct rung *rungs = realloc(l->rungs, cap * sizeof(*rungs));
        if (rungs != NULL) {
            l->rungs = rungs;
            l->cap = cap;
        }
    }
    if (l->count == l->cap) {
        l->left_out++;
        return NULL;
    }
    struct rung *r = &l->rungs[l->count++];
    *r = (struct rung){.at = at, .until = at, .attempt = attempt, .who = who, .way = way};
    return r;
}

void ladder_deinit(struct ladder *l)
{
    free(l->rungs);
    *l = (struct ladder){0};
}
