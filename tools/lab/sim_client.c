/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_client.c - owns the client end: feeds the machine, sends what it has to say, and gives up.
 *
 * From the end of the content on the limit C holds, by the kind of timer that the point asks for. A
 * reply that is due exactly at the limit is read. Before, however far the server is, nobody gives
 * up (what a command may take is not the question); the machine's own timeouts hold for the content
 * and behind the last reply.
 *
 * A client that credits early takes an individual reply for the last word although a final one
 * rules; every other one takes what the machine says.
 */
#include "lab/sim_client.h"
#include "lab/sim_account.h"
#include "lab/sim_ladder.h"
#include "lab/sim_wire.h"

/* ---- the limit ---- */

static clock_ns limit_since(const struct sim_conn *c)
{
    const struct sim_client_end *e = &c->client;
    switch (e->config->timer) {
    case LAB_TIMER_TOTAL:
        return e->dot_at;
    case LAB_TIMER_LINE:
        return u64_max(u64_max(e->dot_at, e->sent_at), e->line_at);
    case LAB_TIMER_REPLY:
        return u64_max(u64_max(e->dot_at, e->sent_at), e->reply_at);
    case LAB_TIMER_COUNT:
        break;
    }
    UNREACHABLE();
}

static clock_ns limit_of(const struct sim_conn *c)
{
    const struct sim_client_end *e = &c->client;
    if (!e->is_open)
        return CLOCK_NEVER;
    bool is_sending = !e->is_dot_sent && client_phase(&e->machine) == CLIENT_PHASE_CONTENT;
    if (e->is_done || is_sending)
        return client_deadline(&e->machine);
    if (!e->is_dot_sent)
        return CLOCK_NEVER;
    if (e->config->limit_ns == CLOCK_NEVER)
        return CLOCK_NEVER;
    return limit_since(c) + e->config->limit_ns;
}

/* One event is enough: when it is due too early, the next one follows from it. */
static void arm_limit(struct sim *sim, struct sim_conn *c)
{
    clock_ns at = limit_of(c);
    if (at >= c->client.limit_at)
        return;
    c->client.limit_at = at;
    sim_push(sim, c, SIM_LIMIT, 0, SIM_RANK_LIMIT, at > sim->now ? at - sim->now : 0);
}

/* ---- what became of the try ---- */

static enum attempt_cause cause_of(const struct sim_client_end *e)
{
    if (e->is_stopped)
        return ATTEMPT_CAUSE_STOPPED;
    switch ((enum client_error)e->machine.error) {
    case CLIENT_ERROR_TIMEOUT:
        return ATTEMPT_CAUSE_TIMEOUT;
    case CLIENT_ERROR_PROTOCOL:
    case CLIENT_ERROR_CONTENT:
        return ATTEMPT_CAUSE_PROTOCOL;
    case CLIENT_ERROR_NONE:
    case CLIENT_ERROR_REFUSED:
    case CLIENT_ERROR_LOST:
        break;
    }
    return ATTEMPT_CAUSE_LOST;
}

static enum attempt_fate fate_of_code(uint16_t code)
{
    if (code == 0)
        return ATTEMPT_UNKNOWN;
    return code / 100 == 2 ? ATTEMPT_ACCEPTED
                           : (code / 100 == 4 ? ATTEMPT_DEFERRED : ATTEMPT_REFUSED);
}

/* What the client makes of it, @ret_code being the reply that decided. */
static enum attempt_fate fate_of(const struct sim_conn *c, const struct client_result *r,
                                 uint16_t *ret_code)
{
    bool is_early = c->client.config->credits_early && r->individual_code != 0 &&
                    !dialect_names_late(client_dialect(&c->client.machine));
    *ret_code = is_early ? r->individual_code : r->code;
    return fate_of_code(*ret_code);
}

static const char *fate_text(enum attempt_fate fate)
{
    switch (fate) {
    case ATTEMPT_ACCEPTED:
        return "accepted";
    case ATTEMPT_DEFERRED:
        return "deferred";
    case ATTEMPT_REFUSED:
        return "refused";
    case ATTEMPT_UNKNOWN:
    case ATTEMPT_FATE_COUNT:
        break;
    }
    return "not known";
}

