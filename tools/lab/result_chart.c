/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_chart.c - owns which picture shows which settings.
 *
 * An axis with four or more numbers is one to draw over. With two of them there is a map for each
 * combination of the others; with one, a map whose rows are all the others, and curves over it;
 * with none, a map of words against words. A picture per combination would otherwise be hundreds;
 * those beyond PICTURES_MAX are left to the table.
 */
#include "lab/result_chart.h"
#include "lab/axes.h"
#include "lab/result_table.h"
#include "load/heat.h"
#include "load/page.h"
#include "load/plot.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 14 /* of a map of words, more or less */
#define ROWS_MAX 60    /* of a map, before it is split */
#define PICTURES_MAX 48
#define SMALL_WIDTH 470
#define SMALL_HEIGHT 270
#define LOG_FROM 200 /* a ratio of values from which curves have a logarithmic scale */

struct figure {
    size_t offset;     /* of a struct lab_estimate in struct lab_summary */
    const char *title; /* of pictures */
    const char *unit;  /* behind a number */
    const char *label; /* of the y axis */
};

static const struct figure copies_total = {offsetof(struct lab_summary, copies_total),
                                           "Copies too many, all tries", "copies a message",
                                           "copies too many, a message"};
static const struct figure copies_first = {offsetof(struct lab_summary, copies_first),
                                           "What the first try's failure costs", "copies a message",
                                           "copies a message"};
static const struct figure lost = {offsetof(struct lab_summary, lost), "Lost mail",
                                   "recipients lost, a message", "lost recipients, a message"};
static const struct figure unsettled = {offsetof(struct lab_summary, unsettled),
                                        "Recipients who never learn that it was taken",
                                        "of the recipients", "share of the recipients"};
static const struct figure settled = {offsetof(struct lab_summary, settled_p50_s),
                                      "How long a message takes, the middle one", "s",
                                      "seconds to the end of the last try"};

struct lab_chart {
    const struct lab_result *r;
    const struct lab_result_experiment *e;
    uint32_t experiment_idx, mode, number; /* of the next picture */
    struct lab_summary *sums;              /* of each point */
    bool *has;
};

struct lab_chart *lab_chart_new(const struct lab_result *r, const struct lab_result_experiment *e,
                                uint32_t experiment_idx, uint32_t mode)
{
    struct lab_chart *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    *c = (struct lab_chart){.r = r, .e = e, .experiment_idx = experiment_idx, .mode = mode};
    c->sums = calloc(e->point_count + 1u, sizeof(*c->sums));
    c->has = calloc(e->point_count + 1u, sizeof(*c->has));
    if (c->sums == NULL || c->has == NULL) {
        lab_chart_free(c);
        return NULL;
    }
    for (uint32_t i = 0; i < e->point_count; i++)
        c->has[i] = lab_summary_make(&e->points[i], mode, &c->sums[i]);
    return c;
}

void lab_chart_free(struct lab_chart *c)
{
    if (c == NULL)
        return;
    free(c->sums);
    free(c->has);
    free(c);
}

/* --- what stands where ------------------------------------------------------------------------ */

struct arrangement {
    struct lab_axes x, y, split;
};

/* Words against words: rows are the first axes, columns the others, so that both fit. */
static void arrange_words(const struct lab_chart *c, struct arrangement *r)
{
    uint32_t columns = 1, first = c->e->axis_count;
    while (first > 1 && columns * c->e->axes[first - 1].count <= COLUMNS_MAX)
        columns *= c->e->axes[--first].count;
    for (uint32_t a = 0; a < c->e->axis_count; a++)
        lab_axes_add(a < first ? &r->y : &r->x, a);
}

static struct arrangement arrange(const struct lab_chart *c)
{
    struct arrangement r = {.x = {.count = 0}};
    int x = lab_axis_numeric(c->e, -1), y = lab_axis_numeric(c->e, x);
    if (x < 0) {
        arrange_words(c, &r);
    } else {
        lab_axes_add(&r.x, (uint32_t)x);
        for (uint32_t a = 0; a < c->e->axis_count; a++)
            if ((int)a != x && (y < 0 || (int)a == y))
                lab_axes_add(&r.y, a);
            else if ((int)a != x)
                lab_axes_add(&r.split, a);
    }
    while (r.y.count > 1 && lab_axes_product(c->e, &r.y) > ROWS_MAX) {
        lab_axes_add(&r.split, r.y.idx[0]);
        memmove(r.y.idx, r.y.idx + 1, --r.y.count * sizeof(r.y.idx[0]));
    }
    return r;
}

/* --- values ----------------------------------------------------------------------------------- */

