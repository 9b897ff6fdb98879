/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_test.c - configurations: what is read, what is refused and where, what is printed.
 */
#include "config_load.h"
#include "config_table.h"
#include "ctl_map.h"
#include "base/assert.h"
#include "base/limits.h"
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/postern-config-test-XXXXXX";

static int folder_make(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    DIR *d = opendir(folder);
    if (d == NULL)
        return -1;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
    return rmdir(folder);
}

static void path_in(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", folder, name);
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    path_in(path, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

#define LISTENER "listener \"in\" { address = \"smtp://127.0.0.1:2525\" }\n"
#define DOMAIN "domain \"example.org\" { recipients = any }\n"

static struct config *load_with(const char *text, const struct config_overrides *overrides)
{
    struct config *c = NULL;
    struct config_error error;
    char path[128];
    path_in(path, "postern.conf");
    write_file("postern.conf", text);
    int err = config_load(path, overrides, &c, &error);
    if (err < 0)
        print_error("%s\n", error.text);
    assert_int_equal(err, 0);
    return c;
}

static struct config *load(const char *text)
{
    return load_with(text, NULL);
}

static char *printed(const struct config *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    config_print(c, out);
    fclose(out);
    return text;
}

/* Without the first line, a comment that names the file. */
static const char *body(const char *text)
{
    size_t line_len = strcspn(text, "\n");
    assert_int_equal(text[line_len], '\n');
    return text + line_len + 1;
}

static void round_trip(const struct config *c)
{
    char *first = printed(c);
    struct config *again = load(first);
    char *second = printed(again);
    assert_string_equal(body(first), body(second));
    assert_int_equal(policy_class_count(c->policy), policy_class_count(again->policy));
    config_free(again);
    free(first);
    free(second);
}

/* --- what is read --------------------------------------------------------------------------- */

static void smallest_configuration_has_all_defaults(void **state)
{
    (void)state;
    struct config *c = load(LISTENER DOMAIN);
    const struct listener_options *o = &c->listeners[0].options;
    assert_true(c->has_file);
    assert_int_equal(c->top.shard_count, 0);
    assert_string_equal(config_scan_isa(c), "auto");
    assert_null(c->top.rules_path);
    assert_string_equal(c->spool.dir, "/var/spool/postern");
    assert_int_equal(c->spool.durability, SPOOL_DISK);
    assert_int_equal(c->spool.segment_bytes, 64 * MIB);
    assert_int_equal(c->limits.drain_ns, 30 * NS_PER_S);
    assert_null(c->log.path);
    assert_int_equal(c->listener_count, 1);
    assert_true(slice_eq(o->name, SLICE_LIT("in")));
    assert_int_equal(o->session.protocol, SESSION_SMTP);
    assert_int_equal(o->session.offers, SESSION_OFFER_STANDARD);
    assert_true(slice_eq(o->session.hostname, slice_str(c->top.hostname)));
    assert_int_equal(o->session.size_max, 64 * MIB);
    assert_int_equal(o->session.rcpt_max, RCPT_COUNT_MAX);
    assert_int_equal(o->session.mail_max, 0);
    assert_int_equal(o->session.received_max, RECEIVED_COUNT_MAX);
    assert_false(o->session.normalize_bare_lf);
    assert_true(o->session.bind_early_talkers);
    assert_int_equal(o->mixed, POLICY_MIXED_WORST);
    assert_int_equal(o->on_refusal, POLICY_REFUSAL_QUARANTINE);
    assert_int_equal(o->command_ns_max, 300 * NS_PER_S);
    assert_int_equal(o->block_ns_max, 180 * NS_PER_S);
    assert_int_equal(o->bytes_per_second_min, 100);
    assert_int_equal(((const struct sockaddr_in *)&o->address)->sin_port, htons(2525));
    round_trip(c);
    config_free(c);
}

/* The row's defaults and the policy's own are the same thing said twice. */
static void default_class_is_the_policys(void **state)
{
    (void)state;
    struct config *c = load(LISTENER DOMAIN);
    const struct policy_class *made = policy_class(c->policy, 0);
    struct policy_class own = policy_class_default();
    assert_true(slice_eq(made->name, own.name));
    assert_int_equal(made->size_max, own.size_max);
    assert_int_equal(made->score_reject, own.score_reject);
    assert_int_equal(made->score_defer, own.score_defer);
    assert_int_equal(made->flags_reject, own.flags_reject);
    assert_int_equal(made->action, own.action);
    assert_int_equal(made->acts_at_rcpt, own.acts_at_rcpt);
    assert_int_equal(made->reject_reply.status, STATUS_NONE);
    config_free(c);
}

static void every_kind_of_value(void **state)
{
    (void)state;
    write_file("rules.txt", "");
    struct config *c = load(
        "hostname = MX.Example.org\nshards = 256; scan = scalar\nrules = rules.txt\n"
        "recipient_delimiter = \"+-\"; local_part_case = exact\n"
        "spool { dir: spool; durability: os; segment_size: 1024kb; reserve = 1gb }\n"
        "log = { to = \"/var/log/a \\\"b\\\"\"; buffer = 65536 }\n"
        "limits { connections = 7; buffers = 16; session_timeout = 1h; drain = 0s }\n"
        "listener one { address = \"smtp://[::1]:25\"; offer = [all, -prdr, -chunking, "
        "-binarymime]\n"
        "  bare_newline = normalize; early_talkers = allow; mixed = one-class\n"
        "  on_refusal = refuse; size_max = unlimited; recipients_max = 10000\n"
        "  messages_max = 5; rate_min = off; command_timeout = 1500ms }\n"
        "listener two { address = \"lmtp+unix:run/lmtp.sock\"; unix_mode = 0600 }\n"
        "listener three { address = \"lmtp://127.0.0.2:24\" }\n"
        "class strict { size_max = 10kb; score_reject = 5.5; score_defer = -1.05\n"
        "  flags_reject = [nul, high]; action = quarantine\n"
        "  reject_reply = \"550 5.7.1 No thanks\"; defer_reply = \"450 Later \\\"maybe\\\"\"\n"
        "  accept_reply = \"250 2.0.0 Thanks\"; size_reply = \"552 10 KB and no more\" }\n" DOMAIN);
    char want[200];
    assert_string_equal(c->top.hostname, "MX.Example.org");
    assert_int_equal(c->top.shard_count, 256);
    assert_string_equal(config_scan_isa(c), "scalar");
    snprintf(want, sizeof(want), "%s/rules.txt", folder);
    assert_string_equal(c->top.rules_path, want);
    snprintf(want, sizeof(want), "%s/spool", folder);
    assert_string_equal(c->spool.dir, want);
    assert_int_equal(c->spool.durability, SPOOL_OS);
    assert_int_equal(c->spool.segment_bytes, MIB);
    assert_string_equal(c->log.path, "/var/log/a \"b\"");
    assert_int_equal(c->limits.drain_ns, 0);
    const struct listener_options *o = &c->listeners[0].options;
    assert_int_equal(o->address.ss_family, AF_INET6);
    assert_int_equal(o->session.offers & (SESSION_OFFER_PRDR | SESSION_OFFER_CHUNKING), 0);
    assert_true(o->session.normalize_bare_lf);
    assert_false(o->session.bind_early_talkers);
    assert_int_equal(o->mixed, POLICY_MIXED_ONE_CLASS);
    assert_int_equal(o->on_refusal, POLICY_REFUSAL_REFUSE);
    assert_int_equal(o->session.size_max, 0);
    assert_int_equal(o->bytes_per_second_min, 0);
    assert_int_equal(o->command_ns_max, 1500 * NS_PER_MS);
    o = &c->listeners[1].options;
    snprintf(want, sizeof(want), "%s/run/lmtp.sock", folder);
    assert_string_equal(o->unix_path, want);
    assert_int_equal(o->address.ss_family, AF_UNIX);
    assert_string_equal(((const struct sockaddr_un *)&o->address)->sun_path, want);
    assert_int_equal(o->unix_mode, 0600);
    assert_true(slice_eq(o->session.note, SLICE_LIT("durability=os")));
    assert_int_equal(o->session.protocol, SESSION_LMTP);
    assert_int_equal(o->session.offers & SESSION_OFFER_DIALECTS, 0);
    assert_null(c->listeners[2].options.unix_path);
    const struct policy_class *strict = policy_class(c->policy, 1);
    assert_int_equal(strict->size_max, 10 * KIB);
    assert_int_equal(strict->score_reject, 550);
    assert_int_equal(strict->score_defer, -105);
    assert_int_equal(strict->flags_reject, SCAN_FLAG_NUL | SCAN_FLAG_HIGH);
    assert_int_equal(strict->action, POLICY_QUARANTINE);
    assert_int_equal(strict->reject_reply.code, 550);
    assert_memory_equal(strict->reject_reply.enhanced, ((uint8_t[3]){5, 7, 1}), 3);
    assert_true(slice_eq(strict->reject_reply.text, SLICE_LIT("No thanks")));
    assert_int_equal(strict->defer_reply.status, STATUS_DEFERRED_POLICY);
    assert_int_equal(strict->defer_reply.enhanced[0], 0);
    assert_true(slice_eq(strict->defer_reply.text, SLICE_LIT("Later \"maybe\"")));
    assert_true(slice_eq(strict->size_reply.text, SLICE_LIT("10 KB and no more")));
    round_trip(c);
    config_free(c);
}

static void scan_flag_names_are_the_scans(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_knob_count; i++) {
        if (strcmp(config_knobs[i].name, "flags_reject") != 0)
            continue;
        uint32_t all = 0;
        for (const struct knob_name *n = config_knobs[i].names; n->name != NULL; n++) {
            assert_string_equal(scan_flag_name((enum scan_flag)n->value), n->name);
            all |= n->value;
        }
        for (uint32_t bit = 1; bit != 0; bit <<= 1)
            assert_true((all & bit) != 0 || bit > SCAN_FLAG_UNENDED);
    }
}

static struct answer ask(const struct config *c, const char *local, const char *domain,
                         const char **ret_class)
{
    const struct path path = {.local = slice_str(local), .domain = slice_str(domain)};
    struct policy_rcpt decided = policy_rcpt(c->policy, &path, 0);
    static char name[64];
    if (status_is_success(decided.answer.status)) {
        struct slice s = policy_class(c->policy, decided.class_idx)->name;
        snprintf(name, sizeof(name), "%.*s", (int)s.len, (const char *)s.ptr);
    } else {
        snprintf(name, sizeof(name), "-");
    }
    *ret_class = name;
    return decided.answer;
}

static void build_map(void)
{
    char from[128], to[128];
    path_in(from, "map.source");
    path_in(to, "users.lmdb");
    write_file("map.source", "mapped strict\nothers@example.com\n");
    char *argv[] = {(char *)(uintptr_t) "map",    (char *)(uintptr_t) "build",
                    (char *)(uintptr_t) "--from", from,
                    (char *)(uintptr_t) "--to",   to};
    FILE *nowhere = fopen("/dev/null", "we");
    assert_int_equal(ctl_map_run(6, argv, nowhere, nowhere), 0);
    fclose(nowhere);
}

#define CLASSES "class strict { score_reject = 5 } class lax { score_reject = off }\n"

static void sources_in_their_order(void **state)
{
    (void)state;
    static const struct {
        const char *local, *domain, *class_name;
    } rows[] = {
        {"alice", "example.org", "strict"},
        {"bob", "example.org", "lax"},
        {"filed", "example.org", "lax"},
        {"here", "example.org", "strict"},
        {"mapped", "example.org", "strict"},
        {"others", "example.org", "lax"},
        {"whoever", "example.org", "lax"},
        {"filed", "example.com", "default"},
        {"here", "example.com", "-"},
        {"mapped", "example.com", "strict"},
        {"others", "example.com", "default"},
        {"alice", "example.com", "-"},
        {"x", "example.net", "-"},
        {"postmaster", "example.com", "default"},
    };
    build_map();
    write_file("users", "# staff\nfiled\nhere@example.org strict\nalice lax\n");
    struct config *c =
        load(LISTENER CLASSES "domain example.org { class = lax\n"
                              "  recipients = [\"alice strict\", \"bob\", \"file:users\",\n"
                              "    \"lmdb:users.lmdb\", any] }\n"
                              "domain example.com { recipients = [\"file:users\",\n"
                              "    \"lmdb:users.lmdb\"] }\n");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *class_name;
        ask(c, rows[i].local, rows[i].domain, &class_name);
        /* "alice lax" of the file holds in example.com, where nothing comes before it. */
        const char *want = i == 11 ? "lax" : rows[i].class_name;
        print_message("%s@%s\n", rows[i].local, rows[i].domain);
        assert_string_equal(class_name, want);
    }
    round_trip(c);
    config_free(c);
}

