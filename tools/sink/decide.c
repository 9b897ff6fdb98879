/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.c - from the end of the content to the last reply.
 *
 *   ENDED -> WORK -> REPLIES -> next command
 *   WORK:  PLACE (in line) -> BEFORE (T0) -> EACH (Tr) -> FINAL (Tf) -> WRITE -> DONE
 *   ADAT:  BEFORE -> 355; DRCP ... are commands; ERCP -> EACH -> FINAL -> WRITE
 *
 * Recipients are decided one after another, or all at once, and where each has a reply it leaves as
 * he is decided and those before him are (duplicates.md section 3), or all leave together in the
 * end. Where responsibility moves with a recipient's own reply he is committed when he is decided;
 * where it moves with the last reply all are, before that reply; or as the script says. A commit
 * may take time, and the next recipient's work waits for it. This server may lie: the proof of
 * commit that the session asks for is given for what is never committed, too.
 *
 * What is going on has a time at which it is over, in the transaction; decide_step() does what is
 * over, in order of these times, each as if it were done at its time: waking up a little late does
 * not add up. At one time work comes before limits.
 *
 * A client that has left is seen by a server that looks: before each piece of work, and before each
 * commit. What is being worked on or written at that moment is finished; where nobody waits for its
 * place, and nothing is learnt from it, to forget work at once makes no difference.
 */
#include "decide.h"
#include "taken.h"
#include "base/assert.h"

#define LATENESS_NS_MAX (50 * NS_PER_MS)
#define LOOK_NS (24 * 3600 * NS_PER_S) /* nothing is due before, but a place */

static enum dialect_owner owner_of(const struct txn *t)
{
    return dialect_owner_of(t->dialect);
}

/* One reply for all: nobody can be refused without the others. */
static bool has_one_reply(const struct txn *t)
{
    return !dialect_has_list(t->dialect);
}

/* Somebody is asked who is to be taken. */
static bool has_each(const struct worker *w)
{
    return script_has(w->shared->script, SCRIPT_EACH);
}

/* Everybody is committed before the line that opens the list. */
static bool commits_by_opener(const struct txn *t)
{
    return t->dot.commit == SCRIPT_COMMIT_OPENER && owner_of(t) == DIALECT_OWNER_OPENER &&
           t->dot.pacing == SCRIPT_PACING_STREAM && !has_one_reply(t);
}

/* Each is committed before his own line. */
static bool commits_by_reply(const struct txn *t)
{
    return owner_of(t) != DIALECT_OWNER_FINAL && t->dot.commit != SCRIPT_COMMIT_END &&
           !commits_by_opener(t);
}

/* What follows begins when what was done last was over. Who is very late was held up by the client
 * or by a stall, and begins anew. */
static clock_ns base_of(const struct worker *w, const struct txn *t)
{
    clock_ns now = ring_now(w->ring);
    return now - t->due_at <= LATENESS_NS_MAX ? t->due_at : now;
}

static clock_ns write_ns(struct worker *w, const struct txn *t)
{
    return t->dot.write != NULL ? dist_draw(t->dot.write, &w->rng) : 0;
}

/* --- the end of it ---------------------------------------------------------------------------- */

static bool is_writing(const struct txn *t)
{
    return t->writing_count > 0 || t->is_writing_opener || t->stage == TXN_WRITE;
}

static bool must_stop(const struct conn *c)
{
    const struct txn *t = c->txn;
    return c->is_gone &&
           (t->dot.gone == SCRIPT_GONE_STOP || (t->dot.gone == SCRIPT_GONE_WRITE && t->is_unheard));
}

/* What the script says of recipient @idx, who was not asked about yet. */
static void ask(struct worker *w, struct conn *c, uint32_t idx, struct script_effect *ret_effect)
{
    struct txn *t = c->txn;
    *ret_effect = (struct script_effect){0};
    if (!has_each(w))
        return;
    struct script_facts facts = conn_facts(c);
    facts.rcpt = txn_rcpt(t, idx);
    facts.index = idx + 1;
    facts.dialect = t->dialect;
    script_run(w->shared->script, SCRIPT_EACH, &facts, &w->rng, ret_effect);
    t->rcpts[idx].has_answer = ret_effect->has_answer;
    t->rcpts[idx].answer = ret_effect->answer;
}

