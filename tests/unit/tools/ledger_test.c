/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_test.c - every verdict and cause by hand, random histories against an oracle that looks at
 * everything again for each pair, and the command with real files.
 */
#include "../../support/spoolmaker.h"
#include "lab/input.h"
#include "lab/lab.h"
#include "lab/ledger.h"
#include "base/err.h"
#include "base/rng.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define RUN 0xABCDEFu

/*
 * Histories as text, one letter an attempt; copies are a number.
 *   a accepted    r refused after the content    R before it    d deferred after the content
 *   D before it   t timeout, all sent            T nothing sent m vanished as told, all sent
 *   s run ended   l connection lost, all sent (2 of 5 replies)  L part sent
 *   p garbage, all sent   c no connection
 */
static struct attempt attempt_of(char letter, uint64_t seq, uint32_t number, const char *address)
{
    struct attempt a = {.id = {RUN, seq},
                        .attempt = number,
                        .address = slice_str(address),
                        .fate = ATTEMPT_UNKNOWN,
                        .sent = ATTEMPT_SENT_ALL};
    static const struct {
        char letter;
        enum attempt_fate fate;
        enum attempt_cause cause;
        enum attempt_sent sent;
    } rows[] = {
        {'a', ATTEMPT_ACCEPTED, ATTEMPT_CAUSE_REPLY, ATTEMPT_SENT_ALL},
        {'r', ATTEMPT_REFUSED, ATTEMPT_CAUSE_REPLY, ATTEMPT_SENT_ALL},
        {'R', ATTEMPT_REFUSED, ATTEMPT_CAUSE_REPLY, ATTEMPT_SENT_NONE},
        {'d', ATTEMPT_DEFERRED, ATTEMPT_CAUSE_REPLY, ATTEMPT_SENT_ALL},
        {'D', ATTEMPT_DEFERRED, ATTEMPT_CAUSE_REPLY, ATTEMPT_SENT_NONE},
        {'t', ATTEMPT_UNKNOWN, ATTEMPT_CAUSE_TIMEOUT, ATTEMPT_SENT_ALL},
        {'T', ATTEMPT_UNKNOWN, ATTEMPT_CAUSE_TIMEOUT, ATTEMPT_SENT_NONE},
        {'m', ATTEMPT_UNKNOWN, ATTEMPT_CAUSE_MISBEHAVIOUR, ATTEMPT_SENT_ALL},
        {'s', ATTEMPT_UNKNOWN, ATTEMPT_CAUSE_STOPPED, ATTEMPT_SENT_ALL},
        {'l', ATTEMPT_UNKNOWN, ATTEMPT_CAUSE_LOST, ATTEMPT_SENT_ALL},
        {'L', ATTEMPT_UNKNOWN, ATTEMPT_CAUSE_LOST, ATTEMPT_SENT_PART},
        {'p', ATTEMPT_UNKNOWN, ATTEMPT_CAUSE_PROTOCOL, ATTEMPT_SENT_ALL},
        {'c', ATTEMPT_UNKNOWN, ATTEMPT_CAUSE_CONNECT, ATTEMPT_SENT_NONE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if (rows[i].letter != letter)
            continue;
        a.fate = rows[i].fate;
        a.cause = rows[i].cause;
        a.sent = rows[i].sent;
        if (letter == 'l') {
            a.replies_seen = 2;
            a.replies_due = 5;
        }
        return a;
    }
    fail_msg("letter %c", letter);
    return a;
}

static void add_history(struct ledger *l, uint64_t seq, const char *address, const char *history)
{
    for (uint32_t i = 0; history[i] != '\0'; i++) {
        struct attempt a = attempt_of(history[i], seq, i, address);
        a.will_retry = history[i + 1] != '\0';
        assert_int_equal(ledger_add_attempt(l, &a), 0);
    }
}

static void add_copies(struct ledger *l, uint64_t seq, const char *address, uint32_t copies)
{
    struct arrival a = {.has_id = true,
                        .id = {RUN, seq},
                        .rcpt_idx = UINT32_MAX,
                        .address = slice_str(address),
                        .code = 250};
    for (uint32_t i = 0; i < copies; i++)
        assert_int_equal(ledger_add_arrival(l, &a, true), 0);
}

static struct ledger *new_ledger(enum ledger_copy_per copy_per)
{
    struct ledger *l;
    assert_int_equal(ledger_new(copy_per, &l), 0);
    return l;
}

struct case_row {
    const char *history;
    uint32_t copies;
    enum ledger_client client;
    bool is_lost;
    uint32_t causes[LEDGER_CAUSE_COUNT]; /* gave up, lost, next hop, unknown */
    enum ledger_ghost ghost;
};

static const struct case_row cases[] = {
    /* as it should be */
    {"a", 1, LEDGER_ACCEPTED, false, {0}, LEDGER_GHOST_NONE},
    {"r", 0, LEDGER_REFUSED, false, {0}, LEDGER_GHOST_NONE},
    {"R", 0, LEDGER_REFUSED, false, {0}, LEDGER_GHOST_NONE},
    {"d", 0, LEDGER_DEFERRED, false, {0}, LEDGER_GHOST_NONE},
    {"t", 0, LEDGER_GAVE_UP, false, {0}, LEDGER_GHOST_NONE},
    {"c", 0, LEDGER_GAVE_UP, false, {0}, LEDGER_GHOST_NONE},
    {"dda", 1, LEDGER_ACCEPTED, false, {0}, LEDGER_GHOST_NONE},
    {"tla", 1, LEDGER_ACCEPTED, false, {0}, LEDGER_GHOST_NONE},
    {"tr", 0, LEDGER_REFUSED, false, {0}, LEDGER_GHOST_NONE},
    {"rt", 0, LEDGER_GAVE_UP, false, {0}, LEDGER_GHOST_NONE},
    {"aa", 2, LEDGER_ACCEPTED, false, {0}, LEDGER_GHOST_NONE}, /* sent twice on purpose */
    {"aa", 1, LEDGER_ACCEPTED, false, {0}, LEDGER_GHOST_NONE},
    /* lost */
    {"a", 0, LEDGER_ACCEPTED, true, {0}, LEDGER_GHOST_NONE},
    {"tda", 0, LEDGER_ACCEPTED, true, {0}, LEDGER_GHOST_NONE},
    {"ar", 0, LEDGER_ACCEPTED, true, {0}, LEDGER_GHOST_NONE},
    /* duplicated: gave up */
    {"ta", 2, LEDGER_ACCEPTED, false, {1, 0, 0, 0}, LEDGER_GHOST_NONE},
    {"ma", 2, LEDGER_ACCEPTED, false, {1, 0, 0, 0}, LEDGER_GHOST_NONE},
    {"sa", 2, LEDGER_ACCEPTED, false, {1, 0, 0, 0}, LEDGER_GHOST_NONE},
    {"tttta", 5, LEDGER_ACCEPTED, false, {4, 0, 0, 0}, LEDGER_GHOST_NONE},
    {"tttta", 3, LEDGER_ACCEPTED, false, {2, 0, 0, 0}, LEDGER_GHOST_NONE},
    /* duplicated: the connection */
    {"la", 2, LEDGER_ACCEPTED, false, {0, 1, 0, 0}, LEDGER_GHOST_NONE},
    {"pa", 2, LEDGER_ACCEPTED, false, {0, 1, 0, 0}, LEDGER_GHOST_NONE},
    {"tla", 3, LEDGER_ACCEPTED, false, {1, 1, 0, 0}, LEDGER_GHOST_NONE},
    /* duplicated: behind the server */
    {"a", 2, LEDGER_ACCEPTED, false, {0, 0, 1, 0}, LEDGER_GHOST_NONE},
    {"a", 5, LEDGER_ACCEPTED, false, {0, 0, 4, 0}, LEDGER_GHOST_NONE},
    {"ta", 4, LEDGER_ACCEPTED, false, {1, 0, 2, 0}, LEDGER_GHOST_NONE},
    {"La", 2, LEDGER_ACCEPTED, false, {0, 0, 1, 0}, LEDGER_GHOST_NONE}, /* L was not whole */
    {"Da", 2, LEDGER_ACCEPTED, false, {0, 0, 1, 0}, LEDGER_GHOST_NONE},
    {"aa", 3, LEDGER_ACCEPTED, false, {0, 0, 1, 0}, LEDGER_GHOST_NONE},
    /* duplicated: unknown */
    {"da", 2, LEDGER_ACCEPTED, false, {0, 0, 0, 1}, LEDGER_GHOST_NONE},
    {"tda", 4, LEDGER_ACCEPTED, false, {1, 0, 1, 1}, LEDGER_GHOST_NONE},
    {"", 2, LEDGER_NOT_SENT, false, {0, 0, 0, 1}, LEDGER_GHOST_UNKNOWN},
    /* ghosts */
    {"", 1, LEDGER_NOT_SENT, false, {0}, LEDGER_GHOST_UNKNOWN},
    {"t", 1, LEDGER_GAVE_UP, false, {0}, LEDGER_GHOST_GAVE_UP},
    {"l", 1, LEDGER_GAVE_UP, false, {0}, LEDGER_GHOST_GAVE_UP},
    {"tr", 1, LEDGER_REFUSED, false, {0}, LEDGER_GHOST_GAVE_UP}, /* the first one made it */
    {"td", 1, LEDGER_DEFERRED, false, {0}, LEDGER_GHOST_GAVE_UP},
    {"tt", 2, LEDGER_GAVE_UP, false, {1, 0, 0, 0}, LEDGER_GHOST_GAVE_UP},
    {"ll", 2, LEDGER_GAVE_UP, false, {0, 1, 0, 0}, LEDGER_GHOST_GAVE_UP},
    {"tl", 2, LEDGER_GAVE_UP, false, {1, 0, 0, 0}, LEDGER_GHOST_GAVE_UP},
    {"t", 2, LEDGER_GAVE_UP, false, {0, 0, 1, 0}, LEDGER_GHOST_GAVE_UP},
    {"d", 1, LEDGER_DEFERRED, false, {0}, LEDGER_GHOST_DEFERRED},
    {"D", 1, LEDGER_DEFERRED, false, {0}, LEDGER_GHOST_DEFERRED},
    {"dd", 2, LEDGER_DEFERRED, false, {0, 0, 0, 1}, LEDGER_GHOST_DEFERRED},
    {"r", 1, LEDGER_REFUSED, false, {0}, LEDGER_GHOST_REFUSED},
    {"R", 1, LEDGER_REFUSED, false, {0}, LEDGER_GHOST_REFUSED},
    {"Tr", 1, LEDGER_REFUSED, false, {0}, LEDGER_GHOST_REFUSED},
    {"r", 2, LEDGER_REFUSED, false, {0, 0, 1, 0}, LEDGER_GHOST_REFUSED},
    {"T", 1, LEDGER_GAVE_UP, false, {0}, LEDGER_GHOST_UNSENT},
    {"L", 1, LEDGER_GAVE_UP, false, {0}, LEDGER_GHOST_UNSENT},
    {"c", 1, LEDGER_GAVE_UP, false, {0}, LEDGER_GHOST_UNSENT},
};

static void check_item(size_t i, const struct ledger_item *item)
{
    const struct case_row *row = &cases[i];
    uint32_t excess = 0;
    for (unsigned c = 0; c < LEDGER_CAUSE_COUNT; c++) {
        excess += row->causes[c];
        if (item->causes[c] != row->causes[c])
            fail_msg("\"%s\" %u: cause %s: %u", row->history, row->copies,
                     ledger_cause_name((enum ledger_cause)c), item->causes[c]);
    }
    if (item->client != row->client || item->is_lost != row->is_lost || item->ghost != row->ghost ||
        item->excess != excess || item->copies != row->copies ||
        item->attempt_count != strlen(row->history))
        fail_msg("\"%s\" %u: %s, lost %d, excess %u, ghost %s", row->history, row->copies,
                 ledger_client_name(item->client), item->is_lost, item->excess,
                 ledger_ghost_name(item->ghost));
}

/* Each alone, and all in one ledger; backwards too, since logs come in any order. */
static void every_verdict(void **state)
{
    (void)state;
    struct ledger *all = new_ledger(LEDGER_COPY_AUTO);
    struct ledger_result r;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct ledger *l = new_ledger(LEDGER_COPY_AUTO);
        struct ledger_item item;
        uint32_t idx = 0;
        add_history(l, 1000, "other@example", "a"); /* the run is known */
        add_history(l, i, "u@example", cases[i].history);
        add_history(all, i, "u@example", cases[i].history);
        add_copies(l, i, "u@example", cases[i].copies);
        add_copies(l, 1000, "other@example", 1);
        ledger_join(l, &r);
        if (cases[i].history[0] != '\0' || cases[i].copies > 0) {
            assert_true(ledger_next(l, &idx, &item));
            assert_true(slice_eq(item.address, SLICE_LIT("u@example")));
            check_item(i, &item);
        }
        assert_true(ledger_next(l, &idx, &item) && item.id.seq == 1000);
        assert_false(ledger_next(l, &idx, &item));
        ledger_free(l);
    }
    for (size_t i = ARRAY_COUNT(cases); i-- > 0;)
        add_copies(all, i, "U@Example", cases[i].copies);
    ledger_join(all, &r);
    uint32_t idx = 0;
    struct ledger_item item;
    uint64_t count = 0;
    while (ledger_next(all, &idx, &item)) {
        check_item(item.id.seq, &item);
        count++;
    }
    assert_int_equal(count, ARRAY_COUNT(cases));
    assert_true(r.pairs == count && r.messages == count);
    ledger_free(all);
}

