/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lab_live_test.c - when replies are due in a live run, by which lateness is measured.
 */
#include "lab/live_plan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LAST CLOCK_NEVER
#define NOBODY_KNOWS UINT32_MAX

static struct dist constant_s(uint32_t s)
{
    uint64_t ns = s * NS_PER_S;
    return (struct dist){.kind = DIST_CONSTANT, .a = (double)ns, .low = ns, .high = ns};
}

static const struct {
    enum lab_dialect dialect;
    enum lab_pacing pacing;
    uint32_t refused_count;
    uint64_t k;
    uint32_t due_s;
} dues[] = {
    {LAB_LMTP, LAB_STREAM, 0, 0, 90},
    {LAB_LMTP, LAB_STREAM, 0, 7, 300},
    {LAB_LMTP, LAB_STREAM, 0, LAST, 360},
    {LAB_LMTP, LAB_BUFFER, 0, 0, NOBODY_KNOWS},
    {LAB_LMTP, LAB_BUFFER, 0, LAST, 360},
    {LAB_SMTP, LAB_STREAM, 0, 0, NOBODY_KNOWS},
    {LAB_SMTP, LAB_STREAM, 0, LAST, 360},
    /* A list when one of them is refused, in a later try perhaps none; else one reply, which is the
     * first and the last. */
    {LAB_EXDATA, LAB_STREAM, 1, 0, NOBODY_KNOWS},
    {LAB_EXDATA, LAB_STREAM, 1, LAST, 360},
    {LAB_EXDATA, LAB_STREAM, 0, 0, NOBODY_KNOWS},
    {LAB_EXDATA, LAB_STREAM, 0, LAST, 360},
    {LAB_WRAPPED_A, LAB_STREAM, 0, 0, 90},
    {LAB_WRAPPED_B, LAB_STREAM, 0, LAST, NOBODY_KNOWS},
};

static void test_when_replies_are_due(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(dues); i++) {
        struct lab_point p = {
            .server = {.dialect = dues[i].dialect,
                       .pacing = dues[i].pacing,
                       .before = constant_s(60),
                       .per_rcpt = constant_s(30),
                       .commit = constant_s(0),
                       .reply_budget_ns = CLOCK_NEVER,
                       .refused_count = dues[i].refused_count},
            .rcpt_count = 10,
        };
        clock_ns due = dues[i].due_s == NOBODY_KNOWS ? CLOCK_NEVER : dues[i].due_s * NS_PER_S;
        if (live_reply_due(&p, dues[i].k) != due)
            fail_msg("row %zu: not due at %u s", i, dues[i].due_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_replies_are_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