static struct answer answer_of(const struct txn *t, const struct sink_rcpt *r)
{
    if (r->has_answer)
        return r->answer;
    return t->dot.has_answer ? t->dot.answer : ANSWER(STATUS_STORED);
}

/* The message was taken as a whole: what becomes of whom nobody got to know (HOL-12). */
static void decide_unknown(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        struct sink_rcpt *r = &t->rcpts[i];
        struct script_effect e;
        if (r->work == TXN_WORK_DECIDED)
            continue;
        if (r->work == TXN_WORK_NONE)
            ask(w, c, i, &e);
        struct answer answer = answer_of(t, r);
        r->code = answer_code(&answer);
        if (status_is_success(answer.status))
            taken_commit(w, t, r);
    }
}

void decide_end(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    ASSERT(t != NULL);
    if (t->is_opener_written)
        decide_unknown(w, c);
    place_leave(w->shared->places, &t->place);
    taken_end(w, c);
}

static void end_alone(struct worker *w, struct conn *c)
{
    decide_end(w, c);
    c->phase = CONN_PHASE_INPUT;
    c->wait_until = 0;
}

void decide_on_gone(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    t->is_unheard |= c->drop == SCRIPT_DROP_NONE;
    if (!must_stop(c))
        return;
    bool holds_place = w->shared->places != NULL && t->place.is_at_hand;
    bool is_learning = t->dot.is_scan_once && t->stage == TXN_BEFORE;
    if (!is_writing(t) && !holds_place && !is_learning) /* else at the next look */
        end_alone(w, c);
}

/* The look at the connection; true: nothing more is done. */
static bool look(struct conn *c)
{
    c->txn->is_dropping |= must_stop(c);
    return c->txn->is_dropping;
}

/* --- opening a list --------------------------------------------------------------------------- */

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

/* What can be formatted is, and times of silence begin anew. */
static void show(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    (void)conn_format(w, c);
    restart_life(w, c);
    if (t->dot.gap_ns > 0 && session_has_block(&c->session))
        t->gap_at = t->answered_at + t->dot.gap_ns;
}

/* The list may be begun now; by force where that says what is not known yet. */
static void open_list(struct worker *w, struct conn *c, bool by_force)
{
    struct txn *t = c->txn;
    bool is_early = commits_by_opener(t) && !t->is_opener_written;
    if (c->is_gone || is_early || c->is_withheld || session_has_block(&c->session))
        return;
    if (by_force)
        session_force_block(&c->session);
    else
        session_open_block(&c->session);
    if (!session_has_block(&c->session))
        return;
    t->answered_at = t->due_at;
    show(w, c);
}

/* As an honest server does it, which is what "opener" asks for. */
static void open_honestly(struct worker *w, struct conn *c)
{
    open_list(w, c, owner_of(c->txn) == DIALECT_OWNER_OPENER);
}

static uint32_t line_count(const struct txn *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        count += t->rcpts[i].has_line;
    return count;
}

/* Its replies begin to leave before all is decided. */
static void begin_stream(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    const struct script_effect *e = &t->dot;
    if (e->pacing == SCRIPT_PACING_BUFFER) {
        c->is_withheld = true;
        return;
    }
    if (e->drop_after != SCRIPT_DROP_NONE && e->drop_after_count < line_count(t))
        t->lines_max = e->drop_after_count; /* 0 is seen when the first one is decided */
    if (commits_by_opener(t)) {
        t->is_writing_opener = true;
        t->opener_written_at = t->due_at + write_ns(w, t);
    }
    if (e->has_opener) {
        t->opener_at = e->opener_ns != UINT64_MAX ? t->dot_at + e->opener_ns : CLOCK_NEVER;
        return;
    }
    bool takes_time = e->delay_ns > 0 || e->final_ns > 0 || e->write != NULL || has_each(w) ||
                      w->shared->places != NULL;
    if (takes_time || e->drop_after != SCRIPT_DROP_NONE || e->drop_replies != SCRIPT_DROP_NONE)
        open_list(w, c, true);
}

/* --- the end of the content ------------------------------------------------------------------- */

