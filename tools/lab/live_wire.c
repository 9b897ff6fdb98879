/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_wire.c - owns connections between clients and the server, and when what passes on them.
 *
 *   accepted -> (three delays) -> connecting -> OPEN -+-> cut, or both have ended: gone
 *                                                     +-> silent: read and thrown away
 *
 * Each connection has a pipe each way and a listener to the conversation. Octets go into a pipe as
 * they come, and out of it when they are due, up to the next event of the conversation; what
 * follows from that is done when the octets in front of it have been written.
 *
 * Sockets are watched by edges: what they can do is remembered, and used until it fails. What is
 * due is in a heap; an entry that has become pointless is recognised by its generation.
 */
#include "lab/live_wire.h"
#include "base/assert.h"
#include "base/pool.h"
#include "lab/chance.h"
#include "lab/live_pipe.h"
#include "lab/live_talk.h"
#include "lab/process.h"
#include "lab/sim_queue.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 16384
#define BACKLOG 4096
#define EVENTS_MAX 64
#define NOTES_MAX 1000000
#define RETRY_NS NS_PER_MS /* a unix socket whose backlog is full */
#define HANDSHAKE_DELAYS 3 /* one and a half round trips */

enum way { UP, DOWN, WAYS }; /* to the server, to the client; also whose socket it comes from */

enum { MARK_LISTENER = CONNS_MAX * WAYS, MARK_TIMER, MARK_STOP }; /* beside the sockets' numbers */

struct end { /* of a connection: the client's, the server's */
    int fd;
    bool can_read, can_write;
};

struct stream { /* what comes from the end of the same number */
    struct live_pipe pipe;
    uint32_t heard;               /* octets at its front that were heard and not yet written */
    struct live_talk_event event; /* behind them */
    bool is_over;                 /* its end has been passed on, or nobody is there to read it */
};

struct conn {
    uint32_t generation;
    uint32_t message, attempt; /* of the content that came last */
    bool is_connected, is_silent;
    bool has_timer; /* in the heap */
    clock_ns timer_at;
    clock_ns connect_at, cut_at, reset_at; /* CLOCK_NEVER: not so */
    uint32_t cut_replies;                  /* 0: not so */
    struct end ends[WAYS];
    struct stream streams[WAYS];
    struct live_talk talk;
};

struct live_wire {
    struct live_wire_options options;
    struct live_link link;
    struct live_talk_config talk;
    struct pool conns;
    struct sim_queue queue;
    uint32_t generation;
    int listener, epoll, timer, stop;
    uint32_t port;
    pthread_t thread;
    bool has_thread;
    int failure;
    clock_ns lag_ns;
    uint32_t *tries; /* of each message, that have sent their content */
    uint32_t message_count;
    struct live_wire_note *notes;
    uint32_t note_count, note_cap;
};

static void fail(struct live_wire *w, int result)
{
    if (w->failure == 0)
        w->failure = result;
}

/* --- what is due ------------------------------------------------------------------------------ */

static clock_ns due_of(const struct conn *c)
{
    clock_ns due = u64_min(u64_min(c->connect_at, c->cut_at), c->reset_at);
    if (c->is_silent)
        return CLOCK_NEVER;
    for (unsigned way = 0; way < WAYS; way++) {
        const struct stream *s = &c->streams[way];
        /* Where there is no room in a socket it is that that is waited for. */
        if (!s->is_over && c->ends[way == UP ? DOWN : UP].can_write)
            due = u64_min(due, live_pipe_due(&s->pipe));
    }
    return due;
}

static void arm(struct live_wire *w, struct conn *c)
{
    clock_ns due = due_of(c);
    if (due == CLOCK_NEVER || (c->has_timer && c->timer_at <= due))
        return;
    c->has_timer = true;
    c->timer_at = due;
    const struct sim_event e = {
        .at = due, .idx = pool_index(&w->conns, c), .generation = c->generation};
    sim_queue_push(&w->queue, SIM_RANK_WIRE, e);
    if (w->queue.has_failed)
        fail(w, -ENOMEM);
}

/* --- the end ---------------------------------------------------------------------------------- */

/* With a reset where the socket knows one: a server must not take it for the end of what is said.
 */
static void break_end(struct end *e)
{
    const struct linger at_once = {.l_onoff = 1};
    if (e->fd < 0)
        return;
    (void)setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(e->fd);
    e->fd = -1;
}

