/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_sim.c - whole sessions in every dialect against a shard on the simulated ring: replies as
 * the table of the reply engine has them, and what is stored afterwards as they said.
 *
 * One seed is one run and is printed. Beside what shard_sim does, clients speak every dialect and
 * ADAT, send whole sessions ahead (groups, all at once with BDAT, byte by byte), say QUIT behind
 * the last content and end their side, break off at any byte of a reply, stop reading and go on,
 * and ask for two dialects at once; decisions, budgets and signs of life fall on the same moments.
 * Checked: each command has the replies that its dialect gives it, in order; a client who said QUIT
 * hears everything; a message's replies come within its budget; who was told 2xx is stored as often
 * as he was told so, and who was told 4xx or 5xx is not; the counters agree with what was said; all
 * is home at the end.
 *
 * Usage: dialect_sim [SEED [COUNT]]; without arguments, COUNT seeds from 1.
 */
#include "simworld.h"
#include "smtp/wrapped.h"
#include "../support/testscan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX 8
#define MESSAGES_MAX 3
#define RCPTS_MAX 100
#define TURNS_MAX 4000000
#define CODES_MAX (RCPTS_MAX + 8)

enum way { /* a dialect as a client asks for it */
           WAY_SMTP,
           WAY_LMTP,
           WAY_PRDR,
           WAY_DEFERRALS,
           WAY_INLINE_DSN,
           WAY_EXDATA,
           WAY_XEXDATA,
           WAY_XRCPT250,
           WAY_XPRDR1,
           WAY_ADAT,
           WAY_TWO, /* two on one MAIL: refused (OTH section 6) */
           WAY_COUNT
};

enum form { FORM_ONE, FORM_EACH, FORM_EACH_FINAL, FORM_353, FORM_558, FORM_250 };

/* The table of shared/spec/README.md, from the client's side. */
static const struct {
    const char *param;
    enum form form;
    bool lists_later; /* only who was told 352 has a line */
    bool owns_at_each;
} ways[WAY_COUNT] = {
    [WAY_SMTP] = {"", FORM_ONE, false, false},
    [WAY_LMTP] = {"", FORM_EACH, false, true},
    [WAY_PRDR] = {" PRDR", FORM_353, false, false},
    [WAY_DEFERRALS] = {" DEFERRALS", FORM_353, true, false},
    [WAY_INLINE_DSN] = {" INLINE-DSN", FORM_353, true, false},
    [WAY_EXDATA] = {" EXDATA", FORM_558, false, true},
    [WAY_XEXDATA] = {" XEXDATA", FORM_558, false, true},
    [WAY_XRCPT250] = {" XRCPT250", FORM_250, false, true},
    [WAY_XPRDR1] = {" XPRDR1", FORM_EACH_FINAL, false, false},
    [WAY_ADAT] = {"", FORM_ONE, false, false},
    [WAY_TWO] = {" PRDR EXDATA", FORM_ONE, false, false},
};

enum kind { ANY, SMALL, STRICT, NOBODY, DISCARD, HOLD, SLOW, SLOWER, SLOWSTRICT, KIND_COUNT };
static const char *const addresses[KIND_COUNT] = {
    "any@mx.example",           "small@mx.example",   "strict@mx.example",
    "nobody@elsewhere.example", "discard@mx.example", "quarantine@mx.example",
    "slow@mx.example",          "slower@mx.example",  "slowstrict@mx.example"};

enum command_kind {
    SAY_NOTHING, /* the greeting */
    SAY_HELLO,
    SAY_MAIL,
    SAY_RCPT,
    SAY_DATA,
    SAY_CONTENT,
    SAY_CHUNK,
    SAY_LAST,
    SAY_ADAT,
    SAY_NAMED_LATER, /* the content behind ADAT */
    SAY_DRCP,
    SAY_ERCP,
    SAY_RSET,
    SAY_NOOP,
    SAY_QUIT
};

struct command {
    enum command_kind kind;
    uint16_t message, rcpt;
};

enum pipe { PIPE_STEPS, PIPE_GROUPS, PIPE_BYTES };
enum finish {
    FINISH_QUIT,
    FINISH_QUIT_AND_END,
    FINISH_PAUSE,
    FINISH_RESET,
    FINISH_CLOSE,
    FINISH_END
};

struct message {
    char id[48];
    uint8_t *content;
    size_t content_len, first_len;
    bool is_evil, is_bdat, ends_wrong; /* ERCP with a wrong count */
    enum way way;
    uint32_t rcpt_count;
    enum kind kinds[RCPTS_MAX];
    /* what was heard */
    bool is_open, is_failed, is_content_taken, is_complete;
    uint32_t named; /* RCPT that have been answered */
    uint32_t count; /* of them, accepted */
    enum kind accepted[RCPTS_MAX];
    bool is_later[RCPTS_MAX];
    uint16_t codes[RCPTS_MAX]; /* of the accepted; 0: not read */
    uint16_t final;            /* of all, or the last; 0: not read */
    bool has_list;
};

struct client {
    struct simpeer *peer;
    bool is_lmtp;
    enum pipe pipe;
    enum finish finish;
    size_t break_at; /* received bytes */
    clock_ns pause_until;
    struct message messages[MESSAGES_MAX];
    uint32_t message_count;
    struct command *commands;
    uint32_t command_count, said, heard;
    uint32_t entry_idx, stage; /* within the replies to one message */
    size_t read;
    uint8_t *out; /* byte by byte */
    size_t out_len, out_sent;
    clock_ns asked_at, over_at; /* the last content was sent; the last message was over */
    clock_ns told_at;           /* the last line was read */
    bool is_over, is_broken, has_ended, is_deaf;
};

