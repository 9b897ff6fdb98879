/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn.h - one message: envelope arena, recipients with verdicts, body parts, spool handle.
 *
 * Taken from the shard's pool at MAIL, given back when its last reply has been formatted and no
 * write borrows its memory. It may outlive its connection: a commit that is under way when the
 * client vanishes is finished and logged.
 */
#ifndef TXN_H
#define TXN_H

#include "chunk.h"
#include "base/arena.h"
#include "io/timer.h"
#include "policy/policy.h"
#include "scan/rules.h"
#include "scan/scan.h"
#include "smtp/session.h"
#include "spool/spool.h"

struct conn;
struct listener_options;
struct shard;
struct shard_epoch;

/* Slices up to this size are copied together once a message has many of them (dots that were
 * removed make one slice a line). */
#define TXN_COPY_BYTES_MAX ((size_t)512)
/* Parts of a body that wait in memory; more are joined by copying (small parts) or handed on. */
#define TXN_PARTS_MAX 96
/* A window whose share of this body is smaller is not worth holding a receive buffer for once the
 * handler returns: the bytes are copied into a chunk. (bench: pin_bytes in ARCHITECTURE.md) */
#define TXN_PIN_BYTES_MIN ((size_t)8 * KIB)
/* A body that has gathered this much starts flowing to the spool while it arrives. */
#define TXN_STREAM_BYTES ((size_t)256 * KIB)
/* Bytes of one message handed over and not yet written at which its sender is made to wait, even
 * with every receive buffer free. What he has sent by then, a turn's worth, is still taken in. */
#define TXN_PENDING_BYTES_MAX ((size_t)4 * MIB)
static_assert(TXN_PENDING_BYTES_MAX >= 8 * TXN_STREAM_BYTES,
              "while some of it is being written, the next gathers");
/* Recipients that fit without taking a table from the pools. */
#define TXN_RCPTS_INLINE 8

enum txn_state {
    TXN_ENVELOPE,   /* MAIL accepted, recipients arrive */
    TXN_CONTENT,    /* content arrives; spool_begin() was called */
    TXN_WORKING,    /* content complete, recipients are worked on one by one (work.c) */
    TXN_COMMITTING, /* handed to the spool, outcome outstanding */
    TXN_REPLYING,   /* decided; entries and texts are in use until formatted */
};

/* How far the work on a recipient is; only while TXN_WORKING. */
enum txn_stage {
    TXN_STAGE_OPEN,    /* at work: his verdict is not known */
    TXN_STAGE_DECIDED, /* he accepts, and has to be stored */
    TXN_STAGE_STORING, /* a commit that names him is under way */
    TXN_STAGE_DONE,    /* stored, or refused: his answer is final */
};

struct txn_rcpt {
    struct slice address;
    struct slice orcpt;
    uint16_t class_idx;
    uint16_t rcpt_code; /* what RCPT was answered (PRDR-20, DEF-5) */
    uint8_t notify;
    uint8_t stage;       /* enum txn_stage */
    bool is_waiting;     /* the message was committed while he was not decided ... */
    bool is_taken;       /* ... and a record about him followed */
    uint32_t stored_idx; /* his place in the commit record */
    clock_ns due;        /* when the work on him ends */
};

/* Recipient tables come in sizes: 128, 1024 and RCPT_COUNT_HARD_MAX entries. */
#define TXN_RCPT_TABLE_COUNT 3
/* txn_rcpt_table_bytes() - size of one table of the pool @table_idx. */
size_t txn_rcpt_table_bytes(uint32_t table_idx);

struct txn_phases { /* when each began; 0: not reached */
    clock_ns mail, content, end, decided, committed, replied;
};

struct txn {
    struct list link;    /* on shard->pinned while receive buffers are pinned, else detached */
    struct list sending; /* on shard->sending while content arrives that is kept, else detached */
    struct conn *conn;   /* NULL once the connection is gone */
    struct shard_epoch *epoch;
    enum txn_state state;
    bool spool_begun;
    bool is_dropping;    /* content is read on but not stored; store_answer says why */
    bool is_draining;    /* aborted, the spool still borrows memory */
    bool is_opened;      /* the block of replies was opened before the outcome was known */
    bool is_replied;     /* nothing more to say to the client */
    bool has_one_reply;  /* plain SMTP: all verdicts must be alike */
    bool is_naming;      /* ADAT: the content is here, recipients are being named */
    bool is_mixed;       /* verdicts were rewritten to fit one reply (policy_mix) */
    bool is_client_gone; /* vanished after the end of data */
    bool has_entries;    /* the session knows about entries[] */
    bool takes_each;     /* working: each recipient is committed before his own reply */
    bool is_long;        /* working: it takes so long that a block is opened early */
    bool is_storing;     /* working: a commit of some of them is under way */
    bool is_committed;   /* working: the message is stored, for some of them at least */
    bool is_over_budget; /* the reply budget ended before everybody was decided and stored */
    bool is_void;        /* a commit was taken back; its outcome is still to come */
    bool is_esmtp;       /* working: of the session, which may be gone by the commit */
    struct spool_message message;
    struct mail_params mail; /* slices into the arena */
    struct slice reverse_path;
    uint64_t size_max;          /* the listener's */
    struct answer store_answer; /* why is_dropping */
    struct answer whole;        /* what the machine demanded for the whole message */

