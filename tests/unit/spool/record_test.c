/* SPDX-License-Identifier: Apache-2.0 */
/* record_test.c - the record format: what is encoded is decoded, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include "spool/record.h"

#define GENERATION 0x1234567890ABCDEFu
#define PAYLOAD_MAX 4096

static struct record_header header_sample(void)
{
    struct record_header h = {
        .type = RECORD_DATA,
        .generation = GENERATION,
        .queue_id = 77,
        .number = 3,
        .offset = 8192,
        .length = 1000,
        .settled = 4096,
        .position = 12,
        .payload_check = 99,
    };
    record_header_seal(&h);
    return h;
}

static void test_header(void **state)
{
    (void)state;
    struct record_header h = header_sample();
    struct record_header got;
    const uint8_t *bytes = (const uint8_t *)&h;
    assert_true(record_header_read(bytes, GENERATION, 8192, MIB, &got));
    assert_memory_equal(&h, &got, sizeof(h));
    assert_false(record_header_read(bytes, GENERATION + 1, 8192, MIB, &got));
    assert_false(record_header_read(bytes, GENERATION, 8192 + RECORD_ALIGN, MIB, &got));
    assert_false(record_header_read(bytes, GENERATION, 8192, 8192 + 1000, &got)); /* cut short */
    assert_true(record_header_read(bytes, GENERATION, 8192, 8192 + 1088, &got));
    assert_false(record_header_read(bytes, GENERATION, 8192, 4096, &got));
    for (unsigned type = 0; type < 256; type++) {
        h.type = (uint8_t)type;
        record_header_seal(&h);
        bool is_known = type >= RECORD_DATA && type <= RECORD_PAD;
        assert_int_equal(record_header_read(bytes, GENERATION, 8192, MIB, &got), is_known);
    }
    h = header_sample();
    h.length = UINT32_MAX; /* rounding up must not wrap */
    record_header_seal(&h);
    assert_false(record_header_read(bytes, GENERATION, 8192, MIB, &got));
}

/* Every value of every byte: only the right one is taken. */
static void test_header_flips(void **state)
{
    (void)state;
    struct record_header h = header_sample();
    struct record_header got;
    uint8_t *bytes = (uint8_t *)&h;
    for (size_t i = 0; i < sizeof(h); i++)
        for (unsigned flip = 1; flip < 256; flip++) {
            bytes[i] ^= (uint8_t)flip;
            assert_false(record_header_read(bytes, GENERATION, 8192, MIB, &got));
            bytes[i] ^= (uint8_t)flip;
        }
    assert_true(record_header_read(bytes, GENERATION, 8192, MIB, &got));
}

