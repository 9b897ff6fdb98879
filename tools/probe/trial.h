/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial.h - one check being run: its connection, its transcript, its outcome.
 *
 * Every step returns whether the check goes on. Once a check is over (failed, or found that it
 * cannot be done), each further step does nothing and returns false: a check needs no branches for
 * what goes wrong. Steps that end in _need belong to the preparation: where the server does not
 * play along, the check is skipped with what it said, and not failed.
 *
 * Codes are expected by a pattern: "250", "503|554", "2xx|4xx".
 */
#ifndef PROBE_TRIAL_H
#define PROBE_TRIAL_H

#include "probe/check.h"
#include "probe/found.h"
#include "probe/options.h"
#include "probe/talk.h"
#include "probe/transcript.h"
#include "probe/watch.h"
#include <openssl/types.h>

enum trial_outcome { TRIAL_PASS, TRIAL_FAIL, TRIAL_WARN, TRIAL_SKIP };

#define TRIAL_REASON_BYTES 512
#define TRIAL_REPLY_BYTES ((size_t)65536)
#define TRIAL_REPLY_LINES_MAX 4096
#define TRIAL_MESSAGE_BYTES ((size_t)16384)

struct trial_reply {
    int code; /* 0: none was read */
    uint32_t line_count;
    size_t len, raw_len;
    char text[TRIAL_REPLY_BYTES]; /* lines without CRLF, separated by LF; ended by NUL */
    uint8_t raw[TRIAL_REPLY_BYTES];
};

/* What outlives a single check. */
struct probe {
    const struct probe_options *options;
    SSL_CTX *tls;
    struct found found;       /* in the state in which the checks begin */
    struct found found_clear; /* before STARTTLS, with --starttls */
    struct watch watch;       /* the rules about every reply */
    uint64_t run_id;
    clock_ns deadline; /* of the whole run */
    uint32_t message_seq;
    uint32_t messages_left; /* transactions that ended in a 2xx for somebody */
    uint32_t connection_count;
    uint32_t silent_count; /* checks one after the other that got no connection or no reply */
    struct talk talk;
    struct trial_reply reply;
    char message[TRIAL_MESSAGE_BYTES];
};

struct trial {
    struct probe *probe;
    const struct check *check;
    const struct probe_options *options;
    enum trial_outcome outcome;
    char reason[TRIAL_REASON_BYTES];
    struct transcript transcript;
    struct talk *talk;
    struct trial_reply *reply; /* the last one */
    bool is_open;
    bool is_silent; /* the server could not be reached, or did not answer */
    char due[96];   /* what the next reply is for */
    struct watch_state state;
};

/* trial_begin() - nothing is open and nothing was said. */
void trial_begin(struct trial *t, struct probe *probe, const struct check *check);
/* trial_end() - closes what is open. The transcript is the caller's to free. */
void trial_end(struct trial *t);

/* trial_fail() - the rule is broken (a warning, when it is a recommendation). Always false. */
bool trial_fail(struct trial *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* trial_skip() - it cannot be tested. Always false. */
bool trial_skip(struct trial *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* trial_goes_on() - nothing went wrong so far. */
bool trial_goes_on(const struct trial *t);

/* --- connection --- */

/* trial_connect() - up to and with the greeting, and STARTTLS where it is asked for. */
bool trial_connect(struct trial *t);
/* trial_start() - and EHLO or LHLO. */
bool trial_start(struct trial *t);
/* trial_restart() - the same as a part of the test: that the server still answers. */
bool trial_restart(struct trial *t);
/* trial_hello() - EHLO or LHLO, accepted. */
bool trial_hello(struct trial *t);
/* trial_handshake() - TLS from here on. */
bool trial_handshake(struct trial *t);
/* trial_close() - without a word. */
void trial_close(struct trial *t);

/* --- steps --- */

/* trial_send() - these bytes; @due: what the reply is for. */
bool trial_send(struct trial *t, const char *due, struct slice bytes);
/* trial_say() - a line, with CRLF. */
bool trial_say(struct trial *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* trial_read() - one reply, of any code. */
bool trial_read(struct trial *t);
/* trial_read_or_end() - the same; the end of the connection is no failure, and leaves code 0. */
bool trial_read_or_end(struct trial *t);
/* trial_expect() - one reply with such a code. */
bool trial_expect(struct trial *t, const char *codes);
/* trial_expect_for() - the same, and what it is for. */
bool trial_expect_for(struct trial *t, const char *due, const char *codes);
/* trial_need() - the same as a part of the preparation. */
bool trial_need(struct trial *t, const char *codes);
/* trial_ask(), trial_must() - a line, and trial_expect() or trial_need() for it. */
bool trial_ask(struct trial *t, const char *codes, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool trial_must(struct trial *t, const char *codes, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* trial_code_is() - whether a code fits a pattern. */
bool trial_code_is(int code, const char *codes);
/* trial_expect_end() - the server closes the connection without another word. */
bool trial_expect_end(struct trial *t);
/* trial_quit() - QUIT, 221: nothing else was on its way, so replies and commands were in step. */
bool trial_quit(struct trial *t);

/* --- transactions --- */

/* trial_rcpt() - the accepted recipient @idx, round and round. */
const char *trial_rcpt(const struct trial *t, uint32_t idx);
/* trial_mail() - MAIL with @params ("" none), accepted. */
bool trial_mail(struct trial *t, const char *params);
/* trial_envelope() - MAIL and @count accepted recipients. */
bool trial_envelope(struct trial *t, const char *params, uint32_t count);
/* trial_rcpt_accepted(), trial_rcpt_refused() - RCPT, with that outcome. */
bool trial_rcpt_accepted(struct trial *t, const char *address);
bool trial_rcpt_refused(struct trial *t, const char *address);
/* trial_data() - DATA, 354. */
bool trial_data(struct trial *t);
/* trial_to_content() - trial_start(), MAIL, @count accepted recipients, DATA: content comes next.
 */
bool trial_to_content(struct trial *t, uint32_t count);
/* trial_message() - head and body of a message of ours, ended by CRLF: valid until the next call.
 */
struct slice trial_message(struct trial *t, const char *body);
/* trial_content() - a message with this body (CRLF inside, dots already doubled), and the end. */
bool trial_content(struct trial *t, const char *body);
/* trial_stored() - the reply or replies to the content, @count recipients: all 2xx, all over. */
bool trial_stored(struct trial *t, uint32_t count);
/* trial_answered() - the same with codes of any kind after complete content: one in SMTP, @count
 * in LMTP. */
bool trial_answered(struct trial *t, uint32_t count, const char *codes);
/* trial_expect_nested() - a reply to the content, in whose lines others may be. */
bool trial_expect_nested(struct trial *t);
/* trial_check_all_taken() - the replies of @count recipients, all of them 2xx. */
bool trial_check_all_taken(struct trial *t, const int *codes, uint32_t count);
/* trial_check_second_refused() - those of three, of whom the second does not take it. */
bool trial_check_second_refused(struct trial *t, const int *codes);
/* trial_note_left() - a message stays at the server. */
void trial_note_left(struct trial *t);
/* trial_is_lmtp() - the server speaks LMTP. */
bool trial_is_lmtp(const struct trial *t);

#endif
