/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replyq.c - a ring of reply slots.
 *
 * Commands reserve slots in the order in which they came; answers fill them in any order; the
 * session formats from the front as far as slots are ready. So a reply can never overtake another,
 * and a slow answer holds back only what is behind it. A slot is 16 bytes: status, codes and a
 * borrowed text.
 *
 * Invariants: head_seq counts slots popped; slots head_seq .. head_seq+count-1 are live;
 * open_count of them are not ready. One slot is kept back for the last words of a session.
 */
#include "smtp/replyq.h"
#include "base/assert.h"

static_assert((REPLYQ_SLOTS & (REPLYQ_SLOTS - 1)) == 0, "index by mask");
static_assert(STATUS_COUNT <= 256, "status fits a byte");

void replyq_init(struct replyq *q)
{
    q->head_seq = 0;
    q->count = 0;
    q->open_count = 0;
}

bool replyq_has_room(const struct replyq *q)
{
    return q->count < REPLYQ_SLOTS - 1;
}

static uint32_t reserve(struct replyq *q, uint8_t kind)
{
    ASSERT(q->count < REPLYQ_SLOTS);
    uint32_t seq = q->head_seq + q->count;
    q->slots[seq & (REPLYQ_SLOTS - 1)] = (struct replyq_slot){.kind = kind & 15};
    q->count++;
    q->open_count++;
    return seq;
}

uint32_t replyq_reserve(struct replyq *q, uint8_t kind)
{
    ASSERT(replyq_has_room(q));
    return reserve(q, kind);
}

uint32_t replyq_reserve_last(struct replyq *q, uint8_t kind)
{
    return reserve(q, kind);
}

struct replyq_slot *replyq_at(struct replyq *q, uint32_t seq)
{
    if (seq - q->head_seq >= q->count)
        return NULL;
    return &q->slots[seq & (REPLYQ_SLOTS - 1)];
}

void replyq_fill(struct replyq *q, uint32_t seq, const struct answer *a)
{
    struct replyq_slot *slot = replyq_at(q, seq);
    ASSERT(slot != NULL);
    ASSERT(!slot->is_ready);
    ASSERT(q->open_count > 0);
    slot->status = (uint8_t)a->status;
    slot->code = a->code;
    slot->has_enhanced = a->enhanced[0] != 0;
    slot->subject = a->enhanced[1];
    slot->detail = a->enhanced[2];
    if (a->text.len > 0) {
        slot->text = a->text.ptr;
        slot->text_len = (uint16_t)size_min(a->text.len, UINT16_MAX);
    }
    slot->is_ready = true;
    q->open_count--;
}

struct replyq_slot *replyq_front(struct replyq *q)
{
    return q->count > 0 ? &q->slots[q->head_seq & (REPLYQ_SLOTS - 1)] : NULL;
}

void replyq_pop(struct replyq *q)
{
    ASSERT(q->count > 0);
    ASSERT(replyq_front(q)->is_ready);
    q->head_seq++;
    q->count--;
}

void replyq_drop_last(struct replyq *q)
{
    ASSERT(q->count > 0);
    ASSERT(!replyq_at(q, q->head_seq + q->count - 1)->is_ready);
    q->count--;
    q->open_count--;
}

struct answer replyq_slot_answer(const struct replyq_slot *slot)
{
    struct answer a = {.status = (enum status)slot->status, .code = slot->code};
    if (slot->has_enhanced) {
        a.enhanced[0] = status_row(a.status)->enhanced[0];
        a.enhanced[1] = slot->subject;
        a.enhanced[2] = slot->detail;
    }
    if (slot->text_len > 0)
        a.text = slice_of(slot->text, slot->text_len);
    return a;
}
