/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.c - owns starting and ending programs.
 *
 * A child is a process group of its own, so that Ctrl-C on a terminal reaches this program first,
 * which then ends its children in order. The kernel kills a child when the thread that started it
 * ends, and that thread waits for it; so no child outlives this program.
 *
 * Waiting is looking, every few milliseconds: that wakes up this thread at times that are known,
 * and how late it is woken up tells how exact times are on this machine just now.
 */
#include "lab/process.h"
#include "base/assert.h"
#include "base/err.h"
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS (5 * NS_PER_MS)
#define END_NS (5 * NS_PER_S) /* then it is killed */
#define LOG_SHOWN_BYTES_MAX 4000

static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
    (void)number;
    is_stopped = 1;
}

clock_ns process_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (clock_ns)t.tv_sec * NS_PER_S + (clock_ns)t.tv_nsec;
}

void process_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool process_is_stopped(void)
{
    return is_stopped != 0;
}

/* --- where programs are ----------------------------------------------------------------------- */

static bool is_program(char *to, const char *dir, size_t dir_len, const char *between,
                       const char *name)
{
    int len = snprintf(to, PROCESS_PATH_BYTES_MAX, "%.*s/%s%s", (int)dir_len, dir, between, name);
    return len > 0 && len < PROCESS_PATH_BYTES_MAX && access(to, X_OK) == 0;
}

bool process_find(const char *dir, const char *name, char ret_path[PROCESS_PATH_BYTES_MAX])
{
    static const char *const places[] = {"", "../load/", "../sink/", "../../server/"};
    char own[PROCESS_PATH_BYTES_MAX];
    if (dir != NULL)
        return is_program(ret_path, dir, strlen(dir), "", name);
    ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);
    if (len <= 0)
        return false;
    own[len] = '\0';
    size_t dir_len = (size_t)(strrchr(own, '/') - own);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++)
        if (is_program(ret_path, own, dir_len, places[i], name))
            return true;
    return false;
}

/* --- start ------------------------------------------------------------------------------------ */

/* In the child: nothing but what may be called after a fork among threads. */
static void become(const struct args *args, int log, pid_t parent)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sigaction(SIGINT, &plain, NULL);
    sigaction(SIGTERM, &plain, NULL);
    sigaction(SIGHUP, &plain, NULL);
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(127);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in < 0 || dup2(in, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(127);
    execv(args->words[0], (char *const *)(uintptr_t)args->words);
    _exit(127);
}

int process_start(struct process *p, const char *name, const struct args *args, const char *log)
{
    if (args->is_full || args->count == 0)
        return -E2BIG;
    *p = (struct process){.pid = 0};
    snprintf(p->name, sizeof(p->name), "%s", name);
    snprintf(p->log, sizeof(p->log), "%s", log);
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
    if (fd < 0)
        return -errno;
    pid_t parent = getpid();
    pid_t pid = fork();
    int error = errno;
    if (pid == 0)
        become(args, fd, parent);
    close(fd);
    if (pid < 0)
        return -error;
    p->pid = pid;
    return 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static bool has_ended(struct process *p)
{
    if (p->is_over || p->pid == 0)
        return true;
    pid_t pid = waitpid(p->pid, &p->status, WNOHANG);
    p->is_over = pid == p->pid || (pid < 0 && errno == ECHILD);
    return p->is_over;
}

/* One pause; how much longer it was than asked for. */
static clock_ns look_later(void)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    clock_ns before = process_now();
    nanosleep(&pause, NULL);
    clock_ns took = process_now() - before;
    return took > LOOK_NS ? took - LOOK_NS : 0;
}

int process_wait_until(struct process *p, clock_ns deadline, clock_ns *lag_ns)
{
    while (!has_ended(p)) {
        if (process_is_stopped())
            return -EINTR;
        if (process_now() >= deadline)
            return -ETIMEDOUT;
        *lag_ns = u64_max(*lag_ns, look_later());
    }
    return 0;
}

static bool log_has(const struct process *p, const char *text)
{
    char bytes[LOG_SHOWN_BYTES_MAX];
    FILE *f = fopen(p->log, "re");
    if (f == NULL)
        return false;
    size_t len = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    return memmem(bytes, len, text, strlen(text)) != NULL;
}

int process_wait_line(struct process *p, const char *text, clock_ns deadline)
{
    while (!log_has(p, text)) {
        if (process_is_stopped())
            return -EINTR;
        if (has_ended(p))
            return -ECHILD;
        if (process_now() >= deadline)
            return -ETIMEDOUT;
        look_later();
    }
    return 0;
}

void process_signal(const struct process *p, int signal)
{
    if (p->pid > 0 && !p->is_over)
        kill(p->pid, signal);
}

void process_end(struct process *p)
{
    if (p->pid == 0)
        return;
    process_signal(p, SIGTERM);
    clock_ns deadline = process_now() + END_NS;
    while (!has_ended(p) && process_now() < deadline)
        look_later();
    if (!p->is_over) {
        kill(-p->pid, SIGKILL);
        waitpid(p->pid, &p->status, 0);
        p->is_over = true;
    }
    p->pid = 0;
}

/* --- what became of it ------------------------------------------------------------------------ */

bool process_is_good(const struct process *p, int status_max)
{
    return p->is_over && WIFEXITED(p->status) && WEXITSTATUS(p->status) <= status_max;
}

void process_explain(const struct process *p, FILE *err)
{
    char bytes[LOG_SHOWN_BYTES_MAX];
    if (!p->is_over)
        fprintf(err, "postern-lab: %s has not ended; it said:\n", p->name);
    else if (WIFEXITED(p->status))
        fprintf(err, "postern-lab: %s ended with status %d; it said:\n", p->name,
                WEXITSTATUS(p->status));
    else
        fprintf(err, "postern-lab: %s was ended by signal %d; it had said:\n", p->name,
                WTERMSIG(p->status));
    FILE *f = fopen(p->log, "re");
    if (f == NULL)
        return;
    size_t len = fread(bytes, 1, sizeof(bytes), f);
    fwrite(bytes, 1, len, err);
    if (len == sizeof(bytes))
        fputs(" ...\n", err);
    fclose(f);
}

/* --- folders ---------------------------------------------------------------------------------- */

int folder_make(char ret_path[PROCESS_PATH_BYTES_MAX])
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || base[0] == '\0')
        base = "/tmp";
    int len = snprintf(ret_path, PROCESS_PATH_BYTES_MAX, "%s/postern-lab-XXXXXX", base);
    if (len < 0 || len >= PROCESS_PATH_BYTES_MAX)
        return -ENAMETOOLONG;
    return mkdtemp(ret_path) == NULL ? -errno : 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

void folder_remove(const char *path)
{
    ASSERT(strstr(path, "/postern-lab-") != NULL);
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
