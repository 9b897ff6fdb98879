/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_state.h - what the files of the simulation share: messages, connections with their two ends,
 * and the run.
 *
 *     plan -> message -> connection (one a try) -> client end <-> pipes <-> server end
 *                            |                                                  |
 *                            +---- attempts --> account <---- arrivals ---------+
 *
 * The ends never call each other: octets go through the pipes, which make events of them. Each
 * event belongs to one message or connection, named by its index in the pool and its generation.
 */
#ifndef LAB_SIM_STATE_H
#define LAB_SIM_STATE_H

#include "lab/sim.h"
#include "lab/sim_queue.h"
#include "base/list.h"
#include "base/pool.h"
#include "base/rng.h"
#include "smtp/client.h"
#include "smtp/session.h"

#define SIM_ADDRESS_BYTES_MAX 24 /* "r4294967295@mx.example" */
#define SIM_HEAD_BYTES_MAX 192
#define SIM_SEGMENT_BYTES 4000
#define SIM_SCRATCH_BYTES (16 * KIB)
#define SIM_NO_RECORD UINT32_MAX
#define SIM_NO_SENDER UINT32_MAX

enum sim_event_kind {
    SIM_PLAN,    /* the next message arrives */
    SIM_DUE,     /* of a message: its next try */
    SIM_DELIVER, /* from here on of a connection; arg: enum sim_way */
    SIM_CUT,     /* both ends see a reset */
    SIM_LIMIT,   /* of the client */
    SIM_BEFORE,  /* T0 is over */
    SIM_RCPT,    /* Tr is over; arg: position in the try */
    SIM_COMMITTED_RCPT,
    SIM_COMMITTED_OPENER,
    SIM_FINAL,
    SIM_COMMITTED_ALL,
    SIM_OPENER,
    SIM_PROGRESS,
    SIM_GAP,
    SIM_BUDGET,
    SIM_IDLE,
};

/* ---- wire ---- */

enum sim_way { SIM_UP, SIM_DOWN }; /* to the server, to the client */
enum sim_mark { SIM_MARK_NONE, SIM_MARK_SYN, SIM_MARK_FIN, SIM_MARK_RST };

struct sim_segment {
    struct sim_segment *next;
    clock_ns at; /* of arrival */
    uint32_t len, offset;
    enum sim_mark mark;
    uint8_t bytes[SIM_SEGMENT_BYTES];
};

struct sim_pipe {
    struct sim_segment *head, *tail;       /* under way */
    struct sim_segment *in_head, *in_tail; /* arrived, not read */
    clock_ns busy_until;                   /* the last octet has left */
    uint64_t sent;                         /* octets, also those that went into a black hole */
    uint64_t delivered; /* octets, without those that a cut has kept from being read */
    uint32_t queued_bytes;
    bool has_fin;    /* it was sent */
    bool is_refused; /* the receiver's reset has reached the sender: writes fail */
};

/* ---- messages ---- */

struct sim_pair {
    clock_ns committed_at; /* for the last time */
    uint32_t commits;
    bool is_open; /* of the client: to be tried again */
    bool was_committed_first, was_credited_first;
    bool is_read; /* the reply to the last commit is known to have been read (DUP-23) */
};

struct sim_message {
    struct list live;  /* in sim.messages_live */
    struct list queue; /* of its sender */
    uint64_t seq;
    clock_ns planned_at;
    uint32_t generation;
    uint32_t sender;  /* SIM_NO_SENDER */
    uint32_t row;     /* of the clients */
    uint32_t attempt; /* number of the next try */
    uint32_t conn_count;
    uint32_t open_count;
    uint32_t record_head, record_tail;
    bool is_scanned;  /* DUP-21 */
    bool is_over;     /* nothing left to try */
    bool has_settled; /* a try settled somebody */
    struct sim_pair pairs[];
};

struct sim_sender {
    struct list waiting; /* messages whose time has come */
    uint32_t row;
    bool is_busy;
};

/* ---- connections ---- */

enum sim_stage {
    SIM_STAGE_NONE,
    SIM_STAGE_WAITING, /* for a place at work */
    SIM_STAGE_BEFORE,
    SIM_STAGE_EACH,
    SIM_STAGE_NAMED, /* ADAT: 355 was said */
    SIM_STAGE_FINAL,
    SIM_STAGE_COMMITTING,
    SIM_STAGE_DONE,
};

enum sim_work { SIM_WORK_NONE, SIM_WORK_BEGUN, SIM_WORK_COMMITTING, SIM_WORK_DECIDED };
enum sim_verdict { SIM_ACCEPT, SIM_REFUSE, SIM_DEFER, SIM_LATE };

struct sim_rcpt { /* at the server, by position in the try */
    clock_ns committed_at;
    uint64_t reply_end; /* octets of output up to its reply; UINT64_MAX: there was none */
    uint32_t idx;       /* in the message */
    uint32_t slot;      /* ADAT */
    uint8_t work;       /* enum sim_work */
    uint8_t verdict;    /* enum sim_verdict */
    bool is_committed;
    bool is_suppressed; /* DUP-22: it is here already */
    bool is_held;       /* refused, but taken with the others by the one reply (CORE-8) */
    bool is_answered;   /* the machine was told */
};

