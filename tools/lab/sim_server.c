/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_server.c - owns the server end: from the end of the content to the last reply.
 *
 *     dot -> WAITING (for a place) -> BEFORE (T0) -> EACH (Tr, one after another or all at once)
 *         -> FINAL (Tf) -> COMMITTING -> DONE
 *     ADAT: BEFORE -> NAMED (355) -> EACH DRCP -> ERCP -> FINAL ...
 *
 * What must be committed before which reply is the table of DUP section 2: where responsibility
 * moves with a recipient's own reply, he is committed when he is decided, and the next one's work
 * begins when that is on disk; where it moves with the opening line, all are, before it; else all
 * are at the end. With LAB_BUFFER nothing leaves, and nothing is committed, before the last one is
 * decided.
 *
 * A vanished client: S-run goes on to the end and then closes; S-stop looks at the connection
 * before each piece of work and each commit, and drops what is left. What is being worked on or
 * written at that moment is finished.
 */
#include "lab/sim_server.h"
#include "lab/chance.h"
#include "lab/sim_account.h"
#include "lab/sim_ladder.h"
#include "lab/sim_wire.h"
#include "trace/identity.h"
#include <errno.h>

#define NO_REPLY UINT64_MAX
#define SUPPRESS_NS ((clock_ns)5 * 24 * 3600 * NS_PER_S) /* DUP-22: W */
#define CODE_LATER 352

static void go_on(struct sim *sim, struct sim_conn *c);
static void step(struct sim *sim, struct sim_conn *c);

/* ---- the dialect ---- */

/* The recipients are told one by one. */
static bool has_list(const struct sim_conn *c)
{
    return dialect_has_list((enum dialect)c->server.dialect);
}

static bool names_late(const struct sim_conn *c)
{
    return dialect_names_late((enum dialect)c->server.dialect);
}

static bool is_streamed(const struct sim *sim, const struct sim_conn *c)
{
    return has_list(c) && sim->point->server.pacing == LAB_STREAM;
}

/* A recipient is ours with his own reply (DUP section 2). */
static bool owns_by_reply(const struct sim *sim, const struct sim_conn *c)
{
    return is_streamed(sim, c) &&
           dialect_owner_of((enum dialect)c->server.dialect) == DIALECT_OWNER_REPLY;
}

static bool owns_by_opener(const struct sim *sim, const struct sim_conn *c)
{
    return is_streamed(sim, c) &&
           dialect_owner_of((enum dialect)c->server.dialect) == DIALECT_OWNER_OPENER;
}

/* A 353 or opening line that may leave before the first reply is known. */
static bool has_opener(const struct sim *sim, const struct sim_conn *c)
{
    return is_streamed(sim, c) && dialect_has_opener((enum dialect)c->server.dialect) &&
           sim->point->server.opener_ns != CLOCK_NEVER;
}

/* ---- ends ---- */

/* The look at the connection. */
static bool must_stop(const struct sim *sim, const struct sim_conn *c)
{
    return sim->point->server.vanished != LAB_VANISHED_RUN && c->server.is_gone;
}

static void leave_work(struct sim *sim, struct sim_conn *c);

static enum arrival_delivered fate_of_reply(const struct sim_conn *c, const struct sim_rcpt *r)
{
    const struct sim_server_end *e = &c->server;
    if (r->reply_end == NO_REPLY)
        return ARRIVAL_REPLY_NO;
    if (session_has_quit(&e->machine) && !e->is_quit_early)
        return ARRIVAL_REPLY_YES; /* DUP-23 */
    bool is_unread = r->reply_end > c->pipes[SIM_DOWN].delivered;
    return e->is_broken && is_unread ? ARRIVAL_REPLY_NO : ARRIVAL_REPLY_UNKNOWN;
}

/* All that was committed has arrived. Where the opening line was read, the message was taken as a
 * whole: who was refused behind it, and not told, gets a notice (HOL-12, HOL-13). */
static void settle(struct sim *sim, struct sim_conn *c)
{
    const char *via = dialect_name((enum dialect)c->server.dialect);
    uint64_t read = c->pipes[SIM_DOWN].delivered;
    bool is_taken = c->server.opener_end > 0 && c->server.opener_end <= read;
    for (uint32_t pos = 0; c->server.has_content && pos < c->server.rcpt_count; pos++) {
        struct sim_rcpt *r = &c->rcpts[pos];
        enum arrival_delivered delivered = fate_of_reply(c, r);
        bool is_here = r->is_committed || r->is_suppressed;
        if (r->is_committed)
            sim_account_arrival(sim, c, r, delivered, r->is_held ? "held" : via);
        if (is_taken && !is_here && r->reply_end > read) {
            r->committed_at = sim->now;
            sim_account_arrival(sim, c, r, ARRIVAL_REPLY_NO, "notice");
        }
        if (delivered == ARRIVAL_REPLY_YES)
            c->message->pairs[r->idx].is_read = true;
    }
}

