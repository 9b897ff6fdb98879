/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c - the machine of one connection.
 *
 *     COLD -> CONNECTING -> TALKING -> STARTTLS -> HANDSHAKE -> TALKING -> CLOSED
 *                     \-> HANDSHAKE (implicit TLS) -> TALKING
 *     any state -> CLOSED
 *
 * Clocks: a phase begins when its command was handed out, which is before the kernel has it, so a
 * latency is never too small. The end of the content is the moment at which the kernel had all of
 * it, because that may take long. Replies count at the time of the turn that brought them.
 *
 * A latency is recorded where a reply ended the phase. Timeouts, losses and garbage are counted.
 */
#include "load/link.h"
#include "base/assert.h"
#include "base/err.h"
#include "smtp/line.h"

/* --- accounts --------------------------------------------------------------------------------- */

static bool is_measured(const struct link *l, clock_ns now)
{
    return l->job != NULL ? l->job->is_measured : now >= l->stats->measure_at;
}

static void count(const struct link *l, uint64_t *counter, clock_ns now)
{
    if (is_measured(l, now))
        (*counter)++;
}

static void record(struct link *l, enum load_phase phase, clock_ns from, clock_ns to)
{
    if (!is_measured(l, to))
        return;
    uint64_t lag_ns = l->job != NULL ? l->job->start_at - l->job->planned_at : 0;
    load_stats_phase(l->stats, phase, to > from ? to - from : 0, lag_ns);
}

static void track_phase(struct link *l, clock_ns now)
{
    enum client_phase phase = client_phase(&l->client);
    if (l->client.is_closed_due)
        return; /* what was waited for at the end stays known */
    if (phase != l->phase)
        l->phase_at = now;
    l->phase = phase;
}

/* --- beginning and end ------------------------------------------------------------------------ */

void link_init(struct link *l, const struct link_config *config, struct load_stats *stats,
               struct pool *carries)
{
    memset(l, 0, sizeof(*l));
    l->config = config;
    l->stats = stats;
    l->carries = carries;
}

static void give_carry(struct link *l)
{
    if (l->carry != NULL)
        pool_give(l->carries, l->carry);
    l->carry = NULL;
    l->carry_len = 0;
}

void link_deinit(struct link *l)
{
    give_carry(l);
    tls_close(l->tls);
    l->tls = NULL;
    l->state = LINK_COLD;
}

void link_dial(struct link *l, struct job *job, clock_ns now)
{
    ASSERT(l->state == LINK_COLD && l->job == NULL && l->carry == NULL && l->tls == NULL);
    char *server_text = l->server_text;
    link_init(l, l->config, l->stats, l->carries);
    bool is_text_wanted = server_text != NULL && server_text[0] == '\0';
    l->server_text = is_text_wanted ? server_text : NULL;
    l->state = LINK_CONNECTING;
    l->job = job;
    l->connect_at = now;
    if (job != NULL)
        job->start_at = now;
}

/* The connection is over, and whatever is under way on it. */
static void close_with(struct link *l, enum link_how how)
{
    l->state = LINK_CLOSED;
    l->how = how;
    l->is_ready = false;
    l->is_closed_due = true;
}

/* Before the client machine has the job: nothing was learned about any recipient. */
static void fail(struct link *l, enum attempt_cause cause, enum client_phase phase)
{
    if (l->job != NULL) {
        l->job->cause = cause;
        l->job->phase = phase;
        job_fail(l->job, CLIENT_PHASE_IDLE, 0, NULL);
        l->is_done_due = true;
    }
    close_with(l, LINK_HOW_CLOSE);
}

static void fail_tls(struct link *l, clock_ns now)
{
    count(l, &l->stats->counters.tls_failed, now);
    fail(l, ATTEMPT_CAUSE_TLS, CLIENT_PHASE_HELLO);
}

