/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - recipients to classes, scan results to verdicts, verdicts to one reply.
 *
 * Everything here reads an immutable core (policy_core.h). A handle (struct policy) adds what one
 * thread needs to read maps. Recipient: domain, then the domain's sources in order, then
 * postmaster's privilege (CORE-7), then what the class can say at RCPT already. Verdict: a list of
 * tests in a fixed order. Mixing: two passes over the verdicts of one message.
 *
 * Invariants: class index 0 is "default"; an index in a core is always inside its array; a lookup
 * allocates nothing and changes nothing but the position of its handle's read transactions.
 */
#include "policy/policy_core.h"
#include "base/assert.h"

const char *policy_action_name(enum policy_action action)
{
    switch (action) {
    case POLICY_ACCEPT:
        return "accept";
    case POLICY_REJECT:
        return "reject";
    case POLICY_DEFER:
        return "defer";
    case POLICY_DISCARD:
        return "discard";
    case POLICY_QUARANTINE:
        return "quarantine";
    }
    UNREACHABLE();
}

struct policy_class policy_class_default(void)
{
    return (struct policy_class){
        .name = SLICE_LIT("default"),
        .score_reject = POLICY_SCORE_REJECT_DEFAULT,
        .score_defer = POLICY_SCORE_OFF,
        .action = POLICY_ACCEPT,
    };
}

/* --- recipients ----------------------------------------------------------------------------- */

uint32_t *policy_domain_slot(const struct policy_core *core, struct slice name)
{
    uint32_t at = (uint32_t)table_hash(name.ptr, name.len) & core->domain_slot_mask;
    for (;; at = (at + 1) & core->domain_slot_mask) {
        uint32_t *slot = &core->domain_slots[at];
        if (*slot == 0 || slice_eq(core->domains[*slot - 1].name, name))
            return slot;
    }
}

static const struct policy_domain *domain_lookup(const struct policy_core *core, struct slice name)
{
    uint32_t slot = *policy_domain_slot(core, name);
    return slot != 0 ? &core->domains[slot - 1] : NULL;
}

/* The entry that serves @domain: itself, else its nearest ".parent", else "*". */
static const struct policy_domain *domain_find(const struct policy_core *core, struct slice domain)
{
    uint8_t lower[PATH_UTF8_BYTES_MAX];
    const struct policy_domain *found = NULL;
    if (domain.len > 0 && domain.len <= sizeof(lower)) {
        for (size_t i = 0; i < domain.len; i++)
            lower[i] = ascii_lower(domain.ptr[i]);
        found = domain_lookup(core, slice_of(lower, domain.len));
        bool is_literal = lower[0] == '[';
        for (size_t i = 1; found == NULL && core->has_subdomains && !is_literal && i < domain.len;
             i++)
            if (lower[i] == '.')
                found = domain_lookup(core, slice_of(lower + i, domain.len - i));
    }
    if (found == NULL && core->domain_idx_all != POLICY_NONE)
        found = &core->domains[core->domain_idx_all];
    return found;
}

/* The part of @local before the first delimiter, or all of it. A delimiter at its start does not
 * count, and a quoted local part has no extension. */
static struct slice local_without_extension(const struct policy_core *core, struct slice local)
{
    if (local.len == 0 || local.ptr[0] == '"')
        return local;
    for (size_t i = 1; i < local.len; i++)
        for (uint8_t d = 0; d < core->delimiter_count; d++)
            if (local.ptr[i] == core->delimiters[d])
                return slice_first(local, i);
    return local;
}

struct keys { /* what one address is looked up by, in this order */
    uint32_t count;
    struct table_key at[4];
};

static void keys_make(const struct policy_core *core, const struct path *rcpt, struct keys *keys)
{
    struct slice locals[2] = {rcpt->local, local_without_extension(core, rcpt->local)};
    uint32_t local_count = locals[1].len == locals[0].len ? 1 : 2;
    keys->count = 0;
    for (int with_domain = 1; with_domain >= 0; with_domain--)
        for (uint32_t i = 0; i < local_count; i++)
            if (table_key_make(locals[i], with_domain ? rcpt->domain : SLICE_EMPTY,
                               core->folds_local, &keys->at[keys->count]))
                keys->count++;
}

