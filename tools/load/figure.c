/* SPDX-License-Identifier: Apache-2.0 */
/*
 * figure.c - from runs to charts. One run shows all its curves; of two, each chart shows the same
 * curve of both. Tables stand beside the charts, with the same numbers.
 */
#include "load/figure.h"
#include "load/page.h"
#include "load/plot.h"
#include "load/series.h"
#include <math.h>
#include <stdlib.h>

struct figure_set {
    const struct load_report *runs[FIGURE_RUNS_MAX];
    uint32_t count;
    struct series_curve planned[FIGURE_RUNS_MAX], actual[FIGURE_RUNS_MAX];
    struct series_bins bins[FIGURE_RUNS_MAX];
    struct series_sizes sizes;
    double size_counts[SERIES_SIZES_MAX];
};

static const double shares[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
static const char *const share_names[] = {"p50", "p90", "p99", "p99.9", "p99.99"};

const char *figure_run_name(uint32_t run)
{
    static const char *const names[] = {"A", "B"};
    ASSERT(run < FIGURE_RUNS_MAX);
    return names[run];
}

struct figure_set *figure_set_new(const struct load_report *const *runs, uint32_t count)
{
    ASSERT(count >= 1 && count <= FIGURE_RUNS_MAX);
    struct figure_set *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return NULL;
    f->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct load_stats *s = runs[i]->stats;
        f->runs[i] = runs[i];
        series_curve_make(&f->planned[i], &s->planned[LOAD_PHASE_WHOLE]);
        series_curve_make(&f->actual[i], &s->actual[LOAD_PHASE_WHOLE]);
        series_bins_make(&f->bins[i], s);
    }
    series_sizes_make(&f->sizes, &runs[0]->stats->sizes);
    for (uint32_t i = 0; i < f->sizes.count; i++)
        f->size_counts[i] = (double)f->sizes.messages[i];
    return f;
}

void figure_set_free(struct figure_set *f)
{
    free(f);
}

/* --- helpers ---------------------------------------------------------------------------------- */

struct range {
    double low, high;
};

static struct range range_of(void)
{
    return (struct range){INFINITY, -INFINITY};
}

static void widen(struct range *r, const double *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (isnan(values[i]))
            continue;
        r->low = fmin(r->low, values[i]);
        r->high = fmax(r->high, values[i]);
    }
}

static void add_line(struct plot *p, const char *name, const char *class, const double *x,
                     const double *y, uint32_t count)
{
    ASSERT(p->line_count < PLOT_LINES_MAX);
    p->lines[p->line_count++] =
        (struct plot_line){.name = name, .class = class, .x = x, .y = y, .count = count};
}

static void begin(FILE *out, const char *title, const char *caption)
{
    fprintf(out, "<section class=\"card\"><figure>\n<h2>%s</h2>\n<figcaption>%s</figcaption>\n",
            title, caption);
}

static void end(FILE *out)
{
    fputs("</figure></section>\n", out);
}

static void put_quantile_row(FILE *out, const char *class, const char *name, const struct hist *h)
{
    fprintf(out, "<tr><th scope=\"row\"><i class=\"%s\"></i>%s</th><td>%s</td>", class, name,
            show_count(h->total).text);
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++)
        fprintf(out, "<td>%s</td>", h->total > 0 ? show_ns(hist_quantile(h, shares[i])).text : "-");
    fprintf(out, "<td>%s</td></tr>\n", h->total > 0 ? show_ns(h->max).text : "-");
}

/* --- percentiles ------------------------------------------------------------------------------ */

#define MARKS_MAX (FIGURE_RUNS_MAX * 2 * (ARRAY_COUNT(shares) + 1))

static uint32_t add_marks(struct plot_mark *marks, uint32_t count, const char *class,
                          const char *name, const struct hist *h, const struct series_curve *c)
{
    for (size_t i = 0; i <= ARRAY_COUNT(shares) && h->total > 0; i++) {
        bool is_max = i == ARRAY_COUNT(shares);
        uint64_t ns = is_max ? h->max : hist_quantile(h, shares[i]);
        double x = is_max ? c->x[c->count - 1] : -log10(1 - shares[i]);
        if (!is_max && x >= c->x[c->count - 1])
            continue; /* fewer values than that: it is the maximum */
        struct plot_mark *m = &marks[count++];
        *m = (struct plot_mark){.class = class, .x = x, .y = fmax((double)ns, 1)};
        snprintf(m->text, sizeof(m->text), "%s %s: %s", name, is_max ? "max" : share_names[i],
                 show_ns(ns).text);
    }
    return count;
}

