/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_read.c - reads back what result_json.c wrote. The file may come from anybody: everything
 * that later code relies on (indexes, counts, limits) is checked here. The grammar is json-c's
 * business.
 */
#include "base/err.h"
#include "lab/result.h"
#include <json-c/json.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX ((off_t)1 * 1024 * 1024 * 1024)
#define RUNS_MAX (LAB_RESULT_MODES_MAX * LAB_SEEDS_MAX)
#define FIXED_MAX 1000

struct reader {
    struct lab_result *r;
    char *text; /* the first thing that was wrong */
    size_t text_cap;
    int result;
};

static void fail(struct reader *rd, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fail(struct reader *rd, const char *fmt, ...)
{
    if (rd->result < 0)
        return;
    rd->result = -EINVAL;
    va_list args;
    va_start(args, fmt);
    vsnprintf(rd->text, rd->text_cap, fmt, args);
    va_end(args);
}

static void *take(struct reader *rd, size_t size)
{
    void *memory = region_take(&rd->r->memory, size + 1);
    if (memory == NULL)
        fail(rd, "out of memory");
    return memory;
}

/* --- values -------------------------------------------------------------------------------- */

static struct json_object *member(struct reader *rd, struct json_object *from, const char *name,
                                  enum json_type type)
{
    struct json_object *value = NULL;
    if (rd->result < 0)
        return NULL;
    if (!json_object_is_type(from, json_type_object) ||
        !json_object_object_get_ex(from, name, &value)) {
        fail(rd, "not a result of postern-lab: \"%s\" is missing", name);
        return NULL;
    }
    bool is_number = type == json_type_double && json_object_is_type(value, json_type_int);
    if (json_object_is_type(value, type) || is_number)
        return value;
    fail(rd, "not a result of postern-lab: \"%s\" is no %s", name, json_type_to_name(type));
    return NULL;
}

static const char *get_text(struct reader *rd, struct json_object *from, const char *name)
{
    struct json_object *value = member(rd, from, name, json_type_string);
    const char *text = "";
    if (value != NULL) {
        text = region_text(&rd->r->memory, slice_str(json_object_get_string(value)));
        if (text == NULL)
            fail(rd, "out of memory");
    }
    return text != NULL ? text : "";
}

static double get_double(struct reader *rd, struct json_object *from, const char *name)
{
    struct json_object *value = member(rd, from, name, json_type_double);
    double number = value != NULL ? json_object_get_double(value) : 0;
    if (!isfinite(number))
        fail(rd, "not a result of postern-lab: \"%s\" is out of range", name);
    return number;
}

static uint64_t to_u64(struct reader *rd, struct json_object *value, const char *name, uint64_t max)
{
    if (rd->result < 0)
        return 0;
    uint64_t number = json_object_get_uint64(value);
    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0 ||
        number > max) {
        fail(rd, "not a result of postern-lab: a number in \"%s\" is out of range", name);
        return 0;
    }
    return number;
}

static uint64_t get_u64(struct reader *rd, struct json_object *from, const char *name, uint64_t max)
{
    return to_u64(rd, member(rd, from, name, json_type_int), name, max);
}

static bool get_bool(struct reader *rd, struct json_object *from, const char *name)
{
    struct json_object *value = member(rd, from, name, json_type_boolean);
    return value != NULL && json_object_get_boolean(value);
}

/* The array @name and its length, which is 0 after a failure. */
static struct json_object *get_array(struct reader *rd, struct json_object *from, const char *name,
                                     uint32_t max, uint32_t *ret_count)
{
    struct json_object *array = member(rd, from, name, json_type_array);
    size_t count = array != NULL ? json_object_array_length(array) : 0;
    if (count > max) {
        fail(rd, "not a result of postern-lab: too much in \"%s\"", name);
        count = 0;
    }
    *ret_count = (uint32_t)count;
    return array;
}

/* --- parts --------------------------------------------------------------------------------- */

static void get_modes(struct reader *rd, struct json_object *root)
{
    uint32_t count;
    struct json_object *modes = get_array(rd, root, "modes", LAB_RESULT_MODES_MAX, &count);
    for (uint32_t i = 0; i < count; i++) {
        struct json_object *from = json_object_array_get_idx(modes, i);
        struct lab_result_mode *m = &rd->r->modes[i];
        const char *name = get_text(rd, from, "name");
        snprintf(m->name, sizeof(m->name), "%.31s", name);
        snprintf(m->note, sizeof(m->note), "%.399s", get_text(rd, from, "note"));
        m->precision_ns = get_u64(rd, from, "precision_ns", UINT64_MAX);
        if (name[0] == '\0' || name[strspn(name, "abcdefghijklmnopqrstuvwxyz-")] != '\0')
            fail(rd, "not a result of postern-lab: a mode has no good name");
    }
    rd->r->mode_count = count;
}

