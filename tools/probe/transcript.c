/* SPDX-License-Identifier: Apache-2.0 */
/* transcript.c - text that grows up to its limit; what is too much is counted. */
#include "probe/transcript.h"
#include <stdio.h>
#include <stdlib.h>

#define BODY_LINES_MAX 24 /* of what is sent at a time */

static void append_line(struct transcript *t, const char *line)
{
    size_t len = strlen(line);
    if (t->len + len + 2 > TRANSCRIPT_BYTES_MAX) {
        t->left_out++;
        return;
    }
    if (t->len + len + 2 > t->cap) {
        size_t cap = size_max(1024, 2 * (t->len + len + 2));
        char *text = realloc(t->text, cap);
        if (text == NULL) {
            t->left_out++;
            return;
        }
        t->text = text;
        t->cap = cap;
    }
    t->last = t->len;
    memcpy(t->text + t->len, line, len);
    t->len += len;
    t->text[t->len++] = '\n';
    t->text[t->len] = '\0';
}

void transcript_finish(struct transcript *t)
{
    char line[64];
    uint32_t hidden = t->same > TRANSCRIPT_SAME_MAX ? t->same - TRANSCRIPT_SAME_MAX : 0;
    t->same = 0;
    if (hidden == 0)
        return;
    snprintf(line, sizeof(line), "-- (and %u times more)", hidden);
    append_line(t, line);
}

static void append(struct transcript *t, const char *line)
{
    size_t len = strlen(line);
    bool is_same =
        t->same > 0 && t->len - t->last == len + 1 && memcmp(t->text + t->last, line, len) == 0;
    if (is_same && t->same >= TRANSCRIPT_SAME_MAX) {
        t->same++;
        return;
    }
    if (!is_same)
        transcript_finish(t);
    append_line(t, line);
    t->same = t->text != NULL ? t->same + 1 : 0;
}

/* One line without its end, escaped; @had_cr, @had_lf: what ended it. */
static void put_line(struct transcript *t, const char *side, struct slice line, bool had_cr,
                     bool had_lf)
{
    char out[8 + 4 * TRANSCRIPT_LINE_MAX + 64];
    size_t len = (size_t)snprintf(out, sizeof(out), "%s ", side);
    struct slice shown = slice_first(line, TRANSCRIPT_LINE_MAX);
    for (size_t i = 0; i < shown.len; i++) {
        uint8_t c = shown.ptr[i];
        bool is_plain = c >= ' ' && c < 0x7F && c != '\\';
        len += (size_t)snprintf(out + len, sizeof(out) - len,
                                is_plain    ? "%c"
                                : c == '\\' ? "\\%c"
                                            : "\\x%02X",
                                c);
    }
    if (shown.len < line.len)
        len += (size_t)snprintf(out + len, sizeof(out) - len, "... (%zu octets)", line.len);
    if (had_lf && !had_cr)
        len += (size_t)snprintf(out + len, sizeof(out) - len, "\\x0A");
    if (!had_lf)
        snprintf(out + len, sizeof(out) - len, " (no line end)");
    append(t, out);
}

void transcript_put(struct transcript *t, const char *side, struct slice bytes)
{
    uint32_t count = 0;
    while (bytes.len > 0) {
        char text[96];
        size_t at = slice_find(bytes, '\n');
        struct slice line = slice_first(bytes, at);
        bool had_lf = at < bytes.len;
        bool had_cr = had_lf && line.len > 0 && line.ptr[line.len - 1] == '\r';
        if (++count > BODY_LINES_MAX) {
            snprintf(text, sizeof(text), "%s ... (%zu octets more)", side, bytes.len);
            append(t, text);
            return;
        }
        put_line(t, side, slice_first(line, line.len - had_cr), had_cr, had_lf);
        bytes = slice_from(bytes, at + had_lf);
    }
}

void transcript_note(struct transcript *t, const char *text)
{
    char line[256];
    snprintf(line, sizeof(line), "-- %s", text);
    append(t, line);
}

const char *transcript_text(const struct transcript *t)
{
    return t->text != NULL ? t->text : "";
}

bool transcript_copy(const struct transcript *t, struct transcript *ret_copy)
{
    *ret_copy = (struct transcript){.left_out = t->left_out};
    if (t->text == NULL)
        return true;
    ret_copy->text = strdup(t->text);
    if (ret_copy->text == NULL)
        return false;
    ret_copy->len = t->len;
    ret_copy->cap = t->len + 1;
    ret_copy->last = t->last;
    ret_copy->same = t->same;
    transcript_finish(ret_copy);
    return true;
}

void transcript_deinit(struct transcript *t)
{
    free(t->text);
    *t = (struct transcript){0};
}