static void order_of_attempts(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(LEDGER_COPY_AUTO);
    struct ledger_result r;
    struct attempt last = attempt_of('r', 1, 1, "u@e"), first = attempt_of('l', 1, 0, "u@e");
    first.will_retry = true;
    assert_int_equal(ledger_add_attempt(l, &last), 0);
    assert_int_equal(ledger_add_attempt(l, &first), 0);
    struct attempt open = attempt_of('d', 2, 0, "u@e");
    open.will_retry = true;
    assert_int_equal(ledger_add_attempt(l, &open), 0);
    ledger_join(l, &r);
    assert_true(r.clients[LEDGER_REFUSED] == 1 && r.clients[LEDGER_DEFERRED] == 1);
    assert_true(r.unfinished == 1);
    ledger_free(l);
}

static void k_of_n_is_kept(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(LEDGER_COPY_AUTO);
    struct ledger_result r;
    struct ledger_item item;
    uint32_t idx = 0;
    add_history(l, 1, "u@e", "la");
    add_copies(l, 1, "u@e", 2);
    ledger_join(l, &r);
    assert_true(ledger_next(l, &idx, &item));
    assert_true(item.replies_seen == 2 && item.replies_due == 5);
    ledger_free(l);
}

/* What is left out of the join, and counted. */
static void left_out(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(LEDGER_COPY_AUTO);
    struct ledger_result r;
    add_history(l, 1, "u@e", "d");
    struct arrival a = {.has_id = true, .id = {RUN, 1}, .address = SLICE_LIT("u@e"), .code = 451};
    assert_int_equal(ledger_add_arrival(l, &a, true), 0); /* taken, whatever was said */
    a.code = 250;
    a.id.run++;
    assert_int_equal(ledger_add_arrival(l, &a, true), 0);
    a.has_id = false;
    assert_int_equal(ledger_add_arrival(l, &a, true), 0);
    ledger_join(l, &r);
    assert_true(r.arrivals == 1 && r.arrivals_other_run == 1 && r.arrivals_foreign == 1 &&
                r.pairs == 1);
    ledger_free(l);
}

