/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shard_sim.c - a whole shard on the simulated ring: random clients, faults, checkers.
 *
 * One seed is one run and is printed. Clients speak SMTP and LMTP in several dialects, pipelined or
 * not, over DATA or BDAT, to recipients of several classes, on some of whom work is done, cut their
 * input at random, and some vanish, reset, stop reading or send garbage. Checked after each run:
 * every reply is well-formed and there is one for each command (and recipient), in order; a client
 * that read 2xx for a recipient finds that recipient, with exactly his bytes, in the spool after a
 * restart, and nobody who was refused (each durability as far as it goes); all buffers, slots and
 * connections are home; every transaction ended in bounded time.
 *
 * Usage: shard_sim [SEED [COUNT]]; without arguments, COUNT seeds from 1.
 */
#include "simworld.h"
#include "smtp/wrapped.h"
#include "../support/testscan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX 24
#define MESSAGES_MAX 4
#define RCPTS_MAX 6
#define TURNS_MAX 2000000

enum client_end {
    END_QUIT,
    END_HALF_CLOSE,
    END_VANISH,
    END_CLOSE,
    END_RESET,
    END_MUTE,
    END_GARBAGE,
    END_COUNT
};

enum rcpt_kind {
    RCPT_ANY,
    RCPT_SMALL,
    RCPT_STRICT,
    RCPT_NOBODY,
    RCPT_DISCARD,
    RCPT_HOLD,
    RCPT_SLOW, /* from here on work is done on them */
    RCPT_SLOWER,
    RCPT_SLOWSTRICT,
    RCPT_KIND_COUNT
};
static const char *const rcpt_names[] = {
    "any@mx.example",           "small@mx.example",   "strict@mx.example",
    "nobody@elsewhere.example", "discard@mx.example", "quarantine@mx.example",
    "slow@mx.example",          "slower@mx.example",  "slowstrict@mx.example"};

enum expectation {
    EXPECT_GREETING,
    EXPECT_HELO,
    EXPECT_MAIL,
    EXPECT_RCPT,
    EXPECT_DATA,
    EXPECT_RSET,
    EXPECT_CHUNK, /* BDAT without LAST */
    EXPECT_WHOLE, /* plain reply to the message, an opener, or a list inside one reply */
    EXPECT_ENTRY, /* one accepted recipient's */
    EXPECT_FINAL, /* of a block */
    EXPECT_QUIT,
};

enum sim_dialect {
    SPEAK_PLAIN,
    SPEAK_PRDR,
    SPEAK_DEFERRALS,
    SPEAK_XPRDR1,
    SPEAK_EXDATA,
    SPEAK_XRCPT250,
    SPEAK_COUNT
};
static const char *const dialect_params[SPEAK_COUNT] = {"",        " PRDR",   " DEFERRALS",
                                                        " XPRDR1", " EXDATA", " XRCPT250"};

struct message { /* what one message was, and what its sender learned of it */
    char id[48];
    uint8_t *content; /* as it must come out */
    size_t content_len;
    bool is_evil;
    bool is_sent; /* its last byte left the client */
    uint32_t rcpt_count;
    enum rcpt_kind kinds[RCPTS_MAX];
    uint32_t accepted_count;
    uint32_t accepted[RCPTS_MAX];    /* index in kinds */
    bool is_unlisted[RCPTS_MAX];     /* of the accepted ones: no line of his own (DEF-10) */
    uint16_t entry_codes[RCPTS_MAX]; /* of the accepted ones; 0: not read */
    uint16_t whole_code;             /* plain or final reply; 0: not read */
};

struct client {
    struct simpeer *peer;
    enum client_end end;
    uint32_t faults_after; /* replies after which END_VANISH and the like happen */
    bool is_lmtp, is_pipelined, is_bdat;
    enum sim_dialect dialect;
    bool is_in_list; /* between the lines of a wrapped list */
    uint32_t message_count, message_idx;
    struct message messages[MESSAGES_MAX];
    enum expectation queue[64];
    uint32_t queue_head, queue_len;
    uint32_t next_command; /* within the envelope of the current message */
    bool is_content_due;
    size_t read; /* of what was received */
    uint32_t replies_read, entry_idx;
    bool is_over, is_broken; /* broken: it did something that ends the dialogue */
    bool is_greeted;
};

