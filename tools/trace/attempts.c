/* SPDX-License-Identifier: Apache-2.0 */
/* attempts.c - owns the text form of what a client learned. Pure. */
#include "trace/attempts.h"
#include "trace/column.h"

static const char *const fate_names[] = {"accepted", "deferred", "refused", "unknown"};
static const char *const cause_names[] = {"reply",   "timeout", "lost",         "protocol",
                                          "connect", "tls",     "misbehaviour", "stopped"};
static const char *const sent_names[] = {"none", "part", "all"};
static const char *const next_names[] = {"end", "retry"};
static const char *const phase_names[] = {"greeting", "hello", "mail",  "rcpt", "data",
                                          "content",  "done",  "other", "idle"};
static_assert(ARRAY_COUNT(fate_names) == ATTEMPT_FATE_COUNT, "a name each");
static_assert(ARRAY_COUNT(cause_names) == ATTEMPT_CAUSE_COUNT, "a name each");
static_assert(ARRAY_COUNT(sent_names) == ATTEMPT_SENT_COUNT, "a name each");
static_assert(ARRAY_COUNT(phase_names) == CLIENT_PHASE_COUNT, "a name each");

#define HEAD "#postern-attempts 1 run="

const char *attempt_fate_name(enum attempt_fate f)
{
    ASSERT(f < ATTEMPT_FATE_COUNT);
    return fate_names[f];
}

const char *attempt_cause_name(enum attempt_cause c)
{
    ASSERT(c < ATTEMPT_CAUSE_COUNT);
    return cause_names[c];
}

void attempts_put_head(struct buf *out, uint64_t run)
{
    BUF_PUT_LIT(out, HEAD);
    buf_put_hex(out, run, IDENTITY_RUN_DIGITS);
    BUF_PUT_LIT(out, "\n#seq\tattempt\trcpt\taddress\tplanned_us\tstart_us\tend_us\tfate\tcode\t"
                     "enhanced\tphase\tcause\tsent\tk\tn\tnext\n");
}

static bool has_enhanced(const uint16_t e[3])
{
    return e[0] != 0 || e[1] != 0 || e[2] != 0;
}

static void put_enhanced(struct buf *out, const uint16_t e[3])
{
    buf_put_byte(out, '\t');
    if (!has_enhanced(e)) {
        buf_put_byte(out, '-');
        return;
    }
    buf_put_u64(out, e[0]);
    buf_put_byte(out, '.');
    buf_put_u64(out, e[1]);
    buf_put_byte(out, '.');
    buf_put_u64(out, e[2]);
}

void attempts_put(struct buf *out, const struct attempt *a)
{
    buf_put_u64(out, a->id.seq);
    column_put_u64(out, a->attempt);
    column_put_u64(out, a->rcpt_idx);
    column_put_address(out, a->address);
    column_put_u64_or(out, a->planned_at, 0);
    column_put_u64_or(out, a->start_at, 0);
    column_put_u64_or(out, a->end_at, 0);
    column_put_name(out, attempt_fate_name(a->fate));
    column_put_u64_or(out, a->code, 0);
    put_enhanced(out, a->enhanced);
    column_put_name(out, phase_names[a->phase]);
    column_put_name(out, attempt_cause_name(a->cause));
    column_put_name(out, sent_names[a->sent]);
    column_put_u64(out, a->replies_seen);
    column_put_u64_or(out, a->replies_due, 0);
    column_put_name(out, next_names[a->will_retry]);
    buf_put_byte(out, '\n');
}

bool attempts_parse_head(struct slice line, uint64_t *ret_run)
{
    static const struct slice head = SLICE_INIT(HEAD);
    uint64_t run;
    if (line.len < head.len || !slice_eq(slice_first(line, head.len), head))
        return false;
    if (!column_hex_parse(slice_from(line, head.len), &run) || run == 0)
        return false;
    *ret_run = run;
    return true;
}

static bool parse_enhanced(struct slice text, uint16_t ret_enhanced[3])
{
    if (text.len == 1 && text.ptr[0] == '-')
        return true;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t value;
        size_t len = i < 2 ? slice_find(text, '.') : text.len;
        if (!column_decimal_parse(slice_first(text, len), UINT16_MAX, &value))
            return false;
        ret_enhanced[i] = (uint16_t)value;
        text = slice_from(text, len + 1);
    }
    return has_enhanced(ret_enhanced);
}

bool attempts_parse(struct slice line, uint64_t run, struct attempt *ret_attempt)
{
    struct column_reader r = column_reader_of(line);
    struct attempt a = {.id.run = run};
    a.id.seq = column_u64(&r, IDENTITY_SEQ_MAX);
    a.attempt = (uint32_t)column_u64(&r, UINT32_MAX);
    a.rcpt_idx = (uint32_t)column_u64(&r, UINT32_MAX);
    a.address = column_address(&r);
    a.planned_at = column_u64_or(&r, UINT64_MAX, 0);
    a.start_at = column_u64_or(&r, UINT64_MAX, 0);
    a.end_at = column_u64_or(&r, UINT64_MAX, 0);
    a.fate = (enum attempt_fate)column_name(&r, fate_names, ATTEMPT_FATE_COUNT);
    a.code = (uint16_t)column_u64_or(&r, UINT16_MAX, 0);
    r.is_bad |= !parse_enhanced(column_text(&r), a.enhanced);
    a.phase = (enum client_phase)column_name(&r, phase_names, CLIENT_PHASE_COUNT);
    a.cause = (enum attempt_cause)column_name(&r, cause_names, ATTEMPT_CAUSE_COUNT);
    a.sent = (enum attempt_sent)column_name(&r, sent_names, ATTEMPT_SENT_COUNT);
    a.replies_seen = (uint32_t)column_u64(&r, UINT32_MAX);
    a.replies_due = (uint32_t)column_u64_or(&r, UINT32_MAX, 0);
    a.will_retry = column_name(&r, next_names, ARRAY_COUNT(next_names)) != 0;
    if (!column_is_done(&r))
        return false;
    *ret_attempt = a;
    return true;
}
