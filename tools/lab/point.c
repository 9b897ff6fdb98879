/* SPDX-License-Identifier: Apache-2.0 */
/* point.c - owns the words for a point's choices, and the memory of a measure. */
#include "lab/point.h"
#include "base/assert.h"
#include "base/err.h"
#include <stdlib.h>

const char *const lab_program_names[LAB_PROGRAM_COUNT + 1] = {"postern-sink", "posternd", "exim",
                                                              "dovecot", "cyrus"};

const char *const lab_dialect_names[LAB_DIALECT_COUNT + 1] = {
    [LAB_SMTP] = "smtp",
    [LAB_LMTP] = "lmtp",
    [LAB_PRDR] = "prdr",
    [LAB_DEFERRALS] = "deferrals",
    [LAB_INLINE_DSN] = "inline-dsn",
    [LAB_XPRDR1] = "xprdr1",
    [LAB_EXDATA] = "exdata",
    [LAB_WRAPPED_A] = "wrapped-a",
    [LAB_WRAPPED_B] = "wrapped-b",
    [LAB_ADAT] = "adat",
};

const char *const lab_pacing_names[LAB_PACING_COUNT + 1] = {"stream", "buffer"};
const char *const lab_order_names[LAB_ORDER_COUNT + 1] = {"sequential", "concurrent"};
const char *const lab_vanished_names[LAB_VANISHED_COUNT + 1] = {"run", "stop", "write"};
const char *const lab_timer_names[LAB_TIMER_COUNT + 1] = {"reset", "total", "line"};
const char *const lab_cut_names[LAB_CUT_KINDS + 2] = {"none", "after-replies", "hazard",
                                                      "black-hole", "slow"};

const char *const lab_like_names[LAB_LIKE_COUNT + 1] = {
    [LAB_LIKE_NONE] = "none",
    [LAB_LIKE_RFC5321] = "rfc5321",
    [LAB_LIKE_POSTFIX] = "postfix",
    [LAB_LIKE_POSTFIX_DEADLINE] = "postfix-deadline",
    [LAB_LIKE_EXIM] = "exim",
    [LAB_LIKE_SENDMAIL] = "sendmail",
    [LAB_LIKE_QMAIL] = "qmail",
    [LAB_LIKE_EXCHANGE] = "exchange",
    [LAB_LIKE_OPENSMTPD] = "opensmtpd",
    [LAB_LIKE_GO_SMTP] = "go-smtp",
    [LAB_LIKE_MOX] = "mox",
    [LAB_LIKE_K9] = "k9",
};

const char *lab_program_name(enum lab_program p)
{
    ASSERT(p < LAB_PROGRAM_COUNT);
    return lab_program_names[p];
}

const char *lab_dialect_name(enum lab_dialect d)
{
    ASSERT(d < LAB_DIALECT_COUNT);
    return lab_dialect_names[d];
}

const char *lab_timer_name(enum lab_timer t)
{
    ASSERT(t < LAB_TIMER_COUNT);
    return lab_timer_names[t];
}

const char *lab_like_name(enum lab_like l)
{
    ASSERT(l < LAB_LIKE_COUNT);
    return lab_like_names[l];
}

int lab_measure_init(struct lab_measure *m)
{
    const size_t len = HIST_COUNTS(LAB_HIST_SUB_BITS, LAB_HIST_TOP_BITS);
    uint64_t *counts = calloc(len * 3, sizeof(*counts));
    if (counts == NULL)
        return -ENOMEM;
    *m = (struct lab_measure){0};
    hist_init(&m->dot_to_first, counts, LAB_HIST_SUB_BITS, LAB_HIST_TOP_BITS);
    hist_init(&m->dot_to_last, counts + len, LAB_HIST_SUB_BITS, LAB_HIST_TOP_BITS);
    hist_init(&m->settled, counts + 2 * len, LAB_HIST_SUB_BITS, LAB_HIST_TOP_BITS);
    return 0;
}

void lab_measure_deinit(struct lab_measure *m)
{
    free(m->dot_to_first.counts); /* the other two share its memory */
    free(m->series.at);
    *m = (struct lab_measure){0};
}
