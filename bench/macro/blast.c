/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blast.c - a client that pipelines, for the macro benchmark: smtp-source sends one command at a
 * time.
 *
 * Each connection sends MAIL, every RCPT and DATA in one segment, waits for all their replies,
 * sends the content, waits for its reply, and begins again: two round trips a message. With --chain
 * the next message's commands follow the final dot in the same segment (RFC 2920 3.1): one round
 * trip. The load is closed: a connection never has more than one group outstanding, so this
 * measures processor time and rate, not latency. Every reply is checked; the first that is not 2xx
 * or 354 ends it.
 *
 * Usage: blast --to ADDR:PORT [--connections N] [--messages N] [--bytes N] [--recipients N]
 * [--chain] It prints the seconds from the first message to the last reply.
 */
#include "base/base.h"
#include "base/err.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECIPIENTS_MAX 1000
#define LINE_BYTES 64
#define EVENTS_MAX 256
#define REPLY_CODE_BYTES 4 /* with the space or hyphen behind it */

enum step { STEP_GREETING, STEP_HELLO, STEP_COMMANDS, STEP_CONTENT, STEP_QUIT };

struct conn {
    int fd;
    enum step step;
    unsigned replies_due;
    unsigned column; /* of the reply line that is incomplete */
    char code[REPLY_CODE_BYTES];
    const char *out; /* rest of what could not be sent at once */
    size_t out_len;
};

struct text {
    char *bytes;
    size_t len;
};

struct program {
    struct sockaddr_in to;
    unsigned long conn_count, messages, body_bytes, recipients;
    bool is_chained;
    int epoll_fd;
    struct text commands; /* MAIL, RCPT ..., DATA */
    struct text content;
    struct text both; /* content, and the commands of the next message */
    unsigned long begun, done, open_count;
    struct timespec start, end;
};

__attribute__((noreturn)) PRINTF_LIKE(1, 2) static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("blast: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    exit(1);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void watch(struct program *p, struct conn *c, int op)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (c->out_len > 0)
        event.events |= EPOLLOUT;
    if (epoll_ctl(p->epoll_fd, op, c->fd, &event) < 0)
        die("epoll_ctl: %s", err_text(-errno));
}

static void send_rest(struct program *p, struct conn *c)
{
    while (c->out_len > 0) {
        ssize_t sent = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0)
            die("send: %s", err_text(-errno));
        c->out += sent;
        c->out_len -= (size_t)sent;
    }
    if (c->out_len == 0)
        watch(p, c, EPOLL_CTL_MOD);
}

static void say(struct program *p, struct conn *c, enum step step, const char *bytes, size_t len)
{
    if (c->out_len > 0)
        die("a reply came before everything was sent");
    c->step = step;
    c->replies_due = 1;
    if (step == STEP_COMMANDS)
        c->replies_due = (unsigned)p->recipients + 2;
    else if (step == STEP_CONTENT && bytes == p->both.bytes)
        c->replies_due = (unsigned)p->recipients + 3;
    ssize_t sent = send(c->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN)
        die("send: %s", err_text(-errno));
    size_t used = sent > 0 ? (size_t)sent : 0;
    c->out_len = len - used;
    if (c->out_len == 0)
        return;
    c->out = bytes + used;
    watch(p, c, EPOLL_CTL_MOD);
}

/* The next message, or the end of the session. */
static void begin_message(struct program *p, struct conn *c)
{
    if (p->begun == p->messages) {
        say(p, c, STEP_QUIT, "QUIT\r\n", 6);
        return;
    }
    if (p->begun++ == 0)
        clock_gettime(CLOCK_MONOTONIC, &p->start);
    say(p, c, STEP_COMMANDS, p->commands.bytes, p->commands.len);
}

static void send_content(struct program *p, struct conn *c)
{
    if (p->is_chained && p->begun < p->messages) {
        p->begun++;
        say(p, c, STEP_CONTENT, p->both.bytes, p->both.len);
    } else {
        say(p, c, STEP_CONTENT, p->content.bytes, p->content.len);
    }
}

/* --- replies ---------------------------------------------------------------------------------- */

/* All replies of the group are here. */
static void advance(struct program *p, struct conn *c, bool was_chained)
{
    switch (c->step) {
    case STEP_GREETING:
        say(p, c, STEP_HELLO, "EHLO client.bench.example\r\n", 27);
        break;
    case STEP_HELLO:
        begin_message(p, c);
        break;
    case STEP_COMMANDS:
        send_content(p, c);
        break;
    case STEP_CONTENT:
        if (++p->done == p->messages)
            clock_gettime(CLOCK_MONOTONIC, &p->end);
        if (was_chained)
            send_content(p, c);
        else
            begin_message(p, c);
        break;
    case STEP_QUIT:
        close(c->fd);
        c->fd = -1;
        p->open_count--;
        break;
    }
}

static void on_reply_line(struct program *p, struct conn *c)
{
    if (c->code[3] == '-')
        return;
    if (c->code[0] != '2' && memcmp(c->code, "354", 3) != 0)
        die("refused: %.3s at step %d", c->code, (int)c->step);
    bool was_chained = c->code[0] == '3' && c->step == STEP_CONTENT;
    if (--c->replies_due == 0)
        advance(p, c, was_chained);
}

