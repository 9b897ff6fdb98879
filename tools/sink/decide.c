/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.c - from the end of the content to the last reply and its fate.
 *
 *   ENDED -> DOT (delay T0) -> EACH -> EACH_DECIDE (delay Tr) -> EACH ... -> REPLIES -> next
 * command ADAT: ENDED -> DOT -> 355; DRCP ... are commands; ERCP -> EACH -> REPLIES
 *
 * Recipients are decided one after another, and where each has a reply it leaves as it is decided
 * (duplicates.md section 3), or all together in the end. To commit is to count the recipient as
 * taken, with an arrival in the ledger: where responsibility moves with a recipient's own reply, or
 * before all of them, when it is decided; where it moves with the last reply, when all are, before
 * that reply; or as the script says. This server may lie: the proof of commit that the session asks
 * for is given for what is never committed, too.
 *
 * An arrival is written when it is known whether its reply has arrived: at the next command, or at
 * the end of the connection.
 */
#include "decide.h"
#include "smtp/wrapped.h"
#include "base/assert.h"
#include <string.h>

static enum dialect_owner owner_of(const struct txn *t)
{
    return dialect_owner_of(t->dialect);
}

/* One reply for all: nobody can be refused without the others. */
static bool has_one_reply(const struct txn *t)
{
    return !dialect_has_list(t->dialect);
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
    /* A reset of our own may overtake the acknowledgement of what the client has read already. */
    bool is_lost = c->is_broken && c->drop != SCRIPT_DROP_RESET && r->reply_end > c->acked;
    return is_lost ? ARRIVAL_REPLY_NO : ARRIVAL_REPLY_UNKNOWN;
}

static bool is_refusal(const struct sink_rcpt *r)
{
    return r->code >= 400 && !r->is_committed;
}

/* HOL-13: he is the client's no more, and that he was refused is not known to have been read: the
 * server owes a notice, and has him in its ledger for that. */
static bool is_owed_notice(const struct conn *c, const struct txn *t, const struct sink_rcpt *r,
                           enum settle_how how)
{
    bool is_told = how == SETTLE_INPUT && r->own_end <= c->sent;
    return t->is_promised && t->dot.commit != SCRIPT_COMMIT_NEVER && is_refusal(r) && !is_told;
}

static void settle(struct worker *w, struct conn *c, struct txn *t, enum settle_how how)
{
    list_remove(&t->link);
    for (uint32_t i = 0; w->shared->ledger_fd >= 0 && i < t->rcpt_count; i++) {
        struct sink_rcpt *r = &t->rcpts[i];
        bool is_owed = is_owed_notice(c, t, r, how);
        if (is_owed) {
            r->at = ring_wall(w->ring);
            worker_count(w, SINK_NOTICES, 1);
        }
        if (r->is_committed || is_owed)
            put_arrival(w, c, t, r, fate_of(c, r, how));
    }
    worker_txn_give(w, t);
}

/* All replies of @t that can leave have left. */
static bool has_left(const struct conn *c, const struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        const struct sink_rcpt *r = &t->rcpts[i];
        if (r->reply_end != TXN_REPLY_NEVER && r->reply_end > c->sent)
            return false;
        if (r->own_end != TXN_REPLY_NEVER && r->own_end > c->sent)
            return false;
    }
    return true;
}

void decide_end(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    bool is_kept = false;
    c->txn = NULL;
    ASSERT(t != NULL);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        is_kept |= (t->rcpts[i].is_committed || (t->is_promised && is_refusal(&t->rcpts[i]))) &&
                   w->shared->ledger_fd >= 0;
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

/* --- whose reply it is ------------------------------------------------------------------------ */

static void set_reply_ends(struct txn *t, uint64_t end)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        t->rcpts[i].reply_end = end;
}

