/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simring.c - see simring.h.
 *
 * Operations and network happenings are entries of one heap ordered by (time, number). Each file of
 * the shard's table is a simpeer. A multishot receive is a flag on the peer; bytes that arrive are
 * delivered to it as soon as a buffer is free, RECV_BURST_MAX buffers at once at most, and it ends
 * with -ENOBUFS when none is, as the kernel does.
 */
#include "simring.h"
#include "base/assert.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SIM_FILES_MAX 4096
#define SIM_EVENTS_MAX 65536
#define SIM_BYTES_MAX (64 * MIB)
#define RECV_BURST_MAX 32 /* MULTISHOT_MAX_RETRY: then others have their turn */

enum happening_kind {
    HAPPEN_RESULT, /* an operation completes */
    HAPPEN_ARRIVE, /* bytes reach the server */
    HAPPEN_END,    /* the client's end reaches the server */
    HAPPEN_RESET,  /* as above, and nothing else can */
    HAPPEN_CONNECT,
};

struct happening {
    clock_ns at;
    uint64_t number;
    enum happening_kind kind;
    struct ring_token token;
    int32_t res;
    struct simpeer *peer;
    size_t len;
    int fd; /* RING_WRITE, RING_SYNC */
    const struct iovec *iov;
    uint32_t iov_count;
    uint64_t offset;
    struct ring_token sync_token; /* kind 0: no linked sync */
    struct sockaddr_storage *addr;
    struct slice bytes;
    uint64_t link; /* sends that wait for it, of a write; 0: none can */
    bool is_parts; /* linked sends of one connection */
    bool is_dsync; /* a write that ends when its bytes are on stable storage */
};

/* Sends that wait for a write. */
struct link {
    uint64_t number;
    struct happening send;
};

/* What was in a file before a write that no sync has followed yet. */
struct unsynced {
    int fd; /* ours */
    ino_t inode;
    uint64_t offset;
    size_t len;
    uint8_t *before;
};

struct simpeer {
    struct ring *ring;
    uint64_t number;
    int32_t file;
    int listen_fd;
    bool is_connected, is_accepted, is_server_closed, is_server_shut, is_client_shut, is_end_seen,
        is_reset;
    bool is_gone; /* the client's program has ended */
    bool was_cut;
    bool is_reading;
    size_t window_left;
    uint8_t *in; /* client to server: [in_taken, in_arrived) waits for a receive */
    size_t in_len, in_arrived, in_taken;
    clock_ns in_last; /* arrival time of the last segment scheduled: order is kept */
    uint8_t *out;
    size_t out_len;
    bool is_recv_armed, is_sending, is_watched;
    struct ring_token recv_token, send_token, watch_token;
    struct slice send_bytes;
    bool has_parts; /* linked sends are in flight */
    uint32_t sends, linked;
};

struct ring {
    struct window_source source; /* first */
    struct sim_options options;
    struct rng rng;
    clock_ns now;
    clock_ns disk_hangs_until, log_hangs_until;
    uint64_t number;
    struct happening *heap;
    uint32_t heap_len;
    struct simpeer **peers;
    uint32_t peer_count, peer_cap;
    struct simpeer *files[SIM_FILES_MAX];
    uint32_t file_top; /* no file at or above was ever used */
    struct ring_token accept_tokens[64];
    int accept_fds[64];
    uint32_t accept_count;
    struct unsynced *unsynced;
    uint32_t unsynced_count, unsynced_cap;
    uint8_t *buffers;
    uint32_t *references;
    uint32_t *free_ids;
    uint32_t buffer_count, buffer_bytes, free_count;
    struct ring_event *events;
    uint32_t event_count;
    struct ring_event quiets[SIM_FILES_MAX]; /* results that come with the next other one */
    uint32_t quiet_count;
    uint64_t link_last; /* number of the write that was asked for last */
    bool is_link_open;  /* sends may be linked behind it */
    struct link links[SIM_FILES_MAX];
    uint32_t link_count;
    size_t parts_bytes_max;
    struct ring_counters counters;
};

static struct sim_options configured;

void sim_configure(const struct sim_options *options)
{
    configured = *options;
}

struct rng *sim_rng(struct ring *r)
{
    return &r->rng;
}

void sim_set_faults(struct ring *r, uint32_t write_error_percent, uint32_t sync_error_percent)
{
    r->options.write_error_percent = write_error_percent;
    r->options.sync_error_percent = sync_error_percent;
}

void sim_cut_parts(struct ring *r, size_t bytes)
{
    r->parts_bytes_max = bytes;
}

void sim_set_network(struct ring *r, uint64_t network_ns_max)
{
    r->options.network_ns_max = network_ns_max;
}

