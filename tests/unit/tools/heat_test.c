/* SPDX-License-Identifier: Apache-2.0 */
/* heat_test.c - steps of colour, and where cells and labels of maps stand. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "load/heat.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void values_are_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "1"},
        {190, "190"},
        {0.354, "0.354"},
        {1.9, "1.90"},
        {84.63, "84.6"},
        {8.64e-5, "8.6e-5"},
        {0.0005, "0.001"},
        {999.96, "1000.0"},
        {1164, "1164"},
        {219600.4, "219600"},
        {1.5e6, "1.5e6"},
        {DBL_MAX, "1.8e308"},
        {-2.5, "-2.50"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_string_equal(heat_show(rows[i].value).text, rows[i].text);
}

static void steps_hold_their_values(void **state)
{
    (void)state;
    static const double values[] = {1e-300, 1e-7, 0.001, 0.5, 1,    2,   3,
                                    8,      9,    10,    190, 4000, 1e9, 1e300};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        for (size_t k = i; k < ARRAY_COUNT(values); k++) {
            struct heat_scale s;
            bool is_whole = values[i] >= 1;
            heat_scale_fit(&s, values[i], values[k], is_whole);
            assert_true(s.count >= 1 && s.count <= HEAT_STEPS);
            assert_true(s.bounds[s.count - 1] == values[k]);
            for (uint32_t b = 1; b < s.count; b++)
                assert_true(s.bounds[b] > s.bounds[b - 1]);
            assert_int_equal(heat_scale_step(&s, 0), 0);
            assert_int_equal(heat_scale_step(&s, -1), 0);
            assert_int_equal(heat_scale_step(&s, NAN), 0);
            assert_int_equal(heat_scale_step(&s, values[i]), 1);
            assert_int_equal(heat_scale_step(&s, values[k]), s.count);
            assert_int_equal(heat_scale_step(&s, INFINITY), s.count);
        }
    }
    struct heat_scale s;
    heat_scale_fit(&s, 1, 3, true);
    assert_true(s.is_exact && s.count == 3 && s.bounds[1] == 2);
    heat_scale_fit(&s, 1, 300, true);
    assert_false(s.is_exact);
    heat_scale_fit(&s, INFINITY, 0, true);
    assert_int_equal(s.count, 0);
    heat_scale_fit(&s, NAN, NAN, false);
    assert_int_equal(s.count, 0);
}

/* --- drawing ---------------------------------------------------------------------------------- */

static void hover(const void *context, uint32_t x, uint32_t y, char *to, size_t cap)
{
    snprintf(to, cap, "%s %u %u", (const char *)context, x, y);
}

