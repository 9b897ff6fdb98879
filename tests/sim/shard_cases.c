/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard_cases.c - a whole shard on the simulated ring: one scenario after another.
 *
 * What random clients would seldom do: bad input of every kind, limits, deadlines, scarce buffers,
 * a store that fails, drain and reload in every state. Beside whoever misbehaves, a bystander sends
 * a message and must succeed; at the end of each case everything is home.
 *
 * Usage: shard_cases [CASE]
 */
#include "simworld.h"
#include "../support/testscan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS(n) ((uint64_t)(n)*NS_PER_S)

/* --- clients ---------------------------------------------------------------------------------- */

static struct simpeer *dial(struct simworld *w, enum simworld_listener l)
{
    return simpeer_connect(w->ring, w->listen_fds[l]);
}

static void say(struct simpeer *p, const char *text)
{
    simpeer_send(p, slice_str(text));
}

static void say_often(struct simpeer *p, const char *text, size_t times)
{
    size_t len = strlen(text);
    uint8_t *bytes = malloc(len * times);
    for (size_t i = 0; i < times; i++)
        memcpy(bytes + i * len, text, len);
    simpeer_send(p, slice_of(bytes, len * times));
    free(bytes);
}

/* @count bytes of lines that are legal content. */
static void say_lines(struct simpeer *p, size_t count)
{
    static const char line[] = "0123456789012345678901234567890123456789012345678901234567\r\n";
    uint8_t *bytes = malloc(count);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)line[i % (sizeof(line) - 1)];
    simpeer_send(p, slice_of(bytes, count - count % (sizeof(line) - 1)));
    free(bytes);
}

#define CODES_MAX 4096
struct codes {
    uint16_t at[CODES_MAX];
    uint32_t count;
};

/* The replies so far, one code each; the form of every line is checked. */
static struct codes codes_of(struct simworld *w, const struct simpeer *p)
{
    struct codes codes = {.count = 0};
    struct slice left = simpeer_received(p);
    while (left.len > 0) {
        size_t end = slice_find(left, '\n');
        if (end == left.len)
            break;
        CHECK_PEER(w, p, end >= 4 && left.ptr[end - 1] == '\r' && end < REPLY_LINE_BYTES_MAX);
        CHECK_PEER(w, p, left.ptr[3] == ' ' || left.ptr[3] == '-');
        uint16_t code =
            (uint16_t)((left.ptr[0] - '0') * 100 + (left.ptr[1] - '0') * 10 + (left.ptr[2] - '0'));
        CHECK_PEER(w, p, code >= 200 && code < 600 && codes.count < CODES_MAX);
        if (left.ptr[3] == ' ')
            codes.at[codes.count++] = code;
        left = slice_from(left, end + 1);
    }
    return codes;
}

static uint16_t last_code(struct simworld *w, const struct simpeer *p)
{
    struct codes codes = codes_of(w, p);
    return codes.count > 0 ? codes.at[codes.count - 1] : 0;
}

static uint32_t count_code(struct simworld *w, const struct simpeer *p, uint16_t code)
{
    struct codes codes = codes_of(w, p);
    uint32_t count = 0;
    for (uint32_t i = 0; i < codes.count; i++)
        count += codes.at[i] == code;
    return count;
}

/* Until @count replies are there, at most @ns. */
static void await(struct simworld *w, const struct simpeer *p, uint32_t count, uint64_t ns)
{
    clock_ns end = ring_now(w->ring) + ns;
    while (codes_of(w, p).count < count && ring_now(w->ring) < end)
        simworld_turn(w);
    CHECK_PEER(w, p, codes_of(w, p).count >= count);
}

static void await_closed(struct simworld *w, const struct simpeer *p, uint64_t ns)
{
    clock_ns end = ring_now(w->ring) + ns;
    while (!simpeer_is_closed(p) && ring_now(w->ring) < end)
        simworld_turn(w);
    CHECK_PEER(w, p, simpeer_is_closed(p));
}

/* Until nobody but the spool's and the log's own business is going on. */
static void await_home(struct simworld *w, uint64_t ns)
{
    clock_ns end = ring_now(w->ring) + ns;
    while ((w->shard.conn_count > 0 || pool_used_count(&w->shard.txns) > 0) &&
           ring_now(w->ring) < end)
        simworld_turn(w);
    simworld_check_home(w);
}

/* A well-behaved client's whole session in one go, beside whatever goes on. */
static struct simpeer *bystander_begin(struct simworld *w)
{
    struct simpeer *p = dial(w, SIMWORLD_SMTP);
    say(p, "EHLO by.example\r\nMAIL FROM:<by@by.example>\r\nRCPT TO:<any@mx.example>\r\nDATA\r\n"
           "Subject: bystander\r\n\r\nhello\r\n.\r\nQUIT\r\n");
    return p;
}

static void bystander_end(struct simworld *w, struct simpeer *p, uint64_t ns)
{
    static const uint16_t expected[] = {220, 250, 250, 250, 354, 250, 221};
    await(w, p, ARRAY_COUNT(expected), ns);
    simpeer_shutdown(p);
    struct codes codes = codes_of(w, p);
    for (uint32_t i = 0; i < ARRAY_COUNT(expected); i++)
        CHECK_PEER(w, p, codes.at[i] == expected[i]);
}

static void bystander(struct simworld *w, uint64_t ns)
{
    struct simpeer *p = bystander_begin(w);
    bystander_end(w, p, ns);
    await_closed(w, p, SECONDS(1));
}

static void envelope(struct simpeer *p, bool is_lmtp)
{
    say(p, is_lmtp ? "LHLO c.example\r\n" : "EHLO c.example\r\n");
    say(p, "MAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\n");
}

static void finish(struct simworld *w)
{
    bystander(w, SECONDS(5));
    await_home(w, SECONDS(5));
    simworld_drain(w, SECONDS(5));
    simworld_end(w);
    simworld_remove(w);
}

static void begin(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    simworld_begin(w, &setup);
}

/* --- disconnected at every byte --------------------------------------------------------------- */

struct dialogue {
    const char *name;
    enum simworld_listener listener;
    const char *text;      /* '#' stands for the number of the run, five digits */
    const char *after_end; /* what follows the end of the message in @text */
    const uint16_t codes[16];
};

#define HEADER "Message-ID: <run-#####@sim.example>\r\nSubject: cut\r\n\r\n..dots\r\nbye\r\n"

static const struct dialogue dialogues[] = {
    {"smtp",
     SIMWORLD_SMTP,
     "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\n"
     "RCPT TO:<strict@mx.example>\r\nRCPT TO:<no@elsewhere.example>\r\nDATA\r\n" HEADER
     ".\r\nQUIT\r\n",
     "QUIT\r\n",
     {220, 250, 250, 250, 250, 550, 354, 250, 221}},
    {"lmtp",
     SIMWORLD_LMTP,
     "LHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\n"
     "RCPT TO:<no@elsewhere.example>\r\nRCPT TO:<small@mx.example>\r\nDATA\r\n" HEADER
     ".\r\nQUIT\r\n",
     "QUIT\r\n",
     {220, 250, 250, 250, 550, 250, 354, 250, 250, 221}},
    {"prdr",
     SIMWORLD_SMTP,
     "EHLO c.example\r\nMAIL FROM:<c@c.example> PRDR\r\nRCPT TO:<any@mx.example>\r\n"
     "RCPT TO:<strict@mx.example>\r\nDATA\r\n" HEADER SIMWORLD_EVIL_TEXT "\r\n.\r\nQUIT\r\n",
     "QUIT\r\n",
     {220, 250, 250, 250, 250, 354, 353, 250, 550, 250, 221}},
    {"bdat",
     SIMWORLD_SMTP,
     "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\n"
     "BDAT 10\r\nMessage-IDBDAT 56 LAST\r\n: <run-#####@sim.example>\r\nSubject: cut\r\n\r\n"
     "..dots\r\nbye\r\nQUIT\r\n",
     "QUIT\r\n",
     {220, 250, 250, 250, 250, 250, 221}},
    {"lmtp-bdat",
     SIMWORLD_LMTP,
     "LHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\n"
     "RCPT TO:<small@mx.example>\r\n"
     "BDAT 66 LAST\r\nMessage-ID: <run-#####@sim.example>\r\nSubject: cut\r\n\r\n"
     "..dots\r\nbye\r\nNOOP\r\nQUIT\r\n",
     "NOOP\r\nQUIT\r\n",
     {220, 250, 250, 250, 250, 250, 250, 250, 221}},
    {"deferrals",
     SIMWORLD_SMTP,
     "EHLO c.example\r\nMAIL FROM:<c@c.example> DEFERRALS\r\nRCPT TO:<any@mx.example>\r\n"
     "RCPT TO:<strict@mx.example>\r\nDATA\r\n" HEADER SIMWORLD_EVIL_TEXT "\r\n.\r\nQUIT\r\n",
     "QUIT\r\n",
     {220, 250, 250, 352, 352, 354, 353, 250, 550, 250, 221}},
    {"adat",
     SIMWORLD_SMTP,
     "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\nADAT\r\n" HEADER ".\r\n"
     "DRCP TO:<any@mx.example>\r\nDRCP TO:<no@elsewhere.example>\r\nERCP\r\nQUIT\r\n",
     "QUIT\r\n",
     {220, 250, 250, 354, 355, 250, 550, 250, 221}},
    {"prdr-bdat",
     SIMWORLD_SMTP,
     "EHLO c.example\r\nMAIL FROM:<c@c.example> PRDR\r\nRCPT TO:<any@mx.example>\r\n"
     "RCPT TO:<small@mx.example>\r\n"
     "BDAT 66 LAST\r\nMessage-ID: <run-#####@sim.example>\r\nSubject: cut\r\n\r\n"
     "..dots\r\nbye\r\nQUIT\r\n",
     "QUIT\r\n",
     {220, 250, 250, 250, 250, 250, 221}},
};

