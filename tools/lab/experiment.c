/* SPDX-License-Identifier: Apache-2.0 */
/*
 * experiment.c - owns the way from the text of an experiment file to points.
 *
 * The tree (conftree.c) is walked once. Each setting that is given becomes a struct lab_given:
 * where it goes, its words, and its axis when there are several. A point is made by laying the
 * given values over the defaults, in the order of enum lab_phase: what a program's name stands for
 * comes before what is said beside it, what holds for all clients before what holds for one.
 */
#include "lab/given.h"
#include "base/buf.h"
#include "base/err.h"
#include "knob.h"
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROJECTED_MAX 1000000000000000ull

struct parse {
    struct lab_file *file;
    struct lab_experiment *at;
    struct lab_given *given[LAB_PHASE_COUNT]; /* lists, newest first */
    struct lab_fixed *fixed;                  /* room for all */
    struct lab_file_error *error;
};

/* Where the settings of a tree's section go. */
struct place {
    enum lab_section section;
    const char *prefix; /* of axis names: "server." */
    size_t base;
    int32_t client_idx;
    bool is_mix;
};

PRINTF_LIKE(3, 4) static int fail(struct parse *p, uint32_t line, const char *fmt, ...)
{
    char reason[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof(reason), fmt, args);
    va_end(args);
    p->error->line = line;
    if (line > 0)
        snprintf(p->error->text, sizeof(p->error->text), "%.150s:%u: %s", p->file->path, line,
                 reason);
    else
        snprintf(p->error->text, sizeof(p->error->text), "%.150s: %s", p->file->path, reason);
    return -EINVAL;
}

static int fail_memory(struct parse *p)
{
    fail(p, 0, "out of memory");
    return -ENOMEM;
}

#define SHOWN(text) (int)size_min((text).len, 60), (const char *)(text).ptr

static void *take(struct parse *p, size_t size)
{
    return region_take(&p->file->memory, size);
}

/* --- settings that are no part of a point -------------------------------------------------- */

/* A text, or a list of texts that are lines of one. */
static int text_set(struct parse *p, const struct conftree_node *n, const char **ret_text)
{
    bool is_list = n->kind == CONFTREE_LIST;
    size_t len = 1;
    if (*ret_text != NULL)
        return fail(p, n->line, "'%.*s' is given again", SHOWN(n->key));
    if (n->kind == CONFTREE_SECTION)
        return fail(p, n->line, "'%.*s' is a text and not a section", SHOWN(n->key));
    for (const struct conftree_node *v = is_list ? n->first : n; v != NULL;
         v = is_list ? v->next : NULL) {
        if (v->kind != CONFTREE_WORD && v->kind != CONFTREE_STRING)
            return fail(p, v->line, "'%.*s' is a text, or a list of texts", SHOWN(n->key));
        len += v->text.len + 1;
    }
    char *text = take(p, len);
    if (text == NULL)
        return fail_memory(p);
    struct buf joined = buf_over(text, len - 1); /* taken memory is zeroed */
    for (const struct conftree_node *v = is_list ? n->first : n; v != NULL;
         v = is_list ? v->next : NULL) {
        if (joined.len > 0)
            buf_put_byte(&joined, ' ');
        buf_put(&joined, v->text);
    }
    *ret_text = text;
    return 0;
}

static int modes_set(struct parse *p, const struct conftree_node *n)
{
    struct lab_experiment *e = p->at;
    const struct conftree_node *word = n->kind == CONFTREE_LIST ? n->first : n;
    if (e->mode_count > 0)
        return fail(p, n->line, "'modes' is given again");
    e->modes_line = n->line;
    for (; word != NULL; word = n->kind == CONFTREE_LIST ? word->next : NULL) {
        if (word->kind != CONFTREE_WORD && word->kind != CONFTREE_STRING)
            return fail(p, n->line, "'modes' is a list of words");
        if (e->mode_count == LAB_MODES_MAX)
            return fail(p, n->line, "more than %d modes", LAB_MODES_MAX);
        const char *text = region_text(&p->file->memory, word->text);
        if (text == NULL)
            return fail_memory(p);
        e->modes[e->mode_count++] = text;
    }
    return e->mode_count > 0 ? 0 : fail(p, n->line, "'modes' is empty");
}

static bool seed_read(struct slice text, uint64_t *ret_seed)
{
    return dist_number_parse(text, DIST_NUMBER, ret_seed);
}

