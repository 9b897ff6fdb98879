/* SPDX-License-Identifier: Apache-2.0 */
/*
 * param.c - parameters of MAIL and RCPT, parsed and written.
 *
 * One row per parameter: its name, the offer it belongs to, and the function that takes its value.
 * A parameter whose offer is missing is unknown (555), so a session after HELO knows none. A
 * parameter given twice is an error (501, RFC 3461 4; CORE-26).
 */
#include "smtp/param.h"
#include "base/assert.h"

#define SIZE_DIGITS_MAX 20 /* RFC 1870 3 */

struct param {
    struct slice key;
    struct slice value;
    bool has_value;
};

struct mail_row {
    const char *key;
    uint32_t offer;
    enum param_result (*take)(const struct param *p, uint32_t offers, struct mail_params *params);
};

/* esmtp-param = keyword ["=" value]; false at the end of the line. */
static bool param_next(struct slice *in, struct param *ret_param)
{
    size_t start = 0;
    while (start < in->len && in->ptr[start] == ' ')
        start++;
    if (start == in->len)
        return false;
    struct slice token = slice_from(*in, start);
    token = slice_first(token, slice_find(token, ' '));
    *in = slice_from(*in, start + token.len);
    size_t equals = slice_find(token, '=');
    ret_param->key = slice_first(token, equals);
    ret_param->has_value = equals < token.len;
    ret_param->value = slice_from(token, equals + 1);
    return true;
}

/* Value of an upper case hex digit, 16 for anything else. */
static unsigned hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/*
 * xtext = *( xchar / hexchar ), RFC 3461 4; with @is_utf8 also bytes above 0x7F, RFC 6533 3. What a
 * hexchar stands for is printable ASCII (RFC 3461 4.2, 4.4), so that decoding it can never make a
 * line end or a control character.
 */
static bool is_xtext(struct slice s, bool is_utf8)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (c == '+') {
            unsigned high = s.len - i >= 3 ? hex_value(s.ptr[i + 1]) : 16;
            unsigned low = s.len - i >= 3 ? hex_value(s.ptr[i + 2]) : 16;
            unsigned byte = high * 16 + low;
            if (high > 7 || low > 15 || byte < ' ' || byte > '~')
                return false;
            i += 2;
        } else if (c >= 0x80 ? !is_utf8 : c < 33 || c > 126 || c == '=') {
            return false;
        }
    }
    return s.len > 0;
}

static enum param_result take_size(const struct param *p, uint32_t offers,
                                   struct mail_params *params)
{
    (void)offers;
    if (params->has_size || p->value.len == 0 || p->value.len > SIZE_DIGITS_MAX)
        return PARAM_BAD;
    uint64_t size = 0;
    for (size_t i = 0; i < p->value.len; i++) {
        uint8_t c = p->value.ptr[i];
        if (c < '0' || c > '9')
            return PARAM_BAD;
        uint64_t digit = (uint64_t)(c - '0');
        size = size > (UINT64_MAX - digit) / 10 ? UINT64_MAX : size * 10 + digit;
    }
    params->has_size = true;
    params->size = size;
    return PARAM_OK;
}

/* BODY itself belongs to 8BITMIME, one of its values to BINARYMIME, which needs the other. */
static enum param_result take_body(const struct param *p, uint32_t offers,
                                   struct mail_params *params)
{
    if (slice_eq_nocase(p->value, SLICE_LIT("7BIT")))
        params->body = PARAM_BODY_7BIT;
    else if (slice_eq_nocase(p->value, SLICE_LIT("8BITMIME")))
        params->body = PARAM_BODY_8BITMIME;
    else if (!slice_eq_nocase(p->value, SLICE_LIT("BINARYMIME")))
        return PARAM_BAD;
    else if ((offers & SESSION_OFFER_BINARYMIME) == 0)
        return PARAM_UNKNOWN;
    else
        params->body = PARAM_BODY_BINARYMIME;
    return PARAM_OK;
}

static enum param_result take_smtputf8(const struct param *p, uint32_t offers,
                                       struct mail_params *params)
{
    (void)offers;
    params->smtputf8 = true;
    return p->has_value ? PARAM_BAD : PARAM_OK;
}

