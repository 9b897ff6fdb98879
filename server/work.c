/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work.c - owns the time between the content and the last decision, where deciding takes any.
 *
 * The work itself is only time (listener_options.content_delay, then the delay of each recipient's
 * class, one after another or side by side): what matters is when a verdict is known, and what can
 * be said and stored then. Verdicts are made at once and looked at when they are due.
 *
 * A recipient goes OPEN -> DECIDED -> STORING -> DONE; refused, OPEN -> DONE. What happens when one
 * is decided depends on where responsibility for him moves to us:
 *
 *   with his own reply (LMTP, EXDATA, the wrapped list): he is committed first, with those who
 *       were decided meanwhile. The first commit writes content and envelope, in which those who
 *       are still at work are marked as waiting; a small record takes each of them later
 *       (spool_take). So a crash at any instant leaves exactly those whose replies may have left.
 *   with the last reply (PRDR, DEFERRALS, INLINE-DSN): his line is a promise and leaves at once;
 *       one commit follows when everybody is decided (DUP-19).
 *   with the one reply for all (plain SMTP, ADAT): the same without lines.
 *
 * Invariants: at most one commit is under way; nobody is accepted but with its proof; the body is
 * the spool's while the work goes on, so that it holds no receive buffers.
 */
#include "work.h"
#include "conn.h"
#include "shard.h"
#include "txn.h"
#include "base/assert.h"

/* After the budget: for the one commit of those who had been decided. */
#define WORK_COMMIT_NS (5 * NS_PER_S)
/* Work that is over sooner opens no block: one reply is preferred (PRDR-13). */
#define WORK_SHORT_NS NS_PER_S

static struct session *session_of(struct txn *t)
{
    return t->conn != NULL && !t->has_one_reply ? &t->conn->session : NULL;
}

static bool is_stored_later(const struct txn *t, uint32_t i)
{
    return t->rcpts[i].stage == TXN_STAGE_DECIDED && txn_verdict_is_stored(&t->verdicts[i]);
}

/* --- beginning ------------------------------------------------------------------------------- */

static bool has_work(const struct txn *t)
{
    if (t->whole.status != STATUS_NONE || !t->listener->may_delay)
        return false;
    if (t->listener->content_delay.kind != DELAY_NONE)
        return true;
    bool has_delays = policy_has_delays(t->epoch->policy);
    for (uint32_t i = 0; has_delays && i < t->rcpt_count; i++)
        if (policy_class(t->epoch->policy, t->rcpts[i].class_idx)->delay.kind != DELAY_NONE)
            return true;
    return false;
}

/* Draws all durations; returns when the last ends. */
static clock_ns plan(struct txn *t, clock_ns now)
{
    struct rng rng;
    rng_init(&rng, t->message.proof.queue_id);
    t->work_at = now + delay_sample(&t->listener->content_delay, &rng);
    clock_ns last = t->work_at;
    clock_ns begin = t->work_at;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        struct txn_rcpt *r = &t->rcpts[i];
        const struct policy_class *class = policy_class(t->epoch->policy, r->class_idx);
        r->due = begin + delay_sample(&class->delay, &rng);
        r->stage = TXN_STAGE_OPEN;
        r->is_waiting = false;
        r->is_taken = false;
        if (!t->listener->works_side_by_side)
            begin = r->due;
        last = u64_max(last, r->due);
    }
    return last;
}

static void open_block(struct shard *sh, struct txn *t)
{
    struct session *s = session_of(t);
    if (s == NULL || session_has_block(s))
        return;
    session_open_block(s);
    if (session_has_block(s)) {
        t->is_opened = true;
        t->life_at = t->said_at = ring_now(sh->ring);
    }
}

static void work_step(struct shard *sh, struct txn *t);

