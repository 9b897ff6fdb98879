/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lab_sim_test.c - the simulation against the sheet about duplicates: the table of its section 4
 * cell by cell, the sweep, random cuts within their bounds, and what else must hold.
 */
#include "lab/interval.h"
#include "lab/sim.h"
#include "lab/sim_queue.h"
#include "lab/theory.h"
#include <errno.h>
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

static struct lab_measure run_seed(const struct lab_point *p, uint64_t seed)
{
    static const struct lab_sim_options none;
    return run_with(p, seed, &none);
}

static struct lab_measure run(const struct lab_point *p)
{
    return run_seed(p, 1);
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

/* When replies leave, and what the server does when its client has left. */
#define S_RUN LAB_STREAM, LAB_VANISHED_RUN
#define S_STOP LAB_STREAM, LAB_VANISHED_STOP
#define S_WRITE LAB_STREAM, LAB_VANISHED_WRITE
#define S_BUFFER LAB_BUFFER, LAB_VANISHED_RUN
#define REPLY LAB_TIMER_REPLY
#define LINE LAB_TIMER_LINE

/* clang-format off */
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
    {"SMTP", LAB_SMTP, S_RUN, 0, REPLY, {{10, 40, LIVELOCK, 0}, {10, 40, LIVELOCK, 0}}, 0},
    {"SMTP, S-stop", LAB_SMTP, S_STOP, 0, REPLY, {{0, 0, LIVELOCK, 0}, {0, 0, LIVELOCK, 0}}, 0},
    {"LMTP streamed", LAB_LMTP, S_RUN, 0, REPLY, {{0, 0, 1, 10}, {2, 2, 2, 10}}, 0},
    {"LMTP streamed, S-stop", LAB_LMTP, S_STOP, 0, REPLY, {{0, 0, 1, 10}, {0, 0, 2, 10}}, 0},
    {"LMTP streamed, stops when a write fails", LAB_LMTP, S_WRITE, 0, REPLY,
     {{0, 0, 1, 10}, {2, 2, 2, 10}}, 0},
    {"LMTP at the end", LAB_LMTP, S_BUFFER, 0, REPLY,
     {{10, 40, LIVELOCK, 0}, {10, 40, LIVELOCK, 0}}, 0},
    {"PRDR", LAB_PRDR, S_RUN, OPENER_SOON, REPLY, {{0, 0, 1, 10}, {10, 40, LIVELOCK, 0}}, 0},
    {"PRDR, S-stop", LAB_PRDR, S_STOP, OPENER_SOON, REPLY, {{0, 0, 1, 10}, {0, 0, LIVELOCK, 0}}, 0},
    /* Recipient 1 is deferred by the 60 s rule, and then sent alone, without a list. With one timer
     * for all, the others are cut off as in PRDR. */
    {"DEFERRALS, 353 before the scan", LAB_DEFERRALS, S_RUN, OPENER_SOON, REPLY,
     {{0, 0, 2, 10}, {9, 36, LIVELOCK, 0}}, 0},
    {"DEFERRALS, 353 behind the scan", LAB_DEFERRALS, S_RUN, S(60), REPLY,
     {{0, 0, 1, 10}, {10, 40, LIVELOCK, 0}}, 0},
    {"XPRDR1", LAB_XPRDR1, S_RUN, 0, REPLY, {{0, 0, 1, 10}, {10, 40, LIVELOCK, 0}}, 0},
    {"INLINE-DSN", LAB_INLINE_DSN, S_RUN, OPENER_SOON, REPLY,
     {{0, 0, 1, 10}, {10, 40, LIVELOCK, 0}}, 0},
    /* The list needs a refusal (EXD-10), here of recipient 1. */
    {"EXDATA streamed", LAB_EXDATA, S_RUN, 0, LINE, {{0, 0, 1, 9}, {2, 2, 2, 9}}, 1},
    {"EXDATA streamed, a timer for the whole reply", LAB_EXDATA, S_RUN, 0, REPLY,
     {{2, 2, 2, 9}, {2, 2, 2, 9}}, 1},
    {"EXDATA, all is well", LAB_EXDATA, S_RUN, 0, LINE,
     {{10, 40, LIVELOCK, 0}, {10, 40, LIVELOCK, 0}}, 0},
    {"EXDATA buffered", LAB_EXDATA, S_BUFFER, 0, LINE,
     {{9, 36, LIVELOCK, 0}, {9, 36, LIVELOCK, 0}}, 1},
    {"Holzer A streamed", LAB_WRAPPED_A, S_RUN, OPENER_SOON, LINE,
     {{0, 0, 1, 10}, {2, 2, 2, 10}}, 0},
    {"Holzer A, a timer for the whole reply", LAB_WRAPPED_A, S_RUN, OPENER_SOON, REPLY,
     {{2, 2, 2, 10}, {2, 2, 2, 10}}, 0},
    {"Holzer A buffered", LAB_WRAPPED_A, S_BUFFER, OPENER_SOON, LINE,
     {{10, 40, LIVELOCK, 0}, {10, 40, LIVELOCK, 0}}, 0},
    {"Holzer B", LAB_WRAPPED_B, S_RUN, OPENER_SOON, LINE, {{0, 0, 1, 10}, {0, 0, 1, 10}}, 0},
    {"ADAT", LAB_ADAT, S_RUN, 0, REPLY, {{0, 0, 1, 10}, {0, 0, LIVELOCK, 0}}, 0},
};
/* clang-format on */

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

static void test_sweep(void **state)
{
    static const struct {
        uint64_t limit_s, copies, tries;
        bool is_livelock;
    } points[] = {{300, 2, 2, false},  {299, 3, 2, false},  {200, 8, 3, false},
                  {120, 20, 5, false}, {95, 45, 10, false}, {89, 110, 12, true}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        struct lab_point p = classic(LAB_LMTP, LAB_TIMER_TOTAL);
        p.client.limit_ns = S(points[i].limit_s);
        p.client.tries_max = 12;
        struct lab_measure m = run(&p);
        assert_int_equal(m.copies_excess, points[i].copies);
        assert_int_equal(m.tries, points[i].tries);
        assert_int_equal(m.livelocks, points[i].is_livelock);
        assert_int_equal(m.accepted, points[i].is_livelock ? 0 : 10);
        /* All copies are of tries that the client gave up. */
        assert_int_equal(m.causes[LEDGER_CAUSE_GAVE_UP], m.copies_excess);
    }
}

