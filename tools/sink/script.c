/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.c - owns the rules: their text, and what they decide.
 *
 * A rule is a row of conditions and a row of actions. Conditions are tried in the order in which
 * they are written, except that "every" and "p" come last, so that they count and draw only where
 * all else holds.
 */
#include "script.h"
#include "script_parse.h"
#include "base/err.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct script *script_new(void)
{
    return calloc(1, sizeof(struct script));
}

static void rule_free(struct script_rule *r)
{
    for (uint32_t i = 0; i < r->action_count; i++)
        dist_deinit(&r->actions[i].time);
    free(r->text);
    free(r);
}

void script_free(struct script *s)
{
    if (s == NULL)
        return;
    for (uint32_t i = 0; i < SCRIPT_POINT_COUNT; i++) {
        struct script_rule *next;
        for (struct script_rule *r = s->first[i]; r != NULL; r = next) {
            next = r->next;
            rule_free(r);
        }
    }
    free(s);
}

bool script_add(struct script *s, struct slice line, char *ret_text, size_t text_cap)
{
    while (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
        line = slice_from(line, 1);
    while (line.len > 0 && strchr(" \t\r\n", line.ptr[line.len - 1]) != NULL)
        line.len--;
    if (line.len == 0 || line.ptr[0] == '#')
        return true;
    struct script_rule *r = calloc(1, sizeof(*r));
    if (r == NULL || (r->text = malloc(line.len + 1)) == NULL) {
        free(r);
        snprintf(ret_text, text_cap, "%s", err_text(-ENOMEM));
        return false;
    }
    memcpy(r->text, line.ptr, line.len);
    r->text[line.len] = '\0';
    if (!script_parse_rule(r, ret_text, text_cap)) {
        rule_free(r);
        return false;
    }
    r->number = ++s->rule_count;
    struct script_rule **end = &s->first[r->point];
    while (*end != NULL)
        end = &(*end)->next;
    *end = r;
    s->wants_client |= r->wants_client;
    s->wants_identity |= r->wants_identity;
    s->wants_attempts |= r->wants_attempts;
    s->wants_memory |= r->wants_memory;
    s->has_tweaks |= r->has_tweaks;
    return true;
}

bool script_read(struct script *s, const char *path, char *ret_text, size_t text_cap)
{
    char why[256];
    char *line = NULL;
    size_t cap = 0;
    uint32_t number = 0;
    bool is_good = true;
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        snprintf(ret_text, text_cap, "%s: %s", path, err_text(-errno));
        return false;
    }
    ssize_t len;
    while (is_good && (len = getline(&line, &cap, f)) >= 0) {
        number++;
        is_good = script_add(s, slice_of(line, (size_t)len), why, sizeof(why));
        if (!is_good)
            snprintf(ret_text, text_cap, "%s:%u: %s", path, number, why);
    }
    if (is_good && ferror(f)) {
        snprintf(ret_text, text_cap, "%s: %s", path, err_text(-EIO));
        is_good = false;
    }
    free(line);
    fclose(f);
    return is_good;
}

bool script_has(const struct script *s, enum script_point at)
{
    return s->first[at] != NULL;
}

bool script_wants_client(const struct script *s)
{
    return s->wants_client;
}

bool script_wants_identity(const struct script *s)
{
    return s->wants_identity;
}

bool script_wants_attempts(const struct script *s)
{
    return s->wants_attempts;
}

bool script_wants_memory(const struct script *s)
{
    return s->wants_memory;
}

bool script_has_tweaks(const struct script *s)
{
    return s->has_tweaks;
}

/* --- conditions ------------------------------------------------------------------------------ */

bool script_glob(struct slice pattern, struct slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_t = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            star_t = t;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' ||
                                       ascii_lower(pattern.ptr[p]) == ascii_lower(text.ptr[t]))) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_t;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

/* The first @bits of both are alike. */
static bool has_prefix(const uint8_t *a, const uint8_t *b, uint32_t bits)
{
    uint32_t whole = bits / 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    if (bits % 8 == 0)
        return true;
    uint8_t mask = (uint8_t)(0xFF << (8 - bits % 8));
    return (a[whole] & mask) == (b[whole] & mask);
}

static bool is_client_in(const struct script_cond *c, const struct sockaddr_storage *client)
{
    if (client == NULL || client->ss_family != c->family)
        return false;
    if (c->family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)client;
        return has_prefix((const uint8_t *)&in->sin_addr, c->network, c->bits);
    }
    if (c->family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)client;
        return has_prefix((const uint8_t *)&in6->sin6_addr, c->network, c->bits);
    }
    return true; /* AF_UNIX */
}

static bool is_in(const struct script_cond *c, uint64_t value)
{
    return value >= c->low && value <= c->high;
}

/* Drawn once for a rule, a message and a recipient: the same on each try. */
static double steady_unit(const struct script_rule *r, const struct script_facts *f)
{
    struct rng rng;
    uint64_t seed = f->id.run * 0x9E3779B97F4A7C15u ^ f->id.seq * 0xC2B2AE3D27D4EB4Fu ^ r->number;
    for (size_t i = 0; i < f->rcpt.len; i++)
        seed = (seed ^ f->rcpt.ptr[i]) * 0x100000001B3u;
    rng_init(&rng, seed);
    return rng_unit(&rng);
}