void sim_set_disk(struct ring *r, uint64_t disk_ns_max)
{
    r->options.disk_ns_max = disk_ns_max;
}

void sim_hang_disk(struct ring *r, clock_ns until, bool and_log)
{
    r->disk_hangs_until = until;
    r->log_hangs_until = and_log ? until : 0;
}

/* --- heap ------------------------------------------------------------------------------------- */

static bool is_before(const struct happening *a, const struct happening *b)
{
    return a->at < b->at || (a->at == b->at && a->number < b->number);
}

static void heap_push(struct ring *r, struct happening h)
{
    ASSERT(r->heap_len < SIM_EVENTS_MAX);
    h.number = r->number++;
    uint32_t i = r->heap_len++;
    while (i > 0 && is_before(&h, &r->heap[(i - 1) / 2])) {
        r->heap[i] = r->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    r->heap[i] = h;
}

static struct happening heap_pop(struct ring *r)
{
    struct happening top = r->heap[0];
    struct happening last = r->heap[--r->heap_len];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= r->heap_len)
            break;
        if (child + 1 < r->heap_len && is_before(&r->heap[child + 1], &r->heap[child]))
            child++;
        if (!is_before(&r->heap[child], &last))
            break;
        r->heap[i] = r->heap[child];
        i = child;
    }
    if (r->heap_len > 0)
        r->heap[i] = last;
    return top;
}

static clock_ns later(struct ring *r, uint64_t ns_max)
{
    return r->now + 1000 + (ns_max > 0 ? rng_below(&r->rng, ns_max) : 0);
}

static clock_ns disk_later(struct ring *r)
{
    clock_ns at = later(r, r->options.disk_ns_max);
    return r->now < r->disk_hangs_until ? r->disk_hangs_until + (at - r->now) : at;
}

static bool chance(struct ring *r, uint32_t percent)
{
    return percent > 0 && rng_below(&r->rng, 100) < percent;
}

static void schedule_result(struct ring *r, struct ring_token token, int32_t res, uint64_t ns_max)
{
    heap_push(r, (struct happening){
                     .at = later(r, ns_max), .kind = HAPPEN_RESULT, .token = token, .res = res});
}

/* --- life ------------------------------------------------------------------------------------- */

static void source_pin(struct window_source *source, uint32_t id)
{
    struct ring *r = CONTAINER_OF(source, struct ring, source);
    ASSERT(r->references[id] > 0);
    r->references[id]++;
}

static void source_unpin(struct window_source *source, uint32_t id)
{
    struct ring *r = CONTAINER_OF(source, struct ring, source);
    ASSERT(r->references[id] > 0);
    if (--r->references[id] == 0) {
        /* What still looks at it now sees rubbish. */
        memset(r->buffers + (size_t)id * r->buffer_bytes, 0xDD, r->buffer_bytes);
        r->free_ids[r->free_count++] = id;
    }
}

static const struct window_ops sim_window_ops = {.pin = source_pin, .unpin = source_unpin};

int ring_new(const struct ring_options *options, struct ring **ret_ring)
{
    struct ring *r = calloc(1, sizeof(*r));
    ASSERT(r != NULL);
    r->source.ops = &sim_window_ops;
    r->options = configured;
    rng_init(&r->rng, configured.seed);
    r->now = NS_PER_S;
    r->parts_bytes_max = SIZE_MAX;
    r->buffer_count = options->buffer_count;
    r->buffer_bytes = options->buffer_bytes;
    r->free_count = options->buffer_count;
    r->buffers = malloc((size_t)r->buffer_count * r->buffer_bytes);
    r->references = calloc(r->buffer_count, sizeof(*r->references));
    r->free_ids = calloc(r->buffer_count, sizeof(*r->free_ids));
    r->heap = calloc(SIM_EVENTS_MAX, sizeof(*r->heap));
    r->events = calloc(SIM_EVENTS_MAX, sizeof(*r->events));
    ASSERT(r->buffers && r->references && r->free_ids && r->heap && r->events);
    for (uint32_t i = 0; i < r->buffer_count; i++)
        r->free_ids[i] = i;
    *ret_ring = r;
    return 0;
}

/* @fd is synced from @from to @to; -1: all files. */
static void unsynced_forget(struct ring *r, int fd, uint64_t from, uint64_t to)
{
    struct stat st = {0};
    uint32_t kept = 0;
    ASSERT(fd < 0 || fstat(fd, &st) == 0);
    for (uint32_t i = 0; i < r->unsynced_count; i++) {
        const struct unsynced *u = &r->unsynced[i];
        bool is_inside = u->offset >= from && u->offset + u->len <= to;
        if (fd < 0 || (u->inode == st.st_ino && is_inside)) {
            close(r->unsynced[i].fd);
            free(r->unsynced[i].before);
        } else {
            r->unsynced[kept++] = r->unsynced[i];
        }
    }
    r->unsynced_count = kept;
}

