/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_diff_test.c - every kernel that this processor has, against the oracle, at many splits.
 *
 * Prints which kernels that were. The input always ends or begins at a page that cannot be read,
 * so a kernel that looks outside is found without a sanitizer too. CORE-40..44, style section 12.
 */
#include "base/assert.h"
#include "../support/testscan.h"
#include "base/rng.h"
#include "scan_oracle.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#ifndef CORPUS_DIR
#error "the build names the folder of the corpus"
#endif

#define ARENA_BYTES ((size_t)1 * MIB)
#define CUT_COUNT_MAX 64

static const char *proven[TESTSCAN_KERNELS_MAX];
static size_t proven_count;
static struct scan_key key;
static uint8_t *arena; /* between two pages without access */
static struct rng rng;

static void fail_case(const char *isa, const char *what, const struct oracle_case *c,
                      struct slice in, const size_t *cuts, size_t cut_count)
{
    print_message("%s differs in %s: mode %d, normalizes %d, %zu bytes, cuts", isa, what,
                  (int)c->mode, (int)c->normalizes, in.len);
    for (size_t i = 0; i < cut_count; i++)
        print_message(" %zu", cuts[i]);
    print_message("\n");
    for (size_t i = 0; i < in.len && i < 400; i++)
        print_message("%02x", in.ptr[i]);
    print_message("\n");
    fail();
}

/* Every kernel must give the oracle's answer, uncut and with the cuts. */
static void check(const struct oracle_case *c, struct slice in, const size_t *cuts,
                  size_t cut_count)
{
    struct oracle_answer expected = oracle_answer(c, in);

    for (size_t i = 0; i < proven_count; i++) {
        assert_int_equal(scan_init(proven[i]), 0);
        for (size_t used_cuts = 0; used_cuts <= cut_count; used_cuts += size_max(cut_count, 1)) {
            struct oracle_answer actual = oracle_drive(c, in, cuts, used_cuts);
            const char *what = oracle_compare(&expected, &actual);
            if (what != NULL)
                fail_case(proven[i], what, c, in, cuts, used_cuts);
            oracle_free(&actual);
        }
    }
    oracle_free(&expected);
}

static struct oracle_case case_at(size_t variant)
{
    return (struct oracle_case){
        .mode = variant & 1 ? SCAN_MODE_CHUNK : SCAN_MODE_DATA,
        .normalizes = (variant & 2) != 0,
        .received_max = variant & 4 ? 1 : 0,
        .key = &key,
    };
}

static void fill(uint8_t *to, size_t len, const char *alphabet, size_t alphabet_len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)alphabet[rng_below(&rng, alphabet_len)];
}

static int compare_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

static size_t random_cuts(size_t *cuts, size_t len)
{
    size_t count = rng_below(&rng, CUT_COUNT_MAX);

    for (size_t i = 0; i < count; i++)
        cuts[i] = rng_below(&rng, len + 1);
    qsort(cuts, count, sizeof(cuts[0]), compare_size);
    return count;
}

/* Alphabets of exceptions: all of them, mostly line ends, mostly text. */
static const struct {
    const char *bytes;
    size_t len;
} alphabets[] = {
    {"\r\n.\0\x80"
     "A",
     6},
    {"\r\n.\r\n.\r\n", 8},
    {"\r\n.AAAAAAAAAAAAAAAAAAAAAAAAA\x80", 29},
    {"\nAAAA\r", 6},
};

static void lengths_and_alignments(void **state)
{
    size_t cuts[CUT_COUNT_MAX];
    size_t variant = 0;

    (void)state;
    for (size_t len = 0; len <= 300; len++) {
        for (size_t align = 0; align < 64; align++) {
            size_t a = variant % ARRAY_COUNT(alphabets);
            uint8_t *from = align % 2 ? arena + align : arena + ARENA_BYTES - len;
            fill(from, len, alphabets[a].bytes, alphabets[a].len);
            struct oracle_case c = case_at(variant / ARRAY_COUNT(alphabets));
            check(&c, slice_of(from, len), cuts, random_cuts(cuts, len));
            variant++;
        }
    }
}

