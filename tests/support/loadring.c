/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loadring.c - see loadring.h.
 *
 * What is due is a list ordered by time, and among equals by age. The descriptors of dial_open()
 * are indexes into a table of connections.
 */
#include "loadring.h"
#include "base/assert.h"
#include "load/dial.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 512
#define EVENTS_MAX 4096
#define TEXT_BYTES 512
#define LINE_BYTES 1024

struct connection {
    bool is_open;
    bool is_content; /* what comes is a message */
    bool is_quitting;
    bool is_receiving;
    struct ring_token recv_token;
    char line[LINE_BYTES];
    size_t line_len;
    clock_ns answered_at; /* the last answer: they keep their order */
};

struct due {
    clock_ns at;
    struct ring_token token;
    int32_t res;
    bool more;
    bool is_answer; /* @text goes to @file's receive */
    int32_t file;
    char text[TEXT_BYTES];
    size_t text_len;
};

struct ring {
    struct loadring_server server;
    clock_ns now;
    struct connection connections[CONNECTIONS_MAX];
    struct due due[EVENTS_MAX]; /* in order */
    uint32_t due_count;
    struct ring_event events[EVENTS_MAX];
    char texts[EVENTS_MAX][TEXT_BYTES]; /* of events, until the next turn */
    struct ring_event quiets[EVENTS_MAX];
    uint32_t quiet_count;
    struct ring_counters counters;
};

static struct loadring_server next_server;
static struct ring *the_ring;
static uint32_t connection_count;
static uint64_t message_count;

void loadring_configure(const struct loadring_server *server)
{
    next_server = *server;
    connection_count = 0;
    message_count = 0;
}

uint32_t loadring_connections(void)
{
    return connection_count;
}

uint64_t loadring_messages(void)
{
    return message_count;
}

int ring_new(const struct ring_options *options, struct ring **ret_ring)
{
    (void)options;
    ASSERT(the_ring == NULL);
    struct ring *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    r->server = next_server;
    r->now = LOADRING_BEGIN;
    the_ring = r;
    *ret_ring = r;
    return 0;
}

void ring_free(struct ring *r)
{
    free(r);
    the_ring = NULL;
}

int ring_fd(const struct ring *r)
{
    (void)r;
    return -1;
}

clock_ns ring_now(const struct ring *r)
{
    return r->now;
}

wall_us ring_wall(const struct ring *r)
{
    return r->now / NS_PER_US;
}

static void push(struct ring *r, const struct due *d)
{
    ASSERT(r->due_count < EVENTS_MAX);
    uint32_t idx = r->due_count++;
    while (idx > 0 && r->due[idx - 1].at > d->at) {
        r->due[idx] = r->due[idx - 1];
        idx--;
    }
    r->due[idx] = *d;
}

static void push_result(struct ring *r, struct ring_token token, int32_t res)
{
    push(r, &(struct due){.at = r->now, .token = token, .res = res});
}

static void pop(struct ring *r, uint32_t idx)
{
    r->due_count--;
    memmove(&r->due[idx], &r->due[idx + 1], (r->due_count - idx) * sizeof(r->due[0]));
}

/* An answer waits until somebody receives. */
static bool can_happen(const struct ring *r, const struct due *d)
{
    return !d->is_answer || r->connections[d->file].is_receiving;
}

/* The first that can happen, or due_count. */
static uint32_t first(const struct ring *r)
{
    uint32_t idx = 0;
    while (idx < r->due_count && !can_happen(r, &r->due[idx]))
        idx++;
    return idx;
}

static void deliver(struct ring *r, const struct due *d, struct ring_event *ev, char *text)
{
    *ev = (struct ring_event){.token = d->token, .res = d->res, .more = d->more};
    if (!d->is_answer)
        return;
    struct connection *c = &r->connections[d->file];
    memcpy(text, d->text, d->text_len);
    ev->token = c->recv_token;
    ev->res = (int32_t)d->text_len;
    ev->window.bytes = slice_of(text, d->text_len);
    c->is_receiving = d->more;
}

int ring_turn(struct ring *r, uint64_t timeout_ns, const struct ring_event **ret_events)
{
    clock_ns until = timeout_ns == CLOCK_NEVER ? CLOCK_NEVER : r->now + timeout_ns;
    uint32_t idx = first(r);
    if (idx < r->due_count)
        until = u64_min(until, u64_max(r->due[idx].at, r->now));
    ASSERT(until != CLOCK_NEVER); /* nothing would ever happen */
    r->now = until + (timeout_ns > 0 ? r->server.oversleep_ns : 0);
    uint32_t count = r->quiet_count;
    memcpy(r->events, r->quiets, r->quiet_count * sizeof(r->quiets[0]));
    r->quiet_count = 0;
    while ((idx = first(r)) < r->due_count && r->due[idx].at <= r->now && count < EVENTS_MAX) {
        deliver(r, &r->due[idx], &r->events[count], r->texts[count]);
        pop(r, idx);
        count++;
    }
    r->counters.turns++;
    *ret_events = r->events;
    return (int)count;
}

/* --- the server ------------------------------------------------------------------------------- */

static clock_ns answer_time(const struct ring *r, const struct connection *c)
{
    clock_ns at = u64_max(r->now + r->server.answer_ns, c->answered_at);
    bool is_stalled = at >= r->server.stall_at && at < r->server.stall_until;
    return is_stalled ? r->server.stall_until : at;
}

static void add_text(struct due *d, const char *text)
{
    size_t len = strlen(text);
    ASSERT(d->text_len + len <= TEXT_BYTES);
    memcpy(d->text + d->text_len, text, len);
    d->text_len += len;
}

