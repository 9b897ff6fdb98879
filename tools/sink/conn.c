/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - from receive results to session input, from session output to sends, what the script
 * says about commands, and the end of a connection.
 *
 *   OPEN --session over, drop--> FLUSHING --all sent--> LINGERING --peer's end, or 2 s--> DRAINING
 *    \--lost, reset, timeout ---------------------------------------------------------------^
 *   DRAINING --no operation in flight--> CLOSED --no transaction left--> given back
 *
 * One thing happens after the other, as in a simple server: a command that the script delays stops
 * those behind it. Input that cannot be looked at yet moves out of the receive buffer into memory
 * of the connection, so a slow script never takes buffers from others. Replies are formatted into
 * one block, appended to while its start is being sent.
 */
#include "conn.h"
#include "decide.h"
#include "taken.h"
#include "worker.h"
#include "base/assert.h"
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINGER_NS (2 * NS_PER_S)
#define LINGER_NS_STOPPING (200 * NS_PER_MS)
#define CARRY_BYTES_MAX (256 * KIB) /* then nothing more is read */
#define CARRY_BYTES_FIRST 512
#define CARRY_BYTES_KEPT 4096 /* by an idle connection */
#define ROOM_BYTES_MIN 3072   /* for the longest reply and whatever it is spoiled with */
#define TCP_STATE_CLOSED 7    /* of tcp_info */
static_assert(ROOM_BYTES_MIN >= SESSION_OUTPUT_BYTES_MIN + 1024 + REPLY_LINE_BYTES_MAX, "room");
static_assert(OUT_BYTES_MAX >= 2 * ROOM_BYTES_MIN, "room");

static void conn_pump(struct worker *w, struct conn *c);

static struct ring_token token_of(struct worker *w, const struct conn *c, enum ring_kind kind)
{
    return (struct ring_token){
        .kind = (uint8_t)kind,
        .owner = WORKER_OWNER_CONN,
        .generation = c->generation,
        .idx = pool_index(&w->conns, c),
    };
}

static void mark_dirty(struct worker *w, struct conn *c)
{
    if (list_is_empty(&c->dirty))
        list_push(&w->dirty, &c->dirty);
}

static bool is_deciding(const struct conn *c)
{
    return c->phase >= CONN_PHASE_ENDED;
}

/* --- timer ----------------------------------------------------------------------------------- */

static clock_ns next_due(const struct worker *w, const struct conn *c)
{
    clock_ns now = ring_now(w->ring);
    clock_ns due = CLOCK_NEVER;
    if (c->wait_until > now)
        due = c->wait_until;
    if (c->stall_until > now)
        due = u64_min(due, c->stall_until);
    if (c->mute_until > now)
        due = u64_min(due, c->mute_until);
    if (c->life_at > now)
        due = u64_min(due, c->life_at);
    if (c->state == CONN_LINGERING)
        return u64_min(due, c->linger_until);
    if (c->state <= CONN_FLUSHING && due == CLOCK_NEVER)
        due = c->idle_since + w->shared->options.idle_ns_max;
    return due;
}

/* The timer moves only when it would fire too late. */
static void arm(struct worker *w, struct conn *c)
{
    clock_ns due = next_due(w, c);
    if (due != CLOCK_NEVER && (!timer_is_armed(&c->timer) || c->timer.due > due))
        timer_arm(&w->timers, &c->timer, due);
}

/* --- receiving ------------------------------------------------------------------------------- */

static bool wants_input(const struct worker *w, const struct conn *c)
{
    if (c->is_eof || c->is_broken)
        return false;
    if (c->state == CONN_LINGERING)
        return true;
    return c->state == CONN_OPEN && ring_now(w->ring) >= c->stall_until &&
           c->input.len < CARRY_BYTES_MAX;
}

static void recv_cancel(struct worker *w, struct conn *c)
{
    if (!c->is_recv_armed || c->is_recv_cancelled)
        return;
    ring_cancel(w->ring, token_of(w, c, RING_RECV), token_of(w, c, RING_CANCEL));
    c->is_recv_cancelled = true;
    c->ops_count++;
}

static void recv_manage(struct worker *w, struct conn *c)
{
    bool wants = wants_input(w, c);
    if (c->is_recv_armed && !wants && c->state <= CONN_LINGERING)
        recv_cancel(w, c);
    if (c->is_recv_armed || !wants)
        return;
    ring_recv_arm(w->ring, c->fd, token_of(w, c, RING_RECV));
    c->is_recv_armed = true;
    c->is_recv_cancelled = false;
    c->ops_count++;
}

/* --- the end --------------------------------------------------------------------------------- */

static void conn_check_drained(struct worker *w, struct conn *c)
{
    bool is_over = c->state == CONN_DRAINING && c->ops_count == 0;
    is_over |= c->state == CONN_CLOSED && c->txn == NULL;
    if (is_over && list_is_empty(&c->drained))
        list_push(&w->drained, &c->drained);
}

/* Nobody is there to be answered. A message that is being decided goes on when the script wants it;
 * any other is dropped. */
static void part(struct worker *w, struct conn *c)
{
    c->is_gone = true;
    c->life_at = 0;
    c->input = SLICE_EMPTY;
    if (c->txn != NULL && !is_deciding(c))
        decide_end(w, c);
    else if (c->txn != NULL)
        decide_on_gone(w, c);
    if (c->txn == NULL) {
        c->phase = CONN_PHASE_INPUT;
        c->wait_until = 0;
    }
}

static void conn_release(struct worker *w, struct conn *c)
{
    if (c->state >= CONN_DRAINING)
        return;
    c->state = CONN_DRAINING;
    part(w, c);
    recv_cancel(w, c);
    if (c->is_sending) {
        ring_cancel(w->ring, token_of(w, c, RING_SEND), token_of(w, c, RING_CANCEL));
        c->ops_count++;
    }
    list_remove(&c->dirty);
    arm(w, c);
    conn_check_drained(w, c);
}

