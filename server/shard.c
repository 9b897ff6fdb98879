/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard.c - the loop of one core.
 *
 * A turn: gather completions into a flat list; run handlers over it; run timers; give the spool its
 * turn (one group commit); run the outcomes that are there; send every connection's ready replies;
 * give the log its turn. Handlers prepare operations, the next gathering submits them. Nothing in a
 * turn waits for anything but the ring.
 *
 * Back pressure: a quarter of the receive buffers is never held by bodies (txn_settle()), so that
 * commands are read however long the disk takes; receives that ended for lack of buffers are armed
 * again when as many are free. When no more are free, or bytes have been pinned for longer than
 * PINNED_NS_MAX, the transactions that pin them hand them to the spool, oldest first, and input
 * that waits in buffers moves into chunks.
 */
#include "shard.h"
#include "pace.h"
#include "txnlog.h"
#include "work.h"
#include "base/assert.h"
#include "base/err.h"
#include "io/mailbox.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SQ_ENTRIES 4096
#define CQ_ENTRIES 16384
#define PINNED_NS_MAX (500 * NS_PER_MS)
#define STARVED_CHECK_NS                                                                           \
    (100 * NS_PER_MS) /* who holds buffers is looked at that often, at least                       \
                       */
#define HUNG_LOG_NS                                                                                \
    NS_PER_S /* for the last line to be written; the log may be on the same disk                   \
              */
/* Lines of a busy shard leave together: a write to a file costs a switch to a kernel worker. */
#define LOG_WAIT_NS (10 * NS_PER_MS)

static int fail(int result, const char *what, char *ret_text, size_t text_cap)
{
    snprintf(ret_text, text_cap, "%s: %s (%s)", what, err_text(result), err_name(result));
    return result;
}

static int pools_init(struct shard *sh)
{
    const struct shard_limits *limits = &sh->options.limits;
    int result = pool_init(&sh->conns, sizeof(struct conn), limits->conn_count_max);
    if (result == 0)
        result = pool_init(&sh->txns, sizeof(struct txn), limits->txn_count_max);
    if (result == 0)
        result = pool_init(&sh->doubts, sizeof(struct doubt), limits->txn_count_max);
    if (result == 0)
        result = pool_init(&sh->held, sizeof(struct held_window),
                           16 * limits->buffer_count + limits->conn_count_max);
    if (result == 0)
        result = chunk_pool_init(&sh->chunks, limits->chunk_count_max);
    for (uint32_t i = 0; result == 0 && i < TXN_RCPT_TABLE_COUNT; i++)
        result = pool_init(&sh->rcpt_tables[i], txn_rcpt_table_bytes(i),
                           i == 0 ? limits->txn_count_max : limits->txn_count_max / 16 + 1);
    sh->rcpt_scratch = calloc(RCPT_COUNT_HARD_MAX, sizeof(*sh->rcpt_scratch));
    if (sh->options.links_replies)
        sh->entry_scratch = calloc(PACE_ENTRIES_MAX, sizeof(*sh->entry_scratch));
    sh->listeners = calloc(sh->options.listener_count + 1, sizeof(*sh->listeners));
    sh->epoch = calloc(1, sizeof(*sh->epoch));
    sh->conn_generations = calloc(limits->conn_count_max, sizeof(*sh->conn_generations));
    if (sh->conn_generations == NULL || sh->rcpt_scratch == NULL || sh->listeners == NULL ||
        sh->epoch == NULL || (sh->options.links_replies && sh->entry_scratch == NULL))
        result = -ENOMEM;
    return result;
}

