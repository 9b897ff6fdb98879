/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.h - one try of one message: the envelope and content that a client machine needs, and what
 * came of it.
 *
 * A job is made from (set, sequence number, open recipients) and from nothing else, so a later try
 * is byte-identical. Its memory is one pool object, sized for the longest list of recipients.
 */
#ifndef LOAD_JOB_H
#define LOAD_JOB_H

#include "load/message.h"
#include "load/stats.h"
#include "smtp/client.h"

struct job_shape { /* how much memory a job needs */
    uint32_t rcpt_count_max;
    uint32_t address_bytes_max;
};

struct job {
    uint64_t seq;
    uint32_t attempt;
    uint32_t rcpt_total; /* of the message; this try is for rcpt_count of them */
    uint32_t rcpt_count;
    clock_ns planned_at;
    clock_ns start_at;
    clock_ns first_planned_at; /* of the message's first try */
    clock_ns first_start_at;
    bool is_measured;  /* planned behind the warm-up */
    bool was_accepted; /* an earlier try was, for one recipient at least */
    bool vanishes;     /* this one is dropped as the options say */
    struct message message;
    struct client_message envelope;
    struct client_rcpt *rcpts;
    struct client_result *results; /* by position in this try */
    uint32_t *rcpt_idxs;           /* position in the message */
    uint8_t *addresses;
    /* What happened to it, set by the link. */
    enum attempt_cause cause;
    enum client_phase phase; /* what was waited for when no reply decided */
    enum attempt_sent sent;
    uint32_t replies_seen, replies_due; /* of those to the content that do not only open a block */
    enum dialect dialect;               /* DIALECT_COUNT: MAIL was never sent */
    bool was_opened;                    /* a reply said that those of recipients follow */
    bool has_block;                     /* they came one by one */
    uint8_t head[MESSAGE_HEAD_BYTES_MAX];
};

/* job_bytes() - size of the pool object. */
size_t job_bytes(const struct job_shape *shape);
/*
 * job_make() - fill in a job taken from the pool
 * @open: bit i: recipient i is still to be decided; NULL: all
 */
void job_make(struct job *j, const struct job_shape *shape, const struct message_set *set,
              uint64_t seq, uint32_t attempt, const uint64_t *open);
/* job_fail() - no reply decided for those who are open: @code 0, or the one reply that stands for
 * all of them. */
void job_fail(struct job *j, enum client_phase phase, uint16_t code, const uint16_t enhanced[3]);
/* job_fate() - what became of recipient @pos of this try. */
enum attempt_fate job_fate(const struct job *j, uint32_t pos);

#endif
