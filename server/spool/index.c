/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.c - owns the picture of a spool directory that reading its segments gives.
 *
 * A segment's records count up to its cut: where its successor's START record says that it ends.
 * Up to its settled end (the largest that any of its headers, or the successor, names) everything
 * was finished before something later was written: what is wrong there is damage, and is reported
 * while everything else is kept. Between the settled end and the cut stands the last group of a run
 * that crashed, for which no reply was sent: a COMMIT there counts if its whole content is right,
 * and what is wrong is a torn tail.
 *
 * A segment is live (it must not be recycled) while it holds
 *   - the COMMIT or body bytes of a message that is not gone,
 *   - a result of a message, gone or not, whose COMMIT is still there in another segment,
 *   - the note about an abandoned segment that is still there.
 *
 * Invariants: a message is in the hash table once; results wait until their message turns up;
 * indices into the tables stay valid until index_compact().
 */
#include "index.h"
#include "base/err.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* The table with room for one more item: perhaps at another place, NULL without memory. */
static void *grown(void *table, uint32_t *cap, uint32_t count, size_t item_bytes)
{
    if (count < *cap)
        return table;
    if (*cap >= UINT32_MAX / 2)
        return NULL;
    uint32_t bigger = *cap == 0 ? 64 : *cap * 2;
    void *memory = realloc(table, (size_t)bigger * item_bytes);
    if (memory != NULL)
        *cap = bigger;
    return memory;
}

void index_init(struct index *ix, int dir_fd)
{
    *ix = (struct index){.dir_fd = dir_fd};
}

void index_deinit(struct index *ix)
{
    free(ix->segments);
    free(ix->messages);
    free(ix->table);
    free(ix->results);
    free(ix->extras);
    free(ix->damages);
    *ix = (struct index){.dir_fd = -1};
}

/* --- messages ------------------------------------------------------------------------------- */

static uint32_t hash_slot(const struct index *ix, uint64_t queue_id)
{
    uint64_t h = queue_id * 0x9E3779B97F4A7C15u;
    return (uint32_t)(h >> 32) & (ix->table_size - 1);
}

static void table_put(struct index *ix, uint32_t message_idx)
{
    uint32_t slot = hash_slot(ix, ix->messages[message_idx].queue_id);
    while (ix->table[slot] != INDEX_NONE)
        slot = (slot + 1) & (ix->table_size - 1);
    ix->table[slot] = message_idx;
}

static int table_build(struct index *ix, uint32_t size)
{
    uint32_t *table = malloc((size_t)size * sizeof(*table));
    if (table == NULL)
        return -ENOMEM;
    free(ix->table);
    ix->table = table;
    ix->table_size = size;
    memset(table, 0xFF, (size_t)size * sizeof(*table));
    for (uint32_t i = 0; i < ix->message_count; i++)
        table_put(ix, i);
    return 0;
}

struct index_message *index_find(const struct index *ix, uint64_t queue_id)
{
    if (ix->table_size == 0)
        return NULL;
    uint32_t slot = hash_slot(ix, queue_id);
    while (ix->table[slot] != INDEX_NONE) {
        struct index_message *m = &ix->messages[ix->table[slot]];
        if (m->queue_id == queue_id)
            return m;
        slot = (slot + 1) & (ix->table_size - 1);
    }
    return NULL;
}

uint32_t index_segment_of(const struct index *ix, uint32_t shard, uint32_t seq,
                          uint32_t generation_low)
{
    for (uint32_t i = ix->segment_count; i-- > 0;) {
        const struct index_segment *seg = &ix->segments[i];
        if (seg->is_taken && !seg->is_bad && !seg->is_foreign && seg->header.seq == seq &&
            seg->header.shard == shard && (uint32_t)seg->header.generation == generation_low)
            return i;
    }
    return INDEX_NONE;
}

