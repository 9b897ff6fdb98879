/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - owns the program postern-sink: listening sockets, threads, signals, the summary.
 */
#include "base/err.h"
#include "options.h"
#include "scan/scan.h"
#include "worker.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096
#define EXIT_USAGE 2
#define FILES_OF_OUR_OWN 64
#define FILES_PER_WORKER (WORKER_FILE_SLACK + 8)

struct program {
    struct shared shared;
    struct worker *workers;
    int signal_fd;
    struct timespec began;
};

/* --- listening ------------------------------------------------------------------------------- */

/* A socket left behind by a process that is gone is removed; one that answers is not ours. */
static int remove_stale(const struct sink_listen *l)
{
    struct stat st;
    if (lstat(l->addr.local.sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int result = 0;
    if (connect(fd, &l->addr.any, l->addr_bytes) == 0)
        result = -EADDRINUSE;
    else if (errno != ECONNREFUSED)
        result = -errno;
    close(fd);
    if (result == 0 && unlink(l->addr.local.sun_path) < 0)
        result = -errno;
    return result;
}

static int set_options(int fd, const struct sink_listen *l, const struct sink_options *o)
{
    int on = 1;
    int rcvbuf = (int)o->rcvbuf_bytes;
    if (rcvbuf > 0 && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf)) < 0)
        return -errno;
    if (l->addr.any.sa_family == AF_UNIX)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        (o->worker_count > 1 && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return -errno;
    if (l->addr.any.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    return 0;
}

/* A listening socket; a port of 0 becomes the one that was given. */
static int listen_on(struct sink_listen *l, const struct sink_options *o)
{
    bool is_unix = l->addr.any.sa_family == AF_UNIX;
    int result = is_unix ? remove_stale(l) : 0;
    if (result < 0)
        return result;
    int fd = socket(l->addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    result = set_options(fd, l, o);
    if (result == 0 &&
        (bind(fd, &l->addr.any, l->addr_bytes) < 0 || listen(fd, LISTEN_BACKLOG) < 0))
        result = -errno;
    socklen_t len = sizeof(l->addr);
    if (result == 0 && !is_unix && getsockname(fd, &l->addr.any, &len) < 0)
        result = -errno;
    if (result == 0)
        return fd;
    close(fd);
    return result;
}

static void print_listen(const struct sink_listen *l)
{
    char host[INET6_ADDRSTRLEN] = "";
    const char *scheme = l->is_lmtp ? "lmtp" : "smtp";
    if (l->addr.any.sa_family == AF_INET &&
        inet_ntop(AF_INET, &l->addr.v4.sin_addr, host, sizeof(host)) != NULL)
        fprintf(stderr, "postern-sink: listening on %s://%s:%u\n", scheme, host,
                ntohs(l->addr.v4.sin_port));
    else if (l->addr.any.sa_family == AF_INET6 &&
             inet_ntop(AF_INET6, &l->addr.v6.sin6_addr, host, sizeof(host)) != NULL)
        fprintf(stderr, "postern-sink: listening on %s://[%s]:%u\n", scheme, host,
                ntohs(l->addr.v6.sin6_port));
    else
        fprintf(stderr, "postern-sink: listening on %s\n", l->url);
}

/* The sockets of worker @idx: of its own for TCP, the first one's for unix sockets. */
static int worker_listen(struct program *p, uint32_t idx, int *ret_fds)
{
    struct sink_options *o = &p->shared.options;
    for (uint32_t i = 0; i < o->listen_count; i++) {
        struct sink_listen *l = &o->listens[i];
        if (l->addr.any.sa_family == AF_UNIX && idx > 0)
            ret_fds[i] = dup(p->workers[0].listeners[i].fd);
        else
            ret_fds[i] = listen_on(l, o);
        if (ret_fds[i] >= 0)
            continue;
        fprintf(stderr, "postern-sink: %s: %s\n", l->url, err_text(ret_fds[i]));
        return ret_fds[i];
    }
    return 0;
}

/* --- the summary ----------------------------------------------------------------------------- */

static void print_summary(const struct program *p)
{
    struct timespec now;
    struct rusage usage;
    uint64_t sums[SINK_COUNTER_COUNT] = {0};
    for (uint32_t i = 0; i < p->shared.options.worker_count; i++)
        for (uint32_t k = 0; k < SINK_COUNTER_COUNT; k++)
            sums[k] += __atomic_load_n(&p->workers[i].counters[k], __ATOMIC_RELAXED);
    clock_gettime(CLOCK_MONOTONIC, &now);
    getrusage(RUSAGE_SELF, &usage);
    double seconds =
        (double)(now.tv_sec - p->began.tv_sec) + (double)(now.tv_nsec - p->began.tv_nsec) / 1e9;
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    fprintf(stderr, "postern-sink: after %.3f s, %.3f s of processor time\n", seconds, cpu);
    for (uint32_t k = 0; k < SINK_COUNTER_COUNT; k++)
        fprintf(stderr, "  %-22s %llu\n", sink_counter_name((enum sink_counter)k),
                (unsigned long long)sums[k]);
    fprintf(stderr, "  %-22s %llu\n", "connections open",
            (unsigned long long)shared_open_conns(&p->shared));
}

/* --- the main thread ------------------------------------------------------------------------- */

static int start(struct program *p)
{
    struct sink_options *o = &p->shared.options;
    p->workers = calloc(o->worker_count, sizeof(*p->workers));
    if (p->workers == NULL)
        return -ENOMEM;
    o->conn_count_max = (o->conn_count_max + o->worker_count - 1) / o->worker_count;
    for (uint32_t i = 0; i < o->worker_count; i++) {
        int fds[SINK_LISTEN_MAX];
        int result = worker_listen(p, i, fds);
        if (result < 0)
            return result;
        result = worker_init(&p->workers[i], &p->shared, i, fds);
        if (result < 0) {
            fprintf(stderr, "postern-sink: %s\n", err_text(result));
            return result;
        }
    }
    if (pthread_barrier_init(&p->shared.started, NULL, o->worker_count + 1) != 0)
        return -ENOMEM;
    for (uint32_t i = 0; i < o->worker_count; i++) {
        int error = pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]);
        if (error != 0)
            return -error;
    }
    (void)pthread_barrier_wait(&p->shared.started);
    return p->shared.error;
}

static void on_signal(struct program *p)
{
    struct signalfd_siginfo info;
    if (read(p->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    if (info.ssi_signo == SIGUSR1) {
        print_summary(p);
        return;
    }
    bool is_second = shared_stop(&p->shared) != SHARED_RUN;
    shared_ask_stop(&p->shared, is_second ? SHARED_STOP_NOW : SHARED_STOP);
}

/* Until something wants the sink to end, then until its workers have. */
static void wait_for_end(struct program *p)
{
    const uint32_t count = p->shared.options.worker_count;
    bool has_ended = false;
    while (!has_ended) {
        struct pollfd fds[] = {{.fd = p->signal_fd, .events = POLLIN},
                               {.fd = p->shared.wake_fd, .events = POLLIN}};
        bool is_stopping = shared_stop(&p->shared) != SHARED_RUN;
        uint64_t value;
        (void)poll(fds, ARRAY_COUNT(fds), is_stopping ? 20 : -1);
        if ((fds[0].revents & POLLIN) != 0)
            on_signal(p);
        if ((fds[1].revents & POLLIN) != 0 && read(p->shared.wake_fd, &value, sizeof(value)) > 0)
            for (uint32_t i = 0; i < count; i++)
                worker_wake(&p->workers[i]);
        has_ended = true;
        for (uint32_t i = 0; i < count; i++)
            has_ended &= __atomic_load_n(&p->workers[i].has_ended, __ATOMIC_ACQUIRE);
    }
    for (uint32_t i = 0; i < count; i++)
        (void)pthread_join(p->workers[i].thread, NULL);
}

static int signals_init(struct program *p)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaddset(&set, signals[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    (void)signal(SIGPIPE, SIG_IGN);
    p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    p->shared.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return p->signal_fd < 0 || p->shared.wake_fd < 0 ? -errno : 0;
}

/* As many connections as there may be descriptors. */
static void files_raise(struct sink_options *o)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    uint64_t others =
        FILES_OF_OUR_OWN + (uint64_t)o->worker_count * (FILES_PER_WORKER + o->listen_count);
    uint64_t most = limit.rlim_max > others + 1 ? limit.rlim_max - others : 1;
    if (o->conn_count_max > most)
        o->conn_count_max = (uint32_t)most;
}

static int run(struct program *p)
{
    char why[512];
    int result = scan_init("auto");
    if (result == 0)
        result = signals_init(p);
    if (result < 0) {
        fprintf(stderr, "postern-sink: %s\n", err_text(result));
        return EXIT_FAILURE;
    }
    files_raise(&p->shared.options);
    if (!shared_init(&p->shared, why, sizeof(why))) {
        fprintf(stderr, "postern-sink: %s\n", why);
        return EXIT_FAILURE;
    }
    clock_gettime(CLOCK_MONOTONIC, &p->began);
    if (start(p) < 0)
        return EXIT_FAILURE;
    for (uint32_t i = 0; i < p->shared.options.listen_count; i++)
        print_listen(&p->shared.options.listens[i]);
    fputs("postern-sink: ready\n", stderr);
    wait_for_end(p);
    for (uint32_t i = 0; i < p->shared.options.listen_count; i++)
        if (p->shared.options.listens[i].addr.any.sa_family == AF_UNIX)
            (void)unlink(p->shared.options.listens[i].addr.local.sun_path);
    if (!p->shared.options.is_quiet)
        print_summary(p);
    for (uint32_t i = 0; i < p->shared.options.worker_count; i++)
        worker_deinit(&p->workers[i]);
    free(p->workers);
    int error = p->shared.error;
    close(p->signal_fd);
    close(p->shared.wake_fd);
    return error != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct program p;
    char why[512];
    int status = EXIT_SUCCESS;
    p.shared.ledger_fd = -1;
    p.shared.wake_fd = -1;
    p.shared.script = script_new();
    if (p.shared.script == NULL)
        return EXIT_FAILURE;
    switch (options_parse(&p.shared, argc, argv, why, sizeof(why))) {
    case OPTIONS_RUN:
        status = run(&p);
        break;
    case OPTIONS_HELP:
        options_print_help(stdout);
        break;
    case OPTIONS_VERSION:
        printf("postern-sink %s\n", POSTERN_VERSION);
        break;
    case OPTIONS_BAD:
        fprintf(stderr, "postern-sink: %s\n", why);
        status = EXIT_USAGE;
        break;
    }
    shared_deinit(&p.shared);
    return status;
}