/* Copies that name no recipient, of a message with these histories. */
static void unnamed_copies(void **state)
{
    (void)state;
    static const struct {
        const char *histories[3];
        uint32_t copies;
        enum ledger_copy_per copy_per;
        uint32_t lost, excess, ghosts, refused_ghosts;
    } rows[] = {
        {{"a"}, 1, LEDGER_COPY_AUTO, 0, 0, 0, 0},
        {{"a"}, 0, LEDGER_COPY_AUTO, 1, 0, 0, 0},
        {{"a"}, 2, LEDGER_COPY_AUTO, 0, 1, 0, 0},
        {{"a", "a", "a"}, 1, LEDGER_COPY_AUTO, 0, 0, 0, 0},
        {{"a", "a", "a"}, 3, LEDGER_COPY_AUTO, 0, 0, 0, 0},
        {{"a", "a", "a"}, 4, LEDGER_COPY_AUTO, 0, 1, 0, 0},
        {{"a", "a", "a"}, 0, LEDGER_COPY_AUTO, 3, 0, 0, 0},
        {{"a", "a", "a"}, 1, LEDGER_COPY_RCPT, 2, 0, 0, 0},
        {{"a", "a", "a"}, 3, LEDGER_COPY_RCPT, 0, 0, 0, 0},
        {{"a", "a", "a"}, 1, LEDGER_COPY_MESSAGE, 0, 0, 0, 0},
        {{"a", "a", "a"}, 2, LEDGER_COPY_MESSAGE, 0, 3, 0, 0},
        {{"a", "r", "a"}, 2, LEDGER_COPY_RCPT, 0, 0, 0, 0}, /* never to the refused one */
        {{"a", "r", "a"}, 3, LEDGER_COPY_RCPT, 0, 1, 0, 0},
        {{"r", "a", "a"}, 3, LEDGER_COPY_RCPT, 0, 1, 0, 0},
        {{"a", "ta", "a"}, 4, LEDGER_COPY_RCPT, 0, 1, 0, 0},
        {{"a", "t", "a"}, 3, LEDGER_COPY_RCPT, 0, 0, 1, 0},
        {{"r", "r", "r"}, 1, LEDGER_COPY_RCPT, 0, 0, 1, 1},
        {{"r", "r", "r"}, 1, LEDGER_COPY_MESSAGE, 0, 0, 1, 1},
        {{""}, 2, LEDGER_COPY_AUTO, 0, 1, 1, 0}, /* of the run, sent by nobody */
    };
    static const char *const names[] = {"a@e", "b@e", "c@e"};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct ledger *l = new_ledger(rows[i].copy_per);
        struct ledger_result r;
        uint32_t ghosts = 0;
        add_history(l, 99, "x@e", "d");
        for (unsigned k = 0; k < 3 && rows[i].histories[k] != NULL; k++)
            add_history(l, 7, names[k], rows[i].histories[k]);
        add_copies(l, 7, "", rows[i].copies);
        ledger_join(l, &r);
        for (unsigned g = 1; g < LEDGER_GHOST_COUNT; g++)
            ghosts += (uint32_t)r.ghosts[g];
        if (r.lost != rows[i].lost || r.copies_excess != rows[i].excess ||
            ghosts != rows[i].ghosts || r.ghosts[LEDGER_GHOST_REFUSED] != rows[i].refused_ghosts)
            fail_msg("row %zu: lost %u excess %u ghosts %u", i, (unsigned)r.lost,
                     (unsigned)r.copies_excess, ghosts);
        ledger_free(l);
    }
}

