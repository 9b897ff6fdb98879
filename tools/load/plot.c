/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plot.c - owns the geometry of charts: values to places in the view box, ticks, paths.
 *
 * Nothing is drawn outside of the frame: values are held at its edges. A path has a new point only
 * where it would be seen, so its size does not grow with that of the run.
 */
#include "load/plot.h"
#include "load/page.h"
#include <math.h>

#define LEFT 72
#define RIGHT 16
#define TOP 34
#define BOTTOM 46
#define VALUE_MAX 1e300  /* of an axis: room for rounding up */
#define SEEN 0.4         /* a smaller move is not */
#define DECADES_MAX 320  /* of doubles */
#define LETTER_WIDTH 6.6 /* in the legend, about */

/* --- axes ------------------------------------------------------------------------------------- */

/* The largest 1, 2 or 5 times a power of ten at or below @value > 0, or the least at or above. */
static double round_value(double value, bool is_up)
{
    static const double steps[] = {1, 2, 5, 10};
    double power = pow(10, floor(log10(value)));
    if (power <= 0 || !isfinite(power))
        return value;
    double best = is_up ? 10 * power : power;
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        double at = steps[i] * power;
        if (is_up && at >= value * (1 - 1e-9))
            return at;
        if (!is_up && at <= value * (1 + 1e-9))
            best = at;
    }
    return best;
}

/* Seconds between ticks that people count in. */
static double time_step(double about)
{
    static const double steps[] = {1,   2,   5,    10,   15,   30,    60,    120,   300,
                                   600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++)
        if (steps[i] >= about)
            return steps[i];
    return 86400 * ceil(about / 86400);
}

static double linear_step(const struct plot_axis *a)
{
    double span = a->max - a->min;
    return a->scale == PLOT_TIME ? time_step(span / 10) : round_value(span / 5, true);
}

void plot_axis_fit(struct plot_axis *a, double low, double high)
{
    bool is_log = a->scale == PLOT_LOG;
    if (!isfinite(low) || !isfinite(high) || low > high || (is_log && high <= 0)) {
        a->min = is_log ? 1 : 0;
        a->max = is_log ? 10 : 1;
        return;
    }
    high = fmin(high, VALUE_MAX);
    low = fmax(fmin(low, high), -VALUE_MAX);
    if (is_log) {
        a->min = round_value(low > 0 ? low : fmin(high, 1), false);
        a->max = round_value(high, true);
        if (a->max <= a->min * 2) {
            a->min = round_value(a->min / 2.5, false);
            a->max = round_value(a->max * 2.5, true);
        }
        return;
    }
    a->min = fmin(low, 0);
    a->max = high > a->min ? high : a->min + 1;
    if (a->scale == PLOT_LINEAR)
        a->max = ceil(a->max / linear_step(a) - 1e-9) * linear_step(a);
}

static uint32_t log_ticks(const struct plot_axis *a, double *ret_ticks)
{
    static const double within[] = {1, 2, 5};
    double decades = log10(a->max / a->min);
    double stride = ceil(decades / (PLOT_TICKS_MAX / 2));
    size_t per_decade = decades <= 2.5 ? 3 : 1;
    uint32_t count = 0;
    double first = floor(log10(a->min) + 1e-9);
    for (int i = 0; i <= DECADES_MAX; i++) {
        for (size_t k = 0; k < per_decade; k++) {
            double at = within[k] * pow(10, first + stride * i);
            if (at > a->max * (1 + 1e-9) || count == PLOT_TICKS_MAX)
                return count;
            if (at >= a->min * (1 - 1e-9))
                ret_ticks[count++] = at;
        }
    }
    return count;
}

static uint32_t log2_ticks(const struct plot_axis *a, double *ret_ticks)
{
    double stride = ceil(log2(a->max / a->min) / 9);
    double first = ceil(log2(a->min) - 1e-9);
    uint32_t count = 0;
    for (double at = exp2(first); at <= a->max * (1 + 1e-9) && count < PLOT_TICKS_MAX;
         at *= exp2(fmax(stride, 1)))
        ret_ticks[count++] = at;
    return count;
}

