/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script_parse.c - owns the text form of rules.
 *
 *   rule      = POINT *( SP condition ) SP "->" SP action *( ";" action )
 *   condition = [ "!" ] NAME "=" VALUE            VALUE without spaces
 *   action    = WORD [ arguments ]                in texts: \; \\ \r \n \t \xHH
 *
 * A condition or an action that means nothing at its point is an error, not without effect.
 */
#include "script_parse.h"
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(point) (1u << SCRIPT_##point)
#define ANYWHERE ((1u << SCRIPT_POINT_COUNT) - 1)
#define IN_TXN (AT(MAIL) | AT(RCPT) | AT(DATA) | AT(DOT) | AT(EACH))

#define DELAY_NS_MAX (86400 * NS_PER_S)
#define RCVBUF_BYTES_MAX (64 * MIB)
#define TWEAK_GARBAGE_BYTES 64
#define TWEAK_GARBAGE_BYTES_MAX 1024
#define TWEAK_ENDLESS_BYTES (16 * MIB)

static const char *const point_names[] = {"connect", "helo", "mail", "rcpt",
                                          "data",    "dot",  "each", "quit"};
static_assert(ARRAY_COUNT(point_names) == SCRIPT_POINT_COUNT, "a name each");

struct parser {
    struct script_rule *rule;
    char *ret_text;
    size_t text_cap;
};

static bool bad(const struct parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool bad(const struct parser *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->ret_text, p->text_cap, fmt, args);
    va_end(args);
    return false;
}

/* Takes the next word off *@rest, which is NUL-terminated text; "" when there is none. */
static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t");
    char *end = word + strcspn(word, " \t");
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

/* --- values ---------------------------------------------------------------------------------- */

static bool parse_share(const char *text, double *ret_share)
{
    char *end;
    double share = strtod(text, &end);
    if (end == text || !(text[0] >= '0' && text[0] <= '9'))
        return false;
    if (strcmp(end, "%") == 0)
        share /= 100;
    else if (*end != '\0')
        return false;
    *ret_share = share;
    return share >= 0 && share <= 1;
}

/* "K", "LOW-HIGH", "LOW-", "-HIGH" */
static bool parse_range(const char *text, enum dist_unit unit, uint64_t *ret_low,
                        uint64_t *ret_high)
{
    uint64_t low = 0, high = UINT64_MAX;
    struct slice whole = slice_str(text);
    size_t dash = slice_find(whole, '-');
    struct slice first = slice_first(whole, dash);
    struct slice second = slice_from(whole, dash + 1);
    if (first.len > 0 && !dist_number_parse(first, unit, &low))
        return false;
    if (dash == whole.len)
        high = low;
    else if (second.len > 0 && !dist_number_parse(second, unit, &high))
        return false;
    if (whole.len <= 1 && dash < whole.len)
        return false;
    *ret_low = low;
    *ret_high = high;
    return whole.len > 0 && low <= high;
}

/* "ADDRESS", "ADDRESS/BITS" or "unix" */
static bool parse_network(struct script_cond *c, char *text)
{
    if (strcmp(text, "unix") == 0) {
        c->family = AF_UNIX;
        return true;
    }
    char *slash = strchr(text, '/');
    if (slash != NULL)
        *slash = '\0';
    c->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    uint64_t bits = c->family == AF_INET6 ? 128 : 32;
    if (inet_pton(c->family, text, c->network) != 1)
        return false;
    c->bits = (uint32_t)bits;
    if (slash == NULL)
        return true;
    uint64_t given;
    if (!dist_number_parse(slice_str(slash + 1), DIST_NUMBER, &given) || given > bits)
        return false;
    c->bits = (uint32_t)given;
    return true;
}

static bool parse_via(const char *text, uint64_t *ret_dialect)
{
    for (uint32_t i = 0; i < DIALECT_COUNT; i++) {
        *ret_dialect = i;
        if (strcmp(text, dialect_name((enum dialect)i)) == 0)
            return true;
    }
    return false;
}

/* --- conditions ------------------------------------------------------------------------------ */

static const struct cond_row {
    const char *name;
    enum script_cond_kind kind;
    uint32_t points;
} cond_rows[] = {
    {"from", COND_FROM, IN_TXN},
    {"rcpt", COND_RCPT, AT(RCPT) | AT(EACH)},
    {"client", COND_CLIENT, ANYWHERE},
    {"via", COND_VIA, AT(RCPT) | AT(DATA) | AT(DOT) | AT(EACH)},
    {"conn", COND_CONN, ANYWHERE},
    {"txn", COND_TXN, IN_TXN},
    {"size", COND_SIZE, AT(MAIL) | AT(DOT) | AT(EACH)},
    {"seq", COND_SEQ, AT(DOT) | AT(EACH)},
    {"attempt", COND_ATTEMPT, AT(DOT) | AT(EACH)},
    {"index", COND_INDEX, AT(RCPT) | AT(EACH)},
    {"count", COND_COUNT, AT(DATA) | AT(DOT) | AT(EACH)},
    {"share", COND_SHARE, AT(DOT) | AT(EACH)},
    {"every", COND_EVERY, ANYWHERE},
    {"p", COND_P, ANYWHERE},
};

static bool parse_cond_value(struct script_cond *c, char *value)
{
    switch (c->kind) {
    case COND_FROM:
    case COND_RCPT:
        c->text = slice_str(value);
        return true; /* an empty pattern is the null sender */
    case COND_CLIENT:
        return parse_network(c, value);
    case COND_VIA:
        return parse_via(value, &c->low);
    case COND_SIZE:
        return parse_range(value, DIST_BYTES, &c->low, &c->high);
    case COND_CONN:
    case COND_TXN:
    case COND_SEQ:
    case COND_ATTEMPT:
    case COND_INDEX:
    case COND_COUNT:
        return parse_range(value, DIST_NUMBER, &c->low, &c->high);
    case COND_EVERY:
        return dist_number_parse(slice_str(value), DIST_NUMBER, &c->low) && c->low > 0;
    case COND_SHARE:
    case COND_P:
        return parse_share(value, &c->share);
    }
    UNREACHABLE();
}

static bool parse_cond(const struct parser *p, char *word)
{
    struct script_rule *r = p->rule;
    struct script_cond c = {.is_negated = word[0] == '!'};
    char *name = word + c.is_negated;
    char *equals = strchr(name, '=');
    const struct cond_row *row = NULL;
    if (equals == NULL)
        return bad(p, "\"%s\" is not a condition (NAME=VALUE), and \"->\" is missing", word);
    *equals = '\0';
    for (size_t i = 0; row == NULL && i < ARRAY_COUNT(cond_rows); i++)
        if (strcmp(name, cond_rows[i].name) == 0)
            row = &cond_rows[i];
    if (row == NULL)
        return bad(p, "there is no condition \"%s\"", name);
    if ((row->points >> r->point & 1) == 0)
        return bad(p, "\"%s\" is not known at \"%s\"", name, point_names[r->point]);
    if (r->cond_count == SCRIPT_CONDS_MAX)
        return bad(p, "too many conditions");
    c.kind = row->kind;
    if (!parse_cond_value(&c, equals + 1))
        return bad(p, "%s: bad value \"%s\"", name, equals + 1);
    r->wants_client |= c.kind == COND_CLIENT;
    r->wants_identity |= c.kind == COND_SEQ || c.kind == COND_ATTEMPT || c.kind == COND_SHARE;
    r->wants_attempts |= c.kind == COND_ATTEMPT;
    r->conds[r->cond_count++] = c;
    return true;
}

/* "every" and then "p" behind all others. */
static void sort_conds(struct script_rule *r)
{
    for (uint32_t i = 1; i < r->cond_count; i++)
        for (uint32_t k = i; k > 0; k--) {
            struct script_cond c = r->conds[k];
            int own = c.kind == COND_P ? 2 : c.kind == COND_EVERY;
            int before = r->conds[k - 1].kind == COND_P ? 2 : r->conds[k - 1].kind == COND_EVERY;
            if (before <= own)
                break;
            r->conds[k] = r->conds[k - 1];
            r->conds[k - 1] = c;
        }
}

/* --- actions --------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)ascii_lower((uint8_t)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Replaces the escapes in place; false for an unknown one. */
static bool unescape(char *text, struct slice *ret_text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        from++;
        if (*from == 'r') {
            *to++ = '\r';
        } else if (*from == 'n') {
            *to++ = '\n';
        } else if (*from == 't') {
            *to++ = '\t';
        } else if (*from == ';' || *from == '\\') {
            *to++ = *from;
        } else if (*from == 'x' && hex_digit(from[1]) >= 0 && hex_digit(from[2]) >= 0) {
            *to++ = (char)(hex_digit(from[1]) * 16 + hex_digit(from[2]));
            from += 2;
        } else {
            return false;
        }
    }
    *ret_text = slice_of(text, (size_t)(to - text));
    return true;
}

