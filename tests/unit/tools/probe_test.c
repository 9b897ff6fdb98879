/* SPDX-License-Identifier: Apache-2.0 */
/* postern-probe without a server: what it reads, what it sees in replies, and what it writes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "probe/nested.h"
#include "probe/report.h"
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* --- what a server offers --------------------------------------------------------------------- */

static void test_keywords(void **state)
{
    (void)state;
    char missing[64];
    struct found f;
    found_parse(&f, SLICE_LIT("250-mx.example Hello\n250-SIZE 1000\n250-pipelining\n250-X\n"
                              "250-LIMITS A=1 B=2\n250-\n250 PRDR"));
    assert_string_equal(f.domain, "mx.example Hello");
    assert_int_equal(f.count, 5);
    assert_string_equal(found_get(&f, "limits")->params, "A=1 B=2");
    assert_string_equal(found_get(&f, "PIPELINING")->params, "");
    assert_null(found_get(&f, "mx.example"));
    assert_int_equal(found_size(&f), 1000);
    assert_true(found_has_all(&f, "PRDR SIZE", missing, sizeof(missing)));
    assert_true(found_has_all(&f, "CHUNKING|X PRDR", missing, sizeof(missing)));
    assert_false(found_has_all(&f, "CHUNKING|Y PRDR", missing, sizeof(missing)));
    assert_string_equal(missing, "CHUNKING|Y");
    assert_true(found_has_all(&f, "", missing, sizeof(missing)));
    assert_false(found_has_all(&f, "PRDR CHUNKING SIZE", missing, sizeof(missing)));
    assert_string_equal(missing, "CHUNKING");
    assert_false(f.is_cut);
    found_parse(&f, SLICE_LIT("250-mx\n250- SIZE 1"));
    assert_string_equal(f.at[0].name, " SIZE");
    assert_string_equal(f.at[0].params, "1");
}

static void test_keywords_that_are_none(void **state)
{
    (void)state;
    struct found f;
    char many[FOUND_TEXT_MAX * 2];
    size_t len = 0;
    found_parse(&f, SLICE_LIT("250"));
    assert_string_equal(f.domain, "");
    assert_int_equal(f.count, 0);
    found_parse(&f, SLICE_LIT("250-a\n250-SIZE\n250 SIZE x"));
    assert_int_equal(found_size(&f), 0);
    found_parse(&f, SLICE_LIT("250-a\n250 SIZE 99999999999999999999"));
    assert_int_equal(found_size(&f), 0);
    while (len + 16 < sizeof(many))
        len += (size_t)snprintf(many + len, sizeof(many) - len, "250-K%zu\n", len);
    found_parse(&f, slice_of(many, len));
    assert_true(f.is_cut);
    assert_int_equal(f.count, FOUND_KEYWORDS_MAX);
}

/* --- replies in the lines of a reply ---------------------------------------------------------- */

static void test_nested(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        const char *outer;
        bool is_good;
        uint32_t count;
        int last;
    } rows[] = {
        {"558 250 2.1.5 ok", "558", true, 1, 250},
        {"558-250 a\n558-550-b\n558-550 c\n558 452 ", "558", true, 3, 452},
        {"250-450 x", "250", true, 1, 450},
        {"", "250", true, 0, 0},
        {"558-250 a\n550 550 b", "558", false, 0, 0}, /* another outer code */
        {"558-250-a\n558 550 b", "558", false, 0, 0}, /* the inner code changes */
        {"558-250 a\n558 550-b", "558", false, 0, 0}, /* the last one goes on */
        {"558-350 a", "558", false, 0, 0},            /* 3xx */
        {"558-25", "558", false, 0, 0},
        {"558 250", "558", false, 0, 0}, /* the mark is no option */
        {"558", "558", false, 0, 0},
        {"558 250x", "558", false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct nested n;
        char text[160] = "";
        bool is_good =
            nested_parse(&n, slice_str(rows[i].lines), rows[i].outer, true, text, sizeof(text));
        assert_int_equal(is_good, rows[i].is_good);
        assert_int_equal(text[0] == '\0', rows[i].is_good);
        if (!is_good)
            continue;
        assert_int_equal(n.count, rows[i].count);
        if (n.count > 0)
            assert_int_equal(n.codes[n.count - 1], rows[i].last);
    }
}

/* --- patterns --------------------------------------------------------------------------------- */