    struct txn_rcpt *rcpts;
    struct session_entry *entries;
    struct policy_verdict *verdicts;
    uint32_t rcpt_count;
    uint32_t rcpt_cap;
    uint32_t rcpts_refused; /* RCPT commands answered 4xx or 5xx */

    uint32_t part_count;
    size_t part_bytes;      /* in parts[] */
    uint32_t settled_count; /* parts[0..settled_count) belong to windows handled before */
    struct timer timer;     /* working: the next recipient, or the end of the work on the content */
    clock_ns work_at;       /* working: when the work on the content ends */
    clock_ns budget_at;     /* since the end of data: when the reply budget ends */
    clock_ns said_at;       /* of an opened block: the last reply */
    clock_ns life_at;       /* of an opened block: the last sign of life */
    clock_ns pinned_since;  /* 0: no receive buffer is pinned, and nothing was moved out of one */
    struct chunk *tail;     /* chunk that copies go to, or NULL */

    struct rules_stream *rules;
    struct rules_worker *rules_worker;
    struct rules_hits hits;
    struct txn_phases phases;
    wall_us received_at;
    const struct listener_options *listener; /* outlives the shard */
    enum dialect dialect;                    /* since the end of data */
    struct slice client_text;                /* as logged: "192.0.2.1:1234" */
    struct slice helo;                       /* once working, or the connection is gone: a copy */
    struct arena arena;                      /* over arena_first, then over chunks */
    uint32_t arena_chunk_count;              /* of arena_chunks */

    /* From here on nothing is cleared when a transaction begins. */
    struct chunk *arena_chunks[64];
    char queue_id_text[QUEUE_ID_CHARS + 1];
    char stored_text[10 + QUEUE_ID_CHARS + 1]; /* "stored as " */
    char client_memory[64];
    struct sockaddr_storage peer; /* once working */
    struct scan_result result;
    struct scan scan;
    struct spool_part parts[TXN_PARTS_MAX];
    struct txn_rcpt rcpts_inline[TXN_RCPTS_INLINE];
    struct session_entry entries_inline[TXN_RCPTS_INLINE];
    struct policy_verdict verdicts_inline[TXN_RCPTS_INLINE];
    uint8_t arena_first[1024];
};

/* txn_new() - for an accepted MAIL; NULL when the pool is empty. */
struct txn *txn_new(struct shard *sh, struct conn *c, const struct session_event *ev);

/* txn_rcpt_refused() - one of its RCPT is refused with @answer: logged and counted. */
void txn_rcpt_refused(struct shard *sh, struct txn *t, struct slice rcpt, struct answer answer);

/* txn_rcpt() - decide a RCPT and, when accepted, add it. */
struct answer txn_rcpt(struct shard *sh, struct txn *t, const struct session_event *ev);

/* txn_begin_content() - reserve a place in the spool and prepare the scan; STATUS_NONE when content
 * may come. */
struct answer txn_begin_content(struct shard *sh, struct txn *t);

/* txn_body() - body slices of one event; @w is the window that they point into (or static). */
void txn_body(struct shard *sh, struct txn *t, const struct slices *parts, const struct window *w);

/* txn_settle() - the window that the last parts point into is about to be given up by the
 * connection while the message is unfinished: copy small shares, stream large bodies on. */
void txn_settle(struct shard *sh, struct txn *t);

/* txn_must_wait() - its sender has to stop until the spool has caught up: more of this message
 * waits to be written than its share of the receive buffers, which shrinks as they fill up. */
bool txn_must_wait(const struct shard *sh, const struct txn *t);

/* txn_evacuate() - free every receive buffer that this transaction has pinned. */
void txn_evacuate(struct shard *sh, struct txn *t);

