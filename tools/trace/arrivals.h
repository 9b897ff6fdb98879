/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arrivals.h - what a server has taken: one line a message and recipient, written by postern-sink
 * and made by postern-lab from a spool, a Maildir, an mbox or a folder.
 *
 * A text file, tab separated. First line: "#postern-arrivals 1". Second line: "#" and the names of
 * the columns. Then
 *
 *   run seq rcpt address time_us bytes hash code delivered conn txn via
 *
 * "-" stands for a value that there is not; run and seq are "-" for a message without identity.
 */
#ifndef TRACE_ARRIVALS_H
#define TRACE_ARRIVALS_H

#include "base/buf.h"
#include "base/clock.h"
#include "trace/identity.h"

enum arrival_delivered { /* did the reply that accepts it reach the client? */
                         ARRIVAL_REPLY_UNKNOWN,
                         ARRIVAL_REPLY_YES, /* a later command was seen (DUP-23) */
                         ARRIVAL_REPLY_NO, /* never sent, or the connection broke before it could be
                                              read */
                         ARRIVAL_REPLY_COUNT
};

struct arrival {
    bool has_id;
    struct identity id;
    uint32_t rcpt_idx;    /* position in the transaction; UINT32_MAX: not known */
    struct slice address; /* empty: not known (mbox, Maildir without envelope) */
    wall_us at;
    uint64_t content_bytes; /* with CRLF line ends, without what the server added */
    uint64_t hash;          /* XXH3 of the same */
    uint16_t code;          /* what the recipient was answered; 0: not known */
    enum arrival_delivered delivered;
    uint64_t conn;
    uint32_t txn;     /* on that connection */
    struct slice via; /* "smtp", "lmtp", "prdr", "spool", "maildir", ...; empty: not known */
};
#define ARRIVAL_VIA_BYTES_MAX 64

/* What an address may not hold (control characters) is written as "?"; one that is longer than
 * PATH_UTF8_BYTES_MAX is cut. Each value has one text, and the parser takes no other. */

void arrivals_put_head(struct buf *out);
#define ARRIVAL_LINE_BYTES_MAX 1536
void arrivals_put(struct buf *out, const struct arrival *a);
MUST_CHECK bool arrivals_parse_head(struct slice line);
MUST_CHECK bool arrivals_parse(struct slice line, struct arrival *ret_arrival);

#endif
