/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loopback_test.c - the client machine against the server machine.
 *
 *     loopback_test [--seed N] [--runs N]
 *
 * Every combination of dialect, DATA or BDAT, chunk size and pipelining runs a few messages with
 * random recipients, decisions and content, with both directions cut at random. The oracle: the
 * server's decisions alone say what the client must believe about each recipient (PRDR-35,
 * LMTP-19), the content must arrive byte for byte, and the server holds the client to the rules of
 * pipelining (CORE-45) all the time.
 */
#include "base/rng.h"
#include "owner.h"
#include "../support/testscan.h"
#include "smtp/client.h"
#include <stdio.h>
#include <stdlib.h>

#define RCPTS_MAX 120
#define MESSAGES 4

enum wire {
    WIRE_SMTP,
    WIRE_LMTP,
    WIRE_PRDR,
    WIRE_DEFERRALS,
    WIRE_EXDATA,
    WIRE_XRCPT250,
    WIRE_XRCPT250B,
    WIRE_INLINE_DSN,
    WIRE_XPRDR1,
    WIRE_ADAT,
    WIRE_COUNT
};
static const uint32_t wire_offers[WIRE_COUNT] = {
    [WIRE_PRDR] = SESSION_OFFER_PRDR,           [WIRE_DEFERRALS] = SESSION_OFFER_DEFERRALS,
    [WIRE_EXDATA] = SESSION_OFFER_EXDATA,       [WIRE_XRCPT250] = SESSION_OFFER_XRCPT250,
    [WIRE_XRCPT250B] = SESSION_OFFER_XRCPT250B, [WIRE_INLINE_DSN] = SESSION_OFFER_INLINE_DSN,
    [WIRE_XPRDR1] = SESSION_OFFER_XPRDR1,       [WIRE_ADAT] = SESSION_OFFER_ADAT,
};

struct loop {
    struct rng rng;
    enum wire wire;
    struct owner owner;
    struct client client;
    struct bytes to_client; /* sent by the server and not read yet */
    struct bytes to_server;
    size_t server_out_at;
    /* Decisions of the server for the message under way. */
    enum status mail;
    enum status content;
    enum status rcpts[RCPTS_MAX]; /* in order of RCPT */
    uint32_t rcpt_count;
    enum status ends[RCPTS_MAX]; /* for those accepted */
    bool is_unlisted[RCPTS_MAX]; /* of those: who has no line (DEF-10) */
    uint32_t end_count;
    bool has_ended;
};

static bool chance(struct rng *r, unsigned percent)
{
    return rng_below(r, 100) < percent;
}

static enum status any_failure(struct rng *r)
{
    static const enum status failures[] = {STATUS_NO_SUCH_USER, STATUS_DEFERRED_POLICY,
                                           STATUS_STORE_FULL, STATUS_REFUSED_POLICY};
    return failures[rng_below(r, ARRAY_COUNT(failures))];
}

static struct answer on_mail(struct owner *o, const struct session_event *ev)
{
    struct loop *l = o->ctx;
    (void)ev;
    l->rcpt_count = 0;
    l->end_count = 0;
    l->has_ended = false;
    l->content = STATUS_NONE;
    l->mail = chance(&l->rng, 95) ? STATUS_SENDER_OK : any_failure(&l->rng);
    return ANSWER(l->mail);
}

static struct answer on_rcpt(struct owner *o, const struct session_event *ev)
{
    struct loop *l = o->ctx;
    enum status st = chance(&l->rng, 80) ? STATUS_RCPT_OK : any_failure(&l->rng);
    (void)ev;
    if (chance(&l->rng, 10))
        st = STATUS_RCPT_FORWARDED;
    if (session_may_decide_later(&o->session) && chance(&l->rng, 50))
        st = STATUS_RCPT_LATER;
    ASSERT(l->rcpt_count < RCPTS_MAX);
    l->rcpts[l->rcpt_count++] = st;
    return ANSWER(st);
}

static struct answer on_content(struct owner *o)
{
    struct loop *l = o->ctx;
    l->content = chance(&l->rng, 90) ? STATUS_OK : any_failure(&l->rng);
    return ANSWER(l->content);
}

