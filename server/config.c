/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - from text and command line to one checked struct.
 *
 * Steps, each of which may refuse: read the file; parse it (conftree.c); put each value through its
 * row (config_table.c, knob.c); put the command line's values through the same rows; check what
 * concerns more than one value; make the listeners' addresses (config_listen.c) and the policy
 * (config_policy.c). The first thing that is wrong ends the load, with file and line.
 *
 * Invariant: a configuration that is returned has no value outside of its row's range, at least
 * one listener and one domain, and a policy.
 */
#include "config_load.h"
#include "config_table.h"
#include "base/assert.h"
#include "base/err.h"
#include "policy/policy_build.h"
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_KNOBS_MAX 128
#define CONFIG_HOSTNAME_FALLBACK "localhost.localdomain"

/* Without a file: every recipient, on loopback. */
static const char text_without_file[] =
    "listener \"default\" { address = \"" CONFIG_LISTEN_DEFAULT "\" }\n"
    "domain \"*\" { recipients = any }\n";

int config_fail(struct config_load *l, uint32_t line, const char *fmt, ...)
{
    char reason[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);
    l->error->line = line;
    if (line > 0)
        snprintf(l->error->text, sizeof(l->error->text), "%.*s:%u: %s", 180, l->name, line, reason);
    else
        snprintf(l->error->text, sizeof(l->error->text), "%.*s: %s", 180, l->name, reason);
    return -EINVAL;
}

int config_fail_memory(struct config_load *l)
{
    config_fail(l, 0, "out of memory");
    return -ENOMEM;
}

static int fail_knob(struct config_load *l, const char *name, uint32_t line, const char *key)
{
    const char *file = l->name;
    l->name = name;
    config_fail(l, line, "%s%s%s", key, key[0] != '\0' ? ": " : "", l->knobs.reason);
    l->name = file;
    return l->knobs.is_out_of_memory ? -ENOMEM : -EINVAL;
}

uint32_t config_line_of(const struct conftree_node *section, const char *key)
{
    if (section == NULL)
        return 0;
    for (const struct conftree_node *n = section->first; n != NULL; n = n->next)
        if (slice_eq(n->key, slice_str(key)))
            return n->line;
    return section->line;
}

/* --- keys ----------------------------------------------------------------------------------- */

static const struct knob *knob_find(enum config_section section, struct slice name)
{
    for (size_t i = 0; i < config_knob_count; i++)
        if (config_knobs[i].section == section && slice_eq(slice_str(config_knobs[i].name), name))
            return &config_knobs[i];
    return NULL;
}

static bool section_find(struct slice name, enum config_section *ret_section)
{
    for (unsigned i = CONFIG_TOP + 1; i < CONFIG_SECTION_COUNT; i++) {
        if (slice_eq(slice_str(config_sections[i].name), name)) {
            *ret_section = (enum config_section)i;
            return true;
        }
    }
    return false;
}

static const char *nearest_name(enum config_section section, struct slice name)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    for (size_t i = 0; i < config_knob_count; i++) {
        unsigned d = config_knobs[i].section == section
                         ? knob_distance(name, slice_str(config_knobs[i].name))
                         : 99;
        if (d < best_distance) {
            best_distance = d;
            best = config_knobs[i].name;
        }
    }
    for (unsigned i = CONFIG_TOP + 1; section == CONFIG_TOP && i < CONFIG_SECTION_COUNT; i++) {
        unsigned d = knob_distance(name, slice_str(config_sections[i].name));
        if (d < best_distance) {
            best_distance = d;
            best = config_sections[i].name;
        }
    }
    return best;
}

