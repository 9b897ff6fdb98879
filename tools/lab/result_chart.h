/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_chart.h - the pictures of an experiment for a page: maps of two settings, curves over one,
 * curves over time. Which settings stand where follows from what the lists of the experiment hold.
 */
#ifndef LAB_RESULT_CHART_H
#define LAB_RESULT_CHART_H

#include "lab/result.h"

struct lab_chart; /* of one experiment in one mode */

/* lab_chart_new() - NULL: no memory. @e and @r outlive it. */
struct lab_chart *lab_chart_new(const struct lab_result *r, const struct lab_result_experiment *e,
                                uint32_t experiment_idx, uint32_t mode);
void lab_chart_free(struct lab_chart *c);

/* lab_chart_put() - the pictures that matter, then the others folded. */
void lab_chart_put(struct lab_chart *c, FILE *out);

#endif
