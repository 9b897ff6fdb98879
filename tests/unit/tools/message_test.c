/* SPDX-License-Identifier: Apache-2.0 */
/* message_test.c - generated messages are legal, of the size drawn, and the same each time; those
 * of a corpus are sent as a mail server would. */
#include "load/body.h"
#include "load/corpus.h"
#include "load/message.h"
#include "base/err.h"
#include "smtp/data.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct message_options options_of(enum message_body body, uint64_t low, uint64_t high)
{
    return (struct message_options){
        .run = 0xABCDEF,
        .seed = 11,
        .hostname = "load.example",
        .body = body,
        .size = {.kind = DIST_UNIFORM, .low = low, .high = high},
        .rcpt_count = {.kind = DIST_UNIFORM, .low = 1, .high = 5},
        .sender = "from%s@load.example",
        .rcpt = "user%n@example",
        .rcpt_users = 100,
        .adds_identity = true,
    };
}

static struct message_set *set_of(const struct message_options *options)
{
    char text[512] = "";
    struct message_set *set;
    if (message_set_new(options, &set, text, sizeof(text)) != 0)
        fail_msg("%s", text);
    return set;
}

/* A message as one piece of memory; the caller frees it. */
struct whole {
    struct message m;
    uint8_t *ptr;
    size_t head_bytes;
};

static struct whole make(const struct message_set *set, uint64_t seq)
{
    uint8_t memory[MESSAGE_HEAD_BYTES_MAX];
    struct buf head = buf_over(memory, sizeof(memory));
    struct whole w;
    size_t len = 0;
    message_make(set, seq, &head, &w.m);
    assert_true(w.m.content_count <= MESSAGE_SLICES_MAX);
    w.ptr = malloc(w.m.content_bytes + 1);
    for (uint32_t i = 0; i < w.m.content_count; i++) {
        assert_true(w.m.content[i].len > 0);
        assert_true(!w.m.is_plain || data_is_plain(w.m.content[i]));
        assert_true(len + w.m.content[i].len <= w.m.content_bytes);
        memcpy(w.ptr + len, w.m.content[i].ptr, w.m.content[i].len);
        len += w.m.content[i].len;
    }
    assert_true(len == w.m.content_bytes);
    w.head_bytes = head.len;
    return w;
}

static struct slice slice_of_whole(const struct whole *w)
{
    return slice_of(w->ptr, w->m.content_bytes);
}

/* Only CRLF ends lines, none is above 998 octets, the last has its end. Returns lines. */
static uint64_t check_lines(struct slice s, uint64_t *ret_dots, bool *ret_has_8bit)
{
    uint64_t lines = 0;
    size_t start = 0;
    *ret_dots = 0;
    *ret_has_8bit = false;
    for (size_t i = 0; i < s.len; i++) {
        *ret_has_8bit |= s.ptr[i] >= 0x80;
        assert_true(s.ptr[i] != 0);
        if (s.ptr[i] == '\r') {
            assert_true(i + 1 < s.len && s.ptr[i + 1] == '\n');
            assert_true(i - start <= 998);
            *ret_dots += s.ptr[start] == '.';
            lines++;
            start = i + 2;
            i++;
        } else {
            assert_true(s.ptr[i] != '\n');
        }
    }
    assert_true(start == s.len);
    return lines;
}

static void generated_messages_are_legal(void **state)
{
    (void)state;
    for (uint32_t body = 0; body < MESSAGE_BODY_COUNT; body++) {
        struct message_options options = options_of((enum message_body)body, 1, 40000);
        struct message_set *set = set_of(&options);
        struct rng rng;
        rng_init(&rng, 1);
        for (uint64_t seq = 0; seq < 300; seq++) {
            struct whole w = make(set, seq);
            struct identity id;
            uint64_t dots;
            bool has_8bit;
            uint64_t lines = check_lines(slice_of_whole(&w), &dots, &has_8bit);
            assert_true(identity_find(slice_of_whole(&w), &id));
            assert_true(id.run == 0xABCDEF && id.seq == seq && w.m.id.seq == seq);
            assert_int_equal(w.m.is_8bit, has_8bit);
            assert_false(w.m.is_smtputf8);
            assert_int_equal(w.m.is_plain, body != MESSAGE_DOTS && body != MESSAGE_WORST);
            assert_in_range(w.m.rcpt_count, 1, 5);
            if (body == MESSAGE_DOTS) /* all but 8 fields and the empty line */
                assert_true(lines - dots == 9);
            if (body == MESSAGE_EMPTY_LINES && w.m.content_bytes > 2000)
                assert_true(lines > w.m.content_bytes / 2 - 300);
            free(w.ptr);
        }
        message_set_free(set);
    }
}