static bool holds(struct script_rule *r, const struct script_cond *c, const struct script_facts *f,
                  struct rng *rng)
{
    switch (c->kind) {
    case COND_FROM:
        return script_glob(c->text, f->sender);
    case COND_RCPT:
        return script_glob(c->text, f->rcpt);
    case COND_CLIENT:
        return is_client_in(c, f->client);
    case COND_VIA:
        return f->dialect == (enum dialect)c->low;
    case COND_CONN:
        return is_in(c, f->conn);
    case COND_TXN:
        return is_in(c, f->txn);
    case COND_SIZE:
        return is_in(c, f->size);
    case COND_SEQ:
        return f->has_id && is_in(c, f->id.seq);
    case COND_ATTEMPT:
        return f->attempt > 0 && is_in(c, f->attempt);
    case COND_INDEX:
        return is_in(c, f->index);
    case COND_COUNT:
        return is_in(c, f->count);
    case COND_EVERY:
        return __atomic_add_fetch(&r->asked, 1, __ATOMIC_RELAXED) % c->low == 0;
    case COND_SHARE:
        return f->has_id && steady_unit(r, f) < c->share;
    case COND_P:
        return rng_unit(rng) < c->share;
    }
    UNREACHABLE();
}

static bool rule_holds(struct script_rule *r, const struct script_facts *f, struct rng *rng)
{
    for (uint32_t i = 0; i < r->cond_count; i++)
        if (holds(r, &r->conds[i], f, rng) == r->conds[i].is_negated)
            return false;
    return true;
}

/* --- actions --------------------------------------------------------------------------------- */

/* Of the whole message: ACTION_DROP_AFTER, ...; only at SCRIPT_DOT. */
static void apply_at_dot(const struct script_action *a, uint64_t time_ns, struct script_effect *e)
{
    switch ((unsigned)a->kind) {
    case ACTION_DROP_AFTER:
        e->drop_after = a->drop;
        e->drop_after_count = (uint32_t)a->number;
        break;
    case ACTION_DROP_REPLIES:
        e->drop_replies = a->drop;
        e->drop_replies_bytes = a->number;
        break;
    case ACTION_LIFE:
        e->life_ns = time_ns;
        break;
    case ACTION_PACING:
        e->pacing = (enum script_pacing)a->number;
        break;
    case ACTION_COMMIT:
        e->commit = (enum script_commit)a->number;
        break;
    case ACTION_GONE:
        e->gone = (enum script_gone)a->number;
        break;
    case ACTION_ORDER:
        e->order = (enum script_order)a->number;
        break;
    case ACTION_MIXED:
        e->mixed = (enum script_mixed)a->number;
        break;
    case ACTION_SCAN:
        e->is_scan_once = a->number == 1;
        break;
    case ACTION_OPENER:
        e->has_opener = true;
        e->opener_ns = a->has_time ? time_ns : UINT64_MAX;
        break;
    case ACTION_FINAL:
        e->final_ns = time_ns;
        break;
    case ACTION_BUDGET:
        e->budget_ns = time_ns;
        break;
    case ACTION_GAP:
        e->gap_ns = time_ns;
        break;
    case ACTION_SUPPRESS:
        e->suppress_ns = time_ns;
        break;
    default: /* those of all points */
        break;
    }
}

/* ACTION_REPLY, ..., which say when and what; the rest are tweaks. */
static void apply(const struct script_action *a, struct rng *rng, struct script_effect *e)
{
    bool is_now = a->has_time && a->kind != ACTION_WRITE;
    uint64_t time_ns = is_now ? dist_draw(&a->time, rng) : 0;
    switch (a->kind) {
    case ACTION_REPLY:
        e->has_answer = true;
        e->answer = a->answer;
        break;
    case ACTION_DELAY:
        e->delay_ns = time_ns;
        break;
    case ACTION_DROP:
        e->drop = a->drop;
        break;
    case ACTION_DROP_CONTENT:
        e->drop_content = a->drop;
        e->drop_content_bytes = a->number;
        break;
    case ACTION_DECIDE:
        e->decide = (enum script_decide)(a->number + 1);
        break;
    case ACTION_WRITE:
        e->write = &a->time;
        break;
    case ACTION_STALL_READ:
        e->stall_read_ns = time_ns;
        e->stall_read_bytes = a->number;
        break;
    case ACTION_STALL_WRITE:
        e->stall_write_ns = time_ns;
        break;
    case ACTION_PACE:
        e->pace_ns = time_ns;
        break;
    case ACTION_RCVBUF:
        e->rcvbuf_bytes = (uint32_t)a->number;
        break;
    case ACTION_TWEAK:
        e->tweak = a->tweak;
        e->tweak_number = a->number;
        e->tweak_text = a->text;
        break;
    case ACTION_DROP_AFTER:
    case ACTION_DROP_REPLIES:
    case ACTION_LIFE:
    case ACTION_PACING:
    case ACTION_COMMIT:
    case ACTION_GONE:
    case ACTION_ORDER:
    case ACTION_MIXED:
    case ACTION_SCAN:
    case ACTION_OPENER:
    case ACTION_FINAL:
    case ACTION_BUDGET:
    case ACTION_GAP:
    case ACTION_SUPPRESS:
        apply_at_dot(a, time_ns, e);
        break;
    case ACTION_STOP:
    case ACTION_KIND_COUNT:
        break;
    }
}

void script_run(struct script *s, enum script_point at, const struct script_facts *facts,
                struct rng *rng, struct script_effect *ret_effect)
{
    uint32_t seen = 0;
    *ret_effect = (struct script_effect){0};
    for (struct script_rule *r = s->first[at]; r != NULL; r = r->next) {
        if (!rule_holds(r, facts, rng))
            continue;
        for (uint32_t i = 0; i < r->action_count; i++) {
            const struct script_action *a = &r->actions[i];
            if ((seen >> a->kind & 1) != 0)
                continue;
            seen |= 1u << a->kind;
            apply(a, rng, ret_effect);
        }
        if ((seen >> ACTION_STOP & 1) != 0)
            return;
    }
}