/* What has been acknowledged by the peer's kernel, or read (unix sockets); before it is closed. */
static uint64_t acked(struct conn *c)
{
    if (c->peer.ss_family == AF_UNIX) {
        int left = 0;
        if (c->is_broken || ioctl(c->fd, SIOCOUTQ, &left) < 0)
            return 0;
        return left == 0 ? c->sent : 0; /* it counts memory, not octets */
    }
    struct tcp_info info;
    socklen_t len = sizeof(info);
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
        len < offsetof(struct tcp_info, tcpi_bytes_received))
        return 0;
    c->is_broken |= info.tcpi_state == TCP_STATE_CLOSED; /* he had ended, and did not want it */
    return info.tcpi_bytes_acked;
}

void conn_close(struct worker *w, struct conn *c)
{
    if (c->state == CONN_DRAINING) {
        ASSERT(c->ops_count == 0);
        if (!list_is_empty(&c->settling) || c->txn != NULL)
            c->acked = acked(c);
        if (c->drop == SCRIPT_DROP_RESET) {
            struct linger at_once = {.l_onoff = 1};
            (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        }
        ring_close(w->ring, c->fd);
        c->state = CONN_CLOSED;
        taken_on_close(w, c);
        list_remove(&c->dirty);
        if (c->out != NULL)
            pool_give(&w->outs, c->out);
        c->out = NULL;
        free(c->carry);
        c->carry = NULL;
        w->conn_generations[pool_index(&w->conns, c)]++; /* what comes for it now is stale */
        if (c->has_source)
            shared_source_leave(w->shared, &c->peer);
        shared_count_conn_end(w->shared);
    }
    if (c->txn != NULL)
        conn_pump(w, c); /* it goes on alone */
    if (c->txn != NULL || !list_is_empty(&c->drained))
        return;
    ASSERT(list_is_empty(&c->settling));
    timer_disarm(&c->timer);
    list_remove(&c->all);
    w->conn_count--;
    pool_give(&w->conns, c);
}

static void conn_lost(struct worker *w, struct conn *c)
{
    if (c->state >= CONN_DRAINING)
        return;
    c->is_broken = true;
    if (c->state == CONN_OPEN)
        worker_count(w, SINK_CONNS_LOST, 1);
    conn_release(w, c);
}

/* All has been sent and the session is over, or the script has ended it. */
static void conn_finish(struct worker *w, struct conn *c)
{
    if (c->is_eof || c->drop == SCRIPT_DROP_RESET) {
        /* A unix socket knows no reset: what has left can still be read. */
        c->is_broken |= c->drop == SCRIPT_DROP_RESET && c->peer.ss_family != AF_UNIX;
        conn_release(w, c);
        return;
    }
    c->state = CONN_LINGERING; /* closing with unread input would reset the connection */
    c->linger_until = ring_now(w->ring) + (w->is_stopping ? LINGER_NS_STOPPING : LINGER_NS);
    if (!session_has_quit(&c->session) || c->drop != SCRIPT_DROP_NONE) {
        ring_shutdown_write(w->ring, c->fd, token_of(w, c, RING_SHUTDOWN));
        c->ops_count++;
    } else {
        c->linger_until = ring_now(w->ring) + 50 * NS_PER_MS; /* he closes at once, usually */
    }
    recv_manage(w, c);
    arm(w, c);
}

void conn_drop(struct worker *w, struct conn *c, enum script_drop how)
{
    if (c->state != CONN_OPEN)
        return;
    (void)conn_format(w, c);
    c->is_withheld = false;
    c->drop = (uint8_t)how;
    c->state = CONN_FLUSHING;
    worker_count(w, SINK_CONNS_DROPPED, 1);
    part(w, c);
    mark_dirty(w, c);
}

/* The session has ended. Replies that it has still to give are the message's as long as they are
 * not formatted; what was not committed is not any more. */
static void flush_txn(struct worker *w, struct conn *c)
{
    if (c->txn != NULL && is_deciding(c)) {
        c->phase = CONN_PHASE_REPLIES;
        return;
    }
    if (c->txn != NULL)
        decide_end(w, c);
    c->phase = CONN_PHASE_INPUT;
}

/* Ends the session with 421, or with @answer. */
static void end_now(struct worker *w, struct conn *c, struct answer answer)
{
    if (c->state != CONN_OPEN)
        return;
    c->is_withheld = false;
    session_end_now(&c->session, answer);
    (void)conn_format(w, c);
    c->state = CONN_FLUSHING;
    flush_txn(w, c);
    c->wait_until = 0;
    c->mute_until = 0;
    c->input = SLICE_EMPTY;
    mark_dirty(w, c);
}

void conn_stop(struct worker *w, struct conn *c, enum conn_stop how)
{
    if (c->state == CONN_OPEN && (how != CONN_STOP_IDLE || c->txn == NULL))
        end_now(w, c, ANSWER(STATUS_SHUTTING_DOWN));
    if (how == CONN_STOP_CUT)
        conn_release(w, c);
    if (how != CONN_STOP_IDLE && c->state >= CONN_DRAINING && c->txn != NULL) {
        decide_end(w, c);
        conn_check_drained(w, c);
    }
}

/* --- output ---------------------------------------------------------------------------------- */

/* Length of the first reply, all its lines. */
static size_t first_reply(struct slice s)
{
    size_t at = 0;
    while (at < s.len) {
        struct slice line = slice_from(s, at);
        size_t end = slice_find(line, '\n');
        at += end < line.len ? end + 1 : end;
        if (line.len < 4 || line.ptr[3] != '-')
            break;
    }
    return at;
}

/* Puts @text in the place of @old_len octets at @at of the block. */
static void splice(struct conn_out *o, size_t at, size_t old_len, struct slice text)
{
    ASSERT(o->len - old_len + text.len <= OUT_BYTES_MAX);
    memmove(o->bytes + at + text.len, o->bytes + at + old_len, o->len - at - old_len);
    if (text.len > 0)
        memcpy(o->bytes + at, text.ptr, text.len);
    o->len = (uint32_t)(o->len - old_len + text.len);
}

static void spoil_with_garbage(struct worker *w, struct conn *c, size_t at, size_t len)
{
    uint8_t memory[1024];
    size_t count = (size_t)u64_min(c->tweak_number, sizeof(memory));
    for (size_t i = 0; i < count; i++)
        memory[i] = (uint8_t)rng_below(&w->rng, 256);
    if (count >= 2)
        memcpy(memory + count - 2, "\r\n", 2);
    splice(c->out, at, len, slice_of(memory, count));
}

static void spoil_code(struct conn *c, size_t at, size_t len)
{
    uint8_t digits[3] = {(uint8_t)('0' + c->tweak_number / 100),
                         (uint8_t)('0' + c->tweak_number / 10 % 10),
                         (uint8_t)('0' + c->tweak_number % 10)};
    bool is_start = true;
    for (size_t i = at; i < at + len; i++) {
        if (is_start && i + 3 <= at + len)
            memcpy(c->out->bytes + i, digits, sizeof(digits));
        is_start = c->out->bytes[i] == '\n';
    }
}

/* A reply of class 2 whose last line has come and has its end. */
static bool is_whole_success(struct slice text)
{
    size_t len = first_reply(text), last = 0;
    if (len == 0 || text.ptr[0] != '2' || text.ptr[len - 1] != '\n')
        return false;
    for (size_t i = 0; i + 1 < len; i++)
        if (text.ptr[i] == '\n')
            last = i + 1;
    return len - last < 4 || text.ptr[last + 3] != '-';
}

/* The first reply at @at becomes what the script wants to be seen. */
static void spoil(struct worker *w, struct conn *c, size_t at)
{
    struct conn_out *o = c->out;
    size_t len = first_reply(slice_of(o->bytes + at, o->len - at));
    enum script_tweak tweak = c->tweak;
    c->tweak = SCRIPT_TWEAK_NONE;
    worker_count(w, SINK_TWEAKS, 1);
    switch (tweak) {
    case SCRIPT_TWEAK_NONE:
        return;
    case SCRIPT_TWEAK_GARBAGE:
        c->is_spoiled = true;
        spoil_with_garbage(w, c, at, len);
        return;
    case SCRIPT_TWEAK_ENDLESS:
        c->is_spoiled = true;
        splice(o, at, o->len - at, SLICE_LIT("250 "));
        c->endless_left = c->tweak_number;
        return;
    case SCRIPT_TWEAK_CODE:
        c->is_spoiled = c->tweak_number / 100 != 2;
        spoil_code(c, at, len);
        return;
    case SCRIPT_TWEAK_SURPLUS:
        splice(o, at + len, 0, c->tweak_text);
        return;
    case SCRIPT_TWEAK_MISSING:
        c->is_spoiled = true;
        splice(o, at, len, SLICE_EMPTY);
        return;
    case SCRIPT_TWEAK_EARLY:
        splice(o, at + len, 0, SLICE_LIT("250 2.0.0 Ok\r\n"));
        c->is_skipping = true;
        return;
    case SCRIPT_TWEAK_RAW:
        c->is_spoiled = !is_whole_success(c->tweak_text);
        splice(o, at, len, c->tweak_text);
        return;
    }
    UNREACHABLE();
}

/* There are as many blocks as connections: false only for want of memory. */
static bool out_take(struct worker *w, struct conn *c)
{
    if (c->out == NULL) {
        c->out = pool_take(&w->outs);
        if (c->out != NULL)
            c->out->len = c->out->sent = c->out->submitted = 0;
    }
    return c->out != NULL;
}

/* Something is done to a reply: there must be room for it. */
static bool is_special(const struct conn *c)
{
    return c->tweak != SCRIPT_TWEAK_NONE || c->is_skipping ||
           (c->txn != NULL && c->txn->tweak_count > 0);
}

/* What @pace says of what is ready, spoiled; as session_output_paced(). */
static bool format_some(struct worker *w, struct conn *c, enum session_pace pace)
{
    struct conn_out *o = c->out;
    size_t at = o->len;
    struct buf b = buf_over(o->bytes, OUT_BYTES_MAX);
    b.len = o->len;
    bool is_answering = c->txn != NULL && c->txn->is_answering;
    bool has_block = session_has_block(&c->session);
    bool is_complete = session_output_paced(&c->session, &b, pace);
    o->len = (uint32_t)b.len;
    uint64_t start = c->formatted;
    if (is_answering)
        taken_on_reply(c, slice_of(o->bytes + at, o->len - at), has_block);
    size_t len = o->len;
    if (o->len > at && c->is_skipping) {
        c->is_skipping = false;
        splice(o, at, first_reply(slice_of(o->bytes + at, o->len - at)), SLICE_EMPTY);
    }
    c->is_spoiled = false;
    if (o->len > at && c->tweak != SCRIPT_TWEAK_NONE)
        spoil(w, c, at);
    if (is_answering)
        o->len -= taken_on_spoilt(c, start, (int64_t)o->len - (int64_t)len, o->len - at);
    c->formatted += o->len - at;
    return is_complete;
}

bool conn_format(struct worker *w, struct conn *c)
{
    bool is_complete = false, goes_on = true;
    while (goes_on) {
        if (c->state > CONN_FLUSHING || c->drop != SCRIPT_DROP_NONE || c->cut != SCRIPT_DROP_NONE)
            return true;
        if (c->is_withheld || c->endless_left > 0)
            return false;
        if (!out_take(w, c))
            return false;
        if (is_special(c) && OUT_BYTES_MAX - c->out->len < ROOM_BYTES_MIN)
            return false;
        bool is_one = c->txn != NULL && c->txn->tweak_count > 0; /* a line may be the one */
        uint64_t before = c->formatted;
        is_complete = format_some(w, c, is_one ? SESSION_PACE_ONE : SESSION_PACE_READY);
        goes_on = is_one && !is_complete && c->formatted > before;
    }
    return is_complete;
}

bool conn_has_unsent(struct worker *w, struct conn *c)
{
    if (c->out == NULL || c->out->len == c->out->sent)
        return false;
    mark_dirty(w, c);
    return true;
}

bool conn_has_room(struct worker *w, struct conn *c)
{
    if (c->out == NULL || OUT_BYTES_MAX - c->out->len >= ROOM_BYTES_MIN)
        return true;
    mark_dirty(w, c);
    return false;
}

static void send_next(struct worker *w, struct conn *c, bool is_quiet)
{
    struct conn_out *o = c->out;
    struct slice rest = slice_of(o->bytes + o->sent, o->len - o->sent);
    if (c->pace_ns > 0 && c->sent < c->pace_from)
        rest = slice_first(rest, (size_t)u64_min(c->pace_from - c->sent, rest.len));
    else if (c->pace_ns > 0)
        rest = slice_first(rest, (size_t)u64_min(slice_find(rest, (uint8_t)'\n') + 1, rest.len));
    o->submitted = o->sent + (uint32_t)rest.len;
    struct ring_token token = token_of(w, c, RING_SEND);
    if (is_quiet)
        ring_send_quiet(w->ring, c->fd, rest, token);
    else
        ring_send(w->ring, c->fd, rest, token);
    c->is_sending = true;
    c->ops_count++;
}

/* More of a line without end. */
static void endless_fill(struct conn *c)
{
    struct conn_out *o = c->out;
    if (OUT_BYTES_MAX - o->len <= 2)
        return;
    size_t count = (size_t)u64_min(c->endless_left, OUT_BYTES_MAX - 2 - o->len);
    memset(o->bytes + o->len, 'x', count);
    o->len += (uint32_t)count;
    c->formatted += count;
    c->endless_left -= count;
    if (c->endless_left == 0) {
        memcpy(o->bytes + o->len, "\r\n", 2);
        o->len += 2;
        c->formatted += 2;
    }
}

void conn_flush(struct worker *w, struct conn *c)
{
    if (c->state > CONN_FLUSHING || ring_now(w->ring) < c->mute_until || c->is_sending)
        return;
    bool is_complete = conn_format(w, c);
    if (c->cut != SCRIPT_DROP_NONE && c->state == CONN_OPEN)
        conn_pump(w, c); /* it was the last that he is to see */
    if (c->endless_left > 0 && out_take(w, c))
        endless_fill(c);
    if (c->out != NULL && c->out->len > c->out->sent) {
        bool is_quiet =
            is_complete && c->state == CONN_OPEN && c->phase == CONN_PHASE_INPUT && c->pace_ns == 0;
        send_next(w, c, is_quiet);
        return;
    }
    if (c->out != NULL) {
        pool_give(&w->outs, c->out);
        c->out = NULL;
    }
    if (c->state == CONN_FLUSHING && is_complete)
        conn_finish(w, c);
}

/* A line has left. The next one has to wait, unless it belongs to what comes afterwards. */
static void keep_pace(struct worker *w, struct conn *c, bool is_all)
{
    if (c->sent <= c->pace_from)
        return;
    if (is_all && c->phase == CONN_PHASE_INPUT) {
        c->pace_ns = 0;
        return;
    }
    c->mute_until = ring_now(w->ring) + c->pace_ns;
    arm(w, c);
}

static void on_send(struct worker *w, struct conn *c, int32_t res)
{
    c->is_sending = false;
    if (c->out == NULL || c->state >= CONN_DRAINING) {
        c->sent += res > 0 ? (uint64_t)res : 0;
        return;
    }
    if (res <= 0 && res != -EAGAIN && res != -EINTR) {
        conn_lost(w, c);
        return;
    }
    uint32_t count = res > 0 ? (uint32_t)res : 0;
    c->out->sent += count;
    c->sent += count;
    if (count > 0) {
        c->idle_since = ring_now(w->ring);
        if (!list_is_empty(&c->settling))
            taken_on_sent(w, c);
    }
    if (c->out->sent < c->out->submitted) { /* the peer does not read */
        send_next(w, c, false);
        return;
    }
    bool is_all = c->out->sent == c->out->len;
    if (is_all) { /* from the start again */
        pool_give(&w->outs, c->out);
        c->out = NULL;
    }
    if (c->pace_ns > 0)
        keep_pace(w, c, is_all);
    /* What waited for room goes on; and the end of a line without end. */
    if (c->phase != CONN_PHASE_INPUT || c->input.len > 0)
        conn_pump(w, c);
    if (c->state <= CONN_FLUSHING)
        mark_dirty(w, c);
}

/* --- commands -------------------------------------------------------------------------------- */

struct script_facts conn_facts(const struct conn *c)
{
    struct script_facts f = {
        .client = &c->peer,
        .conn = c->number,
        .txn = c->txn_count,
        .dialect = session_dialect(&c->session),
    };
    const struct txn *t = c->txn;
    if (t == NULL)
        return f;
    f.sender = txn_sender(t);
    f.size = t->content_bytes;
    f.has_id = t->has_id;
    f.id = t->id;
    f.attempt = t->attempt;
    f.count = t->rcpt_count;
    return f;
}

void conn_apply(struct worker *w, struct conn *c, const struct script_effect *e)
{
    clock_ns now = ring_now(w->ring);
    if (e->stall_read_ns > 0 && e->stall_read_bytes == 0)
        c->stall_until = now + e->stall_read_ns;
    if (e->stall_write_ns > 0)
        c->mute_until = now + e->stall_write_ns;
    if (e->pace_ns > 0) {
        c->pace_ns = e->pace_ns;
        c->pace_from = c->formatted;
    }
    if (e->tweak != SCRIPT_TWEAK_NONE) {
        c->tweak = e->tweak;
        c->tweak_number = e->tweak_number;
        c->tweak_text = e->tweak_text;
    }
}

static struct answer answer_or(const struct script_effect *e, enum status st)
{
    return e->has_answer ? e->answer : ANSWER(st);
}

static void act_mail(struct worker *w, struct conn *c, const struct script_effect *e)
{
    struct answer answer = answer_or(e, STATUS_SENDER_OK);
    if (w->is_stopping) {
        end_now(w, c, ANSWER(STATUS_SHUTTING_DOWN));
        return;
    }
    if (!shared_source_may_send(w->shared, &c->peer, ring_now(w->ring)))
        answer = (struct answer){.status = STATUS_DEFERRED_POLICY,
                                 .code = 450,
                                 .enhanced = {4, 7, 1},
                                 .text = SLICE_INIT("too many messages from there")};
    if (!status_is_success(answer.status))
        decide_end(w, c);
    session_answer(&c->session, c->slot, answer);
}

static void act_rcpt(struct worker *w, struct conn *c, const struct script_effect *e)
{
    struct answer answer = answer_or(e, STATUS_RCPT_OK);
    struct txn *t = c->txn;
    bool is_later = e->decide == SCRIPT_DECIDE_LATER ||
                    (e->decide == SCRIPT_DECIDE_AUTO && script_has(w->shared->script, SCRIPT_EACH));
    if (!status_is_success(answer.status)) {
        worker_count(w, SINK_RCPTS_REFUSED, 1);
        t->rcpt_count--;
        t->text_len = t->rcpts[t->rcpt_count].text_at;
    } else if (is_later && session_may_decide_later(&c->session)) {
        answer = ANSWER(STATUS_RCPT_LATER);
        t->entries[t->rcpt_count - 1].rcpt_code = answer_code(&answer);
    } else {
        t->entries[t->rcpt_count - 1].rcpt_code = answer_code(&answer) == 251 ? 251 : 0;
    }
    session_answer(&c->session, c->slot, answer);
}

static void on_command(struct worker *w, struct conn *c, enum script_point point,
                       const struct script_facts *facts);

/* RCPT; DRCP is, besides, the decision about this recipient, whose content is known. */
static void act_name(struct worker *w, struct conn *c, const struct script_effect *e)
{
    struct txn *t = c->txn;
    bool is_refused = e->has_answer && !status_is_success(e->answer.status);
    if (!t->is_naming || is_refused || !script_has(w->shared->script, SCRIPT_EACH)) {
        act_rcpt(w, c, e);
        return;
    }
    struct sink_rcpt *r = &t->rcpts[t->rcpt_count - 1];
    r->is_suppressed = decide_is_suppressed(w, t, t->rcpt_count - 1);
    if (r->is_suppressed) {
        act_rcpt(w, c, e);
        return;
    }
    struct script_facts facts = conn_facts(c);
    facts.rcpt = txn_rcpt(t, t->rcpt_count - 1);
    facts.index = t->rcpt_count;
    on_command(w, c, SCRIPT_EACH, &facts);
}

static void act_data(struct worker *w, struct conn *c, const struct script_effect *e)
{
    struct txn *t = c->txn;
    if (e->has_answer) {
        session_answer(&c->session, c->slot, e->answer);
        return;
    }
    const struct shared *sh = w->shared;
    bool is_good = txn_begin_content(t, sh->ledger_fd >= 0, sh->wants_identity);
    if (is_good && w->store_fd >= 0 && t->stored.fd < 0) {
        uint64_t unique = (uint64_t)w->idx << 40 | ++w->store_count;
        int result = store_begin(&t->stored, w->store_fd, ring_wall(w->ring), unique);
        if (result < 0)
            shared_fail(w->shared, result, sh->options.store_dir);
        is_good = result == 0;
    }
    if (!is_good) {
        session_answer(&c->session, c->slot, ANSWER(STATUS_NO_RESOURCES));
        return;
    }
    struct scan_options options = session_scan_options(&c->session);
    scan_begin(&t->scan, &options);
    session_begin_content(&c->session, c->slot, &t->scan);
    c->content_drop = e->drop_content;
    c->content_left = e->drop_content_bytes;
    c->content_stall_ns = 0;
    if (e->stall_read_bytes > 0 &&
        (c->content_drop == SCRIPT_DROP_NONE || e->stall_read_bytes < c->content_left)) {
        c->content_drop = SCRIPT_DROP_NONE;
        c->content_left = e->stall_read_bytes;
        c->content_stall_ns = e->stall_read_ns;
    }
    c->has_content_limit = c->content_drop != SCRIPT_DROP_NONE || c->content_stall_ns > 0;
}

static void act_connect(struct worker *w, struct conn *c, const struct script_effect *e)
{
    static const char too_many[] = "too many connections from there";
    const struct sink_options *o = &w->shared->options;
    if (w->is_stopping) {
        session_refuse(&c->session, ANSWER(STATUS_SHUTTING_DOWN));
    } else if (e->has_answer) {
        worker_count(w, SINK_CONNS_REFUSED, 1);
        session_refuse(&c->session, e->answer);
    } else if (o->source_conns_max > 0 && !c->has_source) {
        worker_count(w, SINK_CONNS_REFUSED, 1);
        struct answer answer = ANSWER(STATUS_TOO_MANY_CONNS);
        answer.text = slice_of(too_many, sizeof(too_many) - 1);
        session_refuse(&c->session, answer);
    } else if (o->banner[0] != '\0' && c->tweak == SCRIPT_TWEAK_NONE) {
        c->tweak = SCRIPT_TWEAK_RAW;
        c->tweak_text = slice_str(o->banner);
    }
}

/* 421 is the reply to the command, and the last one. */
static void act_end(struct worker *w, struct conn *c, const struct script_effect *e)
{
    if (c->point == SCRIPT_HELO) {
        end_now(w, c, e->answer);
        return;
    }
    session_answer(&c->session, c->slot, e->answer);
    (void)conn_format(w, c);
    c->state = CONN_FLUSHING;
    c->input = SLICE_EMPTY;
    if (c->txn != NULL)
        decide_end(w, c);
    mark_dirty(w, c);
}

/* What the script has decided about the command at c->point happens; its delay is over. */
static void act(struct worker *w, struct conn *c, const struct script_effect *e)
{
    c->phase = CONN_PHASE_INPUT;
    if (e->drop != SCRIPT_DROP_NONE) {
        conn_drop(w, c, e->drop); /* a reply that is withheld never leaves */
        return;
    }
    c->is_withheld = false;
    if (e->has_answer && answer_code(&e->answer) == 421 && c->point != SCRIPT_CONNECT) {
        act_end(w, c, e);
        return;
    }
    switch ((enum script_point)c->point) {
    case SCRIPT_CONNECT:
        act_connect(w, c, e);
        break;
    case SCRIPT_HELO:
        break;
    case SCRIPT_MAIL:
        act_mail(w, c, e);
        break;
    case SCRIPT_RCPT:
        act_name(w, c, e);
        break;
    case SCRIPT_DATA:
        act_data(w, c, e);
        break;
    case SCRIPT_QUIT:
        c->state = CONN_FLUSHING;
        break;
    case SCRIPT_EACH:
        act_rcpt(w, c, e);
        break;
    case SCRIPT_DOT:
    case SCRIPT_POINT_COUNT:
        UNREACHABLE();
    }
    mark_dirty(w, c);
}

/* Asks the script about a command, and acts at once or after its delay. */
static void on_command(struct worker *w, struct conn *c, enum script_point point,
                       const struct script_facts *facts)
{
    static const struct script_effect none;
    c->point = (uint8_t)point;
    if (!script_has(w->shared->script, point)) {
        act(w, c, &none);
        return;
    }
    script_run(w->shared->script, point, facts, &w->rng, &c->effect);
    conn_apply(w, c, &c->effect);
    clock_ns delay_ns = c->effect.delay_ns;
    if (point == SCRIPT_EACH) /* work, as that behind the content */
        delay_ns = place_work_ns(w->shared->places, delay_ns);
    if (delay_ns > 0)
        c->wait_until = ring_now(w->ring) + delay_ns;
    if (c->effect.rcvbuf_bytes > 0) {
        int bytes = (int)c->effect.rcvbuf_bytes;
        (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
    c->is_withheld = point == SCRIPT_CONNECT || point == SCRIPT_HELO || point == SCRIPT_QUIT;
    c->phase = CONN_PHASE_COMMAND;
}

static void on_mail(struct worker *w, struct conn *c, const struct session_event *ev)
{
    ASSERT(c->txn == NULL);
    c->txn = worker_txn_take(w);
    if (c->txn == NULL) {
        session_answer(&c->session, ev->slot, ANSWER(STATUS_NO_RESOURCES));
        return;
    }
    txn_begin(c->txn, ++c->txn_count, ev->path.whole);
    c->txn->conn = c;
    place_init(&c->txn->place, w);
    c->slot = ev->slot;
    struct script_facts facts = conn_facts(c);
    facts.size = ev->mail.has_size ? ev->mail.size : 0;
    on_command(w, c, SCRIPT_MAIL, &facts);
}

static void on_rcpt(struct worker *w, struct conn *c, const struct session_event *ev)
{
    struct txn *t = c->txn;
    if (t->is_naming && t->dot.drop_after != SCRIPT_DROP_NONE &&
        t->rcpt_seen == t->dot.drop_after_count) {
        conn_drop(w, c, t->dot.drop_after);
        return;
    }
    if (!txn_add_rcpt(t, t->rcpt_seen++, ev->path.whole)) {
        session_answer(&c->session, ev->slot, ANSWER(STATUS_NO_RESOURCES));
        return;
    }
    c->slot = ev->slot;
    struct script_facts facts = conn_facts(c);
    facts.rcpt = txn_rcpt(t, t->rcpt_count - 1);
    facts.index = t->rcpt_seen;
    on_command(w, c, SCRIPT_RCPT, &facts);
}

static void on_body(struct worker *w, struct conn *c, const struct slices *parts)
{
    struct txn *t = c->txn;
    txn_body(t, parts);
    if (t->stored.fd < 0)
        return;
    int result = store_write(&t->stored, parts);
    if (result == 0)
        return;
    t->has_failed = true;
    store_abort(&t->stored);
    shared_fail(w->shared, result, w->shared->options.store_dir);
}

static void on_session_event(struct worker *w, struct conn *c, const struct session_event *ev)
{
    struct script_facts facts;
    switch (ev->kind) {
    case EV_MORE:
    case EV_BLOCKED:
    case EV_OUTPUT:
    case EV_REFUSED:
        break;
    case EV_CLOSE:
        if (c->state == CONN_OPEN && session_has_quit(&c->session)) {
            facts = conn_facts(c);
            on_command(w, c, SCRIPT_QUIT, &facts);
        } else {
            c->state = CONN_FLUSHING;
        }
        break;
    case EV_HELO:
        facts = conn_facts(c);
        on_command(w, c, SCRIPT_HELO, &facts);
        break;
    case EV_MAIL:
        on_mail(w, c, ev);
        break;
    case EV_RCPT:
        on_rcpt(w, c, ev);
        break;
    case EV_CONTENT:
        c->slot = ev->slot;
        facts = conn_facts(c);
        on_command(w, c, SCRIPT_DATA, &facts);
        break;
    case EV_BODY:
        on_body(w, c, &ev->parts);
        break;
    case EV_BODY_END:
    case EV_NAMING:
        on_body(w, c, &ev->parts);
        c->has_content_limit = false;
        decide_begin(w, c, ev);
        break;
    case EV_ABORT:
        if (c->txn != NULL)
            decide_end(w, c);
        break;
    case EV_COMMIT:
        decide_named(w, c);
        break;
    }
}

/* --- one step after the other ---------------------------------------------------------------- */

/* As much of the content has come as the script waited for. */
static void on_content_limit(struct worker *w, struct conn *c)
{
    c->has_content_limit = false;
    if (c->content_drop != SCRIPT_DROP_NONE) {
        conn_drop(w, c, c->content_drop);
        return;
    }
    c->stall_until = ring_now(w->ring) + c->content_stall_ns;
    c->wait_until = c->stall_until; /* what is there already is not looked at either */
    if (c->effect.drop_content != SCRIPT_DROP_NONE) {
        c->content_drop = c->effect.drop_content;
        c->content_left = c->effect.drop_content_bytes - c->effect.stall_read_bytes;
        c->has_content_limit = true;
    }
}

/* Formats what the session waits for; false when nothing of it can be yet. A whole reply may have
 * no octets, or what the script leaves of it. */
static bool format_next(struct worker *w, struct conn *c)
{
    uint64_t octets = c->formatted;
    uint32_t left = session_replies_left(&c->session);
    (void)conn_format(w, c);
    return c->formatted > octets || session_replies_left(&c->session) < left;
}

static bool step_input(struct worker *w, struct conn *c)
{
    struct session_event ev;
    if (c->state != CONN_OPEN || c->endless_left > 0)
        return false;
    if (script_has_tweaks(w->shared->script) && !conn_format(w, c))
        return false;
    struct slice in = c->input;
    bool is_content = session_phase(&c->session) == SESSION_PHASE_CONTENT;
    bool is_limited = c->has_content_limit && is_content;
    if (is_limited && c->content_left == 0) {
        on_content_limit(w, c);
        return true;
    }
    if (is_limited)
        in = slice_first(in, (size_t)u64_min(c->content_left, SIZE_MAX));
    size_t used = session_feed(&c->session, in, ring_now(w->ring), &ev);
    c->input = slice_from(c->input, used);
    if (is_limited)
        c->content_left -= used;
    if (ev.kind == EV_OUTPUT)
        return format_next(w, c);
    on_session_event(w, c, &ev);
    if (ev.kind == EV_MORE)
        return is_limited && c->content_left == 0 && c->has_content_limit;
    return ev.kind != EV_BLOCKED && c->state == CONN_OPEN;
}

static bool step(struct worker *w, struct conn *c)
{
    struct script_facts facts;
    if (c->cut != SCRIPT_DROP_NONE && c->state == CONN_OPEN) {
        conn_drop(w, c, (enum script_drop)c->cut);
        return true;
    }
    if (c->wait_until > ring_now(w->ring))
        return false;
    c->wait_until = 0;
    switch ((enum conn_phase)c->phase) {
    case CONN_PHASE_CONNECT:
        facts = conn_facts(c);
        on_command(w, c, SCRIPT_CONNECT, &facts);
        return true;
    case CONN_PHASE_INPUT:
        return step_input(w, c);
    case CONN_PHASE_COMMAND:
        act(w, c, &c->effect);
        return true;
    case CONN_PHASE_ENDED:
    case CONN_PHASE_WORK:
    case CONN_PHASE_REPLIES:
        return decide_step(w, c);
    }
    UNREACHABLE();
}

static void conn_pump(struct worker *w, struct conn *c)
{
    if (c->is_pumping)
        return;
    c->is_pumping = true;
    while (step(w, c))
        continue;
    c->is_pumping = false;
    if (c->is_eof && c->state == CONN_OPEN && c->phase == CONN_PHASE_INPUT && c->wait_until == 0 &&
        slice_find(c->input, '\n') == c->input.len)
        c->state = CONN_FLUSHING; /* he has ended his side, and all is answered */
    if (c->state <= CONN_FLUSHING)
        mark_dirty(w, c);
    arm(w, c);
    conn_check_drained(w, c);
}

/* Room for @len octets in c->carry, which keeps what c->input has; false: no memory. */
static bool carry_reserve(struct conn *c, size_t len)
{
    size_t cap = c->carry_cap == 0 ? CARRY_BYTES_FIRST : c->carry_cap;
    while (cap < len)
        cap *= 2;
    uint8_t *carry = malloc(cap);
    if (carry == NULL)
        return false;
    if (c->input.len > 0)
        memcpy(carry, c->input.ptr, c->input.len);
    free(c->carry);
    c->carry = carry;
    c->carry_cap = cap;
    c->input = slice_of(carry, c->input.len);
    return true;
}

static bool is_carried(const struct conn *c)
{
    return c->carry != NULL && c->input.ptr >= c->carry && c->input.ptr < c->carry + c->carry_cap;
}

/* What could not be looked at yet moves out of the receive buffer; false: no memory. */
static bool keep_input(struct conn *c)
{
    if (c->input.len == 0) {
        c->input = SLICE_EMPTY;
        if (c->carry_cap > CARRY_BYTES_KEPT) {
            free(c->carry);
            c->carry = NULL;
            c->carry_cap = 0;
        }
        return true;
    }
    if (is_carried(c))
        return true;
    if (c->input.len > c->carry_cap)
        return carry_reserve(c, c->input.len);
    memcpy(c->carry, c->input.ptr, c->input.len);
    c->input.ptr = c->carry;
    return true;
}

/* Adds @more behind what waits already, which is carried; false: no memory. */
static bool carry_append(struct conn *c, struct slice more)
{
    size_t have = c->input.len;
    ASSERT(is_carried(c));
    if (have + more.len > c->carry_cap) {
        if (!carry_reserve(c, have + more.len))
            return false;
    } else if ((size_t)(c->input.ptr - c->carry) + have + more.len > c->carry_cap) {
        memmove(c->carry, c->input.ptr, have);
        c->input.ptr = c->carry;
    }
    memcpy(c->carry + (c->input.ptr - c->carry) + have, more.ptr, more.len);
    c->input.len += more.len;
    return true;
}

static void on_bytes(struct worker *w, struct conn *c, struct slice bytes)
{
    c->idle_since = ring_now(w->ring);
    if (!list_is_empty(&c->settling) && slice_find(bytes, '\n') < bytes.len)
        taken_on_input(w, c);
    bool is_good = true;
    if (c->input.len > 0)
        is_good = carry_append(c, bytes);
    else
        c->input = bytes;
    if (is_good && c->wait_until <= ring_now(w->ring))
        conn_pump(w, c);
    if (c->state != CONN_OPEN)
        c->input = SLICE_EMPTY;
    if (!is_good || !keep_input(c))
        conn_lost(w, c);
}

/* The peer has ended his side (RFC 5321 4.1.1.5: as if QUIT had been received). */
static void on_eof(struct worker *w, struct conn *c)
{
    c->is_eof = true;
    if (c->state == CONN_LINGERING) {
        conn_release(w, c);
        return;
    }
    if (c->state != CONN_OPEN)
        return;
    /* A server that does not look goes on, and answers; he may have ended his side only. */
    bool goes_on = is_deciding(c) && c->txn != NULL && c->txn->dot.gone != SCRIPT_GONE_STOP;
    if (!goes_on && !session_eof(&c->session, c->input)) {
        worker_count(w, SINK_CONNS_LOST, 1);
        c->state = CONN_FLUSHING;
        if (c->phase == CONN_PHASE_WORK)
            part(w, c); /* what is being done may be finished */
        else
            flush_txn(w, c);
        c->input = SLICE_EMPTY;
        c->wait_until = 0;
        c->is_withheld = false;
    }
    conn_pump(w, c);
}

/* Only a reply that cannot be sent tells it that nobody is there. */
static bool is_blind(const struct conn *c)
{
    return c->state == CONN_OPEN && is_deciding(c) && c->txn != NULL &&
           c->txn->dot.gone == SCRIPT_GONE_WRITE;
}

static void on_recv(struct worker *w, struct conn *c, const struct ring_event *ev)
{
    struct window window = ev->window;
    if (!ev->more)
        c->is_recv_armed = false;
    if (ev->res > 0) {
        if (c->state == CONN_OPEN)
            on_bytes(w, c, window.bytes);
        window_unpin(&window);
    } else if (ev->res == 0) {
        on_eof(w, c);
    } else if (is_blind(c) && ev->res != -ENOBUFS && ev->res != -ECANCELED) {
        c->is_eof = true;
    } else if (ev->res != -ENOBUFS && ev->res != -ECANCELED && ev->res != -EINTR &&
               ev->res != -EAGAIN) {
        conn_lost(w, c);
    }
    if (c->state <= CONN_LINGERING)
        recv_manage(w, c);
    arm(w, c);
}

void conn_on_event(struct worker *w, const struct ring_event *ev)
{
    struct conn *c = pool_at(&w->conns, ev->token.idx);
    if (w->conn_generations[ev->token.idx] != ev->token.generation) {
        struct window window = ev->window;
        window_unpin(&window);
        return;
    }
    if (!ev->more) {
        ASSERT(c->ops_count > 0);
        c->ops_count--;
    }
    switch ((enum ring_kind)ev->token.kind) {
    case RING_RECV:
        on_recv(w, c, ev);
        break;
    case RING_SEND:
        on_send(w, c, ev->res);
        break;
    case RING_SHUTDOWN:
    case RING_CANCEL:
        break;
    case RING_ACCEPT:
    case RING_PEERNAME:
    case RING_WRITE:
    case RING_SYNC:
    case RING_MESSAGE:
    case RING_MESSAGE_SENT:
    case RING_POLL:
    case RING_CONNECT:
    case RING_KIND_COUNT:
        UNREACHABLE();
    }
    conn_check_drained(w, c);
}

void conn_on_timer(struct worker *w, struct conn *c)
{
    clock_ns now = ring_now(w->ring);
    if (c->state == CONN_LINGERING && now >= c->linger_until)
        conn_release(w, c);
    bool is_waiting = c->wait_until > now || c->stall_until > now || c->mute_until > now;
    bool was_waiting = c->wait_until > 0 || c->mute_until > 0 || c->stall_until > 0;
    if (!is_waiting && was_waiting) {
        c->idle_since = now;
        c->stall_until = c->mute_until = 0;
    }
    if (c->state <= CONN_FLUSHING && !is_waiting && !was_waiting &&
        now - c->idle_since >= w->shared->options.idle_ns_max) {
        worker_count(w, SINK_CONNS_TIMED_OUT, 1);
        if (c->is_sending || c->state == CONN_FLUSHING)
            conn_release(w, c); /* he does not read */
        else
            end_now(w, c, ANSWER(STATUS_TIMEOUT));
        c->idle_since = now; /* as long again to read that */
    }
    if (c->state == CONN_OPEN && c->life_at != 0 && now >= c->life_at)
        decide_on_life(w, c);
    conn_pump(w, c);
    if (c->state <= CONN_LINGERING) {
        if (c->state != CONN_OPEN)
            c->input = SLICE_EMPTY;
        if (!keep_input(c))
            conn_lost(w, c);
        recv_manage(w, c);
    }
    if (c->state <= CONN_FLUSHING)
        mark_dirty(w, c);
    arm(w, c);
}

void conn_on_place(struct worker *w, struct conn *c)
{
    decide_on_place(w, c);
    conn_pump(w, c);
}

/* --- opening --------------------------------------------------------------------------------- */

void conn_open(struct worker *w, const struct sink_listen *l, int fd)
{
    struct conn *c = pool_take(&w->conns);
    ASSERT(c != NULL); /* the worker checked */
    memset(c, 0, sizeof(*c));
    c->generation = w->conn_generations[pool_index(&w->conns, c)];
    c->fd = fd;
    c->number = shared_count_conn(w->shared);
    list_init(&c->all);
    list_init(&c->dirty);
    list_init(&c->drained);
    list_init(&c->settling);
    timer_init(&c->timer, 0);
    list_push(&w->all, &c->all);
    w->conn_count++;
    worker_count(w, SINK_CONNS, 1);
    c->idle_since = ring_now(w->ring);
    c->peer.ss_family = l->addr.any.sa_family;
    if (c->peer.ss_family != AF_UNIX &&
        (w->shared->sources != NULL || script_wants_client(w->shared->script))) {
        socklen_t len = sizeof(c->peer);
        if (getpeername(fd, (struct sockaddr *)&c->peer, &len) < 0)
            c->peer.ss_family = AF_UNSPEC;
    }
    if (w->shared->sources != NULL)
        c->has_source = shared_source_enter(w->shared, &c->peer);
    const struct sink_options *o = &w->shared->options;
    session_init(&c->session, l->is_lmtp ? &o->lmtp : &o->smtp, c->idle_since);
    conn_pump(w, c);
    recv_manage(w, c);
    arm(w, c);
}
