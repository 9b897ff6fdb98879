/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patience.h - clients that are known to wait for less time than others: by network, or by the name
 * in their EHLO. Pure; read-only while the server runs.
 */
#ifndef POLICY_PATIENCE_H
#define POLICY_PATIENCE_H

#include "base/clock.h"
#include "base/slice.h"
#include <sys/socket.h>

struct patience_network {
    uint8_t bits[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t length;   /* of the prefix, in these 128 bits */
};

/* Clients that wait for less time than others. Read-only while the server runs. */
struct patience_client {
    struct slice name;
    const struct patience_network *networks;
    uint32_t network_count;
    const struct slice *helos; /* patterns: '*' is any number of characters; case does not count */
    uint32_t helo_count;
    clock_ns reply_ns;
};

/* patience_network_parse() - "192.0.2.0/24", "2001:db8::/32", or an address alone. */
MUST_CHECK bool patience_network_parse(struct slice text, struct patience_network *ret_network);

/* patience_network_has() - is @peer in it? Never, when it has no IP address. */
bool patience_network_has(const struct patience_network *network,
                          const struct sockaddr_storage *peer);

/* patience_helo_matches() - the whole of @helo against @pattern. */
bool patience_helo_matches(struct slice pattern, struct slice helo);

#endif