int shard_init(struct shard *sh, const struct shard_options *options, char *ret_text,
               size_t text_cap)
{
    memset(sh, 0, sizeof(*sh));
    sh->options = *options;
    sh->listen_due = CLOCK_NEVER;
    list_init(&sh->dirty);
    list_init(&sh->speechless);
    list_init(&sh->starved);
    list_init(&sh->stalled);
    list_init(&sh->drained);
    list_init(&sh->holding);
    list_init(&sh->pinned);
    list_init(&sh->sending);
    int result = pools_init(sh);
    if (result < 0)
        return fail(result, "memory pools", ret_text, text_cap);
    struct ring_options ring_options = {
        .sq_entries = SQ_ENTRIES,
        .cq_entries = CQ_ENTRIES,
        .file_count = options->limits.conn_count_max + SHARD_FILE_SLACK,
        .buffer_count = options->limits.buffer_count,
        .buffer_bytes = WINDOW_BYTES_MAX,
        .incremental = options->incremental_buffers,
    };
    result = ring_new(&ring_options, &sh->ring);
    if (result < 0)
        return fail(result, "io_uring", ret_text, text_cap);
    sh->buffers_reserved = ring_buffers_count(sh->ring) / 4 + (ring_buffers_count(sh->ring) < 4);
    timer_wheel_init(&sh->timers, ring_now(sh->ring));
    result =
        spool_new(options->spool_dir, options->shard_idx, sh->ring, SHARD_OWNER_SPOOL, &sh->spool);
    if (result < 0)
        return fail(result, "spool", ret_text, text_cap);
    if (options->links_replies)
        spool_set_linkable(sh->spool);
    result = log_writer_new(sh->ring, options->log_fd, SHARD_OWNER_LOG, options->log_buffer_bytes,
                            LOG_WAIT_NS, &sh->log);
    if (result == 0)
        result = rules_worker_new(options->rules, &sh->rules);
    if (result < 0)
        return fail(result, "log and rules", ret_text, text_cap);
    result = policy_view_new(options->policy, &sh->epoch->policy);
    if (result < 0)
        return fail(result, "policy", ret_text, text_cap);
    for (uint32_t i = 0; i < options->listener_count; i++)
        sh->listeners[i] = (struct listener){.options = &options->listeners[i], .fd = -1};
    return 0;
}

void shard_listen(struct shard *sh, uint32_t listener_idx, int fd)
{
    ASSERT(listener_idx < sh->options.listener_count);
    sh->listeners[listener_idx].fd = fd;
    listener_arm(sh, &sh->listeners[listener_idx]);
}

void shard_deinit(struct shard *sh)
{
    if (sh->ring == NULL)
        return;
    for (uint32_t i = 0; i < sh->options.listener_count; i++)
        if (sh->listeners[i].fd >= 0)
            close(sh->listeners[i].fd);
    log_writer_free(sh->log);
    spool_free(sh->spool);
    rules_worker_free(sh->rules);
    policy_unref(sh->epoch->policy);
    ring_free(sh->ring);
    for (uint32_t i = 0; i < TXN_RCPT_TABLE_COUNT; i++)
        pool_deinit(&sh->rcpt_tables[i]);
    chunk_pool_deinit(&sh->chunks);
    pool_deinit(&sh->doubts);
    pool_deinit(&sh->held);
    pool_deinit(&sh->txns);
    pool_deinit(&sh->conns);
    free(sh->listeners);
    free(sh->rcpt_scratch);
    free(sh->entry_scratch);
    free(sh->conn_generations);
    free(sh->epoch);
    memset(sh, 0, sizeof(*sh));
}

/* --- policy epochs ---------------------------------------------------------------------------- */

static void epoch_free(struct shard_epoch *e)
{
    policy_unref(e->policy);
    free(e);
}

struct shard_epoch *shard_epoch_take(struct shard *sh)
{
    sh->epoch->txn_count++;
    return sh->epoch;
}

void shard_epoch_give(struct shard *sh, struct shard_epoch *e)
{
    ASSERT(e->txn_count > 0);
    e->txn_count--;
    if (e->txn_count == 0 && e != sh->epoch)
        epoch_free(e);
}