static void go_on_handshake(struct link *l, clock_ns now)
{
    enum tls_result result = tls_handshake(l->tls);
    if (result == TLS_MORE)
        return;
    if (result != TLS_DONE) {
        fail_tls(l, now);
        return;
    }
    record(l, LOAD_PHASE_TLS, l->tls_at, now);
    count(l, &l->stats->counters.tls_handshakes, now);
    if (tls_was_resumed(l->tls))
        count(l, &l->stats->counters.tls_resumed, now);
    l->is_secure = true;
    l->state = LINK_TALKING;
    l->up_at = now;
    if (l->config->tls == LINK_TLS_STARTTLS)
        client_init_again(&l->client, &l->config->client, now);
    else
        client_init(&l->client, &l->config->client, now);
    track_phase(l, now);
}

static void begin_handshake(struct link *l, bool resumes, clock_ns now)
{
    l->state = LINK_HANDSHAKE;
    l->tls = tls_open(l->config->tls_context, resumes);
    if (l->tls == NULL)
        fail_tls(l, now);
    else
        go_on_handshake(l, now);
}

void link_connected(struct link *l, bool resumes, clock_ns now)
{
    ASSERT(l->state == LINK_CONNECTING);
    record(l, LOAD_PHASE_CONNECT, l->connect_at, now);
    count(l, &l->stats->counters.connects, now);
    l->up_at = l->tls_at = now;
    l->resumes = resumes;
    if (l->config->tls == LINK_TLS_IMPLICIT) {
        begin_handshake(l, resumes, now);
        return;
    }
    l->state = LINK_TALKING;
    client_init(&l->client, &l->config->client, now);
    track_phase(l, now);
}

static void hand_over(struct link *l, clock_ns now)
{
    ASSERT(l->state == LINK_TALKING && !l->is_begun);
    l->is_begun = true;
    l->is_content_begun = l->is_end_handed = l->is_end_sent = false;
    l->message_count++;
    client_begin(&l->client, &l->job->envelope, l->job->results, now);
    l->reply_at = l->line_at = now;
    bool is_last = l->config->reuse_max > 0 && l->message_count >= l->config->reuse_max;
    if (is_last && !l->config->resets)
        client_quit(&l->client);
    track_phase(l, now);
}

void link_begin(struct link *l, struct job *job, clock_ns now)
{
    ASSERT(l->is_ready && l->job == NULL);
    l->is_ready = false;
    l->job = job;
    job->start_at = now;
    hand_over(l, now);
}

void link_quit(struct link *l, clock_ns now)
{
    ASSERT(l->is_ready && l->job == NULL);
    l->is_ready = false;
    if (l->config->resets) {
        close_with(l, LINK_HOW_RESET);
        return;
    }
    client_quit(&l->client);
    l->client.since_ns = l->reply_at = l->line_at = now;
    track_phase(l, now);
}

void link_stop(struct link *l, clock_ns now)
{
    (void)now;
    if (l->state == LINK_COLD || l->state == LINK_CLOSED)
        return;
    if (l->state == LINK_TALKING && l->is_begun) {
        l->given_up_for = ATTEMPT_CAUSE_STOPPED;
        client_lost(&l->client, CLIENT_ERROR_LOST);
    } else {
        fail(l, ATTEMPT_CAUSE_STOPPED, CLIENT_PHASE_IDLE);
    }
}

static void lost_before_talk(struct link *l, int res, clock_ns now)
{
    struct load_counters *counters = &l->stats->counters;
    if (l->state == LINK_CONNECTING) {
        count(l, res == -ECONNREFUSED ? &counters->connects_refused : &counters->connects_failed,
              now);
        fail(l, ATTEMPT_CAUSE_CONNECT, CLIENT_PHASE_GREETING);
    } else {
        fail_tls(l, now);
    }
}

void link_lost(struct link *l, int res, clock_ns now)
{
    if (l->state == LINK_COLD || l->state == LINK_CLOSED)
        return;
    bool is_reset = res == -ECONNRESET || res == -EPIPE;
    if (is_reset && l->state != LINK_CONNECTING && !(l->was_quit_handed && l->job == NULL))
        count(l, &l->stats->counters.resets, now);
    if (l->state == LINK_TALKING)
        client_lost(&l->client, CLIENT_ERROR_LOST);
    else
        lost_before_talk(l, res, now);
}

