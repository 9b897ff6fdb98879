/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_avx2.c - the framing kernel for AVX2 (with BMI1, BMI2, LZCNT and POPCNT).
 *
 * Compiled alone with those flags. Four vectors a turn; see kernel_simd.h for the idea.
 */
#include "scan/kernel_simd.h"
#include <immintrin.h>

static inline __m256i load(const uint8_t *ptr)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)ptr);
}

/* load_once() - the same, for bytes used several times: the compiler would load them again. */
static ALWAYS_INLINE __m256i load_once(const uint8_t *ptr)
{
    __m256i bytes = load(ptr);

    __asm__("" : "+x"(bytes));
    return bytes;
}

static inline uint64_t mask_of(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}

static inline uint64_t mask_equal(__m256i low, __m256i high, char c)
{
    __m256i all = _mm256_set1_epi8(c);
    return mask_of(_mm256_cmpeq_epi8(low, all), _mm256_cmpeq_epi8(high, all));
}

static struct block_masks classify(const uint8_t *ptr)
{
    __m256i low = load(ptr);
    __m256i high = load(ptr + 32);

    return (struct block_masks){
        .cr = mask_equal(low, high, '\r'),
        .lf = mask_equal(low, high, '\n'),
        .dot = mask_equal(low, high, '.'),
        .nul = mask_equal(low, high, '\0'),
        .high = mask_of(low, high),
    };
}

/* One vector: its line ends, and in @odd 0xFF where they are not what they should be. */
static ALWAYS_INLINE __m256i line_ends(const uint8_t *ptr, __m256i bytes, __m256i dot, __m256i *odd)
{
    __m256i lf = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\n'));
    __m256i after_cr = _mm256_cmpeq_epi8(load(ptr - 1), _mm256_set1_epi8('\r'));
    __m256i before_dot = _mm256_cmpeq_epi8(load(ptr + 1), dot);
    __m256i bad = _mm256_or_si256(_mm256_xor_si256(lf, after_cr), _mm256_and_si256(lf, before_dot));

    *odd = _mm256_or_si256(*odd, bad);
    return lf;
}

static inline size_t fast(struct scan_frame *f, const uint8_t *ptr, size_t pos, size_t len)
{
    struct line_track track = line_track_load(f);
    const __m256i zero = _mm256_setzero_si256();
    const __m256i dot = _mm256_set1_epi8(frame_dot(f));
    size_t start = pos;

    for (; len - pos > 128; pos += 128) {
        const uint8_t *p = ptr + pos;
        __m256i odd = zero;
        __m256i a = load_once(p), b = load_once(p + 32);
        __m256i c = load_once(p + 64), d = load_once(p + 96);
        __m256i lf_a = line_ends(p, a, dot, &odd), lf_b = line_ends(p + 32, b, dot, &odd);
        __m256i lf_c = line_ends(p + 64, c, dot, &odd), lf_d = line_ends(p + 96, d, dot, &odd);
        __m256i least = _mm256_min_epi8(_mm256_min_epi8(a, b), _mm256_min_epi8(c, d));
        __m256i good = _mm256_andnot_si256(odd, _mm256_cmpgt_epi8(least, zero));
        if (__builtin_expect(_mm256_movemask_epi8(good) != -1, 0)) {
            least = _mm256_min_epu8(_mm256_min_epu8(a, b), _mm256_min_epu8(c, d));
            odd = _mm256_or_si256(odd, _mm256_cmpeq_epi8(least, zero));
            if (!_mm256_testz_si256(odd, odd))
                break;
            f->flags |= SCAN_FLAG_HIGH;
        }
        line_track_two(&track, mask_of(lf_a, lf_b), mask_of(lf_c, lf_d));
    }
    frame_pass(f, &track, ptr, start, pos);
    return pos;
}

size_t scan_frame_avx2(struct scan_frame *f, const uint8_t *ptr, size_t len,
                       struct scan_edits *edits)
{
    return frame_run(f, ptr, len, edits, classify, fast);
}