enum plan { PLAN_NOTHING, PLAN_CUT, PLAN_DRAIN, PLAN_RELOAD, PLAN_FULL, PLAN_HANG, PLAN_COUNT };

struct world {
    struct simworld sim;
    struct rng rng;
    struct client clients[CLIENTS_MAX];
    uint32_t client_count;
    bool may_defer, has_faults;
    bool refuses; /* one refusal refuses all, where there is one reply */
    enum plan plan;
    uint32_t plan_turn;
    uint64_t seed, budget_ns;
    struct patience_network networks[3];
    struct slice helos[2];
    struct patience_client patience[2];
};

static const char *const hello_names[] = {
    "c.example",
    "[127.0.0.1]",
    "*.*.*",
    "impatient.example",
    "x.impatient.example",
    "a-very-long-name-of-a-host.that-goes-on-and-on.and-has-more-labels-than-anybody-needs."
    "but-is-a-domain-all-the-same.for-it-has-fewer-than-two-hundred-and-fifty-five-octets.and-"
    "no-label-is-longer-than-sixty-three.example"};

static uint32_t below(struct world *w, uint32_t n)
{
    return (uint32_t)rng_below(&w->rng, n);
}

static void fail(const struct world *w, const struct client *c, const char *what, int line)
{
    struct slice got = c != NULL ? simpeer_received(c->peer) : SLICE_EMPTY;
    fprintf(stderr, "dialect_sim: seed %llu, line %d: %s\n", (unsigned long long)w->seed, line,
            what);
    if (c != NULL)
        fprintf(stderr, "client %td: lmtp=%d pipe=%d finish=%d said=%u heard=%u, received:\n%.*s\n",
                c - w->clients, c->is_lmtp, (int)c->pipe, (int)c->finish, c->said, c->heard,
                (int)got.len, (const char *)got.ptr);
    abort();
}
#define CHECK(w, c, cond)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            fail((w), (c), #cond, __LINE__);                                                       \
    } while (0)

/* --- what is said ----------------------------------------------------------------------------- */

static void message_make(struct world *w, struct client *c, uint32_t client_idx, uint32_t idx)
{
    static const size_t sizes[] = {0, 100, 1999, 2500, 9000, 90000};
    static const uint32_t rcpts[] = {1, 1, 2, 3, 5, 10, 10, 100};
    struct message *m = &c->messages[idx];
    size_t size = sizes[below(w, c->pipe == PIPE_BYTES ? 3 : ARRAY_COUNT(sizes))];
    snprintf(m->id, sizeof(m->id), "<%llu.%u.%u@sim.example>", (unsigned long long)w->seed,
             client_idx, idx);
    m->is_evil = below(w, 2) == 0;
    m->content = malloc(size + 4096);
    struct buf b = buf_over(m->content, size + 4096);
    buf_printf(&b, "Message-ID: %s\r\nSubject: simulation\r\n\r\n", m->id);
    if (m->is_evil)
        BUF_PUT_LIT(&b, SIMWORLD_EVIL_TEXT "\r\n");
    while (b.len < size) {
        BUF_PUT_LIT(&b, ".QUIT\r\n");
        for (size_t i = below(w, 70); i > 0; i--)
            buf_put_byte(&b, (uint8_t)(' ' + below(w, 94)));
        BUF_PUT_LIT(&b, "\r\n");
    }
    m->content_len = b.len;
    m->first_len = below(w, (uint32_t)b.len + 1);
    m->way = c->is_lmtp ? WAY_LMTP : (enum way)below(w, WAY_COUNT);
    if (m->way == WAY_LMTP && !c->is_lmtp)
        m->way = WAY_SMTP;
    m->is_bdat = m->way != WAY_ADAT && below(w, 2) == 0;
    m->ends_wrong = below(w, 8) == 0;
    m->rcpt_count = rcpts[below(w, ARRAY_COUNT(rcpts))];
    bool is_one_kind = below(w, 3) == 0;
    for (uint32_t i = 0; i < m->rcpt_count; i++)
        m->kinds[i] = is_one_kind && i > 0 ? m->kinds[0] : (enum kind)below(w, KIND_COUNT);
}

static void add(struct client *c, enum command_kind kind, uint32_t message, uint32_t rcpt)
{
    c->commands[c->command_count++] = (struct command){kind, (uint16_t)message, (uint16_t)rcpt};
}

static void script_make(struct world *w, struct client *c)
{
    c->commands = calloc(16 + c->message_count * (RCPTS_MAX + 12), sizeof(*c->commands));
    add(c, SAY_NOTHING, 0, 0);
    add(c, SAY_HELLO, 0, 0);
    for (uint32_t i = 0; i < c->message_count; i++) {
        const struct message *m = &c->messages[i];
        bool is_late = m->way == WAY_ADAT;
        add(c, SAY_RSET, i, 0); /* where DATA was refused, the envelope is still there */
        add(c, SAY_MAIL, i, 0);
        if (is_late) {
            add(c, SAY_ADAT, i, 0);
            add(c, SAY_NAMED_LATER, i, 0);
        }
        for (uint32_t k = 0; k < m->rcpt_count; k++)
            add(c, is_late ? SAY_DRCP : SAY_RCPT, i, k);
        if (below(w, 4) == 0)
            add(c, SAY_NOOP, i, 0);
        if (is_late) {
            add(c, SAY_ERCP, i, 0);
        } else if (m->is_bdat) {
            if (m->first_len > 0)
                add(c, SAY_CHUNK, i, 0);
            add(c, SAY_LAST, i, 0);
        } else {
            add(c, SAY_DATA, i, 0);
            add(c, SAY_CONTENT, i, 0);
        }
    }
    if (c->finish != FINISH_END)
        add(c, SAY_QUIT, 0, 0);
}