static enum table_result table_lookup(const struct policy *p, uint32_t table_idx,
                                      const struct policy_domain *domain, const struct keys *keys,
                                      uint16_t *ret_class_idx)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        uint16_t number;
        switch (table_find(&p->readers[table_idx], &keys->at[i], &number)) {
        case TABLE_NOT_FOUND:
            break;
        case TABLE_DAMAGED:
            return TABLE_DAMAGED;
        case TABLE_FOUND:
            *ret_class_idx =
                number == 0 ? domain->class_idx : p->core->tables[table_idx].class_idx[number - 1];
            return TABLE_FOUND;
        }
    }
    return TABLE_NOT_FOUND;
}

static enum table_result sources_lookup(const struct policy *p, const struct policy_domain *domain,
                                        const struct path *rcpt, uint16_t *ret_class_idx)
{
    const struct policy_source *sources = p->core->sources + domain->source_idx;
    struct keys keys;
    bool has_keys = false;
    for (uint16_t i = 0; i < domain->source_count; i++) {
        if (sources[i].table_idx == POLICY_NONE) {
            bool is_listed_class =
                path_is_postmaster(rcpt) && p->core->class_idx_postmaster != POLICY_CLASS_NONE;
            *ret_class_idx = is_listed_class ? p->core->class_idx_postmaster : domain->class_idx;
            return TABLE_FOUND;
        }
        if (!has_keys)
            keys_make(p->core, rcpt, &keys);
        has_keys = true;
        enum table_result result =
            table_lookup(p, sources[i].table_idx, domain, &keys, ret_class_idx);
        if (result != TABLE_NOT_FOUND)
            return result;
    }
    return TABLE_NOT_FOUND;
}

static struct answer answer_or(const struct answer *configured, enum status otherwise)
{
    return configured->status != STATUS_NONE ? *configured : ANSWER(otherwise);
}

/* What the class can say before there is any content. */
static struct answer class_at_rcpt(const struct policy_class *c, uint64_t size)
{
    if (c->size_max > 0 && size > c->size_max)
        return answer_or(&c->size_reply, STATUS_TOO_BIG_FOR_RCPT);
    if (c->acts_at_rcpt && c->action == POLICY_REJECT)
        return answer_or(&c->reject_reply, STATUS_REFUSED_POLICY);
    if (c->acts_at_rcpt && c->action == POLICY_DEFER)
        return answer_or(&c->defer_reply, STATUS_DEFERRED_POLICY);
    return ANSWER(STATUS_RCPT_OK);
}

/* CORE-7: a class that takes no mail at all does not hold for postmaster. */
static bool class_takes_none(const struct policy_class *c)
{
    return c->action == POLICY_REJECT || c->action == POLICY_DEFER;
}

/* The class of @rcpt in @domain, or why there is none. */
static enum status class_in_domain(const struct policy *p, const struct policy_domain *domain,
                                   const struct path *rcpt, uint16_t *ret_class_idx)
{
    switch (sources_lookup(p, domain, rcpt, ret_class_idx)) {
    case TABLE_FOUND:
        return STATUS_RCPT_OK;
    case TABLE_NOT_FOUND:
        return STATUS_NO_SUCH_USER;
    case TABLE_DAMAGED:
        return STATUS_LOCAL_ERROR;
    }
    UNREACHABLE();
}

