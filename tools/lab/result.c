/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result.c - owns results in memory: how they are made of measures, joined, and summed up.
 */
#include "lab/result.h"
#include "base/civil.h"
#include "base/err.h"
#include "load/place.h"
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#define NUMBER(field)                                                                              \
    {                                                                                              \
#field, offsetof(struct lab_numbers, field)                                                \
    }
#define CAUSE(name, cause)                                                                         \
    {                                                                                              \
        name, offsetof(struct lab_numbers, causes) + (cause) * sizeof(uint64_t)                    \
    }

const struct lab_number_field lab_number_fields[] = {
    NUMBER(messages),
    NUMBER(pairs),
    NUMBER(tries),
    NUMBER(tries_failed),
    NUMBER(accepted),
    NUMBER(refused),
    NUMBER(deferred),
    NUMBER(gave_up),
    NUMBER(delivered),
    NUMBER(lost),
    NUMBER(duplicated_pairs),
    NUMBER(copies_excess),
    CAUSE("copies_client_gave_up", LEDGER_CAUSE_GAVE_UP),
    CAUSE("copies_connection_lost", LEDGER_CAUSE_LOST),
    CAUSE("copies_next_hop", LEDGER_CAUSE_NEXT_HOP),
    CAUSE("copies_unknown_cause", LEDGER_CAUSE_UNKNOWN),
    NUMBER(copies_first_try),
    NUMBER(copies_first_try_sq),
    NUMBER(copies_excess_sq),
    NUMBER(livelocks),
    NUMBER(model_ns),
    NUMBER(events),
};
const size_t lab_number_field_count = ARRAY_COUNT(lab_number_fields);

PRINTF_LIKE(3, 4) static int refuse(char *text, size_t cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, cap, fmt, args);
    va_end(args);
    return -EINVAL;
}

/* --- making -------------------------------------------------------------------------------- */

void lab_result_free(struct lab_result *r)
{
    region_free(&r->memory);
    *r = (struct lab_result){.version = NULL};
}

static const char *keep(struct lab_result *r, const char *text)
{
    return region_text(&r->memory, slice_str(text));
}

/* A word as a shell would take it. */
static void put_quoted(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./=:,+@%";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    }
    fputc('\'', out);
}

int lab_result_about(struct lab_result *r, int argc, char **argv)
{
    char kernel[200], cpu[160], started[40];
    char *command = NULL;
    size_t len = 0;
    struct timespec now;
    FILE *out = open_memstream(&command, &len);
    if (out == NULL)
        return -ENOMEM;
    for (int i = 0; i < argc; i++) {
        fputs(i > 0 ? " " : "", out);
        put_quoted(out, argv[i]);
    }
    if (fclose(out) != 0) {
        free(command);
        return -ENOMEM;
    }
    place_kernel(kernel, sizeof(kernel));
    place_cpu(cpu, sizeof(cpu));
    clock_gettime(CLOCK_REALTIME, &now);
    struct buf text = buf_over(started, sizeof(started) - 1);
    struct civil civil = civil_from_unix((uint64_t)now.tv_sec);
    civil_put_rfc3339(&text, &civil);
    buf_put_byte(&text, 'Z');
    started[text.len] = '\0';
    r->version = keep(r, POSTERN_VERSION);
    r->kernel = keep(r, kernel);
    r->cpu = keep(r, cpu);
    r->command = keep(r, command);
    r->started = keep(r, started);
    free(command);
    bool is_whole = r->version != NULL && r->kernel != NULL && r->cpu != NULL &&
                    r->command != NULL && r->started != NULL;
    return is_whole ? 0 : -ENOMEM;
}

static int axes_copy(struct lab_result *r, const struct lab_experiment *e,
                     struct lab_result_experiment *to)
{
    for (uint32_t a = 0; a < e->axis_count; a++) {
        const struct lab_axis *from = &e->axes[a];
        struct lab_axis *axis = &to->axes[a];
        *axis = (struct lab_axis){
            .count = from->count, .unit = keep(r, from->unit), .name = keep(r, from->name)};
        axis->values = region_take(&r->memory, from->count * sizeof(*axis->values));
        if (axis->name == NULL || axis->unit == NULL || axis->values == NULL)
            return -ENOMEM;
        for (uint32_t i = 0; i < from->count; i++) {
            axis->values[i] = from->values[i];
            axis->values[i].text = keep(r, from->values[i].text);
            if (axis->values[i].text == NULL)
                return -ENOMEM;
        }
    }
    to->axis_count = e->axis_count;
    to->fixed_count = e->fixed_count;
    to->fixed = region_take(&r->memory, (e->fixed_count + 1u) * sizeof(*to->fixed));
    if (to->fixed == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < e->fixed_count; i++) {
        to->fixed[i] = (struct lab_fixed){keep(r, e->fixed[i].name), keep(r, e->fixed[i].text)};
        if (to->fixed[i].name == NULL || to->fixed[i].text == NULL)
            return -ENOMEM;
    }
    return 0;
}

