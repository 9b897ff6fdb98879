/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - owns the reading of a spool directory by tools: messages as they are now, with every
 * result applied, and their content, checked while it is read.
 *
 * The picture is taken once, by store_open(). It takes no lock: COMMIT records that a running
 * server is just writing are seen or not, and a segment that is recycled after the picture was
 * taken fails the check of its generation.
 */
#include "spool/store.h"
#include "base/err.h"
#include "control.h"
#include "index.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct store {
    int dir_fd;
    struct index index;
    uint32_t *live; /* indices into index.messages, by queue id */
    uint32_t live_count;
    struct spool_recovery_stats stats;
};

PRINTF_LIKE(4, 5)
static int fail(int error, char *ret_text, size_t text_cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(ret_text, text_cap, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t)len < text_cap)
        snprintf(ret_text + len, text_cap - (size_t)len, ": %s", err_text(error));
    return error;
}

static int control_one(void *arg, uint64_t queue_id, const struct record_result *result)
{
    struct store *s = arg;
    return index_add_result(&s->index, queue_id, result, INDEX_CONTROL);
}

static int live_compare(const void *a, const void *b, void *arg)
{
    const struct index *ix = arg;
    uint64_t left = ix->messages[*(const uint32_t *)a].queue_id;
    uint64_t right = ix->messages[*(const uint32_t *)b].queue_id;
    return (left > right) - (left < right);
}

static int live_collect(struct store *s)
{
    const struct index *ix = &s->index;
    s->live = malloc(((size_t)ix->message_count + 1) * sizeof(*s->live));
    if (s->live == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < ix->message_count; i++) {
        const struct index_message *m = &ix->messages[i];
        s->stats.messages_deleted += m->is_gone;
        if (m->is_gone)
            continue;
        s->live[s->live_count++] = i;
        s->stats.messages_held += m->is_held;
        s->stats.bytes_live += m->content_bytes;
    }
    s->stats.messages_live = s->live_count;
    s->stats.segments = ix->segment_count;
    s->stats.records = ix->record_count;
    s->stats.torn_tails = ix->torn_count;
    for (uint32_t i = 0; i < ix->damage_count; i++)
        s->stats.damaged_records += ix->damages[i].kind != STORE_DAMAGE_TAIL;
    qsort_r(s->live, s->live_count, sizeof(*s->live), live_compare, &s->index);
    return 0;
}

int store_open(const char *dir, struct store **ret_store, char *ret_text, size_t text_cap)
{
    struct store *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return fail(-ENOMEM, ret_text, text_cap, "cannot read %s", dir);
    s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0) {
        int result = fail(-errno, ret_text, text_cap, "cannot open %s", dir);
        free(s);
        return result;
    }
    index_init(&s->index, s->dir_fd);
    struct control_cursor cursor = {0};
    int result = index_add_all(&s->index);
    if (result == 0)
        result = control_read(s->dir_fd, &cursor, control_one, s);
    if (result == 0) {
        index_apply(&s->index);
        result = live_collect(s);
    }
    if (result < 0) {
        store_close(s);
        return fail(result, ret_text, text_cap, "cannot read %s", dir);
    }
    *ret_store = s;
    return 0;
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    index_deinit(&s->index);
    free(s->live);
    if (s->dir_fd >= 0)
        close(s->dir_fd);
    free(s);
}

uint32_t store_count(const struct store *s)
{
    return s->live_count;
}

uint64_t store_queue_id(const struct store *s, uint32_t message_idx)
{
    ASSERT(message_idx < s->live_count);
    return s->index.messages[s->live[message_idx]].queue_id;
}

bool store_find(const struct store *s, uint64_t queue_id, uint32_t *ret_message_idx)
{
    uint32_t low = 0;
    uint32_t high = s->live_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (store_queue_id(s, middle) < queue_id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == s->live_count || store_queue_id(s, low) != queue_id)
        return false;
    *ret_message_idx = low;
    return true;
}

uint32_t store_damage_count(const struct store *s)
{
    return s->index.damage_count;
}

const struct store_damage *store_damage_at(const struct store *s, uint32_t damage_idx)
{
    ASSERT(damage_idx < s->index.damage_count);
    return &s->index.damages[damage_idx];
}

const struct spool_recovery_stats *store_stats(const struct store *s)
{
    return &s->stats;
}

/* --- one message ----------------------------------------------------------------------------- */

/* Opens the segment and reads the COMMIT; the payload is valid until the reader is closed. */
static int commit_read(const struct store *s, const struct index_message *m,
                       struct segment_reader *r, struct record_commit *ret_commit,
                       struct slice *ret_payload, struct store_damage *ret_damage)
{
    const struct index_segment *seg = &s->index.segments[m->segment_idx];
    struct segment_item item = {0};
    int result = segment_reader_open(r, s->dir_fd, seg->name);
    if (result == 0 && r->header.generation == seg->header.generation)
        result = segment_reader_at(r, m->offset, &item);
    if (result < 0 && result != -EBADMSG && result != -ENOENT)
        return result;
    if (result == 0 && item.kind == SEGMENT_RECORD && item.header.type == RECORD_COMMIT &&
        record_commit_decode(item.payload, ret_commit) && ret_commit->queue_id == m->queue_id) {
        *ret_payload = item.payload;
        return 0;
    }
    *ret_damage = (struct store_damage){.kind = STORE_DAMAGE_RECORD,
                                        .queue_id = m->queue_id,
                                        .offset = m->offset,
                                        .length = item.length};
    memcpy(ret_damage->file, seg->name, sizeof(ret_damage->file));
    return -EBADMSG;
}

