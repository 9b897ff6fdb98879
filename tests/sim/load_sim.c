/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_sim.c - whether postern-load is honest, in virtual time: its real worker, links, plan and
 * accounts against a server that answers each piece after A = 100 us, but stalls for one second.
 *
 * The open loop plans one message each G = 1 ms, from 10 connections made ahead. A message takes
 * two answers (envelope, content), so 2A = 200 us. The stall begins at S = 2 s, when message 2000
 * is due, and ends at E = S + 1 s. Let k count the messages from there:
 *
 *   k = 0..9   begin when planned, at S + kG. The answer to the envelope comes at E, the one to the
 *              content at E + A.
 *   k >= 10    find no connection. Ten are free at E + A, and every 2A from then on, so message k
 *              begins at E + A + 2A (k/10 - 1), or when planned, if that is later.
 *
 * Since 2A < G, who finds a connection free at the planned time does so ever after: k / 10 rounded
 * down, and maximum, are all there is to it. Each list below is that formula and nothing else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "load/verdict.h"
#include "load/worker.h"
#include "loadring.h"
#include <stdlib.h>
#include <string.h>

#define A (100 * NS_PER_US)
#define G NS_PER_MS
#define STALL_NS NS_PER_S
#define COUNT 5000
#define FIRST_LATE 2000 /* the message that is planned when the stall begins */
#define CONNECTIONS 10
#define BEGIN_NS (1 * NS_PER_S) /* of the run, after the ring's */
#define TURNS_MAX 2000000

struct rig {
    struct load_options options;
    struct message_set *messages;
    struct load_control control;
    struct worker *worker;
    struct load_report *report; /* its stats are the worker's */
    struct worker_result result;
};

static clock_ns began_at(void)
{
    return LOADRING_BEGIN + BEGIN_NS;
}

/* A server that stalls for @ns when @seq is due. */
static struct loadring_server server_of(uint64_t seq, uint64_t ns)
{
    clock_ns at = began_at() + seq * G;
    return (struct loadring_server){.answer_ns = A, .stall_at = at, .stall_until = at + ns};
}

static void turn(struct rig *r)
{
    assert_int_equal(worker_turn(r->worker), 0);
}

static void judge(struct rig *r, double busy_share)
{
    struct verdict_facts facts = {.not_started = r->result.not_started, .busy_share = busy_share};
    verdict_judge(&r->options, &facts, r->report);
}

/* The whole of a run; the arguments end with NULL. */
static void run(struct rig *r, const struct loadring_server *server, ...)
{
    char text[512];
    static char fixed[5][32] = {"postern-load", "smtp://127.0.0.1:25", "--preconnect", "--run",
                                "1"};
    char *argv[40] = {fixed[0], fixed[1], fixed[2], fixed[3], fixed[4]};
    int argc = 5;
    va_list args;
    va_start(args, server);
    for (char *arg; (arg = va_arg(args, char *)) != NULL;)
        argv[argc++] = arg;
    va_end(args);
    memset(r, 0, sizeof(*r));
    if (options_parse(&r->options, argc, argv, text, sizeof(text)) != OPTIONS_RUN)
        fail_msg("%s", text);
    assert_int_equal(message_set_new(&r->options.message, &r->messages, text, sizeof(text)), 0);
    loadring_configure(server);
    int made =
        worker_new(&r->options, r->messages, 0, &r->control, -1, &r->worker, text, sizeof(text));
    if (made < 0)
        fail_msg("%s", text);
    while (r->control.ready_count == 0)
        turn(r);
    r->control.began_at = began_at();
    for (uint32_t i = 0; worker_state(r->worker) != WORKER_FINISHED; i++) {
        assert_true(i < TURNS_MAX);
        turn(r);
    }
    worker_result(r->worker, &r->result);
    r->report = report_new();
    assert_non_null(r->report);
    r->report->stats = worker_stats(r->worker);
    r->report->is_open_loop = r->options.plan.shape != PLAN_CLOSED;
    judge(r, 0);
}

static void end(struct rig *r)
{
    r->report->stats = NULL;
    report_free(r->report);
    worker_free(r->worker);
    message_set_free(r->messages);
    options_deinit(&r->options);
}

/* --- what must be seen, by hand --------------------------------------------------------------- */

struct expected {
    uint64_t *counts;
    struct hist planned, actual;
    uint64_t late_count; /* messages that had to wait for a connection */
};

