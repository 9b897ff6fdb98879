/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heat.h - a map of values as inline SVG: one cell for each pair of a row and a column, coloured by
 * its value, with the value in it where there is room. Rows and columns may have labels on several
 * levels. Colours come from the style sheet of the page (page.h): from pale to dark in the light,
 * from dark to pale in the dark, so that those who see few colours tell them apart by brightness.
 */
#ifndef LOAD_HEAT_H
#define LOAD_HEAT_H

#include "load/show.h"

#define HEAT_STEPS 8 /* of colour, above that of 0 */
#define HEAT_LEVELS_MAX 8
#define HEAT_HOVER_BYTES_MAX 400

struct heat_axis {
    uint32_t count;
    uint32_t level_count; /* of labels, the outermost first; at least one */
    const char *names[HEAT_LEVELS_MAX];
    const char *const *labels; /* level by level: labels[level * count + i] */
};

struct heat_cell {
    double value;   /* NAN: nothing there */
    bool is_marked; /* a corner is drawn; the page says what that means */
    bool is_off;    /* a frame around it, and a "!" */
};

struct heat_scale {
    uint32_t count;            /* steps that are in use; 0: no value is above 0 */
    double bounds[HEAT_STEPS]; /* the largest value of each step */
    bool is_exact;             /* a step has one value */
};

struct heat {
    const char *id; /* unique in the page */
    const char *title;
    const char *description; /* for those who cannot see it */
    struct heat_axis x, y;
    const struct heat_cell *cells; /* row by row */
    const struct heat_scale *scale;
    /* The text that shows when a cell is pointed at, at most HEAT_HOVER_BYTES_MAX; NULL: none. */
    void (*hover)(const void *context, uint32_t x, uint32_t y, char *to, size_t cap);
    const void *context;
};

/* heat_scale_fit() - steps for values from @low, the least above 0, to @high; whole numbers to 8
 * have a step each. @high at or below 0, or no number: no steps. */
void heat_scale_fit(struct heat_scale *s, double low, double high, bool is_whole);

/* heat_scale_step() - 0 for values that are not above 0, else from 1. */
uint32_t heat_scale_step(const struct heat_scale *s, double value);

/* heat_show() - a value in at most six letters: "0", "0.354", "190", "2.5e7". */
struct shown heat_show(double value);

/* heat_svg() - the map, as large as it needs to be read: its place may have to scroll. */
void heat_svg(const struct heat *h, FILE *out);

/* heat_legend() - what the colours of @s stand for; @mark: what a corner means, NULL: there is
 * none; @off: the same of a frame. */
void heat_legend(const struct heat_scale *s, const char *mark, const char *off, FILE *out);

#endif
