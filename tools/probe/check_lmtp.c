/* SPDX-License-Identifier: Apache-2.0 */
/* check_lmtp.c - one reply for each recipient, whatever happens (lmtp.md). */
#include "probe/trial.h"
#include "probe/bulk.h"
#include <stdio.h>
#include <stdlib.h>

static void smtp_hello(struct trial *t, const char *codes)
{
    (void)(trial_connect(t) && trial_ask(t, codes, "EHLO %s", t->options->helo) &&
           trial_ask(t, codes, "HELO %s", t->options->helo) && trial_hello(t) && trial_quit(t));
}

static void ehlo(struct trial *t)
{
    smtp_hello(t, "4xx|5xx");
}

static void ehlo_500(struct trial *t)
{
    smtp_hello(t, "500");
}

static void port_25(struct trial *t)
{
    if (!t->options->target.is_local && strcmp(t->options->target.port, "25") == 0)
        trial_fail(t, "LMTP is spoken on TCP port 25");
}

static void offers_must(struct trial *t)
{
    char missing[64];
    if (!found_has_all(&t->probe->found, "PIPELINING ENHANCEDSTATUSCODES", missing,
                       sizeof(missing)))
        trial_fail(t, "%s is not offered", missing);
}

static void offers_should(struct trial *t)
{
    if (found_get(&t->probe->found, "8BITMIME") == NULL)
        trial_fail(t, "8BITMIME is not offered");
}

static void data_no_rcpt(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") && trial_ask(t, "503", "DATA") && trial_quit(t));
}

static void data_all_refused(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") && trial_rcpt_refused(t, t->options->refused_rcpt) &&
           trial_ask(t, "503", "DATA") && trial_quit(t));
}

/* --- content that is taken -------------------------------------------------------------------- */

static void taken(struct trial *t, uint32_t count, const char *body)
{
    (void)(trial_to_content(t, count) && trial_content(t, body) && trial_stored(t, count) &&
           trial_quit(t));
}

static void one(struct trial *t)
{
    taken(t, 1, "For one recipient.\r\n");
}

static void three(struct trial *t)
{
    taken(t, 3, "For three recipients.\r\n");
}

static void repeated(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) && trial_rcpt_accepted(t, trial_rcpt(t, 0)) &&
           trial_data(t) && trial_content(t, "Twice for one recipient.\r\n") &&
           trial_stored(t, 2) && trial_quit(t));
}

static void refused_between(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) &&
           trial_rcpt_refused(t, t->options->refused_rcpt) &&
           trial_rcpt_accepted(t, trial_rcpt(t, 1)) && trial_data(t) &&
           trial_content(t, "For two of three.\r\n") && trial_stored(t, 2) && trial_quit(t));
}

/* A recipient who refuses the content, between two who do not. */
static bool mixed_envelope(struct trial *t, const char *refusing)
{
    return trial_start(t) && trial_envelope(t, "", 1) && trial_rcpt_accepted(t, refusing) &&
           trial_rcpt_accepted(t, trial_rcpt(t, 1));
}

static bool mixed_replies(struct trial *t, const char *codes)
{
    bool goes_on = trial_expect_for(t, "the content (1 of 3)", "2xx") &&
                   trial_expect_for(t, "the content (2 of 3)", codes) &&
                   trial_expect_for(t, "the content (3 of 3)", "2xx");
    trial_note_left(t);
    return goes_on;
}

static void mixed(struct trial *t)
{
    (void)(mixed_envelope(t, t->options->content_refused_rcpt) && trial_data(t) &&
           trial_content(t, "Refused by the second of three.\r\n") && mixed_replies(t, "4xx|5xx") &&
           trial_quit(t));
}

static void mixed_delayed(struct trial *t)
{
    (void)(mixed_envelope(t, t->options->content_delayed_rcpt) && trial_data(t) &&
           trial_content(t, "Deferred by the second of three.\r\n") && mixed_replies(t, "4xx") &&
           trial_quit(t));
}

static void mixed_bdat(struct trial *t)
{
    (void)(mixed_envelope(t, t->options->content_refused_rcpt) &&
           bulk_bdat(t, "Refused by the second of three.\r\n", true) &&
           mixed_replies(t, "4xx|5xx") && trial_quit(t));
}

static void next(struct trial *t)
{
    (void)(trial_to_content(t, 2) && trial_content(t, "The first of two.\r\n") &&
           trial_stored(t, 2) && trial_ask(t, "250", "RSET") && trial_envelope(t, "", 1) &&
           trial_data(t) && trial_content(t, "The second of two.\r\n") && trial_stored(t, 1) &&
           trial_quit(t));
}

/* --- content that is refused, or not, as a whole ---------------------------------------------- */

