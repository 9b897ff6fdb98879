/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - the one pass over message content: chooses the kernel and drives all that reads bytes.
 *
 * A window is worked on in pieces that fit the first-level cache. For each piece the framing
 * kernel (kernel.h) tells what is content; while those bytes are in cache, the header parser, the
 * content hash and the content rules read them, in order and each byte once. What the caller gets
 * are slices around the bytes that are no content. Pieces leave no mark: slices that touch are
 * joined.
 *
 * Invariants:
 * - The slices of all calls, in order, are the content; frame.content_bytes is their length.
 * - Nothing depends on how the input was split or on the kernel, except the cuts between slices.
 * - A byte that is not yet known to be content is never in a slice: that is only the CR of
 *   CRLF.CR, which is emitted from static storage when the next call finds that it was content.
 * - Behind the end of data not a byte is looked at for flags, and none is consumed.
 */
#include "scan/scan.h"
#include "base/assert.h"
#include "scan/hash.h"
#include "scan/header.h"
#include "scan/kernel.h"
#include "scan/rules.h"
#include <errno.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* What kernel and readers share in cache: half of a common first-level data cache. */
#define SCAN_PIECE_BYTES ((size_t)16 * KIB)

/* Runs shorter than this are gathered, so that readers are not called for a few bytes each. */
#define SCAN_SHORT_RUN_BYTES 256
#define SCAN_GATHER_BYTES 2048

static_assert(SCAN_HASH_BYTES == HASH_STATE_BYTES, "scan.h cannot see hash.h");
static_assert(SCAN_KEY_BYTES == HASH_SECRET_BYTES, "the whole key is used");
static_assert(SLICES_MAX <= SCAN_EDITS_MAX, "the slices are the tighter limit");
static_assert(SCAN_PIECE_BYTES <= WINDOW_BYTES_MAX, "a window is whole pieces");

struct scan_kernel {
    const char *name;
    bool (*is_supported)(void);
    scan_frame_fn *frame;
    const struct hash_impl *hash;
};

static bool scan_is_supported_always(void)
{
    return true;
}

#if defined(__x86_64__)
/* LZCNT decodes as another instruction where it is missing, and no compiler builtin tells of it. */
static bool scan_has_bit_counts(void)
{
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid(0x80000001u, &eax, &ebx, &ecx, &edx) && (ecx & (1u << 5)) != 0 &&
           __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
}

static bool scan_is_supported_sse42(void)
{
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}

static bool scan_is_supported_avx2(void)
{
    return __builtin_cpu_supports("avx2") && scan_has_bit_counts();
}

static bool scan_is_supported_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && scan_has_bit_counts();
}
#endif

/* Best first; the last one works everywhere. */
static const struct scan_kernel scan_kernels[] = {
#if defined(__x86_64__)
    {"avx512", scan_is_supported_avx512, scan_frame_avx512, &hash_avx512},
    {"avx2", scan_is_supported_avx2, scan_frame_avx2, &hash_avx2},
    {"sse42", scan_is_supported_sse42, scan_frame_sse42, &hash_sse2},
#elif defined(__aarch64__)
    {"neon", scan_is_supported_always, scan_frame_neon, &hash_neon},
#endif
    {"scalar", scan_is_supported_always, scan_frame_scalar, &hash_scalar},
};

/* Written by scan_init() before any thread starts, and only read afterwards. */
static const struct scan_kernel *scan_chosen;

int scan_init(const char *isa)
{
    static const char *const known[] = {"scalar", "sse42", "avx2", "avx512", "neon"};
    bool is_auto = strcmp(isa, "auto") == 0;

    for (size_t i = 0; i < ARRAY_COUNT(scan_kernels); i++) {
        if (!is_auto && strcmp(isa, scan_kernels[i].name) != 0)
            continue;
        if (scan_kernels[i].is_supported()) {
            scan_chosen = &scan_kernels[i];
            return 0;
        }
        if (!is_auto)
            return -ENOTSUP;
    }
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (strcmp(isa, known[i]) == 0)
            return -ENOTSUP;
    return -EINVAL;
}

const char *scan_isa_name(void)
{
    ASSERT(scan_chosen != NULL);
    return scan_chosen->name;
}

