/* SPDX-License-Identifier: Apache-2.0 */
/* compare.c - two runs as text: what became of the same question, and how the setups differ. */
#include "load/compare.h"
#include "load/report.h"
#include "load/show.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

struct shown compare_change(double a, double b)
{
    struct shown s = {"-"};
    if (!(a > 0) || !isfinite(a) || !isfinite(b) || b < 0)
        return s;
    double percent = 100 * (b - a) / a;
    if (percent >= 999.5 || (percent <= -90 && b > 0))
        snprintf(s.text, sizeof(s.text), "x %.2g", b / a);
    else
        snprintf(s.text, sizeof(s.text), "%+.1f %%", percent);
    return s;
}

static double rate_of(const struct load_report *r, uint64_t count)
{
    return r->seconds > 0 ? (double)count / r->seconds : 0;
}

static uint64_t sum_of(const uint64_t *counts, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += counts[i];
    return sum;
}

uint32_t compare_rates(const struct load_report *a, const struct load_report *b,
                       struct compare_row *ret_rows)
{
    const struct load_report *const runs[] = {a, b};
    uint32_t count = 0;
    static const char *const names[COMPARE_RATES_MAX] = {
        "messages accepted /s",
        "recipients accepted /s",
        "recipients deferred /s",
        "recipients refused /s",
        "recipients unknown /s",
        "content octets /s",
        "timeouts",
        "resets",
        "protocol errors",
        "generator's processor us / message",
    };
    /* -1: less is better, 1: more is better */
    static const int8_t better[COMPARE_RATES_MAX] = {1, 1, -1, -1, -1, 1, -1, -1, -1, 0};
    for (uint32_t i = 0; i < 2; i++) {
        const struct load_counters *c = &runs[i]->stats->counters;
        const double values[COMPARE_RATES_MAX] = {
            rate_of(runs[i], c->messages_accepted),
            rate_of(runs[i], c->rcpts[ATTEMPT_ACCEPTED]),
            rate_of(runs[i], c->rcpts[ATTEMPT_DEFERRED]),
            rate_of(runs[i], c->rcpts[ATTEMPT_REFUSED]),
            rate_of(runs[i], c->rcpts[ATTEMPT_UNKNOWN]),
            rate_of(runs[i], c->content_bytes),
            (double)sum_of(c->timeouts, CLIENT_PHASE_COUNT),
            (double)c->resets,
            (double)c->protocol_errors,
            c->finished > 0 ? 1e6 * runs[i]->cpu_seconds / (double)c->finished : 0,
        };
        for (count = 0; count < COMPARE_RATES_MAX; count++) {
            ret_rows[count].name = names[count];
            ret_rows[count].better = better[count];
            ret_rows[count].values[i] = values[count];
        }
    }
    return count;
}

/* --- differences of the setup ----------------------------------------------------------------- */

static const char *option_value(const struct load_report *r, const char *name)
{
    for (uint32_t i = 0; i < r->option_count; i++)
        if (strcmp(r->options[i].name, name) == 0)
            return r->options[i].value;
    return NULL;
}

static void add_difference(struct compare_differences *d, const char *name, const char *a,
                           const char *b)
{
    if (a != NULL && b != NULL && strcmp(a, b) == 0)
        return;
    d->at[d->count++] = (struct compare_difference){name, a != NULL ? a : "(not given)",
                                                    b != NULL ? b : "(not given)"};
}

void compare_setups(const struct load_report *a, const struct load_report *b,
                    struct compare_differences *ret_differences)
{
    struct compare_differences *d = ret_differences;
    d->count = 0;
    snprintf(d->cpu_counts[0], sizeof(d->cpu_counts[0]), "%u", a->cpu_count);
    snprintf(d->cpu_counts[1], sizeof(d->cpu_counts[1]), "%u", b->cpu_count);
    add_difference(d, "version", a->version, b->version);
    add_difference(d, "machine", a->host, b->host);
    add_difference(d, "processor", a->cpu, b->cpu);
    add_difference(d, "processors", d->cpu_counts[0], d->cpu_counts[1]);
    add_difference(d, "kernel", a->kernel, b->kernel);
    add_difference(d, "durability", a->server_durability, b->server_durability);
    add_difference(d, "loop", a->is_open_loop ? "open" : "closed",
                   b->is_open_loop ? "open" : "closed");
    for (uint32_t i = 0; i < a->option_count; i++)
        add_difference(d, a->options[i].name, a->options[i].value,
                       option_value(b, a->options[i].name));
    for (uint32_t i = 0; i < b->option_count; i++)
        if (option_value(a, b->options[i].name) == NULL)
            add_difference(d, b->options[i].name, NULL, b->options[i].value);
}

