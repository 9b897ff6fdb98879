/* SPDX-License-Identifier: Apache-2.0 */
/* delay_test.c - durations of work: constant, uniform, exponential; limits, repeatability. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "policy/delay.h"

#define COUNT 20000

static double mean_of(const struct delay *d, uint64_t seed, clock_ns *ret_low, clock_ns *ret_high)
{
    struct rng rng;
    double sum = 0;
    rng_init(&rng, seed);
    *ret_low = CLOCK_NEVER;
    *ret_high = 0;
    for (int i = 0; i < COUNT; i++) {
        clock_ns t = delay_sample(d, &rng);
        *ret_low = u64_min(*ret_low, t);
        *ret_high = u64_max(*ret_high, t);
        sum += (double)t;
    }
    return sum / COUNT;
}

static void shapes(void **state)
{
    (void)state;
    const struct delay none = {.kind = DELAY_NONE};
    const struct delay constant = {.kind = DELAY_CONSTANT, .low = 30 * NS_PER_S};
    const struct delay uniform = {DELAY_UNIFORM, 10 * NS_PER_S, 50 * NS_PER_S};
    const struct delay exponential = {.kind = DELAY_EXP, .low = 30 * NS_PER_S};
    clock_ns low, high;
    assert_true(mean_of(&none, 1, &low, &high) == 0);
    (void)mean_of(&constant, 1, &low, &high);
    assert_true(low == 30 * NS_PER_S && high == low);
    double mean = mean_of(&uniform, 1, &low, &high) / (double)NS_PER_S;
    assert_true(low >= 10 * NS_PER_S && low < 11 * NS_PER_S);
    assert_true(high <= 50 * NS_PER_S && high > 49 * NS_PER_S);
    assert_true(mean > 29.5 && mean < 30.5);
    mean = mean_of(&exponential, 1, &low, &high) / (double)NS_PER_S;
    assert_true(mean > 29 && mean < 31);
    assert_true(low < NS_PER_S / 10 && high > 200 * NS_PER_S);
}

/* The share below the mean is 1 - 1/e, below half of it 1 - 1/sqrt(e). */
static void exponential_is_exponential(void **state)
{
    (void)state;
    const struct delay d = {.kind = DELAY_EXP, .low = 1000000};
    struct rng rng;
    int below_half = 0, below_mean = 0;
    rng_init(&rng, 7);
    for (int i = 0; i < COUNT; i++) {
        clock_ns t = delay_sample(&d, &rng);
        below_half += t < 500000;
        below_mean += t < 1000000;
    }
    assert_in_range(below_mean, COUNT * 62 / 100, COUNT * 65 / 100);
    assert_in_range(below_half, COUNT * 38 / 100, COUNT * 41 / 100);
}

static void long_ones_are_cut(void **state)
{
    (void)state;
    const struct delay d = {.kind = DELAY_EXP, .low = DELAY_NS_MAX};
    clock_ns low, high;
    (void)mean_of(&d, 3, &low, &high);
    assert_true(high == DELAY_NS_MAX);
}

static void equal_seeds_give_equal_times(void **state)
{
    (void)state;
    const struct delay d = {.kind = DELAY_EXP, .low = NS_PER_S};
    struct rng a, b;
    rng_init(&a, 42);
    rng_init(&b, 42);
    for (int i = 0; i < 100; i++)
        assert_true(delay_sample(&d, &a) == delay_sample(&d, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(exponential_is_exponential),
        cmocka_unit_test(long_ones_are_cut),
        cmocka_unit_test(equal_seeds_give_equal_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
