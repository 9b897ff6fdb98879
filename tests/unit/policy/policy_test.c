/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_test.c - recipients to classes, verdicts, and what plain SMTP makes of mixed ones.
 *
 * The mixing table is complete: every pair and every triple of actions, under both settings,
 * against a rule that is written here a second time, by outcome.
 */
#include "policy/policy_build.h"
#include "base/assert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* --- recipients ----------------------------------------------------------------------------- */

static struct path path_of(const char *address)
{
    char text[1100];
    struct path p;
    size_t used;
    static char kept[1100];
    int len = snprintf(text, sizeof(text), "<%s>", address);
    memcpy(kept, text, (size_t)len);
    assert_int_equal(path_parse(slice_of(kept, (size_t)len), false, true, &p, &used), PATH_OK);
    return p;
}

static uint32_t add_list(struct policy_build *b, const char *text)
{
    struct table *t;
    struct table_error error;
    struct slice unknown;
    uint32_t table_idx;
    assert_int_equal(table_new_text(slice_str(text), true, &t, &error), 0);
    assert_int_equal(policy_build_table(b, t, &table_idx, &unknown), POLICY_BUILD_OK);
    return table_idx;
}

static uint16_t add_class(struct policy_build *b, struct policy_class c, const char *name)
{
    uint16_t class_idx;
    c.name = slice_str(name);
    assert_int_equal(policy_build_class(b, &c, &class_idx), POLICY_BUILD_OK);
    return class_idx;
}

static uint32_t add_domain(struct policy_build *b, const char *name, const char *class_name)
{
    uint16_t class_idx;
    uint32_t domain_idx;
    assert_true(policy_build_find_class(b, slice_str(class_name), &class_idx));
    assert_int_equal(policy_build_domain(b, slice_str(name), class_idx, &domain_idx),
                     POLICY_BUILD_OK);
    return domain_idx;
}

static void add_any(struct policy_build *b, uint32_t domain_idx)
{
    assert_int_equal(policy_build_source_any(b, domain_idx), POLICY_BUILD_OK);
}

static void add_table(struct policy_build *b, uint32_t domain_idx, uint32_t table_idx)
{
    assert_int_equal(policy_build_source_table(b, domain_idx, table_idx), POLICY_BUILD_OK);
}

static struct policy_build *begin(const char *delimiters)
{
    const struct policy_build_options options = {.folds_local = true,
                                                 .delimiters = slice_str(delimiters)};
    struct policy_build *b;
    assert_int_equal(policy_build_begin(&options, &b), 0);
    return b;
}

/*
 * example.org: alice strict, bob small, shared list, then nobody
 * open.org:    carol strict, then any, class lax
 * .sub.org:    any; a.sub.org: listed; [192.0.2.1]: any
 */
static struct policy *make_policy(bool with_postmaster_class)
{
    struct policy_build *b = begin("+-");
    struct policy_class c = policy_class_default();
    add_class(b, (struct policy_class){.score_reject = 500, .score_defer = POLICY_SCORE_OFF},
              "strict");
    add_class(b,
              (struct policy_class){.size_max = 1000,
                                    .score_reject = POLICY_SCORE_OFF,
                                    .score_defer = POLICY_SCORE_OFF},
              "small");
    add_class(b, c, "lax");
    c.action = POLICY_REJECT;
    c.acts_at_rcpt = true;
    add_class(b, c, "closed");
    c.action = POLICY_DEFER;
    c.defer_reply = (struct answer){STATUS_DEFERRED_POLICY, 450, {4, 2, 1}, SLICE_LIT("Away")};
    add_class(b, c, "away");
    if (with_postmaster_class)
        add_class(b, policy_class_default(), "postmaster");
    uint32_t shared = add_list(b, "dave\nerin+lists@example.org lax\nfay@open.org strict\n"
                                  "gone closed\naway away\n\"x@open.org\" lax\n");
    uint32_t domain = add_domain(b, "Example.ORG", "lax");
    add_table(b, domain, add_list(b, "alice strict\nbob@example.org small\nerin\n"));
    add_table(b, domain, shared);
    domain = add_domain(b, "open.org", "lax");
    add_table(b, domain, add_list(b, "carol strict\n"));
    add_any(b, domain);
    add_any(b, add_domain(b, "*.sub.org", "strict"));
    domain = add_domain(b, "a.sub.org", "lax");
    add_table(b, domain, shared);
    add_any(b, add_domain(b, "[192.0.2.1]", "default"));
    struct policy *p;
    assert_int_equal(policy_build_finish(b, &p), 0);
    return p;
}

