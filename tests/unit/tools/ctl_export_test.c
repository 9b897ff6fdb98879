/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_export_test.c - "posternctl spool export": the bytes of each format, at any split of the
 * content, and what happens when a file cannot be written.
 */
#include "../../support/ctltest.h"
#include "base/assert.h"
#include "ctl_format.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <signal.h>
#include <cmocka.h>

#define TRACE_CRLF                                                                                 \
    "Return-Path: <ann@example.com>\r\n"                                                           \
    "Received: from client.example ([192.0.2.1])\r\n\tby mx.example\r\n"
#define TRACE_LF                                                                                   \
    "Return-Path: <ann@example.com>\n"                                                             \
    "Received: from client.example ([192.0.2.1])\n\tby mx.example\n"
#define FROM "From ann@example.com Fri Jan 15 08:00:00 2027\n"

static void assert_file(const char *name, struct slice want)
{
    size_t len = 0;
    char *text = spoolmaker_read(&ctltest_spool, name, &len);
    if (text == NULL)
        fail_msg("%s is not there", name);
    if (!slice_eq(slice_of(text, len), want))
        fail_msg("%s is '%s' and not '%.*s'", name, text, (int)want.len, (const char *)want.ptr);
    free(text);
}

/* Names in a folder below the root, hidden ones too; the last one is kept. */
static unsigned files_in(const char *name, char ret_last[256])
{
    char path[256];
    unsigned count = 0;
    snprintf(path, sizeof(path), "%s/%s", ctltest_spool.root, name);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(ret_last, 256, "%s", e->d_name);
        count++;
    }
    closedir(dir);
    return count;
}

static const struct {
    const char *what;
    struct slice content, mbox, maildir; /* behind the trace */
} rows[] = {
    {"plain", SLICE_INIT("Subject: x\r\n\r\nHello\r\n"), SLICE_INIT("Subject: x\n\nHello\n\n"),
     SLICE_INIT("Subject: x\n\nHello\n")},
    {"empty", SLICE_INIT(""), SLICE_INIT("\n"), SLICE_INIT("")},
    {"dots", SLICE_INIT("\r\n.\r\n..\r\n.x\r\n"), SLICE_INIT("\n.\n..\n.x\n\n"),
     SLICE_INIT("\n.\n..\n.x\n")},
    {"8-bit and NUL", SLICE_INIT("\r\n\xff\0\x80\r\n"), SLICE_INIT("\n\xff\0\x80\n\n"),
     SLICE_INIT("\n\xff\0\x80\n")},
    {"no final line end", SLICE_INIT("A: b\r\n\r\nlast"), SLICE_INIT("A: b\n\nlast\n\n"),
     SLICE_INIT("A: b\n\nlast")},
    {"bare CR and LF", SLICE_INIT("a\rb\nc\r\r\nd\r"), SLICE_INIT("a\rb\nc\r\nd\r\n\n"),
     SLICE_INIT("a\rb\nc\r\nd\r")},
    {"From lines",
     SLICE_INIT("From a\r\n>From b\r\n>>>From c\r\nFromage\r\n From d\r\nFrom\r\n"
                ">>Fro\r\nx From \r\nFroFrom \r\n>\r\nFrom "),
     SLICE_INIT(">From a\n>>From b\n>>>>From c\nFromage\n From d\nFrom\n>>Fro\nx From \nFroFrom \n"
                ">\n>From \n\n"),
     SLICE_INIT("From a\n>From b\n>>>From c\nFromage\n From d\nFrom\n>>Fro\nx From \nFroFrom \n>\n"
                "From ")},
    {"From behind a bare LF, and behind a bare CR", SLICE_INIT("a\nFrom b\rFrom c\r\n"),
     SLICE_INIT("a\n>From b\rFrom c\n\n"), SLICE_INIT("a\nFrom b\rFrom c\n")},
    {"ends within From", SLICE_INIT("x\r\n>Fro"), SLICE_INIT("x\n>Fro\n\n"), SLICE_INIT("x\n>Fro")},
    {"Return-Path of the sender's", SLICE_INIT("Return-Path: <evil@example>\r\n\r\n"),
     SLICE_INIT("Return-Path: <evil@example>\n\n\n"),
     SLICE_INIT("Return-Path: <evil@example>\n\n")},
};

