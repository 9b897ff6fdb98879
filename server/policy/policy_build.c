/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_build.c - how policies come and go: arrays that are still extended, handles, the end.
 *
 * The build owns a core from the start and fills it; finish makes the first handle of it. Class
 * "default" stands at index 0 from the beginning, so every index that is handed out stays valid.
 * Nothing in this file runs for a message: only at start, at reload and when the last user of a
 * replaced policy is done.
 *
 * Invariants: the domain slots are at most half full; sources of a domain are contiguous, which
 * holds because a source is only added to the newest domain.
 */
#include "policy/policy_core.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>

struct policy_build {
    struct policy_core *core;
};

/* Makes room for one more element behind @count; sizes double at powers of two. */
static void *array_grow(void *array, size_t count, size_t element_bytes)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return array;
    size_t cap = count == 0 ? 1 : count * 2;
    return reallocarray(array, cap, element_bytes);
}

static bool slice_copy(struct slice s, struct slice *ret_copy)
{
    *ret_copy = SLICE_EMPTY;
    if (s.len == 0)
        return true;
    uint8_t *copy = malloc(s.len);
    if (copy == NULL)
        return false;
    memcpy(copy, s.ptr, s.len);
    *ret_copy = slice_of(copy, s.len);
    return true;
}

/* --- classes -------------------------------------------------------------------------------- */

static void class_free_texts(struct policy_class *c)
{
    struct slice *owned[] = {&c->name, &c->reject_reply.text, &c->defer_reply.text,
                             &c->accept_reply.text, &c->size_reply.text};
    for (size_t i = 0; i < ARRAY_COUNT(owned); i++) {
        free((void *)(uintptr_t)owned[i]->ptr);
        *owned[i] = SLICE_EMPTY;
    }
}

/* All texts are copied, or none is left: @to may be freed by class_free_texts() either way. */
static bool class_copy(const struct policy_class *from, struct policy_class *to)
{
    *to = *from;
    struct slice *texts[] = {&to->name, &to->reject_reply.text, &to->defer_reply.text,
                             &to->accept_reply.text, &to->size_reply.text};
    const struct slice given[] = {from->name, from->reject_reply.text, from->defer_reply.text,
                                  from->accept_reply.text, from->size_reply.text};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        *texts[i] = SLICE_EMPTY;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        if (!slice_copy(given[i], texts[i])) {
            class_free_texts(to);
            return false;
        }
    }
    return true;
}

bool policy_build_find_class(const struct policy_build *b, struct slice name,
                             uint16_t *ret_class_idx)
{
    for (uint16_t i = 0; i < b->core->class_count; i++) {
        if (slice_eq(b->core->classes[i].name, name)) {
            *ret_class_idx = i;
            return true;
        }
    }
    return false;
}

static enum policy_build_result class_append(struct policy_core *core, const struct policy_class *c)
{
    if (core->class_count == POLICY_CLASS_COUNT_MAX)
        return POLICY_BUILD_TOO_MANY;
    struct policy_class *classes = array_grow(core->classes, core->class_count, sizeof(*classes));
    if (classes == NULL)
        return POLICY_BUILD_NO_MEMORY;
    core->classes = classes;
    if (!class_copy(c, &classes[core->class_count]))
        return POLICY_BUILD_NO_MEMORY;
    core->class_count++;
    return POLICY_BUILD_OK;
}

enum policy_build_result policy_build_class(struct policy_build *b, const struct policy_class *c,
                                            uint16_t *ret_class_idx)
{
    struct policy_core *core = b->core;
    uint16_t class_idx;
    if (!table_class_name_is_valid(c->name))
        return POLICY_BUILD_INVALID;
    if (slice_eq(c->name, SLICE_LIT("default"))) {
        struct policy_class copy;
        if (!class_copy(c, &copy))
            return POLICY_BUILD_NO_MEMORY;
        class_free_texts(&core->classes[POLICY_CLASS_DEFAULT]);
        core->classes[POLICY_CLASS_DEFAULT] = copy;
        *ret_class_idx = POLICY_CLASS_DEFAULT;
        return POLICY_BUILD_OK;
    }
    if (policy_build_find_class(b, c->name, &class_idx))
        return POLICY_BUILD_EXISTS;
    enum policy_build_result result = class_append(core, c);
    if (result != POLICY_BUILD_OK)
        return result;
    *ret_class_idx = (uint16_t)(core->class_count - 1);
    if (slice_eq(c->name, SLICE_LIT("postmaster")))
        core->class_idx_postmaster = *ret_class_idx;
    return POLICY_BUILD_OK;
}

/* --- domains -------------------------------------------------------------------------------- */

static bool slots_grow(struct policy_core *core)
{
    if (core->domain_slots != NULL && 2 * (core->domain_count + 1) <= core->domain_slot_mask + 1)
        return true;
    uint32_t size = core->domain_slots == NULL ? 8 : 2 * (core->domain_slot_mask + 1);
    uint32_t *slots = calloc(size, sizeof(*slots));
    if (slots == NULL)
        return false;
    free(core->domain_slots);
    core->domain_slots = slots;
    core->domain_slot_mask = size - 1;
    for (uint32_t i = 0; i < core->domain_count; i++)
        *policy_domain_slot(core, core->domains[i].name) = i + 1;
    return true;
}