enum plan { /* what happens to the whole shard */
            PLAN_NOTHING,
            PLAN_POWER_CUT,
            PLAN_DRAIN,
            PLAN_RELOAD,
            PLAN_FULL, /* the file system, for a while */
            PLAN_COUNT
};

struct world {
    struct simworld sim;
    struct rng rng;
    struct client clients[CLIENTS_MAX];
    uint32_t client_count;
    bool has_faults;
    bool may_defer; /* something is scarce or broken: 4xx is an answer */
    enum plan plan;
    uint32_t plan_turn;
    enum spool_durability durability;
    uint64_t seed;
};

static void fail(const struct world *w, const struct client *c, const char *what)
{
    struct slice got = c != NULL ? simpeer_received(c->peer) : SLICE_EMPTY;
    fprintf(stderr, "shard_sim: seed %llu: %s\n", (unsigned long long)w->seed, what);
    if (c != NULL)
        fprintf(stderr, "client lmtp=%d dialect=%d pipelined=%d bdat=%d end=%d, received:\n%.*s\n",
                c->is_lmtp, (int)c->dialect, c->is_pipelined, c->is_bdat, (int)c->end, (int)got.len,
                (const char *)got.ptr);
    abort();
}

#define CHECK(w, c, cond)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail((w), (c), #cond);                                                                 \
    } while (0)

/* --- messages --------------------------------------------------------------------------------- */

static void message_make(struct world *w, struct message *m, uint32_t client_idx, uint32_t idx)
{
    static const size_t sizes[] = {0, 100, 900, 1999, 2500, 9000, 70000, 400000};
    size_t size = sizes[rng_below(&w->rng, ARRAY_COUNT(sizes))];
    snprintf(m->id, sizeof(m->id), "<%llu.%u.%u@sim.example>", (unsigned long long)w->seed,
             client_idx, idx);
    m->is_evil = rng_below(&w->rng, 3) == 0;
    m->content = malloc(size + 4096);
    struct buf b = buf_over(m->content, size + 4096);
    buf_printf(&b, "Message-ID: %s\r\nReceived: from x by y; z\r\nSubject: simulation\r\n\r\n",
               m->id);
    if (m->is_evil)
        BUF_PUT_LIT(&b, SIMWORLD_EVIL_TEXT "\r\n");
    while (b.len < size) {
        size_t line = rng_below(&w->rng, 90);
        if (rng_below(&w->rng, 4) == 0)
            buf_put_byte(&b, '.');
        for (size_t i = 0; i < line; i++)
            buf_put_byte(&b, (uint8_t)(' ' + rng_below(&w->rng, 94)));
        BUF_PUT_LIT(&b, "\r\n");
    }
    CHECK(w, NULL, !b.is_full);
    m->content_len = b.len;
    m->rcpt_count = 1 + (uint32_t)rng_below(&w->rng, RCPTS_MAX);
    for (uint32_t i = 0; i < m->rcpt_count; i++)
        m->kinds[i] = (enum rcpt_kind)rng_below(&w->rng, RCPT_KIND_COUNT);
}

/* The content with dots stuffed and the end of data behind it. */
static size_t stuff(const struct message *m, uint8_t *out)
{
    size_t len = 0;
    for (size_t i = 0; i < m->content_len; i++) {
        bool is_line_start = i == 0 || m->content[i - 1] == '\n';
        if (is_line_start && m->content[i] == '.')
            out[len++] = '.';
        out[len++] = m->content[i];
    }
    memcpy(out + len, ".\r\n", 3);
    return len + 3;
}

/* --- the client's side ------------------------------------------------------------------------ */

static void expect(struct client *c, enum expectation e)
{
    ASSERT(c->queue_len < ARRAY_COUNT(c->queue));
    c->queue[(c->queue_head + c->queue_len++) % ARRAY_COUNT(c->queue)] = e;
}