struct sim_client_end {
    struct client machine;
    const struct lab_client *config;
    clock_ns start_at, dot_at, reply_at, line_at, sent_at;
    clock_ns limit_at; /* when the earliest of its limit events is due */
    uint32_t replies_seen;
    uint32_t answers; /* replies about recipients, or the one that there is */
    bool is_open;
    enum client_phase phase;
    bool is_begun, is_dot_sent, is_done;
    bool has_reply; /* behind the dot */
    bool is_block;  /* it is no single reply */
    bool is_stopped;
};

struct sim_server_end {
    struct session machine;
    struct scan *scan;
    struct list waiting; /* in sim.waiting */
    clock_ns dot_at, answered_at;
    uint32_t rcpt_count;
    uint32_t decided_count, begun_count, committing_count;
    uint32_t answered_count; /* from the first one on without a gap */
    uint64_t opener_end;     /* reading B: when so many octets were read, its opening line was */
    uint8_t stage;           /* enum sim_stage */
    uint8_t dialect;         /* enum dialect, from the end of the content on */
    bool is_open, was_open;
    bool has_content; /* only then there is something in rcpts */
    bool is_at_hand, is_in_work;
    bool is_block, is_gap_armed;
    bool is_opener_due;       /* reading B: the content is being written */
    bool is_opener_committed; /* it is there */
    bool is_final_due;        /* all are decided, and wait for that */
    bool has_eof, is_broken, is_gone;
    bool is_drop_due; /* as soon as nothing is being written any more */
    bool is_budget_over;
    bool is_quit_early; /* QUIT came before the last reply had left */
};

struct sim_conn {
    struct list live; /* in sim.conns_live */
    struct sim_message *message;
    struct ladder *ladder; /* NULL: not this one */
    uint64_t number;
    uint32_t generation;
    uint32_t attempt;
    uint32_t rcpt_count; /* of this try */
    bool is_cut;         /* no octet is delivered any more */
    bool is_cut_known;   /* and both ends have been told */
    bool is_silent;      /* the same, and nobody is told */
    clock_ns cut_at;
    struct rng rng;
    struct sim_pipe pipes[2]; /* by enum sim_way */
    struct sim_client_end client;
    struct sim_server_end server;
    struct client_message envelope;
    struct slice content[2];
    /* By position in the try; behind this struct. */
    struct client_rcpt *client_rcpts;
    struct client_result *results;
    struct session_entry *entries;
    struct sim_rcpt *rcpts;
    uint32_t *idxs; /* in the message */
    uint8_t head[SIM_HEAD_BYTES_MAX];
};

/* ---- the run ---- */

struct sim_record { /* of an attempt or arrival, until its message is over */
    uint32_t next;
    uint32_t rcpt_idx;
    uint32_t attempt;
    uint32_t replies_seen, replies_due;
    bool is_arrival;
    bool will_retry;
    uint8_t fate, cause, sent; /* of an attempt */
    uint8_t delivered;         /* of an arrival */
};

struct sim {
    const struct lab_point *point;
    const struct lab_sim_options *options;
    struct lab_measure *measure;
    uint64_t seed, run;
    clock_ns now;
    clock_ns now_base; /* model time before the clock was set back to 0 */
    int failure;
    struct sim_queue queue;
    struct pool conns, messages, segments, records, scans;
    struct list conns_live, messages_live;
    struct list waiting; /* connections, for a place at work */
    uint32_t at_hand, in_work;
    uint32_t at_hand_noted; /* in the series */
    uint32_t generation;
    uint64_t conn_number;
    uint64_t planned_count;
    bool is_stopping; /* the run has ended */
    struct rng plan_rng;
    struct session_config session_config;
    const struct lab_client *clients[LAB_MIX_ROWS_MAX];
    struct client_config client_configs[LAB_MIX_ROWS_MAX];
    uint32_t client_count;
    struct sim_sender *senders;
    struct client_rcpt *rcpts; /* all of a message */
    char *addresses;
    uint8_t *body;
    size_t body_bytes;
    struct ledger *ledger;
    uint32_t ledger_pairs; /* in it */
    void *hash;            /* XXH3 state; NULL: no arrivals are written */
    uint64_t commit_count; /* for proofs */
    uint8_t scratch[SIM_SCRATCH_BYTES];
};

/* sim_push() - an event of @c, @after_ns from now. */
void sim_push(struct sim *sim, const struct sim_conn *c, enum sim_event_kind kind, uint32_t arg,
              enum sim_rank rank, clock_ns after_ns);
/* sim_try_over() - the client knows what became of the try: on to the next one, or none. */
void sim_try_over(struct sim *sim, struct sim_conn *c);
/* sim_client_gone() - its end of the connection is closed. */
void sim_client_gone(struct sim *sim, struct sim_conn *c);
/* sim_fail() - the run ends with this errno. */
void sim_fail(struct sim *sim, int result);
/* sim_wall() - the wall clock of the files, which begin on 2026-01-01. */
wall_us sim_wall(const struct sim *sim, clock_ns at);

#endif
