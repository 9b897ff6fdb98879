/* SPDX-License-Identifier: Apache-2.0 */
/* load_options_test.c - the command line of postern-load. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "load/options.h"
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 32
#define TARGET " smtp://127.0.0.1:2525"

static struct load_options o;
static char why[400];

/* Words are separated by blanks. */
static enum options_result parse(const char *line)
{
    static char memory[2000];
    char *argv[WORDS_MAX] = {(char *)(uintptr_t) "postern-load"};
    int argc = 1;
    options_deinit(&o);
    snprintf(memory, sizeof(memory), "%s", line);
    for (char *at = memory; *at != '\0';) {
        at += strspn(at, " ");
        if (*at == '\0')
            break;
        assert_true(argc < WORDS_MAX);
        argv[argc++] = at;
        at += strcspn(at, " ");
        if (*at != '\0')
            *at++ = '\0';
    }
    why[0] = '\0';
    return options_parse(&o, argc, argv, why, sizeof(why));
}

static void good(const char *line)
{
    if (parse(line) != OPTIONS_RUN)
        fail_msg("%s: %s", line, why);
}

static const char *in_force(const char *name)
{
    for (uint32_t i = 0; i < o.pair_count; i++)
        if (strcmp(o.pairs[i].name, name) == 0)
            return o.pairs[i].value;
    return NULL;
}

static void test_defaults(void **state)
{
    (void)state;
    good(TARGET);
    assert_int_equal(o.target_count, 1);
    assert_int_equal(o.connection_count, 10);
    assert_int_equal(o.in_flight_max, 10);
    assert_int_equal(o.worker_count, 1);
    assert_int_equal(o.plan.shape, PLAN_CLOSED);
    assert_int_equal(o.plan.duration_ns, 10 * NS_PER_S);
    assert_int_equal(o.drain_ns, 10 * NS_PER_S);
    assert_int_equal(o.client.pipelining, CLIENT_PIPELINE_ENVELOPE);
    assert_int_equal(o.message.size.high, 1024);
    assert_string_equal(in_force("size"), "1k");
    assert_string_equal(in_force("rate"), "");
    assert_string_equal(in_force("target"), "smtp://127.0.0.1:2525");
    for (uint32_t i = 0; i < CLIENT_PHASE_IDLE; i++)
        assert_int_equal(o.client.timeouts_ns[i], client_phase_timeout((enum client_phase)i));
}

static void test_plans(void **state)
{
    (void)state;
    good("--rate 500/s" TARGET);
    assert_int_equal(o.plan.shape, PLAN_CONSTANT);
    assert_true(o.plan.rate > 499.9 && o.plan.rate < 500.1);
    good("--rate=30/m --shape=poisson --duration 1m --warmup 5s" TARGET);
    assert_int_equal(o.plan.shape, PLAN_POISSON);
    assert_true(o.plan.rate > 0.49 && o.plan.rate < 0.51);
    assert_int_equal(o.plan.duration_ns, 60 * NS_PER_S);
    assert_int_equal(o.warmup_ns, 5 * NS_PER_S);
    good("--rate 10 --shape ramp:100 --duration 3s" TARGET);
    assert_int_equal(o.plan.shape, PLAN_RAMP);
    assert_true(o.plan.rate_end > 99.9);
    good("--rate 10 --shape step:10,2s,30" TARGET);
    assert_int_equal(o.plan.shape, PLAN_STEP);
    assert_int_equal(o.plan.duration_ns, 6 * NS_PER_S);
    good("--count 7" TARGET);
    assert_int_equal(o.plan.count, 7);
    assert_int_equal(o.plan.duration_ns, 0);
    assert_true(o.drain_ns == CLOCK_NEVER);
}

