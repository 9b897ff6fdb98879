/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink_conn_test.c - conversations with the sink in virtual time over a ring that is played here:
 * what leaves, when, and the lines of the ledger.
 */
#include "sink/conn.h"
#include "sink/decide.h"
#include "sink/worker.h"
#include "smtp/client.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define OUT_MAX 65536
#define EVENTS_MAX 64

/* --- the ring that is played ------------------------------------------------------------------ */

static struct {
    clock_ns now;
    struct ring_event events[EVENTS_MAX];
    uint32_t event_count;
    struct ring_token recv;
    bool is_recv_armed;
    bool is_crowded; /* there are several connections */
    bool is_closed;
    bool is_shut;
    bool is_broken; /* sends fail */
    bool is_deaf;   /* the peer takes nothing: sends stay with the kernel */
    struct ring_token held_send;
    int32_t held_bytes;
    char out[OUT_MAX];
    size_t out_len;
} fake;

static void post(struct ring_token token, int32_t res)
{
    assert_true(fake.event_count < EVENTS_MAX);
    fake.events[fake.event_count++] = (struct ring_event){.token = token, .res = res};
}

clock_ns ring_now(const struct ring *r)
{
    (void)r;
    return fake.now;
}

wall_us ring_wall(const struct ring *r)
{
    (void)r;
    return 1000000000 + fake.now / NS_PER_US;
}

void ring_recv_arm(struct ring *r, int32_t file, struct ring_token token)
{
    (void)r;
    (void)file;
    assert_true(!fake.is_recv_armed || fake.is_crowded);
    fake.recv = token;
    fake.is_recv_armed = true;
}

void ring_send(struct ring *r, int32_t file, struct slice bytes, struct ring_token token)
{
    (void)r;
    (void)file;
    if (fake.is_broken) {
        post(token, -EPIPE);
        return;
    }
    if (fake.is_deaf) {
        fake.held_send = token;
        fake.held_bytes = (int32_t)bytes.len;
        return;
    }
    assert_true(fake.out_len + bytes.len < OUT_MAX);
    memcpy(fake.out + fake.out_len, bytes.ptr, bytes.len);
    fake.out_len += bytes.len;
    post(token, (int32_t)bytes.len);
}

void ring_send_quiet(struct ring *r, int32_t file, struct slice bytes, struct ring_token token)
{
    ring_send(r, file, bytes, token);
}

void ring_shutdown_write(struct ring *r, int32_t file, struct ring_token token)
{
    (void)r;
    (void)file;
    fake.is_shut = true;
    post(token, 0);
}

void ring_close(struct ring *r, int32_t file)
{
    (void)r;
    (void)file;
    fake.is_closed = true;
}

void ring_cancel(struct ring *r, struct ring_token target, struct ring_token token)
{
    (void)r;
    if (target.kind == RING_RECV && (fake.is_recv_armed || fake.is_crowded)) {
        fake.is_recv_armed = false;
        post(target, -ECANCELED);
    } else if (target.kind == RING_SEND) {
        post(target, -ECANCELED);
    }
    post(token, 0);
}

/* Not called here: the loop is the test's. */
int ring_new(const struct ring_options *options, struct ring **ret_ring)
{
    (void)options;
    (void)ret_ring;
    return -ENOSYS;
}

void ring_free(struct ring *r)
{
    (void)r;
}

int ring_turn(struct ring *r, uint64_t timeout_ns, const struct ring_event **ret_events)
{
    (void)r;
    (void)timeout_ns;
    (void)ret_events;
    return -ENOSYS;
}

void ring_accept_arm(struct ring *r, int listen_fd, struct ring_token token)
{
    (void)r;
    (void)listen_fd;
    (void)token;
}

void ring_poll_arm(struct ring *r, int fd, uint32_t poll_mask, struct ring_token token)
{
    (void)r;
    (void)fd;
    (void)poll_mask;
    (void)token;
}

/* --- a sink with one connection -------------------------------------------------------------- */

struct world {
    struct shared shared;
    struct worker worker;
    struct sink_listen listen;
    char ledger[OUT_MAX];
};

static void settle(struct world *w)
{
    struct list *entry;
    struct timer *t;
    for (int i = 0; i < 1000; i++) {
        while (fake.event_count > 0) {
            struct ring_event ev = fake.events[0];
            fake.event_count--;
            memmove(fake.events, fake.events + 1, fake.event_count * sizeof(ev));
            conn_on_event(&w->worker, &ev);
        }
        while ((t = timer_expire(&w->worker.timers, fake.now)) != NULL)
            conn_on_timer(&w->worker, CONTAINER_OF(t, struct conn, timer));
        worker_run_places(&w->worker);
        while ((entry = list_pop(&w->worker.dirty)) != NULL)
            conn_flush(&w->worker, CONTAINER_OF(entry, struct conn, dirty));
        while ((entry = list_pop(&w->worker.drained)) != NULL)
            conn_close(&w->worker, CONTAINER_OF(entry, struct conn, drained));
        if (fake.event_count == 0 && list_is_empty(&w->worker.dirty) &&
            list_is_empty(&w->worker.drained))
            return;
    }
    fail_msg("it never comes to rest");
}

static struct world *world_new(bool is_lmtp, const char *const *rules, size_t count)
{
    char why[256];
    int no_fd[1] = {-1};
    memset(&fake, 0, sizeof(fake));
    fake.now = NS_PER_S;
    assert_int_equal(scan_init("scalar"), 0);
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    struct sink_options *o = &w->shared.options;
    *o = (struct sink_options){.conn_count_max = 4, .listen_count = 1, .seed = 5};
    o->idle_ns_max = 60 * NS_PER_S;
    o->smtp = (struct session_config){
        .offers = SESSION_OFFER_ALL, .hostname = SLICE_LIT("sink.example"), .rcpt_max = 1000};
    o->lmtp = o->smtp;
    o->lmtp.protocol = SESSION_LMTP;
    w->shared.wake_fd = -1;
    w->shared.ledger_fd = memfd_create("ledger", 0);
    w->shared.wants_identity = true;
    w->shared.script = script_new();
    for (size_t i = 0; i < count; i++)
        if (!script_add(w->shared.script, slice_str(rules[i]), why, sizeof(why)))
            fail_msg("%s: %s", rules[i], why);
    assert_int_equal(worker_init(&w->worker, &w->shared, 0, no_fd), 0);
    timer_wheel_init(&w->worker.timers, fake.now);
    w->listen.is_lmtp = is_lmtp;
    w->listen.addr.any.sa_family = AF_INET;
    conn_open(&w->worker, &w->listen, -1);
    settle(w);
    return w;
}

static void world_free(struct world *w)
{
    worker_deinit(&w->worker);
    shared_deinit(&w->shared);
    free(w);
}

static void receive(struct world *w, const char *text)
{
    assert_true(fake.is_recv_armed);
    struct ring_event ev = {.token = fake.recv,
                            .res = (int32_t)strlen(text),
                            .more = true,
                            .window = {.bytes = slice_str(text)}};
    conn_on_event(&w->worker, &ev);
    settle(w);
}

static void end_of_input(struct world *w, int32_t res)
{
    assert_true(fake.is_recv_armed);
    fake.is_recv_armed = false;
    post(fake.recv, res);
    settle(w);
}

/* Time passes in steps of a millisecond's tick; until then nothing may happen. */
static void pass(struct world *w, clock_ns duration)
{
    fake.now += duration;
    settle(w);
}

/* What has left since the last time, codes only: "220 250 ". */
static void expect_codes(const char *codes)
{
    char seen[1024] = "";
    size_t len = 0, at = 0;
    while (at < fake.out_len) {
        struct slice line = slice_of(fake.out + at, fake.out_len - at);
        size_t end = slice_find(line, '\n');
        if (line.len > 3 && line.ptr[3] == ' ' && len + 5 < sizeof(seen))
            len += (size_t)snprintf(seen + len, sizeof(seen) - len, "%s%.3s", len > 0 ? " " : "",
                                    (const char *)line.ptr);
        at += end + 1;
    }
    fake.out_len = 0;
    if (strcmp(seen, codes) != 0)
        fail_msg("seen \"%s\", expected \"%s\"", seen, codes);
}

static void expect_text(const char *text)
{
    assert_int_equal(fake.out_len, strlen(text));
    assert_memory_equal(fake.out, text, fake.out_len);
    fake.out_len = 0;
}

/* The ledger in short: "SEQ:ADDRESS:CODE:DELIVERED ...". */
static void expect_ledger(struct world *w, const char *expected)
{
    char seen[2048] = "";
    size_t len = 0;
    struct slice rest = slice_of(w->worker.ledger, w->worker.ledger_len);
    while (rest.len > 0) {
        struct arrival a;
        struct slice line = slice_first(rest, slice_find(rest, '\n'));
        rest = slice_from(rest, line.len + 1);
        assert_true(arrivals_parse(line, &a));
        static const char *const words[] = {"-", "yes", "no"};
        len +=
            (size_t)snprintf(seen + len, sizeof(seen) - len, "%s%llu:%.*s:%u:%s",
                             len > 0 ? " " : "", (unsigned long long)a.id.seq, (int)a.address.len,
                             (const char *)a.address.ptr, a.code, words[a.delivered]);
        assert_int_equal(a.conn, 1);
        assert_true(a.has_id);
        assert_int_equal(a.id.run, 0xab);
    }
    if (strcmp(seen, expected) != 0)
        fail_msg("ledger \"%s\", expected \"%s\"", seen, expected);
}

#define CONTENT(seq) "Message-ID: <pl.00000000000000ab." seq "@x.example>\r\n\r\nhello\r\n.\r\n"

