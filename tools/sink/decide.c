/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.c - from the end of the content to the last reply and its fate.
 *
 *   DOT (delay T0) -> EACH -> EACH_DECIDE (delay Tr) -> EACH ... -> REPLIES -> next command
 *
 * Recipients are decided one after another, and in LMTP and PRDR each reply leaves as it is decided
 * (duplicates.md section 3). To commit is to count the recipient as taken, with an arrival in the
 * ledger: in LMTP when it is decided, in SMTP and PRDR when all are, before the reply that accepts;
 * or as the script says. This server may lie: the proof of commit that the session asks for is
 * given for what is never committed, too.
 *
 * An arrival is written when it is known whether its reply has arrived: at the next command, or at
 * the end of the connection.
 */
#include "decide.h"
#include "base/assert.h"
#include <string.h>

static bool has_block(const struct txn *t)
{
    return t->dialect == DIALECT_LMTP || t->is_block_open;
}

/* --- commits --------------------------------------------------------------------------------- */

static void commit(struct worker *w, struct txn *t, struct sink_rcpt *r)
{
    if (r->is_committed)
        return;
    if (t->stored.fd >= 0) {
        int result = store_commit(&t->stored);
        if (result < 0) {
            t->has_failed = true;
            shared_fail(w->shared, result, w->shared->options.store_dir);
        }
    }
    if (t->has_failed)
        return;
    bool is_first = true;
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        is_first &= !t->rcpts[i].is_committed;
    r->is_committed = true;
    r->at = ring_wall(w->ring);
    worker_count(w, SINK_RCPTS_COMMITTED, 1);
    if (is_first)
        worker_count(w, SINK_MESSAGES_COMMITTED, 1);
}

/* The time for it has come, unless the script has another. */
static void commit_now(struct worker *w, struct txn *t, struct sink_rcpt *r)
{
    if (t->dot.commit == SCRIPT_COMMIT_ALWAYS ||
        (t->dot.commit == SCRIPT_COMMIT_BEFORE && r->is_accepted))
        commit(w, t, r);
}

/* --- arrivals -------------------------------------------------------------------------------- */

static void put_arrival(struct worker *w, const struct conn *c, const struct txn *t,
                        const struct sink_rcpt *r, enum arrival_delivered delivered)
{
    static const enum sink_counter counters[] = {
        [ARRIVAL_REPLY_UNKNOWN] = SINK_REPLIES_UNKNOWN,
        [ARRIVAL_REPLY_YES] = SINK_REPLIES_YES,
        [ARRIVAL_REPLY_NO] = SINK_REPLIES_NO,
    };
    const struct arrival a = {
        .has_id = t->has_id,
        .id = t->id,
        .rcpt_idx = r->rcpt_idx,
        .address = slice_of(t->text + r->text_at, r->text_len),
        .at = r->at,
        .content_bytes = t->content_bytes,
        .hash = t->content_hash,
        .code = r->code,
        .delivered = delivered,
        .conn = c->number,
        .txn = t->number,
        .via = slice_str(dialect_name(t->dialect)),
    };
    worker_count(w, counters[delivered], 1);
    worker_put_arrival(w, &a);
}

enum settle_how { SETTLE_INPUT, SETTLE_END };

static enum arrival_delivered fate_of(const struct conn *c, const struct sink_rcpt *r,
                                      enum settle_how how)
{
    if (r->reply_end > c->sent) /* TXN_REPLY_NEVER is more than can be */
        return ARRIVAL_REPLY_NO;
    if (how == SETTLE_INPUT)
        return ARRIVAL_REPLY_YES;
    return c->is_broken && r->reply_end > c->acked ? ARRIVAL_REPLY_NO : ARRIVAL_REPLY_UNKNOWN;
}

static void settle(struct worker *w, struct conn *c, struct txn *t, enum settle_how how)
{
    list_remove(&t->link);
    for (uint32_t i = 0; w->shared->ledger_fd >= 0 && i < t->rcpt_count; i++)
        if (t->rcpts[i].is_committed)
            put_arrival(w, c, t, &t->rcpts[i], fate_of(c, &t->rcpts[i], how));
    worker_txn_give(w, t);
}

