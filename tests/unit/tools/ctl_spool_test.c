/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_spool_test.c - "posternctl spool" over real spools, beside a running writer and after it:
 * list, show, verify, delete, requeue. Export has a program of its own.
 */
#include "../../support/ctltest.h"
#include "spool/store.h"
#include "base/assert.h"
#include "ctl_spool_call.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static uint64_t add_one(const char *sender, const char *rcpt, enum spool_rcpt_state state,
                        struct slice content)
{
    const struct spool_rcpt rcpts[] = {spoolmaker_rcpt(rcpt, state)};
    struct spool_envelope e = spoolmaker_envelope(rcpts, 1);
    e.reverse_path = slice_str(sender);
    return spoolmaker_add(&ctltest_spool, e, content, 0);
}

#define CONTENT SLICE_LIT("Subject: x\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n")

/* One recipient of each kind, with parameters and odd bytes. */
static uint64_t add_rich(void)
{
    struct spool_rcpt rcpts[] = {
        spoolmaker_rcpt("bob@example.org", SPOOL_RCPT_ACTIVE),
        spoolmaker_rcpt("\"c d\"@example.org", SPOOL_RCPT_HELD),
        spoolmaker_rcpt("gone@example.org", SPOOL_RCPT_ACTIVE),
    };
    rcpts[0].params.notify = PARAM_NOTIFY_SUCCESS | PARAM_NOTIFY_DELAY;
    rcpts[0].params.orcpt = SLICE_LIT("rfc822;bob@example.org");
    rcpts[1].class_name = SLICE_LIT("strict");
    rcpts[2].class_name = SLICE_EMPTY;
    struct spool_envelope e = spoolmaker_envelope(rcpts, 3);
    e.helo = SLICE_LIT("evil\x1b[2J");
    uint64_t queue_id = spoolmaker_add(&ctltest_spool, e, CONTENT, 0);
    spoolmaker_result(&ctltest_spool, queue_id, SPOOL_RESULT_DELETE, 2);
    return queue_id;
}

/* DUP-23 */
static void doubt_is_shown(void **state)
{
    (void)state;
    uint64_t queue_id = add_one("", "bob@example.net", SPOOL_RCPT_ACTIVE, CONTENT);
    assert_int_equal(ctltest_run("list --spool %%S"), 0);
    assert_null(strstr(ctltest_spool.out, "in_doubt"));
    spoolmaker_result(&ctltest_spool, queue_id, SPOOL_RESULT_DOUBT, SPOOL_RCPT_ALL);
    assert_int_equal(ctltest_run("list --spool %%S"), 0);
    assert_non_null(strstr(ctltest_spool.out, " active=1,held=0,in_doubt <> "));
    assert_int_equal(ctltest_run("show --spool %%S %s", ctltest_id(queue_id)), 0);
    assert_non_null(strstr(ctltest_spool.out, "\nreply: in_doubt\n"));
    assert_int_equal(ctltest_run("list --spool %%S --json"), 0);
    assert_non_null(strstr(ctltest_spool.out, "\"in_doubt\":true"));
}

/* Who was waiting and was not taken is none of its recipients, and release does not make him one.
 */
static void waiting_is_shown(void **state)
{
    (void)state;
    const struct spool_rcpt rcpts[] = {
        spoolmaker_rcpt("held@example.org", SPOOL_RCPT_HELD),
        spoolmaker_rcpt("late@example.org", SPOOL_RCPT_WAITING),
    };
    uint64_t queue_id = spoolmaker_add(&ctltest_spool, spoolmaker_envelope(rcpts, 2), CONTENT, 0);
    assert_int_equal(ctltest_run("requeue --spool %%S %s", ctltest_id(queue_id)), 0);
    assert_int_equal(ctltest_run("show --spool %%S %s", ctltest_id(queue_id)), 0);
    assert_non_null(strstr(ctltest_spool.out, "\nrcpts: 2 (1 active, 0 held)\n"));
    assert_non_null(
        strstr(ctltest_spool.out, "\nrcpt: <late@example.org> waiting class=default\n"));
    assert_int_equal(ctltest_run("list --spool %%S"), 0);
    assert_null(strstr(ctltest_spool.out, "late@"));
}

