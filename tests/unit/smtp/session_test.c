/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_test.c - the contract of the server machine with its owner: the proof of commit (P1), ten
 * thousand recipients through a small buffer, blocks that are stopped, phases, slots. Dialogues are
 * in tests/dialogue.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/session.h"
#include "../../support/testscan.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct commit_proof proof = {.queue_id = 7, .is_committed = true};

static struct session_config make_config(enum session_protocol protocol)
{
    return (struct session_config){
        .protocol = protocol,
        .offers = SESSION_OFFER_ALL,
        .hostname = SLICE_LIT("mx.example"),
        .size_max = 1000,
        .rcpt_max = RCPT_COUNT_HARD_MAX,
        .error_max = 10,
    };
}

/* Output of up to 64 KiB, thrown away or kept. */
static size_t drain(struct session *s, char *to, size_t cap)
{
    char memory[SESSION_OUTPUT_BYTES_MIN];
    size_t len = 0;
    for (bool is_done = false; !is_done;) {
        struct buf b = buf_over(memory, sizeof(memory));
        is_done = session_output(s, &b);
        assert_true(is_done || b.len > 0);
        if (to != NULL) {
            assert_true(len + b.len <= cap);
            memcpy(to + len, memory, b.len);
        }
        len += b.len;
    }
    return len;
}

/* Feeds one whole line, accepts what is asked, returns the event that was last. */
static enum session_event_kind say(struct session *s, struct scan *scan, const char *line)
{
    static struct session_event ev;
    struct slice in = slice_str(line);
    enum session_event_kind last = EV_MORE;
    for (;;) {
        size_t used = session_feed(s, in, 0, &ev);
        in = slice_from(in, used);
        if (ev.kind == EV_MORE || ev.kind == EV_BLOCKED || ev.kind == EV_CLOSE)
            return last;
        last = ev.kind;
        if (ev.kind == EV_MAIL)
            session_answer(s, ev.slot, ANSWER(STATUS_SENDER_OK));
        else if (ev.kind == EV_RCPT)
            session_answer(s, ev.slot, ANSWER(STATUS_RCPT_OK));
        else if (ev.kind == EV_OUTPUT)
            (void)drain(s, NULL, 0);
        else if (ev.kind == EV_CONTENT) {
            struct scan_options options = session_scan_options(s);
            scan_begin(scan, &options);
            session_begin_content(s, ev.slot, scan);
        }
    }
}

static void open_message(struct session *s, struct scan *scan, const struct session_config *config,
                         const char *param, uint32_t rcpt_count)
{
    char mail[64];
    snprintf(mail, sizeof(mail), "MAIL FROM:<a@b>%s\r\n", param);
    session_init(s, config, 0);
    (void)drain(s, NULL, 0);
    (void)say(s, scan, config->protocol == SESSION_LMTP ? "LHLO a\r\n" : "EHLO a\r\n");
    (void)say(s, scan, mail);
    for (uint32_t i = 0; i < rcpt_count; i++)
        (void)say(s, scan, "RCPT TO:<a@b>\r\n");
    assert_int_equal(session_rcpt_count(s), rcpt_count);
    (void)say(s, scan, "DATA\r\n");
    (void)drain(s, NULL, 0);
    assert_int_equal(say(s, scan, "x\r\n.\r\n"), EV_BODY_END);
    assert_int_equal(session_phase(s), SESSION_PHASE_DECISION);
}

/* ---- what ends the process rather than telling a lie: CORE-8, CORE-9, CORE-10, LMTP-10, PRDR-21,
 * PRDR-22, PRDR-26, PRDR-27 ---- */

enum lie {
    LIE_NO_PROOF,
    LIE_NOT_COMMITTED,
    LIE_NO_QUEUE_ID,
    LIE_FAILURE_ACCEPTED,
    LIE_SUCCESS_REFUSED,
    LIE_3XX_REFUSED,
    LIE_UNDECIDED,
    LIE_SUCCESS_FROM_NOTHING,
    LIE_MIXED_ON_SMTP,
    LIE_TWICE,
    LIE_LATER_UNASKED, /* 352 to a client that did not ask (DEF-5) */
    LIE_NONE,          /* the honest way through the same code */
    LIE_COUNT
};

