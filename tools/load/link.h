/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.h - one connection of the generator, without I/O: from the moment it is dialled to its end.
 *
 * Owns a client machine and, where asked for, TLS; records the latency of every phase; knows the
 * timeouts; and misbehaves as told. Whoever owns the socket calls
 *
 *     link_dial(), then link_connected() or link_lost()
 *     link_input() with what was received, then link_next() until it says LINK_EV_MORE
 *     link_output() for what is to be sent, and link_sent() once the kernel has it
 *     link_expire() when link_deadline() has passed
 *
 * and link_next() again after each of them. Time is an argument throughout.
 */
#ifndef LOAD_LINK_H
#define LOAD_LINK_H

#include "base/pool.h"
#include "load/job.h"
#include "load/tls.h"

enum link_tls { LINK_TLS_NONE, LINK_TLS_STARTTLS, LINK_TLS_IMPLICIT };

enum link_how { /* how a connection is given up */
                LINK_HOW_CLOSE,
                LINK_HOW_RESET,  /* SO_LINGER 0 */
                LINK_HOW_SILENT, /* the peer is told nothing: the socket stays, and nobody reads it
                                  */
};

enum link_restart { /* what begins the wait for a reply anew (DUP-13) */
                    /* each reply, and each line of one that holds those of recipients (EXD-16,
                     * HOL-15) */
                    LINK_RESTART_RESET,
                    LINK_RESTART_LINE,  /* each line of any reply */
                    LINK_RESTART_REPLY, /* each whole reply: all its lines have one deadline */
                    LINK_RESTART_TOTAL, /* nothing: one deadline over all replies of the phase */
                    LINK_RESTART_COUNT
};

struct link_timeouts {
    clock_ns connect_ns;
    clock_ns tls_ns;
    enum link_restart restarts[CLIENT_PHASE_COUNT];
};

struct link_config {             /* one for each target of a worker */
    struct client_config client; /* with its timeouts, all of them set */
    struct link_timeouts timeouts;
    enum link_tls tls;
    struct tls_context *tls_context;
    uint32_t reuse_max;      /* messages a connection; 0: no limit */
    bool half_closes;        /* shut the write side down behind QUIT */
    bool resets;             /* RST in the place of QUIT */
    uint32_t vanish_replies; /* of a job that vanishes: after so many replies behind the dot */
    enum link_how vanish_how;
};

#define LINK_CARRY_BYTES ((size_t)2 * REPLY_READ_LINE_BYTES_MAX)
#define LINK_SERVER_TEXT_BYTES 512

enum link_state {
    LINK_COLD,
    LINK_CONNECTING,
    LINK_HANDSHAKE, /* TLS */
    LINK_STARTTLS,  /* the command is out, or about to be */
    LINK_TALKING,
    LINK_CLOSED, /* to be closed by the owner, as link_how() says */
};

enum link_event {
    LINK_EV_MORE,
    LINK_EV_READY, /* link_begin() may be called */
    LINK_EV_DONE,  /* the job is over: take it with link_take_job() */
    LINK_EV_CLOSED,
};

struct link {
    const struct link_config *config;
    struct load_stats *stats;
    struct pool *carries; /* memory for partial lines, LINK_CARRY_BYTES each */
    struct job *job;
    struct tls *tls;
    char *server_text; /* LINK_SERVER_TEXT_BYTES, NUL-terminated: greeting and hello go there too */
    uint8_t *carry;
    uint32_t carry_len;
    struct slice in; /* borrowed until link_next() says MORE */
    struct client client;
    enum link_state state;
    enum link_how how;
    uint32_t message_count; /* on this connection */
    bool is_secure;
    bool resumes;
    bool is_cipher_lost;
    bool is_begun; /* the client machine has the job */
    bool is_ready;
    bool is_command_due; /* STARTTLS */
    bool is_sending;     /* output was handed out, link_sent() is to come */
    bool is_content_begun;
    bool is_end_handed; /* the last octet of the content is in the output */
    bool is_end_sent;
    bool was_quit_handed;
    bool is_half_close_due;
    bool is_done_due, is_closed_due;
    enum attempt_cause given_up_for; /* by us, and why; 0: not */
    enum client_phase phase;         /* for deadlines over a whole phase */
    clock_ns phase_at;
    clock_ns reply_at; /* the last whole reply, or what we sent */
    clock_ns line_at;  /* the last line, or what we sent */
    clock_ns out_at;   /* last progress of sending */
    clock_ns connect_at, up_at, tls_at, hello_at, mail_at, rcpt_at, data_at, content_at, end_at,
        last_reply_at;
    struct reply_state reply; /* to STARTTLS */
    uint16_t last_code;
    uint16_t last_enhanced[3];
    enum client_phase last_phase;
};

void link_init(struct link *l, const struct link_config *config, struct load_stats *stats,
               struct pool *carries);
/* link_deinit() - give back what it holds, in any state. */
void link_deinit(struct link *l);

/* link_dial() - the owner begins to connect; @job: what the connection is for, or NULL. */
void link_dial(struct link *l, struct job *job, clock_ns now);
/* link_connected() - @resumes: offer a TLS session that is known. */
void link_connected(struct link *l, bool resumes, clock_ns now);
/* link_begin() - start a job on a connection that is ready. */
void link_begin(struct link *l, struct job *job, clock_ns now);
/* link_quit() - end it in good order when it is ready; at once, when that was chosen. */
void link_quit(struct link *l, clock_ns now);
/* link_stop() - the run ends: what is under way is given up. */
void link_stop(struct link *l, clock_ns now);
/* link_lost() - end of input (0) or a negative errno of connect, receive or send. */
void link_lost(struct link *l, int res, clock_ns now);

/*
 * link_output() - what is to be sent now
 * @scratch: empty, 2 * CLIENT_COMMAND_BYTES_MAX or more (TLS: 20 KiB); lives until link_sent()
 * Return:   true when there is more behind these parts
 */
bool link_output(struct link *l, clock_ns now, struct buf *scratch, struct slices *parts);
/* link_progress() - some of the output has gone. */
void link_progress(struct link *l, clock_ns now);
/* link_sent() - all of the output is with the kernel, since @at. */
void link_sent(struct link *l, clock_ns at, clock_ns now);
/* link_waits_for_sent() - something is to happen once the output is sent: say so soon. */
bool link_waits_for_sent(const struct link *l);
/* link_wants_half_close() - true once, when the write side is to be shut down now. */
bool link_wants_half_close(struct link *l);

/* link_input() - received bytes, or SLICE_EMPTY for events that need none. */
void link_input(struct link *l, struct slice in);
MUST_CHECK enum link_event link_next(struct link *l, clock_ns now);
/* link_has_event() - link_next() has something to say without input: ask after link_output(). */
static inline bool link_has_event(const struct link *l)
{
    return l->is_done_due || l->is_closed_due ||
           (l->state == LINK_TALKING && client_has_event(&l->client));
}
/* link_take_job() - after LINK_EV_DONE. */
struct job *link_take_job(struct link *l);

/* link_deadline() - when link_expire() is to be called, which may find that it is too early. */
clock_ns link_deadline(const struct link *l);
void link_expire(struct link *l, clock_ns now);

#endif
