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

#define RARE_SHARE 0.1      /* of the messages: fewer are rare */
#define RARE_COUNT 100      /* of messages: from so many on their mean is as good as normal */
#define SAMPLE_MESSAGES 30  /* fewer say nothing about a spread */
#define SURE_ALPHA 6.334e-5 /* beyond LAB_THEORY_SIGMAS on either side of a normal distribution */

const char *lab_method_name(enum lab_method m)
{
    static const char *const names[LAB_METHOD_COUNT] = {"student-seeds", "student-messages",
                                                        "gamma", "clopper-pearson"};
    ASSERT(m < LAB_METHOD_COUNT);
    return names[m];
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

/* Over the seeds. */
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
        struct lab_interval i = interval_mean(e.mean, sqrt(square / (count - 1)), count, LAB_ALPHA);
        e.has_interval = true;
        e.low = i.low;
        e.high = i.high;
    }
    return e;
}

/* --- what is counted ------------------------------------------------------------------------ */

/* Sums over the messages of all runs of a mode. */
struct counted {
    uint64_t messages;
    double sum, squares; /* of what each message has, and of its square */
    double weight_max;   /* one try of one message adds no more */
    bool has_squares;    /* else they are as large as they can be */
    bool is_bounded;     /* no message has more than weight_max */
};

/* What messages lack to weight_max. */
static struct counted lacking(const struct counted *c)
{
    double n = (double)c->messages, w = c->weight_max;
    struct counted rest = *c;
    rest.sum = fmax(0, n * w - c->sum);
    rest.squares = fmax(0, n * w * w - 2 * w * c->sum + c->squares);
    return rest;
}

/* So many messages, all of one weight, would have the same mean and spread. */
static double effective(const struct counted *c)
{
    return c->squares > 0 ? c->sum * c->sum / c->squares : 0;
}

static struct lab_interval rare_interval(const struct counted *c, double alpha)
{
    struct lab_interval i = interval_sum(c->sum, c->squares, c->weight_max, alpha);
    double n = (double)c->messages;
    return (struct lab_interval){i.low / n, i.high / n};
}

static struct lab_interval lacking_interval(const struct counted *c, double alpha)
{
    struct counted rest = lacking(c);
    struct lab_interval i = rare_interval(&rest, alpha);
    return (struct lab_interval){fmax(0, c->weight_max - i.high), c->weight_max - i.low};
}

/* Messages are samples: there are enough, chance is at work, and none waits for another. */
static bool has_samples(const struct lab_result_point *p, uint32_t mode, uint64_t messages)
{
    const struct lab_theory *t = &p->theory;
    bool is_chance = t->why_none != NULL || t->copies_first_sd > 0;
    for (uint32_t i = 0; i < p->run_count; i++)
        if (p->runs[i].mode == mode && p->runs[i].series.count > 0)
            return false;
    return is_chance && messages >= SAMPLE_MESSAGES;
}

static void method_set(struct lab_estimate *e, struct lab_interval i, enum lab_method method)
{
    e->has_interval = true;
    e->low = i.low;
    e->high = i.high;
    e->method = method;
}

static struct lab_estimate estimate_counted(const struct lab_result_point *p, uint32_t mode,
                                            figure_fn fn, const struct counted *c)
{
    struct lab_estimate e = estimate(p, mode, fn);
    double n = (double)c->messages;
    if (!has_samples(p, mode, c->messages))
        return e;
    struct counted rest = lacking(c);
    if (effective(c) <= RARE_SHARE * n) {
        method_set(&e, rare_interval(c, LAB_ALPHA), LAB_METHOD_RARE);
    } else if (c->has_squares && c->is_bounded && effective(&rest) <= RARE_SHARE * n) {
        method_set(&e, lacking_interval(c, LAB_ALPHA), LAB_METHOD_RARE);
    } else if (c->has_squares) {
        double mean = c->sum / n, variance = fmax(0, c->squares - n * mean * mean) / (n - 1);
        method_set(&e, interval_mean(mean, sqrt(variance), c->messages, LAB_ALPHA),
                   LAB_METHOD_MESSAGES);
    }
    return e;
}

static struct lab_estimate estimate_livelock(const struct lab_result_point *p, uint32_t mode,
                                             uint64_t hits, uint64_t messages)
{
    struct lab_estimate e = estimate(p, mode, livelock);
    if (has_samples(p, mode, messages))
        method_set(&e, interval_share(hits, messages, LAB_ALPHA), LAB_METHOD_SHARE);
    return e;
}

/* --- against the theory --------------------------------------------------------------------- */

