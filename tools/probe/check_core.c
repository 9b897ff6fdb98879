/* SPDX-License-Identifier: Apache-2.0 */
/* check_core.c - sessions and commands (smtp-core.md, sections A and C, without what has a file of
 * its own). */
#include "probe/trial.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* --- greeting and hello ----------------------------------------------------------------------- */

static bool is_name(const char *text, size_t len)
{
    if (len == 0 || len > 255)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("-._[]:", text[i]) == NULL)
            return false;
    return true;
}

static void greeting(struct trial *t)
{
    if (!trial_connect(t))
        return;
    const char *text = t->probe->found.greeting;
    text += strlen(text) > 4 ? 4 : strlen(text);
    if (!is_name(text, strcspn(text, " \n")))
        trial_fail(t, "the greeting does not begin with the server's name");
    (void)trial_quit(t);
}

static void hello_syntax(struct trial *t)
{
    struct found found;
    if (!trial_start(t))
        return;
    found_parse(&found, slice_of(t->reply->text, t->reply->len));
    if (!is_name(found.domain, strcspn(found.domain, " ")))
        trial_fail(t, "the first line does not begin with the server's name");
    for (uint32_t i = 0; i < found.count; i++) {
        const char *name = found.at[i].name;
        bool is_old_auth =
            strncasecmp(name, "AUTH=", 5) == 0; /* said beside AUTH for old clients */
        for (const char *c = name; *c != '\0' && !is_old_auth; c++)
            if (!isalnum((unsigned char)*c) && (*c != '-' || c == name))
                trial_fail(t, "the keyword \"%s\" has a character that may not be in it", name);
        for (const char *c = found.at[i].params; *c != '\0'; c++)
            if (*c < ' ' || *c > '~')
                trial_fail(t, "a parameter of %s has an octet that does not print", name);
        for (uint32_t k = 0; k < i; k++)
            if (strcasecmp(found.at[k].name, name) == 0)
                trial_fail(t, "%s is offered twice", name);
    }
    (void)trial_quit(t);
}

static void hello_again(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") && trial_hello(t) &&
           trial_ask(t, "503", "RCPT TO:<%s>", trial_rcpt(t, 0)) && trial_quit(t));
}

static void helo(struct trial *t)
{
    static const char *const keywords[] = {"PIPELINING", "8BITMIME", "SIZE", "ENHANCEDSTATUSCODES",
                                           "CHUNKING"};
    if (!trial_connect(t) || !trial_ask(t, "250", "HELO %s", t->options->helo))
        return;
    struct found found;
    found_parse(&found, slice_of(t->reply->text, t->reply->len));
    for (size_t i = 0; i < ARRAY_COUNT(keywords); i++)
        if (found_get(&found, keywords[i]) != NULL)
            trial_fail(t, "the reply to HELO lists %s", keywords[i]);
    (void)(trial_ask(t, "250", "MAIL FROM:<%s>", t->options->sender) && trial_quit(t));
}

static void lhlo_on_smtp(struct trial *t)
{
    (void)(trial_connect(t) && trial_ask(t, "4xx|5xx", "LHLO %s", t->options->helo) &&
           trial_hello(t) && trial_quit(t));
}

static void hello_without_name(struct trial *t)
{
    (void)(trial_connect(t) && trial_ask(t, "4xx|5xx", "%s", trial_is_lmtp(t) ? "LHLO" : "EHLO") &&
           trial_hello(t) && trial_quit(t));
}

/* --- order ------------------------------------------------------------------------------------ */

static void mail_twice(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") &&
           trial_ask(t, "503", "MAIL FROM:<%s>", t->options->sender) && trial_quit(t));
}

static void rcpt_first(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "503", "RCPT TO:<%s>", trial_rcpt(t, 0)) &&
           trial_quit(t));
}

static void data_first(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "503|554", "DATA") && trial_quit(t));
}

static void data_without_rcpt(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") && trial_ask(t, "503|554", "DATA") && trial_quit(t));
}

