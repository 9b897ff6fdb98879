/* SPDX-License-Identifier: Apache-2.0 */
/* verdict.c - owns the rule by which a run is a result or not. Pure. */
#include "load/verdict.h"
#include <stdio.h>

void verdict_judge(const struct load_options *options, uint64_t not_started, struct load_report *r)
{
    const struct hist *whole = &r->stats->planned[LOAD_PHASE_WHOLE];
    uint64_t lag_ns = hist_quantile(&r->stats->start_lag, 0.99);
    uint64_t limit_ns = u64_max(options->lag_limit_ns, hist_quantile(whole, 0.99) / 10);
    r->is_result = true;
    if (!r->is_open_loop)
        return;
    if (lag_ns > limit_ns) {
        r->is_result = false;
        snprintf(r->why_not, sizeof(r->why_not),
                 "1 %% of the transactions began %.3f ms or more after they could have (limit "
                 "%.3f ms): the generator could not keep up with its plan",
                 (double)lag_ns / 1e6, (double)limit_ns / 1e6);
    } else if (not_started > 0 && !r->is_interrupted) {
        r->is_result = false;
        snprintf(r->why_not, sizeof(r->why_not),
                 "%llu planned transactions were never begun: all connections were busy until the "
                 "end (--connections, --in-flight, --drain)",
                 (unsigned long long)not_started);
    }
}