/* txn_end() - content complete: decide every recipient; commit or refuse. */
void txn_end(struct shard *sh, struct txn *t, const struct session_event *ev);

/* txn_name_rcpts() - ADAT: content complete, its recipients are to be named; or refuse it. */
void txn_name_rcpts(struct shard *sh, struct txn *t, const struct session_event *ev);

/* txn_commit_named() - ADAT: all have been named: commit. */
void txn_commit_named(struct shard *sh, struct txn *t);

/* txn_is_deciding() - its content is complete, and its client waits for us. */
static inline bool txn_is_deciding(const struct txn *t)
{
    return t->state == TXN_WORKING || t->state == TXN_COMMITTING;
}

/* txn_may_open_replies() - the dialect has a block that was not opened, and whose rules can be kept
 * however long the store takes (DEF-18). */
bool txn_may_open_replies(const struct txn *t);

/* txn_open_replies() - where the dialect has a reply for each recipient, show a sign of life
 * (PRDR-17, HOL-9) and answer those who are refused whatever the outcome (LMTP-11): when the
 * outcome takes a while, and at once when no one reply will fit all. */
void txn_open_replies(struct txn *t);

/*
 * txn_foretell() - tell @copy, a copy of its session, that it is stored, while it is being
 * committed
 * @entries: the copy's, as session_copy() left them
 */
void txn_foretell(struct txn *t, struct session *copy, struct session_entry *entries);
/* txn_expire() - the reply budget has ended while its commit is under way: everybody who relies on
 * it is told 451, and it is taken back. Its outcome is not known yet. */
void txn_expire(struct shard *sh, struct txn *t);

/* txn_on_outcome() - the spool says what became of it. */
void txn_on_outcome(struct shard *sh, struct txn *t);

/* txn_abort() - drop it (RSET, lost client, timeout). @why is for the log. Frees or drains. */
void txn_abort(struct shard *sh, struct txn *t, const char *why);

/* txn_detach() - the connection is gone: abort what is not on its way to the disk (DUP-17), finish
 * what is; with listener_options.finishes_vanished, finish all that was decided upon. */
void txn_detach(struct shard *sh, struct txn *t);

/* What work.c shares with txn.c. */
struct answer txn_answer_for_outcome(enum spool_outcome outcome);
/* txn_hand_over() - all of the body to the spool: it will hold no receive buffers. */
void txn_hand_over(struct shard *sh, struct txn *t);
/* txn_keep_helo() - its client's name, for when he is gone. */
void txn_keep_helo(struct shard *sh, struct txn *t);
/* txn_take_back() - its commit, unless that is on its way to the disk already. True: nothing of it
 * will be stored; it comes home by txn_on_outcome(). */
MUST_CHECK bool txn_take_back(struct shard *sh, struct txn *t);
/* txn_make_verdicts() - what each recipient's class says to the content, and in which dialect. */
void txn_make_verdicts(struct txn *t, const struct conn *c);
/* txn_mix_verdicts() - make them fit one reply, where there is only one. */
void txn_mix_verdicts(struct txn *t);
/* txn_verdict_is_stored() - it asks for a copy in the spool. */
static inline bool txn_verdict_is_stored(const struct policy_verdict *v)
{
    return v->action == POLICY_ACCEPT || v->action == POLICY_QUARANTINE;
}
struct answer txn_accept_answer(struct txn *t, const struct policy_verdict *v);
/* txn_begin_entries() - the session learns of the recipients. */
void txn_begin_entries(struct txn *t);
/* txn_defer_rcpt() - @answer instead of his verdict. */
void txn_defer_rcpt(struct txn *t, uint32_t rcpt_idx, struct answer answer);
struct spool_rcpt txn_spool_rcpt(const struct txn *t, uint32_t rcpt_idx);
/* txn_commit() - body and envelope to the spool, for @rcpts. */
void txn_commit(struct shard *sh, struct txn *t, const struct spool_rcpt *rcpts,
                uint32_t rcpt_count);
/* txn_commit_decided() - commit for those who accept, or answer at once when nobody does. */
void txn_commit_decided(struct shard *sh, struct txn *t);
/* txn_reply() - all are decided: fill every slot and let the dialect go on. @failure: what stored
 * recipients get when the spool did not store; STATUS_NONE when verdicts say it already. */
void txn_reply(struct shard *sh, struct txn *t, struct answer failure);

/* txn_replied() - all replies were formatted (or nobody is there to read them): log and free. */
void txn_replied(struct shard *sh, struct txn *t);

#endif