/* --- misbehaviour ----------------------------------------------------------------------------- */

static void vanish_if_due(struct link *l)
{
    const struct job *job = l->job;
    if (job == NULL || !job->vanishes || !l->is_end_sent || l->given_up_for != 0 ||
        job->replies_seen < l->config->vanish_replies)
        return;
    l->given_up_for = ATTEMPT_CAUSE_MISBEHAVIOUR;
    client_lost(&l->client, CLIENT_ERROR_LOST);
}

/* --- sending ---------------------------------------------------------------------------------- */

struct before { /* the client machine before it gave output */
    uint32_t envelope_sent;
    bool is_hello_due;
};

static void note_envelope(struct link *l, const struct before *before, clock_ns now)
{
    uint32_t sent = l->client.envelope_sent;
    uint32_t rcpt_count = dialect_names_late(client_dialect(&l->client)) ? 0 : l->job->rcpt_count;
    if (sent == before->envelope_sent)
        return;
    if (client_is_naming(&l->client)) {
        l->rcpt_at = now;
        return;
    }
    if (before->envelope_sent == 0)
        l->mail_at = now;
    if (sent > 1 && before->envelope_sent <= rcpt_count)
        l->rcpt_at = now;
    if (sent > rcpt_count + 1)
        l->data_at = now;
}

static void note_output(struct link *l, const struct before *before, clock_ns now)
{
    struct client *c = &l->client;
    if (before->is_hello_due)
        l->hello_at = now;
    if (l->job != NULL && l->is_begun) {
        note_envelope(l, before, now);
        bool is_end = c->is_last_announced && c->chunk_left == 0;
        if (!l->is_content_begun && (is_end || c->content_left < l->job->message.content_bytes)) {
            l->is_content_begun = true;
            l->content_at = now;
            l->job->sent = ATTEMPT_SENT_PART;
        }
        if (is_end && !l->is_end_handed)
            l->is_end_handed = true;
    }
    if (c->is_quit_sent && !c->is_command_due && !l->was_quit_handed) {
        l->was_quit_handed = true;
        l->is_half_close_due = l->config->half_closes;
    }
}

static bool output_talk(struct link *l, clock_ns now, struct buf *scratch, struct slices *parts)
{
    struct before before = {l->client.envelope_sent, l->client.is_hello_due};
    bool has_more;
    if (l->is_secure) {
        has_more = tls_output(l->tls, &l->client, now, scratch);
        if (scratch->len > 0)
            parts->at[parts->count++] = buf_slice(scratch);
    } else {
        has_more = client_output(&l->client, now, scratch, parts);
    }
    if (parts->count > 0) {
        note_output(l, &before, now);
        l->reply_at = l->line_at = now;
    }
    track_phase(l, now);
    return has_more;
}

bool link_output(struct link *l, clock_ns now, struct buf *scratch, struct slices *parts)
{
    bool has_more = false;
    parts->count = 0;
    switch (l->state) {
    case LINK_TALKING:
        has_more = output_talk(l, now, scratch, parts);
        break;
    case LINK_STARTTLS:
        if (l->is_command_due)
            parts->at[parts->count++] = SLICE_LIT("STARTTLS\r\n");
        l->is_command_due = false;
        break;
    case LINK_HANDSHAKE:
        has_more = tls_drain(l->tls, scratch);
        if (scratch->len > 0)
            parts->at[parts->count++] = buf_slice(scratch);
        break;
    case LINK_COLD:
    case LINK_CONNECTING:
    case LINK_CLOSED:
        break;
    }
    if (parts->count > 0) {
        l->is_sending = true;
        l->out_at = now;
    }
    return has_more;
}

void link_progress(struct link *l, clock_ns now)
{
    l->out_at = now;
}