static const struct lab_estimate *estimate(const struct lab_chart *c, const struct figure *f,
                                           uint32_t point)
{
    return (const void *)((const char *)&c->sums[point] + f->offset);
}

struct extent {
    double low, high; /* of values above 0 */
    bool is_whole, is_any, is_varied;
};

static struct extent extent_of(const struct lab_chart *c, const struct figure *f)
{
    struct extent x = {.low = INFINITY, .high = 0, .is_whole = true};
    double first = NAN;
    for (uint32_t i = 0; i < c->e->point_count; i++) {
        double value = estimate(c, f, i)->mean;
        if (!c->has[i])
            continue;
        first = isnan(first) ? value : first;
        x.is_varied |= fabs(value - first) > 1e-9;
        if (!(value > 0))
            continue;
        x.is_any = true;
        x.low = fmin(x.low, value);
        x.high = fmax(x.high, value);
        x.is_whole &= fabs(value - round(value)) < 1e-9;
    }
    return x;
}

static bool is_livelock(const struct lab_summary *s)
{
    return s->livelock.mean >= 0.5;
}

static bool is_off(const struct lab_summary *s, const struct figure *f)
{
    return (f == &copies_total && (s->is_off_total || s->is_off_livelock)) ||
           (f == &copies_first && s->is_off_first);
}

/* --- maps ------------------------------------------------------------------------------------- */

struct map {
    const struct lab_chart *c;
    const struct figure *figure;
    const struct arrangement *a;
    uint32_t split;
};

static uint32_t map_point(const struct map *m, uint32_t x, uint32_t y)
{
    return lab_axes_point(m->c->e, &m->a->x, x) + lab_axes_point(m->c->e, &m->a->y, y) +
           lab_axes_point(m->c->e, &m->a->split, m->split);
}

static void map_hover(const void *context, uint32_t x, uint32_t y, char *to, size_t cap)
{
    const struct map *m = context;
    const struct lab_chart *c = m->c;
    uint32_t point = map_point(m, x, y);
    const struct lab_result_point *p = &c->e->points[point];
    const struct lab_estimate *v = estimate(c, m->figure, point);
    char where[200], row[200];
    lab_axes_name(c->e, &m->a->y, y, row, sizeof(row));
    lab_axes_name(c->e, &m->a->x, x, where, sizeof(where));
    int len =
        snprintf(to, cap, "%s%s%s: %s %s", row, row[0] != '\0' && where[0] != '\0' ? ", " : "",
                 where, heat_show(v->mean).text, m->figure->unit);
    if (len > 0 && (size_t)len < cap && v->has_interval && v->high > v->low)
        len += snprintf(to + len, cap - (size_t)len, " (95 %%: %s to %s)",
                        heat_show(fmax(v->low, 0)).text, heat_show(v->high).text);
    bool is_copies = m->figure == &copies_total || m->figure == &copies_first;
    if (is_copies && p->theory.why_none == NULL && len > 0 && (size_t)len < cap &&
        (m->figure == &copies_first || p->theory.has_total))
        len += snprintf(
            to + len, cap - (size_t)len, "; theory %s (%s)",
            heat_show(m->figure == &copies_total ? p->theory.copies_total : p->theory.copies_first)
                .text,
            p->theory.rule);
    if (is_livelock(&c->sums[point]) && len > 0 && (size_t)len < cap)
        snprintf(to + len, cap - (size_t)len, "; no try gets on");
}

/* Labels of @a, level by level; an axis of nothing has one label that says what is shown. */
static const char **labels_of(const struct lab_chart *c, const struct lab_axes *a,
                              const char *otherwise, struct heat_axis *ret_axis)
{
    uint32_t count = lab_axes_product(c->e, a), levels = a->count > 0 ? a->count : 1;
    const char **labels = calloc((size_t)count * levels, sizeof(*labels));
    if (labels == NULL)
        return NULL;
    ret_axis->count = count;
    ret_axis->level_count = levels;
    ret_axis->labels = labels;
    labels[0] = otherwise;
    ret_axis->names[0] = "";
    for (uint32_t k = 0; k < a->count; k++) {
        ret_axis->names[k] = lab_axis_short(c->e, a->idx[k]);
        for (uint32_t i = 0; i < count; i++)
            labels[(size_t)k * count + i] = lab_axes_at(c->e, a, k, i)->text;
    }
    return labels;
}