struct rcpt_row {
    const char *address;
    uint64_t size;
    enum status status;
    const char *class_name; /* when accepted */
};

static const struct rcpt_row rcpt_rows[] = {
    {"alice@example.org", 0, STATUS_RCPT_OK, "strict"},
    {"ALICE@EXAMPLE.ORG", 0, STATUS_RCPT_OK, "strict"},
    {"\"alice\"@example.org", 0, STATUS_RCPT_OK, "strict"},
    {"bob@example.org", 0, STATUS_RCPT_OK, "small"},
    {"dave@example.org", 0, STATUS_RCPT_OK, "lax"}, /* the domain's class */
    {"carol@example.org", 0, STATUS_NO_SUCH_USER, NULL},
    {"fay@example.org", 0, STATUS_NO_SUCH_USER, NULL}, /* listed for open.org only */
    {"alice@example.com", 0, STATUS_RELAY_DENIED, NULL},
    {"alice@sub.example.org", 0, STATUS_RELAY_DENIED, NULL},
    {"alice@org", 0, STATUS_RELAY_DENIED, NULL},
    /* CORE-20: the class's limit, when the size was declared */
    {"bob@example.org", 1000, STATUS_RCPT_OK, "small"},
    {"bob@example.org", 1001, STATUS_TOO_BIG_FOR_RCPT, NULL},
    {"alice@example.org", UINT64_MAX, STATUS_RCPT_OK, "strict"},
    /* extensions: listed ones first, else the user's */
    {"alice+x@example.org", 0, STATUS_RCPT_OK, "strict"},
    {"alice-x+y@example.org", 0, STATUS_RCPT_OK, "strict"},
    {"erin+lists@example.org", 0, STATUS_RCPT_OK, "lax"},
    {"erin+other@example.org", 0, STATUS_RCPT_OK, "lax"},
    {"+alice@example.org", 0, STATUS_NO_SUCH_USER, NULL},
    {"\"alice+x\"@example.org", 0, STATUS_NO_SUCH_USER, NULL},
    /* any */
    {"carol@open.org", 0, STATUS_RCPT_OK, "strict"},
    {"whoever@open.org", 0, STATUS_RCPT_OK, "lax"},
    /* subdomains: not the domain itself, and a listed one is itself */
    {"x@b.sub.org", 0, STATUS_RCPT_OK, "strict"},
    {"x@c.b.sub.org", 0, STATUS_RCPT_OK, "strict"},
    {"x@sub.org", 0, STATUS_RELAY_DENIED, NULL},
    {"x@xsub.org", 0, STATUS_RELAY_DENIED, NULL},
    {"x@a.sub.org", 0, STATUS_NO_SUCH_USER, NULL},
    {"dave@a.sub.org", 0, STATUS_RCPT_OK, "lax"},
    /* literals are as any other domain */
    {"x@[192.0.2.1]", 0, STATUS_RCPT_OK, "default"},
    {"x@[192.0.2.2]", 0, STATUS_RELAY_DENIED, NULL},
    /* a quoted local part cannot pose as an address of a shared list */
    {"\"fay@open.org\"@example.org", 0, STATUS_NO_SUCH_USER, NULL},
    {"\"x@open.org\"@example.org", 0, STATUS_RCPT_OK, "lax"},
    /* said at RCPT */
    {"gone@example.org", 0, STATUS_REFUSED_POLICY, NULL},
    {"away@example.org", 0, STATUS_DEFERRED_POLICY, NULL},
};

