/* SPDX-License-Identifier: Apache-2.0 */
/* arena_test.c - alignment, the end of the block, copies and reuse. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/arena.h"

/* Whatever the block's own address, what is taken is aligned to 8 and inside. */
static void test_take(void **state)
{
    (void)state;
    _Alignas(16) uint8_t memory[128];
    for (size_t offset = 0; offset < 9; offset++) {
        for (size_t size = 0; size <= 20; size++) {
            struct arena a;
            uint8_t *end = memory + offset;
            arena_init(&a, memory + offset, 100);
            for (uint8_t *p; (p = arena_take(&a, size)) != NULL && size > 0;) {
                assert_int_equal((uintptr_t)p % 8, 0);
                assert_true(p >= end && p + size <= memory + offset + 100);
                memset(p, 1, size);
                end = p + size;
            }
            if (size > 0)
                assert_true(memory + offset + 100 < end + size + 8); /* it was full */
        }
    }
}

static void test_exact_fit(void **state)
{
    (void)state;
    _Alignas(8) uint8_t memory[32];
    struct arena a;
    struct slice copy = SLICE_LIT("untouched");
    arena_init(&a, memory, sizeof(memory));
    assert_null(arena_take(&a, 33));
    assert_null(arena_take(&a, SIZE_MAX));
    assert_ptr_equal(arena_take(&a, 24), memory);
    assert_false(arena_copy(&a, SLICE_LIT("123456789"), &copy));
    assert_true(slice_eq(copy, SLICE_LIT("untouched")));
    assert_true(arena_copy(&a, SLICE_LIT("12345678"), &copy));
    assert_ptr_equal(copy.ptr, memory + 24);
    assert_true(slice_eq(copy, SLICE_LIT("12345678")));
    assert_null(arena_take(&a, 1));
    assert_true(arena_copy(&a, SLICE_EMPTY, &copy));
    assert_int_equal(copy.len, 0);
    arena_reset(&a);
    assert_ptr_equal(arena_take(&a, 32), memory);
}

static void test_copies_are_packed(void **state)
{
    (void)state;
    _Alignas(8) uint8_t memory[32];
    struct arena a;
    struct slice first, second;
    arena_init(&a, memory, sizeof(memory));
    assert_true(arena_copy(&a, SLICE_LIT("abc"), &first));
    assert_true(arena_copy(&a, SLICE_LIT("de"), &second));
    assert_ptr_equal(second.ptr, first.ptr + 3);
    assert_ptr_equal(arena_take(&a, 8), memory + 8);
    assert_true(slice_eq(first, SLICE_LIT("abc")));
}

static void test_no_memory(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, 0);
    assert_null(arena_take(&a, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take),
        cmocka_unit_test(test_exact_fit),
        cmocka_unit_test(test_copies_are_packed),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
