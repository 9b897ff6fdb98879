/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules_test.c - the rules file, what is wrong with a bad one, and matching at any split.
 */
#include "../../support/testscan.h"
#include "base/assert.h"
#include "scan/rules.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct rules *compile(const char *text)
{
    struct rules_error error;
    struct rules *r = NULL;
    int err = rules_compile(slice_str(text), &r, &error);

    if (err != 0)
        print_message("line %u: %s\n", error.line, error.reason);
    assert_int_equal(err, 0);
    return r;
}

static struct rules_worker *worker_of(struct rules *r)
{
    struct rules_worker *w = NULL;
    assert_int_equal(rules_worker_new(r, &w), 0);
    return w;
}

/* hits_of() - scan @message as BDAT content, cut at @cut and then every @step bytes. */
static struct rules_hits hits_of(struct rules_worker *w, struct slice message, size_t cut,
                                 size_t step)
{
    struct rules_stream *st = rules_stream_take(w);
    assert_non_null(st);
    struct scan_options options = {.mode = SCAN_MODE_CHUNK, .rules = st};
    struct scan_result result;
    struct rules_hits hits;
    struct slices parts;
    struct scan s;
    bool is_end;
    size_t edge = cut;

    scan_begin(&s, &options);
    for (size_t at = 0; at < message.len;) {
        while (edge <= at)
            edge += step;
        at += scan_feed(&s, slice_first(slice_from(message, at), edge - at), &parts, &is_end);
    }
    scan_finish(&s, &parts, &result);
    rules_stream_hits(st, &hits);
    rules_stream_give(w, st);
    return hits;
}

/* names_of() - the names of the rules that matched, sorted by index, with a space behind each. */
static const char *names_of(const struct rules_hits *hits)
{
    static char names[512];
    size_t len = 0;

    for (uint32_t idx = 0; idx < rules_count(hits->rules); idx++) {
        for (uint32_t i = 0; i < hits->count && i < RULES_HITS_MAX; i++) {
            if (hits->rule_idx[i] != idx)
                continue;
            struct slice name = rules_name(hits->rules, idx);
            memcpy(names + len, name.ptr, name.len);
            len += name.len;
            names[len++] = ' ';
        }
    }
    names[len] = '\0';
    return names;
}

/* ---- the text ---- */

static void format(void **state)
{
    static const char text[] = "# comment\n"
                               "\n"
                               "  \t \r\n"
                               "A any 1 \"a\"\r\n"
                               "\tB-b.9_\theader\t-0.5\t/b/i\t# comment\n"
                               "C body +10000 \"#\" #\n"
                               "D any .25 \"a b\\\"\\\\\\t\\r\\n\\x00\\xFf/\"ism\n"
                               "E any 0 /a\\/b \" #/\n"
                               "F any -10000.00 \"f\"";
    static const int32_t scores[] = {100, -50, 1000000, 25, 0, -1000000};
    struct rules *r = compile(text);

    (void)state;
    assert_int_equal(rules_count(r), ARRAY_COUNT(scores));
    for (uint32_t i = 0; i < ARRAY_COUNT(scores); i++)
        assert_int_equal(rules_score(r, i), scores[i]);
    assert_true(slice_eq(rules_name(r, 0), SLICE_LIT("A")));
    assert_true(slice_eq(rules_name(r, 1), SLICE_LIT("B-b.9_")));
    rules_unref(r);
}

/* An empty file is a set without rules, and matches nothing. */
static void no_rules(void **state)
{
    static const char *const texts[] = {"", "\n", "# only a comment"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct rules *r = compile(texts[i]);
        struct rules_worker *w = worker_of(r);
        assert_int_equal(rules_count(r), 0);
        struct rules_hits hits = hits_of(w, SLICE_LIT("A: b\r\n\r\nbody\r\n"), 5, 100);
        assert_int_equal(hits.count, 0);
        assert_int_equal(hits.score, 0);
        rules_worker_free(w);
        rules_unref(r);
    }
}