static void rcpt_check(const struct policy *p, const struct rcpt_row *row)
{
    struct path path = path_of(row->address);
    struct policy_rcpt decided = policy_rcpt(p, &path, row->size);
    print_message("%s\n", row->address);
    assert_int_equal(decided.answer.status, row->status);
    if (row->class_name != NULL)
        assert_true(slice_eq(policy_class(p, decided.class_idx)->name, slice_str(row->class_name)));
}

static void recipients_get_their_class(void **state)
{
    (void)state;
    struct policy *p = make_policy(true);
    for (size_t i = 0; i < ARRAY_COUNT(rcpt_rows); i++)
        rcpt_check(p, &rcpt_rows[i]);
    struct path away = path_of("away@example.org");
    struct answer answer = policy_rcpt(p, &away, 0).answer;
    assert_int_equal(answer.code, 450);
    assert_true(slice_eq(answer.text, SLICE_LIT("Away")));
    policy_unref(p);
}

static void local_part_of_64_in_long_domain(void **state)
{
    (void)state;
    struct policy *p = make_policy(true);
    char address[400];
    memset(address, 'a', sizeof(address));
    address[64] = '@';
    memcpy(address + 65, "example.org", sizeof("example.org"));
    rcpt_check(p, &(struct rcpt_row){address, 0, STATUS_NO_SUCH_USER, NULL});
    policy_unref(p);
}

/* CORE-7: without domain, any case, any served domain, and whatever the sources say. */
static void postmaster_is_always_known(void **state)
{
    (void)state;
    static const struct {
        struct rcpt_row row; /* class name with and without class "postmaster" */
        const char *class_name_without;
    } rows[] = {
        {{"postmaster", 0, STATUS_RCPT_OK, "postmaster"}, "default"},
        {{"PostMaster", 0, STATUS_RCPT_OK, "postmaster"}, "default"},
        {{"postmaster@example.org", 0, STATUS_RCPT_OK, "postmaster"}, "lax"},
        {{"POSTMASTER@Example.Org", 0, STATUS_RCPT_OK, "postmaster"}, "lax"},
        {{"\"postmaster\"@example.org", 0, STATUS_RCPT_OK, "postmaster"}, "lax"},
        {{"postmaster@open.org", 0, STATUS_RCPT_OK, "postmaster"}, "lax"},
        {{"postmaster@x.sub.org", 0, STATUS_RCPT_OK, "postmaster"}, "strict"},
        {{"postmaster@elsewhere.org", 0, STATUS_RELAY_DENIED, NULL}, NULL},
        {{"postmasters@example.org", 0, STATUS_NO_SUCH_USER, NULL}, NULL},
    };
    for (int with = 0; with < 2; with++) {
        struct policy *p = make_policy(with == 1);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            struct rcpt_row row = rows[i].row;
            row.class_name = with == 1 ? row.class_name : rows[i].class_name_without;
            rcpt_check(p, &row);
        }
        policy_unref(p);
    }
}

static void address_without_domain_is_unknown(void **state)
{
    (void)state;
    struct policy *p = make_policy(true);
    struct path path = {.local = SLICE_LIT("alice"), .whole = SLICE_LIT("alice")};
    assert_int_equal(policy_rcpt(p, &path, 0).answer.status, STATUS_NO_SUCH_USER);
    policy_unref(p);
}

static void accept_all_accepts_all(void **state)
{
    (void)state;
    static const char *const addresses[] = {"a@b.org", "x@[192.0.2.9]", "postmaster",
                                            "\"odd one\"@x.y.z.example"};
    struct policy *p;
    assert_int_equal(policy_new_accept_all(&p), 0);
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++)
        rcpt_check(p, &(struct rcpt_row){addresses[i], 0, STATUS_RCPT_OK, "default"});
    assert_int_equal(policy_class_count(p), 1);
    policy_unref(p);
}

