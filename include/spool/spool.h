/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.h - durable store: one append-only segment log a shard, group commit.
 *
 * SPOOL.md has the formats and the guarantees. A shard calls:
 *   spool_begin()   when content is about to arrive (452 4.3.1 when there can be no room),
 *   spool_append()  for body bytes that should not wait in memory (large messages), any time,
 *   spool_commit()  once, with the rest of the body and the envelope, or spool_abort(),
 *   spool_turn()    at the end of each turn: one vectored append and at most one data sync for
 *                   everything that gathered (one group in flight; the next gathers meanwhile),
 *   spool_on_event() for each ring event whose token.owner is the spool's,
 *   spool_next_done() until NULL, after each of these: messages whose commit has an outcome.
 *
 * Nothing calls upwards. Body bytes are borrowed (windows are pinned by the spool) until written.
 */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "base/clock.h"
#include "base/list.h"
#include "base/window.h"
#include "io/ring.h"
#include "scan/scan.h"
#include "smtp/param.h"
#include "smtp/session.h"

enum spool_durability { SPOOL_DISK, SPOOL_OS, SPOOL_NONE };
/* spool_durability_name() - "disk", "os" or "none". */
const char *spool_durability_name(enum spool_durability d);

struct spool_options {
    const char *dir;
    enum spool_durability durability;
    uint32_t shard_count;
    uint64_t segment_bytes; /* default 64 MiB; 1 MiB .. 1 GiB */
    uint64_t reserve_bytes; /* file system space never used for new mail; default 16 MiB */
    bool is_keeper_manual;  /* no thread: the owner calls spool_dir_keep() (tests) */
};

/* The directory, shared by all shards: lock, key, recovery, and the keeper (a thread that makes
 * zero-filled segments ahead of need and recycles dead ones; never on the path of a message). */
struct spool_dir;
struct spool_recovery_stats {
    uint64_t segments, records, messages_live, messages_held, messages_deleted, bytes_live;
    uint64_t torn_tails, damaged_records;
};
/*
 * spool_dir_open() - lock, recover, prepare the first segments
 * Return: 0; -EBUSY when another process holds it (@ret_text says its pid); else negative errno
 *         with @ret_text saying what and which file
 */
MUST_CHECK int spool_dir_open(const struct spool_options *options, struct spool_dir **ret_dir,
                              char *ret_text, size_t text_cap);
void spool_dir_close(struct spool_dir *d); /* after every spool_free() */
/* spool_dir_keep() - one pass of the keeper's work, which blocks; only with is_keeper_manual. */
void spool_dir_keep(struct spool_dir *d);
const struct scan_key *spool_dir_key(const struct spool_dir *d); /* content hash key, persistent */
const struct spool_recovery_stats *spool_dir_stats(const struct spool_dir *d);

struct spool; /* one shard's */
/* spool_new() - 0 or negative errno. Every pool of the shard's spool is made here. */
MUST_CHECK int spool_new(struct spool_dir *d, uint32_t shard_idx, struct ring *ring,
                         uint8_t token_owner, struct spool **ret_spool);
/* spool_free() - when idle, it closes the segment with a last record (blocking). NULL is fine. */
void spool_free(struct spool *s);

enum spool_rcpt_state {
    SPOOL_RCPT_ACTIVE = 1,
    SPOOL_RCPT_HELD = 2,
    SPOOL_RCPT_WAITING = 3, /* not decided when the message was committed: he is none of its
                               recipients until spool_take() */
};
struct spool_rcpt {
    struct slice address; /* local@domain as sent */
    struct rcpt_params params;
    struct slice class_name;
    enum spool_rcpt_state state;
};

struct spool_envelope { /* borrowed until spool_commit() returns: it is serialised at once */
    wall_us received_at;
    struct slice reverse_path; /* without angle brackets; empty for the null path */
    struct mail_params mail;
    struct slice helo;
    struct slice client; /* "192.0.2.1:1234" or "unix" */
    struct slice listener;
    struct slice protocol; /* as in Received: "ESMTP", "LMTP", ... */
    struct slice trace;    /* the complete Received field, with CRLF at its end (CORE-51) */
    struct slice message_id;
    uint32_t flags; /* enum scan_flag */
    int32_t score;  /* hundredths */
    uint64_t hash[2];
    uint64_t content_bytes;
    const struct spool_rcpt *rcpts; /* accepted ones only */
    uint32_t rcpt_count;
};