/* An address that a server wrote into the message may have been rewritten. */
static void unsure_addresses(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(LEDGER_COPY_RCPT);
    struct ledger_result r;
    add_history(l, 1, "a@e", "a");
    add_history(l, 1, "b@e", "a");
    add_history(l, 2, "c@e", "a");
    struct arrival a = {.has_id = true, .id = {RUN, 1}, .address = SLICE_LIT("b@e")};
    assert_int_equal(ledger_add_arrival(l, &a, false), 0);
    a.address = SLICE_LIT("alias@local"); /* never seen: somebody's copy of message 1 */
    assert_int_equal(ledger_add_arrival(l, &a, false), 0);
    a.id.seq = 2;
    a.address = SLICE_LIT("a@e"); /* known, but not of message 2 */
    assert_int_equal(ledger_add_arrival(l, &a, false), 0);
    ledger_join(l, &r);
    assert_true(r.lost == 0 && r.delivered == 3 && r.copies_excess == 0);
    assert_true(r.arrivals_unnamed == 2 && r.pairs == 3);
    ledger_free(l);
}

/*
 * Random histories. The oracle keeps everything and looks through all of it for each pair.
 */
#define HISTORY_MAX 4000

struct oracle {
    struct attempt attempts[HISTORY_MAX];
    struct arrival arrivals[HISTORY_MAX];
    uint32_t attempt_count, arrival_count;
};

static const char *const rcpts[] = {"a@e", "b@e", "c@e", "d@e"};

static void oracle_fill(struct oracle *o, struct rng *rng)
{
    static const char letters[] = "aaaarRdDtTmslLpc";
    for (uint32_t m = 0; m < 150; m++) {
        struct identity id = {RUN + rng_below(rng, 2), rng_below(rng, 200)};
        for (uint32_t k = 0; k < ARRAY_COUNT(rcpts); k++) {
            uint32_t tries = (uint32_t)rng_below(rng, 4);
            for (uint32_t i = 0; i < tries && o->attempt_count < HISTORY_MAX; i++) {
                struct attempt a =
                    attempt_of(letters[rng_below(rng, sizeof(letters) - 1)], id.seq, i, rcpts[k]);
                a.id = id;
                o->attempts[o->attempt_count++] = a;
            }
            for (uint64_t i = rng_below(rng, 4); i > 0 && o->arrival_count < HISTORY_MAX; i--)
                o->arrivals[o->arrival_count++] =
                    (struct arrival){.has_id = true,
                                     .id = id,
                                     .address = slice_str(rcpts[k]),
                                     .code = rng_below(rng, 8) == 0 ? 550 : 250};
        }
    }
    for (uint32_t i = o->attempt_count; i > 1; i--) { /* in any order */
        uint32_t k = (uint32_t)rng_below(rng, i);
        struct attempt swap = o->attempts[i - 1];
        o->attempts[i - 1] = o->attempts[k];
        o->attempts[k] = swap;
    }
}