static const struct {
    const char *text;
    uint32_t line;
    const char *reason; /* part of it */
} mistakes[] = {
    {"A", 1, "second field"},
    {"\n\nA", 3, "second field"},
    {"A+ any 1 \"a\"", 1, "name may only have"},
    {"\x80 any 1 \"a\"", 1, "name may only have"},
    {"A23456789-123456789-123456789-123456789-123456789-123456789-12345 any 1 \"a\"", 1,
     "name longer than 64"},
    {"A any 1 \"a\"\nB any 1 \"a\"\nA any 1 \"b\"", 3, "taken by line 1"},
    {"A Any 1 \"a\"", 1, "second field"},
    {"A headers 1 \"a\"", 1, "second field"},
    {"A any", 1, "score must be"},
    {"A any \"a\"", 1, "score must be"},
    {"A any - \"a\"", 1, "score must be"},
    {"A any . \"a\"", 1, "score must be"},
    {"A any 1.234 \"a\"", 1, "score must be"},
    {"A any 1e3 \"a\"", 1, "score must be"},
    {"A any 1.2.3 \"a\"", 1, "score must be"},
    {"A any 10000.01 \"a\"", 1, "score must be"},
    {"A any -10001 \"a\"", 1, "score must be"},
    {"A any 99999999999999999999 \"a\"", 1, "score must be"},
    {"A any 1", 1, "pattern must be"},
    {"A any 1 # comment", 1, "pattern must be"},
    {"A any 1 a", 1, "pattern must be"},
    {"A any 1 \"a", 1, "no closing quote"},
    {"A any 1 \"a\\\"", 1, "no closing quote"},
    {"A any 1 \"\\", 1, "unknown escape"},
    {"A any 1 \"\\q\"", 1, "unknown escape"},
    {"A any 1 \"\\x4\"", 1, "unknown escape"},
    {"A any 1 \"\\xg0\"", 1, "unknown escape"},
    {"A any 1 \"\"", 1, "literal is empty"},
    {"A any 1 /a", 1, "no closing slash"},
    {"A any 1 /a\\/", 1, "no closing slash"},
    {"A any 1 //", 1, "expression is empty"},
    {"A any 1 \"a\"x", 1, "flags are"},
    {"A any 1 \"a\" i", 1, "behind the pattern"},
    {"A any 1 \"a\" \"b\"", 1, "behind the pattern"},
    {"# one\nA body 1 \"a\"\nB body 1 /(/\nC body 1 \"c\"", 3, ""},
    {"A header 1 /a(?=b)/", 1, ""},
    {"A header 1 /(a)\\1/", 1, ""},
    {"A body 1 \"a\"\nB body 1 /a*/", 2, ""},
    {"A body 1 \"a\"\nB any 1 /[z-a]/", 2, ""},
};

/* A bad rule is refused with its line and a reason that names what is wrong. */
static void errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(mistakes); i++) {
        struct rules_error error = {.line = 9999};
        struct rules *r = (struct rules *)&error;
        int err = rules_compile(slice_str(mistakes[i].text), &r, &error);
        if (err != -EINVAL || error.line != mistakes[i].line ||
            strstr(error.reason, mistakes[i].reason) == NULL)
            print_message("%s: %d, line %u: %s\n", mistakes[i].text, err, error.line, error.reason);
        assert_int_equal(err, -EINVAL);
        assert_int_equal(error.line, mistakes[i].line);
        assert_non_null(strstr(error.reason, mistakes[i].reason));
        assert_true(error.reason[0] != '\0');
        assert_ptr_equal(r, &error); /* untouched on failure */
    }
}

static void nul_in_expression(void **state)
{
    struct rules_error error;
    struct rules *r;

    (void)state;
    assert_int_equal(rules_compile(SLICE_LIT("A any 1 /a\0b/"), &r, &error), -EINVAL);
    assert_int_equal(error.line, 1);
    assert_non_null(strstr(error.reason, "\\x00"));
}

