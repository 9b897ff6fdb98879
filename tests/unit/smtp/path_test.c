/* SPDX-License-Identifier: Apache-2.0 */
/* path_test.c - addresses: CORE-7, CORE-27, limits of CORE table B. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/path.h"

struct row {
    const char *in;
    bool allow_null;
    bool allow_utf8;
    enum path_result result;
    const char *local;
    const char *domain;
};

/* clang-format off */
#define OK(in, local, domain) {in, false, false, PATH_OK, local, domain}
#define BAD(in) {in, false, false, PATH_BAD_SYNTAX, NULL, NULL}

static const struct row rows[] = {
    OK("<a@b>", "a", "b"),
    OK("<a@b> SIZE=1", "a", "b"),
    OK("<a.b.c@d.e.f>", "a.b.c", "d.e.f"),
    OK("<!#$%&'*+-/=?^_`{|}~@x1-y.z9>", "!#$%&'*+-/=?^_`{|}~", "x1-y.z9"),
    OK("<\"\"@b>", "\"\"", "b"),
    OK("<\"a b>@\\\"\\\\\"@b>", "\"a b>@\\\"\\\\\"", "b"),
    OK("<@one:a@b>", "a", "b"),
    OK("<@one,@two.example,@three:a@b>", "a", "b"),
    OK("<a@[192.0.2.255]>", "a", "[192.0.2.255]"),
    OK("<a@[IPv6:2001:db8::1]>", "a", "[IPv6:2001:db8::1]"),
    OK("<a@[ipv6:::]>", "a", "[ipv6:::]"),
    OK("<a@[IPv6:::1]>", "a", "[IPv6:::1]"),
    OK("<a@[IPv6:1::]>", "a", "[IPv6:1::]"),
    OK("<a@[IPv6:1:2:3:4:5:6:7:8]>", "a", "[IPv6:1:2:3:4:5:6:7:8]"),
    OK("<a@[IPv6:1:2:3:4:5:6:192.0.2.1]>", "a", "[IPv6:1:2:3:4:5:6:192.0.2.1]"),
    OK("<a@[IPv6:::ffff:192.0.2.1]>", "a", "[IPv6:::ffff:192.0.2.1]"),
    OK("<postmaster>", "postmaster", ""),
    OK("<PostMaster>", "PostMaster", ""),
    OK("<\"postmaster\">", "\"postmaster\"", ""),
    {"<>", true, false, PATH_OK, "", ""},
    {"<a@b>", true, false, PATH_OK, "a", "b"},
    {"<postmaster>", true, false, PATH_BAD_SYNTAX, NULL, NULL},
    BAD("<>"),
    BAD(""),
    BAD("a@b"),
    BAD("<a@b"),
    BAD("<a>"),
    BAD("<@b>"),
    BAD("<a@>"),
    BAD("<a@@b>"),
    BAD("<.a@b>"),
    BAD("<a.@b>"),
    BAD("<a..b@c>"),
    BAD("<a b@c>"),
    BAD("<a@b..c>"),
    BAD("<a@b.>"),
    BAD("<a@.b>"),
    BAD("<a@-b>"),
    BAD("<a@b->"),
    BAD("<a@b_c>"),
    BAD("<\"a@b>"),
    BAD("<\"a\\@b>"),
    BAD("<\"a\\"),
    BAD("<a\x7f@b>"),
    BAD("<a\x01@b>"),
    BAD("<\"a\x01\"@b>"),
    BAD("<@one a@b>"),
    BAD("<@one,two:a@b>"),
    BAD("<@one:>"),
    BAD("<a@[192.0.2]>"),
    BAD("<a@[192.0.2.256]>"),
    BAD("<a@[192.0.2.1>"),
    BAD("<a@[192.0.2.1.1]>"),
    BAD("<a@[1922.0.2.1]>"),
    BAD("<a@[tag:x]>"),
    BAD("<a@[IPv6:1:2:3:4:5:6:7]>"),
    BAD("<a@[IPv6:1:2:3:4:5:6:7:8:9]>"),
    BAD("<a@[IPv6:1::2::3]>"),
    BAD("<a@[IPv6:12345::]>"),
    BAD("<a@[IPv6:1:]>"),
    BAD("<a@[IPv6:]>"),
    BAD("<a@[IPv6:g::]>"),
    BAD("<a@[]>"),
    {"<\xc3\xbc@b>", false, false, PATH_NEEDS_UTF8, NULL, NULL},
    {"<a\xc3\xbc@b>", false, false, PATH_NEEDS_UTF8, NULL, NULL},
    {"<\"\xc3\xbc\"@b>", false, false, PATH_NEEDS_UTF8, NULL, NULL},
    {"<a@\xc3\xbc.b>", false, false, PATH_NEEDS_UTF8, NULL, NULL},
    {"<a@b\xc3\xbc>", false, false, PATH_NEEDS_UTF8, NULL, NULL},
    {"<\xc3\xbc.a\xe2\x82\xac" "b@\xc3\xbc.b>", false, true, PATH_OK,
     "\xc3\xbc.a\xe2\x82\xac" "b", "\xc3\xbc.b"},
    {"<\"\xf0\x9f\x98\x80\"@b>", false, true, PATH_OK, "\"\xf0\x9f\x98\x80\"", "b"},
    {"<\xc3@b>", false, true, PATH_BAD_SYNTAX, NULL, NULL},
    {"<\xc0\x80@b>", false, true, PATH_BAD_SYNTAX, NULL, NULL},
    {"<\xed\xa0\x80@b>", false, true, PATH_BAD_SYNTAX, NULL, NULL},
    {"<\xf4\x90\x80\x80@b>", false, true, PATH_BAD_SYNTAX, NULL, NULL},
    {"<\xe0\x80\x80@b>", false, true, PATH_BAD_SYNTAX, NULL, NULL},
    {"<\xff@b>", false, true, PATH_BAD_SYNTAX, NULL, NULL},
};
/* clang-format on */

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        struct path p;
        size_t used = 0;
        enum path_result result =
            path_parse(slice_str(r->in), r->allow_null, r->allow_utf8, &p, &used);
        if (result != r->result)
            fail_msg("%s: expected %d, got %d", r->in, (int)r->result, (int)result);
        if (result != PATH_OK)
            continue;
        assert_true(slice_eq(p.local, slice_str(r->local)));
        assert_true(slice_eq(p.domain, slice_str(r->domain)));
        assert_int_equal(r->in[used - 1], '>');
        assert_int_equal(p.is_utf8, r->allow_utf8 && strpbrk(r->in, "\xc3\xe2\xf0") != NULL);
        size_t at = p.domain.len > 0 ? 1 : 0;
        assert_int_equal(p.whole.len, p.local.len + at + p.domain.len);
    }
}