static void say(struct client *c, const char *text)
{
    simpeer_send(c->peer, slice_str(text));
}

static struct message *current(struct client *c)
{
    return &c->messages[c->message_idx];
}

/* Command number @i of the envelope: MAIL, RCPT ..., and DATA when it is not BDAT. */
static void say_command(struct client *c, uint32_t i, struct buf *out)
{
    const struct message *m = current(c);
    if (i == 0) {
        buf_printf(out, "MAIL FROM:<from@sim.example>%s\r\n", dialect_params[c->dialect]);
        expect(c, EXPECT_MAIL);
    } else if (i <= m->rcpt_count) {
        buf_printf(out, "RCPT TO:<%s>\r\n", rcpt_names[m->kinds[i - 1]]);
        expect(c, EXPECT_RCPT);
    } else {
        BUF_PUT_LIT(out, "DATA\r\n");
        expect(c, EXPECT_DATA);
    }
}

static void say_envelope(struct client *c)
{
    uint8_t memory[2048];
    struct buf b = buf_over(memory, sizeof(memory));
    uint32_t count = 1 + current(c)->rcpt_count + (c->is_bdat ? 0 : 1);
    if (c->is_pipelined) {
        while (c->next_command < count)
            say_command(c, c->next_command++, &b);
    } else if (c->next_command < count) {
        say_command(c, c->next_command++, &b);
    }
    c->is_content_due = c->next_command == count;
    simpeer_send(c->peer, buf_slice(&b));
}

/* After the last byte of the message: which replies are due. */
static void expect_result(struct client *c)
{
    c->entry_idx = 0;
    current(c)->is_sent = true;
    if (!c->is_lmtp && c->dialect != SPEAK_XPRDR1) {
        expect(c, EXPECT_WHOLE);
        return;
    }
    for (uint32_t i = 0; i < current(c)->accepted_count; i++)
        expect(c, EXPECT_ENTRY);
    if (!c->is_lmtp)
        expect(c, EXPECT_FINAL);
}

static void say_content(struct world *w, struct client *c)
{
    struct message *m = current(c);
    uint8_t *wire = malloc(2 * m->content_len + 64);
    c->is_content_due = false;
    if (!c->is_bdat) {
        size_t len = stuff(m, wire);
        simpeer_send(c->peer, slice_of(wire, len));
    } else {
        size_t first = rng_below(&w->rng, m->content_len + 1);
        char head[64];
        snprintf(head, sizeof(head), "BDAT %zu\r\n", first);
        say(c, head);
        simpeer_send(c->peer, slice_of(m->content, first));
        expect(c, EXPECT_CHUNK);
        snprintf(head, sizeof(head), "BDAT %zu LAST\r\n", m->content_len - first);
        say(c, head);
        simpeer_send(c->peer, slice_of(m->content + first, m->content_len - first));
    }
    free(wire);
    expect_result(c);
}

static void next_message(struct client *c)
{
    c->message_idx++;
    c->next_command = 0;
    c->is_content_due = false;
}

static void break_off(struct world *w, struct client *c)
{
    uint8_t garbage[3000];
    c->is_broken = true;
    switch (c->end) {
    case END_HALF_CLOSE:
    case END_VANISH:
        simpeer_shutdown(c->peer);
        break;
    case END_CLOSE:
        simpeer_close(c->peer);
        break;
    case END_RESET:
        simpeer_reset(c->peer);
        break;
    case END_MUTE:
        simpeer_set_reading(c->peer, false, rng_below(&w->rng, 200));
        for (int i = 0; i < 200; i++)
            say(c, "NOOP\r\n");
        break;
    case END_GARBAGE:
        for (size_t i = 0; i < sizeof(garbage); i++)
            garbage[i] = (uint8_t)rng_next(&w->rng);
        simpeer_send(c->peer, slice_of(garbage, sizeof(garbage)));
        simpeer_shutdown(c->peer);
        break;
    case END_QUIT:
    case END_COUNT:
        break;
    }
}

