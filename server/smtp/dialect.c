/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect.c - one row for each way to answer a message, and what follows from the answers of its
 * recipients.
 *
 * The rows are the table of the reply engine: does a reply open the block, who gets a line, what
 * closes it, may one reply stand for all, and where responsibility moves. session_reply.c walks
 *
 *     HELD -> SINGLE                              one ordinary reply for all
 *     HELD -> OPENER -> INDIVIDUAL -> FINAL       a block
 *
 * and leaves out what the row does not have. Rules of one dialect alone are functions in its file
 * (dialect_NAME.c), to which the row points; a new dialect is a row and such a file.
 */
#include "dialect.h"
#include "smtp/wrapped.h"
#include "base/assert.h"

#define NEEDS_BOTH (SESSION_OFFER_PIPELINING | SESSION_OFFER_ENHANCED)

static const struct dialect_row rows[DIALECT_COUNT] = {
    [DIALECT_SMTP] = {.name = "smtp",
                      .listed = DIALECT_LISTED_NONE,
                      .owner = DIALECT_OWNER_FINAL,
                      .may_be_single = true,
                      .is_single = dialect_is_uniform,
                      .final = dialect_final},
    [DIALECT_LMTP] = {.name = "lmtp",
                      .listed = DIALECT_LISTED_ALL,
                      .opens = DIALECT_OPENS_AT_ONCE, /* LMTP-11 */
                      .owner = DIALECT_OWNER_REPLY,
                      .is_single = dialect_is_uniform,
                      .final = dialect_final},
    [DIALECT_PRDR] = {.name = "prdr",
                      .offer = SESSION_OFFER_PRDR,
                      .needs = NEEDS_BOTH, /* PRDR-3 */
                      .opener = STATUS_LIST_OPEN,
                      .listed = DIALECT_LISTED_ALL,
                      .opens = DIALECT_OPENS_WHEN_ASKED, /* PRDR-17 */
                      .closer = DIALECT_CLOSER_ANSWER,
                      .owner = DIALECT_OWNER_FINAL,
                      .may_be_single = true,
                      .repeats_rcpt_code = true,
                      .is_single = dialect_is_uniform,
                      .final = dialect_final},
    [DIALECT_DEFERRALS] = {.name = "deferrals",
                           .offer = SESSION_OFFER_DEFERRALS,
                           .needs = SESSION_OFFER_PIPELINING, /* DEF-3 */
                           .opener = STATUS_LIST_OPEN,
                           .listed = DIALECT_LISTED_LATER,
                           .opens = DIALECT_OPENS_WHEN_ASKED, /* DEF-19, DEF-20 */
                           .closer = DIALECT_CLOSER_ANSWER,
                           .owner = DIALECT_OWNER_FINAL,
                           .gap_ns = 60 * NS_PER_S, /* DEF-18 */
                           .may_be_single = true,
                           .is_single = deferrals_is_single,
                           .final = deferrals_final},
    [DIALECT_INLINE_DSN] = {.name = "inline-dsn",
                            .offer = SESSION_OFFER_INLINE_DSN,
                            .needs = SESSION_OFFER_PIPELINING,
                            .opener = STATUS_LIST_OPEN,
                            .listed = DIALECT_LISTED_LATER,
                            .opens = DIALECT_OPENS_WHEN_ASKED,
                            .closer = DIALECT_CLOSER_FIXED, /* INL-2 */
                            .closer_status = STATUS_LIST_END,
                            .owner = DIALECT_OWNER_FINAL, /* INL-4, INL-5 */
                            .may_be_single = true,
                            .is_single = inline_dsn_is_single,
                            .final = deferrals_final,
                            .is_unclosed = inline_dsn_is_unclosed},
    [DIALECT_EXDATA] = {.name = "exdata",
                        .offer = SESSION_OFFER_EXDATA,
                        .listed = DIALECT_LISTED_ALL,
                        .opens = DIALECT_OPENS_WITH_REFUSAL, /* EXD-10 */
                        .owner = DIALECT_OWNER_REPLY,
                        .wrapped_code = EXDATA_CODE,
                        .gap_ns = 300 * NS_PER_S, /* EXD-16 */
                        .may_be_single = true,
                        .is_single = dialect_is_uniform,
                        .final = dialect_final,
                        .put_entry = exdata_put_entry},
    [DIALECT_XRCPT250] = {.name = "xrcpt250",
                          .offer = SESSION_OFFER_XRCPT250,
                          .opener = STATUS_WRAPPED_OPEN,
                          .listed = DIALECT_LISTED_ALL,
                          .opens = DIALECT_OPENS_WHEN_ASKED, /* HOL-9 */
                          .closer = DIALECT_CLOSER_FIXED,
                          .closer_status = STATUS_WRAPPED_END,
                          .owner = DIALECT_OWNER_REPLY, /* HOL-14: reading A */
                          .wrapped_code = XRCPT250_CODE,
                          .may_be_single = true,
                          .is_single = dialect_is_uniform,
                          .final = dialect_final,
                          .put_opener = xrcpt250_put_opener,
                          .put_entry = xrcpt250_put_entry,
                          .put_closer = xrcpt250_put_closer,
                          .put_working = xrcpt250_put_working},
    [DIALECT_XRCPT250B] = {.name = "xrcpt250b",
                           .offer = SESSION_OFFER_XRCPT250B,
                           .opener = STATUS_WRAPPED_OPEN,
                           .listed = DIALECT_LISTED_ALL,
                           .opens = DIALECT_OPENS_WITH_SUCCESS, /* HOL-8 */
                           .closer = DIALECT_CLOSER_FIXED,
                           .closer_status = STATUS_WRAPPED_END,
                           .owner = DIALECT_OWNER_OPENER, /* HOL-12: reading B */
                           .wrapped_code = XRCPT250_CODE,
                           .may_be_single = true,
                           .is_single = xrcpt250b_is_single,
                           .final = dialect_final,
                           .put_opener = xrcpt250_put_opener,
                           .put_entry = xrcpt250_put_entry,
                           .put_closer = xrcpt250_put_closer,
                           .put_working = xrcpt250_put_working},
    [DIALECT_XPRDR1] = {.name = "xprdr1",
                        .offer = SESSION_OFFER_XPRDR1,
                        .needs = NEEDS_BOTH,
                        .listed = DIALECT_LISTED_ALL,
                        .opens = DIALECT_OPENS_AT_ONCE, /* OTH-11: no opener, no single form */
                        .closer = DIALECT_CLOSER_ANSWER,
                        .owner = DIALECT_OWNER_FINAL,
                        .repeats_rcpt_code = true,
                        .is_single = dialect_is_uniform,
                        .final = dialect_final},
    [DIALECT_ADAT] = {.name = "adat",
                      .offer = SESSION_OFFER_ADAT,
                      .listed = DIALECT_LISTED_NONE, /* each DRCP has its reply, then ERCP */
                      .names_late = true,
                      .owner = DIALECT_OWNER_FINAL,
                      .may_be_single = true,
                      .is_single = dialect_is_uniform,
                      .final = dialect_final,
                      .limit = adat_limit},
};