/* From the least size on, through those whose rest is too short for a line. */
static void sizes_are_exact(void **state)
{
    (void)state;
    for (uint32_t body = 0; body < MESSAGE_BODY_COUNT; body++) {
        struct message_options options = options_of((enum message_body)body, 1, 1);
        struct message_set *set = set_of(&options);
        struct whole least = make(set, 5);
        assert_true(least.m.content_bytes == least.head_bytes);
        size_t head = least.head_bytes;
        free(least.ptr);
        message_set_free(set);
        for (uint64_t size = head; size < head + 8; size++) {
            uint64_t dots;
            bool has_8bit;
            options.size = (struct dist){.low = size, .high = size};
            set = set_of(&options);
            struct whole w = make(set, 5);
            assert_true(w.m.content_bytes == size);
            check_lines(slice_of_whole(&w), &dots, &has_8bit);
            free(w.ptr);
            message_set_free(set);
        }
    }
}

/* Any size, from the beginning of the block, its middle and its end. */
static void cuts_are_exact(void **state)
{
    (void)state;
    static const size_t where[] = {0, 123456, BODY_BLOCK_BYTES - 1};
    static uint8_t text[4200];
    for (uint32_t kind = 0; kind < MESSAGE_BODY_COUNT; kind++) {
        struct body body;
        assert_int_equal(body_init(&body, (enum message_body)kind, 9, sizeof(text)), 0);
        for (size_t bytes = BODY_BYTES_MIN; bytes < sizeof(text); bytes++) {
            struct slice parts[BODY_SLICES_MAX];
            size_t line_bytes, len = 0;
            uint64_t dots;
            bool has_8bit;
            uint32_t count = body_cut(&body, where[bytes % 3], bytes, parts, &line_bytes);
            assert_in_range(count, 1, BODY_SLICES_MAX);
            for (uint32_t i = 0; i < count; i++) {
                assert_true(len + parts[i].len <= bytes);
                memcpy(text + len, parts[i].ptr, parts[i].len);
                len += parts[i].len;
            }
            assert_true(len == bytes && line_bytes <= bytes);
            uint64_t lines = check_lines(slice_of(text, len), &dots, &has_8bit);
            assert_true(kind != MESSAGE_DOTS || dots == lines);
            assert_true(has_8bit == (kind == MESSAGE_8BIT && line_bytes > 0));
        }
        body_deinit(&body);
    }
}

/* Long stretches go over the end of the block; lines there are as good. */
static void large_messages(void **state)
{
    (void)state;
    for (uint32_t body = 0; body < MESSAGE_BODY_COUNT; body++) {
        struct message_options options = options_of((enum message_body)body, 900000, 2000000);
        struct message_set *set = set_of(&options);
        for (uint64_t seq = 0; seq < 3; seq++) {
            struct whole w = make(set, seq);
            uint64_t dots;
            bool has_8bit;
            assert_true(w.m.content_bytes >= 900000 && w.m.content_bytes <= 2000000);
            check_lines(slice_of_whole(&w), &dots, &has_8bit);
            free(w.ptr);
        }
        message_set_free(set);
    }
}

/* The block ends with a line, whatever was drawn before. */
static void blocks_are_whole_lines(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < MESSAGE_BODY_COUNT; kind++) {
        for (uint64_t seed = 4247; seed < 4253; seed++) { /* 4250: one octet would be left */
            struct body body;
            uint64_t dots;
            bool has_8bit;
            assert_int_equal(body_init(&body, (enum message_body)kind, seed, 1), 0);
            assert_int_equal(body.mapped_bytes, 2 * BODY_BLOCK_BYTES);
            uint64_t lines = check_lines(slice_of(body.ptr, BODY_BLOCK_BYTES), &dots, &has_8bit);
            assert_true(memcmp(body.ptr, body.ptr + BODY_BLOCK_BYTES, BODY_BLOCK_BYTES) == 0);
            assert_int_equal(has_8bit, kind == MESSAGE_8BIT);
            if (kind == MESSAGE_DOTS)
                assert_true(dots == lines);
            body_deinit(&body);
            body_deinit(&body);
        }
    }
}