/* Nothing is outstanding: go on with the dialogue. */
static void say_next(struct world *w, struct client *c)
{
    if (!c->is_greeted) {
        say(c, c->is_lmtp ? "LHLO client.example\r\n" : "EHLO client.example\r\n");
        expect(c, EXPECT_HELO);
        c->is_greeted = true;
    } else if (c->message_idx == c->message_count) {
        if (c->end == END_HALF_CLOSE) {
            break_off(w, c);
            return;
        }
        say(c, "QUIT\r\n");
        expect(c, EXPECT_QUIT);
    } else if (!c->is_content_due) {
        say_envelope(c);
    } else if (current(c)->accepted_count == 0) {
        say(c, "RSET\r\n");
        expect(c, EXPECT_RSET);
        next_message(c);
    } else {
        say_content(w, c);
    }
}

/* What a recipient of this kind must be told about this message when nothing fails. */
static bool is_wanted(const struct message *m, enum rcpt_kind kind)
{
    if (kind == RCPT_SMALL)
        return m->content_len <= SIMWORLD_SMALL_BYTES_MAX;
    return (kind != RCPT_STRICT && kind != RCPT_SLOWSTRICT) || !m->is_evil;
}

static void check_code(struct world *w, struct client *c, uint16_t code, bool is_good)
{
    bool is_temporary = code / 100 == 4;
    if (is_temporary) {
        CHECK(w, c, w->may_defer);
        return;
    }
    CHECK(w, c, code / 100 == (is_good ? 2 : 5));
}

/* After the reload nobody at mx.example is served any more. */
static bool is_closed(const struct world *w)
{
    return w->plan == PLAN_RELOAD && w->sim.turns >= w->plan_turn;
}

static void on_entry(struct world *w, struct client *c, uint16_t code)
{
    struct message *m = current(c);
    while (c->entry_idx < m->accepted_count && m->is_unlisted[c->entry_idx])
        c->entry_idx++;
    uint32_t i = c->entry_idx++;
    CHECK(w, c, i < m->accepted_count);
    m->entry_codes[i] = code;
    check_code(w, c, code, is_wanted(m, m->kinds[m->accepted[i]]));
    if (c->is_lmtp && c->entry_idx == m->accepted_count)
        next_message(c);
}

/* Plain SMTP: one reply for all; a refusal beside an acceptance is held, so the reply is 2xx. */
static void on_whole(struct world *w, struct client *c, uint16_t code)
{
    struct message *m = current(c);
    uint32_t good = 0;
    for (uint32_t i = 0; i < m->accepted_count; i++)
        good += is_wanted(m, m->kinds[m->accepted[i]]);
    if (code == 353) {
        CHECK(w, c, c->dialect == SPEAK_PRDR || c->dialect == SPEAK_DEFERRALS); /* PRDR-40 */
        for (uint32_t i = 0; i < m->accepted_count; i++)
            if (!m->is_unlisted[i])
                expect(c, EXPECT_ENTRY);
        expect(c, EXPECT_FINAL);
        return;
    }
    if (c->dialect != SPEAK_PLAIN) /* single form: one outcome fits all (PRDR-13) */
        CHECK(w, c, code / 100 == 4 || good == 0 || good == m->accepted_count);
    check_code(w, c, code, good > 0);
    m->whole_code = code;
    next_message(c);
}

static void on_rcpt(struct world *w, struct client *c, struct message *m, uint16_t code)
{
    uint32_t pending = 0;
    for (uint32_t q = 0; q < c->queue_len; q++)
        pending += c->queue[(c->queue_head + q) % ARRAY_COUNT(c->queue)] == EXPECT_RCPT;
    uint32_t sent = c->next_command - 1 < m->rcpt_count ? c->next_command - 1 : m->rcpt_count;
    uint32_t i = sent - pending - 1;
    bool is_served = m->kinds[i] != RCPT_NOBODY;
    bool is_deferred = code / 100 == 4 && w->may_defer;
    bool is_later = code == 352 && c->dialect == SPEAK_DEFERRALS && is_served; /* DEF-5 */
    CHECK(w, c, is_deferred || is_later || code == (is_served ? 250 : 550) || is_closed(w));
    m->is_unlisted[m->accepted_count] = c->dialect == SPEAK_DEFERRALS && !is_later;
    if (code == 250 || is_later)
        m->accepted[m->accepted_count++] = i;
}

