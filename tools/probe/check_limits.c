/* SPDX-License-Identifier: Apache-2.0 */
/* check_limits.c - sizes (smtp-core.md section B, CORE-20) and PIPELINING (CORE-21). */
#include "probe/bulk.h"
#include "probe/trial.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define RSET_COUNT 50     /* servers count commands that do nothing */
#define COMMAND_BYTES 512 /* with CRLF: RFC 5321 4.5.3.1.4 */

/* NOOP with an argument, @count octets with CRLF. */
static bool say_noop(struct trial *t, size_t count)
{
    char line[8192];
    memset(line, 'x', sizeof(line));
    memcpy(line, "NOOP ", 5);
    count = size_min(count, sizeof(line));
    memcpy(line + count - 2, "\r\n", 2);
    return trial_send(t, "a long NOOP", slice_of(line, count));
}

static void command_512(struct trial *t)
{
    if (!trial_start(t) || !trial_say(t, "NOOP x") || !trial_read(t))
        return;
    if (!trial_code_is(t->reply->code, "250")) {
        trial_skip(t, "NOOP with an argument is refused, and no other command can be so long");
        return;
    }
    (void)(say_noop(t, COMMAND_BYTES) && trial_expect(t, "250") && trial_quit(t));
}

/* 500 and on, or the end of the session; never two replies for one line. */
static void command_long(struct trial *t)
{
    if (!trial_start(t) || !say_noop(t, 8192) || !trial_read_or_end(t))
        return;
    if (t->reply->code == 0 || trial_code_is(t->reply->code, "421"))
        return;
    if (!trial_code_is(t->reply->code, "250|5xx"))
        trial_fail(t, "a line of 8192 octets gets %d", t->reply->code);
    if (!trial_say(t, "QUIT") || !trial_read_or_end(t))
        return;
    if (t->reply->code != 0 && t->reply->code != 221)
        trial_fail(t, "one line gets two replies: %.60s", t->reply->text);
}

static void command_endless(struct trial *t)
{
    if (!trial_start(t))
        return;
    for (int i = 0; i < 64 && trial_goes_on(t); i++) /* half a mebibyte, no CRLF */
        (void)trial_send(t, "a line without end", slice_of((char[8192]){0}, 8192));
    if (!trial_send(t, "a line without end", slice_str("\r\n")) || !trial_read_or_end(t))
        return;
    if (t->reply->code != 0 && !trial_code_is(t->reply->code, "4xx|5xx"))
        trial_fail(t, "a line of 524290 octets gets %d", t->reply->code);
    trial_close(t);
    (void)(trial_restart(t) && trial_quit(t));
}

