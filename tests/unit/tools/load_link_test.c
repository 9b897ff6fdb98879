/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_link_test.c - a link and a peer by script, in virtual time: what is sent, what is learned,
 * and what every clock shows, to the nanosecond.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "load/link.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS NS_PER_MS
#define SECOND NS_PER_S
#define RCPTS_MAX 10
#define START (1000 * SECOND)

struct rig {
    struct link link;
    struct link_config config;
    struct load_stats *stats;
    struct pool carries;
    struct message_set *messages;
    struct job_shape shape;
    struct job *job;
    clock_ns now;
    bool is_bytewise;
    char events[64]; /* R ready, D done, C closed */
    char out[65536];
};

static void setup(struct rig *r, const char *rcpts, const char *size)
{
    char text[200];
    struct message_options options = {
        .run = 1,
        .seed = 1,
        .hostname = "c.example",
        .sender = "s@c.example",
        .rcpt = "u%i@d.example",
        .rcpt_users = 1,
    };
    memset(r, 0, sizeof(*r));
    assert_int_equal(
        dist_parse(&options.rcpt_count, rcpts, DIST_NUMBER, 1, RCPTS_MAX, text, sizeof(text)), 0);
    assert_int_equal(dist_parse(&options.size, size, DIST_BYTES, 0, MIB, text, sizeof(text)), 0);
    assert_int_equal(message_set_new(&options, &r->messages, text, sizeof(text)), 0);
    assert_int_equal(load_stats_new(10000, &r->stats), 0);
    assert_int_equal(pool_init(&r->carries, LINK_CARRY_BYTES, 4), 0);
    r->shape = (struct job_shape){RCPTS_MAX, 128};
    r->job = calloc(1, job_bytes(&r->shape));
    assert_non_null(r->job);
    r->config.client.hostname = slice_str("c.example");
    r->config.timeouts.connect_ns = 30 * SECOND;
    r->config.timeouts.tls_ns = 40 * SECOND;
    for (uint32_t i = 0; i < CLIENT_PHASE_COUNT; i++)
        r->config.client.timeouts_ns[i] = (100 + i) * SECOND;
    r->now = START;
    r->stats->began_at = START;
    link_init(&r->link, &r->config, r->stats, &r->carries);
}

static void teardown(struct rig *r)
{
    link_deinit(&r->link);
    assert_int_equal(pool_used_count(&r->carries), 0);
    pool_deinit(&r->carries);
    load_stats_free(r->stats);
    message_set_free(r->messages);
    free(r->job);
}

/* A job that was due @late_ns ago. */
static struct job *make_job(struct rig *r, uint64_t late_ns)
{
    job_make(r->job, &r->shape, r->messages, 7, 0, NULL);
    r->job->planned_at = r->now - late_ns;
    r->job->is_measured = true;
    return r->job;
}

static void pump(struct rig *r)
{
    for (enum link_event ev; (ev = link_next(&r->link, r->now)) != LINK_EV_MORE;) {
        size_t len = strlen(r->events);
        assert_true(len + 2 < sizeof(r->events));
        r->events[len] = ev == LINK_EV_READY ? 'R' : ev == LINK_EV_DONE ? 'D' : 'C';
        r->events[len + 1] = '\0';
        if (ev == LINK_EV_DONE)
            assert_ptr_equal(link_take_job(&r->link), r->job);
    }
}

static void say(struct rig *r, const char *text)
{
    size_t step = r->is_bytewise ? 1 : strlen(text);
    for (size_t i = 0; i < strlen(text); i += step) {
        char piece[4096]; /* gone when the call is over, as a receive buffer is */
        memcpy(piece, text + i, step);
        link_input(&r->link, slice_of(piece, step));
        pump(r);
        memset(piece, '!', sizeof(piece));
    }
}

/* Hands everything out; what was sent stays in r->out. */
static void hand_out(struct rig *r)
{
    static uint8_t memory[20 * KIB];
    size_t len = 0;
    for (bool has_more = true; has_more;) {
        struct buf scratch = buf_over(memory, sizeof(memory));
        struct slices parts;
        has_more = link_output(&r->link, r->now, &scratch, &parts);
        for (uint32_t i = 0; i < parts.count; i++) {
            assert_true(len + parts.at[i].len < sizeof(r->out));
            memcpy(r->out + len, parts.at[i].ptr, parts.at[i].len);
            len += parts.at[i].len;
        }
    }
    r->out[len] = '\0';
}

static void sends(struct rig *r, const char *text)
{
    hand_out(r);
    assert_string_equal(r->out, text);
    link_sent(&r->link, r->now, r->now);
    pump(r);
}

static void sends_content(struct rig *r)
{
    hand_out(r);
    assert_non_null(strstr(r->out, "<pl.0000000000000001.7@c.example>"));
    assert_non_null(strstr(r->out, "\r\n.\r\n"));
    link_sent(&r->link, r->now, r->now);
    pump(r);
}

static void after(struct rig *r, uint64_t ns)
{
    r->now += ns;
}

static void dial(struct rig *r, struct job *job)
{
    link_dial(&r->link, job, r->now);
    link_connected(&r->link, false, r->now);
    say(r, "220 mx.example\r\n");
    sends(r,
          r->config.client.protocol == CLIENT_LMTP ? "LHLO c.example\r\n" : "EHLO c.example\r\n");
}

/* Everything up to the end of the content, at once. */
static void up_to_dot(struct rig *r, uint32_t rcpt_count)
{
    dial(r, make_job(r, 0));
    say(r, "250 mx.example\r\n");
    hand_out(r);
    link_sent(&r->link, r->now, r->now);
    for (uint32_t i = 0; i < 1 + rcpt_count; i++) {
        say(r, "250 2.0.0 ok\r\n");
        hand_out(r);
        link_sent(&r->link, r->now, r->now);
    }
    assert_string_equal(r->out, "DATA\r\n");
    say(r, "354 go\r\n");
    sends_content(r);
}

