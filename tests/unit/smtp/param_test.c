/* SPDX-License-Identifier: Apache-2.0 */
/* param_test.c - MAIL and RCPT parameters: CORE-20, CORE-23..27, PRDR-2; written and read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/param.h"

#define ALL SESSION_OFFER_ALL

static void test_mail(void **state)
{
    static const struct {
        const char *in;
        uint32_t offers;
        enum param_result result;
    } rows[] = {
        {"", 0, PARAM_OK},
        {"   ", 0, PARAM_OK},
        {" SIZE=1", ALL, PARAM_OK},
        {" SIZE=1", 0, PARAM_UNKNOWN},
        {" SIZE=12345678901234567890", ALL, PARAM_OK},
        {" SIZE=123456789012345678901", ALL, PARAM_BAD},
        {" SIZE=-1", ALL, PARAM_BAD},
        {" SIZE=1 size=1", ALL, PARAM_BAD},
        {" BODY=7BIT", ALL, PARAM_OK},
        {" BODY=7bit BODY=7bit", ALL, PARAM_BAD},
        {" BODY", ALL, PARAM_BAD},
        {" BODY=8BITMIME", SESSION_OFFER_8BITMIME, PARAM_OK},
        {" BODY=BINARYMIME", SESSION_OFFER_8BITMIME, PARAM_UNKNOWN},
        {" SMTPUTF8", ALL, PARAM_OK},
        {" SMTPUTF8=", ALL, PARAM_BAD},
        {" PRDR", ALL, PARAM_OK},
        {" PRDR", ALL & ~SESSION_OFFER_PRDR, PARAM_UNKNOWN},
        {" PRDR=", ALL, PARAM_BAD},
        {" PRDR PRDR", ALL, PARAM_BAD},
        {" DEFERRALS", ALL, PARAM_OK}, /* DEF-2 */
        {" deferrals", SESSION_OFFER_DEFERRALS, PARAM_OK},
        {" DEFERRALS", ALL & ~SESSION_OFFER_DEFERRALS, PARAM_UNKNOWN},
        {" DEFERRALS=1", ALL, PARAM_BAD},
        {" EXDATA", ALL, PARAM_OK}, /* EXD-1, EXD-2: by either name */
        {" XEXDATA", SESSION_OFFER_EXDATA, PARAM_OK},
        {" XEXDATA EXDATA", ALL, PARAM_OK},
        {" EXDATA EXDATA", ALL, PARAM_BAD},
        {" EXDATA", ALL & ~SESSION_OFFER_EXDATA, PARAM_UNKNOWN},
        {" EXDATA=", ALL, PARAM_BAD},
        {" XRCPT250", ALL, PARAM_OK}, /* HOL-4 */
        {" XRCPT250", ALL & ~SESSION_OFFER_XRCPT250, PARAM_UNKNOWN},
        {" XRCPT250B", SESSION_OFFER_XRCPT250B, PARAM_OK},
        {" XRCPT250B", SESSION_OFFER_XRCPT250, PARAM_UNKNOWN},
        {" INLINE-DSN", SESSION_OFFER_INLINE_DSN, PARAM_OK}, /* INL-1 */
        {" XPRDR1", SESSION_OFFER_XPRDR1, PARAM_OK},         /* OTH-12 */
        {" RET=FULL", ALL, PARAM_OK},
        {" RET=FULL RET=HDRS", ALL, PARAM_BAD},
        {" RET", ALL, PARAM_BAD},
        {" ENVID=QQ+3D", ALL, PARAM_OK},
        {" ENVID=QQ+3d", ALL, PARAM_BAD},
        {" ENVID=QQ+3", ALL, PARAM_BAD},
        {" ENVID=", ALL, PARAM_BAD},
        {" ENVID=x=y", ALL, PARAM_BAD},
        {" ENVID=+20+7E", ALL, PARAM_OK},
        {" ENVID=+0D+0A", ALL, PARAM_BAD}, /* decoded it would end a line (RFC 3461 4.4) */
        {" ENVID=+1F", ALL, PARAM_BAD},
        {" ENVID=+7F", ALL, PARAM_BAD},
        {" ENVID=+80", ALL, PARAM_BAD},
        {" ENVID=+FF", ALL, PARAM_BAD},
        {" ENVID=+G0", ALL, PARAM_BAD},
        {" ENVID=+4G", ALL, PARAM_BAD},
        {" =x", ALL, PARAM_UNKNOWN},
        {" NOTIFY=NEVER", ALL, PARAM_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct mail_params p;
        enum param_result result = param_parse_mail(slice_str(rows[i].in), rows[i].offers, &p);
        if (result != rows[i].result)
            fail_msg("%s: expected %d, got %d", rows[i].in, (int)rows[i].result, (int)result);
    }
}

