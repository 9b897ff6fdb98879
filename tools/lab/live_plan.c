/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_plan.c - owns the translation of points into scripts of postern-sink and options of
 * postern-load, and the list of what has none.
 */
#include "lab/live_plan.h"
#include "base/assert.h"
#include "lab/live_fault.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFERRALS_GAP_NS (60 * NS_PER_S)                 /* DEF-18 */
#define EXDATA_GAP_NS (300 * NS_PER_S)                   /* EXD-16 */
#define SUPPRESS_NS ((clock_ns)5 * 24 * 3600 * NS_PER_S) /* DUP-22: W */
#define TRIES_MAX 1000000
#define NETWORK_TRIPS 20.0                 /* of a try, one way, generously */
#define ENVELOPE_BYTES 400.0               /* of one recipient, with replies and all */
#define TIME_NS_MAX (24 * 3600 * NS_PER_S) /* that the programs take */

/* --- time ------------------------------------------------------------------------------------- */

static clock_ns scaled(clock_ns ns, double factor)
{
    double result = (double)ns * factor + 0.5;
    return result >= (double)(CLOCK_NEVER / 2) ? CLOCK_NEVER / 2 : (clock_ns)result;
}

clock_ns live_time(clock_ns model_ns, clock_ns time_scale_ns)
{
    if (model_ns == CLOCK_NEVER)
        return CLOCK_NEVER;
    return scaled(model_ns, (double)time_scale_ns / (double)NS_PER_S);
}

clock_ns live_model_time(clock_ns real_ns, clock_ns time_scale_ns)
{
    return scaled(real_ns, (double)NS_PER_S / (double)time_scale_ns);
}

static bool is_zero(const struct dist *d)
{
    return d->kind == DIST_CONSTANT && d->low == 0;
}

static bool is_constant(const struct dist *d)
{
    return d->kind == DIST_CONSTANT;
}

/* --- what a dialect is ------------------------------------------------------------------------ */

/* As --offer and --dialect call it; NULL: it is not offered. */
static const char *offer_word(enum lab_dialect d)
{
    static const char *const words[LAB_DIALECT_COUNT] = {
        [LAB_PRDR] = "prdr",
        [LAB_DEFERRALS] = "deferrals",
        [LAB_INLINE_DSN] = "inline-dsn",
        [LAB_XPRDR1] = "xprdr1",
        [LAB_EXDATA] = "exdata",
        [LAB_WRAPPED_A] = "xrcpt250",
        [LAB_WRAPPED_B] = "xrcpt250b",
        [LAB_ADAT] = "adat",
    };
    ASSERT(d < LAB_DIALECT_COUNT);
    return words[d];
}

static bool is_alone(const struct lab_point *p)
{
    return p->rcpt_count < LAB_LIST_RCPT_MIN && p->server.dialect != LAB_LMTP &&
           p->server.dialect != LAB_ADAT;
}

static bool has_one_reply(const struct lab_point *p)
{
    return p->server.dialect == LAB_SMTP || p->server.dialect == LAB_ADAT || is_alone(p);
}

static bool has_opener(enum lab_dialect d)
{
    return d != LAB_SMTP && d != LAB_LMTP && d != LAB_XPRDR1 && d != LAB_EXDATA && d != LAB_ADAT;
}

/* A recipient is kept before all is decided. */
static bool settles_before_last(enum lab_dialect d)
{
    return d == LAB_LMTP || d == LAB_EXDATA || d == LAB_WRAPPED_A || d == LAB_WRAPPED_B;
}

/* The recipients' replies leave one by one. */
static bool streams(const struct lab_point *p)
{
    return p->server.pacing == LAB_STREAM && !has_one_reply(p);
}

/* A list is not silent for longer (DEF-18, EXD-16); CLOCK_NEVER: there is no such rule. */
static clock_ns gap_of(const struct lab_point *p)
{
    if (!streams(p))
        return CLOCK_NEVER;
    if (p->server.dialect == LAB_DEFERRALS)
        return DEFERRALS_GAP_NS;
    return p->server.dialect == LAB_EXDATA ? EXDATA_GAP_NS : CLOCK_NEVER;
}

static bool is_loaded(const struct lab_server *s)
{
    return s->capacity > 0 || s->slowdown > 0;
}

/* --- what cannot be --------------------------------------------------------------------------- */