/* C = 600 s: every row is 0. C = 30 s: every row fails, but for Holzer B (section 4, DUP-14). */
static void test_long_and_short_limit(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (unsigned column = 0; column < 2; column++) {
            const struct row *row = &rows[i];
            struct lab_point p = classic(row->dialect, column == 0 ? row->reset : LAB_TIMER_TOTAL);
            p.server.pacing = row->pacing;
            p.server.opener_ns = row->opener_ns;
            p.server.refused_count = row->refused_count;
            p.client.limit_ns = S(600);
            struct lab_measure m = run(&p);
            assert_int_equal(m.copies_first_try, 0);
            assert_int_equal(m.accepted, 10 - row->refused_count);
            p.client.limit_ns = S(30);
            m = run(&p);
            assert_int_equal(m.livelocks, row->dialect != LAB_WRAPPED_B);
        }
    }
}

/* HOL-10: signs of life carry a client with a limit of 30 s over a gap of 90 s. */
static void test_progress(void **state)
{
    const struct cell want = {0, 0, 1, 10};
    struct lab_point p = classic(LAB_WRAPPED_A, LAB_TIMER_LINE);
    (void)state;
    p.client.limit_ns = S(30);
    p.server.progress_ns = S(30);
    check_cell(&p, &want, "wrapped with signs of life");
    p.server.progress_ns = S(31);
    assert_int_equal(run(&p).livelocks, 1);
}

/* ---- cuts ---- */

static void check_mean(const char *name, const struct lab_measure *m, double want)
{
    double n = (double)m->messages;
    double mean = (double)m->copies_first_try / n;
    double variance = (double)m->copies_first_try_sq / n - mean * mean;
    double bound = 5 * sqrt(variance / n);
    if (!(fabs(mean - want) <= bound))
        fail_msg("%s: %f copies a message instead of %f, which is more than %f off", name, mean,
                 want, bound);
}

/* DUP-11 */
static void test_random_cuts(void **state)
{
    const double t0 = 60, tr = 30, n = 10, delta = 2;
    (void)state;
    for (double lambda = 1e-4; lambda < 2e-2; lambda *= 10) {
        struct lab_point p = classic(LAB_SMTP, LAB_TIMER_REPLY);
        p.message_count = 10000;
        p.client.limit_ns = CLOCK_NEVER;
        p.client.tries_max = 3;
        p.faults = (struct lab_faults){
            .cut = LAB_CUT_HAZARD, .hazard_per_s = lambda, .one_way_ns = S(delta)};
        struct lab_measure m = run(&p);
        check_mean("SMTP", &m, -n * expm1(-lambda * (t0 + n * tr + delta)));

        p.server.dialect = LAB_LMTP;
        m = run(&p);
        double first = exp(-lambda * (t0 + tr + delta));
        check_mean("LMTP", &m, n - first * expm1(-lambda * n * tr) / expm1(-lambda * tr));

        /* Looks, then commits; who is there at the look. */
        const double tc = 100;
        p.server.dialect = LAB_PRDR;
        p.server.vanished = LAB_VANISHED_STOP;
        p.server.commit = constant(S(tc));
        m = run(&p);
        double alive = exp(-lambda * (t0 + n * tr));
        check_mean("PRDR", &m, -n * alive * expm1(-lambda * (tc + delta)));

        p.server.dialect = LAB_WRAPPED_B;
        m = run(&p);
        check_mean("Holzer B", &m, -n * expm1(-lambda * (tc + delta)));
    }
}

/* Section 2, "cut after k of n replies". */
static void test_cut_after_replies(void **state)
{
    (void)state;
    for (uint32_t k = 0; k <= 10; k++) {
        struct lab_point p = classic(LAB_LMTP, LAB_TIMER_REPLY);
        p.faults = (struct lab_faults){
            .cut = LAB_CUT_AFTER_REPLIES, .cut_replies = k, .is_first_try_only = true};
        struct lab_measure m = run(&p);
        assert_int_equal(m.copies_first_try, 10 - k);
        assert_int_equal(m.copies_excess, 10 - k);
        assert_int_equal(m.causes[LEDGER_CAUSE_LOST], 10 - k);
        assert_int_equal(m.tries, k == 10 ? 1 : 2);
        p.server.vanished = LAB_VANISHED_STOP;
        assert_int_equal(run(&p).copies_excess, 0);

        p = classic(LAB_PRDR, LAB_TIMER_REPLY);
        p.faults = (struct lab_faults){
            .cut = LAB_CUT_AFTER_REPLIES, .cut_replies = k, .is_first_try_only = true};
        p.server.final_ns = S(1);
        m = run(&p);
        assert_int_equal(m.copies_excess, 10); /* the final rules */
        p.server.vanished = LAB_VANISHED_STOP;
        m = run(&p);
        assert_int_equal(m.copies_excess, 0);
        assert_int_equal(m.accepted, 10);
    }
}

/* A peer that vanishes silently cannot be seen (DUP-17): looking does not help. */
static void test_black_hole(void **state)
{
    (void)state;
    for (unsigned v = 0; v < LAB_VANISHED_COUNT; v++) {
        struct lab_point p = classic(LAB_SMTP, LAB_TIMER_REPLY);
        p.client.limit_ns = S(600);
        p.server.vanished = (enum lab_vanished)v;
        p.faults = (struct lab_faults){.cut = LAB_CUT_BLACK_HOLE, .black_hole_share = 1};
        struct lab_measure m = run(&p);
        assert_int_equal(m.copies_first_try, 10);
        assert_int_equal(m.copies_excess, 40);
        assert_int_equal(m.livelocks, 1);
        p.faults.is_first_try_only = true;
        m = run(&p);
        assert_int_equal(m.copies_excess, 10);
        assert_int_equal(m.accepted, 10);
        p.faults.is_first_try_only = false;
        p.faults.black_hole_share = 0;
        assert_int_equal(run(&p).copies_excess, 0);
    }
}

/* ---- any point ---- */

static clock_ns pick(struct rng *rng, const uint16_t *seconds, size_t count)
{
    return S(seconds[rng_below(rng, count)]);
}
#define PICK(rng, ...)                                                                             \
    pick(rng, (const uint16_t[]){__VA_ARGS__},                                                     \
         sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t))

