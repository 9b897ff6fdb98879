/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cut_test.c - the replies to the content of every dialect, cut behind each octet: who is done, who
 * is to be tried again and who has failed is what the table of the specification says, after DATA
 * and after BDAT, with some refused by RCPT, and others by their own reply or by the last one.
 *
 * PRDR-29, PRDR-35, LMTP-20, DEF-12, DEF-13, DEF-17, INL-5, EXD-12, EXD-15, HOL-11, HOL-12, OTH-7,
 * OTH-10, OTH-12.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "replyblock.h"
#include <string.h>

#define RCPTS 3

static uint64_t cuts, blocks;

static void play(const struct block_case *c, enum client_pipelining pipelining)
{
    static struct block_peer peer;
    static struct block_text text;
    block_write(c, &text);
    block_peer_begin(&peer, c, pipelining);
    blocks++;
    for (size_t cut = 0; cut <= text.len; cut++, cuts++) {
        char fates[BLOCK_RCPTS_MAX + 1];
        block_peer_cut(&peer, fates);
        for (uint32_t i = 0; i < c->rcpt_count; i++)
            if (fates[i] != block_fate(c, &text, cut, i))
                fail_msg("dialect %d, \"%.*s\": recipient %u of %s should be %c", (int)c->dialect,
                         (int)cut, text.at, i, fates, block_fate(c, &text, cut, i));
        assert_int_equal(peer.is_done, cut == text.len);
        if (cut < text.len)
            block_peer_hear(&peer, slice_of(text.at + cut, 1));
    }
}

/* Digit @place of @number to the base @base. */
static uint32_t digit(uint32_t number, uint32_t place, uint32_t base)
{
    while (place-- > 0)
        number /= base;
    return number % base;
}

static void all_cases(enum block_dialect dialect)
{
    static const uint16_t own[] = {250, 452, 550}, rcpt[] = {250, 352, 450, 550};
    for (uint32_t n = 0; n < 4 * 4 * 4 * 27 * 3 * 2 * 2; n++) {
        struct block_case c = {.dialect = dialect, .rcpt_count = RCPTS, .final_lines = 1};
        uint32_t rest = n;
        c.uses_chunks = rest % 2 != 0;
        c.is_single = rest / 2 % 2 != 0;
        c.final_code = own[rest / 4 % 3];
        rest /= 12;
        if (dialect == BLOCK_ADAT && rest >= 27)
            break; /* there is no RCPT */
        for (uint32_t i = 0; i < RCPTS; i++) {
            c.own_codes[i] = own[digit(rest % 27, i, 3)];
            c.rcpt_codes[i] = rcpt[digit(rest / 27, i, 4)];
            c.own_lines[i] = (uint8_t)(1 + (i == n % 4)); /* one of them has two */
        }
        c.text = n % 2 != 0 ? SLICE_LIT("2.1.5 t") : SLICE_LIT("");
        if (block_is_possible(&c))
            play(&c, (enum client_pipelining)(n % 3));
    }
    assert_true(blocks > 20);
    print_message("%llu blocks, %llu cuts\n", (unsigned long long)blocks, (unsigned long long)cuts);
    blocks = cuts = 0;
}

#define TEST(name, dialect)                                                                        \
    static void name(void **state)                                                                 \
    {                                                                                              \
        (void)state;                                                                               \
        all_cases(dialect);                                                                        \
    }
TEST(smtp, BLOCK_SMTP)
TEST(lmtp, BLOCK_LMTP)
TEST(prdr, BLOCK_PRDR)
TEST(deferrals, BLOCK_DEFERRALS)
TEST(inline_dsn, BLOCK_INLINE_DSN)
TEST(xprdr1, BLOCK_XPRDR1)
TEST(exdata, BLOCK_EXDATA)
TEST(wrapped_a, BLOCK_WRAPPED_A)
TEST(wrapped_b, BLOCK_WRAPPED_B)
TEST(adat, BLOCK_ADAT)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smtp),      cmocka_unit_test(lmtp),       cmocka_unit_test(prdr),
        cmocka_unit_test(deferrals), cmocka_unit_test(inline_dsn), cmocka_unit_test(xprdr1),
        cmocka_unit_test(exdata),    cmocka_unit_test(wrapped_a),  cmocka_unit_test(wrapped_b),
        cmocka_unit_test(adat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