/* The segments of the body, other than the one of the COMMIT. */
static int extras_add(struct index *ix, struct index_message *m, const struct record_commit *c)
{
    const struct index_segment *own = &ix->segments[m->segment_idx];
    uint32_t last_seq = own->header.seq;
    m->extra_first = ix->extra_count;
    for (uint32_t i = 0; i < c->extent_count; i++) {
        struct record_extent e = record_commit_extent(c, i);
        if (e.segment_seq == last_seq || e.segment_seq == own->header.seq)
            continue;
        last_seq = e.segment_seq;
        uint32_t idx = index_segment_of(ix, own->header.shard, e.segment_seq, e.generation_low);
        if (idx == INDEX_NONE)
            continue; /* reading the content will tell */
        uint32_t *extras = grown(ix->extras, &ix->extra_cap, ix->extra_count, sizeof(*extras));
        if (extras == NULL)
            return -ENOMEM;
        ix->extras = extras;
        ix->extras[ix->extra_count++] = idx;
        m->extra_count++;
    }
    return 0;
}

static int message_add(struct index *ix, uint32_t segment_idx, const struct segment_item *item,
                       const struct record_commit *c)
{
    struct index_message *messages =
        grown(ix->messages, &ix->message_cap, ix->message_count, sizeof(*messages));
    if (messages == NULL)
        return -ENOMEM;
    ix->messages = messages;
    int result = 0;
    if ((ix->message_count + 1) * 2 > ix->table_size)
        result = table_build(ix, ix->table_size == 0 ? 1024 : ix->table_size * 2);
    if (result < 0)
        return result;
    struct index_message m = {
        .queue_id = c->queue_id,
        .segment_idx = segment_idx,
        .offset = (uint32_t)item->offset,
        .rcpt_count = c->envelope.rcpt_count,
        .result_first = INDEX_NONE,
        .content_bytes = c->envelope.content_bytes,
        .waiting_count = c->waiting_count,
        .waiting_at_first = c->waiting_count,
        .is_held = c->held_count > 0,
        .is_over = ix->is_snapshot,
    };
    result = extras_add(ix, &m, c);
    if (result < 0)
        return result;
    ix->messages[ix->message_count] = m;
    table_put(ix, ix->message_count++);
    return 0;
}

static int damage_add(struct index *ix, const struct index_segment *seg,
                      enum store_damage_kind kind, uint64_t queue_id, uint64_t offset,
                      uint64_t length)
{
    struct store_damage *damages =
        grown(ix->damages, &ix->damage_cap, ix->damage_count, sizeof(*damages));
    if (damages == NULL)
        return -ENOMEM;
    ix->damages = damages;
    struct store_damage *d = &ix->damages[ix->damage_count++];
    *d = (struct store_damage){
        .kind = kind, .queue_id = queue_id, .offset = offset, .length = length};
    memcpy(d->file, seg->name, sizeof(d->file));
    static_assert(sizeof(d->file) == sizeof(seg->name), "the same name");
    return 0;
}

/* --- one segment ---------------------------------------------------------------------------- */

static void floor_raise(struct index *ix, uint64_t queue_id)
{
    uint64_t *floor = &ix->queue_floor[queue_id >> QUEUE_SEQ_BITS];
    *floor = u64_max(*floor, queue_id & QUEUE_SEQ_MASK);
}

static int results_add(struct index *ix, uint32_t segment_idx, const struct segment_item *item)
{
    struct record_result result;
    int error = 0;
    for (size_t at = 0; at < item->payload.len && error == 0; at += sizeof(result)) {
        memcpy(&result, item->payload.ptr + at, sizeof(result));
        error = index_add_result(ix, item->header.queue_id, &result, segment_idx);
    }
    return error;
}

