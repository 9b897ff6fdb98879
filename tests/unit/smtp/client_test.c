/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_test.c - the client machine against canned servers: who owns what when the conversation is
 * cut after each reply and at each byte (PRDR-29, LMTP-20), the table of PRDR-35, garbage, 3xx,
 * repeats (LMTP-21), timeouts. Replies need no enhanced code (PRDR-3), any code of a class is good
 * (CORE-5).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "smtp/client.h"
#include <stdio.h>

#define RCPTS 3
#define REPLIES_MAX 24

/* Fates as text: D done, R requeue, F fail. */
struct row {
    const char *name;
    enum client_protocol protocol;
    bool wants_prdr;
    enum client_pipelining pipelining;
    uint64_t chunk_bytes;             /* 0: DATA */
    const char *replies[REPLIES_MAX]; /* after EHLO: one whole reply each; the end is a cut */
    const char *fates;
    enum client_error error; /* NONE: the connection is still open */
};

#define S CLIENT_SMTP, false
#define P CLIENT_SMTP, true
#define L CLIENT_LMTP, false
#define ENV CLIENT_PIPELINE_ENVELOPE, 0
#define STEP CLIENT_PIPELINE_NONE, 0
#define FULL CLIENT_PIPELINE_FULL, 5
#define HEAD "250 ok", "250 ok", "250 ok", "250 ok", "354 go"

