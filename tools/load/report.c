/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - owns a report's memory, and the order of outcomes. */
#include "load/report_order.h"
#include <stdlib.h>
#include <string.h>

struct load_report *report_new(void)
{
    return calloc(1, sizeof(struct load_report));
}

void report_free(struct load_report *r)
{
    if (r == NULL)
        return;
    load_stats_free(r->stats);
    free(r->option_names);
    free(r);
}

static int by_count(const void *a, const void *b)
{
    const struct load_outcome *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    if (x->code != y->code)
        return x->code < y->code ? -1 : 1;
    if (x->phase != y->phase)
        return x->phase < y->phase ? -1 : 1;
    return memcmp(x->enhanced, y->enhanced, sizeof(x->enhanced));
}

void report_outcomes_sorted(const struct load_stats *s, struct load_outcome *ret_outcomes)
{
    memcpy(ret_outcomes, s->outcomes, s->outcome_count * sizeof(ret_outcomes[0]));
    qsort(ret_outcomes, s->outcome_count, sizeof(ret_outcomes[0]), by_count);
}