static void expect_phase(struct rig *r, enum load_phase phase, uint64_t total, uint64_t ns,
                         uint64_t lag_ns)
{
    const struct hist *actual = &r->stats->actual[phase], *planned = &r->stats->planned[phase];
    assert_int_equal(actual->total, total);
    if (total == 0)
        return;
    assert_int_equal(actual->min, ns);
    assert_int_equal(actual->max, ns);
    assert_int_equal(planned->max, ns + lag_ns);
}

/* --- clocks ----------------------------------------------------------------------------------- */

static void clocks(bool is_bytewise)
{
    struct rig r;
    setup(&r, "1", "2000");
    r.is_bytewise = is_bytewise;
    link_dial(&r.link, make_job(&r, 50 * MS), r.now);
    after(&r, 5 * MS);
    link_connected(&r.link, false, r.now);
    after(&r, 7 * MS);
    say(&r, "220 mx.example\r\n");
    sends(&r, "EHLO c.example\r\n");
    after(&r, 3 * MS);
    say(&r, "250-mx.example\r\n250-PIPELINING\r\n250 SIZE 100000\r\n");
    sends(&r, "MAIL FROM:<s@c.example> SIZE=2000\r\n");
    after(&r, 11 * MS);
    say(&r, "250 2.1.0 ok\r\n");
    sends(&r, "RCPT TO:<u0@d.example>\r\n");
    after(&r, 13 * MS);
    say(&r, "250 2.1.5 ok\r\n");
    sends(&r, "DATA\r\n");
    after(&r, 17 * MS);
    say(&r, "354 go\r\n");
    hand_out(&r);
    after(&r, 100 * MS); /* the socket is full for so long */
    link_sent(&r.link, r.now, r.now);
    pump(&r);
    after(&r, 19 * MS);
    say(&r, "250 2.0.0 queued\r\n");
    assert_string_equal(r.events, "DR");
    expect_phase(&r, LOAD_PHASE_CONNECT, 1, 5 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_TLS, 0, 0, 0);
    expect_phase(&r, LOAD_PHASE_GREETING, 1, 7 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_EHLO, 1, 3 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_MAIL, 1, 11 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_RCPT, 1, 13 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_DATA, 1, 17 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_CONTENT, 1, 100 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_FIRST_REPLY, 1, 19 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_EACH_REPLY, 1, 19 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_LAST_REPLY, 1, 19 * MS, 50 * MS);
    expect_phase(&r, LOAD_PHASE_WHOLE, 1, 175 * MS, 50 * MS);
    assert_int_equal(job_fate(r.job, 0), ATTEMPT_ACCEPTED);
    assert_int_equal(r.job->cause, ATTEMPT_CAUSE_REPLY);
    assert_int_equal(r.job->sent, ATTEMPT_SENT_ALL);
    assert_int_equal(r.job->replies_seen, 1);
    assert_int_equal(r.job->replies_due, 1);
    assert_int_equal(r.stats->sizes.max, 2000);
    teardown(&r);
}

static void test_clocks(void **state)
{
    (void)state;
    clocks(false);
    clocks(true);
}

/* A pipelined group leaves at once, and each of its phases counts from there. */
static void test_pipelined_clocks(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "2", "500");
    r.config.client.pipelining = CLIENT_PIPELINE_ENVELOPE;
    dial(&r, NULL);
    say(&r, "250-mx.example\r\n250 PIPELINING\r\n");
    assert_string_equal(r.events, "R");
    link_begin(&r.link, make_job(&r, 0), r.now);
    sends(&r, "MAIL FROM:<s@c.example>\r\nRCPT TO:<u0@d.example>\r\nRCPT TO:<u1@d.example>\r\n"
              "DATA\r\n");
    after(&r, 4 * MS);
    say(&r, "250 ok\r\n250 ok\r\n450 4.2.1 later\r\n354 go\r\n");
    expect_phase(&r, LOAD_PHASE_MAIL, 1, 4 * MS, 0);
    expect_phase(&r, LOAD_PHASE_RCPT, 2, 4 * MS, 0);
    expect_phase(&r, LOAD_PHASE_DATA, 1, 4 * MS, 0);
    sends_content(&r);
    after(&r, 2 * MS);
    say(&r, "550 5.7.1 no\r\n");
    assert_string_equal(r.events, "RDR");
    expect_phase(&r, LOAD_PHASE_CONNECT, 1, 0, 0);
    expect_phase(&r, LOAD_PHASE_WHOLE, 1, 6 * MS, 0);
    assert_int_equal(job_fate(r.job, 0), ATTEMPT_REFUSED);
    assert_int_equal(job_fate(r.job, 1), ATTEMPT_DEFERRED);
    teardown(&r);
}

/* Before the warm-up is over nothing is recorded. */
static void test_warmup(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "1", "500");
    r.stats->measure_at = START + SECOND;
    dial(&r, NULL);
    say(&r, "250 mx.example\r\n");
    struct job *job = make_job(&r, 0);
    job->is_measured = false;
    link_begin(&r.link, job, r.now);
    sends(&r, "MAIL FROM:<s@c.example>\r\n");
    say(&r, "550 no\r\n");
    assert_string_equal(r.events, "RDR");
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT; p++)
        expect_phase(&r, (enum load_phase)p, 0, 0, 0);
    assert_int_equal(r.stats->counters.connects, 0);
    teardown(&r);
}

/* --- LMTP and PRDR ---------------------------------------------------------------------------- */

