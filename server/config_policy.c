/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_policy.c - classes, domains and recipient sources of a configuration become a policy.
 *
 * Recipient files are read here, and lists and maps made; each file and map is opened once, however
 * many domains use it. An error in a recipient file names that file and its line; one in a list of
 * the configuration names the line of the entry.
 */
#include "config_load.h"
#include "base/assert.h"
#include "base/err.h"
#include "policy/policy_build.h"
#include <stdlib.h>

#define RECIPIENT_FILE_BYTES_MAX ((size_t)512 * MIB)

struct table_use { /* a file or map that is a source already */
    char *source;  /* "file:/..." or "lmdb:/..." */
    uint32_t table_idx;
};

struct maker {
    struct config_load *load;
    struct policy_build *build;
    const struct config_domain *domain; /* the current one */
    uint32_t domain_idx;
    struct table_use *uses;
    uint32_t use_count;
};

static void free_build(struct policy_build **b)
{
    policy_build_abort(*b);
}

static void free_table(struct table **t)
{
    table_free(*t);
}

static void free_bytes(struct slice *s)
{
    free((void *)(uintptr_t)s->ptr);
}

static bool is_folding(const struct maker *m)
{
    return m->load->config->top.folds_local != 0;
}

/* --- classes -------------------------------------------------------------------------------- */

static int check_class(struct config_load *l, const struct config_class *c)
{
    bool refuses = c->action == POLICY_REJECT || c->action == POLICY_DEFER;
    if (c->acts_at_rcpt && !refuses)
        return config_fail(l, config_line_of(c->node, "act_at"),
                           "act_at: rcpt needs action reject or defer");
    if (c->score_defer != POLICY_SCORE_OFF && c->score_reject != POLICY_SCORE_OFF &&
        c->score_defer >= c->score_reject)
        return config_fail(l, config_line_of(c->node, "score_defer"),
                           "score_defer: not below score_reject, so nothing would be deferred");
    return 0;
}

static int make_class(struct maker *m, const struct config_class *c)
{
    const struct policy_class made = {
        .name = slice_str(c->name),
        .size_max = c->size_max,
        .score_reject = c->score_reject,
        .score_defer = c->score_defer,
        .flags_reject = c->flags_reject,
        .action = (enum policy_action)c->action,
        .acts_at_rcpt = c->acts_at_rcpt != 0,
        .delay = c->delay,
        .reject_reply = c->reject_reply,
        .defer_reply = c->defer_reply,
        .accept_reply = c->accept_reply,
        .size_reply = c->size_reply,
    };
    uint16_t class_idx;
    int err = check_class(m->load, c);
    if (err < 0)
        return err;
    switch (policy_build_class(m->build, &made, &class_idx)) {
    case POLICY_BUILD_OK:
        return 0;
    case POLICY_BUILD_TOO_MANY:
        return config_fail(m->load, config_line_of(c->node, ""), "more than %d classes",
                           POLICY_CLASS_COUNT_MAX);
    case POLICY_BUILD_NO_MEMORY:
        return config_fail_memory(m->load);
    case POLICY_BUILD_EXISTS:
    case POLICY_BUILD_INVALID:
    case POLICY_BUILD_UNKNOWN_CLASS:
        break; /* names were checked when the section was read */
    }
    UNREACHABLE();
}

/* --- tables --------------------------------------------------------------------------------- */

/* The first line of @text that names class @name; 0 without one. */
static uint32_t class_line(const struct maker *m, struct slice text, struct slice name)
{
    struct slice line;
    for (uint32_t number = 1; table_line_take(&text, &line); number++) {
        struct table_line parsed;
        struct table_error error;
        if (table_line_parse(line, is_folding(m), &parsed, &error) == TABLE_LINE_ENTRY &&
            slice_eq(parsed.class_name, name))
            return number;
    }
    return 0;
}

/* A class that @t refers to and that is not defined; false when there is none. */
static bool has_unknown_class(const struct maker *m, const struct table *t, struct slice *ret_name)
{
    for (uint16_t i = 1; i <= table_class_count(t); i++) {
        uint16_t class_idx;
        *ret_name = table_class_name(t, i);
        if (!policy_build_find_class(m->build, *ret_name, &class_idx))
            return true;
    }
    return false;
}

static int fail_class(struct config_load *l, uint32_t line, const char *what, struct slice name)
{
    return config_fail(l, line, "%s%sclass '%.*s' is not defined", what,
                       what[0] != '\0' ? ": " : "", (int)name.len, (const char *)name.ptr);
}

/* @t becomes a source of the policy; on success it is the policy's. */
static int take_table(struct maker *m, struct table *t, uint32_t line, const char *what,
                      uint32_t *ret_table_idx)
{
    struct slice unknown;
    switch (policy_build_table(m->build, t, ret_table_idx, &unknown)) {
    case POLICY_BUILD_OK:
        return 0;
    case POLICY_BUILD_UNKNOWN_CLASS:
        return fail_class(m->load, line, what, unknown);
    case POLICY_BUILD_INVALID:
        return config_fail(m->load, line, "%s: the map was built for local_part_case = %s", what,
                           is_folding(m) ? "exact" : "fold");
    case POLICY_BUILD_NO_MEMORY:
        return config_fail_memory(m->load);
    case POLICY_BUILD_EXISTS:
    case POLICY_BUILD_TOO_MANY:
        break;
    }
    UNREACHABLE();
}