/* seeds = 5: the seeds 1 to 5; seeds = [7, 9]: these. */
static int seeds_set(struct parse *p, const struct conftree_node *n)
{
    struct lab_experiment *e = p->at;
    uint64_t count = 0;
    if (e->seeds != NULL)
        return fail(p, n->line, "'seeds' is given again");
    bool is_list = n->kind == CONFTREE_LIST;
    if (n->kind == CONFTREE_SECTION || (!is_list && !seed_read(n->text, &count)))
        return fail(p, n->line, "'seeds' is a number, or a list of them");
    for (const struct conftree_node *s = is_list ? n->first : NULL; s != NULL; s = s->next)
        count++;
    if (count == 0 || count > LAB_SEEDS_MAX)
        return fail(p, n->line, "1 to %d seeds are allowed", LAB_SEEDS_MAX);
    e->seeds = take(p, count * sizeof(*e->seeds));
    if (e->seeds == NULL)
        return fail_memory(p);
    const struct conftree_node *s = is_list ? n->first : NULL;
    for (uint64_t i = 0; i < count; i++, s = s != NULL ? s->next : NULL) {
        e->seeds[i] = i + 1;
        if (s != NULL && (s->kind == CONFTREE_LIST || !seed_read(s->text, &e->seeds[i])))
            return fail(p, s->line, "'%.*s' is not a seed", SHOWN(s->text));
        for (uint64_t k = 0; k < i; k++)
            if (e->seeds[k] == e->seeds[i])
                return fail(p, n->line, "a seed is given twice");
    }
    e->seed_count = (uint32_t)count;
    return 0;
}

/* projected = 100000000: what the result would be for so many messages. */
static int projected_set(struct parse *p, const struct conftree_node *n)
{
    if (p->at->projected != 0)
        return fail(p, n->line, "'projected' is given again");
    if (n->kind == CONFTREE_WORD && slice_eq_nocase(n->text, SLICE_LIT("off")))
        return 0;
    if (n->kind == CONFTREE_LIST)
        return fail(p, n->line,
                    "'projected' takes no list: it says how results are told, and "
                    "makes no points");
    if ((n->kind != CONFTREE_WORD && n->kind != CONFTREE_STRING) ||
        !dist_number_parse(n->text, DIST_NUMBER, &p->at->projected) || p->at->projected == 0 ||
        p->at->projected > PROJECTED_MAX)
        return fail(p, n->line, "'projected' is a number of messages, at most %llu",
                    (unsigned long long)PROJECTED_MAX);
    return 0;
}

/* --- settings of points -------------------------------------------------------------------- */

static const char *nearest(enum lab_section section, struct slice key)
{
    const char *near = NULL;
    unsigned near_distance = 3;
    for (size_t i = 0; i < lab_setting_count + LAB_PLAIN_COUNT; i++) {
        bool is_plain = i >= lab_setting_count;
        if (is_plain ? section != LAB_SECTION_TOP : lab_settings[i].section != section)
            continue;
        const char *name = is_plain ? lab_plains[i - lab_setting_count].name : lab_settings[i].name;
        unsigned distance = knob_distance(key, slice_str(name));
        if (distance < near_distance) {
            near = name;
            near_distance = distance;
        }
    }
    return near;
}

static int fail_unknown(struct parse *p, enum lab_section section, const struct conftree_node *n)
{
    const char *where = lab_section_name(section);
    const char *in = where[0] != '\0' ? " in section " : "";
    const char *near = nearest(section, n->key);
    if (near != NULL)
        return fail(p, n->line, "unknown setting '%.*s'%s%s; did you mean '%s'?", SHOWN(n->key), in,
                    where, near);
    for (size_t i = 0; i < lab_setting_count; i++) {
        const char *other = lab_section_name(lab_settings[i].section);
        if (slice_eq(n->key, slice_str(lab_settings[i].name)))
            return fail(p, n->line, "unknown setting '%.*s'%s%s; it belongs %s%s", SHOWN(n->key),
                        in, where, other[0] == '\0' ? "outside of sections" : "in section ", other);
    }
    return fail(p, n->line, "unknown setting '%.*s'%s%s", SHOWN(n->key), in, where);
}

/* A value is read once for its own sake: into a point that nobody uses. */
static int value_check(struct parse *p, const struct lab_setting *s, const struct conftree_node *n,
                       struct lab_axis_value *ret_value)
{
    union {
        struct lab_server server;
        struct lab_client client;
        struct lab_faults faults;
        struct lab_mix_row row;
        struct lab_point point;
    } scratch;
    memset(&scratch, 0, sizeof(scratch));
    struct lab_value v;
    if (n->kind != CONFTREE_WORD && n->kind != CONFTREE_STRING)
        return fail(p, n->line, "'%s': a value is one word", s->name);
    int result = lab_setting_read(s, n->text, &scratch, &v);
    if (result < 0)
        return fail(p, n->line, "%s: %s", s->name, v.reason);
    if (s->type == LAB_DIST)
        dist_deinit((struct dist *)(void *)((char *)&scratch + s->offset));
    const char *text = region_text(&p->file->memory, n->text);
    if (text == NULL)
        return fail_memory(p);
    *ret_value =
        (struct lab_axis_value){.text = text, .has_number = v.has_number, .number = v.number};
    return 0;
}