static void too_many(void **state)
{
    size_t cap = (RULE_COUNT_MAX + 1) * 32;
    char *text = malloc(cap);
    struct rules_error error;
    struct rules *r;
    size_t len = 0;

    (void)state;
    ASSERT(text != NULL);
    for (unsigned i = 0; i <= RULE_COUNT_MAX; i++)
        len += (size_t)snprintf(text + len, cap - len, "R%u body 1 \"rule%u\"\n", i, i);
    assert_int_equal(rules_compile(slice_of(text, len), &r, &error), -EINVAL);
    assert_int_equal(error.line, RULE_COUNT_MAX + 1);
    assert_non_null(strstr(error.reason, "more than 4096 rules"));
    free(text);
}

/* ---- matching ---- */

static const char match_rules[] = "HEAD    header 1     \"needle\"\n"
                                  "BODY    body   2     \"needle\"\n"
                                  "ANY     any    4     \"needle\"\n"
                                  "CASE    any    8     \"NEEDLE\"i\n"
                                  "FIELD   header 16    /^X-Field:\\s+value\\r?$/m\n"
                                  "START   body   32    /^first/\n"
                                  "LAST    body   64    /last\\r\\n$/\n"
                                  "HEADEND header 128   /\\r\\n\\r\\n$/\n"
                                  "DOTALL  body   256   /one.{2}two/s\n"
                                  "NODOT   body   512   /one.{2}two/\n"
                                  "BYTES   any    1024  \"\\x00\\xff\\\"\\\\\"\n"
                                  "MINUS   any    -0.25 \"minus\"\n";

static const struct {
    struct slice message;
    const char *names;
    int32_t score;
} matches[] = {
    {SLICE_INIT("A: needle\r\n\r\nnone\r\n"), "HEAD ANY CASE HEADEND ", 14100},
    {SLICE_INIT("A: b\r\n\r\na needle, and another needle\r\n"), "BODY ANY CASE HEADEND ", 14200},
    {SLICE_INIT("A: needle\r\n\r\nneedle\r\n"), "HEAD BODY ANY CASE HEADEND ", 14300},
    {SLICE_INIT("A: NeedLE\r\n\r\n"), "CASE HEADEND ", 13600},
    {SLICE_INIT("A: nee\r\n\r\ndle\r\n"), "HEADEND ", 12800}, /* the parts stand apart */
    {SLICE_INIT("A: b\r\nX-Field: \tvalue\r\n\r\n"), "FIELD HEADEND ", 14400},
    {SLICE_INIT("A: b\r\n\r\nX-Field: value\r\n"), "HEADEND ", 12800},
    {SLICE_INIT("A: b\r\n\r\nfirst\r\nlast\r\n"), "START LAST HEADEND ", 22400},
    {SLICE_INIT("A: b\r\n\r\n first\r\nlast\r\n.\r\n"), "HEADEND ", 12800},
    {SLICE_INIT("first\r\nlast\r\n"), "", 0}, /* all header, without an end */
    {SLICE_INIT("\r\none\r\ntwo\r\n"), "DOTALL ", 25600},
    {SLICE_INIT("\r\none, two\r\n"), "DOTALL NODOT ", 76800},
    {SLICE_INIT("\r\n\0\xff\"\\\r\n"), "BYTES ", 102400},
    {SLICE_INIT("minus\r\n\r\nminus minus\r\n"), "HEADEND MINUS ", 12775},
    {SLICE_INIT(""), "", 0},
};

static void matching(void **state)
{
    struct rules *r = compile(match_rules);
    struct rules_worker *w = worker_of(r);

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(matches); i++) {
        size_t len = matches[i].message.len;
        for (size_t cut = 0; cut <= len + 1; cut++) { /* the last time, single bytes */
            struct rules_hits hits =
                hits_of(w, matches[i].message, cut <= len ? cut : 0, cut <= len ? len + 1 : 1);
            if (strcmp(names_of(&hits), matches[i].names) != 0)
                print_message("%s, cut at %zu: %s\n", (const char *)matches[i].message.ptr, cut,
                              names_of(&hits));
            assert_string_equal(names_of(&hits), matches[i].names);
            assert_int_equal(hits.score, matches[i].score);
        }
    }
    rules_worker_free(w);
    rules_unref(r);
}

/*
 * Some builds of the library's matcher lose matches near the end of a call, or across two calls
 * (see rules.c). Every needle, at every place of texts of many lengths, cut inside and beside it.
 */
