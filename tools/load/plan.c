/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.c - owns the times of a run: time as a function of the sequence number.
 *
 * Every shape but POISSON is the inverse of its count N(t), the integral of the rate: transaction
 * seq is due when N(t) = seq. POISSON adds up exponential gaps of the whole run; each worker draws
 * all of them and takes its own, so the arrivals are the same for any number of workers (a draw is
 * cheap beside a transaction). Pure.
 */
#include "load/plan.h"
#include "base/assert.h"
#include <math.h>

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

void plan_init(struct plan *p, const struct plan_options *options, uint32_t worker_idx)
{
    ASSERT(options->worker_count > 0 && worker_idx < options->worker_count);
    ASSERT(options->shape == PLAN_CLOSED || options->rate >= 0);
    ASSERT(options->shape != PLAN_RAMP || options->duration_ns > 0);
    ASSERT(options->shape != PLAN_STEP || options->step_ns > 0);
    *p = (struct plan){.options = *options, .worker_idx = worker_idx, .next_seq = worker_idx};
    rng_init(&p->rng, options->seed);
}

static uint32_t step_count(const struct plan_options *o)
{
    double span = o->rate_end - o->rate;
    if (o->rate_step == 0 || span / o->rate_step < 0)
        return 1;
    double steps = floor(span / o->rate_step + 1e-9) + 1; /* 10 steps of 0.1 are 1 */
    return steps < 1e9 ? (uint32_t)steps : 1000000000;
}

static double step_rate(const struct plan_options *o, uint32_t idx)
{
    return fmax(0, o->rate + o->rate_step * idx);
}

/* N at the beginning of a step. */
static double step_before(const struct plan_options *o, uint32_t idx)
{
    double n = idx;
    return seconds(o->step_ns) * (n * o->rate + o->rate_step * n * (n - 1) / 2);
}

static double ramp_slope(const struct plan_options *o)
{
    return (o->rate_end - o->rate) / seconds(o->duration_ns);
}

/* Each at_ function: false when the plan is over before @seq. */
static bool at_ramp(const struct plan_options *o, uint64_t seq, double *ret_s)
{
    double n = (double)seq;
    double under_root = o->rate * o->rate + 2 * ramp_slope(o) * n;
    if (under_root < 0)
        return false;
    double below = o->rate + sqrt(under_root);
    if (below <= 0 && (seq > 0 || o->rate_end <= 0))
        return false;
    *ret_s = seq == 0 ? 0 : 2 * n / below; /* the form of the solution that cancels nothing */
    return true;
}

static bool at_step(struct plan *p, uint64_t seq, double *ret_s)
{
    const struct plan_options *o = &p->options;
    uint32_t count = step_count(o);
    while (p->step_idx < count && (double)seq >= step_before(o, p->step_idx + 1))
        p->step_idx++;
    if (p->step_idx == count)
        return false;
    double into = ((double)seq - step_before(o, p->step_idx)) / step_rate(o, p->step_idx);
    *ret_s = seconds(o->step_ns) * p->step_idx + into;
    return true;
}

static bool at_poisson(struct plan *p, uint64_t seq, double *ret_s)
{
    if (p->options.rate <= 0)
        return false;
    while (p->drawn_count <= seq) {
        p->at_s -= log(1 - rng_unit(&p->rng)) / p->options.rate;
        p->drawn_count++;
    }
    *ret_s = p->at_s;
    return true;
}

static bool at(struct plan *p, uint64_t seq, double *ret_s)
{
    switch (p->options.shape) {
    case PLAN_CLOSED:
        *ret_s = 0;
        return true;
    case PLAN_CONSTANT:
        *ret_s = (double)seq / p->options.rate;
        return p->options.rate > 0;
    case PLAN_POISSON:
        return at_poisson(p, seq, ret_s);
    case PLAN_RAMP:
        return at_ramp(&p->options, seq, ret_s);
    case PLAN_STEP:
        return at_step(p, seq, ret_s);
    }
    UNREACHABLE();
}

bool plan_next(struct plan *p, struct plan_item *ret_item)
{
    const struct plan_options *o = &p->options;
    double at_s;
    if (o->count > 0 && p->next_seq >= o->count)
        return false;
    if (!at(p, p->next_seq, &at_s) || at_s > 1e10) /* UINT64_MAX ns are 1.8e10 s */
        return false;
    uint64_t at_ns = (uint64_t)(at_s * 1e9 + 0.5);
    if (o->shape != PLAN_CLOSED && o->duration_ns > 0 && at_ns >= o->duration_ns)
        return false;
    *ret_item = (struct plan_item){.seq = p->next_seq, .at_ns = at_ns};
    p->next_seq += o->worker_count;
    p->made++;
    return true;
}

static double step_total(const struct plan_options *o, double t)
{
    uint32_t count = step_count(o);
    double step_s = seconds(o->step_ns);
    if (t >= step_s * count)
        return ceil(step_before(o, count) - 1e-9);
    uint32_t idx = (uint32_t)(t / step_s);
    return ceil(step_before(o, idx) + (t - step_s * idx) * step_rate(o, idx) - 1e-9);
}

double plan_total(const struct plan_options *options, uint64_t ns)
{
    const struct plan_options *o = options;
    double t = seconds(o->duration_ns > 0 ? u64_min(ns, o->duration_ns) : ns);
    double total = 0;
    switch (o->shape) {
    case PLAN_CLOSED:
        return 0;
    case PLAN_CONSTANT:
        total = ceil(o->rate * t - 1e-9);
        break;
    case PLAN_POISSON:
        total = o->rate * t;
        break;
    case PLAN_RAMP:
        total = ceil(o->rate * t + ramp_slope(o) * t * t / 2 - 1e-9);
        break;
    case PLAN_STEP:
        total = step_total(o, t);
        break;
    }
    return o->count > 0 ? fmin(total, (double)o->count) : total;
}
