/* SPDX-License-Identifier: Apache-2.0 */
/* slice_test.c - cutting, comparing and finding, at the edges. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/slice.h"

static void assert_slice(struct slice got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.len > 0 ? got.ptr : (const uint8_t *)"", want, got.len);
}

static void test_cut(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *from, *first;
    } rows[] = {{0, "abcd", ""}, {1, "bcd", "a"}, {3, "d", "abc"},
                {4, "", "abcd"}, {5, "", "abcd"}, {SIZE_MAX, "", "abcd"}};
    struct slice s = SLICE_LIT("abcd");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_slice(slice_from(s, rows[i].at), rows[i].from);
        assert_slice(slice_first(s, rows[i].at), rows[i].first);
        assert_int_equal(slice_from(SLICE_EMPTY, rows[i].at).len, 0);
        assert_int_equal(slice_first(SLICE_EMPTY, rows[i].at).len, 0);
    }
    assert_ptr_equal(slice_from(s, 9).ptr, s.ptr + 4); /* still inside: one past the end */
}

static void test_compare(void **state)
{
    (void)state;
    static const struct {
        struct slice a, b;
        bool is_equal, is_equal_nocase, has_prefix;
    } rows[] = {
        {SLICE_INIT(""), SLICE_INIT(""), true, true, true},
        {SLICE_INIT("a"), SLICE_INIT(""), false, false, true},
        {SLICE_INIT(""), SLICE_INIT("a"), false, false, false},
        {SLICE_INIT("abc"), SLICE_INIT("abc"), true, true, true},
        {SLICE_INIT("aBc"), SLICE_INIT("AbC"), false, true, true},
        {SLICE_INIT("ABCd"), SLICE_INIT("abc"), false, false, true},
        {SLICE_INIT("ab"), SLICE_INIT("abc"), false, false, false},
        {SLICE_INIT("a\0b"), SLICE_INIT("a\0B"), false, true, true},
        {SLICE_INIT("a\0b"), SLICE_INIT("a\0c"), false, false, false},
        {SLICE_INIT("@["), SLICE_INIT("`{"), false, false, false},     /* around the letters */
        {SLICE_INIT("\xc4"), SLICE_INIT("\xe4"), false, false, false}, /* ASCII letters only */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(slice_eq(rows[i].a, rows[i].b), rows[i].is_equal);
        assert_int_equal(slice_eq_nocase(rows[i].a, rows[i].b), rows[i].is_equal_nocase);
        assert_int_equal(slice_has_prefix_nocase(rows[i].a, rows[i].b), rows[i].has_prefix);
    }
    assert_true(slice_eq(SLICE_EMPTY, SLICE_LIT("")));
}

static void test_lower(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++)
        assert_int_equal(ascii_lower((uint8_t)c), c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static void test_find(void **state)
{
    (void)state;
    struct slice s = SLICE_LIT("ab\0b");
    assert_int_equal(slice_find(s, 'a'), 0);
    assert_int_equal(slice_find(s, 'b'), 1);
    assert_int_equal(slice_find(s, 0), 2);
    assert_int_equal(slice_find(s, 'x'), 4);
    assert_int_equal(slice_find(SLICE_EMPTY, 'x'), 0);
    assert_int_equal(slice_find(slice_first(s, 2), 0), 2);
    assert_slice(slice_str("text"), "text");
    assert_slice(slice_of("text", 2), "te");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
