/* SPDX-License-Identifier: Apache-2.0 */
/* check_prdr.c - per-recipient data responses (prdr.md; section 9 is the list of what to test). */
#include "probe/block.h"
#include "probe/bulk.h"
#include <stdio.h>

static void keyword(struct trial *t)
{
    const struct found_keyword *k = found_get(&t->probe->found, "PRDR");
    if (*k->params != '\0')
        trial_fail(t, "PRDR is offered with a parameter: \"%s\"", k->params);
    if (strcmp(k->name, "PRDR") != 0)
        trial_fail(t, "PRDR is offered as \"%s\": there are clients that look for capitals",
                   k->name);
}

static void companions(struct trial *t)
{
    char missing[64];
    if (!found_has_all(&t->probe->found, "PIPELINING ENHANCEDSTATUSCODES", missing,
                       sizeof(missing)))
        trial_fail(t, "PRDR is offered without %s", missing);
}

static void parameter(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "MAIL FROM:<%s> PRDR", t->options->sender) &&
           trial_ask(t, "250", "RSET") &&
           trial_ask(t, "250", "MAIL FROM:<%s> prdr", t->options->sender) && trial_quit(t));
}

static void value(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "501|555", "MAIL FROM:<%s> PRDR=1", t->options->sender) &&
           trial_quit(t));
}

static void after_helo(struct trial *t)
{
    (void)(trial_connect(t) && trial_must(t, "250", "HELO %s", t->options->helo) &&
           trial_ask(t, "555", "MAIL FROM:<%s> PRDR", t->options->sender) && trial_quit(t));
}

static void not_offered(struct trial *t)
{
    if (found_get(&t->probe->found, "PRDR") != NULL) {
        trial_skip(t, "PRDR is offered");
        return;
    }
    (void)(trial_start(t) && trial_ask(t, "555", "MAIL FROM:<%s> PRDR", t->options->sender) &&
           trial_quit(t));
}

static void rcpt_codes(struct trial *t)
{
    if (!trial_start(t) || !trial_mail(t, "PRDR") ||
        !trial_ask(t, "2xx|4xx|5xx", "RCPT TO:<%s>", trial_rcpt(t, 0)))
        return;
    (void)(trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void data_no_rcpt(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "PRDR") && trial_ask(t, "503|554", "DATA") &&
           trial_quit(t));
}

static bool begin(struct trial *t)
{
    return trial_start(t) && trial_mail(t, "PRDR");
}

static bool add(struct trial *t, struct block *b, const char *address)
{
    return block_rcpt(t, b, BLOCK_PRDR, address);
}

static bool content(struct trial *t, const char *body)
{
    return trial_data(t) && trial_content(t, body);
}

static void one(struct trial *t)
{
    struct block b = {0};
    if (!begin(t) || !add(t, &b, trial_rcpt(t, 0)) || !content(t, "For one recipient.\r\n") ||
        !block_read(t, &b, BLOCK_PRDR))
        return;
    if (b.final / 100 != 2)
        trial_fail(t, "the final reply is %d", b.final);
    (void)trial_quit(t);
}

static void two(struct trial *t)
{
    struct block b = {0};
    if (!begin(t) || !add(t, &b, trial_rcpt(t, 0)) || !add(t, &b, trial_rcpt(t, 1)) ||
        !content(t, "For two recipients.\r\n") || !block_read(t, &b, BLOCK_PRDR))
        return;
    if (b.final / 100 != 2)
        trial_fail(t, "the final reply is %d", b.final);
    (void)trial_quit(t);
}

static void repeated(struct trial *t)
{
    struct block b = {0};
    (void)(begin(t) && add(t, &b, trial_rcpt(t, 0)) &&
           add(t, &b, t->options->content_refused_rcpt) && add(t, &b, trial_rcpt(t, 0)) &&
           add(t, &b, t->options->content_refused_rcpt) &&
           content(t, "Two recipients, twice each.\r\n") && block_read(t, &b, BLOCK_PRDR) &&
           trial_quit(t));
}

static void refused_between(struct trial *t)
{
    struct block b = {0};
    (void)(begin(t) && add(t, &b, trial_rcpt(t, 0)) &&
           trial_rcpt_refused(t, t->options->refused_rcpt) &&
           add(t, &b, t->options->content_refused_rcpt) &&
           content(t, "One of three was refused at RCPT.\r\n") && block_read(t, &b, BLOCK_PRDR) &&
           trial_quit(t));
}

