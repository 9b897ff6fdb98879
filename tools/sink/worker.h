/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - one thread of the sink: a ring, its connections, timers, arrivals to be written; the
 * loop.
 */
#ifndef SINK_WORKER_H
#define SINK_WORKER_H

#include "base/pool.h"
#include "conn.h"
#include "io/ring.h"
#include "io/timer.h"
#include "shared.h"

enum worker_owner { WORKER_OWNER_CONN, WORKER_OWNER_LISTENER, WORKER_OWNER_WAKE };

struct worker_listener {
    int fd; /* -1: closed */
    uint16_t generation;
    bool is_armed;
    bool is_disarming;
    clock_ns retry_at;
    const struct sink_listen *listen;
};

#define WORKER_FILE_SLACK 64 /* connections that are being closed */
#define WORKER_LEDGER_BYTES (256 * KIB)

struct worker {
    struct shared *shared;
    struct ring *ring;
    struct timer_wheel timers;
    struct rng rng;
    struct pool conns;
    struct pool outs;
    uint16_t *conn_generations;
    struct list dirty;   /* connections with something to send */
    struct list drained; /* nothing in flight: to be closed */
    struct list all;     /* connections */
    struct list spares;  /* struct txn */
    struct worker_listener listeners[SINK_LISTEN_MAX];
    uint8_t *ledger; /* lines that are not written yet */
    size_t ledger_len;
    int store_fd; /* -1: none */
    int wake_fd;
    uint32_t idx;
    uint32_t conn_count;
    uint64_t proof_count;
    uint64_t store_count;
    clock_ns stop_due;
    bool is_stopping;
    bool is_forced;
    uint64_t counters[SINK_COUNTER_COUNT]; /* written here only, read by the main thread */
    pthread_t thread;
    int result;
    bool has_ended; /* for the main thread */
};

/* worker_init() - everything but the ring, which belongs to the thread. @fds: one for each
 * --listen; taken over. 0 or -errno. */
MUST_CHECK int worker_init(struct worker *w, struct shared *sh, uint32_t idx, const int *fds);
void worker_deinit(struct worker *w);
/* worker_main() - the thread; returns when everything has ended. @arg: struct worker. */
void *worker_main(void *arg);
/* worker_wake() - look at shared_stop(); from any thread. */
void worker_wake(const struct worker *w);

static inline void worker_count(struct worker *w, enum sink_counter c, uint64_t n)
{
    __atomic_store_n(&w->counters[c], w->counters[c] + n, __ATOMIC_RELAXED);
}

/* worker_run_places() - messages whose turn at work has come go on. */
void worker_run_places(struct worker *w);

/* worker_txn_take() - NULL: no memory. */
struct txn *worker_txn_take(struct worker *w);
void worker_txn_give(struct worker *w, struct txn *t);
/* worker_put_arrival() - a line of the ledger, which is written at the end of the turn. */
void worker_put_arrival(struct worker *w, const struct arrival *a);

#endif
