/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_simd.h - what the vector kernels share: a fast path over ordinary text, an exact path.
 *
 * The fast path of an instruction set (frame_fast()) passes blocks in which every LF follows a CR,
 * every CR is followed by LF, no line starts with a dot and there is no NUL; there it only
 * follows line lengths. It compares each byte with the ones beside it by loading the block three
 * times, one byte apart, so no carry goes from block to block; that is less work than shifting
 * masks, and in 64-byte vectors it would be no faster, as every shifted load crosses a cache line.
 * The least byte, taken as signed, tells of NUL and high bytes at once. Whatever else a block of 64
 * bytes holds goes through frame_block(), which computes with bit masks, one bit a byte, and does
 * not branch on single bytes unless lines have to be counted around edits. A message made of
 * nothing but exceptions costs a bounded number of operations for each block.
 *
 * An instruction set supplies block_classify_fn and frame_fast_fn and calls frame_run() with both;
 * everything is inlined into its one exported function.
 */
#ifndef SCAN_KERNEL_SIMD_H
#define SCAN_KERNEL_SIMD_H

#include "scan/kernel.h"

#define BLOCK_BYTES 64
#define ALWAYS_INLINE inline __attribute__((always_inline))

struct block_masks {
    uint64_t cr;
    uint64_t lf;
    uint64_t dot;
    uint64_t nul;
    uint64_t high;
};

/*
 * Line lengths, in registers while the fast path runs.
 *
 * The length of the line in progress is all that goes from block to block, in one conditional
 * move. Whether a line is the longest is a branch, because it hardly ever is.
 */
struct line_track {
    uint64_t bytes;
    uint64_t bytes_max;
    uint64_t count;
};

static inline uint64_t bits_below(unsigned bit_count)
{
    return bit_count >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << bit_count) - 1;
}

static inline unsigned bits_count(uint64_t bits)
{
    return (unsigned)__builtin_popcountll(bits);
}

/* Index of the lowest set bit, or 64. */
static inline unsigned bits_first(uint64_t bits)
{
    return bits == 0 ? 64 : (unsigned)__builtin_ctzll(bits);
}

/* Index of the set bit that has @skip set bits below it; there is one. */
static inline unsigned bits_nth(uint64_t bits, unsigned skip)
{
    while (skip-- > 0)
        bits &= bits - 1;
    return bits_first(bits);
}

/*
 * line_track_gaps() - @bytes_max after the lines that begin and end inside one block
 *
 * Each is shorter than 64 bytes, so they matter only until a longer line was seen. A line of more
 * than bytes_max bytes is a run of that many bytes without a line end, below the last one: runs
 * are found by smearing the line ends, and each one found raises bytes_max, so that over a whole
 * message the loop turns at most 64 times in excess of once a block.
 */
static __attribute__((noinline, cold)) uint64_t line_track_gaps(uint64_t bytes_max, uint64_t ends)
{
    uint64_t inside =
        bits_below(63 - (unsigned)__builtin_clzll(ends)) & ~bits_below(bits_first(ends) + 1);

    while (bytes_max < BLOCK_BYTES) {
        uint64_t covered = ends;
        unsigned reach = 1;
        while (reach < bytes_max) {
            unsigned more = reach * 2 <= bytes_max ? reach : (unsigned)bytes_max - reach;
            covered |= covered << more;
            reach += more;
        }
        if ((inside & ~covered) == 0)
            break;
        bytes_max++;
    }
    return bytes_max;
}

/*
 * line_track_rest() - bytes behind the last bit of @ends, or @if_none when there is no bit
 *
 * Whether a block has a line end is a coin that no predictor knows, so this must not branch.
 * LZCNT sets the carry flag when there is no bit: two instructions that compilers do not find.
 */