static int fail_unknown(struct config_load *l, enum config_section section,
                        const struct conftree_node *node)
{
    char where[40] = "";
    int shown = (int)size_min(node->key.len, 40);
    const char *key = (const char *)node->key.ptr;
    if (section != CONFIG_TOP)
        snprintf(where, sizeof(where), " in section %s", config_sections[section].name);
    const char *near = nearest_name(section, node->key);
    if (near != NULL)
        return config_fail(l, node->line, "unknown key '%.*s'%s; did you mean '%s'?", shown, key,
                           where, near);
    for (unsigned i = 0; i < CONFIG_SECTION_COUNT; i++)
        if (knob_find((enum config_section)i, node->key) != NULL)
            return config_fail(l, node->line, "unknown key '%.*s'%s; it belongs %s%s", shown, key,
                               where, i == CONFIG_TOP ? "outside of sections" : "in section ",
                               config_sections[i].name);
    return config_fail(l, node->line, "unknown key '%.*s'%s", shown, key, where);
}

/* --- values --------------------------------------------------------------------------------- */

static int set_from_node(struct config_load *l, const struct knob *k, void *record,
                         const struct conftree_node *node)
{
    char key[64];
    snprintf(key, sizeof(key), "%s", k->name);
    if (node->kind == CONFTREE_SECTION)
        return config_fail(l, node->line, "'%s' is a value and not a section", key);
    uint32_t count = 1;
    if (node->kind == CONFTREE_LIST) {
        count = 0;
        for (const struct conftree_node *n = node->first; n != NULL; n = n->next)
            count++;
    }
    struct knob_text *words = region_take(&l->config->memory, (count + 1u) * sizeof(*words));
    if (words == NULL)
        return config_fail_memory(l);
    words[0] = (struct knob_text){node->text, node->line};
    const struct conftree_node *n = node->kind == CONFTREE_LIST ? node->first : NULL;
    for (uint32_t i = 0; n != NULL; n = n->next, i++) {
        if (n->kind == CONFTREE_LIST)
            return config_fail(l, n->line, "'%s': a list inside of a list", key);
        words[i] = (struct knob_text){n->text, n->line};
    }
    if (!knob_set(k, &l->knobs, record, words, count))
        return fail_knob(l, l->name, node->line, key);
    return 0;
}

static int set_defaults(struct config_load *l, enum config_section section, void *record)
{
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct knob *k = &config_knobs[i];
        if (k->section != section || k->otherwise == NULL)
            continue;
        if (!knob_set_text(k, &l->knobs, record, k->otherwise))
            return fail_knob(l, l->name, 0, k->name);
    }
    return 0;
}

/* The values of a section, or those outside of sections. */
static int set_values(struct config_load *l, enum config_section section, void *record,
                      const struct conftree_node *node)
{
    uint32_t lines[CONFIG_KNOBS_MAX] = {0};
    ASSERT(config_knob_count <= CONFIG_KNOBS_MAX);
    for (const struct conftree_node *n = node->first; n != NULL; n = n->next) {
        enum config_section inner;
        if (section == CONFIG_TOP && n->kind == CONFTREE_SECTION && section_find(n->key, &inner))
            continue;
        if (section == CONFIG_TOP && section_find(n->key, &inner))
            return config_fail(l, n->line, "'%s' is a section: %s%s { ... }",
                               config_sections[inner].name, config_sections[inner].name,
                               config_sections[inner].is_labelled ? " \"NAME\"" : "");
        const struct knob *k = knob_find(section, n->key);
        if (k == NULL)
            return fail_unknown(l, section, n);
        uint32_t *line = &lines[k - config_knobs];
        if (*line != 0)
            return config_fail(l, n->line, "'%s' given again (first in line %u)", k->name, *line);
        *line = n->line;
        int err = set_from_node(l, k, record, n);
        if (err < 0)
            return err;
    }
    return 0;
}

/* --- sections ------------------------------------------------------------------------------- */