static void give_scan(struct sim *sim, struct sim_conn *c)
{
    if (c->server.scan != NULL)
        pool_give(&sim->scans, c->server.scan);
    c->server.scan = NULL;
}

static void close_end(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    if (!e->is_open)
        return;
    leave_work(sim, c);
    e->stage = SIM_STAGE_DONE;
    e->is_open = false;
    give_scan(sim, c);
    settle(sim, c);
    sim_wire_finish(sim, c, SIM_DOWN);
}

/* What is being written to disk is waited for. */
static void drop(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    if (!e->is_drop_due)
        sim_ladder_note(sim, c, LADDER_SERVER, 0, "sees that the client has gone, and stops");
    e->is_drop_due = true;
    e->stage = SIM_STAGE_FINAL;
    if (e->committing_count == 0 && !e->is_opener_due)
        close_end(sim, c);
}

/* ---- output ---- */

static void output(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    bool is_done = false;
    while (!is_done) {
        struct buf out = buf_over(sim->scratch, sizeof(sim->scratch));
        is_done = session_output(&e->machine, &out);
        if (out.len == 0)
            return;
        e->answered_at = sim->now;
        if (!sim_wire_send(sim, c, SIM_DOWN, buf_slice(&out))) {
            e->is_broken = true;
            e->is_gone |= sim->point->server.vanished == LAB_VANISHED_WRITE;
            sim_ladder_note(sim, c, LADDER_SERVER, 0, "a write fails");
        } else {
            sim_ladder_lines(sim, c, SIM_DOWN, buf_slice(&out));
        }
    }
}

/* Where a reply that was written just now ends. */
static uint64_t reply_end(const struct sim_conn *c)
{
    return c->server.is_broken ? NO_REPLY : c->pipes[SIM_DOWN].sent;
}

/* Those whose lines have been formatted by now. */
static void note_answered(struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    while (e->is_block && e->answered_count < e->rcpt_count &&
           c->rcpts[e->answered_count].is_answered) {
        c->rcpts[e->answered_count].reply_end = reply_end(c);
        e->answered_count++;
    }
}

static void arm_gap(struct sim *sim, struct sim_conn *c)
{
    clock_ns gap_ns = session_reply_gap(&c->server.machine);
    if (gap_ns == CLOCK_NEVER || c->server.is_gap_armed)
        return;
    c->server.is_gap_armed = true;
    sim_push(sim, c, SIM_GAP, 0, SIM_RANK_LIMIT, c->server.answered_at + gap_ns - sim->now);
}

/* A list begins, if it can. */
static void open_block(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    if (e->is_block)
        return;
    if (owns_by_opener(sim, c))
        session_force_block(&e->machine); /* it is ours, whatever will become of whom */
    else
        session_open_block(&e->machine);
    if (!session_has_block(&e->machine))
        return;
    e->is_block = true;
    e->answered_at = sim->now;
    if (owns_by_opener(sim, c))
        e->opener_end = c->pipes[SIM_DOWN].sent + 1;
    output(sim, c);
    arm_gap(sim, c);
    if (sim->point->server.progress_ns > 0)
        sim_push(sim, c, SIM_PROGRESS, 0, SIM_RANK_WORK, sim->point->server.progress_ns);
}

/* ---- answers ---- */

static struct answer answer_of(enum sim_verdict v)
{
    switch (v) {
    case SIM_ACCEPT:
        return ANSWER(STATUS_STORED);
    case SIM_REFUSE:
        return ANSWER(STATUS_REFUSED_POLICY);
    case SIM_DEFER:
        return ANSWER(STATUS_DEFERRED_POLICY);
    case SIM_LATE:
        return ANSWER(STATUS_DECISION_TIMEOUT);
    }
    UNREACHABLE();
}

/* The machine learns the verdict on entry @pos, or already has. */
static void tell(struct sim *sim, struct sim_conn *c, uint32_t pos)
{
    struct sim_rcpt *r = &c->rcpts[pos];
    struct answer answer = answer_of((enum sim_verdict)r->verdict);
    r->is_answered = true;
    if (r->verdict != SIM_ACCEPT) {
        session_refuse_rcpt(&c->server.machine, pos, answer);
        return;
    }
    struct commit_proof proof = {.queue_id = ++sim->commit_count, .is_committed = true};
    session_accept_rcpt(&c->server.machine, pos, answer, &proof);
}