static struct lab_point any_point(struct rng *rng)
{
    struct lab_point p = classic((enum lab_dialect)rng_below(rng, LAB_DIALECT_COUNT),
                                 (enum lab_timer)rng_below(rng, LAB_TIMER_COUNT));
    p.server.pacing = rng_below(rng, 4) == 0 ? LAB_BUFFER : LAB_STREAM;
    p.server.order = rng_below(rng, 4) == 0 ? LAB_CONCURRENT : LAB_SEQUENTIAL;
    p.server.vanished = rng_below(rng, 2) == 0 ? LAB_VANISHED_STOP : LAB_VANISHED_RUN;
    p.server.before = constant(PICK(rng, 0, 15, 30, 60, 75, 90, 105));
    p.server.per_rcpt = constant(PICK(rng, 0, 15, 30, 45, 60));
    p.server.commit = constant(PICK(rng, 0, 0, 7));
    p.server.final_ns = PICK(rng, 0, 0, 25);
    p.server.opener_ns = rng_below(rng, 3) == 0 ? CLOCK_NEVER : 0;
    p.server.refused_count = rng_below(rng, 3) == 0 ? 1 : 0;
    p.server.remembers_scan = rng_below(rng, 4) == 0;
    p.client.limit_ns = PICK(rng, 30, 89, 90, 120, 200, 300, 301, 600);
    p.client.retry_ns = S(7200);
    p.client.tries_max = 1 + (uint32_t)rng_below(rng, 4);
    p.client.credits_early = rng_below(rng, 4) == 0;
    p.faults.one_way_ns = PICK(rng, 0, 0, 1);
    p.rcpt_count = 1 + (uint32_t)rng_below(rng, 12);
    return p;
}

/* What the closed forms do not see: slots of a session (at most 7 recipients are named at once). */
static bool is_in_theory(const struct lab_point *p)
{
    bool is_adat = p->server.dialect == LAB_ADAT;
    bool is_b = p->server.dialect == LAB_WRAPPED_B;
    return !(is_adat && (p->server.pacing == LAB_BUFFER || p->server.order == LAB_CONCURRENT)) &&
           !(is_b && p->server.pacing == LAB_BUFFER);
}

/* The same with all that may go wrong, one or several at once; also where nothing takes time. */
static struct lab_point any_fault(struct rng *rng)
{
    struct lab_point p = any_point(rng);
    p.server.vanished = (enum lab_vanished)rng_below(rng, LAB_VANISHED_COUNT);
    p.server.reply_budget_ns =
        rng_below(rng, 4) == 0 ? PICK(rng, 15, 60, 100, 240, 400) : CLOCK_NEVER;
    p.server.suppresses_copies = rng_below(rng, 6) == 0;
    p.client.half_closes = rng_below(rng, 6) == 0;
    p.faults.cut = (enum lab_cut)rng_below(rng, LAB_CUT_SLOW);
    p.faults.cut_replies = (uint32_t)rng_below(rng, p.rcpt_count + 1);
    p.faults.hazard_per_s = rng_below(rng, 2) == 0 ? 1000 : 1e-3;
    p.faults.black_hole_share = (double)rng_below(rng, 3) / 2;
    p.faults.is_first_try_only = rng_below(rng, 3) == 0;
    return p;
}

static void check_exact(const struct lab_point *p, const struct lab_theory *t, uint32_t number)
{
    struct lab_measure m = run(p);
    double first = (double)m.copies_first_try, total = (double)m.copies_excess;
    bool is_right = fabs(first - t->copies_first) < 1e-9;
    if (t->has_total)
        is_right =
            is_right && fabs(total - t->copies_total) < 1e-9 && (m.livelocks > 0) == t->is_livelock;
    if (!is_right)
        fail_msg("point %u, %s, %s, cut %d after %u, by %s: %g and %g copies, livelock %lu, not "
                 "%g, %g (%d), %d",
                 number, lab_dialect_name(p->server.dialect), lab_timer_name(p->client.timer),
                 (int)p->faults.cut, p->faults.cut_replies, t->rule, first, total,
                 (unsigned long)m.livelocks, t->copies_first, t->copies_total, t->has_total,
                 t->is_livelock);
}

/* The closed forms, which know no sessions and no order of events, say the same, wherever they say
 * that it is certain. */
static void test_theory(void **state)
{
    struct rng rng;
    uint32_t count = 0, faults = 0;
    (void)state;
    rng_init(&rng, 20261125);
    for (uint32_t i = 0; i < 3000; i++) {
        struct lab_point p = i % 3 == 0 ? any_point(&rng) : any_fault(&rng);
        struct lab_theory t;
        lab_theory(&p, &t);
        if (t.why_none != NULL || !is_in_theory(&p) || t.copies_first_sd > 0)
            continue;
        check_exact(&p, &t, i);
        count++;
        faults += p.faults.cut != LAB_CUT_NONE;
    }
    assert_true(count > 1500 && faults > 500);
}

/* Within what chance explains, also where it is a matter of few messages. */
static void check_about(const char *what, uint32_t number, const struct lab_measure *m,
                        const uint64_t sums[2], uint32_t rcpt_count, double want, double sd)
{
    double n = (double)m->messages, mean = (double)sums[0] / n;
    struct lab_interval i = interval_sum((double)sums[0], (double)sums[1], rcpt_count, 1e-6);
    double bound = lab_theory_bound(sd, m->messages) + rcpt_count / n;
    if (fabs(mean - want) > bound && (want < i.low / n || want > i.high / n))
        fail_msg("point %u: %g copies a message by %s, not %g +- %g", number, mean, what, want, sd);
}

static void test_theory_of_chance(void **state)
{
    struct rng rng;
    uint32_t count = 0, several = 0;
    (void)state;
    rng_init(&rng, 20261127);
    for (uint32_t i = 0; count < 120; i++) {
        struct lab_point p = any_fault(&rng);
        struct lab_theory t;
        if (rng_below(&rng, 2) == 0)
            p.client.limit_ns = S(86400); /* no other end than the cuts */
        p.faults.hazard_per_s = rng_below(&rng, 2) == 0 ? 2e-3 : 2e-2;
        lab_theory(&p, &t);
        if (t.why_none != NULL || !is_in_theory(&p) || t.copies_first_sd <= 0)
            continue;
        p.message_count = 300;
        struct lab_measure m = run_seed(&p, i);
        const uint64_t first[] = {m.copies_first_try, m.copies_first_try_sq};
        const uint64_t total[] = {m.copies_excess, m.copies_excess_sq};
        check_about("the first try", i, &m, first, p.rcpt_count, t.copies_first, t.copies_first_sd);
        if (t.has_total)
            check_about("all tries", i, &m, total, p.rcpt_count, t.copies_total, t.copies_total_sd);
        count++;
        several += __builtin_popcount((unsigned)p.faults.cut) > 1;
    }
    assert_true(several > 40);
}

