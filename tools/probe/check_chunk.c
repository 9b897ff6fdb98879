/* SPDX-License-Identifier: Apache-2.0 */
/* check_chunk.c - BDAT (RFC 3030; CORE-22, CORE-23, CORE-44): octets are counted, and stay content
 * whatever was answered. Octets of chunks look like commands, so that one that is run shows. */
#include "probe/bulk.h"
#include "probe/trial.h"
#include <stdio.h>

#define LINES_LIKE_COMMANDS "XPROBE\r\nRSET\r\nXPROBE\r\n"

static void one(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) && bulk_bdat(t, "One chunk.\r\n", true) &&
           trial_stored(t, 1) && trial_quit(t));
}

static void several(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) &&
           bulk_bdat(t, "Chunks, cut in a line", false) && trial_expect_for(t, "BDAT", "250") &&
           bulk_chunk(t, " and in CR", false) && trial_expect(t, "250") &&
           bulk_chunk(t, "\r", false) && trial_expect(t, "250") &&
           bulk_chunk(t, "\nLF.\r\n", true) && trial_stored(t, 1) && trial_quit(t));
}

static void zero_last(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) &&
           bulk_bdat(t, "Then no octet.\r\n", false) && trial_expect(t, "250") &&
           bulk_chunk(t, "", true) && trial_stored(t, 1) && trial_quit(t));
}

static void dots(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) &&
           bulk_bdat(t, "A lone dot:\r\n.\r\n" LINES_LIKE_COMMANDS, true) && trial_stored(t, 1) &&
           trial_quit(t));
}

static void in_pieces(struct trial *t)
{
    static const char head[] = "BDAT 22";
    (void)(trial_start(t) && trial_envelope(t, "", 1) &&
           trial_send(t, "BDAT LAST", slice_str(head)) &&
           trial_send(t, "BDAT LAST", slice_str(" LAST\r")) &&
           trial_send(t, "BDAT LAST", slice_str("\nSubject: ")) &&
           trial_send(t, "BDAT LAST", slice_str("probe\r\n\r\nok\r\nNO")) &&
           trial_send(t, "BDAT LAST", slice_str("OP\r\n")) && trial_stored(t, 1) &&
           trial_expect_for(t, "NOOP", "250") && trial_quit(t));
}

static void data_behind(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) && bulk_bdat(t, "A chunk.\r\n", false) &&
           trial_expect(t, "250") && trial_ask(t, "503", "DATA") && trial_ask(t, "250", "RSET") &&
           trial_quit(t));
}

static void rset_between(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) && bulk_bdat(t, "A chunk.\r\n", false) &&
           trial_expect(t, "250") && trial_ask(t, "250", "RSET") && trial_envelope(t, "", 1) &&
           bulk_bdat(t, "Behind RSET.\r\n", true) && trial_stored(t, 1) && trial_quit(t));
}

/* A refusal, and the octets are dropped: what looks like a command is none. */
static void without_mail(struct trial *t)
{
    (void)(trial_start(t) && bulk_chunk(t, LINES_LIKE_COMMANDS, false) &&
           trial_expect_for(t, "BDAT before MAIL", "5xx") && trial_quit(t));
}

static void behind_last(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) && bulk_bdat(t, "All of it.\r\n", true) &&
           trial_stored(t, 1) && bulk_chunk(t, LINES_LIKE_COMMANDS, false) &&
           trial_expect_for(t, "BDAT behind LAST", "5xx") && trial_quit(t));
}

static void refused_rcpt(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") && trial_rcpt_refused(t, t->options->refused_rcpt) &&
           bulk_chunk(t, LINES_LIKE_COMMANDS, false) &&
           trial_expect_for(t, "BDAT without a recipient", "4xx|5xx") && trial_quit(t));
}

/* MAIL, a RCPT that is refused, two chunks and NOOP in one segment. */
static void refused_group(struct trial *t)
{
    char group[2048];
    int len =
        snprintf(group, sizeof(group),
                 "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n"
                 "BDAT %zu\r\n" LINES_LIKE_COMMANDS "BDAT %zu\r\n" LINES_LIKE_COMMANDS "NOOP\r\n",
                 t->options->sender, t->options->refused_rcpt, sizeof(LINES_LIKE_COMMANDS) - 1,
                 sizeof(LINES_LIKE_COMMANDS) - 1);
    (void)(trial_start(t) && trial_send(t, "MAIL", slice_of(group, (size_t)len)) &&
           trial_need(t, "250") && trial_expect_for(t, "RCPT", "4xx|5xx") &&
           trial_expect_for(t, "the first BDAT", "4xx|5xx") &&
           trial_expect_for(t, "the second BDAT", "4xx|5xx") &&
           trial_expect_for(t, "NOOP", "250") && trial_quit(t));
}

/* The same with LAST, which over LMTP gets no reply when nobody was accepted. */
static void refused_group_last(struct trial *t)
{
    char group[2048];
    int len =
        snprintf(group, sizeof(group),
                 "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n"
                 "BDAT %zu LAST\r\n" LINES_LIKE_COMMANDS "NOOP\r\n",
                 t->options->sender, t->options->refused_rcpt, sizeof(LINES_LIKE_COMMANDS) - 1);
    (void)(trial_start(t) && trial_send(t, "MAIL", slice_of(group, (size_t)len)) &&
           trial_need(t, "250") && trial_expect_for(t, "RCPT", "4xx|5xx") &&
           trial_expect_for(t, "BDAT LAST", "4xx|5xx") && trial_expect_for(t, "NOOP", "250") &&
           trial_ask(t, "250", "RSET") && trial_mail(t, "") && trial_quit(t));
}

