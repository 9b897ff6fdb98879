/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.c - owns the clock of a client who has sent his content and waits.
 *
 * Nothing here decides about mail: when a time is up, txn.c or work.c is told. The times, all from
 * the moment at which the decision began or from the last reply of an open block:
 *   OPEN_REPLIES_NS  the dialect shows that somebody is at work (PRDR-17, HOL-9, DUP-15)
 *   LIFE_NS          an open block that has a line for it says that we are alive (HOL-10)
 *   the dialect's    its next reply, where it sets a time (DEF-18); we stay 10 s below
 *   the budget       every recipient has his answer
 */
#include "budget.h"
#include "conn.h"
#include "listener.h"
#include "shard.h"
#include "txn.h"
#include "txnlog.h"
#include "work.h"

#define OPEN_REPLIES_NS NS_PER_S
#define LIFE_NS (60 * NS_PER_S)
#define GAP_MARGIN_NS (10 * NS_PER_S)

/* --- clients --------------------------------------------------------------------------------- */

static bool client_fits(const struct patience_client *client, const struct conn *c)
{
    for (uint32_t i = 0; i < client->network_count; i++)
        if (patience_network_has(&client->networks[i], conn_client_address(c)))
            return true;
    for (uint32_t i = 0; i < client->helo_count; i++)
        if (patience_helo_matches(client->helos[i], conn_helo(c)))
            return true;
    return false;
}

clock_ns budget_ns(const struct shard_options *options, const struct conn *c)
{
    clock_ns reply_ns = c->listener->options->reply_ns_max;
    for (uint32_t i = 0; i < options->client_count; i++)
        if (options->clients[i].reply_ns < reply_ns && client_fits(&options->clients[i], c))
            reply_ns = options->clients[i].reply_ns;
    return reply_ns;
}

/* --- time ------------------------------------------------------------------------------------ */

static clock_ns gap_due(const struct conn *c)
{
    clock_ns gap_ns = session_reply_gap(&c->session);
    if (gap_ns == CLOCK_NEVER || !session_has_block(&c->session))
        return CLOCK_NEVER;
    return c->txn->said_at + gap_ns - GAP_MARGIN_NS;
}

/* A decision is under way in a dialect that can show a sign of life before it is there. */
static bool may_open_replies(const struct txn *t)
{
    return t->state == TXN_COMMITTING && t->conn->output != CONN_OUTPUT_LINKED &&
           txn_may_open_replies(t);
}

clock_ns budget_due(const struct conn *c)
{
    const struct txn *t = c->txn;
    if (t == NULL || !txn_is_deciding(t))
        return CLOCK_NEVER;
    clock_ns due = u64_min(t->budget_at, gap_due(c));
    if (may_open_replies(t))
        return u64_min(due, t->phases.end + OPEN_REPLIES_NS);
    return t->is_opened && c->output != CONN_OUTPUT_LINKED ? u64_min(due, t->life_at + LIFE_NS)
                                                           : due;
}

/* Once a message, whichever of its times it was. */
static void note_end(struct shard *sh, struct txn *t)
{
    if (t->is_over_budget)
        return;
    t->is_over_budget = true;
    metrics_add(&sh->metrics, METRIC_BUDGETS_ENDED, 1);
    txnlog_budget_ended(sh, t);
}

static void expire(struct shard *sh, struct conn *c)
{
    struct txn *t = c->txn;
    if (c->output == CONN_OUTPUT_AHEAD) /* he has his answer: it left with the commit */
        return;
    if (t->state == TXN_COMMITTING && t->message.outcome != SPOOL_PENDING)
        return; /* it is there, and will be told in this turn */
    note_end(sh, t);
    if (c->output == CONN_OUTPUT_LINKED) { /* his answer waits in the ring for the write: no other
                                              could be true */
        conn_drop(sh, c, "reply budget ended");
        return;
    }
    if (t->state == TXN_WORKING)
        work_expire(sh, t);
    else
        txn_expire(sh, t);
}

void budget_act(struct shard *sh, struct conn *c, clock_ns now)
{
    struct txn *t = c->txn;
    if (t == NULL || !txn_is_deciding(t))
        return;
    if (now >= t->budget_at || (t->state == TXN_COMMITTING && now >= gap_due(c))) {
        expire(sh, c);
        return;
    }
    if (may_open_replies(t) && now >= t->phases.end + OPEN_REPLIES_NS)
        txn_open_replies(t);
    if (t->is_opened && c->output != CONN_OUTPUT_LINKED && now >= t->life_at + LIFE_NS) {
        t->life_at = now;
        session_show_life(&c->session);
    }
    if (now >= gap_due(c)) {
        t->said_at = now; /* it leaves with this turn, or when he reads: the next has its time */
        note_end(sh, t);
        work_expire_next(sh, t);
    }
    if (c->state == CONN_OPEN)
        conn_resume(sh, c);
}