enum cut { CUT_END, CUT_CLOSE, CUT_RESET, CUT_COUNT };

struct run {
    bool may_be_there; /* its last byte was sent */
    bool must_be_there;
};

static void text_make(const struct dialogue *d, uint32_t run, char *ret_text)
{
    char digits[8];
    snprintf(digits, sizeof(digits), "%05u", run % 100000);
    const char *digit = digits;
    for (const char *at = d->text; *at != 0; at++)
        *ret_text++ = *at == '#' ? *digit++ : *at;
    *ret_text = 0;
}

/* Which replies there may be: those of the dialogue from its start on, and then, when it was broken
 * off, at most what is due to a message that could not be completed. */
static void check_replies(struct simworld *w, const struct dialogue *d, const struct simpeer *p,
                          bool is_whole, struct run *r)
{
    struct codes codes = codes_of(w, p);
    uint32_t due = 0;
    while (due < ARRAY_COUNT(d->codes) && d->codes[due] != 0)
        due++;
    if (!is_whole && codes.count > 0 && codes.at[codes.count - 1] == 421) {
        codes.count--; /* "nothing was taken" (PRDR-31) */
        r->may_be_there = false;
    }
    CHECK_PEER(w, p, codes.count <= due);
    for (uint32_t i = 0; i < codes.count; i++)
        CHECK_PEER(w, p, codes.at[i] == d->codes[i]);
    CHECK_PEER(w, p, !is_whole || codes.count == due);
    uint32_t tail = 0; /* replies to what follows the message */
    for (const char *at = d->after_end; (at = strchr(at, '\n')) != NULL; at++)
        tail++;
    r->must_be_there = codes.count >= due - tail;
    if (d->listener == SIMWORLD_LMTP) /* each reply counts by itself */
        r->must_be_there |= codes.count >= due - tail - 1;
}

static void run_cut(struct simworld *w, const struct dialogue *d, size_t at, enum cut cut,
                    bool is_late, uint32_t number, struct run *r)
{
    char text[2048];
    text_make(d, number, text);
    size_t len = strlen(text);
    struct simpeer *p = dial(w, d->listener);
    simpeer_send(p, slice_of((const uint8_t *)text, at));
    if (is_late)
        simworld_run(w, 30 * NS_PER_MS);
    if (cut == CUT_END)
        simpeer_shutdown(p);
    else if (cut == CUT_CLOSE)
        simpeer_close(p);
    else
        simpeer_reset(p);
    await_closed(w, p, SECONDS(1));
    await_home(w, SECONDS(1));
    r->may_be_there = at >= len - strlen(d->after_end);
    check_replies(w, d, p, at == len && (cut == CUT_END || is_late), r);
    if (is_late && at < len) /* what was complete was answered */
        CHECK_PEER(w, p, !r->may_be_there || r->must_be_there);
    simpeer_forget(p);
}

/* What is in the store against what was said. */
static void check_runs(struct simworld *w, const struct run *runs, uint32_t run_count)
{
    uint8_t *seen = calloc(run_count, 1);
    struct store_message m;
    struct store_damage damage;
    for (uint32_t i = 0; i < store_count(w->store); i++) {
        CHECK_WORLD(w, store_load(w->store, i, &m, &damage) == 0);
        struct slice id = m.envelope.message_id;
        if (id.len == sizeof("<run-#####@sim.example>") - 1) {
            char digits[6] = "";
            memcpy(digits, id.ptr + 5, 5);
            uint32_t number = (uint32_t)strtoul(digits, NULL, 10);
            CHECK_WORLD(w, number < run_count && ++seen[number] == 1);
        }
        store_message_free(&m);
    }
    for (uint32_t i = 0; i < run_count; i++) {
        CHECK_WORLD(w, !seen[i] || runs[i].may_be_there);
        CHECK_WORLD(w, seen[i] || !runs[i].must_be_there);
    }
    free(seen);
}

static void cut_everywhere(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(7);
    setup.sim.short_send_percent = 10;
    static struct run runs[100000];
    uint32_t number = 0;
    simworld_begin(w, &setup);
    for (size_t d = 0; d < ARRAY_COUNT(dialogues); d++)
        for (size_t at = 0; at <= strlen(dialogues[d].text); at++)
            for (int how = 0; how < 2 * CUT_COUNT; how++) {
                run_cut(w, &dialogues[d], at, (enum cut)(how / 2), how % 2 == 1, number,
                        &runs[number]);
                if (++number % 200 == 0)
                    bystander(w, SECONDS(1));
            }
    await_home(w, SECONDS(5));
    simworld_drain(w, SECONDS(5));
    simworld_end(w);
    check_runs(w, runs, number);
    simworld_remove(w);
}

/* --- slow, mute and noisy clients ------------------------------------------------------------- */

/* One byte a second, all of it. */
static void say_slowly(struct simworld *w, struct simpeer *p, const char *text)
{
    for (size_t i = 0; text[i] != 0; i++) {
        simpeer_send(p, slice_of((const uint8_t *)text + i, 1));
        simworld_run(w, SECONDS(1));
        /* A slow typist holds no receive buffer. */
        CHECK_PEER(w, p, ring_buffers_free(w->ring) == ring_buffers_count(w->ring));
    }
}

/* Slow but within the limits: it is served. */
static void slow_typist(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    setup.listener.bytes_per_second_min = 0;
    simworld_begin(w, &setup);
    struct simpeer *p = dial(w, SIMWORLD_SMTP);
    say_slowly(w, p,
               "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\n"
               "DATA\r\nSubject: slow\r\n\r\nhello\r\n.\r\n");
    await(w, p, 6, SECONDS(1));
    CHECK_PEER(w, p, last_code(w, p) == 250);
    say_slowly(w, p,
               "MAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\n"
               "BDAT 20 LAST\r\nSubject: s\r\n\r\nhi..\r\nQUIT\r\n");
    await_closed(w, p, SECONDS(5));
    CHECK_PEER(w, p, count_code(w, p, 421) == 0 && last_code(w, p) == 221);
    finish(w);
}

static void command_timeout(struct simworld *w)
{
    begin(w);
    struct simpeer *p = dial(w, SIMWORLD_SMTP);
    for (int i = 0; i < 70 && !simpeer_is_ended(p); i++) {
        simpeer_send(p, SLICE_LIT("x"));
        simworld_run(w, SECONDS(1));
    }
    CHECK_PEER(w, p, last_code(w, p) == 421 && simpeer_is_ended(p));
    await_closed(w, p, SECONDS(3));
    CHECK_WORLD(w, simworld_metric(w, METRIC_CONNS_TIMED_OUT) == 1);
    CHECK_WORLD(w, simworld_logged(w, "reason=timeout") == 1);
    finish(w);
}

static void content_timeouts(struct simworld *w)
{
    begin(w);
    struct simpeer *dripping = dial(w, SIMWORLD_SMTP);
    struct simpeer *silent = dial(w, SIMWORLD_LMTP);
    struct simpeer *dropped = dial(w, SIMWORLD_SMTP); /* within the octets of a refused BDAT */
    struct simpeer *endless = dial(w, SIMWORLD_SMTP);
    envelope(dripping, false);
    say(dripping, "DATA\r\n");
    envelope(silent, true);
    say(silent, "DATA\r\nSubject: x\r\n");
    say(dropped, "EHLO c.example\r\nBDAT 1000\r\nabc");
    envelope(endless, false);
    say(endless, "DATA\r\n");
    for (int i = 0; i < 700; i++) {
        if (!simpeer_is_ended(dripping))
            simpeer_send(dripping, SLICE_LIT("x"));
        if (!simpeer_is_ended(endless))
            say(endless, "0123456789012345678901234567890\r\n");
        simworld_run(w, SECONDS(1));
        if (i == 27)
            CHECK_PEER(w, silent, !simpeer_is_ended(silent));
    }
    await_closed(w, endless, SECONDS(1));
    CHECK_PEER(w, dripping, last_code(w, dripping) == 421);
    CHECK_PEER(w, silent, last_code(w, silent) == 421);
    CHECK_PEER(w, dropped, last_code(w, dropped) == 421);
    CHECK_PEER(w, endless, last_code(w, endless) == 421);
    CHECK_WORLD(w, simworld_metric(w, METRIC_CONNS_TOO_SLOW) >= 1);
    CHECK_WORLD(w, simworld_metric(w, METRIC_CONNS_TOO_SLOW) +
                           simworld_metric(w, METRIC_CONNS_TIMED_OUT) ==
                       4);
    CHECK_WORLD(w, simworld_metric(w, METRIC_TXNS_ABORTED) == 3);
    finish(w);
}

static void session_timeout(struct simworld *w)
{
    begin(w);
    struct simpeer *p = dial(w, SIMWORLD_SMTP);
    say(p, "EHLO c.example\r\n");
    for (int i = 0; i < 130 && !simpeer_is_ended(p); i++) {
        say(p, "NOOP\r\n");
        simworld_run(w, SECONDS(30));
    }
    CHECK_PEER(w, p, last_code(w, p) == 421);
    CHECK_WORLD(w, ring_now(w->ring) < SECONDS(3640));
    finish(w);
}