/* DUP-17: a connection that breaks at the dot is seen by the first look, also when there is nothing
 * to do before the commit. */
static void test_cut_at_the_dot(void **state)
{
    (void)state;
    for (unsigned d = 0; d < LAB_DIALECT_COUNT; d++) {
        struct lab_point p = classic((enum lab_dialect)d, LAB_TIMER_REPLY);
        struct lab_theory t;
        p.server.before = p.server.per_rcpt = constant(0);
        p.server.vanished = LAB_VANISHED_STOP;
        p.faults = (struct lab_faults){.cut = LAB_CUT_AFTER_REPLIES, .is_first_try_only = true};
        p.rcpt_count = 3;
        lab_theory(&p, &t);
        struct lab_measure m = run(&p);
        assert_int_equal(m.copies_first_try, 0);
        assert_int_equal(m.copies_excess, 0);
        assert_int_equal(m.accepted, 3);
        assert_true(t.copies_first == 0 && t.copies_total == 0);
        p.server.vanished = LAB_VANISHED_RUN;
        m = run(&p);
        lab_theory(&p, &t);
        assert_int_equal(m.copies_first_try, d == LAB_ADAT ? 0 : 3);
        assert_true(t.copies_first == (d == LAB_ADAT ? 0 : 3));
    }
}

/* What comes first is what happens; a black hole comes first of all. */
static void test_several_cuts(void **state)
{
    struct lab_point p = classic(LAB_LMTP, LAB_TIMER_REPLY);
    struct lab_theory t;
    (void)state;
    p.client.limit_ns = CLOCK_NEVER;
    p.client.tries_max = 2;
    p.message_count = 4000;
    p.faults = (struct lab_faults){.cut = (enum lab_cut)(LAB_CUT_AFTER_REPLIES | LAB_CUT_HAZARD),
                                   .cut_replies = 4,
                                   .hazard_per_s = 1e-3,
                                   .is_first_try_only = true};
    /* Until the 4th reply, 180 s behind the dot, as with the hazard alone; who is left then has 6
     * copies (DUP-11, and section 2). */
    double want = 6;
    for (int k = 0; k < 4; k++)
        want -= expm1(-1e-3 * (90 + 30 * k));
    lab_theory(&p, &t);
    assert_string_equal(t.rule, "DUP-11");
    assert_float_equal(t.copies_first, want, 1e-9);
    struct lab_measure m = run(&p);
    check_mean("LMTP, cut by chance or behind the 4th", &m, want);
    p.faults.cut = (enum lab_cut)((unsigned)p.faults.cut | LAB_CUT_BLACK_HOLE);
    p.faults.black_hole_share = 0.25;
    p.client.limit_ns = S(600);
    lab_theory(&p, &t);
    assert_string_equal(t.rule, "DUP-11, DUP-17");
    assert_float_equal(t.copies_first, 2.5 + 0.75 * want, 1e-9);
    m = run(&p);
    check_mean("the same with black holes", &m, 2.5 + 0.75 * want);
    /* Nobody can see a break in a black hole, at the dot neither. */
    p = classic(LAB_SMTP, LAB_TIMER_REPLY);
    p.server.vanished = LAB_VANISHED_STOP;
    p.client.limit_ns = S(600);
    p.faults =
        (struct lab_faults){.cut = (enum lab_cut)(LAB_CUT_AFTER_REPLIES | LAB_CUT_BLACK_HOLE),
                            .black_hole_share = 1,
                            .is_first_try_only = true};
    assert_int_equal(run(&p).copies_first_try, 10);
    p.faults.black_hole_share = 0;
    assert_int_equal(run(&p).copies_first_try, 0);
}

/* ---- ends of connections ---- */

/* DUP-3: who credits before the server has committed loses mail. */
static void test_early_credit(void **state)
{
    struct lab_point p = classic(LAB_PRDR, LAB_TIMER_TOTAL);
    (void)state;
    p.client.credits_early = true;
    p.server.vanished = LAB_VANISHED_STOP;
    p.client.tries_max = 1;
    struct lab_measure m = run(&p);
    assert_int_equal(m.accepted, 8);
    assert_int_equal(m.lost, 8);
    p.server.vanished = LAB_VANISHED_RUN;
    m = run(&p);
    assert_int_equal(m.accepted, 8);
    assert_int_equal(m.lost, 0);
    /* With the patience to wait for the final reply it is no fault. */
    p.client.limit_ns = S(600);
    p.server.vanished = LAB_VANISHED_STOP;
    m = run(&p);
    assert_int_equal(m.accepted, 10);
    assert_int_equal(m.lost, 0);
}

/* DUP-17: QUIT and the end of input behind the content are no farewell ... */
static void test_half_close(void **state)
{
    (void)state;
    for (unsigned d = 0; d < LAB_DIALECT_COUNT; d++) {
        struct lab_point p = classic((enum lab_dialect)d, LAB_TIMER_REPLY);
        p.server.opener_ns = S(60);
        p.client.limit_ns = S(600);
        p.client.half_closes = true;
        for (unsigned v = 0; v < LAB_VANISHED_COUNT; v++) {
            p.server.vanished = (enum lab_vanished)v;
            struct lab_measure m = run(&p);
            assert_int_equal(m.accepted, 10);
            assert_int_equal(m.tries, 1);
        }
    }
    /* ... so that the true one cannot be told from it. */
    struct lab_point p = classic(LAB_SMTP, LAB_TIMER_REPLY);
    p.client.half_closes = true;
    p.server.vanished = LAB_VANISHED_STOP;
    assert_int_equal(run(&p).copies_first_try, 10);
}

/* ---- what helps ---- */

/* DUP-22: the copy is known again, and the retry is answered at once. */
static void test_retry_ledger(void **state)
{
    (void)state;
    for (unsigned d = 0; d < LAB_DIALECT_COUNT; d++) {
        struct lab_point p = classic((enum lab_dialect)d, LAB_TIMER_TOTAL);
        p.server.opener_ns = S(60);
        p.server.suppresses_copies = true;
        struct lab_measure m = run(&p);
        assert_int_equal(m.copies_excess, 0);
        if (d == LAB_ADAT) /* nothing is committed that could be known again */
            continue;
        assert_int_equal(m.accepted, 10);
        assert_int_equal(m.delivered, 10);
        assert_int_equal(m.tries, d == LAB_WRAPPED_B ? 1 : 2);
    }
}

