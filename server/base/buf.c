/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c - the formatted appends of buf.h. */
#include "base/buf.h"
#include <stdio.h>

void buf_put_u64(struct buf *b, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof(digits);
    if (value < 10) { /* most numbers are */
        buf_put_byte(b, (uint8_t)('0' + value));
        return;
    }
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buf_put(b, slice_of(digits + at, sizeof(digits) - at));
}

void buf_put_hex(struct buf *b, uint64_t value, unsigned digits)
{
    static const char table[] = "0123456789abcdef";
    uint8_t text[16];
    ASSERT(digits <= sizeof(text));
    for (unsigned i = 0; i < digits; i++)
        text[digits - 1 - i] = (uint8_t)table[(value >> (4 * i)) & 15];
    buf_put(b, slice_of(text, digits));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t room = buf_room(b);
    /* vsnprintf() needs room for a NUL that is not part of the buffer: a full fit minus one. */
    int len = vsnprintf((char *)b->ptr + b->len, room, fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= room) {
        b->is_full = true;
        return;
    }
    b->len += (size_t)len;
}