/* Clients that never read what they are told, and pipeline for ever. */
static void mute(struct simworld *w)
{
    struct simpeer *peers[8];
    begin(w);
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peers[i] = dial(w, i % 2 == 0 ? SIMWORLD_SMTP : SIMWORLD_LMTP);
        simpeer_set_reading(peers[i], false, 100 * i);
        say_often(peers[i], "NOOP 01234567890123456789012345678901234567890123456789\r\nHELP\r\n",
                  400);
        simworld_run(w, 10 * NS_PER_MS);
        bystander(w, SECONDS(2));
    }
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
        await_closed(w, peers[i], SECONDS(40));
    CHECK_WORLD(w, simworld_metric(w, METRIC_CONNS_STUCK) == ARRAY_COUNT(peers));
    CHECK_WORLD(w, simworld_logged(w, "replies not read") == ARRAY_COUNT(peers));
    finish(w);
}

/* The same with so much input that it could take every receive buffer. */
static void mute_flood(struct simworld *w)
{
    struct simpeer *peers[6];
    begin(w);
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peers[i] = dial(w, SIMWORLD_SMTP);
        simpeer_set_reading(peers[i], false, 0);
        say_often(peers[i], "NOOP 01234567890123456789012345678901234567890123456789\r\n", 20000);
    }
    simworld_run(w, SECONDS(1));
    for (int i = 0; i < 10; i++)
        bystander(w, SECONDS(2));
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
        await_closed(w, peers[i], SECONDS(60));
    finish(w);
}

static void garbage(struct simworld *w)
{
    struct rng rng;
    static uint8_t bytes[200000];
    rng_init(&rng, 5);
    begin(w);
    for (int i = 0; i < 40; i++) {
        struct simpeer *p = dial(w, i % 2 == 0 ? SIMWORLD_SMTP : SIMWORLD_LMTP);
        struct simpeer *by = bystander_begin(w);
        for (size_t k = 0; k < sizeof(bytes); k++)
            bytes[k] = i % 4 < 2 ? (uint8_t)rng_next(&rng) : "\r\n.AE HLO\0"[rng_below(&rng, 10)];
        if (i % 3 == 0)
            say(p, i % 2 == 0 ? "EHLO x\r\n" : "LHLO x\r\n");
        simpeer_send(p, slice_of(bytes, sizeof(bytes)));
        bystander_end(w, by, SECONDS(2));
        await_closed(w, p, SECONDS(5));
        CHECK_PEER(w, p, last_code(w, p) == 421 || last_code(w, p) / 100 == 5);
    }
    finish(w);
}

/* --- too much --------------------------------------------------------------------------------- */

static void oversize(struct simworld *w)
{
    begin(w);
    struct simpeer *p = dial(w, SIMWORLD_SMTP);
    say(p, "EHLO c.example\r\n");
    for (int i = 0; i < 100; i++) /* a command line of 5000 bytes */
        say(p, "01234567890123456789012345678901234567890123456789");
    say(p, "\r\nNOOP\r\nMAIL FROM:<c@c.example> SIZE=99999999\r\n");
    await(w, p, 5, SECONDS(1));
    CHECK_PEER(w, p, codes_of(w, p).at[2] == 500 && codes_of(w, p).at[3] == 250);
    CHECK_PEER(w, p, last_code(w, p) == 552);
    say(p, "MAIL FROM:<c@c.example>\r\n");
    for (int i = 0; i < 150; i++)
        say(p, "RCPT TO:<any@mx.example>\r\n");
    await(w, p, 156, SECONDS(5));
    CHECK_PEER(w, p, count_code(w, p, 452) == 50); /* rcpt_max */
    say(p, "DATA\r\nSubject: big\r\n\r\n");
    say_lines(p, SIMWORLD_SIZE_MAX + 100000);
    say(p, "\r\n.\r\nNOOP\r\n");
    await(w, p, 159, SECONDS(20));
    CHECK_PEER(w, p, codes_of(w, p).at[157] == 552 && last_code(w, p) == 250);
    say(p, "MAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\nDATA\r\n");
    for (int i = 0; i < 1500; i++) /* a line of 75000 bytes: longer than a receive buffer */
        say(p, "01234567890123456789012345678901234567890123456789");
    say(p, "\r\n.\r\nQUIT\r\n");
    await_closed(w, p, SECONDS(20));
    CHECK_PEER(w, p, last_code(w, p) == 221 && count_code(w, p, 221) == 1);
    finish(w);
}

/* Large bodies from many clients through few receive buffers. */
static void scarce_buffers(struct simworld *w)
{
    struct simpeer *peers[24];
    struct simworld_setup setup = simworld_setup(3);
    setup.limits.buffer_count = 8;
    setup.limits.chunk_count_max = 128;
    setup.sim.disk_ns_max = 20 * NS_PER_MS;
    simworld_begin(w, &setup);
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peers[i] = dial(w, SIMWORLD_SMTP);
        envelope(peers[i], false);
        say(peers[i], "DATA\r\nSubject: big\r\n\r\n");
        say_lines(peers[i], 900000);
        say(peers[i], ".\r\nQUIT\r\n");
    }
    for (int i = 0; i < 5; i++)
        bystander(w, SECONDS(20));
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        await_closed(w, peers[i], SECONDS(60));
        CHECK_PEER(w, peers[i], count_code(w, peers[i], 250) == 4 && last_code(w, peers[i]) == 221);
    }
    CHECK_WORLD(w, simworld_metric(w, METRIC_BUFFERS_EMPTY) > 0);
    CHECK_WORLD(w, simworld_metric(w, METRIC_EVACUATIONS) > 0);
    finish(w);
}

/* A message in many small pieces holds receive buffers for a short while only. */
static void evacuation(struct simworld *w)
{
    begin(w);
    struct simpeer *peers[15];
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peers[i] = dial(w, SIMWORLD_SMTP);
        envelope(peers[i], false);
        say(peers[i], "DATA\r\nSubject: pinned\r\n\r\n");
        say_lines(peers[i], 60000);
    }
    simworld_run(w, SECONDS(2));
    CHECK_WORLD(w, ring_buffers_free(w->ring) == ring_buffers_count(w->ring));
    CHECK_WORLD(w, simworld_metric(w, METRIC_EVACUATIONS) > 0);
    bystander(w, SECONDS(1));
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        say(peers[i], ".\r\nQUIT\r\n");
        await_closed(w, peers[i], SECONDS(5));
        CHECK_PEER(w, peers[i], last_code(w, peers[i]) == 221);
    }
    finish(w);
}

static void too_many_connections(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    struct simpeer *peers[6];
    setup.listener.conn_count_max = 3;
    setup.limits.conn_count_max = 4;
    simworld_begin(w, &setup);
    for (int i = 0; i < 4; i++) {
        peers[i] = dial(w, SIMWORLD_SMTP);
        simworld_run(w, 10 * NS_PER_MS);
    }
    CHECK_PEER(w, peers[2], last_code(w, peers[2]) == 220);
    CHECK_PEER(w, peers[3], last_code(w, peers[3]) == 421 && simpeer_is_ended(peers[3]));
    CHECK_WORLD(w, simworld_metric(w, METRIC_CONNS_REFUSED) == 1);
    peers[4] = dial(w, SIMWORLD_LMTP); /* the shard's limit: it waits until there is a slot */
    simworld_run(w, 10 * NS_PER_MS);
    CHECK_PEER(w, peers[4], simpeer_received(peers[4]).len == 0);
    for (int i = 0; i < 3; i++) {
        say(peers[i], "QUIT\r\n");
        await_closed(w, peers[i], SECONDS(3));
    }
    simpeer_shutdown(peers[3]);
    await_closed(w, peers[3], SECONDS(3));
    await(w, peers[4], 1, SECONDS(2));
    CHECK_PEER(w, peers[4], last_code(w, peers[4]) == 220);
    simpeer_close(peers[4]);
    peers[5] = dial(w, SIMWORLD_SMTP);
    await(w, peers[5], 1, SECONDS(2));
    CHECK_PEER(w, peers[5], last_code(w, peers[5]) == 220);
    simpeer_reset(peers[5]);
    await_home(w, SECONDS(2));
    finish(w);
}

/* --- the store -------------------------------------------------------------------------------- */

static void store_full(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    setup.segment_bytes = MIB;
    simworld_begin(w, &setup);
    simworld_run(w, SECONDS(1));
    simworld_set_space(0);
    uint32_t full = 0, refused = 0;
    struct simpeer *p = dial(w, SIMWORLD_SMTP);
    say(p, "EHLO c.example\r\n");
    await(w, p, 2, SECONDS(1));
    for (int i = 0; i < 12; i++) { /* what is made already is used up, then it is full */
        uint32_t before = codes_of(w, p).count;
        say(p, "MAIL FROM:<c@c.example>\r\n");
        await(w, p, before + 1, SECONDS(5));
        if (last_code(w, p) == 452) {
            full++;
            refused++;
            continue;
        }
        say(p, "RCPT TO:<any@mx.example>\r\nRCPT TO:<discard@mx.example>\r\nDATA\r\n");
        await(w, p, before + 4, SECONDS(5));
        if (last_code(w, p) == 452) {
            full++;
            refused++;
            say(p, "RSET\r\n");
            await(w, p, before + 5, SECONDS(5));
            continue;
        }
        say(p, "Subject: fill\r\n\r\n");
        say_lines(p, 600000);
        say(p, ".\r\n");
        await(w, p, before + 5, SECONDS(20));
        CHECK_PEER(w, p, last_code(w, p) == 250 || last_code(w, p) == 452);
        full += last_code(w, p) == 452;
    }
    CHECK_PEER(w, p, full > 2 && refused > 0);
    CHECK_WORLD(w, simworld_logged(w, "event=refused ") == refused);
    CHECK_WORLD(w, simworld_logged(w, "code=452 reason=store_full") == refused);
    simworld_set_space(UINT64_MAX);
    simworld_run(w, SECONDS(1));
    say(p, "QUIT\r\n");
    await_closed(w, p, SECONDS(5));
    finish(w);
}