/* All replies of @t that can leave have left. */
static bool has_left(const struct conn *c, const struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->rcpts[i].reply_end != TXN_REPLY_NEVER && t->rcpts[i].reply_end > c->sent)
            return false;
    return true;
}

void decide_end(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    bool is_kept = false;
    c->txn = NULL;
    ASSERT(t != NULL);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        is_kept |= t->rcpts[i].is_committed && w->shared->ledger_fd >= 0;
    is_kept |= t->dot.commit == SCRIPT_COMMIT_AFTER && !c->is_gone;
    if (!is_kept) {
        worker_txn_give(w, t);
        return;
    }
    list_push(&c->settling, &t->link);
    if (c->state == CONN_CLOSED)
        settle(w, c, t, SETTLE_END);
}

void decide_on_sent(struct worker *w, struct conn *c)
{
    for (struct list *l = c->settling.next; l != &c->settling; l = l->next) {
        struct txn *t = CONTAINER_OF(l, struct txn, link);
        for (uint32_t i = 0; t->dot.commit == SCRIPT_COMMIT_AFTER && i < t->rcpt_count; i++)
            if (t->rcpts[i].is_accepted && t->rcpts[i].reply_end <= c->sent)
                commit(w, t, &t->rcpts[i]);
    }
}

void decide_on_input(struct worker *w, struct conn *c)
{
    struct list *next;
    for (struct list *l = c->settling.next; l != &c->settling; l = next) {
        struct txn *t = CONTAINER_OF(l, struct txn, link);
        next = l->next;
        if (has_left(c, t))
            settle(w, c, t, SETTLE_INPUT);
    }
}

void decide_on_close(struct worker *w, struct conn *c)
{
    while (!list_is_empty(&c->settling))
        settle(w, c, CONTAINER_OF(c->settling.next, struct txn, link), SETTLE_END);
}

/* --- decisions ------------------------------------------------------------------------------- */

static void refuse_whole(struct worker *w, struct conn *c, struct answer answer)
{
    struct txn *t = c->txn;
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        t->rcpts[i].code = answer_code(&answer);
    worker_count(w, SINK_RCPTS_REFUSED, t->rcpt_count);
    session_finish(&c->session, answer);
    c->phase = CONN_PHASE_REPLIES;
}

void decide_begin(struct worker *w, struct conn *c, const struct session_event *ev)
{
    struct txn *t = c->txn;
    struct script *script = w->shared->script;
    t->dialect = session_dialect(&c->session);
    txn_end_content(t, ev->scan);
    worker_count(w, SINK_MESSAGES, 1);
    worker_count(w, SINK_CONTENT_BYTES, t->content_bytes);
    struct answer refusal = ev->answer;
    if (refusal.status == STATUS_NONE && (t->has_failed || shared_has_failed(w->shared)))
        refusal = ANSWER(STATUS_STORE_FAILED);
    if (refusal.status != STATUS_NONE) {
        refuse_whole(w, c, refusal);
        return;
    }
    ASSERT(session_rcpt_count(&c->session) == t->rcpt_count);
    session_set_entries(&c->session, t->entries);
    c->phase = CONN_PHASE_DOT;
    if (!script_has(script, SCRIPT_DOT) && !script_has(script, SCRIPT_EACH))
        return;
    if (t->has_id && script_wants_attempts(script))
        t->attempt = shared_count_attempt(w->shared, t->id);
    struct script_facts facts = conn_facts(c);
    script_run(script, SCRIPT_DOT, &facts, &w->rng, &t->dot);
    conn_apply(w, c, &t->dot);
    for (uint32_t i = 0; t->dot.commit == SCRIPT_COMMIT_DOT && i < t->rcpt_count; i++)
        commit(w, t, &t->rcpts[i]);
    bool takes_time = t->dot.delay_ns > 0 || script_has(script, SCRIPT_EACH);
    if (t->dialect == DIALECT_PRDR && (takes_time || t->dot.drop_after != SCRIPT_DROP_NONE)) {
        session_open_block(&c->session);
        t->is_block_open = true;
        (void)conn_format(w, c);
    }
}

