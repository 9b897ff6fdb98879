/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - the directory and its keeper as a shard's spool sees them.
 *
 * Between a shard and the keeper there are only the atomics of struct keeper_shard: ready segments
 * come through slots (a pointer is put by the keeper and taken by the shard), retired ones go back
 * on a list that only the shard pushes to and only the keeper empties.
 */
#ifndef SPOOL_KEEPER_H
#define SPOOL_KEEPER_H

#include "segment.h"
#include <stdatomic.h>

#define KEEPER_READY_COUNT 2
#define KEEPER_SPARE_BYTES SEGMENT_BYTES_MIN /* for results and notes when the store is full */

#define KEEPER_NEWS_MAX 1024 /* power of two */

struct keeper_news {
    uint64_t queue_id;
    struct record_result result;
};

struct keeper_shard {
    _Atomic(struct segment_file *) ready[KEEPER_READY_COUNT]; /* taken from 0, 1, 0, 1 ... */
    _Atomic(struct segment_file *) spare;
    _Atomic(struct segment_file *) retired;
    _Atomic uint64_t ready_bytes; /* in the slots, without the spare */
    _Atomic uint64_t queue_floor; /* ids up to here have been given out */
    _Atomic bool is_starved;      /* the shard waits: tell it by @wake_fd */
    _Atomic int make_error;       /* why there is nothing in the slots; 0: it will come */
    _Atomic uint64_t recycled_count;
    int wake_fd;
    /* Results that are stored, so that the keeper need not wait until their segment is left: a full
     * store may never leave it. News that find no room come with the segment. */
    struct keeper_news news[KEEPER_NEWS_MAX];
    _Atomic uint32_t news_head; /* the shard's */
    _Atomic uint32_t news_tail; /* the keeper's */
    /* Set before the shard starts, then the shard's alone: what its first START record says. */
    struct record_start start;
};

enum spool_durability keeper_durability(const struct spool_dir *d);
uint64_t keeper_segment_bytes(const struct spool_dir *d);
struct keeper_shard *keeper_shard_at(struct spool_dir *d, uint32_t shard_idx);

/* keeper_room_bytes() - what new segments may still take of the file system; an estimate. */
uint64_t keeper_room_bytes(const struct spool_dir *d);

/* keeper_kick() - there is work: a slot is empty, or a segment retired. Does not block. */
void keeper_kick(struct spool_dir *d);

#endif
