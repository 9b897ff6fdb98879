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
    bool is_on, is_quick;
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
    CLI_LETTER("q"),
    {"quick", NULL, NULL, "a letter's", CLI_FLAG(struct sample, is_quick)},
    CLI_LETTER("f"),
    {"from", "FILE", NULL, "with a help that is long", CLI_TEXT(struct sample, path)},
};

static struct sample sample;
static char why[80];

static struct cli begin(void)
{
    sample = (struct sample){.count = 1};
    why[0] = '\0';
    return (struct cli){.options = &sample, .text = why, .text_cap = sizeof(why)};
}

/* "name value; " for each option, "value; " for a plain word; "stop" is refused. */
static char taken[128];

static bool take(struct cli *c, const char *value)
{
    size_t len = strlen(taken);
    snprintf(taken + len, sizeof(taken) - len, "%s%s%s; ", c->row != NULL ? c->row->name : "",
             c->row != NULL ? " " : "", value);
    return strcmp(value, "stop") != 0 || cli_wrong(c, "stopped");
}

static bool read_line(const char *const *words, size_t word_count)
{
    struct cli c = begin();
    char *argv[8] = {NULL};
    taken[0] = '\0';
    for (size_t i = 0; i < word_count; i++)
        argv[1 + i] = (char *)(uintptr_t)words[i];
    return cli_read(&c, rows, ARRAY_COUNT(rows), 1 + (int)word_count, argv, take);
}

static void words_are_told_apart(void **state)
{
    (void)state;
    static const char initial[] = "path 123456789; pat 1234567890; ";
    static const struct {
        const char *words[4];
        const char *taken;
        const char *why; /* NULL: all is well */
    } cases[] = {
        {{NULL}, "", NULL},
        {{"plain", "x"}, "plain; x; ", NULL},
        {{""}, "; ", NULL},
        {{"--on", "x"}, "on yes; x; ", NULL},
        {{"--on=", "x"}, "", "--on takes no value"},
        {{"--path", "--on"}, "path --on; ", NULL},
        {{"--path=a=b", "x"}, "path a=b; x; ", NULL},
        {{"--path=", "x"}, "path ; x; ", NULL},
        {{"--pat", "x"}, "pat x; ", NULL},
        {{"x", "--path"}, "x; ", "--path needs a value: FILE"},
        {{"--pa", "x"}, "", "--pa: not an option; see --help"},
        {{"--paths", "x"}, "", "--paths: not an option; see --help"},
        {{"--", "x"}, "", "--: not an option; see --help"},
        {{"-", "x"}, "", "-: not an option; see --help"},
        {{"--=x", "x"}, "", "--=x: not an option; see --help"},
        {{"x", "stop", "y"}, "x; stop; ", "stopped"},
        {{"--on", "--pat", "stop", "y"}, "on yes; pat stop; ", "stopped"},
        {{"-q", "x"}, "quick yes; x; ", NULL},
        {{"-qq", "x"}, "quick yes; quick yes; x; ", NULL},
        {{"-f", "-q"}, "from -q; ", NULL},
        {{"-fq", "x"}, "from q; x; ", NULL},
        {{"-qfx", "-qf", "y"}, "quick yes; from x; quick yes; from y; ", NULL},
        {{"-qf"}, "quick yes; ", "--from needs a value: FILE"},
        {{"-qx", "-q"}, "quick yes; ", "-qx: not an option; see --help"},
        {{"-on", "x"}, "", "-on: not an option; see --help"},
        {{"--q", "x"}, "", "--q: not an option; see --help"},
        {{"-f=x"}, "from =x; ", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char want[sizeof(taken)];
        size_t count = 0;
        while (count < ARRAY_COUNT(cases[i].words) && cases[i].words[count] != NULL)
            count++;
        bool is_good = read_line(cases[i].words, count);
        snprintf(want, sizeof(want), "%s%s", initial, cases[i].taken);
        assert_string_equal(taken, want);
        assert_string_equal(why, cases[i].why != NULL ? cases[i].why : "");
        assert_int_equal(is_good, cases[i].why == NULL);
    }
}

static void a_program_may_have_no_plain_words(void **state)
{
    (void)state;
    struct cli c = begin();
    char *argv[] = {NULL, (char *)(uintptr_t) "-q", (char *)(uintptr_t) "x"};
    assert_true(cli_read(&c, rows, ARRAY_COUNT(rows), 2, argv, cli_take_option));
    assert_true(sample.is_quick && !sample.is_on);
    assert_string_equal(sample.path, "1234567890");
    assert_false(cli_read(&c, rows, ARRAY_COUNT(rows), 3, argv, cli_take_option));
    assert_string_equal(why, "x: not an option; see --help");
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
    uint64_t bytes = 7;
    clock_ns ns = 7;
    static const char *const bad_sizes[] = {"1", "", "x", "-2", "2kk", "3k"};
    for (size_t i = 0; i < ARRAY_COUNT(bad_sizes); i++)
        assert_false(cli_bytes(&c, bad_sizes[i], 2, 2048, &bytes));
    assert_string_equal(why, "--count 3k: expected a size: 512, 64k, 1M");
    static const char *const bad_times[] = {"1ms", "6s", "", "s", "-2s"};
    for (size_t i = 0; i < ARRAY_COUNT(bad_times); i++)
        assert_false(cli_time(&c, bad_times[i], 2000000, 5000000000, "2ms to 5s", &ns));
    assert_string_equal(why, "--count -2s: expected a time: 250ms, 30s, 5m (2ms to 5s)");
    assert_true(bytes == 7 && ns == 7);
    assert_true(cli_bytes(&c, "2k", 2, 2048, &bytes) && bytes == 2048);
    assert_true(cli_time(&c, "5", 2000000, 5000000000, "2ms to 5s", &ns) && ns == 5000000000);
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

static void help_is_one_line_a_row_or_two(void **state)
{
    (void)state;
    static const struct cli_row long_row = {"a", "B", "c", "one,\ntwo,\nthree", set_count, 0};
    char *said = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&said, &len);
    assert_non_null(out);
    cli_print_rows(out, rows, ARRAY_COUNT(rows), 12);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(said, "  --on         a switch\n"
                              "  --path FILE  a string [123456789]\n"
                              "  --pat FILE   another\n"
                              "  -q, --quick  a letter's\n"
                              "  -f, --from FILE with a help that is long\n");
    free(said);
    said = NULL;
    out = open_memstream(&said, &len);
    assert_non_null(out);
    cli_print_rows(out, &long_row, 1, 6);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(said, "  --a B  one,\n         two,\n         three [c]\n");
    free(said);
    said = NULL;
    out = open_memstream(&said, &len);
    assert_non_null(out);
    cli_print_pairs(out, rows, ARRAY_COUNT(rows), 12);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(
        said, "  --on         a switch                   --path FILE  a string [123456789]\n"
              "  --pat FILE   another                    -q, --quick  a letter's\n"
              "  -f, --from FILE with a help that is long\n");
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_told_apart),
        cmocka_unit_test(a_program_may_have_no_plain_words),
        cmocka_unit_test(values_are_kept_or_refused),
        cmocka_unit_test(help_and_version_count_anywhere),
        cmocka_unit_test(help_is_one_line_a_row_or_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
