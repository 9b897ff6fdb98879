/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body.h - generated text without end: lines of one kind, of which any stretch can be had as one
 * slice, however long, from a few hundred kilobytes of memory.
 */
#ifndef LOAD_BODY_H
#define LOAD_BODY_H

#include "load/message.h"

struct body {
    uint8_t *ptr; /* BODY_BLOCK_BYTES of whole lines, mapped again and again */
    size_t mapped_bytes;
    enum message_body kind;
    bool is_plain;      /* no line begins with a dot */
    uint8_t tail[1000]; /* a line of 998 octets with its CRLF; its ends are lines of any length */
};

/* What the processor's caches hold; a multiple of any page size. */
#define BODY_BLOCK_BYTES ((size_t)256 * KIB)

/* body_init() - 0 or negative errno; stretches of up to @bytes_max can be had. */
MUST_CHECK int body_init(struct body *b, enum message_body kind, uint64_t seed, uint64_t bytes_max);
void body_deinit(struct body *b);

#define BODY_SLICES_MAX 3
/* Fewer octets than this (and more than none) make no line of this kind. */
#define BODY_BYTES_MIN 3

/*
 * body_cut() - exactly @bytes of whole lines, which begin somewhere in the block
 * @where: any number
 * @bytes: 0, or BODY_BYTES_MIN .. bytes_max
 * Return: number of slices; *ret_line_bytes: octets of them that are lines of the block
 */
uint32_t body_cut(const struct body *b, uint64_t where, size_t bytes,
                  struct slice ret_parts[BODY_SLICES_MAX], size_t *ret_line_bytes);

#endif