static void list_lines_and_filters(void **state)
{
    (void)state;
    assert_int_equal(ctltest_run("list --spool %%S"), 0);
    assert_string_equal(ctltest_spool.out, "");
    const char *rich = ctltest_id(add_rich());
    const char *held = ctltest_id(add_one("", "held@example.net", SPOOL_RCPT_HELD, CONTENT));
    const struct spool_rcpt rcpts[] = {spoolmaker_rcpt("zoe@example.net", SPOOL_RCPT_ACTIVE)};
    struct spool_envelope e = spoolmaker_envelope(rcpts, 1);
    e.received_at = SPOOLMAKER_TIME + (wall_us)86400 * 1000000;
    e.message_id = SLICE_EMPTY;
    e.reverse_path = SLICE_LIT("Zed@Example.COM");
    const char *late = ctltest_id(spoolmaker_add(&ctltest_spool, e, SLICE_EMPTY, 0));
    uint64_t deleted = add_one("x@example.com", "y@example.org", SPOOL_RCPT_ACTIVE, CONTENT);
    spoolmaker_result(&ctltest_spool, deleted, SPOOL_RESULT_DELETE, SPOOL_RCPT_ALL);
    for (int is_running = 1; is_running >= 0; is_running--) {
        assert_int_equal(ctltest_run("list --spool %%S"), 0);
        ctltest_assert_said(ctltest_spool.out,
                            "%s 2027-01-15T08:00:00Z        50 active=1,held=1 <ann@example.com> "
                            "bob@example.org,\"c\\x20d\"@example.org <1@example.com>\n"
                            "%s 2027-01-15T08:00:00Z        50 active=0,held=1 <> held@example.net "
                            "<1@example.com>\n"
                            "%s 2027-01-16T08:00:00Z         0 active=1,held=0 <Zed@Example.COM> "
                            "zoe@example.net -\n",
                            rich, held, late);
        assert_string_equal(ctltest_spool.err, "");
        if (is_running)
            spoolmaker_stop(&ctltest_spool);
    }
    const struct {
        const char *filter;
        bool has_rich, has_held, has_late;
    } rows[] = {
        {"", true, true, true},
        {"--held", true, true, false},
        {"--message-id <1@example.com>", true, true, false},
        {"--message-id=1@example.com", true, true, false},
        {"--message-id 1@EXAMPLE.com", false, false, false},
        {"--sender ANN@example.com", true, false, false},
        {"--sender <>", false, true, false},
        {"--sender=", false, true, false},
        {"--sender *@example.com", true, false, true},
        {"--rcpt *@example.net", false, true, true},
        {"--rcpt <bob@example.org>", true, false, false},
        {"--rcpt gone@example.org", false, false, false},
        {"--class strict", true, false, false},
        {"--class default", true, true, true},
        {"--class Strict", false, false, false},
        {"--since 2027-01-16", false, false, true},
        {"--until 2027-01-16", true, true, false},
        {"--since 2027-01-15T08:00:01 --until 2027-01-16T08:00:00", false, false, false},
        {"--held --sender <>", false, true, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(ctltest_run("list --ids --spool %%S %s", rows[i].filter), 0);
        ctltest_assert_said(ctltest_spool.out, "%s%s%s%s%s%s", rows[i].has_rich ? rich : "",
                            rows[i].has_rich ? "\n" : "", rows[i].has_held ? held : "",
                            rows[i].has_held ? "\n" : "", rows[i].has_late ? late : "",
                            rows[i].has_late ? "\n" : "");
    }
}

static const char rich_json[] =
    "{\"qid\":\"%s\",\"time\":\"2027-01-15T08:00:00.123456Z\",\"client\":\"192.0.2.1:1234\","
    "\"helo\":\"evil\\u001b[2J\",\"listener\":\"smtp://127.0.0.1:2525\",\"protocol\":\"ESMTP\","
    "\"from\":\"ann@example.com\",\"params\":{\"size\":4321,\"body\":\"8BITMIME\","
    "\"smtputf8\":false,\"ret\":\"HDRS\",\"dialect\":\"prdr\",\"envid\":\"QQ314159\"},"
    "\"message_id\":\"<1@example.com>\",\"size\":50,\"flags\":[\"high\",\"long_line\"],"
    "\"score\":-12.50,\"hash\":\"0123456789abcdeffedcba9876543210\","
    "\"trace\":\"Received: from client.example ([192.0.2.1])\\u000d\\u000a\\u0009"
    "by mx.example\\u000d\\u000a\",\"file\":\"00-00000001.seg\",\"offset\":%llu,"
    "\"active\":1,\"held\":1,\"in_doubt\":false,\"rcpts\":["
    "{\"address\":\"bob@example.org\",\"state\":\"active\",\"class\":\"default\","
    "\"notify\":[\"SUCCESS\",\"DELAY\"],\"orcpt\":\"rfc822;bob@example.org\"},"
    "{\"address\":\"\\\"c d\\\"@example.org\",\"state\":\"held\",\"class\":\"strict\","
    "\"notify\":[],\"orcpt\":null},"
    "{\"address\":\"gone@example.org\",\"state\":\"gone\",\"class\":\"\","
    "\"notify\":[],\"orcpt\":null}]}\n";

static const char rich_text[] =
    "qid: %s\n"
    "time: 2027-01-15T08:00:00.123456Z\n"
    "client: 192.0.2.1:1234\n"
    "helo: evil\\x1b[2J\n"
    "listener: smtp://127.0.0.1:2525\n"
    "protocol: ESMTP\n"
    "from: <ann@example.com> SIZE=4321 BODY=8BITMIME PRDR RET=HDRS ENVID=QQ314159\n"
    "message_id: <1@example.com>\n"
    "size: 50\n"
    "flags: high,long_line\n"
    "score: -12.50\n"
    "hash: 0123456789abcdeffedcba9876543210\n"
    "trace: Received: from client.example ([192.0.2.1]) by mx.example\n"
    "stored: %s/00-00000001.seg:%llu\n"
    "rcpts: 3 (1 active, 1 held)\n"
    "reply: -\n"
    "rcpt: <bob@example.org> active class=default NOTIFY=SUCCESS,DELAY "
    "ORCPT=rfc822;bob@example.org\n"
    "rcpt: <\"c d\"@example.org> held class=strict\n"
    "rcpt: <gone@example.org> gone class=-\n";

/* Where the COMMIT of a message stands. */
static unsigned long long offset_of(uint64_t queue_id)
{
    struct store *store;
    struct store_message m;
    struct store_damage damage;
    char text[256];
    uint32_t idx;
    assert_int_equal(store_open(ctltest_spool.spool, &store, text, sizeof(text)), 0);
    assert_true(store_find(store, queue_id, &idx));
    assert_int_equal(store_load(store, idx, &m, &damage), 0);
    unsigned long long offset = m.offset;
    assert_true(offset >= 4096);
    store_message_free(&m);
    store_close(store);
    return offset;
}

static void show_everything(void **state)
{
    (void)state;
    char text[4096];
    uint64_t queue_id = add_rich();
    const char *rich = ctltest_id(queue_id);
    snprintf(text, sizeof(text), rich_text, rich, ctltest_spool.spool, offset_of(queue_id));
    assert_int_equal(ctltest_run("show --spool %%S %s", rich), 0);
    assert_string_equal(ctltest_spool.out, text);
    assert_int_equal(ctltest_run("show --spool %%S %s --header", rich), 0);
    ctltest_assert_said(ctltest_spool.out,
                        "%s\nReceived: from client.example ([192.0.2.1])\n\tby mx.example\n"
                        "Subject: x\nMessage-ID: <1@example.com>\n",
                        text);
    assert_int_equal(ctltest_run("show --spool %%S %s --content", rich), 0);
    ctltest_assert_said(ctltest_spool.out,
                        "%s\nReceived: from client.example ([192.0.2.1])\n\tby mx.example\n"
                        "Subject: x\nMessage-ID: <1@example.com>\n\nHello\n",
                        text);
    assert_int_equal(ctltest_run("show --spool %%S %s --raw", rich), 0);
    ctltest_assert_said(ctltest_spool.out,
                        "Return-Path: <ann@example.com>\r\n"
                        "Received: from client.example ([192.0.2.1])\r\n\tby mx.example\r\n"
                        "Subject: x\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n");
    snprintf(text, sizeof(text), rich_json, rich, offset_of(queue_id));
    assert_int_equal(ctltest_run("show --spool %%S %s --json", rich), 0);
    assert_string_equal(ctltest_spool.out, text);
    assert_int_equal(ctltest_run("list --spool %%S --json"), 0);
    assert_string_equal(ctltest_spool.out, text);
    assert_string_equal(ctltest_spool.err, "");
}

static void show_odd_content(void **state)
{
    (void)state;
    static const struct {
        struct slice content;
        const char *header, *whole;
    } rows[] = {
        {SLICE_INIT(""), "", ""},
        {SLICE_INIT("no header end"), "no header end\n", "no header end\n"},
        {SLICE_INIT("\r\nbody"), "", "\nbody\n"},
        {SLICE_INIT("A: \x1b]0;x\x07\r\n\r\n\0\xff\x80\r\n.\r\nFrom x\r\n"), "A: \\x1b]0;x\\x07\n",
         "A: \\x1b]0;x\\x07\n\n\\x00\\xff\\x80\n.\nFrom x\n"},
        {SLICE_INIT("A: b\rc\r\r\n\r\nx"), "A: b\\x0dc\\x0d\n", "A: b\\x0dc\\x0d\n\nx\n"},
    };
    static const char trace[] = "\nReceived: from client.example ([192.0.2.1])\n\tby mx.example\n";
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (size_t piece = 0; piece <= 3; piece++) {
            const char *q = ctltest_id(ctltest_add(rows[i].content, piece));
            assert_int_equal(ctltest_run("show --spool %%S %s --header", q), 0);
            const char *at = strstr(ctltest_spool.out, trace);
            assert_non_null(at);
            assert_string_equal(at + strlen(trace), rows[i].header);
            assert_int_equal(ctltest_run("show --spool %%S %s --content", q), 0);
            at = strstr(ctltest_spool.out, trace);
            assert_non_null(at);
            assert_string_equal(at + strlen(trace), rows[i].whole);
        }
    }
}

