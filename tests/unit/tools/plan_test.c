/* SPDX-License-Identifier: Apache-2.0 */
/* plan_test.c - the times of each shape, and that the workers' plans together are the whole. */
#include "load/plan.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ITEMS_MAX 200000

static uint64_t times[ITEMS_MAX]; /* by sequence number */

/* All workers' items; asserts order and that each number comes once. Returns how many. */
static uint64_t gather(struct plan_options options, uint32_t worker_count)
{
    uint64_t total = 0, highest = 0;
    options.worker_count = worker_count;
    memset(times, 0xFF, sizeof(times));
    for (uint32_t w = 0; w < worker_count; w++) {
        struct plan p;
        struct plan_item item;
        uint64_t last = 0;
        plan_init(&p, &options, w);
        while (plan_next(&p, &item)) {
            assert_true(item.seq < ITEMS_MAX && times[item.seq] == UINT64_MAX);
            assert_true(item.at_ns >= last);
            last = times[item.seq] = item.at_ns;
            highest = u64_max(highest, item.seq);
            total++;
        }
        assert_false(plan_next(&p, &item)); /* over is over */
    }
    assert_true(total == 0 || highest == total - 1);
    return total;
}

static const struct plan_options shapes[] = {
    {.shape = PLAN_CLOSED, .count = 1000},
    {.shape = PLAN_CONSTANT, .rate = 997, .duration_ns = 3 * NS_PER_S},
    {.shape = PLAN_CONSTANT, .rate = 0.5, .count = 7},
    {.shape = PLAN_CONSTANT, .rate = 1000, .duration_ns = 2 * NS_PER_S, .count = 1500},
    {.shape = PLAN_CONSTANT, .rate = 1000, .duration_ns = NS_PER_S, .count = 1500},
    {.shape = PLAN_POISSON, .rate = 1000, .duration_ns = 5 * NS_PER_S, .seed = 3},
    {.shape = PLAN_POISSON, .rate = 10, .count = 500, .seed = 4},
    {.shape = PLAN_RAMP, .rate = 100, .rate_end = 900, .duration_ns = 10 * NS_PER_S},
    {.shape = PLAN_RAMP, .rate = 900, .rate_end = 100, .duration_ns = 10 * NS_PER_S},
    {.shape = PLAN_RAMP, .rate = 0, .rate_end = 300, .duration_ns = 4 * NS_PER_S},
    {.shape = PLAN_RAMP, .rate = 300, .rate_end = 0, .duration_ns = 4 * NS_PER_S},
    {.shape = PLAN_STEP, .rate = 10, .rate_step = 10, .rate_end = 50, .step_ns = 2 * NS_PER_S},
    {.shape = PLAN_STEP, .rate = 50, .rate_step = -20, .rate_end = 10, .step_ns = NS_PER_S},
    {.shape = PLAN_STEP, .rate = 0.1, .rate_step = 0.1, .rate_end = 1, .step_ns = 10 * NS_PER_S},
    {.shape = PLAN_STEP, .rate = 7, .rate_end = 7, .step_ns = 3 * NS_PER_S},
};

static void workers_make_the_whole(void **state)
{
    (void)state;
    static const uint32_t worker_counts[] = {2, 3, 7, 64};
    static uint64_t whole[ITEMS_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        uint64_t total = gather(shapes[i], 1);
        assert_true(total > 0);
        memcpy(whole, times, sizeof(whole));
        for (size_t k = 0; k < ARRAY_COUNT(worker_counts); k++) {
            assert_int_equal(gather(shapes[i], worker_counts[k]), total);
            assert_memory_equal(times, whole, total * sizeof(*times));
        }
    }
}

static void totals_are_told_ahead(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shapes); i++) {
        const struct plan_options *o = &shapes[i];
        if (o->shape == PLAN_CLOSED || o->shape == PLAN_POISSON)
            continue;
        uint64_t total = gather(*o, 1);
        for (uint64_t ns = 0; ns <= 30 * NS_PER_S; ns += NS_PER_S / 4 + 12345) {
            uint64_t before = 0;
            while (before < total && times[before] < ns)
                before++;
            if (fabs(plan_total(o, ns) - (double)before) > 1e-6)
                fail_msg("shape %zu, %llu ns: %f, not %llu", i, (unsigned long long)ns,
                         plan_total(o, ns), (unsigned long long)before);
        }
    }
    assert_true(plan_total(&shapes[0], NS_PER_S) == 0);
    assert_true(plan_total(&shapes[5], 2 * NS_PER_S) == 2000);
}

static void constant_gaps(void **state)
{
    (void)state;
    struct plan_options o = {.shape = PLAN_CONSTANT, .rate = 4, .duration_ns = 2 * NS_PER_S};
    assert_int_equal(gather(o, 1), 8);
    for (uint64_t i = 0; i < 8; i++)
        assert_true(times[i] == i * NS_PER_S / 4);
    /* Gaps are not added up: no drift after many of them. */
    o = (struct plan_options){.shape = PLAN_CONSTANT, .rate = 30000, .count = 150001};
    gather(o, 3);
    assert_true(times[150000] == 5 * NS_PER_S);
}

