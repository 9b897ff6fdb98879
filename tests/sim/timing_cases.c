/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timing_cases.c - decisions that take time, on the simulated ring: when each recipient hears, what
 * is stored by then, what the reply budget does, what a client who leaves makes of it, and who is
 * in doubt afterwards (DUP-1 to DUP-23).
 *
 * Usage: timing_cases [CASE]
 */
#include "simworld.h"
#include "../support/testscan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS(n) ((uint64_t)(n)*NS_PER_S)
#define MAIL(params) "MAIL FROM:<c@c.example>" params "\r\n"
#define SLOW "RCPT TO:<slow@mx.example>\r\n"
#define SLOWER "RCPT TO:<slower@mx.example>\r\n"
#define SLOWSTRICT "RCPT TO:<slowstrict@mx.example>\r\n"
#define ANY "RCPT TO:<any@mx.example>\r\n"
#define PLAIN "DATA\r\nSubject: timing\r\n\r\nhello\r\n.\r\n"
#define EVIL "DATA\r\nSubject: timing\r\n\r\n" SIMWORLD_EVIL_TEXT "\r\n.\r\n"

static struct simpeer *dial(struct simworld *w, enum simworld_listener l, const char *mail,
                            const char *rest)
{
    struct simpeer *p = simpeer_connect(w->ring, w->listen_fds[l]);
    simpeer_send(p, l == SIMWORLD_LMTP ? SLICE_LIT("LHLO c.example\r\n")
                                       : SLICE_LIT("EHLO c.example\r\n"));
    simpeer_send(p, slice_str(mail));
    simpeer_send(p, slice_str(rest));
    return p;
}

static void say(struct simpeer *p, const char *text)
{
    simpeer_send(p, slice_str(text));
}

/* What came after 354, each line's first three characters, "+" for a line that goes on. */
static void check_codes(struct simworld *w, const struct simpeer *p, const char *expected)
{
    char text[512] = "";
    size_t len = 0;
    struct slice left = simpeer_received(p);
    bool is_after = false;
    while (left.len > 0) {
        size_t end = slice_find(left, '\n');
        if (end == left.len || len + 8 > sizeof(text))
            break;
        if (is_after)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.3s%s", len > 0 ? " " : "",
                                    (const char *)left.ptr, left.ptr[3] == '-' ? "+" : "");
        is_after |= memcmp(left.ptr, "354", 3) == 0;
        left = slice_from(left, end + 1);
    }
    if (strcmp(text, expected) != 0)
        fprintf(stderr, "expected \"%s\", got \"%s\"\n", expected, text);
    CHECK_PEER(w, p, strcmp(text, expected) == 0);
}

/* What @p has been told when so much more time is over. */
static void check_after(struct simworld *w, clock_ns time, const struct simpeer *p,
                        const char *expected)
{
    simworld_run(w, time);
    check_codes(w, p, expected);
}

static struct simworld_setup setup_of(uint64_t t0, bool is_concurrent)
{
    struct simworld_setup setup = simworld_setup(1);
    if (t0 > 0)
        setup.listener.content_delay = (struct delay){.kind = DELAY_CONSTANT, .low = t0};
    setup.listener.works_side_by_side = is_concurrent;
    setup.listener.reply_ns_max = SECONDS(3000);
    return setup;
}

static void begin(struct simworld *w, uint64_t t0, bool is_concurrent)
{
    struct simworld_setup setup = setup_of(t0, is_concurrent);
    simworld_begin(w, &setup);
}

/* Runs until nobody is left, ends the world, and opens what is stored. */
static void end(struct simworld *w)
{
    for (int i = 0; i < 6000 && pool_used_count(&w->shard.txns) > 0; i++)
        simworld_run(w, SECONDS(1));
    simworld_run(w, SECONDS(3));
    simworld_drain(w, SECONDS(5));
    simworld_check_home(w);
    simworld_end(w);
}

/* The one message that is stored has @rcpt_count recipients; 0: there is none. */
static void check_stored(struct simworld *w, uint32_t rcpt_count)
{
    struct store_message m;
    struct store_damage damage;
    CHECK_WORLD(w, store_damage_count(w->store) == 0);
    CHECK_WORLD(w, store_count(w->store) == (rcpt_count > 0 ? 1 : 0));
    if (rcpt_count == 0)
        return;
    CHECK_WORLD(w, store_load(w->store, 0, &m, &damage) == 0);
    if (m.active_count + m.held_count != rcpt_count)
        fprintf(stderr, "%u recipients expected, %u found\n", rcpt_count,
                m.active_count + m.held_count);
    CHECK_WORLD(w, m.active_count + m.held_count == rcpt_count);
    CHECK_WORLD(w, store_content(w->store, 0, NULL, NULL, &damage) == 0);
    store_message_free(&m);
}

static void finish(struct simworld *w, uint32_t stored_rcpt_count)
{
    end(w);
    check_stored(w, stored_rcpt_count);
    simworld_remove(w);
}

static bool is_doubtful(struct simworld *w, uint32_t message_idx)
{
    struct store_message m;
    struct store_damage damage;
    CHECK_WORLD(w, store_load(w->store, message_idx, &m, &damage) == 0);
    bool result = m.is_doubtful;
    store_message_free(&m);
    return result;
}

/* --- verdicts over time ----------------------------------------------------------------------- */

/* DUP-6: the k-th reply at T0 + k*Tr, one after another, each recipient stored before it. */
static void lmtp_streams(struct simworld *w)
{
    begin(w, SECONDS(60), false);
    struct simpeer *p = dial(w, SIMWORLD_LMTP, MAIL(""), SLOW SLOWSTRICT SLOW SLOW EVIL);
    check_after(w, SECONDS(89), p, "");
    check_after(w, SECONDS(2), p, "250");
    check_after(w, SECONDS(30), p, "250 550");
    check_after(w, SECONDS(30), p, "250 550 250");
    simworld_power_cut(w); /* P2: two were answered 2xx */
    check_after(w, SECONDS(30), p, "250 550 250 250");
    say(p, "QUIT\r\n");
    finish(w, 2);
}

/* All that were answered 2xx are there in the end, and the refused one is not. */
static void lmtp_stores(struct simworld *w)
{
    begin(w, 0, false);
    struct simpeer *p =
        dial(w, SIMWORLD_LMTP, MAIL(""),
             ANY SLOWSTRICT SLOW "RCPT TO:<quarantine@mx.example>\r\n"
                                 "RCPT TO:<discard@mx.example>\r\n" EVIL "QUIT\r\n");
    check_after(w, SECONDS(1), p, "250"); /* no work on him */
    check_after(w, SECONDS(60), p, "250 550 250 250 250 221");
    finish(w, 3);
}

