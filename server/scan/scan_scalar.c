/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_scalar.c - the framing kernel that is the specification: slow, obvious, one byte a time.
 */
#include "scan/kernel.h"

size_t scan_frame_scalar(struct scan_frame *f, const uint8_t *ptr, size_t len,
                         struct scan_edits *edits)
{
    size_t pos = 0;

    frame_begin_call(edits);
    while (pos < len && edits->count < edits->max && !edits->is_end) {
        frame_step(f, ptr[pos], pos, edits);
        pos++;
    }
    return frame_end_call(f, pos, edits);
}
