/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_test.c - what scan.h promises, message by message: CORE-20, CORE-40..44, CORE-53.
 *
 * Every message of every table is scanned whole, byte by byte and cut at each place, by each
 * kernel that this processor has. Wrong answers here are wrong against numbers written down, not
 * against another implementation; tests/diff does that.
 */
#include "../../support/testscan.h"
#include "base/assert.h"
#include "base/rng.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define CONTENT_BYTES_MAX ((size_t)256 * KIB)

static const char *kernels[TESTSCAN_KERNELS_MAX];
static size_t kernel_count;
static struct scan_key key;

struct outcome {
    struct scan_result result;
    size_t used;
    bool is_end;
    size_t content_len;
    uint8_t content[CONTENT_BYTES_MAX];
};

static void take(struct outcome *o, const struct slices *parts)
{
    for (uint32_t i = 0; i < parts->count; i++) {
        assert_true(parts->at[i].len > 0);
        assert_true(o->content_len + parts->at[i].len <= sizeof(o->content));
        memcpy(o->content + o->content_len, parts->at[i].ptr, parts->at[i].len);
        o->content_len += parts->at[i].len;
    }
}

/* drive() - scan @in, handed over in pieces of @step bytes, the first one of @first bytes. */
static void drive(struct outcome *o, const struct scan_options *options, struct slice in,
                  size_t first, size_t step)
{
    struct slices parts;
    struct scan s;
    size_t edge = first > 0 ? first : step;

    o->used = o->content_len = 0;
    o->is_end = false;
    scan_begin(&s, options);
    while (o->used < in.len && !o->is_end) {
        while (edge <= o->used)
            edge += step;
        struct slice piece =
            slice_first(slice_from(in, o->used), size_min(edge - o->used, WINDOW_BYTES_MAX));
        size_t used = scan_feed(&s, piece, &parts, &o->is_end);
        assert_true(used > 0 && used <= piece.len);
        o->used += used;
        take(o, &parts);
        assert_int_equal(scan_content_bytes(&s), o->content_len);
    }
    scan_finish(&s, &parts, &o->result);
    take(o, &parts);
    assert_int_equal(o->result.content_bytes, o->content_len);
}

typedef void check_fn(const struct outcome *o, const void *arg);

/* each_way() - scan @in by every kernel at every cut and bytewise; @check each outcome. */
static void each_way(const struct scan_options *options, struct slice in, check_fn *check,
                     const void *arg)
{
    static struct outcome o;

    for (size_t k = 0; k < kernel_count; k++) {
        assert_int_equal(scan_init(kernels[k]), 0);
        for (size_t cut = 0; cut <= in.len; cut++) {
            drive(&o, options, in, cut, in.len + 1);
            check(&o, arg);
        }
        drive(&o, options, in, 0, 1);
        check(&o, arg);
    }
}

/* ---- tables of whole messages ---- */

struct message {
    const char *name;
    enum scan_mode mode;
    bool normalizes;
    struct slice in;
    struct slice content;
    size_t rest; /* bytes behind the end of data; SIZE_MAX: there is no end */
    uint32_t flags;
    uint64_t bad_offset;
    uint64_t header_bytes;
    uint64_t line_count;
    uint64_t line_bytes_max;
};

#define OPEN SIZE_MAX
#define NONE UINT64_MAX
#define DATA SCAN_MODE_DATA, false
#define DATA_NORMALIZE SCAN_MODE_DATA, true
#define CHUNK SCAN_MODE_CHUNK, false
#define CHUNK_NORMALIZE SCAN_MODE_CHUNK, true
#define TEXT(text) SLICE_INIT(text)

static void check_message(const struct outcome *o, const void *arg)
{
    const struct message *m = arg;
    bool is_end = m->rest != OPEN;

    if (o->is_end != is_end || o->content_len != m->content.len ||
        memcmp(o->content, m->content.ptr, o->content_len) != 0 || o->result.flags != m->flags)
        print_message("%s, by %s: end %d, flags %x, content \"%.*s\"\n", m->name, scan_isa_name(),
                      o->is_end, o->result.flags, (int)o->content_len, (const char *)o->content);
    assert_int_equal(o->is_end, is_end);
    assert_int_equal(o->used, m->in.len - (is_end ? m->rest : 0));
    assert_int_equal(o->content_len, m->content.len);
    assert_memory_equal(o->content, m->content.ptr, m->content.len);
    assert_int_equal(o->result.flags, m->flags);
    assert_int_equal(o->result.bad_offset, m->bad_offset);
    assert_int_equal(o->result.header_bytes, m->header_bytes);
    assert_int_equal(o->result.line_count, m->line_count);
    assert_int_equal(o->result.line_bytes_max, m->line_bytes_max);
}