static bool parse_enhanced(const char *text, uint8_t *ret_codes)
{
    for (int i = 0; i < 3; i++) {
        size_t digits = strspn(text, "0123456789");
        uint64_t value;
        if (!dist_number_parse(slice_of(text, digits), DIST_NUMBER, &value) || value > UINT8_MAX)
            return false;
        ret_codes[i] = (uint8_t)value;
        text += digits;
        if (*text != (i < 2 ? '.' : '\0'))
            return false;
        text++;
    }
    return true;
}

static bool parse_reply(const struct parser *p, struct script_action *a, char *rest)
{
    uint64_t code;
    const char *word = next_word(&rest);
    if (strlen(word) != 3 || !dist_number_parse(slice_str(word), DIST_NUMBER, &code) ||
        code < 200 || code > 599 || code / 100 == 3)
        return bad(p, "reply: \"%s\" is not a code of 2xx, 4xx or 5xx", word);
    uint8_t class = (uint8_t)(code / 100);
    enum script_point at = p->rule->point;
    if (class == 2 && (at == SCRIPT_CONNECT || at == SCRIPT_DATA))
        return bad(p, "reply: only 4xx and 5xx at \"%s\" (see \"raw\")", point_names[at]);
    if (code != 421 && at == SCRIPT_HELO)
        return bad(p, "reply: only 421 at \"%s\" (see \"raw\")", point_names[at]);
    a->answer = ANSWER(class == 2 ? STATUS_OK
                                  : (class == 4 ? STATUS_DEFERRED_POLICY : STATUS_REFUSED_POLICY));
    if (code == 421)
        a->answer = ANSWER(STATUS_SHUTTING_DOWN);
    a->answer.code = (uint16_t)code;
    a->answer.enhanced[0] = class;
    rest += strspn(rest, " \t");
    char *copy = rest;
    size_t first = strcspn(copy, " \t");
    char enhanced[16] = "";
    if (first < sizeof(enhanced))
        memcpy(enhanced, copy, first);
    if (first < sizeof(enhanced) && parse_enhanced(enhanced, a->answer.enhanced)) {
        if (a->answer.enhanced[0] != class)
            return bad(p, "reply: %s does not go with %u", enhanced, (unsigned)code);
        rest += first;
        rest += strspn(rest, " \t");
    }
    if (!unescape(rest, &a->answer.text))
        return bad(p, "reply: bad escape in the text");
    if (a->answer.text.len > REPLY_TEXT_BYTES_MAX)
        return bad(p, "reply: the text is too long");
    if (a->answer.text.len == 0)
        a->answer.text = class == 2 ? SLICE_LIT("Ok") : SLICE_LIT("the script says so");
    return true;
}