static void answer_later(struct session *s, struct scan *scan, const struct session_config *config)
{
    static struct session_event ev;
    session_init(s, config, 0);
    (void)drain(s, NULL, 0);
    (void)say(s, scan, "EHLO a\r\nMAIL FROM:<a@b>\r\n");
    assert_int_equal(session_feed(s, SLICE_LIT("RCPT TO:<a@b>\r\n"), 0, &ev), 15);
    assert_int_equal(ev.kind, EV_RCPT);
    session_answer(s, ev.slot, ANSWER(STATUS_RCPT_LATER));
}

static void tell(enum lie lie)
{
    static struct session s;
    static struct scan scan;
    struct session_entry entries[2] = {0};
    struct session_config config = make_config(SESSION_SMTP);
    const struct commit_proof uncommitted = {.queue_id = 7, .is_committed = false};
    const struct commit_proof nameless = {.queue_id = 0, .is_committed = true};
    const struct answer stored = ANSWER(STATUS_STORED);
    const struct answer refused = ANSWER(STATUS_REFUSED_POLICY);
    open_message(&s, &scan, &config, "", 2);
    if (lie == LIE_LATER_UNASKED)
        answer_later(&s, &scan, &config);
    session_set_entries(&s, entries);
    if (lie == LIE_NO_PROOF)
        session_accept_rcpt(&s, 0, stored, NULL);
    if (lie == LIE_NOT_COMMITTED)
        session_accept_rcpt(&s, 0, stored, &uncommitted);
    if (lie == LIE_NO_QUEUE_ID)
        session_accept_rcpt(&s, 0, stored, &nameless);
    if (lie == LIE_FAILURE_ACCEPTED)
        session_accept_rcpt(&s, 0, refused, &proof);
    if (lie == LIE_SUCCESS_REFUSED)
        session_refuse_rcpt(&s, 0, stored);
    if (lie == LIE_3XX_REFUSED)
        session_refuse_rcpt(&s, 0, ANSWER(STATUS_LIST_OPEN));
    if (lie == LIE_UNDECIDED)
        session_finish(&s, ANSWER(STATUS_NONE));
    session_refuse_rcpt(&s, 0, refused);
    if (lie == LIE_TWICE)
        session_refuse_rcpt(&s, 0, refused);
    if (lie == LIE_MIXED_ON_SMTP)
        session_accept_rcpt(&s, 1, stored, &proof);
    else
        session_refuse_rcpt(&s, 1, refused);
    session_finish(&s, lie == LIE_SUCCESS_FROM_NOTHING ? stored : ANSWER(STATUS_NONE));
}

static void test_no_lies(void **state)
{
    (void)state;
    for (int lie = 0; lie < LIE_COUNT; lie++) {
        fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            fclose(stderr);
            tell((enum lie)lie);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        bool has_died = WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
        if (has_died != (lie != LIE_NONE))
            fail_msg("lie %d: status %d", lie, status);
    }
}

/* ---- many recipients: PRDR-18, LMTP-7, DEF-10, EXD-9, HOL-5; |L| of 1, 2, 100 and the most ----
 */

struct form {
    const char *param;
    enum session_protocol protocol;
    const char *opener; /* of a block; NULL: none */
    const char *prefix; /* of the reply of a recipient */
    const char *closer;
    bool has_single; /* one recipient: single form (PRDR-15) */
};

static const struct form forms[] = {
    {"", SESSION_LMTP, NULL, "", NULL, false},
    {" PRDR", SESSION_SMTP, "353 ", "", "250 ", true},
    {" EXDATA", SESSION_SMTP, NULL, "558-", NULL, true},
    {" XRCPT250", SESSION_SMTP, "250-2.0.0 +RCPT ", "250-", "250 2.0.0 +END", true},
    {" XPRDR1", SESSION_SMTP, NULL, "", "", false},
};

static bool line_begins(struct slice *rest, const char *prefix, const char *code)
{
    char want[64];
    snprintf(want, sizeof(want), "%s%s", prefix, code);
    struct slice line = slice_first(*rest, slice_find(*rest, '\n') + 1);
    *rest = slice_from(*rest, line.len);
    return line.len > strlen(want) && memcmp(line.ptr, want, strlen(want)) == 0;
}

