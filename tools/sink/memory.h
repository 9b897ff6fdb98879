/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.h - what the sink remembers of messages it has seen: how often each identity came, whether
 * its content was looked at, and which recipients' copies are here. For all workers together.
 */
#ifndef SINK_MEMORY_H
#define SINK_MEMORY_H

#include "base/clock.h"
#include "base/slice.h"
#include "trace/identity.h"

struct memory;

/* At least four million messages and recipients of messages, in at most 840 MB. */
#define MEMORY_ROWS_MAX ((uint64_t)1 << 23)

/*
 * memory_new() - empty
 * @row_count_max: a power of two, at least 1024: half as many messages and recipients of messages
 *                 are remembered, those that were touched last; and up to as many again
 * Return:         NULL: there is no memory for it
 */
struct memory *memory_new(uint64_t row_count_max);
void memory_free(struct memory *m);

/* In all of these @m may be NULL: nobody asks, and nothing is remembered. */

/* memory_count_attempt() - how often @id has come, this time included. */
uint32_t memory_count_attempt(struct memory *m, struct identity id);

/* memory_note_scan() - the content of @id was looked at to the end. */
void memory_note_scan(struct memory *m, struct identity id);
bool memory_was_scanned(struct memory *m, struct identity id);

/* memory_note_copy() - a copy of @id for @address is here since @now. */
void memory_note_copy(struct memory *m, struct identity id, struct slice address, clock_ns now);
/* memory_note_read() - its reply is known to have been read: whoever sends it again wants that. */
void memory_note_read(struct memory *m, struct identity id, struct slice address);
/* memory_has_copy() - one is here, not for longer than @age_ns, that no reply is known for. */
bool memory_has_copy(struct memory *m, struct identity id, struct slice address, clock_ns now,
                     clock_ns age_ns);

#endif
