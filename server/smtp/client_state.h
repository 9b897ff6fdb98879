/* SPDX-License-Identifier: Apache-2.0 */
/* client_state.h - what client.c (the way to the content) and client_block.c (what comes back)
 * share. */
#ifndef SMTP_CLIENT_STATE_H
#define SMTP_CLIENT_STATE_H

#include "smtp/client.h"
#include "dialect.h"

enum client_state {
    CLIENT_GREETING,
    CLIENT_HELLO,
    CLIENT_READY,
    CLIENT_ENVELOPE,
    CLIENT_CONTENT, /* 354 was read: our turn */
    CLIENT_CHUNKS,
    CLIENT_REPLIES, /* the content is out, or what is left of a last chunk was refused early */
    CLIENT_NAMING,  /* ADAT: 355 was read: DRCP for each, then ERCP */
    CLIENT_DRAIN,   /* all was answered, but octets were promised */
    CLIENT_RESET,
    CLIENT_QUIT,
    CLIENT_CLOSED,
};

/* client.stage: which form the replies after the content have */
enum client_stage {
    CLIENT_STAGE_FIRST,   /* nothing was read yet */
    CLIENT_STAGE_BLOCK,   /* replies of recipients, then what the dialect closes with */
    CLIENT_STAGE_WRAPPED, /* the same inside the lines of one reply */
};

struct client_verdict {
    enum client_fate fate;
    enum client_phase phase;
    uint16_t code;
    const uint16_t *enhanced;
};

/* client_verdict_of() - what a reply means for a recipient, being the one that decides. */
struct client_verdict client_verdict_of(uint16_t code, const uint16_t *enhanced,
                                        enum client_phase phase);

/* client_verdict_without() - what holds for those for whom no reply was read. */
struct client_verdict client_verdict_without(const struct client *c);

/* client_settle() - set the fate of one recipient, once. */
void client_settle(struct client_result *result, const struct client_verdict *v);

/* client_settle_open() - the same for all who are open. */
void client_settle_open(struct client *c, const struct client_verdict *v);

/* client_end() - the connection ends: whoever is open is requeued. */
void client_end(struct client *c, enum client_error error);

/* client_finish() - all results are set: on to the next message, by way of RSET if it must be. */
void client_finish(struct client *c, bool needs_reset);

/* client_count_rcpt() - note a reply to RCPT that lets the recipient stay: 2xx, or 352 where that
 * was asked for; false for any other. */
bool client_count_rcpt(struct client *c, uint16_t code);

/* client_on_block() - a whole reply after the content. */
void client_on_block(struct client *c, const struct reply_state *reply, struct client_event *ev);

/* client_on_named() - a reply to DRCP or ERCP; the counters of the envelope count these by now. */
void client_on_named(struct client *c, const struct reply_state *reply, struct client_event *ev);

/* client_is_wrapped() - @line begins, or goes on with, a reply that holds those of recipients. */
bool client_is_wrapped(const struct client *c, struct slice line);

/* client_take_wrapped() - one line of it; true when @ev is set. */
bool client_take_wrapped(struct client *c, struct slice line, clock_ns now,
                         struct client_event *ev);

#endif
