/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_test.c - every form of a report, for runs of every kind: nothing, one message, ten hours,
 * counts at the end of their range, and texts that attack whoever prints them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "load/page.h"
#include "load/report.h"
#include "load/report_field.h"
#include "load/show.h"
#include "samplerun.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/postern-report-XXXXXX";

static const char *in_folder(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned at;
    at = (at + 1) % ARRAY_COUNT(paths);
    snprintf(paths[at], sizeof(paths[at]), "%s/%s", folder, name);
    return paths[at];
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static unsigned clear(const char *path)
{
    unsigned count = 0;
    struct dirent *entry;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char name[PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        assert_true(snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) < PATH_MAX);
        count++;
        if (unlink(name) != 0) {
            clear(name);
            assert_int_equal(rmdir(name), 0);
        }
    }
    closedir(dir);
    return count;
}

static int remove_folder(void **state)
{
    (void)state;
    clear(folder);
    return rmdir(folder);
}

static char *read_whole(const char *path)
{
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    char *text = calloc(1, 16 * MIB);
    assert_non_null(text);
    assert_true(fread(text, 1, 16 * MIB - 1, in) < 16 * MIB - 1);
    fclose(in);
    return text;
}

static void write_whole(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static char *text_of(const struct load_report *r)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    report_text(r, out);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(strlen(text), len); /* no NUL in it */
    return text;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void assert_hists_equal(const struct hist *a, const struct hist *b)
{
    assert_true(a->total == b->total && a->min == b->min && a->max == b->max);
    assert_memory_equal(a->sum, b->sum, sizeof(a->sum));
    assert_memory_equal(a->counts, b->counts, a->count_len * sizeof(a->counts[0]));
}

static void assert_stats_equal(const struct load_stats *a, const struct load_stats *b)
{
    assert_memory_equal(&a->counters, &b->counters, sizeof(a->counters));
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++) {
        assert_hists_equal(&a->planned[p], &b->planned[p]);
        assert_hists_equal(&a->actual[p], &b->actual[p]);
    }
    for (uint32_t k = 0; k < LOAD_REPLY_K_MAX; k++)
        assert_hists_equal(&a->reply_k[k], &b->reply_k[k]);
    assert_hists_equal(&a->start_lag, &b->start_lag);
    assert_hists_equal(&a->sizes, &b->sizes);
    assert_int_equal(a->outcome_count, b->outcome_count);
    for (uint32_t i = 0; i < a->outcome_count; i++) {
        assert_memory_equal(a->outcomes[i].enhanced, b->outcomes[i].enhanced, 6);
        assert_int_equal(a->outcomes[i].code, b->outcomes[i].code);
        assert_int_equal(a->outcomes[i].phase, b->outcomes[i].phase);
        assert_int_equal(a->outcomes[i].count, b->outcomes[i].count);
    }
    assert_int_equal(a->second_count, b->second_count);
    assert_memory_equal(a->seconds, b->seconds, a->second_count * sizeof(a->seconds[0]));
    if (a->measure_at > 0)
        assert_true(a->measure_at - a->began_at == b->measure_at - b->began_at);
}

static void json_reads_back_exactly(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < SAMPLE_KIND_COUNT; kind++) {
        struct load_report *r = sample_report(kind), *back = NULL;
        char why[200] = "";
        assert_int_equal(report_json(r, in_folder("a.json")), 0);
        assert_int_equal(report_json_read(in_folder("a.json"), &back, why, sizeof(why)), 0);
        assert_string_equal(why, "");
        assert_stats_equal(r->stats, back->stats);
        for (size_t i = 0; i < report_text_count && kind != SAMPLE_HOSTILE; i++)
            assert_string_equal(report_field_in(r, &report_texts[i]),
                                report_field_in(back, &report_texts[i]));
        for (size_t i = 0; i < report_double_count; i++)
            assert_memory_equal(report_field_in(r, &report_doubles[i]),
                                report_field_in(back, &report_doubles[i]), sizeof(double));
        assert_true(r->run == back->run && r->cpu_count == back->cpu_count);
        assert_true(r->is_open_loop == back->is_open_loop && r->is_result == back->is_result &&
                    r->is_interrupted == back->is_interrupted);
        assert_int_equal(r->option_count, back->option_count);
        for (uint32_t i = 0; i < r->option_count; i++)
            assert_string_equal(r->options[i].name, back->options[i].name);
        assert_string_equal(r->options[0].value, back->options[0].value);
        /* What is no UTF-8 became text the first time, and stays that. */
        assert_int_equal(report_json(back, in_folder("b.json")), 0);
        char *first = read_whole(in_folder("a.json")), *second = read_whole(in_folder("b.json"));
        if (kind != SAMPLE_HOSTILE)
            assert_string_equal(first, second);
        free(first);
        free(second);
        report_free(back);
        report_free(r);
    }
}

