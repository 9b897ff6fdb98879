/* SPDX-License-Identifier: Apache-2.0 */
/* outlog.c - owns the memory of a log that is being written. */
#include "load/outlog.h"
#include <errno.h>
#include <stdlib.h>

#define ENOUGH_BYTES ((size_t)64 * KIB)
#define WAIT_NS (100 * NS_PER_MS)

int outlog_init(struct outlog *o, struct ring *ring, int fd, uint8_t token_owner)
{
    *o = (struct outlog){.ring = ring, .fd = fd, .token_owner = token_owner};
    if (fd < 0)
        return 0;
    o->filling = buf_over(malloc(OUTLOG_HALF_BYTES), OUTLOG_HALF_BYTES);
    o->writing = buf_over(malloc(OUTLOG_HALF_BYTES), OUTLOG_HALF_BYTES);
    return o->filling.ptr == NULL || o->writing.ptr == NULL ? -ENOMEM : 0;
}

void outlog_deinit(struct outlog *o)
{
    free(o->filling.ptr);
    free(o->writing.ptr);
}

struct buf *outlog_line(struct outlog *o, size_t bytes)
{
    struct buf *b = &o->filling;
    if (b->len == 0)
        o->since = ring_now(o->ring);
    if (buf_room(b) < bytes) {
        size_t cap = 2 * b->cap + bytes;
        uint8_t *memory = realloc(b->ptr, cap);
        if (memory == NULL) {
            o->error = -ENOMEM;
            return NULL;
        }
        b->ptr = memory;
        b->cap = cap;
    }
    return b;
}

static void write_rest(struct outlog *o)
{
    ring_write_stream(o->ring, o->fd, slice_from(buf_slice(&o->writing), o->written),
                      (struct ring_token){.kind = RING_WRITE, .owner = o->token_owner});
    o->is_writing = true;
}

void outlog_turn(struct outlog *o, bool hurry)
{
    if (!outlog_is_on(o) || o->is_writing || o->filling.len == 0)
        return;
    bool has_waited = ring_now(o->ring) - o->since >= WAIT_NS;
    if (!hurry && !has_waited && o->filling.len < ENOUGH_BYTES)
        return;
    struct buf full = o->filling;
    o->filling = o->writing;
    o->filling.len = 0;
    o->writing = full;
    o->written = 0;
    write_rest(o);
}

void outlog_on_event(struct outlog *o, const struct ring_event *ev)
{
    o->is_writing = false;
    if (ev->res == -EINTR || ev->res == -EAGAIN) {
        write_rest(o);
        return;
    }
    if (ev->res <= 0) {
        o->error = ev->res < 0 ? ev->res : -ENOSPC;
        return;
    }
    o->written += (size_t)ev->res;
    if (o->written < o->writing.len)
        write_rest(o);
    else
        o->writing.len = 0;
}

bool outlog_is_congested(const struct outlog *o)
{
    return outlog_is_on(o) && o->is_writing && o->filling.len > OUTLOG_HALF_BYTES / 2;
}

bool outlog_is_idle(const struct outlog *o)
{
    return !o->is_writing && (o->filling.len == 0 || !outlog_is_on(o));
}