/* DUP-21: it is the scan that is too slow, and the second try needs none. */
static void test_remembered_scan(void **state)
{
    struct lab_point p = classic(LAB_SMTP, LAB_TIMER_REPLY);
    (void)state;
    p.server.before = constant(S(290));
    p.server.per_rcpt = constant(S(2));
    assert_int_equal(run(&p).livelocks, 1);
    p.server.remembers_scan = true;
    struct lab_measure m = run(&p);
    assert_int_equal(m.tries, 2);
    assert_int_equal(m.copies_excess, 10);
    assert_int_equal(m.accepted, 10);
}

/* DUP-15: who is not decided in time is told so, in his place. */
static void test_reply_budget(void **state)
{
    struct lab_point p = classic(LAB_LMTP, LAB_TIMER_TOTAL);
    (void)state;
    p.server.reply_budget_ns = S(240);
    struct lab_measure m = run(&p);
    assert_int_equal(m.copies_excess, 0);
    assert_int_equal(m.accepted, 10);
    assert_int_equal(m.tries, 2); /* 6, then 4 */
    p.server.dialect = LAB_PRDR;
    m = run(&p);
    assert_int_equal(m.copies_excess, 0);
    assert_int_equal(m.accepted, 10);
    assert_int_equal(m.tries, 2);
    p.server.dialect = LAB_SMTP; /* one for all: nothing is committed */
    m = run(&p);
    assert_int_equal(m.copies_first_try, 0);
    assert_int_equal(m.deferred, 10);
    assert_int_equal(m.tries_failed, 0);
    p.server.dialect = LAB_ADAT;
    p.client.limit_ns = S(300);
    m = run(&p);
    assert_int_equal(m.accepted, 10);
    assert_int_equal(m.tries, 2);
}

/* ---- chance ---- */

/* Everything at once: verdicts, distributions, cuts, a mix of clients, few places at work. */
static struct lab_point wild(enum lab_dialect dialect)
{
    struct lab_point p = classic(dialect, LAB_TIMER_REPLY);
    p.server.before = (struct dist){.kind = DIST_EXP, .a = 40e9, .high = S(1000)};
    p.server.per_rcpt = (struct dist){.kind = DIST_UNIFORM, .low = S(1), .high = S(40)};
    p.server.commit = constant(S(2));
    p.server.opener_ns = S(1);
    p.server.final_ns = S(3);
    p.server.refused_share = 0.2;
    p.server.deferred_share = 0.1;
    p.server.capacity = 20;
    p.server.slowdown = 0.5;
    p.server.reply_budget_ns = S(900);
    p.faults = (struct lab_faults){
        .cut = LAB_CUT_HAZARD, .hazard_per_s = 1e-3, .one_way_ns = 20 * NS_PER_MS};
    p.mix = (struct lab_mix){.count = 2,
                             .rows = {{"patient", 0.75, p.client}, {"hasty", 0.25, p.client}}};
    p.mix.rows[0].client.limit_ns = S(600);
    p.mix.rows[1].client.timer = LAB_TIMER_TOTAL;
    p.mix.rows[1].client.half_closes = true;
    p.rcpt_count = 5;
    p.message_count = 300;
    p.message_bytes = 10000;
    p.rate_per_s = 0.5;
    p.client_count = 40;
    return p;
}

/* As wild() and in all directions: no assertion of the machines or of the simulation may fail, all
 * ends, and nothing is lost by a client that waits for the last word. */
static void test_anything(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 20261126);
    for (uint32_t i = 0; i < 400; i++) {
        struct lab_point any = any_point(&rng);
        struct lab_point p = wild(any.server.dialect);
        p.server.pacing = any.server.pacing;
        p.server.order = any.server.order;
        p.server.vanished = (enum lab_vanished)rng_below(&rng, LAB_VANISHED_COUNT);
        p.server.opener_ns = PICK(&rng, 0, 1, 60, 300);
        p.server.final_ns = any.server.final_ns;
        p.server.commit = any.server.commit;
        p.server.progress_ns = PICK(&rng, 0, 20);
        p.server.reply_budget_ns = rng_below(&rng, 2) == 0 ? CLOCK_NEVER : PICK(&rng, 5, 50, 240);
        p.server.refused_count = any.server.refused_count;
        p.server.capacity = (uint32_t)rng_below(&rng, 5);
        p.server.slowdown = rng_below(&rng, 3) == 0 ? 0.2 : 0;
        p.server.remembers_scan = any.server.remembers_scan;
        p.server.suppresses_copies = rng_below(&rng, 3) == 0;
        p.faults.cut = (enum lab_cut)rng_below(&rng, LAB_CUT_COUNT);
        p.faults.cut_replies = (uint32_t)rng_below(&rng, 5);
        p.faults.black_hole_share = 0.3;
        p.faults.bytes_per_s = 5000;
        p.faults.is_first_try_only = rng_below(&rng, 2) == 0;
        p.faults.one_way_ns = any.faults.one_way_ns;
        p.mix.rows[0].client.limit_ns = any.client.limit_ns;
        p.mix.rows[0].client.timer = any.client.timer;
        p.mix.rows[1].client.tries_max = any.client.tries_max;
        p.rcpt_count = any.rcpt_count;
        p.message_count = 20;
        p.rate_per_s = rng_below(&rng, 4) == 0 ? 0 : 0.2;
        p.client_count = (uint32_t)rng_below(&rng, 8);
        p.model_ns_max = rng_below(&rng, 4) == 0 ? S(400) : CLOCK_NEVER;
        struct lab_measure m = run_seed(&p, i);
        if (m.lost != 0)
            fail_msg("point %u, %s: %lu lost", i, lab_dialect_name(p.server.dialect),
                     (unsigned long)m.lost);
        assert_true(m.messages == p.message_count || p.model_ns_max != CLOCK_NEVER);
    }
}

struct files {
    char *attempts, *arrivals;
    size_t attempts_len, arrivals_len;
};

static struct lab_measure run_to_files(const struct lab_point *p, uint64_t seed, struct files *f)
{
    struct lab_sim_options o = {.attempts = open_memstream(&f->attempts, &f->attempts_len),
                                .arrivals = open_memstream(&f->arrivals, &f->arrivals_len)};
    assert_non_null(o.attempts);
    assert_non_null(o.arrivals);
    struct lab_measure m = run_with(p, seed, &o);
    fclose(o.attempts);
    fclose(o.arrivals);
    return m;
}