static ALWAYS_INLINE uint64_t line_track_rest(uint64_t ends, uint64_t if_none)
{
    uint64_t rest;
#if defined(__LZCNT__)
    __asm__("lzcnt %2, %0\n\tcmovc %1, %0" : "=&r"(rest) : "r"(if_none), "r"(ends) : "cc");
#else
    rest = ends == 0 ? if_none : (unsigned)__builtin_clzll(ends);
    __asm__("" : "+r"(rest)); /* not a part of any other condition */
#endif
    return rest;
}

/* line_track_block() - 64 content bytes whose line ends are the set bits of @ends */
static ALWAYS_INLINE void line_track_block(struct line_track *t, uint64_t ends)
{
    uint64_t with_block = t->bytes + BLOCK_BYTES;
    uint64_t before_end = t->bytes + (ends == 0 ? 64 : (unsigned)__builtin_ctzll(ends));

    if (__builtin_expect(before_end >= t->bytes_max, 0)) {
        uint64_t reached = ends == 0 ? with_block : before_end + 1;
        __asm__(""); /* no conditional move: it would be on the way of every block */
        if (reached > t->bytes_max)
            t->bytes_max = reached;
    }
    t->bytes = line_track_rest(ends, with_block);
    t->count += bits_count(ends);
}

/* line_track_one() - the same, with the lines that lie inside the block. */
static ALWAYS_INLINE void line_track_one(struct line_track *t, uint64_t ends)
{
    line_track_block(t, ends);
    if (__builtin_expect(t->bytes_max < BLOCK_BYTES, 0) && (ends & (ends - 1)) != 0)
        t->bytes_max = line_track_gaps(t->bytes_max, ends);
}

/* line_track_two() - two adjacent blocks. */
static ALWAYS_INLINE void line_track_two(struct line_track *t, uint64_t low, uint64_t high)
{
    line_track_block(t, low);
    line_track_block(t, high);
    if (__builtin_expect(t->bytes_max < BLOCK_BYTES, 0)) {
        if ((low & (low - 1)) != 0)
            t->bytes_max = line_track_gaps(t->bytes_max, low);
        if ((high & (high - 1)) != 0)
            t->bytes_max = line_track_gaps(t->bytes_max, high);
    }
}

static inline struct line_track line_track_load(const struct scan_frame *f)
{
    return (struct line_track){f->line_bytes, f->line_bytes_max, f->line_count};
}

/* frame_pass() - account for the bytes from @start to @end, in which the fast path met nothing. */
static inline void frame_pass(struct scan_frame *f, const struct line_track *t, const uint8_t *ptr,
                              size_t start, size_t end)
{
    if (start == end)
        return;
    f->line_bytes = t->bytes;
    f->line_bytes_max = t->bytes_max;
    f->line_count = t->count;
    f->content_bytes += end - start;
    if (ptr[end - 1] == '\n')
        f->phase = SCAN_PHASE_LINE_START;
    else
        f->phase = ptr[end - 1] == '\r' ? SCAN_PHASE_CR : SCAN_PHASE_TEXT;
}

/* The byte that may not follow a line end in the fast path: with LF, none that is not odd anyway.
 */
static inline char frame_dot(const struct scan_frame *f)
{
    return f->is_stuffed ? '.' : '\n';
}

/* block_classify_fn - the masks of the 64 bytes at @ptr, of any alignment */
typedef struct block_masks block_classify_fn(const uint8_t *ptr);

/*
 * frame_fast_fn - pass blocks of ordinary text from @pos on
 *
 * Shape:  0 < @pos < @len; may read ptr[pos - 1] to ptr[len - 1]; the byte at @pos is no stuffed
 *         dot, the phase before it is TEXT, CR or LINE_START
 * Return: offset of the first byte not passed; what was passed is given to frame_pass()
 */
typedef size_t frame_fast_fn(struct scan_frame *f, const uint8_t *ptr, size_t pos, size_t len);

