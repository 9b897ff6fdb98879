/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - who is a recipient here, what class he is in, and what his class says to a scan.
 *
 * A policy is immutable and replaced whole. Pure: values in, values out, no log, no clock; maps are
 * memory-mapped tables opened when the policy was made.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

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

enum policy_mixed { POLICY_MIXED_WORST, POLICY_MIXED_ONE_CLASS };
enum policy_on_refusal { POLICY_REFUSAL_QUARANTINE, POLICY_REFUSAL_REFUSE };

#define POLICY_SCORE_OFF INT32_MAX

struct policy_class {
    struct slice name;
    uint64_t size_max;          /* octets; 0: the listener's */
    int32_t score_reject;       /* hundredths; POLICY_SCORE_OFF */
    int32_t score_defer;
    uint32_t flags_reject;      /* enum scan_flag */
    enum policy_action action;  /* what happens to mail that passes the tests */
    struct answer reject_reply; /* STATUS_NONE: the default of the reason */
    struct answer defer_reply;
    struct answer accept_reply;
};

struct policy; /* domains, sources, classes */

/* policy_open_relay_for_loopback(): without a configuration: every recipient is accepted in class "default". */
MUST_CHECK int policy_new_accept_all(struct policy **ret_policy);
struct policy *policy_ref(struct policy *p); /* atomic; start and reload, and once per transaction
                                                through a shard-local count */
void policy_unref(struct policy *p);

struct policy_rcpt {
    struct answer answer; /* 250 2.1.5 or the refusal */
    uint16_t class_idx;   /* valid when accepted */
};

/*
 * policy_rcpt() - decide a RCPT
 * @size: declared SIZE= of the transaction, 0 when none: a class limit may refuse now (CORE-20)
 */
struct policy_rcpt policy_rcpt(const struct policy *p, const struct path *rcpt, uint64_t size);
const struct policy_class *policy_class(const struct policy *p, uint16_t class_idx);

struct policy_verdict {
    enum policy_action action;
    struct answer answer; /* for ACCEPT, QUARANTINE and DISCARD: STATUS_STORED or the class's text */
    const char *reason;   /* "accept", "score", "flags", "size", "action", ...: for log and counters */
};

/* policy_verdict() - a function of (scan result, rule hits, class), nothing else. */
struct policy_verdict policy_verdict(const struct policy_class *c, const struct scan_result *scan,
                                     const struct rules_hits *hits);

/*
 * policy_mix() - make verdicts fit a dialect that has one reply for all (plain SMTP)
 *
 * POLICY_MIXED_WORST: any DEFER defers all; a REJECT beside acceptances follows @on_refusal; every
 * verdict is rewritten in place. Under ONE_CLASS, verdicts of one class are alike but for size and need the
 * same treatment for safety. Return: true when something was rewritten.
 */
bool policy_mix(struct policy_verdict *verdicts, uint32_t count, enum policy_on_refusal on_refusal);

#endif