static const char *unit_of(enum lab_type type)
{
    switch (type) {
    case LAB_TIME:
    case LAB_DIST:
        return "s";
    case LAB_SIZE:
        return "octets";
    case LAB_RATE:
        return "1/s";
    case LAB_CHOICE:
    case LAB_SET:
    case LAB_COUNT:
    case LAB_LONG:
    case LAB_NUMBER:
    case LAB_SHARE:
    case LAB_YESNO:
        break;
    }
    return "";
}

/* "server.before" in the file's memory, or NULL. */
static const char *full_name(struct parse *p, const struct place *place, const char *name)
{
    char joined[200];
    int len = snprintf(joined, sizeof(joined), "%s%s", place->prefix, name);
    ASSERT(len > 0 && (size_t)len < sizeof(joined));
    return region_text(&p->file->memory, slice_of(joined, (size_t)len));
}

static int axis_add(struct parse *p, uint32_t line, const char *name, const char *unit,
                    uint32_t count, struct lab_axis **ret_axis)
{
    struct lab_experiment *e = p->at;
    if (e->axis_count == LAB_AXES_MAX)
        return fail(p, line, "more than %d settings have a list", LAB_AXES_MAX);
    if (count > LAB_AXIS_VALUES_MAX)
        return fail(p, line, "a list of more than %d values", LAB_AXIS_VALUES_MAX);
    struct lab_axis *a = &e->axes[e->axis_count];
    *a = (struct lab_axis){.name = name, .unit = unit, .count = count};
    a->values = take(p, count * sizeof(*a->values));
    if (name == NULL || a->values == NULL)
        return fail_memory(p);
    e->axis_count++;
    *ret_axis = a;
    return 0;
}

static int list_add(struct parse *p, const struct place *place, struct lab_given *g,
                    const struct conftree_node *n, uint32_t count)
{
    struct lab_axis *a;
    if (place->client_idx >= 0)
        return fail(p, n->line,
                    "'%s' takes no list in one of several clients: the points of the others would "
                    "repeat; give it in section client without a name, or make more clients",
                    g->setting->name);
    int result = axis_add(p, n->line, full_name(p, place, g->setting->name),
                          unit_of(g->setting->type), count, &a);
    if (result < 0)
        return result;
    g->axis = (int32_t)p->at->axis_count - 1;
    g->values = take(p, count * sizeof(*g->values));
    if (g->values == NULL)
        return fail_memory(p);
    uint32_t i = 0;
    for (const struct conftree_node *v = n->first; v != NULL; v = v->next, i++) {
        result = value_check(p, g->setting, v, &a->values[i]);
        if (result < 0)
            return result;
        a->values[i].idx = i;
        g->values[i] = slice_str(a->values[i].text);
        for (uint32_t k = 0; k < i; k++)
            if (slice_eq(g->values[k], g->values[i]))
                return fail(p, v->line, "'%s': '%s' stands twice in the list", g->setting->name,
                            a->values[i].text);
    }
    return 0;
}

static int single_add(struct parse *p, const struct place *place, struct lab_given *g,
                      const struct conftree_node *value)
{
    struct lab_axis_value v;
    int result = value_check(p, g->setting, value, &v);
    if (result < 0)
        return result;
    g->text = slice_str(v.text);
    struct lab_fixed *f = &p->at->fixed[p->at->fixed_count];
    *f = (struct lab_fixed){full_name(p, place, g->setting->name), v.text};
    if (f->name == NULL)
        return fail_memory(p);
    p->at->fixed_count++;
    return 0;
}

static enum lab_phase phase_of(const struct place *place, const struct lab_setting *s)
{
    bool is_like = s->section == LAB_SECTION_CLIENT && s->type == LAB_CHOICE &&
                   s->offset == offsetof(struct lab_client, like);
    if (place->is_mix)
        return is_like ? LAB_PHASE_MIX_LIKE : LAB_PHASE_MIX;
    if (place->client_idx >= 0)
        return is_like ? LAB_PHASE_NAMED_LIKE : LAB_PHASE_NAMED;
    return is_like ? LAB_PHASE_LIKE : LAB_PHASE_ALL;
}

