/* SPDX-License-Identifier: Apache-2.0 */
/* list_test.c - order, removal from any place, and the state of an entry that is on no list. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/list.h"

struct item {
    int value;
    struct list link;
};

static int value_of(struct list *l)
{
    return CONTAINER_OF(l, struct item, link)->value;
}

static void test_order(void **state)
{
    (void)state;
    struct list head;
    struct item items[5];
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(list_pop(&head));
    for (int i = 0; i < 5; i++) {
        items[i].value = i;
        list_init(&items[i].link);
        list_push(&head, &items[i].link);
    }
    for (int i = 0; i < 5; i++) {
        struct list *l = list_pop(&head);
        assert_int_equal(value_of(l), i); /* the oldest first */
        assert_true(list_is_empty(l));    /* it may be pushed again */
    }
    assert_null(list_pop(&head));
    assert_true(list_is_empty(&head));
}

static void test_remove(void **state)
{
    (void)state;
    for (int removed = 0; removed < 4; removed++) {
        struct list head;
        struct item items[4];
        list_init(&head);
        for (int i = 0; i < 4; i++) {
            items[i].value = i;
            list_init(&items[i].link);
            list_push(&head, &items[i].link);
        }
        list_remove(&items[removed].link);
        list_remove(&items[removed].link); /* on no list any more: harmless */
        assert_true(list_is_empty(&items[removed].link));
        list_push(&head, &items[removed].link);
        for (int i = 0; i < 4; i++)
            if (i != removed)
                assert_int_equal(value_of(list_pop(&head)), i);
        assert_int_equal(value_of(list_pop(&head)), removed);
        assert_true(list_is_empty(&head));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
