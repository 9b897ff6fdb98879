/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.c - sockets on the ring.
 *
 * One send at a time. What is small is gathered and sent quietly: it is with the kernel when the
 * turn is submitted, costs no completion, and its success is reported in front of the reply to it.
 * Only when the socket is full does an operation wait.
 */
#include "load/channel.h"
#include "base/assert.h"
#include <errno.h>

#define PACE_NS (100 * NS_PER_MS)

static struct ring_token token_of(const struct channel *c, const struct channel_io *io,
                                  enum ring_kind kind)
{
    return (struct ring_token){(uint8_t)kind, io->token_owner, c->generation, c->idx};
}

void channel_init(struct channel *c, uint32_t idx, const struct target *t, uint32_t target_idx)
{
    list_init(&c->list);
    list_init(&c->dirty);
    timer_init(&c->deadline, CHANNEL_TIMER_DEADLINE);
    timer_init(&c->pace, CHANNEL_TIMER_PACE);
    timer_init(&c->think, CHANNEL_TIMER_THINK);
    c->idx = idx;
    c->target = t;
    c->target_idx = target_idx;
    c->file = -1;
}

void channel_dial(struct channel *c, struct channel_io *io, struct job *job, clock_ns now)
{
    ASSERT(c->file < 0 && !c->is_closing && c->out == NULL);
    link_dial(&c->link, job, now);
    int fd = dial_open(&io->dial, c->target, &io->dial_turn);
    if (fd < 0) {
        link_lost(&c->link, fd, now);
        return;
    }
    c->file = fd;
    c->is_connecting = true;
    ring_connect(io->ring, fd, &c->target->addr.any, c->target->addr_bytes,
                 token_of(c, io, RING_CONNECT));
}

static bool reads_slowly(const struct channel_io *io)
{
    return io->slow_read_bytes > 0;
}

/* Bytes for one step, and how long a step is, at @rate a second. */
static size_t pace_of(uint64_t rate, clock_ns *ret_step_ns)
{
    uint64_t bytes = rate * PACE_NS / NS_PER_S;
    *ret_step_ns = bytes > 0 ? PACE_NS : NS_PER_S / rate;
    return bytes > 0 ? bytes : 1;
}

static void pace(struct channel *c, struct channel_io *io, uint64_t rate, clock_ns now)
{
    clock_ns step_ns;
    (void)pace_of(rate, &step_ns);
    if (!timer_is_armed(&c->pace))
        timer_arm(io->timers, &c->pace, now + step_ns);
}

static void receive(struct channel *c, struct channel_io *io, clock_ns now)
{
    if (reads_slowly(io)) {
        pace(c, io, io->slow_read_bytes, now);
        return;
    }
    c->is_receiving = true;
    ring_recv_arm(io->ring, c->file, token_of(c, io, RING_RECV));
}

/* --- sending ---------------------------------------------------------------------------------- */

static size_t bytes_of(const struct slices *parts)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < parts->count; i++)
        bytes += parts->at[i].len;
    return bytes;
}

/* All that the link has to say now, in one piece as far as it is small; false: nothing. */
static bool fill(struct outgoing *out, struct link *l, clock_ns now)
{
    struct buf all = buf_over(out->gathered, sizeof(out->gathered));
    bool has_more = true;
    out->part_count = 0;
    while (has_more && out->part_count == 0) {
        struct buf scratch = buf_over(out->scratch, sizeof(out->scratch));
        has_more = link_output(l, now, &scratch, &out->made);
        bool fits = bytes_of(&out->made) <= buf_room(&all);
        bool is_alone = !has_more && out->made.count == 1 && all.len == 0; /* needs no copy */
        if (out->made.count == 0)
            break;
        if (fits && !is_alone) {
            for (uint32_t i = 0; i < out->made.count; i++)
                buf_put(&all, out->made.at[i]);
            continue;
        }
        out->parts[out->part_count++] = buf_slice(&all);
        for (uint32_t i = 0; i < out->made.count; i++)
            out->parts[out->part_count++] = out->made.at[i];
    }
    if (out->part_count == 0)
        out->parts[out->part_count++] = buf_slice(&all);
    out->part_idx = out->parts[0].len == 0 ? 1 : 0;
    out->part_offset = 0;
    out->left_bytes = 0;
    for (uint32_t i = 0; i < out->part_count; i++)
        out->left_bytes += out->parts[i].len;
    out->has_more = has_more;
    return out->left_bytes > 0;
}

