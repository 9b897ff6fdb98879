/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox_test.c - order, bounds, back-off and mail that comes back.
 *
 * The ring is a list of the messages that were sent; the test says how each of them ends. Two real
 * rings on two threads are tried in ring_test.c.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/rng.h"
#include "io/mailbox.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OWNER 9
#define SENT_MAX 1024
#define TARGETS 5

struct sent {
    int fd;
    uint64_t value;
    uint32_t len;
    struct ring_token token;
};

static struct {
    clock_ns now;
    struct sent sent[SENT_MAX]; /* not ended */
    uint32_t count;
} fake;

clock_ns ring_now(const struct ring *r)
{
    (void)r;
    return fake.now;
}

void ring_message(struct ring *r, int target_fd, uint64_t value, uint32_t len,
                  struct ring_token token)
{
    (void)r;
    assert_true(value >> 56 == 0);
    assert_true(fake.count < SENT_MAX);
    fake.sent[fake.count++] = (struct sent){target_fd, value, len, token};
}

static struct mailbox box;

static int set_up(void **state)
{
    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.now = 1000 * NS_PER_MS;
    mailbox_init(&box, NULL, OWNER);
    for (uint32_t i = 0; i < TARGETS; i++)
        mailbox_open(&box, i, 100 + (int)i);
    return 0;
}

/* Ends message @i with @res; what the target would see when it was taken. */
static struct mail end(uint32_t i, int32_t res)
{
    struct sent s = fake.sent[i];
    assert_true(i < fake.count);
    memmove(&fake.sent[i], &fake.sent[i + 1], (--fake.count - i) * sizeof(s));
    assert_int_equal(s.token.kind, RING_MESSAGE_SENT);
    assert_int_equal(s.token.owner, OWNER);
    struct ring_event ev = {.token = s.token, .res = res};
    mailbox_on_event(&box, &ev);
    struct ring_event arrival = {.token = {.kind = RING_MESSAGE}, .value = s.value, .len = s.len};
    return mailbox_read(&arrival);
}

static struct mail mail_value(uint64_t value)
{
    return (struct mail){.tag = 200, .value = value, .len = (uint32_t)value + 1};
}

static void assert_nothing_returned(void)
{
    uint32_t target_idx;
    struct mail mail;
    assert_false(mailbox_next_returned(&box, &target_idx, &mail));
}

static void test_value_and_block(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 0x123456789abc, ((uint64_t)1 << 48) - 1};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        struct mail mail = {.tag = 255, .value = values[i], .len = UINT32_MAX};
        assert_int_equal(mailbox_post(&box, 3, mail), MAILBOX_POSTED);
        assert_int_equal(fake.count, 1);
        assert_int_equal(fake.sent[0].fd, 103);
        assert_false(mailbox_is_idle(&box));
        struct mail got = end(0, 0);
        assert_int_equal(got.tag, 255);
        assert_true(got.value == values[i]);
        assert_true(got.len == UINT32_MAX);
        assert_true(mailbox_is_idle(&box));
    }
    char *block = malloc(10);
    assert_int_equal(mailbox_post(&box, 0, mail_of_block(1, block, 10)), MAILBOX_POSTED);
    struct mail got = end(0, 0);
    assert_ptr_equal(mail_block(&got), block);
    assert_int_equal(got.len, 10);
    free(block);
    assert_nothing_returned();
}

/* One message at a time for a target; others are not held up by it. */
static void test_order(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 5; i++)
        assert_int_equal(mailbox_post(&box, 1, mail_value(i)), MAILBOX_POSTED);
    assert_int_equal(fake.count, 1);
    assert_int_equal(mailbox_post(&box, 2, mail_value(70)), MAILBOX_POSTED);
    assert_int_equal(fake.count, 2);
    assert_true(end(1, 0).value == 70);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(fake.count, 1);
        assert_true(end(0, 0).value == i);
    }
    assert_int_equal(fake.count, 0);
    assert_true(mailbox_is_idle(&box));
}