static void show_many_and_unknown(void **state)
{
    (void)state;
    uint64_t one = add_one("a@example.com", "b@example.org", SPOOL_RCPT_ACTIVE, CONTENT);
    uint64_t two = add_one("c@example.com", "d@example.org", SPOOL_RCPT_ACTIVE, CONTENT);
    assert_int_equal(ctltest_run("show --spool %%S %s %s %s bad\x1b", ctltest_id(two),
                                 ctltest_id(two + 1), ctltest_id(one)),
                     1);
    const char *first = strstr(ctltest_spool.out, ctltest_id(two));
    const char *second = strstr(ctltest_spool.out, ctltest_id(one));
    assert_true(first == ctltest_spool.out + 5 && second > first);
    ctltest_assert_said(ctltest_spool.err,
                        "posternctl: %s: no such message\nposternctl: bad\\x1b: not a queue id\n",
                        ctltest_id(two + 1));
    char lower[QUEUE_ID_CHARS + 1];
    queue_id_format(one, lower);
    for (char *c = lower; *c != '\0'; c++)
        *c = (char)ascii_lower((uint8_t)*c);
    assert_int_equal(ctltest_run("show --spool %%S %s", lower), 0);
}

static void thousand_recipients(void **state)
{
    (void)state;
    static struct spool_rcpt rcpts[1000];
    static char addresses[1000][32];
    for (unsigned i = 0; i < ARRAY_COUNT(rcpts); i++) {
        snprintf(addresses[i], sizeof(addresses[i]), "user%u@example.org", i);
        rcpts[i] = spoolmaker_rcpt(addresses[i], i % 2 ? SPOOL_RCPT_HELD : SPOOL_RCPT_ACTIVE);
    }
    uint64_t queue_id =
        spoolmaker_add(&ctltest_spool, spoolmaker_envelope(rcpts, 1000), CONTENT, 0);
    assert_int_equal(ctltest_run("list --spool %%S --rcpt user999@example.org"), 0);
    assert_non_null(
        strstr(ctltest_spool.out, " active=500,held=500 <ann@example.com> user0@example.org,"));
    assert_non_null(strstr(ctltest_spool.out, ",user999@example.org <1@example.com>\n"));
    assert_int_equal(ctltest_run("show --spool %%S %s", ctltest_id(queue_id)), 0);
    assert_non_null(strstr(ctltest_spool.out, "\nrcpts: 1000 (500 active, 500 held)\n"));
    assert_non_null(
        strstr(ctltest_spool.out, "\nrcpt: <user999@example.org> held class=default\n"));
    spoolmaker_result(&ctltest_spool, queue_id, SPOOL_RESULT_DELETE, 999);
    assert_int_equal(ctltest_run("list --spool %%S --ids --rcpt user999@example.org"), 0);
    assert_string_equal(ctltest_spool.out, "");
    assert_int_equal(ctltest_run("requeue --spool %%S %s", ctltest_id(queue_id)), 0);
    assert_int_equal(ctltest_run("list --spool %%S"), 0);
    assert_non_null(strstr(ctltest_spool.out, " active=999,held=0 "));
}