bool live_cannot(char ret_reason[LIVE_REASON_BYTES_MAX], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(ret_reason, LIVE_REASON_BYTES_MAX, fmt, args);
    va_end(args);
    return false;
}

static bool can_time(const struct lab_point *p, char *ret_reason)
{
    const struct lab_server *s = &p->server;
    if (s->before.kind == DIST_FILE || s->per_rcpt.kind == DIST_FILE || s->commit.kind == DIST_FILE)
        return live_cannot(ret_reason, "a distribution from a file is not scaled");
    if (s->reply_budget_ns != CLOCK_NEVER && s->dialect == LAB_ADAT)
        return live_cannot(ret_reason, "postern-sink has no reply budget in ADAT");
    return true;
}

static bool can_judge(const struct lab_point *p, char *ret_reason)
{
    const struct lab_server *s = &p->server;
    bool refuses = s->refused_count > 0 || s->refused_share > 0 || s->deferred_share > 0;
    if (s->refused_count > LIVE_REFUSED_MAX)
        return live_cannot(ret_reason, "more than %d recipients that are refused by name",
                           LIVE_REFUSED_MAX);
    if (s->dialect == LAB_WRAPPED_B && refuses && streams(p))
        return live_cannot(ret_reason, "which refusals were read before a client left, "
                                       "postern-sink does not know (HOL-13)");
    return true;
}

bool live_can_serve(const struct lab_point *p, char ret_reason[LIVE_REASON_BYTES_MAX])
{
    return can_time(p, ret_reason) && can_judge(p, ret_reason) && live_fault_can(p, ret_reason);
}

static bool can_send_as(const struct lab_client *c, clock_ns time_scale_ns, char *ret_reason)
{
    if (c->credits_early)
        return live_cannot(ret_reason, "postern-load credits nobody before the last reply");
    if (c->half_closes)
        return live_cannot(ret_reason, "postern-load sends no QUIT before the replies");
    double pause = (double)c->retry_ns;
    for (uint32_t i = 2; i < c->tries_max && c->retry_factor > 1 && i < 100; i++)
        pause *= c->retry_factor;
    if (c->retry_factor > 1 && c->tries_max > 1 && pause > (double)c->retry_max_ns)
        return live_cannot(ret_reason, "postern-load knows no longest pause");
    if (c->limit_ns != CLOCK_NEVER && live_time(c->limit_ns, time_scale_ns) < LIVE_LIMIT_NS_MIN)
        return live_cannot(ret_reason,
                           "the limit is below 20 ms of real time: a larger time_scale");
    return true;
}

bool live_can_send(const struct lab_point *p, clock_ns time_scale_ns,
                   char ret_reason[LIVE_REASON_BYTES_MAX])
{
    struct live_sender senders[LAB_MIX_ROWS_MAX];
    if (p->message_count * p->rcpt_count > LIVE_PAIRS_MAX)
        return live_cannot(ret_reason, "more than %d messages times recipients", LIVE_PAIRS_MAX);
    uint32_t count = live_senders(p, senders);
    if (p->server.dialect == LAB_ADAT && senders[0].client->timer == LAB_TIMER_TOTAL)
        return live_cannot(ret_reason, "no limit of postern-load is for all of DRCP together");
    for (uint32_t i = 0; i < count; i++)
        if (!can_send_as(senders[i].client, time_scale_ns, ret_reason))
            return false;
    return true;
}

/* --- the server ------------------------------------------------------------------------------- */

/* A rule with a time, as the sink reads distributions; none where it is always 0. */
static void put_dist(struct args *a, const char *begin, const struct dist *d, clock_ns scale)
{
    double factor = (double)scale / (double)NS_PER_S;
    switch (d->kind) {
    case DIST_CONSTANT:
        if (d->low > 0)
            args_put(a, "--rule=%s %lluns", begin, (unsigned long long)live_time(d->low, scale));
        return;
    case DIST_UNIFORM:
        args_put(a, "--rule=%s uniform:%lluns-%lluns", begin,
                 (unsigned long long)live_time(d->low, scale),
                 (unsigned long long)live_time(d->high, scale));
        return;
    case DIST_EXP:
        args_put(a, "--rule=%s exp:%.0fns", begin, d->a * factor);
        return;
    case DIST_LOGNORMAL:
        args_put(a, "--rule=%s lognormal:%.0fns,%.6f", begin, d->a * factor, d->b);
        return;
    case DIST_NORMAL:
        args_put(a, "--rule=%s normal:%.0fns,%.0fns", begin, d->a * factor, d->b * factor);
        return;
    case DIST_FILE:
        break;
    }
    UNREACHABLE();
}

