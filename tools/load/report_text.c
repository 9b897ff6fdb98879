/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_text.c - the summary on a terminal, for people who know wrk2 and fio: what was asked, what
 * came of it, how long it took, and whether to believe it.
 */
#include "load/report.h"
#include "load/report_order.h"
#include "load/show.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put_where(const struct load_report *r, FILE *out)
{
    fprintf(out, "postern-load ");
    show_safe(out, r->version);
    fprintf(out, "  run %016" PRIx64 "  ", r->run);
    show_safe(out, r->started);
    fputs("\n  command    ", out);
    show_safe(out, r->command);
    fputs("\n  machine    ", out);
    show_safe(out, r->host);
    fprintf(out, ", %u x ", r->cpu_count);
    show_safe(out, r->cpu);
    fputs("\n  kernel     ", out);
    show_safe(out, r->kernel);
    fputs("\n  durability ", out);
    show_safe(out,
              r->server_durability[0] != '\0' ? r->server_durability : "not told by the server");
    fputc('\n', out);
    const char *label = "server";
    for (const char *line = r->server_text; *line != '\0'; label = "") {
        char text[sizeof(r->server_text)];
        size_t len = strcspn(line, "\n");
        snprintf(text, sizeof(text), "%.*s",
                 (int)(len > 0 && line[len - 1] == '\r' ? len - 1 : len), line);
        fprintf(out, "  %-10s ", label);
        show_safe(out, text);
        fputc('\n', out);
        line += len + (line[len] == '\n');
    }
}

static void put_verdict(const struct load_report *r, FILE *out)
{
    if (!r->is_result) {
        fputs("\nNOT A RESULT: ", out);
        show_safe(out, r->why_not[0] != '\0' ? r->why_not : "no reason given");
        fputc('\n', out);
    }
    if (r->is_interrupted)
        fputs("\nInterrupted: what follows is what was measured until then.\n", out);
}

static double per_second(const struct load_report *r, double amount)
{
    return r->seconds > 0 ? amount / r->seconds : 0;
}

static void put_row(const struct load_report *r, FILE *out, const char *name, uint64_t count)
{
    fprintf(out, "  %-22s %14s %12s/s\n", name, show_count(count).text,
            show_rate(per_second(r, (double)count)).text);
}

static void put_rates(const struct load_report *r, FILE *out)
{
    const struct load_counters *c = &r->stats->counters;
    fprintf(out, "\n%s", r->is_open_loop ? "Open loop" : "Closed loop");
    if (r->is_open_loop && r->rate_planned > 0)
        fprintf(out, ", %s/s planned", show_rate(r->rate_planned).text);
    fprintf(out, ": %s measured", show_seconds(r->seconds).text);
    if (r->warmup_seconds > 0)
        fprintf(out, " after %s of warm-up", show_seconds(r->warmup_seconds).text);
    fputs("\n", out);
    put_row(r, out, "planned", c->planned);
    put_row(r, out, "started", c->started);
    put_row(r, out, "finished", c->finished);
    put_row(r, out, "messages accepted", c->messages_accepted);
    fprintf(out, "  %-22s %14s %12s/s\n", "content", show_bytes((double)c->content_bytes).text,
            show_bytes(per_second(r, (double)c->content_bytes)).text);
    fprintf(out, "  %-22s %14s out, %s in\n", "octets on the wire",
            show_bytes((double)c->bytes_sent).text, show_bytes((double)c->bytes_received).text);
}

/* --- latency ---------------------------------------------------------------------------------- */

static void put_quantiles(FILE *out, const struct hist *h)
{
    static const double shares[] = {0.5, 0.9, 0.99, 0.999, 0.9999};
    fprintf(out, " %11s", show_count(h->total).text);
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++)
        fprintf(out, " %8s", show_ns(hist_quantile(h, shares[i])).text);
    fprintf(out, " %8s\n", show_ns(h->max).text);
}

