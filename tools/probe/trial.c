/* SPDX-License-Identifier: Apache-2.0 */
/* trial.c - the steps of a check; see trial.h for what "over" means. */
#include "probe/trial.h"
#include "base/civil.h"
#include "base/err.h"
#include <openssl/ssl.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

void trial_begin(struct trial *t, struct probe *probe, const struct check *check)
{
    memset(t, 0, sizeof(*t));
    t->probe = probe;
    t->check = check;
    t->options = probe->options;
    t->talk = &probe->talk;
    t->reply = &probe->reply;
    t->reply->code = 0;
}

void trial_end(struct trial *t)
{
    trial_close(t);
    transcript_finish(&t->transcript);
}

bool trial_goes_on(const struct trial *t)
{
    return t->outcome == TRIAL_PASS;
}

bool trial_is_lmtp(const struct trial *t)
{
    return t->options->target.is_lmtp;
}

/* What a server says may hold anything; a reason is one line of printable ASCII. */
static void make_plain(char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = *text == '\n' ? '/' : '?';
}

static void end_with(struct trial *t, enum trial_outcome outcome, const char *fmt, va_list args)
{
    if (!trial_goes_on(t))
        return;
    t->outcome = outcome;
    vsnprintf(t->reason, sizeof(t->reason), fmt, args);
    make_plain(t->reason);
}

bool trial_fail(struct trial *t, const char *fmt, ...)
{
    va_list args;
    bool is_advice = t->check->level == CHECK_SHOULD && !t->options->is_strict;
    va_start(args, fmt);
    end_with(t, is_advice ? TRIAL_WARN : TRIAL_FAIL, fmt, args);
    va_end(args);
    return false;
}

bool trial_skip(struct trial *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    end_with(t, TRIAL_SKIP, fmt, args);
    va_end(args);
    return false;
}

