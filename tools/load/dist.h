/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dist.h - numbers drawn from a distribution: sizes, recipients, delays, think times.
 *
 * Text forms: "N" (constant), "uniform:LOW-HIGH", "exp:MEAN", "lognormal:MEDIAN,SIGMA",
 * "normal:MEAN,SD" (cut at 0), "file:PATH" (lines "VALUE [WEIGHT]", # comments: empirical). Numbers
 * take the suffixes of their unit: sizes k M G (1024), times ns us ms s m h (none: seconds). Sizes
 * and times may have a fraction ("1.5k", "0.25"), and so may means and deviations of any unit.
 */
#ifndef LOAD_DIST_H
#define LOAD_DIST_H

#include "base/base.h"
#include "base/rng.h"
#include "base/slice.h"

#define DIST_FILE_VALUES_MAX 1000000

enum dist_unit { DIST_NUMBER, DIST_BYTES, DIST_NS };
enum dist_kind { DIST_CONSTANT, DIST_UNIFORM, DIST_EXP, DIST_LOGNORMAL, DIST_NORMAL, DIST_FILE };

struct dist {
    enum dist_kind kind;
    double a, b;        /* parameters, in the unit's base */
    uint64_t low, high; /* every draw is cut to this range (of CONSTANT and UNIFORM: the range) */
    uint64_t *values;   /* DIST_FILE: sorted */
    double *cumulated;  /* DIST_FILE: share up to and with each value */
    uint32_t value_count;
};

/*
 * A struct dist of zeros is the constant 0 and needs no dist_deinit().
 *
 * dist_parse() - 0, or -EINVAL (or the errno of a file) with @ret_text saying why
 * @low, @high: range of sensible values; constants outside are errors, draws are cut to it
 */
MUST_CHECK int dist_parse(struct dist *d, const char *text, enum dist_unit unit, uint64_t low,
                          uint64_t high, char *ret_text, size_t text_cap);
void dist_deinit(struct dist *d);
uint64_t dist_draw(const struct dist *d, struct rng *rng);
/* dist_mean() - of draws, the cut ones included (apart from rounding to whole numbers). */
double dist_mean(const struct dist *d);
/* dist_number_parse() - one number with suffix; rounded to the unit's base (octets, ns). */
MUST_CHECK bool dist_number_parse(struct slice text, enum dist_unit unit, uint64_t *ret_value);

#endif