/* --- text ------------------------------------------------------------------------------------- */

static void put_run(const struct load_report *r, const char *name, FILE *out)
{
    fprintf(out, "%s  %016" PRIx64 "  ", name, r->run);
    show_safe(out, r->started);
    fprintf(out, "  %s measured\n   ", show_seconds(r->seconds).text);
    show_safe(out, r->command);
    fputc('\n', out);
    if (!r->is_result) {
        fputs("   NOT A RESULT: ", out);
        show_safe(out, r->why_not[0] != '\0' ? r->why_not : "no reason given");
        fputc('\n', out);
    }
    if (r->is_interrupted)
        fputs("   interrupted\n", out);
}

static void put_rates(const struct load_report *a, const struct load_report *b, FILE *out)
{
    struct compare_row rows[COMPARE_RATES_MAX];
    uint32_t count = compare_rates(a, b, rows);
    fprintf(out, "\n%-36s %14s %14s %12s\n", "", "A", "B", "B to A");
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "%-36s %14s %14s %12s\n", rows[i].name, show_rate(rows[i].values[0]).text,
                show_rate(rows[i].values[1]).text,
                compare_change(rows[i].values[0], rows[i].values[1]).text);
}

const double compare_shares[COMPARE_SHARES] = {0.5, 0.9, 0.99, 0.999, 0.9999, 1};
const char *const compare_share_names[COMPARE_SHARES] = {"p50",   "p90",    "p99",
                                                         "p99.9", "p99.99", "max"};

static void put_latency(const struct load_report *a, const struct load_report *b, FILE *out)
{
    fprintf(out, "\n%-22s %-6s", "Latency, planned", "");
    for (size_t i = 0; i < COMPARE_SHARES; i++)
        fprintf(out, " %9s", compare_share_names[i]);
    fputc('\n', out);
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++) {
        const struct hist *const hists[] = {&a->stats->planned[p], &b->stats->planned[p]};
        if (hists[0]->total == 0 && hists[1]->total == 0)
            continue;
        for (uint32_t run = 0; run < 2; run++) {
            fprintf(out, "  %-20s %-6s", run == 0 ? load_phase_name(p) : "", run == 0 ? "A" : "B");
            for (size_t i = 0; i < COMPARE_SHARES; i++)
                fprintf(out, " %9s",
                        hists[run]->total > 0
                            ? show_ns(hist_quantile(hists[run], compare_shares[i])).text
                            : "-");
            fputc('\n', out);
        }
        fprintf(out, "  %-20s %-6s", "", "B to A");
        for (size_t i = 0; i < COMPARE_SHARES; i++)
            fprintf(out, " %9s",
                    hists[0]->total > 0 && hists[1]->total > 0
                        ? compare_change((double)hist_quantile(hists[0], compare_shares[i]),
                                         (double)hist_quantile(hists[1], compare_shares[i]))
                              .text
                        : "-");
        fputc('\n', out);
    }
}

static void put_differences(const struct load_report *a, const struct load_report *b, FILE *out)
{
    struct compare_differences d;
    compare_setups(a, b, &d);
    fputs(d.count > 0 ? "\nDifferences of the setups\n" : "\nThe setups are the same.\n", out);
    for (uint32_t i = 0; i < d.count; i++) {
        fputs("  ", out);
        show_safe(out, d.at[i].name);
        fputs("\n    A ", out);
        show_safe(out, d.at[i].a);
        fputs("\n    B ", out);
        show_safe(out, d.at[i].b);
        fputc('\n', out);
    }
}

int report_compare(const struct load_report *a, const struct load_report *b, FILE *out,
                   const char *html_path)
{
    put_run(a, "A", out);
    put_run(b, "B", out);
    put_rates(a, b, out);
    put_latency(a, b, out);
    put_differences(a, b, out);
    return html_path != NULL ? compare_html(a, b, html_path) : 0;
}
