/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knob.c - values as text: units, ranges, names, reply texts.
 *
 * Each type has a function that reads and one that prints, and what is printed reads back to the
 * same value. Sizes are powers of 1024 (kb, mb, gb, tb); times need a unit (ms, s, min, h, d);
 * scores are decimals with at most two places, kept as hundredths. Numbers with anything behind
 * them that is not their unit are refused, never cut.
 */
#include "knob.h"
#include "base/limits.h"
#include "base/assert.h"
#include <stdarg.h>
#include <stdlib.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: printing takes the first that divides the value. */
static const struct unit size_units[] = {{"tb", 1024 * GIB}, {"gb", GIB}, {"mb", MIB}, {"kb", KIB},
                                         {"b", 1},           {"", 1},     {NULL, 0}};
static const struct unit time_units[] = {{"d", 86400 * NS_PER_S}, {"h", 3600 * NS_PER_S},
                                         {"min", 60 * NS_PER_S},  {"s", NS_PER_S},
                                         {"ms", NS_PER_MS},       {NULL, 0}};
static const struct unit count_units[] = {{"", 1}, {NULL, 0}};

static bool PRINTF_LIKE(2, 3) refuse(struct knob_context *context, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(context->reason, sizeof(context->reason), fmt, args);
    va_end(args);
    return false;
}

static bool out_of_memory(struct knob_context *context)
{
    context->is_out_of_memory = true;
    return refuse(context, "out of memory");
}

static bool is_word(struct slice s, const char *word)
{
    return word != NULL && slice_eq_nocase(s, slice_str(word));
}

/* --- numbers with units --------------------------------------------------------------------- */

static void print_quantity(uint64_t value, const struct unit *units, FILE *out)
{
    const struct unit *u = units;
    while (u[1].name != NULL && (value == 0 || value % u->factor != 0))
        u++;
    fprintf(out, "%llu%s", (unsigned long long)(value / u->factor), u->name);
}

static bool digits_take(struct slice *s, uint64_t *ret_value)
{
    uint64_t value = 0;
    size_t len = 0;
    for (; len < s->len && s->ptr[len] >= '0' && s->ptr[len] <= '9'; len++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s->ptr[len] - '0'), &value))
            return false;
    *s = slice_from(*s, len);
    *ret_value = value;
    return len > 0;
}

static bool refuse_range(const struct knob *k, struct knob_context *context,
                         const struct unit *units, struct slice word)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        return out_of_memory(context);
    fprintf(out, "'%.*s' is outside of ", (int)size_min(word.len, 40), (const char *)word.ptr);
    print_quantity(k->min, units, out);
    fputs(" to ", out);
    print_quantity(k->max, units, out);
    if (k->zero_word != NULL)
        fprintf(out, ", and not %s", k->zero_word);
    fclose(out);
    refuse(context, "%s", text);
    free(text);
    return false;
}

static bool read_quantity(const struct knob *k, struct knob_context *context,
                          const struct unit *units, struct slice word, uint64_t *ret_value)
{
    if (is_word(word, k->zero_word)) {
        *ret_value = 0;
        return true;
    }
    struct slice rest = word;
    uint64_t number;
    if (!digits_take(&rest, &number))
        return refuse(context, "'%.*s' is not a number", (int)size_min(word.len, 40),
                      (const char *)word.ptr);
    const struct unit *u = units;
    while (u->name != NULL && !is_word(rest, u->name))
        u++;
    if (u->name == NULL) {
        bool is_time = units == time_units;
        return refuse(context, "'%.*s' needs %s", (int)size_min(word.len, 40),
                      (const char *)word.ptr,
                      is_time               ? "one of the units ms, s, min, h, d"
                      : units == size_units ? "no unit or one of b, kb, mb, gb, tb"
                                            : "to be a plain number");
    }
    uint64_t value;
    if (__builtin_mul_overflow(number, u->factor, &value) || value < k->min || value > k->max)
        return refuse_range(k, context, units, word);
    *ret_value = value;
    return true;
}