static enum param_result take_dialect(const struct param *p, uint32_t offers,
                                      struct mail_params *params)
{
    (void)offers;
    (void)params; /* noted by its row */
    return p->has_value ? PARAM_BAD : PARAM_OK;
}

static enum param_result take_ret(const struct param *p, uint32_t offers,
                                  struct mail_params *params)
{
    (void)offers;
    if (slice_eq_nocase(p->value, SLICE_LIT("FULL")))
        params->ret = PARAM_RET_FULL;
    else if (slice_eq_nocase(p->value, SLICE_LIT("HDRS")))
        params->ret = PARAM_RET_HDRS;
    else
        return PARAM_BAD;
    return PARAM_OK;
}

static enum param_result take_envid(const struct param *p, uint32_t offers,
                                    struct mail_params *params)
{
    (void)offers;
    if (p->value.len > ENVID_BYTES_MAX || !is_xtext(p->value, false))
        return PARAM_BAD;
    params->envid = p->value;
    return PARAM_OK;
}

static const struct mail_row mail_rows[] = {
    {"SIZE", SESSION_OFFER_SIZE, take_size},
    {"BODY", SESSION_OFFER_8BITMIME, take_body},
    {"SMTPUTF8", SESSION_OFFER_SMTPUTF8, take_smtputf8},
    {"PRDR", SESSION_OFFER_PRDR, take_dialect},
    {"DEFERRALS", SESSION_OFFER_DEFERRALS, take_dialect},
    {"EXDATA", SESSION_OFFER_EXDATA, take_dialect}, /* of its two names the one that is written */
    {"XEXDATA", SESSION_OFFER_EXDATA, take_dialect},
    {"XRCPT250", SESSION_OFFER_XRCPT250, take_dialect},
    {"XRCPT250B", SESSION_OFFER_XRCPT250B, take_dialect},
    {"INLINE-DSN", SESSION_OFFER_INLINE_DSN, take_dialect},
    {"XPRDR1", SESSION_OFFER_XPRDR1, take_dialect},
    {"RET", SESSION_OFFER_DSN, take_ret},
    {"ENVID", SESSION_OFFER_DSN, take_envid},
};

enum param_result param_parse_mail(struct slice in, uint32_t offers, struct mail_params *ret_params)
{
    struct mail_params params = {0};
    uint32_t seen = 0;
    struct param p;
    while (param_next(&in, &p)) {
        size_t i = 0;
        while (i < ARRAY_COUNT(mail_rows) && !slice_eq_nocase(p.key, slice_str(mail_rows[i].key)))
            i++;
        if (i == ARRAY_COUNT(mail_rows) || (offers & mail_rows[i].offer) == 0)
            return PARAM_UNKNOWN;
        if ((seen & (1u << i)) != 0)
            return PARAM_BAD;
        seen |= 1u << i;
        enum param_result result = mail_rows[i].take(&p, offers, &params);
        if (result != PARAM_OK)
            return result;
        params.dialects |= mail_rows[i].offer & SESSION_OFFER_DIALECTS;
    }
    *ret_params = params;
    return PARAM_OK;
}

/* NOTIFY=NEVER, or a list of the others, each at most once (RFC 3461 4.1). */
static bool take_notify(struct slice value, uint8_t *ret_notify)
{
    static const struct {
        const char *name;
        uint8_t bit;
    } rows[] = {
        {"NEVER", PARAM_NOTIFY_NEVER},
        {"SUCCESS", PARAM_NOTIFY_SUCCESS},
        {"FAILURE", PARAM_NOTIFY_FAILURE},
        {"DELAY", PARAM_NOTIFY_DELAY},
    };
    uint8_t notify = 0;
    for (;;) {
        struct slice word = slice_first(value, slice_find(value, ','));
        size_t i = 0;
        while (i < ARRAY_COUNT(rows) && !slice_eq_nocase(word, slice_str(rows[i].name)))
            i++;
        if (i == ARRAY_COUNT(rows) || (notify & rows[i].bit) != 0)
            return false;
        notify |= rows[i].bit;
        if (word.len == value.len)
            break;
        value = slice_from(value, word.len + 1);
    }
    if ((notify & PARAM_NOTIFY_NEVER) != 0 && notify != PARAM_NOTIFY_NEVER)
        return false;
    *ret_notify = notify;
    return true;
}