static void test_code_patterns(void **state)
{
    (void)state;
    assert_true(trial_code_is(250, "250"));
    assert_true(trial_code_is(554, "503|554"));
    assert_true(trial_code_is(452, "2xx|4xx"));
    assert_true(trial_code_is(551, "25x|55x"));
    assert_false(trial_code_is(552, "503|554"));
    assert_false(trial_code_is(353, "2xx|4xx|5xx"));
    assert_false(trial_code_is(0, "2xx|4xx|5xx"));
}

static void test_rule_patterns(void **state)
{
    (void)state;
    char text[128];
    const struct check c = {.id = "LMTP-12/too-big"};
    assert_true(check_is_chosen(&c, NULL, NULL));
    assert_true(check_is_chosen(&c, "LMTP", NULL));
    assert_true(check_is_chosen(&c, "core,lmtp-12", NULL));
    assert_true(check_is_chosen(&c, "LMTP-12/too-big", NULL));
    assert_true(check_is_chosen(&c, "LMTP-1[0-9]/too.*", NULL));
    assert_false(check_is_chosen(&c, "LMTP-1", NULL));
    assert_false(check_is_chosen(&c, "MTP-12", NULL));
    assert_false(check_is_chosen(&c, "LMTP", "LMTP-12"));
    assert_true(check_pattern_is_good("LMTP-12,PRDR", text, sizeof(text)));
    assert_false(check_pattern_is_good("LMTP-12,(", text, sizeof(text)));
    assert_false(check_pattern_is_good("", text, sizeof(text)));
}

/* --- the table -------------------------------------------------------------------------------- */

static void test_table(void **state)
{
    (void)state;
    static const char *const sheets[] = {"CORE-", "LMTP-", "PRDR-", "DEF-",
                                         "INL-",  "EXD-",  "HOL-",  "OTH-"};
    for (size_t i = 0; i < check_sheet_count; i++) {
        for (size_t k = 0; k < check_sheets[i]->count; k++) {
            const struct check *c = &check_sheets[i]->at[k];
            bool is_known = false;
            for (size_t s = 0; s < ARRAY_COUNT(sheets); s++)
                is_known = is_known || strncmp(c->id, sheets[s], strlen(sheets[s])) == 0;
            assert_true(is_known);
            assert_true(strchr(c->id, '/') != NULL && strlen(c->id) <= 22);
            assert_true(strlen(c->title) >= 8 && strlen(c->title) <= 80);
            for (size_t other = 0; other < check_sheets[i]->count; other++)
                assert_true(other == k || strcmp(c->id, check_sheets[i]->at[other].id) != 0);
        }
    }
}

/* --- transcripts ------------------------------------------------------------------------------ */

static void test_transcript(void **state)
{
    (void)state;
    struct transcript t = {0};
    transcript_put(&t, "C:", SLICE_LIT("NOOP\r\nbare\nlast"));
    transcript_put(&t, "S:", slice_of("\x1b[2J\0\\\r\r\n", 9));
    transcript_note(&t, "closed");
    assert_string_equal(transcript_text(&t), "C: NOOP\nC: bare\\x0A\nC: last (no line end)\n"
                                             "S: \\x1B[2J\\x00\\\\\\x0D\n-- closed\n");
    transcript_deinit(&t);
    assert_string_equal(transcript_text(&t), "");
}

static void test_transcript_bounds(void **state)
{
    (void)state;
    struct transcript t = {0}, copy;
    static char line[5000];
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 10; i++)
        transcript_put(&t, "S:", SLICE_LIT("250 ok\r\n"));
    transcript_put(&t, "S:", SLICE_LIT("221 bye\r\n"));
    assert_string_equal(transcript_text(&t), "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok\n"
                                             "-- (and 6 times more)\nS: 221 bye\n");
    transcript_put(&t, "C:", slice_of(line, sizeof(line)));
    assert_non_null(strstr(transcript_text(&t), "xxx... (5000 octets) (no line end)\n"));
    for (unsigned i = 0; i < 5000; i++) {
        char text[32];
        snprintf(text, sizeof(text), "%u\r\n", i);
        transcript_put(&t, "S:", slice_str(text));
    }
    assert_true(t.len <= TRANSCRIPT_BYTES_MAX);
    assert_true(t.left_out > 0);
    assert_true(transcript_copy(&t, &copy));
    assert_string_equal(transcript_text(&copy), transcript_text(&t));
    transcript_deinit(&t);
    transcript_deinit(&copy);
}