static void fill_vector(struct outgoing *out)
{
    uint32_t count = 0;
    size_t offset = out->part_offset;
    for (uint32_t i = out->part_idx; i < out->part_count; i++, offset = 0) {
        struct slice part = slice_from(out->parts[i], offset);
        out->iov[count++] = (struct iovec){(void *)(uintptr_t)part.ptr, part.len};
    }
    out->msg = (struct msghdr){.msg_iov = out->iov, .msg_iovlen = count};
}

/* Starts the next operation for what is left. */
static void send_rest(struct channel *c, struct channel_io *io, bool is_waited)
{
    struct outgoing *out = c->out;
    struct ring_token token = token_of(c, io, RING_SEND);
    struct slice first = slice_from(out->parts[out->part_idx], out->part_offset);
    out->is_in_flight = true;
    out->is_waited = is_waited;
    out->asked_bytes = out->left_bytes;
    if (io->slow_write_bytes > 0) {
        clock_ns step_ns;
        first = slice_first(first, pace_of(io->slow_write_bytes, &step_ns));
        out->asked_bytes = first.len;
    } else if (out->part_idx + 1 < out->part_count) {
        fill_vector(out);
        if (is_waited)
            ring_sendv(io->ring, c->file, &out->msg, token);
        else
            ring_sendv_quiet(io->ring, c->file, &out->msg, out->asked_bytes, token);
        return;
    }
    if (is_waited)
        ring_send(io->ring, c->file, first, token);
    else
        ring_send_quiet(io->ring, c->file, first, token);
}

void channel_flush(struct channel *c, struct channel_io *io, clock_ns now)
{
    if (c->out != NULL || c->is_closing || c->is_connecting || c->file < 0)
        return;
    struct outgoing *out = pool_take(&io->outgoings);
    if (out == NULL) {
        link_lost(&c->link, -ENOMEM, now);
        return;
    }
    if (!fill(out, &c->link, now)) {
        pool_give(&io->outgoings, out);
        if (link_wants_half_close(&c->link)) {
            c->is_shutting = true;
            ring_shutdown_write(io->ring, c->file, token_of(c, io, RING_SHUTDOWN));
        }
        return;
    }
    c->out = out;
    out->prepared_at = now;
    io->hurries =
        io->hurries || out->has_more || io->slow_write_bytes > 0 || link_waits_for_sent(&c->link);
    send_rest(c, io, false);
}

static void advance(struct outgoing *out, size_t bytes)
{
    out->left_bytes -= bytes;
    while (bytes > 0) {
        size_t rest = out->parts[out->part_idx].len - out->part_offset;
        size_t step = size_min(rest, bytes);
        bytes -= step;
        out->part_offset += step;
        if (step == rest) {
            out->part_idx++;
            out->part_offset = 0;
        }
    }
}

static void give_out(struct channel *c, struct channel_io *io)
{
    pool_give(&io->outgoings, c->out);
    c->out = NULL;
}

static void on_send(struct channel *c, struct channel_io *io, int32_t res, clock_ns now)
{
    struct outgoing *out = c->out;
    out->is_in_flight = false;
    if (c->is_closing || (res < 0 && res != -EAGAIN)) {
        give_out(c, io);
        if (!c->is_closing)
            link_lost(&c->link, res, now);
        return;
    }
    size_t sent = res > 0 ? (size_t)res : 0;
    bool was_waited = out->is_waited;
    io->counters->bytes_sent += sent;
    advance(out, sent);
    if (out->left_bytes == 0) {
        clock_ns at = was_waited || io->slow_write_bytes > 0 ? now : out->prepared_at;
        give_out(c, io);
        link_sent(&c->link, at, now);
        return;
    }
    if (sent > 0)
        link_progress(&c->link, now);
    if (io->slow_write_bytes > 0 && sent == out->asked_bytes)
        pace(c, io, io->slow_write_bytes, now);
    else
        send_rest(c, io, true);
}

/* --- events ----------------------------------------------------------------------------------- */

