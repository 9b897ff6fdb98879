/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.h - content rules, compiled by Vectorscan and matched in streaming mode during the scan.
 *
 * A rules file has one rule a line (format: server/scan/rules.c and README). A rule set is
 * immutable and reference counted; a shard has one rules_worker (scratch and a pool of streams); a
 * message in progress holds one rules_stream, tied to the set that was current when it began, so
 * that a reload never touches a session.
 */
#ifndef SCAN_RULES_H
#define SCAN_RULES_H

#include "base/limits.h"
#include "base/slice.h"

struct rules;
struct rules_worker;
struct rules_stream;

enum rules_part { RULES_PART_HEADER, RULES_PART_BODY };

/* The rules in force when no file is given: GTUBE and EICAR. */
extern const char rules_default_text[];

struct rules_error {
    uint32_t line; /* 1-based; 0 when it concerns the whole file */
    char reason[256];
};

/*
 * rules_compile() - compile the text of a rules file
 * Return: 0, -EINVAL with @ret_error filled, -ENOMEM
 */
MUST_CHECK int rules_compile(struct slice text, struct rules **ret_rules,
                             struct rules_error *ret_error);
struct rules *rules_ref(struct rules *r); /* start-up and reload only; atomic */
void rules_unref(struct rules *r);
uint32_t rules_count(const struct rules *r);
struct slice rules_name(const struct rules *r, uint32_t rule_idx);
int32_t rules_score(const struct rules *r, uint32_t rule_idx); /* hundredths */

/* rules_worker_new() - one for each shard, made and used by its thread. 0 or -ENOMEM. */
MUST_CHECK int rules_worker_new(struct rules *r, struct rules_worker **ret_worker);
/* rules_worker_free() - all its streams must have been given back. */
void rules_worker_free(struct rules_worker *w);
/* rules_worker_replace() - use @r for messages that begin from now on. 0 or -ENOMEM. */
MUST_CHECK int rules_worker_replace(struct rules_worker *w, struct rules *r);

/* Streams that a worker hands out at a time, unless rules_worker_limit() says otherwise. */
#define RULES_STREAM_COUNT_MAX 16384

/* rules_worker_limit() - hand out at most @stream_count_max streams at a time. */
void rules_worker_limit(struct rules_worker *w, uint32_t stream_count_max);

/* rules_stream_take() - a stream at its start, or NULL when the pool limit is reached. */
struct rules_stream *rules_stream_take(struct rules_worker *w);
void rules_stream_give(struct rules_worker *w, struct rules_stream *st);

/* rules_stream_feed() - called by the scan with content bytes, each once, in order. */
void rules_stream_feed(struct rules_stream *st, enum rules_part part, struct slice bytes);

/* rules_stream_end() - end of content: matches that need it are reported. By scan_finish(). */
void rules_stream_end(struct rules_stream *st);

#define RULES_HITS_MAX 32
struct rules_hits {
    const struct rules *rules; /* what the indices refer to; alive as long as the stream is held */
    int32_t score;             /* hundredths, saturating; each rule counts once */
    uint32_t count;            /* rules that matched, may exceed RULES_HITS_MAX */
    uint16_t rule_idx[RULES_HITS_MAX]; /* the first ones, in order of match */
};
void rules_stream_hits(const struct rules_stream *st, struct rules_hits *ret_hits);

#endif
