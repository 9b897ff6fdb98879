/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - main of postern-load: threads, signals, and the report at the end.
 *
 * The main thread starts a thread for each worker, waits for signals and for them, and shows the
 * progress. The first SIGINT or SIGTERM ends the run early, with its results; the second one ends
 * the process.
 */
#include "base/civil.h"
#include "base/err.h"
#include "load/channel.h"
#include "load/live.h"
#include "load/place.h"
#include "load/report.h"
#include "load/verdict.h"
#include "load/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum exit_status {
    EXIT_ALL = 0,
    EXIT_NOT_ALL = 1, /* a message was not accepted, or something could not be done */
    EXIT_USE = 2,
    EXIT_NOT_A_RESULT = 3,
    EXIT_STOPPED = 130,
};

struct thread {
    pthread_t id;
    struct run *run;
    uint32_t idx;
    struct worker *worker;
    int result;
    double busy_share;    /* of the run: it ran, or waited for a processor */
    uint32_t is_made;     /* @worker and @result are set; with __atomic builtins */
    uint32_t is_finished; /* likewise */
    char text[256];
};

struct run {
    struct load_options options;
    struct message_set *messages;
    struct load_control control;
    struct thread threads[WORKERS_MAX];
    struct worker *workers[WORKERS_MAX];
    int attempts_fd;
    bool is_interrupted;
    wall_us started_at;
    double cpu_seconds; /* at the start, and then of the run alone */
};

static struct run run_state; /* large, and there is one */

static clock_ns now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (clock_ns)ts.tv_sec * NS_PER_S + (clock_ns)ts.tv_nsec;
}

static wall_us now_wall(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (wall_us)ts.tv_sec * 1000000 + (wall_us)ts.tv_nsec / 1000;
}

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "postern-load: %s%s%s\n", what, why != NULL ? ": " : "",
            why != NULL ? why : "");
    return EXIT_NOT_ALL;
}

/* --- threads ---------------------------------------------------------------------------------- */

