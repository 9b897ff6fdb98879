/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool.c - owns a shard's messages from begin to outcome: what they are, what of them gathers,
 * and when their outcome may be told. Writing is writer.c's.
 *
 *              spool_begin
 *                  |
 *                OPEN ---- spool_commit ----> COMMITTING ---- group stored ----> ENDED (STORED)
 *                  |  \                            |
 *     spool_abort  |   +-- no room, failed -----+  +-- no room ----------------> ENDED (FULL)
 *                  v                            |  +-- write or sync failed,
 *                ENDED (FAILED, handed out      |      note stored ------------> ENDED (FAILED)
 *                 only if writes were pending)  +----> commit ends at once
 *
 * Invariants: is_committed is set in exactly one place, after the slice with the COMMIT record has
 * been written and, with durability disk, synced (P1), or nothing was asked for (none). An ended
 * message is on the done list exactly once, after the last of its records has left the groups.
 * spool_take() sends a stored message through COMMITTING once more, for further recipients; its
 * proof is void meanwhile.
 */
#include "writer.h"
#include "base/err.h"
#include <stdlib.h>
#include <xxhash.h>

/* A record that nobody waits for rides with the next group for so long, before it makes one. */
#define LAZY_NS NS_PER_S
#define ROOM_SLACK ((uint64_t)16 * KIB) /* envelope, headers, padding of one message */

const char *spool_durability_name(enum spool_durability d)
{
    switch (d) {
    case SPOOL_DISK:
        return "disk";
    case SPOOL_OS:
        return "os";
    case SPOOL_NONE:
        return "none";
    }
    UNREACHABLE();
}

/* --- life of a shard's spool ----------------------------------------------------------------- */

static void sizes_init(struct spool *s)
{
    uint64_t bytes = keeper_segment_bytes(s->dir);
    uint64_t share = bytes / 16;
    s->data_bytes_max = (uint32_t)u64_min(share, RECORD_DATA_BYTES_MAX);
    s->commit_bytes_max =
        u64_min(GROUP_STAGING_BYTES / 2, bytes - SEGMENT_TAIL_BYTES - 2 * (uint64_t)RECORD_BLOCK);
}

int spool_new(struct spool_dir *d, uint32_t shard_idx, struct ring *ring, uint8_t token_owner,
              struct spool **ret_spool)
{
    ASSERT(shard_idx < SHARD_COUNT_MAX);
    struct spool *s = aligned_alloc(RECORD_ALIGN, ALIGN_UP(sizeof(*s), (size_t)RECORD_ALIGN));
    if (s == NULL)
        return -ENOMEM;
    memset(s, 0, sizeof(*s));
    s->dir = d;
    s->keep = keeper_shard_at(d, shard_idx);
    s->ring = ring;
    s->durability = keeper_durability(d);
    s->shard_idx = shard_idx;
    s->token_owner = token_owner;
    s->start = s->keep->start;
    /* Above every id that the spool has seen, and above what was given out and never stored: ids
     * start at the time in microseconds, and no shard takes a million messages a second. */
    s->queue_seq = u64_max(atomic_load(&s->keep->queue_floor), ring_wall(ring) & QUEUE_SEQ_MASK);
    s->lazy_due = CLOCK_NEVER;
    list_init(&s->open);
    list_init(&s->done);
    list_init(&s->failing);
    s->hash = XXH3_createState();
    int result = s->hash != NULL ? 0 : -ENOMEM;
    for (int i = 0; i < 2 && result == 0; i++)
        result = group_init(&s->groups[i], s->hash);
    if (result == 0)
        result = extent_pool_init(&s->extents);
    if (result < 0) {
        spool_free(s);
        return result;
    }
    s->gather = &s->groups[0];
    s->active = &s->groups[1];
    sizes_init(s);
    *ret_spool = s;
    return 0;
}

void spool_free(struct spool *s)
{
    if (s == NULL)
        return;
    if (s->gather != NULL)
        writer_close(s);
    segment_file_free(s->segment);
    segment_file_free(s->next);
    segment_file_free(s->leaving);
    for (int i = 0; i < 2; i++)
        if (s->groups[i].records != NULL)
            group_deinit(&s->groups[i]);
    extent_pool_deinit(&s->extents);
    XXH3_freeState(s->hash);
    free(s);
}