static const struct row rows[] = {
    /* plain SMTP */
    {"accepted", S, ENV, {HEAD, "250 ok"}, "DDD", CLIENT_ERROR_NONE},
    {"accepted, step by step", S, STEP, {HEAD, "250 ok"}, "DDD", CLIENT_ERROR_NONE},
    {"deferred", S, ENV, {HEAD, "451 no"}, "RRR", CLIENT_ERROR_NONE},
    {"refused", S, ENV, {HEAD, "554 5.6.0 no"}, "FFF", CLIENT_ERROR_NONE},
    {"mixed RCPT",
     S,
     ENV,
     {"250 ok", "550 no", "450 no", "250 ok", "354 go", "250 ok"},
     "FRD",
     CLIENT_ERROR_NONE},
    {"552 to RCPT is 452",
     S,
     ENV,
     {"250 ok", "552 no", "250 ok", "250 ok", "354 go", "250 ok"},
     "RDD",
     CLIENT_ERROR_NONE},
    {"552 to RCPT by its enhanced code",
     S,
     ENV,
     {"250 ok", "552 5.2.3 too big", "552 5.5.3 too many", "250 ok", "354 go", "250 ok"},
     "FRD",
     CLIENT_ERROR_NONE},
    {"MAIL refused, group",
     S,
     ENV,
     {"550 no", "503 no", "503 no", "503 no", "503 no"},
     "FFF",
     CLIENT_ERROR_NONE},
    {"MAIL deferred, steps", S, STEP, {"451 no"}, "RRR", CLIENT_ERROR_NONE},
    {"MAIL refused, yet 354",
     S,
     ENV,
     {"550 no", "503 no", "503 no", "503 no", "354 go", "250 ok"},
     "FFF",
     CLIENT_ERROR_NONE},
    {"all RCPT refused, group",
     S,
     ENV,
     {"250 ok", "550 no", "550 no", "450 no", "554 no", "250 reset"},
     "FFR",
     CLIENT_ERROR_NONE},
    {"all RCPT refused, 354 all the same (CORE-21)",
     S,
     ENV,
     {"250 ok", "550 no", "550 no", "450 no", "354 go", "250 ok"},
     "FFR",
     CLIENT_ERROR_NONE},
    {"all RCPT refused, steps",
     S,
     STEP,
     {"250 ok", "550 no", "550 no", "450 no", "250 reset"},
     "FFR",
     CLIENT_ERROR_NONE},
    {"DATA refused",
     S,
     ENV,
     {"250 ok", "250 ok", "250 ok", "550 no", "452 no", "250 reset"},
     "RRF",
     CLIENT_ERROR_NONE},
    {"any code of its class (CORE-5)",
     S,
     ENV,
     {"259 a", "251 b", "499 c", "556 d", "354 go", "299 e"},
     "DRF",
     CLIENT_ERROR_NONE},
    {"521 to MAIL (CORE-31)", S, STEP, {"521 no mail"}, "FFF", CLIENT_ERROR_NONE},
    {"556 to RCPT (CORE-31)",
     S,
     ENV,
     {"250 ok", "556 5.1.10 null MX", "250 ok", "250 ok", "354 go", "250 ok"},
     "FDD",
     CLIENT_ERROR_NONE},
    {"421 to RCPT", S, ENV, {"250 ok", "250 ok", "421 bye"}, "RRR", CLIENT_ERROR_REFUSED},
    {"421 at the end", S, ENV, {HEAD, "421 bye"}, "RRR", CLIENT_ERROR_REFUSED},
    {"353 to who did not ask (PRDR-40)", S, ENV, {HEAD, "353 x"}, "RRR", CLIENT_ERROR_PROTOCOL},
    {"354 again", S, ENV, {HEAD, "354 x"}, "RRR", CLIENT_ERROR_PROTOCOL},
    {"352 to RCPT", S, ENV, {"250 ok", "352 x"}, "RRR", CLIENT_ERROR_PROTOCOL},
    {"250 to DATA",
     S,
     ENV,
     {"250 ok", "250 ok", "250 ok", "250 ok", "250 x"},
     "RRR",
     CLIENT_ERROR_PROTOCOL},
    {"558 unasked is 5xx for all (EXD-4)",
     S,
     ENV,
     {HEAD, "558-250 a\r\n558 550 b"},
     "FFF",
     CLIENT_ERROR_NONE},
    {"garbage", S, ENV, {HEAD, "abc"}, "RRR", CLIENT_ERROR_PROTOCOL},
    {"codes differ in one reply", S, ENV, {HEAD, "250-a\r\n251 b"}, "RRR", CLIENT_ERROR_PROTOCOL},
    {"bare LF in a reply", S, ENV, {HEAD, "250 a\n250 b"}, "RRR", CLIENT_ERROR_PROTOCOL},
    {"multi-line", S, ENV, {HEAD, "250-a\r\n250-b\r\n250 c"}, "DDD", CLIENT_ERROR_NONE},
    {"bytes after the final (PRDR-38)",
     S,
     ENV,
     {HEAD, "250 ok", "250 what"},
     "DDD",
     CLIENT_ERROR_PROTOCOL},
    {"421 while idle", S, ENV, {HEAD, "250 ok", "421 bye"}, "DDD", CLIENT_ERROR_REFUSED},
    /* PRDR */
    {"single 2xx", P, ENV, {HEAD, "250 ok"}, "DDD", CLIENT_ERROR_NONE},
    {"single 4xx", P, ENV, {HEAD, "450 no"}, "RRR", CLIENT_ERROR_NONE},
    {"single 5xx", P, ENV, {HEAD, "550 no"}, "FFF", CLIENT_ERROR_NONE},
    {"final 2xx (PRDR-35)",
     P,
     ENV,
     {HEAD, "353 x", "250 a", "450 b", "550 c", "250 f"},
     "DRF",
     CLIENT_ERROR_NONE},
    {"final 4xx (PRDR-35)",
     P,
     ENV,
     {HEAD, "353 x", "250 a", "450 b", "550 c", "450 f"},
     "RRF",
     CLIENT_ERROR_NONE},
    {"final 5xx (PRDR-35)",
     P,
     ENV,
     {HEAD, "353 x", "250 a", "450 b", "550 c", "554 f"},
     "FFF",
     CLIENT_ERROR_NONE},
    {"final 2xx with nobody in it",
     P,
     ENV,
     {HEAD, "353 x", "450 a", "450 b", "550 c", "250 some"},
     "RRF",
     CLIENT_ERROR_NONE},
    {"multi-line individual (PRDR-19)",
     P,
     ENV,
     {HEAD, "353-x\r\n353 y", "250 a", "550-b\r\n550 b", "250 c", "250 f"},
     "DFD",
     CLIENT_ERROR_NONE},
    {"refused RCPT has no line (PRDR-18)",
     P,
     ENV,
     {"250 ok", "250 ok", "550 no", "250 ok", "354 go", "353 x", "250 a", "450 c", "250 f"},
     "DFR",
     CLIENT_ERROR_NONE},
    {"block of one (PRDR-15)",
     P,
     ENV,
     {"250 ok", "550 no", "550 no", "250 ok", "354 go", "353 x", "250 c", "250 f"},
     "FFD",
     CLIENT_ERROR_NONE},
    {"opener 354 (PRDR-34)", P, ENV, {HEAD, "354 x"}, "RRR", CLIENT_ERROR_PROTOCOL},
    {"opener 299", P, ENV, {HEAD, "299 x"}, "DDD", CLIENT_ERROR_NONE},
    {"opener abc", P, ENV, {HEAD, "abc"}, "RRR", CLIENT_ERROR_PROTOCOL},
    {"individual 3xx (PRDR-38)",
     P,
     ENV,
     {HEAD, "353 x", "550 a", "353 b"},
     "RRR",
     CLIENT_ERROR_PROTOCOL},
    {"individual 421", P, ENV, {HEAD, "353 x", "550 a", "421 b"}, "RRR", CLIENT_ERROR_REFUSED},
    {"final 421",
     P,
     ENV,
     {HEAD, "353 x", "250 a", "451 b", "451 c", "421 f"},
     "RRR",
     CLIENT_ERROR_REFUSED},
    {"one line too many (PRDR-38)",
     P,
     ENV,
     {HEAD, "353 x", "250 a", "250 b", "250 c", "250 f", "250 g"},
     "DDD",
     CLIENT_ERROR_PROTOCOL},
    /* LMTP */
    {"each his own (LMTP-19)", L, ENV, {HEAD, "250 a", "451 b", "550 c"}, "DRF", CLIENT_ERROR_NONE},
    {"multi-line is one (LMTP-7)",
     L,
     ENV,
     {HEAD, "250-a\r\n250 a", "550 b", "250 c"},
     "DFD",
     CLIENT_ERROR_NONE},
    {"3xx in the block (LMTP-25)", L, ENV, {HEAD, "250 a", "353 b"}, "DRR", CLIENT_ERROR_PROTOCOL},
    {"421 in the block", L, ENV, {HEAD, "250 a", "421 b"}, "DRR", CLIENT_ERROR_REFUSED},
    {"DATA refused is one reply (LMTP-15)",
     L,
     ENV,
     {"250 ok", "250 ok", "250 ok", "250 ok", "550 no", "250 reset"},
     "FFF",
     CLIENT_ERROR_NONE},
    {"354 with nobody (LMTP-6)",
     L,
     ENV,
     {"250 ok", "550 a", "550 b", "550 c", "354 go"},
     "FFF",
     CLIENT_ERROR_PROTOCOL},
    /* BDAT, 12 octets in chunks of 5 */
    {"chunks",
     S,
     FULL,
     {"250 ok", "250 ok", "250 ok", "250 ok", "250 5", "250 5", "250 ok"},
     "DDD",
     CLIENT_ERROR_NONE},
    {"chunk refused, all were sent",
     S,
     FULL,
     {"250 ok", "250 ok", "250 ok", "250 ok", "452 no", "503 no", "503 no", "250 reset"},
     "RRR",
     CLIENT_ERROR_NONE},
    {"chunks to nobody",
     S,
     FULL,
     {"250 ok", "550 no", "550 no", "550 no", "503 no", "503 no", "503 no", "250 reset"},
     "FFF",
     CLIENT_ERROR_NONE},
    {"chunks in a block",
     P,
     FULL,
     {"250 ok", "250 ok", "250 ok", "250 ok", "250 5", "250 5", "353 x", "250 a", "550 b", "250 c",
      "250 f"},
     "DFD",
     CLIENT_ERROR_NONE},
    {"353 to a chunk",
     P,
     FULL,
     {"250 ok", "250 ok", "250 ok", "250 ok", "353 x"},
     "RRR",
     CLIENT_ERROR_PROTOCOL},
    {"chunks on LMTP",
     L,
     FULL,
     {"250 ok", "250 ok", "250 ok", "250 ok", "250 5", "250 5", "250 a", "550 b", "250 c"},
     "DFD",
     CLIENT_ERROR_NONE},
    {"nobody on LMTP: no BDAT is sent (LMTP-17)",
     L,
     FULL,
     {"250 ok", "550 a", "450 b", "550 c", "250 reset"},
     "FRF",
     CLIENT_ERROR_NONE},
    {"chunk refused on LMTP: LAST is not sent (LMTP-16)",
     L,
     FULL,
     {"250 ok", "250 ok", "250 ok", "250 ok", "250 5", "452 no", "250 reset"},
     "RRR",
     CLIENT_ERROR_NONE},
};

