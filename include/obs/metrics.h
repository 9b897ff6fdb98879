/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - per-shard counters: plain integers, one writer, read by others when asked.
 *
 * A shard increments its own block; a reader adds the blocks up. Aligned 64-bit loads and stores
 * are relaxed atomics, so that a reader on another thread sees whole values.
 */
#ifndef OBS_METRICS_H
#define OBS_METRICS_H

#include "base/base.h"
#include "smtp/status.h"

/* name as printed (without the prefix "postern_"), help text */
#define METRIC_LIST(X)                                                                             \
    X(CONNS_ACCEPTED, "connections_accepted_total", "connections accepted")                        \
    X(CONNS_REFUSED, "connections_refused_total", "connections refused by an admission limit")     \
    X(CONNS_OPEN, "connections_open", "connections open now")                                      \
    X(CONNS_LOST, "connections_lost_total", "connections lost without QUIT")                       \
    X(CONNS_TIMED_OUT, "connections_timed_out_total", "connections closed by a timeout")           \
    X(CONNS_TOO_SLOW, "connections_too_slow_total", "connections closed below the minimum rate")   \
    X(CONNS_STUCK, "connections_stuck_total", "connections closed because replies were not read")  \
    X(TXNS_STARTED, "transactions_started_total", "MAIL commands accepted")                        \
    X(TXNS_STORED, "transactions_stored_total", "messages stored for at least one recipient")      \
    X(TXNS_REFUSED, "transactions_refused_total", "messages refused for all recipients")           \
    X(TXNS_ABORTED, "transactions_aborted_total", "transactions dropped before they were decided") \
    X(BUDGETS_ENDED, "reply_budgets_ended_total", "messages not decided and stored in time")       \
    X(COMMITS_LATE, "commits_late_total", "messages stored after 451 was said, and removed")       \
    X(REPLIES_READ, "replies_known_read_total", "stored messages whose client went on")            \
    X(REPLIES_DOUBTFUL, "replies_in_doubt_total", "stored messages whose client went without")     \
    X(RCPTS_ACCEPTED, "recipients_accepted_total", "recipients answered 2xx after the content")    \
    X(RCPTS_DEFERRED, "recipients_deferred_total", "recipients answered 4xx after the content")    \
    X(RCPTS_REFUSED, "recipients_refused_total", "recipients answered 5xx after the content")      \
    X(RCPTS_HELD, "recipients_held_total", "recipients quarantined")                               \
    X(RCPTS_DISCARDED, "recipients_discarded_total", "recipients answered 2xx and discarded")      \
    X(BYTES_RECEIVED, "bytes_received_total", "octets received")                                   \
    X(BYTES_CONTENT, "content_bytes_total", "content octets scanned")                              \
    X(BYTES_SENT, "bytes_sent_total", "octets of replies sent")                                    \
    X(BAD_LINE_ENDINGS, "bad_line_endings_total", "messages with bare CR, bare LF or NUL")         \
    X(BAD_COMMANDS, "bad_commands_total", "commands answered 5xx by the machine")                  \
    X(BUFFERS_EMPTY, "receive_buffers_empty_total", "receives ended for lack of buffers")          \
    X(EVACUATIONS, "evacuations_total", "pinned bytes copied away to free receive buffers")        \
    X(POOL_EMPTY, "pool_empty_total", "requests refused because a pool was empty")                 \
    X(STALE_EVENTS, "stale_events_total", "completions for an earlier user of a slot")             \
    X(RELOADS, "reloads_total", "policy and rules reloads that took effect")                       \
    X(RELOADS_FAILED, "reloads_failed_total", "reloads refused because of an error")               \
    X(RULE_HITS, "rule_hits_total", "messages that matched at least one content rule")

enum metric {
#define METRIC_ENUM(id, name, help) METRIC_##id,
    METRIC_LIST(METRIC_ENUM)
#undef METRIC_ENUM
        METRIC_COUNT
};

struct metrics {
    uint64_t value[METRIC_COUNT];
    uint64_t replies[STATUS_COUNT]; /* by status */
};

static inline void metrics_add(struct metrics *m, enum metric id, uint64_t n)
{
    __atomic_store_n(&m->value[id], m->value[id] + n, __ATOMIC_RELAXED);
}

static inline void metrics_sub(struct metrics *m, enum metric id, uint64_t n)
{
    __atomic_store_n(&m->value[id], m->value[id] - n, __ATOMIC_RELAXED);
}

/* metrics_reply() - one reply with this status was formatted. */
static inline void metrics_reply(struct metrics *m, enum status st)
{
    __atomic_store_n(&m->replies[st], m->replies[st] + 1, __ATOMIC_RELAXED);
}

/* metrics_sum() - add @from (another shard's, perhaps running) to @to. */
void metrics_sum(struct metrics *to, const struct metrics *from);

struct buf;
/* metrics_print() - "postern_name value" lines (Prometheus text without HELP) into @out; replies by
 * status, zeros too, so that every series exists from the start. METRICS_PRINT_BYTES_MAX suffice.
 */
#define METRICS_PRINT_BYTES_MAX ((size_t)16 * KIB)
void metrics_print(const struct metrics *m, struct buf *out);

#endif
