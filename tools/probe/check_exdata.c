/* SPDX-License-Identifier: Apache-2.0 */
/* check_exdata.c - 558, and a reply for each recipient in its lines (exdata.md). */
#include "probe/bulk.h"
#include "probe/nested.h"
#include "probe/trial.h"
#include <stdio.h>

static void keyword(struct trial *t)
{
    static const char *const names[] = {"EXDATA", "XEXDATA"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const struct found_keyword *k = found_get(&t->probe->found, names[i]);
        if (k != NULL && *k->params != '\0')
            trial_fail(t, "%s is offered with a parameter: \"%s\"", names[i], k->params);
    }
}

static void parameter(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "MAIL FROM:<%s> EXDATA", t->options->sender) &&
           trial_ask(t, "250", "RSET") &&
           trial_ask(t, "501|555", "MAIL FROM:<%s> EXDATA=1", t->options->sender) && trial_quit(t));
}

static void both_names(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "MAIL FROM:<%s> EXDATA", t->options->sender) &&
           trial_ask(t, "250", "RSET") &&
           trial_ask(t, "250", "MAIL FROM:<%s> XEXDATA", t->options->sender) && trial_quit(t));
}

static bool begin(struct trial *t)
{
    return trial_start(t) && trial_mail(t, "EXDATA");
}

static bool content(struct trial *t, const char *body)
{
    return trial_data(t) && trial_content(t, body);
}

/* The reply after the content: 558 with @count inner ones, or an ordinary one (0 in @n). */
static bool read_558(struct trial *t, uint32_t count, struct nested *n)
{
    char text[160];
    n->count = 0;
    if (!trial_expect_nested(t))
        return false;
    bool is_left = trial_code_is(t->reply->code, "2xx");
    if (t->reply->code == 558) {
        if (!nested_parse(n, slice_of(t->reply->text, t->reply->len), "558", true, text,
                          sizeof(text)))
            return trial_fail(t, "%s", text);
        if (n->count != count)
            return trial_fail(t, "558 has %u replies for %u recipients", n->count, count);
        for (uint32_t i = 0; i < n->count; i++)
            is_left = is_left || n->codes[i] / 100 == 2;
    }
    if (is_left)
        trial_note_left(t);
    return true;
}

static void accepted(struct trial *t)
{
    struct nested n;
    if (!begin(t) || !trial_rcpt_accepted(t, trial_rcpt(t, 0)) ||
        !trial_rcpt_accepted(t, trial_rcpt(t, 1)) || !content(t, "Both take it.\r\n") ||
        !read_558(t, 2, &n))
        return;
    (void)trial_check_all_taken(t, n.codes, n.count);
    if (n.count == 0 && !trial_code_is(t->reply->code, "2xx"))
        trial_fail(t, "both are accepted, and the reply is %d", t->reply->code);
    (void)trial_quit(t);
}

static void accepted_plain(struct trial *t)
{
    struct nested n;
    if (!begin(t) || !trial_rcpt_accepted(t, trial_rcpt(t, 0)) ||
        !content(t, "One takes it.\r\n") || !read_558(t, 1, &n))
        return;
    if (n.count > 0)
        trial_fail(t, "everybody takes it, and the reply is 558 and not a plain one");
    (void)trial_quit(t);
}

static void mixed_by(struct trial *t, bool is_bdat, const char *refusing, bool repeats)
{
    static const char body[] = "Refused by one in the middle.\r\n";
    struct nested n;
    if (!begin(t) || !trial_rcpt_accepted(t, trial_rcpt(t, 0)) ||
        !trial_rcpt_accepted(t, refusing) || !trial_rcpt_accepted(t, trial_rcpt(t, 0)) ||
        (repeats && !trial_rcpt_accepted(t, refusing)) ||
        !(is_bdat ? bulk_bdat(t, body, true) : content(t, body)) ||
        !read_558(t, repeats ? 4 : 3, &n))
        return;
    if (n.count == 0)
        trial_fail(t, "one reply (%d) for recipients who do not agree", t->reply->code);
    else
        (void)trial_check_second_refused(t, n.codes);
    (void)trial_quit(t);
}