static void check_table(const struct message *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct scan_options options = {at[i].mode, at[i].normalizes, 0, &key, NULL};
        each_way(&options, at[i].in, check_message, &at[i]);
    }
}

#define NO_HEADER SCAN_FLAG_NO_HEADER_END

static void plain(void **state)
{
    static const struct message table[] = {
        {"one line", DATA, TEXT("A: b\r\n\r\ntext\r\n.\r\nQUIT\r\n"), TEXT("A: b\r\n\r\ntext\r\n"),
         6, 0, NONE, 8, 3, 6},
        {"nothing", DATA, TEXT(".\r\n"), TEXT(""), 0, NO_HEADER, NONE, 0, 0, 0},
        {"nothing, and commands", DATA, TEXT(".\r\n.\r\n"), TEXT(""), 3, NO_HEADER, NONE, 0, 0, 0},
        {"an empty line", DATA, TEXT("\r\n.\r\n"), TEXT("\r\n"), 0, 0, NONE, 2, 1, 2},
        {"no header end", DATA, TEXT("A: b\r\n.\r\n"), TEXT("A: b\r\n"), 0, NO_HEADER, NONE, 6, 1,
         6},
        {"stuffed dots", DATA, TEXT("\r\n..\r\n...a\r\n..b.\r\n.\r\n"),
         TEXT("\r\n.\r\n..a\r\n.b.\r\n"), 0, 0, NONE, 2, 4, 5},
        {"a dot too few", DATA, TEXT("\r\n.a\r\n.\r\n"), TEXT("\r\na\r\n"), 0, 0, NONE, 2, 2, 3},
        {"the first line stuffed", DATA, TEXT("..\r\n.\r\n"), TEXT(".\r\n"), 0, NO_HEADER, NONE, 3,
         1, 3},
        {"dots inside lines", DATA, TEXT("\r\na.\r\n.\r\n"), TEXT("\r\na.\r\n"), 0, 0, NONE, 2, 2,
         4},
        {"high", DATA, TEXT("\r\n\x80\xff\r\n.\r\n\xff"), TEXT("\r\n\x80\xff\r\n"), 1,
         SCAN_FLAG_HIGH, NONE, 2, 2, 4},
        {"high and NUL only behind the end", DATA, TEXT("\r\n.\r\n\xff\0\n\r"), TEXT("\r\n"), 4, 0,
         NONE, 2, 1, 2},
        {"nul", DATA, TEXT("\r\nab\0\r\n.\r\n"), TEXT("\r\nab\0\r\n"), 0, SCAN_FLAG_NUL, 4, 2, 2,
         5},
        {"no end yet", DATA, TEXT("\r\na\r\n.\r"), TEXT("\r\na\r\n\r"), OPEN,
         SCAN_FLAG_BARE_CR | SCAN_FLAG_UNENDED, 5, 2, 2, 3},
        {"chunk", CHUNK, TEXT("\r\n.\r\n..\r\n"), TEXT("\r\n.\r\n..\r\n"), OPEN, 0, NONE, 2, 3, 4},
        {"empty chunk", CHUNK, TEXT(""), TEXT(""), OPEN, NO_HEADER, NONE, 0, 0, 0},
        {"chunk without line end", CHUNK, TEXT("\r\nabc"), TEXT("\r\nabc"), OPEN, SCAN_FLAG_UNENDED,
         NONE, 2, 1, 3},
        {"chunk that ends with CR", CHUNK, TEXT("\r\nabc\r"), TEXT("\r\nabc\r"), OPEN,
         SCAN_FLAG_UNENDED | SCAN_FLAG_BARE_CR, 5, 2, 1, 4},
        {"chunk, dot and CR", CHUNK, TEXT("\r\n.\r"), TEXT("\r\n.\r"), OPEN,
         SCAN_FLAG_UNENDED | SCAN_FLAG_BARE_CR, 3, 2, 1, 2},
        {"binary chunk", CHUNK, TEXT("\r\n\0\n\r\xfe"), TEXT("\r\n\0\n\r\xfe"), OPEN,
         SCAN_FLAG_NUL | SCAN_FLAG_BARE_LF | SCAN_FLAG_BARE_CR | SCAN_FLAG_HIGH | SCAN_FLAG_UNENDED,
         2, 2, 1, 4},
    };

    (void)state;
    check_table(table, ARRAY_COUNT(table));
}