static void on_readable(struct program *p, struct conn *c)
{
    char buf[8192];
    ssize_t got = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        die("connection lost at step %d: %s", (int)c->step, got < 0 ? err_text(-errno) : "end");
    for (ssize_t i = 0; i < got; i++) {
        if (c->column < REPLY_CODE_BYTES)
            c->code[c->column] = buf[i];
        c->column++;
        if (buf[i] != '\n')
            continue;
        c->column = 0;
        on_reply_line(p, c);
    }
}

/* --- start ------------------------------------------------------------------------------------ */

static void text_add(struct text *t, size_t cap, const char *bytes, size_t len)
{
    if (t->len + len > cap)
        die("too long");
    memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
}

static void texts_build(struct program *p)
{
    static const char header[] = "From: <sender@bench.example>\r\nSubject: bench\r\n\r\n";
    size_t cap = p->body_bytes + 512 + 2 * 64 * (p->recipients + 2);
    p->commands.bytes = malloc(cap);
    p->content.bytes = malloc(cap);
    p->both.bytes = malloc(cap);
    if (p->commands.bytes == NULL || p->content.bytes == NULL || p->both.bytes == NULL)
        die("no memory");
    char line[LINE_BYTES + 1];
    text_add(&p->commands, cap, "MAIL FROM:<sender@bench.example>\r\n", 34);
    for (unsigned long i = 0; i < p->recipients; i++) {
        int len = snprintf(line, sizeof(line), "RCPT TO:<%lurcpt@mx.bench.example>\r\n", i);
        text_add(&p->commands, cap, line, (size_t)len);
    }
    text_add(&p->commands, cap, "DATA\r\n", 6);
    memset(line, 'X', LINE_BYTES);
    memcpy(line + LINE_BYTES - 2, "\r\n", 2);
    text_add(&p->content, cap, header, sizeof(header) - 1);
    while (p->content.len + LINE_BYTES <= p->body_bytes)
        text_add(&p->content, cap, line, LINE_BYTES);
    text_add(&p->content, cap, ".\r\n", 3);
    text_add(&p->both, cap, p->content.bytes, p->content.len);
    text_add(&p->both, cap, p->commands.bytes, p->commands.len);
}

static void connect_all(struct program *p, struct conn *conns)
{
    int on = 1;
    for (unsigned long i = 0; i < p->conn_count; i++) {
        conns[i].step = STEP_GREETING;
        conns[i].replies_due = 1;
        conns[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (conns[i].fd < 0 || connect(conns[i].fd, (struct sockaddr *)&p->to, sizeof(p->to)) < 0)
            die("connect: %s", err_text(-errno));
        setsockopt(conns[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(p, &conns[i], EPOLL_CTL_ADD);
    }
    p->open_count = p->conn_count;
}

static unsigned long number(const char *text, unsigned long max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value == 0 || value > max)
        die("not a number from 1 to %lu: %s", max, text);
    return value;
}

static void parse_to(struct program *p, char *text)
{
    char *colon = strrchr(text, ':');
    if (colon == NULL)
        die("not ADDR:PORT: %s", text);
    *colon = '\0';
    p->to.sin_family = AF_INET;
    p->to.sin_port = htons((uint16_t)number(colon + 1, UINT16_MAX));
    if (inet_pton(AF_INET, text, &p->to.sin_addr) != 1)
        die("not an IPv4 address: %s", text);
}

static void parse(struct program *p, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--chain") == 0) {
            p->is_chained = true;
            continue;
        }
        if (i + 1 == argc)
            die("usage: blast --to ADDR:PORT [--connections N] [--messages N] [--bytes N] "
                "[--recipients N] [--chain]");
        char *value = argv[++i];
        if (strcmp(name, "--to") == 0)
            parse_to(p, value);
        else if (strcmp(name, "--connections") == 0)
            p->conn_count = number(value, 100000);
        else if (strcmp(name, "--messages") == 0)
            p->messages = number(value, 1000000000);
        else if (strcmp(name, "--bytes") == 0)
            p->body_bytes = number(value, 1000000000);
        else if (strcmp(name, "--recipients") == 0)
            p->recipients = number(value, RECIPIENTS_MAX);
        else
            die("unknown option %s", name);
    }
    if (p->to.sin_port == 0)
        die("--to ADDR:PORT is missing");
}

int main(int argc, char **argv)
{
    struct program p = {.conn_count = 1, .messages = 1000, .body_bytes = 1024, .recipients = 1};
    struct epoll_event events[EVENTS_MAX];
    struct rlimit limit;
    parse(&p, argc, argv);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    texts_build(&p);
    p.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct conn *conns = calloc(p.conn_count, sizeof(*conns));
    if (conns == NULL || p.epoll_fd < 0)
        die("no memory");
    connect_all(&p, conns);
    while (p.open_count > 0) {
        int count = epoll_wait(p.epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            struct conn *c = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) != 0 && c->out_len > 0)
                send_rest(&p, c);
            if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0)
                on_readable(&p, c);
        }
    }
    printf("%.6f\n", (double)(p.end.tv_sec - p.start.tv_sec) +
                         (double)(p.end.tv_nsec - p.start.tv_nsec) / 1e9);
    free(conns);
    return p.done == p.messages ? 0 : 1;
}