const struct dialect_row *dialect_row(enum dialect d)
{
    ASSERT(d < DIALECT_COUNT);
    return &rows[d];
}

const char *dialect_name(enum dialect d)
{
    return dialect_row(d)->name;
}

uint32_t dialect_offer(enum dialect d)
{
    return dialect_row(d)->offer;
}

enum dialect_owner dialect_owner_of(enum dialect d)
{
    return dialect_row(d)->owner;
}

bool dialect_has_opener(enum dialect d)
{
    return dialect_row(d)->opener != STATUS_NONE;
}

bool dialect_has_closer(enum dialect d)
{
    return dialect_row(d)->closer != DIALECT_CLOSER_NONE;
}

bool dialect_has_list(enum dialect d)
{
    return dialect_row(d)->listed != DIALECT_LISTED_NONE;
}

bool dialect_names_late(enum dialect d)
{
    return dialect_row(d)->names_late;
}

const char *dialect_asked_name(uint32_t asked)
{
    enum dialect d = DIALECT_SMTP;
    while (d < DIALECT_COUNT && (rows[d].offer & asked) == 0)
        d++;
    ASSERT(d < DIALECT_COUNT);
    return rows[d].name;
}

bool dialect_for_mail(enum session_protocol protocol, uint32_t asked, enum dialect *ret_dialect)
{
    enum dialect found = protocol == SESSION_LMTP ? DIALECT_LMTP : DIALECT_SMTP;
    unsigned count = 0;
    for (int d = 0; d < DIALECT_COUNT; d++) {
        if ((rows[d].offer & asked) == 0)
            continue;
        found = (enum dialect)d;
        count++;
    }
    if (count > 1)
        return false;
    *ret_dialect = found;
    return true;
}

