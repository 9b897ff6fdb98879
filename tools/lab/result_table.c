/* SPDX-License-Identifier: Apache-2.0 */
/* result_table.c - owns which columns the table of an experiment has, and what stands in its cells.
 */
#include "lab/result_table.h"
#include "load/show.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void lab_put_value(char *to, double value)
{
    if (value == 0)
        snprintf(to, LAB_CELL_BYTES_MAX, "0");
    else if (fabs(value - round(value)) < 5e-7 && fabs(value) < 1e6)
        snprintf(to, LAB_CELL_BYTES_MAX, "%.0f", value);
    else if (fabs(value) < 0.001)
        snprintf(to, LAB_CELL_BYTES_MAX, "%.2e", value);
    else
        snprintf(to, LAB_CELL_BYTES_MAX, "%.*f", fabs(value) < 10 ? 3 : 1, value);
}

/* "0.354 +-0.012"; where it is not as far on both sides, "0.003 [0.001, 0.009]". */
static void put_estimate(char *to, const struct lab_estimate *e)
{
    char value[LAB_CELL_BYTES_MAX], half[LAB_CELL_BYTES_MAX] = "", high[LAB_CELL_BYTES_MAX];
    lab_put_value(value, e->mean);
    if (e->has_interval && (e->method == LAB_METHOD_RARE || e->method == LAB_METHOD_SHARE)) {
        lab_put_value(half, e->low);
        lab_put_value(high, e->high);
        snprintf(to, LAB_CELL_BYTES_MAX, "%.12s [%.10s, %.10s]", value, half, high);
        return;
    }
    if (e->has_interval && e->high > e->low)
        lab_put_value(half, (e->high - e->low) / 2);
    snprintf(to, LAB_CELL_BYTES_MAX, "%.12s%s%.12s", value, half[0] != '\0' ? " +-" : "", half);
}

static void put_seconds(char *to, double s)
{
    struct shown shown = show_ns((uint64_t)(s * 1e9 + 0.5));
    snprintf(to, LAB_CELL_BYTES_MAX, "%s", s > 0 ? shown.text : "-");
}

static uint32_t column_add(struct lab_table *t, const char *group, const char *head, bool is_left)
{
    uint32_t idx = t->column_count++;
    ASSERT(idx < LAB_COLUMNS_MAX);
    snprintf(t->groups[idx], LAB_CELL_BYTES_MAX, "%s", group);
    snprintf(t->heads[idx], LAB_CELL_BYTES_MAX, "%s", head);
    t->is_left[idx] = is_left;
    return idx;
}

static struct lab_cell *cell(const struct lab_table *t, uint32_t row, uint32_t column)
{
    return &t->cells[(size_t)row * t->column_count + column];
}

/* The last part of an axis' name, if no other axis has the same. */
const char *lab_axis_short(const struct lab_result_experiment *e, uint32_t axis)
{
    const char *name = e->axes[axis].name;
    const char *dot = strrchr(name, '.');
    for (uint32_t a = 0; dot != NULL && a < e->axis_count; a++) {
        const char *other = strrchr(e->axes[a].name, '.');
        if (a != axis && strcmp(other != NULL ? other + 1 : e->axes[a].name, dot + 1) == 0)
            return name;
    }
    return dot != NULL ? dot + 1 : name;
}

bool lab_experiment_has(const struct lab_result_experiment *e, uint32_t mode)
{
    struct lab_summary s;
    return e->point_count > 0 && lab_summary_make(&e->points[0], mode, &s);
}

enum group { /* of columns, one for each mode */
             GROUP_FIRST,
             GROUP_TOTAL,
             GROUP_LIVELOCK,
             GROUP_LOST,
             GROUP_TRIES,
             GROUP_SETTLED,
             GROUP_OVER,
             GROUP_COUNT
};

/* Whether a column would say anything. */
struct wanted {
    bool theory, total_theory;
    bool groups[GROUP_COUNT];
};

static struct wanted wanted_of(const struct lab_result *r, const struct lab_result_experiment *e)
{
    struct wanted w = {
        .groups = {[GROUP_FIRST] = true, [GROUP_TOTAL] = true, [GROUP_SETTLED] = true}};
    for (uint32_t i = 0; i < e->point_count; i++) {
        const struct lab_result_point *p = &e->points[i];
        w.theory |= p->theory.why_none == NULL;
        w.total_theory |= p->theory.why_none == NULL && p->theory.has_total;
        for (uint32_t m = 0; m < r->mode_count; m++) {
            struct lab_summary s;
            if (!lab_summary_make(p, m, &s))
                continue;
            w.groups[GROUP_LOST] |= s.lost.mean > 0;
            w.groups[GROUP_LIVELOCK] |= s.livelock.mean > 0;
        }
        /* Over time: how hard a storm blows, and how long. */
        bool has_series = p->run_count > 0 && p->runs[0].series.count > 0;
        w.groups[GROUP_TRIES] |= has_series;
        w.groups[GROUP_OVER] |= has_series;
    }
    return w;
}