static void on_end(struct owner *o, const struct session_event *ev)
{
    struct loop *l = o->ctx;
    uint32_t count = session_rcpt_count(&o->session);
    bool is_alike = session_has_one_reply(&o->session) || chance(&l->rng, 30);
    enum status common = chance(&l->rng, 70) ? STATUS_STORED : any_failure(&l->rng);
    ASSERT(ev->answer.status == STATUS_NONE);
    l->has_ended = true;
    l->end_count = count;
    if (chance(&l->rng, 30))
        session_open_block(&o->session);
    for (uint32_t i = 0; i < count; i++) {
        enum status st = chance(&l->rng, 60) ? STATUS_STORED : any_failure(&l->rng);
        l->ends[i] = is_alike ? common : st;
        l->is_unlisted[i] = session_may_decide_later(&o->session) && o->rcpt_codes[i] != 352;
        if (l->wire == WIRE_INLINE_DSN && l->is_unlisted[i])
            l->ends[i] = STATUS_STORED; /* else it can only close (INL-4): not followed here */
        if (status_is_success(l->ends[i]))
            owner_accept(o, i, ANSWER(l->ends[i]));
        else
            session_refuse_rcpt(&o->session, i, ANSWER(l->ends[i]));
    }
    session_finish(&o->session, ANSWER(STATUS_NONE));
}

static const struct owner_ops ops = {on_mail, on_rcpt, on_content, on_end};

/* ---- what the client must believe ---- */

static enum client_fate fate_of(enum status st)
{
    if (status_is_success(st))
        return CLIENT_FATE_DONE;
    return status_is_temporary(st) ? CLIENT_FATE_REQUEUE : CLIENT_FATE_FAIL;
}

/* The last reply: 2xx when anybody accepts, but not when somebody is lost who has no line (DEF-14,
 * DEF-15, PRDR-24). */
static enum client_fate final_fate(const struct loop *l)
{
    bool has_success = false;
    bool has_temporary = false;
    bool has_lost = false;
    bool has_lost_temporary = false;
    for (uint32_t i = 0; i < l->end_count; i++) {
        has_success |= status_is_success(l->ends[i]);
        has_temporary |= status_is_temporary(l->ends[i]);
        has_lost |= l->is_unlisted[i] && !status_is_success(l->ends[i]);
        has_lost_temporary |= l->is_unlisted[i] && status_is_temporary(l->ends[i]);
    }
    if (has_lost)
        return has_lost_temporary ? CLIENT_FATE_REQUEUE : CLIENT_FATE_FAIL;
    if (has_success)
        return CLIENT_FATE_DONE;
    return has_temporary ? CLIENT_FATE_REQUEUE : CLIENT_FATE_FAIL;
}

/* PRDR-35, DEF-17: the final reply rules; elsewhere everybody has his own. */
static enum client_fate fate_of_entry(const struct loop *l, uint32_t idx)
{
    ASSERT(idx < l->end_count);
    enum client_fate own = l->is_unlisted[idx] ? CLIENT_FATE_DONE : fate_of(l->ends[idx]);
    enum client_fate final = final_fate(l);
    if (l->wire == WIRE_XRCPT250B) /* nobody accepts: there is no list (HOL-8) */
        return final == CLIENT_FATE_DONE ? own : final;
    if (final == CLIENT_FATE_DONE ||
        (l->wire != WIRE_PRDR && l->wire != WIRE_DEFERRALS && l->wire != WIRE_XPRDR1))
        return own;
    return final == CLIENT_FATE_REQUEUE && own == CLIENT_FATE_FAIL ? own : final;
}

static void check_results(const struct loop *l, const struct client_result *results, uint32_t count)
{
    uint32_t listed = 0;
    for (uint32_t i = 0; i < count; i++) {
        enum client_fate expected;
        if (!status_is_success(l->mail)) {
            expected = fate_of(l->mail);
        } else if (l->wire == WIRE_ADAT && !status_is_success(l->content)) {
            expected = fate_of(l->content); /* nobody was named yet */
        } else if (l->wire == WIRE_ADAT && !status_is_success(l->rcpts[i]) && l->has_ended &&
                   status_is_permanent(l->ends[0])) {
            expected = CLIENT_FATE_FAIL; /* the reply to ERCP rules */
        } else if (!status_is_success(l->rcpts[i]) && l->rcpts[i] != STATUS_RCPT_LATER) {
            expected = fate_of(l->rcpts[i]);
        } else if (!l->has_ended) {
            ASSERT(l->content != STATUS_NONE);
            expected = fate_of(l->content);
        } else {
            expected = fate_of_entry(l, listed++);
        }
        if (results[i].fate != expected) {
            fprintf(stderr, "recipient %u: expected fate %d, got %d (code %u)\n", i, (int)expected,
                    (int)results[i].fate, results[i].code);
            abort();
        }
    }
    if (l->has_ended && status_is_success(l->mail))
        ASSERT(listed == l->end_count);
}