static int fail_in_file(struct maker *m, const char *path, const struct table_error *error)
{
    const char *name = m->load->name;
    m->load->name = path;
    config_fail(m->load, error->line, "%s", error->reason);
    m->load->name = name;
    return -EINVAL;
}

static int open_file(struct maker *m, const char *path, uint32_t line, struct table **ret_table)
{
    CLEANUP(free_bytes) struct slice text = SLICE_EMPTY;
    struct table_error error;
    int err = config_read_file(path, RECIPIENT_FILE_BYTES_MAX, &text);
    if (err < 0) {
        config_fail(m->load, line, "recipients: %s: %s", path, err_text(err));
        return err;
    }
    err = table_new_text(text, is_folding(m), ret_table, &error);
    struct slice unknown;
    if (err == 0 && has_unknown_class(m, *ret_table, &unknown)) {
        error.line = class_line(m, text, unknown);
        snprintf(error.reason, sizeof(error.reason), "class '%.*s' is not defined",
                 (int)unknown.len, (const char *)unknown.ptr);
        err = -EINVAL;
    }
    if (err == -EINVAL)
        return fail_in_file(m, path, &error);
    return err < 0 ? config_fail_memory(m->load) : 0;
}

static int open_map(struct maker *m, const char *path, uint32_t line, struct table **ret_table)
{
    struct table_error error;
    int err = table_new_map(path, ret_table, &error);
    if (err == 0)
        return 0;
    config_fail(m->load, line, "recipients: %s: %s", path,
                error.reason[0] != '\0' ? error.reason : err_text(err));
    return err;
}

/* --- sources -------------------------------------------------------------------------------- */

static int add_source(struct maker *m, uint32_t table_idx, uint32_t line)
{
    enum policy_build_result result =
        table_idx == UINT32_MAX ? policy_build_source_any(m->build, m->domain_idx)
                                : policy_build_source_table(m->build, m->domain_idx, table_idx);
    switch (result) {
    case POLICY_BUILD_OK:
        return 0;
    case POLICY_BUILD_INVALID:
        return config_fail(m->load, line, "recipients: nothing can follow 'any'");
    case POLICY_BUILD_TOO_MANY:
        return config_fail(m->load, line, "recipients: more than %d sources", POLICY_SOURCES_MAX);
    case POLICY_BUILD_NO_MEMORY:
        return config_fail_memory(m->load);
    case POLICY_BUILD_EXISTS:
    case POLICY_BUILD_UNKNOWN_CLASS:
        break;
    }
    UNREACHABLE();
}

/* "file:PATH" or "lmdb:PATH". */
static int add_file(struct maker *m, const struct knob_text *source, bool is_map)
{
    struct config_load *l = m->load;
    char *path = NULL;
    const struct knob as_path = {.type = KNOB_PATH};
    const struct knob_text rest = {slice_from(source->text, strlen("file:")), source->line};
    if (!knob_set(&as_path, &l->knobs, &path, &rest, 1))
        return config_fail(l, source->line, "recipients: %s", l->knobs.reason);
    for (uint32_t i = 0; i < m->use_count; i++)
        if ((m->uses[i].source[0] == 'l') == is_map && strcmp(m->uses[i].source + 5, path) == 0)
            return add_source(m, m->uses[i].table_idx, source->line);
    CLEANUP(free_table) struct table *t = NULL;
    uint32_t table_idx;
    int err = is_map ? open_map(m, path, source->line, &t) : open_file(m, path, source->line, &t);
    if (err == 0)
        err = take_table(m, t, source->line, path, &table_idx);
    if (err < 0)
        return err;
    t = NULL;
    struct table_use *uses = reallocarray(m->uses, m->use_count + 1u, sizeof(*uses));
    size_t size = strlen(path) + 6;
    char *key = region_take(&l->config->memory, size);
    if (uses != NULL)
        m->uses = uses;
    if (uses == NULL || key == NULL)
        return config_fail_memory(l);
    snprintf(key, size, "%s%s", is_map ? "lmdb:" : "file:", path);
    uses[m->use_count++] = (struct table_use){key, table_idx};
    return add_source(m, table_idx, source->line);
}

static bool has_prefix(struct slice s, const char *prefix)
{
    return slice_has_prefix_nocase(s, slice_str(prefix));
}

static bool is_entry(struct slice text)
{
    return !slice_eq_nocase(text, SLICE_LIT("any")) && !has_prefix(text, "file:") &&
           !has_prefix(text, "lmdb:");
}

