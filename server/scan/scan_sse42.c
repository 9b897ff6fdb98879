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

/* One vector: its line ends, and in @odd 0xFF where they are not what they should be. */
static ALWAYS_INLINE __m128i line_ends(const uint8_t *ptr, __m128i bytes, __m128i dot, __m128i *odd)
{
    __m128i lf = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\n'));
    __m128i after_cr = _mm_cmpeq_epi8(load(ptr - 1), _mm_set1_epi8('\r'));
    __m128i before_dot = _mm_cmpeq_epi8(load(ptr + 1), dot);

    *odd = _mm_or_si128(*odd,
                        _mm_or_si128(_mm_xor_si128(lf, after_cr), _mm_and_si128(lf, before_dot)));
    return lf;
}

static inline size_t fast(struct scan_frame *f, const uint8_t *ptr, size_t pos, size_t len)
{
    struct line_track track = line_track_load(f);
    const __m128i zero = _mm_setzero_si128();
    const __m128i dot = _mm_set1_epi8(frame_dot(f));
    size_t start = pos;

    for (; len - pos > BLOCK_BYTES; pos += BLOCK_BYTES) {
        const uint8_t *p = ptr + pos;
        __m128i odd = zero;
        __m128i a = load(p), b = load(p + 16), c = load(p + 32), d = load(p + 48);
        __m128i lf[4] = {line_ends(p, a, dot, &odd), line_ends(p + 16, b, dot, &odd),
                         line_ends(p + 32, c, dot, &odd), line_ends(p + 48, d, dot, &odd)};
        __m128i least = _mm_min_epi8(_mm_min_epi8(a, b), _mm_min_epi8(c, d));
        __m128i good = _mm_andnot_si128(odd, _mm_cmpgt_epi8(least, zero));
        if (__builtin_expect(_mm_movemask_epi8(good) != 0xffff, 0)) {
            least = _mm_min_epu8(_mm_min_epu8(a, b), _mm_min_epu8(c, d));
            odd = _mm_or_si128(odd, _mm_cmpeq_epi8(least, zero));
            if (!_mm_testz_si128(odd, odd))
                break;
            f->flags |= SCAN_FLAG_HIGH;
        }
        line_track_one(&track, mask_of(lf));
    }
    frame_pass(f, &track, ptr, start, pos);
    return pos;
}

size_t scan_frame_sse42(struct scan_frame *f, const uint8_t *ptr, size_t len,
                        struct scan_edits *edits)
{
    return frame_run(f, ptr, len, edits, classify, fast);
}
