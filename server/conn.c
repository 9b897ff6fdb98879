/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - from receive results to session input, from session output to sends, and teardown.
 *
 *   OPEN --session wants close--> FLUSHING --all sent--> LINGERING --peer's end, or 2 s--> DRAINING
 *    \--lost (EOF, reset, timeout) ------------------------------------------------------^
 *   DRAINING --no operation in flight--> closed and given back at the end of the turn
 *
 * Input: a received window is fed to the session at once. What cannot be consumed because an answer
 * is outstanding is held, in order; the multishot receive is cancelled when more than
 * CONN_HELD_MAX windows wait and armed again when they are consumed (back pressure); where receive
 * buffers run short, what waits moves into chunks. The incomplete
 * end of a command line moves into a chunk, so that no receive buffer is held by a slow typist.
 * Output: at the end of a turn what is ready leaves as the listener paces it (pace.h); while
 * something is in flight, the rest waits. Deadlines: a complete command, content progress, and the
 * peer taking our replies each have one (P6); progress of single bytes does not extend the deadline
 * of a command. What its client waits for is timed by budget.c.
 */
#include "conn.h"
#include "budget.h"
#include "doubt.h"
#include "listener.h"
#include "pace.h"
#include "shard.h"
#include "txn.h"
#include "txnlog.h"
#include "base/assert.h"
#include "smtp/command.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define CONN_HELD_MAX 2
#define LINGER_NS (2 * NS_PER_S)
/* After QUIT was answered the client usually closes at once; meeting his end is cheaper than
 * cancelling our receive, so he gets this long before we close. */
#define QUIT_WAIT_NS (50 * NS_PER_MS)
/* While receive buffers are scarce: for the peer to take replies, and for a decision whose
 * connection holds some of them. */
#define STUCK_NS_SCARCE NS_PER_S
#define OURS_CHECK_NS (5 * NS_PER_S) /* how often a wait for ourselves is looked at */

static void conn_process(struct shard *sh, struct conn *c, struct window *fresh);

struct ring_token conn_token(struct shard *sh, const struct conn *c, enum ring_kind kind)
{
    return (struct ring_token){
        .kind = (uint8_t)kind,
        .owner = SHARD_OWNER_CONN,
        .generation = c->generation,
        .idx = pool_index(&sh->conns, c),
    };
}

static void mark_dirty(struct shard *sh, struct conn *c)
{
    if (list_is_empty(&c->dirty))
        list_push(&sh->dirty, &c->dirty);
}

static void wait_on(struct conn *c, struct list *head)
{
    if (!list_is_empty(&c->waiting))
        list_remove(&c->waiting);
    list_push(head, &c->waiting);
}

/* Sets the deadline; the timer itself moves only when it would fire too late. */
static void set_deadline(struct shard *sh, struct conn *c, clock_ns due)
{
    c->deadline = due;
    if (!timer_is_armed(&c->timer) || c->timer.due > due)
        timer_arm(&sh->timers, &c->timer, due);
}

static void recv_arm(struct shard *sh, struct conn *c)
{
    ASSERT(!c->is_recv_armed);
    ring_recv_arm(sh->ring, c->file, conn_token(sh, c, RING_RECV));
    c->is_recv_armed = true;
    c->is_recv_cancelled = false;
    c->ops_count++;
}

static void recv_cancel(struct shard *sh, struct conn *c)
{
    if (!c->is_recv_armed || c->is_recv_cancelled)
        return;
    ring_cancel(sh->ring, conn_token(sh, c, RING_RECV), conn_token(sh, c, RING_CANCEL));
    c->is_recv_cancelled = true;
    c->ops_count++;
}

void conn_stall(struct shard *sh, struct conn *c)
{
    if (c->is_stalled || c->state != CONN_OPEN)
        return;
    c->is_stalled = true;
    wait_on(c, &sh->stalled);
    recv_cancel(sh, c);
}

/* While a decision is under way its client's leaving is noticed, by the receive that is armed or by
 * this (DUP-17). */
static void watch(struct shard *sh, struct conn *c)
{
    if (c->is_watched || c->is_recv_armed || c->is_eof || c->state != CONN_OPEN || c->txn == NULL ||
        !txn_is_deciding(c->txn))
        return;
    ring_watch(sh->ring, c->file, conn_token(sh, c, RING_POLL));
    c->is_watched = true;
    c->ops_count++;
}

static bool wants_input(const struct conn *c)
{
    if (c->is_eof || c->is_lost || !list_is_empty(&c->waiting))
        return false;
    return c->state == CONN_LINGERING || (c->state == CONN_OPEN && c->held_count == 0);
}

void conn_open(struct shard *sh, struct listener *l, int32_t file)
{
    struct conn *c = pool_take(&sh->conns);
    ASSERT(c != NULL); /* the listener checked */
    memset(c, 0, sizeof(*c));
    c->generation = sh->conn_generations[pool_index(&sh->conns, c)];
    c->file = file;
    c->listener = l;
    c->state = CONN_OPEN;
    list_init(&c->dirty);
    list_init(&c->waiting);
    list_init(&c->holding);
    timer_init(&c->timer, SHARD_OWNER_CONN);
    l->conn_count++;
    sh->conn_count++;
    c->opened_at = ring_now(sh->ring);
    c->progress_at = c->opened_at;
    metrics_add(&sh->metrics, METRIC_CONNS_ACCEPTED, 1);
    metrics_add(&sh->metrics, METRIC_CONNS_OPEN, 1);
    session_init(&c->session, &l->options->session, c->opened_at);
    session_count_replies(&c->session, sh->metrics.replies);
    if (l->options->conn_count_max > 0 && l->conn_count > l->options->conn_count_max) {
        metrics_add(&sh->metrics, METRIC_CONNS_REFUSED, 1);
        session_refuse(&c->session, ANSWER(STATUS_TOO_MANY_CONNS));
        c->end_reason = "too many connections";
    } else if (sh->is_draining) {
        session_refuse(&c->session, ANSWER(STATUS_SHUTTING_DOWN));
    }
    if (l->options->unix_path == NULL) {
        c->peer.ss_family = l->options->address.ss_family;
        ring_peername(sh->ring, file, &c->peer, conn_token(sh, c, RING_PEERNAME));
        c->ops_count++;
    } else {
        c->peer.ss_family = AF_UNIX;
    }
    recv_arm(sh, c);
    set_deadline(sh, c, c->opened_at + l->options->command_ns_max);
    mark_dirty(sh, c);
}

