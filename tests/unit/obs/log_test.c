/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_test.c - log lines to the byte, and the writer against scripted results of its writes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/rng.h"
#include "obs/log.h"
#include "../../support/fakelog.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OWNER 5
#define WALL ((wall_us)1767323045678901) /* 2026-01-02T03:04:05.678901Z */

static void assert_text(struct slice got, const char *want)
{
    if (!slice_eq(got, slice_str(want)))
        fail_msg("got  <%.*s>\nwant <%s>", (int)got.len, (const char *)got.ptr, want);
}

static void test_line(void **state)
{
    (void)state;
    char memory[1024];
    struct log_line l;
    log_line_begin(&l, memory, sizeof(memory), WALL, "info", "txn");
    log_line_str(&l, "client", "192.0.2.1:1234");
    log_line_u64(&l, "size", UINT64_MAX);
    log_line_u64(&l, "zero", 0);
    log_line_i64(&l, "min", INT64_MIN);
    log_line_i64(&l, "one", 1);
    log_line_slice(&l, "from", SLICE_EMPTY);
    assert_text(log_line_end(&l), "time=2026-01-02T03:04:05.678901Z level=info event=txn "
                                  "client=192.0.2.1:1234 size=18446744073709551615 zero=0 "
                                  "min=-9223372036854775808 one=1 from=\"\"\n");
}

