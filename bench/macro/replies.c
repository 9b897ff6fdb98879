/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replies.c - one client for "tools/dev bench replies": when do replies come, in how many segments,
 * and at what cost to the server?
 *
 * K connections in a closed loop. Each message goes as two writes: MAIL, the RCPTs and DATA, then
 * the content with its end. From that second write on, each connection notes when the first and the
 * last reply to the message were read, and how many data segments came for them (TCP_INFO of this
 * side: on loopback every segment that was sent is received). The server's processor time is its
 * process's clock, the kernel's workers for it included.
 *
 * Usage: replies PORT PID smtp|lmtp|prdr RECIPIENTS CONNECTIONS MILLISECONDS
 * Recipients are r0@mx.bench.example and so on, of PRDR r0@prdr.bench.example; a single one is r1.
 * Prints one line of JSON.
 */
#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 64
#define RCPTS_MAX 200
#define SAMPLES_MAX 200000
#define CONTENT_BYTES 1024
#define HANG_MS 60000

struct conn {
    int fd;
    bool is_in_content; /* the content has been sent, its replies are being read */
    uint32_t replies_left;
    double sent_at, first_at; /* 0: not read yet */
    uint32_t segments_before;
    char line[8]; /* the start of a line that is not complete */
    size_t line_len;
};

struct client {
    const char *dialect;
    uint32_t rcpts;
    uint64_t messages, segments;
    double *first_us, *last_us;
    char envelope[64 * KIB];
    size_t envelope_len;
    char content[CONTENT_BYTES + 8];
    size_t content_len;
};

static struct client client;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "replies: %s: %s\n", what, err_text(-errno));
    exit(1);
}

static double seconds_of(clockid_t clock)
{
    struct timespec ts;
    if (clock_gettime(clock, &ts) < 0)
        die("the server's clock");
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of another process: the same number as clock_getcpuclockid() gives. */
static clockid_t clock_of(pid_t pid)
{
    return (clockid_t)((~(unsigned)pid << 3) | 2u);
}

static uint32_t segments_of(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        die("TCP_INFO");
    return info.tcpi_data_segs_in;
}

static void put(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = send(fd, bytes, len, MSG_NOSIGNAL);
        if (done < 0)
            die("send");
        bytes += done;
        len -= (size_t)done;
    }
}

/* One complete reply with this code was read. */
static void on_reply(struct conn *c, int code)
{
    if (code >= 400 && !(c->is_in_content && code == 550)) {
        fprintf(stderr, "replies: the server said %d\n", code);
        exit(1);
    }
    if (c->is_in_content && code == 353)
        c->replies_left += client.rcpts + 1;
    c->replies_left--;
}

static void read_replies(struct conn *c)
{
    char bytes[64 * KIB];
    ssize_t len = recv(c->fd, bytes, sizeof(bytes), 0);
    if (len <= 0)
        die("recv");
    if (c->is_in_content && c->first_at == 0)
        c->first_at = seconds_of(CLOCK_MONOTONIC);
    for (ssize_t i = 0; i < len; i++) {
        if (c->line_len < 4)
            c->line[c->line_len] = bytes[i];
        c->line_len++;
        if (bytes[i] != '\n')
            continue;
        if (c->line_len >= 4 && c->line[3] == ' ')
            on_reply(c, (c->line[0] - '0') * 100 + (c->line[1] - '0') * 10 + c->line[2] - '0');
        c->line_len = 0;
    }
}

static void begin_message(struct conn *c)
{
    c->is_in_content = false;
    c->replies_left = client.rcpts + 2;
    put(c->fd, client.envelope, client.envelope_len);
}

static void begin_content(struct conn *c)
{
    c->is_in_content = true;
    c->first_at = 0;
    c->replies_left = strcmp(client.dialect, "lmtp") == 0 ? client.rcpts : 1;
    c->segments_before = segments_of(c->fd);
    c->sent_at = seconds_of(CLOCK_MONOTONIC);
    put(c->fd, client.content, client.content_len);
}

static void end_message(struct conn *c)
{
    double now = seconds_of(CLOCK_MONOTONIC);
    if (client.messages == SAMPLES_MAX)
        return;
    client.first_us[client.messages] = (c->first_at - c->sent_at) * 1e6;
    client.last_us[client.messages] = (now - c->sent_at) * 1e6;
    client.segments += segments_of(c->fd) - c->segments_before;
    client.messages++;
}

static void conn_open(struct conn *c, uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    const char *hello =
        strcmp(client.dialect, "lmtp") == 0 ? "LHLO b.example\r\n" : "EHLO b.example\r\n";
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        die("connect");
    for (c->replies_left = 1; c->replies_left > 0;)
        read_replies(c);
    put(c->fd, hello, strlen(hello));
    for (c->replies_left = 1; c->replies_left > 0;)
        read_replies(c);
}

