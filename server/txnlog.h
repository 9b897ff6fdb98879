/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txnlog.h - what a shard writes to its log: one structured line a transaction, and a line for what
 * an operator has to know besides (refused recipients, connections that did not end by QUIT).
 */
#ifndef TXNLOG_H
#define TXNLOG_H

#include "smtp/status.h"

struct conn;
struct shard;
struct txn;

/* txnlog_done() - event=transaction: the message was decided and answered. Recipients that do not
 * fit follow in lines event=recipients with the same queue id. */
void txnlog_done(struct shard *sh, const struct txn *t);
/* txnlog_aborted() - event=aborted: the transaction ended without a decision. */
void txnlog_aborted(struct shard *sh, const struct txn *t, const char *why);
/* txnlog_rcpt_refused() - event=rcpt_refused: RCPT was answered 4xx or 5xx. */
void txnlog_rcpt_refused(struct shard *sh, const struct txn *t, struct slice rcpt,
                         struct answer answer);
/* txnlog_conn_ended() - event=connection_ended: timeout, reset and the like. */
void txnlog_conn_ended(struct shard *sh, const struct conn *c);
/* txnlog_refused() - event=refused: MAIL, or a command with content, was answered 4xx or 5xx: for
 * lack of room, of a working store, or of memory, or by the session (then @reverse_path is what
 * MAIL said, if it is none). */
void txnlog_refused(struct shard *sh, const struct conn *c, const char *command,
                    struct slice reverse_path, struct answer answer);
/* txnlog_budget_ended() - event=reply_budget_ended: for somebody there was no answer in time. */
void txnlog_budget_ended(struct shard *sh, const struct txn *t);
/* txnlog_late() - event=commit_late: after 451 had been said the message was stored, and has been
 * removed; or that could not be recorded, and it is in doubt. */
void txnlog_late(struct shard *sh, const struct txn *t);
/* txnlog_doubt() - event=reply_in_doubt: the client of a stored message may not have read that it
 * is. @c: his connection, or NULL when it ended before. */
void txnlog_doubt(struct shard *sh, const struct conn *c, uint64_t queue_id);
/* txnlog_hung() - event=stopped_hung: the disk does not answer; @doubtful_count messages were being
 * committed and may be found after a restart, or not. */
void txnlog_hung(struct shard *sh, uint32_t doubtful_count);

#endif