/* --- the rules about every reply -------------------------------------------------------------- */

static void test_watched(void **state)
{
    (void)state;
    static const struct {
        const char *lines;
        struct watch_state state;
        int rule; /* that is broken; WATCH_RULES: none */
    } rows[] = {
        {"250-2.0.0 a\r\n250 2.0.0 b\r\n", {.offers_enhanced = true}, WATCH_RULES},
        {"250 ok\r\n", {0}, WATCH_RULES},
        {"250 ok\r\n", {.offers_enhanced = true}, WATCH_ENHANCED},
        {"250-2.0.0 a\r\n250 b\r\n", {.offers_enhanced = true}, WATCH_ENHANCED},
        {"550 4.1.1 a\r\n", {.offers_enhanced = true}, WATCH_ENHANCED},
        {"550 5.1.1\r\n", {.offers_enhanced = true}, WATCH_RULES},
        {"550 5.1.12345 a\r\n", {.offers_enhanced = true}, WATCH_ENHANCED},
        {"354 go\r\n", {.offers_enhanced = true}, WATCH_RULES},
        {"354 2.0.0 go\r\n", {.offers_enhanced = true}, WATCH_THREE},
        {"220 2.0.0 mx\r\n", {.is_greeting = true}, WATCH_THREE},
        {"250-mx\r\n250 SIZE\r\n", {.is_hello = true, .offers_enhanced = true}, WATCH_RULES},
        {"250 2.0.0 a\n", {0}, WATCH_FORM},
        {"353 a\r\n", {0}, WATCH_UNASKED},
        {"352 a\r\n", {0}, WATCH_UNASKED},
        {"355 a\r\n", {0}, WATCH_UNASKED},
        {"558 250 a\r\n", {0}, WATCH_UNASKED},
        {"353 a\r\n", {.has_asked = true}, WATCH_RULES},
        {"558 250 a\r\n",
         {.has_asked = true, .is_nested = true, .offers_enhanced = true},
         WATCH_RULES},
    };
    const struct transcript seen = {0};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct watch w = {0};
        watch_reply(&w, &rows[i].state, slice_str(rows[i].lines), "A-1/b", &seen);
        for (int rule = 0; rule < WATCH_RULES; rule++)
            assert_int_equal(w.at[rule].is_broken, rule == rows[i].rule);
        watch_deinit(&w);
    }
}

static void test_watched_length(void **state)
{
    (void)state;
    char line[600];
    const struct transcript seen = {0};
    const struct watch_state s = {0};
    for (size_t len = 512; len <= 513; len++) {
        struct watch w = {0};
        memset(line, 'x', sizeof(line));
        memcpy(line, "250 ", 4);
        memcpy(line + len - 2, "\r\n", 2);
        watch_reply(&w, &s, slice_of(line, len), "A-1/b", &seen);
        watch_reply(&w, &s, slice_of(line, len), "A-2/b", &seen);
        assert_int_equal(w.at[WATCH_LENGTH].count, len == 513 ? 2 : 0);
        assert_string_equal(w.at[WATCH_LENGTH].check, len == 513 ? "A-1/b" : "");
        watch_deinit(&w);
    }
}

/* --- reports ---------------------------------------------------------------------------------- */

static const struct check sample_checks[] = {
    {"CORE-4/quit", CHECK_MUST, 0, "", "QUIT: 221, then the server closes", NULL},
    {"CORE-4/rset", CHECK_MUST, 0, "", "\"RSET\" & <more>", NULL},
    {"CORE-4/noop", CHECK_SHOULD, 0, "", "NOOP disturbs nothing", NULL},
    {"CORE-4/help", CHECK_MUST, NEED_RCPT, "", "HELP has one of its codes", NULL},
};
static const struct check_sheet sample_sheet = {"core", "Sessions <&>", sample_checks, 4};

struct sample {
    struct probe_options options;
    struct probe *probe;
    struct run_row rows[4];
    struct run run;
};