/* What the reply to the message says about the store; without one it may be either way. */
static struct run run_of(struct simworld *w, const struct simpeer *p)
{
    struct codes codes = codes_of(w, p);
    struct run r = {.may_be_there = true};
    if (codes.count < 7 && !(codes.count == 6 && codes.at[5] != 354))
        return r;
    r.must_be_there = codes.at[5] == 354 && codes.at[6] / 100 == 2;
    r.may_be_there = r.must_be_there;
    return r;
}

/* Writes, or syncs, often fail for a while: 4xx for all of a group, and no crumbs; where neither
 * 2xx nor 4xx would be true, nothing. */
static void store_broken(struct simworld *w)
{
    uint32_t silent = 0;
    for (uint32_t seed = 0; seed < 60; seed++) {
        struct simpeer *peers[6];
        struct run runs[ARRAY_COUNT(peers)];
        struct simworld_setup setup = simworld_setup(seed);
        simworld_begin(w, &setup);
        sim_set_faults(w->ring, seed % 2 == 0 ? 60 : 0, seed % 2 == 0 ? 0 : 60);
        for (uint32_t i = 0; i < ARRAY_COUNT(peers); i++) {
            char id[64];
            snprintf(id, sizeof(id), "Message-ID: <run-%05u@sim.example>\r\n\r\nhello\r\n.\r\n", i);
            peers[i] = dial(w, i % 2 == 0 ? SIMWORLD_SMTP : SIMWORLD_LMTP);
            envelope(peers[i], i % 2 != 0);
            say(peers[i], "RCPT TO:<discard@mx.example>\r\nDATA\r\n");
            say(peers[i], id);
            say(peers[i], "MAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\nDATA\r\n");
            say_lines(peers[i], 300000);
            say(peers[i], ".\r\nQUIT\r\n");
        }
        for (uint32_t i = 0; i < ARRAY_COUNT(peers); i++) {
            await_closed(w, peers[i], SECONDS(20));
            runs[i] = run_of(w, peers[i]);
            silent += runs[i].may_be_there && !runs[i].must_be_there;
        }
        sim_set_faults(w->ring, 0, 0);
        await_home(w, SECONDS(5));
        simworld_drain(w, SECONDS(5));
        simworld_end(w);
        check_runs(w, runs, ARRAY_COUNT(peers));
        simworld_remove(w);
    }
    CHECK_WORLD(w, silent > 0);
}

/* The keeper makes no segments: a decision does not come, and nobody waits for ever. */
static void decision_timeout(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    setup.segment_bytes = MIB;
    simworld_begin(w, &setup);
    simworld_run(w, SECONDS(1));
    w->is_keeper_asleep = true;
    struct simpeer *peers[8];
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peers[i] = dial(w, i % 2 == 0 ? SIMWORLD_SMTP : SIMWORLD_LMTP);
        envelope(peers[i], i % 2 != 0);
        say(peers[i], "DATA\r\nSubject: x\r\n\r\n");
        say_lines(peers[i], 600000);
        say(peers[i], ".\r\n");
    }
    simworld_run(w, SECONDS(700));
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
        await_closed(w, peers[i], SECONDS(1));
    CHECK_WORLD(w, w->shard.conn_count == 0);
    CHECK_WORLD(w, simworld_metric(w, METRIC_CONNS_TIMED_OUT) > 0);
    w->is_keeper_asleep = false;
    await_home(w, SECONDS(10));
    finish(w);
}

/* The disk takes its time: senders wait, within limits, and are not blamed for it. */
static void slow_store(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    struct simpeer *peers[12];
    setup.sim.disk_ns_max = SECONDS(20);
    setup.limits.buffer_count = 32;
    simworld_begin(w, &setup);
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peers[i] = dial(w, SIMWORLD_SMTP);
        envelope(peers[i], false);
        say(peers[i], "DATA\r\nSubject: big\r\n\r\n");
        /* Each dot makes one more part. */
        say_often(peers[i], "..23456789012345678901234567890\r\n..\r\n", 15000);
        say(peers[i], ".\r\nQUIT\r\n");
    }
    simworld_run(w, SECONDS(1));
    sim_set_disk(w->ring, SECONDS(20));
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        await_closed(w, peers[i], SECONDS(600));
        CHECK_PEER(w, peers[i], count_code(w, peers[i], 250) == 4 && last_code(w, peers[i]) == 221);
    }
    sim_set_disk(w->ring, NS_PER_MS);
    simworld_run(w, SECONDS(25)); /* what is said about their replies is still being written */
    finish(w);
}

#define HUNG_SENDERS 40
#define HUNG_BYTES MIB /* each: together more than there is memory for, whatever the setting */

/* Each answer of a dialogue, command by command, within @ns; nothing of it needs the disk. */
static void talk(struct simworld *w, uint64_t ns)
{
    static const char *const says[] = {"EHLO by.example\r\n",
                                       "MAIL FROM:<by@by.example>\r\n",
                                       "RCPT TO:<any@mx.example>\r\n",
                                       "RCPT TO:<no@elsewhere.example>\r\n",
                                       "RSET\r\n",
                                       "BDAT 3\r\nabc",
                                       "NOOP\r\n",
                                       "QUIT\r\n"};
    static const uint16_t expected[] = {220, 250, 250, 250, 550, 250, 503, 250, 221};
    struct simpeer *p = dial(w, SIMWORLD_SMTP);
    for (uint32_t i = 0; i < ARRAY_COUNT(expected); i++) {
        await(w, p, i + 1, ns);
        CHECK_PEER(w, p, codes_of(w, p).at[i] == expected[i]);
        for (const char *at = i < ARRAY_COUNT(says) ? says[i] : ""; *at != 0;) {
            size_t len = strlen(at) > 4 ? strlen(at) / 2 : strlen(at); /* in pieces, too */
            simpeer_send(p, slice_of((const uint8_t *)at, len));
            at += len;
            simworld_run(w, NS_PER_MS);
        }
    }
    simpeer_shutdown(p);
    await_closed(w, p, SECONDS(1));
    simpeer_forget(p);
}

/* How many receive buffers are free is what a turn leaves to the next one. */
static void run_watching(struct simworld *w, uint64_t ns)
{
    clock_ns end = ring_now(w->ring) + ns;
    while (ring_now(w->ring) < end) {
        simworld_turn(w);
        CHECK_WORLD(w, ring_buffers_free(w->ring) >= ring_buffers_count(w->ring) / 4);
    }
}

enum hung_body { HUNG_LINES, HUNG_DOTS, HUNG_SMALL };

/* About as long as a receive buffer: a large part, and more parts too large to be gathered than a
 * message keeps. */
static void say_dots(struct simpeer *p)
{
    char line[540];
    memset(line, 'x', sizeof(line));
    memcpy(line, "..", 2);
    memcpy(line + sizeof(line) - 3, "\r\n", 3);
    for (size_t sent = 0; sent < HUNG_BYTES; sent += 64 * KIB) {
        say_lines(p, 6000);
        say_often(p, line, 110);
    }
}

static void hung_begin(struct simworld *w, struct simpeer **peers, enum hung_body body)
{
    for (size_t i = 0; i < HUNG_SENDERS; i++) {
        peers[i] = dial(w, i % 2 == 0 ? SIMWORLD_SMTP : SIMWORLD_LMTP);
        envelope(peers[i], i % 2 != 0);
        say(peers[i], "DATA\r\nSubject: big\r\n\r\n");
        if (body == HUNG_DOTS)
            say_dots(peers[i]);
        else
            say_lines(peers[i], body == HUNG_SMALL ? 20000 : HUNG_BYTES);
        say(peers[i], ".\r\nQUIT\r\n");
    }
}

/* The disk does not answer for a minute, beside large senders that never stop: everybody else is
 * served, and they are when it is back, or are told that it was too much. */
static void hung_store(struct simworld *w)
{
    static const struct {
        enum hung_body body;
        uint32_t buffers, chunks;
        uint32_t done_min;
    } rows[] = {
        {HUNG_LINES, 16, 1024, HUNG_SENDERS},
        {HUNG_LINES, 64, 1024, HUNG_SENDERS},
        {HUNG_LINES, 64, 64, 1},
        {HUNG_DOTS, 16, 1024, HUNG_SENDERS},
        {HUNG_DOTS, 16, 64, 1},
        {HUNG_SMALL, 16, 256, HUNG_SENDERS},
        {HUNG_SMALL, 16, 64, 1},
    };
    for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
        struct simworld_setup setup = simworld_setup(1 + row);
        struct simpeer *peers[HUNG_SENDERS];
        uint32_t done = 0, dropped = 0;
        setup.limits.buffer_count = rows[row].buffers;
        setup.limits.chunk_count_max = rows[row].chunks;
        setup.listener.session.size_max = 2 * HUNG_BYTES;
        simworld_begin(w, &setup);
        bystander(w, SECONDS(1));
        clock_ns until = ring_now(w->ring) + SECONDS(60);
        sim_hang_disk(w->ring, until, false);
        hung_begin(w, peers, rows[row].body);
        while (ring_now(w->ring) + SECONDS(8) < until) {
            talk(w, 50 * NS_PER_MS);
            run_watching(w, SECONDS(1));
        }
        CHECK_WORLD(w, ring_now(w->ring) < until);
        for (size_t i = 0; i < HUNG_SENDERS; i++) { /* within the times that clients allow */
            await_closed(w, peers[i], SECONDS(240));
            uint16_t code = codes_of(w, peers[i]).at[5];
            bool is_whole = codes_of(w, peers[i]).count == 7 && last_code(w, peers[i]) == 221;
            CHECK_PEER(w, peers[i], is_whole || codes_of(w, peers[i]).count == 5);
            CHECK_PEER(w, peers[i], !is_whole || code == 250 || code == 452);
            done += is_whole && code == 250;
            dropped += !is_whole;
        }
        CHECK_WORLD(w, done >= rows[row].done_min);
        CHECK_WORLD(w, dropped == simworld_logged(w, "no memory for input"));
        finish(w);
    }
}