static void refuse_whole(struct worker *w, struct conn *c, struct answer answer)
{
    struct txn *t = c->txn;
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        t->rcpts[i].code = answer_code(&answer);
    worker_count(w, SINK_RCPTS_REFUSED, t->rcpt_count);
    place_leave(w->shared->places, &t->place);
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

/* Work on the content begins. */
static void begin_before(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    bool is_known =
        t->dot.is_scan_once && t->has_id && memory_was_scanned(w->shared->memory, t->id);
    t->stage = TXN_BEFORE;
    t->stage_at =
        base_of(w, t) + (is_known ? 0 : place_work_ns(w->shared->places, t->dot.delay_ns));
}

static void decided(struct worker *w, struct conn *c, uint32_t idx);

static void begin_work(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    c->phase = CONN_PHASE_WORK;
    for (uint32_t i = 0; !t->is_naming && i < t->rcpt_count; i++) {
        t->rcpts[i].is_suppressed = decide_is_suppressed(w, t, i);
        if (t->rcpts[i].is_suppressed)
            decided(w, c, i);
    }
    if (t->rcpt_count > 0 && t->decided_count == t->rcpt_count)
        t->stage = TXN_EACH; /* nothing to do */
    else if (place_enter(w->shared->places, &t->place))
        begin_before(w, c);
    else
        t->stage = TXN_PLACE;
}

static void ask_dot(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    struct script *script = w->shared->script;
    if (!script_has(script, SCRIPT_DOT) && !script_has(script, SCRIPT_EACH))
        return;
    if (t->has_id && script_wants_attempts(script))
        t->attempt = memory_count_attempt(w->shared->memory, t->id);
    struct script_facts facts = conn_facts(c);
    script_run(script, SCRIPT_DOT, &facts, &w->rng, &t->dot);
    conn_apply(w, c, &t->dot);
    for (uint32_t i = 0; t->dot.commit == SCRIPT_COMMIT_DOT && i < t->rcpt_count; i++)
        taken_commit(w, t, &t->rcpts[i]);
}

/* What was answered before it has been formatted: whatever is from now on is about this message. */
static bool on_ended(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
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
    t->dot_at = t->due_at = t->answered_at = ring_now(w->ring);
    ask_dot(w, c);
    if (t->dot.budget_ns > 0 && !t->is_naming)
        t->budget_at = t->dot_at + t->dot.budget_ns;
    if (!t->is_naming)
        begin_stream(w, c);
    begin_work(w, c);
    return true;
}

void decide_on_place(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    ASSERT(t->stage == TXN_PLACE);
    t->due_at = ring_now(w->ring);
    if (!look(c))
        begin_before(w, c);
    c->wait_until = 0;
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
    session_set_entries(&c->session, t->entries);
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        t->rcpts[i].is_accepted = true;
        t->rcpts[i].code = 250;
        t->rcpts[i].work = TXN_WORK_DECIDED;
    }
    t->begun_count = t->decided_count = t->rcpt_count;
    t->due_at = ring_now(w->ring);
    t->stage = TXN_EACH;
    c->phase = CONN_PHASE_WORK;
}

bool decide_is_suppressed(const struct worker *w, const struct txn *t, uint32_t idx)
{
    return t->dot.suppress_ns > 0 && t->has_id &&
           memory_has_copy(w->shared->memory, t->id, txn_rcpt(t, idx), ring_now(w->ring),
                           t->dot.suppress_ns);
}

/* --- one recipient ---------------------------------------------------------------------------- */

/* Whether the connection ends before the first reply. */
static bool is_cut_here(const struct conn *c, const struct sink_rcpt *r)
{
    const struct txn *t = c->txn;
    return t->dot.drop_after != SCRIPT_DROP_NONE && t->dot.drop_after_count == 0 &&
           t->dot.pacing == SCRIPT_PACING_STREAM && session_has_block(&c->session) && r->has_line;
}

static void commit_now(struct worker *w, struct txn *t, struct sink_rcpt *r)
{
    switch (t->dot.commit) {
    case SCRIPT_COMMIT_ALWAYS:
        taken_commit(w, t, r);
        return;
    case SCRIPT_COMMIT_BEFORE:
    case SCRIPT_COMMIT_END:
    case SCRIPT_COMMIT_OPENER:
        if (r->is_accepted)
            taken_commit(w, t, r);
        return;
    case SCRIPT_COMMIT_AFTER:
    case SCRIPT_COMMIT_DOT:
    case SCRIPT_COMMIT_NEVER:
        return;
    }
    UNREACHABLE();
}

