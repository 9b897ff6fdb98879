/* SPDX-License-Identifier: Apache-2.0 */
/* offer.h - the service extensions, as a listener offers them and as a client finds them. */
#ifndef SMTP_OFFER_H
#define SMTP_OFFER_H

#include "base/base.h"

/* EHLO keywords */
enum session_offer {
    SESSION_OFFER_PIPELINING = 1u << 0,
    SESSION_OFFER_8BITMIME = 1u << 1,
    SESSION_OFFER_CHUNKING = 1u << 2,
    SESSION_OFFER_BINARYMIME = 1u << 3,
    SESSION_OFFER_ENHANCED = 1u << 4,
    SESSION_OFFER_DSN = 1u << 5,
    SESSION_OFFER_SMTPUTF8 = 1u << 6,
    SESSION_OFFER_SIZE = 1u << 7,
    SESSION_OFFER_LIMITS = 1u << 8,
    SESSION_OFFER_PRDR = 1u << 9,
    SESSION_OFFER_DEFERRALS = 1u << 10,
    SESSION_OFFER_EXDATA = 1u << 11,   /* under both of its names, EXDATA and XEXDATA (EXD-2) */
    SESSION_OFFER_XRCPT250 = 1u << 12, /* reading A: responsibility moves with each line (HOL-11) */
    SESSION_OFFER_XRCPT250B = 1u << 13, /* reading B: with the opening line (HOL-12) */
    SESSION_OFFER_INLINE_DSN = 1u << 14,
    SESSION_OFFER_XPRDR1 = 1u << 15, /* Assmann's variant of PRDR (OTH-11) */
    SESSION_OFFER_ADAT = 1u << 16,   /* a command, not a parameter of MAIL (OTH-2) */
    SESSION_OFFER_ALL = (1u << 17) - 1,
    /* What a listener offers unless it is told otherwise. */
    SESSION_OFFER_STANDARD = (1u << 12) - 1,
    /* Ways of answering each recipient: at most one of them on a MAIL. */
    SESSION_OFFER_DIALECTS = SESSION_OFFER_PRDR | SESSION_OFFER_DEFERRALS | SESSION_OFFER_EXDATA |
                             SESSION_OFFER_XRCPT250 | SESSION_OFFER_XRCPT250B |
                             SESSION_OFFER_INLINE_DSN | SESSION_OFFER_XPRDR1 | SESSION_OFFER_ADAT,
};

#endif
