/* SPDX-License-Identifier: Apache-2.0 */
/* path.h - forward and reverse paths (RFC 5321 4.1.2, 4.1.1.3; RFC 6531). */
#ifndef SMTP_PATH_H
#define SMTP_PATH_H

#include "base/limits.h"
#include "base/slice.h"

/* Slices into the parsed line. @local is as sent (quotes kept); a source route has been dropped. */
struct path {
    struct slice local;  /* empty with an empty domain: the null path "<>" */
    struct slice domain; /* empty with a local part: "<postmaster>"; "[...]" kept for literals */
    struct slice whole;  /* local@domain without angle brackets and route; "" for the null path */
    bool is_utf8;        /* a byte above 0x7F somewhere */
};

enum path_result {
    PATH_OK = 0,
    PATH_BAD_SYNTAX,
    PATH_TOO_LONG,
    PATH_NEEDS_UTF8, /* a byte above 0x7F, and @allow_utf8 was false */
};

/*
 * path_parse() - parse "<...>" at the start of @in
 * @in:          borrowed; the path and whatever follows it
 * @allow_null:  a reverse path: "<>" is legal, and "<postmaster>" without a domain is not
 * @allow_utf8:  bytes above 0x7F are legal where they are well-formed UTF-8
 * @ret_used:    bytes consumed, on PATH_OK
 *
 * Shape:   any bytes; limits are those of limits.h, counted in octets for ASCII and in characters
 *          for local part and domain of a UTF-8 path
 * Cost:    one pass; no allocation, no system call
 * Source:  RFC 5321 4.1.2, 4.1.3, 4.5.3.1; RFC 6531 3.3; CORE-7
 */
MUST_CHECK enum path_result path_parse(struct slice in, bool allow_null, bool allow_utf8,
                                       struct path *ret_path, size_t *ret_used);

/* path_is_postmaster() - "postmaster" in any case, quoted or not (CORE-7); the domain is not looked
 * at. */
bool path_is_postmaster(const struct path *p);

#endif
