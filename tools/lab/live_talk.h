/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_talk.h - where two programs are in a conversation that others listen to: when content ends,
 * whose it is, and how many answers about recipients came since. Octets in, events out; no I/O.
 *
 * Content is what follows a 354 and is read by the scan of the server. What comes behind it is read
 * by a client machine that is told of the envelope what the real client heard, so answers are
 * counted as the simulated client counts them. BDAT is not understood: nobody here uses it.
 */
#ifndef LAB_LIVE_TALK_H
#define LAB_LIVE_TALK_H

#include "lab/point.h"
#include "scan/scan.h"
#include "smtp/client.h"
#include "trace/identity.h"

#define LIVE_TALK_VERB_BYTES 4

enum live_talk_event_kind {
    LIVE_TALK_MORE,    /* nothing happened in this input */
    LIVE_TALK_BEGIN,   /* to the server: a transaction */
    LIVE_TALK_CONTENT, /* to the server: the end of its content */
    LIVE_TALK_ANSWER,  /* to the client: one more answer of talk.answers */
};

struct live_talk_event {
    enum live_talk_event_kind kind;
    bool has_id; /* LIVE_TALK_CONTENT */
    struct identity id;
};

struct live_talk_config { /* of all conversations of a point; filled by live_talk_configure() */
    struct client_config client;
    struct client_message message;
    struct client_rcpt *rcpts; /* all of one address */
    uint32_t rcpt_count;       /* of a message, at most */
    uint32_t offers;
    bool names_late; /* ADAT: recipients are named behind the content */
};

struct live_talk {
    const struct live_talk_config *config;
    struct client shadow;
    struct client_message message;
    struct client_result *results; /* config->rcpt_count of them */
    uint16_t *codes;               /* of the last replies: those to MAIL, each RCPT, and DATA */
    uint32_t code_count;           /* ever */
    uint32_t rcpt_count;           /* commands of this transaction */
    uint32_t answers;              /* since its content */
    uint32_t replies;              /* these and others, but for what only opens a block */
    bool is_in_content;
    bool is_heard; /* the shadow listens */
    bool is_late;  /* ADAT, behind the content: the shadow would have to know who will be named */
    bool is_block; /* it is no single reply */
    bool is_lost;  /* what comes from the server is not understood */
    uint8_t verb_len;
    uint8_t verb[LIVE_TALK_VERB_BYTES]; /* of the line that comes from the client */
    uint32_t line_len;
    struct reply_state reply;
    uint8_t line[REPLY_READ_LINE_BYTES_MAX]; /* that comes from the server */
    struct scan scan;
};

/* live_talk_configure() - for conversations of @p; 0 or -ENOMEM. */
MUST_CHECK int live_talk_configure(struct live_talk_config *config, const struct lab_point *p);
/* live_talk_unconfigure() - gives its memory back; may be called twice. */
void live_talk_unconfigure(struct live_talk_config *config);

/* live_talk_init() - a new connection; @config outlives it. 0 or -ENOMEM. */
MUST_CHECK int live_talk_init(struct live_talk *t, const struct live_talk_config *config);
/* live_talk_deinit() - gives its memory back; may be called twice. */
void live_talk_deinit(struct live_talk *t);

/* live_talk_replies_due() - how many replies there will be to the content; 0: not known. */
uint32_t live_talk_replies_due(const struct live_talk *t);

/* live_talk_up() - what goes to the server, up to the next event; octets it covers, more than 0
 * where @in has any. */
MUST_CHECK size_t live_talk_up(struct live_talk *t, struct slice in,
                               struct live_talk_event *ret_event);
/* live_talk_down() - the same for what goes to the client. */
MUST_CHECK size_t live_talk_down(struct live_talk *t, struct slice in,
                                 struct live_talk_event *ret_event);

#endif
