/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_json.c - writes a report with everything in it. Integers stand exact, also above 2^53;
 * where a reader that uses doubles must not round (the run, sums), they are hexadecimal strings.
 */
#include "load/json_put.h"
#include "load/outfile.h"
#include "load/report_field.h"
#include <inttypes.h>
#include <string.h>

static void put_plain(const struct load_report *r, FILE *out)
{
    fprintf(out, "{\n\"format\": \"%s\",\n\"format_version\": %d,\n\"run\": \"%016" PRIx64 "\",\n",
            REPORT_FORMAT, REPORT_FORMAT_VERSION, r->run);
    for (size_t i = 0; i < report_text_count; i++) {
        fprintf(out, "\"%s\": ", report_texts[i].name);
        json_put_string(out, report_field_in(r, &report_texts[i]));
        fputs(",\n", out);
    }
    for (size_t i = 0; i < report_double_count; i++) {
        double value;
        memcpy(&value, report_field_in(r, &report_doubles[i]), sizeof(value));
        fprintf(out, "\"%s\": ", report_doubles[i].name);
        json_put_double(out, value);
        fputs(",\n", out);
    }
    for (size_t i = 0; i < report_bool_count; i++) {
        const bool *value = report_field_in(r, &report_bools[i]);
        fprintf(out, "\"%s\": %s,\n", report_bools[i].name, *value ? "true" : "false");
    }
    fprintf(out, "\"cpu_count\": %u,\n\"options\": [", r->cpu_count);
    for (uint32_t i = 0; i < r->option_count; i++) {
        fprintf(out, "%s\n  {\"name\": ", i > 0 ? "," : "");
        json_put_string(out, r->options[i].name);
        fputs(", \"value\": ", out);
        json_put_string(out, r->options[i].value);
        fputc('}', out);
    }
    fputs("],\n", out);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static const char *fate_word(uint32_t i)
{
    return attempt_fate_name(i);
}

static const char *cause_word(uint32_t i)
{
    return attempt_cause_name(i);
}

static const char *phase_word(uint32_t i)
{
    return load_reply_phase_name(i);
}

static void put_words(FILE *out, const char *name, const uint64_t *counts, uint32_t count,
                      const char *(*word)(uint32_t))
{
    fprintf(out, ",\n  \"%s\": {", name);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "", word(i), counts[i]);
    fputc('}', out);
}

static void put_dialects(const struct load_counters *c, FILE *out)
{
    fputs(",\n  \"dialects\": {", out);
    for (uint32_t d = 0; d < DIALECT_COUNT; d++) {
        const struct load_dialect *l = &c->dialects[d];
        fprintf(out, "%s\n    \"%s\": {\"transactions\": %" PRIu64 ", \"blocks\": %" PRIu64,
                d > 0 ? "," : "", dialect_name((enum dialect)d), l->transactions, l->blocks);
        for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
            fprintf(out, ", \"%s\": %" PRIu64, attempt_fate_name(f), l->rcpts[f]);
        fputc('}', out);
    }
    fputc('}', out);
}

static void put_counters(const struct load_counters *c, FILE *out)
{
    fputs("\"counters\": {", out);
    for (size_t i = 0; i < report_counter_count; i++) {
        const uint64_t *value = report_field_in(c, &report_counters[i]);
        fprintf(out, "%s\n  \"%s\": %" PRIu64, i > 0 ? "," : "", report_counters[i].name, *value);
    }
    put_words(out, "rcpts", c->rcpts, ATTEMPT_FATE_COUNT, fate_word);
    put_words(out, "causes", c->causes, ATTEMPT_CAUSE_COUNT, cause_word);
    put_words(out, "timeouts", c->timeouts, CLIENT_PHASE_COUNT, phase_word);
    put_dialects(c, out);
    fputs("\n},\n", out);
}

