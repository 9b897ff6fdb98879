/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - messages as files of a Maildir: written in tmp/ as they arrive, renamed into new/ when
 * they are taken. The content is kept as it was received, with its CRLF line ends.
 */
#ifndef SINK_STORE_H
#define SINK_STORE_H

#include "base/slice.h"

#define STORE_NAME_BYTES_MAX 96

struct store_file {
    int fd; /* -1: none */
    int dir_fd;
    char name[STORE_NAME_BYTES_MAX];
};

/* store_open() - the Maildir at @path, made when it is not there: a descriptor or negative errno.
 */
MUST_CHECK int store_open(const char *path);
/* store_begin() - @unique is a number that no other file of this process gets. 0 or -errno. */
MUST_CHECK int store_begin(struct store_file *f, int dir_fd, uint64_t wall_us, uint64_t unique);
MUST_CHECK int store_write(const struct store_file *f, const struct slices *parts);
/* store_commit() - the message is there; 0 or -errno. Nothing happens when it was done before. */
MUST_CHECK int store_commit(struct store_file *f);
/* store_abort() - forget it, unless it was committed; may be called twice. */
void store_abort(struct store_file *f);

#endif
