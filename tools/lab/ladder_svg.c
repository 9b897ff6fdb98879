/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ladder_svg.c - owns where the rungs of a ladder stand in a picture.
 *
 * Rungs have a row each, whatever time lies between them: minutes of work and milliseconds of talk
 * would not fit on one scale. Rows that say the same at the same time become one with a number.
 */
#include "lab/ladder_svg.h"
#include "load/page.h"
#include "load/show.h"
#include <string.h>

#define WIDTH 960
#define CLIENT_X 330
#define SERVER_X 690
#define ROW 22
#define SKIP 26 /* a gap in time */
#define TOP 30
#define WIRE_LETTERS 50
#define SIDE_LETTERS 38

struct row {
    const struct rung *rung;
    uint32_t times;
    bool is_try, is_after_gap;
};

static bool is_same(const struct rung *a, const struct rung *b)
{
    return a->at == b->at && a->until == b->until && a->attempt == b->attempt && a->who == b->who &&
           a->way == b->way && strcmp(a->text, b->text) == 0;
}

/* The next row from rung @*at on; false: there is none. */
static bool row_next(const struct rung *rungs, uint32_t count, uint32_t *at, struct row *ret_row)
{
    uint32_t first = *at;
    if (first >= count)
        return false;
    *ret_row = (struct row){.rung = &rungs[first], .times = 1};
    while (first + ret_row->times < count && is_same(&rungs[first], &rungs[first + ret_row->times]))
        ret_row->times++;
    *at = first + ret_row->times;
    ret_row->is_try = first == 0 || rungs[first].attempt > rungs[first - 1].attempt;
    ret_row->is_after_gap = first > 0 && rungs[first].at > rungs[first - 1].at &&
                            rungs[first].at - rungs[first - 1].at >= NS_PER_S;
    return true;
}

static unsigned row_height(const struct row *r)
{
    return ROW + (r->is_try ? SKIP : (r->is_after_gap ? SKIP / 2 : 0));
}