static void json_escapes_what_servers_say(void **state)
{
    (void)state;
    struct load_report *r = sample_report(SAMPLE_EMPTY), *back = NULL;
    char why[200];
    static const char said[] =
        "220 \"x\" \\ / \b\f\n\r\t\x01\x1F\x7F </script> \xC3\xA9 \xE2\x80\xA8 \xF0\x9F\x93\xA7";
    snprintf(r->server_text, sizeof(r->server_text), "%s", said);
    snprintf(r->host, sizeof(r->host),
             "a\xFF"
             "b\xC0\x80");
    assert_int_equal(report_json(r, in_folder("a.json")), 0);
    char *text = read_whole(in_folder("a.json"));
    assert_non_null(
        strstr(text, "220 \\\"x\\\" \\\\ / \\u0008\\u000c\\u000a\\u000d\\u0009\\u0001"));
    for (const char *at = text; *at != '\0'; at++)
        assert_true(((uint8_t)*at >= 0x20 && (uint8_t)*at < 0x7F) || *at == '\n');
    assert_int_equal(report_json_read(in_folder("a.json"), &back, why, sizeof(why)), 0);
    assert_string_equal(back->server_text, said);
    assert_string_equal(back->host, "a\\xFFb\\xC0\\x80");
    report_free(back);
    report_free(r);
    free(text);
}

/* @from becomes @to in the file of an ordinary run; it must be refused, with @why in the reason. */
static void assert_refused(const char *from, const char *to, const char *reason)
{
    struct load_report *r = sample_report(SAMPLE_ONE), *back = NULL;
    char why[200] = "";
    assert_int_equal(report_json(r, in_folder("a.json")), 0);
    char *text = read_whole(in_folder("a.json"));
    char *at = strstr(text, from);
    assert_non_null(at);
    char *changed = malloc(strlen(text) + strlen(to) + 1);
    assert_non_null(changed);
    memcpy(changed, text, (size_t)(at - text));
    snprintf(changed + (at - text), strlen(text) + strlen(to) + 1 - (size_t)(at - text), "%s%s", to,
             at + strlen(from));
    write_whole(in_folder("bad.json"), changed);
    assert_int_equal(report_json_read(in_folder("bad.json"), &back, why, sizeof(why)), -EINVAL);
    if (strstr(why, reason) == NULL)
        fail_msg("%s instead of %s: \"%s\" lacks \"%s\"", to, from, why, reason);
    assert_null(back);
    free(changed);
    free(text);
    report_free(r);
}

