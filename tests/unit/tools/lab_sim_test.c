/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lab_sim_test.c - the simulation against the sheet about duplicates: the table of its section 4
 * cell by cell, the sweep, random cuts within their bounds, and what else must hold.
 */
#include "lab/sim.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define S(seconds) ((clock_ns)(seconds)*NS_PER_S)

static struct dist constant(clock_ns ns)
{
    return (struct dist){.kind = DIST_CONSTANT, .a = (double)ns, .low = ns, .high = ns};
}

/* The example of the thread: T0 = 60 s, Tr = 30 s, n = 10, C = 300 s, one message, five tries. */
static struct lab_point classic(enum lab_dialect dialect, enum lab_timer timer)
{
    return (struct lab_point){
        .server = {.dialect = dialect,
                   .before = constant(S(60)),
                   .per_rcpt = constant(S(30)),
                   .reply_budget_ns = CLOCK_NEVER},
        .client = {.limit_ns = S(300),
                   .timer = timer,
                   .retry_ns = S(900),
                   .retry_factor = 1,
                   .tries_max = 5},
        .rcpt_count = 10,
        .message_count = 1,
        .model_ns_max = CLOCK_NEVER,
    };
}

/* The numbers of a run; its histograms are gone. */
static struct lab_measure run_with(const struct lab_point *p, uint64_t seed,
                                   const struct lab_sim_options *o)
{
    struct lab_measure m;
    assert_int_equal(lab_measure_init(&m), 0);
    assert_int_equal(lab_sim(p, seed, o, &m), 0);
    struct lab_measure numbers = m;
    lab_measure_deinit(&m);
    /* Nothing is lost on the way to the account. */
    uint64_t causes = 0;
    for (unsigned i = 0; i < LEDGER_CAUSE_COUNT; i++)
        causes += numbers.causes[i];
    assert_int_equal(causes, numbers.copies_excess);
    assert_int_equal(numbers.pairs, numbers.messages * p->rcpt_count);
    assert_int_equal(numbers.accepted + numbers.refused + numbers.deferred + numbers.gave_up,
                     numbers.pairs);
    assert_int_equal(numbers.delivered + numbers.lost, numbers.accepted);
    return numbers;
}

static struct lab_measure run(const struct lab_point *p)
{
    static const struct lab_sim_options none;
    return run_with(p, 1, &none);
}

/* ---- the table of section 4 ---- */

#define OPENER_SOON 0
#define LIVELOCK 5 /* tries: all of them */

struct cell {
    uint64_t first; /* copies that the first try costs */
    uint64_t excess;
    uint64_t tries;
    uint64_t accepted;
};

static void check_cell(const struct lab_point *p, const struct cell *want, const char *name)
{
    struct lab_measure m = run(p);
    if (m.copies_first_try != want->first || m.copies_excess != want->excess ||
        m.tries != want->tries || m.accepted != want->accepted)
        fail_msg("%s, %s: %lu copies by the first try, %lu in all, %lu tries, %lu accepted", name,
                 lab_timer_name(p->client.timer), (unsigned long)m.copies_first_try,
                 (unsigned long)m.copies_excess, (unsigned long)m.tries, (unsigned long)m.accepted);
    bool is_livelock = want->tries == LIVELOCK && want->accepted == 0 && m.deferred == 0;
    assert_int_equal(m.livelocks, is_livelock);
    assert_int_equal(m.lost, 0);
}

