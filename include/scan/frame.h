/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - the state that the framing kernels carry between calls, and the flags that they set.
 *
 * Apart from scan.h so that a kernel file, compiled for one instruction set, sees nothing else.
 */
#ifndef SCAN_FRAME_H
#define SCAN_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scan_flag {
    SCAN_FLAG_BARE_CR = 1u << 0, /* CR not followed by LF (CORE-42) */
    SCAN_FLAG_BARE_LF = 1u << 1, /* LF not preceded by CR */
    SCAN_FLAG_NUL = 1u << 2,
    SCAN_FLAG_HIGH = 1u << 3,          /* a byte above 0x7F */
    SCAN_FLAG_LONG_LINE = 1u << 4,     /* a line above TEXT_LINE_BYTES_MAX, CRLF counted */
    SCAN_FLAG_NO_HEADER_END = 1u << 5, /* the content ended inside the header */
    SCAN_FLAG_NORMALIZED = 1u << 6,    /* bare LF was made CRLF (only with normalize) */
    SCAN_FLAG_LOOP = 1u << 7,          /* Received count above the limit (CORE-53) */
    SCAN_FLAG_UNENDED = 1u << 8,       /* BDAT content does not end with CRLF */
};

/* What went before the next byte. */
enum scan_phase {
    SCAN_PHASE_TEXT,       /* inside a line */
    SCAN_PHASE_CR,         /* behind a CR that is content; LF makes it a line end */
    SCAN_PHASE_LINE_START, /* behind CRLF, or at the very start */
    SCAN_PHASE_DOT,        /* behind CRLF and a dot, which is removed whatever follows */
    SCAN_PHASE_DOT_CR,     /* behind CRLF, dot and CR: LF ends the data, else the CR is content */
};

struct scan_frame {
    uint64_t content_bytes;
    uint64_t line_count;
    uint64_t line_bytes;     /* content bytes of the line in progress */
    uint64_t line_bytes_max; /* longest line so far; may lag behind line_bytes */
    uint64_t bad_offset;     /* content offset of the first bare CR, bare LF or NUL; UINT64_MAX */
    uint32_t flags;          /* BARE_CR, BARE_LF, NUL, HIGH, NORMALIZED */
    uint8_t phase;           /* enum scan_phase */
    bool is_stuffed;         /* dots are stuffed and CRLF.CRLF ends the data */
    bool normalizes;         /* bare LF becomes CRLF */
};

#endif
