/* SPDX-License-Identifier: Apache-2.0 */
/* dialect.h - how the answers to one message are arranged on the wire; one row per dialect. */
#ifndef SMTP_DIALECT_H
#define SMTP_DIALECT_H

#include "smtp/session.h"

/* where responsibility for an accepted recipient moves to us */
enum dialect_owner {
    DIALECT_OWNER_REPLY, /* with the recipient's own reply: keep k, requeue n-k */
    DIALECT_OWNER_FINAL, /* with the last reply: all or nothing when the block is cut */
};

struct dialect_row {
    const char *name;
    enum status opener;  /* reply that opens a block, STATUS_NONE: there is none */
    bool has_individual; /* one reply for each entry of L, in order */
    bool has_final;      /* one reply about the message, last */
    bool may_be_single;  /* one ordinary reply may stand for all when one outcome fits all */
    enum dialect_owner owner;
};

const struct dialect_row *dialect_row(enum dialect d);

/* Stage of the replies after the content: what session_output() writes next. */
enum dialect_stage {
    DIALECT_IDLE, /* no message is being answered */
    DIALECT_HELD, /* the form is not chosen yet */
    DIALECT_OPENER,
    DIALECT_INDIVIDUAL,
    DIALECT_FINAL,
};

/* dialect_is_uniform() - one outcome fits all @count entries: all accepted, or all refused with the
 * same code, enhanced code and text (PRDR-13). */
bool dialect_is_uniform(const struct session_entry *entries, uint32_t count);

/* dialect_final() - the last reply that follows from the entries (PRDR-24). */
struct answer dialect_final(const struct session_entry *entries, uint32_t count);

/* dialect_accepted_count() - entries that were accepted with a proof of commit. */
uint32_t dialect_accepted_count(const struct session_entry *entries, uint32_t count);

#endif
