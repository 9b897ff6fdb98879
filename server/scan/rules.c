/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.c - content rules: sets of compiled patterns, and the streams that match them.
 *
 * The text of a rules file has one rule a line:
 *
 *     # name        part    score   pattern
 *     LOTTERY       any     2.5     /\blottery\s+(winner|prize)\b/i
 *     BAD_MAILER    header  -0.50   /^X-Mailer: The Bat/m
 *     TEST_STRING   body    1000    "XYZZY\t\"plugh\"\x00"      # a comment
 *
 * - Fields stand apart by spaces or tabs. "#" starts a comment where a field could start. Empty
 *   lines are skipped; lines may end with CRLF.
 * - name: letters, digits, "_", "-" and ".", at most 64, unique. It appears in the log.
 * - part: "header" is all bytes up to and with the first empty line, "body" the rest, "any" both,
 *   each looked at on its own. Bytes are those of the message as sent: base64 and quoted-printable
 *   are not decoded, folded header lines are not unfolded, lines end with CRLF.
 * - score: decimal, at most two places, from -10000 to 10000. A rule counts once a message,
 *   however often and wherever it matches; scores add up.
 * - pattern: a literal in double quotes, with \" \\ \t \r \n and \xHH, or a regular expression
 *   between slashes in which a slash is written \/. Flags may follow either: i ignores case (of
 *   ASCII letters), s lets "." match a line end, m lets "^" and "$" match at lines.
 * - Expressions are PCRE's, as far as Vectorscan has them: no lookaround, no back-references, no
 *   captures. An expression that matches nothing at all ("/a*|/") is refused. Without m, "^" is
 *   the start and "$" the end of the part; as lines end with CRLF, write "\r?$" with m.
 *
 * Rules of part any are compiled into both databases, the header's and the body's, so each byte of
 * a message goes through one of them once. A set is immutable and counted by its holders; a
 * stream holds the set that it began with, so that a reload leaves messages in progress alone.
 * A worker belongs to one thread: no locks, and its streams come from that thread's own heap.
 *
 * Speed (AMD EPYC 9004, Vectorscan 5.4.9, scan_bench, bytes in cache): the default rules 23 GB/s
 * with the AVX2 matcher, 12 with the SSE4.2 one; the AVX-512 one would make 32, but it loses
 * matches (see "the library" below). Two to eight literals that do not share their last bytes take
 * twice the time of one. So the default rules are written with one common literal,
 * "-STANDARD-ANTI", behind which "." stands for a byte that is known: a longer literal would make
 * two of one. EICAR in base64 is a second literal, so that rule is there as a comment, for those
 * who would rather pay.
 */
#include "scan/rules.h"
#include "base/assert.h"
#include <errno.h>
#include <hs/hs.h>
#include <mimalloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define RULES_NAME_BYTES_MAX 64
#define RULES_PATTERN_BYTES_MAX 8192
#define RULES_SCORE_UNITS_MAX 10000
#define RULES_PART_COUNT 2
#define RULES_SEEN_WORDS (RULE_COUNT_MAX / 64)

static_assert(RULE_COUNT_MAX <= UINT16_MAX, "rules_hits.rule_idx");
static_assert(RULE_COUNT_MAX % 64 == 0, "seen is whole words");

/* The EICAR line is put together here, lest this file be taken for a virus. */
const char rules_default_text[] =
    "# Test strings. GTUBE: https://spamassassin.apache.org/gtube/, EICAR: https://www.eicar.org/\n"
    "GTUBE  any  1000  "
    "/XJS\\*C4JDBQADN1\\.NSBN3\\*2IDNEN\\*GTUBE-STANDARD-ANTI.UBE-TEST-EMAIL\\*C\\.34X/\n"
    "EICAR  any  1000  "
    "/X5O!P%@AP\\[4\\\\PZX54\\(P\\^\\)7CC\\)7\\}\\$EICAR-STANDARD"
    "-ANTI.IRUS-TEST-FILE!\\$H\\+H\\*/\n"
    "# The same as a base64 attachment, at each of three alignments, up to the end of a line.\n"
    "# Matching takes twice the time with it (see rules.c).\n"
    "#EICAR_BASE64  body  1000  "
    "/WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNU"
    "|g1TyFQJUBBUFs0XFBaWDU0KFBeKTdDQyk3fSRFSUNBUi1TVEFOREFSRC1BTlRJVklSVV"
    "|NU8hUCVAQVBbNFxQWlg1NChQXik3Q0MpN30kRUlDQVItU1RBTkRBUkQtQU5USVZJUlVT/\n";

