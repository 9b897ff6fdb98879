/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - server machine for SMTP and LMTP in all dialects, without I/O.
 *
 * Bytes in, events out, answers in, bytes out. No callbacks, no clock, no allocation. The owner
 * loops:
 *
 *     size_t used = session_feed(&s, window.bytes, now, &ev);
 *     ... handle ev, perhaps session_answer() ...
 *     window_consume(&window, used);
 *
 * until ev.kind is EV_MORE (give more bytes), EV_BLOCKED (an answer is outstanding: keep the bytes
 * and call again after answering), EV_OUTPUT (ready replies must be formatted first: call
 * session_output(), then again) or EV_CLOSE. Between calls, session_output() turns answered slots,
 * in order, into reply bytes.
 *
 * Every command that needs a decision produces one event with a slot; the owner answers it now or
 * later through session_answer(). Commands that need none (NOOP, RSET, errors ...) are answered by
 * the machine itself. Command lines are consumed whole: with an incomplete line at the end of @in,
 * session_feed() consumes up to it and returns EV_MORE; the owner keeps the rest and calls again
 * with it at the front. (A line that is over the limit is consumed and remembered as too long.)
 *
 * session_output() belongs at the end of each turn, after everything that had been received was
 * fed: bytes that are fed while an earlier reply was not formatted count as sent ahead of it.
 */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include "base/clock.h"
#include "base/limits.h"
#include "base/buf.h"
#include "scan/scan.h"
#include "smtp/offer.h"
#include "smtp/param.h"
#include "smtp/path.h"
#include "smtp/replyq.h"
#include "smtp/status.h"

enum session_protocol { SESSION_SMTP, SESSION_LMTP };

/* How replies after the content are arranged; one row per dialect in dialect.c. */
enum dialect {
    DIALECT_SMTP,
    DIALECT_LMTP,
    DIALECT_PRDR, /* from here on in the order in which a client prefers them (OTH section 6) */
    DIALECT_DEFERRALS,
    DIALECT_INLINE_DSN,
    DIALECT_EXDATA,
    DIALECT_XRCPT250,  /* the wrapped 250 list */
    DIALECT_XRCPT250B, /* the same, responsibility moving with its first line */
    DIALECT_XPRDR1,    /* Assmann's variant of PRDR */
    DIALECT_ADAT,      /* recipients after the content */
    DIALECT_COUNT
};
const char *dialect_name(enum dialect d);

/* where responsibility for an accepted recipient moves to the server */
enum dialect_owner {
    DIALECT_OWNER_REPLY,  /* with the recipient's own reply: keep k, requeue n-k */
    DIALECT_OWNER_FINAL,  /* with the last reply: all or nothing when the block is cut */
    DIALECT_OWNER_OPENER, /* with the opening line: what was not read is for the server to tell */
};
enum dialect_owner dialect_owner_of(enum dialect d);

/* What a block has beside a line for each recipient that is listed. */
bool dialect_has_opener(enum dialect d);
bool dialect_has_closer(enum dialect d);
/* dialect_has_list() - recipients have lines of their own at all. */
bool dialect_has_list(enum dialect d);
/* dialect_names_late() - recipients are named after the content (ADAT, DRCP, ERCP). */
bool dialect_names_late(enum dialect d);
/* dialect_offer() - what must be offered for it; 0: nothing, it goes by protocol. */
uint32_t dialect_offer(enum dialect d);
/* dialect_asked_name() - of the one that a MAIL asked for; @asked is not 0. */
const char *dialect_asked_name(uint32_t asked);

#define SESSION_NOTE_BYTES_MAX 64

/* One per listener; read-only while sessions use it. */
struct session_config {
    enum session_protocol protocol;
    uint32_t offers;         /* enum session_offer; hello_offers() leaves out what cannot be */
    struct slice hostname;   /* own FQDN, at most DOMAIN_BYTES_MAX */
    struct slice note;       /* ends the greeting, at most SESSION_NOTE_BYTES_MAX; usually empty */
    uint64_t size_max;       /* octets; advertised; 0: no fixed limit */
    uint32_t rcpt_max;       /* RCPTMAX, >= 100 */
    uint32_t mail_max;       /* transactions per connection, MAILMAX; 0: no limit */
    uint32_t error_max;      /* bad commands before 421 and close; 0: no limit */
    uint32_t received_max;   /* 0: RECEIVED_COUNT_MAX */
    bool normalize_bare_lf;  /* bare_newline = normalize */
    bool bind_early_talkers; /* refuse input before the greeting and unannounced pipelining
                                (CORE-45): 554 5.5.0 and close */
};