static void run_many(const struct form *form, uint32_t count)
{
    static struct session s;
    static struct scan scan;
    const size_t cap = (size_t)count * 64 + 200;
    struct session_config config = make_config(form->protocol);
    struct session_entry *entries = calloc(count, sizeof(*entries));
    char *out = malloc(cap);
    open_message(&s, &scan, &config, form->param, count);
    session_set_entries(&s, entries);
    for (uint32_t i = 0; i < count; i++) {
        if (i % 3 == 0)
            session_refuse_rcpt(&s, i, ANSWER(STATUS_REFUSED_POLICY));
        else
            session_accept_rcpt(&s, i, ANSWER(STATUS_STORED), &proof);
    }
    session_finish(&s, ANSWER(STATUS_NONE));
    assert_false(session_replies_done(&s));
    size_t len = drain(&s, out, cap);
    assert_true(session_replies_done(&s));
    struct slice rest = slice_of(out, len);
    bool is_single = form->has_single && count == 1;
    if (form->opener != NULL && !is_single)
        assert_true(line_begins(&rest, form->opener, ""));
    for (uint32_t i = 0; i < count; i++) {
        const char *prefix = is_single ? "" : form->prefix;
        if (i + 1 == count && form->closer == NULL && prefix[0] != '\0')
            prefix = "558 ";
        assert_true(line_begins(&rest, prefix, i % 3 == 0 ? "550" : "250"));
    }
    if (form->closer != NULL && !is_single)
        assert_true(line_begins(&rest, form->closer, ""));
    assert_int_equal(rest.len, 0);
    assert_int_equal(say(&s, &scan, "MAIL FROM:<a@b>\r\n"), EV_MAIL);
    free(entries);
    free(out);
}

static void test_many_recipients(void **state)
{
    static const uint32_t counts[] = {1, 2, 100, RCPT_COUNT_HARD_MAX};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
        for (size_t f = 0; f < ARRAY_COUNT(forms); f++)
            run_many(&forms[f], counts[i]);
}

/*
 * PRDR-30, PRDR-31, LMTP-12, EXD-13, HOL-7: the block is stopped after k of its entries were
 * decided, by the end of input or by us: each has its reply, nobody is told 2xx who was not
 * accepted, and what comes from the owner afterwards changes nothing.
 */
static void run_stopped(const struct form *form, bool is_eof, uint32_t decided)
{
    static struct session s;
    static struct scan scan;
    struct session_entry entries[4] = {0};
    struct session_config config = make_config(form->protocol);
    char out[600];
    open_message(&s, &scan, &config, form->param, 4);
    session_set_entries(&s, entries);
    session_refuse_rcpt(&s, 0, ANSWER(STATUS_REFUSED_POLICY));
    session_open_block(&s);
    for (uint32_t i = 0; i < decided; i++)
        session_accept_rcpt(&s, 1 + i, ANSWER(STATUS_STORED), &proof);
    size_t len = drain(&s, out, sizeof(out));
    if (is_eof)
        assert_false(session_eof(&s, SLICE_LIT("NOOP\r\n")));
    else
        session_end_now(&s, ANSWER(STATUS_SHUTTING_DOWN));
    if (decided < 3)
        session_accept_rcpt(&s, 1 + decided, ANSWER(STATUS_STORED), &proof);
    session_finish(&s, ANSWER(STATUS_NONE));
    len += drain(&s, out + len, sizeof(out) - len);
    assert_true(session_wants_close(&s) && session_replies_done(&s));
    struct slice rest = slice_of(out, len);
    if (form->opener != NULL)
        assert_true(line_begins(&rest, form->opener, ""));
    for (uint32_t i = 0; i < 4; i++) {
        const char *code = i == 0 ? "550" : i <= decided ? "250" : "451";
        bool is_end = i == 3 && form->closer == NULL && form->prefix[0] != '\0';
        assert_true(line_begins(&rest, is_end ? "558 " : form->prefix, code));
    }
    if (form->closer != NULL && form->prefix[0] != '\0')
        assert_true(line_begins(&rest, form->closer, ""));
    assert_true(line_begins(&rest, "421", ""));
    assert_int_equal(rest.len, 0);
}

static void test_stopped(void **state)
{
    (void)state;
    for (uint32_t decided = 0; decided <= 3; decided++) {
        for (size_t f = 0; f < ARRAY_COUNT(forms); f++) {
            run_stopped(&forms[f], false, decided);
            run_stopped(&forms[f], true, decided);
        }
    }
}