/* Recipient @pos is decided, and committed where that must come first. */
static void answer(struct sim *sim, struct sim_conn *c, uint32_t pos)
{
    struct sim_server_end *e = &c->server;
    struct sim_rcpt *r = &c->rcpts[pos];
    ASSERT(r->work != SIM_WORK_DECIDED);
    r->work = SIM_WORK_DECIDED;
    e->decided_count++;
    if (names_late(c)) {
        struct answer a = answer_of((enum sim_verdict)r->verdict);
        session_answer(&e->machine, r->slot, r->verdict == SIM_ACCEPT ? ANSWER(STATUS_RCPT_OK) : a);
        output(sim, c);
        return;
    }
    if (!is_streamed(sim, c))
        return;
    tell(sim, c, pos);
    if (!owns_by_opener(sim, c) || e->is_opener_committed)
        open_block(sim, c);
    output(sim, c);
    note_answered(c);
}

/* ---- commits ---- */

static void commit(struct sim *sim, struct sim_conn *c, uint32_t pos)
{
    struct sim_rcpt *r = &c->rcpts[pos];
    if (r->verdict == SIM_ACCEPT && !r->is_suppressed && !r->is_committed)
        sim_account_commit(sim, c, r);
}

static void commit_all(struct sim *sim, struct sim_conn *c)
{
    uint32_t count = 0;
    for (uint32_t pos = 0; pos < c->server.rcpt_count; pos++) {
        commit(sim, c, pos);
        count += c->rcpts[pos].is_committed;
    }
    sim_ladder_note(sim, c, LADDER_SERVER, 0, "commits %u recipient%s", count,
                    count == 1 ? "" : "s");
}

static clock_ns draw(struct sim *sim, struct sim_conn *c, const struct dist *d, bool is_work)
{
    const struct lab_server *server = &sim->point->server;
    clock_ns ns = dist_draw(d, &c->rng);
    if (!is_work || server->slowdown <= 0)
        return ns;
    double capacity = server->capacity > 0 ? server->capacity : 1;
    return (clock_ns)((double)ns * (1 + server->slowdown * sim->at_hand / capacity));
}

/* ---- the last reply ---- */

static bool is_any(const struct sim_conn *c, enum sim_verdict v)
{
    for (uint32_t pos = 0; pos < c->server.rcpt_count; pos++)
        if (c->rcpts[pos].verdict == v)
            return true;
    return false;
}

/* One reply fits all (CORE-8): who is deferred defers all, and who is refused beside others is
 * accepted with them, his copy being held. */
static void level(struct sim_conn *c)
{
    bool has_late = is_any(c, SIM_LATE);
    bool has_deferred = has_late || is_any(c, SIM_DEFER);
    bool has_accepted = is_any(c, SIM_ACCEPT);
    for (uint32_t pos = 0; pos < c->server.rcpt_count; pos++) {
        struct sim_rcpt *r = &c->rcpts[pos];
        if (has_deferred) {
            r->verdict = has_late ? SIM_LATE : SIM_DEFER;
        } else if (has_accepted && r->verdict == SIM_REFUSE) {
            r->verdict = SIM_ACCEPT;
            r->is_held = true;
        }
    }
}

static void finish(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    struct answer whole = ANSWER(STATUS_NONE);
    if (names_late(c)) {
        uint32_t entry = 0;
        for (uint32_t pos = 0; pos < e->rcpt_count; pos++) {
            struct commit_proof proof = {.queue_id = ++sim->commit_count, .is_committed = true};
            if (c->rcpts[pos].verdict == SIM_ACCEPT)
                session_accept_rcpt(&e->machine, entry++, ANSWER(STATUS_STORED), &proof);
        }
    }
    for (uint32_t pos = 0; has_list(c) && pos < e->rcpt_count; pos++)
        if (!c->rcpts[pos].is_answered)
            tell(sim, c, pos);
    if (c->server.dialect == DIALECT_SMTP) {
        whole = answer_of((enum sim_verdict)c->rcpts[0].verdict);
        for (uint32_t pos = 0; pos < e->rcpt_count; pos++)
            tell(sim, c, pos);
        whole = c->rcpts[0].verdict == SIM_ACCEPT ? ANSWER(STATUS_NONE) : whole;
    }
    e->stage = SIM_STAGE_DONE;
    session_finish(&e->machine, whole);
    if (!e->is_block && session_has_block(&e->machine) &&
        dialect_owner_of((enum dialect)e->dialect) == DIALECT_OWNER_OPENER)
        e->opener_end = c->pipes[SIM_DOWN].sent + 1;
    e->is_quit_early = sim_wire_peek(&c->pipes[SIM_UP]).len > 0;
    output(sim, c);
    for (uint32_t pos = 0; pos < e->rcpt_count; pos++)
        if (!owns_by_reply(sim, c) || c->rcpts[pos].reply_end == NO_REPLY)
            c->rcpts[pos].reply_end = reply_end(c);
    leave_work(sim, c);
    if (e->is_broken || (e->has_eof && sim_wire_peek(&c->pipes[SIM_UP]).len == 0))
        close_end(sim, c);
    else
        step(sim, c);
}