static void format_is_the_same_at_any_split(void **state)
{
    (void)state;
    const struct spool_envelope e = spoolmaker_envelope(NULL, 0);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct slice in = rows[i].content;
        const struct {
            const char *head;
            struct slice want;
        } formats[] = {
            [CTL_FORMAT_EML] = {TRACE_CRLF, in},
            [CTL_FORMAT_MBOX] = {FROM TRACE_LF, rows[i].mbox},
            [CTL_FORMAT_MAILDIR] = {TRACE_LF, rows[i].maildir},
        };
        for (size_t kind = 0; kind < ARRAY_COUNT(formats); kind++) {
            for (size_t step = 1; step <= in.len + 1; step++) {
                char *text = NULL;
                size_t len = 0;
                FILE *f = open_memstream(&text, &len);
                struct ctl_format format;
                ctl_format_begin(&format, f, (enum ctl_format_kind)kind, &e);
                for (size_t at = 0; at < in.len; at += step)
                    ctl_format_put(&format, slice_first(slice_from(in, at), step));
                ctl_format_end(&format);
                fclose(f);
                size_t head_len = strlen(formats[kind].head);
                assert_int_equal(len, head_len + formats[kind].want.len);
                assert_memory_equal(text, formats[kind].head, head_len);
                assert_true(
                    slice_eq(slice_of(text + head_len, len - head_len), formats[kind].want));
                free(text);
            }
        }
    }
}

static struct slice joined(const char *head, struct slice rest)
{
    static char text[1024];
    size_t len = strlen(head);
    assert_true(len + rest.len <= sizeof(text));
    memcpy(text, head, len);
    if (rest.len > 0)
        memcpy(text + len, rest.ptr, rest.len);
    return slice_of(text, len + rest.len);
}