struct policy_rcpt policy_rcpt(const struct policy *p, const struct path *rcpt, uint64_t size)
{
    const struct policy_core *core = p->core;
    bool is_postmaster = path_is_postmaster(rcpt);
    bool has_own_class = core->class_idx_postmaster != POLICY_CLASS_NONE;
    uint16_t class_postmaster = has_own_class ? core->class_idx_postmaster : POLICY_CLASS_DEFAULT;
    uint16_t class_idx = class_postmaster;
    if (rcpt->domain.len == 0) {
        /* "<postmaster>" is ours wherever anything is served; no other address may lack a domain.
         */
        if (!is_postmaster)
            return (struct policy_rcpt){.answer = ANSWER(STATUS_NO_SUCH_USER)};
    } else {
        const struct policy_domain *domain = domain_find(core, rcpt->domain);
        if (domain == NULL)
            return (struct policy_rcpt){.answer = ANSWER(STATUS_RELAY_DENIED)};
        enum status status = class_in_domain(p, domain, rcpt, &class_idx);
        if (status != STATUS_RCPT_OK && !is_postmaster)
            return (struct policy_rcpt){.answer = ANSWER(status)};
        if (status != STATUS_RCPT_OK)
            class_idx = has_own_class ? class_postmaster : domain->class_idx;
    }
    ASSERT(class_idx < core->class_count);
    if (is_postmaster && class_takes_none(&core->classes[class_idx]))
        class_idx = class_postmaster;
    return (struct policy_rcpt){class_at_rcpt(&core->classes[class_idx], size), class_idx};
}

uint16_t policy_class_count(const struct policy *p)
{
    return p->core->class_count;
}

const struct policy_class *policy_class(const struct policy *p, uint16_t class_idx)
{
    ASSERT(class_idx < p->core->class_count);
    return &p->core->classes[class_idx];
}

bool policy_has_delays(const struct policy *p)
{
    return p->core->has_delays;
}

struct answer policy_one_class_answer(const struct policy_rcpt *decided, uint32_t accepted_count,
                                      uint16_t class_idx_first)
{
    if (!status_is_success(decided->answer.status) || accepted_count == 0 ||
        decided->class_idx == class_idx_first)
        return decided->answer;
    return ANSWER(STATUS_CLASS_DIFFERS);
}

/* --- verdicts ------------------------------------------------------------------------------- */

static enum status flags_status(uint32_t flags)
{
    if (flags & (SCAN_FLAG_BARE_CR | SCAN_FLAG_BARE_LF | SCAN_FLAG_NUL))
        return STATUS_BAD_LINE_ENDING;
    if (flags & SCAN_FLAG_LONG_LINE)
        return STATUS_LINE_IN_MESSAGE_TOO_LONG;
    if (flags & SCAN_FLAG_LOOP)
        return STATUS_LOOP;
    return STATUS_REFUSED_POLICY;
}

static struct policy_verdict verdict_by_action(const struct policy_class *c)
{
    struct policy_verdict v = {.action = c->action, .reason = policy_action_name(c->action)};
    switch (c->action) {
    case POLICY_ACCEPT:
    case POLICY_DISCARD:
    case POLICY_QUARANTINE:
        v.answer = answer_or(&c->accept_reply, STATUS_STORED);
        return v;
    case POLICY_REJECT:
        v.answer = answer_or(&c->reject_reply, STATUS_REFUSED_POLICY);
        return v;
    case POLICY_DEFER:
        v.answer = answer_or(&c->defer_reply, STATUS_DEFERRED_POLICY);
        return v;
    }
    UNREACHABLE();
}

struct policy_verdict policy_verdict(const struct policy_class *c, const struct scan_result *scan,
                                     const struct rules_hits *hits)
{
    if (c->size_max > 0 && scan->content_bytes > c->size_max)
        return (struct policy_verdict){POLICY_REJECT,
                                       answer_or(&c->size_reply, STATUS_TOO_BIG_FOR_RCPT), "size"};
    uint32_t flags = scan->flags & c->flags_reject;
    if (flags != 0)
        return (struct policy_verdict){POLICY_REJECT,
                                       answer_or(&c->reject_reply, flags_status(flags)), "flags"};
    if (c->score_reject != POLICY_SCORE_OFF && hits->score >= c->score_reject)
        return (struct policy_verdict){POLICY_REJECT,
                                       answer_or(&c->reject_reply, STATUS_REFUSED_POLICY), "score"};
    if (c->score_defer != POLICY_SCORE_OFF && hits->score >= c->score_defer)
        return (struct policy_verdict){POLICY_DEFER,
                                       answer_or(&c->defer_reply, STATUS_DEFERRED_POLICY), "score"};
    return verdict_by_action(c);
}