static void put_map(struct lab_chart *c, const struct map *m, const struct heat_scale *scale,
                    const char *title, FILE *out)
{
    char id[40], description[300];
    struct heat h = {.id = id,
                     .title = title,
                     .description = description,
                     .scale = scale,
                     .hover = map_hover,
                     .context = m};
    const char **x = labels_of(c, &m->a->x, "", &h.x), **y = labels_of(c, &m->a->y, "", &h.y);
    struct heat_cell *cells = calloc((size_t)h.x.count * h.y.count + 1, sizeof(*cells));
    uint32_t zeros = 0, stuck = 0;
    double most = 0;
    if (x != NULL && y != NULL && cells != NULL) {
        for (uint32_t i = 0; i < h.x.count * h.y.count; i++) {
            uint32_t point = map_point(m, i % h.x.count, i / h.x.count);
            const struct lab_summary *s = &c->sums[point];
            cells[i].value = c->has[point] ? estimate(c, m->figure, point)->mean : NAN;
            cells[i].is_marked = c->has[point] && is_livelock(s);
            cells[i].is_off = c->has[point] && is_off(s, m->figure);
            zeros += c->has[point] && cells[i].value <= 0;
            stuck += cells[i].is_marked;
            most = fmax(most, c->has[point] ? cells[i].value : 0);
        }
        h.cells = cells;
        snprintf(id, sizeof(id), "e%u-%u", c->experiment_idx, c->number++);
        snprintf(description, sizeof(description),
                 "%u cells: %u are 0, the largest is %s %s; in %u no try gets on. The table has "
                 "every value.",
                 h.x.count * h.y.count, zeros, heat_show(most).text, m->figure->unit, stuck);
        heat_svg(&h, out);
    } else {
        fputs("<p>No memory for this map.</p>\n", out);
    }
    free(x);
    free(y);
    free(cells);
}

static void put_maps(struct lab_chart *c, const struct figure *f, const struct arrangement *a,
                     FILE *out)
{
    struct extent extent = extent_of(c, f);
    struct heat_scale scale;
    bool has_livelock = false, has_off = false;
    uint32_t count = lab_axes_product(c->e, &a->split);
    heat_scale_fit(&scale, extent.low, extent.high, extent.is_whole);
    for (uint32_t i = 0; i < c->e->point_count; i++) {
        has_livelock |= c->has[i] && is_livelock(&c->sums[i]);
        has_off |= c->has[i] && is_off(&c->sums[i], f);
    }
    heat_legend(&scale, has_livelock ? "no try gets on (livelock)" : NULL,
                has_off ? "contradicts the theory" : NULL, out);
    for (uint32_t i = 0; i < count && i < PICTURES_MAX; i++) {
        struct map m = {c, f, a, i};
        char name[300], title[400];
        lab_axes_name(c->e, &a->split, i, name, sizeof(name));
        snprintf(title, sizeof(title), "%s%s%s", f->title, name[0] != '\0' ? ": " : "", name);
        if (name[0] != '\0') {
            fputs("<h3>", out);
            page_text(out, name);
            fputs("</h3>\n", out);
        }
        put_map(c, &m, &scale, title, out);
    }
    if (count > PICTURES_MAX)
        fprintf(out,
                "<p class=\"dim\">%u more maps are left out; the table has their values.</p>\n",
                count - PICTURES_MAX);
}

/* --- curves ----------------------------------------------------------------------------------- */

struct curve {
    char name[120];
    double *x, *y, *low, *high; /* of one piece of memory, which @x begins */
    uint32_t count;
    bool has_band;
};

static const char *const classes[LAB_LINES_MAX] = {"c1", "c2", "c3", "c8", "c4", "c7", "c6"};

static struct shown show_number(double value)
{
    struct shown s;
    snprintf(s.text, sizeof(s.text), "%.4g", value);
    return s;
}

static bool curve_init(struct curve *v, uint32_t count)
{
    *v = (struct curve){.count = count};
    v->x = calloc(4 * (size_t)count + 1, sizeof(*v->x));
    if (v->x == NULL)
        return false;
    v->y = v->x + count;
    v->low = v->y + count;
    v->high = v->low + count;
    return true;
}

static bool is_equal(const double *a, const double *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (isnan(a[i]) != isnan(b[i]) || fabs(a[i] - b[i]) > 1e-9)
            return false;
    return true;
}

/* Lines that would lie on each other become one with both names. */
static bool curve_merge(struct curve *to, uint32_t count, const struct curve *v)
{
    for (uint32_t k = 0; k < count; k++) {
        size_t len = strlen(to[k].name);
        if (!is_equal(to[k].y, v->y, v->count) || !is_equal(to[k].high, v->high, v->count))
            continue;
        snprintf(to[k].name + len, sizeof(to[k].name) - len, ", %s", v->name);
        return true;
    }
    return false;
}