static void test_time(void **state)
{
    (void)state;
    static const struct {
        wall_us at;
        const char *want;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {1, "1970-01-01T00:00:00.000001Z"},
        {999999, "1970-01-01T00:00:00.999999Z"},
        {1000000, "1970-01-01T00:00:01.000000Z"},
        {999999, "1970-01-01T00:00:00.999999Z"}, /* back again: the cached second is compared */
        {951782400000000, "2000-02-29T00:00:00.000000Z"},
        {4107542399999999, "2100-02-28T23:59:59.999999Z"},
        {4107542400000000, "2100-03-01T00:00:00.000000Z"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char memory[LOG_LINE_BYTES_MIN], want[128];
        struct log_line l;
        log_line_begin(&l, memory, sizeof(memory), rows[i].at, "info", "e");
        snprintf(want, sizeof(want), "time=%s level=info event=e\n", rows[i].want);
        assert_text(log_line_end(&l), want);
    }
}

/* Appends one value with @put and returns what stands behind "k=". */
static struct slice value_text(void (*put)(struct log_line *, const void *), const void *value)
{
    static char memory[4096];
    struct log_line l;
    log_line_begin(&l, memory, sizeof(memory), 0, "info", "e");
    size_t head = l.buf.len + 3;
    put(&l, value);
    struct slice line = log_line_end(&l);
    return slice_first(slice_from(line, head), line.len - head - 1);
}

static void put_slice(struct log_line *l, const void *value)
{
    log_line_slice(l, "k", *(const struct slice *)value);
}

static void put_hundredths(struct log_line *l, const void *value)
{
    log_line_hundredths(l, "k", *(const int32_t *)value);
}

static void put_ms(struct log_line *l, const void *value)
{
    log_line_ms(l, "k", *(const uint64_t *)value);
}

static void test_escapes(void **state)
{
    (void)state;
    static const struct {
        struct slice in;
        const char *want;
    } rows[] = {
        {SLICE_INIT(""), "\"\""},
        {SLICE_INIT("a@b.example"), "a@b.example"},
        {SLICE_INIT("!#~[]{}<>'`"), "!#~[]{}<>'`"},
        {SLICE_INIT("two words"), "\"two words\""},
        {SLICE_INIT("a=b"), "\"a=b\""},
        {SLICE_INIT("say \"hi\""), "\"say \\\"hi\\\"\""},
        {SLICE_INIT("back\\slash"), "\"back\\\\slash\""},
        {SLICE_INIT("\r\n\t"), "\"\\r\\n\\t\""},
        {SLICE_INIT("nul\0byte"), "\"nul\\x00byte\""},
        {SLICE_INIT("\x1b[31m"), "\"\\x1b[31m\""},
        {SLICE_INIT("\x7f"), "\"\\x7f\""},
        {SLICE_INIT("gr\xc3\xbc\xc3\x9f"), "\"gr\\xc3\\xbc\\xc3\\x9f\""},
        {SLICE_INIT("x\ntime=1 level=info event=forged"), "\"x\\ntime=1 level=info event=forged\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_text(value_text(put_slice, &rows[i].in), rows[i].want);
}

static void test_decimals(void **state)
{
    (void)state;
    static const struct {
        int32_t in;
        const char *want;
    } hundredths[] = {{0, "0.00"},
                      {5, "0.05"},
                      {-5, "-0.05"},
                      {1250, "12.50"},
                      {-100, "-1.00"},
                      {INT32_MAX, "21474836.47"},
                      {INT32_MIN, "-21474836.48"}};
    static const struct {
        uint64_t in;
        const char *want;
    } ms[] = {{0, "0.000"},
              {999, "0.000"},
              {1000, "0.001"},
              {1234567, "1.234"},
              {60000000000, "60000.000"},
              {UINT64_MAX, "18446744073709.551"}};
    for (size_t i = 0; i < ARRAY_COUNT(hundredths); i++)
        assert_text(value_text(put_hundredths, &hundredths[i].in), hundredths[i].want);
    for (size_t i = 0; i < ARRAY_COUNT(ms); i++)
        assert_text(value_text(put_ms, &ms[i].in), ms[i].want);
}

/* Whatever the room: a cut line ends with whole pairs and says so; an uncut one has all. */
static void test_cut(void **state)
{
    (void)state;
    char memory[512];
    char value[400];
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\x01'; /* needs quotes and an escape at the very end */
    for (size_t len = 0; len <= sizeof(value); len++) {
        memset(memory, '#', sizeof(memory));
        struct log_line l;
        log_line_begin(&l, memory, LOG_LINE_BYTES_MIN, WALL, "info", "e");
        log_line_u64(&l, "n", 7);
        log_line_slice(&l, "v", slice_of(value + sizeof(value) - len, len));
        log_line_u64(&l, "after", 1);
        struct slice line = log_line_end(&l);
        assert_true(line.len <= LOG_LINE_BYTES_MIN);
        for (size_t i = LOG_LINE_BYTES_MIN; i < sizeof(memory); i++)
            assert_int_equal(memory[i], '#');
        size_t head = strlen("time=2026-01-02T03:04:05.678901Z level=info event=e n=7");
        struct slice rest = slice_from(line, head);
        bool fits = head + strlen(" v=\"\\x01\" after=1") + len - 1 <= LOG_LINE_BYTES_MIN - 10;
        if (len > 0 && fits)
            assert_text(slice_from(rest, rest.len - 9), " after=1\n");
        else if (len > 0)
            assert_text(slice_from(rest, rest.len - 10), " cut=true\n");
        assert_true(slice_find(line, '\n') == line.len - 1);
    }
}

/* Once cut, nothing follows, not even what would fit. */
static void test_cut_is_final(void **state)
{
    (void)state;
    char memory[LOG_LINE_BYTES_MIN], long_value[LOG_LINE_BYTES_MIN];
    memset(long_value, 'x', sizeof(long_value));
    struct log_line l;
    log_line_begin(&l, memory, sizeof(memory), WALL, "info", "e");
    log_line_slice(&l, "big", slice_of(long_value, sizeof(long_value)));
    log_line_u64(&l, "small", 1);
    log_line_i64(&l, "small", 1);
    log_line_ms(&l, "small", 1);
    log_line_hundredths(&l, "small", 1);
    log_line_str(&l, "small", "x");
    assert_text(log_line_end(&l), "time=2026-01-02T03:04:05.678901Z level=info event=e cut=true\n");
}

struct fixture {
    struct ring ring;
    struct log_writer *w;
};

/* Numbers of sinks of the fake; no such descriptors are open, so the writer takes them for pipes.
 */
#define FD_A (FAKELOG_FD_FIRST + 0)
#define FD_B (FAKELOG_FD_FIRST + 1)
#define FD_C (FAKELOG_FD_FIRST + 2)

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    assert_non_null(f);
    fakelog_init(&f->ring, WALL);
    assert_int_equal(log_writer_new(&f->ring, FD_A, OWNER, LOG_WRITER_BYTES_MIN, 0, &f->w), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    log_writer_free(f->w);
    fakelog_deinit(&f->ring);
    free(f);
    return 0;
}

static void put(struct fixture *f, const char *line)
{
    log_writer_put(f->w, slice_str(line));
}

static void complete(struct fixture *f, enum ring_kind kind, int32_t res)
{
    struct ring_event ev = fakelog_complete(&f->ring, kind, res);
    log_writer_on_event(f->w, &ev);
}

static size_t write_len(struct fixture *f)
{
    const struct fakelog_op *op = fakelog_op(&f->ring, RING_WRITE);
    return op != NULL ? op->bytes.len : 0;
}

static void test_writer_batches(void **state)
{
    struct fixture *f = *state;
    assert_true(log_writer_is_idle(f->w));
    log_writer_turn(f->w);
    assert_int_equal(f->ring.write_count, 0); /* nothing to say */
    put(f, "one\n");
    put(f, "two\n");
    assert_false(log_writer_is_idle(f->w));
    assert_int_equal(f->ring.write_count, 0); /* only at the end of the turn */
    log_writer_turn(f->w);
    assert_int_equal(write_len(f), 8);
    assert_int_equal(fakelog_op(&f->ring, RING_WRITE)->token.owner, OWNER);
    put(f, "three\n");
    log_writer_turn(f->w); /* the first is still in flight */
    assert_int_equal(f->ring.write_count, 1);
    complete(f, RING_WRITE, 8);
    assert_false(log_writer_is_idle(f->w));
    log_writer_turn(f->w);
    complete(f, RING_WRITE, 6);
    assert_true(log_writer_is_idle(f->w));
    assert_text(fakelog_output(&f->ring, FD_A), "one\ntwo\nthree\n");
    assert_int_equal(log_writer_dropped(f->w), 0);
}

static void test_writer_short_and_eintr(void **state)
{
    struct fixture *f = *state;
    put(f, "abcdef\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, 3);
    assert_int_equal(write_len(f), 4); /* the rest, at once */
    complete(f, RING_WRITE, -EINTR);
    assert_int_equal(write_len(f), 4);
    complete(f, RING_WRITE, 4);
    assert_true(log_writer_is_idle(f->w));
    assert_text(fakelog_output(&f->ring, FD_A), "abcdef\n");
}

static void test_writer_eagain(void **state)
{
    struct fixture *f = *state;
    put(f, "abc\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, -EAGAIN);
    assert_null(fakelog_op(&f->ring, RING_WRITE));
    const struct fakelog_op *op = fakelog_op(&f->ring, RING_POLL);
    assert_non_null(op);
    assert_int_equal(op->fd, FD_A);
    assert_int_equal(op->poll_mask, POLLOUT);
    log_writer_turn(f->w); /* waits: no busy loop */
    assert_int_equal(f->ring.write_count, 1);
    assert_false(log_writer_is_idle(f->w));
    complete(f, RING_POLL, POLLOUT);
    assert_int_equal(write_len(f), 4);
    complete(f, RING_WRITE, 4);
    assert_text(fakelog_output(&f->ring, FD_A), "abc\n");
    assert_int_equal(f->ring.cancel_count, 0);
    assert_int_equal(log_writer_dropped(f->w), 0);
}

/* A poll that stays armed after its answer is cancelled, and what it says later is ignored. */
static void test_writer_multishot_poll(void **state)
{
    struct fixture *f = *state;
    put(f, "abc\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, -EAGAIN);
    struct ring_event ev = fakelog_complete(&f->ring, RING_POLL, POLLOUT);
    ev.more = true;
    log_writer_on_event(f->w, &ev);
    assert_int_equal(f->ring.cancel_count, 1);
    assert_memory_equal(&f->ring.cancelled, &ev.token, sizeof(ev.token));
    log_writer_on_event(f->w, &ev); /* stale */
    assert_int_equal(f->ring.write_count, 2);
    complete(f, RING_WRITE, 4);
    log_writer_on_event(f->w, &ev);
    assert_true(log_writer_is_idle(f->w));
    assert_text(fakelog_output(&f->ring, FD_A), "abc\n");
}

/* The end of an earlier poll does not count for a later one. */
static void test_writer_stale_poll(void **state)
{
    struct fixture *f = *state;
    put(f, "abc\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, -EAGAIN);
    struct ring_event first = fakelog_complete(&f->ring, RING_POLL, POLLOUT);
    log_writer_on_event(f->w, &first);
    complete(f, RING_WRITE, -EAGAIN);
    log_writer_on_event(f->w, &first);
    assert_null(fakelog_op(&f->ring, RING_WRITE));
    complete(f, RING_POLL, POLLOUT);
    assert_non_null(fakelog_op(&f->ring, RING_WRITE));
}

static void test_writer_poll_fails(void **state)
{
    struct fixture *f = *state;
    put(f, "abc\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, -EAGAIN);
    complete(f, RING_POLL, -EINVAL);
    assert_true(log_writer_is_idle(f->w));
    assert_int_equal(log_writer_dropped(f->w), 1);
}

#define LINE_BYTES 1024

static void put_numbered(struct fixture *f, unsigned n)
{
    char line[LINE_BYTES + 1];
    memset(line, '.', LINE_BYTES);
    int len = snprintf(line, sizeof(line), "line %u ", n);
    line[len] = '.';
    line[LINE_BYTES - 1] = '\n';
    log_writer_put(f->w, slice_of(line, LINE_BYTES));
}

#define WAIT_NS (10 * NS_PER_MS)

/* Lines wait for each other, but not for longer than was asked for, and not when there are many. */
static void test_writer_gathers(void **state)
{
    struct fixture *f = *state;
    log_writer_free(f->w);
    assert_int_equal(log_writer_new(&f->ring, FD_A, OWNER, LOG_WRITER_BYTES_MIN, WAIT_NS, &f->w),
                     0);
    assert_true(log_writer_due(f->w) == CLOCK_NEVER);
    put(f, "a\n");
    clock_ns began = f->ring.now;
    f->ring.now += WAIT_NS - 1;
    put(f, "b\n");
    log_writer_turn(f->w);
    assert_null(fakelog_op(&f->ring, RING_WRITE));
    assert_true(log_writer_due(f->w) == began + WAIT_NS);
    assert_false(log_writer_is_idle(f->w));
    f->ring.now += 1;
    log_writer_turn(f->w);
    assert_int_equal(write_len(f), 4);
    assert_true(log_writer_due(f->w) == CLOCK_NEVER);
    complete(f, RING_WRITE, 4);
    char line[LOG_WRITER_BYTES_MIN / 8];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    log_writer_put(f->w, slice_of(line, sizeof(line)));
    log_writer_turn(f->w);
    assert_int_equal(write_len(f), sizeof(line));
}

/* A slow sink: lines that find no room are counted, and a line says so before the next one. */
static void test_writer_drops(void **state)
{
    struct fixture *f = *state;
    put(f, "first\n");
    log_writer_turn(f->w); /* in flight, and the sink takes its time */
    for (unsigned i = 0; i < 11; i++)
        put_numbered(f, i);
    assert_int_equal(log_writer_dropped(f->w), 3); /* half the buffer holds 8 KiB */
    complete(f, RING_WRITE, 6);
    log_writer_turn(f->w);
    put(f, "later\n");
    put(f, "last\n");
    while (fakelog_op(&f->ring, RING_WRITE) != NULL) {
        complete(f, RING_WRITE, (int32_t)write_len(f));
        log_writer_turn(f->w);
    }
    assert_true(log_writer_is_idle(f->w));
    struct slice tail = slice_from(fakelog_output(&f->ring, FD_A), 6 + 8 * LINE_BYTES);
    assert_text(tail, "time=2026-01-02T03:04:05.678901Z level=warning event=log-dropped "
                      "lines=3 total=3\nlater\nlast\n");
    assert_int_equal(log_writer_dropped(f->w), 3);
}

/* Where only one of both fits, the line itself comes before the one about dropped lines. */
static void test_writer_line_before_notice(void **state)
{
    struct fixture *f = *state;
    char line[LINE_BYTES];
    put(f, "first\n");
    log_writer_turn(f->w);
    for (unsigned i = 0; i < 7; i++)
        put_numbered(f, i);
    memset(line, 'x', sizeof(line));
    line[939] = '\n';
    log_writer_put(f->w, slice_of(line, 940)); /* 84 bytes are left, the notice has 81 */
    put_numbered(f, 8);
    assert_int_equal(log_writer_dropped(f->w), 1);
    put(f, "short\n");
    assert_int_equal(log_writer_dropped(f->w), 1);
    while (fakelog_op(&f->ring, RING_WRITE) != NULL) {
        complete(f, RING_WRITE, (int32_t)write_len(f));
        log_writer_turn(f->w);
    }
    assert_text(slice_from(fakelog_output(&f->ring, FD_A), 6 + 7 * LINE_BYTES + 940),
                "short\ntime=2026-01-02T03:04:05.678901Z level=warning event=log-dropped lines=1 "
                "total=1\n");
}

/* With no line after the lost ones, the next turn says it on its own. */
static void test_writer_tells_when_quiet(void **state)
{
    struct fixture *f = *state;
    put(f, "first\n");
    log_writer_turn(f->w);
    for (unsigned i = 0; i < 9; i++)
        put_numbered(f, i);
    do {
        complete(f, RING_WRITE, (int32_t)write_len(f));
        log_writer_turn(f->w);
    } while (fakelog_op(&f->ring, RING_WRITE) != NULL);
    assert_text(slice_from(fakelog_output(&f->ring, FD_A), 6 + 8 * LINE_BYTES),
                "time=2026-01-02T03:04:05.678901Z level=warning event=log-dropped lines=1 "
                "total=1\n");
}

/* A broken sink costs one write per batch, no loop; when it works again, the losses are told. */
static void test_writer_error(void **state)
{
    struct fixture *f = *state;
    put(f, "one\n");
    put(f, "two\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, -EIO);
    assert_int_equal(log_writer_dropped(f->w), 2);
    for (int i = 0; i < 5; i++)
        log_writer_turn(f->w);
    assert_int_equal(f->ring.write_count, 1);
    assert_true(log_writer_is_idle(f->w));
    put(f, "three\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, 0); /* a write that takes nothing is an error too */
    assert_int_equal(log_writer_dropped(f->w), 3);
    put(f, "four\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, 5);
    log_writer_turn(f->w);
    complete(f, RING_WRITE, (int32_t)write_len(f));
    assert_text(fakelog_output(&f->ring, FD_A),
                "four\ntime=2026-01-02T03:04:05.678901Z level=warning event=log-dropped lines=3 "
                "total=3\n");
}

/* A line that was cut off by an error does not swallow the beginning of the next one. */
static void test_writer_error_inside_line(void **state)
{
    struct fixture *f = *state;
    put(f, "whole\n");
    put(f, "broken\n");
    put(f, "lost\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, 9);
    complete(f, RING_WRITE, -EIO);
    assert_int_equal(log_writer_dropped(f->w), 2);
    put(f, "next\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, -EIO); /* still not, and the newline that ends "bro" is no line */
    assert_int_equal(log_writer_dropped(f->w), 3);
    put(f, "again\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, 1);
    complete(f, RING_WRITE, 6);
    assert_text(fakelog_output(&f->ring, FD_A), "whole\nbro\nagain\n");
}

static void test_writer_set_fd(void **state)
{
    struct fixture *f = *state;
    put(f, "one\n");
    log_writer_turn(f->w);
    log_writer_set_fd(f->w, FD_B);
    put(f, "two\n");
    assert_int_equal(log_writer_fd(f->w), FD_A); /* a write is in flight */
    complete(f, RING_WRITE, 2);
    assert_int_equal(fakelog_op(&f->ring, RING_WRITE)->fd, FD_A); /* a line is not torn apart */
    complete(f, RING_WRITE, 2);
    log_writer_turn(f->w);
    assert_int_equal(log_writer_fd(f->w), FD_B);
    complete(f, RING_WRITE, 4);
    log_writer_set_fd(f->w, FD_C);
    log_writer_turn(f->w); /* nothing to write: it takes effect all the same */
    assert_int_equal(log_writer_fd(f->w), FD_C);
    assert_text(fakelog_output(&f->ring, FD_A), "one\n");
    assert_text(fakelog_output(&f->ring, FD_B), "two\n");
}

/* Reopening helps when the old sink takes nothing any more; the torn line comes whole. */
static void test_writer_set_fd_while_blocked(void **state)
{
    struct fixture *f = *state;
    put(f, "one\n");
    put(f, "two\n");
    put(f, "three\n");
    log_writer_turn(f->w);
    complete(f, RING_WRITE, 6);
    complete(f, RING_WRITE, -EAGAIN);
    log_writer_set_fd(f->w, FD_B);
    log_writer_turn(f->w);
    assert_int_equal(f->ring.cancel_count, 1);
    assert_int_equal(f->ring.cancelled.kind, RING_POLL);
    complete(f, RING_POLL, -ECANCELED); /* stale */
    complete(f, RING_WRITE, 10);
    assert_true(log_writer_is_idle(f->w));
    assert_text(fakelog_output(&f->ring, FD_A), "one\ntw");
    assert_text(fakelog_output(&f->ring, FD_B), "two\nthree\n");
    assert_int_equal(log_writer_dropped(f->w), 0);
}

/* Several shards share a pipe: writes stay within PIPE_BUF and carry whole lines. */
static void test_writer_pipe_whole_lines(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 7; i++)
        put_numbered(f, i);
    log_writer_turn(f->w);
    assert_int_equal(write_len(f), 4096);
    complete(f, RING_WRITE, 1000); /* torn: what follows begins in a line and ends with one */
    assert_int_equal(write_len(f), 3 * LINE_BYTES + 24);
    complete(f, RING_WRITE, 3 * LINE_BYTES + 24);
    complete(f, RING_WRITE, 3 * LINE_BYTES);
    assert_int_equal(fakelog_output(&f->ring, FD_A).len, 7 * LINE_BYTES);
    char big[6000];
    memset(big, 'b', sizeof(big));
    big[sizeof(big) - 1] = '\n';
    log_writer_put(f->w, slice_of(big, sizeof(big)));
    put(f, "small\n");
    log_writer_turn(f->w);
    assert_int_equal(write_len(f), sizeof(big)); /* a line longer than that goes alone */
}

static void test_writer_regular_file(void **state)
{
    struct fixture *f = *state;
    FILE *file = tmpfile();
    assert_non_null(file);
    log_writer_set_fd(f->w, fileno(file));
    for (unsigned i = 0; i < 7; i++)
        put_numbered(f, i);
    log_writer_turn(f->w);
    assert_int_equal(write_len(f), 7 * LINE_BYTES); /* appending takes it at once */
    fclose(file);
}

static void test_writer_new_checks(void **state)
{
    struct fixture *f = *state;
    struct log_writer *w = NULL;
    assert_int_equal(log_writer_new(&f->ring, FD_A, OWNER, LOG_WRITER_BYTES_MIN - 1, 0, &w),
                     -EINVAL);
    assert_null(w);
    log_writer_free(NULL);
}

/* Any results at any time: what comes out is whole lines in order; the missing ones are counted. */
static void random_run(struct fixture *f, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    unsigned next = 0;
    for (int step = 0; step < 4000; step++) {
        if (rng_below(&r, 3) == 0) {
            char line[600];
            size_t len = 12 + rng_below(&r, 580);
            memset(line, 'x', sizeof(line));
            int head = snprintf(line, sizeof(line), "n=%u ", next++);
            line[head] = 'x';
            line[len - 1] = '\n';
            log_writer_put(f->w, slice_of(line, len));
        }
        if (rng_below(&r, 4) == 0)
            log_writer_turn(f->w);
        if (fakelog_op(&f->ring, RING_POLL) != NULL && rng_below(&r, 4) == 0)
            complete(f, RING_POLL, POLLOUT);
        if (fakelog_op(&f->ring, RING_WRITE) == NULL || rng_below(&r, 6) != 0)
            continue;
        uint64_t kind = rng_below(&r, 8);
        if (kind == 0)
            complete(f, RING_WRITE, -EAGAIN);
        else if (kind == 1)
            complete(f, RING_WRITE, -EINTR);
        else if (kind == 2)
            complete(f, RING_WRITE, (int32_t)write_len(f));
        else
            complete(f, RING_WRITE, 1 + (int32_t)rng_below(&r, write_len(f)));
    }
    while (!log_writer_is_idle(f->w)) {
        log_writer_turn(f->w);
        if (fakelog_op(&f->ring, RING_POLL) != NULL)
            complete(f, RING_POLL, POLLOUT);
        if (fakelog_op(&f->ring, RING_WRITE) != NULL)
            complete(f, RING_WRITE, (int32_t)write_len(f));
    }
    struct slice rest = fakelog_output(&f->ring, FD_A);
    unsigned expected = 0, missing = 0;
    while (rest.len > 0) {
        unsigned n, lines, total;
        char line[700];
        size_t len = slice_find(rest, '\n');
        assert_true(len < rest.len && len < sizeof(line));
        memcpy(line, rest.ptr, len);
        line[len] = 0;
        if (sscanf(line, "n=%u x", &n) == 1) {
            assert_true(n >= expected);
            missing += n - expected;
            expected = n + 1;
        } else {
            assert_int_equal(sscanf(line,
                                    "time=%*s level=warning event=log-dropped lines=%u total=%u",
                                    &lines, &total),
                             2);
            assert_true(total >= lines && total <= log_writer_dropped(f->w));
        }
        rest = slice_from(rest, len + 1);
    }
    missing += next - expected;
    assert_int_equal(missing, log_writer_dropped(f->w));
}

static void test_writer_random(void **state)
{
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct fixture *f = *state;
        random_run(f, seed);
        f->ring.sinks[0].len = 0;
        log_writer_free(f->w);
        assert_int_equal(log_writer_new(&f->ring, FD_A, OWNER, LOG_WRITER_BYTES_MIN, 0, &f->w), 0);
    }
}

static void test_direct(void **state)
{
    (void)state;
    int fds[2];
    char got[32];
    assert_int_equal(pipe(fds), 0);
    log_direct(fds[1], SLICE_LIT("ready\n"));
    assert_int_equal(read(fds[0], got, sizeof(got)), 6);
    assert_memory_equal(got, "ready\n", 6);
    close(fds[0]);
    close(fds[1]);
    log_direct(-1, SLICE_LIT("nowhere\n")); /* returns */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_is_final),
        cmocka_unit_test_setup_teardown(test_writer_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_short_and_eintr, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_eagain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_multishot_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_stale_poll, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_line_before_notice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_poll_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_gathers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_drops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_tells_when_quiet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_error_inside_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_set_fd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_set_fd_while_blocked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_pipe_whole_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_regular_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_new_checks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_random, setup, teardown),
        cmocka_unit_test(test_direct),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
