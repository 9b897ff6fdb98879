/* SPDX-License-Identifier: Apache-2.0 */
/* block.c - reads a block of replies and judges it. */
#include "probe/block.h"
#include <stdio.h>

bool block_rcpt(struct trial *t, struct block *b, enum block_kind kind, const char *address)
{
    bool has_352 = kind == BLOCK_DEFERRALS || kind == BLOCK_INLINE;
    if (b->rcpt_count == BLOCK_RCPTS_MAX)
        return trial_skip(t, "too many recipients for the probe");
    if (!trial_must(t, has_352 ? "2xx|352" : "2xx", "RCPT TO:<%s>", address))
        return false;
    if (has_352 && t->reply->code != 352)
        b->taken_count++;
    else
        b->rcpt_codes[b->rcpt_count++] = t->reply->code;
    return true;
}

static bool read_each(struct trial *t, struct block *b, enum block_kind kind)
{
    for (uint32_t i = 0; i < b->rcpt_count; i++) {
        char due[64];
        snprintf(due, sizeof(due), "the content (recipient %u of %u)", i + 1, b->rcpt_count);
        if (!trial_expect_for(t, due, "2xx|4xx|5xx"))
            return false;
        b->codes[i] = t->reply->code;
    }
    return trial_expect_for(t,
                            kind == BLOCK_INLINE ? "the content (the end of the list)"
                                                 : "the content (the final reply)",
                            "2xx|4xx|5xx");
}

/* The final reply against the ones before it. */
static bool judge(struct trial *t, const struct block *b, enum block_kind kind)
{
    uint32_t good = b->taken_count, later = 0;
    for (uint32_t i = 0; i < b->rcpt_count; i++) {
        good += b->codes[i] / 100 == 2;
        later += b->codes[i] / 100 == 4;
    }
    if (kind == BLOCK_INLINE)
        return b->final == 250 ||
               trial_fail(t, "the list of replies ends with %d, and not with 250", b->final);
    if (good == 0 && b->final / 100 == 2)
        return trial_fail(t, "nobody takes the message, and the final reply is %d", b->final);
    if (good == 0 && later > 0 && b->final / 100 == 5)
        return trial_fail(t, "somebody is deferred and nobody takes it, and the final reply is %d",
                          b->final);
    return true;
}

bool block_read(struct trial *t, struct block *b, enum block_kind kind)
{
    static const char *const codes[] = {[BLOCK_PRDR] = "353|2xx|4xx|5xx",
                                        [BLOCK_DEFERRALS] = "353|2xx|4xx|5xx",
                                        [BLOCK_INLINE] = "353|2xx|4xx|5xx",
                                        [BLOCK_PLAIN] = "2xx|4xx|5xx"};
    bool goes_on = true;
    if (kind != BLOCK_PLAIN) {
        goes_on = trial_expect_for(t, "the content", codes[kind]);
        b->is_single = goes_on && t->reply->code != 353;
        b->opener_lines = t->reply->line_count;
        if (goes_on && !b->is_single && b->rcpt_count == 0)
            return trial_fail(t, "353, and there is no recipient who is to get a reply");
    }
    if (goes_on && !b->is_single)
        goes_on = read_each(t, b, kind);
    b->final = goes_on ? t->reply->code : 0;
    if (trial_code_is(b->final, "2xx"))
        trial_note_left(t);
    return goes_on && (b->is_single || judge(t, b, kind));
}
