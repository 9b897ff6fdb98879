/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line.c - CRLF framing of command lines and replies, with a limit.
 *
 * A line ends at CR LF and nowhere else. A CR or LF on its own is an outcome of its own, found as
 * soon as it is there, and never repaired: two parsers that disagree about a line end are how
 * messages are smuggled (CORE-40, CORE-45). The bytes of an incomplete line stay with the caller;
 * of a line over the limit only a last CR stays, so that its LF is recognised.
 */
#include "smtp/line.h"
#include "base/assert.h"

/* No LF in @in: bad when a CR is followed by something else, else wait for more. */
static enum line_result line_incomplete(bool *is_skipping, struct slice in, size_t bytes_max,
                                        size_t *ret_used)
{
    size_t cr = slice_find(in, '\r');
    if (cr + 1 < in.len)
        return LINE_BAD_ENDING;
    *ret_used = 0;
    if (*is_skipping || in.len >= bytes_max) {
        *is_skipping = true;
        *ret_used = cr; /* all, or all but a last CR */
    }
    return LINE_MORE;
}

enum line_result line_next(bool *is_skipping, struct slice in, size_t bytes_max,
                           struct slice *ret_line, size_t *ret_used)
{
    ASSERT(bytes_max >= 2);
    *ret_used = 0;
    size_t lf = slice_find(in, '\n');
    if (lf == in.len)
        return line_incomplete(is_skipping, in, bytes_max, ret_used);
    if (lf == 0 || slice_find(slice_first(in, lf), '\r') != lf - 1)
        return LINE_BAD_ENDING;
    *ret_used = lf + 1;
    if (*is_skipping || lf + 1 > bytes_max) {
        *is_skipping = false;
        return LINE_TOO_LONG;
    }
    *ret_line = slice_first(in, lf - 1);
    return LINE_OK;
}