struct rig {
    struct client client;
    struct client_config config;
    struct client_message message;
    struct client_rcpt rcpts[RCPTS];
    struct client_result results[RCPTS];
    struct slice content[2];
    char sent[8192];
    size_t sent_len;
    uint8_t held[1200]; /* heard and not consumed: part of a line */
    size_t held_len;
    char settled[RCPTS + 1]; /* recipients in the order in which replies settled them */
    bool is_ready;
    bool is_done;
    bool is_closed;
    enum client_error error;
};

static void send_all(struct rig *r)
{
    uint8_t memory[3 * CLIENT_COMMAND_BYTES_MAX];
    struct slices parts;
    bool has_more;
    do {
        struct buf scratch = buf_over(memory, sizeof(memory));
        has_more = client_output(&r->client, 0, &scratch, &parts);
        for (uint32_t i = 0; i < parts.count; i++) {
            assert_true(r->sent_len + parts.at[i].len < sizeof(r->sent));
            memcpy(r->sent + r->sent_len, parts.at[i].ptr, parts.at[i].len);
            r->sent_len += parts.at[i].len;
        }
    } while (has_more);
    r->sent[r->sent_len] = '\0';
}

static void note_settled(struct rig *r, const struct client_event *ev)
{
    size_t len = strlen(r->settled);
    assert_true(ev->rcpt_idx < RCPTS && len < RCPTS);
    r->settled[len] = (char)('0' + ev->rcpt_idx);
}

