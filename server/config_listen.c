/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_listen.c - listeners: address text to socket address, settings to session_config.
 *
 * Two rules are held here whatever else is configured: LMTP never listens on port 25 (LMTP-2,
 * RFC 2033 5), and without a configuration file nothing but loopback and unix sockets is bound,
 * since then every recipient is accepted.
 */
#include "config_load.h"
#include "base/assert.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

static const struct scheme {
    const char *prefix;
    enum session_protocol protocol;
    bool is_unix;
} schemes[] = {
    {"smtp://", SESSION_SMTP, false},
    {"lmtp://", SESSION_LMTP, false},
    {"smtp+unix:", SESSION_SMTP, true},
    {"lmtp+unix:", SESSION_LMTP, true},
};

/* An error about a listener: its address's line in the file, or the option that gave it. */
static int fail_address(struct config_load *l, const struct config_listener *listener,
                        const char *what)
{
    if (listener->node != NULL)
        return config_fail(l, config_line_of(listener->node, "address"), "address '%s': %s",
                           listener->address, what);
    const char *name = l->name;
    l->name = "--listen";
    config_fail(l, 0, "'%s': %s", listener->address, what);
    l->name = name;
    return -EINVAL;
}

static bool read_port(const char *text, uint16_t *ret_port)
{
    uint32_t port = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 5)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

/* "ADDR:PORT" or "[ADDR]:PORT". NULL, or what is wrong with it. */
static const char *read_host_port(const char *text, struct listener_options *o, uint16_t *ret_port)
{
    char host[INET6_ADDRSTRLEN + 1];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !read_port(colon + 1, ret_port))
        return "it must end in :PORT, 0 to 65535";
    bool is_v6 = text[0] == '[';
    size_t len = (size_t)(colon - text);
    if (is_v6 && (len < 2 || text[len - 1] != ']'))
        return "']' is missing";
    if (is_v6) {
        text++;
        len -= 2;
    }
    if (len >= sizeof(host))
        return "not a numeric address";
    memcpy(host, text, len);
    host[len] = '\0';
    struct sockaddr_in *v4 = (struct sockaddr_in *)&o->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&o->address;
    if (is_v6) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(*ret_port);
        o->address_len = sizeof(*v6);
        return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? NULL : "not an IPv6 address";
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons(*ret_port);
    o->address_len = sizeof(*v4);
    const char *numeric = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    return inet_pton(AF_INET, numeric, &v4->sin_addr) == 1
               ? NULL
               : "not a numeric IPv4 address (IPv6 stands in brackets)";
}

/* ::ffff:192.0.2.1 is 192.0.2.1, and bound as such: IPv6 sockets take IPv6 only. */
static void unmap_v4(struct listener_options *o)
{
    const struct sockaddr_in6 v6 = *(const struct sockaddr_in6 *)&o->address;
    if (o->address.ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&o->address;
    memset(&o->address, 0, sizeof(o->address));
    v4->sin_family = AF_INET;
    v4->sin_port = v6.sin6_port;
    memcpy(&v4->sin_addr, v6.sin6_addr.s6_addr + 12, sizeof(v4->sin_addr));
    o->address_len = sizeof(*v4);
}

static int read_unix(struct config_load *l, struct config_listener *listener, const char *prefix)
{
    struct listener_options *o = &listener->options;
    const char *path = listener->address + strlen(prefix);
    struct sockaddr_un *address = (struct sockaddr_un *)&o->address;
    struct knob_context context = l->knobs;
    if (listener->node == NULL)
        context.base_dir = l->work_dir;
    char *whole = NULL;
    const struct knob as_path = {.type = KNOB_PATH};
    if (!knob_set_text(&as_path, &context, &whole, path))
        return fail_address(l, listener, context.reason);
    if (strlen(whole) >= sizeof(address->sun_path))
        return fail_address(l, listener, "path too long for a unix socket");
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, whole, strlen(whole) + 1);
    o->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(whole) + 1);
    o->unix_path = whole;
    size_t size = strlen(prefix) + strlen(whole) + 1;
    listener->address = region_take(&l->config->memory, size);
    if (listener->address == NULL)
        return config_fail_memory(l);
    snprintf(listener->address, size, "%s%s", prefix, whole);
    return 0;
}