uint32_t sim_power_cut(struct ring *r, const char *dir)
{
    char link[64], path[512], name[512];
    uint32_t lost = 0;
    for (uint32_t i = r->unsynced_count; i-- > 0;) { /* the newest first */
        const struct unsynced *u = &r->unsynced[i];
        if (chance(r, 50))
            continue;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", u->fd);
        ssize_t len = readlink(link, path, sizeof(path) - 1);
        ASSERT(len > 0);
        path[len] = 0;
        snprintf(name, sizeof(name), "%s/%s", dir, strrchr(path, '/') + 1);
        int fd = open(name, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            continue; /* recycled meanwhile */
        ssize_t put = pwrite(fd, u->before, u->len, (off_t)u->offset);
        ASSERT(put == (ssize_t)u->len);
        close(fd);
        lost++;
    }
    return lost;
}

void ring_free(struct ring *r)
{
    if (r == NULL)
        return;
    for (uint32_t i = 0; i < r->peer_count; i++) {
        free(r->peers[i]->in);
        free(r->peers[i]->out);
        free(r->peers[i]);
    }
    unsynced_forget(r, -1, 0, UINT64_MAX);
    free(r->unsynced);
    free(r->buffers);
    free(r->references);
    free(r->free_ids);
    free(r->peers);
    free(r->heap);
    free(r->events);
    free(r);
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
    return 1700000000u * (wall_us)1000000 + r->now / NS_PER_US;
}

uint32_t ring_buffers_free(const struct ring *r)
{
    return r->free_count;
}

uint32_t ring_buffers_count(const struct ring *r)
{
    return r->buffer_count;
}

const struct ring_counters *ring_counters(const struct ring *r)
{
    return &r->counters;
}

uint32_t sim_files_open(const struct ring *r)
{
    uint32_t count = 0;
    for (uint32_t f = 0; f < r->file_top; f++)
        count += r->files[f] != NULL;
    return count;
}

static void watch_run(struct ring *r, struct simpeer *p);

/* --- results ---------------------------------------------------------------------------------- */

/* Results of quiet operations come with whatever ends a turn, and before it. */
static void quiets_report(struct ring *r)
{
    memcpy(r->events, r->quiets, r->quiet_count * sizeof(*r->quiets));
    r->event_count = r->quiet_count;
    r->quiet_count = 0;
}

static struct ring_event *event_add(struct ring *r, struct ring_token token, int32_t res, bool more)
{
    if (r->event_count == 0)
        quiets_report(r);
    ASSERT(r->event_count < SIM_EVENTS_MAX);
    struct ring_event *ev = &r->events[r->event_count++];
    *ev = (struct ring_event){.token = token, .res = res, .more = more};
    return ev;
}

static void recv_end(struct ring *r, struct simpeer *p, int32_t res)
{
    p->is_recv_armed = false;
    event_add(r, p->recv_token, res, false);
}

static void recv_run(struct ring *r, struct simpeer *p)
{
    uint32_t burst = 0;
    while (p->is_recv_armed && p->in_taken < p->in_arrived) {
        if (burst++ == RECV_BURST_MAX) { /* the rest comes in the next turn */
            heap_push(r, (struct happening){.at = r->now + 30 * NS_PER_US,
                                            .kind = HAPPEN_RESULT,
                                            .token = p->recv_token,
                                            .peer = p});
            return;
        }
        if (r->free_count == 0) {
            r->counters.no_buffers++;
            recv_end(r, p, -ENOBUFS);
            return;
        }
        uint32_t id = r->free_ids[--r->free_count];
        size_t len = size_min(p->in_arrived - p->in_taken, r->buffer_bytes);
        uint8_t *to = r->buffers + (size_t)id * r->buffer_bytes;
        memcpy(to, p->in + p->in_taken, len);
        p->in_taken += len;
        r->references[id] = 1;
        struct ring_event *ev = event_add(r, p->recv_token, (int32_t)len, true);
        ev->window = (struct window){slice_of(to, len), &r->source, id};
    }
    if (p->is_recv_armed && p->is_reset)
        recv_end(r, p, -ECONNRESET);
    else if (p->is_recv_armed && p->is_end_seen && p->in_taken == p->in_arrived)
        recv_end(r, p, 0);
}

static void out_append(struct simpeer *p, struct slice bytes)
{
    uint8_t *out = realloc(p->out, p->out_len + bytes.len + 1);
    ASSERT(out != NULL);
    memcpy(out + p->out_len, bytes.ptr, bytes.len);
    p->out = out;
    p->out_len += bytes.len;
}

static void send_deliver(struct ring *r, struct simpeer *p, struct slice bytes)
{
    if (!p->is_reading)
        p->window_left -= bytes.len;
    if (!p->is_gone) {
        out_append(p, bytes);
        return;
    }
    /* Taken by our kernel, answered with a reset by the client's. */
    clock_ns at = later(r, r->options.network_ns_max);
    heap_push(r, (struct happening){.at = at, .kind = HAPPEN_RESET, .peer = p});
}

static void send_run(struct ring *r, struct simpeer *p)
{
    if (!p->is_sending)
        return;
    if (p->is_reset) {
        p->is_sending = false;
        event_add(r, p->send_token, -EPIPE, false);
        return;
    }
    size_t len = p->send_bytes.len;
    if (!p->is_reading && len > p->window_left)
        return; /* MSG_WAITALL: waits for room */
    if (len > 1 && chance(r, r->options.short_send_percent))
        len = 1 + rng_below(&r->rng, len - 1);
    send_deliver(r, p, slice_first(p->send_bytes, len));
    p->is_sending = false;
    event_add(r, p->send_token, (int32_t)len, false);
}

/* Linked sends of one connection: all of them, or up to where one was not taken in full. */
static void parts_run(struct ring *r, const struct happening *h)
{
    struct simpeer *p = h->peer;
    ASSERT(p->has_parts && !p->is_sending && !p->is_server_closed);
    p->has_parts = false;
    size_t len = size_min(h->bytes.len, r->parts_bytes_max);
    if (!p->is_reading)
        len = size_min(len, p->window_left);
    if (len > 0 && chance(r, r->options.short_send_percent))
        len = rng_below(&r->rng, len);
    if (p->is_reset || p->is_server_shut || len == 0) {
        event_add(r, h->token, p->is_reset || p->is_server_shut ? -EPIPE : -EAGAIN, false);
        return;
    }
    send_deliver(r, p, slice_first(h->bytes, len));
    event_add(r, h->token, (int32_t)len, false);
}

/* What the sends linked behind a write waited for is known. */
static void links_run(struct ring *r, uint64_t number, bool is_good)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->link_count; i++) {
        struct link *l = &r->links[i];
        if (l->number != number) {
            r->links[kept++] = *l;
            continue;
        }
        l->send.at = later(r, r->options.network_ns_max);
        if (!is_good) {
            l->send.peer->has_parts = false;
            l->send.is_parts = false;
            l->send.peer = NULL;
            l->send.res = -ECANCELED;
        }
        heap_push(r, l->send);
    }
    r->link_count = kept;
}

