/* SPDX-License-Identifier: Apache-2.0 */
/* window_test.c - pinning, giving up and consuming, with and without a source. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/window.h"

struct counting_source {
    struct window_source source;
    int references;
    uint32_t id;
};

static void on_pin(struct window_source *source, uint32_t id)
{
    struct counting_source *s = (struct counting_source *)source;
    s->references++;
    s->id = id;
}

static void on_unpin(struct window_source *source, uint32_t id)
{
    struct counting_source *s = (struct counting_source *)source;
    s->references--;
    s->id = id;
}

static const struct window_ops counting_ops = {on_pin, on_unpin};

static void test_references(void **state)
{
    (void)state;
    struct counting_source source = {{&counting_ops}, 1, 0};
    struct window w = {SLICE_LIT("abcdef"), &source.source, 77};
    window_pin(&w);
    assert_int_equal(source.references, 2);
    assert_int_equal(source.id, 77);
    struct window second = w;
    window_unpin(&second);
    assert_int_equal(source.references, 1);
    assert_null(second.source);
    assert_int_equal(second.bytes.len, 0);
    window_unpin(&second); /* nothing is held any more */
    assert_int_equal(source.references, 1);
    window_unpin(&w);
    assert_int_equal(source.references, 0);
}

static void test_consume(void **state)
{
    (void)state;
    struct window w = {SLICE_LIT("abcdef"), NULL, 0};
    window_pin(&w); /* static memory: nothing to count */
    window_consume(&w, 0);
    assert_int_equal(w.bytes.len, 6);
    window_consume(&w, 2);
    assert_true(slice_eq(w.bytes, SLICE_LIT("cdef")));
    window_consume(&w, 4);
    assert_int_equal(w.bytes.len, 0);
    window_unpin(&w);
    assert_null(w.bytes.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_consume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