static uint32_t nines_ticks(const struct plot_axis *a, double *ret_ticks)
{
    uint32_t count = 0;
    ret_ticks[count++] = 0;
    if (a->max >= 0.302)
        ret_ticks[count++] = log10(2); /* 50 % */
    for (double at = 1; at <= a->max + 1e-9 && count < PLOT_TICKS_MAX; at++)
        ret_ticks[count++] = at;
    return count;
}

uint32_t plot_ticks(const struct plot_axis *a, double *ret_ticks)
{
    if (a->scale == PLOT_LOG)
        return log_ticks(a, ret_ticks);
    if (a->scale == PLOT_LOG2)
        return log2_ticks(a, ret_ticks);
    if (a->scale == PLOT_NINES)
        return nines_ticks(a, ret_ticks);
    double step = linear_step(a);
    double first = ceil(a->min / step - 1e-9);
    uint32_t count = 0;
    for (int i = 0; i < PLOT_TICKS_MAX; i++) {
        double at = (first + i) * step;
        if (at > a->max + 1e-9 * step)
            break;
        ret_ticks[count++] = at;
    }
    return count;
}

/* 0 at the beginning of the axis, 1 at its end. */
static double place(const struct plot_axis *a, double value)
{
    double at;
    if (a->scale == PLOT_LOG || a->scale == PLOT_LOG2)
        at = value > 0 ? log(value / a->min) / log(a->max / a->min) : 0;
    else
        at = (value - a->min) / (a->max - a->min);
    return at > 0 ? fmin(at, 1) : 0;
}

static int width_of(const struct plot *p)
{
    return p->width > 0 ? (int)p->width : PLOT_WIDTH;
}

static int height_of(const struct plot *p)
{
    return p->height > 0 ? (int)p->height : PLOT_HEIGHT;
}

static int frame_width(const struct plot *p)
{
    return width_of(p) - LEFT - RIGHT;
}

static int frame_height(const struct plot *p)
{
    return height_of(p) - TOP - BOTTOM;
}

static double place_x(const struct plot *p, double value)
{
    return LEFT + frame_width(p) * place(&p->x, value);
}

static double place_y(const struct plot *p, double value)
{
    return TOP + frame_height(p) * (1 - place(&p->y, value));
}

/* --- texts of ticks --------------------------------------------------------------------------- */

struct shown plot_show_time(double seconds)
{
    struct shown s;
    uint64_t whole = seconds > 0 && seconds < 1e15 ? (uint64_t)llround(seconds) : 0;
    unsigned sec = (unsigned)(whole % 60), min = (unsigned)(whole / 60 % 60);
    if (whole < 3600)
        snprintf(s.text, sizeof(s.text), "%u:%02u", min, sec);
    else
        snprintf(s.text, sizeof(s.text), "%llu:%02u:%02u", (unsigned long long)(whole / 3600), min,
                 sec);
    return s;
}

struct shown plot_show_nines(double nines)
{
    struct shown s;
    int digits = (int)fmax(0, fmin(ceil(nines - 1e-9) - 2, 17));
    snprintf(s.text, sizeof(s.text), "%.*f %%", digits, 100 * (1 - pow(10, -nines)));
    return s;
}

struct shown plot_show_ns(double ns)
{
    return show_ns(ns >= 0x1p64 ? UINT64_MAX : (uint64_t)fmax(ns, 0));
}

struct shown plot_show_rate(double rate)
{
    static const char units[] = "MGTP";
    struct shown s;
    size_t i = 0;
    if (rate < 1e6 || rate >= 0.9995e18) /* the latter as 1e+18 */
        return show_rate(rate < 1e6 ? rate : fmax(rate, 1e18));
    for (rate /= 1e6; rate >= 1000; i++)
        rate /= 1000;
    snprintf(s.text, sizeof(s.text), "%.3g %c", rate, units[i]);
    return s;
}

struct shown plot_show_bytes(double bytes)
{
    return show_bytes(bytes);
}

static struct shown show_tick(const struct plot_axis *a, double value)
{
    if (a->scale == PLOT_TIME)
        return plot_show_time(value);
    return a->scale == PLOT_NINES ? plot_show_nines(value) : a->show(value);
}