/* Verdicts come out of order; slots keep it. */
static void out_of_order(struct simworld *w)
{
    begin(w, 0, true);
    struct simpeer *p = dial(w, SIMWORLD_LMTP, MAIL(""), SLOW SLOWER SLOWSTRICT SLOW EVIL);
    struct simpeer *prdr = dial(w, SIMWORLD_SMTP, MAIL(" PRDR"), SLOWER SLOW EVIL);
    check_after(w, SECONDS(31), p, "250");
    check_codes(w, prdr, "353");
    check_after(w, SECONDS(58), p, "250");
    check_after(w, SECONDS(2), p, "250 250 550 250");
    check_codes(w, prdr, "353 250 250 250");
    say(p, "QUIT\r\n");
    say(prdr, "QUIT\r\n");
    end(w);
    CHECK_WORLD(w, store_count(w->store) == 2);
    simworld_remove(w);
}

/* PRDR-17, PRDR-29, DUP-19: 353 at once, lines as decided, nothing stored before the last reply. */
static void prdr_promises(struct simworld *w)
{
    begin(w, SECONDS(60), false);
    struct simpeer *p = dial(w, SIMWORLD_SMTP, MAIL(" PRDR"), SLOW SLOWSTRICT SLOW EVIL);
    check_after(w, SECONDS(1), p, "353");
    check_after(w, SECONDS(90), p, "353 250");
    check_after(w, SECONDS(30), p, "353 250 550");
    simworld_power_cut(w);
    check_after(w, SECONDS(30), p, "353 250 550 250 250");
    say(p, "QUIT\r\n");
    finish(w, 0);
}

/* PRDR-25: lines that were promises, and a store that fails: the last reply says so. */
static void prdr_breaks_promise(struct simworld *w)
{
    struct simworld_setup setup = setup_of(SECONDS(2), false);
    setup.listener.reply_ns_max = SECONDS(90);
    simworld_begin(w, &setup);
    static const char rcpts[] = SLOW "RCPT TO:<discard@mx.example>\r\n" SLOW PLAIN;
    struct simpeer *p = dial(w, SIMWORLD_SMTP, MAIL(" PRDR"), rcpts);
    simworld_run(w, SECONDS(50));
    sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(100), false);
    check_after(w, SECONDS(30), p, "353 250 250 250");
    simworld_run(w, SECONDS(12)); /* though somebody who is discarded could still be told 250 */
    check_codes(w, p, "353 250 250 250 451");
    say(p, "QUIT\r\n");
    simworld_run(w, SECONDS(100));
    p = dial(w, SIMWORLD_SMTP, MAIL(" PRDR"), rcpts);
    check_after(w, SECONDS(50), p, "353 250 250");
    sim_set_faults(w->ring, 0, 100);
    simworld_run(w, SECONDS(13));
    sim_set_faults(w->ring, 0, 0);
    simworld_run(w, SECONDS(2));
    CHECK_PEER(w, p, !simpeer_is_closed(p) || simpeer_is_ended(p));
    struct slice all = simpeer_received(p);
    CHECK_PEER(w, p, memmem(all.ptr, all.len, "250 2.0.0 accepted\r\n", 20) != NULL);
    if (!simpeer_is_ended(p)) /* else the store stopped: no last reply at all */
        check_codes(w, p, "353 250 250 250 451");
    simpeer_reset(p);
    finish(w, 0);
}

/* DEF-18, DEF-19: 353 after the work on the content; a reply at least every minute. */
static void deferrals_keep_pace(struct simworld *w)
{
    begin(w, SECONDS(100), false);
    /* The class of slowstrict@ looks at the content, so he is told 352; slower@ is not. */
    struct simpeer *p =
        dial(w, SIMWORLD_SMTP, MAIL(" DEFERRALS"), SLOWSTRICT SLOWSTRICT SLOWSTRICT PLAIN);
    check_after(w, SECONDS(99), p, "");
    check_after(w, SECONDS(2), p, "353");
    check_after(w, SECONDS(30), p, "353 250");
    check_after(w, SECONDS(61), p, "353 250 250 250 250");
    struct simpeer *late = dial(w, SIMWORLD_SMTP, MAIL(" DEFERRALS"), SLOW SLOWER SLOWSTRICT PLAIN);
    check_after(w, SECONDS(101), late, "353");
    simworld_run(w, SECONDS(51)); /* his turn would be 150 s after 353 */
    check_codes(w, late, "353 451");
    simworld_run(w, SECONDS(51)); /* and the last reply is due, which speaks for those without */
    check_codes(w, late, "353 451 451");
    CHECK_WORLD(w, simworld_metric(w, METRIC_BUDGETS_ENDED) == 1);
    CHECK_WORLD(w, simworld_logged(w, "event=reply_budget_ended ") == 1);
    CHECK_WORLD(w, simworld_logged(w, " budget_ended=true ") == 1);
    say(p, "QUIT\r\n");
    say(late, "QUIT\r\n");
    finish(w, 3);
}

/* DEF-18, DEF-20, EXD-16: where replies are held back until all are ready, no time runs between
 * them that nobody sees, and nobody is deferred for its sake. */
static void batch_holds_openings(struct simworld *w)
{
    struct simworld_setup setup = setup_of(SECONDS(100), false);
    setup.listener.pacing = PACING_BATCH;
    simworld_begin(w, &setup);
    struct simpeer *p =
        dial(w, SIMWORLD_SMTP, MAIL(" DEFERRALS"), SLOWSTRICT SLOW SLOWER SLOWSTRICT PLAIN);
    struct simpeer *exdata =
        dial(w, SIMWORLD_SMTP, MAIL(" EXDATA"), SLOWSTRICT SLOWER SLOWER SLOWER SLOWER EVIL);
    check_after(w, SECONDS(279), p, "");
    check_after(w, SECONDS(2), p, "250");
    say(p, "QUIT\r\n");
    check_after(w, SECONDS(208), exdata, "");
    check_after(w, SECONDS(2), exdata, "558+ 558+ 558+ 558+ 558");
    struct slice all = simpeer_received(exdata);
    CHECK_PEER(w, exdata, memmem(all.ptr, all.len, "558-451", 7) == NULL);
    say(exdata, "QUIT\r\n");
    end(w);
    CHECK_WORLD(w, store_count(w->store) == 2);
    simworld_remove(w);
}