static int count_sections(struct config_load *l, const struct conftree_node *root)
{
    const struct conftree_node *first[CONFIG_SECTION_COUNT] = {NULL};
    uint32_t counts[CONFIG_SECTION_COUNT] = {0};
    for (const struct conftree_node *n = root->first; n != NULL; n = n->next) {
        enum config_section s;
        if (n->kind != CONFTREE_SECTION || !section_find(n->key, &s))
            continue;
        bool is_labelled = config_sections[s].is_labelled;
        if (is_labelled && n->label.len == 0)
            return config_fail(l, n->line, "%s needs a name: %s \"NAME\" { ... }",
                               config_sections[s].name, config_sections[s].name);
        if (!is_labelled && n->label.len > 0)
            return config_fail(l, n->line, "section %s has no name", config_sections[s].name);
        if (!is_labelled && counts[s] > 0)
            return config_fail(l, n->line, "section %s given again (first in line %u)",
                               config_sections[s].name, first[s]->line);
        if (counts[s]++ == 0)
            first[s] = n;
        if (s == CONFIG_LISTENER && counts[s] > CONFIG_LISTENER_COUNT_MAX)
            return config_fail(l, n->line, "more than %d listeners", CONFIG_LISTENER_COUNT_MAX);
        if (s == CONFIG_CLIENT && counts[s] > CONFIG_CLIENT_COUNT_MAX)
            return config_fail(l, n->line, "more than %d clients", CONFIG_CLIENT_COUNT_MAX);
        if (s == CONFIG_CLASS && counts[s] > POLICY_CLASS_COUNT_MAX)
            return config_fail(l, n->line, "more than %d classes", POLICY_CLASS_COUNT_MAX);
    }
    struct config *c = l->config;
    c->listeners = region_take(&c->memory, (counts[CONFIG_LISTENER] + 1) * sizeof(*c->listeners));
    c->clients = region_take(&c->memory, (counts[CONFIG_CLIENT] + 1) * sizeof(*c->clients));
    c->classes = region_take(&c->memory, (counts[CONFIG_CLASS] + 1) * sizeof(*c->classes));
    c->domains = region_take(&c->memory, (counts[CONFIG_DOMAIN] + 1) * sizeof(*c->domains));
    bool has_all =
        c->listeners != NULL && c->clients != NULL && c->classes != NULL && c->domains != NULL;
    return has_all ? 0 : config_fail_memory(l);
}

static int check_label(struct config_load *l, enum config_section s,
                       const struct conftree_node *node)
{
    if (s == CONFIG_DOMAIN) /* the policy checks them, and folds them first */
        return 0;
    if (!table_class_name_is_valid(node->label))
        return config_fail(l, node->line,
                           "bad name for a %s: 1 to %d letters, digits, '-', '_', '.'",
                           config_sections[s].name, TABLE_CLASS_BYTES_MAX);
    for (uint32_t i = 0; config_record(l->config, s, i) != NULL; i++)
        if (slice_eq(slice_str(config_record_name(l->config, s, i)), node->label))
            return config_fail(l, node->line, "%s '%s' given again", config_sections[s].name,
                               config_record_name(l->config, s, i));
    return 0;
}

/* A new record of a labelled section, its name and place filled in. */
static void *record_new(struct config *c, enum config_section s, char *name,
                        const struct conftree_node *node)
{
    switch (s) {
    case CONFIG_LISTENER:
        c->listeners[c->listener_count] = (struct config_listener){.name = name, .node = node};
        return &c->listeners[c->listener_count++];
    case CONFIG_CLIENT:
        c->clients[c->client_count] = (struct config_client){.name = name, .node = node};
        return &c->clients[c->client_count++];
    case CONFIG_CLASS:
        c->classes[c->class_count] = (struct config_class){.name = name, .node = node};
        return &c->classes[c->class_count++];
    case CONFIG_DOMAIN:
        c->domains[c->domain_count] = (struct config_domain){.name = name, .node = node};
        return &c->domains[c->domain_count++];
    case CONFIG_TOP:
    case CONFIG_SPOOL:
    case CONFIG_LOG:
    case CONFIG_LIMITS:
    case CONFIG_SECTION_COUNT:
        break;
    }
    UNREACHABLE();
}

