/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_test.c - recipient maps: built, looked up, dumped, damaged, and replaced under a reader.
 */
#include "policy/policy_build.h"
#include "policy/map.h"
#include "ctl_map.h"
#include "base/assert.h"
#include <dirent.h>
#include <errno.h>
#include <lmdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/postern-map-test-XXXXXX";

/* The path of @name there; the same pointer each time. */
static const char *in_folder(const char *name)
{
    static char paths[32][128];
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        if (paths[i][0] == '\0')
            memcpy(paths[i], path, sizeof(path));
        if (strcmp(paths[i], path) == 0)
            return paths[i];
    }
    UNREACHABLE();
}

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

static void write_file(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static char said_out[65536];
static char said_err[4096];

/* Runs "posternctl map ..." with what it says in said_out and said_err. */
static int ctl(const char *const *args)
{
    char *argv[12] = {(char *)(uintptr_t) "map"};
    int argc = 1;
    for (; args[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)args[argc - 1];
    memset(said_out, 0, sizeof(said_out));
    memset(said_err, 0, sizeof(said_err));
    FILE *out = fmemopen(said_out, sizeof(said_out), "w");
    FILE *err = fmemopen(said_err, sizeof(said_err), "w");
    int status = ctl_map_run(argc, argv, out, err);
    fclose(out);
    fclose(err);
    return status;
}
#define CTL(...) ctl((const char *const[]){__VA_ARGS__, NULL})

static void build(const char *text, const char *map)
{
    write_file(in_folder("source"), text, strlen(text));
    assert_int_equal(CTL("build", "--from", in_folder("source"), "--to", map), 0);
}

static size_t files_in_folder(void)
{
    size_t count = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        count += e->d_name[0] != '.';
    closedir(d);
    return count;
}

static const char sample[] = "# recipients\n"
                             "Zoe@Example.org strict\n"
                             "alice lax\n"
                             "bob@example.org\n"
                             "\"john doe\"@example.org lax\n"
                             "alice lax # again\n";

static void build_query_dump(void **state)
{
    (void)state;
    const char *map = in_folder("sample.lmdb");
    build(sample, map);
    assert_non_null(strstr(said_out, "4 recipients, 2 classes"));
    assert_int_equal(CTL("query", map, "zoe@example.ORG", "alice@anywhere.org"), 0);
    assert_string_equal(said_out, "zoe@example.ORG strict\nalice@anywhere.org lax\n");
    assert_int_equal(CTL("query", map, "bob@example.org", "bob@example.com"), 1);
    assert_string_equal(said_out, "bob@example.org\n");
    assert_non_null(strstr(said_err, "bob@example.com: not in the map"));
    assert_int_equal(CTL("query", map, "not@an@address"), 1);
    assert_int_equal(CTL("dump", map), 0);
    assert_string_equal(said_out, "alice lax\nbob@example.org\n\"john doe\"@example.org lax\n"
                                  "zoe@example.org strict\n");
}

static void dump_builds_the_same_map(void **state)
{
    (void)state;
    static char dumped[sizeof(said_out)];
    build("\"a@b\"@x.org c\n\"a@b\" d\n\"q\\\"\\\\\"@x.org\n\"#x\"@x.org\n\" \"@x.org\n"
          "x#y@x.org e\n\"a.\"@x.org\n",
          in_folder("one.lmdb"));
    assert_int_equal(CTL("dump", in_folder("one.lmdb")), 0);
    memcpy(dumped, said_out, sizeof(dumped));
    build(dumped, in_folder("two.lmdb"));
    assert_int_equal(CTL("dump", in_folder("two.lmdb")), 0);
    assert_string_equal(said_out, dumped);
}

static void exact_map_keeps_case(void **state)
{
    (void)state;
    const char *map = in_folder("exact.lmdb");
    write_file(in_folder("source"), sample, strlen(sample));
    assert_int_equal(CTL("build", "--case", "exact", "--from", in_folder("source"), "--to", map),
                     0);
    assert_int_equal(CTL("query", map, "Zoe@example.org"), 0);
    assert_int_equal(CTL("query", map, "zoe@example.org"), 1);
}

static void build_errors_leave_the_old_map(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"alice\nbob\nno address here\n", "source:3: unexpected text"},
        {"alice a\nbob\nALICE b\n", "source:3: address given again with another class (first in "
                                    "line 1)"},
        {"x b@d\n", "source:1: not a class name: 'b@d'"},
    };
    const char *map = in_folder("kept.lmdb");
    build("keep@x.org\n", map);
    size_t count = files_in_folder();
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        write_file(in_folder("source"), rows[i].text, strlen(rows[i].text));
        assert_int_equal(CTL("build", "--from", in_folder("source"), "--to", map), 1);
        assert_non_null(strstr(said_err, rows[i].said));
        assert_int_equal(CTL("query", map, "keep@x.org"), 0);
    }
    assert_int_equal(CTL("build", "--from", in_folder("missing"), "--to", map), 1);
    assert_non_null(strstr(said_err, "No such file"));
    write_file(in_folder("source"), "a\n", 2);
    assert_int_equal(CTL("build", "--from", in_folder("source"), "--to", in_folder("no/where")), 1);
    assert_non_null(strstr(said_err, "No such file"));
    assert_int_equal(files_in_folder(), count);
}