static void exact_case_is_exact(void **state)
{
    (void)state;
    const struct policy_build_options options = {.folds_local = false};
    struct policy_build *b;
    struct table *t;
    struct table_error error;
    struct slice unknown;
    uint32_t table_idx;
    assert_int_equal(policy_build_begin(&options, &b), 0);
    uint32_t domain = add_domain(b, "x.org", "default");
    assert_int_equal(table_new_text(SLICE_LIT("Alice"), true, &t, &error), 0);
    assert_int_equal(policy_build_table(b, t, &table_idx, &unknown), POLICY_BUILD_INVALID);
    table_free(t);
    assert_int_equal(table_new_text(SLICE_LIT("Alice"), false, &t, &error), 0);
    assert_int_equal(policy_build_table(b, t, &table_idx, &unknown), POLICY_BUILD_OK);
    add_table(b, domain, table_idx);
    struct policy *p;
    assert_int_equal(policy_build_finish(b, &p), 0);
    rcpt_check(p, &(struct rcpt_row){"Alice@X.ORG", 0, STATUS_RCPT_OK, "default"});
    rcpt_check(p, &(struct rcpt_row){"alice@x.org", 0, STATUS_NO_SUCH_USER, NULL});
    policy_unref(p);
}

static void build_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct policy_build *b = begin("");
    struct policy_class c = {.name = SLICE_LIT("a")};
    uint16_t class_idx;
    uint32_t idx;
    struct table *t;
    struct table_error error;
    struct slice unknown;
    assert_int_equal(policy_build_class(b, &c, &class_idx), POLICY_BUILD_OK);
    assert_int_equal(policy_build_class(b, &c, &class_idx), POLICY_BUILD_EXISTS);
    c.name = SLICE_LIT("not good");
    assert_int_equal(policy_build_class(b, &c, &class_idx), POLICY_BUILD_INVALID);
    assert_int_equal(policy_build_domain(b, SLICE_LIT("x.org"), 0, &idx), POLICY_BUILD_OK);
    assert_int_equal(policy_build_domain(b, SLICE_LIT("X.ORG"), 0, &idx), POLICY_BUILD_EXISTS);
    assert_int_equal(policy_build_domain(b, SLICE_LIT("*.y.org"), 0, &idx), POLICY_BUILD_OK);
    assert_int_equal(policy_build_domain(b, SLICE_LIT(".y.org"), 0, &idx), POLICY_BUILD_EXISTS);
    static const char *const bad[] = {"", ".", "*.", "x y", "x..org", "*x.org", "[", "[]", "x@y"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(policy_build_domain(b, slice_str(bad[i]), 0, &idx), POLICY_BUILD_INVALID);
    assert_int_equal(table_new_text(SLICE_LIT("u\nv nowhere\n"), true, &t, &error), 0);
    assert_int_equal(policy_build_table(b, t, &idx, &unknown), POLICY_BUILD_UNKNOWN_CLASS);
    assert_true(slice_eq(unknown, SLICE_LIT("nowhere")));
    table_free(t);
    assert_int_equal(policy_build_domain(b, SLICE_LIT("z.org"), 0, &idx), POLICY_BUILD_OK);
    add_any(b, idx);
    assert_int_equal(policy_build_source_any(b, idx), POLICY_BUILD_INVALID);
    uint32_t table_idx = add_list(b, "u\n");
    assert_int_equal(policy_build_domain(b, SLICE_LIT("w.org"), 0, &idx), POLICY_BUILD_OK);
    for (int i = 0; i < POLICY_SOURCES_MAX; i++)
        add_table(b, idx, table_idx);
    assert_int_equal(policy_build_source_any(b, idx), POLICY_BUILD_TOO_MANY);
    policy_build_abort(b);
    policy_build_abort(NULL);
}

static void many_domains_are_found(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    struct policy_build *b = begin("");
    for (int i = 0; i < COUNT; i++) {
        char name[40];
        snprintf(name, sizeof(name), "D%d.example.org", i);
        add_any(b, add_domain(b, name, "default"));
    }
    struct policy *p;
    assert_int_equal(policy_build_finish(b, &p), 0);
    for (int i = 0; i < COUNT + 10; i++) {
        char address[60];
        snprintf(address, sizeof(address), "u@d%d.example.org", i);
        struct path path = path_of(address);
        assert_int_equal(policy_rcpt(p, &path, 0).answer.status,
                         i < COUNT ? STATUS_RCPT_OK : STATUS_RELAY_DENIED);
    }
    policy_unref(p);
}

