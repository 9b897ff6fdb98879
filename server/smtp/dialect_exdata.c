/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_exdata.c - EXDATA: one reply 558 whose lines hold an ordinary reply for each recipient.
 *
 * Nothing follows the last of them, so nothing can be taken back (EXD-13), and the last line of the
 * last recipient is the last line of the whole.
 */
#include "dialect.h"
#include "smtp/wrapped.h"

bool exdata_put_entry(struct buf *out, const struct answer *a, bool is_last, uint32_t flags)
{
    return wrapped_put(out, EXDATA_CODE, is_last, a, flags);
}