static void put_outcomes(const struct load_stats *s, FILE *out)
{
    fputs("\"outcomes\": [", out);
    for (uint32_t i = 0; i < s->outcome_count; i++) {
        const struct load_outcome *o = &s->outcomes[i];
        fprintf(out,
                "%s\n  {\"phase\": \"%s\", \"code\": %u, \"enhanced\": [%u, %u, %u], \"count\": "
                "%" PRIu64 "}",
                i > 0 ? "," : "", load_reply_phase_name(o->phase), o->code, o->enhanced[0],
                o->enhanced[1], o->enhanced[2], o->count);
    }
    fputs("],\n", out);
}

static void put_series(const struct load_stats *s, FILE *out)
{
    fprintf(out, "\"measure_after_ns\": %" PRIu64 ",\n\"series\": {\n  \"columns\": [",
            s->measure_at - u64_min(s->began_at, s->measure_at));
    for (size_t i = 0; i < report_second_count; i++)
        fprintf(out, "%s\"%s\"", i > 0 ? ", " : "", report_seconds[i].name);
    fputs("],\n  \"rows\": [", out);
    for (uint32_t row = 0; row < s->second_count; row++) {
        fputs(row > 0 ? ",\n    [" : "\n    [", out);
        for (size_t i = 0; i < report_second_count; i++) {
            const uint64_t *value = report_field_in(&s->seconds[row], &report_seconds[i]);
            fprintf(out, "%s%" PRIu64, i > 0 ? ", " : "", *value);
        }
        fputc(']', out);
    }
    fputs("]\n},\n", out);
}

/* The quantiles are for readers in a hurry; reading back uses the buckets: [smallest value, count].
 */
static void put_hist(const struct hist *h, FILE *out)
{
    static const struct {
        const char *name;
        double share;
    } quantiles[] = {
        {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999},
    };
    fprintf(out, "{\"count\": %" PRIu64, h->total);
    if (h->total > 0) {
        fprintf(out, ", \"min\": %" PRIu64 ", \"max\": %" PRIu64 ", \"mean\": ", h->min, h->max);
        json_put_double(out, hist_mean(h));
        for (size_t i = 0; i < ARRAY_COUNT(quantiles); i++)
            fprintf(out, ", \"%s\": %" PRIu64, quantiles[i].name,
                    hist_quantile(h, quantiles[i].share));
        fprintf(out, ",\n    \"sum\": \"%016" PRIx64 "%016" PRIx64 "\"", h->sum[1], h->sum[0]);
    }
    fprintf(out, ", \"sub_bits\": %u, \"top_bits\": %u, \"buckets\": [", h->sub_bits, h->top_bits);
    struct hist_bucket b;
    const char *between = "";
    for (uint32_t idx = 0; hist_next(h, &idx, &b); between = ", ")
        fprintf(out, "%s[%" PRIu64 ", %" PRIu64 "]", between, b.low, b.count);
    fputs("]}", out);
}

static void put_hists(const struct load_stats *s, FILE *out)
{
    fputs("\"latency_ns\": {", out);
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++) {
        fprintf(out, "%s\n  \"%s\": {\n   \"planned\": ", p > 0 ? "," : "", load_phase_name(p));
        put_hist(&s->planned[p], out);
        fputs(",\n   \"actual\": ", out);
        put_hist(&s->actual[p], out);
        fputc('}', out);
    }
    fputs("},\n\"dot_to_reply_k_ns\": [", out);
    for (uint32_t k = 0; k < LOAD_REPLY_K_MAX; k++) {
        fputs(k > 0 ? ",\n  " : "\n  ", out);
        put_hist(&s->reply_k[k], out);
    }
    fputs("],\n\"start_lag_ns\": ", out);
    put_hist(&s->start_lag, out);
    fputs(",\n\"content_bytes\": ", out);
    put_hist(&s->sizes, out);
    fputs("\n}\n", out);
}

int report_json(const struct load_report *r, const char *path)
{
    struct outfile o;
    int result = outfile_open(&o, path);
    if (result != 0)
        return result;
    put_plain(r, o.file);
    put_counters(&r->stats->counters, o.file);
    put_outcomes(r->stats, o.file);
    put_series(r->stats, o.file);
    put_hists(r->stats, o.file);
    return outfile_end(&o);
}
