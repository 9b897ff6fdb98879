/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect_fuzz.c - the server machine answers, the client machine reads what was cut.
 *
 * Input: dialect and pipelining, one byte; number of recipients; where to cut, two bytes; then one
 * byte for each decision.
 * Oracles: read whole, everybody has the fate that the decisions stand for (PRDR-35, DEF-17,
 * EXD-12, HOL-11, OTH-7). Cut, a fate is that or "requeue" where responsibility moves with each
 * reply, and those who are settled come first; nothing is settled where the final reply rules;
 * where all moves with the first line, nobody is requeued who was not told so.
 */
#include "../dialogue/owner.h"
#include "../support/testscan.h"
#include "smtp/client.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RCPTS_MAX 9

static const uint32_t offers[] = {
    0,
    SESSION_OFFER_PRDR,
    SESSION_OFFER_DEFERRALS,
    SESSION_OFFER_INLINE_DSN,
    SESSION_OFFER_EXDATA,
    SESSION_OFFER_XRCPT250,
    SESSION_OFFER_XRCPT250B,
    SESSION_OFFER_XPRDR1,
    SESSION_OFFER_ADAT,
};
#define KINDS (2 * ARRAY_COUNT(offers)) /* each also over LMTP, where none is offered */

struct run {
    struct owner owner;
    struct client client;
    struct client_message message;
    struct client_rcpt rcpts[RCPTS_MAX];
    struct client_result results[RCPTS_MAX];
    const uint8_t *decisions;
    size_t decision_count;
    size_t decision_idx;
    size_t out_at; /* of the server's output: read by the client */
    bool has_begun;
    bool has_cut;
};

static unsigned decision(struct run *r)
{
    return r->decision_idx < r->decision_count ? r->decisions[r->decision_idx++] : 0;
}

static struct answer on_mail(struct owner *o, const struct session_event *ev)
{
    (void)o;
    (void)ev;
    return ANSWER(STATUS_SENDER_OK);
}

static struct answer on_rcpt(struct owner *o, const struct session_event *ev)
{
    unsigned n = decision(o->ctx) % 8;
    (void)ev;
    if (session_may_decide_later(&o->session) && n >= 4)
        return ANSWER(STATUS_RCPT_LATER);
    return ANSWER(n == 0 ? STATUS_NO_SUCH_USER : n == 1 ? STATUS_STORE_FULL : STATUS_RCPT_OK);
}

static struct answer on_content(struct owner *o)
{
    (void)o;
    return ANSWER(STATUS_OK);
}

static void on_end(struct owner *o, const struct session_event *ev)
{
    static const enum status ends[] = {STATUS_STORED, STATUS_REFUSED_POLICY, STATUS_DEFERRED_POLICY,
                                       STATUS_STORED};
    struct run *r = o->ctx;
    unsigned common = decision(r);
    ASSERT(ev->answer.status == STATUS_NONE);
    for (uint32_t i = 0; i < session_rcpt_count(&o->session); i++) {
        bool is_accepted_before = session_may_decide_later(&o->session) && o->rcpt_codes[i] != 352;
        unsigned n = session_has_one_reply(&o->session) ? common : decision(r);
        enum status st = is_accepted_before ? STATUS_STORED : ends[n % ARRAY_COUNT(ends)];
        if (status_is_success(st))
            owner_accept(o, i, ANSWER(st));
        else
            session_refuse_rcpt(&o->session, i, ANSWER(st));
        if ((common & 64) != 0)
            session_open_block(&o->session);
    }
    session_finish(&o->session, ANSWER(STATUS_NONE));
}

static const struct owner_ops ops = {on_mail, on_rcpt, on_content, on_end};

/* What the client has to say, into the server; true when it said something. */
static bool say(struct run *r)
{
    static uint8_t memory[3 * CLIENT_COMMAND_BYTES_MAX];
    static struct slices parts;
    bool has_more;
    bool has_said = false;
    do {
        struct buf scratch = buf_over(memory, sizeof(memory));
        has_more = client_output(&r->client, 0, &scratch, &parts);
        for (uint32_t i = 0; i < parts.count; i++)
            bytes_put(&r->owner.held, parts.at[i]);
        has_said |= parts.count > 0;
    } while (has_more);
    owner_pump(&r->owner);
    return has_said;
}

/* Feeds the client up to @end of the server's output; true when its message is over. */
static bool hear(struct run *r, size_t end)
{
    struct client_event ev = {.kind = CLIENT_EV_REPLY};
    bool is_done = false;
    while (ev.kind != CLIENT_EV_MORE && !is_done) {
        struct slice in = slice_from(slice_first(bytes_slice(&r->owner.out), end), r->out_at);
        r->out_at += client_feed(&r->client, in, 0, &ev);
        is_done = ev.kind == CLIENT_EV_DONE;
        if (ev.kind == CLIENT_EV_READY && !r->has_begun) {
            r->has_begun = true; /* only one message */
            client_begin(&r->client, &r->message, r->results, 0);
        }
    }
    return is_done;
}

