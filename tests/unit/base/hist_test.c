/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hist_test.c - buckets, quantiles against a sorted array, merging, and each field of the printed
 * distribution.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/hist.h"
#include "base/rng.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX 5000

static const struct {
    unsigned sub_bits, top_bits;
} shapes[] = {
    {HIST_FINE_SUB_BITS, HIST_TOP_BITS},
    {HIST_COMPACT_SUB_BITS, HIST_TOP_BITS},
    {1, 2},
    {3, 63},
    {14, 20},
};

static void hist_new(struct hist *h, size_t shape)
{
    size_t count = HIST_COUNTS(shapes[shape].sub_bits, shapes[shape].top_bits);
    uint64_t *counts = malloc(count * sizeof(*counts)); /* exactly: ASan sees the end */
    assert_non_null(counts);
    hist_init(h, counts, shapes[shape].sub_bits, shapes[shape].top_bits);
    assert_int_equal(h->count_len, count);
}

static void hist_free(struct hist *h)
{
    free(h->counts);
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Values of every magnitude, with many small ones and repetitions. */
static uint64_t random_value(struct rng *r, unsigned top_bits)
{
    uint64_t value = rng_next(r) >> rng_below(r, 64);
    if (rng_below(r, 4) == 0)
        value = (uint64_t)1 << rng_below(r, 64);
    if (rng_below(r, 8) == 0)
        value--;
    return rng_below(r, 20) == 0 ? value : value & (((uint64_t)1 << top_bits) - 1);
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(HIST_FINE_COUNTS, 33793);
    assert_int_equal(HIST_COMPACT_COUNTS, 1217);
    assert_true((uint64_t)1 << HIST_TOP_BITS > (uint64_t)3600 * NS_PER_S); /* an hour */
}

/* Buckets touch, cover everything, and are as narrow as promised. */
static void test_buckets(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_COUNT(shapes); s++) {
        struct hist h;
        struct hist_bucket b;
        uint64_t next_low = 0;
        uint32_t seen = 0;
        hist_new(&h, s);
        for (uint32_t i = 0; i < h.count_len; i++)
            h.counts[i] = 1;
        for (uint32_t idx = 0; hist_next(&h, &idx, &b); seen++) {
            assert_int_equal(b.low, next_low);
            assert_true(b.high >= b.low);
            assert_int_equal(hist_index(&h, b.low), seen);
            assert_int_equal(hist_index(&h, b.high), seen);
            assert_int_equal(idx, seen + 1);
            if (seen + 1 < h.count_len)
                assert_true(b.high - b.low <= b.low >> h.sub_bits);
            if (b.low < (uint64_t)2 << h.sub_bits)
                assert_true(b.high == b.low || seen + 1 == h.count_len);
            next_low = b.high + 1;
        }
        assert_int_equal(seen, h.count_len);
        assert_int_equal(next_low, 0); /* the last one ends with UINT64_MAX */
        hist_free(&h);
    }
}

static void check_quantiles(const struct hist *h, const uint64_t *sorted, size_t count)
{
    static const double shares[] = {0,   1e-9, 0.001, 0.01, 0.1,   0.25,
                                    0.5, 0.75, 0.9,   0.99, 0.999, 1};
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
        double rank = ceil(shares[i] * (double)count);
        uint64_t exact = sorted[rank < 1 ? 0 : (size_t)rank - 1];
        uint64_t got = hist_quantile(h, shares[i]);
        assert_true(got >= exact && got <= h->max);
        if (exact >> h->top_bits == 0)
            assert_true(got - exact <= exact >> h->sub_bits);
        else
            assert_int_equal(got, h->max);
    }
}

static void check_summary(const struct hist *h, const uint64_t *sorted, size_t count)
{
    long double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (long double)sorted[i];
    long double mean = sum / (long double)count;
    assert_int_equal(h->total, count);
    assert_int_equal(h->min, sorted[0]);
    assert_int_equal(h->max, sorted[count - 1]);
    assert_true(fabsl((long double)hist_mean(h) - mean) <= mean * 1e-12L);
    for (size_t i = 0; i < count; i += 97) {
        size_t above = 0; /* values in buckets after that of sorted[i] */
        for (size_t k = 0; k < count; k++)
            above += hist_index(h, sorted[k]) > hist_index(h, sorted[i]);
        assert_int_equal(hist_count_above(h, sorted[i]), above);
    }
}