/* A world whose client has said hello. */
static struct world *greeted(bool is_lmtp, const char *const *rules, size_t count)
{
    struct world *w = world_new(is_lmtp, rules, count);
    receive(w, is_lmtp ? "LHLO a.example\r\n" : "EHLO a.example\r\n");
    expect_codes("220 250");
    return w;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void all_is_taken(void **state)
{
    (void)state;
    struct world *w = greeted(false, NULL, 0);
    receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nRCPT TO:<r2@x>\r\nDATA\r\n");
    expect_codes("250 250 250 354");
    receive(w, CONTENT("7"));
    expect_codes("250");
    expect_ledger(w, ""); /* not known yet whether that arrived */
    receive(w, "QUIT\r\n");
    expect_codes("221");
    expect_ledger(w, "7:r1@x:250:yes 7:r2@x:250:yes");
    end_of_input(w, 0);
    assert_true(fake.is_closed);
    assert_int_equal(w->worker.conn_count, 0);
    world_free(w);
}

static void one_recipient_after_another(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> delay 60s", "each -> delay 30s"};
    struct world *w = greeted(true, rules, ARRAY_COUNT(rules));
    receive(w,
            "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nRCPT TO:<r2@x>\r\nRCPT TO:<r3@x>\r\nDATA\r\n");
    expect_codes("250 250 250 250 354");
    receive(w, CONTENT("1"));
    pass(w, 60 * NS_PER_S);
    pass(w, 29 * NS_PER_S);
    expect_codes("");
    pass(w, NS_PER_S);
    expect_codes("250"); /* T0 + Tr */
    pass(w, 30 * NS_PER_S);
    expect_codes("250");
    assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 2);
    end_of_input(w, -ECONNRESET); /* the client gives up; this server does not look */
    assert_true(fake.is_closed);
    pass(w, 30 * NS_PER_S);
    assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 3);
    /* the first two had left; whether they were acknowledged cannot be asked here */
    expect_ledger(w, "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no");
    assert_int_equal(w->worker.conn_count, 0);
    world_free(w);
}

/* The timer wakes it up a little late each time; the next reply is due when it was due. */
static void lateness_does_not_add_up(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> delay 60s", "each -> delay 30s"};
    struct world *w = greeted(true, rules, ARRAY_COUNT(rules));
    receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nRCPT TO:<r2@x>\r\nDATA\r\n");
    expect_codes("250 250 250 354");
    receive(w, CONTENT("1"));
    pass(w, 60 * NS_PER_S + 20 * NS_PER_MS);
    pass(w, 30 * NS_PER_S); /* 20 ms late again */
    expect_codes("250");
    pass(w, 30 * NS_PER_S - 21 * NS_PER_MS);
    expect_codes("");
    pass(w, NS_PER_MS);
    expect_codes("250");
    end_of_input(w, -ECONNRESET);
    world_free(w);
}

/* T0 = 60 s, Tr = 30 s, ten recipients, and a client with 300 s of patience in all (duplicates.md
 * section 4): what it has seen by then, and how many copies its retry will make. */
static void the_example_of_the_specification(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> delay 60s", "each -> delay 30s"};
    static const struct {
        bool is_lmtp;
        const char *mail;
        const char *codes;
        uint32_t credited;
    } rows[] = {
        {true, "MAIL FROM:<a@b.c>\r\n", "250 250 250 250 250 250 250 250", 8},
        {false, "MAIL FROM:<a@b.c>\r\n", "", 0},
        {false, "MAIL FROM:<a@b.c> PRDR\r\n", "353 250 250 250 250 250 250 250 250", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world *w = greeted(rows[i].is_lmtp, rules, ARRAY_COUNT(rules));
        receive(w, rows[i].mail);
        for (int k = 0; k < 10; k++)
            receive(w, "RCPT TO:<r@x>\r\n");
        receive(w, "DATA\r\n");
        expect_codes("250 250 250 250 250 250 250 250 250 250 250 354");
        receive(w, CONTENT("1"));
        for (int second = 0; second < 300; second++)
            pass(w, NS_PER_S);
        expect_codes(rows[i].codes);
        assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], rows[i].credited);
        end_of_input(w, -ECONNRESET);
        for (int second = 0; second < 60; second++)
            pass(w, NS_PER_S);
        assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 10); /* it does not look */
        assert_int_equal(w->worker.conn_count, 0);
        world_free(w);
    }
}

static void prdr_shows_a_sign_of_life(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> delay 10s",
                                        "each index=2 -> reply 450 4.2.1 Later"};
    struct world *w = greeted(false, rules, ARRAY_COUNT(rules));
    receive(w, "MAIL FROM:<a@b.c> PRDR\r\nRCPT TO:<r1@x>\r\nRCPT TO:<r2@x>\r\nDATA\r\n");
    expect_codes("250 250 250 354");
    receive(w, CONTENT("1"));
    expect_codes("353");
    assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 0);
    pass(w, 10 * NS_PER_S);
    expect_codes("250 450 250");
    receive(w, "NOOP\r\n");
    expect_ledger(w, "1:r1@x:250:yes");
    end_of_input(w, 0);
    world_free(w);
}

static void cut_after_k_of_n(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        const char *codes;
        const char *ledger;
        bool is_lmtp;
    } rows[] = {
        {"dot -> drop-after 1 reset", "250", "1:r1@x:250:- 1:r2@x:250:no 1:r3@x:250:no", true},
        {"dot -> drop-after 1; gone stop", "250", "1:r1@x:250:-", true},
        {"dot -> drop-after 0", "", "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no", true},
        {"dot -> drop-after 3", "250 250 250", "1:r1@x:250:- 1:r2@x:250:- 1:r3@x:250:-", true},
        {"each index=3 -> drop", "250 250", "1:r1@x:250:- 1:r2@x:250:- 1:r3@x:250:no", true},
        {"dot -> drop", "", "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no", false},
        {"dot -> drop; gone stop", "", "", false},
        {"dot -> drop; gone stop; commit dot", "", "1:r1@x:0:no 1:r2@x:0:no 1:r3@x:0:no", false},
        {"dot -> drop; commit never", "", "", false},
        {"dot -> drop; commit after", "", "", false},
        {"dot -> drop-after 1", "250", "1:r1@x:250:- 1:r2@x:250:- 1:r3@x:250:-", false},
        {"dot -> drop-after 0; gone stop", "", "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no", false},
        {"each index=2 -> reply 550", "550", "", false},
        {"dot -> commit always; reply 451", "451", "1:r1@x:451:- 1:r2@x:451:- 1:r3@x:451:-", false},
        {"dot -> missing", "", "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no", false},
        {"each index=2 -> code 999", "250 999 250", "1:r1@x:250:- 1:r2@x:250:no 1:r3@x:250:-",
         true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world *w = greeted(rows[i].is_lmtp, &rows[i].rule, 1);
        receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nRCPT TO:<r2@x>\r\nRCPT TO:<r3@x>\r\n"
                   "DATA\r\n");
        expect_codes("250 250 250 250 354");
        receive(w, CONTENT("1"));
        expect_codes(rows[i].codes);
        if (!fake.is_closed && fake.is_recv_armed)
            end_of_input(w, 0);
        pass(w, 5 * NS_PER_S);
        assert_true(fake.is_closed);
        expect_ledger(w, rows[i].ledger);
        assert_int_equal(w->worker.conn_count, 0);
        world_free(w);
    }
}

static void a_reply_that_is_not_taken(void **state)
{
    (void)state;
    struct world *w = greeted(false, NULL, 0);
    receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nDATA\r\n");
    expect_codes("250 250 354");
    fake.is_deaf = true;
    receive(w, CONTENT("1"));
    receive(w, "NOOP\r\n"); /* was sent before the reply could be seen: proves nothing */
    expect_ledger(w, "");
    end_of_input(w, -ECONNRESET);
    assert_true(fake.is_closed);
    expect_ledger(w, "1:r1@x:250:no");
    world_free(w);
    w = greeted(false, NULL, 0);
    receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nDATA\r\n");
    fake.is_deaf = true;
    receive(w, CONTENT("1"));
    pass(w, 61 * NS_PER_S); /* not broken, but it never left */
    assert_true(fake.is_closed);
    expect_ledger(w, "1:r1@x:250:no");
    world_free(w);
}

static void half_a_command_proves_nothing(void **state)
{
    (void)state;
    struct world *w = greeted(false, NULL, 0);
    receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nDATA\r\n");
    receive(w, CONTENT("1"));
    receive(w, "NO");
    expect_ledger(w, "");
    receive(w, "OP\r\n");
    expect_ledger(w, "1:r1@x:250:yes");
    end_of_input(w, 0);
    world_free(w);
}

static void commit_after_the_reply(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> commit after"};
    for (int is_deaf = 0; is_deaf < 2; is_deaf++) {
        struct world *w = greeted(false, rules, 1);
        receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nDATA\r\n");
        fake.is_deaf = is_deaf;
        receive(w, CONTENT("1"));
        assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], is_deaf ? 0 : 1);
        end_of_input(w, -ECONNRESET);
        assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], is_deaf ? 0 : 1);
        world_free(w);
    }
}

static void stalls(void **state)
{
    (void)state;
    static const char *const rules[] = {"data -> stall-read 5s 10; drop-content 20 reset",
                                        "mail -> stall-write 2s"};
    struct world *w = greeted(false, rules, ARRAY_COUNT(rules));
    receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\n");
    expect_codes("");
    pass(w, 2 * NS_PER_S);
    expect_codes("250 250");
    receive(w, "DATA\r\n");
    expect_codes("354");
    receive(w, "123456789");
    assert_true(fake.is_recv_armed);
    receive(w, "abc");
    assert_false(fake.is_recv_armed); /* nothing is read now */
    pass(w, 5 * NS_PER_S);
    assert_true(fake.is_recv_armed);
    receive(w, "defghij"); /* 19 */
    assert_false(fake.is_closed);
    receive(w, "k");
    assert_true(fake.is_closed);
    assert_int_equal(w->worker.counters[SINK_MESSAGES], 0);
    world_free(w);
}

/* Lines of a reply one by one, what is asked meanwhile behind them, and then as ever. */
static void paced(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "dot seq=1 -> pace 2s; raw 250-a\\r\\n250-b\\r\\n250 c\\r\\n"};
    struct world *w = greeted(false, rules, ARRAY_COUNT(rules));
    receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nDATA\r\n");
    expect_codes("250 250 354");
    receive(w, CONTENT("1") "NOOP\r\n");
    expect_text("250-a\r\n");
    pass(w, 2 * NS_PER_S - 1);
    expect_text("");
    pass(w, 1);
    expect_text("250-b\r\n");
    pass(w, 2 * NS_PER_S);
    expect_text("250 c\r\n");
    pass(w, 2 * NS_PER_S);
    expect_codes("250");
    receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nBDAT 49 LAST\r\n"
               "Message-ID: <pl.00000000000000ab.1@x.example>\r\n\r\n");
    expect_text("250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n250-a\r\n");
    pass(w, 2 * NS_PER_S);
    expect_text("250-b\r\n");
    end_of_input(w, -ECONNRESET); /* what waits to be settled is given back */
    world_free(w);
}