static void note(struct trial *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(struct trial *t, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    transcript_note(&t->transcript, text);
}

static clock_ns reply_deadline(const struct trial *t)
{
    return u64_min(talk_now() + t->options->timeout_ns, t->probe->deadline);
}

static void set_due(struct trial *t, const char *due)
{
    snprintf(t->due, sizeof(t->due), "%s", *due != '\0' ? due : "an empty line");
    make_plain(t->due);
}

/* What is missing when nothing comes. */
static const char *due_text(const struct trial *t, char *memory, size_t cap)
{
    snprintf(memory, cap, "%s%s", t->state.is_greeting ? "the greeting" : "a reply to ",
             t->state.is_greeting ? "" : t->due);
    return memory;
}

/* --- codes ------------------------------------------------------------------------------------ */

static bool one_code_is(int code, const char *pattern)
{
    char digits[8];
    snprintf(digits, sizeof(digits), "%03d", code);
    for (size_t i = 0; i < 3; i++)
        if (pattern[i] != 'x' && pattern[i] != digits[i])
            return false;
    return true;
}

bool trial_code_is(int code, const char *codes)
{
    for (; codes != NULL; codes = strchr(codes, '|')) {
        codes += *codes == '|';
        if (one_code_is(code, codes))
            return true;
    }
    return false;
}

/* "503|554" as "503 or 554". */
static const char *codes_text(const char *codes, char *memory, size_t cap)
{
    size_t len = 0;
    for (; *codes != '\0' && len + 5 < cap; codes++) {
        if (*codes == '|')
            len += (size_t)snprintf(memory + len, cap - len, " or ");
        else
            memory[len++] = *codes;
    }
    memory[len] = '\0';
    return memory;
}

/* --- replies ---------------------------------------------------------------------------------- */

static bool lost(struct trial *t, enum talk_result result, bool may_end)
{
    static const char *const words[] = {
        [TALK_CLOSED] = "the server closed the connection",
        [TALK_RESET] = "the connection was reset",
        [TALK_LATE] = "nothing came in time",
        [TALK_LONG] = "the server sent a line without end",
        [TALK_TLS] = "TLS failed",
    };
    char due[128];
    bool is_end = result == TALK_CLOSED || result == TALK_RESET;
    due_text(t, due, sizeof(due));
    note(t, "%s", words[result]);
    if (is_end && may_end)
        return trial_goes_on(t);
    if (result == TALK_LATE && talk_now() >= t->probe->deadline)
        return trial_skip(t, "the time of --limit is over");
    if (result == TALK_LATE && t->state.is_greeting) /* of the rule nothing was tried yet */
        return trial_skip(t, "%s where %s was due", words[result], due);
    if (is_end && !trial_code_is(t->reply->code, "221|421|521|554"))
        watch_note(&t->probe->watch, WATCH_CLOSE, t->check->id, &t->transcript,
                   "%s where %s was due", words[result], due);
    return trial_fail(t, "%s where %s was due", words[result], due);
}

static bool add_line(struct trial *t, struct slice line, int *ret_code, bool *ret_last)
{
    char due[128];
    struct trial_reply *r = t->reply;
    transcript_put(&t->transcript, "S:", line);
    if (r->raw_len + line.len > sizeof(r->raw) || r->line_count == TRIAL_REPLY_LINES_MAX)
        return trial_fail(t, "%s does not end: %u lines and more", due_text(t, due, sizeof(due)),
                          r->line_count);
    memcpy(r->raw + r->raw_len, line.ptr, line.len);
    r->raw_len += line.len;
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    const uint8_t *p = line.ptr;
    bool is_code = line.len >= 3 && p[0] >= '2' && p[0] <= '5' && p[1] >= '0' && p[1] <= '9' &&
                   p[2] >= '0' && p[2] <= '9';
    if (!is_code || (line.len > 3 && p[3] != ' ' && p[3] != '-'))
        return trial_fail(t, "garbage where %s was due: no line of a reply",
                          due_text(t, due, sizeof(due)));
    *ret_code = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
    *ret_last = line.len == 3 || p[3] == ' ';
    if (r->line_count > 0)
        r->text[r->len++] = '\n';
    memcpy(r->text + r->len, line.ptr, line.len); /* text is never longer than raw */
    r->len += line.len;
    r->text[r->len] = '\0';
    r->line_count++;
    return true;
}

/* Whose replies have no enhanced codes (RFC 2034 3). */
static bool is_hello(const char *command)
{
    return strncasecmp(command, "EHLO", 4) == 0 || strncasecmp(command, "HELO", 4) == 0 ||
           strncasecmp(command, "LHLO", 4) == 0;
}

static bool read_reply(struct trial *t, bool may_end)
{
    struct trial_reply *r = t->reply;
    clock_ns deadline = reply_deadline(t);
    if (!trial_goes_on(t))
        return false;
    r->len = r->raw_len = 0;
    r->line_count = 0;
    r->text[0] = '\0';
    for (bool is_last = false; !is_last;) {
        struct slice line;
        int code = 0;
        enum talk_result result = talk_read_line(t->talk, deadline, &line);
        if (result != TALK_DONE) {
            transcript_put(&t->transcript, "S:", line);
            bool goes_on = lost(t, result, may_end && r->line_count == 0 && line.len == 0);
            r->code = 0;
            return goes_on;
        }
        if (!add_line(t, line, &code, &is_last))
            return false;
        if (r->line_count > 1 && code != r->code)
            return trial_fail(t, "the codes differ in the lines of the reply to %s: %d and %d",
                              t->due, r->code, code);
        r->code = code;
    }
    t->state.is_hello = is_hello(t->due);
    watch_reply(&t->probe->watch, &t->state, slice_of(r->raw, r->raw_len), t->check->id,
                &t->transcript);
    return true;
}

bool trial_read(struct trial *t)
{
    return read_reply(t, false);
}

bool trial_read_or_end(struct trial *t)
{
    return read_reply(t, true);
}

static bool check_code(struct trial *t, const char *codes, bool is_preparation)
{
    char wanted[96];
    if (!trial_goes_on(t) || trial_code_is(t->reply->code, codes))
        return trial_goes_on(t);
    if (is_preparation)
        return trial_skip(t, "the server answers %s: %.200s", t->due, t->reply->text);
    return trial_fail(t, "%s: expected %s, got \"%.200s\"", t->due,
                      codes_text(codes, wanted, sizeof(wanted)), t->reply->text);
}

bool trial_expect(struct trial *t, const char *codes)
{
    return trial_read(t) && check_code(t, codes, false);
}

bool trial_expect_for(struct trial *t, const char *due, const char *codes)
{
    set_due(t, due);
    return trial_expect(t, codes);
}

bool trial_need(struct trial *t, const char *codes)
{
    return trial_read(t) && check_code(t, codes, true);
}

bool trial_expect_end(struct trial *t)
{
    struct slice line;
    if (!trial_goes_on(t))
        return false;
    enum talk_result result = talk_read_line(t->talk, reply_deadline(t), &line);
    transcript_put(&t->transcript, "S:", line);
    if (result == TALK_DONE || line.len > 0)
        return trial_fail(t, "the server goes on talking behind %s", t->due);
    if (result == TALK_LATE)
        return trial_fail(t, "the server does not close the connection behind %s", t->due);
    note(t, "closed by the server");
    return true;
}

/* --- what is sent ----------------------------------------------------------------------------- */

bool trial_send(struct trial *t, const char *due, struct slice bytes)
{
    if (!trial_goes_on(t))
        return false;
    set_due(t, due);
    transcript_put(&t->transcript, "C:", bytes);
    clock_ns patience = t->options->timeout_ns + bytes.len / (64 * KIB) * NS_PER_S;
    clock_ns deadline = u64_min(talk_now() + patience, t->probe->deadline);
    enum talk_result result = talk_write(t->talk, bytes, deadline);
    if (result == TALK_LATE)
        return trial_fail(t, "the server does not read what is sent: %s", due);
    return true; /* whatever else it is: reading tells, and may still find a reply */
}

static bool say(struct trial *t, const char *fmt, va_list args)
{
    char line[8192];
    if (!trial_goes_on(t))
        return false;
    int len = vsnprintf(line, sizeof(line) - 2, fmt, args);
    if (len < 0 || (size_t)len >= sizeof(line) - 2)
        return trial_skip(t, "a line that is too long for the probe");
    char due[sizeof(t->due)];
    snprintf(due, sizeof(due), "%.*s", len < 60 ? len : 60, line);
    memcpy(line + len, "\r\n", 2);
    return trial_send(t, due, slice_of(line, (size_t)len + 2));
}

bool trial_say(struct trial *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool goes_on = say(t, fmt, args);
    va_end(args);
    return goes_on;
}

bool trial_ask(struct trial *t, const char *codes, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool goes_on = say(t, fmt, args);
    va_end(args);
    return goes_on && trial_expect(t, codes);
}

bool trial_must(struct trial *t, const char *codes, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    bool goes_on = say(t, fmt, args);
    va_end(args);
    return goes_on && trial_need(t, codes);
}

/* --- connection ------------------------------------------------------------------------------- */

void trial_close(struct trial *t)
{
    if (t->is_open)
        talk_close(t->talk);
    t->is_open = false;
}

bool trial_handshake(struct trial *t)
{
    const struct probe_options *o = t->options;
    if (!trial_goes_on(t))
        return false;
    const char *name = o->target.is_name ? o->target.host : NULL;
    enum talk_result result =
        talk_start_tls(t->talk, t->probe->tls, name, o->tls_ca != NULL, reply_deadline(t));
    if (result == TALK_DONE) {
        note(t, "TLS: %s", SSL_get_version(t->talk->ssl));
        t->state.offers_enhanced = false; /* all is forgotten (RFC 3207 4.2) */
        return true;
    }
    note(t, "TLS handshake failed");
    if (result == TALK_LATE)
        return trial_fail(t, "the TLS handshake does not end");
    return trial_fail(t, "the TLS handshake failed%s",
                      o->tls_ca != NULL ? ", or the certificate could not be verified" : "");
}

bool trial_connect(struct trial *t)
{
    int error = 0;
    if (!trial_goes_on(t))
        return false;
    trial_close(t);
    t->state = (struct watch_state){0};
    t->reply->code = 0;
    clock_ns deadline = reply_deadline(t);
    t->is_silent = true;
    if (talk_open(t->talk, &t->options->target, deadline, &error) != TALK_DONE)
        return trial_skip(t, "no connection: %s", err_text(-error));
    t->is_open = true;
    note(t, "connection %u", ++t->probe->connection_count);
    if (t->options->target.is_tls && !trial_handshake(t))
        return false;
    t->state.is_greeting = true;
    set_due(t, "the connection");
    if (!trial_read(t))
        return false;
    t->state.is_greeting = false;
    t->is_silent = !trial_code_is(t->reply->code, "220");
    if (!check_code(t, "220", true))
        return false;
    char *greeting = t->probe->found.greeting;
    if (*greeting == '\0')
        snprintf(greeting, sizeof(t->probe->found.greeting), "%.500s", t->reply->text);
    if (!t->options->uses_starttls)
        return true;
    return trial_hello(t) && trial_must(t, "220", "STARTTLS") && trial_handshake(t);
}

bool trial_hello(struct trial *t)
{
    struct found found; /* of this very reply, and only for one question */
    const char *verb = trial_is_lmtp(t) ? "LHLO" : "EHLO";
    t->state.has_asked = false;
    if (!trial_must(t, "250", "%s %s", verb, t->options->helo))
        return false;
    found_parse(&found, slice_of(t->reply->text, t->reply->len));
    t->state.offers_enhanced = found_get(&found, "ENHANCEDSTATUSCODES") != NULL;
    return true;
}

bool trial_start(struct trial *t)
{
    return trial_connect(t) && trial_hello(t);
}

bool trial_restart(struct trial *t)
{
    bool was_good = trial_goes_on(t);
    if (trial_start(t))
        return true;
    if (was_good && t->outcome == TRIAL_SKIP) {
        char why[TRIAL_REASON_BYTES];
        memcpy(why, t->reason, sizeof(why));
        t->outcome = TRIAL_PASS;
        return trial_fail(t, "the server does not answer any more: %s", why);
    }
    return false;
}

bool trial_quit(struct trial *t)
{
    if (!trial_say(t, "QUIT") || !trial_read(t))
        return false;
    if (t->reply->code != 221)
        return trial_fail(t, "replies and commands are out of step: QUIT gets \"%.200s\"",
                          t->reply->text);
    trial_close(t);
    return true;
}

/* --- transactions ----------------------------------------------------------------------------- */

const char *trial_rcpt(const struct trial *t, uint32_t idx)
{
    const struct probe_options *o = t->options;
    return o->rcpt_count > 0 ? o->rcpts[idx % o->rcpt_count] : "nobody";
}

/* Whether one of the words of @params asks for replies of their own. */
static bool asks_for_replies(const char *params)
{
    static const char *const words[] = {"PRDR",       "DEFERRALS", "EXDATA",  "XEXDATA",
                                        "INLINE-DSN", "XPRDR1",    "XRCPT250"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strstr(params, words[i]) != NULL)
            return true;
    return false;
}

bool trial_mail(struct trial *t, const char *params)
{
    t->state.has_asked = asks_for_replies(params);
    return trial_must(t, "250", "MAIL FROM:<%s>%s%s", t->options->sender, *params ? " " : "",
                      params);
}

bool trial_rcpt_accepted(struct trial *t, const char *address)
{
    return trial_must(t, "2xx", "RCPT TO:<%s>", address);
}

bool trial_rcpt_refused(struct trial *t, const char *address)
{
    return trial_must(t, "4xx|5xx", "RCPT TO:<%s>", address);
}

bool trial_envelope(struct trial *t, const char *params, uint32_t count)
{
    if (!trial_mail(t, params))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!trial_rcpt_accepted(t, trial_rcpt(t, i)))
            return false;
    return true;
}

