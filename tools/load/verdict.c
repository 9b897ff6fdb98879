/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.c - owns the rule by which a run is a result or not. Pure. */
#include "load/verdict.h"
#include <stdio.h>

/* Above it, replies wait for the generator: it is the limit, and not the server. */
#define BUSY_SHARE_MAX 0.9
/* Of the starts, above which their 99th percentile shows a wait. */
#define WAITED_SHARE_MAX 0.01

void verdict_judge(const struct load_options *options, const struct verdict_facts *facts,
                   struct load_report *r)
{
    const struct load_counters *c = &r->stats->counters;
    const struct hist *whole = &r->stats->planned[LOAD_PHASE_WHOLE];
    uint64_t lag_ns = hist_quantile(&r->stats->start_lag, 0.99);
    uint64_t limit_ns = u64_max(options->lag_limit_ns, hist_quantile(whole, 0.99) / 10);
    bool has_waited = (double)c->cap_hits > WAITED_SHARE_MAX * (double)c->planned;
    r->is_result = true;
    if (!r->is_open_loop)
        return;
    if (lag_ns > limit_ns) {
        r->is_result = false;
        snprintf(r->why_not, sizeof(r->why_not),
                 "1 %% of the transactions began %.3f ms or more after they could have (limit "
                 "%.3f ms): the generator could not keep up with its plan",
                 (double)lag_ns / 1e6, (double)limit_ns / 1e6);
    } else if (has_waited && facts->busy_share > BUSY_SHARE_MAX) {
        r->is_result = false;
        snprintf(r->why_not, sizeof(r->why_not),
                 "%llu planned transactions waited for a connection while the generator had no "
                 "rest (%.0f %% of the time it ran or waited for a processor): it may be what they "
                 "waited for (--workers, --rate)",
                 (unsigned long long)c->cap_hits, 100 * facts->busy_share);
    } else if (facts->not_started > 0 && !r->is_interrupted) {
        r->is_result = false;
        snprintf(r->why_not, sizeof(r->why_not),
                 "%llu planned transactions were never begun: all connections were busy until the "
                 "end (--connections, --in-flight, --drain)",
                 (unsigned long long)facts->not_started);
    }
}