/* --- teardown ------------------------------------------------------------------------------- */

static void held_drop(struct shard *sh, struct conn *c)
{
    while (c->held_first != NULL) {
        struct held_window *h = c->held_first;
        c->held_first = h->next;
        window_unpin(&h->window);
        pool_give(&sh->held, h);
    }
    c->held_last = NULL;
    c->held_count = 0;
    list_remove(&c->holding);
}

static void conn_check_drained(struct shard *sh, struct conn *c)
{
    if (c->state == CONN_DRAINING && c->ops_count == 0 && list_is_empty(&c->waiting))
        list_push(&sh->drained, &c->waiting);
}

/* Everything that the connection holds goes home; the file follows when nothing is in flight. */
static void conn_release(struct shard *sh, struct conn *c)
{
    if (c->state >= CONN_DRAINING)
        return;
    c->state = CONN_DRAINING;
    held_drop(sh, c);
    if (c->txn != NULL)
        txn_detach(sh, c->txn);
    ASSERT(c->txn == NULL);
    doubt_on_end(sh, c);
    if (c->carry != NULL)
        chunk_unref(&sh->chunks, c->carry);
    c->carry = NULL;
    list_remove(&c->dirty);
    list_remove(&c->waiting);
    timer_disarm(&c->timer);
    recv_cancel(sh, c);
    if (c->is_watched) {
        ring_cancel(sh->ring, conn_token(sh, c, RING_POLL), conn_token(sh, c, RING_CANCEL));
        c->ops_count++;
    }
    if (c->output == CONN_OUTPUT_SENT) {
        ring_cancel(sh->ring, conn_token(sh, c, RING_SEND), conn_token(sh, c, RING_CANCEL));
        c->ops_count++;
    }
    if (c->output == CONN_OUTPUT_LINKED) { /* the file must stay until it has left or not: the peer
                                              hears it now */
        ring_shutdown_write(sh->ring, c->file, conn_token(sh, c, RING_SHUTDOWN));
        c->ops_count++;
    }
    if (c->end_reason != NULL)
        txnlog_conn_ended(sh, c);
    conn_check_drained(sh, c);
}

static void conn_lost(struct shard *sh, struct conn *c, const char *reason)
{
    if (c->state >= CONN_DRAINING)
        return;
    if (!c->is_lost && c->state == CONN_OPEN) {
        metrics_add(&sh->metrics, METRIC_CONNS_LOST, 1);
        c->end_reason = reason;
    }
    c->is_lost = true;
    conn_release(sh, c);
}

void conn_drop(struct shard *sh, struct conn *c, const char *reason)
{
    c->end_reason = reason;
    conn_release(sh, c);
}

void conn_close(struct shard *sh, struct conn *c)
{
    ASSERT(c->state == CONN_DRAINING && c->ops_count == 0);
    ring_close(sh->ring, c->file);
    list_remove(&c->dirty);
    if (c->out != NULL)
        conn_out_give(sh, c);
    sh->conn_generations[pool_index(&sh->conns, c)]++; /* what comes for it now is stale */
    c->listener->conn_count--;
    sh->conn_count--;
    metrics_sub(&sh->metrics, METRIC_CONNS_OPEN, 1);
    pool_give(&sh->conns, c);
}

/* All replies are out and the session is over. */
static void conn_finish(struct shard *sh, struct conn *c)
{
    if (c->is_eof) {
        conn_release(sh, c);
        return;
    }
    if (session_has_quit(&c->session)) {
        clock_ns now = ring_now(sh->ring);
        if (now >= c->deadline) {
            conn_release(sh, c);
            return;
        }
        c->state = CONN_LINGERING; /* the deadline was set when the answer was sent ... */
        if (c->deadline > now + LINGER_NS)
            set_deadline(sh, c, now + LINGER_NS); /* ... unless he took it slowly */
        return;
    }
    /* Closing with unread input would reset the connection and may take our last reply with it. */
    held_drop(sh, c);
    c->state = CONN_LINGERING;
    c->ops_count++;
    ring_shutdown_write(sh->ring, c->file, conn_token(sh, c, RING_SHUTDOWN));
    set_deadline(sh, c, ring_now(sh->ring) + LINGER_NS);
    if (!c->is_recv_armed)
        recv_arm(sh, c);
}

/* --- output --------------------------------------------------------------------------------- */

void conn_out_give(struct shard *sh, struct conn *c)
{
    chunk_unref(&sh->chunks, c->out);
    c->out = NULL;
    c->out_sent = 0;
    c->out_parts = 0;
}

enum send_mode {
    SEND_PROMPT, /* something has to happen when the replies have left */
    SEND_QUIET,  /* nothing has: the result may come late */
    SEND_REST,   /* the peer did not take all of it: wait for him */
};