static void data_all_refused(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") && trial_rcpt_refused(t, t->options->refused_rcpt) &&
           trial_ask(t, "503|554", "DATA") && trial_quit(t));
}

static void rset(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "RSET") && trial_mail(t, "") &&
           trial_ask(t, "250", "RSET") && trial_ask(t, "503", "RCPT TO:<%s>", trial_rcpt(t, 0)) &&
           trial_mail(t, "") && trial_quit(t));
}

static void noop(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") && trial_ask(t, "250", "NOOP") &&
           trial_rcpt_accepted(t, trial_rcpt(t, 0)) && trial_ask(t, "250", "RSET") &&
           trial_quit(t));
}

static void noop_argument(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "NOOP ignored") && trial_quit(t));
}

static void vrfy(struct trial *t)
{
    (void)(trial_start(t) &&
           trial_ask(t, "25x|450|50x|55x", "VRFY %.*s", (int)strcspn(trial_rcpt(t, 0), "@"),
                     trial_rcpt(t, 0)) &&
           trial_quit(t));
}

static void help_expn(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "211|214|50x", "HELP") &&
           trial_ask(t, "25x|50x|55x", "EXPN postern-probe") && trial_quit(t));
}

static void quit(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "221", "QUIT") && trial_expect_end(t));
}

static void quit_in_transaction(struct trial *t)
{
    (void)(trial_start(t) && trial_envelope(t, "", 1) && trial_ask(t, "221", "QUIT") &&
           trial_expect_end(t));
}

static void vanished(struct trial *t)
{
    if (!trial_start(t) || !trial_envelope(t, "", 1))
        return;
    talk_abort(t->talk);
    t->is_open = false;
    transcript_note(&t->transcript, "reset by the probe");
    (void)(trial_restart(t) && trial_quit(t));
}

static void half_close(struct trial *t)
{
    if (!trial_start(t) || !trial_say(t, "NOOP") || !trial_need(t, "250") || !trial_say(t, "QUIT"))
        return;
    talk_shut(t->talk);
    transcript_note(&t->transcript, "end of our stream");
    (void)trial_expect(t, "221");
}

static void second_message(struct trial *t)
{
    (void)(trial_to_content(t, 1) && trial_content(t, "The first of two.\r\n") &&
           trial_stored(t, 1) && trial_ask(t, "503", "RCPT TO:<%s>", trial_rcpt(t, 0)) &&
           trial_envelope(t, "", 1) && trial_ask(t, "250", "RSET") && trial_quit(t));
}

/* --- syntax ----------------------------------------------------------------------------------- */

static void unknown(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "500|502", "XPROBE") &&
           trial_ask(t, "500|502", "XPROBE with arguments") && trial_quit(t));
}

static void empty_line(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "5xx", "%s", "") && trial_quit(t));
}

static void letters(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "nOoP") &&
           trial_must(t, "250", "mAiL fRoM:<%s>", t->options->sender) &&
           trial_ask(t, "250", "rset") && trial_quit(t));
}

/* Few bad commands in a session: servers end one with too many of them. */
static void mail_syntax(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "5xx", "MAIL") &&
           trial_ask(t, "5xx", "MAIL TO:<a@b.example>") && trial_ask(t, "5xx", "MAIL FROM:<") &&
           trial_quit(t));
}

static void rcpt_syntax(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") && trial_ask(t, "5xx", "RCPT TO:") &&
           trial_ask(t, "5xx", "RCPT TO:<>") &&
           trial_ask(t, "5xx", "RCPT TO:<%s", trial_rcpt(t, 0)) && trial_quit(t));
}

static void unknown_parameter(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "5xx", "MAIL FROM:<%s> XPROBE=1", t->options->sender) &&
           trial_mail(t, "") && trial_ask(t, "5xx", "RCPT TO:<%s> XPROBE=1", trial_rcpt(t, 0)) &&
           trial_quit(t));
}

static void unknown_parameter_code(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "555", "MAIL FROM:<%s> XPROBE=1", t->options->sender) &&
           trial_mail(t, "") && trial_ask(t, "555", "RCPT TO:<%s> XPROBE=1", trial_rcpt(t, 0)) &&
           trial_quit(t));
}

