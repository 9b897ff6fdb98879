/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.c - owns a shard's end of the log: which record gets which place, what is in flight, and
 * what happens when the disk says no.
 *
 * One group is being written while the next gathers. Of the group in work, as many records as fit
 * one segment and one vector make a slice: one write, linked with one data sync if a COMMIT or
 * RESULT is among them. A slice ends at a multiple of RECORD_BLOCK, so that no later write touches
 * a block that was synced. A segment that is left behind is synced first, hence at most one
 * segment has bytes that are not settled.
 *
 *        turn: records gathered             results: all written (and synced)
 *   IDLE ------------------------> WRITING -----------------------------------> IDLE
 *    ^ |                              |
 *    | +- segment full, not settled   +- error: segment abandoned at its settled end
 *    | v                              v
 *   SYNCING ---- error -----------> VOIDING -- fresh segment --> VOIDING_WRITE -- stored --> IDLE
 *                                     |                               | error
 *                                     +-- no segment can be made -----+-----------> STOPPED
 *
 * Invariants: at most one write and one sync are in flight; no 451 for a message that was in a
 * failed slice leaves before the note (START record of the fresh segment) is stored that says how
 * far the abandoned segment counts; a failed sync is never repeated.
 */
#include "writer.h"
#include "base/err.h"
#include <poll.h>
#include <unistd.h>

static const uint8_t zero_block[RECORD_BLOCK];

/* --- segments --------------------------------------------------------------------------------- */

static struct segment_file *slot_take(struct keeper_shard *keep, bool is_essential)
{
    for (unsigned i = 0; i < KEEPER_READY_COUNT; i++) {
        struct segment_file *f = atomic_exchange(&keep->ready[i], NULL);
        if (f != NULL) {
            atomic_fetch_sub(&keep->ready_bytes, f->capacity);
            return f;
        }
    }
    return is_essential ? atomic_exchange(&keep->spare, NULL) : NULL;
}

static void starve(struct spool *s)
{
    bool was_starved = atomic_exchange(&s->keep->is_starved, true);
    if (!s->is_poll_armed) {
        s->is_poll_armed = true;
        ring_poll_arm(s->ring, s->keep->wake_fd, POLLIN,
                      (struct ring_token){RING_POLL, s->token_owner, s->generation, 1});
    }
    if (!was_starved)
        keeper_kick(s->dir);
}

/* Makes s->next a segment. False: there is none; the keeper has been told. */
static bool next_take(struct spool *s, bool is_essential)
{
    if (s->next != NULL)
        return true;
    s->next = slot_take(s->keep, is_essential);
    if (s->next == NULL) {
        starve(s);
        s->next = slot_take(s->keep, is_essential); /* it may have come just before */
    }
    if (s->next == NULL)
        return false;
    atomic_store(&s->keep->is_starved, false);
    keeper_kick(s->dir);
    return true;
}

static void retire(struct spool *s, struct segment_file *f)
{
    f->next = atomic_load(&s->keep->retired);
    while (!atomic_compare_exchange_weak(&s->keep->retired, &f->next, f))
        ;
    keeper_kick(s->dir);
}

/* The current segment ends at @end as far as anybody will ever be concerned. */
static void segment_leave(struct spool *s, uint64_t end, bool is_abandoned)
{
    ASSERT(s->leaving == NULL);
    uint64_t open_floor = s->queue_seq + 1;
    if (!list_is_empty(&s->open)) {
        const struct spool_message *m = CONTAINER_OF(s->open.next, struct spool_message, link);
        open_floor = m->proof.queue_id & QUEUE_SEQ_MASK;
    }
    s->segment->end = end;
    s->segment->open_floor = open_floor;
    s->start.order++;
    s->start.is_abandoned = is_abandoned;
    s->start.prev_generation = s->segment->generation;
    s->start.prev_seq = s->segment->seq;
    s->start.prev_end = (uint32_t)end;
    s->start.prev_settled = (uint32_t)end;
    s->leaving = s->segment;
    s->segment = NULL;
}