static void put_stuffed(struct buf *b, const struct message *m)
{
    for (size_t i = 0; i < m->content_len; i++) {
        if (m->content[i] == '.' && (i == 0 || m->content[i - 1] == '\n'))
            buf_put_byte(b, '.');
        buf_put_byte(b, m->content[i]);
    }
    BUF_PUT_LIT(b, ".\r\n");
}

static void put_command(struct world *w, struct client *c, const struct command *k, struct buf *b)
{
    const struct message *m = &c->messages[k->message];
    size_t first = m->first_len;
    switch (k->kind) {
    case SAY_NOTHING:
        break;
    case SAY_HELLO:
        buf_printf(b, "%s %s\r\n", c->is_lmtp ? "LHLO" : "EHLO",
                   hello_names[below(w, ARRAY_COUNT(hello_names))]);
        break;
    case SAY_MAIL:
        buf_printf(b, "MAIL FROM:<from@sim.example>%s\r\n", ways[m->way].param);
        break;
    case SAY_RCPT:
        buf_printf(b, "RCPT TO:<%s>\r\n", addresses[m->kinds[k->rcpt]]);
        break;
    case SAY_DRCP:
        buf_printf(b, "DRCP TO:<%s>\r\n", addresses[m->kinds[k->rcpt]]);
        break;
    case SAY_DATA:
        BUF_PUT_LIT(b, "DATA\r\n");
        break;
    case SAY_ADAT:
        BUF_PUT_LIT(b, "ADAT\r\n");
        break;
    case SAY_CONTENT:
    case SAY_NAMED_LATER:
        put_stuffed(b, m);
        break;
    case SAY_CHUNK:
        buf_printf(b, "BDAT %zu\r\n", first);
        buf_put(b, slice_of(m->content, first));
        break;
    case SAY_LAST:
        buf_printf(b, "BDAT %zu LAST\r\n", m->content_len - first);
        buf_put(b, slice_of(m->content + first, m->content_len - first));
        break;
    case SAY_ERCP:
        if (m->ends_wrong)
            BUF_PUT_LIT(b, "ERCP 999\r\n");
        else
            BUF_PUT_LIT(b, "ERCP\r\n");
        break;
    case SAY_RSET:
        BUF_PUT_LIT(b, "RSET\r\n");
        break;
    case SAY_NOOP:
        BUF_PUT_LIT(b, "NOOP\r\n");
        break;
    case SAY_QUIT:
        BUF_PUT_LIT(b, "QUIT\r\n");
        break;
    }
    CHECK(w, c, !b->is_full);
}

/* Must everything that was said be answered before what comes behind @kind? */
static bool ends_group(enum command_kind kind)
{
    return kind == SAY_NOTHING || kind == SAY_HELLO || kind == SAY_DATA || kind == SAY_ADAT;
}

static bool may_say(const struct client *c)
{
    if (c->said == c->command_count)
        return false;
    if (c->said > c->heard && c->pipe == PIPE_STEPS)
        return false;
    return c->said <= c->heard || !ends_group(c->commands[c->said - 1].kind);
}

static bool is_end_of_message(enum command_kind kind)
{
    return kind == SAY_CONTENT || kind == SAY_LAST || kind == SAY_ERCP;
}

static void say(struct world *w, struct client *c)
{
    static uint8_t memory[2 * MIB];
    struct buf b = buf_over(memory, sizeof(memory));
    while (may_say(c)) {
        const struct command *k = &c->commands[c->said++];
        bool is_content = k->kind == SAY_CONTENT || k->kind == SAY_NAMED_LATER;
        if (is_content && !c->messages[k->message].is_content_taken)
            continue; /* DATA was refused: nothing is sent, and nothing answered */
        put_command(w, c, k, &b);
        if (is_end_of_message(k->kind))
            c->asked_at = ring_now(w->sim.ring);
    }
    if (c->pipe != PIPE_BYTES) {
        if (b.len > 0)
            simpeer_send(c->peer, buf_slice(&b));
    } else {
        c->out = realloc(c->out, c->out_len + b.len + 1);
        memcpy(c->out + c->out_len, memory, b.len);
        c->out_len += b.len;
        if (c->out_sent < c->out_len)
            simpeer_send(c->peer, slice_of(c->out + c->out_sent++, 1));
        if (c->out_sent < c->out_len)
            c->asked_at = ring_now(w->sim.ring);
    }
    bool is_said = c->said == c->command_count && c->out_sent == c->out_len;
    if (is_said && c->finish == FINISH_QUIT_AND_END && !c->has_ended) {
        c->has_ended = true;
        simpeer_shutdown(c->peer);
    }
}

/* --- what is heard ---------------------------------------------------------------------------- */

