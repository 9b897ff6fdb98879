/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakelog.h - the part of ring.h that the log writer uses, over memory: operations are recorded,
 * the test decides their results. Linked instead of io/.
 */
#ifndef SUPPORT_FAKELOG_H
#define SUPPORT_FAKELOG_H

#include "io/ring.h"

#define FAKELOG_OPS_MAX 64
#define FAKELOG_SINKS_MAX 4
#define FAKELOG_FD_FIRST 100000 /* descriptor of sinks[0]; above what a process may open */
#define FAKELOG_SINK_BYTES_MAX ((size_t)4 * MIB)

struct fakelog_op {
    struct ring_token token;
    struct ring_token target; /* of a cancel */
    int fd;
    uint32_t poll_mask;
    struct slice bytes;
};

struct fakelog_sink {
    uint8_t *bytes;
    size_t len;
};

struct ring {
    wall_us wall;
    clock_ns now;                           /* moved by the test */
    struct fakelog_op ops[FAKELOG_OPS_MAX]; /* in flight, oldest first; cancels are not kept */
    uint32_t op_count;
    uint32_t cancel_count;
    struct ring_token cancelled; /* target of the last cancel */
    uint64_t write_count;
    size_t write_bytes_longest;
    struct fakelog_sink sinks[FAKELOG_SINKS_MAX];
};

void fakelog_init(struct ring *r, wall_us wall);
void fakelog_deinit(struct ring *r);

/* fakelog_op() - the operation in flight of @kind, or NULL. */
const struct fakelog_op *fakelog_op(const struct ring *r, enum ring_kind kind);

/*
 * fakelog_complete() - end the operation in flight of @kind with @res
 * A write with @res > 0 puts so many bytes into the sink of its descriptor, and it is checked that
 * the bytes did not change since it was asked for.
 */
struct ring_event fakelog_complete(struct ring *r, enum ring_kind kind, int32_t res);

/* fakelog_output() - what the sink of descriptor @fd has taken. */
struct slice fakelog_output(const struct ring *r, int fd);

#endif
