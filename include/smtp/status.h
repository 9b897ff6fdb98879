/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - the one table: status -> reply code, enhanced code, text, temporary or permanent.
 *
 * Status becomes SMTP text only here (style.md section 8).
 */
#ifndef SMTP_STATUS_H
#define SMTP_STATUS_H

#include "base/slice.h"

/* The author of smtp/ extends this list; the names below are used across layers. */
enum status {
    STATUS_NONE = 0,
    STATUS_GREETING,            /* 220 */
    STATUS_CLOSING,             /* 221 2.0.0 */
    STATUS_OK,                  /* 250 2.0.0 */
    STATUS_SENDER_OK,           /* 250 2.1.0 */
    STATUS_RCPT_OK,             /* 250 2.1.5 */
    STATUS_STORED,              /* 250 2.0.0 stored as QUEUEID */
    STATUS_CANNOT_VRFY,         /* 252 */
    STATUS_START_CONTENT,       /* 354, no enhanced code */
    STATUS_PRDR_OPEN,           /* 353, no enhanced code */
    STATUS_SHUTTING_DOWN,       /* 421 4.3.2 */
    STATUS_TOO_MANY_CONNS,      /* 421 4.7.0 */
    STATUS_TIMEOUT,             /* 421 4.4.2 */
    STATUS_TOO_SLOW,            /* 421 4.4.2 */
    STATUS_TOO_MANY_ERRORS,     /* 421 4.7.0 */
    STATUS_TOO_MANY_TXNS,       /* 421 4.7.0, LIMITS MAILMAX */
    STATUS_LOCAL_ERROR,         /* 451 4.3.0 */
    STATUS_STORE_FAILED,        /* 451 4.3.0, write or sync failed */
    STATUS_DEFERRED_POLICY,     /* 451 4.7.1 */
    STATUS_NO_RESOURCES,        /* 452 4.3.0, pools exhausted */
    STATUS_STORE_FULL,          /* 452 4.3.1 */
    STATUS_TOO_MANY_RCPTS,      /* 452 4.5.3 */
    STATUS_CLASS_DIFFERS,       /* 452 4.5.3, one-class */
    STATUS_LINE_TOO_LONG,       /* 500 5.5.2, command */
    STATUS_UNKNOWN_COMMAND,     /* 500 5.5.2 */
    STATUS_BAD_SYNTAX,          /* 501 5.5.4 */
    STATUS_BAD_PATH_SENDER,     /* 501 5.1.7 */
    STATUS_BAD_PATH_RCPT,       /* 501 5.1.3 */
    STATUS_NOT_IMPLEMENTED,     /* 502 5.5.1 */
    STATUS_BAD_SEQUENCE,        /* 503 5.5.1 */
    STATUS_NO_RCPT,             /* 503 5.5.1, DATA without recipient */
    STATUS_NO_SUCH_USER,        /* 550 5.1.1 */
    STATUS_RELAY_DENIED,        /* 550 5.7.1 */
    STATUS_REFUSED_POLICY,      /* 550 5.7.1 */
    STATUS_BAD_LINE_ENDING,     /* 550 5.5.2: bare CR, bare LF or NUL in the content */
    STATUS_TOO_BIG,             /* 552 5.3.4 */
    STATUS_TOO_BIG_FOR_RCPT,    /* 552 5.2.3 */
    STATUS_LINE_IN_MESSAGE_TOO_LONG, /* 554 5.6.0 */
    STATUS_LOOP,                /* 554 5.4.6 */
    STATUS_UNAUTHORIZED_PIPELINING,  /* 554 5.5.0, closes */
    STATUS_UNKNOWN_PARAMETER,   /* 555 5.5.4 */
    STATUS_COUNT
};

struct status_row {
    uint16_t code;
    uint8_t enhanced[3]; /* class 0: none (3xx, greeting) */
    const char *name;    /* as it stands in log and counters: "too_big" */
    const char *text;
};

const struct status_row *status_row(enum status st);
bool status_is_success(enum status st);   /* 2xx */
bool status_is_temporary(enum status st); /* 4xx: the one function that says so */
bool status_is_permanent(enum status st); /* 5xx */

/* What somebody answers: a status, and text of his own when that of the table does not do. */
struct answer {
    enum status status;
    uint16_t code;    /* 0: the row's; else a code of the same class (configured reply text) */
    uint8_t enhanced[3]; /* class 0: the row's */
    struct slice text; /* empty: the row's; else lives until the reply was formatted; no CR, LF */
};

#define ANSWER(st) ((struct answer){.status = (st)})

#endif
