/* SPDX-License-Identifier: Apache-2.0 */
/* dist_test.c - numbers with suffixes, distributions by text, and that draws are like them. */
#include "load/dist.h"
#include "base/err.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum dist_unit unit;
        bool is_good;
        uint64_t value;
    } rows[] = {
        {"0", DIST_NUMBER, true, 0},
        {"17", DIST_NUMBER, true, 17},
        {"1k", DIST_NUMBER, false, 0},
        {"1.5", DIST_NUMBER, false, 0},
        {"4096", DIST_BYTES, true, 4096},
        {"4k", DIST_BYTES, true, 4096},
        {"4K", DIST_BYTES, true, 4096},
        {"1.5k", DIST_BYTES, true, 1536},
        {"2M", DIST_BYTES, true, 2 * MIB},
        {"3G", DIST_BYTES, true, 3 * GIB},
        {"3T", DIST_BYTES, false, 0},
        {"3kb", DIST_BYTES, false, 0},
        {"5", DIST_NS, true, 5 * NS_PER_S},
        {"5ns", DIST_NS, true, 5},
        {"5us", DIST_NS, true, 5000},
        {"5ms", DIST_NS, true, 5 * NS_PER_MS},
        {"0.25s", DIST_NS, true, 250 * NS_PER_MS},
        {"2m", DIST_NS, true, 120 * NS_PER_S},
        {"1h", DIST_NS, true, 3600 * NS_PER_S},
        {"1000000h", DIST_NS, true, 3600000000 * NS_PER_S},
        {"10000000h", DIST_NS, false, 0},
        {"", DIST_NS, false, 0},
        {"s", DIST_NS, false, 0},
        {".5", DIST_NS, false, 0},
        {"1.", DIST_NS, false, 0},
        {"-1", DIST_NUMBER, false, 0},
        {"+1", DIST_NUMBER, false, 0},
        {" 1", DIST_NUMBER, false, 0},
        {"1e3", DIST_NUMBER, false, 0},
        {"0x10", DIST_NUMBER, false, 0},
        {"99999999999999999999", DIST_NUMBER, false, 0},
        {"9007199254740991", DIST_NUMBER, true, 9007199254740991},
        {"1111111111111111111111111111111111111111111111111111111111111111111", DIST_NUMBER, false,
         0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t value = 99;
        bool is_good = dist_number_parse(slice_str(rows[i].text), rows[i].unit, &value);
        if (is_good != rows[i].is_good || (is_good && value != rows[i].value))
            fail_msg("%s: %d %llu", rows[i].text, is_good, (unsigned long long)value);
        if (!is_good)
            assert_true(value == 99);
    }
}

static void texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum dist_unit unit;
        bool is_good;
    } rows[] = {
        {"10", DIST_NUMBER, true},
        {"1001", DIST_NUMBER, false}, /* the range is 1 .. 1000 */
        {"0", DIST_NUMBER, false},
        {"uniform:1-1000", DIST_NUMBER, true},
        {"uniform:5-5", DIST_NUMBER, true},
        {"uniform:6-5", DIST_NUMBER, false},
        {"uniform:0-5", DIST_NUMBER, false},
        {"uniform:1-1001", DIST_NUMBER, false},
        {"uniform:5", DIST_NUMBER, false},
        {"exp:2.5", DIST_NUMBER, true},
        {"exp:", DIST_NUMBER, false},
        {"lognormal:10,0.5", DIST_NUMBER, true},
        {"lognormal:0,0.5", DIST_NUMBER, false},
        {"lognormal:10", DIST_NUMBER, false},
        {"normal:10,2", DIST_NUMBER, true},
        {"normal:10,-2", DIST_NUMBER, false},
        {"Exp:2", DIST_NUMBER, false},
        {"pareto:2", DIST_NUMBER, false},
        {"", DIST_NUMBER, false},
        {"file:/nonexistent/sizes", DIST_NUMBER, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[256] = "";
        struct dist d = {.a = 42};
        int result = dist_parse(&d, rows[i].text, rows[i].unit, 1, 1000, text, sizeof(text));
        if ((result == 0) != rows[i].is_good)
            fail_msg("%s: %d %s", rows[i].text, result, text);
        if (result < 0)
            assert_true(text[0] != '\0' && d.a == 42 && d.kind == DIST_CONSTANT);
    }
}

#define DRAWS 100000

/* Mean and standard deviation of DRAWS draws; all of them in range. */
static void draw(const struct dist *d, uint64_t seed, double *ret_mean, double *ret_sd)
{
    struct rng rng;
    double sum = 0, squares = 0;
    rng_init(&rng, seed);
    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t x = dist_draw(d, &rng);
        assert_true(x >= d->low && x <= d->high);
        sum += (double)x;
        squares += (double)x * (double)x;
    }
    *ret_mean = sum / DRAWS;
    *ret_sd = sqrt(squares / DRAWS - *ret_mean * *ret_mean);
}

