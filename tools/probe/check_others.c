/* SPDX-License-Identifier: Apache-2.0 */
/* check_others.c - ADAT, DRCP, ERCP; XPRDR1; two dialects at once (others.md). */
#include "probe/block.h"
#include "probe/trial.h"
#include <stdio.h>

/* --- ADAT: content first, then recipients ----------------------------------------------------- */

static bool begin(struct trial *t)
{
    return trial_start(t) && trial_mail(t, "");
}

/* Up to 355: recipients may be named. */
static bool content(struct trial *t, const char *body)
{
    if (!begin(t) || !trial_ask(t, "354", "ADAT") || !trial_content(t, body))
        return false;
    t->state.has_asked = true;
    bool goes_on = trial_expect_for(t, "the content", "355");
    t->state.has_asked = false;
    return goes_on;
}

static void adat(struct trial *t)
{
    if (content(t, "Recipients come later.\r\n") &&
        trial_ask(t, "250|251", "DRCP TO:<%s>", trial_rcpt(t, 0)) &&
        trial_ask(t, "250|251", "DRCP TO:<%s>", trial_rcpt(t, 1)) && trial_ask(t, "250", "ERCP 2"))
        trial_note_left(t);
    (void)trial_quit(t);
}

static void adat_mixed(struct trial *t)
{
    if (content(t, "Refused by the second of three.\r\n") &&
        trial_ask(t, "250|251", "DRCP TO:<%s>", trial_rcpt(t, 0)) &&
        trial_ask(t, "4xx|5xx", "DRCP TO:<%s>", t->options->content_refused_rcpt) &&
        trial_ask(t, "250|251", "DRCP TO:<%s>", trial_rcpt(t, 1)) && trial_ask(t, "250", "ERCP"))
        trial_note_left(t);
    (void)trial_quit(t);
}

static void adat_count(struct trial *t)
{
    (void)(content(t, "The count is wrong: nobody gets it.\r\n") &&
           trial_ask(t, "250|251", "DRCP TO:<%s>", trial_rcpt(t, 0)) &&
           trial_ask(t, "554", "ERCP 2") && trial_ask(t, "503", "DRCP TO:<%s>", trial_rcpt(t, 0)) &&
           trial_quit(t));
}

static void adat_rset(struct trial *t)
{
    (void)(content(t, "RSET before ERCP: nobody gets it.\r\n") &&
           trial_ask(t, "250|251", "DRCP TO:<%s>", trial_rcpt(t, 0)) &&
           trial_ask(t, "250", "RSET") && trial_ask(t, "503", "ERCP") && trial_quit(t));
}

static void adat_order(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "503", "ADAT") && trial_ask(t, "503", "ERCP") &&
           trial_ask(t, "503", "DRCP TO:<%s>", trial_rcpt(t, 0)) && trial_mail(t, "") &&
           trial_rcpt_accepted(t, trial_rcpt(t, 0)) && trial_ask(t, "503", "ADAT") &&
           trial_quit(t));
}

static void adat_nobody(struct trial *t)
{
    (void)(content(t, "For nobody.\r\n") && trial_ask(t, "250", "ERCP 0") && trial_quit(t));
}

/* --- XPRDR1: a reply for each recipient and a final one, no opener ---------------------------- */

static void plain(struct trial *t)
{
    struct block b = {0};
    if (!trial_start(t) || !trial_mail(t, "XPRDR1") ||
        !block_rcpt(t, &b, BLOCK_PLAIN, trial_rcpt(t, 0)) ||
        !block_rcpt(t, &b, BLOCK_PLAIN, trial_rcpt(t, 1)) || !trial_data(t) ||
        !trial_content(t, "Both take it.\r\n") || !block_read(t, &b, BLOCK_PLAIN))
        return;
    if (b.final / 100 != 2)
        trial_fail(t, "the final reply is %d", b.final);
    (void)trial_quit(t);
}

static void plain_mixed(struct trial *t)
{
    struct block b = {0};
    if (!trial_start(t) || !trial_mail(t, "XPRDR1") ||
        !block_rcpt(t, &b, BLOCK_PLAIN, trial_rcpt(t, 0)) ||
        !block_rcpt(t, &b, BLOCK_PLAIN, t->options->content_refused_rcpt) || !trial_data(t) ||
        !trial_content(t, "Refused by the second of two.\r\n") || !block_read(t, &b, BLOCK_PLAIN))
        return;
    if (b.codes[0] / 100 != 2 || b.codes[1] / 100 == 2 || b.final / 100 != 2)
        trial_fail(t, "the replies are %d, %d, final %d", b.codes[0], b.codes[1], b.final);
    (void)trial_quit(t);
}

/* --- two at once ------------------------------------------------------------------------------ */

static void two_at_once(struct trial *t)
{
    static const char *const names[] = {"PRDR",   "DEFERRALS", "INLINE-DSN",
                                        "EXDATA", "XPRDR1",    "XRCPT250"};
    const char *offered[ARRAY_COUNT(names)];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (found_get(&t->probe->found, names[i]) != NULL)
            offered[count++] = names[i];
    if (count < 2) {
        trial_skip(t, "fewer than two ways to answer recipients are offered");
        return;
    }
    bool goes_on = trial_start(t);
    for (size_t i = 1; i < count && goes_on; i++)
        goes_on = trial_ask(t, "501", "MAIL FROM:<%s> %s %s", t->options->sender, offered[i - 1],
                            offered[i]);
    (void)(goes_on && trial_mail(t, "") && trial_quit(t));
}

static const struct check rows[] = {
    {"OTH-3/order", CHECK_MUST, NEED_RCPT, "ADAT", "ADAT, DRCP, ERCP out of turn: 503", adat_order},
    {"OTH-4/accepted", CHECK_MUST, NEED_RCPT, "ADAT", "354, 355, DRCP, ERCP", adat},
    {"OTH-5/mixed", CHECK_MUST, NEED_RCPT | NEED_CONTENT_REFUSED, "ADAT",
     "DRCP is where a recipient refuses", adat_mixed},
    {"OTH-6/count", CHECK_MUST, NEED_RCPT, "ADAT", "ERCP with a wrong count: 554, nothing is left",
     adat_count},
    {"OTH-7/rset", CHECK_MUST, NEED_RCPT, "ADAT", "RSET before ERCP: the message is gone",
     adat_rset},
    {"OTH-8/nobody", CHECK_MUST, 0, "ADAT", "ERCP with no recipient: 250", adat_nobody},
    {"OTH-11/accepted", CHECK_MUST, NEED_RCPT, "XPRDR1", "two replies and a final one", plain},
    {"OTH-11/mixed", CHECK_MUST, NEED_RCPT | NEED_CONTENT_REFUSED, "XPRDR1",
     "the same when the second refuses", plain_mixed},
    {"OTH-S6/two", CHECK_SHOULD, NEED_SMTP, "", "two dialects on one MAIL: 501", two_at_once},
};

const struct check_sheet check_others = {"others", "ADAT, XPRDR1, and two at once", rows,
                                         ARRAY_COUNT(rows)};
