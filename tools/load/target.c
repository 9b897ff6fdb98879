/* SPDX-License-Identifier: Apache-2.0 */
/* target.c - reads URLs and address lists; looks names up, at start only. */
#include "load/target.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROBE_MS 3000
#define WEIGHT_MAX 1000000

struct scheme {
    const char *prefix;
    bool is_lmtp, is_tls, is_local;
    const char *port;
};

static const struct scheme schemes[] = {
    {"smtp://", false, false, false, "25"}, {"smtps://", false, true, false, "465"},
    {"lmtp://", true, false, false, "24"},  {"smtp+unix:", false, false, true, ""},
    {"lmtp+unix:", true, false, true, ""},
};

static bool fail(char *ret_text, size_t text_cap, const char *what, const char *why)
{
    snprintf(ret_text, text_cap, "%s: %s", what, why);
    return false;
}

static bool parse_number(const char *text, unsigned long max, unsigned long *ret_value)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    *ret_value = strtoul(text, &end, 10);
    return errno == 0 && *end == '\0' && *ret_value <= max;
}

/* "HOST[:PORT]", "[V6][:PORT]". */
static bool parse_host(struct target *t, const char *text)
{
    const char *end, *rest;
    unsigned long port;
    if (*text == '[') {
        end = strchr(++text, ']');
        rest = end != NULL ? end + 1 : NULL;
    } else {
        end = text + strcspn(text, ":/");
        rest = end;
    }
    if (end == NULL || end == text || (size_t)(end - text) >= sizeof(t->host))
        return false;
    memcpy(t->host, text, (size_t)(end - text));
    t->host[end - text] = '\0';
    size_t len = strlen(rest);
    if (len > 0 && rest[len - 1] == '/')
        len--;
    if (len == 0)
        return true;
    if (*rest != ':' || len < 2 || len > 6)
        return false;
    memcpy(t->port, rest + 1, len - 1);
    t->port[len - 1] = '\0';
    return parse_number(t->port, UINT16_MAX, &port) && port > 0;
}

static bool parse_path(struct target *t, const char *path)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(t->addr.local.sun_path))
        return false;
    t->addr.local.sun_family = AF_UNIX;
    memcpy(t->addr.local.sun_path, path, len + 1);
    t->addr_bytes = sizeof(t->addr.local);
    return true;
}

bool target_parse(const char *text, struct target *ret_target, char *ret_text, size_t text_cap)
{
    struct target *t = ret_target;
    unsigned long weight = 1;
    memset(t, 0, sizeof(*t));
    const char *comma = strrchr(text, ',');
    if (comma != NULL && strncmp(comma, ",weight=", 8) != 0)
        comma = NULL;
    if (comma != NULL && (!parse_number(comma + 8, WEIGHT_MAX, &weight) || weight == 0))
        return fail(ret_text, text_cap, text, "the weight is a number from 1 to 1000000");
    size_t len = comma != NULL ? (size_t)(comma - text) : strlen(text);
    if (len >= sizeof(t->url))
        return fail(ret_text, text_cap, text, "too long");
    memcpy(t->url, text, len);
    t->weight = (uint32_t)weight;
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        const struct scheme *s = &schemes[i];
        size_t prefix_len = strlen(s->prefix);
        if (strncmp(t->url, s->prefix, prefix_len) != 0)
            continue;
        t->is_lmtp = s->is_lmtp;
        t->is_tls = s->is_tls;
        t->is_local = s->is_local;
        snprintf(t->port, sizeof(t->port), "%s", s->port);
        if (s->is_local ? parse_path(t, t->url + prefix_len) : parse_host(t, t->url + prefix_len))
            return true;
        return fail(ret_text, text_cap, t->url,
                    s->is_local ? "the path is empty or too long" : "expected HOST[:PORT]");
    }
    return fail(ret_text, text_cap, t->url,
                "expected smtp://, smtps://, lmtp://, smtp+unix: or lmtp+unix:");
}

