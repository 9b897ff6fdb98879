/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_format.h - a stored message as a file: what each format makes of its bytes.
 *
 * Every one begins with "Return-Path:" and the Received field, and goes on with the content:
 *   eml      byte for byte as it was received, lines end in CRLF
 *   maildir  the same with CRLF made LF, as programs on Unix expect it
 *   mbox     mboxrd: a "From " line in front, CRLF made LF, ">" before each line of the form
 *            /^>*From /, a line end if the last line has none, an empty line behind
 * A CR or LF that stands alone stays as it is in each of them.
 */
#ifndef CTL_FORMAT_H
#define CTL_FORMAT_H

#include "spool/store.h"
#include <stdio.h>

enum ctl_format_kind { CTL_FORMAT_EML, CTL_FORMAT_MBOX, CTL_FORMAT_MAILDIR };

struct ctl_format {
    FILE *out;
    enum ctl_format_kind kind;
    bool has_cr;         /* a CR that may be the first half of a line end */
    bool is_line_start;  /* only ">" since */
    uint32_t from_count; /* bytes of "From " since, not yet written */
    uint8_t last;
};

/* ctl_format_begin() - the "From " line, Return-Path and Received. */
void ctl_format_begin(struct ctl_format *f, FILE *out, enum ctl_format_kind kind,
                      const struct spool_envelope *envelope);
/* ctl_format_put() - content, at any split. */
void ctl_format_put(struct ctl_format *f, struct slice bytes);
void ctl_format_end(struct ctl_format *f);

#endif