/* --- parts ------------------------------------------------------------------------------------ */

/* Of the ticks of the x axis each so many-th has room for its text. */
static uint32_t tick_stride(const struct plot *p, const double *ticks, uint32_t count)
{
    size_t letters = 1;
    for (uint32_t i = 0; i < count; i++)
        letters = size_max(letters, page_letter_count(show_tick(&p->x, ticks[i]).text));
    double wanted = count * (LETTER_WIDTH * (double)letters + 12);
    return (uint32_t)fmax(1, ceil(wanted / frame_width(p)));
}

static void put_axes(const struct plot *p, FILE *out)
{
    double ticks[PLOT_TICKS_MAX];
    uint32_t count = plot_ticks(&p->y, ticks);
    fputs("<g class=\"axis\">\n", out);
    for (uint32_t i = 0; i < count; i++) {
        double y = place_y(p, ticks[i]);
        fprintf(out, "<path class=\"grid\" d=\"M%d,%.1fH%d\"/>", LEFT, y, LEFT + frame_width(p));
        fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8, y + 4);
        page_text(out, show_tick(&p->y, ticks[i]).text);
        fputs("</text>\n", out);
    }
    count = plot_ticks(&p->x, ticks);
    uint32_t stride = tick_stride(p, ticks, count);
    for (uint32_t i = 0; i < count; i += stride) {
        double x = place_x(p, ticks[i]);
        /* a text at the end stays inside */
        const char *anchor = x > width_of(p) - RIGHT - 20 ? "end" : "middle";
        fprintf(out, "<path class=\"grid\" d=\"M%.1f,%dV%d\"/>", x, TOP, TOP + frame_height(p));
        fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">", x, TOP + frame_height(p) + 18,
                anchor);
        page_text(out, show_tick(&p->x, ticks[i]).text);
        fputs("</text>\n", out);
    }
    fprintf(out, "<path class=\"edge\" d=\"M%d,%dV%dH%d\"/>", LEFT, TOP, TOP + frame_height(p),
            LEFT + frame_width(p));
    fprintf(out, "<text class=\"name\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">",
            LEFT + frame_width(p) / 2.0, height_of(p) - 8);
    page_text(out, p->x.label);
    fprintf(out, "</text><text class=\"name\" x=\"%d\" y=\"%d\">", 4, 16);
    page_text(out, p->y.label);
    fputs("</text>\n</g>\n", out);
}

/* @is_over: above areas, which would cover it */
static void put_shade(const struct plot *p, bool is_over, FILE *out)
{
    if (!(p->shade_until > p->x.min) || (is_over && !p->is_stacked))
        return;
    fprintf(out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n",
            is_over ? "veil" : "shade", LEFT, TOP, place_x(p, p->shade_until) - LEFT,
            frame_height(p));
}

static void put_shade_label(const struct plot *p, FILE *out)
{
    if (!(p->shade_until > p->x.min) || place_x(p, p->shade_until) - LEFT < 54)
        return;
    fprintf(out, "<text class=\"note\" x=\"%d\" y=\"%d\">", LEFT + 6, TOP + 16);
    page_text(out, p->shade_label);
    fputs("</text>\n", out);
}

static void put_legend(const struct plot *p, FILE *out)
{
    double width = 0;
    for (uint32_t i = 0; i < p->line_count; i++)
        width += 42 + LETTER_WIDTH * (double)page_letter_count(p->lines[i].name);
    double x = width_of(p) - RIGHT - width + 12;
    for (uint32_t i = 0; i < p->line_count; i++) {
        const struct plot_line *l = &p->lines[i];
        if (p->is_stacked)
            fprintf(out, "<rect class=\"fill %s\" x=\"%.1f\" y=\"6\" width=\"20\" height=\"11\"/>",
                    l->class, x);
        else
            fprintf(out, "<path class=\"line %s\" d=\"M%.1f,12h22\"/>", l->class, x);
        fprintf(out, "<text class=\"legend\" x=\"%.1f\" y=\"16\">", x + 27);
        page_text(out, l->name);
        fputs("</text>\n", out);
        x += 42 + LETTER_WIDTH * (double)page_letter_count(l->name);
    }
}

