/* SPDX-License-Identifier: Apache-2.0 */
/* column.c - owns how values look in a tab separated line. Pure. */
#include "trace/column.h"

static bool is_dash(struct slice s)
{
    return s.len == 1 && s.ptr[0] == '-';
}

static uint64_t bad(struct column_reader *r)
{
    r->is_bad = true;
    return 0;
}

struct slice column_text(struct column_reader *r)
{
    if (r->is_at_end) {
        r->is_bad = true;
        return SLICE_EMPTY;
    }
    size_t len = slice_find(r->rest, '\t');
    struct slice column = slice_first(r->rest, len);
    r->is_at_end = len == r->rest.len;
    r->rest = slice_from(r->rest, len + 1);
    r->is_bad |= column.len == 0;
    return column;
}

bool column_decimal_parse(struct slice text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (text.len == 0 || text.len > 20 || (text.ptr[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t digit = (uint64_t)text.ptr[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > max)
        return false;
    *ret_value = value;
    return true;
}

bool column_hex_parse(struct slice text, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (text.len != 16)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret_value = value;
    return true;
}

uint64_t column_u64(struct column_reader *r, uint64_t max)
{
    uint64_t value;
    return column_decimal_parse(column_text(r), max, &value) ? value : bad(r);
}

uint64_t column_u64_or(struct column_reader *r, uint64_t max, uint64_t none)
{
    uint64_t value;
    struct slice text = column_text(r);
    if (is_dash(text))
        return none;
    /* One way to write each value: "-" is the only way to write @none. */
    return column_decimal_parse(text, max, &value) && value != none ? value : bad(r);
}

uint64_t column_hex_or(struct column_reader *r, uint64_t none)
{
    uint64_t value;
    struct slice text = column_text(r);
    if (is_dash(text))
        return none;
    return column_hex_parse(text, &value) && value != none ? value : bad(r);
}

uint32_t column_name(struct column_reader *r, const char *const *names, uint32_t count)
{
    struct slice text = column_text(r);
    for (uint32_t i = 0; i < count; i++)
        if (slice_eq(text, slice_str(names[i])))
            return i;
    return (uint32_t)bad(r);
}

struct slice column_address(struct column_reader *r)
{
    struct slice text = column_text(r);
    if (is_dash(text))
        return SLICE_EMPTY;
    if (text.len > COLUMN_ADDRESS_BYTES_MAX)
        r->is_bad = true;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7F)
            r->is_bad = true;
    return text;
}

bool column_is_done(const struct column_reader *r)
{
    return r->is_at_end && !r->is_bad;
}

void column_put_u64(struct buf *out, uint64_t value)
{
    buf_put_byte(out, '\t');
    buf_put_u64(out, value);
}

void column_put_u64_or(struct buf *out, uint64_t value, uint64_t none)
{
    if (value == none)
        BUF_PUT_LIT(out, "\t-");
    else
        column_put_u64(out, value);
}

void column_put_name(struct buf *out, const char *name)
{
    buf_put_byte(out, '\t');
    buf_put(out, slice_str(name));
}

void column_put_address(struct buf *out, struct slice address)
{
    address = slice_first(address, COLUMN_ADDRESS_BYTES_MAX);
    buf_put_byte(out, '\t');
    if (address.len == 0) {
        buf_put_byte(out, '-');
        return;
    }
    size_t start = out->len;
    buf_put(out, address);
    if (out->is_full)
        return;
    for (size_t i = start; i < out->len; i++)
        if (out->ptr[i] < 0x20 || out->ptr[i] == 0x7F)
            out->ptr[i] = '?';
    if (is_dash(address))
        out->ptr[start] = '?';
}