/* A connection that nobody accepts waits in the listening socket's queue. */
static void accept_run(struct ring *r, struct simpeer *p)
{
    p->is_connected = true;
    for (uint32_t i = 0; i < r->accept_count; i++) {
        if (r->accept_fds[i] != p->listen_fd)
            continue;
        for (uint32_t f = 0; f < SIM_FILES_MAX; f++) {
            if (r->files[f] != NULL)
                continue;
            r->files[f] = p;
            r->file_top = r->file_top > f ? r->file_top : f + 1;
            p->file = (int32_t)f;
            p->is_accepted = true;
            event_add(r, r->accept_tokens[i], p->file, true);
            return;
        }
    }
}

/* What lies under the write is kept until a sync: a power cut may bring it back. */
static void unsynced_add(struct ring *r, int fd, uint64_t offset, size_t len)
{
    struct stat st;
    if (r->unsynced_count == r->unsynced_cap) {
        r->unsynced_cap = 2 * r->unsynced_cap + 16;
        r->unsynced = realloc(r->unsynced, r->unsynced_cap * sizeof(*r->unsynced));
        ASSERT(r->unsynced != NULL);
    }
    struct unsynced *u = &r->unsynced[r->unsynced_count++];
    *u = (struct unsynced){.fd = dup(fd), .offset = offset, .len = len, .before = calloc(1, len)};
    ASSERT(u->fd >= 0 && u->before != NULL && fstat(fd, &st) == 0);
    u->inode = st.st_ino;
    ssize_t got = pread(fd, u->before, len, (off_t)offset);
    ASSERT(got >= 0);
}

static size_t iov_bytes(const struct iovec *iov, uint32_t iov_count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < iov_count; i++)
        bytes += iov[i].iov_len;
    return bytes;
}

/* The first @len bytes of the vector. */
static ssize_t write_some(const struct happening *h, size_t len)
{
    size_t done = 0;
    for (uint32_t i = 0; i < h->iov_count && done < len; i++) {
        size_t part = size_min(h->iov[i].iov_len, len - done);
        if (pwrite(h->fd, h->iov[i].iov_base, part, (off_t)(h->offset + done)) != (ssize_t)part)
            return -errno;
        done += part;
    }
    return (ssize_t)done;
}

