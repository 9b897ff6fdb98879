/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - the name of a generated message: (run, sequence), the same on each try.
 *
 * Generated messages carry it in their Message-ID, "<pl.RUN.SEQ@HOST>"; messages of a corpus in a
 * first header field of their own, "X-Postern-Load: RUN.SEQ". RUN is 16 lower-case hexadecimal
 * digits, SEQ is decimal without leading zeros.
 */
#ifndef TRACE_IDENTITY_H
#define TRACE_IDENTITY_H

#include "base/buf.h"
#include "base/slice.h"

struct identity {
    uint64_t run; /* never 0 */
    uint64_t seq; /* from 0 */
};

#define IDENTITY_RUN_DIGITS 16
#define IDENTITY_SEQ_MAX (UINT64_MAX - 1)
#define IDENTITY_FIELD "X-Postern-Load"

/* identity_put() - "RUN.SEQ". */
void identity_put(struct buf *out, struct identity id);

/* identity_parse() - exactly "RUN.SEQ". */
MUST_CHECK bool identity_parse(struct slice text, struct identity *ret_id);

/* identity_from_message_id() - "<pl.RUN.SEQ@anything>", with or without the angle brackets. */
MUST_CHECK bool identity_from_message_id(struct slice message_id, struct identity *ret_id);

/*
 * identity_find() - in the header of a message (up to the first empty line of @content; any line
 * ends): the field of its own when there is one, else the Message-ID. Names in any case.
 */
MUST_CHECK bool identity_find(struct slice content, struct identity *ret_id);

#endif
