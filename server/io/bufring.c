/* SPDX-License-Identifier: Apache-2.0 */
/* bufring.c - see bufring.h. A window's id is the index of its buffer. */
#include "io/bufring.h"
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LENT_MIN 16
#define PERIOD_TURNS 1024
#define POISON 0xD7

static uint8_t *buffer_at(const struct bufring *b, uint32_t id)
{
    return b->memory + (size_t)id * b->buffer_bytes;
}

static void reclaim(struct bufring *b, uint32_t id)
{
    ASSERT(b->free_count < b->count);
    b->free_stack[b->free_count++] = (uint16_t)id;
}

static void unreference(struct bufring *b, uint32_t id)
{
    ASSERT(b->references[id] > 0);
    if (--b->references[id] > 0)
        return;
#if DEBUG_CHECKS
    memset(buffer_at(b, id), POISON, b->filled[id]);
#endif
    b->filled[id] = 0;
    reclaim(b, id);
}

static void on_pin(struct window_source *source, uint32_t id)
{
    struct bufring *b = CONTAINER_OF(source, struct bufring, source);
    ASSERT_SLOW(b->references[id] > 0);
    b->references[id]++;
}

static void on_unpin(struct window_source *source, uint32_t id)
{
    unreference(CONTAINER_OF(source, struct bufring, source), id);
}

static const struct window_ops bufring_ops = {.pin = on_pin, .unpin = on_unpin};

int bufring_init(struct bufring *b, struct io_uring *uring, uint16_t group, uint32_t count,
                 uint32_t buffer_bytes, bool is_incremental)
{
    ASSERT(count > 0 && count <= 32768 && (count & (count - 1)) == 0);
    memset(b, 0, sizeof(*b));
    b->source.ops = &bufring_ops;
    b->uring = uring;
    b->group = group;
    b->count = count;
    b->buffer_bytes = buffer_bytes;
    b->is_incremental = is_incremental;
    b->lent_target = count < LENT_MIN ? count : LENT_MIN;
    b->memory_bytes = (size_t)count * buffer_bytes;
    void *memory = mmap(NULL, b->memory_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    b->memory = memory;
    b->free_stack = calloc(count, sizeof(*b->free_stack));
    b->references = calloc(count, sizeof(*b->references));
    b->filled = calloc(count, sizeof(*b->filled));
    int result = -ENOMEM;
    if (b->free_stack != NULL && b->references != NULL && b->filled != NULL)
        b->lent = io_uring_setup_buf_ring(uring, count, group,
                                          is_incremental ? IOU_PBUF_RING_INC : 0, &result);
    if (b->lent == NULL) {
        bufring_deinit(b);
        return result;
    }
    for (uint32_t id = count; id-- > 0;)
        reclaim(b, id);
    return 0;
}

void bufring_deinit(struct bufring *b)
{
    if (b->lent != NULL)
        (void)io_uring_free_buf_ring(b->uring, b->lent, b->count, b->group);
    if (b->memory != NULL)
        munmap(b->memory, b->memory_bytes);
    free(b->free_stack);
    free(b->references);
    free(b->filled);
    memset(b, 0, sizeof(*b));
}

/* Twice what the busiest turn of this period and the last one took. */
static void adapt(struct bufring *b)
{
    if (b->taken_count > b->taken_peak)
        b->taken_peak = b->taken_count;
    b->taken_count = 0;
    uint32_t wanted = 2 * b->taken_peak;
    if (wanted > b->lent_target)
        b->lent_target = wanted < b->count ? wanted : b->count;
    if (++b->turns < PERIOD_TURNS)
        return;
    uint32_t peak = b->taken_peak > b->taken_peak_before ? b->taken_peak : b->taken_peak_before;
    b->taken_peak_before = b->taken_peak;
    b->taken_peak = 0;
    b->turns = 0;
    wanted = 2 * peak > LENT_MIN ? 2 * peak : LENT_MIN;
    b->lent_target = wanted < b->count ? wanted : b->count;
}

void bufring_lend(struct bufring *b)
{
    adapt(b);
    int added = 0;
    int mask = io_uring_buf_ring_mask(b->count);
    while (b->lent_count < b->lent_target && b->free_count > 0) {
        uint32_t id = b->free_stack[--b->free_count];
        ASSERT(b->references[id] == 0);
        b->references[id] = 1;
        io_uring_buf_ring_add(b->lent, buffer_at(b, id), b->buffer_bytes, (uint16_t)id, mask,
                              added++);
        b->lent_count++;
    }
    if (added > 0)
        io_uring_buf_ring_advance(b->lent, added);
}

struct window bufring_take(struct bufring *b, uint16_t id, uint32_t len, bool more)
{
    ASSERT(id < b->count && b->references[id] > 0);
    ASSERT(len <= b->buffer_bytes - b->filled[id]);
    struct window w = {
        .bytes = slice_of(buffer_at(b, id) + b->filled[id], len),
        .source = &b->source,
        .id = id,
    };
    b->filled[id] += len;
    if (more) { /* the kernel keeps its reference, the window gets one of its own */
        b->references[id]++;
        return w;
    }
    ASSERT(b->lent_count > 0);
    b->lent_count--;
    b->taken_count++;
    return w;
}

void bufring_ran_out(struct bufring *b)
{
    if (b->taken_peak < b->lent_target) /* adapt() doubles it */
        b->taken_peak = b->lent_target;
}

uint32_t bufring_free_count(const struct bufring *b)
{
    return b->free_count + b->lent_count;
}
