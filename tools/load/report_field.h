/* SPDX-License-Identifier: Apache-2.0 */
/* report_field.h - which words of a report stand under which name in JSON: for writing and reading.
 */
#ifndef LOAD_REPORT_FIELD_H
#define LOAD_REPORT_FIELD_H

#include "load/report.h"

struct report_field {
    const char *name;
    uint32_t at;  /* offset in its struct */
    uint32_t cap; /* octets of a text; else 0 */
};

#define REPORT_FORMAT "postern-load report"
#define REPORT_FORMAT_VERSION 1

extern const struct report_field report_texts[];    /* in struct load_report */
extern const struct report_field report_doubles[];  /* in struct load_report */
extern const struct report_field report_bools[];    /* in struct load_report */
extern const struct report_field report_counters[]; /* in struct load_counters, uint64_t */
extern const struct report_field report_seconds[];  /* in struct load_second, uint64_t */
extern const size_t report_text_count, report_double_count, report_bool_count, report_counter_count,
    report_second_count;

static inline const void *report_field_in(const void *base, const struct report_field *f)
{
    return (const char *)base + f->at;
}

#endif
