/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heat.c - owns the geometry of maps: how large cells are, where labels stand and which of them
 * have room.
 *
 * Labels of one level that are equal side by side are written once, over all of their cells; where
 * a label of an outer level changes, a gap is left. Labels of columns that are wider than their
 * cells stand upright.
 */
#include "load/heat.h"
#include "load/page.h"
#include <math.h>
#include <string.h>

#define LETTER_WIDTH 7.2 /* about; digits and small letters have less */
#define WIDTH_WANTED 900
#define HEIGHT_WANTED 2400
#define CELL_WIDTH_MIN 3.0
#define CELL_WIDTH_MAX 66.0
#define CELL_WIDTH_GOOD 38.0
#define CELL_HEIGHT_MIN 3.0
#define CELL_HEIGHT_MAX 24.0
#define GAP 5.0
#define PADDING 8.0
#define LINE 19.0        /* of labels of columns */
#define LABEL_LETTERS 36 /* longer ones are cut, and shown when pointed at */
#define UPRIGHT_LETTERS 36

/* --- values ----------------------------------------------------------------------------------- */

/* @value > 0 with two digits, not below it. */
static double two_digits_up(double value)
{
    double unit = pow(10, floor(log10(value)) - 1);
    if (unit <= 0 || !isfinite(unit))
        return value;
    double up = ceil(value / unit - 1e-9) * unit;
    return isfinite(up) ? up : value;
}

static void bound_add(struct heat_scale *s, double bound)
{
    if (s->count < HEAT_STEPS && (s->count == 0 || bound > s->bounds[s->count - 1]))
        s->bounds[s->count++] = bound;
}

void heat_scale_fit(struct heat_scale *s, double low, double high, bool is_whole)
{
    *s = (struct heat_scale){.count = 0};
    if (!isfinite(low) || !isfinite(high) || high <= 0 || low <= 0 || low > high)
        return;
    if (is_whole && high <= HEAT_STEPS) {
        s->is_exact = true;
        for (double at = floor(low); at <= high; at++)
            bound_add(s, at);
        return;
    }
    bool is_log = high / low > 6;
    for (int i = 1; i < HEAT_STEPS; i++) {
        double part = (double)i / HEAT_STEPS;
        double at = is_log ? low * pow(high / low, part) : low + (high - low) * part;
        double bound = is_whole ? ceil(two_digits_up(at)) : two_digits_up(at);
        if (bound < high)
            bound_add(s, bound);
    }
    bound_add(s, high);
}

uint32_t heat_scale_step(const struct heat_scale *s, double value)
{
    if (!(value > 0))
        return 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (value <= s->bounds[i])
            return i + 1;
    return s->count;
}

/* The colours of few steps are as far apart as those of many. */
static uint32_t colour_of(const struct heat_scale *s, uint32_t step)
{
    if (step == 0 || s->count <= 1)
        return step == 0 ? 0 : HEAT_STEPS / 2;
    return 1 + (step - 1) * (HEAT_STEPS - 1) / (s->count - 1);
}

struct shown heat_show(double value)
{
    struct shown s;
    double size = fabs(value);
    if (size > 0 && (size >= 999999.5 || size < 0.0005)) {
        int power = (int)floor(log10(size));
        snprintf(s.text, sizeof(s.text), "%.1fe%d", value / pow(10, power), power);
    } else if (fabs(value - round(value)) < 5e-7 || size >= 1000) {
        snprintf(s.text, sizeof(s.text), "%.0f", value);
    } else {
        snprintf(s.text, sizeof(s.text), "%.*f", size < 1 ? 3 : (size < 10 ? 2 : 1), value);
    }
    return s;
}

/* --- labels ----------------------------------------------------------------------------------- */

static const char *label(const struct heat_axis *a, uint32_t level, uint32_t i)
{
    return a->labels[(size_t)level * a->count + i];
}