static void tell_session(struct worker *w, struct conn *c, uint32_t idx)
{
    struct sink_rcpt *r = &c->txn->rcpts[idx];
    if (r->is_accepted) {
        struct commit_proof proof = {.queue_id = ++w->proof_count, .is_committed = true};
        session_accept_rcpt(&c->session, idx, r->answer, &proof);
    } else {
        session_refuse_rcpt(&c->session, idx, r->answer);
    }
}

/* A line would have left, if somebody were there: EXDATA has none where all is well (EXD-10). */
static bool would_show(const struct conn *c)
{
    const struct txn *t = c->txn;
    bool has_refused = false;
    for (uint32_t i = 0; i < t->answered_idx; i++)
        has_refused |= !t->rcpts[i].is_accepted;
    bool is_begun = session_has_block(&c->session) || t->dialect != DIALECT_EXDATA || has_refused;
    return is_begun && t->dot.pacing == SCRIPT_PACING_STREAM;
}

/* What would have left is nobody's to read; times of silence begin anew all the same. */
static void say_nothing(struct conn *c, bool is_first)
{
    struct txn *t = c->txn;
    if (!is_first || !would_show(c))
        return;
    t->is_unheard = true;
    t->answered_at = t->due_at;
    if (t->dot.gap_ns > 0)
        t->gap_at = t->answered_at + t->dot.gap_ns;
}

static void answer_rcpt(struct worker *w, struct conn *c, uint32_t idx)
{
    struct txn *t = c->txn;
    bool is_first = idx == t->answered_idx; /* with those behind him that are decided */
    while (t->answered_idx < t->rcpt_count && t->rcpts[t->answered_idx].work == TXN_WORK_DECIDED)
        t->answered_idx++;
    if (has_one_reply(t))
        return;
    if (c->is_gone) {
        say_nothing(c, is_first);
        return;
    }
    tell_session(w, c, idx);
    t->line_idx += t->rcpts[idx].has_line;
    if (t->dot.has_opener)
        open_honestly(w, c);
    show(w, c);
}

/* He is decided, and written where that must come first. */
static void decided(struct worker *w, struct conn *c, uint32_t idx)
{
    struct txn *t = c->txn;
    struct sink_rcpt *r = &t->rcpts[idx];
    struct answer answer = answer_of(t, r);
    r->work = TXN_WORK_DECIDED;
    t->decided_count++;
    r->code = answer_code(&answer);
    r->is_accepted = status_is_success(answer.status);
    if (commits_by_reply(t) || t->is_opener_written)
        commit_now(w, t, r);
    if (t->has_failed && r->is_accepted) {
        answer = ANSWER(STATUS_STORE_FAILED);
        r->code = answer_code(&answer);
        r->is_accepted = false;
    }
    r->answer = answer;
    r->has_answer = true;
    if (!r->is_accepted)
        worker_count(w, SINK_RCPTS_REFUSED, 1);
    /* He has no line of his own: what refuses him refuses the message (DEF-15). */
    if (!r->has_line && !r->is_accepted && t->refusal.status == STATUS_NONE)
        t->refusal = answer;
    answer_rcpt(w, c, idx);
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
            r->work = TXN_WORK_DECIDED;
        }
        commit_now(w, t, r);
    }
    c->is_withheld = false;
    c->life_at = 0;
    t->is_last_due = true;
    place_leave(w->shared->places, &t->place);
    session_end_now(&c->session, answer);
    (void)conn_format(w, c);
    c->state = CONN_FLUSHING;
    c->phase = CONN_PHASE_REPLIES;
}

