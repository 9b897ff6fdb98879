/* SPDX-License-Identifier: Apache-2.0 */
/* rng_test.c - known sequences, bounds and uniformity. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/rng.h"
#include <string.h>

/* First outputs of xoshiro256** from the state {1, 2, 3, 4}. */
static void test_known_sequence(void **state)
{
    (void)state;
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240};
    struct rng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < ARRAY_COUNT(want); i++)
        assert_true(rng_next(&r) == want[i]);
}

/* splitmix64 of seed 0 begins like this. */
static void test_seeding(void **state)
{
    (void)state;
    static const uint64_t want[4] = {0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F,
                                     0xF88BB8A8724C81EC};
    struct rng a, b;
    rng_init(&a, 0);
    assert_memory_equal(a.s, want, sizeof(want));
    rng_init(&a, 12345);
    rng_init(&b, 12345);
    for (int i = 0; i < 100; i++)
        assert_true(rng_next(&a) == rng_next(&b));
    rng_init(&b, 12346);
    assert_true(rng_next(&a) != rng_next(&b));
}

static void test_below(void **state)
{
    (void)state;
    static const uint64_t bounds[] = {
        1, 2, 3, 7, 10, 1000, (uint64_t)1 << 63, ((uint64_t)1 << 63) + 1, UINT64_MAX};
    struct rng r;
    rng_init(&r, 1);
    for (size_t i = 0; i < ARRAY_COUNT(bounds); i++) {
        uint64_t above_half = 0;
        for (int k = 0; k < 10000; k++) {
            uint64_t x = rng_below(&r, bounds[i]);
            assert_true(x < bounds[i]);
            above_half += x >= bounds[i] / 2 + bounds[i] % 2;
        }
        if (bounds[i] >= 1000 || bounds[i] == 2 || bounds[i] == 10)
            assert_in_range(above_half, 4700, 5300); /* six standard deviations */
    }
    uint64_t counts[7] = {0};
    for (int k = 0; k < 70000; k++)
        counts[rng_below(&r, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(counts[i], 9400, 10600);
}

static void test_unit(void **state)
{
    (void)state;
    struct rng r;
    double sum = 0;
    rng_init(&r, 2);
    for (int i = 0; i < 10000; i++) {
        double x = rng_unit(&r);
        assert_true(x >= 0 && x < 1);
        sum += x;
    }
    assert_true(sum > 4800 && sum < 5200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_sequence),
        cmocka_unit_test(test_seeding),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
