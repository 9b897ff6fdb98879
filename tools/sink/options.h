/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line of the sink. */
#ifndef SINK_OPTIONS_H
#define SINK_OPTIONS_H

#include "shared.h"

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_BAD };

/* options_parse() - fills @sh->options and @sh->script. OPTIONS_DONE: help or version was printed;
 * OPTIONS_BAD: an error was. */
MUST_CHECK enum options_result options_parse(struct shared *sh, int argc, char **argv);

#endif