static const struct {
    enum scan_flag flag;
    const char *name;
} scan_flag_names[] = {
    {SCAN_FLAG_BARE_CR, "bare_cr"},
    {SCAN_FLAG_BARE_LF, "bare_lf"},
    {SCAN_FLAG_NUL, "nul"},
    {SCAN_FLAG_HIGH, "high"},
    {SCAN_FLAG_LONG_LINE, "long_line"},
    {SCAN_FLAG_NO_HEADER_END, "no_header_end"},
    {SCAN_FLAG_NORMALIZED, "normalized"},
    {SCAN_FLAG_LOOP, "loop"},
    {SCAN_FLAG_UNENDED, "unended"},
};

const char *scan_flag_name(enum scan_flag flag)
{
    for (size_t i = 0; i < ARRAY_COUNT(scan_flag_names); i++)
        if (scan_flag_names[i].flag == flag)
            return scan_flag_names[i].name;
    UNREACHABLE();
}

uint32_t scan_flag_parse(struct slice name)
{
    for (size_t i = 0; i < ARRAY_COUNT(scan_flag_names); i++)
        if (slice_eq(name, slice_str(scan_flag_names[i].name)))
            return scan_flag_names[i].flag;
    return 0;
}

void scan_begin(struct scan *s, const struct scan_options *options)
{
    ASSERT(scan_chosen != NULL);
    s->kernel = scan_chosen;
    s->rules = options->rules;
    s->received_max = options->received_max != 0 ? options->received_max : RECEIVED_COUNT_MAX;
    s->is_hashed = options->key != NULL;
    s->is_ended = false;
    s->frame = (struct scan_frame){
        .bad_offset = UINT64_MAX,
        .phase = SCAN_PHASE_LINE_START,
        .is_stuffed = options->mode == SCAN_MODE_DATA,
        .normalizes = options->normalize_bare_lf,
    };
    header_begin(&s->header);
    if (s->is_hashed)
        s->kernel->hash->begin(s->hash, options->key->bytes);
}

/* The readers' side of one call: runs of content too short to be handed on alone. */
struct scan_gather {
    size_t len;
    uint8_t bytes[SCAN_GATHER_BYTES];
};

/* scan_read() - show content bytes to all that read them. */
static void scan_read(struct scan *s, struct slice bytes)
{
    if (s->is_hashed)
        s->kernel->hash->feed(s->hash, bytes.ptr, bytes.len);
    if (!header_is_over(&s->header)) {
        struct slice part = slice_first(bytes, header_feed(&s->header, bytes));
        if (s->rules != NULL && part.len > 0)
            rules_stream_feed(s->rules, RULES_PART_HEADER, part);
        bytes = slice_from(bytes, part.len);
    }
    if (s->rules != NULL && bytes.len > 0)
        rules_stream_feed(s->rules, RULES_PART_BODY, bytes);
}

static void scan_gather_flush(struct scan *s, struct scan_gather *gather)
{
    if (gather->len > 0)
        scan_read(s, slice_of(gather->bytes, gather->len));
    gather->len = 0;
}

/* scan_emit() - @run is content: give it to the caller and to the readers. */
static void scan_emit(struct scan *s, struct slices *parts, struct scan_gather *gather,
                      struct slice run)
{
    struct slice *last = parts->count > 0 ? &parts->at[parts->count - 1] : NULL;

    if (run.len == 0)
        return;
    if (last != NULL && last->ptr + last->len == run.ptr) {
        last->len += run.len;
    } else {
        ASSERT(parts->count < SLICES_MAX);
        parts->at[parts->count++] = run;
    }
    if (run.len >= SCAN_SHORT_RUN_BYTES) {
        scan_gather_flush(s, gather);
        scan_read(s, run);
        return;
    }
    if (run.len > SCAN_GATHER_BYTES - gather->len)
        scan_gather_flush(s, gather);
    memcpy(gather->bytes + gather->len, run.ptr, run.len);
    gather->len += run.len;
}

/* scan_emit_edited() - the content among the bytes @piece, which the kernel has consumed. */
static void scan_emit_edited(struct scan *s, struct slices *parts, struct scan_gather *gather,
                             struct slice piece, const struct scan_edits *edits)
{
    size_t from = 0;