static void write_run(struct ring *r, const struct happening *h)
{
    size_t want = iov_bytes(h->iov, h->iov_count);
    size_t len = want;
    int32_t res = h->res;
    if (len > 1 && chance(r, r->options.short_write_percent))
        len = 1 + rng_below(&r->rng, len - 1);
    if (res == 0) {
        unsynced_add(r, h->fd, h->offset, len);
        res = (int32_t)write_some(h, len);
    }
    if (h->is_dsync && res > 0) {
        if (chance(r, r->options.sync_error_percent))
            res = -EIO;
        else
            unsynced_forget(r, h->fd, h->offset, h->offset + len);
    }
    event_add(r, h->token, res, false);
    bool is_good = res >= 0 && (size_t)res == want;
    if (h->sync_token.kind != RING_SYNC) {
        links_run(r, h->link, is_good);
    } else if (is_good) {
        ring_datasync(r, h->fd, h->sync_token);
    } else {
        event_add(r, h->sync_token, -ECANCELED, false);
    }
}

static void sync_run(struct ring *r, const struct happening *h)
{
    if (h->res == 0)
        unsynced_forget(r, h->fd, 0, UINT64_MAX);
    event_add(r, h->token, h->res, false);
}

static void happen(struct ring *r, struct happening h)
{
    struct simpeer *p = h.peer;
    switch (h.kind) {
    case HAPPEN_CONNECT:
        if (!p->is_accepted)
            accept_run(r, p);
        break;
    case HAPPEN_ARRIVE:
        p->in_arrived += h.len;
        if (p->is_accepted && !p->is_server_closed)
            recv_run(r, p);
        break;
    case HAPPEN_RESET:
        p->is_reset = true;
        /* fall through */
    case HAPPEN_END:
        p->is_end_seen = true;
        if (p->is_accepted && !p->is_server_closed) {
            recv_run(r, p);
            send_run(r, p);
            watch_run(r, p);
        }
        break;
    case HAPPEN_RESULT:
        if (h.is_parts)
            parts_run(r, &h);
        else if (h.token.kind == RING_SEND && p != NULL)
            send_run(r, p);
        else if (h.token.kind == RING_RECV && p != NULL)
            recv_run(r, p);
        else if (h.token.kind == RING_POLL && p != NULL)
            watch_run(r, p);
        else if (h.token.kind == RING_WRITE && h.iov != NULL)
            write_run(r, &h);
        else if (h.token.kind == RING_SYNC)
            sync_run(r, &h);
        else
            event_add(r, h.token, h.res, false);
        break;
    }
}

int ring_turn(struct ring *r, uint64_t timeout_ns, const struct ring_event **ret_events)
{
    r->event_count = 0;
    r->is_link_open = false;
    r->counters.turns++;
    clock_ns limit = timeout_ns == CLOCK_NEVER ? CLOCK_NEVER : r->now + timeout_ns;
    while (r->heap_len > 0 && r->event_count == 0 && r->heap[0].at <= limit) {
        r->now = u64_max(r->now, r->heap[0].at);
        /* Gather what is due by now, and sometimes a little more, as a busy loop would. */
        clock_ns until = r->now + rng_below(&r->rng, 20 * NS_PER_US);
        while (r->heap_len > 0 && r->heap[0].at <= until && r->event_count < 512) {
            r->now = u64_max(r->now, r->heap[0].at);
            happen(r, heap_pop(r));
        }
    }
    if (r->event_count == 0 && limit != CLOCK_NEVER)
        r->now = u64_max(r->now, limit);
    if (r->event_count == 0)
        quiets_report(r);
    *ret_events = r->events;
    return (int)r->event_count;
}

/* --- operations ------------------------------------------------------------------------------- */

void ring_accept_arm(struct ring *r, int listen_fd, struct ring_token token)
{
    ASSERT(r->accept_count < ARRAY_COUNT(r->accept_fds));
    r->accept_fds[r->accept_count] = listen_fd;
    r->accept_tokens[r->accept_count++] = token;
    for (uint32_t i = 0; i < r->peer_count; i++)
        if (r->peers[i]->is_connected && !r->peers[i]->is_accepted)
            heap_push(
                r, (struct happening){.at = r->now, .kind = HAPPEN_CONNECT, .peer = r->peers[i]});
}

