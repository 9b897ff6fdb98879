/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - the rules about every reply: each reply of every check is shown to all of them, and the
 * first one that breaks a rule is kept with the transcript up to there. No I/O.
 */
#ifndef PROBE_WATCH_H
#define PROBE_WATCH_H

#include "base/slice.h"
#include "probe/transcript.h"

enum watch_rule {
    WATCH_FORM,     /* lines, codes, CRLF (CORE-6) */
    WATCH_LENGTH,   /* 512 octets (CORE-6) */
    WATCH_ENHANCED, /* enhanced codes where they belong (CORE-25) */
    WATCH_THREE,    /* and not on 3xx, greeting and EHLO (CORE-25) */
    WATCH_UNASKED,  /* 352, 353, 355, 558 to a client that did not ask (PRDR-40) */
    WATCH_CLOSE,    /* the server closes after QUIT, 421 or an error that says so (CORE-13) */
    WATCH_RULES,
};

struct watch_state {      /* of one connection */
    bool is_greeting;     /* the next reply is the greeting, ... */
    bool is_hello;        /* ... or the reply to EHLO, HELO, LHLO */
    bool offers_enhanced; /* the last EHLO or LHLO */
    bool has_asked;       /* this transaction's MAIL asked for replies of a dialect */
    bool is_nested;       /* a wrapped reply is expected: its inner codes are the check's */
};

struct watch_find {
    bool is_broken;
    uint32_t count; /* replies that broke it */
    char check[64]; /* the check in which it was seen first */
    char reason[256];
    struct transcript transcript;
};

struct watch {
    uint32_t reply_count;
    struct watch_find at[WATCH_RULES];
};

/* watch_reply() - @lines: as they came, each with its line end; @check: the id of the check. */
void watch_reply(struct watch *w, const struct watch_state *state, struct slice lines,
                 const char *check, const struct transcript *transcript);
/* watch_note() - the rule is broken, seen elsewhere. */
void watch_note(struct watch *w, enum watch_rule rule, const char *check,
                const struct transcript *transcript, const char *fmt, ...) PRINTF_LIKE(5, 6);
void watch_deinit(struct watch *w);

#endif
