/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor.c - what receiving and answering alone costs, over the ring settings of a shard.
 *
 * It speaks just enough SMTP to keep any client in step, pipelining or not: lines are counted and
 * answered with canned bytes, chosen by the first letter of each; content is passed over until
 * CRLF.CRLF. It parses nothing, decides nothing, logs and stores nothing and has no deadlines. The
 * replies of a turn leave in one quiet send, as a shard's do. posternd is compared with it, because
 * nothing that uses the kernel in this way can be cheaper.
 *
 *   COMMAND --DATA--> CONTENT --CRLF.CRLF--> COMMAND
 *
 * Usage: floor --listen ADDR:PORT [--incremental]
 */
#include "base/err.h"
#include "base/limits.h"
#include "io/ring.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* As server/shard.c and the defaults of its configuration. */
#define SQ_ENTRIES 4096
#define CQ_ENTRIES 16384
#define CONN_COUNT_MAX 20000
#define BUFFER_COUNT 512
#define LISTEN_BACKLOG 4096

#define OUT_BYTES_MAX 4096
#define END_BYTES 5       /* CR LF . CR LF */
#define END_BYTES_KNOWN 2 /* content begins behind the CR LF of DATA */

struct conn {
    int32_t file;
    bool is_open;
    bool is_receiving;
    bool is_cancelled; /* the receive */
    bool is_sending;
    bool is_ended; /* the peer's end, or our QUIT: close when nothing is being sent */
    bool is_dirty;
    bool is_content;
    char verb;        /* first letter of the command line that is incomplete; 0: at its start */
    uint8_t matched;  /* bytes of the end of data that the content so far ends with */
    uint16_t sending; /* bytes at the start of @out that the kernel has */
    uint16_t out_len;
    uint16_t generation;
    char out[OUT_BYTES_MAX];
};

struct program {
    struct ring *ring;
    int listen_fd;
    struct conn *conns; /* by file index */
    uint32_t *dirty;
    uint32_t dirty_count;
};

static struct ring_token token_of(const struct program *p, const struct conn *c, uint8_t kind)
{
    return (struct ring_token){
        .kind = kind, .generation = c->generation, .idx = (uint32_t)(c - p->conns)};
}

static void say(struct program *p, struct conn *c, struct slice text)
{
    if (c->out_len + text.len > OUT_BYTES_MAX)
        return; /* such a client is no load for a benchmark: it hangs */
    memcpy(c->out + c->out_len, text.ptr, text.len);
    c->out_len += (uint16_t)text.len;
    if (c->is_dirty)
        return;
    c->is_dirty = true;
    p->dirty[p->dirty_count++] = (uint32_t)(c - p->conns);
}

