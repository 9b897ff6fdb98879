/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_neon.c - the framing kernel for AArch64 Advanced SIMD, which every AArch64 processor has.
 *
 * There is no instruction that gathers one bit of each byte: mask_of() ands each byte with the
 * weight of its place and adds neighbours together three times. See kernel_simd.h for the idea.
 */
#include "scan/kernel_simd.h"
#include <arm_neon.h>

static inline uint64_t mask_of(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    static const uint8_t place[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t weight = vld1q_u8(place);
    uint8x16_t low = vpaddq_u8(vandq_u8(a, weight), vandq_u8(b, weight));
    uint8x16_t high = vpaddq_u8(vandq_u8(c, weight), vandq_u8(d, weight));
    uint8x16_t sum = vpaddq_u8(low, high);

    sum = vpaddq_u8(sum, sum);
    return vgetq_lane_u64(vreinterpretq_u64_u8(sum), 0);
}

static inline uint64_t mask_equal(uint8x16x4_t v, uint8_t c)
{
    uint8x16_t all = vdupq_n_u8(c);

    return mask_of(vceqq_u8(v.val[0], all), vceqq_u8(v.val[1], all), vceqq_u8(v.val[2], all),
                   vceqq_u8(v.val[3], all));
}

static inline uint8x16_t is_high(uint8x16_t bytes)
{
    return vcgeq_u8(bytes, vdupq_n_u8(0x80));
}

static struct block_masks classify(const uint8_t *ptr)
{
    uint8x16x4_t v = {{vld1q_u8(ptr), vld1q_u8(ptr + 16), vld1q_u8(ptr + 32), vld1q_u8(ptr + 48)}};

    return (struct block_masks){
        .cr = mask_equal(v, '\r'),
        .lf = mask_equal(v, '\n'),
        .dot = mask_equal(v, '.'),
        .nul = mask_equal(v, '\0'),
        .high = mask_of(is_high(v.val[0]), is_high(v.val[1]), is_high(v.val[2]), is_high(v.val[3])),
    };
}

/* One vector: its line ends, and in @odd 0xFF where they are not what they should be. */
static ALWAYS_INLINE uint8x16_t line_ends(const uint8_t *ptr, uint8x16_t bytes, uint8x16_t dot,
                                          uint8x16_t *odd)
{
    uint8x16_t lf = vceqq_u8(bytes, vdupq_n_u8('\n'));
    uint8x16_t after_cr = vceqq_u8(vld1q_u8(ptr - 1), vdupq_n_u8('\r'));
    uint8x16_t before_dot = vceqq_u8(vld1q_u8(ptr + 1), dot);

    *odd = vorrq_u8(*odd, vorrq_u8(veorq_u8(lf, after_cr), vandq_u8(lf, before_dot)));
    return lf;
}

static inline size_t fast(struct scan_frame *f, const uint8_t *ptr, size_t pos, size_t len)
{
    struct line_track track = line_track_load(f);
    const uint8x16_t dot = vdupq_n_u8((uint8_t)frame_dot(f));
    uint8x16_t high = vdupq_n_u8(0);
    size_t start = pos;

    for (; len - pos > BLOCK_BYTES; pos += BLOCK_BYTES) {
        const uint8_t *p = ptr + pos;
        uint8x16_t odd = vdupq_n_u8(0);
        uint8x16_t a = vld1q_u8(p), b = vld1q_u8(p + 16);
        uint8x16_t c = vld1q_u8(p + 32), d = vld1q_u8(p + 48);
        uint8x16_t lf_a = line_ends(p, a, dot, &odd), lf_b = line_ends(p + 16, b, dot, &odd);
        uint8x16_t lf_c = line_ends(p + 32, c, dot, &odd), lf_d = line_ends(p + 48, d, dot, &odd);
        uint8x16_t least = vminq_u8(vminq_u8(a, b), vminq_u8(c, d));
        odd = vorrq_u8(odd, vceqzq_u8(least));
        if (vmaxvq_u8(odd) != 0)
            break;
        high = vorrq_u8(high, vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d)));
        line_track_one(&track, mask_of(lf_a, lf_b, lf_c, lf_d));
    }
    if (vmaxvq_u8(high) > 0x7f)
        f->flags |= SCAN_FLAG_HIGH;
    frame_pass(f, &track, ptr, start, pos);
    return pos;
}

size_t scan_frame_neon(struct scan_frame *f, const uint8_t *ptr, size_t len,
                       struct scan_edits *edits)
{
    return frame_run(f, ptr, len, edits, classify, fast);
}