static void verify_finds_damage(void **state)
{
    (void)state;
    assert_int_equal(ctltest_run("verify --spool %%S"), 0);
    assert_non_null(strstr(ctltest_spool.out, ": 0 messages (0 held), 0 bytes of content, "));
    uint64_t good = add_one("a@example.com", "b@example.org", SPOOL_RCPT_HELD, CONTENT);
    uint64_t body = add_one("a@example.com", "b@example.org", SPOOL_RCPT_ACTIVE,
                            SLICE_LIT("damaged body here\r\n"));
    uint64_t commit = add_one("damaged-envelope@example.com", "b@example.org", SPOOL_RCPT_ACTIVE,
                              SLICE_LIT("x\r\n"));
    uint64_t last = add_one("a@example.com", "b@example.org", SPOOL_RCPT_ACTIVE, CONTENT);
    assert_int_equal(ctltest_run("verify --spool %%S"), 0);
    assert_non_null(strstr(ctltest_spool.out, ": 4 messages (1 held), 122 bytes of content, "));
    assert_non_null(strstr(ctltest_spool.out, " records: no damage\n"));
    spoolmaker_stop(&ctltest_spool);
    assert_int_equal(ctltest_run("verify --spool %%S"), 0);

    unsigned long long commit_at = offset_of(commit);
    assert_int_equal(spoolmaker_damage(&ctltest_spool, SLICE_LIT("damaged body")), 1);
    assert_int_equal(spoolmaker_damage(&ctltest_spool, SLICE_LIT("damaged-envelope")), 1);
    assert_int_equal(ctltest_run("verify --spool %%S"), 1);
    char want[256];
    snprintf(want, sizeof(want), "%s: a record is damaged: %s/00-00000001.seg:%llu (",
             ctltest_id(commit), ctltest_spool.spool, commit_at);
    assert_non_null(strstr(ctltest_spool.out, want));
    snprintf(want, sizeof(want),
             "%s: content is missing or damaged: %s/00-00000001.seg:", ctltest_id(body),
             ctltest_spool.spool);
    assert_non_null(strstr(ctltest_spool.out, want));
    assert_non_null(strstr(ctltest_spool.out, ": 3 messages (1 held), "));
    assert_non_null(
        strstr(ctltest_spool.out, ": 2 places damaged, 2 messages known to be affected\n"));
    assert_null(strstr(ctltest_spool.out, ctltest_id(good)));
    assert_null(strstr(ctltest_spool.out, ctltest_id(last)));

    /* The others are there; of the damaged ones is told what is wrong. */
    assert_int_equal(ctltest_run("list --spool %%S --ids"), 0);
    ctltest_assert_said(ctltest_spool.out, "%s\n%s\n%s\n", ctltest_id(good), ctltest_id(body),
                        ctltest_id(last));
    ctltest_assert_said(ctltest_spool.err,
                        "posternctl: %s: is damaged; \"posternctl spool verify\" tells where\n",
                        ctltest_spool.spool);
    assert_int_equal(ctltest_run("show --spool %%S %s --content", ctltest_id(body)), 1);
    assert_non_null(strstr(ctltest_spool.out, "\nrcpts: 1 (1 active, 0 held)\n"));
    assert_null(strstr(ctltest_spool.out, "amaged body"));
    snprintf(want, sizeof(want), "posternctl: %s: content is missing or damaged: %s/",
             ctltest_id(body), ctltest_spool.spool);
    assert_memory_equal(ctltest_spool.err, want, strlen(want));
    /* A damaged message can be deleted; then only the record without a message is left. */
    assert_int_equal(ctltest_run("delete --spool %%S %s", ctltest_id(body)), 0);
    assert_int_equal(ctltest_run("verify --spool %%S"), 1);
    assert_non_null(
        strstr(ctltest_spool.out, ": 1 places damaged, 1 messages known to be affected\n"));
}