static void recipients_can_be_one_text(void **state)
{
    (void)state;
    const char *class_name;
    struct config *c = load(LISTENER "domain example.org { recipients = \"alice default\" }\n");
    assert_int_equal(ask(c, "ALICE", "Example.org", &class_name).status, STATUS_RCPT_OK);
    assert_int_equal(ask(c, "bob", "example.org", &class_name).status, STATUS_NO_SUCH_USER);
    round_trip(c);
    config_free(c);
}

static void no_recipients_but_postmaster(void **state)
{
    (void)state;
    const char *class_name;
    struct config *c = load(LISTENER "domain example.org { recipients = [] }\n");
    assert_int_equal(ask(c, "x", "example.org", &class_name).status, STATUS_NO_SUCH_USER);
    assert_int_equal(ask(c, "Postmaster", "example.org", &class_name).status, STATUS_RCPT_OK);
    round_trip(c);
    config_free(c);
}

/* CORE-7: whatever domains, sources and classes say, when the domain is served. */
static void postmaster_always_works(void **state)
{
    (void)state;
    static const struct {
        const char *local, *domain, *class_name;
    } rows[] = {
        {"postmaster", "", "default"},
        {"POSTMASTER", "", "default"},
        {"postmaster", "open.org", "lax"},
        {"PostMaster", "OPEN.org", "lax"},
        {"postmaster", "closed.org", "default"},
        {"postmaster", "away.org", "default"},
        {"postmaster", "listed.org", "default"},
        {"postmaster", "empty.org", "lax"},
        {"postmaster", "x.sub.org", "lax"},
        {"postmaster", "elsewhere.org", "-"},
        {"x", "closed.org", "-"},
        {"x", "away.org", "-"},
    };
    struct config *c = load(
        LISTENER CLASSES "class closed { action = reject; act_at = rcpt }\n"
                         "class away { action = defer; act_at = rcpt }\n"
                         "domain open.org { class = lax }\ndomain closed.org { class = closed }\n"
                         "domain away.org { class = away; recipients = x }\n"
                         "domain listed.org { recipients = \"postmaster closed\" }\n"
                         "domain empty.org { recipients = []; class = lax }\n"
                         "domain \"*.sub.org\" { recipients = []; class = lax }\n"
                         "local_part_case = exact\n");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const char *class_name;
        ask(c, rows[i].local, rows[i].domain, &class_name);
        if (strcmp(class_name, rows[i].class_name) != 0)
            print_error("%s@%s\n", rows[i].local, rows[i].domain);
        assert_string_equal(class_name, rows[i].class_name);
    }
    round_trip(c);
    config_free(c);
}