enum spool_outcome {
    SPOOL_PENDING = 0,
    SPOOL_STORED, /* durable in the sense of spool_durability */
    SPOOL_FAILED, /* write or sync failed: nothing of it is stored, and never will be */
    SPOOL_FULL,   /* no room */
};

struct spool_message { /* embedded in the transaction; zeroed by spool_begin() */
    struct list link;
    struct commit_proof proof; /* queue_id from begin on; is_committed set with SPOOL_STORED */
    enum spool_outcome outcome;
    int error; /* negative errno behind FAILED and FULL */
    /* With FAILED: not even the note that voids the message could be stored, so a restart may find
     * it. Close the connection without a final reply: then either end is right (DUP, PRDR-29). */
    bool is_in_doubt;
    /* The owner's: replies that say that it is stored will leave by themselves when it is, so it
     * must not be taken back, nor anything else be said meanwhile (pace.h). */
    bool is_promised;
    bool is_late; /* with FAILED: stored after spool_void(), and removed again */
    uint32_t
        writes_pending; /* body records handed over and not yet written (memory still borrowed) */
    uint64_t bytes_pending;     /* content in them */
    uint64_t sync_ns, write_ns; /* phases, for log and histograms */
    uint64_t opaque[16];        /* struct message_state of spool.c */
};

/* What a body part is: bytes, and the window that must stay until they are written (source NULL:
 * the owner keeps the memory until writes_pending is 0). */
struct spool_part {
    struct slice bytes;
    struct window window;
};

/*
 * spool_begin() - reserve a queue id
 * @size_hint: declared size, 0 when unknown: refused at once when it cannot fit (CORE-20)
 * Return: SPOOL_PENDING, SPOOL_FULL, or SPOOL_FAILED when this shard cannot store any more
 */
MUST_CHECK enum spool_outcome spool_begin(struct spool *s, struct spool_message *m,
                                          uint64_t size_hint);
/* spool_can_store() - false once the store is full or failed: answer 452 or 451 early. */
enum spool_outcome spool_can_store(const struct spool *s, uint64_t size_hint);

/* spool_append() - body bytes in order; each part's window is pinned by the spool and unpinned when
 * written. Return: SPOOL_PENDING, or SPOOL_FULL / SPOOL_FAILED: the message is lost, abort it. */
MUST_CHECK enum spool_outcome spool_append(struct spool *s, struct spool_message *m,
                                           const struct spool_part *parts, uint32_t part_count);
/* spool_commit() - the last body parts and the envelope. With SPOOL_NONE durability nothing is
 * written and the outcome follows in the same turn. The outcome comes by spool_next_done(). */
void spool_commit(struct spool *s, struct spool_message *m, const struct spool_part *parts,
                  uint32_t part_count, const struct spool_envelope *envelope);
/* spool_abort() - forget an uncommitted message. Its memory is free once writes_pending is 0; if
 * that is not the case now, it comes by spool_next_done() with SPOOL_FAILED when it is. */
void spool_abort(struct spool *s, struct spool_message *m);

/* What happens to a stored message later. */
enum spool_result_op {
    SPOOL_RESULT_DELETE = 1,  /* delivered, or removed by the operator */
    SPOOL_RESULT_RELEASE = 2, /* held -> active */
    SPOOL_RESULT_HOLD = 3,    /* active -> held */
    /* About a message with recipients that were waiting at its commit, in order: */
    SPOOL_RESULT_TAKE = 4,      /* waiting -> active */
    SPOOL_RESULT_TAKE_HELD = 5, /* waiting -> held */
    SPOOL_RESULT_REFUSE = 6,    /* waiting -> none of its recipients */
    /* The client may not have read that it was taken (DUP-23): for the ledger of retries. Nobody
     * waits for it, so it has no sync and, within a second, no write of its own. */
    SPOOL_RESULT_DOUBT = 7,
};
#define SPOOL_RCPT_ALL UINT32_MAX
/*
 * spool_result() - append a small record about a message of this shard
 * @rcpt_idx: one recipient, in the order of the envelope, or SPOOL_RCPT_ALL
 *
 * It is written with the next group and written again should that group fail; only when the file
 * system has no room at all is it dropped, and counted (the message then stays as it was). Return:
 * SPOOL_PENDING; SPOOL_FULL when too many are waiting; SPOOL_FAILED when the shard has stopped.
 */