static void files_free(struct files *f)
{
    free(f->attempts);
    free(f->arrivals);
}

static bool is_same(const struct files *a, const struct files *b)
{
    return a->attempts_len == b->attempts_len && a->arrivals_len == b->arrivals_len &&
           memcmp(a->attempts, b->attempts, a->attempts_len) == 0 &&
           memcmp(a->arrivals, b->arrivals, a->arrivals_len) == 0;
}

static void add_line(struct ledger *l, struct slice line, bool is_arrival, uint64_t run_id)
{
    struct attempt attempt;
    struct arrival arrival;
    if (is_arrival) {
        assert_true(arrivals_parse(line, &arrival));
        assert_int_equal(ledger_add_arrival(l, &arrival, true), 0);
    } else {
        assert_true(attempts_parse(line, run_id, &attempt));
        assert_int_equal(ledger_add_attempt(l, &attempt), 0);
    }
}

/* The files, read again, say the same as what was counted on the way. */
static struct ledger_result check_files(const struct files *f, const struct lab_measure *m)
{
    struct ledger *l;
    struct ledger_result r;
    uint64_t run_id = 0;
    assert_int_equal(ledger_new(LEDGER_COPY_RCPT, &l), 0);
    for (unsigned pass = 0; pass < 2; pass++) {
        struct slice text = pass == 0 ? slice_of(f->attempts, f->attempts_len)
                                      : slice_of(f->arrivals, f->arrivals_len);
        for (uint32_t number = 0; text.len > 0; number++) {
            size_t end = slice_find(text, '\n');
            struct slice line = slice_first(text, end);
            if (number == 0 && pass == 0)
                assert_true(attempts_parse_head(line, &run_id));
            else if (number == 0)
                assert_true(arrivals_parse_head(line));
            else if (number > 1)
                add_line(l, line, pass == 1, run_id);
            text = slice_from(text, end + 1);
        }
    }
    ledger_join(l, &r);
    ledger_free(l);
    assert_int_equal(r.messages, m->messages);
    assert_int_equal(r.clients[LEDGER_ACCEPTED], m->accepted);
    assert_int_equal(r.clients[LEDGER_REFUSED], m->refused);
    assert_int_equal(r.delivered, m->delivered);
    assert_int_equal(r.lost, m->lost);
    assert_int_equal(r.copies_excess, m->copies_excess);
    assert_int_equal(r.duplicated, m->duplicated_pairs);
    assert_memory_equal(r.causes, m->causes, sizeof(r.causes));
    return r;
}

/* The copies that a retry makes have the same content (DUP-24), and the address says whose. */
static void test_same_content(void **state)
{
    struct lab_point p = classic(LAB_LMTP, LAB_TIMER_TOTAL);
    struct files f;
    struct arrival a;
    uint64_t hash = 0;
    uint32_t count = 0, again = 0;
    (void)state;
    p.message_bytes = 12345;
    (void)run_to_files(&p, 1, &f);
    for (struct slice text = slice_of(f.arrivals, f.arrivals_len); text.len > 0; count++) {
        size_t end = slice_find(text, '\n');
        if (count > 1) {
            assert_true(arrivals_parse(slice_first(text, end), &a));
            hash = count == 2 ? a.hash : hash;
            assert_int_equal(a.hash, hash);
            assert_int_equal(a.content_bytes, 12345);
            again += a.conn == 2;
            if (a.conn == 2) /* the second try: recipients 9 and 10 */
                assert_true(slice_eq(a.address, a.rcpt_idx == 0 ? SLICE_LIT("r8@mx.example")
                                                                : SLICE_LIT("r9@mx.example")));
        }
        text = slice_from(text, end + 1);
    }
    assert_int_equal(count, 2 + 10 + 2);
    assert_int_equal(again, 2);
    files_free(&f);
}

/* DUP-23: what the server knows about its replies. */
static void test_delivered(void **state)
{
    static const struct {
        enum lab_cut cut;
        bool half_closes;
        uint64_t yes, no, unknown;
    } points[] = {
        /* First try: 8 were read by a client that left without a word, and a reset came back for
         * what was written then; second try: 2 with QUIT. */
        {LAB_CUT_NONE, false, 2, 2, 8},
        {LAB_CUT_NONE, true, 0, 2, 8 + 2}, /* that QUIT was there before the replies */
        {LAB_CUT_AFTER_REPLIES, false, 8, 8, 2},
        {LAB_CUT_BLACK_HOLE, false, 2, 10 + 2, 8}, /* and then as in the first line */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(points); i++) {
        struct lab_point p = classic(LAB_LMTP, LAB_TIMER_TOTAL);
        struct files f;
        p.client.half_closes = points[i].half_closes;
        p.faults = (struct lab_faults){.cut = points[i].cut,
                                       .cut_replies = 2,
                                       .black_hole_share = 1,
                                       .is_first_try_only = true};
        struct lab_measure m = run_to_files(&p, 1, &f);
        struct ledger_result r = check_files(&f, &m);
        assert_int_equal(r.replies[ARRIVAL_REPLY_YES], points[i].yes);
        assert_int_equal(r.replies[ARRIVAL_REPLY_NO], points[i].no);
        assert_int_equal(r.replies[ARRIVAL_REPLY_UNKNOWN], points[i].unknown);
        files_free(&f);
    }
}

static void test_same_seed(void **state)
{
    (void)state;
    for (unsigned d = 0; d < LAB_DIALECT_COUNT; d++) {
        struct lab_point p = wild((enum lab_dialect)d);
        struct files a, b, c;
        struct lab_measure m = run_to_files(&p, 7, &a);
        assert_int_equal(run_to_files(&p, 7, &b).events, m.events);
        (void)run_to_files(&p, 8, &c);
        assert_true(is_same(&a, &b));
        assert_false(is_same(&a, &c));
        (void)check_files(&a, &m);
        assert_int_equal(m.messages, p.message_count);
        assert_int_equal(m.lost, 0); /* nobody credits early */
        assert_true(m.accepted > 0);
        assert_true(m.refused > 0 || d == LAB_SMTP); /* one for all: seldom 5xx */
        files_free(&a);
        files_free(&b);
        files_free(&c);
    }
}