enum session_event_kind {
    EV_MORE,    /* all input consumed (or only an incomplete command line is left) */
    EV_BLOCKED, /* input is left, and an outstanding answer must come first */
    EV_OUTPUT,  /* input is left, and replies that are ready must be formatted first */
    EV_HELO, /* EHLO, HELO or LHLO was accepted and answered; ev.text is the name; informational */
    EV_MAIL, /* ev.path, ev.mail: answer ev.slot */
    EV_RCPT, /* ev.path, ev.rcpt: answer ev.slot */
    EV_REFUSED,  /* the machine has refused ev.command itself (MAIL, RCPT, DRCP, ADAT or BDAT:
                    syntax, limits) with ev.answer; ev.text is its path, or all of it as it came;
                    informational */
    EV_CONTENT,  /* DATA or the first BDAT, with at least one recipient: answer ev.slot with
                    session_begin_content(), or refuse with session_answer() */
    EV_BODY,     /* ev.parts: content slices, borrowed from the input or static */
    EV_BODY_END, /* content complete (perhaps with last ev.parts): ev.scan holds the result and
                    ev.answer the whole-message refusal that the machine demands, or STATUS_NONE;
                    answer through session_accept_rcpt()/session_refuse_rcpt()/session_finish() */
    EV_NAMING,   /* ADAT: content complete, like EV_BODY_END, and nobody has been named: go on with
                    session_name_rcpts(), or refuse through session_finish(); EV_RCPT follow, to be
                    answered with the content known (OTH-5) */
    EV_COMMIT,   /* ADAT: all have been named; as EV_BODY_END, without a result of the scan */
    EV_ABORT,    /* the transaction ended without a stored message (RSET, EHLO, QUIT, error, BDAT
                    failure): forget it; nothing to answer */
    EV_CLOSE,    /* nothing more will be read; close after the output was sent (QUIT, 421, ...) */
};

/* Only what belongs to @kind is set; nothing is cleared between calls. */
struct session_event {
    enum session_event_kind kind;
    uint32_t slot;   /* what session_answer() wants back */
    uint8_t command; /* EV_REFUSED, enum command */
    struct slice text;
    struct path path; /* slices into the input: copy what must live longer */
    union {
        struct mail_params mail;
        struct rcpt_params rcpt;
    };
    struct answer answer;           /* EV_BODY_END, EV_NAMING, EV_REFUSED */
    const struct scan_result *scan; /* the same: points to @scan_result: copy what you keep */
    struct scan_result scan_result;
    struct slices parts; /* EV_BODY, EV_BODY_END, EV_NAMING; else count is 0 */
};

/*
 * Proof that a message is on stable storage (or that durability asks for less): made by the spool
 * only, checked by session_accept_rcpt().
 */
struct commit_proof {
    uint64_t queue_id; /* != 0 */
    bool is_committed;
};

struct session; /* complete below, private members */

/* session_init() - the greeting is queued as the first output. @config outlives the session. */
void session_init(struct session *s, const struct session_config *config, clock_ns now);

/* session_refuse() - instead of a greeting: 421 or 554 as given, without its enhanced code
 * (CORE-25); the session ends. */
void session_refuse(struct session *s, struct answer answer);

/*
 * session_feed() - consume input up to the next event
 * @in:        borrowed for the call; any bytes, any split
 * @now:       part of the contract of every machine; equal calls give equal output
 * @ret_event: always set
 *
 * Return:  bytes consumed; the rest belongs at the front of the next call
 */
MUST_CHECK size_t session_feed(struct session *s, struct slice in, clock_ns now,
                               struct session_event *ret_event);

/*
 * session_answer() - decide a MAIL, RCPT or CONTENT event
 * 2xx for MAIL opens the transaction; 2xx for RCPT adds one entry to L, and so does 352
 * (STATUS_RCPT_LATER), which is right only where session_may_decide_later(). The answer's text must
 * live until session_output() has formatted it. An answer that comes after the session has ended
 * (session_end_now(), session_eof(), EV_CLOSE) is ignored, here and in all functions below.
 */
void session_answer(struct session *s, uint32_t slot, struct answer answer);

/* session_may_decide_later() - RCPT may be answered 352: this transaction asked for it (DEF-5). */
bool session_may_decide_later(const struct session *s);

/* session_begin_content() - say 354 (DATA) or go on (BDAT), scanning with @scan, which was prepared
 * by the owner through session_scan_options() and scan_begin(), and stays his until the end. */
void session_begin_content(struct session *s, uint32_t slot, struct scan *scan);
struct scan_options session_scan_options(const struct session *s); /* key and rules are NULL */

