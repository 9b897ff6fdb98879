/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring_test.c - io/ring.h on the real kernel: sockets on loopback, files, messages, faults.
 *
 * Each wait is for something that must come; its limit only keeps a broken ring from hanging the
 * test. Socket tests run in every mode: file table or descriptors, buffers whole or incremental.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/err.h"
#include "io/mailbox.h"
#include "io/probe.h"
#include "io/ring.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SKIPPED 77
#define HANG_NS (60 * NS_PER_S)
#define QUEUE_MAX 4096
#define BUFFERS 16
#define BUFFER_BYTES 4096

struct fixture {
    struct ring *ring;
    struct ring_event queue[QUEUE_MAX]; /* gathered, not yet looked at */
    uint32_t head;
    uint32_t tail;
};

enum mode { MODE_TABLE, MODE_PLAIN, MODE_INCREMENTAL, MODE_COUNT };

static const char *mode_names[] = {"file table", "descriptors", "incremental buffers"};

static void begin(struct fixture *f, const struct ring_options *options)
{
    f->head = 0;
    f->tail = 0;
    assert_int_equal(ring_new(options, &f->ring), 0);
}

static bool begin_mode(struct fixture *f, enum mode mode)
{
    struct ring_options options = {
        .sq_entries = 64,
        .cq_entries = 256,
        .file_count = 32,
        .buffer_count = BUFFERS,
        .buffer_bytes = BUFFER_BYTES,
        .incremental = mode == MODE_INCREMENTAL,
        .plain_files = mode == MODE_PLAIN,
    };
    if (mode == MODE_INCREMENTAL && !probe_incremental_is_right()) {
        print_message("incremental buffers are not offered or not right: left out\n");
        return false;
    }
    print_message("  with %s\n", mode_names[mode]);
    begin(f, &options);
    return true;
}

static void begin_files(struct fixture *f, uint32_t sq_entries, uint32_t cq_entries)
{
    struct ring_options options = {.sq_entries = sq_entries, .cq_entries = cq_entries};
    begin(f, &options);
}

static void end(struct fixture *f)
{
    assert_int_equal(f->head, f->tail); /* nothing came that the test did not expect */
    assert_int_equal(ring_buffers_free(f->ring), ring_buffers_count(f->ring));
    ring_free(f->ring);
}

/* One turn; returns the number of events that it brought. */
static int gather(struct fixture *f, uint64_t timeout_ns)
{
    const struct ring_event *events;
    int count = ring_turn(f->ring, timeout_ns, &events);
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        assert_true(f->tail - f->head < QUEUE_MAX);
        f->queue[f->tail++ % QUEUE_MAX] = events[i];
    }
    return count;
}

static struct ring_event next(struct fixture *f)
{
    clock_ns start = ring_now(f->ring);
    while (f->head == f->tail)
        if (gather(f, HANG_NS) == 0 && ring_now(f->ring) - start >= HANG_NS)
            fail_msg("nothing completed");
    return f->queue[f->head++ % QUEUE_MAX];
}

static struct ring_token token_of(enum ring_kind kind, uint32_t idx)
{
    return (struct ring_token){
        .kind = (uint8_t)kind, .owner = 0xA5, .generation = 0xFEDC, .idx = idx};
}

static bool is_token(const struct ring_event *ev, struct ring_token token)
{
    return memcmp(&ev->token, &token, sizeof(token)) == 0;
}

/* The next event is the result of this one. */
static struct ring_event next_is(struct fixture *f, struct ring_token token, int32_t res)
{
    struct ring_event ev = next(f);
    if (!is_token(&ev, token) || ev.res != res)
        fail_msg("kind %u idx %u res %d, expected kind %u idx %u res %d", ev.token.kind,
                 ev.token.idx, ev.res, token.kind, token.idx, res);
    return ev;
}

/* --- sockets ---------------------------------------------------------------------------------- */

struct connection {
    int listen_fd;
    int client_fd;
    int32_t file;
};

static const struct timeval hang_limit = {.tv_sec = 60};

static int listen_loopback(struct sockaddr_in *ret_addr)
{
    socklen_t len = sizeof(*ret_addr);
    *ret_addr =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)ret_addr, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_addr, &len), 0);
    return fd;
}

static int connect_to(const struct sockaddr_in *addr)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &hang_limit, sizeof(hang_limit)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)addr, sizeof(*addr)), 0);
    return fd;
}

/* A connection whose listener is not armed any more. */
static struct connection connection_open(struct fixture *f)
{
    struct sockaddr_in addr;
    struct connection c = {.listen_fd = listen_loopback(&addr)};
    struct ring_token accept = token_of(RING_ACCEPT, 1), cancel = token_of(RING_CANCEL, 1);
    ring_accept_arm(f->ring, c.listen_fd, accept);
    c.client_fd = connect_to(&addr);
    struct ring_event ev = next(f);
    assert_true(is_token(&ev, accept) && ev.more);
    assert_true(ev.res >= 0);
    c.file = ev.res;
    ring_cancel(f->ring, accept, cancel);
    for (int i = 0; i < 2; i++) {
        ev = next(f);
        assert_true(is_token(&ev, accept) || is_token(&ev, cancel));
        assert_false(ev.more);
        assert_int_equal(ev.res, is_token(&ev, accept) ? -ECANCELED : 0);
    }
    return c;
}

static void connection_close(struct fixture *f, struct connection *c)
{
    ring_close(f->ring, c->file);
    assert_int_equal(gather(f, 0), 0);
    assert_int_equal(ring_counters(f->ring)->failures, 0);
    close(c->client_fd);
    close(c->listen_fd);
}

static void client_send(const struct connection *c, const void *bytes, size_t len)
{
    assert_int_equal(send(c->client_fd, bytes, len, MSG_NOSIGNAL), len);
}

static void client_expect(const struct connection *c, const char *bytes)
{
    char got[256];
    assert_true(strlen(bytes) < sizeof(got));
    assert_int_equal(recv(c->client_fd, got, strlen(bytes), MSG_WAITALL), strlen(bytes));
    assert_memory_equal(got, bytes, strlen(bytes));
}

static void expect_bytes(struct fixture *f, struct ring_token token, const char *bytes)
{
    struct ring_event ev = next_is(f, token, (int32_t)strlen(bytes));
    assert_true(ev.more);
    assert_int_equal(ev.window.bytes.len, strlen(bytes));
    assert_memory_equal(ev.window.bytes.ptr, bytes, strlen(bytes));
    window_unpin(&ev.window);
}

