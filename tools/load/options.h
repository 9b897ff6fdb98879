/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line of postern-load, checked, with every default filled in. */
#ifndef LOAD_OPTIONS_H
#define LOAD_OPTIONS_H

#include "load/dial.h"
#include "load/link.h"
#include "load/message.h"
#include "load/plan.h"
#include "load/report.h"

#define TARGETS_MAX 64
#define WORKERS_MAX 256
#define CONNECTIONS_MAX 1000000

enum retry_kind { RETRY_NONE, RETRY_FIXED, RETRY_EXP };

struct retry_options {
    enum retry_kind kind;
    clock_ns delay_ns;
    double factor;
    uint32_t count_max; /* tries after the first */
};

struct load_options {
    /* traffic */
    struct target targets[TARGETS_MAX];
    uint32_t target_count;
    uint32_t connection_count; /* over all workers, as is everything here */
    uint32_t in_flight_max;
    uint32_t connect_max; /* connections being made at a time */
    uint32_t worker_count;
    bool preconnects;
    struct plan_options plan;
    struct dist think;
    struct dial_options dial;
    clock_ns warmup_ns;
    clock_ns drain_ns; /* how long what began may go on after the last planned start; CLOCK_NEVER */
    /* messages */
    struct message_options message;
    char hostname[DOMAIN_BYTES_MAX + 1];
    /* protocol */
    struct client_config client;
    struct link_timeouts timeouts;
    uint32_t dialect_failures_max; /* in a row, at one target; 0: no limit */
    bool uses_starttls;
    const char *tls_ca;
    double tls_resume_share;
    uint32_t reuse_max;
    /* behaviour */
    struct retry_options retry;
    uint64_t slow_write_bytes;
    uint64_t slow_read_bytes;
    double vanish_share; /* 0: never */
    uint32_t vanish_replies;
    enum link_how vanish_how;
    bool half_closes;
    bool resets;
    /* output */
    const char *attempts_path;
    const char *json_path, *csv_path, *html_path, *hgrm_path;
    bool is_quiet;
    clock_ns lag_limit_ns; /* of the generator's own, above which a run is no result */
    struct report_pair pairs[REPORT_PAIRS_MAX];
    uint32_t pair_count;
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_BAD };

/* options_parse() - @ret_text: why, when the result is OPTIONS_BAD. */
MUST_CHECK enum options_result options_parse(struct load_options *o, int argc, char **argv,
                                             char *ret_text, size_t text_cap);
void options_deinit(struct load_options *o);
void options_print_help(FILE *out);
/* options_seconds_max() - how many seconds of a run are kept one by one. */
uint32_t options_seconds_max(const struct load_options *o);

#endif