int lab_result_begin(struct lab_result *r, const struct lab_experiment *e,
                     struct lab_result_experiment *ret_experiment)
{
    struct lab_result_experiment to = {
        .name = keep(r, e->name),
        .title = keep(r, e->title),
        .description = keep(r, e->description),
        .projected = e->projected,
        .point_count = e->point_count,
    };
    int result = axes_copy(r, e, &to);
    to.points = region_take(&r->memory, e->point_count * sizeof(*to.points));
    if (result < 0 || to.name == NULL || to.title == NULL || to.description == NULL ||
        to.points == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < e->point_count; i++)
        lab_point_values(e, i, to.points[i].at);
    *ret_experiment = to;
    return 0;
}

static struct lab_spread spread_of(const struct hist *h)
{
    if (h->total == 0)
        return (struct lab_spread){.count = 0};
    return (struct lab_spread){
        .count = h->total,
        .mean = hist_mean(h),
        .min = h->min,
        .p50 = hist_quantile(h, 0.5),
        .p90 = hist_quantile(h, 0.9),
        .p99 = hist_quantile(h, 0.99),
        .max = h->max,
    };
}

/* Neighbouring buckets put together until there are few enough. */
static int series_copy(struct lab_result *r, const struct lab_series *from, struct lab_series *to)
{
    *to = (struct lab_series){.width_ns = from->width_ns};
    if (from->count == 0)
        return 0;
    uint32_t together = (from->count + LAB_RESULT_BUCKETS_MAX - 1) / LAB_RESULT_BUCKETS_MAX;
    to->width_ns = from->width_ns * together;
    to->count = (from->count + together - 1) / together;
    to->at = region_take(&r->memory, to->count * sizeof(*to->at));
    if (to->at == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < from->count; i++) {
        const struct lab_bucket *b = &from->at[i];
        struct lab_bucket *sum = &to->at[i / together];
        sum->started += b->started;
        sum->retries += b->retries;
        sum->settled += b->settled;
        sum->copies += b->copies;
        sum->in_work = u64_max(sum->in_work, b->in_work);
    }
    return 0;
}

int lab_run_take(struct lab_result *r, const struct lab_measure *m, struct lab_run *ret_run)
{
    struct lab_run run = {
        .mode = ret_run->mode,
        .seed = m->seed,
        .real_s = m->real_s,
        .late_ns = m->late_ns,
        .numbers = {.messages = m->messages,
                    .pairs = m->pairs,
                    .tries = m->tries,
                    .tries_failed = m->tries_failed,
                    .accepted = m->accepted,
                    .refused = m->refused,
                    .deferred = m->deferred,
                    .gave_up = m->gave_up,
                    .delivered = m->delivered,
                    .lost = m->lost,
                    .duplicated_pairs = m->duplicated_pairs,
                    .copies_excess = m->copies_excess,
                    .copies_first_try = m->copies_first_try,
                    .copies_first_try_sq = m->copies_first_try_sq,
                    .copies_excess_sq = m->copies_excess_sq,
                    .livelocks = m->livelocks,
                    .model_ns = m->model_ns,
                    .events = m->events},
        .dot_to_first = spread_of(&m->dot_to_first),
        .dot_to_last = spread_of(&m->dot_to_last),
        .settled = spread_of(&m->settled),
    };
    memcpy(run.numbers.causes, m->causes, sizeof(m->causes));
    int result = series_copy(r, &m->series, &run.series);
    if (result == 0)
        *ret_run = run;
    return result;
}