static void test_behaviour(void **state)
{
    (void)state;
    good("--timeout done=300s:total,rcpt=1m,connect=2s,tls=3s" TARGET);
    assert_int_equal(o.client.timeouts_ns[CLIENT_PHASE_DONE], 300 * NS_PER_S);
    assert_int_equal(o.timeouts.restarts[CLIENT_PHASE_DONE], LINK_RESTART_TOTAL);
    assert_int_equal(o.timeouts.restarts[CLIENT_PHASE_RCPT], LINK_RESTART_RESET);
    assert_int_equal(o.client.timeouts_ns[CLIENT_PHASE_RCPT], 60 * NS_PER_S);
    assert_int_equal(o.timeouts.connect_ns, 2 * NS_PER_S);
    assert_int_equal(o.timeouts.tls_ns, 3 * NS_PER_S);
    good("--retry exp:1s,2.5,4" TARGET);
    assert_int_equal(o.retry.kind, RETRY_EXP);
    assert_true(o.retry.factor > 2.49 && o.retry.factor < 2.51);
    assert_int_equal(o.retry.count_max, 4);
    good("--retry fixed:250ms,3" TARGET);
    assert_int_equal(o.retry.delay_ns, 250 * NS_PER_MS);
    good("--vanish 3,silent,0.25" TARGET);
    assert_int_equal(o.vanish_replies, 3);
    assert_int_equal(o.vanish_how, LINK_HOW_SILENT);
    assert_true(o.vanish_share > 0.24 && o.vanish_share < 0.26);
    good("--bdat 64k --pipelining full --prdr --starttls --tls-resume 0.5" TARGET);
    assert_int_equal(o.client.chunk_bytes, 65536);
    assert_true(o.client.wants_chunking && o.client.dialects == SESSION_OFFER_PRDR &&
                o.uses_starttls);
    good("--dialect exdata,inline-dsn --dialect-min 1 --exdata-if-asked"
         " --dialect-failures 3" TARGET);
    assert_int_equal(o.dialect_failures_max, 3);
    assert_int_equal(o.client.dialects, SESSION_OFFER_EXDATA | SESSION_OFFER_INLINE_DSN);
    assert_int_equal(o.client.dialect_rcpt_min, 1);
    assert_true(o.client.heeds_exdata_only_if_asked);
    good("--dialect any" TARGET);
    assert_int_equal(o.client.dialects, SESSION_OFFER_DIALECTS);
    assert_int_equal(o.client.dialect_rcpt_min, 2);
    good("--dialect any --dialect none" TARGET);
    assert_int_equal(o.client.dialects, 0);
    good("--dialect deferrals --prdr" TARGET);
    assert_int_equal(o.client.dialects, SESSION_OFFER_DEFERRALS | SESSION_OFFER_PRDR);
    good("--timeout done=9s:line,rcpt=8s:reply,mail=7s:reset" TARGET);
    assert_int_equal(o.timeouts.restarts[CLIENT_PHASE_DONE], LINK_RESTART_LINE);
    assert_int_equal(o.timeouts.restarts[CLIENT_PHASE_RCPT], LINK_RESTART_REPLY);
    assert_int_equal(o.timeouts.restarts[CLIENT_PHASE_MAIL], LINK_RESTART_RESET);
    good("--source 127.0.0.2-127.0.0.5 --connections 100 --in-flight 20 --workers 4"
         " smtp://127.0.0.1,weight=3 lmtp://127.0.0.1 --target smtp+unix:/run/x");
    assert_int_equal(o.dial.sources.count, 4);
    assert_int_equal(o.target_count, 3);
    assert_string_equal(in_force("target"),
                        "smtp://127.0.0.1,weight=3 lmtp://127.0.0.1 smtp+unix:/run/x");
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "--rate",
                                       "--rate 0" TARGET,
                                       "--rate 5/x" TARGET,
                                       "--rate -5" TARGET,
                                       "--rate nan" TARGET,
                                       "--shape poisson" TARGET,
                                       "--rate 5 --shape ramp" TARGET,
                                       "--rate 5 --shape step:0,1s,9" TARGET,
                                       "--rate 5 --shape step:1,1s,2" TARGET,
                                       "--rate 5 --shape constant:3" TARGET,
                                       "--duration 5x" TARGET,
                                       "--duration -1s" TARGET,
                                       "--warmup 20s" TARGET,
                                       "--count 0" TARGET,
                                       "--connections 0" TARGET,
                                       "--connections 1x" TARGET,
                                       "--workers 0" TARGET,
                                       "--workers many" TARGET,
                                       "--in-flight 1 --workers 2" TARGET,
                                       "--think 1s --rate 5" TARGET,
                                       "--size 5q" TARGET,
                                       "--recipients 0" TARGET,
                                       "--recipients 10001" TARGET,
                                       "--body prose" TARGET,
                                       "--to <a@b>" TARGET,
                                       "--helo a(b" TARGET,
                                       "--pipelining some" TARGET,
                                       "--tls-resume 2" TARGET,
                                       "--timeout done" TARGET,
                                       "--timeout done=0s" TARGET,
                                       "--timeout dne=1s" TARGET,
                                       "--timeout done=1s:each" TARGET,
                                       "--timeout connect=1s:total" TARGET,
                                       "--retry fixed:1s" TARGET,
                                       "--retry exp:1s,0.5,2" TARGET,
                                       "--retry often" TARGET,
                                       "--retry fixed:1s,0" TARGET,
                                       "--vanish soon" TARGET,
                                       "--vanish dot,maybe" TARGET,
                                       "--vanish dot,2" TARGET,
                                       "--prdr=yes" TARGET,
                                       "--dialect smtp" TARGET,
                                       "--dialect prdr,any" TARGET,
                                       "--dialect-min 0" TARGET,
                                       "--timeout done=1s:" TARGET,
                                       "--nonsense" TARGET,
                                       "-c 5" TARGET,
                                       "--run 0" TARGET,
                                       "--run xyz" TARGET,
                                       "--source 127.0.0.1-" TARGET,
                                       "smtp://",
                                       "--connections 1 smtp://a smtp://b",
                                       "--slow-write 5 --starttls" TARGET};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (parse(rows[i]) != OPTIONS_BAD)
            fail_msg("\"%s\" was taken", rows[i]);
        assert_true(strlen(why) > 0);
    }
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(parse("--rate x --help"), OPTIONS_HELP);
    assert_int_equal(parse("--version"), OPTIONS_VERSION);
    char *text = NULL;
    size_t len = 0, lines = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    options_print_help(f);
    fclose(f);
    for (const char *at = text; *at != '\0'; lines++) {
        size_t width = strcspn(at, "\n");
        if (width > 80)
            fail_msg("%zu columns: %.*s", width, (int)width, at);
        at += width + 1;
    }
    assert_true(lines > 40 && lines <= 50);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_plans),
        cmocka_unit_test(test_behaviour), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_help),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    options_deinit(&o);
    return result;
}
