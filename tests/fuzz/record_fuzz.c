/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_fuzz.c - records and whole segments.
 *
 * The first byte chooses: raw bytes to the decoders (what is decoded is encoded to the same bytes
 * again), or a spool directory with two segments made from the input. Its instructions write
 * records with right checksums, so that recovery is reached behind them, and then raw bytes
 * anywhere. Oracle: recovery ends without a crash, and content that is given out as right has the
 * checks that its COMMIT says.
 */
#include "base/assert.h"
#include "spool/index.h"
#include "spool/store.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPACITY ((size_t)16 * KIB)
#define SEGMENTS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_commit(struct slice in)
{
    struct record_commit c;
    struct spool_rcpt rcpts[64];
    if (!record_commit_decode(in, &c) || c.envelope.rcpt_count > ARRAY_COUNT(rcpts))
        return;
    size_t cursor = 0;
    for (uint32_t i = 0; i < c.envelope.rcpt_count; i++)
        ASSERT(record_commit_rcpt(&c, &cursor, &rcpts[i]));
    c.envelope.rcpts = rcpts;
    ASSERT(record_commit_bytes(&c.envelope, c.extent_count) == in.len);
    uint8_t *again = aligned_alloc(64, ALIGN_UP(in.len, (size_t)64));
    ASSERT(again != NULL);
    record_commit_encode(&c.envelope, c.queue_id, c.content_check, c.extent_count, again);
    for (uint32_t i = 0; i < c.extent_count; i++)
        record_commit_extents(again)[i] = record_commit_extent(&c, i);
    ASSERT(memcmp(again, in.ptr, in.len) == 0);
    free(again);
}

static void fuzz_headers(struct slice in)
{
    struct record_header r;
    struct segment_header s;
    if (in.len < RECORD_ALIGN)
        return;
    if (record_header_read(in.ptr, 1, 4096, CAPACITY, &r))
        ASSERT(4096 + record_bytes(r.length) <= CAPACITY);
    if (segment_header_read(in.ptr, &s))
        ASSERT(s.shard < SHARD_COUNT_MAX);
}

/* --- whole segments -------------------------------------------------------------------------- */

struct maker {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t *segments[SEGMENTS];
    size_t used[SEGMENTS];
    uint32_t extent_count; /* of the message being made */
    struct record_extent extents[8];
    uint64_t chain;
    uint64_t bytes;
    uint64_t queue_id;
};

static uint8_t next_byte(struct maker *m)
{
    return m->at < m->end ? *m->at++ : 0;
}

/* The payload stands in place. */
static void record_put(struct maker *m, unsigned seg, uint8_t type, uint64_t queue_id, uint32_t len)
{
    uint8_t *to = m->segments[seg] + m->used[seg];
    struct record_header h = {
        .type = type,
        .generation = 100 + seg,
        .queue_id = queue_id,
        .offset = (uint32_t)m->used[seg],
        .length = len,
        .settled = (uint32_t)next_byte(m) * 512,
        .position = m->bytes,
        .payload_check = record_payload_check(slice_of(to + RECORD_ALIGN, len)),
    };
    record_header_seal(&h);
    memcpy(to, &h, sizeof(h));
    m->used[seg] += (size_t)record_bytes(len);
}

static void make_data(struct maker *m, unsigned seg)
{
    uint32_t len = next_byte(m) * 8u;
    uint8_t *payload = m->segments[seg] + m->used[seg] + RECORD_ALIGN;
    memset(payload, next_byte(m), len);
    uint32_t offset = (uint32_t)m->used[seg] + RECORD_ALIGN;
    record_put(m, seg, RECORD_DATA, m->queue_id, len);
    if (m->extent_count == ARRAY_COUNT(m->extents))
        return;
    m->extents[m->extent_count++] = (struct record_extent){seg, offset, len, 100 + seg};
    m->chain = record_chain_check(m->chain, record_payload_check(slice_of(payload, len)), len);
    m->bytes += len;
}

static void make_commit(struct maker *m, unsigned seg)
{
    struct spool_rcpt rcpt = {.address = SLICE_LIT("a@b"), .state = SPOOL_RCPT_ACTIVE};
    struct spool_envelope e = {.trace = SLICE_LIT("Received: x\r\n"),
                               .content_bytes = m->bytes,
                               .rcpts = &rcpt,
                               .rcpt_count = 1};
    uint8_t *payload = m->segments[seg] + m->used[seg] + RECORD_ALIGN;
    uint64_t len = record_commit_bytes(&e, m->extent_count);
    record_commit_encode(&e, m->queue_id, m->chain, m->extent_count, payload);
    memcpy(record_commit_extents(payload), m->extents, m->extent_count * sizeof(m->extents[0]));
    uint8_t flip = next_byte(m); /* sometimes a payload that is sealed and yet wrong */
    if (flip < 64)
        payload[flip * 2 % len] ^= next_byte(m);
    record_put(m, seg, RECORD_COMMIT, m->queue_id, (uint32_t)len);
    m->queue_id += next_byte(m) % 3;
    m->extent_count = 0;
    m->chain = 0;
    m->bytes = 0;
}