static void the_same_each_time(void **state)
{
    (void)state;
    struct message_options options = options_of(MESSAGE_TEXT, 1000, 20000);
    struct message_set *first = set_of(&options);
    struct message_set *second = set_of(&options); /* another worker, another process */
    options.seed++;
    struct message_set *other = set_of(&options);
    unsigned different = 0;
    for (uint64_t seq = 0; seq < 50; seq++) {
        struct whole a = make(first, seq), again = make(first, seq);
        struct whole b = make(second, 49 - seq), c = make(second, seq), d = make(other, seq);
        assert_true(slice_eq(slice_of_whole(&a), slice_of_whole(&again)));
        assert_true(slice_eq(slice_of_whole(&a), slice_of_whole(&c)));
        assert_int_equal(a.m.rcpt_count, c.m.rcpt_count);
        different += a.m.content_bytes != d.m.content_bytes;
        free(a.ptr);
        free(again.ptr);
        free(b.ptr);
        free(c.ptr);
        free(d.ptr);
    }
    assert_true(different > 40);
    message_set_free(first);
    message_set_free(second);
    message_set_free(other);
}

static void address(const struct message_set *set, uint64_t seq, uint32_t idx, const char *want)
{
    uint8_t memory[MESSAGE_ADDRESS_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    message_address(set, seq, idx, &b);
    if (!slice_eq(buf_slice(&b), slice_str(want)))
        fail_msg("%.*s instead of %s", (int)b.len, (const char *)b.ptr, want);
}

static void addresses(void **state)
{
    (void)state;
    struct message_options options = options_of(MESSAGE_TEXT, 1, 1);
    options.rcpt = "u%i.%s%%x@e";
    struct message_set *set = set_of(&options);
    address(set, 17, UINT32_MAX, "from17@load.example");
    address(set, 17, 0, "u0.17%x@e");
    address(set, 18, 3, "u3.18%x@e");
    message_set_free(set);
    options.sender = "";
    options.rcpt = "user%n@e";
    options.rcpt_users = 5;
    set = set_of(&options);
    address(set, 17, UINT32_MAX, "");
    for (uint64_t seq = 0; seq < 100; seq++) { /* five recipients of five users: all different */
        uint32_t seen = 0;
        for (uint32_t i = 0; i < 5; i++) {
            uint8_t memory[MESSAGE_ADDRESS_BYTES_MAX];
            struct buf b = buf_over(memory, sizeof(memory));
            message_address(set, seq, i, &b);
            assert_int_equal(b.len, 7);
            assert_in_range(b.ptr[4], '0', '4');
            seen |= 1u << (b.ptr[4] - '0');
        }
        assert_int_equal(seen, 31);
    }
    message_set_free(set);
    options.rcpt_users = 3; /* draws of 4 and 5 are cut */
    set = set_of(&options);
    for (uint64_t seq = 0; seq < 100; seq++) {
        struct whole w = make(set, seq);
        assert_in_range(w.m.rcpt_count, 1, 3);
        free(w.ptr);
    }
    message_set_free(set);
    options.rcpt = "m\xc3\xbcller%n@e";
    set = set_of(&options);
    struct whole w = make(set, 0);
    assert_true(w.m.is_smtputf8 && w.m.is_8bit);
    free(w.ptr);
    message_set_free(set);
}

static void bad_options(void **state)
{
    (void)state;
    const struct message_options good = options_of(MESSAGE_TEXT, 1, 1);
    static const struct {
        const char *sender, *rcpt, *hostname;
        uint64_t rcpts;
        uint64_t size;
    } rows[] = {
        {"a b@c", "r@e", "h", 1, 1},   {"a%n@c", "r@e", "h", 1, 1},
        {"a@c", "r>@e", "h", 1, 1},    {"a@c", "r%x@e", "h", 1, 1},
        {"a@c", "r@e%", "h", 1, 1},    {"a@c", "", "h", 1, 1},
        {"a@c", "r@e", "", 1, 1},      {"a@c", "r@e", "h\r\n", 1, 1},
        {"a@c", "r@e", "h", 2, 1},     {"a@c", "r%n@e", "h", 101, 1},
        {"a@c", "r%s@e", "h", 2, 1},   {"a@c", "r@e", "h", 1, MESSAGE_BYTES_MAX + 1},
        {"a\x7f@c", "r@e", "h", 1, 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct message_options o = good;
        struct message_set *set = NULL;
        char text[512] = "";
        o.sender = rows[i].sender;
        o.rcpt = rows[i].rcpt;
        o.hostname = rows[i].hostname;
        o.rcpt_count = (struct dist){.low = rows[i].rcpts, .high = rows[i].rcpts};
        o.size = (struct dist){.low = 1, .high = rows[i].size};
        assert_int_equal(message_set_new(&o, &set, text, sizeof(text)), -EINVAL);
        assert_true(set == NULL && text[0] != '\0');
    }
}

static void body_names(void **state)
{
    (void)state;
    enum message_body body;
    for (uint32_t i = 0; i < MESSAGE_BODY_COUNT; i++) {
        assert_true(message_body_parse(message_body_name((enum message_body)i), &body));
        assert_int_equal(body, i);
    }
    assert_false(message_body_parse("words", &body));
}

/* Corpora: files in a folder of our own. */
static char root[] = "/tmp/postern-corpus-XXXXXX";

static void put_file(const char *name, struct slice content)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    if (content.len > 0)
        assert_int_equal(fwrite(content.ptr, 1, content.len, f), content.len);
    fclose(f);
}

static void put_folder(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void conversion(void **state)
{
    (void)state;
    static const struct {
        struct slice in, out;
        bool is_mbox;
        uint64_t strays;
    } rows[] = {
        {SLICE_INIT(""), SLICE_INIT(""), false, 0},
        {SLICE_INIT("a\nb\n"), SLICE_INIT("a\r\nb\r\n"), false, 0},
        {SLICE_INIT("a\r\nb\r\n"), SLICE_INIT("a\r\nb\r\n"), false, 0},
        {SLICE_INIT("a\r\nb\nc"), SLICE_INIT("a\r\nb\r\nc\r\n"), false, 0},
        {SLICE_INIT("\n\r\n\n"), SLICE_INIT("\r\n\r\n\r\n"), false, 0},
        {SLICE_INIT("a\rb\n"), SLICE_INIT("a b\r\n"), false, 1},
        {SLICE_INIT("a\r\r\nb\r"), SLICE_INIT("a \r\nb\r\n"), false, 1},
        {SLICE_INIT("\r.\r\n.\r\n"), SLICE_INIT(" .\r\n.\r\n"), false, 1},
        {SLICE_INIT("\r"), SLICE_INIT("\r\n"), false, 0},
        {SLICE_INIT("a\0b\xff\n"), SLICE_INIT("a\0b\xff\r\n"), false, 0},
        {SLICE_INIT(">From x\n>>From y\n> From z\n"),
         SLICE_INIT(">From x\r\n>>From y\r\n> From z\r\n"), false, 0},
        {SLICE_INIT(">From x\n>>From y\n> From z\n>Fromage\n"),
         SLICE_INIT("From x\r\n>From y\r\n> From z\r\n>Fromage\r\n"), true, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint8_t out[256];
        uint64_t strays = 99;
        assert_true(corpus_convert_bytes_max(rows[i].in.len) <= sizeof(out));
        size_t len = corpus_convert(rows[i].in, rows[i].is_mbox, out, &strays);
        if (!slice_eq(slice_of(out, len), rows[i].out) || strays != rows[i].strays)
            fail_msg("row %zu: %.*s", i, (int)len, (const char *)out);
    }
}

struct gathered {
    uint32_t count;
    char contents[16][200];
};

static int gather(void *arg, const struct corpus_item *item)
{
    struct gathered *g = arg;
    assert_true(g->count < ARRAY_COUNT(g->contents));
    assert_true(item->content.len < sizeof(g->contents[0]));
    if (item->content.len > 0)
        memcpy(g->contents[g->count], item->content.ptr, item->content.len);
    g->contents[g->count++][item->content.len] = '\0';
    return 0;
}

static struct gathered gather_all(const char *name, enum corpus_kind kind, int want)
{
    struct gathered g = {0};
    char path[256], text[512] = "";
    snprintf(path, sizeof(path), "%s/%s", root, name);
    int result = corpus_read(path, kind, gather, &g, text, sizeof(text));
    if (result != want)
        fail_msg("%s: %d %s", name, result, text);
    assert_true(want == 0 || strstr(text, name) != NULL);
    return g;
}

static void mbox_files(void **state)
{
    (void)state;
    put_file("mbox", SLICE_LIT("From a@b Thu Jan  1 00:00:00 1970\n"
                               "Subject: one\n"
                               "\n"
                               "From here on it is a sentence.\n"
                               ">From a@b Thu Jan  1 00:00:00 1970\n"
                               "\n"
                               "From there at noon.\n"
                               "\n"
                               "\n"
                               "From MAILER-DAEMON Fri Jan  2 03:04:05 1970\n"
                               "Subject: two\n"
                               "\n"
                               "x\n"
                               "From c@d Fri Jan  2 03:04:05 1970\n"
                               "\n"
                               "From c@d Fri Jan  2 03:04:05 1970\r\n"
                               "Subject: three\r\n"
                               "\r\n"
                               "last"));
    struct gathered g = gather_all("mbox", CORPUS_ANY, 0);
    assert_int_equal(g.count, 3);
    assert_string_equal(g.contents[0], "Subject: one\r\n\r\nFrom here on it is a sentence.\r\n"
                                       "From a@b Thu Jan  1 00:00:00 1970\r\n\r\n"
                                       "From there at noon.\r\n\r\n");
    assert_string_equal(g.contents[1],
                        "Subject: two\r\n\r\nx\r\nFrom c@d Fri Jan  2 03:04:05 1970\r\n");
    assert_string_equal(g.contents[2], "Subject: three\r\n\r\nlast\r\n");
    put_file("empty", SLICE_EMPTY);
    assert_int_equal(gather_all("empty", CORPUS_MBOX, 0).count, 0);
    put_file("nombox", SLICE_LIT("Subject: x\n\nFrom a@b Thu Jan  1 00:00:00 1970\n"));
    gather_all("nombox", CORPUS_MBOX, -EBADMSG);
    assert_int_equal(gather_all("nombox", CORPUS_ANY, 0).count, 1);
}

static void folders(void **state)
{
    (void)state;
    put_folder("folder");
    put_folder("folder/sub");
    put_folder("folder/.hidden");
    put_file("folder/.hidden/x", SLICE_LIT("hidden"));
    put_file("folder/.x", SLICE_LIT("hidden"));
    put_file("folder/b", SLICE_LIT("b"));
    put_file("folder/a", SLICE_LIT("a"));
    put_file("folder/sub/c", SLICE_LIT("From a@b Thu Jan  1 00:00:00 1970\none\n\n"
                                       "From a@b Thu Jan  1 00:00:01 1970\n>From\n>From two\n"));
    put_file("folder/sub/d", SLICE_LIT("From \t: a@b\n\nFrom a@b Thu Jan  1 00:00:00 1970\n"));
    put_file("folder/sub/e", SLICE_LIT("Subject: x\n\nFrom a@b Thu Jan  1 00:00:00 1970\n"));
    static const enum corpus_kind kinds[] = {CORPUS_ANY, CORPUS_FOLDER};
    struct gathered g;
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        g = gather_all("folder", kinds[i], 0);
        assert_int_equal(g.count, 6);
        assert_string_equal(g.contents[0], "a\r\n");
        assert_string_equal(g.contents[1], "b\r\n");
        assert_string_equal(g.contents[2], "one\r\n");
        assert_string_equal(g.contents[3], ">From\r\nFrom two\r\n");
        assert_string_equal(g.contents[4],
                            "From \t: a@b\r\n\r\nFrom a@b Thu Jan  1 00:00:00 1970\r\n");
        assert_string_equal(g.contents[5],
                            "Subject: x\r\n\r\nFrom a@b Thu Jan  1 00:00:00 1970\r\n");
    }
    put_file("folder/z", SLICE_LIT("From nobody, at no time\n"));
    gather_all("folder", CORPUS_ANY, -EBADMSG);
    put_file("folder/z", SLICE_EMPTY);
    put_folder("md");
    put_folder("md/cur");
    put_folder("md/new");
    put_folder("md/tmp");
    put_file("md/cur/1:2,S", SLICE_LIT("seen"));
    put_file("md/new/2", SLICE_LIT("From a@b Thu Jan  1 00:00:00 1970\n"));
    put_file("md/tmp/3", SLICE_LIT("half"));
    put_file("md/dovecot.index", SLICE_LIT("index"));
    g = gather_all("md", CORPUS_ANY, 0);
    assert_int_equal(g.count, 2);
    assert_string_equal(g.contents[0], "seen\r\n");
    assert_string_equal(g.contents[1], "From a@b Thu Jan  1 00:00:00 1970\r\n");
    gather_all("folder", CORPUS_MAILDIR, -ENOENT);
    gather_all("folder", CORPUS_FILE, -EISDIR);
    gather_all("folder", CORPUS_MBOX, -EBADMSG); /* files, and none of them an mbox */
    gather_all("missing", CORPUS_ANY, -ENOENT);
}

static void mbox_folder(void **state)
{
    (void)state;
    put_folder("export");
    assert_int_equal(gather_all("export", CORPUS_MBOX, 0).count, 0);
    put_folder("export/sub.mbox");
    put_file("export/sub.mbox/x.mbox", SLICE_LIT("not looked at"));
    put_file("export/.hidden.mbox", SLICE_LIT("not looked at"));
    put_file("export/notes", SLICE_LIT("not looked at"));
    put_file("export/b.mbox", SLICE_LIT("From a@b Thu Jan  1 00:00:00 1970\nb\n\n"));
    put_file("export/a.mbox", SLICE_LIT("From a@b Thu Jan  1 00:00:00 1970\n>From a\n\n"));
    struct gathered g = gather_all("export", CORPUS_MBOX, 0);
    assert_int_equal(g.count, 2);
    assert_string_equal(g.contents[0], "From a\r\n");
    assert_string_equal(g.contents[1], "b\r\n");
    put_file("export/c.mbox", SLICE_LIT("no From_ line"));
    char path[256], text[256] = "";
    snprintf(path, sizeof(path), "%s/export", root);
    assert_int_equal(corpus_read(path, CORPUS_MBOX, gather, &g, text, sizeof(text)), -EBADMSG);
    assert_non_null(strstr(text, "export/c.mbox"));
}

static void corpus_messages(void **state)
{
    (void)state;
    put_folder("set");
    put_file("set/1", SLICE_LIT("Subject: one\n\nx\n"));
    put_file("set/2", SLICE_LIT("Subject: two\n\n\xc3\xbc\n"));
    put_file("set/4", SLICE_LIT("Subject: four\n\n.\n"));
    put_file("set/3", SLICE_LIT("Subject: \xc3\xbc\n\nx\n"));
    char path[256];
    snprintf(path, sizeof(path), "%s/set", root);
    struct message_options options = options_of(MESSAGE_TEXT, 1, 1);
    options.corpus = path;
    struct message_set *set = set_of(&options);
    assert_int_equal(message_set_count(set), 4);
    struct whole w = make(set, 5);
    assert_true(slice_eq(slice_of_whole(&w), SLICE_LIT("X-Postern-Load: 0000000000abcdef.5\r\n"
                                                       "Subject: two\r\n\r\n\xc3\xbc\r\n")));
    assert_true(w.m.is_8bit && !w.m.is_smtputf8);
    free(w.ptr);
    w = make(set, 2);
    assert_true(w.m.is_8bit && w.m.is_smtputf8 && w.m.is_plain);
    free(w.ptr);
    w = make(set, 3);
    assert_false(w.m.is_plain); /* a line begins with a dot */
    free(w.ptr);
    message_set_free(set);
    options.adds_identity = false;
    set = set_of(&options);
    w = make(set, 4);
    assert_true(slice_eq(slice_of_whole(&w), SLICE_LIT("Subject: one\r\n\r\nx\r\n")));
    assert_true(!w.m.is_8bit && !w.m.is_smtputf8 && w.m.id.seq == 4);
    free(w.ptr);
    message_set_free(set);
    put_folder("none");
    snprintf(path, sizeof(path), "%s/none", root);
    char text[512];
    assert_int_equal(message_set_new(&options, &set, text, sizeof(text)), -EINVAL);
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
        cmocka_unit_test(generated_messages_are_legal),
        cmocka_unit_test(sizes_are_exact),
        cmocka_unit_test(cuts_are_exact),
        cmocka_unit_test(large_messages),
        cmocka_unit_test(blocks_are_whole_lines),
        cmocka_unit_test(the_same_each_time),
        cmocka_unit_test(addresses),
        cmocka_unit_test(bad_options),
        cmocka_unit_test(body_names),
        cmocka_unit_test(conversion),
        cmocka_unit_test(mbox_files),
        cmocka_unit_test(folders),
        cmocka_unit_test(mbox_folder),
        cmocka_unit_test(corpus_messages),
    };
    if (mkdtemp(root) == NULL)
        return 99;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return failed;
}