static void paced_replies(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> pace 1s; drop-after 2"};
    struct world *w = greeted(true, rules, ARRAY_COUNT(rules));
    receive(w,
            "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nRCPT TO:<r2@x>\r\nRCPT TO:<r3@x>\r\nDATA\r\n");
    expect_codes("250 250 250 250 354");
    receive(w, CONTENT("1"));
    expect_codes("250");
    pass(w, NS_PER_S - 1);
    expect_codes("");
    assert_false(fake.is_shut);
    pass(w, 1);
    expect_codes("250");
    assert_true(fake.is_shut);
    end_of_input(w, 0); /* what waits to be settled is given back */
    world_free(w);
}

/* Half of a reply is none. */
static void half_a_reply(void **state)
{
    (void)state;
    static const char *const texts[] = {"250 hal", "250-half\\r\\n", "250-half\\r\\n250"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        char rule[64];
        (void)snprintf(rule, sizeof(rule), "dot -> drop-after 1; raw %s", texts[i]);
        struct world *w = greeted(false, (const char *const[]){rule}, 1);
        receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nDATA\r\n" CONTENT("4"));
        assert_true(fake.is_shut);
        end_of_input(w, 0);
        expect_ledger(w, "4:r1@x:250:no");
        world_free(w);
    }
}

static void idle_and_byte_by_byte(void **state)
{
    (void)state;
    static const char text[] =
        "EHLO a.example\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nDATA\r\n" CONTENT("3") "RSET\r\n";
    struct world *w = world_new(false, NULL, 0);
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        receive(w, (char[]){text[i], '\0'});
    expect_codes("220 250 250 250 354 250 250");
    expect_ledger(w, "3:r1@x:250:yes");
    pass(w, 59 * NS_PER_S);
    expect_codes("");
    pass(w, NS_PER_S);
    expect_codes("421");
    assert_true(fake.is_shut);
    pass(w, 3 * NS_PER_S);
    assert_true(fake.is_closed);
    world_free(w);
}

static void many_recipients(void **state)
{
    (void)state;
    struct world *w = greeted(true, NULL, 0);
    receive(w, "MAIL FROM:<a@b.c>\r\n");
    for (int i = 0; i < 1000; i++) {
        char line[64];
        snprintf(line, sizeof(line), "RCPT TO:<recipient%d@x.example>\r\n", i);
        receive(w, line);
    }
    receive(w, "DATA\r\n");
    fake.out_len = 0;
    receive(w, CONTENT("1"));
    uint32_t replies = 0;
    for (size_t i = 0; i < fake.out_len; i++)
        replies += fake.out[i] == '\n';
    assert_int_equal(replies, 1000);
    assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 1000);
    receive(w, "NOOP\r\n");
    assert_int_equal(w->worker.counters[SINK_REPLIES_YES], 1000);
    end_of_input(w, 0);
    world_free(w);
}

/* --- every dialect ---------------------------------------------------------------------------- */

/* What has left since the last time: a letter each line, with both codes of a wrapped one. */
static void expect_lines(const char *what, const char *expected)
{
    char seen[1024] = "";
    size_t len = 0, at = 0;
    while (at < fake.out_len) {
        struct slice line = slice_of(fake.out + at, fake.out_len - at);
        size_t end = slice_find(line, '\n');
        bool is_wrapped = end > 8 && line.ptr[4] >= '2' && line.ptr[4] <= '5' &&
                          line.ptr[5] >= '0' && line.ptr[5] <= '9' && line.ptr[6] >= '0' &&
                          line.ptr[6] <= '9' && (line.ptr[7] == ' ' || line.ptr[7] == '-');
        size_t shown = is_wrapped ? 7 : line.ptr[3] == '-' ? 4 : 3;
        len += (size_t)snprintf(seen + len, sizeof(seen) - len, "%s%.*s", len > 0 ? " " : "",
                                (int)size_min(shown, end), (const char *)line.ptr);
        at += end + 1;
    }
    fake.out_len = 0;
    if (strcmp(seen, expected) != 0)
        fail_msg("%s: seen \"%s\", expected \"%s\"", what, seen, expected);
}

static void to_the_dot(struct world *w, const char *parameter)
{
    char mail[64];
    bool is_adat = strcmp(parameter, "ADAT") == 0;
    snprintf(mail, sizeof(mail), "MAIL FROM:<a@b.c>%s%s\r\n", is_adat ? "" : " ",
             is_adat ? "" : parameter);
    receive(w, mail);
    if (!is_adat)
        receive(w, "RCPT TO:<r1@x>\r\nRCPT TO:<r2@x>\r\nRCPT TO:<r3@x>\r\nDATA\r\n");
    else
        receive(w, "ADAT 3\r\n");
    fake.out_len = 0;
    receive(w, CONTENT("1"));
}

/* r2 is refused, after work of 60 s for all and 30 s for each: what has left after each step. */
static void every_dialect_in_its_time(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> delay 60s", "each -> delay 30s",
                                        "each index=2 -> reply 550 5.7.1 No"};
    static const char *const buffered[] = {"dot -> delay 60s; pacing buffer", "each -> delay 30s",
                                           "each index=2 -> reply 550 5.7.1 No"};
    static const struct {
        const char *parameter;
        const char *lines[5]; /* at once, 60, 90, 120, 150 s */
        const char *whole;    /* when all leave at the end */
    } rows[] = {
        {"PRDR", {"353", "", "250", "550", "250 250"}, "353 250 550 250 250"},
        {"DEFERRALS", {"353", "", "250", "550", "250 250"}, "353 250 550 250 250"},
        {"INLINE-DSN", {"353", "", "250", "550", "250 250"}, "353 250 550 250 250"},
        {"XPRDR1", {"", "", "250", "550", "250 250"}, "250 550 250 250"},
        {"EXDATA", {"", "", "558-250", "558-550", "558 250"}, "558-250 558-550 558 250"},
        {"XEXDATA", {"", "", "558-250", "558-550", "558 250"}, "558-250 558-550 558 250"},
        {"XRCPT250",
         {"250-", "", "250-250", "250-550", "250-250 250"},
         "250- 250-250 250-550 250-250 250"},
        {"XRCPT250B",
         {"250-", "", "250-250", "250-550", "250-250 250"},
         "250- 250-250 250-550 250-250 250"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        static const clock_ns steps[] = {0, 60, 30, 30, 30};
        struct world *w = greeted(false, rules, ARRAY_COUNT(rules));
        to_the_dot(w, rows[i].parameter);
        for (size_t k = 0; k < ARRAY_COUNT(steps); k++) {
            pass(w, steps[k] * NS_PER_S);
            expect_lines(rows[i].parameter, rows[i].lines[k]);
        }
        receive(w, "NOOP\r\n");
        expect_ledger(w, "1:r1@x:250:yes 1:r3@x:250:yes");
        end_of_input(w, 0);
        world_free(w);
        w = greeted(false, buffered, ARRAY_COUNT(buffered));
        to_the_dot(w, rows[i].parameter);
        for (size_t k = 0; k < ARRAY_COUNT(steps); k++) {
            pass(w, steps[k] * NS_PER_S);
            expect_lines(rows[i].parameter, k == 4 ? rows[i].whole : "");
        }
        receive(w, "NOOP\r\n");
        expect_ledger(w, "1:r1@x:250:yes 1:r3@x:250:yes");
        end_of_input(w, 0);
        world_free(w);
    }
}

/* Cyrus: three replies, and nothing before the last recipient is done (LMTP sheet, section 4). */
static void lmtp_in_one_burst(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> pacing buffer", "each -> delay 30s"};
    struct world *w = greeted(true, rules, ARRAY_COUNT(rules));
    receive(w, "MAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nRCPT TO:<r2@x>\r\nDATA\r\n");
    expect_codes("250 250 250 354");
    receive(w, CONTENT("1"));
    pass(w, 30 * NS_PER_S);
    expect_codes("");
    assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 1);
    pass(w, 30 * NS_PER_S);
    expect_codes("250 250");
    end_of_input(w, 0);
    world_free(w);
}

/* What follows in the same segment is read, too, where the reply before it has no octets: LMTP has
 * none for nobody (LMTP-17), and the script keeps others back. */
static void input_behind_nothing_to_say(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        bool is_lmtp;
        const char *said;
        const char *codes;
    } rows[] = {
        {NULL, true, "BDAT 4 LAST\r\nab\r\nNOOP\r\n", "250"},
        {NULL, true, "BDAT 0 LAST\r\nMAIL FROM:<a@b.c>\r\nBDAT 2\r\n\r\nBDAT 0 LAST\r\nNOOP\r\n",
         "250 503 250"},
        {"each index=1 -> missing", true, "RCPT TO:<r1@x>\r\nBDAT 4 LAST\r\nab\r\nNOOP\r\n",
         "250 250"},
        {"dot -> missing", false, "RCPT TO:<r1@x>\r\nBDAT 4 LAST\r\nab\r\nNOOP\r\n", "250 250"},
        {"rcpt -> missing", false, "RCPT TO:<r1@x>\r\nNOOP\r\n", "250"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world *w = greeted(rows[i].is_lmtp, &rows[i].rule, rows[i].rule != NULL);
        receive(w, "MAIL FROM:<a@b.c>\r\n");
        expect_codes("250");
        receive(w, rows[i].said);
        expect_codes(rows[i].codes);
        end_of_input(w, 0);
        world_free(w);
    }
}

/* HOL-10: no line for 25 s, and a sign of life; the recipients' replies are still theirs. */
static void a_list_shows_life(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> delay 50s; life 25s; drop-after 2",
                                        "each -> delay 30s"};
    struct world *w = greeted(false, rules, ARRAY_COUNT(rules));
    to_the_dot(w, "XRCPT250");
    expect_lines("opener", "250-");
    static const struct {
        clock_ns seconds;
        const char *lines;
    } steps[] = {{24, ""},       {1, "250-"}, {25, "250-"}, {25, "250-"},
                 {5, "250-250"}, {24, ""},    {1, "250-"},  {5, "250-250"}};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        for (clock_ns second = 0; second < steps[i].seconds; second++)
            pass(w, NS_PER_S);
        if (i == 1)
            assert_memory_equal(fake.out, "250-000 ", 8);
        expect_lines("life", steps[i].lines);
    }
    assert_true(fake.is_shut);
    end_of_input(w, 0);
    pass(w, 30 * NS_PER_S);
    expect_ledger(w, "1:r1@x:250:- 1:r2@x:250:- 1:r3@x:250:no");
    world_free(w);
}