static void segment_enter(struct spool *s)
{
    ASSERT(s->segment == NULL && s->next != NULL);
    s->segment = s->next;
    s->next = NULL;
    s->segment_end = RECORD_BLOCK;
    s->segment_settled = RECORD_BLOCK;
    s->segment_number = 0;
    s->counters.segments_used++;
}

/* --- giving places ---------------------------------------------------------------------------- */

static void slice_push(struct slice_write *w, const void *ptr, size_t len)
{
    struct iovec *last = w->iov_count > 0 ? &w->iov[w->iov_count - 1] : NULL;
    w->bytes += len;
    if (last != NULL && (const uint8_t *)last->iov_base + last->iov_len == (const uint8_t *)ptr) {
        last->iov_len += len;
        return;
    }
    ASSERT(w->iov_count < SLICE_IOV_MAX);
    w->iov[w->iov_count++] = (struct iovec){(void *)(uintptr_t)ptr, len};
}

static void header_fill(struct spool *s, uint8_t *at, enum record_type type, uint64_t queue_id,
                        uint32_t length, uint64_t position, uint64_t payload_check)
{
    struct record_header *h = (struct record_header *)(void *)at;
    *h = (struct record_header){
        .type = (uint8_t)type,
        .generation = s->segment->generation,
        .queue_id = queue_id,
        .number = s->segment_number++,
        .offset = (uint32_t)(s->slice.offset + s->slice.bytes),
        .length = length,
        .settled = (uint32_t)s->segment_settled,
        .position = position,
        .payload_check = payload_check,
    };
    record_header_seal(h);
}

static void slice_begin(struct spool *s)
{
    struct slice_write *w = &s->slice;
    w->iov_count = 0;
    w->iov_next = 0;
    w->rec_first = s->active_next;
    w->rec_end = s->active_next;
    w->offset = s->segment_end;
    w->bytes = 0;
    w->written = 0;
    w->needs_sync = false;
    w->is_sync_only = false;
    w->is_dsync = false;
    w->write_res = 0;
    w->sync_res = 0;
}

static void slice_put_start(struct spool *s)
{
    memset(s->start_record, 0, sizeof(s->start_record));
    memcpy(s->start_record + RECORD_ALIGN, &s->start, sizeof(s->start));
    header_fill(s, s->start_record, RECORD_START, 0, sizeof(s->start), 0,
                record_payload_check(slice_of(&s->start, sizeof(s->start))));
    slice_push(&s->slice, s->start_record, sizeof(s->start_record));
}

/* Fills the block, so that the next slice begins at a fresh one. */
static void slice_put_pad(struct spool *s)
{
    struct slice_write *w = &s->slice;
    uint64_t pad = ALIGN_UP(w->bytes, (uint64_t)RECORD_BLOCK) - w->bytes;
    if (pad == 0)
        return;
    header_fill(s, s->pad_record, RECORD_PAD, 0, (uint32_t)(pad - RECORD_ALIGN), 0, 0);
    slice_push(w, s->pad_record, RECORD_ALIGN);
    if (pad > RECORD_ALIGN)
        slice_push(w, zero_block, (size_t)pad - RECORD_ALIGN);
}

static void record_release(struct spool *s, struct group_record *rec)
{
    if (rec->is_finished)
        return;
    rec->is_finished = true;
    for (uint32_t i = 0; i < rec->pin_count; i++)
        window_unpin(&s->active->pins[rec->pin_start + i]);
    if (rec->type == RECORD_DATA)
        spool_message_written(s, rec->m, rec->length);
}

