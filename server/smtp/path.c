/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.c - the grammar of addresses in MAIL and RCPT.
 *
 *     Path       = "<" [ A-d-l ":" ] Mailbox ">"
 *     Mailbox    = Local-part "@" ( Domain / address-literal )
 *     Local-part = Dot-string / Quoted-string
 *
 * A cursor walks over the bytes once; each part returns PATH_OK or why not. Nothing is unquoted or
 * folded: slices point at what was sent. The source route is parsed and left out (RFC 5321 4.1.1.3,
 * appendix C). Invariant: a path that is PATH_OK holds no control character, no bare ">" and no
 * line end, so it can be written into a trace field or a command again as it is.
 */
#include "smtp/path.h"
#include "base/assert.h"

#define LABEL_BYTES_MAX 63 /* RFC 1035 2.3.4 */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool allow_utf8;
    bool is_utf8;
    bool needs_utf8; /* stopped at a byte above 0x7F that was not allowed */
};

enum char_class {
    CHAR_ATEXT = 1, /* RFC 5322 3.2.3 */
    CHAR_LET_DIG = 2,
    CHAR_QTEXT = 4, /* RFC 5321 4.1.2 qtextSMTP */
    CHAR_HEX = 8,
    CHAR_DIGIT = 16,
};

#define AT (CHAR_ATEXT | CHAR_QTEXT)
#define LD (CHAR_ATEXT | CHAR_LET_DIG | CHAR_QTEXT)
#define HX (LD | CHAR_HEX)
#define DG (HX | CHAR_DIGIT)
#define QT CHAR_QTEXT

/* clang-format off */
static const uint8_t classes[256] = {
    [' '] = QT, ['!'] = AT, ['"'] = 0, ['#'] = AT, ['$'] = AT, ['%'] = AT, ['&'] = AT, ['\''] = AT,
    ['('] = QT, [')'] = QT, ['*'] = AT, ['+'] = AT, [','] = QT, ['-'] = AT, ['.'] = QT, ['/'] = AT,
    ['0'] = DG, ['1'] = DG, ['2'] = DG, ['3'] = DG, ['4'] = DG, ['5'] = DG, ['6'] = DG, ['7'] = DG,
    ['8'] = DG, ['9'] = DG, [':'] = QT, [';'] = QT, ['<'] = QT, ['='] = AT, ['>'] = QT, ['?'] = AT,
    ['@'] = QT, ['A'] = HX, ['B'] = HX, ['C'] = HX, ['D'] = HX, ['E'] = HX, ['F'] = HX, ['G'] = LD,
    ['H'] = LD, ['I'] = LD, ['J'] = LD, ['K'] = LD, ['L'] = LD, ['M'] = LD, ['N'] = LD, ['O'] = LD,
    ['P'] = LD, ['Q'] = LD, ['R'] = LD, ['S'] = LD, ['T'] = LD, ['U'] = LD, ['V'] = LD, ['W'] = LD,
    ['X'] = LD, ['Y'] = LD, ['Z'] = LD, ['['] = QT, ['\\'] = 0, [']'] = QT, ['^'] = AT, ['_'] = AT,
    ['`'] = AT, ['a'] = HX, ['b'] = HX, ['c'] = HX, ['d'] = HX, ['e'] = HX, ['f'] = HX, ['g'] = LD,
    ['h'] = LD, ['i'] = LD, ['j'] = LD, ['k'] = LD, ['l'] = LD, ['m'] = LD, ['n'] = LD, ['o'] = LD,
    ['p'] = LD, ['q'] = LD, ['r'] = LD, ['s'] = LD, ['t'] = LD, ['u'] = LD, ['v'] = LD, ['w'] = LD,
    ['x'] = LD, ['y'] = LD, ['z'] = LD, ['{'] = AT, ['|'] = AT, ['}'] = AT, ['~'] = AT,
};
/* clang-format on */

static bool is_class(uint8_t c, enum char_class wanted)
{
    return (classes[c] & wanted) != 0;
}

/* The run of bytes of a class at the cursor; its length. */
static size_t take_run(struct cursor *c, enum char_class wanted)
{
    const uint8_t *at = c->at;
    while (at < c->end && is_class(*at, wanted))
        at++;
    size_t len = (size_t)(at - c->at);
    c->at = at;
    return len;
}

/* Length of the well-formed UTF-8 sequence at the cursor, 0 when there is none (RFC 3629 4). */
static size_t utf8_sequence(const struct cursor *c)
{
    size_t room = (size_t)(c->end - c->at);
    uint8_t lead = c->at[0];
    size_t len = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || len > room)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((c->at[i] & 0xC0) != 0x80)
            return 0;
    uint8_t second = c->at[1];
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
        (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F))
        return 0;
    return len;
}