static int record_add(struct index *ix, uint32_t segment_idx, const struct segment_item *item)
{
    struct index_segment *seg = &ix->segments[segment_idx];
    const struct record_header *h = &item->header;
    struct record_commit commit;
    seg->is_used = true;
    seg->settled = u64_max(seg->settled, h->settled);
    seg->end = item->offset + item->length;
    ix->record_count++;
    if (h->queue_id != 0)
        floor_raise(ix, h->queue_id);
    if (item->kind == SEGMENT_BROKEN)
        return damage_add(ix, seg, STORE_DAMAGE_RECORD, h->queue_id, item->offset, item->length);
    switch ((enum record_type)h->type) {
    case RECORD_DATA:
        seg->data_id_max = u64_max(seg->data_id_max, h->queue_id & QUEUE_SEQ_MASK);
        return 0;
    case RECORD_COMMIT:
        if (!record_commit_decode(item->payload, &commit) || commit.queue_id != h->queue_id)
            return damage_add(ix, seg, STORE_DAMAGE_RECORD, h->queue_id, item->offset,
                              item->length);
        if (index_find(ix, commit.queue_id) != NULL)
            return 0;
        return message_add(ix, segment_idx, item, &commit);
    case RECORD_RESULT:
        if (item->payload.len == 0 || item->payload.len % sizeof(struct record_result) != 0)
            return damage_add(ix, seg, STORE_DAMAGE_RECORD, h->queue_id, item->offset,
                              item->length);
        return results_add(ix, segment_idx, item);
    case RECORD_START:
    case RECORD_PAD:
        return 0;
    }
    return 0;
}

/* Is all of the content of message @message_idx right? 1, 0 or negative errno. */
static int content_is_right(struct index *ix, struct segment_reader *r, uint32_t message_idx)
{
    const struct index_message *m = &ix->messages[message_idx];
    struct segment_item item;
    struct record_commit commit;
    struct store_damage damage;
    int result = segment_reader_at(r, m->offset, &item);
    if (result < 0)
        return result;
    if (item.kind != SEGMENT_RECORD || !record_commit_decode(item.payload, &commit))
        return 0;
    result = index_content(ix, m->segment_idx, &commit, NULL, NULL, &damage);
    return result == 0 ? 1 : (result == -EBADMSG ? 0 : result);
}

/* What the last group of a crashed run left: torn messages go, damage there is a torn tail. */
static int tail_settle(struct index *ix, uint32_t segment_idx, struct segment_reader *r,
                       uint32_t message_first, uint32_t damage_first)
{
    struct index_segment *seg = &ix->segments[segment_idx];
    bool is_torn = false;
    uint32_t kept = message_first;
    for (uint32_t i = message_first; i < ix->message_count; i++) {
        struct index_message m = ix->messages[i];
        int is_right = m.offset < seg->settled ? 1 : content_is_right(ix, r, i);
        if (is_right < 0)
            return is_right;
        if (is_right == 0) {
            is_torn = true;
            int result = damage_add(ix, seg, STORE_DAMAGE_TAIL, m.queue_id, m.offset, 0);
            if (result < 0)
                return result;
            continue;
        }
        ix->messages[kept++] = m;
    }
    for (uint32_t i = damage_first; i < ix->damage_count; i++) {
        if (ix->damages[i].offset < seg->settled)
            continue;
        ix->damages[i].kind = STORE_DAMAGE_TAIL;
        is_torn = true;
    }
    ix->torn_count += is_torn;
    seg->is_torn = is_torn;
    if (kept == ix->message_count)
        return 0;
    ix->message_count = kept;
    return table_build(ix, ix->table_size);
}

/*
 * What a gap was: a COMMIT whose header is damaged still says whose it is. That is for the report
 * only, the record does not count.
 */
static int gap_add(struct index *ix, uint32_t segment_idx, struct segment_reader *r,
                   const struct segment_item *gap)
{
    uint64_t at = gap->offset;
    uint64_t end = gap->offset + gap->length;
    while (end - at > RECORD_ALIGN) {
        size_t len = (size_t)(end - at - RECORD_ALIGN);
        const uint8_t *bytes = segment_reader_bytes(r, at + RECORD_ALIGN, len);
        if (bytes == NULL)
            return -ENOMEM;
        uint64_t claimed = record_commit_length(slice_of(bytes, len));
        struct record_commit commit;
        if (claimed > len || !record_commit_decode(slice_of(bytes, (size_t)claimed), &commit))
            break;
        int result = damage_add(ix, &ix->segments[segment_idx], STORE_DAMAGE_RECORD,
                                commit.queue_id, at, record_bytes(claimed));
        if (result < 0)
            return result;
        at += record_bytes(claimed);
    }
    if (at == end)
        return 0;
    return damage_add(ix, &ix->segments[segment_idx], STORE_DAMAGE_GAP, 0, at, end - at);
}