bool writer_message_is_poisoned(const struct spool *s, struct spool_message *m)
{
    struct message_state *st = message_state_of(m);
    if (st->abandon_epoch == s->abandoned_count)
        return false;
    uint32_t left = st->extent_count;
    const struct record_extent *at = st->near;
    const struct extent_chunk *chunk = st->first;
    uint32_t count = left < EXTENTS_NEAR ? left : EXTENTS_NEAR;
    while (left > 0) {
        for (uint32_t i = 0; i < count; i++)
            for (uint32_t k = st->abandon_epoch; k < s->abandoned_count; k++)
                if (at[i].segment_seq == s->abandoned[k].seq && at[i].length > 0 &&
                    at[i].offset >= s->abandoned[k].valid_end)
                    return true;
        left -= count;
        if (left > 0) {
            at = chunk->at;
            chunk = chunk->next;
            count = left < EXTENTS_PER_CHUNK ? left : EXTENTS_PER_CHUNK;
        }
    }
    st->abandon_epoch = s->abandoned_count;
    return false;
}

static void record_refuse(struct spool *s, struct group_record *rec, enum spool_outcome outcome,
                          int error)
{
    if (rec->m == NULL && rec->type == RECORD_RESULT && outcome != SPOOL_PENDING)
        s->counters.results_lost++;
    if (rec->m != NULL) {
        struct message_state *st = message_state_of(rec->m);
        if (st->broken == SPOOL_PENDING) {
            st->broken = (uint8_t)outcome;
            st->broken_error = error;
        }
        if (outcome == SPOOL_FULL && group_record_is_awaited(rec))
            s->counters.full_refusals++;
        if (group_record_is_awaited(rec) && st->phase == MESSAGE_COMMITTING)
            spool_message_end(s, rec->m, (enum spool_outcome)st->broken, st->broken_error);
    }
    record_release(s, rec);
}

/* Is there a reason not to write @rec? Then it is finished. */
static bool record_is_dropped(struct spool *s, struct group_record *rec)
{
    if (rec->m == NULL)
        return false;
    struct message_state *st = message_state_of(rec->m);
    if (rec->type == RECORD_COMMIT && st->broken == SPOOL_PENDING &&
        writer_message_is_poisoned(s, rec->m)) {
        st->broken = SPOOL_FAILED;
        st->broken_error = -EIO;
    }
    if (st->is_aborted || st->broken != SPOOL_PENDING) {
        record_refuse(s, rec, (enum spool_outcome)st->broken, st->broken_error);
        return true;
    }
    return false;
}

static void record_place(struct spool *s, struct group_record *rec)
{
    struct slice_write *w = &s->slice;
    rec->is_placed = true;
    uint64_t payload_check = rec->payload_check;
    uint64_t offset = w->offset + w->bytes;
    if (rec->type == RECORD_DATA) {
        *rec->extent = (struct record_extent){
            .segment_seq = s->segment->seq,
            .offset = (uint32_t)offset + RECORD_ALIGN,
            .length = rec->length,
            .generation_low = (uint32_t)s->segment->generation,
        };
    } else {
        /* Where replies are linked to commits, nothing before them may be unsettled. */
        w->needs_sync |= (!rec->is_lazy || s->is_linkable) && s->durability == SPOOL_DISK;
    }
    if (group_record_is_awaited(rec))
        message_state_of(rec->m)->is_placed = true;
    if (rec->type == RECORD_COMMIT) {
        uint8_t *payload = rec->header + RECORD_ALIGN;
        extents_copy(rec->m, record_commit_extents(payload));
        payload_check = record_payload_check(slice_of(payload, rec->length));
    }
    header_fill(s, rec->header, (enum record_type)rec->type, rec->queue_id, rec->length,
                rec->position, payload_check);
    for (uint32_t i = 0; i < rec->piece_count; i++) {
        const struct iovec *piece = &s->active->pieces[rec->piece_start + i];
        slice_push(w, piece->iov_base, piece->iov_len);
    }
}

enum place {
    PLACE_DONE, /* the record has its place or was refused */
    PLACE_NEXT, /* what the slice has must be written first */
    PLACE_SYNC, /* the segment must be synced before it is left */
    PLACE_WAIT  /* no segment yet */
};

