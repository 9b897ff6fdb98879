/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data.c - content as a sender frames it.
 *
 * Stuffing inserts slices and moves nothing: runs of content between inserted dots stay where they
 * are. Only CRLF counts as a line end; a bare CR or LF marks the content as bad, because a receiver
 * might read another end of data into it (CORE-41, CORE-47).
 */
#include "smtp/data.h"

#define CHUNK_DIGITS_MAX 20

static void put(struct slices *parts, const uint8_t *from, const uint8_t *to)
{
    if (from == to)
        return;
    ASSERT(parts->count < SLICES_MAX);
    parts->at[parts->count++] = slice_of(from, (size_t)(to - from));
}

/* Move over the rest of a line, with its end when it is there. */
static size_t skip_line(struct data_stuffing *st, struct slice in)
{
    size_t lf = slice_find(in, '\n');
    bool has_end = lf < in.len;
    size_t cr = slice_find(slice_first(in, lf), '\r');
    bool was_after_cr = st->is_after_cr && lf == 0;
    if (st->is_after_cr && lf != 0)
        st->is_bad = true;
    if (cr + 1 < lf || (has_end && cr == lf && !was_after_cr))
        st->is_bad = true; /* CR inside the line, or LF without CR */
    st->is_after_cr = !has_end && cr + 1 == in.len;
    st->is_in_line = !has_end;
    return has_end ? lf + 1 : in.len;
}

size_t data_stuff(struct data_stuffing *st, struct slice in, struct slices *parts)
{
    static const uint8_t dot[] = ".";
    size_t at = 0;
    size_t start = 0; /* of the run that is not in @parts yet */
    while (at < in.len) {
        if (!st->is_in_line && in.ptr[at] == '.') {
            if (parts->count + 3 > SLICES_MAX)
                break; /* the run before, the dot, the run behind */
            put(parts, in.ptr + start, in.ptr + at);
            put(parts, dot, dot + 1);
            start = at;
        }
        if (parts->count == SLICES_MAX)
            break;
        at += skip_line(st, slice_from(in, at));
    }
    if (in.len > 0)
        put(parts, in.ptr + start, in.ptr + at);
    return at;
}

bool data_is_plain(struct slice in)
{
    struct data_stuffing st = {0};
    while (in.len > 0) {
        if (!st.is_in_line && in.ptr[0] == '.')
            return false;
        in = slice_from(in, skip_line(&st, in));
    }
    return !st.is_in_line && !data_is_bad(&st);
}

bool data_is_bad(const struct data_stuffing *st)
{
    return st->is_bad || st->is_after_cr;
}

struct slice data_terminator(const struct data_stuffing *st)
{
    ASSERT(!st->is_bad);
    ASSERT(!st->is_after_cr);
    return st->is_in_line ? SLICE_LIT("\r\n.\r\n") : SLICE_LIT(".\r\n");
}

bool data_parse_chunk(struct slice args, uint64_t *ret_bytes, bool *ret_is_last)
{
    uint64_t bytes = 0;
    size_t at = 0;
    for (; at < args.len && args.ptr[at] >= '0' && args.ptr[at] <= '9'; at++) {
        uint64_t digit = (uint64_t)(args.ptr[at] - '0');
        if (at >= CHUNK_DIGITS_MAX || bytes > (UINT64_MAX - digit) / 10)
            return false;
        bytes = bytes * 10 + digit;
    }
    struct slice rest = slice_from(args, at);
    bool is_last = rest.len > 0;
    if (at == 0)
        return false;
    while (rest.len > 0 && rest.ptr[0] == ' ')
        rest = slice_from(rest, 1);
    if (is_last && (args.ptr[at] != ' ' || !slice_eq_nocase(rest, SLICE_LIT("LAST"))))
        return false;
    *ret_bytes = bytes;
    *ret_is_last = is_last;
    return true;
}

void data_put_chunk(struct buf *out, uint64_t bytes, bool is_last)
{
    BUF_PUT_LIT(out, "BDAT ");
    buf_put_u64(out, bytes);
    if (is_last)
        BUF_PUT_LIT(out, " LAST");
    BUF_PUT_LIT(out, "\r\n");
}
