/* SPDX-License-Identifier: Apache-2.0 */
/* data.h - message content on the wire: dot stuffing and the terminator, and BDAT chunks. Taking
 * stuffed dots out again is the scan's work. */
#ifndef SMTP_DATA_H
#define SMTP_DATA_H

#include "base/buf.h"
#include "base/slice.h"

struct data_stuffing { /* all zero means: nothing sent yet, at the start of a line */
    bool is_in_line;   /* behind a byte that is not a line end */
    bool is_after_cr;
    bool is_bad; /* a bare CR or bare LF went by: the message must not be sent (CORE-47) */
};

/*
 * data_stuff() - content as it goes behind DATA, with a dot before each dot that starts a line
 * @st:     state carried between calls
 * @in:     borrowed; content with CRLF line ends
 * @parts:  slices into @in or into static storage are appended; nothing is moved
 *
 * Shape:   any bytes, any split; stops when @parts is full
 * Return:  bytes of @in that @parts now covers
 * Cost:    two memchr() per line; no allocation, no system call
 * Source:  RFC 5321 4.5.2; CORE-44 (dots are stuffed behind a real CRLF only), CORE-47
 */
MUST_CHECK size_t data_stuff(struct data_stuffing *st, struct slice in, struct slices *parts);

/*
 * data_is_plain() - whether @in goes behind DATA as it is, and can be followed by the dot
 *
 * Return:  true for whole lines, each with its CRLF, of which none begins with a dot
 * Cost:    as data_stuff()
 */
bool data_is_plain(struct slice in);

/* data_is_bad() - with all content stuffed: it holds a bare CR or bare LF and must not be ended. */
bool data_is_bad(const struct data_stuffing *st);

/* data_terminator() - what ends content that is not bad: CRLF first when the last line has none. */
struct slice data_terminator(const struct data_stuffing *st);

/*
 * data_parse_chunk() - the argument of BDAT, "size" or "size LAST"
 * Return: false when it is not one (also: more than 64 bits can count)
 * Source: RFC 3030 2
 */
MUST_CHECK bool data_parse_chunk(struct slice args, uint64_t *ret_bytes, bool *ret_is_last);

/* data_put_chunk() - append the whole command line. */
void data_put_chunk(struct buf *out, uint64_t bytes, bool is_last);

#endif