/* "30s", "uniform:10s-50s", "exp:30s" */
static bool read_delay(const struct knob *k, struct knob_context *context, struct slice word,
                       struct delay *ret_delay)
{
    static const struct slice uniform = {(const uint8_t *)"uniform:", 8};
    static const struct slice exp = {(const uint8_t *)"exp:", 4};
    struct delay d = {.kind = DELAY_CONSTANT};
    struct slice high = SLICE_EMPTY;
    if (is_word(word, "off")) {
        *ret_delay = (struct delay){.kind = DELAY_NONE};
        return true;
    }
    if (slice_has_prefix_nocase(word, uniform)) {
        d.kind = DELAY_UNIFORM;
        word = slice_from(word, uniform.len);
        size_t dash = slice_find(word, '-');
        if (dash == word.len)
            return refuse(context, "uniform: needs two times: uniform:10s-50s");
        high = slice_from(word, dash + 1);
        word = slice_first(word, dash);
    } else if (slice_has_prefix_nocase(word, exp)) {
        d.kind = DELAY_EXP;
        word = slice_from(word, exp.len);
    } else if (slice_find(word, ':') < word.len) {
        return refuse(context, "'%.*s' is neither a time nor uniform:TIME-TIME nor exp:TIME",
                      (int)size_min(word.len, 40), (const char *)word.ptr);
    }
    if (!read_quantity(k, context, time_units, word, &d.low) ||
        (d.kind == DELAY_UNIFORM && !read_quantity(k, context, time_units, high, &d.high)))
        return false;
    if (d.kind == DELAY_UNIFORM && d.high < d.low)
        return refuse(context, "uniform: the first time is above the second");
    *ret_delay = d;
    return true;
}

static void print_delay(const struct delay *d, FILE *out)
{
    static const char *const prefixes[] = {[DELAY_NONE] = "off",
                                           [DELAY_CONSTANT] = "",
                                           [DELAY_UNIFORM] = "uniform:",
                                           [DELAY_EXP] = "exp:"};
    fputs(prefixes[d->kind], out);
    if (d->kind != DELAY_NONE)
        print_quantity(d->low, time_units, out);
    if (d->kind == DELAY_UNIFORM) {
        fputc('-', out);
        print_quantity(d->high, time_units, out);
    }
}

static bool read_score(const struct knob *k, struct knob_context *context, struct slice word,
                       int32_t *ret_score)
{
    struct slice rest = word;
    uint64_t whole = 0, hundredths = 0;
    if (is_word(word, "off")) {
        *ret_score = INT32_MAX;
        return true;
    }
    bool is_negative = rest.len > 0 && rest.ptr[0] == '-';
    if (is_negative)
        rest = slice_from(rest, 1);
    bool is_good = digits_take(&rest, &whole) && whole <= k->max / 100;
    if (is_good && rest.len > 0) {
        size_t places = rest.len - 1;
        bool has_point = rest.ptr[0] == '.';
        rest = slice_from(rest, 1);
        is_good = has_point && places >= 1 && places <= 2 && digits_take(&rest, &hundredths) &&
                  rest.len == 0;
        if (places == 1)
            hundredths *= 10;
    }
    if (!is_good)
        return refuse(context, "'%.*s' is not a score: off, or a number up to %llu like 12.5",
                      (int)size_min(word.len, 40), (const char *)word.ptr,
                      (unsigned long long)(k->max / 100));
    int32_t score = (int32_t)(whole * 100 + hundredths);
    *ret_score = is_negative ? -score : score;
    return true;
}

static void print_score(int32_t score, FILE *out)
{
    if (score == INT32_MAX) {
        fputs("off", out);
        return;
    }
    int32_t size = score < 0 ? -score : score;
    fprintf(out, "%s%d.%02d", score < 0 ? "-" : "", size / 100, size % 100);
}

static bool read_mode(struct knob_context *context, struct slice word, uint32_t *ret_mode)
{
    uint32_t mode = 0;
    bool is_good = word.len >= 3 && word.len <= 4;
    for (size_t i = 0; i < word.len && is_good; i++) {
        is_good = word.ptr[i] >= '0' && word.ptr[i] <= '7';
        mode = mode * 8 + (uint32_t)(word.ptr[i] - '0');
    }
    if (!is_good || mode > 0777)
        return refuse(context, "'%.*s' is not a file mode such as 0660",
                      (int)size_min(word.len, 40), (const char *)word.ptr);
    *ret_mode = mode;
    return true;
}

/* --- names ---------------------------------------------------------------------------------- */