/* Another seed is another run, not the same one by another name. */
static void test_other_seed(void **state)
{
    struct lab_point p = classic(LAB_LMTP, LAB_TIMER_REPLY);
    (void)state;
    p.message_count = 1000;
    p.faults = (struct lab_faults){.cut = LAB_CUT_HAZARD, .hazard_per_s = 1e-3};
    struct lab_measure a = run_seed(&p, 1), b = run_seed(&p, 2);
    assert_int_not_equal(a.model_ns, b.model_ns);
    assert_int_not_equal(a.copies_first_try, b.copies_first_try);
}

static void test_shares(void **state)
{
    struct lab_point p = classic(LAB_LMTP, LAB_TIMER_REPLY);
    (void)state;
    p.message_count = 2000;
    p.client.tries_max = 1;
    p.server.refused_share = 0.2;
    p.server.deferred_share = 0.1;
    struct lab_measure m = run(&p);
    assert_in_range(m.refused, 4000 - 300, 4000 + 300); /* 5 sigma */
    assert_in_range(m.deferred, 2000 - 225, 2000 + 225);
    /* Who is deferred is not so for ever, who is refused is. */
    p.client.tries_max = 20;
    struct lab_measure again = run(&p);
    assert_int_equal(again.deferred, 0);
    assert_int_equal(again.refused, m.refused);
}

/* One place at work, and clients that leave long before their turn. */
static void test_gone_while_waiting(void **state)
{
    struct lab_point p = classic(LAB_LMTP, LAB_TIMER_REPLY);
    (void)state;
    p.message_count = 10;
    p.rcpt_count = 1;
    p.rate_per_s = 1000;
    p.client.limit_ns = S(20);
    p.client.tries_max = 1;
    p.server.capacity = 1;
    struct lab_measure m = run(&p);
    assert_int_equal(m.copies_first_try, 10);
    assert_in_range(m.model_ns, S(900), S(901));
    p.server.vanished = LAB_VANISHED_STOP;
    m = run(&p);
    assert_int_equal(m.copies_first_try, 0);
    assert_in_range(m.model_ns, S(60), S(61)); /* the first one's scan, which had begun */
}

/* More recipients than a segment, a reply queue or a scratch buffer holds. */
static void test_many_recipients(void **state)
{
    (void)state;
    for (unsigned d = 0; d < LAB_DIALECT_COUNT; d++) {
        const struct cell want = {0, 0, 1, 1000};
        struct lab_point p = classic((enum lab_dialect)d, LAB_TIMER_REPLY);
        p.rcpt_count = 1000;
        p.server.per_rcpt = constant(0);
        p.faults.one_way_ns = NS_PER_MS;
        check_cell(&p, &want, lab_dialect_name((enum lab_dialect)d));
        p.faults.cut = LAB_CUT_SLOW;
        p.faults.bytes_per_s = 1000;
        p.client.limit_ns = S(600);
        check_cell(&p, &want, lab_dialect_name((enum lab_dialect)d));
    }
}

/* A run that is ended early: what is under way counts as not known. */
static void test_early_end(void **state)
{
    (void)state;
    for (unsigned d = 0; d < LAB_DIALECT_COUNT; d++) {
        struct lab_point p = wild((enum lab_dialect)d);
        struct files f;
        p.model_ns_max = S(300);
        struct lab_measure m = run_to_files(&p, 7, &f);
        assert_int_equal(m.model_ns, S(300));
        assert_true(m.messages > 0 && m.messages < p.message_count);
        assert_true(m.gave_up > 0 || d == LAB_WRAPPED_B); /* read the opening line */
        (void)check_files(&f, &m);
        files_free(&f);
    }
}

/* Reading B: what was refused behind the opening line and not read is told by a notice, not lost.
 */
static void test_notices(void **state)
{
    struct lab_point p = classic(LAB_WRAPPED_B, LAB_TIMER_TOTAL);
    (void)state;
    p.message_count = 100;
    p.server.refused_share = 0.5;
    p.client.limit_ns = S(200);
    struct lab_measure m = run(&p);
    assert_true(m.refused > 100 && m.refused < 300); /* half of the 4 whose lines were read */
    assert_int_equal(m.accepted + m.refused, 1000);
    assert_int_equal(m.lost, 0);
    assert_int_equal(m.copies_excess, 0);
}

/* ---- time ---- */

static void test_series(void **state)
{
    struct lab_point p = wild(LAB_LMTP);
    const struct lab_sim_options o = {.series_width_ns = NS_PER_MS}; /* too narrow: it doubles */
    struct lab_measure m;
    struct lab_bucket sum = {0};
    (void)state;
    assert_int_equal(lab_measure_init(&m), 0);
    assert_int_equal(lab_sim(&p, 3, &o, &m), 0);
    assert_true(m.series.count > 0 && m.series.count <= SIM_SERIES_BUCKETS_MAX);
    assert_true(m.series.width_ns * m.series.count >= m.model_ns);
    for (uint32_t i = 0; i < m.series.count; i++) {
        const struct lab_bucket *b = &m.series.at[i];
        sum.started += b->started;
        sum.retries += b->retries;
        sum.settled += b->settled;
        sum.copies += b->copies;
        sum.in_work = u64_max(sum.in_work, b->in_work);
    }
    assert_int_equal(sum.started, m.messages);
    assert_int_equal(sum.settled, m.messages);
    assert_int_equal(sum.started + sum.retries, m.tries);
    assert_in_range(sum.copies, m.copies_excess, m.copies_excess + m.pairs);
    assert_in_range(sum.in_work, p.server.capacity + 1, m.tries);
    assert_int_equal(m.settled.total, m.messages);
    lab_measure_deinit(&m);
}

/* 100 KiB at 1 KiB a second take 100 s, and the replies their own time behind it. */
static void test_slow_link(void **state)
{
    static const struct lab_sim_options none;
    struct lab_point p = classic(LAB_LMTP, LAB_TIMER_REPLY);
    struct lab_measure m;
    (void)state;
    p.message_bytes = 100 * KIB;
    p.faults = (struct lab_faults){.cut = LAB_CUT_SLOW, .bytes_per_s = KIB, .one_way_ns = S(1)};
    assert_int_equal(lab_measure_init(&m), 0);
    assert_int_equal(lab_sim(&p, 1, &none, &m), 0);
    assert_int_equal(m.accepted, 10);
    assert_in_range(m.settled.max, S(360 + 100), S(360 + 120));
    assert_in_range(m.dot_to_last.max, S(360), S(360 + 70)); /* what is in the socket buffer */
    lab_measure_deinit(&m);
}

