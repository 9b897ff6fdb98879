/* SPDX-License-Identifier: Apache-2.0 */
/* ladder_svg.h - a ladder diagram for a page (load/page.h): client, wire, server. */
#ifndef LAB_LADDER_SVG_H
#define LAB_LADDER_SVG_H

#include "lab/ladder.h"
#include <stdio.h>

#define LADDER_SVG_ROWS_MAX 800 /* the list below the picture has the others */

/*
 * ladder_svg() - the picture, from top to bottom in the order of model time; times stand at the
 * left, waits of a second and more leave a dashed gap. What never arrived ends in a cross.
 * @id: unique in the page
 * @title: of which message; any text
 */
void ladder_svg(const struct rung *rungs, uint32_t count, const char *id, const char *title,
                FILE *out);

/* ladder_list() - the same as a table, for those who cannot see it. */
void ladder_list(const struct rung *rungs, uint32_t count, FILE *out);

#endif