static const char *curve_name(const struct figure_set *f, uint32_t run, bool is_planned)
{
    static const char *const names[] = {"A, from the planned time", "B, from the planned time"};
    if (f->count > 1)
        return names[run];
    return is_planned ? "from the planned time" : "from the actual start";
}

static void put_percentile_table(const struct figure_set *f, FILE *out)
{
    fputs("<div class=\"scroll\"><table><thead><tr><th>whole transaction</th>"
          "<th>count</th>",
          out);
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++)
        fprintf(out, "<th>%s</th>", share_names[i]);
    fputs("<th>max</th></tr></thead><tbody>\n", out);
    for (uint32_t i = 0; i < f->count; i++) {
        const struct load_stats *s = f->runs[i]->stats;
        put_quantile_row(out, i == 0 ? "c1" : "c2", curve_name(f, i, true),
                         &s->planned[LOAD_PHASE_WHOLE]);
    }
    if (f->count == 1)
        put_quantile_row(out, "c2", curve_name(f, 0, false),
                         &f->runs[0]->stats->actual[LOAD_PHASE_WHOLE]);
    fputs("</tbody></table></div>\n", out);
}

void figure_percentiles(const struct figure_set *f, FILE *out)
{
    struct plot_mark marks[MARKS_MAX];
    struct range y = range_of();
    struct plot p = {
        .id = "percentiles",
        .title = "Latency by percentile",
        .description = "Latency of whole transactions against the share that was faster. The table "
                       "below has the numbers.",
        .x = {.scale = PLOT_NINES, .max = 1, .label = "share of transactions that were faster"},
        .y = {.scale = PLOT_LOG, .label = "latency", .show = plot_show_ns},
        .marks = marks,
    };
    for (uint32_t i = 0; i < f->count; i++) {
        const struct series_curve *c = &f->planned[i];
        const char *class = i == 0 ? "c1" : "c2";
        add_line(&p, curve_name(f, i, true), class, c->x, c->y, c->count);
        p.mark_count =
            add_marks(marks, p.mark_count, class, f->count > 1 ? figure_run_name(i) : "planned",
                      &f->runs[i]->stats->planned[LOAD_PHASE_WHOLE], c);
        widen(&y, c->y, c->count);
        p.x.max = fmax(p.x.max, c->x_max);
    }
    if (f->count == 1) {
        const struct series_curve *c = &f->actual[0];
        add_line(&p, curve_name(f, 0, false), "c2", c->x, c->y, c->count);
        p.mark_count = add_marks(marks, p.mark_count, "c2", "actual",
                                 &f->runs[0]->stats->actual[LOAD_PHASE_WHOLE], c);
        widen(&y, c->y, c->count);
    }
    plot_axis_fit(&p.y, y.low, y.high);
    begin(out, "Latency by percentile",
          f->count > 1
              ? "Whole transactions, from the time that the plan had for them."
              : "Whole transactions. Where the curves part, transactions began later than "
                "planned, because those before them were held up: clients would have waited as "
                "the planned curve says.");
    plot_svg(&p, out);
    put_percentile_table(f, out);
    end(out);
}

/* --- over time -------------------------------------------------------------------------------- */

static struct plot time_plot(const struct figure_set *f, const char *id, const char *title,
                             const char *description)
{
    struct plot p = {
        .id = id,
        .title = title,
        .description = description,
        .x = {.scale = PLOT_TIME, .label = "time since the start of the run"},
        .shade_label = "warm-up",
    };
    double seconds = 0;
    for (uint32_t i = 0; i < f->count; i++)
        seconds = fmax(seconds, f->runs[i]->stats->second_count);
    plot_axis_fit(&p.x, 0, seconds);
    p.shade_until = f->count == 1 ? f->runs[0]->warmup_seconds : 0;
    return p;
}

static struct shown text_ns(double ns)
{
    return isnan(ns) ? (struct shown){"-"} : plot_show_ns(ns);
}

