/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.h - how the sink behaves: rules of one line each, "POINT [CONDITION ...] -> ACTION; ...".
 *
 * At each point of a conversation its rules are looked at in order. A rule whose conditions all
 * hold gives its actions; of each kind of action the first one found counts. What the points,
 * conditions and actions are called and mean is told in tools/man/postern-sink-script.5. Parsing
 * and deciding are pure: draws come from the caller's generator.
 */
#ifndef SINK_SCRIPT_H
#define SINK_SCRIPT_H

#include "load/dist.h"
#include "smtp/session.h"
#include "trace/identity.h"
#include <netinet/in.h>
#include <sys/socket.h>

enum script_point {
    SCRIPT_CONNECT, /* before the greeting */
    SCRIPT_HELO,    /* EHLO, HELO, LHLO */
    SCRIPT_MAIL,
    SCRIPT_RCPT,
    SCRIPT_DATA, /* DATA or the first BDAT */
    SCRIPT_DOT,  /* the content is complete */
    SCRIPT_EACH, /* the decision about one recipient of it */
    SCRIPT_QUIT,
    SCRIPT_POINT_COUNT
};

/* What is known at a point; what is not, is zero. */
struct script_facts {
    struct slice sender;
    struct slice rcpt;
    const struct sockaddr_storage *client;
    uint64_t conn; /* number of the connection, from 1 */
    uint32_t txn;  /* of the transaction on it, from 1 */
    enum dialect dialect;
    uint64_t size; /* of the content; at SCRIPT_MAIL as declared */
    bool has_id;
    struct identity id;
    uint32_t attempt; /* how often this identity was seen, from 1; 0: no identity */
    uint32_t index;   /* of the recipient, from 1 */
    uint32_t count;   /* of recipients */
};

enum script_drop { SCRIPT_DROP_NONE, SCRIPT_DROP_CLOSE, SCRIPT_DROP_RESET };
enum script_commit {
    SCRIPT_COMMIT_BEFORE, /* before the reply */
    SCRIPT_COMMIT_AFTER,  /* when the reply has left */
    SCRIPT_COMMIT_DOT,    /* at once, before any delay, whatever is answered */
    SCRIPT_COMMIT_NEVER,
    SCRIPT_COMMIT_ALWAYS, /* as before, but those refused, too */
    SCRIPT_COMMIT_END,    /* all of them when the last one is decided */
    SCRIPT_COMMIT_OPENER, /* before the line that opens the list; who is refused behind it gets a
                             notice, if he was not told (HOL-12) */
};
enum script_gone {
    SCRIPT_GONE_RUN,
    SCRIPT_GONE_STOP,
    SCRIPT_GONE_WRITE, /* as STOP, from when a reply could not be sent (DUP-10) */
};
enum script_order { SCRIPT_ORDER_SEQUENTIAL, SCRIPT_ORDER_CONCURRENT };
enum script_mixed { /* one reply for all, of whom not all are accepted */
                    SCRIPT_MIXED_REFUSE,
                    SCRIPT_MIXED_HOLD, /* CORE-8 */
};
enum script_pacing {
    SCRIPT_PACING_STREAM, /* a recipient's reply leaves when he is decided */
    SCRIPT_PACING_BUFFER, /* all leave when the last one is */
};
enum script_decide {                     /* RCPT where it may be answered 352 */
                     SCRIPT_DECIDE_AUTO, /* later, when there are rules for it */
                     SCRIPT_DECIDE_NOW,
                     SCRIPT_DECIDE_LATER,
};
enum script_tweak { /* what is done to a reply */
                    SCRIPT_TWEAK_NONE,
                    SCRIPT_TWEAK_GARBAGE, /* @number octets instead of it */
                    SCRIPT_TWEAK_ENDLESS, /* a line of @number octets instead of it */
                    SCRIPT_TWEAK_CODE,    /* @number as its code */
                    SCRIPT_TWEAK_SURPLUS, /* @text behind it */
                    SCRIPT_TWEAK_MISSING,
                    SCRIPT_TWEAK_EARLY, /* the next reply comes with it */
                    SCRIPT_TWEAK_RAW,   /* @text instead of it */
};

struct script_effect {
    bool has_answer;
    struct answer answer;
    uint64_t delay_ns;
    enum script_drop drop;
    enum script_drop drop_after; /* behind @drop_after_count replies */
    uint32_t drop_after_count;
    enum script_drop drop_content; /* behind @drop_content_bytes */
    uint64_t drop_content_bytes;
    uint64_t stall_read_ns;
    uint64_t stall_read_bytes; /* of content, before it */
    uint64_t stall_write_ns;
    uint64_t pace_ns; /* between the lines of replies */
    enum script_commit commit;
    enum script_gone gone;
    enum script_pacing pacing;
    uint64_t life_ns; /* an open list says so often that it is alive; 0: never */
    enum script_decide decide;
    enum script_order order;
    enum script_mixed mixed;
    bool is_scan_once;        /* the content of an earlier try need not be looked at again */
    bool has_opener;          /* when a list is begun; else at once, or with the first reply */
    uint64_t opener_ns;       /* from the dot; UINT64_MAX: with the first reply */
    uint64_t final_ns;        /* between the last recipient's reply and the final one */
    uint64_t budget_ns;       /* then who is not decided is deferred; 0: none */
    uint64_t gap_ns;          /* the same of one, for a list that was silent so long; 0: none */
    uint64_t suppress_ns;     /* for so long a copy that is here is not taken again; 0: none is */
    const struct dist *write; /* how long a commit takes, of the rule; NULL: no time */
    enum script_drop drop_replies; /* behind @drop_replies_bytes of the replies to the content */
    uint64_t drop_replies_bytes;
    uint32_t rcvbuf_bytes;
    enum script_tweak tweak;
    uint64_t tweak_number;
    struct slice tweak_text;
};

struct script;

/* script_new() - without rules, or NULL. */
struct script *script_new(void);
void script_free(struct script *s);
/* script_add() - one line; empty ones and those that begin with "#" are fine. False with @ret_text.
 */
MUST_CHECK bool script_add(struct script *s, struct slice line, char *ret_text, size_t text_cap);
/* script_read() - all lines of a file. False with @ret_text, which names file and line. */
MUST_CHECK bool script_read(struct script *s, const char *path, char *ret_text, size_t text_cap);

/* script_has() - some rule is for @at. */
bool script_has(const struct script *s, enum script_point at);
/* What the rules ask for, so that what nobody asks for is not found out. */
bool script_wants_client(const struct script *s);
bool script_wants_identity(const struct script *s);
bool script_wants_attempts(const struct script *s);
bool script_wants_memory(const struct script *s); /* of contents looked at, and of copies */
bool script_has_tweaks(const struct script *s);

/* script_run() - what the rules for @at say to @facts. Rules count how often they were asked
 * ("every"), so several threads may call it. */
void script_run(struct script *s, enum script_point at, const struct script_facts *facts,
                struct rng *rng, struct script_effect *ret_effect);

/* script_glob() - "*" is any text, "?" one octet; ASCII letters in any case. */
bool script_glob(struct slice pattern, struct slice text);

#endif
