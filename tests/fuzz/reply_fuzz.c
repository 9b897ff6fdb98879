/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply_fuzz.c - replies. Oracles: a reply built from any status and any text is one well-formed
 * line within the limit and parses back, alone and wrapped; a line that parses has sane parts that
 * lie inside it; lines of a wrapped reply are lines of an ordinary one, outside and inside.
 */
#include "base/assert.h"
#include "smtp/wrapped.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_build(enum status st, struct slice text, uint32_t flags)
{
    uint8_t memory[REPLY_LINE_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    struct answer a = {.status = st, .text = text};
    struct reply_line line;
    ASSERT(reply_put(&b, &a, flags));
    ASSERT(b.len >= 6 && memory[b.len - 2] == '\r' && memory[b.len - 1] == '\n');
    struct slice body = slice_of(memory, b.len - 2);
    for (size_t i = 0; i < body.len; i++)
        ASSERT(body.ptr[i] >= 0x20 && body.ptr[i] != 0x7F);
    ASSERT(reply_parse_line(body, &line));
    ASSERT(line.is_last);
    ASSERT(line.code == status_row(st)->code);
    if ((flags & REPLY_ENHANCED) != 0 && status_row(st)->enhanced[0] != 0)
        ASSERT(line.enhanced[0] == status_row(st)->enhanced[0]);
}

static void check_parse(struct slice in)
{
    struct reply_line line;
    struct reply_state st = {0};
    if (!reply_parse_line(in, &line))
        return;
    ASSERT(line.code >= 200 && line.code <= 599);
    ASSERT(line.enhanced[0] == 0 || line.enhanced[0] == line.code / 100);
    ASSERT(line.text.len <= in.len);
    if (line.text.len > 0)
        ASSERT(line.text.ptr + line.text.len == in.ptr + in.len);
    ASSERT(reply_add_line(&st, &line) == (line.is_last ? REPLY_DONE : REPLY_MORE));
}

static void check_build_wrapped(enum status st, struct slice text, uint32_t flags, bool is_last)
{
    uint8_t memory[REPLY_LINE_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    struct answer a = {.status = st, .text = text};
    struct wrapped_line line;
    ASSERT(wrapped_put(&b, EXDATA_CODE, is_last, &a, flags));
    ASSERT(wrapped_parse_line(slice_of(memory, b.len - 2), EXDATA_CODE, &line));
    ASSERT(line.is_last == is_last && line.inner.is_last);
    ASSERT(line.inner.code == status_row(st)->code);
}

static void check_parse_wrapped(struct slice in)
{
    struct wrapped_line line;
    struct reply_line outer;
    struct reply_line inner;
    if (!wrapped_parse_line(in, EXDATA_CODE, &line))
        return;
    ASSERT(reply_parse_line(in, &outer));
    ASSERT(outer.code == EXDATA_CODE && outer.is_last == line.is_last);
    ASSERT(reply_parse_line(slice_from(in, 4), &inner));
    ASSERT(inner.code == line.inner.code && inner.is_last == line.inner.is_last);
    ASSERT(slice_eq(inner.text, line.inner.text));
    ASSERT(!line.is_last || line.inner.is_last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice in = slice_of(data + 2, size - 2);
    enum status st = (enum status)(1 + data[0] % (STATUS_COUNT - 1));
    check_build(st, in, data[1] & (REPLY_ENHANCED | REPLY_UTF8));
    check_parse(in);
    check_build_wrapped(st, in, data[1] & (REPLY_ENHANCED | REPLY_UTF8), (data[1] & 128) != 0);
    check_parse_wrapped(in);
    return 0;
}
