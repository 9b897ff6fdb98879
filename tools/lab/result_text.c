/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_text.c - owns the tables that a person reads at the end of a run.
 *
 * One table an experiment, one row a point. Copies are per message: "first try" is what its failure
 * costs (DUP-4..11), "all tries" what there is too much in the end. Theory and each mode stand side
 * by side; a value that the theory does not allow has a "!" behind it and a line below.
 */
#include "lab/result.h"
#include "load/show.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX (LAB_AXES_MAX + 4 + 8 * LAB_RESULT_MODES_MAX)
#define CELL_BYTES_MAX 40
#define TEXT_COLUMNS 100

struct table {
    uint32_t column_count;
    size_t widths[COLUMNS_MAX];
    bool is_left[COLUMNS_MAX];
    char groups[COLUMNS_MAX][CELL_BYTES_MAX]; /* above the heads; "": as the one before */
    char heads[COLUMNS_MAX][CELL_BYTES_MAX];
    uint32_t row_count;
    char (*cells)[CELL_BYTES_MAX]; /* row by row */
};

/* --- numbers ------------------------------------------------------------------------------- */

static void put_value(char *to, double value)
{
    if (value == 0)
        snprintf(to, CELL_BYTES_MAX, "0");
    else if (fabs(value - round(value)) < 5e-7 && fabs(value) < 1e6)
        snprintf(to, CELL_BYTES_MAX, "%.0f", value);
    else if (fabs(value) < 0.001)
        snprintf(to, CELL_BYTES_MAX, "%.2e", value);
    else
        snprintf(to, CELL_BYTES_MAX, "%.*f", fabs(value) < 10 ? 3 : 1, value);
}

/* "0.354 +-0.012 !" */
static void put_estimate(char *to, const struct lab_estimate *e, bool is_off)
{
    char value[CELL_BYTES_MAX], half[CELL_BYTES_MAX] = "";
    put_value(value, e->mean);
    if (e->has_interval && e->high > e->low)
        put_value(half, (e->high - e->low) / 2);
    snprintf(to, CELL_BYTES_MAX, "%.12s%s%.12s%s", value, half[0] != '\0' ? " +-" : "", half,
             is_off ? " !" : "");
}

static void put_seconds(char *to, double s)
{
    struct shown shown = show_ns((uint64_t)(s * 1e9 + 0.5));
    snprintf(to, CELL_BYTES_MAX, "%s", s > 0 ? shown.text : "-");
}

/* --- the table ----------------------------------------------------------------------------- */

static uint32_t column_add(struct table *t, const char *group, const char *head, bool is_left)
{
    uint32_t idx = t->column_count++;
    ASSERT(idx < COLUMNS_MAX);
    snprintf(t->groups[idx], CELL_BYTES_MAX, "%s", group);
    snprintf(t->heads[idx], CELL_BYTES_MAX, "%s", head);
    t->is_left[idx] = is_left;
    t->widths[idx] = strlen(t->heads[idx]);
    return idx;
}

static char *cell(const struct table *t, uint32_t row, uint32_t column)
{
    return t->cells[(size_t)row * t->column_count + column];
}

/* Octets are columns: axis values are words of the file, mostly ASCII. */
static void widths_set(struct table *t)
{
    for (uint32_t row = 0; row < t->row_count; row++)
        for (uint32_t c = 0; c < t->column_count; c++)
            t->widths[c] = size_max(t->widths[c], strlen(cell(t, row, c)));
    for (uint32_t c = 0; c < t->column_count; c++) {
        if (t->groups[c][0] == '\0')
            continue;
        size_t span = t->widths[c];
        uint32_t last = c;
        while (last + 1 < t->column_count && strcmp(t->groups[last + 1], "\"") == 0)
            span += 2 + t->widths[++last];
        if (strlen(t->groups[c]) > span)
            t->widths[last] += strlen(t->groups[c]) - span;
    }
}

