/* SPDX-License-Identifier: Apache-2.0 */
/* hello_test.c - EHLO replies both ways: CORE-2, CORE-30, PRDR-1, PRDR-3, DEF-1, DEF-3, EXD-2,
 * HOL-4, LMTP-3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/hello.h"
#include "smtp/reply.h"
#include "smtp/session.h"

static struct hello_caps read_back(struct slice reply)
{
    struct hello_caps caps = {0};
    for (bool is_first = true; reply.len > 0; is_first = false) {
        size_t lf = slice_find(reply, '\n');
        struct reply_line line;
        assert_true(reply_parse_line(slice_first(reply, lf - 1), &line));
        assert_int_equal(line.code, 250);
        assert_int_equal(line.is_last, lf + 1 == reply.len);
        if (!is_first)
            hello_parse_line(&caps, line.text);
        assert_true(lf + 1 <= REPLY_LINE_BYTES_MAX);
        reply = slice_from(reply, lf + 1);
    }
    return caps;
}

/* Every set of offers: what is written is what hello_offers() says, and reads back. */
static void test_round_trip(void **state)
{
    char name[DOMAIN_BYTES_MAX];
    (void)state;
    memset(name, 'x', sizeof(name));
    for (uint32_t offers = 0; offers <= SESSION_OFFER_ALL; offers++) {
        struct session_config config = {
            .protocol = offers % 2 == 0 ? SESSION_SMTP : SESSION_LMTP,
            .offers = offers,
            .hostname = slice_of(name, sizeof(name)),
            .size_max = UINT64_MAX,
            .rcpt_max = RCPT_COUNT_HARD_MAX,
            .mail_max = 999999,
        };
        char memory[SESSION_OUTPUT_BYTES_MIN];
        struct buf b = buf_over(memory, sizeof(memory));
        assert_true(hello_put_reply(&b, &config));
        struct hello_caps caps = read_back(buf_slice(&b));
        uint32_t real = hello_offers(&config);
        assert_int_equal(caps.offers, real);
        if ((real & SESSION_OFFER_PRDR) != 0)
            assert_true((real & SESSION_OFFER_PIPELINING) != 0 &&
                        (real & SESSION_OFFER_ENHANCED) != 0 && config.protocol == SESSION_SMTP);
        if ((real & SESSION_OFFER_DEFERRALS) != 0)
            assert_true((real & SESSION_OFFER_PIPELINING) != 0);
        if (config.protocol == SESSION_LMTP)
            assert_int_equal(real & SESSION_OFFER_DIALECTS, 0);
        if ((real & SESSION_OFFER_SIZE) != 0)
            assert_true(caps.size_max == UINT64_MAX);
        if ((real & SESSION_OFFER_LIMITS) != 0) {
            assert_int_equal(caps.rcpt_max, RCPT_COUNT_HARD_MAX);
            assert_int_equal(caps.mail_max, 999999);
        }
        struct buf small = buf_over(memory, 20);
        assert_false(hello_put_reply(&small, &config));
        assert_int_equal(small.len, 0);
    }
}

/* CORE-30: a limit has at most six digits; one that has more is not said. */
static void test_limits(void **state)
{
    struct session_config config = {
        .offers = SESSION_OFFER_LIMITS,
        .hostname = SLICE_LIT("mx.example"),
        .rcpt_max = 1000,
    };
    char memory[SESSION_OUTPUT_BYTES_MIN];
    (void)state;
    for (int i = 0; i < 3; i++) {
        static const uint32_t mail_max[] = {0, 999999, 1000000};
        struct buf b = buf_over(memory, sizeof(memory));
        config.mail_max = mail_max[i];
        assert_true(hello_put_reply(&b, &config));
        struct slice expected =
            i == 1 ? SLICE_LIT("250-mx.example\r\n250 LIMITS RCPTMAX=1000 MAILMAX=999999\r\n")
                   : SLICE_LIT("250-mx.example\r\n250 LIMITS RCPTMAX=1000\r\n");
        assert_true(slice_eq(buf_slice(&b), expected));
    }
}

