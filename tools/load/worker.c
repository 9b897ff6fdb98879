/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c - the loop of one core.
 *
 *     PREPARING (connections are made ahead, when that was asked for) -> RUNNING -> QUITTING
 *     (no transaction is left: QUIT on what is open, the log is written out) -> FINISHED
 *
 * A turn: gather completions; each goes to its channel, and what its link says is done; timers;
 * then start what is due; then send. So a reply and the next command are one turn apart at most,
 * and everything that a turn wants to send is submitted at once.
 *
 * Starts: a transaction that is due needs a channel: an idle one, or a cold one that is dialled for
 * it. Targets take turns by weight among those that have a channel. When none has, or the cap is
 * reached, it waits, and its latency counts from the plan. The generator's own lag is the time
 * between the moment at which a transaction could have begun and its beginning.
 */
#include "load/worker.h"
#include "base/assert.h"
#include "base/err.h"
#include "load/channel.h"
#include "load/outlog.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SQ_ENTRIES 4096
#define CQ_ENTRIES 16384
#define BUFFER_COUNT 2048
#define BUFFER_BYTES 4096
#define RETRIES_MAX 4000000
#define WAKE_NS (100 * NS_PER_MS)          /* how soon a request to stop is seen */
#define QUIT_NS (2 * NS_PER_S)             /* for the server to answer QUIT at the end */
#define STOP_NS (1 * NS_PER_S)             /* for what is under way when the run is stopped */
#define REFUSED_PAUSE_NS (100 * NS_PER_MS) /* closed loop: before the next connection */
#define UNSAID_PAUSE_NS (1 * NS_PER_MS)    /* closed loop: behind what took no time at all */
#define READ_BYTES 65536
#define DIALECT_HOLD_NS (3600 * NS_PER_S) /* not asked for after --dialect-failures */

enum worker_owner { OWNER_CHANNEL, OWNER_LOG };
enum worker_timer { WORKER_TIMER_RETRY = CHANNEL_TIMER_THINK + 1 };

struct lane { /* a target of this worker */
    struct link_config config;
    struct client_trust trust;
    struct list cold; /* channels without a connection */
    struct list idle; /* channels that are ready */
    int64_t weight;
    int64_t credit;
};

struct retry { /* a later try of a message, for those recipients that are not settled */
    struct list list;
    struct timer timer;
    uint64_t seq;
    clock_ns planned_at;
    clock_ns first_planned_at, first_start_at;
    uint64_t bits; /* recipients; more than 64 have memory of their own */
    uint64_t *open;
    uint32_t attempt;
    uint32_t open_count;
    bool is_measured;
    bool was_accepted;
};

struct worker {
    const struct load_options *options;
    const struct message_set *messages;
    struct load_control *control;
    struct load_stats *stats;
    struct channel_io io;
    struct timer_wheel timers;
    struct channel *channels;
    uint32_t channel_count;
    struct lane lanes[TARGETS_MAX];
    struct pool jobs, retries;
    struct job_shape job_shape;
    struct outlog log;
    struct rng rng;
    struct list dirty;
    struct list failed; /* channels whose connection could not be made ahead of the run */
    struct list retries_due;
    struct plan plan;     /* what is started next */
    struct plan due_plan; /* the same, told the time: what is due */
    struct plan_item item, due_item;
    bool has_item, has_due_item;
    bool is_blocked;       /* something is due, and there is no channel for it */
    clock_ns unblocked_at; /* the end of the last time of that */
    enum worker_state state;
    clock_ns now;
    clock_ns drain_at, quit_at;
    uint32_t in_flight, in_flight_max;
    uint32_t connecting, connect_max;
    uint32_t open_count; /* channels that are not cold */
    uint32_t pending;    /* connections made ahead, and not ready */
    uint64_t due_count;  /* of the plan, so far */
    uint64_t started;    /* of the plan */
    bool is_stopping;
    bool is_ready;
    uint64_t *lag_counts;
    struct hist lag; /* own */
    clock_ns ended_at;
    clock_ns wall_base_ns; /* clock less wall */
    wall_us wall_base;
    char server_text[LINK_SERVER_TEXT_BYTES];
    char text[256];
    uint8_t read_memory[READ_BYTES];
};

/* --- making ----------------------------------------------------------------------------------- */

static uint32_t share(uint32_t total, uint32_t idx, uint32_t count)
{
    return total / count + (idx < total % count ? 1 : 0);
}

