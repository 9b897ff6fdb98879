/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace.c - building the Received field.
 *
 * The field is a row of words with folding white space between them (RFC 5321 4.4):
 *
 *     Received: from HELO (NAME [ADDRESS]) by HOST with PROTO id ID for <RCPT>; DATE
 *
 * Each word goes on the current line while that stays within 78 octets, and starts a new one
 * otherwise. Words are measured before they are written, so no line passes 998 octets: the only
 * word that could is the recipient, and FOR is optional.
 *
 * Invariants: the output is a field by the grammar whatever the client said; it has no bare CR or
 * LF, no line that is only white space, and is ASCII unless the message is an SMTPUTF8 one.
 */
#include "obs/trace.h"
#include "base/civil.h"
#include <arpa/inet.h>
#include <netinet/in.h>

#define LINE_BYTES_SHOULD 78
#define LINE_BYTES_MUST 998
/* "[IPv6:" + 45 + "]" */
#define LITERAL_BYTES_MAX (7 + INET6_ADDRSTRLEN)
#define WORD_BYTES_MAX 1024 /* of words put together here */

struct folder {
    struct buf *out;
    size_t line_len; /* octets on the current line */
};

/* Puts one word behind white space, on a new line when this one would get too long. */
static void put_word(struct folder *f, struct slice word)
{
    if (f->line_len + 1 + word.len > LINE_BYTES_SHOULD) {
        BUF_PUT_LIT(f->out, "\r\n\t");
        f->line_len = 1;
    } else {
        BUF_PUT_LIT(f->out, " ");
        f->line_len++;
    }
    buf_put(f->out, word);
    f->line_len += word.len;
}

