/* SPDX-License-Identifier: Apache-2.0 */
/* status_test.c - the table of statuses: CORE-25, PRDR-16, and no 3xx or 558 by accident. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/status.h"
#include "base/limits.h"

static void test_rows(void **state)
{
    (void)state;
    for (int i = STATUS_NONE + 1; i < STATUS_COUNT; i++) {
        enum status st = (enum status)i;
        const struct status_row *row = status_row(st);
        assert_non_null(row->name);
        assert_true(row->code >= 200 && row->code <= 599);
        if (row->code == 220 || row->code / 100 == 3)
            assert_int_equal(row->enhanced[0], 0);
        else
            assert_int_equal(row->enhanced[0], row->code / 100);
        assert_int_equal(strlen(row->text), row->text_len);
        assert_in_range(row->text_len, 1, REPLY_TEXT_BYTES_MAX);
        for (const char *c = row->text; *c != '\0'; c++)
            assert_true(*c >= ' ' && *c <= '~');
        for (const char *c = row->name; *c != '\0'; c++)
            assert_true((*c >= 'a' && *c <= 'z') || *c == '_' || (*c >= '0' && *c <= '9'));
        for (int j = STATUS_NONE + 1; j < i; j++)
            assert_string_not_equal(row->name, status_row((enum status)j)->name);
        assert_int_equal(status_is_success(st) + status_is_temporary(st) + status_is_permanent(st),
                         row->code / 100 == 3 ? 0 : 1);
        assert_int_equal(answer_code(&ANSWER(st)), row->code);
    }
    assert_false(status_is_success(STATUS_NONE));
    assert_false(status_is_temporary(STATUS_NONE));
    assert_false(status_is_permanent(STATUS_NONE));
    assert_string_equal(status_name(STATUS_NONE), "none");
}

/* The codes that other rules name. */
static void test_known(void **state)
{
    static const struct {
        enum status st;
        uint16_t code;
        uint8_t enhanced[3];
    } rows[] = {
        {STATUS_TOO_MANY_RCPTS, 452, {4, 5, 3}},          /* CORE table B */
        {STATUS_TOO_BIG, 552, {5, 3, 4}},                 /* CORE-20 */
        {STATUS_STORE_FULL, 452, {4, 3, 1}},              /* CORE-20 */
        {STATUS_BAD_LINE_ENDING, 550, {5, 5, 2}},         /* CORE-42 */
        {STATUS_LOOP, 554, {5, 4, 6}},                    /* CORE-53 */
        {STATUS_UNAUTHORIZED_PIPELINING, 554, {5, 5, 0}}, /* CORE-45 */
        {STATUS_NEEDS_UTF8, 553, {5, 6, 7}},              /* CORE-27 */
        {STATUS_RELAY_DENIED, 550, {5, 7, 1}},
        {STATUS_NO_RCPT, 503, {5, 5, 1}},    /* LMTP-6 */
        {STATUS_RCPT_LATER, 352, {0, 0, 0}}, /* DEF-8 */
        {STATUS_LIST_OPEN, 353, {0, 0, 0}},
        {STATUS_WRAPPED_END, 250, {2, 0, 0}}, /* HOL-5 */
        {STATUS_START_CONTENT, 354, {0, 0, 0}},
        {STATUS_NAME_RCPTS, 355, {0, 0, 0}},     /* OTH-4 */
        {STATUS_TOO_MANY_NAMED, 453, {4, 5, 3}}, /* OTH-5 */
        {STATUS_COUNT_DIFFERS, 554, {5, 5, 0}},  /* OTH-6 */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(status_row(rows[i].st)->code, rows[i].code);
        assert_memory_equal(status_row(rows[i].st)->enhanced, rows[i].enhanced, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