/* ---- the library ---- */

/*
 * The library holds its matcher once for each instruction set and picks by processor. In 5.4.9 the
 * AVX-512 one loses matches near the end of a call, of literals too (rules_test shows it; see
 * Vectorscan's pull request 378), and the AVX2 one was seen to lose matches of character classes
 * that lie across two calls (see its pull request 402). The SSE4.2 one loses none. So matchers are
 * called by their own names, where the library has them: AVX2 for sets of plain strings, which is
 * more than twice as fast, SSE4.2 for all others. Databases are compiled for no instruction set
 * beyond that either.
 */
typedef hs_error_t rules_open_fn(const hs_database_t *, unsigned, hs_stream_t **);
typedef hs_error_t rules_scan_fn(hs_stream_t *, const char *, unsigned, unsigned, hs_scratch_t *,
                                 match_event_handler, void *);
typedef hs_error_t rules_reset_fn(hs_stream_t *, unsigned, hs_scratch_t *, match_event_handler,
                                  void *);
typedef hs_error_t rules_close_fn(hs_stream_t *, hs_scratch_t *, match_event_handler, void *);

#define RULES_WEAK __attribute__((weak))
RULES_WEAK rules_open_fn avx2_hs_open_stream, corei7_hs_open_stream;
RULES_WEAK rules_scan_fn avx2_hs_scan_stream, corei7_hs_scan_stream;
RULES_WEAK rules_reset_fn avx2_hs_reset_stream, corei7_hs_reset_stream;
RULES_WEAK rules_close_fn avx2_hs_close_stream, corei7_hs_close_stream;

struct rules_matcher {
    rules_open_fn *open;
    rules_scan_fn *scan;
    rules_reset_fn *reset;
    rules_close_fn *close;
};

static bool rules_has_matcher(const struct rules_matcher *m)
{
    return m->open != NULL && m->scan != NULL && m->reset != NULL && m->close != NULL;
}

static struct rules_matcher rules_choose_matcher(bool is_plain)
{
    const struct rules_matcher avx2 = {avx2_hs_open_stream, avx2_hs_scan_stream,
                                       avx2_hs_reset_stream, avx2_hs_close_stream};
    const struct rules_matcher sse42 = {corei7_hs_open_stream, corei7_hs_scan_stream,
                                        corei7_hs_reset_stream, corei7_hs_close_stream};

#if defined(__x86_64__)
    if (is_plain && rules_has_matcher(&avx2) && __builtin_cpu_supports("avx2"))
        return avx2;
#endif
    (void)is_plain;
    (void)avx2;
    if (rules_has_matcher(&sse42))
        return sse42;
    return (struct rules_matcher){hs_open_stream, hs_scan_stream, hs_reset_stream, hs_close_stream};
}

/* rules_is_plain() - @expression is a string of known bytes and "." */
static bool rules_is_plain(const char *expression)
{
    for (const char *at = expression; *at != '\0'; at++) {
        if (*at != '\\') {
            if (strchr("[](){}*+?|^$", *at) != NULL)
                return false;
            continue;
        }
        at++;
        uint8_t lower = ascii_lower((uint8_t)*at);
        bool is_special = (lower >= 'a' && lower <= 'z') || (*at >= '0' && *at <= '9');
        if (*at == '\0' || (is_special && *at != 'x'))
            return false;
    }
    return true;
}