static void mixed(struct trial *t)
{
    mixed_by(t, false, t->options->content_refused_rcpt, false);
}

static void mixed_repeat(struct trial *t)
{
    mixed_by(t, false, t->options->content_refused_rcpt, true);
}

static void mixed_bdat(struct trial *t)
{
    mixed_by(t, true, t->options->content_refused_rcpt, false);
}

static void refused_between(struct trial *t)
{
    struct nested n;
    (void)(begin(t) && trial_rcpt_accepted(t, trial_rcpt(t, 0)) &&
           trial_rcpt_refused(t, t->options->refused_rcpt) &&
           trial_rcpt_accepted(t, t->options->content_refused_rcpt) &&
           content(t, "One of three was refused at RCPT.\r\n") && read_558(t, 2, &n) &&
           trial_quit(t));
}

static void unasked(struct trial *t)
{
    if (!trial_start(t) || !trial_mail(t, "") || !trial_rcpt_accepted(t, trial_rcpt(t, 0)) ||
        !trial_must(t, "2xx|4xx|5xx", "RCPT TO:<%s>", t->options->content_refused_rcpt) ||
        !content(t, "Nobody asked for EXDATA.\r\n") ||
        !trial_expect_for(t, "the content", "2xx|4xx|5xx"))
        return;
    if (t->reply->code == 558)
        trial_fail(t, "558 to a client that did not ask");
    if (trial_code_is(t->reply->code, "2xx"))
        trial_note_left(t);
    (void)trial_quit(t);
}

static void data(struct trial *t)
{
    (void)(begin(t) && trial_ask(t, "503|554", "DATA") && trial_quit(t));
}

#define MIX (NEED_RCPT | NEED_CONTENT_REFUSED | NEED_SMTP)

#define EITHER "EXDATA|XEXDATA" /* Courier has the second (EXD-2) */

static const struct check rows[] = {
    {"EXD-1/keyword", CHECK_MUST, NEED_SMTP, EITHER, "offered without parameters", keyword},
    {"EXD-1/parameter", CHECK_MUST, NEED_SMTP, EITHER, "MAIL takes EXDATA, without a value",
     parameter},
    {"EXD-2/names", CHECK_SHOULD, NEED_SMTP, "EXDATA XEXDATA",
     "MAIL takes both names where both are offered", both_names},
    {"EXD-4/unasked", CHECK_MUST, MIX, "", "no 558 to a client that did not ask", unasked},
    {"EXD-6/data", CHECK_MUST, NEED_SMTP, EITHER, "DATA without a recipient: an ordinary reply",
     data},
    {"EXD-9/accepted", CHECK_MUST, NEED_SMTP | NEED_RCPT, EITHER,
     "both take it: 2xx, or 558 with two replies", accepted},
    {"EXD-10/plain", CHECK_SHOULD, NEED_SMTP | NEED_RCPT, EITHER, "everybody takes it: a plain 2xx",
     accepted_plain},
    {"EXD-8/mixed", CHECK_MUST, MIX, EITHER, "558, a reply for each recipient, in order", mixed},
    {"EXD-9/repeat", CHECK_MUST, MIX, EITHER, "a recipient named twice has two replies",
     mixed_repeat},
    {"EXD-9/refused", CHECK_MUST, MIX | NEED_REFUSED, EITHER,
     "no reply for a recipient refused at RCPT", refused_between},
    {"EXD-6/bdat", CHECK_MUST, MIX, EITHER " CHUNKING", "the same behind BDAT LAST", mixed_bdat},
};

const struct check_sheet check_exdata = {"exdata", "EXDATA", rows, ARRAY_COUNT(rows)};
