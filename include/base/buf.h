/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - a bounded output buffer over memory that somebody else owns.
 *
 * Appending past the capacity sets @is_full and appends nothing; the caller checks once at the end.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/assert.h"
#include "base/slice.h"
#include <stdarg.h>

struct buf {
    uint8_t *ptr;
    size_t len;
    size_t cap;
    bool is_full; /* an append did not fit; what was appended before is intact */
};

static inline struct buf buf_over(void *memory, size_t cap)
{
    return (struct buf){(uint8_t *)memory, 0, cap, false};
}

static inline size_t buf_room(const struct buf *b)
{
    return b->cap - b->len;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->ptr, b->len);
}

static inline void buf_put(struct buf *b, struct slice s)
{
    if (s.len > b->cap - b->len) {
        b->is_full = true;
        return;
    }
    if (s.len > 0)
        memcpy(b->ptr + b->len, s.ptr, s.len);
    b->len += s.len;
}

static inline void buf_put_byte(struct buf *b, uint8_t byte)
{
    buf_put(b, (struct slice){&byte, 1});
}

#define BUF_PUT_LIT(b, text) buf_put((b), SLICE_LIT(text))

/* buf_put_u64() - append @value in decimal. */
void buf_put_u64(struct buf *b, uint64_t value);

/* buf_put_hex() - append the lower @digits hexadecimal digits of @value, lower case. */
void buf_put_hex(struct buf *b, uint64_t value, unsigned digits);

/* buf_printf() - formatted append for start-up, tools and logs; all or nothing. */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