/* "<" local@domain ">", where the domain has labels of at most 60 bytes. */
static size_t make(char *out, size_t local, size_t domain)
{
    size_t len = 0;
    out[len++] = '<';
    memset(out + len, 'a', local);
    len += local;
    out[len++] = '@';
    for (size_t i = 0; i < domain; i++)
        out[len++] = i % 61 == 60 && i + 1 < domain ? '.' : 'b';
    out[len++] = '>';
    return len;
}

static void test_limits(void **state)
{
    static const struct {
        size_t local;
        size_t domain;
        enum path_result result;
    } cases[] = {
        {64, 100, PATH_OK},       {65, 100, PATH_TOO_LONG}, {64, 189, PATH_OK}, /* 256 in all */
        {64, 190, PATH_TOO_LONG}, {1, 252, PATH_OK},        {1, 253, PATH_TOO_LONG},
        {1, 256, PATH_TOO_LONG},
    };
    char text[600];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        size_t len = make(text, cases[i].local, cases[i].domain);
        struct path p;
        size_t used;
        assert_int_equal(path_parse(slice_of(text, len), false, false, &p, &used), cases[i].result);
    }
}

/* Never looks past the end, and no prefix of a good path is a good path. */
static void test_prefixes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct path p;
        size_t used;
        size_t len = strcspn(rows[i].in, " ");
        for (size_t n = 0; rows[i].result == PATH_OK && n < len; n++) {
            char *copy = test_malloc(n + 1);
            memcpy(copy, rows[i].in, n);
            enum path_result result =
                path_parse(slice_of(copy, n), rows[i].allow_null, rows[i].allow_utf8, &p, &used);
            assert_true(result != PATH_OK || copy[used - 1] == '>');
            test_free(copy);
        }
    }
}

static void test_postmaster(void **state)
{
    static const struct {
        const char *local;
        bool is;
    } cases[] = {
        {"postmaster", true},       {"POSTMASTER", true}, {"\"postmaster\"", true},
        {"\"p\\ostmaster\"", true}, {"postmaste", false}, {"postmasters", false},
        {"\"postmaster \"", false}, {"", false},          {"\"\"", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct path p = {.local = slice_str(cases[i].local)};
        assert_int_equal(path_is_postmaster(&p), cases[i].is);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_postmaster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
