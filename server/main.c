/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - arguments, signals, start, reload, stop.
 *
 * The main thread reads the configuration, opens the spool, starts the shards, and then does
 * nothing but wait for signals: SIGTERM and SIGINT drain and end, SIGHUP reads policy, rules and
 * log file again, SIGUSR1 prints the counters. Exit status: 0 after a drain, 1 when something
 * failed at run time or the disk did not answer in the end, 64 (EX_USAGE) for bad arguments, 78
 * (EX_CONFIG) for a bad configuration.
 */
#include "config.h"
#include "server.h"
#include "base/err.h"
#include "io/probe.h"
#include "obs/log.h"
#include "obs/notify.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define TEXT_CAP 1024
#define RULES_FILE_BYTES_MAX ((size_t)8 * MIB)

static const char help_text[] =
    "usage: posternd [--config FILE] [options]\n"
    "\n"
    "Takes mail over SMTP and LMTP, scans it once while it arrives, decides for each\n"
    "recipient, stores it durably and answers each recipient. Without --config every\n"
    "recipient is accepted, and only loopback addresses and unix sockets may be\n"
    "listened on.\n"
    "\n"
    "  --config FILE      configuration, see postern.conf(5)\n"
    "  --listen URL       smtp://ADDR:PORT, lmtp://ADDR:PORT, smtp+unix:PATH or\n"
    "                     lmtp+unix:PATH; repeatable; replaces those configured\n"
    "  --spool DIR        where messages are kept\n"
    "  --durability WHAT  disk (2xx after stable storage; default), os (page cache),\n"
    "                     none (nothing is stored)\n"
    "  --shards N|auto    threads, one a core\n"
    "  --scan ISA         auto, scalar, sse42, avx2, avx512 or neon\n"
    "  --hostname NAME    own name in greeting, replies and Received fields\n"
    "  --rules FILE       content rules\n"
    "  --check            validate the configuration, print what is in force, exit\n"
    "  --print-features   print what the kernel offers and what is used, exit\n"
    "  --version, --help\n"
    "\n"
    "Signals: TERM and INT finish what is in progress and exit 0; HUP reads policy,\n"
    "rules and log file again; USR1 prints the counters on standard error.\n"
    "Exit status: 0 ended after a drain, 1 failed, 64 bad arguments, 78 bad\n"
    "configuration.\n";

enum option_id {
    OPTION_CONFIG = 256,
    OPTION_LISTEN,
    OPTION_SPOOL,
    OPTION_DURABILITY,
    OPTION_SHARDS,
    OPTION_SCAN,
    OPTION_HOSTNAME,
    OPTION_RULES,
    OPTION_CHECK,
    OPTION_FEATURES,
    OPTION_VERSION,
    OPTION_HELP,
};

static const struct option option_table[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"spool", required_argument, NULL, OPTION_SPOOL},
    {"durability", required_argument, NULL, OPTION_DURABILITY},
    {"shards", required_argument, NULL, OPTION_SHARDS},
    {"scan", required_argument, NULL, OPTION_SCAN},
    {"hostname", required_argument, NULL, OPTION_HOSTNAME},
    {"rules", required_argument, NULL, OPTION_RULES},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"print-features", no_argument, NULL, OPTION_FEATURES},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

struct arguments {
    const char *config_path;
    const char *listen[CONFIG_LISTENER_COUNT_MAX];
    struct config_overrides overrides;
    bool is_check;
    bool is_features;
};

struct process {
    struct arguments arguments;
    struct config *config; /* as loaded at start: listeners point into it */
    struct spool_dir *spool_dir;
    struct server *server;
    struct listener_options *listeners;
    int log_fd;
    uint32_t shard_count;
    uint32_t conn_count_max; /* per shard, after what the system allows */
};

static int fail(int status, const char *text)
{
    fprintf(stderr, "posternd: %s\n", text);
    return status;
}