static void send_next(struct shard *sh, struct conn *c, enum send_mode mode)
{
    struct slice rest = slice_of(c->out->bytes + c->out_sent, c->out->len - c->out_sent);
    struct ring_token token = conn_token(sh, c, RING_SEND);
    if (c->out_parts > 1 && c->out_sent == 0 && mode != SEND_REST)
        pace_send(sh->ring, c->file, c->out, c->out_parts, token);
    else if (mode == SEND_QUIET)
        ring_send_quiet(sh->ring, c->file, rest, token);
    else
        ring_send(sh->ring, c->file, rest, token);
    c->output = CONN_OUTPUT_SENT;
    c->ops_count++;
}

/* Formats what is ready into c->out, as far as it fits; true when all of it is there. */
static bool format(struct shard *sh, struct conn *c)
{
    bool is_ahead = c->output == CONN_OUTPUT_AHEAD;
    if (c->output >= CONN_OUTPUT_SENT ||
        (is_ahead && c->txn != NULL && c->txn->state == TXN_COMMITTING))
        return false;
    struct chunk *out = c->out != NULL && !is_ahead ? c->out : chunk_take(&sh->chunks);
    if (out == NULL) { /* replies wait, nothing is lost */
        metrics_add(&sh->metrics, METRIC_POOL_EMPTY, 1);
        list_remove(&c->dirty);
        list_push(&sh->speechless, &c->dirty);
        return false;
    }
    uint32_t len_before = out->len;
    bool is_complete = pace_output(c->listener->options->pacing, &c->session, out, &c->out_parts);
    if (c->txn != NULL && out->len > len_before)
        c->txn->said_at = ring_now(sh->ring);
    if (is_ahead)
        pace_reconcile(sh, c, out);
    c->out = out;
    if (c->txn != NULL && c->txn->state == TXN_REPLYING && session_replies_done(&c->session))
        txn_replied(sh, c->txn);
    return is_complete;
}

/* Nothing is left to say: the session is over, or the peer has ended his side. */
static bool is_over(const struct conn *c)
{
    if (session_wants_close(&c->session))
        return true;
    return c->is_eof && c->held_count == 0 && c->txn == NULL;
}

/* @is_complete: c->out has everything that is ready. */
static void send_first(struct shard *sh, struct conn *c, bool is_complete)
{
    bool is_last = is_complete && is_over(c);
    bool is_goodbye = is_last && session_has_quit(&c->session);
    bool is_quiet = is_complete && !is_last && !c->is_blocked && !sh->is_draining;
    metrics_add(&sh->metrics, METRIC_BYTES_SENT, c->out->len - c->out_sent);
    c->send_since = ring_now(sh->ring);
    send_next(sh, c, is_quiet || is_goodbye ? SEND_QUIET : SEND_PROMPT);
    doubt_on_sent(c);
    clock_ns due = c->send_since + (is_goodbye ? QUIT_WAIT_NS : c->listener->options->send_ns_max);
    if (due < c->deadline)
        set_deadline(sh, c, due);
}

void conn_flush(struct shard *sh, struct conn *c)
{
    if (c->output >= CONN_OUTPUT_SENT || c->state > CONN_FLUSHING)
        return;
    bool is_complete = format(sh, c);
    if (c->is_blocked && (c->txn == NULL || !txn_is_deciding(c->txn))) {
        conn_process(sh, c, NULL); /* room was made: go on with the input that waited for it */
        if (c->output >= CONN_OUTPUT_SENT || c->state > CONN_FLUSHING)
            return;
        is_complete = format(sh, c);
    }
    if (c->out == NULL || c->output == CONN_OUTPUT_AHEAD)
        return;
    if (c->out->len > c->out_sent) {
        send_first(sh, c, is_complete);
        return;
    }
    if (c->out->len > 0) /* all of it has left with the commit */
        doubt_on_sent(c);
    conn_out_give(sh, c);
    if (!is_complete)
        mark_dirty(sh, c);
    else if (is_over(c))
        conn_finish(sh, c);
    else if (sh->is_draining)
        conn_drain(sh, c, false);
}

static void on_send(struct shard *sh, struct conn *c, int32_t res)
{
    c->output = CONN_OUTPUT_FREE;
    if (c->state >= CONN_DRAINING)
        return;
    if (res < 0 && res != -EAGAIN) {
        conn_lost(sh, c, "send failed");
        return;
    }
    c->out_sent += res > 0 ? (uint32_t)res : 0;
    if (c->out_sent < c->out->len && res == 0) {
        conn_lost(sh, c, "send failed");
        return;
    }
    if (c->out_sent < c->out->len) { /* the peer does not read: he gets his time */
        send_next(sh, c, SEND_REST);
        if (c->state == CONN_FLUSHING)
            set_deadline(sh, c, c->send_since + c->listener->options->send_ns_max);
        return;
    }
    conn_out_give(sh, c);
    mark_dirty(sh, c); /* more may have become ready meanwhile, or it was the last */
}

/* What was linked to the commit has left, or will not. */
static void on_linked_send(struct shard *sh, struct conn *c, int32_t res)
{
    pace_landed(sh, c, res);
    if (c->state <= CONN_FLUSHING)
        mark_dirty(sh, c);
}

/* --- input ---------------------------------------------------------------------------------- */

/* Content, or the octets of a refused BDAT, begin to arrive: their clocks start. */
static void content_begin(struct shard *sh, struct conn *c)
{
    c->is_in_content = true;
    c->content_since = ring_now(sh->ring);
    c->content_bytes = 0;
    c->rate_check_at = c->content_since + c->listener->options->content_grace_ns;
}

