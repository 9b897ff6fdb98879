/* SPDX-License-Identifier: Apache-2.0 */
/* axes.c - owns the arithmetic of combinations; see axes.h. */
#include "lab/axes.h"
#include "lab/result_table.h"
#include <stdio.h>
#include <string.h>

#define NUMBERS_MIN 4 /* fewer are words */

uint32_t lab_axis_stride(const struct lab_result_experiment *e, uint32_t axis)
{
    uint32_t stride = 1;
    for (uint32_t a = e->axis_count; --a > axis;)
        stride *= e->axes[a].count;
    return stride;
}

void lab_axes_add(struct lab_axes *a, uint32_t axis)
{
    a->idx[a->count++] = axis;
}

uint32_t lab_axes_product(const struct lab_result_experiment *e, const struct lab_axes *a)
{
    uint32_t product = 1;
    for (uint32_t i = 0; i < a->count; i++)
        product *= e->axes[a->idx[i]].count;
    return product;
}

/* Which value axis number @level of @a has in their combination @idx; the last changes fastest. */
uint32_t lab_axes_value(const struct lab_result_experiment *e, const struct lab_axes *a,
                        uint32_t level, uint32_t idx)
{
    for (uint32_t i = a->count - 1; i > level; i--)
        idx /= e->axes[a->idx[i]].count;
    return idx % e->axes[a->idx[level]].count;
}

/* What combination @idx of @a adds to the number of a point. */
uint32_t lab_axes_point(const struct lab_result_experiment *e, const struct lab_axes *a,
                        uint32_t idx)
{
    uint32_t point = 0;
    for (uint32_t k = 0; k < a->count; k++)
        point += lab_axes_value(e, a, k, idx) * lab_axis_stride(e, a->idx[k]);
    return point;
}

const struct lab_axis_value *lab_axes_at(const struct lab_result_experiment *e,
                                         const struct lab_axes *a, uint32_t level, uint32_t idx)
{
    return &e->axes[a->idx[level]].values[lab_axes_value(e, a, level, idx)];
}

/* "dialect = lmtp, timer = total" of combination @idx. */
void lab_axes_name(const struct lab_result_experiment *e, const struct lab_axes *a, uint32_t idx,
                   char *to, size_t cap)
{
    size_t len = 0;
    to[0] = '\0';
    for (uint32_t k = 0; k < a->count && len < cap; k++)
        len += (size_t)snprintf(to + len, cap - len, "%s%s = %s", k > 0 ? ", " : "",
                                lab_axis_short(e, a->idx[k]), lab_axes_at(e, a, k, idx)->text);
}

static bool is_numeric(const struct lab_axis *a)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (!a->values[i].has_number)
            return false;
    return a->count >= NUMBERS_MIN;
}

/* The numeric axis with the most values, @but left out; -1: there is none. */
int lab_axis_numeric(const struct lab_result_experiment *e, int but)
{
    int best = -1;
    for (uint32_t a = 0; a < e->axis_count; a++)
        if ((int)a != but && is_numeric(&e->axes[a]) &&
            (best < 0 || e->axes[a].count > e->axes[best].count))
            best = (int)a;
    return best;
}

/* The axis whose values are lines: the dialects, or the words that come first; -1: none. */
int lab_axis_lines(const struct lab_result_experiment *e, int x)
{
    int best = -1;
    for (uint32_t a = 0; a < e->axis_count; a++) {
        if ((int)a == x)
            continue;
        if (strcmp(e->axes[a].name, "server.dialect") == 0)
            return (int)a;
        if (best < 0 && e->axes[a].count <= LAB_LINES_MAX)
            best = (int)a;
    }
    return best;
}

struct lab_axes lab_axes_others(const struct lab_result_experiment *e, int x, int line)
{
    struct lab_axes split = {.count = 0};
    for (uint32_t a = 0; a < e->axis_count; a++)
        if ((int)a != x && (int)a != line)
            lab_axes_add(&split, a);
    return split;
}