/* 0 to go on, else an exit status + 1 (so that 0 can be one: --help). */
static int arguments_parse(struct arguments *a, int argc, char **argv)
{
    int id;
    while ((id = getopt_long(argc, argv, "", option_table, NULL)) != -1) {
        switch (id) {
        case OPTION_CONFIG:
            a->config_path = optarg;
            break;
        case OPTION_LISTEN:
            if (a->overrides.listen_count == ARRAY_COUNT(a->listen))
                return 1 + fail(EX_USAGE, "too many --listen");
            a->listen[a->overrides.listen_count++] = optarg;
            a->overrides.listen = a->listen;
            break;
        case OPTION_SPOOL:
            a->overrides.spool = optarg;
            break;
        case OPTION_DURABILITY:
            a->overrides.durability = optarg;
            break;
        case OPTION_SHARDS:
            a->overrides.shards = optarg;
            break;
        case OPTION_SCAN:
            a->overrides.scan = optarg;
            break;
        case OPTION_HOSTNAME:
            a->overrides.hostname = optarg;
            break;
        case OPTION_RULES:
            a->overrides.rules = optarg;
            break;
        case OPTION_CHECK:
            a->is_check = true;
            break;
        case OPTION_FEATURES:
            a->is_features = true;
            break;
        case OPTION_VERSION:
            printf("posternd %s\n", POSTERN_VERSION);
            return 1;
        case OPTION_HELP:
            fputs(help_text, stdout);
            return 1;
        default:
            fputs("posternd: see --help\n", stderr);
            return 1 + EX_USAGE;
        }
    }
    if (optind < argc)
        return 1 + fail(EX_USAGE, "arguments are options only: see --help");
    return 0;
}

static wall_us wall_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (wall_us)ts.tv_sec * 1000000 + (wall_us)ts.tv_nsec / 1000;
}

static clock_ns monotonic_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (clock_ns)ts.tv_sec * NS_PER_S + (clock_ns)ts.tv_nsec;
}

/* One line of the main thread's: the place where shards do not write is the same log. */
static void log_event(const struct process *p, const char *level, const char *event,
                      const char *key, const char *value)
{
    uint8_t memory[LOG_LINE_BYTES_MAX];
    struct log_line l;
    log_line_begin(&l, memory, sizeof(memory), wall_now(), level, event);
    if (key != NULL)
        log_line_str(&l, key, value);
    log_direct(p->log_fd, log_line_end(&l));
}