/* All records before @limit. */
static int records_read(struct index *ix, uint32_t segment_idx, struct segment_reader *r)
{
    struct segment_item item;
    int result;
    do {
        /* The content of settled messages is checked when it is read, that of others below. */
        r->skip_data = true;
        result = segment_reader_next(r, &item);
        if (result == 0 && item.kind == SEGMENT_GAP)
            result = gap_add(ix, segment_idx, r, &item);
        else if (result == 0 && item.kind != SEGMENT_END)
            result = record_add(ix, segment_idx, &item);
    } while (result == 0 && item.kind != SEGMENT_END);
    return result;
}

static int segment_scan_once(struct index *ix, uint32_t segment_idx, uint64_t limit)
{
    struct index_segment *seg = &ix->segments[segment_idx];
    uint32_t message_first = ix->message_count;
    uint32_t damage_first = ix->damage_count;
    struct segment_reader r;
    int result = segment_reader_open(&r, ix->dir_fd, seg->name);
    if (result < 0)
        return result == -ENOENT || result == -EBADMSG ? 0 : result;
    if (r.header.generation != seg->header.generation) { /* recycled meanwhile */
        segment_reader_close(&r);
        return 0;
    }
    uint64_t file_end = r.limit;
    r.limit = u64_min(r.limit, limit);
    seg->end = RECORD_BLOCK;
    result = records_read(ix, segment_idx, &r);
    if (result == 0 && seg->cut != UINT64_MAX && seg->end < seg->cut) {
        seg->is_used = true;
        result = damage_add(ix, seg, STORE_DAMAGE_GAP, 0, seg->end, seg->cut - seg->end);
    }
    if (result == 0 && seg->settled < seg->end)
        result = tail_settle(ix, segment_idx, &r, message_first, damage_first);
    if (result == 0 && file_end < r.header.capacity) /* a segment never has another size */
        result = damage_add(ix, seg, STORE_DAMAGE_GAP, 0, file_end, r.header.capacity - file_end);
    if (result == 0 && !segment_reader_is_current(&r))
        ix->damage_count = damage_first; /* recycled while it was read: all in it was dead */
    for (uint32_t i = damage_first; i < ix->damage_count; i++)
        seg->is_damaged |= ix->damages[i].kind != STORE_DAMAGE_TAIL;
    segment_reader_close(&r);
    return result;
}

/*
 * A server may be appending while a tool reads: the reader passes a place, the server writes there
 * and further on, and the reader finds a gap before records that call it settled. So damage in a
 * segment that is still open is looked at again, up to where the first reading got: what was
 * settled then is all there now.
 */
static int segment_scan(struct index *ix, uint32_t segment_idx)
{
    const struct index before = *ix;
    const struct index_segment clean = ix->segments[segment_idx];
    int result = segment_scan_once(ix, segment_idx, clean.cut);
    struct index_segment *seg = &ix->segments[segment_idx];
    if (result < 0 || seg->cut != UINT64_MAX || !seg->is_damaged)
        return result;
    uint64_t limit = seg->end;
    *seg = clean;
    ix->message_count = before.message_count;
    ix->result_count = before.result_count;
    ix->extra_count = before.extra_count;
    ix->damage_count = before.damage_count;
    ix->record_count = before.record_count;
    ix->torn_count = before.torn_count;
    if (ix->table_size > 0)
        result = table_build(ix, ix->table_size);
    return result < 0 ? result : segment_scan_once(ix, segment_idx, limit);
}