static void test_mail_values(void **state)
{
    struct mail_params p;
    (void)state;
    assert_int_equal(param_parse_mail(SLICE_LIT(" size=18446744073709551615 Body=binarymime "
                                                "smtputf8 prdr ret=hdrs envid=x+2By"),
                                      ALL, &p),
                     PARAM_OK);
    assert_true(p.has_size && p.smtputf8);
    assert_int_equal(p.dialects, SESSION_OFFER_PRDR);
    assert_true(p.size == UINT64_MAX);
    assert_int_equal(p.body, PARAM_BODY_BINARYMIME);
    assert_int_equal(p.ret, PARAM_RET_HDRS);
    assert_true(slice_eq(p.envid, SLICE_LIT("x+2By")));
    /* More than 64 bits saturate, so the comparison with a limit is right (CORE-20). */
    assert_int_equal(param_parse_mail(SLICE_LIT(" SIZE=18446744073709551616"), ALL, &p), PARAM_OK);
    assert_true(p.size == UINT64_MAX);
}

static void test_rcpt(void **state)
{
    static const struct {
        const char *in;
        bool is_utf8;
        enum param_result result;
        uint8_t notify;
    } rows[] = {
        {"", false, PARAM_OK, 0},
        {" NOTIFY=NEVER", false, PARAM_OK, PARAM_NOTIFY_NEVER},
        {" NOTIFY=SUCCESS,failure", false, PARAM_OK, PARAM_NOTIFY_SUCCESS | PARAM_NOTIFY_FAILURE},
        {" NOTIFY=NEVER,SUCCESS", false, PARAM_BAD, 0},
        {" NOTIFY=SUCCESS,SUCCESS", false, PARAM_BAD, 0},
        {" NOTIFY=SUCCESS,", false, PARAM_BAD, 0},
        {" NOTIFY=", false, PARAM_BAD, 0},
        {" NOTIFY", false, PARAM_BAD, 0},
        {" NOTIFY=DELAY NOTIFY=DELAY", false, PARAM_BAD, 0},
        {" ORCPT=rfc822;a+40b", false, PARAM_OK, 0},
        {" ORCPT=rfc822;a ORCPT=rfc822;a", false, PARAM_BAD, 0},
        {" ORCPT=rfc822;", false, PARAM_BAD, 0},
        {" ORCPT=rfc822;a+0Ab", false, PARAM_BAD, 0},
        {" ORCPT=rfc822;+C3+BC", true, PARAM_BAD, 0},
        {" ORCPT=rfc_822;a", false, PARAM_BAD, 0},
        {" ORCPT=utf-8;\xc3\xbc@b", true, PARAM_OK, 0},
        {" ORCPT=utf-8;\xc3\xbc@b", false, PARAM_BAD, 0},
        {" ORCPT=rfc822;\xc3\xbc@b", true, PARAM_BAD, 0},
        {" SIZE=1", false, PARAM_UNKNOWN, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rcpt_params p;
        enum param_result result =
            param_parse_rcpt(slice_str(rows[i].in), ALL, rows[i].is_utf8, &p);
        if (result != rows[i].result)
            fail_msg("%s: expected %d, got %d", rows[i].in, (int)rows[i].result, (int)result);
        if (result == PARAM_OK)
            assert_int_equal(p.notify, rows[i].notify);
        assert_true(rows[i].in[0] == '\0' ||
                    param_parse_rcpt(slice_str(rows[i].in), 0, true, &p) == PARAM_UNKNOWN);
    }
}

/* What is written is read back, and nothing is written that was not offered. */
static void test_round_trip(void **state)
{
    char memory[2048];
    (void)state;
    for (unsigned bits = 0; bits < 64; bits++) {
        struct mail_params in = {
            .has_size = (bits & 1) != 0,
            .size = 12345,
            .body = (enum param_body)(bits / 2 % 3),
            .smtputf8 = (bits & 8) != 0,
            .dialects =
                (bits & 16) != 0 ? SESSION_OFFER_DIALECTS & ~(uint32_t)SESSION_OFFER_ADAT : 0,
            .ret = (bits & 32) != 0 ? PARAM_RET_HDRS : PARAM_RET_NONE,
            .envid = (bits & 32) != 0 ? SLICE_LIT("id+2B") : SLICE_EMPTY,
        };
        struct mail_params out;
        struct buf b = buf_over(memory, sizeof(memory));
        param_put_mail(&b, &in, ALL);
        assert_int_equal(param_parse_mail(buf_slice(&b), ALL, &out), PARAM_OK);
        assert_int_equal(out.has_size, in.has_size);
        assert_int_equal(out.body, in.body);
        assert_int_equal(out.smtputf8, in.smtputf8);
        assert_int_equal(out.dialects, in.dialects);
        assert_int_equal(out.ret, in.ret);
        assert_true(slice_eq(out.envid, in.envid));
        b.len = 0;
        param_put_mail(&b, &in, 0);
        assert_int_equal(b.len, 0);
    }
    for (unsigned notify = 0; notify < 16; notify++) {
        struct rcpt_params in = {(uint8_t)notify, SLICE_LIT("rfc822;x@y")};
        struct rcpt_params out;
        struct buf b = buf_over(memory, sizeof(memory));
        param_put_rcpt(&b, &in, ALL);
        bool is_legal = (notify & PARAM_NOTIFY_NEVER) == 0 || notify == PARAM_NOTIFY_NEVER;
        assert_int_equal(param_parse_rcpt(buf_slice(&b), ALL, false, &out),
                         is_legal ? PARAM_OK : PARAM_BAD);
        if (is_legal)
            assert_int_equal(out.notify, notify);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail),
        cmocka_unit_test(test_mail_values),
        cmocka_unit_test(test_rcpt),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