/* duplicates.md 4: work of 60 s, then 30 s a recipient, ten recipients, a client limit of 300 s. */
static void reference_experiment(bool is_total, uint32_t accepted_expected)
{
    struct rig r;
    setup(&r, "10", "500");
    r.config.client.protocol = CLIENT_LMTP;
    r.config.client.timeouts_ns[CLIENT_PHASE_DONE] = 300 * SECOND;
    r.config.timeouts.restarts[CLIENT_PHASE_DONE] =
        is_total ? LINK_RESTART_TOTAL : LINK_RESTART_RESET;
    up_to_dot(&r, 10);
    clock_ns dot_at = r.now;
    for (uint32_t k = 0; k < 10 && strlen(r.events) == 0; k++) {
        clock_ns reply_at = dot_at + (60 + 30 * (k + 1)) * SECOND;
        if (link_deadline(&r.link) < reply_at) {
            r.now = link_deadline(&r.link);
            link_expire(&r.link, r.now);
            pump(&r);
            break;
        }
        r.now = reply_at;
        say(&r, "250 2.0.0 ok\r\n");
        assert_int_equal(r.stats->reply_k[k].max, reply_at - dot_at);
    }
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(job_fate(r.job, i),
                         i < accepted_expected ? ATTEMPT_ACCEPTED : ATTEMPT_UNKNOWN);
    assert_int_equal(r.job->replies_seen, accepted_expected);
    assert_int_equal(r.job->replies_due, 10);
    if (accepted_expected < 10) {
        assert_string_equal(r.events, "DC");
        assert_int_equal(r.now, dot_at + 300 * SECOND);
        assert_int_equal(r.job->cause, ATTEMPT_CAUSE_TIMEOUT);
        assert_int_equal(r.job->phase, CLIENT_PHASE_DONE);
        assert_int_equal(r.stats->counters.timeouts[CLIENT_PHASE_DONE], 1);
        expect_phase(&r, LOAD_PHASE_LAST_REPLY, 0, 0, 0);
    } else {
        assert_string_equal(r.events, "DR");
        expect_phase(&r, LOAD_PHASE_LAST_REPLY, 1, 360 * SECOND, 0);
    }
    expect_phase(&r, LOAD_PHASE_FIRST_REPLY, 1, 90 * SECOND, 0);
    assert_int_equal(r.stats->actual[LOAD_PHASE_EACH_REPLY].total, accepted_expected);
    teardown(&r);
}

static void test_reference_experiment(void **state)
{
    (void)state;
    reference_experiment(false, 10);
    reference_experiment(true, 8);
}

static void test_prdr(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "2", "500");
    r.config.client.dialects = SESSION_OFFER_PRDR;
    r.config.client.pipelining = CLIENT_PIPELINE_ENVELOPE;
    dial(&r, make_job(&r, 0));
    say(&r, "250-mx.example\r\n250-PIPELINING\r\n250 PRDR\r\n");
    hand_out(&r);
    assert_non_null(strstr(r.out, " PRDR\r\n"));
    link_sent(&r.link, r.now, r.now);
    say(&r, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    sends_content(&r);
    after(&r, 1 * MS);
    say(&r, "353 each\r\n");
    after(&r, 1 * MS);
    say(&r, "250 2.1.5 yes\r\n");
    after(&r, 1 * MS);
    say(&r, "550 5.7.1 no\r\n");
    after(&r, 1 * MS);
    say(&r, "250 2.0.0 done\r\n");
    assert_string_equal(r.events, "DR");
    assert_int_equal(job_fate(r.job, 0), ATTEMPT_ACCEPTED);
    assert_int_equal(job_fate(r.job, 1), ATTEMPT_REFUSED);
    expect_phase(&r, LOAD_PHASE_FIRST_REPLY, 1, 1 * MS, 0);
    expect_phase(&r, LOAD_PHASE_LAST_REPLY, 1, 4 * MS, 0);
    assert_int_equal(r.stats->reply_k[0].max, 2 * MS);
    assert_int_equal(r.job->replies_seen, 3);
    assert_int_equal(r.job->replies_due, 3);
    teardown(&r);
}

/* --- every dialect ---------------------------------------------------------------------------- */

#define LOST "lost"

/* One reply line a millisecond, or the end of the connection. */
struct dialect_run {
    const char *keyword;
    enum dialect dialect;
    const char *rcpts[3];    /* replies to RCPT, or DRCP */
    const char *replies[10]; /* behind the content */
    const char *fates;       /* a letter each: accepted, deferred, refused, unknown */
    uint32_t seen, due;
    uint64_t first_ms; /* 0: no reply at all */
    uint64_t k_ms[4];  /* the k-th, from 1; 0: it did not come */
    bool is_lmtp;
};

#define OK3                                                                                        \
    {                                                                                              \
        "250 2.1.5 ok", "250 2.1.5 ok", "250 2.1.5 ok"                                             \
    }
#define NO2                                                                                        \
    {                                                                                              \
        "250 2.1.5 ok", "550 5.1.1 no", "250 2.1.5 ok"                                             \
    }
#define LATER                                                                                      \
    {                                                                                              \
        "352 later", "250 2.1.5 ok", "352 later"                                                   \
    }
#define W_OPEN "250-2.0.0 +RCPT 3"