static const struct row {
    const char *name;
    enum lab_dialect dialect;
    enum lab_pacing pacing;
    enum lab_vanished vanished;
    clock_ns opener_ns;
    enum lab_timer reset; /* what restarts the timer in the "reset" column */
    struct cell cells[2]; /* reset, total */
    uint32_t refused_count;
} rows[] = {
    /* 10 per try, and four of five tries were one too many. */
    {"SMTP",
     LAB_SMTP,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     0,
     LAB_TIMER_REPLY,
     {{10, 40, LIVELOCK, 0}, {10, 40, LIVELOCK, 0}},
     0},
    {"SMTP, S-stop",
     LAB_SMTP,
     LAB_STREAM,
     LAB_VANISHED_STOP,
     0,
     LAB_TIMER_REPLY,
     {{0, 0, LIVELOCK, 0}, {0, 0, LIVELOCK, 0}},
     0},
    {"LMTP streamed",
     LAB_LMTP,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     0,
     LAB_TIMER_REPLY,
     {{0, 0, 1, 10}, {2, 2, 2, 10}},
     0},
    {"LMTP streamed, S-stop",
     LAB_LMTP,
     LAB_STREAM,
     LAB_VANISHED_STOP,
     0,
     LAB_TIMER_REPLY,
     {{0, 0, 1, 10}, {0, 0, 2, 10}},
     0},
    {"LMTP streamed, stops when a write fails",
     LAB_LMTP,
     LAB_STREAM,
     LAB_VANISHED_WRITE,
     0,
     LAB_TIMER_REPLY,
     {{0, 0, 1, 10}, {2, 2, 2, 10}},
     0},
    {"LMTP at the end",
     LAB_LMTP,
     LAB_BUFFER,
     LAB_VANISHED_RUN,
     0,
     LAB_TIMER_REPLY,
     {{10, 40, LIVELOCK, 0}, {10, 40, LIVELOCK, 0}},
     0},
    {"PRDR",
     LAB_PRDR,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     OPENER_SOON,
     LAB_TIMER_REPLY,
     {{0, 0, 1, 10}, {10, 40, LIVELOCK, 0}},
     0},
    {"PRDR, S-stop",
     LAB_PRDR,
     LAB_STREAM,
     LAB_VANISHED_STOP,
     OPENER_SOON,
     LAB_TIMER_REPLY,
     {{0, 0, 1, 10}, {0, 0, LIVELOCK, 0}},
     0},
    /* Recipient 1 is deferred by the 60 s rule, and then sent alone, without a list. With one timer
     * for all, the others are cut off as in PRDR. */
    {"DEFERRALS, 353 before the scan",
     LAB_DEFERRALS,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     OPENER_SOON,
     LAB_TIMER_REPLY,
     {{0, 0, 2, 10}, {9, 36, LIVELOCK, 0}},
     0},
    {"DEFERRALS, 353 behind the scan",
     LAB_DEFERRALS,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     S(60),
     LAB_TIMER_REPLY,
     {{0, 0, 1, 10}, {10, 40, LIVELOCK, 0}},
     0},
    {"XPRDR1",
     LAB_XPRDR1,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     0,
     LAB_TIMER_REPLY,
     {{0, 0, 1, 10}, {10, 40, LIVELOCK, 0}},
     0},
    {"INLINE-DSN",
     LAB_INLINE_DSN,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     OPENER_SOON,
     LAB_TIMER_REPLY,
     {{0, 0, 1, 10}, {10, 40, LIVELOCK, 0}},
     0},
    /* The list needs a refusal (EXD-10), here of recipient 1. */
    {"EXDATA streamed",
     LAB_EXDATA,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     0,
     LAB_TIMER_LINE,
     {{0, 0, 1, 9}, {2, 2, 2, 9}},
     1},
    {"EXDATA streamed, a timer for the whole reply",
     LAB_EXDATA,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     0,
     LAB_TIMER_REPLY,
     {{2, 2, 2, 9}, {2, 2, 2, 9}},
     1},
    {"EXDATA, all is well",
     LAB_EXDATA,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     0,
     LAB_TIMER_LINE,
     {{10, 40, LIVELOCK, 0}, {10, 40, LIVELOCK, 0}},
     0},
    {"EXDATA buffered",
     LAB_EXDATA,
     LAB_BUFFER,
     LAB_VANISHED_RUN,
     0,
     LAB_TIMER_LINE,
     {{9, 36, LIVELOCK, 0}, {9, 36, LIVELOCK, 0}},
     1},
    {"Holzer A streamed",
     LAB_WRAPPED_A,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     OPENER_SOON,
     LAB_TIMER_LINE,
     {{0, 0, 1, 10}, {2, 2, 2, 10}},
     0},
    {"Holzer A, a timer for the whole reply",
     LAB_WRAPPED_A,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     OPENER_SOON,
     LAB_TIMER_REPLY,
     {{2, 2, 2, 10}, {2, 2, 2, 10}},
     0},
    {"Holzer A buffered",
     LAB_WRAPPED_A,
     LAB_BUFFER,
     LAB_VANISHED_RUN,
     OPENER_SOON,
     LAB_TIMER_LINE,
     {{10, 40, LIVELOCK, 0}, {10, 40, LIVELOCK, 0}},
     0},
    {"Holzer B",
     LAB_WRAPPED_B,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     OPENER_SOON,
     LAB_TIMER_LINE,
     {{0, 0, 1, 10}, {0, 0, 1, 10}},
     0},
    {"ADAT",
     LAB_ADAT,
     LAB_STREAM,
     LAB_VANISHED_RUN,
     0,
     LAB_TIMER_REPLY,
     {{0, 0, 1, 10}, {0, 0, LIVELOCK, 0}},
     0},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (unsigned column = 0; column < 2; column++) {
            const struct row *row = &rows[i];
            struct lab_point p = classic(row->dialect, column == 0 ? row->reset : LAB_TIMER_TOTAL);
            p.server.pacing = row->pacing;
            p.server.vanished = row->vanished;
            p.server.opener_ns = row->opener_ns;
            p.server.refused_count = row->refused_count;
            check_cell(&p, &row->cells[column], row->name);
        }
    }
}

static void test_scan_once(void **state)
{
    (void)state;
    for (unsigned d = 0; d < LAB_DIALECT_COUNT; d++) {
        for (unsigned timer = 0; timer < LAB_TIMER_COUNT; timer++) {
            const struct cell want = {0, 0, 1, 10};
            struct lab_point p = classic((enum lab_dialect)d, (enum lab_timer)timer);
            p.server.per_rcpt = constant(0);
            check_cell(&p, &want, lab_dialect_name((enum lab_dialect)d));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_scan_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
