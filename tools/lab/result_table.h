/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result_table.h - the table of an experiment: one row a point, theory and each mode side by side.
 * Text and page print the same one.
 */
#ifndef LAB_RESULT_TABLE_H
#define LAB_RESULT_TABLE_H

#include "lab/result.h"

#define LAB_COLUMNS_MAX (LAB_AXES_MAX + 4 + 8 * LAB_RESULT_MODES_MAX)
#define LAB_CELL_BYTES_MAX 40
#define LAB_GROUP_SAME "\""

struct lab_cell {
    char text[LAB_CELL_BYTES_MAX];
    bool is_off;        /* the theory does not allow it */
    bool has_deviation; /* there is a theory to differ from */
    double deviation;   /* measured less theory */
};

struct lab_table { /* all zero: not made */
    uint32_t column_count;
    bool is_left[LAB_COLUMNS_MAX];
    /* Above the heads; LAB_GROUP_SAME: as the one before. */
    char groups[LAB_COLUMNS_MAX][LAB_CELL_BYTES_MAX];
    char heads[LAB_COLUMNS_MAX][LAB_CELL_BYTES_MAX];
    uint32_t row_count;
    struct lab_cell *cells; /* row by row */
};

/* lab_table_make() - of all points of @e; 0 or -ENOMEM. Then lab_table_free(). */
MUST_CHECK int lab_table_make(struct lab_table *t, const struct lab_result *r,
                              const struct lab_result_experiment *e);
/* lab_table_free() - may be called twice. */
void lab_table_free(struct lab_table *t);

/* lab_axis_short() - the last part of an axis' name, if no other axis has the same. */
const char *lab_axis_short(const struct lab_result_experiment *e, uint32_t axis);
/* lab_experiment_has() - whether @e was run in @mode. */
bool lab_experiment_has(const struct lab_result_experiment *e, uint32_t mode);
/* lab_put_value() - a number in at most four digits behind the point, to LAB_CELL_BYTES_MAX. */
void lab_put_value(char *to, double value);

#endif
