/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.h - what a framing kernel is: one function for each instruction set.
 *
 * A kernel walks over raw bytes and says which of them are not content (edits), where the data
 * ends, and what was wrong with the bytes (struct scan_frame). It never writes to the bytes and
 * never reads outside them. frame_step() is the specification: one byte, one transition.
 *
 *                    CR            LF             dot            other
 *   TEXT          -> CR         bare: TEXT      TEXT           TEXT
 *   CR            bare: CR      LINE_START      bare: TEXT     bare: TEXT
 *   LINE_START    -> CR         bare: TEXT      removed: DOT   TEXT
 *   DOT           held: DOT_CR  bare: TEXT      TEXT           TEXT
 *   DOT_CR        bare: CR      end of data     bare: TEXT     bare: TEXT
 *
 * "bare" in the LF column speaks of that LF; elsewhere of the CR before. A dot that follows a real
 * CRLF is removed whatever comes next (RFC 5321 4.5.2); only CRLF.CRLF ends the data (4.1.1.4,
 * CORE-40). With normalizes, a bare LF ends a line, but a dot behind it is text: the sender did
 * not see a line end there, so it did not stuff.
 *
 * Kernel files include this header, kernel_simd.h and intrinsics, nothing else, because they are
 * compiled with flags that the rest of the program must not be compiled with.
 */
#ifndef SCAN_KERNEL_H
#define SCAN_KERNEL_H

#include "scan/frame.h"

#define SCAN_EDITS_MAX 64

/* An edit is the offset of a byte and what to do there. */
#define SCAN_EDIT_DROP_DOT 0u  /* the byte is a stuffed or terminating dot, not content */
#define SCAN_EDIT_INSERT_CR 1u /* the byte is a bare LF, to be preceded by a CR */

struct scan_edits {
    uint32_t max;        /* in: at most this many edits, 1..SCAN_EDITS_MAX */
    uint32_t count;      /* out */
    uint32_t tail_bytes; /* out: last bytes consumed that are no content: held CR, final CRLF */
    bool is_end;         /* out: the end of data was consumed */
    bool releases_cr;    /* out: the CR held by the call before is content, before all else */
    uint32_t at[SCAN_EDITS_MAX]; /* out: offset * 2 + kind, ascending */
};

/*
 * scan_frame_fn - frame bytes until they, or the room for edits, or the message ends
 *
 * Shape:  @len < 2^31
 * Return: bytes consumed; at least one when @len > 0
 */
typedef size_t scan_frame_fn(struct scan_frame *f, const uint8_t *ptr, size_t len,
                             struct scan_edits *edits);

scan_frame_fn scan_frame_scalar;
scan_frame_fn scan_frame_sse42;
scan_frame_fn scan_frame_avx2;
scan_frame_fn scan_frame_avx512;
scan_frame_fn scan_frame_neon;

static inline void frame_edit(struct scan_edits *edits, size_t offset, uint32_t kind)
{
    edits->at[edits->count++] = (uint32_t)offset << 1 | kind;
}

static inline void frame_bad(struct scan_frame *f, uint32_t flag, uint64_t content_offset)
{
    f->flags |= flag;
    if (content_offset < f->bad_offset)
        f->bad_offset = content_offset;
}

static inline void frame_line_end(struct scan_frame *f)
{
    if (f->line_bytes > f->line_bytes_max)
        f->line_bytes_max = f->line_bytes;
    f->line_bytes = 0;
    f->line_count++;
}

static inline void frame_content_byte(struct scan_frame *f)
{
    f->content_bytes++;
    f->line_bytes++;
}

/* frame_bare_lf() - an LF at @offset without a CR before it. */
static inline void frame_bare_lf(struct scan_frame *f, size_t offset, struct scan_edits *edits)
{
    if (f->normalizes) {
        f->flags |= SCAN_FLAG_NORMALIZED;
        frame_edit(edits, offset, SCAN_EDIT_INSERT_CR);
        frame_content_byte(f);
        frame_content_byte(f);
        frame_line_end(f);
    } else {
        frame_bad(f, SCAN_FLAG_BARE_LF, f->content_bytes);
        frame_content_byte(f);
    }
    f->phase = SCAN_PHASE_TEXT;
}

/* frame_text() - the byte @c is content and starts no dot; @f->phase is SCAN_PHASE_TEXT. */
static inline void frame_text(struct scan_frame *f, uint8_t c, size_t offset,
                              struct scan_edits *edits)
{
    if (c == '\n') {
        frame_bare_lf(f, offset, edits);
        return;
    }
    if (c == 0)
        frame_bad(f, SCAN_FLAG_NUL, f->content_bytes);
    if (c > 0x7f)
        f->flags |= SCAN_FLAG_HIGH;
    if (c == '\r')
        f->phase = SCAN_PHASE_CR;
    frame_content_byte(f);
}

/* frame_step() - one byte at @offset of the call; needs room for one edit. */
static inline void frame_step(struct scan_frame *f, uint8_t c, size_t offset,
                              struct scan_edits *edits)
{
    switch ((enum scan_phase)f->phase) {
    case SCAN_PHASE_TEXT:
        break;
    case SCAN_PHASE_CR:
        if (c == '\n') {
            frame_content_byte(f);
            frame_line_end(f);
            f->phase = SCAN_PHASE_LINE_START;
            return;
        }
        frame_bad(f, SCAN_FLAG_BARE_CR, f->content_bytes - 1);
        break;
    case SCAN_PHASE_LINE_START:
        if (c == '.' && f->is_stuffed) {
            frame_edit(edits, offset, SCAN_EDIT_DROP_DOT);
            f->phase = SCAN_PHASE_DOT;
            return;
        }
        break;
    case SCAN_PHASE_DOT:
        if (c == '\r') {
            f->phase = SCAN_PHASE_DOT_CR;
            return;
        }
        break;
    case SCAN_PHASE_DOT_CR:
        if (c == '\n') {
            edits->is_end = true;
            f->phase = SCAN_PHASE_LINE_START;
            return;
        }
        edits->releases_cr |= offset == 0;
        frame_bad(f, SCAN_FLAG_BARE_CR, f->content_bytes);
        frame_content_byte(f);
        break;
    }
    f->phase = SCAN_PHASE_TEXT;
    frame_text(f, c, offset, edits);
}

static inline void frame_begin_call(struct scan_edits *edits)
{
    edits->count = 0;
    edits->tail_bytes = 0;
    edits->is_end = false;
    edits->releases_cr = false;
}

/* frame_end_call() - name the bytes at the end of the @consumed ones that are not content. */
static inline size_t frame_end_call(const struct scan_frame *f, size_t consumed,
                                    struct scan_edits *edits)
{
    if (edits->is_end)
        edits->tail_bytes = consumed < 2 ? (uint32_t)consumed : 2;
    else if (f->phase == SCAN_PHASE_DOT_CR && consumed > 0)
        edits->tail_bytes = 1;
    return consumed;
}

#endif
