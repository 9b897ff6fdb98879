/* SPDX-License-Identifier: Apache-2.0 */
/* line_test.c - CRLF framing: CORE-40, CORE-45, limits; equal at every split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/buf.h"
#include "smtp/line.h"

#define LIMIT 16
#define OUT_BYTES 256

/* Results of a whole input as text: O(line) T(oo long) B(ad ending) and a final M(ore). */
static void run(struct slice in, size_t step, char *out)
{
    uint8_t held[256];
    size_t held_len = 0;
    bool is_skipping = false;
    struct buf text = buf_over(out, OUT_BYTES);
    for (size_t at = 0; at <= in.len; at += step) {
        size_t n = size_min(step, in.len - at);
        memcpy(held + held_len, in.ptr + at, n);
        held_len += n;
        for (;;) {
            struct slice line;
            size_t used;
            enum line_result result =
                line_next(&is_skipping, slice_of(held, held_len), LIMIT, &line, &used);
            if (result == LINE_OK) {
                BUF_PUT_LIT(&text, "O");
                buf_put(&text, line);
                BUF_PUT_LIT(&text, "|");
            }
            if (result == LINE_TOO_LONG)
                BUF_PUT_LIT(&text, "T|");
            memmove(held, held + used, held_len - used);
            held_len -= used;
            if (result == LINE_BAD_ENDING) {
                assert_int_equal(used, 0);
                BUF_PUT_LIT(&text, "B\0");
                return;
            }
            if (result == LINE_MORE)
                break;
        }
        assert_true(held_len <= LIMIT);
    }
    BUF_PUT_LIT(&text, "M\0");
}

static void test_rows(void **state)
{
    static const struct {
        const char *in;
        const char *expected;
    } rows[] = {
        {"", "M"},
        {"a", "M"},
        {"\r", "M"},
        {"\r\n", "O|M"},
        {"a\r\nb\r\n", "Oa|Ob|M"},
        {"a\r\nb\r", "Oa|M"},
        {"a\n", "B"},
        {"\n", "B"},
        {"a\rb\r\n", "B"},
        {"a\r\r\n", "B"},
        {"a\r\n\n", "Oa|B"},
        {"12345678901234\r\n", "O12345678901234|M"},
        {"123456789012345\r\n", "T|M"},
        {"1234567890123456\r\nx\r\n", "T|Ox|M"},
        {"12345678901234567890123456789012345678901234567890\r\nx\r\n", "T|Ox|M"},
        {"12345678901234567890\nx\r\n", "B"},
        {"12345678901234567890\rx\r\n", "B"},
        {"12345678901234567890\r\n\r\n", "T|O|M"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (size_t step = 1; step <= strlen(rows[i].in) + 1; step++) {
            char out[OUT_BYTES];
            run(slice_str(rows[i].in), step, out);
            if (strcmp(out, rows[i].expected) != 0)
                fail_msg("row %zu, step %zu: expected %s, got %s", i, step, rows[i].expected, out);
        }
    }
}

/* All inputs of a small alphabet: whole and byte by byte are the same. */
static void test_exhaustive(void **state)
{
    static const char alphabet[] = "a\r\n";
    (void)state;
    for (unsigned n = 0; n < 6561; n++) { /* 3^8 */
        char in[8];
        char whole[OUT_BYTES];
        char split[OUT_BYTES];
        unsigned rest = n;
        for (int i = 0; i < 8; i++, rest /= 3)
            in[i] = alphabet[rest % 3];
        run(slice_of(in, 8), 9, whole);
        run(slice_of(in, 8), 1, split);
        assert_string_equal(whole, split);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_exhaustive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
