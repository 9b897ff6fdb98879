/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c - the loop of one thread.
 *
 * A turn: gather completions, run handlers, timers, send what is ready, close what has ended, write
 * the arrivals. Arrivals of a turn leave in one plain write, which is complete before the next turn
 * begins: whoever stops the sink loses none that was written, and a disk that is full is noticed at
 * once. Several workers append whole lines to the same file.
 */
#include "worker.h"
#include "base/err.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SQ_ENTRIES 4096
#define CQ_ENTRIES 16384
#define BUFFER_COUNT 256
#define BUFFER_BYTES (32 * KIB)
#define LAST_WORDS_NS (500 * NS_PER_MS) /* for 421 to leave */
#define ACCEPT_RETRY_NS (100 * NS_PER_MS)

static_assert(BUFFER_BYTES <= WINDOW_BYTES_MAX, "a window");

/* --- life ------------------------------------------------------------------------------------ */

int worker_init(struct worker *w, struct shared *sh, uint32_t idx, const int *fds)
{
    const struct sink_options *o = &sh->options;
    *w = (struct worker){.shared = sh, .idx = idx, .store_fd = -1, .wake_fd = -1};
    list_init(&w->dirty);
    list_init(&w->drained);
    list_init(&w->all);
    list_init(&w->spares);
    rng_init(&w->rng, o->seed + idx);
    for (uint32_t i = 0; i < o->listen_count; i++)
        w->listeners[i] = (struct worker_listener){.fd = fds[i], .listen = &o->listens[i]};
    int result = pool_init(&w->conns, sizeof(struct conn), o->conn_count_max);
    if (result == 0)
        result = pool_init(&w->outs, sizeof(struct conn_out), o->conn_count_max);
    w->conn_generations = calloc(o->conn_count_max, sizeof(*w->conn_generations));
    w->ledger = malloc(WORKER_LEDGER_BYTES);
    if (result == 0 && (w->conn_generations == NULL || w->ledger == NULL))
        result = -ENOMEM;
    if (result == 0 && o->store_dir != NULL) {
        w->store_fd = store_open(o->store_dir);
        result = w->store_fd < 0 ? w->store_fd : 0;
    }
    if (result < 0)
        return result;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return w->wake_fd < 0 ? -errno : 0;
}

void worker_deinit(struct worker *w)
{
    struct list *entry;
    if (w->shared == NULL)
        return;
    for (uint32_t i = 0; i < w->shared->options.listen_count; i++)
        if (w->listeners[i].fd >= 0)
            close(w->listeners[i].fd);
    while ((entry = list_pop(&w->spares)) != NULL)
        txn_free(CONTAINER_OF(entry, struct txn, link));
    pool_deinit(&w->conns);
    pool_deinit(&w->outs);
    free(w->conn_generations);
    free(w->ledger);
    if (w->store_fd >= 0)
        close(w->store_fd);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    w->shared = NULL;
}

void worker_wake(const struct worker *w)
{
    uint64_t one = 1;
    if (write(w->wake_fd, &one, sizeof(one)) < 0)
        return; /* its counter is full: it is awake */
}

struct txn *worker_txn_take(struct worker *w)
{
    struct list *entry = list_pop(&w->spares);
    return entry != NULL ? CONTAINER_OF(entry, struct txn, link) : txn_new();
}

void worker_txn_give(struct worker *w, struct txn *t)
{
    store_abort(&t->stored);
    /* The one given back last is still in cache. */
    t->link.next = w->spares.next;
    t->link.prev = &w->spares;
    w->spares.next->prev = &t->link;
    w->spares.next = &t->link;
}

/* --- ledger ---------------------------------------------------------------------------------- */

static void ledger_write(struct worker *w)
{
    struct slice rest = slice_of(w->ledger, w->ledger_len);
    w->ledger_len = 0;
    while (rest.len > 0) {
        ssize_t written = write(w->shared->ledger_fd, rest.ptr, rest.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            int error = written < 0 ? -errno : -ENOSPC;
            uint32_t lines = 0;
            for (size_t i = 0; i < rest.len; i++)
                lines += rest.ptr[i] == '\n';
            fprintf(stderr, "postern-sink: %u arrivals could not be written\n", lines);
            shared_fail(w->shared, error, w->shared->options.ledger_path);
            return;
        }
        rest = slice_from(rest, (size_t)written);
    }
}

