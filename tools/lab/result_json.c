/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_json.c - owns how results are written as JSON, with everything in them. What stands under
 * "summary" is for other readers; result_read.c makes it anew.
 */
#include "lab/result.h"
#include "load/json_put.h"
#include <inttypes.h>
#include <string.h>

static void put_member(FILE *out, const char *name, const char *text)
{
    fprintf(out, "\"%s\": ", name);
    json_put_string(out, text);
    fputs(",\n", out);
}

static void put_modes(const struct lab_result *r, FILE *out)
{
    fputs("\"modes\": [", out);
    for (uint32_t m = 0; m < r->mode_count; m++) {
        fprintf(out, "%s\n  {\"name\": ", m > 0 ? "," : "");
        json_put_string(out, r->modes[m].name);
        fprintf(out, ", \"precision_ns\": %" PRIu64 ", \"note\": ", r->modes[m].precision_ns);
        json_put_string(out, r->modes[m].note);
        fputc('}', out);
    }
    fputs("],\n", out);
}

static void put_axes(const struct lab_result_experiment *e, FILE *out)
{
    fputs("  \"axes\": [", out);
    for (uint32_t a = 0; a < e->axis_count; a++) {
        const struct lab_axis *axis = &e->axes[a];
        fprintf(out, "%s\n    {\"name\": ", a > 0 ? "," : "");
        json_put_string(out, axis->name);
        fputs(", \"unit\": ", out);
        json_put_string(out, axis->unit);
        fputs(", \"values\": [", out);
        for (uint32_t i = 0; i < axis->count; i++) {
            fprintf(out, "%s{\"text\": ", i > 0 ? ", " : "");
            json_put_string(out, axis->values[i].text);
            if (axis->values[i].has_number) {
                fputs(", \"number\": ", out);
                json_put_double(out, axis->values[i].number);
            }
            fputc('}', out);
        }
        fputs("]}", out);
    }
    fputs("],\n  \"fixed\": [", out);
    for (uint32_t i = 0; i < e->fixed_count; i++) {
        fprintf(out, "%s\n    {\"name\": ", i > 0 ? "," : "");
        json_put_string(out, e->fixed[i].name);
        fputs(", \"text\": ", out);
        json_put_string(out, e->fixed[i].text);
        fputc('}', out);
    }
    fputs("],\n", out);
}

static void put_doubles(FILE *out, const double *values, uint32_t count)
{
    fputc('[', out);
    for (uint32_t i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", out);
        json_put_double(out, values[i]);
    }
    fputc(']', out);
}

static void put_theory(const struct lab_result *r, const struct lab_result_point *p, FILE *out)
{
    const struct lab_theory *t = &p->theory;
    fputs("     \"theory\": {\"rule\": ", out);
    json_put_string(out, t->rule);
    fputs(", \"why_none\": ", out);
    json_put_string(out, t->why_none != NULL ? t->why_none : "");
    fputs(", \"copies_first\": ", out);
    json_put_double(out, t->copies_first);
    fputs(", \"copies_first_sd\": ", out);
    json_put_double(out, t->copies_first_sd);
    fprintf(out,
            ",\n       \"has_total\": %s, \"copies_total\": ", t->has_total ? "true" : "false");
    json_put_double(out, t->copies_total);
    fputs(", \"copies_total_sd\": ", out);
    json_put_double(out, t->copies_total_sd);
    fprintf(out, ", \"is_livelock\": %s},\n     \"expected\": [",
            t->is_livelock ? "true" : "false");
    for (uint32_t m = 0; m < r->mode_count; m++) {
        const struct lab_expectation *e = &p->expected[m];
        const double values[] = {e->first_low, e->first_high, e->total_low, e->total_high};
        fputs(m > 0 ? ", " : "", out);
        put_doubles(out, values, ARRAY_COUNT(values));
    }
    fputs("],\n", out);
}

static void put_estimate(FILE *out, const char *name, const struct lab_estimate *e)
{
    fprintf(out, "\"%s\": {\"mean\": ", name);
    json_put_double(out, e->mean);
    if (e->has_interval) {
        fputs(", \"low\": ", out);
        json_put_double(out, e->low);
        fputs(", \"high\": ", out);
        json_put_double(out, e->high);
        fprintf(out, ", \"method\": \"%s\"", lab_method_name(e->method));
    }
    fputs("}, ", out);
}

static void put_summaries(const struct lab_result *r, const struct lab_result_point *p, FILE *out)
{
    const char *between = "";
    fputs("     \"summary\": {", out);
    for (uint32_t m = 0; m < r->mode_count; m++) {
        struct lab_summary s;
        if (!lab_summary_make(p, m, &s))
            continue;
        bool is_off = s.is_off_first || s.is_off_total || s.is_off_livelock;
        fprintf(out, "%s\n       \"%s\": {", between, r->modes[m].name);
        put_estimate(out, "copies_first", &s.copies_first);
        put_estimate(out, "copies_total", &s.copies_total);
        put_estimate(out, "lost", &s.lost);
        put_estimate(out, "tries", &s.tries);
        put_estimate(out, "unsettled", &s.unsettled);
        put_estimate(out, "livelock", &s.livelock);
        fprintf(out, "\"contradicts_theory\": %s}", is_off ? "true" : "false");
        between = ",";
    }
    fputs("},\n", out);
}

static void put_not_run(const struct lab_result *r, const struct lab_result_point *p, FILE *out)
{
    const char *between = "";
    fputs("     \"not_run\": {", out);
    for (uint32_t m = 0; m < r->mode_count; m++) {
        if (p->not_run[m] == NULL)
            continue;
        fprintf(out, "%s\"%s\": ", between, r->modes[m].name);
        json_put_string(out, p->not_run[m]);
        between = ", ";
    }
    fputs("},\n", out);
}

