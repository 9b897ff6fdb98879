/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - the table of rules that are tested: each row is a rule of a sheet and a function that
 * talks to the server about it.
 *
 * A row's id is the rule's id in the sheets, and behind a slash what is done about it. A function
 * is a straight list of steps (trial.h): the first one that does not go as it should ends it.
 */
#ifndef PROBE_CHECK_H
#define PROBE_CHECK_H

#include "base/base.h"

struct trial;

enum check_need {
    NEED_SMTP = 1u << 0, /* not over LMTP */
    NEED_LMTP = 1u << 1,
    NEED_RCPT = 1u << 2,            /* --rcpt */
    NEED_REFUSED = 1u << 3,         /* --refused-rcpt */
    NEED_CONTENT_REFUSED = 1u << 4, /* --content-refused-rcpt */
    NEED_CONTENT_DELAYED = 1u << 5, /* --content-delayed-rcpt */
    NEED_GTUBE = 1u << 6,           /* --gtube */
    NEED_INTRUSIVE = 1u << 7,       /* --intrusive */
    NEED_CLEAR = 1u << 8,           /* a connection that is not encrypted */
};

enum check_level {
    CHECK_MUST,   /* a failure is one */
    CHECK_SHOULD, /* a failure is a warning, unless --strict */
};

struct check {
    const char *id;
    enum check_level level;
    uint32_t needs;
    const char *keywords; /* that the server must offer: "CHUNKING EXDATA|XEXDATA"; "" none */
    const char *title;
    void (*run)(struct trial *t); /* NULL: seen in all conversations (watch.h) */
};

struct check_sheet {
    const char *name;  /* "lmtp" */
    const char *title; /* "LMTP (RFC 2033)" */
    const struct check *at;
    size_t count;
};

extern const struct check_sheet check_core, check_limits, check_chunk, check_end, check_smuggle,
    check_tls, check_lmtp, check_prdr, check_deferrals, check_exdata, check_holzer, check_others,
    check_always;

/* check_sheets - all of them, in the order in which they are run. */
extern const struct check_sheet *const check_sheets[];
extern const size_t check_sheet_count;
/* check_count() - rows of all sheets. */
size_t check_count(void);

/* check_is_chosen() - by --only and --skip: lists of extended regular expressions; one matches the
 * id, or its beginning up to a hyphen or a slash. NULL: all, none. */
MUST_CHECK bool check_is_chosen(const struct check *c, const char *only, const char *skip);
/* check_pattern_is_good() - each item of the list can be compiled, and matches something. */
MUST_CHECK bool check_pattern_is_good(const char *list, char *ret_text, size_t text_cap);

#endif
