/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_text_test.c - what strangers sent is harmless on a terminal; times, patterns, options. */
#include "ctl.h"
#include "ctl_text.h"
#include "base/assert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static char *said;
static size_t said_len;

static FILE *say_begin(void)
{
    free(said);
    FILE *f = open_memstream(&said, &said_len);
    assert_non_null(f);
    return f;
}

static void text_is_escaped(void **state)
{
    (void)state;
    static const struct {
        struct slice in;
        const char *line, *word, *content, *json;
    } rows[] = {
        {SLICE_INIT("plain@example.org"), "plain@example.org", "plain@example.org",
         "plain@example.org", "\"plain@example.org\""},
        {SLICE_INIT("a b,c\\"), "a b,c\\\\", "a\\x20b\\x2cc\\\\", "a b,c\\", "\"a b,c\\\\\""},
        {SLICE_INIT("\x1b[31m\x07\x7f\t\"\r\n"), "\\x1b[31m\\x07\\x7f\\x09\"\\x0d\\x0a",
         "\\x1b[31m\\x07\\x7f\\x09\"\\x0d\\x0a", "\\x1b[31m\\x07\\x7f\t\"\\x0d\\x0a",
         "\"\\u001b[31m\\u0007\\u007f\\u0009\\\"\\u000d\\u000a\""},
        {SLICE_INIT("nul\0x"), "nul\\x00x", "nul\\x00x", "nul\\x00x", "\"nul\\u0000x\""},
        /* UTF-8 of two, three and four bytes passes. */
        {SLICE_INIT("m\xc3\xbcl \xe2\x82\xac \xf0\x9f\x98\x80"),
         "m\xc3\xbcl \xe2\x82\xac \xf0\x9f\x98\x80",
         "m\xc3\xbcl\\x20\xe2\x82\xac\\x20\xf0\x9f\x98\x80",
         "m\xc3\xbcl \xe2\x82\xac \xf0\x9f\x98\x80",
         "\"m\xc3\xbcl \xe2\x82\xac \xf0\x9f\x98\x80\""},
        /* CSI as C1; right-to-left override; zero width; a tag character. */
        {SLICE_INIT("\xc2\x9b\xe2\x80\xae\xe2\x80\x8b\xf3\xa0\x81\x81"),
         "\\xc2\\x9b\\xe2\\x80\\xae\\xe2\\x80\\x8b\\xf3\\xa0\\x81\\x81",
         "\\xc2\\x9b\\xe2\\x80\\xae\\xe2\\x80\\x8b\\xf3\\xa0\\x81\\x81",
         "\\xc2\\x9b\\xe2\\x80\\xae\\xe2\\x80\\x8b\\xf3\\xa0\\x81\\x81",
         "\"\\u009b\\u202e\\u200b\\udb40\\udc41\""},
        /* No UTF-8: lone bytes, overlong, surrogate, above U+10FFFF, cut off. */
        {SLICE_INIT("\x9b\xff\xc0\x9b"), "\\x9b\\xff\\xc0\\x9b", "\\x9b\\xff\\xc0\\x9b",
         "\\x9b\\xff\\xc0\\x9b", "\"\\u009b\\u00ff\\u00c0\\u009b\""},
        {SLICE_INIT("\xe0\x82\x9b\xed\xa0\x80"), "\\xe0\\x82\\x9b\\xed\\xa0\\x80",
         "\\xe0\\x82\\x9b\\xed\\xa0\\x80", "\\xe0\\x82\\x9b\\xed\\xa0\\x80",
         "\"\\u00e0\\u0082\\u009b\\u00ed\\u00a0\\u0080\""},
        {SLICE_INIT("\xf4\x90\x80\x80\xc3"), "\\xf4\\x90\\x80\\x80\\xc3",
         "\\xf4\\x90\\x80\\x80\\xc3", "\\xf4\\x90\\x80\\x80\\xc3",
         "\"\\u00f4\\u0090\\u0080\\u0080\\u00c3\""},
        {SLICE_INIT(""), "", "", "", "\"\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *const want[] = {rows[i].line, rows[i].word, rows[i].content};
        for (int style = 0; style < 3; style++) {
            FILE *f = say_begin();
            ctl_put_text(f, rows[i].in, (enum ctl_text_style)style);
            fclose(f);
            assert_string_equal(said, want[style]);
        }
        FILE *f = say_begin();
        ctl_put_json(f, rows[i].in);
        fclose(f);
        assert_string_equal(said, rows[i].json);
    }
}

static void field_is_unfolded(void **state)
{
    (void)state;
    FILE *f = say_begin();
    ctl_put_field(f, SLICE_LIT("Received: from a\r\n\tby b;\r\n  Fri\r\n"));
    fputc('|', f);
    ctl_put_field(f, SLICE_LIT("x\ry\nz"));
    fputc('|', f);
    ctl_put_field(f, SLICE_EMPTY);
    fclose(f);
    assert_string_equal(said, "Received: from a by b; Fri|x\\x0dy\\x0az|");
}

static void content_is_the_same_at_any_split(void **state)
{
    (void)state;
    static const char in[] = "a\r\nb\rc\nd\r\r\n\xf0\x9f\x98\x80\xe2\x82\r\n\xc3\xbc\x1b\xf0\x9f\r";
    static const char want[] = "a\nb\\x0dc\nd\\x0d\n\xf0\x9f\x98\x80\\xe2\\x82\n"
                               "\xc3\xbc\\x1b\\xf0\\x9f\\x0d\n";
    struct slice all = slice_of(in, sizeof(in) - 1);
    for (size_t first = 0; first <= all.len; first++) {
        for (size_t step = 1; step <= all.len; step++) {
            FILE *f = say_begin();
            struct ctl_content c = {.out = f};
            ctl_content_put(&c, slice_first(all, first));
            for (size_t at = first; at < all.len; at += step)
                ctl_content_put(&c, slice_first(slice_from(all, at), step));
            ctl_content_end(&c);
            fclose(f);
            assert_string_equal(said, want);
        }
    }
    FILE *f = say_begin();
    struct ctl_content c = {.out = f};
    ctl_content_end(&c); /* nothing at all makes no line */
    ctl_content_put(&c, SLICE_LIT("x\r\n"));
    ctl_content_end(&c);
    fclose(f);
    assert_string_equal(said, "x\n");
}

static void times(void **state)
{
    (void)state;
    static const struct {
        const char *text, *again; /* NULL: no time */
    } rows[] = {
        {"1970-01-01", "1970-01-01T00:00:00.000000Z"},
        {"2027-01-15T08:00", "2027-01-15T08:00:00.000000Z"},
        {"2028-02-29T23:59:59Z", "2028-02-29T23:59:59.000000Z"},
        {"2000-03-01", "2000-03-01T00:00:00.000000Z"},
        {"9999-12-31T23:59", "9999-12-31T23:59:00.000000Z"},
        {"2027-02-29", NULL},
        {"2027-13-01", NULL},
        {"2027-00-01", NULL},
        {"2027-01-00", NULL},
        {"1969-12-31", NULL},
        {"2027-01-15T24:00", NULL},
        {"2027-01-15T08", NULL},
        {"2027-01-15 08:00", NULL},
        {"2027-01-15T08:00:00+01:00", NULL},
        {"yesterday", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        wall_us at = 0;
        assert_int_equal(ctl_time_parse(rows[i].text, &at), rows[i].again != NULL);
        if (rows[i].again == NULL)
            continue;
        FILE *f = say_begin();
        ctl_put_time(f, at, true);
        fclose(f);
        assert_string_equal(said, rows[i].again);
    }
    FILE *f = say_begin();
    ctl_put_time(f, (wall_us)1800000000 * 1000000 + 1234, false);
    ctl_put_time(f, (wall_us)1800000000 * 1000000 + 1234, true);
    fclose(f);
    assert_string_equal(said, "2027-01-15T08:00:00Z2027-01-15T08:00:00.001234Z");
}

static void wildcards(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"", "", true},         {"", "a", false},       {"*", "", true},
        {"*", "abc", true},     {"a*", "Abc", true},    {"*@X.org", "me@x.ORG", true},
        {"a*c", "abcbc", true}, {"a*c", "abcb", false}, {"a*b*c", "a1b2c", true},
        {"a**c", "ac", true},   {"*a*", "bbb", false},  {"[a]@x", "[a]@x", true},
        {"a?c", "abc", false},  {"abc", "abcd", false}, {"*ab", "aab", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(ctl_wildcard_match(slice_str(rows[i].pattern), slice_str(rows[i].text)),
                         rows[i].matches);
}

static void options(void **state)
{
    (void)state;
    bool is_flag = false;
    const char *value = NULL;
    const struct ctl_option known[] = {{"--flag", &is_flag, NULL}, {"--value", NULL, &value}};
    static const struct {
        const char *words[6];
        int count; /* -1: refused */
        const char *first, *value;
        bool is_flag;
        const char *said;
    } rows[] = {
        {{"a", "--flag", "b", "--value", "v"}, 2, "a", "v", true, ""},
        {{"--value=v=w"}, 0, NULL, "v=w", false, ""},
        {{"--value=", "-"}, 1, "-", "", false, ""},
        {{"--", "--flag"}, 1, "--flag", NULL, false, ""},
        {{"--value", "--flag"}, 0, NULL, "--flag", false, ""},
        {{"--value"}, -1, NULL, NULL, false, "posternctl: test: --value needs a value\n"},
        {{"--flag=1"}, -1, NULL, NULL, false, "posternctl: test: --flag takes no value\n"},
        {{"--fla\x1b"},
         -1,
         NULL,
         NULL,
         false,
         "posternctl: test: --fla\\x1b is not an option of this verb\n"},
        {{"-x"}, -1, NULL, NULL, false, "posternctl: test: -x is not an option of this verb\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *argv[6] = {0};
        int argc = 0;
        for (; argc < 6 && rows[i].words[argc] != NULL; argc++)
            argv[argc] = (char *)(uintptr_t)rows[i].words[argc];
        is_flag = false;
        value = NULL;
        FILE *f = say_begin();
        const struct ctl ctl = {f, f};
        int count = ctl_options_parse(&ctl, "test", known, ARRAY_COUNT(known), argc, argv);
        fclose(f);
        assert_int_equal(count, rows[i].count);
        assert_string_equal(said, rows[i].said);
        if (count < 0)
            continue;
        assert_int_equal(is_flag, rows[i].is_flag);
        if (rows[i].value != NULL)
            assert_string_equal(value, rows[i].value);
        if (rows[i].first != NULL)
            assert_string_equal(argv[0], rows[i].first);
    }
}

static void output_that_fails_is_a_failure(void **state)
{
    (void)state;
    FILE *full = fopen("/dev/full", "we");
    assert_non_null(full);
    FILE *f = say_begin();
    const struct ctl ctl = {full, f};
    fputs("text", full);
    assert_int_equal(ctl_finish(&ctl, EXIT_OK), EXIT_FAILED);
    fclose(f);
    fclose(full);
    assert_string_equal(said, "posternctl: output: No space left on device\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(field_is_unfolded),
        cmocka_unit_test(content_is_the_same_at_any_split),
        cmocka_unit_test(times),
        cmocka_unit_test(wildcards),
        cmocka_unit_test(options),
        cmocka_unit_test(output_that_fails_is_a_failure),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(said);
    return failed;
}
