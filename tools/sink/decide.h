/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.h - what becomes of a message whose content is complete: delays, verdicts, commits, in the
 * order that the script asks for; and, later, whether the replies arrived.
 */
#ifndef SINK_DECIDE_H
#define SINK_DECIDE_H

#include "worker.h"

/* decide_begin() - at EV_BODY_END or EV_NAMING. */
void decide_begin(struct worker *w, struct conn *c, const struct session_event *ev);
/* decide_named() - ADAT: all recipients have been named. */
void decide_named(struct worker *w, struct conn *c);
/* decide_on_reply() - @bytes more of the replies to the content were formatted: whose they are. */
void decide_on_reply(struct conn *c, struct slice bytes, bool has_block);
/*
 * decide_on_spoilt() - what the script did to them then: they grew by @growth to @len octets
 * @start:  octets of the connection's output before them
 * Return:  octets that are to be cut off again, for the connection ends behind the rest (c->cut)
 */
uint32_t decide_on_spoilt(struct conn *c, uint64_t start, int64_t growth, size_t len);
/* decide_on_life() - it is time to say that the list goes on (HOL-10). */
void decide_on_life(struct worker *w, struct conn *c);
/* decide_step() - one step, CONN_PHASE_DOT and later; false: something must be waited for. */
MUST_CHECK bool decide_step(struct worker *w, struct conn *c);
/* decide_end() - the transaction is over; what is not committed by now is forgotten. */
void decide_end(struct worker *w, struct conn *c);
/* decide_on_sent() - more of the output has left. */
void decide_on_sent(struct worker *w, struct conn *c);
/* decide_on_input() - a line was received: all that had left before has arrived (DUP-23). */
void decide_on_input(struct worker *w, struct conn *c);
/* decide_on_close() - the end, while the descriptor is still there. */
void decide_on_close(struct worker *w, struct conn *c);

#endif