static void verify_names_a_segment_without_header(void **state)
{
    (void)state;
    add_one("a@example.com", "b@example.org", SPOOL_RCPT_ACTIVE, CONTENT);
    spoolmaker_stop(&ctltest_spool);
    char path[256];
    snprintf(path, sizeof(path), "%s/00-00000001.seg", ctltest_spool.spool);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "XXXX", 4, 16), 4);
    close(fd);
    assert_int_equal(ctltest_run("verify --spool %%S"), 1);
    char want[256];
    snprintf(want, sizeof(want),
             "the header of the segment is not valid, nothing in it is found: "
             "%s/00-00000001.seg:0 (",
             ctltest_spool.spool);
    assert_memory_equal(ctltest_spool.out, want, strlen(want));
    assert_non_null(strstr(ctltest_spool.out, ": 0 messages (0 held), "));
}

/* Beside a running server: the message goes, and its segment is used again, while it is read. */
static void deleted_meanwhile_is_no_damage(void **state)
{
    (void)state;
    uint64_t other = add_one("a@example.com", "b@example.org", SPOOL_RCPT_ACTIVE, CONTENT);
    uint64_t gone = add_one("a@example.com", "b@example.org", SPOOL_RCPT_ACTIVE,
                            SLICE_LIT("to be recycled\r\n"));
    FILE *out = tmpfile();
    FILE *err = tmpfile();
    const struct ctl streams = {out, err};
    char word[QUEUE_ID_CHARS + 1];
    char *words[] = {word};
    char text[4096] = "";
    queue_id_format(gone, word);
    struct spool_call call = {.ctl = &streams,
                              .verb = "test",
                              .dir = ctltest_spool.spool,
                              .words = words,
                              .word_count = 1};
    assert_int_equal(store_open(ctltest_spool.spool, &call.store, text, sizeof(text)), 0);
    spoolmaker_result(&ctltest_spool, gone, SPOOL_RESULT_DELETE, SPOOL_RCPT_ALL);
    assert_int_equal(spoolmaker_damage(&ctltest_spool, SLICE_LIT("to be recycled")), 1);
    assert_int_equal(spool_verify(&call), EXIT_OK);
    call.is_content = true;
    assert_int_equal(spool_show(&call), EXIT_FAILED);
    store_close(call.store);
    rewind(out);
    assert_true(fread(text, 1, sizeof(text) - 1, out) > 0);
    assert_non_null(strstr(text, ": no damage\n"));
    memset(text, 0, sizeof(text));
    rewind(err);
    assert_true(fread(text, 1, sizeof(text) - 1, err) > 0);
    ctltest_assert_said(text, "posternctl: %s: was deleted meanwhile\n", word);
    fclose(out);
    fclose(err);
    assert_int_equal(ctltest_run("list --spool %%S --ids"), 0);
    ctltest_assert_said(ctltest_spool.out, "%s\n", ctltest_id(other));
}