static int lane_init(struct worker *w, uint32_t idx, char *ret_text, size_t text_cap)
{
    const struct load_options *o = w->options;
    const struct target *t = &o->targets[idx];
    struct lane *lane = &w->lanes[idx];
    list_init(&lane->cold);
    list_init(&lane->idle);
    lane->weight = t->weight;
    lane->config = (struct link_config){
        .client = o->client,
        .timeouts = o->timeouts,
        .reuse_max = o->reuse_max,
        .half_closes = o->half_closes,
        .resets = o->resets,
        .vanish_replies = o->vanish_replies,
        .vanish_how = o->vanish_how,
    };
    lane->trust =
        (struct client_trust){.failures_max = o->dialect_failures_max, .hold_ns = DIALECT_HOLD_NS};
    lane->config.client.trust = &lane->trust;
    lane->config.client.hostname = slice_str(o->hostname);
    lane->config.client.protocol = t->is_lmtp ? CLIENT_LMTP : CLIENT_SMTP;
    if (t->is_tls)
        lane->config.tls = LINK_TLS_IMPLICIT;
    else if (o->uses_starttls)
        lane->config.tls = LINK_TLS_STARTTLS;
    if (lane->config.tls == LINK_TLS_NONE)
        return 0;
    /* A full handshake brings two tickets (OpenSSL), and one that resumes uses one and brings one.
     */
    struct tls_options tls = {
        .ca_path = o->tls_ca,
        .server_name = t->is_name ? t->host : NULL,
        .sessions_max = o->tls_resume_share > 0 ? 2 * w->channel_count : 0,
    };
    return tls_context_new(&tls, &lane->config.tls_context, ret_text, text_cap);
}

/* Channels go to the targets by weight. */
static void channels_init(struct worker *w)
{
    int64_t total = 0, credit[TARGETS_MAX] = {0};
    for (uint32_t i = 0; i < w->options->target_count; i++)
        total += w->lanes[i].weight;
    for (uint32_t i = 0; i < w->channel_count; i++) {
        uint32_t best = 0;
        for (uint32_t t = 0; t < w->options->target_count; t++) {
            credit[t] += w->lanes[t].weight;
            if (credit[t] > credit[best])
                best = t;
        }
        credit[best] -= total;
        struct channel *c = &w->channels[i];
        channel_init(c, i, &w->options->targets[best], best);
        link_init(&c->link, &w->lanes[best].config, w->stats, &w->io.carries);
        list_push(&w->lanes[best].cold, &c->list);
    }
    if (w->channel_count > 0)
        w->channels[0].link.server_text = w->server_text;
}

static int pools_init(struct worker *w)
{
    uint32_t count = w->channel_count;
    int result = pool_init(&w->jobs, job_bytes(&w->job_shape), count + 1);
    if (result == 0)
        result = pool_init(&w->retries, sizeof(struct retry), RETRIES_MAX);
    if (result == 0)
        result = pool_init(&w->io.outgoings, sizeof(struct outgoing), count + 1);
    if (result == 0)
        result = pool_init(&w->io.carries, LINK_CARRY_BYTES, count + 1);
    w->channels = calloc(count, sizeof(*w->channels));
    w->lag_counts = calloc(HIST_COMPACT_COUNTS, sizeof(*w->lag_counts));
    if (w->channels == NULL || w->lag_counts == NULL)
        result = -ENOMEM;
    if (result == 0)
        hist_init(&w->lag, w->lag_counts, HIST_COMPACT_SUB_BITS, HIST_TOP_BITS);
    return result;
}

static int io_init(struct worker *w, int attempts_fd)
{
    const struct load_options *o = w->options;
    struct ring_options ring_options = {
        .sq_entries = SQ_ENTRIES,
        .cq_entries = CQ_ENTRIES,
        .file_count = 1,
        .buffer_count = BUFFER_COUNT,
        .buffer_bytes = BUFFER_BYTES,
        .plain_files = true,
    };
    int result = ring_new(&ring_options, &w->io.ring);
    if (result < 0)
        return result;
    w->now = ring_now(w->io.ring);
    w->wall_base = ring_wall(w->io.ring);
    w->wall_base_ns = w->now;
    timer_wheel_init(&w->timers, w->now);
    w->io.timers = &w->timers;
    w->io.dial = o->dial;
    w->io.slow_write_bytes = o->slow_write_bytes;
    w->io.slow_read_bytes = o->slow_read_bytes;
    w->io.token_owner = OWNER_CHANNEL;
    w->io.counters = &w->stats->counters;
    return outlog_init(&w->log, w->io.ring, attempts_fd, OWNER_LOG);
}

static void plans_init(struct worker *w, uint32_t idx)
{
    plan_init(&w->plan, &w->options->plan, idx);
    w->has_item = plan_next(&w->plan, &w->item);
    w->due_plan = w->plan;
    w->due_item = w->item;
    w->has_due_item = w->has_item && w->options->plan.shape != PLAN_CLOSED;
}

