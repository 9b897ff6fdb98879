/* SPDX-License-Identifier: Apache-2.0 */
/* Experiment files: values, lists, order of points, programs' names, and every kind of refusal. */
#include "base/err.h"
#include "lab/experiment.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct lab_file parsed(const char *text)
{
    struct lab_file f;
    struct lab_file_error error;
    int result = lab_file_parse(slice_str(text), "t.conf", &f, &error);
    if (result < 0)
        fail_msg("%s", error.text);
    return f;
}

static void test_defaults(void **state)
{
    (void)state;
    struct lab_file f = parsed("experiment \"a\" { }");
    struct lab_point p;
    assert_int_equal(f.count, 1);
    const struct lab_experiment *e = &f.experiments[0];
    assert_string_equal(e->title, "a");
    assert_int_equal(e->point_count, 1);
    assert_int_equal(e->seed_count, 1);
    assert_int_equal(e->seeds[0], 1);
    assert_int_equal(lab_point_make(e, 0, &p), 0);
    assert_int_equal(p.time_scale_ns, 10 * NS_PER_MS);
    assert_int_equal(p.rcpt_count, 10);
    assert_int_equal(p.server.dialect, LAB_SMTP);
    assert_true(p.server.reply_budget_ns == CLOCK_NEVER);
    assert_true(p.model_ns_max == CLOCK_NEVER);
    assert_int_equal(p.client.limit_ns, 600 * NS_PER_S);
    assert_int_equal(p.client.tries_max, 5);
    assert_true(p.rate_per_s == 0);
    lab_point_deinit(&p);
    lab_file_free(&f);
    lab_file_free(&f);
}

static void test_values(void **state)
{
    (void)state;
    struct lab_file f = parsed(
        "experiment \"a\" {\n"
        "  title = \"All kinds\"; modes = [sim, live]; seeds = [7, 9]; time_scale = 20ms\n"
        "  recipients = 3; messages = 5000000; message_size = 10kb; rate = 360/h\n"
        "  server { dialect = wrapped-b; pacing = buffer; before = exp:30s\n"
        "    per_recipient = 2min; commit = \"lognormal:20ms,0.5\"; order = concurrent\n"
        "    vanished = stop; opener = first-reply; reply_budget = 270s; refused = 25%\n"
        "    deferred = 0.5; capacity = 64; slowdown = 1.5; remembers_scan = yes }\n"
        "  client { limit = never; timer = total; tries = 1; retry = 1h; retry_factor = 2 }\n"
        "  faults { cut = hazard; hazard = 1e-4/s; one_way = 50ms; first_try_only = yes }\n"
        "}\n");
    const struct lab_experiment *e = &f.experiments[0];
    struct lab_point p;
    assert_string_equal(e->title, "All kinds");
    assert_int_equal(e->mode_count, 2);
    assert_string_equal(e->modes[1], "live");
    assert_int_equal(e->seed_count, 2);
    assert_int_equal(e->seeds[1], 9);
    assert_int_equal(lab_point_make(e, 0, &p), 0);
    assert_int_equal(p.time_scale_ns, 20 * NS_PER_MS);
    assert_int_equal(p.rcpt_count, 3);
    assert_int_equal(p.message_count, 5000000);
    assert_int_equal(p.message_bytes, 10240);
    assert_true(p.rate_per_s > 0.0999 && p.rate_per_s < 0.1001);
    assert_int_equal(p.server.dialect, LAB_WRAPPED_B);
    assert_int_equal(p.server.pacing, LAB_BUFFER);
    assert_int_equal(p.server.before.kind, DIST_EXP);
    assert_int_equal(p.server.per_rcpt.low, 120 * NS_PER_S);
    assert_int_equal(p.server.commit.kind, DIST_LOGNORMAL);
    assert_int_equal(p.server.order, LAB_CONCURRENT);
    assert_int_equal(p.server.vanished, LAB_VANISHED_STOP);
    assert_true(p.server.opener_ns == CLOCK_NEVER);
    assert_int_equal(p.server.reply_budget_ns, 270 * NS_PER_S);
    assert_true(p.server.refused_share == 0.25 && p.server.deferred_share == 0.5);
    assert_int_equal(p.server.capacity, 64);
    assert_true(p.server.slowdown == 1.5 && p.server.remembers_scan);
    assert_true(p.client.limit_ns == CLOCK_NEVER);
    assert_int_equal(p.client.timer, LAB_TIMER_TOTAL);
    assert_true(p.client.retry_factor == 2);
    assert_int_equal(p.faults.cut, LAB_CUT_HAZARD);
    assert_true(p.faults.hazard_per_s == 1e-4 && p.faults.is_first_try_only);
    assert_int_equal(p.faults.one_way_ns, 50 * NS_PER_MS);
    lab_point_deinit(&p);
    lab_file_free(&f);
}