/* clang-format off */
static const struct dialect_run dialect_runs[] = {
    {NULL, DIALECT_SMTP, OK3, {"250 ok"}, "aaa", 1, 1, 1, {1}, false},
    {NULL, DIALECT_SMTP, NO2, {LOST}, "uru", 0, 1, 0, {0}, false},
    {NULL, DIALECT_LMTP, NO2, {"250 ok", "452 4.2.2 full"}, "ard", 2, 2, 1, {1, 2}, true},
    {NULL, DIALECT_LMTP, OK3, {"250 ok", LOST}, "auu", 1, 3, 1, {1}, true},
    {"PRDR", DIALECT_PRDR, OK3, {"353 each", "250 ok", "550 no", "452 full", "250 ok"}, "ard", 4, 4,
     1, {2, 3, 4, 5}, false},
    {"PRDR", DIALECT_PRDR, NO2, {"353 each", "250 ok", LOST}, "uru", 1, 3, 1, {2}, false},
    {"PRDR", DIALECT_PRDR, OK3, {"450 later"}, "ddd", 1, 1, 1, {1}, false},
    {"DEFERRALS", DIALECT_DEFERRALS, LATER, {"353 each", "550 no", "250 ok", "250 ok"}, "raa", 3, 3,
     1, {2, 3, 4}, false},
    {"DEFERRALS", DIALECT_DEFERRALS, LATER, {"353 each", "550 no", LOST}, "uuu", 1, 3, 1, {2},
     false},
    {"INLINE-DSN", DIALECT_INLINE_DSN, LATER, {"353 each", "550 no", "452 full", "250 end"}, "rad",
     3, 3, 1, {2, 3, 4}, false},
    {"INLINE-DSN", DIALECT_INLINE_DSN, LATER, {"353 each", "550 no", "250 ok", LOST}, "uuu", 2, 3, 1,
     {2, 3}, false},
    {"XPRDR1", DIALECT_XPRDR1, NO2, {"250 ok", "550 no", "250 ok"}, "arr", 3, 3, 1, {1, 2, 3},
     false},
    {"XPRDR1", DIALECT_XPRDR1, OK3, {"250 ok", "250 ok", "250 ok", LOST}, "uuu", 3, 4, 1, {1, 2, 3},
     false},
    {"EXDATA", DIALECT_EXDATA, OK3, {"558-250 ok", "558-550-no", "558-550 no", "558 452 full"},
     "ard", 3, 3, 1, {1, 3, 4}, false},
    {"EXDATA", DIALECT_EXDATA, NO2, {"558-250 ok", LOST}, "aru", 1, 2, 1, {1}, false},
    {"EXDATA", DIALECT_EXDATA, OK3, {"558-250 ok", "558 550 no"}, "aru", 2, 3, 1, {1, 2}, false},
    {"EXDATA", DIALECT_EXDATA, OK3, {"250 ok"}, "aaa", 1, 1, 1, {1}, false},
    {"XRCPT250", DIALECT_XRCPT250, OK3,
     {W_OPEN, "250-250 ok", "250-000 working", "250-550 no", "250-452 full", "250 2.0.0 +END"},
     "ard", 4, 4, 1, {2, 4, 5, 6}, false},
    {"XRCPT250", DIALECT_XRCPT250, OK3, {W_OPEN, "250-250 ok", "250-550-no", LOST}, "auu", 1, 4, 1,
     {2}, false},
    {"XRCPT250B", DIALECT_XRCPT250B, OK3, {W_OPEN, "250-550 no", LOST}, "raa", 1, 4, 1, {2}, false},
    {"XRCPT250B", DIALECT_XRCPT250B, OK3, {LOST}, "uuu", 0, 1, 0, {0}, false},
    {"ADAT", DIALECT_ADAT, NO2, {"355 who", "250 ok", "550 no", "452 full", "250 ok"}, "ard", 4, 4,
     1, {2, 3, 4, 5}, false},
    {"ADAT", DIALECT_ADAT, NO2, {"355 who", "250 ok", "550 no", LOST}, "uuu", 2, 4, 1, {2, 3},
     false},
    {"ADAT", DIALECT_ADAT, NO2, {"452 full"}, "ddd", 1, 1, 1, {1}, false},
};
/* clang-format on */

static void send_all(struct rig *r)
{
    hand_out(r);
    if (r->out[0] == '\0')
        return;
    link_sent(&r->link, r->now, r->now);
    pump(r);
}

/* Up to the end of the content, each command by itself. */
static void begin_dialect(struct rig *r, const struct dialect_run *run)
{
    char text[200];
    r->config.client.dialects = SESSION_OFFER_DIALECTS;
    if (run->is_lmtp)
        r->config.client.protocol = CLIENT_LMTP;
    dial(r, make_job(r, 0));
    snprintf(text, sizeof(text), "250-mx.example\r\n%s%s%s250 PIPELINING\r\n",
             run->keyword != NULL ? "250-" : "", run->keyword != NULL ? run->keyword : "",
             run->keyword != NULL ? "\r\n" : "");
    say(r, text);
    send_all(r);
    say(r, "250 2.1.0 ok\r\n");
    send_all(r);
    for (uint32_t i = 0; i < ARRAY_COUNT(run->rcpts) && run->dialect != DIALECT_ADAT; i++) {
        snprintf(text, sizeof(text), "%s\r\n", run->rcpts[i]);
        say(r, text);
        send_all(r);
    }
    say(r, "354 go\r\n");
    sends_content(r);
}

