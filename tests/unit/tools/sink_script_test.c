/* SPDX-License-Identifier: Apache-2.0 */
/* sink_script_test.c - rules of the sink: what is understood and what is not, and what they decide
 * with a fixed seed. */
#include "sink/script.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static struct script *script_of(const char *const *rules, size_t count)
{
    char why[256];
    struct script *s = script_new();
    assert_non_null(s);
    for (size_t i = 0; i < count; i++)
        if (!script_add(s, slice_str(rules[i]), why, sizeof(why)))
            fail_msg("%s: %s", rules[i], why);
    return s;
}

static struct script_effect run(struct script *s, enum script_point at,
                                const struct script_facts *facts, struct rng *rng)
{
    struct script_effect e;
    script_run(s, at, facts, rng, &e);
    return e;
}

static const struct {
    const char *rule;
    const char *why; /* NULL: good; else what the error must tell */
} text_rows[] = {
    {"", NULL},
    {"  # comment", NULL},
    {"connect -> reply 421 4.3.2 No", NULL},
    {"rcpt rcpt=*@bad.example !from=good@* p=0.5 every=3 -> reply 550 5.1.1 No such user; stop",
     NULL},
    {"dot size=1k-10M seq=5- attempt=-2 count=1 via=prdr -> delay uniform:1ms-2s", NULL},
    {"dot client=::1/128 -> drop-after 3 reset; gone stop; commit after", NULL},
    {"dot client=unix -> drop", NULL},
    {"dot via=xrcpt250b -> drop-replies 20 reset; pacing buffer", NULL},
    {"rcpt via=deferrals -> decide later; reply 251", NULL},
    {"dot -> pacing slow", "slow"},
    {"dot -> life exp:20s", NULL},
    {"each -> life 20s", "does not go"},
    {"dot -> drop-replies", "not a number"},
    {"rcpt -> decide never", "never"},
    {"rcpt -> pacing stream", "does not go"},
    {"data -> drop-content 10k close; stall-read 1s 5k; stall-write 1s", NULL},
    {"each index=2- -> delay exp:30ms; reply 450", NULL},
    {"mail -> raw 250-a\\r\\n250 b\\x21\\;\\r\\n; delay 1s", NULL},
    {"connect -> rcvbuf 2k; stall-read 1s", NULL},
    {"dot -> pace uniform:1s-2s", NULL},
    {"quit -> missing", NULL},
    {"dot -> order concurrent; opener 5s; final exp:1s; write lognormal:1s,2; budget 4m; gap 60s",
     NULL},
    {"dot share=10% -> opener first; mixed hold; scan once; suppress 24h; gone write; commit end",
     NULL},
    {"dot -> order random", "random"},
    {"dot -> opener last", "last"},
    {"dot -> suppress", "time"},
    {"each -> budget 4m", "does not go with"},
    {"rcpt share=1% -> drop", "not known at \"rcpt\""},
    {"mail ->reply 250", "->reply"},
    {"nowhere -> drop", "nowhere"},
    {"dot", "\"->\""},
    {"dot ->", "no action"},
    {"dot -> drop;", "no action"},
    {"dot -> jump", "jump"},
    {"dot when=1 -> drop", "when"},
    {"dot p=1.5 -> drop", "p: bad"},
    {"dot p=-1 -> drop", "p: bad"},
    {"dot p=nan -> drop", "p: bad"},
    {"dot every=0 -> drop", "every"},
    {"dot size=10-5 -> drop", "size"},
    {"dot size=- -> drop", "size"},
    {"dot client=1.2.3.4/33 -> drop", "client"},
    {"dot client=localhost -> drop", "client"},
    {"rcpt seq=1 -> drop", "not known at \"rcpt\""},
    {"mail rcpt=x -> drop", "not known at \"mail\""},
    {"connect from=x -> drop", "not known at \"connect\""},
    {"mail -> drop-after 1", "does not go with"},
    {"rcpt -> commit dot", "does not go with"},
    {"quit -> reply 421", "does not go with"},
    {"dot -> commit later", "later"},
    {"dot -> delay soon", "soon"},
    {"dot -> delay 1s 2s", "too much"},
    {"dot -> stall-read 1s 5k", "only at"},
    {"dot -> pace", "time"},
    {"dot -> drop gently", "gently"},
    {"dot -> reply 354", "354"},
    {"dot -> reply 99", "99"},
    {"dot -> reply 550 4.1.1 x", "4.1.1"},
    {"data -> reply 250", "only 4xx"},
    {"helo -> reply 550", "only 421"},
    {"dot -> code 12", "three digits"},
    {"dot -> raw \\q", "escape"},
    {"dot -> garbage 2k", "2k"},
};

