/* SPDX-License-Identifier: Apache-2.0 */
/* reply.h - replies: built line by line, and parsed. */
#ifndef SMTP_REPLY_H
#define SMTP_REPLY_H

#include "base/buf.h"
#include "base/limits.h"
#include "smtp/status.h"

#define REPLY_LINES_MAX 512            /* lines of one reply that a client will read; ours */
#define REPLY_READ_LINE_BYTES_MAX 2048 /* a line that a client will read: generous, ours */

enum reply_flag {
    REPLY_ENHANCED = 1u << 0, /* put the enhanced code in front of the text (RFC 2034) */
    REPLY_UTF8 = 1u << 1,     /* text may be UTF-8 (RFC 6531 3.5); else it becomes '?' */
};

/*
 * reply_put() - append one reply of one line
 * @a:      code, enhanced code and text; the text is cut so that the line keeps its limit, and
 *          control characters in it become spaces
 * @flags:  enum reply_flag
 *
 * Return:  false when @out has no room; then nothing was appended
 * Source:  RFC 5321 4.2, 4.5.3.1.5; RFC 2034 4; CORE-6, CORE-25
 */
MUST_CHECK bool reply_put(struct buf *out, const struct answer *a, uint32_t flags);

/* reply_put_behind() - the same behind @prefix, which counts for the limit (wrapped.h). */
MUST_CHECK bool reply_put_behind(struct buf *out, struct slice prefix, const struct answer *a,
                                 uint32_t flags);

/* One line of a reply as a client sees it. */
struct reply_line {
    uint16_t code;        /* 200..599 */
    bool is_last;         /* "ccc text", or "ccc" alone */
    uint16_t enhanced[3]; /* class 0: none, or one whose class is not that of the code */
    struct slice text;    /* behind code and enhanced code; into the line */
};

/*
 * reply_parse_line() - parse one line, without its CRLF
 * Return:  false when it is not a reply line
 * Source:  RFC 5321 4.2.1
 */
MUST_CHECK bool reply_parse_line(struct slice line, struct reply_line *ret_line);

/* A whole reply, gathered over its lines. All zero: nothing read yet. */
struct reply_state {
    uint16_t code;
    uint16_t line_count;
    uint16_t enhanced[3]; /* of the first line */
};

enum reply_result {
    REPLY_MORE, /* a continuation line */
    REPLY_DONE, /* that was the last line; @st is to be cleared by the caller */
    REPLY_BAD,  /* codes differ, or too many lines */
};

/* reply_add_line() - count @line into the reply that is being read. */
MUST_CHECK enum reply_result reply_add_line(struct reply_state *st, const struct reply_line *line);

#endif
