/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - what is in the segments: messages, results, damage, and which segments are dead.
 *
 * Built by reading segments; used by recovery, by the keeper (which adds segments as shards leave
 * them) and by the tools.
 */
#ifndef SPOOL_INDEX_H
#define SPOOL_INDEX_H

#include "segment.h"
#include "spool/store.h"

#define INDEX_NONE UINT32_MAX
#define INDEX_CONTROL (UINT32_MAX - 1) /* as the segment of a result: the control log */

struct index_segment {
    char name[SEGMENT_NAME_BYTES];
    struct segment_header header;
    struct record_start start; /* order 0: none */
    uint64_t settled;          /* before, everything was finished */
    uint64_t end;              /* behind the last record */
    uint64_t cut;              /* what stands there or behind does not count; UINT64_MAX: unknown */
    uint64_t data_id_max;      /* highest queue sequence that has DATA here */
    bool is_taken;             /* this slot of the table is in use */
    bool is_bad;               /* no valid header */
    bool is_foreign;           /* the header does not fit the name: recycling was interrupted */
    bool is_used;              /* it has records */
    bool is_damaged;           /* who knows what is lost in it: never recycled */
    bool is_torn;              /* the last group of a crashed run in it was incomplete */
    bool is_live;              /* found by index_mark() */
};

struct index_message {
    uint64_t queue_id;
    uint32_t segment_idx; /* of its COMMIT */
    uint32_t offset;
    uint32_t rcpt_count;
    uint32_t gone_count; /* recipients with a DELETE or REFUSE */
    uint32_t
        waiting_count; /* recipients that were undecided and have neither TAKE nor REFUSE ... */
    uint32_t waiting_at_first; /* ... and when it was committed */
    uint32_t result_first;     /* chain through index_result.next */
    uint32_t extra_first;      /* further segments that its body is in: index.extras */
    uint32_t extra_count;
    uint64_t content_bytes;
    bool is_gone;
    bool is_held; /* some recipient is */
    bool is_over; /* its transaction is: who is waiting was not taken */
};

struct index_result {
    uint64_t queue_id;
    struct record_result result;
    uint32_t segment_idx; /* or INDEX_CONTROL */
    uint32_t next;
    bool is_applied;
};

struct index {
    int dir_fd;
    struct index_segment *segments;
    uint32_t segment_count, segment_cap;
    struct index_message *messages;
    uint32_t message_count, message_cap;
    uint32_t *table; /* hash table of message indices; size a power of two */
    uint32_t table_size;
    struct index_result *results;
    uint32_t result_count, result_cap;
    uint32_t *extras;
    uint32_t extra_count, extra_cap;
    struct store_damage *damages;
    uint32_t damage_count, damage_cap;
    uint64_t record_count;
    uint64_t torn_count;
    uint64_t queue_floor[SHARD_COUNT_MAX]; /* highest queue sequence seen */
    bool is_snapshot;                      /* nothing that is read now is still in progress */
};

void index_init(struct index *ix, int dir_fd);
void index_deinit(struct index *ix);

/* index_add_all() - every segment of the directory, and their results. 0 or negative errno. */
MUST_CHECK int index_add_all(struct index *ix);

/*
 * index_add() - one segment that a shard has left
 * @end: what stands there or behind does not count
 */
MUST_CHECK int index_add(struct index *ix, const char *name, uint64_t end);

MUST_CHECK int index_add_result(struct index *ix, uint64_t queue_id,
                                const struct record_result *result, uint32_t segment_idx);
/* index_apply() - give results to their messages; those of unknown ones wait. */
void index_apply(struct index *ix);
/* index_mark() - set is_live of every segment. */
void index_mark(struct index *ix);
/* index_compact() - forget segments whose is_taken has been cleared and what was in them. Indices
 * of segments and messages change. */
MUST_CHECK int index_compact(struct index *ix);

/* index_find() - NULL when there is no such message. */
struct index_message *index_find(const struct index *ix, uint64_t queue_id);
/* index_segment_of() - slot of a segment by what an extent says; INDEX_NONE. */
uint32_t index_segment_of(const struct index *ix, uint32_t shard, uint32_t seq,
                          uint32_t generation_low);

/*
 * index_content() - read the body of a message through @sink and check all of it
 * Return: 0; -EBADMSG with *ret_damage; what @sink returned when that is not 0; negative errno
 */
MUST_CHECK int index_content(const struct index *ix, uint32_t segment_idx,
                             const struct record_commit *commit, store_sink sink, void *sink_arg,
                             struct store_damage *ret_damage);

#endif
