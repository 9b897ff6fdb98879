/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path_fuzz.c - addresses. Oracles: what is accepted holds nothing that could end a line or a path,
 * its parts make up the whole, and parsed again it is the same; UTF-8 only where it was allowed.
 */
#include "base/assert.h"
#include "smtp/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct slice in, const struct path *p, size_t used, bool allow_null,
                  bool allow_utf8)
{
    uint8_t again[PATH_UTF8_BYTES_MAX + 2];
    struct path q;
    size_t again_used;
    bool has_high = false;
    ASSERT(used >= 2 && used <= in.len);
    ASSERT(in.ptr[0] == '<' && in.ptr[used - 1] == '>');
    for (size_t i = 0; i < p->whole.len; i++) {
        ASSERT(p->whole.ptr[i] >= 0x20 && p->whole.ptr[i] != 0x7F);
        has_high |= p->whole.ptr[i] >= 0x80;
    }
    ASSERT(!has_high || (allow_utf8 && p->is_utf8));
    size_t at = p->domain.len > 0 ? 1 : 0;
    ASSERT(p->whole.len == p->local.len + at + p->domain.len);
    if (p->local.len > 0)
        ASSERT(p->whole.ptr == p->local.ptr);
    if (p->domain.len > 0)
        ASSERT(p->domain.ptr == p->whole.ptr + p->local.len + 1 && p->domain.ptr[-1] == '@');
    ASSERT(p->whole.len + 2 <= sizeof(again));
    again[0] = '<';
    if (p->whole.len > 0)
        memcpy(again + 1, p->whole.ptr, p->whole.len);
    again[p->whole.len + 1] = '>';
    ASSERT(path_parse(slice_of(again, p->whole.len + 2), allow_null, allow_utf8, &q, &again_used) ==
           PATH_OK);
    ASSERT(again_used == p->whole.len + 2);
    ASSERT(slice_eq(p->local, q.local));
    ASSERT(slice_eq(p->domain, q.domain));
    (void)path_is_postmaster(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    enum path_result results[4];
    for (int i = 0; i < 4; i++) {
        struct path p;
        size_t used = 0;
        bool allow_null = (i & 1) != 0;
        bool allow_utf8 = (i & 2) != 0;
        results[i] = path_parse(in, allow_null, allow_utf8, &p, &used);
        if (results[i] == PATH_OK)
            check(in, &p, used, allow_null, allow_utf8);
        ASSERT(results[i] != PATH_NEEDS_UTF8 || !allow_utf8);
    }
    ASSERT(results[0] != PATH_OK || results[2] == PATH_OK);
    ASSERT(results[1] != PATH_OK || results[3] == PATH_OK);
    return 0;
}