/* ---- sets, streams, workers ---- */

struct rules_rule {
    struct slice name; /* into the copy of the text */
    int32_t score;
    uint32_t line;
    unsigned hs_flags;
    char *expression; /* NUL-terminated; NULL once compiled */
    bool is_in[RULES_PART_COUNT];
};

struct rules {
    atomic_uint ref_count;
    uint32_t count;
    uint32_t cap;
    char *text;
    struct rules_rule *at;
    hs_database_t *database[RULES_PART_COUNT]; /* NULL: no rule for this part */
    struct rules_matcher matcher;
};

struct rules_stream {
    struct rules_stream *next; /* while idle */
    struct rules_worker *worker;
    struct rules *rules;
    hs_stream_t *hs[RULES_PART_COUNT];
    bool is_dirty[RULES_PART_COUNT]; /* was fed since its last reset */
    struct rules_hits hits;
    uint64_t seen[RULES_SEEN_WORDS];
};

struct rules_worker {
    struct rules *rules;
    hs_scratch_t *scratch; /* large enough for every set that a live stream refers to */
    struct rules_stream *idle;
    uint32_t taken_count;
    uint32_t stream_count_max;
};

/* ---- the text ---- */

/* What is being read, and where to say what is wrong with it. */
struct rules_reader {
    struct slice rest; /* of the line */
    uint32_t line;
    struct rules_error *ret_error;
};

static int PRINTF_LIKE(3, 4)
    rules_refuse(struct rules_error *ret_error, uint32_t line, const char *fmt, ...)
{
    va_list args;

    ret_error->line = line;
    va_start(args, fmt);
    vsnprintf(ret_error->reason, sizeof(ret_error->reason), fmt, args);
    va_end(args);
    return -EINVAL;
}

static bool rules_is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool rules_is_name_byte(uint8_t c)
{
    uint8_t lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

static void rules_skip_space(struct rules_reader *r)
{
    while (r->rest.len > 0 && rules_is_space(r->rest.ptr[0]))
        r->rest = slice_from(r->rest, 1);
}

/* rules_at_end() - only spaces and perhaps a comment are left of the line. */
static bool rules_at_end(struct rules_reader *r)
{
    rules_skip_space(r);
    return r->rest.len == 0 || r->rest.ptr[0] == '#';
}

static struct slice rules_word(struct rules_reader *r)
{
    size_t len = 0;

    rules_skip_space(r);
    while (len < r->rest.len && !rules_is_space(r->rest.ptr[len]))
        len++;
    struct slice word = slice_first(r->rest, len);
    r->rest = slice_from(r->rest, len);
    return word;
}

static int rules_read_name(struct rules_reader *r, struct rules_rule *rule)
{
    rule->name = rules_word(r);
    if (rule->name.len > RULES_NAME_BYTES_MAX)
        return rules_refuse(r->ret_error, r->line, "name longer than %d bytes",
                            RULES_NAME_BYTES_MAX);
    for (size_t i = 0; i < rule->name.len; i++)
        if (!rules_is_name_byte(rule->name.ptr[i]))
            return rules_refuse(r->ret_error, r->line,
                                "name may only have letters, digits, \"_\", \"-\" and \".\"");
    return 0;
}

static int rules_read_part(struct rules_reader *r, struct rules_rule *rule)
{
    struct slice word = rules_word(r);
    bool is_any = slice_eq(word, SLICE_LIT("any"));

    rule->is_in[RULES_PART_HEADER] = is_any || slice_eq(word, SLICE_LIT("header"));
    rule->is_in[RULES_PART_BODY] = is_any || slice_eq(word, SLICE_LIT("body"));
    if (!rule->is_in[RULES_PART_HEADER] && !rule->is_in[RULES_PART_BODY])
        return rules_refuse(r->ret_error, r->line,
                            "second field must be \"header\", \"body\" or \"any\"");
    return 0;
}

static int rules_read_score(struct rules_reader *r, struct rules_rule *rule)
{
    struct slice word = rules_word(r);
    bool is_negative = word.len > 0 && word.ptr[0] == '-';
    bool has_point = false;
    size_t digits = 0;
    size_t places = 0;
    int32_t hundredths = 0;

    if (word.len > 0 && (word.ptr[0] == '-' || word.ptr[0] == '+'))
        word = slice_from(word, 1);
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.ptr[i];
        if (c == '.' && !has_point) {
            has_point = true;
            continue;
        }
        if (c < '0' || c > '9' || places == 2 || hundredths > RULES_SCORE_UNITS_MAX * 100)
            return rules_refuse(r->ret_error, r->line,
                                "score must be a decimal number with at most two places, "
                                "from -%d to %d",
                                RULES_SCORE_UNITS_MAX, RULES_SCORE_UNITS_MAX);
        hundredths = hundredths * 10 + (c - '0');
        digits++;
        places += has_point;
    }
    for (; places < 2 && hundredths <= RULES_SCORE_UNITS_MAX * 100; places++)
        hundredths *= 10;
    if (digits == 0 || hundredths > RULES_SCORE_UNITS_MAX * 100)
        return rules_refuse(r->ret_error, r->line, "score must be a number from -%d to %d",
                            RULES_SCORE_UNITS_MAX, RULES_SCORE_UNITS_MAX);
    rule->score = is_negative ? -hundredths : hundredths;
    return 0;
}

