/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outlog.h - complete lines to a file through the ring, none of them dropped.
 *
 * Lines gather in one half of the memory while the other is being written; one write is in flight.
 * The half that is being filled grows when it must, and outlog_is_congested() says so: whoever
 * makes the lines is to start nothing new until it is over.
 */
#ifndef LOAD_OUTLOG_H
#define LOAD_OUTLOG_H

#include "base/buf.h"
#include "io/ring.h"

#define OUTLOG_HALF_BYTES ((size_t)512 * KIB)

struct outlog {
    struct ring *ring;
    int fd; /* append-only file or pipe; -1: lines are thrown away */
    uint8_t token_owner;
    int error; /* a negative errno: the log is over */
    struct buf filling, writing;
    size_t written; /* of @writing */
    bool is_writing;
    clock_ns since; /* of the first line in @filling */
};

MUST_CHECK int outlog_init(struct outlog *o, struct ring *ring, int fd, uint8_t token_owner);
void outlog_deinit(struct outlog *o);
static inline bool outlog_is_on(const struct outlog *o)
{
    return o->fd >= 0 && o->error == 0;
}
/* outlog_line() - room for a line of at most @bytes: append to it. NULL: no memory; the log ends.
 */
struct buf *outlog_line(struct outlog *o, size_t bytes);
/* outlog_turn() - once a turn: start a write when there is enough, or it has waited enough.
 * @hurry: whatever is there */
void outlog_turn(struct outlog *o, bool hurry);
void outlog_on_event(struct outlog *o, const struct ring_event *ev);
bool outlog_is_congested(const struct outlog *o);
bool outlog_is_idle(const struct outlog *o);

#endif