/* What one call of frame_block() found, as masks over its bytes. */
struct block_plan {
    uint64_t gaps;    /* dots that are not content */
    uint64_t inserts; /* bare LFs to be preceded by a CR */
    uint64_t ends;    /* last bytes of lines */
    uint64_t bare_cr; /* bytes behind a bare CR */
    uint64_t bare_lf; /* bare LFs that stay as they are */
    uint64_t nul;
    unsigned len;  /* content and gaps end here */
    unsigned used; /* bytes consumed, more than len when a CR is held or the data ends */
    bool is_end;
    bool holds_cr;
};

/* block_content_offset() - bytes of content before the byte @idx of the block. */
static inline uint64_t block_content_offset(const struct scan_frame *f,
                                            const struct block_plan *plan, unsigned idx)
{
    uint64_t below = bits_below(idx);
    return f->content_bytes + idx - bits_count(plan->gaps & below) +
           bits_count(plan->inserts & below);
}

/* block_bad() - set the flags for @plan and remember where the first bad byte is. */
static inline void block_bad(struct scan_frame *f, const struct block_plan *plan)
{
    if (plan->inserts != 0)
        f->flags |= SCAN_FLAG_NORMALIZED;
    if ((plan->nul | plan->bare_lf | plan->bare_cr) == 0)
        return;
    if (plan->nul != 0)
        frame_bad(f, SCAN_FLAG_NUL, block_content_offset(f, plan, bits_first(plan->nul)));
    if (plan->bare_lf != 0)
        frame_bad(f, SCAN_FLAG_BARE_LF, block_content_offset(f, plan, bits_first(plan->bare_lf)));
    if (plan->bare_cr != 0)
        frame_bad(f, SCAN_FLAG_BARE_CR,
                  block_content_offset(f, plan, bits_first(plan->bare_cr)) - 1);
}

/* block_lines() - follow the lines through a block that may have edits or be shorter than 64. */
static inline void block_lines(struct scan_frame *f, const struct block_plan *plan)
{
    unsigned from = 0;

    for (uint64_t ends = plan->ends; ends != 0; ends &= ends - 1) {
        unsigned end = bits_first(ends);
        f->line_bytes += end + 1 - from - (unsigned)(plan->gaps >> from & 1) +
                         (unsigned)(plan->inserts >> end & 1);
        frame_line_end(f);
        from = end + 1;
    }
    if (from < plan->len)
        f->line_bytes += plan->len - from - (unsigned)(plan->gaps >> from & 1);
}

/* block_make_plan() - what the first @len bytes of a block mean, given what went before. */
static inline struct block_plan block_make_plan(const struct scan_frame *f,
                                                const struct block_masks *m, unsigned len)
{
    uint64_t valid = bits_below(len);
    uint64_t cr = m->cr & valid;
    uint64_t lf = m->lf & valid;
    uint64_t after_cr = cr << 1 | (f->phase == SCAN_PHASE_CR);
    uint64_t crlf = lf & after_cr;
    uint64_t line_starts = crlf << 1 | (f->phase == SCAN_PHASE_LINE_START);
    uint64_t gaps = f->is_stuffed ? m->dot & valid & line_starts : 0;
    uint64_t terminators = gaps & cr >> 1 & lf >> 2;
    struct block_plan plan = {.len = len, .used = len};

    if (terminators != 0) {
        plan.len = bits_first(terminators) + 1;
        plan.used = plan.len + 2;
        plan.is_end = true;
    } else if (len >= 2 && (gaps & cr >> 1 & UINT64_C(1) << (len - 2)) != 0) {
        plan.len = len - 1;
        plan.holds_cr = true;
    }
    valid = bits_below(plan.len);
    plan.gaps = gaps & valid;
    plan.inserts = f->normalizes ? lf & ~crlf & valid : 0;
    plan.bare_lf = f->normalizes ? 0 : lf & ~crlf & valid;
    plan.ends = (crlf & valid) | plan.inserts;
    plan.bare_cr = after_cr & ~lf & valid;
    plan.nul = m->nul & valid;
    return plan;
}

