/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - log lines: building them, and getting them out of a shard without waiting.
 *
 * Lines. A pair is appended whole or not at all, so that a cut line still parses; room for the
 * longest tail is kept back from the start.
 *
 * Writer. The buffer has two halves: lines gather in one while the other is being written, so bytes
 * in flight never move and a write carries whole lines. Several shards may share one descriptor; a
 * regular file opened for appending takes each write at once, and for pipes, sockets and terminals
 * a write is kept within PIPE_BUF, which a pipe takes whole or not at all.
 *
 *              turn, lines waiting                EAGAIN
 *     IDLE ------------------------> WRITING ----------------> BLOCKED (polling for room)
 *       ^                            |  ^  ^                      |
 *       +---- all out, or failed ----+  |  +-- writable, new fd --+
 *       |                               |                         |
 *       |        short, EINTR: the rest +                         |
 *       +-------------------- poll failed ------------------------+
 *
 * Invariants:
 * - At most one write is in flight, and only in WRITING; the half that it reads is not touched.
 * - Every line that was put is written once in order, or counted in @dropped.
 * - A failing sink costs one write per turn that has new lines: the line about dropped ones is only
 *   written after a write succeeded.
 */
#include "obs/log.h"
#include "base/civil.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_TAIL SLICE_LIT(" cut=true\n")

/* What a byte of a value asks for; most ask for nothing. */
enum byte_class {
    BYTE_QUOTED = 1,  /* quotes around the value */
    BYTE_ESCAPED = 2, /* the same, and a backslash */
};

#define OK 0
#define QU BYTE_QUOTED
#define ES BYTE_ESCAPED
/* clang-format off */
static const uint8_t classes[256] = { /* sixteen a row, from NUL on */
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
    QU, OK, ES, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK,
    OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, QU, OK, OK,
    OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK,
    OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, ES, OK, OK, OK,
    OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK,
    OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, OK, ES,
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
    ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES, ES,
};
/* clang-format on */
#undef OK
#undef QU
#undef ES

static void put_time(struct buf *b, wall_us at)
{
    /* Lines come in the order of time: formatting the date again and again would be most of the
     * cost of a short line. */
    static _Thread_local struct {
        uint64_t second;
        uint8_t text[19];
        bool is_set;
    } cache;
    uint64_t second = at / 1000000;
    if (UNLIKELY(!cache.is_set || cache.second != second)) {
        struct civil c = civil_from_unix(second);
        struct buf text = buf_over(cache.text, sizeof(cache.text));
        civil_put_rfc3339(&text, &c);
        cache.second = second;
        cache.is_set = true;
    }
    uint8_t fraction[8] = ".000000Z";
    uint32_t us = (uint32_t)(at % 1000000);
    for (unsigned i = 6; i > 0; i--) {
        fraction[i] = (uint8_t)('0' + us % 10);
        us /= 10;
    }
    buf_put(b, slice_of(cache.text, sizeof(cache.text)));
    buf_put(b, slice_of(fraction, sizeof(fraction)));
}

static void put_escaped_byte(struct buf *b, uint8_t c)
{
    switch (c) {
    case '"':
        BUF_PUT_LIT(b, "\\\"");
        break;
    case '\\':
        BUF_PUT_LIT(b, "\\\\");
        break;
    case '\n':
        BUF_PUT_LIT(b, "\\n");
        break;
    case '\r':
        BUF_PUT_LIT(b, "\\r");
        break;
    case '\t':
        BUF_PUT_LIT(b, "\\t");
        break;
    default:
        BUF_PUT_LIT(b, "\\x");
        buf_put_hex(b, c, 2);
        break;
    }
}

static void put_escaped(struct buf *b, struct slice value)
{
    size_t done = 0;
    for (size_t i = 0; i < value.len && !b->is_full; i++) {
        if (classes[value.ptr[i]] != BYTE_ESCAPED)
            continue;
        buf_put(b, slice_of(value.ptr + done, i - done));
        put_escaped_byte(b, value.ptr[i]);
        done = i + 1;
    }
    buf_put(b, slice_from(value, done));
}

static void put_value(struct buf *b, struct slice value)
{
    uint8_t asked = value.len == 0 ? BYTE_QUOTED : 0;
    for (size_t i = 0; i < value.len; i++)
        asked |= classes[value.ptr[i]];
    if (asked == 0) {
        buf_put(b, value);
        return;
    }
    buf_put_byte(b, '"');
    if ((asked & BYTE_ESCAPED) != 0)
        put_escaped(b, value);
    else
        buf_put(b, value);
    buf_put_byte(b, '"');
}

