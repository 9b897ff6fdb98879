/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_test.c - the Received field to the byte (CORE-50, CORE-51), and its shape for any input.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/rng.h"
#include "obs/trace.h"
#include <arpa/inet.h>
#include <netinet/in.h>

#define DATE ((wall_us)1767323045678901) /* Fri, 2 Jan 2026 03:04:05 +0000 */
#define DATE_TEXT "Fri, 2 Jan 2026 03:04:05 +0000\r\n"

struct row {
    const char *helo, *client, *client_name, *rcpt;
    bool is_lmtp, is_esmtp, is_utf8;
    const char *want;
};

/* @text: an IPv4 or IPv6 address, or "" for a unix socket */
static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&ss)->sin_addr) == 1)
        ss.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&ss)->sin6_addr) == 1)
        ss.ss_family = AF_INET6;
    return ss;
}

static const struct row rows[] = {
    /* CORE-51, the usual case; FOR with one recipient (CORE-50) */
    {"client.example", "192.0.2.1", "", "user@rcpt.example", false, true, false,
     "Received: from client.example ([192.0.2.1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5 for <user@rcpt.example>; " DATE_TEXT},
    /* several recipients: no FOR (CORE-50; RFC 5321 7.2 on disclosure) */
    {"client.example", "192.0.2.1", "", "", false, true, false,
     "Received: from client.example ([192.0.2.1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    /* HELO: SMTP (RFC 3848) */
    {"a.example", "192.0.2.1", "", "", false, false, false,
     "Received: from a.example ([192.0.2.1]) by mx.example with SMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    /* IPv6 literal: "IPv6:" tag (RFC 5321 4.1.3) */
    {"a.example", "2001:db8::1", "", "", false, true, false,
     "Received: from a.example ([IPv6:2001:db8::1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    /* RFC 5321 4.1.3 IPv6-comp, and the longest forms */
    {"a.example", "::1", "", "", false, true, false,
     "Received: from a.example ([IPv6:::1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    {"a.example", "255.255.255.255", "", "", false, true, false,
     "Received: from a.example ([255.255.255.255]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    {"a.example", "2001:db8:1111:2222:3333:4444:5555:6666", "", "", false, true, false,
     "Received: from a.example ([IPv6:2001:db8:1111:2222:3333:4444:5555:6666]) by\r\n"
     "\tmx.example with ESMTP id 06AB12CD34EF5; " DATE_TEXT},
    /* an IPv4 client on a socket for both families */
    {"a.example", "::ffff:192.0.2.1", "", "", false, true, false,
     "Received: from a.example ([192.0.2.1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    /* Extended-Domain with a literal: TCP-info is there */
    {"[192.0.2.9]", "192.0.2.1", "", "", false, true, false,
     "Received: from [192.0.2.9] ([192.0.2.1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    /* TCP-info = Domain FWS address-literal */
    {"a.example", "192.0.2.1", "rdns.example", "", false, true, false,
     "Received: from a.example (rdns.example [192.0.2.1]) by mx.example with ESMTP\r\n"
     "\tid 06AB12CD34EF5; " DATE_TEXT},
    /* LMTP over a unix socket: no TCP-info, a comment before BY */
    {"mta.example", "", "", "u@d.example", true, false, false,
     "Received: from mta.example (unix socket) by mx.example with LMTP id\r\n"
     "\t06AB12CD34EF5 for <u@d.example>; " DATE_TEXT},
    /* a literal without TCP-info would break the grammar */
    {"[192.0.2.9]", "", "", "", true, false, false,
     "Received: from localhost (unix socket) (said [192.0.2.9]) by mx.example with\r\n"
     "\tLMTP id 06AB12CD34EF5; " DATE_TEXT},
    /* nothing said; a line of exactly 78 octets is not folded */
    {"", "192.0.2.1", "", "", false, false, false,
     "Received: from unknown ([192.0.2.1]) by mx.example with SMTP id 06AB12CD34EF5;\r\n"
     "\t" DATE_TEXT},
    /* odd bytes never reach the field as they are */
    {"a b(c)\\\r\nX: y", "192.0.2.1", "", "", false, true, false,
     "Received: from unknown ([192.0.2.1]) (said a?b?c????X:?y) by mx.example with\r\n"
     "\tESMTP id 06AB12CD34EF5; " DATE_TEXT},
    {"-a.example", "192.0.2.1", "", "", false, true, false,
     "Received: from unknown ([192.0.2.1]) (said -a.example) by mx.example with\r\n"
     "\tESMTP id 06AB12CD34EF5; " DATE_TEXT},
    {"win_host", "192.0.2.1", "", "", false, true, false,
     "Received: from win_host ([192.0.2.1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    /* 8-bit names without SMTPUTF8 (RFC 6531 3.7.3), and with it */
    {"m\xc3\xbcller.example", "192.0.2.1", "", "", false, true, false,
     "Received: from unknown ([192.0.2.1]) (said m??ller.example) by mx.example with\r\n"
     "\tESMTP id 06AB12CD34EF5; " DATE_TEXT},
    {"m\xc3\xbcller.example", "192.0.2.1", "", "j\xc3\xb6rg@\xc3\xbc.example", false, true, true,
     "Received: from m\xc3\xbcller.example ([192.0.2.1]) by mx.example with UTF8SMTP id\r\n"
     "\t06AB12CD34EF5 for <j\xc3\xb6rg@\xc3\xbc.example>; " DATE_TEXT},
    {"m\xfcller.example", "192.0.2.1", "", "", true, false, true,
     "Received: from unknown ([192.0.2.1]) (said m?ller.example) by mx.example with\r\n"
     "\tUTF8LMTP id 06AB12CD34EF5; " DATE_TEXT},
    /* FOR that would not be clean is left out */
    {"a.example", "192.0.2.1", "", "j\xc3\xb6rg@d.example", false, true, false,
     "Received: from a.example ([192.0.2.1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    {"a.example", "192.0.2.1", "", "u@d\r\nX: y", false, true, false,
     "Received: from a.example ([192.0.2.1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5; " DATE_TEXT},
    /* a quoted local part stays in one piece */
    {"a.example", "192.0.2.1", "", "\"a b\"@d.example", false, true, false,
     "Received: from a.example ([192.0.2.1]) by mx.example with ESMTP id\r\n"
     "\t06AB12CD34EF5 for <\"a b\"@d.example>; " DATE_TEXT},
};

static struct trace_info info_of(const struct row *row, const struct sockaddr_storage *client)
{
    return (struct trace_info){
        .helo = slice_str(row->helo),
        .client = client,
        .client_name = slice_str(row->client_name),
        .hostname = SLICE_LIT("mx.example"),
        .is_lmtp = row->is_lmtp,
        .is_esmtp = row->is_esmtp,
        .is_utf8 = row->is_utf8,
        .queue_id = SLICE_LIT("06AB12CD34EF5"),
        .rcpt = slice_str(row->rcpt),
        .date = DATE,
    };
}

static void test_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct sockaddr_storage client = address_of(rows[i].client);
        struct trace_info info = info_of(&rows[i], &client);
        uint8_t memory[TRACE_BYTES_MAX];
        struct buf out = buf_over(memory, sizeof(memory));
        assert_true(trace_received(&out, &info));
        if (!slice_eq(buf_slice(&out), slice_str(rows[i].want)))
            fail_msg("row %zu: got <%.*s> want <%s>", i, (int)out.len, (char *)memory,
                     rows[i].want);
    }
}

static void test_client_without_address(void **state)
{
    (void)state;
    static const char want[] = "Received: from a.example (unix socket) by mx.example with ESMTP "
                               "id\r\n\t06AB12CD34EF5; " DATE_TEXT;
    struct row row = {.helo = "a.example", .client_name = "", .rcpt = "", .is_esmtp = true};
    struct trace_info info = info_of(&row, NULL);
    uint8_t memory[TRACE_BYTES_MAX];
    struct buf out = buf_over(memory, sizeof(memory));
    assert_true(trace_received(&out, &info));
    assert_true(slice_eq(buf_slice(&out), slice_str(want)));
}

/* RFC 5322 2.1.1 and 2.2.3, whatever was said. */
static void check_shape(struct slice field, bool is_utf8)
{
    assert_true(field.len <= TRACE_BYTES_MAX);
    assert_true(slice_has_prefix_nocase(field, SLICE_LIT("received: from ")));
    size_t semicolons = 0;
    while (field.len > 0) {
        size_t end = slice_find(field, '\r');
        assert_true(end + 1 < field.len && field.ptr[end + 1] == '\n');
        struct slice line = slice_first(field, end);
        assert_true(line.len > 1 && line.len <= 998);
        bool has_text = false;
        size_t words = 0;
        for (size_t i = 0; i < line.len; i++) {
            uint8_t c = line.ptr[i];
            assert_true(c == '\t' ? i == 0 : c >= 0x20 && c != 0x7F);
            assert_true(c < 0x80 || is_utf8);
            has_text = has_text || (c != ' ' && c != '\t');
            words += c == ' ';
        }
        assert_true(has_text);
        if (line.len > 78 && words > 1)
            fail_msg("could be folded: %.*s", (int)line.len, (const char *)line.ptr);
        semicolons += line.ptr[line.len - 1] == ';' || memmem(line.ptr, line.len, "; ", 2) != NULL;
        field = slice_from(field, end + 2);
        assert_true(field.len == 0 || field.ptr[0] == '\t');
    }
    assert_true(semicolons >= 1);
}

/* RFC 3629 4: what is UTF-8 stands in the field of an SMTPUTF8 message, all else does not. */
static void test_utf8_names(void **state)
{
    (void)state;
    static const struct {
        const char *helo;
        bool is_kept;
    } names[] = {
        {"\xc3\xbc", true},
        {"\xe2\x82\xac", true},
        {"\xf0\x9f\x93\xa7", true},
        {"\xc2\xa0", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xf0\x90\x80\x80", true},
        {"\xc2\x85", false},
        {"\xc2\x80", false}, /* C1 controls */
        {"\xc0\xaf", false},
        {"\xc1\xbf", false},
        {"\xe0\x9f\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xed\xa0\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\x80", false},
        {"\xc3", false},
        {"\xe2\x82", false},
        {"\xf0\x9f\x93", false},
        {"\xe2\x82z", false},
        {"\xc3\x7f", false},
        {"\xf0\x9f\x93z", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        uint8_t memory[TRACE_BYTES_MAX], name[16];
        struct sockaddr_storage client = address_of("192.0.2.1");
        struct trace_info info = info_of(&rows[0], &client);
        struct buf out = buf_over(memory, sizeof(memory));
        struct buf b = buf_over(name, sizeof(name));
        BUF_PUT_LIT(&b, "a.");
        buf_put(&b, slice_str(names[i].helo));
        info.helo = buf_slice(&b);
        info.is_utf8 = true;
        assert_true(trace_received(&out, &info));
        assert_int_equal(memmem(memory, out.len, name, b.len) != NULL, names[i].is_kept);
        assert_int_equal(memmem(memory, out.len, "(said a.?", 9) == NULL, names[i].is_kept);
        check_shape(buf_slice(&out), true);
    }
}

/* RFC 5322 3.3: date-time with a numeric zone (CORE-50). */
static void test_dates(void **state)
{
    (void)state;
    static const struct {
        wall_us date;
        const char *want;
    } dates[] = {
        {0, "Thu, 1 Jan 1970 00:00:00 +0000\r\n"},
        {951868799999999, "Tue, 29 Feb 2000 23:59:59 +0000\r\n"},
        {1798761599000000, "Thu, 31 Dec 2026 23:59:59 +0000\r\n"},
        {4107542400000000, "Mon, 1 Mar 2100 00:00:00 +0000\r\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(dates); i++) {
        struct trace_info info = info_of(&rows[0], NULL);
        uint8_t memory[TRACE_BYTES_MAX];
        struct buf out = buf_over(memory, sizeof(memory));
        info.date = dates[i].date;
        assert_true(trace_received(&out, &info));
        struct slice want = slice_str(dates[i].want);
        struct slice end = slice_from(buf_slice(&out), out.len - want.len);
        assert_true(slice_eq(end, want));
    }
}

/* RFC 3848 and RFC 6531 4.3. */
static void test_protocols(void **state)
{
    (void)state;
    static const struct {
        bool is_lmtp, is_esmtp, is_utf8, is_tls, is_authenticated;
        const char *want;
    } protocols[] = {
        {false, false, false, false, false, "SMTP"},
        {false, true, false, false, false, "ESMTP"},
        {false, true, false, true, false, "ESMTPS"},
        {false, true, false, false, true, "ESMTPA"},
        {false, true, false, true, true, "ESMTPSA"},
        {false, false, false, true, false, "ESMTPS"}, /* HELO after STARTTLS */
        {true, false, false, false, false, "LMTP"},
        {true, true, false, false, false, "LMTP"},
        {true, true, false, true, false, "LMTPS"},
        {true, true, false, false, true, "LMTPA"},
        {true, true, false, true, true, "LMTPSA"},
        {false, true, true, false, false, "UTF8SMTP"},
        {false, true, true, true, false, "UTF8SMTPS"},
        {false, true, true, false, true, "UTF8SMTPA"},
        {false, true, true, true, true, "UTF8SMTPSA"},
        {true, true, true, false, false, "UTF8LMTP"},
        {true, true, true, true, false, "UTF8LMTPS"},
        {true, true, true, false, true, "UTF8LMTPA"},
        {true, true, true, true, true, "UTF8LMTPSA"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(protocols); i++) {
        assert_string_equal(trace_protocol_secure(protocols[i].is_lmtp, protocols[i].is_esmtp,
                                                  protocols[i].is_utf8, protocols[i].is_tls,
                                                  protocols[i].is_authenticated),
                            protocols[i].want);
        if (!protocols[i].is_tls && !protocols[i].is_authenticated)
            assert_string_equal(
                trace_protocol(protocols[i].is_lmtp, protocols[i].is_esmtp, protocols[i].is_utf8),
                protocols[i].want);
    }
}

static void test_hostname(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_valid;
    } names[] = {
        {"mx.example", true},   {"localhost", true}, {"a-b.c1", true}, {"", false},
        {"mx.example.", false}, {".mx", false},      {"a..b", false},  {"a b", false},
        {"-a.b", false},        {"a-.b", false},     {"a.b-", false},  {"\xc3\xbc.example", false},
        {"[192.0.2.1]", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_int_equal(trace_hostname_is_valid(slice_str(names[i].name)), names[i].is_valid);
}

/* Too little room leaves the buffer as it was; exactly enough is enough. */
static void test_room(void **state)
{
    (void)state;
    struct sockaddr_storage client = address_of("192.0.2.1");
    struct trace_info info = info_of(&rows[0], &client);
    uint8_t memory[TRACE_BYTES_MAX + 4];
    struct buf whole = buf_over(memory, sizeof(memory));
    assert_true(trace_received(&whole, &info));
    size_t need = whole.len;
    for (size_t cap = 0; cap < need; cap++) {
        struct buf out = buf_over(memory, cap + 4);
        BUF_PUT_LIT(&out, "abcd");
        assert_false(trace_received(&out, &info));
        assert_int_equal(out.len, 4);
        assert_true(out.is_full);
        assert_memory_equal(memory, "abcd", 4);
    }
    struct buf out = buf_over(memory, need);
    assert_true(trace_received(&out, &info));
    assert_false(out.is_full);
    assert_int_equal(out.len, need);
}

static size_t random_text(struct rng *r, uint8_t *text, size_t cap)
{
    static const char usual[] = "abcXYZ019.-_[]:@";
    size_t len = rng_below(r, 4) == 0 ? rng_below(r, cap + 1) : rng_below(r, 40);
    uint64_t oddness = rng_below(r, 3) == 0 ? 8 : 2000; /* one byte in so many is any byte */
    for (size_t i = 0; i < len; i++)
        text[i] = rng_below(r, oddness) == 0 ? (uint8_t)rng_next(r)
                                             : (uint8_t)usual[rng_below(r, sizeof(usual) - 1)];
    return len;
}

static void test_any_input(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 51);
    for (int i = 0; i < 20000; i++) {
        uint8_t helo[600], rcpt[1200], name[300], memory[TRACE_BYTES_MAX];
        struct sockaddr_storage client =
            address_of(rng_below(&r, 2) == 0 ? "2001:db8:1:2:3:4:5:6" : "");
        struct row row = {.helo = "", .client_name = "", .rcpt = ""};
        struct trace_info info = info_of(&row, &client);
        info.helo = slice_of(helo, random_text(&r, helo, sizeof(helo)));
        info.rcpt = slice_of(rcpt, random_text(&r, rcpt, sizeof(rcpt)));
        info.client_name = slice_of(name, random_text(&r, name, sizeof(name)));
        info.is_utf8 = rng_below(&r, 2) == 0;
        info.is_lmtp = rng_below(&r, 2) == 0;
        struct buf out = buf_over(memory, sizeof(memory));
        assert_true(trace_received(&out, &info));
        check_shape(buf_slice(&out), info.is_utf8);
    }
}

/* The longest of everything fits in TRACE_BYTES_MAX. */
static void test_longest(void **state)
{
    (void)state;
    uint8_t label[HELO_BYTES_MAX], rcpt[994], memory[TRACE_BYTES_MAX];
    struct sockaddr_storage client = address_of("2001:db8:1111:2222:3333:4444:5555:6666");
    struct row row = {.helo = "", .client_name = "", .rcpt = "", .is_utf8 = true};
    struct trace_info info = info_of(&row, &client);
    memset(label, 'a', sizeof(label));
    memset(rcpt, 'r', sizeof(rcpt));
    info.client_name = slice_of(label, sizeof(label));
    info.hostname = slice_of(label, sizeof(label));
    info.rcpt = slice_of(rcpt, sizeof(rcpt));
    uint8_t helo[HELO_BYTES_MAX];
    for (int is_clean = 0; is_clean < 2; is_clean++) {
        memset(helo, is_clean ? 'h' : '!', sizeof(helo));
        info.helo = slice_of(helo, sizeof(helo));
        struct buf out = buf_over(memory, sizeof(memory));
        assert_true(trace_received(&out, &info));
        assert_non_null(memmem(memory, out.len, "\r\n\t<rrr", 7));
        assert_null(memmem(memory, out.len, "\r\n\t \r\n", 6));
    }
    info.rcpt = slice_of(rcpt, 0);
    struct buf out = buf_over(memory, sizeof(memory));
    assert_true(trace_received(&out, &info));
    assert_null(memmem(memory, out.len, " for", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),      cmocka_unit_test(test_client_without_address),
        cmocka_unit_test(test_utf8_names), cmocka_unit_test(test_dates),
        cmocka_unit_test(test_protocols),  cmocka_unit_test(test_hostname),
        cmocka_unit_test(test_room),       cmocka_unit_test(test_any_input),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