static void test_segment_header(void **state)
{
    (void)state;
    struct segment_header h = {
        .shard = 3, .seq = 9, .capacity = MIB, .generation = GENERATION, .queue_floor = 5};
    struct segment_header got;
    segment_header_seal(&h);
    uint8_t *bytes = (uint8_t *)&h;
    assert_true(segment_header_read(bytes, &got));
    assert_memory_equal(&h, &got, sizeof(h));
    for (size_t i = 0; i < sizeof(h); i++)
        for (unsigned flip = 1; flip < 256; flip++) {
            bytes[i] ^= (uint8_t)flip;
            assert_false(segment_header_read(bytes, &got));
            bytes[i] ^= (uint8_t)flip;
        }
    static const struct segment_header bad[] = {
        {.shard = SHARD_COUNT_MAX, .capacity = MIB},
        {.capacity = RECORD_BLOCK},
        {.capacity = SEGMENT_BYTES_MAX + RECORD_BLOCK},
        {.capacity = MIB + 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        h = bad[i];
        segment_header_seal(&h);
        assert_false(segment_header_read(bytes, &got));
    }
}

static const struct spool_rcpt rcpts[] = {
    {.address = SLICE_INIT("a@example.org"),
     .class_name = SLICE_INIT("c"),
     .params = {.notify = 3, .orcpt = SLICE_INIT("rfc822;a+40b")},
     .state = SPOOL_RCPT_ACTIVE},
    {.address = SLICE_INIT("b@example.org"), .state = SPOOL_RCPT_HELD},
};

static struct spool_envelope envelope_sample(void)
{
    return (struct spool_envelope){
        .received_at = 123456789,
        .reverse_path = SLICE_LIT("s@example.com"),
        .mail = {.has_size = true,
                 .size = 4711,
                 .body = PARAM_BODY_BINARYMIME,
                 .smtputf8 = true,
                 .dialects = SESSION_OFFER_PRDR,
                 .ret = PARAM_RET_FULL,
                 .envid = SLICE_LIT("id")},
        .helo = SLICE_LIT("h"),
        .client = SLICE_LIT("unix"),
        .listener = SLICE_LIT("l"),
        .protocol = SLICE_LIT("LMTP"),
        .trace = SLICE_LIT("Received: x\r\n"),
        .message_id = SLICE_LIT("<m>"),
        .flags = 5,
        .score = -250,
        .hash = {1, 2},
        .content_bytes = 4711,
        .rcpts = rcpts,
        .rcpt_count = ARRAY_COUNT(rcpts),
    };
}

static size_t commit_encode(const struct spool_envelope *e, uint32_t extents, uint8_t *payload)
{
    uint64_t len = record_commit_bytes(e, extents);
    assert_in_range(len, 1, PAYLOAD_MAX);
    record_commit_encode(e, 42, 0xC0FFEE, extents, payload);
    for (uint32_t i = 0; i < extents; i++)
        record_commit_extents(payload)[i] = (struct record_extent){i, 100 + i, 10, 7};
    return (size_t)len;
}

static void test_commit(void **state)
{
    (void)state;
    _Alignas(8) uint8_t payload[PAYLOAD_MAX];
    struct spool_envelope e = envelope_sample();
    size_t len = commit_encode(&e, 3, payload);
    struct record_commit c;
    assert_int_equal(record_commit_length(slice_of(payload, len)), len);
    assert_true(record_commit_decode(slice_of(payload, len), &c));
    assert_int_equal(c.queue_id, 42);
    assert_int_equal(c.content_check, 0xC0FFEE);
    assert_int_equal(c.extent_count, 3);
    assert_int_equal(c.held_count, 1);
    assert_int_equal(record_commit_extent(&c, 2).offset, 102);
    assert_true(slice_eq(c.envelope.reverse_path, e.reverse_path));
    assert_true(slice_eq(c.envelope.trace, e.trace));
    assert_true(slice_eq(c.envelope.mail.envid, e.mail.envid));
    assert_true(c.envelope.mail.smtputf8 && c.envelope.mail.has_size);
    assert_int_equal(c.envelope.mail.body, PARAM_BODY_BINARYMIME);
    assert_int_equal(c.envelope.score, -250);
    size_t cursor = 0;
    struct spool_rcpt r;
    for (size_t i = 0; i < ARRAY_COUNT(rcpts); i++) {
        assert_true(record_commit_rcpt(&c, &cursor, &r));
        assert_true(slice_eq(r.address, rcpts[i].address));
        assert_true(slice_eq(r.class_name, rcpts[i].class_name));
        assert_true(slice_eq(r.params.orcpt, rcpts[i].params.orcpt));
        assert_int_equal(r.params.notify, rcpts[i].params.notify);
        assert_int_equal(r.state, rcpts[i].state);
    }
    assert_false(record_commit_rcpt(&c, &cursor, &r));
}

/* No shorter and no longer payload is one; each is in memory of its own, for the sanitizer. */
static void test_commit_truncated(void **state)
{
    (void)state;
    _Alignas(8) uint8_t payload[PAYLOAD_MAX] = {0};
    struct spool_envelope e = envelope_sample();
    size_t len = commit_encode(&e, 3, payload);
    struct record_commit c;
    for (size_t i = 0; i < len + 64; i++) {
        uint8_t *copy = malloc(i + 1);
        assert_non_null(copy);
        memcpy(copy, payload, i);
        assert_int_equal(record_commit_decode(slice_of(copy, i), &c), i == len);
        free(copy);
    }
}

/* A flipped byte changes the checksum; decoding what is flipped all the same stays in bounds. */
static void test_commit_flips(void **state)
{
    (void)state;
    _Alignas(8) uint8_t payload[PAYLOAD_MAX];
    struct spool_envelope e = envelope_sample();
    size_t len = commit_encode(&e, 2, payload);
    uint64_t check = record_payload_check(slice_of(payload, len));
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    for (size_t i = 0; i < len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(copy, payload, len);
            copy[i] ^= (uint8_t)(1u << bit);
            assert_true(record_payload_check(slice_of(copy, len)) != check);
            struct record_commit c;
            struct spool_rcpt r;
            size_t cursor = 0;
            if (!record_commit_decode(slice_of(copy, len), &c))
                continue;
            while (record_commit_rcpt(&c, &cursor, &r))
                assert_true(r.address.ptr + r.address.len <= copy + len);
        }
    free(copy);
}

static void test_commit_limits(void **state)
{
    (void)state;
    static uint8_t big[UINT16_MAX + 1];
    struct spool_envelope e = envelope_sample();
    e.trace = slice_of(big, UINT16_MAX);
    assert_true(record_commit_bytes(&e, 0) > UINT16_MAX);
    e.trace = slice_of(big, UINT16_MAX + 1);
    assert_int_equal(record_commit_bytes(&e, 0), 0);
    e = envelope_sample();
    struct spool_rcpt long_rcpt = {.address = slice_of(big, sizeof(big)),
                                   .state = SPOOL_RCPT_ACTIVE};
    e.rcpts = &long_rcpt;
    e.rcpt_count = 1;
    assert_int_equal(record_commit_bytes(&e, 0), 0);
    e = envelope_sample();
    assert_int_equal(record_commit_bytes(&e, UINT32_MAX), 0);
}

static void test_chain(void **state)
{
    (void)state;
    uint64_t ab = record_chain_check(record_chain_check(0, 1, 10), 2, 20);
    assert_true(ab != record_chain_check(record_chain_check(0, 2, 20), 1, 10)); /* order */
    assert_true(ab != record_chain_check(record_chain_check(0, 1, 11), 2, 20)); /* length */
    assert_true(ab != record_chain_check(0, 2, 20));                            /* one lost */
}

static void test_queue_id_text(void **state)
{
    (void)state;
    static const uint64_t ids[] = {1, 31, 32, 0x0100000000000001u, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        char text[QUEUE_ID_CHARS + 1];
        uint64_t got = 0;
        queue_id_format(ids[i], text);
        assert_int_equal(strlen(text), QUEUE_ID_CHARS);
        assert_true(queue_id_parse(slice_str(text), &got));
        assert_true(got == ids[i]);
    }
    uint64_t got;
    assert_true(queue_id_parse(SLICE_LIT("00000000000oi"), &got));
    assert_int_equal(got, 1);
    static const char *const bad[] = {"",
                                      "0000000000000",
                                      "000000000000",
                                      "00000000000001",
                                      "G000000000000",
                                      "000000000000U",
                                      "000000000000-"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(queue_id_parse(slice_str(bad[i]), &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),           cmocka_unit_test(test_header_flips),
        cmocka_unit_test(test_segment_header),   cmocka_unit_test(test_commit),
        cmocka_unit_test(test_commit_truncated), cmocka_unit_test(test_commit_flips),
        cmocka_unit_test(test_commit_limits),    cmocka_unit_test(test_chain),
        cmocka_unit_test(test_queue_id_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