void worker_put_arrival(struct worker *w, const struct arrival *a)
{
    if (WORKER_LEDGER_BYTES - w->ledger_len < ARRIVAL_LINE_BYTES_MAX)
        ledger_write(w);
    struct buf b = buf_over(w->ledger + w->ledger_len, WORKER_LEDGER_BYTES - w->ledger_len);
    arrivals_put(&b, a);
    ASSERT(!b.is_full);
    w->ledger_len += b.len;
}

/* --- listening ------------------------------------------------------------------------------- */

static bool has_slot(const struct worker *w)
{
    return pool_used_count(&w->conns) < w->shared->options.conn_count_max;
}

static struct ring_token listener_token(const struct worker *w, const struct worker_listener *l,
                                        enum ring_kind kind)
{
    return (struct ring_token){
        .kind = (uint8_t)kind,
        .owner = WORKER_OWNER_LISTENER,
        .generation = l->generation,
        .idx = (uint32_t)(l - w->listeners),
    };
}

static bool may_arm(const struct worker *w, const struct worker_listener *l)
{
    return l->fd >= 0 && !l->is_armed && !w->is_stopping && has_slot(w);
}

static void listener_disarm(struct worker *w, struct worker_listener *l)
{
    if (!l->is_armed || l->is_disarming)
        return;
    l->is_disarming = true;
    ring_cancel(w->ring, listener_token(w, l, RING_ACCEPT), listener_token(w, l, RING_CANCEL));
}

static void listeners_arm(struct worker *w)
{
    for (uint32_t i = 0; i < w->shared->options.listen_count; i++) {
        struct worker_listener *l = &w->listeners[i];
        if (!may_arm(w, l) || ring_now(w->ring) < l->retry_at)
            continue;
        l->is_armed = true;
        l->is_disarming = false;
        l->generation++;
        ring_accept_arm(w->ring, l->fd, listener_token(w, l, RING_ACCEPT));
    }
}

static void listener_on_event(struct worker *w, const struct ring_event *ev)
{
    struct worker_listener *l = &w->listeners[ev->token.idx];
    if (ev->token.kind != RING_ACCEPT)
        return;
    if (!ev->more && ev->token.generation == l->generation)
        l->is_armed = false;
    if (ev->res < 0) {
        if (!l->is_armed && ev->res != -ECANCELED)
            l->retry_at = ring_now(w->ring) + ACCEPT_RETRY_NS;
        return;
    }
    if (!has_slot(w)) { /* accepted before the cancel arrived */
        worker_count(w, SINK_CONNS_REFUSED, 1);
        ring_close(w->ring, ev->res);
    } else {
        conn_open(w, l->listen, ev->res);
    }
    for (uint32_t i = 0; !has_slot(w) && i < w->shared->options.listen_count; i++)
        listener_disarm(w, &w->listeners[i]);
}

/* --- stopping -------------------------------------------------------------------------------- */

static void stop_all(struct worker *w, enum conn_stop how)
{
    struct list *next;
    for (struct list *l = w->all.next; l != &w->all; l = next) {
        next = l->next;
        conn_stop(w, CONTAINER_OF(l, struct conn, all), how);
    }
}

static void run_stop(struct worker *w)
{
    enum shared_stop how = shared_stop(w->shared);
    clock_ns now = ring_now(w->ring);
    if (how == SHARED_RUN)
        return;
    if (!w->is_stopping) {
        w->is_stopping = true;
        w->stop_due = now + w->shared->options.grace_ns;
        for (uint32_t i = 0; i < w->shared->options.listen_count; i++) {
            struct worker_listener *l = &w->listeners[i];
            listener_disarm(w, l);
            if (l->fd >= 0)
                close(l->fd);
            l->fd = -1;
        }
    }
    if (!w->is_forced && (how == SHARED_STOP_NOW || now >= w->stop_due)) {
        w->is_forced = true;
        w->stop_due = now + LAST_WORDS_NS;
    }
    if (!w->is_forced)
        stop_all(w, CONN_STOP_IDLE); /* again for those whose transaction has ended meanwhile */
    else
        stop_all(w, now < w->stop_due ? CONN_STOP_ALL : CONN_STOP_CUT);
}

/* --- the turn -------------------------------------------------------------------------------- */