int lab_run_take_ladder(struct lab_result *r, const struct ladder *l, uint64_t seq,
                        struct lab_run *run)
{
    uint32_t count = (uint32_t)size_min(l->count, LAB_RESULT_RUNGS_MAX);
    struct rung *rungs = region_take(&r->memory, (count + 1u) * sizeof(*rungs));
    if (rungs == NULL)
        return -ENOMEM;
    if (count > 0)
        memcpy(rungs, l->rungs, count * sizeof(*rungs));
    run->rungs = rungs;
    run->rung_count = count;
    run->rungs_left_out = l->left_out + (l->count - count);
    run->ladder_seq = seq;
    return 0;
}

/* --- joining ------------------------------------------------------------------------------- */

static bool axes_equal(const struct lab_result_experiment *a, const struct lab_result_experiment *b)
{
    if (a->axis_count != b->axis_count || a->point_count != b->point_count)
        return false;
    for (uint32_t i = 0; i < a->axis_count; i++) {
        const struct lab_axis *x = &a->axes[i], *y = &b->axes[i];
        if (strcmp(x->name, y->name) != 0 || x->count != y->count)
            return false;
        for (uint32_t k = 0; k < x->count; k++)
            if (strcmp(x->values[k].text, y->values[k].text) != 0)
                return false;
    }
    return true;
}

static struct lab_result_experiment *experiment_find(struct lab_result *r, const char *name)
{
    for (uint32_t i = 0; i < r->experiment_count; i++)
        if (strcmp(r->experiments[i].name, name) == 0)
            return &r->experiments[i];
    return NULL;
}

/* Index of the mode in @to, where it may be new; or -1: no room. */
static int mode_join(struct lab_result *to, const struct lab_result_mode *mode)
{
    for (uint32_t i = 0; i < to->mode_count; i++) {
        struct lab_result_mode *own = &to->modes[i];
        if (strcmp(own->name, mode->name) != 0)
            continue;
        own->precision_ns = u64_max(own->precision_ns, mode->precision_ns);
        return (int)i;
    }
    if (to->mode_count == LAB_RESULT_MODES_MAX)
        return -1;
    to->modes[to->mode_count] = *mode;
    return (int)to->mode_count++;
}

/* Why a mode did not run the point; a run that was made elsewhere counts more. */
static int reasons_join(struct lab_result *to, struct lab_result_point *point,
                        const struct lab_result_point *from, const int *modes, uint32_t mode_count)
{
    for (uint32_t m = 0; m < mode_count; m++) {
        const char **reason = &point->not_run[modes[m]];
        if (from->not_run[m] == NULL || *reason != NULL)
            continue;
        *reason = keep(to, from->not_run[m]);
        if (*reason == NULL)
            return -ENOMEM;
    }
    return 0;
}

static int runs_join(struct lab_result *to, struct lab_result_point *point,
                     const struct lab_result_point *from, const int *modes)
{
    uint32_t count = point->run_count + from->run_count;
    struct lab_run *runs = region_take(&to->memory, (count + 1u) * sizeof(*runs));
    if (runs == NULL)
        return -ENOMEM;
    if (point->run_count > 0)
        memcpy(runs, point->runs, point->run_count * sizeof(*runs));
    for (uint32_t i = 0; i < from->run_count; i++) {
        struct lab_run run = from->runs[i];
        run.mode = (uint32_t)modes[run.mode];
        for (uint32_t k = 0; k < point->run_count; k++)
            if (runs[k].mode == run.mode && runs[k].seed == run.seed)
                return -EEXIST;
        point->expected[run.mode] = from->expected[from->runs[i].mode];
        point->precision_ns[run.mode] =
            u64_max(point->precision_ns[run.mode], from->precision_ns[from->runs[i].mode]);
        const struct ladder ladder = {.rungs = from->runs[i].rungs,
                                      .count = from->runs[i].rung_count,
                                      .left_out = from->runs[i].rungs_left_out};
        int result = series_copy(to, &from->runs[i].series, &run.series);
        if (result == 0)
            result = lab_run_take_ladder(to, &ladder, run.ladder_seq, &run);
        if (result < 0)
            return result;
        runs[point->run_count + i] = run;
    }
    point->runs = runs;
    point->run_count = count;
    return 0;
}

static int point_join(struct lab_result *to, struct lab_result_point *point,
                      const struct lab_result_point *from, const int *modes, uint32_t mode_count)
{
    int result = reasons_join(to, point, from, modes, mode_count);
    return result == 0 ? runs_join(to, point, from, modes) : result;
}