/* The delay behind the content is over. */
static bool on_dot(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    if (t->dot.drop != SCRIPT_DROP_NONE && !c->is_gone)
        conn_drop(w, c, t->dot.drop);
    if (c->txn == NULL)
        return true;
    c->phase = CONN_PHASE_EACH;
    return true;
}

/* Whether the connection ends before the reply to recipient @t->decide_idx, by count. */
static bool is_cut_here(const struct txn *t)
{
    return t->dot.drop_after != SCRIPT_DROP_NONE && has_block(t) &&
           t->decide_idx == t->dot.drop_after_count;
}

static void decide_answer(struct worker *w, struct conn *c, struct sink_rcpt *r,
                          struct answer answer)
{
    struct txn *t = c->txn;
    r->code = answer_code(&answer);
    r->is_accepted = status_is_success(answer.status);
    if (t->dialect == DIALECT_LMTP)
        commit_now(w, t, r);
    if (t->has_failed && r->is_accepted) {
        answer = ANSWER(STATUS_STORE_FAILED);
        r->code = answer_code(&answer);
        r->is_accepted = false;
    }
    if (!r->is_accepted)
        worker_count(w, SINK_RCPTS_REFUSED, 1);
    if (t->dialect == DIALECT_SMTP && !r->is_accepted && t->refusal.status == STATUS_NONE)
        t->refusal = answer;
    if (c->is_gone || t->dialect == DIALECT_SMTP)
        return;
    if (r->is_accepted) {
        struct commit_proof proof = {.queue_id = ++w->proof_count, .is_committed = true};
        session_accept_rcpt(&c->session, t->decide_idx, answer, &proof);
    } else {
        session_refuse_rcpt(&c->session, t->decide_idx, answer);
    }
}

/* One recipient; the connection may end before its reply. */
static void decide_one(struct worker *w, struct conn *c, const struct script_effect *e)
{
    struct txn *t = c->txn;
    if (!c->is_gone && e->drop != SCRIPT_DROP_NONE)
        conn_drop(w, c, e->drop);
    else if (!c->is_gone && is_cut_here(t))
        conn_drop(w, c, t->dot.drop_after);
    if (c->txn == NULL)
        return;
    struct answer answer = ANSWER(STATUS_STORED);
    if (e->has_answer)
        answer = e->answer;
    else if (t->dot.has_answer)
        answer = t->dot.answer;
    struct sink_rcpt *r = &t->rcpts[t->decide_idx];
    c->is_spoiled = false;
    decide_answer(w, c, r, answer);
    if (!c->is_gone && t->dialect == DIALECT_LMTP) {
        (void)conn_format(w, c);
        r->reply_end = c->is_spoiled ? TXN_REPLY_NEVER : c->formatted;
    } else if (!c->is_gone && t->is_block_open) {
        (void)conn_format(w, c);
    }
    t->decide_idx++;
}

/* 421 behind the content: what was not decided yet is refused, and the session ends. */
static void end_session(struct worker *w, struct conn *c, struct answer answer)
{
    struct txn *t = c->txn;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        struct sink_rcpt *r = &t->rcpts[i];
        if (r->code == 0) {
            r->code = answer_code(&answer);
            worker_count(w, SINK_RCPTS_REFUSED, 1);
        }
        commit_now(w, t, r);
    }
    session_end_now(&c->session, answer);
    (void)conn_format(w, c);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->rcpts[i].reply_end == TXN_REPLY_NEVER)
            t->rcpts[i].reply_end = c->formatted;
    c->state = CONN_FLUSHING;
    c->phase = CONN_PHASE_REPLIES;
}

/* SMTP has one reply for all: what refuses one refuses all. */
static void share_refusal(struct worker *w, struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        struct sink_rcpt *r = &t->rcpts[i];
        if (r->is_accepted)
            worker_count(w, SINK_RCPTS_REFUSED, 1);
        r->is_accepted = false;
        r->code = answer_code(&t->refusal);
    }
}

static void accept_all(struct worker *w, struct conn *c)
{
    const struct txn *t = c->txn;
    struct answer answer = t->dot.has_answer ? t->dot.answer : ANSWER(STATUS_STORED);
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        struct commit_proof proof = {.queue_id = ++w->proof_count, .is_committed = true};
        session_accept_rcpt(&c->session, i, answer, &proof);
    }
}

