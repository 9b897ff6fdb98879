/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_html.c - a result as a page: what was asked, whether anything contradicts the theory, and
 * for each experiment its pictures, its table and the ladders that were asked for.
 *
 * Words of experiment files, of results that were read and of the wire all go through page_text().
 */
#include "lab/ladder_svg.h"
#include "lab/result.h"
#include "lab/result_chart.h"
#include "lab/result_series.h"
#include "lab/result_table.h"
#include "lab/result_tell.h"
#include "load/page.h"
#include "load/show.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_OPEN 30 /* a longer table is folded */

/* --- the top ---------------------------------------------------------------------------------- */

static void put_tile(FILE *out, const char *value, const char *name, const char *note)
{
    fprintf(out, "<li><span>%s</span><b>%s</b><small>%s</small></li>\n", name, value, note);
}

struct totals {
    uint64_t points, runs, messages, tries, copies;
    double model_s, real_s;
};

static struct totals totals_of(const struct lab_result *r)
{
    struct totals t = {.points = 0};
    for (uint32_t i = 0; i < r->experiment_count; i++) {
        const struct lab_result_experiment *e = &r->experiments[i];
        t.points += e->point_count;
        for (uint32_t p = 0; p < e->point_count; p++) {
            for (uint32_t k = 0; k < e->points[p].run_count; k++) {
                const struct lab_run *run = &e->points[p].runs[k];
                t.runs++;
                t.messages += run->numbers.messages;
                t.tries += run->numbers.tries;
                t.copies += run->numbers.copies_excess;
                t.model_s += (double)run->numbers.model_ns / 1e9;
                t.real_s += run->real_s;
            }
        }
    }
    return t;
}

static void put_tiles(const struct lab_result *r, uint32_t deviations, FILE *out)
{
    struct totals t = totals_of(r);
    char note[80], days[40];
    fputs("<ul class=\"tiles\">\n", out);
    snprintf(note, sizeof(note), "in %u experiment%s", r->experiment_count,
             r->experiment_count == 1 ? "" : "s");
    put_tile(out, show_count(t.points).text, "points", note);
    snprintf(note, sizeof(note), "in %s run%s", show_count(t.runs).text, t.runs == 1 ? "" : "s");
    put_tile(out, show_count(t.messages).text, "messages", note);
    snprintf(days, sizeof(days), "%s",
             t.model_s < 86400000 ? show_rate(t.model_s / 86400).text
                                  : show_count((uint64_t)(t.model_s / 86400)).text);
    snprintf(note, sizeof(note), "in %s of work", show_seconds(t.real_s).text);
    put_tile(out, days, "days of model time", note);
    snprintf(note, sizeof(note), "of %s tries", show_count(t.tries).text);
    put_tile(out, show_count(t.copies).text, "copies too many", note);
    put_tile(out, show_count(deviations).text, "deviations from theory",
             deviations == 0 ? "beyond what chance explains" : "marked with !");
    fputs("</ul>\n", out);
}

static void put_links(const struct lab_result *r, FILE *out)
{
    if (r->experiment_count < 2)
        return;
    fputs("<nav class=\"dim\">Experiments: ", out);
    for (uint32_t i = 0; i < r->experiment_count; i++) {
        fprintf(out, "%s<a href=\"#e%u\">", i > 0 ? " &#183; " : "", i);
        page_text(out, r->experiments[i].name);
        fputs("</a>", out);
    }
    fputs("</nav>\n", out);
}

static void put_top(const struct lab_result *r, FILE *out)
{
    uint32_t deviations = lab_result_deviations(r);
    fputs("<h1>Lab result</h1>\n<p class=\"dim\">", out);
    page_text(out, r->started);
    for (uint32_t m = 0; m < r->mode_count; m++) {
        fputs(m == 0 ? " &#183; run by " : ", ", out);
        page_text(out, r->modes[m].name);
    }
    fputs("</p>\n<pre>", out);
    page_lines(out, r->command);
    fputs("</pre>\n", out);
    if (deviations > 0)
        fprintf(out,
                "<div class=\"banner bad\" role=\"alert\"><strong>%u value%s the "
                "theory</strong> by more than chance and the precision of the run explain; each is "
                "marked with ! and explained below its table.</div>\n",
                deviations, deviations == 1 ? " contradicts" : "s contradict");
    put_tiles(r, deviations, out);
    fputs("<p>Under which dialect, pacing and client is mail duplicated or lost, by theory and by "
          "measurement. Copies are counted per message. <b>First try</b>: what its failure costs, "
          "recipients that the server has committed and the client has not credited. <b>All "
          "tries</b>: copies too many when everything is settled or given up. <b>Livelock</b>: the "
          "share of messages of which no try settled anything.</p>\n",
          out);
    for (uint32_t m = 0; m < r->mode_count; m++) {
        if (r->modes[m].note[0] == '\0')
            continue;
        fputs("<p class=\"dim\"><b>", out);
        page_text(out, r->modes[m].name);
        fputs(":</b> ", out);
        page_text(out, r->modes[m].note);
        fputs("</p>\n", out);
    }
    put_links(r, out);
}