bool trial_data(struct trial *t)
{
    return trial_must(t, "354", "DATA");
}

bool trial_to_content(struct trial *t, uint32_t count)
{
    return trial_start(t) && trial_envelope(t, "", count) && trial_data(t);
}

struct slice trial_message(struct trial *t, const char *body)
{
    struct probe *p = t->probe;
    struct timespec ts;
    char date[64];
    struct buf b = buf_over(date, sizeof(date));
    clock_gettime(CLOCK_REALTIME, &ts);
    struct civil civil = civil_from_unix((uint64_t)ts.tv_sec);
    civil_put_rfc5322(&b, &civil);
    int len = snprintf(p->message, sizeof(p->message),
                       "From: <%s>\r\nTo: <%s>\r\nSubject: postern-probe %s\r\n"
                       "Date: %.*s\r\nMessage-ID: <probe.%llx.%u@%s>\r\n"
                       "X-Postern-Probe: %s\r\n\r\n%s",
                       t->options->sender, trial_rcpt(t, 0), t->check->id, (int)b.len, date,
                       (unsigned long long)p->run_id, ++p->message_seq, t->options->helo,
                       t->check->id, body);
    size_t used = len < 0 ? 0 : size_min((size_t)len, sizeof(p->message) - 1);
    return slice_of(p->message, used);
}

