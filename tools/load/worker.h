/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - one core of the generator: a ring, its channels, its share of the plan, retries.
 *
 * Workers share nothing while they run but the options, the messages (both read-only) and the few
 * words of struct load_control.
 */
#ifndef LOAD_WORKER_H
#define LOAD_WORKER_H

#include "load/options.h"

struct load_control {     /* read and written with __atomic builtins */
    uint64_t began_at;    /* clock_ns; 0: the run has not begun, workers make their connections */
    uint32_t ready_count; /* workers that are ready for it */
    uint32_t stop_count;  /* 1: finish early */
};

struct worker;

/* worker_new() - called on the thread that will run it. 0 or a negative errno, with @ret_text.
 * @attempts_fd: append-only; -1: none */
MUST_CHECK int worker_new(const struct load_options *options, const struct message_set *messages,
                          uint32_t idx, struct load_control *control, int attempts_fd,
                          struct worker **ret_worker, char *ret_text, size_t text_cap);
void worker_free(struct worker *w);

enum worker_state { WORKER_PREPARING, WORKER_RUNNING, WORKER_QUITTING, WORKER_FINISHED };

/* worker_turn() - one turn of the loop; 0, or a negative errno of the ring. */
MUST_CHECK int worker_turn(struct worker *w);
enum worker_state worker_state(const struct worker *w);

/* What the others may look at while it runs: numbers that only grow, read word by word. */
struct load_stats *worker_stats(struct worker *w);
uint32_t worker_in_flight(const struct worker *w);
uint32_t worker_connection_count(const struct worker *w);

struct worker_result {
    clock_ns ended_at;    /* the last transaction's end */
    int attempts_error;   /* of the attempts log: negative errno */
    uint64_t not_started; /* planned, and due, but never begun */
    uint64_t lag_p99_ns;  /* of the generator's own lag */
    uint64_t lag_max_ns;
    const char *server_text;
};
void worker_result(const struct worker *w, struct worker_result *ret_result);

#endif