/* One scan of 2,000 octets with score 6, three recipients, three answers. */
static void three_recipients_three_answers(void **state)
{
    (void)state;
    static const struct {
        const char *local;
        unsigned code;
        const char *reason;
    } rows[] = {{"alice", 550, "score"}, {"postmaster", 0, "accept"}, {"bob", 552, "size"}};
    struct config *c =
        load(LISTENER "class strict { score_reject = 5; reject_reply = \"550 5.7.1 No\" }\n"
                      "class small { size_max = 1kb; size_reply = \"552 5.2.3 Big\" }\n"
                      "class postmaster { score_reject = off }\n"
                      "domain example.org { recipients = [\"alice strict\", \"bob small\"] }");
    const struct scan_result scan = {.content_bytes = 2000};
    const struct rules_hits hits = {.score = 600};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct path path = {.local = slice_str(rows[i].local),
                                  .domain = SLICE_LIT("example.org")};
        struct policy_rcpt decided = policy_rcpt(c->policy, &path, 0);
        assert_int_equal(decided.answer.status, STATUS_RCPT_OK);
        const struct policy_class *class = policy_class(c->policy, decided.class_idx);
        struct policy_verdict v = policy_verdict(class, &scan, &hits);
        assert_string_equal(v.reason, rows[i].reason);
        assert_int_equal(v.answer.code, rows[i].code);
    }
    config_free(c);
}

/* --- what is refused ------------------------------------------------------------------------ */