/* EXD-10, HOL-9, INL-2: when each opens, and that its recipients are stored before their lines. */
static void other_blocks(struct simworld *w)
{
    begin(w, SECONDS(60), false);
    struct simpeer *exdata = dial(w, SIMWORLD_SMTP, MAIL(" EXDATA"), SLOW SLOWSTRICT SLOW EVIL);
    struct simpeer *wrapped = dial(w, SIMWORLD_SMTP, MAIL(" XRCPT250"), SLOW SLOWSTRICT SLOW EVIL);
    struct simpeer *alike = dial(w, SIMWORLD_SMTP, MAIL(" EXDATA"), SLOW SLOW PLAIN);
    check_after(w, SECONDS(1), exdata, "");
    check_codes(w, wrapped, "250+");
    simworld_run(w, SECONDS(90)); /* one line a minute says that it works (HOL-10) */
    check_codes(w, wrapped, "250+ 250+ 250+");
    check_codes(w, exdata, "");
    check_after(w, SECONDS(30), exdata, "558+ 558+");
    check_codes(w, wrapped, "250+ 250+ 250+ 250+");
    check_codes(w, alike, "250");
    simworld_power_cut(w);
    check_after(w, SECONDS(30), exdata, "558+ 558+ 558");
    check_codes(w, wrapped, "250+ 250+ 250+ 250+ 250+ 250");
    say(exdata, "QUIT\r\n");
    say(wrapped, "QUIT\r\n");
    say(alike, "QUIT\r\n");
    end(w);
    CHECK_WORLD(w, store_count(w->store) == 3);
    uint32_t rcpt_count = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct store_message m;
        struct store_damage damage;
        CHECK_WORLD(w, store_load(w->store, i, &m, &damage) == 0);
        rcpt_count += m.active_count;
        store_message_free(&m);
    }
    CHECK_WORLD(w, rcpt_count == 1 + 1 + 2); /* when the power was cut */
    simworld_remove(w);
}

/* --- the reply budget ------------------------------------------------------------------------- */

/* OTH-6, OTH-7: ERCP takes all or none, also beside somebody for whom nothing has to be stored. */
static void adat_commit_ends(struct simworld *w)
{
    struct simworld_setup setup = setup_of(0, false);
    setup.listener.reply_ns_max = SECONDS(20);
    simworld_begin(w, &setup);
    sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(30), false);
    struct simpeer *p = dial(w, SIMWORLD_SMTP, MAIL(""),
                             "ADAT\r\nSubject: timing\r\n\r\nhello\r\n.\r\n"
                             "DRCP TO:<discard@mx.example>\r\nDRCP TO:<any@mx.example>\r\n"
                             "ERCP\r\nQUIT\r\n");
    check_after(w, SECONDS(19), p, "355 250 250");
    check_after(w, SECONDS(2), p, "355 250 250 451 221");
    finish(w, 0);
}

/* DUP-15: who is not decided when it ends is told 451 4.4.7 in place; nothing of him is stored. */
static void budget_ends(struct simworld *w)
{
    struct simworld_setup setup = setup_of(SECONDS(60), false);
    setup.listener.reply_ns_max = SECONDS(100);
    simworld_begin(w, &setup);
    struct simpeer *lmtp = dial(w, SIMWORLD_LMTP, MAIL(""), SLOW SLOWSTRICT SLOW EVIL);
    struct simpeer *prdr = dial(w, SIMWORLD_SMTP, MAIL(" PRDR"), SLOW SLOWSTRICT SLOW PLAIN);
    struct simpeer *smtp = dial(w, SIMWORLD_SMTP, MAIL(""), SLOW SLOW PLAIN);
    struct simpeer *exdata = dial(w, SIMWORLD_SMTP, MAIL(" EXDATA"), SLOW SLOW PLAIN);
    struct simpeer *wrapped = dial(w, SIMWORLD_SMTP, MAIL(" XRCPT250"), SLOW SLOW PLAIN);
    check_after(w, SECONDS(99), lmtp, "250");
    check_codes(w, prdr, "353 250");
    check_codes(w, smtp, "");
    check_codes(w, exdata, "");
    check_after(w, SECONDS(2), lmtp, "250 451 451");
    check_codes(w, prdr, "353 250 451 451 250");
    check_codes(w, smtp, "451");
    check_codes(w, exdata, "558+ 558");
    check_codes(w, wrapped, "250+ 250+ 250+ 250+ 250");
    CHECK_WORLD(w, simworld_metric(w, METRIC_BUDGETS_ENDED) == 5);
    CHECK_WORLD(w, simworld_logged(w, "event=reply_budget_ended") == 5);
    CHECK_WORLD(w, simworld_logged(w, "waiting_for=decision") == 5);
    say(lmtp, "QUIT\r\n");
    say(prdr, "QUIT\r\n");
    say(smtp, "QUIT\r\n");
    say(exdata, "QUIT\r\n");
    say(wrapped, "QUIT\r\n");
    end(w);
    CHECK_WORLD(w, store_count(w->store) == 4); /* all but plain SMTP's, one recipient each */
    for (uint32_t i = 0; i < 4; i++) {
        struct store_message m;
        struct store_damage damage;
        CHECK_WORLD(w, store_load(w->store, i, &m, &damage) == 0);
        CHECK_WORLD(w, m.active_count == 1);
        store_message_free(&m);
    }
    simworld_remove(w);
}

/* The budget is shorter for clients that are known to be impatient. */
static void impatient_clients(struct simworld *w)
{
    static struct patience_network loopback;
    const struct slice names[] = {SLICE_LIT("*.hasty.example"), SLICE_LIT("mox")};
    const struct patience_client clients[] = {
        {.helos = names, .helo_count = 2, .reply_ns = SECONDS(25)},
        {.networks = &loopback, .network_count = 1, .reply_ns = SECONDS(45)},
    };
    struct simworld_setup setup = setup_of(SECONDS(60), false);
    setup.listener.reply_ns_max = SECONDS(100);
    setup.clients = clients;
    setup.client_count = 2;
    CHECK_WORLD(w, patience_network_parse(SLICE_LIT("127.0.0.0/8"), &loopback));
    simworld_begin(w, &setup);
    struct simpeer *hasty = simpeer_connect(w->ring, w->listen_fds[SIMWORLD_SMTP]);
    say(hasty, "EHLO a.b.HASTY.example\r\nMAIL FROM:<c@c.example>\r\n" SLOW PLAIN);
    struct simpeer *other = dial(w, SIMWORLD_SMTP, MAIL(" PRDR"), SLOW ANY PLAIN);
    check_after(w, SECONDS(24), hasty, "");
    check_after(w, SECONDS(2), hasty, "451");
    check_codes(w, other, "353");
    check_after(w, SECONDS(18), other, "353");
    check_after(w, SECONDS(2), other, "353 451 451 451");
    say(hasty, "QUIT\r\n");
    say(other, "QUIT\r\n");
    finish(w, 0);
}

