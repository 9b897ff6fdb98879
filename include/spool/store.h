/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - reading a spool directory: for tools, beside a running server or without one.
 *
 * Nothing is locked and nothing is written. The server only appends, so what was read stays true;
 * a message that is being written while the directory is read may be seen or not.
 */
#ifndef SPOOL_STORE_H
#define SPOOL_STORE_H

#include "spool/spool.h"

enum store_damage_kind {
    STORE_DAMAGE_SEGMENT, /* the header of a segment is not valid */
    STORE_DAMAGE_GAP,     /* bytes where records must be; @length of them */
    STORE_DAMAGE_RECORD,  /* a record of message @queue_id (0: of none) fails its checksum */
    STORE_DAMAGE_CONTENT, /* body bytes of message @queue_id are missing or fail their checksum */
    STORE_DAMAGE_TAIL, /* the last group of a run that crashed is incomplete: no reply was sent */
};

struct store_damage {
    enum store_damage_kind kind;
    uint64_t queue_id;
    uint64_t offset; /* in the file */
    uint64_t length;
    char file[32];
};

struct store;

/* store_open() - 0, or negative errno with @ret_text saying what and which file. */
MUST_CHECK int store_open(const char *dir, struct store **ret_store, char *ret_text,
                          size_t text_cap);
void store_close(struct store *s);

/* store_count() - messages that exist, in the order of their queue ids from index 0 on. */
uint32_t store_count(const struct store *s);
uint64_t store_queue_id(const struct store *s, uint32_t message_idx);
MUST_CHECK bool store_find(const struct store *s, uint64_t queue_id, uint32_t *ret_message_idx);

struct store_message {
    uint64_t queue_id;
    struct spool_envelope envelope; /* rcpts as they are now, results applied */
    bool *is_gone;                  /* one a recipient: deleted, delivered, or never taken */
    bool is_doubtful;               /* its client may not know that it was taken (DUP-23) */
    uint32_t active_count;
    uint32_t held_count;
    const char *file; /* of the COMMIT record */
    uint64_t offset;
    void *memory;
};

/* store_load() - 0; -EBADMSG when the record is damaged (*ret_damage); other negative errno. */
MUST_CHECK int store_load(const struct store *s, uint32_t message_idx,
                          struct store_message *ret_message, struct store_damage *ret_damage);
void store_message_free(struct store_message *m);

typedef int (*store_sink)(void *arg, struct slice bytes); /* not 0 ends the reading */
/*
 * store_content() - the content, in pieces, all of it checked
 * Return: 0; -EBADMSG and *ret_damage when it is damaged (pieces before have been given to @sink);
 *         what @sink returned when that was not 0; other negative errno
 */
MUST_CHECK int store_content(const struct store *s, uint32_t message_idx, store_sink sink,
                             void *sink_arg, struct store_damage *ret_damage);

/* store_damage_count() - damage found when the directory was read; contents are not read then. */
uint32_t store_damage_count(const struct store *s);
/* store_damage_at() - one of them, from 0. */
const struct store_damage *store_damage_at(const struct store *s, uint32_t damage_idx);
/* store_stats() - the numbers that recovery would report. */
const struct spool_recovery_stats *store_stats(const struct store *s);

/*
 * store_control_append() - record results by hand: durable when it returns, with the server running
 * or not
 * @queue_ids: messages that exist
 */
MUST_CHECK int store_control_append(const char *dir, const uint64_t *queue_ids, uint32_t count,
                                    enum spool_result_op op, wall_us at, char *ret_text,
                                    size_t text_cap);

#endif
