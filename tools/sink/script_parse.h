/* SPDX-License-Identifier: Apache-2.0 */
/* script_parse.h - the form of a rule, shared by script.c (decides) and script_parse.c (reads). */
#ifndef SINK_SCRIPT_PARSE_H
#define SINK_SCRIPT_PARSE_H

#include "script.h"

#define SCRIPT_CONDS_MAX 12
#define SCRIPT_ACTIONS_MAX 20

enum script_cond_kind {
    COND_FROM,
    COND_RCPT,
    COND_CLIENT,
    COND_VIA,
    COND_CONN,
    COND_TXN,
    COND_SIZE,
    COND_SEQ,
    COND_ATTEMPT,
    COND_INDEX,
    COND_COUNT,
    COND_EVERY,
    COND_SHARE,
    COND_P,
};

struct script_cond {
    enum script_cond_kind kind;
    bool is_negated;
    struct slice text; /* pattern, into rule.text */
    uint64_t low, high;
    double share;
    sa_family_t family;
    uint8_t network[16];
    uint32_t bits;
};

enum script_action_kind {
    ACTION_REPLY,
    ACTION_DELAY,
    ACTION_DROP,
    ACTION_DROP_AFTER,
    ACTION_DROP_CONTENT,
    ACTION_DROP_REPLIES,
    ACTION_PACING,
    ACTION_LIFE,
    ACTION_DECIDE,
    ACTION_COMMIT,
    ACTION_GONE,
    ACTION_STALL_READ,
    ACTION_STALL_WRITE,
    ACTION_PACE,
    ACTION_RCVBUF,
    ACTION_TWEAK,
    ACTION_ORDER,
    ACTION_MIXED,
    ACTION_SCAN,
    ACTION_OPENER,
    ACTION_FINAL,
    ACTION_BUDGET,
    ACTION_GAP,
    ACTION_SUPPRESS,
    ACTION_WRITE,
    ACTION_STOP,
    ACTION_KIND_COUNT
};

struct script_action {
    enum script_action_kind kind;
    bool has_time;
    struct dist time;
    uint64_t number;
    enum script_drop drop;
    enum script_tweak tweak;
    struct answer answer;
    struct slice text; /* into rule.text */
};

struct script_rule {
    struct script_rule *next;
    char *text; /* as given, then with its escapes replaced */
    enum script_point point;
    uint32_t cond_count;
    uint32_t action_count;
    uint32_t number; /* in the script, from 1 */
    uint64_t asked;  /* how often "every" was */
    bool wants_client;
    bool wants_identity;
    bool wants_attempts;
    bool wants_memory;
    bool has_tweaks;
    struct script_cond conds[SCRIPT_CONDS_MAX];
    struct script_action actions[SCRIPT_ACTIONS_MAX];
};

struct script {
    struct script_rule *first[SCRIPT_POINT_COUNT];
    uint32_t rule_count;
    bool wants_client;
    bool wants_identity;
    bool wants_attempts;
    bool wants_memory;
    bool has_tweaks;
};

/* script_parse_rule() - fill @r from @r->text, which is changed. False with @ret_text. */
MUST_CHECK bool script_parse_rule(struct script_rule *r, char *ret_text, size_t text_cap);

#endif
