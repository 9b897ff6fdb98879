/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_series.c - owns what is shown over model time: the queue of the server, one line for each
 * dialect, and for each point what comes in, comes again, is settled and is copied.
 */
#include "lab/result_series.h"
#include "lab/axes.h"
#include "lab/result_table.h"
#include "load/page.h"
#include "load/plot.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PICTURES_MAX 48 /* of each kind */
#define SMALL_WIDTH 470
#define SMALL_HEIGHT 250
#define FLOWS 4

static const char *const classes[LAB_LINES_MAX] = {"c1", "c2", "c3", "c8", "c4", "c7", "c6"};

static double second_of(const struct lab_series *s, uint32_t bucket)
{
    return (double)s->width_ns / 1e9 * bucket;
}

struct lab_storm lab_storm_of(const struct lab_series *s)
{
    struct lab_storm storm = {.arrivals_end_s = 0};
    for (uint32_t i = 0; i < s->count; i++) {
        const struct lab_bucket *b = &s->at[i];
        double end = second_of(s, i + 1);
        storm.retries += b->retries;
        storm.copies += b->copies;
        storm.arrivals_end_s = b->started > 0 ? end : storm.arrivals_end_s;
        storm.last_retry_s = b->retries > 0 ? end : storm.last_retry_s;
        storm.settled_s = b->settled > 0 ? end : storm.settled_s;
        storm.idle_s = b->in_work > 0 ? end : storm.idle_s;
        if (b->in_work > storm.in_work_max) {
            storm.in_work_max = b->in_work;
            storm.in_work_max_s = second_of(s, i);
        }
    }
    return storm;
}

static const struct lab_run *run_of(const struct lab_result_experiment *e, uint32_t point,
                                    uint32_t mode)
{
    const struct lab_result_point *p = &e->points[point];
    for (uint32_t i = 0; i < p->run_count; i++)
        if (p->runs[i].mode == mode)
            return p->runs[i].series.count > 0 ? &p->runs[i] : NULL;
    return NULL;
}

/* --- the table -------------------------------------------------------------------------------- */

static void put_time(double seconds, FILE *out)
{
    fprintf(out, "<td>%s</td>", seconds > 0 ? plot_show_time(seconds).text : "-");
}

static void put_storm(const struct lab_result_experiment *e, uint32_t point,
                      const struct lab_run *run, FILE *out)
{
    struct lab_storm storm = lab_storm_of(&run->series);
    double messages = fmax((double)run->numbers.messages, 1);
    fputs("<tr>", out);
    for (uint32_t a = 0; a < e->axis_count; a++) {
        fputs("<td class=\"l\">", out);
        page_text(out, e->axes[a].values[e->points[point].at[a]].text);
        fputs("</td>", out);
    }
    put_time(storm.arrivals_end_s, out);
    fprintf(out, "<td>%s</td>", show_count(storm.in_work_max).text);
    put_time(storm.in_work_max_s, out);
    fprintf(out, "<td>%.2f</td><td>%.2f</td>", (double)storm.retries / messages,
            (double)storm.copies / messages);
    put_time(storm.last_retry_s, out);
    put_time(storm.settled_s, out);
    put_time(storm.idle_s, out);
    fputs("</tr>\n", out);
}

static void put_storms(const struct lab_result_experiment *e, uint32_t mode, FILE *out)
{
    fputs("<div class=\"scroll\"><table><thead><tr>", out);
    for (uint32_t a = 0; a < e->axis_count; a++) {
        fputs("<th class=\"l\">", out);
        page_text(out, lab_axis_short(e, a));
        fputs("</th>", out);
    }
    fputs(
        "<th>arrivals end</th><th>at the server, at most</th><th>at</th><th>retries a message</th>"
        "<th>copies a message</th><th>last retry</th><th>all settled</th><th>server "
        "idle</th></tr></thead><tbody>\n",
        out);
    for (uint32_t i = 0; i < e->point_count; i++) {
        const struct lab_run *run = run_of(e, i, mode);
        if (run != NULL)
            put_storm(e, i, run, out);
    }
    fputs("</tbody></table></div>\n", out);
}

