/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules_fuzz.c - any text as a rules file: refused with a line and a reason, or compiled; what was
 * compiled must find the same in a message whole and cut in two.
 *
 * A byte 0xFF ends the text; the message follows it. Expressions that are known to take the
 * compiler long (large repeats, long files) are left out: what is looked for is not how long.
 */
#include "../support/testscan.h"
#include "scan/rules.h"
#include <errno.h>

#define TEXT_BYTES_MAX 300
#define MESSAGE_BYTES_MAX 500
#define REPEAT_DIGITS_MAX 1
#define REPEATS_MAX 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool is_true)
{
    if (!is_true)
        abort();
}

/* is_costly() - repeats of two digits and more, or many of them within each other. */
static bool is_costly(struct slice text)
{
    size_t digits = 0;
    size_t repeats = 0;
    bool is_in_braces = false;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        repeats += c == '{' || c == '*' || c == '+' || c == '?';
        if (c == '\n')
            repeats = 0;
        if (c == '{')
            is_in_braces = true;
        digits = is_in_braces && c >= '0' && c <= '9' ? digits + 1 : 0;
        if (c == '}')
            is_in_braces = false;
        if (digits > REPEAT_DIGITS_MAX || repeats > REPEATS_MAX)
            return true;
    }
    return false;
}

static struct rules_hits scan_cut(struct rules_worker *w, struct slice message, size_t cut)
{
    struct rules_stream *st = rules_stream_take(w);
    struct scan_options options = {.mode = SCAN_MODE_CHUNK, .rules = st};
    struct scan_result result;
    struct rules_hits hits;
    struct slices parts;
    struct scan s;
    bool is_end;

    expect(st != NULL);
    scan_begin(&s, &options);
    for (size_t at = 0; at < message.len;) {
        size_t to = at < cut ? cut : message.len;
        at += scan_feed(&s, slice_of(message.ptr + at, to - at), &parts, &is_end);
    }
    scan_finish(&s, &parts, &result);
    rules_stream_hits(st, &hits);
    rules_stream_give(w, st);
    return hits;
}

static void use(struct rules *r, struct slice message)
{
    struct rules_worker *w;
    uint32_t count = rules_count(r);

    for (uint32_t i = 0; i < count; i++)
        expect(rules_name(r, i).len > 0 && rules_score(r, i) <= 1000000 &&
               rules_score(r, i) >= -1000000);
    expect(rules_worker_new(r, &w) == 0);
    struct rules_hits whole = scan_cut(w, message, 0);
    struct rules_hits cut = scan_cut(w, message, message.len / 2);
    int64_t score = 0;
    expect(whole.count == cut.count && whole.score == cut.score && whole.count <= count);
    for (uint32_t i = 0; i < whole.count && i < RULES_HITS_MAX; i++)
        score += rules_score(r, whole.rule_idx[i]);
    expect(whole.count > RULES_HITS_MAX || score == whole.score);
    rules_worker_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready;
    struct slice in = slice_of(data, size);
    struct slice text = slice_first(in, slice_find(in, 0xFF));
    struct slice message = slice_first(slice_from(in, text.len + 1), MESSAGE_BYTES_MAX);
    struct rules_error error;
    struct rules *r;

    expect(is_ready || testscan_init() == 0);
    is_ready = true;
    if (text.len > TEXT_BYTES_MAX || is_costly(text))
        return 0;
    int err = rules_compile(text, &r, &error);
    if (err != 0) {
        uint32_t lines = 1;
        for (size_t i = 0; i < text.len; i++)
            lines += text.ptr[i] == '\n';
        expect(err == -EINVAL && error.line <= lines && error.reason[0] != '\0');
        return 0;
    }
    use(r, message);
    rules_unref(r);
    return 0;
}