/* ADAT: what is known of the content comes first, then each recipient, then all (OTH-4..OTH-7). */
static void recipients_after_the_content(void **state)
{
    (void)state;
    static const char *const rules[] = {"rcpt rcpt=r1* -> reply 550 5.1.1 Nobody",
                                        "each rcpt=r2* -> reply 452 4.2.2 Full; delay 30s"};
    struct world *w = greeted(false, rules, ARRAY_COUNT(rules));
    to_the_dot(w, "ADAT");
    expect_codes("355");
    receive(w, "DRCP TO:<r1@x>\r\nDRCP TO:<r2@x>\r\nDRCP TO:<r3@x>\r\n");
    expect_codes("550");
    pass(w, 30 * NS_PER_S);
    expect_codes("452 250");
    assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 0);
    receive(w, "ERCP 1\r\n");
    expect_codes("250");
    receive(w, "NOOP\r\n");
    expect_ledger(w, "1:r3@x:250:yes");
    w->worker.ledger_len = 0;
    fake.out_len = 0;
    to_the_dot(w, "ADAT");
    receive(w, "DRCP TO:<r3@x>\r\nRSET\r\nNOOP\r\n");
    expect_codes("355 250 250 250");
    to_the_dot(w, "ADAT");
    receive(w, "DRCP TO:<r3@x>\r\nERCP 2\r\nNOOP\r\n");
    expect_codes("355 250 554 250");
    expect_ledger(w, ""); /* nobody, and nobody */
    end_of_input(w, 0);
    world_free(w);
}