static void put_spread(FILE *out, const char *name, const struct lab_spread *s)
{
    fprintf(out, ",\n        \"%s\": {\"count\": %" PRIu64 ", \"mean\": ", name, s->count);
    json_put_double(out, s->mean);
    fprintf(out,
            ", \"min\": %" PRIu64 ", \"p50\": %" PRIu64 ", \"p90\": %" PRIu64 ", \"p99\": %" PRIu64
            ", \"max\": %" PRIu64 "}",
            s->min, s->p50, s->p90, s->p99, s->max);
}

static void put_ladder(const struct lab_run *run, FILE *out)
{
    static const char *const whos[] = {"client", "wire", "server"};
    static const char *const ways[] = {"none", "to-server", "to-client"};
    if (run->rung_count == 0)
        return;
    fprintf(out,
            ",\n        \"ladder\": {\"message\": %" PRIu64 ", \"left_out\": %" PRIu64
            ", \"rungs\": [",
            run->ladder_seq, run->rungs_left_out);
    for (uint32_t i = 0; i < run->rung_count; i++) {
        const struct rung *g = &run->rungs[i];
        fprintf(out, "%s\n         {\"at\": %" PRIu64 ", ", i > 0 ? "," : "", g->at);
        if (g->until != CLOCK_NEVER)
            fprintf(out, "\"until\": %" PRIu64 ", ", g->until);
        fprintf(out, "\"attempt\": %u, \"who\": \"%s\", \"way\": \"%s\", \"text\": ", g->attempt,
                whos[g->who], ways[g->way]);
        json_put_string(out, g->text);
        fputc('}', out);
    }
    fputs("]}", out);
}

static void put_run(const struct lab_result *r, const struct lab_run *run, FILE *out)
{
    fprintf(out, "\n       {\"mode\": \"%s\", \"seed\": %" PRIu64 ", \"real_s\": ",
            r->modes[run->mode].name, run->seed);
    json_put_double(out, run->real_s);
    fprintf(out, ", \"late_ns\": %" PRIu64 ",\n        \"numbers\": {", run->late_ns);
    for (size_t i = 0; i < lab_number_field_count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&run->numbers + lab_number_fields[i].offset, sizeof(value));
        fprintf(out, "%s\"%s\": %" PRIu64, i > 0 ? ", " : "", lab_number_fields[i].name, value);
    }
    fputc('}', out);
    put_spread(out, "dot_to_first_ns", &run->dot_to_first);
    put_spread(out, "dot_to_last_ns", &run->dot_to_last);
    put_spread(out, "settled_ns", &run->settled);
    fprintf(out,
            ",\n        \"series\": {\"width_ns\": %" PRIu64 ", \"columns\": [\"started\", "
            "\"retries\", \"in_work\", \"settled\", \"copies\"], \"rows\": [",
            run->series.width_ns);
    for (uint32_t i = 0; i < run->series.count; i++) {
        const struct lab_bucket *b = &run->series.at[i];
        fprintf(out, "%s[%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 "]",
                i > 0 ? ", " : "", b->started, b->retries, b->in_work, b->settled, b->copies);
    }
    fputs("]}", out);
    put_ladder(run, out);
    fputc('}', out);
}

static void put_point(const struct lab_result *r, const struct lab_result_experiment *e,
                      const struct lab_result_point *p, FILE *out)
{
    fputs("\n    {\"at\": [", out);
    for (uint32_t a = 0; a < e->axis_count; a++)
        fprintf(out, "%s%u", a > 0 ? ", " : "", p->at[a]);
    fprintf(out, "], \"recipients\": %u, \"time_scale_ns\": %" PRIu64 ", \"precision_ns\": [",
            p->rcpt_count, p->time_scale_ns);
    for (uint32_t m = 0; m < r->mode_count; m++)
        fprintf(out, "%s%" PRIu64, m > 0 ? ", " : "", p->precision_ns[m]);
    fputs("],\n", out);
    put_theory(r, p, out);
    put_summaries(r, p, out);
    put_not_run(r, p, out);
    fputs("     \"runs\": [", out);
    for (uint32_t i = 0; i < p->run_count; i++) {
        fputs(i > 0 ? "," : "", out);
        put_run(r, &p->runs[i], out);
    }
    fputs("]}", out);
}

void lab_result_json(const struct lab_result *r, FILE *out)
{
    fprintf(out, "{\n\"format\": \"%s\",\n\"format_version\": %d,\n", LAB_RESULT_FORMAT,
            LAB_RESULT_FORMAT_VERSION);
    put_member(out, "version", r->version);
    put_member(out, "kernel", r->kernel);
    put_member(out, "cpu", r->cpu);
    put_member(out, "command", r->command);
    put_member(out, "started", r->started);
    put_member(out, "path", r->path);
    put_member(out, "text", r->text);
    put_modes(r, out);
    fputs("\"experiments\": [", out);
    for (uint32_t i = 0; i < r->experiment_count; i++) {
        const struct lab_result_experiment *e = &r->experiments[i];
        fprintf(out, "%s\n{", i > 0 ? "," : "");
        put_member(out, "name", e->name);
        put_member(out, "title", e->title);
        put_member(out, "description", e->description);
        fprintf(out, "  \"projected\": %" PRIu64 ",\n", e->projected);
        put_axes(e, out);
        fputs("  \"points\": [", out);
        for (uint32_t p = 0; p < e->point_count; p++) {
            fputs(p > 0 ? "," : "", out);
            put_point(r, e, &e->points[p], out);
        }
        fputs("]}", out);
    }
    fputs("]\n}\n", out);
}
