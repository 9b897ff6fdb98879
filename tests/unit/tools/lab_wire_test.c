/* SPDX-License-Identifier: Apache-2.0 */
/* lab_wire_test.c - what the wire of a live run knows and draws, without sockets: chances, pipes,
 * conversations, and which points need it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "lab/chance.h"
#include "lab/live_fault.h"
#include "lab/live_pipe.h"
#include "lab/live_talk.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S(s) ((clock_ns)(s)*NS_PER_S)
#define DRAWS 20000

/* --- chances ---------------------------------------------------------------------------------- */

static struct chance drawn(const struct lab_faults *f, uint64_t seed, uint64_t seq,
                           uint32_t attempt)
{
    struct rng rng;
    chance_begin(&rng, seed, seq, attempt);
    return chance_draw(f, attempt, &rng);
}

static void a_draw_belongs_to_its_try(void **state)
{
    (void)state;
    const struct lab_faults f = {.cut = LAB_CUT_HAZARD, .hazard_per_s = 0.001};
    clock_ns one = drawn(&f, 1, 7, 0).cut_after_ns;
    assert_true(one == drawn(&f, 1, 7, 0).cut_after_ns);
    assert_true(one != drawn(&f, 2, 7, 0).cut_after_ns);
    assert_true(one != drawn(&f, 1, 8, 0).cut_after_ns);
    assert_true(one != drawn(&f, 1, 7, 1).cut_after_ns);
}

/* Of many draws as many as e^(-lambda t) are later than t, whatever t. */
static void hazards_have_their_rate(void **state)
{
    (void)state;
    const double lambda = 0.002;
    const struct lab_faults f = {.cut = LAB_CUT_HAZARD, .hazard_per_s = lambda};
    const double at[] = {10, 100, 500, 2000};
    for (size_t i = 0; i < ARRAY_COUNT(at); i++) {
        double share = exp(-lambda * at[i]), count = 0;
        for (uint32_t seq = 0; seq < DRAWS; seq++)
            count += (double)drawn(&f, 3, seq, 0).cut_after_ns > at[i] * 1e9;
        double bound = 4 * sqrt(share * (1 - share) / DRAWS);
        assert_true(fabs(count / DRAWS - share) < bound);
    }
}

static void other_faults(void **state)
{
    (void)state;
    struct lab_faults f = {.cut = LAB_CUT_BLACK_HOLE, .black_hole_share = 0.1};
    double silent = 0;
    for (uint32_t seq = 0; seq < DRAWS; seq++)
        silent += drawn(&f, 3, seq, 0).is_silent;
    assert_true(fabs(silent / DRAWS - 0.1) < 4 * sqrt(0.09 / DRAWS));
    f = (struct lab_faults){.cut = LAB_CUT_AFTER_REPLIES, .cut_replies = 3};
    assert_int_equal(drawn(&f, 1, 1, 4).cut_replies, 3);
    assert_true(drawn(&f, 1, 1, 4).cut_after_ns == CLOCK_NEVER);
    f.cut_replies = 0;
    assert_true(drawn(&f, 1, 1, 0).cut_after_ns == 0);
    f = (struct lab_faults){.cut = LAB_CUT_HAZARD, .hazard_per_s = 1, .is_first_try_only = true};
    assert_true(drawn(&f, 1, 1, 0).cut_after_ns != CLOCK_NEVER);
    assert_true(drawn(&f, 1, 1, 1).cut_after_ns == CLOCK_NEVER);
    /* Several: in a black hole nothing else happens, and the others have their own draws. */
    f = (struct lab_faults){
        .cut = (enum lab_cut)(LAB_CUT_BLACK_HOLE | LAB_CUT_HAZARD | LAB_CUT_AFTER_REPLIES),
        .black_hole_share = 0.5,
        .hazard_per_s = 1,
        .cut_replies = 2};
    for (uint32_t seq = 0; seq < 100; seq++) {
        struct chance c = drawn(&f, 3, seq, 0);
        assert_int_equal(c.cut_after_ns == CLOCK_NEVER, c.is_silent);
        assert_int_equal(c.cut_replies, c.is_silent ? 0 : 2);
    }
    f.cut_replies = 0;
    f.black_hole_share = 0;
    assert_true(drawn(&f, 3, 1, 0).cut_after_ns == 0);
    f = (struct lab_faults){.cut = LAB_CUT_SLOW};
    assert_true(drawn(&f, 1, 1, 0).cut_after_ns == CLOCK_NEVER && !drawn(&f, 1, 1, 0).is_silent);
}