/* Three recipients of whom the second does not take the content: the block. */
static bool mixed_block(struct trial *t, struct block *b, bool is_bdat)
{
    static const char body[] = "Refused by the second of three.\r\n";
    if (!begin(t) || !add(t, b, trial_rcpt(t, 0)) || !add(t, b, t->options->content_refused_rcpt) ||
        !add(t, b, trial_rcpt(t, 1)))
        return false;
    bool is_sent = is_bdat ? bulk_bdat(t, body, true) : content(t, body);
    if (!is_sent || !block_read(t, b, BLOCK_PRDR))
        return false;
    if (b->is_single)
        return trial_fail(t, "one reply (%d) for recipients who do not agree", b->final);
    return trial_check_second_refused(t, b->codes);
}

static void mixed(struct trial *t)
{
    struct block b = {0};
    if (!mixed_block(t, &b, false))
        return;
    if (b.final / 100 != 2)
        trial_fail(t, "two recipients take it, and the final reply is %d", b.final);
    (void)trial_quit(t);
}

static void mixed_bdat(struct trial *t)
{
    struct block b = {0};
    if (mixed_block(t, &b, true))
        (void)trial_quit(t);
}

static void opener(struct trial *t)
{
    struct block b = {0};
    if (!mixed_block(t, &b, false))
        return;
    if (b.opener_lines != 1)
        trial_fail(t, "353 has %u lines", b.opener_lines);
    (void)trial_quit(t);
}

static void same_codes(struct trial *t)
{
    struct block b = {0};
    if (!mixed_block(t, &b, false))
        return;
    for (uint32_t i = 0; i < b.rcpt_count; i++)
        if (b.codes[i] / 100 == 2 && b.codes[i] < b.rcpt_codes[i])
            trial_fail(t, "RCPT got %d and after the content only %d", b.rcpt_codes[i], b.codes[i]);
    (void)trial_quit(t);
}

static void all_refused(struct trial *t)
{
    struct block b = {0};
    if (!begin(t) || !add(t, &b, t->options->content_refused_rcpt) ||
        !add(t, &b, t->options->content_refused_rcpt) || !content(t, "Refused by everybody.\r\n") ||
        !block_read(t, &b, BLOCK_PRDR))
        return;
    if (b.final / 100 == 2)
        trial_fail(t, "everybody refuses, and the final reply is %d", b.final);
    (void)trial_quit(t);
}

static void refused_and_delayed(struct trial *t)
{
    struct block b = {0};
    if (!begin(t) || !add(t, &b, t->options->content_refused_rcpt) ||
        !add(t, &b, t->options->content_delayed_rcpt) ||
        !content(t, "Refused by one, deferred by the other.\r\n") || !block_read(t, &b, BLOCK_PRDR))
        return;
    if (b.final / 100 != 4)
        trial_fail(t, "nobody takes it and one is deferred, and the final reply is %d", b.final);
    (void)trial_quit(t);
}

static void hundred(struct trial *t)
{
    struct block b = {0};
    bool goes_on = begin(t);
    for (uint32_t i = 0; i < 99 && goes_on; i++)
        goes_on = add(t, &b, trial_rcpt(t, i));
    (void)(goes_on && add(t, &b, t->options->content_refused_rcpt) &&
           content(t, "For a hundred recipients.\r\n") && block_read(t, &b, BLOCK_PRDR) &&
           trial_quit(t));
}

/* What PRDR would answer with a block, in a transaction that did not ask. */
static bool unasked_mix(struct trial *t)
{
    if (!trial_mail(t, "") || !trial_rcpt_accepted(t, trial_rcpt(t, 0)) ||
        !trial_must(t, "2xx|4xx|5xx", "RCPT TO:<%s>", t->options->content_refused_rcpt) ||
        !content(t, "Nobody asked for PRDR.\r\n") ||
        !trial_expect_for(t, "the content", "2xx|4xx|5xx"))
        return false;
    if (trial_code_is(t->reply->code, "2xx"))
        trial_note_left(t);
    return true;
}

static void unasked(struct trial *t)
{
    (void)(trial_start(t) && unasked_mix(t) && trial_quit(t));
}

static void after_rset(struct trial *t)
{
    (void)(begin(t) && trial_ask(t, "250", "RSET") && unasked_mix(t) && trial_quit(t));
}

static void after_message(struct trial *t)
{
    struct block b = {0};
    (void)(begin(t) && add(t, &b, trial_rcpt(t, 0)) && content(t, "PRDR was asked for.\r\n") &&
           block_read(t, &b, BLOCK_PRDR) && unasked_mix(t) && trial_quit(t));
}

