/* SPDX-License-Identifier: Apache-2.0 */
/*
 * column.h - tab separated columns of the two file formats: one way to write each value, and the
 * parser takes no other. "-" is a value that there is not.
 */
#ifndef TRACE_COLUMN_H
#define TRACE_COLUMN_H

#include "base/buf.h"
#include "base/limits.h"

/* Longest address in a line; what is longer is cut. */
#define COLUMN_ADDRESS_BYTES_MAX PATH_UTF8_BYTES_MAX

/* A line being read. @is_bad stays once a column was not what it should be. */
struct column_reader {
    struct slice rest;
    bool is_bad;
    bool is_at_end; /* the last column was taken */
};

static inline struct column_reader column_reader_of(struct slice line)
{
    return (struct column_reader){.rest = line};
}

/* column_text() - the next column, never empty; @is_bad and an empty slice when there is none. */
struct slice column_text(struct column_reader *r);
/* column_u64() - decimal without leading zeros, 0 .. @max. */
uint64_t column_u64(struct column_reader *r, uint64_t max);
/* column_u64_or() - the same, or @none for "-". */
uint64_t column_u64_or(struct column_reader *r, uint64_t max, uint64_t none);
/* column_hex_or() - 16 lower-case hexadecimal digits, or @none for "-". */
uint64_t column_hex_or(struct column_reader *r, uint64_t none);
/* column_name() - index of one of @names. */
uint32_t column_name(struct column_reader *r, const char *const *names, uint32_t count);
/* column_address() - an address; empty for "-". */
struct slice column_address(struct column_reader *r);
/* column_is_done() - all columns were good, and there are no more. */
MUST_CHECK bool column_is_done(const struct column_reader *r);

/* column_decimal_parse() - digits without leading zeros, nothing else, 0 .. @max. */
MUST_CHECK bool column_decimal_parse(struct slice text, uint64_t max, uint64_t *ret_value);
/* column_hex_parse() - exactly 16 lower-case hexadecimal digits. */
MUST_CHECK bool column_hex_parse(struct slice text, uint64_t *ret_value);

/* Each of these writes a tab first. */
void column_put_u64(struct buf *out, uint64_t value);
/* column_put_u64_or() - "-" when @value is @none. */
void column_put_u64_or(struct buf *out, uint64_t value, uint64_t none);
void column_put_name(struct buf *out, const char *name);
/* column_put_address() - control characters, which no address may have, become "?". */
void column_put_address(struct buf *out, struct slice address);

#endif