/*
 * What the true mean is in, by what was counted. Where the theory expects few messages with copies,
 * or few without: the interval of rare events. Else the mean is as good as normal, with the
 * theory's own spread, as in Wilson's interval of a share.
 */
static struct lab_interval sure_interval(const struct counted *c, double expected, double sd)
{
    double n = (double)c->messages, mean = c->sum / n, square = sd * sd;
    double missing = c->weight_max - expected;
    double few = n * expected * expected / (expected * expected + square);
    double few_lack =
        c->is_bounded ? n * missing * missing / (missing * missing + square) : INFINITY;
    if (sd > 0 && few < RARE_COUNT && few <= few_lack)
        return rare_interval(c, SURE_ALPHA);
    if (sd > 0 && few_lack < RARE_COUNT)
        return lacking_interval(c, SURE_ALPHA);
    double bound = lab_theory_bound(sd, c->messages);
    return (struct lab_interval){mean - bound, mean + bound};
}

static bool is_apart(struct lab_interval i, double low, double high)
{
    return high < i.low - 1e-9 || low > i.high + 1e-9;
}

/* @first, @total: what was counted of copies; @livelocks: of messages */
static void compare(const struct lab_result_point *p, uint32_t mode, const struct counted *first,
                    const struct counted *total, uint64_t livelocks, struct lab_summary *s)
{
    const struct lab_theory *t = &p->theory;
    const struct lab_expectation *e = &p->expected[mode];
    if (t->why_none != NULL || s->messages == 0)
        return;
    s->sure_first = sure_interval(first, t->copies_first, t->copies_first_sd);
    s->is_off_first = is_apart(s->sure_first, e->first_low, e->first_high);
    if (!t->has_total)
        return;
    s->sure_total = sure_interval(total, t->copies_total, t->copies_total_sd);
    s->is_off_total = is_apart(s->sure_total, e->total_low, e->total_high);
    bool is_certain = t->copies_first_sd <= 0 && e->total_low >= e->total_high;
    s->is_off_livelock = is_certain && livelocks != (t->is_livelock ? s->messages : 0);
}

/* Sums of one number over all runs of @mode. */
static double sum_of(const struct lab_result_point *p, uint32_t mode, size_t offset)
{
    double sum = 0;
    for (uint32_t i = 0; i < p->run_count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&p->runs[i].numbers + offset, sizeof(value));
        sum += p->runs[i].mode == mode ? (double)value : 0;
    }
    return sum;
}
#define SUM(p, mode, field) sum_of(p, mode, offsetof(struct lab_numbers, field))

static void counted_make(const struct lab_result_point *p, uint32_t mode, struct lab_summary *s)
{
    double n = p->rcpt_count > 0 ? p->rcpt_count : 1;
    const struct counted first = {
        s->messages, SUM(p, mode, copies_first_try), SUM(p, mode, copies_first_try_sq), n, true,
        true};
    const struct counted total = {
        s->messages, SUM(p, mode, copies_excess), SUM(p, mode, copies_excess_sq), n, true, false};
    double pairs = SUM(p, mode, pairs), gone = SUM(p, mode, lost);
    double open = pairs - SUM(p, mode, accepted) - SUM(p, mode, refused);
    /* How many of one message are lost is not known: all of them, at worst. */
    const struct counted losses = {s->messages, gone, n * gone, n, false, true};
    const struct counted opens = {s->messages, open, n * open, n, false, true};
    uint64_t livelocks = (uint64_t)SUM(p, mode, livelocks);
    s->copies_first = estimate_counted(p, mode, copies_first, &first);
    s->copies_total = estimate_counted(p, mode, copies_total, &total);
    s->lost = estimate_counted(p, mode, lost, &losses);
    s->unsettled = estimate_counted(p, mode, unsettled, &opens);
    if (s->unsettled.method == LAB_METHOD_RARE) { /* a share of pairs, and not of messages */
        s->unsettled.low /= n;
        s->unsettled.high = fmin(1, s->unsettled.high / n);
    }
    s->livelock = estimate_livelock(p, mode, livelocks, s->messages);
    compare(p, mode, &first, &total, livelocks, s);
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
    s.tries = estimate(p, mode, tries);
    s.model_s = estimate(p, mode, model_length);
    s.settled_p50_s = estimate(p, mode, settled_p50);
    s.settled_p99_s = estimate(p, mode, settled_p99);
    s.dot_to_first_s = estimate(p, mode, to_first);
    s.dot_to_last_s = estimate(p, mode, to_last);
    counted_make(p, mode, &s);
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