static void on_reply(struct world *w, struct client *c, uint16_t code)
{
    CHECK(w, c, c->queue_len > 0 || code == 421); /* a reply that nobody asked for */
    if (code == 421 || c->queue_len == 0) {
        CHECK(w, c, c->end != END_QUIT || w->may_defer); /* never without a reason */
        c->is_broken = true;
        return;
    }
    enum expectation e = c->queue[c->queue_head++ % ARRAY_COUNT(c->queue)];
    struct message *m = c->message_idx < c->message_count ? current(c) : NULL;
    c->queue_head %= ARRAY_COUNT(c->queue);
    c->queue_len--;
    c->replies_read++;
    switch (e) {
    case EXPECT_GREETING:
        CHECK(w, c, code == 220);
        break;
    case EXPECT_HELO:
    case EXPECT_RSET:
        CHECK(w, c, code == 250);
        break;
    case EXPECT_MAIL:
        CHECK(w, c, code == 250 || (w->may_defer && code / 100 == 4));
        m->accepted_count = 0;
        if (code != 250)
            c->is_broken = true; /* the rest of the group is answered 503: not followed here */
        break;
    case EXPECT_RCPT:
        on_rcpt(w, c, m, code);
        break;
    case EXPECT_DATA:
        if (m->accepted_count == 0) {
            CHECK(w, c, code == 503); /* CORE-4, LMTP-6 */
            break;                    /* say_next() resets */
        }
        CHECK(w, c, code == 354 || (w->may_defer && code / 100 == 4));
        if (code != 354)
            c->is_broken = true;
        break;
    case EXPECT_CHUNK:
        CHECK(w, c, code == 250 || (w->may_defer && code / 100 == 4));
        if (code != 250)
            c->is_broken = true;
        break;
    case EXPECT_WHOLE:
        on_whole(w, c, code);
        break;
    case EXPECT_ENTRY:
        on_entry(w, c, code);
        break;
    case EXPECT_FINAL:
        m->whole_code = code;
        CHECK(w, c, code / 100 == 2 || code / 100 == 4 || code / 100 == 5);
        next_message(c);
        break;
    case EXPECT_QUIT:
        CHECK(w, c, code == 221);
        c->is_over = true;
        break;
    }
}

static void end_list(struct world *w, struct client *c)
{
    CHECK(w, c, c->entry_idx == current(c)->accepted_count); /* EXD-9, HOL-5 */
    c->queue_head = (c->queue_head + 1) % ARRAY_COUNT(c->queue);
    c->queue_len--;
    c->replies_read++;
    c->is_in_list = false;
    next_message(c);
}

/* A line of a list inside one reply (EXD-8, HOL-5); false when @line is none. */
static bool on_wrapped(struct world *w, struct client *c, struct slice line)
{
    uint16_t outer = c->dialect == SPEAK_EXDATA ? EXDATA_CODE : XRCPT250_CODE;
    struct wrapped_line parsed;
    if (c->queue_len == 0 || c->queue[c->queue_head] != EXPECT_WHOLE)
        return false;
    if (c->dialect == SPEAK_XRCPT250 && slice_has_prefix_nocase(line, XRCPT250_OPENING)) {
        CHECK(w, c, !c->is_in_list);
        c->is_in_list = true;
        return true;
    }
    c->is_in_list |= slice_has_prefix_nocase(line, SLICE_LIT("558"));
    if (!c->is_in_list)
        return false;
    CHECK(w, c, c->dialect == SPEAK_EXDATA || c->dialect == SPEAK_XRCPT250); /* EXD-4, HOL-4 */
    if (slice_eq(line, XRCPT250_CLOSING)) {
        end_list(w, c);
        return true;
    }
    if (slice_has_prefix_nocase(line, XRCPT250_WORKING))
        return true;
    CHECK(w, c, wrapped_parse_line(line, outer, &parsed));
    on_entry(w, c, parsed.inner.code);
    if (parsed.is_last)
        end_list(w, c);
    return true;
}

