/* SPDX-License-Identifier: Apache-2.0 */
/* replyq_test.c - slots filled in any order leave in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/replyq.h"

static void test_any_order(void **state)
{
    struct replyq q;
    (void)state;
    replyq_init(&q);
    q.head_seq = UINT32_MAX - 2; /* numbers wrap */
    for (unsigned round = 0; round < 5040; round++) {
        uint32_t seqs[REPLYQ_SLOTS - 1];
        uint32_t order[REPLYQ_SLOTS - 1] = {0, 1, 2, 3, 4, 5, 6};
        unsigned n = round;
        for (unsigned i = 0; i < ARRAY_COUNT(order); i++) { /* the round-th permutation */
            unsigned left = (unsigned)ARRAY_COUNT(order) - i;
            unsigned pick = i + n % left;
            n /= left;
            uint32_t swap = order[i];
            order[i] = order[pick];
            order[pick] = swap;
        }
        for (unsigned i = 0; i < ARRAY_COUNT(seqs); i++) {
            assert_true(replyq_has_room(&q));
            seqs[i] = replyq_reserve(&q, (uint8_t)i);
        }
        assert_false(replyq_has_room(&q));
        unsigned popped = 0;
        for (unsigned i = 0; i < ARRAY_COUNT(seqs); i++) {
            struct answer a = {
                STATUS_REFUSED_POLICY, (uint16_t)(550 + order[i]), {5, 7, 9}, SLICE_LIT("text")};
            replyq_fill(&q, seqs[order[i]], &a);
            while (replyq_front(&q) != NULL && replyq_front(&q)->is_ready) {
                struct answer got = replyq_slot_answer(replyq_front(&q));
                assert_int_equal(replyq_front(&q)->kind, popped);
                assert_int_equal(got.code, 550 + popped++);
                assert_int_equal(got.enhanced[2], 9);
                assert_true(slice_eq(got.text, a.text));
                replyq_pop(&q);
            }
        }
        assert_int_equal(popped, ARRAY_COUNT(seqs));
        assert_int_equal(q.open_count, 0);
        assert_null(replyq_at(&q, seqs[0]));
    }
}

static void test_last(void **state)
{
    struct replyq q;
    (void)state;
    replyq_init(&q);
    while (replyq_has_room(&q))
        (void)replyq_reserve(&q, 0);
    replyq_drop_last(&q);
    assert_true(replyq_has_room(&q));
    (void)replyq_reserve(&q, 0);
    uint32_t last = replyq_reserve_last(&q, 3); /* the one that is kept */
    assert_int_equal(replyq_at(&q, last)->kind, 3);
    assert_null(replyq_at(&q, last + 1));
    assert_int_equal(q.count, REPLYQ_SLOTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