    ASSERT(edits->tail_bytes <= piece.len);
    if (edits->releases_cr)
        scan_emit(s, parts, gather, SLICE_LIT("\r"));
    for (uint32_t i = 0; i < edits->count; i++) {
        size_t at = edits->at[i] >> 1;
        scan_emit(s, parts, gather, slice_of(piece.ptr + from, at - from));
        from = at;
        if ((edits->at[i] & 1) == SCAN_EDIT_INSERT_CR)
            scan_emit(s, parts, gather, SLICE_LIT("\r"));
        else
            from++;
    }
    scan_emit(s, parts, gather, slice_of(piece.ptr + from, piece.len - edits->tail_bytes - from));
}

/* scan_edits_room() - edits that are sure to fit into the slices left; 0 when none may. */
static uint32_t scan_edits_room(const struct scan *s, const struct slices *parts)
{
    uint32_t slices_each = s->frame.normalizes ? 2 : 1;
    uint32_t slices_apart = 2; /* a released CR, and the run before the first edit */
    uint32_t left = SLICES_MAX - parts->count;

    return left <= slices_apart ? 0 : (left - slices_apart) / slices_each;
}

size_t scan_feed(struct scan *s, struct slice in, struct slices *parts, bool *ret_end)
{
    struct scan_gather gather;
    struct scan_edits edits;
    size_t used = 0;

    ASSERT(!s->is_ended);
    ASSERT(in.len <= WINDOW_BYTES_MAX);
    gather.len = 0;
    parts->count = 0;
    while (used < in.len && !s->is_ended) {
        struct slice piece = slice_first(slice_from(in, used), SCAN_PIECE_BYTES);
        edits.max = scan_edits_room(s, parts);
        if (edits.max == 0)
            break;
        piece.len = s->kernel->frame(&s->frame, piece.ptr, piece.len, &edits);
        ASSERT(piece.len > 0);
        scan_emit_edited(s, parts, &gather, piece, &edits);
        s->is_ended = edits.is_end;
        used += piece.len;
    }
    scan_gather_flush(s, &gather);
    *ret_end = s->is_ended;
    return used;
}

/* scan_settle() - what the last bytes meant, now that nothing follows. */
static void scan_settle(struct scan *s, struct slices *tail)
{
    struct scan_frame *f = &s->frame;

    tail->count = 0;
    if (f->phase == SCAN_PHASE_CR) {
        frame_bad(f, SCAN_FLAG_BARE_CR, f->content_bytes - 1);
    } else if (f->phase == SCAN_PHASE_DOT_CR) {
        frame_bad(f, SCAN_FLAG_BARE_CR, f->content_bytes);
        frame_content_byte(f);
        tail->at[tail->count++] = SLICE_LIT("\r");
        scan_read(s, SLICE_LIT("\r"));
    }
    if (f->line_bytes > f->line_bytes_max)
        f->line_bytes_max = f->line_bytes;
    if (f->line_bytes > 0)
        f->flags |= SCAN_FLAG_UNENDED;
    if (f->line_bytes_max > TEXT_LINE_BYTES_MAX)
        f->flags |= SCAN_FLAG_LONG_LINE;
    if (!header_is_over(&s->header))
        f->flags |= SCAN_FLAG_NO_HEADER_END;
    if (s->header.received_count > s->received_max)
        f->flags |= SCAN_FLAG_LOOP;
}

void scan_finish(struct scan *s, struct slices *tail, struct scan_result *ret_result)
{
    const struct scan_frame *f = &s->frame;
    const struct scan_header *h = &s->header;

    scan_settle(s, tail);
    if (s->rules != NULL)
        rules_stream_end(s->rules);
    ASSERT(h->bytes <= f->content_bytes);
    ASSERT((f->bad_offset == UINT64_MAX) ==
           ((f->flags & (SCAN_FLAG_BARE_CR | SCAN_FLAG_BARE_LF | SCAN_FLAG_NUL)) == 0));
    *ret_result = (struct scan_result){
        .flags = f->flags,
        .content_bytes = f->content_bytes,
        .header_bytes = h->bytes,
        .line_count = f->line_count,
        .line_bytes_max = f->line_bytes_max,
        .bad_offset = f->bad_offset,
        .received_count = h->received_count,
        .message_id_len = h->message_id_len,
    };
    memcpy(ret_result->message_id, h->message_id, h->message_id_len);
    if (s->is_hashed)
        s->kernel->hash->finish(s->hash, ret_result->hash);
    s->is_ended = true;
}

uint64_t scan_content_bytes(const struct scan *s)
{
    return s->frame.content_bytes;
}
