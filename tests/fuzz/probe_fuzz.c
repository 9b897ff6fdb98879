/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe_fuzz.c - what a server says to postern-probe: any text as the reply to EHLO, as a wrapped
 * reply, for the rules about every reply and for the transcript. Oracles: keywords lie inside the
 * text and hold no blank; what the probe takes for a wrapped reply, the parser of the client
 * machine reads the same way; a transcript is printable, and bounded.
 */
#include "base/assert.h"
#include "probe/found.h"
#include "probe/nested.h"
#include "probe/watch.h"
#include "smtp/wrapped.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_found(struct slice in)
{
    static struct found f;
    found_parse(&f, in);
    ASSERT(f.count <= FOUND_KEYWORDS_MAX);
    for (uint32_t i = 0; i < f.count; i++) {
        ASSERT(f.at[i].name >= f.text && f.at[i].name < f.text + sizeof(f.text));
        ASSERT(f.at[i].name[0] != '\0' && strchr(f.at[i].name + 1, ' ') == NULL);
        ASSERT(strchr(f.at[i].params, '\n') == NULL);
    }
    (void)found_size(&f);
}

static void check_nested(struct slice in)
{
    struct nested n;
    char text[160];
    uint32_t count = 0;
    if (!nested_parse(&n, in, "558", true, text, sizeof(text)))
        return;
    while (in.len > 0) {
        struct wrapped_line line;
        size_t at = slice_find(in, '\n');
        /* The marks of the outer reply are for whoever reads that. */
        bool has_mark = in.ptr[3] == '-' || (in.ptr[3] == ' ' && in.ptr[7] == ' ');
        bool is_wrapped = wrapped_parse_line(slice_first(in, at), EXDATA_CODE, &line);
        ASSERT(is_wrapped == has_mark);
        if (is_wrapped)
            ASSERT(line.inner.code == n.codes[count]);
        count += in.ptr[7] == ' ';
        in = slice_from(in, at + 1);
    }
    ASSERT(count == n.count);
}

static void check_transcript(struct slice in)
{
    struct transcript t = {0};
    struct watch w = {0};
    struct watch_state state = {.offers_enhanced = in.len % 2 == 0, .has_asked = in.len % 3 == 0};
    transcript_put(&t, "C:", in);
    transcript_put(&t, "S:", in);
    transcript_finish(&t);
    ASSERT(t.len <= TRANSCRIPT_BYTES_MAX);
    for (const char *c = transcript_text(&t); *c != '\0'; c++)
        ASSERT(*c == '\n' || (*c >= ' ' && *c <= '~'));
    watch_reply(&w, &state, in, "CORE-1/fuzz", &t);
    watch_deinit(&w);
    transcript_deinit(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    check_found(in);
    check_nested(in);
    check_transcript(in);
    return 0;
}
