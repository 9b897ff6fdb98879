/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_account.h - attempts and arrivals as live runs write them, counted by the same ledger; the
 * measure.
 *
 * What belongs to a message is kept until it is over at both ends, then goes into the ledger, which
 * is joined and emptied when it holds some thousand pairs: memory is for what is under way.
 */
#ifndef LAB_SIM_ACCOUNT_H
#define LAB_SIM_ACCOUNT_H

#include "lab/sim_state.h"
#include "trace/arrivals.h"
#include "trace/attempts.h"

/* sim_account_begin() - 0, or the errno of memory or files. */
MUST_CHECK int sim_account_begin(struct sim *sim);
/* sim_account_try() - what the client has learned about one recipient. */
void sim_account_try(struct sim *sim, struct sim_message *m, const struct attempt *a);
/* sim_account_commit() - the server has made recipient @r of @c its own. */
void sim_account_commit(struct sim *sim, struct sim_conn *c, struct sim_rcpt *r);
/* sim_account_arrival() - and it is known whether the reply was read. */
void sim_account_arrival(struct sim *sim, const struct sim_conn *c, const struct sim_rcpt *r,
                         enum arrival_delivered delivered, const char *via);
/* sim_account_over() - neither end will say more about @m. */
void sim_account_over(struct sim *sim, struct sim_message *m);
/* sim_account_end() - all messages are over. */
void sim_account_end(struct sim *sim);
/* sim_account_deinit() - give memory back. */
void sim_account_deinit(struct sim *sim);

/* sim_account_bucket() - where to count what happens now; NULL: no series. */
struct lab_bucket *sim_account_bucket(struct sim *sim);
/* sim_account_at_hand() - after sim.at_hand has changed. */
void sim_account_at_hand(struct sim *sim);

#endif