static void print_groups(const struct table *t, FILE *out)
{
    bool has_any = false;
    for (uint32_t c = 0; c < t->column_count; c++)
        has_any |= t->groups[c][0] != '\0';
    if (!has_any)
        return;
    for (uint32_t c = 0; c < t->column_count;) {
        size_t span = t->widths[c];
        uint32_t first = c++;
        while (c < t->column_count && strcmp(t->groups[c], "\"") == 0)
            span += 2 + t->widths[c++];
        fprintf(out, "%s%-*s", first > 0 ? "  " : "", (int)span, t->groups[first]);
    }
    fputc('\n', out);
}

static void print_row(const struct table *t, char (*cells)[CELL_BYTES_MAX], FILE *out)
{
    for (uint32_t c = 0; c < t->column_count; c++) {
        bool is_last = c + 1 == t->column_count;
        fputs(c > 0 ? "  " : "", out);
        if (t->is_left[c])
            fprintf(out, "%-*s", is_last ? 0 : (int)t->widths[c], cells[c]);
        else
            fprintf(out, "%*s", (int)t->widths[c], cells[c]);
    }
    fputc('\n', out);
}

/* --- of an experiment ---------------------------------------------------------------------- */

/* The last part of an axis' name, if no other axis has the same. */
static const char *short_name(const struct lab_result_experiment *e, uint32_t axis)
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

static bool has_mode(const struct lab_result_experiment *e, uint32_t mode)
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

