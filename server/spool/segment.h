/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h - segment files: names, making, recycling, and reading records back.
 *
 * Plain system calls that may block: for the keeper, start-up and tools, never for a shard's turn.
 */
#ifndef SPOOL_SEGMENT_H
#define SPOOL_SEGMENT_H

#include "record.h"

#define SEGMENT_NAME_BYTES 32

/* An open segment on its way from the keeper to a shard and back. */
struct segment_file {
    struct segment_file *next; /* on the shard's list of retired ones */
    int fd;
    uint32_t shard;
    uint32_t seq;
    uint64_t capacity;
    uint64_t generation;
    /* Set by the shard when it leaves the segment: */
    uint64_t end;        /* what stands behind does not count */
    uint64_t open_floor; /* messages below had their outcome when it was left */
};

/* What a new segment shall be. */
struct segment_plan {
    uint32_t shard;
    uint32_t seq;
    uint64_t capacity;
    uint64_t queue_floor;
    wall_us created_at;
};

void segment_name(uint32_t shard, uint32_t seq, char ret_name[SEGMENT_NAME_BYTES]);
MUST_CHECK bool segment_name_parse(const char *name, uint32_t *ret_shard, uint32_t *ret_seq);

/*
 * segment_create() - a new file, filled with zeros, synced, and its directory entry too
 * Return: 0, or negative errno (nothing is left behind)
 */
MUST_CHECK int segment_create(int dir_fd, const struct segment_plan *plan,
                              struct segment_file **ret_file);

/*
 * segment_recycle() - give the dead segment @old_name a new header and a new name
 * @plan: capacity is overwritten by what the file has
 */
MUST_CHECK int segment_recycle(int dir_fd, const char *old_name, struct segment_plan *plan,
                               struct segment_file **ret_file);

/*
 * segment_blank() - a new generation for the dead segment @name: whatever it holds is no record any
 * more, even if the file is found again before it is recycled
 */
MUST_CHECK int segment_blank(int dir_fd, const char *name, const struct segment_plan *plan);

void segment_file_free(struct segment_file *f); /* closes it; NULL is fine */

/* segment_remove_leftovers() - unlink files that segment_create() did not finish. */
MUST_CHECK int segment_remove_leftovers(int dir_fd);

/* Reading. */
struct segment_reader {
    int fd;
    struct segment_header header;
    uint64_t at;             /* next record */
    uint64_t limit;          /* nothing counts from there on */
    uint32_t number;         /* expected next */
    bool skip_data;          /* do not look at the payload of DATA */
    uint64_t io_error_bytes; /* could not be read; taken for zeros */
    uint8_t *window;         /* bytes window_start .. + window_len of the file */
    uint64_t window_start;
    size_t window_len;
    size_t window_cap;
};

enum segment_item_kind {
    SEGMENT_END,    /* no more records */
    SEGMENT_RECORD, /* header and payload are right */
    SEGMENT_BROKEN, /* header is right, payload is not */
    SEGMENT_GAP,    /* no header at @offset; the next one is at @offset + @length */
};

struct segment_item {
    enum segment_item_kind kind;
    uint64_t offset;
    uint64_t length;
    struct record_header header; /* RECORD, BROKEN */
    struct slice payload;        /* RECORD; until the next call */
};

/*
 * segment_reader_open() - open and read the header
 * Return: 0; -EBADMSG when there is no valid header; other negative errno
 */
MUST_CHECK int segment_reader_open(struct segment_reader *r, int dir_fd, const char *name);
void segment_reader_close(struct segment_reader *r);

/* segment_reader_is_current() - false: the file was recycled since it was opened. */
bool segment_reader_is_current(const struct segment_reader *r);

/* segment_reader_next() - 0, or -ENOMEM; unreadable parts of the file count as damaged. */
MUST_CHECK int segment_reader_next(struct segment_reader *r, struct segment_item *ret_item);

/* segment_reader_bytes() - bytes before the limit, whatever they are; NULL without memory. */
const uint8_t *segment_reader_bytes(struct segment_reader *r, uint64_t offset, size_t len);

/* segment_reader_at() - the one record whose header stands at @offset. */
MUST_CHECK int segment_reader_at(struct segment_reader *r, uint64_t offset,
                                 struct segment_item *ret_item);

#endif