/* --- curves ----------------------------------------------------------------------------------- */

static const struct {
    double seconds;
    const char *label;
} units[] = {
    {86400, "model time (days)"}, {3600, "model time (hours)"}, {60, "model time (minutes)"}};

struct picture {
    struct plot plot;
    char id[40], title[400];
    double *memory;
};

static struct shown show_number(double value)
{
    struct shown s;
    snprintf(s.text, sizeof(s.text), "%.4g", value);
    return s;
}

static void picture_begin(struct picture *v, const char *id, uint32_t number, const char *what,
                          const char *name)
{
    memset(v, 0, sizeof(*v));
    snprintf(v->id, sizeof(v->id), "%s-%u", id, number);
    snprintf(v->title, sizeof(v->title), "%s%s%s", what, name[0] != '\0' ? ": " : "", name);
    v->plot = (struct plot){
        .id = v->id,
        .title = v->title,
        .description = "The table above tells when it is over.",
        .width = SMALL_WIDTH,
        .height = SMALL_HEIGHT,
        .has_legend_outside = true,
        .x = {.scale = PLOT_LINEAR, .show = show_number},
        .y = {.scale = PLOT_LINEAR, .show = plot_show_rate},
    };
}

/* The x axis to @seconds, in the unit of which there are a few; returns its seconds. */
static double time_axis_fit(struct plot *p, double seconds)
{
    size_t u = 0;
    while (u + 1 < ARRAY_COUNT(units) && seconds < 3 * units[u].seconds)
        u++;
    p->x.label = units[u].label;
    p->x.max = seconds / units[u].seconds;
    return units[u].seconds;
}

static void picture_end(struct picture *v, double high, const char *name, FILE *out)
{
    plot_axis_fit(&v->plot.y, 0, high);
    fputs("<div><h3>", out);
    page_text(out, name);
    fputs("</h3>\n", out);
    plot_legend(&v->plot, out);
    plot_svg(&v->plot, out);
    fputs("</div>\n", out);
    free(v->memory);
}

/* The queue, a line for each value of the axis of lines. */
static void put_queue(const struct lab_result_experiment *e, uint32_t mode, int line, uint32_t base,
                      struct picture *v, const char *name, FILE *out)
{
    uint32_t values = line >= 0 ? e->axes[line].count : 1, total = 0, used = 0;
    double seconds = 0, high = 0;
    for (uint32_t k = 0; k < values && k < LAB_LINES_MAX; k++) {
        uint32_t point = base + (line >= 0 ? k * lab_axis_stride(e, (uint32_t)line) : 0);
        const struct lab_run *run = run_of(e, point, mode);
        total += run != NULL ? run->series.count : 0;
        seconds = run != NULL ? fmax(seconds, second_of(&run->series, run->series.count)) : seconds;
    }
    v->memory = calloc(2 * (size_t)total + 1, sizeof(*v->memory));
    if (v->memory == NULL || total == 0) {
        free(v->memory);
        return;
    }
    double unit = time_axis_fit(&v->plot, seconds);
    for (uint32_t k = 0; k < values && k < LAB_LINES_MAX; k++) {
        uint32_t point = base + (line >= 0 ? k * lab_axis_stride(e, (uint32_t)line) : 0);
        const struct lab_run *run = run_of(e, point, mode);
        if (run == NULL)
            continue;
        const struct lab_series *s = &run->series;
        double *x = v->memory + 2 * (size_t)used, *y = x + s->count;
        for (uint32_t i = 0; i < s->count; i++) {
            x[i] = second_of(s, i) / unit;
            y[i] = (double)s->at[i].in_work;
            high = fmax(high, y[i]);
        }
        v->plot.lines[v->plot.line_count++] =
            (struct plot_line){.name = line >= 0 ? e->axes[line].values[k].text : "messages",
                               .class = classes[k],
                               .x = x,
                               .y = y,
                               .count = s->count};
        used += s->count;
    }
    v->plot.y.label = "messages at the server";
    picture_end(v, high, name, out);
}