static bool parse_time(const struct parser *p, struct script_action *a, const char *word)
{
    char why[128];
    int result = dist_parse(&a->time, word, DIST_NS, 0, DELAY_NS_MAX, why, sizeof(why));
    a->has_time = result == 0;
    return result == 0 || bad(p, "\"%s\" is not a time: %s", word, why);
}

static bool parse_drop(const struct parser *p, struct script_action *a, const char *word)
{
    a->drop = strcmp(word, "reset") == 0 ? SCRIPT_DROP_RESET : SCRIPT_DROP_CLOSE;
    if (a->drop == SCRIPT_DROP_CLOSE && word[0] != '\0' && strcmp(word, "close") != 0)
        return bad(p, "\"%s\" is neither \"close\" nor \"reset\"", word);
    return true;
}

static bool parse_number(const struct parser *p, struct script_action *a, const char *word,
                         enum dist_unit unit, uint64_t high)
{
    if (!dist_number_parse(slice_str(word), unit, &a->number) || a->number > high)
        return bad(p, "\"%s\" is not a number up to %llu", word, (unsigned long long)high);
    return true;
}

static bool parse_choice(const struct parser *p, struct script_action *a, const char *word,
                         const char *const *names, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        a->number = i;
        if (strcmp(word, names[i]) == 0)
            return true;
    }
    return bad(p, "there is no choice \"%s\"", word);
}

