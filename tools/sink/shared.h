/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shared.h - what all workers of the sink have in common: configuration, script, what is remembered
 * of messages, places at work, the table of sources, the arrival ledger's file, and the wish to
 * stop.
 *
 * Everything that changes is behind a lock or atomic, and is touched only where an option or the
 * script asks for it; a sink that just discards shares two counters.
 */
#ifndef SINK_SHARED_H
#define SINK_SHARED_H

#include "memory.h"
#include "place.h"
#include "script.h"
#include <pthread.h>
#include <sys/un.h>

#define SINK_LISTEN_MAX 64
#define SINK_WORKERS_MAX 64

union sink_addr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage storage;
};

struct sink_listen { /* one --listen */
    char url[256];
    union sink_addr addr;
    socklen_t addr_bytes;
    bool is_lmtp;
};

struct sink_options {
    struct sink_listen listens[SINK_LISTEN_MAX];
    uint32_t listen_count;
    uint32_t worker_count;
    uint32_t conn_count_max; /* of all workers together */
    uint32_t source_conns_max;
    uint32_t source_rate_max; /* messages per second and source */
    uint32_t rcvbuf_bytes;    /* 0: the kernel's choice */
    uint64_t message_count_max;
    uint64_t conns_count_max; /* end after so many connections; 0: no limit */
    uint64_t seed;
    uint32_t capacity; /* messages in work at a time; 0: no limit */
    double slowdown;   /* of work under load; 0: none */
    clock_ns idle_ns_max;
    clock_ns grace_ns; /* for transactions when the sink ends */
    struct session_config smtp;
    struct session_config lmtp;
    char banner[REPLY_LINE_BYTES_MAX]; /* empty: the machine's own */
    char hostname[DOMAIN_BYTES_MAX + 1];
    const char *ledger_path;
    const char *store_dir;
    bool is_quiet; /* no summary at the end */
};

enum sink_counter {
    SINK_CONNS,
    SINK_CONNS_REFUSED,
    SINK_CONNS_LOST,    /* by the client, without QUIT */
    SINK_CONNS_DROPPED, /* by the script */
    SINK_CONNS_TIMED_OUT,
    SINK_MESSAGES, /* contents that came to their end */
    SINK_MESSAGES_COMMITTED,
    SINK_RCPTS_COMMITTED,
    SINK_RCPTS_REFUSED, /* at RCPT or after the content */
    SINK_CONTENT_BYTES,
    SINK_REPLIES_YES, /* of recipients committed: arrived, did not arrive, not known */
    SINK_REPLIES_NO,
    SINK_REPLIES_UNKNOWN,
    SINK_TWEAKS,
    SINK_NOTICES, /* owed, for refusals that are not known to have been read */
    SINK_COUNTER_COUNT
};
const char *sink_counter_name(enum sink_counter c);

struct source_table;

struct shared {
    struct sink_options options;
    struct script *script;
    struct memory *memory;        /* NULL: nobody asks */
    struct places *places;        /* NULL: all is worked on at once */
    struct source_table *sources; /* NULL: no limits */
    int ledger_fd;                /* -1: none */
    int wake_fd;                  /* main waits for it */
    bool wants_identity;
    pthread_barrier_t started; /* all workers and the main thread */
    uint64_t conn_total;
    uint64_t conn_ended_total;
    uint64_t message_total;
    int stop;  /* enum shared_stop */
    int error; /* negative errno: the ledger or the store failed */
};

enum shared_stop { SHARED_RUN, SHARED_STOP, SHARED_STOP_NOW };

/* shared_init() - tables and ledger as the options ask for; false with @ret_text. */
MUST_CHECK bool shared_init(struct shared *sh, char *ret_text, size_t text_cap);
void shared_deinit(struct shared *sh);

/* shared_ask_stop() - from any thread: no more connections; the main thread tells the workers. */
void shared_ask_stop(struct shared *sh, enum shared_stop how);
/* shared_ask_wake() - the main thread looks around. */
void shared_ask_wake(const struct shared *sh);
enum shared_stop shared_stop(const struct shared *sh);
/* shared_fail() - remember the first error, say it, and stop at once. */
void shared_fail(struct shared *sh, int error, const char *what);

/* shared_has_failed() - nothing may be taken any more. */
static inline bool shared_has_failed(const struct shared *sh)
{
    return __atomic_load_n(&sh->error, __ATOMIC_RELAXED) != 0;
}

/* shared_count_conn() - the number of a new connection, from 1. */
uint64_t shared_count_conn(struct shared *sh);
void shared_count_conn_end(struct shared *sh);
/* shared_open_conns() - connections that have begun and not ended, of all workers. */
uint64_t shared_open_conns(const struct shared *sh);
void shared_count_message(struct shared *sh);

/* shared_source_enter() - one more connection; false (and not counted) when it is too many. */
MUST_CHECK bool shared_source_enter(struct shared *sh, const struct sockaddr_storage *client);
void shared_source_leave(struct shared *sh, const struct sockaddr_storage *client);
/* shared_source_may_send() - one more message at @now is within the rate. */
MUST_CHECK bool shared_source_may_send(struct shared *sh, const struct sockaddr_storage *client,
                                       clock_ns now);

#endif