static void dialogue(struct fixture *f)
{
    struct connection c = connection_open(f);
    struct sockaddr_storage peer = {.ss_family = AF_INET};
    struct sockaddr_in client;
    socklen_t len = sizeof(client);
    struct ring_token receive = token_of(RING_RECV, UINT32_MAX), send = token_of(RING_SEND, 0);
    struct ring_token name = token_of(RING_PEERNAME, 3), down = token_of(RING_SHUTDOWN, 4);

    ring_peername(f->ring, c.file, &peer, name);
    ring_recv_arm(f->ring, c.file, receive);
    client_send(&c, "hello", 5);
    (void)next_is(f, name, 0); /* before what completed with it */
    assert_int_equal(getsockname(c.client_fd, (struct sockaddr *)&client, &len), 0);
    assert_int_equal(((struct sockaddr_in *)&peer)->sin_port, client.sin_port);
    assert_int_equal(((struct sockaddr_in *)&peer)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    expect_bytes(f, receive, "hello");

    ring_send(f->ring, c.file, slice_str("220 ready"), send);
    (void)next_is(f, send, 9);
    client_expect(&c, "220 ready");

    ring_send_quiet(f->ring, c.file, slice_str("250 quiet"), send);
    assert_true(gather(f, 0) <= 1);
    client_expect(&c, "250 quiet"); /* sent by that turn */
    client_send(&c, "next", 4);
    (void)next_is(f, send, 9);
    expect_bytes(f, receive, "next");

    ring_shutdown_write(f->ring, c.file, down);
    (void)next_is(f, down, 0);
    char byte;
    assert_int_equal(recv(c.client_fd, &byte, 1, 0), 0);
    assert_int_equal(shutdown(c.client_fd, SHUT_WR), 0);
    struct ring_event ev = next_is(f, receive, 0);
    assert_false(ev.more);
    assert_null(ev.window.source);
    connection_close(f, &c);
}

static void test_dialogue(void **state)
{
    (void)state;
    struct fixture f;
    for (enum mode mode = 0; mode < MODE_COUNT; mode++) {
        if (!begin_mode(&f, mode))
            continue;
        for (int i = 0; i < 40; i++) /* more often than the file table has entries */
            dialogue(&f);
        end(&f);
    }
}

static void test_cancel(void **state)
{
    (void)state;
    struct fixture f;
    for (enum mode mode = 0; mode < MODE_COUNT; mode++) {
        if (!begin_mode(&f, mode))
            continue;
        struct connection c = connection_open(&f);
        struct ring_token receive = token_of(RING_RECV, 1), cancel = token_of(RING_CANCEL, 2);
        struct ring_token stale = receive;
        stale.generation++;
        ring_recv_arm(f.ring, c.file, receive);
        ring_cancel(f.ring, stale, cancel); /* the slot's next user: not this one */
        (void)next_is(&f, cancel, -ENOENT);
        client_send(&c, "still there", 11);
        expect_bytes(&f, receive, "still there");
        ring_cancel(f.ring, receive, cancel);
        for (int i = 0; i < 2; i++) {
            struct ring_event ev = next(&f);
            assert_int_equal(ev.res, is_token(&ev, receive) ? -ECANCELED : 0);
            assert_false(ev.more);
        }
        ring_cancel(f.ring, receive, cancel);
        (void)next_is(&f, cancel, -ENOENT);
        connection_close(&f, &c);
        end(&f);
    }
}

static uint8_t pattern(size_t position)
{
    return (uint8_t)(position * 31 + (position >> 8) * 17);
}

struct stream {
    struct window held[BUFFERS * BUFFER_BYTES];
    uint32_t held_count;
    size_t received;
    uint32_t dry_count; /* receives that ended with -ENOBUFS */
};

/* Takes in what is there, and keeps it, until the receive ends for lack of buffers. */
static void receive_until_dry(struct fixture *f, struct stream *s, struct ring_token receive,
                              size_t total)
{
    while (s->received < total) {
        struct ring_event ev = next(f);
        assert_true(is_token(&ev, receive));
        if (ev.res == -ENOBUFS) {
            assert_false(ev.more);
            assert_null(ev.window.source);
            s->dry_count++;
            return;
        }
        assert_true(ev.res > 0 && (size_t)ev.res == ev.window.bytes.len);
        for (size_t i = 0; i < ev.window.bytes.len; i++)
            assert_int_equal(ev.window.bytes.ptr[i], pattern(s->received + i));
        s->received += ev.window.bytes.len;
        s->held[s->held_count++] = ev.window;
        if (!ev.more) /* it may end with the last buffer just as well */
            return;
    }
}

/* A sender far ahead of the receiver, who holds every buffer: flow control, nothing is lost. */
static void test_out_of_buffers(void **state)
{
    (void)state;
    static struct stream s;
    static uint8_t bytes[5 * BUFFERS * BUFFER_BYTES];
    struct fixture f;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = pattern(i);
    for (enum mode mode = 0; mode < MODE_COUNT; mode++) {
        if (!begin_mode(&f, mode))
            continue;
        struct connection c = connection_open(&f);
        struct ring_token receive = token_of(RING_RECV, 1), cancel = token_of(RING_CANCEL, 2);
        memset(&s, 0, sizeof(s));
        int bytes_max = sizeof(bytes); /* the client need not wait for us */
        (void)setsockopt(c.client_fd, SOL_SOCKET, SO_SNDBUF, &bytes_max, sizeof(bytes_max));
        client_send(&c, bytes, sizeof(bytes));
        uint32_t round = 0;
        while (s.received < sizeof(bytes)) {
            assert_true(++round < 100);
            ring_recv_arm(f.ring, c.file, receive);
            receive_until_dry(&f, &s, receive, sizeof(bytes));
            if (s.received < sizeof(bytes))
                assert_true(ring_buffers_free(f.ring) == 0);
            /* Half of the windows once more: a pinned buffer stays out. */
            for (uint32_t i = 0; i < s.held_count; i++) {
                window_pin(&s.held[i]);
                struct window copy = s.held[i];
                window_unpin(&copy);
                assert_true(ring_buffers_free(f.ring) < BUFFERS);
                window_unpin(&s.held[i]);
            }
            s.held_count = 0;
        }
        assert_true(s.dry_count >= 4);
        assert_int_equal(ring_counters(f.ring)->no_buffers, s.dry_count);
        ring_cancel(f.ring, receive, cancel);
        struct ring_event ev = next(&f);
        if (ev.token.kind != RING_CANCEL || ev.res == 0)
            ev = next(&f);
        connection_close(&f, &c);
        end(&f);
    }
}

/* Windows of one buffer outlive the receive that brought them; the last one takes it home. */
static void test_windows_come_home(void **state)
{
    (void)state;
    struct fixture f;
    for (enum mode mode = 0; mode < MODE_COUNT; mode++) {
        if (!begin_mode(&f, mode))
            continue;
        struct connection c = connection_open(&f);
        struct ring_token receive = token_of(RING_RECV, 1);
        struct window held[3];
        static const char *words[] = {"one", "two", "three"};
        ring_recv_arm(f.ring, c.file, receive);
        for (size_t i = 0; i < ARRAY_COUNT(held); i++) {
            client_send(&c, words[i], strlen(words[i]));
            held[i] = next_is(&f, receive, (int32_t)strlen(words[i])).window;
        }
        close(c.client_fd);
        assert_false(next_is(&f, receive, 0).more);
        c.client_fd = -1;
        for (size_t i = 0; i < ARRAY_COUNT(held); i++)
            assert_memory_equal(held[i].bytes.ptr, words[i], strlen(words[i]));
        if (mode != MODE_INCREMENTAL)
            assert_int_equal(ring_buffers_free(f.ring), BUFFERS - ARRAY_COUNT(held));
        window_unpin(&held[1]);
        window_unpin(&held[0]);
        assert_memory_equal(held[2].bytes.ptr, words[2], strlen(words[2]));
        window_unpin(&held[2]);
        connection_close(&f, &c);
        end(&f);
    }
}

/* A peer that does not read: an ordinary send goes on when it does, a quiet one says so at once. */
static void test_send_backlog(void **state)
{
    (void)state;
    static uint8_t bytes[16 * MIB], got[64 * KIB];
    struct fixture f;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = pattern(i);
    for (enum mode mode = MODE_TABLE; mode <= MODE_PLAIN; mode++) {
        assert_true(begin_mode(&f, mode));
        struct connection c = connection_open(&f);
        struct ring_token send = token_of(RING_SEND, 1), quiet = token_of(RING_SEND, 2);
        ring_send_quiet(f.ring, c.file, slice_of(bytes, sizeof(bytes)), quiet);
        struct ring_event ev = next(&f);
        assert_true(is_token(&ev, quiet) && ev.res > 0 && ev.res < (int32_t)sizeof(bytes));
        size_t sent = (size_t)ev.res;
        ring_send_quiet(f.ring, c.file, slice_of(bytes, 1 * MIB), quiet);
        ev = next(&f);
        assert_true(is_token(&ev, quiet) && (ev.res == -EAGAIN || ev.res > 0));
        assert_true(ev.res < (int32_t)MIB);
        if (ev.res > 0) /* the receiver's kernel made room meanwhile */
            sent += (size_t)ev.res;
        size_t first = sent;
        ring_send(f.ring, c.file, slice_of(bytes, sizeof(bytes)), send);
        sent += sizeof(bytes);
        assert_int_equal(gather(&f, 0), 0);
        for (size_t received = 0; received < sent;) {
            ssize_t len = recv(c.client_fd, got, sizeof(got), MSG_DONTWAIT);
            if (len < 0) {
                assert_int_equal(errno, EAGAIN);
                (void)gather(&f, NS_PER_MS);
                continue;
            }
            for (size_t i = 0; i < (size_t)len; i += 997)
                if (received + i >= first)
                    assert_int_equal(got[i], bytes[received + i - first]);
            received += (size_t)len;
            assert_true(received <= sent);
        }
        (void)next_is(&f, send, (int32_t)sizeof(bytes));
        connection_close(&f, &c);
        end(&f);
    }
}

/* The peer is gone: an error and no signal, and each operation has one result. */
static void test_send_to_nobody(void **state)
{
    (void)state;
    struct fixture f;
    for (enum mode mode = MODE_TABLE; mode <= MODE_PLAIN; mode++) {
        assert_true(begin_mode(&f, mode));
        struct connection c = connection_open(&f);
        struct ring_token receive = token_of(RING_RECV, 1), send = token_of(RING_SEND, 2);
        struct linger reset = {.l_onoff = 1};
        (void)setsockopt(c.client_fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        ring_recv_arm(f.ring, c.file, receive);
        (void)gather(&f, 0);
        close(c.client_fd);
        c.client_fd = -1;
        assert_false(next_is(&f, receive, -ECONNRESET).more);
        ring_send(f.ring, c.file, slice_str("x"), send);
        (void)next_is(&f, send, -EPIPE);
        for (uint32_t i = 0; i < 10; i++)
            ring_send_quiet(f.ring, c.file, slice_str("x"), token_of(RING_SEND, 10 + i));
        uint32_t seen = 0;
        for (uint32_t i = 0; i < 10; i++) {
            struct ring_event ev = next(&f);
            assert_int_equal(ev.token.kind, RING_SEND);
            assert_int_equal(ev.res, -EPIPE);
            seen |= 1u << (ev.token.idx - 10);
        }
        assert_int_equal(seen, 0x3FF);
        assert_int_equal(gather(&f, 0), 0);
        connection_close(&f, &c);
        end(&f);
    }
}

/* Files that are not there, or not any more. */
static void test_bad_file(void **state)
{
    (void)state;
    struct fixture f;
    assert_true(begin_mode(&f, MODE_TABLE));
    struct ring_token receive = token_of(RING_RECV, 1), send = token_of(RING_SEND, 2);
    struct ring_token accept = token_of(RING_ACCEPT, 4);
    ring_recv_arm(f.ring, 5, receive);
    assert_false(next_is(&f, receive, -EBADF).more);
    ring_send(f.ring, 5, slice_str("x"), send);
    (void)next_is(&f, send, -EBADF);
    ring_close(f.ring, 5); /* has no result, and is counted */
    assert_int_equal(gather(&f, 0), 0);
    assert_int_equal(ring_counters(f.ring)->failures, 1);
    ring_accept_arm(f.ring, -1, accept);
    assert_false(next_is(&f, accept, -EBADF).more);
    end(&f);
}

/* The table is full: the accept ends, and the kernel drops the connection that it had taken. */
static void test_file_table_full(void **state)
{
    (void)state;
    struct fixture f;
    struct ring_options options = {.sq_entries = 8, .cq_entries = 64, .file_count = 2};
    struct sockaddr_in addr;
    struct ring_token accept = token_of(RING_ACCEPT, 1);
    char byte;
    begin(&f, &options);
    int listen_fd = listen_loopback(&addr);
    int clients[4];
    for (size_t i = 0; i < 3; i++)
        clients[i] = connect_to(&addr);
    ring_accept_arm(f.ring, listen_fd, accept);
    struct ring_event first = next(&f), second = next(&f), third = next(&f);
    assert_true(is_token(&first, accept) && is_token(&second, accept) && is_token(&third, accept));
    if (third.res >= 0) {
        print_message("this kernel uses descriptors: no table to fill\n");
        skip();
    }
    assert_int_equal(first.res + second.res, 0 + 1);
    assert_true(third.res == -ENFILE && !third.more);
    assert_true(recv(clients[2], &byte, 1, 0) <= 0);
    ring_close(f.ring, 1);
    (void)gather(&f, 0);
    clients[3] = connect_to(&addr);
    ring_accept_arm(f.ring, listen_fd, accept);
    assert_true(next_is(&f, accept, 1).more);
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++)
        close(clients[i]);
    close(listen_fd);
    end(&f);
}

/* --- files ------------------------------------------------------------------------------------ */

static int file_new(void)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = dup(fileno(file));
    fclose(file);
    assert_true(fd >= 0);
    return fd;
}