/* ORCPT = addr-type ";" xtext, addr-type = atom (RFC 3461 4.2) */
static bool is_orcpt(struct slice value, bool is_utf8)
{
    size_t semicolon = slice_find(value, ';');
    if (semicolon == 0 || semicolon == value.len || value.len > ORCPT_BYTES_MAX)
        return false;
    for (size_t i = 0; i < semicolon; i++) {
        uint8_t c = value.ptr[i];
        bool is_letter = ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    bool may_be_utf8 =
        is_utf8 && slice_eq_nocase(slice_first(value, semicolon), SLICE_LIT("utf-8"));
    return is_xtext(slice_from(value, semicolon + 1), may_be_utf8);
}

enum param_result param_parse_rcpt(struct slice in, uint32_t offers, bool is_utf8,
                                   struct rcpt_params *ret_params)
{
    struct rcpt_params params = {0};
    struct param p;
    while (param_next(&in, &p)) {
        if ((offers & SESSION_OFFER_DSN) == 0)
            return PARAM_UNKNOWN;
        if (slice_eq_nocase(p.key, SLICE_LIT("NOTIFY"))) {
            if (params.notify != 0 || !take_notify(p.value, &params.notify))
                return PARAM_BAD;
        } else if (slice_eq_nocase(p.key, SLICE_LIT("ORCPT"))) {
            if (params.orcpt.len > 0 || !is_orcpt(p.value, is_utf8))
                return PARAM_BAD;
            params.orcpt = p.value;
        } else {
            return PARAM_UNKNOWN;
        }
    }
    *ret_params = params;
    return PARAM_OK;
}

void param_put_mail(struct buf *out, const struct mail_params *params, uint32_t offers)
{
    if (params->has_size && (offers & SESSION_OFFER_SIZE) != 0) {
        BUF_PUT_LIT(out, " SIZE=");
        buf_put_u64(out, params->size);
    }
    if (params->body == PARAM_BODY_8BITMIME && (offers & SESSION_OFFER_8BITMIME) != 0)
        BUF_PUT_LIT(out, " BODY=8BITMIME");
    if (params->body == PARAM_BODY_BINARYMIME && (offers & SESSION_OFFER_BINARYMIME) != 0)
        BUF_PUT_LIT(out, " BODY=BINARYMIME");
    if (params->smtputf8 && (offers & SESSION_OFFER_SMTPUTF8) != 0)
        BUF_PUT_LIT(out, " SMTPUTF8");
    uint32_t dialects = params->dialects & offers;
    for (size_t i = 0; i < ARRAY_COUNT(mail_rows); i++) {
        if ((mail_rows[i].offer & dialects) == 0)
            continue;
        dialects &= ~mail_rows[i].offer;
        buf_put_byte(out, ' ');
        buf_put(out, slice_str(mail_rows[i].key));
    }
    if ((offers & SESSION_OFFER_DSN) == 0)
        return;
    if (params->ret == PARAM_RET_FULL)
        BUF_PUT_LIT(out, " RET=FULL");
    if (params->ret == PARAM_RET_HDRS)
        BUF_PUT_LIT(out, " RET=HDRS");
    if (params->envid.len > 0) {
        BUF_PUT_LIT(out, " ENVID=");
        buf_put(out, params->envid);
    }
}

void param_put_rcpt(struct buf *out, const struct rcpt_params *params, uint32_t offers)
{
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    if ((offers & SESSION_OFFER_DSN) == 0)
        return;
    if (params->notify != 0) {
        BUF_PUT_LIT(out, " NOTIFY=");
        bool is_first = true;
        for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
            if ((params->notify & (1u << i)) == 0)
                continue;
            if (!is_first)
                buf_put_byte(out, ',');
            buf_put(out, slice_str(names[i]));
            is_first = false;
        }
    }
    if (params->orcpt.len > 0) {
        BUF_PUT_LIT(out, " ORCPT=");
        buf_put(out, params->orcpt);
    }
}
