/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.c - reads the workers' numbers while they run: each is a word that its worker alone writes,
 * so a look may be a turn old, and never wrong by more. Latencies of the last second are the
 * histograms of now less those of the last look.
 */
#include "load/live.h"
#include "load/live_frame.h"
#include <math.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct sums {
    uint64_t finished, accepted, faults;
    uint32_t in_flight, connections;
};

void live_init(struct live *v, const struct load_options *options, FILE *out)
{
    *v = (struct live){.out = out, .options = options, .is_terminal = isatty(fileno(out)) == 1};
}

static uint64_t word(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static struct sums add_up(struct worker *const *workers, uint32_t count)
{
    struct sums s = {0};
    for (uint32_t i = 0; i < count; i++) {
        const struct load_counters *c = &worker_stats(workers[i])->counters;
        s.finished += word(&c->finished);
        s.accepted += word(&c->messages_accepted);
        s.faults += word(&c->resets) + word(&c->protocol_errors) + word(&c->connects_failed) +
                    word(&c->connects_refused) + word(&c->tls_failed);
        for (uint32_t p = 0; p < CLIENT_PHASE_COUNT; p++)
            s.faults += word(&c->timeouts[p]);
        s.in_flight += worker_in_flight(workers[i]);
        s.connections += worker_connection_count(workers[i]);
    }
    return s;
}

/* The first half of v->counts is the sum at the last look, the second the histogram of the time
 * since then. */
static void look_at_latency(struct live *v, struct worker *const *workers, uint32_t count,
                            struct live_now *n)
{
    if (v->counts == NULL)
        v->counts = calloc(2 * HIST_FINE_COUNTS, sizeof(*v->counts));
    if (v->counts == NULL)
        return;
    struct hist h;
    uint64_t *before = v->counts;
    hist_init(&h, v->counts + HIST_FINE_COUNTS, HIST_FINE_SUB_BITS, HIST_TOP_BITS);
    for (uint32_t i = 0; i < h.count_len; i++) {
        uint64_t sum = 0;
        for (uint32_t w = 0; w < count; w++)
            sum += word(&worker_stats(workers[w])->planned[LOAD_PHASE_WHOLE].counts[i]);
        h.counts[i] = sum - before[i];
        h.total += h.counts[i];
        before[i] = sum;
    }
    h.max = UINT64_MAX; /* not known: the buckets' ends have to do */
    n->has_latency = h.total > 0;
    n->p50_ns = hist_quantile(&h, 0.5);
    n->p99_ns = hist_quantile(&h, 0.99);
}

/* How long the plan is, in seconds; 0: not by time. */
static double plan_seconds(const struct plan_options *p)
{
    if (p->duration_ns > 0 || p->shape != PLAN_STEP || p->rate_step == 0)
        return (double)p->duration_ns / 1e9;
    return (floor((p->rate_end - p->rate) / p->rate_step) + 1) * (double)p->step_ns / 1e9;
}

static void look_at_progress(const struct load_options *o, struct live_now *n)
{
    double seconds = plan_seconds(&o->plan);
    n->share = -1;
    n->left_s = -1;
    if (seconds > 0) {
        n->share = n->elapsed_s / seconds;
        n->left_s = fmax(seconds - n->elapsed_s, 0);
        if (n->elapsed_s >= seconds)
            n->stage = LIVE_FINISHING;
    }
    if (o->plan.count == 0)
        return;
    double share = (double)n->done / (double)o->plan.count;
    double left =
        n->rate > 0 ? (double)(o->plan.count - u64_min(n->done, o->plan.count)) / n->rate : -1;
    if (share > n->share)
        n->share = share;
    if (left >= 0 && (n->left_s < 0 || left < n->left_s))
        n->left_s = left;
}

static double planned_rate(const struct plan_options *p, double elapsed_s)
{
    if (p->shape == PLAN_CLOSED || elapsed_s < 1)
        return 0;
    uint64_t now = (uint64_t)(elapsed_s * 1e9);
    return plan_total(p, now) - plan_total(p, now - NS_PER_S);
}

static void put_frame(struct live *v, const struct live_now *n)
{
    struct live_frame f;
    struct winsize size = {0};
    if (ioctl(fileno(v->out), TIOCGWINSZ, &size) != 0)
        size.ws_col = 0;
    live_frame_make(&f, n, size.ws_col);
    /* Up to where the last frame began, everything from there on gone. */
    fprintf(v->out, "%s%s\n%s", v->has_frame ? "\033[A\r\033[J" : "\r\033[J", f.lines[0],
            f.lines[1]);
    v->has_frame = true;
}

void live_show(struct live *v, struct worker *const *workers, uint32_t count, clock_ns began_at,
               clock_ns now)
{
    if (v->options->is_quiet || now < v->next_at)
        return;
    struct sums s = add_up(workers, count);
    double seconds = v->last_at != 0 ? (double)(now - v->last_at) / 1e9 : 0;
    bool is_begun = began_at != 0 && now >= began_at;
    struct live_now n = {
        .elapsed_s = is_begun ? (double)(now - began_at) / 1e9 : 0,
        .rate = seconds > 0 ? (double)(s.finished - v->last_finished) / seconds : 0,
        .in_flight = s.in_flight,
        .connection_count = s.connections,
        .done = s.finished,
        .not_accepted = s.finished - u64_min(s.finished, s.accepted),
        .fault_count = s.faults,
    };
    bool is_warm = is_begun && now - began_at >= v->options->warmup_ns;
    n.stage = is_warm ? LIVE_MEASURING : (is_begun ? LIVE_WARMING_UP : LIVE_CONNECTING);
    n.rate_planned = planned_rate(&v->options->plan, n.elapsed_s);
    look_at_progress(v->options, &n);
    look_at_latency(v, workers, count, &n);
    v->next_at = now + NS_PER_S;
    v->last_at = now;
    v->last_finished = s.finished;
    if (seconds <= 0) /* the first look has nothing to compare with */
        return;
    if (v->is_terminal) {
        put_frame(v, &n);
    } else {
        char line[LIVE_COLUMNS_MAX * 2];
        live_frame_plain(line, sizeof(line), &n);
        fprintf(v->out, "%s\n", line);
    }
    fflush(v->out);
}

void live_end(struct live *v)
{
    if (v->has_frame)
        fputs("\033[A\r\033[J", v->out);
    fflush(v->out);
    v->has_frame = false;
    free(v->counts);
    v->counts = NULL;
}