/* --- pipes ------------------------------------------------------------------------------------ */

static void put_text(struct live_pipe *p, struct slice text, clock_ns now)
{
    while (text.len > 0) {
        uint8_t *at;
        size_t len = size_min(live_pipe_room(p, &at), text.len);
        assert_true(len > 0);
        memcpy(at, text.ptr, len);
        live_pipe_put(p, len, now);
        text = slice_from(text, len);
    }
}

static void put_count(struct live_pipe *p, size_t len, clock_ns now)
{
    static const uint8_t octets[LIVE_PIPE_BYTES];
    put_text(p, slice_of(octets, len), now);
}

static void times_of_arrival(void **state)
{
    static struct live_pipe p;
    static const struct {
        struct live_link link;
        struct {
            clock_ns at;
            size_t len;
            clock_ns due; /* of it alone */
        } puts[3];
    } rows[] = {
        {{0, 0}, {{S(1), 10, S(1)}, {S(1), 10, S(1)}, {S(2), 10, S(2)}}},
        {{S(3), 0}, {{S(1), 10, S(4)}, {S(2), 10, S(5)}, {S(9), 10, S(12)}}},
        /* One waits for the other to leave, and the third finds the link free. */
        {{0, 100}, {{S(1), 200, S(3)}, {S(1), 100, S(4)}, {S(10), 100, S(11)}}},
        {{S(5), 100}, {{S(1), 200, S(8)}, {S(2), 100, S(9)}, {S(10), 100, S(16)}}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        live_pipe_init(&p, &rows[i].link);
        assert_true(live_pipe_due(&p) == CLOCK_NEVER);
        for (size_t k = 0; k < ARRAY_COUNT(rows[i].puts); k++) {
            clock_ns due = rows[i].puts[k].due;
            put_count(&p, rows[i].puts[k].len, rows[i].puts[k].at);
            while (live_pipe_due(&p) < due) /* those before */
                live_pipe_take(&p, live_pipe_peek(&p, live_pipe_due(&p)).len);
            assert_true(live_pipe_due(&p) == due);
            assert_int_equal(live_pipe_peek(&p, due - 1).len, 0);
            assert_true(live_pipe_peek(&p, due).len >= rows[i].puts[k].len);
        }
        live_pipe_end(&p, S(10));
        live_pipe_end(&p, S(1000)); /* does nothing */
        clock_ns last = u64_max(rows[i].puts[2].due, S(10) + rows[i].link.delay_ns);
        assert_false(live_pipe_has_ended(&p, last));
        live_pipe_take(&p, live_pipe_peek(&p, last).len);
        assert_true(live_pipe_due(&p) == last);
        assert_false(live_pipe_has_ended(&p, last - 1));
        assert_true(live_pipe_has_ended(&p, last));
    }
}

/* Whatever is put and taken when, octets come out as they went in, and none too early. */
static void octets_keep_their_order(void **state)
{
    static struct live_pipe p;
    const struct live_link link = {.delay_ns = 1000, .bytes_per_s = 1e9};
    struct rng rng;
    uint64_t in = 0, out = 0;
    (void)state;
    rng_init(&rng, 5);
    live_pipe_init(&p, &link);
    for (clock_ns now = 0; out < 10 * LIVE_PIPE_BYTES; now += rng_below(&rng, 3000)) {
        uint8_t *at;
        size_t room = live_pipe_room(&p, &at), len = rng_below(&rng, LIVE_PIPE_PIECE_BYTES_MAX);
        for (size_t i = 0; i < size_min(room, len); i++)
            at[i] = (uint8_t)((in + i) * 7 % 251);
        if (size_min(room, len) > 0)
            live_pipe_put(&p, size_min(room, len), now);
        in += size_min(room, len);
        struct slice got = live_pipe_peek(&p, now);
        assert_true(got.len == 0 || live_pipe_due(&p) <= now);
        got = slice_first(got, rng_below(&rng, got.len + 1));
        for (size_t i = 0; i < got.len; i++)
            assert_int_equal(got.ptr[i], (out + i) * 7 % 251);
        live_pipe_take(&p, got.len);
        out += got.len;
    }
    assert_true(in > out);
}

static void a_full_pipe_takes_nothing(void **state)
{
    static struct live_pipe p;
    const struct live_link link = {.delay_ns = S(1)};
    uint8_t *at;
    (void)state;
    live_pipe_init(&p, &link);
    put_count(&p, LIVE_PIPE_BYTES, 0);
    assert_int_equal(live_pipe_room(&p, &at), 0);
    live_pipe_take(&p, 10);
    assert_int_equal(live_pipe_room(&p, &at), 10);
    live_pipe_init(&p, &link);
    for (clock_ns now = 0; now < LIVE_PIPE_PIECES; now++) /* each at a time of its own */
        put_count(&p, 1, now);
    assert_int_equal(live_pipe_room(&p, &at), 0);
}

/* --- conversations ---------------------------------------------------------------------------- */

#define ENVELOPE "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<r0@b>\r\nRCPT TO:<r1@b>\r\nDATA\r\n"
#define MESSAGE_ID "Message-ID: <pl.0000000000000abc.41@x>\r\n"
#define GREETED "220 s\r\n250-s\r\n250 SIZE\r\n250 ok\r\n"

/* Each line of @after is alone; behind it as many answers have come as @answers says. */
static const struct dialogue {
    enum lab_dialect dialect;
    const char *rcpts; /* replies to both RCPT */
    const char *after[6];
    const char *answers;
} dialogues[] = {
    {LAB_SMTP, "250 ok\r\n250 ok\r\n", {"250-one\r\n", "250 two\r\n"}, "01"},
    {LAB_SMTP, "250 ok\r\n550 no\r\n", {"250 one\r\n", "221 bye\r\n"}, "11"},
    {LAB_LMTP, "250 ok\r\n250 ok\r\n", {"250 one\r\n", "450 two\r\n", "221 bye\r\n"}, "122"},
    {LAB_LMTP, "550 no\r\n250 ok\r\n", {"250-two\r\n", "250 two\r\n", "221 bye\r\n"}, "011"},
    {LAB_PRDR,
     "250 ok\r\n250 ok\r\n",
     {"353 list\r\n", "250 one\r\n", "250 two\r\n", "250 all\r\n", "221 bye\r\n"},
     "01222"},
    {LAB_PRDR, "250 ok\r\n250 ok\r\n", {"250 all\r\n"}, "1"},
    {LAB_DEFERRALS,
     "352 later\r\n352 later\r\n",
     {"353 list\r\n", "250 one\r\n", "250 two\r\n", "250 all\r\n"},
     "0122"},
    {LAB_EXDATA, "250 ok\r\n250 ok\r\n", {"558-250 one\r\n", "558 550 two\r\n"}, "12"},
    {LAB_EXDATA, "250 ok\r\n250 ok\r\n", {"250 all\r\n", "221 bye\r\n"}, "11"},
    {LAB_XPRDR1, "250 ok\r\n250 ok\r\n", {"250 one\r\n", "250 two\r\n", "250 all\r\n"}, "122"},
    {LAB_WRAPPED_A,
     "250 ok\r\n250 ok\r\n",
     {"250-2.0.0 +RCPT 2\r\n", "250-250 one\r\n", "250-250 two\r\n", "250 2.0.0 +END\r\n"},
     "0122"},
};

/* Feeds @text in pieces of @step octets; events but MORE are appended to @seen. */
static void say(struct live_talk *t, bool is_up, const char *text, size_t step, char *seen,
                struct live_talk_event *ret_last)
{
    static const char names[] = {[LIVE_TALK_MORE] = '.',
                                 [LIVE_TALK_BEGIN] = 'B',
                                 [LIVE_TALK_CONTENT] = 'C',
                                 [LIVE_TALK_ANSWER] = 'A'};
    struct slice left = slice_str(text);
    while (left.len > 0) {
        struct slice piece = slice_first(left, size_min(step, left.len));
        struct live_talk_event ev;
        size_t used = is_up ? live_talk_up(t, piece, &ev) : live_talk_down(t, piece, &ev);
        assert_true(used > 0 && used <= piece.len);
        left = slice_from(left, used);
        if (ev.kind == LIVE_TALK_MORE)
            continue;
        size_t len = strlen(seen);
        seen[len] = names[ev.kind];
        seen[len + 1] = '\0';
        *ret_last = ev;
    }
}

static void hold(struct live_talk *t, const struct dialogue *d, size_t step)
{
    char seen[32] = "";
    struct live_talk_event last = {.has_id = false};
    t->answers = 99;
    say(t, false, GREETED, step, seen, &last);
    say(t, true, ENVELOPE, step, seen, &last);
    assert_string_equal(seen, "B");
    say(t, false, d->rcpts, step, seen, &last);
    say(t, false, "354 go\r\n", step, seen, &last);
    say(t, true, "Subject: x\r\n" MESSAGE_ID "\r\nMAIL\r\n..\r\n.x\r\n", step, seen, &last);
    assert_string_equal(seen, "B");
    say(t, true, ".\r\nQUIT\r\n", step, seen, &last);
    assert_string_equal(seen, "BC");
    assert_true(last.has_id && last.id.run == 0xabc && last.id.seq == 41);
    for (size_t i = 0; d->answers[i] != '\0'; i++) {
        say(t, false, d->after[i], step, seen, &last);
        assert_int_equal(t->answers, d->answers[i] - '0');
    }
    assert_true(t->replies >= t->answers);
    for (const char *a = seen + 2; *a != '\0'; a++)
        assert_int_equal(*a, 'A');
    assert_int_equal(strlen(seen + 2), t->answers);
}

static void answers_are_counted_in_each_dialect(void **state)
{
    (void)state;
    const size_t steps[] = {1, 2, 3, 7, 1000};
    for (size_t i = 0; i < ARRAY_COUNT(dialogues); i++) {
        for (size_t k = 0; k < ARRAY_COUNT(steps); k++) {
            const struct lab_point p = {.server.dialect = dialogues[i].dialect, .rcpt_count = 3};
            struct live_talk_config config;
            struct live_talk *t = calloc(1, sizeof(*t));
            assert_non_null(t);
            assert_int_equal(live_talk_configure(&config, &p), 0);
            assert_int_equal(live_talk_init(t, &config), 0);
            hold(t, &dialogues[i], steps[k]);
            live_talk_deinit(t);
            live_talk_unconfigure(&config);
            free(t);
        }
    }
}

/* A connection is used again, and more recipients come than a message of the point has. */
static void transactions_follow_each_other(void **state)
{
    const struct lab_point p = {.server.dialect = LAB_LMTP, .rcpt_count = 2};
    struct live_talk_config config;
    static struct live_talk t;
    struct live_talk_event last;
    char seen[32] = "";
    (void)state;
    assert_int_equal(live_talk_configure(&config, &p), 0);
    assert_int_equal(live_talk_init(&t, &config), 0);
    hold(&t, &dialogues[2], 1000); /* it has said QUIT; never mind */
    for (int i = 0; i < 2; i++) {
        say(&t, true, ENVELOPE, 5, seen, &last);
        say(&t, false, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", 5, seen, &last);
        say(&t, true, ".\r\n", 1, seen, &last);
        assert_false(last.has_id);
        assert_int_equal(t.answers, 0);
        say(&t, false, "250 one\r\n250 two\r\n", 5, seen, &last);
    }
    assert_string_equal(seen, "BCAABCAA");
    say(&t, true, ENVELOPE "RCPT TO:<r3@b>\r\n", 1000, seen, &last);
    say(&t, false, "250 a\r\n250 b\r\n250 c\r\n250 d\r\n354 go\r\n", 1000, seen, &last);
    say(&t, true, "x\r\n.\r\n", 1000, seen, &last);
    say(&t, false, "250 one\r\n", 1000, seen, &last);
    assert_string_equal(seen, "BCAABCAABC");
    live_talk_deinit(&t);
    live_talk_unconfigure(&config);
}

/* ADAT: nobody is named before the content. */
static void answers_to_drcp_are_counted(void **state)
{
    const struct lab_point p = {.server.dialect = LAB_ADAT, .rcpt_count = 3};
    struct live_talk_config config;
    static struct live_talk t;
    struct live_talk_event last;
    char seen[32] = "";
    (void)state;
    assert_int_equal(live_talk_configure(&config, &p), 0);
    assert_int_equal(live_talk_init(&t, &config), 0);
    say(&t, false, GREETED, 1, seen, &last);
    say(&t, true, "EHLO c\r\nMAIL FROM:<a@b> ADAT\r\nADAT\r\n", 3, seen, &last);
    say(&t, false, "250 ok\r\n354 go\r\n", 3, seen, &last);
    say(&t, true, MESSAGE_ID "\r\nx\r\n.\r\n", 3, seen, &last);
    assert_true(last.has_id);
    say(&t, false, "355 who\r\n", 3, seen, &last);
    assert_string_equal(seen, "BC");
    say(&t, true, "DRCP TO:<a@b>\r\nDRCP TO:<b@b>\r\n", 3, seen, &last);
    say(&t, false, "250-one\r\n250 one\r\n550 two\r\n", 3, seen, &last);
    say(&t, true, "ERCP 2\r\n", 3, seen, &last);
    assert_int_equal(live_talk_replies_due(&t), 3);
    say(&t, false, "250 all\r\n", 3, seen, &last);
    assert_string_equal(seen, "BCAA");
    assert_int_equal(t.replies, 3);
    say(&t, true, "MAIL FROM:<a@b> ADAT\r\nADAT\r\n", 3, seen, &last);
    say(&t, false, "250 ok\r\n354 go\r\n", 3, seen, &last);
    say(&t, true, ".\r\n", 3, seen, &last);
    say(&t, false, "550 no\r\n221 bye\r\n", 3, seen, &last);
    assert_string_equal(seen, "BCAABCA");
    live_talk_deinit(&t);
    live_talk_unconfigure(&config);
}

/* More lines than a reply may have, of which each is an answer. */
static void a_list_may_be_long(void **state)
{
    enum { COUNT = REPLY_LINES_MAX + 88 };
    const struct lab_point p = {.server.dialect = LAB_WRAPPED_A, .rcpt_count = COUNT};
    struct live_talk_config config;
    static struct live_talk t;
    static char seen[COUNT + 8];
    char opening[32];
    struct live_talk_event last;
    (void)state;
    assert_int_equal(live_talk_configure(&config, &p), 0);
    assert_int_equal(live_talk_init(&t, &config), 0);
    for (int i = 0; i < 2; i++) {
        seen[0] = '\0';
        say(&t, true, "MAIL FROM:<a@b>\r\n", 100, seen, &last);
        say(&t, false, "250 ok\r\n", 100, seen, &last);
        for (uint32_t k = 0; k < COUNT; k++) {
            say(&t, true, "RCPT TO:<r@b>\r\n", 100, seen, &last);
            say(&t, false, "250 ok\r\n", 100, seen, &last);
        }
        say(&t, true, "DATA\r\n", 100, seen, &last);
        say(&t, false, "354 go\r\n", 100, seen, &last);
        say(&t, true, "x\r\n.\r\n", 100, seen, &last);
        assert_int_equal(live_talk_replies_due(&t), 1);
        snprintf(opening, sizeof(opening), "250-2.0.0 +RCPT %u\r\n", (unsigned)COUNT);
        say(&t, false, opening, 100, seen, &last);
        for (uint32_t k = 0; k < COUNT; k++)
            say(&t, false, "250-250 ok\r\n", 100, seen, &last);
        assert_int_equal(t.answers, COUNT);
        assert_int_equal(live_talk_replies_due(&t), COUNT + 1);
        say(&t, false, "250 2.0.0 +END\r\n", 100, seen, &last);
        assert_int_equal(t.answers, COUNT);
        assert_int_equal(t.replies, COUNT + 1);
    }
    live_talk_deinit(&t);
    live_talk_unconfigure(&config);
}

/* What is no reply is passed on, and no more is understood. */
static void nonsense_is_passed_on(void **state)
{
    const struct lab_point p = {.server.dialect = LAB_SMTP, .rcpt_count = 2};
    struct live_talk_config config;
    static struct live_talk t;
    static char line[REPLY_READ_LINE_BYTES_MAX + 3];
    struct live_talk_event last;
    char seen[8] = "";
    (void)state;
    assert_int_equal(live_talk_configure(&config, &p), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(live_talk_init(&t, &config), 0);
        memset(line, '2', sizeof(line) - 1);
        say(&t, false, i == 0 ? line : "hello\r\n", 100, seen, &last);
        say(&t, false, "354 go\r\n", 100, seen, &last);
        say(&t, true, "MAIL\r\n", 100, seen, &last);
        assert_string_equal(seen, i == 0 ? "B" : "BB");
        assert_false(t.is_in_content);
        live_talk_deinit(&t);
    }
    live_talk_unconfigure(&config);
}

/* --- which points ----------------------------------------------------------------------------- */

static void points_that_need_a_wire(void **state)
{
    static const struct {
        struct lab_faults faults;
        enum lab_program program;
        bool needs;
    } rows[] = {
        {{.cut = LAB_CUT_NONE}, LAB_PROGRAM_SINK, false},
        {{.cut = LAB_CUT_NONE, .one_way_ns = 1}, LAB_PROGRAM_SINK, true},
        {{.cut = LAB_CUT_HAZARD}, LAB_PROGRAM_SINK, true},
        {{.cut = LAB_CUT_BLACK_HOLE}, LAB_PROGRAM_DOVECOT, true},
        {{.cut = LAB_CUT_SLOW}, LAB_PROGRAM_POSTERND, true},
        {{.cut = LAB_CUT_AFTER_REPLIES}, LAB_PROGRAM_SINK, true},
        {{.cut = LAB_CUT_AFTER_REPLIES, .cut_replies = 1, .is_first_try_only = true},
         LAB_PROGRAM_SINK,
         false},
        {{.cut = LAB_CUT_AFTER_REPLIES, .is_first_try_only = true}, LAB_PROGRAM_POSTERND, true},
        {{.cut = LAB_CUT_AFTER_REPLIES}, LAB_PROGRAM_POSTERND, false},
        {{.cut = LAB_CUT_AFTER_REPLIES, .one_way_ns = 1}, LAB_PROGRAM_SINK, true},
        {{.cut = (enum lab_cut)(LAB_CUT_AFTER_REPLIES | LAB_CUT_HAZARD)}, LAB_PROGRAM_SINK, true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct lab_point p = {.faults = rows[i].faults, .server.program = rows[i].program};
        assert_int_equal(live_fault_needs_wire(&p), rows[i].needs);
    }
}

static void points_that_cannot_be(void **state)
{
    static const struct {
        struct lab_point point;
        const char *reason; /* a part of it; NULL: none */
    } rows[] = {
        {{.faults = {.cut = LAB_CUT_HAZARD, .one_way_ns = 1}, .message_bytes = 4096}, NULL},
        {{.faults = {.cut = LAB_CUT_NONE}, .message_bytes = 1 << 20}, NULL},
        {{.faults = {.cut = LAB_CUT_SLOW}, .message_bytes = 1 << 20}, "ahead of a slow"},
        {{.faults = {.one_way_ns = 1}, .message_bytes = 1 << 20}, "ahead of a slow"},
        {{.faults = {.cut = LAB_CUT_BLACK_HOLE}, .client.limit_ns = S(1)}, NULL},
        {{.faults = {.cut = LAB_CUT_BLACK_HOLE}, .client.limit_ns = CLOCK_NEVER}, "black hole"},
        {{.faults = {.cut = LAB_CUT_BLACK_HOLE},
          .client.limit_ns = S(1),
          .mix = {.count = 2,
                  .rows = {{.client.limit_ns = S(1)}, {.client.limit_ns = CLOCK_NEVER}}}},
         "black hole"},
        {{.faults = {.cut = LAB_CUT_AFTER_REPLIES}, .server.dialect = LAB_ADAT}, NULL},
        {{.faults = {.cut = LAB_CUT_AFTER_REPLIES},
          .server = {.dialect = LAB_WRAPPED_B, .vanished = LAB_VANISHED_STOP},
          .rcpt_count = 2},
         "commits at the dot"},
        {{.faults = {.cut = LAB_CUT_AFTER_REPLIES, .cut_replies = 1},
          .server = {.dialect = LAB_WRAPPED_B, .vanished = LAB_VANISHED_STOP},
          .rcpt_count = 2},
         NULL},
        {{.faults = {.cut = LAB_CUT_HAZARD},
          .client.half_closes = true,
          .server.vanished = LAB_VANISHED_STOP},
         "half closed"},
        {{.faults = {.cut = LAB_CUT_HAZARD},
          .client.half_closes = true,
          .server.vanished = LAB_VANISHED_RUN},
         NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char reason[LIVE_REASON_BYTES_MAX] = "";
        assert_int_equal(live_fault_can(&rows[i].point, reason), rows[i].reason == NULL);
        if (rows[i].reason != NULL)
            assert_non_null(strstr(reason, rows[i].reason));
    }
}

/* Faults of the wire are made by nobody else. */
static void nobody_makes_a_fault_twice(void **state)
{
    static struct args server, client;
    struct lab_point p = {.faults = {.cut = LAB_CUT_AFTER_REPLIES, .cut_replies = 2},
                          .rcpt_count = 3,
                          .message_count = 1};
    const struct live_sender s = {.client = &p.client, .messages = 1, .connections = 1};
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool is_wired = i % 2 == 1, is_sink = i < 2;
        server.count = server.len = client.count = client.len = 0;
        p.faults.one_way_ns = is_wired ? S(1) : 0;
        p.server.program = is_sink ? LAB_PROGRAM_SINK : LAB_PROGRAM_POSTERND;
        live_put_server(&server, &p, NS_PER_MS);
        live_put_sender(&client, &p, &s, NS_PER_MS);
        bool drops = false, leaves = false;
        for (uint32_t k = 0; k < server.count; k++)
            drops |= strstr(server.words[k], "drop-after") != NULL;
        for (uint32_t k = 0; k < client.count; k++)
            leaves |= strstr(client.words[k], "--vanish") != NULL;
        assert_int_equal(leaves, !is_wired && !is_sink);
        assert_true(drops == !is_wired || !is_sink);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draw_belongs_to_its_try),
        cmocka_unit_test(hazards_have_their_rate),
        cmocka_unit_test(other_faults),
        cmocka_unit_test(times_of_arrival),
        cmocka_unit_test(octets_keep_their_order),
        cmocka_unit_test(a_full_pipe_takes_nothing),
        cmocka_unit_test(answers_are_counted_in_each_dialect),
        cmocka_unit_test(transactions_follow_each_other),
        cmocka_unit_test(answers_to_drcp_are_counted),
        cmocka_unit_test(a_list_may_be_long),
        cmocka_unit_test(nonsense_is_passed_on),
        cmocka_unit_test(points_that_need_a_wire),
        cmocka_unit_test(points_that_cannot_be),
        cmocka_unit_test(nobody_makes_a_fault_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
