/* SPDX-License-Identifier: Apache-2.0 */
/* live_test.c - the words of the live view, at every width. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "load/live_frame.h"
#include <stdio.h>
#include <string.h>

static const struct live_now measuring = {
    .stage = LIVE_MEASURING,
    .elapsed_s = 25.4,
    .share = 0.42333,
    .left_s = 34.6,
    .rate = 1998.4,
    .rate_planned = 2000,
    .in_flight = 12,
    .connection_count = 64,
    .done = 50000,
    .not_accepted = 7,
    .fault_count = 3,
    .has_latency = true,
    .p50_ns = 412345,
    .p99_ns = 1204000,
};

static void a_terminal_of_usual_width(void **state)
{
    (void)state;
    struct live_frame f;
    live_frame_make(&f, &measuring, 80);
    assert_string_equal(f.lines[0], "[======================>                              ]"
                                    "   42 %  0:25, 0:35 left");
    assert_string_equal(f.lines[1], "1 998/s of 2 000   p50 412 us  p99 1.20 ms   3 errors"
                                    "   12 in flight");
    live_frame_make(&f, &measuring, 0); /* not known */
    assert_true(strlen(f.lines[0]) < 80);
    live_frame_make(&f, &measuring, 140);
    assert_non_null(strstr(f.lines[1], "7 not accepted   50 000 done   64 connections"));
}

static void narrow_ones_keep_what_matters(void **state)
{
    (void)state;
    struct live_frame f;
    live_frame_make(&f, &measuring, 40);
    assert_string_equal(f.lines[0], "[=====>       ]   42 %  0:25, 0:35 left");
    assert_string_equal(f.lines[1], "1 998/s   p99 1.20 ms   3 errors");
    live_frame_make(&f, &measuring, 24); /* no room for a bar */
    assert_string_equal(f.lines[0], " 42 %  0:25, 0:35 left");
    assert_string_equal(f.lines[1], "1 998/s   p99 1.20 ms");
}

static const struct live_now extremes[] = {
    {.stage = LIVE_CONNECTING, .share = -1, .left_s = -1, .connection_count = UINT32_MAX},
    {.stage = LIVE_WARMING_UP, .share = 0, .left_s = 1e9, .elapsed_s = 1e12},
    {.stage = LIVE_FINISHING, .share = 7, .left_s = 0, .in_flight = UINT32_MAX, .rate = 1e300},
    {.stage = LIVE_MEASURING,
     .share = 1,
     .left_s = 1e300,
     .elapsed_s = 1e300,
     .rate = 1e-300,
     .rate_planned = 1e300,
     .in_flight = UINT32_MAX,
     .connection_count = UINT32_MAX,
     .done = UINT64_MAX,
     .not_accepted = UINT64_MAX,
     .fault_count = UINT64_MAX,
     .has_latency = true,
     .p50_ns = UINT64_MAX,
     .p99_ns = UINT64_MAX},
};

static void assert_frame_fits(const struct live_now *now, uint32_t columns)
{
    struct live_frame f;
    memset(&f, 'x', sizeof(f));
    live_frame_make(&f, now, columns);
    for (size_t i = 0; i < LIVE_LINES; i++) {
        size_t len = strnlen(f.lines[i], sizeof(f.lines[i]));
        assert_true(len < (columns > 0 ? columns : 80) && len <= LIVE_COLUMNS_MAX);
        for (size_t k = 0; k < len; k++)
            assert_true(f.lines[i][k] >= ' ' && f.lines[i][k] <= '~');
    }
}

static void no_line_is_ever_too_long(void **state)
{
    (void)state;
    for (uint32_t columns = 0; columns < 300; columns++) {
        assert_frame_fits(&measuring, columns);
        for (size_t i = 0; i < sizeof(extremes) / sizeof(extremes[0]); i++)
            assert_frame_fits(&extremes[i], columns);
    }
}

static void stages_have_words(void **state)
{
    (void)state;
    struct live_frame f;
    struct live_now now = measuring;
    now.stage = LIVE_CONNECTING;
    live_frame_make(&f, &now, 80);
    assert_string_equal(f.lines[0], "0:25, connecting");
    assert_string_equal(f.lines[1], "64 connections   12 in flight");
    now.stage = LIVE_WARMING_UP;
    live_frame_make(&f, &now, 80);
    assert_non_null(strstr(f.lines[0], "42 %  0:25, 0:35 left, warming up"));
    now.stage = LIVE_FINISHING;
    now.share = 1.2;
    live_frame_make(&f, &now, 80);
    assert_non_null(strstr(f.lines[0], "=]  100 %  0:25, finishing"));
    assert_null(strstr(f.lines[0], "left"));
}

static void plain_lines_have_everything(void **state)
{
    (void)state;
    char line[400];
    live_frame_plain(line, sizeof(line), &measuring);
    assert_string_equal(line,
                        " 42 %  0:25, 0:35 left: 1 998/s, p50 412 us, p99 1.20 ms, 12 in flight, "
                        "64 connections, 50000 done, 7 not accepted, 3 errors");
    live_frame_plain(line, sizeof(line), &extremes[0]);
    assert_non_null(strstr(line, "0:00, connecting: 0/s, p50 -, p99 -"));
    for (size_t cap = 1; cap < 200; cap++) {
        memset(line, 'x', sizeof(line));
        live_frame_plain(line, cap, &extremes[3]);
        assert_true(strnlen(line, sizeof(line)) < cap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_of_usual_width),
        cmocka_unit_test(narrow_ones_keep_what_matters),
        cmocka_unit_test(no_line_is_ever_too_long),
        cmocka_unit_test(stages_have_words),
        cmocka_unit_test(plain_lines_have_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