/* Reads complete reply lines; true when something was read. */
static bool client_read(struct world *w, struct client *c)
{
    struct slice got = slice_from(simpeer_received(c->peer), c->read);
    bool has_read = false;
    for (;;) {
        size_t end = slice_find(got, '\n');
        if (end == got.len || c->is_broken)
            return has_read;
        CHECK(w, c, end >= 4 && got.ptr[end - 1] == '\r' && end + 1 <= REPLY_LINE_BYTES_MAX);
        uint16_t code =
            (uint16_t)((got.ptr[0] - '0') * 100 + (got.ptr[1] - '0') * 10 + (got.ptr[2] - '0'));
        CHECK(w, c, code >= 200 && code < 600 && (got.ptr[3] == ' ' || got.ptr[3] == '-'));
        bool is_last = got.ptr[3] == ' ';
        struct slice line = slice_first(got, end - 1);
        c->read += end + 1;
        got = slice_from(got, end + 1);
        has_read = true;
        if (!on_wrapped(w, c, line) && is_last)
            on_reply(w, c, code);
    }
}

static void client_turn(struct world *w, struct client *c)
{
    (void)client_read(w, c);
    if (c->is_over || c->is_broken) {
        if (c->is_over && !c->is_broken) {
            simpeer_shutdown(c->peer);
            c->is_broken = true;
        }
        return;
    }
    if (c->end != END_QUIT && c->end != END_HALF_CLOSE && c->replies_read >= c->faults_after) {
        break_off(w, c);
        return;
    }
    if (c->queue_len == 0)
        say_next(w, c);
}

/* --- the world -------------------------------------------------------------------------------- */

/* How long decisions take, and how long clients are kept waiting for them. */
static void times_make(struct world *w, struct simworld_setup *setup)
{
    setup->slow_ns = 1 + rng_below(&w->rng, rng_below(&w->rng, 2) == 0 ? NS_PER_MS : NS_PER_S);
    if (rng_below(&w->rng, 3) == 0)
        setup->listener.content_delay =
            (struct delay){.kind = DELAY_EXP, .low = 1 + rng_below(&w->rng, NS_PER_S)};
    setup->listener.works_side_by_side = rng_below(&w->rng, 2) == 0;
    setup->listener.finishes_vanished = rng_below(&w->rng, 4) == 0;
    if (rng_below(&w->rng, 4) > 0)
        return;
    setup->listener.reply_ns_max = 1 + rng_below(&w->rng, 3 * NS_PER_S);
    w->may_defer = true;
}

