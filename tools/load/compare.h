/* SPDX-License-Identifier: Apache-2.0 */
/* compare.h - what both forms of a comparison, text and page, are made of. */
#ifndef LOAD_COMPARE_H
#define LOAD_COMPARE_H

#include "load/report.h"
#include "load/show.h"

/* compare_change() - "+12.3 %", "x 25", "x 0.012", "-" where there is nothing to compare with. */
struct shown compare_change(double a, double b);

struct compare_row {
    const char *name;
    int8_t better; /* 1: more is better; -1: less is; 0: neither */
    double values[2];
};
#define COMPARE_RATES_MAX 10
/* compare_rates() - rates and faults of both; returns how many rows. */
uint32_t compare_rates(const struct load_report *a, const struct load_report *b,
                       struct compare_row *ret_rows);

#define COMPARE_SHARES 6
extern const double compare_shares[COMPARE_SHARES];
extern const char *const compare_share_names[COMPARE_SHARES];

#define COMPARE_DIFFERENCES_MAX (2 * REPORT_PAIRS_MAX + 8)
struct compare_difference {
    const char *name, *a, *b; /* into the reports */
};
struct compare_differences {
    uint32_t count;
    struct compare_difference at[COMPARE_DIFFERENCES_MAX];
    char cpu_counts[2][16];
};
/* compare_setups() - what was not the same before the runs began. */
void compare_setups(const struct load_report *a, const struct load_report *b,
                    struct compare_differences *ret_differences);

/* compare_html() - the page; 0 or a negative errno. */
MUST_CHECK int compare_html(const struct load_report *a, const struct load_report *b,
                            const char *path);

#endif
