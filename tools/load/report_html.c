/* SPDX-License-Identifier: Apache-2.0 */
/* report_html.c - one run as a page: the verdict, the figures that matter, charts, tables, setup.
 */
#include "load/figure.h"
#include "load/outfile.h"
#include "load/page.h"
#include "load/report.h"
#include "load/report_order.h"
#include "load/show.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static double per_second(const struct load_report *r, uint64_t amount)
{
    return r->seconds > 0 ? (double)amount / r->seconds : 0;
}

static void put_top(const struct load_report *r, FILE *out)
{
    fputs("<h1>Load report</h1>\n<p class=\"dim\">", out);
    page_text(out, r->started);
    fprintf(out, " &#183; run %016" PRIx64 " &#183; %s", r->run,
            r->is_open_loop ? "open loop" : "closed loop");
    if (r->is_open_loop && r->rate_planned > 0)
        fprintf(out, ", %s/s planned", show_rate(r->rate_planned).text);
    fprintf(out, " &#183; %s measured", show_seconds(r->seconds).text);
    if (r->warmup_seconds > 0)
        fprintf(out, " after %s of warm-up", show_seconds(r->warmup_seconds).text);
    fputs("</p>\n<code>", out);
    page_text(out, r->command);
    fputs("</code>\n", out);
    if (!r->is_result) {
        fputs("<div class=\"banner bad\" role=\"alert\"><strong>NOT A RESULT:</strong> ", out);
        page_text(out, r->why_not[0] != '\0' ? r->why_not : "no reason given");
        fputs("</div>\n", out);
    }
    if (r->is_interrupted)
        fputs("<div class=\"banner warn\" role=\"alert\">Interrupted: this is what was measured "
              "until "
              "then.</div>\n",
              out);
}

static void put_tile(FILE *out, const char *value, const char *name, const char *note)
{
    fprintf(out, "<li><span>%s</span><b>%s</b><small>%s</small></li>\n", name, value, note);
}

static void put_tiles(const struct load_report *r, FILE *out)
{
    const struct load_counters *c = &r->stats->counters;
    const struct hist *h = &r->stats->planned[LOAD_PHASE_WHOLE];
    uint64_t rcpts = 0, troubles = c->protocol_errors + c->resets + c->connects_failed;
    char note[128];
    for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
        rcpts += c->rcpts[f];
    for (uint32_t p = 0; p < CLIENT_PHASE_COUNT; p++)
        troubles += c->timeouts[p];
    fputs("<ul class=\"tiles\">\n", out);
    snprintf(note, sizeof(note), "%s messages", show_count(c->messages_accepted).text);
    put_tile(out, show_rate(per_second(r, c->messages_accepted)).text, "accepted per second", note);
    snprintf(note, sizeof(note), "%s of %s%s", show_count(c->rcpts[ATTEMPT_ACCEPTED]).text,
             show_count(rcpts).text, c->retries > 0 ? " tries" : "");
    put_tile(out, show_percent(c->rcpts[ATTEMPT_ACCEPTED], rcpts).text, "recipients accepted",
             note);
    const char *from = r->is_open_loop ? "from planned time" : "whole transaction";
    put_tile(out, h->total > 0 ? show_ns(hist_quantile(h, 0.5)).text : "-", "median latency", from);
    put_tile(out, h->total > 0 ? show_ns(hist_quantile(h, 0.99)).text : "-", "99 % latency", from);
    put_tile(out, h->total > 0 ? show_ns(h->max).text : "-", "largest latency", from);
    put_tile(out, show_count(troubles).text, "faults", "network and protocol");
    fputs("</ul>\n", out);
}

/* --- outcomes --------------------------------------------------------------------------------- */

static void put_bar(FILE *out, const char *class, uint64_t part, uint64_t whole)
{
    double width = whole > 0 ? 200 * (double)part / (double)whole : 0;
    fprintf(out,
            "<td class=\"bars\"><svg class=\"bar\" viewBox=\"0 0 200 10\" "
            "preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"fill %s\" "
            "width=\"%.2f\" height=\"10\"/></svg></td>",
            class, part > 0 ? fmin(fmax(width, 1), 200) : 0);
}

static const char *fate_class(enum attempt_fate f)
{
    static const char *const classes[ATTEMPT_FATE_COUNT] = {"c3", "c4", "c5", "c6"};
    return classes[f];
}

static const char *code_class(uint16_t code)
{
    if (code >= 200 && code < 300)
        return "c3";
    if (code >= 400 && code < 500)
        return "c4";
    return code >= 500 && code < 600 ? "c5" : "c6";
}