void link_sent(struct link *l, clock_ns at, clock_ns now)
{
    l->is_sending = false;
    l->out_at = at;
    if (l->state != LINK_TALKING || l->job == NULL || !l->is_end_handed || l->is_end_sent)
        return;
    if (l->tls != NULL && tls_has_output(l->tls))
        return;
    l->is_end_sent = true;
    l->end_at = at;
    l->job->sent = ATTEMPT_SENT_ALL;
    record(l, LOAD_PHASE_CONTENT, l->content_at, at);
    if (is_measured(l, now))
        hist_record(&l->stats->sizes, l->job->message.content_bytes);
    vanish_if_due(l);
}

bool link_waits_for_sent(const struct link *l)
{
    return (l->job != NULL && l->job->vanishes && l->is_end_handed) || l->is_half_close_due;
}

bool link_wants_half_close(struct link *l)
{
    bool is_due = l->is_half_close_due && !l->is_sending && l->state == LINK_TALKING;
    if (is_due)
        l->is_half_close_due = false;
    return is_due;
}

/* --- replies ---------------------------------------------------------------------------------- */

/* A reply after the content. */
static void on_done_reply(struct link *l, const struct client_event *ev, clock_ns now)
{
    struct job *job = l->job;
    if (!l->is_end_sent)
        return;
    if (job->replies_seen == 0 && !job->was_opened)
        record(l, LOAD_PHASE_FIRST_REPLY, l->end_at, now);
    if (ev->is_opening) {
        job->was_opened = true;
        return;
    }
    record(l, LOAD_PHASE_EACH_REPLY, l->end_at, now);
    if (is_measured(l, now))
        load_stats_reply_k(l->stats, job->replies_seen, now > l->end_at ? now - l->end_at : 0);
    job->replies_seen++;
    l->last_reply_at = now;
}

static void on_reply(struct link *l, const struct client_event *ev, uint32_t chunks_before,
                     clock_ns now)
{
    if (!ev->is_part)
        l->reply_at = now;
    l->last_code = ev->code;
    l->last_phase = ev->phase;
    memcpy(l->last_enhanced, ev->enhanced, sizeof(l->last_enhanced));
    switch (ev->phase) {
    case CLIENT_PHASE_GREETING:
        record(l, LOAD_PHASE_GREETING, l->up_at, now);
        break;
    case CLIENT_PHASE_HELLO:
        record(l, LOAD_PHASE_EHLO, l->hello_at, now);
        break;
    case CLIENT_PHASE_MAIL:
        record(l, LOAD_PHASE_MAIL, l->mail_at, now);
        break;
    case CLIENT_PHASE_RCPT:
        record(l, LOAD_PHASE_RCPT, l->rcpt_at, now);
        if (l->job != NULL && l->job->was_opened) /* ADAT: with the content known */
            on_done_reply(l, ev, now);
        break;
    case CLIENT_PHASE_DATA:
        record(l, LOAD_PHASE_DATA, l->data_at, now);
        break;
    case CLIENT_PHASE_DONE:
        if (l->job != NULL && l->client.chunks_replied == chunks_before)
            on_done_reply(l, ev, now);
        break;
    case CLIENT_PHASE_CONTENT:
    case CLIENT_PHASE_OTHER:
    case CLIENT_PHASE_IDLE:
    case CLIENT_PHASE_COUNT:
        break;
    }
}

static enum attempt_cause cause_of(const struct link *l)
{
    if (l->given_up_for != 0)
        return l->given_up_for;
    switch ((enum client_error)l->client.error) {
    case CLIENT_ERROR_NONE:
    case CLIENT_ERROR_REFUSED:
        return ATTEMPT_CAUSE_REPLY;
    case CLIENT_ERROR_PROTOCOL:
    case CLIENT_ERROR_CONTENT:
        return ATTEMPT_CAUSE_PROTOCOL;
    case CLIENT_ERROR_LOST:
        return ATTEMPT_CAUSE_LOST;
    case CLIENT_ERROR_TIMEOUT:
        return ATTEMPT_CAUSE_TIMEOUT;
    }
    UNREACHABLE();
}

