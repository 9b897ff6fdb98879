/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.h - what a run measured: histograms by phase, outcomes, a time series. One block a worker,
 * written by its own thread only; merged at the end, and read between seconds for the live view.
 *
 * Each phase has two histograms: from the planned time of the transaction's step and from its
 * actual start. In a closed loop both are the same. For phases other than WHOLE the planned time of
 * a phase is its actual start less the lag of its transaction (start - plan), so a late transaction
 * shows in each of its phases. A later try is a transaction of its own, planned when its pause is
 * over; MESSAGE has the time from the first one's plan (its start), pauses included.
 */
#ifndef LOAD_STATS_H
#define LOAD_STATS_H

#include "base/clock.h"
#include "base/hist.h"
#include "smtp/client.h"
#include "trace/attempts.h"

enum load_phase {
    LOAD_PHASE_CONNECT,
    LOAD_PHASE_TLS,
    LOAD_PHASE_GREETING,
    LOAD_PHASE_EHLO,
    LOAD_PHASE_MAIL,
    LOAD_PHASE_RCPT,
    LOAD_PHASE_DATA,        /* DATA to 354 */
    LOAD_PHASE_CONTENT,     /* first octet of the content to the last handed to the kernel */
    LOAD_PHASE_FIRST_REPLY, /* end of content to the first reply */
    LOAD_PHASE_EACH_REPLY,  /* end of content to each reply of a block (k-th: see reply_k) */
    LOAD_PHASE_LAST_REPLY,  /* end of content to the last reply */
    LOAD_PHASE_WHOLE,       /* transaction: MAIL (or connect, when it needed one) to last reply */
    LOAD_PHASE_MESSAGE,     /* first try's beginning to the reply that settled the last recipient,
                               over all tries; none of a message that was given up */
    LOAD_PHASE_COUNT
};
const char *load_phase_name(enum load_phase p); /* "connect", "dot_to_first_reply", ... */
/* load_reply_phase_name() - "greeting", "rcpt", "done" (the end of data) ...: as in attempts files.
 */
const char *load_reply_phase_name(enum client_phase p);

/* Replies of a block that have histograms of their own: the 1st, 2nd ... */
#define LOAD_REPLY_K_MAX 16

struct load_outcome { /* a reply code where it decided for a recipient or a transaction */
    uint16_t code;
    uint16_t enhanced[3];
    uint8_t phase; /* enum client_phase */
    uint64_t count;
};
#define LOAD_OUTCOMES_MAX 256

struct load_second { /* one second of the series, by the time at which things ended */
    uint64_t started, messages, rcpts_accepted, rcpts_deferred, rcpts_refused, unknown, bytes;
    uint64_t in_flight_max;
    uint64_t latency_max_ns;
    uint64_t latency_p50_ns, latency_p99_ns; /* filled when the second is over */
};

struct load_dialect { /* what became of the transactions that got one way of being answered */
    uint64_t transactions;
    uint64_t blocks; /* of them, with a reply for each recipient */
    uint64_t rcpts[ATTEMPT_FATE_COUNT];
};

struct load_counters {
    uint64_t planned; /* transactions that the plan asked for so far */
    uint64_t started, finished;
    uint64_t messages_accepted; /* at least one recipient accepted */
    uint64_t rcpts[ATTEMPT_FATE_COUNT];
    uint64_t causes[ATTEMPT_CAUSE_COUNT]; /* transactions without a deciding reply */
    uint64_t timeouts[CLIENT_PHASE_COUNT];
    uint64_t protocol_errors; /* replies out of sequence, missing or surplus, or garbage */
    uint64_t connects, connects_refused, connects_failed, resets;
    uint64_t tls_handshakes, tls_resumed, tls_failed;
    uint64_t retries;
    uint64_t gave_up, messages_given_up; /* recipients, messages that no further try was left for */
    uint64_t cap_hits;                   /* planned starts that had to wait for the in-flight cap */
    uint64_t bytes_sent, bytes_received;
    uint64_t content_bytes;
    uint64_t outcomes_lost; /* more than LOAD_OUTCOMES_MAX kinds of them */
    struct load_dialect dialects[DIALECT_COUNT];
};

/* Latencies of one second, kept so that the workers' percentiles can be merged: the counts of
 * second_latency that are not 0. */
struct load_cells {
    uint32_t count;
    struct load_cell {
        uint32_t idx;
        uint32_t times;
    } at[];
};
#define LOAD_SECOND_SUB_BITS 6 /* percentiles of one second are right to 1.6 % */

struct load_stats {
    struct load_counters counters;
    struct hist planned[LOAD_PHASE_COUNT];
    struct hist actual[LOAD_PHASE_COUNT];
    struct hist reply_k[LOAD_REPLY_K_MAX]; /* end of content to the k-th reply, actual */
    struct hist start_lag;                 /* actual start less planned time: the generator's own */
    struct hist sizes;                     /* content octets of messages sent */
    struct hist second_latency;            /* of the running second; LOAD_SECOND_SUB_BITS */
    struct load_outcome outcomes[LOAD_OUTCOMES_MAX];
    uint32_t outcome_count;
    struct load_second *seconds; /* index: second of the run, warm-up included */
    struct load_cells **cells; /* latencies of each second that is over; NULL: none, or not kept */
    uint32_t second_count;
    uint32_t second_cap;
    clock_ns began_at;   /* of the run, the same for all workers */
    clock_ns measure_at; /* end of the warm-up: histograms and counters begin here */
};

/* load_stats_new() - 0 or -ENOMEM; @seconds_max bounds the series. */
MUST_CHECK int load_stats_new(uint32_t seconds_max, struct load_stats **ret_stats);
void load_stats_free(struct load_stats *s);

/*
 * load_stats_phase() - one phase of one transaction ended
 * @lag_ns: how late its transaction began (actual start - planned time); 0 in a closed loop
 */
void load_stats_phase(struct load_stats *s, enum load_phase phase, uint64_t ns, uint64_t lag_ns);
/* load_stats_reply_k() - the k-th reply (from 0) after the content, @ns after its end. */
void load_stats_reply_k(struct load_stats *s, uint32_t k, uint64_t ns);
void load_stats_outcome(struct load_stats *s, enum client_phase phase, uint16_t code,
                        const uint16_t enhanced[3], uint64_t count);
/* load_stats_dialect() - one transaction, answered in @d; @fates: recipients by ATTEMPT_... */
void load_stats_dialect(struct load_stats *s, enum dialect d, bool has_block,
                        const uint64_t fates[ATTEMPT_FATE_COUNT]);
/*
 * load_stats_second() - the entry for time @now, made when it is not there
 * Return: NULL before the run and past the limit. With a new entry the one before is over: its
 *         percentiles are taken from second_latency, where the caller records each transaction
 *         that ends in the second.
 */
struct load_second *load_stats_second(struct load_stats *s, clock_ns now);
/* load_stats_merge() - add @from to @to, percentiles of its seconds too; the threads have ended.
 * @to: begins and measures when the first that is merged into it did; records nothing itself */
void load_stats_merge(struct load_stats *to, const struct load_stats *from);

#endif
