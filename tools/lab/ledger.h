/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.h - what clients learned joined with what arrived: lost, duplicated, ghosts. No I/O.
 *
 * Everything is told by (identity, recipient), a pair. First all attempts are added, then all
 * arrivals, then they are joined, once.
 *
 * Some stores do not tell for whom a copy is. Such copies are counted by identity and given to its
 * recipients: to accepted ones that have none yet, then to those whose fate the client never
 * learned, and what is left once more in that order. How many there must be is the caller's to say.
 */
#ifndef LAB_LEDGER_H
#define LAB_LEDGER_H

#include "trace/arrivals.h"
#include "trace/attempts.h"

enum ledger_copy_per {                   /* of copies that name no recipient */
                       LEDGER_COPY_AUTO, /* one may be for all recipients of a message, or each has
                                            its own */
                       LEDGER_COPY_RCPT, /* each recipient has its own */
                       LEDGER_COPY_MESSAGE, /* each is for all recipients */
};

/* What the client knows in the end. */
enum ledger_client {
    LEDGER_NOT_SENT, /* nothing: no attempt names this pair */
    LEDGER_ACCEPTED, /* one of the attempts */
    LEDGER_REFUSED,  /* the last attempt: 5xx */
    LEDGER_DEFERRED, /* the last attempt: 4xx */
    LEDGER_GAVE_UP,  /* the last attempt ended without a reply that decides */
    LEDGER_CLIENT_COUNT
};

/* Why there is a copy more than there should be. */
enum ledger_cause {
    LEDGER_CAUSE_GAVE_UP,  /* an attempt with all of its content sent was given up by the client
                              (timeout, misbehaviour, end of the run): the server kept it */
    LEDGER_CAUSE_LOST,     /* or it ended by a lost or broken connection, k of n replies read */
    LEDGER_CAUSE_NEXT_HOP, /* more copies than attempts that could have made one */
    LEDGER_CAUSE_UNKNOWN,  /* an attempt was answered 4xx or 5xx, or no attempt is known at all */
    LEDGER_CAUSE_COUNT
};

/* What is there and was not accepted. */
enum ledger_ghost {
    LEDGER_GHOST_NONE,
    LEDGER_GHOST_GAVE_UP,  /* an attempt ended without a reply, all of its content sent */
    LEDGER_GHOST_DEFERRED, /* no attempt could have made it, and the last one was answered 4xx */
    LEDGER_GHOST_REFUSED,  /* the same, 5xx: the server kept what it had refused */
    LEDGER_GHOST_UNSENT,   /* the same, without a reply: it never had all of the content */
    LEDGER_GHOST_UNKNOWN,  /* of a known run, but no attempt names it */
    LEDGER_GHOST_COUNT
};

const char *ledger_client_name(enum ledger_client c); /* "accepted", "gave up", ... */
const char *ledger_cause_name(enum ledger_cause c);   /* "gave_up", "connection_lost", ... */
const char *ledger_ghost_name(enum ledger_ghost g);   /* "deferred", "refused", ... */

struct ledger_item { /* a pair, joined */
    struct identity id;
    struct slice address; /* as in the attempts; lives as long as the ledger */
    enum ledger_client client;
    uint32_t attempt_count;
    uint32_t copies;
    bool is_unfinished; /* the last attempt was to be followed by one more */
    bool is_lost;
    uint32_t excess;                     /* copies too many */
    uint32_t causes[LEDGER_CAUSE_COUNT]; /* of each of them */
    enum ledger_ghost ghost;
    uint32_t replies_seen, replies_due; /* of the last attempt that lost its connection */
};

struct ledger_result {
    uint64_t attempts;         /* lines */
    uint64_t arrivals;         /* copies that count */
    uint64_t arrivals_unnamed; /* of these: without a recipient */
    uint64_t arrivals_foreign; /* without identity */
    uint64_t arrivals_other_run;
    uint64_t replies[ARRIVAL_REPLY_COUNT]; /* of copies that count, by whether the reply was read */
    uint64_t messages;                     /* identities */
    uint64_t pairs;
    uint64_t clients[LEDGER_CLIENT_COUNT];
    uint64_t unfinished;
    uint64_t delivered; /* accepted and there */
    uint64_t lost;
    uint64_t duplicated;                 /* pairs */
    uint64_t copies_excess;              /* copies */
    uint64_t causes[LEDGER_CAUSE_COUNT]; /* copies; the sum is copies_excess */
    uint64_t ghosts[LEDGER_GHOST_COUNT];
    uint64_t ambiguous; /* messages with several recipients and copies that name none */
    uint64_t memory_bytes;
};

struct ledger;
/* ledger_new() - 0 or -ENOMEM. */
MUST_CHECK int ledger_new(enum ledger_copy_per copy_per, struct ledger **ret_ledger);
void ledger_free(struct ledger *l);
/* ledger_clear() - as new, its memory kept; 0 or -ENOMEM. */
MUST_CHECK int ledger_clear(struct ledger *l);

/* ledger_add_attempt() - one line; in any order. 0, -ENOMEM, or -E2BIG past 2^32 - 2 pairs. */
MUST_CHECK int ledger_add_attempt(struct ledger *l, const struct attempt *a);
/*
 * ledger_add_arrival() - one copy; after all attempts
 * @is_address_sure: false: the address was found in the message and may have been rewritten; when
 *                   no attempt names it, the copy counts as one without a recipient
 */
MUST_CHECK int ledger_add_arrival(struct ledger *l, const struct arrival *a, bool is_address_sure);

/* ledger_join() - nothing can be added any more. */
void ledger_join(struct ledger *l, struct ledger_result *ret_result);
/* ledger_next() - the joined pairs in the order of their identities; *idx is 0 at first. */
MUST_CHECK bool ledger_next(const struct ledger *l, uint32_t *idx, struct ledger_item *ret_item);

#endif
