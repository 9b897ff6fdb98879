/* SPDX-License-Identifier: Apache-2.0 */
/* trace_test.c - identities, and the two file formats: what is written is what is read. */
#include "trace/arrivals.h"
#include "trace/attempts.h"
#include "base/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void identity_texts(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        bool is_good;
        uint64_t run, seq;
    } rows[] = {
        {SLICE_INIT("0123456789abcdef.0"), true, 0x0123456789ABCDEF, 0},
        {SLICE_INIT("ffffffffffffffff.18446744073709551614"), true, UINT64_MAX, UINT64_MAX - 1},
        {SLICE_INIT("ffffffffffffffff.18446744073709551615"), false, 0, 0},
        {SLICE_INIT("ffffffffffffffff.18446744073709551616"), false, 0, 0},
        {SLICE_INIT("ffffffffffffffff.99999999999999999999"), false, 0, 0},
        {SLICE_INIT("0123456789abcdeF.0"), false, 0, 0},
        {SLICE_INIT("0123456789abcdef.01"), false, 0, 0},
        {SLICE_INIT("0123456789abcdef.-1"), false, 0, 0},
        {SLICE_INIT("0123456789abcdef.1 "), false, 0, 0},
        {SLICE_INIT("0123456789abcdef."), false, 0, 0},
        {SLICE_INIT("0123456789abcdef"), false, 0, 0},
        {SLICE_INIT("123456789abcdef.10"), false, 0, 0},
        {SLICE_INIT("0000000000000000.1"), false, 0, 0},
        {SLICE_INIT(""), false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct identity id = {1, 1};
        assert_int_equal(identity_parse(rows[i].text, &id), rows[i].is_good);
        assert_true(id.run == (rows[i].is_good ? rows[i].run : 1));
        assert_true(id.seq == (rows[i].is_good ? rows[i].seq : 1));
        if (rows[i].is_good) {
            uint8_t memory[64];
            struct buf b = buf_over(memory, sizeof(memory));
            identity_put(&b, id);
            assert_true(slice_eq(buf_slice(&b), rows[i].text));
        }
    }
}

static void identity_in_message_id(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        bool is_good;
    } rows[] = {
        {SLICE_INIT("<pl.00000000000000aa.7@host>"), true},
        {SLICE_INIT("pl.00000000000000aa.7@host"), true},
        {SLICE_INIT("<pl.00000000000000aa.7@>"), true},
        {SLICE_INIT("<pl.00000000000000aa.7>"), false},
        {SLICE_INIT("<PL.00000000000000aa.7@host>"), false},
        {SLICE_INIT("<xpl.00000000000000aa.7@host>"), false},
        {SLICE_INIT("<pl."), false},
        {SLICE_INIT("<"), false},
        {SLICE_INIT(""), false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct identity id;
        assert_int_equal(identity_from_message_id(rows[i].text, &id), rows[i].is_good);
        if (rows[i].is_good)
            assert_true(id.run == 0xAA && id.seq == 7);
    }
}

