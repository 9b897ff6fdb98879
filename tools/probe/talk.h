/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk.h - one connection to the server that is tested: lines in, bytes out, each with a deadline.
 *
 * Times are of the monotonic clock. Nothing is repaired: what is given is what is sent, and a line
 * is handed out with the end that it had.
 */
#ifndef PROBE_TALK_H
#define PROBE_TALK_H

#include "base/clock.h"
#include "base/slice.h"
#include "load/target.h"
#include <openssl/types.h>

#define TALK_IN_BYTES ((size_t)262144)

struct talk {
    int fd;
    SSL *ssl; /* NULL: in clear */
    size_t in_start, in_end;
    uint8_t in[TALK_IN_BYTES];
};

enum talk_result {
    TALK_DONE,
    TALK_LATE,   /* the deadline has passed */
    TALK_CLOSED, /* end of stream */
    TALK_RESET,  /* or another error of the socket */
    TALK_LONG,   /* a line without end fills all memory */
    TALK_TLS,    /* the handshake or a record failed */
};

/* talk_now() - the monotonic clock. */
clock_ns talk_now(void);

/* talk_open() - connect; *ret_errno tells why not (TALK_RESET, TALK_LATE). */
MUST_CHECK enum talk_result talk_open(struct talk *t, const struct target *target,
                                      clock_ns deadline, int *ret_errno);
void talk_close(struct talk *t);
/* talk_shut() - send the end of our stream; the other way stays open. */
void talk_shut(struct talk *t);
/* talk_abort() - close so that the server sees a reset. */
void talk_abort(struct talk *t);

/* talk_start_tls() - handshake; @server_name may be NULL. Bytes that were read in clear and not
 * taken yet stay where they are: talk_unread() tells how many, before. */
MUST_CHECK enum talk_result talk_start_tls(struct talk *t, SSL_CTX *context,
                                           const char *server_name, bool is_verified,
                                           clock_ns deadline);

/* talk_write() - all of @bytes, in as few segments as the kernel makes of them. */
MUST_CHECK enum talk_result talk_write(struct talk *t, struct slice bytes, clock_ns deadline);

/* talk_read_line() - the next line with its end (up to LF); borrowed until the next call. On
 * TALK_CLOSED and TALK_LATE @ret_line is what there is of an unfinished line. */
MUST_CHECK enum talk_result talk_read_line(struct talk *t, clock_ns deadline,
                                           struct slice *ret_line);

size_t talk_unread(const struct talk *t);

#endif