static void on_final(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    if (owns_by_reply(sim, c) || owns_by_opener(sim, c)) {
        e->is_final_due = e->is_opener_due; /* nothing can be said before it is on disk */
        if (!e->is_final_due)
            finish(sim, c);
        return;
    }
    if (must_stop(sim, c)) {
        drop(sim, c);
        return;
    }
    clock_ns ns = is_any(c, SIM_ACCEPT) ? draw(sim, c, &sim->point->server.commit, false) : 0;
    e->stage = SIM_STAGE_COMMITTING;
    if (ns > 0) {
        sim_ladder_note(sim, c, LADDER_SERVER, ns, "writes to disk");
        sim_push(sim, c, SIM_COMMITTED_ALL, 0, SIM_RANK_WORK, ns);
        return;
    }
    commit_all(sim, c);
    finish(sim, c);
}

static void all_decided(struct sim *sim, struct sim_conn *c)
{
    const struct lab_server *server = &sim->point->server;
    struct sim_server_end *e = &c->server;
    if (c->server.dialect == DIALECT_SMTP)
        level(c);
    e->stage = SIM_STAGE_FINAL;
    bool has_closer = e->is_block && dialect_has_closer((enum dialect)e->dialect);
    if (has_closer && server->final_ns > 0) {
        sim_ladder_note(sim, c, LADDER_SERVER, server->final_ns, "work before the final reply");
        sim_push(sim, c, SIM_FINAL, 0, SIM_RANK_WORK, server->final_ns);
    } else {
        on_final(sim, c);
    }
}

/* ---- recipients ---- */

/* @pos has its verdict: commit where that comes with the reply, then answer. */
static void decide(struct sim *sim, struct sim_conn *c, uint32_t pos)
{
    struct sim_rcpt *r = &c->rcpts[pos];
    if (owns_by_reply(sim, c) && r->verdict == SIM_ACCEPT && !r->is_suppressed) {
        if (must_stop(sim, c)) {
            drop(sim, c);
            return;
        }
        clock_ns ns = draw(sim, c, &sim->point->server.commit, false);
        if (ns > 0) {
            r->work = SIM_WORK_COMMITTING;
            c->server.committing_count++;
            sim_ladder_note(sim, c, LADDER_SERVER, ns, "writes recipient %u to disk", r->idx + 1);
            sim_push(sim, c, SIM_COMMITTED_RCPT, pos, SIM_RANK_WORK, ns);
            return;
        }
        commit(sim, c, pos);
        sim_ladder_note(sim, c, LADDER_SERVER, 0, "commits recipient %u", r->idx + 1);
    }
    answer(sim, c, pos);
}

static void begin_rcpt(struct sim *sim, struct sim_conn *c, uint32_t pos)
{
    struct sim_rcpt *r = &c->rcpts[pos];
    if (must_stop(sim, c)) {
        drop(sim, c);
        return;
    }
    clock_ns ns = draw(sim, c, &sim->point->server.per_rcpt, true);
    r->work = SIM_WORK_BEGUN;
    if (ns == 0) {
        decide(sim, c, pos);
        return;
    }
    sim_ladder_note(sim, c, LADDER_SERVER, ns, "work on recipient %u", r->idx + 1);
    sim_push(sim, c, SIM_RCPT, pos, SIM_RANK_WORK, ns);
}

/* Begins what can begin; the last reply when all are decided. */
static void go_on(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    bool is_one_by_one = sim->point->server.order == LAB_SEQUENTIAL;
    while (e->stage == SIM_STAGE_EACH && e->begun_count < e->rcpt_count) {
        struct sim_rcpt *r = &c->rcpts[e->begun_count];
        if (r->work == SIM_WORK_NONE)
            begin_rcpt(sim, c, e->begun_count);
        if (is_one_by_one && r->work != SIM_WORK_DECIDED)
            return;
        e->begun_count++;
    }
    if (e->stage != SIM_STAGE_EACH || e->decided_count < e->rcpt_count)
        return;
    if (names_late(c))
        e->stage = SIM_STAGE_NAMED;
    else
        all_decided(sim, c);
}

static void on_before(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    c->message->is_scanned = true;
    if (names_late(c)) {
        e->stage = SIM_STAGE_NAMED;
        session_name_rcpts(&e->machine);
        output(sim, c);
        return;
    }
    e->stage = SIM_STAGE_EACH;
    go_on(sim, c);
}

/* ---- a place at work ---- */

static void begin_work(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    bool is_known = sim->point->server.remembers_scan && c->message->is_scanned;
    clock_ns ns = is_known ? 0 : draw(sim, c, &sim->point->server.before, true);
    e->is_in_work = true;
    sim->in_work++;
    e->stage = SIM_STAGE_BEFORE;
    if (ns > 0)
        sim_ladder_note(sim, c, LADDER_SERVER, ns, "work on the content");
    sim_push(sim, c, SIM_BEFORE, 0, SIM_RANK_WORK, ns);
}