static void answer(struct program *p, struct conn *c)
{
    switch (c->verb) {
    case 'E':
    case 'e':
    case 'L':
    case 'l':
        say(p, c,
            SLICE_LIT("250-mx.bench.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                      "250 SIZE 67108864\r\n"));
        break;
    case 'D':
    case 'd':
        c->is_content = true;
        c->matched = END_BYTES_KNOWN;
        say(p, c, SLICE_LIT("354 End data with <CR><LF>.<CR><LF>\r\n"));
        break;
    case 'Q':
    case 'q':
        c->is_ended = true;
        say(p, c, SLICE_LIT("221 2.0.0 mx.bench.example closing\r\n"));
        break;
    default:
        say(p, c, SLICE_LIT("250 2.1.0 Ok\r\n"));
        break;
    }
    c->verb = 0;
}

/* --- content -------------------------------------------------------------------------------- */

/* Goes on with @matched over @bytes; stops behind the end of data. Returns the bytes used. */
static size_t match(uint8_t *matched, struct slice bytes)
{
    static const char end[END_BYTES + 1] = "\r\n.\r\n";
    for (size_t i = 0; i < bytes.len; i++) {
        char byte = (char)bytes.ptr[i];
        if (byte == end[*matched])
            (*matched)++;
        else
            *matched = byte == '\r' ? 1 : 0;
        if (*matched == END_BYTES)
            return i + 1;
    }
    return bytes.len;
}

/* Returns the bytes that belong to the content; c->matched is END_BYTES when they end it. */
static size_t skip_content(struct conn *c, struct slice in)
{
    size_t used = match(&c->matched, slice_first(in, END_BYTES - 1));
    if (c->matched == END_BYTES || used == in.len)
        return used;
    const uint8_t *stop = in.ptr + in.len;
    const uint8_t *dot = in.ptr + 2;
    while (stop - dot > 2 && (dot = memchr(dot, '.', (size_t)(stop - dot - 2))) != NULL) {
        if (memcmp(dot - 2, "\r\n.\r\n", END_BYTES) == 0) {
            c->matched = END_BYTES;
            return (size_t)(dot - in.ptr) + END_BYTES - 2;
        }
        dot++;
    }
    size_t tail = size_min(in.len - used, END_BYTES - 1);
    if (tail == END_BYTES - 1)
        c->matched = 0;
    (void)match(&c->matched, slice_from(in, in.len - tail));
    return in.len;
}

static void feed(struct program *p, struct conn *c, struct slice in)
{
    while (in.len > 0 && !c->is_ended) {
        if (c->is_content) {
            in = slice_from(in, skip_content(c, in));
            if (c->matched == END_BYTES) {
                c->is_content = false;
                say(p, c, SLICE_LIT("250 2.0.0 Ok: queued as 0123456789ABC\r\n"));
            }
            continue;
        }
        if (c->verb == 0)
            c->verb = (char)in.ptr[0];
        const uint8_t *line_end = memchr(in.ptr, '\n', in.len);
        if (line_end == NULL)
            return;
        in = slice_from(in, (size_t)(line_end - in.ptr) + 1);
        answer(p, c);
    }
}

/* --- ring results ---------------------------------------------------------------------------- */

/* Nothing may be in flight on a file that is closed. */
static void close_if_ended(struct program *p, struct conn *c)
{
    if (!c->is_ended || c->is_sending || c->out_len > 0 || !c->is_open)
        return;
    if (c->is_receiving) {
        if (!c->is_cancelled)
            ring_cancel(p->ring, token_of(p, c, RING_RECV), token_of(p, c, RING_CANCEL));
        c->is_cancelled = true;
        return;
    }
    ring_close(p->ring, c->file);
    c->is_open = false;
    c->generation++; /* whatever still comes for it is dropped */
}

static void flush(struct program *p, struct conn *c)
{
    if (c->is_sending || !c->is_open)
        return;
    if (c->out_len > 0) {
        c->sending = c->out_len;
        c->is_sending = true;
        struct slice bytes = slice_of(c->out, c->sending);
        if (c->is_ended) /* closing waits for the result */
            ring_send(p->ring, c->file, bytes, token_of(p, c, RING_SEND));
        else
            ring_send_quiet(p->ring, c->file, bytes, token_of(p, c, RING_SEND));
    }
    close_if_ended(p, c);
}

static void recv_arm(struct program *p, struct conn *c)
{
    c->is_receiving = true;
    ring_recv_arm(p->ring, c->file, token_of(p, c, RING_RECV));
}

static void on_accept(struct program *p, const struct ring_event *ev)
{
    if (!ev->more)
        ring_accept_arm(p->ring, p->listen_fd, (struct ring_token){.kind = RING_ACCEPT});
    if (ev->res < 0)
        return;
    struct conn *c = &p->conns[ev->res];
    uint16_t generation = c->generation;
    bool is_dirty = c->is_dirty;
    memset(c, 0, offsetof(struct conn, out));
    c->file = ev->res;
    c->is_open = true;
    c->is_dirty = is_dirty;
    c->generation = generation;
    recv_arm(p, c);
    say(p, c, SLICE_LIT("220 mx.bench.example ESMTP\r\n"));
}

static void on_recv(struct program *p, struct conn *c, const struct ring_event *ev)
{
    struct window w = ev->window;
    c->is_receiving = ev->more;
    if (ev->res > 0) {
        feed(p, c, w.bytes);
        window_unpin(&w);
    } else if (ev->res != -ENOBUFS && !c->is_ended) {
        c->is_ended = true; /* nobody reads what was not sent yet */
        c->out_len = c->is_sending ? c->sending : 0;
    }
    if (c->is_ended)
        close_if_ended(p, c);
    else if (!c->is_receiving)
        recv_arm(p, c);
}

static void on_send(struct program *p, struct conn *c, int32_t res)
{
    size_t sent = res > 0 ? (size_t)res : 0;
    if (res < 0 && res != -EAGAIN) {
        c->is_ended = true;
        sent = c->out_len; /* dropped */
    }
    c->out_len -= (uint16_t)sent;
    memmove(c->out, c->out + sent, c->out_len);
    c->is_sending = sent < c->sending && c->out_len > 0;
    c->sending = c->is_sending ? c->out_len : 0;
    if (c->is_sending)
        ring_send(p->ring, c->file, slice_of(c->out, c->sending), token_of(p, c, RING_SEND));
    else
        flush(p, c);
}

static void turn(struct program *p)
{
    const struct ring_event *events;
    int count = ring_turn(p->ring, CLOCK_NEVER, &events);
    if (count < 0) {
        fprintf(stderr, "floor: ring: %s\n", err_text(count));
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        struct ring_event ev = events[i];
        struct conn *c = &p->conns[ev.token.idx];
        if (ev.token.kind == RING_ACCEPT) {
            on_accept(p, &ev);
        } else if (ev.token.generation != c->generation || !c->is_open) {
            window_unpin(&ev.window);
        } else if (ev.token.kind == RING_RECV) {
            on_recv(p, c, &ev);
        } else if (ev.token.kind == RING_SEND) {
            on_send(p, c, ev.res);
        }
    }
    for (uint32_t i = 0; i < p->dirty_count; i++) {
        struct conn *c = &p->conns[p->dirty[i]];
        c->is_dirty = false;
        flush(p, c);
    }
    p->dirty_count = 0;
}

/* --- start ----------------------------------------------------------------------------------- */

/* 0 or negative errno. */
static int listen_on(struct program *p, const char *where)
{
    char host[64];
    const char *colon = strrchr(where, ':');
    struct sockaddr_in addr = {.sin_family = AF_INET};
    if (colon == NULL || (size_t)(colon - where) >= sizeof(host))
        return -EINVAL;
    memcpy(host, where, (size_t)(colon - where));
    host[colon - where] = '\0';
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port > UINT16_MAX || inet_pton(AF_INET, host, &addr.sin_addr) != 1)
        return -EINVAL;
    addr.sin_port = htons((uint16_t)port);
    int on = 1;
    p->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->listen_fd < 0 ||
        setsockopt(p->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(p->listen_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
        bind(p->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        listen(p->listen_fd, LISTEN_BACKLOG) < 0)
        return -errno;
    return 0;
}

static int start(struct program *p, const char *where, bool is_incremental)
{
    struct rlimit limit;
    uint32_t conn_count = CONN_COUNT_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        conn_count = (uint32_t)u64_min(conn_count, limit.rlim_max);
    }
    struct ring_options options = {
        .sq_entries = SQ_ENTRIES,
        .cq_entries = CQ_ENTRIES,
        .file_count = conn_count,
        .buffer_count = BUFFER_COUNT,
        .buffer_bytes = WINDOW_BYTES_MAX,
        .incremental = is_incremental,
    };
    int result = listen_on(p, where);
    if (result == 0)
        result = ring_new(&options, &p->ring);
    /* Where the kernel is too old for a file table, indices are descriptors: below the limit. */
    p->conns = calloc(conn_count, sizeof(*p->conns));
    p->dirty = calloc(conn_count, sizeof(*p->dirty));
    if (result == 0 && (p->conns == NULL || p->dirty == NULL))
        result = -ENOMEM;
    return result;
}

int main(int argc, char **argv)
{
    struct program p = {.listen_fd = -1};
    const char *where = NULL;
    bool is_incremental = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc) {
            where = argv[++i];
        } else if (strcmp(argv[i], "--incremental") == 0) {
            is_incremental = true;
        } else {
            where = NULL;
            break;
        }
    }
    if (where == NULL) {
        fprintf(stderr, "usage: floor --listen ADDR:PORT [--incremental]\n");
        return 64;
    }
    int result = start(&p, where, is_incremental);
    if (result < 0) {
        fprintf(stderr, "floor: %s: %s\n", where, err_text(result));
        return 1;
    }
    ring_accept_arm(p.ring, p.listen_fd, (struct ring_token){.kind = RING_ACCEPT});
    fprintf(stderr, "floor: ready\n");
    for (;;)
        turn(&p);
}