static void quit_behind(struct trial *t)
{
    struct block b = {0};
    if (!begin(t) || !add(t, &b, trial_rcpt(t, 0)) ||
        !add(t, &b, t->options->content_refused_rcpt) || !trial_data(t) ||
        !trial_send(t, "the content", trial_message(t, "QUIT is behind the dot.\r\n.\r\nQUIT\r\n")))
        return;
    talk_shut(t->talk);
    transcript_note(&t->transcript, "end of our stream");
    (void)(block_read(t, &b, BLOCK_PRDR) && trial_expect_for(t, "QUIT", "221"));
}

static void bdat_zero(struct trial *t)
{
    struct block b = {0};
    (void)(begin(t) && add(t, &b, trial_rcpt(t, 0)) && add(t, &b, trial_rcpt(t, 1)) &&
           bulk_bdat(t, "In one chunk, and an empty one.\r\n", false) &&
           trial_expect_for(t, "BDAT without LAST", "250") && bulk_chunk(t, "", true) &&
           block_read(t, &b, BLOCK_PRDR) && trial_quit(t));
}

#define MIX (NEED_RCPT | NEED_CONTENT_REFUSED)

static const struct check rows[] = {
    {"PRDR-1/keyword", CHECK_MUST, 0, "PRDR", "offered in capitals, without parameters", keyword},
    {"PRDR-2/parameter", CHECK_MUST, 0, "PRDR", "MAIL takes PRDR, in letters of any case",
     parameter},
    {"PRDR-2/value", CHECK_SHOULD, 0, "PRDR", "PRDR=1 is refused", value},
    {"PRDR-2/helo", CHECK_SHOULD, NEED_SMTP, "PRDR", "after HELO: 555", after_helo},
    {"PRDR-2/not-offered", CHECK_SHOULD, NEED_SMTP, "", "PRDR that is not offered: 555",
     not_offered},
    {"PRDR-3/companions", CHECK_MUST, 0, "PRDR", "with PIPELINING and ENHANCEDSTATUSCODES",
     companions},
    {"PRDR-7/rcpt", CHECK_MUST, NEED_RCPT, "PRDR", "RCPT has its usual codes", rcpt_codes},
    {"PRDR-11/data", CHECK_MUST, 0, "PRDR", "DATA without a recipient: one ordinary reply",
     data_no_rcpt},
    {"PRDR-15/one", CHECK_MUST, NEED_RCPT, "PRDR", "one recipient: single form, or a block of one",
     one},
    {"PRDR-12/two", CHECK_MUST, NEED_RCPT, "PRDR", "two recipients, both take it", two},
    {"PRDR-18/mixed", CHECK_MUST, MIX, "PRDR", "353, three replies in the order of RCPT, final 2xx",
     mixed},
    {"PRDR-18/refused", CHECK_MUST, MIX | NEED_REFUSED, "PRDR",
     "no reply for a recipient refused at RCPT", refused_between},
    {"PRDR-8/repeat", CHECK_MUST, MIX, "PRDR", "a recipient named twice has two replies", repeated},
    {"PRDR-18/hundred", CHECK_MUST, MIX, "PRDR", "a hundred recipients, a hundred replies",
     hundred},
    {"PRDR-16/opener", CHECK_MUST, MIX, "PRDR", "353 is one line", opener},
    {"PRDR-20/codes", CHECK_MUST, MIX, "PRDR", "a positive reply repeats the code of RCPT",
     same_codes},
    {"PRDR-24/refused", CHECK_MUST, MIX, "PRDR", "everybody refuses: the final reply is negative",
     all_refused},
    {"PRDR-24/delayed", CHECK_MUST, MIX | NEED_CONTENT_DELAYED, "PRDR",
     "one refuses, one is deferred: the final reply is 4xx", refused_and_delayed},
    {"PRDR-10/bdat", CHECK_MUST, MIX, "PRDR CHUNKING", "the same behind BDAT LAST", mixed_bdat},
    {"PRDR-10/bdat-zero", CHECK_MUST, NEED_RCPT, "PRDR CHUNKING",
     "one reply to BDAT, and the rest behind BDAT 0 LAST", bdat_zero},
    {"PRDR-31/quit", CHECK_MUST, MIX, "PRDR PIPELINING",
     "QUIT and the end of the stream behind the dot: everything is answered", quit_behind},
    {"PRDR-40/unasked", CHECK_MUST, MIX | NEED_SMTP, "", "no 353 to a client that did not ask",
     unasked},
    {"PRDR-6/rset", CHECK_MUST, MIX, "PRDR", "no 353 when RSET came in between", after_rset},
    {"PRDR-6/message", CHECK_MUST, MIX, "PRDR", "no 353 in the next transaction", after_message},
};

const struct check_sheet check_prdr = {"prdr", "Per-recipient data responses (PRDR)", rows,
                                       ARRAY_COUNT(rows)};