/* The next moment at which something must have happened, after progress was made. */
static void deadline_after_progress(struct shard *sh, struct conn *c)
{
    const struct listener_options *o = c->listener->options;
    clock_ns due = c->progress_at + o->command_ns_max;
    bool is_content = session_phase(&c->session) == SESSION_PHASE_CONTENT;
    if (is_content && !c->is_in_content)
        content_begin(sh, c);
    c->is_in_content = is_content;
    if (is_content) {
        due = c->progress_at + o->block_ns_max;
        due = u64_min(due, c->rate_check_at);
        due = u64_min(due, c->content_since + o->content_ns_max);
    }
    due = u64_min(due, budget_due(c));
    if (c->output == CONN_OUTPUT_SENT)
        due = u64_min(due, c->send_since + o->send_ns_max);
    set_deadline(sh, c, u64_min(due, c->opened_at + sh->options.limits.session_ns_max));
}

static void on_helo(struct conn *c, struct slice name)
{
    name = slice_first(name, HELO_BYTES_MAX);
    memcpy(c->helo, name.ptr, name.len);
    c->helo_len = (uint8_t)name.len;
}

static void on_mail(struct shard *sh, struct conn *c, const struct session_event *ev)
{
    ASSERT(c->txn == NULL);
    if (sh->is_draining) { /* no new transaction, however many are pipelined */
        session_end_now(&c->session, ANSWER(STATUS_SHUTTING_DOWN));
        return;
    }
    struct answer answer = ANSWER(STATUS_SENDER_OK);
    switch (spool_can_store(sh->spool, ev->mail.has_size ? ev->mail.size : 0)) {
    case SPOOL_FULL:
        answer = ANSWER(STATUS_STORE_FULL);
        break;
    case SPOOL_FAILED:
        answer = ANSWER(STATUS_STORE_FAILED);
        break;
    case SPOOL_PENDING:
    case SPOOL_STORED:
        c->txn = txn_new(sh, c, ev);
        if (c->txn == NULL)
            answer = ANSWER(STATUS_NO_RESOURCES);
        break;
    }
    if (c->txn == NULL)
        txnlog_refused(sh, c, "MAIL", ev->path.whole, answer);
    session_answer(&c->session, ev->slot, answer);
}

static void on_content(struct shard *sh, struct conn *c, const struct session_event *ev)
{
    struct answer refusal = txn_begin_content(sh, c->txn);
    if (refusal.status != STATUS_NONE) {
        txnlog_refused(sh, c, "content", c->txn->reverse_path, refusal);
        session_answer(&c->session, ev->slot, refusal);
        return;
    }
    session_begin_content(&c->session, ev->slot, &c->txn->scan);
    content_begin(sh, c);
}

/* The session has refused a command itself. */
static void on_refused(struct shard *sh, struct conn *c, const struct session_event *ev)
{
    struct slice text = slice_first(ev->text, size_min(ev->text.len, PATH_BYTES_MAX));
    if (ev->command == COMMAND_RCPT || ev->command == COMMAND_DRCP)
        txn_rcpt_refused(sh, c->txn, text, ev->answer);
    else if (ev->command == COMMAND_MAIL)
        txnlog_refused(sh, c, "MAIL", text, ev->answer);
    else
        txnlog_refused(sh, c, "content", c->txn->reverse_path, ev->answer);
}

/* Handles one event; @w is the window that body parts point into. */
static void on_session_event(struct shard *sh, struct conn *c, const struct session_event *ev,
                             const struct window *w)
{
    switch (ev->kind) {
    case EV_MORE:
    case EV_BLOCKED:
    case EV_OUTPUT:
    case EV_CLOSE:
        break;
    case EV_HELO:
        on_helo(c, ev->text);
        break;
    case EV_MAIL:
        on_mail(sh, c, ev);
        break;
    case EV_RCPT:
        session_answer(&c->session, ev->slot, txn_rcpt(sh, c->txn, ev));
        break;
    case EV_REFUSED:
        on_refused(sh, c, ev);
        break;
    case EV_CONTENT:
        on_content(sh, c, ev);
        break;
    case EV_BODY:
        txn_body(sh, c->txn, &ev->parts, w);
        break;
    case EV_BODY_END:
        txn_body(sh, c->txn, &ev->parts, w);
        txn_end(sh, c->txn, ev);
        break;
    case EV_NAMING:
        txn_body(sh, c->txn, &ev->parts, w);
        txn_name_rcpts(sh, c->txn, ev);
        break;
    case EV_COMMIT:
        txn_commit_named(sh, c->txn);
        break;
    case EV_ABORT:
        if (c->txn != NULL)
            txn_abort(sh, c->txn, "reset");
        break;
    }
}

/* Formats what is ready, because the session cannot go on before; false when that has to wait. */
static bool make_room(struct shard *sh, struct conn *c)
{
    size_t before = c->out != NULL ? c->out->len : 0;
    (void)format(sh, c);
    if (c->txn != NULL && c->txn->state == TXN_REPLYING)
        return false;
    return c->output < CONN_OUTPUT_SENT && c->out != NULL && c->out->len > before;
}

/* Feeds @w until the session wants more, an answer, or the end. Returns the last event's kind;
 * EV_BLOCKED also when replies must leave first. */
static enum session_event_kind feed(struct shard *sh, struct conn *c, struct window *w)
{
    struct session_event ev;
    clock_ns now = ring_now(sh->ring);
    size_t len_before = w->bytes.len;
    do {
        /* The texts of the last message must be formatted before another may begin. */
        if (c->txn != NULL && c->txn->state == TXN_REPLYING && !make_room(sh, c)) {
            ev.kind = EV_BLOCKED;
            break;
        }
        size_t used = session_feed(&c->session, w->bytes, now, &ev);
        if (ev.kind == EV_OUTPUT && !make_room(sh, c))
            ev.kind = EV_BLOCKED;
        on_session_event(sh, c, &ev, w);
        window_consume(w, used);
    } while (ev.kind != EV_MORE && ev.kind != EV_BLOCKED && ev.kind != EV_CLOSE);
    c->has_progress |= w->bytes.len < len_before;
    return ev.kind;
}