/* The name as it is kept: lower case, ".example.org" for subdomains. False when it is not one. */
static bool domain_name_make(struct slice name, uint8_t *ret_bytes, struct slice *ret_name)
{
    if (name.len > DOMAIN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        ret_bytes[i] = ascii_lower(name.ptr[i]);
    struct slice kept = slice_of(ret_bytes, name.len);
    *ret_name = kept;
    if (slice_eq(kept, SLICE_LIT("*")))
        return true;
    if (kept.len > 1 && kept.ptr[0] == '*' && kept.ptr[1] == '.')
        kept = slice_from(kept, 1);
    *ret_name = kept;
    bool is_subdomains = kept.len > 0 && kept.ptr[0] == '.';
    return table_domain_is_valid(is_subdomains ? slice_from(kept, 1) : kept);
}

enum policy_build_result policy_build_domain(struct policy_build *b, struct slice name,
                                             uint16_t class_idx, uint32_t *ret_domain_idx)
{
    struct policy_core *core = b->core;
    uint8_t bytes[DOMAIN_BYTES_MAX];
    struct slice kept;
    ASSERT(class_idx < core->class_count);
    if (!domain_name_make(name, bytes, &kept))
        return POLICY_BUILD_INVALID;
    if (core->domain_count == UINT32_MAX / 4)
        return POLICY_BUILD_TOO_MANY;
    if (!slots_grow(core))
        return POLICY_BUILD_NO_MEMORY;
    uint32_t *slot = policy_domain_slot(core, kept);
    if (*slot != 0)
        return POLICY_BUILD_EXISTS;
    struct policy_domain *domains = array_grow(core->domains, core->domain_count, sizeof(*domains));
    if (domains == NULL)
        return POLICY_BUILD_NO_MEMORY;
    core->domains = domains;
    struct policy_domain *d = &domains[core->domain_count];
    *d = (struct policy_domain){.class_idx = class_idx, .source_idx = core->source_count};
    if (!slice_copy(kept, &d->name))
        return POLICY_BUILD_NO_MEMORY;
    if (slice_eq(kept, SLICE_LIT("*")))
        core->domain_idx_all = core->domain_count;
    core->has_subdomains |= kept.ptr[0] == '.';
    *ret_domain_idx = core->domain_count++;
    *slot = core->domain_count;
    return POLICY_BUILD_OK;
}

/* --- tables and sources --------------------------------------------------------------------- */

enum policy_build_result policy_build_table(struct policy_build *b, struct table *t,
                                            uint32_t *ret_table_idx, struct slice *ret_unknown)
{
    struct policy_core *core = b->core;
    if (table_folds_local(t) != core->folds_local)
        return POLICY_BUILD_INVALID;
    struct policy_table *tables = array_grow(core->tables, core->table_count, sizeof(*tables));
    if (tables == NULL)
        return POLICY_BUILD_NO_MEMORY;
    core->tables = tables;
    uint16_t count = table_class_count(t);
    uint16_t *class_idx = calloc(count + 1u, sizeof(*class_idx));
    if (class_idx == NULL)
        return POLICY_BUILD_NO_MEMORY;
    for (uint16_t i = 0; i < count; i++) {
        struct slice name = table_class_name(t, (uint16_t)(i + 1));
        if (!policy_build_find_class(b, name, &class_idx[i])) {
            free(class_idx);
            *ret_unknown = name;
            return POLICY_BUILD_UNKNOWN_CLASS;
        }
    }
    tables[core->table_count] = (struct policy_table){t, class_idx};
    *ret_table_idx = core->table_count++;
    return POLICY_BUILD_OK;
}

static enum policy_build_result source_add(struct policy_core *core, uint32_t domain_idx,
                                           uint32_t table_idx)
{
    ASSERT(domain_idx + 1 == core->domain_count); /* sources of a domain are contiguous */
    struct policy_domain *d = &core->domains[domain_idx];
    if (d->source_count > 0 && core->sources[core->source_count - 1].table_idx == POLICY_NONE)
        return POLICY_BUILD_INVALID;
    if (d->source_count == POLICY_SOURCES_MAX)
        return POLICY_BUILD_TOO_MANY;
    struct policy_source *sources = array_grow(core->sources, core->source_count, sizeof(*sources));
    if (sources == NULL)
        return POLICY_BUILD_NO_MEMORY;
    core->sources = sources;
    sources[core->source_count++] = (struct policy_source){table_idx};
    d->source_count++;
    return POLICY_BUILD_OK;
}

enum policy_build_result policy_build_source_any(struct policy_build *b, uint32_t domain_idx)
{
    return source_add(b->core, domain_idx, POLICY_NONE);
}

enum policy_build_result policy_build_source_table(struct policy_build *b, uint32_t domain_idx,
                                                   uint32_t table_idx)
{
    ASSERT(table_idx < b->core->table_count);
    return source_add(b->core, domain_idx, table_idx);
}

/* --- life of cores and handles ------------------------------------------------------------ */

void policy_core_free(struct policy_core *core)
{
    for (uint32_t i = 0; i < core->table_count; i++) {
        table_free(core->tables[i].table);
        free(core->tables[i].class_idx);
    }
    for (uint16_t i = 0; i < core->class_count; i++) {
        const struct policy_class *c = &core->classes[i];
        const struct slice owned[] = {c->name, c->reject_reply.text, c->defer_reply.text,
                                      c->accept_reply.text, c->size_reply.text};
        for (size_t k = 0; k < ARRAY_COUNT(owned); k++)
            free((void *)(uintptr_t)owned[k].ptr);
    }
    for (uint32_t i = 0; i < core->domain_count; i++)
        free((void *)(uintptr_t)core->domains[i].name.ptr);
    free(core->tables);
    free(core->classes);
    free(core->domains);
    free(core->domain_slots);
    free(core->sources);
    free(core);
}

static void core_unref(struct policy_core *core)
{
    if (atomic_fetch_sub_explicit(&core->refs, 1, memory_order_acq_rel) == 1)
        policy_core_free(core);
}

static void handle_free(struct policy *p)
{
    for (uint32_t i = 0; i < p->reader_count; i++)
        table_reader_close(&p->readers[i]);
    core_unref(p->core);
    free(p);
}

struct policy *policy_ref(struct policy *p)
{
    unsigned before = atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return p;
}

void policy_unref(struct policy *p)
{
    if (p == NULL)
        return;
    unsigned before = atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1)
        handle_free(p);
}