static void json_that_is_no_report_is_refused(void **state)
{
    (void)state;
    assert_refused("\"postern-load report\"", "\"another\"", "not a report of postern-load");
    assert_refused("\"format_version\": 1", "\"format_version\": 2", "another version");
    assert_refused("\"version\":", "\"Version\":", "\"version\" is missing");
    assert_refused("\"run\": \"0", "\"run\": \"x", "not hexadecimal");
    assert_refused("\"run\": \"0123", "\"run\": \"", "not hexadecimal");
    assert_refused("\"host\": \"", "\"host\": 7, \"x\": \"", "\"host\" is no string");
    assert_refused("\"seconds\": 1", "\"seconds\": 1e999", "\"seconds\" is out of range");
    assert_refused("\"is_result\": true", "\"is_result\": 1", "\"is_result\" is no boolean");
    assert_refused("\"cpu_count\": 8", "\"cpu_count\": -8", "out of range");
    assert_refused("\"cpu_count\": 8", "\"cpu_count\": 4294967296", "out of range");
    assert_refused("\"options\": [", "\"options\": [1,", "an option is no object");
    assert_refused("\"planned\": 1", "\"planned\": 1.5", "\"planned\" is no int");
    assert_refused("\"accepted\": 2", "\"accepted\": \"2\"", "\"accepted\" is no int");
    assert_refused("\"phase\": \"done\"", "\"phase\": \"never\"", "has no phase");
    assert_refused("\"enhanced\": [2, 0, 0]", "\"enhanced\": [2, 0]", "not three numbers");
    assert_refused("\"enhanced\": [2, 0, 0]", "\"enhanced\": [2, 0, 65536]", "out of range");
    assert_refused("\"columns\": [\"started\"", "\"columns\": [\"x\"", "no column \"started\"");
    assert_refused("\"rows\": [", "\"rows\": [[1],", "too short");
    assert_refused("\"rows\": [", "\"rows\": [null,", "too short");
    assert_refused("\"sub_bits\": 10", "\"sub_bits\": 9", "another precision");
    assert_refused(", 1]]", ", 2]]", "do not add up");
    assert_refused(", 1]]", ", 1], [7, 18446744073709551615]]", "more values than");
    assert_refused(", 1]]", ", 1], [7]]", "not two numbers");
    assert_refused("\"min\": ", "\"min\": 99", "above the greatest");
    assert_refused("\"latency_ns\": {", "\"latency_ns\": [{}], \"y\": {",
                   "\"latency_ns\" is no object");
    assert_refused("\"dot_to_reply_k_ns\": [", "\"dot_to_reply_k_ns\": [], \"y\": [",
                   "a histogram is missing");
    assert_refused("\n}\n", "\n", "ends too early");
    assert_refused("\n}\n", "\n}}\n", "not JSON");
    assert_refused("{", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{", "not JSON");
    assert_refused("{", "[{}]", "not JSON");
}

/* Wherever it ends too early. */
static void json_that_was_cut_is_refused(void **state)
{
    (void)state;
    struct load_report *r = sample_report(SAMPLE_ONE), *back = NULL;
    assert_int_equal(report_json(r, in_folder("a.json")), 0);
    char *text = read_whole(in_folder("a.json"));
    size_t len = strlen(text);
    for (size_t cut = 2; cut < len; cut += 2 + cut % 61) {
        char why[200] = "";
        char kept = text[len - cut];
        text[len - cut] = '\0';
        write_whole(in_folder("bad.json"), text);
        text[len - cut] = kept;
        assert_int_equal(report_json_read(in_folder("bad.json"), &back, why, sizeof(why)), -EINVAL);
        assert_true(strlen(why) > 0);
    }
    assert_null(back);
    free(text);
    report_free(r);
}

static void files_that_are_none(void **state)
{
    (void)state;
    struct load_report *back = NULL;
    char why[200] = "";
    assert_int_equal(report_json_read(in_folder("absent"), &back, why, sizeof(why)), -ENOENT);
    assert_true(strlen(why) > 0);
    assert_int_equal(report_json_read(folder, &back, why, sizeof(why)), -EISDIR);
    static const char *const texts[] = {"",    " ", "7", "null", "[]", "{}", "{\"format\": 1}",
                                        "\xFF"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        write_whole(in_folder("bad.json"), texts[i]);
        why[0] = '\0';
        assert_int_equal(report_json_read(in_folder("bad.json"), &back, why, sizeof(why)), -EINVAL);
        assert_true(strlen(why) > 0);
    }
    assert_null(back);
}

/* The next line of *rest, which is cut off it; NULL: no more. */
static char *next_line(char **rest)
{
    char *line = *rest, *end = strchr(line, '\n');
    if (end == NULL)
        return NULL;
    *end = '\0';
    *rest = end + 1;
    return line;
}

/* --- text ------------------------------------------------------------------------------------- */

static void text_says_it_all(void **state)
{
    (void)state;
    struct load_report *r = sample_report(SAMPLE_OPEN);
    r->is_result = false;
    snprintf(r->why_not, sizeof(r->why_not), "the generator fell behind its plan");
    r->stats->counters.protocol_errors = 17;
    r->stats->counters.resets = 18;
    char *text = text_of(r);
    static const char *const words[] = {
        "postern-load 0.1.0",
        "Linux 6.1.0-example",
        "8 x Example Processor 9000",
        "durability disk",
        "--rate 2000",
        "220 mx.example ESMTP Postern\n",
        "250 PRDR\n",
        "2 000/s planned",
        "60.000 s measured",
        "5.000 s of warm-up",
        "p99.99",
        "transaction        planned      120 000",
        "dot_to_reply_2",
        "accepted",
        "250 2.0.0",
        "451 4.3.0",
        "550 5.1.1",
        "Dialect      transactions       blocks     accepted     deferred      refused      "
        "unknown",
        "  prdr            120 000",
        "timeouts by phase",
        "protocol errors        17\n",
        "18 reset",
        "own lag",
        "2 000 planned starts waited",
        "processor time",
    };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strstr(text, words[i]) == NULL)
            fail_msg("\"%s\" is missing", words[i]);
    /* At the beginning and at the end. */
    static const char verdict[] = "NOT A RESULT: the generator fell behind its plan\n";
    char *first = strstr(text, verdict);
    assert_non_null(first);
    assert_string_equal(text + strlen(text) - strlen(verdict), verdict);
    assert_true(first < text + strlen(text) / 2);
    for (char *rest = text, *line; (line = next_line(&rest)) != NULL;)
        assert_true(strlen(line) <= 100);
    free(text);
    report_free(r);
}

static void text_of_a_good_run_has_no_verdict(void **state)
{
    (void)state;
    static const enum sample_kind kinds[] = {SAMPLE_EMPTY, SAMPLE_ONE, SAMPLE_CLOSED, SAMPLE_LONG};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct load_report *r = sample_report(kinds[i]);
        char *text = text_of(r);
        assert_null(strstr(text, "NOT A RESULT"));
        assert_null(strstr(text, "nan"));
        assert_null(strstr(text, "inf"));
        if (kinds[i] == SAMPLE_CLOSED) {
            assert_null(strstr(text, "own lag"));
            assert_non_null(strstr(text, "Closed loop: "));
        }
        free(text);
        report_free(r);
    }
}