/* Adds the file to the table: header, and the START record if there is one. */
static int segment_enter(struct index *ix, const char *name, uint32_t *ret_idx)
{
    struct index_segment *segments =
        grown(ix->segments, &ix->segment_cap, ix->segment_count, sizeof(*segments));
    if (segments == NULL)
        return -ENOMEM;
    ix->segments = segments;
    uint32_t shard = 0;
    uint32_t seq = 0;
    struct index_segment *seg = &ix->segments[ix->segment_count];
    *seg = (struct index_segment){.is_taken = true, .cut = UINT64_MAX};
    if (!segment_name_parse(name, &shard, &seq))
        return -EINVAL;
    segment_name(shard, seq, seg->name);
    struct segment_reader r;
    int result = segment_reader_open(&r, ix->dir_fd, name);
    if (result == -ENOENT)
        return result;
    if (result < 0) {
        seg->is_bad = true;
        *ret_idx = ix->segment_count++;
        return damage_add(ix, seg, STORE_DAMAGE_SEGMENT, 0, 0, sizeof(struct segment_header));
    }
    seg->header = r.header;
    seg->is_foreign = r.header.shard != shard || r.header.seq != seq;
    struct segment_item item;
    result = segment_reader_at(&r, RECORD_BLOCK, &item);
    if (result == 0 && item.kind == SEGMENT_RECORD && item.header.type == RECORD_START &&
        item.payload.len == sizeof(seg->start))
        memcpy(&seg->start, item.payload.ptr, sizeof(seg->start));
    segment_reader_close(&r);
    if (result < 0)
        return result;
    uint64_t *floor = &ix->queue_floor[seg->header.shard];
    *floor = u64_max(*floor, seg->header.queue_floor);
    *ret_idx = ix->segment_count++;
    return 0;
}

/* Tells every segment where its successor says that it ends. */
static void cuts_apply(struct index *ix)
{
    for (uint32_t i = 0; i < ix->segment_count; i++) {
        const struct index_segment *next = &ix->segments[i];
        if (next->is_foreign || next->start.prev_end == 0)
            continue;
        uint32_t idx = index_segment_of(ix, next->header.shard, next->start.prev_seq,
                                        (uint32_t)next->start.prev_generation);
        if (idx == INDEX_NONE)
            continue;
        ix->segments[idx].cut = u64_min(ix->segments[idx].cut, next->start.prev_end);
        ix->segments[idx].settled = next->start.prev_settled;
    }
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The names of all segments, sorted; freed by the caller. */
static int names_read(int dir_fd, char (**ret_names)[SEGMENT_NAME_BYTES], uint32_t *ret_count)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int result = -errno;
        if (fd >= 0)
            close(fd);
        return result;
    }
    char(*names)[SEGMENT_NAME_BYTES] = NULL;
    uint32_t count = 0;
    uint32_t cap = 0;
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(dir)) != NULL) {
        uint32_t shard = 0;
        uint32_t seq = 0;
        if (!segment_name_parse(entry->d_name, &shard, &seq))
            continue;
        char(*more)[SEGMENT_NAME_BYTES] = grown(names, &cap, count, sizeof(*names));
        if (more == NULL) {
            result = -ENOMEM;
            break;
        }
        names = more;
        segment_name(shard, seq, names[count++]);
    }
    closedir(dir);
    if (result < 0) {
        free(names);
        return result;
    }
    if (count > 0)
        qsort(names, count, sizeof(*names), name_compare);
    *ret_names = names;
    *ret_count = count;
    return 0;
}

int index_add_all(struct index *ix)
{
    char(*names)[SEGMENT_NAME_BYTES] = NULL;
    uint32_t count = 0;
    int result = names_read(ix->dir_fd, &names, &count);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        uint32_t idx;
        result = segment_enter(ix, names[i], &idx);
        if (result == -ENOENT) /* recycled since the directory was read */
            result = 0;
    }
    free(names);
    if (result < 0)
        return result;
    cuts_apply(ix);
    ix->is_snapshot = true;
    for (uint32_t i = 0; i < ix->segment_count && result == 0; i++)
        if (!ix->segments[i].is_bad && !ix->segments[i].is_foreign)
            result = segment_scan(ix, i);
    ix->is_snapshot = false;
    if (result == 0)
        index_apply(ix);
    return result;
}

