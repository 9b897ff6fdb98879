/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.c - owns the order of a live run:
 *
 *   folder -> sink listens -> senders -> all have ended -> sink finishes what it has -> join
 *
 * The sink gets the time that it needs for those whose clients have left: a server that never
 * notices keeps their mail all the same, and that is what is counted.
 */
#include "lab/live.h"
#include "base/err.h"
#include "lab/live_join.h"
#include "lab/live_plan.h"
#include "lab/process.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define START_NS (20 * NS_PER_S)
#define SLACK_NS (120 * NS_PER_S)
#define PRECISION_NS (3 * NS_PER_MS) /* a tick of each end's timers, and waking up */
#define LOAD_STATUS_MAX 1            /* not every recipient was accepted: that is what we want */
#define LOAD_STATUS_BEHIND 3

struct sender {
    struct process process;
    struct args args;
    char attempts[PROCESS_PATH_BYTES_MAX + 32], report[PROCESS_PATH_BYTES_MAX + 32];
};

struct run {
    const struct lab_job *job;
    char folder[PROCESS_PATH_BYTES_MAX], sink_path[PROCESS_PATH_BYTES_MAX],
        load_path[PROCESS_PATH_BYTES_MAX];
    char arrivals[PROCESS_PATH_BYTES_MAX + 32];
    struct process sink;
    struct args args;
    uint32_t sender_count;
    struct live_sender plans[LAB_MIX_ROWS_MAX];
    struct sender senders[LAB_MIX_ROWS_MAX];
    clock_ns lag_ns;
};

bool live_can_run(const struct lab_point *p, clock_ns time_scale_ns,
                  char ret_reason[LAB_MODE_REASON_BYTES_MAX])
{
    static_assert(LAB_MODE_REASON_BYTES_MAX >= LIVE_REASON_BYTES_MAX, "a reason fits");
    return live_can_serve(p, ret_reason) && live_can_send(p, time_scale_ns, ret_reason);
}

clock_ns live_precision(clock_ns time_scale_ns)
{
    return live_model_time(PRECISION_NS, time_scale_ns);
}

static int find_programs(struct run *r)
{
    const char *dir = r->job->bin_dir, *missing = NULL;
    if (!process_find(dir, "postern-sink", r->sink_path))
        missing = "postern-sink";
    else if (!process_find(dir, "postern-load", r->load_path))
        missing = "postern-load";
    if (missing == NULL)
        return 0;
    fprintf(r->job->err, "postern-lab: there is no %s %s%s\n", missing,
            dir != NULL ? "in " : "beside postern-lab; see --bin", dir != NULL ? dir : "");
    return -ENOENT;
}

/* The run's identity is made of the seed, so the same seed gives the same Message-IDs. */
static uint64_t run_id(const struct run *r, uint32_t sender)
{
    return r->job->seed * LAB_MIX_ROWS_MAX + sender;
}

static int explain(const struct run *r, const struct process *p, int result)
{
    if (result == -EINTR)
        return result;
    if (result == -ETIMEDOUT)
        fprintf(r->job->err, "postern-lab: %s took too long\n", p->name);
    process_explain(p, r->job->err);
    return result;
}

/* --- start ------------------------------------------------------------------------------------ */