/* Whether labels @i and @i - 1 differ on a level up to @level. */
static bool is_new(const struct heat_axis *a, uint32_t level, uint32_t i)
{
    for (uint32_t k = 0; k <= level && i > 0; k++)
        if (strcmp(label(a, k, i), label(a, k, i - 1)) != 0)
            return true;
    return i == 0;
}

static double gap_before(const struct heat_axis *a, uint32_t i)
{
    return i > 0 && a->level_count > 1 && is_new(a, a->level_count - 2, i) ? GAP : 0;
}

static double gaps_of(const struct heat_axis *a)
{
    double sum = 0;
    for (uint32_t i = 0; i < a->count; i++)
        sum += gap_before(a, i);
    return sum;
}

static size_t letters_of(const struct heat_axis *a, uint32_t level)
{
    size_t most = 1;
    for (uint32_t i = 0; i < a->count; i++)
        most = size_max(most, page_letter_count(label(a, level, i)));
    return size_min(most, LABEL_LETTERS);
}

/* @text, or its beginning and three dots where it has more than @letters. */
static void put_fitted(FILE *out, const char *text, size_t letters)
{
    char part[4 * LABEL_LETTERS + 8];
    size_t count = page_letter_count(text), len = 0;
    letters = size_min(letters, LABEL_LETTERS);
    if (count <= letters || letters == 0) {
        page_text(out, letters == 0 ? "" : text);
        return;
    }
    for (size_t seen = 0; len + 4 < sizeof(part); len++) {
        seen += ((uint8_t)text[len] & 0xC0) != 0x80;
        if (seen >= letters)
            break;
        part[len] = text[len];
    }
    part[len] = '\0';
    page_text(out, part);
    fputs("&#8230;<title>", out);
    page_text(out, text);
    fputs("</title>", out);
}

/* --- geometry --------------------------------------------------------------------------------- */

struct layout {
    double cell_width, cell_height;
    double row_labels[HEAT_LEVELS_MAX]; /* where each level begins */
    double left, top, width, height;
    bool is_upright;             /* the innermost labels of columns */
    uint32_t x_stride, y_stride; /* each so many-th innermost label is written */
};

static double label_width(size_t letters)
{
    return LETTER_WIDTH * (double)letters + PADDING;
}

static struct layout layout_of(const struct heat *h)
{
    struct layout l = {.left = 2};
    size_t name_letters = 0;
    for (uint32_t k = 0; k < h->y.level_count; k++) {
        l.row_labels[k] = l.left;
        size_t letters = size_max(letters_of(&h->y, k),
                                  size_min(page_letter_count(h->y.names[k]), LABEL_LETTERS));
        l.left += label_width(letters);
    }
    for (uint32_t k = 0; k < h->x.level_count; k++)
        name_letters = size_max(name_letters, page_letter_count(h->x.names[k]));
    l.left += label_width(size_min(name_letters, LABEL_LETTERS));

    size_t cell_letters = 1;
    for (size_t i = 0; i < (size_t)h->x.count * h->y.count; i++)
        if (!isnan(h->cells[i].value))
            cell_letters = size_max(cell_letters, strlen(heat_show(h->cells[i].value).text) +
                                                      (h->cells[i].is_off ? 2 : 0));
    double room = (WIDTH_WANTED - l.left - gaps_of(&h->x)) / h->x.count;
    double wanted = label_width(letters_of(&h->x, h->x.level_count - 1));
    l.cell_width =
        fmin(fmax(fmax(wanted, CELL_WIDTH_GOOD), label_width(cell_letters)), CELL_WIDTH_MAX);
    l.cell_width = fmax(fmin(l.cell_width, room), CELL_WIDTH_MIN);
    l.is_upright = wanted > l.cell_width;
    l.x_stride = (uint32_t)ceil(14 / l.cell_width);
    double lines = HEIGHT_WANTED / (double)h->y.count;
    l.cell_height = fmax(fmin(CELL_HEIGHT_MAX, lines), CELL_HEIGHT_MIN);
    l.y_stride = (uint32_t)ceil(14 / l.cell_height);