int worker_new(const struct load_options *options, const struct message_set *messages, uint32_t idx,
               struct load_control *control, int attempts_fd, struct worker **ret_worker,
               char *ret_text, size_t text_cap)
{
    struct worker *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return -ENOMEM;
    w->options = options;
    w->messages = messages;
    w->control = control;
    list_init(&w->dirty);
    list_init(&w->failed);
    list_init(&w->retries_due);
    rng_init(&w->rng, options->plan.seed ^ (0x9E3779B97F4A7C15 * (idx + 1)));
    w->channel_count = share(options->connection_count, idx, options->worker_count);
    w->in_flight_max = share(options->in_flight_max, idx, options->worker_count);
    w->connect_max = (uint32_t)u64_max(1, share(options->connect_max, idx, options->worker_count));
    w->job_shape.rcpt_count_max = (uint32_t)options->message.rcpt_count.high;
    w->job_shape.address_bytes_max =
        (uint32_t)size_max(strlen(options->message.sender), strlen(options->message.rcpt)) + 64;
    w->drain_at = w->quit_at = CLOCK_NEVER;
    int result = load_stats_new(options_seconds_max(options), &w->stats);
    if (result == 0)
        result = io_init(w, attempts_fd);
    if (result == 0)
        result = pools_init(w);
    snprintf(ret_text, text_cap, "worker: %s", err_text(result));
    for (uint32_t i = 0; result == 0 && i < options->target_count; i++)
        result = lane_init(w, i, ret_text, text_cap);
    if (result < 0) {
        worker_free(w);
        return result;
    }
    /* Before the run begins only what is asked for ahead of it happens, and it counts. */
    w->stats->measure_at = options->warmup_ns > 0 ? CLOCK_NEVER : 0;
    channels_init(w);
    plans_init(w, idx);
    *ret_worker = w;
    return 0;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    for (uint32_t i = 0; w->channels != NULL && i < w->channel_count; i++)
        if (w->channels[i].link.config != NULL)
            link_deinit(&w->channels[i].link);
    ring_free(w->io.ring);
    for (uint32_t i = 0; i < TARGETS_MAX; i++)
        tls_context_free(w->lanes[i].config.tls_context);
    outlog_deinit(&w->log);
    pool_deinit(&w->jobs);
    pool_deinit(&w->retries);
    pool_deinit(&w->io.outgoings);
    pool_deinit(&w->io.carries);
    load_stats_free(w->stats);
    free(w->channels);
    free(w->lag_counts);
    free(w);
}

/* --- the end of a transaction ----------------------------------------------------------------- */

static bool is_open_loop(const struct worker *w)
{
    return w->options->plan.shape != PLAN_CLOSED;
}

static wall_us wall_of(const struct worker *w, clock_ns at)
{
    return at >= w->wall_base_ns ? w->wall_base + (at - w->wall_base_ns) / NS_PER_US
                                 : w->wall_base - (w->wall_base_ns - at) / NS_PER_US;
}

static bool may_retry(const struct worker *w, const struct job *job)
{
    return job->attempt < w->options->retry.count_max && !w->is_stopping &&
           job->cause != ATTEMPT_CAUSE_STOPPED;
}

static void log_attempt(struct worker *w, const struct job *job, uint32_t pos, bool will_retry)
{
    const struct client_result *result = &job->results[pos];
    struct buf *line = outlog_line(&w->log, ATTEMPT_LINE_BYTES_MAX);
    if (line == NULL)
        return;
    bool is_decided = result->code != 0;
    struct attempt a = {
        .id = {w->options->message.run, job->seq},
        .attempt = job->attempt,
        .rcpt_idx = job->rcpt_idxs[pos],
        .address = job->rcpts[pos].address,
        .planned_at = wall_of(w, job->planned_at),
        .start_at = wall_of(w, job->start_at),
        .end_at = wall_of(w, w->now),
        .fate = job_fate(job, pos),
        .code = result->code,
        .phase = is_decided ? result->phase : job->phase,
        .cause = is_decided ? ATTEMPT_CAUSE_REPLY : job->cause,
        .sent = job->sent,
        .replies_seen = job->replies_seen,
        .replies_due = job->replies_due,
        .will_retry = will_retry,
    };
    memcpy(a.enhanced, result->enhanced, sizeof(a.enhanced));
    attempts_put(line, &a);
}