static void texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(text_rows); i++) {
        char why[256] = "";
        struct script *s = script_new();
        bool is_good = script_add(s, slice_str(text_rows[i].rule), why, sizeof(why));
        if (is_good != (text_rows[i].why == NULL) ||
            (!is_good && strstr(why, text_rows[i].why) == NULL))
            fail_msg("\"%s\": %d, \"%s\"", text_rows[i].rule, is_good, why);
        script_free(s);
    }
}

static void globs(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"*", "", true},         {"*", "a@b", true},      {"a@b", "A@B", true},
        {"a@b", "a@bc", false},  {"*@b", "x@y@b", true},  {"*@b", "x@c", false},
        {"a?c", "abc", true},    {"a?c", "ac", false},    {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXc", false}, {"", "", true},          {"", "a", false},
        {"**", "x", true},       {"*a", "aaaaab", false}, {"*a*a*a*a*b", "aaaaaaaaaaaa", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (script_glob(slice_str(rows[i].pattern), slice_str(rows[i].text)) != rows[i].matches)
            fail_msg("%s %s", rows[i].pattern, rows[i].text);
}

static void answers(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot seq=1 -> reply 552 5.3.4 Too\\x20long ; drop",
                                        "dot seq=2 -> reply 251", "dot seq=3 -> reply 421 Later",
                                        "dot seq=4 -> reply 450 4.2.300 odd"};
    struct rng rng;
    rng_init(&rng, 1);
    struct script *s = script_of(rules, ARRAY_COUNT(rules));
    struct script_facts f = {.has_id = true, .id = {1, 1}};
    struct script_effect e = run(s, SCRIPT_DOT, &f, &rng);
    assert_true(e.has_answer);
    assert_int_equal(answer_code(&e.answer), 552);
    assert_memory_equal(e.answer.enhanced, ((uint8_t[]){5, 3, 4}), 3);
    assert_true(slice_eq(e.answer.text, SLICE_LIT("Too long")));
    assert_true(status_is_permanent(e.answer.status));
    assert_int_equal(e.drop, SCRIPT_DROP_CLOSE);
    f.id.seq = 2;
    e = run(s, SCRIPT_DOT, &f, &rng);
    assert_int_equal(answer_code(&e.answer), 251);
    assert_true(status_is_success(e.answer.status));
    assert_memory_equal(e.answer.enhanced, ((uint8_t[]){2, 0, 0}), 3);
    f.id.seq = 3;
    e = run(s, SCRIPT_DOT, &f, &rng);
    assert_int_equal(answer_code(&e.answer), 421);
    assert_true(status_is_temporary(e.answer.status));
    assert_true(slice_eq(e.answer.text, SLICE_LIT("Later")));
    f.id.seq = 4; /* no enhanced code: it is text */
    e = run(s, SCRIPT_DOT, &f, &rng);
    assert_true(slice_eq(e.answer.text, SLICE_LIT("4.2.300 odd")));
    f.id.seq = 5;
    e = run(s, SCRIPT_DOT, &f, &rng);
    assert_false(e.has_answer);
    script_free(s);
}

