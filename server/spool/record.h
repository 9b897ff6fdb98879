/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - the bytes of a segment: pure encoding and decoding, no files.
 *
 * SPOOL.md has the tables. Everything is little-endian and lies at a multiple of RECORD_ALIGN.
 */
#ifndef SPOOL_RECORD_H
#define SPOOL_RECORD_H

#include "spool/spool.h"

#define QUEUE_SEQ_BITS 56 /* of a queue id; the shard is above */
#define QUEUE_SEQ_MASK (((uint64_t)1 << QUEUE_SEQ_BITS) - 1)

#define RECORD_ALIGN 64
#define RECORD_BLOCK                                                                               \
    4096 /* groups start at this multiple: what was synced is not touched again                    \
          */
#define RECORD_MAGIC 0x31525350u        /* "PSR1" */
#define SEGMENT_MAGIC 0x31474553534F50u /* "POSSEG1" */
#define SEGMENT_VERSION 1
#define SEGMENT_BYTES_MIN ((uint64_t)MIB)
#define SEGMENT_BYTES_MAX ((uint64_t)GIB)

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little-endian in memory too");

enum record_type {
    RECORD_DATA = 1,   /* body bytes */
    RECORD_COMMIT = 2, /* the message exists */
    RECORD_RESULT = 3, /* something happened to a stored message */
    RECORD_START = 4,  /* first in a segment: where the one before it ends */
    RECORD_PAD = 5,    /* to the end of a block; its payload is not looked at */
};

struct record_header {
    uint32_t magic;
    uint8_t type; /* enum record_type */
    uint8_t zero[3];
    uint64_t generation;    /* of the segment: a record left from an earlier use is no record */
    uint64_t queue_id;      /* 0: belongs to no message */
    uint32_t number;        /* counts the records of a segment from 0 */
    uint32_t offset;        /* where this header stands in the segment */
    uint32_t length;        /* of the payload, which follows at once */
    uint32_t settled;       /* bytes of the segment that were finished before this was written */
    uint64_t position;      /* DATA: offset in the content of its first byte */
    uint64_t payload_check; /* XXH3 of the payload */
    uint64_t check;         /* XXH3 of the 56 bytes before, seeded with the generation */
};
static_assert(sizeof(struct record_header) == RECORD_ALIGN, "record format");

/* Body bytes of a message: the payload of one DATA record. */
struct record_extent {
    uint32_t segment_seq;
    uint32_t offset; /* of the payload */
    uint32_t length;
    uint32_t generation_low; /* lower half of the segment's generation */
};
static_assert(sizeof(struct record_extent) == 16, "record format");

/* The first bytes of a segment; the first RECORD_BLOCK bytes are its own. */
struct segment_header {
    uint64_t magic;
    uint32_t version;
    uint32_t shard;
    uint32_t seq;
    uint32_t zero;
    uint64_t capacity; /* bytes of the file */
    uint64_t generation;
    uint64_t queue_floor; /* queue ids of this shard start above */
    uint64_t created_at;  /* wall_us */
    uint64_t check;       /* XXH3 of what is before */
};
static_assert(sizeof(struct segment_header) == 64, "segment format");

struct record_start {
    uint64_t order; /* counts the segments of a shard in the order of their use */
    uint64_t prev_generation;
    uint32_t prev_seq;
    uint32_t prev_end;     /* what stands there or behind it does not count; 0: there was none */
    uint32_t prev_settled; /* from there to prev_end: a crashed run's last group, perhaps torn */
    uint32_t is_abandoned; /* 1: a write or sync failed there, behind prev_end may stand anything */
};
static_assert(sizeof(struct record_start) == 32, "record format");

struct record_result {
    uint32_t op;       /* enum spool_result_op */
    uint32_t rcpt_idx; /* SPOOL_RCPT_ALL or one */
    wall_us at;
};
static_assert(sizeof(struct record_result) == 16, "record format");

/* Header and payload, rounded up to RECORD_ALIGN. */
static inline uint64_t record_bytes(uint64_t payload_len)
{
    return ALIGN_UP(RECORD_ALIGN + payload_len, RECORD_ALIGN);
}

/* record_payload_check() - the checksum that stands in the header. */
uint64_t record_payload_check(struct slice payload);

/* record_chain_check() - checksum of a content: folds in one DATA payload's checksum and length. */
uint64_t record_chain_check(uint64_t chain, uint64_t payload_check, uint64_t length);

/* record_header_seal() - set magic and check; everything else is there. */
void record_header_seal(struct record_header *h);

/*
 * record_header_read() - is there a record header at @bytes?
 * @bytes:      RECORD_ALIGN bytes
 * @generation: the segment's
 * @offset:     where they stand in it
 * @capacity:   end of the segment
 *
 * Return: true: magic, check, generation, place, type and length are right; *ret_header is set
 */
MUST_CHECK bool record_header_read(const uint8_t *bytes, uint64_t generation, uint64_t offset,
                                   uint64_t capacity, struct record_header *ret_header);

void segment_header_seal(struct segment_header *h);
MUST_CHECK bool segment_header_read(const uint8_t *bytes, struct segment_header *ret_header);

/*
 * record_commit_bytes() - length of a COMMIT payload
 * Return: 0 when a field is longer than the format can say
 */
uint64_t record_commit_bytes(const struct spool_envelope *envelope, uint32_t extent_count);

/*
 * record_commit_encode() - everything but the extents, which record_commit_extents() points to
 * @to: record_commit_bytes() bytes, aligned to 8
 */
void record_commit_encode(const struct spool_envelope *envelope, uint64_t queue_id,
                          uint64_t content_check, uint32_t extent_count, uint8_t *to);
struct record_extent *record_commit_extents(uint8_t *payload);

struct record_commit {              /* slices point into the payload */
    struct spool_envelope envelope; /* rcpts is NULL: see record_commit_rcpt() */
    uint64_t queue_id;
    uint64_t content_check;
    const uint8_t *extents; /* unaligned: copy them out by record_commit_extent() */
    uint32_t extent_count;
    struct slice rcpts;
    uint32_t held_count;
    uint32_t waiting_count;
};

/* record_commit_length() - what a COMMIT payload that begins at @bytes says of its own length. */
uint64_t record_commit_length(struct slice bytes);

/* record_commit_decode() - check all of a payload. False: it is not one. */
MUST_CHECK bool record_commit_decode(struct slice payload, struct record_commit *ret_commit);
struct record_extent record_commit_extent(const struct record_commit *c, uint32_t extent_idx);

/* record_commit_rcpt() - the next recipient; *cursor starts at 0. False: there are no more. */
bool record_commit_rcpt(const struct record_commit *c, size_t *cursor, struct spool_rcpt *ret_rcpt);

#endif
