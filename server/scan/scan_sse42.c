/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_sse42.c - the framing kernel for SSE4.2 (with POPCNT).
 *
 * Compiled alone with those flags. Four vectors, one block, a turn; see kernel_simd.h for the idea.
 */
#include "scan/kernel_simd.h"
#include <nmmintrin.h>

static inline __m128i load(const uint8_t *ptr)
{
    return _mm_loadu_si128((const __m128i *)(const void *)ptr);
}

static inline uint64_t mask_of(const __m128i v[4])
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < 4; i++)
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(v[i]) << (16 * i);
    return bits;
}

static inline uint64_t mask_equal(const __m128i v[4], char c)
{
    __m128i all = _mm_set1_epi8(c);
    __m128i same[4];

    for (unsigned i = 0; i < 4; i++)
        same[i] = _mm_cmpeq_epi8(v[i], all);
    return mask_of(same);
}

static struct block_masks classify(const uint8_t *ptr)
{
    __m128i v[4] = {load(ptr), load(ptr + 16), load(ptr + 32), load(ptr + 48)};

    return (struct block_masks){
        .cr = mask_equal(v, '\r'),
        .lf = mask_equal(v, '\n'),
        .dot = mask_equal(v, '.'),
        .nul = mask_equal(v, '\0'),
        .high = mask_of(v),
    };
}

/* One vector: its line ends, and what is odd about it gathered into @odd. */
static inline __m128i line_ends(const uint8_t *ptr, __m128i bytes, __m128i *odd)
{
    __m128i lf = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n'));
    __m128i after_cr = _mm_cmpeq_epi8(load(ptr - 1), _mm_set1_epi8('\r'));
    __m128i before_dot = _mm_cmpeq_epi8(load(ptr + 1), _mm_set1_epi8('.'));

    *odd = _mm_or_si128(*odd, _mm_or_si128(_mm_xor_si128(lf, after_cr),
                                           _mm_and_si128(lf, before_dot)));
    return lf;
}

static inline size_t fast(struct scan_frame *f, const uint8_t *ptr, size_t pos, size_t len)
{
    struct line_track track = line_track_load(f);
    __m128i high = _mm_setzero_si128();
    size_t start = pos;

    for (; len - pos > BLOCK_BYTES; pos += BLOCK_BYTES) {
        const uint8_t *p = ptr + pos;
        __m128i odd = _mm_setzero_si128();
        __m128i a = load(p), b = load(p + 16), c = load(p + 32), d = load(p + 48);
        __m128i lf[4] = {line_ends(p, a, &odd), line_ends(p + 16, b, &odd),
                         line_ends(p + 32, c, &odd), line_ends(p + 48, d, &odd)};
        __m128i least = _mm_min_epu8(_mm_min_epu8(a, b), _mm_min_epu8(c, d));
        odd = _mm_or_si128(odd, _mm_cmpeq_epi8(least, _mm_setzero_si128()));
        if (!_mm_testz_si128(odd, odd))
            break;
        high = _mm_or_si128(high, _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d)));
        line_track_one(&track, mask_of(lf));
    }
    if (_mm_movemask_epi8(high) != 0)
        f->flags |= SCAN_FLAG_HIGH;
    frame_pass(f, &track, ptr + pos, pos - start);
    return pos;
}

size_t scan_frame_sse42(struct scan_frame *f, const uint8_t *ptr, size_t len,
                        struct scan_edits *edits)
{
    return frame_run(f, ptr, len, edits, classify, fast);
}