unsigned knob_distance(struct slice a, struct slice b)
{
    enum { LEN_MAX = 40 };
    uint8_t row[LEN_MAX + 1];
    if (a.len > LEN_MAX || b.len > LEN_MAX)
        return 99;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = (uint8_t)j;
    for (size_t i = 1; i <= a.len; i++) {
        uint8_t diagonal = row[0];
        row[0] = (uint8_t)i;
        for (size_t j = 1; j <= b.len; j++) {
            bool is_same = ascii_lower(a.ptr[i - 1]) == ascii_lower(b.ptr[j - 1]);
            uint8_t best = (uint8_t)(diagonal + (is_same ? 0 : 1));
            diagonal = row[j];
            best = (uint8_t)size_min(best, row[j] + 1u);
            best = (uint8_t)size_min(best, row[j - 1] + 1u);
            row[j] = best;
        }
    }
    return row[b.len];
}

static const struct knob_name *name_find(const struct knob *k, struct slice word)
{
    for (const struct knob_name *n = k->names; n->name != NULL; n++)
        if (is_word(word, n->name))
            return n;
    return NULL;
}

static const char *nearest_name(const struct knob *k, struct slice word)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    for (const struct knob_name *n = k->names; n->name != NULL; n++) {
        unsigned d = knob_distance(word, slice_str(n->name));
        if (d < best_distance && d < strlen(n->name)) {
            best_distance = d;
            best = n->name;
        }
    }
    return best;
}

static bool refuse_name(const struct knob *k, struct knob_context *context, struct slice word)
{
    char known[220] = ""; /* the longest list is that of offers */
    size_t len = 0;
    for (const struct knob_refusal *r = k->refusals; r != NULL && r->name != NULL; r++)
        if (is_word(word, r->name))
            return refuse(context, "'%s' is not supported: %s", r->name, r->why);
    for (const struct knob_name *n = k->names; n->name != NULL; n++) {
        int put = snprintf(known + len, sizeof(known) - len, "%s%s", len > 0 ? ", " : "", n->name);
        len += put > 0 ? (size_t)put : 0;
        ASSERT(len < sizeof(known));
    }
    const char *near = nearest_name(k, word);
    return refuse(context, "'%.*s' is not one of %s%s%s%s", (int)size_min(word.len, 40),
                  (const char *)word.ptr, known, near != NULL ? "; did you mean '" : "",
                  near != NULL ? near : "", near != NULL ? "'?" : "");
}

static uint32_t flags_all(const struct knob *k)
{
    uint32_t all = 0;
    for (const struct knob_name *n = k->names; n->name != NULL; n++)
        all |= n->value;
    return all;
}

static bool read_flags(const struct knob *k, struct knob_context *context,
                       const struct knob_text *words, uint32_t count, uint32_t *ret_flags)
{
    uint32_t flags = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct slice word = words[i].text;
        if (is_word(word, "all")) {
            flags = flags_all(k);
            continue;
        }
        if (is_word(word, "none")) {
            flags = 0;
            continue;
        }
        bool is_less = word.len > 0 && word.ptr[0] == '-';
        const struct knob_name *n = name_find(k, is_less ? slice_from(word, 1) : word);
        if (n == NULL)
            return refuse_name(k, context, word);
        flags = is_less ? flags & ~n->value : flags | n->value;
    }
    *ret_flags = flags;
    return true;
}

static void print_flags(const struct knob *k, uint32_t flags, FILE *out)
{
    bool is_first = true;
    fputc('[', out);
    for (const struct knob_name *n = k->names; n->name != NULL; n++) {
        if (flags == 0 || (flags & n->value) != n->value) /* names of several come first */
            continue;
        flags &= ~n->value;
        fprintf(out, "%s%s", is_first ? "" : ", ", n->name);
        is_first = false;
    }
    fputc(']', out);
}

/* --- texts ---------------------------------------------------------------------------------- */

static bool read_text(struct knob_context *context, struct slice word, char **ret_text)
{
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] < ' ' || word.ptr[i] == 0x7F)
            return refuse(context, "control character in text");
    char *text = region_text(context->memory, word);
    if (text == NULL)
        return out_of_memory(context);
    *ret_text = text;
    return true;
}

static bool read_bounded_text(const struct knob *k, struct knob_context *context, struct slice word,
                              char **ret_text)
{
    if (word.len < k->min || word.len > k->max)
        return refuse(context, "text of %zu bytes where %llu to %llu are allowed", word.len,
                      (unsigned long long)k->min, (unsigned long long)k->max);
    return read_text(context, word, ret_text);
}