static void expect_begin(struct expected *e)
{
    e->counts = calloc(2 * HIST_FINE_COUNTS, sizeof(*e->counts));
    assert_non_null(e->counts);
    hist_init(&e->planned, e->counts, HIST_FINE_SUB_BITS, HIST_TOP_BITS);
    hist_init(&e->actual, e->counts + HIST_FINE_COUNTS, HIST_FINE_SUB_BITS, HIST_TOP_BITS);
    e->late_count = 0;
}

/* Times of message k after the stall's beginning, which is 0 here. */
static void expect_stall(struct expected *e)
{
    expect_begin(e);
    for (uint64_t seq = 0; seq < COUNT; seq++) {
        uint64_t k = seq - FIRST_LATE;
        uint64_t planned = k * G, begins = planned, ends = planned + 2 * A;
        if (seq >= FIRST_LATE && k < CONNECTIONS) {
            ends = STALL_NS + A;
        } else if (seq >= FIRST_LATE) {
            begins = u64_max(planned, STALL_NS + A + 2 * A * (k / CONNECTIONS - 1));
            ends = begins + 2 * A;
        }
        hist_record(&e->planned, ends - planned); /* wraps around, and back, before the stall */
        hist_record(&e->actual, ends - begins);
        e->late_count += begins > planned;
    }
}

static void check_same(const struct hist *seen, const struct hist *expected)
{
    assert_int_equal(seen->total, expected->total);
    assert_int_equal(seen->min, expected->min);
    assert_int_equal(seen->max, expected->max);
    assert_int_equal(seen->sum[0], expected->sum[0]);
    assert_memory_equal(seen->counts, expected->counts, seen->count_len * sizeof(*seen->counts));
}

