/* SPDX-License-Identifier: Apache-2.0 */
/* lab_page_test.c - which points a picture shows, when a storm is over, and ladders. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "lab/axes.h"
#include "lab/ladder_svg.h"
#include "lab/result_series.h"
#include <stdlib.h>
#include <string.h>

#define VALUE(word, is_number, value)                                                              \
    {                                                                                              \
        .text = (word), .has_number = (is_number), .number = (value)                               \
    }

static struct lab_axis_value dialects[] = {VALUE("smtp", false, 0), VALUE("lmtp", false, 0),
                                           VALUE("prdr", false, 0)};
static struct lab_axis_value limits[] = {VALUE("30s", true, 30), VALUE("60s", true, 60),
                                         VALUE("300s", true, 300), VALUE("600s", true, 600)};
static struct lab_axis_value timers[] = {VALUE("reset", false, 0), VALUE("total", false, 0)};
static struct lab_axis_value tries[] = {VALUE("1", true, 1), VALUE("5", true, 5)};

static const struct lab_result_experiment sample = {
    .axis_count = 4,
    .axes = {{.name = "client.tries", .count = 2, .values = tries},
             {.name = "server.dialect", .count = 3, .values = dialects},
             {.name = "client.limit", .count = 4, .values = limits},
             {.name = "client.timer", .count = 2, .values = timers}},
    .point_count = 48,
};

static void combinations_are_points(void **state)
{
    (void)state;
    const struct lab_result_experiment *e = &sample;
    assert_int_equal(lab_axis_stride(e, 3), 1);
    assert_int_equal(lab_axis_stride(e, 2), 2);
    assert_int_equal(lab_axis_stride(e, 1), 8);
    assert_int_equal(lab_axis_stride(e, 0), 24);
    assert_int_equal(lab_axis_numeric(e, -1), 2); /* two numbers are words */
    assert_int_equal(lab_axis_numeric(e, 2), -1);
    assert_int_equal(lab_axis_lines(e, 2), 1);
    struct lab_axes split = lab_axes_others(e, 2, 1);
    assert_int_equal(split.count, 2);
    assert_int_equal(lab_axes_product(e, &split), 4);
    char name[100];
    lab_axes_name(e, &split, 2, name, sizeof(name));
    assert_string_equal(name, "tries = 5, timer = reset");
    assert_int_equal(lab_axes_point(e, &split, 2), 24);
    assert_int_equal(lab_axes_point(e, &split, 3), 25);
    lab_axes_name(e, &split, 3, name, 9);
    assert_string_equal(name, "tries = ");
    /* Every point is in exactly one place of a picture. */
    struct lab_axes x = {.count = 1, .idx = {2}}, y = {.count = 1, .idx = {1}};
    bool seen[48] = {false};
    for (uint32_t s = 0; s < 4; s++)
        for (uint32_t i = 0; i < 4; i++)
            for (uint32_t k = 0; k < 3; k++) {
                uint32_t point = lab_axes_point(e, &split, s) + lab_axes_point(e, &x, i) +
                                 lab_axes_point(e, &y, k);
                assert_true(point < 48 && !seen[point]);
                seen[point] = true;
            }
    struct lab_axes none = {.count = 0};
    assert_int_equal(lab_axes_product(e, &none), 1);
    assert_int_equal(lab_axes_point(e, &none, 0), 0);
}

static void storms_end(void **state)
{
    (void)state;
    static struct lab_bucket buckets[] = {
        {.started = 5, .in_work = 3},
        {.started = 1, .in_work = 9, .retries = 2, .copies = 4},
        {.in_work = 9, .settled = 6},
        {.retries = 1, .copies = 1},
        {.in_work = 1},
        {.in_work = 0},
    };
    struct lab_series s = {.width_ns = 60 * NS_PER_S, .count = 6, .at = buckets};
    struct lab_storm storm = lab_storm_of(&s);
    assert_true(storm.arrivals_end_s == 120 && storm.last_retry_s == 240 && storm.settled_s == 180);
    assert_true(storm.retries == 3 && storm.copies == 5);
    assert_true(storm.idle_s == 300);
    assert_true(storm.in_work_max == 9 && storm.in_work_max_s == 60);
    s.count = 1;
    storm = lab_storm_of(&s);
    assert_true(storm.last_retry_s == 0 && storm.settled_s == 0);
}

