/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - who is a recipient here, what class he is in, and what his class says to a scan.
 *
 * A policy is immutable and replaced whole (policy_build.h makes one). Pure: values in, values out,
 * no log, no clock, no allocation; maps are memory-mapped tables opened when the policy was made,
 * so that a lookup may touch a page that is not in memory yet, and nothing else.
 *
 * Threads: the tables are shared by all shards and never change. What a lookup in a map needs for
 * itself (a read transaction) belongs to the handle, so each shard asks for its own handle by
 * policy_view_new(), and uses it on its own thread only. Counting references is atomic.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "policy/delay.h"
#include "scan/rules.h"
#include "scan/scan.h"
#include "smtp/path.h"
#include "smtp/status.h"

enum policy_action {
    POLICY_ACCEPT,
    POLICY_REJECT,
    POLICY_DEFER,
    POLICY_DISCARD,    /* 2xx, not stored */
    POLICY_QUARANTINE, /* 2xx, stored on hold */
};
#define POLICY_ACTION_COUNT 5
/* "accept", "reject", ...: as in configuration and log. */
const char *policy_action_name(enum policy_action action);

enum policy_mixed { POLICY_MIXED_WORST, POLICY_MIXED_ONE_CLASS };
enum policy_on_refusal { POLICY_REFUSAL_QUARANTINE, POLICY_REFUSAL_REFUSE };

#define POLICY_SCORE_OFF INT32_MAX
#define POLICY_SCORE_REJECT_DEFAULT 1500 /* hundredths; rspamd users know 15 as "reject" */

struct policy_class {
    struct slice name;
    uint64_t size_max;    /* octets; 0: the listener's */
    int32_t score_reject; /* hundredths; at or above it; POLICY_SCORE_OFF */
    int32_t score_defer;
    uint32_t flags_reject;      /* enum scan_flag */
    enum policy_action action;  /* what happens to mail that passes the tests */
    struct delay delay;         /* work for each recipient before his verdict; for experiments */
    bool acts_at_rcpt;          /* with REJECT and DEFER: said to RCPT already */
    struct answer reject_reply; /* STATUS_NONE: the default of the reason */
    struct answer defer_reply;
    struct answer accept_reply; /* for ACCEPT, QUARANTINE and DISCARD */
    struct answer size_reply;
};

struct policy; /* domains, sources, classes */

/* policy_class_default() - the settings of class "default" when nothing is configured. */
struct policy_class policy_class_default(void);

/* policy_new_accept_all() - without a configuration: every recipient of every domain is accepted
 * in class "default". 0 or -ENOMEM. */
MUST_CHECK int policy_new_accept_all(struct policy **ret_policy);
struct policy *policy_ref(struct policy *p); /* atomic; start and reload, and once per transaction
                                                through a shard-local count */
void policy_unref(struct policy *p);

/*
 * policy_view_new() - another handle of the same policy, for one thread
 *
 * Each shard makes one at start and at reload, and calls policy_rcpt() with no other. It keeps
 * what it refers to alive; given up by policy_unref().
 * Return: 0, -ENOMEM, or what opening a read transaction in a map gave
 */
MUST_CHECK int policy_view_new(const struct policy *p, struct policy **ret_view);

struct policy_rcpt {
    struct answer answer; /* 250 2.1.5 or the refusal */
    uint16_t class_idx;   /* valid when accepted */
};

/*
 * policy_rcpt() - decide a RCPT
 * @p:    this thread's handle
 * @rcpt: as path_parse() made it; borrowed for the call
 * @size: declared SIZE= of the transaction, 0 when none: a class limit may refuse now (CORE-20)
 *
 * Return: 250 2.1.5; 550 5.7.1 for a domain that is not served; 550 5.1.1 for an unknown user;
 *         552 5.2.3 by size; the class's refusal when it acts at RCPT; 451 4.3.0 when a map is
 *         damaged. Postmaster is always known in a served domain (CORE-7), and where his class
 *         rejects or defers everything he has class "postmaster", or "default" without one.
 * Cost:   one hash lookup for the domain (one more for each parent domain when subdomains are
 *         served), and one or two for each source; no allocation
 */
struct policy_rcpt policy_rcpt(const struct policy *p, const struct path *rcpt, uint64_t size);
uint16_t policy_class_count(const struct policy *p);
const struct policy_class *policy_class(const struct policy *p, uint16_t class_idx);
/* policy_has_delays() - there is a class whose recipients are worked on. */
bool policy_has_delays(const struct policy *p);

/*
 * policy_one_class_answer() - POLICY_MIXED_ONE_CLASS at RCPT (OTH-15)
 * @decided:         what policy_rcpt() said
 * @accepted_count:  recipients accepted so far in this transaction
 * @class_idx_first: class of the first of them
 *
 * Return: 452 4.5.3 for an acceptable recipient whose class differs from the first one's, so that
 *         the client sends it in a transaction of its own; else what was decided
 */
struct answer policy_one_class_answer(const struct policy_rcpt *decided, uint32_t accepted_count,
                                      uint16_t class_idx_first);

struct policy_verdict {
    enum policy_action action;
    struct answer
        answer;         /* for ACCEPT, QUARANTINE and DISCARD: STATUS_STORED or the class's text */
    const char *reason; /* static: "accept", "discard", "quarantine", "reject", "defer" (by the
                           action of the class), "size", "flags", "score", or "mixed" when
                           policy_mix() changed the action; for log and counters */
};

/*
 * policy_verdict() - a function of (scan result, rule hits, class), nothing else
 *
 * First match: size above size_max: REJECT 552 5.2.3; a flag of flags_reject: REJECT 550 5.5.2,
 * 554 5.6.0, 554 5.4.6 or 550 5.7.1 by flag; score at or above score_reject: REJECT 550 5.7.1;
 * at or above score_defer: DEFER 451 4.7.1; else the class's action.
 */
struct policy_verdict policy_verdict(const struct policy_class *c, const struct scan_result *scan,
                                     const struct rules_hits *hits);

/* policy_decides_later() - the content can make a difference to policy_verdict() in this class, or
 * the class refuses or defers after the content whatever it is (DEF-5, DEF-6). */
bool policy_decides_later(const struct policy_class *c);

/*
 * policy_mix() - make verdicts fit a dialect that has one reply for all (plain SMTP)
 *
 * Any DEFER defers all. A REJECT beside acceptances follows @on_refusal: QUARANTINE answers 2xx and
 * the refused recipient's copy is stored on hold; REFUSE refuses all. Afterwards all answers are
 * alike: the common one where the deciding verdicts agree, else the plain one of the status table.
 * Under POLICY_MIXED_ONE_CLASS all verdicts come from one class, and this only makes it certain.
 * Return: true when an action or an answer was rewritten.
 */
bool policy_mix(struct policy_verdict *verdicts, uint32_t count, enum policy_on_refusal on_refusal);

/* policy_answer_is_alike() - the same status, code, enhanced code and text. */
bool policy_answer_is_alike(const struct answer *a, const struct answer *b);

#endif
