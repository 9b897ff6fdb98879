/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.h - a shard's spool inside: gathering (spool.c) and writing (writer.c).
 */
#ifndef SPOOL_WRITER_H
#define SPOOL_WRITER_H

#include "group.h"
#include "keeper.h"

#define SLICE_IOV_MAX 1024 /* UIO_MAXIOV */
#define SLICE_BYTES_MAX ((uint64_t)16 * MIB)
#define SEGMENT_TAIL_BYTES ((uint64_t)64 * KIB) /* of each segment, for results only */
#define ABANDON_COUNT_MAX 16                    /* a disk that failed so often is not tried again */

static_assert(RECORD_PIECES_MAX + 8 < SLICE_IOV_MAX, "every record fits into an empty slice");
static_assert(SEGMENT_TAIL_BYTES % RECORD_BLOCK == 0, "alignment");

enum writer_state {
    WRITER_IDLE,          /* nothing in flight */
    WRITER_WRITING,       /* a slice is being written, and synced where it must be */
    WRITER_SYNCING,       /* a full segment is being synced */
    WRITER_VOIDING,       /* a segment was abandoned; the note about it is not stored yet */
    WRITER_VOIDING_WRITE, /* the note is being written and synced */
    WRITER_STOPPED        /* the note could not be stored either */
};

/* The part of a group that is in flight: records in one segment, one vector. */
struct slice_write {
    struct iovec iov[SLICE_IOV_MAX];
    uint32_t iov_count;
    uint32_t iov_next; /* the first with bytes still to be written */
    uint32_t rec_first;
    uint32_t rec_end;
    uint32_t rec_asked; /* writer_next_asked() has gone through those before */
    uint64_t offset;    /* of its first byte in the segment */
    uint64_t bytes;
    uint64_t written;
    bool needs_sync;
    bool is_sync_only; /* the write is done or there is none */
    bool is_dsync;     /* write and sync are one operation, and replies may be linked behind it */
    uint32_t ops;      /* results still to come */
    int write_res;
    int sync_res;
    clock_ns started_at;
    clock_ns written_at;
};

struct abandoned_segment {
    uint32_t seq;
    uint32_t valid_end;
};

struct spool {
    struct spool_dir *dir;
    struct keeper_shard *keep;
    struct ring *ring;
    enum spool_durability durability;
    uint32_t shard_idx;
    uint8_t token_owner;
    bool is_poll_armed;
    bool is_linkable; /* spool_set_linkable() */
    uint16_t generation;
    enum writer_state state;
    int stop_error;
    uint64_t queue_seq;
    uint32_t data_bytes_max;
    uint64_t commit_bytes_max;

    struct group groups[2];
    struct group *gather;
    struct group *active;
    clock_ns lazy_due;    /* when lazy records of @gather are written without others */
    uint32_t active_next; /* first record of @active without a place */
    struct extent_pool extents;
    struct record_result results[RCPT_COUNT_HARD_MAX]; /* used within one call */
    void *hash;

    struct segment_file *segment; /* being written; NULL: none */
    struct segment_file *next;    /* taken already, to follow it */
    struct segment_file
        *leaving; /* the one before, until the START record of @segment is written */
    uint64_t segment_end;
    uint64_t segment_settled;
    uint32_t segment_number;
    struct record_start start; /* for the first record of the next segment */

    struct slice_write slice;
    _Alignas(RECORD_ALIGN) uint8_t start_record[2 * RECORD_ALIGN];
    _Alignas(RECORD_ALIGN) uint8_t pad_record[RECORD_ALIGN];

    struct abandoned_segment abandoned[ABANDON_COUNT_MAX];
    uint32_t abandoned_count;
    struct list open;    /* messages without an outcome, oldest first */
    struct list done;    /* messages with an outcome */
    struct list failing; /* messages whose 451 waits for the note */
    struct spool_counters counters;
};

/* writer_turn() - start what can be started. */
void writer_turn(struct spool *s);
/* writer_next_asked() - of the slice that writer_turn() has just asked for: see spool.h. */
struct spool_message *writer_next_asked(struct spool *s);
void writer_on_event(struct spool *s, const struct ring_event *ev);

/* writer_close() - a last record in the segment, if nothing is in flight. Blocks. */
void writer_close(struct spool *s);

/* writer_message_is_poisoned() - were body bytes of @m in an abandoned part of a segment? */
bool writer_message_is_poisoned(const struct spool *s, struct spool_message *m);

/* spool_message_end() - @m has its outcome; it is handed out when none of its records is waiting.
 */
void spool_message_end(struct spool *s, struct spool_message *m, enum spool_outcome outcome,
                       int error);
/* spool_message_written() - one DATA record of @m with @bytes of content is written or given up. */
void spool_message_written(struct spool *s, struct spool_message *m, uint32_t bytes);

#endif
