/* SPDX-License-Identifier: Apache-2.0 */
/* ctl.h - what the verbs of posternctl share: streams, exit status, options. */
#ifndef CTL_H
#define CTL_H

#include "base/base.h"
#include <stdio.h>

enum ctl_exit {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* something failed, was not found or is damaged; said on standard error */
    EXIT_USAGE = 2,
};

struct ctl {
    FILE *out;
    FILE *err;
};

/* ctl_failed() - "posternctl: what: reason", both printed safely; EXIT_FAILED. */
int ctl_failed(const struct ctl *ctl, const char *what, const char *reason);

/* ctl_finish() - @status, or EXIT_FAILED when the output could not be written. */
int ctl_finish(const struct ctl *ctl, int status);

/* One "--name" or "--name VALUE" (also "--name=VALUE"); exactly one of the pointers is set. */
struct ctl_option {
    const char *name; /* with its dashes */
    bool *flag;
    const char **value;
};

/*
 * ctl_options_parse() - options in any order among words; "--" ends them
 * @verb:  for messages
 * @argv:  options and words only; the words are moved to its front
 * Return: number of words, or -1 (said on standard error)
 */
MUST_CHECK int ctl_options_parse(const struct ctl *ctl, const char *verb,
                                 const struct ctl_option *options, size_t option_count, int argc,
                                 char **argv);

#endif
