/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello.c - the greeting of extended SMTP and LMTP, in both directions.
 *
 * The order of keywords is fixed. PRDR is upper case, alone on its line and never the first line:
 * some clients look for exactly that (PRDR-1). No line carries an enhanced code (CORE-25).
 */
#include "smtp/hello.h"
#include "smtp/session.h"
#include "dialect.h"

#define LIMIT_DIGITS_MAX 6 /* RFC 9422 3 */
#define LIMIT_MAX 999999
static_assert(RCPT_COUNT_HARD_MAX <= LIMIT_MAX, "RCPTMAX has a digit to spare");

struct keyword {
    struct slice name;
    uint32_t offer;
};

#define KEYWORD(text, offer)                                                                       \
    {                                                                                              \
        {(const uint8_t *)(text), sizeof(text) - 1}, (offer)                                       \
    }

/* In the order in which they are sent; SIZE and LIMITS get their parameters behind the name. */
static const struct keyword keywords[] = {
    KEYWORD("PIPELINING", SESSION_OFFER_PIPELINING),
    KEYWORD("SIZE", SESSION_OFFER_SIZE),
    KEYWORD("8BITMIME", SESSION_OFFER_8BITMIME),
    KEYWORD("ENHANCEDSTATUSCODES", SESSION_OFFER_ENHANCED),
    KEYWORD("DSN", SESSION_OFFER_DSN),
    KEYWORD("SMTPUTF8", SESSION_OFFER_SMTPUTF8),
    KEYWORD("CHUNKING", SESSION_OFFER_CHUNKING),
    KEYWORD("BINARYMIME", SESSION_OFFER_BINARYMIME),
    KEYWORD("PRDR", SESSION_OFFER_PRDR),
    KEYWORD("DEFERRALS", SESSION_OFFER_DEFERRALS),
    KEYWORD("XEXDATA", SESSION_OFFER_EXDATA),
    KEYWORD("EXDATA", SESSION_OFFER_EXDATA),
    KEYWORD("INLINE-DSN", SESSION_OFFER_INLINE_DSN),
    KEYWORD("XPRDR1", SESSION_OFFER_XPRDR1),
    KEYWORD("ADAT", SESSION_OFFER_ADAT),
    KEYWORD("XRCPT250", SESSION_OFFER_XRCPT250),
    KEYWORD("XRCPT250B", SESSION_OFFER_XRCPT250B),
    KEYWORD("LIMITS", SESSION_OFFER_LIMITS),
};

uint32_t hello_offers(const struct session_config *config)
{
    uint32_t offers = config->offers;
    if (config->protocol == SESSION_LMTP)
        offers |= SESSION_OFFER_PIPELINING | SESSION_OFFER_ENHANCED;
    if ((offers & SESSION_OFFER_CHUNKING) == 0)
        offers &= ~(uint32_t)SESSION_OFFER_BINARYMIME;
    if ((offers & SESSION_OFFER_8BITMIME) == 0)
        offers &= ~(uint32_t)(SESSION_OFFER_SMTPUTF8 | SESSION_OFFER_BINARYMIME);
    return dialect_usable(offers, config->protocol);
}

static void put_parameters(struct buf *out, const struct session_config *config, uint32_t offer)
{
    if (offer == SESSION_OFFER_SIZE && config->size_max > 0) {
        buf_put_byte(out, ' ');
        buf_put_u64(out, config->size_max);
    }
    if (offer != SESSION_OFFER_LIMITS)
        return;
    BUF_PUT_LIT(out, " RCPTMAX=");
    buf_put_u64(out, u64_min(config->rcpt_max, LIMIT_MAX));
    if (config->mail_max > 0 && config->mail_max <= LIMIT_MAX) {
        BUF_PUT_LIT(out, " MAILMAX=");
        buf_put_u64(out, config->mail_max);
    }
}

bool hello_put_reply(struct buf *out, const struct session_config *config)
{
    uint8_t memory[HELLO_REPLY_BYTES_MAX];
    struct buf reply = buf_over(memory, sizeof(memory));
    uint32_t offers = hello_offers(config);
    size_t count = ARRAY_COUNT(keywords); /* up to the last one that is offered */
    while (count > 0 && (offers & keywords[count - 1].offer) == 0)
        count--;
    BUF_PUT_LIT(&reply, "250");
    buf_put_byte(&reply, count > 0 ? '-' : ' ');
    buf_put(&reply, slice_first(config->hostname, DOMAIN_BYTES_MAX));
    BUF_PUT_LIT(&reply, "\r\n");
    for (size_t i = 0; i < count; i++) {
        if ((offers & keywords[i].offer) == 0)
            continue;
        BUF_PUT_LIT(&reply, "250");
        buf_put_byte(&reply, i + 1 < count ? '-' : ' ');
        buf_put(&reply, keywords[i].name);
        put_parameters(&reply, config, keywords[i].offer);
        BUF_PUT_LIT(&reply, "\r\n");
    }
    ASSERT(!reply.is_full);
    if (reply.len > buf_room(out))
        return false;
    buf_put(out, buf_slice(&reply));
    return true;
}

/* 1*@digits_max DIGIT, nothing else; false otherwise or when it does not fit. */
static bool parse_number(struct slice s, size_t digits_max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (s.len == 0 || s.len > digits_max)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

static struct slice next_word(struct slice *rest)
{
    struct slice word = slice_first(*rest, slice_find(*rest, ' '));
    *rest = slice_from(*rest, word.len + 1);
    return word;
}

/* LIMITS name=value ...; CORE-30: unknown names and bad values are passed over. */
static void parse_limits(struct hello_caps *caps, struct slice rest)
{
    struct hello_caps parsed = *caps;
    while (rest.len > 0) {
        struct slice word = next_word(&rest);
        size_t equals = slice_find(word, '=');
        uint64_t value;
        if (equals == 0 || equals == word.len)
            return; /* bad list syntax: the whole line is void */
        if (!parse_number(slice_from(word, equals + 1), LIMIT_DIGITS_MAX, &value) || value == 0)
            continue;
        struct slice name = slice_first(word, equals);
        if (slice_eq_nocase(name, SLICE_LIT("RCPTMAX")))
            parsed.rcpt_max = (uint32_t)value;
        else if (slice_eq_nocase(name, SLICE_LIT("MAILMAX")))
            parsed.mail_max = (uint32_t)value;
    }
    parsed.offers |= SESSION_OFFER_LIMITS;
    *caps = parsed;
}

void hello_parse_line(struct hello_caps *caps, struct slice text)
{
    struct slice rest = text;
    struct slice name = next_word(&rest);
    for (size_t i = 0; i < ARRAY_COUNT(keywords); i++) {
        if (!slice_eq_nocase(name, keywords[i].name))
            continue;
        if (keywords[i].offer == SESSION_OFFER_LIMITS) {
            parse_limits(caps, rest);
            return;
        }
        if (keywords[i].offer == SESSION_OFFER_SIZE && rest.len > 0 &&
            !parse_number(rest, 20, &caps->size_max))
            caps->size_max = 0;
        caps->offers |= keywords[i].offer;
        return;
    }
}

bool hello_name_is_good(struct slice name)
{
    if (name.len == 0 || name.len > HELO_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (c <= ' ' || c > '~' || memchr("()<>\"\\,;", c, 8) != NULL)
            return false;
    }
    return true;
}