static int setting_add(struct parse *p, const struct place *place, const struct lab_setting *s,
                       size_t base, const struct conftree_node *n)
{
    enum lab_phase phase = phase_of(place, s);
    for (const struct lab_given *g = p->given[phase]; g != NULL; g = g->next)
        if (g->setting == s && g->base == base && g->client_idx == place->client_idx)
            return fail(p, n->line, "'%s' given again (first in line %u)", s->name, g->line);
    if (n->kind == CONFTREE_SECTION)
        return fail(p, n->line, "'%s' is a value and not a section", s->name);
    struct lab_given *g = take(p, sizeof(*g));
    if (g == NULL)
        return fail_memory(p);
    *g = (struct lab_given){.setting = s,
                            .phase = phase,
                            .base = base,
                            .axis = -1,
                            .client_idx = place->client_idx,
                            .line = n->line,
                            .order = p->at->given_count,
                            .next = p->given[phase]};
    p->given[phase] = g;
    p->at->given_count++;
    if (n->kind != CONFTREE_LIST)
        return single_add(p, place, g, n);
    uint32_t count = 0;
    for (const struct conftree_node *v = n->first; v != NULL; v = v->next)
        count++;
    if (count == 0)
        return fail(p, n->line, "'%s': the list is empty", s->name);
    return count == 1 ? single_add(p, place, g, n->first) : list_add(p, place, g, n, count);
}

/* --- sections ------------------------------------------------------------------------------ */

static int section_parse(struct parse *p, const struct place *place,
                         const struct conftree_node *section)
{
    for (const struct conftree_node *n = section->first; n != NULL; n = n->next) {
        const struct lab_setting *s = lab_setting_find(place->section, n->key);
        size_t base = place->base;
        if (s == NULL && place->is_mix) {
            s = lab_setting_find(LAB_SECTION_CLIENT, n->key);
            base += offsetof(struct lab_mix_row, client);
        }
        if (s == NULL)
            return fail_unknown(p, place->is_mix ? LAB_SECTION_CLIENT : place->section, n);
        int result = setting_add(p, place, s, base, n);
        if (result < 0)
            return result;
    }
    return 0;
}

static bool name_is_good(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = ascii_lower(name.ptr[i]);
        bool is_good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (!is_good)
            return false;
    }
    return name.len > 0 && name.len < LAB_NAME_BYTES_MAX && name.ptr[0] != '-';
}

static int label_check(struct parse *p, const struct conftree_node *n)
{
    if (name_is_good(n->label))
        return 0;
    return fail(p, n->line, "%.*s \"%.*s\": a name is 1 to %d letters, digits and \"-\"",
                SHOWN(n->key), SHOWN(n->label), LAB_NAME_BYTES_MAX - 1);
}

static bool is_section(const struct conftree_node *n, const char *name)
{
    return n->kind == CONFTREE_SECTION && slice_eq(n->key, slice_str(name));
}

/* client "exim" { }: each is a value of the axis "client". */
static int named_client_parse(struct parse *p, const struct conftree_node *n,
                              const struct conftree_node *experiment)
{
    struct lab_experiment *e = p->at;
    int result = label_check(p, n);
    if (result < 0)
        return result;
    if (e->client_axis < 0) {
        struct lab_axis *a;
        uint32_t count = 0;
        for (const struct conftree_node *m = experiment->first; m != NULL; m = m->next)
            count += is_section(m, "client") && m->label.len > 0;
        result = axis_add(p, n->line, "client", "", count, &a);
        if (result < 0)
            return result;
        a->count = 0; /* one more with each that is read */
        e->client_order = e->given_count;
        e->client_axis = (int32_t)e->axis_count - 1;
    }
    struct lab_axis *a = &e->axes[e->client_axis];
    char prefix[64];
    snprintf(prefix, sizeof(prefix), "client.%.*s.", SHOWN(n->label));
    const char *name = region_text(&p->file->memory, n->label);
    if (name == NULL)
        return fail_memory(p);
    for (uint32_t i = 0; i < a->count; i++)
        if (strcmp(a->values[i].text, name) == 0)
            return fail(p, n->line, "client \"%s\" stands here twice", name);
    a->values[a->count].text = name;
    a->values[a->count].idx = a->count;
    const struct place place = {LAB_SECTION_CLIENT, prefix, offsetof(struct lab_point, client),
                                (int32_t)a->count++, false};
    return section_parse(p, &place, n);
}

