/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line of postern-probe as a checked struct. */
#ifndef PROBE_OPTIONS_H
#define PROBE_OPTIONS_H

#include "base/clock.h"
#include "load/target.h"
#include <stdio.h>

#define PROBE_RCPTS_MAX 16

enum probe_color { PROBE_COLOR_AUTO, PROBE_COLOR_ALWAYS, PROBE_COLOR_NEVER };

struct probe_options {
    bool has_target;
    struct target target;
    const char *rcpts[PROBE_RCPTS_MAX]; /* accepted at RCPT and after the content */
    uint32_t rcpt_count;
    const char *refused_rcpt;         /* refused at RCPT; NULL: none known */
    const char *content_refused_rcpt; /* accepted at RCPT, refused after any content */
    const char *content_delayed_rcpt; /* accepted at RCPT, 4xx after any content */
    bool has_gtube;                   /* content with the GTUBE line is refused for everybody */
    const char *sender;
    const char *helo;
    clock_ns timeout_ns;   /* for each reply */
    clock_ns limit_ns;     /* for the whole run */
    uint64_t upload_bytes; /* a message of more than SIZE is sent only if it is not above this */
    uint64_t bound_rcpts;  /* so many recipients are offered to find the server's limit */
    const char *only, *skip;
    bool is_list, is_intrusive, is_strict, is_quiet, is_verbose;
    bool uses_starttls;
    const char *tls_ca;
    enum probe_color color;
    const char *json_path, *junit_path;
};

enum probe_options_result {
    PROBE_OPTIONS_RUN,
    PROBE_OPTIONS_HELP,
    PROBE_OPTIONS_VERSION,
    PROBE_OPTIONS_BAD
};

/* probe_options_parse() - @o is filled; BAD comes with @ret_text. Strings are those of @argv. */
MUST_CHECK enum probe_options_result probe_options_parse(struct probe_options *o, int argc,
                                                         char **argv, char *ret_text,
                                                         size_t text_cap);
void probe_options_print_help(FILE *out);

#endif