static void put_time(struct args *a, const char *action, clock_ns ns, clock_ns scale)
{
    if (ns > 0 && ns != CLOCK_NEVER)
        args_put(a, "--rule=dot -> %s %lluns", action,
                 (unsigned long long)u64_min(live_time(ns, scale), TIME_NS_MAX));
}

static void put_fault_rules(struct args *a, const struct lab_point *p)
{
    const struct lab_faults *f = &p->faults;
    const char *when = f->is_first_try_only ? " attempt=1" : "";
    if (lab_faults_have(f, LAB_CUT_AFTER_REPLIES) && !live_fault_needs_wire(p))
        args_put(a, "--rule=dot%s -> drop-after %u close", when, f->cut_replies);
}

/* When its list is begun: a time is known where a line for that is there. */
static void put_opener(struct args *a, const struct lab_point *p, clock_ns scale)
{
    const struct lab_server *s = &p->server;
    if (!streams(p))
        return;
    if (has_opener(s->dialect) && s->opener_ns != CLOCK_NEVER)
        args_put(a, "--rule=dot -> opener %lluns",
                 (unsigned long long)live_time(s->opener_ns, scale));
    else
        args_put(a, "--rule=dot -> opener first");
}

static const char *commit_word(const struct lab_point *p)
{
    if (p->server.pacing == LAB_BUFFER)
        return "end";
    return p->server.dialect == LAB_WRAPPED_B ? "opener" : "before";
}

static void put_dot_rules(struct args *a, const struct lab_point *p, clock_ns scale)
{
    static const char *const gone[LAB_VANISHED_COUNT] = {
        [LAB_VANISHED_RUN] = "run", [LAB_VANISHED_STOP] = "stop", [LAB_VANISHED_WRITE] = "write"};
    const struct lab_server *s = &p->server;
    args_put(a, "--rule=dot -> pacing %s; order %s; commit %s; gone %s; mixed hold",
             s->pacing == LAB_BUFFER ? "buffer" : "stream",
             s->order == LAB_CONCURRENT ? "concurrent" : "sequential", commit_word(p),
             gone[s->vanished]);
    put_dist(a, "dot -> delay", &s->before, scale);
    put_dist(a, "dot -> write", &s->commit, scale);
    put_opener(a, p, scale);
    put_time(a, "gap", gap_of(p), scale);
    put_time(a, "final", s->final_ns, scale);
    put_time(a, "budget", s->reply_budget_ns, scale);
    put_time(a, "life", s->progress_ns, scale);
    if (s->remembers_scan)
        args_put(a, "--rule=dot -> scan once");
    if (s->suppresses_copies)
        put_time(a, "suppress", SUPPRESS_NS, scale);
}

/* Who is refused is so on every try; who is deferred need not be on the next one. */
static void put_each_rules(struct args *a, const struct lab_point *p, clock_ns scale)
{
    const struct lab_server *s = &p->server;
    double rest = 1 - s->refused_share;
    for (uint32_t i = 0; i < s->refused_count; i++)
        args_put(a, "--rule=each rcpt=" LIVE_ADDRESS " -> reply 550 5.7.1 Refused", i);
    if (s->refused_share > 0)
        args_put(a, "--rule=each share=%.9f -> reply 550 5.7.1 Refused", s->refused_share);
    if (s->deferred_share > 0)
        args_put(a, "--rule=each p=%.9f -> reply 450 4.7.1 Later",
                 rest > s->deferred_share ? s->deferred_share / rest : 1.0);
    put_dist(a, "each -> delay", &s->per_rcpt, scale);
}

void live_put_server(struct args *a, const struct lab_point *p, clock_ns time_scale_ns)
{
    const char *offer = offer_word(p->server.dialect);
    args_put(a, "--offer=PIPELINING,8BITMIME,ENHANCEDSTATUSCODES,DSN,SIZE%s%s",
             offer != NULL ? "," : "", offer != NULL ? offer : "");
    args_put(a, "--rcpt-max=%u", p->rcpt_count > 1000 ? p->rcpt_count : 1000);
    args_put(a, "--idle=24h");
    if (p->server.capacity > 0)
        args_put(a, "--capacity=%u", p->server.capacity);
    if (p->server.slowdown > 0)
        args_put(a, "--slowdown=%.9f", p->server.slowdown);
    put_fault_rules(a, p);
    put_dot_rules(a, p, time_scale_ns);
    put_each_rules(a, p, time_scale_ns);
    args_put(a, "--rule=rcpt -> decide later");
}