/* DEF-5, DEF-6, DEF-15: who is told when. */
static void some_are_decided_later(void **state)
{
    (void)state;
    static const struct {
        const char *rules[3];
        const char *rcpts;
        const char *lines;
        const char *ledger;
    } rows[] = {
        {{"rcpt -> decide now", "each rcpt=r2* -> delay 0s"},
         "250 250 250",
         "250",
         "1:r1@x:250:yes 1:r2@x:250:yes 1:r3@x:250:yes"},
        {{"rcpt rcpt=r2* -> decide later"},
         "250 352 250",
         "250",
         "1:r1@x:250:yes 1:r2@x:250:yes 1:r3@x:250:yes"},
        {{"rcpt rcpt=r2* -> decide later", "rcpt -> decide now", "each rcpt=r2* -> reply 550"},
         "250 352 250",
         "353 550 250",
         "1:r1@x:250:yes 1:r3@x:250:yes"},
        {{"rcpt rcpt=r1* -> decide now", "each rcpt=r3* -> reply 450"},
         "250 352 352",
         "353 250 450 250",
         "1:r1@x:250:yes 1:r2@x:250:yes"},
        {{"rcpt rcpt=r1* -> decide now", "each rcpt=r1* -> reply 450"},
         "250 352 352",
         "353 250 250 450",
         ""},
        {{"rcpt rcpt=r2* -> reply 550", "each rcpt=r3* -> reply 450"},
         "352 550 352",
         "353 250 450 250",
         "1:r1@x:250:yes"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        size_t count = 0;
        while (count < ARRAY_COUNT(rows[i].rules) && rows[i].rules[count] != NULL)
            count++;
        struct world *w = greeted(false, rows[i].rules, count);
        receive(w, "MAIL FROM:<a@b.c> DEFERRALS\r\n");
        fake.out_len = 0;
        receive(w, "RCPT TO:<r1@x>\r\nRCPT TO:<r2@x>\r\nRCPT TO:<r3@x>\r\n");
        expect_codes(rows[i].rcpts);
        receive(w, "DATA\r\n");
        expect_codes("354");
        receive(w, CONTENT("1"));
        expect_lines(rows[i].rules[0], rows[i].lines);
        receive(w, "NOOP\r\n");
        expect_ledger(w, rows[i].ledger);
        end_of_input(w, 0);
        world_free(w);
    }
}

/* --- the client machine on the other side ----------------------------------------------------- */

#define TALK_RCPTS 3

/* Sends what the client has to send, gives it what it is told, to the end of both. */
static void talk(struct world *w, struct client *client, const struct client_message *message,
                 struct client_result *results)
{
    char memory[3 * CLIENT_COMMAND_BYTES_MAX], text[8192];
    size_t taken = 0;
    bool is_done = false;
    for (int turn = 0; turn < 1000 && !is_done; turn++) {
        struct client_event ev;
        size_t used = client_feed(client, slice_of(fake.out + taken, fake.out_len - taken), 0, &ev);
        taken += used;
        is_done = ev.kind == CLIENT_EV_DONE;
        if (ev.kind == CLIENT_EV_READY)
            client_begin(client, message, results, 0);
        if (ev.kind != CLIENT_EV_MORE)
            continue;
        struct buf scratch = buf_over(memory, sizeof(memory));
        struct slices parts;
        size_t len = 0;
        bool has_more = client_output(client, 0, &scratch, &parts);
        for (uint32_t i = 0; i < parts.count; i++) {
            memcpy(text + len, parts.at[i].ptr, parts.at[i].len);
            len += parts.at[i].len;
        }
        text[len] = '\0';
        if (len > 0 && fake.is_recv_armed)
            receive(w, text);
        else if (!has_more && !client_has_event(client))
            client_lost(client, CLIENT_ERROR_LOST); /* nothing more will come */
    }
    assert_true(is_done);
}

/* A DATA transaction of @offer under @rules; the octets of the replies to its content, or SIZE_MAX
 * when it is not worth going on. */
static void cut_and_compare(uint32_t offer, bool is_lmtp, bool uses_chunks,
                            const char *const *rules, size_t rule_count)
{
    struct client_config config = {
        .protocol = is_lmtp ? CLIENT_LMTP : CLIENT_SMTP,
        .pipelining = CLIENT_PIPELINE_ENVELOPE,
        .hostname = SLICE_LIT("c.example"),
        .dialects = offer,
        .wants_chunking = uses_chunks,
    };
    struct client_rcpt rcpts[TALK_RCPTS] = {{.address = SLICE_LIT("r0@x")},
                                            {.address = SLICE_LIT("r1@x")},
                                            {.address = SLICE_LIT("r2@x")}};
    struct slice content =
        SLICE_LIT("Message-ID: <pl.00000000000000ab.1@x.example>\r\n\r\nhello\r\n");
    struct client_message message = {.sender = SLICE_LIT("a@b.c"),
                                     .rcpts = rcpts,
                                     .rcpt_count = TALK_RCPTS,
                                     .content = &content,
                                     .content_count = 1};
    struct client_result results[TALK_RCPTS];
    struct client client;
    struct world *w = world_new(is_lmtp, rules, rule_count);
    client_init(&client, &config, 0);
    talk(w, &client, &message, results);
    if (fake.is_recv_armed)
        end_of_input(w, 0);
    for (int i = 0; i < 10 && w->worker.conn_count > 0; i++)
        pass(w, NS_PER_S);
    assert_int_equal(w->worker.conn_count, 0);
    /* Who is theirs for the client has an arrival whose reply can have come, and the others none,
     * or one whose reply cannot. */
    char marks[TALK_RCPTS + 1] = "---";
    struct slice rest = slice_of(w->worker.ledger, w->worker.ledger_len);
    while (rest.len > 0) {
        struct arrival a;
        struct slice line = slice_first(rest, slice_find(rest, '\n'));
        rest = slice_from(rest, line.len + 1);
        assert_true(arrivals_parse(line, &a));
        assert_true(a.rcpt_idx < TALK_RCPTS);
        assert_true(a.delivered != ARRIVAL_REPLY_YES); /* nothing was said after it */
        marks[a.rcpt_idx] = a.delivered == ARRIVAL_REPLY_NO ? 'n' : 'y';
    }
    for (uint32_t i = 0; i < TALK_RCPTS; i++) {
        bool is_theirs = results[i].fate == CLIENT_FATE_DONE;
        /* HOL-13: a refusal that was read, and is not known to be, makes one notice too many. */
        if (offer == SESSION_OFFER_XRCPT250B && results[i].code >= 400 &&
            results[i].phase == CLIENT_PHASE_DONE && marks[i] == 'y')
            continue;
        if (is_theirs != (marks[i] == 'y'))
            fail_msg("%s, %s: recipient %u is %s, the ledger says %s",
                     dialect_name(client_dialect(&client)), rules[0], i,
                     is_theirs ? "theirs" : "not theirs", marks);
    }
    world_free(w);
}

/* Each dialect, its replies cut behind each octet, streamed and buffered, some refused: client and
 * ledger agree about everybody. */
static void client_and_ledger_agree(void **state)
{
    (void)state;
    static const char *const refusals[] = {"each index=2 -> reply 550 No",
                                           "each index=1 -> reply 450 N",
                                           "rcpt index=2 -> reply 550 No", "rcpt index=9 -> stop"};
    static const uint32_t offers[] = {0,
                                      0,
                                      SESSION_OFFER_PRDR,
                                      SESSION_OFFER_DEFERRALS,
                                      SESSION_OFFER_INLINE_DSN,
                                      SESSION_OFFER_EXDATA,
                                      SESSION_OFFER_XRCPT250,
                                      SESSION_OFFER_XRCPT250B,
                                      SESSION_OFFER_XPRDR1,
                                      SESSION_OFFER_ADAT};
    for (size_t d = 0; d < ARRAY_COUNT(offers); d++)
        for (size_t k = 0; k < ARRAY_COUNT(refusals); k++)
            for (uint32_t how = 0; how < 4; how++)
                for (uint32_t bytes = 0; bytes < 170; bytes++) {
                    char cut[80];
                    snprintf(cut, sizeof(cut), "dot -> drop-replies %u; pacing %s", bytes,
                             how % 2 == 0 ? "stream" : "buffer");
                    const char *const rules[] = {cut, refusals[k]};
                    cut_and_compare(offers[d], d == 1, how >= 2, rules, ARRAY_COUNT(rules));
                }
}

/* Reading B: from the opening line on everybody is the server's (HOL-12); but who was refused, and
 * was not told, is none that arrived. */
static void the_opening_line_counts(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        const char *lines;
        const char *ledger;
    } rows[] = {
        {"dot -> drop-replies 17", "250-", "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no"},
        {"dot -> drop-replies 19", "250-", "1:r1@x:250:- 1:r2@x:250:- 1:r3@x:250:-"},
        {"dot -> drop-after 0", "250-", "1:r1@x:250:- 1:r2@x:250:- 1:r3@x:250:-"},
        {"dot -> drop-after 1", "250- 250-250", "1:r1@x:250:- 1:r2@x:250:- 1:r3@x:250:-"},
        {"dot -> drop-after 0; gone stop", "250-", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world *w = greeted(false, &rows[i].rule, 1);
        to_the_dot(w, "XRCPT250B");
        expect_lines(rows[i].rule, rows[i].lines);
        end_of_input(w, 0);
        pass(w, 5 * NS_PER_S);
        expect_ledger(w, rows[i].ledger);
        world_free(w);
    }
}

/* HOL-13: a refusal that was read by somebody who went on is told; any other is the server's. */
static void a_refusal_is_told_or_owed(void **state)
{
    (void)state;
    static const char *const told[] = {"each index=2 -> reply 550"};
    static const char *const cut[] = {"each index=2 -> reply 550", "dot -> drop-after 1"};
    struct world *w = greeted(false, told, ARRAY_COUNT(told));
    to_the_dot(w, "XRCPT250B");
    expect_lines("told", "250- 250-250 250-550 250-250 250");
    receive(w, "NOOP\r\n");
    expect_ledger(w, "1:r1@x:250:yes 1:r3@x:250:yes");
    end_of_input(w, 0);
    assert_int_equal(w->worker.counters[SINK_NOTICES], 0);
    world_free(w);
    w = greeted(false, told, ARRAY_COUNT(told));
    to_the_dot(w, "XRCPT250B");
    end_of_input(w, 0);
    expect_ledger(w, "1:r1@x:250:- 1:r2@x:550:- 1:r3@x:250:-");
    world_free(w);
    w = greeted(false, cut, ARRAY_COUNT(cut));
    to_the_dot(w, "XRCPT250B");
    expect_lines("cut", "250- 250-250");
    end_of_input(w, 0);
    expect_ledger(w, "1:r1@x:250:- 1:r2@x:550:- 1:r3@x:250:-");
    assert_int_equal(w->worker.counters[SINK_NOTICES], 1);
    world_free(w);
}

/* drop-after in each dialect: K lines of recipients and no more. */
static void cut_after_k_in_each(void **state)
{
    (void)state;
    static const struct {
        const char *parameter;
        const char *lines[5]; /* K = 0 .. 4 */
    } rows[] = {
        {"PRDR", {"353", "353 250", "353 250 250", "353 250 250 250", "353 250 250 250"}},
        {"XPRDR1", {"", "250", "250 250", "250 250 250", "250 250 250"}},
        {"EXDATA",
         {"", "558-250", "558-250 558-250", "558-250 558-250 558 250", "558-250 558-250 558 250"}},
        {"XRCPT250",
         {"250-", "250- 250-250", "250- 250-250 250-250", "250- 250-250 250-250 250-250",
          "250- 250-250 250-250 250-250"}},
        {"DEFERRALS", {"353", "353 250", "353 250 250", "353 250 250 250", "353 250 250 250"}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        for (uint32_t k = 0; k < ARRAY_COUNT(rows[i].lines); k++) {
            char rule[64];
            snprintf(rule, sizeof(rule), "dot -> drop-after %u; gone stop", k);
            const char *const rules[] = {rule, "rcpt -> decide later"};
            struct world *w = greeted(false, rules, ARRAY_COUNT(rules));
            to_the_dot(w, rows[i].parameter);
            expect_lines(rows[i].parameter, rows[i].lines[k]);
            bool is_over = strcmp(rows[i].parameter, "EXDATA") != 0 || k < 4;
            assert_int_equal(fake.is_shut, is_over);
            end_of_input(w, 0);
            world_free(w);
        }
}

/* --- what takes how long ---------------------------------------------------------------------- */

/* What has left, and the number of recipients taken, some time after the content. */
struct moment {
    clock_ns at; /* s */
    const char *lines;
    uint64_t taken;
};
struct course {
    const char *rules[5];
    const char *parameter; /* of MAIL; NULL: LMTP */
    struct moment moments[8];
    const char *ledger; /* behind a NOOP; NULL: not asked */
};

static struct world *follow(const struct course *course)
{
    size_t count = 0;
    while (count < ARRAY_COUNT(course->rules) && course->rules[count] != NULL)
        count++;
    bool is_lmtp = course->parameter == NULL;
    struct world *w = greeted(is_lmtp, course->rules, count);
    to_the_dot(w, is_lmtp ? "" : course->parameter);
    clock_ns passed = 0;
    for (size_t i = 0; i < ARRAY_COUNT(course->moments) && course->moments[i].lines != NULL; i++) {
        for (; passed < course->moments[i].at; passed++)
            pass(w, NS_PER_S);
        expect_lines(course->rules[0], course->moments[i].lines);
        if (w->worker.counters[SINK_RCPTS_COMMITTED] != course->moments[i].taken)
            fail_msg("%s: %llu taken at %llu s", course->rules[0],
                     (unsigned long long)w->worker.counters[SINK_RCPTS_COMMITTED],
                     (unsigned long long)passed);
    }
    return w;
}

static void follow_all(const struct course *courses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct world *w = follow(&courses[i]);
        if (courses[i].ledger != NULL) {
            receive(w, "NOOP\r\n");
            expect_ledger(w, courses[i].ledger);
        }
        end_of_input(w, 0);
        pass(w, 1000 * NS_PER_S);
        assert_int_equal(w->worker.conn_count, 0);
        world_free(w);
    }
}

#define ALL_READ "1:r1@x:250:yes 1:r2@x:250:yes 1:r3@x:250:yes"

/* Each has his own clock from the end of the content's work on; replies leave in order. */
static void recipients_all_at_once(void **state)
{
    (void)state;
    static const struct course courses[] = {
        {{"dot -> order concurrent; delay 60s", "each -> delay 30s"},
         NULL,
         {{89, "", 0}, {90, "250 250 250", 3}},
         ALL_READ},
        {{"dot -> order concurrent; delay 10s", "each index=1 -> delay 30s",
          "each index=2 -> delay 5s", "each index=3 -> delay 50s"},
         NULL,
         {{15, "", 1}, {39, "", 1}, {40, "250 250", 2}, {60, "250", 3}},
         ALL_READ},
        {{"dot -> order concurrent; drop-after 1; gone stop", "each index=2 -> delay 20s",
          "each -> delay 10s"},
         NULL,
         {{9, "", 0}, {10, "250", 1}, {11, "", 1}},
         NULL},
        {{"dot -> order concurrent; write 7s", "each index=3 -> delay 1s", "each -> delay 10s"},
         NULL,
         {{8, "", 1}, {16, "", 1}, {17, "250 250 250", 3}},
         ALL_READ},
        {{"dot -> order concurrent", "each index=2 -> reply 550; delay 2s", "each -> delay 4s"},
         "PRDR",
         {{0, "353", 0}, {3, "", 0}, {4, "250 550 250 250", 2}},
         "1:r1@x:250:yes 1:r3@x:250:yes"},
    };
    follow_all(courses, ARRAY_COUNT(courses));
}

/* Who is not decided in time is answered 451 in his place, and what goes on stands. */
static void a_reply_budget(void **state)
{
    (void)state;
    static const struct course courses[] = {
        {{"dot -> delay 60s; budget 100s", "each -> delay 30s"},
         NULL,
         {{90, "250", 1}, {99, "", 1}, {100, "451 451", 1}},
         "1:r1@x:250:yes"},
        {{"dot -> delay 60s; budget 50s", "each -> delay 30s"},
         "PRDR",
         {{0, "353", 0}, {49, "", 0}, {50, "451 451 451 451", 0}},
         ""},
        {{"dot -> delay 60s; budget 120s", "each -> delay 30s"},
         "", /* at the last moment, and one for all */
         {{119, "", 0}, {120, "451", 0}},
         ""},
        {{"dot -> delay 60s; budget 150s", "each -> delay 30s"},
         "",
         {{149, "", 0}, {150, "250", 3}},
         ALL_READ},
        {{"dot -> write 10s; budget 65s", "each -> delay 30s"},
         NULL, /* the first is being written at 30 s, the second is at work */
         {{39, "", 0}, {40, "250", 1}, {65, "451 451", 1}},
         "1:r1@x:250:yes"},
        {{"dot -> write 10s; budget 35s", "each -> delay 30s"},
         NULL, /* the first is being written */
         {{35, "", 0}, {40, "250 451 451", 1}},
         "1:r1@x:250:yes"},
        {{"dot -> order concurrent; budget 20s", "each index=2 -> delay 30s", "each -> delay 5s"},
         NULL,
         {{5, "250", 2}, {20, "451 250", 2}, {30, "", 2}},
         "1:r1@x:250:yes 1:r3@x:250:yes"},
    };
    follow_all(courses, ARRAY_COUNT(courses));
}

/* A list is not silent for longer: the next one is deferred, and those behind him take their time
 * (DEF-18, EXD-16). */
static void a_gap_that_is_too_long(void **state)
{
    (void)state;
    static const struct course courses[] = {
        {{"dot -> delay 30s; gap 60s; opener 0s", "each -> delay 40s"},
         "DEFERRALS",
         {{0, "353", 0}, {59, "", 0}, {60, "451", 0}, {100, "250", 0}, {140, "250 250", 2}},
         "1:r2@x:250:yes 1:r3@x:250:yes"},
        {{"dot -> gap 60s; opener 0s", "each index=2 -> delay 100s", "each -> delay 10s"},
         "DEFERRALS",
         {{0, "353", 0}, {10, "250", 0}, {70, "451", 0}, {80, "250 250", 2}},
         "1:r1@x:250:yes 1:r3@x:250:yes"},
    };
    follow_all(courses, ARRAY_COUNT(courses));
}

/* Durable writes: one each, one for all, or before anything is said. */
static void writes_take_time(void **state)
{
    (void)state;
    static const struct course courses[] = {
        {{"dot -> write 20s", "each -> delay 10s"},
         NULL,
         {{10, "", 0}, {29, "", 0}, {30, "250", 1}, {60, "250", 2}, {90, "250", 3}},
         ALL_READ},
        {{"dot -> write 20s", "each -> delay 10s"},
         "PRDR",
         {{0, "353", 0}, {10, "250", 0}, {30, "250 250", 0}, {49, "", 0}, {50, "250", 3}},
         ALL_READ},
        {{"dot -> write 20s; delay 10s"}, "", {{29, "", 0}, {30, "250", 3}}, ALL_READ},
        {{"dot -> write 20s; reply 550"}, "", {{0, "550", 0}}, ""},
        {{"dot -> write 20s; commit end; pacing buffer", "each -> delay 10s"},
         NULL,
         {{49, "", 0}, {50, "250 250 250", 3}},
         ALL_READ},
        {{"dot -> write 15s; commit opener", "each index=2 -> reply 550", "each -> delay 10s"},
         "XRCPT250B", /* the first one is decided before */
         {{14, "", 0}, {15, "250- 250-250", 1}, {20, "250-550", 1}, {30, "250-250 250", 2}},
         "1:r1@x:250:yes 1:r3@x:250:yes"},
        {{"dot -> write 50s; commit opener", "each -> delay 10s"},
         "XRCPT250B",
         {{49, "", 0}, {50, "250- 250-250 250-250 250-250 250", 3}},
         ALL_READ},
        {{"dot -> final 25s; write 5s", "each -> delay 10s"},
         "PRDR",
         {{30, "353 250 250 250", 0}, {59, "", 0}, {60, "250", 3}},
         ALL_READ},
    };
    follow_all(courses, ARRAY_COUNT(courses));
}

/* When a list is begun: at its time, with the first reply, or not before it tells the truth. */
static void lists_are_begun(void **state)
{
    (void)state;
    static const struct course courses[] = {
        {{"dot -> opener first; delay 10s", "each -> delay 10s"},
         "PRDR",
         {{19, "", 0}, {20, "353 250", 0}, {30, "250", 0}, {40, "250 250", 3}},
         ALL_READ},
        {{"dot -> opener 5s; delay 10s", "each -> delay 10s"},
         "PRDR",
         {{4, "", 0}, {5, "353", 0}, {20, "250", 0}, {40, "250 250 250", 3}},
         ALL_READ},
        {{"dot -> opener first", "each -> delay 10s"},
         "EXDATA", /* all is well: no list (EXD-10) */
         {{10, "", 1}, {30, "250", 3}},
         ALL_READ},
        {{"dot -> opener first", "each index=2 -> reply 550; delay 10s", "each -> delay 10s"},
         "EXDATA",
         {{10, "", 1}, {20, "558-250 558-550", 1}, {30, "558 250", 2}},
         "1:r1@x:250:yes 1:r3@x:250:yes"},
    };
    follow_all(courses, ARRAY_COUNT(courses));
}

/* One reply for all fits only if all are alike (CORE-8). */
static void copies_of_the_refused_are_held(void **state)
{
    (void)state;
    static const struct course courses[] = {
        {{"dot -> mixed hold", "each index=2 -> reply 550"}, "", {{0, "250", 3}}, ALL_READ},
        {{"dot -> mixed hold", "each index=2 -> reply 550", "each index=3 -> reply 450"},
         "",
         {{0, "450", 0}},
         ""},
        {{"dot -> mixed hold", "each -> reply 551"}, "", {{0, "551", 0}}, ""},
    };
    follow_all(courses, ARRAY_COUNT(courses));
    struct world *w = follow(&courses[0]);
    receive(w, "NOOP\r\n");
    assert_non_null(memmem(w->worker.ledger, w->worker.ledger_len, "\theld\n", 6));
    end_of_input(w, 0);
    world_free(w);
}

/* What is done to a recipient's line is done to his, whenever it leaves. */
static void lines_are_spoiled_in_their_place(void **state)
{
    (void)state;
    static const struct course courses[] = {
        {{"dot -> pacing buffer", "each index=2 -> code 299", "each index=3 -> raw 200 x\\r\\n"},
         NULL,
         {{0, "250 299 200", 3}},
         ALL_READ},
        {{"dot -> pacing buffer", "each index=2 -> missing"},
         "EXDATA",
         {{0, "", 3}},
         "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no"}, /* the one reply */
        {{"dot -> order concurrent", "each index=1 -> delay 10s; code 999",
          "each index=3 -> early"},
         NULL,
         {{0, "", 2}, {10, "999 250 250 250", 3}},
         NULL},
        {{"dot -> order concurrent", "each index=2 -> missing; delay 5s"},
         "PRDR",
         {{0, "353 250", 0}, {5, "250 250", 3}},
         ALL_READ}, /* it is the last reply that counts */
    };
    follow_all(courses, ARRAY_COUNT(courses));
}

/* --- who has gone ----------------------------------------------------------------------------- */

/* The client closes @at seconds after the content: who is taken then, and in the end. */
static const struct {
    struct course course;
    clock_ns at;
    int32_t how;
    const char *ledger;
} leaving_rows[] = {
    /* Being written when he leaves: that is finished. */
    {{{"dot -> write 20s; gone stop", "each -> delay 10s"}, NULL, {{0}}, NULL},
     15,
     -ECONNRESET,
     "1:r1@x:250:no"},
    {{{"dot -> write 20s; gone stop", "each -> delay 10s"}, NULL, {{0}}, NULL}, 5, -ECONNRESET, ""},
    {{{"dot -> write 20s; gone stop", "each -> delay 10s"}, "", {{0}}, NULL},
     35,
     -ECONNRESET,
     "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no"},
    {{{"dot -> write 20s; gone stop", "each -> delay 10s"}, "", {{0}}, NULL}, 25, -ECONNRESET, ""},
    {{{"dot -> write 20s; gone stop", "each -> delay 10s"}, "", {{0}}, NULL},
     35,
     0, /* closed */
     "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no"},
    /* Taken as a whole; one who would have been refused is not, and was never told. */
    {{{"dot -> write 20s; commit opener; gone stop", "each index=2 -> reply 550; delay 100s",
       "each -> delay 100s"},
      "XRCPT250B",
      {{0}},
      NULL},
     10,
     -ECONNRESET,
     "1:r1@x:250:no 1:r3@x:250:no"},
    /* A list that nobody reads is not silent (DEF-18). */
    {{{"dot -> gap 60s; opener first", "each -> delay 45s"}, "DEFERRALS", {{0}}, NULL},
     5,
     -ECONNRESET,
     "1:r1@x:250:no 1:r2@x:250:no 1:r3@x:250:no"},
    /* A reset is not looked at, but the reply at 10 s cannot be sent. */
    {{{"dot -> gone write", "each -> delay 10s"}, NULL, {{0}}, NULL},
     5,
     -ECONNRESET,
     "1:r1@x:250:no"},
    {{{"dot -> gone write; order concurrent", "each -> delay 10s"}, NULL, {{0}}, NULL},
     5,
     0,
     "1:r1@x:250:no"},
    {{{"dot -> gone write; drop-after 1", "each -> delay 10s"}, NULL, {{0}}, NULL},
     11,
     -ECONNRESET,
     "1:r1@x:250:no 1:r2@x:250:no"},
};

static void who_leaves_and_what_is_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(leaving_rows); i++) {
        struct world *w = follow(&leaving_rows[i].course);
        for (clock_ns second = 0; second < leaving_rows[i].at; second++)
            pass(w, NS_PER_S);
        fake.is_broken = true;
        end_of_input(w, leaving_rows[i].how);
        for (int second = 0; second < 400; second++)
            pass(w, NS_PER_S);
        assert_int_equal(w->worker.conn_count, 0);
        expect_ledger(w, leaving_rows[i].ledger);
        world_free(w);
    }
}