/* One reply is what the first and the last reply say already. */
static void put_reply_k(const struct load_stats *s, FILE *out)
{
    for (uint32_t k = 0; k < LOAD_REPLY_K_MAX && s->reply_k[1].total > 0; k++) {
        if (s->reply_k[k].total == 0)
            continue;
        char name[32];
        snprintf(name, sizeof(name), "dot_to_reply_%u", k + 1);
        fprintf(out, "  %-18s %-8s", name, "actual");
        put_quantiles(out, &s->reply_k[k]);
    }
}

static void put_latency(const struct load_report *r, FILE *out)
{
    const struct load_stats *s = r->stats;
    fprintf(out, "\n%-29s %11s %8s %8s %8s %8s %8s %8s\n", r->is_open_loop ? "Latency" : "Latency",
            "count", "p50", "p90", "p99", "p99.9", "p99.99", "max");
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++) {
        if (p == LOAD_PHASE_WHOLE)
            put_reply_k(s, out);
        if (s->actual[p].total == 0)
            continue;
        fprintf(out, "  %-18s %-8s", load_phase_name(p), r->is_open_loop ? "planned" : "");
        put_quantiles(out, &s->planned[p]);
        if (r->is_open_loop) {
            fprintf(out, "  %-18s %-8s", "", "actual");
            put_quantiles(out, &s->actual[p]);
        }
    }
    if (s->actual[LOAD_PHASE_WHOLE].total == 0)
        fputs("  no transaction was measured\n", out);
    else if (r->is_open_loop)
        fputs("  planned: from the time the plan had for it; actual: from when it began\n", out);
    if (s->counters.retries + s->counters.messages_given_up > 0)
        fprintf(out, "  message: over all of its tries; without the %s that were given up\n",
                show_count(s->counters.messages_given_up).text);
}

/* --- outcomes --------------------------------------------------------------------------------- */

#define KINDS_SHOWN_MAX 40

static void put_outcomes(const struct load_stats *s, FILE *out)
{
    const struct load_counters *c = &s->counters;
    uint64_t total = 0;
    for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
        total += c->rcpts[f];
    fprintf(out, "\nRecipients%s\n", c->retries > 0 ? ", once for each try" : "");
    for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
        fprintf(out, "  %-22s %14s   %s\n", attempt_fate_name(f), show_count(c->rcpts[f]).text,
                show_percent(c->rcpts[f], total).text);
    struct load_outcome sorted[LOAD_OUTCOMES_MAX];
    report_outcomes_sorted(s, sorted);
    if (s->outcome_count > 0)
        fprintf(out, "\n%-24s %14s   %s\n", "Replies that decided", "recipients", "reply to");
    uint32_t shown_count = s->outcome_count < KINDS_SHOWN_MAX ? s->outcome_count : KINDS_SHOWN_MAX;
    for (uint32_t i = 0; i < shown_count; i++)
        fprintf(out, "  %03u %-18s %14s   %s\n", sorted[i].code,
                show_enhanced(sorted[i].enhanced).text, show_count(sorted[i].count).text,
                load_reply_phase_name(sorted[i].phase));
    if (shown_count < s->outcome_count)
        fprintf(out, "  and %u kinds more\n", s->outcome_count - shown_count);
    if (c->outcomes_lost > 0)
        fprintf(out, "  %-22s %14s   more kinds than the table holds\n", "other",
                show_count(c->outcomes_lost).text);
}

/* Plain SMTP and LMTP are what everybody expects: they stand here beside others only. */
static void put_dialects(const struct load_counters *c, FILE *out)
{
    bool has_other = false;
    for (uint32_t d = 0; d < DIALECT_COUNT; d++)
        has_other |= d != DIALECT_SMTP && d != DIALECT_LMTP && c->dialects[d].transactions > 0;
    if (!has_other)
        return;
    fprintf(out, "\n%-12s %12s %12s %12s %12s %12s %12s\n", "Dialect", "transactions", "blocks",
            attempt_fate_name(0), attempt_fate_name(1), attempt_fate_name(2), attempt_fate_name(3));
    for (uint32_t d = 0; d < DIALECT_COUNT; d++) {
        const struct load_dialect *l = &c->dialects[d];
        if (l->transactions == 0)
            continue;
        fprintf(out, "  %-10s %12s %12s", dialect_name((enum dialect)d),
                show_count(l->transactions).text, show_count(l->blocks).text);
        for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
            fprintf(out, " %12s", show_count(l->rcpts[f]).text);
        fputc('\n', out);
    }
}