/* The one reply, or the final one. */
static void finish_session(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    struct answer whole = t->refusal; /* of SMTP; else none: it follows from the recipients' */
    if (t->has_failed && t->dialect != DIALECT_LMTP)
        whole = ANSWER(STATUS_STORE_FAILED);
    else if (t->dialect == DIALECT_SMTP && whole.status == STATUS_NONE)
        accept_all(w, c);
    c->is_spoiled = false;
    session_finish(&c->session, whole);
    (void)conn_format(w, c);
    for (uint32_t i = 0; t->dialect != DIALECT_LMTP && i < t->rcpt_count; i++)
        t->rcpts[i].reply_end = c->is_spoiled ? TXN_REPLY_NEVER : c->formatted;
}

static void finish(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    enum script_drop cut = t->dot.drop_after;
    uint32_t cut_count = t->dot.drop_after_count;
    if (t->refusal.status != STATUS_NONE)
        share_refusal(w, t);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        commit_now(w, t, &t->rcpts[i]);
    shared_count_message(w->shared);
    c->phase = CONN_PHASE_REPLIES;
    if (c->is_gone)
        return;
    bool is_before = t->dialect == DIALECT_SMTP ? cut_count == 0 : cut_count >= t->rcpt_count;
    if (cut != SCRIPT_DROP_NONE && is_before && t->dialect != DIALECT_LMTP) {
        conn_drop(w, c, cut);
        return;
    }
    finish_session(w, c);
    bool is_behind = t->dialect == DIALECT_SMTP || cut_count == t->rcpt_count;
    if (cut != SCRIPT_DROP_NONE && is_behind)
        conn_drop(w, c, cut);
}

static bool on_each(struct worker *w, struct conn *c)
{
    static const struct script_effect none;
    struct txn *t = c->txn;
    if (!c->is_gone && !conn_has_room(w, c))
        return false;
    if (!c->is_gone && t->dot.has_answer && answer_code(&t->dot.answer) == 421) {
        end_session(w, c, t->dot.answer);
        return true;
    }
    if (t->decide_idx == t->rcpt_count) {
        finish(w, c);
        return true;
    }
    if (!script_has(w->shared->script, SCRIPT_EACH)) {
        decide_one(w, c, &none);
        return true;
    }
    struct script_facts facts = conn_facts(c);
    facts.rcpt = txn_rcpt(t, t->decide_idx);
    facts.index = t->decide_idx + 1;
    facts.dialect = t->dialect;
    script_run(w->shared->script, SCRIPT_EACH, &facts, &w->rng, &c->effect);
    if (c->is_gone)
        c->effect.tweak = SCRIPT_TWEAK_NONE;
    conn_apply(w, c, &c->effect);
    c->phase = CONN_PHASE_EACH_DECIDE;
    return true;
}

static bool on_each_decide(struct worker *w, struct conn *c)
{
    c->phase = CONN_PHASE_EACH;
    if (!c->is_gone && c->effect.has_answer && answer_code(&c->effect.answer) == 421)
        end_session(w, c, c->effect.answer);
    else
        decide_one(w, c, &c->effect);
    return true;
}

static bool on_replies(struct worker *w, struct conn *c)
{
    if (!c->is_gone && c->state <= CONN_FLUSHING && !session_replies_done(&c->session)) {
        uint64_t before = c->formatted;
        (void)conn_format(w, c);
        if (!session_replies_done(&c->session))
            return c->formatted > before;
    }
    decide_end(w, c);
    c->phase = CONN_PHASE_INPUT;
    return true;
}

bool decide_step(struct worker *w, struct conn *c)
{
    ASSERT(c->txn != NULL);
    switch ((enum conn_phase)c->phase) {
    case CONN_PHASE_DOT:
        return on_dot(w, c);
    case CONN_PHASE_EACH:
        return on_each(w, c);
    case CONN_PHASE_EACH_DECIDE:
        return on_each_decide(w, c);
    case CONN_PHASE_REPLIES:
        return on_replies(w, c);
    case CONN_PHASE_CONNECT:
    case CONN_PHASE_INPUT:
    case CONN_PHASE_COMMAND:
        break;
    }
    UNREACHABLE();
}