void ring_peername(struct ring *r, int32_t file, struct sockaddr_storage *addr,
                   struct ring_token token)
{
    struct simpeer *p = r->files[file];
    ASSERT(p != NULL);
    memset(addr, 0, sizeof(*addr));
    struct {
        sa_family_t family;
        uint16_t port;
        uint32_t ip;
    } v4 = {AF_INET, (uint16_t)p->number, 0x0100007F};
    memcpy(addr, &v4, sizeof(v4));
    schedule_result(r, token, 0, 0);
}

void ring_recv_arm(struct ring *r, int32_t file, struct ring_token token)
{
    struct simpeer *p = r->files[file];
    ASSERT(p != NULL && !p->is_recv_armed);
    p->is_recv_armed = true;
    p->recv_token = token;
    heap_push(r,
              (struct happening){.at = r->now, .kind = HAPPEN_RESULT, .token = token, .peer = p});
}

void ring_send(struct ring *r, int32_t file, struct slice bytes, struct ring_token token)
{
    struct simpeer *p = r->files[file];
    ASSERT(p != NULL && !p->is_sending && !p->has_parts && !p->is_server_shut);
    ASSERT(bytes.len > 0);
    p->is_sending = true;
    p->sends++;
    p->send_token = token;
    p->send_bytes = bytes;
    heap_push(r, (struct happening){.at = later(r, r->options.network_ns_max),
                                    .kind = HAPPEN_RESULT,
                                    .token = token,
                                    .peer = p});
}

/* Sends what fits now; the result comes with the next thing that completes. */
static int32_t send_quiet(struct ring *r, int32_t file, struct slice bytes, struct ring_token token)
{
    struct simpeer *p = r->files[file];
    ASSERT(p != NULL && !p->is_sending && !p->has_parts && !p->is_server_shut);
    ASSERT(bytes.len > 0);
    ASSERT(r->quiet_count < SIM_FILES_MAX);
    p->sends++;
    size_t len = p->is_reading ? bytes.len : size_min(bytes.len, p->window_left);
    if (len > 1 && chance(r, r->options.short_send_percent))
        len = 1 + rng_below(&r->rng, len - 1);
    int32_t res = p->is_reset ? -EPIPE : (len == 0 ? -EAGAIN : (int32_t)len);
    if (res > 0)
        send_deliver(r, p, slice_first(bytes, len));
    r->quiets[r->quiet_count++] = (struct ring_event){.token = token, .res = res};
    return res;
}

void ring_send_quiet(struct ring *r, int32_t file, struct slice bytes, struct ring_token token)
{
    (void)send_quiet(r, file, bytes, token);
}

static struct happening parts_make(struct ring *r, int32_t file, struct slice bytes,
                                   const uint16_t *ends, uint32_t count, struct ring_token token)
{
    struct simpeer *p = r->files[file];
    ASSERT(p != NULL && !p->is_sending && !p->has_parts && !p->is_server_shut);
    ASSERT(count > 0 && count <= RING_PARTS_MAX && ends[count - 1] == bytes.len);
    for (uint32_t i = 0; i < count; i++)
        ASSERT(ends[i] > (i > 0 ? ends[i - 1] : 0));
    p->has_parts = true;
    p->sends += count;
    return (struct happening){.at = later(r, r->options.network_ns_max),
                              .kind = HAPPEN_RESULT,
                              .token = token,
                              .peer = p,
                              .bytes = bytes,
                              .is_parts = true};
}

void ring_send_parts(struct ring *r, int32_t file, struct slice bytes, const uint16_t *ends,
                     uint32_t count, struct ring_token token)
{
    heap_push(r, parts_make(r, file, bytes, ends, count, token));
}

bool ring_send_after_write(struct ring *r, int32_t file, struct slice bytes, const uint16_t *ends,
                           uint32_t count, struct ring_token token)
{
    if (!r->is_link_open)
        return false;
    ASSERT(r->link_count < SIM_FILES_MAX);
    r->links[r->link_count++] =
        (struct link){r->link_last, parts_make(r, file, bytes, ends, count, token)};
    r->files[file]->linked += count;
    return true;
}

void ring_shutdown_write(struct ring *r, int32_t file, struct ring_token token)
{
    ASSERT(r->files[file] != NULL);
    r->files[file]->is_server_shut = true;
    schedule_result(r, token, 0, r->options.network_ns_max);
}

void ring_close(struct ring *r, int32_t file)
{
    struct simpeer *p = r->files[file];
    ASSERT(p != NULL && !p->is_recv_armed && !p->is_sending && !p->has_parts && !p->is_watched);
    p->is_server_closed = true;
    p->was_cut = p->in_taken < p->in_arrived;
    r->files[file] = NULL;
}

