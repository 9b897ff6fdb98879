/* SPDX-License-Identifier: Apache-2.0 */
/* bulk.h - content of the checks: chunks, long runs of lines, more than the server's limit. */
#ifndef PROBE_BULK_H
#define PROBE_BULK_H

#include "probe/trial.h"

#define BULK_GTUBE "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

/* bulk_chunk() - one BDAT of @text, command and octets in one write. */
bool bulk_chunk(struct trial *t, const char *text, bool is_last);
/* bulk_bdat() - the same for a message with head and this body. */
bool bulk_bdat(struct trial *t, const char *body, bool is_last);
/* bulk_lines() - @count lines of @text. */
bool bulk_lines(struct trial *t, const char *text, uint32_t count);
/* bulk_too_big() - a message larger than SIZE, with its end; skipped where that is above
 * --upload, or no limit is announced. */
bool bulk_too_big(struct trial *t);
/* bulk_chunk_too_big() - the same as one chunk without LAST. */
bool bulk_chunk_too_big(struct trial *t);

#endif
