/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_text.h - bytes from strangers on a terminal, in JSON, and times.
 *
 * What a client sent may hold escape sequences. Printed text keeps printable ASCII and well-formed
 * UTF-8; control characters (C0, C1, DEL), characters that reorder or hide text, and bytes that are
 * no UTF-8 become \xHH, byte by byte.
 */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H

#include "base/clock.h"
#include "base/slice.h"
#include <stdio.h>

enum ctl_text_style {
    CTL_TEXT_LINE,    /* a backslash becomes "\\", so that what was escaped can be told */
    CTL_TEXT_WORD,    /* also space and comma are escaped: one word of a list */
    CTL_TEXT_CONTENT, /* lines of a message: tab and backslash pass */
};

/* ctl_put_text() - @text, safely. */
void ctl_put_text(FILE *out, struct slice text, enum ctl_text_style style);

/* ctl_put_field() - a header field: without its folds and its line end, otherwise as LINE. */
void ctl_put_field(FILE *out, struct slice field);

/* ctl_put_json() - a string in double quotes; a byte HH that is no UTF-8 becomes \u00HH. */
void ctl_put_json(FILE *out, struct slice text);

/* The text of a message that comes in pieces: CRLF becomes a line end, the rest as CONTENT. */
struct ctl_content {
    FILE *out;
    uint8_t carry[4]; /* the beginning of a character that is not complete */
    size_t carry_len;
    bool is_line_open;
};
void ctl_content_put(struct ctl_content *c, struct slice piece);
/* ctl_content_end() - what is left, and a line end if there was none. */
void ctl_content_end(struct ctl_content *c);

/* ctl_put_time() - RFC 3339 in UTC: to the second, or with microseconds. */
void ctl_put_time(FILE *out, wall_us at, bool has_fraction);

/* ctl_time_parse() - "2026-01-02", with "T03:04" or "T03:04:05", and "Z" or nothing; all UTC. */
MUST_CHECK bool ctl_time_parse(const char *text, wall_us *ret_at);

/* ctl_wildcard_match() - ASCII case does not matter; "*" in @pattern stands for any bytes. */
bool ctl_wildcard_match(struct slice pattern, struct slice text);

#endif