static void make_other(struct maker *m, unsigned seg, uint8_t type)
{
    uint8_t *payload = m->segments[seg] + m->used[seg] + RECORD_ALIGN;
    uint32_t len =
        type == RECORD_START ? sizeof(struct record_start) : sizeof(struct record_result);
    memset(payload, 0, 64);
    struct record_start start = {.order = seg,
                                 .prev_seq = seg ^ 1,
                                 .prev_generation = 100 + (seg ^ 1),
                                 .prev_end = next_byte(m) * 256u,
                                 .prev_settled = next_byte(m) * 256u,
                                 .is_abandoned = next_byte(m) & 1};
    struct record_result result = {.op = next_byte(m) & 3, .rcpt_idx = next_byte(m) & 3};
    if (type == RECORD_START)
        memcpy(payload, &start, sizeof(start));
    else
        memcpy(payload, &result, sizeof(result));
    record_put(m, seg, type, type == RECORD_RESULT ? m->queue_id - next_byte(m) % 3 : 0, len);
}

static void make_segments(struct maker *m)
{
    for (unsigned i = 0; i < SEGMENTS; i++) {
        struct segment_header h = {
            .seq = i, .capacity = CAPACITY, .generation = 100 + i, .queue_floor = 5};
        segment_header_seal(&h);
        memset(m->segments[i], 0, CAPACITY);
        memcpy(m->segments[i], &h, sizeof(h));
        m->used[i] = RECORD_BLOCK;
    }
    while (m->at < m->end) {
        uint8_t op = next_byte(m);
        unsigned seg = op & 1;
        if (m->used[seg] + 4096 > CAPACITY)
            continue;
        switch ((op >> 1) % 8) {
        case 0:
        case 1:
            make_data(m, seg);
            break;
        case 2:
            make_commit(m, seg);
            break;
        case 3:
            make_other(m, seg, RECORD_RESULT);
            break;
        case 4:
            make_other(m, seg, RECORD_START);
            break;
        case 5:
            m->used[seg] += (size_t)next_byte(m) * RECORD_ALIGN / 8 / RECORD_ALIGN * RECORD_ALIGN;
            break;
        case 6: /* damage */
            m->segments[seg][(next_byte(m) * 256u + next_byte(m)) % CAPACITY] ^= next_byte(m);
            break;
        default:
            record_put(m, seg, RECORD_PAD, 0, next_byte(m) * 16u);
        }
    }
}

static const char *dir_make(const struct maker *m)
{
    static char dir[64];
    if (dir[0] == 0) {
        const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(dir, sizeof(dir), "%s/record_fuzz-%d", base, (int)getpid());
        ASSERT(mkdir(dir, 0700) == 0);
    }
    for (unsigned i = 0; i < SEGMENTS; i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/00-%08x.seg", dir, i);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ASSERT(fd >= 0 && write(fd, m->segments[i], CAPACITY) == (ssize_t)CAPACITY);
        close(fd);
    }
    return dir;
}

struct sum {
    uint64_t chain;
    uint64_t bytes;
};

static int sum_piece(void *arg, struct slice bytes)
{
    struct sum *s = arg;
    s->chain = record_chain_check(s->chain, record_payload_check(bytes), bytes.len);
    s->bytes += bytes.len;
    return 0;
}

static void message_check(const struct maker *m, const struct store *s, uint32_t idx)
{
    struct store_message message;
    struct store_damage damage;
    struct sum sum = {0};
    if (store_load(s, idx, &message, &damage) != 0)
        return;
    ASSERT(message.active_count + message.held_count <= message.envelope.rcpt_count);
    if (store_content(s, idx, sum_piece, &sum, &damage) == 0) {
        ASSERT(sum.bytes == message.envelope.content_bytes);
        const uint8_t *record =
            m->segments[strncmp(message.file, "00-00000001", 11) == 0] + message.offset;
        struct record_header h;
        struct record_commit c;
        memcpy(&h, record, sizeof(h));
        struct slice payload = slice_of(record + RECORD_ALIGN, h.length);
        ASSERT(record_payload_check(payload) == h.payload_check);
        ASSERT(record_commit_decode(payload, &c) && c.content_check == sum.chain);
        ASSERT(c.queue_id == message.queue_id);
    }
    store_message_free(&message);
}

static void fuzz_segments(struct slice in)
{
    static uint8_t memory[SEGMENTS][CAPACITY + 8192];
    struct maker m = {
        .at = in.ptr, .end = in.ptr + in.len, .segments = {memory[0], memory[1]}, .queue_id = 10};
    make_segments(&m);
    const char *dir = dir_make(&m);
    struct store *s;
    char text[128];
    ASSERT(store_open(dir, &s, text, sizeof(text)) == 0);
    for (uint32_t i = 0; i < store_count(s); i++)
        message_check(&m, s, i);
    store_close(s);
    struct index ix;
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    index_init(&ix, dir_fd);
    ASSERT(index_add_all(&ix) == 0);
    for (unsigned round = 0; round < 3; round++) {
        index_mark(&ix);
        for (uint32_t i = 0; i < ix.segment_count; i++)
            if (!ix.segments[i].is_live && !ix.segments[i].is_damaged)
                ix.segments[i].is_taken = false;
        ASSERT(index_compact(&ix) == 0);
        for (uint32_t i = 0; i < ix.message_count; i++)
            ASSERT(ix.messages[i].segment_idx < ix.segment_count);
    }
    index_deinit(&ix);
    close(dir_fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    if (data[0] % 4 == 0) {
        fuzz_commit(in);
        fuzz_headers(in);
    } else {
        fuzz_segments(in);
    }
    return 0;
}