static void views_live_on_their_own(void **state)
{
    (void)state;
    struct policy *p = make_policy(true);
    struct policy *view;
    assert_int_equal(policy_view_new(p, &view), 0);
    assert_ptr_equal(policy_ref(p), p);
    policy_unref(p);
    policy_unref(p);
    rcpt_check(view, &rcpt_rows[0]);
    policy_unref(view);
    policy_unref(NULL);
}

static void default_class_can_be_replaced(void **state)
{
    (void)state;
    struct policy_build *b = begin("");
    struct policy_class c = policy_class_default();
    c.size_max = 7;
    c.reject_reply.text = SLICE_LIT("No");
    assert_int_equal(add_class(b, c, "default"), POLICY_CLASS_DEFAULT);
    c.size_max = 8;
    assert_int_equal(add_class(b, c, "default"), POLICY_CLASS_DEFAULT);
    struct policy *p;
    assert_int_equal(policy_build_finish(b, &p), 0);
    assert_int_equal(policy_class_count(p), 1);
    assert_int_equal(policy_class(p, POLICY_CLASS_DEFAULT)->size_max, 8);
    policy_unref(p);
}

/* OTH-15 */
static void one_class_at_rcpt(void **state)
{
    (void)state;
    const struct policy_rcpt ok = {ANSWER(STATUS_RCPT_OK), 3};
    const struct policy_rcpt refused = {ANSWER(STATUS_NO_SUCH_USER), 0};
    assert_int_equal(policy_one_class_answer(&ok, 0, 0).status, STATUS_RCPT_OK);
    assert_int_equal(policy_one_class_answer(&ok, 1, 3).status, STATUS_RCPT_OK);
    assert_int_equal(policy_one_class_answer(&ok, 1, 2).status, STATUS_CLASS_DIFFERS);
    assert_int_equal(policy_one_class_answer(&refused, 1, 2).status, STATUS_NO_SUCH_USER);
}

/* --- verdicts ------------------------------------------------------------------------------- */

/* A static slice: a compound literal is no constant. */
#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static const struct answer reply_own = {STATUS_REFUSED_POLICY, 554, {5, 7, 0}, TEXT("Own")};
static const struct answer reply_defer = {STATUS_DEFERRED_POLICY, 450, {0}, TEXT("Later")};
static const struct answer reply_accept = {STATUS_STORED, 250, {0}, TEXT("Thanks")};
static const struct answer reply_size = {STATUS_TOO_BIG_FOR_RCPT, 552, {0}, TEXT("Big")};

#define OFF POLICY_SCORE_OFF