static void world_begin(struct world *w)
{
    static const uint32_t chunk_counts[] = {512, 512, 128, 40};
    static const uint32_t buffer_counts[] = {16, 16, 8, 4};
    struct simworld_setup setup = simworld_setup(w->seed);
    uint32_t chunks = chunk_counts[rng_below(&w->rng, ARRAY_COUNT(chunk_counts))];
    setup.sim.network_ns_max = 1 + rng_below(&w->rng, 2 * NS_PER_MS);
    setup.sim.disk_ns_max = 1 + rng_below(&w->rng, 5 * NS_PER_MS);
    setup.sim.short_send_percent = (uint32_t)rng_below(&w->rng, 2) * 20;
    setup.sim.short_write_percent = (uint32_t)rng_below(&w->rng, 2) * 5;
    setup.limits.chunk_count_max = chunks;
    setup.limits.buffer_count = buffer_counts[rng_below(&w->rng, ARRAY_COUNT(buffer_counts))];
    if (rng_below(&w->rng, 8) == 0)
        setup.limits.txn_count_max = 4;
    if (rng_below(&w->rng, 8) == 0)
        setup.limits.conn_count_max = 5;
    w->has_faults = rng_below(&w->rng, 3) == 0;
    w->plan = rng_below(&w->rng, 2) == 0 ? PLAN_NOTHING : (enum plan)rng_below(&w->rng, PLAN_COUNT);
    w->plan_turn = (uint32_t)rng_below(&w->rng, 2000);
    static const enum spool_durability durabilities[] = {SPOOL_DISK, SPOOL_DISK, SPOOL_DISK,
                                                         SPOOL_DISK, SPOOL_OS,   SPOOL_NONE};
    w->durability = durabilities[rng_below(&w->rng, ARRAY_COUNT(durabilities))];
    setup.durability = w->durability;
    setup.is_unix = rng_below(&w->rng, 2) == 0;
    setup.listener.pacing = (enum pacing)rng_below(&w->rng, PACING_EAGER + 1);
    setup.links_replies = rng_below(&w->rng, 2) == 0;
    w->may_defer = w->has_faults || chunks < 512 || setup.limits.txn_count_max < 64 ||
                   w->plan == PLAN_FULL || w->plan == PLAN_DRAIN;
    times_make(w, &setup);
    simworld_begin(&w->sim, &setup);
    if (w->has_faults)
        sim_set_faults(w->sim.ring, 2, 2);
}

static void clients_make(struct world *w)
{
    w->client_count = 1 + (uint32_t)rng_below(&w->rng, CLIENTS_MAX);
    for (uint32_t i = 0; i < w->client_count; i++) {
        struct client *c = &w->clients[i];
        *c = (struct client){0};
        c->is_lmtp = rng_below(&w->rng, 3) == 0;
        if (!c->is_lmtp && rng_below(&w->rng, 4) > 0)
            c->dialect = (enum sim_dialect)rng_below(&w->rng, SPEAK_COUNT);
        c->is_pipelined = rng_below(&w->rng, 2) == 0;
        c->is_bdat = rng_below(&w->rng, 3) == 0;
        c->end =
            rng_below(&w->rng, 2) == 0 ? END_QUIT : (enum client_end)rng_below(&w->rng, END_COUNT);
        c->faults_after = (uint32_t)rng_below(&w->rng, 30);
        c->message_count = 1 + (uint32_t)rng_below(&w->rng, MESSAGES_MAX);
        for (uint32_t m = 0; m < c->message_count; m++)
            message_make(w, &c->messages[m], i, m);
        c->peer = simpeer_connect(w->sim.ring, w->sim.listen_fds[c->is_lmtp]);
        expect(c, EXPECT_GREETING);
    }
}

static bool all_closed(const struct world *w)
{
    for (uint32_t i = 0; i < w->client_count; i++)
        if (!simpeer_is_closed(w->clients[i].peer))
            return false;
    return true;
}

/* What the plan has for this turn; false: the power is gone. */
static bool plan_run(struct world *w)
{
    if (w->sim.turns == w->plan_turn + 300 && w->plan == PLAN_FULL)
        simworld_set_space(UINT64_MAX);
    if (w->sim.turns != w->plan_turn)
        return true;
    switch (w->plan) {
    case PLAN_POWER_CUT:
        simworld_power_cut(&w->sim);
        return false;
    case PLAN_DRAIN:
        shard_drain(&w->sim.shard, ring_now(w->sim.ring) + 20 * NS_PER_S);
        break;
    case PLAN_RELOAD:
        simworld_replace(&w->sim, true);
        break;
    case PLAN_FULL:
        simworld_set_space(0);
        break;
    case PLAN_NOTHING:
    case PLAN_COUNT:
        break;
    }
    return true;
}

static void world_run(struct world *w)
{
    while (!all_closed(w) && !w->sim.shard.is_stopped) {
        CHECK(w, NULL, w->sim.turns < TURNS_MAX);
        simworld_turn(&w->sim);
        for (uint32_t i = 0; i < w->client_count; i++)
            client_turn(w, &w->clients[i]);
        if (!plan_run(w))
            break;
    }
    if (w->plan == PLAN_POWER_CUT && !w->sim.has_cut)
        simworld_power_cut(&w->sim);
    /* A session whose client left it hanging ended by its deadline, so this bound is the longest.
     */
    CHECK(w, NULL, ring_now(w->sim.ring) < 1200 * NS_PER_S);
    simworld_drain(&w->sim, 10 * NS_PER_S);
    simworld_check_home(&w->sim);
}