static void nothing_is_lost(void **state)
{
    static const struct {
        const char *rules;
        const char *needle;
    } table[] = {
        {"A body 1 \"a\"", "a"},
        {"A body 1 \"ab\"i", "aB"},
        {"A body 1 \"a\"\nB header 1 /^a$/m", "a"},
        {"A body 1 /abc.def/", "abc-def"},
        {"A body 1 /[0-9]{4}x/", "1234x"},
        {"A body 1 /free\\s+money/\nB body 1 \"viagra\"\nC body 1 /\\$[0-9]+/", "$123"},
        {"A body 1 /free\\s+money/\nB body 1 \"viagra\"\nC body 1 /\\$[0-9]+/", "free  money"},
        {"A body 1 /c[^\\n]*b/", "cb"},
        {"A body 1 /[^a]b/", "ab-b"},
    };
    static const char fillers[] = "\xffq1.";
    uint8_t text[200];
    struct rules_hits hits;

    (void)state;
    for (size_t n = 0; n < ARRAY_COUNT(table); n++) {
        struct rules *r = compile(table[n].rules);
        struct rules_worker *w = worker_of(r);
        struct slice needle = slice_str(table[n].needle);
        for (size_t len = 16; len <= sizeof(text); len += 1 + len % 3) {
            size_t at = (len * 7) % (len - needle.len); /* anywhere, mostly; and at the end */
            at = len % 4 ? len - needle.len - at % 70 % (len - needle.len) : at;
            memset(text, fillers[len % 5 % 4], len);
            memcpy(text + at, needle.ptr, needle.len);
            for (size_t cut = 0; cut <= needle.len + 1; cut++) {
                size_t first = size_min(cut == needle.len + 1 ? 0 : at + cut, len);
                struct rules_stream *st = rules_stream_take(w);
                rules_stream_feed(st, RULES_PART_BODY, slice_of(text, first));
                rules_stream_feed(st, RULES_PART_BODY, slice_of(text + first, len - first));
                rules_stream_end(st);
                rules_stream_hits(st, &hits);
                if (hits.count != 1)
                    print_message("%s: lost at %zu of %zu, cut at %zu\n", table[n].rules, at, len,
                                  first);
                assert_int_equal(hits.count, 1);
                rules_stream_give(w, st);
            }
        }
        rules_worker_free(w);
        rules_unref(r);
    }
}

/* The dots that DATA stuffs are not seen by the rules, and the end of data is not either. */
static void unstuffed(void **state)
{
    struct rules *r = compile("A body 1 /\\r\\n\\.needle\\r\\n$/\nB body 1 \"..\"");
    struct rules_worker *w = worker_of(r);
    struct rules_stream *st = rules_stream_take(w);
    struct scan_options options = {.mode = SCAN_MODE_DATA, .rules = st};
    struct scan_result result;
    struct rules_hits hits;
    struct slices parts;
    struct scan s;
    bool is_end;

    (void)state;
    scan_begin(&s, &options);
    size_t used = scan_feed(&s, SLICE_LIT("\r\nx\r\n..needle\r\n.\r\n"), &parts, &is_end);
    assert_int_equal(used, 18);
    assert_true(is_end);
    scan_finish(&s, &parts, &result);
    rules_stream_hits(st, &hits);
    assert_string_equal(names_of(&hits), "A ");
    rules_stream_give(w, st);
    rules_worker_free(w);
    rules_unref(r);
}

/* GTUBE and EICAR, in the header and in the body, and nothing like them. Put together here, lest
 * this file be taken for one. */