/* Centuries of messages one after another. */
static void test_long_time(void **state)
{
    struct lab_point p = classic(LAB_SMTP, LAB_TIMER_REPLY);
    (void)state;
    p.client.retry_ns = S(10 * 365 * 86400u);
    p.client.tries_max = 10;
    p.message_count = 4;
    struct lab_measure m = run(&p);
    assert_int_equal(m.tries, 40);
    assert_true(m.model_ns > S((uint64_t)350 * 365 * 86400));
}

/* ---- the ladder ---- */

static uint32_t count_rungs(const struct ladder *l, enum ladder_who who, const char *text)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < l->count; i++)
        count += l->rungs[i].who == who && strncmp(l->rungs[i].text, text, strlen(text)) == 0;
    return count;
}

static void test_ladder(void **state)
{
    struct lab_point p = classic(LAB_PRDR, LAB_TIMER_TOTAL);
    struct ladder l = {0};
    const struct lab_sim_options o = {.ladder = &l, .ladder_seq = 1};
    (void)state;
    p.message_count = 3;
    p.client.tries_max = 2;
    p.faults.one_way_ns = S(1);
    (void)run_with(&p, 1, &o);
    for (uint32_t i = 1; i < l.count; i++)
        assert_true(l.rungs[i].at >= l.rungs[i - 1].at);
    assert_int_equal(count_rungs(&l, LADDER_CLIENT, "connects"), 2);
    assert_int_equal(count_rungs(&l, LADDER_CLIENT, "gives up"), 2);
    assert_int_equal(count_rungs(&l, LADDER_CLIENT, "waits for its next try"), 1);
    assert_int_equal(count_rungs(&l, LADDER_SERVER, "work on the content"), 2);
    assert_int_equal(count_rungs(&l, LADDER_SERVER, "work on recipient"), 20);
    assert_int_equal(count_rungs(&l, LADDER_SERVER, "commits 10 recipients"), 2);
    assert_int_equal(count_rungs(&l, LADDER_WIRE, "content and the dot"), 2);
    assert_int_equal(count_rungs(&l, LADDER_WIRE, "353"), 2);
    assert_int_equal(count_rungs(&l, LADDER_WIRE, "MAIL FROM:<sender@client.example> "), 2);
    for (uint32_t i = 0; i < l.count; i++)
        if (l.rungs[i].who == LADDER_WIRE)
            assert_int_equal(l.rungs[i].until, l.rungs[i].at + S(1));
    ladder_deinit(&l);
    assert_null(l.rungs);
}

/* A connection breaks once, whatever else would have cut it. */
static void test_ladder_of_cuts(void **state)
{
    struct lab_point p = classic(LAB_LMTP, LAB_TIMER_REPLY);
    struct ladder l = {0};
    const struct lab_sim_options o = {.ladder = &l};
    (void)state;
    p.client.tries_max = 1;
    p.faults = (struct lab_faults){.cut = (enum lab_cut)(LAB_CUT_AFTER_REPLIES | LAB_CUT_HAZARD),
                                   .cut_replies = 2,
                                   .hazard_per_s = 1e-6};
    (void)run_with(&p, 1, &o);
    assert_int_equal(count_rungs(&l, LADDER_WIRE, "connection cut"), 1);
    assert_int_equal(count_rungs(&l, LADDER_SERVER, "commits recipient"), 10);
    ladder_deinit(&l);
}

/* By time, then rank, then in turn. */
static void test_queue(void **state)
{
    struct sim_queue q = {0};
    struct sim_event e, last = {0};
    struct rng rng;
    uint32_t pushed = 0, popped = 0;
    (void)state;
    rng_init(&rng, 5);
    for (uint32_t round = 0; round < 20000; round++) {
        if (rng_below(&rng, 5) < 3 && round < 15000) {
            enum sim_rank rank = (enum sim_rank)rng_below(&rng, 3);
            struct sim_event in = {.at = last.at + rng_below(&rng, 8), .arg = pushed++};
            in.kind = rank;
            /* Behind what has happened: at the same instant only of the same rank or a later one.
             */
            in.at += in.at == last.at && rank < last.kind;
            sim_queue_push(&q, rank, in);
        } else if (sim_queue_pop(&q, &e)) {
            assert_true(e.at >= last.at);
            if (popped > 0 && e.at == last.at)
                assert_true(e.kind > last.kind || (e.kind == last.kind && e.arg > last.arg));
            last = e;
            popped++;
        }
    }
    while (sim_queue_pop(&q, &e))
        popped++;
    assert_int_equal(popped, pushed);
    sim_queue_deinit(&q);
}

static void test_nonsense(void **state)
{
    static const struct lab_sim_options none;
    struct lab_point p = classic(LAB_LMTP, LAB_TIMER_REPLY);
    struct lab_measure m;
    (void)state;
    assert_int_equal(lab_measure_init(&m), 0);
    p.rcpt_count = 0;
    assert_int_equal(lab_sim(&p, 1, &none, &m), -EINVAL);
    p = wild(LAB_LMTP);
    p.mix.rows[0].share = 0.5;
    assert_int_equal(lab_sim(&p, 1, &none, &m), -EINVAL);
    lab_measure_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_scan_once),
        cmocka_unit_test(test_sweep),
        cmocka_unit_test(test_long_and_short_limit),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_random_cuts),
        cmocka_unit_test(test_cut_after_replies),
        cmocka_unit_test(test_black_hole),
        cmocka_unit_test(test_theory),
        cmocka_unit_test(test_theory_of_chance),
        cmocka_unit_test(test_cut_at_the_dot),
        cmocka_unit_test(test_several_cuts),
        cmocka_unit_test(test_early_credit),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_retry_ledger),
        cmocka_unit_test(test_remembered_scan),
        cmocka_unit_test(test_reply_budget),
        cmocka_unit_test(test_anything),
        cmocka_unit_test(test_same_content),
        cmocka_unit_test(test_delivered),
        cmocka_unit_test(test_same_seed),
        cmocka_unit_test(test_other_seed),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_gone_while_waiting),
        cmocka_unit_test(test_many_recipients),
        cmocka_unit_test(test_early_end),
        cmocka_unit_test(test_notices),
        cmocka_unit_test(test_series),
        cmocka_unit_test(test_slow_link),
        cmocka_unit_test(test_long_time),
        cmocka_unit_test(test_ladder),
        cmocka_unit_test(test_ladder_of_cuts),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