int index_add(struct index *ix, const char *name, uint64_t end)
{
    uint32_t idx;
    int result = segment_enter(ix, name, &idx);
    if (result < 0)
        return result;
    struct index_segment *seg = &ix->segments[idx];
    seg->cut = end;
    seg->settled = end;
    if (!seg->is_bad && !seg->is_foreign)
        result = segment_scan(ix, idx);
    if (result == 0)
        index_apply(ix);
    return result;
}

/* --- results -------------------------------------------------------------------------------- */

int index_add_result(struct index *ix, uint64_t queue_id, const struct record_result *result,
                     uint32_t segment_idx)
{
    struct index_result *results =
        grown(ix->results, &ix->result_cap, ix->result_count, sizeof(*results));
    if (results == NULL)
        return -ENOMEM;
    ix->results = results;
    ix->results[ix->result_count++] = (struct index_result){
        .queue_id = queue_id, .result = *result, .segment_idx = segment_idx, .next = INDEX_NONE};
    return 0;
}

static bool is_repeated(const struct index *ix, const struct index_message *m, uint32_t rcpt_idx)
{
    for (uint32_t i = m->result_first; i != INDEX_NONE; i = ix->results[i].next)
        if (ix->results[i].result.op == SPOOL_RESULT_DELETE &&
            ix->results[i].result.rcpt_idx == rcpt_idx)
            return true;
    return false;
}

static void result_apply(struct index *ix, uint32_t result_idx, struct index_message *m)
{
    struct index_result *r = &ix->results[result_idx];
    bool is_all = r->result.rcpt_idx == SPOOL_RCPT_ALL;
    switch ((enum spool_result_op)r->result.op) {
    case SPOOL_RESULT_DELETE:
        if (is_all)
            m->gone_count = m->rcpt_count;
        else if (r->result.rcpt_idx < m->rcpt_count && !is_repeated(ix, m, r->result.rcpt_idx))
            m->gone_count++;
        break;
    case SPOOL_RESULT_HOLD:
    case SPOOL_RESULT_RELEASE:
        if (is_all)
            m->is_held = r->result.op == SPOOL_RESULT_HOLD;
        break;
    case SPOOL_RESULT_TAKE:
    case SPOOL_RESULT_TAKE_HELD:
    case SPOOL_RESULT_REFUSE: /* each recipient has one of them, once */
        m->waiting_count -= m->waiting_count > 0;
        m->gone_count += r->result.op == SPOOL_RESULT_REFUSE;
        m->is_held |= r->result.op == SPOOL_RESULT_TAKE_HELD;
        break;
    case SPOOL_RESULT_DOUBT:
        break;
    }
    m->is_gone = m->gone_count + (m->is_over ? m->waiting_count : 0) >= m->rcpt_count;
    /* At the end of the chain, so that results apply in the order in which they were read. */
    uint32_t *link = &m->result_first;
    while (*link != INDEX_NONE)
        link = &ix->results[*link].next;
    *link = result_idx;
    r->is_applied = true;
}

void index_apply(struct index *ix)
{
    for (uint32_t i = 0; i < ix->result_count; i++) {
        if (ix->results[i].is_applied)
            continue;
        struct index_message *m = index_find(ix, ix->results[i].queue_id);
        if (m != NULL)
            result_apply(ix, i, m);
    }
}

/* --- which segments are dead ----------------------------------------------------------------- */