static void test_bounds(void **state)
{
    (void)state;
    uint32_t posted = 0;
    for (uint32_t i = 0; i < MAILBOX_WAITING_MAX; i++)
        assert_int_equal(mailbox_post(&box, 0, mail_value(i)), MAILBOX_POSTED);
    assert_int_equal(mailbox_post(&box, 0, mail_value(0)), MAILBOX_FULL);
    assert_int_equal(mailbox_post(&box, 1, mail_value(0)), MAILBOX_POSTED);
    (void)end(0, 0);
    assert_int_equal(mailbox_post(&box, 0, mail_value(0)), MAILBOX_POSTED);
    assert_int_equal(mailbox_post(&box, 0, mail_value(0)), MAILBOX_FULL);
    for (uint32_t i = TARGETS; i < MAILBOX_TARGET_COUNT_MAX; i++) {
        assert_int_equal(mailbox_post(&box, i, mail_value(0)), MAILBOX_CLOSED);
        mailbox_open(&box, i, (int)i);
        for (uint32_t k = 0; k < MAILBOX_WAITING_MAX; k++)
            posted += mailbox_post(&box, i, mail_value(k)) == MAILBOX_POSTED;
    }
    assert_int_equal(posted + MAILBOX_WAITING_MAX + 1, MAILBOX_LETTER_COUNT_MAX);
    assert_int_equal(mailbox_post(&box, 1, mail_value(0)), MAILBOX_FULL);
    while (fake.count > 0)
        (void)end(0, 0);
    assert_true(mailbox_is_idle(&box));
    assert_int_equal(mailbox_post(&box, 1, mail_value(0)), MAILBOX_POSTED);
    (void)end(0, 0);
}

static void test_back_off(void **state)
{
    (void)state;
    static const int32_t full[] = {-EOVERFLOW, -EAGAIN, -ENOMEM, -EBUSY, -EINTR};
    clock_ns wait = MAILBOX_BACKOFF_NS_MIN;
    assert_int_equal(mailbox_post(&box, 4, mail_value(1)), MAILBOX_POSTED);
    assert_int_equal(mailbox_post(&box, 4, mail_value(2)), MAILBOX_POSTED);
    assert_true(mailbox_next_due(&box) == CLOCK_NEVER);
    for (size_t i = 0; i < 12; i++) {
        (void)end(0, full[i % ARRAY_COUNT(full)]);
        assert_int_equal(fake.count, 0); /* not at once */
        assert_true(mailbox_next_due(&box) == fake.now + wait);
        assert_int_equal(mailbox_post(&box, 3, mail_value(3)), MAILBOX_POSTED);
        assert_true(end(0, 0).value == 3); /* others go on */
        fake.now += wait - 1;
        mailbox_turn(&box);
        assert_int_equal(fake.count, 0);
        fake.now += 1;
        mailbox_turn(&box);
        assert_int_equal(fake.count, 1);
        mailbox_turn(&box); /* it is on its way: not twice */
        assert_int_equal(fake.count, 1);
        assert_true(mailbox_next_due(&box) == CLOCK_NEVER);
        wait = u64_min(2 * wait, MAILBOX_BACKOFF_NS_MAX);
    }
    assert_int_equal(box.full_count, 12);
    assert_true(end(0, 0).value == 1);
    (void)end(0, -EOVERFLOW); /* after a success the wait is short again */
    assert_true(mailbox_next_due(&box) == fake.now + MAILBOX_BACKOFF_NS_MIN);
    fake.now += MAILBOX_BACKOFF_NS_MIN;
    mailbox_turn(&box);
    assert_true(end(0, 0).value == 2);
    assert_true(mailbox_is_idle(&box));
    assert_true(mailbox_next_due(&box) == CLOCK_NEVER);
}

static void assert_returned(uint32_t want_target_idx, uint64_t first, uint64_t last)
{
    uint32_t target_idx;
    struct mail mail;
    for (uint64_t i = first; i <= last; i++) {
        assert_true(mailbox_next_returned(&box, &target_idx, &mail));
        assert_int_equal(target_idx, want_target_idx);
        assert_true(mail.value == i);
        assert_int_equal(mail.tag, 200);
        assert_int_equal(mail.len, i + 1);
    }
}

static void test_gone(void **state)
{
    (void)state;
    static const int32_t gone[] = {-EBADF, -EBADFD, -EOWNERDEAD, -EINVAL, -ECANCELED};
    for (size_t i = 0; i < ARRAY_COUNT(gone); i++) {
        uint32_t target = (uint32_t)i;
        for (uint64_t k = 0; k < 3; k++)
            assert_int_equal(mailbox_post(&box, target, mail_value(k)), MAILBOX_POSTED);
        (void)end(0, gone[i]);
        assert_int_equal(mailbox_post(&box, target, mail_value(9)), MAILBOX_CLOSED);
        assert_false(mailbox_is_idle(&box));
        assert_returned(target, 0, 2);
        assert_nothing_returned();
        assert_true(mailbox_is_idle(&box));
        assert_int_equal(fake.count, 0);
    }
    mailbox_open(&box, 0, 55); /* another ring took its place */
    assert_int_equal(mailbox_post(&box, 0, mail_value(4)), MAILBOX_POSTED);
    assert_int_equal(fake.sent[0].fd, 55);
    assert_true(end(0, 0).value == 4);
}