/* Two recipients; the server may take the content or not, and has to say so twice. */
static void whole(struct trial *t, const char *body)
{
    (void)(trial_to_content(t, 2) && trial_content(t, body) &&
           trial_answered(t, 2, "2xx|4xx|5xx") && trial_ask(t, "250", "RSET") &&
           trial_envelope(t, "", 1) && trial_quit(t));
}

static void bare_lf(struct trial *t)
{
    whole(t, "A bare LF is\nin this content.\r\n");
}

static void bare_cr(struct trial *t)
{
    whole(t, "A bare CR is\rin this content.\r\n");
}

static void long_line(struct trial *t)
{
    char body[6144];
    memset(body, 'x', sizeof(body));
    memcpy(body + sizeof(body) - 3, "\r\n", 3);
    whole(t, body);
}

static void no_header(struct trial *t)
{
    static const char content[] = "This is no header field\r\n: nor this\r\n\r\n.\r\n";
    (void)(trial_to_content(t, 2) && trial_send(t, "the content", slice_str(content)) &&
           trial_answered(t, 2, "2xx|4xx|5xx") && trial_quit(t));
}

static void empty(struct trial *t)
{
    (void)(trial_to_content(t, 2) && trial_send(t, "the content", slice_str(".\r\n")) &&
           trial_answered(t, 2, "2xx|4xx|5xx") && trial_quit(t));
}

static void loop(struct trial *t)
{
    if (!trial_to_content(t, 2) ||
        !bulk_lines(t, "Received: from a.example by b.example; Fri, 2 Jan 2026 03:04:05 +0000",
                    150))
        return;
    (void)(trial_content(t, "After 150 hops.\r\n") && trial_answered(t, 2, "2xx|4xx|5xx") &&
           trial_quit(t));
}

static void gtube(struct trial *t)
{
    (void)(trial_to_content(t, 2) && trial_content(t, BULK_GTUBE "\r\n") &&
           trial_answered(t, 2, "4xx|5xx") && trial_ask(t, "250", "RSET") && trial_quit(t));
}

/* More than SIZE after DATA, if that is not too much to send; the session goes on. */
static void too_big(struct trial *t)
{
    (void)(trial_to_content(t, 2) && bulk_too_big(t) && trial_answered(t, 2, "4xx|5xx") &&
           trial_quit(t));
}

static void too_big_next(struct trial *t)
{
    (void)(trial_to_content(t, 2) && bulk_too_big(t) && trial_answered(t, 2, "4xx|5xx") &&
           trial_ask(t, "250", "MAIL FROM:<%s>", t->options->sender) && trial_quit(t));
}

/* DATA itself is refused, with two recipients: one reply. */
static void data_refused(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "BODY=BINARYMIME", 2) &&
           trial_ask(t, "4xx|5xx", "DATA") && trial_quit(t));
}

/* --- BDAT ------------------------------------------------------------------------------------- */

static void bdat(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 3) &&
           bulk_bdat(t, "Three recipients, one chunk.\r\n", true) && trial_stored(t, 3) &&
           trial_quit(t));
}

static void bdat_chunks(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 2) &&
           bulk_bdat(t, "Two recipients, two chunks.\r\n", false) &&
           trial_expect_for(t, "BDAT without LAST", "250") &&
           bulk_chunk(t, "The second chunk.\r\n", true) && trial_stored(t, 2) && trial_quit(t));
}

static void bdat_no_rcpt(struct trial *t)
{
    if (!trial_start(t) || !trial_mail(t, "") || !bulk_bdat(t, "For nobody.\r\n", true) ||
        !trial_say(t, "NOOP") || !trial_read(t))
        return;
    if (!trial_code_is(t->reply->code, "250"))
        trial_fail(t, "BDAT LAST without a recipient gets a reply, where none is due: %.120s",
                   t->reply->text);
    (void)trial_quit(t);
}

static void bdat_refused_chunk(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 2) && bulk_chunk_too_big(t) &&
           trial_need(t, "4xx|5xx") && bulk_chunk(t, "The last chunk.\r\n", true) &&
           trial_answered(t, 2, "4xx|5xx") && trial_quit(t));
}