/* @rec does not fit into what is left of the segment. */
static enum place place_elsewhere(struct spool *s, struct group_record *rec)
{
    if (s->slice.bytes > 0) {
        /* Settle the segment with this slice, so that it can be left right after. */
        s->slice.needs_sync = s->durability == SPOOL_DISK;
        return PLACE_NEXT;
    }
    bool is_essential = rec->type == RECORD_RESULT && rec->m == NULL;
    bool is_fresh = s->segment != NULL && s->segment_end == RECORD_BLOCK;
    int error = atomic_load(&s->keep->make_error);
    if (is_fresh || (!next_take(s, is_essential) && error != 0)) {
        record_refuse(s, rec, SPOOL_FULL, is_fresh || error == 0 ? -ENOSPC : error);
        return PLACE_DONE;
    }
    if (s->next == NULL)
        return PLACE_WAIT;
    if (s->segment != NULL && s->segment_settled < s->segment_end)
        return PLACE_SYNC;
    if (s->segment != NULL)
        segment_leave(s, s->segment_end, false);
    segment_enter(s);
    slice_begin(s);
    return PLACE_NEXT;
}

static enum place place_one(struct spool *s, struct group_record *rec)
{
    struct slice_write *w = &s->slice;
    uint64_t need = record_bytes(rec->length);
    uint64_t limit = 0;
    uint64_t at = 0;
    if (s->segment != NULL) {
        bool may_use_tail = rec->type == RECORD_RESULT && rec->m == NULL;
        limit = s->segment->capacity - (may_use_tail ? 0 : SEGMENT_TAIL_BYTES);
        at = w->offset + w->bytes;
        if (at == RECORD_BLOCK)
            need += sizeof(s->start_record);
    }
    if (s->segment == NULL || at + need > limit)
        return place_elsewhere(s, rec);
    if (w->iov_count + rec->piece_count + 4u > SLICE_IOV_MAX ||
        (w->bytes > 0 && w->bytes + need > SLICE_BYTES_MAX))
        return PLACE_NEXT;
    if (at == RECORD_BLOCK)
        slice_put_start(s);
    record_place(s, rec);
    return PLACE_DONE;
}

/* Fills a slice from the group in work. */
static enum place slice_fill(struct spool *s)
{
    struct group *g = s->active;
    enum place place = PLACE_DONE;
    slice_begin(s);
    while (s->active_next < g->record_count && place == PLACE_DONE) {
        struct group_record *rec = &g->records[s->active_next];
        if (record_is_dropped(s, rec)) {
            s->active_next++;
            continue;
        }
        place = place_one(s, rec);
        if (place == PLACE_DONE)
            s->active_next++;
        else if (place == PLACE_NEXT && s->slice.bytes == 0)
            place = PLACE_DONE; /* a segment was entered: try the same record there */
    }
    s->slice.rec_end = s->active_next;
    return place;
}

/* --- in flight -------------------------------------------------------------------------------- */

static void slice_submit(struct spool *s)
{
    struct slice_write *w = &s->slice;
    s->generation++;
    struct ring_token write_token = {RING_WRITE, s->token_owner, s->generation, 0};
    struct ring_token sync_token = {RING_SYNC, s->token_owner, s->generation, 0};
    const struct iovec *iov = w->iov + w->iov_next;
    uint32_t count = w->iov_count - w->iov_next;
    w->ops = 1;
    if (w->is_sync_only) {
        ring_datasync(s->ring, s->segment->fd, sync_token);
    } else if (w->is_dsync) {
        ring_writev_dsync(s->ring, s->segment->fd, iov, count, w->offset, write_token);
    } else if (w->needs_sync) {
        w->ops = 2;
        ring_writev_sync(s->ring, s->segment->fd, iov, count, w->offset + w->written, write_token,
                         sync_token);
    } else {
        ring_writev(s->ring, s->segment->fd, iov, count, w->offset + w->written, write_token);
    }
}

static void slice_start(struct spool *s)
{
    slice_put_pad(s);
    s->slice.started_at = ring_now(s->ring);
    s->slice.rec_asked = s->slice.rec_first;
    /* It vouches for its own bytes alone, so nothing before them may be without a sync. */
    s->slice.is_dsync =
        s->is_linkable && s->slice.needs_sync && s->segment_settled == s->slice.offset;
    s->counters.groups++;
    slice_submit(s);
}