/* CORE-42: by default everything bad is content and remembered; normalize repairs bare LF only. */
static void bad_line_endings(void **state)
{
    static const struct message table[] = {
        {"bare LF", DATA, TEXT("\r\na\nb\r\n.\r\n"), TEXT("\r\na\nb\r\n"), 0, SCAN_FLAG_BARE_LF, 3,
         2, 2, 5},
        {"bare LF first", DATA, TEXT("\na\r\n.\r\n"), TEXT("\na\r\n"), 0,
         SCAN_FLAG_BARE_LF | NO_HEADER, 0, 4, 1, 4},
        {"bare CR", DATA, TEXT("\r\na\rb\r\n.\r\n"), TEXT("\r\na\rb\r\n"), 0, SCAN_FLAG_BARE_CR, 3,
         2, 2, 5},
        {"CR CR LF", DATA, TEXT("\r\na\r\r\n.\r\n"), TEXT("\r\na\r\r\n"), 0, SCAN_FLAG_BARE_CR, 3,
         2, 2, 4},
        {"the first of three", DATA, TEXT("\r\n..\0\n\r.\r\n.\r\n"), TEXT("\r\n.\0\n\r.\r\n"), 0,
         SCAN_FLAG_NUL | SCAN_FLAG_BARE_LF | SCAN_FLAG_BARE_CR, 3, 2, 2, 7},
        {"normalized", DATA_NORMALIZE, TEXT("a: b\n\nc\n.\r\n.d\n..\r\n.\r\n"),
         TEXT("a: b\r\n\r\nc\r\n.\r\nd\r\n..\r\n"), 0, SCAN_FLAG_NORMALIZED, NONE, 8, 6, 6},
        {"normalized, bare CR stays", DATA_NORMALIZE, TEXT("\n\ra\n.\n\r\n.\r\n"),
         TEXT("\r\n\ra\r\n.\r\n\r\n"), 0, SCAN_FLAG_NORMALIZED | SCAN_FLAG_BARE_CR, 2, 2, 4, 4},
        {"normalized NUL", DATA_NORMALIZE, TEXT("\n\0\n\r\n.\r\n"), TEXT("\r\n\0\r\n\r\n"), 0,
         SCAN_FLAG_NORMALIZED | SCAN_FLAG_NUL, 2, 2, 3, 3},
        {"normalized chunk", CHUNK_NORMALIZE, TEXT("\n.\nb"), TEXT("\r\n.\r\nb"), OPEN,
         SCAN_FLAG_NORMALIZED | SCAN_FLAG_UNENDED, NONE, 2, 2, 3},
        {"nothing to normalize", DATA_NORMALIZE, TEXT("\r\na\r\n.\r\n"), TEXT("\r\na\r\n"), 0, 0,
         NONE, 2, 2, 3},
    };

    (void)state;
    check_table(table, ARRAY_COUNT(table));
}

/* ---- CORE-41: what must never end the data ---- */

static void check_no_end(const struct outcome *o, const void *arg)
{
    const struct slice *in = arg;
    const uint32_t bad =
        SCAN_FLAG_BARE_CR | SCAN_FLAG_BARE_LF | SCAN_FLAG_NUL | SCAN_FLAG_NORMALIZED;

    assert_true(o->is_end);
    assert_int_equal(o->used, in->len - 6); /* "QUIT" CRLF */
    assert_true((o->result.flags & bad) != 0);
}

