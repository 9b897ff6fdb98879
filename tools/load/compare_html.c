/* SPDX-License-Identifier: Apache-2.0 */
/* compare_html.c - two runs as a page: the same charts with both in them, and tables. */
#include "load/compare.h"
#include "load/figure.h"
#include "load/outfile.h"
#include "load/page.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>

/* Less than that is within what runs differ by anyway. */
#define NOTABLE 0.05

static void put_change(FILE *out, double a, double b, int better)
{
    const char *class = "";
    if (a > 0 && fabs(b - a) / a >= NOTABLE && better != 0)
        class = (b > a) == (better > 0) ? " class=\"better\"" : " class=\"worse\"";
    fprintf(out, "<td%s>%s</td>", class, compare_change(a, b).text);
}

static void put_run(FILE *out, const struct load_report *r, uint32_t run)
{
    fprintf(out, "<tr><th scope=\"row\"><i class=\"%s\"></i>%s</th><td class=\"wrap\">",
            run == 0 ? "c1" : "c2", figure_run_name(run));
    page_text(out, r->started);
    fprintf(out, " &#183; run %016" PRIx64 " &#183; %s measured<br><code>", r->run,
            show_seconds(r->seconds).text);
    page_text(out, r->command);
    fputs("</code></td></tr>\n", out);
}

static void put_verdict(FILE *out, const struct load_report *r, uint32_t run)
{
    if (!r->is_result) {
        fprintf(out,
                "<div class=\"banner bad\" role=\"alert\"><strong>%s is NOT A RESULT:</strong> ",
                figure_run_name(run));
        page_text(out, r->why_not[0] != '\0' ? r->why_not : "no reason given");
        fputs("</div>\n", out);
    }
    if (r->is_interrupted)
        fprintf(out, "<div class=\"banner warn\" role=\"alert\">%s was interrupted.</div>\n",
                figure_run_name(run));
}

static void put_rates(FILE *out, const struct load_report *a, const struct load_report *b)
{
    struct compare_row rows[COMPARE_RATES_MAX];
    uint32_t count = compare_rates(a, b, rows);
    fputs(
        "<section class=\"card\"><h2>Rates and faults</h2><div class=\"scroll\"><table><thead><tr>"
        "<th>what</th><th>A</th><th>B</th><th>B to A</th></tr></thead><tbody>\n",
        out);
    for (uint32_t i = 0; i < count; i++) {
        fprintf(out, "<tr><th scope=\"row\">");
        page_text(out, rows[i].name);
        fprintf(out, "</th><td>%s</td><td>%s</td>", show_rate(rows[i].values[0]).text,
                show_rate(rows[i].values[1]).text);
        put_change(out, rows[i].values[0], rows[i].values[1], rows[i].better);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div></section>\n", out);
}

static void put_hist_row(FILE *out, const char *name, uint32_t run, const struct hist *h)
{
    fprintf(out, "<tr class=\"group\"><th scope=\"row\">%s</th><td class=\"l\">%s</td><td>%s</td>",
            name, figure_run_name(run), show_count(h->total).text);
    for (size_t i = 0; i < COMPARE_SHARES; i++)
        fprintf(out, "<td>%s</td>",
                h->total > 0 ? show_ns(hist_quantile(h, compare_shares[i])).text : "-");
    fputs("</tr>\n", out);
}

static void put_phases(FILE *out, const struct load_report *a, const struct load_report *b)
{
    fputs("<section class=\"card\"><h2>Phases</h2><p class=\"dim\">From the planned time.</p>"
          "<div class=\"scroll\"><table><thead><tr><th>phase</th><th class=\"l\">run</th>"
          "<th>count</th>",
          out);
    for (size_t i = 0; i < COMPARE_SHARES; i++)
        fprintf(out, "<th>%s</th>", compare_share_names[i]);
    fputs("</tr></thead><tbody>\n", out);
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++) {
        const struct hist *x = &a->stats->planned[p], *y = &b->stats->planned[p];
        if (x->total == 0 && y->total == 0)
            continue;
        put_hist_row(out, load_phase_name(p), 0, x);
        put_hist_row(out, "", 1, y);
        fputs("<tr><th></th><td class=\"l\">B to A</td><td></td>", out);
        for (size_t i = 0; i < COMPARE_SHARES; i++)
            put_change(out, (double)hist_quantile(x, compare_shares[i]),
                       y->total > 0 ? (double)hist_quantile(y, compare_shares[i]) : NAN, -1);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div></section>\n", out);
}

static void put_setups(FILE *out, const struct load_report *a, const struct load_report *b)
{
    struct compare_differences d;
    compare_setups(a, b, &d);
    fputs("<section class=\"card\"><h2>Differences of the setups</h2>\n", out);
    fputs(d.count == 0
              ? "<p class=\"dim\">None.</p>"
              : "<table><thead><tr><th>what</th><th class=\"l\">A</th><th class=\"l\">B</th>"
                "</tr></thead><tbody>\n",
          out);
    for (uint32_t i = 0; i < d.count; i++) {
        fputs("<tr><th scope=\"row\">", out);
        page_text(out, d.at[i].name);
        fputs("</th><td class=\"wrap\">", out);
        page_text(out, d.at[i].a);
        fputs("</td><td class=\"wrap\">", out);
        page_text(out, d.at[i].b);
        fputs("</td></tr>\n", out);
    }
    fputs(d.count == 0 ? "</section>\n" : "</tbody></table></section>\n", out);
}

static void put_page(FILE *out, const struct load_report *a, const struct load_report *b,
                     const struct figure_set *f)
{
    page_head(out, "Load reports compared");
    fputs("<h1>Two runs compared</h1>\n<section class=\"card\"><table><tbody>\n", out);
    put_run(out, a, 0);
    put_run(out, b, 1);
    fputs("</tbody></table></section>\n", out);
    put_verdict(out, a, 0);
    put_verdict(out, b, 1);
    put_rates(out, a, b);
    figure_percentiles(f, out);
    figure_latency(f, out);
    figure_rate(f, out);
    put_phases(out, a, b);
    put_setups(out, a, b);
    page_foot(out, "postern-load", b->version);
}

int compare_html(const struct load_report *a, const struct load_report *b, const char *path)
{
    struct outfile o;
    const struct load_report *const runs[] = {a, b};
    struct figure_set *f = figure_set_new(runs, 2);
    if (f == NULL)
        return -ENOMEM;
    int result = outfile_open(&o, path);
    if (result == 0) {
        put_page(o.file, a, b, f);
        result = outfile_end(&o);
    }
    figure_set_free(f);
    return result;
}