/* Counts fates and codes, writes the log; returns how many recipients are not settled. */
static uint32_t account_rcpts(struct worker *w, const struct job *job, struct load_second *second)
{
    struct load_counters *counters = &w->stats->counters;
    uint64_t fates[ATTEMPT_FATE_COUNT] = {0};
    bool retries = may_retry(w, job);
    uint32_t run_start = 0;
    for (uint32_t i = 0; i < job->rcpt_count; i++) {
        const struct client_result *r = &job->results[i], *next = r + 1;
        enum attempt_fate fate = job_fate(job, i);
        bool is_unsettled = fate == ATTEMPT_DEFERRED || fate == ATTEMPT_UNKNOWN;
        fates[fate]++;
        if (outlog_is_on(&w->log))
            log_attempt(w, job, i, is_unsettled && retries);
        bool is_same = i + 1 < job->rcpt_count && next->code == r->code &&
                       next->phase == r->phase &&
                       memcmp(next->enhanced, r->enhanced, sizeof(r->enhanced)) == 0;
        if (is_same)
            continue;
        if (job->is_measured && r->code != 0)
            load_stats_outcome(w->stats, r->phase, r->code, r->enhanced, i + 1 - run_start);
        run_start = i + 1;
    }
    if (job->is_measured) {
        for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
            counters->rcpts[f] += fates[f];
        if (job->dialect < DIALECT_COUNT)
            load_stats_dialect(w->stats, job->dialect, job->has_block, fates);
        counters->messages_accepted += fates[ATTEMPT_ACCEPTED] > 0 && !job->was_accepted;
    }
    if (second != NULL) {
        second->rcpts_accepted += fates[ATTEMPT_ACCEPTED];
        second->rcpts_deferred += fates[ATTEMPT_DEFERRED];
        second->rcpts_refused += fates[ATTEMPT_REFUSED];
        second->unknown += fates[ATTEMPT_UNKNOWN];
    }
    return (uint32_t)(fates[ATTEMPT_DEFERRED] + fates[ATTEMPT_UNKNOWN]);
}

static void retry_free(struct worker *w, struct retry *r)
{
    if (r->open != &r->bits)
        free(r->open);
    pool_give(&w->retries, r);
}

static clock_ns retry_delay(const struct retry_options *o, uint32_t attempt)
{
    double delay_ns = (double)o->delay_ns;
    if (o->kind == RETRY_EXP)
        delay_ns *= pow(o->factor, attempt);
    return delay_ns < 1e18 ? (clock_ns)delay_ns : (clock_ns)1e18;
}

/* False: no memory is left for another one. */
static bool plan_retry(struct worker *w, const struct job *job, uint32_t open_count)
{
    struct retry *r = pool_take(&w->retries);
    if (r == NULL)
        return false;
    *r = (struct retry){.seq = job->seq,
                        .attempt = job->attempt + 1,
                        .open_count = open_count,
                        .first_planned_at = job->first_planned_at,
                        .first_start_at = job->first_start_at,
                        .was_accepted = job->was_accepted};
    r->open = &r->bits;
    if (job->rcpt_total > 64)
        r->open = calloc((job->rcpt_total + 63) / 64, sizeof(*r->open));
    if (r->open == NULL) {
        pool_give(&w->retries, r);
        return false;
    }
    for (uint32_t i = 0; i < job->rcpt_count; i++) {
        enum attempt_fate fate = job_fate(job, i);
        uint32_t idx = job->rcpt_idxs[i];
        if (fate == ATTEMPT_DEFERRED || fate == ATTEMPT_UNKNOWN)
            r->open[idx / 64] |= (uint64_t)1 << (idx % 64);
        r->was_accepted = r->was_accepted || fate == ATTEMPT_ACCEPTED;
    }
    r->planned_at = w->now + retry_delay(&w->options->retry, job->attempt);
    r->is_measured = job->is_measured;
    list_init(&r->list);
    timer_init(&r->timer, WORKER_TIMER_RETRY);
    timer_arm(&w->timers, &r->timer, r->planned_at);
    return true;
}

static struct load_second *second_now(struct worker *w)
{
    return w->state == WORKER_PREPARING || w->now < w->stats->began_at
               ? NULL
               : load_stats_second(w->stats, w->now);
}

/* The message's time from its first try on, if this one settled it. */
static void record_message(struct worker *w, const struct job *job, uint32_t open_count)
{
    if (open_count == 0 && job->is_measured)
        load_stats_phase(w->stats, LOAD_PHASE_MESSAGE, w->now - job->first_start_at,
                         job->first_start_at - job->first_planned_at);
}

static void count_given_up(struct worker *w, uint32_t open_count)
{
    w->stats->counters.gave_up += open_count;
    w->stats->counters.messages_given_up += open_count > 0;
}