static bool has_theory(struct wanted w, unsigned group)
{
    return (group == GROUP_FIRST && w.theory) || (group == GROUP_TOTAL && w.total_theory);
}

static void columns_make(struct lab_table *t, const struct lab_result *r,
                         const struct lab_result_experiment *e, struct wanted w)
{
    static const char *const groups[GROUP_COUNT] = {"first try", "all tries",   "livelock",  "lost",
                                                    "tries",     "settled p50", "over after"};
    for (uint32_t a = 0; a < e->axis_count; a++)
        column_add(t, "", lab_axis_short(e, a), true);
    for (unsigned g = 0; g < GROUP_COUNT; g++) {
        bool is_first = true;
        if (!w.groups[g])
            continue;
        if (has_theory(w, g)) {
            column_add(t, groups[g], "theory", false);
            is_first = false;
        }
        for (uint32_t m = 0; m < r->mode_count; m++) {
            if (!lab_experiment_has(e, m))
                continue;
            column_add(t, is_first ? groups[g] : "\"", r->modes[m].name, false);
            is_first = false;
        }
    }
    if (w.theory)
        column_add(t, "", "rule", true);
}

static void theory_cells(const struct lab_theory *t, bool is_total, char *to)
{
    if (t->why_none != NULL || (is_total && !t->has_total))
        snprintf(to, LAB_CELL_BYTES_MAX, "-");
    else
        lab_put_value(to, is_total ? t->copies_total : t->copies_first);
}

static void deviation_put(struct lab_cell *to, const struct lab_theory *t, bool is_known, double of)
{
    to->has_deviation = t->why_none == NULL && is_known;
    to->deviation = of;
}

static void measured_cell(const struct lab_summary *s, const struct lab_theory *t, enum group g,
                          struct lab_cell *to)
{
    switch (g) {
    case GROUP_FIRST:
        put_estimate(to->text, &s->copies_first);
        to->is_off = s->is_off_first;
        deviation_put(to, t, true, s->copies_first.mean - t->copies_first);
        return;
    case GROUP_TOTAL:
        put_estimate(to->text, &s->copies_total);
        to->is_off = s->is_off_total;
        deviation_put(to, t, t->has_total, s->copies_total.mean - t->copies_total);
        return;
    case GROUP_LIVELOCK:
        put_estimate(to->text, &s->livelock);
        to->is_off = s->is_off_livelock;
        return;
    case GROUP_LOST:
        put_estimate(to->text, &s->lost);
        return;
    case GROUP_TRIES:
        put_estimate(to->text, &s->tries);
        return;
    case GROUP_SETTLED:
        put_seconds(to->text, s->settled_p50_s.mean);
        return;
    case GROUP_OVER:
        put_seconds(to->text, s->model_s.mean);
        return;
    case GROUP_COUNT:
        break;
    }
    UNREACHABLE();
}

static void row_fill(struct lab_table *t, uint32_t row, const struct lab_result *r,
                     const struct lab_result_experiment *e, struct wanted w)
{
    const struct lab_result_point *p = &e->points[row];
    uint32_t c = 0;
    for (uint32_t a = 0; a < e->axis_count; a++)
        snprintf(cell(t, row, c++)->text, LAB_CELL_BYTES_MAX, "%.39s",
                 e->axes[a].values[p->at[a]].text);
    for (unsigned g = 0; g < GROUP_COUNT; g++) {
        if (!w.groups[g])
            continue;
        if (has_theory(w, g))
            theory_cells(&p->theory, g == GROUP_TOTAL, cell(t, row, c++)->text);
        for (uint32_t m = 0; m < r->mode_count; m++) {
            struct lab_summary s;
            if (!lab_experiment_has(e, m))
                continue;
            struct lab_cell *to = cell(t, row, c++);
            if (lab_summary_make(p, m, &s))
                measured_cell(&s, &p->theory, (enum group)g, to);
            else
                snprintf(to->text, sizeof(to->text), "-");
        }
    }
    if (w.theory)
        snprintf(cell(t, row, c++)->text, LAB_CELL_BYTES_MAX, "%s",
                 p->theory.why_none != NULL ? "-" : p->theory.rule);
    ASSERT(c == t->column_count);
}

int lab_table_make(struct lab_table *t, const struct lab_result *r,
                   const struct lab_result_experiment *e)
{
    struct wanted w = wanted_of(r, e);
    t->column_count = 0;
    t->row_count = e->point_count;
    columns_make(t, r, e, w);
    t->cells = calloc((size_t)t->row_count * t->column_count + 1, sizeof(*t->cells));
    if (t->cells == NULL)
        return -ENOMEM;
    for (uint32_t row = 0; row < t->row_count; row++)
        row_fill(t, row, r, e, w);
    return 0;
}

void lab_table_free(struct lab_table *t)
{
    free(t->cells);
    t->cells = NULL;
}