/* Any bytes; part of a line stays for the next time. */
static void hear(struct rig *r, struct slice more)
{
    struct client_event ev;
    assert_true(r->held_len + more.len <= sizeof(r->held));
    if (more.len > 0)
        memcpy(r->held + r->held_len, more.ptr, more.len);
    struct slice in = slice_of(r->held, r->held_len + more.len);
    for (;;) {
        size_t used = client_feed(&r->client, in, 0, &ev);
        assert_true(used <= in.len);
        in = slice_from(in, used);
        if (ev.kind == CLIENT_EV_REPLY && ev.is_settled)
            note_settled(r, &ev);
        if (ev.kind == CLIENT_EV_READY)
            r->is_ready = true;
        if (ev.kind == CLIENT_EV_DONE) {
            assert_false(r->is_done);
            r->is_done = true;
        }
        if (ev.kind == CLIENT_EV_CLOSED) {
            r->is_closed = true;
            r->error = ev.error;
        }
        if (ev.kind == CLIENT_EV_MORE)
            break;
    }
    memmove(r->held, in.ptr, in.len);
    r->held_len = in.len;
}

static void reply(struct rig *r, const char *text)
{
    char line[1200];
    int len = snprintf(line, sizeof(line), "%s\r\n", text);
    hear(r, slice_of(line, (size_t)len));
    assert_int_equal(r->held_len, 0);
    send_all(r);
    if (client_has_event(&r->client))
        hear(r, SLICE_EMPTY);
}

/* The first @max bytes of a reply, one at a time. */
static void reply_bytewise(struct rig *r, const char *text, size_t max)
{
    char line[1200];
    int len = snprintf(line, sizeof(line), "%s\r\n", text);
    for (size_t i = 0; i < size_min((size_t)len, max); i++) {
        hear(r, slice_of(line + i, 1));
        send_all(r);
        if (client_has_event(&r->client))
            hear(r, SLICE_EMPTY);
    }
}

static void begin_with(struct rig *r, const struct row *row, const char *hello, uint32_t rcpt_count)
{
    memset(r, 0, sizeof(*r));
    r->config = (struct client_config){
        .protocol = row->protocol,
        .pipelining = row->pipelining,
        .hostname = SLICE_LIT("out.example"),
        .wants_prdr = row->wants_prdr,
        .wants_chunking = row->chunk_bytes > 0,
        .chunk_bytes = row->chunk_bytes,
    };
    for (int i = 0; i < RCPTS; i++)
        r->rcpts[i].address = SLICE_LIT("same@mx.example"); /* LMTP-21: by position, not by name */
    r->content[0] = SLICE_LIT("x\r\n.y");
    r->content[1] = SLICE_LIT("\r\nz12\r\n");
    r->message = (struct client_message){
        .sender = SLICE_LIT("a@a.example"),
        .rcpts = r->rcpts,
        .rcpt_count = rcpt_count,
        .content = r->content,
        .content_count = 2,
    };
    client_init(&r->client, &r->config, 0);
    reply(r, "220 mx ESMTP");
    reply(r, hello);
    assert_true(r->is_ready);
    r->is_ready = false;
    r->sent_len = 0;
    client_begin(&r->client, &r->message, r->results, 0);
    send_all(r);
}

static void begin(struct rig *r, const struct row *row)
{
    begin_with(r, row,
               "250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-CHUNKING\r\n"
               "250-ENHANCEDSTATUSCODES\r\n250 PRDR",
               RCPTS);
}

static char letter(const struct client_result *result)
{
    switch (result->fate) {
    case CLIENT_FATE_DONE:
        return 'D';
    case CLIENT_FATE_REQUEUE:
        return 'R';
    case CLIENT_FATE_FAIL:
        return 'F';
    case CLIENT_FATE_OPEN:
        break;
    }
    return '-';
}