bool work_begin(struct shard *sh, struct txn *t)
{
    if (!has_work(t))
        return false;
    txn_hand_over(sh, t);
    if (t->is_dropping) {
        t->whole = t->store_answer;
        return false;
    }
    clock_ns now = ring_now(sh->ring);
    txn_make_verdicts(t, t->conn);
    t->has_one_reply |= t->is_naming;
    t->takes_each = !t->has_one_reply && !session_may_promise(&t->conn->session);
    t->is_esmtp = session_is_esmtp(&t->conn->session);
    t->peer = *conn_client_address(t->conn);
    txn_keep_helo(sh, t);
    txn_begin_entries(t);
    t->state = TXN_WORKING;
    t->is_opened = session_has_block(&t->conn->session);
    t->life_at = t->said_at = now;
    t->is_long = plan(t, now) - now > WORK_SHORT_NS;
    if (t->is_long && session_reply_gap(&t->conn->session) == CLOCK_NEVER)
        open_block(sh, t); /* PRDR-17, HOL-9; DEFERRALS after the work on the content (DEF-19) */
    work_step(sh, t);
    return true;
}

/* --- one recipient --------------------------------------------------------------------------- */

/* He accepts, and nothing is stored yet: the text does not say that it is. */
static struct answer promise_answer(const struct policy_verdict *v)
{
    struct answer answer = v->answer;
    if (answer.text.len == 0)
        answer.text = SLICE_LIT("accepted");
    return answer;
}

/* His verdict is known now. */
static void rcpt_decide(struct txn *t, uint32_t i)
{
    static const struct commit_proof nothing_owed = {.queue_id = 1, .is_committed = true};
    const struct policy_verdict *v = &t->verdicts[i];
    struct session *s = session_of(t);
    struct txn_rcpt *r = &t->rcpts[i];
    r->stage = txn_verdict_is_stored(v) ? TXN_STAGE_DECIDED : TXN_STAGE_DONE;
    if (s == NULL)
        return;
    if (r->stage == TXN_STAGE_DECIDED && !t->takes_each)
        session_promise_rcpt(s, i, promise_answer(v));
    else if (v->action == POLICY_DISCARD)
        session_accept_rcpt(s, i, txn_accept_answer(t, v), &nothing_owed);
    else if (r->stage == TXN_STAGE_DONE)
        session_refuse_rcpt(s, i, v->answer);
}

/* He is told @answer, whatever his verdict was. */
static void rcpt_defer(struct txn *t, uint32_t i, struct answer answer)
{
    struct session *s = session_of(t);
    txn_defer_rcpt(t, i, answer);
    t->rcpts[i].stage = TXN_STAGE_DONE;
    if (s != NULL)
        session_refuse_rcpt(s, i, answer);
}

static void rcpts_defer(struct txn *t, bool is_all, struct answer answer)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        uint8_t stage = t->rcpts[i].stage;
        if (stage == TXN_STAGE_OPEN || (is_all && stage != TXN_STAGE_DONE))
            rcpt_defer(t, i, answer);
    }
}

/* --- commits --------------------------------------------------------------------------------- */

/* Content, envelope, those who are decided, and those who are waiting. */
static void store_first(struct shard *sh, struct txn *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        struct txn_rcpt *r = &t->rcpts[i];
        if (!is_stored_later(t, i) && r->stage != TXN_STAGE_OPEN)
            continue;
        sh->rcpt_scratch[count] = txn_spool_rcpt(t, i);
        r->is_waiting = r->stage == TXN_STAGE_OPEN;
        if (r->is_waiting)
            sh->rcpt_scratch[count].state = SPOOL_RCPT_WAITING;
        else
            r->stage = TXN_STAGE_STORING;
        r->stored_idx = count++;
    }
    t->is_storing = true;
    txn_commit(sh, t, sh->rcpt_scratch, count);
}

static struct spool_change *changes_scratch(struct shard *sh)
{
    static_assert(sizeof(struct spool_change) <= sizeof(struct spool_rcpt), "it has room");
    return (struct spool_change *)(void *)sh->rcpt_scratch;
}

static void store_more(struct shard *sh, struct txn *t)
{
    struct spool_change *changes = changes_scratch(sh);
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        if (!is_stored_later(t, i))
            continue;
        ASSERT(t->rcpts[i].is_waiting);
        bool is_held = t->verdicts[i].action == POLICY_QUARANTINE;
        changes[count++] =
            (struct spool_change){.op = is_held ? SPOOL_RESULT_TAKE_HELD : SPOOL_RESULT_TAKE,
                                  .rcpt_idx = t->rcpts[i].stored_idx};
        t->rcpts[i].stage = TXN_STAGE_STORING;
        t->rcpts[i].is_taken = true;
    }
    t->is_storing = true;
    spool_take(sh->spool, &t->message, changes, count, ring_wall(sh->ring));
}