/* The note about the abandoned segment: a START record alone. */
static void void_start(struct spool *s)
{
    if (!next_take(s, true)) {
        int error = atomic_load(&s->keep->make_error);
        if (error != 0)
            s->stop_error = error;
        return;
    }
    segment_enter(s);
    slice_begin(s);
    slice_put_start(s);
    s->slice.needs_sync = s->durability == SPOOL_DISK;
    s->state = WRITER_VOIDING_WRITE;
    slice_start(s);
}

static void group_refuse_all(struct spool *s, struct group *g, uint32_t from)
{
    struct group *active = s->active;
    s->active = g; /* record_release() finds the pins there */
    for (uint32_t i = from; i < g->record_count; i++)
        record_refuse(s, &g->records[i], SPOOL_FAILED, s->stop_error);
    group_reset(g);
    s->active = active;
}

static void failing_release(struct spool *s, bool is_in_doubt)
{
    struct list *entry;
    while ((entry = list_pop(&s->failing)) != NULL) {
        struct spool_message *m = CONTAINER_OF(entry, struct spool_message, link);
        m->is_in_doubt = is_in_doubt;
        spool_message_end(s, m, SPOOL_FAILED, m->error);
    }
}

static void writer_stop(struct spool *s, int error)
{
    s->state = WRITER_STOPPED;
    s->stop_error = error;
    failing_release(s, true);
    group_refuse_all(s, s->active, s->active_next);
    s->active_next = 0;
    group_refuse_all(s, s->gather, 0);
}

void writer_turn(struct spool *s)
{
    if (s->state == WRITER_VOIDING) {
        void_start(s);
        if (s->state == WRITER_VOIDING && s->stop_error != 0)
            writer_stop(s, s->stop_error);
    }
    while (s->state == WRITER_IDLE) {
        if (s->active_next == s->active->record_count) {
            if (s->gather->record_count == s->gather->lazy_count &&
                (s->gather->lazy_count == 0 || ring_now(s->ring) < s->lazy_due))
                return;
            struct group *empty = s->active;
            group_reset(empty);
            s->active = s->gather;
            s->gather = empty;
            s->active_next = 0;
        }
        enum place place = slice_fill(s);
        if (s->slice.bytes > 0) {
            s->state = WRITER_WRITING;
            slice_start(s);
        } else if (place == PLACE_SYNC) {
            s->slice.is_sync_only = true;
            s->slice.needs_sync = true;
            s->slice.started_at = s->slice.written_at = ring_now(s->ring);
            s->state = WRITER_SYNCING;
            slice_submit(s);
        } else if (place == PLACE_WAIT) {
            return;
        }
    }
}

struct spool_message *writer_next_asked(struct spool *s)
{
    struct slice_write *w = &s->slice;
    if (w->needs_sync && !w->is_dsync)
        return NULL;
    while (s->state == WRITER_WRITING && w->rec_asked < w->rec_end) {
        const struct group_record *rec = &s->active->records[w->rec_asked++];
        if (rec->type == RECORD_COMMIT && rec->is_placed)
            return rec->m;
    }
    return NULL;
}

/* --- results ---------------------------------------------------------------------------------- */

/* All bytes are with the kernel: the windows may go. */
static void slice_release(struct spool *s)
{
    for (uint32_t i = s->slice.rec_first; i < s->slice.rec_end; i++)
        record_release(s, &s->active->records[i]);
}

/* The keeper hears at once of what ends messages: it may make segments dead. */
static void news_push(struct keeper_shard *keep, const struct group_record *rec)
{
    uint32_t head = atomic_load_explicit(&keep->news_head, memory_order_relaxed);
    if (head - atomic_load_explicit(&keep->news_tail, memory_order_acquire) == KEEPER_NEWS_MAX)
        return;
    struct keeper_news *news = &keep->news[head % KEEPER_NEWS_MAX];
    news->queue_id = rec->queue_id;
    memcpy(&news->result, rec->header + RECORD_ALIGN, sizeof(news->result));
    atomic_store_explicit(&keep->news_head, head + 1, memory_order_release);
}