/* One client that sends as fast as it can beside many small ones: those wait for a few turns. */
static void flood(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    struct simpeer *small[50];
    setup.limits.buffer_count = 16; /* fewer than it may take in one turn */
    setup.listener.session.size_max = 64 * MIB;
    setup.sim.network_ns_max = 5 * NS_PER_US; /* all that is sent comes within one turn */
    setup.sim.disk_ns_max = 5 * NS_PER_US;
    for (int how = 0; how < 2; how++) {
        simworld_begin(w, &setup);
        struct simpeer *flooding = dial(w, SIMWORLD_SMTP);
        envelope(flooding, false);
        if (how == 0) {
            say(flooding, "DATA\r\nSubject: flood\r\n\r\n");
            say_lines(flooding, 24 * MIB);
            say(flooding, ".\r\n");
        } else {
            say_often(flooding, "NOOP\r\n", 2 * MIB);
        }
        for (size_t i = 0; i < ARRAY_COUNT(small); i++)
            small[i] = bystander_begin(w);
        uint32_t turns = w->turns;
        for (size_t i = 0; i < ARRAY_COUNT(small); i++)
            bystander_end(w, small[i], SECONDS(1));
        CHECK_WORLD(w, w->turns - turns < 50);
        CHECK_WORLD(w, simworld_metric(w, METRIC_BUFFERS_EMPTY) > 0);
        CHECK_PEER(w, flooding, simpeer_unread(flooding) > MIB); /* it was at it all the time */
        if (how == 0) {
            await(w, flooding, 6, SECONDS(30));
            CHECK_PEER(w, flooding, last_code(w, flooding) == 250);
        }
        simpeer_reset(flooding);
        finish(w);
    }
}

#define SLOW_TEXT                                                                                  \
    "RCPT TO:<any@mx.example>\r\nRCPT TO:<strict@mx.example>\r\nDATA\r\n"                          \
    "Subject: slow\r\n\r\n" SIMWORLD_EVIL_TEXT "\r\n.\r\nQUIT\r\n"

/* A slow commit: dialects with a reply for each recipient show signs of life. */
static void early_replies(struct simworld *w)
{
    static const char text[] = SLOW_TEXT;
    begin(w);
    struct simpeer *prdr = dial(w, SIMWORLD_SMTP);
    struct simpeer *lmtp = dial(w, SIMWORLD_LMTP);
    struct simpeer *smtp = dial(w, SIMWORLD_SMTP);
    say(prdr, "EHLO c.example\r\nMAIL FROM:<c@c.example> PRDR\r\n");
    say(prdr, text);
    say(lmtp, "LHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<small@mx.example>\r\n"
              "RCPT TO:<any@mx.example>\r\nDATA\r\nSubject: slow\r\n\r\n");
    say_lines(lmtp, 4000);
    say(lmtp, ".\r\nQUIT\r\n");
    say(smtp, "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\n");
    say(smtp, text);
    sim_set_disk(w->ring, SECONDS(3600));
    simworld_run(w, SECONDS(2));
    CHECK_PEER(w, prdr, codes_of(w, prdr).count == 7 && last_code(w, prdr) == 353);
    CHECK_PEER(w, lmtp, codes_of(w, lmtp).count == 7 && last_code(w, lmtp) == 552);
    CHECK_PEER(w, smtp, codes_of(w, smtp).count == 6 && last_code(w, smtp) == 354);
    simpeer_shutdown(lmtp);
    simworld_run(w, SECONDS(230));
    CHECK_WORLD(w, w->shard.conn_count == 3);
    simworld_run(w, SECONDS(10)); /* the reply budget ends: 451 in place (DUP-15) */
    await_closed(w, prdr, SECONDS(1));
    CHECK_PEER(w, prdr, codes_of(w, prdr).count == 11);
    CHECK_PEER(w, prdr, codes_of(w, prdr).at[7] == 451 && codes_of(w, prdr).at[8] == 550);
    CHECK_PEER(w, prdr, codes_of(w, prdr).at[9] == 450 && last_code(w, prdr) == 221);
    await_closed(w, lmtp, SECONDS(1));
    CHECK_PEER(w, lmtp, codes_of(w, lmtp).count == 9);
    CHECK_PEER(w, lmtp, codes_of(w, lmtp).at[7] == 451 && last_code(w, lmtp) == 221);
    CHECK_PEER(w, smtp, codes_of(w, smtp).count == 8 && last_code(w, smtp) == 221);
    CHECK_PEER(w, smtp, codes_of(w, smtp).at[6] == 451);
    CHECK_WORLD(w, simworld_metric(w, METRIC_BUDGETS_ENDED) == 3);
    CHECK_WORLD(w, simworld_logged(w, "waiting_for=store") == 3);
    sim_set_disk(w->ring, NS_PER_MS);
    simworld_run(w, SECONDS(7200)); /* what was being written is stored, and removed */
    await_home(w, SECONDS(7200));
    CHECK_WORLD(w, simworld_logged(w, "budget_ended=true") == 3);
    uint64_t late_count = simworld_metric(w, METRIC_COMMITS_LATE);
    CHECK_WORLD(w, late_count >= 1 && late_count <= 3);
    CHECK_WORLD(w, simworld_logged(w, "event=commit_late") == late_count);
    CHECK_WORLD(w, spool_counters(w->shard.spool)->voided == late_count);
    CHECK_WORLD(w, simworld_logged(w, "listener=lmtp helo=c.example dialect=lmtp") == 2);
    CHECK_WORLD(w, simworld_logged(w, "listener=smtp helo=c.example dialect=prdr") == 2);
    CHECK_WORLD(w, simworld_logged(w, "listener=smtp helo=c.example dialect=smtp") == 2);
    simworld_drain(w, SECONDS(5));
    simworld_end(w);
    CHECK_WORLD(w, store_count(w->store) == 0);
    simworld_remove(w);
}

/* And when it comes in time. */
static void early_replies_in_time(struct simworld *w)
{
    static const uint16_t expected[2][9] = {{220, 250, 250, 250, 250, 354, 353, 250, 550},
                                            {220, 250, 250, 250, 250, 354, 552, 250, 221}};
    begin(w);
    struct simpeer *prdr = dial(w, SIMWORLD_SMTP);
    say(prdr, "EHLO c.example\r\nMAIL FROM:<c@c.example> PRDR\r\n");
    say(prdr, SLOW_TEXT);
    struct simpeer *lmtp = dial(w, SIMWORLD_LMTP);
    say(lmtp, "LHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<small@mx.example>\r\n"
              "RCPT TO:<any@mx.example>\r\nDATA\r\nSubject: slow\r\n\r\n");
    say_lines(lmtp, 4000);
    say(lmtp, ".\r\nQUIT\r\n");
    sim_set_disk(w->ring, SECONDS(30));
    await_closed(w, prdr, SECONDS(100));
    await_closed(w, lmtp, SECONDS(100));
    struct codes codes = codes_of(w, prdr);
    for (int i = 0; i < 9; i++)
        CHECK_PEER(w, prdr, codes.at[i] == expected[0][i]);
    CHECK_PEER(w, prdr, codes.count == 11 && codes.at[9] == 250 && codes.at[10] == 221);
    codes = codes_of(w, lmtp);
    for (int i = 0; i < 9; i++)
        CHECK_PEER(w, lmtp, codes.at[i] == expected[1][i]);
    CHECK_PEER(w, lmtp, codes.count == 9);
    sim_set_disk(w->ring, NS_PER_MS);
    simworld_run(w, SECONDS(35)); /* what is said about their replies is still being written */
    finish(w);
}

static bool has_received(const struct simpeer *p, const char *text)
{
    struct slice got = simpeer_received(p);
    return memmem(got.ptr, got.len, text, strlen(text)) != NULL;
}

/* No one reply will fit all: the block opens before the store is done (PRDR-17, HOL-9), with the
 * verdicts that do not depend on it. DEFERRALS, whose replies then have a minute each, waits for
 * the store (DEF-18, DEF-19), and who may still be answered alike does for a while (PRDR-13). */