/* The last list changes fastest, whatever section it stands in. */
static void test_sweep_order(void **state)
{
    (void)state;
    struct lab_file f = parsed("experiment \"a\" {\n"
                               "  client { limit = [300s, 10min] }\n"
                               "  recipients = [1, 10, 100]\n"
                               "  server { dialect = [smtp]; before = 1s }\n"
                               "}\n");
    const struct lab_experiment *e = &f.experiments[0];
    static const struct {
        uint64_t limit_s;
        uint32_t rcpts;
    } wanted[] = {{300, 1}, {300, 10}, {300, 100}, {600, 1}, {600, 10}, {600, 100}};
    assert_int_equal(e->axis_count, 2);
    assert_int_equal(e->point_count, ARRAY_COUNT(wanted));
    assert_string_equal(e->axes[0].name, "client.limit");
    assert_string_equal(e->axes[0].values[1].text, "10min");
    assert_true(e->axes[0].values[1].number == 600);
    assert_string_equal(e->axes[0].unit, "s");
    assert_string_equal(e->axes[1].name, "recipients");
    assert_int_equal(e->fixed_count, 2);
    assert_string_equal(e->fixed[1].name, "server.before");
    for (uint32_t i = 0; i < e->point_count; i++) {
        struct lab_point p;
        assert_int_equal(lab_point_make(e, i, &p), 0);
        assert_int_equal(p.client.limit_ns, wanted[i].limit_s * NS_PER_S);
        assert_int_equal(p.rcpt_count, wanted[i].rcpts);
        lab_point_deinit(&p);
    }
    lab_file_free(&f);
}

/* A program's timers come first, wherever "like" stands; then the rest of the section. */
static void test_like(void **state)
{
    (void)state;
    struct lab_file f = parsed("experiment \"a\" {\n"
                               "  client { limit = 2min; like = [exim, mox, none] }\n"
                               "}\n"
                               "experiment \"b\" {\n"
                               "  client { tries = 3; timer = total }\n"
                               "  client \"one\" { like = postfix }\n"
                               "  client \"two\" { limit = 30s }\n"
                               "}\n");
    struct lab_point p;
    assert_int_equal(lab_point_make(&f.experiments[0], 0, &p), 0);
    assert_int_equal(p.client.limit_ns, 120 * NS_PER_S);
    assert_int_equal(p.client.timer, LAB_TIMER_REPLY);
    assert_true(p.client.credits_early);
    assert_int_equal(lab_point_make(&f.experiments[0], 1, &p), 0);
    assert_int_equal(p.client.timer, LAB_TIMER_LINE);
    assert_false(p.client.credits_early);
    const struct lab_experiment *b = &f.experiments[1];
    assert_int_equal(b->point_count, 2);
    assert_string_equal(b->axes[0].name, "client");
    assert_string_equal(b->axes[0].values[1].text, "two");
    assert_int_equal(lab_point_make(b, 0, &p), 0);
    assert_int_equal(p.client.timer, LAB_TIMER_LINE);
    assert_int_equal(p.client.limit_ns, 600 * NS_PER_S);
    assert_int_equal(p.client.tries_max, 3);
    assert_int_equal(lab_point_make(b, 1, &p), 0);
    assert_int_equal(p.client.timer, LAB_TIMER_TOTAL);
    assert_int_equal(p.client.limit_ns, 30 * NS_PER_S);
    lab_file_free(&f);
}

/* Several kinds of cut at one point, and in a list of points. */
static void test_cuts(void **state)
{
    (void)state;
    struct lab_file f = parsed("experiment \"a\" {\n"
                               "  faults { cut = [none, hazard, Hazard+black-hole, "
                               "slow+after-replies]; hazard = 1; cut_replies = 2\n"
                               "    bytes_per_second = 1kb; black_hole = 10% }\n"
                               "}\n");
    static const unsigned wanted[] = {LAB_CUT_NONE, LAB_CUT_HAZARD,
                                      LAB_CUT_HAZARD | LAB_CUT_BLACK_HOLE,
                                      LAB_CUT_SLOW | LAB_CUT_AFTER_REPLIES};
    assert_int_equal(f.experiments[0].point_count, ARRAY_COUNT(wanted));
    for (uint32_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        struct lab_point p;
        assert_int_equal(lab_point_make(&f.experiments[0], i, &p), 0);
        assert_int_equal(p.faults.cut, wanted[i]);
        lab_point_deinit(&p);
    }
    lab_file_free(&f);
}

