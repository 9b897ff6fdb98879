/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.c - owns the order of a live run:
 *
 *   folder -> sink listens -> wire -> senders -> all have ended -> sink finishes what it has ->
 * join
 *
 * The sink gets the time that it needs for those whose clients have left: a server that never
 * notices keeps their mail all the same, and that is what is counted.
 */
#include "lab/live.h"
#include "base/err.h"
#include "lab/live_fault.h"
#include "lab/live_join.h"
#include "lab/live_peer.h"
#include "lab/live_plan.h"
#include "lab/live_postern.h"
#include "lab/live_wire.h"
#include "lab/process.h"
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#define START_NS (60 * NS_PER_S)
#define PEER_SLACK_NS (60 * NS_PER_S) /* a real program starts, and ends */
#define PEER_TRY_NS (10 * NS_PER_S)   /* and has pauses of its own */
#define SLACK_NS (120 * NS_PER_S)
#define PRECISION_NS (3 * NS_PER_MS) /* a tick of each end's timers, and waking up */
#define LOAD_STATUS_MAX 1            /* not every recipient was accepted: that is what we want */
#define LOAD_STATUS_BEHIND 3

enum live_ends { LIVE_OWN_ENDS, LIVE_REAL_CLIENT, LIVE_REAL_SERVER };

struct sender {
    struct process process;
    struct args args;
    char attempts[PROCESS_PATH_BYTES_MAX + 32], report[PROCESS_PATH_BYTES_MAX + 32];
};

struct run {
    const struct lab_job *job;
    enum live_ends ends;
    char folder[PROCESS_PATH_BYTES_MAX], program[PROCESS_PATH_BYTES_MAX];
    char arrivals[PROCESS_PATH_BYTES_MAX + 32], url[PROCESS_PATH_BYTES_MAX + 32];
    uint32_t port; /* 0: a unix socket */
    struct process server;
    struct live_wire *wire; /* NULL: clients are connected to the server */
    struct args args;
    uint32_t sender_count;
    struct live_sender plans[LAB_MIX_ROWS_MAX];
    struct sender senders[LAB_MIX_ROWS_MAX];
    clock_ns lag_ns;
};

static_assert(LAB_MODE_REASON_BYTES_MAX >= LIVE_REASON_BYTES_MAX, "a reason fits");

static bool is_postern(const struct run *r)
{
    return r->ends == LIVE_OWN_ENDS && r->job->point->server.program == LAB_PROGRAM_POSTERND;
}

bool live_can_run(const struct lab_job *job, char ret_reason[LAB_MODE_REASON_BYTES_MAX])
{
    const struct lab_point *p = job->point;
    bool can_serve;
    if (p->server.program == LAB_PROGRAM_SINK) {
        can_serve = live_can_serve(p, ret_reason);
    } else if (p->server.program == LAB_PROGRAM_POSTERND) {
        can_serve = live_postern_can_serve(p, job->time_scale_ns, ret_reason);
    } else {
        snprintf(ret_reason, LAB_MODE_REASON_BYTES_MAX, "server.program is %s",
                 lab_program_name(p->server.program));
        can_serve = false;
    }
    return can_serve && live_can_send(p, job->time_scale_ns, ret_reason);
}

bool live_client_can_run(const struct lab_job *job, char ret_reason[LAB_MODE_REASON_BYTES_MAX])
{
    const struct lab_point *p = job->point;
    if (p->server.program != LAB_PROGRAM_SINK) {
        snprintf(ret_reason, LAB_MODE_REASON_BYTES_MAX, "server.program is %s",
                 lab_program_name(p->server.program));
        return false;
    }
    return live_peer_can_send(p, job->time_scale_ns, ret_reason) && live_can_serve(p, ret_reason) &&
           live_peer_is_there(live_peer_client_name(p->client.like), ret_reason);
}

bool live_server_can_run(const struct lab_job *job, char ret_reason[LAB_MODE_REASON_BYTES_MAX])
{
    const struct lab_point *p = job->point;
    return live_peer_can_serve(p, ret_reason) && live_can_send(p, job->time_scale_ns, ret_reason) &&
           live_peer_is_there(lab_program_name(p->server.program), ret_reason);
}