static void play_dialect(const struct dialect_run *run, bool is_bytewise)
{
    struct rig r;
    char fates[8] = "", text[200];
    setup(&r, "3", "500");
    r.is_bytewise = is_bytewise;
    begin_dialect(&r, run);
    for (uint32_t i = 0; i < ARRAY_COUNT(run->replies) && run->replies[i] != NULL; i++) {
        after(&r, 1 * MS);
        if (strcmp(run->replies[i], LOST) == 0) {
            link_lost(&r.link, 0, r.now);
            pump(&r);
            break;
        }
        snprintf(text, sizeof(text), "%s\r\n", run->replies[i]);
        say(&r, text);
        send_all(&r);
    }
    for (uint32_t i = 0; i < 3; i++)
        fates[i] = "adru"[job_fate(r.job, i)];
    assert_string_equal(fates, run->fates);
    assert_int_equal(r.events[0], 'D');
    assert_int_equal(r.job->dialect, run->dialect);
    assert_int_equal(r.job->replies_seen, run->seen);
    assert_int_equal(r.job->replies_due, run->due);
    expect_phase(&r, LOAD_PHASE_FIRST_REPLY, run->first_ms > 0, run->first_ms * MS, 0);
    expect_phase(&r, LOAD_PHASE_DATA, 1, 0, 0);
    for (uint32_t k = 0; k < ARRAY_COUNT(run->k_ms); k++) {
        assert_int_equal(r.stats->reply_k[k].total, run->k_ms[k] > 0);
        assert_int_equal(r.stats->reply_k[k].max, run->k_ms[k] * MS);
    }
    teardown(&r);
}

/* What each says to three recipients, when, and what is left of it when the connection is cut. */
static void test_dialects(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(dialect_runs); i++) {
        print_message("%s %s\n", dialect_name(dialect_runs[i].dialect), dialect_runs[i].fates);
        play_dialect(&dialect_runs[i], false);
        play_dialect(&dialect_runs[i], true);
    }
}

/* DUP-13: a line every 30 s and a limit of 45 s: which line is waited for in vain? 0: none */
static uint32_t stops_at(const struct dialect_run *run, enum link_restart restart)
{
    struct rig r;
    char text[200];
    uint32_t stop = 0;
    setup(&r, "3", "500");
    r.config.client.timeouts_ns[CLIENT_PHASE_DONE] = 45 * SECOND;
    r.config.timeouts.restarts[CLIENT_PHASE_DONE] = restart;
    begin_dialect(&r, run);
    for (uint32_t i = 0; run->replies[i] != NULL; i++) {
        after(&r, 30 * SECOND);
        if (link_deadline(&r.link) <= r.now) {
            stop = i + 1;
            link_expire(&r.link, r.now);
            pump(&r);
            assert_int_equal(r.job->cause, ATTEMPT_CAUSE_TIMEOUT);
            break;
        }
        snprintf(text, sizeof(text), "%s\r\n", run->replies[i]);
        say(&r, text);
    }
    assert_int_equal(r.events[0], 'D');
    teardown(&r);
    return stop;
}

static void test_what_restarts_the_wait(void **state)
{
    (void)state;
    /* clang-format off */
#define UNSEEN NULL, 0, 0, 0, {0} /* what is not looked at here */
    static const struct {
        struct dialect_run run;
        uint32_t stops[LINK_RESTART_COUNT]; /* reset, line, reply, total */
    } rows[] = {
        {{NULL, DIALECT_SMTP, OK3, {"250-a", "250-b", "250 c"}, UNSEEN, false}, {2, 0, 2, 2}},
        {{NULL, DIALECT_LMTP, OK3, {"250 a", "250 b", "250 c"}, UNSEEN, true}, {0, 0, 0, 2}},
        {{NULL, DIALECT_LMTP, OK3,
          {"250 a", "250-b", "250 b", "250 c"}, UNSEEN, true}, {3, 0, 3, 2}},
        {{"PRDR", DIALECT_PRDR, OK3,
          {"353 a", "250 a", "250 b", "250 c", "250 f"}, UNSEEN, false}, {0, 0, 0, 2}},
        {{"EXDATA", DIALECT_EXDATA, OK3,
          {"558-250 a", "558-250-b", "558-250 b", "558 250 c"}, UNSEEN, false}, {0, 0, 2, 2}},
        {{"XRCPT250", DIALECT_XRCPT250, OK3,
          {W_OPEN, "250-250 a", "250-000 working", "250-250 b", "250-250 c", "250 2.0.0 +END"},
          UNSEEN, false}, {0, 0, 2, 2}},
    };
    /* clang-format on */
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        for (int restart = 0; restart < LINK_RESTART_COUNT; restart++)
            assert_int_equal(stops_at(&rows[i].run, (enum link_restart)restart),
                             rows[i].stops[restart]);
}

/* duplicates.md 4, where the time lies with the client: work of 60 s, then 30 s for each of ten,
 * and 300 s of patience. HOL-2: a list survives that on a timer that each line restarts. */
