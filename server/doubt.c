/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doubt.c - owns the messages of a connection whose last replies are not known to have been read.
 *
 * Usually one at a time; with BDAT a client may send several ahead. They hang on the connection, in
 * entries of a pool; where that is empty a message counts as doubtful at once, which at worst lets
 * the ledger remember one too many.
 */
#include "doubt.h"
#include "conn.h"
#include "shard.h"
#include "txnlog.h"

static void doubt_note(struct shard *sh, const struct conn *c, uint64_t queue_id)
{
    metrics_add(&sh->metrics, METRIC_REPLIES_DOUBTFUL, 1);
    txnlog_doubt(sh, c, queue_id);
    /* Without room the ledger does not learn of it; a copy may come through. */
    (void)(spool_result(sh->spool, queue_id, SPOOL_RESULT_DOUBT, SPOOL_RCPT_ALL,
                        ring_wall(sh->ring)) == SPOOL_PENDING);
}

void doubt_begin(struct shard *sh, struct conn *c, uint64_t queue_id)
{
    struct doubt *d = c != NULL ? pool_take(&sh->doubts) : NULL;
    if (d == NULL) {
        doubt_note(sh, c, queue_id);
        return;
    }
    *d = (struct doubt){.next = c->doubts, .queue_id = queue_id};
    c->doubts = d;
}

void doubt_on_sent(struct conn *c)
{
    for (struct doubt *d = c->doubts; d != NULL && !d->is_sent; d = d->next)
        d->is_sent = true;
}

/* Newest first, so those whose replies have left are the end of the chain. */
void doubt_on_input(struct shard *sh, struct conn *c)
{
    struct doubt **link = &c->doubts;
    while (*link != NULL && !(*link)->is_sent)
        link = &(*link)->next;
    struct doubt *d = *link;
    *link = NULL;
    while (d != NULL) {
        struct doubt *next = d->next;
        metrics_add(&sh->metrics, METRIC_REPLIES_READ, 1);
        pool_give(&sh->doubts, d);
        d = next;
    }
}

void doubt_on_end(struct shard *sh, struct conn *c)
{
    while (c->doubts != NULL) {
        struct doubt *d = c->doubts;
        c->doubts = d->next;
        doubt_note(sh, c, d->queue_id);
        pool_give(&sh->doubts, d);
    }
}
