/* SPDX-License-Identifier: Apache-2.0 */
/*
 * region.h - memory for start and reload that is freed as a whole.
 */
#ifndef REGION_H
#define REGION_H

#include "base/slice.h"

struct region_block;

struct region { /* all zero: empty */
    struct region_block *blocks;
};

/* region_take() - @size zeroed bytes aligned to 16, or NULL. They live until region_free(). */
void *region_take(struct region *r, size_t size);

/* region_text() - a copy of @s with a NUL behind it, or NULL. */
char *region_text(struct region *r, struct slice s);

/* region_free() - everything that was taken; the region is empty and may be used again. */
void region_free(struct region *r);

#endif