static int by_x(const void *a, const void *b)
{
    double x = ((const double *)a)[0], y = ((const double *)b)[0];
    return (x > y) - (x < y);
}

/* Values of an axis may stand in any order in a file. */
static void curve_sort(struct curve *v)
{
    double(*rows)[4] = calloc(v->count + 1u, sizeof(*rows));
    if (rows == NULL)
        return;
    for (uint32_t i = 0; i < v->count; i++) {
        const double row[4] = {v->x[i], v->y[i], v->low[i], v->high[i]};
        memcpy(rows[i], row, sizeof(row));
    }
    qsort(rows, v->count, sizeof(*rows), by_x);
    for (uint32_t i = 0; i < v->count; i++) {
        v->x[i] = rows[i][0];
        v->y[i] = rows[i][1];
        v->low[i] = rows[i][2];
        v->high[i] = rows[i][3];
    }
    free(rows);
}

static void curve_fill(const struct lab_chart *c, const struct figure *f, uint32_t axis,
                       uint32_t base, struct curve *v)
{
    for (uint32_t i = 0; i < v->count; i++) {
        uint32_t point = base + i * lab_axis_stride(c->e, axis);
        const struct lab_estimate *e = estimate(c, f, point);
        bool has_interval = c->has[point] && e->has_interval;
        v->x[i] = c->e->axes[axis].values[i].number;
        v->y[i] = c->has[point] ? e->mean : NAN;
        v->low[i] = has_interval ? fmax(e->low, 0) : NAN;
        v->high[i] = has_interval ? e->high : NAN;
        v->has_band |= has_interval && e->high > e->low;
    }
    curve_sort(v);
}

static void x_axis_fit(const struct lab_axis *from, struct plot_axis *x)
{
    double low = INFINITY, high = -INFINITY, least = INFINITY;
    for (uint32_t i = 0; i < from->count; i++) {
        double at = from->values[i].number;
        low = fmin(low, at);
        high = fmax(high, at);
        least = at > 0 ? fmin(least, at) : least;
    }
    x->scale = low > 0 && high / least >= 30 ? PLOT_LOG : PLOT_LINEAR;
    plot_axis_fit(x, low, high);
    if (low < high) { /* from the first value to the last */
        x->min = x->scale == PLOT_LOG || low > high / 4 ? low : fmin(low, 0);
        x->max = high;
    }
    x->show = show_number;
}

static void y_axis_fit(const struct extent *e, double high, struct plot_axis *y)
{
    y->scale = e->is_any && e->high / e->low > LOG_FROM ? PLOT_LOG : PLOT_LINEAR;
    if (y->scale == PLOT_LOG)
        plot_axis_fit(y, e->low, fmax(high, e->high));
    else
        plot_axis_fit(y, 0, fmax(high, e->high));
    y->show = show_number;
}

static void put_one_plot(struct lab_chart *c, const struct figure *f, uint32_t axis,
                         const struct curve *curves, uint32_t count, const char *name,
                         bool is_small, FILE *out)
{
    char id[40], label[100], title[400];
    char y_label[100];
    struct extent extent = extent_of(c, f);
    double high = 0;
    struct plot p = {.id = id,
                     .title = title,
                     .description = "The table has every value.",
                     .has_legend_outside = true};
    snprintf(id, sizeof(id), "e%u-%u", c->experiment_idx, c->number++);
    snprintf(title, sizeof(title), "%s%s%s", f->title, name[0] != '\0' ? ": " : "", name);
    snprintf(label, sizeof(label), "%s%s%s%s", c->e->axes[axis].name,
             c->e->axes[axis].unit[0] != '\0' ? " (" : "", c->e->axes[axis].unit,
             c->e->axes[axis].unit[0] != '\0' ? ")" : "");
    for (uint32_t k = 0; k < count; k++) {
        const struct curve *v = &curves[k];
        p.lines[p.line_count++] = (struct plot_line){.name = v->name,
                                                     .class = classes[k],
                                                     .x = v->x,
                                                     .y = v->y,
                                                     .count = v->count,
                                                     .low = v->has_band ? v->low : NULL,
                                                     .high = v->has_band ? v->high : NULL};
        for (uint32_t i = 0; i < v->count; i++)
            high = isnan(v->high[i]) ? high : fmax(high, v->high[i]);
    }
    x_axis_fit(&c->e->axes[axis], &p.x);
    y_axis_fit(&extent, high, &p.y);
    snprintf(y_label, sizeof(y_label), "%s%s", f->label,
             p.y.scale == PLOT_LOG ? " (0 is on the lower edge)" : "");
    p.x.label = label;
    p.y.label = y_label;
    p.width = is_small ? SMALL_WIDTH : 0;
    p.height = is_small ? SMALL_HEIGHT : 0;
    fputs("<div>", out);
    if (name[0] != '\0') {
        fputs("<h3>", out);
        page_text(out, name);
        fputs("</h3>\n", out);
    }
    plot_legend(&p, out);
    plot_svg(&p, out);
    fputs("</div>\n", out);
}

