/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slice.h - borrowed bytes: pointer and length, passed by value, owning nothing.
 *
 * A slice into a receive window dies when the window is consumed or the handler returns, unless
 * the window has been pinned (window.h).
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include "base/base.h"
#include <string.h>

struct slice {
    const uint8_t *ptr;
    size_t len;
};

#define SLICE_EMPTY ((struct slice){NULL, 0})
/* Initializer for constant tables, where ISO C does not take SLICE_LIT's compound literal. */
#define SLICE_INIT(text)                                                                           \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define SLICE_LIT(text) ((struct slice){(const uint8_t *)(text), sizeof(text) - 1})

/* Parts of one scan_feed() or data_unstuff() call: in order, borrowed, never empty slices. */
#define SLICES_MAX 64
struct slices {
    uint32_t count;
    struct slice at[SLICES_MAX];
};

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){(const uint8_t *)ptr, len};
}

/* For configuration, tools and tests; protocol code has no NUL-terminated strings. */
static inline struct slice slice_str(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

static inline struct slice slice_from(struct slice s, size_t offset)
{
    return offset >= s.len ? (struct slice){s.ptr + s.len, 0}
                           : (struct slice){s.ptr + offset, s.len - offset};
}

static inline struct slice slice_first(struct slice s, size_t len)
{
    return (struct slice){s.ptr, len < s.len ? len : s.len};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* ASCII case-insensitive equality; bytes above 0x7F compare exactly. */
static inline bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    return true;
}

static inline bool slice_has_prefix_nocase(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq_nocase(slice_first(s, prefix.len), prefix);
}

/* slice_find() - index of the first @byte in @s, or @s.len when there is none. */
static inline size_t slice_find(struct slice s, uint8_t byte)
{
    const uint8_t *hit = s.len > 0 ? (const uint8_t *)memchr(s.ptr, byte, s.len) : NULL;
    return hit != NULL ? (size_t)(hit - s.ptr) : s.len;
}

#endif
