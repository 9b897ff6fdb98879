/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_inline_dsn.c - INLINE-DSN, the ancestor of DEFERRALS: the list ends in 250, always.
 *
 * That 250 cannot say that the message is lost after all, and it is where responsibility moves
 * (INL-4). So what is lost is said by one negative reply as long as no list was begun; later the
 * list is left without its end, and the connection closed.
 */
#include "dialect.h"

/* Somebody relies on the end of the list: he was accepted by RCPT, or has a line that says so. */
static bool has_reliant(const struct session_entry *entries, uint32_t count)
{
    const struct dialect_row *row = dialect_row(DIALECT_INLINE_DSN);
    for (uint32_t i = 0; i < count; i++)
        if (!dialect_is_listed(row, &entries[i]) || entries[i].is_promise_said ||
            entries[i].fate == SESSION_FATE_ACCEPTED)
            return true;
    return false;
}

bool inline_dsn_is_unclosed(const struct session_entry *entries, uint32_t count,
                            const struct answer *final)
{
    return !status_is_success(final->status) && has_reliant(entries, count);
}

bool inline_dsn_is_single(const struct session_entry *entries, uint32_t count)
{
    struct answer final = deferrals_final(entries, count);
    return deferrals_is_single(entries, count) || inline_dsn_is_unclosed(entries, count, &final);
}
