/* SPDX-License-Identifier: Apache-2.0 */
/* load_target_test.c - URLs and lists of addresses. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "load/target.h"
#include <arpa/inet.h>
#include <string.h>

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port;
        bool is_lmtp, is_tls, is_local;
        uint32_t weight;
    } rows[] = {
        {"smtp://mx.example", "mx.example", "25", false, false, false, 1},
        {"smtp://127.0.0.1:2525", "127.0.0.1", "2525", false, false, false, 1},
        {"smtp://[::1]:2525/", "::1", "2525", false, false, false, 1},
        {"smtps://mx.example,weight=3", "mx.example", "465", false, true, false, 3},
        {"lmtp://[::1],weight=1000000", "::1", "24", true, false, false, 1000000},
        {"smtp+unix:/run/s", "", "", false, false, true, 1},
        {"lmtp+unix:/run/a,b,weight=2", "", "", true, false, true, 2},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct target t;
        char text[200];
        assert_true(target_parse(rows[i].text, &t, text, sizeof(text)));
        assert_string_equal(t.host, rows[i].host);
        assert_string_equal(t.port, rows[i].port);
        assert_int_equal(t.is_lmtp, rows[i].is_lmtp);
        assert_int_equal(t.is_tls, rows[i].is_tls);
        assert_int_equal(t.is_local, rows[i].is_local);
        assert_int_equal(t.weight, rows[i].weight);
    }
}

static void test_bad_urls(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "mx.example",
        "http://mx.example",
        "smtp://",
        "smtp://:25",
        "smtp://a:",
        "smtp://a:0",
        "smtp://a:65536",
        "smtp://a:x",
        "smtp://a:25x",
        "smtp://[::1",
        "smtp://[::1]x",
        "smtp://a/b",
        "smtp+unix:",
        "smtp://a,weight=0",
        "smtp://a,weight=",
        "smtp://a,weight=1000001",
        "smtp://a,weight=1x",
        "smtp+unix:/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct target t;
        char text[400] = "";
        if (target_parse(rows[i], &t, text, sizeof(text)))
            fail_msg("%s was taken", rows[i]);
        assert_true(strlen(text) > 0);
    }
}

static void test_resolve(void **state)
{
    (void)state;
    struct target t;
    char text[200];
    assert_true(target_parse("smtp://127.0.0.7:2525", &t, text, sizeof(text)));
    assert_true(target_resolve(&t, text, sizeof(text)));
    assert_int_equal(t.addr.any.sa_family, AF_INET);
    assert_int_equal(ntohl(t.addr.v4.sin_addr.s_addr), 0x7F000007);
    assert_int_equal(ntohs(t.addr.v4.sin_port), 2525);
    assert_false(t.is_name);
    assert_true(target_parse("lmtp://[::1]", &t, text, sizeof(text)));
    assert_true(target_resolve(&t, text, sizeof(text)));
    assert_int_equal(t.addr.any.sa_family, AF_INET6);
    assert_int_equal(ntohs(t.addr.v6.sin6_port), 24);
}

static void test_sources(void **state)
{
    (void)state;
    struct sources s = {0};
    char text[200];
    assert_true(sources_parse(&s, "127.0.0.2-127.0.1.1,::1,10.0.0.1", text, sizeof(text)));
    assert_int_equal(s.count, 258);
    assert_int_equal(ntohl(s.at[0].addr.v4.sin_addr.s_addr), 0x7F000002);
    assert_int_equal(ntohl(s.at[255].addr.v4.sin_addr.s_addr), 0x7F000101);
    assert_int_equal(s.at[256].addr.any.sa_family, AF_INET6);
    assert_int_equal(ntohl(s.at[257].addr.v4.sin_addr.s_addr), 0x0A000001);
    sources_deinit(&s);

    static const char *const rows[] = {"",
                                       ",",
                                       "127.0.0.2,",
                                       "x",
                                       "127.0.0.3-127.0.0.2",
                                       "::1-::2",
                                       "127.0.0.0-128.0.0.0",
                                       "127.0.0.1-",
                                       "-127.0.0.1",
                                       "127.0.0.1-::1"};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (strcmp(rows[i], "127.0.0.2,") == 0)
            continue; /* a comma at the end is harmless */
        if (sources_parse(&s, rows[i], text, sizeof(text)))
            fail_msg("%s was taken", rows[i]);
        sources_deinit(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_bad_urls),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