static void finish_job(struct worker *w, struct channel *c, struct job *job)
{
    struct load_counters *counters = &w->stats->counters;
    struct load_second *second = second_now(w);
    uint64_t whole_ns = w->now - u64_min(w->now, job->planned_at);
    uint32_t open_count = account_rcpts(w, job, second);
    bool is_sent = job->sent == ATTEMPT_SENT_ALL;
    if (job->is_measured) {
        counters->finished++;
        counters->causes[job->cause] += job->cause != ATTEMPT_CAUSE_REPLY;
        counters->content_bytes += is_sent ? job->message.content_bytes : 0;
    }
    if (second != NULL) {
        second->messages++;
        second->bytes += is_sent ? job->message.content_bytes : 0;
        second->latency_max_ns = u64_max(second->latency_max_ns, whole_ns);
        hist_record(&w->stats->second_latency, whole_ns);
    }
    bool is_retried = open_count > 0 && may_retry(w, job) && plan_retry(w, job, open_count);
    if (!is_retried && job->is_measured)
        count_given_up(w, open_count);
    record_message(w, job, open_count);
    w->in_flight--;
    w->ended_at = w->now;
    if (w->options->think.high > 0)
        c->think_until = w->now + dist_draw(&w->options->think, &w->rng);
    bool was_unreachable = job->cause == ATTEMPT_CAUSE_CONNECT || job->cause == ATTEMPT_CAUSE_TLS;
    if (was_unreachable && !is_open_loop(w))
        c->think_until = u64_max(c->think_until, w->now + REFUSED_PAUSE_NS);
    else if (job->start_at == w->now && !is_open_loop(w)) /* too big for its SIZE, say */
        c->think_until = u64_max(c->think_until, w->now + UNSAID_PAUSE_NS);
    pool_give(&w->jobs, job);
}

/* --- channels --------------------------------------------------------------------------------- */

static void mark_dirty(struct worker *w, struct channel *c)
{
    if (list_is_empty(&c->dirty))
        list_push(&w->dirty, &c->dirty);
}

/* Into the list from which the next transaction takes it, at once or when it has thought. */
static void make_available(struct worker *w, struct channel *c)
{
    struct lane *lane = &w->lanes[c->target_idx];
    if (c->think_until > w->now) {
        timer_arm(&w->timers, &c->think, c->think_until);
        return;
    }
    list_push(c->file >= 0 ? &lane->idle : &lane->cold, &c->list);
}

/* Everything that a link has to say. */
static void pump(struct worker *w, struct channel *c)
{
    for (;;) {
        switch (link_next(&c->link, w->now)) {
        case LINK_EV_MORE:
            channel_arm(c, &w->io);
            return;
        case LINK_EV_READY:
            w->pending -= w->state == WORKER_PREPARING;
            make_available(w, c);
            break;
        case LINK_EV_DONE:
            finish_job(w, c, link_take_job(&c->link));
            break;
        case LINK_EV_CLOSED:
            w->pending -= w->state == WORKER_PREPARING && list_is_empty(&c->list);
            list_remove(&c->list);
            list_remove(&c->dirty);
            timer_disarm(&c->think);
            channel_close(c, &w->io);
            break;
        }
    }
}

static void close_if_quiet(struct worker *w, struct channel *c)
{
    if (!channel_finish_close(c, &w->io))
        return;
    w->open_count--;
    if (w->state == WORKER_PREPARING)
        list_push(&w->failed, &c->list);
    else
        make_available(w, c);
}

static void pump_and_flush_later(struct worker *w, struct channel *c)
{
    pump(w, c);
    if (c->is_closing)
        close_if_quiet(w, c);
    else
        mark_dirty(w, c);
}

static void dial(struct worker *w, struct channel *c, struct job *job)
{
    w->open_count++;
    channel_dial(c, &w->io, job, w->now);
    if (c->is_connecting)
        w->connecting++;
    pump_and_flush_later(w, c);
}

static bool is_available(const struct worker *w, const struct lane *lane)
{
    return !list_is_empty(&lane->idle) ||
           (!list_is_empty(&lane->cold) && w->connecting < w->connect_max);
}

/* A channel for the next transaction, or NULL. */
static struct channel *take_channel(struct worker *w)
{
    struct lane *best = NULL;
    int64_t total = 0;
    for (uint32_t i = 0; i < w->options->target_count; i++) {
        struct lane *lane = &w->lanes[i];
        if (!is_available(w, lane))
            continue;
        total += lane->weight;
        lane->credit += lane->weight;
        if (best == NULL || lane->credit > best->credit)
            best = lane;
    }
    if (best == NULL)
        return NULL;
    best->credit -= total;
    struct list *entry = list_pop(&best->idle);
    if (entry == NULL)
        entry = list_pop(&best->cold);
    return CONTAINER_OF(entry, struct channel, list);
}

