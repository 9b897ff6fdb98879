/* SPDX-License-Identifier: Apache-2.0 */
/* report_field.c - the tables; a counter that is missing here does not compile. */
#include "load/report_field.h"

#define TEXT(name)                                                                                 \
    {                                                                                              \
#name, offsetof(struct load_report, name), sizeof(((struct load_report *)NULL)->name)      \
    }
#define PLAIN(name)                                                                                \
    {                                                                                              \
#name, offsetof(struct load_report, name), 0                                               \
    }
#define COUNTER(name)                                                                              \
    {                                                                                              \
#name, offsetof(struct load_counters, name), 0                                             \
    }
#define SECOND(name)                                                                               \
    {                                                                                              \
#name, offsetof(struct load_second, name), 0                                               \
    }

const struct report_field report_texts[] = {
    TEXT(version), TEXT(started),     TEXT(command),           TEXT(host),    TEXT(kernel),
    TEXT(cpu),     TEXT(server_text), TEXT(server_durability), TEXT(why_not),
};
const size_t report_text_count = ARRAY_COUNT(report_texts);

const struct report_field report_doubles[] = {
    PLAIN(seconds),
    PLAIN(warmup_seconds),
    PLAIN(cpu_seconds),
    PLAIN(rate_planned),
};
const size_t report_double_count = ARRAY_COUNT(report_doubles);

const struct report_field report_bools[] = {
    PLAIN(is_open_loop),
    PLAIN(is_interrupted),
    PLAIN(is_result),
};
const size_t report_bool_count = ARRAY_COUNT(report_bools);

const struct report_field report_counters[] = {
    COUNTER(planned),           COUNTER(started),           COUNTER(finished),
    COUNTER(messages_accepted), COUNTER(protocol_errors),   COUNTER(connects),
    COUNTER(connects_refused),  COUNTER(connects_failed),   COUNTER(resets),
    COUNTER(tls_handshakes),    COUNTER(tls_resumed),       COUNTER(tls_failed),
    COUNTER(retries),           COUNTER(gave_up),           COUNTER(cap_hits),
    COUNTER(bytes_sent),        COUNTER(bytes_received),    COUNTER(content_bytes),
    COUNTER(outcomes_lost),     COUNTER(messages_given_up),
};
const size_t report_counter_count = ARRAY_COUNT(report_counters);

const struct report_field report_seconds[] = {
    SECOND(started),        SECOND(messages),       SECOND(rcpts_accepted), SECOND(rcpts_deferred),
    SECOND(rcpts_refused),  SECOND(unknown),        SECOND(bytes),          SECOND(in_flight_max),
    SECOND(latency_max_ns), SECOND(latency_p50_ns), SECOND(latency_p99_ns),
};
const size_t report_second_count = ARRAY_COUNT(report_seconds);

/* Counters that are arrays: recipients by fate, causes, timeouts, dialects. */
#define ARRAY_WORDS                                                                                \
    (ATTEMPT_FATE_COUNT + ATTEMPT_CAUSE_COUNT + CLIENT_PHASE_COUNT +                               \
     DIALECT_COUNT * sizeof(struct load_dialect) / sizeof(uint64_t))
static_assert(sizeof(struct load_counters) ==
                  sizeof(uint64_t) * (ARRAY_COUNT(report_counters) + ARRAY_WORDS),
              "each counter is in the table");
static_assert(sizeof(struct load_second) == sizeof(uint64_t) * ARRAY_COUNT(report_seconds),
              "each column is in the table");