static const struct check rows[] = {
    {"LMTP-1/ehlo", CHECK_MUST, NEED_LMTP, "", "EHLO and HELO are refused", ehlo},
    {"LMTP-1/ehlo-500", CHECK_SHOULD, NEED_LMTP, "", "EHLO and HELO: 500", ehlo_500},
    {"LMTP-2/port", CHECK_MUST, NEED_LMTP, "", "not on TCP port 25", port_25},
    {"LMTP-3/must", CHECK_MUST, NEED_LMTP, "", "PIPELINING and ENHANCEDSTATUSCODES are offered",
     offers_must},
    {"LMTP-3/should", CHECK_SHOULD, NEED_LMTP, "", "8BITMIME is offered", offers_should},
    {"LMTP-6/no-rcpt", CHECK_MUST, NEED_LMTP, "", "DATA without a recipient: 503", data_no_rcpt},
    {"LMTP-6/refused", CHECK_MUST, NEED_LMTP | NEED_REFUSED, "",
     "DATA when every recipient was refused: 503", data_all_refused},
    {"LMTP-7/one", CHECK_MUST, NEED_LMTP | NEED_RCPT, "", "one recipient, one reply, no final one",
     one},
    {"LMTP-7/three", CHECK_MUST, NEED_LMTP | NEED_RCPT, "", "three recipients, three replies",
     three},
    {"LMTP-7/repeat", CHECK_MUST, NEED_LMTP | NEED_RCPT, "",
     "the same recipient twice, two replies", repeated},
    {"LMTP-7/refused", CHECK_MUST, NEED_LMTP | NEED_RCPT | NEED_REFUSED, "",
     "no reply for a recipient refused at RCPT", refused_between},
    {"LMTP-7/mixed", CHECK_MUST, NEED_LMTP | NEED_RCPT | NEED_CONTENT_REFUSED, "",
     "replies in the order of RCPT: the second of three refuses", mixed},
    {"LMTP-7/mixed-4xx", CHECK_MUST, NEED_LMTP | NEED_RCPT | NEED_CONTENT_DELAYED, "",
     "the second of three is deferred", mixed_delayed},
    {"LMTP-9/next", CHECK_MUST, NEED_LMTP | NEED_RCPT, "",
     "no final reply; RSET and another message may follow", next},
    {"LMTP-8/bdat", CHECK_MUST, NEED_LMTP | NEED_RCPT, "CHUNKING",
     "BDAT LAST: three recipients, three replies", bdat},
    {"LMTP-8/chunks", CHECK_MUST, NEED_LMTP | NEED_RCPT, "CHUNKING", "BDAT without LAST: one reply",
     bdat_chunks},
    {"LMTP-8/mixed", CHECK_MUST, NEED_LMTP | NEED_RCPT | NEED_CONTENT_REFUSED, "CHUNKING",
     "BDAT LAST: the second of three refuses", mixed_bdat},
    {"LMTP-12/bare-lf", CHECK_MUST, NEED_LMTP | NEED_RCPT, "",
     "a bare LF in the content: a reply for each recipient", bare_lf},
    {"LMTP-12/bare-cr", CHECK_MUST, NEED_LMTP | NEED_RCPT, "",
     "a bare CR in the content: a reply for each recipient", bare_cr},
    {"LMTP-12/long-line", CHECK_MUST, NEED_LMTP | NEED_RCPT, "",
     "a line of 6000 octets: a reply for each recipient", long_line},
    {"LMTP-12/header", CHECK_MUST, NEED_LMTP | NEED_RCPT, "",
     "content without a header: a reply for each recipient", no_header},
    {"LMTP-12/empty", CHECK_MUST, NEED_LMTP | NEED_RCPT, "",
     "empty content: a reply for each recipient", empty},
    {"LMTP-12/loop", CHECK_MUST, NEED_LMTP | NEED_RCPT, "",
     "150 Received fields: a reply for each recipient", loop},
    {"LMTP-12/gtube", CHECK_MUST, NEED_LMTP | NEED_RCPT | NEED_GTUBE, "",
     "refused by a filter: a refusal for each recipient", gtube},
    {"LMTP-12/too-big", CHECK_MUST, NEED_LMTP | NEED_RCPT, "SIZE",
     "more than SIZE: a refusal for each recipient", too_big},
    {"LMTP-13/reset", CHECK_MUST, NEED_LMTP | NEED_RCPT, "SIZE",
     "after too much content the envelope is gone", too_big_next},
    {"LMTP-15/data", CHECK_MUST, NEED_LMTP | NEED_RCPT, "BINARYMIME",
     "DATA is refused: one reply, not one a recipient", data_refused},
    {"LMTP-16/chunk", CHECK_SHOULD, NEED_LMTP | NEED_RCPT, "CHUNKING SIZE",
     "LAST behind a refused chunk: a reply for each recipient", bdat_refused_chunk},
    {"LMTP-17/no-rcpt", CHECK_MUST, NEED_LMTP, "CHUNKING",
     "BDAT LAST without a recipient: no reply at all", bdat_no_rcpt},
};

const struct check_sheet check_lmtp = {"lmtp", "A reply for each recipient (LMTP, RFC 2033)", rows,
                                       ARRAY_COUNT(rows)};