/* The job's results are final, by replies or because the connection is over. */
static void finish_job(struct link *l, clock_ns now)
{
    struct job *job = l->job;
    bool is_over = l->client.is_closed_due; /* of the connection: that may be why */
    job->dialect = client_dialect(&l->client);
    job->has_block = l->client.has_block;
    if (l->is_end_sent)
        job->replies_due = client_replies_due(&l->client);
    job->cause = is_over ? cause_of(l) : ATTEMPT_CAUSE_REPLY;
    if (job->cause == ATTEMPT_CAUSE_REPLY && is_over) /* 421 */
        job_fail(job, l->last_phase, l->last_code, l->last_enhanced);
    bool is_decided = true;
    for (uint32_t i = 0; i < job->rcpt_count; i++)
        is_decided = is_decided && job->results[i].code != 0;
    if (is_decided)
        job->cause = ATTEMPT_CAUSE_REPLY;
    else if (job->cause == ATTEMPT_CAUSE_REPLY)
        job->cause = ATTEMPT_CAUSE_PROTOCOL; /* a list that has not all of them (EXD-17) */
    if (!is_decided)
        job->phase = l->phase;
    if (is_decided && l->is_end_sent && job->replies_seen > 0)
        record(l, LOAD_PHASE_LAST_REPLY, l->end_at, now);
    if (is_decided)
        record(l, LOAD_PHASE_WHOLE, job->start_at, now);
    l->is_begun = false;
}

/* The client machine is through with the connection. */
static void on_client_closed(struct link *l, enum client_error error, clock_ns now)
{
    if (error == CLIENT_ERROR_PROTOCOL)
        count(l, &l->stats->counters.protocol_errors, now);
    if (l->job == NULL) {
        close_with(l, l->given_up_for == ATTEMPT_CAUSE_MISBEHAVIOUR ? l->config->vanish_how
                                                                    : LINK_HOW_CLOSE);
        return;
    }
    enum attempt_cause cause = cause_of(l);
    fail(l, cause, l->phase);
    if (cause == ATTEMPT_CAUSE_REPLY) { /* the greeting, or the hello, said no to all */
        for (uint32_t i = 0; i < l->job->rcpt_count; i++)
            l->job->results[i] = (struct client_result){0};
        job_fail(l->job, l->last_phase, l->last_code, l->last_enhanced);
    }
}

/* --- input ------------------------------------------------------------------------------------ */

void link_input(struct link *l, struct slice in)
{
    if (l->tls == NULL) {
        l->in = in;
        return;
    }
    l->in = SLICE_EMPTY;
    l->is_cipher_lost = !tls_take(l->tls, in);
}

/* Decrypts when all of the last piece has been read. */
static void refill(struct link *l, clock_ns now)
{
    if (!l->is_secure || l->in.len > 0 || l->state != LINK_TALKING)
        return;
    enum tls_result result = tls_read(l->tls, &l->in);
    if (result == TLS_ENDED)
        link_lost(l, 0, now);
    else if (result == TLS_FAILED || l->is_cipher_lost)
        link_lost(l, -EPROTO, now);
}

/* What is to be read next: a line that began earlier is completed first. */
static struct slice next_bytes(struct link *l)
{
    if (l->carry_len == 0 || l->in.len == 0)
        return l->in;
    size_t len = size_min(slice_find(l->in, '\n') + 1, l->in.len);
    len = size_min(len, LINK_CARRY_BYTES - l->carry_len);
    memcpy(l->carry + l->carry_len, l->in.ptr, len);
    l->carry_len += (uint32_t)len;
    l->in = slice_from(l->in, len);
    return slice_of(l->carry, l->carry_len);
}

static void keep_text(struct link *l, struct slice used)
{
    bool is_hello = l->phase == CLIENT_PHASE_GREETING || l->phase == CLIENT_PHASE_HELLO;
    if (l->server_text == NULL || used.len == 0 || !is_hello || l->state != LINK_TALKING)
        return;
    size_t len = strlen(l->server_text);
    size_t add = size_min(used.len, LINK_SERVER_TEXT_BYTES - 1 - len);
    memcpy(l->server_text + len, used.ptr, add);
    l->server_text[len + add] = '\0';
}