static const struct error_row {
    const char *text;
    const char *want; /* behind "FILE:" */
} error_rows[] = {
    {"a = 'b'", "1: unexpected '"},
    {LISTENER DOMAIN "hostnam = x.org", "3: unknown key 'hostnam'; did you mean 'hostname'?"},
    {LISTENER DOMAIN "\nlistner x { }", "4: unknown key 'listner'; did you mean 'listener'?"},
    {LISTENER DOMAIN "xyzzy = 1", "3: unknown key 'xyzzy'"},
    {LISTENER DOMAIN "spool {\n drain = 1s }", "4: unknown key 'drain' in section spool; it "
                                               "belongs in section limits"},
    {LISTENER DOMAIN "spool { shards = 1 }", "3: unknown key 'shards' in section spool; it "
                                             "belongs outside of sections"},
    {LISTENER DOMAIN "spool = x", "3: 'spool' is a section: spool { ... }"},
    {LISTENER DOMAIN "class = x", "3: 'class' is a section: class \"NAME\" { ... }"},
    {LISTENER DOMAIN "shards { }", "3: 'shards' is a value and not a section"},
    {LISTENER DOMAIN "shards = 1\nshards = 2", "4: 'shards' given again (first in line 3)"},
    {LISTENER DOMAIN "log { }\nlog { }", "4: section log given again (first in line 3)"},
    {LISTENER DOMAIN "log x { }", "3: section log has no name"},
    {LISTENER DOMAIN "class { }", "3: class needs a name: class \"NAME\" { ... }"},
    {LISTENER DOMAIN "class \"a b\" { }", "3: bad name for a class"},
    {LISTENER DOMAIN "class a { }\nclass a { }", "4: class 'a' given again"},
    {LISTENER LISTENER DOMAIN, "2: listener 'in' given again"},
    {LISTENER DOMAIN DOMAIN, "3: domain 'example.org' given again"},
    {LISTENER DOMAIN "domain EXAMPLE.org { }", "3: domain 'EXAMPLE.org' given again"},
    {LISTENER DOMAIN "domain \"a b\" { }", "3: 'a b' is not a domain"},
    /* values */
    {LISTENER DOMAIN "shards = 0", "3: shards: '0' is outside of 1 to 256"},
    {LISTENER DOMAIN "shards = 257", "3: shards: '257' is outside of 1 to 256"},
    {LISTENER DOMAIN "shards = 99999999999999999999", "3: shards: '99999999999999999999' is "
                                                      "not a number"},
    {LISTENER DOMAIN "shards = 2x", "3: shards: '2x' needs to be a plain number"},
    {LISTENER DOMAIN "shards = -1", "3: shards: '-1' is not a number"},
    {LISTENER DOMAIN "shards = [1, 2]", "3: shards: one value is wanted, not a list of 2"},
    {LISTENER DOMAIN "shards = []", "3: shards: one value is wanted, not a list of 0"},
    {LISTENER DOMAIN "shards = [[1]]", "3: 'shards': a list inside of a list"},
    {LISTENER DOMAIN "log { to { } }", "3: 'to' is a value and not a section"},
    {LISTENER DOMAIN "scan = mmx", "3: scan: 'mmx' is not one of auto, scalar, sse42, avx2"},
    {LISTENER DOMAIN "hostname = localhost", "3: hostname: 'localhost' is not a full domain"},
    {LISTENER DOMAIN "hostname = 192.0.2.1", "3: hostname: '192.0.2.1' is not a full domain"},
    {LISTENER DOMAIN "hostname = a..b", "3: hostname:"},
    {LISTENER DOMAIN "hostname = a-.b", "3: hostname:"},
    {LISTENER DOMAIN "hostname = -a.b", "3: hostname:"},
    {LISTENER DOMAIN "hostname = a.b.", "3: hostname:"},
    {LISTENER DOMAIN "recipient_delimiter = \"123456789\"", "3: recipient_delimiter: text of 9 "
                                                            "bytes where 0 to 8"},
    {LISTENER DOMAIN "recipient_delimiter = \"+a\"",
     "3: recipient_delimiter: only !#$%&'*+-/=?^_`{|}~. can separate"},
    {LISTENER DOMAIN "recipient_delimiter = \"\xC3\xA4\"", "3: recipient_delimiter: only "},
    {LISTENER DOMAIN "rules = \"\"", "3: rules: not a path"},
    {LISTENER DOMAIN "\nrules = \"/nonexistent\"",
     "4: rules: /nonexistent: No such file or directory"},
    {LISTENER DOMAIN "spool {\n\n segment_size = 1000 }", "5: segment_size: '1000' is outside "
                                                          "of 1mb to 1gb"},
    {LISTENER DOMAIN "spool { segment_size = 64m }", "3: segment_size: '64m' needs no unit or "
                                                     "one of b, kb, mb, gb, tb"},
    {LISTENER DOMAIN "spool { reserve = 17179869184gb }", "3: reserve: '17179869184gb' is "
                                                          "outside of"},
    {LISTENER DOMAIN "spool { durability = maybe }", "3: durability: 'maybe' is not one of "
                                                     "disk, os, none"},
    {LISTENER DOMAIN "limits { drain = 30 }", "3: drain: '30' needs one of the units ms, s"},
    {LISTENER DOMAIN "limits { drain = 2h }", "3: drain: '2h' is outside of 0ms to 1h"},
    {LISTENER DOMAIN "limits {\n buffers = 100 }", "4: buffers: 100 is not a power of two"},
    /* HOL-14: reading B is for a server that can queue and bounce */
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n offer = [standard, xrcpt250b] }",
     "3: offer: 'xrcpt250b' is not supported: it needs a relay"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n offer = [all, -foo] }",
     "3: offer: '-foo' is not one of standard, pipelining, 8bitmime, chunking, binarymime, "
     "enhancedstatuscodes, dsn, smtputf8, size, limits, prdr, deferrals, exdata, inline-dsn, "
     "xprdr1, "
     "adat, xrcpt250"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n unix_mode = 0999 }",
     "3: unix_mode: '0999' is not a file mode"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n unix_mode = 7777 }",
     "3: unix_mode: '7777' is not a file mode"},
    /* listeners */
    {DOMAIN, " no listener"},
    {DOMAIN "\nlistener a { }", "3: listener 'a' has no address"},
    {DOMAIN "listener a {\n address = 127.0.0.1:25 }", "3: address '127.0.0.1:25': must begin"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1\" }", "2: address 'smtp://127.0.0.1': "
                                                             "it must end in :PORT"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:65536\" }", "2: address "},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:\" }", "2: address "},
    {DOMAIN "listener a { address = \"smtp://[::1:25\" }", "2: address 'smtp://[::1:25': ']'"},
    {DOMAIN "listener a { address = \"smtp://[::x]:25\" }", "2: address 'smtp://[::x]:25': not "
                                                            "an IPv6 address"},
    {DOMAIN "listener a { address = \"smtp://mx.example.org:25\" }",
     "2: address 'smtp://mx.example.org:25': not a numeric IPv4 address"},
    {DOMAIN "listener a { address = \"smtp+unix:\" }", "2: address 'smtp+unix:': not a path"},
    /* LMTP-2 */
    {DOMAIN "listener a { address = \"lmtp://127.0.0.1:25\" }",
     "2: address 'lmtp://127.0.0.1:25': LMTP must not be spoken on port 25"},
    {DOMAIN LISTENER "listener b { address = \"smtp://127.0.0.1:2525\" }",
     "3: address 'smtp://127.0.0.1:2525': another listener has this address"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n offer = [all, -chunking] }",
     "3: offer: binarymime needs chunking"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n offer = smtputf8 }",
     "3: offer: smtputf8 needs 8bitmime"},
    /* LMTP-3 */
    {DOMAIN "listener a { address = \"lmtp://127.0.0.1:1\"\n offer = [all, -pipelining] }",
     "3: offer: LMTP needs pipelining"},
    {DOMAIN LISTENER "listener b { address = \"smtp://[::ffff:127.0.0.1]:2525\" }",
     "3: address 'smtp://[::ffff:127.0.0.1]:2525': another listener has this address"},
    /* said clearly, never done by half */
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n mixed = accept-and-bounce }",
     "3: mixed: 'accept-and-bounce' is not supported: it needs a relay"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n mixed = Accept-And-Quarantine }",
     "3: mixed: 'accept-and-quarantine' is not supported: it needs a relay"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n on_refusal = bounce }",
     "3: on_refusal: 'bounce' is not supported: it needs a relay"},
    {LISTENER DOMAIN "class a {\n action = bounce }",
     "4: action: 'bounce' is not supported: it needs a relay"},
    {DOMAIN "listener a { address = \"smtp://127.0.0.1:1\"\n mixed = one_class }",
     "3: mixed: 'one_class' is not one of worst, one-class; did you mean 'one-class'?"},
    /* time */
    {LISTENER DOMAIN "class a {\n delay = x }", "4: delay: 'x' is not a number"},
    {LISTENER DOMAIN "class a {\n delay = 30 }", "4: delay: '30' needs one of the units"},
    {LISTENER DOMAIN "class a {\n delay = 2h }", "4: delay: '2h' is outside of 0ms to 1h"},
    {LISTENER DOMAIN "class a {\n delay = gauss:3s }",
     "4: delay: 'gauss:3s' is neither a time nor uniform:TIME-TIME nor exp:TIME"},
    {LISTENER DOMAIN "class a {\n delay = uniform:10s }", "4: delay: uniform: needs two times"},
    {LISTENER DOMAIN "class a {\n delay = uniform:9s-8s }", "4: delay: uniform: the first time is "
                                                            "above the second"},
    {LISTENER DOMAIN "class a {\n delay = exp: }", "4: delay: '' is not a number"},
    {DOMAIN "class a {\n delay = 30s }\nlistener b { address = \"smtp://0.0.0.0:2525\" }",
     "3: delay: listener 'b' can be reached by others; confirm it there by allow_delays = yes"},
    {DOMAIN "class a {\n delay = 30s }\nlistener b { address = \"smtp://[::]:2525\" }",
     "3: delay: listener 'b' can be reached by others"},
    {DOMAIN LISTENER "listener b {\n address = \"smtp://192.0.2.1:25\"\n content_delay = 1min }",
     "5: content_delay: listener 'b' can be reached by others; confirm it by allow_delays = yes"},
    {LISTENER DOMAIN "client a {\n reply_budget = 25s }", "3: client 'a' has neither networks nor "
                                                          "helo"},
    {LISTENER DOMAIN "client a {\n helo = x }", "3: client 'a' has no reply_budget"},
    {LISTENER DOMAIN "client a {\n reply_budget = 25s\n helo = [x, \"\"] }",
     "5: helo: '' can be no name in EHLO, which is one word"},
    {LISTENER DOMAIN "client a {\n reply_budget = 25s\n networks = [10.0.0.0/8,\n 10.0.0.0/33] }",
     "6: networks: '10.0.0.0/33' is not an address or a network"},
    {LISTENER DOMAIN "client a { reply_budget = 25s; helo = x }\n"
                     "client a { reply_budget = 25s; helo = y }",
     "4: client 'a' given again"},
    {LISTENER DOMAIN "client { reply_budget = 25s }", "3: client needs a name"},
    /* classes */
    {LISTENER DOMAIN "\nclass default {\n action = reject }",
     "5: action: postmaster has class 'default' and must not be refused"},
    {LISTENER DOMAIN "class postmaster {\n action = defer; act_at = rcpt }",
     "4: action: postmaster has class 'postmaster' and must not be refused"},
    {LISTENER DOMAIN "class a { score_reject = 1.234 }", "3: score_reject: '1.234' is not a "
                                                         "score"},
    {LISTENER DOMAIN "class a { score_reject = 1. }", "3: score_reject: '1.' is not a score"},
    {LISTENER DOMAIN "class a { score_reject = x }", "3: score_reject: 'x' is not a score"},
    {LISTENER DOMAIN "class a { score_reject = 1000001 }", "3: score_reject: '1000001' is not"},
    {LISTENER DOMAIN "class a {\n score_defer = 15 }", "4: score_defer: not below "
                                                       "score_reject"},
    {LISTENER DOMAIN "class a { act_at = rcpt }", "3: act_at: rcpt needs action reject or "
                                                  "defer"},
    {LISTENER DOMAIN "class a { reject_reply = \"no\" }", "3: reject_reply: a reply is a code"},
    {LISTENER DOMAIN "class a { reject_reply = \"550\" }", "3: reject_reply: a reply is a"},
    {LISTENER DOMAIN "class a { reject_reply = \"550 \" }", "3: reject_reply: a reply is a"},
    {LISTENER DOMAIN "class a { reject_reply = \"5500 x\" }", "3: reject_reply: a reply is a"},
    {LISTENER DOMAIN "class a { reject_reply = \"450 4.7.1 x\" }", "3: reject_reply: reply "
                                                                   "code 450 does not fit"},
    {LISTENER DOMAIN "class a { reject_reply = \"521 x\" }", "3: reject_reply: reply code 521"},
    {LISTENER DOMAIN "class a { reject_reply = \"560 x\" }", "3: reject_reply: reply code 560"},
    {LISTENER DOMAIN "class a { defer_reply = \"550 x\" }", "3: defer_reply: reply code 550"},
    {LISTENER DOMAIN "class a { defer_reply = \"421 x\" }", "3: defer_reply: reply code 421"},
    {LISTENER DOMAIN "class a { accept_reply = \"251 x\" }", "3: accept_reply: reply code 251"},
    {LISTENER DOMAIN "class a { reject_reply = \"550 4.7.1 x\" }", "3: reject_reply: enhanced "
                                                                   "code must be 5.x.x"},
    {LISTENER DOMAIN "class a { reject_reply = \"550 5.7 x\" }", "3: reject_reply: enhanced"},
    {LISTENER DOMAIN "class a { reject_reply = \"550 5.7.1\" }", "3: reject_reply: enhanced"},
    {LISTENER DOMAIN "class a { reject_reply = \"550 5.7.1 \" }", "3: reject_reply: enhanced"},
    {LISTENER DOMAIN "class a { reject_reply = \"550 5.7.1 \xC3\xA4\" }",
     "3: reject_reply: reply text must be 1 to 440 printable ASCII"},
    {LISTENER DOMAIN "class a { reject_reply = \"550 a\\nb\" }", "3: reject_reply: reply text"},
    {LISTENER DOMAIN "class a { flags_reject = spam }", "3: flags_reject: 'spam' is not one"},
    /* domains and recipients */
    {LISTENER, " no domain"},
    {LISTENER "domain a.org {\n class = nowhere }", "3: class 'nowhere' is not defined"},
    {LISTENER "domain a.org { recipients = [any,\n alice] }", "3: recipients: nothing can "
                                                              "follow 'any'"},
    {LISTENER "domain a.org { recipients = [alice,\n bob,\n \"x y z\"] }",
     "4: recipients: unexpected text after the class: 'z'"},
    {LISTENER "domain a.org { recipients = [alice,\n \"alice b\"] }",
     "3: recipients: address given again with another class"},
    {LISTENER "domain a.org { recipients = \"\" }", "2: recipients: an entry without an "
                                                    "address"},
    {LISTENER "domain a.org { recipients = [\n\"alice nowhere\"] }",
     "3: recipients: class 'nowhere' is not defined"},
    {LISTENER "domain a.org { recipients = [\n\"file:missing\"] }", "3: recipients: /tmp/"},
    {LISTENER "domain a.org { recipients = \"lmdb:missing\" }", "2: recipients: /tmp/"},
    {LISTENER "domain a.org { recipients = \"file:\" }", "2: recipients: not a path"},
    {LISTENER "domain a.org { recipients = \"ldap:users\" }", "2: recipients: not an address: "
                                                              "'ldap:users'"},
    {LISTENER "local_part_case = exact\ndomain a.org { recipients = \"lmdb:users.lmdb\" }",
     "3: /tmp/"},
    {LISTENER "domain a.org { recipients = \"lmdb:users.lmdb\" }", "2: /tmp/"},
    {LISTENER "domain a.org { recipients = [a,\"file:ok\",a,\"file:ok\",a,\"file:ok\",a,"
              "\"file:ok\",a,\"file:ok\",a,\"file:ok\",a,\"file:ok\",a,\"file:ok\",\na] }",
     "3: recipients: more than 16 sources"},
};