static void delete_and_requeue(void **state)
{
    (void)state;
    for (int is_running = 1; is_running >= 0; is_running--) {
        uint64_t rich = add_rich();
        uint64_t held = add_one("", "h@example.org", SPOOL_RCPT_HELD, CONTENT);
        uint64_t other = add_one("", "h@example.org", SPOOL_RCPT_HELD, CONTENT);
        uint64_t active = add_one("", "a@example.org", SPOOL_RCPT_ACTIVE, CONTENT);
        if (!is_running)
            spoolmaker_stop(&ctltest_spool);
        assert_int_equal(ctltest_run("requeue --spool %%S %s %s %s %s 0000000000000",
                                     ctltest_id(other), ctltest_id(active),
                                     ctltest_id(active + 1000000), ctltest_id(other)),
                         1);
        assert_string_equal(ctltest_spool.out, "1 messages requeued\n");
        ctltest_assert_said(ctltest_spool.err,
                            "posternctl: %s: no such message\n"
                            "posternctl: 0000000000000: not a queue id\n"
                            "posternctl: %s: has no recipient that is held\n",
                            ctltest_id(active + 1000000), ctltest_id(active));
        assert_int_equal(ctltest_run("list --spool %%S --ids --held"), 0);
        ctltest_assert_said(ctltest_spool.out, "%s\n%s\n", ctltest_id(rich), ctltest_id(held));
        /* A message that is accepted for somebody else too is not lost by the way. */
        assert_int_equal(ctltest_run("delete --spool %%S --all-held"), 1);
        assert_string_equal(ctltest_spool.out, "1 messages deleted\n");
        ctltest_assert_said(
            ctltest_spool.err,
            "posternctl: %s: has an active recipient too, not deleted (name it to delete "
            "it)\n",
            ctltest_id(rich));
        assert_int_equal(ctltest_run("requeue --spool %%S --all-held"), 0);
        assert_string_equal(ctltest_spool.out, "1 messages requeued\n");
        assert_int_equal(ctltest_run("list --spool %%S --ids"), 0);
        ctltest_assert_said(ctltest_spool.out, "%s\n%s\n%s\n", ctltest_id(rich), ctltest_id(other),
                            ctltest_id(active));
        assert_int_equal(ctltest_run("list --spool %%S --held"), 0);
        assert_string_equal(ctltest_spool.out, "");
        assert_int_equal(ctltest_run("delete --spool %%S %s %s %s", ctltest_id(active),
                                     ctltest_id(rich), ctltest_id(other)),
                         0);
        assert_string_equal(ctltest_spool.out, "3 messages deleted\n");
        assert_int_equal(ctltest_run("delete --spool %%S %s", ctltest_id(active)), 1);
        ctltest_assert_said(ctltest_spool.err, "posternctl: %s: no such message\n",
                            ctltest_id(active));
        assert_string_equal(ctltest_spool.out, "0 messages deleted\n");
        assert_int_equal(ctltest_run("list --spool %%S"), 0);
        assert_string_equal(ctltest_spool.out, "");
        if (!is_running)
            continue;
        /* The server learns of it, and after its restart it is still so. */
        spool_dir_keep(ctltest_spool.dir);
        spoolmaker_stop(&ctltest_spool);
        spoolmaker_start(&ctltest_spool);
        assert_int_equal(spool_dir_stats(ctltest_spool.dir)->messages_live, 0);
    }
}