static void local_part_64(struct trial *t)
{
    if (!trial_start(t) ||
        !trial_ask(
            t, "2xx|4xx|5xx",
            "MAIL FROM:<aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffgggggggghhhhhhhh@%s>",
            t->options->helo))
        return;
    if (trial_code_is(t->reply->code, "500|501|553"))
        trial_fail(t, "a local part of 64 octets is not understood: %.150s", t->reply->text);
    (void)(trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void text_line(struct trial *t)
{
    char body[1001];
    memset(body, 'x', sizeof(body));
    memcpy(body + 998, "\r\n", 3); /* 1000 octets with CRLF */
    (void)(trial_to_content(t, 1) && trial_content(t, body) && trial_stored(t, 1) && trial_quit(t));
}

static void text_line_long(struct trial *t)
{
    char body[4099];
    memset(body, 'x', sizeof(body));
    memcpy(body + 4096, "\r\n", 3);
    (void)(trial_to_content(t, 1) && trial_content(t, body) &&
           trial_answered(t, 1, "2xx|4xx|5xx") && trial_quit(t));
}

static void message_64k(struct trial *t)
{
    if (!trial_to_content(t, 1) || !trial_send(t, "the content", trial_message(t, "64 KiB.\r\n")))
        return;
    (void)(bulk_lines(t, "Sixty-four octets with their line end are in each of these lines.",
                      960) &&
           trial_send(t, "the content", slice_str(".\r\n")) && trial_stored(t, 1) && trial_quit(t));
}

static void rcpts_100(struct trial *t)
{
    bool goes_on = trial_start(t) && trial_mail(t, "");
    for (uint32_t i = 0; i < 100 && goes_on; i++)
        goes_on = trial_ask(t, "2xx", "RCPT TO:<%s>", trial_rcpt(t, i));
    (void)(goes_on && trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void rcpts_bound(struct trial *t)
{
    bool goes_on = trial_start(t) && trial_mail(t, "");
    uint64_t count = 0;
    for (; count < t->options->bound_rcpts && goes_on; count++) {
        goes_on = trial_ask(t, "2xx|4xx|5xx", "RCPT TO:<%s>", trial_rcpt(t, (uint32_t)count));
        if (goes_on && !trial_code_is(t->reply->code, "2xx"))
            break;
    }
    if (!goes_on)
        return;
    if (count == t->options->bound_rcpts) {
        trial_skip(t, "%llu recipients are accepted, and --rcpt-bound offers no more",
                   (unsigned long long)count);
        return;
    }
    if (!trial_code_is(t->reply->code, "452"))
        trial_fail(t, "recipient %llu gets %.100s", (unsigned long long)count + 1, t->reply->text);
    (void)(trial_ask(t, "250", "RSET") && trial_quit(t));
}

/* What LIMITS promises is kept; who comes after that may be refused, with 452 (RFC 9422 4). */
static void rcpts_announced(struct trial *t)
{
    const char *found = strstr(found_get(&t->probe->found, "LIMITS")->params, "RCPTMAX=");
    unsigned long count = found != NULL ? strtoul(found + 8, NULL, 10) : 0;
    if (count == 0 || count > t->options->bound_rcpts) {
        trial_skip(t, "LIMITS names no RCPTMAX, or one above --rcpt-bound");
        return;
    }
    bool goes_on = trial_start(t) && trial_mail(t, "");
    for (uint32_t i = 0; i < count && goes_on; i++)
        goes_on = trial_ask(t, "2xx", "RCPT TO:<%s>", trial_rcpt(t, i));
    (void)(goes_on && trial_ask(t, "2xx|452", "RCPT TO:<%s>", trial_rcpt(t, 0)) &&
           trial_ask(t, "250", "RSET") && trial_quit(t));
}

/* --- SIZE ------------------------------------------------------------------------------------- */

static void size_keyword(struct trial *t)
{
    const char *value = found_get(&t->probe->found, "SIZE")->params;
    size_t digits = strspn(value, "0123456789");
    if (value[digits] != '\0' || digits > 20)
        trial_fail(t, "SIZE is offered with \"%s\": not a number of up to 20 digits", value);
}

static void size_small(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "MAIL FROM:<%s> SIZE=1000", t->options->sender) &&
           trial_ask(t, "250", "RSET") &&
           trial_ask(t, "250", "MAIL FROM:<%s> SIZE=0", t->options->sender) && trial_quit(t));
}

static void size_bad(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "5xx", "MAIL FROM:<%s> SIZE=many", t->options->sender) &&
           trial_quit(t));
}

static void size_declared(struct trial *t)
{
    uint64_t limit = found_size(&t->probe->found);
    if (limit == 0 || limit > UINT64_MAX - 1) {
        trial_skip(t, "SIZE announces no limit");
        return;
    }
    if (!trial_start(t) || !trial_ask(t, "2xx|452|5xx", "MAIL FROM:<%s> SIZE=%llu",
                                      t->options->sender, (unsigned long long)limit + 1))
        return;
    if (trial_code_is(t->reply->code, "2xx")) /* RCPT may say so as well (RFC 1870 6.2) */
        (void)trial_ask(t, "452|5xx", "RCPT TO:<%s>", trial_rcpt(t, 0));
    (void)(trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void size_wrong(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "SIZE=10", 1) && trial_data(t) &&
           trial_content(t, "More than the ten octets that were declared.\r\n") &&
           trial_answered(t, 1, "2xx") && trial_quit(t));
}

static void size_content(struct trial *t)
{
    (void)(trial_to_content(t, 1) && bulk_too_big(t) && trial_answered(t, 1, "452|5xx") &&
           trial_ask(t, "250", "RSET") && trial_envelope(t, "", 1) && trial_quit(t));
}

/* --- PIPELINING ------------------------------------------------------------------------------- */

/* EHLO, DATA, VRFY, EXPN, QUIT and NOOP may only end a group (RFC 2920 3.1). */
static void group(struct trial *t)
{
    char text[4096];
    int len = snprintf(text, sizeof(text),
                       "RSET\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nRCPT TO:<%s>\r\n"
                       "RSET\r\nNOOP\r\n",
                       t->options->sender, trial_rcpt(t, 0), trial_rcpt(t, 1));
    (void)(trial_start(t) && trial_send(t, "RSET", slice_of(text, (size_t)len)) &&
           trial_expect(t, "250") && trial_expect_for(t, "MAIL", "250") &&
           trial_expect_for(t, "RCPT", "2xx") && trial_expect_for(t, "RCPT", "2xx") &&
           trial_expect_for(t, "RSET", "250") && trial_expect_for(t, "NOOP", "250") &&
           trial_quit(t));
}

static void group_data(struct trial *t)
{
    char text[4096];
    int len = snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n",
                       t->options->sender, trial_rcpt(t, 0));
    if (!trial_start(t) || !trial_send(t, "MAIL", slice_of(text, (size_t)len)) ||
        !trial_need(t, "250") || !trial_expect_for(t, "RCPT", "2xx") ||
        !trial_expect_for(t, "DATA", "354"))
        return;
    struct slice message = trial_message(
        t, "The next transaction is in the same segment.\r\n.\r\nRSET\r\nMAIL FROM:<>\r\nQUIT\r\n");
    (void)(trial_send(t, "the content", message) && trial_stored(t, 1) &&
           trial_expect_for(t, "RSET", "250") && trial_expect_for(t, "MAIL", "250") &&
           trial_expect_for(t, "QUIT", "221"));
}