static int sink_start(struct run *r)
{
    char log[PROCESS_PATH_BYTES_MAX + 32];
    const struct lab_job *job = r->job;
    if (strlen(r->folder) + sizeof("/s") > sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return -ENAMETOOLONG;
    snprintf(log, sizeof(log), "%s/sink.log", r->folder);
    snprintf(r->arrivals, sizeof(r->arrivals), "%s/arrivals", r->folder);
    args_put(&r->args, "%s", r->sink_path);
    args_put(&r->args, "--listen=%s+unix:%s/s", live_scheme(job->point), r->folder);
    args_put(&r->args, "--ledger=%s", r->arrivals);
    args_put(&r->args, "--seed=%llu", (unsigned long long)job->seed);
    args_put(&r->args, "--grace=24h");
    args_put(&r->args, "--quiet");
    live_put_server(&r->args, job->point, job->time_scale_ns);
    int result = process_start(&r->sink, "postern-sink", &r->args, log);
    if (result < 0)
        return result;
    result = process_wait_line(&r->sink, "postern-sink: ready", process_now() + START_NS);
    return result < 0 ? explain(r, &r->sink, result) : 0;
}

static int sender_start(struct run *r, uint32_t idx)
{
    char log[PROCESS_PATH_BYTES_MAX + 32];
    struct sender *s = &r->senders[idx];
    const struct lab_job *job = r->job;
    snprintf(log, sizeof(log), "%s/load-%u.log", r->folder, idx);
    snprintf(s->attempts, sizeof(s->attempts), "%s/attempts-%u", r->folder, idx);
    snprintf(s->report, sizeof(s->report), "%s/load-%u.json", r->folder, idx);
    args_put(&s->args, "%s", r->load_path);
    args_put(&s->args, "--run=%llx", (unsigned long long)run_id(r, idx));
    args_put(&s->args, "--seed=%llu", (unsigned long long)run_id(r, idx));
    args_put(&s->args, "--attempts=%s", s->attempts);
    args_put(&s->args, "--json=%s", s->report);
    args_put(&s->args, "--quiet");
    live_put_sender(&s->args, job->point, &r->plans[idx], job->time_scale_ns);
    args_put(&s->args, "%s+unix:%s/s", live_scheme(job->point), r->folder);
    return process_start(&s->process, "postern-load", &s->args, log);
}

/* --- to the end ------------------------------------------------------------------------------- */

/* The model's own end is a signal; what has begun is then written down as not known. */
static int sender_wait(struct run *r, struct sender *s, clock_ns end, clock_ns deadline)
{
    int result = process_wait_until(&s->process, u64_min(end, deadline), &r->lag_ns);
    if (result == -ETIMEDOUT && end < deadline) {
        process_signal(&s->process, SIGINT);
        result = process_wait_until(&s->process, deadline, &r->lag_ns);
    }
    if (result < 0)
        return explain(r, &s->process, result);
    bool has_ended_early = end < deadline && process_is_good(&s->process, 130);
    if (process_is_good(&s->process, LOAD_STATUS_MAX) || has_ended_early)
        return 0;
    if (process_is_good(&s->process, LOAD_STATUS_BEHIND))
        fputs("postern-lab: postern-load fell behind its plan: a larger time_scale, or a lower "
              "rate\n",
              r->job->err);
    return explain(r, &s->process, -EPROTO);
}

static int finish_sink(struct run *r, clock_ns deadline)
{
    process_signal(&r->sink, SIGTERM);
    int result = process_wait_until(&r->sink, deadline, &r->lag_ns);
    if (result == 0 && !process_is_good(&r->sink, 0))
        result = -EPROTO;
    return result < 0 ? explain(r, &r->sink, result) : 0;
}

static int run_all(struct run *r)
{
    const struct lab_point *p = r->job->point;
    clock_ns scale = r->job->time_scale_ns;
    int result = sink_start(r);
    clock_ns begin = process_now(), end = CLOCK_NEVER;
    clock_ns deadline = begin + 2 * live_time(live_longest(p), scale) + SLACK_NS;
    if (p->model_ns_max != CLOCK_NEVER)
        end = begin + live_time(p->model_ns_max, scale);
    r->sender_count = live_senders(p, r->plans);
    for (uint32_t i = 0; i < r->sender_count && result == 0; i++)
        result = sender_start(r, i);
    for (uint32_t i = 0; i < r->sender_count && result == 0; i++)
        result = sender_wait(r, &r->senders[i], end, deadline);
    return result == 0 ? finish_sink(r, deadline) : result;
}

static int join(struct run *r, struct lab_measure *m)
{
    struct live_files files = {
        .source_count = r->sender_count, .arrivals = r->arrivals, .has_try_a_connection = true};
    for (uint32_t i = 0; i < r->sender_count; i++)
        files.sources[i] = (struct live_source){.attempts = r->senders[i].attempts,
                                                .report = r->senders[i].report,
                                                .run = run_id(r, i),
                                                .messages = r->plans[i].messages};
    m->late_ns = live_model_time(r->lag_ns, r->job->time_scale_ns);
    return live_join(&files, r->job, m, r->job->err);
}

int live_run(const struct lab_job *job, struct lab_measure *ret_measure)
{
    struct run *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    r->job = job;
    process_catch_signals();
    clock_ns began = process_now();
    int result = find_programs(r);
    if (result == 0)
        result = folder_make(r->folder);
    if (result == 0) {
        result = run_all(r);
        for (uint32_t i = 0; i < r->sender_count; i++)
            process_end(&r->senders[i].process);
        process_end(&r->sink);
        if (result == 0)
            result = join(r, ret_measure);
        folder_remove(r->folder);
    }
    ret_measure->seed = job->seed;
    ret_measure->real_s = (double)(process_now() - began) / 1e9;
    free(r);
    return result;
}