/* --- starts ----------------------------------------------------------------------------------- */

struct start { /* what is to begin now */
    uint64_t seq;
    uint32_t attempt;
    const uint64_t *open;
    clock_ns planned_at;
    clock_ns first_planned_at, first_start_at; /* of the message's first try */
    bool is_measured;
    bool was_accepted;
};

static void start(struct worker *w, struct channel *c, const struct start *s)
{
    const struct load_options *o = w->options;
    struct job *job = pool_take(&w->jobs);
    ASSERT(job != NULL); /* one for each channel */
    job_make(job, &w->job_shape, w->messages, s->seq, s->attempt, s->open);
    job->planned_at = s->planned_at;
    job->first_planned_at = s->first_planned_at;
    job->first_start_at = s->first_start_at;
    job->is_measured = s->is_measured;
    job->was_accepted = s->was_accepted;
    job->vanishes = o->vanish_share > 0 && rng_unit(&w->rng) < o->vanish_share;
    w->in_flight++;
    if (s->is_measured) {
        w->stats->counters.started++;
        w->stats->counters.retries += s->attempt > 0;
    }
    struct load_second *second = second_now(w);
    if (second != NULL) {
        second->started++;
        second->in_flight_max = u64_max(second->in_flight_max, w->in_flight);
    }
    if (c->file < 0) {
        dial(w, c, job);
        return;
    }
    link_begin(&c->link, job, w->now);
    pump_and_flush_later(w, c);
}

static void start_retry(struct worker *w, struct channel *c)
{
    struct retry *r = CONTAINER_OF(list_pop(&w->retries_due), struct retry, list);
    struct start s = {.seq = r->seq,
                      .attempt = r->attempt,
                      .open = r->open,
                      .planned_at = r->planned_at,
                      .first_planned_at = r->first_planned_at,
                      .first_start_at = r->first_start_at,
                      .is_measured = r->is_measured,
                      .was_accepted = r->was_accepted};
    start(w, c, &s);
    retry_free(w, r);
}

static void start_item(struct worker *w, struct channel *c)
{
    bool is_open = is_open_loop(w);
    clock_ns planned_at = is_open ? w->stats->began_at + w->item.at_ns : w->now;
    struct start s = {
        .seq = w->item.seq,
        .planned_at = planned_at,
        .first_planned_at = planned_at,
        .first_start_at = w->now,
        .is_measured = planned_at >= w->stats->measure_at,
    };
    if (s.is_measured && is_open) {
        uint64_t lag_ns = w->now - u64_max(planned_at, w->unblocked_at);
        hist_record(&w->stats->start_lag, lag_ns);
        hist_record(&w->lag, lag_ns);
    }
    if (s.is_measured && !is_open)
        w->stats->counters.planned++;
    w->started++;
    w->has_item = plan_next(&w->plan, &w->item);
    start(w, c, &s);
}

/* How far the plan has come; returns how many starts became due now. */
static uint64_t look_at_plan(struct worker *w)
{
    uint64_t count = 0;
    while (w->has_due_item && w->stats->began_at + w->due_item.at_ns <= w->now) {
        bool is_measured = w->stats->began_at + w->due_item.at_ns >= w->stats->measure_at;
        w->stats->counters.planned += is_measured;
        w->due_count++;
        count += is_measured;
        w->has_due_item = plan_next(&w->due_plan, &w->due_item);
    }
    return count;
}

static uint64_t backlog(const struct worker *w)
{
    return is_open_loop(w) && w->due_count > w->started ? w->due_count - w->started : 0;
}

static bool is_item_due(const struct worker *w)
{
    return w->has_item && (!is_open_loop(w) || w->stats->began_at + w->item.at_ns <= w->now);
}

static void schedule(struct worker *w)
{
    uint64_t became_due = look_at_plan(w);
    while (!list_is_empty(&w->retries_due) || is_item_due(w)) {
        if (outlog_is_congested(&w->log))
            return;
        struct channel *c = w->in_flight < w->in_flight_max ? take_channel(w) : NULL;
        if (c == NULL) {
            w->is_blocked = true;
            w->stats->counters.cap_hits += u64_min(became_due, backlog(w));
            return;
        }
        if (w->is_blocked)
            w->unblocked_at = w->now;
        w->is_blocked = false;
        if (!list_is_empty(&w->retries_due))
            start_retry(w, c);
        else
            start_item(w, c);
    }
}

/* --- the run ---------------------------------------------------------------------------------- */

