/* SPDX-License-Identifier: Apache-2.0 */
/* lab.h - the verbs of postern-lab. */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include <stdio.h>

enum lab_exit {
    LAB_OK = 0,
    LAB_WRONG = 1, /* something was lost, or is there although it was refused */
    LAB_USAGE = 2,
    LAB_UNREADABLE = 3, /* an input cannot be read, or (when nothing was lost) lines are damaged */
};

/* lab_run() - @argv[1] is the verb; an enum lab_exit. */
int lab_run(int argc, char **argv, FILE *out, FILE *err);

/* lab_ledger() - @argv[0] is "ledger". */
int lab_ledger(int argc, char **argv, FILE *out, FILE *err);

#endif
