/* SPDX-License-Identifier: Apache-2.0 */
/* session_state.h - what session.c (input) and session_reply.c (answers, output) share. */
#ifndef SMTP_SESSION_STATE_H
#define SMTP_SESSION_STATE_H

#include "smtp/session.h"

/* The first six are the states in which commands are read: bits of enum command_state. */
enum session_state {
    STATE_START, /* no EHLO, HELO or LHLO yet */
    STATE_READY,
    STATE_MAIL,
    STATE_CHUNKS,  /* between chunks */
    STATE_FAILED,  /* transaction is dead, client has to RSET or to send its last chunk */
    STATE_NAMING,  /* ADAT: content was taken, its recipients are being named */
    STATE_CONTENT, /* EV_CONTENT is with the owner */
    STATE_DATA,    /* content until CRLF . CRLF */
    STATE_CHUNK,   /* chunk_left octets of content */
    STATE_DROP,    /* chunk_left octets to read and forget */
    STATE_ENDED,   /* content is complete, EV_BODY_END is next */
    STATE_DECIDE,  /* until session_finish(), or session_name_rcpts() */
    STATE_CLOSED,
    STATE_COUNT
};

/* replyq_slot.kind */
enum session_reply_kind {
    REPLY_KIND_PLAIN,
    REPLY_KIND_GREETING,
    REPLY_KIND_HELO,
    REPLY_KIND_EHLO,
    REPLY_KIND_MAIL,
    REPLY_KIND_RCPT,
    REPLY_KIND_DATA,  /* 354 or its refusal */
    REPLY_KIND_CHUNK, /* slot.number octets */
    REPLY_KIND_BLOCK, /* the replies after the content */
    REPLY_KIND_BYE,   /* 221 with our name */
};

/* session_set_state() - the only place that changes the state; asserts that the edge exists. */
void session_set_state(struct session *s, enum session_state next);

/* session_has_content() - a transaction that the owner knows about is open. */
bool session_is_live(const struct session *s);

/* session_close_with() - queue last words and end; the owner gets EV_ABORT for a live transaction.
 * A slot that waits for content is taken back. */
void session_close_with(struct session *s, const struct answer *a);

#endif
