/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wrapped.c - a line of one reply inside a line of another: "558-550 5.7.1 text".
 *
 *     outer code ("-" / SP) inner code ("-" / SP) [enhanced code SP] [text]
 *
 * The outer mark is SP on the very last line only, whose inner mark is SP too (EXD-8).
 */
#include "smtp/wrapped.h"

#define PREFIX_BYTES 4 /* "558-" */

bool wrapped_put(struct buf *out, uint16_t outer_code, bool is_last, const struct answer *a,
                 uint32_t flags)
{
    uint8_t prefix[PREFIX_BYTES] = {
        (uint8_t)('0' + outer_code / 100),
        (uint8_t)('0' + outer_code / 10 % 10),
        (uint8_t)('0' + outer_code % 10),
        is_last ? ' ' : '-',
    };
    ASSERT(outer_code >= 200 && outer_code <= 599);
    return reply_put_behind(out, slice_of(prefix, sizeof(prefix)), a, flags);
}

bool wrapped_parse_line(struct slice line, uint16_t outer_code, struct wrapped_line *ret_line)
{
    struct wrapped_line parsed;
    struct reply_line outer;
    struct slice rest = slice_from(line, PREFIX_BYTES);
    if (!reply_parse_line(slice_first(line, PREFIX_BYTES), &outer) || outer.code != outer_code)
        return false;
    /* "ccc" alone is an ordinary reply (RFC 5321 4.2), here it would hide a cut line (EXD-8). */
    if (line.len < PREFIX_BYTES || rest.len < PREFIX_BYTES ||
        !reply_parse_line(rest, &parsed.inner))
        return false;
    if (outer.is_last && !parsed.inner.is_last)
        return false;
    parsed.is_last = outer.is_last;
    *ret_line = parsed;
    return true;
}