static void columns_make(struct table *t, const struct lab_result *r,
                         const struct lab_result_experiment *e, struct wanted w)
{
    static const char *const groups[GROUP_COUNT] = {"first try", "all tries",   "livelock",  "lost",
                                                    "tries",     "settled p50", "over after"};
    for (uint32_t a = 0; a < e->axis_count; a++)
        column_add(t, "", short_name(e, a), true);
    for (unsigned g = 0; g < GROUP_COUNT; g++) {
        bool is_first = true;
        if (!w.groups[g])
            continue;
        if (has_theory(w, g)) {
            column_add(t, groups[g], "theory", false);
            is_first = false;
        }
        for (uint32_t m = 0; m < r->mode_count; m++) {
            if (!has_mode(e, m))
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
        snprintf(to, CELL_BYTES_MAX, "-");
    else
        put_value(to, is_total ? t->copies_total : t->copies_first);
}

static void measured_cell(const struct lab_summary *s, enum group g, char *to)
{
    switch (g) {
    case GROUP_FIRST:
        put_estimate(to, &s->copies_first, s->is_off_first);
        return;
    case GROUP_TOTAL:
        put_estimate(to, &s->copies_total, s->is_off_total);
        return;
    case GROUP_LIVELOCK:
        put_estimate(to, &s->livelock, s->is_off_livelock);
        return;
    case GROUP_LOST:
        put_estimate(to, &s->lost, false);
        return;
    case GROUP_TRIES:
        put_estimate(to, &s->tries, false);
        return;
    case GROUP_SETTLED:
        put_seconds(to, s->settled_p50_s.mean);
        return;
    case GROUP_OVER:
        put_seconds(to, s->model_s.mean);
        return;
    case GROUP_COUNT:
        break;
    }
    UNREACHABLE();
}

static void row_fill(struct table *t, uint32_t row, const struct lab_result *r,
                     const struct lab_result_experiment *e, struct wanted w)
{
    const struct lab_result_point *p = &e->points[row];
    uint32_t c = 0;
    for (uint32_t a = 0; a < e->axis_count; a++)
        snprintf(cell(t, row, c++), CELL_BYTES_MAX, "%.39s", e->axes[a].values[p->at[a]].text);
    for (unsigned g = 0; g < GROUP_COUNT; g++) {
        if (!w.groups[g])
            continue;
        if (has_theory(w, g))
            theory_cells(&p->theory, g == GROUP_TOTAL, cell(t, row, c++));
        for (uint32_t m = 0; m < r->mode_count; m++) {
            struct lab_summary s;
            if (!has_mode(e, m))
                continue;
            char *to = cell(t, row, c++);
            if (lab_summary_make(p, m, &s))
                measured_cell(&s, (enum group)g, to);
            else
                snprintf(to, CELL_BYTES_MAX, "-");
        }
    }
    if (w.theory)
        snprintf(cell(t, row, c++), CELL_BYTES_MAX, "%s",
                 p->theory.why_none != NULL ? "-" : p->theory.rule);
    ASSERT(c == t->column_count);
}

static void print_wrapped(const char *text, FILE *out)
{
    size_t column = 0;
    while (*text != '\0') {
        text += strspn(text, " \n\t");
        size_t len = strcspn(text, " \n\t");
        if (len == 0)
            break;
        if (column > 0 && column + 1 + len > TEXT_COLUMNS) {
            fputc('\n', out);
            column = 0;
        }
        fprintf(out, "%s%.*s", column > 0 ? " " : "", (int)len, text);
        column += len + (column > 0);
        text += len;
    }
    if (column > 0)
        fputc('\n', out);
}

static void print_point_name(const struct lab_result_experiment *e, uint32_t idx, FILE *out)
{
    fprintf(out, "point %u", idx);
    for (uint32_t a = 0; a < e->axis_count; a++)
        fprintf(out, "%s%s = %s", a == 0 ? " (" : ", ", e->axes[a].name,
                e->axes[a].values[e->points[idx].at[a]].text);
    fputs(e->axis_count > 0 ? ")" : "", out);
}

static void print_off(const struct lab_result *r, const struct lab_result_experiment *e,
                      uint32_t idx, uint32_t mode, const struct lab_summary *s, FILE *out)
{
    const struct lab_result_point *p = &e->points[idx];
    char measured[CELL_BYTES_MAX], theory[CELL_BYTES_MAX], bound[CELL_BYTES_MAX];
    bool is_total = !s->is_off_first && s->is_off_total;
    fputs("! ", out);
    print_point_name(e, idx, out);
    if (!s->is_off_first && !s->is_off_total) {
        put_value(measured, s->livelock.mean);
        fprintf(out, ": %s of the messages never got on by %s; by theory %s\n", measured,
                r->modes[mode].name, p->theory.is_livelock ? "all" : "none");
        return;
    }
    put_value(measured, is_total ? s->copies_total.mean : s->copies_first.mean);
    put_value(theory, is_total ? p->theory.copies_total : p->theory.copies_first);
    put_value(bound, is_total ? s->bound_total : s->bound_first);
    fprintf(out, ": %s copies a message %s by %s, %s by theory (%s); chance explains %s\n",
            measured, is_total ? "in all tries" : "of the first try", r->modes[mode].name, theory,
            p->theory.rule, bound);
}

static uint32_t print_deviations(const struct lab_result *r, const struct lab_result_experiment *e,
                                 FILE *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->point_count; i++) {
        for (uint32_t m = 0; m < r->mode_count; m++) {
            struct lab_summary s;
            if (!lab_summary_make(&e->points[i], m, &s))
                continue;
            if (!s.is_off_first && !s.is_off_total && !s.is_off_livelock)
                continue;
            print_off(r, e, i, m, &s, out);
            count++;
        }
    }
    return count;
}

static void print_fixed(const struct lab_result_experiment *e, FILE *out)
{
    size_t column = 0;
    for (uint32_t i = 0; i < e->fixed_count; i++) {
        size_t len = strlen(e->fixed[i].name) + strlen(e->fixed[i].text) + 3;
        if (column > 0 && column + 2 + len > TEXT_COLUMNS) {
            fputs(",\n", out);
            column = 0;
        }
        fprintf(out, "%s%s = %s", column > 0 ? ", " : "", e->fixed[i].name, e->fixed[i].text);
        column += len + (column > 0 ? 2 : 0);
    }
    if (column > 0)
        fputc('\n', out);
}

/* False: there is none at all. */
static bool print_why_none(const struct lab_result_experiment *e, FILE *out)
{
    uint32_t count = 0;
    const char *first = NULL;
    for (uint32_t i = 0; i < e->point_count; i++) {
        if (e->points[i].theory.why_none == NULL)
            continue;
        first = first == NULL ? e->points[i].theory.why_none : first;
        count++;
    }
    if (count == e->point_count)
        fprintf(out, "No closed form: %s.\n", first);
    else if (count > 0)
        fprintf(out, "No closed form for %u of %u points (%s).\n", count, e->point_count, first);
    return count < e->point_count;
}

/* The same reason of many points is told once. */
static void print_not_run(const struct lab_result *r, const struct lab_result_experiment *e,
                          FILE *out)
{
    for (uint32_t m = 0; m < r->mode_count; m++) {
        for (uint32_t i = 0; i < e->point_count; i++) {
            const char *reason = e->points[i].not_run[m];
            uint32_t count = 0, before = 0;
            for (uint32_t k = 0; reason != NULL && k < e->point_count; k++) {
                const char *other = e->points[k].not_run[m];
                bool is_same = other != NULL && strcmp(reason, other) == 0;
                count += is_same;
                before += is_same && k < i;
            }
            if (count > 0 && before == 0)
                fprintf(out, "Not run %s, %u of %u points: %s.\n", r->modes[m].name, count,
                        e->point_count, reason);
        }
    }
}

/* How exactly times were kept, and what that is in real time. */
static void print_precision(const struct lab_result *r, const struct lab_result_experiment *e,
                            FILE *out)
{
    for (uint32_t m = 0; m < r->mode_count; m++) {
        clock_ns worst = 0;
        bool has_run = false;
        for (uint32_t i = 0; i < e->point_count; i++)
            for (uint32_t k = 0; k < e->points[i].run_count; k++)
                if (e->points[i].runs[k].mode == m) {
                    worst = u64_max(worst, e->points[i].runs[k].late_ns);
                    has_run = true;
                }
        if (!has_run || r->modes[m].precision_ns == 0)
            continue;
        struct shown scale = show_ns(e->time_scale_ns);
        struct shown late = show_seconds((double)worst / 1e9);
        struct shown precision = show_seconds((double)r->modes[m].precision_ns / 1e9);
        fprintf(out,
                "%s: a second took %s. The programs were late by up to %s of the model; what is "
                "due\nnearer than %s to a limit may be on either side.\n",
                r->modes[m].name, scale.text, late.text, precision.text);
    }
}

/* Means times messages; the interval too, so a few seeds of a rare event tell that they do. */
static void print_projection(const struct lab_result *r, const struct lab_result_experiment *e,
                             FILE *out)
{
    static const struct {
        const char *name;
        size_t offset;
    } figures[] = {
        {"tries", offsetof(struct lab_summary, tries)},
        {"copies too many", offsetof(struct lab_summary, copies_total)},
        {"lost", offsetof(struct lab_summary, lost)},
    };
    if (e->projected == 0)
        return;
    fprintf(out, "Projected to %s messages:\n", show_count(e->projected).text);
    for (uint32_t i = 0; i < e->point_count; i++) {
        for (uint32_t m = 0; m < r->mode_count; m++) {
            struct lab_summary s;
            if (!lab_summary_make(&e->points[i], m, &s))
                continue;
            fputs("  ", out);
            print_point_name(e, i, out);
            fprintf(out, ", %s:", r->modes[m].name);
            for (size_t f = 0; f < ARRAY_COUNT(figures); f++) {
                const struct lab_estimate *v = (const void *)((const char *)&s + figures[f].offset);
                double times = (double)e->projected;
                fprintf(out, "%s %s %s", f > 0 ? "," : "",
                        show_count((uint64_t)(v->mean * times + 0.5)).text, figures[f].name);
                if (v->has_interval && v->high > v->low)
                    fprintf(out, " (+- %s)",
                            show_count((uint64_t)((v->high - v->low) / 2 * times + 0.5)).text);
            }
            fputc('\n', out);
        }
    }
}

static void print_table(const struct lab_result *r, const struct lab_result_experiment *e,
                        FILE *out)
{
    struct table t = {.row_count = e->point_count};
    struct wanted w = wanted_of(r, e);
    columns_make(&t, r, e, w);
    t.cells = calloc((size_t)t.row_count * t.column_count + 1, sizeof(*t.cells));
    if (t.cells == NULL) {
        fputs("(no memory for the table)\n", out);
        return;
    }
    for (uint32_t row = 0; row < t.row_count; row++)
        row_fill(&t, row, r, e, w);
    widths_set(&t);
    print_groups(&t, out);
    print_row(&t, t.heads, out);
    for (uint32_t row = 0; row < t.row_count; row++)
        print_row(&t, t.cells + (size_t)row * t.column_count, out);
    free(t.cells);
}

/* --- ladders ------------------------------------------------------------------------------- */

#define SIDE_COLUMNS 34

static void print_rung(const struct rung *g, FILE *out)
{
    struct shown at = show_seconds((double)g->at / 1e9);
    bool is_lost = g->until == CLOCK_NEVER;
    fprintf(out, "%14s  ", at.text);
    if (g->who == LADDER_CLIENT)
        fprintf(out, "%s\n", g->text);
    else if (g->who == LADDER_SERVER)
        fprintf(out, "%*s  %s\n", 2 * SIDE_COLUMNS, "", g->text);
    else if (g->way == LADDER_NONE)
        fprintf(out, "%*s%s\n", SIDE_COLUMNS, "", g->text);
    else
        fprintf(out, "%*s%s %.60s %s\n", SIDE_COLUMNS / 2, "",
                g->way == LADDER_TO_SERVER ? "--" : (is_lost ? "x-" : "<-"), g->text,
                g->way == LADDER_TO_CLIENT ? "--" : (is_lost ? "-x" : "->"));
}

static void print_ladders(const struct lab_result *r, const struct lab_result_experiment *e,
                          FILE *out)
{
    for (uint32_t i = 0; i < e->point_count; i++) {
        for (uint32_t k = 0; k < e->points[i].run_count; k++) {
            const struct lab_run *run = &e->points[i].runs[k];
            if (run->rung_count == 0)
                continue;
            fprintf(out, "\nMessage %llu, ", (unsigned long long)run->ladder_seq);
            print_point_name(e, i, out);
            fprintf(out, ", %s, seed %llu\n%16s%-*s%-*s  server\n", r->modes[run->mode].name,
                    (unsigned long long)run->seed, "", SIDE_COLUMNS, "client", SIDE_COLUMNS,
                    "wire");
            for (uint32_t g = 0; g < run->rung_count; g++) {
                bool is_new_try = g > 0 && run->rungs[g].attempt != run->rungs[g - 1].attempt;
                if (is_new_try && run->rungs[g].attempt > run->rungs[g - 1].attempt)
                    fprintf(out, "%16stry %u\n", "", run->rungs[g].attempt + 1);
                print_rung(&run->rungs[g], out);
            }
            if (run->rungs_left_out > 0)
                fprintf(out, "(%llu more)\n", (unsigned long long)run->rungs_left_out);
        }
    }
}

static void print_experiment(const struct lab_result *r, const struct lab_result_experiment *e,
                             FILE *out)
{
    fprintf(out, "\n== %s: ", e->name);
    show_safe(out, e->title);
    fputs(" ==\n", out);
    print_wrapped(e->description, out);
    print_fixed(e, out);
    fputc('\n', out);
    print_table(r, e, out);
    fputc('\n', out);
    print_projection(r, e, out);
    print_not_run(r, e, out);
    print_precision(r, e, out);
    bool has_theory = print_why_none(e, out);
    if (print_deviations(r, e, out) == 0 && has_theory)
        fputs("Nothing contradicts the theory.\n", out);
    print_ladders(r, e, out);
}

void lab_result_text(const struct lab_result *r, FILE *out)
{
    fputs("Copies a message. First try: what its failure costs (committed, not credited). All "
          "tries: what\nthere is too much in the end. +- is the 95 % confidence interval over the "
          "seeds.\n",
          out);
    for (uint32_t m = 0; m < r->mode_count; m++)
        if (r->modes[m].note[0] != '\0')
            fprintf(out, "%s: %s\n", r->modes[m].name, r->modes[m].note);
    for (uint32_t i = 0; i < r->experiment_count; i++)
        print_experiment(r, &r->experiments[i], out);
}