/* Joins the start of @w to the incomplete line in c->carry, and feeds that line. */
static enum session_event_kind feed_carry(struct shard *sh, struct conn *c, struct window *w)
{
    size_t line = slice_find(w->bytes, '\n');
    line += line < w->bytes.len ? 1 : 0;
    if (c->is_carry_blocked) /* it is complete already, and waited for an answer */
        line = 0;
    struct slice copied = chunk_append(c->carry, slice_first(w->bytes, line));
    window_consume(w, copied.len);
    struct window joined = {.bytes = slice_of(c->carry->bytes, c->carry->len)};
    enum session_event_kind kind = feed(sh, c, &joined);
    c->is_carry_blocked = kind == EV_BLOCKED;
    size_t rest = joined.bytes.len;
    ASSERT(rest < CHUNK_ROOM_MAX); /* COMMAND_LINE_BYTES_MAX is far below a chunk */
    memmove(c->carry->bytes, c->carry->bytes + (c->carry->len - rest), rest);
    c->carry->len = (uint32_t)rest;
    if (rest == 0) {
        chunk_unref(&sh->chunks, c->carry);
        c->carry = NULL;
    }
    return kind;
}

/* The incomplete end of a command line moves out of the receive buffer. */
static bool carry_keep(struct shard *sh, struct conn *c, struct window *w)
{
    if (w->bytes.len == 0)
        return true;
    if (c->carry == NULL)
        c->carry = chunk_take_spare(&sh->chunks);
    if (c->carry == NULL || chunk_append(c->carry, w->bytes).len < w->bytes.len)
        return false;
    window_consume(w, w->bytes.len);
    return true;
}

static enum session_event_kind window_feed(struct shard *sh, struct conn *c, struct window *w)
{
    enum session_event_kind kind = EV_MORE;
    while (c->carry != NULL && kind == EV_MORE && (w->bytes.len > 0 || c->is_carry_blocked))
        kind = feed_carry(sh, c, w);
    if (kind != EV_MORE)
        return kind;
    if (c->carry == NULL)
        kind = feed(sh, c, w);
    if (c->txn != NULL && c->txn->state == TXN_CONTENT)
        txn_settle(sh, c->txn);
    if (kind == EV_MORE && !carry_keep(sh, c, w)) {
        session_end_now(&c->session, ANSWER(STATUS_NO_RESOURCES));
        return EV_CLOSE;
    }
    return kind;
}

static bool held_move(struct shard *sh, struct conn *c, struct held_window *h);

/* Small pieces that come one by one while he waits share a chunk, so that the receive stays armed
 * and his end is seen. False: it has to be held on its own. */
static bool held_join(struct shard *sh, struct conn *c, struct window *w)
{
    struct held_window *last = c->held_last;
    if (!c->is_blocked || c->held_count < CONN_HELD_MAX ||
        last->window.bytes.len + w->bytes.len > CHUNK_ROOM_MAX || !held_move(sh, c, last))
        return false;
    struct chunk *k = pool_at(&sh->chunks.pool, last->window.id);
    bool is_end = last->window.bytes.ptr + last->window.bytes.len == k->bytes + k->len;
    if (!is_end || CHUNK_ROOM_MAX - k->len < w->bytes.len)
        return false;
    (void)chunk_append(k, w->bytes);
    last->window.bytes.len += w->bytes.len;
    window_unpin(w);
    return true;
}

static void held_push(struct shard *sh, struct conn *c, struct window w)
{
    if (held_join(sh, c, &w))
        return;
    struct held_window *h = pool_take(&sh->held);
    if (h == NULL) {
        metrics_add(&sh->metrics, METRIC_POOL_EMPTY, 1);
        window_unpin(&w);
        conn_lost(sh, c, "no memory for input");
        return;
    }
    *h = (struct held_window){.window = w};
    if (c->held_last != NULL)
        c->held_last->next = h;
    else
        c->held_first = h;
    c->held_last = h;
    c->held_count++;
    if (c->held_count > CONN_HELD_MAX)
        recv_cancel(sh, c);
}

/* Gives up the oldest held window. */
static void held_pop(struct shard *sh, struct conn *c)
{
    struct held_window *h = c->held_first;
    c->held_first = h->next;
    if (c->held_first == NULL) {
        c->held_last = NULL;
        list_remove(&c->holding);
    }
    c->held_count--;
    window_unpin(&h->window);
    pool_give(&sh->held, h);
}

/* Moves what waits in @h out of its receive buffer; false when there is no room. */
static bool held_move(struct shard *sh, struct conn *c, struct held_window *h)
{
    while (h->window.source != &sh->chunks.source) {
        struct held_window *rest = NULL;
        struct chunk *k = h->window.bytes.len <= COMMAND_LINE_BYTES_MAX
                              ? chunk_take_spare(&sh->chunks)
                              : chunk_take_bulk(&sh->chunks);
        if (k == NULL)
            return false;
        if (h->window.bytes.len > CHUNK_ROOM_MAX && (rest = pool_take(&sh->held)) == NULL) {
            chunk_unref(&sh->chunks, k);
            return false;
        }
        struct slice copy = chunk_append(k, h->window.bytes);
        struct window moved = chunk_window(&sh->chunks, k, copy);
        if (rest == NULL) {
            window_unpin(&h->window);
            h->window = moved;
            return true;
        }
        *rest = *h;
        window_consume(&rest->window, copy.len);
        *h = (struct held_window){.next = rest, .window = moved};
        if (c->held_last == h)
            c->held_last = rest;
        c->held_count++;
        h = rest;
    }
    return true;
}