static uint32_t add_hovers(const struct series_bins *b, bool is_rate, struct plot_hover *hovers)
{
    for (uint32_t i = 0; i < b->count; i++) {
        struct plot_hover *h = &hovers[i];
        h->from = series_bin_begin(b, i);
        h->to = series_bin_begin(b, i + 1);
        struct shown at = plot_show_time(h->from);
        if (is_rate)
            snprintf(h->text, sizeof(h->text),
                     "%s  accepted %s/s, deferred %s/s, refused %s/s, unknown %s/s", at.text,
                     show_rate(b->accepted[i]).text, show_rate(b->deferred[i]).text,
                     show_rate(b->refused[i]).text, show_rate(b->unknown[i]).text);
        else
            snprintf(h->text, sizeof(h->text), "%s  p50 %s, p99 %s, max %s", at.text,
                     text_ns(b->p50_ns[i]).text, text_ns(b->p99_ns[i]).text,
                     text_ns(b->max_ns[i]).text);
    }
    return b->count;
}

/* Long runs: about as many rows as people read. */
#define ROWS_MAX 60

static void put_time_table(const struct figure_set *f, bool is_rate, FILE *out)
{
    const struct series_bins *b = &f->bins[0];
    uint32_t stride = (b->count + ROWS_MAX - 1) / ROWS_MAX;
    if (f->count > 1 || b->count == 0)
        return;
    fprintf(out, "<details><summary>Table</summary><div class=\"scroll\"><table><caption>%s",
            is_rate ? "Recipients per second" : "Latency of whole transactions");
    if (stride > 1)
        fprintf(out, ", every %s", plot_show_time(series_bin_begin(b, stride)).text);
    fprintf(out, "</caption><thead><tr><th>time</th>%s</tr></thead><tbody>\n",
            is_rate ? "<th>accepted</th><th>deferred</th><th>refused</th><th>unknown</th>"
                    : "<th>p50</th><th>p99</th><th>max</th>");
    for (uint32_t i = 0; i < b->count; i += stride) {
        fprintf(out, "<tr><td>%s</td>", plot_show_time(series_bin_begin(b, i)).text);
        if (is_rate)
            fprintf(out, "<td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
                    show_rate(b->accepted[i]).text, show_rate(b->deferred[i]).text,
                    show_rate(b->refused[i]).text, show_rate(b->unknown[i]).text);
        else
            fprintf(out, "<td>%s</td><td>%s</td><td>%s</td></tr>\n", text_ns(b->p50_ns[i]).text,
                    text_ns(b->p99_ns[i]).text, text_ns(b->max_ns[i]).text);
    }
    fputs("</tbody></table></div></details>\n", out);
}

static void put_bin_note(const struct series_bins *b, const char *what, FILE *out)
{
    if (b->width > 1)
        fprintf(out, "<p class=\"dim\">Each point stands for %u seconds%s.</p>\n", b->width, what);
}

void figure_latency(const struct figure_set *f, FILE *out)
{
    struct plot_hover hovers[SERIES_BINS_MAX];
    struct range y = range_of();
    struct plot p = time_plot(f, "latency", "Latency over time",
                              "Latency of the transactions that ended in each second.");
    p.y = (struct plot_axis){.scale = PLOT_LOG, .label = "latency", .show = plot_show_ns};
    for (uint32_t i = 0; i < f->count; i++) {
        const struct series_bins *b = &f->bins[i];
        if (f->count == 1) {
            add_line(&p, "p50", "c1", b->at, b->p50_ns, b->count);
            add_line(&p, "p99", "c4", b->at, b->p99_ns, b->count);
            add_line(&p, "max", "c8", b->at, b->max_ns, b->count);
        } else {
            add_line(&p, i == 0 ? "A p50" : "B p50", i == 0 ? "c7" : "c4 dash", b->at, b->p50_ns,
                     b->count);
            add_line(&p, i == 0 ? "A p99" : "B p99", i == 0 ? "c1" : "c2", b->at, b->p99_ns,
                     b->count);
        }
        widen(&y, b->p50_ns, b->count);
        widen(&y, b->p99_ns, b->count);
        if (f->count == 1)
            widen(&y, b->max_ns, b->count);
    }
    plot_axis_fit(&p.y, fmax(y.low, 1), y.high);
    if (f->count == 1) {
        p.hovers = hovers;
        p.hover_count = add_hovers(&f->bins[0], false, hovers);
    }
    begin(out, "Latency over time",
          "Whole transactions, from the planned time, by the second in which they ended.");
    plot_svg(&p, out);
    put_bin_note(&f->bins[0], ", and shows the worst of them", out);
    put_time_table(f, false, out);
    end(out);
}