/* block_phase() - the phase behind the planned bytes. */
static inline uint8_t block_phase(const struct block_masks *m, const struct block_plan *plan)
{
    uint64_t last = UINT64_C(1) << (plan->len - 1);

    if (plan->is_end)
        return SCAN_PHASE_LINE_START;
    if (plan->holds_cr)
        return SCAN_PHASE_DOT_CR;
    if (plan->gaps & last)
        return SCAN_PHASE_DOT;
    if (m->cr & last)
        return SCAN_PHASE_CR;
    return plan->ends & ~plan->inserts & last ? SCAN_PHASE_LINE_START : SCAN_PHASE_TEXT;
}

/*
 * frame_block() - the exact path: 1..64 bytes at @offset of the call, classified in @m
 *
 * Shape:  @f->phase is TEXT, CR or LINE_START; there is room for an edit
 * Return: bytes consumed, fewer than @len when the room or the data ended
 */
static inline unsigned frame_block(struct scan_frame *f, const struct block_masks *m, unsigned len,
                                   size_t offset, struct scan_edits *edits)
{
    struct block_plan plan = block_make_plan(f, m, len);
    unsigned room = edits->max - edits->count;

    if (bits_count(plan.gaps | plan.inserts) > room)
        plan = block_make_plan(f, m, bits_nth(plan.gaps | plan.inserts, room));
    block_bad(f, &plan);
    if (m->high & bits_below(plan.len))
        f->flags |= SCAN_FLAG_HIGH;
    block_lines(f, &plan);
    f->content_bytes = block_content_offset(f, &plan, plan.len);
    f->phase = block_phase(m, &plan);
    edits->is_end = plan.is_end;
    for (uint64_t at = plan.gaps | plan.inserts; at != 0; at &= at - 1) {
        unsigned idx = bits_first(at);
        frame_edit(edits, offset + idx,
                   plan.gaps >> idx & 1 ? SCAN_EDIT_DROP_DOT : SCAN_EDIT_INSERT_CR);
    }
    return plan.used;
}

/*
 * block_masks_at() - the masks of the block at @pos, of which fewer than 64 bytes may be there
 *
 * The last bytes of a longer call are looked at together with the ones before them: copying them
 * would have the vectors wait for the copy.
 */
static ALWAYS_INLINE struct block_masks block_masks_at(const uint8_t *ptr, size_t pos, size_t len,
                                                       block_classify_fn *classify)
{
    uint8_t copy[BLOCK_BYTES] = {0};

    if (len - pos >= BLOCK_BYTES)
        return classify(ptr + pos);
    if (len >= BLOCK_BYTES) {
        unsigned before = BLOCK_BYTES - (unsigned)(len - pos);
        struct block_masks m = classify(ptr + len - BLOCK_BYTES);
        return (struct block_masks){m.cr >> before, m.lf >> before, m.dot >> before,
                                    m.nul >> before, m.high >> before};
    }
    __builtin_memcpy(copy, ptr + pos, len - pos);
    return classify(copy);
}

/* frame_run() - the body of every vector kernel. */
static ALWAYS_INLINE size_t frame_run(struct scan_frame *f, const uint8_t *ptr, size_t len,
                                      struct scan_edits *edits, block_classify_fn *classify,
                                      frame_fast_fn *fast)
{
    size_t pos = 0;

    frame_begin_call(edits);
    while (pos < len && edits->count < edits->max && !edits->is_end) {
        if (f->phase >= SCAN_PHASE_DOT || pos == 0) {
            frame_step(f, ptr[pos], pos, edits);
            pos++;
            continue;
        }
        if (!(ptr[pos] == '.' && f->phase == SCAN_PHASE_LINE_START && f->is_stuffed)) {
            pos = fast(f, ptr, pos, len);
            if (pos == len)
                break;
        }
        unsigned block_len = len - pos < BLOCK_BYTES ? (unsigned)(len - pos) : BLOCK_BYTES;
        struct block_masks masks = block_masks_at(ptr, pos, len, classify);
        pos += frame_block(f, &masks, block_len, pos, edits);
    }
    return frame_end_call(f, pos, edits);
}

#endif