/* It has had its time: what it holds is needed by others. */
static const char *reason_to_drop(struct shard *sh, const struct conn *c)
{
    clock_ns now = ring_now(sh->ring);
    if (c->output == CONN_OUTPUT_SENT && now - c->send_since >= STUCK_NS_SCARCE) {
        metrics_add(&sh->metrics, METRIC_CONNS_STUCK, 1);
        return "replies not read";
    }
    if (c->txn != NULL && txn_is_deciding(c->txn) && now - c->txn->phases.end >= STUCK_NS_SCARCE) {
        metrics_add(&sh->metrics, METRIC_POOL_EMPTY, 1);
        return "no memory for input"; /* sent ahead of the reply to a message */
    }
    return NULL;
}

bool conn_evacuate(struct shard *sh, struct conn *c)
{
    for (struct held_window *h = c->held_first; h != NULL; h = h->next) {
        if (held_move(sh, c, h))
            continue;
        const char *reason = reason_to_drop(sh, c);
        if (reason != NULL)
            conn_drop(sh, c, reason);
        return reason != NULL;
    }
    metrics_add(&sh->metrics, METRIC_EVACUATIONS, 1);
    return true;
}

/* The peer has ended his side and everything that he sent was read: a message that is not complete
 * by now never will be (RFC 5321 4.1.1.5). */
static void drop_unfinished(struct shard *sh, struct conn *c)
{
    if (c->is_eof && c->held_first == NULL && c->txn != NULL && c->txn->state < TXN_WORKING)
        txn_abort(sh, c->txn, "connection lost");
}

/* Consumes held windows, and then @fresh (NULL: nothing has come), as far as the session goes; what
 * is left of @fresh is held. */
static void conn_process(struct shard *sh, struct conn *c, struct window *fresh)
{
    struct window *w;
    if (c->is_processing)
        return; /* an answer came from inside: the loop below sees it */
    c->is_processing = true;
    c->is_blocked = false;
    c->has_progress = false;
    uint32_t errors = session_error_count(&c->session);
    while (c->state == CONN_OPEN &&
           (w = c->held_first != NULL ? &c->held_first->window : fresh) != NULL) {
        enum session_event_kind kind = window_feed(sh, c, w);
        if (kind == EV_BLOCKED) {
            c->is_blocked = true;
            break;
        }
        if (w != fresh) {
            held_pop(sh, c);
        } else {
            window_unpin(fresh);
            fresh = NULL;
        }
        if (kind == EV_CLOSE) {
            c->state = CONN_FLUSHING;
            if (!session_has_quit(&c->session) && !sh->is_draining)
                c->end_reason = "refused";
        }
        if (c->txn != NULL && txn_must_wait(sh, c->txn))
            conn_stall(sh, c); /* what has arrived already is taken in */
    }
    c->is_processing = false;
    if (fresh != NULL && c->state <= CONN_FLUSHING)
        held_push(sh, c, *fresh);
    else if (fresh != NULL)
        window_unpin(fresh);
    errors = session_error_count(&c->session) - errors;
    if (errors > 0)
        metrics_add(&sh->metrics, METRIC_BAD_COMMANDS, errors);
    if (c->state >= CONN_DRAINING)
        return;
    if (c->held_count > 0 && list_is_empty(&c->holding))
        list_push(&sh->holding, &c->holding);
    drop_unfinished(sh, c);
    if (c->has_progress) {
        c->progress_at = ring_now(sh->ring);
        deadline_after_progress(sh, c);
    }
    if (!c->is_recv_armed && wants_input(c))
        recv_arm(sh, c);
    watch(sh, c);
    mark_dirty(sh, c);
}

void conn_resume(struct shard *sh, struct conn *c)
{
    if (c->state > CONN_FLUSHING)
        return;
    conn_process(sh, c, NULL);
    clock_ns due = budget_due(c);
    if (c->state == CONN_OPEN && due < c->deadline)
        set_deadline(sh, c, due);
}

void conn_rearm(struct shard *sh, struct conn *c)
{
    ASSERT(list_is_empty(&c->waiting));
    c->is_stalled = false;
    if (c->state == CONN_LINGERING && wants_input(c) && !c->is_recv_armed)
        recv_arm(sh, c);
    conn_resume(sh, c);
}

/* The session ends. A message whose replies are being formatted stays until they are; any other is
 * dropped. */
static void txn_let_go(struct shard *sh, struct conn *c)
{
    if (c->txn != NULL && c->txn->state != TXN_REPLYING)
        txn_detach(sh, c->txn);
}

/* The last bytes of all input that waits; enough to see a QUIT. */
#define HELD_TAIL_BYTES 64
static struct slice held_tail(const struct conn *c, uint8_t memory[HELD_TAIL_BYTES])
{
    size_t len = 0;
    struct slice piece = c->carry != NULL ? slice_of(c->carry->bytes, c->carry->len) : SLICE_EMPTY;
    const struct held_window *h = c->held_first;
    for (;;) {
        if (piece.len > HELD_TAIL_BYTES)
            piece = slice_from(piece, piece.len - HELD_TAIL_BYTES);
        if (len + piece.len > HELD_TAIL_BYTES) {
            size_t kept = HELD_TAIL_BYTES - piece.len;
            memmove(memory, memory + (len - kept), kept);
            len = kept;
        }
        if (piece.len > 0)
            memcpy(memory + len, piece.ptr, piece.len);
        len += piece.len;
        if (h == NULL)
            return slice_of(memory, len);
        piece = h->window.bytes;
        h = h->next;
    }
}