/* Opens a pair; false when the line is cut, before or here. */
static bool pair_begin(struct log_line *l, struct slice key, size_t *ret_mark)
{
    struct buf *b = &l->buf;
    l->is_cut |= key.len + 2 > buf_room(b);
    if (l->is_cut)
        return false;
    uint8_t *at = b->ptr + b->len;
    at[0] = ' ';
    memcpy(at + 1, key.ptr, key.len);
    at[1 + key.len] = '=';
    *ret_mark = b->len;
    b->len += key.len + 2;
    return true;
}

/* Closes it: a pair that did not fit is taken back whole. */
static void pair_end(struct log_line *l, size_t mark)
{
    if (LIKELY(!l->buf.is_full))
        return;
    l->buf.len = mark;
    l->is_cut = true;
}

void log_line_begin(struct log_line *l, void *memory, size_t cap, wall_us at, const char *level,
                    const char *event)
{
    ASSERT(cap >= LOG_LINE_BYTES_MIN);
    l->buf = buf_over(memory, cap - LOG_TAIL.len);
    l->is_cut = false;
    BUF_PUT_LIT(&l->buf, "time=");
    put_time(&l->buf, at);
    BUF_PUT_LIT(&l->buf, " level=");
    buf_put(&l->buf, slice_str(level));
    BUF_PUT_LIT(&l->buf, " event=");
    buf_put(&l->buf, slice_str(event));
    ASSERT(!l->buf.is_full); /* level and event are words of the program */
}

void log_line_put_slice(struct log_line *l, struct slice key, struct slice value)
{
    size_t mark;
    if (!pair_begin(l, key, &mark))
        return;
    put_value(&l->buf, value);
    pair_end(l, mark);
}

/* @value / 10^@decimals with so many decimals. */
static void put_number(struct log_line *l, struct slice key, bool is_negative, uint64_t value,
                       unsigned decimals)
{
    uint8_t text[24];
    size_t at = sizeof(text);
    size_t mark;
    ASSERT(decimals <= 3);
    if (!pair_begin(l, key, &mark))
        return;
    for (unsigned i = 0; i < decimals; i++, value /= 10)
        text[--at] = (uint8_t)('0' + value % 10);
    if (decimals > 0)
        text[--at] = '.';
    for (; value >= 10; value /= 10)
        text[--at] = (uint8_t)('0' + value % 10);
    text[--at] = (uint8_t)('0' + value);
    if (is_negative)
        text[--at] = '-';
    buf_put(&l->buf, slice_of(text + at, sizeof(text) - at));
    pair_end(l, mark);
}

void log_line_put_i64(struct log_line *l, struct slice key, int64_t value, unsigned decimals)
{
    put_number(l, key, value < 0, value < 0 ? -(uint64_t)value : (uint64_t)value, decimals);
}

void log_line_put_u64(struct log_line *l, struct slice key, uint64_t value, unsigned decimals)
{
    put_number(l, key, false, value, decimals);
}

struct slice log_line_end(struct log_line *l)
{
    l->buf.cap += LOG_TAIL.len; /* kept back by log_line_begin() */
    l->buf.is_full = false;
    buf_put(&l->buf, l->is_cut ? LOG_TAIL : SLICE_LIT("\n"));
    ASSERT(!l->buf.is_full);
    return buf_slice(&l->buf);
}

enum log_writer_state { LOG_IDLE, LOG_WRITING, LOG_BLOCKED };

struct log_writer {
    struct ring *ring;
    enum log_writer_state state;
    int fd;
    int fd_next;             /* differs from @fd until the change takes effect */
    size_t write_bytes_max;  /* of one write to @fd */
    struct ring_token token; /* of the operation waited for; its generation counts operations */
    struct buf gathering;
    struct buf sending;
    struct slice rest; /* of @sending: what has not been written yet */
    uint64_t wait_ns;
    clock_ns gathering_since; /* when the oldest line of @gathering came */
    uint64_t dropped;
    uint64_t dropped_told; /* as far as a line has said so */
    bool is_failing;       /* the last write failed */
    bool is_line_open;     /* the last thing that @fd took was the beginning of a line */
    uint8_t memory[];
};