/* @used of @in is done with; the rest of a line waits for its end. False: no memory for that. */
static bool consume(struct link *l, struct slice in, size_t used, bool is_all_read)
{
    if (in.len == 0)
        return true;
    if (in.ptr == l->carry) {
        l->carry_len -= (uint32_t)used;
        memmove(l->carry, l->carry + used, l->carry_len);
    } else {
        l->in = slice_from(l->in, used);
        if (is_all_read && l->in.len > 0) {
            ASSERT(l->in.len <= LINK_CARRY_BYTES);
            if (l->carry == NULL)
                l->carry = pool_take(l->carries);
            if (l->carry == NULL)
                return false;
            memcpy(l->carry, l->in.ptr, l->in.len);
            l->carry_len = (uint32_t)l->in.len;
            l->in = SLICE_EMPTY;
        }
    }
    if (l->carry_len == 0)
        give_carry(l);
    return true;
}

/* The reply to STARTTLS; true when the state changed. */
static bool read_starttls(struct link *l, clock_ns now)
{
    struct slice in = next_bytes(l), line;
    bool is_skipping = false;
    size_t used;
    struct reply_line parsed;
    if (in.len == 0)
        return false;
    enum line_result result = line_next(&is_skipping, in, REPLY_READ_LINE_BYTES_MAX, &line, &used);
    enum reply_result reply = REPLY_BAD;
    if (result == LINE_OK && reply_parse_line(line, &parsed))
        reply = reply_add_line(&l->reply, &parsed);
    bool is_kept = consume(l, in, result == LINE_MORE ? 0 : used, result == LINE_MORE);
    if (result == LINE_MORE && is_kept)
        return l->in.len > 0;
    if (reply == REPLY_MORE)
        return true;
    bool is_clean = l->in.len == 0 && l->carry_len == 0; /* nothing may be slipped in behind it */
    if (reply == REPLY_BAD || !is_clean)
        count(l, &l->stats->counters.protocol_errors, now);
    if (reply == REPLY_DONE && l->reply.code == 220 && is_clean)
        begin_handshake(l, l->resumes, now);
    else
        fail_tls(l, now);
    return true;
}

/* One event of the client machine; LINK_EV_MORE: go on when @ret_goes_on, else there is none. */
static enum link_event talk(struct link *l, clock_ns now, bool *ret_goes_on)
{
    struct client_event ev;
    refill(l, now);
    struct slice in = l->state == LINK_TALKING ? next_bytes(l) : SLICE_EMPTY;
    *ret_goes_on = in.len > 0 || client_has_event(&l->client);
    if (!*ret_goes_on || l->state != LINK_TALKING)
        return LINK_EV_MORE;
    uint32_t chunks_before = l->client.chunks_replied;
    size_t used = client_feed(&l->client, in, now, &ev);
    if (used > 0)
        l->line_at = now;
    keep_text(l, slice_first(in, used));
    if (!consume(l, in, used, ev.kind == CLIENT_EV_MORE))
        link_lost(l, -ENOMEM, now);
    enum link_event event = LINK_EV_MORE;
    switch (ev.kind) {
    case CLIENT_EV_MORE:
        break;
    case CLIENT_EV_REPLY:
        on_reply(l, &ev, chunks_before, now);
        vanish_if_due(l);
        break;
    case CLIENT_EV_READY:
        if (l->config->tls == LINK_TLS_STARTTLS && !l->is_secure) {
            l->state = LINK_STARTTLS;
            l->is_command_due = true;
            l->tls_at = now;
        } else if (l->job != NULL) {
            hand_over(l, now);
        } else if (l->config->reuse_max > 0 && l->message_count >= l->config->reuse_max) {
            l->is_ready = true;
            link_quit(l, now);
        } else {
            l->is_ready = true;
            event = LINK_EV_READY;
        }
        break;
    case CLIENT_EV_DONE:
        finish_job(l, now);
        event = LINK_EV_DONE;
        break;
    case CLIENT_EV_CLOSED:
        on_client_closed(l, ev.error, now);
        break;
    }
    if (l->state == LINK_TALKING && ev.kind != CLIENT_EV_DONE)
        track_phase(l, now);
    return event;
}