/*
 * The replies after the content: |L| entries in order, filled in any order, then session_finish().
 * @entries: owner's memory for session_rcpt_count() entries, alive until session_replies_done();
 *           the machine writes here. Set rcpt_code, the rest is cleared by session_set_entries().
 */
enum session_fate {
    SESSION_FATE_OPEN,
    SESSION_FATE_PROMISED, /* he accepts; whether the message is taken, the last reply will say */
    SESSION_FATE_REFUSED,
    SESSION_FATE_ACCEPTED,
};
struct session_entry {
    struct answer answer; /* STATUS_NONE: undecided */
    uint16_t rcpt_code;   /* what RCPT was answered: 250, 251 (PRDR-20) or 352; 0: 250 */
    uint8_t fate;         /* private, enum session_fate */
    bool is_promise_said; /* private: his line has left, before the store had spoken */
};
uint32_t session_rcpt_count(const struct session *s); /* |L| */
enum dialect session_dialect(const struct session *s);
bool session_has_one_reply(
    const struct session *s); /* for all recipients: verdicts must be alike */
void session_set_entries(struct session *s, struct session_entry *entries);
void session_refuse_rcpt(struct session *s, uint32_t entry_idx, struct answer answer);
void session_accept_rcpt(struct session *s, uint32_t entry_idx, struct answer answer,
                         const struct commit_proof *proof);

/*
 * session_promise_rcpt() - a recipient accepts, and the message is not stored yet
 * Only where responsibility moves with the last reply and not with his own (PRDR-29, DEF-12,
 * INL-4): his line may leave now. He is accepted, or refused after all, once the store has spoken.
 */
void session_promise_rcpt(struct session *s, uint32_t entry_idx, struct answer answer);
/* session_may_promise() - that is so in this transaction's dialect. */
bool session_may_promise(const struct session *s);

/* session_name_rcpts() - after EV_NAMING: 355, the message will be taken. */
void session_name_rcpts(struct session *s);

/*
 * session_open_block() - decisions will take a while: let the dialect show signs of life
 * PRDR sends 353 now (PRDR-17) and then each reply as it is decided, giving up the single form; so
 * do DEFERRALS, when somebody was told 352, and the wrapped list. EXDATA, whose first line says
 * that not all is well, does so when somebody has been refused (EXD-10). LMTP does it by itself;
 * nothing happens in a dialect without a block.
 */
void session_open_block(struct session *s);

/* session_force_block() - the same, whatever an opening promises and nobody can know yet (EXD-10,
 * HOL-8): for a server under test, which has no need to keep promises. */
void session_force_block(struct session *s);

/* session_has_block() - the message is being answered recipient by recipient. */
bool session_has_block(const struct session *s);

/* session_has_line() - entry @entry_idx, whose rcpt_code is set, has a line in a block. */
bool session_has_line(const struct session *s, uint32_t entry_idx);

/* session_reply_gap() - once a block is open, the longest time that may pass between two replies;
 * CLOCK_NEVER: no rule. Who cannot promise that opens it when all is decided (DEF-18, DEF-19). */
clock_ns session_reply_gap(const struct session *s);

/* session_show_life() - an open block has been waiting for its next reply: say so, where there is a
 * line for it (HOL-10). */
void session_show_life(struct session *s);

/*
 * session_finish() - all entries are decided; @whole: STATUS_NONE lets the dialect derive the
 * final reply (PRDR-24; plain SMTP: all entries are alike by then), else it overrides (PRDR-25),
 * where the dialect has one. A refusal in @whole also decides all entries that are still open;
 * entries need not have been set then. A success in @whole needs an accepted entry.
 * INLINE-DSN, whose list cannot end in a failure, closes the session instead when that was begun
 * (INL-4).
 */
void session_finish(struct session *s, struct answer whole);
/*
 * session_is_lost() - behind session_finish(): its last reply says that nobody's message was taken
 * Where responsibility moves with that reply, and recipients have lines of their own: what these
 * say does not count then, whether they have left or not (PRDR-25, DEF-15).
 */
bool session_is_lost(struct session *s, struct answer *ret_answer);
/* True once every reply of the last message has been formatted by session_output(): entries and
 * texts may be freed. */
bool session_replies_done(const struct session *s);
/* Replies that session_output() has not wholly formatted; one may turn out to have no octets
 * (LMTP-17). */
uint32_t session_replies_left(const struct session *s);

/* What session_output() may need at once; an empty buffer must not be smaller. */
#define SESSION_OUTPUT_BYTES_MIN 1200

