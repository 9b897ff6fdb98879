/* SPDX-License-Identifier: Apache-2.0 */
/* args.c - owns putting words of a command line behind each other. */
#include "lab/args.h"
#include <stdarg.h>
#include <stdio.h>

void args_put(struct args *a, const char *fmt, ...)
{
    va_list list;
    size_t room = sizeof(a->text) - a->len;
    va_start(list, fmt);
    int len = vsnprintf(a->text + a->len, room, fmt, list);
    va_end(list);
    if (len < 0 || (size_t)len >= room || a->count == ARGS_MAX) {
        a->is_full = true;
        return;
    }
    a->words[a->count++] = a->text + a->len;
    a->words[a->count] = NULL;
    a->len += (size_t)len + 1;
}