static int load_section(struct config_load *l, enum config_section s,
                        const struct conftree_node *node)
{
    void *record;
    if (config_sections[s].is_labelled) {
        int err = check_label(l, s, node);
        if (err < 0)
            return err;
        char *name = region_text(&l->config->memory, node->label);
        if (name == NULL)
            return config_fail_memory(l);
        record = record_new(l->config, s, name, node);
        err = set_defaults(l, s, record);
        if (err < 0)
            return err;
    } else {
        record = config_record(l->config, s, 0);
    }
    return set_values(l, s, record, node);
}

/* Class "default" is there in any case, so it is shown in any case. */
static int add_default_class(struct config_load *l)
{
    static char name[] = "default";
    struct config *c = l->config;
    for (uint32_t i = 0; i < c->class_count; i++)
        if (strcmp(c->classes[i].name, name) == 0)
            return 0;
    return set_defaults(l, CONFIG_CLASS, record_new(c, CONFIG_CLASS, name, NULL));
}

static int load_tree(struct config_load *l, const struct conftree_node *root)
{
    int err = count_sections(l, root);
    for (unsigned s = 0; s < CONFIG_SECTION_COUNT && err == 0; s++)
        if (!config_sections[s].is_labelled)
            err = set_defaults(l, (enum config_section)s,
                               config_record(l->config, (enum config_section)s, 0));
    if (err == 0)
        err = set_values(l, CONFIG_TOP, &l->config->top, root);
    for (const struct conftree_node *n = root->first; n != NULL && err == 0; n = n->next) {
        enum config_section s;
        if (n->kind == CONFTREE_SECTION && section_find(n->key, &s))
            err = load_section(l, s, n);
    }
    return err < 0 ? err : add_default_class(l);
}

/* --- command line --------------------------------------------------------------------------- */

static int override(struct config_load *l, const char *option, enum config_section section,
                    const char *key, const char *value)
{
    if (value == NULL)
        return 0;
    const struct knob *k = knob_find(section, slice_str(key));
    ASSERT(k != NULL);
    if (!knob_set_text(k, &l->knobs, config_record(l->config, section, 0), value))
        return fail_knob(l, option, 0, "");
    return 0;
}

static int override_listeners(struct config_load *l, const struct config_overrides *o)
{
    struct config *c = l->config;
    if (o->listen_count == 0)
        return 0;
    if (o->listen_count > CONFIG_LISTENER_COUNT_MAX)
        return config_fail(l, 0, "more than %d listeners", CONFIG_LISTENER_COUNT_MAX);
    c->listener_count = 0;
    c->listeners = region_take(&c->memory, o->listen_count * sizeof(*c->listeners));
    if (c->listeners == NULL)
        return config_fail_memory(l);
    for (uint32_t i = 0; i < o->listen_count; i++) {
        char name[24];
        int len = snprintf(name, sizeof(name), "listen-%u", i + 1);
        char *copy = region_text(&c->memory, slice_of(name, (size_t)len));
        if (copy == NULL)
            return config_fail_memory(l);
        struct config_listener *listener = record_new(c, CONFIG_LISTENER, copy, NULL);
        int err = set_defaults(l, CONFIG_LISTENER, listener);
        if (err < 0)
            return err;
        const struct knob *k = knob_find(CONFIG_LISTENER, SLICE_LIT("address"));
        if (!knob_set_text(k, &l->knobs, listener, o->listen[i]))
            return fail_knob(l, "--listen", 0, "");
    }
    return 0;
}

