/* SPDX-License-Identifier: Apache-2.0 */
/* series.c - owns how much is left out of a drawing. Pure. */
#include "load/series.h"
#include <math.h>

double series_bin_begin(const struct series_bins *b, uint32_t i)
{
    return (double)i * b->width;
}

void series_bins_make(struct series_bins *b, const struct load_stats *s)
{
    b->width = s->second_count / SERIES_BINS_MAX + (s->second_count % SERIES_BINS_MAX != 0);
    b->width = b->width > 0 ? b->width : 1;
    b->count = (s->second_count + b->width - 1) / b->width;
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t first = i * b->width;
        uint32_t end = (uint32_t)u64_min((uint64_t)first + b->width, s->second_count);
        double seconds = end - first;
        b->at[i] = first + seconds / 2;
        b->p50_ns[i] = b->p99_ns[i] = b->max_ns[i] = NAN;
        b->accepted[i] = b->deferred[i] = b->refused[i] = b->unknown[i] = 0;
        for (uint32_t k = first; k < end; k++) {
            const struct load_second *t = &s->seconds[k];
            if (t->messages > 0 && t->latency_p50_ns > 0) {
                b->p50_ns[i] = fmax(b->p50_ns[i], (double)t->latency_p50_ns);
                b->p99_ns[i] = fmax(b->p99_ns[i], (double)t->latency_p99_ns);
                b->max_ns[i] = fmax(b->max_ns[i], (double)t->latency_max_ns);
            }
            b->accepted[i] += (double)t->rcpts_accepted / seconds;
            b->deferred[i] += (double)t->rcpts_deferred / seconds;
            b->refused[i] += (double)t->rcpts_refused / seconds;
            b->unknown[i] += (double)t->unknown / seconds;
        }
    }
}

void series_curve_make(struct series_curve *c, const struct hist *h)
{
    *c = (struct series_curve){.x_max = 1};
    if (h->total == 0)
        return;
    double end = log10((double)h->total);
    uint32_t steps = h->total == 1 ? 0 : SERIES_CURVE_POINTS - 2;
    for (uint32_t i = 0; i <= steps; i++) {
        double x = steps > 0 ? end * i / steps : 0;
        double share = i == steps ? 1 : 1 - pow(10, -x);
        double y = (double)hist_quantile(h, share);
        c->x[c->count] = x;
        c->y[c->count++] = fmax(y, 1);
    }
    if (end < 1) { /* of less than ten values the 90 % one is the last */
        c->x[c->count] = 1;
        c->y[c->count++] = fmax((double)h->max, 1);
    }
    c->x_max = fmax(end, 1);
    c->y_min = fmax((double)h->min, 1);
    c->y_max = fmax((double)h->max, 1);
}

/* Bins per doubling: fine ones for a narrow range. */
static unsigned fineness(double doublings)
{
    if (doublings <= 6)
        return 4;
    return doublings <= 14 ? 2 : 1;
}

void series_sizes_make(struct series_sizes *z, const struct hist *h)
{
    *z = (struct series_sizes){0};
    if (h->total == 0)
        return;
    double least = log2(fmax((double)h->min, 1)), greatest = log2(fmax((double)h->max, 1));
    double per = fineness(greatest - least);
    double first = floor(least * per), last = floor(greatest * per);
    z->count = (uint32_t)fmin(last - first + 1, SERIES_SIZES_MAX);
    for (uint32_t i = 0; i <= z->count; i++)
        z->low[i] = exp2((first + i) / per);
    struct hist_bucket b;
    for (uint32_t idx = 0; hist_next(h, &idx, &b);) {
        double value = fmax((double)u64_min(b.high, h->max), 1);
        double bin = floor(log2(value) * per) - first;
        uint32_t at = bin > 0 ? (uint32_t)fmin(bin, z->count - 1) : 0;
        z->messages[at] += b.count;
    }
}
