/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - shard threads and the commands that the main thread gives them.
 *
 * Listening sockets are made before any thread starts, so that a bad address is an error at start.
 * The main thread has a small ring of its own and mails commands to the shards' rings. What a
 * command refers to (policy, rules, descriptor) lies in the server and does not change until every
 * shard has acknowledged it; the main thread is the only one that ever waits. A shard that ends
 * says so, and is not waited for.
 */
#include "server.h"
#include "base/assert.h"
#include "base/err.h"
#include "io/mailbox.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_ENTRIES 64               /* of the main thread's ring */
#define LOOK_NS_MAX (100 * NS_PER_MS) /* while mail is on its way: wait so long at once */

enum command {
    COMMAND_REPLACE = 1u << 0,
    COMMAND_LOG_FD = 1u << 1,
    COMMAND_DRAIN = 1u << 2,
    COMMAND_COUNTERS = 1u << 3,
};

enum worker_state { WORKER_STARTING, WORKER_RUNNING, WORKER_FAILED, WORKER_ENDED, WORKER_HUNG };

struct worker {
    struct server *server;
    uint32_t shard_idx;
    pthread_t thread;
    bool is_joinable;
    struct shard *shard;
    int *listen_fds; /* handed to the shard */
    bool has_mail;   /* main thread's: the shard is a target of the mailbox */
    /* written by the shard before it acknowledges COMMAND_COUNTERS: */
    struct spool_counters spool_counters;
    struct ring_counters ring_counters;
    uint64_t log_dropped;
    /* under server->lock: */
    enum worker_state state;
    uint32_t pending; /* commands not acknowledged */
    int result;       /* of the last command, or of the start */
    char text[256];
};

struct server {
    struct server_options options;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct policy *policy; /* what COMMAND_REPLACE refers to */
    struct rules *rules;
    int log_fd;
    uint64_t drain_ns;
    struct ring *ring; /* main thread's */
    struct mailbox mailbox;
    uint32_t worker_count;
    struct worker workers[];
};

/* --- on the shard's thread -------------------------------------------------------------------- */

static void worker_report(struct worker *w, enum worker_state state, int result)
{
    pthread_mutex_lock(&w->server->lock);
    w->state = state;
    w->result = result;
    pthread_cond_broadcast(&w->server->changed);
    pthread_mutex_unlock(&w->server->lock);
}

static void worker_acknowledge(struct worker *w, uint32_t done, int result)
{
    pthread_mutex_lock(&w->server->lock);
    w->pending &= ~done;
    if (result < 0)
        w->result = result;
    pthread_cond_broadcast(&w->server->changed);
    pthread_mutex_unlock(&w->server->lock);
}

static void run_commands(struct worker *w)
{
    struct shard *sh = w->shard;
    uint32_t commands = sh->commands;
    sh->commands = 0;
    int result = 0;
    if (commands & COMMAND_REPLACE) {
        result = shard_replace(sh, w->server->policy, w->server->rules);
        metrics_add(&sh->metrics, result == 0 ? METRIC_RELOADS : METRIC_RELOADS_FAILED, 1);
    }
    if (commands & COMMAND_LOG_FD)
        shard_set_log_fd(sh, w->server->log_fd);
    if (commands & COMMAND_COUNTERS) {
        w->spool_counters = *spool_counters(sh->spool);
        w->ring_counters = *ring_counters(sh->ring);
        w->log_dropped = log_writer_dropped(sh->log);
    }
    if (commands & COMMAND_DRAIN)
        shard_drain(sh, ring_now(sh->ring) + w->server->drain_ns);
    /* A descriptor may be closed after the acknowledgement: not while a write is in flight. */
    if (commands & COMMAND_LOG_FD) {
        while (!log_writer_is_idle(sh->log) && result == 0)
            result = shard_turn(sh, 10 * NS_PER_MS);
    }
    worker_acknowledge(w, commands, result);
}