/* Lines as mail has them, with CRLF, stuffed dots and now and then something odd. */
static size_t fill_mail(uint8_t *to, size_t len, uint64_t odd_one_in)
{
    static const char *const odd[] = {"\r",         "\n",      "\n.\r\n",     "\r\n.\r",
                                      "\r\n.\n",    "\r.\r",   "\r\n.\r\r\n", "\r\r\n.\r\r\n",
                                      "\r\n..\r\n", "\x80\xff"};
    static const char *const fields[] = {"Received: by a\r\n",
                                         "received : x\r\n\tand more\r\n",
                                         "Message-ID: <a@b>\r\n",
                                         "MESSAGE-ID:\r\n  <c@d> e\r\n",
                                         "Message-Id: bare-id more\r\n",
                                         "\r\n",
                                         " folded\r\n",
                                         "Receivedx: no\r\n",
                                         "X:\r\n"};
    size_t at = 0;

    while (at + 200 < len) {
        size_t line_len = rng_below(&rng, 8) == 0 ? rng_below(&rng, 150) : 60 + rng_below(&rng, 20);
        const char *text = "";
        if (at < 600)
            text = fields[rng_below(&rng, ARRAY_COUNT(fields))];
        else if (rng_below(&rng, 10) == 0)
            text = "..";
        memcpy(to + at, text, strlen(text));
        at += strlen(text);
        for (size_t i = 0; i < line_len; i++)
            to[at++] = (uint8_t)(' ' + rng_below(&rng, 95));
        memcpy(to + at, "\r\n", 2);
        at += 2;
        if (odd_one_in != 0 && rng_below(&rng, odd_one_in) == 0) {
            text = odd[rng_below(&rng, ARRAY_COUNT(odd))];
            memcpy(to + at, text, strlen(text));
            at += strlen(text);
        }
    }
    return at;
}

static void mail_at_random_splits(void **state)
{
    size_t cuts[CUT_COUNT_MAX];

    (void)state;
    for (size_t turn = 0; turn < 300; turn++) {
        size_t len = 1000 + rng_below(&rng, turn % 10 == 0 ? 200000 : 20000);
        uint8_t *from = arena + rng_below(&rng, 64);
        len = fill_mail(from, len, turn % 3 * 40);
        if (turn % 2 == 0) {
            memcpy(from + len, "\r\n.\r\nQUIT\r\n\xff\0\r", 14);
            len += 14;
        }
        struct oracle_case c = case_at(turn);
        check(&c, slice_of(from, len), cuts, random_cuts(cuts, len));
    }
}

/* All strings of up to 7 of four bytes, at the places where blocks and vectors meet. */
static void every_short_string(void **state)
{
    static const char alphabet[] = "\r\n.A";
    static const size_t before[] = {0, 61, 62, 127};
    size_t string_count = 1;

    (void)state;
    for (size_t len = 1; len <= 7; len++) {
        string_count *= 4;
        for (size_t n = 0; n < string_count; n++) {
            size_t lead = before[n % ARRAY_COUNT(before)];
            size_t total = lead + len + (n % 3 == 0 ? 200 : 0);
            uint8_t *from = arena + ARENA_BYTES - total;
            memset(from, 'x', total);
            for (size_t i = 0, digits = n; i < len; i++, digits /= 4)
                from[lead + i] = (uint8_t)alphabet[digits % 4];
            size_t cut = lead + n % (len + 1);
            struct oracle_case c = case_at(n & 2);
            check(&c, slice_of(from, total), &cut, 1);
        }
    }
}