static void default_rules(void **state)
{
    static const char gtube[] = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-"
                                "ANTI-UBE-TEST-EMAIL*C.34X";
    static const char eicar[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-"
                                "ANTIVIRUS-TEST-FILE!$H+H*";
    const char *const strings[] = {gtube, eicar};
    static const char *const names[] = {"GTUBE ", "EICAR "};
    struct rules *r = compile(rules_default_text);
    struct rules_worker *w = worker_of(r);
    char text[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(strings); i++) {
        for (int in_body = 0; in_body < 2; in_body++) {
            size_t len = (size_t)snprintf(
                text, sizeof(text), in_body ? "A: b\r\n\r\n%s\r\n" : "Subject: %s\r\n\r\nb\r\n",
                strings[i]);
            for (size_t cut = 0; cut <= len; cut++) {
                struct rules_hits hits = hits_of(w, slice_of(text, len), cut, 1000);
                assert_string_equal(names_of(&hits), names[i]);
                assert_int_equal(hits.score, 100000);
            }
            char *last = text + len - 10; /* inside the string */
            *last = (char)(*last == '#' ? '!' : '#');
            struct rules_hits hits = hits_of(w, slice_of(text, len), 0, 1000);
            assert_int_equal(hits.count, 0);
        }
    }
    rules_worker_free(w);
    rules_unref(r);
}

/* More rules than fit into the list: counted and scored all the same, the score saturates. */
static void many_hits(void **state)
{
    static char text[32 * 1024];
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "R%u body %s \"match\"\n", i,
                                i < 250 ? "10000" : "-1");
    struct rules *r = compile(text);
    struct rules_worker *w = worker_of(r);
    struct rules_hits hits = hits_of(w, SLICE_LIT("\r\nmatch match\r\n"), 0, 1000);
    assert_int_equal(hits.count, 300);
    assert_int_equal(hits.score, 250 * 1000000 - 50 * 100);
    for (unsigned i = 0; i < RULES_HITS_MAX; i++)
        assert_true(hits.rule_idx[i] < 300);
    rules_worker_free(w);
    rules_unref(r);
}

static void score_saturates(void **state)
{
    size_t cap = 32 * 4096;
    char *text = malloc(cap);
    size_t len = 0;

    (void)state;
    ASSERT(text != NULL);
    for (unsigned i = 0; i < 2200; i++)
        len += (size_t)snprintf(text + len, cap - len, "R%u body 10000 \"match\"\n", i);
    struct rules *r = compile(text);
    struct rules_worker *w = worker_of(r);
    struct rules_hits hits = hits_of(w, SLICE_LIT("\r\nmatch\r\n"), 0, 1000);
    assert_int_equal(hits.count, 2200);
    assert_int_equal(hits.score, INT32_MAX);
    rules_worker_free(w);
    rules_unref(r);
    free(text);
}

/* ---- streams and sets ---- */

/* A stream given back in the middle of a message starts the next one from nothing. */
static void streams_forget(void **state)
{
    struct rules *r = compile("A any 1 \"needle\"");
    struct rules_worker *w = worker_of(r);
    struct rules_hits hits;

    (void)state;
    for (int part = 0; part < 2; part++) {
        struct rules_stream *st = rules_stream_take(w);
        rules_stream_feed(st, (enum rules_part)part, SLICE_LIT("needle nee"));
        rules_stream_hits(st, &hits);
        assert_int_equal(hits.count, 1);
        rules_stream_give(w, st);
        struct rules_stream *again = rules_stream_take(w);
        assert_ptr_equal(st, again); /* from the pool */
        rules_stream_feed(again, (enum rules_part)part, SLICE_LIT("dle"));
        rules_stream_end(again);
        rules_stream_hits(again, &hits);
        assert_int_equal(hits.count, 0);
        assert_int_equal(hits.score, 0);
        rules_stream_give(w, again);
    }
    rules_worker_free(w);
    rules_unref(r);
}

/* Two messages at a time do not see each other. */
static void streams_stand_apart(void **state)
{
    struct rules *r = compile("A body 1 \"needle\"");
    struct rules_worker *w = worker_of(r);
    struct rules_stream *a = rules_stream_take(w);
    struct rules_stream *b = rules_stream_take(w);
    struct rules_hits hits;

    (void)state;
    rules_stream_feed(a, RULES_PART_BODY, SLICE_LIT("nee"));
    rules_stream_feed(b, RULES_PART_BODY, SLICE_LIT("dle nee"));
    rules_stream_feed(a, RULES_PART_BODY, SLICE_LIT("dle"));
    rules_stream_hits(b, &hits);
    assert_int_equal(hits.count, 0);
    rules_stream_hits(a, &hits);
    assert_int_equal(hits.count, 1);
    rules_stream_give(w, a);
    rules_stream_give(w, b);
    rules_worker_free(w);
    rules_unref(r);
}

