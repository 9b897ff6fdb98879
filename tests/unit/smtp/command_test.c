/* SPDX-License-Identifier: Apache-2.0 */
/* command_test.c - verbs and the table of commands: CORE-4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/command.h"

static void test_split(void **state)
{
    static const struct {
        const char *line;
        enum command command;
        const char *args;
    } rows[] = {
        {"EHLO a", COMMAND_EHLO, "a"},      {"helo  a ", COMMAND_HELO, "a"},
        {"LhLo a b", COMMAND_LHLO, "a b"},  {"MAIL FROM:<>", COMMAND_MAIL, "FROM:<>"},
        {"RCPT", COMMAND_RCPT, ""},         {"DATA", COMMAND_DATA, ""},
        {"DATA  ", COMMAND_DATA, ""},       {"BDAT 1 LAST", COMMAND_BDAT, "1 LAST"},
        {"RSET", COMMAND_RSET, ""},         {"noop x", COMMAND_NOOP, "x"},
        {"quit", COMMAND_QUIT, ""},         {"VRFY x", COMMAND_VRFY, "x"},
        {"EXPN x", COMMAND_EXPN, "x"},      {"HELP", COMMAND_HELP, ""},
        {"STARTTLS", COMMAND_OTHER, ""},    {"AUTH x", COMMAND_OTHER, "x"},
        {"ETRN x", COMMAND_OTHER, "x"},     {"", COMMAND_UNKNOWN, ""},
        {" NOOP", COMMAND_UNKNOWN, "NOOP"}, {"NOOPX", COMMAND_UNKNOWN, ""},
        {"NOO", COMMAND_UNKNOWN, ""},       {"DATA\tx", COMMAND_UNKNOWN, ""},
        {"ADAT 3", COMMAND_ADAT, "3"},      {"x-drcp TO:<>", COMMAND_DRCP, "TO:<>"},
        {"X-ERCP", COMMAND_ERCP, ""},       {"X-MAIL", COMMAND_UNKNOWN, ""}, /* OTH-1 */
        {"@AIL", COMMAND_UNKNOWN, ""},      {"\x0d\x41IL", COMMAND_UNKNOWN, ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice args;
        assert_int_equal(command_split(slice_str(rows[i].line), &args), rows[i].command);
        assert_true(slice_eq(args, slice_str(rows[i].args)));
    }
}

/* Each verb of the table is found by its own name; each command has a timeout and a line. */
static void test_table(void **state)
{
    (void)state;
    for (int c = 0; c < COMMAND_COUNT; c++) {
        const struct command_row *row = command_row((enum command)c);
        struct slice args;
        if (row->verb.len > 0)
            assert_int_equal(command_split(row->verb, &args), c);
        assert_true(row->line_bytes_max >= 512); /* RFC 5321 4.5.3.1.4 */
        assert_true(row->line_bytes_max <= COMMAND_LINE_BYTES_MAX);
        assert_true(row->reply_timeout_ns >= 120 * NS_PER_S);
        assert_true(row->states != 0);
    }
    assert_int_equal(command_row(COMMAND_MAIL)->states, COMMAND_IN_READY);
    assert_int_equal(command_row(COMMAND_RCPT)->states, COMMAND_IN_MAIL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