static void finish_try(struct sim *sim, struct sim_conn *c)
{
    struct sim_client_end *e = &c->client;
    struct sim_message *m = c->message;
    enum attempt_cause cause = cause_of(e);
    uint32_t due = e->is_dot_sent ? client_replies_due(&e->machine) : 0;
    bool is_last = c->attempt + 1 >= e->config->tries_max;
    bool has_failed = false;
    e->is_done = true;
    for (uint32_t pos = 0; pos < c->rcpt_count; pos++) {
        struct sim_pair *pair = &m->pairs[c->idxs[pos]];
        uint16_t code;
        enum attempt_fate fate = fate_of(c, &c->results[pos], &code);
        bool is_settled = fate == ATTEMPT_ACCEPTED || fate == ATTEMPT_REFUSED;
        struct attempt a = {
            .id = {sim->run, m->seq},
            .attempt = c->attempt,
            .rcpt_idx = c->idxs[pos],
            .address = sim->rcpts[c->idxs[pos]].address,
            .planned_at = sim_wall(sim, m->planned_at),
            .start_at = sim_wall(sim, e->start_at),
            .end_at = sim_wall(sim, sim->now),
            .fate = fate,
            .code = code,
            .enhanced = {c->results[pos].enhanced[0], c->results[pos].enhanced[1],
                         c->results[pos].enhanced[2]},
            .phase = fate == ATTEMPT_UNKNOWN ? e->phase : c->results[pos].phase,
            .cause = fate == ATTEMPT_UNKNOWN ? cause : ATTEMPT_CAUSE_REPLY,
            .sent = e->is_dot_sent ? ATTEMPT_SENT_ALL
                                   : (e->is_begun ? ATTEMPT_SENT_PART : ATTEMPT_SENT_NONE),
            .replies_seen = e->replies_seen,
            .replies_due = due,
            .will_retry = !is_settled && !is_last,
        };
        has_failed |= fate == ATTEMPT_UNKNOWN;
        if (is_settled) {
            pair->is_open = false;
            m->open_count--;
            m->has_settled = true;
        }
        if (fate == ATTEMPT_ACCEPTED && c->attempt == 0)
            pair->was_credited_first = true;
        sim_account_try(sim, m, &a);
        sim_ladder_note(sim, c, LADDER_CLIENT, 0, "recipient %u: %s", c->idxs[pos] + 1,
                        fate_text(fate));
    }
    sim->measure->tries++;
    sim->measure->tries_failed += has_failed;
    if (!has_failed && e->is_dot_sent)
        hist_record(&sim->measure->dot_to_last, sim->now - e->dot_at);
    sim_try_over(sim, c);
}

/* ---- talk ---- */

static void close_end(struct sim *sim, struct sim_conn *c)
{
    if (!c->client.is_open)
        return;
    c->client.is_open = false;
    sim_wire_finish(sim, c, SIM_UP);
    sim_client_gone(sim, c);
}

/* A reply after the content: what it starts anew, and whether the connection breaks behind it. */
static void on_reply(struct sim *sim, struct sim_conn *c, const struct client_event *ev)
{
    struct sim_client_end *e = &c->client;
    const struct lab_faults *faults = &sim->point->faults;
    if (!e->is_dot_sent || e->is_done)
        return;
    if (!e->has_reply)
        hist_record(&sim->measure->dot_to_first, sim->now - e->dot_at);
    e->has_reply = true;
    if (!ev->is_part) /* a list inside one reply is one reply (DUP-13) */
        e->reply_at = sim->now;
    bool is_about_rcpt = ev->rcpt_idx != CLIENT_NO_RCPT;
    e->is_block |= ev->is_opening || is_about_rcpt;
    e->replies_seen += !ev->is_opening;
    if (!is_about_rcpt && e->is_block)
        return;
    e->answers++;
    bool is_hit = lab_faults_have(faults, LAB_CUT_AFTER_REPLIES) &&
                  e->answers == faults->cut_replies &&
                  !(faults->is_first_try_only && c->attempt > 0);
    if (is_hit && !c->is_cut) {
        c->is_cut = true;
        sim_push(sim, c, SIM_CUT, 0, SIM_RANK_WIRE, 0);
    }
}

static void on_ready(struct sim *sim, struct sim_conn *c)
{
    struct sim_client_end *e = &c->client;
    if (e->is_begun)
        return;
    e->is_begun = true;
    client_begin(&e->machine, &c->envelope, c->results, sim->now);
    if (e->config->half_closes)
        client_quit(&e->machine);
}

static void on_event(struct sim *sim, struct sim_conn *c, const struct client_event *ev)
{
    switch (ev->kind) {
    case CLIENT_EV_MORE:
        return;
    case CLIENT_EV_READY:
        on_ready(sim, c);
        return;
    case CLIENT_EV_REPLY:
        on_reply(sim, c, ev);
        return;
    case CLIENT_EV_DONE:
        finish_try(sim, c);
        client_quit(&c->client.machine);
        return;
    case CLIENT_EV_CLOSED:
        if (!c->client.is_done)
            finish_try(sim, c); /* before it had begun */
        close_end(sim, c);
        return;
    }
    UNREACHABLE();
}