void ring_cancel(struct ring *r, struct ring_token target, struct ring_token token)
{
    int32_t res = -ENOENT;
    for (uint32_t f = 0; f < r->file_top; f++) {
        struct simpeer *p = r->files[f];
        if (p != NULL && p->is_recv_armed && memcmp(&p->recv_token, &target, sizeof(target)) == 0) {
            p->is_recv_armed = false;
            schedule_result(r, target, -ECANCELED, 0);
            res = 0;
        } else if (p != NULL && p->is_watched &&
                   memcmp(&p->watch_token, &target, sizeof(target)) == 0) {
            p->is_watched = false;
            schedule_result(r, target, -ECANCELED, 0);
            res = 0;
        } else if (p != NULL && p->is_sending &&
                   memcmp(&p->send_token, &target, sizeof(target)) == 0) {
            p->is_sending = false;
            schedule_result(r, target, -ECANCELED, 0);
            res = 0;
        }
    }
    for (uint32_t i = 0; i < r->accept_count; i++) {
        if (memcmp(&r->accept_tokens[i], &target, sizeof(target)) != 0)
            continue;
        r->accept_count--;
        r->accept_tokens[i] = r->accept_tokens[r->accept_count];
        r->accept_fds[i] = r->accept_fds[r->accept_count];
        schedule_result(r, target, -ECANCELED, 0);
        res = 0;
    }
    schedule_result(r, token, res, 0);
}

static struct happening write_make(struct ring *r, int fd, const struct iovec *iov,
                                   uint32_t iov_count, uint64_t offset, struct ring_token token)
{
    int32_t res = chance(r, r->options.write_error_percent) ? -EIO : 0;
    return (struct happening){.at = disk_later(r),
                              .kind = HAPPEN_RESULT,
                              .token = token,
                              .res = res,
                              .fd = fd,
                              .iov = iov,
                              .iov_count = iov_count,
                              .offset = offset};
}

void ring_writev(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                 uint64_t offset, struct ring_token token)
{
    struct happening h = write_make(r, fd, iov, iov_count, offset, token);
    h.link = ++r->link_last;
    r->is_link_open = true;
    heap_push(r, h);
}

void ring_writev_dsync(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                       uint64_t offset, struct ring_token token)
{
    struct happening h = write_make(r, fd, iov, iov_count, offset, token);
    h.at += later(r, r->options.disk_ns_max) - r->now; /* two steps of the disk */
    h.link = ++r->link_last;
    h.is_dsync = true;
    r->is_link_open = true;
    heap_push(r, h);
}

void ring_writev_sync(struct ring *r, int fd, const struct iovec *iov, uint32_t iov_count,
                      uint64_t offset, struct ring_token write_token, struct ring_token sync_token)
{
    struct happening h = write_make(r, fd, iov, iov_count, offset, write_token);
    h.sync_token = sync_token;
    r->is_link_open = false;
    heap_push(r, h);
}

void ring_datasync(struct ring *r, int fd, struct ring_token token)
{
    heap_push(r, (struct happening){.at = disk_later(r),
                                    .kind = HAPPEN_RESULT,
                                    .token = token,
                                    .res = chance(r, r->options.sync_error_percent) ? -EIO : 0,
                                    .fd = fd});
}

void ring_write_stream(struct ring *r, int fd, struct slice bytes, struct ring_token token)
{
    ssize_t done = fd >= 0 ? write(fd, bytes.ptr, bytes.len) : (ssize_t)bytes.len;
    clock_ns at = later(r, r->options.disk_ns_max);
    if (r->now < r->log_hangs_until)
        at = r->log_hangs_until;
    heap_push(r, (struct happening){.at = at,
                                    .kind = HAPPEN_RESULT,
                                    .token = token,
                                    .res = done < 0 ? -errno : (int32_t)done});
}

void ring_poll_arm(struct ring *r, int fd, uint32_t poll_mask, struct ring_token token)
{
    (void)r;
    (void)fd;
    (void)poll_mask;
    (void)token; /* nothing is polled in a simulation */
}

static void watch_run(struct ring *r, struct simpeer *p)
{
    if (!p->is_watched || (!p->is_reset && !p->is_end_seen))
        return;
    p->is_watched = false;
    event_add(r, p->watch_token, p->is_reset ? POLLERR | POLLHUP | POLLRDHUP : POLLRDHUP, false);
}

void ring_watch(struct ring *r, int32_t file, struct ring_token token)
{
    struct simpeer *p = r->files[file];
    ASSERT(p != NULL && !p->is_watched);
    p->is_watched = true;
    p->watch_token = token;
    heap_push(r,
              (struct happening){.at = r->now, .kind = HAPPEN_RESULT, .token = token, .peer = p});
}

void ring_message(struct ring *r, int target_fd, uint64_t value, uint32_t len,
                  struct ring_token token)
{
    (void)target_fd;
    (void)value;
    (void)len;
    schedule_result(r, token, -ENXIO, 0);
}

