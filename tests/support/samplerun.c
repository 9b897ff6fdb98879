/* SPDX-License-Identifier: Apache-2.0 */
/* samplerun.c - made from a seeded generator and a simple model of a server: no clock, no network.
 */
#include "samplerun.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"empty", "one", "open", "closed", "long", "huge", "hostile"};
static_assert(ARRAY_COUNT(names) == SAMPLE_KIND_COUNT, "a name each");

const char *sample_name(enum sample_kind kind)
{
    return names[kind];
}

static double uniform(struct rng *rng)
{
    return ((double)(rng_next(rng) >> 11) + 0.5) * 0x1p-53;
}

/* Median @median_us, with a tail. */
static uint64_t draw_ns(struct rng *rng, double median_us, double spread)
{
    double normal = sqrt(-2 * log(uniform(rng))) * cos(2 * M_PI * uniform(rng));
    return (uint64_t)(1e3 * median_us * exp(spread * normal));
}

struct model {
    uint32_t seconds, warmup_seconds;
    uint32_t rate; /* a second */
    double median_us;
    uint32_t stall_at; /* second in which the server stands still; 0: never */
    bool is_open_loop;
};

static void add_replies(struct load_stats *s, struct rng *rng, struct load_second *second,
                        bool is_measured)
{
    static const uint16_t ok[3] = {2, 0, 0}, later[3] = {4, 3, 0}, none[3] = {5, 1, 1};
    uint64_t before[ATTEMPT_FATE_COUNT], fates[ATTEMPT_FATE_COUNT];
    memcpy(before, s->counters.rcpts, sizeof(before));
    for (uint32_t rcpt = 0; rcpt < 2; rcpt++) {
        double p = uniform(rng);
        if (!is_measured) {
            second->rcpts_accepted++;
        } else if (p < 0.97) {
            s->counters.rcpts[ATTEMPT_ACCEPTED]++;
            second->rcpts_accepted++;
            load_stats_outcome(s, CLIENT_PHASE_DONE, 250, ok, 1);
        } else if (p < 0.985) {
            s->counters.rcpts[ATTEMPT_DEFERRED]++;
            second->rcpts_deferred++;
            load_stats_outcome(s, CLIENT_PHASE_DONE, 451, later, 1);
        } else if (p < 0.999) {
            s->counters.rcpts[ATTEMPT_REFUSED]++;
            second->rcpts_refused++;
            load_stats_outcome(s, CLIENT_PHASE_RCPT, 550, none, 1);
        } else {
            s->counters.rcpts[ATTEMPT_UNKNOWN]++;
            second->unknown++;
            s->counters.causes[ATTEMPT_CAUSE_TIMEOUT]++;
            s->counters.timeouts[CLIENT_PHASE_DONE]++;
        }
    }
    for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
        fates[f] = s->counters.rcpts[f] - before[f];
    if (is_measured)
        load_stats_dialect(s, DIALECT_PRDR, fates[ATTEMPT_ACCEPTED] < 2, fates);
}

static void add_phases(struct load_stats *s, struct rng *rng, uint64_t dot_ns, uint64_t whole_ns,
                       uint64_t lag_ns)
{
    static const struct {
        enum load_phase phase;
        double median_us;
    } small[] = {
        {LOAD_PHASE_MAIL, 45},
        {LOAD_PHASE_RCPT, 60},
        {LOAD_PHASE_DATA, 40},
        {LOAD_PHASE_CONTENT, 12},
    };
    for (size_t i = 0; i < ARRAY_COUNT(small); i++)
        load_stats_phase(s, small[i].phase, draw_ns(rng, small[i].median_us, 0.3), lag_ns);
    if (uniform(rng) < 0.02) {
        load_stats_phase(s, LOAD_PHASE_CONNECT, draw_ns(rng, 35, 0.5), lag_ns);
        load_stats_phase(s, LOAD_PHASE_GREETING, draw_ns(rng, 90, 0.4), lag_ns);
        load_stats_phase(s, LOAD_PHASE_EHLO, draw_ns(rng, 50, 0.3), lag_ns);
        s->counters.connects++;
    }
    load_stats_phase(s, LOAD_PHASE_FIRST_REPLY, dot_ns * 9 / 10, lag_ns);
    load_stats_phase(s, LOAD_PHASE_EACH_REPLY, dot_ns * 9 / 10, lag_ns);
    load_stats_phase(s, LOAD_PHASE_EACH_REPLY, dot_ns, lag_ns);
    load_stats_phase(s, LOAD_PHASE_LAST_REPLY, dot_ns, lag_ns);
    load_stats_phase(s, LOAD_PHASE_WHOLE, whole_ns, lag_ns);
    load_stats_reply_k(s, 0, dot_ns * 9 / 10);
    load_stats_reply_k(s, 1, dot_ns);
}