/* ---- moving bytes ---- */

static void server_turn(struct loop *l)
{
    size_t len = l->to_server.len > 0 ? 1 + (size_t)rng_below(&l->rng, l->to_server.len) : 0;
    if (chance(&l->rng, 50))
        len = l->to_server.len;
    if (len > 0)
        owner_feed(&l->owner, slice_first(bytes_slice(&l->to_server), len));
    else
        owner_pump(&l->owner);
    if (len > 0)
        memmove(l->to_server.ptr, l->to_server.ptr + len, l->to_server.len - len);
    l->to_server.len -= len;
    bytes_put(&l->to_client, slice_from(bytes_slice(&l->owner.out), l->server_out_at));
    l->server_out_at = l->owner.out.len;
}

static void client_send(struct loop *l)
{
    static uint8_t memory[3 * CLIENT_COMMAND_BYTES_MAX];
    static struct slices parts;
    bool has_more;
    do {
        struct buf scratch = buf_over(memory, sizeof(memory));
        has_more = client_output(&l->client, 0, &scratch, &parts);
        for (uint32_t i = 0; i < parts.count; i++)
            bytes_put(&l->to_server, parts.at[i]);
    } while (has_more);
}

/* One event of the client out of a random part of what is there. */
static enum client_event_kind client_turn(struct loop *l, struct client_event *ev)
{
    size_t len = l->to_client.len;
    if (len > 0 && chance(&l->rng, 50))
        len = (size_t)rng_below(&l->rng, len + 1);
    size_t used = client_feed(&l->client, slice_first(bytes_slice(&l->to_client), len), 0, ev);
    ASSERT(used <= len);
    if (used > 0)
        memmove(l->to_client.ptr, l->to_client.ptr + used, l->to_client.len - used);
    l->to_client.len -= used;
    return ev->kind;
}

/* Runs both sides until the client has an event of @wanted. */
static void run_until(struct loop *l, enum client_event_kind wanted)
{
    struct client_event ev;
    for (int i = 0; i < 1000000; i++) {
        enum client_event_kind kind = client_turn(l, &ev);
        if (kind == wanted)
            return;
        ASSERT(kind == CLIENT_EV_MORE || kind == CLIENT_EV_REPLY);
        if (kind == CLIENT_EV_REPLY)
            continue;
        client_send(l);
        if (!client_has_event(&l->client))
            server_turn(l);
    }
    ASSERT(false);
}

/* ---- content and messages ---- */

static struct bytes make_content(struct rng *r, bool must_end)
{
    static const char *const pieces[] = {"\r\n",     "\r\n",         ".",         "..",
                                         "a",        "line of text", "\r\n.\r\n", "QUIT\r\n",
                                         "\r\n\r\n", "BDAT 5\r\n"};
    struct bytes content = {0};
    uint64_t count = rng_below(r, 3) == 0 ? rng_below(r, 4) : rng_below(r, 400);
    for (uint64_t i = 0; i < count; i++)
        bytes_put(&content, slice_str(pieces[rng_below(r, ARRAY_COUNT(pieces))]));
    if (must_end)
        bytes_put(&content, SLICE_LIT("\r\n"));
    return content;
}

static void check_body(const struct loop *l, size_t before, struct slice content, bool is_chunked)
{
    struct slice got = slice_from(bytes_slice(&l->owner.bodies), before);
    struct slice mark = SLICE_LIT("\n--\n");
    bool is_ended = content.len >= 2 && content.ptr[content.len - 1] == '\n';
    if (!l->has_ended || !status_is_success(l->mail)) {
        ASSERT(got.len == 0 || l->wire == WIRE_ADAT); /* nobody was accepted after it */
        return;
    }
    ASSERT(slice_eq(slice_first(got, content.len), content));
    got = slice_from(got, content.len);
    if (!is_chunked && !is_ended && content.len > 0) {
        ASSERT(slice_eq(slice_first(got, 2), SLICE_LIT("\r\n")));
        got = slice_from(got, 2);
    }
    ASSERT(slice_eq(got, mark));
}