static bool is_good(const struct message *m, enum kind kind)
{
    if (kind == SMALL)
        return m->content_len <= SIMWORLD_SMALL_BYTES_MAX;
    return (kind != STRICT && kind != SLOWSTRICT) || !m->is_evil;
}

static void check_verdict(struct world *w, struct client *c, uint16_t code, bool is_wanted)
{
    CHECK(w, c, code / 100 == 2 || code / 100 == 4 || code / 100 == 5);
    if (code / 100 == 4)
        CHECK(w, c, w->may_defer);
    else
        CHECK(w, c, code / 100 == (is_wanted ? 2 : 5));
}

static void next(struct client *c)
{
    c->heard++;
    c->stage = 0;
    c->entry_idx = 0;
}

/* After the budget there is time for one commit of those who were decided. */
#define BUDGET_SLACK_NS (7 * NS_PER_S)

static void message_over(struct world *w, struct client *c, struct message *m)
{
    clock_ns now = ring_now(w->sim.ring);
    clock_ns since = u64_max(c->asked_at, c->over_at);
    if (!c->is_deaf && c->pipe != PIPE_BYTES)
        CHECK(w, c, now - since <= w->budget_ns + BUDGET_SLACK_NS); /* DUP-15 */
    c->over_at = now;
    m->is_open = false;
    m->is_complete = true;
    next(c);
}

static void skip_unlisted(struct client *c, const struct message *m)
{
    while (c->entry_idx < m->count && ways[m->way].lists_later && !m->is_later[c->entry_idx])
        c->entry_idx++;
}

static void hear_entry(struct world *w, struct client *c, struct message *m, uint16_t code)
{
    skip_unlisted(c, m);
    CHECK(w, c, c->entry_idx < m->count);
    if (!m->is_failed)
        check_verdict(w, c, code, is_good(m, m->accepted[c->entry_idx]));
    else
        CHECK(w, c, code / 100 >= 4);
    m->codes[c->entry_idx++] = code;
    skip_unlisted(c, m);
}

/* One reply for all. */
static void hear_whole(struct world *w, struct client *c, struct message *m, uint16_t code)
{
    uint32_t good = 0;
    for (uint32_t i = 0; i < m->count; i++)
        good += is_good(m, m->accepted[i]);
    m->final = code;
    if (m->is_failed || m->count == 0)
        CHECK(w, c, code / 100 >= 4);
    else if (ways[m->way].form == FORM_ONE) /* who refuses beside an acceptance is held */
        check_verdict(w, c, code, w->refuses ? good == m->count : good > 0);
    else if (code / 100 != 4) /* PRDR-13: what one reply says is true of everybody */
        CHECK(w, c, code / 100 == 2 ? good == m->count : good == 0 && code / 100 == 5);
    else
        CHECK(w, c, w->may_defer);
    message_over(w, c, m);
}

/* The table, row by row. */
static void hear_block(struct world *w, struct client *c, struct message *m, uint16_t code)
{
    enum form form = ways[m->way].form;
    bool has_opener = form == FORM_353;
    bool is_opened = c->stage > 0 || form == FORM_EACH || form == FORM_EACH_FINAL;
    if (m->is_failed && (has_opener || form == FORM_558 || form == FORM_250 || form == FORM_ONE))
        is_opened = false;
    if (!is_opened && has_opener && code == 353 && !m->is_failed) {
        c->stage = 1;
        m->has_list = true;
        skip_unlisted(c, m);
        CHECK(w, c, c->entry_idx < m->count); /* DEF-10: only where somebody has a line */
        return;
    }
    if (!is_opened) {
        hear_whole(w, c, m, code);
        return;
    }
    m->has_list = true;
    if (c->entry_idx < m->count) {
        hear_entry(w, c, m, code);
        if (form == FORM_EACH && c->entry_idx == m->count)
            message_over(w, c, m);
        return;
    }
    CHECK(w, c, code / 100 == 2 || code / 100 == 4 || code / 100 == 5);
    CHECK(w, c, m->way != WAY_INLINE_DSN || code == 250); /* INL-2 */
    m->final = code;
    message_over(w, c, m);
}

static void hear_rcpt(struct world *w, struct client *c, const struct command *k, uint16_t code)
{
    struct message *m = &c->messages[k->message];
    enum kind kind = m->kinds[k->rcpt];
    bool is_closed = w->plan == PLAN_RELOAD && w->sim.turns >= w->plan_turn;
    bool is_late = k->kind == SAY_DRCP;
    m->named++;
    if (!m->is_open) {
        CHECK(w, c, code == 503);
        next(c);
        return;
    }
    bool may_be_later = ways[m->way].lists_later && kind != NOBODY;
    bool is_fine = kind != NOBODY && (!is_late || is_good(m, kind));
    CHECK(w, c,
          is_closed || (w->may_defer && code / 100 == 4) || code == (is_fine ? 250 : 550) ||
              (is_late && code == 552) || (may_be_later && code == 352)); /* DEF-5 */
    if (code == 250 || code == 352) {
        m->is_later[m->count] = code == 352;
        m->accepted[m->count++] = kind;
    }
    next(c);
}

/* DATA, ADAT, or the content of ADAT. */
static void hear_data(struct world *w, struct client *c, const struct command *k, uint16_t code)
{
    struct message *m = &c->messages[k->message];
    bool is_named_later = k->kind == SAY_NAMED_LATER;
    uint16_t good = is_named_later ? 355 : 354; /* OTH-4 */
    if (!is_named_later)
        m->is_content_taken = code == 354;
    if (!m->is_open || (k->kind == SAY_DATA && m->count == 0))
        CHECK(w, c, code == 503);
    else
        CHECK(w, c, code == good || (w->may_defer && code / 100 == 4));
    m->is_open &= code == good;
    next(c);
}