static void text_is_harmless(void **state)
{
    (void)state;
    struct load_report *r = sample_report(SAMPLE_HOSTILE);
    char *text = text_of(r);
    for (const uint8_t *at = (const uint8_t *)text; *at != '\0';) {
        unsigned len = show_utf8_len(at, strlen((const char *)at));
        assert_true(len > 0); /* all of it is UTF-8 */
        assert_true((at[0] >= 0x20 && at[0] != 0x7F) || at[0] == '\n');
        at += len;
    }
    assert_non_null(strstr(text, "\\x1B[2J"));
    assert_non_null(strstr(text, "\\xE2\\x80\\xAE")); /* right-to-left override */
    assert_non_null(strstr(text, "\xC3\xA9"));
    free(text);
    report_free(r);
}

static void utf8_is_told_from_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *octets;
        unsigned len;
    } cases[] = {
        {"A", 1},
        {"\x7F", 1},
        {"\xC2\x80", 2},
        {"\xDF\xBF", 2},
        {"\xE0\xA0\x80", 3},
        {"\xED\x9F\xBF", 3},
        {"\xEE\x80\x80", 3},
        {"\xF0\x90\x80\x80", 4},
        {"\xF4\x8F\xBF\xBF", 4},
        {"\x80", 0},
        {"\xC0\x80", 0},
        {"\xC1\xBF", 0},
        {"\xC2", 0},
        {"\xC2"
         "A",
         0},
        {"\xE0\x9F\xBF", 0},
        {"\xED\xA0\x80", 0},
        {"\xE1\x80", 0},
        {"\xF0\x8F\xBF\xBF", 0},
        {"\xF4\x90\x80\x80", 0},
        {"\xF5\x80\x80\x80", 0},
        {"\xFF", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_int_equal(show_utf8_len((const uint8_t *)cases[i].octets, strlen(cases[i].octets)),
                         cases[i].len);
}

/* --- HTML ------------------------------------------------------------------------------------- */

/* What a page may contain, by its own policy and by ours. */
static void assert_page_is_closed(const char *text)
{
    static const char *const never[] = {
        "<script", "<img",   "<link", "<iframe",  "<object", "<embed", "<base", "<form",
        " src=",   " href=", "url(",  " onerror", "<a ",     "nan,",   "NaN"};
    for (size_t i = 0; i < ARRAY_COUNT(never); i++) {
        const char *at = strcasestr(text, never[i]);
        /* in an attack it stands as text */
        while (at != NULL && never[i][0] != '<' && memchr(at - 60, '#', 120) != NULL)
            at = strcasestr(at + 1, never[i]);
        if (at != NULL)
            fail_msg("%s: %.60s", never[i], at);
    }
    assert_non_null(strstr(text, "default-src 'none'"));
    static const char end[] = "</main>\n</body>\n</html>\n";
    assert_string_equal(text + strlen(text) - strlen(end), end);
}

/* Each element that is opened is closed, in order: what browsers repair silently. */
static void assert_page_is_balanced(const char *text)
{
    static const char *const empty[] = {"meta", "br", "!DOCTYPE"};
    char stack[64][16];
    size_t depth = 0;
    for (const char *at = text; (at = strchr(at, '<')) != NULL;) {
        bool is_end = at[1] == '/';
        size_t len = strcspn(at + 1 + is_end, " >/\n");
        const char *close = strchr(at, '>');
        char name[16];
        assert_non_null(close);
        assert_true(len > 0 && len < sizeof(name));
        snprintf(name, sizeof(name), "%.*s", (int)len, at + 1 + is_end);
        bool is_empty = close[-1] == '/';
        for (size_t i = 0; i < ARRAY_COUNT(empty); i++)
            is_empty |= strcmp(name, empty[i]) == 0;
        if (is_end) {
            assert_true(depth > 0);
            assert_string_equal(name, stack[--depth]);
        } else if (!is_empty) {
            assert_true(depth < ARRAY_COUNT(stack));
            memcpy(stack[depth++], name, sizeof(name));
        }
        at = close;
    }
    assert_int_equal(depth, 0);
}

static void pages_are_whole_and_closed(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < SAMPLE_KIND_COUNT; kind++) {
        struct load_report *r = sample_report(kind);
        assert_int_equal(report_html(r, in_folder("a.html")), 0);
        char *text = read_whole(in_folder("a.html"));
        assert_page_is_closed(text);
        assert_page_is_balanced(text);
        assert_non_null(strstr(text, "role=\"img\""));
        assert_true((strstr(text, "NOT A RESULT") != NULL) == !r->is_result);
        assert_true(strlen(text) < 400 * KIB); /* however long the run was */
        free(text);
        report_free(r);
    }
}

