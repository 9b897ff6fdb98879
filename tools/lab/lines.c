/* SPDX-License-Identifier: Apache-2.0 */
/* lines.c - owns a buffer of a file, which is moved on when the line in it is not whole. */
#include "lab/lines.h"
#include "base/err.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define MEMORY_BYTES (4 * LINES_BYTES_MAX)

int lines_open(struct lines *l, const char *path)
{
    *l = (struct lines){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (l->fd < 0)
        return -errno;
    l->memory = malloc(MEMORY_BYTES);
    if (l->memory == NULL) {
        lines_close(l);
        return -ENOMEM;
    }
    return 0;
}

void lines_close(struct lines *l)
{
    if (l->fd >= 0)
        close(l->fd);
    free(l->memory);
    *l = (struct lines){.fd = -1};
}

/* More bytes behind those that are there. */
static int fill(struct lines *l)
{
    memmove(l->memory, l->memory + l->start, l->end - l->start);
    l->end -= l->start;
    l->start = 0;
    ssize_t got;
    do
        got = read(l->fd, l->memory + l->end, MEMORY_BYTES - l->end);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    l->is_at_end = got == 0;
    l->end += (size_t)got;
    return 0;
}

int lines_next(struct lines *l, struct slice *ret_line)
{
    bool is_long = false;
    l->number++;
    for (;;) {
        struct slice rest = slice_of(l->memory + l->start, l->end - l->start);
        size_t len = slice_find(rest, '\n');
        if (len < rest.len) {
            l->start += len + 1;
            *ret_line = slice_first(rest, len);
            return is_long || len > LINES_BYTES_MAX ? LINES_LONG : LINES_GOOD;
        }
        if (l->is_at_end) {
            l->start = l->end;
            *ret_line = rest;
            return is_long ? LINES_LONG : (rest.len > 0 ? LINES_CUT : LINES_END);
        }
        if (rest.len > LINES_BYTES_MAX) {
            is_long = true;
            l->start = l->end;
        }
        int result = fill(l);
        if (result < 0)
            return result;
    }
}