static void poisson_mean_and_variance(void **state)
{
    (void)state;
    /* 1000 windows of 100 ms with 100 arrivals each on average: mean 100 +- 0.32, variance 100 +-
     * 4.5 (standard errors). Six of them are allowed; the seed is fixed. */
    struct plan_options o = {
        .shape = PLAN_POISSON, .rate = 1000, .duration_ns = 100 * NS_PER_S, .seed = 20};
    uint64_t total = gather(o, 2);
    double sum = 0, squares = 0;
    uint64_t seq = 0;
    for (uint64_t window = 1; window <= 1000; window++) {
        uint64_t count = 0;
        while (seq < total && times[seq] < window * NS_PER_S / 10) {
            seq++;
            count++;
        }
        sum += (double)count;
        squares += (double)count * (double)count;
    }
    double mean = sum / 1000, variance = squares / 1000 - mean * mean;
    assert_true(fabs(mean - 100) < 2);
    assert_true(fabs(variance - 100) < 27);
    /* Exponential gaps: the share above the mean is 1/e, +- 0.0015. */
    uint64_t above = times[0] > NS_PER_MS;
    for (seq = 1; seq < total; seq++)
        above += times[seq] - times[seq - 1] > NS_PER_MS;
    assert_true(fabs((double)above / (double)total - exp(-1)) < 0.01);
    o.seed = 21;
    assert_true(gather(o, 2) != total || times[0] != 0);
}

static void seeds_differ(void **state)
{
    (void)state;
    struct plan_options o = {.shape = PLAN_POISSON, .rate = 1, .count = 1, .seed = 1};
    gather(o, 1);
    uint64_t first = times[0];
    gather(o, 1);
    assert_true(times[0] == first);
    o.seed = 2;
    gather(o, 1);
    assert_true(times[0] != first);
}

static void ramp_integral(void **state)
{
    (void)state;
    /* 100 to 900 in 10 s: 100 t + 40 t^2, 5000 in all, 1500 in the first half. */
    const struct plan_options *up = &shapes[7];
    assert_int_equal(gather(*up, 1), 5000);
    assert_true(times[0] == 0 && times[1500] == 5 * NS_PER_S);
    for (uint64_t seq = 0; seq < 5000; seq++) {
        double t = (double)times[seq] / 1e9;
        assert_true(fabs(100 * t + 40 * t * t - (double)seq) < 1e-5);
    }
    assert_int_equal(gather(shapes[8], 1), 5000);
    assert_true(times[3500] == 5 * NS_PER_S);
    assert_int_equal(gather(shapes[9], 1), 600);
    assert_true(times[0] == 0 && times[150] == 2 * NS_PER_S);
    assert_int_equal(gather(shapes[10], 1), 600);
    assert_true(times[450] == 2 * NS_PER_S);
    struct plan_options none = {.shape = PLAN_RAMP, .duration_ns = NS_PER_S};
    assert_int_equal(gather(none, 1), 0);
    assert_true(plan_total(&none, NS_PER_S) == 0);
}

static void steps(void **state)
{
    (void)state;
    /* 10, 20 ... 50 a second, two seconds each. */
    assert_int_equal(gather(shapes[11], 1), 20 + 40 + 60 + 80 + 100);
    static const struct {
        uint64_t seq, at_ns;
    } rows[] = {{0, 0},
                {1, NS_PER_S / 10},
                {19, 19 * NS_PER_S / 10},
                {20, 2 * NS_PER_S},
                {21, 2050 * NS_PER_MS},
                {60, 4 * NS_PER_S},
                {200, 8 * NS_PER_S},
                {299, 9980 * NS_PER_MS}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_true(times[rows[i].seq] == rows[i].at_ns);
    assert_int_equal(gather(shapes[12], 1), 50 + 30 + 10);
    assert_int_equal(gather(shapes[13], 1), 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10);
    struct plan_options cut = shapes[11];
    cut.duration_ns = 3 * NS_PER_S;
    assert_int_equal(gather(cut, 1), 20 + 20);
}

static void closed_loop_without_end(void **state)
{
    (void)state;
    struct plan_options o = {.shape = PLAN_CLOSED, .worker_count = 4};
    struct plan p;
    struct plan_item item;
    plan_init(&p, &o, 3);
    for (uint64_t i = 0; i < 100; i++) {
        assert_true(plan_next(&p, &item));
        assert_true(item.seq == 3 + 4 * i && item.at_ns == 0);
    }
    assert_true(p.made == 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_make_the_whole),
        cmocka_unit_test(totals_are_told_ahead),
        cmocka_unit_test(constant_gaps),
        cmocka_unit_test(poisson_mean_and_variance),
        cmocka_unit_test(seeds_differ),
        cmocka_unit_test(ramp_integral),
        cmocka_unit_test(steps),
        cmocka_unit_test(closed_loop_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