/* --- room ------------------------------------------------------------------------------------ */

static uint64_t room_bytes(const struct spool *s)
{
    uint64_t room = keeper_room_bytes(s->dir) +
                    atomic_load_explicit(&s->keep->ready_bytes, memory_order_relaxed);
    if (s->segment != NULL)
        room += s->segment->capacity - s->segment_end;
    if (s->next != NULL)
        room += s->next->capacity;
    uint64_t gathered = s->gather->bytes + s->active->bytes;
    return room > gathered ? room - gathered : 0;
}

enum spool_outcome spool_can_store(const struct spool *s, uint64_t size_hint)
{
    if (s->durability == SPOOL_NONE)
        return SPOOL_PENDING;
    if (s->state == WRITER_STOPPED)
        return SPOOL_FAILED;
    uint64_t room = room_bytes(s);
    /* A header every data_bytes_max bytes is far below 1/64. */
    if (size_hint > room || size_hint + size_hint / 64 + SEGMENT_TAIL_BYTES + ROOM_SLACK > room)
        return SPOOL_FULL;
    return SPOOL_PENDING;
}

/* --- messages -------------------------------------------------------------------------------- */

enum spool_outcome spool_begin(struct spool *s, struct spool_message *m, uint64_t size_hint)
{
    *m = (struct spool_message){0};
    list_init(&m->link);
    s->queue_seq = (s->queue_seq + 1) & QUEUE_SEQ_MASK;
    m->proof.queue_id = ((uint64_t)s->shard_idx << QUEUE_SEQ_BITS) | s->queue_seq;
    ASSERT(m->proof.queue_id != 0);
    if (s->durability == SPOOL_NONE)
        return SPOOL_PENDING;
    atomic_store_explicit(&s->keep->queue_floor, s->queue_seq, memory_order_relaxed);
    message_state_of(m)->abandon_epoch = s->abandoned_count;
    enum spool_outcome outcome = spool_can_store(s, size_hint);
    if (outcome == SPOOL_FULL)
        s->counters.full_refusals++;
    if (outcome != SPOOL_PENDING) {
        m->outcome = outcome;
        m->error = outcome == SPOOL_FULL ? -ENOSPC : s->stop_error;
        message_state_of(m)->phase = MESSAGE_ENDED;
    } else {
        list_push(&s->open, &m->link);
    }
    return outcome;
}

static void message_hand_out(struct spool *s, struct spool_message *m)
{
    extents_release(&s->extents, m);
    list_push(&s->done, &m->link);
}

void spool_message_end(struct spool *s, struct spool_message *m, enum spool_outcome outcome,
                       int error)
{
    struct message_state *st = message_state_of(m);
    ASSERT(st->phase != MESSAGE_ENDED && outcome != SPOOL_PENDING);
    st->phase = MESSAGE_ENDED;
    list_remove(&m->link);
    m->outcome = outcome;
    m->error = error;
    if (outcome == SPOOL_STORED) {
        ASSERT(m->writes_pending == 0 && st->broken == SPOOL_PENDING);
        m->proof.is_committed = true; /* the only place */
        s->counters.takes += st->is_taking;
        s->counters.commits += !st->is_taking;
    }
    if (m->writes_pending == 0)
        message_hand_out(s, m);
}

void spool_message_written(struct spool *s, struct spool_message *m, uint32_t bytes)
{
    ASSERT(m->writes_pending > 0 && m->bytes_pending >= bytes);
    m->writes_pending--;
    m->bytes_pending -= bytes;
    if (m->writes_pending == 0 && message_state_of(m)->phase == MESSAGE_ENDED)
        message_hand_out(s, m);
}

/* What is wrong with @m already; PENDING: nothing. */
static enum spool_outcome message_trouble(struct spool *s, struct spool_message *m, int *ret_error)
{
    struct message_state *st = message_state_of(m);
    if (s->state == WRITER_STOPPED) {
        *ret_error = s->stop_error;
        return SPOOL_FAILED;
    }
    if (st->broken == SPOOL_PENDING && writer_message_is_poisoned(s, m)) {
        st->broken = SPOOL_FAILED;
        st->broken_error = -EIO;
    }
    *ret_error = st->broken_error;
    return (enum spool_outcome)st->broken;
}

