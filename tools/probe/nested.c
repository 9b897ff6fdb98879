/* SPDX-License-Identifier: Apache-2.0 */
/* nested.c - outer code, mark, inner code, mark, text; line by line. */
#include "probe/nested.h"
#include <stdio.h>

static bool is_inner(struct slice line)
{
    const uint8_t *p = line.ptr + 4;
    return line.len >= 8 && (p[0] == '2' || p[0] == '4' || p[0] == '5') && p[1] >= '0' &&
           p[1] <= '9' && p[2] >= '0' && p[2] <= '9' && (p[3] == ' ' || p[3] == '-');
}

bool nested_parse(struct nested *n, struct slice lines, const char *outer, bool is_end,
                  char *ret_text, size_t text_cap)
{
    bool is_open = false; /* the sub-reply goes on */
    n->count = 0;
    while (lines.len > 0) {
        size_t at = slice_find(lines, '\n');
        struct slice line = slice_first(lines, at);
        lines = slice_from(lines, at + 1);
        int shown = (int)size_min(line.len, 80);
        if (line.len < 4 || memcmp(line.ptr, outer, 3) != 0 || !is_inner(line)) {
            snprintf(ret_text, text_cap, "no reply inside of \"%.*s\"", shown,
                     (const char *)line.ptr);
            return false;
        }
        const uint8_t *p = line.ptr + 4;
        int code = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
        bool is_last = p[3] == ' ';
        if (is_open && code != n->codes[n->count]) {
            snprintf(ret_text, text_cap, "the inner code changes within a reply in \"%.*s\"", shown,
                     (const char *)line.ptr);
            return false;
        }
        if (n->count == NESTED_MAX) {
            snprintf(ret_text, text_cap, "more than %d inner replies", NESTED_MAX);
            return false;
        }
        n->codes[n->count] = code;
        n->count += is_last;
        is_open = !is_last;
    }
    if (is_open && is_end)
        snprintf(ret_text, text_cap, "the last inner reply does not end");
    return !(is_open && is_end);
}