/* ---- what the owner may ask ---- */

static void test_questions(void **state)
{
    static struct session s;
    static struct scan scan;
    struct session_config config = make_config(SESSION_SMTP);
    (void)state;
    config.normalize_bare_lf = true;
    config.received_max = 5;
    session_init(&s, &config, 0);
    (void)drain(&s, NULL, 0);
    assert_int_equal(session_phase(&s), SESSION_PHASE_COMMAND);
    (void)say(&s, &scan, "HELO a\r\n");
    assert_false(session_is_esmtp(&s));
    (void)say(&s, &scan, "EHLO a\r\n");
    assert_true(session_is_esmtp(&s));
    assert_false(session_in_transaction(&s));
    (void)say(&s, &scan, "MAIL FROM:<a@b> SMTPUTF8 PRDR BODY=BINARYMIME\r\n");
    assert_true(session_in_transaction(&s));
    assert_true(session_has_utf8(&s));
    assert_int_equal(session_dialect(&s), DIALECT_PRDR);
    (void)say(&s, &scan, "RCPT TO:<a@b>\r\n");
    (void)say(&s, &scan, "BDAT 5\r\n");
    assert_int_equal(session_phase(&s), SESSION_PHASE_CONTENT);
    struct scan_options options = session_scan_options(&s);
    assert_int_equal(options.mode, SCAN_MODE_CHUNK);
    assert_false(options.normalize_bare_lf); /* BINARYMIME: octets stay as they are */
    assert_int_equal(options.received_max, 5);
    (void)say(&s, &scan, "12345");
    assert_int_equal(session_phase(&s), SESSION_PHASE_COMMAND);
    assert_int_equal(say(&s, &scan, "RSET\r\n"), EV_ABORT);
    assert_false(session_in_transaction(&s));
    (void)say(&s, &scan, "MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
    assert_int_equal(session_dialect(&s), DIALECT_SMTP);
    assert_false(session_has_utf8(&s));
    options = session_scan_options(&s);
    assert_int_equal(options.mode, SCAN_MODE_DATA);
    assert_true(options.normalize_bare_lf);
    session_end_now(&s, ANSWER(STATUS_TOO_SLOW));
    assert_int_equal(session_phase(&s), SESSION_PHASE_CLOSING);
    assert_false(session_wants_close(&s)); /* the 421 is not out yet */
    (void)drain(&s, NULL, 0);
    assert_true(session_wants_close(&s));
}

/* Server waits at least 5 minutes for a command; decides sooner than a client gives up (DUP-15). */
static void test_timeouts(void **state)
{
    (void)state;
    assert_true(session_phase_timeout(SESSION_PHASE_COMMAND) >= 300 * NS_PER_S);
    assert_true(session_phase_timeout(SESSION_PHASE_CONTENT) >= 180 * NS_PER_S);
    assert_true(session_phase_timeout(SESSION_PHASE_DECISION) <= 270 * NS_PER_S);
    assert_true(session_phase_timeout(SESSION_PHASE_CLOSING) > 0);
    assert_true(sizeof(struct session) <= 256);
}

/* CORE-45: content that is read before 354 was sent ends the session; with it sent, all is well. */
/* Formats once; the text must be @expected. */
static void expect_paced(struct session *s, enum session_pace pace, const char *expected,
                         bool is_complete)
{
    char memory[2 * SESSION_OUTPUT_BYTES_MIN];
    struct buf b = buf_over(memory, sizeof(memory) - 1);
    assert_int_equal(session_output_paced(s, &b, pace), is_complete);
    memory[b.len] = 0;
    assert_string_equal(memory, expected);
}

/* A block whose opening and first recipient are decided before the others. */
static void open_paced(struct session *s, struct scan *scan, const struct session_config *config,
                       const char *param, struct session_entry entries[3])
{
    memset(entries, 0, 3 * sizeof(*entries));
    open_message(s, scan, config, param, 3);
    session_set_entries(s, entries);
    session_refuse_rcpt(s, 0, ANSWER(STATUS_REFUSED_POLICY));
    session_open_block(s);
}

static void finish_paced(struct session *s)
{
    for (uint32_t i = 1; i < 3; i++)
        session_accept_rcpt(s, i, ANSWER(STATUS_STORED), &proof);
    session_finish(s, ANSWER(STATUS_NONE));
}

#define REFUSED "550 5.7.1 refused by policy\r\n"
#define STORED "250 2.0.0 stored\r\n"

/* One reply at a time, or none before the last is ready; a list's lines count as replies. */
static void test_paced(void **state)
{
    (void)state;
    static struct scan scan;
    struct session_config config = make_config(SESSION_SMTP);
    struct session_config lmtp = make_config(SESSION_LMTP);
    struct session_entry entries[3];
    struct session s;

    open_paced(&s, &scan, &config, " PRDR", entries);
    expect_paced(&s, SESSION_PACE_ONE, "353 replies per recipient follow\r\n", false);
    expect_paced(&s, SESSION_PACE_ONE, REFUSED, false);
    expect_paced(&s, SESSION_PACE_ONE, "", true);
    finish_paced(&s);
    expect_paced(&s, SESSION_PACE_ONE, STORED, false);
    expect_paced(&s, SESSION_PACE_ONE, STORED, false);
    assert_false(session_replies_done(&s));
    expect_paced(&s, SESSION_PACE_ONE, STORED, false);
    assert_true(session_replies_done(&s));
    expect_paced(&s, SESSION_PACE_ONE, "", true);

    open_paced(&s, &scan, &config, " PRDR", entries);
    expect_paced(&s, SESSION_PACE_WHOLE, "353 replies per recipient follow\r\n", true);
    expect_paced(&s, SESSION_PACE_WHOLE, "", true);
    finish_paced(&s);
    expect_paced(&s, SESSION_PACE_WHOLE, REFUSED STORED STORED STORED, true);

    open_paced(&s, &scan, &config, " XRCPT250", entries);
    expect_paced(&s, SESSION_PACE_WHOLE, "250-2.0.0 +RCPT 3\r\n", true);
    session_show_life(&s);
    expect_paced(&s, SESSION_PACE_WHOLE, "250-000 working\r\n", true);
    finish_paced(&s);
    expect_paced(&s, SESSION_PACE_ONE, "250-" REFUSED, false);
    expect_paced(&s, SESSION_PACE_ONE, "250-" STORED, false);
    expect_paced(&s, SESSION_PACE_ONE, "250-" STORED, false);
    expect_paced(&s, SESSION_PACE_ONE, "250 2.0.0 +END\r\n", false);
    expect_paced(&s, SESSION_PACE_ONE, "", true);

    open_paced(&s, &scan, &lmtp, "", entries);
    expect_paced(&s, SESSION_PACE_WHOLE, "", true);
    expect_paced(&s, SESSION_PACE_ONE, REFUSED, false);
    finish_paced(&s);
    expect_paced(&s, SESSION_PACE_ONE, STORED, false);
    expect_paced(&s, SESSION_PACE_ONE, STORED, false);
    expect_paced(&s, SESSION_PACE_ONE, "", true);
}

/* A copy says the same and changes nothing of what it was made of. */
static void test_copy(void **state)
{
    (void)state;
    static struct scan scan;
    struct session_config config = make_config(SESSION_SMTP);
    struct session_entry entries[3], copied[3];
    struct session s, copy;
    uint64_t counts[STATUS_COUNT] = {0};
    open_paced(&s, &scan, &config, " PRDR", entries);
    session_count_replies(&s, counts);
    session_copy(&copy, &s, copied);
    finish_paced(&copy);
    expect_paced(&copy, SESSION_PACE_READY,
                 "353 replies per recipient follow\r\n" REFUSED STORED STORED STORED, true);
    assert_true(session_replies_done(&copy));
    for (size_t i = 0; i < STATUS_COUNT; i++)
        assert_int_equal(counts[i], 0);
    assert_int_equal(entries[1].fate, SESSION_FATE_OPEN);
    finish_paced(&s);
    expect_paced(&s, SESSION_PACE_READY,
                 "353 replies per recipient follow\r\n" REFUSED STORED STORED STORED, true);
}

static void test_early_content(void **state)
{
    static struct session s;
    static struct scan scan;
    struct session_config config = make_config(SESSION_SMTP);
    (void)state;
    config.bind_early_talkers = true;
    for (int is_early = 0; is_early < 2; is_early++) {
        char out[600];
        session_init(&s, &config, 0);
        (void)drain(&s, NULL, 0);
        (void)say(&s, &scan, "EHLO a\r\n");
        (void)drain(&s, NULL, 0);
        (void)say(&s, &scan, "MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n");
        if (is_early == 0)
            (void)drain(&s, NULL, 0);
        assert_int_equal(say(&s, &scan, "x\r\n.\r\n"), is_early == 0 ? EV_BODY_END : EV_ABORT);
        assert_int_equal(session_phase(&s) == SESSION_PHASE_CLOSING, is_early);
        size_t len = drain(&s, out, sizeof(out));
        if (is_early != 0)
            assert_non_null(memmem(out, len, "554 5.5.0 spoke", 15));
    }
}

/* CORE-1: other openings; CORE-25: what stands for the greeting has no enhanced code either. */
/* The greeting ends with what the owner has to say about this listener. */
static void test_note(void **state)
{
    static struct session s;
    struct session_config config = make_config(SESSION_LMTP);
    char out[600], expected[600];
    (void)state;
    config.note = SLICE_LIT("durability=none");
    session_init(&s, &config, 0);
    size_t len = drain(&s, out, sizeof(out));
    int wanted = snprintf(expected, sizeof(expected), "220 %.*s LMTP durability=none\r\n",
                          (int)config.hostname.len, (const char *)config.hostname.ptr);
    assert_true(slice_eq(slice_of(out, len), slice_of(expected, (size_t)wanted)));
}

static void test_refuse(void **state)
{
    static const struct {
        enum status st;
        const char *line;
    } rows[] = {
        {STATUS_TOO_MANY_CONNS, "421 too many connections\r\n"},
        {STATUS_SHUTTING_DOWN, "421 shutting down, try again later\r\n"},
        {STATUS_NO_SERVICE, "554 no service here\r\n"},
    };
    static struct session s;
    struct session_config config = make_config(SESSION_SMTP);
    struct session_event ev;
    char out[600];
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_COUNT(rows); i++) {
        session_init(&s, &config, 0);
        if (i % 2 == 0)
            session_refuse(&s, ANSWER(rows[i / 2].st));
        else
            session_end_now(&s, ANSWER(rows[i / 2].st)); /* the greeting was not sent yet */
        size_t len = drain(&s, out, sizeof(out));
        assert_true(slice_eq(slice_of(out, len), slice_str(rows[i / 2].line)));
        assert_int_equal(session_feed(&s, SLICE_LIT("EHLO a\r\n"), 0, &ev), 8);
        assert_int_equal(ev.kind, EV_CLOSE);
        assert_true(session_wants_close(&s));
    }
}