static void early_openings(struct simworld *w)
{
    static const struct {
        const char *param;
        const char *early; /* after half a second; NULL: nothing after 354 */
        const char *late;
    } rows[] = {
        {" PRDR", "353 replies per recipient follow\r\n550 ", "\r\n250 2.0.0 stored"},
        {" XPRDR1", "\r\n550 ", "\r\n250 2.0.0 stored"},
        {" XRCPT250", "250-2.0.0 +RCPT 2\r\n250-550 ", "250-250 2.0.0 stored"},
        {" EXDATA", "558-550 ", "558 250 2.0.0 stored"},
        {" INLINE-DSN", "353 replies per recipient follow\r\n550 ",
         "\r\n250 2.0.0 end of the list"},
        {" DEFERRALS", NULL, "353 replies per recipient follow\r\n550 "},
        {"", NULL, "\r\n250 2.0.0 stored"},
    };
    static const char text[] = "RCPT TO:<strict@mx.example>\r\nRCPT TO:<any@mx.example>\r\nDATA\r\n"
                               "Subject: slow\r\n\r\n" SIMWORLD_EVIL_TEXT "\r\n.\r\nQUIT\r\n";
    struct simpeer *peers[ARRAY_COUNT(rows)];
    begin(w);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char mail[100];
        snprintf(mail, sizeof(mail), "EHLO c.example\r\nMAIL FROM:<c@c.example>%s\r\n",
                 rows[i].param);
        peers[i] = dial(w, SIMWORLD_SMTP);
        say(peers[i], mail);
        say(peers[i], text);
    }
    sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(150), false);
    simworld_run(w, SECONDS(1) / 2);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (rows[i].early != NULL)
            CHECK_PEER(w, peers[i], has_received(peers[i], rows[i].early));
        else
            CHECK_PEER(w, peers[i], last_code(w, peers[i]) == 354);
        CHECK_PEER(w, peers[i], !has_received(peers[i], "stored"));
    }
    simworld_run(w, SECONDS(130));
    CHECK_PEER(w, peers[2], has_received(peers[2], "250-000 working\r\n250-000 working\r\n"));
    CHECK_PEER(w, peers[5], last_code(w, peers[5]) == 354);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        await_closed(w, peers[i], SECONDS(60));
        CHECK_PEER(w, peers[i], has_received(peers[i], rows[i].late));
        CHECK_PEER(w, peers[i], last_code(w, peers[i]) == 221);
    }
    finish(w);
}

/* --- how replies leave ------------------------------------------------------------------------ */

static const char talkative[] =
    "RCPT TO:<any@mx.example>\r\nRCPT TO:<strict@mx.example>\r\nRCPT TO:<small@mx.example>\r\n"
    "DATA\r\nSubject: x\r\n\r\n" SIMWORLD_EVIL_TEXT "\r\n.\r\n";

static struct simpeer *talkative_begin(struct simworld *w, enum simworld_listener l,
                                       const char *param)
{
    struct simpeer *p = dial(w, l);
    char mail[100];
    snprintf(mail, sizeof(mail), "%s c.example\r\nMAIL FROM:<c@c.example>%s\r\n",
             l == SIMWORLD_LMTP ? "LHLO" : "EHLO", param);
    say(p, mail);
    say(p, talkative);
    return p;
}

/* How many sends the replies to a message take. */
static void sends(struct simworld *w)
{
    static const struct {
        enum pacing pacing;
        uint32_t lmtp, prdr, wrapped; /* with the block opened before: 353 and the refusal */
    } rows[] = {{PACING_TICK, 1, 1, 1}, {PACING_BATCH, 1, 1, 1}, {PACING_EAGER, 3, 5, 5}};
    static const char *const params[] = {"", " PRDR", " XRCPT250"};
    for (size_t row = 0; row < ARRAY_COUNT(rows); row++) {
        struct simworld_setup setup = simworld_setup(1);
        setup.listener.pacing = rows[row].pacing;
        setup.links_replies = false;
        simworld_begin(w, &setup);
        const uint32_t due[] = {rows[row].lmtp, rows[row].prdr, rows[row].wrapped};
        for (size_t i = 0; i < ARRAY_COUNT(params); i++) {
            struct simpeer *p =
                talkative_begin(w, i == 0 ? SIMWORLD_LMTP : SIMWORLD_SMTP, params[i]);
            simworld_run(w, SECONDS(1) / 10);
            uint32_t before = simpeer_sends(p);
            say(p, "MAIL FROM:<c@c.example>");
            say(p, params[i]);
            say(p, "\r\nRCPT TO:<any@mx.example>\r\nRCPT TO:<strict@mx.example>\r\n"
                   "RCPT TO:<small@mx.example>\r\nBDAT 29\r\n" SIMWORLD_EVIL_TEXT "\r\n");
            simworld_run(w, SECONDS(1) / 10);
            before = simpeer_sends(p);
            say(p, "BDAT 0 LAST\r\n");
            simworld_run(w, SECONDS(1) / 10);
            bool is_opened_before = i > 0 && rows[row].pacing != PACING_EAGER;
            CHECK_PEER(w, p, simpeer_sends(p) - before == due[i] + is_opened_before);
            simpeer_reset(p);
        }
        finish(w);
    }
}

/* Under batch the opening leaves at once (PRDR-17, HOL-9), and what it opens all together. */
static void batch_openings(struct simworld *w)
{
    static const struct {
        const char *param;
        const char *early; /* the last of what is there after half a second */
        const char *late;
    } rows[] = {
        {" PRDR", "353 replies per recipient follow\r\n", "\r\n250 2.0.0 stored"},
        {" XRCPT250", "250-2.0.0 +RCPT 3\r\n", "250-250 2.0.0 stored"},
        {" EXDATA", "354 end with CR LF . CR LF\r\n", "558 250 2.0.0 stored"},
    };
    struct simworld_setup setup = simworld_setup(1);
    struct simpeer *peers[ARRAY_COUNT(rows)];
    setup.listener.pacing = PACING_BATCH;
    setup.links_replies = false;
    simworld_begin(w, &setup);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        peers[i] = talkative_begin(w, SIMWORLD_SMTP, rows[i].param);
    sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(150), false);
    simworld_run(w, SECONDS(1) / 2);
    uint32_t sends[ARRAY_COUNT(rows)];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice got = simpeer_received(peers[i]);
        size_t len = strlen(rows[i].early);
        CHECK_PEER(w, peers[i], slice_eq(slice_from(got, got.len - len), slice_str(rows[i].early)));
        sends[i] = simpeer_sends(peers[i]);
    }
    simworld_run(w, SECONDS(130));
    CHECK_PEER(w, peers[1], has_received(peers[1], "250-000 working\r\n250-000 working\r\n"));
    simworld_run(w, SECONDS(30));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CHECK_PEER(w, peers[i], has_received(peers[i], rows[i].late));
        CHECK_PEER(w, peers[i], simpeer_sends(peers[i]) == sends[i] + 1 + (i == 1 ? 2 : 0));
        simpeer_reset(peers[i]);
    }
    finish(w);
}

/* Queue ids are different each time. */
static void mask_ids(uint8_t *text, size_t len)
{
    static const char before[] = "stored as ";
    for (size_t i = 0; i + sizeof(before) - 1 + QUEUE_ID_CHARS <= len; i++)
        if (memcmp(text + i, before, sizeof(before) - 1) == 0)
            memset(text + i + sizeof(before) - 1, '#', QUEUE_ID_CHARS);
}

/* Everything that @d gets in one go, with ids masked; the caller frees it. */
static struct slice said_to(struct simworld *w, const struct dialogue *d)
{
    char text[2048];
    text_make(d, 0, text);
    struct simpeer *p = dial(w, d->listener);
    say(p, text);
    simpeer_shutdown(p);
    await_closed(w, p, SECONDS(1));
    await_home(w, SECONDS(1));
    struct slice got = simpeer_received(p);
    uint8_t *copy = malloc(got.len + 1);
    memcpy(copy, got.ptr, got.len);
    mask_ids(copy, got.len);
    simpeer_forget(p);
    return slice_of(copy, got.len);
}

/* Linked sends are broken at every byte: the client gets exactly what he would have got. */
static void broken_at_every_byte(struct simworld *w)
{
    for (int how = 0; how < 3; how++) {
        struct simworld_setup setup = simworld_setup(1);
        setup.listener.pacing = how == 2 ? PACING_TICK : PACING_EAGER;
        setup.links_replies = how > 0;
        simworld_begin(w, &setup);
        for (size_t d = 0; d < ARRAY_COUNT(dialogues); d++) {
            sim_cut_parts(w->ring, SIZE_MAX);
            struct slice whole = said_to(w, &dialogues[d]);
            for (size_t at = 0; at < 300; at++) {
                sim_cut_parts(w->ring, at);
                struct slice got = said_to(w, &dialogues[d]);
                if (!slice_eq(got, whole))
                    simworld_fail(w, got, dialogues[d].name, __FILE__, __LINE__);
                free((void *)(uintptr_t)got.ptr);
            }
            free((void *)(uintptr_t)whole.ptr);
        }
        sim_cut_parts(w->ring, SIZE_MAX);
        finish(w);
    }
}

static struct simpeer *linked_begin(struct simworld *w)
{
    struct simpeer *p = dial(w, SIMWORLD_LMTP);
    envelope(p, true);
    say(p, "RCPT TO:<small@mx.example>\r\nDATA\r\nSubject: x\r\n\r\nhello\r\n");
    simworld_run(w, 20 * NS_PER_MS);
    CHECK_PEER(w, p, last_code(w, p) == 354);
    return p;
}

/* Replies that wait in the ring for their commit: they leave with it, one peer who does not read
 * delays nobody else in the group, and he gets his when he does. */