static void errors_name_file_and_line(void **state)
{
    (void)state;
    char path[128], want[300];
    build_map();
    write_file("ok", "alice\n");
    path_in(path, "postern.conf");
    for (size_t i = 0; i < ARRAY_COUNT(error_rows); i++) {
        struct config *c = NULL;
        struct config_error error;
        write_file("postern.conf", error_rows[i].text);
        int err = config_load(path, NULL, &c, &error);
        snprintf(want, sizeof(want), "%s:%s", path, error_rows[i].want);
        if (err == 0 || strncmp(error.text, want, strlen(want)) != 0)
            print_error("got:  %s\nwant: %s\n", err == 0 ? "no error" : error.text, want);
        assert_true(err < 0);
        assert_null(c);
        assert_memory_equal(error.text, want, strlen(want));
        assert_int_equal(error.line, strtoul(error_rows[i].want, NULL, 10));
    }
}

static void delays_where_they_harm_nobody(void **state)
{
    (void)state;
    static const char *const rows[] = {
        DOMAIN LISTENER "class a { delay = 30s }",
        DOMAIN "listener a { address = \"smtp://[::1]:25\"; content_delay = exp:1min }",
        DOMAIN "listener a { address = \"lmtp+unix:/x\"; content_delay = uniform:1s-1s }",
        DOMAIN "listener a { address = \"smtp://0.0.0.0:25\"; allow_delays = yes }\n"
               "class a { delay = uniform:10s-50s }",
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct config *c = load(rows[i]);
        assert_true(c->listeners[0].options.may_delay);
        config_free(c);
    }
    struct config *c = load(DOMAIN "listener a { address = \"smtp://0.0.0.0:25\" }");
    assert_false(c->listeners[0].options.may_delay);
    config_free(c);
}