static void drop_retry(struct worker *w, struct retry *r)
{
    if (r->is_measured)
        count_given_up(w, r->open_count);
    timer_disarm(&r->timer);
    list_remove(&r->list);
    retry_free(w, r);
}

/* Nothing new begins, and no message is tried again. */
static void cut_plan(struct worker *w)
{
    w->has_item = w->has_due_item = false;
    w->is_stopping = true;
    for (uint32_t i = 0; i < w->retries.fresh_idx; i++)
        if (pool_is_taken(&w->retries, i))
            drop_retry(w, pool_at(&w->retries, i));
}

static void stop_channels(struct worker *w)
{
    for (uint32_t i = 0; i < w->channel_count; i++) {
        struct channel *c = &w->channels[i];
        timer_disarm(&c->think);
        if (c->is_closing || c->link.state == LINK_COLD)
            continue;
        link_stop(&c->link, w->now);
        pump_and_flush_later(w, c);
    }
}

static void begin_quitting(struct worker *w)
{
    w->state = WORKER_QUITTING;
    w->quit_at = w->now + QUIT_NS;
    for (uint32_t i = 0; i < w->channel_count; i++) {
        struct channel *c = &w->channels[i];
        timer_disarm(&c->think);
        if (c->is_closing || c->link.state == LINK_COLD)
            continue;
        list_remove(&c->list);
        if (c->link.is_ready)
            link_quit(&c->link, w->now);
        else if (!c->link.was_quit_handed && !c->link.client.wants_quit)
            link_stop(&c->link, w->now);
        pump_and_flush_later(w, c);
    }
}

static void begin_run(struct worker *w, clock_ns began_at)
{
    w->state = WORKER_RUNNING;
    w->stats->began_at = began_at;
    w->stats->measure_at = began_at + w->options->warmup_ns;
    w->unblocked_at = began_at;
    struct list *entry;
    while ((entry = list_pop(&w->failed)) != NULL)
        make_available(w, CONTAINER_OF(entry, struct channel, list));
}

/* Connections that are made ahead of the run. */
static void prepare(struct worker *w)
{
    bool has_cold = false;
    for (uint32_t i = 0; i < w->options->target_count && w->options->preconnects; i++) {
        struct lane *lane = &w->lanes[i];
        while (!list_is_empty(&lane->cold) && w->connecting < w->connect_max) {
            w->pending++;
            dial(w, CONTAINER_OF(list_pop(&lane->cold), struct channel, list), NULL);
        }
        has_cold = has_cold || !list_is_empty(&lane->cold);
    }
    if (!has_cold && w->pending == 0 && !w->is_ready) {
        w->is_ready = true;
        __atomic_fetch_add(&w->control->ready_count, 1, __ATOMIC_RELEASE);
    }
    clock_ns began_at = __atomic_load_n(&w->control->began_at, __ATOMIC_ACQUIRE);
    if (began_at != 0)
        begin_run(w, began_at);
}

static void run(struct worker *w)
{
    const struct plan_options *plan = &w->options->plan;
    bool is_over = !is_open_loop(w) && plan->duration_ns > 0 &&
                   w->now >= w->stats->began_at + plan->duration_ns;
    if (is_over)
        w->has_item = false;
    bool is_told = __atomic_load_n(&w->control->stop_count, __ATOMIC_RELAXED) > 0;
    if ((is_told || w->log.error != 0) && !w->is_stopping) {
        cut_plan(w);
        w->drain_at = w->now + STOP_NS;
    }
    bool is_planned = is_open_loop(w) ? w->has_due_item : w->has_item;
    if (!is_planned && w->drain_at == CLOCK_NEVER && w->options->drain_ns != CLOCK_NEVER)
        w->drain_at = w->now + w->options->drain_ns;
    if (w->now >= w->drain_at) {
        cut_plan(w);
        stop_channels(w);
        w->drain_at = CLOCK_NEVER;
    }
    schedule(w);
    if (!w->has_item && w->in_flight == 0 && pool_used_count(&w->retries) == 0)
        begin_quitting(w);
}

static void quit(struct worker *w)
{
    if (w->now >= w->quit_at) {
        stop_channels(w);
        w->quit_at = CLOCK_NEVER;
    }
    if (w->open_count == 0 && outlog_is_idle(&w->log))
        w->state = WORKER_FINISHED;
}

/* --- the turn --------------------------------------------------------------------------------- */