static int log_open(const struct config *c)
{
    if (c->log.path == NULL)
        return STDERR_FILENO;
    int fd = open(c->log.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    return fd < 0 ? -errno : fd;
}

/* The whole file in memory of its own; *ret_text is the caller's to free. */
static int file_read(const char *path, size_t bytes_max, char **ret_text, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    char *text = malloc(bytes_max);
    size_t len = 0;
    int result = text == NULL ? -ENOMEM : 0;
    while (result == 0) {
        ssize_t got = read(fd, text + len, bytes_max - len);
        if (got < 0 && errno != EINTR)
            result = -errno;
        else if (got > 0)
            len += (size_t)got;
        else if (got == 0)
            break;
        if (result == 0 && len == bytes_max)
            result = -EFBIG;
    }
    close(fd);
    if (result < 0) {
        free(text);
        return result;
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}

static int rules_load(const char *path, struct rules **ret_rules, char *ret_text, size_t cap)
{
    struct rules_error error = {0};
    if (path == NULL)
        return rules_compile(slice_str(rules_default_text), ret_rules, &error);
    char *text = NULL;
    size_t len = 0;
    int result = file_read(path, RULES_FILE_BYTES_MAX, &text, &len);
    if (result < 0) {
        snprintf(ret_text, cap, "%s: %s", path, err_text(result));
        return result;
    }
    result = rules_compile(slice_of(text, len), ret_rules, &error);
    if (result < 0)
        snprintf(ret_text, cap, "%s:%u: %s", path, error.line, error.reason);
    free(text);
    return result;
}

/*
 * As many descriptors as the connections need: the soft limit goes up to the hard one. The kernel
 * bounds a shard's file table by it as well, so it may lower the number of connections.
 */
static uint32_t conn_limit(uint32_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    uint64_t room = limit.rlim_max > 2 * SHARD_FILE_SLACK ? limit.rlim_max - SHARD_FILE_SLACK : 64;
    return (uint32_t)u64_min(wanted, room);
}

/* "auto" is one shard for each processor that this process may use. */
static uint32_t shard_count_of(const struct config *c)
{
    cpu_set_t allowed;
    if (c->top.shard_count > 0)
        return c->top.shard_count;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
        return 1;
    return (uint32_t)u64_min((uint64_t)CPU_COUNT(&allowed), SHARD_COUNT_MAX);
}

static int spool_start(struct process *p, char *ret_text, size_t cap)
{
    const struct config *c = p->config;
    struct spool_options options = {
        .dir = c->spool.dir,
        .durability = (enum spool_durability)c->spool.durability,
        .shard_count = p->shard_count,
        .segment_bytes = c->spool.segment_bytes,
        .reserve_bytes = c->spool.reserve_bytes,
    };
    return spool_dir_open(&options, &p->spool_dir, ret_text, cap);
}

static struct shard_options shard_options_of(const struct process *p, struct rules *rules)
{
    const struct config *c = p->config;
    return (struct shard_options){
        .listener_count = c->listener_count,
        .listeners = p->listeners,
        .clients = c->patient_clients,
        .client_count = c->client_count,
        .limits =
            {
                .conn_count_max = p->conn_count_max,
                .txn_count_max = c->limits.txn_count_max,
                .chunk_count_max = (uint32_t)(c->limits.message_bytes / CHUNK_BYTES),
                .buffer_count = c->limits.buffer_count,
                .session_ns_max = c->limits.session_ns_max,
            },
        .spool_dir = p->spool_dir,
        .durability = (enum spool_durability)c->spool.durability,
        .links_replies = c->spool.links_replies != 0,
        .policy = c->policy,
        .rules = rules,
        .hostname = slice_str(c->top.hostname),
        .log_fd = p->log_fd,
        .log_buffer_bytes = c->log.buffer_bytes,
    };
}

static void log_start(const struct process *p)
{
    const struct config *c = p->config;
    const struct spool_recovery_stats *stats = spool_dir_stats(p->spool_dir);
    uint8_t memory[LOG_LINE_BYTES_MAX];
    struct log_line l;
    log_line_begin(&l, memory, sizeof(memory), wall_now(), "info", "start");
    log_line_str(&l, "version", POSTERN_VERSION);
    log_line_u64(&l, "pid", (uint64_t)getpid());
    log_line_str(&l, "hostname", c->top.hostname);
    log_line_u64(&l, "shards", p->shard_count);
    log_line_u64(&l, "connections_per_shard", p->conn_count_max);
    log_line_str(&l, "scan", scan_isa_name());
    log_line_str(&l, "durability",
                 spool_durability_name((enum spool_durability)c->spool.durability));
    log_line_str(&l, "spool", c->spool.dir);
    log_line_u64(&l, "messages", stats->messages_live);
    log_line_u64(&l, "torn_tails", stats->torn_tails);
    log_line_u64(&l, "damaged_records", stats->damaged_records);
    for (uint32_t i = 0; i < c->listener_count; i++)
        log_line_str(&l, "listen", c->listeners[i].address);
    log_direct(p->log_fd, log_line_end(&l));
}

static int process_start(struct process *p)
{
    char text[TEXT_CAP] = "";
    struct rules *rules = NULL;
    const struct config *c = p->config;
    if (scan_init(config_scan_isa(c)) < 0)
        return fail(EX_CONFIG, "scan: this processor has no such instructions");
    if (rules_load(c->top.rules_path, &rules, text, sizeof(text)) < 0)
        return fail(EX_CONFIG, text);
    p->log_fd = log_open(c);
    if (p->log_fd < 0) {
        snprintf(text, sizeof(text), "%s: %s", c->log.path, err_text(p->log_fd));
        rules_unref(rules);
        return fail(EX_CONFIG, text);
    }
    p->shard_count = shard_count_of(c);
    p->conn_count_max = conn_limit(c->limits.conn_count_max);
    int result = spool_start(p, text, sizeof(text));
    if (result == 0) {
        struct server_options options = {
            .shard = shard_options_of(p, rules),
            .shard_count = p->shard_count,
            .pins_threads = p->shard_count > 1,
        };
        log_start(p);
        result = server_start(&options, &p->server, text, sizeof(text));
    }
    rules_unref(rules);
    if (result < 0)
        return fail(EXIT_FAILURE, text);
    fputs("postern: ready\n", stderr);
    (void)notify_ready("accepting mail");
    return 0;
}

/* --- signals ---------------------------------------------------------------------------------- */

static void reopen_log(struct process *p, const struct config *fresh)
{
    int fd = log_open(fresh);
    if (fd < 0) {
        log_event(p, "error", "log_not_reopened", "reason", err_text(fd));
        return;
    }
    int old = p->log_fd;
    server_set_log_fd(p->server, fd);
    p->log_fd = fd;
    if (old != STDERR_FILENO)
        close(old);
}

static void reload_apply(struct process *p, struct config *fresh, struct rules *rules)
{
    uint8_t memory[512];
    struct buf differences = buf_over(memory, sizeof(memory) - 1);
    if (config_reload_differences(p->config, fresh, &differences) > 0) {
        memory[differences.len] = '\0';
        log_event(p, "warning", "reload_needs_restart", "settings", (const char *)memory);
    }
    reopen_log(p, fresh);
    int result = server_replace(p->server, fresh->policy, rules);
    if (result < 0)
        log_event(p, "error", "reload_failed", "reason", err_text(result));
    else
        log_event(p, "info", "reloaded", NULL, NULL);
}

static void reload(struct process *p)
{
    char text[TEXT_CAP] = "";
    struct config *fresh = NULL;
    struct rules *rules = NULL;
    struct config_error error = {0};
    (void)notify_reloading(monotonic_now());
    int result = config_load(p->arguments.config_path, &p->arguments.overrides, &fresh, &error);
    if (result < 0) {
        log_event(p, "error", "reload_failed", "reason", error.text);
    } else if (rules_load(fresh->top.rules_path, &rules, text, sizeof(text)) < 0) {
        log_event(p, "error", "reload_failed", "reason", text);
    } else {
        reload_apply(p, fresh, rules);
        rules_unref(rules);
    }
    config_free(fresh);
    (void)notify_ready("accepting mail");
}

static void print_counters(const struct process *p)
{
    static uint8_t memory[SERVER_COUNTERS_BYTES_MAX];
    struct buf out = buf_over(memory, sizeof(memory));
    server_counters_print(p->server, &out);
    log_direct(STDERR_FILENO, buf_slice(&out));
}

static int run(struct process *p, int signal_fd)
{
    for (;;) {
        struct signalfd_siginfo info;
        if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
            if (errno == EINTR)
                continue;
            return EXIT_FAILURE;
        }
        switch (info.ssi_signo) {
        case SIGHUP:
            reload(p);
            break;
        case SIGUSR1:
            print_counters(p);
            break;
        default: { /* TERM, INT, or a shard that failed */
            bool has_failed = server_has_failed(p->server);
            log_event(p, has_failed ? "error" : "info", "stop", "reason",
                      has_failed ? "a shard failed" : strsignal((int)info.ssi_signo));
            (void)notify_stopping("finishing transactions");
            if (!server_stop(p->server, p->config->limits.drain_ns))
                _exit(EXIT_FAILURE);
            p->server = NULL;
            return has_failed ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        }
    }
}

static int signals_block(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size is an error of that write, -EFBIG */
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int listeners_copy(struct process *p)
{
    const struct config *c = p->config;
    p->listeners = calloc(c->listener_count + 1, sizeof(*p->listeners));
    if (p->listeners == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < c->listener_count; i++)
        p->listeners[i] = c->listeners[i].options;
    return 0;
}

static void process_end(struct process *p)
{
    if (p->spool_dir != NULL)
        spool_dir_close(p->spool_dir);
    if (p->log_fd > STDERR_FILENO)
        close(p->log_fd);
    free(p->listeners);
    config_free(p->config);
}

int main(int argc, char **argv)
{
    struct process p = {.log_fd = STDERR_FILENO};
    struct config_error error = {0};
    int status = arguments_parse(&p.arguments, argc, argv);
    if (status != 0)
        return status - 1;
    if (p.arguments.is_features) {
        probe_print(stdout);
        return 0;
    }
    if (config_load(p.arguments.config_path, &p.arguments.overrides, &p.config, &error) < 0) {
        bool is_argument = strncmp(error.text, "--", 2) == 0;
        return fail(is_argument ? EX_USAGE : EX_CONFIG, error.text);
    }
    if (p.arguments.is_check) {
        char text[TEXT_CAP] = "out of memory";
        struct rules *rules = NULL;
        if (rules_load(p.config->top.rules_path, &rules, text, sizeof(text)) < 0) {
            config_free(p.config);
            return fail(EX_CONFIG, text);
        }
        rules_unref(rules);
        config_print(p.config, stdout);
        config_free(p.config);
        return 0;
    }
    int signal_fd = signals_block(); /* before any thread, so that all inherit the mask */
    status = signal_fd < 0 || listeners_copy(&p) < 0 ? fail(EXIT_FAILURE, "out of resources")
                                                     : process_start(&p);
    if (status == 0)
        status = run(&p, signal_fd);
    process_end(&p);
    return status;
}
