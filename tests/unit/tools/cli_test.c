/* SPDX-License-Identifier: Apache-2.0 */
/* cli_test.c - command lines that are tables: words, values, what is wrong, the help. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

struct sample {
    bool is_on;
    const char *path;
    uint32_t count;
};

static bool set_count(struct cli *c, const char *value)
{
    struct sample *s = c->options;
    return cli_u32(c, value, 2, 5, &s->count);
}

static const struct cli_row rows[] = {
    {"on", NULL, NULL, "a switch", CLI_FLAG(struct sample, is_on)},
    {"path", "FILE", "123456789", "a string", CLI_TEXT(struct sample, path)},
    {"pat", "FILE", "1234567890", "another", CLI_TEXT(struct sample, path)},
    {"count", "N", NULL, NULL, set_count, 0},
};

static struct sample sample;
static char why[64];

static struct cli begin(void)
{
    sample = (struct sample){.count = 1};
    why[0] = '\0';
    return (struct cli){.options = &sample, .text = why, .text_cap = sizeof(why)};
}

static void words_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *word, *next; /* NULL: the line is over */
        enum cli_word kind;
        const char *name, *value; /* NULL: none */
        int taken;
    } cases[] = {
        {"plain", "x", CLI_PLAIN, NULL, "plain", 1},
        {"", "x", CLI_PLAIN, NULL, "", 1},
        {"--on", "x", CLI_OPTION, "on", "yes", 1},
        {"--on=", "x", CLI_VALUE_SURPLUS, "on", NULL, 1},
        {"--path", "--on", CLI_OPTION, "path", "--on", 2},
        {"--path=a=b", "x", CLI_OPTION, "path", "a=b", 1},
        {"--path=", "x", CLI_OPTION, "path", "", 1},
        {"--pat", "x", CLI_OPTION, "pat", "x", 2},
        {"--path", NULL, CLI_VALUE_MISSING, "path", NULL, 1},
        {"--pa", "x", CLI_UNKNOWN, NULL, NULL, 1},
        {"--paths", "x", CLI_UNKNOWN, NULL, NULL, 1},
        {"--", "x", CLI_UNKNOWN, NULL, NULL, 1},
        {"-", "x", CLI_UNKNOWN, NULL, NULL, 1},
        {"-on", "x", CLI_UNKNOWN, NULL, NULL, 1},
        {"--=x", "x", CLI_UNKNOWN, NULL, NULL, 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct cli c = begin();
        char *argv[] = {NULL, (char *)(uintptr_t)cases[i].word, (char *)(uintptr_t)cases[i].next};
        int at = 1;
        const char *value;
        enum cli_word kind =
            cli_next(&c, rows, ARRAY_COUNT(rows), cases[i].next != NULL ? 3 : 2, argv, &at, &value);
        if (kind != cases[i].kind || at != 1 + cases[i].taken)
            fail_msg("%s: %d, %d taken", cases[i].word, (int)kind, at - 1);
        if (cases[i].name != NULL)
            assert_string_equal(c.row->name, cases[i].name);
        if (kind == CLI_PLAIN || kind == CLI_OPTION)
            assert_string_equal(value, cases[i].value);
    }
}

static void values_are_kept_or_refused(void **state)
{
    (void)state;
    struct cli c = begin();
    const char *address = "unchanged";
    uint32_t idx = 7;
    static const char *const colors[] = {"red", "green"};
    c.row = &rows[0];
    assert_true(c.row->set(&c, "yes") && sample.is_on);
    c.row = &rows[1];
    assert_true(c.row->set(&c, "a/b"));
    assert_string_equal(sample.path, "a/b");
    c.row = &rows[3];
    static const char *const bad[] = {"1", "6", "", "x", "2x", "-2", "2.5", "4294967298"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char want[sizeof(why)];
        snprintf(want, sizeof(want), "--count %s: expected a number from 2 to 5", bad[i]);
        assert_false(c.row->set(&c, bad[i]));
        assert_string_equal(why, want);
    }
    assert_int_equal(sample.count, 1);
    assert_true(c.row->set(&c, "2") && sample.count == 2 && c.row->set(&c, "5"));
    assert_int_equal(sample.count, 5);
    assert_false(cli_address(&c, "abcd", 3, false, &address));
    assert_false(cli_address(&c, "", 3, false, &address));
    assert_false(cli_address(&c, "a>b", 3, false, &address));
    assert_string_equal(why, "--count a>b: expected an address without angle brackets");
    assert_string_equal(address, "unchanged");
    assert_true(cli_address(&c, "abc", 3, false, &address) &&
                cli_address(&c, "", 3, true, &address));
    assert_string_equal(address, "");
    assert_true(cli_hello_name(&c, "mx.example"));
    assert_false(cli_hello_name(&c, "a b"));
    assert_string_equal(why, "--count a b: expected a host name");
    assert_false(cli_one_of(&c, "re", colors, 2, "red or green", &idx));
    assert_int_equal(idx, 7);
    assert_string_equal(why, "--count re: expected red or green");
    assert_true(cli_one_of(&c, "green", colors, 2, "red or green", &idx));
    assert_int_equal(idx, 1);
    assert_false(cli_wrong(&c, "%0100d", 1)); /* cut to the memory there is */
    assert_int_equal(strlen(why), sizeof(why) - 1);
}

static void help_and_version_count_anywhere(void **state)
{
    (void)state;
    char *help[] = {NULL, (char *)(uintptr_t) "--path", (char *)(uintptr_t) "-h",
                    (char *)(uintptr_t) "--version"};
    assert_int_equal(cli_asked(2, help), CLI_NOTHING);
    assert_int_equal(cli_asked(4, help), CLI_HELP);
    help[2] = help[1];
    assert_int_equal(cli_asked(4, help), CLI_VERSION);
}

static void help_is_one_line_a_row(void **state)
{
    (void)state;
    char *said = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&said, &len);
    assert_non_null(out);
    cli_print_rows(out, rows, ARRAY_COUNT(rows), 12);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(said, "  --on         a switch\n"
                              "  --path FILE  a string [123456789]\n"
                              "  --pat FILE   another\n");
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_told_apart),
        cmocka_unit_test(values_are_kept_or_refused),
        cmocka_unit_test(help_and_version_count_anywhere),
        cmocka_unit_test(help_is_one_line_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
