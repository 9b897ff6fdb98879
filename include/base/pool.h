/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - objects of one size, taken and given back in constant time, up to a limit.
 *
 * Address space for all objects is set aside once; memory behind it is put to use in slabs, when
 * more objects are out than ever before, and stays until pool_deinit(). So a pool with room for a
 * million connections costs what the busiest moment needed. Objects never move; each has an index
 * (0 .. limit - 1), which fits in a ring token or a window id.
 *
 * The object given back last is taken first (it is still in cache). Its content is undefined, and
 * in debug builds poisoned: writing to a given object is found when it is taken again. Giving an
 * object twice, or one that is not the pool's, is a bug and ends the process in every build.
 *
 * One pool belongs to one thread.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/assert.h"

#define POOL_SLAB_BYTES ((size_t)64 * KIB) /* or one object, when that is larger */
#define POOL_ALIGN 64                      /* objects of this size or more; smaller ones: 16 */

struct pool {
    uint8_t *objects;    /* address of index 0 */
    uint32_t *next;      /* per object: next free index, or a mark for "taken" */
    size_t object_bytes; /* distance of two objects */
    size_t mapped_bytes; /* address space set aside */
    uint32_t limit;
    uint32_t slab_objects;
    uint32_t ready_count; /* objects with memory behind them: those below this index */
    uint32_t fresh_idx;   /* objects from here on were never taken */
    uint32_t free_idx;    /* the one given back last */
    uint32_t used_count;
    uint32_t used_count_max; /* high-water mark */
};

/*
 * pool_init() - set aside address space for @limit objects
 * @object_bytes: sizeof the object, > 0; rounded up to a multiple of its alignment
 * @limit:        1 or more
 * Return: 0 or -ENOMEM
 */
MUST_CHECK int pool_init(struct pool *p, size_t object_bytes, uint32_t limit);
/* pool_deinit() - give the memory back, taken objects included; may be called twice. */
void pool_deinit(struct pool *p);

/* pool_take() - an object with undefined content, or NULL at the limit (or without memory). */
MUST_CHECK void *pool_take(struct pool *p);
/* pool_give() - @object came from pool_take() of this pool and is given back once. */
void pool_give(struct pool *p, void *object);

/* pool_at() - the object with index @idx, which was taken at least once. */
static inline void *pool_at(const struct pool *p, uint32_t idx)
{
    ASSERT(idx < p->fresh_idx);
    return p->objects + (size_t)idx * p->object_bytes;
}

/* pool_index() - index of an object of this pool. */
static inline uint32_t pool_index(const struct pool *p, const void *object)
{
    size_t offset = (size_t)((const uint8_t *)object - p->objects);
    uint32_t idx = (uint32_t)(offset / p->object_bytes);
    ASSERT_SLOW(idx < p->fresh_idx && offset % p->object_bytes == 0);
    return idx;
}

/* pool_is_taken() - whether the object with index @idx is out; any @idx may be asked for. */
bool pool_is_taken(const struct pool *p, uint32_t idx);

static inline uint32_t pool_used_count(const struct pool *p)
{
    return p->used_count;
}

static inline uint32_t pool_used_count_max(const struct pool *p)
{
    return p->used_count_max;
}

/* pool_memory_bytes() - memory put to use so far (an upper bound of what is resident). */
size_t pool_memory_bytes(const struct pool *p);

#endif