    size_t upright = size_min(letters_of(&h->x, h->x.level_count - 1), UPRIGHT_LETTERS);
    l.top = LINE * (h->x.level_count - 1) + (l.is_upright ? label_width(upright) : LINE) + 4;
    l.width = l.left + l.cell_width * h->x.count + gaps_of(&h->x) + 2;
    l.height = l.top + l.cell_height * h->y.count + gaps_of(&h->y) + 2;
    return l;
}

/* --- parts ------------------------------------------------------------------------------------ */

static void put_names(const struct heat *h, const struct layout *l, FILE *out)
{
    for (uint32_t k = 0; k < h->y.level_count; k++) {
        fprintf(out, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">", l->row_labels[k], l->top - 8);
        put_fitted(out, h->y.names[k], LABEL_LETTERS);
        fputs("</text>\n", out);
    }
    for (uint32_t k = 0; k < h->x.level_count; k++) {
        bool is_inner = k + 1 == h->x.level_count;
        fprintf(out, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", l->left - 8,
                is_inner ? l->top - 8 : LINE * (k + 1) - 5);
        put_fitted(out, h->x.names[k], LABEL_LETTERS);
        fputs("</text>\n", out);
    }
}

/* Outer levels: over the middle of all cells that have the label. */
static void put_column_spans(const struct heat *h, const struct layout *l, uint32_t level,
                             FILE *out)
{
    double x = l->left;
    for (uint32_t i = 0; i < h->x.count;) {
        double from = x + gap_before(&h->x, i);
        uint32_t first = i;
        x = from + l->cell_width;
        for (i++; i < h->x.count && !is_new(&h->x, level, i); i++)
            x += gap_before(&h->x, i) + l->cell_width;
        fprintf(out,
                "<path class=\"edge\" d=\"M%.1f,%.1fH%.1f\"/><text class=\"label\" x=\"%.1f\" "
                "y=\"%.1f\" text-anchor=\"middle\">",
                from + 1, LINE * (level + 1), x - 1, (from + x) / 2, LINE * (level + 1) - 5);
        put_fitted(out, label(&h->x, level, first), (size_t)((x - from) / LETTER_WIDTH));
        fputs("</text>\n", out);
    }
}

static void put_column_labels(const struct heat *h, const struct layout *l, FILE *out)
{
    uint32_t inner = h->x.level_count - 1;
    double x = l->left;
    for (uint32_t level = 0; level < inner; level++)
        put_column_spans(h, l, level, out);
    for (uint32_t i = 0; i < h->x.count; i++) {
        x += gap_before(&h->x, i);
        double middle = x + l->cell_width / 2;
        x += l->cell_width;
        if (i % l->x_stride != 0)
            continue;
        if (l->is_upright)
            fprintf(out, "<text class=\"label\" transform=\"translate(%.1f %.1f) rotate(-90)\">",
                    middle + 4, l->top - 6);
        else
            fprintf(out, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                    middle, l->top - 8);
        put_fitted(out, label(&h->x, inner, i), l->is_upright ? UPRIGHT_LETTERS : LABEL_LETTERS);
        fputs("</text>\n", out);
    }
}

static void put_row_labels(const struct heat *h, const struct layout *l, FILE *out)
{
    double y = l->top;
    for (uint32_t i = 0; i < h->y.count; i++) {
        y += gap_before(&h->y, i);
        for (uint32_t k = 0; k < h->y.level_count; k++) {
            bool is_inner = k + 1 == h->y.level_count;
            if (is_inner ? i % l->y_stride != 0 : !is_new(&h->y, k, i))
                continue;
            fprintf(out, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\">", l->row_labels[k],
                    y + fmin(l->cell_height, CELL_HEIGHT_MAX) / 2 + 4);
            put_fitted(out, label(&h->y, k, i), LABEL_LETTERS);
            fputs("</text>\n", out);
        }
        y += l->cell_height;
    }
}

