/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakelog.c - see fakelog.h. A copy of the bytes of each write is kept beside the borrowed slice:
 * at completion both are compared, because bytes in flight must not move or change.
 */
#include "fakelog.h"
#include <stdlib.h>

static uint8_t in_flight_copy[MIB];
static size_t in_flight_len;

void fakelog_init(struct ring *r, wall_us wall)
{
    memset(r, 0, sizeof(*r));
    r->wall = wall;
    for (size_t i = 0; i < FAKELOG_SINKS_MAX; i++) {
        r->sinks[i].bytes = malloc(FAKELOG_SINK_BYTES_MAX);
        ASSERT(r->sinks[i].bytes != NULL);
    }
}

void fakelog_deinit(struct ring *r)
{
    for (size_t i = 0; i < FAKELOG_SINKS_MAX; i++)
        free(r->sinks[i].bytes);
    memset(r, 0, sizeof(*r));
}

static struct fakelog_op *add_op(struct ring *r, int fd, struct ring_token token)
{
    ASSERT(r->op_count < FAKELOG_OPS_MAX);
    struct fakelog_op *op = &r->ops[r->op_count++];
    *op = (struct fakelog_op){.token = token, .fd = fd};
    return op;
}

clock_ns ring_now(const struct ring *r)
{
    return r->now;
}

wall_us ring_wall(const struct ring *r)
{
    return r->wall;
}

void ring_write_stream(struct ring *r, int fd, struct slice bytes, struct ring_token token)
{
    ASSERT(fakelog_op(r, RING_WRITE) == NULL); /* one write in flight */
    ASSERT(token.kind == RING_WRITE && bytes.len > 0 && bytes.len <= sizeof(in_flight_copy));
    add_op(r, fd, token)->bytes = bytes;
    memcpy(in_flight_copy, bytes.ptr, bytes.len);
    in_flight_len = bytes.len;
    r->write_count++;
    r->write_bytes_longest = size_max(r->write_bytes_longest, bytes.len);
}

void ring_poll_arm(struct ring *r, int fd, uint32_t poll_mask, struct ring_token token)
{
    ASSERT(token.kind == RING_POLL);
    add_op(r, fd, token)->poll_mask = poll_mask;
}

void ring_cancel(struct ring *r, struct ring_token target, struct ring_token token)
{
    ASSERT(token.kind == RING_CANCEL);
    r->cancelled = target;
    r->cancel_count++;
}

const struct fakelog_op *fakelog_op(const struct ring *r, enum ring_kind kind)
{
    for (uint32_t i = 0; i < r->op_count; i++)
        if (r->ops[i].token.kind == kind)
            return &r->ops[i];
    return NULL;
}

static void sink_take(struct ring *r, const struct fakelog_op *op, size_t len)
{
    int idx = op->fd - FAKELOG_FD_FIRST;
    ASSERT(idx >= 0 && idx < FAKELOG_SINKS_MAX);
    ASSERT(len <= op->bytes.len);
    ASSERT(slice_eq(op->bytes, slice_of(in_flight_copy, in_flight_len)));
    struct fakelog_sink *sink = &r->sinks[idx];
    ASSERT(len <= FAKELOG_SINK_BYTES_MAX - sink->len);
    memcpy(sink->bytes + sink->len, op->bytes.ptr, len);
    sink->len += len;
}

struct ring_event fakelog_complete(struct ring *r, enum ring_kind kind, int32_t res)
{
    const struct fakelog_op *found = fakelog_op(r, kind);
    ASSERT(found != NULL);
    struct fakelog_op op = *found;
    uint32_t idx = (uint32_t)(found - r->ops);
    memmove(&r->ops[idx], &r->ops[idx + 1], (r->op_count - idx - 1) * sizeof(op));
    r->op_count--;
    if (kind == RING_WRITE && res > 0)
        sink_take(r, &op, (size_t)res);
    return (struct ring_event){.token = op.token, .res = res};
}

struct slice fakelog_output(const struct ring *r, int fd)
{
    const struct fakelog_sink *sink = &r->sinks[fd - FAKELOG_FD_FIRST];
    return slice_of(sink->bytes, sink->len);
}