/* What there may be many of is bounded, and the one too many is named. */
static void too_many_sections(void **state)
{
    (void)state;
    static const struct {
        const char *section;
        uint32_t count_max;
        const char *want;
    } rows[] = {{"listener", CONFIG_LISTENER_COUNT_MAX, ":66: more than 64 listeners"},
                {"class", 1000, ":1002: more than 1000 classes"}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *text = NULL;
        size_t len = 0;
        struct config *c;
        struct config_error error;
        FILE *out = open_memstream(&text, &len);
        fputs("# first line\n", out);
        for (uint32_t k = 0; k <= rows[i].count_max; k++)
            fprintf(out, "%s x%u { }\n", rows[i].section, k);
        fclose(out);
        assert_int_equal(config_load_text(slice_of(text, len), "x", NULL, &c, &error), -EINVAL);
        assert_non_null(strstr(error.text, rows[i].want));
        free(text);
    }
}

static void maps_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {LISTENER CLASSES "local_part_case = exact\n"
                          "domain a.org { recipients = \"lmdb:users.lmdb\" }\n",
         "%s/postern.conf:4: %s/users.lmdb: the map was built for local_part_case = fold"},
        {LISTENER "domain a.org { recipients = [any,\n \"lmdb:users.lmdb\"] }\n",
         "%s/postern.conf:3: %s/users.lmdb: class 'strict' is not defined"},
        {LISTENER "domain a.org {\n recipients = \"lmdb:missing\" }\n",
         "%s/postern.conf:3: recipients: %s/missing: cannot open: No such file or directory"},
        {LISTENER "domain a.org {\n recipients = \"lmdb:postern.conf\" }\n",
         "%s/postern.conf:3: recipients: %s/postern.conf: "},
    };
    build_map();
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char path[128], want[300];
        struct config *c;
        struct config_error error;
        path_in(path, "postern.conf");
        write_file("postern.conf", rows[i].text);
        assert_true(config_load(path, NULL, &c, &error) < 0);
        snprintf(want, sizeof(want), rows[i].want, folder, folder);
        print_message("%s\n", error.text);
        assert_int_equal(strncmp(error.text, want, strlen(want)), 0);
    }
}

static void errors_in_recipient_files_name_them(void **state)
{
    (void)state;
    struct config *c;
    struct config_error error;
    char path[128], want[200];
    write_file("users", "alice\n\n# x\nnot an address\n");
    write_file("postern.conf", LISTENER "domain a.org { recipients = \"file:users\" }\n");
    path_in(path, "postern.conf");
    assert_int_equal(config_load(path, NULL, &c, &error), -EINVAL);
    snprintf(want, sizeof(want), "%s/users:4: unexpected text after the class: 'address'", folder);
    assert_string_equal(error.text, want);
    write_file("users", "alice\n# bob nowhere\nbob default\ncarol nowhere\n");
    assert_int_equal(config_load(path, NULL, &c, &error), -EINVAL);
    snprintf(want, sizeof(want), "%s/users:4: class 'nowhere' is not defined", folder);
    assert_string_equal(error.text, want);
    assert_int_equal(error.line, 4);
}

static void file_that_cannot_be_read(void **state)
{
    (void)state;
    struct config *c;
    struct config_error error;
    assert_int_equal(config_load("/nonexistent/postern.conf", NULL, &c, &error), -ENOENT);
    assert_string_equal(error.text, "/nonexistent/postern.conf: No such file or directory");
    assert_int_equal(config_load(folder, NULL, &c, &error), -EISDIR);
}

static void text_in_memory_is_a_file_too(void **state)
{
    (void)state;
    struct config *c;
    struct config_error error;
    assert_int_equal(config_load_text(SLICE_LIT("x"), "given.conf", NULL, &c, &error), -EINVAL);
    assert_string_equal(error.text, "given.conf:1: 'x' has no value");
    assert_int_equal(config_load_text(SLICE_LIT(LISTENER DOMAIN), "given.conf", NULL, &c, &error),
                     0);
    config_free(c);
    config_free(NULL);
}

/* --- without a file, and the command line --------------------------------------------------- */

static void without_a_file(void **state)
{
    (void)state;
    struct config *c;
    struct config_error error;
    const char *class_name;
    assert_int_equal(config_load(NULL, NULL, &c, &error), 0);
    assert_false(c->has_file);
    assert_int_equal(c->listener_count, 1);
    assert_string_equal(c->listeners[0].address, CONFIG_LISTEN_DEFAULT);
    assert_int_equal(ask(c, "whoever", "wherever.example", &class_name).status, STATUS_RCPT_OK);
    assert_string_equal(class_name, "default");
    round_trip(c);
    config_free(c);
}

static void without_a_file_only_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        const char *reason; /* NULL: good */
    } rows[] = {
        {"smtp://127.0.0.1:25", NULL},
        {"smtp://127.1.2.3:0", NULL},
        {"smtp://localhost:2525", NULL},
        {"smtp://[::1]:2525", NULL},
        {"smtp://[::ffff:127.0.0.1]:2525", NULL},
        {"lmtp://127.0.0.1:24", NULL},
        {"lmtp+unix:/run/postern.sock", NULL},
        {"smtp+unix:postern.sock", NULL},
        {"smtp://0.0.0.0:2525", "without a configuration file"},
        {"smtp://[::]:2525", "without a configuration file"},
        {"smtp://192.0.2.1:25", "without a configuration file"},
        {"smtp://[::ffff:192.0.2.1]:25", "without a configuration file"},
        {"smtp://[2001:db8::1]:25", "without a configuration file"},
        {"lmtp://127.0.0.1:25", "LMTP must not be spoken on port 25"},
        {"lmtp://[::1]:025", "LMTP must not be spoken on port 25"},
        {"smtp:127.0.0.1:25", "must begin with"},
        {"", "text of 0 bytes"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct config_overrides o = {.listen = &rows[i].address, .listen_count = 1};
        struct config *c = NULL;
        struct config_error error;
        int err = config_load(NULL, &o, &c, &error);
        if (rows[i].reason == NULL) {
            assert_int_equal(err, 0);
            assert_int_equal(c->listener_count, 1);
            round_trip(c);
            config_free(c);
            continue;
        }
        assert_int_equal(err, -EINVAL);
        assert_non_null(strstr(error.text, rows[i].reason));
        assert_int_equal(strncmp(error.text, "--listen: ", 10), 0);
    }
}

static void command_line_wins(void **state)
{
    (void)state;
    const char *const listen[] = {"smtp://127.0.0.1:0", "smtp://127.0.0.1:0",
                                  "smtp://0.0.0.0:2526"};
    const struct config_overrides o = {.listen = listen,
                                       .listen_count = 3,
                                       .spool = "/somewhere",
                                       .durability = "none",
                                       .shards = "3",
                                       .scan = "avx2",
                                       .hostname = "mx.example.net",
                                       .rules = "/dev/null"};
    struct config *c =
        load_with("hostname = a.b; shards = 2; spool { dir = x }\n" LISTENER DOMAIN, &o);
    assert_int_equal(c->listener_count, 3);
    assert_string_equal(c->listeners[2].name, "listen-3");
    assert_string_equal(c->listeners[2].address, "smtp://0.0.0.0:2526");
    assert_true(slice_eq(c->listeners[0].options.session.hostname, SLICE_LIT("mx.example.net")));
    assert_string_equal(c->spool.dir, "/somewhere");
    assert_int_equal(c->spool.durability, SPOOL_NONE);
    assert_int_equal(c->top.shard_count, 3);
    assert_string_equal(config_scan_isa(c), "avx2");
    assert_string_equal(c->top.rules_path, "/dev/null");
    round_trip(c);
    config_free(c);
}