static int mix_parse(struct parse *p, const struct conftree_node *mix)
{
    struct lab_experiment *e = p->at;
    if (e->mix_count > 0)
        return fail(p, mix->line, "a second mix");
    e->mix_order = e->given_count;
    for (const struct conftree_node *n = mix->first; n != NULL; n = n->next) {
        char prefix[64];
        if (!is_section(n, "client"))
            return fail(p, n->line, "a mix is made of client \"NAME\" { ... }");
        int result = label_check(p, n);
        if (result < 0)
            return result;
        if (e->mix_count == LAB_MIX_ROWS_MAX)
            return fail(p, n->line, "more than %d clients in a mix", LAB_MIX_ROWS_MAX);
        const char *name = region_text(&p->file->memory, n->label);
        if (name == NULL)
            return fail_memory(p);
        for (uint32_t i = 0; i < e->mix_count; i++)
            if (strcmp(e->mix_names[i], name) == 0)
                return fail(p, n->line, "client \"%s\" stands in the mix twice", name);
        snprintf(prefix, sizeof(prefix), "mix.%s.", name);
        const struct place place = {LAB_SECTION_MIX, prefix,
                                    offsetof(struct lab_point, mix) +
                                        offsetof(struct lab_mix, rows) +
                                        e->mix_count * sizeof(struct lab_mix_row),
                                    -1, true};
        e->mix_names[e->mix_count++] = name;
        result = section_parse(p, &place, n);
        if (result < 0)
            return result;
    }
    return e->mix_count > 0 ? 0 : fail(p, mix->line, "the mix is empty");
}

static int inner_section_parse(struct parse *p, const struct conftree_node *n,
                               const struct conftree_node *experiment)
{
    static const struct place places[] = {
        {LAB_SECTION_SERVER, "server.", offsetof(struct lab_point, server), -1, false},
        {LAB_SECTION_CLIENT, "client.", offsetof(struct lab_point, client), -1, false},
        {LAB_SECTION_FAULTS, "faults.", offsetof(struct lab_point, faults), -1, false},
    };
    if (is_section(n, "client") && n->label.len > 0)
        return named_client_parse(p, n, experiment);
    if (n->label.len > 0)
        return fail(p, n->line, "section '%.*s' has no name", SHOWN(n->key));
    if (is_section(n, "mix"))
        return mix_parse(p, n);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++)
        if (is_section(n, lab_section_name(places[i].section)))
            return section_parse(p, &places[i], n);
    return fail(p, n->line, "unknown section '%.*s': there are server, client, faults and mix",
                SHOWN(n->key));
}

/* A setting at the top of an experiment. */
static int top_parse(struct parse *p, const struct conftree_node *n)
{
    static const struct place place = {LAB_SECTION_TOP, "", 0, -1, false};
    struct slice key = n->key;
    if (slice_eq(key, SLICE_LIT("title")))
        return text_set(p, n, &p->at->title);
    if (slice_eq(key, SLICE_LIT("description")))
        return text_set(p, n, &p->at->description);
    if (slice_eq(key, SLICE_LIT("modes")))
        return modes_set(p, n);
    if (slice_eq(key, SLICE_LIT("seeds")))
        return seeds_set(p, n);
    if (slice_eq(key, SLICE_LIT("projected")))
        return projected_set(p, n);
    const struct lab_setting *s = lab_setting_find(LAB_SECTION_TOP, key);
    if (s == NULL)
        return fail_unknown(p, LAB_SECTION_TOP, n);
    return setting_add(p, &place, s, 0, n);
}

/* --- points -------------------------------------------------------------------------------- */

/* There is room for one more: every setting has its own, and the experiment's node has one too. */
void lab_experiment_messages(struct lab_experiment *e, const char *text)
{
    static const char name[] = "messages";
    for (uint32_t a = 0; a < e->axis_count; a++)
        if (strcmp(e->axes[a].name, name) == 0)
            return;
    uint32_t i = 0;
    while (i < e->fixed_count && strcmp(e->fixed[i].name, name) != 0)
        i++;
    e->fixed_count += i == e->fixed_count;
    e->fixed[i] = (struct lab_fixed){.name = name, .text = text};
}

void lab_point_values(const struct lab_experiment *e, uint32_t idx, uint32_t ret_at[LAB_AXES_MAX])
{
    ASSERT(idx < e->point_count);
    for (uint32_t a = e->axis_count; a-- > 0;) {
        ret_at[a] = idx % e->axes[a].count;
        idx /= e->axes[a].count;
    }
}

void lab_experiment_only(struct lab_experiment *e, uint32_t axis, const bool *wanted)
{
    struct lab_axis *a = &e->axes[axis];
    uint32_t kept = 0;
    ASSERT(axis < e->axis_count);
    for (uint32_t i = 0; i < a->count; i++)
        if (wanted[i])
            a->values[kept++] = a->values[i];
    ASSERT(kept > 0);
    e->point_count = e->point_count / a->count * kept;
    a->count = kept;
}

