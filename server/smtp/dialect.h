/* SPDX-License-Identifier: Apache-2.0 */
/* dialect.h - how the answers to one message are arranged on the wire; one row per dialect. */
#ifndef SMTP_DIALECT_H
#define SMTP_DIALECT_H

#include "smtp/session.h"

/* who has a line of his own in the block */
enum dialect_listed {
    DIALECT_LISTED_NONE,
    DIALECT_LISTED_ALL,   /* every RCPT answered 2xx */
    DIALECT_LISTED_LATER, /* every RCPT answered 352; those answered 2xx have none (DEF-10) */
};

/* when a block may begin although not everything is decided */
enum dialect_opens {
    DIALECT_OPENS_NEVER,
    DIALECT_OPENS_AT_ONCE,      /* there is no other form */
    DIALECT_OPENS_WHEN_ASKED,   /* session_open_block() */
    DIALECT_OPENS_WITH_REFUSAL, /* the same, once somebody is refused: the opening promises that */
    DIALECT_OPENS_WITH_SUCCESS, /* the same, once somebody is accepted: the opening promises that */
};

/* what ends a block */
enum dialect_closer {
    DIALECT_CLOSER_NONE,   /* the last line of the last recipient */
    DIALECT_CLOSER_ANSWER, /* a reply about the message */
    DIALECT_CLOSER_FIXED,  /* a success that only says that the list is over */
};

struct dialect_row {
    const char *name;
    uint32_t offer;     /* its keyword, whose MAIL parameter asks for it; 0: it goes by protocol */
    uint32_t needs;     /* offers without which it is not offered */
    enum status opener; /* STATUS_NONE: there is none */
    enum dialect_listed listed;
    enum dialect_opens opens;
    enum dialect_closer closer;
    enum status closer_status; /* of a fixed closer */
    enum dialect_owner owner;
    uint16_t wrapped_code;  /* of the reply that holds those of recipients; 0: they stand alone */
    clock_ns gap_ns;        /* at most so long between two replies of a block; 0: no rule */
    bool may_be_single;     /* one ordinary reply may stand for all when it fits all */
    bool repeats_rcpt_code; /* 251 to RCPT stays 251 (PRDR-20) */
    bool names_late;        /* recipients come after the content (OTH-2) */
    /* One reply fits all @count entries, none of which is open. */
    bool (*is_single)(const struct session_entry *entries, uint32_t count);
    /* The last, or the only reply that follows from the entries. */
    struct answer (*final)(const struct session_entry *entries, uint32_t count);
    /* The reply that comes nearest to @a of those that the dialect has; NULL: all are good. */
    struct answer (*limit)(const struct answer *a, bool is_named);
    /* Lines of a form of their own; NULL: ordinary replies. False: no room, nothing was put. */
    bool (*put_opener)(struct buf *out, uint32_t count);
    bool (*put_entry)(struct buf *out, const struct answer *a, bool is_last, uint32_t flags);
    bool (*put_closer)(struct buf *out);
    bool (*put_working)(
        struct buf *out); /* no news, but we are alive; NULL: there is no such line */
    /* The block cannot be closed truthfully: its closer would be a success, and @final is none. */
    bool (*is_unclosed)(const struct session_entry *entries, uint32_t count,
                        const struct answer *final);
};

const struct dialect_row *dialect_row(enum dialect d);

/* dialect_for_mail() - what a MAIL asks for, @asked being of SESSION_OFFER_DIALECTS; false for two
 * at once, which nothing defines (OTH section 6). */
MUST_CHECK bool dialect_for_mail(enum session_protocol protocol, uint32_t asked,
                                 enum dialect *ret_dialect);

/* dialect_preferred() - the first in the table of those in @offers, else what @protocol has. */
enum dialect dialect_preferred(enum session_protocol protocol, uint32_t offers);

/* dialect_usable() - @offers without the dialects that they, or @protocol, have no room for. */
uint32_t dialect_usable(uint32_t offers, enum session_protocol protocol);

/* Stage of the replies after the content: what session_output() writes next. */
enum dialect_stage {
    DIALECT_IDLE,   /* no message is being answered */
    DIALECT_HELD,   /* the form is not chosen yet */
    DIALECT_SINGLE, /* one ordinary reply for all */
    DIALECT_OPENER,
    DIALECT_INDIVIDUAL,
    DIALECT_FINAL,
};

/* dialect_is_listed() - @entry has a line in a block. */
bool dialect_is_listed(const struct dialect_row *row, const struct session_entry *entry);

/* dialect_is_uniform() - one outcome fits all @count entries: all accepted, or all refused with the
 * same code, enhanced code and text (PRDR-13). */
bool dialect_is_uniform(const struct session_entry *entries, uint32_t count);

/* dialect_final() - the last reply that follows from the entries (PRDR-24). */
struct answer dialect_final(const struct session_entry *entries, uint32_t count);

/* dialect_accepted_count() - entries that were accepted with a proof of commit. */
uint32_t dialect_accepted_count(const struct session_entry *entries, uint32_t count);

/* The columns that are functions; each in the file of its dialect. */
struct answer adat_limit(const struct answer *a, bool is_named);
bool deferrals_is_single(const struct session_entry *entries, uint32_t count);
struct answer deferrals_final(const struct session_entry *entries, uint32_t count);
bool exdata_put_entry(struct buf *out, const struct answer *a, bool is_last, uint32_t flags);
bool inline_dsn_is_single(const struct session_entry *entries, uint32_t count);
bool inline_dsn_is_unclosed(const struct session_entry *entries, uint32_t count,
                            const struct answer *final);
bool xrcpt250b_is_single(const struct session_entry *entries, uint32_t count);
bool xrcpt250_put_opener(struct buf *out, uint32_t count);
bool xrcpt250_put_closer(struct buf *out);
bool xrcpt250_put_working(struct buf *out);
bool xrcpt250_put_entry(struct buf *out, const struct answer *a, bool is_last, uint32_t flags);

#endif