static void arguments(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "501", "RSET now") && trial_ask(t, "501", "QUIT now") &&
           trial_ask(t, "501|503", "DATA now") && trial_quit(t));
}

/* --- addresses -------------------------------------------------------------------------------- */

static void null_sender(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "MAIL FROM:<>") &&
           trial_ask(t, "2xx", "RCPT TO:<%s>", trial_rcpt(t, 0)) && trial_ask(t, "250", "RSET") &&
           trial_quit(t));
}

static void postmaster(struct trial *t)
{
    (void)(trial_start(t) && trial_mail(t, "") && trial_ask(t, "2xx", "RCPT TO:<postmaster>") &&
           trial_ask(t, "2xx", "RCPT TO:<PostMaster>") && trial_ask(t, "250", "RSET") &&
           trial_quit(t));
}

static void source_route(struct trial *t)
{
    char said[160];
    if (!trial_start(t) || !trial_mail(t, "") ||
        !trial_ask(t, "2xx|4xx|5xx", "RCPT TO:<@relay.example,@hop.example:%s>", trial_rcpt(t, 0)))
        return;
    snprintf(said, sizeof(said), "%.150s", t->reply->text);
    if (trial_code_is(t->reply->code, "500|501"))
        trial_fail(t, "a source route is not understood: %s", said);
    (void)(trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void quoted_local_part(struct trial *t)
{
    if (!trial_start(t) ||
        !trial_ask(t, "2xx|4xx|5xx", "MAIL FROM:<\"a b\\\"@c\"@%s>", t->options->helo))
        return;
    if (trial_code_is(t->reply->code, "500|501"))
        trial_fail(t, "a quoted local part is not understood: %.150s", t->reply->text);
    (void)(trial_ask(t, "250", "RSET") && trial_quit(t));
}

/* --- extensions ------------------------------------------------------------------------------- */

static void body_8bit(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "MAIL FROM:<%s> BODY=7BIT", t->options->sender) &&
           trial_ask(t, "250", "RSET") && trial_envelope(t, "BODY=8BITMIME", 1) && trial_data(t) &&
           trial_content(t, "Gr\xC3\xBC\xC3\x9F"
                            "e.\r\n") &&
           trial_stored(t, 1) && trial_quit(t));
}

static void body_unknown(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "5xx", "MAIL FROM:<%s> BODY=9BIT", t->options->sender) &&
           trial_quit(t));
}

static void dsn_good(struct trial *t)
{
    (void)(trial_start(t) &&
           trial_ask(t, "250", "MAIL FROM:<%s> RET=HDRS ENVID=probe+2B1", t->options->sender) &&
           trial_ask(t, "2xx", "RCPT TO:<%s> NOTIFY=NEVER ORCPT=rfc822;probe@a.example",
                     trial_rcpt(t, 0)) &&
           trial_ask(t, "2xx", "RCPT TO:<%s> NOTIFY=SUCCESS,FAILURE,DELAY", trial_rcpt(t, 1)) &&
           trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void dsn_bad(struct trial *t)
{
    (void)(trial_start(t) &&
           trial_ask(t, "501|555", "MAIL FROM:<%s> RET=SOME", t->options->sender) &&
           trial_ask(t, "501|555", "MAIL FROM:<%s> RET=FULL RET=HDRS", t->options->sender) &&
           trial_mail(t, "") &&
           trial_ask(t, "501|555", "RCPT TO:<%s> NOTIFY=NEVER,SUCCESS", trial_rcpt(t, 0)) &&
           trial_ask(t, "501|555", "RCPT TO:<%s> NOTIFY=SOMETIMES", trial_rcpt(t, 0)) &&
           trial_ask(t, "250", "RSET") && trial_quit(t));
}

static void smtputf8(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "250", "MAIL FROM:<%s> SMTPUTF8", t->options->sender) &&
           trial_ask(t, "250", "RSET") &&
           trial_ask(t, "5xx", "MAIL FROM:<%s> SMTPUTF8=1", t->options->sender) && trial_quit(t));
}

