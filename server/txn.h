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
    TXN_COMMITTING, /* handed to the spool, outcome outstanding */
    TXN_REPLYING,   /* decided; entries and texts are in use until formatted */
};

struct txn_rcpt {
    struct slice address;
    struct slice orcpt;
    uint16_t class_idx;
    uint16_t rcpt_code; /* what RCPT was answered (PRDR-20, DEF-5) */
    uint8_t notify;
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
    struct slice helo;                       /* once the connection is gone: in the arena */
    struct arena arena;                      /* over arena_first, then over chunks */
    struct chunk *arena_chunks[64];
    uint32_t arena_chunk_count;

    /* From here on nothing is cleared when a transaction begins. */
    char queue_id_text[QUEUE_ID_CHARS + 1];
    char stored_text[10 + QUEUE_ID_CHARS + 1]; /* "stored as " */
    char client_memory[64];
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

/* txn_on_outcome() - the spool says what became of it. */
void txn_on_outcome(struct shard *sh, struct txn *t);

/* txn_abort() - drop it (RSET, lost client, timeout). @why is for the log. Frees or drains. */
void txn_abort(struct shard *sh, struct txn *t, const char *why);

/* txn_detach() - the connection is gone: abort what is not committed, finish what is. */
void txn_detach(struct shard *sh, struct txn *t);

/* txn_replied() - all replies were formatted (or nobody is there to read them): log and free. */
void txn_replied(struct shard *sh, struct txn *t);

#endif
