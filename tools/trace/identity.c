/* SPDX-License-Identifier: Apache-2.0 */
/* identity.c - owns the two texts that carry an identity, and finding them in a header. Pure. */
#include "trace/identity.h"
#include "trace/column.h"

void identity_put(struct buf *out, struct identity id)
{
    buf_put_hex(out, id.run, IDENTITY_RUN_DIGITS);
    buf_put_byte(out, '.');
    buf_put_u64(out, id.seq);
}

bool identity_parse(struct slice text, struct identity *ret_id)
{
    struct identity id;
    if (text.len < IDENTITY_RUN_DIGITS + 2 || text.ptr[IDENTITY_RUN_DIGITS] != '.')
        return false;
    if (!column_hex_parse(slice_first(text, IDENTITY_RUN_DIGITS), &id.run) || id.run == 0)
        return false;
    if (!column_decimal_parse(slice_from(text, IDENTITY_RUN_DIGITS + 1), IDENTITY_SEQ_MAX, &id.seq))
        return false;
    *ret_id = id;
    return true;
}

bool identity_from_message_id(struct slice message_id, struct identity *ret_id)
{
    static const struct slice mark = SLICE_INIT("pl.");
    if (message_id.len > 0 && message_id.ptr[0] == '<')
        message_id = slice_from(message_id, 1);
    if (message_id.len <= mark.len || !slice_eq(slice_first(message_id, mark.len), mark))
        return false;
    message_id = slice_from(message_id, mark.len);
    size_t at = slice_find(message_id, '@');
    return at < message_id.len && identity_parse(slice_first(message_id, at), ret_id);
}

/* One line without its end (CRLF or LF); moves @rest behind it. */
static struct slice line_take(struct slice *rest)
{
    size_t len = slice_find(*rest, '\n');
    struct slice line = slice_first(*rest, len);
    *rest = slice_from(*rest, len + 1);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* The first word of a field's body, which may be folded before it; empty when there is none. */
static struct slice first_word(struct slice body, struct slice rest)
{
    for (;;) {
        size_t start = 0;
        while (start < body.len && is_space(body.ptr[start]))
            start++;
        size_t end = start;
        while (end < body.len && !is_space(body.ptr[end]))
            end++;
        if (end > start)
            return slice_of(body.ptr + start, end - start);
        if (rest.len == 0 || !is_space(rest.ptr[0]))
            return SLICE_EMPTY;
        body = line_take(&rest);
    }
}

/* Whether @line begins the field @name; then @ret_body is what follows the colon. */
static bool is_field(struct slice line, struct slice name, struct slice *ret_body)
{
    size_t at = name.len;
    if (!slice_has_prefix_nocase(line, name))
        return false;
    while (at < line.len && is_space(line.ptr[at])) /* RFC 5322 4.5: obs-optional */
        at++;
    if (at == line.len || line.ptr[at] != ':')
        return false;
    *ret_body = slice_from(line, at + 1);
    return true;
}

bool identity_find(struct slice content, struct identity *ret_id)
{
    bool has_message_id = false;
    struct slice body;
    struct identity id;
    while (content.len > 0) {
        struct slice line = line_take(&content);
        if (line.len == 0)
            break;
        if (is_field(line, SLICE_LIT(IDENTITY_FIELD), &body) &&
            identity_parse(first_word(body, content), &id)) {
            *ret_id = id;
            return true;
        }
        if (!has_message_id && is_field(line, SLICE_LIT("Message-ID"), &body))
            has_message_id = identity_from_message_id(first_word(body, content), ret_id);
    }
    return has_message_id;
}
