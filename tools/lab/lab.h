/* SPDX-License-Identifier: Apache-2.0 */
/* lab.h - the verbs of postern-lab. */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include <stdio.h>

#define LAB_WHY_BYTES_MAX 512
#define LAB_HELP_WIDTH 19 /* of options in --help */

enum lab_exit {
    LAB_OK = 0,
    LAB_WRONG = 1, /* ledger: something was lost, or is there although it was refused; run, show:
                      something contradicts the theory */
    LAB_USAGE = 2,
    LAB_UNREADABLE = 3, /* an input cannot be read, or (when nothing was lost) lines are damaged; a
                           run or an output failed */
};

/* lab_run() - @argv[1] is the verb; an enum lab_exit. */
int lab_run(int argc, char **argv, FILE *out, FILE *err);

/* lab_wrong_usage() - says why @verb has not been understood; LAB_USAGE. */
int lab_wrong_usage(FILE *err, const char *verb, const char *why);

/* lab_ledger() - @argv[0] is "ledger". */
int lab_ledger(int argc, char **argv, FILE *out, FILE *err);

/* lab_run_experiments() - @argv[0] is "run". */
int lab_run_experiments(int argc, char **argv, FILE *out, FILE *err);

/* lab_show() - @argv[0] is "show". */
int lab_show(int argc, char **argv, FILE *out, FILE *err);

#endif