static void no_variant_ends(void **state)
{
    static const struct slice variants[] = {
        TEXT("\n.\n"),       TEXT("\n.\r\n"),     TEXT("\r\n.\n"),     TEXT("\r.\r"),
        TEXT("\r.\n"),       TEXT("\n.\r"),       TEXT("\r.\r\n"),     TEXT("\r\n.\r"),
        TEXT("\r\n\0.\r\n"), TEXT("\r\n.\0\r\n"), TEXT("\r\n.\r\r\n"), TEXT("\r\r\n.\r\r\n"),
    };
    static const char *const before[] = {"", "X", "X\r\n", "..\r\n"};
    static const char *const behind[] = {"MAIL FROM:<>\r\n", "\r\n", ".MAIL\r\n", "\r\n..\r\n"};
    char text[64];

    (void)state;
    for (size_t v = 0; v < ARRAY_COUNT(variants); v++) {
        for (size_t n = 0; n < ARRAY_COUNT(before) * ARRAY_COUNT(behind); n++) {
            const char *lead = before[n / ARRAY_COUNT(behind)];
            const char *trail = behind[n % ARRAY_COUNT(behind)];
            size_t len = strlen(lead);
            memcpy(text, lead, len);
            memcpy(text + len, variants[v].ptr, variants[v].len);
            len += variants[v].len;
            memcpy(text + len, trail, strlen(trail));
            len += strlen(trail);
            memcpy(text + len, "\r\n.\r\nQUIT\r\n", 11);
            len += 11;
            struct slice in = slice_of(text, len);
            for (int normalizes = 0; normalizes < 2; normalizes++) {
                struct scan_options options = {SCAN_MODE_DATA, normalizes != 0, 0, &key, NULL};
                each_way(&options, in, check_no_end, &in);
            }
        }
    }
}

/* ---- lines ---- */

struct lines {
    uint64_t count;
    uint64_t bytes_max;
    bool is_long;
};

static void check_lines(const struct outcome *o, const void *arg)
{
    const struct lines *want = arg;

    assert_int_equal(o->result.line_count, want->count);
    assert_int_equal(o->result.line_bytes_max, want->bytes_max);
    assert_int_equal((o->result.flags & SCAN_FLAG_LONG_LINE) != 0, want->is_long);
}

/* RFC 5321 4.5.3.1.6: 1000 octets with CRLF, without the dot that was added. */
static void longest_line(void **state)
{
    static const size_t lens[] = {1, 61, 62, 63, 64, 126, 127, 500, 997, 998, 999, 2000};
    static char text[4096];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(lens); i++) {
        for (int stuffs = 0; stuffs < 2; stuffs++) {
            size_t len = 0;
            text[len++] = '\r';
            text[len++] = '\n';
            if (stuffs)
                text[len++] = '.';
            memset(text + len, 'x', lens[i]);
            if (stuffs)
                text[len] = '.';
            len += lens[i];
            memcpy(text + len, "\r\nab\r\n.\r\n", 9);
            len += 9;
            struct lines want = {3, size_max(lens[i] + 2, 4), lens[i] + 2 > TEXT_LINE_BYTES_MAX};
            struct scan_options options = {SCAN_MODE_DATA, false, 0, NULL, NULL};
            each_way(&options, slice_of(text, len), check_lines, &want);
        }
    }
}

/* ---- the header ---- */

struct header {
    const char *text; /* a message without the end of data */
    uint32_t received_count;
    const char *message_id; /* "" when there is none */
    uint64_t body_bytes;
};

static void check_header(const struct outcome *o, const void *arg)
{
    const struct header *want = arg;

    if (o->result.message_id_len != strlen(want->message_id))
        print_message("%s: %.*s\n", want->text, (int)o->result.message_id_len,
                      (const char *)o->result.message_id);
    assert_int_equal(o->result.received_count, want->received_count);
    assert_int_equal(o->result.message_id_len, strlen(want->message_id));
    assert_memory_equal(o->result.message_id, want->message_id, strlen(want->message_id));
    assert_int_equal(o->result.header_bytes, strlen(want->text) - want->body_bytes);
}

