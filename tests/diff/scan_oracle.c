/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan_oracle.c - see scan_oracle.h.
 */
#include "scan_oracle.h"
#include "base/assert.h"
#include <stdlib.h>
#include <xxhash.h>

static void *oracle_alloc(size_t len)
{
    void *memory = calloc(1, len + 1);
    ASSERT(memory != NULL);
    return memory;
}

static bool oracle_has(const uint8_t *bytes, size_t len, size_t at, const char *text)
{
    size_t text_len = strlen(text);
    return at <= len && text_len <= len - at && memcmp(bytes + at, text, text_len) == 0;
}

/* RFC 5321 4.1.1.4: the first CRLF may be the one of the DATA command. */
static bool oracle_is_line_start(const uint8_t *bytes, size_t at)
{
    return at == 0 || (at >= 2 && bytes[at - 2] == '\r' && bytes[at - 1] == '\n');
}

/* The length of what precedes the line with the single dot; @len when there is none. */
static size_t oracle_find_end(struct slice in, bool *ret_is_end)
{
    for (size_t at = 0; at < in.len; at++) {
        if (oracle_is_line_start(in.ptr, at) && oracle_has(in.ptr, in.len, at, ".\r\n")) {
            *ret_is_end = true;
            return at;
        }
    }
    *ret_is_end = false;
    return in.len;
}

/* RFC 5321 4.5.2: a dot that starts a line is deleted. */
static size_t oracle_delete_dots(const uint8_t *in, size_t len, uint8_t *out)
{
    size_t out_len = 0;

    for (size_t at = 0; at < len; at++)
        if (!(in[at] == '.' && oracle_is_line_start(in, at)))
            out[out_len++] = in[at];
    return out_len;
}

/* CORE-42, normalize: every LF gets a CR before it. */
static size_t oracle_repair(const uint8_t *in, size_t len, uint8_t *out)
{
    size_t out_len = 0;

    for (size_t at = 0; at < len; at++) {
        if (in[at] == '\n' && (at == 0 || in[at - 1] != '\r'))
            out[out_len++] = '\r';
        out[out_len++] = in[at];
    }
    return out_len;
}

static void oracle_find_bad(struct oracle_answer *a)
{
    const uint8_t *c = a->content;
    size_t len = a->result.content_bytes;

    a->result.bad_offset = UINT64_MAX;
    for (size_t at = 0; at < len; at++) {
        uint32_t flag = 0;
        if (c[at] == 0)
            flag = SCAN_FLAG_NUL;
        else if (c[at] == '\r' && !oracle_has(c, len, at, "\r\n"))
            flag = SCAN_FLAG_BARE_CR;
        else if (c[at] == '\n' && (at == 0 || c[at - 1] != '\r'))
            flag = SCAN_FLAG_BARE_LF;
        else if (c[at] > 0x7f)
            a->result.flags |= SCAN_FLAG_HIGH;
        if (flag != 0 && a->result.bad_offset == UINT64_MAX)
            a->result.bad_offset = at;
        a->result.flags |= flag;
    }
}

/* The length of the line at @at with its CRLF, or up to the end. */
static size_t oracle_line_len(const uint8_t *bytes, size_t len, size_t at)
{
    for (size_t i = at; i < len; i++)
        if (oracle_has(bytes, len, i, "\r\n"))
            return i + 2 - at;
    return len - at;
}

static bool oracle_is_ended(const uint8_t *line, size_t len)
{
    return len >= 2 && line[len - 2] == '\r' && line[len - 1] == '\n';
}

static bool oracle_is_named(const uint8_t *line, size_t len, const char *name)
{
    size_t name_len = slice_find(slice_of(line, len), ':');

    if (name_len == len)
        return false;
    while (name_len > 0 && (line[name_len - 1] == ' ' || line[name_len - 1] == '\t'))
        name_len--;
    return slice_eq_nocase(slice_of(line, name_len), slice_str(name));
}

