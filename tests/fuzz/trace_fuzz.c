/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace_fuzz.c - the two file formats and identities. Oracles: a line that parses is put again byte
 * for byte the same; what is put from any values parses, and is put the same; an identity that is
 * found in a header is in it.
 */
#include "base/assert.h"
#include "trace/arrivals.h"
#include "trace/attempts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RUN 0x1234567890abcdefu

static struct slice line_of(const struct buf *b)
{
    ASSERT(!b->is_full && b->len > 0 && b->ptr[b->len - 1] == '\n');
    struct slice line = slice_of(b->ptr, b->len - 1);
    ASSERT(slice_find(line, '\n') == line.len);
    return line;
}

static void check_attempt_text(struct slice line)
{
    uint8_t memory[ATTEMPT_LINE_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    struct attempt a;
    if (!attempts_parse(line, RUN, &a))
        return;
    ASSERT(a.id.run == RUN);
    attempts_put(&b, &a);
    ASSERT(slice_eq(line_of(&b), line));
}

static void check_arrival_text(struct slice line)
{
    uint8_t memory[ARRIVAL_LINE_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    struct arrival a;
    if (!arrivals_parse(line, &a))
        return;
    arrivals_put(&b, &a);
    ASSERT(slice_eq(line_of(&b), line));
}

static uint64_t take(struct slice *in)
{
    uint64_t value = 0;
    size_t len = size_min(in->len, sizeof(value));
    if (len > 0)
        memcpy(&value, in->ptr, len);
    *in = slice_from(*in, len);
    return value;
}

/* Values of any kind, the rest of the input is the address. */
static void check_attempt_values(struct slice in)
{
    uint8_t memory[ATTEMPT_LINE_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    uint64_t kinds = take(&in), numbers = take(&in);
    struct attempt a = {
        .id = {RUN, take(&in) % UINT64_MAX},
        .attempt = (uint32_t)numbers,
        .rcpt_idx = (uint32_t)(numbers >> 32),
        .planned_at = take(&in),
        .start_at = take(&in),
        .end_at = take(&in),
        .fate = (enum attempt_fate)((kinds & 0xFF) % ATTEMPT_FATE_COUNT),
        .cause = (enum attempt_cause)((kinds >> 8 & 0xFF) % ATTEMPT_CAUSE_COUNT),
        .phase = (enum client_phase)((kinds >> 16 & 0xFF) % CLIENT_PHASE_COUNT),
        .sent = (enum attempt_sent)((kinds >> 24 & 0xFF) % ATTEMPT_SENT_COUNT),
        .code = (uint16_t)(kinds >> 32),
        .enhanced = {(uint16_t)(kinds >> 40), (uint16_t)(kinds >> 48), (uint16_t)(numbers >> 8)},
        .replies_seen = (uint32_t)(kinds >> 20),
        .replies_due = (uint32_t)(numbers >> 20),
        .will_retry = (kinds >> 63) != 0,
        .address = in};
    struct attempt out;
    attempts_put(&b, &a);
    ASSERT(attempts_parse(line_of(&b), RUN, &out));
    ASSERT(out.id.seq == a.id.seq && out.fate == a.fate && out.cause == a.cause);
    ASSERT(out.planned_at == a.planned_at && out.enhanced[2] == a.enhanced[2]);
    check_attempt_text(line_of(&b));
}

static void check_arrival_values(struct slice in)
{
    uint8_t memory[ARRIVAL_LINE_BYTES_MAX];
    struct buf b = buf_over(memory, sizeof(memory));
    uint64_t kinds = take(&in);
    struct arrival a = {.has_id = (kinds & 1) != 0,
                        .id = {kinds | 1, take(&in) % UINT64_MAX},
                        .rcpt_idx = (uint32_t)(kinds >> 8),
                        .at = take(&in),
                        .content_bytes = take(&in),
                        .hash = take(&in),
                        .code = (uint16_t)(kinds >> 16),
                        .delivered = (enum arrival_delivered)(kinds % ARRIVAL_REPLY_COUNT),
                        .conn = take(&in),
                        .txn = (uint32_t)(kinds >> 24),
                        .via = slice_first(in, in.len / 2),
                        .address = slice_from(in, in.len / 2)};
    struct arrival out;
    arrivals_put(&b, &a);
    ASSERT(arrivals_parse(line_of(&b), &out));
    ASSERT(out.has_id == a.has_id && out.hash == a.hash && out.conn == a.conn);
    ASSERT(!a.has_id || (out.id.run == a.id.run && out.id.seq == a.id.seq));
    check_arrival_text(line_of(&b));
}

static void check_identity(struct slice in)
{
    uint8_t memory[64];
    struct buf b = buf_over(memory, sizeof(memory));
    struct identity id, again;
    if (!identity_find(in, &id))
        return;
    identity_put(&b, id);
    ASSERT(!b.is_full && id.run != 0);
    ASSERT(identity_parse(buf_slice(&b), &again) && again.run == id.run && again.seq == id.seq);
    ASSERT(memmem(in.ptr, in.len, b.ptr, b.len) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    uint64_t run;
    check_attempt_text(in);
    check_arrival_text(in);
    check_attempt_values(in);
    check_arrival_values(in);
    check_identity(in);
    if (attempts_parse_head(in, &run))
        ASSERT(run != 0);
    (void)!arrivals_parse_head(in);
    return 0;
}