/* --- load ------------------------------------------------------------------------------------- */

static struct conn *newest(struct world *w)
{
    return CONTAINER_OF(w->worker.all.prev, struct conn, all);
}

static void say(struct world *w, struct conn *c, const char *text)
{
    struct ring_event ev = {.token = {.kind = RING_RECV,
                                      .owner = WORKER_OWNER_CONN,
                                      .generation = c->generation,
                                      .idx = pool_index(&w->worker.conns, c)},
                            .res = (int32_t)strlen(text),
                            .more = true,
                            .window = {.bytes = slice_str(text)}};
    conn_on_event(&w->worker, &ev);
    settle(w);
}

/* Another connection, with one recipient, up to the dot. */
static struct conn *another(struct world *w)
{
    fake.is_crowded = true;
    conn_open(&w->worker, &w->listen, -1);
    settle(w);
    struct conn *c = newest(w);
    say(w, c, "EHLO a.example\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<r1@x>\r\nDATA\r\n" CONTENT("1"));
    fake.out_len = 0;
    return c;
}

static void reset_by_peer(struct world *w, struct conn *c)
{
    struct ring_event ev = {.token = {.kind = RING_RECV,
                                      .owner = WORKER_OWNER_CONN,
                                      .generation = c->generation,
                                      .idx = pool_index(&w->worker.conns, c)},
                            .res = -ECONNRESET};
    conn_on_event(&w->worker, &ev);
    settle(w);
}

static struct world *loaded(const char *const *rules, size_t count, uint32_t capacity,
                            double slowdown)
{
    struct world *w = world_new(false, rules, count);
    w->shared.places = places_new(capacity, slowdown);
    assert_non_null(w->shared.places);
    end_of_input(w, 0);
    assert_int_equal(w->worker.conn_count, 0);
    return w;
}

static void passes(struct world *w, clock_ns seconds, const char *codes)
{
    for (clock_ns i = 0; i < seconds; i++)
        pass(w, NS_PER_S);
    expect_codes(codes);
}

static void world_end(struct world *w)
{
    while (w->worker.conn_count > 0) {
        conn_stop(&w->worker, newest(w), CONN_STOP_CUT);
        settle(w);
    }
    world_free(w);
}

/* Two at a time; the third waits for the first that is over. */
static void so_many_at_a_time(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot conn=2 -> delay 5s", "dot -> delay 10s"};
    struct world *w = loaded(rules, ARRAY_COUNT(rules), 2, 0);
    another(w); /* 5 s */
    another(w);
    another(w);
    passes(w, 4, "");
    passes(w, 1, "250"); /* the first, at 5 s: the third begins */
    passes(w, 5, "250");
    passes(w, 4, "");
    passes(w, 1, "250"); /* at 15 s */
    world_end(w);
}

/* (1 + at hand / capacity) times as long, by what is there when work begins. */
static void load_makes_slow(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> delay 10s", "each -> delay 1s"};
    struct world *w = loaded(rules, ARRAY_COUNT(rules), 2, 1);
    another(w); /* 1 of 2: 15 s for the content */
    another(w); /* 2 of 2: 20 s */
    another(w); /* waits */
    /* The first one's recipient begins at 15 s with three at hand: 2.5 s. */
    passes(w, 17, "");
    passes(w, 1, "250"); /* at 17.5 s; the third begins at 18 s, two at hand: 20 s */
    passes(w, 3, "");
    passes(w, 1, "250"); /* 20 s, and 2 s with two at hand */
    passes(w, 17, "");
    passes(w, 1, "250"); /* from 38 s on 1.5 s, alone */
    world_end(w);
}