static int rules_hex_digit(uint8_t c)
{
    uint8_t lower = ascii_lower(c);

    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* rules_literal_byte() - the byte that @at starts with; its length in the text, 0 when wrong. */
static size_t rules_literal_byte(struct slice at, uint8_t *ret_byte)
{
    if (at.ptr[0] != '\\') {
        *ret_byte = at.ptr[0];
        return 1;
    }
    if (at.len < 2)
        return 0;
    switch (at.ptr[1]) {
    case '"':
    case '\\':
        *ret_byte = at.ptr[1];
        return 2;
    case 't':
        *ret_byte = '\t';
        return 2;
    case 'r':
        *ret_byte = '\r';
        return 2;
    case 'n':
        *ret_byte = '\n';
        return 2;
    case 'x':
        if (at.len < 4 || rules_hex_digit(at.ptr[2]) < 0 || rules_hex_digit(at.ptr[3]) < 0)
            return 0;
        *ret_byte = (uint8_t)(rules_hex_digit(at.ptr[2]) * 16 + rules_hex_digit(at.ptr[3]));
        return 4;
    default:
        return 0;
    }
}

/* rules_read_literal() - the text between quotes, as an expression in @ret (4 bytes for one). */
static int rules_read_literal(struct rules_reader *r, char *ret)
{
    static const char hex[] = "0123456789abcdef";
    size_t len = 0;
    size_t pos = 1;

    while (pos < r->rest.len && r->rest.ptr[pos] != '"') {
        uint8_t byte = 0;
        size_t used = rules_literal_byte(slice_from(r->rest, pos), &byte);
        if (used == 0)
            return rules_refuse(r->ret_error, r->line,
                                "unknown escape in literal: use \\\" \\\\ \\t \\r \\n or \\xHH");
        ret[len++] = '\\';
        ret[len++] = 'x';
        ret[len++] = hex[byte >> 4];
        ret[len++] = hex[byte & 15];
        pos += used;
    }
    if (pos >= r->rest.len)
        return rules_refuse(r->ret_error, r->line, "literal has no closing quote");
    if (len == 0)
        return rules_refuse(r->ret_error, r->line, "literal is empty");
    ret[len] = '\0';
    r->rest = slice_from(r->rest, pos + 1);
    return 0;
}

/* rules_read_regex() - the text between slashes. */
static int rules_read_regex(struct rules_reader *r, char *ret)
{
    struct slice text = slice_from(r->rest, 1);
    size_t len = 0;

    while (len < text.len && text.ptr[len] != '/')
        len += text.ptr[len] == '\\' ? 2 : 1;
    if (len >= text.len)
        return rules_refuse(r->ret_error, r->line, "expression has no closing slash");
    if (len == 0)
        return rules_refuse(r->ret_error, r->line, "expression is empty");
    if (slice_find(slice_first(text, len), '\0') < len)
        return rules_refuse(r->ret_error, r->line, "expression has a NUL byte: write \\x00");
    memcpy(ret, text.ptr, len);
    ret[len] = '\0';
    r->rest = slice_from(text, len + 1);
    return 0;
}

static int rules_read_flags(struct rules_reader *r, struct rules_rule *rule)
{
    rule->hs_flags = HS_FLAG_SINGLEMATCH;
    for (; r->rest.len > 0 && !rules_is_space(r->rest.ptr[0]); r->rest = slice_from(r->rest, 1)) {
        switch (r->rest.ptr[0]) {
        case 'i':
            rule->hs_flags |= HS_FLAG_CASELESS;
            break;
        case 's':
            rule->hs_flags |= HS_FLAG_DOTALL;
            break;
        case 'm':
            rule->hs_flags |= HS_FLAG_MULTILINE;
            break;
        default:
            return rules_refuse(r->ret_error, r->line,
                                "unknown text behind the pattern: flags are i, s and m");
        }
    }
    return 0;
}

static int rules_read_pattern(struct rules_reader *r, struct rules_rule *rule)
{
    rules_skip_space(r);
    if (r->rest.len == 0 || (r->rest.ptr[0] != '"' && r->rest.ptr[0] != '/'))
        return rules_refuse(r->ret_error, r->line, "pattern must be \"literal\" or /expression/");
    if (r->rest.len > RULES_PATTERN_BYTES_MAX)
        return rules_refuse(r->ret_error, r->line, "pattern longer than %d bytes",
                            RULES_PATTERN_BYTES_MAX);
    rule->expression = malloc(4 * r->rest.len + 1);
    if (rule->expression == NULL)
        return -ENOMEM;
    int err = r->rest.ptr[0] == '"' ? rules_read_literal(r, rule->expression)
                                    : rules_read_regex(r, rule->expression);
    return err != 0 ? err : rules_read_flags(r, rule);
}

static int rules_check_unique(const struct rules *r, const struct rules_rule *rule,
                              struct rules_error *ret_error)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (slice_eq(r->at[i].name, rule->name))
            return rules_refuse(ret_error, rule->line, "name \"%.*s\" is taken by line %u",
                                (int)rule->name.len, (const char *)rule->name.ptr, r->at[i].line);
    return 0;
}