/* Every reply counts once, when it is formatted; bad commands are counted whoever asks. */
static void test_counts(void **state)
{
    static struct session s;
    static struct scan scan;
    static uint64_t counts[STATUS_COUNT];
    struct session_config config = make_config(SESSION_SMTP);
    (void)state;
    session_init(&s, &config, 0);
    session_count_replies(&s, counts);
    assert_int_equal(counts[STATUS_GREETING], 0);
    drain(&s, NULL, 0);
    assert_int_equal(counts[STATUS_GREETING], 1);
    static const char *const lines[] = {"EHLO a.example\r\n", "NONSENSE\r\n", "DATA\r\n",
                                        "NOOP\r\n", "QUIT\r\n"};
    for (size_t i = 0; i < ARRAY_COUNT(lines); i++) {
        (void)say(&s, &scan, lines[i]);
        drain(&s, NULL, 0);
    }
    assert_int_equal(counts[STATUS_OK], 2); /* EHLO and NOOP */
    assert_int_equal(counts[STATUS_UNKNOWN_COMMAND], 1);
    assert_int_equal(counts[STATUS_BAD_SEQUENCE], 1);
    assert_int_equal(counts[STATUS_CLOSING], 1);
    assert_int_equal(session_error_count(&s), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_lies),       cmocka_unit_test(test_many_recipients),
        cmocka_unit_test(test_early_content), cmocka_unit_test(test_paced),
        cmocka_unit_test(test_copy),          cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_questions),     cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_note),          cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_counts),
    };
    if (testscan_init() != 0)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
