/* SPDX-License-Identifier: Apache-2.0 */
/* output.h - the options that say where a result goes, shared by the verbs that have one. */
#ifndef LAB_OUTPUT_H
#define LAB_OUTPUT_H

#include "cli/cli.h"
#include "lab/result.h"

enum lab_output_form {
    LAB_OUTPUT_TEXT,
    LAB_OUTPUT_JSON,
    LAB_OUTPUT_CSV,
    LAB_OUTPUT_HTML,
    LAB_OUTPUT_FORMS,
};

struct lab_output {
    const char *paths[LAB_OUTPUT_FORMS]; /* NULL: not wanted; "-": standard output */
};

/* Rows of a command line whose options have a struct lab_output of that name. */
/* clang-format off */
#define LAB_OUTPUT_ROWS(type, name)                                                                \
    {"text", "FILE", NULL, "tables (default: on standard output)",                                 \
     CLI_TEXT(type, name.paths[LAB_OUTPUT_TEXT])},                                                 \
    {"json", "FILE", NULL, "everything; \"postern-lab show\" reads it back",                       \
     CLI_TEXT(type, name.paths[LAB_OUTPUT_JSON])},                                                 \
    {"csv", "FILE", NULL, "one line a run", CLI_TEXT(type, name.paths[LAB_OUTPUT_CSV])},           \
    {"html", "FILE", NULL,                                                                         \
     "a page with maps, curves, tables and ladders\n"                                              \
     "FILE may be \"-\": standard output, and no tables there",                                    \
     CLI_TEXT(type, name.paths[LAB_OUTPUT_HTML])}
/* clang-format on */

/*
 * lab_output_write() - all forms that are wanted; text on @out when none goes to standard output
 * Return: 0, or a negative errno when one could not be written, which @err has been told
 */
MUST_CHECK int lab_output_write(const struct lab_output *o, const struct lab_result *r, FILE *out,
                                FILE *err);

#endif
