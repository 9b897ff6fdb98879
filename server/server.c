/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - shard threads and the commands that the main thread gives them.
 *
 * Listening sockets are made before any thread starts, so that a bad address is an error at start.
 * Each shard has a control block: a set of command bits, raised by the main thread, which then
 * wakes the shard through an event descriptor that the shard's ring polls. What a command refers to
 * (policy, rules, descriptor) lies in the server and does not change until every shard has
 * acknowledged it; the main thread is the only one that ever waits.
 */
#include "server.h"
#include "base/assert.h"
#include "base/err.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum command {
    COMMAND_REPLACE = 1u << 0,
    COMMAND_LOG_FD = 1u << 1,
    COMMAND_DRAIN = 1u << 2,
};

enum worker_state { WORKER_STARTING, WORKER_RUNNING, WORKER_FAILED, WORKER_ENDED };

struct worker {
    struct server *server;
    uint32_t shard_idx;
    pthread_t thread;
    bool is_joinable;
    int control_fd;
    _Atomic uint32_t commands;
    struct shard *shard;
    int *listen_fds; /* handed to the shard */
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

static void control_arm(struct worker *w)
{
    struct ring_token token = {.kind = RING_POLL, .owner = SHARD_OWNER_CONTROL};
    w->shard->is_control_armed = true;
    ring_poll_arm(w->shard->ring, w->control_fd, POLLIN, token);
}

static void run_commands(struct worker *w)
{
    struct shard *sh = w->shard;
    uint64_t count;
    sh->has_control = false;
    if (read(w->control_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        UNREACHABLE();
    uint32_t commands = atomic_exchange(&w->commands, 0);
    int result = 0;
    if (commands & COMMAND_REPLACE) {
        result = shard_replace(sh, w->server->policy, w->server->rules);
        metrics_add(&sh->metrics, result == 0 ? METRIC_RELOADS : METRIC_RELOADS_FAILED, 1);
    }
    if (commands & COMMAND_LOG_FD)
        shard_set_log_fd(sh, w->server->log_fd);
    if (commands & COMMAND_DRAIN)
        shard_drain(sh, ring_now(sh->ring) + w->server->drain_ns);
    if (!sh->is_control_armed)
        control_arm(w);
    /* A descriptor may be closed after the acknowledgement: not while a write is in flight. */
    if (commands & COMMAND_LOG_FD) {
        while (!log_writer_is_idle(sh->log) && result == 0)
            result = shard_turn(sh, 10 * NS_PER_MS);
    }
    if (commands != 0)
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
    control_arm(w);
    for (uint32_t i = 0; i < options.listener_count; i++)
        shard_listen(sh, i, w->listen_fds[i]);
    worker_report(w, WORKER_RUNNING, 0);
    while (result == 0 && !sh->is_stopped) {
        result = shard_turn(sh, CLOCK_NEVER);
        if (sh->has_control)
            run_commands(w);
    }
    snprintf(w->text, sizeof(w->text), "ring: %s", err_text(result));
    worker_report(w, result < 0 ? WORKER_FAILED : WORKER_ENDED, result);
    return NULL;
}

/* --- on the main thread ------------------------------------------------------------------------- */

/* Raises @command at every running shard and waits until all have done it. First error, or 0. */
static int command_all(struct server *s, uint32_t command)
{
    uint64_t one = 1;
    int result = 0;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        if (w->state != WORKER_RUNNING)
            continue;
        w->pending |= command;
        w->result = 0;
        atomic_fetch_or(&w->commands, command);
        if (write(w->control_fd, &one, sizeof(one)) < 0)
            result = -errno;
    }
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
        w->control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (w->shard == NULL || w->listen_fds == NULL)
            return -ENOMEM;
        if (w->control_fd < 0)
            return -errno;
        memset(w->shard, 0, sizeof(*w->shard));
        for (size_t l = 0; l < count; l++)
            w->listen_fds[l] = -1;
    }
    return 0;
}

static void server_free(struct server *s)
{
    for (uint32_t i = 0; i < s->worker_count; i++) {
        struct worker *w = &s->workers[i];
        if (w->is_joinable)
            pthread_join(w->thread, NULL);
        bool owns_fds = w->shard == NULL || w->shard->ring == NULL;
        for (uint32_t l = 0; owns_fds && w->listen_fds != NULL &&
                             l < s->options.shard.listener_count; l++)
            if (w->listen_fds[l] >= 0)
                close(w->listen_fds[l]);
        if (w->shard != NULL)
            shard_deinit(w->shard);
        free(w->shard);
        free(w->listen_fds);
        if (w->server != NULL && w->control_fd >= 0)
            close(w->control_fd);
    }
    for (uint32_t l = 0; l < s->options.shard.listener_count; l++)
        if (s->options.shard.listeners[l].unix_path != NULL)
            unlink(s->options.shard.listeners[l].unix_path);
    policy_unref(s->policy);
    rules_unref(s->rules);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
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

void server_metrics(struct server *s, struct metrics *ret_sum)
{
    memset(ret_sum, 0, sizeof(*ret_sum));
    for (uint32_t i = 0; i < s->worker_count; i++)
        metrics_sum(ret_sum, &s->workers[i].shard->metrics);
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

void server_stop(struct server *s, uint64_t drain_ns)
{
    s->drain_ns = drain_ns;
    (void)command_all(s, COMMAND_DRAIN);
    server_free(s);
}