static void add_message(struct load_stats *s, struct rng *rng, const struct model *m,
                        uint64_t at_ns)
{
    uint64_t stall_end_ns = (m->stall_at + 1) * NS_PER_S;
    bool is_stalled = m->stall_at > 0 && at_ns >= m->stall_at * NS_PER_S && at_ns < stall_end_ns;
    uint64_t lag_ns = is_stalled && m->is_open_loop ? stall_end_ns - at_ns : 0;
    uint64_t dot_ns = draw_ns(rng, m->median_us, 0.35);
    if (uniform(rng) < 0.004)
        dot_ns += draw_ns(rng, 9000, 0.6);
    uint64_t whole_ns = dot_ns + draw_ns(rng, 160, 0.2);
    uint64_t end_ns = at_ns + lag_ns + whole_ns;
    struct load_second *second = load_stats_second(s, s->began_at + end_ns);
    if (second == NULL)
        return;
    uint64_t bytes = draw_ns(rng, 12, 1.1) + 400;
    second->started++;
    second->messages++;
    second->bytes += bytes;
    second->in_flight_max = u64_max(second->in_flight_max, 1 + (lag_ns + whole_ns) / NS_PER_MS);
    second->latency_max_ns = u64_max(second->latency_max_ns, lag_ns + whole_ns);
    hist_record(&s->second_latency, lag_ns + whole_ns);
    bool is_measured = at_ns >= m->warmup_seconds * NS_PER_S;
    add_replies(s, rng, second, is_measured);
    if (!is_measured)
        return;
    struct load_counters *c = &s->counters;
    c->planned++;
    c->started++;
    c->finished++;
    c->messages_accepted++;
    c->content_bytes += bytes;
    c->bytes_sent += bytes + 180;
    c->bytes_received += 190;
    c->cap_hits += lag_ns > 0;
    hist_record(&s->sizes, bytes);
    hist_record(&s->start_lag, draw_ns(rng, 4, 0.8));
    add_phases(s, rng, dot_ns, whole_ns, lag_ns);
}

static void set_text(char *to, size_t cap, const char *text)
{
    size_t len = size_min(strlen(text), cap - 1);
    memcpy(to, text, len);
    to[len] = '\0';
}
#define SET(field, text) set_text((field), sizeof(field), (text))

static void add_option(struct load_report *r, const char *name, const char *value)
{
    struct report_pair *pair = &r->options[r->option_count++];
    pair->name = name;
    SET(pair->value, value);
}

static struct load_report *empty(void)
{
    struct load_report *r = report_new();
    if (r == NULL || load_stats_new(11 * 3600, &r->stats) != 0)
        abort();
    SET(r->version, "0.1.0");
    SET(r->kernel, "Linux 6.1.0-example x86_64");
    SET(r->cpu, "Example Processor 9000 @ 3.00GHz");
    SET(r->host, "bench.example");
    SET(r->started, "2026-03-01T12:00:00Z");
    SET(r->command, "postern-load --rate 2000 --duration 60s 'smtp://[::1]:2525'");
    SET(r->server_text, "220 mx.example ESMTP Postern\n250-mx.example\n250-PIPELINING\n250 PRDR");
    SET(r->server_durability, "disk");
    add_option(r, "--rate", "2000");
    add_option(r, "--duration", "60s");
    add_option(r, "--connections", "64");
    r->cpu_count = 8;
    r->run = 0x0123456789ABCDEF;
    r->is_result = true;
    r->is_open_loop = true;
    r->rate_planned = 2000;
    r->stats->began_at = 1000 * NS_PER_S;
    return r;
}

/* As at the end of a real run: what one worker has is added up into the report's. */
static void merge(struct load_report *r)
{
    struct load_stats *merged;
    if (load_stats_new(r->stats->second_cap, &merged) != 0)
        abort();
    load_stats_merge(merged, r->stats);
    load_stats_free(r->stats);
    r->stats = merged;
}