static void header_fields(void **state)
{
    static const struct header table[] = {
        {"Received: a\r\nReceived: b\r\n\r\nReceived: c\r\n", 2, "", 13},
        {"RECEIVED:a\r\nreceived : b\r\nrEcEiVeD\t:c\r\n\r\n", 3, "", 0},
        {"Received: a\r\n Received: folded\r\n\tReceived: b\r\n\r\n", 1, "", 0},
        {"Receivedx: a\r\nX-Received: b\r\nReceive: c\r\nReceived\r\n\r\n", 0, "", 0},
        {"Received-SPF: pass\r\nReceived a: b\r\n\r\n", 0, "", 0},
        {"A: Received: a\r\rReceived: b\nReceived: c\r\n\r\n", 0, "", 0},
        {" Received: a\r\n\r\n", 0, "", 0},
        {"Message-ID: <a@b>\r\n\r\n", 0, "<a@b>", 0},
        {"message-id:<a@b>\r\n\r\n", 0, "<a@b>", 0},
        {"MESSAGE-ID :  <a@b>  tail\r\n\r\n", 0, "<a@b>", 0},
        {"Message-ID:\r\n <a@b>\r\n\r\n", 0, "<a@b>", 0},
        {"Message-ID:\r\n \r\n\t<a@b>\r\n\r\n", 0, "<a@b>", 0},
        {"Message-ID: <a\r\n @\r\n\tb>\r\n\r\n", 0, "<a@b>", 0},
        {"Message-ID: bare tail\r\n\r\n", 0, "bare", 0},
        {"Message-ID: bare\r\n tail\r\n\r\n", 0, "bare", 0},
        {"Message-ID: <open\r\nA: b\r\n\r\n", 0, "<open", 0},
        {"Message-ID: <a@b>\r\nMessage-ID: <c@d>\r\n\r\n", 0, "<a@b>", 0},
        {"Message-ID:\r\nA: b\r\n\r\n", 0, "", 0},
        {"Message-IDs: <a@b>\r\nX-Message-ID: <c@d>\r\n\r\n", 0, "", 0},
        {"\r\nMessage-ID: <a@b>\r\nReceived: a\r\n", 0, "", 32},
        {"A: b\r\n.\r\r\n\r\nReceived: c\r\n", 0, "", 13},
        {"Message-ID: <a@b>\r\nReceived: x", 1, "<a@b>", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        struct scan_options options = {SCAN_MODE_CHUNK, false, 0, NULL, NULL};
        each_way(&options, slice_str(table[i].text), check_header, &table[i]);
    }
}

static void check_loop(const struct outcome *o, const void *arg)
{
    assert_int_equal((o->result.flags & SCAN_FLAG_LOOP) != 0, *(const bool *)arg);
}

/* CORE-53: up to the limit is no loop; 0 stands for the default. */
static void received_limit(void **state)
{
    static const struct {
        uint32_t received_max;
        uint32_t count;
        bool is_loop;
    } table[] = {{1, 1, false}, {1, 2, true}, {3, 3, false}, {3, 4, true}};
    static char many[(RECEIVED_COUNT_MAX + 1) * 13 + 3];
    static struct outcome o;

    (void)state;
    for (size_t i = 0; i <= RECEIVED_COUNT_MAX; i++)
        memcpy(many + 13 * i, "Received: a\r\n", 13);
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        struct scan_options options = {SCAN_MODE_CHUNK, false, table[i].received_max, NULL, NULL};
        each_way(&options, slice_of(many, 13 * table[i].count), check_loop, &table[i].is_loop);
    }
    struct scan_options options = {SCAN_MODE_CHUNK, false, 0, NULL, NULL};
    for (size_t count = RECEIVED_COUNT_MAX; count <= RECEIVED_COUNT_MAX + 1; count++) {
        bool is_loop = count > RECEIVED_COUNT_MAX;
        drive(&o, &options, slice_of(many, 13 * count), 0, 100);
        assert_int_equal(o.result.received_count, count);
        check_loop(&o, &is_loop);
    }
}

static void check_cut_id(const struct outcome *o, const void *arg)
{
    const struct slice *id = arg;

    assert_int_equal(o->result.message_id_len, size_min(id->len, MESSAGE_ID_BYTES_MAX));
    assert_memory_equal(o->result.message_id, id->ptr, o->result.message_id_len);
}

static void long_message_id(void **state)
{
    static char text[600];

    (void)state;
    for (size_t len = MESSAGE_ID_BYTES_MAX - 1; len <= MESSAGE_ID_BYTES_MAX + 2; len++) {
        size_t at = 0;
        memcpy(text, "Message-ID: ", 12);
        at += 12;
        for (size_t i = 0; i < len; i++)
            text[at++] = (char)('a' + i % 26);
        text[12] = '<';
        text[at - 1] = '>';
        struct slice id = slice_of(text + 12, len);
        memcpy(text + at, "\r\n\r\n", 4);
        struct scan_options options = {SCAN_MODE_CHUNK, false, 0, NULL, NULL};
        each_way(&options, slice_of(text, at + 4), check_cut_id, &id);
    }
}

