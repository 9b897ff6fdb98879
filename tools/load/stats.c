/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.c - owns the memory of what a run measured, and adds the workers' shares up.
 *
 * Percentiles cannot be added, so each second that is over keeps its histogram in short form
 * (struct load_cells); merging adds those and takes the percentiles anew. The last second of a
 * worker is never "over": its histogram still stands in second_latency when the worker has ended.
 */
#include "load/stats.h"
#include <errno.h>
#include <stdlib.h>

static const char *const phase_names[] = {
    "connect",
    "tls",
    "greeting",
    "ehlo",
    "mail",
    "rcpt",
    "data",
    "content",
    "dot_to_first_reply",
    "dot_to_each_reply",
    "dot_to_last_reply",
    "transaction",
    "message",
};
static_assert(ARRAY_COUNT(phase_names) == LOAD_PHASE_COUNT, "a name each");

static const char *const reply_phase_names[] = {
    "greeting", "hello", "mail", "rcpt", "data", "content", "done", "other", "idle",
};
static_assert(ARRAY_COUNT(reply_phase_names) == CLIENT_PHASE_COUNT, "a name each");

#define FINE_COUNT (2 * LOAD_PHASE_COUNT + LOAD_REPLY_K_MAX + 2) /* histograms of three digits */
#define SECOND_COUNTS HIST_COUNTS(LOAD_SECOND_SUB_BITS, HIST_TOP_BITS)

const char *load_phase_name(enum load_phase p)
{
    ASSERT(p < LOAD_PHASE_COUNT);
    return phase_names[p];
}

const char *load_reply_phase_name(enum client_phase p)
{
    ASSERT(p < CLIENT_PHASE_COUNT);
    return reply_phase_names[p];
}

/* --- memory ----------------------------------------------------------------------------------- */

/* All histograms stand in one block, which the first of them points to. */
static void lay_out(struct load_stats *s, uint64_t *counts)
{
    struct hist *const groups[] = {s->planned, s->actual, s->reply_k, &s->start_lag, &s->sizes};
    const uint32_t lengths[] = {LOAD_PHASE_COUNT, LOAD_PHASE_COUNT, LOAD_REPLY_K_MAX, 1, 1};
    uint32_t made = 0;
    for (size_t g = 0; g < ARRAY_COUNT(groups); g++)
        for (uint32_t i = 0; i < lengths[g]; i++)
            hist_init(&groups[g][i], counts + HIST_FINE_COUNTS * made++, HIST_FINE_SUB_BITS,
                      HIST_TOP_BITS);
    ASSERT(made == FINE_COUNT);
    hist_init(&s->second_latency, counts + HIST_FINE_COUNTS * made, LOAD_SECOND_SUB_BITS,
              HIST_TOP_BITS);
}

int load_stats_new(uint32_t seconds_max, struct load_stats **ret_stats)
{
    struct load_stats *s = calloc(1, sizeof(*s));
    uint64_t *counts = calloc(HIST_FINE_COUNTS * FINE_COUNT + SECOND_COUNTS, sizeof(*counts));
    if (s == NULL || counts == NULL) {
        free(s);
        free(counts);
        return -ENOMEM;
    }
    lay_out(s, counts);
    /* Pages of seconds that do not come are never touched. */
    s->seconds = calloc(size_max(seconds_max, 1), sizeof(*s->seconds));
    s->cells = calloc(size_max(seconds_max, 1), sizeof(struct load_cells *));
    s->second_cap = seconds_max;
    if (s->seconds == NULL || s->cells == NULL) {
        load_stats_free(s);
        return -ENOMEM;
    }
    *ret_stats = s;
    return 0;
}

void load_stats_free(struct load_stats *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; s->cells != NULL && i < s->second_count; i++)
        free(s->cells[i]);
    free(s->cells);
    free(s->seconds);
    free(s->planned[0].counts);
    free(s);
}

/* --- recording -------------------------------------------------------------------------------- */

void load_stats_phase(struct load_stats *s, enum load_phase phase, uint64_t ns, uint64_t lag_ns)
{
    ASSERT(phase < LOAD_PHASE_COUNT);
    uint64_t from_plan_ns;
    if (__builtin_add_overflow(ns, lag_ns, &from_plan_ns))
        from_plan_ns = UINT64_MAX;
    hist_record(&s->actual[phase], ns);
    hist_record(&s->planned[phase], from_plan_ns);
}

void load_stats_reply_k(struct load_stats *s, uint32_t k, uint64_t ns)
{
    if (k < LOAD_REPLY_K_MAX)
        hist_record(&s->reply_k[k], ns);
}

static bool is_same_outcome(const struct load_outcome *o, enum client_phase phase, uint16_t code,
                            const uint16_t enhanced[3])
{
    return o->code == code && o->phase == phase && o->enhanced[0] == enhanced[0] &&
           o->enhanced[1] == enhanced[1] && o->enhanced[2] == enhanced[2];
}

void load_stats_outcome(struct load_stats *s, enum client_phase phase, uint16_t code,
                        const uint16_t enhanced[3], uint64_t count)
{
    ASSERT(phase < CLIENT_PHASE_COUNT);
    for (uint32_t i = 0; i < s->outcome_count; i++) {
        struct load_outcome *o = &s->outcomes[i];
        if (is_same_outcome(o, phase, code, enhanced)) {
            o->count += count;
            return;
        }
    }
    if (s->outcome_count == LOAD_OUTCOMES_MAX) {
        s->counters.outcomes_lost += count;
        return;
    }
    s->outcomes[s->outcome_count++] = (struct load_outcome){
        .code = code,
        .enhanced = {enhanced[0], enhanced[1], enhanced[2]},
        .phase = (uint8_t)phase,
        .count = count,
    };
}