/* Else a server that runs as somebody else could not read what root has asked for. */
static void control_log_belongs_to_the_spools_owner(void **state)
{
    (void)state;
    struct stat st;
    char path[256];
    if (geteuid() != 0)
        skip();
    uint64_t one = add_one("", "a@example.org", SPOOL_RCPT_ACTIVE, CONTENT);
    assert_int_equal(chown(ctltest_spool.spool, 65534, 65533), 0);
    assert_int_equal(ctltest_run("delete --spool %%S %s", ctltest_id(one)), 0);
    snprintf(path, sizeof(path), "%s/control.log", ctltest_spool.spool);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 65534);
    assert_int_equal(st.st_gid, 65533);
}

static void usage_is_status_2(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "what --spool %S",
        "list",
        "list --spool",
        "list --spool %S 0000000000001",
        "list --spool %S --raw",
        "list --spool %S --since yesterday",
        "list --spool %S --until 2027-02-29",
        "list --spool %S --json --ids",
        "show --spool %S",
        "show --spool %S 0000000000001 --json --raw",
        "show --spool %S 0000000000001 0000000000002 --raw",
        "verify --spool %S --json",
        "export --spool %S --all --to %R/x",
        "export --spool %S --all --format tar --to %R/x",
        "export --spool %S --all --format eml",
        "export --spool %S --format eml --to %R/x --all --held",
        "export --spool %S --format eml --to %R/x --all 0000000000001",
        "delete --spool %S",
        "delete --spool %S --all-held 0000000000001",
        "delete --spool %S --all",
        "requeue --spool %S",
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(spoolmaker_ctl(&ctltest_spool, rows[i]), 2);
        assert_string_equal(ctltest_spool.out, "");
        assert_true(ctltest_spool.err_len > 0);
    }
    size_t len;
    assert_null(spoolmaker_read(&ctltest_spool, "x", &len));
}

