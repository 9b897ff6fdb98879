/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - one connection: operations in flight, input that waits, session, teardown.
 *
 * At most 1 KiB, because an idle connection costs no more than this (design.md section 6): buffers
 * for partial commands and for replies are chunks that are taken while they are needed.
 */
#ifndef CONN_H
#define CONN_H

#include "chunk.h"
#include "io/ring.h"
#include "io/timer.h"
#include "smtp/session.h"
#include <netinet/in.h>

struct listener;
struct shard;
struct txn;
struct held_window;
struct doubt;

enum conn_state {
    CONN_OPEN,      /* reading and answering */
    CONN_FLUSHING,  /* the last replies are on their way, input is no longer read */
    CONN_LINGERING, /* our side is shut down; waiting for the peer's end, so that he reads it all */
    CONN_DRAINING,  /* everything is cancelled; waiting for operations in flight */
};

enum conn_output {
    CONN_OUTPUT_FREE,   /* nothing is on its way */
    CONN_OUTPUT_AHEAD,  /* some of c->out has left with the commit, and the session will say it */
    CONN_OUTPUT_SENT,   /* c->out is being sent */
    CONN_OUTPUT_LINKED, /* c->out waits in the ring for the commit (pace.h) */
};

struct conn {
    struct session session;
    struct list dirty;   /* on shard->dirty: has output to send at the end of the turn */
    struct list waiting; /* on shard->starved, shard->stalled or shard->drained */
    struct list holding; /* on shard->holding: input waits in receive buffers */
    struct timer timer;  /* fires at or before @deadline; lazily re-armed */
    clock_ns deadline;
    clock_ns opened_at;
    clock_ns progress_at; /* last complete command, or content byte */
    clock_ns send_since;
    clock_ns content_since;
    clock_ns rate_check_at;
    uint64_t content_bytes; /* received since the last check of the rate */
    struct listener *listener;
    struct txn *txn;
    struct chunk *carry; /* an incomplete command line */
    struct chunk *out;   /* replies being sent */
    struct held_window *held_first;
    struct held_window *held_last;
    struct doubt *doubts; /* stored messages whose replies are not known to have been read */
    int32_t file;
    uint32_t out_sent; /* of c->out */
    uint16_t generation;
    uint16_t ops_count; /* operations in flight */
    uint16_t held_count;
    uint8_t state;  /* enum conn_state */
    uint8_t output; /* enum conn_output; up to AHEAD the session is asked for more */
    uint8_t helo_len;
    uint8_t out_parts; /* the sends that c->out is to leave in; 0: one */
    bool is_recv_armed : 1;
    bool is_recv_cancelled : 1;
    bool is_watched : 1; /* no receive is armed, and his leaving would matter */
    bool is_eof : 1;
    bool is_lost : 1;
    bool is_processing : 1;    /* inside conn_process(): answers given now are picked up by it */
    bool is_blocked : 1;       /* session wants an answer first */
    bool is_carry_blocked : 1; /* c->carry holds a complete line that waits for it */
    bool is_stalled : 1;       /* on shard->stalled: the spool has to catch up first */
    bool has_progress : 1;
    bool is_in_content : 1; /* content_since is that of the content which arrives now */
    const char *end_reason; /* for the log, NULL: ordinary */
    uint8_t helo[HELO_BYTES_MAX];
    struct sockaddr_storage peer; /* written by the ring until RING_PEERNAME came back */
};
static_assert(sizeof(struct conn) <= 1024, "memory of an idle connection");

/* conn_open() - a connection was accepted as @file. Takes ownership of it. */
void conn_open(struct shard *sh, struct listener *l, int32_t file);
void conn_on_event(struct shard *sh, const struct ring_event *ev);
void conn_on_timer(struct shard *sh, struct conn *c);
/* conn_resume() - an answer was given outside conn's own loop: go on with input that waits. */
void conn_resume(struct shard *sh, struct conn *c);
/* conn_stall() - its content has to wait: nothing more is received until conn_rearm(). */
void conn_stall(struct shard *sh, struct conn *c);
/* conn_rearm() - receive buffers are free again, or the spool has caught up. */
void conn_rearm(struct shard *sh, struct conn *c);
/* conn_drop() - close without another word: no reply would be true, or nobody is there to read it.
 */
void conn_drop(struct shard *sh, struct conn *c, const char *reason);
/* conn_evacuate() - free the receive buffers in which its input waits; false: some are left. */
MUST_CHECK bool conn_evacuate(struct shard *sh, struct conn *c);
/* conn_flush() - send what is ready (end of the turn). */
void conn_flush(struct shard *sh, struct conn *c);
/* conn_close() - nothing is in flight any more (end of the turn): the file and the slot go back. */
void conn_close(struct shard *sh, struct conn *c);
/* conn_drain() - the server stops: end it now when idle, else after its transaction. */
void conn_drain(struct shard *sh, struct conn *c, bool is_forced);

/* conn_out_give() - c->out has left, or never will. */
void conn_out_give(struct shard *sh, struct conn *c);

/* conn_token() - of an operation of this connection. */
struct ring_token conn_token(struct shard *sh, const struct conn *c, enum ring_kind kind);
struct slice conn_helo(const struct conn *c);
/* conn_client_address() - the peer's address, family AF_UNIX or AF_UNSPEC when there is none. */
const struct sockaddr_storage *conn_client_address(const struct conn *c);
/* conn_client_text() - "192.0.2.1:1234", "[2001:db8::1]:1234" or "unix" into @memory. */
void conn_client_text(const struct conn *c, char *memory, size_t cap, struct slice *ret_text);

#endif