static void pin_thread(uint32_t shard_idx)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return;
    uint32_t nth = shard_idx % (uint32_t)CPU_COUNT(&allowed);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || nth-- > 0)
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        /* Where this is refused, the thread runs anywhere: slower, not wrong. */
        (void)sched_setaffinity(0, sizeof(one), &one);
        return;
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct server *s = w->server;
    struct shard *sh = w->shard;
    char name[16];
    snprintf(name, sizeof(name), "shard-%u", w->shard_idx);
    pthread_setname_np(pthread_self(), name);
    if (s->options.pins_threads)
        pin_thread(w->shard_idx);
    struct shard_options options = s->options.shard;
    options.shard_idx = w->shard_idx;
    int result = shard_init(sh, &options, w->text, sizeof(w->text));
    if (result < 0) {
        worker_report(w, WORKER_FAILED, result);
        return NULL;
    }
    for (uint32_t i = 0; i < options.listener_count; i++)
        shard_listen(sh, i, w->listen_fds[i]);
    worker_report(w, WORKER_RUNNING, 0);
    while (result == 0 && !sh->is_stopped) {
        result = shard_turn(sh, CLOCK_NEVER);
        if (sh->commands != 0)
            run_commands(w);
    }
    if (result == 0 && sh->is_hung) {
        worker_report(w, WORKER_HUNG, 0);
        for (;;) /* a thread that ends has the kernel wait for its operations */
            pause();
    }
    snprintf(w->text, sizeof(w->text), "ring: %s", err_text(result));
    worker_report(w, result < 0 ? WORKER_FAILED : WORKER_ENDED, result);
    if (result < 0) /* the main thread sleeps until a signal comes */
        (void)kill(getpid(), SIGTERM);
    return NULL;
}

/* --- on the main thread ----------------------------------------------------------------------- */

static bool worker_is_running(struct worker *w)
{
    pthread_mutex_lock(&w->server->lock);
    bool is_running = w->state == WORKER_RUNNING;
    pthread_mutex_unlock(&w->server->lock);
    return is_running;
}

static void command_post(struct server *s, uint32_t worker_idx, uint32_t command)
{
    struct worker *w = &s->workers[worker_idx];
    struct mail mail = {.tag = SHARD_MAIL_COMMAND, .value = command};
    pthread_mutex_lock(&s->lock);
    bool is_running = w->state == WORKER_RUNNING;
    if (is_running)
        w->pending |= command;
    w->result = is_running ? 0 : w->result;
    pthread_mutex_unlock(&s->lock);
    if (!is_running)
        return;
    if (!w->has_mail) {
        mailbox_open(&s->mailbox, worker_idx, ring_fd(w->shard->ring));
        w->has_mail = true;
    }
    /* One command at a time is on its way, so there is room. */
    if (mailbox_post(&s->mailbox, worker_idx, mail) != MAILBOX_POSTED)
        UNREACHABLE();
}

/* Turns the main thread's ring until each shard's ring has taken its mail, or the shard ended. */
static void mail_deliver(struct server *s)
{
    const struct ring_event *events;
    uint32_t worker_idx;
    struct mail mail;
    while (!mailbox_is_idle(&s->mailbox)) {
        clock_ns now = ring_now(s->ring);
        clock_ns due = u64_min(mailbox_next_due(&s->mailbox), now + LOOK_NS_MAX);
        int count = ring_turn(s->ring, due > now ? due - now : 0, &events);
        ASSERT(count >= 0); /* the main thread's ring has no use but this */
        for (int i = 0; i < count; i++)
            mailbox_on_event(&s->mailbox, &events[i]);
        mailbox_turn(&s->mailbox);
        for (uint32_t i = 0; i < s->worker_count; i++)
            if (s->workers[i].has_mail && !worker_is_running(&s->workers[i]))
                mailbox_close(&s->mailbox, i);
        while (mailbox_next_returned(&s->mailbox, &worker_idx, &mail))
            ASSERT(!worker_is_running(&s->workers[worker_idx])); /* a ring lives that long */
    }
}

/* Has every running shard carry out @command and waits until all have done it. First error, or 0.
 */
