/* SPDX-License-Identifier: Apache-2.0 */
/* report_order.h - outcomes as people want to see them, the same in each form of a report. */
#ifndef LOAD_REPORT_ORDER_H
#define LOAD_REPORT_ORDER_H

#include "load/report.h"

/* report_outcomes_sorted() - the most frequent first. @ret_outcomes: LOAD_OUTCOMES_MAX of them */
void report_outcomes_sorted(const struct load_stats *s, struct load_outcome *ret_outcomes);

#endif