MUST_CHECK enum spool_outcome spool_result(struct spool *s, uint64_t queue_id,
                                           enum spool_result_op op, uint32_t rcpt_idx, wall_us at);

struct spool_change {
    uint32_t op; /* enum spool_result_op */
    uint32_t rcpt_idx;
};
/*
 * spool_take() - commit more recipients of a message that is stored
 * @m:       its outcome was SPOOL_STORED; it is PENDING now, and the next comes by
 *           spool_next_done(), with a proof that is about @changes
 * @changes: TAKE or TAKE_HELD of recipients that were waiting; all of them become durable together
 */
void spool_take(struct spool *s, struct spool_message *m, const struct spool_change *changes,
                uint32_t count, wall_us at);
/* spool_refuse() - that waiting recipients of a stored message will not be taken: a note for
 * whoever decides when segments are dead. Lost, they are forgotten at the next start. */
void spool_refuse(struct spool *s, uint64_t queue_id, const struct spool_change *changes,
                  uint32_t count, wall_us at);

/* spool_is_written() - what was last committed of @m is on its way to the disk: too late to drop.
 */
bool spool_is_written(const struct spool_message *m);
/*
 * spool_void() - what is being committed must not count any more
 *
 * As long as it is not on its way to the disk it is dropped. Else, should the write succeed, a
 * record that removes it follows; only a crash between the two leaves a message, or recipients, for
 * whom no success was said. The outcome comes as ever, and is FAILED (is_late: it had been stored).
 * A message that is_promised must not be taken back.
 */
void spool_void(struct spool *s, struct spool_message *m);

/* spool_turn() - start writing what has gathered, if nothing is in flight. */
void spool_turn(struct spool *s);
/* spool_set_linkable() - commits are asked for in a form that replies can be linked behind, where
 * that is possible: write and sync are one operation, which fails as a whole. */
void spool_set_linkable(struct spool *s);
/* spool_next_asked() - right after spool_turn(): the next message whose commit is the write that it
 * has just asked for, and nothing else; NULL when there is none. If that write succeeds in full,
 * the message's outcome will be SPOOL_STORED. */
struct spool_message *spool_next_asked(struct spool *s);
/* spool_due() - when it wants a turn though nothing completes; CLOCK_NEVER. */
clock_ns spool_due(const struct spool *s);
/* spool_flush() - records that ride with the next group are written by the next turn. */
void spool_flush(struct spool *s);
/* spool_on_event() - a result of the ring whose token.owner is the spool's. */
void spool_on_event(struct spool *s, const struct ring_event *ev);
/* spool_next_done() - the next message that has its outcome and whose memory is free; NULL. */
struct spool_message *spool_next_done(struct spool *s);
/* spool_is_idle() - nothing has gathered, nothing is in flight. */
bool spool_is_idle(const struct spool *s);
/* spool_is_stopped() - a sync and then the fresh segment failed: nothing is accepted any more. */
bool spool_is_stopped(const struct spool *s);

/* Queue ids as text: 13 characters, base 32 (Crockford), shard in the upper 8 bits. */
#define QUEUE_ID_CHARS 13
void queue_id_format(uint64_t queue_id, char ret_text[QUEUE_ID_CHARS + 1]);
MUST_CHECK bool queue_id_parse(struct slice text, uint64_t *ret_queue_id);

struct spool_counters {
    uint64_t groups, commits, aborts, bytes_written, syncs, write_errors, sync_errors;
    uint64_t segments_used, segments_recycled, segments_abandoned, full_refusals;
    uint64_t results_lost; /* no room for a spool_result(), even where there is always some */
    uint64_t takes;        /* commits of further recipients */
    uint64_t voided;       /* commits that were stored too late and removed */
    uint64_t stale_events; /* results of operations that nobody waits for any more */
};
const struct spool_counters *spool_counters(const struct spool *s);

#endif