clock_ns live_precision(clock_ns time_scale_ns)
{
    return live_model_time(PRECISION_NS, time_scale_ns);
}

static int find_program(struct run *r, const char *name)
{
    const char *dir = r->job->bin_dir;
    if (process_find(dir, name, r->program))
        return 0;
    fprintf(r->job->err, "postern-lab: there is no %s %s%s\n", name,
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

/* The number behind @before in what the server printed. */
static int read_port(struct run *r, const char *before)
{
    char line[300];
    FILE *f = fopen(r->server.log, "re");
    if (f == NULL)
        return -errno;
    while (r->port == 0 && fgets(line, sizeof(line), f) != NULL) {
        const char *at = strstr(line, before);
        if (at != NULL)
            r->port = (uint32_t)strtoul(at + strlen(before), NULL, 10);
    }
    fclose(f);
    return r->port > 0 && r->port <= UINT16_MAX ? 0 : -EPROTO;
}

static int server_start(struct run *r, const char *name, const char *ready)
{
    char log[PROCESS_PATH_BYTES_MAX + 32];
    snprintf(log, sizeof(log), "%s/server.log", r->folder);
    int result = process_start(&r->server, name, &r->args, log);
    if (result < 0)
        return result;
    result = process_wait_line(&r->server, ready, process_now() + START_NS);
    return result < 0 ? explain(r, &r->server, result) : 0;
}

static int sink_start(struct run *r)
{
    const struct lab_job *job = r->job;
    const char *scheme = live_scheme(job->point);
    /* Over TCP the first write behind a client's back succeeds (DUP-10), over a unix socket none.
     */
    bool is_local = r->ends == LIVE_OWN_ENDS && job->point->server.vanished != LAB_VANISHED_WRITE;
    int result = find_program(r, "postern-sink");
    if (result < 0)
        return result;
    if (strlen(r->folder) + sizeof("/s") > sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return -ENAMETOOLONG;
    if (is_local)
        snprintf(r->url, sizeof(r->url), "%s+unix:%s/s", scheme, r->folder);
    else
        snprintf(r->url, sizeof(r->url), "%s://127.0.0.1:0", scheme);
    args_put(&r->args, "%s", r->program);
    args_put(&r->args, "--listen=%s", r->url);
    args_put(&r->args, "--ledger=%s", r->arrivals);
    args_put(&r->args, "--seed=%llu", (unsigned long long)job->seed);
    args_put(&r->args, "--grace=24h");
    args_put(&r->args, "--quiet");
    if (r->ends == LIVE_REAL_CLIENT)
        live_peer_put_rules(&r->args, job->point);
    live_put_server(&r->args, job->point, job->time_scale_ns);
    result = server_start(r, "postern-sink", "postern-sink: ready");
    if (result < 0 || is_local)
        return result;
    result = read_port(r, "://127.0.0.1:");
    snprintf(r->url, sizeof(r->url), "%s://127.0.0.1:%u", scheme, r->port);
    return result;
}

static int postern_start(struct run *r)
{
    char path[PROCESS_PATH_BYTES_MAX + 32], spool[PROCESS_PATH_BYTES_MAX + 32];
    const struct lab_job *job = r->job;
    int result = find_program(r, "posternd");
    if (result < 0)
        return result;
    snprintf(path, sizeof(path), "%s/postern.conf", r->folder);
    snprintf(spool, sizeof(spool), "%s/spool", r->folder);
    snprintf(r->arrivals, sizeof(r->arrivals), "%s", spool);
    snprintf(r->url, sizeof(r->url), "%s+unix:%s/s", live_scheme(job->point), r->folder);
    if (mkdir(spool, 0700) < 0)
        return -errno;
    FILE *f = fopen(path, "we");
    if (f == NULL)
        return -errno;
    live_postern_config(job->point, job->time_scale_ns, r->folder, f);
    result = ferror(f) ? -EIO : 0;
    if (fclose(f) != 0 && result == 0)
        result = -errno;
    if (result < 0)
        return result;
    args_put(&r->args, "%s", r->program);
    args_put(&r->args, "--config=%s", path);
    args_put(&r->args, "--spool=%s", spool);
    return server_start(r, "posternd", "postern: ready");
}

static int peer_start(struct run *r)
{
    live_peer_put_server(&r->args, r->job->point);
    args_put(&r->args, "--arrivals=%s", r->arrivals);
    int result = server_start(r, lab_program_name(r->job->point->server.program), "ready ");
    if (result == 0)
        result = read_port(r, "ready ");
    snprintf(r->url, sizeof(r->url), "%s://127.0.0.1:%u", live_scheme(r->job->point), r->port);
    return result;
}

/* Where the point's network is more than a socket, clients get the wire instead of the server. */
static int wire_start(struct run *r)
{
    struct live_wire_options o = {.point = r->job->point,
                                  .time_scale_ns = r->job->time_scale_ns,
                                  .seed = r->job->seed,
                                  .source_count = r->sender_count};
    char path[PROCESS_PATH_BYTES_MAX + 8];
    struct sockaddr_un *local = (struct sockaddr_un *)&o.server;
    struct sockaddr_in *any = (struct sockaddr_in *)&o.server;
    if (!live_fault_needs_wire(r->job->point))
        return 0;
    for (uint32_t i = 0; i < r->sender_count; i++)
        o.sources[i] = (struct live_wire_source){run_id(r, i), r->plans[i].messages};
    if (r->port == 0) {
        int len = snprintf(local->sun_path, sizeof(local->sun_path), "%s/s", r->folder);
        if (len < 0 || (size_t)len >= sizeof(local->sun_path))
            return -ENAMETOOLONG;
        local->sun_family = AF_UNIX;
        snprintf(path, sizeof(path), "%s/w", r->folder);
        o.server_len = sizeof(*local);
        o.path = path;
    } else {
        any->sin_family = AF_INET;
        any->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        any->sin_port = htons((uint16_t)r->port);
        o.server_len = sizeof(*any);
    }
    int result = live_wire_start(&o, &r->wire);
    if (result < 0)
        return result;
    r->port = live_wire_port(r->wire);
    const char *scheme = live_scheme(r->job->point);
    if (r->port == 0)
        snprintf(r->url, sizeof(r->url), "%s+unix:%s", scheme, path);
    else
        snprintf(r->url, sizeof(r->url), "%s://127.0.0.1:%u", scheme, r->port);
    return 0;
}

/* The words that are the same for all clients, then the program's own. */
static int sender_start(struct run *r, uint32_t idx)
{
    char log[PROCESS_PATH_BYTES_MAX + 32];
    struct sender *s = &r->senders[idx];
    const struct lab_job *job = r->job;
    bool is_own = r->ends != LIVE_REAL_CLIENT;
    snprintf(log, sizeof(log), "%s/client-%u.log", r->folder, idx);
    snprintf(s->attempts, sizeof(s->attempts), "%s/attempts-%u", r->folder, idx);
    snprintf(s->report, sizeof(s->report), "%s/client-%u.json", r->folder, idx);
    if (is_own) {
        int result = find_program(r, "postern-load");
        if (result < 0)
            return result;
        args_put(&s->args, "%s", r->program);
        args_put(&s->args, "--seed=%llu", (unsigned long long)run_id(r, idx));
        args_put(&s->args, "--json=%s", s->report);
        args_put(&s->args, "--quiet");
        live_put_sender(&s->args, job->point, &r->plans[idx], job->time_scale_ns);
        args_put(&s->args, "--to=r%%i@%s",
                 r->ends == LIVE_REAL_SERVER ? "mx.test.example" : "lab.example");
    } else {
        live_peer_put_client(&s->args, job->point, job->time_scale_ns, r->port);
    }
    args_put(&s->args, "--run=%llx", (unsigned long long)run_id(r, idx));
    args_put(&s->args, "--attempts=%s", s->attempts);
    if (is_own)
        args_put(&s->args, "%s", r->url);
    const char *name = is_own ? "postern-load" : live_peer_client_name(job->point->client.like);
    return process_start(&s->process, name, &s->args, log);
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

static int finish_server(struct run *r, clock_ns deadline)
{
    process_signal(&r->server, SIGTERM);
    int result = process_wait_until(&r->server, deadline, &r->lag_ns);
    if (result == 0 && !process_is_good(&r->server, 0))
        result = -EPROTO;
    return result < 0 ? explain(r, &r->server, result) : 0;
}

static int run_all(struct run *r)
{
    const struct lab_point *p = r->job->point;
    clock_ns scale = r->job->time_scale_ns;
    int result = r->ends == LIVE_REAL_SERVER ? peer_start(r)
                 : is_postern(r)             ? postern_start(r)
                                             : sink_start(r);
    clock_ns begin = process_now(), end = CLOCK_NEVER;
    clock_ns deadline = begin + 2 * live_time(live_longest(p), scale) + SLACK_NS;
    if (p->model_ns_max != CLOCK_NEVER)
        end = begin + live_time(p->model_ns_max, scale);
    if (r->ends != LIVE_OWN_ENDS)
        deadline += PEER_SLACK_NS + p->client.tries_max * PEER_TRY_NS;
    r->sender_count = live_senders(p, r->plans);
    if (result == 0)
        result = wire_start(r);
    for (uint32_t i = 0; i < r->sender_count && result == 0; i++)
        result = sender_start(r, i);
    for (uint32_t i = 0; i < r->sender_count && result == 0; i++)
        result = sender_wait(r, &r->senders[i], end, deadline);
    if (result == 0)
        result = finish_server(r, deadline);
    if (r->wire == NULL)
        return result;
    /* Whatever went wrong at the ends, it may have come from there. */
    int wire_result = live_wire_stop(r->wire, &r->lag_ns);
    if (wire_result < 0 && result != -EINTR)
        fprintf(r->job->err, "postern-lab: the wire: %s\n", err_text(wire_result));
    return result == 0 ? wire_result : result;
}

static int join(struct run *r, struct lab_measure *m)
{
    struct live_files files = {
        .source_count = r->sender_count,
        .arrivals = r->arrivals,
        .is_spool = is_postern(r),
        .is_arrival_timed = r->ends != LIVE_REAL_SERVER && !is_postern(r),
        .has_try_a_connection = r->ends == LIVE_OWN_ENDS && !is_postern(r),
    };
    for (uint32_t i = 0; i < r->sender_count; i++)
        files.sources[i] = (struct live_source){
            .attempts = r->senders[i].attempts,
            .report = r->ends != LIVE_REAL_CLIENT ? r->senders[i].report : NULL,
            .run = run_id(r, i),
            .messages = r->plans[i].messages,
        };
    if (r->wire != NULL)
        files.notes = live_wire_notes(r->wire, &files.note_count);
    m->late_ns = live_model_time(r->lag_ns, r->job->time_scale_ns);
    return live_join(&files, r->job, m, r->job->err);
}

static int run_with(enum live_ends ends, const struct lab_job *job, struct lab_measure *ret_measure)
{
    struct run *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    r->job = job;
    r->ends = ends;
    process_catch_signals();
    clock_ns began = process_now();
    int result = folder_make(r->folder);
    if (result == 0) {
        snprintf(r->arrivals, sizeof(r->arrivals), "%s/arrivals", r->folder);
        result = run_all(r);
        for (uint32_t i = 0; i < r->sender_count; i++)
            process_end(&r->senders[i].process);
        process_end(&r->server);
        if (result == 0)
            result = join(r, ret_measure);
        live_wire_free(r->wire);
        folder_remove(r->folder);
    }
    ret_measure->seed = job->seed;
    ret_measure->real_s = (double)(process_now() - began) / 1e9;
    free(r);
    return result;
}

int live_run(const struct lab_job *job, struct lab_measure *ret_measure)
{
    return run_with(LIVE_OWN_ENDS, job, ret_measure);
}

int live_client_run(const struct lab_job *job, struct lab_measure *ret_measure)
{
    return run_with(LIVE_REAL_CLIENT, job, ret_measure);
}

int live_server_run(const struct lab_job *job, struct lab_measure *ret_measure)
{
    return run_with(LIVE_REAL_SERVER, job, ret_measure);
}