int shard_replace(struct shard *sh, struct policy *policy, struct rules *rules)
{
    struct shard_epoch *fresh = calloc(1, sizeof(*fresh));
    if (fresh == NULL)
        return -ENOMEM;
    int result = policy_view_new(policy, &fresh->policy);
    if (result < 0) {
        free(fresh);
        return result;
    }
    result = rules_worker_replace(sh->rules, rules);
    if (result < 0) {
        epoch_free(fresh);
        return result;
    }
    struct shard_epoch *old = sh->epoch;
    sh->epoch = fresh;
    if (old->txn_count == 0)
        epoch_free(old);
    return 0;
}

void shard_set_log_fd(struct shard *sh, int fd)
{
    log_writer_set_fd(sh->log, fd);
}

/* --- the turn --------------------------------------------------------------------------------- */

static void on_mail(struct shard *sh, struct mail mail)
{
    switch ((enum shard_mail)mail.tag) {
    case SHARD_MAIL_COMMAND:
        sh->commands |= (uint32_t)mail.value;
        return;
    }
    UNREACHABLE();
}

static void dispatch(struct shard *sh, const struct ring_event *ev)
{
    if (ev->window.source != NULL && sh->buffers_arriving > 0)
        sh->buffers_arriving--;
    if (ev->token.kind == RING_MESSAGE) {
        on_mail(sh, mailbox_read(ev));
        return;
    }
    switch ((enum shard_owner)ev->token.owner) {
    case SHARD_OWNER_CONN:
        conn_on_event(sh, ev);
        return;
    case SHARD_OWNER_LISTENER:
        listener_on_event(sh, ev);
        return;
    case SHARD_OWNER_SPOOL:
        spool_on_event(sh->spool, ev);
        return;
    case SHARD_OWNER_LOG:
        log_writer_on_event(sh->log, ev);
        return;
    case SHARD_OWNER_TXN:
        break;
    }
    UNREACHABLE();
}

static void run_timers(struct shard *sh)
{
    struct timer *t;
    while ((t = timer_expire(&sh->timers, ring_now(sh->ring))) != NULL) {
        if (t->kind == SHARD_OWNER_TXN)
            work_on_timer(sh, CONTAINER_OF(t, struct txn, timer));
        else
            conn_on_timer(sh, CONTAINER_OF(t, struct conn, timer));
    }
}

static void run_outcomes(struct shard *sh)
{
    struct spool_message *m;
    while ((m = spool_next_done(sh->spool)) != NULL)
        txn_on_outcome(sh, CONTAINER_OF(m, struct txn, message));
}

static void run_dirty(struct shard *sh)
{
    /* What becomes dirty meanwhile joins the list; the bound leaves the rest to the next turn. */
    struct list *entry;
    while (chunk_is_free(&sh->chunks) && (entry = list_pop(&sh->speechless)) != NULL)
        list_push(&sh->dirty, entry);
    uint32_t turns_left = 4 * (sh->conn_count + 1);
    while (turns_left-- > 0 && (entry = list_pop(&sh->dirty)) != NULL)
        conn_flush(sh, CONTAINER_OF(entry, struct conn, dirty));
}

static void run_pinned(struct shard *sh)
{
    clock_ns now = ring_now(sh->ring);
    while (!list_is_empty(&sh->pinned)) {
        struct txn *t = CONTAINER_OF(sh->pinned.next, struct txn, link);
        bool is_old = now - t->pinned_since >= PINNED_NS_MAX;
        if (!is_old && shard_buffers_spare(sh) > 0 && !chunk_bulk_is_low(&sh->chunks))
            return;
        txn_evacuate(sh, t);
        ASSERT(sh->pinned.next != &t->link);
        if (!is_old)
            return; /* what was handed over comes back when it is written */
    }
}

/* Bodies have all the receive buffers that they may have, and what is copied out of the others has
 * filled its share of the chunks: all senders stop, so that what is on its way still finds room. */
