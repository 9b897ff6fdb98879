/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - a finished (or interrupted) run as text, JSON, CSV, percentile files and one HTML
 * page.
 *
 * The JSON form has everything, histograms bucket by bucket, and can be read back: compare and the
 * HTML page are made from what is in it.
 */
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include "load/stats.h"
#include <stdio.h>

struct report_pair { /* an option as it was in force, in the order of --help */
    const char *name;
    char value[200];
};
#define REPORT_PAIRS_MAX 96

struct load_report {
    /* where and with what */
    char version[32];
    char kernel[128], cpu[128], host[64];
    uint32_t cpu_count;
    char command[4096];    /* shell-quoted */
    char started[32];      /* RFC 3339, UTC */
    char server_text[512]; /* greeting and EHLO lines of the first connection */
    char
        server_durability[16]; /* when the server tells (posternd: EHLO line or metrics), else "" */
    struct report_pair options[REPORT_PAIRS_MAX];
    uint32_t option_count;
    uint64_t run;
    /* what happened */
    double seconds; /* measured, without the warm-up */
    double warmup_seconds;
    double cpu_seconds; /* of the generator */
    bool is_open_loop;
    double rate_planned; /* 0 in a closed loop */
    bool is_interrupted;
    bool is_result;           /* false: the generator fell behind, or measured itself */
    char why_not[400];        /* then: why, one sentence */
    struct load_stats *stats; /* merged */
    char *option_names;       /* owned, when the report was read from a file; else NULL */
};

/* report_new() - all empty, without stats; NULL: no memory. */
struct load_report *report_new(void);
void report_free(struct load_report *r); /* with its stats */

/* report_text() - what a person reads at the end of a run; at most 100 columns a line, but for the
 * command line and what the server said. */
void report_text(const struct load_report *r, FILE *out);
/* Each returns 0 or a negative errno; a file is written beside and renamed, so that a full disk
 * leaves no half of one. */
MUST_CHECK int report_json(const struct load_report *r, const char *path);
MUST_CHECK int report_json_read(const char *path, struct load_report **ret_report, char *ret_text,
                                size_t text_cap);
MUST_CHECK int report_csv(const struct load_report *r, const char *path);
/* report_hgrm() - one file a phase and clock: DIR/PHASE.planned.hgrm, DIR/PHASE.actual.hgrm. */
MUST_CHECK int report_hgrm(const struct load_report *r, const char *dir);
MUST_CHECK int report_html(const struct load_report *r, const char *path);
/* report_compare() - two runs side by side, as text and (path not NULL) as HTML. */
MUST_CHECK int report_compare(const struct load_report *a, const struct load_report *b, FILE *out,
                              const char *html_path);

#endif
