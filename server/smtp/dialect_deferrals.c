/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_deferrals.c - DEFERRALS: some recipients were accepted by their RCPT (2xx), the others
 * are told after the content (352 to RCPT, then a line in the block).
 *
 * One accepted by RCPT has no line any more, so only the last reply can tell that he is lost after
 * all (a store that failed): then it is negative, whatever the lines before it said (DEF-15). The
 * same holds for one whose line has said a promise (DEF-12).
 */
#include "dialect.h"

static bool is_later(const struct session_entry *entry)
{
    return dialect_is_listed(dialect_row(DIALECT_DEFERRALS), entry);
}

/* DEF-9: all accept, or all refuse alike, those without a line included; DEF-10: nobody has one. */
bool deferrals_is_single(const struct session_entry *entries, uint32_t count)
{
    bool has_later = false;
    for (uint32_t i = 0; i < count; i++)
        has_later |= is_later(&entries[i]);
    return !has_later || dialect_is_uniform(entries, count);
}

/* DEF-14 */
struct answer deferrals_final(const struct session_entry *entries, uint32_t count)
{
    const struct session_entry *lost = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct session_entry *e = &entries[i];
        if (e->fate != SESSION_FATE_REFUSED || (is_later(e) && !e->is_promise_said))
            continue;
        if (lost == NULL || status_is_temporary(e->answer.status))
            lost = e;
    }
    return lost != NULL ? lost->answer : dialect_final(entries, count);
}
