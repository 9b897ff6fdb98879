/* SPDX-License-Identifier: Apache-2.0 */
/* found.h - what a server says about itself: the keywords of its EHLO or LHLO reply. Pure. */
#ifndef PROBE_FOUND_H
#define PROBE_FOUND_H

#include "base/slice.h"

#define FOUND_KEYWORDS_MAX 64
#define FOUND_TEXT_MAX 4096

struct found_keyword {
    const char *name;   /* as the server writes it */
    const char *params; /* "" when there are none */
};

struct found {
    char greeting[512];
    char text[FOUND_TEXT_MAX]; /* the reply, cut into strings */
    char *domain;              /* the first line */
    struct found_keyword at[FOUND_KEYWORDS_MAX];
    uint32_t count;
    bool is_cut; /* more keywords than there is room for */
};

/* found_parse() - @reply: lines "250-text", separated by LF, the last one "250 text". */
void found_parse(struct found *f, struct slice reply);

/* found_get() - the keyword, whatever the case of its letters; NULL: it is not offered. */
const struct found_keyword *found_get(const struct found *f, const char *name);
/* found_has_all() - every word of "PRDR CHUNKING", or of "EXDATA|XEXDATA" one of the two;
 * @ret_missing: the first one that is not. */
bool found_has_all(const struct found *f, const char *names, char *ret_missing, size_t cap);
/* found_size() - the number behind SIZE; 0: no SIZE, no number or no limit. */
uint64_t found_size(const struct found *f);

#endif