/* --- the clients ------------------------------------------------------------------------------ */

/* Messages that do not come at a rate are each alone: none of them waits for another one's tries,
 * and the server works on all at once, unless load changes how it works. */
static uint32_t connections_of(const struct lab_point *p, uint64_t messages, double share)
{
    if (p->rate_per_s <= 0)
        return is_loaded(&p->server) ? 1 : (uint32_t)u64_min(messages, LIVE_ALONE_MAX);
    uint64_t wanted = p->client_count > 0 ? (uint64_t)(p->client_count * share + 0.5) : messages;
    return (uint32_t)u64_min(u64_max(wanted, 1), LIVE_CONNECTIONS_MAX);
}

uint32_t live_senders(const struct lab_point *p, struct live_sender ret_senders[LAB_MIX_ROWS_MAX])
{
    uint32_t count = 0;
    uint64_t given = 0;
    double share = 0;
    for (uint32_t i = 0; i < (p->mix.count > 0 ? p->mix.count : 1); i++) {
        bool is_mixed = p->mix.count > 0;
        double own = is_mixed ? p->mix.rows[i].share : 1;
        share += own;
        bool is_last = !is_mixed || i + 1 == p->mix.count;
        uint64_t upto = is_last ? p->message_count : (uint64_t)((double)p->message_count * share);
        uint64_t messages = u64_min(upto, p->message_count) - given;
        given += messages;
        if (messages == 0)
            continue;
        ret_senders[count++] = (struct live_sender){
            .client = is_mixed ? &p->mix.rows[i].client : &p->client,
            .messages = messages,
            .connections = connections_of(p, messages, own),
            .rate_per_s = p->rate_per_s * own,
        };
    }
    return count;
}

static void put_waiting(struct args *a, const struct lab_client *c, clock_ns scale)
{
    static const char *const kinds[LAB_TIMER_COUNT] = {
        [LAB_TIMER_REPLY] = "reply", [LAB_TIMER_TOTAL] = "total", [LAB_TIMER_LINE] = "line"};
    clock_ns limit = u64_min(live_time(c->limit_ns, scale), TIME_NS_MAX);
    args_put(a, "--timeout=done=%lluns:%s", (unsigned long long)limit, kinds[c->timer]);
    if (c->tries_max <= 1)
        return;
    unsigned long long pause = live_time(c->retry_ns, scale);
    if (c->retry_factor > 1)
        args_put(a, "--retry=exp:%lluns,%.6f,%u", pause, c->retry_factor, c->tries_max - 1);
    else
        args_put(a, "--retry=fixed:%lluns,%u", pause, c->tries_max - 1);
}

void live_put_sender(struct args *a, const struct lab_point *p, const struct live_sender *s,
                     clock_ns time_scale_ns)
{
    const char *dialect = offer_word(p->server.dialect);
    args_put(a, "--count=%llu", (unsigned long long)s->messages);
    args_put(a, "--connections=%u", s->connections);
    args_put(a, "--recipients=%u", p->rcpt_count);
    args_put(a, "--size=%llu", (unsigned long long)p->message_bytes);
    args_put(a, "--reuse=1"); /* a connection is a try */
    put_waiting(a, s->client, time_scale_ns);
    if (dialect != NULL)
        args_put(a, "--dialect=%s", dialect);
    if (p->server.dialect == LAB_ADAT)
        args_put(a, "--dialect-min=1");
    if (s->rate_per_s > 0) {
        args_put(a, "--rate=%.9f/s", s->rate_per_s * (double)NS_PER_S / (double)time_scale_ns);
        args_put(a, "--shape=poisson");
        args_put(a, "--lag-limit=1h"); /* how late it was is told with the result */
    }
    /* A server that has a script breaks connections itself, or the wire does; else the client
     * leaves. */
    bool leaves = lab_faults_have(&p->faults, LAB_CUT_AFTER_REPLIES) &&
                  p->server.program != LAB_PROGRAM_SINK && !live_fault_needs_wire(p);
    if (leaves && p->faults.cut_replies == 0)
        args_put(a, "--vanish=dot");
    else if (leaves)
        args_put(a, "--vanish=%u", p->faults.cut_replies);
}