static void enter_work(struct sim *sim, struct sim_conn *c)
{
    const struct lab_server *server = &sim->point->server;
    struct sim_server_end *e = &c->server;
    e->is_at_hand = true;
    sim->at_hand++;
    sim_account_at_hand(sim);
    bool is_known = e->rcpt_count > 0 && e->decided_count == e->rcpt_count;
    if (is_known) { /* DUP-22: nothing to do */
        e->stage = SIM_STAGE_EACH;
        go_on(sim, c);
    } else if (server->capacity > 0 && sim->in_work >= server->capacity) {
        e->stage = SIM_STAGE_WAITING;
        list_push(&sim->waiting, &e->waiting);
        sim_ladder_note(sim, c, LADDER_SERVER, 0, "waits for a place at work");
    } else {
        begin_work(sim, c);
    }
}

static void leave_work(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    if (!e->is_at_hand)
        return;
    e->is_at_hand = false;
    sim->at_hand--;
    sim_account_at_hand(sim);
    list_remove(&e->waiting);
    if (!e->is_in_work)
        return;
    e->is_in_work = false;
    sim->in_work--;
    struct list *first;
    while ((first = list_pop(&sim->waiting)) != NULL) {
        struct sim_conn *next = CONTAINER_OF(first, struct sim_conn, server.waiting);
        if (!must_stop(sim, next)) {
            begin_work(sim, next);
            return;
        }
        drop(sim, next);
        sim_push(sim, next, SIM_IDLE, 0, SIM_RANK_LIMIT, 0); /* so that its end is seen */
    }
}

/* ---- the end of the content ---- */

static double unit_of(uint64_t seed, uint64_t a, uint64_t b)
{
    struct rng rng;
    rng_init(&rng, seed ^ a * 0x9E3779B97F4A7C15u ^ b * 0xC2B2AE3D27D4EB4Fu);
    return rng_unit(&rng);
}

/* Who is refused is so on every try; who is deferred need not be on the next one. */
static enum sim_verdict verdict_of(const struct sim *sim, const struct sim_conn *c, uint32_t idx)
{
    const struct lab_server *server = &sim->point->server;
    uint64_t seq = c->message->seq;
    if (idx < server->refused_count)
        return SIM_REFUSE;
    if (server->refused_share > 0 && unit_of(sim->seed + 1, seq, idx) < server->refused_share)
        return SIM_REFUSE;
    if (server->deferred_share <= 0)
        return SIM_ACCEPT;
    double among_others = server->deferred_share / (1 - server->refused_share);
    uint64_t try = (uint64_t)c->attempt << 32 | idx;
    return unit_of(sim->seed + 2, seq, try) < among_others ? SIM_DEFER : SIM_ACCEPT;
}

static void init_rcpt(struct sim *sim, struct sim_conn *c, uint32_t pos)
{
    struct sim_rcpt *r = &c->rcpts[pos];
    uint32_t idx = c->idxs[pos];
    const struct sim_pair *pair = &c->message->pairs[idx];
    *r = (struct sim_rcpt){.idx = idx, .reply_end = NO_REPLY};
    r->is_suppressed = sim->point->server.suppresses_copies && pair->commits > 0 &&
                       !pair->is_read && sim->now - pair->committed_at <= SUPPRESS_NS;
    r->verdict = (uint8_t)(r->is_suppressed ? SIM_ACCEPT : verdict_of(sim, c, idx));
    if (c->server.is_budget_over)
        r->verdict = SIM_LATE;
}

static void arm_faults(struct sim *sim, struct sim_conn *c)
{
    const struct chance chance = chance_draw(&sim->point->faults, c->attempt, &c->rng);
    if (chance.is_silent) {
        c->is_silent = true;
        sim_ladder_cut(sim, c);
        sim_push(sim, c, SIM_IDLE, 0, SIM_RANK_LIMIT, session_phase_timeout(SESSION_PHASE_COMMAND));
    } else if (chance.cut_after_ns != CLOCK_NEVER) {
        c->is_cut = chance.cut_after_ns == 0; /* whatever comes in this moment is lost already */
        c->cut_at = sim->now + chance.cut_after_ns;
        sim_push(sim, c, SIM_CUT, 0, SIM_RANK_WIRE, 0);
    }
}