/* PRDR-1: upper case, alone on its line, never first. CORE-2: keyword syntax of all lines. */
static void test_lines(void **state)
{
    (void)state;
    for (uint32_t offers = 0; offers <= SESSION_OFFER_ALL; offers++) {
        struct session_config config = {
            .offers = offers,
            .hostname = SLICE_LIT("mx.example"),
            .size_max = 1000,
            .rcpt_max = 100,
        };
        char memory[SESSION_OUTPUT_BYTES_MIN];
        struct buf b = buf_over(memory, sizeof(memory));
        assert_true(hello_put_reply(&b, &config));
        struct slice rest = buf_slice(&b);
        unsigned prdr_lines = 0;
        for (unsigned n = 0; rest.len > 0; n++) {
            struct slice line = slice_first(rest, slice_find(rest, '\r'));
            rest = slice_from(rest, line.len + 2);
            struct slice text = slice_from(line, 4);
            struct slice name = slice_first(text, slice_find(text, ' '));
            if (n == 0)
                continue;
            for (size_t i = 0; i < name.len; i++)
                assert_true((name.ptr[i] >= 'A' && name.ptr[i] <= 'Z') ||
                            (name.ptr[i] >= '0' && name.ptr[i] <= '9') ||
                            (name.ptr[i] == '-' && i > 0));
            if (slice_eq(name, SLICE_LIT("PRDR"))) {
                prdr_lines++;
                assert_int_equal(text.len, 4);
                assert_true(n >= 2);
            }
        }
        bool is_offered = (hello_offers(&config) & SESSION_OFFER_PRDR) != 0;
        assert_int_equal(prdr_lines, is_offered ? 1 : 0);
    }
}

static void test_parse(void **state)
{
    static const struct {
        const char *line;
        uint32_t offers;
        uint64_t size_max;
        uint32_t rcpt_max;
        uint32_t mail_max;
    } rows[] = {
        {"prdr", SESSION_OFFER_PRDR, 0, 0, 0},
        {"PRDR x", SESSION_OFFER_PRDR, 0, 0, 0},
        {"PRDRX", 0, 0, 0, 0},
        {"deferrals", SESSION_OFFER_DEFERRALS, 0, 0, 0},
        {"EXDATA", SESSION_OFFER_EXDATA, 0, 0, 0},
        {"XEXDATA", SESSION_OFFER_EXDATA, 0, 0, 0},
        {"XRCPT250", SESSION_OFFER_XRCPT250, 0, 0, 0},
        {"SIZE", SESSION_OFFER_SIZE, 0, 0, 0},
        {"SIZE 1000", SESSION_OFFER_SIZE, 1000, 0, 0},
        {"SIZE x", SESSION_OFFER_SIZE, 0, 0, 0},
        {"LIMITS RCPTMAX=20 MAILMAX=5", SESSION_OFFER_LIMITS, 0, 20, 5},
        {"LIMITS FOO=1 RCPTMAX=20", SESSION_OFFER_LIMITS, 0, 20, 0},
        {"LIMITS RCPTMAX=0 MAILMAX=5", SESSION_OFFER_LIMITS, 0, 0, 5},
        {"LIMITS RCPTMAX=1234567 MAILMAX=5", SESSION_OFFER_LIMITS, 0, 0, 5},
        {"LIMITS RCPTMAX MAILMAX=5", 0, 0, 0, 0},
        {"LIMITS RCPTMAX=5  MAILMAX=5", 0, 0, 0, 0},
        {"", 0, 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct hello_caps caps = {0};
        hello_parse_line(&caps, slice_str(rows[i].line));
        assert_int_equal(caps.offers, rows[i].offers);
        assert_true(caps.size_max == rows[i].size_max);
        assert_int_equal(caps.rcpt_max, rows[i].rcpt_max);
        assert_int_equal(caps.mail_max, rows[i].mail_max);
    }
}

static void test_name(void **state)
{
    char name[HELO_BYTES_MAX + 1];
    (void)state;
    memset(name, 'x', sizeof(name));
    assert_true(hello_name_is_good(SLICE_LIT("mail_1.a-b.example")));
    assert_true(hello_name_is_good(SLICE_LIT("[192.0.2.1]")));
    assert_true(hello_name_is_good(SLICE_LIT("[IPv6:::1]")));
    assert_true(hello_name_is_good(slice_of(name, HELO_BYTES_MAX)));
    assert_false(hello_name_is_good(slice_of(name, HELO_BYTES_MAX + 1)));
    assert_false(hello_name_is_good(SLICE_LIT("")));
    assert_false(hello_name_is_good(SLICE_LIT("a b")));
    assert_false(hello_name_is_good(SLICE_LIT("a(b")));
    assert_false(hello_name_is_good(SLICE_LIT("a\\b")));
    assert_false(hello_name_is_good(SLICE_LIT("a\x00"
                                              "b")));
    assert_false(hello_name_is_good(SLICE_LIT("a\xc3\xbc")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_limits),
        cmocka_unit_test(test_lines),      cmocka_unit_test(test_parse),
        cmocka_unit_test(test_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
