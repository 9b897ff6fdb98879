/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - client machine for SMTP and LMTP in all dialects, without I/O; for relay, load
 * generator, tests.
 *
 * Bytes in, events out, slices to send. The owner loops:
 *
 *     bool more = client_output(&c, now, &scratch, &parts);   send all parts, then again if more
 *     size_t used = client_feed(&c, received, now, &ev);      consume, handle ev, until MORE
 *
 * One message is under way at a time. Its results are in the owner's array, one for each recipient
 * and by position, never by address (LMTP-21), final for all when CLIENT_EV_DONE comes.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base/buf.h"
#include "base/clock.h"
#include "smtp/data.h"
#include "smtp/hello.h"
#include "smtp/param.h"
#include "smtp/reply.h"
#include "smtp/session.h"

enum client_protocol { CLIENT_SMTP, CLIENT_LMTP };

/* used only where the server offers PIPELINING */
enum client_pipelining {
    CLIENT_PIPELINE_NONE,     /* wait for each reply */
    CLIENT_PIPELINE_ENVELOPE, /* MAIL, RCPT ... DATA in one group */
    /* BDAT behind the envelope too (not on LMTP, LMTP-17), chunks without waiting, QUIT behind the
     * content (PRDR-33, CORE-48). */
    CLIENT_PIPELINE_FULL,
};

/* what is being waited for: each has its timeout, restarted by each reply */
enum client_phase {
    CLIENT_PHASE_GREETING,
    CLIENT_PHASE_HELLO,
    CLIENT_PHASE_MAIL,
    CLIENT_PHASE_RCPT,
    CLIENT_PHASE_DATA,    /* DATA to 354 */
    CLIENT_PHASE_CONTENT, /* our turn to send; restarted by each block sent */
    CLIENT_PHASE_DONE,    /* a reply after the content, each (PRDR-28, LMTP-22) */
    CLIENT_PHASE_OTHER,   /* RSET, QUIT */
    CLIENT_PHASE_IDLE,    /* nothing is outstanding */
    CLIENT_PHASE_COUNT
};

/* What is remembered of one server, by whoever has several connections to it; all zero but for the
 * first two. */
struct client_trust {
    uint32_t failures_max; /* so many in a row, and it is not asked for a dialect; 0: no limit */
    clock_ns hold_ns;      /* for so long */
    uint32_t failures[DIALECT_COUNT];
    clock_ns until[DIALECT_COUNT]; /* not asked for before */
};

/* client_trust_failed() - the content was out, and the connection ended, timed out or spoke garbage
 * before all that was due had been said (DEF-21, PRDR-32). */
void client_trust_failed(struct client_trust *t, enum dialect d, clock_ns now);
/* client_trust_answered() - all was said: what was before is forgiven. */
void client_trust_answered(struct client_trust *t, enum dialect d);
/* client_trust_offers() - @offers without the dialects that the server is not to be asked for. */
uint32_t client_trust_offers(const struct client_trust *t, uint32_t offers, clock_ns now);

struct client_config {
    enum client_protocol protocol;
    enum client_pipelining pipelining;
    struct slice hostname; /* for EHLO */
    /* Of SESSION_OFFER_DIALECTS: ask for the first of these, in the order of dialect.c, that is
     * offered, where there are enough recipients. */
    uint32_t dialects;
    bool wants_chunking;       /* BDAT where offered */
    uint32_t dialect_rcpt_min; /* 0: 2 (PRDR-39) */
    /* A 558 from a server that offers EXDATA, to a message that did not ask for it, is one refusal
     * for all; else it is read as what it looks like, since Courier sends it unasked. */
    bool heeds_exdata_only_if_asked;
    struct client_trust *trust;               /* kept up to date; NULL: nothing is remembered */
    uint64_t chunk_bytes;                     /* octets of a chunk; 0: the whole message is one */
    clock_ns timeouts_ns[CLIENT_PHASE_COUNT]; /* 0: client_phase_timeout() */
};

