/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - fixed-size objects in address space that is set aside once.
 *
 * The idea: one mapping without access rights holds room for all objects, so that an index is a
 * multiplication away from its object and nothing ever moves. Access is opened slab by slab; the
 * kernel accounts for a slab only then, and for its pages only when they are touched. Free objects
 * form a list of indices in an array beside the objects, which keeps the objects themselves free to
 * be poisoned and makes "is it taken" a single load.
 *
 * Invariants:
 * - used_count <= used_count_max <= fresh_idx <= ready_count <= limit
 * - next[i] is POOL_TAKEN exactly for the used_count objects that are out; objects below fresh_idx
 *   that are not out are on the list that starts at free_idx and ends with POOL_END.
 */
#include "base/pool.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif
#ifndef POOL_ASAN
#define POOL_ASAN 0
#endif

#if POOL_ASAN
#include <sanitizer/asan_interface.h>
#define MEMORY_FORBID(ptr, len) __asan_poison_memory_region((ptr), (len))
#define MEMORY_ALLOW(ptr, len) __asan_unpoison_memory_region((ptr), (len))
#else
#define MEMORY_FORBID(ptr, len) ((void)(ptr), (void)(len))
#define MEMORY_ALLOW(ptr, len) ((void)(ptr), (void)(len))
#endif

#define POOL_TAKEN UINT32_MAX
#define POOL_END (UINT32_MAX - 1)
#define POOL_POISON 0xDB

/* Address space of @len bytes, or NULL. */
static void *map_memory(size_t len, int protection)
{
    void *memory = mmap(NULL, len, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static size_t next_bytes(const struct pool *p)
{
    return (size_t)p->limit * sizeof(p->next[0]);
}

int pool_init(struct pool *p, size_t object_bytes, uint32_t limit)
{
    ASSERT(object_bytes > 0);
    ASSERT(limit > 0 && limit < POOL_END);
    object_bytes = ALIGN_UP(object_bytes, (size_t)(object_bytes >= POOL_ALIGN ? POOL_ALIGN : 16));
    *p = (struct pool){.object_bytes = object_bytes, .limit = limit, .free_idx = POOL_END};
    p->slab_objects = (uint32_t)size_max(POOL_SLAB_BYTES / object_bytes, 1);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes;
    if (__builtin_mul_overflow(object_bytes, (size_t)limit, &bytes) || bytes > SIZE_MAX - page)
        return -ENOMEM;
    p->mapped_bytes = ALIGN_UP(bytes, page);
    p->objects = map_memory(p->mapped_bytes, PROT_NONE);
    p->next = map_memory(next_bytes(p), PROT_READ | PROT_WRITE);
    if (p->objects != NULL && p->next != NULL)
        return 0;
    pool_deinit(p);
    return -ENOMEM;
}

void pool_deinit(struct pool *p)
{
    if (p->objects != NULL) {
        /* Only slabs that were opened are poisoned; the rest may be much, and has no shadow yet. */
        MEMORY_ALLOW(p->objects, (size_t)p->ready_count * p->object_bytes);
        munmap(p->objects, p->mapped_bytes);
    }
    if (p->next != NULL)
        munmap(p->next, next_bytes(p));
    *p = (struct pool){.free_idx = POOL_END};
}

/* Opens the next slab; false when there is no memory for it. */
static bool grow(struct pool *p)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint32_t room = p->limit - p->ready_count;
    uint32_t count = room < p->slab_objects ? room : p->slab_objects;
    /* Whole pages: the first one may be open already, for the end of the slab before. */
    size_t begin = (size_t)p->ready_count * p->object_bytes & ~(page - 1);
    size_t end = ALIGN_UP((size_t)(p->ready_count + count) * p->object_bytes, page);
    if (mprotect(p->objects + begin, end - begin, PROT_READ | PROT_WRITE) != 0)
        return false;
    p->ready_count += count;
    return true;
}

/* A given object is poison from end to end; anything else was written after it was given. */
static void check_poison(const uint8_t *object, size_t len)
{
    ASSERT_SLOW(object[0] == POOL_POISON && memcmp(object, object + 1, len - 1) == 0);
    (void)object;
    (void)len;
}

static uint32_t take_free(struct pool *p)
{
    uint32_t idx = p->free_idx;
    uint8_t *object = p->objects + (size_t)idx * p->object_bytes;
    p->free_idx = p->next[idx];
    ASSERT(p->free_idx != POOL_TAKEN);
    MEMORY_ALLOW(object, p->object_bytes);
    check_poison(object, p->object_bytes);
    return idx;
}

void *pool_take(struct pool *p)
{
    uint32_t idx;
    if (p->free_idx != POOL_END) {
        idx = take_free(p);
    } else {
        if (p->fresh_idx == p->limit || (p->fresh_idx == p->ready_count && !grow(p)))
            return NULL;
        idx = p->fresh_idx++;
    }
    p->next[idx] = POOL_TAKEN;
    p->used_count++;
    if (p->used_count > p->used_count_max)
        p->used_count_max = p->used_count;
    return p->objects + (size_t)idx * p->object_bytes;
}

void pool_give(struct pool *p, void *object)
{
    size_t offset = (size_t)((uint8_t *)object - p->objects);
    uint32_t idx = (uint32_t)(offset / p->object_bytes);
    ASSERT(offset < (size_t)p->fresh_idx * p->object_bytes);
    ASSERT((size_t)idx * p->object_bytes == offset);
    ASSERT(p->next[idx] == POOL_TAKEN); /* else it is given twice */
    ASSERT(p->used_count > 0);
#if DEBUG_CHECKS
    memset(object, POOL_POISON, p->object_bytes);
#endif
    MEMORY_FORBID(object, p->object_bytes);
    p->next[idx] = p->free_idx;
    p->free_idx = idx;
    p->used_count--;
}

bool pool_is_taken(const struct pool *p, uint32_t idx)
{
    return idx < p->fresh_idx && p->next[idx] == POOL_TAKEN;
}

size_t pool_memory_bytes(const struct pool *p)
{
    return (size_t)p->ready_count * (p->object_bytes + sizeof(p->next[0]));
}
