/* SPDX-License-Identifier: Apache-2.0 */
/*
 * point.h - one point of an experiment, and what a run of it gives, whatever ran it.
 *
 * A point is one combination of an experiment's lists: every value is single. A measure is what
 * one run of a point with one seed gave. All ways of running a point give the same measure.
 *
 * All times are model time: nanoseconds, 64 bits, so days are fine. DUP-n is a rule of the fact
 * sheet about duplicates; C, T0, Tr, n, o, Tf and Tw are its letters.
 */
#ifndef LAB_POINT_H
#define LAB_POINT_H

#include "base/clock.h"
#include "base/hist.h"
#include "lab/ledger.h"
#include "load/dist.h"

#define LAB_MIX_ROWS_MAX 16
#define LAB_NAME_BYTES_MAX 32 /* with its NUL */
#define LAB_LIST_RCPT_MIN 2   /* for less, clients ask for no dialect (PRDR-39) */

enum lab_dialect {
    LAB_SMTP,
    LAB_LMTP,
    LAB_PRDR,
    LAB_DEFERRALS,
    LAB_INLINE_DSN,
    LAB_XPRDR1,
    LAB_EXDATA,
    LAB_WRAPPED_A, /* XRCPT250: a line settles its recipient */
    LAB_WRAPPED_B, /* XRCPT250B: the opening line settles all of them */
    LAB_ADAT,
    LAB_DIALECT_COUNT
};

enum lab_pacing {
    LAB_STREAM, /* each reply when it is due */
    LAB_BUFFER, /* all of them when the last one is due; an opener too */
    LAB_PACING_COUNT
};

/* Of the recipients' work, which begins when "before" is over. */
enum lab_order {
    LAB_SEQUENTIAL,
    LAB_CONCURRENT, /* all at once; replies still leave in order */
    LAB_ORDER_COUNT
};

/* The client has left (closed or reset) and the server is at work. */
enum lab_vanished {
    LAB_VANISHED_RUN,   /* S-run: never looks */
    LAB_VANISHED_STOP,  /* S-stop: looks before each commit (DUP-17) and each piece of work */
    LAB_VANISHED_WRITE, /* stops when the write of a reply fails, which is the second one after the
                           client has left (DUP-10) */
    LAB_VANISHED_COUNT
};

/* What starts the client's limit anew after the dot. */
enum lab_timer {
    LAB_TIMER_REPLY, /* "reset": each complete reply */
    LAB_TIMER_TOTAL, /* nothing: one limit from the dot to the last reply */
    LAB_TIMER_LINE,  /* each line, also of one reply (DUP-13) */
    LAB_TIMER_COUNT
};

/* A set: what comes first on a connection is what happens to it. In a black hole, which begins at
 * the dot, nothing else can be noticed any more; a slow link is slow whatever else there is. */
enum lab_cut {
    LAB_CUT_NONE = 0,
    LAB_CUT_AFTER_REPLIES = 1, /* the connection breaks when the client has read cut_replies answers
                                  after the dot: lines about recipients, or the one that there is */
    LAB_CUT_HAZARD = 2,        /* it breaks at hazard_per_s, at every moment from the dot on */
    LAB_CUT_BLACK_HOLE = 4,    /* with black_hole_share, nothing passes any more after the dot and
                                  nobody is told */
    LAB_CUT_SLOW = 8,          /* bytes_per_s each way */
    LAB_CUT_COUNT = 16         /* of sets */
};
#define LAB_CUT_KINDS 4

/* The server of a run with real programs; a simulation is none of them. */
enum lab_program {
    LAB_PROGRAM_SINK, /* postern-sink, by a script */
    LAB_PROGRAM_POSTERND,
    LAB_PROGRAM_EXIM,
    LAB_PROGRAM_DOVECOT,
    LAB_PROGRAM_CYRUS,
    LAB_PROGRAM_COUNT
};

struct lab_server {
    enum lab_program program;
    enum lab_dialect dialect;
    enum lab_pacing pacing;
    enum lab_order order;
    enum lab_vanished vanished;
    struct dist before;       /* T0: work before the first recipient's */
    struct dist per_rcpt;     /* Tr */
    struct dist commit;       /* durable write, added to each commit; 0: none */
    clock_ns opener_ns;       /* o: when a 353 or opening line leaves, from the dot, or with the
                                 first reply when that comes before; CLOCK_NEVER: with that */
    clock_ns final_ns;        /* Tf: from the last individual reply to the final */
    clock_ns progress_ns;     /* wrapped: a sign of life so often (HOL-10); 0: none */
    clock_ns reply_budget_ns; /* from the dot; recipients that are undecided then get 451 and
                                 nothing of theirs is committed; CLOCK_NEVER: none */
    uint32_t refused_count;   /* the first so many recipients of each message are refused: EXDATA
                                 has no list where all is well (EXD-10) */
    double refused_share, deferred_share; /* of the other recipients, 0..1, after their work */
    uint32_t capacity;                    /* messages in work at a time, more wait; 0: no limit */
    double slowdown;        /* work takes (1 + slowdown * messages in work and waiting /
                               capacity) times as long, without a capacity by 1; 0: none */
    bool remembers_scan;    /* a retry of the same content needs no T0 (DUP-21) */
    bool suppresses_copies; /* retry ledger (DUP-22) */
};

/* Whose timers a client has, as far as DUP section 5 knows them. Where a real program is run, it is
 * this one. */