static void hear_chunk(struct world *w, struct client *c, struct message *m, uint16_t code)
{
    if (m->is_open && m->count > 0)
        CHECK(w, c, code == 250 || (w->may_defer && code / 100 == 4));
    else
        CHECK(w, c, code == 503);
    m->is_failed = code != 250;
    next(c);
}

static void hear_last(struct world *w, struct client *c, struct message *m, uint16_t code)
{
    m->is_failed |= !m->is_open || m->count == 0;
    if (m->is_open) {
        hear_block(w, c, m, code);
        return;
    }
    CHECK(w, c, code / 100 >= 4); /* LMTP: no reply at all, see settle() */
    next(c);
}

static void hear_ercp(struct world *w, struct client *c, struct message *m, uint16_t code)
{
    if (!m->is_open) {
        CHECK(w, c, code == 503);
    } else if (m->ends_wrong) {
        CHECK(w, c, code == 554); /* OTH-6 */
    } else {
        CHECK(w, c, code == 250 || (w->may_defer && (code == 451 || code == 554)));
        m->final = code;
        m->is_complete = m->count > 0;
    }
    m->is_open = false;
    c->over_at = ring_now(w->sim.ring);
    next(c);
}

static void hear_reply(struct world *w, struct client *c, uint16_t code)
{
    CHECK(w, c, c->heard < c->said); /* nobody asked */
    const struct command *k = &c->commands[c->heard];
    struct message *m = &c->messages[k->message];
    switch (k->kind) {
    case SAY_NOTHING:
        CHECK(w, c, code == 220);
        next(c);
        return;
    case SAY_HELLO:
    case SAY_RSET:
    case SAY_NOOP:
        CHECK(w, c, code == 250);
        next(c);
        return;
    case SAY_MAIL:
        CHECK(w, c, code == (m->way == WAY_TWO ? 501 : 250) || (w->may_defer && code / 100 == 4));
        m->is_open = code == 250;
        next(c);
        return;
    case SAY_RCPT:
    case SAY_DRCP:
        hear_rcpt(w, c, k, code);
        return;
    case SAY_DATA:
    case SAY_ADAT:
    case SAY_NAMED_LATER:
        hear_data(w, c, k, code);
        return;
    case SAY_CHUNK:
        hear_chunk(w, c, m, code);
        return;
    case SAY_LAST:
        hear_last(w, c, m, code);
        return;
    case SAY_CONTENT:
        hear_block(w, c, m, code);
        return;
    case SAY_ERCP:
        hear_ercp(w, c, m, code);
        return;
    case SAY_QUIT:
        CHECK(w, c, code == 221);
        c->is_over = true;
        next(c);
        return;
    }
}

/* What is answered by nothing: content that was not sent, and LMTP-8. */
static void settle(struct client *c)
{
    while (c->heard < c->said) {
        const struct command *k = &c->commands[c->heard];
        const struct message *m = &c->messages[k->message];
        bool is_content = k->kind == SAY_CONTENT || k->kind == SAY_NAMED_LATER;
        bool is_silent = (is_content && !m->is_content_taken) ||
                         (k->kind == SAY_LAST && c->is_lmtp && m->count == 0);
        if (!is_silent)
            return;
        next(c);
    }
}

/* A line of a list inside one reply (EXD-8, HOL-5); false: it is none. */
static bool hear_wrapped(struct world *w, struct client *c, struct slice line)
{
    const struct command *k = c->heard < c->said ? &c->commands[c->heard] : &c->commands[0];
    struct message *m = &c->messages[k->message];
    enum form form = ways[m->way].form;
    struct wrapped_line parsed;
    if ((k->kind != SAY_CONTENT && k->kind != SAY_LAST) || !m->is_open || m->is_failed)
        return false;
    if (c->stage == 0 && form == FORM_250 && slice_has_prefix_nocase(line, XRCPT250_OPENING)) {
        char expected[48];
        snprintf(expected, sizeof(expected), "250-2.0.0 +RCPT %u", m->count);
        CHECK(w, c, slice_eq(line, slice_str(expected)));
        c->stage = 1;
        return true;
    }
    if (c->stage == 0 && form == FORM_558 && slice_has_prefix_nocase(line, SLICE_LIT("558")))
        c->stage = 1;
    if (c->stage == 0 || (form != FORM_250 && form != FORM_558))
        return false;
    m->has_list = true;
    if (form == FORM_250 && slice_eq(line, XRCPT250_CLOSING)) {
        CHECK(w, c, c->entry_idx == m->count);
        message_over(w, c, m);
        return true;
    }
    if (form == FORM_250 && slice_has_prefix_nocase(line, XRCPT250_WORKING))
        return true;
    CHECK(w, c, wrapped_parse_line(line, form == FORM_250 ? 250 : 558, &parsed));
    hear_entry(w, c, m, parsed.inner.code);
    CHECK(w, c, parsed.is_last == (form == FORM_558 && c->entry_idx == m->count));
    if (parsed.is_last) {
        message_over(w, c, m);
    }
    return true;
}