/* An experiment that @to has not: copied through the same functions that made it. */
static int experiment_add(struct lab_result *to, const struct lab_result_experiment *from)
{
    struct lab_experiment like = {.name = from->name,
                                  .title = from->title,
                                  .description = from->description,
                                  .projected = from->projected,
                                  .axis_count = from->axis_count,
                                  .fixed_count = from->fixed_count,
                                  .fixed = from->fixed,
                                  .point_count = from->point_count};
    memcpy(like.axes, from->axes, sizeof(like.axes));
    struct lab_result_experiment *grown =
        region_take(&to->memory, (to->experiment_count + 1u) * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    if (to->experiment_count > 0)
        memcpy(grown, to->experiments, to->experiment_count * sizeof(*grown));
    struct lab_result_experiment *added = &grown[to->experiment_count];
    int result = lab_result_begin(to, &like, added);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < from->point_count; i++) {
        struct lab_result_point *p = &added->points[i];
        p->rcpt_count = from->points[i].rcpt_count;
        p->time_scale_ns = from->points[i].time_scale_ns;
        p->theory = from->points[i].theory;
        if (p->theory.why_none != NULL)
            p->theory.why_none = keep(to, p->theory.why_none);
    }
    to->experiments = grown;
    to->experiment_count++;
    return 0;
}

static int command_join(struct lab_result *to, const char *command)
{
    size_t len = strlen(to->command) + strlen(command) + 2;
    char *joined = region_take(&to->memory, len);
    if (joined == NULL)
        return -ENOMEM;
    snprintf(joined, len, "%s\n%s", to->command, command);
    to->command = joined;
    return 0;
}

int lab_result_join(struct lab_result *to, const struct lab_result *from, char *ret_text,
                    size_t text_cap)
{
    int modes[LAB_RESULT_MODES_MAX] = {0};
    for (uint32_t i = 0; i < from->mode_count; i++) {
        modes[i] = mode_join(to, &from->modes[i]);
        if (modes[i] < 0)
            return refuse(ret_text, text_cap, "more than %d modes", LAB_RESULT_MODES_MAX);
    }
    for (uint32_t i = 0; i < from->experiment_count; i++) {
        const struct lab_result_experiment *other = &from->experiments[i];
        int result = 0;
        if (experiment_find(to, other->name) == NULL)
            result = experiment_add(to, other);
        struct lab_result_experiment *e = experiment_find(to, other->name);
        if (result == 0 && !axes_equal(e, other))
            return refuse(ret_text, text_cap, "experiment \"%s\" has other points", other->name);
        for (uint32_t p = 0; result == 0 && p < other->point_count; p++)
            result = point_join(to, &e->points[p], &other->points[p], modes, from->mode_count);
        if (result == -EEXIST)
            return refuse(ret_text, text_cap, "experiment \"%s\" has the same seed twice",
                          other->name);
        if (result < 0)
            return result;
    }
    return command_join(to, from->command);
}

/* --- summing up ---------------------------------------------------------------------------- */

/* Two-sided 95 % of Student's t. */
static double student(uint32_t freedom)
{
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                   2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                   2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                   2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
    return freedom <= ARRAY_COUNT(table) ? table[freedom - 1] : 1.96 + 2.5 / freedom;
}

typedef double (*figure_fn)(const struct lab_run *);

static double per_message(uint64_t value, const struct lab_run *r)
{
    return r->numbers.messages > 0 ? (double)value / (double)r->numbers.messages : 0;
}

static double copies_first(const struct lab_run *r)
{
    return per_message(r->numbers.copies_first_try, r);
}

static double copies_total(const struct lab_run *r)
{
    return per_message(r->numbers.copies_excess, r);
}

static double lost(const struct lab_run *r)
{
    return per_message(r->numbers.lost, r);
}

static double tries(const struct lab_run *r)
{
    return per_message(r->numbers.tries, r);
}

static double unsettled(const struct lab_run *r)
{
    uint64_t settled = r->numbers.accepted + r->numbers.refused;
    return r->numbers.pairs > 0 ? 1 - (double)settled / (double)r->numbers.pairs : 0;
}

static double livelock(const struct lab_run *r)
{
    return per_message(r->numbers.livelocks, r);
}

static double settled_p50(const struct lab_run *r)
{
    return (double)r->settled.p50 / 1e9;
}

static double settled_p99(const struct lab_run *r)
{
    return (double)r->settled.p99 / 1e9;
}