static int apply_overrides(struct config_load *l, const struct config_overrides *o)
{
    if (o == NULL)
        return 0;
    const char *file_dir = l->knobs.base_dir;
    l->knobs.base_dir = l->work_dir;
    int err = override(l, "--spool", CONFIG_SPOOL, "dir", o->spool);
    if (err == 0)
        err = override(l, "--durability", CONFIG_SPOOL, "durability", o->durability);
    if (err == 0)
        err = override(l, "--shards", CONFIG_TOP, "shards", o->shards);
    if (err == 0)
        err = override(l, "--scan", CONFIG_TOP, "scan", o->scan);
    if (err == 0)
        err = override(l, "--hostname", CONFIG_TOP, "hostname", o->hostname);
    if (err == 0)
        err = override(l, "--rules", CONFIG_TOP, "rules", o->rules);
    if (err == 0)
        err = override_listeners(l, o);
    l->knobs.base_dir = file_dir;
    return err;
}

/* --- what concerns more than one value ------------------------------------------------------ */

static int finish_hostname(struct config_load *l)
{
    char name[256] = "";
    const struct knob *k = knob_find(CONFIG_TOP, SLICE_LIT("hostname"));
    if (l->config->top.hostname != NULL)
        return 0;
    if (gethostname(name, sizeof(name) - 1) < 0 ||
        !knob_set_text(k, &l->knobs, &l->config->top, name)) {
        if (!knob_set_text(k, &l->knobs, &l->config->top, CONFIG_HOSTNAME_FALLBACK))
            return config_fail_memory(l);
    }
    return 0;
}

static int check_limits(struct config_load *l, const struct conftree_node *root)
{
    uint32_t count = l->config->limits.buffer_count;
    if ((count & (count - 1)) == 0)
        return 0;
    uint32_t line = 0;
    for (const struct conftree_node *n = root->first; n != NULL; n = n->next)
        if (slice_eq(n->key, SLICE_LIT("limits")))
            line = config_line_of(n, "buffers");
    return config_fail(l, line, "buffers: %u is not a power of two", count);
}

/* The file is compiled by who uses it; that it is there is seen here, where its line is known. */
static int check_rules(struct config_load *l, const struct conftree_node *root, bool is_option)
{
    const char *path = l->config->top.rules_path;
    if (path == NULL || access(path, R_OK) == 0)
        return 0;
    int err = -errno;
    if (is_option)
        snprintf(l->error->text, sizeof(l->error->text), "--rules: %.400s: %s", path,
                 err_text(err));
    else
        config_fail(l, config_line_of(root, "rules"), "rules: %s: %s", path, err_text(err));
    return err;
}

/* What an address may have in front of its "@" without quotes, but for letters and digits. */
static int check_delimiters(struct config_load *l, const struct conftree_node *root)
{
    for (const char *c = l->config->top.delimiters; *c != '\0'; c++)
        if (strchr("!#$%&'*+-/=?^_`{|}~.", *c) == NULL)
            return config_fail(l, config_line_of(root, "recipient_delimiter"),
                               "recipient_delimiter: only !#$%%&'*+-/=?^_`{|}~. can separate");
    return 0;
}

static int load_text(struct config_load *l, struct slice text,
                     const struct config_overrides *overrides)
{
    struct conftree_node *root;
    struct conftree_error tree_error;
    int err = conftree_parse(text, &l->config->memory, &root, &tree_error);
    if (err == -ENOMEM)
        return config_fail_memory(l);
    if (err < 0)
        return config_fail(l, tree_error.line, "%s", tree_error.reason);
    err = load_tree(l, root);
    if (err == 0)
        err = apply_overrides(l, overrides);
    if (err == 0)
        err = finish_hostname(l);
    if (err == 0)
        err = check_limits(l, root);
    if (err == 0)
        err = check_delimiters(l, root);
    if (err == 0)
        err = check_rules(l, root, overrides != NULL && overrides->rules != NULL);
    if (err == 0)
        err = config_listen(l);
    if (err == 0)
        err = config_delays(l);
    if (err == 0)
        err = config_clients(l);
    if (err == 0)
        err = config_policy(l);
    return err;
}

/* --- files ---------------------------------------------------------------------------------- */