static char *draw(const struct rung *rungs, uint32_t count, bool is_list)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    if (is_list)
        ladder_list(rungs, count, out);
    else
        ladder_svg(rungs, count, "test", "of <me>", out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;
    for (; (text = strstr(text, word)) != NULL; text++)
        count++;
    return count;
}

static void ladders(void **state)
{
    (void)state;
    static const struct rung rungs[] = {
        {.who = LADDER_CLIENT, .text = "connects"},
        {.who = LADDER_WIRE, .way = LADDER_TO_SERVER, .text = "RCPT TO:<a@b>"},
        {.who = LADDER_WIRE, .way = LADDER_TO_CLIENT, .text = "250 ok"},
        {.who = LADDER_WIRE, .way = LADDER_TO_CLIENT, .text = "250 ok"},
        {.at = 5 * NS_PER_S, .until = 5 * NS_PER_S, .who = LADDER_SERVER, .text = "commits"},
        {.at = 5 * NS_PER_S,
         .until = CLOCK_NEVER,
         .who = LADDER_WIRE,
         .way = LADDER_TO_CLIENT,
         .text = "250 stored"},
        {.at = 6 * NS_PER_S, .until = 6 * NS_PER_S, .who = LADDER_WIRE, .text = "connection cut"},
        {.at = 7 * NS_PER_S, .until = 7 * NS_PER_S, .who = LADDER_CLIENT, .text = "gives up"},
        {.at = 9 * NS_PER_S,
         .until = 9 * NS_PER_S,
         .attempt = 1,
         .who = LADDER_CLIENT,
         .text = "connects"},
    };
    char *svg = draw(rungs, ARRAY_COUNT(rungs), false);
    assert_int_equal(count_of(svg, ">try 1<"), 1);
    assert_int_equal(count_of(svg, ">try 2<"), 1);
    assert_int_equal(count_of(svg, "250 ok (2 times)"), 1);
    assert_int_equal(count_of(svg, "&#60;a@b&#62;"), 1);
    assert_int_equal(count_of(svg, "of &#60;me&#62;"), 1);
    assert_int_equal(count_of(svg, "class=\"arrow no\""), 1); /* what never arrived */
    assert_int_equal(count_of(svg, "class=\"cross\""), 2);    /* and the cut */
    assert_int_equal(count_of(svg, "class=\"dot bad\""), 1);
    assert_int_equal(count_of(svg, "class=\"dot good\""), 1);
    assert_int_equal(count_of(svg, ">7.000 s<"), 1);
    free(svg);
    svg = draw(rungs, ARRAY_COUNT(rungs), true);
    assert_int_equal(count_of(svg, "<tr><td>"), 8);
    assert_int_equal(count_of(svg, "250 stored (never arrived)"), 1);
    free(svg);
    svg = draw(rungs, 0, false);
    assert_null(strstr(svg, "<circle"));
    free(svg);
}

static void long_ladders_end(void **state)
{
    (void)state;
    struct rung *rungs = calloc(2 * LADDER_SVG_ROWS_MAX, sizeof(*rungs));
    assert_non_null(rungs);
    for (uint32_t i = 0; i < 2 * LADDER_SVG_ROWS_MAX; i++) {
        rungs[i].at = rungs[i].until = i * NS_PER_S;
        memset(rungs[i].text, '<', LADDER_TEXT_BYTES_MAX - 1);
    }
    char *svg = draw(rungs, 2 * LADDER_SVG_ROWS_MAX, false);
    assert_int_equal(count_of(svg, "<circle"), LADDER_SVG_ROWS_MAX);
    assert_null(strstr(svg, "<<"));
    free(svg);
    svg = draw(rungs, 2 * LADDER_SVG_ROWS_MAX, true);
    assert_int_equal(count_of(svg, "<tr><td>"), 2 * LADDER_SVG_ROWS_MAX);
    free(svg);
    free(rungs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(combinations_are_points),
        cmocka_unit_test(storms_end),
        cmocka_unit_test(ladders),
        cmocka_unit_test(long_ladders_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