static void texts_make(void)
{
    bool is_prdr = strcmp(client.dialect, "prdr") == 0;
    struct buf envelope = buf_over(client.envelope, sizeof(client.envelope));
    struct buf content = buf_over(client.content, sizeof(client.content));
    buf_printf(&envelope, "MAIL FROM:<a@b.example>%s\r\n", is_prdr ? " PRDR" : "");
    for (uint32_t i = 0; i < client.rcpts; i++)
        buf_printf(&envelope, "RCPT TO:<r%u@%s.bench.example>\r\n", i + (client.rcpts == 1),
                   is_prdr ? "prdr" : "mx");
    buf_printf(&envelope, "DATA\r\n");
    buf_printf(&content, "Message-ID: <x@b.example>\r\nSubject: bench\r\n\r\n");
    while (content.len < CONTENT_BYTES - 64)
        buf_printf(&content, "0123456789012345678901234567890123456789012345678901234\r\n");
    buf_printf(&content, ".\r\n");
    client.envelope_len = envelope.len;
    client.content_len = content.len;
}

static void on_readable(struct conn *c, bool may_begin, uint32_t *active)
{
    read_replies(c);
    if (c->replies_left > 0)
        return;
    if (!c->is_in_content) {
        begin_content(c);
        return;
    }
    end_message(c);
    if (may_begin)
        begin_message(c);
    else
        (*active)--;
}

static void run(struct conn *conns, uint32_t conn_count, double seconds)
{
    struct pollfd polls[CONNS_MAX];
    double end = seconds_of(CLOCK_MONOTONIC) + seconds;
    uint32_t active = conn_count;
    for (uint32_t i = 0; i < conn_count; i++) {
        polls[i] = (struct pollfd){.fd = conns[i].fd, .events = POLLIN};
        begin_message(&conns[i]);
    }
    while (active > 0) {
        if (poll(polls, conn_count, HANG_MS) <= 0)
            die("no reply");
        bool may_begin = seconds_of(CLOCK_MONOTONIC) < end;
        for (uint32_t i = 0; i < conn_count; i++)
            if (polls[i].revents != 0)
                on_readable(&conns[i], may_begin, &active);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double quantile(const double *sorted, uint64_t count, double q)
{
    return count > 0 ? sorted[(uint64_t)((double)(count - 1) * q)] : 0;
}

/* A number from the command line, 1 to @most. */
static uint32_t number_of(const char *text, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != 0 || value == 0 || value > most) {
        fprintf(stderr, "replies: %s is not a number from 1 to %u\n", text, most);
        exit(64);
    }
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    static struct conn conns[CONNS_MAX];
    if (argc != 7) {
        fprintf(stderr, "usage: replies PORT PID smtp|lmtp|prdr RECIPIENTS CONNECTIONS MS\n");
        return 64;
    }
    uint16_t port = (uint16_t)number_of(argv[1], UINT16_MAX);
    clockid_t server = clock_of((pid_t)number_of(argv[2], INT32_MAX));
    client.dialect = argv[3];
    client.rcpts = number_of(argv[4], RCPTS_MAX);
    uint32_t conn_count = number_of(argv[5], CONNS_MAX);
    double seconds = (double)number_of(argv[6], 3600000) / 1000;
    client.first_us = calloc(SAMPLES_MAX, sizeof(double));
    client.last_us = calloc(SAMPLES_MAX, sizeof(double));
    if (client.first_us == NULL || client.last_us == NULL)
        die("memory");
    signal(SIGPIPE, SIG_IGN);
    texts_make();
    for (uint32_t i = 0; i < conn_count; i++)
        conn_open(&conns[i], port);
    run(conns, conn_count, seconds / 10); /* settles congestion windows and acknowledgements */
    client.messages = client.segments = 0;
    double cpu = seconds_of(server);
    run(conns, conn_count, seconds);
    cpu = seconds_of(server) - cpu;
    uint64_t n = client.messages;
    qsort(client.first_us, n, sizeof(double), compare_doubles);
    qsort(client.last_us, n, sizeof(double), compare_doubles);
    printf("{\"messages\": %llu, \"cpu_us\": %.2f, \"segments\": %.3f, \"first_us\": %.1f, "
           "\"last_us\": %.1f, \"first_p99_us\": %.1f, \"last_p99_us\": %.1f}\n",
           (unsigned long long)n, cpu * 1e6 / (double)n, (double)client.segments / (double)n,
           quantile(client.first_us, n, 0.5), quantile(client.last_us, n, 0.5),
           quantile(client.first_us, n, 0.99), quantile(client.last_us, n, 0.99));
    return 0;
}