static void identity_in_header(void **state)
{
    (void)state;
#define A "00000000000000aa"
    static const struct {
        const char *content;
        uint64_t seq; /* 0: none */
    } rows[] = {
        {"Message-ID: <pl." A ".7@h>\r\n\r\n", 7},
        {"Subject: x\nmessage-id:<pl." A ".7@h>\n\nbody", 7},
        {"Subject: x\r\nMESSAGE-ID :\r\n <pl." A ".7@h>\r\n\r\n", 7},
        {"Message-ID:\r\n \r\n\t<pl." A ".7@h> (c)\r\n\r\n", 7},
        {"Message-ID: <pl." A ".7@h>\r\nX-Postern-Load: " A ".8\r\n\r\n", 8},
        {"x-postern-load:" A ".8\r\nMessage-ID: <pl." A ".7@h>\r\n\r\n", 8},
        {"X-Postern-Load: " A ".8\r\nX-Postern-Load: " A ".9\r\n\r\n", 8},
        {"X-Postern-Load: junk\r\nMessage-ID: <pl." A ".7@h>\r\n\r\n", 7},
        {"X-Postern-Load: " A ".8", 8},
        {"Message-ID: <foreign@h>\r\nMessage-ID: <pl." A ".7@h>\r\n\r\n", 7},
        {"Message-ID: <pl." A ".7@h>\r\nMessage-ID: <pl." A ".9@h>\r\n\r\n", 7},
        {"Subject: x\r\n\r\nMessage-ID: <pl." A ".7@h>\r\n", 0},
        {"\r\nMessage-ID: <pl." A ".7@h>\r\n", 0},
        {"Subject: x\n\nX-Postern-Load: " A ".8\n", 0},
        {"Subject: Message-ID: <pl." A ".7@h>\r\n\r\n", 0},
        {"Message-ID-Old: <pl." A ".7@h>\r\n\r\n", 0},
        {"Message-ID:", 0},
        {"Message-ID", 0},
        {"", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct identity id;
        bool is_found = identity_find(slice_str(rows[i].content), &id);
        assert_int_equal(is_found, rows[i].seq != 0);
        if (is_found)
            assert_true(id.run == 0xAA && id.seq == rows[i].seq);
    }
}

static struct slice without_lf(const struct buf *b)
{
    assert_false(b->is_full);
    assert_true(b->len > 0 && b->ptr[b->len - 1] == '\n');
    assert_true(slice_find(buf_slice(b), '\n') == b->len - 1);
    return slice_of(b->ptr, b->len - 1);
}

static void attempt_line(void **state)
{
    (void)state;
    uint8_t memory[ATTEMPT_LINE_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    struct attempt in = {.id = {5, 42},
                         .attempt = 1,
                         .rcpt_idx = 2,
                         .address = SLICE_LIT("u@example"),
                         .planned_at = 100,
                         .start_at = 110,
                         .end_at = 120,
                         .fate = ATTEMPT_DEFERRED,
                         .code = 451,
                         .enhanced = {4, 3, 0},
                         .phase = CLIENT_PHASE_DONE,
                         .cause = ATTEMPT_CAUSE_REPLY,
                         .sent = ATTEMPT_SENT_ALL,
                         .replies_seen = 3,
                         .replies_due = 4,
                         .will_retry = true};
    attempts_put(&b, &in);
    assert_true(
        slice_eq(buf_slice(&b), SLICE_LIT("42\t1\t2\tu@example\t100\t110\t120\tdeferred\t451\t"
                                          "4.3.0\tdone\treply\tall\t3\t4\tretry\n")));
    struct attempt out = {.code = 1};
    assert_true(attempts_parse(without_lf(&b), 5, &out));
    assert_true(out.id.run == 5 && slice_eq(out.address, in.address) && out.will_retry);
    uint8_t again[ATTEMPT_LINE_BYTES_MAX];
    struct buf c = buf_over(again, sizeof(again));
    attempts_put(&c, &out);
    assert_true(slice_eq(buf_slice(&b), buf_slice(&c)));
}

/* Largest and smallest values, strange addresses. */
static void attempt_lines_are_bounded(void **state)
{
    (void)state;
    uint8_t memory[ATTEMPT_LINE_BYTES_MAX];
    char address[2000];
    memset(address, 'a', sizeof(address));
    struct buf b = buf_over(memory, sizeof(memory));
    struct attempt a = {.id = {UINT64_MAX, IDENTITY_SEQ_MAX},
                        .attempt = UINT32_MAX,
                        .rcpt_idx = UINT32_MAX,
                        .address = slice_of(address, sizeof(address)),
                        .planned_at = UINT64_MAX,
                        .start_at = UINT64_MAX,
                        .end_at = UINT64_MAX,
                        .fate = ATTEMPT_ACCEPTED,
                        .code = UINT16_MAX,
                        .enhanced = {UINT16_MAX, UINT16_MAX, UINT16_MAX},
                        .phase = CLIENT_PHASE_GREETING,
                        .cause = ATTEMPT_CAUSE_MISBEHAVIOUR,
                        .replies_seen = UINT32_MAX,
                        .replies_due = UINT32_MAX,
                        .will_retry = true};
    struct attempt out;
    attempts_put(&b, &a);
    assert_true(attempts_parse(without_lf(&b), UINT64_MAX, &out));
    assert_int_equal(out.address.len, 1024);
    b.len = 0;
    a = (struct attempt){.id.run = 1, .address = SLICE_LIT("a\tb\n\x7f")};
    attempts_put(&b, &a);
    assert_true(attempts_parse(without_lf(&b), 1, &out));
    assert_true(slice_eq(out.address, SLICE_LIT("a?b??")));
    assert_true(out.planned_at == 0 && out.code == 0 && out.replies_due == 0);
    b.len = 0;
    a.address = SLICE_LIT("-");
    attempts_put(&b, &a);
    assert_true(attempts_parse(without_lf(&b), 1, &out));
    assert_true(slice_eq(out.address, SLICE_LIT("?")));
    b.len = 0;
    a.address = SLICE_EMPTY;
    attempts_put(&b, &a);
    assert_true(attempts_parse(without_lf(&b), 1, &out));
    assert_int_equal(out.address.len, 0);
}

static void bad_attempt_lines(void **state)
{
    (void)state;
    static const char good[] =
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\tend";
    static const char *const rows[] = {
        "",
        "1",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\tend\t",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\tend\tx",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\tend\r",
        "01\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\tend",
        "1\t4294967296\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\tend",
        "1\t0\t0\t\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\tend",
        "1\t0\t0\tu@e\t0\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\tend",
        "1\t0\t0\tu@e\t1\t2\t3\tAccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\tend",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t65536\t2.0.0\tdone\treply\tall\t1\t1\tend",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0\tdone\treply\tall\t1\t1\tend",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t0.0.0\tdone\treply\tall\t1\t1\tend",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0.1\tdone\treply\tall\t1\t1\tend",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdon\treply\tall\t1\t1\tend",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\tretry\tall\t1\t1\tend",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tsome\t1\t1\tend",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t0\tend",
        "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t2.0.0\tdone\treply\tall\t1\t1\t-",
    };
    struct attempt a;
    assert_true(attempts_parse(slice_str(good), 1, &a));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_false(attempts_parse(slice_str(rows[i]), 1, &a));
    for (size_t len = 0; len < sizeof(good) - 1; len++)
        assert_false(attempts_parse(slice_of(good, len), 1, &a));
}

static void heads(void **state)
{
    (void)state;
    uint8_t memory[512];
    struct buf b = buf_over(memory, sizeof(memory));
    uint64_t run = 0;
    attempts_put_head(&b, 0xABC);
    struct slice all = buf_slice(&b);
    size_t len = slice_find(all, '\n');
    assert_true(attempts_parse_head(slice_first(all, len), &run));
    assert_true(run == 0xABC);
    struct slice columns = slice_from(all, len + 1);
    assert_true(columns.ptr[0] == '#' && columns.ptr[columns.len - 1] == '\n');
    assert_false(attempts_parse_head(slice_first(all, len - 1), &run));
    assert_false(attempts_parse_head(SLICE_LIT("#postern-attempts 2 run=0000000000000abc"), &run));
    assert_false(attempts_parse_head(SLICE_LIT("#postern-attempts 1 run=0000000000000000"), &run));
    b.len = 0;
    arrivals_put_head(&b);
    all = buf_slice(&b);
    len = slice_find(all, '\n');
    assert_true(arrivals_parse_head(slice_first(all, len)));
    assert_false(arrivals_parse_head(slice_first(all, len - 1)));
    assert_false(arrivals_parse_head(SLICE_LIT("#postern-arrivals 12")));
}

static void arrival_line(void **state)
{
    (void)state;
    uint8_t memory[ARRIVAL_LINE_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    struct arrival in = {.has_id = true,
                         .id = {0x5, 42},
                         .rcpt_idx = 2,
                         .address = SLICE_LIT("u@example"),
                         .at = 100,
                         .content_bytes = 1234,
                         .hash = 0xFEED,
                         .code = 250,
                         .delivered = ARRIVAL_REPLY_NO,
                         .conn = 7,
                         .txn = 3,
                         .via = SLICE_LIT("lmtp")};
    struct arrival out = {0};
    arrivals_put(&b, &in);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("0000000000000005\t42\t2\tu@example\t100\t1234\t"
                                                  "000000000000feed\t250\tno\t7\t3\tlmtp\n")));
    assert_true(arrivals_parse(without_lf(&b), &out));
    assert_true(slice_eq(out.address, in.address) && slice_eq(out.via, in.via));
    assert_true(out.has_id && out.id.run == 5 && out.hash == 0xFEED && out.txn == 3);
    uint8_t again[ARRIVAL_LINE_BYTES_MAX];
    struct buf c = buf_over(again, sizeof(again));
    arrivals_put(&c, &out);
    assert_true(slice_eq(buf_slice(&b), buf_slice(&c)));
    b.len = 0;
    in = (struct arrival){.rcpt_idx = UINT32_MAX};
    arrivals_put(&b, &in);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("-\t-\t-\t-\t-\t0\t-\t-\t-\t0\t0\t-\n")));
    assert_true(arrivals_parse(without_lf(&b), &out));
    assert_true(!out.has_id && out.rcpt_idx == UINT32_MAX && out.address.len == 0);
}