/* All lines of one combination; more than have colours go into a further plot. */
static void put_plots(struct lab_chart *c, const struct figure *f, uint32_t axis, int line,
                      uint32_t base, const char *name, bool is_small, FILE *out)
{
    struct curve curves[LAB_LINES_MAX];
    uint32_t count = 0, values = line >= 0 ? c->e->axes[line].count : 1;
    for (uint32_t k = 0; k < values; k++) {
        struct curve v;
        if (!curve_init(&v, c->e->axes[axis].count))
            break;
        snprintf(v.name, sizeof(v.name), "%s",
                 line >= 0 ? c->e->axes[line].values[k].text : c->r->modes[c->mode].name);
        curve_fill(c, f, axis, base + (line >= 0 ? k * lab_axis_stride(c->e, (uint32_t)line) : 0),
                   &v);
        if (curve_merge(curves, count, &v))
            free(v.x);
        else
            curves[count++] = v;
        if (count < LAB_LINES_MAX && k + 1 < values)
            continue;
        put_one_plot(c, f, axis, curves, count, name, is_small, out);
        for (uint32_t i = 0; i < count; i++)
            free(curves[i].x);
        count = 0;
    }
    for (uint32_t i = 0; i < count; i++)
        free(curves[i].x);
}

static void put_curves(struct lab_chart *c, const struct figure *f, FILE *out)
{
    int axis = lab_axis_numeric(c->e, -1);
    if (axis < 0 || lab_axis_numeric(c->e, axis) >= 0)
        return;
    int line = lab_axis_lines(c->e, axis);
    struct lab_axes split = lab_axes_others(c->e, axis, line);
    uint32_t count = lab_axes_product(c->e, &split);
    fprintf(out, count > 1 ? "<div class=\"charts\">\n" : "<div>\n");
    for (uint32_t i = 0; i < count && i < PICTURES_MAX; i++) {
        char name[300];
        lab_axes_name(c->e, &split, i, name, sizeof(name));
        put_plots(c, f, (uint32_t)axis, line, lab_axes_point(c->e, &split, i), name, count > 1,
                  out);
    }
    fputs("</div>\n", out);
}

/* --- an experiment's pictures ----------------------------------------------------------------- */

static void put_figure(struct lab_chart *c, const struct figure *f, const struct arrangement *a,
                       const char *caption, FILE *out)
{
    fprintf(out, "<figure><h3>%s</h3><figcaption>%s", f->title, caption);
    if (c->r->mode_count > 1)
        fprintf(out, "%sAs run by %s.", caption[0] != '\0' ? " " : "", c->r->modes[c->mode].name);
    fputs("</figcaption>\n", out);
    put_maps(c, f, a, out);
    put_curves(c, f, out);
    fputs("</figure>\n", out);
}

void lab_chart_put(struct lab_chart *c, FILE *out)
{
    struct arrangement a = arrange(c);
    if (c->e->axis_count == 0)
        return;
    put_figure(
        c, &copies_total, &a,
        "Copies of a message that arrive beyond the one that should. Point at a cell for the "
        "theory. Bands are 95 % confidence intervals; lines that would lie on "
        "each other are one.",
        out);
    if (extent_of(c, &lost).is_any)
        put_figure(c, &lost, &a, "Accepted by the client's account, and not there.", out);
    bool has_rate = false;
    for (uint32_t a_idx = 0; a_idx < c->e->axis_count; a_idx++)
        has_rate |= strcmp(c->e->axes[a_idx].name, "rate") == 0;
    if (has_rate)
        put_figure(c, &settled, &a, "From the planned moment to the end of the last try.", out);
    fputs(
        "<details><summary>More pictures: the first try alone, times, who never learns</summary>\n",
        out);
    if (extent_of(c, &copies_first).is_varied)
        put_figure(c, &copies_first, &a,
                   "Recipients that the server has committed and the client has not credited when "
                   "the first try ends.",
                   out);
    if (extent_of(c, &unsettled).is_any)
        put_figure(c, &unsettled, &a,
                   "Given up or still open in the end; the server may have them all the same.",
                   out);
    if (!has_rate && extent_of(c, &settled).is_varied)
        put_figure(c, &settled, &a, "From the planned moment to the end of the last try.", out);
    fputs("</details>\n", out);
}
