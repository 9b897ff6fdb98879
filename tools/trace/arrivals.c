/* SPDX-License-Identifier: Apache-2.0 */
/* arrivals.c - owns the text form of what a server has taken. Pure. */
#include "trace/arrivals.h"
#include "trace/column.h"

static const char *const delivered_names[] = {"-", "yes", "no"};
static_assert(ARRAY_COUNT(delivered_names) == ARRIVAL_REPLY_COUNT, "a name each");

#define HEAD "#postern-arrivals 1"

void arrivals_put_head(struct buf *out)
{
    BUF_PUT_LIT(out, HEAD "\n#run\tseq\trcpt\taddress\ttime_us\tbytes\thash\tcode\tdelivered\t"
                          "conn\ttxn\tvia\n");
}

void arrivals_put(struct buf *out, const struct arrival *a)
{
    if (a->has_id) {
        buf_put_hex(out, a->id.run, IDENTITY_RUN_DIGITS);
        column_put_u64(out, a->id.seq);
    } else {
        BUF_PUT_LIT(out, "-\t-");
    }
    column_put_u64_or(out, a->rcpt_idx, UINT32_MAX);
    column_put_address(out, a->address);
    column_put_u64_or(out, a->at, 0);
    column_put_u64(out, a->content_bytes);
    if (a->hash != 0) {
        buf_put_byte(out, '\t');
        buf_put_hex(out, a->hash, 16);
    } else {
        BUF_PUT_LIT(out, "\t-");
    }
    column_put_u64_or(out, a->code, 0);
    column_put_name(out, delivered_names[a->delivered]);
    column_put_u64(out, a->conn);
    column_put_u64(out, a->txn);
    column_put_address(out, slice_first(a->via, ARRIVAL_VIA_BYTES_MAX));
    buf_put_byte(out, '\n');
}

bool arrivals_parse_head(struct slice line)
{
    return slice_eq(line, SLICE_LIT(HEAD));
}

/* Both columns of an identity, or "-" in both. */
static void parse_identity(struct column_reader *r, struct arrival *a)
{
    a->id.run = column_hex_or(r, 0);
    a->id.seq = column_u64_or(r, IDENTITY_SEQ_MAX, UINT64_MAX);
    a->has_id = a->id.run != 0;
    if (a->has_id != (a->id.seq != UINT64_MAX))
        r->is_bad = true;
    if (!a->has_id)
        a->id.seq = 0;
}

bool arrivals_parse(struct slice line, struct arrival *ret_arrival)
{
    struct column_reader r = column_reader_of(line);
    struct arrival a = {0};
    parse_identity(&r, &a);
    a.rcpt_idx = (uint32_t)column_u64_or(&r, UINT32_MAX, UINT32_MAX);
    a.address = column_address(&r);
    a.at = column_u64_or(&r, UINT64_MAX, 0);
    a.content_bytes = column_u64(&r, UINT64_MAX);
    a.hash = column_hex_or(&r, 0);
    a.code = (uint16_t)column_u64_or(&r, UINT16_MAX, 0);
    a.delivered = (enum arrival_delivered)column_name(&r, delivered_names, ARRIVAL_REPLY_COUNT);
    a.conn = column_u64(&r, UINT64_MAX);
    a.txn = (uint32_t)column_u64(&r, UINT32_MAX);
    a.via = column_address(&r);
    r.is_bad |= a.via.len > ARRIVAL_VIA_BYTES_MAX;
    if (!column_is_done(&r))
        return false;
    *ret_arrival = a;
    return true;
}