static int command_all(struct server *s, uint32_t command)
{
    int result = 0;
    for (uint32_t i = 0; i < s->worker_count; i++)
        command_post(s, i, command);
    mail_deliver(s);
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        while (w->state == WORKER_RUNNING && (w->pending & command) != 0)
            pthread_cond_wait(&s->changed, &s->lock);
        if (w->result < 0 && result == 0)
            result = w->result;
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

static int bind_listeners(struct server *s, char *ret_text, size_t text_cap)
{
    for (uint32_t l = 0; l < s->options.shard.listener_count; l++) {
        const struct listener_options *o = &s->options.shard.listeners[l];
        for (uint32_t i = 0; i < s->worker_count; i++) {
            struct worker *w = &s->workers[i];
            /* A unix socket is one queue that every shard accepts from. */
            int fd = o->unix_path != NULL && i > 0
                         ? dup(s->workers[0].listen_fds[l])
                         : listener_bind(o, s->worker_count > 1, ret_text, text_cap);
            if (fd < 0)
                return fd == -1 && o->unix_path != NULL && i > 0 ? -errno : fd;
            w->listen_fds[l] = fd;
        }
    }
    return 0;
}

static int workers_prepare(struct server *s)
{
    size_t count = s->options.shard.listener_count + 1;
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        w->server = s;
        w->shard_idx = i;
        w->shard = aligned_alloc(64, ALIGN_UP(sizeof(*w->shard), 64));
        w->listen_fds = malloc(count * sizeof(*w->listen_fds));
        if (w->shard == NULL || w->listen_fds == NULL)
            return -ENOMEM;
        memset(w->shard, 0, sizeof(*w->shard));
        for (size_t l = 0; l < count; l++)
            w->listen_fds[l] = -1;
    }
    return 0;
}

/* Only those that this process has bound: another's is in use. */
static void unix_sockets_remove(const struct worker *w)
{
    const struct shard_options *o = &w->server->options.shard;
    for (uint32_t l = 0; w->listen_fds != NULL && l < o->listener_count; l++)
        if (w->listen_fds[l] >= 0 && o->listeners[l].unix_path != NULL)
            unlink(o->listeners[l].unix_path);
}

static void server_free(struct server *s)
{
    /* First: a ring's descriptor is registered with its thread, and a shard's ring, freed by this
     * one, would take that for its own. */
    ring_free(s->ring);
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        if (w->is_joinable)
            pthread_join(w->thread, NULL);
        bool owns_fds = w->shard == NULL || w->shard->ring == NULL;
        for (uint32_t l = 0;
             owns_fds && w->listen_fds != NULL && l < s->options.shard.listener_count; l++)
            if (w->listen_fds[l] >= 0)
                close(w->listen_fds[l]);
        if (w->shard != NULL)
            shard_deinit(w->shard);
        free(w->shard);
        if (i == 0)
            unix_sockets_remove(w);
        free(w->listen_fds);
    }
    policy_unref(s->policy);
    rules_unref(s->rules);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int mail_prepare(struct server *s, char *ret_text, size_t text_cap)
{
    struct ring_options options = {.sq_entries = RING_ENTRIES, .cq_entries = 2 * RING_ENTRIES};
    int result = ring_new(&options, &s->ring);
    if (result < 0)
        snprintf(ret_text, text_cap, "io_uring: %s (%s)", err_text(result), err_name(result));
    else
        mailbox_init(&s->mailbox, s->ring, 0);
    return result;
}

static int workers_run(struct server *s, char *ret_text, size_t text_cap)
{
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        int result = pthread_create(&w->thread, NULL, worker_main, w);
        if (result != 0) {
            snprintf(ret_text, text_cap, "thread: %s", err_text(-result));
            return -result;
        }
        w->is_joinable = true;
    }
    int result = 0;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        while (w->state == WORKER_STARTING)
            pthread_cond_wait(&s->changed, &s->lock);
        if (w->state == WORKER_FAILED && result == 0) {
            result = w->result;
            snprintf(ret_text, text_cap, "shard %u: %s", i, w->text);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return result;
}

int server_start(const struct server_options *options, struct server **ret_server, char *ret_text,
                 size_t text_cap)
{
    ASSERT(options->shard_count > 0 && options->shard_count <= SHARD_COUNT_MAX);
    struct server *s = calloc(1, sizeof(*s) + options->shard_count * sizeof(s->workers[0]));
    if (s == NULL)
        return -ENOMEM;
    s->options = *options;
    s->worker_count = options->shard_count;
    s->policy = policy_ref(options->shard.policy);
    s->rules = rules_ref(options->shard.rules);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    snprintf(ret_text, text_cap, "out of memory");
    int result = workers_prepare(s);
    if (result == 0)
        result = mail_prepare(s, ret_text, text_cap);
    if (result == 0)
        result = bind_listeners(s, ret_text, text_cap);
    if (result == 0)
        result = workers_run(s, ret_text, text_cap);
    if (result < 0) {
        (void)command_all(s, COMMAND_DRAIN);
        server_free(s);
        return result;
    }
    *ret_server = s;
    return 0;
}

