/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_test.c - adding up and the printed text. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/buf.h"
#include "obs/metrics.h"
#include <stdio.h>

static void test_count_and_sum(void **state)
{
    (void)state;
    struct metrics a = {0}, b = {0}, sum = {0};
    metrics_add(&a, METRIC_CONNS_OPEN, 3);
    metrics_sub(&a, METRIC_CONNS_OPEN, 1);
    metrics_add(&b, METRIC_CONNS_OPEN, 5);
    metrics_add(&b, METRIC_RULE_HITS, 7);
    metrics_reply(&a, STATUS_OK);
    metrics_reply(&b, STATUS_OK);
    metrics_reply(&b, STATUS_COUNT - 1);
    metrics_sum(&sum, &a);
    metrics_sum(&sum, &b);
    for (size_t i = 0; i < METRIC_COUNT; i++)
        assert_int_equal(sum.value[i], i == METRIC_CONNS_OPEN ? 7 : i == METRIC_RULE_HITS ? 7 : 0);
    for (size_t i = 0; i < STATUS_COUNT; i++)
        assert_int_equal(sum.replies[i], i == STATUS_OK ? 2 : i == STATUS_COUNT - 1 ? 1 : 0);
}

/* Each line is "postern_name value" or the reply series; every value once, in order. */
static void test_print(void **state)
{
    (void)state;
    static const char *const names[] = {
#define NAME(id, name, help) name,
        METRIC_LIST(NAME)
#undef NAME
    };
    struct metrics m;
    char memory[METRICS_PRINT_BYTES_MAX], want[256];
    for (size_t i = 0; i < METRIC_COUNT; i++)
        m.value[i] = UINT64_MAX - i;
    for (size_t i = 0; i < STATUS_COUNT; i++)
        m.replies[i] = UINT64_MAX - 1000 - i;
    struct buf out = buf_over(memory, sizeof(memory));
    metrics_print(&m, &out);
    assert_false(out.is_full);
    struct slice rest = buf_slice(&out);
    for (size_t i = 0; i < METRIC_COUNT + STATUS_COUNT - 1; i++) {
        struct slice line = slice_first(rest, slice_find(rest, '\n') + 1);
        rest = slice_from(rest, line.len);
        if (i < METRIC_COUNT) {
            snprintf(want, sizeof(want), "postern_%s %llu\n", names[i],
                     (unsigned long long)(UINT64_MAX - i));
        } else {
            enum status st = (enum status)(i - METRIC_COUNT + 1);
            snprintf(want, sizeof(want), "postern_replies_total{code=\"%u\",status=\"%s\"} %llu\n",
                     status_row(st)->code, status_row(st)->name,
                     (unsigned long long)(UINT64_MAX - 1000 - st));
        }
        assert_true(slice_eq(line, slice_str(want)));
    }
    assert_int_equal(rest.len, 0);
}

static void test_print_without_room(void **state)
{
    (void)state;
    struct metrics m = {0};
    char memory[100];
    struct buf out = buf_over(memory, sizeof(memory));
    metrics_print(&m, &out);
    assert_true(out.is_full);
    assert_true(out.len <= sizeof(memory));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count_and_sum),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_print_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