/* Whatever may have a value at a point may have a list. */
static void test_list_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < lab_setting_count; i++) {
        const struct lab_setting *s = &lab_settings[i];
        struct lab_file f;
        struct lab_file_error error;
        char text[400], word[64];
        const char *section = lab_section_name(s->section), *other = word;
        bool is_top = s->section == LAB_SECTION_TOP, is_mix = s->section == LAB_SECTION_MIX;
        if (s->type == LAB_CHOICE || s->type == LAB_SET)
            other = strcmp(s->otherwise, s->choices[1]) == 0 ? s->choices[0] : s->choices[1];
        else if (s->type == LAB_YESNO)
            other = "yes";
        else
            snprintf(word, sizeof(word), "%llu%s", s->min < 2 ? 2ull : (unsigned long long)s->min,
                     s->type == LAB_SIZE ? "b" : "");
        if (s->type == LAB_TIME || s->type == LAB_DIST)
            snprintf(word, sizeof(word), "%llums", (unsigned long long)s->min / NS_PER_MS + 2);
        else if (s->type == LAB_SHARE)
            other = "50%";
        snprintf(text, sizeof(text), "experiment \"a\" { %s%s%s %s = [%s, %s] %s }",
                 is_mix ? "mix { client \"x\"" : section, is_top ? "" : " {",
                 strcmp(s->name, "retry_max") == 0 ? "retry = 1ms;" : "", s->name, s->otherwise,
                 other, is_mix ? "} }" : (is_top ? "" : "}"));
        int result = lab_file_parse(slice_str(text), "t.conf", &f, &error);
        if (result == 0) {
            assert_int_equal(f.experiments[0].axis_count, 1);
            assert_int_equal(f.experiments[0].point_count, 2);
            lab_file_free(&f);
        } else if (strstr(error.text, "the shares of the mix") == NULL &&
                   strstr(error.text, "does nothing without") == NULL &&
                   strstr(error.text, "cut = hazard needs") == NULL &&
                   strstr(error.text, "several senders need") == NULL) {
            fail_msg("%s: %s", text, error.text); /* a list, but not with this alone */
        }
    }
}

/* Each point has its own time scale. */
static void test_time_scales(void **state)
{
    (void)state;
    struct lab_file f = parsed("experiment \"a\" { time_scale = [5ms, 20ms] }");
    const struct lab_experiment *e = &f.experiments[0];
    struct lab_point p;
    assert_int_equal(e->point_count, 2);
    assert_string_equal(e->axes[0].name, "time_scale");
    assert_string_equal(e->axes[0].unit, "s");
    assert_true(e->axes[0].values[1].number == 0.02);
    assert_int_equal(lab_point_make(e, 1, &p), 0);
    assert_int_equal(p.time_scale_ns, 20 * NS_PER_MS);
    lab_point_deinit(&p);
    lab_file_free(&f);
}

static void test_mix(void **state)
{
    (void)state;
    struct lab_file f = parsed("experiment \"a\" {\n"
                               "  rate = 10/s\n"
                               "  mix { client \"exim\" { share = 40%; like = exim }\n"
                               "        client \"own\" { share = 0.6; limit = [20s, 30s] } }\n"
                               "  client { retry = 7min }\n"
                               "}\n");
    const struct lab_experiment *e = &f.experiments[0];
    struct lab_point p;
    assert_int_equal(e->point_count, 2);
    assert_string_equal(e->axes[0].name, "mix.own.limit");
    assert_int_equal(lab_point_make(e, 1, &p), 0);
    assert_int_equal(p.mix.count, 2);
    assert_string_equal(p.mix.rows[0].name, "exim");
    assert_true(p.mix.rows[0].share == 0.4);
    assert_true(p.mix.rows[0].client.credits_early);
    assert_int_equal(p.mix.rows[0].client.retry_ns, 420 * NS_PER_S);
    assert_int_equal(p.mix.rows[1].client.limit_ns, 30 * NS_PER_S);
    assert_int_equal(p.mix.rows[1].client.retry_ns, 420 * NS_PER_S);
    lab_file_free(&f);
}