enum link_event link_next(struct link *l, clock_ns now)
{
    bool goes_on = true;
    while (goes_on) {
        goes_on = false;
        if (l->is_done_due) {
            l->is_done_due = false;
            return LINK_EV_DONE;
        }
        if (l->is_closed_due) {
            l->is_closed_due = false;
            return LINK_EV_CLOSED;
        }
        if (l->state == LINK_TALKING) {
            enum link_event event = talk(l, now, &goes_on);
            if (event != LINK_EV_MORE)
                return event;
        } else if (l->state == LINK_STARTTLS) {
            goes_on = read_starttls(l, now);
        } else if (l->state == LINK_HANDSHAKE) {
            go_on_handshake(l, now);
            goes_on = l->state != LINK_HANDSHAKE;
        }
        goes_on = goes_on || l->is_done_due || l->is_closed_due;
    }
    return LINK_EV_MORE;
}

struct job *link_take_job(struct link *l)
{
    struct job *job = l->job;
    l->job = NULL;
    l->is_begun = false;
    return job;
}

/* --- time ------------------------------------------------------------------------------------- */

/* The end of the wait for a reply. */
static clock_ns reply_deadline(const struct link *l, enum client_phase phase)
{
    clock_ns since = l->client.since_ns;
    switch (l->config->timeouts.restarts[phase]) {
    case LINK_RESTART_RESET:
        break;
    case LINK_RESTART_LINE:
        since = u64_max(since, l->line_at);
        break;
    case LINK_RESTART_REPLY:
        since = l->reply_at;
        break;
    case LINK_RESTART_TOTAL:
        since = l->phase_at;
        break;
    case LINK_RESTART_COUNT:
        UNREACHABLE();
    }
    if (phase == CLIENT_PHASE_DONE && l->is_end_sent)
        since = u64_max(since, l->end_at);
    return since + l->config->client.timeouts_ns[phase];
}

/* Whether what is waited for is room to send, and not a reply. */
static bool is_blocked(const struct link *l)
{
    return l->is_sending && (l->is_content_begun || client_phase(&l->client) == CLIENT_PHASE_IDLE);
}

static clock_ns true_deadline(const struct link *l)
{
    enum client_phase phase;
    switch (l->state) {
    case LINK_CONNECTING:
        return l->connect_at + l->config->timeouts.connect_ns;
    case LINK_HANDSHAKE:
    case LINK_STARTTLS:
        return l->tls_at + l->config->timeouts.tls_ns;
    case LINK_TALKING:
        if (is_blocked(l))
            return l->out_at + l->config->client.timeouts_ns[CLIENT_PHASE_CONTENT];
        phase = client_phase(&l->client);
        return phase == CLIENT_PHASE_IDLE ? CLOCK_NEVER : reply_deadline(l, phase);
    case LINK_COLD:
    case LINK_CLOSED:
        return CLOCK_NEVER;
    }
    UNREACHABLE();
}

/* The owner may learn late that all has been sent: then the wait for the reply began earlier. */
clock_ns link_deadline(const struct link *l)
{
    clock_ns deadline = true_deadline(l);
    if (l->state != LINK_TALKING || !is_blocked(l))
        return deadline;
    enum client_phase phase = client_phase(&l->client);
    return phase == CLIENT_PHASE_IDLE ? deadline : u64_min(deadline, reply_deadline(l, phase));
}

void link_expire(struct link *l, clock_ns now)
{
    if (now < true_deadline(l))
        return;
    if (l->state != LINK_TALKING) {
        lost_before_talk(l, -ETIMEDOUT, now);
        return;
    }
    enum client_phase phase = is_blocked(l) ? CLIENT_PHASE_CONTENT : client_phase(&l->client);
    count(l, &l->stats->counters.timeouts[phase], now);
    l->phase = phase;
    client_lost(&l->client, CLIENT_ERROR_TIMEOUT);
}