/* The end of his input without QUIT, before anything of his message was on its way to the disk: he
 * is gone, and will send it again (DUP-17, PRDR-31). @held: the end of what he sent. */
static bool has_vanished(const struct conn *c, struct slice held)
{
    const struct txn *t = c->txn;
    if (t == NULL || !txn_is_deciding(t) || c->listener->options->finishes_vanished ||
        session_quit_follows(held))
        return false;
    return t->state == TXN_WORKING ||
           (t->message.outcome == SPOOL_PENDING && !spool_is_written(&t->message));
}

/* The peer has ended his side (RFC 5321 4.1.1.5: as if QUIT had been received). */
static void on_eof(struct shard *sh, struct conn *c)
{
    c->is_eof = true;
    if (c->state == CONN_LINGERING) {
        conn_release(sh, c);
        return;
    }
    uint8_t memory[HELD_TAIL_BYTES];
    struct slice held = held_tail(c, memory);
    if (c->state == CONN_OPEN && has_vanished(c, held)) {
        conn_lost(sh, c, "connection lost");
        return;
    }
    /* What is decided, or on its way to the disk, cannot be taken back, and he may have ended his
     * side only: the outcome is told as if he had said QUIT. */
    bool is_decided = c->txn != NULL && c->txn->state >= TXN_WORKING;
    if (c->state == CONN_OPEN && !is_decided && !session_eof(&c->session, held)) {
        metrics_add(&sh->metrics, METRIC_CONNS_LOST, 1);
        if (c->txn != NULL)
            c->end_reason = "connection lost";
        txn_let_go(sh, c);
        held_drop(sh, c);
    }
    mark_dirty(sh, c);
}

static void on_recv(struct shard *sh, struct conn *c, const struct ring_event *ev)
{
    struct window w = ev->window;
    if (!ev->more)
        c->is_recv_armed = false;
    if (ev->res > 0) {
        metrics_add(&sh->metrics, METRIC_BYTES_RECEIVED, (uint64_t)ev->res);
        if (c->doubts != NULL && c->state == CONN_OPEN)
            doubt_on_input(sh, c);
        c->content_bytes += (uint64_t)ev->res;
        if (c->state != CONN_OPEN) {
            window_unpin(&w);
        } else if (!c->is_blocked) {
            conn_process(sh, c, &w);
        } else {
            held_push(sh, c, w);
            if (c->held_count > 0 && list_is_empty(&c->holding))
                list_push(&sh->holding, &c->holding); /* once more: this one stays in its buffer */
        }
    } else if (ev->res == 0) {
        on_eof(sh, c);
    } else if (ev->res == -ENOBUFS) {
        metrics_add(&sh->metrics, METRIC_BUFFERS_EMPTY, 1);
        if (c->state == CONN_OPEN && c->txn != NULL && c->txn->state == TXN_CONTENT)
            conn_stall(sh, c);
        else if (c->state <= CONN_LINGERING)
            wait_on(c, &sh->starved);
    } else if (ev->res != -ECANCELED && ev->res != -EINTR && ev->res != -EAGAIN) {
        conn_lost(sh, c, "connection reset");
    }
    if (c->state <= CONN_LINGERING && !c->is_recv_armed && wants_input(c))
        recv_arm(sh, c);
    watch(sh, c);
}

/* --- results, timers ------------------------------------------------------------------------ */

void conn_on_event(struct shard *sh, const struct ring_event *ev)
{
    struct conn *c = pool_at(&sh->conns, ev->token.idx);
    if (sh->conn_generations[ev->token.idx] != ev->token.generation) {
        struct window w = ev->window;
        window_unpin(&w);
        metrics_add(&sh->metrics, METRIC_STALE_EVENTS, 1);
        return;
    }
    if (!ev->more) {
        ASSERT(c->ops_count > 0);
        c->ops_count--;
    }
    switch ((enum ring_kind)ev->token.kind) {
    case RING_RECV:
        on_recv(sh, c, ev);
        break;
    case RING_SEND:
        if (c->output == CONN_OUTPUT_LINKED)
            on_linked_send(sh, c, ev->res);
        else
            on_send(sh, c, ev->res);
        break;
    case RING_PEERNAME:
        if (ev->res < 0)
            c->peer.ss_family = AF_UNSPEC;
        break;
    case RING_POLL:
        c->is_watched = false;
        if (ev->res > 0 && (ev->res & (POLLERR | POLLHUP)) != 0)
            conn_lost(sh, c, "connection reset");
        break;
    case RING_SHUTDOWN:
    case RING_CANCEL:
        break;
    case RING_ACCEPT:
    case RING_WRITE:
    case RING_SYNC:
    case RING_MESSAGE:
    case RING_MESSAGE_SENT:
    case RING_CONNECT:
    case RING_KIND_COUNT:
        UNREACHABLE();
    }
    conn_check_drained(sh, c);
}

/* Ends the session with @answer. A message that is being committed is finished without its client:
 * nothing true can be said about it yet, so the connection closes without a reply. */
static void conn_end_now(struct shard *sh, struct conn *c, struct answer answer, const char *reason)
{
    if (c->txn != NULL && txn_is_deciding(c->txn)) {
        conn_drop(sh, c, reason);
        return;
    }
    c->end_reason = reason;
    txn_let_go(sh, c);
    held_drop(sh, c);
    recv_cancel(sh, c);
    session_end_now(&c->session, answer);
    c->state = CONN_FLUSHING;
    mark_dirty(sh, c);
    set_deadline(sh, c, ring_now(sh->ring) + LINGER_NS);
}

