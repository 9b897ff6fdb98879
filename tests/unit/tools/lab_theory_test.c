/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The closed forms against the sheet's own numbers: DUP section 4 cell by cell, its sweep, and the
 * figures of DUP-11.
 */
#include "lab/theory.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct dist constant_s(uint32_t s)
{
    uint64_t ns = s * NS_PER_S;
    return (struct dist){.kind = DIST_CONSTANT, .a = (double)ns, .low = ns, .high = ns};
}

/* T0 = 60 s, Tr = 30 s, n = 10, C = 300 s, five tries. */
static struct lab_point classic(enum lab_dialect dialect, enum lab_pacing pacing,
                                enum lab_timer timer)
{
    return (struct lab_point){
        .server = {.dialect = dialect,
                   .pacing = pacing,
                   .before = constant_s(60),
                   .per_rcpt = constant_s(30),
                   .reply_budget_ns = CLOCK_NEVER,
                   .refused_count = dialect == LAB_EXDATA ? 1 : 0},
        .client = {.limit_ns = 300 * NS_PER_S,
                   .timer = timer,
                   .retry_ns = 1800 * NS_PER_S,
                   .retry_factor = 1,
                   .retry_max_ns = 1800 * NS_PER_S,
                   .tries_max = 5},
        .rcpt_count = 10,
        .message_count = 1,
        .model_ns_max = CLOCK_NEVER,
    };
}

static void expect(const struct lab_point *p, double first, double total, bool is_livelock,
                   const char *rule)
{
    struct lab_theory t;
    lab_theory(p, &t);
    assert_null(t.why_none);
    assert_string_equal(t.rule, rule);
    assert_true(t.has_total);
    assert_float_equal(t.copies_first_sd, 0, 0);
    if (t.copies_first != first || t.copies_total != total || t.is_livelock != is_livelock)
        fail_msg("%s %s %s: %g copies first, %g in all, livelock %d; not %g, %g, %d",
                 lab_dialect_name(p->server.dialect), lab_pacing_names[p->server.pacing],
                 lab_timer_name(p->client.timer), t.copies_first, t.copies_total, t.is_livelock,
                 first, total, is_livelock);
}

static const struct {
    enum lab_dialect dialect;
    enum lab_pacing pacing;
    enum lab_timer timer;
    double first, total;
    bool is_livelock;
    const char *rule;
} section_4[] = {
    {LAB_SMTP, LAB_STREAM, LAB_TIMER_REPLY, 10, 40, true, "DUP-4"},
    {LAB_SMTP, LAB_STREAM, LAB_TIMER_TOTAL, 10, 40, true, "DUP-4"},
    {LAB_LMTP, LAB_STREAM, LAB_TIMER_REPLY, 0, 0, false, "DUP-5"},
    {LAB_LMTP, LAB_STREAM, LAB_TIMER_TOTAL, 2, 2, false, "DUP-6"},
    {LAB_LMTP, LAB_BUFFER, LAB_TIMER_REPLY, 10, 40, true, "DUP-8"},
    {LAB_LMTP, LAB_BUFFER, LAB_TIMER_TOTAL, 10, 40, true, "DUP-8"},
    {LAB_PRDR, LAB_STREAM, LAB_TIMER_REPLY, 0, 0, false, "DUP-7"},
    {LAB_PRDR, LAB_STREAM, LAB_TIMER_TOTAL, 10, 40, true, "DUP-7"},
    {LAB_XPRDR1, LAB_STREAM, LAB_TIMER_REPLY, 0, 0, false, "DUP-7"},
    {LAB_INLINE_DSN, LAB_STREAM, LAB_TIMER_TOTAL, 10, 40, true, "DUP-7"},
    /* Recipient 1 is answered 4xx a minute after the 353, and again each time. */
    {LAB_DEFERRALS, LAB_STREAM, LAB_TIMER_REPLY, 0, 0, false, "DUP-7, DEF-18"},
    /* One of the ten is refused, or there would be no list. */
    {LAB_EXDATA, LAB_STREAM, LAB_TIMER_LINE, 0, 0, false, "DUP-5"},
    {LAB_EXDATA, LAB_STREAM, LAB_TIMER_REPLY, 2, 2, false, "DUP-6, DUP-13"},
    {LAB_EXDATA, LAB_STREAM, LAB_TIMER_TOTAL, 2, 2, false, "DUP-6"},
    {LAB_EXDATA, LAB_BUFFER, LAB_TIMER_TOTAL, 9, 36, true, "DUP-8"},
    {LAB_WRAPPED_A, LAB_STREAM, LAB_TIMER_LINE, 0, 0, false, "DUP-5"},
    {LAB_WRAPPED_A, LAB_STREAM, LAB_TIMER_TOTAL, 2, 2, false, "DUP-6"},
    {LAB_WRAPPED_A, LAB_BUFFER, LAB_TIMER_LINE, 10, 40, true, "DUP-8"},
    {LAB_WRAPPED_B, LAB_STREAM, LAB_TIMER_REPLY, 0, 0, false, "DUP-9"},
    {LAB_WRAPPED_B, LAB_STREAM, LAB_TIMER_TOTAL, 0, 0, false, "DUP-9"},
};

