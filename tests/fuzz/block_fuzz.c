/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block_fuzz.c - replies to the content of every dialect, written from a description, read by the
 * client machine at any split, and cut anywhere: it learns what was written, no more and no less
 * (the oracle is that of tests/support/replyblock.c).
 *
 * Input: 3 bytes of choices, 2 bytes where the cut is, then 3 bytes a recipient; the rest is text,
 * whose values say too where the pieces end.
 */
#include "base/assert.h"
#include "replyblock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD 5

static uint16_t code_of(uint8_t byte)
{
    static const uint8_t classes[] = {2, 4, 5};
    uint16_t code = (uint16_t)(classes[byte % 3] * 100 + byte / 3 % 60);
    return code == 421 || code == 552 ? (uint16_t)(code + 1) : code; /* these mean more */
}

static bool describe(const uint8_t *data, size_t size, struct block_case *c)
{
    static uint8_t text[200];
    *c = (struct block_case){.dialect = (enum block_dialect)(data[0] % BLOCK_DIALECT_COUNT),
                             .uses_chunks = (data[0] & 64) != 0,
                             .is_single = (data[0] & 128) != 0,
                             .rcpt_count = 1 + data[1] % BLOCK_RCPTS_MAX,
                             .final_code = code_of(data[2]),
                             .final_lines = (uint8_t)(1 + data[1] / 16 % BLOCK_LINES_MAX)};
    if (size < HEAD + 3 * (size_t)c->rcpt_count)
        return false;
    const uint8_t *at = data + HEAD;
    for (uint32_t i = 0; i < c->rcpt_count; i++, at += 3) {
        c->rcpt_codes[i] = (at[0] & 128) != 0 ? 352 : code_of(at[0]);
        c->own_codes[i] = code_of(at[1]);
        c->own_lines[i] = (uint8_t)(1 + at[2] % BLOCK_LINES_MAX);
    }
    size_t len = size_min((size_t)(data + size - at), sizeof(text));
    for (size_t i = 0; i < len; i++)
        text[i] = at[i] == '\r' || at[i] == '\n' || at[i] == 0 ? ' ' : at[i];
    c->text = slice_of(text, len);
    /* An ordinary 250 that looks like the opening line is one (HOL-17). */
    bool is_like = slice_has_prefix_nocase(c->text, SLICE_LIT("2.0.0 +rcpt "));
    /* And so is an ordinary 558 in EXDATA (EXD-14). */
    return !is_like && c->final_code != 558 && block_is_possible(c);
}

static void check(const struct block_peer *p, const struct block_case *c,
                  const struct block_text *t, size_t cut)
{
    char fates[BLOCK_RCPTS_MAX + 1];
    block_peer_cut(p, fates);
    for (uint32_t i = 0; i < c->rcpt_count; i++)
        ASSERT(fates[i] == block_fate(c, t, cut, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct block_peer peer;
    static struct block_text text;
    struct block_case c;
    if (size < HEAD || !describe(data, size, &c))
        return 0;
    block_write(&c, &text);
    block_peer_begin(&peer, &c, (enum client_pipelining)(data[1] / 64 % 3));
    size_t cut = ((size_t)data[3] << 8 | data[4]) % (text.len + 1);
    for (size_t at = 0, n = HEAD; at < text.len;) {
        size_t len = 1 + data[n++ % size];
        size_t end = at < cut ? cut : text.len;
        len = size_min(len, end - at);
        block_peer_hear(&peer, slice_of(text.at + at, len));
        at += len;
        if (at == cut)
            check(&peer, &c, &text, at);
    }
    ASSERT(peer.is_done);
    check(&peer, &c, &text, text.len);
    return 0;
}
