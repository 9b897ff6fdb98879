/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_avx512.c - the framing kernel for AVX-512BW (with BMI1, BMI2, LZCNT and POPCNT).
 *
 * Compiled alone with those flags. Comparisons give bit masks at once, so a block is one vector;
 * see kernel_simd.h for the idea.
 */
#include "scan/kernel_simd.h"
#include <immintrin.h>

static inline __m512i load(const uint8_t *ptr)
{
    return _mm512_loadu_si512(ptr);
}

static inline __mmask64 equal(__m512i bytes, char c)
{
    return _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(c));
}

static struct block_masks classify(const uint8_t *ptr)
{
    __m512i bytes = load(ptr);

    return (struct block_masks){
        .cr = equal(bytes, '\r'),
        .lf = equal(bytes, '\n'),
        .dot = equal(bytes, '.'),
        .nul = _mm512_testn_epi8_mask(bytes, bytes),
        .high = _mm512_movepi8_mask(bytes),
    };
}

/* One vector: its line ends, and what is odd about it gathered into @odd. */
static inline uint64_t line_ends(const uint8_t *ptr, __m512i bytes, uint64_t *odd)
{
    __mmask64 lf = equal(bytes, '\n');
    __mmask64 after_cr = equal(load(ptr - 1), '\r');
    __mmask64 before_dot = _mm512_mask_cmpeq_epi8_mask(lf, load(ptr + 1), _mm512_set1_epi8('.'));

    *odd |= (lf ^ after_cr) | before_dot;
    return lf;
}

static inline size_t fast(struct scan_frame *f, const uint8_t *ptr, size_t pos, size_t len)
{
    struct line_track track = line_track_load(f);
    __m512i high = _mm512_setzero_si512();
    size_t start = pos;

    for (; len - pos > 128; pos += 128) {
        const uint8_t *p = ptr + pos;
        uint64_t odd = 0;
        __m512i a = load(p), b = load(p + 64);
        uint64_t lf_a = line_ends(p, a, &odd), lf_b = line_ends(p + 64, b, &odd);
        __m512i least = _mm512_min_epu8(a, b);
        odd |= _mm512_testn_epi8_mask(least, least);
        if (odd != 0)
            break;
        high = _mm512_or_si512(high, _mm512_or_si512(a, b));
        line_track_two(&track, lf_a, lf_b);
    }
    if (_mm512_movepi8_mask(high) != 0)
        f->flags |= SCAN_FLAG_HIGH;
    frame_pass(f, &track, ptr + pos, pos - start);
    return pos;
}

size_t scan_frame_avx512(struct scan_frame *f, const uint8_t *ptr, size_t len,
                         struct scan_edits *edits)
{
    return frame_run(f, ptr, len, edits, classify, fast);
}