/* How long this thread has run so far, or waited for a processor. */
static uint64_t occupied_ns(void)
{
    struct timespec ts;
    uint64_t run_ns = 0, wait_ns = 0;
    FILE *f = fopen("/proc/thread-self/schedstat", "re");
    bool is_known = f != NULL && fscanf(f, "%" SCNu64 " %" SCNu64, &run_ns, &wait_ns) == 2;
    if (f != NULL)
        fclose(f);
    if (is_known)
        return run_ns + wait_ns;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Turns until the worker has left the state @state; then the time and what of it was occupied. */
static void run_through(struct thread *t, enum worker_state state)
{
    clock_ns from = now_ns();
    uint64_t occupied = occupied_ns();
    while (t->result == 0 && worker_state(t->worker) == state)
        t->result = worker_turn(t->worker);
    clock_ns elapsed = now_ns() - from;
    if (state == WORKER_RUNNING && elapsed > 0)
        t->busy_share = (double)(occupied_ns() - occupied) / (double)elapsed;
}

static void *run_worker(void *arg)
{
    struct thread *t = arg;
    struct run *run = t->run;
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* starts are planned to the microsecond */
    t->result = worker_new(&run->options, run->messages, t->idx, &run->control, run->attempts_fd,
                           &t->worker, t->text, sizeof(t->text));
    __atomic_store_n(&t->is_made, 1, __ATOMIC_RELEASE);
    bool is_made = t->result == 0;
    while (t->result == 0 && worker_state(t->worker) != WORKER_FINISHED)
        run_through(t, worker_state(t->worker));
    if (is_made && t->result < 0)
        snprintf(t->text, sizeof(t->text), "io_uring: %s", err_text(t->result));
    __atomic_store_n(&t->is_finished, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void block_signals(sigset_t *ret_set)
{
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, ret_set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file over its limit is an error of that write */
}

static void stop(struct run *run)
{
    __atomic_store_n(&run->control.stop_count, 1, __ATOMIC_RELAXED);
}

static void on_signal(struct run *run)
{
    if (run->is_interrupted)
        _exit(EXIT_STOPPED);
    run->is_interrupted = true;
    fputs("\npostern-load: stopping; once more to end at once\n", stderr);
    stop(run);
}

/* Waits up to 50 ms, for a signal. */
static void wait_a_little(struct run *run, const sigset_t *signals)
{
    struct timespec ts = {.tv_nsec = 50 * 1000 * 1000};
    if (sigtimedwait(signals, NULL, &ts) > 0)
        on_signal(run);
}

static bool start_threads(struct run *run)
{
    for (uint32_t i = 0; i < run->options.worker_count; i++) {
        struct thread *t = &run->threads[i];
        t->run = run;
        t->idx = i;
        int error = pthread_create(&t->id, NULL, run_worker, t);
        if (error != 0) {
            complain("thread", err_text(-error));
            exit(EXIT_NOT_ALL);
        }
    }
    bool is_good = true;
    struct timespec pause = {.tv_nsec = 1000 * 1000};
    for (uint32_t i = 0; i < run->options.worker_count; i++) {
        struct thread *t = &run->threads[i];
        while (__atomic_load_n(&t->is_made, __ATOMIC_ACQUIRE) == 0)
            (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        run->workers[i] = t->worker;
        is_good = is_good && t->worker != NULL;
    }
    return is_good;
}

static bool all_finished(const struct run *run)
{
    for (uint32_t i = 0; i < run->options.worker_count; i++)
        if (__atomic_load_n(&run->threads[i].is_finished, __ATOMIC_ACQUIRE) == 0)
            return false;
    return true;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Until every worker has finished. */
static void supervise(struct run *run, const sigset_t *signals)
{
    struct live live;
    live_init(&live, &run->options, stderr);
    while (!all_finished(run)) {
        uint32_t ready = __atomic_load_n(&run->control.ready_count, __ATOMIC_ACQUIRE);
        clock_ns began_at = __atomic_load_n(&run->control.began_at, __ATOMIC_RELAXED);
        bool may_begin = ready == run->options.worker_count || run->is_interrupted;
        if (began_at == 0 && may_begin) {
            run->started_at = now_wall();
            run->cpu_seconds = cpu_seconds();
            began_at = now_ns() + 5 * NS_PER_MS;
            __atomic_store_n(&run->control.began_at, began_at, __ATOMIC_RELEASE);
        }
        live_show(&live, run->workers, run->options.worker_count, began_at, now_ns());
        wait_a_little(run, signals);
        for (uint32_t i = 0; i < run->options.worker_count; i++)
            if (run->threads[i].result < 0)
                stop(run);
    }
    run->cpu_seconds = cpu_seconds() - run->cpu_seconds;
    live_end(&live);
    for (uint32_t i = 0; i < run->options.worker_count; i++)
        pthread_join(run->threads[i].id, NULL);
}

/* --- the report ------------------------------------------------------------------------------- */

static void put_quoted(char *to, size_t cap, const char *word)
{
    size_t len = strlen(to);
    bool is_plain = *word != '\0' && strpbrk(word, " \t\n'\"\\$`*?[]{}()<>|&;#~!") == NULL;
    if (len > 0 && len + 1 < cap)
        to[len++] = ' ';
    if (!is_plain && len + 1 < cap)
        to[len++] = '\'';
    for (; *word != '\0' && len + 6 < cap; word++) {
        if (*word == '\'') {
            memcpy(to + len, "'\\''", 4);
            len += 4;
        } else {
            to[len++] = *word;
        }
    }
    if (!is_plain && len + 1 < cap)
        to[len++] = '\'';
    to[len] = '\0';
}

static void describe_place(const struct run *run, struct load_report *r, int argc, char **argv)
{
    struct utsname names;
    snprintf(r->version, sizeof(r->version), "%s", POSTERN_VERSION);
    if (uname(&names) == 0)
        snprintf(r->host, sizeof(r->host), "%.63s", names.nodename);
    place_kernel(r->kernel, sizeof(r->kernel));
    place_cpu(r->cpu, sizeof(r->cpu));
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    r->cpu_count = count > 0 ? (uint32_t)count : 1;
    for (int i = 0; i < argc; i++)
        put_quoted(r->command, sizeof(r->command), argv[i]);
    struct buf started = buf_over(r->started, sizeof(r->started) - 1);
    struct civil civil = civil_from_unix(run->started_at / 1000000);
    civil_put_rfc3339(&started, &civil);
    buf_put_byte(&started, 'Z');
    started.ptr[started.len] = '\0';
    memcpy(r->options, run->options.pairs, sizeof(run->options.pairs));
    r->option_count = run->options.pair_count;
    r->run = run->options.message.run;
    r->cpu_seconds = run->cpu_seconds;
}

/* "durability=WORD" in the greeting or a line of EHLO: servers that tell it, tell it so. */
static void read_durability(struct load_report *r)
{
    static const char key[] = "durability=";
    const char *at = strstr(r->server_text, key);
    if (at == NULL)
        return;
    at += sizeof(key) - 1;
    snprintf(r->server_durability, sizeof(r->server_durability), "%.*s",
             (int)size_min(strcspn(at, " \r\n;,"), sizeof(r->server_durability) - 1), at);
}

static struct load_report *make_report(struct run *run, int argc, char **argv)
{
    struct load_report *r = report_new();
    if (r == NULL || load_stats_new(options_seconds_max(&run->options), &r->stats) < 0) {
        complain("out of memory", NULL);
        exit(EXIT_NOT_ALL);
    }
    const struct plan_options *plan = &run->options.plan;
    struct verdict_facts facts = {0};
    clock_ns ended_at = 0;
    r->stats->began_at = worker_stats(run->workers[0])->began_at;
    r->stats->measure_at = worker_stats(run->workers[0])->measure_at;
    for (uint32_t i = 0; i < run->options.worker_count; i++) {
        struct worker_result result;
        worker_result(run->workers[i], &result);
        load_stats_merge(r->stats, worker_stats(run->workers[i]));
        ended_at = u64_max(ended_at, result.ended_at);
        facts.not_started += result.not_started;
        facts.busy_share = fmax(facts.busy_share, run->threads[i].busy_share);
        if (i == 0)
            snprintf(r->server_text, sizeof(r->server_text), "%s", result.server_text);
    }
    read_durability(r);
    describe_place(run, r, argc, argv);
    r->warmup_seconds = (double)run->options.warmup_ns / 1e9;
    r->seconds =
        ended_at > r->stats->measure_at ? (double)(ended_at - r->stats->measure_at) / 1e9 : 0;
    r->is_open_loop = plan->shape != PLAN_CLOSED;
    r->rate_planned = r->is_open_loop ? plan->rate : 0;
    r->is_interrupted = run->is_interrupted;
    verdict_judge(&run->options, &facts, r);
    return r;
}

static bool write_one(int result, const char *path)
{
    if (result == 0)
        return true;
    complain(path, err_text(result));
    return false;
}

static bool write_reports(const struct load_options *o, const struct load_report *r)
{
    bool is_good = true;
    if (o->json_path != NULL)
        is_good = write_one(report_json(r, o->json_path), o->json_path) && is_good;
    if (o->csv_path != NULL)
        is_good = write_one(report_csv(r, o->csv_path), o->csv_path) && is_good;
    if (o->hgrm_path != NULL)
        is_good = write_one(report_hgrm(r, o->hgrm_path), o->hgrm_path) && is_good;
    if (o->html_path != NULL)
        is_good = write_one(report_html(r, o->html_path), o->html_path) && is_good;
    report_text(r, stdout);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("standard output", err_text(-errno));
        is_good = false;
    }
    return is_good;
}

static bool report_errors(const struct run *run)
{
    bool is_good = true;
    for (uint32_t i = 0; i < run->options.worker_count; i++) {
        struct worker_result result;
        worker_result(run->workers[i], &result);
        if (result.attempts_error != 0 && is_good) {
            complain(run->options.attempts_path, err_text(result.attempts_error));
            is_good = false;
        }
        if (run->threads[i].result < 0) {
            complain(run->threads[i].text, NULL);
            is_good = false;
        }
    }
    return is_good;
}

static int exit_status(const struct run *run, const struct load_report *r, bool is_good)
{
    const struct load_counters *c = &r->stats->counters;
    bool is_all =
        c->rcpts[ATTEMPT_ACCEPTED] > 0 && c->gave_up == 0 && c->rcpts[ATTEMPT_REFUSED] == 0;
    if (run->is_interrupted)
        return EXIT_STOPPED;
    if (!is_good)
        return EXIT_NOT_ALL;
    if (!r->is_result)
        return EXIT_NOT_A_RESULT;
    return is_all ? EXIT_ALL : EXIT_NOT_ALL;
}

/* --- start ------------------------------------------------------------------------------------ */

/* Descriptors for all connections; the hard limit is raised too where that is allowed. */
static bool raise_limits(const struct load_options *o)
{
    struct rlimit limit;
    rlim_t need = (rlim_t)o->connection_count + 64 * (rlim_t)o->worker_count + 64 +
                  (o->vanish_how == LINK_HOW_SILENT ? CHANNEL_SILENT_MAX : 0);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
        return true;
    limit.rlim_cur = limit.rlim_max;
    if (need > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max = need;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return true;
    fprintf(stderr,
            "postern-load: %u connections need %llu open files: raise the limit (ulimit -n)\n",
            o->connection_count, (unsigned long long)need);
    return false;
}

static bool open_attempts(struct run *run)
{
    const char *path = run->options.attempts_path;
    char memory[512];
    struct buf head = buf_over(memory, sizeof(memory));
    run->attempts_fd = -1;
    if (path == NULL)
        return true;
    run->attempts_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    attempts_put_head(&head, run->options.message.run);
    if (run->attempts_fd >= 0 && write(run->attempts_fd, head.ptr, head.len) == (ssize_t)head.len)
        return true;
    complain(path, err_text(-errno));
    return false;
}

static uint64_t run_from_clock(void)
{
    struct rng rng;
    rng_init(&rng, now_wall() ^ ((uint64_t)getpid() << 40));
    uint64_t run = rng_next(&rng);
    return run != 0 ? run : 1;
}

static int drive(struct run *run, int argc, char **argv)
{
    char text[256];
    sigset_t signals;
    struct load_options *o = &run->options;
    for (uint32_t i = 0; i < o->target_count; i++)
        if (!target_resolve(&o->targets[i], text, sizeof(text)))
            return complain(text, NULL);
    if (o->message.run == 0)
        o->message.run = run_from_clock();
    if (message_set_new(&o->message, &run->messages, text, sizeof(text)) < 0)
        return complain(text, NULL);
    if (!raise_limits(o) || !open_attempts(run))
        return EXIT_NOT_ALL;
    block_signals(&signals);
    if (!start_threads(run)) {
        for (uint32_t i = 0; i < o->worker_count; i++)
            if (run->threads[i].result < 0)
                return complain(run->threads[i].text, NULL);
    }
    supervise(run, &signals);
    struct load_report *report = make_report(run, argc, argv);
    bool is_good = write_reports(o, report);
    is_good = report_errors(run) && is_good;
    if (run->attempts_fd >= 0 && close(run->attempts_fd) < 0) {
        complain(o->attempts_path, err_text(-errno));
        is_good = false;
    }
    int status = exit_status(run, report, is_good);
    report_free(report);
    for (uint32_t i = 0; i < o->worker_count; i++)
        worker_free(run->workers[i]);
    message_set_free(run->messages);
    return status;
}

static const char compare_usage[] =
    "usage: postern-load compare A.json B.json [PAGE.html]\n"
    "\n"
    "Two runs that were written with --json, side by side, and what differed in their\n"
    "set-up; with PAGE.html the same as a page with plots.\n";

static bool wants_compare_help(int argc, char **argv)
{
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int flush_output(void)
{
    bool is_good = fflush(stdout) == 0 && !ferror(stdout);
    return is_good ? EXIT_ALL : complain("standard output", err_text(-errno));
}

static int compare(int argc, char **argv)
{
    char text[256];
    struct load_report *reports[2] = {NULL, NULL};
    const char *html_path = argc == 5 ? argv[4] : NULL;
    int status = EXIT_NOT_ALL;
    if (wants_compare_help(argc, argv)) {
        fputs(compare_usage, stdout);
        return flush_output();
    }
    if (argc < 4 || argc > 5) {
        fprintf(stderr,
                "postern-load: compare takes two reports, and a page to write if need be\n"
                "%s",
                compare_usage);
        return EXIT_USE;
    }
    for (int i = 0; i < 2; i++) {
        if (report_json_read(argv[2 + i], &reports[i], text, sizeof(text)) < 0) {
            complain(argv[2 + i], text);
            goto out;
        }
    }
    int result = report_compare(reports[0], reports[1], stdout, html_path);
    status = result < 0 ? complain(html_path != NULL ? html_path : "compare", err_text(result))
                        : flush_output();
out:
    report_free(reports[0]);
    report_free(reports[1]);
    return status;
}

int main(int argc, char **argv)
{
    char text[512];
    struct run *run = &run_state;
    if (argc > 1 && strcmp(argv[1], "compare") == 0)
        return compare(argc, argv);
    int status = EXIT_USE;
    switch (options_parse(&run->options, argc, argv, text, sizeof(text))) {
    case OPTIONS_HELP:
        options_print_help(stdout);
        status = EXIT_ALL;
        break;
    case OPTIONS_VERSION:
        printf("postern-load %s\n", POSTERN_VERSION);
        status = EXIT_ALL;
        break;
    case OPTIONS_BAD:
        complain(text, NULL);
        break;
    case OPTIONS_RUN:
        status = drive(run, argc, argv);
        break;
    }
    options_deinit(&run->options);
    return status;
}