/* Those who were waiting at the commit, and were not taken. */
static void forget_refused(struct shard *sh, struct txn *t)
{
    struct spool_change *changes = changes_scratch(sh);
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->rcpts[i].is_waiting && !t->rcpts[i].is_taken)
            changes[count++] = (struct spool_change){SPOOL_RESULT_REFUSE, t->rcpts[i].stored_idx};
    if (count > 0)
        spool_refuse(sh->spool, t->message.proof.queue_id, changes, count, ring_wall(sh->ring));
}

/* Nothing of the commit that is under way counts, nor will: so those in it can be refused. */
static void rcpts_untake(struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->rcpts[i].stage == TXN_STAGE_STORING)
            t->rcpts[i].is_taken = false;
}

void work_on_outcome(struct shard *sh, struct txn *t)
{
    ASSERT(t->state == TXN_WORKING && t->is_storing);
    t->is_storing = false;
    t->phases.committed = ring_now(sh->ring);
    struct session *s = session_of(t);
    if (t->message.outcome != SPOOL_STORED) {
        if (!t->message.is_in_doubt)
            rcpts_untake(t);
        rcpts_defer(t, true, txn_answer_for_outcome(t->message.outcome));
        if (t->message.is_in_doubt && t->conn != NULL) { /* no reply would be true */
            t->state = TXN_COMMITTING;
            conn_drop(sh, t->conn, "store in doubt");
        }
    } else {
        t->is_committed = true;
    }
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        if (t->rcpts[i].stage != TXN_STAGE_STORING)
            continue;
        t->rcpts[i].stage = TXN_STAGE_DONE;
        if (s != NULL)
            session_accept_rcpt(s, i, txn_accept_answer(t, &t->verdicts[i]), &t->message.proof);
    }
    work_step(sh, t);
}

/* --- steps ----------------------------------------------------------------------------------- */

/* Decides whoever is due. Return: when the next is; CLOCK_NEVER: nobody is at work any more. */
static clock_ns decide_due(struct txn *t, clock_ns now)
{
    clock_ns next = CLOCK_NEVER;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        if (t->rcpts[i].stage != TXN_STAGE_OPEN)
            continue;
        if (t->rcpts[i].due <= now)
            rcpt_decide(t, i);
        else
            next = u64_min(next, t->rcpts[i].due);
    }
    return next;
}

static bool has_to_store(const struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (is_stored_later(t, i))
            return true;
    return false;
}

static bool has_refusal(const struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->rcpts[i].stage == TXN_STAGE_DONE && !txn_verdict_is_stored(&t->verdicts[i]))
            return true;
    return false;
}

/* Somebody was accepted by RCPT, has no line in the block, and no answer in time: only the last
 * reply can tell, so it will be negative for all (DEF-15). */
static bool has_lost_silently(struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count && session_of(t) != NULL; i++)
        if (t->verdicts[i].action == POLICY_DEFER && !session_has_line(&t->conn->session, i))
            return true;
    return false;
}

/* Everybody is decided, and what had to be stored before its reply is. */
static void work_end(struct shard *sh, struct txn *t)
{
    struct conn *c = t->conn;
    timer_disarm(&t->timer);
    if (has_lost_silently(t))
        rcpts_defer(t, true, ANSWER(STATUS_DECISION_TIMEOUT));
    if (!t->takes_each) {
        txn_commit_decided(sh, t);
        if (c != NULL)
            conn_resume(sh, c);
        return;
    }
    if (t->phases.decided == 0)
        t->phases.decided = ring_now(sh->ring);
    if (t->is_committed)
        forget_refused(sh, t);
    if (!t->spool_begun)
        txn_reply(sh, t, ANSWER(STATUS_NONE));
    else
        txn_commit_decided(sh, t); /* nobody to be stored: it answers at once */
}