static void dispatch(struct worker *w, const struct ring_event *ev)
{
    uint64_t drained;
    switch ((enum worker_owner)ev->token.owner) {
    case WORKER_OWNER_CONN:
        conn_on_event(w, ev);
        return;
    case WORKER_OWNER_LISTENER:
        listener_on_event(w, ev);
        return;
    case WORKER_OWNER_WAKE:
        if (read(w->wake_fd, &drained, sizeof(drained)) < 0)
            return;
        return;
    }
    UNREACHABLE();
}

static uint64_t wait_ns(struct worker *w)
{
    clock_ns now = ring_now(w->ring);
    clock_ns due = timer_next_due(&w->timers);
    for (uint32_t i = 0; i < w->shared->options.listen_count; i++)
        if (may_arm(w, &w->listeners[i]))
            due = u64_min(due, w->listeners[i].retry_at);
    if (!list_is_empty(&w->dirty) || !list_is_empty(&w->drained))
        return 0;
    if (w->is_stopping)
        due = u64_min(due, now + 10 * NS_PER_MS);
    return due == CLOCK_NEVER ? CLOCK_NEVER : (due > now ? due - now : 0);
}

void worker_run_places(struct worker *w)
{
    struct place *pl;
    while ((pl = place_next(w->shared->places, w)) != NULL)
        conn_on_place(w, CONTAINER_OF(pl, struct txn, place)->conn);
}

static int turn(struct worker *w)
{
    const struct ring_event *events;
    struct list *entry;
    struct timer *t;
    int count = ring_turn(w->ring, wait_ns(w), &events);
    if (count < 0)
        return count;
    for (int i = 0; i < count; i++)
        dispatch(w, &events[i]);
    while ((t = timer_expire(&w->timers, ring_now(w->ring))) != NULL)
        conn_on_timer(w, CONTAINER_OF(t, struct conn, timer));
    worker_run_places(w);
    run_stop(w);
    uint32_t flushes_left = 4 * (w->conn_count + 1);
    while (flushes_left-- > 0 && (entry = list_pop(&w->dirty)) != NULL)
        conn_flush(w, CONTAINER_OF(entry, struct conn, dirty));
    while ((entry = list_pop(&w->drained)) != NULL)
        conn_close(w, CONTAINER_OF(entry, struct conn, drained));
    listeners_arm(w);
    if (w->ledger_len > 0)
        ledger_write(w);
    return 0;
}

/* Whether somebody asks a socket for more than bytes: its peer, its options, what was acknowledged.
 * Otherwise sockets need not be descriptors, which is cheaper. */
static bool needs_descriptors(const struct shared *sh)
{
    bool needs = sh->ledger_fd >= 0 || sh->sources != NULL;
    for (uint32_t i = 0; i < SCRIPT_POINT_COUNT; i++)
        needs |= script_has(sh->script, (enum script_point)i);
    return needs;
}

static int run(struct worker *w)
{
    const struct ring_options options = {
        .sq_entries = SQ_ENTRIES,
        .cq_entries = CQ_ENTRIES,
        .file_count = w->shared->options.conn_count_max + WORKER_FILE_SLACK,
        .buffer_count = BUFFER_COUNT,
        .buffer_bytes = BUFFER_BYTES,
        .plain_files = needs_descriptors(w->shared),
    };
    int result = ring_new(&options, &w->ring);
    if (result < 0)
        shared_fail(w->shared, result, "io_uring");
    (void)pthread_barrier_wait(&w->shared->started);
    if (result < 0)
        return result;
    timer_wheel_init(&w->timers, ring_now(w->ring));
    ring_poll_arm(w->ring, w->wake_fd, POLLIN,
                  (struct ring_token){.kind = RING_POLL, .owner = WORKER_OWNER_WAKE});
    listeners_arm(w);
    while (result == 0 && !(w->is_stopping && w->conn_count == 0))
        result = turn(w);
    ring_free(w->ring);
    w->ring = NULL;
    return result;
}

void *worker_main(void *arg)
{
    struct worker *w = arg;
    w->result = run(w);
    if (w->result < 0) /* the first error is the one that is told */
        shared_fail(w->shared, w->result, "io_uring");
    __atomic_store_n(&w->has_ended, true, __ATOMIC_RELEASE);
    shared_ask_wake(w->shared);
    return NULL;
}
