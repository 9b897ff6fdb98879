/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard.h - one core: ring, receive buffers, connections, transactions, timers, counters, spool
 * segment, log buffer. Everything in here belongs to one thread; nothing is shared on the hot path.
 */
#ifndef SHARD_H
#define SHARD_H

#include "budget.h"
#include "chunk.h"
#include "conn.h"
#include "doubt.h"
#include "listener.h"
#include "txn.h"
#include "io/ring.h"
#include "io/timer.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "policy/patience.h"
#include "policy/policy.h"
#include "scan/rules.h"
#include "spool/spool.h"

/* ring_token.owner: which table token.idx belongs to. */
enum shard_owner {
    SHARD_OWNER_CONN = 1,
    SHARD_OWNER_LISTENER,
    SHARD_OWNER_SPOOL,
    SHARD_OWNER_LOG,
    SHARD_OWNER_TXN, /* of timers only */
};

/* mail.tag: what other threads may ask of a shard. */
enum shard_mail {
    SHARD_MAIL_COMMAND = 1, /* value: bits to be raised in shard.commands */
};

/*
 * One policy and rule set in force. Transactions count themselves in, so that a reload lets those
 * in progress finish under the rules they began with.
 */
struct shard_epoch {
    struct policy *policy;
    uint32_t txn_count; /* transactions that began under it and are not over */
};

/* Entries of the file table beyond the connections: accepted while at the limit, or closing. */
#define SHARD_FILE_SLACK 256

struct shard_limits {
    uint32_t conn_count_max; /* connections open at once on this shard */
    uint32_t txn_count_max;
    uint32_t chunk_count_max; /* CHUNK_BYTES each */
    uint32_t buffer_count;    /* receive buffers, power of two */
    clock_ns session_ns_max;  /* whole session */
};

struct shard_options {
    uint32_t shard_idx;
    uint32_t listener_count;
    const struct listener_options *listeners; /* outlive the shard */
    const struct patience_client *clients;    /* likewise */
    uint32_t client_count;
    struct shard_limits limits;
    bool incremental_buffers;
    struct spool_dir *spool_dir;
    enum spool_durability durability;
    bool links_replies;    /* commit_replies = linked */
    struct policy *policy; /* the shard takes its own reference */
    struct rules *rules;   /* likewise */
    struct slice hostname;
    int log_fd;
    size_t log_buffer_bytes;
};

struct held_window { /* input that waits for an answer, in order */
    struct held_window *next;
    struct window window;
};

struct shard {
    struct shard_options options;
    struct ring *ring;
    struct timer_wheel timers;
    struct spool *spool;
    struct log_writer *log;
    struct rules_worker *rules;
    struct shard_epoch *epoch;
    struct metrics metrics;

    struct listener *listeners;
    struct pool conns;
    uint16_t *conn_generations; /* by index; goes on when a slot is given back */
    struct pool txns;
    struct pool held;
    struct pool doubts;
    struct pool rcpt_tables[TXN_RCPT_TABLE_COUNT];
    struct chunk_pool chunks;
    uint8_t log_scratch[LOG_LINE_BYTES_MAX]; /* one line, used within one call */
    struct spool_rcpt *rcpt_scratch;         /* RCPT_COUNT_HARD_MAX entries, used within one call */
    struct session_entry *entry_scratch;     /* PACE_ENTRIES_MAX, likewise; NULL: not linked */

    struct list dirty;         /* connections with something to send at the end of the turn */
    struct list speechless;    /* connections whose replies wait for a chunk (through conn.dirty) */
    struct list starved;       /* connections whose receive ended for lack of buffers */
    struct list drained;       /* connections with nothing in flight, to be closed */
    struct list stalled;       /* connections that wait for the spool to write */
    struct list holding;       /* connections whose input waits in receive buffers, oldest first */
    struct list pinned;        /* transactions that hold receive buffers, oldest first */
    struct list sending;       /* transactions whose content arrives */
    uint32_t buffers_reserved; /* receive buffers that bodies never hold: commands need some */
    uint32_t buffers_arriving; /* filled in this turn and not looked at yet (or fewer) */
    clock_ns listen_due;       /* when a listener that failed is armed again */
    bool is_pressed;           /* every sender of content has been stopped */
    uint32_t conn_count;
    bool is_draining;
    bool is_drain_forced;
    bool is_stopped; /* drained: nothing is left to do, or ... */
    bool is_hung;    /* ... the disk does not answer: operations in flight still use this memory */
    uint32_t commands; /* raised by SHARD_MAIL_COMMAND; cleared by whoever carries them out */
    clock_ns drain_deadline;
};

/* shard_init() - on the thread that will run it. 0 or a negative errno with @ret_text filled. */
MUST_CHECK int shard_init(struct shard *sh, const struct shard_options *options, char *ret_text,
                          size_t text_cap);
void shard_deinit(struct shard *sh);

/* shard_listen() - accept on @fd (owned from now on) for the listener @listener_idx. */
void shard_listen(struct shard *sh, uint32_t listener_idx, int fd);

/*
 * shard_turn() - one turn of the loop: gather, handle, commit, reply
 * @wait_ns_max: upper bound of the wait; CLOCK_NEVER to wait for the next timer or event
 * Return: 0, or a negative errno when the ring itself failed
 */
MUST_CHECK int shard_turn(struct shard *sh, uint64_t wait_ns_max);

/*
 * shard_drain() - stop accepting, end idle sessions with 421, let transactions finish until
 * @deadline
 *
 * Then what is left is ended, and is_stopped becomes true. Where the disk does not answer, that
 * happens SHARD_HUNG_NS after @deadline, with is_hung: shard_deinit() must not be called then, nor
 * may the thread end, because the kernel would wait for the disk; the process ends by _exit().
 */
#define SHARD_HUNG_NS (5 * NS_PER_S)
void shard_drain(struct shard *sh, clock_ns deadline);

/* shard_replace() - policy and rules for transactions that begin from now on. 0 or -ENOMEM. */
MUST_CHECK int shard_replace(struct shard *sh, struct policy *policy, struct rules *rules);

/* shard_set_log_fd() - lines go to @fd from the next write on. */
void shard_set_log_fd(struct shard *sh, int fd);

/* shard_buffers_are_short() - a body must not keep the receive buffer that it is in. Those that are
 * filled and not looked at yet count as free: each is asked about in its turn, and the last ones
 * find the truth. */
static inline bool shard_buffers_are_short(const struct shard *sh)
{
    return ring_buffers_free(sh->ring) + sh->buffers_arriving < sh->buffers_reserved;
}

/* shard_buffers_spare() - receive buffers that bodies may still take. */
static inline uint32_t shard_buffers_spare(const struct shard *sh)
{
    uint32_t left = ring_buffers_free(sh->ring) + sh->buffers_arriving;
    return left > sh->buffers_reserved ? left - sh->buffers_reserved : 0;
}

struct shard_epoch *shard_epoch_take(struct shard *sh);
void shard_epoch_give(struct shard *sh, struct shard_epoch *e);

#endif
