/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial.h - what is asked of sockets directly, and not through the ring: they are made here, bound
 * to a source, and read slowly. The simulator has another file in the place of dial.c.
 */
#ifndef LOAD_DIAL_H
#define LOAD_DIAL_H

#include "load/target.h"

struct dial_options {
    struct sources sources;
    uint32_t receive_bytes; /* SO_RCVBUF; 0: the system's */
};

/*
 * dial_open() - a socket to connect to @t
 * @turn: counts the connections, for the sources' turns
 * Return: a descriptor, or a negative errno
 */
MUST_CHECK int dial_open(const struct dial_options *options, const struct target *t,
                         uint32_t *turn);
/* dial_set_reset() - closing it will send RST. */
void dial_set_reset(int fd);
/* dial_read() - what is there, at most @cap bytes: bytes, 0 at the end, or a negative errno. */
MUST_CHECK int dial_read(int fd, void *memory, size_t cap);
/* dial_close() - close it now. */
void dial_close(int fd);

#endif