void index_mark(struct index *ix)
{
    bool has_bad = false; /* who knows which messages are in it: no result may go */
    for (uint32_t i = 0; i < ix->segment_count; i++) {
        ix->segments[i].is_live = false;
        has_bad |= ix->segments[i].is_bad;
    }
    for (uint32_t i = 0; i < ix->message_count; i++) {
        const struct index_message *m = &ix->messages[i];
        if (m->is_gone)
            continue;
        ix->segments[m->segment_idx].is_live = true;
        for (uint32_t k = 0; k < m->extra_count; k++)
            ix->segments[ix->extras[m->extra_first + k]].is_live = true;
    }
    for (uint32_t i = 0; i < ix->result_count; i++) {
        const struct index_result *r = &ix->results[i];
        const struct index_message *m = r->is_applied ? index_find(ix, r->queue_id) : NULL;
        if (m == NULL && has_bad && r->segment_idx != INDEX_CONTROL)
            ix->segments[r->segment_idx].is_live = true;
        if (m != NULL && r->segment_idx != INDEX_CONTROL && r->segment_idx != m->segment_idx)
            ix->segments[r->segment_idx].is_live = true;
    }
    for (uint32_t i = 0; i < ix->segment_count; i++) {
        struct index_segment *seg = &ix->segments[i];
        if (!seg->is_taken || seg->start.is_abandoned == 0)
            continue;
        if (index_segment_of(ix, seg->header.shard, seg->start.prev_seq,
                             (uint32_t)seg->start.prev_generation) != INDEX_NONE)
            seg->is_live = true;
    }
}

/* Results of messages that are forgotten are forgotten too, and the chains are made again. */
static void results_compact(struct index *ix)
{
    for (uint32_t i = 0; i < ix->message_count; i++) {
        ix->messages[i].result_first = INDEX_NONE;
        ix->messages[i].gone_count = 0;
        ix->messages[i].waiting_count = ix->messages[i].waiting_at_first;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ix->result_count; i++) {
        struct index_result r = ix->results[i];
        bool is_forgotten = r.is_applied && index_find(ix, r.queue_id) == NULL;
        bool is_dropped = r.segment_idx != INDEX_CONTROL && !ix->segments[r.segment_idx].is_taken;
        if (is_forgotten || is_dropped)
            continue;
        r.next = INDEX_NONE;
        r.is_applied = false;
        ix->results[kept++] = r;
    }
    ix->result_count = kept;
    index_apply(ix);
}

/* Closes the holes in the table of segments; @ret_moved: where each of them is now. */
static void segments_compact(struct index *ix, uint32_t *ret_moved)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ix->segment_count; i++) {
        ret_moved[i] = ix->segments[i].is_taken ? kept : INDEX_NONE;
        if (ix->segments[i].is_taken)
            ix->segments[kept++] = ix->segments[i];
    }
    ix->segment_count = kept;
}

/* The extras of messages lie in the order of the messages, so they can move in place. */
static void extras_move(struct index *ix, const uint32_t *moved)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ix->message_count; i++) {
        struct index_message *m = &ix->messages[i];
        uint32_t first = kept;
        for (uint32_t k = 0; k < m->extra_count; k++) {
            uint32_t idx = moved[ix->extras[m->extra_first + k]];
            if (idx != INDEX_NONE)
                ix->extras[kept++] = idx;
        }
        m->extra_first = first;
        m->extra_count = kept - first;
        m->segment_idx = moved[m->segment_idx];
    }
    ix->extra_count = kept;
}

int index_compact(struct index *ix)
{
    uint32_t *moved = malloc(((size_t)ix->segment_count + 1) * sizeof(*moved));
    if (moved == NULL)
        return -ENOMEM;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < ix->message_count; i++) {
        struct index_message m = ix->messages[i];
        if (ix->segments[m.segment_idx].is_taken)
            ix->messages[kept++] = m;
    }
    bool is_changed = kept != ix->message_count;
    ix->message_count = kept;
    if (is_changed) {
        int result = table_build(ix, ix->table_size);
        if (result < 0) {
            free(moved);
            return result;
        }
    }
    results_compact(ix);
    segments_compact(ix, moved);
    extras_move(ix, moved);
    for (uint32_t i = 0; i < ix->result_count; i++)
        if (ix->results[i].segment_idx != INDEX_CONTROL)
            ix->results[i].segment_idx = moved[ix->results[i].segment_idx];
    free(moved);
    return 0;
}

/* --- content -------------------------------------------------------------------------------- */