static void test_reference_in_each(void **state)
{
    (void)state;
    static const struct {
        const char *keyword;
        const char *opener, *each, *last_each, *closer;
        uint32_t credited[LINK_RESTART_COUNT]; /* reset, line, reply, total */
    } rows[] = {
        {"X", NULL, NULL, NULL, "250 all\r\n", {0, 0, 0, 0}},
        {"PRDR", "353 x\r\n", "250 a\r\n", "250 a\r\n", "250 all\r\n", {10, 10, 10, 0}},
        {"XPRDR1", NULL, "250 a\r\n", "250 a\r\n", "250 all\r\n", {10, 10, 10, 0}},
        {"EXDATA", NULL, "558-250 a\r\n", "558 250 a\r\n", NULL, {10, 10, 8, 8}},
        {"XRCPT250",
         "250-2.0.0 +RCPT 10\r\n",
         "250-250 a\r\n",
         "250-250 a\r\n",
         "250 2.0.0 +END\r\n",
         {10, 10, 8, 8}},
        {"XRCPT250B",
         "250-2.0.0 +RCPT 10\r\n",
         "250-250 a\r\n",
         "250-250 a\r\n",
         "250 2.0.0 +END\r\n",
         {10, 10, 10, 10}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        for (int restart = 0; restart < LINK_RESTART_COUNT; restart++) {
            struct rig r;
            char text[100];
            setup(&r, "10", "500");
            r.config.client.dialects = SESSION_OFFER_DIALECTS;
            r.config.client.pipelining = CLIENT_PIPELINE_ENVELOPE;
            r.config.client.timeouts_ns[CLIENT_PHASE_DONE] = 300 * SECOND;
            r.config.timeouts.restarts[CLIENT_PHASE_DONE] = (enum link_restart)restart;
            dial(&r, make_job(&r, 0));
            snprintf(text, sizeof(text), "250-mx\r\n250-PIPELINING\r\n250 %s\r\n", rows[i].keyword);
            say(&r, text);
            hand_out(&r);
            link_sent(&r.link, r.now, r.now);
            for (int n = 0; n < 11; n++)
                say(&r, "250 ok\r\n");
            say(&r, "354 go\r\n");
            sends_content(&r);
            clock_ns dot_at = r.now;
            if (rows[i].opener != NULL)
                say(&r, rows[i].opener);
            for (uint32_t k = 1; k <= 10 && r.events[0] == '\0'; k++) {
                clock_ns at = dot_at + (60 + 30 * k) * SECOND;
                bool is_late = link_deadline(&r.link) < at;
                r.now = is_late ? link_deadline(&r.link) : at;
                if (is_late)
                    link_expire(&r.link, r.now);
                if (!is_late && rows[i].each != NULL)
                    say(&r, k < 10 ? rows[i].each : rows[i].last_each);
                if (!is_late && k == 10 && rows[i].closer != NULL)
                    say(&r, rows[i].closer);
                pump(&r);
            }
            uint32_t credited = 0;
            for (uint32_t k = 0; k < 10; k++)
                credited += job_fate(r.job, k) == ATTEMPT_ACCEPTED;
            if (credited != rows[i].credited[restart])
                fail_msg("%s, %d: %u", rows[i].keyword, restart, credited);
            teardown(&r);
        }
}

/* --- what goes wrong -------------------------------------------------------------------------- */

static void test_timeouts(void **state)
{
    (void)state;
    static const char *const replies[] = {"220 hi\r\n", "250 hi\r\n", "250 ok\r\n", "250 ok\r\n",
                                          "354 go\r\n"};
    static const enum client_phase phases[] = {CLIENT_PHASE_GREETING, CLIENT_PHASE_HELLO,
                                               CLIENT_PHASE_MAIL,     CLIENT_PHASE_RCPT,
                                               CLIENT_PHASE_DATA,     CLIENT_PHASE_DONE};
    for (uint32_t stop = 0; stop < ARRAY_COUNT(phases); stop++) {
        struct rig r;
        setup(&r, "1", "500");
        link_dial(&r.link, make_job(&r, 0), r.now);
        assert_int_equal(link_deadline(&r.link), r.now + 30 * SECOND);
        after(&r, SECOND);
        link_connected(&r.link, false, r.now);
        for (uint32_t i = 0; i < stop; i++) {
            after(&r, SECOND);
            say(&r, replies[i]);
            hand_out(&r);
            link_sent(&r.link, r.now, r.now);
        }
        clock_ns limit = r.now + (100 + phases[stop]) * SECOND;
        assert_int_equal(link_deadline(&r.link), limit);
        link_expire(&r.link, limit - 1); /* too early */
        pump(&r);
        assert_string_equal(r.events, "");
        r.now = limit;
        link_expire(&r.link, r.now);
        pump(&r);
        assert_string_equal(r.events, "DC");
        assert_int_equal(job_fate(r.job, 0), ATTEMPT_UNKNOWN);
        assert_int_equal(r.job->cause, ATTEMPT_CAUSE_TIMEOUT);
        assert_int_equal(r.job->phase, phases[stop]);
        assert_int_equal(r.stats->counters.timeouts[phases[stop]], 1);
        expect_phase(&r, LOAD_PHASE_WHOLE, 0, 0, 0);
        teardown(&r);
    }
}

/* A peer that does not read: the time to send counts, not the time to answer. */
static void test_blocked_sending(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "1", "5000");
    dial(&r, make_job(&r, 0));
    say(&r, "250 hi\r\n");
    hand_out(&r);
    link_sent(&r.link, r.now, r.now);
    say(&r, "250 ok\r\n");
    hand_out(&r);
    link_sent(&r.link, r.now, r.now);
    say(&r, "250 ok\r\n");
    hand_out(&r);
    link_sent(&r.link, r.now, r.now);
    say(&r, "354 go\r\n");
    hand_out(&r);
    after(&r, 90 * SECOND);
    link_progress(&r.link, r.now);
    clock_ns limit = r.now + (100 + CLIENT_PHASE_CONTENT) * SECOND;
    link_expire(&r.link, limit - 1);
    pump(&r);
    assert_string_equal(r.events, "");
    link_expire(&r.link, limit);
    pump(&r);
    assert_string_equal(r.events, "DC");
    assert_int_equal(r.job->sent, ATTEMPT_SENT_PART);
    assert_int_equal(r.stats->counters.timeouts[CLIENT_PHASE_CONTENT], 1);
    teardown(&r);
}

struct refusal {
    const char *replies[6];
    const char *events;
    enum attempt_fate fate;
    enum attempt_cause cause;
    uint16_t code;
    enum client_phase phase;
    uint64_t protocol_errors;
};

static const struct refusal refusals[] = {
    {{"554 5.7.1 no\r\n"},
     "DC",
     ATTEMPT_REFUSED,
     ATTEMPT_CAUSE_REPLY,
     554,
     CLIENT_PHASE_GREETING,
     0},
    {{"421 4.3.2 busy\r\n"},
     "DC",
     ATTEMPT_DEFERRED,
     ATTEMPT_CAUSE_REPLY,
     421,
     CLIENT_PHASE_GREETING,
     0},
    {{"220 hi\r\n", "421 later\r\n"},
     "DC",
     ATTEMPT_DEFERRED,
     ATTEMPT_CAUSE_REPLY,
     421,
     CLIENT_PHASE_HELLO,
     0},
    {{"220 hi\r\n", "250 hi\r\n", "421 4.7.0 enough\r\n"},
     "DC",
     ATTEMPT_DEFERRED,
     ATTEMPT_CAUSE_REPLY,
     421,
     CLIENT_PHASE_MAIL,
     0},
    {{"220 hi\r\n", "250 hi\r\n", "550 5.1.0 no\r\n"},
     "DR",
     ATTEMPT_REFUSED,
     ATTEMPT_CAUSE_REPLY,
     550,
     CLIENT_PHASE_MAIL,
     0},
    {{"220 hi\r\n", "250 hi\r\n", "250 ok\r\n", "250 ok\r\n", "451 4.3.0 no\r\n"},
     "DR",
     ATTEMPT_DEFERRED,
     ATTEMPT_CAUSE_REPLY,
     451,
     CLIENT_PHASE_DATA,
     0},
    {{"hello\r\n"}, "DC", ATTEMPT_UNKNOWN, ATTEMPT_CAUSE_PROTOCOL, 0, CLIENT_PHASE_GREETING, 1},
    {{"220 hi\r\n", "250 hi\r\n", "354 what\r\n"},
     "DC",
     ATTEMPT_UNKNOWN,
     ATTEMPT_CAUSE_PROTOCOL,
     0,
     CLIENT_PHASE_MAIL,
     1},
    {{"220 hi\r\n250 early\r\n"},
     "DC",
     ATTEMPT_UNKNOWN,
     ATTEMPT_CAUSE_PROTOCOL,
     0,
     CLIENT_PHASE_HELLO,
     1},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        const struct refusal *row = &refusals[i];
        struct rig r;
        setup(&r, "1", "500");
        r.is_bytewise = i % 2 == 1;
        link_dial(&r.link, make_job(&r, 0), r.now);
        link_connected(&r.link, false, r.now);
        for (uint32_t k = 0; row->replies[k] != NULL; k++) {
            say(&r, row->replies[k]);
            hand_out(&r);
            link_sent(&r.link, r.now, r.now);
            pump(&r);
        }
        if (strcmp(row->events, "DR") == 0 && strcmp(r.out, "RSET\r\n") == 0)
            say(&r, "250 ok\r\n");
        assert_string_equal(r.events, row->events);
        assert_int_equal(job_fate(r.job, 0), row->fate);
        assert_int_equal(r.job->cause, row->cause);
        assert_int_equal(r.job->results[0].code, row->code);
        assert_int_equal(row->code != 0 ? r.job->results[0].phase : r.job->phase, row->phase);
        assert_int_equal(r.stats->counters.protocol_errors, row->protocol_errors);
        teardown(&r);
    }
}