/* What was stored although its client has been told otherwise is removed. */
static void void_stored(struct spool *s, const struct group_record *rec)
{
    struct record_result whole = {.rcpt_idx = SPOOL_RCPT_ALL};
    struct record_result *results = &whole;
    uint32_t count = 1;
    if (rec->type == RECORD_RESULT) {
        results = s->results;
        count = rec->length / (uint32_t)sizeof(*results);
        memcpy(results, rec->header + RECORD_ALIGN, rec->length);
    }
    wall_us now = ring_wall(s->ring);
    for (uint32_t i = 0; i < count; i++) {
        results[i].op = SPOOL_RESULT_DELETE;
        results[i].at = now;
    }
    s->counters.voided++;
    rec->m->is_late = true;
    if (!group_add_results(s->gather, NULL, rec->queue_id, results, count, false)) {
        s->counters.results_lost++;
        rec->m->is_in_doubt = true;
    }
    spool_message_end(s, rec->m, SPOOL_FAILED, -ETIMEDOUT);
}

static void slice_stored(struct spool *s)
{
    struct slice_write *w = &s->slice;
    uint64_t now = ring_now(s->ring);
    s->segment_end = w->offset + w->bytes;
    if (w->needs_sync)
        s->counters.syncs++;
    if (w->needs_sync || s->durability != SPOOL_DISK)
        s->segment_settled = s->segment_end;
    s->counters.bytes_written += w->bytes;
    for (uint32_t i = w->rec_first; i < w->rec_end; i++) {
        struct group_record *rec = &s->active->records[i];
        if (rec->type == RECORD_RESULT && rec->is_placed && rec->m == NULL && !rec->is_lazy)
            news_push(s->keep, rec);
        if (!group_record_is_awaited(rec) || !rec->is_placed)
            continue;
        if (message_state_of(rec->m)->is_voided) {
            void_stored(s, rec);
            continue;
        }
        rec->m->write_ns = w->written_at - w->started_at;
        rec->m->sync_ns = now - w->written_at;
        spool_message_end(s, rec->m, SPOOL_STORED, 0);
    }
    if (s->leaving != NULL) {
        retire(s, s->leaving);
        s->leaving = NULL;
    }
    if (s->state == WRITER_VOIDING_WRITE)
        failing_release(s, false);
    s->state = WRITER_IDLE;
}

/* Results must not be lost with their slice: they go back to the end of the queue. */
static void result_again(struct spool *s, const struct group_record *rec)
{
    memcpy(s->results, rec->header + RECORD_ALIGN, rec->length);
    uint32_t count = rec->length / (uint32_t)sizeof(*s->results);
    /* Without it the message stays as it was: at worst it is delivered twice. */
    if (!group_add_results(s->gather, NULL, rec->queue_id, s->results, count, rec->is_lazy))
        s->counters.results_lost++;
}

/*
 * The slice's COMMITs wait for the note. Messages of which only DATA was in it are found out by
 * writer_message_is_poisoned(); some of them may be gone already, so they are not touched here.
 */
static void slice_failed(struct spool *s, int error)
{
    struct slice_write *w = &s->slice;
    for (uint32_t i = w->rec_first; i < w->rec_end; i++) {
        struct group_record *rec = &s->active->records[i];
        if (rec->is_placed && rec->type == RECORD_RESULT && rec->m == NULL)
            result_again(s, rec);
        if (rec->is_placed && group_record_is_awaited(rec)) {
            rec->m->error = error;
            list_remove(&rec->m->link);
            list_push(&s->failing, &rec->m->link);
        }
    }
    slice_release(s);
    s->counters.segments_abandoned++;
    if (s->state == WRITER_VOIDING_WRITE || s->abandoned_count == ABANDON_COUNT_MAX) {
        writer_stop(s, error);
        return;
    }
    s->abandoned[s->abandoned_count++] =
        (struct abandoned_segment){s->segment->seq, (uint32_t)s->segment_settled};
    if (s->leaving != NULL) { /* its successor's START record is lost with this slice */
        retire(s, s->leaving);
        s->leaving = NULL;
    }
    segment_leave(s, s->segment_settled, true);
    s->state = WRITER_VOIDING;
}

