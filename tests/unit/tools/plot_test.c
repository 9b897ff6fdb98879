/* SPDX-License-Identifier: Apache-2.0 */
/* plot_test.c - axes, ticks, texts, and that nothing is drawn outside of the view box. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "load/plot.h"
#include "load/series.h"
#include <ctype.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void units(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } times[] = {
        {0, "0"},
        {1, "1 ns"},
        {999, "999 ns"},
        {1000, "1.00 us"},
        {1234, "1.23 us"},
        {9994, "9.99 us"},
        {9996, "10.0 us"},
        {99960, "100 us"},
        {999499, "999 us"},
        {999500, "1.00 ms"},
        {999999999, "1.00 s"},
        {59900000000, "59.9 s"},
        {3599000000000, "3599 s"},
        {3600000000000, "1.00 h"},
        {36000000000000, "10.0 h"},
        {UINT64_MAX, "5124096 h"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(times); i++)
        assert_string_equal(show_ns(times[i].ns).text, times[i].text);
    static const struct {
        double bytes;
        const char *text;
    } sizes[] = {
        {0, "0 B"},
        {1, "1 B"},
        {1023, "1023 B"},
        {1024, "1.00 KiB"},
        {10240, "10.0 KiB"},
        {1047552, "1023 KiB"},
        {1048064, "1.00 MiB"},
        {0x1p64, "16384 PiB"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        assert_string_equal(show_bytes(sizes[i].bytes).text, sizes[i].text);
    assert_string_equal(show_count(0).text, "0");
    assert_string_equal(show_count(999).text, "999");
    assert_string_equal(show_count(1000).text, "1 000");
    assert_string_equal(show_count(UINT64_MAX).text, "18 446 744 073 709 551 615");
    assert_string_equal(show_rate(0).text, "0");
    assert_string_equal(show_rate(NAN).text, "0");
    assert_string_equal(show_rate(0.1234).text, "0.123");
    assert_string_equal(show_rate(1).text, "1.00");
    assert_string_equal(show_rate(45.67).text, "45.7");
    assert_string_equal(show_rate(99.96).text, "100");
    assert_string_equal(show_rate(12345.6).text, "12 346");
    assert_string_equal(show_rate(1e300).text, "1e+300");
    assert_string_equal(show_rate(INFINITY).text, "-");
    assert_string_equal(show_percent(0, 0).text, "-");
    assert_string_equal(show_percent(0, 9).text, "0 %");
    assert_string_equal(show_percent(9, 9).text, "100 %");
    assert_string_equal(show_percent(999999, 1000000).text, "99.99 %"); /* never all of it */
    assert_string_equal(show_percent(1, 1000000).text, "0.0001 %");
    assert_string_equal(show_percent(1, 3).text, "33.33 %");
    assert_string_equal(show_enhanced((const uint16_t[3]){0, 0, 0}).text, "");
    assert_string_equal(show_enhanced((const uint16_t[3]){4, 7, 1}).text, "4.7.1");
}

static void ticks_texts(void **state)
{
    (void)state;
    assert_string_equal(plot_show_time(0).text, "0:00");
    assert_string_equal(plot_show_time(65).text, "1:05");
    assert_string_equal(plot_show_time(36000).text, "10:00:00");
    assert_string_equal(plot_show_time(-5).text, "0:00");
    assert_string_equal(plot_show_rate(200000).text, "200 000");
    assert_string_equal(plot_show_rate(5e6).text, "5 M");
    assert_string_equal(plot_show_rate(5e17).text, "500 P");
    assert_string_equal(plot_show_rate(2e18).text, "2e+18");
    assert_string_equal(plot_show_nines(0).text, "0 %");
    assert_string_equal(plot_show_nines(log10(2)).text, "50 %");
    assert_string_equal(plot_show_nines(1).text, "90 %");
    assert_string_equal(plot_show_nines(2).text, "99 %");
    assert_string_equal(plot_show_nines(3).text, "99.9 %");
    assert_string_equal(plot_show_nines(6).text, "99.9999 %");
}