static void put_outcomes(const struct load_stats *s, FILE *out)
{
    static struct load_outcome sorted[LOAD_OUTCOMES_MAX];
    const struct load_counters *c = &s->counters;
    uint64_t total = 0;
    for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
        total += c->rcpts[f];
    fprintf(
        out,
        "<section class=\"card\"><h2>Outcomes</h2>\n<p class=\"dim\">Recipients, by the reply that "
        "decided for them%s.</p>\n<div class=\"scroll\"><table><thead><tr><th>outcome</th>"
        "<th class=\"l\">reply to</th><th>recipients</th><th>share</th>"
        "<th class=\"l\">&#160;</th></tr></thead><tbody>\n",
        c->retries > 0 ? ", once for each try" : "");
    for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++) {
        fprintf(out,
                "<tr><th scope=\"row\"><i class=\"%s\"></i>%s</th><td class=\"l\"></td><td>%s</td>"
                "<td>%s</td>",
                fate_class(f), attempt_fate_name(f), show_count(c->rcpts[f]).text,
                show_percent(c->rcpts[f], total).text);
        put_bar(out, fate_class(f), c->rcpts[f], total);
        fputs("</tr>\n", out);
    }
    report_outcomes_sorted(s, sorted);
    for (uint32_t i = 0; i < s->outcome_count; i++) {
        const struct load_outcome *o = &sorted[i];
        fprintf(out, "<tr><td>%03u %s</td><td class=\"l\">%s</td><td>%s</td><td>%s</td>", o->code,
                show_enhanced(o->enhanced).text, load_reply_phase_name(o->phase),
                show_count(o->count).text, show_percent(o->count, total).text);
        put_bar(out, code_class(o->code), o->count, total);
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div></section>\n", out);
}

/* --- phases ----------------------------------------------------------------------------------- */

static void put_phase(FILE *out, const char *name, const char *clock, const struct hist *h)
{
    static const double shares[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
    fprintf(out, "<tr%s><th scope=\"row\">%s</th><td class=\"l\">%s</td><td>%s</td>",
            strcmp(clock, "planned") == 0 ? " class=\"group\"" : "", name, clock,
            show_count(h->total).text);
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++)
        fprintf(out, "<td>%s</td>", show_ns(hist_quantile(h, shares[i])).text);
    fprintf(out, "<td>%s</td></tr>\n", show_ns(h->max).text);
}

static void put_phases(const struct load_report *r, FILE *out)
{
    const struct load_stats *s = r->stats;
    fprintf(out,
            "<section class=\"card\"><h2>Phases</h2>\n<p class=\"dim\">%s Message: over all of its "
            "tries; without those that were given up (%s).</p>\n"
            "<div class=\"scroll\"><table><thead><tr><th>phase</th><th class=\"l\">clock</th>"
            "<th>count</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>p99.99</th>"
            "<th>max</th></tr></thead><tbody>\n",
            r->is_open_loop ? "Planned: with the time by which the transaction began late. Actual: "
                              "from the start of the phase."
                            : "From the start of the phase; in a closed loop nothing begins late.",
            show_count(s->counters.messages_given_up).text);
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++) {
        if (s->actual[p].total == 0)
            continue;
        if (r->is_open_loop)
            put_phase(out, load_phase_name(p), "planned", &s->planned[p]);
        put_phase(out, r->is_open_loop ? "" : load_phase_name(p), "actual", &s->actual[p]);
    }
    for (uint32_t k = 0; k < LOAD_REPLY_K_MAX && s->reply_k[1].total > 0; k++) {
        char name[32];
        snprintf(name, sizeof(name), "dot_to_reply_%u", k + 1);
        if (s->reply_k[k].total > 0)
            put_phase(out, name, "actual", &s->reply_k[k]);
    }
    if (s->start_lag.total > 0)
        put_phase(out, "the generator's own lag", "actual", &s->start_lag);
    fputs("</tbody></table></div></section>\n", out);
}

/* --- counters --------------------------------------------------------------------------------- */

static void put_count(FILE *out, const char *name, const char *of, uint64_t count)
{
    fprintf(out, "<tr><th scope=\"row\">%s%s</th><td>%s</td></tr>\n", name, of,
            show_count(count).text);
}

static void begin_counts(FILE *out, const char *title)
{
    fprintf(out, "<section class=\"card\"><h2>%s</h2><table><tbody>\n", title);
}

static void end_counts(FILE *out)
{
    fputs("</tbody></table></section>\n", out);
}

