/* SPDX-License-Identifier: Apache-2.0 */
/* check_holzer.c - the wrapped 250 list, XRCPT250 (holzer.md). */
#include "probe/bulk.h"
#include "probe/nested.h"
#include "probe/trial.h"
#include <stdio.h>
#include <stdlib.h>

#define OPENING "250-2.0.0 +RCPT "
#define CLOSING "250 2.0.0 +END"
#define WORKING "250-000"

static void parameter(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "XRCPT250") && trial_ask(t, "250", "RSET") &&
           trial_ask(t, "501|555", "MAIL FROM:<%s> XRCPT250=1", t->options->sender) &&
           trial_quit(t));
}

/* Progress lines say nothing (HOL-10): out with them. */
static size_t without_progress(char *text, size_t len)
{
    size_t kept = 0;
    for (size_t at = 0; at < len;) {
        size_t end = at + slice_find(slice_of(text + at, len - at), '\n');
        size_t line = size_min(end + 1, len) - at;
        if (strncmp(text + at, WORKING, sizeof(WORKING) - 1) != 0) {
            memmove(text + kept, text + at, line);
            kept += line;
        }
        at += line;
    }
    return kept;
}

/* The reply after the content: wrapped with @count inner ones, or ordinary (0 in @n). */
static bool read_wrapped(struct trial *t, uint32_t count, struct nested *n)
{
    char text[160];
    n->count = 0;
    if (!trial_expect_nested(t))
        return false;
    struct trial_reply *r = t->reply;
    if (trial_code_is(r->code, "2xx"))
        trial_note_left(t);
    if (strncmp(r->text, OPENING, sizeof(OPENING) - 1) != 0)
        return true;
    char *end;
    unsigned long announced = strtoul(r->text + sizeof(OPENING) - 1, &end, 10);
    if (*end != '\n' || announced != count)
        return trial_fail(t, "the opening line does not announce %u recipients: %.40s", count,
                          r->text);
    size_t first = (size_t)(end + 1 - r->text);
    size_t len = without_progress(r->text + first, r->len - first);
    size_t closing = sizeof(CLOSING) - 1;
    if (len < closing + 1 || memcmp(r->text + first + len - closing, CLOSING, closing) != 0)
        return trial_fail(t, "the last line is not \"" CLOSING "\"");
    if (!nested_parse(n, slice_of(r->text + first, len - closing - 1), "250", true, text,
                      sizeof(text)))
        return trial_fail(t, "%s", text);
    return n->count == count || trial_fail(t, "%u replies for %u recipients", n->count, count);
}

static void accepted(struct trial *t)
{
    struct nested n;
    if (!trial_start(t) || !trial_envelope(t, "XRCPT250", 2) || !trial_data(t) ||
        !trial_content(t, "Both take it.\r\n") || !read_wrapped(t, 2, &n))
        return;
    if (!trial_code_is(t->reply->code, "250"))
        trial_fail(t, "both are accepted, and the reply is %d", t->reply->code);
    (void)trial_check_all_taken(t, n.codes, n.count);
    (void)trial_quit(t);
}

static void mixed_by(struct trial *t, bool is_bdat)
{
    static const char body[] = "Refused by the second of three.\r\n";
    struct nested n;
    if (!trial_start(t) || !trial_envelope(t, "XRCPT250", 1) ||
        !trial_rcpt_accepted(t, t->options->content_refused_rcpt) ||
        !trial_rcpt_accepted(t, trial_rcpt(t, 1)) ||
        !(is_bdat ? bulk_bdat(t, body, true) : trial_data(t) && trial_content(t, body)) ||
        !read_wrapped(t, 3, &n))
        return;
    if (n.count == 0)
        trial_fail(t, "one reply (%d) for recipients who do not agree", t->reply->code);
    else
        (void)trial_check_second_refused(t, n.codes);
    (void)trial_quit(t);
}

static void mixed(struct trial *t)
{
    mixed_by(t, false);
}

static void mixed_bdat(struct trial *t)
{
    mixed_by(t, true);
}

static void unasked(struct trial *t)
{
    if (!trial_start(t) || !trial_envelope(t, "", 1) ||
        !trial_must(t, "2xx|4xx|5xx", "RCPT TO:<%s>", t->options->content_refused_rcpt) ||
        !trial_data(t) || !trial_content(t, "Nobody asked for XRCPT250.\r\n") ||
        !trial_answered(t, 1, "2xx|4xx|5xx"))
        return;
    if (strncmp(t->reply->text, OPENING, sizeof(OPENING) - 1) == 0)
        trial_fail(t, "a wrapped list to a client that did not ask");
    (void)trial_quit(t);
}

#define MIX (NEED_RCPT | NEED_CONTENT_REFUSED | NEED_SMTP)

static const struct check rows[] = {
    {"HOL-4/parameter", CHECK_MUST, 0, "XRCPT250", "MAIL takes XRCPT250, without a value",
     parameter},
    {"HOL-4/unasked", CHECK_MUST, MIX, "XRCPT250", "no list to a client that did not ask", unasked},
    {"HOL-5/accepted", CHECK_MUST, NEED_RCPT, "XRCPT250", "two recipients, both take it", accepted},
    {"HOL-5/mixed", CHECK_MUST, MIX, "XRCPT250", "opening, a reply for each recipient, closing",
     mixed},
    {"HOL-5/bdat", CHECK_MUST, MIX, "XRCPT250 CHUNKING", "the same behind BDAT LAST", mixed_bdat},
};

const struct check_sheet check_holzer = {"holzer", "The wrapped 250 list (XRCPT250)", rows,
                                         ARRAY_COUNT(rows)};