static void test_write_and_sync(void **state)
{
    (void)state;
    struct fixture f;
    struct ring_token write = token_of(RING_WRITE, 1), sync = token_of(RING_SYNC, 2);
    char text[] = "abcdefgh";
    struct iovec parts[] = {{text, 3}, {text, 0}, {text + 3, 5}};
    char got[32];
    int fd = file_new();
    begin_files(&f, 8, 16);
    for (uint32_t count = 1; count <= ARRAY_COUNT(parts); count += 2) {
        int32_t bytes = count == 1 ? 3 : 8;
        ring_writev_sync(f.ring, fd, parts, count, 4, write, sync);
        (void)next_is(&f, write, bytes);
        (void)next_is(&f, sync, 0);
        assert_int_equal(pread(fd, got, sizeof(got), 0), 4 + bytes);
        assert_memory_equal(got, "\0\0\0\0abcdefgh", 4 + (size_t)bytes);
    }
    ring_writev(f.ring, fd, parts, 3, 100, write);
    (void)next_is(&f, write, 8);
    ring_datasync(f.ring, fd, sync);
    (void)next_is(&f, sync, 0);
    assert_int_equal(pread(fd, got, sizeof(got), 100), 8);
    close(fd);
    end(&f);
}

/* A write that failed, or was short, is not followed by a sync that would vouch for it. */
static void test_sync_is_cancelled(void **state)
{
    (void)state;
    struct fixture f;
    struct ring_token write = token_of(RING_WRITE, 1), sync = token_of(RING_SYNC, 2);
    static char bytes[8192];
    struct iovec whole = {bytes, sizeof(bytes)};
    struct iovec halves[] = {{bytes, 4096}, {bytes + 4096, 4096}};
    struct rlimit before, limit;
    int fd = file_new();
    begin_files(&f, 8, 16);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 4096 + 100;
    for (uint32_t count = 1; count <= 2; count++) {
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        ring_writev_sync(f.ring, fd, count == 1 ? &whole : halves, count, 0, write, sync);
        struct ring_event short_write = next(&f), after_short = next(&f);
        ring_writev_sync(f.ring, fd, count == 1 ? &whole : halves, count, 8192, write, sync);
        struct ring_event no_write = next(&f), after_none = next(&f);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0); /* before anything is printed */
        assert_true(is_token(&short_write, write) && is_token(&after_short, sync));
        assert_int_equal(short_write.res, 4096 + 100);
        assert_int_equal(after_short.res, -ECANCELED);
        assert_true(is_token(&no_write, write) && is_token(&after_none, sync));
        assert_int_equal(no_write.res, -EFBIG);
        assert_int_equal(after_none.res, -ECANCELED);
    }
    close(fd);
    fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ring_writev_sync(f.ring, fd, &whole, 1, 0, write, sync);
        (void)next_is(&f, write, -ENOSPC);
        (void)next_is(&f, sync, -ECANCELED);
        close(fd);
    }
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ring_writev_sync(f.ring, fd, &whole, 1, 0, write, sync);
    (void)next_is(&f, write, -EBADF);
    (void)next_is(&f, sync, -ECANCELED);
    ring_datasync(f.ring, fd, sync);
    (void)next_is(&f, sync, -EINVAL);
    close(fd);
    end(&f);
}