static void first_of_each_kind_counts(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "each rcpt=a* -> delay 1s",
        "each rcpt=*b -> delay 2s; reply 450",
        "each rcpt=x* -> reply 550; stop",
        "each -> reply 451; drop reset",
    };
    struct rng rng;
    rng_init(&rng, 1);
    struct script *s = script_of(rules, ARRAY_COUNT(rules));
    struct script_facts f = {.rcpt = SLICE_LIT("ab")};
    struct script_effect e = run(s, SCRIPT_EACH, &f, &rng);
    assert_int_equal(e.delay_ns, NS_PER_S);
    assert_int_equal(answer_code(&e.answer), 450);
    assert_int_equal(e.drop, SCRIPT_DROP_RESET);
    f.rcpt = SLICE_LIT("xb");
    e = run(s, SCRIPT_EACH, &f, &rng);
    assert_int_equal(e.delay_ns, 2 * NS_PER_S);
    assert_int_equal(answer_code(&e.answer), 450);
    assert_int_equal(e.drop, SCRIPT_DROP_NONE); /* stopped before */
    f.rcpt = SLICE_LIT("c");
    e = run(s, SCRIPT_EACH, &f, &rng);
    assert_int_equal(answer_code(&e.answer), 451);
    assert_true(script_has(s, SCRIPT_EACH));
    assert_false(script_has(s, SCRIPT_DOT));
    script_free(s);
}

static void conditions(void **state)
{
    (void)state;
    struct sockaddr_storage v4 = {.ss_family = AF_INET}, v6 = {.ss_family = AF_INET6};
    inet_pton(AF_INET, "127.3.4.5", &((struct sockaddr_in *)(void *)&v4)->sin_addr);
    inet_pton(AF_INET6, "2001:db8::1", &((struct sockaddr_in6 *)(void *)&v6)->sin6_addr);
    const struct script_facts f = {
        .sender = SLICE_LIT("joe@x.example"),
        .client = &v4,
        .conn = 7,
        .txn = 2,
        .dialect = DIALECT_LMTP,
        .size = 2048,
        .has_id = true,
        .id = {9, 100},
        .attempt = 2,
        .count = 3,
    };
    struct script_facts other = f;
    other.client = &v6;
    other.has_id = false;
    other.attempt = 0;
    static const struct {
        const char *conds;
        bool holds, holds_other;
    } rows[] = {
        {"from=joe@*", true, true},
        {"!from=joe@*", false, false},
        {"from=", false, false},
        {"client=127.0.0.0/9", true, false},
        {"client=127.3.4.4/31", true, false},
        {"client=127.3.4.5", true, false},
        {"client=127.3.4.6", false, false},
        {"client=2001:db8::/33", false, true},
        {"!client=2001:db8::/33", true, false},
        {"client=unix", false, false},
        {"conn=7", true, true},
        {"conn=-6", false, false},
        {"txn=2-", true, true},
        {"via=lmtp", true, true},
        {"via=smtp", false, false},
        {"size=2k", true, true},
        {"size=-2047", false, false},
        {"seq=100-100", true, false},
        {"seq=0-", true, false},
        {"seq=101-", false, false},
        {"attempt=2-", true, false},
        {"attempt=1", false, false},
        {"count=1-3", true, true},
        {"p=1", true, true},
        {"p=0", false, false},
        {"!p=0%", true, true},
        {"count=3 conn=7 size=1k-", true, true},
        {"count=3 conn=8 size=1k-", false, false},
    };
    struct rng rng;
    rng_init(&rng, 1);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char rule[128];
        snprintf(rule, sizeof(rule), "dot %s -> drop", rows[i].conds);
        struct script *s = script_of((const char *const[]){rule}, 1);
        bool holds = run(s, SCRIPT_DOT, &f, &rng).drop != SCRIPT_DROP_NONE;
        bool holds_other = run(s, SCRIPT_DOT, &other, &rng).drop != SCRIPT_DROP_NONE;
        if (holds != rows[i].holds || holds_other != rows[i].holds_other)
            fail_msg("%s: %d %d", rows[i].conds, holds, holds_other);
        assert_int_equal(script_wants_client(s), strstr(rule, "client") != NULL);
        assert_int_equal(script_wants_attempts(s), strstr(rule, "attempt") != NULL);
        script_free(s);
    }
}