static bool parse_tweak(const struct parser *p, struct script_action *a, char *rest)
{
    const char *word;
    p->rule->has_tweaks = true;
    switch (a->tweak) {
    case SCRIPT_TWEAK_GARBAGE:
        a->number = TWEAK_GARBAGE_BYTES;
        word = next_word(&rest);
        return word[0] == '\0' || parse_number(p, a, word, DIST_BYTES, TWEAK_GARBAGE_BYTES_MAX);
    case SCRIPT_TWEAK_ENDLESS:
        a->number = TWEAK_ENDLESS_BYTES;
        word = next_word(&rest);
        return word[0] == '\0' || parse_number(p, a, word, DIST_BYTES, UINT64_MAX);
    case SCRIPT_TWEAK_CODE:
        word = next_word(&rest);
        return strlen(word) == 3 ? parse_number(p, a, word, DIST_NUMBER, 999)
                                 : bad(p, "code: three digits");
    case SCRIPT_TWEAK_SURPLUS:
    case SCRIPT_TWEAK_RAW:
        rest += strspn(rest, " \t");
        if (!unescape(rest, &a->text))
            return bad(p, "bad escape in the text");
        if (a->text.len > REPLY_LINE_BYTES_MAX)
            return bad(p, "the text is too long");
        if (a->tweak == SCRIPT_TWEAK_SURPLUS && a->text.len == 0)
            a->text = SLICE_LIT("250 2.0.0 Ok again\r\n");
        return true;
    case SCRIPT_TWEAK_MISSING:
    case SCRIPT_TWEAK_EARLY:
        return true;
    case SCRIPT_TWEAK_NONE:
        break;
    }
    UNREACHABLE();
}