/* What the eye should find: where somebody leaves, and where something is kept. */
static const char *class_of(const struct rung *g)
{
    static const char *const bad[] = {"gives up",   "not known", "gone",    "cut",
                                      "black hole", "fails",     "is over", "lost"};
    static const char *const good[] = {"commits", "accepted", "has committed"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (g->who != LADDER_WIRE || g->way == LADDER_NONE)
            if (strstr(g->text, bad[i]) != NULL)
                return "bad";
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        if (g->who != LADDER_WIRE && strstr(g->text, good[i]) != NULL)
            return "good";
    return "ink";
}

static void put_words(FILE *out, const struct row *r, size_t letters)
{
    char text[LADDER_TEXT_BYTES_MAX + 32];
    size_t len = strlen(r->rung->text);
    if (r->times > 1)
        snprintf(text, sizeof(text), "%.*s (%u times)", (int)letters - 11, r->rung->text, r->times);
    else
        snprintf(text, sizeof(text), "%.*s%s", (int)(len > letters ? letters - 3 : letters),
                 r->rung->text, len > letters ? "..." : "");
    page_text(out, text);
}

static void put_side(const struct row *r, unsigned y, FILE *out)
{
    bool is_client = r->rung->who == LADDER_CLIENT;
    const char *class = class_of(r->rung);
    fprintf(out,
            "<circle class=\"dot %s\" cx=\"%d\" cy=\"%u\" r=\"3.5\"/><text class=\"%s\" x=\"%d\" "
            "y=\"%u\"%s>",
            class, is_client ? CLIENT_X : SERVER_X, y - 4, class,
            is_client ? CLIENT_X - 10 : SERVER_X + 10, y, is_client ? " text-anchor=\"end\"" : "");
    put_words(out, r, SIDE_LETTERS);
    fputs("</text>\n", out);
}

static void put_event(const struct row *r, unsigned y, FILE *out)
{
    fprintf(out,
            "<path class=\"cross\" d=\"M%d,%ul10,10m0,-10l-10,10\"/><text class=\"bad\" x=\"%d\" "
            "y=\"%u\">",
            CLIENT_X + 20, y - 10, CLIENT_X + 38, y);
    put_words(out, r, WIRE_LETTERS);
    fputs("</text>\n", out);
}

static void put_arrow(const struct row *r, unsigned y, FILE *out)
{
    const struct rung *g = r->rung;
    bool is_up = g->way == LADDER_TO_SERVER, is_lost = g->until == CLOCK_NEVER;
    int from = is_up ? CLIENT_X : SERVER_X, to = is_up ? SERVER_X : CLIENT_X;
    int sign = is_up ? 1 : -1;
    if (is_lost)
        to = from + sign * (SERVER_X - CLIENT_X) * 3 / 4;
    fprintf(out, "<text class=\"ink\" x=\"%d\" y=\"%u\" text-anchor=\"middle\">",
            (CLIENT_X + SERVER_X) / 2, y - 3);
    put_words(out, r, WIRE_LETTERS);
    fprintf(out, "</text><path class=\"arrow%s\" d=\"M%d,%uH%d\"/>", is_lost ? " no" : "", from,
            y + 2, to - (is_lost ? 0 : sign * 6));
    if (is_lost)
        fprintf(out, "<path class=\"cross\" d=\"M%d,%ul8,8m0,-8l-8,8\"/>\n", to - 4, y - 2);
    else
        fprintf(out, "<path class=\"head\" d=\"M%d,%ul%d,-4v8z\"/>\n", to, y + 2, -7 * sign);
}

static void put_row(const struct row *r, unsigned top, FILE *out)
{
    const struct rung *g = r->rung;
    unsigned extra = row_height(r) - ROW, y = top + extra + ROW - 6;
    if (r->is_try) {
        fprintf(out,
                "<rect class=\"try\" x=\"0\" y=\"%u\" width=\"%d\" height=\"%d\"/><text "
                "class=\"ink\" x=\"8\" y=\"%u\">try %u</text>\n",
                top + 3, WIDTH, SKIP - 6, top + 17, g->attempt + 1);
    } else if (r->is_after_gap) {
        fprintf(out,
                "<path class=\"life skip\" d=\"M%d,%uv%u\"/><path class=\"life skip\" "
                "d=\"M%d,%uv%u\"/>\n",
                CLIENT_X, top, extra, SERVER_X, top, extra);
    }
    fprintf(out, "<path class=\"life\" d=\"M%d,%uv%dM%d,%uv%d\"/>", CLIENT_X, top + extra, ROW,
            SERVER_X, top + extra, ROW);
    if (top == TOP || r->is_try || r->is_after_gap)
        fprintf(out, "<text x=\"84\" y=\"%u\" text-anchor=\"end\">%s</text>", y,
                show_seconds((double)g->at / 1e9).text);
    if (g->who != LADDER_WIRE)
        put_side(r, y, out);
    else if (g->way == LADDER_NONE)
        put_event(r, y, out);
    else
        put_arrow(r, y, out);
}

void ladder_svg(const struct rung *rungs, uint32_t count, const char *id, const char *title,
                FILE *out)
{
    unsigned height = TOP + 4, rows = 0;
    struct row row;
    for (uint32_t at = 0; rows < LADDER_SVG_ROWS_MAX && row_next(rungs, count, &at, &row); rows++)
        height += row_height(&row);
    fprintf(out,
            "<div class=\"scroll\"><svg class=\"ladder\" width=\"%d\" height=\"%u\" viewBox=\"0 0 "
            "%d %u\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n<title id=\"%s-t\">",
            WIDTH, height, WIDTH, height, id, id, id);
    page_text(out, title);
    fprintf(out,
            "</title>\n<desc id=\"%s-d\">%u steps between client and server, from top to bottom; "
            "the list that follows says the same.</desc>\n",
            id, count);
    fprintf(out,
            "<text class=\"name\" x=\"84\" y=\"18\" text-anchor=\"end\">model time</text>"
            "<text class=\"ink\" x=\"%d\" y=\"18\" text-anchor=\"middle\">client</text>"
            "<text class=\"name\" x=\"%d\" y=\"18\" text-anchor=\"middle\">wire</text>"
            "<text class=\"ink\" x=\"%d\" y=\"18\" text-anchor=\"middle\">server</text>\n",
            CLIENT_X, (CLIENT_X + SERVER_X) / 2, SERVER_X);
    unsigned y = TOP;
    rows = 0;
    for (uint32_t at = 0; rows < LADDER_SVG_ROWS_MAX && row_next(rungs, count, &at, &row); rows++) {
        put_row(&row, y, out);
        y += row_height(&row);
    }
    fputs("</svg></div>\n", out);
}

void ladder_list(const struct rung *rungs, uint32_t count, FILE *out)
{
    static const char *const sides[] = {"client", "wire", "server"};
    struct row row;
    fputs("<details><summary>The same as a list</summary><div class=\"scroll\"><table><thead><tr>"
          "<th>model time</th><th>try</th><th class=\"l\">where</th><th class=\"l\">what</th></tr>"
          "</thead><tbody>\n",
          out);
    for (uint32_t at = 0; row_next(rungs, count, &at, &row);) {
        const struct rung *g = row.rung;
        const char *where = sides[g->who];
        if (g->who == LADDER_WIRE && g->way != LADDER_NONE)
            where = g->way == LADDER_TO_SERVER ? "client to server" : "server to client";
        fprintf(out, "<tr><td>%s</td><td>%u</td><td class=\"l\">%s</td><td class=\"wrap\">",
                show_seconds((double)g->at / 1e9).text, g->attempt + 1, where);
        page_text(out, g->text);
        if (row.times > 1)
            fprintf(out, " (%u times)", row.times);
        if (g->until == CLOCK_NEVER)
            fputs(" (never arrived)", out);
        else if (g->who == LADDER_WIRE && g->until > g->at)
            fprintf(out, " (on the way for %s)", show_ns(g->until - g->at).text);
        fputs("</td></tr>\n", out);
    }
    fputs("</tbody></table></div></details>\n", out);
}