enum dialect dialect_preferred(enum session_protocol protocol, uint32_t offers)
{
    for (int d = 0; d < DIALECT_COUNT; d++)
        if ((rows[d].offer & offers) != 0)
            return (enum dialect)d;
    return protocol == SESSION_LMTP ? DIALECT_LMTP : DIALECT_SMTP;
}

uint32_t dialect_usable(uint32_t offers, enum session_protocol protocol)
{
    for (int d = 0; d < DIALECT_COUNT; d++)
        if (protocol == SESSION_LMTP || (offers & rows[d].needs) != rows[d].needs)
            offers &= ~rows[d].offer;
    return offers;
}

bool dialect_is_listed(const struct dialect_row *row, const struct session_entry *entry)
{
    switch (row->listed) {
    case DIALECT_LISTED_NONE:
        return false;
    case DIALECT_LISTED_ALL:
        return true;
    case DIALECT_LISTED_LATER:
        return entry->rcpt_code == status_row(STATUS_RCPT_LATER)->code;
    }
    UNREACHABLE();
}

static bool answers_alike(const struct answer *a, const struct answer *b)
{
    const uint8_t *x = a->enhanced[0] != 0 ? a->enhanced : status_row(a->status)->enhanced;
    const uint8_t *y = b->enhanced[0] != 0 ? b->enhanced : status_row(b->status)->enhanced;
    if (answer_code(a) != answer_code(b) || memcmp(x, y, 3) != 0 || !slice_eq(a->text, b->text))
        return false;
    return a->text.len > 0 || a->status == b->status; /* the text of the table */
}

bool dialect_is_uniform(const struct session_entry *entries, uint32_t count)
{
    ASSERT(count > 0);
    for (uint32_t i = 1; i < count; i++) {
        if (entries[i].fate != entries[0].fate)
            return false;
        if (entries[i].fate == SESSION_FATE_REFUSED &&
            !answers_alike(&entries[i].answer, &entries[0].answer))
            return false;
    }
    return true;
}

struct answer dialect_final(const struct session_entry *entries, uint32_t count)
{
    bool has_temporary = false;
    for (uint32_t i = 0; i < count; i++) /* his own line said something else (PRDR-25) */
        if (entries[i].is_promise_said && entries[i].fate == SESSION_FATE_REFUSED)
            return entries[i].answer;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].fate == SESSION_FATE_ACCEPTED) {
            /* About the message, not about this recipient: 250, not the code of his RCPT. */
            struct answer a = {.status = STATUS_STORED, .text = entries[i].answer.text};
            return a;
        }
        has_temporary |= status_is_temporary(entries[i].answer.status);
    }
    if (count > 0 && dialect_is_uniform(entries, count))
        return entries[0].answer;
    return ANSWER(has_temporary ? STATUS_ALL_DEFERRED : STATUS_ALL_REFUSED);
}

uint32_t dialect_accepted_count(const struct session_entry *entries, uint32_t count)
{
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < count; i++)
        accepted += entries[i].fate == SESSION_FATE_ACCEPTED;
    return accepted;
}