static void utf8_unasked(struct trial *t)
{
    (void)(trial_start(t) &&
           trial_ask(t, "5xx",
                     "MAIL FROM:<gr\xC3\xBC\xC3\x9F"
                     "e@%s>",
                     t->options->helo) &&
           trial_quit(t));
}

static void utf8_needs_8bit(struct trial *t)
{
    if (found_get(&t->probe->found, "8BITMIME") == NULL)
        trial_fail(t, "SMTPUTF8 is offered without 8BITMIME");
}

static void binary_needs_chunking(struct trial *t)
{
    if (found_get(&t->probe->found, "CHUNKING") == NULL)
        trial_fail(t, "BINARYMIME is offered without CHUNKING");
}

static bool limit_is_good(const char *item, size_t len, size_t *ret_name_len)
{
    size_t at = 0;
    while (at < len && (isupper((unsigned char)item[at]) || isdigit((unsigned char)item[at])))
        at++;
    *ret_name_len = at;
    if (at == 0 || at == len || item[at] != '=' || item[at + 1] == '0')
        return false;
    size_t digits = strspn(item + at + 1, "0123456789");
    return digits >= 1 && digits <= 6 && at + 1 + digits == len;
}

static void limits_syntax(struct trial *t)
{
    const char *at = found_get(&t->probe->found, "LIMITS")->params;
    if (*at == '\0')
        trial_fail(t, "LIMITS names no limit");
    while (*at != '\0') {
        size_t len = strcspn(at, " "), name_len;
        bool is_known = strncmp(at, "MAILMAX=", 8) == 0 || strncmp(at, "RCPTMAX=", 8) == 0 ||
                        strncmp(at, "RCPTDOMAINMAX=", 14) == 0;
        if (is_known && !limit_is_good(at, len, &name_len))
            trial_fail(t, "LIMITS: \"%.*s\" is no NAME=1 to 6 digits", (int)len, at);
        at += len + strspn(at + len, " ");
    }
}