static void on_event(struct worker *w, struct ring_event *ev)
{
    if (ev->token.owner == OWNER_LOG) {
        outlog_on_event(&w->log, ev);
        return;
    }
    struct channel *c = &w->channels[ev->token.idx];
    struct window window = ev->window;
    if (ev->token.generation == c->generation && ev->token.kind != RING_CANCEL) {
        bool resumes = false;
        if (ev->token.kind == RING_CONNECT) {
            w->connecting--;
            resumes = w->options->tls_resume_share > 0 &&
                      rng_unit(&w->rng) < w->options->tls_resume_share;
        }
        channel_on_event(c, &w->io, ev, resumes, w->now);
        pump_and_flush_later(w, c);
    }
    window_unpin(&window);
}

static void on_timer(struct worker *w, struct timer *t)
{
    struct channel *c;
    switch (t->kind) {
    case CHANNEL_TIMER_DEADLINE:
        c = CONTAINER_OF(t, struct channel, deadline);
        link_expire(&c->link, w->now);
        pump_and_flush_later(w, c);
        break;
    case CHANNEL_TIMER_PACE:
        c = CONTAINER_OF(t, struct channel, pace);
        channel_on_pace(c, &w->io, w->read_memory, sizeof(w->read_memory), w->now);
        pump_and_flush_later(w, c);
        break;
    case CHANNEL_TIMER_THINK:
        make_available(w, CONTAINER_OF(t, struct channel, think));
        break;
    case WORKER_TIMER_RETRY:
        list_push(&w->retries_due, &CONTAINER_OF(t, struct retry, timer)->list);
        break;
    default:
        UNREACHABLE();
    }
}

static void flush(struct worker *w)
{
    struct list *entry;
    while ((entry = list_pop(&w->dirty)) != NULL) {
        struct channel *c = CONTAINER_OF(entry, struct channel, dirty);
        channel_flush(c, &w->io, w->now);
        if (link_has_event(&c->link))
            pump_and_flush_later(w, c);
        else
            channel_arm(c, &w->io);
    }
}

static clock_ns next_due(struct worker *w)
{
    clock_ns due = u64_min(timer_next_due(&w->timers), w->now + WAKE_NS);
    due = u64_min(due, u64_min(w->drain_at, w->quit_at));
    bool can_start = !w->is_blocked && !outlog_is_congested(&w->log);
    if (w->state == WORKER_RUNNING && w->has_item && is_open_loop(w) && can_start)
        due = u64_min(due, w->stats->began_at + w->item.at_ns);
    else if (w->state == WORKER_RUNNING && w->has_due_item)
        due = u64_min(due, w->stats->began_at + w->due_item.at_ns);
    if (w->state == WORKER_RUNNING && w->now < w->stats->began_at)
        due = w->stats->began_at;
    if (w->state == WORKER_PREPARING && w->is_ready)
        due = u64_min(due, w->now + NS_PER_MS);
    return due;
}

int worker_turn(struct worker *w)
{
    const struct ring_event *events;
    clock_ns due = next_due(w);
    bool waits = due > w->now && !w->io.hurries;
    w->io.hurries = false;
    int count = ring_turn(w->io.ring, waits ? due - w->now : 0, &events);
    if (count < 0)
        return count;
    w->now = ring_now(w->io.ring);
    for (int i = 0; i < count; i++) {
        struct ring_event ev = events[i];
        on_event(w, &ev);
    }
    struct timer *t;
    while ((t = timer_expire(&w->timers, w->now)) != NULL)
        on_timer(w, t);
    switch (w->state) {
    case WORKER_PREPARING:
        prepare(w);
        break;
    case WORKER_RUNNING:
        if (w->now >= w->stats->began_at)
            run(w);
        break;
    case WORKER_QUITTING:
        quit(w);
        break;
    case WORKER_FINISHED:
        break;
    }
    flush(w);
    outlog_turn(&w->log, w->state == WORKER_QUITTING);
    return 0;
}

/* --- what others see -------------------------------------------------------------------------- */

enum worker_state worker_state(const struct worker *w)
{
    return w->state;
}

struct load_stats *worker_stats(struct worker *w)
{
    return w->stats;
}

uint32_t worker_in_flight(const struct worker *w)
{
    return __atomic_load_n(&w->in_flight, __ATOMIC_RELAXED);
}

uint32_t worker_connection_count(const struct worker *w)
{
    return __atomic_load_n(&w->open_count, __ATOMIC_RELAXED);
}

void worker_result(const struct worker *w, struct worker_result *ret_result)
{
    *ret_result = (struct worker_result){
        .ended_at = w->ended_at,
        .attempts_error = w->log.error,
        .not_started = backlog(w),
        .lag_p99_ns = hist_quantile(&w->lag, 0.99),
        .lag_max_ns = w->lag.max,
        .server_text = w->server_text,
    };
}