/* His work is over; the connection may end before his reply. */
static void rcpt_over(struct worker *w, struct conn *c, uint32_t idx)
{
    struct txn *t = c->txn;
    struct sink_rcpt *r = &t->rcpts[idx];
    if (!c->is_gone && r->has_answer && answer_code(&r->answer) == 421) {
        end_session(w, c, r->answer);
        return;
    }
    if (!c->is_gone && r->drop != SCRIPT_DROP_NONE)
        conn_drop(w, c, (enum script_drop)r->drop);
    else if (!c->is_gone && is_cut_here(c, r))
        conn_drop(w, c, t->dot.drop_after);
    if (c->txn == NULL)
        return;
    struct answer answer = answer_of(t, r);
    bool is_commit_due = status_is_success(answer.status) || t->dot.commit == SCRIPT_COMMIT_ALWAYS;
    if (commits_by_reply(t) && is_commit_due) {
        if (look(c))
            return;
        clock_ns ns = write_ns(w, t);
        if (ns > 0) {
            r->work = TXN_WORK_WRITING;
            t->writing_count++;
            txn_push_work(t, idx, base_of(w, t) + ns);
            return;
        }
    }
    decided(w, c, idx);
}

static void begin_rcpt(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    uint32_t idx = t->begun_count++;
    struct sink_rcpt *r = &t->rcpts[idx];
    struct script_effect e;
    if (r->work == TXN_WORK_DECIDED || look(c))
        return;
    ask(w, c, idx, &e);
    r->work = TXN_WORK_BEGUN;
    r->drop = (uint8_t)e.drop;
    if (!c->is_gone && e.tweak != SCRIPT_TWEAK_NONE && (r->has_line || has_one_reply(t))) {
        r->tweak = (uint8_t)e.tweak;
        r->tweak_number = e.tweak_number;
        r->tweak_text = e.tweak_text;
        t->tweak_count++;
    }
    e.tweak = SCRIPT_TWEAK_NONE;
    conn_apply(w, c, &e);
    if (e.delay_ns == 0)
        rcpt_over(w, c, idx);
    else
        txn_push_work(t, idx, base_of(w, t) + place_work_ns(w->shared->places, e.delay_ns));
}

/* --- the last reply --------------------------------------------------------------------------- */

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

/* One reply fits all (CORE-8): who is deferred defers all, and who is refused beside others is
 * accepted with them, his copy being held. */
static void hold_refused(struct txn *t)
{
    const struct sink_rcpt *deferred = NULL;
    bool has_accepted = false;
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        const struct sink_rcpt *r = &t->rcpts[i];
        has_accepted |= r->is_accepted;
        if (r->code / 100 == 4 && deferred == NULL)
            deferred = r;
    }
    if (deferred != NULL)
        t->refusal = deferred->answer;
    else if (has_accepted)
        t->refusal = ANSWER(STATUS_NONE);
    for (uint32_t i = 0; deferred == NULL && has_accepted && i < t->rcpt_count; i++) {
        struct sink_rcpt *r = &t->rcpts[i];
        if (r->is_accepted)
            continue;
        r->is_accepted = r->is_held = true;
        r->code = 250;
    }
}

static void accept_all(struct worker *w, struct conn *c)
{
    const struct txn *t = c->txn;
    bool is_good = t->dot.has_answer && status_is_success(t->dot.answer.status);
    struct answer answer = is_good ? t->dot.answer : ANSWER(STATUS_STORED);
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
    t->stage = TXN_DONE;
    if (t->refusal.status != STATUS_NONE)
        share_refusal(w, t);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        commit_now(w, t, &t->rcpts[i]);
    shared_count_message(w->shared);
    place_leave(w->shared->places, &t->place);
    c->phase = CONN_PHASE_REPLIES;
    if (c->is_gone || drop_before_last(w, c))
        return;
    bool has_block = session_has_block(&c->session);
    finish_session(w, c);
    bool is_behind = !has_block || t->dot.drop_after_count == t->line_idx;
    if (t->dot.drop_after != SCRIPT_DROP_NONE && t->dot.pacing == SCRIPT_PACING_STREAM && is_behind)
        conn_drop(w, c, t->dot.drop_after);
}

static void on_final(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    t->stage_at = CLOCK_NEVER;
    if (commits_by_opener(t) && t->is_writing_opener)
        return; /* nothing can be said before it is there */
    if (commits_by_opener(t) || commits_by_reply(t)) {
        finish(w, c);
        return;
    }
    if (look(c))
        return;
    bool has_any = t->dot.commit == SCRIPT_COMMIT_ALWAYS;
    for (uint32_t i = 0; t->refusal.status == STATUS_NONE && i < t->rcpt_count; i++)
        has_any |= t->rcpts[i].is_accepted;
    clock_ns ns = has_any ? write_ns(w, t) : 0;
    t->stage = TXN_WRITE;
    t->stage_at = base_of(w, t) + ns;
    if (ns == 0)
        finish(w, c);
}