static void test_section_4(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(section_4); i++) {
        struct lab_point p = classic(section_4[i].dialect, section_4[i].pacing, section_4[i].timer);
        expect(&p, section_4[i].first, section_4[i].total, section_4[i].is_livelock,
               section_4[i].rule);
    }
}

/* "With C = 600 s every row is 0." */
static void test_ten_minutes_suffice(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(section_4); i++) {
        struct lab_point p = classic(section_4[i].dialect, section_4[i].pacing, section_4[i].timer);
        p.client.limit_ns = 600 * NS_PER_S;
        expect(&p, 0, 0, false, section_4[i].rule);
    }
}

/* "With C = 30 s every row fails except Holzer B." */
static void test_half_a_minute(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(section_4); i++) {
        struct lab_point p = classic(section_4[i].dialect, section_4[i].pacing, section_4[i].timer);
        struct lab_theory t;
        p.client.limit_ns = 30 * NS_PER_S;
        lab_theory(&p, &t);
        bool fails = p.server.dialect != LAB_WRAPPED_B;
        assert_int_equal(t.is_livelock, fails);
        assert_int_equal(t.copies_first > 0, fails);
    }
}

/* "Single send after scan-once": all mechanisms are equal. */
static void test_scan_once(void **state)
{
    (void)state;
    for (unsigned d = 0; d < LAB_DIALECT_COUNT; d++) {
        struct lab_point p = classic((enum lab_dialect)d, LAB_BUFFER, LAB_TIMER_TOTAL);
        struct lab_theory t;
        p.server.per_rcpt = constant_s(0);
        lab_theory(&p, &t);
        assert_true(t.copies_first == 0 && t.copies_total == 0 && !t.is_livelock);
    }
}

/* S-stop: no copies, and where nothing was credited no progress either (DUP-10). */
static void test_stop(void **state)
{
    (void)state;
    struct lab_point p = classic(LAB_SMTP, LAB_STREAM, LAB_TIMER_TOTAL);
    p.server.vanished = LAB_VANISHED_STOP;
    expect(&p, 0, 0, true, "DUP-10");
    p.server.dialect = LAB_PRDR;
    expect(&p, 0, 0, true, "DUP-10");
    p.server.dialect = LAB_LMTP;
    expect(&p, 0, 0, false, "DUP-10");
    p.server.vanished = LAB_VANISHED_WRITE;
    p.client.limit_ns = 120 * NS_PER_S; /* two are credited, eight are not */
    struct lab_theory t;
    lab_theory(&p, &t);
    assert_true(t.copies_first == 2);
}

/* "Sweep LMTP total": and with enough tries the closed form of DUP-6 itself. */
static void test_sweep(void **state)
{
    (void)state;
    static const struct {
        uint32_t limit_s;
        double total;
    } rows[] = {{300, 2}, {299, 3}, {200, 8}, {120, 20}, {95, 45}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct lab_point p = classic(LAB_LMTP, LAB_STREAM, LAB_TIMER_TOTAL);
        struct lab_theory t;
        p.client.limit_ns = rows[i].limit_s * NS_PER_S;
        p.client.tries_max = 20;
        lab_theory(&p, &t);
        double k = floor((rows[i].limit_s - 60) / 30.0), m = ceil(10 / k);
        assert_true(t.copies_total == rows[i].total);
        assert_true(t.copies_total == (m - 1) * 10 - k * m * (m - 1) / 2);
        assert_false(t.is_livelock);
    }
    struct lab_point p = classic(LAB_LMTP, LAB_STREAM, LAB_TIMER_TOTAL);
    p.client.limit_ns = 89 * NS_PER_S;
    expect(&p, 10, 40, true, "DUP-6");
}

static double hazard_of(struct lab_point *p)
{
    struct lab_theory t;
    p->faults.cut = LAB_CUT_HAZARD;
    p->faults.hazard_per_s = 1e-4;
    p->client.limit_ns = CLOCK_NEVER;
    lab_theory(p, &t);
    assert_string_equal(t.rule, "DUP-11");
    assert_true(t.copies_first_sd > 0);
    return t.copies_first;
}