int policy_view_new(const struct policy *p, struct policy **ret_view)
{
    struct policy_core *core = p->core;
    struct policy *view = calloc(1, sizeof(*view) + core->table_count * sizeof(view->readers[0]));
    if (view == NULL)
        return -ENOMEM;
    atomic_fetch_add_explicit(&core->refs, 1, memory_order_relaxed);
    view->core = core;
    atomic_init(&view->refs, 1);
    for (; view->reader_count < core->table_count; view->reader_count++) {
        int err = table_reader_open(core->tables[view->reader_count].table,
                                    &view->readers[view->reader_count]);
        if (err < 0) {
            handle_free(view);
            return err;
        }
    }
    *ret_view = view;
    return 0;
}

/* --- begin and end -------------------------------------------------------------------------- */

int policy_build_begin(const struct policy_build_options *options, struct policy_build **ret_build)
{
    ASSERT(options->delimiters.len <= POLICY_DELIMITERS_MAX);
    struct policy_build *b = calloc(1, sizeof(*b));
    struct policy_core *core = calloc(1, sizeof(*core));
    if (b == NULL || core == NULL) {
        free(core);
        free(b);
        return -ENOMEM;
    }
    b->core = core;
    atomic_init(&core->refs, 1); /* the build's */
    core->folds_local = options->folds_local;
    core->delimiter_count = (uint8_t)options->delimiters.len;
    if (options->delimiters.len > 0)
        memcpy(core->delimiters, options->delimiters.ptr, options->delimiters.len);
    core->domain_idx_all = POLICY_NONE;
    core->class_idx_postmaster = POLICY_CLASS_NONE;
    struct policy_class c = policy_class_default();
    if (!slots_grow(core) || class_append(core, &c) != POLICY_BUILD_OK) {
        policy_build_abort(b);
        return -ENOMEM;
    }
    *ret_build = b;
    return 0;
}

void policy_build_abort(struct policy_build *b)
{
    if (b == NULL)
        return;
    policy_core_free(b->core);
    free(b);
}

int policy_build_finish(struct policy_build *b, struct policy **ret_policy)
{
    struct policy first = {.core = b->core};
    struct policy *p;
    for (uint16_t i = 0; i < b->core->class_count; i++)
        b->core->has_delays |= b->core->classes[i].delay.kind != DELAY_NONE;
    int err = policy_view_new(&first, &p);
    if (err < 0) {
        policy_build_abort(b);
        return err;
    }
    atomic_fetch_sub_explicit(&b->core->refs, 1, memory_order_relaxed); /* now the handle's alone */
    free(b);
    *ret_policy = p;
    return 0;
}

int policy_new_accept_all(struct policy **ret_policy)
{
    const struct policy_build_options options = {.folds_local = true};
    struct policy_build *b;
    uint32_t domain_idx;
    int err = policy_build_begin(&options, &b);
    if (err < 0)
        return err;
    if (policy_build_domain(b, SLICE_LIT("*"), POLICY_CLASS_DEFAULT, &domain_idx) !=
            POLICY_BUILD_OK ||
        policy_build_source_any(b, domain_idx) != POLICY_BUILD_OK) {
        policy_build_abort(b);
        return -ENOMEM;
    }
    return policy_build_finish(b, ret_policy);
}