static void put_flows(const struct lab_run *run, struct picture *v, const char *name, FILE *out)
{
    static const char *const names[FLOWS] = {"new", "tried again", "settled", "copies"};
    static const char *const flow_classes[FLOWS] = {"c6", "c2", "c3", "c8"};
    const struct lab_series *s = &run->series;
    double high = 0, minutes = (double)s->width_ns / 60e9;
    v->memory = calloc((FLOWS + 1) * (size_t)s->count + 1, sizeof(*v->memory));
    if (v->memory == NULL)
        return;
    double unit = time_axis_fit(&v->plot, second_of(s, s->count));
    for (uint32_t f = 0; f < FLOWS; f++)
        v->plot.lines[v->plot.line_count++] =
            (struct plot_line){.name = names[f],
                               .class = flow_classes[f],
                               .x = v->memory,
                               .y = v->memory + (f + 1) * (size_t)s->count,
                               .count = s->count};
    for (uint32_t i = 0; i < s->count; i++) {
        const struct lab_bucket *b = &s->at[i];
        const uint64_t flows[FLOWS] = {b->started, b->retries, b->settled, b->copies};
        v->memory[i] = second_of(s, i) / unit;
        for (uint32_t f = 0; f < FLOWS; f++) {
            double rate = (double)flows[f] / minutes;
            v->memory[(f + 1) * (size_t)s->count + i] = rate;
            high = fmax(high, rate);
        }
    }
    v->plot.y.label = "a minute";
    picture_end(v, high, name, out);
}

static void put_queues(const struct lab_result_experiment *e, uint32_t mode, const char *id,
                       uint32_t *number, FILE *out)
{
    int line = lab_axis_lines(e, -1);
    struct lab_axes split = lab_axes_others(e, -1, line);
    uint32_t count = lab_axes_product(e, &split);
    fputs("<h3>At the server, in work and waiting</h3>\n<div class=\"charts\">\n", out);
    for (uint32_t i = 0; i < count && i < PICTURES_MAX; i++) {
        char name[300];
        struct picture v;
        lab_axes_name(e, &split, i, name, sizeof(name));
        picture_begin(&v, id, (*number)++, "At the server, in work and waiting", name);
        put_queue(e, mode, line, lab_axes_point(e, &split, i), &v, name, out);
    }
    fputs("</div>\n", out);
}

void lab_series_put(const struct lab_result *r, const struct lab_result_experiment *e,
                    uint32_t experiment_idx, uint32_t mode, FILE *out)
{
    uint32_t number = 0, count = 0;
    char id[24];
    for (uint32_t i = 0; i < e->point_count; i++)
        count += run_of(e, i, mode) != NULL;
    if (count == 0)
        return;
    snprintf(id, sizeof(id), "t%u", experiment_idx);
    fputs("<figure><h3>Over time</h3><figcaption>Of the first seed, ", out);
    page_text(out, r->modes[mode].name);
    fputs("; times are model time from the beginning, hours:minutes:seconds.</figcaption>\n", out);
    if (count > 24)
        fputs("<details><summary>When it is over, for each point</summary>\n", out);
    put_storms(e, mode, out);
    fputs(count > 24 ? "</details>\n" : "", out);
    put_queues(e, mode, id, &number, out);
    fputs("<details><summary>For each point: what comes, comes again, is settled, is "
          "copied</summary>\n<div class=\"charts\">\n",
          out);
    struct lab_axes all = lab_axes_others(e, -1, -1);
    for (uint32_t i = 0; i < e->point_count && number < 2 * PICTURES_MAX; i++) {
        const struct lab_run *run = run_of(e, i, mode);
        char name[300];
        struct picture v;
        if (run == NULL)
            continue;
        lab_axes_name(e, &all, i, name, sizeof(name));
        picture_begin(&v, id, number++, "Messages and copies a minute", name);
        put_flows(run, &v, name, out);
    }
    fputs("</div></details></figure>\n", out);
}