static void get_axis(struct reader *rd, struct json_object *from, struct lab_axis *axis)
{
    uint32_t count;
    axis->name = get_text(rd, from, "name");
    axis->unit = get_text(rd, from, "unit");
    struct json_object *values = get_array(rd, from, "values", LAB_AXIS_VALUES_MAX, &count);
    axis->values = take(rd, count * sizeof(*axis->values));
    for (uint32_t i = 0; i < count && rd->result == 0; i++) {
        struct json_object *value = json_object_array_get_idx(values, i);
        struct json_object *number = NULL;
        axis->values[i].text = get_text(rd, value, "text");
        axis->values[i].has_number = json_object_object_get_ex(value, "number", &number);
        if (axis->values[i].has_number)
            axis->values[i].number = get_double(rd, value, "number");
    }
    axis->count = count;
    if (count == 0)
        fail(rd, "not a result of postern-lab: an axis is empty");
}

static void get_fixed(struct reader *rd, struct json_object *from, struct lab_result_experiment *e)
{
    uint32_t count;
    struct json_object *fixed = get_array(rd, from, "fixed", FIXED_MAX, &count);
    e->fixed = take(rd, count * sizeof(*e->fixed));
    for (uint32_t i = 0; i < count && rd->result == 0; i++) {
        struct json_object *pair = json_object_array_get_idx(fixed, i);
        e->fixed[i].name = get_text(rd, pair, "name");
        e->fixed[i].text = get_text(rd, pair, "text");
    }
    e->fixed_count = count;
}

static void get_theory(struct reader *rd, struct json_object *point, struct lab_result_point *p)
{
    struct json_object *from = member(rd, point, "theory", json_type_object);
    const char *why_none = get_text(rd, from, "why_none");
    snprintf(p->theory.rule, sizeof(p->theory.rule), "%.31s", get_text(rd, from, "rule"));
    p->theory.why_none = why_none[0] != '\0' ? why_none : NULL;
    p->theory.copies_first = get_double(rd, from, "copies_first");
    p->theory.copies_first_sd = get_double(rd, from, "copies_first_sd");
    p->theory.has_total = get_bool(rd, from, "has_total");
    p->theory.copies_total = get_double(rd, from, "copies_total");
    p->theory.copies_total_sd = get_double(rd, from, "copies_total_sd");
    p->theory.is_livelock = get_bool(rd, from, "is_livelock");
    uint32_t count;
    struct json_object *rows = get_array(rd, point, "expected", LAB_RESULT_MODES_MAX, &count);
    if (rd->result == 0 && count != rd->r->mode_count)
        fail(rd, "not a result of postern-lab: \"expected\" has not one row for each mode");
    for (uint32_t m = 0; m < count && rd->result == 0; m++) {
        struct json_object *row = json_object_array_get_idx(rows, m);
        double values[4] = {0};
        if (!json_object_is_type(row, json_type_array) || json_object_array_length(row) != 4)
            fail(rd, "not a result of postern-lab: \"expected\" has not four numbers");
        for (size_t i = 0; i < 4 && rd->result == 0; i++)
            values[i] = json_object_get_double(json_object_array_get_idx(row, i));
        p->expected[m] = (struct lab_expectation){values[0], values[1], values[2], values[3]};
    }
}

static void get_spread(struct reader *rd, struct json_object *run, const char *name,
                       struct lab_spread *s)
{
    struct json_object *from = member(rd, run, name, json_type_object);
    s->count = get_u64(rd, from, "count", UINT64_MAX);
    s->mean = get_double(rd, from, "mean");
    s->min = get_u64(rd, from, "min", UINT64_MAX);
    s->p50 = get_u64(rd, from, "p50", UINT64_MAX);
    s->p90 = get_u64(rd, from, "p90", UINT64_MAX);
    s->p99 = get_u64(rd, from, "p99", UINT64_MAX);
    s->max = get_u64(rd, from, "max", UINT64_MAX);
}

static void get_series(struct reader *rd, struct json_object *run, struct lab_series *s)
{
    uint32_t count;
    struct json_object *from = member(rd, run, "series", json_type_object);
    s->width_ns = get_u64(rd, from, "width_ns", UINT64_MAX);
    struct json_object *rows = get_array(rd, from, "rows", LAB_RESULT_BUCKETS_MAX, &count);
    s->at = take(rd, count * sizeof(*s->at));
    for (uint32_t i = 0; i < count && rd->result == 0; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        uint64_t values[5] = {0};
        if (!json_object_is_type(row, json_type_array) || json_object_array_length(row) != 5)
            fail(rd, "not a result of postern-lab: a row of \"series\" has not five numbers");
        for (size_t k = 0; k < 5 && rd->result == 0; k++)
            values[k] = to_u64(rd, json_object_array_get_idx(row, k), "series", UINT64_MAX);
        if (rd->result == 0)
            s->at[i] = (struct lab_bucket){values[0], values[1], values[2], values[3], values[4]};
    }
    s->count = rd->result == 0 ? count : 0;
}