static void make_sample(struct sample *s)
{
    static const enum trial_outcome outcomes[] = {TRIAL_PASS, TRIAL_FAIL, TRIAL_WARN, TRIAL_SKIP};
    memset(s, 0, sizeof(*s));
    snprintf(s->options.target.url, sizeof(s->options.target.url), "smtp://[::1]:25");
    s->probe = calloc(1, sizeof(*s->probe));
    assert_non_null(s->probe);
    found_parse(&s->probe->found, SLICE_LIT("250-mx \"q\" \x1b\n250-SIZE 10\n250 X\\Y"));
    snprintf(s->probe->found.greeting, sizeof(s->probe->found.greeting), "220 mx \x1b[31m\xC3");
    s->probe->messages_left = 7;
    for (size_t i = 0; i < 4; i++) {
        s->rows[i].sheet = &sample_sheet;
        s->rows[i].check = &sample_checks[i];
        s->rows[i].outcome = outcomes[i];
        s->rows[i].ns = (i + 1) * NS_PER_MS;
        s->run.counts[outcomes[i]]++;
        if (outcomes[i] != TRIAL_PASS)
            snprintf(s->rows[i].reason, sizeof(s->rows[i].reason), "because of \"<%zu>\" & \\", i);
    }
    transcript_put(&s->rows[1].transcript, "C:", SLICE_LIT("RSET <\"&\">\r\n"));
    transcript_put(&s->rows[1].transcript, "S:", SLICE_LIT("250 \x01]]>\r\n"));
    s->run.options = &s->options;
    s->run.probe = s->probe;
    s->run.rows = s->rows;
    s->run.row_count = 4;
    s->run.ended_ns = NS_PER_S;
}

static void free_sample(struct sample *s)
{
    transcript_deinit(&s->rows[1].transcript);
    free(s->probe);
}

/* What @write says, in memory of the caller's to free. */
static char *written(void (*write)(FILE *out, const struct run *r), const struct run *r)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    write(out, r);
    assert_int_equal(fclose(out), 0);
    return text;
}

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *value = NULL;
    assert_true(json_object_object_get_ex(o, name, &value));
    return value;
}

static void test_json(void **state)
{
    (void)state;
    struct sample s;
    make_sample(&s);
    char *text = written(report_json, &s.run);
    struct json_object *o = json_tokener_parse(text);
    assert_non_null(o);
    assert_string_equal(json_object_get_string(member(o, "format")), "postern-probe 1");
    assert_string_equal(json_object_get_string(member(o, "name")), "mx \"q\" \x1b");
    assert_string_equal(json_object_get_string(member(member(o, "offers"), "SIZE")), "10");
    assert_string_equal(json_object_get_string(member(member(o, "offers"), "X\\Y")), "");
    assert_int_equal(json_object_get_int(member(o, "failed")), 1);
    assert_int_equal(json_object_get_int(member(o, "messages_left")), 7);
    assert_null(member(o, "stopped"));
    struct json_object *rules = member(o, "rules");
    assert_int_equal(json_object_array_length(rules), 4);
    struct json_object *row = json_object_array_get_idx(rules, 1);
    assert_string_equal(json_object_get_string(member(row, "id")), "CORE-4/rset");
    assert_string_equal(json_object_get_string(member(row, "rule")), "CORE-4");
    assert_string_equal(json_object_get_string(member(row, "outcome")), "fail");
    assert_string_equal(json_object_get_string(member(row, "title")), "\"RSET\" & <more>");
    assert_string_equal(json_object_get_string(member(row, "reason")), "because of \"<1>\" & \\");
    struct json_object *lines = member(row, "transcript");
    assert_int_equal(json_object_array_length(lines), 2);
    assert_string_equal(json_object_get_string(json_object_array_get_idx(lines, 0)),
                        "C: RSET <\"&\">");
    json_object_put(o);
    free(text);
    free_sample(&s);
}

static uint32_t count_of(const char *text, const char *word)
{
    uint32_t count = 0;
    for (; (text = strstr(text, word)) != NULL; text += strlen(word))
        count++;
    return count;
}

static void test_junit(void **state)
{
    (void)state;
    struct sample s;
    make_sample(&s);
    char *text = written(report_junit, &s.run);
    assert_non_null(strstr(text, "<testsuite name=\"Sessions &lt;&amp;&gt;\" tests=\"4\" "
                                 "failures=\"1\" errors=\"0\" skipped=\"1\" time=\"0.010000\">"));
    assert_int_equal(count_of(text, "<testcase "), 4);
    assert_int_equal(count_of(text, "</testcase>"), 4);
    assert_int_equal(count_of(text, "<failure "), 1);
    assert_int_equal(count_of(text, "<skipped "), 1);
    assert_int_equal(count_of(text, "<system-out>"), 1);
    assert_non_null(strstr(text, "message=\"because of &quot;&lt;1&gt;&quot; &amp; \\\""));
    assert_non_null(strstr(text, "S: 250 \\x01]]&gt;"));
    free(text);
    free_sample(&s);
}