static void check_fates(const struct rig *r, const struct row *row, const char *expected)
{
    for (int i = 0; i < RCPTS; i++)
        if (letter(&r->results[i]) != expected[i])
            fail_msg("%s: recipient %d: expected %c, got %c", row->name, i, expected[i],
                     letter(&r->results[i]));
}

/* PRDR-37: what was refused for now is requeued, and only that. */
static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rig r;
        begin(&r, &rows[i]);
        for (int n = 0; rows[i].replies[n] != NULL; n++)
            reply(&r, rows[i].replies[n]);
        if (!r.is_done)
            fail_msg("%s: not done", rows[i].name);
        check_fates(&r, &rows[i], rows[i].fates);
        if (r.is_closed != (rows[i].error != CLIENT_ERROR_NONE) || r.error != rows[i].error)
            fail_msg("%s: error %d", rows[i].name, (int)r.error);
        assert_int_equal(r.is_ready, rows[i].error == CLIENT_ERROR_NONE ||
                                         strstr(rows[i].name, "after the final") != NULL ||
                                         strstr(rows[i].name, "too many") != NULL ||
                                         strstr(rows[i].name, "idle") != NULL);
    }
}

/*
 * The same rows, cut after each reply: a fate that was settled stays, one that was not is requeued,
 * and nothing on PRDR or SMTP is settled by a reply after the content but the last (PRDR-29).
 */
static void test_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        int total = 0;
        while (row->replies[total] != NULL)
            total++;
        for (int cut = 0; cut < total; cut++) {
            struct rig r;
            char expected[RCPTS + 1] = "RRR";
            begin(&r, row);
            for (int n = 0; n < cut; n++)
                reply(&r, row->replies[n]);
            for (int n = 0; n < RCPTS; n++)
                if (r.results[n].fate != CLIENT_FATE_OPEN)
                    expected[n] = letter(&r.results[n]);
            bool was_done = r.is_done;
            client_lost(&r.client, CLIENT_ERROR_LOST);
            hear(&r, SLICE_EMPTY);
            assert_true(r.is_done && r.is_closed);
            check_fates(&r, row, expected);
            for (int n = 0; n < RCPTS && !was_done; n++)
                if (row->protocol != CLIENT_LMTP)
                    assert_int_not_equal(r.results[n].fate, CLIENT_FATE_DONE);
        }
    }
}

/* Each row byte by byte ends as it does whole. */
static void test_bytewise(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rig r;
        begin(&r, &rows[i]);
        for (int n = 0; rows[i].replies[n] != NULL; n++)
            reply_bytewise(&r, rows[i].replies[n], SIZE_MAX);
        assert_true(r.is_done);
        check_fates(&r, &rows[i], rows[i].fates);
        assert_int_equal(r.error, rows[i].error);
    }
}

/*
 * Each row cut at each byte: part of a reply is worth nothing, so the outcome is that of the whole
 * replies before it (PRDR-29, PRDR-35, LMTP-20).
 */
static void test_byte_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct row *row = &rows[i];
        for (int cut = 0; row->replies[cut] != NULL; cut++) {
            size_t len = strlen(row->replies[cut]) + 2;
            for (size_t part = 0; part < len; part++) {
                struct rig r;
                char expected[RCPTS + 1] = "RRR";
                begin(&r, row);
                for (int n = 0; n < cut; n++)
                    reply(&r, row->replies[n]);
                for (int n = 0; n < RCPTS; n++)
                    if (r.results[n].fate != CLIENT_FATE_OPEN)
                        expected[n] = letter(&r.results[n]);
                reply_bytewise(&r, row->replies[cut], part);
                client_lost(&r.client, CLIENT_ERROR_LOST);
                hear(&r, SLICE_EMPTY);
                assert_true(r.is_done && r.is_closed);
                check_fates(&r, row, expected);
            }
        }
    }
}

/* LMTP-19, LMTP-23: each reply on LMTP settles its recipient at once; PRDR-29: none does before the
 * final one. */
static void test_settled(void **state)
{
    static const struct row lmtp = {"", L, ENV, {HEAD, "250 a", "450 b", "550 c"}, "", 0};
    static const struct row prdr = {"", P, ENV, {HEAD, "353 x", "250 a", "550 b", "450 c", "250 f"},
                                    "", 0};
    struct rig r;
    (void)state;
    begin(&r, &lmtp);
    for (int n = 0; n < 5; n++)
        reply(&r, lmtp.replies[n]);
    for (size_t n = 0; n < RCPTS; n++) {
        assert_int_equal(strlen(r.settled), n);
        reply(&r, lmtp.replies[5 + n]);
    }
    assert_string_equal(r.settled, "012");
    assert_true(r.is_done);
    begin(&r, &prdr);
    for (int n = 0; n < 9; n++) {
        reply(&r, prdr.replies[n]);
        for (int i = 0; i < RCPTS; i++)
            assert_int_equal(r.results[i].fate, CLIENT_FATE_OPEN);
    }
    assert_string_equal(r.settled, "");
    reply(&r, prdr.replies[9]);
    check_fates(&r, &prdr, "DFR");
}

