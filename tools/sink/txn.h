/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn.h - one message: envelope, content as far as somebody wants to know it, and what became of
 * each recipient. Its memory is used again for the next one.
 */
#ifndef SINK_TXN_H
#define SINK_TXN_H

#include "base/clock.h"
#include "base/list.h"
#include "place.h"
#include "script.h"
#include "store.h"
#include "trace/arrivals.h"

#define TXN_REPLY_NEVER UINT64_MAX

enum txn_stage {
    TXN_PLACE,  /* waits for its turn */
    TXN_BEFORE, /* what is done with the content (T0) */
    TXN_EACH,   /* recipients (Tr) */
    TXN_FINAL,  /* between the last one's reply and the final one (Tf) */
    TXN_WRITE,  /* all are written at once */
    TXN_DONE,
};

enum txn_work { TXN_WORK_NONE, TXN_WORK_BEGUN, TXN_WORK_WRITING, TXN_WORK_DECIDED };

struct sink_rcpt {
    uint32_t text_at; /* address, in txn.text */
    uint32_t text_len;
    uint32_t rcpt_idx; /* among all RCPTs of the transaction */
    uint16_t code;     /* what it was answered after the content */
    uint8_t work;      /* enum txn_work */
    uint8_t drop;      /* enum script_drop, instead of his reply */
    uint8_t tweak;     /* enum script_tweak, of his line */
    bool has_answer;
    bool is_accepted;
    bool is_committed;
    bool is_suppressed;   /* a copy is here already */
    bool is_held;         /* refused, and taken with the others by the one reply (CORE-8) */
    bool has_line;        /* of his own in a block */
    wall_us at;           /* when it was committed */
    struct answer answer; /* that the script has for him */
    uint64_t tweak_number;
    struct slice tweak_text;
    clock_ns due; /* of what he is at: see txn_push_work() */
    uint64_t due_order;
    uint64_t reply_end; /* octets of the connection's output with its reply; TXN_REPLY_NEVER */
    uint64_t own_end;   /* the same with his own line, where another reply counts for him */
};

struct txn {
    struct list link; /* on conn.settling, or on the worker's spare ones */
    uint32_t number;  /* on the connection, from 1 */
    uint32_t rcpt_seen;
    uint32_t rcpt_count;
    uint32_t rcpt_cap;
    struct sink_rcpt *rcpts;
    struct session_entry *entries; /* as many */
    uint8_t *text;                 /* sender, then addresses */
    uint32_t text_len;
    uint32_t text_cap;
    uint32_t sender_len;
    uint8_t *head; /* start of the content, for the identity */
    uint32_t head_len;
    void *hash; /* XXH3 state; NULL before it was needed */
    bool is_hashing;
    bool is_keeping_head;
    bool has_id;
    struct identity id;
    uint32_t attempt;
    enum dialect dialect;
    uint64_t content_bytes;
    uint64_t content_hash;
    struct store_file stored;
    struct script_effect dot; /* what was decided for the whole message */
    struct answer refusal;    /* of one for whom only the whole message can be refused */
    struct answer whole;      /* what the session demands, or STATUS_NONE */
    uint32_t line_idx;        /* recipients decided who have a line of their own */
    uint32_t lines_said;      /* of the replies to the content */
    uint32_t lines_max;       /* then the connection ends; 0: no limit */
    uint64_t answer_bytes;    /* the same in octets */
    bool is_naming;           /* ADAT: the recipients come after the content */
    bool is_answering;        /* what is formatted is about this message */
    bool is_promised;         /* the opening line makes everybody ours (HOL-12) */
    bool is_last_due;         /* the last reply has been given to the session */
    bool has_failed;          /* the store did: it cannot be taken */
    struct scan scan;

    /* Behind the content. All times are those when something is due; CLOCK_NEVER: nothing. */
    struct conn *conn; /* whose it is */
    struct place place;
    enum txn_stage stage;
    uint32_t begun_count, decided_count, writing_count;
    uint32_t answered_idx; /* the first one without an answer */
    uint32_t shown_idx;    /* the first one whose line has not been formatted */
    uint32_t tweak_count;  /* recipients whose line will not be what it should be */
    bool is_dropping;      /* it ends when nothing is being written any more */
    bool is_unheard;       /* a reply could not be sent */
    bool is_writing_opener, is_opener_written;
    clock_ns dot_at, due_at; /* the end of the content; of what was done last */
    clock_ns answered_at;    /* the last line */
    clock_ns stage_at;       /* the end of the stage, but for EACH */
    clock_ns opener_at, opener_written_at;
    clock_ns budget_at, gap_at;
    uint32_t *works; /* heap of recipients, by due; rcpt_cap of them */
    uint32_t work_count;
    uint64_t work_order;
    wall_us opener_wall; /* when the whole message was taken (COMMIT_OPENER) */
};

#define TXN_HEAD_BYTES_MAX (16 * KIB)

/* txn_new(), txn_free() - NULL: no memory. */
struct txn *txn_new(void);
void txn_free(struct txn *t);
/* txn_begin() - a new message; everything of the last one is forgotten, its memory is kept. */
void txn_begin(struct txn *t, uint32_t number, struct slice sender);
/* txn_add_rcpt() - false: no memory. */
MUST_CHECK bool txn_add_rcpt(struct txn *t, uint32_t rcpt_idx, struct slice address);
/* txn_begin_content() - what is wanted of it; false: no memory. */
MUST_CHECK bool txn_begin_content(struct txn *t, bool wants_hash, bool wants_head);
void txn_body(struct txn *t, const struct slices *parts);
/* txn_end_content() - size, hash and identity are known now. */
void txn_end_content(struct txn *t, const struct scan_result *scan);

/* txn_push_work() - recipient @idx has something to do that is over at @due; what is due at the
 * same time is over in the order in which it was begun. */
void txn_push_work(struct txn *t, uint32_t idx, clock_ns due);
/* txn_first_work() - whose is over first; UINT32_MAX: there is none. */
uint32_t txn_first_work(const struct txn *t);
void txn_pop_work(struct txn *t);

struct slice txn_sender(const struct txn *t);
struct slice txn_rcpt(const struct txn *t, uint32_t idx);

#endif