static void state_change(struct log_writer *w, enum log_writer_state to)
{
    switch (w->state) {
    case LOG_IDLE:
        ASSERT(to == LOG_WRITING);
        break;
    case LOG_WRITING:
        ASSERT(to == LOG_WRITING || to == LOG_BLOCKED || to == LOG_IDLE);
        break;
    case LOG_BLOCKED:
        ASSERT(to == LOG_WRITING || to == LOG_IDLE);
        break;
    }
    w->state = to;
}

/* Names the next operation; results of all before it are stale from now on. */
static struct ring_token next_token(struct log_writer *w, enum ring_kind kind)
{
    w->token.kind = (uint8_t)kind;
    w->token.generation++;
    return w->token;
}

static size_t write_bytes_max_of(int fd)
{
    struct stat st;
    bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    return is_file ? SIZE_MAX : PIPE_BUF;
}

static void use_fd(struct log_writer *w, int fd)
{
    w->fd = fd;
    w->fd_next = fd;
    w->write_bytes_max = write_bytes_max_of(fd);
    w->is_line_open = false;
    w->is_failing = false;
}

int log_writer_new(struct ring *ring, int fd, uint8_t token_owner, size_t buffer_bytes,
                   uint64_t wait_ns, struct log_writer **ret_writer)
{
    if (buffer_bytes < LOG_WRITER_BYTES_MIN)
        return -EINVAL;
    /* One byte before each half, for the newline that ends an open line. */
    size_t half = buffer_bytes / 2;
    struct log_writer *w = malloc(sizeof(*w) + 2 * (half + 1));
    if (w == NULL)
        return -ENOMEM;
    *w = (struct log_writer){.ring = ring, .wait_ns = wait_ns, .token = {.owner = token_owner}};
    w->gathering = buf_over(w->memory + 1, half);
    w->sending = buf_over(w->memory + half + 2, half);
    use_fd(w, fd);
    *ret_writer = w;
    return 0;
}

void log_writer_free(struct log_writer *w)
{
    free(w);
}

/* Says how many lines were dropped, when that can be said and was not; @reserve bytes stay free. */
static void tell_dropped(struct log_writer *w, size_t reserve)
{
    if (LIKELY(w->dropped == w->dropped_told) || w->is_failing)
        return;
    uint8_t memory[LOG_LINE_BYTES_MIN];
    struct log_line l;
    log_line_begin(&l, memory, sizeof(memory), ring_wall(w->ring), "warning", "log-dropped");
    log_line_u64(&l, "lines", w->dropped - w->dropped_told);
    log_line_u64(&l, "total", w->dropped);
    struct slice line = log_line_end(&l);
    size_t room = buf_room(&w->gathering);
    if (line.len > room || reserve > room - line.len)
        return;
    buf_put(&w->gathering, line);
    w->dropped_told = w->dropped;
}

void log_writer_put(struct log_writer *w, struct slice line)
{
    ASSERT(line.len > 0 && line.ptr[line.len - 1] == '\n');
    tell_dropped(w, line.len);
    if (line.len > buf_room(&w->gathering)) {
        w->dropped++;
        return;
    }
    if (w->gathering.len == 0)
        w->gathering_since = ring_now(w->ring);
    buf_put(&w->gathering, line);
}

/* The longest run of whole lines at the front that fits in one write; at least one line. */
static struct slice next_write(const struct log_writer *w)
{
    if (w->rest.len <= w->write_bytes_max)
        return w->rest;
    const uint8_t *end = memrchr(w->rest.ptr, '\n', w->write_bytes_max);
    if (end == NULL)
        end = memchr(w->rest.ptr, '\n', w->rest.len);
    ASSERT(end != NULL); /* every line ends with one */
    return slice_first(w->rest, (size_t)(end - w->rest.ptr) + 1);
}

static void write_rest(struct log_writer *w)
{
    ASSERT(w->rest.len > 0);
    state_change(w, LOG_WRITING);
    ring_write_stream(w->ring, w->fd, next_write(w), next_token(w, RING_WRITE));
}

static void batch_begin(struct log_writer *w)
{
    struct buf empty = w->sending;
    w->sending = w->gathering;
    empty.len = 0;
    empty.is_full = false;
    w->gathering = empty;
    if (w->fd_next != w->fd)
        use_fd(w, w->fd_next);
    w->rest = buf_slice(&w->sending);
    if (w->is_line_open) {
        w->sending.ptr[-1] = '\n';
        w->rest = slice_of(w->rest.ptr - 1, w->rest.len + 1);
    }
    write_rest(w);
}

