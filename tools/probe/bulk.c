/* SPDX-License-Identifier: Apache-2.0 */
/* bulk.c - content that is more than a few lines. */
#include "probe/bulk.h"
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_BYTES ((size_t)65536)
#define BLOCK_LINE 64

static bool chunk(struct trial *t, struct slice content, bool is_last)
{
    static char memory[TRIAL_MESSAGE_BYTES + 64];
    int len =
        snprintf(memory, sizeof(memory), "BDAT %zu%s\r\n", content.len, is_last ? " LAST" : "");
    if ((size_t)len + content.len > sizeof(memory))
        return trial_skip(t, "a chunk that is too long for the probe");
    memcpy(memory + len, content.ptr, content.len);
    return trial_send(t, is_last ? "BDAT LAST" : "BDAT",
                      slice_of(memory, (size_t)len + content.len));
}

bool bulk_chunk(struct trial *t, const char *text, bool is_last)
{
    return chunk(t, slice_str(text), is_last);
}

bool bulk_bdat(struct trial *t, const char *body, bool is_last)
{
    return chunk(t, trial_message(t, body), is_last);
}

bool bulk_lines(struct trial *t, const char *text, uint32_t count)
{
    static char memory[BLOCK_BYTES];
    size_t used = 0, len = strlen(text);
    for (uint32_t i = 0; i < count && used + len + 2 <= sizeof(memory); i++) {
        memcpy(memory + used, text, len);
        memcpy(memory + used + len, "\r\n", 2);
        used += len + 2;
    }
    return trial_send(t, "the content", slice_of(memory, used));
}

/* So many octets in lines; the last block may be short, and ends with its line. */
static bool send_octets(struct trial *t, uint64_t count)
{
    char *block = malloc(BLOCK_BYTES), text[96];
    if (block == NULL)
        return trial_skip(t, "out of memory");
    memset(block, 'x', BLOCK_BYTES);
    for (size_t i = BLOCK_LINE; i <= BLOCK_BYTES; i += BLOCK_LINE)
        memcpy(block + i - 2, "\r\n", 2);
    snprintf(text, sizeof(text), "%llu octets of content are sent", (unsigned long long)count);
    transcript_note(&t->transcript, text);
    clock_ns deadline = u64_min(talk_now() + t->options->timeout_ns + count / (64 * KIB) * NS_PER_S,
                                t->probe->deadline);
    enum talk_result result = TALK_DONE;
    for (uint64_t sent = 0; sent < count && result == TALK_DONE;) {
        size_t len = (size_t)u64_min(count - sent, BLOCK_BYTES);
        result = talk_write(t->talk, slice_of(block, len), deadline);
        sent += len;
    }
    free(block);
    if (result == TALK_LATE)
        return trial_fail(t, "the server does not read the content");
    return true; /* it may have answered and closed: reading tells */
}

/* More than the limit, in whole lines; 0 when it cannot be tested. Clearly more: some servers count
 * a line end as one octet, or leave out the head (RFC 1870 5 counts both). */
static uint64_t too_big_bytes(struct trial *t)
{
    uint64_t limit = found_size(&t->probe->found);
    if (limit == 0) {
        trial_skip(t, "SIZE announces no limit");
        return 0;
    }
    if (limit > t->options->upload_bytes) {
        trial_skip(t, "SIZE %llu is above --upload %llu", (unsigned long long)limit,
                   (unsigned long long)t->options->upload_bytes);
        return 0;
    }
    return ((limit + limit / 16 + KIB) / BLOCK_LINE + 1) * BLOCK_LINE;
}

bool bulk_too_big(struct trial *t)
{
    uint64_t count = trial_goes_on(t) ? too_big_bytes(t) : 0;
    if (count == 0)
        return false;
    struct slice head = trial_message(t, "");
    return trial_send(t, "the content", head) && send_octets(t, count) &&
           trial_send(t, "the content", slice_str(".\r\n"));
}

bool bulk_chunk_too_big(struct trial *t)
{
    uint64_t count = trial_goes_on(t) ? too_big_bytes(t) : 0;
    return count > 0 && trial_say(t, "BDAT %llu", (unsigned long long)count) &&
           send_octets(t, count);
}
