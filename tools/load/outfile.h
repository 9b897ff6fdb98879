/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outfile.h - a file that is there whole or not at all: written beside its place, renamed at the
 * end. What is no ordinary file (a pipe, /dev/stdout) is written straight.
 */
#ifndef LOAD_OUTFILE_H
#define LOAD_OUTFILE_H

#include "base/base.h"
#include <limits.h>
#include <stdio.h>

struct outfile {
    FILE *file;
    char path[PATH_MAX];
    char temp[PATH_MAX + 32]; /* "": written straight */
};

/* outfile_open() - 0 or a negative errno; then outfile_end() is due. */
MUST_CHECK int outfile_open(struct outfile *o, const char *path);
/* outfile_end() - put in place, if everything could be written; else gone. 0 or a negative errno.
 */
MUST_CHECK int outfile_end(struct outfile *o);

#endif