static void batch_end(struct log_writer *w)
{
    w->rest = SLICE_EMPTY;
    w->sending.len = 0;
    state_change(w, LOG_IDLE);
}

/* The sink does not take it: what is left of the batch is lost, and counted by lines. */
static void batch_drop(struct log_writer *w)
{
    if (w->rest.ptr < w->sending.ptr) /* the newline that ends an open line is no line */
        w->rest = slice_from(w->rest, 1);
    else
        w->is_line_open = w->rest.ptr > w->sending.ptr && w->rest.ptr[-1] != '\n';
    for (size_t i = 0; i < w->rest.len; i++)
        w->dropped += w->rest.ptr[i] == '\n';
    w->is_failing = true;
    batch_end(w);
}

/* Ends the poll waited for; its result is stale from now on. */
static void cancel_poll(struct log_writer *w)
{
    struct ring_token target = w->token;
    ASSERT(target.kind == RING_POLL);
    ring_cancel(w->ring, target, next_token(w, RING_CANCEL));
}

/* The log was reopened while its old sink takes nothing: go on there, from the start of a line. */
static void switch_blocked(struct log_writer *w)
{
    const uint8_t *start = w->rest.ptr;
    while (start > w->sending.ptr && start[-1] != '\n')
        start--;
    if (start < w->sending.ptr)
        start = w->sending.ptr;
    const uint8_t *end = w->rest.ptr + w->rest.len;
    w->rest = slice_of(start, (size_t)(end - start));
    use_fd(w, w->fd_next);
    cancel_poll(w);
    write_rest(w);
}

clock_ns log_writer_due(const struct log_writer *w)
{
    if (w->state != LOG_IDLE || w->gathering.len == 0)
        return CLOCK_NEVER;
    bool is_worth_it = w->gathering.len >= w->gathering.cap / 4 || w->fd_next != w->fd;
    return is_worth_it ? w->gathering_since : w->gathering_since + w->wait_ns;
}

void log_writer_turn(struct log_writer *w)
{
    if (w->state == LOG_BLOCKED && w->fd_next != w->fd)
        switch_blocked(w);
    if (w->state != LOG_IDLE)
        return;
    tell_dropped(w, 0);
    if (w->gathering.len > 0 && ring_now(w->ring) < log_writer_due(w))
        return;
    if (w->gathering.len > 0)
        batch_begin(w);
    else if (w->fd_next != w->fd)
        use_fd(w, w->fd_next);
}

/* What each result of a write means: progress, retry, flow control; all else: the sink is broken.
 */
static void on_written(struct log_writer *w, int32_t res)
{
    if (res > 0) {
        ASSERT((size_t)res <= w->rest.len);
        w->rest = slice_from(w->rest, (size_t)res);
        w->is_failing = false;
        w->is_line_open = false;
        if (w->rest.len > 0)
            write_rest(w);
        else
            batch_end(w);
    } else if (res == -EAGAIN) {
        state_change(w, LOG_BLOCKED);
        ring_poll_arm(w->ring, w->fd, POLLOUT, next_token(w, RING_POLL));
    } else if (res == -EINTR) {
        write_rest(w);
    } else {
        batch_drop(w);
    }
}

void log_writer_on_event(struct log_writer *w, const struct ring_event *ev)
{
    ASSERT(ev->token.owner == w->token.owner);
    if (ev->token.kind != w->token.kind || ev->token.generation != w->token.generation)
        return;
    if (w->state == LOG_WRITING && ev->token.kind == RING_WRITE) {
        on_written(w, ev->res);
    } else if (w->state == LOG_BLOCKED && ev->token.kind == RING_POLL) {
        if (ev->more) /* the answer is here; a poll that stays armed is of no use */
            cancel_poll(w);
        if (ev->res < 0)
            batch_drop(w);
        else
            write_rest(w);
    }
}

bool log_writer_is_idle(const struct log_writer *w)
{
    return w->state == LOG_IDLE && w->gathering.len == 0;
}

uint64_t log_writer_dropped(const struct log_writer *w)
{
    return w->dropped;
}

void log_writer_set_fd(struct log_writer *w, int fd)
{
    w->fd_next = fd;
}

int log_writer_fd(const struct log_writer *w)
{
    return w->fd;
}

void log_direct(int fd, struct slice line)
{
    ssize_t written;
    do {
        written = write(fd, line.ptr, line.len);
    } while (written < 0 && errno == EINTR);
}
