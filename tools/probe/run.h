/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.h - one run: finds out what the server offers, decides which checks can be done, does them
 * one after the other, and keeps what came of each.
 */
#ifndef PROBE_RUN_H
#define PROBE_RUN_H

#include "probe/trial.h"

enum run_status { RUN_PASSED = 0, RUN_FAILED = 1, RUN_USAGE = 2, RUN_UNTESTED = 3 };

struct run_row {
    const struct check_sheet *sheet;
    const struct check *check;
    enum trial_outcome outcome;
    clock_ns ns;
    char reason[TRIAL_REASON_BYTES]; /* "" when it passed */
    struct transcript transcript;    /* of one that failed or warned; with --verbose of all */
};

struct run {
    const struct probe_options *options;
    struct probe *probe;
    struct run_row *rows;
    size_t row_count, row_cap;
    size_t sheet_idx, check_idx; /* the next one */
    clock_ns began_ns, ended_ns;
    uint32_t counts[4];  /* by outcome */
    const char *stopped; /* why the rest was skipped; NULL: it was not */
};

/* run_open() - RUN_PASSED, or the exit status with @ret_text; run_close() is due in any case. */
MUST_CHECK int run_open(struct run *r, struct probe_options *options, char *ret_text,
                        size_t text_cap);
/* run_next() - one check more that was chosen; false when there is none. */
MUST_CHECK bool run_next(struct run *r);
int run_status(const struct run *r);
void run_close(struct run *r);
/* run_needs_text() - what a check needs, in words, for --list; "" when it needs nothing. */
const char *run_needs_text(const struct check *c, char *memory, size_t cap);

#endif