static bool is_alone(const struct plot_line *l, uint32_t i)
{
    return (i == 0 || isnan(l->y[i - 1])) && (i + 1 == l->count || isnan(l->y[i + 1]));
}

static void put_line(const struct plot *p, const struct plot_line *l, FILE *out)
{
    bool is_drawing = false;
    double last_x = 0, last_y = 0;
    fprintf(out, "<path class=\"line %s\" d=\"", l->class);
    for (uint32_t i = 0; i < l->count; i++) {
        if (isnan(l->y[i])) {
            is_drawing = false;
            continue;
        }
        double x = place_x(p, l->x[i]), y = place_y(p, l->y[i]);
        bool is_last = i + 1 == l->count || isnan(l->y[i + 1]);
        if (is_drawing && !is_last && fabs(x - last_x) < SEEN && fabs(y - last_y) < SEEN)
            continue;
        fprintf(out, "%c%.1f,%.1f", is_drawing ? 'L' : 'M', x, y);
        if (is_alone(l, i)) /* a stroke of no length with round ends is a dot */
            fputs("h0.01", out);
        is_drawing = true;
        last_x = x;
        last_y = y;
    }
    fputs("\"/>\n", out);
    for (uint32_t i = 0; i < l->count; i++)
        if (!isnan(l->y[i]) && is_alone(l, i))
            fprintf(out, "<circle class=\"mark %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n",
                    l->class, place_x(p, l->x[i]), place_y(p, l->y[i]));
}

/* Between @low and @high of the line, one area for each part of it without a hole. */
static void put_band(const struct plot *p, const struct plot_line *l, FILE *out)
{
    if (l->low == NULL || l->high == NULL)
        return;
    fprintf(out, "<path class=\"band %s\" d=\"", l->class);
    for (uint32_t from = 0, to; from < l->count; from = to) {
        for (to = from; to < l->count && !isnan(l->low[to]) && !isnan(l->high[to]);)
            to++;
        for (uint32_t i = from; i < to; i++)
            fprintf(out, "%c%.1f,%.1f", i == from ? 'M' : 'L', place_x(p, l->x[i]),
                    place_y(p, l->high[i]));
        for (uint32_t i = to; i-- > from;)
            fprintf(out, "L%.1f,%.1f", place_x(p, l->x[i]), place_y(p, l->low[i]));
        if (to > from)
            fputc('Z', out);
        else
            to++;
    }
    fputs("\"/>\n", out);
}

/* The sum of the lines below @idx and of it, at point @i. */
static double height_at(const struct plot *p, uint32_t idx, uint32_t i)
{
    double sum = 0;
    for (uint32_t k = 0; k <= idx; k++)
        sum += isnan(p->lines[k].y[i]) ? 0 : p->lines[k].y[i];
    return sum;
}

/* A point is as wide as its distance to the next one: the area begins and ends half of it outside.
 */
static double area_x(const struct plot *p, const struct plot_line *l, uint32_t i)
{
    uint32_t last = l->count - 1;
    if (i == 0)
        return place_x(p, l->x[0] - (l->x[1] - l->x[0]) / 2);
    return place_x(p, i == last ? l->x[last] + (l->x[last] - l->x[last - 1]) / 2 : l->x[i]);
}

static void put_area(const struct plot *p, uint32_t idx, FILE *out)
{
    const struct plot_line *l = &p->lines[idx];
    if (l->count == 0)
        return;
    fprintf(out, "<path class=\"fill %s\" d=\"", l->class);
    if (l->count == 1) { /* nothing to tell how wide: all of it */
        double floor = idx == 0 ? 0 : height_at(p, idx - 1, 0);
        fprintf(out, "M%d,%.1fH%dV%.1fH%dZ", LEFT, place_y(p, height_at(p, idx, 0)),
                LEFT + frame_width(p), place_y(p, floor), LEFT);
    }
    for (uint32_t i = 0; i < l->count && l->count > 1; i++)
        fprintf(out, "%c%.1f,%.1f", i == 0 ? 'M' : 'L', area_x(p, l, i),
                place_y(p, height_at(p, idx, i)));
    for (uint32_t i = l->count; i-- > 0 && l->count > 1;)
        fprintf(out, "L%.1f,%.1f", area_x(p, l, i),
                place_y(p, idx == 0 ? 0 : height_at(p, idx - 1, i)));
    fputs(l->count > 1 ? "Z\"/>\n" : "\"/>\n", out);
}

