/* SPDX-License-Identifier: Apache-2.0 */
/* result_tell.c - owns the sentences about a result; see result_tell.h. */
#include "lab/result_tell.h"
#include "lab/result_table.h"
#include "load/show.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void lab_tell_point_name(const struct lab_result_experiment *e, uint32_t idx, FILE *out)
{
    fprintf(out, "point %u", idx);
    for (uint32_t a = 0; a < e->axis_count; a++)
        fprintf(out, "%s%s = %s", a == 0 ? " (" : ", ", e->axes[a].name,
                e->axes[a].values[e->points[idx].at[a]].text);
    fputs(e->axis_count > 0 ? ")" : "", out);
}

static void tell_off(const struct lab_result *r, const struct lab_result_experiment *e,
                     uint32_t idx, uint32_t mode, const struct lab_summary *s, FILE *out)
{
    const struct lab_result_point *p = &e->points[idx];
    char measured[LAB_CELL_BYTES_MAX], theory[LAB_CELL_BYTES_MAX];
    char low[LAB_CELL_BYTES_MAX], high[LAB_CELL_BYTES_MAX];
    bool is_total = !s->is_off_first && s->is_off_total;
    fputs("! ", out);
    lab_tell_point_name(e, idx, out);
    if (!s->is_off_first && !s->is_off_total) {
        lab_put_value(measured, s->livelock.mean);
        fprintf(out, ": %s of the messages never got on by %s; by theory %s\n", measured,
                r->modes[mode].name, p->theory.is_livelock ? "all" : "none");
        return;
    }
    lab_put_value(measured, is_total ? s->copies_total.mean : s->copies_first.mean);
    lab_put_value(theory, is_total ? p->theory.copies_total : p->theory.copies_first);
    lab_put_value(low, is_total ? s->sure_total.low : s->sure_first.low);
    lab_put_value(high, is_total ? s->sure_total.high : s->sure_first.high);
    fprintf(
        out,
        ": %s copies a message %s by %s, %s by theory (%s); what is measured stands for %s to %s\n",
        measured, is_total ? "in all tries" : "of the first try", r->modes[mode].name, theory,
        p->theory.rule, low, high);
}

uint32_t lab_tell_deviations(const struct lab_result *r, const struct lab_result_experiment *e,
                             FILE *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < e->point_count; i++) {
        for (uint32_t m = 0; m < r->mode_count; m++) {
            struct lab_summary s;
            if (!lab_summary_make(&e->points[i], m, &s))
                continue;
            if (!s.is_off_first && !s.is_off_total && !s.is_off_livelock)
                continue;
            tell_off(r, e, i, m, &s, out);
            count++;
        }
    }
    return count;
}

/* False: there is none at all. */
bool lab_tell_why_none(const struct lab_result_experiment *e, FILE *out)
{
    uint32_t count = 0;
    const char *first = NULL;
    for (uint32_t i = 0; i < e->point_count; i++) {
        if (e->points[i].theory.why_none == NULL)
            continue;
        first = first == NULL ? e->points[i].theory.why_none : first;
        count++;
    }
    if (count == e->point_count)
        fprintf(out, "No closed form: %s.\n", first);
    else if (count > 0)
        fprintf(out, "No closed form for %u of %u points (%s).\n", count, e->point_count, first);
    return count < e->point_count;
}

/* The same reason of many points is told once. */
void lab_tell_not_run(const struct lab_result *r, const struct lab_result_experiment *e, FILE *out)
{
    for (uint32_t m = 0; m < r->mode_count; m++) {
        for (uint32_t i = 0; i < e->point_count; i++) {
            const char *reason = e->points[i].not_run[m];
            uint32_t count = 0, before = 0;
            for (uint32_t k = 0; reason != NULL && k < e->point_count; k++) {
                const char *other = e->points[k].not_run[m];
                bool is_same = other != NULL && strcmp(reason, other) == 0;
                count += is_same;
                before += is_same && k < i;
            }
            if (count > 0 && before == 0)
                fprintf(out, "Not run %s, %u of %u points: %s.\n", r->modes[m].name, count,
                        e->point_count, reason);
        }
    }
}