static void draws_are_like_it(void **state)
{
    (void)state;
    /* Expected by formula; the bounds are six standard errors and more. */
    static const struct {
        const char *text;
        uint64_t low, high;
        double mean, mean_bound, sd, sd_bound;
    } rows[] = {
        {"4k", 0, UINT64_MAX, 4096, 0, 0, 0},
        {"uniform:1000-3000", 0, UINT64_MAX, 2000, 12, 577.6, 6},
        {"exp:10000", 0, UINT64_MAX, 10000, 200, 10000, 400},
        {"normal:10000,500", 0, UINT64_MAX, 10000, 10, 500, 8},
        {"lognormal:10000,0.5", 0, UINT64_MAX, 11331.5, 130, 6039, 300},
        /* cut: exp at its mean: 1 - 1/e of it; sd = sqrt(1 - 2/e - 1/e^2) */
        {"exp:10000", 0, 10000, 6321.2, 70, 3592, 60},
        /* normal cut at 0 (half of it): 0.39894 sd; sd of that 0.58379 */
        {"normal:0,10000", 0, UINT64_MAX, 3989.4, 115, 5837.9, 115},
        {"lognormal:10000,1", 10000, UINT64_MAX, 18871.4, 500, 20120, 3000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[256];
        struct dist d;
        double mean, sd;
        assert_int_equal(
            dist_parse(&d, rows[i].text, DIST_BYTES, rows[i].low, rows[i].high, text, sizeof(text)),
            0);
        draw(&d, 7, &mean, &sd);
        if (fabs(mean - rows[i].mean) > rows[i].mean_bound ||
            fabs(sd - rows[i].sd) > rows[i].sd_bound)
            fail_msg("%s: mean %.1f, sd %.1f", rows[i].text, mean, sd);
        assert_true(fabs(dist_mean(&d) - rows[i].mean) <= 0.001 * rows[i].mean);
        dist_deinit(&d);
    }
}

static void uniform_reaches_both_ends(void **state)
{
    (void)state;
    char text[256];
    struct dist d;
    struct rng rng;
    uint32_t counts[4] = {0};
    rng_init(&rng, 1);
    assert_int_equal(dist_parse(&d, "uniform:0-3", DIST_NUMBER, 0, 9, text, sizeof(text)), 0);
    for (unsigned i = 0; i < 4000; i++)
        counts[dist_draw(&d, &rng)]++;
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(counts[i], 800, 1200);
    d = (struct dist){.kind = DIST_UNIFORM, .high = UINT64_MAX};
    assert_true(dist_draw(&d, &rng) != dist_draw(&d, &rng));
}

static char path[] = "/tmp/postern-dist-XXXXXX";

static int parse_file(const char *content, struct dist *d, char *text, size_t cap)
{
    char name[64];
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
    snprintf(name, sizeof(name), "file:%s", path);
    return dist_parse(d, name, DIST_BYTES, 1, 100 * KIB, text, cap);
}

static void empirical_file(void **state)
{
    (void)state;
    char text[256];
    struct dist d;
    struct rng rng;
    uint32_t counts[3] = {0};
    rng_init(&rng, 5);
    assert_int_equal(
        parse_file("# sizes\n2k 6\n1k\t3 # small\n\n 10k 1\n20k 0\n", &d, text, sizeof(text)), 0);
    assert_int_equal(d.value_count, 3);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t x = dist_draw(&d, &rng);
        assert_true(x == 1024 || x == 2048 || x == 10240);
        counts[x == 1024 ? 0 : (x == 2048 ? 1 : 2)]++;
    }
    assert_in_range(counts[0], 2700, 3300); /* 3000 +- 46 */
    assert_in_range(counts[1], 5700, 6300); /* 6000 +- 49 */
    assert_in_range(counts[2], 800, 1200);  /* 1000 +- 30 */
    assert_true(fabs(dist_mean(&d) - (0.3 * 1024 + 0.6 * 2048 + 0.1 * 10240)) < 1e-6);
    dist_deinit(&d);
    dist_deinit(&d);
    static const struct {
        const char *content;
        const char *says;
    } bad[] = {
        {"", "no values"},
        {"# nothing\n", "no values"},
        {"1k\nx\n", ":2:"},
        {"1k 1 1\n", ":1:"},
        {"1k -1\n", ":1:"},
        {"1k\n0\n", ":2: the value is out of range"},
        {"1k\n1k\n200k\n", ":3: the value is out of range"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(parse_file(bad[i].content, &d, text, sizeof(text)), -EINVAL);
        assert_non_null(strstr(text, bad[i].says));
    }
    /* What would never end, and what would never begin. */
    static const char *const devices[] = {"file:/dev/zero", "file:/tmp"};
    for (size_t i = 0; i < ARRAY_COUNT(devices); i++) {
        assert_int_equal(dist_parse(&d, devices[i], DIST_BYTES, 1, 100 * KIB, text, sizeof(text)),
                         -EINVAL);
        assert_non_null(strstr(text, "is not a plain file"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),           cmocka_unit_test(texts),
        cmocka_unit_test(draws_are_like_it), cmocka_unit_test(uniform_reaches_both_ends),
        cmocka_unit_test(empirical_file),
    };
    int fd = mkstemp(path);
    if (fd < 0)
        return 99;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