/* client_phase_timeout() - the least that RFC 5321 4.5.3.2 asks a client to wait. */
clock_ns client_phase_timeout(enum client_phase phase);

struct client_rcpt {
    struct slice address; /* without angle brackets */
    struct rcpt_params params;
};

struct client_message {        /* everything in it lives until CLIENT_EV_DONE */
    struct slice sender;       /* without angle brackets; empty: null sender */
    struct mail_params params; /* size and dialects are filled in by the machine */
    const struct client_rcpt *rcpts;
    uint32_t rcpt_count;
    const struct slice *content; /* CRLF line ends, dots not stuffed */
    uint32_t content_count;
    bool is_plain; /* each slice is data_is_plain(): nothing is looked for in it */
};

enum client_fate {
    CLIENT_FATE_OPEN,
    CLIENT_FATE_DONE,    /* theirs now */
    CLIENT_FATE_REQUEUE, /* try again later, for this recipient */
    CLIENT_FATE_FAIL,    /* give up, for this recipient */
};

struct client_result {
    enum client_fate fate;
    enum client_phase phase; /* whose reply decided: MAIL, RCPT, DATA, DONE; IDLE: none did */
    uint16_t code;           /* 0: no reply did (lost, timeout, protocol error) */
    uint16_t enhanced[3];
    uint16_t rcpt_code; /* reply to RCPT; 0: none yet */
    /* Where a final reply rules, as in PRDR: this recipient's own, worth nothing until then. */
    uint16_t individual_code;
    uint16_t individual_enhanced[3];
};

enum client_event_kind {
    CLIENT_EV_MORE,   /* nothing more in this input: send, or wait for bytes */
    CLIENT_EV_READY,  /* a message may begin, ev.caps tells what was offered */
    CLIENT_EV_REPLY,  /* one whole reply, for logs and clocks; no answer needed; of a reply that
                         holds those of recipients each of these, and what opens and closes it */
    CLIENT_EV_DONE,   /* the message is over, all results are final */
    CLIENT_EV_CLOSED, /* close the connection; ev.error says why; comes after CLIENT_EV_DONE */
};

enum client_error {
    CLIENT_ERROR_NONE,     /* QUIT was answered */
    CLIENT_ERROR_REFUSED,  /* greeting or hello was not 2xx, or 421 */
    CLIENT_ERROR_PROTOCOL, /* garbage, 3xx where none belongs, bytes that nobody asked for */
    CLIENT_ERROR_LOST,     /* client_lost(): end of input, reset */
    CLIENT_ERROR_TIMEOUT,  /* client_lost() by the owner's clock */
    CLIENT_ERROR_CONTENT,  /* bare CR or LF in the content, found while sending (CORE-47) */
};

#define CLIENT_NO_RCPT UINT32_MAX

struct client_event {
    enum client_event_kind kind;
    enum client_error error;
    enum client_phase phase; /* EV_REPLY: what was answered */
    uint32_t rcpt_idx;       /* EV_REPLY: to RCPT or an individual reply; else CLIENT_NO_RCPT */
    bool is_settled;         /* EV_REPLY: results[rcpt_idx] became final by it (LMTP-23) */
    bool is_opening;         /* EV_REPLY: it says only that replies of recipients follow */
    bool is_part;            /* EV_REPLY: some of the lines of one reply, and not the whole */
    uint16_t code;
    uint16_t enhanced[3];
    struct slice text; /* EV_REPLY: of the last line, into the input */
};