struct close_row {
    int32_t res; /* of the message that is with the kernel while the target closes */
    uint64_t returned_first;
};

/* What the kernel has is the kernel's until it says what became of it. */
static void test_close(void **state)
{
    (void)state;
    static const struct close_row rows[] = {{0, 1}, {-EOVERFLOW, 0}, {-EBADF, 0}};
    for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (uint64_t k = 0; k < 3; k++)
            assert_int_equal(mailbox_post(&box, i, mail_value(k)), MAILBOX_POSTED);
        mailbox_close(&box, i);
        mailbox_close(&box, i);
        assert_nothing_returned();
        (void)end(0, rows[i].res);
        assert_returned(i, rows[i].returned_first, 2);
        assert_true(mailbox_is_idle(&box));
        assert_int_equal(fake.count, 0);
    }
    /* Nothing is with the kernel: it waits for a better time. */
    assert_int_equal(mailbox_post(&box, 4, mail_value(0)), MAILBOX_POSTED);
    (void)end(0, -EOVERFLOW);
    mailbox_close(&box, 4);
    assert_returned(4, 0, 0);
    assert_true(mailbox_next_due(&box) == CLOCK_NEVER);
    fake.now += NS_PER_S;
    mailbox_turn(&box);
    assert_int_equal(fake.count, 0);
}

static void test_stale(void **state)
{
    (void)state;
    assert_int_equal(mailbox_post(&box, 0, mail_value(0)), MAILBOX_POSTED);
    struct ring_event ev = {.token = fake.sent[0].token};
    (void)end(0, 0);
    mailbox_on_event(&box, &ev); /* the same result once more */
    assert_int_equal(box.stale_count, 1);
    assert_int_equal(mailbox_post(&box, 0, mail_value(1)), MAILBOX_POSTED);
    mailbox_on_event(&box, &ev); /* while the next is on its way */
    assert_int_equal(box.stale_count, 2);
    assert_false(mailbox_is_idle(&box));
    assert_true(end(0, 0).value == 1);
    assert_true(mailbox_is_idle(&box));
}

/* At random: every mail arrives once and in order, or comes back once, or was refused. */
static void test_random(void **state)
{
    (void)state;
    struct rng rng;
    uint64_t next_value[TARGETS] = {0}, arrived[TARGETS] = {0}, returned[TARGETS] = {0};
    uint64_t last_arrived[TARGETS] = {0};
    rng_init(&rng, 1);
    for (int step = 0; step < 200000; step++) {
        uint32_t i = (uint32_t)rng_below(&rng, TARGETS);
        uint64_t what = rng_below(&rng, 100);
        if (what < 45) {
            if (mailbox_post(&box, i, mail_value(next_value[i] + 1)) == MAILBOX_POSTED)
                next_value[i]++;
        } else if (what < 90 && fake.count > 0) {
            uint32_t k = (uint32_t)rng_below(&rng, fake.count);
            uint32_t target = (uint32_t)fake.sent[k].token.idx;
            uint64_t fate = rng_below(&rng, 100);
            struct mail mail = end(k, fate < 75 ? 0 : (fate < 99 ? -EOVERFLOW : -EBADFD));
            if (fate < 75) {
                assert_true(mail.value > last_arrived[target]);
                last_arrived[target] = mail.value;
                arrived[target]++;
            }
        } else if (what < 99) {
            fake.now += rng_below(&rng, 10 * NS_PER_MS);
            mailbox_turn(&box);
        } else if (rng_below(&rng, 10) == 0) {
            mailbox_close(&box, i);
        }
        struct mail mail;
        uint32_t target;
        while (mailbox_next_returned(&box, &target, &mail)) {
            assert_true(mail.value > last_arrived[target]);
            returned[target]++;
        }
        if (!box.targets[i].is_open && box.targets[i].count == 0)
            mailbox_open(&box, i, (int)i);
        for (uint32_t t = 0; t < TARGETS; t++)
            assert_true(arrived[t] + returned[t] + box.targets[t].count == next_value[t]);
    }
    assert_true(arrived[0] > 1000 && returned[0] > 10 && box.full_count > 1000);
    assert_int_equal(box.stale_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_value_and_block, set_up),
        cmocka_unit_test_setup(test_order, set_up),
        cmocka_unit_test_setup(test_bounds, set_up),
        cmocka_unit_test_setup(test_back_off, set_up),
        cmocka_unit_test_setup(test_gone, set_up),
        cmocka_unit_test_setup(test_close, set_up),
        cmocka_unit_test_setup(test_stale, set_up),
        cmocka_unit_test_setup(test_random, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
