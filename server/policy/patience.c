/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patience.c - does a client belong to a network, or to a pattern of names?
 *
 * All addresses are 128 bits, those of IPv4 as ::ffff:a.b.c.d, so that a client is the same
 * whichever socket he came through.
 */
#include "policy/patience.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

bool patience_network_parse(struct slice text, struct patience_network *ret_network)
{
    char host[INET6_ADDRSTRLEN + 1];
    struct patience_network network = {.length = 128};
    size_t slash = slice_find(text, '/');
    if (slash >= sizeof(host))
        return false;
    memcpy(host, text.ptr, slash);
    host[slash] = '\0';
    bool is_v4 = strchr(host, ':') == NULL;
    if (is_v4) {
        memset(network.bits + 10, 0xFF, 2);
        if (inet_pton(AF_INET, host, network.bits + 12) != 1)
            return false;
    } else if (inet_pton(AF_INET6, host, network.bits) != 1) {
        return false;
    }
    unsigned length = is_v4 ? 32 : 128;
    if (slash < text.len) {
        struct slice digits = slice_from(text, slash + 1);
        unsigned value = 0;
        for (size_t i = 0; i < digits.len; i++) {
            if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || i == 3)
                return false;
            value = value * 10 + (unsigned)(digits.ptr[i] - '0');
        }
        if (digits.len == 0 || value > length)
            return false;
        length = value;
    }
    network.length = (uint8_t)(is_v4 ? 96 + length : length);
    *ret_network = network;
    return true;
}

bool patience_network_has(const struct patience_network *network,
                          const struct sockaddr_storage *peer)
{
    uint8_t bits[16] = {0};
    if (peer->ss_family == AF_INET) {
        memset(bits + 10, 0xFF, 2);
        memcpy(bits + 12, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    } else if (peer->ss_family == AF_INET6) {
        memcpy(bits, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
    } else {
        return false;
    }
    unsigned whole = network->length / 8;
    unsigned rest = network->length % 8;
    if (memcmp(bits, network->bits, whole) != 0)
        return false;
    return rest == 0 || ((bits[whole] ^ network->bits[whole]) >> (8 - rest)) == 0;
}

bool patience_helo_matches(struct slice pattern, struct slice helo)
{
    size_t star = SIZE_MAX; /* the last one passed, and what it stands for so far */
    size_t taken = 0;
    size_t p = 0;
    for (size_t h = 0; h < helo.len;) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            taken = h;
        } else if (p < pattern.len && ascii_lower(pattern.ptr[p]) == ascii_lower(helo.ptr[h])) {
            p++;
            h++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            h = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}
