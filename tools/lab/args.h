/* SPDX-License-Identifier: Apache-2.0 */
/* args.h - the words of a command line, made one by one. */
#ifndef LAB_ARGS_H
#define LAB_ARGS_H

#include "base/base.h"

#define ARGS_MAX 96
#define ARGS_BYTES_MAX 8192

struct args { /* all zero: empty; it may not move */
    uint32_t count;
    const char *words[ARGS_MAX + 1]; /* NULL behind the last one */
    char text[ARGS_BYTES_MAX];
    size_t len;
    bool is_full; /* something did not fit */
};

/* args_put() - one more word. */
void args_put(struct args *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
