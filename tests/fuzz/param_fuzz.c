/* SPDX-License-Identifier: Apache-2.0 */
/* param_fuzz.c - MAIL and RCPT parameters. Oracle: what was accepted, written and parsed again is
 * the same, and fits its limits. */
#include "base/assert.h"
#include "smtp/param.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_mail(struct slice in, uint32_t offers)
{
    uint8_t memory[4096];
    struct buf b = buf_over(memory, sizeof(memory));
    struct mail_params p;
    struct mail_params q;
    if (param_parse_mail(in, offers, &p) != PARAM_OK)
        return;
    ASSERT(p.envid.len <= ENVID_BYTES_MAX);
    param_put_mail(&b, &p, offers);
    ASSERT(!b.is_full);
    ASSERT(param_parse_mail(buf_slice(&b), offers, &q) == PARAM_OK);
    ASSERT(p.has_size == q.has_size && (!p.has_size || p.size == q.size));
    ASSERT(p.body == q.body && p.smtputf8 == q.smtputf8 && p.dialects == q.dialects &&
           p.ret == q.ret);
    ASSERT(slice_eq(p.envid, q.envid));
}

static void check_rcpt(struct slice in, uint32_t offers, bool is_utf8)
{
    uint8_t memory[4096];
    struct buf b = buf_over(memory, sizeof(memory));
    struct rcpt_params p;
    struct rcpt_params q;
    if (param_parse_rcpt(in, offers, is_utf8, &p) != PARAM_OK)
        return;
    ASSERT(p.orcpt.len <= ORCPT_BYTES_MAX);
    param_put_rcpt(&b, &p, offers);
    ASSERT(!b.is_full);
    ASSERT(param_parse_rcpt(buf_slice(&b), offers, is_utf8, &q) == PARAM_OK);
    ASSERT(p.notify == q.notify);
    ASSERT(slice_eq(p.orcpt, q.orcpt));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice in = slice_of(data + 2, size - 2);
    uint32_t offers = ((uint32_t)data[0] << 8 | data[1]) & SESSION_OFFER_ALL;
    check_mail(in, offers);
    check_mail(in, SESSION_OFFER_ALL);
    check_rcpt(in, offers, (data[0] & 128) != 0);
    check_rcpt(in, SESSION_OFFER_ALL, true);
    return 0;
}
