/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_avx512.c - the framing kernel for AVX-512BW and VL (with BMI1, BMI2, LZCNT and POPCNT).
 *
 * Compiled alone with those flags. In the exact path comparisons give bit masks at once, so a
 * block is one vector. The fast path uses 32-byte vectors and ternary operations: moving bit masks
 * to general registers costs more than it saves. See kernel_simd.h for the idea.
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

static inline __m256i load_half(const uint8_t *ptr)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)ptr);
}

/* load_once() - the same, for bytes used several times: the compiler would load them again. */
static ALWAYS_INLINE __m256i load_once(const uint8_t *ptr)
{
    __m256i bytes = load_half(ptr);

    __asm__("" : "+x"(bytes));
    return bytes;
}

/* Operands of a ternary operation, and what its table says for them. */
#define TERNARY_A 0xF0
#define TERNARY_B 0xCC
#define TERNARY_C 0xAA
#define TERNARY_ODD (((TERNARY_A ^ TERNARY_B) | (TERNARY_B & TERNARY_C)) & 0xFF)
#define TERNARY_ANY (TERNARY_A | TERNARY_B | TERNARY_C)
#define TERNARY_FIRST_ONLY (TERNARY_A & ~TERNARY_B & ~TERNARY_C & 0xFF)

/* One vector: its line ends, and in @ret_odd 0xFF where they are not what they should be. */
static ALWAYS_INLINE __m256i line_ends(const uint8_t *ptr, __m256i bytes, __m256i dot,
                                       __m256i *ret_odd)
{
    __m256i lf = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\n'));
    __m256i after_cr = _mm256_cmpeq_epi8(load_half(ptr - 1), _mm256_set1_epi8('\r'));
    __m256i before_dot = _mm256_cmpeq_epi8(load_half(ptr + 1), dot);

    *ret_odd = _mm256_ternarylogic_epi64(after_cr, lf, before_dot, TERNARY_ODD);
    return lf;
}

static ALWAYS_INLINE uint64_t bits_of(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}

static inline size_t fast(struct scan_frame *f, const uint8_t *ptr, size_t pos, size_t len)
{
    struct line_track track = line_track_load(f);
    const __m256i zero = _mm256_setzero_si256();
    const __m256i dot = _mm256_set1_epi8(frame_dot(f));
    size_t start = pos;

    for (; len - pos > 128; pos += 128) {
        const uint8_t *p = ptr + pos;
        __m256i odd_a, odd_b, odd_c, odd_d;
        __m256i a = load_once(p), b = load_once(p + 32);
        __m256i c = load_once(p + 64), d = load_once(p + 96);
        __m256i lf_a = line_ends(p, a, dot, &odd_a), lf_b = line_ends(p + 32, b, dot, &odd_b);
        __m256i lf_c = line_ends(p + 64, c, dot, &odd_c), lf_d = line_ends(p + 96, d, dot, &odd_d);
        __m256i odd = _mm256_ternarylogic_epi64(odd_a, odd_b, odd_c, TERNARY_ANY);
        __m256i least = _mm256_min_epi8(_mm256_min_epi8(a, b), _mm256_min_epi8(c, d));
        __m256i good = _mm256_ternarylogic_epi64(_mm256_cmpgt_epi8(least, zero), odd, odd_d,
                                                 TERNARY_FIRST_ONLY);
        if (__builtin_expect(_mm256_movemask_epi8(good) != -1, 0)) {
            least = _mm256_min_epu8(_mm256_min_epu8(a, b), _mm256_min_epu8(c, d));
            odd =
                _mm256_ternarylogic_epi64(odd, odd_d, _mm256_cmpeq_epi8(least, zero), TERNARY_ANY);
            if (!_mm256_testz_si256(odd, odd))
                break;
            f->flags |= SCAN_FLAG_HIGH;
        }
        line_track_two(&track, bits_of(lf_a, lf_b), bits_of(lf_c, lf_d));
    }
    frame_pass(f, &track, ptr, start, pos);
    return pos;
}

size_t scan_frame_avx512(struct scan_frame *f, const uint8_t *ptr, size_t len,
                         struct scan_edits *edits)
{
    return frame_run(f, ptr, len, edits, classify, fast);
}
