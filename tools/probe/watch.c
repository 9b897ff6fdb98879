/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - looks at the lines of one reply. What only a whole conversation can show, trial.c
 * notes. */
#include "probe/watch.h"
#include <stdarg.h>
#include <stdio.h>

#define REPLY_LINE_BYTES_MAX 512 /* with CRLF (RFC 5321 4.5.3.1.5) */

void watch_note(struct watch *w, enum watch_rule rule, const char *check,
                const struct transcript *transcript, const char *fmt, ...)
{
    struct watch_find *f = &w->at[rule];
    va_list args;
    f->count++;
    if (f->is_broken)
        return;
    f->is_broken = true;
    snprintf(f->check, sizeof(f->check), "%s", check);
    va_start(args, fmt);
    vsnprintf(f->reason, sizeof(f->reason), fmt, args);
    va_end(args);
    if (!transcript_copy(transcript, &f->transcript))
        f->transcript = (struct transcript){0};
}

/* "2.1.5 " at the beginning: its class, or 0 when there is none. */
static unsigned enhanced_class(struct slice text)
{
    size_t at = 0;
    for (unsigned part = 0; part < 3; part++) {
        size_t start = at;
        while (at < text.len && at - start < 4 && text.ptr[at] >= '0' && text.ptr[at] <= '9')
            at++;
        if (at == start || at - start > (part == 0 ? 1 : 3))
            return 0;
        bool is_last = part == 2;
        if (!is_last && (at == text.len || text.ptr[at++] != '.'))
            return 0;
        if (is_last && at < text.len && text.ptr[at] != ' ')
            return 0;
    }
    return text.ptr[0] - '0';
}

static void watch_enhanced(struct watch *w, const struct watch_state *state, struct slice line,
                           const char *check, const struct transcript *transcript)
{
    unsigned first = line.ptr[0] - '0';
    unsigned found = enhanced_class(slice_from(line, 4));
    int shown = (int)size_min(line.len, 120);
    if (first == 3 || state->is_greeting || state->is_hello) {
        if (found >= 2 && found <= 5 && (first == 3 || state->is_greeting))
            watch_note(w, WATCH_THREE, check, transcript, "an enhanced code stands in \"%.*s\"",
                       shown, (const char *)line.ptr);
        return;
    }
    if (!state->offers_enhanced)
        return;
    if (found == 0)
        watch_note(w, WATCH_ENHANCED, check, transcript,
                   "ENHANCEDSTATUSCODES is offered, and there is none in \"%.*s\"", shown,
                   (const char *)line.ptr);
    else if (found != first)
        watch_note(w, WATCH_ENHANCED, check, transcript,
                   "the enhanced code has another class than the code in \"%.*s\"", shown,
                   (const char *)line.ptr);
}

void watch_reply(struct watch *w, const struct watch_state *state, struct slice lines,
                 const char *check, const struct transcript *transcript)
{
    w->reply_count++;
    for (bool is_first = true; lines.len > 0; is_first = false) {
        size_t at = slice_find(lines, '\n');
        struct slice line = slice_first(lines, size_min(at + 1, lines.len));
        lines = slice_from(lines, line.len);
        if (line.len > REPLY_LINE_BYTES_MAX)
            watch_note(w, WATCH_LENGTH, check, transcript, "a reply line of %zu octets", line.len);
        if (line.len < 2 || line.ptr[line.len - 2] != '\r')
            watch_note(w, WATCH_FORM, check, transcript, "a reply line that ends without CR");
        while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
            line.len--;
        if (line.len < 3)
            continue; /* no reply at all: the check that reads it fails */
        if (is_first && !state->has_asked &&
            (memcmp(line.ptr, "352", 3) == 0 || memcmp(line.ptr, "353", 3) == 0 ||
             memcmp(line.ptr, "355", 3) == 0 || memcmp(line.ptr, "558", 3) == 0))
            watch_note(w, WATCH_UNASKED, check, transcript,
                       "%.3s to a client that asked for no replies of their own for recipients",
                       (const char *)line.ptr);
        if (!state->is_nested)
            watch_enhanced(w, state, line, check, transcript);
    }
}

void watch_deinit(struct watch *w)
{
    for (unsigned i = 0; i < WATCH_RULES; i++)
        transcript_deinit(&w->at[i].transcript);
}
