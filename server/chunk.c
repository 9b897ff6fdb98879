/* SPDX-License-Identifier: Apache-2.0 */
/* chunk.c - see chunk.h. A chunk's id in its windows is its index in the pool. */
#include "chunk.h"
#include "base/assert.h"
#include <string.h>

static struct chunk_pool *pool_of(struct window_source *source)
{
    return CONTAINER_OF(source, struct chunk_pool, source);
}

static void chunk_pin(struct window_source *source, uint32_t id)
{
    struct chunk *c = pool_at(&pool_of(source)->pool, id);
    ASSERT_SLOW(c->references > 0);
    c->references++;
}

static void chunk_unpin(struct window_source *source, uint32_t id)
{
    struct chunk_pool *p = pool_of(source);
    chunk_unref(p, pool_at(&p->pool, id));
}

static const struct window_ops chunk_ops = {.pin = chunk_pin, .unpin = chunk_unpin};

int chunk_pool_init(struct chunk_pool *p, uint32_t chunk_count_max)
{
    p->source.ops = &chunk_ops;
    return pool_init(&p->pool, sizeof(struct chunk), chunk_count_max);
}

void chunk_pool_deinit(struct chunk_pool *p)
{
    pool_deinit(&p->pool);
}

struct chunk *chunk_take(struct chunk_pool *p)
{
    struct chunk *c = pool_take(&p->pool);
    if (c != NULL) {
        c->references = 1;
        c->len = 0;
    }
    return c;
}

struct chunk *chunk_take_spare(struct chunk_pool *p)
{
    uint32_t left = p->pool.limit - pool_used_count(&p->pool);
    return left > p->pool.limit / 8 ? chunk_take(p) : NULL;
}

struct chunk *chunk_take_bulk(struct chunk_pool *p)
{
    uint32_t left = p->pool.limit - pool_used_count(&p->pool);
    return left > p->pool.limit / 4 ? chunk_take(p) : NULL;
}

bool chunk_bulk_is_low(const struct chunk_pool *p)
{
    return pool_used_count(&p->pool) >= p->pool.limit / 4;
}

bool chunk_is_free(const struct chunk_pool *p)
{
    return pool_used_count(&p->pool) < p->pool.limit;
}

void chunk_unref(struct chunk_pool *p, struct chunk *c)
{
    ASSERT(c->references > 0);
    if (--c->references == 0)
        pool_give(&p->pool, c);
}

struct slice chunk_append(struct chunk *c, struct slice bytes)
{
    struct slice part = slice_first(bytes, CHUNK_ROOM_MAX - c->len);
    if (part.len > 0)
        memcpy(c->bytes + c->len, part.ptr, part.len);
    struct slice copy = slice_of(c->bytes + c->len, part.len);
    c->len += (uint32_t)part.len;
    return copy;
}

struct window chunk_window(struct chunk_pool *p, const struct chunk *c, struct slice bytes)
{
    ASSERT_SLOW(bytes.ptr >= c->bytes && bytes.ptr + bytes.len <= c->bytes + c->len);
    return (struct window){bytes, &p->source, pool_index(&p->pool, c)};
}