/* DEF-18: a minute at most between the replies of a block. */
static void check_pace(struct world *w, struct client *c)
{
    const struct command *k = &c->commands[c->heard < c->said ? c->heard : 0];
    clock_ns now = ring_now(w->sim.ring);
    if (c->stage > 0 && c->messages[k->message].way == WAY_DEFERRALS && !c->is_deaf &&
        w->plan != PLAN_HANG)
        CHECK(w, c, now - c->told_at <= 60 * NS_PER_S);
    c->told_at = now;
}

static void hear(struct world *w, struct client *c)
{
    struct slice got = slice_from(simpeer_received(c->peer), c->read);
    for (;;) {
        size_t end = slice_find(got, '\n');
        settle(c);
        if (end == got.len || c->is_broken)
            return;
        CHECK(w, c, end >= 4 && got.ptr[end - 1] == '\r' && end + 1 <= REPLY_LINE_BYTES_MAX);
        uint16_t code =
            (uint16_t)((got.ptr[0] - '0') * 100 + (got.ptr[1] - '0') * 10 + (got.ptr[2] - '0'));
        struct slice line = slice_first(got, end - 1);
        bool is_last = got.ptr[3] == ' ';
        c->read += end + 1;
        got = slice_from(got, end + 1);
        check_pace(w, c);
        if (hear_wrapped(w, c, line))
            continue;
        CHECK(w, c, is_last || got.ptr != NULL);
        if (code == 421 && is_last) {
            CHECK(w, c, w->may_defer);
            c->is_broken = true;
            return;
        }
        if (is_last)
            hear_reply(w, c, code);
    }
}

/* --- clients ---------------------------------------------------------------------------------- */

static void leave(struct world *w, struct client *c)
{
    c->is_broken = true;
    (void)w;
    if (c->has_ended)
        return;
    if (c->finish == FINISH_RESET)
        simpeer_reset(c->peer);
    else if (c->finish == FINISH_CLOSE)
        simpeer_close(c->peer);
    else
        simpeer_shutdown(c->peer);
    c->has_ended = true;
}

static void client_turn(struct world *w, struct client *c)
{
    clock_ns now = ring_now(w->sim.ring);
    bool is_breaker = c->finish >= FINISH_RESET;
    hear(w, c);
    if (simpeer_is_closed(c->peer))
        return;
    if (c->is_over && !c->has_ended) {
        simpeer_shutdown(c->peer);
        c->has_ended = true;
    }
    if (c->is_over || c->is_broken)
        return;
    if (is_breaker && simpeer_received(c->peer).len >= c->break_at) {
        leave(w, c);
        return;
    }
    if (c->finish == FINISH_PAUSE && !c->is_deaf && simpeer_received(c->peer).len >= c->break_at) {
        c->is_deaf = true;
        c->pause_until = now + below(w, 40) * NS_PER_S;
        simpeer_set_reading(c->peer, false, below(w, 100));
    }
    if (c->finish == FINISH_PAUSE && c->is_deaf && now >= c->pause_until)
        simpeer_set_reading(c->peer, true, 0);
    if (!c->has_ended)
        say(w, c);
    if (c->finish == FINISH_END && c->said == c->command_count && c->heard == c->said)
        leave(w, c);
}

static void clients_make(struct world *w)
{
    w->client_count = 1 + below(w, CLIENTS_MAX);
    for (uint32_t i = 0; i < w->client_count; i++) {
        struct client *c = &w->clients[i];
        c->is_lmtp = below(w, 4) == 0;
        c->pipe = below(w, 8) == 0 ? PIPE_BYTES : (enum pipe)below(w, 2);
        c->finish =
            below(w, 2) == 0 ? (enum finish)below(w, 2) : (enum finish)below(w, FINISH_END + 1);
        c->break_at = 300 + below(w, 2000);
        c->message_count = 1 + below(w, MESSAGES_MAX);
        for (uint32_t m = 0; m < c->message_count; m++)
            message_make(w, c, i, m);
        script_make(w, c);
        c->peer = simpeer_connect(w->sim.ring, w->sim.listen_fds[c->is_lmtp]);
        c->said = 1; /* the greeting is due */
    }
}

/* --- the world -------------------------------------------------------------------------------- */

/* Times that fall together. */
static void times_make(struct world *w, struct simworld_setup *setup)
{
    static const uint64_t units[] = {NS_PER_MS, 100 * NS_PER_MS, NS_PER_S, 10 * NS_PER_S,
                                     50 * NS_PER_S};
    uint64_t unit = units[below(w, ARRAY_COUNT(units))];
    setup->slow_ns = unit;
    if (below(w, 2) == 0)
        setup->listener.content_delay =
            (struct delay){.kind = DELAY_CONSTANT, .low = unit * (1 + below(w, 3))};
    setup->listener.works_side_by_side = below(w, 2) == 0;
    setup->listener.finishes_vanished = below(w, 4) == 0;
    w->budget_ns = setup->listener.reply_ns_max;
    w->may_defer = unit >= NS_PER_S;
    if (below(w, 2) == 0) {
        w->budget_ns = setup->listener.reply_ns_max =
            u64_min(240 * NS_PER_S, unit * (1 + below(w, 6)));
        w->may_defer = true;
    }
    if (below(w, 3) == 0) { /* overlapping networks and names: the shortest counts */
        bool is_good = patience_network_parse(SLICE_LIT("127.0.0.0/8"), &w->networks[0]) &&
                       patience_network_parse(SLICE_LIT("127.0.0.1"), &w->networks[1]) &&
                       patience_network_parse(SLICE_LIT("::/0"), &w->networks[2]);
        CHECK(w, NULL, is_good);
        w->helos[0] = SLICE_LIT("*impatient.example");
        w->helos[1] = SLICE_LIT("*****");
        w->patience[0] = (struct patience_client){
            SLICE_LIT("a"), w->networks, 3, w->helos, 1, unit * (1 + below(w, 4))};
        w->patience[1] = (struct patience_client){
            SLICE_LIT("b"), w->networks + 1, 1, w->helos, 2, unit * (1 + below(w, 4))};
        setup->clients = w->patience;
        setup->client_count = 2;
        w->may_defer = true;
    }
}

