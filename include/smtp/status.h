/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - the one table: status -> reply code, enhanced code, text, temporary or permanent.
 *
 * Status becomes SMTP text only here (style.md section 8).
 */
#ifndef SMTP_STATUS_H
#define SMTP_STATUS_H

#include "base/slice.h"

/* Sorted by reply code. The names are used across layers and stand in log and counters. */
enum status {
    STATUS_NONE = 0,
    STATUS_HELP,             /* 214 2.0.0 */
    STATUS_GREETING,         /* 220, no enhanced code */
    STATUS_CLOSING,          /* 221 2.0.0 */
    STATUS_OK,               /* 250 2.0.0 */
    STATUS_SENDER_OK,        /* 250 2.1.0 */
    STATUS_RCPT_OK,          /* 250 2.1.5 */
    STATUS_STORED,           /* 250 2.0.0 stored as QUEUEID */
    STATUS_CHUNK_OK,         /* 250 2.0.0 N octets */
    STATUS_WRAPPED_OPEN,     /* 250 2.0.0 +RCPT N, first line of a wrapped list (HOL-5) */
    STATUS_WRAPPED_END,      /* 250 2.0.0 +END, its last line */
    STATUS_LIST_END,         /* 250 2.0.0, ends a list and says no more (INL-2) */
    STATUS_RCPT_FORWARDED,   /* 251 2.1.5 */
    STATUS_CANNOT_VRFY,      /* 252 2.0.0 */
    STATUS_RCPT_LATER,       /* 352, no enhanced code: decided after the content (DEF-5) */
    STATUS_LIST_OPEN,        /* 353, no enhanced code: replies per recipient (PRDR-16, DEF-10) */
    STATUS_START_CONTENT,    /* 354, no enhanced code */
    STATUS_NAME_RCPTS,       /* 355, no enhanced code: content is here, who is it for (OTH-4) */
    STATUS_SHUTTING_DOWN,    /* 421 4.3.2 */
    STATUS_TIMEOUT,          /* 421 4.4.2 */
    STATUS_TOO_SLOW,         /* 421 4.4.2 */
    STATUS_PEER_GONE,        /* 421 4.4.2, end of input without QUIT (PRDR-31, DUP-17) */
    STATUS_TOO_MANY_CONNS,   /* 421 4.7.0 */
    STATUS_TOO_MANY_ERRORS,  /* 421 4.7.0 */
    STATUS_TOO_MANY_TXNS,    /* 421 4.7.0, LIMITS MAILMAX */
    STATUS_ALL_DEFERRED,     /* 450 4.2.0, final reply: nobody could take it now (PRDR-24) */
    STATUS_LOCAL_ERROR,      /* 451 4.3.0 */
    STATUS_STORE_FAILED,     /* 451 4.3.0, write or sync failed */
    STATUS_DECISION_TIMEOUT, /* 451 4.4.7, the reply budget ended */
    STATUS_DEFERRED_POLICY,  /* 451 4.7.1 */
    STATUS_NO_RESOURCES,     /* 452 4.3.0, pools exhausted */
    STATUS_STORE_FULL,       /* 452 4.3.1 */
    STATUS_TOO_MANY_RCPTS,   /* 452 4.5.3 */
    STATUS_CLASS_DIFFERS,    /* 452 4.5.3, one-class */
    STATUS_TOO_MANY_NAMED,   /* 453 4.5.3, DRCP (OTH-5) */
    STATUS_LINE_TOO_LONG,    /* 500 5.5.2, command */
    STATUS_UNKNOWN_COMMAND,  /* 500 5.5.2 */
    STATUS_WRONG_HELLO,      /* 500 5.5.1, EHLO on LMTP, LHLO on SMTP (LMTP-1) */
    STATUS_BAD_SYNTAX,       /* 501 5.5.4 */
    STATUS_TWO_DIALECTS,     /* 501 5.5.4, on one MAIL (OTH section 6) */
    STATUS_BAD_PATH_SENDER,  /* 501 5.1.7 */
    STATUS_BAD_PATH_RCPT,    /* 501 5.1.3 */
    STATUS_NOT_IMPLEMENTED,  /* 502 5.5.1 */
    STATUS_BAD_SEQUENCE,     /* 503 5.5.1 */
    STATUS_HELLO_FIRST,      /* 503 5.5.1, MAIL before EHLO */
    STATUS_NO_RCPT,          /* 503 5.5.1, DATA without recipient */
    STATUS_TXN_FAILED,       /* 503 5.5.1, the transaction failed before: RSET (CORE-22, 23) */
    STATUS_BAD_COMMAND_LINE, /* 521 5.5.2, bare CR or LF in a command line; closes */
    STATUS_BAD_CHUNK,        /* 521 5.5.4, BDAT that cannot be parsed; closes (CORE-22) */
    STATUS_NO_SUCH_USER,     /* 550 5.1.1 */
    STATUS_BAD_LINE_ENDING,  /* 550 5.5.2: bare CR, bare LF or NUL in the content */
    STATUS_RELAY_DENIED,     /* 550 5.7.1 */
    STATUS_REFUSED_POLICY,   /* 550 5.7.1 */
    STATUS_ALL_REFUSED,      /* 550 5.7.1, final reply: refused by every recipient (PRDR-24) */
    STATUS_TOO_BIG_FOR_RCPT, /* 552 5.2.3 */
    STATUS_TOO_BIG,          /* 552 5.3.4 */
    STATUS_NEEDS_UTF8,       /* 553 5.6.7, non-ASCII address without SMTPUTF8 (CORE-27) */
    STATUS_NO_SERVICE,       /* 554 5.3.2, instead of a greeting (CORE-1) */
    STATUS_COUNT_DIFFERS,    /* 554 5.5.0, ERCP (OTH-6) */
    STATUS_LOOP,             /* 554 5.4.6 */
    STATUS_UNAUTHORIZED_PIPELINING,  /* 554 5.5.0, closes */
    STATUS_LINE_IN_MESSAGE_TOO_LONG, /* 554 5.6.0 */
    STATUS_UNKNOWN_PARAMETER,        /* 555 5.5.4 */
    STATUS_COUNT
};

struct status_row {
    uint16_t code;
    uint8_t enhanced[3]; /* class 0: none (3xx, greeting) */
    const char *name;    /* as it stands in log and counters: "too_big" */
    const char *text;
    uint8_t text_len;
};

/* status_row() - the row of @st, which is not STATUS_NONE. */
const struct status_row *status_row(enum status st);
const char *status_name(enum status st);  /* "none" for STATUS_NONE */
bool status_is_success(enum status st);   /* 2xx */
bool status_is_temporary(enum status st); /* 4xx: the one function that says so */
bool status_is_permanent(enum status st); /* 5xx */

/* What somebody answers: a status, and text of his own when that of the table does not do. */
struct answer {
    enum status status;
    uint16_t code;       /* 0: the row's; else a code of the same class (configured reply text) */
    uint8_t enhanced[3]; /* class 0: the row's */
    struct slice text;   /* empty: the row's; else lives until the reply was formatted; no CR, LF */
};

#define ANSWER(st) ((struct answer){.status = (st)})

/* answer_code() - the reply code that @a stands for. */
uint16_t answer_code(const struct answer *a);

#endif