bool trial_content(struct trial *t, const char *body)
{
    struct slice message = trial_message(t, body);
    if (message.len + 4 > TRIAL_MESSAGE_BYTES)
        return trial_skip(t, "a message that is too long for the probe");
    memcpy(t->probe->message + message.len, ".\r\n", 3);
    return trial_send(t, "the content", slice_of(message.ptr, message.len + 3));
}

void trial_note_left(struct trial *t)
{
    t->probe->messages_left++;
}

bool trial_answered(struct trial *t, uint32_t count, const char *codes)
{
    uint32_t due_count = trial_is_lmtp(t) ? count : 1;
    bool is_left = false;
    for (uint32_t i = 0; i < due_count && trial_goes_on(t); i++) {
        char due[64] = "the content";
        if (due_count > 1)
            snprintf(due, sizeof(due), "the content (%u of %u)", i + 1, due_count);
        set_due(t, due);
        if (trial_read(t)) {
            is_left = is_left || trial_code_is(t->reply->code, "2xx");
            (void)check_code(t, codes, false);
        }
    }
    if (is_left)
        trial_note_left(t);
    return trial_goes_on(t);
}

bool trial_stored(struct trial *t, uint32_t count)
{
    return trial_answered(t, count, "2xx");
}

bool trial_expect_nested(struct trial *t)
{
    t->state.is_nested = true;
    bool goes_on = trial_expect_for(t, "the content", "2xx|4xx|5xx");
    t->state.is_nested = false;
    return goes_on;
}

bool trial_check_all_taken(struct trial *t, const int *codes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (codes[i] / 100 != 2)
            trial_fail(t, "recipient %u gets %d", i + 1, codes[i]);
    return trial_goes_on(t);
}

bool trial_check_second_refused(struct trial *t, const int *codes)
{
    if (codes[0] / 100 == 2 && codes[1] / 100 != 2 && codes[2] / 100 == 2)
        return true;
    return trial_fail(t, "the replies are %d, %d, %d: not in the order of RCPT", codes[0], codes[1],
                      codes[2]);
}