void load_stats_dialect(struct load_stats *s, enum dialect d, bool has_block,
                        const uint64_t fates[ATTEMPT_FATE_COUNT])
{
    ASSERT(d < DIALECT_COUNT);
    struct load_dialect *l = &s->counters.dialects[d];
    l->transactions++;
    l->blocks += has_block;
    for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
        l->rcpts[f] += fates[f];
}

/* --- seconds ---------------------------------------------------------------------------------- */

static void take_percentiles(struct load_second *second, const struct hist *h)
{
    second->latency_p50_ns = hist_quantile(h, 0.5);
    second->latency_p99_ns = hist_quantile(h, 0.99);
}

/* NULL without memory: then the second has no percentiles once it is merged with others. */
static struct load_cells *cells_of(const struct hist *h)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < h->count_len; i++)
        count += h->counts[i] != 0;
    struct load_cells *cells = malloc(sizeof(*cells) + count * sizeof(cells->at[0]));
    if (cells == NULL)
        return NULL;
    cells->count = 0;
    for (uint32_t i = 0; i < h->count_len; i++)
        if (h->counts[i] != 0)
            cells->at[cells->count++] =
                (struct load_cell){i, (uint32_t)u64_min(h->counts[i], UINT32_MAX)};
    return cells;
}

static void end_second(struct load_stats *s)
{
    struct hist *h = &s->second_latency;
    if (s->second_count == 0 || h->total == 0)
        return;
    take_percentiles(&s->seconds[s->second_count - 1], h);
    free(s->cells[s->second_count - 1]);
    s->cells[s->second_count - 1] = cells_of(h);
    hist_reset(h);
}

struct load_second *load_stats_second(struct load_stats *s, clock_ns now)
{
    if (now < s->began_at || (now - s->began_at) / NS_PER_S >= s->second_cap)
        return NULL;
    uint32_t idx = (uint32_t)((now - s->began_at) / NS_PER_S);
    if (idx >= s->second_count) {
        end_second(s);
        s->second_count = idx + 1;
    }
    return &s->seconds[idx];
}

/* --- adding up -------------------------------------------------------------------------------- */

/* Only for percentiles: least value, greatest value and sum are not in @cells. */
static void add_cells(struct hist *to, const struct load_cells *cells)
{
    for (uint32_t i = 0; cells != NULL && i < cells->count; i++) {
        to->counts[cells->at[i].idx] += cells->at[i].times;
        to->total += cells->at[i].times;
    }
}

static void merge_second(struct load_stats *to, const struct load_stats *from, uint32_t idx)
{
    struct load_second *t = &to->seconds[idx];
    const struct load_second *f = &from->seconds[idx];
    t->started += f->started;
    t->messages += f->messages;
    t->rcpts_accepted += f->rcpts_accepted;
    t->rcpts_deferred += f->rcpts_deferred;
    t->rcpts_refused += f->rcpts_refused;
    t->unknown += f->unknown;
    t->bytes += f->bytes;
    t->in_flight_max += f->in_flight_max; /* an upper bound: the maxima need not coincide */
    t->latency_max_ns = u64_max(t->latency_max_ns, f->latency_max_ns);

    bool is_last = idx + 1 == from->second_count && from->second_latency.total > 0;
    if (!is_last && from->cells[idx] == NULL)
        return;
    struct hist *h = &to->second_latency;
    hist_reset(h);
    add_cells(h, to->cells[idx]);
    if (is_last)
        hist_merge(h, &from->second_latency);
    else
        add_cells(h, from->cells[idx]);
    h->max = t->latency_max_ns;
    take_percentiles(t, h);
    free(to->cells[idx]);
    to->cells[idx] = cells_of(h);
    hist_reset(h);
}

static void merge_counters(struct load_counters *to, const struct load_counters *from)
{
    static_assert(sizeof(*to) % sizeof(uint64_t) == 0, "nothing but counters in it");
    uint64_t *t = (uint64_t *)to;
    const uint64_t *f = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
        t[i] += f[i];
}

void load_stats_merge(struct load_stats *to, const struct load_stats *from)
{
    merge_counters(&to->counters, &from->counters);
    for (uint32_t i = 0; i < LOAD_PHASE_COUNT; i++) {
        hist_merge(&to->planned[i], &from->planned[i]);
        hist_merge(&to->actual[i], &from->actual[i]);
    }
    for (uint32_t i = 0; i < LOAD_REPLY_K_MAX; i++)
        hist_merge(&to->reply_k[i], &from->reply_k[i]);
    hist_merge(&to->start_lag, &from->start_lag);
    hist_merge(&to->sizes, &from->sizes);
    for (uint32_t i = 0; i < from->outcome_count; i++) {
        const struct load_outcome *o = &from->outcomes[i];
        load_stats_outcome(to, o->phase, o->code, o->enhanced, o->count);
    }
    uint32_t count = from->second_count < to->second_cap ? from->second_count : to->second_cap;
    if (to->second_count < count)
        to->second_count = count;
    for (uint32_t i = 0; i < count; i++)
        merge_second(to, from, i);
    if (to->began_at == 0) {
        to->began_at = from->began_at;
        to->measure_at = from->measure_at;
    }
}
