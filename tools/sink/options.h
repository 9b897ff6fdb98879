/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line of the sink. */
#ifndef SINK_OPTIONS_H
#define SINK_OPTIONS_H

#include "shared.h"
#include <stdio.h>

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_BAD };

/* options_parse() - fills @sh->options and @sh->script. BAD comes with @ret_text. */
MUST_CHECK enum options_result options_parse(struct shared *sh, int argc, char **argv,
                                             char *ret_text, size_t text_cap);

/* options_print_help() - all options, and the language of rules in short. */
void options_print_help(FILE *out);

#endif