static enum spool_outcome data_gather(struct spool *s, struct spool_message *m,
                                      const struct spool_part *parts, uint32_t part_count,
                                      int *ret_error)
{
    enum spool_outcome trouble = message_trouble(s, m, ret_error);
    if (trouble != SPOOL_PENDING)
        return trouble;
    if (group_add_data(s->gather, &s->extents, m, parts, part_count, s->data_bytes_max))
        return SPOOL_PENDING;
    s->counters.full_refusals++;
    message_state_of(m)->broken = SPOOL_FULL; /* so that what has gathered is not written */
    message_state_of(m)->broken_error = -ENOBUFS;
    *ret_error = -ENOBUFS;
    return SPOOL_FULL;
}

enum spool_outcome spool_append(struct spool *s, struct spool_message *m,
                                const struct spool_part *parts, uint32_t part_count)
{
    struct message_state *st = message_state_of(m);
    ASSERT(st->phase == MESSAGE_OPEN && m->proof.queue_id != 0);
    if (s->durability == SPOOL_NONE)
        return SPOOL_PENDING;
    int error = 0;
    return data_gather(s, m, parts, part_count, &error);
}

void spool_commit(struct spool *s, struct spool_message *m, const struct spool_part *parts,
                  uint32_t part_count, const struct spool_envelope *envelope)
{
    struct message_state *st = message_state_of(m);
    ASSERT(st->phase == MESSAGE_OPEN && m->proof.queue_id != 0);
    ASSERT(envelope->rcpt_count > 0);
    if (s->durability == SPOOL_NONE) {
        spool_message_end(s, m, SPOOL_STORED, 0);
        return;
    }
    st->phase = MESSAGE_COMMITTING;
    int error = 0;
    enum spool_outcome outcome = data_gather(s, m, parts, part_count, &error);
    if (outcome == SPOOL_PENDING) {
        ASSERT_SLOW(st->content_bytes == envelope->content_bytes);
        error = group_add_commit(s->gather, m, envelope, s->commit_bytes_max);
        if (error == 0)
            return;
        outcome = error == -E2BIG ? SPOOL_FAILED : SPOOL_FULL;
        st->broken = (uint8_t)outcome; /* so that its gathered body is not written */
    }
    spool_message_end(s, m, outcome, error);
}

void spool_abort(struct spool *s, struct spool_message *m)
{
    struct message_state *st = message_state_of(m);
    ASSERT(st->phase == MESSAGE_OPEN && !m->is_promised);
    s->counters.aborts++;
    st->is_aborted = true;
    list_remove(&m->link);
    st->phase = MESSAGE_ENDED;
    m->outcome = SPOOL_FAILED;
    m->error = -ECANCELED;
    if (m->writes_pending == 0)
        extents_release(&s->extents, m);
}

/* @changes as they stand in a record. The shard's own memory: they are copied at once. */
static const struct record_result *results_of(struct spool *s, const struct spool_change *changes,
                                              uint32_t count, wall_us at)
{
    ASSERT(count > 0 && count <= RCPT_COUNT_HARD_MAX);
    for (uint32_t i = 0; i < count; i++)
        s->results[i] =
            (struct record_result){.op = changes[i].op, .rcpt_idx = changes[i].rcpt_idx, .at = at};
    return s->results;
}

void spool_take(struct spool *s, struct spool_message *m, const struct spool_change *changes,
                uint32_t count, wall_us at)
{
    struct message_state *st = message_state_of(m);
    ASSERT(st->phase == MESSAGE_ENDED && m->outcome == SPOOL_STORED);
    ASSERT(m->writes_pending == 0);
    st->phase = MESSAGE_COMMITTING;
    st->is_taking = true;
    st->is_placed = false;
    m->outcome = SPOOL_PENDING;
    m->proof.is_committed = false;
    if (s->durability == SPOOL_NONE) {
        spool_message_end(s, m, SPOOL_STORED, 0);
        return;
    }
    if (s->state == WRITER_STOPPED) {
        spool_message_end(s, m, SPOOL_FAILED, s->stop_error);
        return;
    }
    if (group_add_results(s->gather, m, m->proof.queue_id, results_of(s, changes, count, at), count,
                          false))
        return;
    s->counters.full_refusals++;
    spool_message_end(s, m, SPOOL_FULL, -ENOBUFS);
}