/* Reading B: all are ours, and the opening line may say so. */
static void on_committed_opener(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    clock_ns opener_ns = sim->point->server.opener_ns;
    e->is_opener_due = false;
    if (e->stage == SIM_STAGE_DONE)
        return;
    e->is_opener_committed = true;
    commit_all(sim, c);
    if (e->decided_count > 0 || (opener_ns != CLOCK_NEVER && sim->now - e->dot_at >= opener_ns))
        open_block(sim, c);
    note_answered(c);
    if (e->is_drop_due)
        drop(sim, c);
    else if (e->is_final_due)
        on_final(sim, c);
}

static void begin_opener(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    /* A connection that broke behind the dot is seen by who looks before this commit (DUP-17). */
    bool is_late = c->is_cut && sim->point->server.vanished == LAB_VANISHED_STOP;
    if (owns_by_opener(sim, c) && !is_late) {
        clock_ns ns = draw(sim, c, &sim->point->server.commit, false);
        e->is_opener_due = true;
        if (ns > 0)
            sim_ladder_note(sim, c, LADDER_SERVER, ns, "writes to disk");
        sim_push(sim, c, SIM_COMMITTED_OPENER, 0, SIM_RANK_WORK, ns);
    }
    if (has_opener(sim, c))
        sim_push(sim, c, SIM_OPENER, 0, SIM_RANK_WORK, sim->point->server.opener_ns);
}

static void on_content(struct sim *sim, struct sim_conn *c, const struct session_event *ev)
{
    const struct lab_server *server = &sim->point->server;
    struct sim_server_end *e = &c->server;
    struct identity id;
    give_scan(sim, c);
    e->dot_at = e->answered_at = sim->now;
    e->dialect = (uint8_t)session_dialect(&e->machine);
    e->has_content = true;
    ASSERT(identity_from_message_id(slice_of(ev->scan->message_id, ev->scan->message_id_len), &id));
    ASSERT(id.seq == c->message->seq);
    ASSERT(ev->scan->content_bytes == c->content[0].len + c->content[1].len);
    ASSERT(ev->answer.status == STATUS_NONE);
    arm_faults(sim, c);
    if (server->reply_budget_ns != CLOCK_NEVER)
        sim_push(sim, c, SIM_BUDGET, 0, SIM_RANK_LIMIT, server->reply_budget_ns);
    if (ev->kind == EV_BODY_END) {
        ASSERT(session_rcpt_count(&e->machine) == e->rcpt_count);
        for (uint32_t pos = 0; pos < e->rcpt_count; pos++)
            c->entries[pos].rcpt_code = session_may_decide_later(&e->machine) ? CODE_LATER : 0;
        session_set_entries(&e->machine, c->entries);
        begin_opener(sim, c);
        for (uint32_t pos = 0; pos < e->rcpt_count; pos++)
            init_rcpt(sim, c, pos);
        for (uint32_t pos = 0; pos < e->rcpt_count; pos++)
            if (c->rcpts[pos].is_suppressed)
                answer(sim, c, pos);
    }
    enter_work(sim, c);
}

/* ---- talk ---- */

/* ADAT: one more is named. */
static void on_named(struct sim *sim, struct sim_conn *c, uint32_t slot)
{
    struct sim_server_end *e = &c->server;
    uint32_t pos = e->rcpt_count++;
    init_rcpt(sim, c, pos);
    c->rcpts[pos].slot = slot;
    e->stage = SIM_STAGE_EACH;
    if (c->rcpts[pos].is_suppressed || e->is_budget_over)
        answer(sim, c, pos);
    go_on(sim, c);
}

static void on_rcpt(struct sim *sim, struct sim_conn *c, const struct session_event *ev)
{
    struct sim_server_end *e = &c->server;
    bool is_later = session_may_decide_later(&e->machine);
    if (e->stage == SIM_STAGE_NAMED || e->stage == SIM_STAGE_EACH) {
        on_named(sim, c, ev->slot);
        return;
    }
    e->rcpt_count++;
    session_answer(&e->machine, ev->slot, ANSWER(is_later ? STATUS_RCPT_LATER : STATUS_RCPT_OK));
}

static void on_content_asked(struct sim *sim, struct sim_conn *c, uint32_t slot)
{
    struct sim_server_end *e = &c->server;
    e->scan = pool_take(&sim->scans);
    if (e->scan == NULL) {
        sim_fail(sim, -ENOMEM);
        session_answer(&e->machine, slot, ANSWER(STATUS_NO_RESOURCES));
        return;
    }
    struct scan_options options = session_scan_options(&e->machine);
    scan_begin(e->scan, &options);
    session_begin_content(&e->machine, slot, e->scan);
}