static void world_begin(struct world *w)
{
    struct simworld_setup setup = simworld_setup(w->seed);
    bool is_exact = below(w, 2) == 0;
    setup.sim.network_ns_max = is_exact ? 1 : 1 + below(w, 2 * NS_PER_MS);
    setup.sim.disk_ns_max = is_exact ? 1 : 1 + below(w, 5 * NS_PER_MS);
    setup.sim.short_send_percent = below(w, 2) * 20;
    setup.sim.short_write_percent = below(w, 2) * 5;
    setup.limits.chunk_count_max = below(w, 4) == 0 ? 48 : 512;
    w->has_faults = below(w, 5) == 0;
    w->plan = below(w, 2) == 0 ? PLAN_NOTHING : (enum plan)below(w, PLAN_COUNT);
    w->plan_turn = below(w, 2000);
    setup.is_unix = below(w, 2) == 0;
    setup.listener.on_refusal =
        below(w, 3) == 0 ? POLICY_REFUSAL_REFUSE : POLICY_REFUSAL_QUARANTINE;
    w->refuses = setup.listener.on_refusal == POLICY_REFUSAL_REFUSE;
    setup.listener.session.bind_early_talkers = below(w, 2) == 0;
    if (below(w, 6) == 0)
        setup.limits.buffer_count = 4;
    if (below(w, 6) == 0)
        setup.limits.txn_count_max = 2;
    setup.listener.pacing = (enum pacing)below(w, PACING_EAGER + 1);
    setup.links_replies = below(w, 2) == 0;
    times_make(w, &setup);
    w->may_defer |= w->has_faults || setup.limits.chunk_count_max < 512 ||
                    setup.limits.txn_count_max < 64 || w->plan == PLAN_FULL ||
                    w->plan == PLAN_DRAIN || w->plan == PLAN_HANG;
    simworld_begin(&w->sim, &setup);
    if (w->has_faults)
        sim_set_faults(w->sim.ring, 2, 2);
}

static bool all_closed(const struct world *w)
{
    for (uint32_t i = 0; i < w->client_count; i++)
        if (!simpeer_is_closed(w->clients[i].peer))
            return false;
    return true;
}

static bool plan_run(struct world *w)
{
    if (w->sim.turns == w->plan_turn + 300 && w->plan == PLAN_FULL)
        simworld_set_space(UINT64_MAX);
    if (w->sim.turns != w->plan_turn)
        return true;
    switch (w->plan) {
    case PLAN_CUT:
        simworld_power_cut(&w->sim);
        return false;
    case PLAN_DRAIN:
        shard_drain(&w->sim.shard, ring_now(w->sim.ring) + below(w, 60) * NS_PER_S);
        break;
    case PLAN_RELOAD:
        simworld_replace(&w->sim, true);
        break;
    case PLAN_FULL:
        simworld_set_space(0);
        break;
    case PLAN_HANG:
        sim_hang_disk(w->sim.ring, ring_now(w->sim.ring) + below(w, 300) * NS_PER_S, false);
        break;
    case PLAN_NOTHING:
    case PLAN_COUNT:
        break;
    }
    return true;
}

/* Each of these has a line and is counted. */
static void check_log(struct world *w)
{
    const uint64_t *value = w->sim.shard.metrics.value;
    if (w->sim.shard.is_stopped || w->sim.has_cut)
        return;
    CHECK(w, NULL,
          simworld_logged(&w->sim, "event=transaction ") ==
              value[METRIC_TXNS_STORED] + value[METRIC_TXNS_REFUSED]);
    CHECK(w, NULL, simworld_logged(&w->sim, "event=aborted ") == value[METRIC_TXNS_ABORTED]);
    CHECK(w, NULL,
          simworld_logged(&w->sim, "event=reply_budget_ended ") == value[METRIC_BUDGETS_ENDED]);
    CHECK(w, NULL, simworld_logged(&w->sim, " budget_ended=true ") <= value[METRIC_BUDGETS_ENDED]);
    CHECK(w, NULL, simworld_logged(&w->sim, "event=commit_late ") == value[METRIC_COMMITS_LATE]);
    CHECK(w, NULL,
          simworld_logged(&w->sim, "event=reply_in_doubt ") == value[METRIC_REPLIES_DOUBTFUL]);
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
        if (ring_now(w->sim.ring) > 3000 * NS_PER_S)
            for (uint32_t i = 0; i < w->client_count; i++)
                if (!simpeer_is_closed(w->clients[i].peer))
                    fail(w, &w->clients[i], "still there", __LINE__);
    }
    if (w->plan == PLAN_CUT && !w->sim.has_cut)
        simworld_power_cut(&w->sim);
    for (int i = 0; i < 6000 && !w->sim.shard.is_stopped &&
                    pool_used_count(&w->sim.shard.txns) > 0 && !w->sim.has_cut;
         i++)
        simworld_run(&w->sim, NS_PER_S);
    check_log(w);
    simworld_drain(&w->sim, 10 * NS_PER_S);
    simworld_check_home(&w->sim);
}