static int read_address(struct config_load *l, struct config_listener *listener)
{
    const struct scheme *s = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(schemes) && s == NULL; i++)
        if (strncmp(listener->address, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
            s = &schemes[i];
    if (s == NULL)
        return fail_address(l, listener,
                            "must begin with smtp://, lmtp://, smtp+unix: or "
                            "lmtp+unix:");
    listener->is_lmtp = s->protocol == SESSION_LMTP;
    if (s->is_unix)
        return read_unix(l, listener, s->prefix);
    uint16_t port;
    const char *wrong =
        read_host_port(listener->address + strlen(s->prefix), &listener->options, &port);
    if (wrong != NULL)
        return fail_address(l, listener, wrong);
    unmap_v4(&listener->options);
    if (listener->is_lmtp && port == 25)
        return fail_address(l, listener, "LMTP must not be spoken on port 25 (RFC 2033)");
    if (!l->config->has_file && !is_loopback(&listener->options.address))
        return fail_address(l, listener,
                            "without a configuration file every recipient is accepted, so only "
                            "loopback addresses and unix sockets can be listened on: use --config");
    return 0;
}

static int check_offers(struct config_load *l, const struct config_listener *listener)
{
    static const struct {
        uint32_t offer, needs;
        const char *what;
    } rules[] = {
        {SESSION_OFFER_BINARYMIME, SESSION_OFFER_CHUNKING, "binarymime needs chunking (RFC 3030)"},
        {SESSION_OFFER_SMTPUTF8, SESSION_OFFER_8BITMIME, "smtputf8 needs 8bitmime (RFC 6531)"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++)
        if ((listener->offers & rules[i].offer) != 0 && (listener->offers & rules[i].needs) == 0)
            return config_fail(l, config_line_of(listener->node, "offer"), "offer: %s",
                               rules[i].what);
    /* LMTP-3, RFC 2033 5: an LMTP server must offer these. */
    uint32_t lmtp = SESSION_OFFER_PIPELINING | SESSION_OFFER_ENHANCED;
    if (listener->is_lmtp && (listener->offers & lmtp) != lmtp)
        return config_fail(l, config_line_of(listener->node, "offer"),
                           "offer: LMTP needs pipelining and enhancedstatuscodes (RFC 2033)");
    return 0;
}

/* Whoever measures us on this machine is told what a 2xx means here; nobody else is. */
static struct slice greeting_note(const struct config *c, const struct listener_options *o)
{
    static const char *const notes[] = {
        [SPOOL_DISK] = "durability=disk",
        [SPOOL_OS] = "durability=os",
        [SPOOL_NONE] = "durability=none",
    };
    if (o->unix_path == NULL && !is_loopback(&o->address))
        return SLICE_EMPTY;
    return slice_str(notes[c->spool.durability]);
}

static void fill_options(const struct config *c, struct config_listener *listener)
{
    struct listener_options *o = &listener->options;
    if (listener->is_lmtp)
        listener->offers &= ~(uint32_t)SESSION_OFFER_DIALECTS; /* it has its own */
    o->name = slice_str(listener->name);
    o->session = (struct session_config){
        .protocol = listener->is_lmtp ? SESSION_LMTP : SESSION_SMTP,
        .offers = listener->offers,
        .hostname = slice_str(c->top.hostname),
        .note = greeting_note(c, o),
        .size_max = listener->size_max,
        .rcpt_max = listener->rcpt_count_max,
        .mail_max = listener->mail_count_max,
        .error_max = listener->error_count_max,
        .received_max = listener->received_count_max,
        .normalize_bare_lf = listener->bare_newline != 0,
        .bind_early_talkers = listener->early_talkers != 0,
    };
    o->unix_mode = listener->unix_mode;
    o->mixed = (enum policy_mixed)listener->mixed;
    o->on_refusal = (enum policy_on_refusal)listener->on_refusal;
    o->pacing = (enum pacing)listener->pacing;
    o->tcp_nodelay = listener->tcp_nodelay != 0;
    o->conn_count_max = listener->conn_count_max;
    o->command_ns_max = listener->command_ns_max;
    o->block_ns_max = listener->block_ns_max;
    o->content_ns_max = listener->content_ns_max;
    o->send_ns_max = listener->send_ns_max;
    o->bytes_per_second_min = listener->rate_min;
    o->content_grace_ns = listener->rate_grace_ns;
    o->reply_ns_max = listener->reply_ns_max;
    o->content_delay = listener->content_delay;
    o->may_delay = listener->allows_delays != 0 || o->unix_path != NULL || is_loopback(&o->address);
    o->works_side_by_side = listener->works_side_by_side != 0;
    o->finishes_vanished = listener->finishes_vanished != 0;
}

/* Port 0 asks for any free port, as often as one likes. */
static bool is_same_address(const struct listener_options *a, const struct listener_options *b)
{
    if (a->address_len != b->address_len || memcmp(&a->address, &b->address, a->address_len) != 0)
        return false;
    switch (a->address.ss_family) {
    case AF_INET:
        return ((const struct sockaddr_in *)&a->address)->sin_port != 0;
    case AF_INET6:
        return ((const struct sockaddr_in6 *)&a->address)->sin6_port != 0;
    default:
        return true;
    }
}

int config_listen(struct config_load *l)
{
    struct config *c = l->config;
    if (c->listener_count == 0)
        return config_fail(l, 0, "no listener: listener \"NAME\" { address = \"%s\" }",
                           CONFIG_LISTEN_DEFAULT);
    for (uint32_t i = 0; i < c->listener_count; i++) {
        struct config_listener *listener = &c->listeners[i];
        if (listener->address == NULL)
            return config_fail(l, config_line_of(listener->node, "address"),
                               "listener '%s' has no address", listener->name);
        int err = read_address(l, listener);
        if (err == 0)
            err = check_offers(l, listener);
        if (err < 0)
            return err;
        fill_options(c, listener);
        for (uint32_t k = 0; k < i; k++)
            if (is_same_address(&listener->options, &c->listeners[k].options))
                return fail_address(l, listener, "another listener has this address");
    }
    return 0;
}