/* A link stays whole although the submission queue has room for one entry only. */
static void test_link_at_the_end_of_the_queue(void **state)
{
    (void)state;
    struct fixture f;
    struct ring_token write = token_of(RING_WRITE, 1000), sync = token_of(RING_SYNC, 1000);
    char byte = 'x';
    struct iovec part = {&byte, 1};
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int bad_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (uint32_t before = 0; before <= 9; before++) {
        begin_files(&f, 8, 64);
        for (uint32_t i = 0; i < before; i++)
            ring_writev(f.ring, null_fd, &part, 1, 0, token_of(RING_WRITE, i));
        ring_writev_sync(f.ring, bad_fd, &part, 1, 0, write, sync);
        for (uint32_t i = 0; i < before; i++)
            (void)next_is(&f, token_of(RING_WRITE, i), 1);
        (void)next_is(&f, write, -EBADF);
        (void)next_is(&f, sync, -ECANCELED);
        end(&f);
    }
    close(null_fd);
    close(bad_fd);
}

/* --- linked sends ----------------------------------------------------------------------------- */

#define PART_BYTES 500
static const struct ring_token parts_token = {.kind = RING_SEND, .owner = 3, .idx = 77};

static void parts_make(uint16_t *ends, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ends[i] = (uint16_t)((i + 1) * PART_BYTES);
}

/* What the peer gets are the bytes of the pattern from @at on; returns how many were there. */
static size_t client_drain(const struct connection *c, size_t at, size_t most)
{
    static uint8_t got[64 * KIB];
    size_t sum = 0;
    while (sum < most) {
        size_t want = most - sum < sizeof(got) ? most - sum : sizeof(got);
        ssize_t len = recv(c->client_fd, got, want, MSG_DONTWAIT);
        if (len <= 0)
            break;
        for (size_t i = 0; i < (size_t)len; i++)
            assert_int_equal(got[i], pattern(at + sum + i));
        sum += (size_t)len;
    }
    return sum;
}

/* One result for all of them, and the bytes arrive once and in order. */
static void test_parts(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 30, 64, 65, RING_PARTS_MAX};
    static uint8_t bytes[RING_PARTS_MAX * PART_BYTES];
    uint16_t ends[RING_PARTS_MAX];
    struct fixture f;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = pattern(i);
    for (enum mode mode = MODE_TABLE; mode <= MODE_PLAIN; mode++) {
        assert_true(begin_mode(&f, mode));
        struct connection c = connection_open(&f);
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
            size_t len = (size_t)counts[i] * PART_BYTES;
            parts_make(ends, counts[i]);
            ring_send_parts(f.ring, c.file, slice_of(bytes, len), ends, counts[i], parts_token);
            while (f.head == f.tail) /* a quiet one is reported with the next that completes */
                (void)gather(&f, NS_PER_MS);
            (void)next_is(&f, parts_token, (int32_t)len);
            size_t got = 0;
            while (got < len)
                got += client_drain(&c, got, len - got);
        }
        connection_close(&f, &c);
        end(&f);
    }
}