void spool_refuse(struct spool *s, uint64_t queue_id, const struct spool_change *changes,
                  uint32_t count, wall_us at)
{
    if (s->durability == SPOOL_NONE || s->state == WRITER_STOPPED)
        return;
    if (!group_add_results(s->gather, NULL, queue_id, results_of(s, changes, count, at), count,
                           true))
        s->counters.results_lost++;
}

bool spool_is_written(const struct spool_message *m)
{
    return ((const struct message_state *)(const void *)m->opaque)->is_placed;
}

void spool_void(struct spool *s, struct spool_message *m)
{
    struct message_state *st = message_state_of(m);
    (void)s;
    ASSERT(st->phase == MESSAGE_COMMITTING && !m->is_promised);
    if (st->is_placed) {
        st->is_voided = true;
        return;
    }
    if (st->broken != SPOOL_PENDING) /* it fails anyhow */
        return;
    st->broken = SPOOL_FAILED; /* then record_is_dropped() */
    st->broken_error = -ECANCELED;
}

enum spool_outcome spool_result(struct spool *s, uint64_t queue_id, enum spool_result_op op,
                                uint32_t rcpt_idx, wall_us at)
{
    ASSERT(queue_id >> QUEUE_SEQ_BITS == s->shard_idx);
    if (s->durability == SPOOL_NONE)
        return SPOOL_PENDING;
    if (s->state == WRITER_STOPPED)
        return SPOOL_FAILED;
    struct record_result result = {.op = op, .rcpt_idx = rcpt_idx, .at = at};
    bool is_lazy = op == SPOOL_RESULT_DOUBT;
    return group_add_results(s->gather, NULL, queue_id, &result, 1, is_lazy) ? SPOOL_PENDING
                                                                             : SPOOL_FULL;
}

void spool_turn(struct spool *s)
{
    if (s->durability == SPOOL_NONE)
        return;
    if (s->gather->lazy_count == 0)
        s->lazy_due = CLOCK_NEVER;
    else if (s->lazy_due == CLOCK_NEVER)
        s->lazy_due = ring_now(s->ring) + LAZY_NS;
    writer_turn(s);
}

clock_ns spool_due(const struct spool *s)
{
    bool is_waiting = s->state == WRITER_IDLE && s->gather->lazy_count > 0 &&
                      s->active_next == s->active->record_count;
    return is_waiting ? s->lazy_due : CLOCK_NEVER;
}

void spool_flush(struct spool *s)
{
    s->lazy_due = 0;
}

void spool_set_linkable(struct spool *s)
{
    s->is_linkable = true;
}

struct spool_message *spool_next_asked(struct spool *s)
{
    return s->durability != SPOOL_NONE ? writer_next_asked(s) : NULL;
}

void spool_on_event(struct spool *s, const struct ring_event *ev)
{
    writer_on_event(s, ev);
}

struct spool_message *spool_next_done(struct spool *s)
{
    struct list *entry = list_pop(&s->done);
    return entry != NULL ? CONTAINER_OF(entry, struct spool_message, link) : NULL;
}

bool spool_is_idle(const struct spool *s)
{
    return (s->state == WRITER_IDLE || s->state == WRITER_STOPPED) &&
           s->active_next == s->active->record_count && s->gather->record_count == 0 &&
           list_is_empty(&s->done) && list_is_empty(&s->failing);
}

bool spool_is_stopped(const struct spool *s)
{
    return s->state == WRITER_STOPPED;
}

const struct spool_counters *spool_counters(const struct spool *s)
{
    /* The one counter that the keeper counts. */
    ((struct spool *)(uintptr_t)s)->counters.segments_recycled =
        atomic_load_explicit(&s->keep->recycled_count, memory_order_relaxed);
    return &s->counters;
}
