/* SPDX-License-Identifier: Apache-2.0 */
/* buf_test.c - appending up to the last byte and not past it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/buf.h"
#include <stdio.h>

static void test_put(void **state)
{
    (void)state;
    char memory[8] = "........";
    struct buf b = buf_over(memory, 6);
    BUF_PUT_LIT(&b, "abc");
    buf_put(&b, SLICE_EMPTY);
    buf_put_byte(&b, 'd');
    assert_int_equal(buf_room(&b), 2);
    assert_false(b.is_full);
    BUF_PUT_LIT(&b, "xyz"); /* does not fit: nothing of it */
    assert_true(b.is_full);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("abcd")));
    BUF_PUT_LIT(&b, "ef"); /* exactly fits; the mark stays */
    assert_true(b.is_full);
    assert_int_equal(buf_room(&b), 0);
    buf_put_byte(&b, 'g');
    assert_memory_equal(memory, "abcdef..", 8);
    struct buf none = buf_over(NULL, 0);
    buf_put(&none, SLICE_EMPTY);
    assert_false(none.is_full);
    buf_put_byte(&none, 'x');
    assert_true(none.is_full);
}

static void test_u64(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 9, 10, 99, 100, 4294967296, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        char want[32], memory[32];
        int len = snprintf(want, sizeof(want), "%llu", (unsigned long long)values[i]);
        struct buf b = buf_over(memory, (size_t)len);
        buf_put_u64(&b, values[i]);
        assert_true(!b.is_full && slice_eq(buf_slice(&b), slice_str(want)));
        b = buf_over(memory, (size_t)len - 1);
        buf_put_u64(&b, values[i]);
        assert_true(b.is_full && b.len == 0);
    }
}

static void test_hex(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        unsigned digits;
        const char *want;
    } rows[] = {{0, 0, ""},
                {0, 1, "0"},
                {0xabc, 2, "bc"},
                {0xabc, 5, "00abc"},
                {0x0123456789abcdef, 16, "0123456789abcdef"},
                {UINT64_MAX, 16, "ffffffffffffffff"}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char memory[16];
        struct buf b = buf_over(memory, sizeof(memory));
        buf_put_hex(&b, rows[i].value, rows[i].digits);
        assert_true(slice_eq(buf_slice(&b), slice_str(rows[i].want)));
    }
}

static void test_printf(void **state)
{
    (void)state;
    char memory[16];
    struct buf b = buf_over(memory, 8);
    buf_printf(&b, "%d-%s", 42, "ab");
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("42-ab")));
    buf_printf(&b, "%s", "xyz"); /* all or nothing; three bytes are free, and a NUL has no room */
    assert_true(b.is_full);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("42-ab")));
    b.is_full = false;
    buf_printf(&b, "%s", "xy");
    assert_false(b.is_full);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("42-abxy")));
    struct buf none = buf_over(NULL, 0);
    buf_printf(&none, "%s", "");
    assert_true(none.is_full && none.len == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put),
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_printf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