/* The figures that stand at DUP-11. */
static void test_hazard(void **state)
{
    (void)state;
    struct lab_point p = classic(LAB_SMTP, LAB_STREAM, LAB_TIMER_REPLY);
    assert_float_equal(hazard_of(&p), 0.354, 0.0005);
    p = classic(LAB_LMTP, LAB_STREAM, LAB_TIMER_REPLY);
    assert_float_equal(hazard_of(&p), 0.222, 0.0005);
    double q = exp(-1e-4 * 30);
    double formula = 10 - exp(-1e-4 * 90) * (1 - pow(q, 10)) / (1 - q);
    assert_float_equal(hazard_of(&p), formula, 1e-9);
    p = classic(LAB_PRDR, LAB_STREAM, LAB_TIMER_REPLY);
    p.server.vanished = LAB_VANISHED_STOP;
    p.faults.one_way_ns = 100 * NS_PER_MS;
    assert_float_equal(hazard_of(&p), 0.0001, 0.000005);
    p = classic(LAB_WRAPPED_B, LAB_STREAM, LAB_TIMER_REPLY);
    p.faults.one_way_ns = 100 * NS_PER_MS;
    assert_float_equal(hazard_of(&p), 0.0001, 0.000001);
}

/* DUP section 2: cut after k of n replies. */
static void test_cut_after_replies(void **state)
{
    (void)state;
    for (uint32_t k = 1; k < 10; k++) {
        struct lab_point p = classic(LAB_LMTP, LAB_STREAM, LAB_TIMER_REPLY);
        struct lab_theory t;
        p.faults = (struct lab_faults){
            .cut = LAB_CUT_AFTER_REPLIES, .cut_replies = k, .is_first_try_only = true};
        lab_theory(&p, &t);
        assert_true(t.copies_first == 10 - k && t.copies_total == 10 - k);
        p.server.dialect = LAB_PRDR;
        lab_theory(&p, &t);
        assert_true(t.copies_first == 10 && t.copies_total == 10);
        p.server.vanished = LAB_VANISHED_STOP;
        lab_theory(&p, &t);
        assert_true(t.copies_first == 0);
        p.server.dialect = LAB_WRAPPED_B;
        lab_theory(&p, &t);
        assert_true(t.copies_first == 0);
    }
}

static void test_black_hole(void **state)
{
    (void)state;
    struct lab_point p = classic(LAB_LMTP, LAB_STREAM, LAB_TIMER_REPLY);
    struct lab_theory t;
    p.faults = (struct lab_faults){.cut = LAB_CUT_BLACK_HOLE, .black_hole_share = 0.25};
    lab_theory(&p, &t);
    assert_float_equal(t.copies_first, 2.5, 1e-12);
    assert_float_equal(t.copies_total, 10 * (0.25 + 0.0625 + 0.015625 + 0.00390625), 1e-12);
}

static void test_none(void **state)
{
    (void)state;
    struct lab_point p = classic(LAB_SMTP, LAB_STREAM, LAB_TIMER_REPLY);
    struct lab_theory t;
    p.server.capacity = 4;
    lab_theory(&p, &t);
    assert_non_null(t.why_none);
    assert_string_equal(t.rule, "");
    p = classic(LAB_SMTP, LAB_STREAM, LAB_TIMER_REPLY);
    p.server.before.kind = DIST_EXP;
    lab_theory(&p, &t);
    assert_non_null(t.why_none);
    /* What is under way when the run ends has failed. */
    p = classic(LAB_SMTP, LAB_STREAM, LAB_TIMER_REPLY);
    p.model_ns_max = 500 * NS_PER_S;
    lab_theory(&p, &t);
    assert_non_null(t.why_none);
}

/* A budget below the limit: nothing is kept that is answered too late, so nothing is copied. */
static void test_budget(void **state)
{
    (void)state;
    for (unsigned d = 0; d < LAB_DIALECT_COUNT; d++) {
        struct lab_point p = classic((enum lab_dialect)d, LAB_STREAM, LAB_TIMER_TOTAL);
        struct lab_theory t;
        p.server.reply_budget_ns = 270 * NS_PER_S;
        lab_theory(&p, &t);
        assert_true(t.copies_first == 0);
    }
}

static void test_bound(void **state)
{
    (void)state;
    assert_float_equal(lab_theory_bound(3, 900), LAB_THEORY_SIGMAS * 0.1, 1e-6);
    assert_true(lab_theory_bound(0, 1) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_section_4),     cmocka_unit_test(test_ten_minutes_suffice),
        cmocka_unit_test(test_half_a_minute), cmocka_unit_test(test_scan_once),
        cmocka_unit_test(test_stop),          cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_hazard),        cmocka_unit_test(test_cut_after_replies),
        cmocka_unit_test(test_black_hole),    cmocka_unit_test(test_none),
        cmocka_unit_test(test_budget),        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
