/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.c - owns the memory in which records gather while the group before is being written.
 *
 * A record is a run of pieces: its header and whatever was copied stand in the staging area, large
 * body parts stay where they are and are pinned. Small messages leave one unbroken run of staging
 * bytes behind each other, so a group of a hundred of them is one vector for the kernel.
 *
 * All memory is mapped once, large enough for any load that the limits of connections and receive
 * buffers allow, and used from the front: pages that no load ever needed are never touched.
 *
 * Invariants: a header starts at a multiple of RECORD_ALIGN of the staging area; the pieces of a
 * record together are record_bytes(length) long; every DATA record counts once in its message's
 * writes_pending until spool.c has finished it.
 */
#include "group.h"
#include "base/err.h"
#include <sys/mman.h>
#include <xxhash.h>

static_assert(RECORD_PIECES_MAX <= UINT16_MAX, "piece_count");

static void *map_new(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

static void map_free(void *memory, size_t bytes)
{
    if (memory != NULL)
        munmap(memory, bytes);
}

#define RECORDS_BYTES (GROUP_RECORDS_MAX * sizeof(struct group_record))
#define PIECES_BYTES (GROUP_PIECES_MAX * sizeof(struct iovec))
#define PINS_BYTES (GROUP_PINS_MAX * sizeof(struct window))
#define CHUNKS_BYTES (EXTENT_CHUNKS_MAX * sizeof(struct extent_chunk))

int group_init(struct group *g, void *hash)
{
    *g = (struct group){
        .records = map_new(RECORDS_BYTES),
        .pieces = map_new(PIECES_BYTES),
        .pins = map_new(PINS_BYTES),
        .staging = map_new(GROUP_STAGING_BYTES),
        .hash = hash,
    };
    if (g->records != NULL && g->pieces != NULL && g->pins != NULL && g->staging != NULL)
        return 0;
    group_deinit(g);
    return -ENOMEM;
}

void group_deinit(struct group *g)
{
    map_free(g->records, RECORDS_BYTES);
    map_free(g->pieces, PIECES_BYTES);
    map_free(g->pins, PINS_BYTES);
    map_free(g->staging, GROUP_STAGING_BYTES);
    *g = (struct group){0};
}

void group_reset(struct group *g)
{
    if (g->staged_bytes > GROUP_STAGING_KEEP)
        madvise(g->staging + GROUP_STAGING_KEEP, g->staged_bytes - GROUP_STAGING_KEEP,
                MADV_DONTNEED);
    g->record_count = 0;
    g->piece_count = 0;
    g->pin_count = 0;
    g->result_count = 0;
    g->lazy_count = 0;
    g->staged_bytes = 0;
    g->bytes = 0;
}

/* --- extents ------------------------------------------------------------------------------ */

int extent_pool_init(struct extent_pool *p)
{
    *p = (struct extent_pool){.chunks = map_new(CHUNKS_BYTES)};
    return p->chunks != NULL ? 0 : -ENOMEM;
}

void extent_pool_deinit(struct extent_pool *p)
{
    map_free(p->chunks, CHUNKS_BYTES);
    *p = (struct extent_pool){0};
}

static struct extent_chunk *chunk_take(struct extent_pool *p)
{
    struct extent_chunk *c = p->free;
    if (c != NULL)
        p->free = c->next;
    else if (p->fresh_count < EXTENT_CHUNKS_MAX)
        c = &p->chunks[p->fresh_count++];
    if (c != NULL)
        c->next = NULL;
    return c;
}

void extents_release(struct extent_pool *p, struct spool_message *m)
{
    struct message_state *st = message_state_of(m);
    if (st->first != NULL) {
        st->last->next = p->free;
        p->free = st->first;
    }
    st->first = NULL;
    st->last = NULL;
    st->extent_count = 0;
}

/* The slot for one more extent; NULL: the pool is empty. */
static struct record_extent *extent_add(struct extent_pool *p, struct message_state *st)
{
    if (st->extent_count < EXTENTS_NEAR)
        return &st->near[st->extent_count++];
    uint32_t in_chunk = (st->extent_count - EXTENTS_NEAR) % EXTENTS_PER_CHUNK;
    if (in_chunk == 0) {
        struct extent_chunk *c = chunk_take(p);
        if (c == NULL)
            return NULL;
        if (st->last != NULL)
            st->last->next = c;
        else
            st->first = c;
        st->last = c;
    }
    st->extent_count++;
    return &st->last->at[in_chunk];
}

void extents_copy(struct spool_message *m, struct record_extent *to)
{
    const struct message_state *st = message_state_of(m);
    uint32_t left = st->extent_count;
    uint32_t count = left < EXTENTS_NEAR ? left : EXTENTS_NEAR;
    memcpy(to, st->near, count * sizeof(*to));
    for (const struct extent_chunk *c = st->first; c != NULL; c = c->next) {
        to += count;
        left -= count;
        count = left < EXTENTS_PER_CHUNK ? left : EXTENTS_PER_CHUNK;
        memcpy(to, c->at, count * sizeof(*to));
    }
    ASSERT(left == count);
}

/* --- records ------------------------------------------------------------------------------ */

static void piece_push(struct group *g, struct group_record *rec, const void *ptr, size_t len)
{
    if (rec->piece_count > 0) {
        struct iovec *last = &g->pieces[g->piece_count - 1];
        if ((const uint8_t *)last->iov_base + last->iov_len == (const uint8_t *)ptr) {
            last->iov_len += len;
            return;
        }
    }
    ASSERT(g->piece_count < GROUP_PIECES_MAX);
    g->pieces[g->piece_count++] = (struct iovec){(void *)(uintptr_t)ptr, len};
    rec->piece_count++;
}

static uint8_t *staging_take(struct group *g, struct group_record *rec, size_t len)
{
    ASSERT(len <= GROUP_STAGING_BYTES - g->staged_bytes);
    uint8_t *at = g->staging + g->staged_bytes;
    g->staged_bytes += len;
    piece_push(g, rec, at, len);
    return at;
}

static struct group_record *record_begin(struct group *g, enum record_type type,
                                         struct spool_message *m, uint64_t queue_id)
{
    ASSERT(g->record_count < GROUP_RECORDS_MAX);
    struct group_record *rec = &g->records[g->record_count++];
    *rec = (struct group_record){
        .m = m,
        .queue_id = queue_id,
        .piece_start = g->piece_count,
        .pin_start = g->pin_count,
        .type = (uint8_t)type,
    };
    g->staged_bytes = ALIGN_UP(g->staged_bytes, RECORD_ALIGN);
    rec->header = staging_take(g, rec, RECORD_ALIGN);
    return rec;
}

static void record_end(struct group *g, struct group_record *rec)
{
    uint64_t total = record_bytes(rec->length);
    size_t pad = (size_t)(total - RECORD_ALIGN - rec->length);
    if (pad > 0)
        memset(staging_take(g, rec, pad), 0, pad);
    g->bytes += total;
}

struct part_cursor {
    const struct spool_part *parts;
    uint32_t count;
    uint32_t idx;
    size_t offset;
};

/* One body part, or what of it still fits, joins @rec. */
static void data_part(struct group *g, struct group_record *rec, const struct spool_part *part,
                      struct slice bytes, bool *is_hashing)
{
    if (bytes.len <= GROUP_COPY_BYTES_MAX) {
        uint8_t *copy = staging_take(g, rec, bytes.len);
        memcpy(copy, bytes.ptr, bytes.len);
    } else {
        if (!*is_hashing) {
            XXH3_64bits_reset(g->hash);
            /* What was copied before stands behind the header in one run. */
            XXH3_64bits_update(g->hash, rec->header + RECORD_ALIGN, rec->length);
            *is_hashing = true;
        }
        piece_push(g, rec, bytes.ptr, bytes.len);
        if (part->window.source != NULL) {
            window_pin(&part->window);
            g->pins[g->pin_count++] = part->window;
            rec->pin_count++;
        }
    }
    if (*is_hashing)
        XXH3_64bits_update(g->hash, bytes.ptr, bytes.len);
    rec->length += (uint32_t)bytes.len;
}

static void data_record(struct group *g, struct extent_pool *pool, struct spool_message *m,
                        struct part_cursor *in, uint32_t data_bytes_max)
{
    struct message_state *st = message_state_of(m);
    struct group_record *rec = record_begin(g, RECORD_DATA, m, m->proof.queue_id);
    bool is_hashing = false;
    while (in->idx < in->count && rec->length < data_bytes_max &&
           rec->piece_count < RECORD_PIECES_MAX) {
        const struct spool_part *part = &in->parts[in->idx];
        struct slice bytes =
            slice_first(slice_from(part->bytes, in->offset), data_bytes_max - rec->length);
        if (bytes.len > 0)
            data_part(g, rec, part, bytes, &is_hashing);
        in->offset += bytes.len;
        if (in->offset == part->bytes.len) {
            in->idx++;
            in->offset = 0;
        }
    }
    rec->payload_check = is_hashing ? XXH3_64bits_digest(g->hash)
                                    : XXH3_64bits(rec->header + RECORD_ALIGN, rec->length);
    rec->position = st->content_bytes;
    rec->extent = extent_add(pool, st);
    ASSERT(rec->extent != NULL); /* group_add_data() counted them */
    *rec->extent = (struct record_extent){0};
    st->content_bytes += rec->length;
    st->content_check = record_chain_check(st->content_check, rec->payload_check, rec->length);
    m->writes_pending++;
    m->bytes_pending += rec->length;
    record_end(g, rec);
}

static bool extents_have_room(const struct extent_pool *p, uint64_t extents)
{
    uint64_t chunks = extents / EXTENTS_PER_CHUNK + 1;
    if (chunks <= EXTENT_CHUNKS_MAX - p->fresh_count)
        return true;
    chunks -= EXTENT_CHUNKS_MAX - p->fresh_count;
    for (const struct extent_chunk *c = p->free; c != NULL && chunks > 0; c = c->next)
        chunks--;
    return chunks == 0;
}

bool group_add_data(struct group *g, struct extent_pool *pool, struct spool_message *m,
                    const struct spool_part *parts, uint32_t part_count, uint32_t data_bytes_max)
{
    uint64_t total = 0;
    uint64_t copied = 0;
    for (uint32_t i = 0; i < part_count; i++) {
        total += parts[i].bytes.len;
        copied += parts[i].bytes.len <= GROUP_COPY_BYTES_MAX ? parts[i].bytes.len : 0;
    }
    if (total == 0)
        return true;
    /* Upper bounds: a record ends when it is full of bytes or of pieces. */
    uint64_t records = total / data_bytes_max + part_count / (RECORD_PIECES_MAX / 2) + 2;
    uint64_t staging = copied + records * (4 * RECORD_ALIGN + 2 * GROUP_COPY_BYTES_MAX);
    uint64_t pieces = 2 * (uint64_t)part_count + 4 * records;
    if (records > GROUP_RECORDS_MAX - g->record_count ||
        staging > GROUP_STAGING_BYTES - g->staged_bytes ||
        pieces > GROUP_PIECES_MAX - g->piece_count ||
        part_count + records > GROUP_PINS_MAX - g->pin_count || !extents_have_room(pool, records))
        return false;
    struct part_cursor in = {parts, part_count, 0, 0};
    uint64_t left = total;
    while (left > 0) {
        uint64_t before = message_state_of(m)->content_bytes;
        data_record(g, pool, m, &in, data_bytes_max);
        left -= message_state_of(m)->content_bytes - before;
    }
    return true;
}

int group_add_commit(struct group *g, struct spool_message *m,
                     const struct spool_envelope *envelope, uint64_t bytes_max)
{
    const struct message_state *st = message_state_of(m);
    uint64_t len = record_commit_bytes(envelope, st->extent_count);
    if (len == 0 || record_bytes(len) > bytes_max)
        return -E2BIG;
    if (g->record_count == GROUP_RECORDS_MAX || g->piece_count + 4 > GROUP_PIECES_MAX ||
        len + 4 * RECORD_ALIGN > GROUP_STAGING_BYTES - g->staged_bytes)
        return -ENOBUFS;
    struct group_record *rec = record_begin(g, RECORD_COMMIT, m, m->proof.queue_id);
    uint8_t *payload = staging_take(g, rec, (size_t)len);
    record_commit_encode(envelope, m->proof.queue_id, st->content_check, st->extent_count, payload);
    rec->length = (uint32_t)len;
    record_end(g, rec);
    return 0;
}

bool group_add_results(struct group *g, struct spool_message *m, uint64_t queue_id,
                       const struct record_result *results, uint32_t count, bool is_lazy)
{
    size_t len = count * sizeof(*results);
    ASSERT(count > 0 && count <= RCPT_COUNT_HARD_MAX);
    if (g->result_count == GROUP_RESULTS_MAX || g->record_count == GROUP_RECORDS_MAX ||
        g->piece_count + 4 > GROUP_PIECES_MAX ||
        len + 4 * RECORD_ALIGN > GROUP_STAGING_BYTES - g->staged_bytes)
        return false;
    struct group_record *rec = record_begin(g, RECORD_RESULT, m, queue_id);
    memcpy(staging_take(g, rec, len), results, len);
    rec->length = (uint32_t)len;
    rec->payload_check = record_payload_check(slice_of(results, len));
    rec->is_lazy = is_lazy;
    record_end(g, rec);
    g->result_count++;
    g->lazy_count += is_lazy;
    return true;
}