static void run_message(struct loop *l, bool is_last)
{
    static struct client_rcpt rcpts[RCPTS_MAX];
    static struct client_result results[RCPTS_MAX];
    struct bytes content = make_content(&l->rng, chance(&l->rng, 80));
    struct slice pieces[8];
    uint32_t piece_count = 0;
    struct slice rest = bytes_slice(&content);
    while (rest.len > 0 && piece_count < ARRAY_COUNT(pieces)) {
        size_t len = piece_count + 1 == ARRAY_COUNT(pieces)
                         ? rest.len
                         : (size_t)rng_below(&l->rng, rest.len + 1);
        pieces[piece_count++] = slice_first(rest, len);
        rest = slice_from(rest, len);
    }
    uint32_t count = 1 + (uint32_t)rng_below(&l->rng, chance(&l->rng, 20) ? RCPTS_MAX : 4);
    for (uint32_t i = 0; i < count; i++)
        rcpts[i].address = i % 3 == 2 ? SLICE_LIT("same@mx.example") : SLICE_LIT("b@mx.example");
    struct client_message message = {
        .sender = SLICE_LIT("a@a.example"),
        .rcpts = rcpts,
        .rcpt_count = count,
        .content = pieces,
        .content_count = piece_count,
    };
    size_t before = l->owner.bodies.len;
    client_begin(&l->client, &message, results, 0);
    if (is_last)
        client_quit(&l->client);
    client_send(l);
    run_until(l, CLIENT_EV_DONE);
    check_results(l, results, count);
    check_body(l, before, bytes_slice(&content), l->client.uses_chunks);
    bytes_free(&content);
}

static void run_session(enum wire wire, bool wants_chunking, uint64_t chunk_bytes,
                        enum client_pipelining pipelining, uint64_t seed)
{
    static struct loop l;
    struct session_config server = {
        .protocol = wire == WIRE_LMTP ? SESSION_LMTP : SESSION_SMTP,
        .offers = SESSION_OFFER_ALL,
        .hostname = SLICE_LIT("mx.example"),
        .rcpt_max = 1000,
        .error_max = 1,
        .bind_early_talkers = true,
    };
    struct client_config config = {
        .protocol = wire == WIRE_LMTP ? CLIENT_LMTP : CLIENT_SMTP,
        .pipelining = pipelining,
        .hostname = SLICE_LIT("out.example"),
        .dialects = wire_offers[wire],
        .wants_chunking = wants_chunking,
        .dialect_rcpt_min = 1,
        .chunk_bytes = chunk_bytes,
    };
    memset(&l, 0, sizeof(l));
    rng_init(&l.rng, seed);
    l.wire = wire;
    owner_init(&l.owner, &server, &ops, &l);
    client_init(&l.client, &config, 0);
    server_turn(&l);
    for (int i = 0; i < MESSAGES; i++) {
        run_until(&l, CLIENT_EV_READY);
        run_message(&l, i + 1 == MESSAGES);
    }
    run_until(&l, CLIENT_EV_CLOSED);
    ASSERT(session_wants_close(&l.owner.session));
    ASSERT(l.client.error == CLIENT_ERROR_NONE);
    owner_check_output(bytes_slice(&l.owner.out));
    owner_deinit(&l.owner);
    bytes_free(&l.to_client);
    bytes_free(&l.to_server);
}

int main(int argc, char **argv)
{
    static const uint64_t chunk_sizes[] = {0, 1, 7, 1000};
    uint64_t seed = 1;
    uint64_t runs = 20;
    unsigned sessions = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--runs") == 0)
            runs = strtoull(argv[i + 1], NULL, 0);
    }
    if (testscan_init() != 0)
        return 2;
    for (uint64_t run = 0; run < runs; run++) {
        for (int wire = 0; wire < WIRE_COUNT; wire++) {
            for (int p = CLIENT_PIPELINE_NONE; p <= CLIENT_PIPELINE_FULL; p++) {
                run_session((enum wire)wire, false, 0, (enum client_pipelining)p, seed + run);
                for (size_t c = 0; c < ARRAY_COUNT(chunk_sizes); c++)
                    run_session((enum wire)wire, true, chunk_sizes[c], (enum client_pipelining)p,
                                seed + run);
                sessions += 1 + (unsigned)ARRAY_COUNT(chunk_sizes);
            }
        }
    }
    printf("%u sessions of %d messages, seed %llu\n", sessions, MESSAGES, (unsigned long long)seed);
    return 0;
}