static bool is_same(struct identity id, struct slice address, struct identity other,
                    struct slice other_address)
{
    return id.run == other.run && id.seq == other.seq && slice_eq(address, other_address);
}

/* Everything about one pair, straight from the definitions in ledger.h. */
static struct ledger_item oracle_item(const struct oracle *o, struct identity id,
                                      struct slice address)
{
    struct ledger_item item = {.id = id, .address = address};
    uint32_t accepted = 0, gave_up = 0, broken = 0, answered = 0;
    const struct attempt *last = NULL;
    for (uint32_t i = 0; i < o->attempt_count; i++) {
        const struct attempt *a = &o->attempts[i];
        if (!is_same(id, address, a->id, a->address))
            continue;
        item.attempt_count++;
        if (last == NULL || a->attempt >= last->attempt)
            last = a;
        accepted += a->fate == ATTEMPT_ACCEPTED;
        if (a->sent != ATTEMPT_SENT_ALL || a->fate == ATTEMPT_ACCEPTED)
            continue;
        if (a->fate != ATTEMPT_UNKNOWN)
            answered++;
        else if (a->cause == ATTEMPT_CAUSE_LOST || a->cause == ATTEMPT_CAUSE_PROTOCOL)
            broken++;
        else
            gave_up++;
    }
    for (uint32_t i = 0; i < o->arrival_count; i++)
        item.copies += is_same(id, address, o->arrivals[i].id, o->arrivals[i].address);
    item.client = last == NULL                     ? LEDGER_NOT_SENT
                  : accepted > 0                   ? LEDGER_ACCEPTED
                  : last->fate == ATTEMPT_REFUSED  ? LEDGER_REFUSED
                  : last->fate == ATTEMPT_DEFERRED ? LEDGER_DEFERRED
                                                   : LEDGER_GAVE_UP;
    item.is_lost = accepted > 0 && item.copies == 0;
    if (item.copies > 0 && accepted == 0)
        item.ghost = last == NULL                     ? LEDGER_GHOST_UNKNOWN
                     : gave_up + broken > 0           ? LEDGER_GHOST_GAVE_UP
                     : item.client == LEDGER_REFUSED  ? LEDGER_GHOST_REFUSED
                     : item.client == LEDGER_DEFERRED ? LEDGER_GHOST_DEFERRED
                                                      : LEDGER_GHOST_UNSENT;
    uint32_t sources[LEDGER_CAUSE_COUNT] = {gave_up, broken, UINT32_MAX, answered};
    static const enum ledger_cause first_copy[] = {LEDGER_CAUSE_LOST, LEDGER_CAUSE_GAVE_UP,
                                                   LEDGER_CAUSE_UNKNOWN};
    for (unsigned i = 0; accepted == 0 && i < ARRAY_COUNT(first_copy); i++) {
        if (sources[first_copy[i]] > 0) {
            sources[first_copy[i]]--;
            break;
        }
    }
    static const enum ledger_cause order[] = {LEDGER_CAUSE_GAVE_UP, LEDGER_CAUSE_LOST,
                                              LEDGER_CAUSE_UNKNOWN, LEDGER_CAUSE_NEXT_HOP};
    for (uint32_t copy = accepted > 1 ? accepted : 1; copy < item.copies; copy++) {
        item.excess++;
        for (unsigned i = 0; i < ARRAY_COUNT(order); i++) {
            if (sources[order[i]] > 0 || last == NULL) {
                enum ledger_cause cause = last == NULL ? LEDGER_CAUSE_UNKNOWN : order[i];
                sources[cause]--;
                item.causes[cause]++;
                break;
            }
        }
    }
    return item;
}

static void random_histories(void **state)
{
    (void)state;
    struct oracle *o = calloc(1, sizeof(*o));
    assert_non_null(o);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng rng;
        struct ledger *l = new_ledger(LEDGER_COPY_AUTO);
        struct ledger_result r;
        struct ledger_item item, before = {0};
        uint32_t idx = 0;
        uint64_t pairs = 0, attempts = 0, copies = 0, excess = 0, lost = 0;
        rng_init(&rng, seed);
        o->attempt_count = o->arrival_count = 0;
        oracle_fill(o, &rng);
        for (uint32_t i = 0; i < o->attempt_count; i++)
            assert_int_equal(ledger_add_attempt(l, &o->attempts[i]), 0);
        for (uint32_t i = 0; i < o->arrival_count; i++)
            assert_int_equal(ledger_add_arrival(l, &o->arrivals[i], true), 0);
        ledger_join(l, &r);
        while (ledger_next(l, &idx, &item)) {
            struct ledger_item want = oracle_item(o, item.id, item.address);
            if (item.client != want.client || item.copies != want.copies ||
                item.is_lost != want.is_lost || item.ghost != want.ghost ||
                item.excess != want.excess || item.attempt_count != want.attempt_count ||
                memcmp(item.causes, want.causes, sizeof(want.causes)) != 0)
                fail_msg("seed %u: pair %u of message %u", (unsigned)seed, idx,
                         (unsigned)item.id.seq);
            assert_true(item.id.run != before.id.run || item.id.seq >= before.id.seq);
            before = item;
            pairs++;
            attempts += item.attempt_count;
            copies += item.copies;
            excess += item.excess;
            lost += item.is_lost;
        }
        assert_true(pairs == r.pairs && attempts == o->attempt_count && lost == r.lost);
        assert_true(copies == r.arrivals && excess == r.copies_excess && excess > 0 && lost > 0);
        ledger_free(l);
    }
    free(o);
}