static void put_cell_text(const struct heat_cell *c, const struct layout *l, uint32_t colour,
                          double x, double y, FILE *out)
{
    struct shown text = heat_show(c->value);
    double letters = (double)strlen(text.text) + (c->is_off ? 1.5 : 0);
    if (l->cell_height < 14 || letters * 6.6 + 2 > l->cell_width)
        return;
    fprintf(out, "<text class=\"t%u\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s%s</text>",
            colour, x + l->cell_width / 2, y + l->cell_height / 2 + 4, text.text,
            c->is_off ? " !" : "");
}

static void put_cell(const struct heat *h, const struct layout *l, uint32_t column, uint32_t row,
                     double x, double y, FILE *out)
{
    const struct heat_cell *c = &h->cells[(size_t)row * h->x.count + column];
    char hover[HEAT_HOVER_BYTES_MAX] = "";
    if (isnan(c->value))
        return;
    uint32_t colour = colour_of(h->scale, heat_scale_step(h->scale, c->value));
    double seam = l->cell_width >= 8 ? 1 : 0;
    fputs("<g>", out);
    if (h->hover != NULL) {
        h->hover(h->context, column, row, hover, sizeof(hover));
        fputs("<title>", out);
        page_text(out, hover);
        fputs("</title>", out);
    }
    fprintf(out, "<rect class=\"h%u%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
            colour, c->is_off ? " off" : "", x, y, l->cell_width - seam,
            l->cell_height - (l->cell_height >= 8 ? 1 : 0));
    put_cell_text(c, l, colour, x, y, out);
    if (c->is_marked && l->cell_width >= 8 && l->cell_height >= 8)
        fprintf(out, "<path class=\"k%u\" d=\"M%.1f,%.1fh-7l7,7z\"/>", colour,
                x + l->cell_width - seam, y);
    fputs("</g>\n", out);
}

void heat_svg(const struct heat *h, FILE *out)
{
    if (h->x.count == 0 || h->y.count == 0)
        return;
    struct layout l = layout_of(h);
    fprintf(out,
            "<div class=\"scroll\"><svg class=\"heat\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n"
            "<title id=\"%s-t\">",
            ceil(l.width), ceil(l.height), ceil(l.width), ceil(l.height), h->id, h->id, h->id);
    page_text(out, h->title);
    fprintf(out, "</title>\n<desc id=\"%s-d\">", h->id);
    page_text(out, h->description);
    fputs("</desc>\n", out);
    put_names(h, &l, out);
    put_column_labels(h, &l, out);
    put_row_labels(h, &l, out);
    double y = l.top;
    for (uint32_t row = 0; row < h->y.count; row++) {
        double x = l.left;
        y += gap_before(&h->y, row);
        for (uint32_t column = 0; column < h->x.count; column++) {
            x += gap_before(&h->x, column);
            put_cell(h, &l, column, row, x, y, out);
            x += l.cell_width;
        }
        y += l.cell_height;
    }
    fputs("</svg></div>\n", out);
}

void heat_legend(const struct heat_scale *s, const char *mark, const char *off, FILE *out)
{
    fputs("<ul class=\"legend\" aria-label=\"colours\"><li><i class=\"h0\"></i>0</li>", out);
    for (uint32_t i = 0; i < s->count; i++)
        fprintf(out, "<li><i class=\"h%u\"></i>%s%s</li>", colour_of(s, i + 1),
                s->is_exact ? "" : "&#8804;&#8201;", heat_show(s->bounds[i]).text);
    if (mark != NULL) {
        fputs(
            "<li><svg class=\"key\" viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect class=\"h5\" "
            "width=\"14\" height=\"14\"/><path class=\"k5\" d=\"M14,0h-8l8,8z\"/></svg>",
            out);
        page_text(out, mark);
        fputs("</li>", out);
    }
    if (off != NULL) {
        fputs("<li><svg class=\"key\" viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect class=\"h0 "
              "off\" x=\"1\" y=\"1\" width=\"12\" height=\"12\"/></svg>",
              out);
        page_text(out, off);
        fputs("</li>", out);
    }
    fputs("</ul>\n", out);
}
