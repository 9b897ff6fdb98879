/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - one connection of the sink: session, what it waits for, output, its end.
 */
#ifndef SINK_CONN_H
#define SINK_CONN_H

#include "io/ring.h"
#include "io/timer.h"
#include "shared.h"
#include "txn.h"

struct worker;
struct worker_listener;

enum conn_state {
    CONN_OPEN,
    CONN_FLUSHING,  /* what is formatted leaves, then it ends; input is not looked at */
    CONN_LINGERING, /* our side is shut down; waiting for the peer's end */
    CONN_DRAINING,  /* cancelled; waiting for operations in flight */
    CONN_CLOSED,    /* the descriptor is gone; a message goes on without its client */
};

enum conn_phase { /* what is done next, when nothing has to be waited for */
                  CONN_PHASE_CONNECT,
                  CONN_PHASE_INPUT,
                  CONN_PHASE_COMMAND, /* the delay of a command is over */
                  CONN_PHASE_ENDED,   /* the content is complete; older replies first */
                  CONN_PHASE_WORK,    /* on the message, its recipients; see enum txn_stage */
                  CONN_PHASE_REPLIES, /* all is decided, and leaves */
};

#define OUT_BYTES_MAX 8176
struct conn_out {
    uint32_t len;       /* formatted */
    uint32_t sent;      /* has left */
    uint32_t submitted; /* the kernel has it */
    uint32_t unused;
    uint8_t bytes[OUT_BYTES_MAX];
};

struct conn {
    struct session session;
    struct list all;
    struct list dirty;
    struct list drained;
    struct list settling; /* transactions whose replies are not known to have arrived */
    struct timer timer;
    clock_ns wait_until;  /* before the next step */
    clock_ns stall_until; /* nothing is read */
    clock_ns mute_until;  /* nothing is sent */
    clock_ns pace_ns;     /* between the lines that are sent, until all has left; 0: as they come */
    clock_ns life_at;     /* an open list says that it is alive; 0: it does not */
    clock_ns idle_since;
    clock_ns linger_until;
    uint64_t number;
    uint64_t formatted; /* octets of replies that were formatted, and that have left */
    uint64_t sent;
    uint64_t pace_from;    /* of them, what had been answered before is not held up */
    uint64_t acked;        /* what had arrived when it was closed */
    uint64_t endless_left; /* octets of a line that does not end */
    uint64_t content_left; /* before the next thing happens */
    struct txn *txn;
    uint8_t *carry; /* input that waits */
    size_t carry_cap;
    struct slice input; /* into a receive buffer or into @carry */
    struct conn_out *out;
    struct script_effect effect; /* of the point that is being waited for */
    uint32_t slot;
    uint32_t txn_count;
    int fd;
    uint16_t generation;
    uint16_t ops_count;
    uint8_t state; /* enum conn_state */
    uint8_t phase; /* enum conn_phase */
    uint8_t point; /* enum script_point of CONN_PHASE_COMMAND */
    uint8_t drop;  /* enum script_drop, when all has left */
    uint8_t cut;   /* the same, before conn_drop() is called for it: nothing more is formatted */
    enum script_drop content_drop;
    uint64_t content_stall_ns;
    enum script_tweak tweak; /* for the next reply */
    uint64_t tweak_number;
    struct slice tweak_text;
    bool has_source; /* counted at its source */
    bool is_recv_armed;
    bool is_recv_cancelled;
    bool is_sending;
    bool is_withheld; /* nothing is formatted yet */
    bool is_pumping;
    bool is_eof;
    bool is_broken;   /* reset, by whom ever */
    bool is_gone;     /* no reply of the message can leave any more */
    bool is_spoiled;  /* the last reply was not what it should have been */
    bool is_skipping; /* the next reply came early */
    bool has_content_limit;
    struct sockaddr_storage peer;
};

/* conn_open() - a client was accepted as @fd. */
void conn_open(struct worker *w, const struct sink_listen *l, int fd);
void conn_on_event(struct worker *w, const struct ring_event *ev);
void conn_on_timer(struct worker *w, struct conn *c);
/* conn_on_place() - its message has its turn at work. */
void conn_on_place(struct worker *w, struct conn *c);
/* conn_flush() - send what is ready (end of the turn). */
void conn_flush(struct worker *w, struct conn *c);
/* conn_close() - nothing is in flight any more. */
void conn_close(struct worker *w, struct conn *c);
enum conn_stop {
    CONN_STOP_IDLE, /* 421, unless a transaction is open */
    CONN_STOP_ALL,  /* 421 in any case; messages that go on alone are forgotten */
    CONN_STOP_CUT,  /* no more words */
};
/* conn_stop() - the sink ends. */
void conn_stop(struct worker *w, struct conn *c, enum conn_stop how);

/* --- for decide.c and taken.c ---------------------------------------------------------------- */

/* conn_format() - ready replies into c->out, spoiled as the script says; true: nothing is left. */
bool conn_format(struct worker *w, struct conn *c);
/* conn_has_room() - the longest reply fits; else it is sent first. */
bool conn_has_room(struct worker *w, struct conn *c);
/* conn_has_unsent() - something that was formatted has not left yet. */
bool conn_has_unsent(struct worker *w, struct conn *c);
/* conn_drop() - what was answered leaves, then the connection ends. */
void conn_drop(struct worker *w, struct conn *c, enum script_drop how);
/* conn_apply() - stalls, pace and tweak of @e. */
void conn_apply(struct worker *w, struct conn *c, const struct script_effect *e);
/* conn_facts() - what is known of a connection and its transaction. */
struct script_facts conn_facts(const struct conn *c);

#endif