/* @count entries "address [class]" that stand together make one list, one entry a line. */
static int add_entries(struct maker *m, const struct knob_text *entries, uint32_t count)
{
    struct config_load *l = m->load;
    size_t len = 0;
    for (uint32_t i = 0; i < count; i++)
        len += entries[i].text.len + 1;
    uint8_t *bytes = region_take(&l->config->memory, len);
    if (bytes == NULL)
        return config_fail_memory(l);
    struct buf text = buf_over(bytes, len);
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].text.len == 0 || entries[i].text.ptr[0] == '#')
            return config_fail(l, entries[i].line, "recipients: an entry without an address");
        buf_put(&text, entries[i].text);
        buf_put_byte(&text, '\n');
    }
    CLEANUP(free_table) struct table *t = NULL;
    struct table_error error;
    int err = table_new_text(buf_slice(&text), is_folding(m), &t, &error);
    if (err == -ENOMEM)
        return config_fail_memory(l);
    ASSERT(error.line <= count);
    if (err < 0)
        return config_fail(l, error.line > 0 ? entries[error.line - 1].line : entries[0].line,
                           "recipients: %s", error.reason);
    struct slice unknown;
    if (has_unknown_class(m, t, &unknown)) {
        uint32_t number = class_line(m, buf_slice(&text), unknown);
        ASSERT(number > 0 && number <= count);
        return fail_class(l, entries[number - 1].line, "recipients", unknown);
    }
    uint32_t table_idx;
    err = take_table(m, t, entries[0].line, "recipients", &table_idx);
    if (err < 0)
        return err;
    t = NULL;
    return add_source(m, table_idx, entries[0].line);
}

static int add_sources(struct maker *m, const struct knob_texts *sources)
{
    for (uint32_t i = 0; i < sources->count;) {
        const struct knob_text *source = &sources->at[i];
        uint32_t taken = 1;
        int err;
        if (slice_eq_nocase(source->text, SLICE_LIT("any"))) {
            err = add_source(m, UINT32_MAX, source->line);
        } else if (!is_entry(source->text)) {
            err = add_file(m, source, has_prefix(source->text, "lmdb:"));
        } else {
            while (i + taken < sources->count && is_entry(sources->at[i + taken].text))
                taken++;
            err = add_entries(m, source, taken);
        }
        if (err < 0)
            return err;
        i += taken;
    }
    return 0;
}

/* --- domains -------------------------------------------------------------------------------- */

static int make_domain(struct maker *m, const struct config_domain *d)
{
    struct config_load *l = m->load;
    uint16_t class_idx;
    if (!policy_build_find_class(m->build, slice_str(d->class_name), &class_idx))
        return config_fail(l, config_line_of(d->node, "class"), "class '%s' is not defined",
                           d->class_name);
    switch (policy_build_domain(m->build, slice_str(d->name), class_idx, &m->domain_idx)) {
    case POLICY_BUILD_OK:
        break;
    case POLICY_BUILD_EXISTS:
        return config_fail(l, d->node->line, "domain '%s' given again", d->name);
    case POLICY_BUILD_INVALID:
        return config_fail(l, d->node->line, "'%s' is not a domain", d->name);
    case POLICY_BUILD_TOO_MANY:
        return config_fail(l, d->node->line, "too many domains");
    case POLICY_BUILD_NO_MEMORY:
        return config_fail_memory(l);
    case POLICY_BUILD_UNKNOWN_CLASS:
        UNREACHABLE();
    }
    m->domain = d;
    return add_sources(m, &d->recipients);
}

/* CORE-7: the class that postmaster falls back to takes mail. */
static int check_postmaster(struct config_load *l)
{
    const struct config *c = l->config;
    const struct config_class *his = NULL;
    for (uint32_t i = 0; i < c->class_count; i++) {
        bool is_own = strcmp(c->classes[i].name, "postmaster") == 0;
        if (is_own || (his == NULL && strcmp(c->classes[i].name, "default") == 0))
            his = &c->classes[i];
    }
    ASSERT(his != NULL);
    if (his->action != POLICY_REJECT && his->action != POLICY_DEFER)
        return 0;
    return config_fail(l, config_line_of(his->node, "action"),
                       "action: postmaster has class '%s' and must not be refused (RFC 5321 "
                       "4.5.1): give a class \"postmaster\" that accepts",
                       his->name);
}

static int make_all(struct maker *m)
{
    const struct config *c = m->load->config;
    int err = check_postmaster(m->load);
    for (uint32_t i = 0; i < c->class_count && err == 0; i++)
        err = make_class(m, &c->classes[i]);
    for (uint32_t i = 0; i < c->domain_count && err == 0; i++)
        err = make_domain(m, &c->domains[i]);
    return err;
}

int config_policy(struct config_load *l)
{
    struct config *c = l->config;
    const struct policy_build_options options = {.folds_local = c->top.folds_local != 0,
                                                 .delimiters = slice_str(c->top.delimiters)};
    if (c->domain_count == 0)
        return config_fail(l, 0, "no domain: every recipient would be refused");
    CLEANUP(free_build) struct policy_build *build = NULL;
    if (policy_build_begin(&options, &build) < 0)
        return config_fail_memory(l);
    struct maker m = {.load = l, .build = build};
    int err = make_all(&m);
    free(m.uses);
    if (err < 0)
        return err;
    build = NULL;
    err = policy_build_finish(m.build, &c->policy);
    return err < 0 ? config_fail(l, 0, "cannot make the policy: %s", err_text(err)) : 0;
}
