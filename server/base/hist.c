/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hist.c - reading histograms: merge, quantiles, printing.
 *
 * Bucket i with s = sub_bits: for i < 2^(s+1) it holds the value i alone. Above, i >> s is
 * shift + 1, where 2^shift is the width of the bucket, and the lower s bits of i are the bits of
 * the value behind its leading one. Index and value grow together, so ranks are found by adding up.
 *
 * Invariant: total is the sum of all counts, and min <= max whenever total > 0.
 */
#include "base/hist.h"
#include <math.h>

void hist_init(struct hist *h, uint64_t *counts, unsigned sub_bits, unsigned top_bits)
{
    ASSERT(sub_bits >= 1 && sub_bits <= 14);
    ASSERT(top_bits > sub_bits && top_bits <= 63);
    *h = (struct hist){
        .counts = counts,
        .count_len = (uint32_t)HIST_COUNTS(sub_bits, top_bits),
        .sub_bits = (uint8_t)sub_bits,
        .top_bits = (uint8_t)top_bits,
    };
    hist_reset(h);
}

void hist_reset(struct hist *h)
{
    memset(h->counts, 0, h->count_len * sizeof(h->counts[0]));
    h->total = 0;
    h->min = UINT64_MAX;
    h->max = 0;
    h->sum[0] = 0;
    h->sum[1] = 0;
}

void hist_record_many(struct hist *h, uint64_t value, uint64_t times)
{
    __extension__ typedef unsigned __int128 wide;
    if (times == 0)
        return;
    wide product = (wide)value * times;
    h->counts[hist_index(h, value)] += times;
    h->total += times;
    h->sum[1] += (uint64_t)(product >> 64);
    h->sum[1] += __builtin_add_overflow(h->sum[0], (uint64_t)product, &h->sum[0]);
    h->min = u64_min(h->min, value);
    h->max = u64_max(h->max, value);
}

static struct hist_bucket bucket_at(const struct hist *h, uint32_t idx)
{
    struct hist_bucket b = {.count = h->counts[idx]};
    if (idx == h->count_len - 1) {
        b.low = (uint64_t)1 << h->top_bits;
        b.high = UINT64_MAX;
    } else if (idx >> h->sub_bits < 2) {
        b.low = idx;
        b.high = idx;
    } else {
        unsigned shift = (idx >> h->sub_bits) - 1;
        uint64_t leading = (uint64_t)idx - ((uint64_t)shift << h->sub_bits);
        b.low = leading << shift;
        b.high = b.low + (((uint64_t)1 << shift) - 1);
    }
    return b;
}

void hist_merge(struct hist *to, const struct hist *from)
{
    ASSERT(to->sub_bits == from->sub_bits && to->top_bits == from->top_bits);
    for (uint32_t i = 0; i < to->count_len; i++)
        to->counts[i] += from->counts[i];
    to->total += from->total;
    to->min = u64_min(to->min, from->min);
    to->max = u64_max(to->max, from->max);
    to->sum[1] += from->sum[1];
    to->sum[1] += __builtin_add_overflow(to->sum[0], from->sum[0], &to->sum[0]);
}

/* The rank (1 .. total) of the value that @q asks for. */
static uint64_t rank_of(const struct hist *h, double q)
{
    double rank = ceil(q * (double)h->total);
    if (!(rank >= 1))
        return 1;
    return rank >= (double)h->total ? h->total : (uint64_t)rank;
}

/* Walks on to the bucket with rank @rank; *@seen is the number of values up to and with it. */
static struct hist_bucket walk_to_rank(const struct hist *h, uint64_t rank, uint32_t *idx,
                                       uint64_t *seen)
{
    struct hist_bucket b = {0};
    while (*seen < rank && hist_next(h, idx, &b))
        *seen += b.count;
    ASSERT(*seen >= rank);
    b.high = u64_min(b.high, h->max);
    return b;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
    if (h->total == 0)
        return 0;
    uint32_t idx = 0;
    uint64_t seen = 0;
    return walk_to_rank(h, rank_of(h, q), &idx, &seen).high;
}

double hist_mean(const struct hist *h)
{
    if (h->total == 0)
        return 0;
    return ((double)h->sum[1] * 0x1p64 + (double)h->sum[0]) / (double)h->total;
}

double hist_stddev(const struct hist *h)
{
    if (h->total == 0)
        return 0;
    double mean = hist_mean(h);
    double squares = 0;
    struct hist_bucket b;
    for (uint32_t idx = 0; hist_next(h, &idx, &b);) {
        double low = (double)u64_max(b.low, h->min);
        double high = (double)u64_min(b.high, h->max);
        double distance = low + (high - low) / 2 - mean;
        squares += distance * distance * (double)b.count;
    }
    return sqrt(squares / (double)h->total);
}

uint64_t hist_count_above(const struct hist *h, uint64_t value)
{
    uint64_t above = 0;
    for (uint32_t i = hist_index(h, value) + 1; i < h->count_len; i++)
        above += h->counts[i];
    return above;
}

bool hist_next(const struct hist *h, uint32_t *idx, struct hist_bucket *ret_bucket)
{
    while (*idx < h->count_len) {
        uint32_t at = (*idx)++;
        if (h->counts[at] == 0)
            continue;
        *ret_bucket = bucket_at(h, at);
        return true;
    }
    return false;
}

/* The share at which the next line stands: @ticks steps to the middle of what is left to 1. */
static double next_share(double share, unsigned ticks)
{
    double halvings = floor(log2(1 / (1 - share))) + 1;
    return share + 1 / ((double)ticks * exp2(halvings));
}

static void print_lines(const struct hist *h, double unit, unsigned ticks, struct buf *out)
{
    uint32_t idx = 0;
    uint64_t seen = 0;
    struct hist_bucket b = {0};
    /* Until a line has reached the last value: finer steps would only repeat it. */
    double share = 0;
    for (double last = -1; seen < h->total && share > last && share < 1;) {
        uint64_t rank = rank_of(h, share);
        if (rank > seen)
            b = walk_to_rank(h, rank, &idx, &seen);
        buf_printf(out, "%12.3f %2.12f %10llu %14.2f\n", (double)b.high / unit, share,
                   (unsigned long long)seen, 1 / (1 - share));
        last = share; /* steps below the resolution of a double end the list */
        share = next_share(share, ticks);
    }
    if (h->total > 0)
        buf_printf(out, "%12.3f %2.12f %10llu\n", (double)h->max / unit, 1.0,
                   (unsigned long long)h->total);
}

void hist_print(const struct hist *h, double unit, unsigned ticks, struct buf *out)
{
    ASSERT(unit > 0 && ticks >= 1 && ticks <= HIST_TICKS_MAX);
    buf_printf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
               "1/(1-Percentile)");
    print_lines(h, unit, ticks, out);
    buf_printf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", hist_mean(h) / unit,
               hist_stddev(h) / unit);
    buf_printf(out, "#[Max     = %12.3f, Total count    = %12llu]\n", (double)h->max / unit,
               (unsigned long long)h->total);
    buf_printf(out, "#[Buckets = %12u, SubBuckets     = %12u]\n", h->top_bits - h->sub_bits + 0u,
               2u << h->sub_bits);
}
