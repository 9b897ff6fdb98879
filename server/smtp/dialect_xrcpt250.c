/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_xrcpt250.c - the wrapped 250 list: an opening line that says how many follow, the reply
 * of each recipient inside a line 250-, and a closing line. Two readings differ in when the server
 * becomes responsible: with each line (A), or with the opening line, for everybody (B); they have a
 * keyword each, so that both sides mean the same.
 *
 * From the opening line on the reply as a whole is 250 and cannot become a failure (HOL-7): what
 * goes wrong later is said in the lines of the recipients that are left.
 */
#include "dialect.h"
#include "smtp/wrapped.h"

/* HOL-5: the enhanced code is part of the mark, offered or not. */
bool xrcpt250_put_opener(struct buf *out, uint32_t count)
{
    uint8_t memory[48];
    struct buf line = buf_over(memory, sizeof(memory));
    buf_put(&line, XRCPT250_OPENING);
    buf_put_u64(&line, count);
    BUF_PUT_LIT(&line, "\r\n");
    if (line.len > buf_room(out))
        return false;
    buf_put(out, buf_slice(&line));
    return true;
}

bool xrcpt250_put_entry(struct buf *out, const struct answer *a, bool is_last, uint32_t flags)
{
    (void)is_last; /* the closing line is to come */
    return wrapped_put(out, XRCPT250_CODE, false, a, flags);
}

static bool put_whole(struct buf *out, struct slice line)
{
    if (line.len > buf_room(out))
        return false;
    buf_put(out, line);
    return true;
}

/* HOL-5: as with the opening line, the enhanced code is part of the mark. */
bool xrcpt250_put_closer(struct buf *out)
{
    return put_whole(out, SLICE_LIT("250 2.0.0 +END\r\n"));
}

/* HOL-10 */
bool xrcpt250_put_working(struct buf *out)
{
    return put_whole(out, SLICE_LIT("250-000 working\r\n"));
}

/* HOL-8: the opening line is a promise to deliver or to tell, so it needs a message that is stored,
 * which it is when somebody was accepted. */
bool xrcpt250b_is_single(const struct session_entry *entries, uint32_t count)
{
    return dialect_is_uniform(entries, count) || dialect_accepted_count(entries, count) == 0;
}