static char *draw(const struct heat *h)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    heat_svg(h, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* strstr(), which sanitizers make walk to the end of @text at each call, and one is large. */
static const char *find(const char *text, const char *end, const char *word)
{
    return memmem(text, (size_t)(end - text), word, strlen(word));
}

static unsigned count_of(const char *text, const char *word)
{
    const char *end = text + strlen(text);
    unsigned count = 0;
    for (; (text = find(text, end, word)) != NULL; text++)
        count++;
    return count;
}

static double number_after(const char *at, const char *end, const char *name)
{
    const char *found = find(at, end, name);
    assert_non_null(found);
    char number[32];
    snprintf(number, sizeof(number), "%.31s", found + strlen(name));
    return strtod(number, NULL);
}

/* Every cell lies inside, and none lies on another one. */
static void check_cells(const char *svg, uint32_t columns, uint32_t rows)
{
    const char *end = svg + strlen(svg);
    double width = number_after(svg, end, " width=\"");
    double height = number_after(svg, end, " height=\"");
    double last_x = 0, last_y = 0;
    uint32_t seen = 0;
    for (const char *at = svg; (at = find(at, end, "<rect ")) != NULL; at++, seen++) {
        double x = number_after(at, end, " x=\""), y = number_after(at, end, " y=\"");
        double w = number_after(at, end, " width=\""), h = number_after(at, end, " height=\"");
        assert_true(w > 1 && h > 1 && x > 0 && y > 0);
        assert_true(x + w <= width && y + h <= height);
        if (seen % columns != 0)
            assert_true(x >= last_x && fabs(y - last_y) < 0.01);
        else if (seen > 0)
            assert_true(y > last_y);
        last_x = x + w - 0.2; /* as exactly as places are written */
        last_y = y;
    }
    assert_int_equal(seen, columns * rows);
}

static void labels_are_written_once(void **state)
{
    (void)state;
    /* two columns of words over each other, rows of one */
    static const char *const x[] = {"run",   "run",   "stop",  "stop",
                                    "reset", "total", "reset", "total"};
    static const char *const y[] = {"smtp", "<lmtp>", "prdr"};
    static const struct heat_cell cells[12] = {{.value = 1},
                                               {.value = 0},
                                               {.value = NAN},
                                               {.value = 190, .is_marked = true},
                                               {.value = 2, .is_off = true}};
    struct heat_scale scale;
    heat_scale_fit(&scale, 1, 190, true);
    struct heat h = {
        .id = "test",
        .title = "A <title>",
        .description = "and \"more\"",
        .x = {.count = 4, .level_count = 2, .names = {"vanished", "timer"}, .labels = x},
        .y = {.count = 3, .level_count = 1, .names = {"dialect"}, .labels = y},
        .cells = cells,
        .scale = &scale,
        .hover = hover,
        .context = "point <&>",
    };
    char *svg = draw(&h);
    assert_int_equal(count_of(svg, ">run<"), 1);
    assert_int_equal(count_of(svg, ">stop<"), 1);
    assert_int_equal(count_of(svg, ">reset<"), 2);
    assert_int_equal(count_of(svg, "&#60;lmtp&#62;"), 1);
    assert_int_equal(count_of(svg, "<lmtp>"), 0);
    assert_int_equal(count_of(svg, "<rect "), 11); /* one cell is not there */
    assert_int_equal(count_of(svg, "point &#60;&#38;&#62; 3 0"), 1);
    assert_int_equal(count_of(svg, "point &#60;&#38;&#62; 2 0"), 0);
    assert_non_null(strstr(svg, "class=\"h8\""));
    assert_non_null(strstr(svg, "class=\"k8\""));
    assert_int_equal(count_of(svg, " off\""), 1);
    assert_int_equal(count_of(svg, ">2 !<"), 1);
    assert_non_null(strstr(svg, "A &#60;title&#62;"));
    assert_non_null(strstr(svg, "and &#34;more&#34;"));
    free(svg);
}

/* As long as all kinds of cut with + between: they begin alike. */
static void long_labels_are_told_apart(void **state)
{
    (void)state;
    static const char *const words[] = {"hazard+after-replies", "hazard+after-replies+black-hole"};
    static const struct heat_cell cells[4] = {{.value = 1}, {.value = 2}, {.value = 1}};
    struct heat_scale scale;
    heat_scale_fit(&scale, 1, 2, true);
    struct heat h = {
        .id = "test",
        .title = "cuts",
        .description = "",
        .x = {.count = 2, .level_count = 1, .names = {"cut"}, .labels = words},
        .y = {.count = 2, .level_count = 1, .names = {"cut"}, .labels = words},
        .cells = cells,
        .scale = &scale,
    };
    char *svg = draw(&h);
    assert_int_equal(count_of(svg, ">hazard+after-replies<"), 2);
    assert_int_equal(count_of(svg, ">hazard+after-replies+black-hole<"), 2);
    assert_int_equal(count_of(svg, "&#8230;"), 0);
    check_cells(svg, 2, 2);
    free(svg);
}

static void any_size_fits(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 17, 100, 1000};
    static const char *words[1000];
    static struct heat_cell cells[1000 * 1000 / 50];
    struct heat_scale scale;
    heat_scale_fit(&scale, 1, 1e6, false);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        words[i] = i % 3 == 0 ? "lognormal:800ms,1.05 and more of it" : "\xC3\xA4\xC3\xB6\xC3\xBC";
    for (size_t i = 0; i < ARRAY_COUNT(cells); i++)
        cells[i].value = (double)i * (double)i;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        for (size_t k = 0; k < ARRAY_COUNT(sizes); k++) {
            struct heat h = {
                .id = "test",
                .title = "",
                .description = "",
                .x = {.count = sizes[i], .level_count = 1, .names = {"a"}, .labels = words},
                .y = {.count = sizes[k], .level_count = 1, .names = {"b"}, .labels = words},
                .cells = cells,
                .scale = &scale,
            };
            if ((size_t)sizes[i] * sizes[k] > ARRAY_COUNT(cells))
                continue;
            char *svg = draw(&h);
            check_cells(svg, sizes[i], sizes[k]);
            assert_null(strstr(svg, "nan"));
            free(svg);
        }
    }
    struct heat none = {.scale = &scale};
    char *svg = draw(&none);
    assert_string_equal(svg, "");
    free(svg);
}

static void legends_tell_the_steps(void **state)
{
    (void)state;
    struct heat_scale s;
    char *text = NULL;
    size_t len = 0;
    heat_scale_fit(&s, 1, 3, true);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    heat_legend(&s, "no try gets on", NULL, out);
    heat_scale_fit(&s, 0.5, 190, false);
    heat_legend(&s, NULL, "off & wrong", out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "</i>0</li><li><i class=\"h1\"></i>1</li>"));
    assert_non_null(strstr(text, "<i class=\"h8\"></i>3</li>"));
    assert_non_null(strstr(text, "&#8804;&#8201;190</li>"));
    assert_int_equal(count_of(text, "no try gets on"), 1);
    assert_int_equal(count_of(text, "off &#38; wrong"), 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_short),        cmocka_unit_test(steps_hold_their_values),
        cmocka_unit_test(labels_are_written_once), cmocka_unit_test(any_size_fits),
        cmocka_unit_test(legends_tell_the_steps),  cmocka_unit_test(long_labels_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