static const size_t dist_offsets[] = {
    offsetof(struct lab_point, server.before),
    offsetof(struct lab_point, server.per_rcpt),
    offsetof(struct lab_point, server.commit),
};

void lab_point_deinit(struct lab_point *p)
{
    for (size_t i = 0; i < ARRAY_COUNT(dist_offsets); i++)
        dist_deinit((struct dist *)(void *)((char *)p + dist_offsets[i]));
}

static int value_set(const struct lab_setting *s, struct slice text, void *record)
{
    struct lab_value v;
    if (s->type == LAB_DIST)
        dist_deinit((struct dist *)(void *)((char *)record + s->offset));
    return lab_setting_read(s, text, record, &v);
}

static int defaults_set(struct lab_point *p)
{
    static const struct {
        enum lab_section section;
        size_t base;
    } records[] = {
        {LAB_SECTION_TOP, 0},
        {LAB_SECTION_SERVER, offsetof(struct lab_point, server)},
        {LAB_SECTION_CLIENT, offsetof(struct lab_point, client)},
        {LAB_SECTION_FAULTS, offsetof(struct lab_point, faults)},
    };
    for (size_t i = 0; i < lab_setting_count; i++) {
        const struct lab_setting *s = &lab_settings[i];
        for (size_t r = 0; r < ARRAY_COUNT(records); r++) {
            if (records[r].section != s->section)
                continue;
            int result = value_set(s, slice_str(s->otherwise), (char *)p + records[r].base);
            if (result < 0)
                return result;
        }
    }
    return 0;
}

static void mix_begin(const struct lab_experiment *e, struct lab_point *p)
{
    p->mix.count = e->mix_count;
    for (uint32_t i = 0; i < e->mix_count; i++) {
        struct lab_mix_row *row = &p->mix.rows[i];
        row->client = p->client;
        snprintf(row->name, sizeof(row->name), "%s", e->mix_names[i]);
    }
}

static int given_set(const struct lab_experiment *e, const struct lab_given *g,
                     const uint32_t at[LAB_AXES_MAX], struct lab_point *p)
{
    if (g->client_idx >= 0 &&
        e->axes[e->client_axis].values[at[e->client_axis]].idx != (uint32_t)g->client_idx)
        return 0;
    void *record = (char *)p + g->base;
    struct slice text = g->axis < 0 ? g->text : g->values[e->axes[g->axis].values[at[g->axis]].idx];
    int result = value_set(g->setting, text, record);
    bool is_like = g->phase == LAB_PHASE_LIKE || g->phase == LAB_PHASE_NAMED_LIKE ||
                   g->phase == LAB_PHASE_MIX_LIKE;
    if (result == 0 && is_like)
        lab_like_apply(record);
    return result;
}

int lab_point_make(const struct lab_experiment *e, uint32_t idx, struct lab_point *ret_point)
{
    uint32_t at[LAB_AXES_MAX] = {0};
    struct lab_point p;
    memset(&p, 0, sizeof(p)); /* the padding too: points are compared and copied as bytes */
    lab_point_values(e, idx, at);
    bool has_mix = false;
    int result = defaults_set(&p);
    for (uint32_t i = 0; i < e->given_count && result == 0; i++) {
        if (!has_mix && e->given[i].phase >= LAB_PHASE_MIX_LIKE) {
            mix_begin(e, &p);
            has_mix = true;
        }
        result = given_set(e, &e->given[i], at, &p);
    }
    if (!has_mix)
        mix_begin(e, &p);
    if (result < 0)
        lab_point_deinit(&p);
    else
        *ret_point = p;
    return result;
}

/* What single values cannot show; NULL: it is fine. */
static const char *point_fault(const struct lab_point *p)
{
    double sum = 0;
    for (uint32_t i = 0; i < p->mix.count; i++) {
        sum += p->mix.rows[i].share;
        if (p->mix.rows[i].client.retry_max_ns < p->mix.rows[i].client.retry_ns)
            return "retry_max of a client in the mix is less than its retry";
    }
    if (p->mix.count > 0 && fabs(sum - 1) > 1e-6)
        return "the shares of the mix do not make 1";
    if (p->client.retry_max_ns < p->client.retry_ns)
        return "retry_max is less than retry";
    if (p->server.refused_share + p->server.deferred_share > 1 + 1e-9)
        return "refused and deferred together are more than 1";
    if (lab_faults_have(&p->faults, LAB_CUT_HAZARD) && p->faults.hazard_per_s <= 0)
        return "cut = hazard needs a hazard";
    if (lab_faults_have(&p->faults, LAB_CUT_AFTER_REPLIES) && p->faults.cut_replies > p->rcpt_count)
        return "cut_replies is more than there are recipients";
    if (p->server.refused_count > p->rcpt_count)
        return "refused_first is more than there are recipients";
    if (p->rate_per_s <= 0 && p->client_count > 1)
        return "several senders need a rate";
    return NULL;
}