/* PRDR-35, PRDR-36: whose text a notice would carry: the final reply's or the recipient's own. */
static void test_block_codes(void **state)
{
    static const struct {
        const char *final;
        uint16_t codes[RCPTS];
        uint16_t details[RCPTS];
    } cases[] = {
        {"250 2.0.9 f", {250, 452, 550}, {9, 2, 3}},
        {"450 4.0.9 f", {450, 450, 550}, {9, 9, 3}},
        {"554 5.0.9 f", {554, 554, 554}, {9, 9, 9}},
    };
    static const uint16_t own[RCPTS] = {250, 452, 550};
    static const struct row prdr = {
        "", P, ENV, {HEAD, "353 x", "250 2.0.1 a", "452 4.0.2 b", "550 5.0.3 c"}, "", 0};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct rig r;
        begin(&r, &prdr);
        for (int n = 0; prdr.replies[n] != NULL; n++)
            reply(&r, prdr.replies[n]);
        reply(&r, cases[i].final);
        for (int n = 0; n < RCPTS; n++) {
            assert_int_equal(r.results[n].code, cases[i].codes[n]);
            assert_int_equal(r.results[n].enhanced[2], cases[i].details[n]);
            assert_int_equal(r.results[n].individual_code, own[n]);
            assert_int_equal(r.results[n].individual_enhanced[2], n + 1);
            assert_int_equal(r.results[n].phase, CLIENT_PHASE_DONE);
        }
    }
}

/* PRDR-2, PRDR-39: asked for only where this EHLO offered it, for two recipients or more. */
static void test_prdr_asked(void **state)
{
    static const struct row prdr = {"", P, ENV, {NULL}, "", 0};
    static const struct row full = {"", P, CLIENT_PIPELINE_FULL, 0, {HEAD, "250 ok"}, "", 0};
    struct rig r;
    (void)state;
    begin_with(&r, &prdr, "250-mx\r\n250 prdr", 2);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example> PRDR\r\n");
    begin_with(&r, &prdr, "250-mx\r\n250 prdr", 1);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example>\r\n");
    begin_with(&r, &prdr, "250-mx\r\n250 PRDRX", 2);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example>\r\n");
    begin_with(&r, &prdr, "250-PRDR\r\n250 8BITMIME", 2); /* the first line is the name */
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example>\r\n");
    begin_with(&r, &prdr, "250 PRDR", 2);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example>\r\n");
    /* CORE-21, CORE-48: without PIPELINING each command waits, and QUIT for the last reply. */
    begin_with(&r, &full, "250-mx\r\n250 PRDR", RCPTS);
    client_quit(&r.client);
    for (int n = 0; n < 5; n++) {
        assert_int_equal(r.sent[r.sent_len - 1], '\n');
        r.sent_len = 0;
        reply(&r, full.replies[n]);
        static const char *const next[] = {"RCPT", "RCPT", "RCPT", "DATA", "x\r\n."};
        assert_memory_equal(r.sent, next[n], 4);
    }
    assert_string_equal(r.sent, "x\r\n..y\r\nz12\r\n.\r\n");
    r.sent_len = 0;
    reply(&r, "250 ok");
    assert_string_equal(r.sent, "QUIT\r\n");
}

/* LMTP-20: cut after k of n: k done, n-k requeued. PRDR-29: cut anywhere: all requeued. */
static void test_cut_counts(void **state)
{
    static const struct row lmtp = {"", L, ENV, {HEAD, "250 a", "250 b", "250 c"}, "", 0};
    static const struct row prdr = {"", P, ENV, {HEAD, "353 x", "250 a", "550 b", "250 c", "250 f"},
                                    "", 0};
    (void)state;
    for (int k = 0; k <= 3; k++) {
        struct rig r;
        begin(&r, &lmtp);
        for (int n = 0; n < 5 + k; n++)
            reply(&r, lmtp.replies[n]);
        client_lost(&r.client, CLIENT_ERROR_TIMEOUT);
        hear(&r, SLICE_EMPTY);
        for (int n = 0; n < RCPTS; n++)
            assert_int_equal(letter(&r.results[n]), n < k ? 'D' : 'R');
    }
    for (int k = 0; k <= 5; k++) {
        struct rig r;
        begin(&r, &prdr);
        for (int n = 0; n < 5 + k; n++)
            reply(&r, prdr.replies[n]);
        client_lost(&r.client, CLIENT_ERROR_LOST);
        hear(&r, SLICE_EMPTY);
        check_fates(&r, &prdr, k == 5 ? "DFD" : "RRR");
    }
}