static void put_faults(const struct load_counters *c, FILE *out)
{
    begin_counts(out, "Faults");
    for (uint32_t p = 0; p < CLIENT_PHASE_COUNT; p++)
        if (c->timeouts[p] > 0)
            put_count(out, "timeouts: ", load_reply_phase_name(p), c->timeouts[p]);
    for (uint32_t k = 0; k < ATTEMPT_CAUSE_COUNT; k++)
        if (k != ATTEMPT_CAUSE_REPLY && c->causes[k] > 0)
            put_count(out, "transactions without a reply: ", attempt_cause_name(k), c->causes[k]);
    put_count(out, "protocol errors", "", c->protocol_errors);
    put_count(out, "connections refused", "", c->connects_refused);
    put_count(out, "connections failed", "", c->connects_failed);
    put_count(out, "connections reset", "", c->resets);
    put_count(out, "TLS handshakes failed", "", c->tls_failed);
    put_count(out, "recipients given up", "", c->gave_up);
    put_count(out, "messages given up", "", c->messages_given_up);
    end_counts(out);
}

static void put_amounts(const struct load_report *r, FILE *out)
{
    const struct load_counters *c = &r->stats->counters;
    begin_counts(out, "Amounts");
    put_count(out, "transactions planned", "", c->planned);
    put_count(out, "transactions started", "", c->started);
    put_count(out, "transactions finished", "", c->finished);
    put_count(out, "retries", "", c->retries);
    put_count(out, "starts that waited for the in-flight cap", "", c->cap_hits);
    put_count(out, "connections made", "", c->connects);
    put_count(out, "TLS handshakes", "", c->tls_handshakes);
    put_count(out, "of them resumed", "", c->tls_resumed);
    fprintf(out, "<tr><th scope=\"row\">content sent</th><td>%s, %s/s</td></tr>\n",
            show_bytes((double)c->content_bytes).text,
            show_bytes(per_second(r, c->content_bytes)).text);
    fprintf(out, "<tr><th scope=\"row\">octets sent, received</th><td>%s, %s</td></tr>\n",
            show_bytes((double)c->bytes_sent).text, show_bytes((double)c->bytes_received).text);
    fprintf(out, "<tr><th scope=\"row\">processor time of the generator</th><td>%s</td></tr>\n",
            show_seconds(r->cpu_seconds).text);
    end_counts(out);
}

/* --- setup ------------------------------------------------------------------------------------ */

static void put_setup_row(FILE *out, const char *name, const char *value)
{
    fprintf(out, "<tr><th scope=\"row\">%s</th><td class=\"wrap\">", name);
    page_text(out, value);
    fputs("</td></tr>\n", out);
}

static void put_setup(const struct load_report *r, FILE *out)
{
    char cpu[sizeof(r->cpu) + 32];
    snprintf(cpu, sizeof(cpu), "%u x %s", r->cpu_count, r->cpu);
    fputs("<section class=\"card\"><h2>Setup</h2><table><tbody>\n", out);
    put_setup_row(out, "postern-load", r->version);
    put_setup_row(out, "machine", r->host);
    put_setup_row(out, "processor", cpu);
    put_setup_row(out, "kernel", r->kernel);
    put_setup_row(out, "durability of the server",
                  r->server_durability[0] != '\0' ? r->server_durability
                                                  : "not told by the server");
    fputs("<tr><th scope=\"row\">command</th><td class=\"wrap\"><code>", out);
    page_text(out, r->command);
    fputs("</code></td></tr>\n<tr><th scope=\"row\">server</th><td class=\"wrap\"><pre>", out);
    page_lines(out, r->server_text);
    fputs("</pre></td></tr>\n</tbody></table>\n", out);
    if (r->option_count > 0) {
        fputs("<details><summary>All options</summary><table><tbody>\n", out);
        for (uint32_t i = 0; i < r->option_count; i++) {
            fputs("<tr><th scope=\"row\"><code>", out);
            page_text(out, r->options[i].name);
            fputs("</code></th><td class=\"wrap\"><code>", out);
            page_text(out, r->options[i].value);
            fputs("</code></td></tr>\n", out);
        }
        fputs("</tbody></table></details>\n", out);
    }
    fputs("</section>\n", out);
}

static void put_page(const struct load_report *r, const struct figure_set *f, FILE *out)
{
    char title[128];
    snprintf(title, sizeof(title), "Load report, %s", r->started);
    page_head(out, title);
    put_top(r, out);
    put_tiles(r, out);
    figure_percentiles(f, out);
    figure_latency(f, out);
    figure_rate(f, out);
    put_outcomes(r->stats, out);
    put_phases(r, out);
    figure_sizes(f, out);
    fputs("<div class=\"two\">\n", out);
    put_amounts(r, out);
    put_faults(&r->stats->counters, out);
    fputs("</div>\n", out);
    put_setup(r, out);
    page_foot(out, "postern-load", r->version);
}

int report_html(const struct load_report *r, const char *path)
{
    struct outfile o;
    struct figure_set *f = figure_set_new(&r, 1);
    if (f == NULL)
        return -ENOMEM;
    int result = outfile_open(&o, path);
    if (result == 0) {
        put_page(r, f, o.file);
        result = outfile_end(&o);
    }
    figure_set_free(f);
    return result;
}