static void run_pressure(struct shard *sh)
{
    bool is_pressed = shard_buffers_spare(sh) == 0 && chunk_bulk_is_low(&sh->chunks);
    if (is_pressed && !sh->is_pressed)
        for (struct list *at = sh->sending.next; at != &sh->sending; at = at->next)
            conn_stall(sh, CONTAINER_OF(at, struct txn, sending)->conn);
    sh->is_pressed = is_pressed;
}

/* Input that waits for an answer, or for its client to read replies, gives up its buffers. */
static void run_holding(struct shard *sh)
{
    struct list again;
    struct list *entry;
    if (list_is_empty(&sh->holding))
        return;
    list_init(&again);
    while (ring_buffers_free(sh->ring) < sh->buffers_reserved &&
           (entry = list_pop(&sh->holding)) != NULL)
        if (!conn_evacuate(sh, CONTAINER_OF(entry, struct conn, holding)))
            list_push(&again, entry);
    while ((entry = list_pop(&again)) != NULL)
        list_push(&sh->holding, entry);
}

static void run_waiting(struct shard *sh)
{
    while (!list_is_empty(&sh->starved) && ring_buffers_free(sh->ring) >= sh->buffers_reserved)
        conn_rearm(sh, CONTAINER_OF(list_pop(&sh->starved), struct conn, waiting));
    if (list_is_empty(&sh->stalled))
        return;
    struct list again;
    list_init(&again);
    struct list *entry;
    /* Each of them may fill a buffer before it is asked again. */
    uint32_t budget = 1 + shard_buffers_spare(sh);
    while (budget > 0 && ring_buffers_free(sh->ring) >= sh->buffers_reserved &&
           (entry = list_pop(&sh->stalled)) != NULL) {
        struct conn *c = CONTAINER_OF(entry, struct conn, waiting);
        if (c->txn != NULL && txn_must_wait(sh, c->txn)) {
            list_push(&again, entry);
            continue;
        }
        budget--;
        conn_rearm(sh, c);
    }
    while ((entry = list_pop(&again)) != NULL)
        list_push(&sh->stalled, entry);
}

static void run_drained(struct shard *sh)
{
    struct list *entry;
    while ((entry = list_pop(&sh->drained)) != NULL)
        conn_close(sh, CONTAINER_OF(entry, struct conn, waiting));
}

static void run_listeners(struct shard *sh)
{
    sh->listen_due = CLOCK_NEVER;
    for (uint32_t i = 0; i < sh->options.listener_count; i++) {
        struct listener *l = &sh->listeners[i];
        if (!listener_may_arm(sh, l))
            continue;
        if (ring_now(sh->ring) >= l->retry_at)
            listener_arm(sh, l);
        else
            sh->listen_due = u64_min(sh->listen_due, l->retry_at);
    }
}

/* Something that was asked of the disk does not end. Whether a message that is being committed will
 * be found after a restart nobody knows: its client got no reply. */
static void give_up(struct shard *sh)
{
    uint32_t doubtful_count = 0;
    for (uint32_t i = 0; i < sh->options.limits.txn_count_max; i++) {
        if (!pool_is_taken(&sh->txns, i))
            continue;
        const struct txn *t = pool_at(&sh->txns, i);
        bool is_committing = t->state == TXN_COMMITTING || t->is_storing;
        doubtful_count += t->is_void || (is_committing && !t->is_replied);
    }
    sh->is_hung = true;
    txnlog_hung(sh, doubtful_count);
}

/* The time of a drain is over: for those who are connected, and for work that goes on though its
 * client is gone. */