/* ---- the hash ---- */

/* stuff() - @content as DATA carries it. */
static size_t stuff(const uint8_t *content, size_t len, uint8_t *to)
{
    size_t out = 0;

    for (size_t i = 0; i < len; i++) {
        if (content[i] == '.' && (i == 0 || (i >= 2 && memcmp(content + i - 2, "\r\n", 2) == 0)))
            to[out++] = '.';
        to[out++] = content[i];
    }
    memcpy(to + out, ".\r\n", 3);
    return out + 3;
}

static size_t fill_lines(struct rng *rng, uint8_t *to, size_t len)
{
    size_t at = 0;

    while (at + 120 < len) {
        size_t line = rng_below(rng, 100);
        if (rng_below(rng, 3) == 0)
            to[at++] = '.';
        for (size_t i = 0; i < line; i++)
            to[at++] = (uint8_t)(' ' + rng_below(rng, 95));
        memcpy(to + at, "\r\n", 2);
        at += 2;
    }
    return at;
}

/* The same content over DATA and BDAT, at any split, by any kernel: one hash. */
static void hash_is_of_content(void **state)
{
    static uint8_t content[100000], stuffed[200000];
    static struct outcome o;
    struct rng rng;

    (void)state;
    rng_init(&rng, 7);
    for (size_t turn = 0; turn < 40; turn++) {
        size_t len = fill_lines(&rng, content, 121 + rng_below(&rng, turn < 30 ? 3000 : 90000));
        size_t stuffed_len = stuff(content, len, stuffed);
        struct scan_options bdat = {SCAN_MODE_CHUNK, false, 0, &key, NULL};
        struct scan_options data = {SCAN_MODE_DATA, false, 0, &key, NULL};
        uint64_t hash[2] = {0, 0};
        for (size_t k = 0; k < kernel_count; k++) {
            assert_int_equal(scan_init(kernels[k]), 0);
            for (size_t split = 0; split < 8; split++) {
                bool is_data = split % 2 != 0;
                struct slice in = is_data ? slice_of(stuffed, stuffed_len) : slice_of(content, len);
                drive(&o, is_data ? &data : &bdat, in, 0,
                      split < 2 ? in.len : 1 + rng_below(&rng, 2000));
                assert_int_equal(o.is_end, is_data);
                assert_int_equal(o.content_len, len);
                assert_memory_equal(o.content, content, len);
                if (k == 0 && split == 0)
                    memcpy(hash, o.result.hash, sizeof(hash));
                assert_memory_equal(hash, o.result.hash, sizeof(hash));
            }
        }
    }
}

static void hash_of(const char *text, const struct scan_key *with, uint64_t ret_hash[2])
{
    static struct outcome o;
    struct scan_options options = {SCAN_MODE_CHUNK, false, 0, with, NULL};

    drive(&o, &options, slice_str(text), 0, 100);
    memcpy(ret_hash, o.result.hash, sizeof(o.result.hash));
}

/* Another byte, another length or another key: another hash. No key: none. */
static void hash_is_keyed(void **state)
{
    struct scan_key other = key;
    uint64_t a[2], b[2];
    static const uint64_t zero[2] = {0, 0};

    (void)state;
    for (size_t k = 0; k < kernel_count; k++) {
        assert_int_equal(scan_init(kernels[k]), 0);
        hash_of("a\r\n", &key, a);
        hash_of("b\r\n", &key, b);
        assert_memory_not_equal(a, b, sizeof(a));
        hash_of("a\r\n\r\n", &key, b);
        assert_memory_not_equal(a, b, sizeof(a));
        other.bytes[1] ^= 1; /* short content uses the key's first bytes */
        hash_of("a\r\n", &other, b);
        assert_memory_not_equal(a, b, sizeof(a));
        hash_of("a\r\n", NULL, b);
        assert_memory_equal(b, zero, sizeof(b));
        other = key;
    }
}