/* A reply too many: the message is settled, the connection is not to be trusted. */
static void test_surplus_reply(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "1", "500");
    up_to_dot(&r, 1);
    say(&r, "250 ok\r\n250 and more\r\n");
    assert_string_equal(r.events, "DRC");
    assert_int_equal(job_fate(r.job, 0), ATTEMPT_ACCEPTED);
    assert_int_equal(r.stats->counters.protocol_errors, 1);
    teardown(&r);
}

/* Of a line over the limit the end is not waited for: it may never come. */
static void test_endless_line(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= 2000; piece += 1999) {
        struct rig r;
        char text[2001];
        setup(&r, "1", "500");
        link_dial(&r.link, make_job(&r, 0), r.now);
        link_connected(&r.link, false, r.now);
        memset(text, 'x', piece);
        text[piece] = '\0';
        for (size_t len = 0; len < 2 * REPLY_READ_LINE_BYTES_MAX && r.events[0] == '\0';
             len += piece)
            say(&r, text);
        assert_string_equal(r.events, "DC");
        assert_int_equal(r.job->cause, ATTEMPT_CAUSE_PROTOCOL);
        assert_int_equal(r.stats->counters.protocol_errors, 1);
        teardown(&r);
    }
}

static void test_lost(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "2", "500");
    link_dial(&r.link, make_job(&r, 0), r.now);
    link_lost(&r.link, -ECONNREFUSED, r.now);
    pump(&r);
    assert_string_equal(r.events, "DC");
    assert_int_equal(r.job->cause, ATTEMPT_CAUSE_CONNECT);
    assert_int_equal(r.job->sent, ATTEMPT_SENT_NONE);
    assert_int_equal(r.stats->counters.connects_refused, 1);
    assert_int_equal(r.stats->counters.resets, 0);
    teardown(&r);

    setup(&r, "2", "500");
    r.config.client.protocol = CLIENT_LMTP;
    up_to_dot(&r, 2);
    say(&r, "250 ok\r\n");
    link_lost(&r.link, -ECONNRESET, r.now);
    pump(&r);
    assert_string_equal(r.events, "DC");
    assert_int_equal(r.job->cause, ATTEMPT_CAUSE_LOST);
    assert_int_equal(job_fate(r.job, 0), ATTEMPT_ACCEPTED);
    assert_int_equal(job_fate(r.job, 1), ATTEMPT_UNKNOWN);
    assert_int_equal(r.job->replies_seen, 1);
    assert_int_equal(r.job->replies_due, 2);
    assert_int_equal(r.stats->counters.resets, 1);
    teardown(&r);
}