static int rules_add_line(struct rules *r, struct rules_reader *reader)
{
    struct rules_rule rule = {.line = reader->line};
    int err;

    if (rules_at_end(reader))
        return 0;
    if (r->count == RULE_COUNT_MAX)
        return rules_refuse(reader->ret_error, reader->line, "more than %d rules", RULE_COUNT_MAX);
    if (r->count == r->cap) {
        uint32_t cap = r->cap == 0 ? 16 : r->cap * 2;
        struct rules_rule *more = realloc(r->at, cap * sizeof(*more));
        if (more == NULL)
            return -ENOMEM;
        r->at = more;
        r->cap = cap;
    }
    if ((err = rules_read_name(reader, &rule)) != 0 ||
        (err = rules_check_unique(r, &rule, reader->ret_error)) != 0 ||
        (err = rules_read_part(reader, &rule)) != 0 ||
        (err = rules_read_score(reader, &rule)) != 0 ||
        (err = rules_read_pattern(reader, &rule)) != 0) {
        free(rule.expression);
        return err;
    }
    r->at[r->count++] = rule;
    if (!rules_at_end(reader))
        return rules_refuse(reader->ret_error, reader->line, "text behind the pattern");
    return 0;
}

static int rules_read(struct rules *r, struct slice text, struct rules_error *ret_error)
{
    for (uint32_t line = 1; text.len > 0; line++) {
        size_t len = slice_find(text, '\n');
        struct slice rest = slice_first(text, len);
        text = slice_from(text, len + 1);
        if (rest.len > 0 && rest.ptr[rest.len - 1] == '\r')
            rest.len--;
        int err = rules_add_line(r, &(struct rules_reader){rest, line, ret_error});
        if (err != 0)
            return err;
    }
    return 0;
}