void figure_rate(const struct figure_set *f, FILE *out)
{
    struct plot_hover hovers[SERIES_BINS_MAX];
    double high = 0;
    struct plot p =
        time_plot(f, "rate", "Rate over time", "Recipients per second, by what became of them.");
    p.y = (struct plot_axis){
        .scale = PLOT_LINEAR, .label = "recipients per second", .show = plot_show_rate};
    for (uint32_t i = 0; i < f->count; i++) {
        const struct series_bins *b = &f->bins[i];
        for (uint32_t k = 0; k < b->count; k++)
            high = fmax(high, f->count > 1 ? b->accepted[k]
                                           : b->accepted[k] + b->deferred[k] + b->refused[k] +
                                                 b->unknown[k]);
        if (f->count > 1)
            add_line(&p, i == 0 ? "A accepted" : "B accepted", i == 0 ? "c1" : "c2", b->at,
                     b->accepted, b->count);
    }
    if (f->count == 1) {
        const struct series_bins *b = &f->bins[0];
        add_line(&p, "accepted", "c3", b->at, b->accepted, b->count);
        add_line(&p, "deferred", "c4", b->at, b->deferred, b->count);
        add_line(&p, "refused", "c5", b->at, b->refused, b->count);
        add_line(&p, "unknown", "c6", b->at, b->unknown, b->count);
        p.is_stacked = true;
        p.hovers = hovers;
        p.hover_count = add_hovers(b, true, hovers);
    }
    plot_axis_fit(&p.y, 0, high);
    begin(out, "Rate over time",
          f->count > 1
              ? "Recipients accepted per second."
              : "Recipients per second, by what became of them: 2xx, 4xx, 5xx, or no reply.");
    plot_svg(&p, out);
    put_bin_note(&f->bins[0], ", and shows their mean", out);
    put_time_table(f, true, out);
    end(out);
}

/* --- sizes ------------------------------------------------------------------------------------ */

static void put_size_table(const struct series_sizes *z, uint64_t total, FILE *out)
{
    fputs("<details><summary>Table</summary><div class=\"scroll\"><table><thead><tr><th>from</th>"
          "<th>to below</th><th>messages</th><th>share</th></tr></thead><tbody>\n",
          out);
    for (uint32_t i = 0; i < z->count; i++)
        fprintf(out, "<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
                show_bytes(z->low[i]).text, show_bytes(z->low[i + 1]).text,
                show_count(z->messages[i]).text, show_percent(z->messages[i], total).text);
    fputs("</tbody></table></div></details>\n", out);
}

void figure_sizes(const struct figure_set *f, FILE *out)
{
    const struct hist *h = &f->runs[0]->stats->sizes;
    const struct series_sizes *z = &f->sizes;
    struct plot_hover hovers[SERIES_SIZES_MAX];
    struct range y = range_of();
    struct plot p = {
        .id = "sizes",
        .title = "Message sizes",
        .description = "How many messages had content of which size.",
        .x = {.scale = PLOT_LOG2, .label = "octets of content", .show = plot_show_bytes},
        .y = {.scale = PLOT_LINEAR, .label = "messages", .show = plot_show_rate},
        .is_bars = true,
        .hovers = hovers,
        .hover_count = z->count,
    };
    add_line(&p, "messages", "c1", z->low, f->size_counts, z->count);
    widen(&y, f->size_counts, z->count);
    plot_axis_fit(&p.y, 0, z->count > 0 ? y.high : 0);
    p.x.min = z->count > 0 ? z->low[0] : 1;
    p.x.max = z->count > 0 ? z->low[z->count] : 10;
    for (uint32_t i = 0; i < z->count; i++) {
        hovers[i] = (struct plot_hover){.from = z->low[i], .to = z->low[i + 1]};
        snprintf(hovers[i].text, sizeof(hovers[i].text), "%s to %s: %s messages, %s",
                 show_bytes(z->low[i]).text, show_bytes(z->low[i + 1]).text,
                 show_count(z->messages[i]).text, show_percent(z->messages[i], h->total).text);
    }
    begin(out, "Message sizes", "Octets of content, of the messages that were sent whole.");
    if (h->total > 0)
        fprintf(out, "<p class=\"dim\">%s messages; mean %s, median %s, p99 %s, largest %s.</p>\n",
                show_count(h->total).text, show_bytes(hist_mean(h)).text,
                show_bytes((double)hist_quantile(h, 0.5)).text,
                show_bytes((double)hist_quantile(h, 0.99)).text, show_bytes((double)h->max).text);
    plot_svg(&p, out);
    if (h->total > 0)
        put_size_table(z, h->total, out);
    end(out);
}
