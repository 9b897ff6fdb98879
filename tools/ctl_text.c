/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_text.c - owns the printing of bytes that strangers chose.
 *
 * Everything goes through utf8_take(): a character is printed only when it is known to be harmless.
 * Nothing depends on the locale.
 */
#include "ctl_text.h"
#include "base/assert.h"
#include "base/civil.h"

enum utf8_result {
    UTF8_BAD,     /* the first byte begins no character */
    UTF8_PARTIAL, /* the bytes may be the beginning of one */
    UTF8_CHAR,
};

/* RFC 3629 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
static enum utf8_result utf8_take(struct slice in, uint32_t *ret_char, size_t *ret_len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = in.ptr[0];
    size_t len = lead < 0x80 ? 1 : (lead >> 5) == 6 ? 2 : (lead >> 4) == 14 ? 3 : 4;
    if (lead >= 0x80 && (lead < 0xC2 || lead > 0xF4))
        return UTF8_BAD;
    uint32_t value = len == 1 ? lead : lead & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (i == in.len)
            return UTF8_PARTIAL;
        if ((in.ptr[i] & 0xC0) != 0x80)
            return UTF8_BAD;
        value = (value << 6) | (in.ptr[i] & 0x3Fu);
    }
    if (value < least[len] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return UTF8_BAD;
    *ret_char = value;
    *ret_len = len;
    return UTF8_CHAR;
}

/* Controls, and what has no width or changes the direction of what stands beside it. */
static bool is_harmless(uint32_t c)
{
    static const uint32_t bad[][2] = {
        {0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},       {0x61C, 0x61C},
        {0x200B, 0x200F}, {0x2028, 0x202E}, {0x2060, 0x206F},   {0xFEFF, 0xFEFF},
        {0xFFF9, 0xFFFB}, {0xFFFE, 0xFFFF}, {0xE0000, 0xE0FFF},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (c >= bad[i][0] && c <= bad[i][1])
            return false;
    return true;
}

static void put_escaped(FILE *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        fprintf(out, "\\x%02x", bytes.ptr[i]);
}

static bool is_printed(uint32_t c, enum ctl_text_style style)
{
    if (style == CTL_TEXT_CONTENT && c == '\t')
        return true;
    if (style == CTL_TEXT_WORD && (c == ' ' || c == ','))
        return false;
    return is_harmless(c);
}

void ctl_put_text(FILE *out, struct slice text, enum ctl_text_style style)
{
    while (text.len > 0) {
        uint32_t c = 0;
        size_t len = 1;
        bool is_char = utf8_take(text, &c, &len) == UTF8_CHAR;
        if (is_char && c == '\\' && style != CTL_TEXT_CONTENT)
            fputs("\\\\", out);
        else if (is_char && is_printed(c, style))
            fwrite(text.ptr, 1, len, out);
        else
            put_escaped(out, slice_first(text, len));
        text = slice_from(text, len);
    }
}

void ctl_put_field(FILE *out, struct slice field)
{
    while (field.len > 0) {
        size_t line = 0;
        while (line < field.len &&
               !(field.ptr[line] == '\r' && line + 1 < field.len && field.ptr[line + 1] == '\n'))
            line++;
        ctl_put_text(out, slice_first(field, line), CTL_TEXT_LINE);
        field = slice_from(field, line + 2);
        while (field.len > 0 && (field.ptr[0] == ' ' || field.ptr[0] == '\t'))
            field = slice_from(field, 1);
        if (field.len > 0)
            fputc(' ', out);
    }
}

void ctl_put_json(FILE *out, struct slice text)
{
    fputc('"', out);
    while (text.len > 0) {
        uint32_t c = 0;
        size_t len = 1;
        bool is_char = utf8_take(text, &c, &len) == UTF8_CHAR;
        if (!is_char)
            fprintf(out, "\\u%04x", text.ptr[0]);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", (int)c);
        else if (is_harmless(c))
            fwrite(text.ptr, 1, len, out);
        else if (c > 0xFFFF) /* RFC 8259 7: a surrogate pair */
            fprintf(out, "\\u%04x\\u%04x", 0xD7C0 + (c >> 10), 0xDC00 + (c & 0x3FF));
        else
            fprintf(out, "\\u%04x", c);
        text = slice_from(text, len);
    }
    fputc('"', out);
}

/* --- a message in pieces ---------------------------------------------------------------------- */

/* Prints the first character of @in. Return: bytes used; 0: more are needed. */
static size_t content_take(struct ctl_content *c, struct slice in)
{
    uint32_t value = 0;
    size_t len = 1;
    if (in.ptr[0] == '\r' && in.len == 1)
        return 0;
    if (in.ptr[0] == '\n' || (in.ptr[0] == '\r' && in.ptr[1] == '\n')) {
        fputc('\n', c->out);
        c->is_line_open = false;
        return in.ptr[0] == '\n' ? 1 : 2;
    }
    enum utf8_result result = utf8_take(in, &value, &len);
    if (result == UTF8_PARTIAL)
        return 0;
    ctl_put_text(c->out, slice_first(in, len), CTL_TEXT_CONTENT);
    c->is_line_open = true;
    return len;
}

void ctl_content_put(struct ctl_content *c, struct slice piece)
{
    while (c->carry_len > 0 && piece.len > 0) {
        ASSERT(c->carry_len < sizeof(c->carry));
        c->carry[c->carry_len++] = piece.ptr[0];
        piece = slice_from(piece, 1);
        size_t used = 0;
        while (c->carry_len > 0 && (used = content_take(c, slice_of(c->carry, c->carry_len))) > 0) {
            c->carry_len -= used;
            memmove(c->carry, c->carry + used, c->carry_len);
        }
    }
    size_t used = 0;
    while (piece.len > 0 && (used = content_take(c, piece)) > 0)
        piece = slice_from(piece, used);
    if (piece.len > 0) {
        ASSERT(piece.len < sizeof(c->carry));
        memcpy(c->carry, piece.ptr, piece.len);
        c->carry_len = piece.len;
    }
}

void ctl_content_end(struct ctl_content *c)
{
    put_escaped(c->out, slice_of(c->carry, c->carry_len));
    if (c->is_line_open || c->carry_len > 0)
        fputc('\n', c->out);
    c->carry_len = 0;
    c->is_line_open = false;
}

/* --- times and patterns ----------------------------------------------------------------------- */

void ctl_put_time(FILE *out, wall_us at, bool has_fraction)
{
    uint8_t memory[40];
    struct buf b = buf_over(memory, sizeof(memory));
    struct civil c = civil_from_unix(at / 1000000);
    civil_put_rfc3339(&b, &c);
    fwrite(memory, 1, b.len, out);
    if (has_fraction)
        fprintf(out, ".%06u", (unsigned)(at % 1000000));
    fputc('Z', out);
}

/* Takes @digits digits and the @before in front of them. */
static bool number_take(const char **text, char before, int digits, uint32_t *ret_value)
{
    const char *at = *text;
    uint32_t value = 0;
    if (before != '\0' && *at++ != before)
        return false;
    for (int i = 0; i < digits; i++, at++) {
        if (*at < '0' || *at > '9')
            return false;
        value = value * 10 + (uint32_t)(*at - '0');
    }
    *text = at;
    *ret_value = value;
    return true;
}

/* Days from 1970-01-01, counted in years that begin in March. */
static uint64_t days_from_civil(uint32_t year, uint32_t month, uint32_t day)
{
    uint32_t y = month <= 2 ? year - 1 : year;
    uint32_t from_march = month <= 2 ? month + 9 : month - 3;
    return (uint64_t)365 * y + y / 4 - y / 100 + y / 400 + (153 * from_march + 2) / 5 + day - 1 -
           719468;
}

bool ctl_time_parse(const char *text, wall_us *ret_at)
{
    uint32_t year, month, day, hour = 0, minute = 0, second = 0;
    if (!number_take(&text, '\0', 4, &year) || !number_take(&text, '-', 2, &month) ||
        !number_take(&text, '-', 2, &day))
        return false;
    if (*text == 'T') {
        if (!number_take(&text, 'T', 2, &hour) || !number_take(&text, ':', 2, &minute))
            return false;
        if (*text == ':' && !number_take(&text, ':', 2, &second))
            return false;
    }
    if (*text == 'Z')
        text++;
    if (*text != '\0' || year < 1970 || month < 1 || month > 12 || day < 1 || hour > 23 ||
        minute > 59 || second > 60)
        return false;
    uint64_t days = days_from_civil(year, month, day);
    struct civil again = civil_from_unix(days * 86400);
    if (again.month != month || again.day != day) /* 30 February */
        return false;
    *ret_at = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000000;
    return true;
}

bool ctl_wildcard_match(struct slice pattern, struct slice text)
{
    size_t p = 0, t = 0;
    size_t star = SIZE_MAX, star_text = 0; /* the last star, and how far it reaches */
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.len && ascii_lower(pattern.ptr[p]) == ascii_lower(text.ptr[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}