static void usage_is_status_2(void **state)
{
    (void)state;
    assert_int_equal(CTL("build"), 2);
    assert_int_equal(CTL("build", "--from", "x"), 2);
    assert_int_equal(CTL("build", "--from", "x", "--to"), 2);
    assert_int_equal(CTL("build", "--from", "x", "--to", "y", "--case", "odd"), 2);
    assert_int_equal(CTL("query", "x"), 2);
    assert_int_equal(CTL("dump"), 2);
    assert_int_equal(CTL("what"), 2);
    assert_non_null(strstr(said_err, "usage: posternctl map build"));
    assert_int_equal(CTL("--help"), 0);
    assert_non_null(strstr(said_out, "usage: posternctl map build"));
    assert_int_equal(CTL("build", "--help"), 0);
    assert_non_null(strstr(said_out, "usage: posternctl map build"));
}

static void open_fails(const char *path, const char *reason)
{
    struct table *t = NULL;
    struct table_error error;
    assert_true(table_new_map(path, &t, &error) < 0);
    assert_null(t);
    print_message("%s\n", error.reason);
    assert_non_null(strstr(error.reason, reason));
}

/* An LMDB file with one pair in it. */
static void foreign_map(const char *path, const char *key, size_t key_len, const char *value)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {key_len, (void *)(uintptr_t)key};
    MDB_val v = {strlen(value), (void *)(uintptr_t)value};
    unlink(path);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void what_is_no_map_is_refused(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "",
        "postern-map 2 fold\n0\n",
        "postern-map 1 fold\n",
        "postern-map 1 fold\nx\n",
        "postern-map 1 fold\n99999999999999999999\n",
        "postern-map 1 fold\n1\nnot a class\n",
    };
    open_fails(in_folder("missing"), "No such file");
    open_fails(folder, "not a regular file");
    write_file(in_folder("text"), "alice strict\n", 13);
    open_fails(in_folder("text"), "cannot open");
    write_file(in_folder("empty"), "", 0);
    open_fails(in_folder("empty"), "the file is empty");
    foreign_map(in_folder("foreign"), "a@x.org", 7, "ok");
    open_fails(in_folder("foreign"), "not a map made by");
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
        foreign_map(in_folder("foreign"), MAP_HEAD_KEY, MAP_HEAD_KEY_BYTES, heads[i]);
        open_fails(in_folder("foreign"), i < 2 ? "" : "head of the map is damaged");
    }
}

static void map_that_was_cut_short_is_refused(void **state)
{
    (void)state;
    struct stat st;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    for (int i = 0; i < 2000; i++)
        fprintf(out, "user%d@example.org\n", i);
    fclose(out);
    build(text, in_folder("cut.lmdb"));
    free(text);
    assert_int_equal(stat(in_folder("cut.lmdb"), &st), 0);
    assert_int_equal(truncate(in_folder("cut.lmdb"), st.st_size - 4096), 0);
    open_fails(in_folder("cut.lmdb"), "the file was cut short");
}

static struct policy *policy_with_map(const char *path, enum policy_build_result want)
{
    const struct policy_build_options options = {.folds_local = true};
    struct policy_build *b;
    struct policy_class c = policy_class_default();
    struct table *t;
    struct table_error error;
    struct slice unknown;
    uint16_t class_idx;
    uint32_t domain_idx, table_idx;
    assert_int_equal(policy_build_begin(&options, &b), 0);
    c.name = SLICE_LIT("lax");
    assert_int_equal(policy_build_class(b, &c, &class_idx), POLICY_BUILD_OK);
    assert_int_equal(policy_build_domain(b, SLICE_LIT("example.org"), 0, &domain_idx),
                     POLICY_BUILD_OK);
    assert_int_equal(table_new_map(path, &t, &error), 0);
    assert_int_equal(policy_build_table(b, t, &table_idx, &unknown), want);
    if (want != POLICY_BUILD_OK) {
        table_free(t);
        policy_build_abort(b);
        return NULL;
    }
    assert_int_equal(policy_build_source_table(b, domain_idx, table_idx), POLICY_BUILD_OK);
    struct policy *p;
    assert_int_equal(policy_build_finish(b, &p), 0);
    return p;
}

static enum status ask(const struct policy *p, const char *local, uint16_t *ret_class_idx)
{
    const struct path path = {.local = slice_str(local), .domain = SLICE_LIT("example.org")};
    struct policy_rcpt decided = policy_rcpt(p, &path, 0);
    *ret_class_idx = decided.class_idx;
    return decided.answer.status;
}

