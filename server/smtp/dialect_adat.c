/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_adat.c - ADAT, DRCP, ERCP: the recipients come after the content.
 *
 * Each DRCP is answered like an RCPT with the content known, and ERCP takes all of them or none. So
 * there is one reply to the content and one to ERCP, each with codes that it may have; the commands
 * are in session.c.
 */
#include "dialect.h"

/* OTH-4: 421, 451, 452, 454, 552 or 554 to the content; OTH-6: 421, 451 or 554 to ERCP. */
struct answer adat_limit(const struct answer *a, bool is_named)
{
    static const uint16_t to_content[] = {421, 451, 452, 454, 552, 554};
    static const uint16_t to_end[] = {421, 451, 554};
    const uint16_t *codes = is_named ? to_end : to_content;
    size_t count = is_named ? ARRAY_COUNT(to_end) : ARRAY_COUNT(to_content);
    struct answer limited = *a;
    if (status_is_success(a->status))
        return limited;
    for (size_t i = 0; i < count; i++)
        if (codes[i] == answer_code(a))
            return limited;
    limited.code = status_is_temporary(a->status) ? 451 : 554;
    return limited;
}