static void put_bars(const struct plot *p, FILE *out)
{
    const struct plot_line *l = &p->lines[0];
    fprintf(out, "<path class=\"fill %s\" d=\"", l->class);
    for (uint32_t i = 0; i < l->count; i++) {
        double from = place_x(p, l->x[i]), to = place_x(p, l->x[i + 1]), y = place_y(p, l->y[i]);
        double gap = fmin((to - from) / 8, 2);
        if (l->y[i] > 0)
            fprintf(out, "M%.1f,%dV%.1fH%.1fV%dZ", from + gap, TOP + frame_height(p), y, to - gap,
                    TOP + frame_height(p));
    }
    fputs("\"/>\n", out);
}

static void put_pointed(const struct plot *p, FILE *out)
{
    for (uint32_t i = 0; i < p->hover_count; i++) {
        const struct plot_hover *h = &p->hovers[i];
        double from = place_x(p, h->from), to = place_x(p, h->to);
        fprintf(out,
                "<rect class=\"hover\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"><title>",
                from, TOP, to - from, frame_height(p));
        page_text(out, h->text);
        fputs("</title></rect>\n", out);
    }
    for (uint32_t i = 0; i < p->mark_count; i++) {
        const struct plot_mark *m = &p->marks[i];
        fprintf(out, "<circle class=\"mark %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>", m->class,
                place_x(p, m->x), place_y(p, m->y));
        page_text(out, m->text);
        fputs("</title></circle>\n", out);
    }
}

static bool is_empty(const struct plot *p)
{
    for (uint32_t k = 0; k < p->line_count; k++)
        for (uint32_t i = 0; i < p->lines[k].count; i++)
            if (!isnan(p->lines[k].y[i]))
                return false;
    return true;
}

void plot_svg(const struct plot *p, FILE *out)
{
    fprintf(out,
            "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" "
            "aria-labelledby=\"%s-t %s-d\">\n<title id=\"%s-t\">",
            width_of(p), height_of(p), p->id, p->id, p->id);
    page_text(out, p->title);
    fprintf(out, "</title>\n<desc id=\"%s-d\">", p->id);
    page_text(out, p->description);
    fputs("</desc>\n", out);
    put_shade(p, false, out);
    put_axes(p, out);
    if (is_empty(p)) {
        fprintf(out, "<text class=\"name\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">",
                width_of(p) / 2, TOP + frame_height(p) / 2);
        fputs("nothing was measured</text>\n</svg>\n", out);
        return;
    }
    if (p->is_bars)
        put_bars(p, out);
    for (uint32_t k = p->is_bars || p->is_stacked ? 0 : p->line_count; k-- > 0;)
        put_band(p, &p->lines[k], out);
    for (uint32_t k = p->is_bars ? 0 : p->line_count; k-- > 0;) {
        if (p->is_stacked)
            put_area(p, k, out);
        else
            put_line(p, &p->lines[k], out);
    }
    put_shade(p, true, out);
    put_shade_label(p, out);
    if (!p->is_bars && !p->has_legend_outside)
        put_legend(p, out);
    put_pointed(p, out);
    fputs("</svg>\n", out);
}

void plot_legend(const struct plot *p, FILE *out)
{
    fputs("<ul class=\"legend\">", out);
    for (uint32_t i = 0; i < p->line_count; i++) {
        fprintf(out,
                "<li><svg class=\"key wide\" viewBox=\"0 0 26 14\" aria-hidden=\"true\"><path "
                "class=\"line %s\" d=\"M2,7h22\"/></svg>",
                p->lines[i].class);
        page_text(out, p->lines[i].name);
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
}