/* Sends what there is to send; true when the machine has news from it. */
static bool pump(struct sim *sim, struct sim_conn *c)
{
    struct sim_client_end *e = &c->client;
    struct slices parts;
    bool has_more = true;
    while (has_more && c->pipes[SIM_UP].queued_bytes < SIM_WIRE_AHEAD_BYTES) {
        struct buf scratch = buf_over(sim->scratch, sizeof(sim->scratch));
        bool is_content = client_phase(&e->machine) == CLIENT_PHASE_CONTENT;
        uint64_t content_bytes = 0;
        has_more = client_output(&e->machine, sim->now, &scratch, &parts);
        for (uint32_t i = 0; i < parts.count; i++) {
            if (!sim_wire_send(sim, c, SIM_UP, parts.at[i])) {
                client_lost(&e->machine, CLIENT_ERROR_LOST);
                return true;
            }
            content_bytes += is_content ? parts.at[i].len : 0;
            if (!is_content)
                sim_ladder_lines(sim, c, SIM_UP, parts.at[i]);
        }
        sim_ladder_content(sim, c, content_bytes);
        if (parts.count > 0)
            e->sent_at = sim->now;
    }
    if (!e->is_dot_sent && e->machine.is_last_announced && e->machine.chunk_left == 0) {
        e->is_dot_sent = true;
        e->dot_at = e->sent_at = sim_wire_taken_at(sim, c, SIM_UP);
    }
    if (e->config->half_closes && e->machine.is_quit_sent && !e->machine.is_command_due)
        sim_wire_finish(sim, c, SIM_UP);
    return client_has_event(&e->machine);
}

/* What is being waited for; once the connection has ended, what was. */
static void note_phase(struct sim_client_end *e)
{
    if (!e->machine.is_closed_due)
        e->phase = client_phase(&e->machine);
}

static void step(struct sim *sim, struct sim_conn *c)
{
    struct sim_client_end *e = &c->client;
    struct sim_pipe *in = &c->pipes[SIM_DOWN];
    while (e->is_open) {
        struct slice bytes = c->is_cut ? SLICE_EMPTY : sim_wire_peek(in);
        struct client_event ev = {.kind = CLIENT_EV_MORE};
        if (bytes.len > 0 || client_has_event(&e->machine)) {
            note_phase(e);
            size_t used = client_feed(&e->machine, bytes, sim->now, &ev);
            on_event(sim, c, &ev);
            sim_wire_consume(sim, in, used);
            if (ev.kind != CLIENT_EV_MORE || used == bytes.len || sim_wire_join(sim, in))
                continue;
        }
        if (!e->is_open || !pump(sim, c))
            break;
    }
    arm_limit(sim, c);
}

void sim_client_begin(struct sim *sim, struct sim_conn *c)
{
    struct sim_client_end *e = &c->client;
    const struct client_config *config = &sim->client_configs[c->message->row];
    *e = (struct sim_client_end){.config = sim->clients[c->message->row],
                                 .start_at = sim->now,
                                 .limit_at = CLOCK_NEVER,
                                 .is_open = true};
    /* A connection that ends before the message has begun says nothing about anybody. */
    memset(c->results, 0, c->rcpt_count * sizeof(*c->results));
    sim_ladder_note(sim, c, LADDER_CLIENT, 0, "connects, for %u recipient%s", c->rcpt_count,
                    c->rcpt_count == 1 ? "" : "s");
    client_init(&e->machine, config, sim->now);
    sim_wire_connect(sim, c);
    arm_limit(sim, c);
}

void sim_client_on_mark(struct sim *sim, struct sim_conn *c, enum sim_mark mark)
{
    struct sim_client_end *e = &c->client;
    switch (mark) {
    case SIM_MARK_NONE:
        if (memchr(c->pipes[SIM_DOWN].in_tail->bytes, '\n', c->pipes[SIM_DOWN].in_tail->len))
            e->line_at = sim->now;
        step(sim, c);
        return;
    case SIM_MARK_FIN:
    case SIM_MARK_RST:
        note_phase(e);
        client_lost(&e->machine, CLIENT_ERROR_LOST);
        step(sim, c);
        return;
    case SIM_MARK_SYN:
        break;
    }
    UNREACHABLE();
}

void sim_client_on_limit(struct sim *sim, struct sim_conn *c)
{
    struct sim_client_end *e = &c->client;
    if (!e->is_open || e->limit_at != sim->now)
        return;
    e->limit_at = CLOCK_NEVER;
    if (limit_of(c) > sim->now) {
        arm_limit(sim, c);
        return;
    }
    sim_ladder_note(sim, c, LADDER_CLIENT, 0, "gives up");
    note_phase(e);
    client_lost(&e->machine, CLIENT_ERROR_TIMEOUT);
    step(sim, c);
}

void sim_client_on_reset(struct sim *sim, struct sim_conn *c)
{
    if (!c->client.is_open)
        return;
    note_phase(&c->client);
    client_lost(&c->client.machine, CLIENT_ERROR_LOST);
    step(sim, c);
}

void sim_client_stop(struct sim *sim, struct sim_conn *c)
{
    if (!c->client.is_open)
        return;
    c->client.is_stopped = true;
    sim_client_on_reset(sim, c);
}