static void result_apply(struct store_message *m, struct spool_rcpt *rcpts,
                         const struct record_result *r)
{
    for (uint32_t i = 0; i < m->envelope.rcpt_count; i++) {
        if (r->rcpt_idx != SPOOL_RCPT_ALL && r->rcpt_idx != i)
            continue;
        bool is_waiting = rcpts[i].state == SPOOL_RCPT_WAITING;
        switch ((enum spool_result_op)r->op) {
        case SPOOL_RESULT_DELETE:
        case SPOOL_RESULT_REFUSE:
            m->is_gone[i] = true;
            break;
        case SPOOL_RESULT_RELEASE:
        case SPOOL_RESULT_HOLD:
            if (!is_waiting)
                rcpts[i].state = r->op == SPOOL_RESULT_HOLD ? SPOOL_RCPT_HELD : SPOOL_RCPT_ACTIVE;
            break;
        case SPOOL_RESULT_TAKE:
        case SPOOL_RESULT_TAKE_HELD:
            if (is_waiting)
                rcpts[i].state = r->op == SPOOL_RESULT_TAKE ? SPOOL_RCPT_ACTIVE : SPOOL_RCPT_HELD;
            break;
        case SPOOL_RESULT_DOUBT:
            m->is_doubtful = true;
            break;
        }
    }
}

static void message_build(const struct store *s, const struct index_message *im,
                          const struct record_commit *c, struct spool_rcpt *rcpts,
                          struct store_message *m)
{
    size_t cursor = 0;
    uint32_t count = 0;
    while (record_commit_rcpt(c, &cursor, &rcpts[count]))
        count++;
    ASSERT(count == c->envelope.rcpt_count);
    m->queue_id = c->queue_id;
    m->envelope = c->envelope;
    m->envelope.rcpts = rcpts;
    m->file = s->index.segments[im->segment_idx].name;
    m->offset = im->offset;
    for (uint32_t i = im->result_first; i != INDEX_NONE; i = s->index.results[i].next)
        result_apply(m, rcpts, &s->index.results[i].result);
    for (uint32_t i = 0; i < count; i++) {
        m->is_gone[i] |= rcpts[i].state == SPOOL_RCPT_WAITING;
        m->active_count += !m->is_gone[i] && rcpts[i].state == SPOOL_RCPT_ACTIVE;
        m->held_count += !m->is_gone[i] && rcpts[i].state == SPOOL_RCPT_HELD;
    }
}

int store_load(const struct store *s, uint32_t message_idx, struct store_message *ret_message,
               struct store_damage *ret_damage)
{
    ASSERT(message_idx < s->live_count);
    const struct index_message *im = &s->index.messages[s->live[message_idx]];
    struct segment_reader r;
    struct record_commit commit;
    struct slice payload = SLICE_EMPTY;
    int result = commit_read(s, im, &r, &commit, &payload, ret_damage);
    if (result == 0) {
        /* One block: recipients, flags, and the payload that their slices point into. */
        size_t rcpts_bytes = (commit.envelope.rcpt_count + 1) * sizeof(struct spool_rcpt);
        size_t flags_bytes = ALIGN_UP((size_t)commit.envelope.rcpt_count + 1, 16);
        uint8_t *memory = calloc(1, rcpts_bytes + flags_bytes + payload.len);
        if (memory == NULL) {
            segment_reader_close(&r);
            return -ENOMEM;
        }
        uint8_t *copy = memory + rcpts_bytes + flags_bytes;
        memcpy(copy, payload.ptr, payload.len);
        bool is_same = record_commit_decode(slice_of(copy, payload.len), &commit);
        ASSERT(is_same);
        *ret_message = (struct store_message){.memory = memory,
                                              .is_gone = (bool *)(void *)(memory + rcpts_bytes)};
        message_build(s, im, &commit, (struct spool_rcpt *)(void *)memory, ret_message);
    }
    segment_reader_close(&r);
    return result;
}

void store_message_free(struct store_message *m)
{
    free(m->memory);
    *m = (struct store_message){0};
}

int store_content(const struct store *s, uint32_t message_idx, store_sink sink, void *sink_arg,
                  struct store_damage *ret_damage)
{
    ASSERT(message_idx < s->live_count);
    const struct index_message *im = &s->index.messages[s->live[message_idx]];
    struct segment_reader r;
    struct record_commit commit;
    struct slice payload;
    int result = commit_read(s, im, &r, &commit, &payload, ret_damage);
    if (result == 0)
        result = index_content(&s->index, im->segment_idx, &commit, sink, sink_arg, ret_damage);
    segment_reader_close(&r);
    return result;
}

int store_control_append(const char *dir, const uint64_t *queue_ids, uint32_t count,
                         enum spool_result_op op, wall_us at, char *ret_text, size_t text_cap)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return fail(-errno, ret_text, text_cap, "cannot open %s", dir);
    struct record_result record = {.op = op, .rcpt_idx = SPOOL_RCPT_ALL, .at = at};
    int result = control_append(dir_fd, queue_ids, count, &record);
    close(dir_fd);
    return result == 0 ? 0
                       : fail(result, ret_text, text_cap, "cannot write %s/%s", dir, CONTROL_NAME);
}
