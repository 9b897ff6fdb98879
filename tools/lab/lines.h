/* SPDX-License-Identifier: Apache-2.0 */
/* lines.h - a text file line by line, in bounded memory. */
#ifndef LAB_LINES_H
#define LAB_LINES_H

#include "base/slice.h"

#define LINES_BYTES_MAX ((size_t)64 * KIB) /* of one line */

struct lines {
    int fd;
    uint64_t number; /* of the line given last, from 1 */
    size_t start, end;
    bool is_at_end;
    uint8_t *memory;
};

enum lines_result {
    LINES_GOOD,
    LINES_END,
    LINES_LONG, /* longer than LINES_BYTES_MAX: passed over */
    LINES_CUT,  /* the last one has no line end: whoever wrote it was stopped in it */
};

/* lines_open() - 0 or negative errno. */
MUST_CHECK int lines_open(struct lines *l, const char *path);
void lines_close(struct lines *l);
/* lines_next() - an enum lines_result, or negative errno; *ret_line lives until the next call. */
MUST_CHECK int lines_next(struct lines *l, struct slice *ret_line);

#endif