/* Streams and scratch come from the heap of the thread that opens them. */
static void rules_set_allocators(void)
{
    hs_error_t err = hs_set_stream_allocator(mi_malloc, mi_free);
    ASSERT(err == HS_SUCCESS);
    err = hs_set_scratch_allocator(mi_malloc, mi_free);
    ASSERT(err == HS_SUCCESS);
}

/* ---- sets ---- */

/* Parallel arrays, as the compiler wants them. */
struct rules_batch {
    const char **expressions;
    unsigned *flags;
    unsigned *ids;
    unsigned count;
};

static void rules_batch_deinit(struct rules_batch *b)
{
    free(b->expressions);
    free(b->flags);
    free(b->ids);
}

static int rules_compile_batch(struct rules *r, const struct rules_batch *b, enum rules_part part,
                               struct rules_error *ret_error)
{
    const hs_platform_info_t plain = {.tune = HS_TUNE_FAMILY_GENERIC};
    hs_compile_error_t *problem = NULL;
    hs_error_t err = hs_compile_multi(b->expressions, b->flags, b->ids, b->count, HS_MODE_STREAM,
                                      &plain, &r->database[part], &problem);
    int result = 0;

    if (err == HS_SUCCESS)
        return 0;
    if (err == HS_ARCH_ERROR || problem == NULL)
        return rules_refuse(ret_error, 0, "content rules need a processor with SSE4.2");
    if (err == HS_NOMEM)
        result = -ENOMEM;
    else if (problem->expression >= 0 && (unsigned)problem->expression < b->count)
        result = rules_refuse(ret_error, r->at[b->ids[problem->expression]].line, "%s",
                              problem->message);
    else
        result = rules_refuse(ret_error, 0, "%s", problem->message);
    hs_free_compile_error(problem);
    return result;
}

static int rules_compile_part(struct rules *r, enum rules_part part, struct rules_error *ret_error)
{
    CLEANUP(rules_batch_deinit)
    struct rules_batch b = {
        .expressions = calloc(r->count + 1, sizeof(*b.expressions)),
        .flags = calloc(r->count + 1, sizeof(*b.flags)),
        .ids = calloc(r->count + 1, sizeof(*b.ids)),
    };

    if (b.expressions == NULL || b.flags == NULL || b.ids == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < r->count; i++) {
        if (!r->at[i].is_in[part])
            continue;
        b.expressions[b.count] = r->at[i].expression;
        b.flags[b.count] = r->at[i].hs_flags;
        b.ids[b.count] = i;
        b.count++;
    }
    return b.count == 0 ? 0 : rules_compile_batch(r, &b, part, ret_error);
}

static void rules_free(struct rules *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        free(r->at[i].expression);
    for (unsigned part = 0; part < RULES_PART_COUNT; part++)
        hs_free_database(r->database[part]);
    free(r->at);
    free(r->text);
    free(r);
}

static void rules_unref_local(struct rules **r)
{
    if (*r != NULL)
        rules_unref(*r);
}