/* What is worked on for somebody who has left keeps its place until that is over. */
static void a_place_is_kept_until_the_look(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot -> delay 10s; gone stop"};
    struct world *w = loaded(rules, ARRAY_COUNT(rules), 1, 0);
    struct conn *first = another(w);
    struct conn *second = another(w);
    another(w);
    reset_by_peer(w, second); /* in line: it has a turn, and that is over at once */
    reset_by_peer(w, first);
    passes(w, 9, "");
    passes(w, 10, "");
    passes(w, 1, "250"); /* the third, from 10 s on */
    assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 1);
    world_end(w);
}

/* A budget is from the content on, also in line. */
static void a_budget_in_line(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot conn=2 -> delay 30s; budget 1h",
                                        "dot -> delay 10s; budget 15s"};
    struct world *w = loaded(rules, ARRAY_COUNT(rules), 1, 0);
    another(w);
    another(w);
    another(w);
    passes(w, 14, "");
    passes(w, 1, "451 451");
    passes(w, 15, "250");
    another(w);
    passes(w, 10, "250");
    world_end(w);
}

/* His turn comes, and at the same look at the clock his budget is over: he has no use for it. */
static void a_turn_that_comes_too_late(void **state)
{
    (void)state;
    static const char *const rules[] = {"dot conn=2 -> delay 10s",
                                        "dot conn=3 -> budget 10500ms; commit always; write 5s",
                                        "dot -> delay 1s"};
    struct world *w = loaded(rules, ARRAY_COUNT(rules), 1, 0);
    another(w);
    another(w);
    another(w);
    pass(w, 11 * NS_PER_S);
    expect_codes("250");
    passes(w, 4, "");
    passes(w, 1, "451"); /* it had the place until then */
    passes(w, 1, "250");
    world_end(w);
}

/* Days of work on a server that is a thousand times too slow never end, and do not end at once. */
static void work_without_end(void **state)
{
    (void)state;
    static struct place all[300];
    struct places *p = places_new(1, 1000);
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        place_init(&all[i], NULL);
        assert_true(place_enter(p, &all[i]) == (i == 0));
    }
    assert_true(place_work_ns(p, 1) == 300001);
    assert_true(place_work_ns(p, 86400 * NS_PER_S) == (clock_ns)1 << 62);
    places_free(p);
}

/* --- what is remembered ----------------------------------------------------------------------- */

/* The same message again, after @passed: what it is answered, when, and what is taken in all. */
static void a_server_that_remembers(void **state)
{
    (void)state;
    static const char *const suppress[] = {"dot -> delay 60s; suppress 1h", "each -> delay 30s"};
    static const char *const scan[] = {"dot -> delay 60s; scan once; gone stop",
                                       "each -> delay 30s"};
    struct world *w = world_new(true, suppress, ARRAY_COUNT(suppress));
    w->shared.memory = memory_new(MEMORY_ROWS_MAX);
    receive(w, "LHLO a.example\r\n");
    to_the_dot(w, "");
    passes(w, 120, "250 250");
    end_of_input(w, -ECONNRESET);
    passes(w, 30, "");
    assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 3);
    conn_open(&w->worker, &w->listen, -1);
    settle(w);
    receive(w, "LHLO a.example\r\n");
    to_the_dot(w, "");
    expect_codes("250 250 250"); /* all are here */
    receive(w, "NOOP\r\n");      /* and that was read */
    fake.out_len = 0;
    to_the_dot(w, "");
    passes(w, 150, "250 250 250"); /* so it is sent again on purpose */
    assert_int_equal(w->worker.counters[SINK_RCPTS_COMMITTED], 6);
    world_end(w);

    w = world_new(true, scan, ARRAY_COUNT(scan));
    w->shared.memory = memory_new(MEMORY_ROWS_MAX);
    receive(w, "LHLO a.example\r\n");
    to_the_dot(w, "");
    passes(w, 59, "");
    end_of_input(w, -ECONNRESET);
    passes(w, 1, "");
    conn_open(&w->worker, &w->listen, -1);
    settle(w);
    receive(w, "LHLO a.example\r\n");
    to_the_dot(w, "");
    passes(w, 90, "250 250 250"); /* its content was known at 60 s */
    world_end(w);
}

static void receive_if_open(struct world *w, const char *text)
{
    if (fake.is_recv_armed)
        receive(w, text);
}

/* The sink ends, in one of its ways. */
static void stop(struct world *w, struct rng *rng)
{
    enum conn_stop how = (enum conn_stop)rng_below(rng, CONN_STOP_CUT + 1);
    if (w->worker.conn_count == 0)
        return;
    conn_stop(&w->worker, CONTAINER_OF(w->worker.all.next, struct conn, all), how);
    settle(w);
}

static const char *const random_lines[] = {
    "LHLO x\r\n",
    "EHLO x\r\n",
    "MAIL FROM:<a@b.c> PRDR\r\n",
    "MAIL FROM:<a@b.c> PRDR\r\nRCPT TO:<r@x>\r\nRCPT TO:<q@x>\r\nDATA\r\n",
    "MAIL FROM:<a@b.c> DEFERRALS\r\nRCPT TO:<r@x>\r\nRCPT TO:<q@x>\r\nDATA\r\n",
    "MAIL FROM:<a@b.c> INLINE-DSN\r\nRCPT TO:<r@x>\r\nRCPT TO:<q@x>\r\nDATA\r\n",
    "MAIL FROM:<a@b.c> EXDATA\r\nRCPT TO:<r@x>\r\nRCPT TO:<q@x>\r\nBDAT 2 LAST\r\nab",
    "MAIL FROM:<a@b.c> XRCPT250\r\nRCPT TO:<r@x>\r\nRCPT TO:<q@x>\r\nBDAT 2 LAST\r\nab",
    "MAIL FROM:<a@b.c> XRCPT250B\r\nRCPT TO:<r@x>\r\nRCPT TO:<q@x>\r\nDATA\r\n",
    "MAIL FROM:<a@b.c> XRCPT250B\r\nRCPT TO:<r@x>\r\nRCPT TO:<q@x>\r\nDATA\r\n" CONTENT("1"),
    "MAIL FROM:<a@b.c> XPRDR1\r\nRCPT TO:<r@x>\r\nRCPT TO:<q@x>\r\nDATA\r\n",
    "MAIL FROM:<a@b.c>\r\nADAT\r\n",
    CONTENT("1") "DRCP TO:<r@x>\r\nDRCP TO:<q@x>\r\n",
    "DRCP TO:<s@x>\r\n",
    "ERCP\r\n",
    "MAIL FROM:<a@b.c>\r\n",
    "RCPT TO:<r@x>\r\n",
    "RCPT TO:<s@x>\r\n",
    "DATA\r\n",
    CONTENT("1"),
    "BDAT 5\r\nabcde",
    "BDAT 3 LAST\r\nabc",
    "RSET\r\n",
    "NOOP\r\n",
    "x\r\n",
    "MAIL FROM:<a@b.c>\r\nRCPT TO:<r@x>\r\nDATA\r\n",
    "QUIT\r\n"};
static const char *const random_rules[] = {"mail p=0.1 -> delay exp:1s",
                                           "rcpt p=0.1 -> delay exp:1s; reply 450",
                                           "rcpt p=0.02 -> drop",
                                           "data p=0.1 -> drop-content 30 reset",
                                           "data p=0.1 -> stall-read 1s 5",
                                           "dot p=0.1 -> drop reset",
                                           "dot p=0.1 -> drop-after 1; gone stop",
                                           "dot p=0.2 -> commit after",
                                           "dot p=0.2 -> pacing buffer",
                                           "dot p=0.2 -> life exp:300ms",
                                           "dot p=0.2 -> order concurrent",
                                           "dot p=0.1 -> opener first",
                                           "dot p=0.1 -> opener exp:1s",
                                           "dot p=0.2 -> write exp:500ms",
                                           "dot p=0.1 -> commit end",
                                           "dot p=0.2 -> commit opener",
                                           "dot p=0.1 -> budget exp:2s",
                                           "dot p=0.1 -> gap exp:1s",
                                           "dot p=0.1 -> final exp:1s",
                                           "dot p=0.1 -> mixed hold; gone write",
                                           "dot p=0.2 -> suppress 5s; scan once",
                                           "dot p=0.1 -> drop-replies 30",
                                           "rcpt p=0.3 -> decide now",
                                           "dot p=0.2 -> delay exp:2s",
                                           "dot p=0.05 -> reply 421",
                                           "each p=0.1 -> delay exp:1s",
                                           "each p=0.1 -> reply 550",
                                           "each p=0.05 -> drop",
                                           "each p=0.03 -> reply 421",
                                           "each p=0.05 -> missing",
                                           "mail p=0.05 -> garbage",
                                           "helo p=0.1 -> endless 9k",
                                           "mail p=0.05 -> stall-write 1s",
                                           "dot p=0.05 -> pace 100ms",
                                           "dot p=0.05 -> early",
                                           "quit p=0.1 -> delay 1s"};

/* Workers look at the clock at different times: one may ask about what another did "later". */
static void a_copy_of_another_workers_time(void **state)
{
    (void)state;
    const struct identity id = {.run = 1, .seq = 2};
    const struct slice address = SLICE_LIT("r@x");
    struct memory *m = memory_new(MEMORY_ROWS_MAX);
    memory_note_copy(m, id, address, 10 * NS_PER_S);
    assert_true(memory_has_copy(m, id, address, 15 * NS_PER_S, 5 * NS_PER_S));
    assert_false(memory_has_copy(m, id, address, 15 * NS_PER_S + 1, 5 * NS_PER_S));
    assert_true(memory_has_copy(m, id, address, 10 * NS_PER_S - 1, 5 * NS_PER_S));
    memory_free(m);
}

/* Time that has been counted is not counted again for a worker whose look at the clock was older.
 */