/* Of what a kind of cut needs: without that kind at any point it would be said in vain. */
static const struct {
    size_t offset; /* in struct lab_faults */
    enum lab_cut cut;
    const char *text;
} cut_settings[] = {
    {offsetof(struct lab_faults, cut_replies), LAB_CUT_AFTER_REPLIES, "after-replies"},
    {offsetof(struct lab_faults, hazard_per_s), LAB_CUT_HAZARD, "hazard"},
    {offsetof(struct lab_faults, black_hole_share), LAB_CUT_BLACK_HOLE, "black-hole"},
    {offsetof(struct lab_faults, bytes_per_s), LAB_CUT_SLOW, "slow"},
};

/* @cuts_seen: the kinds of cut that points have. */
static int cut_settings_check(struct parse *p, unsigned cuts_seen)
{
    const struct lab_experiment *e = p->at;
    for (uint32_t i = 0; i < e->given_count; i++) {
        const struct lab_given *g = &e->given[i];
        for (size_t k = 0; k < ARRAY_COUNT(cut_settings); k++)
            if (g->setting->section == LAB_SECTION_FAULTS &&
                g->setting->offset == cut_settings[k].offset &&
                (cuts_seen & (unsigned)cut_settings[k].cut) == 0)
                return fail(p, g->line, "'%s' does nothing without cut = %s", g->setting->name,
                            cut_settings[k].text);
    }
    return 0;
}

static int points_check(struct parse *p)
{
    unsigned cuts_seen = 0;
    struct lab_experiment *e = p->at;
    uint64_t count = 1;
    for (uint32_t a = 0; a < e->axis_count; a++) {
        count *= e->axes[a].count;
        if (count > LAB_POINTS_MAX)
            return fail(p, e->line, "experiment \"%s\" has more than %d points", e->name,
                        LAB_POINTS_MAX);
    }
    e->point_count = (uint32_t)count;
    for (uint32_t i = 0; i < e->point_count; i++) {
        struct lab_point point;
        int result = lab_point_make(e, i, &point);
        if (result < 0) {
            fail(p, e->line, "point %u: %s", i, err_text(result));
            return result;
        }
        const char *fault = point_fault(&point);
        cuts_seen |= (unsigned)point.faults.cut;
        lab_point_deinit(&point);
        if (fault != NULL)
            return fail(p, e->line, "experiment \"%s\": %s (point %u)", e->name, fault, i);
    }
    return cut_settings_check(p, cuts_seen);
}

/* The lists of parsing, oldest first, in the order of their phases. */
static int given_gather(struct parse *p)
{
    struct lab_experiment *e = p->at;
    e->given = take(p, (e->given_count + 1u) * sizeof(*e->given));
    e->given_order = take(p, (e->given_count + 1u) * sizeof(*e->given_order));
    if (e->given == NULL || e->given_order == NULL)
        return fail_memory(p);
    uint32_t end = 0;
    for (unsigned phase = 0; phase < LAB_PHASE_COUNT; phase++) {
        uint32_t begin = end;
        for (const struct lab_given *g = p->given[phase]; g != NULL; g = g->next)
            e->given[end++] = *g;
        for (uint32_t low = begin, high = end; high > low + 1; low++) {
            struct lab_given swapped = e->given[low];
            e->given[low] = e->given[--high];
            e->given[high] = swapped;
        }
    }
    ASSERT(end == e->given_count);
    for (uint32_t i = 0; i < end; i++)
        e->given_order[e->given[i].order] = i;
    return 0;
}

/* --- the file ------------------------------------------------------------------------------ */

static uint32_t node_count(const struct conftree_node *n)
{
    uint32_t count = 1;
    for (const struct conftree_node *m = n->first; m != NULL; m = m->next)
        count += m->kind == CONFTREE_SECTION ? node_count(m) : 1;
    return count;
}