static bool is_let_dig(uint8_t c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

/* Length of the UTF-8 sequence of a character above U+009F at the front of @s, or 0 (RFC 3629 4;
 * C1 controls have no place in a name). */
static size_t utf8_sequence(struct slice s)
{
    static const struct {
        uint8_t first_min, first_max, second_min, second_max, len;
    } rows[] = {
        {0xC2, 0xC2, 0xA0, 0xBF, 2}, {0xC3, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (s.ptr[0] < rows[i].first_min || s.ptr[0] > rows[i].first_max)
            continue;
        if (s.len < rows[i].len || s.ptr[1] < rows[i].second_min || s.ptr[1] > rows[i].second_max)
            return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if ((s.ptr[k] & 0xC0) != 0x80)
                return 0;
        return rows[i].len;
    }
    return 0;
}

/*
 * Domain = sub-domain *("." sub-domain); sub-domain = Let-dig [Ldh-str] (RFC 5321 4.1.2), with
 * U-labels when @is_utf8 (RFC 6531 3.3). An underscore is let through: host names have it in
 * practice, and readers of trace fields want to see them.
 */
static bool is_domain(struct slice s, bool is_utf8)
{
    bool is_label_start = true;
    uint8_t last = '.';
    for (size_t i = 0; i < s.len;) {
        uint8_t c = s.ptr[i];
        size_t step = 1;
        if (c >= 0x80) {
            step = is_utf8 ? utf8_sequence(slice_from(s, i)) : 0;
            if (step == 0)
                return false;
            c = 'u';
        } else if (!is_let_dig(c) && c != '_' && c != '-' && c != '.') {
            return false;
        }
        if ((c == '.' || c == '-') && is_label_start)
            return false;
        if (c == '.' && last == '-')
            return false;
        is_label_start = c == '.';
        last = c;
        i += step;
    }
    return s.len > 0 && s.len <= HELO_BYTES_MAX && last != '.' && last != '-';
}

/* address-literal: "[" 1*dcontent "]" is enough here; the session knows what is inside. */
static bool is_literal(struct slice s)
{
    if (s.len < 3 || s.len > HELO_BYTES_MAX || s.ptr[0] != '[' || s.ptr[s.len - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < s.len; i++) /* dcontent = %d33-90 / %d94-126 */
        if (s.ptr[i] <= 0x20 || s.ptr[i] >= 0x7F || (s.ptr[i] >= '[' && s.ptr[i] <= ']'))
            return false;
    return true;
}

static void put_ipv4(struct buf *b, const uint8_t octets[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            buf_put_byte(b, '.');
        buf_put_u64(b, octets[i]);
    }
}

/* The peer's address as an address-literal (RFC 5321 4.1.3); empty when it has none. */
static struct slice client_literal(const struct sockaddr_storage *client, char *memory)
{
    struct buf b = buf_over(memory, LITERAL_BYTES_MAX);
    int family = client != NULL ? client->ss_family : AF_UNSPEC;
    if (family == AF_INET) {
        const struct in_addr *in4 = &((const struct sockaddr_in *)client)->sin_addr;
        BUF_PUT_LIT(&b, "[");
        put_ipv4(&b, (const uint8_t *)in4);
    } else if (family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)client)->sin6_addr;
        char text[INET6_ADDRSTRLEN];
        if (IN6_IS_ADDR_V4MAPPED(in6)) { /* an IPv4 client of a socket for both families */
            BUF_PUT_LIT(&b, "[");
            put_ipv4(&b, in6->s6_addr + 12);
        } else {
            const char *is_done = inet_ntop(AF_INET6, in6, text, sizeof(text));
            ASSERT(is_done != NULL);
            BUF_PUT_LIT(&b, "[IPv6:");
            buf_put(&b, slice_str(text));
        }
    } else {
        return SLICE_EMPTY;
    }
    BUF_PUT_LIT(&b, "]");
    ASSERT(!b.is_full);
    return buf_slice(&b);
}

/* "(said HELO)": what a client said that is no name, as a comment with nothing special in it. */
static void put_said(struct folder *f, struct slice helo)
{
    uint8_t memory[WORD_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    helo = slice_first(helo, HELO_BYTES_MAX);
    BUF_PUT_LIT(&b, "(said ");
    for (size_t i = 0; i < helo.len; i++) {
        uint8_t c = helo.ptr[i];
        bool is_safe = c > 0x20 && c < 0x7F && c != '(' && c != ')' && c != '\\';
        buf_put_byte(&b, is_safe ? c : '?');
    }
    BUF_PUT_LIT(&b, ")");
    ASSERT(!b.is_full);
    put_word(f, buf_slice(&b));
}

/*
 * From-domain = "FROM" FWS Extended-Domain
 * Extended-Domain = Domain / ( Domain FWS "(" TCP-info ")" ) / ( address-literal FWS "(" TCP-info
 * ")" ) TCP-info = address-literal / ( Domain FWS address-literal ) Comments may stand before BY
 * (By-domain begins with CFWS).
 */
static void put_from(struct folder *f, const struct trace_info *info)
{
    char literal_memory[LITERAL_BYTES_MAX];
    uint8_t memory[WORD_BYTES_MAX];
    struct slice literal = client_literal(info->client, literal_memory);
    bool is_local = literal.len == 0;
    /* An address literal needs a TCP-info behind it, which a local client has not. */
    bool is_name = is_domain(info->helo, info->is_utf8) || (!is_local && is_literal(info->helo));
    struct slice unknown = is_local ? SLICE_LIT("localhost") : SLICE_LIT("unknown");
    put_word(f, SLICE_LIT("from"));
    put_word(f, is_name ? info->helo : unknown);
    if (is_local) {
        put_word(f, SLICE_LIT("(unix socket)"));
    } else {
        struct buf b = buf_over(memory, sizeof(memory));
        BUF_PUT_LIT(&b, "(");
        if (is_domain(info->client_name, false)) {
            buf_put(&b, info->client_name);
            BUF_PUT_LIT(&b, " ");
        }
        buf_put(&b, literal);
        BUF_PUT_LIT(&b, ")");
        ASSERT(!b.is_full);
        put_word(f, buf_slice(&b));
    }
    if (!is_name && info->helo.len > 0)
        put_said(f, info->helo);
}

/* For = "FOR" FWS ( Path / Mailbox ), uFor with SMTPUTF8 (RFC 6531 3.7.3); optional. */
static bool has_for(const struct trace_info *info)
{
    struct slice rcpt = info->rcpt;
    if (rcpt.len == 0 || rcpt.len > LINE_BYTES_MUST - 4) /* fold, "<", ">;" */
        return false;
    for (size_t i = 0; i < rcpt.len;) {
        uint8_t c = rcpt.ptr[i];
        size_t step = c < 0x80 ? 1 : utf8_sequence(slice_from(rcpt, i));
        if (c < 0x20 || c == 0x7F || step == 0 || (c >= 0x80 && !info->is_utf8))
            return false;
        i += step;
    }
    return true;
}

/* Puts a word between @before and @after, which are no words of their own. */
static void put_enclosed(struct folder *f, struct slice before, struct slice word,
                         struct slice after)
{
    uint8_t memory[WORD_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    buf_put(&b, before);
    buf_put(&b, word);
    buf_put(&b, after);
    ASSERT(!b.is_full);
    put_word(f, buf_slice(&b));
}

static void put_date(struct folder *f, wall_us date)
{
    /* Many messages come in one second. */
    static _Thread_local struct {
        uint64_t second;
        size_t len; /* 0: none yet */
        uint8_t text[40];
    } cache;
    uint64_t second = date / 1000000;
    if (cache.len == 0 || cache.second != second) {
        struct buf b = buf_over(cache.text, sizeof(cache.text));
        struct civil c = civil_from_unix(second);
        civil_put_rfc5322(&b, &c);
        ASSERT(!b.is_full);
        cache.second = second;
        cache.len = b.len;
    }
    put_word(f, slice_of(cache.text, cache.len));
}

bool trace_hostname_is_valid(struct slice hostname)
{
    return is_domain(hostname, false);
}

bool trace_received(struct buf *out, const struct trace_info *info)
{
    ASSERT_SLOW(trace_hostname_is_valid(info->hostname)); /* checked with the configuration */
    ASSERT(info->queue_id.len > 0 && info->queue_id.len <= LINE_BYTES_SHOULD / 2);
    size_t start = out->len;
    bool was_full = out->is_full;
    out->is_full = false;
    BUF_PUT_LIT(out, "Received:");
    struct folder f = {out, out->len - start};
    put_from(&f, info);
    put_word(&f, SLICE_LIT("by"));
    put_word(&f, info->hostname);
    put_word(&f, SLICE_LIT("with"));
    put_word(&f, slice_str(trace_protocol_secure(info->is_lmtp, info->is_esmtp, info->is_utf8,
                                                 info->is_tls, info->is_authenticated)));
    put_word(&f, SLICE_LIT("id"));
    if (has_for(info)) {
        put_word(&f, info->queue_id);
        put_word(&f, SLICE_LIT("for"));
        put_enclosed(&f, SLICE_LIT("<"), info->rcpt, SLICE_LIT(">;"));
    } else {
        put_enclosed(&f, SLICE_EMPTY, info->queue_id, SLICE_LIT(";"));
    }
    put_date(&f, info->date);
    BUF_PUT_LIT(out, "\r\n");
    bool is_complete = !out->is_full;
    if (!is_complete)
        out->len = start;
    out->is_full = was_full || !is_complete;
    return is_complete;
}

const char *trace_protocol(bool is_lmtp, bool is_esmtp, bool is_utf8)
{
    return trace_protocol_secure(is_lmtp, is_esmtp, is_utf8, false, false);
}

const char *trace_protocol_secure(bool is_lmtp, bool is_esmtp, bool is_utf8, bool is_tls,
                                  bool is_authenticated)
{
    enum { FAMILY_ESMTP, FAMILY_LMTP, FAMILY_UTF8SMTP, FAMILY_UTF8LMTP, FAMILY_COUNT };
    /* IANA "Mail Transmission Types": RFC 3848, RFC 6531 4.3; columns: plain, S, A, SA */
    static const char *const names[FAMILY_COUNT][4] = {
        [FAMILY_ESMTP] = {"ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA"},
        [FAMILY_LMTP] = {"LMTP", "LMTPS", "LMTPA", "LMTPSA"},
        [FAMILY_UTF8SMTP] = {"UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA"},
        [FAMILY_UTF8LMTP] = {"UTF8LMTP", "UTF8LMTPS", "UTF8LMTPA", "UTF8LMTPSA"},
    };
    /* TLS, AUTH and SMTPUTF8 are extensions: whoever used one speaks ESMTP. */
    if (!is_lmtp && !is_esmtp && !is_utf8 && !is_tls && !is_authenticated)
        return "SMTP";
    size_t family = (is_lmtp ? 1u : 0u) + (is_utf8 ? 2u : 0u);
    return names[family][(is_tls ? 1u : 0u) + (is_authenticated ? 2u : 0u)];
}