static void help_fits_a_screen(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "--help",        "help",          "list --help",    "show --help", "verify --help",
        "export --help", "delete --help", "requeue --help", "list -h",
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(spoolmaker_ctl(&ctltest_spool, rows[i]), 0);
        assert_string_equal(ctltest_spool.err, "");
        assert_memory_equal(ctltest_spool.out, "usage: posternctl spool ", 24);
        size_t lines = 0;
        for (char *at = ctltest_spool.out; *at != '\0'; lines++) {
            size_t len = strcspn(at, "\n");
            assert_true(len <= 80);
            at += len + 1;
        }
        assert_in_range(lines, 5, 24);
    }
}

static void missing_spool(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "list --spool %R/none",
        "show --spool %R/none 0000000000001",
        "verify --spool %R/none",
        "export --spool %R/none --format eml --to %R/x --all",
        "delete --spool %R/none 0000000000001",
        "requeue --spool %R/none --all-held",
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(spoolmaker_ctl(&ctltest_spool, rows[i]), 1);
        assert_string_equal(ctltest_spool.out, "");
        ctltest_assert_said(ctltest_spool.err,
                            "posternctl: cannot open %s/none: No such file or directory\n",
                            ctltest_spool.root);
    }
    size_t len;
    assert_null(spoolmaker_read(&ctltest_spool, "x", &len));
}

static void other_directory_is_no_spool(void **state)
{
    (void)state;
    char path[256];
    assert_int_equal(ctltest_run("verify --spool %%R"), 1);
    assert_string_equal(ctltest_spool.out, "");
    ctltest_assert_said(ctltest_spool.err,
                        "posternctl: %s: is no spool (it has no segments and no key)\n",
                        ctltest_spool.root);
    snprintf(path, sizeof(path), "%s/key", ctltest_spool.root); /* as durability none leaves it */
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(ctltest_run("list --spool %%R"), 0);
    assert_string_equal(ctltest_spool.out, "");
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, ctltest_setup, ctltest_teardown)
    const struct CMUnitTest tests[] = {
        ROW(doubt_is_shown),
        ROW(waiting_is_shown),
        ROW(list_lines_and_filters),
        ROW(show_everything),
        ROW(show_odd_content),
        ROW(show_many_and_unknown),
        ROW(thousand_recipients),
        ROW(verify_finds_damage),
        ROW(verify_names_a_segment_without_header),
        ROW(deleted_meanwhile_is_no_damage),
        ROW(delete_and_requeue),
        ROW(control_log_belongs_to_the_spools_owner),
        ROW(usage_is_status_2),
        ROW(help_fits_a_screen),
        ROW(missing_spool),
        ROW(other_directory_is_no_spool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
