/* SPDX-License-Identifier: Apache-2.0 */
/* point.c - owns the words for a point's choices, and the memory of a measure. */
#include "lab/point.h"
#include "base/assert.h"
#include "base/err.h"
#include <stdlib.h>

const char *lab_program_name(enum lab_program p)
{
    static const char *const names[LAB_PROGRAM_COUNT] = {"postern-sink", "posternd", "exim",
                                                         "dovecot", "cyrus"};
    ASSERT(p < LAB_PROGRAM_COUNT);
    return names[p];
}

const char *lab_dialect_name(enum lab_dialect d)
{
    static const char *const names[LAB_DIALECT_COUNT] = {
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
    ASSERT(d < LAB_DIALECT_COUNT);
    return names[d];
}

const char *lab_pacing_name(enum lab_pacing p)
{
    static const char *const names[LAB_PACING_COUNT] = {"stream", "buffer"};
    ASSERT(p < LAB_PACING_COUNT);
    return names[p];
}

const char *lab_order_name(enum lab_order o)
{
    static const char *const names[LAB_ORDER_COUNT] = {"sequential", "concurrent"};
    ASSERT(o < LAB_ORDER_COUNT);
    return names[o];
}

const char *lab_vanished_name(enum lab_vanished v)
{
    static const char *const names[LAB_VANISHED_COUNT] = {"run", "stop", "write"};
    ASSERT(v < LAB_VANISHED_COUNT);
    return names[v];
}

const char *lab_timer_name(enum lab_timer t)
{
    static const char *const names[LAB_TIMER_COUNT] = {"reset", "total", "line"};
    ASSERT(t < LAB_TIMER_COUNT);
    return names[t];
}

const char *lab_cut_name(enum lab_cut c)
{
    static const char *const names[LAB_CUT_COUNT] = {"none", "after-replies", "hazard",
                                                     "black-hole", "slow"};
    ASSERT(c < LAB_CUT_COUNT);
    return names[c];
}

const char *lab_like_name(enum lab_like l)
{
    static const char *const names[LAB_LIKE_COUNT] = {
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
    ASSERT(l < LAB_LIKE_COUNT);
    return names[l];
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
