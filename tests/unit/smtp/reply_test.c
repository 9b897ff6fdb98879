/* SPDX-License-Identifier: Apache-2.0 */
/* reply_test.c - replies built and parsed: CORE-6, CORE-25. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/reply.h"

static struct slice put(struct answer a, uint32_t flags)
{
    static uint8_t memory[REPLY_LINE_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    assert_true(reply_put(&b, &a, flags));
    assert_false(b.is_full);
    return buf_slice(&b);
}

static void assert_slice(struct slice got, const char *expected)
{
    if (!slice_eq(got, slice_str(expected)))
        fail_msg("expected %s, got %.*s", expected, (int)got.len, (const char *)got.ptr);
}

static void test_put(void **state)
{
    struct answer a = ANSWER(STATUS_OK);
    (void)state;
    assert_slice(put(a, 0), "250 ok\r\n");
    assert_slice(put(a, REPLY_ENHANCED), "250 2.0.0 ok\r\n");
    /* 3xx and 220 never carry one (CORE-25, PRDR-16). */
    assert_slice(put(ANSWER(STATUS_LIST_OPEN), REPLY_ENHANCED),
                 "353 replies per recipient follow\r\n");
    assert_slice(put(ANSWER(STATUS_START_CONTENT), REPLY_ENHANCED),
                 "354 end with CR LF . CR LF\r\n");
    assert_slice(put(ANSWER(STATUS_GREETING), REPLY_ENHANCED), "220 ready\r\n");
    a = (struct answer){STATUS_REFUSED_POLICY, 554, {5, 7, 123}, SLICE_LIT("own text")};
    assert_slice(put(a, REPLY_ENHANCED), "554 5.7.123 own text\r\n");
    assert_slice(put(a, 0), "554 own text\r\n");
    a.text = SLICE_LIT("tab\there\r\n250 injected");
    assert_slice(put(a, 0), "554 tab here  250 injected\r\n");
    a.text = SLICE_LIT("\xc3\xbc");
    assert_slice(put(a, 0), "554 ??\r\n");
    assert_slice(put(a, REPLY_UTF8), "554 \xc3\xbc\r\n");
}

static void test_put_cuts(void **state)
{
    uint8_t text[1000];
    struct answer a = {STATUS_REFUSED_POLICY, 0, {5, 255, 255}, SLICE_EMPTY};
    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t len = 1; len < sizeof(text); len++) {
        a.text = slice_of(text, len);
        struct slice line = put(a, REPLY_ENHANCED);
        assert_true(line.len <= REPLY_LINE_BYTES_MAX);
        assert_int_equal(line.ptr[line.len - 1], '\n');
    }
    /* Not in the middle of a character: 439 bytes and then one of two bytes. */
    text[439] = 0xC3;
    text[440] = 0xBC;
    a.text = slice_of(text, 600);
    struct slice line = put(a, REPLY_UTF8);
    assert_int_equal(line.ptr[line.len - 3], 'x');
    /* No room: nothing is appended. */
    uint8_t memory[8];
    struct buf b = buf_over(memory, sizeof(memory));
    assert_false(reply_put(&b, &ANSWER(STATUS_OK), REPLY_ENHANCED));
    assert_int_equal(b.len, 0);
    assert_true(reply_put(&b, &ANSWER(STATUS_OK), 0));
}

static void test_parse(void **state)
{
    static const struct {
        const char *line;
        bool is_good;
        uint16_t code;
        bool is_last;
        uint16_t enhanced[3];
        const char *text;
    } rows[] = {
        {"250 ok", true, 250, true, {0, 0, 0}, "ok"},
        {"250", true, 250, true, {0, 0, 0}, ""}, /* CORE-6 */
        {"250 ", true, 250, true, {0, 0, 0}, ""},
        {"250-", true, 250, false, {0, 0, 0}, ""},
        {"250-2.1.5 x y", true, 250, false, {2, 1, 5}, "x y"},
        {"550 5.7.123", true, 550, true, {5, 7, 123}, ""},
        {"550 4.7.1 x", true, 550, true, {0, 0, 0}, "4.7.1 x"}, /* wrong class */
        {"550 5.7.1x", true, 550, true, {0, 0, 0}, "5.7.1x"},
        {"550 5.7 x", true, 550, true, {0, 0, 0}, "5.7 x"},
        {"550 5.7.1234 x", true, 550, true, {0, 0, 0}, "5.7.1234 x"},
        {"353 go", true, 353, true, {0, 0, 0}, "go"},
        {"", false, 0, false, {0, 0, 0}, NULL},
        {"25", false, 0, false, {0, 0, 0}, NULL},
        {"abc", false, 0, false, {0, 0, 0}, NULL},
        {"150 x", false, 0, false, {0, 0, 0}, NULL},
        {"600 x", false, 0, false, {0, 0, 0}, NULL},
        {"2505", false, 0, false, {0, 0, 0}, NULL},
        {"250\tx", false, 0, false, {0, 0, 0}, NULL},
        {" 250 x", false, 0, false, {0, 0, 0}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct reply_line l;
        assert_int_equal(reply_parse_line(slice_str(rows[i].line), &l), rows[i].is_good);
        if (!rows[i].is_good)
            continue;
        assert_int_equal(l.code, rows[i].code);
        assert_int_equal(l.is_last, rows[i].is_last);
        assert_memory_equal(l.enhanced, rows[i].enhanced, sizeof(l.enhanced));
        assert_true(slice_eq(l.text, slice_str(rows[i].text)));
    }
}

static void test_multi_line(void **state)
{
    struct reply_state st = {0};
    struct reply_line l = {.code = 250, .is_last = false, .enhanced = {2, 0, 0}};
    (void)state;
    for (int i = 0; i < REPLY_LINES_MAX - 1; i++)
        assert_int_equal(reply_add_line(&st, &l), REPLY_MORE);
    assert_int_equal(reply_add_line(&st, &l), REPLY_BAD); /* endless */
    st = (struct reply_state){0};
    assert_int_equal(reply_add_line(&st, &l), REPLY_MORE);
    l.code = 251;
    assert_int_equal(reply_add_line(&st, &l), REPLY_BAD);
    st = (struct reply_state){0};
    l.is_last = true;
    assert_int_equal(reply_add_line(&st, &l), REPLY_DONE);
    assert_int_equal(st.code, 251);
    assert_int_equal(st.enhanced[0], 2);
}

/* Every status, built and read back. */
static void test_round_trip(void **state)
{
    (void)state;
    for (int st = STATUS_NONE + 1; st < STATUS_COUNT; st++) {
        const struct status_row *row = status_row((enum status)st);
        struct slice line = put(ANSWER((enum status)st), REPLY_ENHANCED);
        struct reply_line l;
        assert_true(reply_parse_line(slice_first(line, line.len - 2), &l));
        assert_true(l.is_last);
        assert_int_equal(l.code, row->code);
        for (int i = 0; i < 3; i++)
            assert_int_equal(l.enhanced[i], row->enhanced[i]);
        assert_true(slice_eq(l.text, slice_str(row->text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),        cmocka_unit_test(test_put_cuts),
        cmocka_unit_test(test_parse),      cmocka_unit_test(test_multi_line),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