static void all_decided(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    t->stage = TXN_FINAL;
    t->gap_at = CLOCK_NEVER;
    if (has_one_reply(t) && t->dot.mixed == SCRIPT_MIXED_HOLD)
        hold_refused(t);
    bool has_closer = session_has_block(&c->session) && dialect_has_closer(t->dialect);
    t->stage_at = base_of(w, t) + (has_closer ? t->dot.final_ns : 0);
    if (!has_closer || t->dot.final_ns == 0)
        on_final(w, c);
}

/* --- what is over ----------------------------------------------------------------------------- */

/* The content has been worked on. */
static void before_over(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    t->stage = TXN_EACH;
    t->stage_at = CLOCK_NEVER;
    if (t->dot.is_scan_once && t->has_id)
        memory_note_scan(w->shared->memory, t->id);
    if (t->dot.drop != SCRIPT_DROP_NONE && !c->is_gone)
        conn_drop(w, c, t->dot.drop);
    if (c->txn == NULL)
        return;
    bool is_end = t->dot.has_answer && answer_code(&t->dot.answer) == 421;
    if (t->is_naming && c->is_gone)
        end_alone(w, c); /* OTH-7: nobody was named, and nobody will be */
    else if (!c->is_gone && is_end)
        end_session(w, c, t->dot.answer);
    else if (t->is_naming)
        begin_naming(w, c);
}

/* Reading B: all are ours, and the opening line may say so. */
static void opener_written(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    t->is_writing_opener = false;
    t->opener_written_at = CLOCK_NEVER;
    t->is_opener_written = true;
    t->opener_wall = ring_wall(w->ring);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->rcpts[i].work == TXN_WORK_DECIDED)
            commit_now(w, t, &t->rcpts[i]);
    bool is_time = !t->dot.has_opener || t->decided_count > 0 ||
                   (t->dot.opener_ns != UINT64_MAX && t->due_at - t->dot_at >= t->dot.opener_ns);
    if (is_time)
        open_list(w, c, true);
    if (t->stage == TXN_FINAL && t->stage_at == CLOCK_NEVER)
        on_final(w, c);
}

/* Whose time is over, or who keeps a list silent, is deferred; where all is ours he is taken. */
static void defer(struct worker *w, struct conn *c, uint32_t idx)
{
    struct sink_rcpt *r = &c->txn->rcpts[idx];
    r->has_answer = true;
    r->answer = c->txn->is_opener_written ? ANSWER(STATUS_STORED) : ANSWER(STATUS_DECISION_TIMEOUT);
    decided(w, c, idx);
}

/* A list may not be silent for so long (DEF-18, EXD-16): the next one is deferred. */
static void gap_over(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    uint32_t idx = t->answered_idx;
    clock_ns again_at = t->gap_at + t->dot.gap_ns;
    t->gap_at = CLOCK_NEVER;
    if (idx == t->rcpt_count)
        return;
    if (t->rcpts[idx].work == TXN_WORK_WRITING)
        t->gap_at = again_at;
    else
        defer(w, c, idx);
}

/* Who is not decided, and not being written, is answered 451 in his place. */
static void budget_over(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    t->budget_at = CLOCK_NEVER;
    place_skip_line(w->shared->places, &t->place);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->rcpts[i].work < TXN_WORK_WRITING)
            defer(w, c, i);
    t->stage = TXN_EACH;
    t->stage_at = CLOCK_NEVER;
}

static void work_over(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    uint32_t idx = txn_first_work(t);
    txn_pop_work(t);
    switch ((enum txn_work)t->rcpts[idx].work) {
    case TXN_WORK_BEGUN:
        rcpt_over(w, c, idx);
        return;
    case TXN_WORK_WRITING:
        t->writing_count--;
        decided(w, c, idx);
        return;
    case TXN_WORK_DECIDED: /* before it was over */
        return;
    case TXN_WORK_NONE:
        break;
    }
    UNREACHABLE();
}

static void stage_over(struct worker *w, struct conn *c)
{
    switch (c->txn->stage) {
    case TXN_BEFORE:
        before_over(w, c);
        return;
    case TXN_FINAL:
        on_final(w, c);
        return;
    case TXN_WRITE:
        finish(w, c);
        return;
    case TXN_PLACE:
    case TXN_EACH:
    case TXN_DONE:
        break;
    }
    UNREACHABLE();
}

