/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.h - deciding that takes time: work on the content (T0), then on each recipient (Tr).
 *
 * A transaction is TXN_WORKING from the end of its content until everybody is decided, and, where
 * each recipient is committed before his own reply, until the last of them is stored.
 */
#ifndef WORK_H
#define WORK_H

#include "base/base.h"

struct shard;
struct txn;

/* work_begin() - the content is complete. False: there is no work to do, decide at once. */
MUST_CHECK bool work_begin(struct shard *sh, struct txn *t);

/* work_on_timer() - a piece of work has ended. */
void work_on_timer(struct shard *sh, struct txn *t);

/* work_on_outcome() - the spool has an outcome for what was handed to it while working. */
void work_on_outcome(struct shard *sh, struct txn *t);

/* work_expire() - the reply budget has ended: who is not decided is told 451, and the work on him
 * is cancelled; a commit that is under way is taken back (DUP-15, DUP-20). */
void work_expire(struct shard *sh, struct txn *t);

/* work_expire_next() - the dialect's next reply is due (DEF-18): only the recipient it is about. */
void work_expire_next(struct shard *sh, struct txn *t);

/* work_vanish() - its client is gone (DUP-17). Cancels what can be cancelled, or goes on without
 * him where the listener is told to; @t may be free afterwards. */
void work_vanish(struct shard *sh, struct txn *t);

#endif