static void command_line_is_checked(void **state)
{
    (void)state;
    const struct {
        struct config_overrides o;
        const char *want;
    } rows[] = {
        {{.durability = "maybe"}, "--durability: 'maybe' is not one of disk, os, none"},
        {{.shards = "0"}, "--shards: '0' is outside of 1 to 256"},
        {{.scan = "mmx"}, "--scan: 'mmx' is not one of"},
        {{.hostname = "x"}, "--hostname: 'x' is not a full domain name"},
        {{.spool = ""}, "--spool: not a path"},
        {{.rules = ""}, "--rules: not a path"},
        {{.rules = "/nonexistent"}, "--rules: /nonexistent: No such file or directory"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct config *c;
        struct config_error error;
        assert_true(config_load(NULL, &rows[i].o, &c, &error) < 0);
        assert_int_equal(strncmp(error.text, rows[i].want, strlen(rows[i].want)), 0);
    }
}

static void command_line_paths_start_at_the_working_folder(void **state)
{
    (void)state;
    const struct config_overrides o = {.spool = "spool"};
    char work[4096], want[5000];
    assert_non_null(getcwd(work, sizeof(work)));
    snprintf(want, sizeof(want), "%s/spool", work);
    struct config *c = load_with(LISTENER DOMAIN, &o);
    assert_string_equal(c->spool.dir, want);
    config_free(c);
}

/* --- reload, reference, example ------------------------------------------------------------- */

static void reload_names_what_it_cannot_change(void **state)
{
    (void)state;
    static const struct {
        const char *old, *new, *want;
        uint32_t count;
    } rows[] = {
        {LISTENER DOMAIN, LISTENER DOMAIN, "", 0},
        {LISTENER DOMAIN,
         LISTENER "rules = /dev/null; log { to = /l }\nclass a { }\n"
                  "domain example.com { recipients = x }\n",
         "", 0},
        {LISTENER DOMAIN, LISTENER DOMAIN "shards = 2; spool { dir = /x }", "shards, spool.dir", 2},
        {LISTENER DOMAIN,
         DOMAIN "listener in { address = \"smtp://127.0.0.1:2526\"; mixed = one-class }",
         "listener in.address, listener in.mixed", 2},
        {LISTENER DOMAIN, DOMAIN "listener out { address = \"smtp://127.0.0.1:2525\" }",
         "listener in, listener out", 2},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[200];
        struct buf out = buf_over(text, sizeof(text));
        struct config *old = load(rows[i].old);
        struct config *new = load(rows[i].new);
        assert_int_equal(config_reload_differences(old, new, &out), rows[i].count);
        assert_true(slice_eq(buf_slice(&out), slice_str(rows[i].want)));
        config_free(old);
        config_free(new);
    }
}

/* A value that is good and not the default. */
static const char *other_value(const struct knob *k)
{
    static char text[64];
    switch (k->type) {
    case KNOB_TEXT:
        if (strcmp(k->name, "address") == 0)
            return "smtp://127.0.0.1:2526";
        return strcmp(k->name, "class") == 0 ? "other" : "+";
    case KNOB_HOSTNAME:
        return "other.example.org";
    case KNOB_PATH:
        return "/dev/null";
    case KNOB_COUNT:
        snprintf(text, sizeof(text), "%llu",
                 (unsigned long long)(k->min < 64 ? 64 : k->min + 1)); /* a power of two */
        return text;
    case KNOB_SIZE:
        return k->max < 2 * GIB ? "2mb" : "2gb";
    case KNOB_TIME:
        return "59min";
    case KNOB_SCORE:
        return "1.5";
    case KNOB_MODE:
        return "0600";
    case KNOB_CHOICE:
        return strcmp(k->names[0].name, k->otherwise) == 0 ? k->names[1].name : k->names[0].name;
    case KNOB_FLAGS:
        return strcmp(k->otherwise, "all") == 0 ? "none" : "all";
    case KNOB_REPLY:
        snprintf(text, sizeof(text), "%llu Other", (unsigned long long)k->min);
        return text;
    case KNOB_TEXTS:
        return strcmp(k->name, "networks") == 0 ? "192.0.2.1" : "alice";
    case KNOB_DELAY:
        return "uniform:1s-2min";
    }
    UNREACHABLE();
}

/* Each setting, changed alone: it is reported, or the reference says that it is reloaded. */
static void each_setting_is_reloaded_or_reported(void **state)
{
    (void)state;
    static const char with_all[] =
        "hostname = mx.example.org; class default { }\n"
        "client in { networks = 10.0.0.0/8; helo = \"*.example\"; reply_budget = 25s }\n" LISTENER
            DOMAIN;
    struct config *old = load(with_all);
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct knob *k = &config_knobs[i];
        const struct config_section_row *row = &config_sections[k->section];
        struct config *new = load(with_all);
        struct knob_context context = {.memory = &new->memory, .base_dir = "/"};
        char text[200], want[200] = "";
        struct buf out = buf_over(text, sizeof(text));
        if (!knob_set_text(k, &context, config_record(new, (enum config_section)k->section, 0),
                           other_value(k)))
            fail_msg("%s: %s", k->name, context.reason);
        uint32_t count = config_reload_differences(old, new, &out);
        if (!k->is_reloadable)
            snprintf(want, sizeof(want), "%s%s%s%s", row->name, row->is_labelled ? " in" : "",
                     row->name[0] != '\0' ? "." : "", k->name);
        assert_int_equal(count, k->is_reloadable ? 0 : 1);
        assert_true(slice_eq(buf_slice(&out), slice_str(want)));
        config_free(new);
    }
    config_free(old);
}

/* What is reloaded is what server_replace() and the log take from a new configuration. */
static void settings_that_are_reloaded(void **state)
{
    (void)state;
    static const char *const top[] = {"rules", "recipient_delimiter", "local_part_case", "to"};
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct knob *k = &config_knobs[i];
        bool is_expected = k->section == CONFIG_CLASS || k->section == CONFIG_DOMAIN;
        for (size_t j = 0; j < ARRAY_COUNT(top); j++)
            is_expected |= k->section <= CONFIG_LOG && strcmp(k->name, top[j]) == 0;
        assert_int_equal(k->is_reloadable, is_expected);
    }
}

static void rows_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct knob *k = &config_knobs[i];
        assert_non_null(k->doc);
        assert_true(k->section < CONFIG_SECTION_COUNT);
        assert_true((k->type == KNOB_CHOICE || k->type == KNOB_FLAGS) == (k->names != NULL));
        assert_true((k->type == KNOB_REPLY) == (k->status != STATUS_NONE));
        assert_true(k->min <= k->max);
        for (size_t j = 0; j < i; j++)
            assert_false(config_knobs[j].section == k->section &&
                         strcmp(config_knobs[j].name, k->name) == 0);
    }
}

