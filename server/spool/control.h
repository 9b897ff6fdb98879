/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the control log: results recorded by hand, by tools beside the server.
 */
#ifndef SPOOL_CONTROL_H
#define SPOOL_CONTROL_H

#include "record.h"

#define CONTROL_NAME "control.log"

struct control_entry {
    uint64_t magic;
    uint64_t queue_id;
    struct record_result result;
    uint64_t check; /* XXH3 of what is before */
};
static_assert(sizeof(struct control_entry) == 40, "control log format");

/*
 * control_append() - add entries; durable when it returns
 * Return: 0, or negative errno (then some of the entries may be there)
 */
MUST_CHECK int control_append(int dir_fd, const uint64_t *queue_ids, uint32_t count,
                              const struct record_result *result);

/* A place in the log, for reading on. All zero: its beginning. */
struct control_cursor {
    uint64_t inode;
    uint64_t offset;
};

typedef int (*control_sink)(void *arg, uint64_t queue_id, const struct record_result *result);
/*
 * control_read() - entries behind @cursor, which moves; a log that was replaced is read from its
 * beginning (entries repeat then, which does no harm)
 */
MUST_CHECK int control_read(int dir_fd, struct control_cursor *cursor, control_sink sink,
                            void *sink_arg);

/* control_compact() - a new log with the entries that @filter keeps, as one step. */
typedef bool (*control_filter)(void *arg, uint64_t queue_id);
MUST_CHECK int control_compact(int dir_fd, control_filter filter, void *filter_arg);

#endif