static const struct verdict_row {
    uint64_t size_max;
    int32_t score_reject, score_defer;
    uint32_t flags_reject;
    enum policy_action class_action;
    uint64_t bytes;
    uint32_t flags;
    int32_t score;
    enum policy_action action;
    enum status status;
    const char *reason;
} verdict_rows[] = {
    {0, OFF, OFF, 0, POLICY_ACCEPT, 1, 0, 0, POLICY_ACCEPT, STATUS_STORED, "accept"},
    {0, OFF, OFF, 0, POLICY_DISCARD, 1, 0, 0, POLICY_DISCARD, STATUS_STORED, "discard"},
    {0, OFF, OFF, 0, POLICY_QUARANTINE, 1, 0, 0, POLICY_QUARANTINE, STATUS_STORED, "quarantine"},
    {0, OFF, OFF, 0, POLICY_REJECT, 1, 0, 0, POLICY_REJECT, STATUS_REFUSED_POLICY, "reject"},
    {0, OFF, OFF, 0, POLICY_DEFER, 1, 0, 0, POLICY_DEFER, STATUS_DEFERRED_POLICY, "defer"},
    /* size: up to and with the limit */
    {100, OFF, OFF, 0, POLICY_ACCEPT, 100, 0, 0, POLICY_ACCEPT, STATUS_STORED, "accept"},
    {100, OFF, OFF, 0, POLICY_ACCEPT, 101, 0, 0, POLICY_REJECT, STATUS_TOO_BIG_FOR_RCPT, "size"},
    {100, 0, 0, SCAN_FLAG_NUL, POLICY_DEFER, 101, SCAN_FLAG_NUL, 0, POLICY_REJECT,
     STATUS_TOO_BIG_FOR_RCPT, "size"},
    /* flags: only those named, each with its reply */
    {0, OFF, OFF, SCAN_FLAG_HIGH, POLICY_ACCEPT, 1, SCAN_FLAG_NUL, 0, POLICY_ACCEPT, STATUS_STORED,
     "accept"},
    {0, OFF, OFF, SCAN_FLAG_HIGH, POLICY_ACCEPT, 1, SCAN_FLAG_HIGH, 0, POLICY_REJECT,
     STATUS_REFUSED_POLICY, "flags"},
    {0, OFF, OFF, SCAN_FLAG_NUL, POLICY_ACCEPT, 1, SCAN_FLAG_NUL, 0, POLICY_REJECT,
     STATUS_BAD_LINE_ENDING, "flags"},
    {0, OFF, OFF, SCAN_FLAG_BARE_LF, POLICY_ACCEPT, 1, SCAN_FLAG_BARE_LF, 0, POLICY_REJECT,
     STATUS_BAD_LINE_ENDING, "flags"},
    {0, OFF, OFF, SCAN_FLAG_BARE_CR, POLICY_ACCEPT, 1, SCAN_FLAG_BARE_CR, 0, POLICY_REJECT,
     STATUS_BAD_LINE_ENDING, "flags"},
    {0, OFF, OFF, SCAN_FLAG_LONG_LINE, POLICY_ACCEPT, 1, SCAN_FLAG_LONG_LINE, 0, POLICY_REJECT,
     STATUS_LINE_IN_MESSAGE_TOO_LONG, "flags"},
    {0, OFF, OFF, SCAN_FLAG_LOOP, POLICY_ACCEPT, 1, SCAN_FLAG_LOOP, 0, POLICY_REJECT, STATUS_LOOP,
     "flags"},
    {0, 100, OFF, SCAN_FLAG_LOOP, POLICY_ACCEPT, 1, SCAN_FLAG_LOOP, 100, POLICY_REJECT, STATUS_LOOP,
     "flags"},
    /* scores: at and above the threshold */
    {0, 500, 300, 0, POLICY_ACCEPT, 1, 0, 299, POLICY_ACCEPT, STATUS_STORED, "accept"},
    {0, 500, 300, 0, POLICY_ACCEPT, 1, 0, 300, POLICY_DEFER, STATUS_DEFERRED_POLICY, "score"},
    {0, 500, 300, 0, POLICY_ACCEPT, 1, 0, 499, POLICY_DEFER, STATUS_DEFERRED_POLICY, "score"},
    {0, 500, 300, 0, POLICY_ACCEPT, 1, 0, 500, POLICY_REJECT, STATUS_REFUSED_POLICY, "score"},
    {0, 500, OFF, 0, POLICY_ACCEPT, 1, 0, INT32_MAX, POLICY_REJECT, STATUS_REFUSED_POLICY, "score"},
    {0, OFF, OFF, 0, POLICY_ACCEPT, 1, 0, INT32_MAX, POLICY_ACCEPT, STATUS_STORED, "accept"},
    {0, -100, OFF, 0, POLICY_ACCEPT, 1, 0, -101, POLICY_ACCEPT, STATUS_STORED, "accept"},
    {0, 500, OFF, 0, POLICY_QUARANTINE, 1, 0, 500, POLICY_REJECT, STATUS_REFUSED_POLICY, "score"},
};

