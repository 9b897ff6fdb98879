/* SPDX-License-Identifier: Apache-2.0 */
/* hello.h - the EHLO and LHLO reply: written by a server, read by a client. */
#ifndef SMTP_HELLO_H
#define SMTP_HELLO_H

#include "base/buf.h"
#include "base/limits.h"
#include "smtp/offer.h"

struct session_config;

/* Host name line and at most one line for each keyword. */
#define HELLO_REPLY_BYTES_MAX (DOMAIN_BYTES_MAX + 6 + 20 * 40)

/*
 * hello_offers() - what a listener really offers
 * Keywords whose conditions are not met are left out: BINARYMIME without CHUNKING (CORE-23),
 * SMTPUTF8 without 8BITMIME (CORE-27), a dialect without what it needs (PRDR-3, DEF-3) or on LMTP;
 * LMTP always has the two that it must have (LMTP-3).
 */
uint32_t hello_offers(const struct session_config *config);

/* hello_put_reply() - append the whole reply to EHLO or LHLO; false when @out has no room. */
MUST_CHECK bool hello_put_reply(struct buf *out, const struct session_config *config);

/* What a client read from the reply. */
struct hello_caps {
    uint32_t offers;   /* enum session_offer */
    uint64_t size_max; /* 0: not said */
    uint32_t rcpt_max; /* LIMITS RCPTMAX; 0: not said */
    uint32_t mail_max; /* LIMITS MAILMAX; 0: not said */
};

/*
 * hello_parse_line() - add one keyword line to @caps
 * @text:  the line without code; keywords in any case (CORE-2)
 * Source: RFC 5321 4.1.1.1; RFC 9422 3 (a bad list voids the line, a bad value only itself)
 */
void hello_parse_line(struct hello_caps *caps, struct slice text);

/* hello_name_is_good() - can be used as the name behind EHLO: printable, nothing that would end or
 * nest a comment in a trace field. */
bool hello_name_is_good(struct slice name);

#endif
