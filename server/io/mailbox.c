/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox.c - letters on their way to other rings.
 *
 * Each target has a queue of letters, and at most the first of it is with the kernel: so order
 * holds, a result needs no search, and a target is never flooded beyond what it has refused. A
 * letter is free, in its target's queue, or returned.
 *
 *   CLOSED --open--> IDLE --post--> SENDING --taken, queue empty--> IDLE
 *                                     ^  | full          | gone, close
 *                              retry_at  v               v
 *                                      WAITING         CLOSED, letters returned
 *
 * What the kernel says about a message:
 *   0                                   taken
 *   -EOVERFLOW -EAGAIN -ENOMEM -EBUSY   full: the target has to gather, or memory is short
 *   -EINTR                              the same: nothing is known against the target
 *   anything else                       gone: -EBADF, -EBADFD (not a ring), -EOWNERDEAD ...
 */
#include "io/mailbox.h"
#include <errno.h>
#include <string.h>

static struct mailbox_letter *letter_at(struct mailbox *m, uint16_t ref)
{
    ASSERT(ref > 0 && ref <= MAILBOX_LETTER_COUNT_MAX);
    return &m->letters[ref - 1];
}

static void chain_append(struct mailbox *m, uint16_t *first, uint16_t *last, uint16_t ref)
{
    letter_at(m, ref)->next = 0;
    if (*first == 0)
        *first = ref;
    else
        letter_at(m, *last)->next = ref;
    *last = ref;
}

static uint16_t chain_take(struct mailbox *m, uint16_t *first)
{
    uint16_t ref = *first;
    *first = letter_at(m, ref)->next;
    return ref;
}

static void letter_free(struct mailbox *m, uint16_t ref)
{
    letter_at(m, ref)->next = m->free;
    m->free = ref;
    ASSERT(m->letter_count > 0);
    m->letter_count--;
}

void mailbox_init(struct mailbox *m, struct ring *ring, uint8_t owner)
{
    memset(m, 0, sizeof(*m));
    m->ring = ring;
    m->owner = owner;
    for (uint16_t ref = MAILBOX_LETTER_COUNT_MAX; ref > 0; ref--) {
        m->letters[ref - 1].next = m->free;
        m->free = ref;
    }
}

void mailbox_open(struct mailbox *m, uint32_t target_idx, int ring_fd)
{
    ASSERT(target_idx < MAILBOX_TARGET_COUNT_MAX);
    struct mailbox_target *t = &m->targets[target_idx];
    ASSERT(!t->is_open && t->count == 0);
    t->ring_fd = ring_fd;
    t->is_open = true;
    t->backoff_ns = 0;
}

static void target_wake(struct mailbox *m, struct mailbox_target *t)
{
    if (t->backoff_ns == 0)
        return;
    t->backoff_ns = 0;
    m->waiting_count--;
}

static void return_first(struct mailbox *m, struct mailbox_target *t)
{
    chain_append(m, &m->returned_first, &m->returned_last, chain_take(m, &t->first));
    t->count--;
}

void mailbox_close(struct mailbox *m, uint32_t target_idx)
{
    ASSERT(target_idx < MAILBOX_TARGET_COUNT_MAX);
    struct mailbox_target *t = &m->targets[target_idx];
    t->is_open = false;
    target_wake(m, t);
    if (t->is_sending) /* it is taken or returned when its result comes; so is the rest */
        return;
    while (t->count > 0)
        return_first(m, t);
}

static void send_first(struct mailbox *m, struct mailbox_target *t)
{
    const struct mail *mail = &letter_at(m, t->first)->mail;
    struct ring_token token = {
        .kind = RING_MESSAGE_SENT,
        .owner = m->owner,
        .generation = ++t->generation,
        .idx = (uint32_t)(t - m->targets),
    };
    t->is_sending = true;
    ring_message(m->ring, t->ring_fd, mail->value | (uint64_t)mail->tag << MAIL_VALUE_BITS,
                 mail->len, token);
}

enum mailbox_result mailbox_post(struct mailbox *m, uint32_t target_idx, struct mail mail)
{
    ASSERT(target_idx < MAILBOX_TARGET_COUNT_MAX);
    ASSERT(mail.value >> MAIL_VALUE_BITS == 0);
    struct mailbox_target *t = &m->targets[target_idx];
    if (!t->is_open)
        return MAILBOX_CLOSED;
    if (t->count == MAILBOX_WAITING_MAX || m->free == 0)
        return MAILBOX_FULL;
    uint16_t ref = chain_take(m, &m->free);
    struct mailbox_letter *letter = letter_at(m, ref);
    letter->mail = mail;
    letter->target_idx = (uint16_t)target_idx;
    m->letter_count++;
    chain_append(m, &t->first, &t->last, ref);
    t->count++;
    if (t->count == 1)
        send_first(m, t);
    return MAILBOX_POSTED;
}

static void target_wait(struct mailbox *m, struct mailbox_target *t)
{
    m->full_count++;
    if (t->backoff_ns == 0)
        m->waiting_count++;
    t->backoff_ns =
        u64_min(u64_max(2 * t->backoff_ns, MAILBOX_BACKOFF_NS_MIN), MAILBOX_BACKOFF_NS_MAX);
    t->retry_at = ring_now(m->ring) + t->backoff_ns;
}

void mailbox_on_event(struct mailbox *m, const struct ring_event *ev)
{
    ASSERT(ev->token.kind == RING_MESSAGE_SENT && ev->token.idx < MAILBOX_TARGET_COUNT_MAX);
    struct mailbox_target *t = &m->targets[ev->token.idx];
    if (!t->is_sending || ev->token.generation != t->generation) {
        m->stale_count++;
        return;
    }
    t->is_sending = false;
    switch (ev->res) {
    case -EOVERFLOW:
    case -EAGAIN:
    case -ENOMEM:
    case -EBUSY:
    case -EINTR:
        if (t->is_open)
            target_wait(m, t);
        break;
    default:
        if (ev->res < 0) {
            t->is_open = false;
            break;
        }
        letter_free(m, chain_take(m, &t->first));
        t->count--;
        target_wake(m, t);
        if (t->is_open && t->count > 0)
            send_first(m, t);
        break;
    }
    if (!t->is_open)
        mailbox_close(m, ev->token.idx);
}

void mailbox_turn(struct mailbox *m)
{
    clock_ns now = ring_now(m->ring);
    for (uint32_t i = 0; m->waiting_count > 0 && i < MAILBOX_TARGET_COUNT_MAX; i++) {
        struct mailbox_target *t = &m->targets[i];
        if (t->backoff_ns > 0 && !t->is_sending && t->retry_at <= now)
            send_first(m, t);
    }
}

clock_ns mailbox_next_due(const struct mailbox *m)
{
    clock_ns due = CLOCK_NEVER;
    for (uint32_t i = 0; m->waiting_count > 0 && i < MAILBOX_TARGET_COUNT_MAX; i++) {
        const struct mailbox_target *t = &m->targets[i];
        if (t->backoff_ns > 0 && !t->is_sending)
            due = u64_min(due, t->retry_at);
    }
    return due;
}

bool mailbox_next_returned(struct mailbox *m, uint32_t *ret_target_idx, struct mail *ret_mail)
{
    if (m->returned_first == 0)
        return false;
    uint16_t ref = chain_take(m, &m->returned_first);
    *ret_target_idx = letter_at(m, ref)->target_idx;
    *ret_mail = letter_at(m, ref)->mail;
    letter_free(m, ref);
    return true;
}
