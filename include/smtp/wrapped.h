/* SPDX-License-Identifier: Apache-2.0 */
/* wrapped.h - replies inside the lines of one reply (EXD-7, EXD-8; HOL-6): built and parsed. */
#ifndef SMTP_WRAPPED_H
#define SMTP_WRAPPED_H

#include "smtp/reply.h"

#define EXDATA_CODE 558
#define XRCPT250_CODE 250
#define XRCPT250_OPENING SLICE_LIT("250-2.0.0 +RCPT ") /* and the number of recipients (HOL-5) */
#define XRCPT250_CLOSING SLICE_LIT("250 2.0.0 +END")
#define XRCPT250_WORKING SLICE_LIT("250-000") /* no news, we are alive (HOL-10) */

/*
 * wrapped_put() - append one reply of one line, wrapped: outer code, mark, then as reply_put()
 * @is_last: it ends the outer reply too
 *
 * Return:  false when @out has no room; then nothing was appended
 * Source:  EXD-8, EXD-11 (the line with its outer code keeps the limit of 512 octets)
 */
MUST_CHECK bool wrapped_put(struct buf *out, uint16_t outer_code, bool is_last,
                            const struct answer *a, uint32_t flags);

struct wrapped_line {
    struct reply_line inner; /* is_last: the last line of this recipient's reply */
    bool is_last;            /* the last line of the whole */
};

/*
 * wrapped_parse_line() - parse one line, without its CRLF
 * Return:  false when it is not a line of a reply @outer_code that holds a line of another one, or
 *          ends the whole and not the inner reply
 */
MUST_CHECK bool wrapped_parse_line(struct slice line, uint16_t outer_code,
                                   struct wrapped_line *ret_line);

#endif