/* A commit that is under way when the budget ends: 451 in place, and it does not count (DUP-15). */
static void budget_ends_in_store(struct simworld *w)
{
    struct simworld_setup setup = setup_of(0, false);
    setup.listener.reply_ns_max = SECONDS(50);
    simworld_begin(w, &setup);
    struct simpeer *lmtp = dial(w, SIMWORLD_LMTP, MAIL(""), ANY SLOW SLOW PLAIN);
    check_after(w, SECONDS(20), lmtp, "250");
    sim_set_disk(w->ring, SECONDS(3600));
    simworld_run(w, SECONDS(29)); /* the second is being stored, the third at work */
    check_codes(w, lmtp, "250");
    check_after(w, SECONDS(2), lmtp, "250 451 451");
    sim_set_disk(w->ring, NS_PER_MS);
    say(lmtp, "QUIT\r\n");
    simworld_run(w, SECONDS(7200)); /* it is stored late, and removed */
    CHECK_WORLD(w, simworld_metric(w, METRIC_COMMITS_LATE) == 1);
    CHECK_WORLD(w, simworld_logged(w, "event=commit_late") == 1);
    CHECK_WORLD(w, simworld_logged(w, "outcome=removed") == 1);
    finish(w, 1);
}

/* --- vanished clients ------------------------------------------------------------------------- */

enum leaving { LEAVES_BY_RESET, LEAVES_BY_EOF, LEAVES_BY_CLOSE, LEAVES_COUNT };

static void leave(struct simpeer *p, enum leaving how)
{
    if (how == LEAVES_BY_RESET)
        simpeer_reset(p);
    else if (how == LEAVES_BY_EOF)
        simpeer_shutdown(p);
    else
        simpeer_close(p);
}

/* DUP-17, PRDR-31: noticed while the server works; nothing is stored, its memory is free at once.
 */
static void vanished(struct simworld *w)
{
    for (int how = 0; how < LEAVES_COUNT; how++) {
        begin(w, SECONDS(60), false);
        struct simpeer *peers[] = {
            dial(w, SIMWORLD_SMTP, MAIL(""), SLOW PLAIN),
            dial(w, SIMWORLD_SMTP, MAIL(" PRDR"), SLOW SLOW PLAIN),
            dial(w, SIMWORLD_LMTP, MAIL(""), SLOW SLOW PLAIN),
            dial(w, SIMWORLD_SMTP, MAIL(""), SLOW PLAIN "NOOP\r\nQU"),
        };
        simworld_run(w, SECONDS(30));
        CHECK_WORLD(w, pool_used_count(&w->shard.txns) == ARRAY_COUNT(peers));
        for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
            leave(peers[i], (enum leaving)how);
        simworld_run(w, SECONDS(1));
        CHECK_WORLD(w, pool_used_count(&w->shard.txns) == 0);
        CHECK_WORLD(w, simworld_metric(w, METRIC_TXNS_ABORTED) == ARRAY_COUNT(peers));
        CHECK_WORLD(w, simworld_logged(w, "event=aborted") == ARRAY_COUNT(peers));
        finish(w, 0);
    }
}

/* The same when so much has been sent ahead that nothing more is received. */
static void vanished_blocked(struct simworld *w)
{
    begin(w, SECONDS(60), false);
    struct simpeer *pieces = dial(w, SIMWORLD_SMTP, MAIL(""), SLOW PLAIN);
    struct simpeer *quits = dial(w, SIMWORLD_SMTP, MAIL(""), SLOW PLAIN);
    struct simpeer *flood = dial(w, SIMWORLD_SMTP, MAIL(""), SLOW PLAIN);
    simworld_run(w, SECONDS(1));
    for (int i = 0; i < 20; i++) {
        say(pieces, "NOOP\r\n");
        say(quits, "NOOP\r\n");
        simworld_run(w, SECONDS(1));
    }
    say(quits, "QUIT\r\n");
    static uint8_t noops[3000000];
    for (size_t i = 0; i < sizeof(noops); i++)
        noops[i] = (uint8_t) "NOOP\r\n"[i % 6];
    simpeer_send(flood, slice_of(noops, sizeof(noops)));
    simworld_run(w, SECONDS(10));
    CHECK_PEER(w, flood, simpeer_unread(flood) > 0);
    simpeer_shutdown(pieces);
    simpeer_shutdown(quits);
    simpeer_reset(flood);
    simworld_run(w, SECONDS(1));
    CHECK_WORLD(w, simworld_metric(w, METRIC_TXNS_ABORTED) == 2);
    CHECK_WORLD(w, pool_used_count(&w->shard.txns) == 1);
    check_after(w, SECONDS(70), quits,
                "250 250 250 250 250 250 250 250 250 250 250 250 250 250 250 250 250 250 250 250 "
                "250 221");
    finish(w, 1);
}

/* PRDR-33: the end of his side with QUIT received is no leaving, however QUIT arrived. */
static void half_closed(struct simworld *w)
{
    begin(w, SECONDS(60), false);
    struct simpeer *prdr = dial(w, SIMWORLD_SMTP, MAIL(" PRDR"), SLOW SLOW PLAIN "QUIT\r\n");
    struct simpeer *split = dial(w, SIMWORLD_SMTP, MAIL(""), SLOW PLAIN "QU");
    simworld_run(w, SECONDS(1));
    say(split, "I");
    simworld_run(w, SECONDS(1));
    say(split, "T\r\n");
    simpeer_shutdown(prdr);
    simpeer_shutdown(split);
    check_after(w, SECONDS(200), prdr, "353 250 250 250 221");
    check_codes(w, split, "250 221");
    end(w);
    CHECK_WORLD(w, store_count(w->store) == 2);
    simworld_remove(w);
}

/* What waits in front of the disk is dropped when its client leaves; what is being written is not.
 */
static void vanished_in_store(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    simworld_begin(w, &setup);
    simworld_run(w, SECONDS(1));
    sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(60), false);
    struct simpeer *first = dial(w, SIMWORLD_SMTP, MAIL(""), ANY PLAIN);
    simworld_run(w, SECONDS(5));
    struct simpeer *second = dial(w, SIMWORLD_SMTP, MAIL(""), ANY PLAIN);
    struct simpeer *third = dial(w, SIMWORLD_SMTP, MAIL(""), ANY PLAIN);
    simworld_run(w, SECONDS(5));
    simpeer_reset(first);
    simpeer_reset(second);
    simpeer_shutdown(third);
    simworld_run(w, SECONDS(1));
    CHECK_WORLD(w, simworld_logged(w, "event=aborted") == 2);
    simworld_run(w, SECONDS(60));
    CHECK_WORLD(w, simworld_logged(w, "client_gone=true") == 1);
    end(w);
    check_stored(w, 1);
    CHECK_WORLD(w, is_doubtful(w, 0));
    simworld_remove(w);
}

