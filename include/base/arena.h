/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - bump allocation inside one block that somebody else owns; freed as a whole.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/assert.h"
#include "base/slice.h"

struct arena {
    uint8_t *ptr;
    uint32_t len;
    uint32_t cap;
};

static inline void arena_init(struct arena *a, void *memory, size_t cap)
{
    ASSERT(cap <= UINT32_MAX);
    *a = (struct arena){(uint8_t *)memory, 0, (uint32_t)cap};
}

static inline void arena_reset(struct arena *a)
{
    a->len = 0;
}

/* arena_take() - @size bytes aligned to 8, or NULL when the arena is full. */
static inline void *arena_take(struct arena *a, size_t size)
{
    uintptr_t base = (uintptr_t)a->ptr; /* the address is aligned, whatever the block's start is */
    size_t start = (size_t)(ALIGN_UP(base + a->len, (uintptr_t)8) - base);
    if (start > a->cap || size > a->cap - start)
        return NULL;
    a->len = (uint32_t)(start + size);
    return a->ptr + start;
}

/* arena_copy() - a copy of @s that lives as long as the arena; false when it does not fit. */
static inline bool arena_copy(struct arena *a, struct slice s, struct slice *ret_copy)
{
    if (s.len > (size_t)(a->cap - a->len))
        return false;
    uint8_t *to = a->ptr + a->len;
    if (s.len > 0)
        memcpy(to, s.ptr, s.len);
    a->len += (uint32_t)s.len;
    *ret_copy = slice_of(to, s.len);
    return true;
}

#endif
