/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plot.h - one chart as inline SVG: axes, lines or stacked areas, marks. Colours, and so light and
 * dark, come from the style sheet of the page (page.h) by class. Needs no script.
 */
#ifndef LOAD_PLOT_H
#define LOAD_PLOT_H

#include "load/show.h"

#define PLOT_WIDTH 960
#define PLOT_HEIGHT 340

enum plot_scale {
    PLOT_LINEAR,
    PLOT_LOG,   /* values at or below 0 stand on the lower edge */
    PLOT_LOG2,  /* the same, with ticks at powers of two */
    PLOT_TIME,  /* linear, in seconds, with ticks at round times */
    PLOT_NINES, /* -log10(1 - share): 1 is 90 %, 2 is 99 % ... */
};

struct plot_axis {
    enum plot_scale scale;
    double min, max; /* plot_axis_fit() makes good ones */
    const char *label;
    struct shown (*show)(double value); /* a tick's text; not for TIME and NINES */
};

struct plot_line {
    const char *name;  /* in the legend */
    const char *class; /* "c1" .. "c8", see page.c */
    const double *x, *y;
    uint32_t count;           /* NAN in @y: nothing there, the line is interrupted */
    const double *low, *high; /* of a band around it, @count of each; NULL: none; NAN: not here */
};
#define PLOT_LINES_MAX 8

struct plot_mark { /* a point with a text that shows when pointed at */
    const char *class;
    double x, y;
    char text[64];
};

struct plot_hover { /* a column with a text that shows when pointed at */
    double from, to;
    char text[256];
};

struct plot {
    const char *id; /* unique in the page */
    const char *title;
    const char *description; /* for those who cannot see it */
    uint32_t width, height;  /* of the view box; 0: PLOT_WIDTH, PLOT_HEIGHT */
    struct plot_axis x, y;
    struct plot_line lines[PLOT_LINES_MAX];
    uint32_t line_count;
    bool is_bars;    /* of the first line: bar i from x[i] to x[i + 1], so @x has one more */
    bool is_stacked; /* areas, the first at the bottom; all lines have the same @x */
    bool has_legend_outside; /* plot_legend() writes it where there is room */
    double shade_until;      /* on the x axis; <= min: no shade */
    const char *shade_label; /* with a shade */
    const struct plot_mark *marks;
    uint32_t mark_count;
    const struct plot_hover *hovers;
    uint32_t hover_count;
};

/*
 * plot_axis_fit() - limits that hold @low to @high, at round values; for all scales but LOG2 and
 * NINES Also for @low == @high, and for values that are no numbers: then 0 to 1, or a decade.
 */
void plot_axis_fit(struct plot_axis *a, double low, double high);

#define PLOT_TICKS_MAX 24
/* plot_ticks() - where an axis is ticked, in order, at most PLOT_TICKS_MAX. */
uint32_t plot_ticks(const struct plot_axis *a, double *ret_ticks);

/* plot_show_time() - "0:05", "1:30", "2:00:00" of seconds. */
struct shown plot_show_time(double seconds);
/* plot_show_nines() - "0 %", "50 %", "99.9 %" of a value on the NINES axis. */
struct shown plot_show_nines(double nines);
struct shown plot_show_ns(double ns);
struct shown plot_show_rate(double rate);
struct shown plot_show_bytes(double bytes);

/* plot_legend() - the names of the lines with a sample of each, as a list above the chart. */
void plot_legend(const struct plot *p, FILE *out);

/* plot_svg() - the chart; without a line to show it says so in its middle. */
void plot_svg(const struct plot *p, FILE *out);

#endif
