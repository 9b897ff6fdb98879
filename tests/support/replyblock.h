/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replyblock.h - replies to the content in every dialect, written and judged from the table of the
 * specification alone: opener, who gets a line, closer, and what a cut in the middle leaves.
 * Nothing of the machines is used for it. And a client machine that is brought to the point where
 * they come.
 */
#ifndef TESTS_REPLYBLOCK_H
#define TESTS_REPLYBLOCK_H

#include "smtp/client.h"

#define BLOCK_RCPTS_MAX 6
#define BLOCK_LINES_MAX 3
#define BLOCK_BYTES_MAX 8192

enum block_dialect {
    BLOCK_SMTP,
    BLOCK_LMTP,
    BLOCK_PRDR,
    BLOCK_DEFERRALS,
    BLOCK_INLINE_DSN,
    BLOCK_XPRDR1,
    BLOCK_EXDATA,
    BLOCK_WRAPPED_A,
    BLOCK_WRAPPED_B,
    BLOCK_ADAT,
    BLOCK_DIALECT_COUNT
};

struct block_case {
    enum block_dialect dialect;
    uint32_t rcpt_count;
    uint16_t rcpt_codes[BLOCK_RCPTS_MAX]; /* to RCPT; of ADAT none */
    uint16_t own_codes[BLOCK_RCPTS_MAX];  /* 2xx, 4xx, 5xx; of ADAT to DRCP */
    uint8_t own_lines[BLOCK_RCPTS_MAX];   /* 1 .. BLOCK_LINES_MAX */
    uint16_t final_code;                  /* where the dialect has it, or it is the single form */
    uint8_t final_lines;
    bool is_single;    /* one ordinary reply for all; SMTP has no other form */
    bool uses_chunks;  /* BDAT */
    struct slice text; /* without CR, LF */
};

/* block_is_possible() - a server may answer so; what cannot be is not judged. */
bool block_is_possible(const struct block_case *c);

struct block_text {
    size_t len;
    size_t opener_end;                /* 0: none */
    size_t own_ends[BLOCK_RCPTS_MAX]; /* 0: he has no line */
    size_t final_end;                 /* 0: none */
    char at[BLOCK_BYTES_MAX];
};

/* block_write() - all replies behind the content. */
void block_write(const struct block_case *c, struct block_text *ret_text);
/* block_fate() - of recipient @idx when @cut octets of them were read: 'D' done, 'R' to be tried
 * again, 'F' failed. */
char block_fate(const struct block_case *c, const struct block_text *t, size_t cut, uint32_t idx);

struct block_peer {
    struct client client;
    struct client_config config;
    struct client_message message;
    struct client_rcpt rcpts[BLOCK_RCPTS_MAX];
    struct client_result results[BLOCK_RCPTS_MAX];
    struct slice content;
    bool is_done;
    size_t held_len; /* part of a line */
    uint8_t held[2048];
};

/* block_peer_begin() - up to the end of the content; its replies come next. */
void block_peer_begin(struct block_peer *p, const struct block_case *c,
                      enum client_pipelining pipelining);
/* block_peer_hear() - some more of the replies. */
void block_peer_hear(struct block_peer *p, struct slice in);
/* block_peer_cut() - the connection ends here, for a copy of @p: @ret_fates as of block_fate(),
 * NUL-terminated. */
void block_peer_cut(const struct block_peer *p, char ret_fates[BLOCK_RCPTS_MAX + 1]);

#endif