static void pages_escape(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    page_text(out, "<a href=\"x\" t='y'>&amp;\r\n\x1B\xFF\xE2\x80\xAE\xC3\xA9");
    fputc('|', out);
    page_lines(out, "a\r\nb\rc\n");
    fclose(out);
    assert_string_equal(text,
                        "&#60;a href=&#34;x&#34; t=&#39;y&#39;&#62;&#38;amp;\\x0D\\x0A\\x1B\\xFF"
                        "\\xE2\\x80\\xAE\xC3\xA9|a\nb\\x0Dc\n");
    free(text);
}

/* --- CSV and percentile files ----------------------------------------------------------------- */

static void csv_has_a_line_a_second(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < SAMPLE_KIND_COUNT; kind++) {
        struct load_report *r = sample_report(kind);
        assert_int_equal(report_csv(r, in_folder("a.csv")), 0);
        char *text = read_whole(in_folder("a.csv")), *rest = text;
        char *line = next_line(&rest);
        assert_non_null(strstr(line, "second,measured,started,"));
        uint32_t rows = 0;
        while ((line = next_line(&rest)) != NULL) {
            unsigned commas = 0;
            assert_int_equal(strspn(line, "0123456789,"), strlen(line));
            for (const char *at = line; *at != '\0'; at++)
                commas += *at == ',';
            assert_int_equal(commas, 12);
            assert_true(strtoul(line, NULL, 10) == rows);
            bool is_measured = strchr(line, ',')[1] == '1';
            assert_true(is_measured == (rows >= (uint32_t)r->warmup_seconds));
            rows++;
        }
        assert_int_equal(rows, r->stats->second_count);
        free(text);
        report_free(r);
    }
}

