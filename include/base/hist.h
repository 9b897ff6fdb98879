/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hist.h - log-linear histogram: counts of 64-bit values with a bounded relative error, in memory
 * given by the caller.
 *
 * Every power of two is split into 2^sub_bits equal buckets, and values below 2^(sub_bits + 1) have
 * a bucket each; so a bucket is never wider than its lower bound / 2^sub_bits. Values of
 * 2^top_bits and above share one last bucket (the exact maximum is kept beside it). Two shapes:
 *
 *     HIST_FINE      sub_bits 10, top_bits 42:  error < 0.1 %, exact below 2048, to 1.2 hours in
 * ns, 33793 counts, 264 KiB: three significant digits, for reports HIST_COMPACT   sub_bits 5,
 * top_bits 42: error < 3.2 %, exact below 64, the same range, 1217 counts, 9.5 KiB: for many at
 * once (per phase, per class, per shard)
 *
 * Recording is a few instructions and one increment; no allocation, no floating point. One writer;
 * for another thread's histogram merge a copy taken between its turns. What a value means (latency
 * from the planned time or from the actual send) is the caller's business.
 */
#ifndef BASE_HIST_H
#define BASE_HIST_H

#include "base/assert.h"
#include "base/buf.h"

#define HIST_FINE_SUB_BITS 10
#define HIST_COMPACT_SUB_BITS 5
#define HIST_TOP_BITS 42 /* 2^42 ns = 73 minutes */

/* How many counts (uint64_t) a histogram needs; the last one is for values of 2^top_bits and up. */
#define HIST_COUNTS(sub_bits, top_bits) ((((size_t)(top_bits) - (sub_bits) + 1) << (sub_bits)) + 1)
#define HIST_FINE_COUNTS HIST_COUNTS(HIST_FINE_SUB_BITS, HIST_TOP_BITS)
#define HIST_COMPACT_COUNTS HIST_COUNTS(HIST_COMPACT_SUB_BITS, HIST_TOP_BITS)

struct hist {
    uint64_t *counts;
    uint32_t count_len;
    uint8_t sub_bits;
    uint8_t top_bits;
    uint64_t total;  /* values recorded */
    uint64_t min;    /* UINT64_MAX when empty */
    uint64_t max;    /* 0 when empty */
    uint64_t sum[2]; /* of all values, low half first */
};

struct hist_bucket {
    uint64_t low;   /* smallest value that falls in it */
    uint64_t high;  /* largest value */
    uint64_t count; /* never 0 when it comes from hist_next() */
};

/*
 * hist_init() - an empty histogram over @counts
 * @counts: HIST_COUNTS(sub_bits, top_bits) elements; cleared
 * Shape:   1 <= sub_bits < top_bits <= 63, sub_bits <= 14
 */
void hist_init(struct hist *h, uint64_t *counts, unsigned sub_bits, unsigned top_bits);
void hist_reset(struct hist *h);

/* hist_index() - the bucket of @value. */
static inline uint32_t hist_index(const struct hist *h, uint64_t value)
{
    if (UNLIKELY(value >> h->top_bits != 0))
        return h->count_len - 1;
    unsigned exponent = 63 - (unsigned)__builtin_clzll(value | ((uint64_t)1 << h->sub_bits));
    unsigned shift = exponent - h->sub_bits;
    return (shift << h->sub_bits) + (uint32_t)(value >> shift);
}

/* hist_record() - count @value once. */
static inline void hist_record(struct hist *h, uint64_t value)
{
    h->counts[hist_index(h, value)]++;
    h->total++;
    h->sum[1] += __builtin_add_overflow(h->sum[0], value, &h->sum[0]);
    if (value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
}

/* hist_record_many() - count @value @times times. */
void hist_record_many(struct hist *h, uint64_t value, uint64_t times);

/* hist_merge() - as if everything recorded in @from had been recorded in @to; same shape. */
void hist_merge(struct hist *to, const struct hist *from);

/*
 * hist_quantile() - the value below or at which the share @q (0..1) of all values lies
 * Return: the largest value of that bucket, never above the maximum; 0 when empty. The value asked
 *         for is rank ceil(q * total), at least the first.
 */
uint64_t hist_quantile(const struct hist *h, double q);

/* hist_mean() - exact up to rounding; 0 when empty. */
double hist_mean(const struct hist *h);
/* hist_stddev() - each value counted as the middle of its bucket. */
double hist_stddev(const struct hist *h);

/* hist_count_above() - values above @value, as far as the buckets tell: those in the same bucket as
 * @value do not count. */
uint64_t hist_count_above(const struct hist *h, uint64_t value);

/* hist_next() - the next bucket that is not empty; *idx is 0 at first. False: no more. */
bool hist_next(const struct hist *h, uint32_t *idx, struct hist_bucket *ret_bucket);

/*
 * hist_print() - percentile distribution as HdrHistogram's tools write and read it (".hgrm")
 * @unit:  values are divided by this (1e6: nanoseconds printed as milliseconds)
 * @ticks: lines per halving of the distance to 100 %; 5 is usual, at most HIST_TICKS_MAX
 *
 * Lines "Value Percentile TotalCount 1/(1-Percentile)", the last (100 %) without the fourth column,
 * and the trailer "#[Mean ...". HIST_PRINT_BYTES_MAX(ticks) are enough with @unit >= 1.
 */
#define HIST_TICKS_MAX 100
#define HIST_PRINT_BYTES_MAX(ticks) ((size_t)1024 + (size_t)96 * 66 * (ticks))
void hist_print(const struct hist *h, double unit, unsigned ticks, struct buf *out);

#endif
