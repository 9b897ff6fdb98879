/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doubt.h - was the last reply to a stored message read? (DUP-23)
 *
 * It was, when something arrives on the connection after the reply had left: a command, or a QUIT
 * that was not sent ahead. What arrived before proves nothing, nor does the end of the connection.
 * When that comes first, the message is in doubt: the client may send it again. That is logged,
 * counted, and noted in the spool, in a small record that needs no sync of its own.
 */
#ifndef DOUBT_H
#define DOUBT_H

#include "base/base.h"

struct conn;
struct shard;

struct doubt {
    struct doubt *next;
    uint64_t queue_id;
    bool is_sent; /* its last reply has been handed to the kernel */
};

/* doubt_begin() - the last reply to a stored message was formatted; @c NULL: nobody is there. */
void doubt_begin(struct shard *sh, struct conn *c, uint64_t queue_id);
/* doubt_on_sent() - all that was formatted for @c has been handed over. */
void doubt_on_sent(struct conn *c);
/* doubt_on_input() - something has arrived on @c. */
void doubt_on_input(struct shard *sh, struct conn *c);
/* doubt_on_end() - @c ends: whatever is still in doubt stays so. */
void doubt_on_end(struct shard *sh, struct conn *c);

#endif
