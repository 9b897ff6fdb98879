/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.h - programs that a run needs, and a folder for what they write. Everything that was
 * started is ended and reaped, whatever happens: on the way out, by Ctrl-C, and by the kernel when
 * this program is killed.
 */
#ifndef LAB_PROCESS_H
#define LAB_PROCESS_H

#include "base/clock.h"
#include "lab/args.h"
#include <stdio.h>
#include <sys/types.h>

#define PROCESS_PATH_BYTES_MAX 300

struct process { /* all zero: none */
    pid_t pid;
    bool is_over;
    int status;                       /* then: as of waitpid() */
    char name[32];                    /* for what is said of it */
    char log[PROCESS_PATH_BYTES_MAX]; /* its output, both kinds */
};

/* process_now() - a monotonic clock. */
clock_ns process_now(void);

/* process_catch_signals() - SIGINT, SIGTERM and SIGHUP are kept in mind from now on; may be called
 * by several threads, again and again. */
void process_catch_signals(void);
/* process_is_stopped() - one of them has come. */
bool process_is_stopped(void);

/*
 * process_find() - the path of the program @name: in @dir if that is not NULL; else beside this
 * program, or where the build has it
 * Return: false: there is none that can be run
 */
MUST_CHECK bool process_find(const char *dir, const char *name,
                             char ret_path[PROCESS_PATH_BYTES_MAX]);

/* process_start() - 0 or negative errno; @log is made. */
MUST_CHECK int process_start(struct process *p, const char *name, const struct args *args,
                             const char *log);
/*
 * process_wait_until() - until it has ended
 * @lag_ns: grows to the largest delay with which this thread itself was woken up meanwhile
 * Return: 0; -ETIMEDOUT at @deadline; -EINTR when a signal wants everything to end
 */
MUST_CHECK int process_wait_until(struct process *p, clock_ns deadline, clock_ns *lag_ns);
/* process_wait_line() - until @text stands in its output; or as above, -ECHILD: it has ended. */
MUST_CHECK int process_wait_line(struct process *p, const char *text, clock_ns deadline);
/* process_signal() - if it has not ended. */
void process_signal(const struct process *p, int signal);
/* process_end() - asks it to end, kills it after some seconds, reaps it; may be called twice. */
void process_end(struct process *p);
/* process_explain() - what its end means, and its output, on @err. */
void process_explain(const struct process *p, FILE *err);
/* process_is_good() - it has ended by itself with one of the statuses 0 .. @status_max. */
bool process_is_good(const struct process *p, int status_max);

/* folder_make() - a new one; 0 or negative errno. */
MUST_CHECK int folder_make(char ret_path[PROCESS_PATH_BYTES_MAX]);
/* folder_remove() - with all that is in it. */
void folder_remove(const char *path);

#endif
