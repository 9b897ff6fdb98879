/* SPDX-License-Identifier: Apache-2.0 */
/* check_deferrals.c - DEFERRALS and its ancestor INLINE-DSN (deferrals.md): 352 at RCPT, and a
 * reply after the content for those only who got it. */
#include "probe/block.h"
#include "probe/bulk.h"
#include <stdio.h>

struct dialect {
    const char *name;
    enum block_kind kind;
};

static const struct dialect deferrals = {"DEFERRALS", BLOCK_DEFERRALS};
static const struct dialect inline_dsn = {"INLINE-DSN", BLOCK_INLINE};

static void keyword(struct trial *t, const struct dialect *d)
{
    const struct found_keyword *k = found_get(&t->probe->found, d->name);
    if (*k->params != '\0')
        trial_fail(t, "%s is offered with a parameter: \"%s\"", d->name, k->params);
}

static void parameter(struct trial *t, const struct dialect *d)
{
    (void)(trial_start(t) && trial_mail(t, d->name) && trial_ask(t, "250", "RSET") &&
           trial_ask(t, "501|555", "MAIL FROM:<%s> %s=1", t->options->sender, d->name) &&
           trial_quit(t));
}

static bool begin(struct trial *t, const struct dialect *d)
{
    return trial_start(t) && trial_mail(t, d->name);
}

static bool content(struct trial *t, const char *body)
{
    return trial_data(t) && trial_content(t, body);
}

/* The recipient who refuses content; the check makes sense only if that is left open at RCPT. */
static bool add_refusing(struct trial *t, struct block *b, enum block_kind kind)
{
    uint32_t taken_count = b->taken_count;
    if (!block_rcpt(t, b, kind, t->options->content_refused_rcpt))
        return false;
    return b->taken_count == taken_count ||
           trial_skip(t, "the recipient of --content-refused-rcpt gets no 352");
}

static void accepted(struct trial *t, const struct dialect *d)
{
    struct block b = {0};
    if (!begin(t, d) || !block_rcpt(t, &b, d->kind, trial_rcpt(t, 0)) ||
        !block_rcpt(t, &b, d->kind, trial_rcpt(t, 1)) || !content(t, "Both take it.\r\n") ||
        !block_read(t, &b, d->kind))
        return;
    if (b.final / 100 != 2)
        trial_fail(t, "the final reply is %d", b.final);
    (void)trial_quit(t);
}

/* Recipients who agree, or not; with @is_bdat in one chunk. */
static void mixed(struct trial *t, const struct dialect *d, bool is_bdat)
{
    static const char body[] = "Refused by the second of three.\r\n";
    struct block b = {0};
    if (!begin(t, d) || !block_rcpt(t, &b, d->kind, trial_rcpt(t, 0)) ||
        !add_refusing(t, &b, d->kind) || !block_rcpt(t, &b, d->kind, trial_rcpt(t, 1)) ||
        !(is_bdat ? bulk_bdat(t, body, true) : content(t, body)) || !block_read(t, &b, d->kind))
        return;
    if (b.is_single)
        trial_fail(t, "one reply (%d) for recipients who do not agree", b.final);
    if (b.final / 100 != 2)
        trial_fail(t, "somebody takes it, and the final reply is %d", b.final);
    (void)trial_quit(t);
}

static void refused_between(struct trial *t, const struct dialect *d)
{
    struct block b = {0};
    (void)(begin(t, d) && block_rcpt(t, &b, d->kind, trial_rcpt(t, 0)) &&
           trial_rcpt_refused(t, t->options->refused_rcpt) && add_refusing(t, &b, d->kind) &&
           content(t, "One of three was refused at RCPT.\r\n") && block_read(t, &b, d->kind) &&
           trial_quit(t));
}

static void all_refused(struct trial *t, const struct dialect *d)
{
    struct block b = {0};
    if (!begin(t, d) || !add_refusing(t, &b, d->kind) || !add_refusing(t, &b, d->kind) ||
        !content(t, "Refused by everybody.\r\n") || !block_read(t, &b, d->kind))
        return;
    if (b.is_single && b.final / 100 == 2)
        trial_fail(t, "everybody refuses, and the reply is %d", b.final);
    (void)trial_quit(t);
}

static void def_keyword(struct trial *t)
{
    keyword(t, &deferrals);
}

static void def_pipelining(struct trial *t)
{
    if (found_get(&t->probe->found, "PIPELINING") == NULL)
        trial_fail(t, "DEFERRALS is offered without PIPELINING");
}

