/* SPDX-License-Identifier: Apache-2.0 */
/* figure.h - the charts of a report and of a comparison, each with its heading and caption. */
#ifndef LOAD_FIGURE_H
#define LOAD_FIGURE_H

#include "load/report.h"

/* Runs in one figure: one, or two to be compared. */
#define FIGURE_RUNS_MAX 2

struct figure_set;

/* figure_set_new() - the points of @count runs; NULL: no memory. They must outlive the set. */
struct figure_set *figure_set_new(const struct load_report *const *runs, uint32_t count);
void figure_set_free(struct figure_set *f);

void figure_percentiles(const struct figure_set *f, FILE *out);
void figure_latency(const struct figure_set *f, FILE *out);
void figure_rate(const struct figure_set *f, FILE *out);
void figure_sizes(const struct figure_set *f, FILE *out);

/* figure_run_name() - "A", "B" in a comparison. */
const char *figure_run_name(uint32_t run);

#endif
