/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bufring.h - provided receive buffers: lent to the kernel, filled, pinned as windows, reclaimed.
 *
 * All buffers lie in one mapping. Those that are free wait on a stack, so that the one reclaimed
 * last, which is still in cache, is lent first; the kernel's ring is kept filled with only as many
 * as the busiest of the last turns took, twice over. Running out is an expected outcome (the
 * receive ends with -ENOBUFS) and makes more of them go out.
 *
 * Incremental consumption (optional): the kernel fills one buffer bit by bit, and a buffer comes
 * back when it is full and no window points into it any more.
 */
#ifndef IO_BUFRING_H
#define IO_BUFRING_H

#include "base/window.h"

struct io_uring;
struct io_uring_buf_ring;

struct bufring {
    struct window_source source; /* first: window_ops get a pointer to it */
    struct io_uring *uring;
    struct io_uring_buf_ring *lent;
    uint8_t *memory;
    size_t memory_bytes;
    uint32_t buffer_bytes;
    uint32_t count;
    uint32_t lent_count;  /* in the kernel's ring, not yet used up */
    uint32_t lent_target; /* how many should be there */
    uint32_t taken_count; /* used up since the last bufring_lend() */
    uint32_t taken_peak;  /* most of one turn, in this period and the one before */
    uint32_t taken_peak_before;
    uint32_t turns; /* of this period */
    uint32_t free_count;
    uint16_t *free_stack;
    uint32_t *references; /* per buffer: windows, and one while the kernel may write to it */
    uint32_t *filled;     /* per buffer: bytes used so far (incremental) */
    uint16_t group;
    bool is_incremental;
};

/*
 * bufring_init() - map the buffers and register the kernel's ring under @group
 * @count:        power of two, <= 32768
 * @buffer_bytes: each; a multiple of the page size
 * Return: 0 or negative errno
 */
MUST_CHECK int bufring_init(struct bufring *b, struct io_uring *uring, uint16_t group,
                            uint32_t count, uint32_t buffer_bytes, bool is_incremental);
/* bufring_deinit() - unregister and unmap; may be called twice. Windows must not be used after. */
void bufring_deinit(struct bufring *b);

/* bufring_lend() - once per turn, before submitting: fill the kernel's ring up to the target. */
void bufring_lend(struct bufring *b);
/* bufring_take() - the kernel wrote @len bytes to buffer @id; @more: it goes on writing to it.
 * The window has one reference, which is the caller's. */
struct window bufring_take(struct bufring *b, uint16_t id, uint32_t len, bool more);
/* bufring_ran_out() - a receive ended for lack of lent buffers: lend more from now on. */
void bufring_ran_out(struct bufring *b);
/* bufring_free_count() - buffers that nobody uses, lent or waiting. */
uint32_t bufring_free_count(const struct bufring *b);

#endif