static double model_length(const struct lab_run *r)
{
    return (double)r->numbers.model_ns / 1e9;
}

static double to_first(const struct lab_run *r)
{
    return r->dot_to_first.mean / 1e9;
}

static double to_last(const struct lab_run *r)
{
    return r->dot_to_last.mean / 1e9;
}

static struct lab_estimate estimate(const struct lab_result_point *p, uint32_t mode, figure_fn fn)
{
    double sum = 0, square = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->run_count; i++) {
        if (p->runs[i].mode != mode)
            continue;
        sum += fn(&p->runs[i]);
        count++;
    }
    struct lab_estimate e = {.mean = count > 0 ? sum / count : 0};
    for (uint32_t i = 0; i < p->run_count; i++) {
        double off = fn(&p->runs[i]) - e.mean;
        square += p->runs[i].mode == mode ? off * off : 0;
    }
    if (count >= 2) {
        double half = student(count - 1) * sqrt(square / (count - 1) / count);
        e.has_interval = true;
        e.low = e.mean - half;
        e.high = e.mean + half;
    }
    return e;
}

/* Chance may lead a mean away by some standard errors, and where events are rare by one of them. */
static double bound(double sd, uint32_t rcpt_count, uint64_t messages)
{
    return lab_theory_bound(sd, messages) + (sd > 0 ? (double)rcpt_count / (double)messages : 0);
}

static void compare(const struct lab_result_point *p, uint32_t mode, struct lab_summary *s)
{
    const struct lab_theory *t = &p->theory;
    const struct lab_expectation *e = &p->expected[mode];
    double first = 0, total = 0, messages = (double)s->messages;
    uint64_t livelocks = 0;
    if (t->why_none != NULL || s->messages == 0)
        return;
    for (uint32_t i = 0; i < p->run_count; i++) {
        const struct lab_numbers *n = &p->runs[i].numbers;
        if (p->runs[i].mode != mode)
            continue;
        first += (double)n->copies_first_try;
        total += (double)n->copies_excess;
        livelocks += n->livelocks;
    }
    s->bound_first = bound(t->copies_first_sd, p->rcpt_count, s->messages);
    s->is_off_first = first / messages < e->first_low - s->bound_first ||
                      first / messages > e->first_high + s->bound_first;
    if (!t->has_total)
        return;
    s->bound_total = bound(t->copies_total_sd, p->rcpt_count, s->messages);
    s->is_off_total = total / messages < e->total_low - s->bound_total ||
                      total / messages > e->total_high + s->bound_total;
    bool is_certain = t->copies_first_sd <= 0 && e->total_low >= e->total_high;
    s->is_off_livelock = is_certain && livelocks != (t->is_livelock ? s->messages : 0);
}

bool lab_summary_make(const struct lab_result_point *p, uint32_t mode,
                      struct lab_summary *ret_summary)
{
    struct lab_summary s = {.seed_count = 0};
    for (uint32_t i = 0; i < p->run_count; i++) {
        if (p->runs[i].mode != mode)
            continue;
        s.seed_count++;
        s.messages += p->runs[i].numbers.messages;
    }
    if (s.seed_count == 0)
        return false;
    s.copies_first = estimate(p, mode, copies_first);
    s.copies_total = estimate(p, mode, copies_total);
    s.lost = estimate(p, mode, lost);
    s.tries = estimate(p, mode, tries);
    s.unsettled = estimate(p, mode, unsettled);
    s.livelock = estimate(p, mode, livelock);
    s.model_s = estimate(p, mode, model_length);
    s.settled_p50_s = estimate(p, mode, settled_p50);
    s.settled_p99_s = estimate(p, mode, settled_p99);
    s.dot_to_first_s = estimate(p, mode, to_first);
    s.dot_to_last_s = estimate(p, mode, to_last);
    compare(p, mode, &s);
    *ret_summary = s;
    return true;
}

uint32_t lab_result_deviations(const struct lab_result *r)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->experiment_count; i++) {
        const struct lab_result_experiment *e = &r->experiments[i];
        for (uint32_t p = 0; p < e->point_count; p++) {
            for (uint32_t m = 0; m < r->mode_count; m++) {
                struct lab_summary s;
                if (lab_summary_make(&e->points[p], m, &s))
                    count += s.is_off_first || s.is_off_total || s.is_off_livelock;
            }
        }
    }
    return count;
}