/* One event of the machine; false: nothing more can be read now. */
static bool on_event(struct sim *sim, struct sim_conn *c, const struct session_event *ev)
{
    struct sim_server_end *e = &c->server;
    switch (ev->kind) {
    case EV_MORE:
    case EV_BLOCKED:
        return false;
    case EV_OUTPUT:
        output(sim, c);
        return true;
    case EV_HELO:
    case EV_REFUSED:
    case EV_BODY:
        return true;
    case EV_MAIL:
        session_answer(&e->machine, ev->slot, ANSWER(STATUS_SENDER_OK));
        return true;
    case EV_RCPT:
        on_rcpt(sim, c, ev);
        return true;
    case EV_CONTENT:
        on_content_asked(sim, c, ev->slot);
        return true;
    case EV_BODY_END:
    case EV_NAMING:
        on_content(sim, c, ev);
        return true;
    case EV_COMMIT:
        session_set_entries(&e->machine, c->entries);
        e->stage = SIM_STAGE_FINAL;
        on_final(sim, c);
        return true;
    case EV_ABORT:
        e->stage = SIM_STAGE_DONE;
        leave_work(sim, c);
        return true;
    case EV_CLOSE:
        output(sim, c);
        close_end(sim, c);
        return false;
    }
    UNREACHABLE();
}

/* Something is being done that goes on without the client. */
static bool is_at_work(const struct sim_server_end *e)
{
    return e->stage != SIM_STAGE_NONE && e->stage != SIM_STAGE_NAMED && e->stage != SIM_STAGE_DONE;
}

/* The end of input was read, and everything before it. */
static void on_eof(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    const struct sim_segment *last = c->pipes[SIM_UP].in_tail;
    struct slice held =
        last != NULL ? slice_of(last->bytes + last->offset, last->len - last->offset) : SLICE_EMPTY;
    e->has_eof = true;
    bool looks = sim->point->server.vanished == LAB_VANISHED_STOP || !is_at_work(e);
    if (!looks || session_eof(&e->machine, held))
        return;
    e->is_gone = true;
    if (!is_at_work(e))
        close_end(sim, c);
}

static void step(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    struct sim_pipe *in = &c->pipes[SIM_UP];
    bool goes_on = true;
    while (e->is_open && goes_on && !c->is_cut) {
        struct session_event ev;
        struct slice bytes = sim_wire_peek(in);
        size_t used = session_feed(&e->machine, bytes, sim->now, &ev);
        if (ev.kind == EV_RCPT)
            ASSERT_SLOW(slice_eq(ev.path.whole, c->client_rcpts[e->rcpt_count].address));
        sim_wire_consume(sim, in, used); /* slices of the event end here */
        goes_on = on_event(sim, c, &ev);
        if (ev.kind == EV_MORE)
            goes_on = (used == bytes.len && sim_wire_peek(in).len > 0) || sim_wire_join(sim, in);
    }
    if (!e->is_open)
        return;
    output(sim, c);
    if (e->has_eof && !is_at_work(e) && sim_wire_peek(in).len == 0)
        close_end(sim, c);
}

/* ---- events ---- */

void sim_server_init(struct sim *sim, struct sim_conn *c)
{
    (void)sim;
    c->server = (struct sim_server_end){0};
    list_init(&c->server.waiting);
}

void sim_server_on_reset(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    if (!e->is_open)
        return;
    e->is_broken = true;
    e->is_gone |= sim->point->server.vanished == LAB_VANISHED_STOP;
    if (!is_at_work(e))
        close_end(sim, c);
}

void sim_server_on_mark(struct sim *sim, struct sim_conn *c, enum sim_mark mark)
{
    switch (mark) {
    case SIM_MARK_SYN:
        c->server.is_open = c->server.was_open = true;
        session_init(&c->server.machine, &sim->session_config, sim->now);
        output(sim, c);
        return;
    case SIM_MARK_NONE:
        step(sim, c);
        return;
    case SIM_MARK_FIN:
        on_eof(sim, c);
        return;
    case SIM_MARK_RST:
        sim_server_on_reset(sim, c);
        return;
    }
    UNREACHABLE();
}

static void on_committed_rcpt(struct sim *sim, struct sim_conn *c, uint32_t pos)
{
    struct sim_rcpt *r = &c->rcpts[pos];
    c->server.committing_count--;
    commit(sim, c, pos);
    sim_ladder_note(sim, c, LADDER_SERVER, 0, "has committed recipient %u", r->idx + 1);
    answer(sim, c, pos);
    if (c->server.is_drop_due)
        drop(sim, c);
    else
        go_on(sim, c);
}