bool policy_decides_later(const struct policy_class *c)
{
    return c->size_max > 0 || c->flags_reject != 0 || c->score_reject != POLICY_SCORE_OFF ||
           c->score_defer != POLICY_SCORE_OFF || class_takes_none(c);
}

/* --- one reply for all ---------------------------------------------------------------------- */

bool policy_answer_is_alike(const struct answer *a, const struct answer *b)
{
    return a->status == b->status && a->code == b->code &&
           memcmp(a->enhanced, b->enhanced, sizeof(a->enhanced)) == 0 && slice_eq(a->text, b->text);
}

enum outcome { OUTCOME_SUCCESS, OUTCOME_DEFER, OUTCOME_REJECT, OUTCOME_COUNT };

static enum outcome outcome_of(enum policy_action action)
{
    switch (action) {
    case POLICY_ACCEPT:
    case POLICY_DISCARD:
    case POLICY_QUARANTINE:
        return OUTCOME_SUCCESS;
    case POLICY_DEFER:
        return OUTCOME_DEFER;
    case POLICY_REJECT:
        return OUTCOME_REJECT;
    }
    UNREACHABLE();
}

struct common { /* the answer that verdicts of one outcome agree on */
    uint32_t count;
    struct answer answer;
};

static void common_add(struct common *common, const struct answer *answer, enum status otherwise)
{
    if (common->count++ == 0)
        common->answer = *answer;
    else if (!policy_answer_is_alike(&common->answer, answer))
        common->answer = ANSWER(otherwise);
}

static bool verdict_set(struct policy_verdict *v, enum policy_action action,
                        const struct answer *answer)
{
    bool is_changed = false;
    if (v->action != action) {
        v->action = action;
        v->reason = "mixed";
        is_changed = true;
    }
    if (!policy_answer_is_alike(&v->answer, answer)) {
        v->answer = *answer;
        is_changed = true;
    }
    return is_changed;
}

bool policy_mix(struct policy_verdict *verdicts, uint32_t count, enum policy_on_refusal on_refusal)
{
    static const enum status plain[OUTCOME_COUNT] = {
        [OUTCOME_SUCCESS] = STATUS_STORED,
        [OUTCOME_DEFER] = STATUS_DEFERRED_POLICY,
        [OUTCOME_REJECT] = STATUS_REFUSED_POLICY,
    };
    struct common common[OUTCOME_COUNT] = {0};
    for (uint32_t i = 0; i < count; i++) {
        enum outcome outcome = outcome_of(verdicts[i].action);
        common_add(&common[outcome], &verdicts[i].answer, plain[outcome]);
    }
    enum outcome whole = OUTCOME_SUCCESS;
    if (common[OUTCOME_DEFER].count > 0)
        whole = OUTCOME_DEFER;
    else if (common[OUTCOME_REJECT].count > 0 &&
             (common[OUTCOME_SUCCESS].count == 0 || on_refusal == POLICY_REFUSAL_REFUSE))
        whole = OUTCOME_REJECT;
    bool is_changed = false;
    for (uint32_t i = 0; i < count; i++) {
        struct policy_verdict *v = &verdicts[i];
        enum policy_action action = v->action;
        if (whole == OUTCOME_DEFER)
            action = POLICY_DEFER;
        else if (whole == OUTCOME_REJECT)
            action = POLICY_REJECT;
        else if (action == POLICY_REJECT)
            action = POLICY_QUARANTINE;
        is_changed |= verdict_set(v, action, &common[whole].answer);
    }
    return is_changed;
}