static void force_drain(struct shard *sh)
{
    sh->is_drain_forced = true;
    for (uint32_t i = 0; i < sh->options.limits.conn_count_max; i++)
        if (pool_is_taken(&sh->conns, i))
            conn_drain(sh, pool_at(&sh->conns, i), true);
    for (uint32_t i = 0; i < sh->options.limits.txn_count_max; i++) {
        struct txn *t = pool_is_taken(&sh->txns, i) ? pool_at(&sh->txns, i) : NULL;
        if (t != NULL && t->state == TXN_WORKING && t->conn == NULL)
            work_expire(sh, t);
    }
}

static void run_drain(struct shard *sh)
{
    if (!sh->is_draining || sh->is_stopped)
        return;
    if (ring_now(sh->ring) >= sh->drain_deadline && !sh->is_drain_forced)
        force_drain(sh);
    if (sh->conn_count == 0)
        spool_flush(sh->spool);
    sh->is_stopped = sh->conn_count == 0 && spool_is_idle(sh->spool) &&
                     pool_used_count(&sh->txns) == 0 && log_writer_is_idle(sh->log);
    clock_ns patience = sh->drain_deadline + SHARD_HUNG_NS;
    if (sh->is_stopped || ring_now(sh->ring) < patience)
        return;
    if (!sh->is_hung)
        give_up(sh);
    sh->is_stopped = log_writer_is_idle(sh->log) || ring_now(sh->ring) >= patience + HUNG_LOG_NS;
}

static uint64_t wait_ns(struct shard *sh, uint64_t wait_ns_max)
{
    clock_ns now = ring_now(sh->ring);
    clock_ns due = u64_min(timer_next_due(&sh->timers), log_writer_due(sh->log));
    due = u64_min(due, u64_min(spool_due(sh->spool), sh->listen_due));
    if (!list_is_empty(&sh->pinned)) {
        const struct txn *t = CONTAINER_OF(sh->pinned.next, struct txn, link);
        due = u64_min(due, t->pinned_since + PINNED_NS_MAX);
    }
    if (!list_is_empty(&sh->dirty) ||
        (!list_is_empty(&sh->speechless) && chunk_is_free(&sh->chunks)))
        return 0;
    if (!list_is_empty(&sh->starved) || !list_is_empty(&sh->stalled))
        due = u64_min(due, now + STARVED_CHECK_NS);
    if (sh->is_draining)
        due = u64_min(due, u64_max(sh->drain_deadline, now + 10 * NS_PER_MS));
    uint64_t left = due == CLOCK_NEVER ? CLOCK_NEVER : (due > now ? due - now : 0);
    return u64_min(left, wait_ns_max);
}

int shard_turn(struct shard *sh, uint64_t wait_ns_max)
{
    const struct ring_event *events;
    uint32_t buffers_before = ring_buffers_free(sh->ring);
    int count = ring_turn(sh->ring, wait_ns(sh, wait_ns_max), &events);
    if (count < 0)
        return count;
    sh->buffers_arriving = buffers_before - ring_buffers_free(sh->ring);
    for (int i = 0; i < count; i++)
        dispatch(sh, &events[i]);
    sh->buffers_arriving = 0;
    run_timers(sh);
    run_pinned(sh);
    run_pressure(sh);
    run_holding(sh);
    run_outcomes(sh);
    spool_turn(sh->spool);
    if (sh->options.links_replies)
        pace_link_replies(sh);
    run_outcomes(sh);
    run_waiting(sh);
    run_dirty(sh);
    run_drained(sh);
    run_listeners(sh);
    run_drain(sh);
    log_writer_turn(sh->log);
    return 0;
}

void shard_drain(struct shard *sh, clock_ns deadline)
{
    if (sh->is_draining)
        return;
    sh->is_draining = true;
    sh->drain_deadline = deadline;
    for (uint32_t i = 0; i < sh->options.listener_count; i++)
        listener_close(sh, &sh->listeners[i]);
    for (uint32_t i = 0; i < sh->options.limits.conn_count_max; i++)
        if (pool_is_taken(&sh->conns, i))
            conn_drain(sh, pool_at(&sh->conns, i), false);
}