static void test_against_sorted_array(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 42);
    uint64_t *values = calloc(VALUES_MAX, sizeof(*values));
    assert_non_null(values);
    for (int run = 0; run < 60; run++) {
        struct hist h;
        size_t count = 1 + (run % 3 == 0 ? rng_below(&r, 10) : rng_below(&r, VALUES_MAX));
        hist_new(&h, (size_t)run % ARRAY_COUNT(shapes));
        for (size_t i = 0; i < count; i++) {
            values[i] = random_value(&r, h.top_bits);
            hist_record(&h, values[i]);
        }
        qsort(values, count, sizeof(*values), compare_u64);
        check_quantiles(&h, values, count);
        check_summary(&h, values, count);
        hist_free(&h);
    }
    free(values);
}

static void assert_same(const struct hist *a, const struct hist *b)
{
    assert_memory_equal(a->counts, b->counts, a->count_len * sizeof(a->counts[0]));
    assert_int_equal(a->total, b->total);
    assert_int_equal(a->min, b->min);
    assert_int_equal(a->max, b->max);
    assert_int_equal(a->sum[0], b->sum[0]);
    assert_int_equal(a->sum[1], b->sum[1]);
}

/* Merging parts is recording everything in one; so is recording in bulk. */
static void test_merge(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 7);
    for (size_t s = 0; s < ARRAY_COUNT(shapes); s++) {
        struct hist all, parts[3], bulk;
        hist_new(&all, s);
        hist_new(&bulk, s);
        for (int p = 0; p < 3; p++)
            hist_new(&parts[p], s);
        for (int i = 0; i < 3000; i++) {
            uint64_t value = random_value(&r, all.top_bits);
            uint64_t times = rng_below(&r, 4);
            struct hist *part = &parts[rng_below(&r, 2)]; /* the third stays empty */
            hist_record_many(&bulk, value, times);
            for (uint64_t k = 0; k < times; k++) {
                hist_record(&all, value);
                hist_record(part, value);
            }
        }
        assert_same(&all, &bulk);
        hist_merge(&parts[2], &parts[0]);
        hist_merge(&parts[2], &parts[1]);
        assert_same(&all, &parts[2]);
        hist_reset(&parts[0]);
        hist_merge(&parts[2], &parts[0]);
        assert_same(&all, &parts[2]);
        for (int p = 0; p < 3; p++)
            hist_free(&parts[p]);
        hist_free(&all);
        hist_free(&bulk);
    }
}

static void test_sum_does_not_wrap(void **state)
{
    (void)state;
    struct hist h;
    hist_new(&h, 0);
    hist_record_many(&h, UINT64_MAX, UINT64_MAX / 2);
    hist_record(&h, UINT64_MAX);
    assert_true(fabs(hist_mean(&h) - 0x1p64) <= 0x1p64 * 1e-12);
    hist_free(&h);
}

