/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - postern-probe: options, the server, the checks, the reports. */
#include "probe/options.h"
#include "probe/report.h"
#include "probe/run.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static bool has_color(const struct probe_options *o)
{
    return o->color == PROBE_COLOR_ALWAYS ||
           (o->color == PROBE_COLOR_AUTO && isatty(STDOUT_FILENO) == 1);
}

static int probe(struct probe_options *o)
{
    char text[512];
    if (o->is_list) {
        report_list(stdout, o);
        return fflush(stdout) == 0 ? RUN_PASSED : RUN_FAILED;
    }
    struct run run;
    int status = run_open(&run, o, text, sizeof(text));
    if (status != RUN_PASSED) {
        fprintf(stderr, "postern-probe: %s\n", text);
        run_close(&run);
        return status;
    }
    report_text_begin(stdout, &run, has_color(o));
    while (run_next(&run))
        report_text_row(stdout, &run, run.row_count - 1, has_color(o));
    report_text_end(stdout, &run, has_color(o));
    status = run_status(&run);
    if ((o->json_path != NULL && !report_write(&run, o->json_path, report_json)) ||
        (o->junit_path != NULL && !report_write(&run, o->junit_path, report_junit)))
        status = RUN_USAGE;
    run_close(&run);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "postern-probe: standard output: cannot be written\n");
        status = RUN_USAGE;
    }
    return status;
}

int main(int argc, char **argv)
{
    static struct probe_options options;
    char text[512];
    signal(SIGPIPE, SIG_IGN); /* a server that closes is an outcome, also inside of OpenSSL */
    switch (probe_options_parse(&options, argc, argv, text, sizeof(text))) {
    case PROBE_OPTIONS_HELP:
        probe_options_print_help(stdout);
        return RUN_PASSED;
    case PROBE_OPTIONS_VERSION:
        printf("postern-probe %s\n", POSTERN_VERSION);
        return RUN_PASSED;
    case PROBE_OPTIONS_BAD:
        fprintf(stderr, "postern-probe: %s\n", text);
        return RUN_USAGE;
    case PROBE_OPTIONS_RUN:
        break;
    }
    return probe(&options);
}