static int experiment_parse(struct parse *p, const struct conftree_node *node)
{
    struct lab_experiment *e = p->at;
    memset(p->given, 0, sizeof(p->given));
    *e = (struct lab_experiment){.line = node->line, .client_axis = -1};
    int result = label_check(p, node);
    if (result < 0)
        return result;
    e->name = region_text(&p->file->memory, node->label);
    e->fixed = take(p, node_count(node) * sizeof(*e->fixed));
    if (e->name == NULL || e->fixed == NULL)
        return fail_memory(p);
    for (const struct lab_experiment *other = p->file->experiments; other < e; other++)
        if (strcmp(other->name, e->name) == 0)
            return fail(p, node->line, "experiment \"%s\" stands here twice", e->name);
    for (const struct conftree_node *n = node->first; n != NULL; n = n->next) {
        result = n->kind == CONFTREE_SECTION ? inner_section_parse(p, n, node) : top_parse(p, n);
        if (result < 0)
            return result;
    }
    if (e->title == NULL)
        e->title = e->name;
    if (e->description == NULL)
        e->description = "";
    if (e->seeds == NULL) {
        e->seeds = take(p, sizeof(*e->seeds));
        if (e->seeds == NULL)
            return fail_memory(p);
        e->seeds[0] = 1;
        e->seed_count = 1;
    }
    result = given_gather(p);
    return result < 0 ? result : points_check(p);
}

static int tree_parse(struct parse *p, const struct conftree_node *root)
{
    uint32_t count = 0;
    for (const struct conftree_node *n = root->first; n != NULL; n = n->next, count++)
        if (!is_section(n, "experiment"))
            return fail(p, n->line,
                        "'%.*s' stands outside of an experiment: a file is made of "
                        "experiment \"NAME\" { ... }",
                        SHOWN(n->key));
    if (count == 0)
        return fail(p, 0, "there is no experiment in it");
    if (count > LAB_EXPERIMENTS_MAX)
        return fail(p, 0, "more than %d experiments", LAB_EXPERIMENTS_MAX);
    p->file->experiments = take(p, count * sizeof(*p->file->experiments));
    if (p->file->experiments == NULL)
        return fail_memory(p);
    for (const struct conftree_node *n = root->first; n != NULL; n = n->next) {
        p->at = &p->file->experiments[p->file->count];
        int result = experiment_parse(p, n);
        if (result < 0)
            return result;
        p->file->count++;
    }
    return 0;
}

int lab_file_parse(struct slice text, const char *path, struct lab_file *ret_file,
                   struct lab_file_error *ret_error)
{
    struct lab_file file = {.path = path};
    struct parse p = {.file = &file, .error = ret_error};
    struct conftree_error tree_error = {0};
    struct conftree_node *root;
    const char *copy = region_text(&file.memory, text);
    const char *path_copy = region_text(&file.memory, slice_str(path));
    int result = 0;
    if (copy == NULL || path_copy == NULL) {
        result = fail_memory(&p);
    } else {
        file.text = copy;
        file.path = path_copy;
        result = conftree_parse(text, &file.memory, &root, &tree_error);
        if (result == -EINVAL)
            fail(&p, tree_error.line, "%s", tree_error.reason);
        else if (result < 0)
            fail_memory(&p);
        else
            result = tree_parse(&p, root);
    }
    if (result < 0)
        lab_file_free(&file);
    else
        *ret_file = file;
    return result;
}

/* @ret_fault: what is wrong, where no errno says it */
static int whole_read(int fd, struct region *memory, struct slice *ret_text, const char **ret_fault)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode)) {
        *ret_fault = "is not a plain file";
        return -EINVAL;
    }
    if ((uint64_t)st.st_size > LAB_FILE_BYTES_MAX) {
        *ret_fault = "is larger than 1 MB";
        return -EINVAL;
    }
    uint8_t *bytes = region_take(memory, (size_t)st.st_size + 1);
    if (bytes == NULL)
        return -ENOMEM;
    size_t len = 0;
    while (len < (size_t)st.st_size) {
        ssize_t got = read(fd, bytes + len, (size_t)st.st_size - len);
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    *ret_text = slice_of(bytes, len);
    return 0;
}

int lab_file_read(const char *path, struct lab_file *ret_file, struct lab_file_error *ret_error)
{
    struct region memory = {NULL};
    struct slice text;
    const char *fault = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO would wait */
    int result = fd < 0 ? -errno : whole_read(fd, &memory, &text, &fault);
    if (result < 0) {
        *ret_error = (struct lab_file_error){.line = 0};
        snprintf(ret_error->text, sizeof(ret_error->text), "%.150s: %s", path,
                 fault != NULL ? fault : err_text(result));
    } else {
        result = lab_file_parse(text, path, ret_file, ret_error);
    }
    if (fd >= 0)
        close(fd);
    region_free(&memory);
    return result;
}

void lab_file_free(struct lab_file *f)
{
    region_free(&f->memory);
    *f = (struct lab_file){.path = NULL};
}