struct content_reading {
    struct segment_reader reader;
    uint32_t segment_idx; /* of @reader; INDEX_NONE: not open */
    uint64_t position;
    uint64_t chain;
};

static int extent_open(const struct index *ix, struct content_reading *in, uint32_t shard,
                       const struct record_extent *e)
{
    if (in->segment_idx != INDEX_NONE && in->reader.header.seq == e->segment_seq &&
        (uint32_t)in->reader.header.generation == e->generation_low)
        return 0;
    uint32_t idx = index_segment_of(ix, shard, e->segment_seq, e->generation_low);
    if (idx == INDEX_NONE)
        return -EBADMSG;
    if (in->segment_idx != INDEX_NONE)
        segment_reader_close(&in->reader);
    in->segment_idx = INDEX_NONE;
    int result = segment_reader_open(&in->reader, ix->dir_fd, ix->segments[idx].name);
    if (result < 0)
        return result == -ENOENT ? -EBADMSG : result;
    in->segment_idx = idx;
    return (uint32_t)in->reader.header.generation == e->generation_low ? 0 : -EBADMSG;
}

static int extent_read(const struct index *ix, struct content_reading *in, uint32_t shard,
                       uint64_t queue_id, const struct record_extent *e, struct slice *ret_bytes)
{
    int result = extent_open(ix, in, shard, e);
    if (result < 0)
        return result;
    if (e->offset < RECORD_BLOCK + RECORD_ALIGN)
        return -EBADMSG;
    struct segment_item item;
    result = segment_reader_at(&in->reader, e->offset - RECORD_ALIGN, &item);
    if (result < 0)
        return result;
    if (item.kind != SEGMENT_RECORD || item.header.type != RECORD_DATA ||
        item.header.queue_id != queue_id || item.header.length != e->length ||
        item.header.position != in->position)
        return -EBADMSG;
    in->position += e->length;
    in->chain = record_chain_check(in->chain, item.header.payload_check, e->length);
    *ret_bytes = item.payload;
    return 0;
}

static void content_damage(const struct index *ix, const struct index_segment *own,
                           const struct record_commit *c, const struct record_extent *e,
                           struct store_damage *ret_damage)
{
    *ret_damage = (struct store_damage){.kind = STORE_DAMAGE_CONTENT, .queue_id = c->queue_id};
    memcpy(ret_damage->file, own->name, sizeof(ret_damage->file));
    if (e == NULL)
        return;
    uint32_t idx = index_segment_of(ix, own->header.shard, e->segment_seq, e->generation_low);
    if (idx != INDEX_NONE)
        memcpy(ret_damage->file, ix->segments[idx].name, sizeof(ret_damage->file));
    else
        segment_name(own->header.shard, e->segment_seq, ret_damage->file);
    ret_damage->offset = e->offset;
    ret_damage->length = e->length;
}

int index_content(const struct index *ix, uint32_t segment_idx, const struct record_commit *commit,
                  store_sink sink, void *sink_arg, struct store_damage *ret_damage)
{
    const struct index_segment *own = &ix->segments[segment_idx];
    struct content_reading in = {.segment_idx = INDEX_NONE};
    int result = 0;
    int sunk = 0;
    struct record_extent e = {0};
    for (uint32_t i = 0; i < commit->extent_count && result == 0 && sunk == 0; i++) {
        struct slice bytes = SLICE_EMPTY;
        e = record_commit_extent(commit, i);
        result = extent_read(ix, &in, own->header.shard, commit->queue_id, &e, &bytes);
        if (result == 0 && sink != NULL)
            sunk = sink(sink_arg, bytes);
    }
    if (in.segment_idx != INDEX_NONE)
        segment_reader_close(&in.reader);
    if (result == -EBADMSG) {
        content_damage(ix, own, commit, &e, ret_damage);
        return result;
    }
    if (result < 0 || sunk != 0)
        return result < 0 ? result : sunk;
    if (in.chain != commit->content_check || in.position != commit->envelope.content_bytes) {
        content_damage(ix, own, commit, NULL, ret_damage);
        return -EBADMSG;
    }
    return 0;
}