static void test_empty(void **state)
{
    (void)state;
    struct hist h;
    struct hist_bucket b;
    uint32_t idx = 0;
    char memory[HIST_PRINT_BYTES_MAX(5)];
    struct buf out = buf_over(memory, sizeof(memory));
    hist_new(&h, 1);
    assert_int_equal(hist_quantile(&h, 0.5), 0);
    assert_true(hist_mean(&h) == 0 && hist_stddev(&h) == 0);
    assert_int_equal(hist_count_above(&h, 0), 0);
    assert_false(hist_next(&h, &idx, &b));
    hist_record_many(&h, 5, 0);
    assert_int_equal(h.total, 0);
    assert_int_equal(h.min, UINT64_MAX);
    hist_print(&h, 1, 5, &out);
    static const char want[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
                               "#[Mean    =        0.000, StdDeviation   =        0.000]\n"
                               "#[Max     =        0.000, Total count    =            0]\n"
                               "#[Buckets =           37, SubBuckets     =           64]\n";
    assert_true(slice_eq(buf_slice(&out), slice_str(want)));
    hist_free(&h);
}

/* 2, 4, 4, 4, 5, 5, 7, 9: mean 5, standard deviation 2. */
static void test_print_exact(void **state)
{
    (void)state;
    static const uint64_t values[] = {2, 4, 4, 4, 5, 5, 7, 9};
    static const char want[] = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
                               "       2.000 0.000000000000          1           1.00\n"
                               "       4.000 0.250000000000          4           1.33\n"
                               "       4.000 0.500000000000          4           2.00\n"
                               "       5.000 0.625000000000          6           2.67\n"
                               "       5.000 0.750000000000          6           4.00\n"
                               "       7.000 0.812500000000          7           5.33\n"
                               "       7.000 0.875000000000          7           8.00\n"
                               "       9.000 0.906250000000          8          10.67\n"
                               "       9.000 1.000000000000          8\n"
                               "#[Mean    =        5.000, StdDeviation   =        2.000]\n"
                               "#[Max     =        9.000, Total count    =            8]\n"
                               "#[Buckets =           32, SubBuckets     =         2048]\n";
    struct hist h;
    char memory[HIST_PRINT_BYTES_MAX(2)];
    struct buf out = buf_over(memory, sizeof(memory));
    hist_new(&h, 0);
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        hist_record(&h, values[i] * 1000);
    hist_reset(&h);
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        hist_record(&h, values[i] * 100); /* below 2048: exact */
    hist_print(&h, 100, 2, &out);
    if (!slice_eq(buf_slice(&out), slice_str(want)))
        fail_msg("got:\n%.*s", (int)out.len, memory);
    hist_free(&h);
}

struct line {
    double value, share, inverse;
    unsigned long long total;
};

/* Each printed line against the recorded values: the fields belong together. */
static void check_line(const struct hist *h, const uint64_t *sorted, const struct line *l,
                       const struct line *before)
{
    assert_true(l->share > before->share && l->value >= before->value);
    assert_true(l->total >= before->total && l->total <= h->total);
    assert_true((double)l->total >= l->share * (double)h->total - 1e-3);
    if (l->share < 1)
        assert_true(fabs(l->inverse - 1 / (1 - l->share)) <= 0.006 + l->inverse * 1e-3);
    uint64_t exact = sorted[l->total - 1]; /* the largest of so many values */
    double error = l->value * 1e6 - (double)exact;
    assert_true(error >= -501 && error <= (double)(exact >> h->sub_bits) + 501);
    if (l->total < h->total)
        assert_true((double)sorted[l->total] > l->value * 1e6 - 501);
}

static void test_print_fields(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 99);
    struct hist h;
    uint64_t *values = calloc(VALUES_MAX, sizeof(*values));
    char *memory = malloc(HIST_PRINT_BYTES_MAX(5));
    assert_non_null(values);
    assert_non_null(memory);
    hist_new(&h, 0);
    for (size_t i = 0; i < VALUES_MAX; i++) {
        values[i] = 50000 + rng_below(&r, (uint64_t)1 << (10 + rng_below(&r, 26)));
        hist_record(&h, values[i]);
    }
    qsort(values, VALUES_MAX, sizeof(*values), compare_u64);
    struct buf out = buf_over(memory, HIST_PRINT_BYTES_MAX(5) - 1);
    hist_print(&h, 1e6, 5, &out);
    assert_false(out.is_full);
    memory[out.len] = '\0';
    char *at = strchr(memory, '\n') + 2;
    struct line before = {.share = -1}, l = {0};
    int lines = 0;
    for (; at[0] != '#'; at = strchr(at, '\n') + 1, lines++) {
        int fields = sscanf(at, "%lf %lf %llu%*[ ]%lf", &l.value, &l.share, &l.total, &l.inverse);
        assert_int_equal(fields, l.share < 1 ? 4 : 3);
        check_line(&h, values, &l, &before);
        before = l;
    }
    assert_true(lines > 50); /* 5 per halving, 5000 values are 12 halvings */
    assert_true(l.share == 1 && l.total == VALUES_MAX);
    double mean, deviation, max;
    assert_int_equal(sscanf(at, "#[Mean = %lf, StdDeviation = %lf]", &mean, &deviation), 2);
    assert_true(fabs(mean - hist_mean(&h) / 1e6) <= 0.0006);
    double squares = 0;
    for (size_t i = 0; i < VALUES_MAX; i++)
        squares += pow((double)values[i] - hist_mean(&h), 2);
    assert_true(fabs(deviation - sqrt(squares / VALUES_MAX) / 1e6) <= deviation * 0.002 + 0.001);
    at = strchr(at, '\n') + 1;
    assert_int_equal(sscanf(at, "#[Max = %lf, Total count = %llu]", &max, &l.total), 2);
    assert_true(fabs(max - (double)h.max / 1e6) <= 0.0006 && l.total == VALUES_MAX);
    free(memory);
    free(values);
    hist_free(&h);
}

/* Even the largest histogram ends and fits. */
static void test_print_bounds(void **state)
{
    (void)state;
    static const unsigned ticks[] = {1, 5, HIST_TICKS_MAX};
    struct hist h;
    hist_new(&h, 3);
    hist_record_many(&h, 1, UINT64_MAX / 4);
    for (unsigned i = 0; i < 64; i++)
        hist_record_many(&h, UINT64_MAX >> i, (uint64_t)1 << (i > 61 ? 61 : i));
    for (size_t i = 0; i < ARRAY_COUNT(ticks); i++) {
        size_t cap = HIST_PRINT_BYTES_MAX(ticks[i]);
        char *memory = malloc(cap);
        assert_non_null(memory);
        struct buf out = buf_over(memory, cap);
        hist_print(&h, 1, ticks[i], &out);
        assert_false(out.is_full);
        free(memory);
    }
    hist_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_against_sorted_array),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_sum_does_not_wrap),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_print_exact),
        cmocka_unit_test(test_print_fields),
        cmocka_unit_test(test_print_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
