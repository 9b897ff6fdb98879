/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk.h - a shard's pool of memory chunks: body bytes moved out of receive buffers, partial
 * command lines, reply bytes on their way out.
 *
 * A chunk is a window source of its own, so body parts in chunks and body parts in receive buffers
 * are pinned and unpinned alike and nobody above needs to know which is which.
 */
#ifndef CHUNK_H
#define CHUNK_H

#include "base/pool.h"
#include "base/window.h"

#define CHUNK_BYTES ((size_t)16 * KIB)

struct chunk {
    uint32_t references;
    uint32_t len; /* bytes filled */
    uint8_t bytes[CHUNK_BYTES - 2 * sizeof(uint32_t)];
};
static_assert(sizeof(struct chunk) == CHUNK_BYTES, "a chunk is a power of two");

#define CHUNK_ROOM_MAX sizeof(((struct chunk *)0)->bytes)

struct chunk_pool {
    struct window_source source; /* first: window_ops get a pointer to it */
    struct pool pool;
};

MUST_CHECK int chunk_pool_init(struct chunk_pool *p, uint32_t chunk_count_max);
void chunk_pool_deinit(struct chunk_pool *p);

/* chunk_take() - an empty chunk with one reference, or NULL at the limit. */
struct chunk *chunk_take(struct chunk_pool *p);
/* chunk_take_spare() - the same for what can do without: the last eighth of the pool is left to
 * replies, so that a shard full of bodies can still answer. */
struct chunk *chunk_take_spare(struct chunk_pool *p);
/* chunk_take_bulk() - the same for content, and input that waits: the last quarter is left to
 * commands and replies, so that a shard full of bodies goes on talking. */
struct chunk *chunk_take_bulk(struct chunk_pool *p);
/* chunk_bulk_is_low() - senders should wait, so that there is room for what is on its way. */
bool chunk_bulk_is_low(const struct chunk_pool *p);
/* chunk_is_free() - would chunk_take() give one? */
bool chunk_is_free(const struct chunk_pool *p);
/* chunk_unref() - give up one reference; the last one sends the chunk home. */
void chunk_unref(struct chunk_pool *p, struct chunk *c);
/* chunk_append() - copy as much of @bytes as fits; returns the copy (perhaps shorter). */
struct slice chunk_append(struct chunk *c, struct slice bytes);
/* chunk_window() - a window over @bytes, which lie in @c; does not count a reference. */
struct window chunk_window(struct chunk_pool *p, const struct chunk *c, struct slice bytes);

#endif