static const struct check rows[] = {
    {"CORE-1/greeting", CHECK_SHOULD, 0, "", "220 with the server's own name first", greeting},
    {"CORE-2/ehlo", CHECK_MUST, 0, "", "EHLO: a name, then one well-formed keyword a line",
     hello_syntax},
    {"CORE-3/again", CHECK_MUST, NEED_RCPT, "", "EHLO in a transaction ends it", hello_again},
    {"CORE-3/helo", CHECK_MUST, NEED_SMTP, "", "HELO works, and lists no extensions", helo},
    {"CORE-4/hello-name", CHECK_SHOULD, 0, "", "EHLO without a name is refused",
     hello_without_name},
    {"LMTP-1/lhlo", CHECK_MUST, NEED_SMTP, "", "LHLO is refused over SMTP", lhlo_on_smtp},
    {"CORE-4/mail-twice", CHECK_MUST, 0, "", "MAIL in a transaction: 503", mail_twice},
    {"CORE-4/rcpt-first", CHECK_MUST, NEED_RCPT, "", "RCPT before MAIL: 503", rcpt_first},
    {"CORE-4/data-first", CHECK_MUST, 0, "", "DATA before MAIL: 503 or 554", data_first},
    {"CORE-4/data-no-rcpt", CHECK_MUST, 0, "", "DATA without a recipient: 503 or 554",
     data_without_rcpt},
    {"CORE-4/data-refused", CHECK_MUST, NEED_REFUSED, "",
     "DATA when every recipient was refused: 503 or 554", data_all_refused},
    {"CORE-4/rset", CHECK_MUST, NEED_RCPT, "", "RSET: 250, the transaction is gone", rset},
    {"CORE-4/noop", CHECK_MUST, NEED_RCPT, "", "NOOP disturbs nothing", noop},
    {"CORE-4/noop-argument", CHECK_SHOULD, 0, "", "NOOP with an argument is the same",
     noop_argument},
    {"CORE-4/vrfy", CHECK_MUST, NEED_RCPT, "", "VRFY has one of its codes", vrfy},
    {"CORE-4/help", CHECK_MUST, 0, "", "HELP and EXPN have one of their codes", help_expn},
    {"CORE-4/quit", CHECK_MUST, 0, "", "QUIT: 221, then the server closes", quit},
    {"CORE-4/quit-txn", CHECK_MUST, NEED_RCPT, "", "QUIT in a transaction: the same",
     quit_in_transaction},
    {"CORE-4/unknown", CHECK_MUST, 0, "", "an unknown command: 500", unknown},
    {"CORE-4/empty", CHECK_MUST, 0, "", "an empty line is a bad command", empty_line},
    {"CORE-4/case", CHECK_MUST, 0, "", "commands in letters of any case", letters},
    {"CORE-4/mail-syntax", CHECK_MUST, 0, "", "bad MAIL is refused, one reply each", mail_syntax},
    {"CORE-4/rcpt-syntax", CHECK_MUST, NEED_RCPT, "", "bad RCPT is refused, one reply each",
     rcpt_syntax},
    {"CORE-4/parameter", CHECK_MUST, NEED_RCPT, "", "unknown parameters are refused",
     unknown_parameter},
    {"CORE-4/parameter-555", CHECK_SHOULD, NEED_RCPT, "", "unknown parameters: 555",
     unknown_parameter_code},
    {"CORE-4/arguments", CHECK_SHOULD, 0, "", "DATA, RSET, QUIT with an argument: 501", arguments},
    {"CORE-4/next", CHECK_MUST, NEED_RCPT, "", "after a message the next one starts afresh",
     second_message},
    {"CORE-7/null-sender", CHECK_MUST, NEED_RCPT, "", "the null sender is accepted", null_sender},
    {"CORE-7/postmaster", CHECK_MUST, NEED_SMTP, "", "<postmaster> without domain is accepted",
     postmaster},
    {"CORE-7/source-route", CHECK_SHOULD, NEED_RCPT, "", "source routes are understood",
     source_route},
    {"CORE-7/quoted", CHECK_SHOULD, 0, "", "quoted local parts are understood", quoted_local_part},
    {"CORE-12/reset", CHECK_MUST, NEED_RCPT, "", "the server outlives a reset in a transaction",
     vanished},
    {"CORE-12/half-close", CHECK_SHOULD, 0, "", "QUIT and the end of the stream: 221 still comes",
     half_close},
    {"CORE-24/8bit", CHECK_MUST, NEED_RCPT, "8BITMIME",
     "BODY=7BIT, BODY=8BITMIME with such content", body_8bit},
    {"CORE-24/unknown", CHECK_MUST, 0, "8BITMIME", "BODY=9BIT is refused", body_unknown},
    {"CORE-23/chunking", CHECK_MUST, 0, "BINARYMIME", "BINARYMIME only with CHUNKING",
     binary_needs_chunking},
    {"CORE-26/good", CHECK_MUST, NEED_RCPT, "DSN", "RET, ENVID, NOTIFY, ORCPT are taken", dsn_good},
    {"CORE-26/bad", CHECK_MUST, NEED_RCPT, "DSN", "bad and repeated parameters: 501", dsn_bad},
    {"CORE-27/asked", CHECK_MUST, 0, "SMTPUTF8", "SMTPUTF8 is taken, and has no value", smtputf8},
    {"CORE-27/8bitmime", CHECK_MUST, 0, "SMTPUTF8", "SMTPUTF8 only with 8BITMIME", utf8_needs_8bit},
    {"CORE-27/unasked", CHECK_SHOULD, 0, "", "a UTF-8 address without SMTPUTF8 is refused",
     utf8_unasked},
    {"CORE-30/syntax", CHECK_MUST, 0, "LIMITS", "LIMITS: NAME=number of 1 to 6 digits",
     limits_syntax},
};

const struct check_sheet check_core = {"core", "Sessions and commands (RFC 5321)", rows,
                                       ARRAY_COUNT(rows)};
