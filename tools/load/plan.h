/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - when each transaction is due: made ahead from rate, shape and seed; no clock in here.
 *
 * Rates are totals over all workers: each worker asks its own plan, which knows how many there are,
 * and together they make the whole. In a closed loop there is no plan but a number of messages.
 *
 * Transaction number seq is due at the same time however many workers there are, and goes to worker
 * seq % worker_count. A plan ends at the duration or the count, whatever comes first; steps also
 * end with the last one.
 */
#ifndef LOAD_PLAN_H
#define LOAD_PLAN_H

#include "base/clock.h"
#include "base/rng.h"

enum plan_shape {
    PLAN_CLOSED,   /* each connection begins when it is done with the last (and think time) */
    PLAN_CONSTANT, /* one every 1/rate seconds */
    PLAN_POISSON,  /* exponential gaps */
    PLAN_RAMP,     /* of a rate that moves evenly from rate to rate_end over the duration (not 0) */
    PLAN_STEP,     /* rate, rate + step, ... up to rate_end, step_ns each; a step < 0 goes down */
};

struct plan_options {
    enum plan_shape shape;
    double rate; /* transactions a second, > 0 unless closed */
    double rate_end;
    double rate_step;
    uint64_t step_ns;
    uint64_t duration_ns; /* 0: by count only */
    uint64_t count;       /* transactions in total; 0: by duration only */
    uint64_t seed;
    uint32_t worker_count;
};

struct plan {
    struct plan_options options;
    uint32_t worker_idx;
    struct rng rng;
    uint64_t next_seq;    /* global sequence number of the next transaction of this worker */
    uint64_t made;        /* by this worker */
    double at_s;          /* POISSON: time of transaction drawn_count - 1 */
    uint64_t drawn_count; /* POISSON: gaps drawn so far, over all workers */
    uint32_t step_idx;    /* STEP: the running step */
};

/* plan_init() - the plan of worker @worker_idx of @options->worker_count. */
void plan_init(struct plan *p, const struct plan_options *options, uint32_t worker_idx);

struct plan_item {
    uint64_t seq;   /* over all workers, from 0, each number once: it is the message's identity */
    uint64_t at_ns; /* since the start of the run; 0 in a closed loop: at once */
};

/* plan_next() - the next transaction of this worker, times never decreasing; false: no more. */
MUST_CHECK bool plan_next(struct plan *p, struct plan_item *ret_item);

/* plan_total() - transactions over all workers that were planned before @ns, exactly for all shapes
 * but POISSON, there the mean; 0 in a closed loop. For progress bars and reports. */
double plan_total(const struct plan_options *options, uint64_t ns);

#endif
