/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block.h - the replies after the content in PRDR, DEFERRALS, INLINE-DSN and XPRDR1: an opening
 * 353 (XPRDR1 has none), a reply for each recipient that is to get one, a final one; or one
 * ordinary reply for all.
 */
#ifndef PROBE_BLOCK_H
#define PROBE_BLOCK_H

#include "probe/trial.h"

#define BLOCK_RCPTS_MAX 128

struct block {
    uint32_t rcpt_count;             /* that are to get a reply each */
    int rcpt_codes[BLOCK_RCPTS_MAX]; /* of their RCPTs */
    uint32_t taken_count;            /* DEFERRALS: taken at RCPT, get no reply */
    int codes[BLOCK_RCPTS_MAX];      /* of their replies */
    bool is_single;                  /* one reply for all, in @final */
    uint32_t opener_lines;
    int final;
};

enum block_kind {
    BLOCK_PRDR,      /* 353 or single; everybody accepted gets a reply */
    BLOCK_DEFERRALS, /* only who got 352 */
    BLOCK_INLINE,    /* the same, and the last reply is 250 whatever happened */
    BLOCK_PLAIN,     /* XPRDR1: no opener, no single form */
};

/* block_rcpt() - a RCPT that is to be accepted, or answered 352 where @kind has that. */
bool block_rcpt(struct trial *t, struct block *b, enum block_kind kind, const char *address);
/* block_read() - all replies after the content, with the rules that always hold: form, number,
 * codes, and a final one that fits (PRDR-24, DEF-14, INL-2). */
bool block_read(struct trial *t, struct block *b, enum block_kind kind);

#endif
