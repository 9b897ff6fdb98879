/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interval.h - confidence intervals of what was counted and measured. Pure.
 *
 * All are two-sided: @alpha is the chance that the interval misses what it should hold, half of it
 * on each side.
 */
#ifndef LAB_INTERVAL_H
#define LAB_INTERVAL_H

#include "base/assert.h"

struct lab_interval {
    double low, high;
};

/*
 * interval_share() - of a share, when @hits of @count were hit
 *
 * Exact: it misses in no case more often than it says.
 * Source: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404-413
 */
struct lab_interval interval_share(uint64_t hits, uint64_t count, double alpha);

/*
 * interval_sum() - of the expectation of a sum, of which each event adds its weight, when events
 * are rare and come independently of each other
 * @sum:        of the weights of what was seen
 * @squares:    of their squares
 * @weight_max: no event weighs more; above 0
 *
 * With weights of 1 it is the exact interval of a Poisson count (F. Garwood, Biometrika 28 (1936)
 * 437-442).
 * Source: M. P. Fay, E. J. Feuer, Statistics in Medicine 16 (1997) 791-801
 */
struct lab_interval interval_sum(double sum, double squares, double weight_max, double alpha);

/*
 * interval_mean() - of the expectation of values, of which @count have mean @mean and standard
 * deviation @sd (by count - 1); at least two
 *
 * Source: Student, Biometrika 6 (1908) 1-25
 */
struct lab_interval interval_mean(double mean, double sd, uint64_t count, double alpha);

#endif
