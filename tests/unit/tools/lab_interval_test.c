/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confidence intervals against published values, and what results make of them: which interval a
 * figure has, and what contradicts the theory.
 */
#include "lab/interval.h"
#include "lab/result.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void check(const char *what, struct lab_interval got, double low, double high, double within)
{
    if (fabs(got.low - low) > within || fabs(got.high - high) > within)
        fail_msg("%s: %.6f to %.6f, not %.6f to %.6f", what, got.low, got.high, low, high);
}

/* R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 5. */
static void test_shares(void **state)
{
    static const struct {
        uint64_t hits, count;
        double low, high;
    } rows[] = {{81, 263, 0.2527, 0.3676},
                {15, 148, 0.0578, 0.1617},
                {0, 20, 0.0000, 0.1684},
                {1, 29, 0.0009, 0.1776}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        check("share", interval_share(rows[i].hits, rows[i].count, 0.05), rows[i].low, rows[i].high,
              0.00005);
        struct lab_interval rest =
            interval_share(rows[i].count - rows[i].hits, rows[i].count, 0.05);
        check("rest", rest, 1 - rows[i].high, 1 - rows[i].low, 0.00005);
    }
    /* All of them: the closed form. */
    check("all", interval_share(50, 50, 0.1), pow(0.05, 1.0 / 50), 1, 1e-9);
    check("many", interval_share(3000000, 10000000, 0.05), 0.2997160, 0.3002841, 1e-6);
}

/* Exact limits of a Poisson count, as in E. S. Pearson, H. O. Hartley, Biometrika Tables for
 * Statisticians, table 40: the two-sided 95 % and 99 % ones. */
static void test_counts(void **state)
{
    static const struct {
        double count, low, high, low99, high99;
    } rows[] = {{0, 0, 3.69, 0, 5.30},           {1, 0.0253, 5.57, 0.00501, 7.43},
                {2, 0.242, 7.22, 0.103, 9.27},   {5, 1.62, 11.67, 1.08, 14.15},
                {10, 4.80, 18.39, 3.72, 21.40},  {20, 12.22, 30.89, 10.35, 34.67},
                {50, 37.11, 65.92, 33.66, 71.27}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        double n = rows[i].count;
        check("95 %", interval_sum(n, n, 1, 0.05), rows[i].low, rows[i].high, 0.006);
        check("99 %", interval_sum(n, n, 1, 0.01), rows[i].low99, rows[i].high99, 0.006);
        /* Events that weigh ten each are a tenth as many. */
        struct lab_interval ten = interval_sum(10 * n, 100 * n, 10, 0.05);
        check("tens", ten, 10 * rows[i].low, 10 * rows[i].high, 0.06);
    }
    /* One step beyond the last that is found step by step. */
    check("many", interval_sum(2e6, 2e6, 1, 0.05), 2e6 - 1.959964 * sqrt(2e6),
          2e6 + 1.959964 * sqrt(2e6), 3);
}

/* The example of Fay and Feuer: Down's syndrome, mothers of five or more, by age, for 100,000
 * births; J. L. Fleiss, Statistical Methods for Rates and Proportions (1981), table 14.4. */
static void test_weighted(void **state)
{
    static const double cases[] = {0, 8, 63, 112, 262, 295};
    static const double births[] = {327, 30666, 123419, 149919, 104088, 34392};
    static const double standard[] = {319933, 931318, 786511, 488235, 237863, 61313};
    double all = 0, sum = 0, squares = 0, most = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(standard); i++)
        all += standard[i];
    for (size_t i = 0; i < ARRAY_COUNT(standard); i++) {
        double weight = standard[i] / all / births[i] * 1e5;
        sum += weight * cases[i];
        squares += weight * weight * cases[i];
        most = fmax(most, weight);
    }
    check("Down's syndrome", interval_sum(sum, squares, most, 0.05), 67.70212, 188.30017, 0.00001);
    assert_float_equal(sum, 75.52901, 0.00001);
}