static void bad_arrival_lines(void **state)
{
    (void)state;
    static const char good[] =
        "0000000000000005\t42\t2\tu@e\t100\t1234\t000000000000feed\t250\tno\t7\t3\tlmtp";
    static const char *const rows[] = {
        "-\t42\t2\tu@e\t100\t1234\t000000000000feed\t250\tno\t7\t3\tlmtp",
        "0000000000000005\t-\t2\tu@e\t100\t1234\t000000000000feed\t250\tno\t7\t3\tlmtp",
        "0000000000000000\t42\t2\tu@e\t100\t1234\t000000000000feed\t250\tno\t7\t3\tlmtp",
        "0000000000000005\t42\t4294967295\tu@e\t100\t1234\t000000000000feed\t250\tno\t7\t3\tlmtp",
        "0000000000000005\t42\t2\tu@e\t100\t-\t000000000000feed\t250\tno\t7\t3\tlmtp",
        "0000000000000005\t42\t2\tu@e\t100\t1234\tFEED\t250\tno\t7\t3\tlmtp",
        "0000000000000005\t42\t2\tu@e\t100\t1234\t000000000000feed\t250\tmaybe\t7\t3\tlmtp",
        "0000000000000005\t42\t2\tu@e\t100\t1234\t000000000000feed\t250\tno\t7\t3\tlmtp\tx",
        "0000000000000005\t42\t2\tu@e\t100\t1234\t000000000000feed\t250\tno\t7\t3\t",
    };
    struct arrival a;
    assert_true(arrivals_parse(slice_str(good), &a));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_false(arrivals_parse(slice_str(rows[i]), &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_texts),
        cmocka_unit_test(identity_in_message_id),
        cmocka_unit_test(identity_in_header),
        cmocka_unit_test(attempt_line),
        cmocka_unit_test(attempt_lines_are_bounded),
        cmocka_unit_test(bad_attempt_lines),
        cmocka_unit_test(heads),
        cmocka_unit_test(arrival_line),
        cmocka_unit_test(bad_arrival_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