static char *printed(const struct lab_experiment *e)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    lab_experiment_print(e, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Printed it is the same experiment, and its axes are in the same order. */
static void test_print(void **state)
{
    (void)state;
    struct lab_file f =
        parsed("experiment \"a\" {\n"
               "  client { limit = [300s, 10min]; tries = 2 }\n"
               "  client \"one\" { like = mox }\n"
               "  recipients = [1, 7] # n\n"
               "  server { before = \"lognormal:1s,0.5\"; dialect = [smtp, lmtp] }\n"
               "  client \"two\" { }\n"
               "  title = \"say \\\"x\\\"\"; seeds = 2; modes = sim\n"
               "  mix { client \"m\" { share = 1; timer = [reset, total] } }\n"
               "}\n");
    char *text = printed(&f.experiments[0]);
    assert_string_equal(text, "experiment \"a\" {\n"
                              "  title = \"say \\\"x\\\"\"\n"
                              "  description = \"\"\n"
                              "  modes = [sim]\n"
                              "  seeds = [1, 2]\n"
                              "  client { limit = [300s, 10min] }\n"
                              "  client { tries = 2 }\n"
                              "  client \"one\" {\n"
                              "    like = mox\n"
                              "  }\n"
                              "  client \"two\" {\n"
                              "  }\n"
                              "  recipients = [1, 7]\n"
                              "  server { before = \"lognormal:1s,0.5\" }\n"
                              "  server { dialect = [smtp, lmtp] }\n"
                              "  mix {\n"
                              "    client \"m\" {\n"
                              "      share = 1\n"
                              "      timer = [reset, total]\n"
                              "    }\n"
                              "  }\n"
                              "}\n");
    struct lab_file again = parsed(text);
    const struct lab_experiment *a = &f.experiments[0], *b = &again.experiments[0];
    assert_int_equal(a->point_count, 32);
    assert_int_equal(b->point_count, 32);
    for (uint32_t i = 0; i < 32; i++) {
        struct lab_point p, q;
        assert_int_equal(lab_point_make(a, i, &p), 0);
        assert_int_equal(lab_point_make(b, i, &q), 0);
        assert_memory_equal(&p, &q, sizeof(p));
        lab_point_deinit(&p);
        lab_point_deinit(&q);
    }
    free(text);
    /* What was left out is not printed. */
    lab_experiment_only(&f.experiments[0], 1, (const bool[]){false, true});
    lab_experiment_only(&f.experiments[0], 0, (const bool[]){true, false});
    text = printed(&f.experiments[0]);
    assert_non_null(strstr(text, "  client { limit = [300s] }\n"));
    assert_null(strstr(text, "mox"));
    assert_non_null(strstr(text, "client \"two\""));
    free(text);
    lab_file_free(&again);
    lab_file_free(&f);
}

static const struct {
    const char *text, *reason;
} refusals[] = {
    {"", "t.conf: there is no experiment in it"},
    {"x = 1\n", "t.conf:1: 'x' stands outside of an experiment: a file is made of "
                "experiment \"NAME\" { ... }"},
    {"experiment \"a\" {", "t.conf:1: "},
    {"experiment \"a b\" { }", "t.conf:1: experiment \"a b\": a name is 1 to 31 letters"},
    {"experiment \"a\" { }\nexperiment \"a\" { }\n",
     "t.conf:2: experiment \"a\" stands here twice"},
    {"experiment \"a\" {\n recipient = 1\n}",
     "t.conf:2: unknown setting 'recipient'; did you mean 'recipients'?"},
    {"experiment \"a\" {\n server { limit = 1s }\n}",
     "t.conf:2: unknown setting 'limit' in section server; it belongs in section client"},
    {"experiment \"a\" {\n servr { }\n}", "t.conf:2: unknown section 'servr'"},
    {"experiment \"a\" {\n server \"x\" { }\n}", "t.conf:2: section 'server' has no name"},
    {"experiment \"a\" {\n recipients = 0\n}", "t.conf:2: recipients: '0' is outside of 1"},
    {"experiment \"a\" {\n recipients = [1,\n 2, x]\n}",
     "t.conf:3: recipients: 'x' is not a number"},
    {"experiment \"a\" {\n recipients = []\n}", "t.conf:2: 'recipients': the list is empty"},
    {"experiment \"a\" {\n recipients = [1, [2]]\n}",
     "t.conf:2: 'recipients': a value is one word"},
    {"experiment \"a\" {\n recipients = [1, 2, 1]\n}",
     "t.conf:2: 'recipients': '1' stands twice in the list"},
    {"experiment \"a\" {\n recipients = 1\n recipients = 2\n}",
     "t.conf:3: 'recipients' given again (first in line 2)"},
    {"experiment \"a\" {\n messages = 10k\n}", "t.conf:2: messages: '10k' is not a plain"},
    {"experiment \"a\" {\n messages = 10kb\n}", "t.conf:2: messages: '10kb' is not a plain"},
    {"experiment \"a\" {\n server { before = 60 }\n}",
     "t.conf:2: before: '60' needs one of the units"},
    {"experiment \"a\" {\n server { before = exp: }\n}", "t.conf:2: before: "},
    {"experiment \"a\" {\n server { before = [1s, lognormal:20ms,0.5] }\n}",
     "t.conf:2: before: 'lognormal:20ms' is half of a distribution: with a comma in it, it needs "
     "quotes"},
    {"experiment \"a\" {\n server { before = normal:20ms,5ms }\n}",
     "t.conf:2: '5ms' has no value; a value with a comma in it needs quotes"},
    {"experiment \"a\" {\n server { dialect = [smtp lmtp] }\n}",
     "t.conf:2: unexpected 'lmtp': values of a list have commas between, and a value with blanks "
     "needs quotes"},
    {"experiment \"a\" {\n server { dialect = ltmp }\n}",
     "t.conf:2: dialect: 'ltmp' is not known; did you mean 'lmtp'?"},
    {"experiment \"a\" {\n server { dialect = morse }\n}",
     "t.conf:2: dialect: 'morse' is not one of smtp, lmtp, prdr"},
    {"experiment \"a\" {\n server { refused = 101% }\n}", "t.conf:2: refused: '101%' is"},
    {"experiment \"a\" {\n server { refused = 0.6; deferred = 0.6 }\n}",
     "t.conf:1: experiment \"a\": refused and deferred together are more than 1 (point 0)"},
    {"experiment \"a\" {\n faults { cut = [none, hazard] }\n}",
     "t.conf:1: experiment \"a\": cut = hazard needs a hazard (point 1)"},
    {"experiment \"a\" {\n faults { one_way = 1s\n hazard = 1e-4/s }\n}",
     "t.conf:3: 'hazard' does nothing without cut = hazard"},
    {"experiment \"a\" {\n faults { cut = [none, hazard]; hazard = 1\n cut_replies = 1 }\n}",
     "t.conf:3: 'cut_replies' does nothing without cut = after-replies"},
    {"experiment \"a\" {\n faults { cut = hazard+black-hole; hazard = 1\n cut_replies = 1 }\n}",
     "t.conf:3: 'cut_replies' does nothing without cut = after-replies"},
    {"experiment \"a\" {\n faults { cut = slow+hazard }\n}",
     "t.conf:1: experiment \"a\": cut = hazard needs a hazard (point 0)"},
    {"experiment \"a\" {\n faults { cut = none+slow }\n}",
     "t.conf:2: cut: 'none+slow': none goes with nothing else"},
    {"experiment \"a\" {\n faults { cut = slow+slow }\n}",
     "t.conf:2: cut: 'slow+slow' has slow twice"},
    {"experiment \"a\" {\n faults { cut = slow+ }\n}", "t.conf:2: cut: '' is not one of none, "},
    {"experiment \"a\" {\n faults { cut = slow+hazzard }\n}",
     "t.conf:2: cut: 'hazzard' is not known; did you mean 'hazard'?"},
    {"experiment \"a\" {\n faults { hazard = 1/week }\n}",
     "t.conf:2: hazard: '1/week' has a unit that is not known here"},
    {"experiment \"a\" {\n rate = fast\n}",
     "t.conf:2: rate: 'fast' is not a number, nor is it off"},
    {"experiment \"a\" {\n server { remembers_scan = maybe }\n}",
     "t.conf:2: remembers_scan: 'maybe' is neither yes nor no"},
    {"experiment \"a\" {\n seeds = 0\n}", "t.conf:2: 1 to 1000 seeds are allowed"},
    {"experiment \"a\" {\n seeds = [1, 1]\n}", "t.conf:2: a seed is given twice"},
    {"experiment \"a\" {\n time_scale = 2s\n}", "t.conf:2: time_scale: '2s' is outside"},
    {"experiment \"a\" {\n mix { }\n}", "t.conf:2: the mix is empty"},
    {"experiment \"a\" {\n mix { client \"x\" { share = 0.5 } }\n}",
     "t.conf:1: experiment \"a\": the shares of the mix do not make 1 (point 0)"},
    {"experiment \"a\" {\n client \"x\" { limit = [1s, 2s] }\n}",
     "t.conf:2: 'limit' takes no list in one of several clients: the points of the others would "
     "repeat; give it in section client without a name, or make more clients"},
    {"experiment \"a\" {\n projected = [1, 2]\n}",
     "t.conf:2: 'projected' takes no list: it says how results are told, and makes no points"},
    {"experiment \"a\" {\n client { retry = 1h; retry_max = 1min }\n}",
     "t.conf:1: experiment \"a\": retry_max is less than retry (point 0)"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        struct lab_file f;
        struct lab_file_error error = {.line = 0};
        int result = lab_file_parse(slice_str(refusals[i].text), "t.conf", &f, &error);
        if (result != -EINVAL)
            fail_msg("taken, and should not be: %s", refusals[i].text);
        if (strncmp(error.text, refusals[i].reason, strlen(refusals[i].reason)) != 0)
            fail_msg("\"%s\" and not \"%s\"", error.text, refusals[i].reason);
    }
}

/* Not files, or too large ones: an error at once, and no waiting for what never comes. */
static void test_no_files(void **state)
{
    static const struct {
        const char *path, *reason;
    } rows[] = {{"/nonexistent.conf", "No such file or directory"},
                {"/tmp", "is not a plain file"},
                {"/dev/zero", "is not a plain file"}};
    char pipe[] = "/tmp/postern-lab-XXXXXX/f";
    struct lab_file f;
    struct lab_file_error error;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_true(lab_file_read(rows[i].path, &f, &error) < 0);
        assert_non_null(strstr(error.text, rows[i].reason));
        assert_true(strncmp(error.text, rows[i].path, strlen(rows[i].path)) == 0);
    }
    char *slash = strrchr(pipe, '/');
    *slash = '\0';
    assert_non_null(mkdtemp(pipe));
    *slash = '/';
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(lab_file_read(pipe, &f, &error), -EINVAL);
    assert_non_null(strstr(error.text, "is not a plain file"));
    unlink(pipe);
    FILE *big = fopen(pipe, "we");
    assert_non_null(big);
    assert_int_equal(ftruncate(fileno(big), LAB_FILE_BYTES_MAX + 1), 0);
    fclose(big);
    assert_int_equal(lab_file_read(pipe, &f, &error), -EINVAL);
    assert_non_null(strstr(error.text, "is larger than 1 MB"));
    unlink(pipe);
    *slash = '\0';
    rmdir(pipe);
}