/*
 * DUP-6, DUP-7, DUP-10: T0 60 s, Tr 30 s, 10 recipients, and a client who waits for 300 s in all.
 * S-stop stores what it has answered; S-run stores all: 2 copies over LMTP, 10 over PRDR.
 */
static void classic_example(struct simworld *w)
{
    for (int run = 0; run < 4; run++) {
        bool is_lmtp = run % 2 == 0;
        struct simworld_setup setup = setup_of(SECONDS(60), false);
        setup.listener.finishes_vanished = run >= 2;
        simworld_begin(w, &setup);
        clock_ns start = ring_now(w->ring);
        struct simpeer *p =
            dial(w, is_lmtp ? SIMWORLD_LMTP : SIMWORLD_SMTP, is_lmtp ? MAIL("") : MAIL(" PRDR"),
                 SLOW SLOW SLOW SLOW SLOW SLOW SLOW SLOW SLOW SLOW PLAIN);
        simworld_run(w, start + SECONDS(301) - ring_now(w->ring));
        check_codes(w, p,
                    is_lmtp ? "250 250 250 250 250 250 250 250"
                            : "353 250 250 250 250 250 250 250 250");
        simpeer_reset(p);
        end(w);
        if (run < 2)
            check_stored(w, is_lmtp ? 8 : 0);
        else
            check_stored(w, 10);
        simworld_remove(w);
    }
}

/* --- in doubt --------------------------------------------------------------------------------- */

/* DUP-23: a later command proves that the reply was read; QUIT or an end that was sent ahead, no.
 */
static void doubt(struct simworld *w)
{
    static const struct {
        const char *ahead, *later;
        bool is_doubtful;
    } rows[] = {
        {"QUIT\r\n", NULL, true},         {"", NULL, true},         {"", "QUIT\r\n", false},
        {"", "NOOP\r\n", false},          {"NOOP\r\n", NULL, true}, {"NOOP\r\n", "N", false},
        {"RSET\r\nQUIT\r\n", NULL, true},
    };
    for (int l = 0; l < SIMWORLD_LISTENER_COUNT; l++)
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            struct simworld_setup setup = simworld_setup(1 + i);
            char text[256];
            snprintf(text, sizeof(text), ANY PLAIN "%s", rows[i].ahead);
            simworld_begin(w, &setup);
            struct simpeer *p = dial(w, (enum simworld_listener)l, MAIL(""), text);
            simworld_run(w, SECONDS(1));
            if (rows[i].later != NULL)
                say(p, rows[i].later);
            simworld_run(w, SECONDS(1));
            simpeer_shutdown(p);
            simworld_run(w, SECONDS(3));
            CHECK_WORLD(w, simworld_metric(w, METRIC_REPLIES_DOUBTFUL) == rows[i].is_doubtful);
            CHECK_WORLD(w, simworld_metric(w, METRIC_REPLIES_READ) == !rows[i].is_doubtful);
            CHECK_WORLD(w, simworld_logged(w, "event=reply_in_doubt") == rows[i].is_doubtful);
            end(w);
            check_stored(w, 1);
            CHECK_WORLD(w, is_doubtful(w, 0) == rows[i].is_doubtful);
            simworld_remove(w);
        }
}

/* Several messages sent ahead by BDAT: all of them are known read by one later command. */
static void doubt_of_several(struct simworld *w)
{
    static const char one[] = MAIL("") ANY "BDAT 14 LAST\r\nSubject: x\r\n\r\n";
    for (int is_read = 0; is_read < 2; is_read++) {
        struct simworld_setup setup = simworld_setup(1);
        simworld_begin(w, &setup);
        struct simpeer *p = dial(w, SIMWORLD_SMTP, one, one);
        say(p, one);
        simworld_run(w, SECONDS(1));
        if (is_read)
            say(p, "NOOP\r\n");
        simworld_run(w, SECONDS(1));
        simpeer_reset(p);
        simworld_run(w, SECONDS(3));
        CHECK_WORLD(w, simworld_metric(w, METRIC_REPLIES_DOUBTFUL) +
                               simworld_metric(w, METRIC_REPLIES_READ) ==
                           3);
        CHECK_WORLD(w, simworld_metric(w, METRIC_REPLIES_DOUBTFUL) == (is_read ? 0 : 3));
        end(w);
        CHECK_WORLD(w, store_count(w->store) == 3);
        simworld_remove(w);
    }
}

/* What arrives before the reply has left proves nothing, whenever it is looked at. */
static void doubt_entries(struct simworld *w)
{
    struct simworld_setup setup = simworld_setup(1);
    static struct conn c;
    simworld_begin(w, &setup);
    c = (struct conn){.doubts = NULL};
    doubt_begin(&w->shard, &c, 1);
    doubt_on_input(&w->shard, &c);
    CHECK_WORLD(w, simworld_metric(w, METRIC_REPLIES_READ) == 0 && c.doubts != NULL);
    doubt_on_sent(&c);
    doubt_begin(&w->shard, &c, 2);
    doubt_on_input(&w->shard, &c);
    CHECK_WORLD(w, simworld_metric(w, METRIC_REPLIES_READ) == 1);
    CHECK_WORLD(w, c.doubts != NULL && c.doubts->queue_id == 2 && c.doubts->next == NULL);
    doubt_on_sent(&c);
    doubt_on_input(&w->shard, &c);
    CHECK_WORLD(w, simworld_metric(w, METRIC_REPLIES_READ) == 2 && c.doubts == NULL);
    end(w);
    simworld_remove(w);
}

/* --- together with everything else ------------------------------------------------------------ */

/* A drain lets the work go on until its deadline; then what was answered is stored, and nothing
 * else, and the shard ends at once, whether or not it finishes for clients who are gone. */