/* Who is not decided, and not being written, is answered 451 in his place. */
static void on_budget(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    if (e->stage == SIM_STAGE_DONE || e->stage >= SIM_STAGE_FINAL)
        return;
    sim_ladder_note(sim, c, LADDER_SERVER, 0, "the reply budget is over");
    e->is_budget_over = true;
    list_remove(&e->waiting); /* it needs no place any more */
    if (names_late(c) && e->stage < SIM_STAGE_EACH) {
        e->stage = SIM_STAGE_DONE;
        session_finish(&e->machine, ANSWER(STATUS_DECISION_TIMEOUT));
        output(sim, c);
        leave_work(sim, c);
        return;
    }
    for (uint32_t pos = 0; pos < e->rcpt_count && e->is_open; pos++) {
        struct sim_rcpt *r = &c->rcpts[pos];
        if (r->work == SIM_WORK_DECIDED || r->work == SIM_WORK_COMMITTING)
            continue;
        r->verdict = (uint8_t)(r->is_committed ? SIM_ACCEPT : SIM_LATE); /* B: it is ours */
        answer(sim, c, pos);
    }
    if (!names_late(c))
        e->stage = SIM_STAGE_EACH;
    go_on(sim, c);
    if (names_late(c))
        step(sim, c);
}

/* A list may not be silent for so long (DEF-18, EXD-16): the next one is deferred. */
static void on_gap(struct sim *sim, struct sim_conn *c)
{
    struct sim_server_end *e = &c->server;
    uint32_t pos = e->answered_count;
    e->is_gap_armed = false;
    if (e->stage >= SIM_STAGE_FINAL || pos >= e->rcpt_count)
        return;
    bool is_due = sim->now >= e->answered_at + session_reply_gap(&e->machine);
    if (is_due && c->rcpts[pos].work != SIM_WORK_COMMITTING) {
        sim_ladder_note(sim, c, LADDER_SERVER, 0, "must not be silent any longer");
        c->rcpts[pos].verdict = SIM_LATE;
        answer(sim, c, pos);
        go_on(sim, c);
    } else if (is_due) {
        e->answered_at = sim->now;
    }
    if (e->is_open && e->stage < SIM_STAGE_FINAL)
        arm_gap(sim, c);
}

static void on_progress(struct sim *sim, struct sim_conn *c)
{
    if (c->server.stage >= SIM_STAGE_FINAL)
        return;
    session_show_life(&c->server.machine);
    output(sim, c);
    sim_push(sim, c, SIM_PROGRESS, 0, SIM_RANK_WORK, sim->point->server.progress_ns);
}

static void on_idle(struct sim *sim, struct sim_conn *c)
{
    if (is_at_work(&c->server)) {
        sim_push(sim, c, SIM_IDLE, 0, SIM_RANK_LIMIT, session_phase_timeout(SESSION_PHASE_COMMAND));
        return;
    }
    c->server.is_broken = true;
    close_end(sim, c);
}

static void on_timed(struct sim *sim, struct sim_conn *c, const struct sim_event *e)
{
    struct sim_server_end *s = &c->server;
    switch ((enum sim_event_kind)e->kind) {
    case SIM_BEFORE:
        if (s->stage == SIM_STAGE_BEFORE)
            on_before(sim, c);
        return;
    case SIM_RCPT:
        if (c->rcpts[e->arg].work != SIM_WORK_BEGUN)
            return;
        decide(sim, c, e->arg);
        go_on(sim, c);
        if (names_late(c))
            step(sim, c); /* there is room for the next DRCP */
        return;
    case SIM_COMMITTED_RCPT:
        on_committed_rcpt(sim, c, e->arg);
        return;
    case SIM_COMMITTED_OPENER:
        on_committed_opener(sim, c);
        return;
    case SIM_FINAL:
        on_final(sim, c);
        return;
    case SIM_COMMITTED_ALL:
        commit_all(sim, c);
        finish(sim, c);
        return;
    case SIM_OPENER:
        if (s->stage < SIM_STAGE_FINAL && (!owns_by_opener(sim, c) || s->is_opener_committed))
            open_block(sim, c);
        return;
    case SIM_PROGRESS:
        on_progress(sim, c);
        return;
    case SIM_GAP:
        on_gap(sim, c);
        return;
    case SIM_BUDGET:
        on_budget(sim, c);
        return;
    case SIM_IDLE:
        on_idle(sim, c);
        return;
    case SIM_PLAN:
    case SIM_DUE:
    case SIM_DELIVER:
    case SIM_CUT:
    case SIM_LIMIT:
        break;
    }
    UNREACHABLE();
}

void sim_server_on_event(struct sim *sim, struct sim_conn *c, const struct sim_event *e)
{
    struct sim_server_end *s = &c->server;
    bool is_commit = e->kind == SIM_COMMITTED_RCPT || e->kind == SIM_COMMITTED_OPENER;
    if (!s->is_open || (s->is_drop_due && !is_commit))
        return;
    on_timed(sim, c, e);
    /* It may have been the last thing that went on without the client. */
    bool is_over = s->is_broken || (s->has_eof && sim_wire_peek(&c->pipes[SIM_UP]).len == 0);
    if (is_over && !is_at_work(s))
        close_end(sim, c);
}

void sim_server_stop(struct sim *sim, struct sim_conn *c)
{
    close_end(sim, c);
}