static const struct action_row {
    const char *name;
    enum script_action_kind kind;
    uint32_t points;
    enum script_tweak tweak;
} action_rows[] = {
    {"reply", ACTION_REPLY, ANYWHERE & ~AT(QUIT), SCRIPT_TWEAK_NONE},
    {"delay", ACTION_DELAY, ANYWHERE, SCRIPT_TWEAK_NONE},
    {"drop", ACTION_DROP, ANYWHERE, SCRIPT_TWEAK_NONE},
    {"drop-after", ACTION_DROP_AFTER, AT(DOT), SCRIPT_TWEAK_NONE},
    {"drop-content", ACTION_DROP_CONTENT, AT(DATA), SCRIPT_TWEAK_NONE},
    {"drop-replies", ACTION_DROP_REPLIES, AT(DOT), SCRIPT_TWEAK_NONE},
    {"pacing", ACTION_PACING, AT(DOT), SCRIPT_TWEAK_NONE},
    {"life", ACTION_LIFE, AT(DOT), SCRIPT_TWEAK_NONE},
    {"decide", ACTION_DECIDE, AT(RCPT), SCRIPT_TWEAK_NONE},
    {"commit", ACTION_COMMIT, AT(DOT), SCRIPT_TWEAK_NONE},
    {"gone", ACTION_GONE, AT(DOT), SCRIPT_TWEAK_NONE},
    {"order", ACTION_ORDER, AT(DOT), SCRIPT_TWEAK_NONE},
    {"opener", ACTION_OPENER, AT(DOT), SCRIPT_TWEAK_NONE},
    {"final", ACTION_FINAL, AT(DOT), SCRIPT_TWEAK_NONE},
    {"write", ACTION_WRITE, AT(DOT), SCRIPT_TWEAK_NONE},
    {"budget", ACTION_BUDGET, AT(DOT), SCRIPT_TWEAK_NONE},
    {"gap", ACTION_GAP, AT(DOT), SCRIPT_TWEAK_NONE},
    {"mixed", ACTION_MIXED, AT(DOT), SCRIPT_TWEAK_NONE},
    {"scan", ACTION_SCAN, AT(DOT), SCRIPT_TWEAK_NONE},
    {"suppress", ACTION_SUPPRESS, AT(DOT), SCRIPT_TWEAK_NONE},
    {"stall-read", ACTION_STALL_READ, ANYWHERE, SCRIPT_TWEAK_NONE},
    {"stall-write", ACTION_STALL_WRITE, ANYWHERE, SCRIPT_TWEAK_NONE},
    {"pace", ACTION_PACE, ANYWHERE, SCRIPT_TWEAK_NONE},
    {"rcvbuf", ACTION_RCVBUF, AT(CONNECT), SCRIPT_TWEAK_NONE},
    {"garbage", ACTION_TWEAK, ANYWHERE, SCRIPT_TWEAK_GARBAGE},
    {"endless", ACTION_TWEAK, ANYWHERE, SCRIPT_TWEAK_ENDLESS},
    {"code", ACTION_TWEAK, ANYWHERE, SCRIPT_TWEAK_CODE},
    {"surplus", ACTION_TWEAK, ANYWHERE, SCRIPT_TWEAK_SURPLUS},
    {"missing", ACTION_TWEAK, ANYWHERE, SCRIPT_TWEAK_MISSING},
    {"early", ACTION_TWEAK, ANYWHERE, SCRIPT_TWEAK_EARLY},
    {"raw", ACTION_TWEAK, ANYWHERE, SCRIPT_TWEAK_RAW},
    {"stop", ACTION_STOP, ANYWHERE, SCRIPT_TWEAK_NONE},
};

static bool parse_word(const struct parser *p, struct script_action *a, const char *word)
{
    static const char *const commits[] = {"before", "after", "dot",   "never",
                                          "always", "end",   "opener"};
    static const char *const gones[] = {"run", "stop", "write"};
    static const char *const pacings[] = {"stream", "buffer"};
    static const char *const decides[] = {"now", "later"};
    static const char *const orders[] = {"sequential", "concurrent"};
    static const char *const mixeds[] = {"refuse", "hold"};
    static const char *const scans[] = {"always", "once"};
    switch ((unsigned)a->kind) {
    case ACTION_COMMIT:
        return parse_choice(p, a, word, commits, ARRAY_COUNT(commits));
    case ACTION_GONE:
        return parse_choice(p, a, word, gones, ARRAY_COUNT(gones));
    case ACTION_PACING:
        return parse_choice(p, a, word, pacings, ARRAY_COUNT(pacings));
    case ACTION_DECIDE:
        return parse_choice(p, a, word, decides, ARRAY_COUNT(decides));
    case ACTION_ORDER:
        return parse_choice(p, a, word, orders, ARRAY_COUNT(orders));
    case ACTION_MIXED:
        return parse_choice(p, a, word, mixeds, ARRAY_COUNT(mixeds));
    case ACTION_SCAN:
        return parse_choice(p, a, word, scans, ARRAY_COUNT(scans));
    default:
        UNREACHABLE();
    }
}