/* Where replies are held back until all are ready, a block that was opened shows nothing more, and
 * the dialect's time between replies would run all the same: it opens with the outcome (DEF-20). */
static bool opens_with_outcome(const struct txn *t)
{
    return t->listener->pacing == PACING_BATCH && t->conn != NULL &&
           session_reply_gap(&t->conn->session) != CLOCK_NEVER;
}

static void work_step(struct shard *sh, struct txn *t)
{
    clock_ns now = ring_now(sh->ring);
    clock_ns next = decide_due(t, now);
    bool is_all_decided = next == CLOCK_NEVER;
    if (now < t->work_at)
        next = t->work_at;
    else if (!is_all_decided && !opens_with_outcome(t) &&
             (t->takes_each ? has_refusal(t) : t->is_long))
        open_block(sh, t); /* EXD-10, DEF-19 */
    if (is_all_decided && t->phases.decided == 0)
        t->phases.decided = now;
    bool is_streaming = session_of(t) != NULL && session_has_block(session_of(t));
    if (t->takes_each && !t->is_storing && has_to_store(t) && (is_streaming || is_all_decided)) {
        if (t->is_committed)
            store_more(sh, t);
        else
            store_first(sh, t);
    }
    if (is_all_decided && !t->is_storing) {
        work_end(sh, t);
        return;
    }
    if (next != CLOCK_NEVER)
        timer_arm(&sh->timers, &t->timer, next);
    if (t->conn != NULL)
        conn_resume(sh, t->conn); /* what became ready leaves with this turn */
}

void work_on_timer(struct shard *sh, struct txn *t)
{
    ASSERT(t->state == TXN_WORKING);
    work_step(sh, t);
}

/* --- no more time ---------------------------------------------------------------------------- */

void work_expire(struct shard *sh, struct txn *t)
{
    ASSERT(t->state == TXN_WORKING);
    bool is_void = t->is_storing && t->message.outcome == SPOOL_PENDING;
    if (is_void) {
        if (!spool_is_written(&t->message))
            rcpts_untake(t); /* else what is stored of it is removed */
        spool_void(sh->spool, &t->message);
        t->is_storing = false;
        t->is_draining = true;
        t->is_void = true;
    }
    /* After a commit that was taken back no other can follow. */
    rcpts_defer(t, is_void, ANSWER(STATUS_DECISION_TIMEOUT));
    t->work_at = 0;
    t->budget_at = ring_now(sh->ring) + WORK_COMMIT_NS;
    work_step(sh, t);
}

void work_expire_next(struct shard *sh, struct txn *t)
{
    uint32_t i = 0;
    ASSERT(t->state == TXN_WORKING);
    while (i < t->rcpt_count &&
           (t->rcpts[i].stage != TXN_STAGE_OPEN || !session_has_line(&t->conn->session, i)))
        i++;
    if (i == t->rcpt_count) { /* it is the last reply that is due */
        work_expire(sh, t);
        return;
    }
    rcpt_defer(t, i, ANSWER(STATUS_DECISION_TIMEOUT));
    work_step(sh, t);
}

void work_vanish(struct shard *sh, struct txn *t)
{
    ASSERT(t->state == TXN_WORKING && t->conn != NULL);
    t->is_client_gone = true;
    if (t->listener->finishes_vanished && !sh->is_drain_forced) {
        t->conn->txn = NULL;
        t->conn = NULL;
        return;
    }
    bool is_back = t->is_storing && txn_take_back(sh, t);
    if (!t->is_committed && (is_back || !t->is_storing)) {
        txn_abort(sh, t, "connection lost");
        return;
    }
    t->conn->txn = NULL;
    t->conn = NULL;
    if (is_back) {
        rcpts_untake(t);
        t->is_storing = false;
    }
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->rcpts[i].stage != TXN_STAGE_DONE &&
            (is_back || t->rcpts[i].stage != TXN_STAGE_STORING))
            rcpt_defer(t, i, ANSWER(STATUS_PEER_GONE));
    t->work_at = 0;
    work_step(sh, t);
}