static void drained_at_work(struct simworld *w)
{
    for (int run = 0; run < 4; run++) {
        bool is_forced = run % 2 == 1;
        struct simworld_setup setup = setup_of(SECONDS(60), false);
        setup.listener.finishes_vanished = run >= 2;
        simworld_begin(w, &setup);
        struct simpeer *lmtp = dial(w, SIMWORLD_LMTP, MAIL(""), SLOW SLOW SLOW PLAIN);
        struct simpeer *prdr = dial(w, SIMWORLD_SMTP, MAIL(" PRDR"), SLOW SLOW SLOW PLAIN);
        struct simpeer *gone = dial(w, SIMWORLD_LMTP, MAIL(""), SLOW SLOW SLOW PLAIN);
        simworld_run(w, SECONDS(30));
        simpeer_reset(gone);
        simworld_run(w, SECONDS(1));
        clock_ns deadline = ring_now(w->ring) + SECONDS(is_forced ? 70 : 200);
        shard_drain(&w->shard, deadline);
        while (!w->shard.is_stopped) {
            simworld_turn(w);
            CHECK_WORLD(w, ring_now(w->ring) < deadline + SECONDS(4));
        }
        CHECK_WORLD(w, !w->shard.is_hung);
        check_codes(w, lmtp, is_forced ? "250" : "250 250 250 421");
        check_codes(w, prdr, is_forced ? "353 250" : "353 250 250 250 250 421");
        simworld_check_home(w);
        simworld_end(w);
        CHECK_WORLD(w, store_damage_count(w->store) == 0);
        CHECK_WORLD(w, store_count(w->store) ==
                           (is_forced ? 1U : 2U) + (setup.listener.finishes_vanished ? 1 : 0));
        simworld_remove(w);
    }
}

/* Other delays, and nobody who is still known: work that has begun goes on as it began. */
static void reloaded_at_work(struct simworld *w)
{
    begin(w, 0, false);
    struct simpeer *p = dial(w, SIMWORLD_LMTP, MAIL(""), SLOW SLOW SLOW EVIL);
    check_after(w, SECONDS(31), p, "250");
    w->slow_ns = SECONDS(5);
    simworld_replace(w, false);
    struct simpeer *fresh = dial(w, SIMWORLD_LMTP, MAIL(""), SLOW SLOW PLAIN);
    check_after(w, SECONDS(11), fresh, "250 250");
    check_codes(w, p, "250");
    simworld_replace(w, true);
    check_after(w, SECONDS(19), p, "250 250");
    check_after(w, SECONDS(30), p, "250 250 250");
    say(p, "QUIT\r\n");
    say(fresh, "QUIT\r\n");
    end(w);
    CHECK_WORLD(w, store_count(w->store) == 2);
    simworld_remove(w);
}

#define CROWD 300
#define CROWD_BYTES 60000

/* Far more messages are worked on than receive buffers could hold; meanwhile new ones are turned
 * away or served as ever, and input that is sent ahead waits. */
static void crowd_at_work(struct simworld *w)
{
    static struct simpeer *peers[CROWD];
    static uint8_t body[CROWD_BYTES];
    struct simworld_setup setup = setup_of(SECONDS(60), false);
    setup.limits.conn_count_max = CROWD + 8;
    setup.limits.txn_count_max = CROWD;
    setup.limits.chunk_count_max = 4 * CROWD;
    simworld_begin(w, &setup);
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t) "0123456\r\n"[i % 9];
    body[sizeof(body) - 2] = '\r';
    body[sizeof(body) - 1] = '\n';
    for (int i = 0; i < CROWD; i++) {
        static const char *const params[] = {" PRDR", "", " EXDATA", " DEFERRALS", " XRCPT250"};
        char mail[64];
        snprintf(mail, sizeof(mail), "MAIL FROM:<c@c.example>%s\r\n",
                 i % 2 == 0 ? "" : params[i % 5]);
        peers[i] = dial(w, i % 2 == 0 ? SIMWORLD_LMTP : SIMWORLD_SMTP, mail, SLOW SLOW);
        simpeer_send(peers[i], SLICE_LIT("DATA\r\nSubject: crowd\r\n\r\n"));
        simpeer_send(peers[i], slice_of(body, sizeof(body)));
        say(peers[i], ".\r\n");
    }
    for (int s = 0;
         s < 50 && simworld_metric(w, METRIC_BYTES_CONTENT) < (uint64_t)CROWD * CROWD_BYTES; s++)
        simworld_run(w, SECONDS(1));
    simworld_run(w, SECONDS(1));
    CHECK_WORLD(w, pool_used_count(&w->shard.txns) == CROWD);
    CHECK_WORLD(w, ring_buffers_free(w->ring) == ring_buffers_count(w->ring));
    CHECK_WORLD(w, pool_used_count(&w->shard.chunks.pool) <= CROWD);
    struct simpeer *late = dial(w, SIMWORLD_SMTP, MAIL(""), "RSET\r\n");
    for (int i = 0; i < CROWD; i++)
        say(peers[i], MAIL("") ANY "RSET\r\nQUIT\r\n");
    simworld_run(w, SECONDS(2));
    struct slice said = simpeer_received(late);
    CHECK_PEER(w, late,
               memmem(said.ptr, said.len, "\r\n452 4.3.0", 11) != NULL ||
                   memmem(said.ptr, said.len, "\r\n451 4.3", 9) != NULL);
    simworld_run(w, SECONDS(30)); /* they read their replies, and not all at once */
    CHECK_WORLD(w, pool_used_count(&w->shard.txns) == CROWD);
    simworld_run(w, SECONDS(200));
    for (int i = 0; i < CROWD; i++) {
        said = simpeer_received(peers[i]);
        CHECK_PEER(w, peers[i], said.len > 4 && simpeer_is_ended(peers[i]));
        CHECK_PEER(w, peers[i], memmem(said.ptr, said.len, "\r\n221 ", 6) != NULL);
    }
    say(late, "QUIT\r\n");
    end(w);
    CHECK_WORLD(w, store_damage_count(w->store) == 0 && store_count(w->store) == CROWD);
    simworld_remove(w);
}

/* Input that comes piece by piece for those who are worked on gives up its buffers every time. */
static void pieces_sent_ahead(struct simworld *w)
{
    static struct simpeer *peers[40];
    struct simworld_setup setup = setup_of(SECONDS(60), false);
    simworld_begin(w, &setup);
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
        peers[i] = dial(w, SIMWORLD_SMTP, MAIL(""), SLOW PLAIN);
    simworld_run(w, SECONDS(1));
    for (int piece = 0; piece < 6; piece++) {
        for (size_t i = 0; i < ARRAY_COUNT(peers); i++)
            say(peers[i], "NOOP\r\n");
        simworld_run(w, SECONDS(1));
        CHECK_WORLD(w, ring_buffers_free(w->ring) > 0);
    }
    struct simpeer *other = dial(w, SIMWORLD_SMTP, MAIL(""), ANY "QUIT\r\n");
    simworld_run(w, SECONDS(1));
    CHECK_PEER(w, other, simpeer_is_ended(other));
    simworld_run(w, SECONDS(100));
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        check_codes(w, peers[i], "250 250 250 250 250 250 250");
        say(peers[i], "QUIT\r\n");
    }
    end(w);
    CHECK_WORLD(w, store_count(w->store) == ARRAY_COUNT(peers));
    simworld_remove(w);
}