/* The hash's state needs an alignment that its owner does not have to know. */
static void any_alignment(void **state)
{
    static uint8_t room[sizeof(struct scan) + 128];
    uint64_t expected[2];

    (void)state;
    hash_of("alignment\r\n", &key, expected);
    for (size_t shift = 0; shift < 64; shift += _Alignof(struct scan)) {
        uintptr_t base = ((uintptr_t)room + 63) & ~(uintptr_t)63;
        struct scan *s = (struct scan *)(base + shift);
        struct scan_options options = {SCAN_MODE_CHUNK, false, 0, &key, NULL};
        struct scan_result result;
        struct slices parts;
        bool is_end;
        scan_begin(s, &options);
        size_t used = scan_feed(s, SLICE_LIT("alignment\r\n"), &parts, &is_end);
        assert_int_equal(used, 11);
        scan_finish(s, &parts, &result);
        assert_memory_equal(expected, result.hash, sizeof(expected));
    }
}

/* ---- the shape of the output ---- */

/* More dots than slices: the rest comes with the next call. A plain window is one slice. */
static void slices_are_bounded(void **state)
{
    static uint8_t in[WINDOW_BYTES_MAX];
    struct scan_options options = {SCAN_MODE_DATA, false, 0, NULL, NULL};
    struct slices parts;
    struct scan s;
    bool is_end;

    (void)state;
    for (size_t k = 0; k < kernel_count; k++) {
        assert_int_equal(scan_init(kernels[k]), 0);
        for (size_t i = 0; i + 6 <= sizeof(in); i += 6)
            memcpy(in + i, "..ab\r\n", 6);
        scan_begin(&s, &options);
        size_t used = scan_feed(&s, slice_of(in, 6000), &parts, &is_end);
        assert_true(used > 0 && used < 6000);
        assert_in_range(parts.count, SLICES_MAX / 2, SLICES_MAX);
        memset(in, 'x', sizeof(in));
        for (size_t i = 78; i < sizeof(in); i += 78)
            memcpy(in + i - 2, "\r\n", 2);
        scan_begin(&s, &options);
        used = scan_feed(&s, slice_of(in, sizeof(in)), &parts, &is_end);
        assert_int_equal(used, sizeof(in));
        assert_int_equal(parts.count, 1);
        assert_ptr_equal(parts.at[0].ptr, in);
        assert_int_equal(parts.at[0].len, sizeof(in));
    }
}

/* ---- names ---- */

static void kernel_names(void **state)
{
    (void)state;
    assert_int_equal(scan_init("mmx"), -EINVAL);
    assert_int_equal(scan_init(""), -EINVAL);
    assert_int_equal(scan_init("auto"), 0);
    assert_int_equal(scan_init("scalar"), 0);
    assert_string_equal(scan_isa_name(), "scalar");
#if defined(__x86_64__)
    assert_int_equal(scan_init("neon"), -ENOTSUP);
#else
    assert_int_equal(scan_init("avx2"), -ENOTSUP);
#endif
    assert_string_equal(scan_isa_name(), "scalar"); /* a refused name changes nothing */
}

static void flag_names(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 9; bit++) {
        enum scan_flag flag = (enum scan_flag)(1u << bit);
        assert_int_equal(scan_flag_parse(slice_str(scan_flag_name(flag))), flag);
    }
    assert_string_equal(scan_flag_name(SCAN_FLAG_BARE_LF), "bare_lf");
    assert_int_equal(scan_flag_parse(SLICE_LIT("bare_l")), 0);
    assert_int_equal(scan_flag_parse(SLICE_LIT("")), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(bad_line_endings),
        cmocka_unit_test(no_variant_ends),
        cmocka_unit_test(longest_line),
        cmocka_unit_test(header_fields),
        cmocka_unit_test(received_limit),
        cmocka_unit_test(long_message_id),
        cmocka_unit_test(hash_is_of_content),
        cmocka_unit_test(hash_is_keyed),
        cmocka_unit_test(any_alignment),
        cmocka_unit_test(slices_are_bounded),
        cmocka_unit_test(kernel_names),
        cmocka_unit_test(flag_names),
    };

    kernel_count = testscan_kernels(kernels);
    ASSERT(kernel_count > 0);
    for (size_t i = 0; i < sizeof(key.bytes); i++)
        key.bytes[i] = (uint8_t)(i * 37 + 11);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
