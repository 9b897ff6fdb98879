/* SPDX-License-Identifier: Apache-2.0 */
/* param.h - MAIL and RCPT parameters: SIZE, BODY, SMTPUTF8, DSN, dialects; both directions. */
#ifndef SMTP_PARAM_H
#define SMTP_PARAM_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/slice.h"
#include "smtp/offer.h"

enum param_body { PARAM_BODY_7BIT, PARAM_BODY_8BITMIME, PARAM_BODY_BINARYMIME };
enum param_ret { PARAM_RET_NONE, PARAM_RET_FULL, PARAM_RET_HDRS };
enum param_notify {
    PARAM_NOTIFY_NEVER = 1u << 0,
    PARAM_NOTIFY_SUCCESS = 1u << 1,
    PARAM_NOTIFY_FAILURE = 1u << 2,
    PARAM_NOTIFY_DELAY = 1u << 3,
};

/* What was asked on MAIL. Slices point into the command line: copy what must live longer. */
struct mail_params {
    bool has_size;
    bool smtputf8;
    uint32_t dialects; /* those of SESSION_OFFER_DIALECTS that were asked for */
    enum param_body body;
    enum param_ret ret;
    uint64_t size;      /* SIZE=, octets; UINT64_MAX when 20 digits say more than that */
    struct slice envid; /* xtext as sent */
};

struct rcpt_params {
    uint8_t notify;     /* enum param_notify; 0: not given */
    struct slice orcpt; /* "type;xtext" as sent */
};

enum param_result {
    PARAM_OK = 0,
    PARAM_UNKNOWN, /* not known, or not offered: 555 (RFC 5321 4.1.1.11) */
    PARAM_BAD,     /* known, but misspelt or given twice: 501 */
};

/*
 * param_parse_mail() - the parameters behind the reverse path
 * @in:      borrowed; "" or " key[=value] ..."
 * @offers:  enum session_offer: what this session was offered; parameters of others are unknown
 *
 * Source:  RFC 5321 4.1.2; RFC 1870 (SIZE), 6152 and 3030 (BODY), 6531 (SMTPUTF8), 3461 (RET,
 *          ENVID); CORE-20, 22..27; PRDR-2, DEF-2, EXD-1, EXD-2, HOL-4
 */
MUST_CHECK enum param_result param_parse_mail(struct slice in, uint32_t offers,
                                              struct mail_params *ret_params);

/* param_parse_rcpt() - the parameters behind the forward path; @is_utf8: SMTPUTF8 was on MAIL.
 * Source: RFC 3461 4.1, 4.2; RFC 6533 3 */
MUST_CHECK enum param_result param_parse_rcpt(struct slice in, uint32_t offers, bool is_utf8,
                                              struct rcpt_params *ret_params);

/* param_put_mail() - append " key[=value]" for all that is set and for which @offers has a bit. */
void param_put_mail(struct buf *out, const struct mail_params *params, uint32_t offers);

/* param_put_rcpt() - the same for RCPT. */
void param_put_rcpt(struct buf *out, const struct rcpt_params *params, uint32_t offers);

#endif