/* BDAT with the next message behind it, and the one behind that. */
static void chunks_sent_ahead(struct simworld *w)
{
    struct simworld_setup setup = setup_of(0, false);
    static const char one[] = MAIL("") SLOW SLOW "BDAT 6\r\na: b\r\nBDAT 4 LAST\r\n\r\n\r\n";
    simworld_begin(w, &setup);
    struct simpeer *p = dial(w, SIMWORLD_LMTP, one, one);
    say(p, MAIL("") ANY "DATA\r\n");
    simworld_run(w, SECONDS(29));
    struct slice said = simpeer_received(p);
    size_t before = said.len;
    simworld_run(w, SECONDS(2));
    CHECK_PEER(w, p, simpeer_received(p).len > before); /* the first is stored and told */
    simworld_run(w, SECONDS(30 + 60));
    said = simpeer_received(p);
    CHECK_PEER(w, p, memmem(said.ptr, said.len, "\r\n354 ", 6) != NULL);
    say(p, "hello\r\n.\r\nQUIT\r\n");
    check_after(w, SECONDS(2), p, "250 221");
    end(w);
    CHECK_WORLD(w, store_count(w->store) == 3);
    simworld_remove(w);
}

/* Whatever ends the wait for a disk that hangs, no final reply is wrong. */
static void hung_commit_ends(struct simworld *w)
{
    enum { BY_BUDGET, BY_RESET, BY_EOF, BY_DRAIN, ENDS };
    static const char *const mails[] = {MAIL(" PRDR"), MAIL(""), MAIL(" EXDATA"),
                                        MAIL(" DEFERRALS"), MAIL(" XRCPT250")};
    for (int how = 0; how < ENDS; how++)
        for (size_t i = 0; i <= ARRAY_COUNT(mails); i++) {
            bool is_lmtp = i == ARRAY_COUNT(mails);
            struct simworld_setup setup = setup_of(SECONDS(10), true);
            setup.listener.reply_ns_max = SECONDS(70);
            simworld_begin(w, &setup);
            struct simpeer *p = dial(w, is_lmtp ? SIMWORLD_LMTP : SIMWORLD_SMTP,
                                     is_lmtp ? mails[1] : mails[i], SLOW SLOW PLAIN);
            simworld_run(w, SECONDS(35));
            clock_ns back = ring_now(w->ring) + SECONDS(70);
            sim_hang_disk(w->ring, back, false);
            simworld_run(w, SECONDS(10)); /* now the commit hangs */
            if (how == BY_RESET)
                simpeer_reset(p);
            else if (how == BY_EOF)
                simpeer_shutdown(p);
            else if (how == BY_DRAIN)
                shard_drain(&w->shard, ring_now(w->ring) + SECONDS(1));
            simworld_run(w, SECONDS(3));
            if (how == BY_RESET || how == BY_DRAIN)
                CHECK_PEER(w, p, simpeer_is_closed(p) || simpeer_is_ended(p));
            simworld_run(w, back + SECONDS(5) - ring_now(w->ring));
            struct slice said = simpeer_received(p);
            bool is_told = memmem(said.ptr, said.len, "250 2.0.0 stored as", 19) != NULL;
            bool is_refused = memmem(said.ptr, said.len, "451 ", 4) != NULL;
            CHECK_PEER(w, p, !is_told || (how == BY_EOF && !is_refused));
            simpeer_reset(p);
            if (how == BY_DRAIN) {
                while (!w->shard.is_stopped)
                    simworld_turn(w);
                simworld_run(w, SECONDS(100));
                simworld_check_home(w);
                simworld_end(w);
            } else {
                end(w);
            }
            if (is_refused)
                check_stored(w, 0);
            else if (is_told)
                check_stored(w, 2);
            simworld_remove(w);
        }
}

/* P1: a take that fails tells nobody, and what was taken before stays. */
static void take_fails(struct simworld *w)
{
    uint32_t doubtful_count = 0;
    for (uint64_t seed = 1; seed < 9; seed++) {
        struct simworld_setup setup = setup_of(0, false);
        setup.sim.seed = seed;
        simworld_begin(w, &setup);
        struct simpeer *p = dial(w, SIMWORLD_LMTP, MAIL(""), ANY SLOW SLOW PLAIN);
        check_after(w, SECONDS(20), p, "250");
        sim_set_faults(w->ring, seed % 2 == 0 ? 100 : 0, seed % 2 == 0 ? 0 : 100);
        const struct spool_counters *counters = spool_counters(w->shard.spool);
        while (counters->write_errors + counters->sync_errors == 0)
            simworld_turn(w);
        sim_set_faults(w->ring, 0, 0);
        simworld_run(w, SECONDS(3));
        bool is_doubtful = simpeer_is_closed(p); /* the note about it failed as well */
        check_codes(w, p, is_doubtful ? "250" : "250 451 451");
        doubtful_count += is_doubtful;
        say(p, "QUIT\r\n");
        end(w);
        struct store_message m;
        struct store_damage damage;
        CHECK_WORLD(w, store_count(w->store) == 1 && store_load(w->store, 0, &m, &damage) == 0);
        CHECK_WORLD(w, !m.is_gone[0] && m.is_gone[2]);
        CHECK_WORLD(w, is_doubtful || m.is_gone[1]);
        store_message_free(&m);
        simworld_remove(w);
    }
    CHECK_WORLD(w, doubtful_count < 8);
}

static uint64_t only_queue_id(const struct simworld *w, uint64_t other)
{
    uint64_t found = 0;
    for (uint32_t i = 0; i < w->shard.options.limits.txn_count_max; i++) {
        if (!pool_is_taken(&w->shard.txns, i))
            continue;
        const struct txn *t = pool_at(&w->shard.txns, i);
        if (t->message.proof.queue_id != other)
            found = t->message.proof.queue_id;
    }
    CHECK_WORLD(w, found != 0);
    return found;
}

/* Writes much that nobody will ever want: messages that are not finished. */
static void fill(struct simworld *w, int count)
{
    static uint8_t body[400000];
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (uint8_t) "0123456789abcdef\r\n"[i % 18];
    for (int i = 0; i < count; i++) {
        struct simpeer *p = dial(w, SIMWORLD_SMTP, MAIL(""), ANY "DATA\r\n\r\n");
        simpeer_send(p, slice_of(body, sizeof(body)));
        simworld_run(w, SECONDS(2));
        simpeer_reset(p);
    }
}