int rules_compile(struct slice text, struct rules **ret_rules, struct rules_error *ret_error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    CLEANUP(rules_unref_local) struct rules *r = calloc(1, sizeof(*r));
    int err;

    *ret_error = (struct rules_error){0};
    pthread_once(&once, rules_set_allocators);
    if (r == NULL)
        return -ENOMEM;
    atomic_init(&r->ref_count, 1);
    r->text = malloc(text.len + 1);
    if (r->text == NULL)
        return -ENOMEM;
    if (text.len > 0)
        memcpy(r->text, text.ptr, text.len);
    if ((err = rules_read(r, slice_of(r->text, text.len), ret_error)) != 0 ||
        (err = rules_compile_part(r, RULES_PART_HEADER, ret_error)) != 0 ||
        (err = rules_compile_part(r, RULES_PART_BODY, ret_error)) != 0)
        return err;
    bool is_plain = true;
    for (uint32_t i = 0; i < r->count; i++) {
        is_plain = is_plain && rules_is_plain(r->at[i].expression);
        free(r->at[i].expression);
        r->at[i].expression = NULL;
    }
    r->matcher = rules_choose_matcher(is_plain);
    *ret_rules = r;
    r = NULL;
    return 0;
}

struct rules *rules_ref(struct rules *r)
{
    unsigned before = atomic_fetch_add_explicit(&r->ref_count, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return r;
}

void rules_unref(struct rules *r)
{
    unsigned before = atomic_fetch_sub_explicit(&r->ref_count, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1)
        rules_free(r);
}

uint32_t rules_count(const struct rules *r)
{
    return r->count;
}

struct slice rules_name(const struct rules *r, uint32_t rule_idx)
{
    ASSERT(rule_idx < r->count);
    return r->at[rule_idx].name;
}

int32_t rules_score(const struct rules *r, uint32_t rule_idx)
{
    ASSERT(rule_idx < r->count);
    return r->at[rule_idx].score;
}

/* ---- workers and streams ---- */

/*
 * rules_worker_make_room() - scratch for @r beside that for the sets before
 *
 * Grows a copy: the library drops a scratch that it cannot grow, and live streams need theirs.
 */
static int rules_worker_make_room(struct rules_worker *w, const struct rules *r)
{
    hs_scratch_t *larger = NULL;

    if (w->scratch != NULL && hs_clone_scratch(w->scratch, &larger) != HS_SUCCESS)
        return -ENOMEM;
    for (unsigned part = 0; part < RULES_PART_COUNT; part++) {
        if (r->database[part] == NULL || hs_alloc_scratch(r->database[part], &larger) == HS_SUCCESS)
            continue;
        hs_free_scratch(larger);
        return -ENOMEM;
    }
    hs_free_scratch(w->scratch);
    w->scratch = larger;
    return 0;
}

int rules_worker_new(struct rules *r, struct rules_worker **ret_worker)
{
    struct rules_worker *w = mi_calloc(1, sizeof(*w));

    if (w == NULL)
        return -ENOMEM;
    w->stream_count_max = RULES_STREAM_COUNT_MAX;
    if (rules_worker_make_room(w, r) != 0) {
        mi_free(w);
        return -ENOMEM;
    }
    w->rules = rules_ref(r);
    *ret_worker = w;
    return 0;
}

static void rules_stream_close(struct rules_stream *st)
{
    for (unsigned part = 0; part < RULES_PART_COUNT; part++)
        if (st->hs[part] != NULL)
            st->rules->matcher.close(st->hs[part], NULL, NULL, NULL);
    rules_unref(st->rules);
    mi_free(st);
}

static void rules_worker_close_idle(struct rules_worker *w)
{
    while (w->idle != NULL) {
        struct rules_stream *st = w->idle;
        w->idle = st->next;
        rules_stream_close(st);
    }
}

void rules_worker_free(struct rules_worker *w)
{
    ASSERT(w->taken_count == 0);
    rules_worker_close_idle(w);
    hs_free_scratch(w->scratch);
    rules_unref(w->rules);
    mi_free(w);
}

int rules_worker_replace(struct rules_worker *w, struct rules *r)
{
    int err = rules_worker_make_room(w, r);

    if (err != 0)
        return err;
    rules_worker_close_idle(w);
    rules_ref(r);
    rules_unref(w->rules);
    w->rules = r;
    return 0;
}

void rules_worker_limit(struct rules_worker *w, uint32_t stream_count_max)
{
    w->stream_count_max = stream_count_max;
}

static struct rules_stream *rules_stream_open(struct rules_worker *w)
{
    struct rules_stream *st = mi_zalloc(sizeof(*st));