/* Sends @bytes as a chain; when it breaks, the rest again. */
static void mend(struct fixture *f, const struct connection *c, struct slice bytes,
                 const uint16_t *ends, uint32_t count, size_t *breaks)
{
    ring_send_parts(f->ring, c->file, bytes, ends, count, parts_token);
    struct ring_event ev = next(f);
    assert_true(is_token(&ev, parts_token));
    assert_true(ev.res > 0 || ev.res == -EAGAIN);
    size_t sent = ev.res > 0 ? (size_t)ev.res : 0;
    if (sent == bytes.len)
        return;
    (*breaks)++;
    ring_send(f->ring, c->file, slice_from(bytes, sent), parts_token);
}

/* The peer reads a little now and then: chains break at all kinds of places, and what is missing
 * is sent anew, nothing twice and nothing never. */
static void test_parts_broken(void **state)
{
    (void)state;
    enum { CHAIN = 60, CHAIN_BYTES = CHAIN * PART_BYTES, CHAINS = 1000 };
    static uint8_t bytes[CHAIN_BYTES];
    uint16_t ends[CHAIN];
    struct fixture f;
    parts_make(ends, CHAIN);
    for (enum mode mode = MODE_TABLE; mode <= MODE_PLAIN; mode++) {
        assert_true(begin_mode(&f, mode));
        struct connection c = connection_open(&f);
        size_t got = 0, breaks = 0;
        for (size_t n = 0; n < CHAINS; n++) {
            for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = pattern(n * sizeof(bytes) + i);
            size_t before = breaks;
            mend(&f, &c, slice_of(bytes, sizeof(bytes)), ends, CHAIN, &breaks);
            while (breaks > before && f.head == f.tail) {
                got += client_drain(&c, got, 30000 + n * 7919 % 200000);
                (void)gather(&f, NS_PER_MS);
            }
            if (breaks > before)
                assert_true(next(&f).res > 0);
        }
        while (got < (size_t)CHAINS * CHAIN_BYTES)
            got += client_drain(&c, got, SIZE_MAX);
        assert_int_equal(client_drain(&c, got, 1), 0);
        assert_true(breaks > 10);
        connection_close(&f, &c);
        end(&f);
    }
}

struct pair { /* two peers, for replies behind one write */
    struct connection at[2];
    struct ring_token tokens[2];
    int fd;
};

static void pair_open(struct fixture *f, struct pair *p)
{
    for (uint32_t i = 0; i < 2; i++) {
        p->at[i] = connection_open(f);
        p->tokens[i] = token_of(RING_SEND, i);
        p->tokens[i].owner = 2;
    }
    p->fd = file_new();
}

static void pair_close(struct fixture *f, struct pair *p)
{
    for (uint32_t i = 0; i < 2; i++)
        connection_close(f, &p->at[i]);
    close(p->fd);
}

/* A write of @len bytes until they are stored, and "250-a" "250 b" to each peer behind it, to the
 * first in @parts; gives the results of the sends. */
static void commit(struct fixture *f, struct pair *p, int fd, size_t len, uint32_t parts,
                   int32_t results[2])
{
    static char content[8192];
    static const uint16_t ends[] = {5, 10};
    static const uint16_t whole[] = {10};
    struct iovec iov = {content, len};
    uint32_t seen = 0;
    ring_writev_dsync(f->ring, fd, &iov, 1, 0, token_of(RING_WRITE, 1));
    for (uint32_t i = 0; i < 2; i++) {
        bool is_linked = ring_send_after_write(f->ring, p->at[i].file, SLICE_LIT("250-a250 b"),
                                               i == 0 && parts == 2 ? ends : whole,
                                               i == 0 ? parts : 1, p->tokens[i]);
        assert_true(is_linked);
    }
    while (seen < 3) {
        struct ring_event ev = next(f);
        seen++;
        for (uint32_t i = 0; i < 2; i++)
            if (is_token(&ev, p->tokens[i]))
                results[i] = ev.res;
    }
}