/* Whether somebody listens there. */
static bool lets_connect(const struct addrinfo *ai)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;
    socklen_t len = sizeof(error);
    if (fd < 0)
        return false;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0 && errno != EINPROGRESS)
        error = errno;
    else if (poll(&p, 1, PROBE_MS) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = ETIMEDOUT;
    close(fd);
    return error == 0;
}

bool target_resolve(struct target *t, char *ret_text, size_t text_cap)
{
    if (t->is_local)
        return true;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    int result = getaddrinfo(t->host, t->port, &hints, &list);
    if (result == EAI_NONAME) {
        t->is_name = true;
        hints.ai_flags = 0;
        result = getaddrinfo(t->host, t->port, &hints, &list);
    }
    if (result != 0)
        return fail(ret_text, text_cap, t->host, gai_strerror(result));
    const struct addrinfo *best = list;
    if (list->ai_next != NULL) {
        while (best != NULL && !lets_connect(best))
            best = best->ai_next;
        best = best != NULL ? best : list;
    }
    memcpy(&t->addr, best->ai_addr, best->ai_addrlen);
    t->addr_bytes = best->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

/* --- sources ---------------------------------------------------------------------------------- */

static bool parse_address(const char *text, struct source *ret_source)
{
    memset(ret_source, 0, sizeof(*ret_source));
    if (inet_pton(AF_INET, text, &ret_source->addr.v4.sin_addr) == 1) {
        ret_source->addr.v4.sin_family = AF_INET;
        ret_source->addr_bytes = sizeof(ret_source->addr.v4);
        return true;
    }
    if (inet_pton(AF_INET6, text, &ret_source->addr.v6.sin6_addr) == 1) {
        ret_source->addr.v6.sin6_family = AF_INET6;
        ret_source->addr_bytes = sizeof(ret_source->addr.v6);
        return true;
    }
    return false;
}

static bool add(struct sources *s, const struct source *source)
{
    if (s->count == SOURCES_MAX)
        return false;
    if ((s->count & (s->count - 1)) == 0) { /* full at each power of two */
        uint32_t cap = s->count == 0 ? 1 : 2 * s->count;
        struct source *at = realloc(s->at, cap * sizeof(*at));
        if (at == NULL)
            return false;
        s->at = at;
    }
    s->at[s->count++] = *source;
    return true;
}

static bool add_range(struct sources *s, const struct source *first, const struct source *last)
{
    if (first->addr.any.sa_family != AF_INET || last->addr.any.sa_family != AF_INET)
        return false;
    uint32_t from = ntohl(first->addr.v4.sin_addr.s_addr);
    uint32_t to = ntohl(last->addr.v4.sin_addr.s_addr);
    struct source source = *first;
    if (to < from || to - from >= SOURCES_MAX)
        return false;
    for (uint32_t i = from;; i++) {
        source.addr.v4.sin_addr.s_addr = htonl(i);
        if (!add(s, &source))
            return false;
        if (i == to)
            return true;
    }
}

bool sources_parse(struct sources *s, const char *text, char *ret_text, size_t text_cap)
{
    while (*text != '\0') {
        char item[128];
        size_t len = strcspn(text, ",");
        if (len == 0 || len >= sizeof(item))
            return fail(ret_text, text_cap, text, "expected ADDRESS or ADDRESS-ADDRESS");
        memcpy(item, text, len);
        item[len] = '\0';
        text += len + (text[len] == ',');
        struct source first, last;
        char *dash = strchr(item, '-');
        if (dash != NULL)
            *dash = '\0';
        bool is_good = parse_address(item, &first);
        if (dash == NULL)
            is_good = is_good && add(s, &first);
        else
            is_good = is_good && parse_address(dash + 1, &last) && add_range(s, &first, &last);
        if (!is_good)
            return fail(ret_text, text_cap, item,
                        "expected ADDRESS or ADDRESS-ADDRESS (IPv4), 65536 at most");
    }
    return s->count > 0 || fail(ret_text, text_cap, text, "no address");
}

void sources_deinit(struct sources *s)
{
    free(s->at);
    *s = (struct sources){0};
}