/* What is sent, exactly. */
static void test_bytes(void **state)
{
    static const struct row data = {"", P, ENV, {HEAD, "250 ok"}, "", 0};
    static const struct row steps = {"", S, STEP, {HEAD, "250 ok"}, "", 0};
    static const struct row chunks = {"", S, FULL, {NULL}, "", 0};
    struct rig r;
    (void)state;
    begin(&r, &data);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example> SIZE=12 PRDR\r\n"
                                "RCPT TO:<same@mx.example>\r\n"
                                "RCPT TO:<same@mx.example>\r\n"
                                "RCPT TO:<same@mx.example>\r\n"
                                "DATA\r\n");
    r.sent_len = 0;
    for (int n = 0; n < 5; n++)
        reply(&r, data.replies[n]);
    assert_string_equal(r.sent, "x\r\n..y\r\nz12\r\n.\r\n");
    begin(&r, &steps);
    assert_string_equal(r.sent, "MAIL FROM:<a@a.example> SIZE=12\r\n");
    r.sent_len = 0;
    reply(&r, "250 ok");
    assert_string_equal(r.sent, "RCPT TO:<same@mx.example>\r\n");
    begin(&r, &chunks);
    assert_non_null(strstr(r.sent, "BDAT 5\r\nx\r\n.yBDAT 5\r\n\r\nz12BDAT 2 LAST\r\n\r\n"));
    static const struct row nobody = {"", L, FULL, {"250 ok", "550 a", "450 b", "550 c"}, "", 0};
    begin(&r, &nobody); /* LMTP-17 */
    for (int n = 0; n < 4; n++)
        reply(&r, nobody.replies[n]);
    assert_null(strstr(r.sent, "BDAT"));
    assert_non_null(strstr(r.sent, "RSET"));
    begin(&r, &chunks);
    /* PRDR-33, CORE-48: QUIT behind the content only where it was asked for and is allowed. */
    client_quit(&r.client);
    send_all(&r);
    assert_null(strstr(r.sent, "QUIT"));
    struct row full = data;
    full.pipelining = CLIENT_PIPELINE_FULL;
    begin(&r, &full);
    client_quit(&r.client);
    r.sent_len = 0;
    for (int n = 0; n < 5; n++)
        reply(&r, data.replies[n]);
    assert_string_equal(r.sent, "x\r\n..y\r\nz12\r\n.\r\nQUIT\r\n");
    reply(&r, "250 ok");
    assert_true(r.is_done && !r.is_closed);
    reply(&r, "221 bye");
    assert_true(r.is_closed);
    assert_int_equal(r.error, CLIENT_ERROR_NONE);
}

static void test_hello(void **state)
{
    struct client_config config = {.hostname = SLICE_LIT("a.example")};
    struct rig r;
    (void)state;
    memset(&r, 0, sizeof(r));
    client_init(&r.client, &config, 0); /* EHLO refused: HELO */
    reply(&r, "220 x");
    reply(&r, "502 no");
    assert_string_equal(r.sent, "EHLO a.example\r\nHELO a.example\r\n");
    reply(&r, "250 x");
    assert_true(r.is_ready);
    assert_int_equal(r.client.caps.offers, 0);
    static const char *const refusals[] = {"554 no", "521 no", "421 no", "250 what"};
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) { /* CORE-1, CORE-31 */
        memset(&r, 0, sizeof(r));
        client_init(&r.client, &config, 0);
        reply(&r, refusals[i]);
        assert_true(r.is_closed && r.error == CLIENT_ERROR_REFUSED);
        assert_int_equal(r.sent_len, 0);
    }
    config.protocol = CLIENT_LMTP; /* LHLO refused: nothing else to try */
    memset(&r, 0, sizeof(r));
    client_init(&r.client, &config, 0);
    reply(&r, "220 x");
    reply(&r, "500 no");
    assert_string_equal(r.sent, "LHLO a.example\r\n");
    assert_true(r.is_closed);
}

