/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_test.c - each framing kernel that this processor has, against the scalar one.
 *
 * Lengths 0..300, alignments 0..63, an alphabet of exceptions, state carried between windows, few
 * and many edits a call. The bytes start behind or end before a page that cannot be read, so a
 * kernel that looks outside dies here without a sanitizer too. Style section 12. Whole messages
 * against an oracle: tests/diff.
 *
 * scan_neon.c is checked by building this program and tests/diff with aarch64-linux-gnu-gcc and
 * running both under qemu-aarch64; tests/unit/scan/meson.build says how.
 */
#include "../../support/testscan.h"
#include "base/assert.h"
#include "base/rng.h"
#include "scan/kernel.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#define LEN_MAX 400 /* style says 300 */
#define ALIGN_COUNT 64
#define ARENA_BYTES ((size_t)64 * KIB)

static const struct {
    const char *name;
    scan_frame_fn *frame;
} kernels[] = {
    {"scalar", scan_frame_scalar},
#if defined(__x86_64__)
    {"sse42", scan_frame_sse42},
    {"avx2", scan_frame_avx2},
    {"avx512", scan_frame_avx512},
#elif defined(__aarch64__)
    {"neon", scan_frame_neon},
#endif
};

static scan_frame_fn *proven[TESTSCAN_KERNELS_MAX];
static const char *proven_names[TESTSCAN_KERNELS_MAX];
static size_t proven_count;
static uint8_t *arena; /* ARENA_BYTES between two pages without access */
static struct rng rng;

/* What a kernel said about some windows, without the cuts between its calls. */
struct answer {
    struct scan_frame frame;
    size_t used;
    bool is_end;
    size_t content_len;
    uint8_t content[2 * LEN_MAX + 2];
};

struct setup {
    bool is_stuffed;
    bool normalizes;
    uint8_t phase;
    uint64_t line_bytes;
    uint64_t line_bytes_max;
    uint32_t edits_max;
    size_t cut[2]; /* ascending */
};

static void put(struct answer *a, const uint8_t *ptr, size_t len)
{
    assert_true(a->content_len + len <= sizeof(a->content));
    if (len > 0)
        memcpy(a->content + a->content_len, ptr, len);
    a->content_len += len;
}

static void collect(struct answer *a, struct slice piece, const struct scan_edits *edits)
{
    size_t from = 0;

    if (edits->releases_cr)
        put(a, (const uint8_t *)"\r", 1);
    for (uint32_t i = 0; i < edits->count; i++) {
        size_t at = edits->at[i] >> 1;
        assert_true(at >= from && at < piece.len);
        put(a, piece.ptr + from, at - from);
        from = at;
        if ((edits->at[i] & 1) == SCAN_EDIT_INSERT_CR)
            put(a, (const uint8_t *)"\r", 1);
        else
            from++;
    }
    assert_true(from + edits->tail_bytes <= piece.len);
    put(a, piece.ptr + from, piece.len - edits->tail_bytes - from);
}

static void drive(struct answer *a, scan_frame_fn *frame, const struct setup *setup,
                  struct slice in)
{
    struct scan_edits edits;

    a->used = a->content_len = 0;
    a->is_end = false;
    a->frame = (struct scan_frame){
        .bad_offset = UINT64_MAX,
        .phase = setup->phase,
        .is_stuffed = setup->is_stuffed,
        .normalizes = setup->normalizes,
        .line_bytes = setup->line_bytes,
        .line_bytes_max = setup->line_bytes_max,
        .content_bytes = setup->line_bytes,
    };
    while (a->used < in.len && !a->is_end) {
        size_t to = in.len;
        for (size_t i = ARRAY_COUNT(setup->cut); i-- > 0;)
            if (setup->cut[i] > a->used && setup->cut[i] < to)
                to = setup->cut[i];
        struct slice piece = slice_of(in.ptr + a->used, to - a->used);
        edits.max = setup->edits_max;
        piece.len = frame(&a->frame, piece.ptr, piece.len, &edits);
        assert_true(piece.len > 0 && piece.len <= to - a->used);
        assert_true(edits.count <= edits.max);
        collect(a, piece, &edits);
        a->used += piece.len;
        a->is_end = edits.is_end;
    }
    /* The longest line may or may not include the one in progress. */
    if (a->frame.line_bytes > a->frame.line_bytes_max)
        a->frame.line_bytes_max = a->frame.line_bytes;
}