static void def_parameter(struct trial *t)
{
    parameter(t, &deferrals);
}

static void def_accepted(struct trial *t)
{
    accepted(t, &deferrals);
}

static void def_mixed(struct trial *t)
{
    mixed(t, &deferrals, false);
}

static void def_bdat(struct trial *t)
{
    mixed(t, &deferrals, true);
}

static void def_refused_between(struct trial *t)
{
    refused_between(t, &deferrals);
}

static void def_all_refused(struct trial *t)
{
    all_refused(t, &deferrals);
}

/* 352 counts as a recipient for DATA (DEF-8), and disappears with RSET. */
static void def_only_352(struct trial *t)
{
    struct block b = {0};
    (void)(begin(t, &deferrals) && add_refusing(t, &b, BLOCK_DEFERRALS) &&
           trial_ask(t, "354", "DATA") && trial_content(t, "For one who got 352.\r\n") &&
           block_read(t, &b, BLOCK_DEFERRALS) && trial_quit(t));
}

static void def_rset(struct trial *t)
{
    (void)(begin(t, &deferrals) && trial_ask(t, "250", "RSET") && trial_mail(t, "") &&
           trial_ask(t, "250|251|4xx|5xx", "RCPT TO:<%s>", t->options->content_refused_rcpt) &&
           trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void def_unasked(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") &&
           trial_ask(t, "250|251|4xx|5xx", "RCPT TO:<%s>", t->options->content_refused_rcpt) &&
           trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void inl_keyword(struct trial *t)
{
    keyword(t, &inline_dsn);
    parameter(t, &inline_dsn);
}

static void inl_accepted(struct trial *t)
{
    accepted(t, &inline_dsn);
}

static void inl_mixed(struct trial *t)
{
    mixed(t, &inline_dsn, false);
}

static void inl_all_refused(struct trial *t)
{
    all_refused(t, &inline_dsn);
}

#define MIX (NEED_RCPT | NEED_CONTENT_REFUSED)

static const struct check rows[] = {
    {"DEF-1/keyword", CHECK_MUST, 0, "DEFERRALS", "offered without parameters", def_keyword},
    {"DEF-2/parameter", CHECK_MUST, 0, "DEFERRALS", "MAIL takes DEFERRALS, without a value",
     def_parameter},
    {"DEF-3/pipelining", CHECK_MUST, 0, "DEFERRALS", "with PIPELINING", def_pipelining},
    {"DEF-5/unasked", CHECK_MUST, NEED_CONTENT_REFUSED | NEED_SMTP, "",
     "no 352 to a client that did not ask", def_unasked},
    {"DEF-5/rset", CHECK_MUST, NEED_CONTENT_REFUSED, "DEFERRALS", "no 352 behind RSET", def_rset},
    {"DEF-8/data", CHECK_MUST, NEED_CONTENT_REFUSED, "DEFERRALS",
     "DATA behind nothing but 352: 354", def_only_352},
    {"DEF-9/accepted", CHECK_MUST, NEED_RCPT, "DEFERRALS", "two recipients, both take it",
     def_accepted},
    {"DEF-10/mixed", CHECK_MUST, MIX, "DEFERRALS", "353, a reply for each 352, final 2xx",
     def_mixed},
    {"DEF-10/refused", CHECK_MUST, MIX | NEED_REFUSED, "DEFERRALS",
     "no reply for a recipient refused at RCPT", def_refused_between},
    {"DEF-14/refused", CHECK_MUST, NEED_CONTENT_REFUSED, "DEFERRALS",
     "everybody refuses: the final reply is negative", def_all_refused},
    {"DEF-22/bdat", CHECK_MUST, MIX, "DEFERRALS CHUNKING", "the same behind BDAT LAST", def_bdat},
    {"INL-1/keyword", CHECK_MUST, 0, "INLINE-DSN", "keyword and parameter without values",
     inl_keyword},
    {"INL-1/accepted", CHECK_MUST, NEED_RCPT, "INLINE-DSN", "two recipients, both take it",
     inl_accepted},
    {"INL-2/mixed", CHECK_MUST, MIX, "INLINE-DSN", "the list of replies ends with 250", inl_mixed},
    {"INL-6/refused", CHECK_MUST, NEED_CONTENT_REFUSED, "INLINE-DSN",
     "everybody refuses: one negative reply, or a list that ends with 250", inl_all_refused},
};

const struct check_sheet check_deferrals = {"deferrals", "DEFERRALS and INLINE-DSN", rows,
                                            ARRAY_COUNT(rows)};