static void axes_hold_their_values(void **state)
{
    (void)state;
    static const double values[] = {0,   1e-9,  0.5, 1,    1.0001, 2,     7,       9.99, 10,
                                    100, 12345, 1e9, 1e18, 0x1p64, 1e300, DBL_MAX, -5};
    static const enum plot_scale scales[] = {PLOT_LINEAR, PLOT_LOG, PLOT_TIME};
    for (size_t s = 0; s < ARRAY_COUNT(scales); s++)
        for (size_t i = 0; i < ARRAY_COUNT(values); i++)
            for (size_t k = 0; k < ARRAY_COUNT(values); k++) {
                struct plot_axis a = {.scale = scales[s]};
                double low = values[i], high = values[k], ticks[PLOT_TICKS_MAX];
                if (scales[s] == PLOT_TIME && fabs(high) > 1e15)
                    continue;
                plot_axis_fit(&a, low, high);
                assert_true(a.min < a.max);
                if (low <= high && (scales[s] != PLOT_LOG || low > 0) && high <= 1e300) {
                    assert_true(a.min <= low + 1e-9 * fabs(low));
                    assert_true(a.max >= high - 1e-9 * (a.max - a.min));
                }
                uint32_t count = plot_ticks(&a, ticks);
                assert_true(count <= PLOT_TICKS_MAX);
                for (uint32_t t = 0; t < count; t++) {
                    assert_true(ticks[t] >= a.min - 1e-6 * fabs(a.min));
                    assert_true(ticks[t] <= a.max + 1e-6 * fabs(a.max));
                    assert_true(t == 0 || ticks[t] > ticks[t - 1]);
                }
            }
    struct plot_axis a = {.scale = PLOT_LOG};
    plot_axis_fit(&a, NAN, INFINITY);
    assert_true(a.min > 0 && a.max > a.min);
}

static void usual_ticks(void **state)
{
    (void)state;
    double ticks[PLOT_TICKS_MAX];
    struct plot_axis a = {.scale = PLOT_LINEAR};
    plot_axis_fit(&a, 0, 3900);
    assert_true(a.max == 4000);
    assert_int_equal(plot_ticks(&a, ticks), 5);
    assert_true(ticks[1] == 1000);
    a = (struct plot_axis){.scale = PLOT_TIME};
    plot_axis_fit(&a, 0, 65);
    assert_int_equal(plot_ticks(&a, ticks), 7);
    assert_true(ticks[6] == 60);
    a = (struct plot_axis){.scale = PLOT_TIME};
    plot_axis_fit(&a, 0, 36000);
    assert_int_equal(plot_ticks(&a, ticks), 11);
    assert_true(ticks[10] == 36000);
    a = (struct plot_axis){.scale = PLOT_NINES, .max = 3.5};
    assert_int_equal(plot_ticks(&a, ticks), 5);
    a = (struct plot_axis){.scale = PLOT_LOG2, .min = 1024, .max = 16384};
    assert_int_equal(plot_ticks(&a, ticks), 5);
    assert_true(ticks[4] == 16384);
}

/* --- drawing ---------------------------------------------------------------------------------- */