static const char *difference(const struct answer *a, const struct answer *b)
{
    if (a->used != b->used || a->is_end != b->is_end)
        return "the end";
    if (a->content_len != b->content_len || memcmp(a->content, b->content, a->content_len) != 0)
        return "content";
    if (a->frame.content_bytes != b->frame.content_bytes)
        return "content_bytes";
    if (a->frame.line_count != b->frame.line_count)
        return "line_count";
    if (a->frame.line_bytes != b->frame.line_bytes)
        return "line_bytes";
    if (a->frame.line_bytes_max != b->frame.line_bytes_max)
        return "line_bytes_max";
    if (a->frame.bad_offset != b->frame.bad_offset)
        return "bad_offset";
    if (a->frame.flags != b->frame.flags)
        return "flags";
    return a->frame.phase != b->frame.phase ? "phase" : NULL;
}

static void check(const struct setup *setup, struct slice in)
{
    static struct answer expected, actual;

    drive(&expected, scan_frame_scalar, setup, in);
    for (size_t k = 0; k < proven_count; k++) {
        drive(&actual, proven[k], setup, in);
        const char *what = difference(&expected, &actual);
        if (what == NULL)
            continue;
        print_message("%s differs in %s: %zu bytes, phase %u, stuffed %d, normalizes %d, "
                      "edits_max %u, cuts %zu %zu\n",
                      proven_names[k], what, in.len, setup->phase, setup->is_stuffed,
                      setup->normalizes, setup->edits_max, setup->cut[0], setup->cut[1]);
        for (size_t i = 0; i < in.len; i++)
            print_message("%02x", in.ptr[i]);
        print_message("\n");
        fail();
    }
}

static struct setup random_setup(size_t len)
{
    struct setup s = {
        .is_stuffed = rng_below(&rng, 2) != 0,
        .normalizes = rng_below(&rng, 2) != 0,
        .phase = (uint8_t)rng_below(&rng, SCAN_PHASE_DOT_CR + 1),
        .line_bytes = rng_below(&rng, 3) * 33,
        .line_bytes_max = rng_below(&rng, 3) * 37,
        .edits_max = rng_below(&rng, 2) ? SCAN_EDITS_MAX : 1 + (uint32_t)rng_below(&rng, 3),
        .cut = {rng_below(&rng, len + 1), len},
    };

    if (s.phase >= SCAN_PHASE_DOT) /* not reached without stuffing */
        s.is_stuffed = true;
    if (s.phase == SCAN_PHASE_CR) /* the CR is content of the line */
        s.line_bytes++;
    s.cut[1] = s.cut[0] + rng_below(&rng, len - s.cut[0] + 1);
    return s;
}

/* All bytes of exceptions; mail with a rare one; nothing but text and line ends. */
static const struct slice alphabets[] = {
    SLICE_INIT("\r\n.\0\x80"
               "A"),
    SLICE_INIT("\r\n.A"),
    SLICE_INIT("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n.\0\x80"),
    SLICE_INIT("AAAAAAAAAAAAAAAAAAAAAAAAAAA~"), /* '~': CRLF */
    SLICE_INIT("AA.~"),
};

