/* SPDX-License-Identifier: Apache-2.0 */
/* wrapped_test.c - replies inside the lines of a reply, built and parsed: EXD-7, EXD-8, EXD-11,
 * HOL-6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/wrapped.h"

static void test_put(void **state)
{
    static const struct {
        uint16_t outer;
        bool is_last;
        uint32_t flags;
        const char *line;
    } rows[] = {
        {558, false, REPLY_ENHANCED, "558-550 5.7.1 refused by policy\r\n"},
        {558, true, REPLY_ENHANCED, "558 550 5.7.1 refused by policy\r\n"},
        {558, true, 0, "558 550 refused by policy\r\n"},
        {250, false, REPLY_ENHANCED, "250-550 5.7.1 refused by policy\r\n"},
    };
    uint8_t memory[REPLY_LINE_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct buf b = buf_over(memory, sizeof(memory));
        assert_true(wrapped_put(&b, rows[i].outer, rows[i].is_last, &ANSWER(STATUS_REFUSED_POLICY),
                                rows[i].flags));
        assert_true(slice_eq(buf_slice(&b), slice_str(rows[i].line)));
        b = buf_over(memory, strlen(rows[i].line) - 1);
        assert_false(wrapped_put(&b, rows[i].outer, rows[i].is_last, &ANSWER(STATUS_REFUSED_POLICY),
                                 rows[i].flags));
        assert_int_equal(b.len, 0);
    }
}

/* EXD-11: whatever the text, the line with its outer code has at most 512 octets, and reads back.
 */
static void test_long_text(void **state)
{
    uint8_t memory[2 * REPLY_LINE_BYTES_MAX];
    uint8_t text[1000];
    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t len = 1; len <= sizeof(text); len += 7) {
        struct answer a = {STATUS_REFUSED_POLICY, 550, {5, 255, 255}, slice_of(text, len)};
        struct buf b = buf_over(memory, sizeof(memory));
        struct wrapped_line line;
        assert_true(wrapped_put(&b, EXDATA_CODE, true, &a, REPLY_ENHANCED));
        assert_true(b.len <= REPLY_LINE_BYTES_MAX);
        assert_true(wrapped_parse_line(slice_of(memory, b.len - 2), EXDATA_CODE, &line));
        assert_true(line.is_last && line.inner.is_last);
        assert_int_equal(line.inner.code, 550);
        assert_int_equal(line.inner.enhanced[2], 255);
    }
}

static void test_parse(void **state)
{
    static const struct {
        const char *line;
        bool is_good;
        bool is_last;
        bool is_inner_last;
        uint16_t code;
        const char *text;
    } rows[] = {
        {"558-250 stored for ann", true, false, true, 250, "stored for ann"},
        {"558-550-bob refuses this", true, false, false, 550, "bob refuses this"},
        {"558 452 4.2.2 over quota", true, true, true, 452, "over quota"},
        {"558-250 ", true, false, true, 250, ""}, /* text may be empty (EXD-8) */
        {"558 451-more", false, 0, 0, 0, NULL},   /* the last line must end its reply */
        {"558 250", false, 0, 0, 0, NULL},        /* no inner mark: perhaps cut */
        {"558-", false, 0, 0, 0, NULL},
        {"558", false, 0, 0, 0, NULL},
        {"", false, 0, 0, 0, NULL},
        {"558 no", false, 0, 0, 0, NULL},
        {"558-2x0 a", false, 0, 0, 0, NULL},
        {"558-150 a", false, 0, 0, 0, NULL},
        {"558-650 a", false, 0, 0, 0, NULL},
        {"558_250 a", false, 0, 0, 0, NULL},
        {"558-250_a", false, 0, 0, 0, NULL},
        {"557-250 a", false, 0, 0, 0, NULL},
        {"5582250 a", false, 0, 0, 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct wrapped_line line;
        bool is_good = wrapped_parse_line(slice_str(rows[i].line), EXDATA_CODE, &line);
        if (is_good != rows[i].is_good)
            fail_msg("'%s'", rows[i].line);
        if (!is_good)
            continue;
        assert_int_equal(line.is_last, rows[i].is_last);
        assert_int_equal(line.inner.is_last, rows[i].is_inner_last);
        assert_int_equal(line.inner.code, rows[i].code);
        assert_true(slice_eq(line.inner.text, slice_str(rows[i].text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_long_text),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
