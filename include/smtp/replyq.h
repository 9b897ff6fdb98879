/* SPDX-License-Identifier: Apache-2.0 */
/* replyq.h - reply slots: reserved in order, filled in any order, sent in order. */
#ifndef SMTP_REPLYQ_H
#define SMTP_REPLYQ_H

#include "base/slice.h"
#include "smtp/status.h"

/* Power of two; the last one is kept for the reply that closes a session. */
#define REPLYQ_SLOTS 8

/* Meaning belongs to the session; the queue only keeps it. */
struct replyq_slot {
    union {
        const uint8_t *text; /* with @text_len > 0 */
        uint64_t number;     /* octets of a chunk */
    };
    uint16_t text_len;
    uint16_t code;   /* 0: the status' own */
    uint8_t subject; /* with @has_enhanced; the class is the first digit of the code */
    uint8_t detail;
    uint8_t status; /* enum status */
    uint8_t kind : 4;
    uint8_t is_ready : 1;
    uint8_t is_bare : 1; /* never an enhanced code */
    uint8_t has_enhanced : 1;
    uint8_t is_utf8 : 1; /* the text may be UTF-8 */
};
static_assert(sizeof(struct replyq_slot) == 16, "an idle session is small");

struct replyq {
    struct replyq_slot slots[REPLYQ_SLOTS];
    uint32_t head_seq; /* sequence number of the oldest slot */
    uint8_t count;
    uint8_t open_count; /* reserved and not filled */
};

/* replyq_init() - empty, no slot was ever given out. */
void replyq_init(struct replyq *q);

/* replyq_has_room() - a slot can be reserved, and one more for closing is left. */
bool replyq_has_room(const struct replyq *q);

/* replyq_reserve() - take the next slot; its number stays valid until it was popped. */
uint32_t replyq_reserve(struct replyq *q, uint8_t kind);

/* replyq_reserve_last() - the slot that is kept for closing; nothing can be reserved after it. */
uint32_t replyq_reserve_last(struct replyq *q, uint8_t kind);

/* replyq_at() - the slot with number @seq, or NULL when it was popped or never reserved. */
struct replyq_slot *replyq_at(struct replyq *q, uint32_t seq);

/* replyq_fill() - decide a slot that was not decided before. */
void replyq_fill(struct replyq *q, uint32_t seq, const struct answer *a);

/* replyq_front() - the oldest slot, ready or not; NULL when empty. */
struct replyq_slot *replyq_front(struct replyq *q);

/* replyq_pop() - the oldest slot, which is ready, has been formatted. */
void replyq_pop(struct replyq *q);

/* replyq_drop_last() - take back the newest slot, which is not ready. */
void replyq_drop_last(struct replyq *q);

/* replyq_slot_answer() - what a filled slot says. */
struct answer replyq_slot_answer(const struct replyq_slot *slot);

#endif