/* --- after a restart -------------------------------------------------------------------------- */

/* Which recipients of @m the client may count on, and which it was refused. */
static void check_message(struct world *w, struct client *c, const struct message *m,
                          const struct simworld_found *found)
{
    uint32_t owed = 0;
    bool has_each = c->is_lmtp || ((c->dialect == SPEAK_EXDATA || c->dialect == SPEAK_XRCPT250) &&
                                   m->whole_code == 0);
    bool is_final_read = has_each || m->whole_code != 0;
    for (uint32_t i = 0; i < m->accepted_count; i++) {
        uint16_t code = m->entry_codes[i] != 0 ? m->entry_codes[i] : m->whole_code;
        bool is_ruled =
            c->dialect == SPEAK_PRDR || c->dialect == SPEAK_DEFERRALS || c->dialect == SPEAK_XPRDR1;
        if (is_ruled && m->whole_code / 100 != 2)
            code = m->whole_code; /* the final has priority (PRDR-25); 0: nothing is owed */
        enum rcpt_kind kind = m->kinds[m->accepted[i]];
        if (code / 100 != 2 || kind == RCPT_DISCARD || w->durability == SPOOL_NONE)
            continue;
        owed++;
        CHECK(w, c, simworld_found_has(found, rcpt_names[kind])); /* P1 */
    }
    CHECK(w, c, found->count <= (w->durability == SPOOL_NONE ? 0 : 1));
    if (found->count == 0)
        return;
    CHECK(w, c, found->is_equal);
    CHECK(w, c, m->is_sent);
    /* P2: with all replies read, what is stored is what was accepted. */
    bool is_all_read = is_final_read;
    for (uint32_t i = 0; has_each && i < m->accepted_count; i++)
        is_all_read &= m->entry_codes[i] != 0;
    CHECK(w, c, !is_all_read || found->message.active_count + found->message.held_count == owed);
}

static void check_spool(struct world *w)
{
    if (w->durability == SPOOL_OS && w->plan == PLAN_POWER_CUT)
        return; /* holes may be anywhere; that recovery came to an end is all that is promised */
    for (uint32_t i = 0; i < w->client_count; i++) {
        struct client *c = &w->clients[i];
        for (uint32_t k = 0; k < c->message_count; k++) {
            const struct message *m = &c->messages[k];
            struct simworld_found found =
                simworld_find(&w->sim, slice_str(m->id), slice_of(m->content, m->content_len));
            check_message(w, c, m, &found);
            simworld_found_free(&found);
        }
    }
    struct store *store = w->sim.store;
    bool may_be_torn = w->has_faults || w->plan == PLAN_POWER_CUT;
    for (uint32_t i = 0; i < store_damage_count(store); i++)
        CHECK(w, NULL, may_be_torn || store_damage_at(store, i)->kind == STORE_DAMAGE_TAIL);
}

static void run_seed(uint64_t seed)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    w.seed = seed;
    rng_init(&w.rng, seed ^ 0x5151);
    world_begin(&w);
    clients_make(&w);
    world_run(&w);
    simworld_end(&w.sim);
    check_spool(&w);
    for (uint32_t i = 0; i < w.client_count; i++)
        for (uint32_t m = 0; m < w.clients[i].message_count; m++)
            free(w.clients[i].messages[m].content);
    simworld_remove(&w.sim);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : (argc > 1 ? 1 : 150);
    if (testscan_init() < 0)
        return 77;
    for (uint64_t i = 0; i < count; i++) {
        printf("seed %llu\n", (unsigned long long)(seed + i));
        fflush(stdout);
        run_seed(seed + i);
    }
    printf("%llu runs passed\n", (unsigned long long)count);
    return 0;
}