/* Of the runs of a mode at points with one time scale. */
struct precision {
    bool has_run;
    clock_ns late_ns, precision_ns;
};

static struct precision precision_of(const struct lab_result_experiment *e, uint32_t mode,
                                     clock_ns time_scale_ns)
{
    struct precision all = {.has_run = false};
    for (uint32_t i = 0; i < e->point_count; i++) {
        const struct lab_result_point *p = &e->points[i];
        for (uint32_t k = 0; k < p->run_count && p->time_scale_ns == time_scale_ns; k++) {
            if (p->runs[k].mode != mode)
                continue;
            all.has_run = true;
            all.late_ns = u64_max(all.late_ns, p->runs[k].late_ns);
            all.precision_ns = u64_max(all.precision_ns, p->precision_ns[mode]);
        }
    }
    return all;
}

static bool is_first_of_scale(const struct lab_result_experiment *e, uint32_t idx)
{
    for (uint32_t i = 0; i < idx; i++)
        if (e->points[i].time_scale_ns == e->points[idx].time_scale_ns)
            return false;
    return true;
}

/* A line for each time scale: how exactly times were kept, and what that is in real time. */
void lab_tell_precision(const struct lab_result *r, const struct lab_result_experiment *e,
                        FILE *out)
{
    for (uint32_t m = 0; m < r->mode_count; m++) {
        for (uint32_t i = 0; i < e->point_count; i++) {
            clock_ns scale_ns = e->points[i].time_scale_ns;
            if (!is_first_of_scale(e, i))
                continue;
            struct precision p = precision_of(e, m, scale_ns);
            if (!p.has_run || p.precision_ns == 0)
                continue;
            struct shown scale = show_ns(scale_ns);
            struct shown late = show_seconds((double)p.late_ns / 1e9);
            struct shown precision = show_seconds((double)p.precision_ns / 1e9);
            fprintf(out,
                    "%s: a second took %s. The programs were late by up to %s of the model; what "
                    "is due nearer than %s to a limit may be on either side.\n",
                    r->modes[m].name, scale.text, late.text, precision.text);
        }
    }
}

/* Of an event that was not seen among so many messages the share is below 3 / messages (95 %). */
static void tell_none_seen(uint64_t messages, double times, FILE *out)
{
    double bound = ceil(3 * times / (double)messages);
    fprintf(out, " (< %s)", show_count((uint64_t)bound).text);
}

/* Means times messages; the interval too, so a few seeds of a rare event tell that they do. */
void lab_tell_projection(const struct lab_result *r, const struct lab_result_experiment *e,
                         FILE *out)
{
    static const struct {
        const char *name;
        size_t offset;
    } figures[] = {
        {"tries", offsetof(struct lab_summary, tries)}, /* never 0 */
        {"copies too many", offsetof(struct lab_summary, copies_total)},
        {"lost", offsetof(struct lab_summary, lost)},
    };
    if (e->projected == 0)
        return;
    fprintf(
        out,
        "Projected to %s messages; \"<\": in none that was run, so in fewer of these, with 95 %% "
        "confidence:\n",
        show_count(e->projected).text);
    for (uint32_t i = 0; i < e->point_count; i++) {
        for (uint32_t m = 0; m < r->mode_count; m++) {
            struct lab_summary s;
            if (!lab_summary_make(&e->points[i], m, &s))
                continue;
            fputs("  ", out);
            lab_tell_point_name(e, i, out);
            fprintf(out, ", %s:", r->modes[m].name);
            for (size_t f = 0; f < ARRAY_COUNT(figures); f++) {
                const struct lab_estimate *v = (const void *)((const char *)&s + figures[f].offset);
                double times = (double)e->projected;
                fprintf(out, "%s %s %s", f > 0 ? "," : "",
                        show_count((uint64_t)(v->mean * times + 0.5)).text, figures[f].name);
                if (v->mean <= 0)
                    tell_none_seen(s.messages, times, out);
                else if (v->has_interval && v->high > v->low)
                    fprintf(out, " (%s to %s)",
                            show_count((uint64_t)(fmax(v->low, 0) * times + 0.5)).text,
                            show_count((uint64_t)(v->high * times + 0.5)).text);
            }
            fputc('\n', out);
        }
    }
}