/* The value of a field that may be folded over lines, of which @text is all. */
static void oracle_message_id(struct scan_result *r, const uint8_t *text, size_t len)
{
    uint8_t *flat = oracle_alloc(len);
    size_t flat_len = 0;
    size_t from = 0;

    for (size_t at = slice_find(slice_of(text, len), ':') + 1; at < len; at++)
        if (text[at] != '\r' && text[at] != '\n')
            flat[flat_len++] = text[at];
    while (from < flat_len && (flat[from] == ' ' || flat[from] == '\t'))
        from++;
    bool is_bracketed = from < flat_len && flat[from] == '<';
    for (size_t at = from; at < flat_len && r->message_id_len < MESSAGE_ID_BYTES_MAX; at++) {
        bool is_space = flat[at] == ' ' || flat[at] == '\t';
        if (is_space && !is_bracketed)
            break;
        if (!is_space)
            r->message_id[r->message_id_len++] = flat[at];
        if (is_bracketed && flat[at] == '>')
            break;
    }
    free(flat);
}

static void oracle_read_header(struct oracle_answer *a)
{
    const uint8_t *c = a->content;
    size_t len = a->result.content_bytes;
    bool has_message_id = false;
    size_t line_len;

    a->result.header_bytes = len;
    a->result.flags |= SCAN_FLAG_NO_HEADER_END;
    for (size_t at = 0; at < len; at += line_len) {
        line_len = oracle_line_len(c, len, at);
        if (oracle_has(c, len, at, "\r\n")) {
            a->result.header_bytes = at + 2;
            a->result.flags &= ~(uint32_t)SCAN_FLAG_NO_HEADER_END;
            return;
        }
        if (c[at] == ' ' || c[at] == '\t')
            continue;
        a->result.received_count += oracle_is_named(c + at, line_len, "Received");
        if (!has_message_id && oracle_is_named(c + at, line_len, "Message-ID")) {
            size_t field_len = line_len;
            while (at + field_len < len && oracle_is_ended(c + at, field_len) &&
                   (c[at + field_len] == ' ' || c[at + field_len] == '\t'))
                field_len += oracle_line_len(c, len, at + field_len);
            has_message_id = true;
            oracle_message_id(&a->result, c + at, field_len);
        }
    }
}

static void oracle_read_lines(struct oracle_answer *a)
{
    const uint8_t *c = a->content;
    size_t len = a->result.content_bytes;
    size_t line_len;

    for (size_t at = 0; at < len; at += line_len) {
        line_len = oracle_line_len(c, len, at);
        a->result.line_bytes_max = size_max(a->result.line_bytes_max, line_len);
        a->result.line_count += oracle_is_ended(c + at, line_len);
    }
    if (len > 0 && !oracle_is_ended(c, len))
        a->result.flags |= SCAN_FLAG_UNENDED;
    if (a->result.line_bytes_max > TEXT_LINE_BYTES_MAX)
        a->result.flags |= SCAN_FLAG_LONG_LINE;
}

struct oracle_answer oracle_answer(const struct oracle_case *c, struct slice in)
{
    struct oracle_answer a = {.used = in.len};
    size_t raw_len = in.len;
    uint8_t *plain = oracle_alloc(in.len);

