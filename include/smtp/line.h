/* SPDX-License-Identifier: Apache-2.0 */
/* line.h - lines ended by CR LF, for commands and for replies. */
#ifndef SMTP_LINE_H
#define SMTP_LINE_H

#include "base/slice.h"

enum line_result {
    LINE_MORE, /* no complete line yet: keep what was not consumed */
    LINE_OK,
    LINE_TOO_LONG,   /* a whole line was consumed, and it was over the limit */
    LINE_BAD_ENDING, /* a bare CR or a bare LF: framing is lost, nothing was consumed */
};

/*
 * line_next() - take one line from the front of @in
 * @is_skipping: state between calls, false at the start: the front of a long line is gone already
 * @in:          borrowed for the call
 * @bytes_max:   limit of a line with its CRLF
 * @ret_line:    out on LINE_OK: the line without CRLF, into @in
 * @ret_used:    out: bytes consumed; with LINE_MORE more than 0 only in a line over the limit
 *
 * Shape:   any bytes, any split: the result for a line does not depend on the split
 * Cost:    one or two memchr() over the line; no allocation, no system call
 * Source:  RFC 5321 2.3.8 (a CR or LF alone is never a line end), 4.5.3.1.4; CORE-45
 */
MUST_CHECK enum line_result line_next(bool *is_skipping, struct slice in, size_t bytes_max,
                                      struct slice *ret_line, size_t *ret_used);

#endif