static void iov_advance(struct slice_write *w, uint64_t len)
{
    while (len > 0) {
        struct iovec *v = &w->iov[w->iov_next];
        size_t step = (size_t)u64_min(len, v->iov_len);
        v->iov_base = (uint8_t *)v->iov_base + step;
        v->iov_len -= step;
        len -= step;
        if (v->iov_len == 0)
            w->iov_next++;
    }
}

/* Every result of the submission is here. */
static void slice_settle(struct spool *s)
{
    struct slice_write *w = &s->slice;
    if (!w->is_sync_only) {
        int res = w->write_res;
        bool is_synced = w->is_dsync && w->written == w->bytes;
        w->is_dsync = false; /* what is missing is written with a sync of its own */
        if (res == -EINTR || res == -EAGAIN) {
            slice_submit(s);
            return;
        }
        if (res <= 0) {
            s->counters.write_errors++;
            slice_failed(s, res < 0 ? res : -EIO);
            return;
        }
        if (w->written < w->bytes) { /* short: the linked sync did not run */
            slice_submit(s);
            return;
        }
        if (is_synced) {
            slice_stored(s);
            return;
        }
        if (w->needs_sync && w->sync_res == -ECANCELED) {
            w->is_sync_only = true; /* it never ran, so this is not a second try */
            slice_submit(s);
            return;
        }
    }
    if (w->needs_sync && w->sync_res < 0) {
        s->counters.sync_errors++;
        slice_failed(s, w->sync_res);
        return;
    }
    slice_stored(s);
}

void writer_on_event(struct spool *s, const struct ring_event *ev)
{
    struct slice_write *w = &s->slice;
    if (ev->token.kind == RING_POLL) {
        uint64_t count;
        ssize_t got = read(s->keep->wake_fd, &count, sizeof(count));
        COUNT_IF(s->counters.stale_events, got < 0 && errno != EAGAIN);
        s->is_poll_armed = false;
        return;
    }
    if (ev->token.generation != s->generation || w->ops == 0) {
        s->counters.stale_events++;
        return;
    }
    w->ops--;
    if (ev->token.kind == RING_WRITE) {
        w->write_res = ev->res;
        if (ev->res > 0) {
            ASSERT((uint64_t)ev->res <= w->bytes - w->written);
            w->written += (uint64_t)ev->res;
            iov_advance(w, (uint64_t)ev->res);
        }
        if (w->written == w->bytes) {
            w->written_at = ring_now(s->ring);
            slice_release(s);
        }
    } else {
        ASSERT(ev->token.kind == RING_SYNC);
        w->sync_res = ev->res;
    }
    if (w->ops == 0)
        slice_settle(s);
}

void writer_close(struct spool *s)
{
    if (s->state != WRITER_IDLE || s->segment == NULL || s->segment_end == RECORD_BLOCK ||
        s->segment_settled != s->segment_end ||
        s->segment_end + RECORD_BLOCK > s->segment->capacity)
        return;
    slice_begin(s);
    header_fill(s, s->pad_record, RECORD_PAD, 0, RECORD_BLOCK - RECORD_ALIGN, 0, 0);
    struct iovec iov[2] = {{s->pad_record, RECORD_ALIGN},
                           {(void *)(uintptr_t)zero_block, RECORD_BLOCK - RECORD_ALIGN}};
    /* Only a convenience for verify and recovery: nothing depends on it, so failing is no harm. */
    if (pwritev(s->segment->fd, iov, 2, (off_t)s->segment_end) == RECORD_BLOCK &&
        s->durability == SPOOL_DISK && fdatasync(s->segment->fd) < 0)
        s->counters.sync_errors++;
}