static void reference_has_every_setting(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_print_reference(out);
    fclose(out);
    for (size_t i = 0; i < config_knob_count; i++) {
        char want[64];
        snprintf(want, sizeof(want), "\n  %s: ", config_knobs[i].name);
        assert_non_null(strstr(text, want));
    }
    free(text);
}

/* The words of comments: without '#', line ends and more than one blank in a row. Room for all. */
static char *comment_words(const char *text)
{
    char *words = malloc(strlen(text) + 2);
    size_t len = 0;
    assert_non_null(words);
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        const char *c = line + strspn(line, " ");
        if (*c != '#')
            continue;
        for (c++; *c != '\n' && *c != '\0'; c++)
            if (*c != ' ' || (len > 0 && words[len - 1] != ' '))
                words[len++] = *c;
        if (len > 0 && words[len - 1] != ' ')
            words[len++] = ' ';
    }
    words[len] = '\0';
    return words;
}

/* What the reference says about a setting, as one line. */
static char *reference_words(const struct knob *k)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    fprintf(out, "%s: ", k->name);
    knob_print_doc(k, out);
    fprintf(out, "%s %s", k->is_reloadable ? "; reloaded on SIGHUP" : "", k->doc);
    fclose(out);
    return text;
}

static char *example_text(void)
{
    const char *path = getenv("POSTERN_CONF_EXAMPLE");
    assert_non_null(path);
    struct slice text;
    assert_int_equal(config_read_file(path, MIB, &text), 0);
    char *copy = strndup((const char *)text.ptr, text.len);
    assert_non_null(copy);
    free((void *)(uintptr_t)text.ptr);
    return copy;
}

/* The example says about each setting what the table says: type, range, default and meaning. */
static void example_tells_the_truth(void **state)
{
    (void)state;
    char *text = example_text();
    char *words = comment_words(text);
    for (size_t i = 0; i < config_knob_count; i++) {
        char *want = reference_words(&config_knobs[i]);
        char value[64];
        snprintf(value, sizeof(value), "%s = ", config_knobs[i].name);
        if (strstr(words, want) == NULL)
            print_error("not in the example: %s\n", want);
        assert_non_null(strstr(words, want));
        assert_non_null(strstr(text, value));
        free(want);
    }
    for (unsigned i = CONFIG_TOP + 1; i < CONFIG_SECTION_COUNT; i++)
        assert_non_null(strstr(words, config_sections[i].doc));
    free(words);
    free(text);
}

/* But for names and addresses, the values shown first are the defaults. */
static void example_shows_the_defaults(void **state)
{
    (void)state;
    static const char *const own[] = {"hostname", "address", "recipient_delimiter", "recipients"};
    struct config *c;
    struct config_error error;
    struct region memory = {0};
    assert_int_equal(config_load(getenv("POSTERN_CONF_EXAMPLE"), NULL, &c, &error), 0);
    assert_string_equal(c->listeners[0].name, "mx");
    assert_string_equal(c->classes[0].name, "default");
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct knob *k = &config_knobs[i];
        bool is_own = false;
        for (size_t j = 0; j < ARRAY_COUNT(own); j++)
            is_own |= strcmp(own[j], k->name) == 0;
        if (is_own || k->otherwise == NULL)
            continue;
        union { /* large enough for each section */
            struct config_listener listener;
            struct config_class class;
            struct config_domain domain;
            struct config whole;
        } other = {0};
        struct knob_context context = {.memory = &memory, .base_dir = "/"};
        char *texts[2] = {NULL, NULL};
        size_t len;
        const void *records[2] = {config_record(c, (enum config_section)k->section, 0), &other};
        assert_true(knob_set_text(k, &context, &other, k->otherwise));
        for (size_t j = 0; j < 2; j++) {
            FILE *out = open_memstream(&texts[j], &len);
            knob_print(k, records[j], out);
            fclose(out);
        }
        if (strcmp(texts[0], texts[1]) != 0)
            print_error("%s\n", k->name);
        assert_string_equal(texts[0], texts[1]);
        free(texts[0]);
        free(texts[1]);
    }
    region_free(&memory);
    config_free(c);
}

static void example_loads(void **state)
{
    (void)state;
    struct config *c;
    struct config_error error;
    const char *class_name;
    int err = config_load(getenv("POSTERN_CONF_EXAMPLE"), NULL, &c, &error);
    if (err < 0)
        print_error("%s\n", error.text);
    assert_int_equal(err, 0);
    assert_int_equal(ask(c, "alice+x", "example.org", &class_name).status, STATUS_RCPT_OK);
    assert_string_equal(class_name, "strict");
    assert_int_equal(ask(c, "dave", "example.org", &class_name).code, 550);
    assert_int_equal(ask(c, "postmaster", "", &class_name).status, STATUS_RCPT_OK);
    assert_string_equal(class_name, "postmaster");
    assert_int_equal(ask(c, "x", "a.lists.example.org", &class_name).status, STATUS_RCPT_OK);
    round_trip(c);
    config_free(c);
}

static void distance_of_names(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {
        {"", "", 0},       {"a", "", 1},     {"abc", "abc", 0},        {"ABC", "abc", 0},
        {"abc", "abd", 1}, {"abc", "bc", 1}, {"kitten", "sitting", 3}, {"listner", "listener", 1}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        assert_int_equal(knob_distance(slice_str(rows[i].a), slice_str(rows[i].b)),
                         rows[i].distance);
        assert_int_equal(knob_distance(slice_str(rows[i].b), slice_str(rows[i].a)),
                         rows[i].distance);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smallest_configuration_has_all_defaults),
        cmocka_unit_test(default_class_is_the_policys),
        cmocka_unit_test(every_kind_of_value),
        cmocka_unit_test(scan_flag_names_are_the_scans),
        cmocka_unit_test(sources_in_their_order),
        cmocka_unit_test(recipients_can_be_one_text),
        cmocka_unit_test(no_recipients_but_postmaster),
        cmocka_unit_test(postmaster_always_works),
        cmocka_unit_test(three_recipients_three_answers),
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(delays_where_they_harm_nobody),
        cmocka_unit_test(too_many_sections),
        cmocka_unit_test(maps_that_do_not_fit),
        cmocka_unit_test(errors_in_recipient_files_name_them),
        cmocka_unit_test(file_that_cannot_be_read),
        cmocka_unit_test(text_in_memory_is_a_file_too),
        cmocka_unit_test(without_a_file),
        cmocka_unit_test(without_a_file_only_loopback),
        cmocka_unit_test(command_line_wins),
        cmocka_unit_test(command_line_is_checked),
        cmocka_unit_test(command_line_paths_start_at_the_working_folder),
        cmocka_unit_test(reload_names_what_it_cannot_change),
        cmocka_unit_test(each_setting_is_reloaded_or_reported),
        cmocka_unit_test(settings_that_are_reloaded),
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(reference_has_every_setting),
        cmocka_unit_test(example_loads),
        cmocka_unit_test(example_tells_the_truth),
        cmocka_unit_test(example_shows_the_defaults),
        cmocka_unit_test(distance_of_names),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