static void percentile_files_of_each_phase(void **state)
{
    (void)state;
    struct load_report *r = sample_report(SAMPLE_OPEN);
    assert_int_equal(report_hgrm(r, in_folder("hgrm")), 0);
    char *text = read_whole(in_folder("hgrm/transaction.planned.hgrm"));
    assert_non_null(strstr(text, "Value     Percentile TotalCount 1/(1-Percentile)"));
    assert_non_null(strstr(text, "#[Mean    ="));
    assert_non_null(strstr(text, "120000\n"));
    free(text);
    assert_int_equal(access(in_folder("hgrm/mail.actual.hgrm"), R_OK), 0);
    assert_int_equal(access(in_folder("hgrm/dot_to_reply_2.actual.hgrm"), R_OK), 0);
    assert_int_equal(access(in_folder("hgrm/tls.planned.hgrm"), R_OK), -1); /* there was none */
    assert_int_equal(report_hgrm(r, in_folder("hgrm")), 0);                 /* once more */
    write_whole(in_folder("file"), "");
    assert_int_equal(report_hgrm(r, in_folder("file")), -ENOTDIR);
    report_free(r);
    r = sample_report(SAMPLE_EMPTY);
    assert_int_equal(report_hgrm(r, in_folder("none")), 0);
    assert_int_equal(clear(in_folder("none")), 0);
    report_free(r);
    r = sample_report(SAMPLE_HUGE);
    assert_int_equal(report_hgrm(r, in_folder("none")), 0);
    report_free(r);
}

/* --- files ------------------------------------------------------------------------------------ */

static void a_file_is_there_whole_or_not_at_all(void **state)
{
    (void)state;
    struct load_report *r = sample_report(SAMPLE_ONE);
    struct stat st;
    clear(folder);
    assert_int_equal(report_json(r, in_folder("no/such/folder.json")), -ENOENT);
    assert_int_equal(report_html(r, folder), -EISDIR);
    assert_int_equal(report_csv(r, "/dev/full"), -ENOSPC);
    assert_int_equal(report_json(r, "/dev/null"), 0);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    assert_int_equal(clear(folder), 0); /* nothing is left beside */

    write_whole(in_folder("old"), "old");
    assert_int_equal(symlink("old", in_folder("link")), 0);
    assert_int_equal(report_csv(r, in_folder("link")), 0);
    assert_int_equal(lstat(in_folder("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    char *text = read_whole(in_folder("old"));
    assert_non_null(strstr(text, "second,measured"));
    free(text);
    assert_int_equal(clear(folder), 2);
    report_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_reads_back_exactly),
        cmocka_unit_test(json_escapes_what_servers_say),
        cmocka_unit_test(json_that_is_no_report_is_refused),
        cmocka_unit_test(json_that_was_cut_is_refused),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(text_says_it_all),
        cmocka_unit_test(text_of_a_good_run_has_no_verdict),
        cmocka_unit_test(text_is_harmless),
        cmocka_unit_test(utf8_is_told_from_the_rest),
        cmocka_unit_test(pages_are_whole_and_closed),
        cmocka_unit_test(pages_escape),
        cmocka_unit_test(csv_has_a_line_a_second),
        cmocka_unit_test(percentile_files_of_each_phase),
        cmocka_unit_test(a_file_is_there_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