/* What the server cannot take is not tried: CORE-27, CORE-23, RFC 1870 6.1. */
static void test_local(void **state)
{
    static const struct row plain = {"", S, ENV, {NULL}, "", 0};
    static uint8_t big[1001];
    (void)state;
    for (int what = 0; what < 3; what++) {
        struct rig r;
        begin(&r, &plain);
        for (int n = 0; n < 6; n++)
            reply(&r, rows[0].replies[n]);
        assert_true(client_is_ready(&r.client));
        r.is_done = false;
        r.sent_len = 0;
        r.message.params.smtputf8 = what == 0;
        r.message.params.body = what == 1 ? PARAM_BODY_BINARYMIME : PARAM_BODY_7BIT;
        if (what == 2)
            r.content[0] = slice_of(big, sizeof(big));
        client_begin(&r.client, &r.message, r.results, 0);
        assert_true(client_has_event(&r.client));
        send_all(&r);
        hear(&r, SLICE_EMPTY);
        assert_true(r.is_done);
        assert_int_equal(r.sent_len, 0);
        check_fates(&r, &plain, "FFF");
        assert_int_equal(r.results[0].code, what == 0 ? 553 : what == 1 ? 554 : 552);
    }
}

/* CORE-47: content with a bare LF is never ended. */
static void test_bad_content(void **state)
{
    static const struct row plain = {"", S, ENV, {HEAD}, "", 0};
    struct rig r;
    (void)state;
    begin(&r, &plain);
    r.content[1] = SLICE_LIT("\n.\r\nMAI");
    for (int n = 0; n < 5; n++)
        reply(&r, plain.replies[n]);
    assert_true(r.is_closed);
    assert_int_equal(r.error, CLIENT_ERROR_CONTENT);
    assert_null(strstr(r.sent, "\n.\r\n"));
    check_fates(&r, &plain, "RRR");
}

/* LMTP-22, PRDR-28: a fresh timer for each reply; which one by phase. */
static void test_deadlines(void **state)
{
    static const struct row prdr = {"", P, ENV, {HEAD, "353 x", "250 a"}, "", 0};
    static const enum client_phase phases[] = {
        CLIENT_PHASE_MAIL, CLIENT_PHASE_RCPT,    CLIENT_PHASE_RCPT, CLIENT_PHASE_RCPT,
        CLIENT_PHASE_DATA, CLIENT_PHASE_CONTENT, CLIENT_PHASE_DONE, CLIENT_PHASE_DONE,
    };
    struct rig r;
    (void)state;
    begin(&r, &prdr);
    for (int n = 0; prdr.replies[n] != NULL; n++) {
        clock_ns now = 1000 * NS_PER_S * (clock_ns)(n + 1);
        struct client_event ev;
        char line[64];
        assert_int_equal(client_phase(&r.client), n == 5 ? CLIENT_PHASE_DONE : phases[n]);
        int len = snprintf(line, sizeof(line), "%s\r\n", prdr.replies[n]);
        assert_int_equal(client_feed(&r.client, slice_of(line, (size_t)len), now, &ev), len);
        assert_int_equal(ev.kind, CLIENT_EV_REPLY);
        clock_ns timeout = client_phase_timeout(client_phase(&r.client));
        if (n >= 5) /* PRDR sheet section 9: 9 minutes between two replies are survived */
            assert_true(client_deadline(&r.client) > now + 540 * NS_PER_S);
        assert_true(client_deadline(&r.client) == now + timeout);
        if (n == 4) {
            assert_int_equal(client_phase(&r.client), CLIENT_PHASE_CONTENT);
            send_all(&r);
        }
    }
    static const struct {
        enum client_phase phase;
        clock_ns seconds;
    } least[] = {
        {CLIENT_PHASE_GREETING, 300}, {CLIENT_PHASE_MAIL, 300},    {CLIENT_PHASE_RCPT, 300},
        {CLIENT_PHASE_DATA, 120},     {CLIENT_PHASE_CONTENT, 180}, {CLIENT_PHASE_DONE, 600},
    };
    for (size_t i = 0; i < ARRAY_COUNT(least); i++) /* CORE table B */
        assert_true(client_phase_timeout(least[i].phase) >= least[i].seconds * NS_PER_S);
    client_lost(&r.client, CLIENT_ERROR_TIMEOUT);
    assert_true(client_deadline(&r.client) == CLOCK_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_bytewise),   cmocka_unit_test(test_byte_cuts),
        cmocka_unit_test(test_settled),    cmocka_unit_test(test_block_codes),
        cmocka_unit_test(test_prdr_asked), cmocka_unit_test(test_cut_counts),
        cmocka_unit_test(test_bytes),      cmocka_unit_test(test_hello),
        cmocka_unit_test(test_local),      cmocka_unit_test(test_bad_content),
        cmocka_unit_test(test_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
