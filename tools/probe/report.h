/* SPDX-License-Identifier: Apache-2.0 */
/* report.h - the forms in which a run is told: text, JSON, JUnit XML, and the list of all rules. */
#ifndef PROBE_REPORT_H
#define PROBE_REPORT_H

#include "probe/run.h"
#include <stdio.h>

/* report_text_begin(), report_text_row(), report_text_end() - the text is written while the run
 * goes on: what the server offers, a line for each check, the sums. */
void report_text_begin(FILE *out, const struct run *r, bool has_color);
void report_text_row(FILE *out, const struct run *r, size_t row_idx, bool has_color);
void report_text_end(FILE *out, const struct run *r, bool has_color);

/* report_list() - the rules that --only and --skip choose: id, what each needs, title. */
void report_list(FILE *out, const struct probe_options *o);

void report_json(FILE *out, const struct run *r);
void report_junit(FILE *out, const struct run *r);
/* report_write() - one of the two into a file, which is there whole or not at all; false: said on
 * standard error why not. */
MUST_CHECK bool report_write(const struct run *r, const char *path,
                             void (*write)(FILE *out, const struct run *r));

/* report_put_json() - a string with its quotes. report_put_xml() - text or the value of an
 * attribute; what XML cannot hold becomes '?'. */
void report_put_json(FILE *out, const char *text);
void report_put_xml(FILE *out, const char *text);

#endif