static void close_end(struct end *e)
{
    if (e->fd >= 0)
        close(e->fd);
    e->fd = -1;
}

static void release(struct live_wire *w, struct conn *c)
{
    break_end(&c->ends[UP]);
    break_end(&c->ends[DOWN]);
    live_talk_deinit(&c->talk);
    c->generation = 0;
    pool_give(&w->conns, c);
}

static void note(struct live_wire *w, const struct conn *c, bool is_silent)
{
    struct timespec now;
    if (w->note_count == NOTES_MAX)
        return;
    if (w->note_count == w->note_cap) {
        uint32_t cap = w->note_cap > 0 ? 2 * w->note_cap : 256;
        struct live_wire_note *larger = realloc(w->notes, cap * sizeof(*larger));
        if (larger == NULL) {
            fail(w, -ENOMEM);
            return;
        }
        w->notes = larger;
        w->note_cap = cap;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    w->notes[w->note_count++] =
        (struct live_wire_note){.message = c->message,
                                .attempt = c->attempt,
                                .at = (wall_us)now.tv_sec * 1000000 + (wall_us)now.tv_nsec / 1000,
                                .answers = c->talk.answers,
                                .replies_seen = c->talk.replies,
                                .replies_due = live_talk_replies_due(&c->talk),
                                .is_silent = is_silent};
}

/* --- faults ----------------------------------------------------------------------------------- */

/* UINT32_MAX: not one of ours. */
static uint32_t message_of(const struct live_wire *w, const struct live_talk_event *ev)
{
    uint64_t base = 0;
    for (uint32_t i = 0; i < w->options.source_count && ev->has_id; i++) {
        const struct live_wire_source *s = &w->options.sources[i];
        if (s->run == ev->id.run && ev->id.seq < s->messages)
            return (uint32_t)(base + ev->id.seq);
        base += s->messages;
    }
    return UINT32_MAX;
}

static clock_ns after(clock_ns now, clock_ns real_ns)
{
    return real_ns == CLOCK_NEVER ? CLOCK_NEVER : now + real_ns;
}

/* The server has the content. */
static void on_content(struct live_wire *w, struct conn *c, const struct live_talk_event *ev,
                       clock_ns now)
{
    struct rng rng;
    uint32_t message = message_of(w, ev);
    if (message == UINT32_MAX)
        return;
    c->message = message;
    c->attempt = w->tries[message]++;
    chance_begin(&rng, w->options.seed, message, c->attempt);
    const struct chance chance = chance_draw(&w->options.point->faults, c->attempt, &rng);
    c->cut_at = after(now, live_time(chance.cut_after_ns, w->options.time_scale_ns));
    c->cut_replies = chance.cut_replies;
    if (chance.is_silent) {
        note(w, c, true);
        c->is_silent = true;
    }
}

static void on_talk(struct live_wire *w, struct conn *c, const struct live_talk_event *ev,
                    clock_ns now)
{
    switch (ev->kind) {
    case LIVE_TALK_MORE:
        return;
    case LIVE_TALK_BEGIN: /* the one before is over */
        c->cut_at = CLOCK_NEVER;
        c->cut_replies = 0;
        return;
    case LIVE_TALK_CONTENT:
        on_content(w, c, ev, now);
        return;
    case LIVE_TALK_ANSWER:
        if (c->cut_replies > 0 && c->talk.answers >= c->cut_replies)
            c->cut_at = now;
        return;
    }
    UNREACHABLE();
}

/* --- octets ----------------------------------------------------------------------------------- */

/* An end has broken, or does not want what it gets: the other one learns it a delay later. */
static void on_broken(struct live_wire *w, struct conn *c, enum way from, clock_ns now)
{
    c->ends[from].can_read = c->ends[from].can_write = false;
    c->streams[from == UP ? DOWN : UP].is_over = true;
    c->reset_at = u64_min(c->reset_at, now + w->link.delay_ns);
}

/* False: there is nothing more to read now. */
static bool read_some(struct live_wire *w, struct conn *c, enum way from, clock_ns now)
{
    struct end *e = &c->ends[from];
    struct stream *s = &c->streams[from];
    uint8_t rest[LIVE_PIPE_PIECE_BYTES_MAX], *at = rest;
    size_t room = c->is_silent ? sizeof(rest) : live_pipe_room(&s->pipe, &at);
    if (!e->can_read || room == 0)
        return false;
    ssize_t len = recv(e->fd, at, room, MSG_DONTWAIT);
    if (len < 0 && errno == EINTR)
        return true;
    if (len > 0) {
        if (!c->is_silent)
            live_pipe_put(&s->pipe, (size_t)len, now);
        return true;
    }
    e->can_read = false;
    if (len < 0 && errno == EAGAIN)
        return false;
    if (c->is_silent)
        close_end(e); /* nobody is told */
    else if (len == 0)
        live_pipe_end(&s->pipe, now);
    else
        on_broken(w, c, from, now);
    return false;
}

/* What is next to be written to the other end: octets that have been heard. */
static struct slice next_octets(struct conn *c, enum way from, clock_ns now)
{
    struct stream *s = &c->streams[from];
    struct slice bytes = live_pipe_peek(&s->pipe, now);
    if (s->heard == 0 && bytes.len > 0)
        s->heard = (uint32_t)(from == UP ? live_talk_up(&c->talk, bytes, &s->event)
                                         : live_talk_down(&c->talk, bytes, &s->event));
    return slice_first(bytes, s->heard);
}

/* False: nothing more is due, or can be written. */
static bool write_some(struct live_wire *w, struct conn *c, enum way from, clock_ns now)
{
    enum way to = from == UP ? DOWN : UP;
    struct end *e = &c->ends[to];
    struct stream *s = &c->streams[from];
    if (s->is_over || !e->can_write || c->is_silent || c->cut_at <= now)
        return false;
    if (s->heard == 0 && live_pipe_due(&s->pipe) <= now)
        w->lag_ns = u64_max(w->lag_ns, now - live_pipe_due(&s->pipe));
    struct slice bytes = next_octets(c, from, now);
    if (bytes.len == 0) {
        if (!live_pipe_has_ended(&s->pipe, now))
            return false;
        s->is_over = true;
        (void)shutdown(e->fd, SHUT_WR);
        return false;
    }
    ssize_t len = send(e->fd, bytes.ptr, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (len < 0 && errno == EINTR)
        return true;
    if (len < 0 && errno == EAGAIN) {
        e->can_write = false;
        return false;
    }
    if (len < 0) {
        on_broken(w, c, to, now);
        return false;
    }
    live_pipe_take(&s->pipe, (size_t)len);
    s->heard -= (uint32_t)len;
    if (s->heard == 0)
        on_talk(w, c, &s->event, now);
    return true;
}

/* --- a connection ----------------------------------------------------------------------------- */

static bool watch(const struct live_wire *w, int fd, uint32_t mark, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.u32 = mark};
    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) == 0;
}