static void linked_group(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    struct simpeer *peers[8];
    setup.links_replies = true;
    for (int how = 0; how < 2; how++) {
        setup.listener.pacing = how == 0 ? PACING_TICK : PACING_EAGER;
        simworld_begin(w, &setup);
        for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
            peers[i] = linked_begin(w);
        simpeer_set_reading(peers[3], false, 5);
        sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(1), false);
        for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
            say(peers[i], ".\r\n");
        simworld_run(w, SECONDS(1) - 10 * NS_PER_MS);
        for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
            CHECK_PEER(w, peers[i], last_code(w, peers[i]) == 354);
        simworld_run(w, 60 * NS_PER_MS);
        for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
            if (i == 3)
                continue;
            CHECK_PEER(w, peers[i], count_code(w, peers[i], 250) == 6);
            CHECK_PEER(w, peers[i], simpeer_linked(peers[i]) == (how == 0 ? 1u : 2u));
        }
        CHECK_PEER(w, peers[3], count_code(w, peers[3], 250) == 4);
        simpeer_set_reading(peers[3], true, 0);
        await(w, peers[3], 8, SECONDS(1));
        for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
            say(peers[i], "QUIT\r\n");
            await_closed(w, peers[i], SECONDS(1));
            CHECK_PEER(w, peers[i], codes_of(w, peers[i]).count == 9);
        }
        finish(w);
    }
}

/* The commit fails after its replies were linked to it: 451, and no 2xx before (P1). */
static void linked_failure(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    setup.links_replies = true;
    for (int how = 0; how < 2; how++) {
        simworld_begin(w, &setup);
        struct simpeer *p = linked_begin(w);
        sim_set_faults(w->ring, how == 0 ? 100 : 0, how == 1 ? 100 : 0);
        say(p, ".\r\n");
        while (simpeer_linked(p) == 0)
            simworld_turn(w);
        if (how == 0)
            sim_set_faults(w->ring, 0, 0); /* the note about it can be stored */
        while (spool_counters(w->shard.spool)->write_errors == 0)
            simworld_turn(w);
        sim_set_faults(w->ring, 0, 0);
        await(w, p, 8, SECONDS(1));
        struct codes codes = codes_of(w, p);
        CHECK_PEER(w, p, codes.count == 8 && codes.at[6] == 451 && codes.at[7] == 451);
        simpeer_reset(p);
        await_home(w, SECONDS(1));
        finish(w);
    }
}

/* Nobody waits longer than the reply budget for a disk that does not answer; what was linked to
 * the commit does not reach him after that, and the file is not given to anybody else before. */
static void linked_hung(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    setup.links_replies = true;
    simworld_begin(w, &setup);
    struct simpeer *p = linked_begin(w);
    sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(400), false);
    say(p, ".\r\n");
    simworld_run(w, SECONDS(300));
    CHECK_PEER(w, p, simpeer_is_ended(p) && !simpeer_is_closed(p));
    CHECK_PEER(w, p, simpeer_linked(p) == 1 && last_code(w, p) == 354);
    talk(w, SECONDS(1));
    simworld_run(w, SECONDS(110));
    CHECK_PEER(w, p, simpeer_is_closed(p) && last_code(w, p) == 354);
    /* The kernel takes its time with what was linked: the client is not to blame for that. */
    bystander(w, SECONDS(1));    /* leaves nothing without a sync behind, */
    simworld_run(w, SECONDS(5)); /* once what is said about its reply is written */
    p = linked_begin(w);
    say(p, ".\r\n");
    while (simpeer_linked(p) == 0)
        simworld_turn(w);
    sim_set_network(w->ring, SECONDS(1000));
    await(w, p, 8, SECONDS(1000));
    sim_set_network(w->ring, NS_PER_MS);
    CHECK_PEER(w, p, last_code(w, p) == 250);
    simpeer_reset(p);
    await_home(w, SECONDS(10));
    /* A sign of life would come between what was worked out and what is said: there is none. */
    bystander(w, SECONDS(1));
    simworld_run(w, SECONDS(5));
    p = dial(w, SIMWORLD_SMTP);
    say(p, "EHLO c.example\r\nMAIL FROM:<c@c.example> PRDR\r\nRCPT TO:<any@mx.example>\r\n"
           "RCPT TO:<small@mx.example>\r\nDATA\r\n");
    await(w, p, 6, SECONDS(1));
    sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(200), false);
    say(p, ".\r\n");
    simworld_run(w, SECONDS(199));
    CHECK_PEER(w, p, simpeer_linked(p) == 1 && last_code(w, p) == 354);
    await(w, p, 7, SECONDS(2));
    CHECK_PEER(w, p, last_code(w, p) == 250);
    simpeer_reset(p);
    finish(w);
}

/* --- drain and reload ------------------------------------------------------------------------- */

static void drain_make(struct simworld *w, struct simpeer *peers[8])
{
    static const char *const says[8] = {
        "",
        "EHLO c.example\r\n",
        "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\n",
        "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\n",
        "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\nDATA\r\n",
        "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT "
        "TO:<any@mx.example>\r\nDATA\r\nx\r\n.\r\n",
        "EHLO c.example\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\nBDAT 5\r\nab",
        "EHLO c.example\r\nBDAT 5\r\nab"};
    for (int i = 0; i < 8; i++) {
        peers[i] = dial(w, SIMWORLD_SMTP);
        say(peers[i], says[i]);
    }
}

static void drain(struct simworld *w)
{
    for (int how = 0; how < 3; how++) {
        struct simpeer *peers[8];
        begin(w);
        if (how == 2)
            sim_set_disk(w->ring, 200 * NS_PER_MS);
        drain_make(w, peers);
        simworld_run(w, how == 0 ? SECONDS(1) : 5 * NS_PER_MS);
        shard_drain(&w->shard, ring_now(w->ring) + SECONDS(5));
        simworld_run(w, 500 * NS_PER_MS);
        if (!simpeer_is_ended(peers[4])) /* what was begun may be finished */
            say(peers[4], "hello\r\n.\r\nMAIL FROM:<c@c.example>\r\n");
        simworld_drain(w, SECONDS(5));
        for (int i = 0; i < 8; i++)
            CHECK_PEER(w, peers[i],
                       simpeer_received(peers[i]).len == 0 || last_code(w, peers[i]) == 421);
        CHECK_PEER(w, peers[5],
                   count_code(w, peers[5], 354) == 0 || count_code(w, peers[5], 250) == 4);
        if (how == 0)
            CHECK_PEER(w, peers[4], count_code(w, peers[4], 250) == 4);
        simworld_check_home(w);
        simworld_end(w);
        simworld_remove(w);
    }
}

/* Who has no recipient is idle, whatever he was refused: he hears 421 at once. */
static void drain_idle(struct simworld *w)
{
    static const char *const says[] = {
        "MAIL FROM:<c@c.example> PRDR EXDATA\r\n",
        "MAIL FROM:<c@c.example> SIZE=999999999\r\n",
        "MAIL FROM:<c@c.example>\r\n",
        "MAIL FROM:<c@c.example>\r\nRCPT TO:<nobody@mx.example>\r\n",
        "MAIL FROM:<c@c.example>\r\nRCPT TO:<nobody@mx.example>\r\nDATA\r\n",
        "MAIL FROM:<c@c.example>\r\nRCPT TO:<nobody@mx.example>\r\nRCPT TO:<any@m",
        "MAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\nRSET\r\n",
        "MAIL FROM:<c@c.example>\r\nRCPT TO:<nobody@mx.example>\r\nBDAT 5\r\nab",
    };
    for (int l = 0; l < SIMWORLD_LISTENER_COUNT; l++) {
        struct simpeer *peers[ARRAY_COUNT(says)];
        begin(w);
        for (size_t i = 0; i < ARRAY_COUNT(says); i++) {
            peers[i] = dial(w, (enum simworld_listener)l);
            say(peers[i], l == SIMWORLD_LMTP ? "LHLO c.example\r\n" : "EHLO c.example\r\n");
            say(peers[i], says[i]);
        }
        simworld_run(w, SECONDS(1));
        shard_drain(&w->shard, ring_now(w->ring) + SECONDS(30));
        simworld_run(w, SECONDS(1));
        for (size_t i = 0; i < ARRAY_COUNT(says); i++)
            CHECK_PEER(w, peers[i], last_code(w, peers[i]) == 421 && simpeer_is_ended(peers[i]));
        simworld_run(w, SECONDS(3));
        CHECK_WORLD(w, w->shard.is_stopped);
        simworld_check_home(w);
        simworld_end(w);
        simworld_remove(w);
    }
}

/* The deadline comes while a commit is under way: no reply would be true. */
static void drain_forced(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    struct simpeer *peers[8];
    simworld_begin(w, &setup);
    sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(5), false);
    drain_make(w, peers);
    simworld_run(w, SECONDS(1));
    shard_drain(&w->shard, ring_now(w->ring));
    while (!w->shard.is_stopped) {
        simworld_turn(w);
        CHECK_WORLD(w, ring_now(w->ring) < SECONDS(100));
    }
    CHECK_PEER(w, peers[5], last_code(w, peers[5]) == 354);
    for (int i = 0; i < 8; i++)
        CHECK_PEER(w, peers[i], i == 5 || last_code(w, peers[i]) == 421);
    simworld_check_home(w);
    simworld_end(w);
    CHECK_WORLD(w, store_count(w->store) == 1);
    simworld_remove(w);
}

