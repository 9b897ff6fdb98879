/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_csv.c - owns results as CSV (RFC 4180): one line a run, with everything that is known of
 * its point beside it. Axes of all experiments share the columns; who has no such axis leaves it
 * empty.
 */
#include "lab/result.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static void put_text(const char *text, FILE *out)
{
    if (text[strcspn(text, "\",\r\n")] == '\0') {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++)
        fprintf(out, "%s%c", *text == '"' ? "\"" : "", *text);
    fputc('"', out);
}

static int axis_find(const struct lab_result_experiment *e, const char *name)
{
    for (uint32_t a = 0; a < e->axis_count; a++)
        if (strcmp(e->axes[a].name, name) == 0)
            return (int)a;
    return -1;
}

/* Whether axis @a of experiment @idx is the first one of its name. */
static bool is_new(const struct lab_result *r, uint32_t idx, uint32_t a)
{
    for (uint32_t i = 0; i < idx; i++)
        if (axis_find(&r->experiments[i], r->experiments[idx].axes[a].name) >= 0)
            return false;
    return true;
}

static const struct {
    const char *name;
    size_t offset;
} spreads[] = {
    {"dot_to_first", offsetof(struct lab_run, dot_to_first)},
    {"dot_to_last", offsetof(struct lab_run, dot_to_last)},
    {"settled", offsetof(struct lab_run, settled)},
};

static void put_head(const struct lab_result *r, FILE *out)
{
    fputs("experiment,point,mode,seed", out);
    for (uint32_t i = 0; i < r->experiment_count; i++) {
        for (uint32_t a = 0; a < r->experiments[i].axis_count; a++) {
            if (!is_new(r, i, a))
                continue;
            fputc(',', out);
            put_text(r->experiments[i].axes[a].name, out);
        }
    }
    fputs(",rule,theory_copies_first,theory_copies_total,theory_livelock", out);
    for (size_t i = 0; i < lab_number_field_count; i++)
        fprintf(out, ",%s", lab_number_fields[i].name);
    for (size_t i = 0; i < ARRAY_COUNT(spreads); i++)
        fprintf(out, ",%s_count,%s_mean_ns,%s_p50_ns,%s_p90_ns,%s_p99_ns,%s_max_ns",
                spreads[i].name, spreads[i].name, spreads[i].name, spreads[i].name, spreads[i].name,
                spreads[i].name);
    fputs(",real_s,time_scale_ns,late_ns,precision_ns\n", out);
}

static void put_run(const struct lab_result *r, uint32_t idx, uint32_t point,
                    const struct lab_run *run, FILE *out)
{
    const struct lab_result_experiment *e = &r->experiments[idx];
    const struct lab_result_point *p = &e->points[point];
    fprintf(out, "%s,%u,%s,%" PRIu64, e->name, point, r->modes[run->mode].name, run->seed);
    for (uint32_t i = 0; i < r->experiment_count; i++) {
        for (uint32_t a = 0; a < r->experiments[i].axis_count; a++) {
            if (!is_new(r, i, a))
                continue;
            int own = axis_find(e, r->experiments[i].axes[a].name);
            fputc(',', out);
            if (own >= 0)
                put_text(e->axes[own].values[p->at[own]].text, out);
        }
    }
    fputc(',', out);
    put_text(p->theory.rule, out);
    if (p->theory.why_none != NULL)
        fputs(",,,", out);
    else if (!p->theory.has_total)
        fprintf(out, ",%.9g,,", p->theory.copies_first);
    else
        fprintf(out, ",%.9g,%.9g,%d", p->theory.copies_first, p->theory.copies_total,
                p->theory.is_livelock);
    for (size_t i = 0; i < lab_number_field_count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&run->numbers + lab_number_fields[i].offset, sizeof(value));
        fprintf(out, ",%" PRIu64, value);
    }
    for (size_t i = 0; i < ARRAY_COUNT(spreads); i++) {
        const struct lab_spread *s = (const void *)((const char *)run + spreads[i].offset);
        fprintf(out, ",%" PRIu64 ",%.0f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, s->count,
                s->mean, s->p50, s->p90, s->p99, s->max);
    }
    fprintf(out, ",%.6f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", run->real_s, p->time_scale_ns,
            run->late_ns, p->precision_ns[run->mode]);
}

void lab_result_csv(const struct lab_result *r, FILE *out)
{
    put_head(r, out);
    for (uint32_t i = 0; i < r->experiment_count; i++) {
        const struct lab_result_experiment *e = &r->experiments[i];
        for (uint32_t p = 0; p < e->point_count; p++)
            for (uint32_t k = 0; k < e->points[p].run_count; k++)
                put_run(r, i, p, &e->points[p].runs[k], out);
    }
}