/* Nothing is there for this peer. */
static void client_expect_nothing(const struct connection *c)
{
    char byte;
    assert_int_equal(recv(c->client_fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* Replies behind a commit leave when it has succeeded, and never when it has not (P1): a short
 * write, one that is not allowed, no room. */
static void test_send_after_write(void **state)
{
    (void)state;
    struct fixture f;
    struct pair p;
    int32_t results[2];
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (enum mode mode = MODE_TABLE; mode <= MODE_PLAIN; mode++) {
        assert_true(begin_mode(&f, mode));
        pair_open(&f, &p);
        for (uint32_t parts = 1; parts <= 2; parts++) {
            commit(&f, &p, p.fd, 8192, parts, results);
            for (uint32_t i = 0; i < 2; i++) {
                assert_int_equal(results[i], 10);
                client_expect(&p.at[i], "250-a250 b");
            }
            limit = before;
            limit.rlim_cur = 4096; /* the write is short */
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
            commit(&f, &p, p.fd, 8192, parts, results);
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
            int read_only = open("/dev/null", O_RDONLY | O_CLOEXEC);
            int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
            for (uint32_t failure = 0; failure < 3; failure++) {
                if (failure > 0)
                    commit(&f, &p, failure == 1 ? read_only : full, 8192, parts, results);
                for (uint32_t i = 0; i < 2; i++) {
                    assert_int_equal(results[i], -ECANCELED);
                    client_expect_nothing(&p.at[i]);
                }
            }
            close(read_only);
            close(full);
        }
        pair_close(&f, &p);
        end(&f);
    }
}

/* A commit while the first peer does not read: its results once he is stuck. What was sent may be
 * on its way to him when his socket is full, and makes room when it has arrived; so he may take
 * one, which is right, and is filled up again. */
static void commit_stuck(struct fixture *f, struct pair *p, uint32_t parts, int32_t results[2])
{
    static uint8_t bytes[16 * MIB];
    for (;;) {
        for (int32_t res = 1; res != -EAGAIN;) {
            ring_send_quiet(f->ring, p->at[0].file, slice_of(bytes, sizeof(bytes)), p->tokens[0]);
            res = next(f).res;
        }
        commit(f, p, p->fd, 8192, parts, results);
        if (results[0] != 10)
            return;
        assert_int_equal(results[1], 10);
        client_expect(&p->at[1], "250-a250 b");
    }
}

/* The first peer does not read: the second gets his replies all the same, unless the first has
 * several, and then his result says at once that they have to be sent anew. */
static void test_stuck_peer_behind_write(void **state)
{
    (void)state;
    struct fixture f;
    struct pair p;
    int32_t results[2];
    for (enum mode mode = MODE_TABLE; mode <= MODE_PLAIN; mode++) {
        assert_true(begin_mode(&f, mode));
        pair_open(&f, &p);
        commit_stuck(&f, &p, 1, results);
        assert_int_equal(results[0], -EAGAIN);
        assert_int_equal(results[1], 10);
        client_expect(&p.at[1], "250-a250 b");
        commit_stuck(&f, &p, 2, results);
        assert_true(results[0] == -EAGAIN || results[0] == 5); /* the first part was taken */
        assert_int_equal(results[1], -ECANCELED);
        client_expect_nothing(&p.at[1]);
        pair_close(&f, &p);
        end(&f);
    }
}

/* Only what was asked for last can have sends behind it. */
static void test_send_after_something_else(void **state)
{
    (void)state;
    struct fixture f;
    struct ring_token write = token_of(RING_WRITE, 1), sync = token_of(RING_SYNC, 2);
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    const uint16_t end_at = 1;
    bool is_linked;
    assert_true(begin_mode(&f, MODE_TABLE));
    struct connection c = connection_open(&f);
    int fd = file_new();
    is_linked = ring_send_after_write(f.ring, c.file, SLICE_LIT("x"), &end_at, 1, parts_token);
    assert_false(is_linked);
    ring_writev_sync(f.ring, fd, &iov, 1, 0, write, sync);
    is_linked = ring_send_after_write(f.ring, c.file, SLICE_LIT("x"), &end_at, 1, parts_token);
    assert_false(is_linked); /* a failed sync would not hold it back */
    ring_writev_dsync(f.ring, fd, &iov, 1, 0, write);
    ring_datasync(f.ring, fd, sync);
    is_linked = ring_send_after_write(f.ring, c.file, SLICE_LIT("x"), &end_at, 1, parts_token);
    assert_false(is_linked);
    for (int i = 0; i < 4; i++)
        assert_true(next(&f).res >= 0);
    ring_writev(f.ring, fd, &iov, 1, 0, write);
    (void)next_is(&f, write, 1);
    is_linked = ring_send_after_write(f.ring, c.file, SLICE_LIT("x"), &end_at, 1, parts_token);
    assert_false(is_linked);
    ring_writev(f.ring, fd, &iov, 1, 0, write);
    is_linked = ring_send_after_write(f.ring, c.file, SLICE_LIT("x"), &end_at, 1, parts_token);
    assert_true(is_linked);
    (void)next_is(&f, write, 1);
    (void)next_is(&f, parts_token, 1);
    client_expect(&c, "x");
    close(fd);
    connection_close(&f, &c);
    end(&f);
}

static void test_write_stream(void **state)
{
    (void)state;
    struct fixture f;
    struct ring_token write = token_of(RING_WRITE, 1);
    char got[16];
    int fds[2];
    begin_files(&f, 8, 16);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    ring_write_stream(f.ring, fds[1], slice_str("line 1\n"), write);
    (void)next_is(&f, write, 7);
    assert_int_equal(read(fds[0], got, sizeof(got)), 7);
    assert_memory_equal(got, "line 1\n", 7);
    close(fds[0]);
    signal(SIGPIPE, SIG_IGN);
    ring_write_stream(f.ring, fds[1], slice_str("line 2\n"), write);
    (void)next_is(&f, write, -EPIPE);
    close(fds[1]);
    int fd = file_new();
    assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
    ring_write_stream(f.ring, fd, slice_str("one "), write);
    (void)next_is(&f, write, 4);
    ring_write_stream(f.ring, fd, slice_str("two"), write);
    (void)next_is(&f, write, 3);
    assert_int_equal(pread(fd, got, sizeof(got), 0), 7);
    assert_memory_equal(got, "one two", 7);
    close(fd);
    end(&f);
}

static void test_poll(void **state)
{
    (void)state;
    struct fixture f;
    struct ring_token poll = token_of(RING_POLL, 1), cancel = token_of(RING_CANCEL, 2);
    uint64_t one = 1;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    begin_files(&f, 8, 16);
    ring_poll_arm(f.ring, fd, POLLIN, poll);
    assert_int_equal(gather(&f, 0), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
        struct ring_event ev = next_is(&f, poll, POLLIN);
        assert_int_equal(read(fd, &one, sizeof(one)), sizeof(one));
        if (!ev.more)
            ring_poll_arm(f.ring, fd, POLLIN, poll);
    }
    ring_cancel(f.ring, poll, cancel);
    for (int i = 0; i < 2; i++) {
        struct ring_event ev = next(&f);
        assert_int_equal(ev.res, is_token(&ev, poll) ? -ECANCELED : 0);
    }
    close(fd);
    end(&f);
}

/* --- queues ----------------------------------------------------------------------------------- */

/* More operations in a turn than either queue has room for: all are done, none is lost. */
static void test_queues_overflow(void **state)
{
    (void)state;
    struct fixture f;
    char byte = 'x';
    struct iovec part = {&byte, 1};
    static bool is_done[1000];
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    begin_files(&f, 8, 16);
    memset(is_done, 0, sizeof(is_done));
    for (uint32_t i = 0; i < ARRAY_COUNT(is_done); i++)
        ring_writev(f.ring, fd, &part, 1, 0, token_of(RING_WRITE, i));
    for (uint32_t i = 0; i < ARRAY_COUNT(is_done); i++) {
        struct ring_event ev = next(&f);
        assert_true(ev.token.kind == RING_WRITE && ev.res == 1);
        assert_true(ev.token.idx < ARRAY_COUNT(is_done) && !is_done[ev.token.idx]);
        is_done[ev.token.idx] = true;
    }
    assert_true(ring_counters(f.ring)->sq_full > 100);
    assert_true(ring_counters(f.ring)->cq_overflow > 0);
    assert_int_equal(gather(&f, 0), 0);
    close(fd);
    end(&f);
}

/* A quiet operation's failure waits behind a full completion queue: it is no success meanwhile. */
static void test_quiet_failure_behind_overflow(void **state)
{
    (void)state;
    struct fixture f;
    struct ring_options options = {.sq_entries = 8, .cq_entries = 16, .file_count = 8};
    char byte = 'x';
    struct iovec part = {&byte, 1};
    struct ring_token quiet = token_of(RING_SEND, 1);
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    uint32_t writes = 100, results = 0;
    begin(&f, &options);
    for (uint32_t i = 0; i < writes; i++)
        ring_writev(f.ring, fd, &part, 1, 0, token_of(RING_WRITE, i));
    ring_send_quiet(f.ring, 3, slice_str("x"), quiet); /* there is no such file */
    for (uint32_t i = 0; i < writes + 1; i++) {
        struct ring_event ev = next(&f);
        if (ev.token.kind != RING_SEND)
            continue;
        assert_int_equal(ev.res, -EBADF);
        results++;
    }
    assert_int_equal(results, 1);
    assert_int_equal(gather(&f, 0), 0);
    close(fd);
    end(&f);
}

static void test_time(void **state)
{
    (void)state;
    struct fixture f;
    begin_files(&f, 8, 16);
    clock_ns before = ring_now(f.ring);
    assert_int_equal(gather(&f, 0), 0);
    assert_true(ring_now(f.ring) >= before);
    before = ring_now(f.ring);
    assert_int_equal(gather(&f, 3 * NS_PER_MS), 0);
    assert_true(ring_now(f.ring) >= before + 3 * NS_PER_MS); /* it did wait */
    assert_true(ring_wall(f.ring) > (wall_us)1700000000 * 1000000);
    assert_true(ring_wall(f.ring) == ring_wall(f.ring)); /* one time a turn */
    end(&f);
}

static void test_bad_options(void **state)
{
    (void)state;
    struct ring *ring = NULL;
    struct ring_options options = {.sq_entries = 0, .cq_entries = 16};
    assert_true(ring_new(&options, &ring) < 0);
    options = (struct ring_options){.sq_entries = 8, .cq_entries = 4};
    assert_true(ring_new(&options, &ring) < 0);
    assert_null(ring);
    ring_free(NULL);
}

/* --- messages --------------------------------------------------------------------------------- */

enum { TAG_NUMBER = 1, TAG_BLOCK, TAG_STOP };

struct echo { /* the other thread */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct ring *ring;
    int reply_fd;
    bool is_ending;
    bool has_ended;
    uint64_t stale_count;
};

/* Posts, or turns the ring until there is room. The other thread's loop does not depend on it. */
static void echo_post(struct echo *e, struct mailbox *box, struct mail mail)
{
    (void)e;
    if (mailbox_post(box, 0, mail) != MAILBOX_POSTED)
        abort();
}

static bool echo_turn(struct echo *e, struct mailbox *box)
{
    const struct ring_event *events;
    bool goes_on = true;
    int count = ring_turn(e->ring, HANG_NS, &events);
    if (count <= 0)
        abort();
    for (int i = 0; i < count; i++) {
        if (events[i].token.kind == RING_MESSAGE_SENT) {
            mailbox_on_event(box, &events[i]);
            continue;
        }
        struct mail mail = mailbox_read(&events[i]);
        if (mail.tag == TAG_STOP)
            goes_on = false;
        else if (mail.tag == TAG_BLOCK)
            ((char *)mail_block(&mail))[0]++;
        if (mail.tag != TAG_STOP)
            echo_post(e, box, mail);
    }
    mailbox_turn(box);
    return goes_on;
}

static void *echo_main(void *arg)
{
    struct echo *e = arg;
    static struct mailbox box;
    struct ring_options options = {.sq_entries = 8, .cq_entries = 64};
    struct ring *ring;
    if (ring_new(&options, &ring) < 0)
        abort();
    mailbox_init(&box, ring, 77);
    mailbox_open(&box, 0, e->reply_fd);
    pthread_mutex_lock(&e->lock);
    e->ring = ring;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
    while (echo_turn(e, &box) || !mailbox_is_idle(&box))
        ;
    e->stale_count = box.stale_count;
    ring_free(ring);
    return NULL;
}

static void echo_start(struct echo *e, int reply_fd)
{
    *e = (struct echo){.reply_fd = reply_fd};
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    assert_int_equal(pthread_create(&e->thread, NULL, echo_main, e), 0);
    pthread_mutex_lock(&e->lock);
    while (e->ring == NULL)
        pthread_cond_wait(&e->changed, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

/* The next mail from the other thread; results of our own messages are handed to the mailbox. */
static struct mail next_mail(struct fixture *f, struct mailbox *box)
{
    for (;;) {
        struct ring_event ev = next(f);
        if (ev.token.kind == RING_MESSAGE) {
            assert_int_equal(ev.token.owner, 0);
            return mailbox_read(&ev);
        }
        assert_int_equal(ev.token.owner, 78);
        mailbox_on_event(box, &ev);
        mailbox_turn(box);
    }
}

static void drain_mailbox(struct fixture *f, struct mailbox *box)
{
    while (!mailbox_is_idle(box)) {
        struct ring_event ev = next(f);
        mailbox_on_event(box, &ev);
        mailbox_turn(box);
    }
}

static void test_messages_between_threads(void **state)
{
    (void)state;
    static struct mailbox box;
    struct fixture f;
    struct echo e;
    begin_files(&f, 8, 64);
    echo_start(&e, ring_fd(f.ring));
    mailbox_init(&box, f.ring, 78);
    mailbox_open(&box, 5, ring_fd(e.ring));
    uint64_t posted = 0;
    for (uint64_t got = 0; got < 2000; got++) {
        for (; posted < 2000 && posted < got + 8; posted++) {
            struct mail mail = {.tag = TAG_NUMBER,
                                .value = posted << 20 | posted,
                                .len = UINT32_MAX / 2 - (uint32_t)posted};
            assert_int_equal(mailbox_post(&box, 5, mail), MAILBOX_POSTED);
        }
        struct mail mail = next_mail(&f, &box);
        assert_true(mail.tag == TAG_NUMBER && mail.value == (got << 20 | got));
        assert_true(mail.len == UINT32_MAX / 2 - (uint32_t)got);
    }
    char *block = strdup("block");
    assert_int_equal(mailbox_post(&box, 5, mail_of_block(TAG_BLOCK, block, 6)), MAILBOX_POSTED);
    struct mail mail = next_mail(&f, &box);
    assert_ptr_equal(mail_block(&mail), block);
    assert_string_equal(block, "clock");
    free(block);
    mail = (struct mail){.tag = TAG_STOP};
    assert_int_equal(mailbox_post(&box, 5, mail), MAILBOX_POSTED);
    drain_mailbox(&f, &box);
    assert_int_equal(pthread_join(e.thread, NULL), 0);
    assert_int_equal(e.stale_count + box.stale_count, 0);
    end(&f);
}

/* Rings that are not there: the result says so, nothing hangs, and the mail comes back. */
static void test_message_to_nobody(void **state)
{
    (void)state;
    static struct mailbox box;
    struct fixture f;
    struct ring_token sent = token_of(RING_MESSAGE_SENT, 1);
    int fd = eventfd(0, EFD_CLOEXEC);
    begin_files(&f, 8, 16);
    ring_message(f.ring, fd, 1, 1, sent);
    (void)next_is(&f, sent, -EBADFD);
    close(fd);
    ring_message(f.ring, fd, 1, 1, sent);
    (void)next_is(&f, sent, -EBADF);
    mailbox_init(&box, f.ring, 78);
    mailbox_open(&box, 0, fd);
    assert_int_equal(mailbox_post(&box, 0, (struct mail){.tag = 3, .value = 4}), MAILBOX_POSTED);
    struct ring_event ev = next(&f);
    mailbox_on_event(&box, &ev);
    uint32_t target_idx;
    struct mail mail;
    assert_true(mailbox_next_returned(&box, &target_idx, &mail));
    assert_true(target_idx == 0 && mail.tag == 3 && mail.value == 4);
    assert_true(mailbox_is_idle(&box));
    end(&f);
}

/* A ring whose thread has ended: taken or refused, but the sender learns which. */
static void *ring_of_ended_thread(void *arg)
{
    struct ring_options options = {.sq_entries = 8, .cq_entries = 16};
    return ring_new(&options, (struct ring **)arg) == 0 ? NULL : arg;
}

static void test_message_to_ended_thread(void **state)
{
    (void)state;
    struct fixture f;
    struct ring *target = NULL;
    pthread_t thread;
    void *failed;
    begin_files(&f, 8, 16);
    assert_int_equal(pthread_create(&thread, NULL, ring_of_ended_thread, &target), 0);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    for (uint32_t i = 0; i < 100; i++) {
        ring_message(f.ring, ring_fd(target), i, 0, token_of(RING_MESSAGE_SENT, i));
        struct ring_event ev = next(&f);
        assert_true(is_token(&ev, token_of(RING_MESSAGE_SENT, i)));
        assert_true(ev.res <= 0);
    }
    end(&f);
    ring_free(target);
}

/* --- the client's side ------------------------------------------------------------------------ */

static int listener(int family, struct sockaddr_storage *addr, socklen_t *len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(addr, 0, sizeof(*addr));
    addr->ss_family = (sa_family_t)family;
    *len = sizeof(struct sockaddr_in);
    if (family == AF_INET)
        ((struct sockaddr_in *)addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        *len = sizeof(sa_family_t); /* AF_UNIX: an abstract name of the kernel's choice */
    assert_int_equal(bind(fd, (struct sockaddr *)addr, *len), 0);
    *len = sizeof(*addr);
    assert_int_equal(getsockname(fd, (struct sockaddr *)addr, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void connect_and_talk(struct fixture *f, int family)
{
    struct sockaddr_storage addr;
    socklen_t len;
    int listen_fd = listener(family, &addr, &len);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct ring_token dial = token_of(RING_CONNECT, 1), send = token_of(RING_SEND, 2);
    struct ring_token receive = token_of(RING_RECV, 3);
    ring_connect(f->ring, fd, (struct sockaddr *)&addr, len, dial);
    (void)next_is(f, dial, 0);
    struct connection c = {.client_fd = accept(listen_fd, NULL, NULL)};
    assert_true(c.client_fd >= 0);
    assert_int_equal(
        setsockopt(c.client_fd, SOL_SOCKET, SO_RCVTIMEO, &hang_limit, sizeof(hang_limit)), 0);

    struct iovec iov[] = {{(void *)(uintptr_t) "DA", 2}, {(void *)(uintptr_t) "TA", 2}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    ring_sendv(f->ring, fd, &msg, send);
    (void)next_is(f, send, 4);
    client_expect(&c, "DATA");
    ring_recv_arm(f->ring, fd, receive);
    ring_sendv_quiet(f->ring, fd, &msg, 4, send);
    assert_true(gather(f, 0) <= 1);
    client_expect(&c, "DATA");
    client_send(&c, "354", 3);
    (void)next_is(f, send, 4);
    expect_bytes(f, receive, "354");

    close(c.client_fd);
    (void)next_is(f, receive, 0);
    ring_close(f->ring, fd);
    (void)gather(f, 0);
    close(listen_fd);
}

static void test_connect(void **state)
{
    (void)state;
    struct fixture f;
    assert_true(begin_mode(&f, MODE_PLAIN));
    connect_and_talk(&f, AF_INET);
    connect_and_talk(&f, AF_UNIX);
    end(&f);
}

static void test_connect_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct sockaddr_storage addr;
    socklen_t len;
    assert_true(begin_mode(&f, MODE_PLAIN));
    close(listener(AF_INET, &addr, &len)); /* a port where nobody listens */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct ring_token dial = token_of(RING_CONNECT, 1);
    ring_connect(f.ring, fd, (struct sockaddr *)&addr, len, dial);
    (void)next_is(&f, dial, -ECONNREFUSED);
    ring_close(f.ring, fd);
    (void)gather(&f, 0);
    end(&f);
}

/* A vector that does not fit: a quiet send says how much went, at once. */
static void test_sendv_backlog(void **state)
{
    (void)state;
    static uint8_t bytes[8 * MIB];
    struct fixture f;
    assert_true(begin_mode(&f, MODE_PLAIN));
    struct connection c = connection_open(&f);
    struct iovec iov[] = {{bytes, sizeof(bytes)}, {bytes, sizeof(bytes)}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    struct ring_token quiet = token_of(RING_SEND, 2);
    ring_sendv_quiet(f.ring, c.file, &msg, 2 * sizeof(bytes), quiet);
    struct ring_event ev = next(&f);
    assert_true(is_token(&ev, quiet) && ev.res > 0 && ev.res < (int32_t)(2 * sizeof(bytes)));
    connection_close(&f, &c);
    end(&f);
}

static bool ring_is_allowed(void)
{
    struct ring *ring;
    struct ring_options options = {.sq_entries = 8, .cq_entries = 16};
    int result = ring_new(&options, &ring);
    if (result < 0) {
        print_message("io_uring is not available here: %s\n", err_text(result));
        return false;
    }
    ring_free(ring);
    return true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogue),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_out_of_buffers),
        cmocka_unit_test(test_windows_come_home),
        cmocka_unit_test(test_send_backlog),
        cmocka_unit_test(test_send_to_nobody),
        cmocka_unit_test(test_bad_file),
        cmocka_unit_test(test_file_table_full),
        cmocka_unit_test(test_write_and_sync),
        cmocka_unit_test(test_sync_is_cancelled),
        cmocka_unit_test(test_link_at_the_end_of_the_queue),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_parts_broken),
        cmocka_unit_test(test_send_after_write),
        cmocka_unit_test(test_stuck_peer_behind_write),
        cmocka_unit_test(test_send_after_something_else),
        cmocka_unit_test(test_write_stream),
        cmocka_unit_test(test_poll),
        cmocka_unit_test(test_queues_overflow),
        cmocka_unit_test(test_quiet_failure_behind_overflow),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_messages_between_threads),
        cmocka_unit_test(test_message_to_nobody),
        cmocka_unit_test(test_message_to_ended_thread),
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_connect_refused),
        cmocka_unit_test(test_sendv_backlog),
    };
    if (!ring_is_allowed())
        return SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