static void verdict_check(const struct verdict_row *row)
{
    struct policy_class c = {.size_max = row->size_max,
                             .score_reject = row->score_reject,
                             .score_defer = row->score_defer,
                             .flags_reject = row->flags_reject,
                             .action = row->class_action};
    const struct scan_result scan = {.content_bytes = row->bytes, .flags = row->flags};
    const struct rules_hits hits = {.score = row->score};
    struct policy_verdict v = policy_verdict(&c, &scan, &hits);
    assert_int_equal(v.action, row->action);
    assert_int_equal(v.answer.status, row->status);
    assert_string_equal(v.reason, row->reason);
    assert_int_equal(v.answer.text.len, 0);
    /* the same with texts of its own */
    c.reject_reply = reply_own;
    c.defer_reply = reply_defer;
    c.accept_reply = reply_accept;
    c.size_reply = reply_size;
    v = policy_verdict(&c, &scan, &hits);
    const struct answer *want = &reply_accept;
    if (strcmp(row->reason, "size") == 0)
        want = &reply_size;
    else if (row->action == POLICY_REJECT)
        want = &reply_own;
    else if (row->action == POLICY_DEFER)
        want = &reply_defer;
    assert_int_equal(v.action, row->action);
    assert_true(policy_answer_is_alike(&v.answer, want));
}

static void verdict_is_the_first_test_that_applies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(verdict_rows); i++)
        verdict_check(&verdict_rows[i]);
}

/* A strict one, a lax postmaster and one with a small limit, one message. */
static void three_recipients_three_answers_from_one_scan(void **state)
{
    (void)state;
    struct policy *p = make_policy(true);
    static const char *const addresses[] = {"alice@example.org", "postmaster@example.org",
                                            "bob@example.org"};
    static const enum policy_action actions[] = {POLICY_REJECT, POLICY_ACCEPT, POLICY_REJECT};
    static const enum status statuses[] = {STATUS_REFUSED_POLICY, STATUS_STORED,
                                           STATUS_TOO_BIG_FOR_RCPT};
    const struct scan_result scan = {.content_bytes = 2000};
    const struct rules_hits hits = {.score = 700};
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++) {
        struct path path = path_of(addresses[i]);
        struct policy_rcpt decided = policy_rcpt(p, &path, 0);
        assert_int_equal(decided.answer.status, STATUS_RCPT_OK);
        struct policy_verdict v = policy_verdict(policy_class(p, decided.class_idx), &scan, &hits);
        assert_int_equal(v.action, actions[i]);
        assert_int_equal(v.answer.status, statuses[i]);
    }
    policy_unref(p);
}

/* --- mixing --------------------------------------------------------------------------------- */

static const enum policy_action all_actions[] = {POLICY_ACCEPT, POLICY_REJECT, POLICY_DEFER,
                                                 POLICY_DISCARD, POLICY_QUARANTINE};

static struct policy_verdict verdict_of(enum policy_action action, enum status status)
{
    return (struct policy_verdict){action, ANSWER(status), policy_action_name(action)};
}

static enum status plain_status(enum policy_action action)
{
    switch (action) {
    case POLICY_REJECT:
        return STATUS_REFUSED_POLICY;
    case POLICY_DEFER:
        return STATUS_DEFERRED_POLICY;
    case POLICY_ACCEPT:
    case POLICY_DISCARD:
    case POLICY_QUARANTINE:
        break;
    }
    return STATUS_STORED;
}

/* What must come out for @given, written from design.md: by outcome of the whole message. */
static enum policy_action expected(const enum policy_action *given, size_t count, size_t idx,
                                   enum policy_on_refusal on_refusal)
{
    size_t defers = 0, rejects = 0;
    for (size_t i = 0; i < count; i++) {
        defers += given[i] == POLICY_DEFER;
        rejects += given[i] == POLICY_REJECT;
    }
    if (defers > 0)
        return POLICY_DEFER;
    if (rejects == count || (rejects > 0 && on_refusal == POLICY_REFUSAL_REFUSE))
        return POLICY_REJECT;
    return given[idx] == POLICY_REJECT ? POLICY_QUARANTINE : given[idx];
}

static void mix_check(const enum policy_action *given, size_t count,
                      enum policy_on_refusal on_refusal)
{
    struct policy_verdict verdicts[3];
    bool is_changed = false;
    for (size_t i = 0; i < count; i++)
        verdicts[i] = verdict_of(given[i], plain_status(given[i]));
    bool said = policy_mix(verdicts, (uint32_t)count, on_refusal);
    for (size_t i = 0; i < count; i++) {
        enum policy_action want = expected(given, count, i, on_refusal);
        assert_int_equal(verdicts[i].action, want);
        assert_int_equal(verdicts[i].answer.status, plain_status(want));
        assert_string_equal(verdicts[i].reason,
                            want == given[i] ? policy_action_name(given[i]) : "mixed");
        assert_true(policy_answer_is_alike(&verdicts[i].answer, &verdicts[0].answer));
        is_changed |= want != given[i];
    }
    assert_int_equal(said, is_changed);
}

