/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.h - what gathers for the next append: records in order, the bytes that they are made of,
 * and the windows that these bytes keep pinned. Places in a segment are given later, by spool.c.
 */
#ifndef SPOOL_GROUP_H
#define SPOOL_GROUP_H

#include "record.h"

#define GROUP_RECORDS_MAX 32768
#define GROUP_PIECES_MAX 65536
#define GROUP_PINS_MAX 65536
#define GROUP_RESULTS_MAX 4096
#define GROUP_STAGING_BYTES ((size_t)32 * MIB)
#define GROUP_STAGING_KEEP ((size_t)2 * MIB) /* given back to the system above, when reset */
#define RECORD_PIECES_MAX 256
#define RECORD_DATA_BYTES_MAX ((uint32_t)256 * KIB)
/* Body parts up to this size are copied beside their header: cheaper than one more vector. */
#define GROUP_COPY_BYTES_MAX 4096

#define EXTENTS_NEAR 4
#define EXTENTS_PER_CHUNK 63
#define EXTENT_CHUNKS_MAX 16384 /* a shard's; each covers some megabytes of one large message */

struct extent_chunk {
    struct extent_chunk *next;
    uint64_t unused;
    struct record_extent at[EXTENTS_PER_CHUNK];
};
static_assert(sizeof(struct extent_chunk) == KIB, "chunks fill pages");

struct extent_pool {
    struct extent_chunk *chunks;
    struct extent_chunk *free;
    uint32_t fresh_count; /* chunks[fresh_count ..] were never used */
};

enum message_phase { MESSAGE_OPEN, MESSAGE_COMMITTING, MESSAGE_ENDED };

/* Lives in spool_message.opaque. */
struct message_state {
    uint64_t content_bytes; /* handed over so far */
    uint64_t content_check; /* record_chain_check() over its DATA records */
    uint32_t extent_count;
    uint32_t abandon_epoch; /* number of abandoned segments when its extents were last checked */
    struct extent_chunk *first;
    struct extent_chunk *last;
    struct record_extent near[EXTENTS_NEAR];
    uint8_t phase;  /* enum message_phase */
    uint8_t broken; /* enum spool_outcome: part of the body is lost; PENDING: it is whole */
    bool is_aborted;
    bool is_placed; /* the record that commits it is or was in a slice */
    bool is_voided; /* by spool_void(), when it was */
    bool is_taking; /* further recipients are being committed */
    int32_t broken_error;
};
static_assert(sizeof(struct message_state) <= sizeof(((struct spool_message *)NULL)->opaque),
              "it lives there");

static inline struct message_state *message_state_of(struct spool_message *m)
{
    return (struct message_state *)(void *)m->opaque;
}

struct group_record {
    struct spool_message *m;      /* DATA, COMMIT, and a RESULT that somebody waits for */
    uint8_t *header;              /* in the staging area; copied payload follows */
    struct record_extent *extent; /* DATA: filled when it gets its place */
    uint64_t queue_id;
    uint64_t position;
    uint64_t payload_check; /* not yet known for COMMIT */
    uint32_t length;
    uint32_t piece_start;
    uint32_t pin_start;
    uint16_t piece_count;
    uint16_t pin_count;
    uint8_t type;     /* enum record_type */
    bool is_lazy;     /* RESULT that needs no sync of its own */
    bool is_placed;   /* it is or was in a slice */
    bool is_finished; /* its windows are unpinned and its message has been told */
};

struct group {
    struct group_record *records;
    struct iovec *pieces;
    struct window *pins;
    uint8_t *staging;
    uint32_t record_count;
    uint32_t piece_count;
    uint32_t pin_count;
    uint32_t result_count;
    uint32_t lazy_count; /* of them, those that start no group */
    size_t staged_bytes;
    uint64_t bytes; /* of all records with their headers */
    void *hash;     /* XXH3_state_t, shared by the groups of a shard */
};

MUST_CHECK int group_init(struct group *g, void *hash);
void group_deinit(struct group *g);
void group_reset(struct group *g);

/*
 * group_add_data() - DATA records for @parts; their windows are pinned, m->writes_pending counts
 * Return: false: no room in the group, nothing was added
 */
MUST_CHECK bool group_add_data(struct group *g, struct extent_pool *pool, struct spool_message *m,
                               const struct spool_part *parts, uint32_t part_count,
                               uint32_t data_bytes_max);

/*
 * group_add_commit() - the COMMIT record for @m, its extents still to be filled in
 * Return: 0, -ENOBUFS: no room in the group, -E2BIG: longer than @bytes_max or the format
 */
MUST_CHECK int group_add_commit(struct group *g, struct spool_message *m,
                                const struct spool_envelope *envelope, uint64_t bytes_max);

/*
 * group_add_results() - one RESULT record
 * @m:       who waits for it, or NULL
 * @is_lazy: it needs no sync of its own
 */
MUST_CHECK bool group_add_results(struct group *g, struct spool_message *m, uint64_t queue_id,
                                  const struct record_result *results, uint32_t count,
                                  bool is_lazy);

/* group_record_is_awaited() - the outcome of its message depends on it. */
static inline bool group_record_is_awaited(const struct group_record *rec)
{
    return rec->m != NULL && rec->type != RECORD_DATA;
}

MUST_CHECK int extent_pool_init(struct extent_pool *p);
void extent_pool_deinit(struct extent_pool *p);
/* extents_release() - all chunks of @m back to the pool. */
void extents_release(struct extent_pool *p, struct spool_message *m);
/* extents_copy() - all extents of @m, in order. */
void extents_copy(struct spool_message *m, struct record_extent *to);

#endif