/* --- tables ----------------------------------------------------------------------------------- */

static void put_table_head(const struct lab_table *t, FILE *out)
{
    fputs("<thead><tr>", out);
    for (uint32_t c = 0; c < t->column_count;) {
        uint32_t first = c++;
        while (c < t->column_count && strcmp(t->groups[c], LAB_GROUP_SAME) == 0)
            c++;
        fprintf(out, "<th class=\"over\" colspan=\"%u\">%s</th>", c - first, t->groups[first]);
    }
    fputs("</tr><tr>", out);
    for (uint32_t c = 0; c < t->column_count; c++) {
        fprintf(out, "<th%s>", t->is_left[c] ? " class=\"l\"" : "");
        page_text(out, t->heads[c]);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n", out);
}

static void put_cell(const struct lab_table *t, const struct lab_cell *c, uint32_t column,
                     const char *axis_text, FILE *out)
{
    const char *class = c->is_off ? " class=\"off\"" : (t->is_left[column] ? " class=\"l\"" : "");
    fprintf(out, "<td%s>", class);
    page_text(out, axis_text != NULL ? axis_text : c->text);
    if (c->has_deviation && fabs(c->deviation) > 5e-7) {
        char text[LAB_CELL_BYTES_MAX];
        lab_put_value(text, c->deviation);
        fprintf(out, " <small class=\"dim\">(%s%s)</small>", c->deviation > 0 ? "+" : "", text);
    }
    fprintf(out, "%s</td>", c->is_off ? " !" : "");
}

static void put_table(const struct lab_result *r, const struct lab_result_experiment *e, FILE *out)
{
    struct lab_table t = {.cells = NULL};
    if (lab_table_make(&t, r, e) < 0) {
        fputs("<p>No memory for the table.</p>\n", out);
        return;
    }
    bool is_folded = t.row_count > ROWS_OPEN;
    if (is_folded)
        fprintf(out, "<details><summary>The table: %u rows</summary>\n", t.row_count);
    /* Not a caption, which would be as wide as the table and be cut off with it. */
    fputs(
        "<p class=\"dim\">Copies a message; +- is half of the 95 % confidence interval (Student's "
        "t), of rare events [ ] is the interval (gamma, Fay and Feuer 1997; shares of messages: "
        "Clopper and Pearson 1934); in ( ) is the deviation from the theory.</p>\n"
        "<div class=\"scroll\"><table>\n",
        out);
    put_table_head(&t, out);
    fputs("<tbody>\n", out);
    for (uint32_t row = 0; row < t.row_count; row++) {
        const uint32_t *at = e->points[row].at;
        bool is_outer = row > 0 && e->axis_count > 1 && at[0] != e->points[row - 1].at[0];
        fputs(is_outer ? "<tr class=\"outer\">" : "<tr>", out);
        for (uint32_t c = 0; c < t.column_count; c++)
            put_cell(&t, &t.cells[(size_t)row * t.column_count + c], c,
                     c < e->axis_count ? e->axes[c].values[at[c]].text : NULL, out);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
    fputs(is_folded ? "</details>\n" : "", out);
    lab_table_free(&t);
}

/* --- sentences -------------------------------------------------------------------------------- */

/* Lines of @text as the items of a list. */
static void put_lines(char *text, FILE *out)
{
    fputs("<ul class=\"facts\">\n", out);
    for (char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        *end = '\0';
        fputs("<li>", out);
        page_text(out, text);
        fputs("</li>\n", out);
    }
    fputs("</ul>\n", out);
}

static void put_told(const struct lab_result *r, const struct lab_result_experiment *e, FILE *out)
{
    char *text = NULL;
    size_t len = 0;
    FILE *told = open_memstream(&text, &len);
    if (told == NULL)
        return;
    lab_tell_projection(r, e, told);
    lab_tell_not_run(r, e, told);
    lab_tell_precision(r, e, told);
    bool has_theory = lab_tell_why_none(e, told);
    if (lab_tell_deviations(r, e, told) == 0 && has_theory)
        fputs("Nothing contradicts the theory.\n", told);
    if (fclose(told) == 0 && text[0] != '\0')
        put_lines(text, out);
    free(text);
}

static void put_fixed(const struct lab_result_experiment *e, FILE *out)
{
    if (e->fixed_count == 0)
        return;
    fputs("<ul class=\"chips\" aria-label=\"settings with one value\">", out);
    for (uint32_t i = 0; i < e->fixed_count; i++) {
        fputs("<li>", out);
        page_text(out, e->fixed[i].name);
        fputs(" = ", out);
        page_text(out, e->fixed[i].text);
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
}

/* --- ladders ---------------------------------------------------------------------------------- */

static void put_ladder(const struct lab_result *r, const struct lab_result_experiment *e,
                       uint32_t point, const struct lab_run *run, const char *id, bool is_open,
                       FILE *out)
{
    char *title = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&title, &len);
    if (to == NULL)
        return;
    fprintf(to, "Message %llu, ", (unsigned long long)run->ladder_seq);
    lab_tell_point_name(e, point, to);
    fprintf(to, ", %s, seed %llu", r->modes[run->mode].name, (unsigned long long)run->seed);
    if (fclose(to) == 0) {
        fprintf(out, "<details%s><summary>", is_open ? " open" : "");
        page_text(out, title);
        fputs("</summary>\n", out);
        ladder_svg(run->rungs, run->rung_count, id, title, out);
        if (run->rungs_left_out > 0)
            fprintf(out, "<p class=\"dim\">%s more steps were not kept.</p>\n",
                    show_count(run->rungs_left_out).text);
        ladder_list(run->rungs, run->rung_count, out);
        fputs("</details>\n", out);
    }
    free(title);
}

static void put_ladders(const struct lab_result *r, const struct lab_result_experiment *e,
                        uint32_t experiment_idx, FILE *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->point_count; i++) {
        for (uint32_t k = 0; k < e->points[i].run_count; k++) {
            char id[40];
            if (e->points[i].runs[k].rung_count == 0)
                continue;
            if (count == 0)
                fputs("<h3>What happened to one message, step by step</h3>\n", out);
            snprintf(id, sizeof(id), "l%u-%u", experiment_idx, count);
            put_ladder(r, e, i, &e->points[i].runs[k], id, count == 0, out);
            count++;
        }
    }
}

/* --- the page --------------------------------------------------------------------------------- */

static bool has_run(const struct lab_result_experiment *e, uint32_t mode)
{
    for (uint32_t i = 0; i < e->point_count; i++)
        for (uint32_t k = 0; k < e->points[i].run_count; k++)
            if (e->points[i].runs[k].mode == mode)
                return true;
    return false;
}

/* Whether points differ by it, and @mode is one to which it makes a difference. */
static bool is_about_time_scale(const struct lab_result_experiment *e, uint32_t mode)
{
    bool is_axis = false, is_real = false;
    for (uint32_t a = 0; a < e->axis_count; a++)
        is_axis |= strcmp(e->axes[a].name, "time_scale") == 0;
    for (uint32_t i = 0; i < e->point_count; i++)
        is_real |= e->points[i].precision_ns[mode] > 0;
    return is_axis && is_real;
}

/* The pictures are of the first mode that has run it; of several time scales, of the first one that
 * has any. */
static int mode_of(const struct lab_result *r, const struct lab_result_experiment *e)
{
    int mode = -1;
    for (uint32_t m = 0; m < r->mode_count; m++) {
        if (!has_run(e, m))
            continue;
        if (is_about_time_scale(e, m))
            return (int)m;
        mode = mode < 0 ? (int)m : mode;
    }
    return mode;
}

static void put_pictures(const struct lab_result *r, const struct lab_result_experiment *e,
                         uint32_t experiment_idx, FILE *out)
{
    int mode = mode_of(r, e);
    if (mode < 0) {
        fputs("<p class=\"dim\">Nothing was run.</p>\n", out);
        return;
    }
    struct lab_chart *c = lab_chart_new(r, e, experiment_idx, (uint32_t)mode);
    if (c != NULL)
        lab_chart_put(c, out);
    else
        fputs("<p>No memory for the pictures.</p>\n", out);
    lab_chart_free(c);
    lab_series_put(r, e, experiment_idx, (uint32_t)mode, out);
}

static void put_experiment(const struct lab_result *r, uint32_t experiment_idx, FILE *out)
{
    const struct lab_result_experiment *e = &r->experiments[experiment_idx];
    fprintf(out, "<section class=\"card\" id=\"e%u\"><h2>", experiment_idx);
    page_text(out, e->name);
    fputs(": ", out);
    page_text(out, e->title);
    fputs("</h2>\n<p>", out);
    page_text(out, e->description);
    fputs("</p>\n", out);
    put_fixed(e, out);
    put_pictures(r, e, experiment_idx, out);
    put_table(r, e, out);
    put_told(r, e, out);
    put_ladders(r, e, experiment_idx, out);
    fputs("</section>\n", out);
}

static void put_setup(const struct lab_result *r, FILE *out)
{
    const struct {
        const char *name, *value;
    } rows[] = {{"postern-lab", r->version},
                {"kernel", r->kernel},
                {"processor", r->cpu},
                {"experiments", r->path}};
    fputs("<section class=\"card\"><h2>Setup</h2><table><tbody>\n", out);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        fprintf(out, "<tr><th scope=\"row\">%s</th><td class=\"wrap\">", rows[i].name);
        page_text(out, rows[i].value);
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table>\n<details><summary>The experiment file, with its assumptions</summary>"
          "<pre>",
          out);
    page_lines(out, r->text);
    fputs("</pre></details></section>\n", out);
}

void lab_result_html(const struct lab_result *r, FILE *out)
{
    char title[200];
    snprintf(title, sizeof(title), "Lab result%s%s", r->experiment_count > 0 ? ": " : "",
             r->experiment_count > 0 ? r->experiments[0].name : "");
    page_head(out, title);
    put_top(r, out);
    for (uint32_t i = 0; i < r->experiment_count; i++)
        put_experiment(r, i, out);
    put_setup(r, out);
    page_foot(out, "postern-lab", r->version);
}
