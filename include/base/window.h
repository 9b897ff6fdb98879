/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window.h - received bytes on loan.
 *
 * A window is supplied by a source: a ring of provided buffers, a zero-copy area, or TLS plaintext.
 * Nothing above this header knows which. A window arrives with one reference; each window_pin()
 * adds one, each window_unpin() takes one away, and the memory goes home with the last. Everything
 * happens on one shard, so the counts are plain integers kept by the source.
 */
#ifndef BASE_WINDOW_H
#define BASE_WINDOW_H

#include "base/assert.h"
#include "base/slice.h"

struct window_source;

struct window_ops {
    void (*pin)(struct window_source *source, uint32_t id);
    void (*unpin)(struct window_source *source, uint32_t id);
};

/* Embedded as the first member of the concrete source. */
struct window_source {
    const struct window_ops *ops;
};

struct window {
    struct slice bytes;           /* what has not been consumed yet */
    struct window_source *source; /* NULL: static or caller-owned memory, nothing to give back */
    uint32_t id;                  /* meaning private to the source */
};

static inline void window_pin(const struct window *w)
{
    if (w->source != NULL)
        w->source->ops->pin(w->source, w->id);
}

static inline void window_unpin(struct window *w)
{
    if (w->source != NULL)
        w->source->ops->unpin(w->source, w->id);
    *w = (struct window){SLICE_EMPTY, NULL, 0};
}

static inline void window_consume(struct window *w, size_t len)
{
    ASSERT_SLOW(len <= w->bytes.len);
    w->bytes = slice_from(w->bytes, len);
}

#endif
