/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply.c - replies as bytes, both ways.
 *
 * Built replies are one line each: code, enhanced code, text, CRLF, never above 512 octets,
 * whatever text was configured. The only replies of several lines that we send belong to EHLO
 * (hello.c) and to the dialects (dialect.c). Parsed replies may have any number of lines up to a
 * limit, all with the same code (RFC 5321 4.2.1; CORE-6), and count as one.
 */
#include "smtp/reply.h"

static uint8_t *put_small(uint8_t *at, unsigned value)
{
    ASSERT(value <= 999);
    if (value >= 100)
        *at++ = (uint8_t)('0' + value / 100);
    if (value >= 10) {
        *at++ = (uint8_t)('0' + value / 10 % 10);
        value %= 10;
    }
    *at++ = (uint8_t)('0' + value);
    return at;
}

/* Configured text: cut at @room, at a character border, with nothing that could end the line. */
static uint8_t *put_foreign_text(uint8_t *at, struct slice text, size_t room, bool is_utf8)
{
    size_t len = size_min(size_min(text.len, room), REPLY_TEXT_BYTES_MAX);
    if (len < text.len)
        while (len > 0 && (text.ptr[len] & 0xC0) == 0x80)
            len--;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text.ptr[i];
        if (c < 0x20 || c == 0x7F)
            c = ' ';
        else if (c >= 0x80 && !is_utf8)
            c = '?';
        *at++ = c;
    }
    return at;
}

bool reply_put(struct buf *out, const struct answer *a, uint32_t flags)
{
    return reply_put_behind(out, SLICE_LIT(""), a, flags);
}

bool reply_put_behind(struct buf *out, struct slice prefix, const struct answer *a, uint32_t flags)
{
    uint8_t line[REPLY_LINE_BYTES_MAX];
    const struct status_row *row = status_row(a->status);
    const uint8_t *enhanced = a->enhanced[0] != 0 ? a->enhanced : row->enhanced;
    unsigned code = answer_code(a);
    ASSERT(prefix.len <= 4);
    memcpy(line, prefix.ptr, prefix.len);
    uint8_t *at = put_small(line + prefix.len, code);
    *at++ = ' ';
    if ((flags & REPLY_ENHANCED) != 0 && row->enhanced[0] != 0) {
        ASSERT(enhanced[0] == code / 100); /* RFC 2034 4 */
        *at++ = (uint8_t)('0' + enhanced[0]);
        *at++ = '.';
        at = put_small(at, enhanced[1]);
        *at++ = '.';
        at = put_small(at, enhanced[2]);
        *at++ = ' ';
    }
    if (a->text.len > 0) {
        size_t room = sizeof(line) - 2 - (size_t)(at - line);
        at = put_foreign_text(at, a->text, room, (flags & REPLY_UTF8) != 0);
    } else {
        memcpy(at, row->text, row->text_len);
        at += row->text_len;
    }
    *at++ = '\r';
    *at++ = '\n';
    ASSERT((size_t)(at - line) <= sizeof(line));
    if ((size_t)(at - line) > buf_room(out))
        return false;
    buf_put(out, slice_of(line, (size_t)(at - line)));
    return true;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* 1*3digit; the number of bytes taken, 0 when there is none. */
static size_t take_number(struct slice in, uint16_t *ret_value)
{
    size_t len = 0;
    uint16_t value = 0;
    while (len < in.len && len < 3 && is_digit(in.ptr[len]))
        value = (uint16_t)(value * 10 + (in.ptr[len++] - '0'));
    *ret_value = value;
    return len;
}

/* class "." subject "." detail SP, RFC 2034 and 3463; leaves @text alone when there is none. */
static void take_enhanced(struct reply_line *line)
{
    uint16_t parts[3];
    struct slice rest = line->text;
    for (int i = 0; i < 3; i++) {
        size_t len = take_number(rest, &parts[i]);
        if (len == 0 || (i == 0 && len != 1))
            return;
        rest = slice_from(rest, len);
        uint8_t border = i < 2 ? '.' : ' ';
        if (rest.len > 0 && rest.ptr[0] == border)
            rest = slice_from(rest, 1);
        else if (i < 2 || rest.len > 0)
            return;
    }
    if (parts[0] != line->code / 100)
        return;
    memcpy(line->enhanced, parts, sizeof(parts));
    line->text = rest;
}

bool reply_parse_line(struct slice line, struct reply_line *ret_line)
{
    struct reply_line parsed = {.is_last = true};
    if (line.len < 3 || !is_digit(line.ptr[1]) || !is_digit(line.ptr[2]))
        return false;
    if (line.ptr[0] < '2' || line.ptr[0] > '5')
        return false;
    parsed.code =
        (uint16_t)((line.ptr[0] - '0') * 100 + (line.ptr[1] - '0') * 10 + (line.ptr[2] - '0'));
    if (line.len > 3) {
        if (line.ptr[3] != ' ' && line.ptr[3] != '-')
            return false;
        parsed.is_last = line.ptr[3] == ' ';
        parsed.text = slice_from(line, 4);
        take_enhanced(&parsed);
    }
    *ret_line = parsed;
    return true;
}

enum reply_result reply_add_line(struct reply_state *st, const struct reply_line *line)
{
    ASSERT(line->code >= 200);
    if (st->line_count == 0) {
        st->code = line->code;
        memcpy(st->enhanced, line->enhanced, sizeof(st->enhanced));
    } else if (st->code != line->code) {
        return REPLY_BAD;
    }
    st->line_count++;
    if (line->is_last)
        return REPLY_DONE;
    return st->line_count < REPLY_LINES_MAX ? REPLY_MORE : REPLY_BAD;
}