/* One non-ASCII character; false leaves the cursor there. */
static bool take_utf8(struct cursor *c)
{
    if (c->at == c->end || *c->at < 0x80)
        return false;
    size_t len = utf8_sequence(c);
    if (len == 0)
        return false;
    if (!c->allow_utf8) {
        c->needs_utf8 = true;
        return false;
    }
    c->is_utf8 = true;
    c->at += len;
    return true;
}

static bool take_byte(struct cursor *c, uint8_t byte)
{
    if (c->at == c->end || *c->at != byte)
        return false;
    c->at++;
    return true;
}

static enum path_result bad(const struct cursor *c)
{
    return c->needs_utf8 ? PATH_NEEDS_UTF8 : PATH_BAD_SYNTAX;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static enum path_result take_quoted(struct cursor *c, size_t *ret_chars)
{
    size_t chars = 2;
    ASSERT(*c->at == '"');
    c->at++;
    for (; c->at < c->end && *c->at != '"'; chars++) {
        if (*c->at == '\\') {
            if (c->end - c->at < 2 || c->at[1] < 0x20 || c->at[1] > 0x7E)
                return PATH_BAD_SYNTAX;
            c->at += 2;
            chars++;
        } else if (is_class(*c->at, CHAR_QTEXT)) {
            c->at++;
        } else if (!take_utf8(c)) {
            return bad(c);
        }
    }
    *ret_chars = chars;
    return take_byte(c, '"') ? PATH_OK : PATH_BAD_SYNTAX;
}

/* Dot-string = Atom *("." Atom) */
static enum path_result take_dot_string(struct cursor *c, size_t *ret_chars)
{
    size_t chars = 0;
    for (;;) {
        size_t atom = take_run(c, CHAR_ATEXT);
        while (take_utf8(c))
            atom += 1 + take_run(c, CHAR_ATEXT);
        if (atom == 0)
            return bad(c);
        chars += atom;
        if (!take_byte(c, '.'))
            break;
        chars++;
    }
    *ret_chars = chars;
    return PATH_OK;
}

/* sub-domain = Let-dig [Ldh-str], or with U-labels (RFC 6531 3.3) */
static bool take_label(struct cursor *c, size_t *chars)
{
    const uint8_t *start = c->at;
    size_t ascii = 0;
    bool ends_well = false;
    size_t run;
    for (;;) {
        if ((run = take_run(c, CHAR_LET_DIG)) > 0) {
            ascii += run;
            ends_well = true;
        } else if (c->at > start && take_byte(c, '-')) {
            run = 1;
            ascii++;
            ends_well = false;
        } else if (take_utf8(c)) {
            run = 1;
            ends_well = true;
        } else {
            break;
        }
        *chars += run;
    }
    return ends_well && ascii <= LABEL_BYTES_MAX;
}

static enum path_result take_domain(struct cursor *c, size_t *ret_chars)
{
    size_t chars = 0;
    do {
        if (!take_label(c, &chars))
            return bad(c);
        chars++;
    } while (take_byte(c, '.'));
    *ret_chars = chars - 1;
    return PATH_OK;
}

/* Snum 3("." Snum), each 0..255 (RFC 5321 4.1.3) */
static bool take_ipv4(struct cursor *c)
{
    for (int i = 0; i < 4; i++) {
        unsigned value = 0;
        int digits = 0;
        if (i > 0 && !take_byte(c, '.'))
            return false;
        while (digits < 3 && c->at < c->end && is_class(*c->at, CHAR_DIGIT)) {
            value = value * 10 + (unsigned)(*c->at++ - '0');
            digits++;
        }
        if (digits == 0 || value > 255)
            return false;
    }
    return true;
}

/* Eight groups of hex digits, one "::" for two or more of them, or two groups as IPv4. */
static bool take_ipv6(struct cursor *c)
{
    int groups = 0;
    bool has_gap = false;
    if (c->end - c->at >= 2 && c->at[0] == ':' && c->at[1] == ':') {
        has_gap = true;
        c->at += 2;
    }
    while (c->at < c->end && is_class(*c->at, CHAR_HEX)) {
        struct cursor ipv4 = *c;
        if (take_ipv4(&ipv4)) {
            c->at = ipv4.at;
            groups += 2;
            break;
        }
        for (int digits = 0; c->at < c->end && is_class(*c->at, CHAR_HEX); digits++, c->at++)
            if (digits == 4)
                return false;
        if (++groups > 8)
            return false;
        if (!take_byte(c, ':'))
            break;
        if (take_byte(c, ':')) {
            if (has_gap)
                return false;
            has_gap = true;
        } else if (c->at == c->end || !is_class(*c->at, CHAR_HEX)) {
            return false; /* a single colon at the end */
        }
    }
    return has_gap ? groups <= 6 : groups == 8;
}

/* address-literal = "[" ( IPv4 / "IPv6:" IPv6 ) "]"; no other tag is registered. */
static enum path_result take_literal(struct cursor *c)
{
    static const uint8_t tag[] = "ipv6:";
    ASSERT(*c->at == '[');
    c->at++;
    struct slice rest = slice_of(c->at, (size_t)(c->end - c->at));
    bool is_good;
    if (slice_has_prefix_nocase(rest, slice_of(tag, sizeof(tag) - 1))) {
        c->at += sizeof(tag) - 1;
        is_good = take_ipv6(c);
    } else {
        is_good = take_ipv4(c);
    }
    return is_good && take_byte(c, ']') ? PATH_OK : PATH_BAD_SYNTAX;
}

/* A-d-l ":" = "@" Domain *("," "@" Domain) ":" */
static enum path_result take_route(struct cursor *c)
{
    size_t chars;
    do {
        if (!take_byte(c, '@'))
            return PATH_BAD_SYNTAX;
        enum path_result result = take_domain(c, &chars);
        if (result != PATH_OK)
            return result;
    } while (take_byte(c, ','));
    return take_byte(c, ':') ? PATH_OK : PATH_BAD_SYNTAX;
}

static struct slice between(const uint8_t *from, const uint8_t *to)
{
    return slice_of(from, (size_t)(to - from));
}

static enum path_result take_mailbox(struct cursor *c, bool allow_null, struct path *p)
{
    size_t local_chars = 0;
    size_t domain_chars = 0;
    const uint8_t *start = c->at;
    enum path_result result = c->at < c->end && *c->at == '"' ? take_quoted(c, &local_chars)
                                                              : take_dot_string(c, &local_chars);
    if (result != PATH_OK)
        return result;
    p->local = between(start, c->at);
    p->domain = SLICE_EMPTY;
    if (take_byte(c, '@')) {
        const uint8_t *domain = c->at;
        if (c->at < c->end && *c->at == '[')
            result = take_literal(c);
        else
            result = take_domain(c, &domain_chars);
        if (result != PATH_OK)
            return result;
        p->domain = between(domain, c->at);
    } else if (allow_null || !path_is_postmaster(p)) {
        return bad(c); /* only RCPT TO:<postmaster> may do without a domain */
    }
    p->whole = between(start, c->at);
    if (local_chars > LOCAL_PART_BYTES_MAX || domain_chars > DOMAIN_BYTES_MAX)
        return PATH_TOO_LONG;
    return PATH_OK;
}

enum path_result path_parse(struct slice in, bool allow_null, bool allow_utf8,
                            struct path *ret_path, size_t *ret_used)
{
    struct cursor c = {in.ptr, in.ptr + in.len, allow_utf8, false, false};
    struct path p;
    enum path_result result;
    if (!take_byte(&c, '<'))
        return PATH_BAD_SYNTAX;
    if (take_byte(&c, '>')) {
        if (!allow_null)
            return PATH_BAD_SYNTAX;
        *ret_path = (struct path){.whole = between(c.at, c.at)};
        *ret_used = 2;
        return PATH_OK;
    }
    if (c.at < c.end && *c.at == '@') {
        result = take_route(&c);
        if (result != PATH_OK)
            return result;
    }
    result = take_mailbox(&c, allow_null, &p);
    if (result != PATH_OK)
        return result;
    if (!take_byte(&c, '>'))
        return bad(&c);
    p.is_utf8 = c.is_utf8;
    size_t path_max = p.is_utf8 ? PATH_UTF8_BYTES_MAX : PATH_BYTES_MAX;
    if (p.whole.len + 2 > path_max) /* with its punctuation, RFC 5321 4.5.3.1.3 */
        return PATH_TOO_LONG;
    *ret_path = p;
    *ret_used = (size_t)(c.at - in.ptr);
    return PATH_OK;
}

bool path_is_postmaster(const struct path *p)
{
    static const uint8_t name[] = "postmaster";
    struct slice local = p->local;
    if (local.len >= 2 && local.ptr[0] == '"')
        local = slice_of(local.ptr + 1, local.len - 2);
    /* Inside quotes "\p" means "p" (RFC 5321 4.1.2). */
    size_t at = 0;
    size_t matched = 0;
    for (; at < local.len && matched < sizeof(name) - 1; at++, matched++) {
        if (local.ptr[at] == '\\' && at + 1 < local.len)
            at++;
        if (ascii_lower(local.ptr[at]) != name[matched])
            return false;
    }
    return at == local.len && matched == sizeof(name) - 1;
}
