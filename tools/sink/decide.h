/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.h - what becomes of a message whose content is complete: delays, verdicts, commits, in the
 * order that the script asks for.
 */
#ifndef SINK_DECIDE_H
#define SINK_DECIDE_H

#include "worker.h"

/* decide_begin() - at EV_BODY_END or EV_NAMING. */
void decide_begin(struct worker *w, struct conn *c, const struct session_event *ev);
/* decide_named() - ADAT: all recipients have been named. */
void decide_named(struct worker *w, struct conn *c);
/* decide_on_life() - it is time to say that the list goes on (HOL-10). */
void decide_on_life(struct worker *w, struct conn *c);
/* decide_step() - one step, CONN_PHASE_ENDED and later; false: something must be waited for. */
MUST_CHECK bool decide_step(struct worker *w, struct conn *c);
/* decide_on_gone() - nobody is there to be answered any more. */
void decide_on_gone(struct worker *w, struct conn *c);
/* decide_on_place() - there is a place at work now. */
void decide_on_place(struct worker *w, struct conn *c);
/* decide_end() - the transaction is over; what is not committed by now is forgotten. */
void decide_end(struct worker *w, struct conn *c);
/* decide_is_suppressed() - a copy for recipient @idx is here, and the script wants no more. */
bool decide_is_suppressed(const struct worker *w, const struct txn *t, uint32_t idx);

#endif
