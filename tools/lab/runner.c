/* SPDX-License-Identifier: Apache-2.0 */
/*
 * runner.c - owns the order of runs: a list of tasks (point, mode, seed), taken one by one by
 * threads where the mode allows it.
 *
 * A task has its place in the result before it runs, so the result does not depend on which thread
 * took it or when. What all threads touch (the result's memory, counters) is behind one lock.
 */
#include "lab/runner.h"
#include "base/err.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>

#define JOBS_MAX 64
/* Series begin with buckets of a second; who fills them makes them wider as a run goes on. */
#define SERIES_WIDTH_NS NS_PER_S

struct task {
    uint32_t point;
    struct lab_run *run;
};

struct work {
    struct lab_runner *runner;
    const struct lab_experiment *e;
    struct lab_result_experiment *to;
    struct task *tasks;
    uint32_t task_count;
    pthread_mutex_t lock;
    uint32_t next, done; /* under the lock, like all that follows */
    int result;
};

static void note_failure(struct work *w, int result, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void note_failure(struct work *w, int result, const char *fmt, ...)
{
    va_list args;
    if (w->result < 0)
        return;
    w->result = result;
    va_start(args, fmt);
    vsnprintf(w->runner->reason, sizeof(w->runner->reason), fmt, args);
    va_end(args);
}

static void show_progress(const struct work *w)
{
    FILE *out = w->runner->progress;
    if (out == NULL)
        return;
    fprintf(out, "\r%s: %u of %u runs%s", w->e->name, w->done, w->task_count,
            w->done == w->task_count ? "\n" : " ");
    fflush(out);
}

/* --- one run ------------------------------------------------------------------------------- */

static FILE *ledger_open(const struct work *w, const struct task *t, const char *kind)
{
    char path[4096];
    const char *mode = w->runner->result->modes[t->run->mode].name;
    int len = snprintf(path, sizeof(path), "%s/%s-%05u-%s-%llu.%s", w->runner->ledger_dir,
                       w->e->name, t->point, mode, (unsigned long long)t->run->seed, kind);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return fopen(path, "we");
}

static int ledger_close(FILE *f)
{
    int result = 0;
    if (f == NULL)
        return 0;
    if (ferror(f))
        result = -EIO;
    if (fclose(f) != 0 && result == 0)
        result = -errno;
    return result;
}

/* A ladder is drawn of a message of the first seed. */
static bool wants_ladder(const struct work *w, const struct task *t)
{
    uint64_t first = w->runner->seed != 0 ? w->runner->seed : w->e->seeds[0];
    return w->runner->has_ladder && t->run->seed == first;
}

static int run_into(const struct work *w, const struct task *t, const struct lab_point *p,
                    struct ladder *ladder, struct lab_measure *m)
{
    struct lab_job job = {
        .point = p,
        .seed = t->run->seed,
        .time_scale_ns = p->time_scale_ns,
        .ladder = wants_ladder(w, t) ? ladder : NULL,
        .ladder_seq = w->runner->ladder_seq,
        .series_width_ns = p->rate_per_s > 0 ? SERIES_WIDTH_NS : 0,
        .bin_dir = w->runner->bin_dir,
        .err = w->runner->err,
    };
    int result = 0;
    if (w->runner->ledger_dir != NULL) {
        job.attempts = ledger_open(w, t, "attempts");
        if (job.attempts == NULL)
            return -errno;
        job.arrivals = ledger_open(w, t, "arrivals");
        if (job.arrivals == NULL)
            result = -errno;
    }
    if (result == 0)
        result = w->runner->modes[t->run->mode]->run(&job, m);
    int closed = ledger_close(job.attempts);
    int closed_too = ledger_close(job.arrivals);
    if (result == 0)
        result = closed < 0 ? closed : closed_too;
    return result;
}

static int task_run(struct work *w, const struct task *t)
{
    struct lab_point p;
    struct lab_measure m;
    struct ladder ladder = {.rungs = NULL};
    int result = lab_point_make(w->e, t->point, &p);
    if (result < 0)
        return result;
    if (w->runner->messages > 0)
        p.message_count = w->runner->messages;
    result = lab_measure_init(&m);
    if (result == 0) {
        result = run_into(w, t, &p, &ladder, &m);
        pthread_mutex_lock(&w->lock);
        if (result == 0)
            result = lab_run_take(w->runner->result, &m, t->run);
        if (result == 0 && ladder.count > 0)
            result = lab_run_take_ladder(w->runner->result, &ladder, w->runner->ladder_seq, t->run);
        pthread_mutex_unlock(&w->lock);
        lab_measure_deinit(&m);
        ladder_deinit(&ladder);
    }
    lab_point_deinit(&p);
    return result;
}

static void *work_thread(void *arg)
{
    struct work *w = arg;
    pthread_mutex_lock(&w->lock);
    while (w->next < w->task_count && w->result == 0) {
        const struct task *t = &w->tasks[w->next++];
        pthread_mutex_unlock(&w->lock);
        int result = task_run(w, t);
        pthread_mutex_lock(&w->lock);
        w->done++;
        if (result < 0)
            note_failure(w, result, "%s, point %u, %s, seed %llu: %s", w->e->name, t->point,
                         w->runner->result->modes[t->run->mode].name,
                         (unsigned long long)t->run->seed, err_text(result));
        show_progress(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* --- all runs ------------------------------------------------------------------------------ */

static void threads_run(struct work *w, uint32_t count)
{
    pthread_t threads[JOBS_MAX];
    uint32_t started = 0;
    ASSERT(count > 0 && count <= JOBS_MAX);
    for (; started + 1 < count; started++)
        if (pthread_create(&threads[started], NULL, work_thread, w) != 0)
            break; /* fewer do it too */
    work_thread(w);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

static uint32_t thread_count(const struct lab_runner *r, uint32_t modes)
{
    for (uint32_t m = 0; m < r->result->mode_count; m++)
        if ((modes >> m & 1) != 0 && !r->modes[m]->is_parallel)
            return 1;
    return r->jobs > JOBS_MAX ? JOBS_MAX : r->jobs;
}

static clock_ns mode_precision(const struct work *w, uint32_t mode, const struct lab_point *p)
{
    const struct lab_mode *m = w->runner->modes[mode];
    return m->precision != NULL ? m->precision(p->time_scale_ns) : 0;
}

static void widen(double *low, double *high, double value)
{
    *low = value < *low ? value : *low;
    *high = value > *high ? value : *high;
}

static void widen_by(struct lab_expectation *e, const struct lab_point *near)
{
    struct lab_theory t;
    lab_theory(near, &t);
    if (t.why_none != NULL)
        return;
    widen(&e->first_low, &e->first_high, t.copies_first);
    widen(&e->total_low, &e->total_high, t.copies_total);
}

/* What the theory says of limits a little shorter and a little longer than they are, and of news
 * and breaks that come a little later: a mode that keeps times with some precision only may find
 * itself on either side. */
static struct lab_expectation expect(const struct lab_point *p, const struct lab_theory *t,
                                     clock_ns precision_ns)
{
    struct lab_expectation e = {t->copies_first, t->copies_first, t->copies_total, t->copies_total};
    clock_ns limit = p->client.limit_ns;
    const struct lab_faults *f = &p->faults;
    if (precision_ns == 0)
        return e;
    for (int side = 0; side < 2 && limit != CLOCK_NEVER; side++) {
        struct lab_point near = *p;
        near.client.limit_ns =
            side == 0 ? limit - u64_min(precision_ns, limit - 1) : limit + precision_ns;
        widen_by(&e, &near);
    }
    if (lab_faults_have(f, LAB_CUT_HAZARD) || lab_faults_have(f, LAB_CUT_AFTER_REPLIES) ||
        f->one_way_ns > 0) {
        struct lab_point near = *p;
        near.faults.one_way_ns += precision_ns;
        widen_by(&e, &near);
    }
    if (lab_faults_have(f, LAB_CUT_HAZARD)) { /* a break that comes late finds more done */
        struct lab_point near = *p;
        near.server.before.low -= u64_min(precision_ns, near.server.before.low);
        widen_by(&e, &near);
    }
    return e;
}

/* All runs are over: how exactly they kept times is known. */
static int point_end(struct work *w, uint32_t idx)
{
    struct lab_result *r = w->runner->result;
    struct lab_result_point *to = &w->to->points[idx];
    struct lab_point p;
    int result = lab_point_make(w->e, idx, &p);
    if (result < 0)
        return result;
    for (uint32_t m = 0; m < r->mode_count; m++) {
        bool has_run = false;
        clock_ns precision = mode_precision(w, m, &p);
        for (uint32_t i = 0; i < to->run_count; i++) {
            if (to->runs[i].mode != m)
                continue;
            has_run = true;
            precision = u64_max(precision, to->runs[i].late_ns);
        }
        precision = has_run ? precision : 0;
        to->precision_ns[m] = precision;
        r->modes[m].precision_ns = u64_max(r->modes[m].precision_ns, precision);
        to->expected[m] = expect(&p, &to->theory, precision);
    }
    lab_point_deinit(&p);
    return 0;
}

/* What the mode cannot do has no runs, and a reason. */
static int check_mode(struct work *w, const struct lab_point *p, uint32_t mode,
                      struct lab_result_point *to)
{
    char reason[LAB_MODE_REASON_BYTES_MAX];
    const struct lab_mode *m = w->runner->modes[mode];
    const struct lab_job job = {.point = p,
                                .time_scale_ns = p->time_scale_ns,
                                .bin_dir = w->runner->bin_dir,
                                .err = w->runner->err};
    if (m->can_run == NULL || m->can_run(&job, reason))
        return 0;
    to->not_run[mode] = region_text(&w->runner->result->memory, slice_str(reason));
    return to->not_run[mode] == NULL ? -ENOMEM : 0;
}

static int point_begin(struct work *w, uint32_t idx, uint32_t modes, uint32_t runs)
{
    struct lab_runner *r = w->runner;
    struct lab_result_point *to = &w->to->points[idx];
    struct lab_point p;
    int result = lab_point_make(w->e, idx, &p);
    if (result < 0)
        return result;
    lab_theory(&p, &to->theory);
    to->rcpt_count = p.rcpt_count;
    to->time_scale_ns = p.time_scale_ns;
    if (r->messages > 0)
        p.message_count = r->messages;
    for (uint32_t m = 0; m < r->result->mode_count && result == 0; m++)
        if ((modes >> m & 1) != 0)
            result = check_mode(w, &p, m, to);
    lab_point_deinit(&p);
    if (result < 0)
        return result;
    to->runs = region_take(&r->result->memory, runs * sizeof(*to->runs));
    if (to->runs == NULL)
        return -ENOMEM;
    for (uint32_t m = 0; m < r->result->mode_count; m++) {
        if ((modes >> m & 1) == 0 || to->not_run[m] != NULL)
            continue;
        for (uint32_t s = 0; s < w->e->seed_count; s++) {
            struct lab_run *run = &to->runs[to->run_count++];
            run->mode = m;
            run->seed = r->seed != 0 ? r->seed + s : w->e->seeds[s];
            w->tasks[w->task_count++] = (struct task){idx, run};
        }
    }
    return 0;
}

int lab_runner_run(struct lab_runner *r, const struct lab_experiment *e, uint32_t modes,
                   struct lab_result_experiment *ret_experiment)
{
    struct lab_result_experiment to;
    struct work w = {.runner = r, .e = e, .to = &to};
    uint32_t runs = (uint32_t)__builtin_popcount(modes) * e->seed_count;
    w.result = lab_result_begin(r->result, e, &to);
    w.tasks = calloc((size_t)runs * e->point_count + 1, sizeof(*w.tasks));
    if (w.tasks == NULL)
        w.result = -ENOMEM;
    for (uint32_t i = 0; i < e->point_count && w.result == 0; i++)
        w.result = point_begin(&w, i, modes, runs);
    if (w.result < 0) {
        snprintf(r->reason, sizeof(r->reason), "%s: %s", e->name, err_text(w.result));
    } else {
        pthread_mutex_init(&w.lock, NULL);
        show_progress(&w);
        threads_run(&w, thread_count(r, modes));
        pthread_mutex_destroy(&w.lock);
        for (uint32_t i = 0; i < e->point_count && w.result == 0; i++)
            w.result = point_end(&w, i);
    }
    free(w.tasks);
    if (w.result == 0)
        *ret_experiment = to;
    return w.result;
}