/* Two-sided 95 % points of t, as in any table of it. */
static void test_means(void **state)
{
    static const struct {
        uint64_t freedom;
        double t, t99;
    } rows[] = {{1, 12.706, 63.657}, {2, 4.303, 9.925},   {4, 2.776, 4.604},      {9, 2.262, 3.250},
                {29, 2.045, 2.756},  {120, 1.980, 2.617}, {5000000, 1.960, 2.576}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t count = rows[i].freedom + 1;
        double sd = sqrt((double)count);
        check("t", interval_mean(7, sd, count, 0.05), 7 - rows[i].t, 7 + rows[i].t, 0.0006);
        check("t 99 %", interval_mean(7, sd, count, 0.01), 7 - rows[i].t99, 7 + rows[i].t99,
              0.0006);
    }
    check("no spread", interval_mean(3, 0, 5, 0.05), 3, 3, 0);
}

/* How often they hold what they should, counted over all that can happen. */
static void test_coverage(void **state)
{
    (void)state;
    for (double mean = 0.1; mean < 20; mean += 0.7) {
        double held = 0, chance = exp(-mean);
        for (uint32_t k = 0; k < 100; k++) {
            struct lab_interval i = interval_sum(k, k, 1, 0.05);
            held += i.low <= mean && mean <= i.high ? chance : 0;
            chance *= mean / (k + 1);
        }
        assert_true(held >= 0.95);
    }
}

/* --- what results make of them --------------------------------------------------------------- */

/* A point of which @hits messages of each of three seeds had @copies copies each. */
struct sample {
    struct lab_run runs[3];
    struct lab_result_point point;
    struct lab_bucket bucket;
};

static void sample_make(struct sample *s, uint64_t messages, const uint64_t hits[3],
                        uint64_t copies, double first, double sd)
{
    *s = (struct sample){.point = {.rcpt_count = 10, .run_count = 3, .runs = s->runs}};
    s->point.theory =
        (struct lab_theory){.rule = "DUP-11", .copies_first = first, .copies_first_sd = sd};
    s->point.expected[0] = (struct lab_expectation){.first_low = first, .first_high = first};
    for (uint32_t i = 0; i < 3; i++) {
        s->runs[i] = (struct lab_run){.seed = i + 1};
        s->runs[i].numbers = (struct lab_numbers){.messages = messages,
                                                  .pairs = 10 * messages,
                                                  .accepted = 10 * messages - hits[i],
                                                  .lost = hits[i],
                                                  .livelocks = hits[i],
                                                  .copies_first_try = hits[i] * copies,
                                                  .copies_first_try_sq = hits[i] * copies * copies};
    }
}

static struct lab_summary summary_of(const struct sample *s)
{
    struct lab_summary summary;
    assert_true(lab_summary_make(&s->point, 0, &summary));
    return summary;
}

/* The spread of a mean whose messages have 10 copies with this chance, or none. */
static double spread(double share)
{
    return 10 * sqrt(share * (1 - share));
}

