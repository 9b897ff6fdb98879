/* SPDX-License-Identifier: Apache-2.0 */
/*
 * axes.h - some of an experiment's axes, their combinations, and which points those are: what a
 * picture needs that has some settings along one side and others along the other.
 */
#ifndef LAB_AXES_H
#define LAB_AXES_H

#include "lab/result.h"

#define LAB_LINES_MAX 7 /* of a plot: as many colours as can be told apart */

struct lab_axes { /* the outermost first; the last one's value changes fastest */
    uint32_t count;
    uint32_t idx[LAB_AXES_MAX]; /* in the experiment */
};

/* lab_axis_stride() - from a value of an axis to its next one, in points. */
uint32_t lab_axis_stride(const struct lab_result_experiment *e, uint32_t axis);
/* lab_axis_numeric() - the axis of numbers with the most values, @but left out; -1: there is none
 * with enough to draw over. */
int lab_axis_numeric(const struct lab_result_experiment *e, int but);
/* lab_axis_lines() - the axis whose values are lines over axis @x: the dialects, or the words that
 * come first; -1: there is none. */
int lab_axis_lines(const struct lab_result_experiment *e, int x);

void lab_axes_add(struct lab_axes *a, uint32_t axis);
/* lab_axes_others() - all axes but these; -1 is none. */
struct lab_axes lab_axes_others(const struct lab_result_experiment *e, int x, int line);
/* lab_axes_product() - how many combinations there are; of no axis: one. */
uint32_t lab_axes_product(const struct lab_result_experiment *e, const struct lab_axes *a);
/* lab_axes_value() - which value axis number @level of @a has in combination @idx. */
uint32_t lab_axes_value(const struct lab_result_experiment *e, const struct lab_axes *a,
                        uint32_t level, uint32_t idx);
/* lab_axes_point() - what combination @idx adds to the number of a point. */
uint32_t lab_axes_point(const struct lab_result_experiment *e, const struct lab_axes *a,
                        uint32_t idx);
/* lab_axes_at() - the value itself. */
const struct lab_axis_value *lab_axes_at(const struct lab_result_experiment *e,
                                         const struct lab_axes *a, uint32_t level, uint32_t idx);
/* lab_axes_name() - "dialect = lmtp, timer = total" of combination @idx. */
void lab_axes_name(const struct lab_result_experiment *e, const struct lab_axes *a, uint32_t idx,
                   char *to, size_t cap);

#endif