static void on_dot(const struct ring *r, struct due *answer)
{
    if (r->now >= r->server.busy_at && r->now < r->server.busy_until) {
        add_text(answer, "451 4.3.0 later\r\n");
        return;
    }
    message_count++;
    add_text(answer, "250 2.0.0 taken\r\n");
}

static void on_line(const struct ring *r, struct connection *c, struct due *answer)
{
    if (c->is_content) {
        if (strcmp(c->line, ".") != 0)
            return;
        c->is_content = false;
        on_dot(r, answer);
    } else if (strncmp(c->line, "EHLO ", 5) == 0) {
        add_text(answer, "250-mx.example\r\n250-PIPELINING\r\n");
        add_text(answer, r->server.is_tiny ? "250 SIZE 1\r\n" : "250 8BITMIME\r\n");
    } else if (strcmp(c->line, "DATA") == 0) {
        c->is_content = true;
        add_text(answer, "354 go on\r\n");
    } else if (strcmp(c->line, "QUIT") == 0) {
        c->is_quitting = true;
        add_text(answer, "221 2.0.0 bye\r\n");
    } else {
        add_text(answer, "250 2.1.0 fine\r\n");
    }
}

static void answer(struct ring *r, int32_t file, struct due *d)
{
    struct connection *c = &r->connections[file];
    if (d->text_len == 0)
        return;
    d->at = c->answered_at = answer_time(r, c);
    d->file = file;
    d->is_answer = d->more = true;
    push(r, d);
    if (c->is_quitting)
        push(r, &(struct due){.at = d->at, .is_answer = true, .file = file});
}

static void take(struct ring *r, int32_t file, struct slice bytes)
{
    struct connection *c = &r->connections[file];
    struct due d = {0};
    for (size_t i = 0; i < bytes.len; i++) {
        char byte = (char)bytes.ptr[i];
        if (byte == '\n') {
            ASSERT(c->line_len > 0 && c->line[c->line_len - 1] == '\r');
            c->line[c->line_len - 1] = '\0';
            c->line_len = 0;
            on_line(r, c, &d);
            continue;
        }
        ASSERT(c->line_len < LINE_BYTES);
        c->line[c->line_len++] = byte;
    }
    answer(r, file, &d);
}

/* --- operations ------------------------------------------------------------------------------- */

int dial_open(const struct dial_options *options, const struct target *t, uint32_t *turn)
{
    (void)options, (void)t, (void)turn;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &the_ring->connections[i];
        if (c->is_open)
            continue;
        *c = (struct connection){.is_open = true};
        return i;
    }
    return -EMFILE;
}

void dial_set_reset(int fd)
{
    (void)fd;
}

int dial_read(int fd, void *memory, size_t cap)
{
    (void)fd, (void)memory, (void)cap;
    UNREACHABLE();
}

void dial_close(int fd)
{
    ring_close(the_ring, fd);
}

void ring_connect(struct ring *r, int32_t file, const struct sockaddr *addr, socklen_t addr_bytes,
                  struct ring_token token)
{
    (void)addr, (void)addr_bytes;
    struct due greeting = {0};
    connection_count++;
    push(r, &(struct due){.at = r->now, .token = token});
    add_text(&greeting, "220 mx.example ready\r\n");
    answer(r, file, &greeting);
}

void ring_recv_arm(struct ring *r, int32_t file, struct ring_token token)
{
    struct connection *c = &r->connections[file];
    ASSERT(c->is_open && !c->is_receiving);
    c->is_receiving = true;
    c->recv_token = token;
}

void ring_send(struct ring *r, int32_t file, struct slice bytes, struct ring_token token)
{
    take(r, file, bytes);
    push_result(r, token, (int32_t)bytes.len);
}

static void report_quietly(struct ring *r, struct ring_token token, size_t bytes)
{
    ASSERT(r->quiet_count < EVENTS_MAX);
    r->quiets[r->quiet_count++] = (struct ring_event){.token = token, .res = (int32_t)bytes};
}

void ring_send_quiet(struct ring *r, int32_t file, struct slice bytes, struct ring_token token)
{
    take(r, file, bytes);
    report_quietly(r, token, bytes.len);
}

static void take_all(struct ring *r, int32_t file, const struct msghdr *msg)
{
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        take(r, file, slice_of(msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len));
}

void ring_sendv(struct ring *r, int32_t file, const struct msghdr *msg, struct ring_token token)
{
    size_t bytes = 0;
    take_all(r, file, msg);
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        bytes += msg->msg_iov[i].iov_len;
    push_result(r, token, (int32_t)bytes);
}

void ring_sendv_quiet(struct ring *r, int32_t file, const struct msghdr *msg, size_t bytes,
                      struct ring_token token)
{
    take_all(r, file, msg);
    report_quietly(r, token, bytes);
}

void ring_shutdown_write(struct ring *r, int32_t file, struct ring_token token)
{
    (void)file;
    push_result(r, token, 0);
}

void ring_close(struct ring *r, int32_t file)
{
    ASSERT(r->connections[file].is_open);
    for (uint32_t i = r->due_count; i-- > 0;)
        if (r->due[i].is_answer && r->due[i].file == file)
            pop(r, i);
    r->connections[file] = (struct connection){0};
}

/* Receives only: nothing else of a worker can wait here. */
void ring_cancel(struct ring *r, struct ring_token target, struct ring_token token)
{
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &r->connections[i];
        if (!c->is_receiving || memcmp(&c->recv_token, &target, sizeof(target)) != 0)
            continue;
        c->is_receiving = false;
        push_result(r, target, -ECANCELED);
    }
    push_result(r, token, 0);
}

void ring_write_stream(struct ring *r, int fd, struct slice bytes, struct ring_token token)
{
    (void)fd;
    push_result(r, token, (int32_t)bytes.len);
}