static void group_refused(struct trial *t)
{
    char text[4096];
    int len = snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n",
                       t->options->sender, t->options->refused_rcpt);
    if (!trial_start(t) || !trial_send(t, "MAIL", slice_of(text, (size_t)len)) ||
        !trial_need(t, "250") || !trial_expect_for(t, "RCPT", "4xx|5xx") ||
        !trial_expect_for(t, "DATA", "354|503|554"))
        return;
    if (t->reply->code == 354) /* then an empty message must go nowhere (RFC 2920 3.1) */
        (void)(trial_send(t, "the content", slice_str(".\r\n")) && trial_expect(t, "4xx|5xx"));
    (void)trial_quit(t);
}

static void octets(struct trial *t)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "NOOP\r\n");
    bool goes_on = trial_start(t);
    for (int i = 0; i < len && goes_on; i++)
        goes_on = trial_send(t, "NOOP, octet by octet", slice_of(text + i, 1));
    (void)(goes_on && trial_expect(t, "250") && trial_quit(t));
}

static void many(struct trial *t)
{
    char text[6 * RSET_COUNT];
    for (size_t i = 0; i < sizeof(text); i += 6)
        memcpy(text + i, "RSET\r\n", 6);
    bool goes_on = trial_start(t) && trial_send(t, "RSET", slice_of(text, sizeof(text)));
    for (int i = 0; i < RSET_COUNT && goes_on; i++)
        goes_on = trial_expect(t, "250");
    (void)(goes_on && trial_quit(t));
}

static const struct check rows[] = {
    {"CORE-B/command", CHECK_MUST, 0, "", "a command line of 512 octets", command_512},
    {"CORE-B/long", CHECK_MUST, 0, "", "one of 8192: one reply, or the end of the session",
     command_long},
    {"CORE-B/endless", CHECK_MUST, NEED_INTRUSIVE, "", "one of 512 KiB: refused, or the end",
     command_endless},
    {"CORE-B/local-part", CHECK_MUST, 0, "", "a local part of 64 octets", local_part_64},
    {"CORE-B/text", CHECK_MUST, NEED_RCPT, "", "a text line of 1000 octets", text_line},
    {"CORE-B/text-long", CHECK_MUST, NEED_RCPT, "", "one of 4098: accepted or refused, in step",
     text_line_long},
    {"CORE-B/message", CHECK_MUST, NEED_RCPT, "", "a message of 64 KiB", message_64k},
    {"CORE-B/rcpts", CHECK_MUST, NEED_RCPT, "", "100 recipients", rcpts_100},
    {"CORE-B/rcpts-max", CHECK_SHOULD, NEED_RCPT, "", "one recipient too many: 452", rcpts_bound},
    {"CORE-30/rcptmax", CHECK_MUST, NEED_RCPT, "LIMITS", "as many recipients as LIMITS announces",
     rcpts_announced},
    {"CORE-20/keyword", CHECK_MUST, 0, "SIZE", "SIZE with a number, or alone", size_keyword},
    {"CORE-20/small", CHECK_MUST, 0, "SIZE", "MAIL takes SIZE=1000 and SIZE=0", size_small},
    {"CORE-20/bad", CHECK_SHOULD, 0, "SIZE", "SIZE=many is refused", size_bad},
    {"CORE-20/declared", CHECK_SHOULD, NEED_RCPT, "SIZE",
     "more than SIZE is declared: refused early", size_declared},
    {"CORE-20/wrong", CHECK_SHOULD, NEED_RCPT, "SIZE", "a wrong declaration is no error",
     size_wrong},
    {"CORE-20/content", CHECK_MUST, NEED_RCPT, "SIZE",
     "more than SIZE is sent: refused at its end, in step", size_content},
    {"CORE-21/octets", CHECK_MUST, 0, "", "a command octet by octet", octets},
    {"CORE-21/group", CHECK_MUST, NEED_RCPT, "PIPELINING", "six commands in one segment", group},
    {"CORE-21/many", CHECK_MUST, 0, "PIPELINING", "50 commands in one segment", many},
    {"CORE-21/data", CHECK_MUST, NEED_RCPT, "PIPELINING", "commands up to DATA, and behind the dot",
     group_data},
    {"CORE-21/refused", CHECK_MUST, NEED_REFUSED, "PIPELINING",
     "commands up to DATA when RCPT is refused", group_refused},
};

const struct check_sheet check_limits = {"limits", "Limits, SIZE and PIPELINING", rows,
                                         ARRAY_COUNT(rows)};