/* Line @line_idx of the replies, which ends at @end, is what makes somebody sure. */
static void note_line(struct txn *t, uint32_t line_idx, uint64_t end, bool has_block)
{
    uint32_t opener_count = has_block && dialect_has_opener(t->dialect);
    if (owner_of(t) == DIALECT_OWNER_FINAL)
        return;
    if (!has_block || owner_of(t) == DIALECT_OWNER_OPENER) {
        if (line_idx == 0)
            set_reply_ends(t, end);
        t->is_promised |= has_block && line_idx == 0;
        if (has_block && line_idx > 0 && line_idx <= t->rcpt_count)
            t->rcpts[line_idx - 1].own_end = end;
    } else if (line_idx >= opener_count && line_idx - opener_count < t->rcpt_count) {
        t->rcpts[line_idx - opener_count].reply_end = end;
    }
}

void decide_on_reply(struct conn *c, struct slice bytes, bool has_block)
{
    struct txn *t = c->txn;
    if (t->lines_said == 0 && t->lines_max > 0)
        t->lines_max += has_block && dialect_has_opener(t->dialect);
    for (size_t at = 0; at < bytes.len;) {
        bool is_life =
            has_block && slice_has_prefix_nocase(slice_from(bytes, at), XRCPT250_WORKING);
        at += slice_find(slice_from(bytes, at), '\n') + 1; /* each reply of ours is one line */
        if (is_life)
            continue;
        note_line(t, t->lines_said++, c->formatted + at, has_block);
        if (t->lines_said != t->lines_max)
            continue;
        t->dot.drop_replies = t->dot.drop_after;
        t->dot.drop_replies_bytes = t->answer_bytes + at;
    }
    if (!t->is_last_due || !session_replies_done(&c->session))
        return;
    t->is_last_due = false;
    if (owner_of(t) == DIALECT_OWNER_FINAL)
        set_reply_ends(t, c->formatted + bytes.len);
}

uint32_t decide_on_spoilt(struct conn *c, uint64_t start, int64_t growth, size_t len)
{
    struct txn *t = c->txn;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        uint64_t *const ends[] = {&t->rcpts[i].reply_end, &t->rcpts[i].own_end};
        for (size_t k = 0; k < ARRAY_COUNT(ends); k++) {
            if (*ends[k] == TXN_REPLY_NEVER || *ends[k] <= start)
                continue;
            *ends[k] = c->is_spoiled ? TXN_REPLY_NEVER : (uint64_t)((int64_t)*ends[k] + growth);
        }
    }
    t->answer_bytes += len;
    if (len == 0)
        return 0;
    if (t->dot.drop_replies == SCRIPT_DROP_NONE || t->answer_bytes < t->dot.drop_replies_bytes)
        return 0;
    c->cut = (uint8_t)t->dot.drop_replies;
    return (uint32_t)(t->answer_bytes - t->dot.drop_replies_bytes);
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
    t->dialect = session_dialect(&c->session);
    t->is_naming = ev->kind == EV_NAMING;
    txn_end_content(t, ev->scan);
    worker_count(w, SINK_MESSAGES, 1);
    worker_count(w, SINK_CONTENT_BYTES, t->content_bytes);
    t->whole = ev->answer;
    c->phase = CONN_PHASE_ENDED;
}

static void restart_life(struct worker *w, struct conn *c)
{
    uint64_t life_ns = c->txn->dot.life_ns;
    c->life_at = life_ns > 0 && session_has_block(&c->session) ? ring_now(w->ring) + life_ns : 0;
}

void decide_on_life(struct worker *w, struct conn *c)
{
    c->life_at = 0;
    if (c->txn == NULL || !session_has_block(&c->session))
        return;
    session_show_life(&c->session);
    (void)conn_format(w, c);
    restart_life(w, c);
}

/* Its replies begin to leave before all is decided. */
static void begin_stream(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    const struct script_effect *e = &t->dot;
    bool takes_time = e->delay_ns > 0 || script_has(w->shared->script, SCRIPT_EACH);
    if (e->pacing == SCRIPT_PACING_BUFFER) {
        c->is_withheld = true;
        return;
    }
    if (!takes_time && e->drop_after == SCRIPT_DROP_NONE && e->drop_replies == SCRIPT_DROP_NONE)
        return;
    session_force_block(&c->session);
    (void)conn_format(w, c);
    restart_life(w, c);
}

