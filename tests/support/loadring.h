/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loadring.h - the kernel and the server that a worker of postern-load meets, in virtual time:
 * implements include/io/ring.h and load/dial.h, and is chosen at link time.
 *
 * The server answers every piece that it gets after @answer_ns, but while it stalls: what would be
 * answered in [stall_at, stall_until) is answered at stall_until. What comes to its end in
 * [busy_at, busy_until) is answered 451. Time moves only in ring_turn(), to the next answer or to
 * the end of the wait; @oversleep_ns later, if a slow generator is wanted.
 */
#ifndef SUPPORT_LOADRING_H
#define SUPPORT_LOADRING_H

#include "io/ring.h"

struct loadring_server {
    uint64_t answer_ns;
    clock_ns stall_at, stall_until; /* equal: never */
    clock_ns busy_at, busy_until;   /* likewise */
    uint64_t oversleep_ns;          /* of the generator: each wait takes so much longer */
    bool is_tiny;                   /* its SIZE is smaller than any message */
};

#define LOADRING_BEGIN (1000 * NS_PER_S) /* the time at which every ring begins */

/* loadring_configure() - for the next ring_new(); one ring at a time. */
void loadring_configure(const struct loadring_server *server);
/* Since loadring_configure(): connections made, and messages that the server has taken. */
uint32_t loadring_connections(void);
uint64_t loadring_messages(void);

#endif