/* "  NAME   12 timeout, 3 lost": those that are not 0; "none" when all are. */
static void put_list(FILE *out, const char *name, const uint64_t *counts, uint32_t count,
                     const char *(*word)(uint32_t))
{
    const char *between = "";
    fprintf(out, "  %-22s ", name);
    for (uint32_t i = 0; i < count; i++) {
        if (counts[i] == 0)
            continue;
        fprintf(out, "%s%s %s", between, show_count(counts[i]).text, word(i));
        between = ", ";
    }
    fputs(*between == '\0' ? "none\n" : "\n", out);
}

static const char *cause_word(uint32_t i)
{
    return attempt_cause_name(i);
}

static const char *timeout_word(uint32_t i)
{
    return load_reply_phase_name(i);
}

static void put_faults(const struct load_stats *s, FILE *out)
{
    const struct load_counters *c = &s->counters;
    uint64_t causes[ATTEMPT_CAUSE_COUNT];
    memcpy(causes, c->causes, sizeof(causes));
    causes[ATTEMPT_CAUSE_REPLY] = 0;
    fputs("\nFaults\n", out);
    put_list(out, "without a reply", causes, ATTEMPT_CAUSE_COUNT, cause_word);
    put_list(out, "timeouts by phase", c->timeouts, CLIENT_PHASE_COUNT, timeout_word);
    fprintf(out, "  %-22s %s\n", "protocol errors", show_count(c->protocol_errors).text);
    fprintf(out, "  %-22s %s made, %s refused, %s failed, %s reset\n", "connections",
            show_count(c->connects).text, show_count(c->connects_refused).text,
            show_count(c->connects_failed).text, show_count(c->resets).text);
    if (c->tls_handshakes + c->tls_failed > 0)
        fprintf(out, "  %-22s %s, %s of them resumed, %s failed\n", "TLS handshakes",
                show_count(c->tls_handshakes).text, show_count(c->tls_resumed).text,
                show_count(c->tls_failed).text);
    if (c->retries + c->gave_up > 0)
        fprintf(out, "  %-22s %s; recipients given up: %s, of %s messages\n", "retries",
                show_count(c->retries).text, show_count(c->gave_up).text,
                show_count(c->messages_given_up).text);
}

static void put_self(const struct load_report *r, FILE *out)
{
    const struct load_stats *s = r->stats;
    fputs("\nGenerator\n", out);
    if (r->is_open_loop) {
        fprintf(out, "  %-22s p50 %s, p99 %s, p99.9 %s, max %s\n", "own lag",
                show_ns(hist_quantile(&s->start_lag, 0.5)).text,
                show_ns(hist_quantile(&s->start_lag, 0.99)).text,
                show_ns(hist_quantile(&s->start_lag, 0.999)).text, show_ns(s->start_lag.max).text);
        fprintf(out, "  %-22s %s planned starts waited for the in-flight cap\n", "cap hits",
                show_count(s->counters.cap_hits).text);
    }
    fprintf(out, "  %-22s %s", "processor time", show_seconds(r->cpu_seconds).text);
    if (s->counters.finished > 0) {
        double each = r->cpu_seconds * 1e9 / (double)s->counters.finished;
        fprintf(out, ", %s a message", show_ns((uint64_t)llround(fmax(each, 0))).text);
    }
    fputc('\n', out);
}

void report_text(const struct load_report *r, FILE *out)
{
    put_where(r, out);
    put_verdict(r, out);
    put_rates(r, out);
    put_latency(r, out);
    put_outcomes(r->stats, out);
    put_dialects(&r->stats->counters, out);
    put_faults(r->stats, out);
    put_self(r, out);
    if (!r->is_result)
        put_verdict(r, out); /* the end is what is looked at */
}