static void test_too_many_points(void **state)
{
    (void)state;
    char text[16384];
    int len = snprintf(text, sizeof(text), "experiment \"a\" {\n recipients = [1");
    for (int i = 2; i <= 200; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, ",%d", i);
    len += snprintf(text + len, sizeof(text) - (size_t)len, "]\n messages = [1");
    for (int i = 2; i <= 200; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, ",%d", i);
    snprintf(text + len, sizeof(text) - (size_t)len, "]\n}\n");
    struct lab_file f;
    struct lab_file_error error;
    assert_int_equal(lab_file_parse(slice_str(text), "t.conf", &f, &error), -EINVAL);
    assert_string_equal(error.text, "t.conf:1: experiment \"a\" has more than 20000 points");
}

/* What the table says of itself is true: every default reads, is within its range, and is told. */
static void test_table(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    lab_settings_print(out);
    fclose(out);
    for (size_t i = 0; i < lab_setting_count; i++) {
        const struct lab_setting *s = &lab_settings[i];
        union {
            struct lab_point point;
            struct lab_mix_row row;
        } scratch;
        struct lab_value v;
        memset(&scratch, 0, sizeof(scratch));
        assert_int_equal(lab_setting_read(s, slice_str(s->otherwise), &scratch, &v), 0);
        assert_non_null(strstr(text, s->name));
        assert_true(lab_setting_find(s->section, slice_str(s->name)) == s);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_sweep_order),
        cmocka_unit_test(test_like),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_list_anywhere),
        cmocka_unit_test(test_time_scales),
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_too_many_points),
        cmocka_unit_test(test_no_files),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