int server_replace(struct server *s, struct policy *policy, struct rules *rules)
{
    policy_unref(s->policy);
    rules_unref(s->rules);
    s->policy = policy_ref(policy);
    s->rules = rules_ref(rules);
    return command_all(s, COMMAND_REPLACE);
}

void server_set_log_fd(struct server *s, int fd)
{
    s->log_fd = fd;
    (void)command_all(s, COMMAND_LOG_FD);
}

static void put_counter(struct buf *out, const char *name, uint64_t value)
{
    BUF_PUT_LIT(out, "postern_");
    buf_put(out, slice_str(name));
    buf_put_byte(out, ' ');
    buf_put_u64(out, value);
    buf_put_byte(out, '\n');
}

/* Sums @field of the @counters blocks of all workers. */
#define PUT_SUM(out, s, name, field)                                                               \
    do {                                                                                           \
        uint64_t total = 0;                                                                        \
        for (uint32_t i = 0; i < (s)->worker_count; i++)                                           \
            total += (s)->workers[i].field;                                                        \
        put_counter((out), (name), total);                                                         \
    } while (0)

void server_counters_print(struct server *s, struct buf *out)
{
    struct metrics sum = {0};
    (void)command_all(s, COMMAND_COUNTERS);
    for (uint32_t i = 0; i < s->worker_count; i++)
        metrics_sum(&sum, &s->workers[i].shard->metrics);
    metrics_print(&sum, out);
    PUT_SUM(out, s, "log_lines_dropped_total", log_dropped);
    PUT_SUM(out, s, "spool_groups_total", spool_counters.groups);
    PUT_SUM(out, s, "spool_commits_total", spool_counters.commits);
    PUT_SUM(out, s, "spool_aborts_total", spool_counters.aborts);
    PUT_SUM(out, s, "spool_bytes_written_total", spool_counters.bytes_written);
    PUT_SUM(out, s, "spool_syncs_total", spool_counters.syncs);
    PUT_SUM(out, s, "spool_write_errors_total", spool_counters.write_errors);
    PUT_SUM(out, s, "spool_sync_errors_total", spool_counters.sync_errors);
    PUT_SUM(out, s, "spool_segments_used_total", spool_counters.segments_used);
    PUT_SUM(out, s, "spool_segments_recycled_total", spool_counters.segments_recycled);
    PUT_SUM(out, s, "spool_segments_abandoned_total", spool_counters.segments_abandoned);
    PUT_SUM(out, s, "spool_full_refusals_total", spool_counters.full_refusals);
    PUT_SUM(out, s, "spool_results_lost_total", spool_counters.results_lost);
    PUT_SUM(out, s, "spool_stale_events_total", spool_counters.stale_events);
    PUT_SUM(out, s, "ring_turns_total", ring_counters.turns);
    PUT_SUM(out, s, "ring_submits_total", ring_counters.submits);
    PUT_SUM(out, s, "ring_completions_total", ring_counters.completions);
    PUT_SUM(out, s, "ring_sq_full_total", ring_counters.sq_full);
    PUT_SUM(out, s, "ring_cq_overflow_total", ring_counters.cq_overflow);
    PUT_SUM(out, s, "ring_buffers_empty_total", ring_counters.no_buffers);
    PUT_SUM(out, s, "ring_failures_total", ring_counters.failures);
}

bool server_has_failed(struct server *s)
{
    bool has_failed = false;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->worker_count; i++)
        has_failed |= s->workers[i].state == WORKER_FAILED;
    pthread_mutex_unlock(&s->lock);
    return has_failed;
}

/* Waits until no shard runs; false: one of them has operations in flight that do not end. */
static bool workers_wait(struct server *s)
{
    bool is_hung = false;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->worker_count; i++) {
        const struct worker *w = &s->workers[i];
        while (w->state == WORKER_RUNNING)
            pthread_cond_wait(&s->changed, &s->lock);
        is_hung |= w->state == WORKER_HUNG;
    }
    pthread_mutex_unlock(&s->lock);
    return !is_hung;
}

bool server_stop(struct server *s, uint64_t drain_ns)
{
    s->drain_ns = drain_ns;
    (void)command_all(s, COMMAND_DRAIN);
    if (!workers_wait(s)) {
        unix_sockets_remove(&s->workers[0]);
        return false;
    }
    server_free(s);
    return true;
}