static void test_stop(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "1", "500");
    up_to_dot(&r, 1);
    link_stop(&r.link, r.now);
    pump(&r);
    assert_string_equal(r.events, "DC");
    assert_int_equal(r.job->cause, ATTEMPT_CAUSE_STOPPED);
    teardown(&r);

    setup(&r, "1", "500");
    link_dial(&r.link, make_job(&r, 0), r.now);
    link_stop(&r.link, r.now);
    pump(&r);
    assert_string_equal(r.events, "DC");
    assert_int_equal(r.job->cause, ATTEMPT_CAUSE_STOPPED);
    teardown(&r);
}

/* --- behaviour -------------------------------------------------------------------------------- */

static void test_vanish(void **state)
{
    (void)state;
    for (uint32_t replies = 0; replies < 3; replies++) {
        struct rig r;
        setup(&r, "3", "500");
        r.config.client.protocol = CLIENT_LMTP;
        r.config.vanish_replies = replies;
        r.config.vanish_how = LINK_HOW_SILENT;
        dial(&r, make_job(&r, 0));
        r.job->vanishes = true;
        say(&r, "250 hi\r\n");
        for (uint32_t i = 0; i < 4; i++) {
            hand_out(&r);
            link_sent(&r.link, r.now, r.now);
            say(&r, "250 ok\r\n");
        }
        sends(&r, "DATA\r\n");
        say(&r, "354 go\r\n");
        sends_content(&r);
        for (uint32_t i = 0; i < replies; i++) {
            assert_string_equal(r.events, "");
            say(&r, "250 ok\r\n");
        }
        assert_string_equal(r.events, "DC");
        assert_int_equal(r.link.how, LINK_HOW_SILENT);
        assert_int_equal(r.job->cause, ATTEMPT_CAUSE_MISBEHAVIOUR);
        assert_int_equal(r.job->sent, ATTEMPT_SENT_ALL);
        for (uint32_t i = 0; i < 3; i++)
            assert_int_equal(job_fate(r.job, i), i < replies ? ATTEMPT_ACCEPTED : ATTEMPT_UNKNOWN);
        teardown(&r);
    }
}

static void test_reuse(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "1", "500");
    r.config.reuse_max = 2;
    r.config.half_closes = true;
    up_to_dot(&r, 1);
    say(&r, "250 ok\r\n");
    assert_string_equal(r.events, "DR");
    link_begin(&r.link, make_job(&r, 0), r.now);
    sends(&r, "MAIL FROM:<s@c.example>\r\n");
    say(&r, "550 no\r\n");
    assert_string_equal(r.events, "DRD");
    assert_false(link_wants_half_close(&r.link));
    sends(&r, "QUIT\r\n");
    assert_true(link_wants_half_close(&r.link));
    assert_false(link_wants_half_close(&r.link));
    say(&r, "221 bye\r\n");
    assert_string_equal(r.events, "DRDC");
    assert_int_equal(r.link.how, LINK_HOW_CLOSE);
    teardown(&r);
}

static void test_reset_in_place_of_quit(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "1", "500");
    r.config.reuse_max = 1;
    r.config.resets = true;
    up_to_dot(&r, 1);
    say(&r, "250 ok\r\n");
    assert_string_equal(r.events, "DC");
    assert_int_equal(r.link.how, LINK_HOW_RESET);
    teardown(&r);
}

static void test_starttls_is_refused(void **state)
{
    (void)state;
    static const char *const replies[] = {"454 4.7.0 no\r\n", "220 go\r\n250 slipped in\r\n",
                                          "nonsense\r\n"};
    for (size_t i = 0; i < ARRAY_COUNT(replies); i++) {
        struct rig r;
        setup(&r, "1", "500");
        r.config.tls = LINK_TLS_STARTTLS;
        dial(&r, make_job(&r, 0));
        say(&r, "250-hi\r\n250 STARTTLS\r\n");
        sends(&r, "STARTTLS\r\n");
        assert_int_equal(link_deadline(&r.link), r.now + 40 * SECOND);
        say(&r, replies[i]);
        assert_string_equal(r.events, "DC");
        assert_int_equal(r.job->cause, ATTEMPT_CAUSE_TLS);
        assert_int_equal(r.stats->counters.tls_failed, 1);
        assert_int_equal(r.stats->counters.protocol_errors, i > 0);
        teardown(&r);
    }
}

/* A try for some of the recipients has the same content, and the others' positions. */
static void test_partial_job(void **state)
{
    (void)state;
    struct rig r;
    setup(&r, "10", "500");
    struct job *job = make_job(&r, 0);
    char first[4096], again[4096];
    struct buf all = buf_over(first, sizeof(first)), part = buf_over(again, sizeof(again));
    for (uint32_t i = 0; i < job->message.content_count; i++)
        buf_put(&all, job->message.content[i]);
    uint64_t open = (uint64_t)1 << 2 | (uint64_t)1 << 9;
    job_make(job, &r.shape, r.messages, 7, 3, &open);
    for (uint32_t i = 0; i < job->message.content_count; i++)
        buf_put(&part, job->message.content[i]);
    assert_true(all.len > 0 && slice_eq(buf_slice(&all), buf_slice(&part)));
    assert_int_equal(job->rcpt_total, 10);
    assert_int_equal(job->rcpt_count, 2);
    assert_int_equal(job->rcpt_idxs[0], 2);
    assert_int_equal(job->rcpt_idxs[1], 9);
    assert_true(slice_eq(job->rcpts[1].address, slice_str("u9@d.example")));
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_pipelined_clocks),
        cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_reference_experiment),
        cmocka_unit_test(test_prdr),
        cmocka_unit_test(test_dialects),
        cmocka_unit_test(test_what_restarts_the_wait),
        cmocka_unit_test(test_reference_in_each),
        cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_blocked_sending),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_surplus_reply),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_vanish),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_reset_in_place_of_quit),
        cmocka_unit_test(test_starttls_is_refused),
        cmocka_unit_test(test_partial_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