static bool read_path(const struct knob *k, struct knob_context *context, struct slice word,
                      char **ret_path)
{
    if (is_word(word, k->zero_word)) {
        *ret_path = NULL;
        return true;
    }
    if (word.len == 0 || word.len >= 4000)
        return refuse(context, "not a path: %zu bytes long", word.len);
    if (word.ptr[0] == '/')
        return read_text(context, word, ret_path);
    char joined[8200];
    int len = snprintf(joined, sizeof(joined), "%s/%.*s", context->base_dir, (int)word.len,
                       (const char *)word.ptr);
    if (len < 0 || (size_t)len >= sizeof(joined))
        return refuse(context, "path too long");
    return read_text(context, slice_of(joined, (size_t)len), ret_path);
}

/* RFC 5321 2.3.5: a fully qualified name, so at least two labels, and not an address. */
static bool hostname_is_good(struct slice name)
{
    size_t label_len = 0, labels = 1;
    bool is_number = true;
    if (name.len == 0 || name.len > 253)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = ascii_lower(name.ptr[i]);
        if (c == '.') {
            if (label_len == 0 || name.ptr[i - 1] == '-')
                return false;
            label_len = 0;
            labels++;
            is_number = true;
            continue;
        }
        bool is_digit = c >= '0' && c <= '9';
        bool is_letter = c >= 'a' && c <= 'z';
        if (!is_digit && !is_letter && (c != '-' || label_len == 0))
            return false;
        is_number &= is_digit;
        if (++label_len > 63)
            return false;
    }
    return label_len > 0 && name.ptr[name.len - 1] != '-' && labels >= 2 && !is_number;
}

static bool read_hostname(struct knob_context *context, struct slice word, char **ret_name)
{
    if (!hostname_is_good(word))
        return refuse(context, "'%.*s' is not a full domain name such as mx.example.org",
                      (int)size_min(word.len, 60), (const char *)word.ptr);
    return read_text(context, word, ret_name);
}

static bool read_texts(struct knob_context *context, const struct knob_text *words, uint32_t count,
                       struct knob_texts *ret_texts)
{
    struct knob_text *at = region_take(context->memory, (count + 1u) * sizeof(*at));
    if (at == NULL)
        return out_of_memory(context);
    for (uint32_t i = 0; i < count; i++) {
        char *copy = NULL;
        if (!read_text(context, words[i].text, &copy))
            return false;
        at[i] = (struct knob_text){slice_of(copy, words[i].text.len), words[i].line};
    }
    *ret_texts = (struct knob_texts){count, at};
    return true;
}

void knob_print_quoted(struct slice text, FILE *out)
{
    fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            fputc('\\', out);
        fputc(text.ptr[i], out);
    }
    fputc('"', out);
}

/* --- replies -------------------------------------------------------------------------------- */

/* "5.7.1 " at the start of @s, with class @digit. False when it looks like one and is not good. */
static bool enhanced_take(struct slice *s, unsigned digit, uint8_t ret_enhanced[3])
{
    struct slice rest = *s;
    uint64_t part[3];
    for (int i = 0; i < 3; i++) {
        if (i > 0) {
            if (rest.len == 0 || rest.ptr[0] != '.')
                return i == 1; /* "550 10 messages": a number, not an enhanced code */
            rest = slice_from(rest, 1);
        }
        if (!digits_take(&rest, &part[i]))
            return i < 2;
    }
    if (part[0] != digit || part[1] > 99 || part[2] > 255 || rest.len < 2 || rest.ptr[0] != ' ')
        return false;
    for (int i = 0; i < 3; i++)
        ret_enhanced[i] = (uint8_t)part[i];
    *s = slice_from(rest, 1);
    return true;
}