static void group(struct trial *t)
{
    char text[2048];
    int len = snprintf(text, sizeof(text),
                       "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nBDAT 18\r\nSubject: probe\r\n\r\n"
                       "BDAT %zu\r\n" LINES_LIKE_COMMANDS "BDAT 0 LAST\r\nNOOP\r\n",
                       t->options->sender, trial_rcpt(t, 0), sizeof(LINES_LIKE_COMMANDS) - 1);
    (void)(trial_start(t) && trial_send(t, "MAIL", slice_of(text, (size_t)len)) &&
           trial_need(t, "250") && trial_expect_for(t, "RCPT", "2xx") &&
           trial_expect_for(t, "the first BDAT", "250") &&
           trial_expect_for(t, "the second BDAT", "250") && trial_stored(t, 1) &&
           trial_expect_for(t, "NOOP", "250") && trial_quit(t));
}

/* The count is not known, so the server may well hang up; but it may not take octets for
 * commands: only refusals, or the end. */
static void bad_count(struct trial *t)
{
    static const char *const lines[] = {"BDAT", "BDAT x", "BDAT 5 FIRST", "BDAT -1",
                                        "BDAT 99999999999999999999999"};
    for (size_t i = 0; i < ARRAY_COUNT(lines) && trial_goes_on(t); i++) {
        if (!trial_start(t) || !trial_envelope(t, "", 1) || !trial_say(t, "%s\r\nabc", lines[i]) ||
            !trial_read_or_end(t))
            return;
        if (t->reply->code != 0 && !trial_code_is(t->reply->code, "4xx|5xx"))
            trial_fail(t, "\"%s\" gets %d", lines[i], t->reply->code);
        trial_close(t);
    }
}

static void too_big(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) && bulk_chunk_too_big(t) &&
           trial_expect_for(t, "BDAT of more than SIZE", "552|5xx|452") &&
           trial_ask(t, "250", "RSET") && trial_envelope(t, "", 1) && trial_quit(t));
}

static void binary(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "BODY=BINARYMIME", 1) &&
           bulk_bdat(t, "Bare\nline\rends, \x80\xFF.\r\n", true) && trial_stored(t, 1) &&
           trial_quit(t));
}

static void binary_data(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "BODY=BINARYMIME", 1) &&
           trial_ask(t, "5xx", "DATA") && trial_quit(t));
}

static void bare_lf(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) &&
           bulk_bdat(t, "A bare LF\n.\nXPROBE\r\n", true) && trial_answered(t, 1, "2xx|4xx|5xx") &&
           trial_quit(t));
}

static const struct check rows[] = {
    {"CORE-22/one", CHECK_MUST, NEED_RCPT, "CHUNKING", "a message in one chunk", one},
    {"CORE-22/several", CHECK_MUST, NEED_RCPT, "CHUNKING",
     "chunks that are cut in a line and between CR and LF", several},
    {"CORE-22/zero", CHECK_MUST, NEED_RCPT, "CHUNKING", "BDAT 0 LAST", zero_last},
    {"CORE-22/dots", CHECK_MUST, NEED_RCPT, "CHUNKING", "a lone dot in a chunk ends nothing", dots},
    {"CORE-22/pieces", CHECK_MUST, NEED_RCPT, "CHUNKING",
     "command and octets in several writes, and a command behind them", in_pieces},
    {"CORE-22/data", CHECK_MUST, NEED_RCPT, "CHUNKING", "DATA behind BDAT: 503", data_behind},
    {"CORE-22/rset", CHECK_MUST, NEED_RCPT, "CHUNKING", "RSET between chunks", rset_between},
    {"CORE-22/no-mail", CHECK_MUST, 0, "CHUNKING",
     "BDAT before MAIL is refused, its octets are dropped", without_mail},
    {"CORE-22/behind-last", CHECK_MUST, NEED_RCPT, "CHUNKING",
     "BDAT behind LAST is refused, its octets are dropped", behind_last},
    {"CORE-22/no-rcpt", CHECK_MUST, NEED_REFUSED, "CHUNKING",
     "BDAT without a recipient is refused, its octets are dropped", refused_rcpt},
    {"CORE-22/group", CHECK_MUST, NEED_RCPT, "CHUNKING PIPELINING",
     "a whole transaction in one segment", group},
    {"CORE-22/group-refused", CHECK_MUST, NEED_REFUSED, "CHUNKING PIPELINING",
     "the same when RCPT is refused: a refusal for each chunk", refused_group},
    {"CORE-22/group-last", CHECK_MUST, NEED_REFUSED | NEED_SMTP, "CHUNKING PIPELINING",
     "the same with LAST", refused_group_last},
    {"CORE-22/bad", CHECK_MUST, NEED_RCPT, "CHUNKING",
     "BDAT without a good count is refused, or ends the session", bad_count},
    {"CORE-22/too-big", CHECK_MUST, NEED_RCPT, "CHUNKING SIZE",
     "more than SIZE: refused, and the session goes on", too_big},
    {"CORE-23/binary", CHECK_MUST, NEED_RCPT, "BINARYMIME", "any octets in a chunk", binary},
    {"CORE-23/data", CHECK_MUST, NEED_RCPT, "BINARYMIME", "DATA with BODY=BINARYMIME is refused",
     binary_data},
    {"CORE-44/bare-lf", CHECK_MUST, NEED_RCPT, "CHUNKING",
     "LF . LF in a chunk is content or an error, never an end", bare_lf},
};

const struct check_sheet check_chunk = {"chunk", "BDAT (CHUNKING, BINARYMIME, RFC 3030)", rows,
                                        ARRAY_COUNT(rows)};