/* The disk does not answer at all: the shard stops nevertheless, and says what that means. */
static void drain_hung(struct simworld *w)
{
    for (int how = 0; how < 2; how++) {
        struct simworld_setup setup = simworld_setup(1);
        struct simpeer *peers[8];
        setup.listener.session.size_max = 2 * MIB;
        simworld_begin(w, &setup);
        bystander(w, SECONDS(1));
        sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(1000), how == 1);
        drain_make(w, peers);
        struct simpeer *large = dial(w, SIMWORLD_LMTP); /* its body is in flight, nothing else */
        envelope(large, true);
        say(large, "DATA\r\nSubject: big\r\n\r\n");
        say_lines(large, MIB);
        struct simpeer *small = dial(w, SIMWORLD_LMTP);
        envelope(small, true);
        say(small, "DATA\r\nMessage-ID: <run-00000@sim.example>\r\n\r\n.\r\n");
        simworld_run(w, SECONDS(1));
        clock_ns deadline = ring_now(w->ring) + SECONDS(3);
        shard_drain(&w->shard, deadline);
        while (!w->shard.is_stopped) {
            simworld_turn(w);
            CHECK_WORLD(w, ring_now(w->ring) < deadline + SHARD_HUNG_NS + SECONDS(2));
        }
        CHECK_WORLD(w, w->shard.is_hung && ring_now(w->ring) >= deadline + SHARD_HUNG_NS);
        CHECK_WORLD(w, w->shard.conn_count == 0 && pool_used_count(&w->shard.txns) == 3);
        CHECK_PEER(w, peers[5], last_code(w, peers[5]) == 354 && simpeer_is_closed(peers[5]));
        CHECK_PEER(w, small, last_code(w, small) == 354 && simpeer_is_closed(small));
        CHECK_PEER(w, large, last_code(w, large) == 421);
        if (how == 0)
            CHECK_WORLD(w,
                        simworld_logged(w, "event=stopped_hung shard=0 messages_in_doubt=1") == 1);
        simworld_run(w, SECONDS(1100)); /* in doubt, indeed: if the disk comes back after all */
        simworld_check_home(w);
        simworld_end(w);
        CHECK_WORLD(w, store_count(w->store) == 2); /* what had not begun was dropped */
        simworld_remove(w);
    }
}

/* What the session refuses itself is written down as what policy refuses, and never at length. */
static void refusals_are_logged(struct simworld *w)
{
    char line[2048];
    struct simworld_setup setup = simworld_setup(1);
    setup.listener.session.rcpt_max = 2;
    simworld_begin(w, &setup);
    struct simpeer *p = dial(w, SIMWORLD_SMTP);
    snprintf(line, sizeof(line), "RCPT TO:%01500d\r\n", 0);
    say(p, "EHLO c.example\r\n"
           "MAIL FROM:<c@c.example> SIZE=1000001\r\n"
           "MAIL FROM:<c@c.example> PRDR EXDATA\r\n"
           "MAIL FROM:<c c@c.example>\r\n"
           "MAIL FROM:<c@c.example>\r\n"
           "RCPT TO:<any@mx.example> X=1\r\n"
           "RCPT TO:<any@mx.example>\r\nRCPT TO:<any@mx.example>\r\n"
           "RCPT TO:<third@mx.example>\r\n");
    say(p, line);
    say(p, "BDAT 1000001\r\n");
    await(w, p, 12, SECONDS(1));
    CHECK_PEER(w, p, last_code(w, p) == 552);
    simpeer_reset(p);
    CHECK_WORLD(w, simworld_logged(w, "event=refused ") == 4);
    CHECK_WORLD(w,
                simworld_logged(w, "from=c@c.example command=MAIL code=552 reason=too_big") == 1);
    CHECK_WORLD(w, simworld_logged(w, "command=MAIL code=501 reason=two_dialects") == 1);
    CHECK_WORLD(w, simworld_logged(w, "command=MAIL code=501 reason=bad_path_sender") == 1);
    CHECK_WORLD(w, simworld_logged(w, "command=content code=552 reason=too_big") == 1);
    CHECK_WORLD(w, simworld_logged(w, "event=rcpt_refused ") == 3);
    CHECK_WORLD(w, simworld_logged(w, "rcpt=third@mx.example code=452 reason=too_many_rcpts") == 1);
    CHECK_WORLD(w, simworld_logged(w, "code=555 reason=unknown_parameter") == 1);
    CHECK_WORLD(w, simworld_logged(w, "0000 code=501 reason=bad_path_rcpt") == 1);
    snprintf(line, sizeof(line), "%0300d", 0);
    CHECK_WORLD(w, simworld_logged(w, line) == 0);
    CHECK_WORLD(w, simworld_logged(w, "rcpts=2 rcpts_refused=3 ") == 1);
    finish(w);
}

/* A transaction keeps the policy that it began with. */
static void reload(struct simworld *w)
{
    begin(w);
    struct simpeer *p = dial(w, SIMWORLD_SMTP);
    envelope(p, false);
    await(w, p, 4, SECONDS(1));
    simworld_replace(w, true);
    say(p, "RCPT TO:<strict@mx.example>\r\nDATA\r\nhello\r\n");
    await(w, p, 6, SECONDS(1));
    simworld_replace(w, true);
    say(p, ".\r\nMAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\n");
    await(w, p, 9, SECONDS(1));
    CHECK_PEER(w, p, codes_of(w, p).at[4] == 250 && codes_of(w, p).at[6] == 250);
    CHECK_PEER(w, p, last_code(w, p) == 550);
    simworld_replace(w, false);
    say(p, "RCPT TO:<any@mx.example>\r\nRSET\r\n");
    say(p, "MAIL FROM:<c@c.example>\r\nRCPT TO:<any@mx.example>\r\nQUIT\r\n");
    await_closed(w, p, SECONDS(3));
    CHECK_PEER(w, p, codes_of(w, p).at[9] == 550 && codes_of(w, p).at[12] == 250);
    finish(w);
}

/* --- table ------------------------------------------------------------------------------------ */

/* How replies leave changes nothing but when they do: every case in every way, unless it is about
 * what one of them is for. */
static const struct way {
    const char *name;
    enum pacing pacing;
    bool is_linked;
} ways[] = {
    {"tick", PACING_TICK, false},          {"batch", PACING_BATCH, false},
    {"eager", PACING_EAGER, false},        {"tick, linked", PACING_TICK, true},
    {"eager, linked", PACING_EAGER, true},
};

enum scope {
    ANY_WAY,
    LONG,          /* it takes a while: the first and the last way only */
    OWN_WAY,       /* it says itself how they leave */
    SIGNS_OF_LIFE, /* replies are expected while the store works: nothing is linked to it, and none
                      is held back */
};

static const struct {
    const char *name;
    void (*run)(struct simworld *w);
    enum scope scope;
} cases[] = {
    {"slow_typist", slow_typist, ANY_WAY},
    {"command_timeout", command_timeout, ANY_WAY},
    {"content_timeouts", content_timeouts, ANY_WAY},
    {"session_timeout", session_timeout, ANY_WAY},
    {"mute", mute, ANY_WAY},
    {"mute_flood", mute_flood, ANY_WAY},
    {"garbage", garbage, ANY_WAY},
    {"oversize", oversize, ANY_WAY},
    {"scarce_buffers", scarce_buffers, ANY_WAY},
    {"evacuation", evacuation, ANY_WAY},
    {"too_many_connections", too_many_connections, ANY_WAY},
    {"store_full", store_full, ANY_WAY},
    {"store_broken", store_broken, ANY_WAY},
    {"decision_timeout", decision_timeout, ANY_WAY},
    {"slow_store", slow_store, ANY_WAY},
    {"hung_store", hung_store, LONG},
    {"flood", flood, LONG},
    {"early_replies", early_replies, SIGNS_OF_LIFE},
    {"early_replies_in_time", early_replies_in_time, SIGNS_OF_LIFE},
    {"early_openings", early_openings, SIGNS_OF_LIFE},
    {"sends", sends, OWN_WAY},
    {"batch_openings", batch_openings, OWN_WAY},
    {"broken_at_every_byte", broken_at_every_byte, OWN_WAY},
    {"linked_group", linked_group, OWN_WAY},
    {"linked_failure", linked_failure, OWN_WAY},
    {"linked_hung", linked_hung, OWN_WAY},
    {"drain", drain, ANY_WAY},
    {"drain_idle", drain_idle, ANY_WAY},
    {"drain_forced", drain_forced, ANY_WAY},
    {"drain_hung", drain_hung, ANY_WAY},
    {"refusals_are_logged", refusals_are_logged, ANY_WAY},
    {"reload", reload, ANY_WAY},
    {"cut_everywhere", cut_everywhere, LONG},
};

int main(int argc, char **argv)
{
    static struct simworld w;
    uint32_t count = 0;
    if (testscan_init() < 0)
        return 77;
    for (size_t i = 0; i < ARRAY_COUNT(cases) * ARRAY_COUNT(ways); i++) {
        const struct way *way = &ways[i % ARRAY_COUNT(ways)];
        size_t number = i / ARRAY_COUNT(ways);
        if (argc > 1 && strcmp(argv[1], cases[number].name) != 0)
            continue;
        if (cases[number].scope == SIGNS_OF_LIFE && (way->is_linked || way->pacing == PACING_BATCH))
            continue;
        if (cases[number].scope == OWN_WAY && way != ways)
            continue;
        if (cases[number].scope == LONG && way != ways && way != ways + ARRAY_COUNT(ways) - 1)
            continue;
        printf("%s (%s)\n", cases[number].name, way->name);
        fflush(stdout);
        simworld_set_sending(way->pacing, way->is_linked);
        cases[number].run(&w);
        count++;
    }
    printf("%u cases passed\n", count);
    return count > 0 ? 0 : 1;
}