static uint32_t get_choice(struct reader *rd, struct json_object *from, const char *name,
                           const char *const *words, uint32_t count)
{
    const char *text = get_text(rd, from, name);
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    fail(rd, "not a result of postern-lab: \"%s\" is not known", name);
    return 0;
}

static void get_rung(struct reader *rd, struct json_object *from, struct rung *g)
{
    static const char *const whos[] = {"client", "wire", "server"};
    static const char *const ways[] = {"none", "to-server", "to-client"};
    struct json_object *until = NULL;
    g->at = get_u64(rd, from, "at", UINT64_MAX);
    g->until = CLOCK_NEVER;
    if (rd->result == 0 && json_object_object_get_ex(from, "until", &until))
        g->until = get_u64(rd, from, "until", UINT64_MAX);
    g->attempt = (uint32_t)get_u64(rd, from, "attempt", UINT32_MAX);
    g->who = (enum ladder_who)get_choice(rd, from, "who", whos, ARRAY_COUNT(whos));
    g->way = (enum ladder_way)get_choice(rd, from, "way", ways, ARRAY_COUNT(ways));
    snprintf(g->text, sizeof(g->text), "%.79s", get_text(rd, from, "text"));
}

static void get_ladder(struct reader *rd, struct json_object *run, struct lab_run *to)
{
    uint32_t count;
    struct json_object *from = NULL;
    if (rd->result < 0 || !json_object_object_get_ex(run, "ladder", &from))
        return;
    to->ladder_seq = get_u64(rd, from, "message", UINT64_MAX);
    to->rungs_left_out = get_u64(rd, from, "left_out", UINT64_MAX);
    struct json_object *rungs = get_array(rd, from, "rungs", LAB_RESULT_RUNGS_MAX, &count);
    to->rungs = take(rd, count * sizeof(*to->rungs));
    for (uint32_t i = 0; i < count && rd->result == 0; i++)
        get_rung(rd, json_object_array_get_idx(rungs, i), &to->rungs[i]);
    to->rung_count = rd->result == 0 ? count : 0;
}

static void get_run(struct reader *rd, struct json_object *from, struct lab_run *run)
{
    const char *mode = get_text(rd, from, "mode");
    run->mode = 0;
    while (run->mode < rd->r->mode_count && strcmp(rd->r->modes[run->mode].name, mode) != 0)
        run->mode++;
    if (run->mode == rd->r->mode_count)
        fail(rd, "not a result of postern-lab: a run has a mode that is not listed");
    run->seed = get_u64(rd, from, "seed", UINT64_MAX);
    run->real_s = get_double(rd, from, "real_s");
    run->late_ns = get_u64(rd, from, "late_ns", UINT64_MAX);
    struct json_object *numbers = member(rd, from, "numbers", json_type_object);
    for (size_t i = 0; i < lab_number_field_count; i++) {
        uint64_t value = get_u64(rd, numbers, lab_number_fields[i].name, UINT64_MAX);
        memcpy((char *)&run->numbers + lab_number_fields[i].offset, &value, sizeof(value));
    }
    get_spread(rd, from, "dot_to_first_ns", &run->dot_to_first);
    get_spread(rd, from, "dot_to_last_ns", &run->dot_to_last);
    get_spread(rd, from, "settled_ns", &run->settled);
    get_series(rd, from, &run->series);
    get_ladder(rd, from, run);
}

static void get_not_run(struct reader *rd, struct json_object *point, struct lab_result_point *p)
{
    struct json_object *from = member(rd, point, "not_run", json_type_object);
    for (uint32_t m = 0; m < rd->r->mode_count && rd->result == 0; m++)
        if (json_object_object_get_ex(from, rd->r->modes[m].name, NULL))
            p->not_run[m] = get_text(rd, from, rd->r->modes[m].name);
}

