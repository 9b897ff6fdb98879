/* SPDX-License-Identifier: Apache-2.0 */
/* output.h - the options that say where a result goes, shared by the verbs that have one. */
#ifndef LAB_OUTPUT_H
#define LAB_OUTPUT_H

#include "lab/result.h"

#define LAB_OUTPUT_FORMS 4

struct lab_output {
    const char *paths[LAB_OUTPUT_FORMS]; /* NULL: not wanted; "-": standard output */
};

/* What --help says of them. */
extern const char lab_output_usage[];

/* lab_output_parse() - true: @name is one of these options, and @value is where that form goes. */
MUST_CHECK bool lab_output_parse(struct lab_output *o, const char *name, const char *value);

/*
 * lab_output_write() - all forms that are wanted; text on @out when none goes to standard output
 * Return: 0, or a negative errno when one could not be written, which @err has been told
 */
MUST_CHECK int lab_output_write(const struct lab_output *o, const struct lab_result *r, FILE *out,
                                FILE *err);

#endif
