/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taken.h - what the sink has taken: when a recipient counts, which reply is his, and, later,
 * whether it has arrived.
 */
#ifndef SINK_TAKEN_H
#define SINK_TAKEN_H

#include "worker.h"

/* taken_commit() - recipient @r of @t is here, if the store can have him; may be called twice. */
void taken_commit(struct worker *w, struct txn *t, struct sink_rcpt *r);

/* taken_on_reply() - @bytes more of the replies to the content were formatted: whose they are.
 * Where the script does something to a recipient's line, they are one line, and it is told to @c.
 */
void taken_on_reply(struct conn *c, struct slice bytes, bool has_block);
/*
 * taken_on_spoilt() - what the script did to them then: they grew by @growth to @len octets
 * @start:  octets of the connection's output before them
 * Return:  octets that are to be cut off again, for the connection ends behind the rest (c->cut)
 */
uint32_t taken_on_spoilt(struct conn *c, uint64_t start, int64_t growth, size_t len);

/* taken_end() - the transaction is over; what is not committed by now is forgotten. */
void taken_end(struct worker *w, struct conn *c);
/* taken_on_sent() - more of the output has left. */
void taken_on_sent(struct worker *w, struct conn *c);
/* taken_on_input() - a line was received: all that had left before has arrived (DUP-23). */
void taken_on_input(struct worker *w, struct conn *c);
/* taken_on_close() - the end, while the descriptor is still there. */
void taken_on_close(struct worker *w, struct conn *c);

#endif