static char *draw(const struct plot *p)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    plot_svg(p, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Follows one path; every point must lie in the view box. Returns how many points it has. */
static unsigned walk_path(const char *d)
{
    double x = 0, y = 0;
    unsigned count = 0;
    while (*d != '"') {
        char verb = *d++;
        char *end;
        assert_non_null(strchr("MLHVhZ", verb));
        if (verb == 'Z')
            continue;
        double first = strtod(d, &end);
        assert_true(end > d && isfinite(first));
        d = end;
        if (verb == 'M' || verb == 'L') {
            assert_int_equal(*d, ',');
            x = first;
            y = strtod(d + 1, &end);
            assert_true(end > d + 1);
            d = end;
        } else if (verb == 'V') {
            y = first;
        } else {
            x = verb == 'h' ? x + first : first;
        }
        assert_true(x >= 0 && x <= PLOT_WIDTH && y >= 0 && y <= PLOT_HEIGHT);
        count++;
    }
    return count;
}

/* How many points the paths of class @class have together. */
static unsigned points_of(const char *svg, const char *class)
{
    char head[64];
    unsigned count = 0;
    snprintf(head, sizeof(head), "<path class=\"%s", class);
    for (const char *at = svg; (at = strstr(at, "<path ")) != NULL; at++) {
        const char *d = strstr(at, " d=\"");
        assert_non_null(d);
        unsigned points = walk_path(d + 4);
        if (strncmp(at, head, strlen(head)) == 0)
            count += points;
    }
    return count;
}

static struct plot plot_of(const double *x, const double *y, uint32_t count)
{
    return (struct plot){
        .id = "test",
        .title = "A <title>",
        .description = "and \"more\"",
        .x = {.scale = PLOT_TIME, .max = 10, .label = "time"},
        .y = {.scale = PLOT_LOG, .min = 1, .max = 1000, .label = "latency", .show = plot_show_ns},
        .lines = {{.name = "p50", .class = "c1", .x = x, .y = y, .count = count}},
        .line_count = 1,
    };
}

static void nothing_one_and_holes(void **state)
{
    (void)state;
    static const double x[] = {1, 2, 3, 4, 5}, holes[] = {NAN, 10, NAN, 20, 30},
                        none[] = {NAN, NAN};
    struct plot p = plot_of(x, none, 2);
    char *svg = draw(&p);
    assert_non_null(strstr(svg, "nothing was measured"));
    assert_int_equal(points_of(svg, "line"), 0);
    free(svg);
    p = plot_of(x, x, 0);
    svg = draw(&p);
    assert_non_null(strstr(svg, "nothing was measured"));
    free(svg);
    p = plot_of(x, x, 1); /* a dot: move and a stroke of no length; the legend has two points */
    svg = draw(&p);
    assert_int_equal(points_of(svg, "line"), 2 + 2);
    assert_non_null(strstr(svg, "h0.01"));
    free(svg);
    p = plot_of(x, holes, 5);
    svg = draw(&p);
    assert_int_equal(points_of(svg, "line"), 2 + 2 + 2);
    assert_non_null(strstr(svg, "A &#60;title&#62;"));
    assert_non_null(strstr(svg, "and &#34;more&#34;"));
    assert_null(strstr(svg, "nan"));
    free(svg);
}

static void wild_values_stay_inside(void **state)
{
    (void)state;
    static const double x[] = {-1e300, 0, 5, 1e300}, y[] = {0, -1, 1e300, DBL_MIN};
    struct plot p = plot_of(x, y, 4);
    struct plot_mark mark = {.class = "c1", .x = 1e300, .y = 0, .text = "far <away>"};
    p.marks = &mark;
    p.mark_count = 1;
    p.shade_until = 1e300;
    p.shade_label = "warm-up";
    for (int way = 0; way < 3; way++) {
        p.is_stacked = way == 1;
        p.is_bars = way == 2;
        p.lines[0].count = way == 2 ? 3 : 4;
        char *svg = draw(&p);
        assert_true(points_of(svg, way == 0 ? "line" : "fill") >= 4);
        assert_non_null(strstr(svg, "cx=\"944.0\""));
        assert_non_null(strstr(svg, "far &#60;away&#62;"));
        assert_null(strstr(svg, "inf"));
        free(svg);
    }
    p = plot_of(x + 2, x + 2, 1);
    p.is_stacked = true;
    char *svg = draw(&p);
    assert_true(points_of(svg, "fill") >= 4); /* one point is an area all the same */
    free(svg);
}

static void bands_follow_their_lines(void **state)
{
    (void)state;
    static const double x[] = {1, 2, 3, 4, 5}, y[] = {10, 20, NAN, 40, 50},
                        low[] = {5, 10, NAN, 20, 1e-9}, high[] = {20, 40, NAN, 80, 1e300};
    struct plot p = plot_of(x, y, 5);
    char *svg = draw(&p);
    assert_null(strstr(svg, "class=\"band"));
    free(svg);
    p.lines[0].low = low;
    p.lines[0].high = high;
    svg = draw(&p);
    /* Two parts, two points each, there and back; and the band lies behind the line. */
    assert_int_equal(points_of(svg, "band c1"), 4 + 4);
    assert_true(strstr(svg, "class=\"band c1") < strstr(svg, "class=\"line c1"));
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
    free(svg);
}

static void small_plots_and_legends_outside(void **state)
{
    (void)state;
    static const double x[] = {0, 36000}, y[] = {1, 500};
    struct plot p = plot_of(x, y, 2);
    p.lines[0].name = "<lmtp>";
    p.x.max = 36000;
    char *svg = draw(&p);
    assert_non_null(strstr(svg, "viewBox=\"0 0 960 340\""));
    assert_non_null(strstr(svg, ">1:00:00<"));
    assert_non_null(strstr(svg, "class=\"legend\""));
    free(svg);
    p.width = 300;
    p.height = 200;
    p.has_legend_outside = true;
    svg = draw(&p);
    assert_non_null(strstr(svg, "viewBox=\"0 0 300 200\""));
    assert_null(strstr(svg, ">1:00:00<")); /* no room for each tick */
    assert_null(strstr(svg, "class=\"legend\""));
    free(svg);
    size_t len = 0;
    FILE *out = open_memstream(&svg, &len);
    assert_non_null(out);
    plot_legend(&p, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(svg, "&#60;lmtp&#62;</li>"));
    free(svg);
}

/* --- points ----------------------------------------------------------------------------------- */

static void curves_end_at_the_maximum(void **state)
{
    (void)state;
    static uint64_t counts[HIST_FINE_COUNTS];
    static struct series_curve c;
    struct hist h;
    hist_init(&h, counts, HIST_FINE_SUB_BITS, HIST_TOP_BITS);
    series_curve_make(&c, &h);
    assert_int_equal(c.count, 0);
    hist_record(&h, 0);
    series_curve_make(&c, &h);
    assert_int_equal(c.count, 2);
    assert_true(c.x[0] == 0 && c.y[0] == 1); /* a log axis has no 0 */
    assert_true(c.x[1] == 1 && c.y[1] == 1 && c.x_max == 1);
    for (uint64_t i = 1; i <= 9999; i++)
        hist_record(&h, i * 1000);
    series_curve_make(&c, &h);
    assert_int_equal(c.count, SERIES_CURVE_POINTS - 1);
    assert_true(fabs(c.x_max - 4) < 1e-9 && c.x[c.count - 1] == c.x_max);
    assert_true(c.y[c.count - 1] == 9999000);
    for (uint32_t i = 1; i < c.count; i++) {
        assert_true(c.x[i] > c.x[i - 1] && c.y[i] >= c.y[i - 1]);
        if (c.x[i] <= 1 && c.x[i] > 0.99)
            assert_true(fabs(c.y[i] - 9e6) < 2e5); /* 90 % */
    }
}

static void bins_keep_the_worst(void **state)
{
    (void)state;
    static struct series_bins b;
    struct load_stats *s = NULL;
    assert_int_equal(load_stats_new(36001, &s), 0);
    series_bins_make(&b, s);
    assert_int_equal(b.count, 0);
    s->second_count = 36001;
    s->seconds[17000] = (struct load_second){.messages = 1,
                                             .latency_p50_ns = 5,
                                             .latency_p99_ns = 6,
                                             .latency_max_ns = 7,
                                             .unknown = 101};
    s->seconds[17001] = (struct load_second){
        .messages = 1, .latency_p50_ns = 4, .latency_p99_ns = 9, .latency_max_ns = 9};
    s->seconds[36000].rcpts_accepted = 8;
    series_bins_make(&b, s);
    assert_int_equal(b.width, 101);
    assert_int_equal(b.count, 357);
    uint32_t at = 17000 / 101;
    assert_true(b.p50_ns[at] == 5 && b.p99_ns[at] == 9 && b.max_ns[at] == 9 && b.unknown[at] == 1);
    assert_true(isnan(b.p50_ns[at + 1]));
    assert_true(b.accepted[356] == 8.0 / 45); /* the last bin is shorter */
    s->second_count = SERIES_BINS_MAX;
    series_bins_make(&b, s);
    assert_true(b.width == 1 && b.count == SERIES_BINS_MAX);
    load_stats_free(s);
}

static void sizes_are_all_counted(void **state)
{
    (void)state;
    static const uint64_t tops[] = {0, 1, 5, 4096, 100000, 1ull << 40, UINT64_MAX};
    static uint64_t counts[HIST_FINE_COUNTS];
    struct series_sizes z;
    struct hist h;
    for (size_t i = 0; i < ARRAY_COUNT(tops); i++)
        for (size_t k = 0; k <= i; k++) {
            hist_init(&h, counts, HIST_FINE_SUB_BITS, HIST_TOP_BITS);
            hist_record_many(&h, tops[i], 3);
            hist_record(&h, tops[k]);
            series_sizes_make(&z, &h);
            uint64_t total = 0;
            assert_true(z.count >= 1 && z.count <= SERIES_SIZES_MAX + 1);
            for (uint32_t bin = 0; bin < z.count; bin++) {
                assert_true(z.low[bin] < z.low[bin + 1]);
                total += z.messages[bin];
            }
            assert_int_equal(total, 4);
            assert_true(z.messages[0] > 0 && z.low[0] <= (double)u64_max(tops[k], 1) * (1 + 1e-9));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units),
        cmocka_unit_test(ticks_texts),
        cmocka_unit_test(axes_hold_their_values),
        cmocka_unit_test(usual_ticks),
        cmocka_unit_test(nothing_one_and_holes),
        cmocka_unit_test(wild_values_stay_inside),
        cmocka_unit_test(bands_follow_their_lines),
        cmocka_unit_test(small_plots_and_legends_outside),
        cmocka_unit_test(curves_end_at_the_maximum),
        cmocka_unit_test(bins_keep_the_worst),
        cmocka_unit_test(sizes_are_all_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