static void a_rate_of_several_workers(void **state)
{
    (void)state;
    char why[256];
    struct shared sh = {.options = {.source_rate_max = 10}, .script = script_new()};
    const struct sockaddr_storage client = {.ss_family = AF_INET};
    uint32_t sent = 0;
    assert_true(shared_init(&sh, why, sizeof(why)));
    for (int i = 0; i < 1000; i++)
        sent += shared_source_may_send(&sh, &client, NS_PER_S - (i % 2 == 0 ? 0 : 100 * NS_PER_MS));
    assert_int_equal(sent, 10);
    assert_true(shared_source_may_send(&sh, &client, NS_PER_S + 100 * NS_PER_MS));
    assert_false(shared_source_may_send(&sh, &client, NS_PER_S + 100 * NS_PER_MS));
    shared_deinit(&sh);
}

/* A table that may not grow forgets what was not touched for the longest, and nothing else. */
static void memory_has_an_end(void **state)
{
    (void)state;
    enum { ROWS = 1024, KEPT = ROWS / 2, OFTEN = KEPT / 4 };
    struct memory *m = memory_new(ROWS);
    const struct identity often = {.run = 8};
    const struct slice address = SLICE_LIT("r@x");
    for (uint32_t i = 0; i < 10 * ROWS; i++) {
        struct identity id = {.run = 7, .seq = i};
        memory_note_copy(m, id, address, i);
        if (i % OFTEN == 0)
            assert_int_equal(memory_count_attempt(m, often), 1 + i / OFTEN);
        for (uint64_t k = i % 100 == 0 ? 0 : i; k <= i; k++) {
            struct identity then = {.run = 7, .seq = k};
            bool has_copy = memory_has_copy(m, then, address, i, i);
            if (k + KEPT - 1 > i && !has_copy)
                fail_msg("%u is forgotten at %u", (unsigned)k, i);
            if (k + ROWS < i && has_copy)
                fail_msg("%u is not forgotten at %u", (unsigned)k, i);
        }
    }
    memory_free(m);
}

/* Any input, any split, any rules: it comes to rest and everything is given back. */
static void random_conversations(void **state)
{
    (void)state;
    uint64_t sums[SINK_COUNTER_COUNT] = {0};
    for (uint32_t seed = 0; seed < 400; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        struct world *w = world_new(seed % 2 == 0, random_rules, ARRAY_COUNT(random_rules));
        rng_init(&w->worker.rng, seed);
        w->shared.memory = memory_new(MEMORY_ROWS_MAX);
        w->shared.places = seed % 3 == 0 ? places_new(1, 0.5) : NULL;
        receive_if_open(w, seed % 2 == 0 ? random_lines[0] : random_lines[1]);
        while (fake.is_recv_armed || !fake.is_closed) {
            uint64_t choice = rng_below(&rng, 20);
            fake.out_len = 0;
            if (choice == 0)
                fake.is_deaf = !fake.is_deaf && rng_below(&rng, 4) == 0;
            if (!fake.is_deaf && fake.held_bytes > 0) {
                post(fake.held_send, fake.held_bytes);
                fake.held_bytes = 0;
            }
            if (rng_below(&rng, 200) == 0)
                stop(w, &rng);
            if (choice < 4 || !fake.is_recv_armed)
                pass(w, rng_below(&rng, 3 * NS_PER_S));
            else if (choice == 4 && rng_below(&rng, 4) == 0)
                end_of_input(w, rng_below(&rng, 2) == 0 ? 0 : -ECONNRESET);
            else
                receive(w, random_lines[rng_below(&rng, ARRAY_COUNT(random_lines))]);
        }
        for (int i = 0; i < 100 && w->worker.conn_count > 0; i++)
            pass(w, NS_PER_S); /* messages that go on alone */
        assert_int_equal(w->worker.conn_count, 0);
        for (uint32_t i = 0; i < SINK_COUNTER_COUNT; i++)
            sums[i] += w->worker.counters[i];
        world_free(w);
    }
    for (uint32_t i = 0; i < SINK_COUNTER_COUNT; i++) /* everything happened */
        if (sums[i] == 0 && i != SINK_CONNS_REFUSED)
            fail_msg("no %s", sink_counter_name((enum sink_counter)i));
}

static const char *const load_rules[] = {
    "dot p=0.5 -> delay exp:1s",     "dot p=0.5 -> budget exp:2s",
    "dot p=0.3 -> gap exp:1s",       "dot p=0.5 -> write exp:500ms",
    "dot p=0.3 -> final exp:500ms",  "dot p=0.3 -> order concurrent",
    "dot p=0.2 -> commit always",    "dot p=0.2 -> commit end",
    "dot p=0.2 -> commit opener",    "dot p=0.2 -> commit dot",
    "dot p=0.2 -> opener exp:1s",    "dot p=0.2 -> pacing buffer",
    "dot p=0.2 -> gone stop",        "dot p=0.2 -> gone write",
    "dot p=0.2 -> mixed hold",       "dot p=0.2 -> suppress 2s; scan once",
    "dot p=0.1 -> drop-after 1",     "dot p=0.03 -> reply 421",
    "each p=0.5 -> delay exp:500ms", "each p=0.1 -> reply 550",
    "each p=0.05 -> drop",           "each p=0.03 -> reply 421"};

/* The @nth connection, unless it does not receive. */
static struct conn *nth_receiver(struct world *w, uint64_t nth)
{
    struct list *l = w->worker.all.next;
    while (nth-- > 0)
        l = l->next;
    struct conn *c = CONTAINER_OF(l, struct conn, all);
    return c->is_recv_armed && !c->is_recv_cancelled ? c : NULL;
}

static void reset_if(struct world *w, struct conn *c)
{
    if (c != NULL)
        reset_by_peer(w, c);
}

/* One more, with some recipients in some dialect. */
static void loaded_sender(struct world *w, struct rng *rng)
{
    static const char *const dialects[] = {
        "", " PRDR", " DEFERRALS", " EXDATA", " INLINE-DSN", " XRCPT250", " XPRDR1"};
    char text[512];
    const char *dialect = dialects[rng_below(rng, ARRAY_COUNT(dialects))];
    snprintf(text, sizeof(text),
             "%s x\r\nMAIL FROM:<a@b.c>%s\r\nRCPT TO:<r%u@x>\r\nRCPT TO:<q@x>\r\nDATA\r\n%s",
             w->listen.is_lmtp ? "LHLO" : "EHLO", w->listen.is_lmtp ? "" : dialect,
             (unsigned)rng_below(rng, 2), CONTENT("1"));
    fake.is_crowded = true;
    conn_open(&w->worker, &w->listen, -1);
    settle(w);
    say(w, newest(w), text);
}

/* Whatever becomes of messages that are worked on side by side: all places are free in the end. */
static void random_loads(void **state)
{
    (void)state;
    for (uint32_t seed = 0; seed < 400; seed++) {
        struct rng rng;
        struct place all[3];
        uint32_t capacity = 1 + seed % (uint32_t)ARRAY_COUNT(all);
        rng_init(&rng, seed);
        struct world *w = loaded(load_rules, ARRAY_COUNT(load_rules), capacity, 1);
        rng_init(&w->worker.rng, seed);
        w->shared.memory = memory_new(MEMORY_ROWS_MAX);
        w->listen.is_lmtp = seed % 4 == 3;
        for (int i = 0; i < 60; i++) {
            uint64_t choice = rng_below(&rng, 4);
            uint64_t count = w->worker.conn_count;
            fake.out_len = 0;
            if (choice == 0 && count < w->shared.options.conn_count_max)
                loaded_sender(w, &rng);
            else if (choice == 1 && count > 0 && rng_below(&rng, 3) == 0)
                reset_if(w, nth_receiver(w, rng_below(&rng, count)));
            else
                pass(w, rng_below(&rng, 2 * NS_PER_S));
        }
        for (int i = 0; i < 200 && w->worker.conn_count > 0; i++) {
            reset_if(w, nth_receiver(w, rng_below(&rng, w->worker.conn_count)));
            pass(w, NS_PER_S);
        }
        assert_int_equal(w->worker.conn_count, 0);
        for (uint32_t i = 0; i < capacity; i++) {
            place_init(&all[i], &w->worker);
            assert_true(place_enter(w->shared.places, &all[i]));
        }
        assert_int_equal(place_work_ns(w->shared.places, 100), 200); /* nobody else is at hand */
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_taken),
        cmocka_unit_test(one_recipient_after_another),
        cmocka_unit_test(lateness_does_not_add_up),
        cmocka_unit_test(the_example_of_the_specification),
        cmocka_unit_test(prdr_shows_a_sign_of_life),
        cmocka_unit_test(cut_after_k_of_n),
        cmocka_unit_test(a_reply_that_is_not_taken),
        cmocka_unit_test(half_a_command_proves_nothing),
        cmocka_unit_test(commit_after_the_reply),
        cmocka_unit_test(stalls),
        cmocka_unit_test(paced),
        cmocka_unit_test(paced_replies),
        cmocka_unit_test(half_a_reply),
        cmocka_unit_test(idle_and_byte_by_byte),
        cmocka_unit_test(many_recipients),
        cmocka_unit_test(every_dialect_in_its_time),
        cmocka_unit_test(lmtp_in_one_burst),
        cmocka_unit_test(input_behind_nothing_to_say),
        cmocka_unit_test(a_list_shows_life),
        cmocka_unit_test(recipients_after_the_content),
        cmocka_unit_test(some_are_decided_later),
        cmocka_unit_test(client_and_ledger_agree),
        cmocka_unit_test(the_opening_line_counts),
        cmocka_unit_test(a_refusal_is_told_or_owed),
        cmocka_unit_test(cut_after_k_in_each),
        cmocka_unit_test(recipients_all_at_once),
        cmocka_unit_test(a_reply_budget),
        cmocka_unit_test(a_gap_that_is_too_long),
        cmocka_unit_test(writes_take_time),
        cmocka_unit_test(lists_are_begun),
        cmocka_unit_test(copies_of_the_refused_are_held),
        cmocka_unit_test(lines_are_spoiled_in_their_place),
        cmocka_unit_test(who_leaves_and_what_is_written),
        cmocka_unit_test(so_many_at_a_time),
        cmocka_unit_test(load_makes_slow),
        cmocka_unit_test(a_place_is_kept_until_the_look),
        cmocka_unit_test(a_budget_in_line),
        cmocka_unit_test(a_turn_that_comes_too_late),
        cmocka_unit_test(work_without_end),
        cmocka_unit_test(a_server_that_remembers),
        cmocka_unit_test(a_copy_of_another_workers_time),
        cmocka_unit_test(memory_has_an_end),
        cmocka_unit_test(a_rate_of_several_workers),
        cmocka_unit_test(random_conversations),
        cmocka_unit_test(random_loads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