    if (st == NULL)
        return NULL;
    st->worker = w;
    st->rules = rules_ref(w->rules);
    for (unsigned part = 0; part < RULES_PART_COUNT; part++) {
        hs_database_t *database = w->rules->database[part];
        if (database != NULL && st->rules->matcher.open(database, 0, &st->hs[part]) != HS_SUCCESS) {
            st->hs[part] = NULL;
            rules_stream_close(st);
            return NULL;
        }
    }
    return st;
}

struct rules_stream *rules_stream_take(struct rules_worker *w)
{
    struct rules_stream *st = w->idle;

    if (w->taken_count >= w->stream_count_max)
        return NULL;
    if (st != NULL)
        w->idle = st->next;
    else
        st = rules_stream_open(w);
    if (st == NULL)
        return NULL;
    ASSERT(st->rules == w->rules);
    st->next = NULL;
    st->hits = (struct rules_hits){.rules = st->rules};
    memset(st->seen, 0, (st->rules->count + 63) / 64 * sizeof(st->seen[0]));
    w->taken_count++;
    return st;
}

void rules_stream_give(struct rules_worker *w, struct rules_stream *st)
{
    ASSERT(st->worker == w);
    ASSERT(w->taken_count > 0);
    w->taken_count--;
    if (st->rules != w->rules) {
        rules_stream_close(st);
        return;
    }
    for (unsigned part = 0; part < RULES_PART_COUNT; part++) {
        if (!st->is_dirty[part])
            continue;
        hs_error_t err = w->rules->matcher.reset(st->hs[part], 0, NULL, NULL, NULL);
        ASSERT(err == HS_SUCCESS);
        st->is_dirty[part] = false;
    }
    st->next = w->idle;
    w->idle = st;
}

/* rules_on_match() - called by Vectorscan; 0 lets it go on. */
static int rules_on_match(unsigned id, unsigned long long from, unsigned long long to,
                          unsigned flags, void *context)
{
    struct rules_stream *st = context;
    uint64_t bit = UINT64_C(1) << (id % 64);

    (void)from;
    (void)to;
    (void)flags;
    ASSERT(id < st->rules->count);
    if (st->seen[id / 64] & bit)
        return 0;
    st->seen[id / 64] |= bit;
    int32_t score = st->rules->at[id].score;
    if (__builtin_add_overflow(st->hits.score, score, &st->hits.score))
        st->hits.score = score > 0 ? INT32_MAX : INT32_MIN;
    if (st->hits.count < RULES_HITS_MAX)
        st->hits.rule_idx[st->hits.count] = (uint16_t)id;
    st->hits.count++;
    return 0;
}

void rules_stream_feed(struct rules_stream *st, enum rules_part part, struct slice bytes)
{
    ASSERT(bytes.len <= UINT32_MAX);
    if (st->hs[part] == NULL || bytes.len == 0)
        return;
    st->is_dirty[part] = true;
    hs_error_t err =
        st->rules->matcher.scan(st->hs[part], (const char *)bytes.ptr, (unsigned)bytes.len, 0,
                                st->worker->scratch, rules_on_match, st);
    ASSERT(err == HS_SUCCESS);
}

void rules_stream_end(struct rules_stream *st)
{
    for (unsigned part = 0; part < RULES_PART_COUNT; part++) {
        if (!st->is_dirty[part])
            continue;
        hs_error_t err =
            st->rules->matcher.reset(st->hs[part], 0, st->worker->scratch, rules_on_match, st);
        ASSERT(err == HS_SUCCESS);
        st->is_dirty[part] = false;
    }
}

void rules_stream_hits(const struct rules_stream *st, struct rules_hits *ret_hits)
{
    *ret_hits = st->hits;
}