static bool watch_end(const struct live_wire *w, const struct conn *c, enum way end)
{
    const int on = 1;
    int fd = c->ends[end].fd;
    if (w->options.path == NULL)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return watch(w, fd, pool_index(&w->conns, c) * WAYS + end, EPOLLIN | EPOLLOUT | EPOLLET);
}

static void connect_server(struct live_wire *w, struct conn *c, clock_ns now)
{
    const struct live_wire_options *o = &w->options;
    struct end *e = &c->ends[DOWN];
    c->connect_at = CLOCK_NEVER;
    e->fd = socket(o->server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (e->fd < 0) {
        fail(w, -errno);
        return;
    }
    int result = connect(e->fd, (const struct sockaddr *)&o->server, o->server_len);
    if (result < 0 && errno == EAGAIN) {
        close_end(e);
        c->connect_at = now + RETRY_NS;
    } else if (result < 0 && errno != EINPROGRESS) {
        fail(w, -errno);
    } else if (!watch_end(w, c, DOWN)) {
        fail(w, -errno);
    } else {
        c->is_connected = true; /* or will be: what is written before has to wait */
    }
}

static bool has_ended(const struct conn *c)
{
    if (c->is_silent)
        return c->ends[UP].fd < 0 && c->ends[DOWN].fd < 0;
    return c->streams[UP].is_over && c->streams[DOWN].is_over && c->reset_at == CLOCK_NEVER;
}

/* Everything that can be done now. */
static void go_on(struct live_wire *w, struct conn *c, clock_ns now)
{
    bool goes_on = true;
    if (c->connect_at <= now)
        connect_server(w, c, now);
    while (goes_on) {
        goes_on = false;
        for (unsigned way = 0; way < WAYS; way++) {
            goes_on |= read_some(w, c, (enum way)way, now);
            goes_on |= c->is_connected && write_some(w, c, (enum way)way, now);
        }
    }
    if (c->cut_at <= now && !c->is_silent) {
        w->lag_ns = u64_max(w->lag_ns, now - c->cut_at);
        note(w, c, false);
        release(w, c);
    } else if (c->reset_at <= now && !c->is_silent) {
        release(w, c);
    } else if (has_ended(c)) {
        close_end(&c->ends[UP]);
        close_end(&c->ends[DOWN]);
        release(w, c);
    } else {
        arm(w, c);
    }
}

/* --- turns ------------------------------------------------------------------------------------ */

static void open_conn(struct live_wire *w, int fd, clock_ns now)
{
    struct conn *c = pool_take(&w->conns);
    int result = c == NULL ? -ENOMEM : live_talk_init(&c->talk, &w->talk);
    if (result < 0) {
        if (c != NULL)
            pool_give(&w->conns, c);
        close(fd);
        fail(w, result);
        return;
    }
    c->generation = ++w->generation;
    c->message = c->attempt = c->cut_replies = 0;
    c->is_connected = c->is_silent = c->has_timer = false;
    c->connect_at = now + HANDSHAKE_DELAYS * w->link.delay_ns;
    c->cut_at = c->reset_at = c->timer_at = CLOCK_NEVER;
    for (unsigned way = 0; way < WAYS; way++) {
        struct stream *s = &c->streams[way];
        live_pipe_init(&s->pipe, &w->link);
        s->heard = 0;
        s->is_over = false;
        c->ends[way] = (struct end){.fd = -1};
    }
    c->ends[UP].fd = fd;
    if (!watch_end(w, c, UP))
        fail(w, -errno);
    go_on(w, c, now);
}

static void on_listener(struct live_wire *w, clock_ns now)
{
    int fd;
    while ((fd = accept4(w->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        open_conn(w, fd, now);
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
        fail(w, -errno);
}

static void on_socket(struct live_wire *w, const struct epoll_event *ev, clock_ns now)
{
    uint32_t idx = ev->data.u32 / WAYS;
    if (!pool_is_taken(&w->conns, idx))
        return;
    struct conn *c = pool_at(&w->conns, idx);
    struct end *e = &c->ends[ev->data.u32 % WAYS];
    if (e->fd < 0)
        return; /* closed in this very turn */
    e->can_read |= (ev->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
    e->can_write |= (ev->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    go_on(w, c, now);
}

static void run_due(struct live_wire *w, clock_ns now)
{
    struct sim_event e;
    while (w->queue.count > 0 && w->queue.heap[0].at <= now && sim_queue_pop(&w->queue, &e)) {
        if (!pool_is_taken(&w->conns, e.idx))
            continue;
        struct conn *c = pool_at(&w->conns, e.idx);
        if (c->generation != e.generation)
            continue;
        if (e.at == c->timer_at)
            c->has_timer = false;
        go_on(w, c, now);
    }
}

static void set_timer(const struct live_wire *w)
{
    clock_ns at = w->queue.count > 0 ? w->queue.heap[0].at : 0; /* 0: none */
    const struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)}};
    (void)timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void release_all(struct live_wire *w)
{
    for (uint32_t i = 0; w->conns.objects != NULL && i < CONNS_MAX; i++)
        if (pool_is_taken(&w->conns, i))
            release(w, pool_at(&w->conns, i));
}

/* So that nobody waits for what will not come. */
static void give_up(struct live_wire *w)
{
    close(w->listener);
    w->listener = -1;
    release_all(w);
}

static void *run(void *arg)
{
    struct live_wire *w = arg;
    struct epoll_event events[EVENTS_MAX];
    bool is_stopping = false;
    while (!is_stopping && w->failure == 0) {
        uint64_t ticks;
        set_timer(w);
        int count = epoll_wait(w->epoll, events, EVENTS_MAX, -1);
        clock_ns now = process_now();
        if (count < 0 && errno != EINTR)
            fail(w, -errno);
        for (int i = 0; i < count; i++) {
            if (events[i].data.u32 == MARK_STOP)
                is_stopping = true;
            else if (events[i].data.u32 == MARK_TIMER)
                (void)!read(w->timer, &ticks, sizeof(ticks));
            else if (events[i].data.u32 == MARK_LISTENER)
                on_listener(w, now);
            else
                on_socket(w, &events[i], now);
        }
        run_due(w, process_now());
    }
    if (w->failure < 0)
        give_up(w);
    return NULL;
}

/* --- begin and end ---------------------------------------------------------------------------- */

static int listen_on(struct live_wire *w)
{
    const char *path = w->options.path;
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(any);
    if (path != NULL && strlen(path) >= sizeof(local.sun_path))
        return -ENAMETOOLONG;
    if (path != NULL)
        memcpy(local.sun_path, path, strlen(path));
    w->listener =
        socket(path != NULL ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->listener < 0)
        return -errno;
    const struct sockaddr *address = path != NULL ? (void *)&local : (void *)&any;
    if (bind(w->listener, address, path != NULL ? sizeof(local) : sizeof(any)) < 0 ||
        listen(w->listener, BACKLOG) < 0)
        return -errno;
    if (path == NULL && getsockname(w->listener, (struct sockaddr *)&any, &len) < 0)
        return -errno;
    w->port = path == NULL ? ntohs(any.sin_port) : 0;
    return 0;
}

/* Two descriptors a connection; what the system allows is enough or will be missed by name. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_all(struct live_wire *w)
{
    int result = listen_on(w);
    if (result < 0)
        return result;
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    w->stop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->epoll < 0 || w->timer < 0 || w->stop < 0)
        return -errno;
    if (!watch(w, w->listener, MARK_LISTENER, EPOLLIN) ||
        !watch(w, w->timer, MARK_TIMER, EPOLLIN) || !watch(w, w->stop, MARK_STOP, EPOLLIN))
        return -errno;
    result = pool_init(&w->conns, sizeof(struct conn), CONNS_MAX);
    if (result == 0)
        result = live_talk_configure(&w->talk, w->options.point);
    if (result == 0)
        result = -pthread_create(&w->thread, NULL, run, w);
    w->has_thread = result == 0;
    return result;
}

static void set_link(struct live_wire *w)
{
    const struct lab_faults *f = &w->options.point->faults;
    clock_ns scale = w->options.time_scale_ns;
    w->link.delay_ns = live_time(f->one_way_ns, scale);
    if (lab_faults_have(f, LAB_CUT_SLOW))
        w->link.bytes_per_s = (double)f->bytes_per_s * (double)NS_PER_S / (double)scale;
}

int live_wire_start(const struct live_wire_options *options, struct live_wire **ret_wire)
{
    struct live_wire *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return -ENOMEM;
    w->options = *options;
    w->listener = w->epoll = w->timer = w->stop = -1;
    for (uint32_t i = 0; i < options->source_count; i++)
        w->message_count += (uint32_t)options->sources[i].messages;
    w->tries = calloc(w->message_count + 1, sizeof(*w->tries));
    set_link(w);
    raise_limit();
    int result = w->tries == NULL ? -ENOMEM : open_all(w);
    if (result < 0) {
        live_wire_free(w);
        return result;
    }
    *ret_wire = w;
    return 0;
}

uint32_t live_wire_port(const struct live_wire *w)
{
    return w->port;
}

int live_wire_stop(struct live_wire *w, clock_ns *lag_ns)
{
    const uint64_t one = 1;
    if (w->has_thread) {
        ssize_t written = write(w->stop, &one, sizeof(one));
        ASSERT(written == sizeof(one));
        pthread_join(w->thread, NULL);
        w->has_thread = false;
    }
    *lag_ns = u64_max(*lag_ns, w->lag_ns);
    return w->failure;
}

const struct live_wire_note *live_wire_notes(const struct live_wire *w, uint32_t *ret_count)
{
    ASSERT(!w->has_thread);
    *ret_count = w->note_count;
    return w->notes;
}

void live_wire_free(struct live_wire *w)
{
    clock_ns lag = 0;
    if (w == NULL)
        return;
    int result = live_wire_stop(w, &lag); /* it was told to whoever stopped it before */
    (void)result;
    release_all(w);
    pool_deinit(&w->conns);
    sim_queue_deinit(&w->queue);
    live_talk_unconfigure(&w->talk);
    const int fds[] = {w->listener, w->epoll, w->timer, w->stop};
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(w->tries);
    free(w->notes);
    free(w);
}