/* True when content came in too slowly since the last check (as seen on the wire). */
static bool is_too_slow(struct conn *c, clock_ns now)
{
    const struct listener_options *o = c->listener->options;
    if (o->bytes_per_second_min == 0 || session_phase(&c->session) != SESSION_PHASE_CONTENT ||
        now < c->rate_check_at)
        return false;
    uint64_t due = o->bytes_per_second_min * (o->content_grace_ns / NS_PER_MS) / 1000;
    bool is_slow = c->content_bytes < due;
    c->content_bytes = 0;
    c->rate_check_at = now + o->content_grace_ns;
    return is_slow;
}

/* The peer waits for a decision, or for us to take what he sends: he is not to blame. */
static bool waits_for_us(const struct conn *c)
{
    return session_phase(&c->session) == SESSION_PHASE_DECISION || !list_is_empty(&c->waiting) ||
           c->output == CONN_OUTPUT_LINKED;
}

static void on_deadline_ours(struct shard *sh, struct conn *c, clock_ns now)
{
    if (c->is_in_content && now - c->content_since >= c->listener->options->content_ns_max) {
        metrics_add(&sh->metrics, METRIC_CONNS_TIMED_OUT, 1);
        conn_end_now(sh, c, ANSWER(STATUS_TIMEOUT), "store or memory too slow");
        return;
    }
    budget_act(sh, c, now);
    if (c->state >= CONN_DRAINING)
        return;
    c->progress_at = now;
    c->content_bytes = 0;
    c->rate_check_at = now + c->listener->options->content_grace_ns;
    clock_ns check = now + u64_min(OURS_CHECK_NS, c->listener->options->command_ns_max);
    set_deadline(sh, c, u64_min(check, budget_due(c)));
}

static void on_deadline(struct shard *sh, struct conn *c, clock_ns now)
{
    const struct listener_options *o = c->listener->options;
    if (c->state == CONN_LINGERING || c->state == CONN_FLUSHING) {
        conn_release(sh, c); /* the peer had his time to read the last reply */
        return;
    }
    if (c->output == CONN_OUTPUT_SENT && now - c->send_since >= o->send_ns_max) {
        metrics_add(&sh->metrics, METRIC_CONNS_STUCK, 1);
        c->end_reason = "replies not read";
        conn_release(sh, c);
        return;
    }
    if (waits_for_us(c)) {
        on_deadline_ours(sh, c, now);
        return;
    }
    if (is_too_slow(c, now)) {
        metrics_add(&sh->metrics, METRIC_CONNS_TOO_SLOW, 1);
        conn_end_now(sh, c, ANSWER(STATUS_TOO_SLOW), "too slow");
        return;
    }
    bool is_content = session_phase(&c->session) == SESSION_PHASE_CONTENT;
    clock_ns idle = now - c->progress_at;
    if (idle >= (is_content ? o->block_ns_max : o->command_ns_max) ||
        (is_content && now - c->content_since >= o->content_ns_max) ||
        now - c->opened_at >= sh->options.limits.session_ns_max) {
        metrics_add(&sh->metrics, METRIC_CONNS_TIMED_OUT, 1);
        conn_end_now(sh, c, ANSWER(STATUS_TIMEOUT), "timeout");
        return;
    }
    deadline_after_progress(sh, c);
}

void conn_on_timer(struct shard *sh, struct conn *c)
{
    clock_ns now = ring_now(sh->ring);
    if (now >= c->deadline)
        on_deadline(sh, c, now);
    else
        timer_arm(&sh->timers, &c->timer, c->deadline);
}

/* Nothing of a message is here that he could lose. */
static bool is_idle(const struct conn *c)
{
    return c->txn == NULL || (c->txn->state == TXN_ENVELOPE && c->txn->rcpt_count == 0);
}

void conn_drain(struct shard *sh, struct conn *c, bool is_forced)
{
    if (c->state != CONN_OPEN) {
        clock_ns last = ring_now(sh->ring) + LINGER_NS;
        if (is_forced && c->state < CONN_DRAINING && c->deadline > last)
            set_deadline(sh, c, last);
        return;
    }
    if (is_forced || is_idle(c))
        conn_end_now(sh, c, ANSWER(STATUS_SHUTTING_DOWN), is_forced ? "shutdown" : NULL);
}

/* --- what others ask ------------------------------------------------------------------------ */

struct slice conn_helo(const struct conn *c)
{
    return slice_of(c->helo, c->helo_len);
}

const struct sockaddr_storage *conn_client_address(const struct conn *c)
{
    return &c->peer;
}

void conn_client_text(const struct conn *c, char *memory, size_t cap, struct slice *ret_text)
{
    struct buf b = buf_over(memory, cap);
    if (c->peer.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&c->peer;
        const uint8_t *octets = (const uint8_t *)&in->sin_addr;
        for (unsigned i = 0; i < 4; i++) {
            buf_put_u64(&b, octets[i]);
            buf_put_byte(&b, i < 3 ? '.' : ':');
        }
        buf_put_u64(&b, ntohs(in->sin_port));
    } else if (c->peer.ss_family == AF_INET6) {
        char host[INET6_ADDRSTRLEN] = "";
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&c->peer;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        buf_put_byte(&b, '[');
        buf_put(&b, slice_str(host));
        BUF_PUT_LIT(&b, "]:");
        buf_put_u64(&b, ntohs(in6->sin6_port));
    } else {
        buf_put(&b, slice_str(c->peer.ss_family == AF_UNIX ? "unix" : "unknown"));
    }
    ASSERT(b.len > 0 && !b.is_full);
    *ret_text = buf_slice(&b);
}