#define HEADER_BYTES 512

/* Of the first segment that was used, where it is still there. */
static void first_header(const struct simworld *w, uint8_t bytes[HEADER_BYTES])
{
    char path[96];
    snprintf(path, sizeof(path), "%s/spool/00-00000001.seg", w->dir);
    memset(bytes, 0, HEADER_BYTES);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return;
    CHECK_WORLD(w, fread(bytes, HEADER_BYTES, 1, f) == 1);
    fclose(f);
}

/* Who was not taken in the end does not keep his message's segment once the others are gone. */
static void take_back_frees_segment(struct simworld *w)
{
    enum { TAKEN_BACK, FAILED, HOWS };
    for (int how = 0; how < HOWS; how++) {
        struct simworld_setup setup = setup_of(0, false);
        simworld_begin(w, &setup);
        struct simpeer *p = dial(w, SIMWORLD_LMTP, MAIL(""), ANY SLOW PLAIN);
        check_after(w, SECONDS(20), p, "250");
        uint64_t first = only_queue_id(w, 0);
        uint8_t before[HEADER_BYTES];
        uint8_t after[HEADER_BYTES];
        first_header(w, before);
        uint64_t second = 0;
        if (how == TAKEN_BACK) {
            sim_hang_disk(w->ring, ring_now(w->ring) + SECONDS(40), false);
            (void)dial(w, SIMWORLD_SMTP, MAIL(""), ANY PLAIN "QUIT\r\n");
            simworld_run(w, SECONDS(5));
            second = only_queue_id(w, first);
            simworld_run(w, SECONDS(10)); /* the take waits behind the second message */
            simpeer_reset(p);
            simworld_run(w, SECONDS(40));
        } else {
            sim_set_faults(w->ring, 0, 100);
            const struct spool_counters *counters = spool_counters(w->shard.spool);
            while (counters->write_errors + counters->sync_errors == 0)
                simworld_turn(w);
            sim_set_faults(w->ring, 0, 0);
            check_after(w, SECONDS(1), p, "250 451");
            say(p, "QUIT\r\n");
        }
        const uint64_t ids[] = {first, second};
        for (int i = 0; i < 2 && ids[i] != 0; i++)
            CHECK_WORLD(w, spool_result(w->shard.spool, ids[i], SPOOL_RESULT_DELETE, 0, 1) ==
                               SPOOL_PENDING);
        fill(w, 30);
        first_header(w, after);
        CHECK_WORLD(w, memcmp(before, after, sizeof(before)) != 0); /* it has another use */
        end(w);
        check_stored(w, 0);
        simworld_remove(w);
    }
}

/* DEF-18 is about replies that can leave: a client who does not read is not deferred for it. */
static void deferrals_not_read(struct simworld *w)
{
    struct simworld_setup setup = setup_of(0, false);
    setup.slow_ns = SECONDS(200);
    setup.listener.send_ns_max = SECONDS(600);
    simworld_begin(w, &setup);
    struct simpeer *p = dial(w, SIMWORLD_SMTP, MAIL(" DEFERRALS"),
                             SLOWSTRICT SLOWSTRICT SLOWSTRICT SLOWSTRICT PLAIN);
    check_after(w, SECONDS(1), p, "353");
    simpeer_set_reading(p, false, 0);
    simworld_run(w, SECONDS(49 + 51));
    uint32_t deferred = 0;
    for (uint32_t i = 0; i < w->shard.options.limits.txn_count_max; i++)
        if (pool_is_taken(&w->shard.txns, i)) {
            const struct txn *t = pool_at(&w->shard.txns, i);
            for (uint32_t k = 0; k < t->rcpt_count; k++)
                deferred += t->rcpts[k].stage == TXN_STAGE_DONE;
        }
    CHECK_WORLD(w, deferred == 2); /* one a minute */
    simpeer_set_reading(p, true, 0);
    check_after(w, SECONDS(2), p, "353 451 451");
    simpeer_reset(p);
    finish(w, 0);
}

static const struct {
    const char *name;
    void (*run)(struct simworld *w);
} cases[] = {
    {"lmtp_streams", lmtp_streams},
    {"lmtp_stores", lmtp_stores},
    {"out_of_order", out_of_order},
    {"prdr_promises", prdr_promises},
    {"prdr_breaks_promise", prdr_breaks_promise},
    {"deferrals_keep_pace", deferrals_keep_pace},
    {"batch_holds_openings", batch_holds_openings},
    {"other_blocks", other_blocks},
    {"adat_commit_ends", adat_commit_ends},
    {"budget_ends", budget_ends},
    {"impatient_clients", impatient_clients},
    {"budget_ends_in_store", budget_ends_in_store},
    {"vanished", vanished},
    {"vanished_blocked", vanished_blocked},
    {"half_closed", half_closed},
    {"vanished_in_store", vanished_in_store},
    {"classic_example", classic_example},
    {"doubt", doubt},
    {"doubt_of_several", doubt_of_several},
    {"doubt_entries", doubt_entries},
    {"drained_at_work", drained_at_work},
    {"reloaded_at_work", reloaded_at_work},
    {"crowd_at_work", crowd_at_work},
    {"pieces_sent_ahead", pieces_sent_ahead},
    {"chunks_sent_ahead", chunks_sent_ahead},
    {"hung_commit_ends", hung_commit_ends},
    {"take_fails", take_fails},
    {"take_back_frees_segment", take_back_frees_segment},
    {"deferrals_not_read", deferrals_not_read},
};

/* In the usual way, and as differently as replies can leave. */
static const struct {
    const char *name;
    enum pacing pacing;
    bool is_linked;
} ways[] = {{"tick", PACING_TICK, false}, {"eager, linked", PACING_EAGER, true}};

int main(int argc, char **argv)
{
    static struct simworld w;
    uint32_t count = 0;
    if (testscan_init() < 0)
        return 77;
    for (size_t way = 0; way < ARRAY_COUNT(ways); way++) {
        simworld_set_sending(ways[way].pacing, ways[way].is_linked);
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
            /* Which of several came before a reply had left, the pacing decides. */
            bool is_skipped = way > 0 && cases[i].run == doubt_of_several;
            if (is_skipped || (argc > 1 && strcmp(argv[1], cases[i].name) != 0))
                continue;
            printf("%s (%s)\n", cases[i].name, ways[way].name);
            fflush(stdout);
            cases[i].run(&w);
            count++;
        }
    }
    printf("%u cases passed\n", count);
    return count > 0 ? 0 : 1;
}
