/* SPDX-License-Identifier: Apache-2.0 */
/* series.h - a run's numbers made ready for drawing: few enough points, whatever its length. */
#ifndef LOAD_SERIES_H
#define LOAD_SERIES_H

#include "load/stats.h"

#define SERIES_BINS_MAX 360

/* The series in bins of @width seconds. Latencies are those of the worst second of a bin, rates are
 * means per second. NAN where nothing ended. */
struct series_bins {
    uint32_t count;
    uint32_t width;
    double at[SERIES_BINS_MAX]; /* middle, seconds since the start of the run */
    double p50_ns[SERIES_BINS_MAX], p99_ns[SERIES_BINS_MAX], max_ns[SERIES_BINS_MAX];
    double accepted[SERIES_BINS_MAX], deferred[SERIES_BINS_MAX], refused[SERIES_BINS_MAX],
        unknown[SERIES_BINS_MAX];
};
void series_bins_make(struct series_bins *b, const struct load_stats *s);
/* series_bin_begin() - where bin @i begins, seconds; @i may be one past the last. */
double series_bin_begin(const struct series_bins *b, uint32_t i);

#define SERIES_CURVE_POINTS 420

/* A distribution along the NINES axis of plot.h: ends at its maximum, at 1 - 1 / values, or at
 * 90 % when there are less than ten. */
struct series_curve {
    uint32_t count;
    double x[SERIES_CURVE_POINTS], y[SERIES_CURVE_POINTS];
    double x_max;
    double y_min, y_max; /* above 0 */
};
void series_curve_make(struct series_curve *c, const struct hist *h);

#define SERIES_SIZES_MAX 64

/* Content sizes in bins that grow evenly on a logarithmic axis. */
struct series_sizes {
    uint32_t count;
    double low[SERIES_SIZES_MAX + 1]; /* bin i: low[i] to below low[i + 1] */
    uint64_t messages[SERIES_SIZES_MAX];
};
void series_sizes_make(struct series_sizes *z, const struct hist *h);

#endif