static void test_methods(void **state)
{
    struct sample s;
    struct lab_summary sum;
    (void)state;
    /* Three events of 3000: ten copies each are ten times the interval of a count of 3. */
    sample_make(&s, 1000, (const uint64_t[]){0, 3, 0}, 10, 0.01, spread(0.001));
    sum = summary_of(&s);
    assert_int_equal(sum.copies_first.method, LAB_METHOD_RARE);
    assert_float_equal(sum.copies_first.mean, 0.01, 1e-12);
    assert_float_equal(sum.copies_first.low, 10 * 0.6187 / 3000, 1e-6);
    assert_float_equal(sum.copies_first.high, 10 * 8.7673 / 3000, 1e-6);
    assert_int_equal(sum.livelock.method, LAB_METHOD_SHARE);
    struct lab_interval share = interval_share(3, 3000, LAB_ALPHA);
    assert_float_equal(sum.livelock.low, share.low, 1e-12);
    assert_float_equal(sum.livelock.high, share.high, 1e-12);
    /* Who was lost may all have been of one message: as if all ten of it were. */
    assert_int_equal(sum.lost.method, LAB_METHOD_RARE);
    assert_float_equal(sum.lost.high, interval_sum(3, 30, 10, LAB_ALPHA).high / 3000, 1e-12);
    assert_int_equal(sum.tries.method, LAB_METHOD_SEEDS);
    /* Nothing was seen, which is not to say that nothing is. */
    sample_make(&s, 1000, (const uint64_t[]){0, 0, 0}, 10, 0.01, spread(0.001));
    sum = summary_of(&s);
    assert_true(sum.copies_first.has_interval && sum.copies_first.low == 0);
    assert_float_equal(sum.copies_first.high, 10 * 3.6889 / 3000, 1e-6);
    /* Many: each message is a sample. */
    sample_make(&s, 1000, (const uint64_t[]){500, 480, 520}, 10, 5, spread(0.5));
    sum = summary_of(&s);
    assert_int_equal(sum.copies_first.method, LAB_METHOD_MESSAGES);
    assert_float_equal(sum.copies_first.high - 5, 1.9608 * 5.0008 / sqrt(3000), 1e-4);
    /* Nearly all: those that had none are rare. */
    sample_make(&s, 1000, (const uint64_t[]){999, 999, 999}, 10, 9.99, spread(0.999));
    sum = summary_of(&s);
    assert_int_equal(sum.copies_first.method, LAB_METHOD_RARE);
    assert_float_equal(sum.copies_first.low, 10 - 10 * 8.7673 / 3000, 1e-6);
    assert_float_equal(sum.copies_first.high, 10 - 10 * 0.6187 / 3000, 1e-6);
    /* No chance, or messages that wait for each other: only seeds are samples. */
    sample_make(&s, 1000, (const uint64_t[]){0, 3, 0}, 10, 0, 0);
    assert_int_equal(summary_of(&s).copies_first.method, LAB_METHOD_SEEDS);
    sample_make(&s, 1000, (const uint64_t[]){0, 3, 0}, 10, 0.01, spread(0.001));
    s.runs[0].series = (struct lab_series){.width_ns = NS_PER_S, .count = 1, .at = &s.bucket};
    sum = summary_of(&s);
    assert_int_equal(sum.copies_first.method, LAB_METHOD_SEEDS);
    assert_float_equal(sum.copies_first.high, 0.01 * (1 + 4.3027), 1e-4);
}

/* What contradicts the theory is what rare events cannot explain, and nothing else. */
static void test_deviations(void **state)
{
    static const struct {
        uint64_t hits[3];
        double share; /* by theory, of 3000 messages */
        bool is_off;
    } rows[] = {
        {{0, 0, 0}, 0.001, false},  /* 3 were expected */
        {{0, 0, 0}, 0.003, false},  /* 9 */
        {{0, 0, 0}, 0.005, true},   /* 15: the chance of none is 3e-7 */
        {{1, 2, 1}, 0.0001, false}, /* 4 where 0.3 were expected: 3e-4 */
        {{2, 3, 2}, 0.0001, true},  /* 7: 4e-8 */
        {{990, 985, 990}, 0.99, false},  {{1000, 1000, 999}, 0.9999, false},
        {{998, 997, 998}, 0.9999, true}, {{500, 510, 490}, 0.5, false},
        {{550, 560, 570}, 0.5, true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct sample s;
        sample_make(&s, 1000, rows[i].hits, 10, 10 * rows[i].share, spread(rows[i].share));
        struct lab_summary sum = summary_of(&s);
        if (sum.is_off_first != rows[i].is_off)
            fail_msg("row %zu: %g stands for %g to %g; by theory %g", i, sum.copies_first.mean,
                     sum.sure_first.low, sum.sure_first.high, 10 * rows[i].share);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),     cmocka_unit_test(test_counts),
        cmocka_unit_test(test_weighted),   cmocka_unit_test(test_means),
        cmocka_unit_test(test_coverage),   cmocka_unit_test(test_methods),
        cmocka_unit_test(test_deviations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