static bool reply_text_is_good(struct slice text)
{
    if (text.len == 0 || text.len > REPLY_TEXT_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return false;
    return true;
}

static bool read_reply(const struct knob *k, struct knob_context *context, struct slice word,
                       struct answer *ret_answer)
{
    struct answer answer = {.status = k->status};
    struct slice rest = word;
    uint64_t code;
    if (is_word(word, "default")) {
        *ret_answer = (struct answer){.status = STATUS_NONE};
        return true;
    }
    if (!digits_take(&rest, &code) || word.len - rest.len != 3 || rest.len < 2 ||
        rest.ptr[0] != ' ')
        return refuse(context, "a reply is a code, perhaps an enhanced code, and a text: "
                               "\"550 5.7.1 Not wanted\"");
    /* 421 and 521 mean that the connection closes (RFC 5321 3.8, RFC 7504). */
    if (code < k->min || code > k->max || code % 100 > 59 || code == 421 || code == 521)
        return refuse(context, "reply code %llu does not fit: here it is %llu to %llu, not %u21",
                      (unsigned long long)code, (unsigned long long)k->min,
                      (unsigned long long)k->max, (unsigned)(k->min / 100));
    rest = slice_from(rest, 1);
    if (!enhanced_take(&rest, (unsigned)(code / 100), answer.enhanced))
        return refuse(context, "enhanced code must be %u.x.x like its reply, with a text behind it",
                      (unsigned)(code / 100));
    if (!reply_text_is_good(rest))
        return refuse(context, "reply text must be 1 to %d printable ASCII characters",
                      REPLY_TEXT_BYTES_MAX);
    char *text = region_text(context->memory, rest);
    if (text == NULL)
        return out_of_memory(context);
    answer.code = (uint16_t)code;
    answer.text = slice_of(text, rest.len);
    *ret_answer = answer;
    return true;
}

static void print_reply(const struct answer *answer, FILE *out)
{
    if (answer->status == STATUS_NONE) {
        fputs("default", out);
        return;
    }
    fprintf(out, "\"%u ", answer->code);
    if (answer->enhanced[0] != 0)
        fprintf(out, "%u.%u.%u ", answer->enhanced[0], answer->enhanced[1], answer->enhanced[2]);
    for (size_t i = 0; i < answer->text.len; i++)
        fprintf(out, "%s%c", strchr("\"\\", answer->text.ptr[i]) != NULL ? "\\" : "",
                answer->text.ptr[i]);
    fputc('"', out);
}

/* --- all types ------------------------------------------------------------------------------ */

static bool set_choice(const struct knob *k, struct knob_context *context, struct slice word,
                       uint32_t *field)
{
    const struct knob_name *n = name_find(k, word);
    if (n == NULL)
        return refuse_name(k, context, word);
    *field = n->value;
    return true;
}

static bool set_count(const struct knob *k, struct knob_context *context, struct slice word,
                      uint32_t *field)
{
    uint64_t value;
    if (!read_quantity(k, context, count_units, word, &value))
        return false;
    *field = (uint32_t)value;
    return true;
}

bool knob_set(const struct knob *k, struct knob_context *context, void *record,
              const struct knob_text *words, uint32_t count)
{
    void *field = (char *)record + k->offset;
    if (k->type == KNOB_FLAGS)
        return read_flags(k, context, words, count, field);
    if (k->type == KNOB_TEXTS)
        return read_texts(context, words, count, field);
    if (count != 1)
        return refuse(context, "one value is wanted, not a list of %u", count);
    struct slice word = words[0].text;
    switch (k->type) {
    case KNOB_TEXT:
        return read_bounded_text(k, context, word, field);
    case KNOB_HOSTNAME:
        return read_hostname(context, word, field);
    case KNOB_PATH:
        return read_path(k, context, word, field);
    case KNOB_COUNT:
        return set_count(k, context, word, field);
    case KNOB_SIZE:
        return read_quantity(k, context, size_units, word, field);
    case KNOB_TIME:
        return read_quantity(k, context, time_units, word, field);
    case KNOB_SCORE:
        return read_score(k, context, word, field);
    case KNOB_MODE:
        return read_mode(context, word, field);
    case KNOB_CHOICE:
        return set_choice(k, context, word, field);
    case KNOB_REPLY:
        return read_reply(k, context, word, field);
    case KNOB_DELAY:
        return read_delay(k, context, word, field);
    case KNOB_FLAGS:
    case KNOB_TEXTS:
        break;
    }
    UNREACHABLE();
}

bool knob_set_text(const struct knob *k, struct knob_context *context, void *record,
                   const char *text)
{
    const struct knob_text word = {slice_str(text), 0};
    return knob_set(k, context, record, &word, 1);
}

static void print_texts(const struct knob_texts *texts, FILE *out)
{
    fputc('[', out);
    for (uint32_t i = 0; i < texts->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        knob_print_quoted(texts->at[i].text, out);
    }
    fputc(']', out);
}

static void print_choice(const struct knob *k, uint32_t value, FILE *out)
{
    for (const struct knob_name *n = k->names; n->name != NULL; n++) {
        if (n->value == value) {
            fputs(n->name, out);
            return;
        }
    }
    UNREACHABLE();
}

static void print_number(const struct knob *k, uint64_t value, const struct unit *units, FILE *out)
{
    if (value == 0 && k->zero_word != NULL)
        fputs(k->zero_word, out);
    else
        print_quantity(value, units, out);
}

static void print_text(const struct knob *k, const char *text, FILE *out)
{
    if (text == NULL)
        fputs(k->zero_word != NULL ? k->zero_word : "\"\"", out);
    else
        knob_print_quoted(slice_str(text), out);
}

void knob_print(const struct knob *k, const void *record, FILE *out)
{
    const void *field = (const char *)record + k->offset;
    switch (k->type) {
    case KNOB_TEXT:
    case KNOB_HOSTNAME:
    case KNOB_PATH:
        print_text(k, *(char *const *)field, out);
        return;
    case KNOB_COUNT:
        print_number(k, *(const uint32_t *)field, count_units, out);
        return;
    case KNOB_SIZE:
        print_number(k, *(const uint64_t *)field, size_units, out);
        return;
    case KNOB_TIME:
        print_number(k, *(const uint64_t *)field, time_units, out);
        return;
    case KNOB_SCORE:
        print_score(*(const int32_t *)field, out);
        return;
    case KNOB_MODE:
        fprintf(out, "0%o", *(const uint32_t *)field);
        return;
    case KNOB_CHOICE:
        print_choice(k, *(const uint32_t *)field, out);
        return;
    case KNOB_FLAGS:
        print_flags(k, *(const uint32_t *)field, out);
        return;
    case KNOB_REPLY:
        print_reply(field, out);
        return;
    case KNOB_TEXTS:
        print_texts(field, out);
        return;
    case KNOB_DELAY:
        print_delay(field, out);
        return;
    }
    UNREACHABLE();
}

static void print_names(const struct knob *k, FILE *out)
{
    for (const struct knob_name *n = k->names; n->name != NULL; n++)
        fprintf(out, "%s%s", n == k->names ? "" : " | ", n->name);
}

static void print_range(const struct knob *k, const char *what, const struct unit *units, FILE *out)
{
    fprintf(out, "%s, ", what);
    print_quantity(k->min, units, out);
    fputs(" to ", out);
    print_quantity(k->max, units, out);
    if (k->zero_word != NULL)
        fprintf(out, ", or %s", k->zero_word);
}

void knob_print_doc(const struct knob *k, FILE *out)
{
    switch (k->type) {
    case KNOB_TEXT:
        fprintf(out, "text, %llu to %llu bytes", (unsigned long long)k->min,
                (unsigned long long)k->max);
        break;
    case KNOB_HOSTNAME:
        fputs("full domain name, at most 253 bytes", out);
        break;
    case KNOB_PATH:
        fprintf(out, "path%s%s", k->zero_word != NULL ? ", or " : "",
                k->zero_word != NULL ? k->zero_word : "");
        break;
    case KNOB_COUNT:
        print_range(k, "number", count_units, out);
        break;
    case KNOB_SIZE:
        print_range(k, "size", size_units, out);
        break;
    case KNOB_TIME:
        print_range(k, "time", time_units, out);
        break;
    case KNOB_SCORE:
        fprintf(out, "score, -%llu to %llu with up to two decimals, or off",
                (unsigned long long)k->max / 100, (unsigned long long)k->max / 100);
        break;
    case KNOB_MODE:
        fputs("octal file mode, 0000 to 0777", out);
        break;
    case KNOB_CHOICE:
        print_names(k, out);
        break;
    case KNOB_FLAGS:
        fputs("list of all, none, -NAME and ", out);
        print_names(k, out);
        break;
    case KNOB_REPLY:
        fprintf(out, "reply, code %llu to %llu, or default", (unsigned long long)k->min,
                (unsigned long long)k->max);
        break;
    case KNOB_TEXTS:
        fputs("text or list of texts", out);
        break;
    case KNOB_DELAY:
        fputs("time up to ", out);
        print_quantity(k->max, time_units, out);
        fputs(", uniform:TIME-TIME, exp:TIME, or off", out);
        break;
    }
    if (k->otherwise != NULL)
        fprintf(out, "; default: %s", k->otherwise[0] != '\0' ? k->otherwise : "\"\"");
    else if (k->type == KNOB_TEXTS)
        fputs("; default: []", out);
    else
        fputs(k->type == KNOB_HOSTNAME ? "; default: the system's" : "; must be given", out);
}
