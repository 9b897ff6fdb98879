/* SPDX-License-Identifier: Apache-2.0 */
/* compare_test.c - two runs against each other: changes, differences, text and page. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "load/compare.h"
#include "samplerun.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void changes(void **state)
{
    (void)state;
    assert_string_equal(compare_change(100, 112.34).text, "+12.3 %");
    assert_string_equal(compare_change(100, 50).text, "-50.0 %");
    assert_string_equal(compare_change(100, 100).text, "+0.0 %");
    assert_string_equal(compare_change(100, 2500).text, "x 25");
    assert_string_equal(compare_change(1000, 12).text, "x 0.012");
    assert_string_equal(compare_change(100, 0).text, "-100.0 %");
    assert_string_equal(compare_change(0, 5).text, "-");
    assert_string_equal(compare_change(5, NAN).text, "-");
    assert_string_equal(compare_change(NAN, 5).text, "-");
}

static void rows_say_what_is_better(void **state)
{
    (void)state;
    struct load_report *a = sample_report(SAMPLE_OPEN), *b = sample_report(SAMPLE_CLOSED);
    struct compare_row rows[COMPARE_RATES_MAX];
    assert_int_equal(compare_rates(a, b, rows), COMPARE_RATES_MAX);
    assert_string_equal(rows[0].name, "messages accepted /s");
    assert_true(rows[0].values[0] == 2000 && rows[0].values[1] == 3100 && rows[0].better == 1);
    assert_true(rows[6].better == -1); /* timeouts */
    report_free(a);
    report_free(b);
}

static void setups_are_compared(void **state)
{
    (void)state;
    struct load_report *a = sample_report(SAMPLE_EMPTY), *b = sample_report(SAMPLE_EMPTY);
    struct compare_differences d;
    compare_setups(a, b, &d);
    assert_int_equal(d.count, 0);
    b->cpu_count = 9;
    snprintf(b->kernel, sizeof(b->kernel), "another");
    snprintf(b->options[0].value, sizeof(b->options[0].value), "3000");
    b->options[1].name = "--new";
    compare_setups(a, b, &d);
    assert_int_equal(d.count, 5);
    assert_string_equal(d.at[0].name, "processors");
    assert_string_equal(d.at[0].b, "9");
    assert_string_equal(d.at[1].name, "kernel");
    assert_string_equal(d.at[2].name, "--rate");
    assert_string_equal(d.at[3].name, "--duration");
    assert_string_equal(d.at[3].b, "(not given)");
    assert_string_equal(d.at[4].name, "--new");
    assert_string_equal(d.at[4].a, "(not given)");
    report_free(a);
    report_free(b);
}

static void setups_that_share_nothing_fit(void **state)
{
    (void)state;
    static char names[2][REPORT_PAIRS_MAX][8];
    struct load_report *runs[2];
    struct compare_differences d;
    for (size_t i = 0; i < 2; i++) {
        runs[i] = sample_report(i == 0 ? SAMPLE_EMPTY : SAMPLE_HOSTILE);
        runs[i]->cpu_count = (uint32_t)i;
        runs[i]->is_open_loop = i == 0;
        runs[i]->option_count = REPORT_PAIRS_MAX;
        for (uint32_t k = 0; k < REPORT_PAIRS_MAX; k++) {
            snprintf(names[i][k], sizeof(names[i][k]), "%c%u", (char)('a' + i), k);
            runs[i]->options[k].name = names[i][k];
        }
    }
    compare_setups(runs[0], runs[1], &d);
    assert_true(d.count > 2 * REPORT_PAIRS_MAX && d.count <= COMPARE_DIFFERENCES_MAX);
    report_free(runs[0]);
    report_free(runs[1]);
}

static char *read_whole(const char *path)
{
    char *text = calloc(1, 4 * MIB);
    FILE *in = fopen(path, "re");
    assert_non_null(text);
    assert_non_null(in);
    assert_true(fread(text, 1, 4 * MIB - 1, in) > 1000);
    fclose(in);
    return text;
}

static void assert_compared(const struct load_report *a, const struct load_report *b,
                            const char *path)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct compare_differences d;
    assert_non_null(out);
    assert_int_equal(report_compare(a, b, out, path), 0);
    fclose(out);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, " inf"));
    assert_non_null(strstr(text, "recipients accepted /s"));
    assert_true((strstr(text, "NOT A RESULT") != NULL) == (!a->is_result || !b->is_result));
    compare_setups(a, b, &d);
    assert_true((strstr(text, "The setups are the same.") != NULL) == (d.count == 0));
    free(text);
    text = read_whole(path);
    assert_null(strcasestr(text, "<script"));
    assert_null(strcasestr(text, "<img"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, " inf"));
    assert_non_null(strstr(text, "</html>"));
    free(text);
}

/* Text without what no number is, a page without what does not belong there. */
static void every_pair_can_be_compared(void **state)
{
    (void)state;
    struct load_report *runs[SAMPLE_KIND_COUNT];
    char path[] = "/tmp/postern-compare-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (uint32_t i = 0; i < SAMPLE_KIND_COUNT; i++)
        runs[i] = sample_report(i);
    for (uint32_t i = 0; i < SAMPLE_KIND_COUNT; i++)
        for (uint32_t k = 0; k < SAMPLE_KIND_COUNT; k++)
            assert_compared(runs[i], runs[k], path);
    for (uint32_t i = 0; i < SAMPLE_KIND_COUNT; i++)
        report_free(runs[i]);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes),
        cmocka_unit_test(rows_say_what_is_better),
        cmocka_unit_test(setups_are_compared),
        cmocka_unit_test(setups_that_share_nothing_fit),
        cmocka_unit_test(every_pair_can_be_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
