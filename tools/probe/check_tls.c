/* SPDX-License-Identifier: Apache-2.0 */
/* check_tls.c - STARTTLS (CORE-28). */
#include "probe/trial.h"

static bool begin(struct trial *t)
{
    return trial_start(t) && trial_must(t, "220", "STARTTLS") && trial_handshake(t);
}

static void works(struct trial *t)
{
    (void)(begin(t) && trial_hello(t) && trial_ask(t, "250", "NOOP") && trial_quit(t));
}

static void argument(struct trial *t)
{
    (void)(trial_start(t) && trial_ask(t, "501", "STARTTLS now") && trial_ask(t, "250", "NOOP") &&
           trial_quit(t));
}

static void not_inside(struct trial *t)
{
    struct found inside;
    if (!begin(t) || !trial_hello(t))
        return;
    found_parse(&inside, slice_of(t->reply->text, t->reply->len));
    if (found_get(&inside, "STARTTLS") != NULL)
        trial_fail(t, "STARTTLS is offered inside of TLS");
    (void)(trial_ask(t, "5xx", "STARTTLS") && trial_ask(t, "250", "NOOP") && trial_quit(t));
}

/* A transaction that was begun in clear is forgotten (RFC 3207 4.2). */
static void forgets(struct trial *t)
{
    if (!trial_start(t) || !trial_mail(t, "") || !trial_say(t, "STARTTLS") || !trial_read(t))
        return;
    if (!trial_code_is(t->reply->code, "220")) {
        if (!trial_code_is(t->reply->code, "4xx|5xx")) /* to refuse it is good as well */
            trial_fail(t, "STARTTLS in a transaction gets %d", t->reply->code);
        return;
    }
    (void)(trial_handshake(t) && trial_ask(t, "503", "RCPT TO:<%s>", trial_rcpt(t, 0)) &&
           trial_hello(t) && trial_ask(t, "503", "RCPT TO:<%s>", trial_rcpt(t, 0)) &&
           trial_quit(t));
}

/*
 * What stands behind STARTTLS in the same segment came from whoever sits on the line. It may be
 * dropped, or break the handshake, or be refused; it may not be run inside of TLS.
 */
static void inject(struct trial *t, const char *bytes)
{
    if (!trial_start(t) || !trial_send(t, "STARTTLS", slice_str(bytes)) || !trial_read_or_end(t))
        return;
    if (t->reply->code != 220) {
        if (trial_code_is(t->reply->code, "2xx|3xx"))
            trial_fail(t, "STARTTLS with something behind it gets %d", t->reply->code);
        return;
    }
    if (talk_unread(t->talk) > 0) {
        trial_fail(t, "what stands behind STARTTLS is answered in clear, behind 220");
        return;
    }
    if (talk_start_tls(t->talk, t->probe->tls, NULL, false, talk_now() + t->options->timeout_ns) !=
        TALK_DONE) {
        transcript_note(&t->transcript, "TLS handshake failed: nothing is run");
        return;
    }
    transcript_note(&t->transcript, "TLS");
    if (!trial_say(t, "%s %s", trial_is_lmtp(t) ? "LHLO" : "EHLO", t->options->helo))
        return;
    if (trial_read_or_end(t) && t->reply->code != 0 && t->reply->code != 250)
        trial_fail(t, "what stood behind STARTTLS is run inside of TLS: EHLO gets %.80s",
                   t->reply->text);
    if (t->reply->code == 250)
        (void)trial_quit(t);
}

static void injection(struct trial *t)
{
    inject(t, "STARTTLS\r\nXPROBE INJECTED\r\n");
}

static void injection_part(struct trial *t)
{
    inject(t, "STARTTLS\r\nXPROBE INJECTED "); /* EHLO would become its end */
}

static void requiretls(struct trial *t)
{
    trial_fail(t, "REQUIRETLS is offered on a connection in clear");
}

static void handshake_fails(struct trial *t)
{
    if (!trial_start(t) || !trial_must(t, "220", "STARTTLS") ||
        !trial_send(t, "garbage in place of a handshake", slice_str("NOOP\r\nNOOP\r\nNOOP\r\n")))
        return;
    struct slice line;
    if (talk_read_line(t->talk, talk_now() + NS_PER_S, &line) == TALK_DONE && line.len >= 3 &&
        memcmp(line.ptr, "250", 3) == 0)
        trial_fail(t, "commands in clear are run behind 220");
    trial_close(t);
    (void)(trial_restart(t) && trial_quit(t));
}

static const struct check rows[] = {
    {"CORE-28/works", CHECK_MUST, NEED_CLEAR, "STARTTLS", "220, handshake, EHLO", works},
    {"CORE-28/argument", CHECK_SHOULD, NEED_CLEAR, "STARTTLS", "an argument: 501", argument},
    {"CORE-28/inside", CHECK_MUST, NEED_CLEAR, "STARTTLS", "neither offered nor taken inside",
     not_inside},
    {"CORE-28/forgets", CHECK_MUST, NEED_CLEAR | NEED_RCPT, "STARTTLS",
     "a transaction begun in clear is forgotten", forgets},
    {"CORE-28/injection", CHECK_MUST, NEED_CLEAR, "STARTTLS",
     "a command behind STARTTLS is not run inside", injection},
    {"CORE-28/injection-part", CHECK_MUST, NEED_CLEAR, "STARTTLS",
     "half a command behind STARTTLS is not run inside", injection_part},
    {"CORE-29/clear", CHECK_MUST, NEED_CLEAR, "REQUIRETLS", "REQUIRETLS is offered inside only",
     requiretls},
    {"CORE-28/clear", CHECK_MUST, NEED_CLEAR, "STARTTLS", "no command in clear behind 220",
     handshake_fails},
};

const struct check_sheet check_tls = {"tls", "STARTTLS (RFC 3207)", rows, ARRAY_COUNT(rows)};