/* At one time the first of these comes first. */
enum due {
    DUE_NOTHING,
    DUE_GO_ON,
    DUE_OPENER_WRITTEN,
    DUE_OPENER,
    DUE_STAGE,
    DUE_WORK,
    DUE_GAP,
    DUE_BUDGET
};

/* The next recipient's work can begin, or all are decided. */
static bool can_go_on(const struct txn *t)
{
    if (t->stage != TXN_EACH || t->is_dropping)
        return false;
    if (t->decided_count == t->rcpt_count)
        return true;
    if (t->begun_count == t->rcpt_count)
        return false;
    return t->begun_count == 0 || t->dot.order == SCRIPT_ORDER_CONCURRENT ||
           t->rcpts[t->begun_count - 1].work == TXN_WORK_DECIDED;
}

static void take_earlier(enum due what, clock_ns at, enum due *what_first, clock_ns *first)
{
    if (at >= *first)
        return;
    *first = at;
    *what_first = what;
}

static enum due next_due(const struct txn *t, clock_ns *ret_at)
{
    enum due what = DUE_NOTHING;
    clock_ns first = CLOCK_NEVER;
    uint32_t idx = txn_first_work(t);
    bool is_limited = t->stage < TXN_FINAL && !t->is_dropping;
    if (can_go_on(t)) {
        *ret_at = t->due_at;
        return DUE_GO_ON;
    }
    take_earlier(DUE_OPENER_WRITTEN, t->opener_written_at, &what, &first);
    if (is_limited)
        take_earlier(DUE_OPENER, t->opener_at, &what, &first);
    if (!t->is_dropping || t->stage == TXN_WRITE)
        take_earlier(DUE_STAGE, t->stage_at, &what, &first);
    if (idx != UINT32_MAX)
        take_earlier(DUE_WORK, t->rcpts[idx].due, &what, &first);
    if (is_limited) {
        take_earlier(DUE_GAP, t->gap_at, &what, &first);
        take_earlier(DUE_BUDGET, t->budget_at, &what, &first);
    }
    *ret_at = first;
    return what;
}

static void do_due(struct worker *w, struct conn *c, enum due what)
{
    struct txn *t = c->txn;
    switch (what) {
    case DUE_GO_ON:
        if (t->decided_count == t->rcpt_count)
            all_decided(w, c);
        else
            begin_rcpt(w, c);
        return;
    case DUE_OPENER_WRITTEN:
        opener_written(w, c);
        return;
    case DUE_OPENER:
        t->opener_at = CLOCK_NEVER;
        open_honestly(w, c);
        return;
    case DUE_STAGE:
        stage_over(w, c);
        return;
    case DUE_WORK:
        work_over(w, c);
        return;
    case DUE_GAP:
        gap_over(w, c);
        return;
    case DUE_BUDGET:
        budget_over(w, c);
        return;
    case DUE_NOTHING:
        break;
    }
    UNREACHABLE();
}

static bool on_work(struct worker *w, struct conn *c)
{
    struct txn *t = c->txn;
    clock_ns now = ring_now(w->ring), at;
    if (t->is_dropping && !is_writing(t)) {
        end_alone(w, c);
        return true;
    }
    if (!c->is_gone && !conn_has_room(w, c))
        return false;
    /* What becomes of each reply is known before anything else is done. */
    if (!c->is_gone && t->dot.gone == SCRIPT_GONE_WRITE && conn_has_unsent(w, c))
        return false;
    enum due what = next_due(t, &at);
    if (what == DUE_NOTHING || at > now) {
        c->wait_until = u64_min(at, now + LOOK_NS);
        return false;
    }
    t->due_at = u64_max(now - at <= LATENESS_NS_MAX ? at : now, t->due_at);
    do_due(w, c, what);
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
    case CONN_PHASE_WORK:
        return on_work(w, c);
    case CONN_PHASE_REPLIES:
        return on_replies(w, c);
    case CONN_PHASE_CONNECT:
    case CONN_PHASE_INPUT:
    case CONN_PHASE_COMMAND:
        break;
    }
    UNREACHABLE();
}