/* The table grows, and finds everything again. */
static void many_pairs(void **state)
{
    (void)state;
    struct ledger *l = new_ledger(LEDGER_COPY_AUTO);
    struct ledger_result r;
    enum { COUNT = 50000 };
    char address[32];
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(address, sizeof(address), "user%u@e", i % 3000);
        struct attempt a = attempt_of('a', i, 0, address);
        assert_int_equal(ledger_add_attempt(l, &a), 0);
    }
    for (uint32_t i = COUNT; i-- > 0;) {
        snprintf(address, sizeof(address), "user%u@e", i % 3000);
        add_copies(l, i, address, 1 + (i == 7));
    }
    ledger_join(l, &r);
    assert_true(r.pairs == COUNT && r.delivered == COUNT && r.lost == 0 && r.duplicated == 1);
    assert_true(r.memory_bytes < 120u * COUNT);
    ledger_free(l);
}

/*
 * The command, with files.
 */
static char root[] = "/tmp/postern-ledger-XXXXXX";
static char *said, *complained;
static size_t said_len, complained_len;

static void put_file(const char *name, const char *content)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

/* Words separated by a space; "@" in a word stands for the folder. Returns the exit status. */
static int lab(const char *line)
{
    char words[4096];
    char *argv[64];
    int argc = 0;
    size_t len = 0;
    for (const char *p = line; *p != '\0'; p++) {
        assert_true(len + sizeof(root) < sizeof(words));
        if (*p == '@')
            len += (size_t)snprintf(words + len, sizeof(words) - len, "%s", root);
        else
            words[len++] = *p == ' ' ? '\0' : *p;
    }
    words[len] = '\0';
    for (char *p = words; p <= words + len; p += strlen(p) + 1)
        argv[argc++] = p;
    argv[argc] = NULL;
    free(said);
    free(complained);
    FILE *out = open_memstream(&said, &said_len),
         *err = open_memstream(&complained, &complained_len);
    int status = lab_run(argc, argv, out, err);
    fclose(out);
    fclose(err);
    return status;
}

