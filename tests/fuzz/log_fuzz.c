/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_fuzz.c - any keys' values into a log line: the line must be one line of printable ASCII
 * within its bound, and reading it back must give the values that went in.
 *
 * The input is cut into values at 0xFF bytes; its first byte chooses how much memory the line has.
 */
#include "obs/log.h"
#include <stdlib.h>

#define KEYS_MAX 40
#define LINE_CAP_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A cursor over a line that is being read back. */
struct reader {
    struct slice rest;
};

static void expect(bool is_true)
{
    if (!is_true)
        abort();
}

static uint8_t take_byte(struct reader *r)
{
    expect(r->rest.len > 0);
    uint8_t c = r->rest.ptr[0];
    r->rest = slice_from(r->rest, 1);
    return c;
}

static uint8_t hex_digit(uint8_t c)
{
    expect((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Undoes one escape; the backslash has been read. */
static uint8_t read_escape(struct reader *r)
{
    uint8_t c = take_byte(r);
    switch (c) {
    case '"':
    case '\\':
        return c;
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        expect(c == 'x');
        c = (uint8_t)(hex_digit(take_byte(r)) << 4);
        return (uint8_t)(c | hex_digit(take_byte(r)));
    }
}

static void read_value(struct reader *r, struct slice want)
{
    if (r->rest.len > 0 && r->rest.ptr[0] == '"') {
        take_byte(r);
        for (size_t i = 0; i < want.len; i++) {
            uint8_t c = take_byte(r);
            expect(c != '"');
            expect((c == '\\' ? read_escape(r) : c) == want.ptr[i]);
        }
        expect(take_byte(r) == '"');
        return;
    }
    expect(want.len > 0); /* an empty value is quoted */
    for (size_t i = 0; i < want.len; i++) {
        uint8_t c = take_byte(r);
        expect(c == want.ptr[i] && c != ' ' && c != '=' && c != '"' && c != '\\');
    }
}

static void expect_text(struct reader *r, struct slice want)
{
    expect(slice_eq(slice_first(r->rest, want.len), want));
    r->rest = slice_from(r->rest, want.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice values[KEYS_MAX];
    size_t count = 0;
    if (size == 0)
        return 0;
    size_t cap = LOG_LINE_BYTES_MIN + (size_t)data[0] * 15;
    struct slice in = slice_of(data + 1, size - 1);
    uint8_t *memory = malloc(cap); /* exactly: the sanitizer sees the end */
    expect(memory != NULL && cap <= LINE_CAP_MAX);
    struct log_line l;
    log_line_begin(&l, memory, cap, 1767323045678901, "info", "fuzz");
    struct reader r = {slice_of(memory, l.buf.len)};
    size_t head = l.buf.len;
    while (count < KEYS_MAX && in.len > 0) {
        values[count] = slice_first(in, slice_find(in, 0xFF));
        log_line_slice(&l, "k", values[count]);
        in = slice_from(in, values[count].len + 1);
        count++;
    }
    struct slice line = log_line_end(&l);
    expect(line.len <= cap && slice_find(line, '\n') == line.len - 1);
    for (size_t i = 0; i + 1 < line.len; i++)
        expect(line.ptr[i] >= 0x20 && line.ptr[i] < 0x7F);
    r.rest = slice_from(line, head);
    for (size_t i = 0; i < count && !slice_eq(r.rest, SLICE_LIT(" cut=true\n")); i++) {
        expect_text(&r, SLICE_LIT(" k="));
        read_value(&r, values[i]);
    }
    expect_text(&r, l.is_cut ? SLICE_LIT(" cut=true\n") : SLICE_LIT("\n"));
    expect(r.rest.len == 0);
    free(memory);
    return 0;
}