/* --- peers ------------------------------------------------------------------------------------ */

struct simpeer *simpeer_connect(struct ring *r, int listen_fd)
{
    struct simpeer *p = calloc(1, sizeof(*p));
    if (r->peer_count == r->peer_cap) {
        r->peer_cap = 2 * r->peer_cap + 64;
        r->peers = realloc(r->peers, r->peer_cap * sizeof(struct simpeer *));
    }
    ASSERT(p != NULL && r->peers != NULL);
    p->ring = r;
    p->number = ++r->number;
    p->file = -1;
    p->listen_fd = listen_fd;
    p->is_reading = true;
    r->peers[r->peer_count++] = p;
    p->in_last = later(r, r->options.network_ns_max);
    heap_push(r, (struct happening){.at = p->in_last, .kind = HAPPEN_CONNECT, .peer = p});
    return p;
}

void simpeer_send(struct simpeer *p, struct slice bytes)
{
    struct ring *r = p->ring;
    ASSERT(!p->is_client_shut);
    uint8_t *in = realloc(p->in, p->in_len + bytes.len + 1);
    ASSERT(in != NULL && p->in_len + bytes.len <= SIM_BYTES_MAX);
    memcpy(in + p->in_len, bytes.ptr, bytes.len);
    p->in = in;
    p->in_len += bytes.len;
    while (bytes.len > 0) {
        size_t most = chance(r, 50) ? bytes.len : size_min(bytes.len, 1 + rng_below(&r->rng, 3000));
        p->in_last =
            u64_max(p->in_last, r->now) + 100 + rng_below(&r->rng, 1 + r->options.network_ns_max);
        heap_push(
            r, (struct happening){.at = p->in_last, .kind = HAPPEN_ARRIVE, .peer = p, .len = most});
        bytes = slice_from(bytes, most);
    }
}

void simpeer_shutdown(struct simpeer *p)
{
    p->is_client_shut = true;
    p->in_last = u64_max(p->in_last, p->ring->now) + 100;
    heap_push(p->ring, (struct happening){.at = p->in_last, .kind = HAPPEN_END, .peer = p});
}

void simpeer_close(struct simpeer *p)
{
    p->is_gone = true;
    simpeer_shutdown(p);
}

void simpeer_reset(struct simpeer *p)
{
    p->is_client_shut = true;
    p->is_gone = true;
    heap_push(p->ring,
              (struct happening){.at = p->ring->now + 100, .kind = HAPPEN_RESET, .peer = p});
}

void simpeer_set_reading(struct simpeer *p, bool is_reading, size_t window)
{
    p->is_reading = is_reading;
    p->window_left = window;
    if (p->is_sending)
        heap_push(p->ring, (struct happening){.at = p->ring->now + 100,
                                              .kind = HAPPEN_RESULT,
                                              .token = p->send_token,
                                              .peer = p});
}

struct slice simpeer_received(const struct simpeer *p)
{
    return slice_of(p->out, p->out_len);
}

uint32_t simpeer_sends(const struct simpeer *p)
{
    return p->sends;
}

uint32_t simpeer_linked(const struct simpeer *p)
{
    return p->linked;
}

bool simpeer_is_ended(const struct simpeer *p)
{
    return p->is_server_closed || p->is_server_shut;
}

bool simpeer_is_closed(const struct simpeer *p)
{
    return p->is_server_closed;
}

bool simpeer_was_cut(const struct simpeer *p)
{
    return p->was_cut;
}

size_t simpeer_unread(const struct simpeer *p)
{
    return p->in_len - p->in_taken;
}

void simpeer_forget(struct simpeer *p)
{
    ASSERT(p->is_server_closed && !p->is_recv_armed && !p->is_sending);
    free(p->in);
    free(p->out);
    p->in = NULL;
    p->out = NULL;
    p->out_len = 0;
}

/* --- the client's side: nothing that is simulated here asks for it ---------------------------- */

void ring_sendv(struct ring *r, int32_t file, const struct msghdr *msg, struct ring_token token)
{
    (void)r, (void)file, (void)msg, (void)token;
    UNREACHABLE();
}

void ring_sendv_quiet(struct ring *r, int32_t file, const struct msghdr *msg, size_t bytes,
                      struct ring_token token)
{
    (void)bytes;
    ring_sendv(r, file, msg, token);
}

void ring_connect(struct ring *r, int32_t file, const struct sockaddr *addr, socklen_t addr_bytes,
                  struct ring_token token)
{
    (void)r, (void)file, (void)addr, (void)addr_bytes, (void)token;
    UNREACHABLE();
}
