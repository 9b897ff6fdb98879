/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region.c - blocks in a chain, filled one after the other.
 *
 * The newest block is the first of the chain and the only one with room. What does not fit gets a
 * new block, large enough for it.
 */
#include "region.h"
#include "base/assert.h"
#include <stdlib.h>

#define REGION_BLOCK_BYTES ((size_t)16 * KIB)
#define REGION_ALIGN ((size_t)16)

struct region_block {
    struct region_block *next;
    size_t len, cap;
    _Alignas(16) uint8_t bytes[];
};

void *region_take(struct region *r, size_t size)
{
    size_t rounded = ALIGN_UP(size, REGION_ALIGN);
    if (rounded < size)
        return NULL;
    struct region_block *b = r->blocks;
    if (b == NULL || b->cap - b->len < rounded) {
        size_t cap = size_max(rounded, REGION_BLOCK_BYTES);
        if (cap > SIZE_MAX - sizeof(*b))
            return NULL;
        b = calloc(1, sizeof(*b) + cap);
        if (b == NULL)
            return NULL;
        b->cap = cap;
        b->next = r->blocks;
        r->blocks = b;
    }
    void *taken = b->bytes + b->len;
    b->len += rounded;
    ASSERT(b->len <= b->cap);
    return taken;
}

char *region_text(struct region *r, struct slice s)
{
    char *text = region_take(r, s.len + 1);
    if (text != NULL && s.len > 0)
        memcpy(text, s.ptr, s.len);
    return text;
}

void region_free(struct region *r)
{
    while (r->blocks != NULL) {
        struct region_block *next = r->blocks->next;
        free(r->blocks);
        r->blocks = next;
    }
}
