/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_text.c - owns the tables that a person reads at the end of a run.
 *
 * One table an experiment, one row a point. Copies are per message: "first try" is what its failure
 * costs (DUP-4..11), "all tries" what there is too much in the end. Theory and each mode stand side
 * by side; a value that the theory does not allow has a "!" behind it and a line below.
 */
#include "lab/result.h"
#include "lab/result_table.h"
#include "lab/result_tell.h"
#include "load/show.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_COLUMNS 100

/* --- the table -------------------------------------------------------------------------------- */

#define SHOWN_CELL_BYTES_MAX (2 * LAB_CELL_BYTES_MAX + 16)

/* "0.360 +-0.027 (+0.006) !": the value, how far it is from the theory's, whether that is too far.
 */
static void cell_shown(const struct lab_cell *c, char ret_text[SHOWN_CELL_BYTES_MAX])
{
    char off[LAB_CELL_BYTES_MAX] = "";
    if (c->has_deviation && fabs(c->deviation) > 5e-7)
        lab_put_value(off, c->deviation);
    bool has_off = off[0] != '\0';
    snprintf(ret_text, SHOWN_CELL_BYTES_MAX, "%s%s%s%s%s%s", c->text, has_off ? " (" : "",
             has_off && c->deviation > 0 ? "+" : "", off, has_off ? ")" : "",
             c->is_off ? " !" : "");
}

static size_t cell_width(const struct lab_cell *c)
{
    char text[SHOWN_CELL_BYTES_MAX];
    cell_shown(c, text);
    return strlen(text);
}

/* Octets are columns: axis values are words of the file, mostly ASCII. */
static void widths_set(const struct lab_table *t, size_t *widths)
{
    for (uint32_t c = 0; c < t->column_count; c++)
        widths[c] = strlen(t->heads[c]);
    for (size_t i = 0; i < (size_t)t->row_count * t->column_count; i++) {
        size_t *width = &widths[i % t->column_count];
        *width = size_max(*width, cell_width(&t->cells[i]));
    }
    for (uint32_t c = 0; c < t->column_count; c++) {
        if (t->groups[c][0] == '\0')
            continue;
        size_t span = widths[c];
        uint32_t last = c;
        while (last + 1 < t->column_count && strcmp(t->groups[last + 1], LAB_GROUP_SAME) == 0)
            span += 2 + widths[++last];
        if (strlen(t->groups[c]) > span)
            widths[last] += strlen(t->groups[c]) - span;
    }
}

static void print_groups(const struct lab_table *t, const size_t *widths, FILE *out)
{
    bool has_any = false;
    for (uint32_t c = 0; c < t->column_count; c++)
        has_any |= t->groups[c][0] != '\0';
    if (!has_any)
        return;
    for (uint32_t c = 0; c < t->column_count;) {
        size_t span = widths[c];
        uint32_t first = c++;
        while (c < t->column_count && strcmp(t->groups[c], LAB_GROUP_SAME) == 0)
            span += 2 + widths[c++];
        fprintf(out, "%s%-*s", first > 0 ? "  " : "", (int)span, t->groups[first]);
    }
    fputc('\n', out);
}

static void print_cell(const struct lab_table *t, const size_t *widths, uint32_t column,
                       const char *text, FILE *out)
{
    bool is_last = column + 1 == t->column_count;
    fputs(column > 0 ? "  " : "", out);
    if (t->is_left[column])
        fprintf(out, "%-*s", is_last ? 0 : (int)widths[column], text);
    else
        fprintf(out, "%*s", (int)widths[column], text);
    fputs(is_last ? "\n" : "", out);
}

static void print_table(const struct lab_result *r, const struct lab_result_experiment *e,
                        FILE *out)
{
    struct lab_table t = {.cells = NULL};
    size_t widths[LAB_COLUMNS_MAX];
    if (lab_table_make(&t, r, e) < 0) {
        fputs("(no memory for the table)\n", out);
        return;
    }
    widths_set(&t, widths);
    print_groups(&t, widths, out);
    for (uint32_t c = 0; c < t.column_count; c++)
        print_cell(&t, widths, c, t.heads[c], out);
    for (size_t i = 0; i < (size_t)t.row_count * t.column_count; i++) {
        char text[SHOWN_CELL_BYTES_MAX];
        cell_shown(&t.cells[i], text);
        print_cell(&t, widths, (uint32_t)(i % t.column_count), text, out);
    }
    lab_table_free(&t);
}

/* --- of an experiment ------------------------------------------------------------------------- */

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
            lab_tell_point_name(e, i, out);
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
    lab_tell_projection(r, e, out);
    lab_tell_not_run(r, e, out);
    lab_tell_precision(r, e, out);
    bool has_theory = lab_tell_why_none(e, out);
    if (lab_tell_deviations(r, e, out) == 0 && has_theory)
        fputs("Nothing contradicts the theory.\n", out);
    print_ladders(r, e, out);
}

void lab_result_text(const struct lab_result *r, FILE *out)
{
    fputs(
        "Copies a message. First try: what its failure costs (committed, not credited). All "
        "tries: what\nthere is too much in the end. +- is half of the 95 % confidence interval "
        "(Student's t); of rare\nevents [ ] is the interval (gamma, Fay and Feuer 1997; shares of "
        "messages: Clopper and Pearson 1934).\nIn ( ) is the deviation from the theory.\n",
        out);
    for (uint32_t m = 0; m < r->mode_count; m++)
        if (r->modes[m].note[0] != '\0')
            fprintf(out, "%s: %s\n", r->modes[m].name, r->modes[m].note);
    for (uint32_t i = 0; i < r->experiment_count; i++)
        print_experiment(r, &r->experiments[i], out);
}