/* What a reload does: the old policy goes on with the old file, the new one sees the new. */
static void map_is_replaced_under_a_reader(void **state)
{
    (void)state;
    const char *map = in_folder("live.lmdb");
    struct policy *old_view, *new_view;
    uint16_t class_idx;
    build("alice lax\nbob\n", map);
    struct policy *old = policy_with_map(map, POLICY_BUILD_OK);
    assert_int_equal(policy_view_new(old, &old_view), 0);
    build("bob lax\ncarol\n", map);
    struct policy *new = policy_with_map(map, POLICY_BUILD_OK);
    assert_int_equal(policy_view_new(new, &new_view), 0);
    policy_unref(old);
    policy_unref(new);
    assert_int_equal(ask(old_view, "Alice", &class_idx), STATUS_RCPT_OK);
    assert_int_equal(class_idx, 1);
    assert_int_equal(ask(old_view, "bob", &class_idx), STATUS_RCPT_OK);
    assert_int_equal(class_idx, 0);
    assert_int_equal(ask(old_view, "carol", &class_idx), STATUS_NO_SUCH_USER);
    assert_int_equal(ask(new_view, "alice", &class_idx), STATUS_NO_SUCH_USER);
    assert_int_equal(ask(new_view, "bob", &class_idx), STATUS_RCPT_OK);
    assert_int_equal(class_idx, 1);
    assert_int_equal(unlink(map), 0);
    policy_unref(old_view);
    assert_int_equal(ask(new_view, "carol", &class_idx), STATUS_RCPT_OK);
    policy_unref(new_view);
}

static void map_with_unknown_class_is_refused(void **state)
{
    (void)state;
    build("alice nowhere\n", in_folder("unknown.lmdb"));
    assert_null(policy_with_map(in_folder("unknown.lmdb"), POLICY_BUILD_UNKNOWN_CLASS));
}

/* A value that is no class of the map: the recipient is told to come back, nobody else suffers. */
static void damaged_entry_defers(void **state)
{
    (void)state;
    const char *path = in_folder("odd.lmdb");
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    uint16_t class_idx;
    build("alice lax\nbob\n", path);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    MDB_val k = {6, (void *)(uintptr_t) "alice@"};
    MDB_val v = {2, (void *)(uintptr_t) "\x02\x00"};
    assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    struct policy *p = policy_with_map(path, POLICY_BUILD_OK);
    assert_int_equal(ask(p, "alice", &class_idx), STATUS_LOCAL_ERROR);
    assert_int_equal(ask(p, "bob", &class_idx), STATUS_RCPT_OK);
    assert_int_equal(ask(p, "postmaster", &class_idx), STATUS_RCPT_OK);
    policy_unref(p);
    assert_int_equal(CTL("dump", path), 1);
    assert_non_null(strstr(said_err, "the map is damaged"));
    assert_int_equal(CTL("query", path, "alice"), 1);
}

static void map_of_100000_entries(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    char *text = NULL;
    size_t len = 0;
    uint16_t class_idx;
    FILE *out = open_memstream(&text, &len);
    for (int i = COUNT; i > 0; i--)
        fprintf(out, "User%d@Example.org%s\n", i, i % 2 == 0 ? " lax" : "");
    fclose(out);
    write_file(in_folder("source"), text, len);
    free(text);
    assert_int_equal(CTL("build", "--from", in_folder("source"), "--to", in_folder("large.lmdb")),
                     0);
    assert_non_null(strstr(said_out, "100000 recipients, 1 classes"));
    struct policy *p = policy_with_map(in_folder("large.lmdb"), POLICY_BUILD_OK);
    for (int i = 1; i <= COUNT; i += 7) {
        char local[20];
        snprintf(local, sizeof(local), "user%d", i);
        assert_int_equal(ask(p, local, &class_idx), STATUS_RCPT_OK);
        assert_int_equal(class_idx, i % 2 == 0 ? 1 : 0);
        snprintf(local, sizeof(local), "user%dx", i);
        assert_int_equal(ask(p, local, &class_idx), STATUS_NO_SUCH_USER);
    }
    policy_unref(p);
}

static void empty_map_knows_nobody(void **state)
{
    (void)state;
    uint16_t class_idx;
    build("", in_folder("nobody.lmdb"));
    struct policy *p = policy_with_map(in_folder("nobody.lmdb"), POLICY_BUILD_OK);
    assert_int_equal(ask(p, "alice", &class_idx), STATUS_NO_SUCH_USER);
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(build_query_dump),
        cmocka_unit_test(dump_builds_the_same_map),
        cmocka_unit_test(exact_map_keeps_case),
        cmocka_unit_test(build_errors_leave_the_old_map),
        cmocka_unit_test(usage_is_status_2),
        cmocka_unit_test(what_is_no_map_is_refused),
        cmocka_unit_test(map_that_was_cut_short_is_refused),
        cmocka_unit_test(map_is_replaced_under_a_reader),
        cmocka_unit_test(map_with_unknown_class_is_refused),
        cmocka_unit_test(damaged_entry_defers),
        cmocka_unit_test(map_of_100000_entries),
        cmocka_unit_test(empty_map_knows_nobody),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