/* What was answered before it has been formatted: whatever is from now on is about this message. */
static bool on_ended(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    struct script *script = w->shared->script;
    if (!conn_format(w, c))
        return false;
    t->is_answering = true;
    struct answer refusal = t->whole;
    if (refusal.status == STATUS_NONE && (t->has_failed || shared_has_failed(w->shared)))
        refusal = ANSWER(STATUS_STORE_FAILED);
    if (refusal.status != STATUS_NONE) {
        t->is_last_due = true;
        refuse_whole(w, c, refusal);
        return true;
    }
    ASSERT(session_rcpt_count(&c->session) == t->rcpt_count);
    if (!t->is_naming)
        session_set_entries(&c->session, t->entries);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        t->rcpts[i].has_line = session_has_line(&c->session, i);
    c->phase = CONN_PHASE_DOT;
    if (script_has(script, SCRIPT_DOT) || script_has(script, SCRIPT_EACH)) {
        if (t->has_id && script_wants_attempts(script))
            t->attempt = shared_count_attempt(w->shared, t->id);
        struct script_facts facts = conn_facts(c);
        script_run(script, SCRIPT_DOT, &facts, &w->rng, &t->dot);
        conn_apply(w, c, &t->dot);
        for (uint32_t i = 0; t->dot.commit == SCRIPT_COMMIT_DOT && i < t->rcpt_count; i++)
            commit(w, t, &t->rcpts[i]);
    }
    if (!t->is_naming)
        begin_stream(w, c);
    return true;
}

/* ADAT: 355, or the whole message is refused (OTH-4). */
static void begin_naming(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    bool is_refused = t->dot.has_answer && !status_is_success(t->dot.answer.status);
    if (is_refused) {
        t->is_last_due = true;
        refuse_whole(w, c, t->dot.answer);
        return;
    }
    session_name_rcpts(&c->session);
    (void)conn_format(w, c);
    c->phase = CONN_PHASE_INPUT;
}

void decide_named(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    ASSERT(session_rcpt_count(&c->session) == t->rcpt_count);
    (void)w;
    session_set_entries(&c->session, t->entries);
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        t->rcpts[i].is_accepted = true;
        t->rcpts[i].code = 250;
    }
    t->decide_idx = t->rcpt_count;
    c->phase = CONN_PHASE_EACH;
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
    if (t->is_naming && c->is_gone)
        decide_end(w, c); /* OTH-7: nobody was named, and nobody will be */
    else if (t->is_naming && !(t->dot.has_answer && answer_code(&t->dot.answer) == 421))
        begin_naming(w, c);
    if (c->txn == NULL)
        c->phase = CONN_PHASE_INPUT;
    return true;
}

/* Whether the connection ends before the reply to recipient @t->decide_idx, by count. */
static bool is_cut_here(const struct conn *c)
{
    const struct txn *t = c->txn;
    return t->dot.drop_after != SCRIPT_DROP_NONE && t->dot.pacing == SCRIPT_PACING_STREAM &&
           session_has_block(&c->session) && t->rcpts[t->decide_idx].has_line &&
           t->line_idx == t->dot.drop_after_count;
}

/* He has no line of his own: what refuses him refuses the message (DEF-15). */
static bool is_bound_to_all(const struct txn *t)
{
    return !t->rcpts[t->decide_idx].has_line;
}

