/* SPDX-License-Identifier: Apache-2.0 */
/* data_test.c - dot stuffing and BDAT arguments: CORE-22, CORE-44, CORE-47. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/data.h"

/* Slow and obvious: what should come out, and whether the content is bad. */
static size_t reference(const char *in, size_t len, char *out, bool *ret_bad)
{
    size_t n = 0;
    bool is_bad = false;
    for (size_t i = 0; i < len; i++) {
        bool is_line_start = i == 0 || (i >= 2 && in[i - 1] == '\n' && in[i - 2] == '\r');
        if (in[i] == '.' && is_line_start)
            out[n++] = '.';
        if (in[i] == '\n' && (i == 0 || in[i - 1] != '\r'))
            is_bad = true;
        if (in[i] == '\r' && (i + 1 == len || in[i + 1] != '\n'))
            is_bad = true;
        out[n++] = in[i];
    }
    *ret_bad = is_bad;
    return n;
}

static size_t stuff(const char *in, size_t len, size_t step, char *out, bool *ret_bad)
{
    struct data_stuffing st = {0};
    size_t n = 0;
    for (size_t at = 0; at < len;) {
        struct slices parts = {0};
        size_t used = data_stuff(&st, slice_of(in + at, size_min(step, len - at)), &parts);
        assert_true(used > 0);
        at += used;
        for (uint32_t i = 0; i < parts.count; i++) {
            assert_true(parts.at[i].len > 0);
            memcpy(out + n, parts.at[i].ptr, parts.at[i].len);
            n += parts.at[i].len;
        }
    }
    *ret_bad = data_is_bad(&st);
    if (!*ret_bad) {
        struct slice end = data_terminator(&st);
        bool has_line_end = len == 0 || (len >= 2 && in[len - 1] == '\n');
        assert_true(slice_eq(end, has_line_end ? SLICE_LIT(".\r\n") : SLICE_LIT("\r\n.\r\n")));
    }
    return n;
}

/* All contents of a small alphabet, at every step. Bad content need only be found bad. */
static void test_exhaustive(void **state)
{
    static const char alphabet[] = "a.\r\n";
    (void)state;
    for (unsigned n = 0; n < 65536; n++) { /* 4^8 */
        char in[8];
        char expected[32];
        char got[32];
        unsigned rest = n;
        for (int i = 0; i < 8; i++, rest /= 4)
            in[i] = alphabet[rest % 4];
        bool expected_bad;
        size_t expected_len = reference(in, 8, expected, &expected_bad);
        bool is_plain = !expected_bad && expected_len == 8 && in[7] == '\n';
        assert_int_equal(data_is_plain(slice_of(in, 8)), is_plain);
        for (size_t step = 1; step <= 8; step++) {
            bool is_bad;
            size_t len = stuff(in, 8, step, got, &is_bad);
            assert_int_equal(is_bad, expected_bad);
            if (!is_bad) {
                assert_int_equal(len, expected_len);
                assert_memory_equal(got, expected, len);
            }
        }
    }
}

/* More dots than parts: stops, and goes on where it stopped. */
static void test_many_dots(void **state)
{
    static char in[3000];
    static char expected[6000];
    static char got[6000];
    bool is_bad;
    (void)state;
    for (size_t i = 0; i < sizeof(in); i += 3)
        memcpy(in + i, ".\r\n", 3);
    size_t len = reference(in, sizeof(in), expected, &is_bad);
    assert_int_equal(stuff(in, sizeof(in), sizeof(in), got, &is_bad), len);
    assert_memory_equal(got, expected, len);
    assert_false(is_bad);
}

static void test_chunk(void **state)
{
    static const struct {
        const char *args;
        bool is_good;
        uint64_t bytes;
        bool is_last;
    } rows[] = {
        {"0", true, 0, false},
        {"10", true, 10, false},
        {"0 LAST", true, 0, true},
        {"7  last", true, 7, true},
        {"18446744073709551615", true, UINT64_MAX, false},
        {"00000000000000000001", true, 1, false},
        {"18446744073709551616", false, 0, false},
        {"99999999999999999999", false, 0, false},
        {"000000000000000000001", false, 0, false},
        {"", false, 0, false},
        {"LAST", false, 0, false},
        {"-1", false, 0, false},
        {"1LAST", false, 0, false},
        {"1 LASTX", false, 0, false},
        {"1 LAST LAST", false, 0, false},
        {"1 2", false, 0, false},
        {"0x10", false, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t bytes = 0;
        bool is_last = false;
        assert_int_equal(data_parse_chunk(slice_str(rows[i].args), &bytes, &is_last),
                         rows[i].is_good);
        if (!rows[i].is_good)
            continue;
        assert_true(bytes == rows[i].bytes);
        assert_int_equal(is_last, rows[i].is_last);
        char memory[64];
        struct buf b = buf_over(memory, sizeof(memory));
        data_put_chunk(&b, bytes, is_last);
        uint64_t again;
        struct slice args = slice_of(memory + 5, b.len - 7);
        assert_true(data_parse_chunk(args, &again, &is_last));
        assert_true(again == bytes);
        assert_int_equal(is_last, rows[i].is_last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exhaustive),
        cmocka_unit_test(test_many_dots),
        cmocka_unit_test(test_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