const char *live_scheme(const struct lab_point *p)
{
    return p->server.dialect == LAB_LMTP ? "lmtp" : "smtp";
}

/* --- how long --------------------------------------------------------------------------------- */

/* How much longer than on an idle server a message takes at most, when all tries are there. */
static double load_of(const struct lab_point *p, const struct lab_client *c)
{
    const struct lab_server *s = &p->server;
    double tries = (double)p->message_count * c->tries_max;
    double capacity = s->capacity > 0 ? s->capacity : 1;
    if (!is_loaded(s))
        return 1;
    return (1 + s->slowdown * tries / capacity) * (s->capacity > 0 ? 1 + tries / capacity : 1);
}

/* Of one message with all of its tries. */
static double longest_of(const struct lab_point *p, const struct lab_client *c)
{
    const struct lab_server *s = &p->server;
    double each = dist_mean(&s->per_rcpt) + dist_mean(&s->commit);
    double work =
        dist_mean(&s->before) + each * p->rcpt_count + dist_mean(&s->commit) + (double)s->final_ns;
    work *= load_of(p, c);
    work += NETWORK_TRIPS * (double)p->faults.one_way_ns;
    if (lab_faults_have(&p->faults, LAB_CUT_SLOW))
        work += 1e9 * ((double)p->message_bytes + ENVELOPE_BYTES * p->rcpt_count) /
                (double)p->faults.bytes_per_s;
    if (lab_faults_have(&p->faults, LAB_CUT_BLACK_HOLE))
        work += (double)c->limit_ns;
    double retry = (double)c->retry_ns, sum = 0;
    for (uint32_t i = 0; i < c->tries_max; i++) {
        sum += 3 * work + retry; /* a mean may be exceeded */
        retry *= c->retry_factor;
    }
    return sum;
}

clock_ns live_longest(const struct lab_point *p)
{
    struct live_sender senders[LAB_MIX_ROWS_MAX];
    uint32_t count = live_senders(p, senders);
    double longest = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct live_sender *s = &senders[i];
        double one = longest_of(p, s->client);
        double sum = one * (double)s->messages / s->connections + one;
        if (s->rate_per_s > 0)
            sum += 2e9 * (double)s->messages / s->rate_per_s;
        longest = sum > longest ? sum : longest;
    }
    return longest > 1e18 ? (clock_ns)1e18 : (clock_ns)longest;
}

/* Replies leave when their recipient's work is over, and nothing else has a say. */
static bool is_timed(const struct lab_point *p)
{
    const struct lab_server *s = &p->server;
    clock_ns gap = gap_of(p);
    clock_ns first = s->before.low + s->per_rcpt.low + s->commit.low;
    bool has_gap = first > gap || s->per_rcpt.low + s->commit.low > gap;
    bool is_fixed = is_constant(&s->before) && is_constant(&s->per_rcpt) && is_constant(&s->commit);
    bool is_even = !s->remembers_scan && !s->suppresses_copies && !is_loaded(s) &&
                   s->reply_budget_ns == CLOCK_NEVER && s->final_ns == 0;
    bool is_drawn = (s->refused_share > 0 || s->deferred_share > 0) &&
                    (!is_zero(&s->commit) || s->dialect == LAB_EXDATA); /* who is not written */
    return is_fixed && is_even && !is_drawn && !has_gap && s->dialect != LAB_ADAT &&
           s->dialect != LAB_WRAPPED_B && !lab_faults_have(&p->faults, LAB_CUT_SLOW) &&
           !lab_faults_have(&p->faults, LAB_CUT_AFTER_REPLIES);
}

clock_ns live_reply_due(const struct lab_point *p, uint64_t k)
{
    const struct lab_server *s = &p->server;
    bool is_last = k == CLOCK_NEVER;
    bool commits_each = streams(p) && settles_before_last(s->dialect);
    bool has_refused = s->refused_count > 0 && !is_zero(&s->commit);
    bool has_line = commits_each && s->dialect != LAB_EXDATA; /* there, a later try may have none */
    if (!is_timed(p) || has_refused || (!is_last && !has_line))
        return CLOCK_NEVER;
    uint64_t works = is_last ? p->rcpt_count : k + 1;
    if (s->order == LAB_CONCURRENT)
        works = 1;
    clock_ns each = s->per_rcpt.low + (commits_each ? s->commit.low : 0);
    return s->before.low + each * works + (commits_each ? 0 : s->commit.low) +
           2 * p->faults.one_way_ns;
}