/* The percentile is @us, told with three digits: the top of its bucket. */
static void check_quantile(const struct hist *h, double q, uint64_t us)
{
    uint64_t seen = hist_quantile(h, q);
    assert_int_equal(hist_index(h, seen), hist_index(h, us * NS_PER_US));
    assert_true(seen >= us * NS_PER_US);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_stall_is_seen(void **state)
{
    (void)state;
    struct rig r;
    struct expected e;
    struct loadring_server server = server_of(FIRST_LATE, STALL_NS);
    run(&r, &server, "--rate", "1000/s", "--count", "5000", "--connections", "10", NULL);
    const struct load_stats *s = r.report->stats;
    const struct hist *planned = &s->planned[LOAD_PHASE_WHOLE];
    const struct hist *actual = &s->actual[LOAD_PHASE_WHOLE];
    expect_stall(&e);
    check_same(planned, &e.planned);
    check_same(actual, &e.actual);
    free(e.counts);
    assert_int_equal(s->counters.rcpts[ATTEMPT_ACCEPTED], COUNT);
    assert_int_equal(loadring_messages(), COUNT);
    assert_int_equal(loadring_connections(), CONNECTIONS);

    /*
     * The same by hand: about 1020 of 5000 are late, and the longer the smaller k is, so that the
     * message of rank 5000 - k from below is k itself.
     *   k < 10:  E + A - (S + kG)                        = 1000.1 ms - k
     *   k >= 10: E + A + 2A (k/10 - 1) + 2A - (S + kG)   = 1000.1 ms + 0.2 (k/10) - k
     */
    check_quantile(planned, 0.5, 200);
    check_quantile(planned, 0.9, 1000100 + 200 * 50 - 500000); /* rank 4500: k = 500 */
    check_quantile(planned, 0.99, 1000100 + 200 * 5 - 50000);  /* rank 4950: k = 50 */
    check_quantile(planned, 0.999, 1000100 - 5000);            /* rank 4995: k = 5 */
    check_quantile(planned, 0.9999, 1000100);                  /* rank 5000: k = 0 */
    assert_int_equal(planned->max, STALL_NS + A);
    /* From the actual start only ten show it: one a connection. */
    check_quantile(actual, 0.5, 200);
    check_quantile(actual, 0.9, 200);
    check_quantile(actual, 0.99, 200);
    assert_int_equal(hist_count_above(actual, NS_PER_MS), CONNECTIONS);

    /* The server was slow, not the generator: a result. */
    assert_int_equal(s->start_lag.max, 0);
    assert_int_equal(r.result.lag_max_ns, 0);
    assert_int_equal(r.result.not_started, 0);
    assert_true(r.report->is_result);
    end(&r);
}

static void test_waits_are_counted(void **state)
{
    (void)state;
    struct rig r;
    struct expected e;
    struct loadring_server server = server_of(FIRST_LATE, STALL_NS);
    run(&r, &server, "--rate", "1000/s", "--count", "5000", "--connections", "40", "--in-flight",
        "10", NULL);
    expect_stall(&e); /* the cap is as good as ten connections */
    check_same(&r.report->stats->planned[LOAD_PHASE_WHOLE], &e.planned);
    assert_in_range(e.late_count, 1000, 1030);
    assert_int_equal(r.report->stats->counters.cap_hits, e.late_count);
    assert_true(r.report->is_result);
    free(e.counts);

    /* The same figures from a generator that had no rest tell nothing of the server. */
    judge(&r, 0.89);
    assert_true(r.report->is_result);
    judge(&r, 0.98);
    assert_false(r.report->is_result);
    assert_non_null(strstr(r.report->why_not, "it may be what they waited for"));
    end(&r);
}

static void test_enough_connections(void **state)
{
    (void)state;
    struct rig r;
    struct loadring_server server = server_of(FIRST_LATE, 100 * NS_PER_MS);
    run(&r, &server, "--rate", "1000/s", "--count", "3000", "--connections", "200", NULL);
    const struct load_stats *s = r.report->stats;
    /* Nobody waits, so both clocks say the same: 100.1 ms, 99.1 ms, ... down to 1.1 ms. */
    check_same(&s->planned[LOAD_PHASE_WHOLE], &s->actual[LOAD_PHASE_WHOLE]);
    assert_int_equal(s->planned[LOAD_PHASE_WHOLE].max, 100 * NS_PER_MS + A);
    assert_int_equal(hist_count_above(&s->planned[LOAD_PHASE_WHOLE], NS_PER_MS), 100);
    assert_int_equal(s->counters.cap_hits, 0);
    judge(&r, 1); /* nobody waited for it */
    assert_true(r.report->is_result);
    end(&r);
}

/* As many messages a second from ten connections that think between them: the stall stops them
 * too, and what they would have suffered is not there to be measured. */
static void test_closed_loop_hides_it(void **state)
{
    (void)state;
    struct rig r;
    struct loadring_server server = server_of(FIRST_LATE, STALL_NS);
    run(&r, &server, "--think", "9ms", "--duration", "5s", "--connections", "10", NULL);
    const struct load_stats *s = r.report->stats;
    const struct hist *planned = &s->planned[LOAD_PHASE_WHOLE];
    check_same(planned, &s->actual[LOAD_PHASE_WHOLE]);
    assert_int_equal(hist_count_above(planned, NS_PER_MS), CONNECTIONS);
    assert_in_range(planned->total, 3500, 4600);
    check_quantile(planned, 0.99, 200);
    assert_true(planned->max > 980 * NS_PER_MS);
    assert_true(r.report->is_result);
    end(&r);
}

/* A message that this server cannot take is refused without a word to it: the run ends all the
 * same, and it does not spend its time on nothing else. */
static void test_refusals_without_a_word(void **state)
{
    (void)state;
    struct rig r;
    struct loadring_server server = {.answer_ns = A, .is_tiny = true};
    run(&r, &server, "--duration", "5s", "--connections", "10", NULL);
    const struct load_stats *s = r.report->stats;
    assert_int_equal(s->counters.rcpts[ATTEMPT_ACCEPTED], 0);
    assert_in_range(s->counters.rcpts[ATTEMPT_REFUSED], 1000, 60000);
    assert_int_equal(loadring_messages(), 0);
    end(&r);
}

static void test_late_generator_is_no_result(void **state)
{
    (void)state;
    struct rig r;
    struct loadring_server server = {.answer_ns = A, .oversleep_ns = 3 * NS_PER_MS};
    run(&r, &server, "--rate", "1000/s", "--count", "2000", "--connections", "200", NULL);
    const struct load_stats *s = r.report->stats;
    assert_true(hist_quantile(&s->start_lag, 0.99) > NS_PER_MS);
    assert_false(r.report->is_result);
    assert_non_null(strstr(r.report->why_not, "could not keep up with its plan"));
    /* and what it was late is part of the latency all the same, to the nanosecond */
    const struct hist *planned = &s->planned[LOAD_PHASE_WHOLE];
    const struct hist *actual = &s->actual[LOAD_PHASE_WHOLE];
    assert_true(s->start_lag.sum[0] > 0);
    assert_int_equal(planned->sum[0], actual->sum[0] + s->start_lag.sum[0]);
    end(&r);

    server.oversleep_ns = NS_PER_MS / 2; /* below the limit */
    run(&r, &server, "--rate", "1000/s", "--count", "2000", "--connections", "200", NULL);
    assert_true(r.report->is_result);
    end(&r);
    run(&r, &server, "--rate", "1000/s", "--count", "2000", "--connections", "200", "--lag-limit",
        "100us", NULL);
    assert_false(r.report->is_result);
    end(&r);
}

/*
 * The server says 451 for one second from S on, and each message comes again PAUSE after a try has
 * ended. A try is answered as before, so no transaction is slow; but message k is settled by the
 * first try n whose content comes behind the second: kG + n (PAUSE + 2A) + A >= 1 s, which ends A
 * later. (Pauses end at a tick of the timers, so this one is chosen to make 100 ms with a try:
 * up to eleven begin at once.)
 */
#define PAUSE (99800 * NS_PER_US)

static void expect_outage(struct expected *e, uint64_t *ret_retries)
{
    expect_begin(e);
    *ret_retries = 0;
    for (uint64_t seq = 0; seq < COUNT; seq++) {
        uint64_t at = (seq - FIRST_LATE) * G + A, tries = 0;
        while (seq >= FIRST_LATE && at + tries * (PAUSE + 2 * A) < STALL_NS)
            tries++;
        hist_record(&e->planned, tries * (PAUSE + 2 * A) + 2 * A);
        *ret_retries += tries;
    }
}

static void test_an_outage_bridged_by_retries(void **state)
{
    (void)state;
    struct rig r;
    struct expected e;
    uint64_t retries;
    struct loadring_server server = server_of(0, 0);
    server.busy_at = began_at() + FIRST_LATE * G;
    server.busy_until = server.busy_at + STALL_NS;
    run(&r, &server, "--rate", "1000/s", "--count", "5000", "--connections", "20", "--retry",
        "fixed:99.8ms,20", NULL);
    const struct load_stats *s = r.report->stats;
    expect_outage(&e, &retries);
    check_same(&s->planned[LOAD_PHASE_MESSAGE], &e.planned);
    check_same(&s->actual[LOAD_PHASE_MESSAGE], &e.planned);
    free(e.counts);
    assert_int_equal(s->planned[LOAD_PHASE_MESSAGE].max, 10 * (PAUSE + 2 * A) + 2 * A);
    assert_int_equal(s->planned[LOAD_PHASE_WHOLE].max, 2 * A);
    assert_int_equal(s->planned[LOAD_PHASE_WHOLE].total, COUNT + retries);
    assert_int_equal(s->counters.retries, retries);
    assert_int_equal(s->counters.rcpts[ATTEMPT_DEFERRED], retries); /* one for each try */
    assert_int_equal(s->counters.messages_accepted, COUNT);
    assert_int_equal(s->counters.messages_given_up, 0);
    end(&r);

    /* Without retries those of that second are given up, and have no such time. */
    run(&r, &server, "--rate", "1000/s", "--count", "5000", "--connections", "20", NULL);
    s = r.report->stats;
    assert_int_equal(s->counters.messages_given_up, STALL_NS / G);
    assert_int_equal(s->planned[LOAD_PHASE_MESSAGE].total, COUNT - STALL_NS / G);
    check_same(&s->planned[LOAD_PHASE_MESSAGE], &s->actual[LOAD_PHASE_MESSAGE]);
    assert_int_equal(s->planned[LOAD_PHASE_WHOLE].total, COUNT);
    end(&r);
}

static void test_never_begun_is_no_result(void **state)
{
    (void)state;
    struct rig r;
    struct loadring_server server = server_of(FIRST_LATE, 1000 * NS_PER_S);
    run(&r, &server, "--rate", "1000/s", "--count", "5000", "--connections", "10", "--drain", "2s",
        NULL);
    const struct load_counters *c = &r.report->stats->counters;
    assert_int_equal(c->planned, COUNT);
    assert_int_equal(c->started, FIRST_LATE + CONNECTIONS);
    assert_int_equal(c->rcpts[ATTEMPT_ACCEPTED], FIRST_LATE);
    assert_int_equal(c->rcpts[ATTEMPT_UNKNOWN], CONNECTIONS);
    assert_int_equal(r.result.not_started, COUNT - FIRST_LATE - CONNECTIONS);
    assert_false(r.report->is_result);
    assert_non_null(strstr(r.report->why_not, "2990 planned transactions were never begun"));
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stall_is_seen),
        cmocka_unit_test(test_waits_are_counted),
        cmocka_unit_test(test_enough_connections),
        cmocka_unit_test(test_closed_loop_hides_it),
        cmocka_unit_test(test_refusals_without_a_word),
        cmocka_unit_test(test_late_generator_is_no_result),
        cmocka_unit_test(test_an_outage_bridged_by_retries),
        cmocka_unit_test(test_never_begun_is_no_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