static void decide_answer(struct worker *w, struct conn *c, struct sink_rcpt *r,
                          struct answer answer)
{
    struct txn *t = c->txn;
    r->code = answer_code(&answer);
    r->is_accepted = status_is_success(answer.status);
    if (owner_of(t) != DIALECT_OWNER_FINAL)
        commit_now(w, t, r);
    if (t->has_failed && r->is_accepted) {
        answer = ANSWER(STATUS_STORE_FAILED);
        r->code = answer_code(&answer);
        r->is_accepted = false;
    }
    if (!r->is_accepted)
        worker_count(w, SINK_RCPTS_REFUSED, 1);
    if (is_bound_to_all(t) && !r->is_accepted && t->refusal.status == STATUS_NONE)
        t->refusal = answer;
    if (c->is_gone || has_one_reply(t))
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
    else if (!c->is_gone && is_cut_here(c))
        conn_drop(w, c, t->dot.drop_after);
    if (c->txn == NULL)
        return;
    struct answer answer = ANSWER(STATUS_STORED);
    if (e->has_answer)
        answer = e->answer;
    else if (t->dot.has_answer)
        answer = t->dot.answer;
    struct sink_rcpt *r = &t->rcpts[t->decide_idx];
    decide_answer(w, c, r, answer);
    if (!c->is_gone && !has_one_reply(t)) {
        t->line_idx += r->has_line;
        (void)conn_format(w, c);
        restart_life(w, c);
    }
    t->decide_idx++;
}

/* 421 behind the content: what was not decided yet is refused, and where the last reply counts,
 * all are; the session ends. */
static void end_session(struct worker *w, struct conn *c, struct answer answer)
{
    struct txn *t = c->txn;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        struct sink_rcpt *r = &t->rcpts[i];
        bool is_said = r->code != 0 && owner_of(t) != DIALECT_OWNER_FINAL;
        if (!is_said && (r->code == 0 || r->is_accepted))
            worker_count(w, SINK_RCPTS_REFUSED, 1);
        if (!is_said) {
            r->code = answer_code(&answer);
            r->is_accepted = false;
        }
        commit_now(w, t, r);
    }
    c->is_withheld = false;
    c->life_at = 0;
    t->is_last_due = true;
    session_end_now(&c->session, answer);
    (void)conn_format(w, c);
    c->state = CONN_FLUSHING;
    c->phase = CONN_PHASE_REPLIES;
}

/* What refuses one for whom only the whole message can be refused refuses all. */
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
    struct answer whole = ANSWER(STATUS_NONE); /* it follows from the recipients' */
    if (t->has_failed && owner_of(t) == DIALECT_OWNER_FINAL)
        whole = ANSWER(STATUS_STORE_FAILED);
    else if (has_one_reply(t))
        whole = t->refusal;
    if (has_one_reply(t) && whole.status == STATUS_NONE)
        accept_all(w, c);
    t->is_last_due = true;
    c->is_withheld = false;
    c->life_at = 0;
    session_finish(&c->session, whole);
    (void)conn_format(w, c);
}

/* drop-after K where its time is the end: the last reply is left out, or nothing more follows. */
static bool drop_before_last(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    uint32_t count = t->dot.drop_after_count;
    if (t->dot.drop_after == SCRIPT_DROP_NONE)
        return false;
    bool is_due = count == 0;
    if (t->dot.pacing == SCRIPT_PACING_BUFFER)
        t->lines_max = count;
    else if (t->is_naming)
        is_due = count >= t->rcpt_seen;
    else if (session_has_block(&c->session) && dialect_has_closer(t->dialect))
        is_due = count >= t->line_idx;
    else if (session_has_block(&c->session))
        is_due = false;
    if (is_due)
        conn_drop(w, c, t->dot.drop_after);
    return is_due;
}

static void finish(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    if (t->refusal.status != STATUS_NONE)
        share_refusal(w, t);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        commit_now(w, t, &t->rcpts[i]);
    shared_count_message(w->shared);
    c->phase = CONN_PHASE_REPLIES;
    if (c->is_gone || drop_before_last(w, c))
        return;
    bool has_block = session_has_block(&c->session);
    finish_session(w, c);
    bool is_behind = !has_block || t->dot.drop_after_count == t->line_idx;
    if (t->dot.drop_after != SCRIPT_DROP_NONE && t->dot.pacing == SCRIPT_PACING_STREAM && is_behind)
        conn_drop(w, c, t->dot.drop_after);
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
    if (c->is_gone || t->dot.pacing == SCRIPT_PACING_BUFFER)
        c->effect.tweak = SCRIPT_TWEAK_NONE; /* no reply leaves now */
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
    case CONN_PHASE_ENDED:
        return on_ended(w, c);
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
