/* SPDX-License-Identifier: Apache-2.0 */
/* civil_test.c - dates against the C library over the whole range, and both printed forms. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/civil.h"
#include "base/rng.h"
#include <stdio.h>
#include <time.h>

#define LAST ((uint64_t)253402300799) /* 9999-12-31T23:59:59 */

static void check(uint64_t seconds)
{
    static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char text[64], want[64];
    struct tm tm;
    time_t t = (time_t)seconds;
    assert_non_null(gmtime_r(&t, &tm));
    struct civil c = civil_from_unix(seconds);
    struct buf b = buf_over(text, sizeof(text));
    snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    civil_put_rfc3339(&b, &c);
    if (!slice_eq(buf_slice(&b), slice_str(want)))
        fail_msg("%llu: %.*s, not %s", (unsigned long long)seconds, (int)b.len, text, want);
    b.len = 0;
    snprintf(want, sizeof(want), "%s, %d %s %04d %02d:%02d:%02d +0000", weekdays[tm.tm_wday],
             tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    civil_put_rfc5322(&b, &c);
    if (!slice_eq(buf_slice(&b), slice_str(want)))
        fail_msg("%llu: %.*s, not %s", (unsigned long long)seconds, (int)b.len, text, want);
}

static void test_every_day_of_four_centuries(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 146097; day++)
        check(day * 86400 + day % 86400);
}

static void test_edges(void **state)
{
    (void)state;
    static const uint64_t edges[] = {0,          86399,      86400,      951782399,
                                     951868800,  4107542399, 4107542400, 2147483647,
                                     2147483648, 4294967296, LAST - 1,   LAST};
    for (size_t i = 0; i < ARRAY_COUNT(edges); i++)
        check(edges[i]);
}

static void test_random(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1);
    for (int i = 0; i < 100000; i++)
        check(rng_below(&r, LAST + 1));
}

static void test_beyond(void **state)
{
    (void)state;
    struct civil last = civil_from_unix(LAST), beyond = civil_from_unix(LAST + 1);
    assert_memory_equal(&last, &beyond, sizeof(last));
    beyond = civil_from_unix(UINT64_MAX);
    assert_memory_equal(&last, &beyond, sizeof(last));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day_of_four_centuries),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