static void pool_limit(void **state)
{
    struct rules *r = compile(rules_default_text);
    struct rules_worker *w = worker_of(r);
    struct rules_stream *st[3];

    (void)state;
    rules_worker_limit(w, 3);
    for (size_t turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < ARRAY_COUNT(st); i++) {
            st[i] = rules_stream_take(w);
            assert_non_null(st[i]);
        }
        assert_null(rules_stream_take(w));
        rules_stream_give(w, st[1]);
        st[1] = rules_stream_take(w);
        assert_non_null(st[1]);
        assert_null(rules_stream_take(w));
        for (size_t i = 0; i < ARRAY_COUNT(st); i++)
            rules_stream_give(w, st[i]);
    }
    rules_worker_free(w);
    rules_unref(r);
}

/* A reload: the message in progress keeps its rules, the next one has the new ones. */
static void reload(void **state)
{
    struct rules *old = compile("OLD body 1 \"needle\"\nOTHER any 2 \"x\"");
    struct rules *fresh = compile("NEW header 4 /n[e]{2}dle\\d+/\nNEWBODY body 8 \"needle\"");
    struct rules_worker *w = worker_of(old);
    struct rules_stream *idle = rules_stream_take(w);
    struct rules_stream *st = rules_stream_take(w);
    struct rules_hits hits;

    (void)state;
    rules_stream_give(w, idle);
    rules_stream_feed(st, RULES_PART_BODY, SLICE_LIT("need"));
    assert_int_equal(rules_worker_replace(w, fresh), 0);
    rules_unref(old); /* the stream in use holds it */
    rules_unref(fresh);
    hits = hits_of(w, SLICE_LIT("A: needle1\r\n\r\nneedle\r\n"), 0, 100);
    assert_string_equal(names_of(&hits), "NEW NEWBODY ");
    rules_stream_feed(st, RULES_PART_BODY, SLICE_LIT("le"));
    rules_stream_end(st);
    rules_stream_hits(st, &hits);
    assert_string_equal(names_of(&hits), "OLD ");
    assert_int_equal(hits.score, 100);
    rules_stream_give(w, st); /* and is the last to do so */
    hits = hits_of(w, SLICE_LIT("A: b\r\n\r\nneedle\r\n"), 0, 100);
    assert_string_equal(names_of(&hits), "NEWBODY ");
    rules_worker_free(w);
}

/* To a set without rules and back. */
static void reload_to_nothing(void **state)
{
    struct rules *none = compile("");
    struct rules *some = compile("A body 1 \"needle\"");
    struct rules_worker *w = worker_of(none);
    struct slice message = SLICE_LIT("\r\nneedle\r\n");
    struct rules_hits hits;

    (void)state;
    hits = hits_of(w, message, 0, 100);
    assert_int_equal(hits.count, 0);
    assert_int_equal(rules_worker_replace(w, some), 0);
    hits = hits_of(w, message, 0, 100);
    assert_int_equal(hits.count, 1);
    assert_int_equal(rules_worker_replace(w, none), 0);
    hits = hits_of(w, message, 0, 100);
    assert_int_equal(hits.count, 0);
    rules_worker_free(w);
    rules_unref(some);
    rules_unref(none);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(format),
        cmocka_unit_test(no_rules),
        cmocka_unit_test(errors),
        cmocka_unit_test(nul_in_expression),
        cmocka_unit_test(too_many),
        cmocka_unit_test(matching),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(unstuffed),
        cmocka_unit_test(default_rules),
        cmocka_unit_test(many_hits),
        cmocka_unit_test(score_saturates),
        cmocka_unit_test(streams_forget),
        cmocka_unit_test(streams_stand_apart),
        cmocka_unit_test(pool_limit),
        cmocka_unit_test(reload),
        cmocka_unit_test(reload_to_nothing),
    };

    if (testscan_init() != 0)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