static int read_all(int fd, size_t bytes_max, struct slice *ret_text)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    size_t cap = (size_t)(st.st_size > 0 ? st.st_size : 0) + 4096;
    uint8_t *bytes = malloc(cap);
    size_t len = 0;
    while (bytes != NULL && len <= bytes_max) {
        if (len == cap) {
            uint8_t *more = realloc(bytes, cap * 2);
            if (more == NULL)
                break;
            bytes = more;
            cap *= 2;
        }
        ssize_t got = read(fd, bytes + len, cap - len);
        if (got == 0) {
            *ret_text = slice_of(bytes, len);
            return 0;
        }
        if (got < 0 && errno != EINTR) {
            int err = -errno;
            free(bytes);
            return err;
        }
        len += got > 0 ? (size_t)got : 0;
    }
    free(bytes);
    return len > bytes_max ? -EFBIG : -ENOMEM;
}

int config_read_file(const char *path, size_t bytes_max, struct slice *ret_text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int err = read_all(fd, bytes_max, ret_text);
    close(fd);
    return err;
}

/* The folder of @path as an absolute path, in @ret_dir. */
static void folder_of(const char *path, char ret_dir[PATH_MAX])
{
    char whole[PATH_MAX];
    if (realpath(path, whole) == NULL) {
        const char *slash = strrchr(path, '/');
        snprintf(ret_dir, PATH_MAX, "%.*s", slash != NULL ? (int)(slash - path) : 1,
                 slash != NULL ? path : ".");
        return;
    }
    char *slash = strrchr(whole, '/');
    slash[slash == whole ? 1 : 0] = '\0';
    snprintf(ret_dir, PATH_MAX, "%s", whole);
}

static int load(struct slice text, const char *name, bool has_file,
                const struct config_overrides *overrides, struct config **ret_config,
                struct config_error *ret_error)
{
    char file_dir[PATH_MAX];
    char work_dir[PATH_MAX];
    if (getcwd(work_dir, sizeof(work_dir)) == NULL)
        snprintf(work_dir, sizeof(work_dir), ".");
    if (has_file)
        folder_of(name, file_dir);
    struct config *c = calloc(1, sizeof(*c));
    struct config_load l = {
        .config = c,
        .error = ret_error,
        .name = name,
        .work_dir = work_dir,
        .knobs = {.memory = c != NULL ? &c->memory : NULL,
                  .base_dir = has_file ? file_dir : work_dir},
    };
    *ret_error = (struct config_error){0};
    if (c == NULL)
        return config_fail_memory(&l);
    c->has_file = has_file;
    c->path = region_text(&c->memory, has_file ? slice_str(name) : SLICE_EMPTY);
    char *copy = region_text(&c->memory, text); /* nodes refer to it */
    int err = c->path == NULL || copy == NULL ? config_fail_memory(&l)
                                              : load_text(&l, slice_of(copy, text.len), overrides);
    if (err < 0) {
        config_free(c);
        return err;
    }
    *ret_config = c;
    return 0;
}

int config_load_text(struct slice text, const char *name, const struct config_overrides *overrides,
                     struct config **ret_config, struct config_error *ret_error)
{
    return load(text, name, true, overrides, ret_config, ret_error);
}

int config_load(const char *path, const struct config_overrides *overrides,
                struct config **ret_config, struct config_error *ret_error)
{
    if (path == NULL)
        return load(slice_str(text_without_file), "without a configuration file", false, overrides,
                    ret_config, ret_error);
    struct slice text;
    int err = config_read_file(path, CONFTREE_TEXT_BYTES_MAX, &text);
    if (err < 0) {
        *ret_error = (struct config_error){0};
        snprintf(ret_error->text, sizeof(ret_error->text), "%.*s: %s", 180, path, err_text(err));
        return err;
    }
    err = load(text, path, true, overrides, ret_config, ret_error);
    free((void *)(uintptr_t)text.ptr);
    return err;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    policy_unref(c->policy);
    region_free(&c->memory);
    free(c);
}
