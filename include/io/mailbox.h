/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mailbox.h - messages from one thread to the rings of others.
 *
 * A mail is a tag and a small value, or a tag and a block whose ownership goes with it. One thread
 * owns a mailbox and posts; whoever owns the target ring reads the mail off its events with
 * mailbox_read(). Order holds per target.
 *
 * Nobody waits: posting returns at once, and room is bounded, per target and in all. A target that
 * is full is asked again after a while, the sender goes on meanwhile. Mail for a target that is
 * gone comes back (mailbox_next_returned()), so that a block has an owner at any time.
 *
 * A mail that was taken by a target's ring, whose thread then ends without looking, is lost:
 * threads that give blocks to each other read their ring to the end before they stop.
 */
#ifndef IO_MAILBOX_H
#define IO_MAILBOX_H

#include "base/assert.h"
#include "base/limits.h"
#include "io/ring.h"

#define MAILBOX_TARGET_COUNT_MAX SHARD_COUNT_MAX
#define MAILBOX_LETTER_COUNT_MAX 512 /* not yet taken by their targets, in all */
#define MAILBOX_WAITING_MAX 16       /* the same, for one target */
#define MAILBOX_BACKOFF_NS_MIN NS_PER_MS
#define MAILBOX_BACKOFF_NS_MAX (64 * NS_PER_MS)
#define MAIL_VALUE_BITS 48 /* a pointer of a user process fits */

static_assert(MAILBOX_LETTER_COUNT_MAX >= MAILBOX_TARGET_COUNT_MAX, "one for each target fits");

struct mail {
    uint8_t tag;    /* meaning agreed between sender and target */
    uint64_t value; /* MAIL_VALUE_BITS bits */
    uint32_t len;   /* of a block; else a second value */
};

struct mailbox_letter {
    struct mail mail;
    uint16_t target_idx;
    uint16_t next; /* index + 1; 0: last */
};

struct mailbox_target {
    int ring_fd;
    bool is_open;
    bool is_sending;     /* the first letter is with the kernel */
    uint16_t generation; /* of the letter being sent */
    uint16_t first;      /* letters, as in mailbox_letter.next */
    uint16_t last;
    uint16_t count;
    uint64_t backoff_ns; /* 0: the last attempt went well */
    clock_ns retry_at;
};

struct mailbox {
    struct ring *ring;
    uint8_t owner;           /* of the ring tokens */
    uint16_t free;           /* letters, as in mailbox_letter.next */
    uint16_t returned_first; /* letters that could not be delivered */
    uint16_t returned_last;
    uint32_t letter_count;  /* in use, returned ones included */
    uint32_t waiting_count; /* targets that are asked again later */
    uint64_t full_count;    /* attempts that found a target full */
    uint64_t stale_count;   /* results that belong to nothing */
    struct mailbox_target targets[MAILBOX_TARGET_COUNT_MAX];
    struct mailbox_letter letters[MAILBOX_LETTER_COUNT_MAX];
};

enum mailbox_result {
    MAILBOX_POSTED = 1,
    MAILBOX_FULL,   /* too much is on its way already: try later, or do without */
    MAILBOX_CLOSED, /* the target is not there (any more) */
};

/* mailbox_init() - no targets yet; tokens of @ring carry @owner. */
void mailbox_init(struct mailbox *m, struct ring *ring, uint8_t owner);

/* mailbox_open() - @target_idx stands for the ring with descriptor @ring_fd from now on. */
void mailbox_open(struct mailbox *m, uint32_t target_idx, int ring_fd);
/* mailbox_close() - what waits for the target comes back; may be called twice. */
void mailbox_close(struct mailbox *m, uint32_t target_idx);

/* mailbox_post() - on MAILBOX_POSTED, a block belongs to the target, or comes back later. */
MUST_CHECK enum mailbox_result mailbox_post(struct mailbox *m, uint32_t target_idx,
                                            struct mail mail);

/* mailbox_on_event() - a RING_MESSAGE_SENT event with this mailbox's owner. */
void mailbox_on_event(struct mailbox *m, const struct ring_event *ev);
/* mailbox_turn() - once a turn: ask again those targets whose time has come. */
void mailbox_turn(struct mailbox *m);
/* mailbox_next_due() - when mailbox_turn() has something to do, CLOCK_NEVER when nothing waits. */
clock_ns mailbox_next_due(const struct mailbox *m);

/* mailbox_next_returned() - mail that could not be delivered; the caller owns its block again. */
bool mailbox_next_returned(struct mailbox *m, uint32_t *ret_target_idx, struct mail *ret_mail);

/* mailbox_is_idle() - all mail was taken by its targets, or has come back and was fetched. */
static inline bool mailbox_is_idle(const struct mailbox *m)
{
    return m->letter_count == 0;
}

/* mailbox_read() - the mail of a RING_MESSAGE event. */
static inline struct mail mailbox_read(const struct ring_event *ev)
{
    ASSERT(ev->token.kind == RING_MESSAGE);
    return (struct mail){
        .tag = (uint8_t)(ev->value >> MAIL_VALUE_BITS),
        .value = ev->value & (((uint64_t)1 << MAIL_VALUE_BITS) - 1),
        .len = ev->len,
    };
}

/* mail_of_block() - @block belongs to the reader; it is not NULL. */
static inline struct mail mail_of_block(uint8_t tag, void *block, uint32_t len)
{
    ASSERT(block != NULL);
    return (struct mail){.tag = tag, .value = (uint64_t)(uintptr_t)block, .len = len};
}

/* mail_block() - the block of a mail whose tag says that it has one. */
static inline void *mail_block(const struct mail *mail)
{
    return (void *)(uintptr_t)mail->value;
}

#endif