static void on_receive(struct channel *c, struct channel_io *io, struct ring_event *ev,
                       clock_ns now)
{
    c->is_receiving = ev->more;
    if (ev->res > 0) {
        io->counters->bytes_received += (uint64_t)ev->res;
        if (!c->is_closing)
            link_input(&c->link, ev->window.bytes);
        if (!ev->more && !c->is_closing)
            receive(c, io, now);
    } else if (ev->res == -ENOBUFS && !c->is_closing) {
        receive(c, io, now); /* windows go home within the turn */
    } else if (!c->is_closing) {
        link_lost(&c->link, ev->res, now);
    }
}

void channel_on_event(struct channel *c, struct channel_io *io, struct ring_event *ev, bool resumes,
                      clock_ns now)
{
    switch ((enum ring_kind)ev->token.kind) {
    case RING_CONNECT:
        c->is_connecting = false;
        if (c->is_closing)
            break;
        if (ev->res < 0) {
            link_lost(&c->link, ev->res, now);
        } else {
            receive(c, io, now);
            link_connected(&c->link, resumes, now);
        }
        break;
    case RING_RECV:
        on_receive(c, io, ev, now);
        break;
    case RING_SEND:
        on_send(c, io, ev->res, now);
        break;
    case RING_SHUTDOWN:
        c->is_shutting = false;
        break;
    case RING_ACCEPT:
    case RING_PEERNAME:
    case RING_CANCEL:
    case RING_WRITE:
    case RING_SYNC:
    case RING_MESSAGE:
    case RING_MESSAGE_SENT:
    case RING_POLL:
    case RING_KIND_COUNT:
        break;
    }
}

void channel_on_pace(struct channel *c, struct channel_io *io, uint8_t *memory, size_t cap,
                     clock_ns now)
{
    if (c->is_closing || c->file < 0)
        return;
    if (c->out != NULL && !c->out->is_in_flight)
        send_rest(c, io, false);
    if (reads_slowly(io) && !c->is_connecting) {
        clock_ns step_ns;
        size_t want = size_min(pace_of(io->slow_read_bytes, &step_ns), cap);
        int len = dial_read(c->file, memory, want);
        if (len > 0) {
            io->counters->bytes_received += (uint64_t)len;
            link_input(&c->link, slice_of(memory, (size_t)len));
        } else if (len != -EAGAIN) {
            link_lost(&c->link, len, now);
            return;
        }
        pace(c, io, io->slow_read_bytes, now);
    }
}

void channel_arm(struct channel *c, struct channel_io *io)
{
    clock_ns due = link_deadline(&c->link);
    /* Only moved forward: when it fires too early, the link knows. */
    if (due != CLOCK_NEVER && (!timer_is_armed(&c->deadline) || due < c->deadline.due))
        timer_arm(io->timers, &c->deadline, due);
}

/* --- the end ---------------------------------------------------------------------------------- */

void channel_close(struct channel *c, struct channel_io *io)
{
    struct ring_token token = token_of(c, io, RING_CANCEL);
    ASSERT(!c->is_closing);
    c->is_closing = true;
    timer_disarm(&c->deadline);
    timer_disarm(&c->pace);
    if (c->is_receiving)
        ring_cancel(io->ring, token_of(c, io, RING_RECV), token);
    if (c->is_connecting)
        ring_cancel(io->ring, token_of(c, io, RING_CONNECT), token);
    if (c->out != NULL && c->out->is_in_flight && c->out->is_waited)
        ring_cancel(io->ring, token_of(c, io, RING_SEND), token);
    if (c->out != NULL && !c->out->is_in_flight)
        give_out(c, io);
}

/* The peer is told nothing; the socket stays. */
static void keep_silent(struct channel *c, struct channel_io *io)
{
    uint32_t place = io->silent_count % CHANNEL_SILENT_MAX;
    if (io->silent_count >= CHANNEL_SILENT_MAX)
        dial_close(io->silent_fds[place]);
    io->silent_fds[place] = c->file;
    io->silent_count++;
}

bool channel_finish_close(struct channel *c, struct channel_io *io)
{
    if (!c->is_closing || c->is_receiving || c->is_connecting || c->is_shutting || c->out != NULL)
        return false;
    if (c->file >= 0) {
        if (c->link.how == LINK_HOW_RESET)
            dial_set_reset(c->file);
        if (c->link.how == LINK_HOW_SILENT)
            keep_silent(c, io);
        else
            ring_close(io->ring, c->file);
    }
    c->file = -1;
    c->is_closing = false;
    c->generation++;
    link_deinit(&c->link);
    return true;
}
