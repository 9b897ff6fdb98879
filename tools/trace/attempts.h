/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attempts.h - what the client learned: one line a try and recipient, written by postern-load,
 * read by postern-lab.
 *
 * A text file, tab separated. First line: "#postern-attempts 1 run=RUN". Second line: "#" and the
 * names of the columns. Then
 *
 *   seq attempt rcpt address planned_us start_us end_us fate code enhanced phase cause sent k n
 * next
 *
 * A "-" stands for a value that there is not (0 in times, code, enhanced and n). Times are wall
 * clock, microseconds since 1970. fate, phase, cause and sent are words, next is "retry" or "end".
 * Control characters in an address are written as "?"; one above PATH_UTF8_BYTES_MAX is cut.
 */
#ifndef TRACE_ATTEMPTS_H
#define TRACE_ATTEMPTS_H

#include "base/buf.h"
#include "base/clock.h"
#include "smtp/client.h"
#include "trace/identity.h"

enum attempt_fate {
    ATTEMPT_ACCEPTED, /* the reply that decides for this recipient was 2xx and complete */
    ATTEMPT_DEFERRED, /* a reply: 4xx */
    ATTEMPT_REFUSED,  /* a reply: 5xx */
    ATTEMPT_UNKNOWN,  /* no reply decided: see @cause */
    ATTEMPT_FATE_COUNT
};

enum attempt_cause {                      /* why no reply decided */
                     ATTEMPT_CAUSE_REPLY, /* one did */
                     ATTEMPT_CAUSE_TIMEOUT,
                     ATTEMPT_CAUSE_LOST,     /* reset, end of input */
                     ATTEMPT_CAUSE_PROTOCOL, /* garbage, out of sequence */
                     ATTEMPT_CAUSE_CONNECT,  /* refused, unreachable */
                     ATTEMPT_CAUSE_TLS,
                     ATTEMPT_CAUSE_MISBEHAVIOUR, /* the client vanished as it was told to */
                     ATTEMPT_CAUSE_STOPPED,      /* the run ended */
                     ATTEMPT_CAUSE_COUNT
};

enum attempt_sent { ATTEMPT_SENT_NONE, ATTEMPT_SENT_PART, ATTEMPT_SENT_ALL, ATTEMPT_SENT_COUNT };

struct attempt {
    struct identity id;
    uint32_t attempt; /* from 0 */
    uint32_t rcpt_idx;
    struct slice address;
    wall_us planned_at, start_at, end_at;
    enum attempt_fate fate;
    uint16_t code; /* 0: none */
    uint16_t enhanced[3];
    enum client_phase phase; /* whose reply decided, or what was waited for */
    enum attempt_cause cause;
    enum attempt_sent sent; /* how much of the content had left */
    uint32_t replies_seen;  /* k of n after the content */
    uint32_t replies_due;   /* n; 0: not known yet */
    bool will_retry;
};

const char *attempt_fate_name(enum attempt_fate f);
const char *attempt_cause_name(enum attempt_cause c);

/* attempts_put_head() - the first two lines. */
void attempts_put_head(struct buf *out, uint64_t run);
/* attempts_put() - one line; ATTEMPT_LINE_BYTES_MAX suffice. */
#define ATTEMPT_LINE_BYTES_MAX 1536
void attempts_put(struct buf *out, const struct attempt *a);
/* attempts_parse_head() - the first line, without its line end. */
MUST_CHECK bool attempts_parse_head(struct slice line, uint64_t *ret_run);
/* attempts_parse() - one line without its line end; @ret_attempt->id.run is the caller's @run. */
MUST_CHECK bool attempts_parse(struct slice line, uint64_t run, struct attempt *ret_attempt);

#endif