static void fill(uint8_t *to, size_t len)
{
    struct slice from = alphabets[rng_below(&rng, ARRAY_COUNT(alphabets))];

    for (size_t i = 0; i < len; i++) {
        to[i] = from.ptr[rng_below(&rng, from.len)];
        if (to[i] == '~') {
            to[i] = i + 1 < len ? '\r' : 'A';
            if (i + 1 < len)
                to[++i] = '\n';
        }
    }
}

static void check_at(uint8_t *from, size_t len)
{
    fill(from, len);
    struct setup setup = random_setup(len);
    check(&setup, slice_of(from, len));
}

static void lengths_and_alignments(void **state)
{
    (void)state;
    for (size_t len = 0; len <= LEN_MAX; len++) {
        for (size_t align = 0; align < ALIGN_COUNT; align++) {
            check_at(arena + align, len);             /* at 0: behind the guard page */
            check_at(arena + ARENA_BYTES - len, len); /* right before the other one */
            check_at(arena + ARENA_BYTES - len - align, len);
        }
    }
}

/* Each pair of exceptions at each pair of places in three blocks of text. */
static void pairs(void **state)
{
    static const char odd[] = "\r\n.\0\x80";
    uint8_t *in = arena + ARENA_BYTES - 192;

    (void)state;
    for (size_t kind = 0; kind < 25; kind++) {
        for (size_t a = 55; a < 140; a++) {
            for (size_t b = a + 1; b < a + 5; b++) {
                memset(in, 'A', 192);
                in[a] = (uint8_t)odd[kind % 5];
                in[b] = (uint8_t)odd[kind / 5];
                struct setup setup = {.is_stuffed = true,
                                      .normalizes = a % 2 != 0,
                                      .phase = SCAN_PHASE_LINE_START,
                                      .edits_max = SCAN_EDITS_MAX,
                                      .cut = {b, b}};
                check(&setup, slice_of(in, 192));
                setup.cut[0] = setup.cut[1] = 192;
                check(&setup, slice_of(in, 192));
            }
        }
    }
}

/* The end of data, and what only looks like it, at each place of four blocks, and cut in it. */
static void ends(void **state)
{
    static const struct slice forms[] = {
        SLICE_INIT("\r\n.\r\n"), SLICE_INIT("\r\n..\r\n"), SLICE_INIT("\r\n.\r\r\n"),
        SLICE_INIT("\n.\r\n"),   SLICE_INIT("\r\n.\n"),    SLICE_INIT("\r\r\n.\r\n"),
        SLICE_INIT("\r.\r\n"),   SLICE_INIT("\r\n.\rA"),   SLICE_INIT("\r\n.A\r\n.\r\n"),
    };
    size_t len = 4 * 64;

    (void)state;
    for (size_t f = 0; f < ARRAY_COUNT(forms); f++) {
        for (size_t at = 0; at + forms[f].len <= len; at++) {
            uint8_t *in = arena + ARENA_BYTES - len;
            memset(in, 'A', len);
            memcpy(in + at, forms[f].ptr, forms[f].len);
            for (size_t cut = 0; cut <= forms[f].len; cut++) {
                struct setup setup = {.is_stuffed = true,
                                      .normalizes = cut % 2 != 0,
                                      .phase = at % 3 ? SCAN_PHASE_TEXT : SCAN_PHASE_LINE_START,
                                      .edits_max = 1 + (uint32_t)cut % 2,
                                      .cut = {at + cut, at + cut}};
                check(&setup, slice_of(in, len));
            }
        }
    }
}

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
        cmocka_unit_test(pairs),
        cmocka_unit_test(ends),
    };
    const char *names[TESTSCAN_KERNELS_MAX];
    size_t count = testscan_kernels(names);

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < ARRAY_COUNT(kernels); k++) {
            if (strcmp(kernels[k].name, names[i]) != 0)
                continue;
            proven_names[proven_count] = names[i];
            proven[proven_count++] = kernels[k].frame;
        }
    }
    ASSERT(proven_count == count);
    arena = arena_new();
    rng_init(&rng, 20250102);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