static void run_model(struct load_report *r, const struct model *m)
{
    struct rng rng;
    rng_init(&rng, 7);
    r->is_open_loop = m->is_open_loop;
    r->rate_planned = m->is_open_loop ? m->rate : 0;
    r->warmup_seconds = m->warmup_seconds;
    r->seconds = m->seconds - m->warmup_seconds;
    r->stats->measure_at = r->stats->began_at + m->warmup_seconds * NS_PER_S;
    /* One after the other by their ends: a transaction that waited out a stall ends behind it. */
    for (uint32_t second = 0; second < m->seconds; second++) {
        if (m->stall_at > 0 && second == m->stall_at && !m->is_open_loop)
            continue;
        for (uint32_t i = 0; i < m->rate; i++)
            add_message(r->stats, &rng, m, second * NS_PER_S + i * (NS_PER_S / m->rate));
    }
    merge(r);
    r->cpu_seconds = 9e-6 * (double)r->stats->counters.finished;
}

static void make_huge(struct load_report *r)
{
    struct load_stats *s = r->stats;
    uint64_t *words = (uint64_t *)&s->counters;
    for (size_t i = 0; i < sizeof(s->counters) / sizeof(*words); i++)
        words[i] = UINT64_MAX - i;
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++) {
        load_stats_phase(s, p, UINT64_MAX, UINT64_MAX);
        load_stats_phase(s, p, 0, 0);
        load_stats_phase(s, p, (uint64_t)1 << 53 | 1, 1);
    }
    hist_record_many(&s->sizes, UINT64_MAX, (uint64_t)1 << 60);
    struct load_second *second = load_stats_second(s, s->began_at + 3 * NS_PER_S);
    memset(second, 0xFF, sizeof(*second));
    second = load_stats_second(s, s->began_at + 5 * NS_PER_S);
    memset(second, 0xFF, sizeof(*second));
    for (uint32_t i = 0; i < LOAD_OUTCOMES_MAX + 2; i++) {
        const uint16_t enhanced[3] = {65535, 65535, (uint16_t)i};
        load_stats_outcome(s, CLIENT_PHASE_IDLE, 65535, enhanced, UINT64_MAX / 512);
    }
    r->run = UINT64_MAX;
    r->cpu_count = UINT32_MAX;
    r->seconds = 1e300;
    r->warmup_seconds = 5e-324;
    r->cpu_seconds = 1.7976931348623157e308;
    r->rate_planned = 0.1;
    r->is_interrupted = true;
}

static void make_hostile(struct load_report *r)
{
    static const char attack[] =
        "220 </script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;&lt;\\\",\r\n"
        "250-]]>--><style>@import url(http://attacker.example/x)</style>\x1B[2J\x07\x7F\n"
        "250-=cmd|'/c calc'!A1\t{{7*7}}${7*7}\\u0000\xE2\x80\xAE\xC3\xA9\n"
        "250 \xFF\xC0\x80\xED\xA0\x80\xF4\x90\x80\x80\xC2";
    SET(r->server_text, attack);
    SET(r->command, attack);
    SET(r->host, attack);
    SET(r->cpu, attack);
    SET(r->kernel, attack);
    SET(r->version, attack);
    SET(r->started, attack);
    SET(r->server_durability, attack);
    SET(r->why_not, attack);
    add_option(r, "--\"><script>alert(3)</script>", attack);
    r->is_result = false;
}

struct load_report *sample_report(enum sample_kind kind)
{
    static const struct model models[SAMPLE_KIND_COUNT] = {
        [SAMPLE_ONE] = {1, 0, 1, 420, 0, true},
        [SAMPLE_OPEN] = {65, 5, 2000, 420, 37, true},
        [SAMPLE_CLOSED] = {65, 5, 3100, 260, 0, false},
        [SAMPLE_LONG] = {36000, 60, 1, 700, 9000, true},
        [SAMPLE_HOSTILE] = {12, 2, 50, 420, 0, true},
    };
    struct load_report *r = empty();
    if (models[kind].seconds > 0)
        run_model(r, &models[kind]);
    if (kind == SAMPLE_HUGE)
        make_huge(r);
    if (kind == SAMPLE_HOSTILE)
        make_hostile(r);
    return r;
}