struct client {
    const struct client_config *config;
    const struct client_message *message;
    struct client_result *results;
    struct hello_caps caps;
    clock_ns since_ns;     /* start of the current wait */
    uint64_t content_left; /* octets not sent, before stuffing */
    uint64_t chunk_left;   /* octets of the current chunk */
    size_t content_offset; /* into content[content_idx] */
    uint32_t content_idx;
    uint32_t envelope_sent; /* commands: MAIL, RCPT ..., DATA */
    uint32_t envelope_replied;
    uint32_t accepted_count; /* RCPT answered 2xx, or 352 where that was asked for */
    uint32_t listed_count;   /* of those, who has a line after the content */
    uint32_t block_idx;      /* next recipient for an individual reply */
    uint32_t block_count;    /* individual replies so far */
    uint32_t chunks_sent;
    uint32_t chunks_replied;
    struct reply_state reply;
    struct data_stuffing stuffing;
    uint8_t state;   /* private to client.c */
    uint8_t dialect; /* enum dialect */
    uint8_t stage;   /* enum client_stage */
    uint8_t error;
    bool is_skipping;
    bool is_hello_due;
    bool is_ehlo_refused;
    bool uses_chunks;
    bool is_last_announced; /* BDAT LAST, or the terminator of DATA, has been handed out */
    bool is_mail_refused;
    bool is_content_refused; /* a chunk, or DATA */
    bool has_block;          /* replies of recipients are coming, as the first one says */
    bool was_empty;          /* 354 without a recipient: the result is worth nothing */
    bool is_ready_due;
    bool is_done_due;
    bool is_closed_due;
    bool wants_quit;
    bool is_quit_sent;
    bool is_command_due; /* RSET or QUIT is to be sent */
};

/* client_init() - a fresh connection; the server speaks first. @config outlives the client. */
void client_init(struct client *c, const struct client_config *config, clock_ns now);

/* client_init_again() - the same behind STARTTLS: hello comes next, and no greeting. */
void client_init_again(struct client *c, const struct client_config *config, clock_ns now);

/* client_is_ready() - after CLIENT_EV_READY, until the next message or QUIT. */
bool client_is_ready(const struct client *c);

/*
 * client_begin() - start a message; only when client_is_ready()
 * @results: owner's memory, message->rcpt_count entries, cleared here
 *
 * What the server cannot take is decided at once, without a command: SMTPUTF8 or BINARYMIME not
 * offered, or above its SIZE. CLIENT_EV_DONE then comes from the next client_feed().
 */
void client_begin(struct client *c, const struct client_message *message,
                  struct client_result *results, clock_ns now);

/* client_quit() - send QUIT when nothing is left to do, or behind the content (FULL). */
void client_quit(struct client *c);

/* The longest command; the scratch buffer of client_output() is at least that big. */
#define CLIENT_COMMAND_BYTES_MAX COMMAND_LINE_BYTES_MAX

/*
 * client_output() - what may be sent now
 * @scratch:  memory for commands, empty; must live until all parts were sent
 * @parts:    out, in order: slices into @scratch, into the content and into static storage
 *
 * Return:  true when there is more to send right after these parts
 */
bool client_output(struct client *c, clock_ns now, struct buf *scratch, struct slices *parts);

/*
 * client_feed() - read replies up to the next event
 * Return:  bytes consumed; the rest belongs at the front of the next call
 */
MUST_CHECK size_t client_feed(struct client *c, struct slice in, clock_ns now,
                              struct client_event *ret_event);

/* client_has_event() - client_feed() has an event even without input: ask after client_output(),
 * client_begin() and client_lost(). */
bool client_has_event(const struct client *c);

/* client_lost() - the connection is gone or a timeout has passed: what is open is requeued; feed
 * an empty slice for the events. */
void client_lost(struct client *c, enum client_error error);

/* client_dialect() - how the message that is under way, or was last, is answered; final only when
 * its replies have begun (EXDATA may come unasked). */
enum dialect client_dialect(const struct client *c);

/* client_is_naming() - ADAT: the content is taken, and its recipients are being named. */
bool client_is_naming(const struct client *c);

/* client_replies_due() - to the content, those that only open a block left out; what is known so
 * far. */
uint32_t client_replies_due(const struct client *c);

/* client_phase() - what is being waited for now. */
enum client_phase client_phase(const struct client *c);

/* client_deadline() - when the current wait ends; CLOCK_NEVER with nothing outstanding. */
clock_ns client_deadline(const struct client *c);

#endif