/* One message; what the server says after the content is cut @cut bytes before its end, if it has
 * so many; 0: not. */
static void run(struct run *r, const uint8_t *data, size_t size, size_t cut)
{
    struct session_config server = {
        .protocol = data[0] % KINDS >= ARRAY_COUNT(offers) ? SESSION_LMTP : SESSION_SMTP,
        .offers = SESSION_OFFER_ALL,
        .hostname = SLICE_LIT("mx.example"),
        .rcpt_max = 1000,
    };
    struct client_config config = {
        .protocol = server.protocol == SESSION_LMTP ? CLIENT_LMTP : CLIENT_SMTP,
        .pipelining = (enum client_pipelining)(data[0] / KINDS % 3),
        .hostname = SLICE_LIT("out.example"),
        .dialects = offers[data[0] % ARRAY_COUNT(offers)],
        .wants_chunking = (data[1] & 128) != 0,
        .dialect_rcpt_min = 1,
    };
    static const struct slice content = {(const uint8_t *)"x\r\n", 3};
    memset(r, 0, sizeof(*r));
    r->decisions = data + 4;
    r->decision_count = size - 4;
    for (int i = 0; i < RCPTS_MAX; i++)
        r->rcpts[i].address = SLICE_LIT("b@mx.example");
    r->message = (struct client_message){.sender = SLICE_LIT("a@a.example"),
                                         .rcpts = r->rcpts,
                                         .rcpt_count = 1 + data[1] % RCPTS_MAX,
                                         .content = &content,
                                         .content_count = 1};
    owner_init(&r->owner, &server, &ops, r);
    client_init(&r->client, &config, 0);
    owner_pump(&r->owner);
    for (bool is_done = false; !is_done;) {
        size_t end = r->owner.out.len;
        if (cut > 0 && r->owner.bodies.len > 0 && r->out_at + cut < end) {
            r->has_cut = true;
            (void)hear(r, end - cut);
            break;
        }
        is_done = hear(r, end);
        if (!is_done && !say(r) && r->owner.out.len == r->out_at && !client_has_event(&r->client))
            break;
    }
    client_lost(&r->client, CLIENT_ERROR_LOST);
    while (client_has_event(&r->client))
        (void)hear(r, r->out_at);
    owner_deinit(&r->owner);
}

static void check_whole(const struct run *r)
{
    for (uint32_t i = 0; i < r->message.rcpt_count; i++) {
        const struct client_result *result = &r->results[i];
        ASSERT(result->fate != CLIENT_FATE_OPEN);
        ASSERT(result->code != 0); /* everybody was answered */
        unsigned class = result->code / 100U;
        ASSERT((result->fate == CLIENT_FATE_DONE) == (class == 2));
        ASSERT((result->fate == CLIENT_FATE_FAIL) == (class == 5));
    }
}

static void check_cut(const struct run *whole, const struct run *part, uint32_t offer, bool is_lmtp)
{
    bool has_gap = false;
    bool is_each = is_lmtp || offer == SESSION_OFFER_EXDATA || offer == SESSION_OFFER_XRCPT250;
    for (uint32_t i = 0; i < part->message.rcpt_count; i++) {
        const struct client_result *w = &whole->results[i];
        const struct client_result *p = &part->results[i];
        ASSERT(p->fate != CLIENT_FATE_OPEN);
        if (p->fate == CLIENT_FATE_DONE && w->fate != CLIENT_FATE_DONE)
            ASSERT(offer == SESSION_OFFER_XRCPT250B && p->rcpt_code / 100 == 2); /* HOL-12 */
        if (p->fate == CLIENT_FATE_FAIL)
            ASSERT(w->fate == CLIENT_FATE_FAIL);
        bool is_missing = p->code == 0;
        ASSERT(!is_missing || p->fate == CLIENT_FATE_REQUEUE);
        if (is_each && p->rcpt_code / 100 == 2) {
            ASSERT(!has_gap || is_missing);
            has_gap |= is_missing;
        }
        if (!is_each && offer != SESSION_OFFER_XRCPT250B && part->has_cut)
            ASSERT(p->fate != CLIENT_FATE_DONE); /* the last reply was not read */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, part;
    static bool is_ready;
    if (!is_ready && testscan_init() != 0)
        abort();
    is_ready = true;
    if (size < 5)
        return 0;
    run(&whole, data, size, 0);
    check_whole(&whole);
    run(&part, data, size, 1 + (((size_t)data[2] << 8 | data[3]) & 1023));
    bool is_lmtp = data[0] % KINDS >= ARRAY_COUNT(offers);
    check_cut(&whole, &part, offers[data[0] % ARRAY_COUNT(offers)], is_lmtp);
    return 0;
}