static void draws_repeat(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "rcpt every=4 rcpt=a -> reply 450",
        "rcpt p=25% -> reply 550",
        "rcpt -> delay uniform:10ms-20ms",
    };
    uint64_t first_delay = 0;
    uint32_t first_550 = 0;
    for (int round = 0; round < 2; round++) {
        struct rng rng;
        rng_init(&rng, 42);
        struct script *s = script_of(rules, ARRAY_COUNT(rules));
        uint32_t count_450 = 0, count_550 = 0;
        uint64_t delay = 0;
        for (uint32_t i = 0; i < 4000; i++) {
            /* Only what else matches is counted: every 4th of the 2000 "a". */
            struct script_facts f = {.rcpt = i % 2 == 0 ? SLICE_LIT("a") : SLICE_LIT("b")};
            struct script_effect e = run(s, SCRIPT_RCPT, &f, &rng);
            bool is_fourth = i % 8 == 6; /* of those with "a" */
            assert_int_equal(e.has_answer && answer_code(&e.answer) == 450, is_fourth);
            count_450 += e.has_answer && answer_code(&e.answer) == 450;
            count_550 += e.has_answer && answer_code(&e.answer) == 550;
            assert_in_range(e.delay_ns, 10 * NS_PER_MS, 20 * NS_PER_MS);
            delay += e.delay_ns;
        }
        assert_int_equal(count_450, 500);
        assert_in_range(count_550, 750, 1000); /* a quarter of all, less those that were 450 */
        assert_in_range(delay / 4000, 14 * NS_PER_MS, 16 * NS_PER_MS);
        if (round == 0) {
            first_delay = delay;
            first_550 = count_550;
        }
        assert_int_equal(delay, first_delay);
        assert_int_equal(count_550, first_550);
        script_free(s);
    }
}

static void files(void **state)
{
    (void)state;
    char path[] = "/tmp/sink_script_test.XXXXXX";
    char why[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "# head\n\n  mail -> reply 451 4.0.0 Later  \ndot -> drop\nrcpt x\n";
    assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    struct script *s = script_new();
    assert_false(script_read(s, path, why, sizeof(why)));
    assert_non_null(strstr(why, ":5: "));
    assert_int_equal(ftruncate(fd, (off_t)strlen("# head\n\n  mail -> reply 451 4.0.0 Later  ")),
                     0);
    script_free(s);
    s = script_new();
    assert_true(script_read(s, path, why, sizeof(why)));
    struct rng rng;
    rng_init(&rng, 1);
    struct script_effect e = run(s, SCRIPT_MAIL, &(struct script_facts){0}, &rng);
    assert_true(slice_eq(e.answer.text, SLICE_LIT("Later")));
    script_free(s);
    close(fd);
    unlink(path);
    s = script_new();
    assert_false(script_read(s, path, why, sizeof(why)));
    script_free(s);
}

/* The same on each try, different between recipients and rules, in the share that was asked for. */
static void steady_shares(void **state)
{
    (void)state;
    static const char *const rules[] = {"each share=30% -> reply 550",
                                        "each share=30% -> delay 1s"};
    struct script *s = script_of(rules, ARRAY_COUNT(rules));
    uint32_t first = 0, both = 0;
    struct rng rng;
    rng_init(&rng, 1);
    for (uint32_t i = 0; i < 2000; i++) {
        char address[16];
        int len = snprintf(address, sizeof(address), "r%u@x", i % 20);
        struct script_facts facts = {.has_id = true,
                                     .id = {.run = 7, .seq = i / 20},
                                     .rcpt = slice_of(address, (size_t)len)};
        struct script_effect e = run(s, SCRIPT_EACH, &facts, &rng);
        facts.attempt = 2;
        struct script_effect again = run(s, SCRIPT_EACH, &facts, &rng);
        assert_int_equal(e.has_answer, again.has_answer);
        assert_int_equal(e.delay_ns, again.delay_ns);
        first += e.has_answer;
        both += e.has_answer && e.delay_ns > 0;
        facts.has_id = false;
        assert_false(run(s, SCRIPT_EACH, &facts, &rng).has_answer);
    }
    assert_in_range(first, 500, 700);
    assert_in_range(both, 110, 250);
    script_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(steady_shares),
        cmocka_unit_test(globs),
        cmocka_unit_test(answers),
        cmocka_unit_test(first_of_each_kind_counts),
        cmocka_unit_test(conditions),
        cmocka_unit_test(draws_repeat),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