static void files_byte_for_byte(void **state)
{
    (void)state;
    uint64_t ids[ARRAY_COUNT(rows)];
    char name[512];
    char last[256];
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        ids[i] = ctltest_add(rows[i].content, i % 4);
    assert_int_equal(ctltest_run("export --spool %%S --format eml --to %%R/eml --all"), 0);
    ctltest_assert_said(ctltest_spool.out, "%zu messages exported to %s/eml\n", ARRAY_COUNT(rows),
                        ctltest_spool.root);
    assert_string_equal(ctltest_spool.err, "");
    assert_int_equal(files_in("eml", last), ARRAY_COUNT(rows));
    assert_int_equal(ctltest_run("export --spool %%S --format mbox --to %%R/mbox --all"), 0);
    assert_int_equal(files_in("mbox", last), ARRAY_COUNT(rows));
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        snprintf(name, sizeof(name), "eml/%s.eml", ctltest_id(ids[i]));
        assert_file(name, joined(TRACE_CRLF, rows[i].content));
        snprintf(name, sizeof(name), "mbox/%s.mbox", ctltest_id(ids[i]));
        assert_file(name, joined(FROM TRACE_LF, rows[i].mbox));
        snprintf(name, sizeof(name), "maildir%zu", i);
        assert_int_equal(ctltest_run("export --spool %%S --format maildir --to %%R/%s %s", name,
                                     ctltest_id(ids[i])),
                         0);
        assert_int_equal(files_in(name, last), 3);
        snprintf(name, sizeof(name), "maildir%zu/tmp", i);
        assert_int_equal(files_in(name, last), 0);
        snprintf(name, sizeof(name), "maildir%zu/cur", i);
        assert_int_equal(files_in(name, last), 0);
        snprintf(name, sizeof(name), "maildir%zu/new", i);
        assert_int_equal(files_in(name, last), 1);
        /* seconds.MmicrosecondsPprocessQqueue-id.host, without ":" and "/" */
        char want[128];
        snprintf(want, sizeof(want), "1800000005.M000007P%dQ%s.", (int)getpid(),
                 ctltest_id(ids[i]));
        assert_memory_equal(last, want, strlen(want));
        assert_null(strchr(last, ':'));
        snprintf(name, sizeof(name), "maildir%zu/new/%s", i, last);
        assert_file(name, joined(TRACE_LF, rows[i].maildir));
        struct stat st;
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s", ctltest_spool.root, name);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void senders(void **state)
{
    (void)state;
    static const struct {
        const char *sender, *from, *return_path;
    } senders[] = {
        {"", "From MAILER-DAEMON Fri", "Return-Path: <>\n"},
        {"\"a b\"@x", "From \"a-b\"@x Fri", "Return-Path: <\"a b\"@x>\n"},
        {"m\xc3\xbcl@x", "From m\xc3\xbcl@x Fri", "Return-Path: <m\xc3\xbcl@x>\n"},
        /* What no parser lets through makes no line of its own. */
        {"a\r\nEvil: x", "From a--Evil:-x Fri", "Return-Path: <a\?\?Evil: x>\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(senders); i++) {
        char *text = NULL;
        char want[256];
        size_t len = 0;
        FILE *f = open_memstream(&text, &len);
        struct spool_envelope e = spoolmaker_envelope(NULL, 0);
        struct ctl_format format;
        e.reverse_path = slice_str(senders[i].sender);
        e.received_at = (wall_us)1772323200 * 1000000; /* 2026-03-01: a day of one digit */
        ctl_format_begin(&format, f, CTL_FORMAT_MBOX, &e);
        fclose(f);
        snprintf(want, sizeof(want),
                 "%.*sSun Mar  1 00:00:00 2026\n%sReceived: ", (int)strlen(senders[i].from) - 3,
                 senders[i].from, senders[i].return_path);
        assert_memory_equal(text, want, strlen(want));
        free(text);
    }
}

static void which_messages(void **state)
{
    (void)state;
    char last[256];
    const struct spool_rcpt rcpts[] = {spoolmaker_rcpt("a@example.org", SPOOL_RCPT_ACTIVE),
                                       spoolmaker_rcpt("h@example.org", SPOOL_RCPT_HELD)};
    uint64_t both =
        spoolmaker_add(&ctltest_spool, spoolmaker_envelope(rcpts, 2), SLICE_LIT("x\r\n"), 0);
    uint64_t active = ctltest_add(SLICE_LIT("y\r\n"), 0);
    assert_int_equal(ctltest_run("export --spool %%S --format eml --to %%R/held --held"), 0);
    ctltest_assert_said(ctltest_spool.out, "1 messages exported to %s/held\n", ctltest_spool.root);
    assert_int_equal(files_in("held", last), 1);
    assert_memory_equal(last, ctltest_id(both), QUEUE_ID_CHARS);
    /* Named twice is exported once; an unknown one is an error, the others are exported. */
    assert_int_equal(ctltest_run("export --spool %%S --format EML --to %%R/named %s %s %s",
                                 ctltest_id(active), ctltest_id(active + 999), ctltest_id(active)),
                     1);
    ctltest_assert_said(ctltest_spool.out, "1 messages exported to %s/named\n", ctltest_spool.root);
    ctltest_assert_said(ctltest_spool.err, "posternctl: %s: no such message\n",
                        ctltest_id(active + 999));
    assert_int_equal(files_in("named", last), 1);
    assert_memory_equal(last, ctltest_id(active), QUEUE_ID_CHARS);
    /* Nothing named is everything. */
    assert_int_equal(ctltest_run("export --spool %%S --format eml --to %%R/all"), 0);
    assert_int_equal(files_in("all", last), 2);
    assert_int_equal(ctltest_run("list --spool %%S --ids"), 0); /* the spool is as it was */
    ctltest_assert_said(ctltest_spool.out, "%s\n%s\n", ctltest_id(both), ctltest_id(active));
}

static void existing_files_are_kept(void **state)
{
    (void)state;
    char name[128];
    char last[256];
    uint64_t one = ctltest_add(SLICE_LIT("x\r\n"), 0);
    assert_int_equal(ctltest_run("export --spool %%S --format mbox --to %%R/to --all"), 0);
    uint64_t two = ctltest_add(SLICE_LIT("y\r\n"), 0);
    snprintf(name, sizeof(name), "%s/to/%s.mbox", ctltest_spool.root, ctltest_id(one));
    FILE *f = fopen(name, "we");
    assert_non_null(f);
    fputs("mine", f);
    fclose(f);
    assert_int_equal(ctltest_run("export --spool %%S --format mbox --to %%R/to --all"), 1);
    ctltest_assert_said(ctltest_spool.err,
                        "posternctl: %s: not exported: the file exists already\n", ctltest_id(one));
    ctltest_assert_said(ctltest_spool.out, "1 messages exported to %s/to\n", ctltest_spool.root);
    assert_int_equal(files_in("to", last), 2);
    snprintf(name, sizeof(name), "to/%s.mbox", ctltest_id(one));
    assert_file(name, SLICE_LIT("mine"));
    snprintf(name, sizeof(name), "to/%s.mbox", ctltest_id(two));
    assert_file(name, joined(FROM TRACE_LF, SLICE_LIT("y\n\n")));
}

static void damaged_message_leaves_no_file(void **state)
{
    (void)state;
    char name[128];
    char last[256];
    char want[256];
    static char large[200000];
    memset(large, 'x', sizeof(large));
    memcpy(large + sizeof(large) - 10, "to damage", 9);
    /* The first pieces are right, and are written before the last is read. */
    uint64_t bad = ctltest_add(slice_of(large, sizeof(large)), 50000);
    uint64_t good = ctltest_add(SLICE_LIT("ok\r\n"), 0);
    spoolmaker_stop(&ctltest_spool);
    assert_int_equal(spoolmaker_damage(&ctltest_spool, SLICE_LIT("to damage")), 1);
    static const char *const formats[] = {"eml", "mbox", "maildir"};
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++) {
        assert_int_equal(
            ctltest_run("export --spool %%S --format %s --to %%R/%s --all", formats[i], formats[i]),
            1);
        snprintf(want, sizeof(want), "posternctl: %s: content is missing or damaged: %s/00-0",
                 ctltest_id(bad), ctltest_spool.spool);
        assert_memory_equal(ctltest_spool.err, want, strlen(want));
        ctltest_assert_said(ctltest_spool.out, "1 messages exported to %s/%s\n", ctltest_spool.root,
                            formats[i]);
    }
    assert_int_equal(files_in("eml", last), 1);
    assert_int_equal(files_in("mbox", last), 1);
    assert_int_equal(files_in("maildir/tmp", last), 0);
    assert_int_equal(files_in("maildir/new", last), 1);
    snprintf(name, sizeof(name), "eml/%s.eml", ctltest_id(good));
    assert_file(name, joined(TRACE_CRLF, SLICE_LIT("ok\r\n")));
}

static void target_that_cannot_be_written(void **state)
{
    (void)state;
    char last[256];
    char path[256];
    for (int i = 0; i < 3; i++)
        ctltest_add(SLICE_LIT("x\r\n"), 0);
    assert_int_equal(ctltest_run("export --spool %%S --format eml --to %%R/no/where --all"), 1);
    ctltest_assert_said(ctltest_spool.err,
                        "posternctl: cannot write %s/no/where: No such file or directory\n",
                        ctltest_spool.root);
    assert_string_equal(ctltest_spool.out, "");
    snprintf(path, sizeof(path), "%s/file", ctltest_spool.root);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(ctltest_run("export --spool %%S --format maildir --to %%R/file --all"), 1);
    ctltest_assert_said(ctltest_spool.err, "posternctl: cannot write %s/file: Not a directory\n",
                        ctltest_spool.root);
    /* A full disk, as a limit of file size; it hits in the first file, and no other is tried. */
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit tight = {20, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int status = ctltest_run("export --spool %%S --format eml --to %%R/full --all");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, 1);
    assert_non_null(strstr(ctltest_spool.err, ".eml: File too large\n"));
    assert_non_null(strstr(ctltest_spool.err, "\nposternctl: 2 more messages were not exported\n"));
    ctltest_assert_said(ctltest_spool.out, "0 messages exported to %s/full\n", ctltest_spool.root);
    assert_int_equal(files_in("full", last), 0);
    if (geteuid() == 0) /* whom no mode stops */
        return;
    snprintf(path, sizeof(path), "%s/readonly", ctltest_spool.root);
    assert_int_equal(mkdir(path, 0500), 0);
    assert_int_equal(ctltest_run("export --spool %%S --format eml --to %%R/readonly --held"), 0);
    assert_int_equal(ctltest_run("export --spool %%S --format eml --to %%R/readonly --all"), 1);
    assert_non_null(strstr(ctltest_spool.err, ": Permission denied\n"));
}

/* --- the corpus ---------------------------------------------------------------------------- */

#define CORPUS_MAX 200

struct bytes {
    char *ptr; /* malloc() */
    size_t len;
};

/* Line ends LF become CRLF; with @is_mbox also one ">" less before "From ", as mboxrd readers do.
 */
static struct bytes crlf_made(struct bytes in, bool is_mbox)
{
    struct bytes made = {NULL, 0};
    FILE *f = open_memstream(&made.ptr, &made.len);
    assert_non_null(f);
    for (size_t at = 0; at < in.len;) {
        const char *line = in.ptr + at;
        const char *end = memchr(line, '\n', in.len - at);
        size_t len = end != NULL ? (size_t)(end - line) : in.len - at;
        size_t quotes = 0;
        at += len + 1;
        while (quotes < len && line[quotes] == '>')
            quotes++;
        bool is_quoted =
            is_mbox && quotes > 0 && len - quotes >= 5 && memcmp(line + quotes, "From ", 5) == 0;
        fwrite(line + is_quoted, 1, len - is_quoted, f);
        if (end != NULL)
            fputs(!is_mbox && len > 0 && line[len - 1] == '\r' ? "\n" : "\r\n", f);
    }
    fclose(f);
    return made;
}

/* The only file of a folder below the root. */
static struct bytes only_file(const char *folder)
{
    char name[512];
    char last[256];
    struct bytes b;
    assert_int_equal(files_in(folder, last), 1);
    snprintf(name, sizeof(name), "%s/%s", folder, last);
    b.ptr = spoolmaker_read(&ctltest_spool, name, &b.len);
    assert_non_null(b.ptr);
    return b;
}

static void assert_content(struct bytes file, size_t skip, struct bytes content, size_t behind)
{
    assert_int_equal(file.len, skip + content.len + behind);
    assert_memory_equal(file.ptr + skip, content.ptr, content.len);
    free(file.ptr);
}

/* In, and out in each format: the content is the same once line ends are CRLF. */
static void corpus_one(const char *path, unsigned number)
{
    struct bytes file;
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    file.ptr = malloc(1 << 20);
    assert_non_null(file.ptr);
    file.len = fread(file.ptr, 1, 1 << 20, f);
    fclose(f);
    struct bytes content = crlf_made(file, false);
    free(file.ptr);
    uint64_t queue_id = ctltest_add(slice_of(content.ptr, content.len), 777);
    static const char *const formats[] = {"eml", "mbox", "maildir"};
    char folders[3][32];
    for (size_t i = 0; i < 3; i++) {
        snprintf(folders[i], sizeof(folders[i]), "%s%u", formats[i], number);
        assert_int_equal(ctltest_run("export --spool %%S --format %s --to %%R/%s %s", formats[i],
                                     folders[i], ctltest_id(queue_id)),
                         0);
    }
    size_t behind = content.len > 0 && content.ptr[content.len - 1] == '\n' ? 0 : 2;
    assert_content(only_file(folders[0]), strlen(TRACE_CRLF), content, 0);
    struct bytes mbox = only_file(folders[1]);
    assert_memory_equal(mbox.ptr, FROM, strlen(FROM));
    assert_content(crlf_made(mbox, true), strlen(FROM) + 1 + strlen(TRACE_CRLF), content,
                   behind + 2);
    free(mbox.ptr);
    snprintf(folders[2], sizeof(folders[2]), "maildir%u/new", number);
    struct bytes maildir = only_file(folders[2]);
    assert_content(crlf_made(maildir, true), strlen(TRACE_CRLF), content, 0);
    free(maildir.ptr);
    free(content.ptr);
}

static void corpus_comes_out_as_it_went_in(void **state)
{
    (void)state;
    const char *corpus = getenv("POSTERN_CORPUS");
    if (corpus == NULL)
        skip();
    unsigned count = 0;
    DIR *dir = opendir(corpus);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[1024];
        size_t len = strlen(e->d_name);
        snprintf(path, sizeof(path), "%s/%s", corpus, e->d_name);
        if (len > 4 && strcmp(e->d_name + len - 4, ".eml") == 0)
            corpus_one(path, count++);
    }
    closedir(dir);
    assert_int_equal(count, 103);
    assert_int_equal(ctltest_run("verify --spool %%S"), 0);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, ctltest_setup, ctltest_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_is_the_same_at_any_split),
        cmocka_unit_test(senders),
        ROW(files_byte_for_byte),
        ROW(which_messages),
        ROW(existing_files_are_kept),
        ROW(damaged_message_leaves_no_file),
        ROW(target_that_cannot_be_written),
        ROW(corpus_comes_out_as_it_went_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