/*
 * session_output() - format ready replies, in order, into @out
 * Return: true when nothing that is ready is left (false: call again with more room)
 */
bool session_output(struct session *s, struct buf *out);
/* How much of what is ready is formatted at once. */
enum session_pace {
    SESSION_PACE_READY, /* all of it */
    SESSION_PACE_ONE,   /* one reply, or one line of a list inside a reply */
    SESSION_PACE_WHOLE, /* all, but of the replies to a message what follows the opening (PRDR-17,
                           HOL-9) waits until the last of them is ready */
};
/* session_output_paced() - the same, as much as @pace says; with ONE it returns false after each
 * reply, and true when nothing was left to format. */
bool session_output_paced(struct session *s, struct buf *out, enum session_pace pace);
/*
 * session_copy() - what would be said next is found out on a copy: @from stays as it is, and
 * nothing that the copy formats is counted
 * @entries: the copy's own, session_rcpt_count() of them
 */
void session_copy(struct session *ret_copy, const struct session *from,
                  struct session_entry *entries);
bool session_wants_close(const struct session *s); /* after output: close the connection */
bool session_has_quit(const struct session *s);    /* it ended by QUIT: nothing unread is to come */

/* session_end_now() - timeout, shutdown or slowness: answers everything outstanding with temporary
 * failures, then @answer (421), then wants close. May be called in any state. */
void session_end_now(struct session *s, struct answer answer);

/* session_quit_follows() - input whose end is @held ends the session by QUIT. */
bool session_quit_follows(struct slice held);

/*
 * session_eof() - the peer half-closed (PRDR-33, DUP-17)
 * @held:  input that was received and not consumed yet
 *
 * Return: true when QUIT was received before, or is the last line of @held, so outstanding work
 *         goes on and @held is fed as usual; false when the peer is gone and the transaction must
 *         be dropped: the session has ended.
 */
bool session_eof(struct session *s, struct slice held);

/* which timeout applies (CORE, table "Timeouts"), for owner and counters */
enum session_phase {
    SESSION_PHASE_COMMAND,
    SESSION_PHASE_CONTENT,
    SESSION_PHASE_DECISION, /* waiting for us */
    SESSION_PHASE_CLOSING,
    SESSION_PHASE_COUNT
};
enum session_phase session_phase(const struct session *s);
/* session_phase_timeout() - default time for one command, one block of content, one decision. */
clock_ns session_phase_timeout(enum session_phase phase);
bool session_in_transaction(const struct session *s);
bool session_has_utf8(const struct session *s);        /* SMTPUTF8 asked on this MAIL */
uint32_t session_error_count(const struct session *s); /* bad commands so far */
/* session_count_replies() - count each reply that is formatted, by status: @counts is the owner's,
 * STATUS_COUNT numbers that others may read meanwhile. */
void session_count_replies(struct session *s, uint64_t *counts);
/* session_is_esmtp() - EHLO rather than HELO: Received PROTO (CORE-51). */
bool session_is_esmtp(const struct session *s);

struct session { /* private to session.c and session_reply.c */
    const struct session_config *config;
    struct scan *scan;
    struct session_entry *entries;
    uint64_t *reply_counts; /* or NULL */
    uint64_t chunk_left;    /* octets of the current BDAT that have not come yet */
    uint64_t chunk_total;   /* octets announced by all BDAT of this message */
    uint32_t rcpt_count;    /* |L| */
    uint32_t entry_idx;     /* next individual reply to format */
    uint32_t mail_count;
    uint32_t error_count;
    uint32_t content_seq; /* slot of DATA or BDAT, then of the replies after the content */
    uint32_t offers;      /* hello_offers() of @config */
    uint8_t state;
    uint8_t state_after_drop;
    uint8_t dialect;
    uint8_t stage;         /* enum dialect_stage */
    uint8_t failed_status; /* what further BDAT are told, enum status */
    bool is_skipping;      /* inside a command line over the limit */
    bool is_esmtp;
    bool can_pipeline; /* was told PIPELINING by EHLO or LHLO */
    bool is_utf8;
    bool is_binary;
    bool is_chunked;
    bool is_last_chunk;
    bool is_over;          /* content above size_max */
    bool was_mail_refused; /* 503 to the rest of its group is not the client's fault */
    bool is_abort_due;     /* EV_ABORT is the next event */
    bool has_quit;
    bool has_rcpt;    /* RCPT was said in this transaction (OTH-3) */
    bool is_life_due; /* session_show_life() */
    bool is_unclosed; /* the block ends without what should close it */
    struct replyq replies;
};
static_assert(sizeof(struct session) <= 256, "an idle session is small");

#endif