/* --- afterwards ------------------------------------------------------------------------------- */

/* A client who said QUIT, read on, and was not cut off has heard everything. */
static void check_heard(struct world *w, struct client *c)
{
    bool is_patient = c->finish <= FINISH_QUIT_AND_END;
    if (!is_patient || w->has_faults || w->plan == PLAN_CUT || w->plan == PLAN_DRAIN ||
        w->plan == PLAN_HANG || c->is_broken)
        return;
    const struct message *m = &c->messages[c->commands[c->heard % c->command_count].message];
    if (m->way == WAY_INLINE_DSN && m->has_list && m->final == 0 && w->may_defer)
        return; /* INL-4: the only way to say that the message is lost */
    if (w->sim.shard.options.links_replies && w->may_defer && !c->is_over &&
        is_end_of_message(c->commands[c->heard].kind))
        return; /* his reply waited in the ring for the write, and his time ended */
    CHECK(w, c, c->is_over);
    CHECK(w, c, c->heard == c->command_count);
    CHECK(w, c, c->read == simpeer_received(c->peer).len);
}

/* What the client knows about one of the accepted: 2, 4 or 5; 0: nothing. */
static int known(const struct message *m, uint32_t i)
{
    int own = m->codes[i] / 100;
    int final = m->final / 100;
    if (m->way == WAY_SMTP || m->way == WAY_ADAT || !m->has_list)
        return final;
    if (ways[m->way].owns_at_each)
        return own;
    if (ways[m->way].lists_later && !m->is_later[i])
        return final; /* DEF-15 */
    if (final == 0)
        return own > 2 ? own : 0;
    return final == 2 || own > 2 ? own : final;
}

/* P1, P2: told 2xx, stored, as often as told; told 4xx or 5xx, not stored. */
static void check_message(struct world *w, struct client *c, const struct message *m)
{
    struct simworld_found found =
        simworld_find(&w->sim, slice_str(m->id), slice_of(m->content, m->content_len));
    uint32_t owed[KIND_COUNT] = {0}, open[KIND_COUNT] = {0}, has[KIND_COUNT] = {0};
    CHECK(w, c, found.count <= 1);
    for (uint32_t i = 0; i < m->count; i++) {
        int code = known(m, i);
        if (m->accepted[i] == DISCARD)
            continue;
        owed[m->accepted[i]] += code == 2;
        open[m->accepted[i]] += code == 0;
    }
    for (uint32_t i = m->named; i < m->rcpt_count; i++)
        open[m->kinds[i]]++;
    for (uint32_t i = 0; found.count > 0 && i < found.message.envelope.rcpt_count; i++)
        for (int k = 0; k < KIND_COUNT; k++)
            has[k] += !found.message.is_gone[i] &&
                      slice_eq(found.message.envelope.rcpts[i].address, slice_str(addresses[k]));
    for (int k = 0; k < KIND_COUNT; k++) {
        if (has[k] < owed[k] || has[k] > owed[k] + open[k])
            fprintf(stderr, "%s of %s: %u stored, %u owed, %u unknown\n", addresses[k], m->id,
                    has[k], owed[k], open[k]);
        CHECK(w, c, has[k] >= owed[k]);
        CHECK(w, c, has[k] <= owed[k] + open[k]);
    }
    if (found.count > 0)
        CHECK(w, c, found.is_equal);
    simworld_found_free(&found);
}

static void count_told(const struct message *m, uint64_t *accepted, uint64_t *failed)
{
    for (uint32_t i = 0; i < m->count && m->is_complete && !m->is_failed; i++) {
        *accepted += known(m, i) == 2;
        *failed += known(m, i) > 2;
    }
}

static void check_counters(struct world *w)
{
    uint64_t accepted = 0, failed = 0;
    const uint64_t *value = w->sim.shard.metrics.value;
    for (uint32_t i = 0; i < w->client_count; i++) {
        const struct client *c = &w->clients[i];
        if (!c->is_over)
            return; /* not everything that was counted was heard */
        for (uint32_t k = 0; k < c->message_count; k++)
            count_told(&c->messages[k], &accepted, &failed);
    }
    CHECK(w, NULL, value[METRIC_RCPTS_ACCEPTED] == accepted);
    CHECK(w, NULL, value[METRIC_RCPTS_DEFERRED] + value[METRIC_RCPTS_REFUSED] == failed);
}

static void run_seed(uint64_t seed)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    w.seed = seed;
    rng_init(&w.rng, seed ^ 0xD1A1);
    world_begin(&w);
    clients_make(&w);
    world_run(&w);
    for (uint32_t i = 0; i < w.client_count; i++)
        check_heard(&w, &w.clients[i]);
    check_counters(&w);
    simworld_end(&w.sim);
    for (uint32_t i = 0; i < w.client_count; i++) {
        struct client *c = &w.clients[i];
        for (uint32_t m = 0; m < c->message_count; m++) {
            check_message(&w, c, &c->messages[m]);
            free(c->messages[m].content);
        }
        free(c->commands);
        free(c->out);
    }
    simworld_remove(&w.sim);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : (argc > 1 ? 1 : 60);
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
