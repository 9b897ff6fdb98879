/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h - where the messages go: URLs, addresses, and the addresses that connections come from.
 *
 *   smtp://HOST[:PORT]   smtps://HOST[:PORT]   lmtp://HOST[:PORT]
 *   smtp+unix:PATH       lmtp+unix:PATH
 *
 * HOST is a name, an IPv4 address or an IPv6 address in brackets. Names are looked up once.
 */
#ifndef LOAD_TARGET_H
#define LOAD_TARGET_H

#include "base/slice.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

union target_addr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
};

struct target {
    char url[256]; /* as given, without its weight */
    char host[256];
    char port[8];
    bool is_lmtp;
    bool is_tls; /* from the first octet */
    bool is_local;
    bool is_name; /* host is a name and not an address */
    uint32_t weight;
    union target_addr addr;
    socklen_t addr_bytes;
};

/* target_parse() - "URL[,weight=N]"; false with @ret_text. */
MUST_CHECK bool target_parse(const char *text, struct target *ret_target, char *ret_text,
                             size_t text_cap);
/* target_resolve() - look the name up; of several addresses the first one that lets us connect is
 * taken, and only then one connection is made for that. */
MUST_CHECK bool target_resolve(struct target *t, char *ret_text, size_t text_cap);

struct source { /* an address of ours, port 0 */
    union target_addr addr;
    socklen_t addr_bytes;
};

#define SOURCES_MAX 65536

struct sources {
    struct source *at;
    uint32_t count;
};

/* sources_parse() - "ADDRESS[-ADDRESS],..."; appended. False with @ret_text. */
MUST_CHECK bool sources_parse(struct sources *s, const char *text, char *ret_text, size_t text_cap);
void sources_deinit(struct sources *s);

#endif