enum lab_like {
    LAB_LIKE_NONE,
    LAB_LIKE_RFC5321,
    LAB_LIKE_POSTFIX,
    LAB_LIKE_POSTFIX_DEADLINE, /* smtp_per_request_deadline = yes */
    LAB_LIKE_EXIM,
    LAB_LIKE_SENDMAIL,
    LAB_LIKE_QMAIL,
    LAB_LIKE_EXCHANGE,
    LAB_LIKE_OPENSMTPD,
    LAB_LIKE_GO_SMTP,
    LAB_LIKE_MOX,
    LAB_LIKE_K9,
    LAB_LIKE_COUNT
};

struct lab_client {
    enum lab_like like; /* told only; the fields below say it all */
    clock_ns limit_ns;  /* C; CLOCK_NEVER: waits for ever */
    enum lab_timer timer;
    clock_ns retry_ns; /* from the end of a try to the next one */
    double retry_factor;
    clock_ns retry_max_ns;
    uint32_t tries_max; /* 1: no retry */
    bool credits_early; /* an individual reply counts at once, as in Exim's PRDR client */
    bool half_closes;   /* sends QUIT behind the content and no more from there (PRDR-33) */
};

struct lab_mix { /* a fleet's clients; without rows: all are like lab_point.client */
    uint32_t count;
    struct lab_mix_row {
        char name[LAB_NAME_BYTES_MAX];
        double share; /* of the senders; shares sum to 1 */
        struct lab_client client;
    } rows[LAB_MIX_ROWS_MAX];
};

struct lab_faults {
    enum lab_cut cut; /* a set of them */
    uint32_t cut_replies;
    double hazard_per_s;
    double black_hole_share;
    clock_ns one_way_ns;    /* delta, each way */
    uint64_t bytes_per_s;   /* LAB_CUT_SLOW */
    bool is_first_try_only; /* later tries have no cut; delay and rate stay */
};

struct lab_point {
    struct lab_server server;
    struct lab_client client;
    struct lab_mix mix;
    struct lab_faults faults;
    uint32_t rcpt_count; /* n */
    uint64_t message_count;
    uint64_t message_bytes;
    double rate_per_s;     /* arrivals, exponential gaps; 0: one message after another is settled */
    uint32_t client_count; /* independent senders, one connection each; 0: as many as are needed */
    clock_ns model_ns_max; /* the run ends here; CLOCK_NEVER: when everything is settled */
    clock_ns time_scale_ns; /* in real time: of a model second */
};

struct lab_bucket {
    uint64_t started; /* messages: their first try */
    uint64_t retries; /* tries that are not the first */
    uint64_t in_work; /* messages at the server, in work and waiting: at most in this bucket */
    uint64_t settled; /* messages: nothing left to try */
    uint64_t copies;  /* commits for a pair that has one already */
};

struct lab_series {
    clock_ns width_ns;
    uint32_t count;
    struct lab_bucket *at;
};

#define LAB_HIST_SUB_BITS 6  /* error < 1.6 % */
#define LAB_HIST_TOP_BITS 57 /* 4.5 years in ns */

struct lab_measure {
    uint64_t seed;
    uint64_t messages, pairs;     /* a pair: (message, recipient) */
    uint64_t tries, tries_failed; /* failed: ended without the reply that would have settled it */
    /* Pairs, by what the client knows in the end. */
    uint64_t accepted, refused, deferred, gave_up;
    uint64_t delivered; /* accepted and there */
    uint64_t lost;      /* accepted and not there */
    uint64_t duplicated_pairs;
    uint64_t copies_excess;              /* sum over pairs of copies - 1, where positive */
    uint64_t causes[LEDGER_CAUSE_COUNT]; /* of copies_excess */
    /* Pairs that the server committed in a message's first try and that this try did not credit:
     * D of DUP-4..11. What the first try's failure costs, whatever became of the next ones. */
    uint64_t copies_first_try;
    uint64_t copies_first_try_sq; /* sum over messages of its square */
    uint64_t copies_excess_sq;    /* the same of copies_excess */
    uint64_t livelocks; /* messages that ran out of tries, no try of which settled any pair */
    struct hist dot_to_first, dot_to_last; /* model ns, of tries that got the reply */
    struct hist settled;                   /* model ns, planned to nothing left to try; messages */
    clock_ns model_ns;                     /* length of the run */
    clock_ns late_ns; /* model time by which the ends or their machine were seen to be late; 0 in a
                         simulation */
    double real_s;
    uint64_t events;
    struct lab_series series; /* count 0: none */
};

static inline bool lab_faults_have(const struct lab_faults *f, enum lab_cut kind)
{
    return ((unsigned)f->cut & (unsigned)kind) != 0;
}

/* lab_measure_init() - empty, histograms with memory; 0 or -ENOMEM. */
MUST_CHECK int lab_measure_init(struct lab_measure *m);
/* lab_measure_deinit() - histograms and series; may be called twice. */
void lab_measure_deinit(struct lab_measure *m);

/* Words of experiment files and results: "wrapped-a", "stream", "stop", "reset". */
const char *lab_program_name(enum lab_program p);
const char *lab_dialect_name(enum lab_dialect d);
const char *lab_timer_name(enum lab_timer t);
const char *lab_like_name(enum lab_like l);

/* All of a choice's words, by value, of cuts by kind; NULL is behind the last. */
extern const char *const lab_program_names[LAB_PROGRAM_COUNT + 1];
extern const char *const lab_dialect_names[LAB_DIALECT_COUNT + 1];
extern const char *const lab_pacing_names[LAB_PACING_COUNT + 1];
extern const char *const lab_order_names[LAB_ORDER_COUNT + 1];
extern const char *const lab_vanished_names[LAB_VANISHED_COUNT + 1];
extern const char *const lab_timer_names[LAB_TIMER_COUNT + 1];
extern const char *const lab_cut_names[LAB_CUT_KINDS + 2];
extern const char *const lab_like_names[LAB_LIKE_COUNT + 1];

#endif