static void mixing_every_pair_and_triple(void **state)
{
    (void)state;
    size_t n = ARRAY_COUNT(all_actions);
    for (int refuse = 0; refuse < 2; refuse++) {
        enum policy_on_refusal on = refuse ? POLICY_REFUSAL_REFUSE : POLICY_REFUSAL_QUARANTINE;
        for (size_t i = 0; i < n * n * n; i++) {
            enum policy_action given[3] = {all_actions[i % n], all_actions[i / n % n],
                                           all_actions[i / n / n]};
            for (size_t count = 1; count <= 3; count++)
                mix_check(given, count, on);
        }
    }
}

static void mixing_gives_the_common_answer_or_the_plain_one(void **state)
{
    (void)state;
    struct policy_verdict v[3] = {verdict_of(POLICY_REJECT, STATUS_TOO_BIG_FOR_RCPT),
                                  verdict_of(POLICY_REJECT, STATUS_TOO_BIG_FOR_RCPT)};
    assert_false(policy_mix(v, 2, POLICY_REFUSAL_QUARANTINE));
    assert_int_equal(v[0].answer.status, STATUS_TOO_BIG_FOR_RCPT);
    v[1].answer = reply_own;
    assert_true(policy_mix(v, 2, POLICY_REFUSAL_QUARANTINE));
    assert_int_equal(v[0].answer.status, STATUS_REFUSED_POLICY);
    assert_int_equal(v[1].answer.status, STATUS_REFUSED_POLICY);
    assert_int_equal(v[1].answer.text.len, 0);
    /* a deferral with a text of its own speaks for all */
    v[0] = verdict_of(POLICY_ACCEPT, STATUS_STORED);
    v[1] = verdict_of(POLICY_DEFER, STATUS_DEFERRED_POLICY);
    v[1].answer = reply_defer;
    v[2] = verdict_of(POLICY_REJECT, STATUS_REFUSED_POLICY);
    assert_true(policy_mix(v, 3, POLICY_REFUSAL_REFUSE));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(v[i].action, POLICY_DEFER);
        assert_true(policy_answer_is_alike(&v[i].answer, &reply_defer));
    }
    /* acceptances that say different things say the plain one */
    v[0] = verdict_of(POLICY_ACCEPT, STATUS_STORED);
    v[1] = verdict_of(POLICY_DISCARD, STATUS_STORED);
    v[1].answer = reply_accept;
    assert_true(policy_mix(v, 2, POLICY_REFUSAL_QUARANTINE));
    assert_int_equal(v[1].action, POLICY_DISCARD);
    assert_int_equal(v[1].answer.text.len, 0);
    assert_string_equal(v[1].reason, "discard");
    assert_false(policy_mix(v, 0, POLICY_REFUSAL_QUARANTINE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipients_get_their_class),
        cmocka_unit_test(local_part_of_64_in_long_domain),
        cmocka_unit_test(postmaster_is_always_known),
        cmocka_unit_test(address_without_domain_is_unknown),
        cmocka_unit_test(accept_all_accepts_all),
        cmocka_unit_test(exact_case_is_exact),
        cmocka_unit_test(build_refuses_what_does_not_fit),
        cmocka_unit_test(many_domains_are_found),
        cmocka_unit_test(views_live_on_their_own),
        cmocka_unit_test(default_class_can_be_replaced),
        cmocka_unit_test(one_class_at_rcpt),
        cmocka_unit_test(verdict_is_the_first_test_that_applies),
        cmocka_unit_test(three_recipients_three_answers_from_one_scan),
        cmocka_unit_test(mixing_every_pair_and_triple),
        cmocka_unit_test(mixing_gives_the_common_answer_or_the_plain_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