    if (c->mode == SCAN_MODE_DATA) {
        raw_len = oracle_find_end(in, &a.is_end);
        if (a.is_end)
            a.used = raw_len + strlen(".\r\n");
    }
    size_t plain_len = raw_len;
    if (c->mode == SCAN_MODE_DATA)
        plain_len = oracle_delete_dots(in.ptr, raw_len, plain);
    else if (raw_len > 0)
        memcpy(plain, in.ptr, raw_len);
    a.content = oracle_alloc(2 * plain_len);
    if (c->normalizes) {
        a.result.content_bytes = oracle_repair(plain, plain_len, a.content);
        if (a.result.content_bytes != plain_len)
            a.result.flags |= SCAN_FLAG_NORMALIZED;
    } else {
        memcpy(a.content, plain, plain_len);
        a.result.content_bytes = plain_len;
    }
    free(plain);
    oracle_find_bad(&a);
    oracle_read_header(&a);
    oracle_read_lines(&a);
    uint32_t received_max = c->received_max != 0 ? c->received_max : RECEIVED_COUNT_MAX;
    if (a.result.received_count > received_max)
        a.result.flags |= SCAN_FLAG_LOOP;
    if (c->key != NULL) {
        XXH128_hash_t h = XXH3_128bits_withSecret(a.content, a.result.content_bytes, c->key->bytes,
                                                  SCAN_KEY_BYTES);
        a.result.hash[0] = h.low64;
        a.result.hash[1] = h.high64;
    }
    return a;
}

/* Adds the slices of one call to the content. */
static void oracle_collect(struct oracle_answer *a, size_t *len, const struct slices *parts)
{
    ASSERT(parts->count <= SLICES_MAX);
    for (uint32_t i = 0; i < parts->count; i++) {
        ASSERT(parts->at[i].len > 0);
        memcpy(a->content + *len, parts->at[i].ptr, parts->at[i].len);
        *len += parts->at[i].len;
    }
}

struct oracle_answer oracle_drive(const struct oracle_case *c, struct slice in, const size_t *cuts,
                                  size_t cut_count)
{
    struct oracle_answer a = {.content = oracle_alloc(2 * in.len + 1)};
    struct scan_options options = {c->mode, c->normalizes, c->received_max, c->key, NULL};
    struct slices parts;
    struct scan s;
    size_t content_len = 0;
    size_t cut_idx = 0;

    scan_begin(&s, &options);
    while (a.used < in.len && !a.is_end) {
        while (cut_idx < cut_count && cuts[cut_idx] <= a.used)
            cut_idx++;
        size_t to = cut_idx < cut_count ? size_min(cuts[cut_idx], in.len) : in.len;
        to = size_min(to, a.used + WINDOW_BYTES_MAX);
        size_t used = scan_feed(&s, slice_of(in.ptr + a.used, to - a.used), &parts, &a.is_end);
        ASSERT(used > 0 && used <= to - a.used);
        a.used += used;
        oracle_collect(&a, &content_len, &parts);
        ASSERT(scan_content_bytes(&s) == content_len);
    }
    scan_finish(&s, &parts, &a.result);
    oracle_collect(&a, &content_len, &parts);
    ASSERT(a.result.content_bytes == content_len);
    return a;
}

const char *oracle_compare(const struct oracle_answer *a, const struct oracle_answer *b)
{
    const struct scan_result *r = &a->result;
    const struct scan_result *s = &b->result;

    if (a->is_end != b->is_end)
        return "end of data";
    if (a->used != b->used)
        return "bytes consumed";
    if (r->content_bytes != s->content_bytes)
        return "content_bytes";
    if (memcmp(a->content, b->content, r->content_bytes) != 0)
        return "content";
    if (r->flags != s->flags)
        return "flags";
    if (r->bad_offset != s->bad_offset)
        return "bad_offset";
    if (r->header_bytes != s->header_bytes)
        return "header_bytes";
    if (r->line_count != s->line_count)
        return "line_count";
    if (r->line_bytes_max != s->line_bytes_max)
        return "line_bytes_max";
    if (r->received_count != s->received_count)
        return "received_count";
    if (r->message_id_len != s->message_id_len ||
        memcmp(r->message_id, s->message_id, r->message_id_len) != 0)
        return "message_id";
    if (r->hash[0] != s->hash[0] || r->hash[1] != s->hash[1])
        return "hash";
    return NULL;
}

void oracle_free(struct oracle_answer *a)
{
    free(a->content);
    a->content = NULL;
}