static void check_said(const char *text)
{
    if (strstr(said, text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, said);
}

#define HEAD "#postern-attempts 1 run=0000000000abcdef\n#columns\n"
#define LINE(seq, rcpt, fate, code, cause, next)                                                   \
    seq "\t0\t0\t" rcpt "\t1\t2\t3\t" fate "\t" code "\t-\tdone\t" cause "\tall\t0\t1\t" next "\n"
#define SINK_HEAD "#postern-arrivals 1\n#columns\n"
#define SINK(seq, rcpt) "0000000000abcdef\t" seq "\t0\t" rcpt "\t5\t100\t-\t250\tno\t1\t1\tsmtp\n"

static void exit_status(void **state)
{
    (void)state;
    put_file("a", HEAD LINE("1", "u@e", "accepted", "250", "reply", "end")
                      LINE("2", "u@e", "refused", "550", "reply", "end"));
    put_file("good", SINK_HEAD SINK("1", "u@e"));
    put_file("none", SINK_HEAD);
    put_file("refused", SINK_HEAD SINK("1", "u@e") SINK("2", "u@e"));
    put_file("torn", SINK_HEAD SINK("1", "u@e") "0000000000abcdef\t2\t0\tu@");
    put_file("bad", SINK_HEAD "what is this\n" SINK("1", "u@e"));
    put_file("foreign", "From nowhere\n");
    assert_int_equal(lab("postern-lab ledger --attempts @/a --arrived sink:@/good"), LAB_OK);
    assert_int_equal(complained_len, 0);
    assert_int_equal(lab("postern-lab ledger --attempts @/a --arrived sink:@/none"), LAB_WRONG);
    check_said("LOST                      1");
    assert_int_equal(lab("postern-lab ledger --attempts @/a --arrived sink:@/refused --list ghost"),
                     LAB_WRONG);
    check_said("VIOLATION");
    check_said("ghost\t0000000000abcdef.2\tu@e\trefused, attempts=1, copies=1");
    assert_int_equal(lab("postern-lab ledger --attempts @/a --arrived sink:@/torn"),
                     LAB_UNREADABLE);
    assert_non_null(strstr(complained, "/torn:4: the last line is cut off"));
    check_said("DAMAGED                   1");
    assert_int_equal(lab("postern-lab ledger --attempts @/a --arrived sink:@/bad"), LAB_UNREADABLE);
    assert_non_null(strstr(complained, "/bad:3: a line that is not understood"));
    static const char *const unreadable[] = {
        "postern-lab ledger --attempts @/missing --arrived sink:@/good",
        "postern-lab ledger --attempts @/a --arrived sink:@/missing",
        "postern-lab ledger --attempts @/a --arrived sink:@/foreign",
        "postern-lab ledger --attempts @/good --arrived sink:@/good",
        "postern-lab ledger --attempts @/a --arrived spool:@/missing",
        "postern-lab ledger --attempts @/a --arrived maildir:@/missing",
        "postern-lab ledger --attempts @/a --arrived mbox:@/a",
        "postern-lab ledger --attempts @/a --arrived folder:@/a",
        "postern-lab ledger --attempts @/a --arrived sink:@/good --json /nonexistent/x",
    };
    for (size_t i = 0; i < ARRAY_COUNT(unreadable); i++) {
        if (lab(unreadable[i]) != LAB_UNREADABLE || complained_len == 0)
            fail_msg("%s: %s", unreadable[i], complained);
    }
    static const char *const usage[] = {
        "postern-lab",
        "postern-lab weigh",
        "postern-lab ledger",
        "postern-lab ledger --attempts @/a",
        "postern-lab ledger --arrived sink:@/good",
        "postern-lab ledger --attempts --arrived sink:@/good",
        "postern-lab ledger --attempts @/a --arrived @/good",
        "postern-lab ledger --attempts @/a --arrived sink:",
        "postern-lab ledger --attempts @/a --arrived sink:@/good --list all",
        "postern-lab ledger --attempts @/a --arrived sink:@/good --list",
        "postern-lab ledger --attempts @/a --arrived sink:@/good --copy-per box",
        "postern-lab ledger --attempts @/a --arrived sink:@/good --other x",
        "postern-lab ledger @/a",
    };
    for (size_t i = 0; i < ARRAY_COUNT(usage); i++)
        if (lab(usage[i]) != LAB_USAGE || complained_len == 0 || said_len > 0)
            fail_msg("%s", usage[i]);
    assert_int_equal(lab("postern-lab ledger --help"), LAB_OK);
    assert_int_equal(lab("postern-lab --version"), LAB_OK);
}

static void several_files(void **state)
{
    (void)state;
    put_file("a1", HEAD LINE("1", "u@e", "unknown", "-", "timeout", "retry"));
    put_file("a2", "#postern-attempts 1 run=0000000000abcdef\n"
                   "1\t1\t0\tu@e\t1\t2\t3\taccepted\t250\t-\tdone\treply\tall\t1\t1\tend\n"
                   "#postern-attempts 1 run=0000000000abcdf0\n"
                   "1\t0\t0\tu@e\t1\t2\t3\taccepted\t250\t-\tdone\treply\tall\t1\t1\tend\n");
    put_file("s1", SINK_HEAD SINK("1", "u@e"));
    put_file("s2",
             SINK_HEAD SINK(
                 "1", "u@e") "0000000000abcdf0\t1\t0\tu@e\t5\t100\t-\t250\tyes\t1\t1\tsmtp\n");
    assert_int_equal(
        lab("postern-lab ledger --attempts @/a1 @/a2 --arrived sink:@/s1 sink:@/s2 --list lost "
            "--list duplicated --json @/json"),
        LAB_OK);
    check_said("duplicated\t0000000000abcdef.1\tu@e\taccepted, attempts=2, copies=2: 1 gave_up\n");
    assert_int_equal(lab("postern-lab ledger --attempts @/a1 --attempts @/a2 --arrived sink:@/s1 "
                         "--arrived sink:@/s2 --json - --list duplicated"),
                     LAB_OK);
    check_said("\"accepted\": 2,");
    check_said("\"causes\": {\"gave_up\": 1, \"connection_lost\": 0,");
    check_said("\"copies_reply_read\": 1,");
    check_said("\"duplicated\": [\n    {\"id\": \"0000000000abcdef.1\"");
}

#define MESSAGE(seq, fields) fields "Message-ID: <pl.0000000000abcdef." seq "@h>\nSubject: x\n\nx\n"

static void stores_of_mail(void **state)
{
    (void)state;
    char path[256];
    static const char *const folders[] = {"md", "md/cur", "md/new", "folder"};
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        snprintf(path, sizeof(path), "%s/%s", root, folders[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    put_file("ma", HEAD LINE("1", "u@e", "accepted", "250", "reply", "end")
                       LINE("1", "v@e", "accepted", "250", "reply", "end")
                           LINE("2", "u@e", "accepted", "250", "reply", "end"));
    put_file("md/cur/1:2,", MESSAGE("1", "Return-Path: <s@e>\nDelivered-To: u@e\n"));
    put_file("md/new/2", MESSAGE("1", "Delivered-To: u@e\nX-Original-To: <V@e>\n"));
    put_file("md/new/3", MESSAGE("2", "Delivered-To: u.2@store\n"));
    put_file("md/new/4", "Subject: something else\n\nx\n");
    assert_int_equal(lab("postern-lab ledger --attempts @/ma --arrived maildir:@/md"), LAB_OK);
    check_said("delivered                 3");
    check_said("DUPLICATED                0");
    check_said("without identity");
    assert_int_equal(unlink((snprintf(path, sizeof(path), "%s/md/new/2", root), path)), 0);
    assert_int_equal(lab("postern-lab ledger --attempts @/ma --arrived maildir:@/md --list lost"),
                     LAB_WRONG);
    check_said("lost\t0000000000abcdef.1\tv@e\t");
    put_file("mb", "From s@e Thu Jan  1 00:00:00 1970\n" MESSAGE(
                       "1", "") "\n"
                                "From s@e Thu Jan  1 00:00:00 1970\n" MESSAGE("2", "") "\n");
    assert_int_equal(lab("postern-lab ledger --attempts @/ma --arrived mbox:@/mb"), LAB_OK);
    check_said("may be hidden");
    assert_int_equal(
        lab("postern-lab ledger --attempts @/ma --arrived mbox:@/mb --copy-per recipient"),
        LAB_WRONG);
    put_file("folder/x", MESSAGE("1", "X-Rcpt-Args: <u@e> NOTIFY=NEVER\nX-Rcpt-Args: <v@e>\n"));
    put_file("folder/y", MESSAGE("2", "X-Rcpt-Args: <u@e>\n"));
    put_file("folder/z", MESSAGE("2", "x-rcpt-args: <u@e>\n"));
    assert_int_equal(lab("postern-lab ledger --attempts @/ma --arrived folder:@/folder --rcpt-from "
                         "X-Rcpt-Args --list duplicated"),
                     LAB_OK);
    check_said("delivered                 3");
    check_said("duplicated\t0000000000abcdef.2\tu@e\taccepted, attempts=1, copies=2: 1 next_hop\n");
}

#define CONTENT(seq)                                                                               \
    "Message-ID: <pl.0000000000abcdef." seq "@h>\r\nSubject: x\r\n\r\nsome body\r\n"

/* Active and held recipients are there, others are not; a field of its own goes before Message-ID,
 * and a damaged content does not hide the message. */
static void spool_store(void **state)
{
    (void)state;
    struct spoolmaker sm;
    char line[512];
    spoolmaker_init(&sm);
    struct spool_rcpt both[] = {spoolmaker_rcpt("u@e", SPOOL_RCPT_ACTIVE),
                                spoolmaker_rcpt("v@e", SPOOL_RCPT_HELD)};
    struct spool_envelope envelope = spoolmaker_envelope(both, 2);
    envelope.message_id = SLICE_LIT("<pl.0000000000abcdef.1@h>");
    spoolmaker_add(&sm, envelope, SLICE_LIT(CONTENT("1")), 0);
    envelope = spoolmaker_envelope(both, 1);
    envelope.message_id = SLICE_LIT("<pl.0000000000abcdef.1@h>");
    spoolmaker_add(&sm, envelope, SLICE_LIT("X-Postern-Load: 0000000000abcdef.2\r\n" CONTENT("1")),
                   30);
    spoolmaker_add(&sm, envelope, SLICE_LIT("Subject: another\r\n\r\n"), 0);
    put_file("sa", HEAD LINE("1", "u@e", "accepted", "250", "reply", "end")
                       LINE("1", "v@e", "accepted", "250", "reply", "end")
                           LINE("2", "u@e", "accepted", "250", "reply", "end"));
    snprintf(line, sizeof(line), "postern-lab ledger --attempts @/sa --arrived spool:%s", sm.spool);
    assert_int_equal(lab(line), LAB_OK); /* beside the running writer */
    check_said("delivered                 3");
    /* The third has the Message-ID of the first in its envelope: u@e has it twice. */
    check_said("DUPLICATED                1");
    envelope.message_id = SLICE_LIT("<pl.0000000000abcdef.3@h>");
    envelope.rcpts = both;
    envelope.rcpt_count = 2;
    uint64_t id = spoolmaker_add(&sm, envelope, SLICE_LIT(CONTENT("3")), 0);
    put_file("sa", HEAD LINE("3", "u@e", "accepted", "250", "reply", "end")
                       LINE("3", "v@e", "accepted", "250", "reply", "end"));
    assert_int_equal(lab(line), LAB_OK);
    spoolmaker_result(&sm, id, SPOOL_RESULT_DELETE, 1);
    assert_int_equal(lab(line), LAB_WRONG);
    check_said("LOST                      1");
    spoolmaker_stop(&sm);
    put_file("sa", HEAD LINE("2", "u@e", "accepted", "250", "reply", "end"));
    assert_int_equal(lab(line), LAB_OK);
    assert_true(spoolmaker_damage(&sm, SLICE_LIT("some body")) > 0);
    assert_int_equal(lab(line), LAB_UNREADABLE);
    assert_non_null(strstr(complained, "content is damaged"));
    spoolmaker_deinit(&sm);
}

/* More lines than are named are counted still; a line without end ends somewhere. */
static void much_damage(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof(path), "%s/long", root);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(SINK_HEAD, f);
    for (unsigned i = 0; i < 150; i++)
        fputs("junk\n", f);
    for (unsigned i = 0; i < 700000; i++)
        fputc('x', f);
    fputs("\n" SINK("1", "u@e"), f);
    fclose(f);
    put_file("one", HEAD LINE("1", "u@e", "accepted", "250", "reply", "end"));
    assert_int_equal(lab("postern-lab ledger --attempts @/one --arrived sink:@/long"),
                     LAB_UNREADABLE);
    check_said("DAMAGED                 151");
    check_said("delivered                 1");
    assert_non_null(strstr(complained, "/long:102: "));
    assert_null(strstr(complained, "/long:103: "));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verdict),    cmocka_unit_test(order_of_attempts),
        cmocka_unit_test(k_of_n_is_kept),   cmocka_unit_test(left_out),
        cmocka_unit_test(unnamed_copies),   cmocka_unit_test(unsure_addresses),
        cmocka_unit_test(random_histories), cmocka_unit_test(many_pairs),
        cmocka_unit_test(exit_status),      cmocka_unit_test(several_files),
        cmocka_unit_test(stores_of_mail),   cmocka_unit_test(much_damage),
        cmocka_unit_test(spool_store),
    };
    if (mkdtemp(root) == NULL)
        return 99;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(said);
    free(complained);
    return failed;
}
