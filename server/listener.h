/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.h - one listening socket of a shard: multishot accept, admission limits.
 *
 * TCP listeners have a SO_REUSEPORT socket for each shard; a unix socket is shared by all shards.
 */
#ifndef LISTENER_H
#define LISTENER_H

#include "pace.h"
#include "base/clock.h"
#include "policy/policy.h"
#include "smtp/session.h"
#include <sys/socket.h>

struct shard;
struct ring_event;

struct listener_options { /* read-only while the server runs */
    struct slice name;    /* for logs and records */
    struct session_config session;
    struct sockaddr_storage address;
    socklen_t address_len;
    const char *unix_path; /* NULL: TCP */
    uint32_t unix_mode;    /* permissions of the socket; 0: what the umask leaves */
    enum policy_mixed mixed;
    enum policy_on_refusal on_refusal;
    enum pacing pacing;
    bool tcp_nodelay;
    uint32_t conn_count_max;       /* per shard; 0: the shard's limit only */
    clock_ns command_ns_max;       /* for a complete next command (RFC 5321 4.5.3.2.7: 5 minutes) */
    clock_ns block_ns_max;         /* between content bytes */
    clock_ns content_ns_max;       /* from 354 to the end of data */
    clock_ns send_ns_max;          /* for the peer to take our replies */
    uint64_t bytes_per_second_min; /* of content, after content_grace_ns; 0: no limit */
    clock_ns content_grace_ns;
    clock_ns reply_ns_max;      /* from the end of data to everybody's answer */
    bool may_delay;             /* nobody else can reach it, or its owner has confirmed delays */
    struct delay content_delay; /* work before the first recipient's; for experiments */
    bool works_side_by_side;    /* on all recipients at once, else on one after another */
    bool finishes_vanished; /* goes on without a client who is gone: the S-run of DUP section 3 */
};

struct listener {
    const struct listener_options *options;
    int fd; /* -1: not listening */
    uint16_t generation;
    uint32_t conn_count;
    bool is_armed;
    bool is_disarming;
    clock_ns retry_at; /* after an accept that failed for lack of resources */
};

/* listener_bind() - create the listening socket for one shard (or the only one of a unix socket).
 * Return: descriptor, or a negative errno with @ret_text filled. */
MUST_CHECK int listener_bind(const struct listener_options *o, bool reuse_port, char *ret_text,
                             size_t text_cap);
/* listener_may_arm() - it listens, is not armed, and there is a slot for one more connection. */
bool listener_may_arm(const struct shard *sh, const struct listener *l);
void listener_arm(struct shard *sh, struct listener *l);
/* listener_close() - for good: no new connection, and those that wait in the kernel are reset. */
void listener_close(struct shard *sh, struct listener *l);
void listener_on_event(struct shard *sh, const struct ring_event *ev);

#endif