static void get_point(struct reader *rd, struct json_object *from,
                      const struct lab_result_experiment *e, struct lab_result_point *p)
{
    uint32_t count;
    struct json_object *at = get_array(rd, from, "at", LAB_AXES_MAX, &count);
    if (rd->result == 0 && count != e->axis_count)
        fail(rd, "not a result of postern-lab: a point has not one value for each axis");
    for (uint32_t a = 0; a < count && rd->result == 0; a++)
        p->at[a] =
            (uint32_t)to_u64(rd, json_object_array_get_idx(at, a), "at", e->axes[a].count - 1);
    p->rcpt_count = (uint32_t)get_u64(rd, from, "recipients", UINT32_MAX);
    p->time_scale_ns = get_u64(rd, from, "time_scale_ns", NS_PER_S);
    struct json_object *precisions =
        get_array(rd, from, "precision_ns", LAB_RESULT_MODES_MAX, &count);
    if (rd->result == 0 && count != rd->r->mode_count)
        fail(rd, "not a result of postern-lab: \"precision_ns\" has not one number for each mode");
    for (uint32_t m = 0; m < count && rd->result == 0; m++)
        p->precision_ns[m] =
            to_u64(rd, json_object_array_get_idx(precisions, m), "precision_ns", UINT64_MAX);
    get_theory(rd, from, p);
    get_not_run(rd, from, p);
    struct json_object *runs = get_array(rd, from, "runs", RUNS_MAX, &count);
    p->runs = take(rd, count * sizeof(*p->runs));
    for (uint32_t i = 0; i < count && rd->result == 0; i++)
        get_run(rd, json_object_array_get_idx(runs, i), &p->runs[i]);
    p->run_count = rd->result == 0 ? count : 0;
}

static void get_experiment(struct reader *rd, struct json_object *from,
                           struct lab_result_experiment *e)
{
    uint32_t count;
    e->name = get_text(rd, from, "name");
    e->title = get_text(rd, from, "title");
    e->description = get_text(rd, from, "description");
    e->projected = get_u64(rd, from, "projected", INT64_MAX);
    struct json_object *axes = get_array(rd, from, "axes", LAB_AXES_MAX, &count);
    uint64_t point_count = 1;
    for (uint32_t a = 0; a < count && rd->result == 0; a++) {
        get_axis(rd, json_object_array_get_idx(axes, a), &e->axes[a]);
        point_count *= e->axes[a].count;
        if (point_count > LAB_POINTS_MAX)
            fail(rd, "not a result of postern-lab: too many points");
    }
    e->axis_count = count;
    get_fixed(rd, from, e);
    struct json_object *points = get_array(rd, from, "points", LAB_POINTS_MAX, &count);
    if (rd->result == 0 && count != point_count)
        fail(rd, "not a result of postern-lab: the axes make another number of points");
    e->points = take(rd, count * sizeof(*e->points));
    for (uint32_t i = 0; i < count && rd->result == 0; i++)
        get_point(rd, json_object_array_get_idx(points, i), e, &e->points[i]);
    e->point_count = rd->result == 0 ? count : 0;
}

static void get_result(struct reader *rd, struct json_object *root)
{
    struct lab_result *r = rd->r;
    const char *format = get_text(rd, root, "format");
    uint64_t version = get_u64(rd, root, "format_version", UINT32_MAX);
    if (rd->result == 0 && strcmp(format, LAB_RESULT_FORMAT) != 0)
        fail(rd, "not a result of postern-lab");
    else if (rd->result == 0 && version != LAB_RESULT_FORMAT_VERSION)
        fail(rd, "a result of another version of postern-lab (format %u)", (unsigned)version);
    r->version = get_text(rd, root, "version");
    r->kernel = get_text(rd, root, "kernel");
    r->cpu = get_text(rd, root, "cpu");
    r->command = get_text(rd, root, "command");
    r->started = get_text(rd, root, "started");
    r->path = get_text(rd, root, "path");
    r->text = get_text(rd, root, "text");
    get_modes(rd, root);
    uint32_t count;
    struct json_object *from = get_array(rd, root, "experiments", LAB_EXPERIMENTS_MAX, &count);
    r->experiments = take(rd, count * sizeof(*r->experiments));
    for (uint32_t i = 0; i < count && rd->result == 0; i++)
        get_experiment(rd, json_object_array_get_idx(from, i), &r->experiments[i]);
    r->experiment_count = rd->result == 0 ? count : 0;
}

int lab_result_read(const char *path, struct lab_result *ret_result, char *ret_text,
                    size_t text_cap)
{
    struct lab_result r = {.version = NULL};
    struct reader rd = {.r = &r, .text = ret_text, .text_cap = text_cap};
    struct stat st;
    if (stat(path, &st) < 0) {
        int result = -errno;
        snprintf(ret_text, text_cap, "%s", err_text(result));
        return result;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX) {
        snprintf(ret_text, text_cap, "not a result of postern-lab");
        return -EINVAL;
    }
    struct json_object *root = json_object_from_file(path);
    if (root == NULL) {
        snprintf(ret_text, text_cap, "not a result of postern-lab, or it cannot be read");
        return -EINVAL;
    }
    get_result(&rd, root);
    json_object_put(root);
    if (rd.result < 0)
        lab_result_free(&r);
    else
        *ret_result = r;
    return rd.result;
}