/* Messages in which a split matters, cut at each place, and into single bytes. */
static void every_split(void **state)
{
    static const char *const messages[] = {
        "Received: a\r\nMessage-ID: <x@y>\r\n\r\n..dot\r\n...\r\n.\r\nRSET\r\n",
        "Message-ID:\r\n <long@\r\n id> tail\r\nReceived : 1\r\nRECEIVED\t: 2\r\n\r\nReceived: "
        "no\r\n.\r\n",
        ".\r\nQUIT\r\n",
        "..\r\n.\r\n",
        "a\r\n.\r\r\n.\rx\r\n.\n\r\n.\r\n",
        "a\n.\nb\n.\r\nc\r\n.\nd\r.\re\r\n.\r\n",
        "\r\n\r\n.\r\n",
        "no header end\r\n.\r\n",
    };
    size_t singles[CUT_COUNT_MAX * 4];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(singles); i++)
        singles[i] = i + 1;
    for (size_t m = 0; m < ARRAY_COUNT(messages); m++) {
        size_t len = strlen(messages[m]);
        uint8_t *from = arena + ARENA_BYTES - len;
        memcpy(from, messages[m], len);
        for (size_t variant = 0; variant < 4; variant++) {
            struct oracle_case c = case_at(variant);
            for (size_t cut = 0; cut <= len; cut++)
                check(&c, slice_of(from, len), &cut, 1);
            assert_true(len < ARRAY_COUNT(singles));
            check(&c, slice_of(from, len), singles, len);
        }
    }
}

/* What costs most: nothing but exceptions. The answers must be right there too. */
static void hostile(void **state)
{
    static const char *const units[] = {"\r\n.", "\r\n..", "\n", "\r",
                                        "\r\n",  "a\r\n",  ".",  "\n.\r\n"};
    size_t cuts[CUT_COUNT_MAX];

    (void)state;
    for (size_t u = 0; u < ARRAY_COUNT(units); u++) {
        size_t unit_len = strlen(units[u]);
        size_t len = 40000 / unit_len * unit_len;
        for (size_t at = 0; at < len; at += unit_len)
            memcpy(arena + at, units[u], unit_len);
        for (size_t variant = 0; variant < 4; variant++) {
            struct oracle_case c = case_at(variant);
            check(&c, slice_of(arena, len), cuts, random_cuts(cuts, len));
        }
    }
}

/* Reads a message, makes its line ends CRLF and stuffs its dots. */
static size_t load_message(const char *name, uint8_t *to, size_t cap)
{
    char path[4096];
    size_t len = 0;
    int last = '\n';
    int byte;

    snprintf(path, sizeof(path), "%s/%s", CORPUS_DIR, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    while ((byte = fgetc(file)) != EOF) {
        assert_true(len + 3 < cap);
        if (byte == '.' && last == '\n')
            to[len++] = '.';
        if (byte == '\n' && last != '\r')
            to[len++] = '\r';
        to[len++] = (uint8_t)byte;
        last = byte;
    }
    fclose(file);
    return len;
}

static void corpus(void **state)
{
    size_t cuts[CUT_COUNT_MAX];
    size_t count = 0;
    DIR *folder = opendir(CORPUS_DIR);

    (void)state;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strstr(entry->d_name, ".eml") == NULL)
            continue;
        size_t len = load_message(entry->d_name, arena, ARENA_BYTES - 16);
        memcpy(arena + len, "\r\n.\r\nQUIT\r\n", 11);
        for (size_t variant = 0; variant < 4; variant++) {
            struct oracle_case c = case_at(variant);
            size_t total = c.mode == SCAN_MODE_DATA ? len + 11 : len;
            check(&c, slice_of(arena, total), cuts, random_cuts(cuts, total));
        }
        count++;
    }
    closedir(folder);
    assert_int_equal(count, 103);
}

/* An arena without access before and behind it. */
static uint8_t *arena_new(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *memory =
        mmap(NULL, ARENA_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ASSERT(memory != MAP_FAILED);
    int err = mprotect(memory + page, ARENA_BYTES, PROT_READ | PROT_WRITE);
    ASSERT(err == 0);
    return memory + page;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_and_alignments),
        cmocka_unit_test(mail_at_random_splits),
        cmocka_unit_test(every_short_string),
        cmocka_unit_test(every_split),
        cmocka_unit_test(hostile),
        cmocka_unit_test(corpus),
    };

    arena = arena_new();
    rng_init(&rng, 20250101);
    for (size_t i = 0; i < sizeof(key.bytes); i++)
        key.bytes[i] = (uint8_t)rng_next(&rng);
    proven_count = testscan_kernels(proven);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