static void text_report(FILE *out, const struct run *r)
{
    report_text_begin(out, r, false);
    for (size_t i = 0; i < r->row_count; i++)
        report_text_row(out, r, i, false);
    report_text_end(out, r, false);
}

static void text_report_colored(FILE *out, const struct run *r)
{
    report_text_row(out, r, 1, true);
}

static void test_text(void **state)
{
    (void)state;
    struct sample s;
    make_sample(&s);
    char *said = written(text_report, &s.run);
    assert_null(strchr(said, '\x1b'));
    assert_non_null(strstr(said, "greeting  220 mx ?[31m?\n"));
    assert_non_null(strstr(said, "\nSessions <&>\n  pass  CORE-4/quit"));
    assert_non_null(strstr(said,
                           "  FAIL  CORE-4/rset            \"RSET\" & <more>\n"
                           "          because of \"<1>\" & \\\n          | C: RSET <\"&\">\n"));
    assert_non_null(strstr(said, "  warn  CORE-4/noop"));
    assert_non_null(strstr(said, "  skip  CORE-4/help"));
    assert_non_null(strstr(said, "4 rules: 1 passed, 1 failed, 1 warned, 1 skipped; 1.0 s\n"));
    assert_non_null(strstr(said, "7 messages were left at the server."));
    free(said);
    said = written(text_report_colored, &s.run);
    assert_non_null(strstr(said, "\x1b[1;31mFAIL\x1b[0m"));
    free(said);
    s.options.is_quiet = true;
    said = written(text_report, &s.run);
    assert_null(strstr(said, "pass  "));
    assert_null(strstr(said, "skip  "));
    assert_int_equal(count_of(said, "Sessions <&>"), 1);
    free(said);
    free_sample(&s);
}

/* --- options ---------------------------------------------------------------------------------- */

/* A command line, cut at blanks. */
static enum probe_options_result parse(struct probe_options *o, const char *line, char *why,
                                       size_t cap)
{
    static char memory[512];
    char *words[16];
    int count = 0;
    snprintf(memory, sizeof(memory), "postern-probe %s", line);
    for (char *at = memory; at != NULL && count < 16;) {
        words[count++] = at;
        at = strchr(at, ' ');
        if (at != NULL)
            *at++ = '\0';
    }
    return probe_options_parse(o, count, words, why, cap);
}

static void test_options(void **state)
{
    (void)state;
    struct probe_options o;
    char why[256];
    assert_int_equal(parse(&o, "--rcpt=a@b --rcpt c@d --timeout 250ms --from= lmtp+unix:/run/s",
                           why, sizeof(why)),
                     PROBE_OPTIONS_RUN);
    assert_int_equal(o.rcpt_count, 2);
    assert_string_equal(o.rcpts[1], "c@d");
    assert_string_equal(o.sender, "");
    assert_string_equal(o.helo, "client.example");
    assert_true(o.target.is_lmtp && o.target.is_local);
    assert_int_equal(o.timeout_ns, 250 * NS_PER_MS);
    assert_int_equal(o.limit_ns, 900 * NS_PER_S);
    assert_int_equal(o.upload_bytes, 4 * MIB);
    static const char *const bad[] = {"--rcpt <a@b>",    "--helo a@b\t", "--timeout 0s",
                                      "--rcpt-bound 99", "--color blue", "--rcpt a@b\r\nRSET"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char name[32], line[64];
        snprintf(line, sizeof(line), "%s smtp://h", bad[i]);
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(bad[i], " "), bad[i]);
        assert_int_equal(parse(&o, line, why, sizeof(why)), PROBE_OPTIONS_BAD);
        assert_non_null(strstr(why, name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keywords),      cmocka_unit_test(test_keywords_that_are_none),
        cmocka_unit_test(test_nested),        cmocka_unit_test(test_code_patterns),
        cmocka_unit_test(test_rule_patterns), cmocka_unit_test(test_table),
        cmocka_unit_test(test_transcript),    cmocka_unit_test(test_transcript_bounds),
        cmocka_unit_test(test_watched),       cmocka_unit_test(test_watched_length),
        cmocka_unit_test(test_json),          cmocka_unit_test(test_junit),
        cmocka_unit_test(test_text),          cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
