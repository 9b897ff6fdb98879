/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transcript.h - what was said, one line each: "C: ..." and "S: ...", "-- ..." for what happened.
 * Long texts are cut, and there is a limit for the whole; octets that do not print are \xNN. Pure.
 */
#ifndef PROBE_TRANSCRIPT_H
#define PROBE_TRANSCRIPT_H

#include "base/slice.h"

#define TRANSCRIPT_SAME_MAX 4                /* equal lines that are shown */
#define TRANSCRIPT_LINE_MAX 160              /* octets of one line that are shown */
#define TRANSCRIPT_BYTES_MAX ((size_t)32768) /* of the whole */

struct transcript {
    char *text; /* NULL: empty */
    size_t len, cap;
    uint32_t left_out; /* lines */
    size_t last;       /* where the last line begins */
    uint32_t same;     /* lines like it, one after the other; those above TRANSCRIPT_SAME_MAX are */
};                     /* counted and not shown */

/* transcript_put() - @bytes line by line (LF ends one), each behind @side and a blank. */
void transcript_put(struct transcript *t, const char *side, struct slice bytes);
void transcript_note(struct transcript *t, const char *text);
/* transcript_finish() - nothing more comes. */
void transcript_finish(struct transcript *t);
/* transcript_text() - all of it, lines ended by LF; never NULL. */
const char *transcript_text(const struct transcript *t);
/* transcript_copy() - false: no memory. */
MUST_CHECK bool transcript_copy(const struct transcript *t, struct transcript *ret_copy);
void transcript_deinit(struct transcript *t);

#endif