static bool parse_arguments(const struct parser *p, struct script_action *a, char **rest)
{
    const char *word;
    switch (a->kind) {
    case ACTION_REPLY:
        return parse_reply(p, a, *rest);
    case ACTION_OPENER:
        word = next_word(rest);
        return strcmp(word, "first") == 0 || parse_time(p, a, word);
    case ACTION_DELAY:
    case ACTION_LIFE:
    case ACTION_STALL_WRITE:
    case ACTION_PACE:
    case ACTION_FINAL:
    case ACTION_WRITE:
    case ACTION_BUDGET:
    case ACTION_GAP:
    case ACTION_SUPPRESS:
        return parse_time(p, a, next_word(rest));
    case ACTION_STALL_READ:
        if (!parse_time(p, a, next_word(rest)))
            return false;
        word = next_word(rest);
        if (word[0] == '\0')
            return true;
        return p->rule->point == SCRIPT_DATA ? parse_number(p, a, word, DIST_BYTES, UINT64_MAX)
                                             : bad(p, "stall-read: octets only at \"data\"");
    case ACTION_DROP:
        return parse_drop(p, a, next_word(rest));
    case ACTION_DROP_AFTER:
        return parse_number(p, a, next_word(rest), DIST_NUMBER, RCPT_COUNT_HARD_MAX) &&
               parse_drop(p, a, next_word(rest));
    case ACTION_DROP_CONTENT:
    case ACTION_DROP_REPLIES:
        return parse_number(p, a, next_word(rest), DIST_BYTES, UINT64_MAX) &&
               parse_drop(p, a, next_word(rest));
    case ACTION_COMMIT:
    case ACTION_PACING:
    case ACTION_DECIDE:
    case ACTION_GONE:
    case ACTION_ORDER:
    case ACTION_MIXED:
    case ACTION_SCAN:
        return parse_word(p, a, next_word(rest));
    case ACTION_RCVBUF:
        return parse_number(p, a, next_word(rest), DIST_BYTES, RCVBUF_BYTES_MAX);
    case ACTION_TWEAK:
        return parse_tweak(p, a, *rest);
    case ACTION_STOP:
        return true;
    case ACTION_KIND_COUNT:
        break;
    }
    UNREACHABLE();
}

static bool parse_action(const struct parser *p, char *text)
{
    struct script_rule *r = p->rule;
    const char *word = next_word(&text);
    const struct action_row *row = NULL;
    for (size_t i = 0; row == NULL && i < ARRAY_COUNT(action_rows); i++)
        if (strcmp(word, action_rows[i].name) == 0)
            row = &action_rows[i];
    if (row == NULL)
        return bad(p, "there is no action \"%s\"", word);
    if ((row->points >> r->point & 1) == 0)
        return bad(p, "\"%s\" does not go with \"%s\"", word, point_names[r->point]);
    if (r->action_count == SCRIPT_ACTIONS_MAX)
        return bad(p, "too many actions");
    struct script_action *a = &r->actions[r->action_count++];
    *a = (struct script_action){.kind = row->kind, .tweak = row->tweak};
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        text[--len] = '\0';
    if (!parse_arguments(p, a, &text))
        return false;
    bool remembers = a->kind == ACTION_SUPPRESS || a->kind == ACTION_SCAN;
    r->wants_memory |= remembers;
    r->wants_identity |= remembers;
    if (a->kind == ACTION_REPLY || a->kind == ACTION_TWEAK)
        return true; /* the rest was its text */
    word = next_word(&text);
    return word[0] == '\0' || bad(p, "%s: \"%s\" is too much", row->name, word);
}

/* The end of an action: a ";" that is not escaped, or the end of the text. */
static char *action_end(char *text)
{
    while (*text != '\0' && *text != ';')
        text += text[0] == '\\' && text[1] != '\0' ? 2 : 1;
    return text;
}

bool script_parse_rule(struct script_rule *r, char *ret_text, size_t text_cap)
{
    const struct parser p = {r, ret_text, text_cap};
    char *rest = r->text;
    const char *word = next_word(&rest);
    r->point = SCRIPT_POINT_COUNT;
    for (uint32_t i = 0; i < SCRIPT_POINT_COUNT; i++)
        if (strcmp(word, point_names[i]) == 0)
            r->point = (enum script_point)i;
    if (r->point == SCRIPT_POINT_COUNT)
        return bad(&p, "there is no point \"%s\"", word);
    for (;;) {
        char *cond = next_word(&rest);
        if (cond[0] == '\0')
            return bad(&p, "\"->\" and an action are missing");
        if (strcmp(cond, "->") == 0)
            break;
        if (!parse_cond(&p, cond))
            return false;
    }
    sort_conds(r);
    bool is_last = false;
    while (!is_last) {
        char *end = action_end(rest);
        is_last = *end == '\0';
        *end = '\0';
        if (!parse_action(&p, rest))
            return false;
        rest = end + 1;
    }
    return true;
}
