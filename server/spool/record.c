/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c - owns the record format: what stands where in a header and in a COMMIT payload.
 *
 * A COMMIT payload is a fixed part, the extents, the texts of the envelope in the order of
 * enum commit_text, and the recipients. Lengths come before what they measure, and the decoder
 * accepts only a payload that is used up exactly, so that encoding what was decoded gives the same
 * bytes again (the fuzz target's oracle).
 *
 * Invariants: encoding never reads or writes past the computed length; decoding never trusts a
 * length; nothing here depends on alignment of what it reads.
 */
#include "record.h"
#include <xxhash.h>

enum commit_text {
    TEXT_REVERSE_PATH,
    TEXT_HELO,
    TEXT_CLIENT,
    TEXT_LISTENER,
    TEXT_PROTOCOL,
    TEXT_TRACE,
    TEXT_MESSAGE_ID,
    TEXT_ENVID,
    TEXT_COUNT
};

enum commit_bit {
    COMMIT_HAS_SIZE = 1u << 0,
    COMMIT_SMTPUTF8 = 1u << 1,
    COMMIT_PRDR = 1u << 2,
    COMMIT_DEFERRALS = 1u << 3,
    COMMIT_EXDATA = 1u << 4,
    COMMIT_XRCPT250 = 1u << 5,
    COMMIT_INLINE_DSN = 1u << 6,
    COMMIT_XPRDR1 = 1u << 7,
    COMMIT_BITS = (1u << 8) - 1,
};

static const struct {
    uint32_t offer;
    uint8_t bit;
} dialect_bits[] = {
    {SESSION_OFFER_PRDR, COMMIT_PRDR},
    {SESSION_OFFER_DEFERRALS, COMMIT_DEFERRALS},
    {SESSION_OFFER_EXDATA, COMMIT_EXDATA},
    {SESSION_OFFER_XRCPT250, COMMIT_XRCPT250},
    {SESSION_OFFER_INLINE_DSN, COMMIT_INLINE_DSN},
    {SESSION_OFFER_XPRDR1, COMMIT_XPRDR1},
};

static uint8_t bits_of(const struct mail_params *mail)
{
    uint8_t bits = 0;
    if (mail->has_size)
        bits |= COMMIT_HAS_SIZE;
    if (mail->smtputf8)
        bits |= COMMIT_SMTPUTF8;
    for (size_t i = 0; i < ARRAY_COUNT(dialect_bits); i++)
        if ((mail->dialects & dialect_bits[i].offer) != 0)
            bits |= dialect_bits[i].bit;
    return bits;
}

static uint32_t dialects_of(uint8_t bits)
{
    uint32_t dialects = 0;
    for (size_t i = 0; i < ARRAY_COUNT(dialect_bits); i++)
        if ((bits & dialect_bits[i].bit) != 0)
            dialects |= dialect_bits[i].offer;
    return dialects;
}

struct commit_fixed {
    uint64_t queue_id;
    uint64_t received_at;
    uint64_t hash[2];
    uint64_t content_bytes;
    uint64_t content_check;
    uint64_t mail_size;
    uint32_t flags;
    int32_t score;
    uint32_t extent_count;
    uint32_t rcpt_count;
    uint32_t rcpt_bytes;
    uint8_t mail_body;
    uint8_t mail_ret;
    uint8_t bits;
    uint8_t zero;
    uint16_t text_len[TEXT_COUNT];
};
static_assert(sizeof(struct commit_fixed) == 96, "record format");

struct commit_rcpt {
    uint16_t address_len;
    uint16_t orcpt_len;
    uint16_t class_len;
    uint8_t state;
    uint8_t notify;
};
static_assert(sizeof(struct commit_rcpt) == 8, "record format");

uint64_t record_payload_check(struct slice payload)
{
    return XXH3_64bits(payload.ptr, payload.len);
}

uint64_t record_chain_check(uint64_t chain, uint64_t payload_check, uint64_t length)
{
    const uint64_t pair[2] = {payload_check, length};
    return XXH3_64bits_withSeed(pair, sizeof(pair), chain);
}

static uint64_t header_check(const struct record_header *h)
{
    return XXH3_64bits_withSeed(h, offsetof(struct record_header, check), h->generation);
}

void record_header_seal(struct record_header *h)
{
    h->magic = RECORD_MAGIC;
    h->check = header_check(h);
}

bool record_header_read(const uint8_t *bytes, uint64_t generation, uint64_t offset,
                        uint64_t capacity, struct record_header *ret_header)
{
    struct record_header h;
    memcpy(&h, bytes, sizeof(h));
    if (h.magic != RECORD_MAGIC || h.generation != generation || h.offset != offset)
        return false;
    if (h.check != header_check(&h))
        return false;
    if (h.type < RECORD_DATA || h.type > RECORD_PAD || offset > capacity ||
        record_bytes(h.length) > capacity - offset)
        return false;
    *ret_header = h;
    return true;
}

void segment_header_seal(struct segment_header *h)
{
    h->magic = SEGMENT_MAGIC;
    h->version = SEGMENT_VERSION;
    h->check = XXH3_64bits(h, offsetof(struct segment_header, check));
}

bool segment_header_read(const uint8_t *bytes, struct segment_header *ret_header)
{
    struct segment_header h;
    memcpy(&h, bytes, sizeof(h));
    if (h.magic != SEGMENT_MAGIC || h.version != SEGMENT_VERSION ||
        h.check != XXH3_64bits(&h, offsetof(struct segment_header, check)))
        return false;
    if (h.shard >= SHARD_COUNT_MAX || h.capacity < 2 * RECORD_BLOCK ||
        h.capacity > SEGMENT_BYTES_MAX || h.capacity % RECORD_BLOCK != 0)
        return false;
    *ret_header = h;
    return true;
}

static void envelope_texts(const struct spool_envelope *e, struct slice ret_texts[TEXT_COUNT])
{
    ret_texts[TEXT_REVERSE_PATH] = e->reverse_path;
    ret_texts[TEXT_HELO] = e->helo;
    ret_texts[TEXT_CLIENT] = e->client;
    ret_texts[TEXT_LISTENER] = e->listener;
    ret_texts[TEXT_PROTOCOL] = e->protocol;
    ret_texts[TEXT_TRACE] = e->trace;
    ret_texts[TEXT_MESSAGE_ID] = e->message_id;
    ret_texts[TEXT_ENVID] = e->mail.envid;
}

static uint64_t rcpts_bytes(const struct spool_envelope *e)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        const struct spool_rcpt *r = &e->rcpts[i];
        if ((r->address.len | r->params.orcpt.len | r->class_name.len) > UINT16_MAX)
            return UINT64_MAX;
        total +=
            sizeof(struct commit_rcpt) + r->address.len + r->params.orcpt.len + r->class_name.len;
    }
    return total;
}

uint64_t record_commit_bytes(const struct spool_envelope *envelope, uint32_t extent_count)
{
    struct slice texts[TEXT_COUNT];
    envelope_texts(envelope, texts);
    uint64_t rcpts = rcpts_bytes(envelope);
    if (rcpts > UINT32_MAX)
        return 0;
    uint64_t total = sizeof(struct commit_fixed) + rcpts;
    total += (uint64_t)extent_count * sizeof(struct record_extent);
    for (unsigned i = 0; i < TEXT_COUNT; i++) {
        if (texts[i].len > UINT16_MAX)
            return 0;
        total += texts[i].len;
    }
    return total <= UINT32_MAX ? total : 0;
}

static uint8_t *put(uint8_t *to, struct slice s)
{
    if (s.len > 0)
        memcpy(to, s.ptr, s.len);
    return to + s.len;
}

void record_commit_encode(const struct spool_envelope *e, uint64_t queue_id, uint64_t content_check,
                          uint32_t extent_count, uint8_t *to)
{
    struct slice texts[TEXT_COUNT];
    envelope_texts(e, texts);
    struct commit_fixed fixed = {
        .queue_id = queue_id,
        .received_at = e->received_at,
        .hash = {e->hash[0], e->hash[1]},
        .content_bytes = e->content_bytes,
        .content_check = content_check,
        .mail_size = e->mail.size,
        .flags = e->flags,
        .score = e->score,
        .extent_count = extent_count,
        .rcpt_count = e->rcpt_count,
        .rcpt_bytes = (uint32_t)rcpts_bytes(e),
        .mail_body = (uint8_t)e->mail.body,
        .mail_ret = (uint8_t)e->mail.ret,
        .bits = bits_of(&e->mail),
    };
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        fixed.text_len[i] = (uint16_t)texts[i].len;
    memcpy(to, &fixed, sizeof(fixed));
    to += sizeof(fixed) + extent_count * sizeof(struct record_extent);
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        to = put(to, texts[i]);
    for (uint32_t i = 0; i < e->rcpt_count; i++) {
        const struct spool_rcpt *r = &e->rcpts[i];
        struct commit_rcpt head = {
            .address_len = (uint16_t)r->address.len,
            .orcpt_len = (uint16_t)r->params.orcpt.len,
            .class_len = (uint16_t)r->class_name.len,
            .state = (uint8_t)r->state,
            .notify = r->params.notify,
        };
        memcpy(to, &head, sizeof(head));
        to = put(to + sizeof(head), r->address);
        to = put(to, r->params.orcpt);
        to = put(to, r->class_name);
    }
}

struct record_extent *record_commit_extents(uint8_t *payload)
{
    return (struct record_extent *)(void *)(payload + sizeof(struct commit_fixed));
}

static bool rcpt_read(struct slice rcpts, size_t *cursor, struct spool_rcpt *ret_rcpt)
{
    struct slice in = slice_from(rcpts, *cursor);
    struct commit_rcpt head;
    if (in.len < sizeof(head))
        return false;
    memcpy(&head, in.ptr, sizeof(head));
    size_t texts = (size_t)head.address_len + head.orcpt_len + head.class_len;
    if (texts > in.len - sizeof(head) ||
        (head.state < SPOOL_RCPT_ACTIVE || head.state > SPOOL_RCPT_WAITING))
        return false;
    const uint8_t *at = in.ptr + sizeof(head);
    *ret_rcpt = (struct spool_rcpt){
        .address = slice_of(at, head.address_len),
        .params = {.notify = head.notify, .orcpt = slice_of(at + head.address_len, head.orcpt_len)},
        .class_name = slice_of(at + head.address_len + head.orcpt_len, head.class_len),
        .state = (enum spool_rcpt_state)head.state,
    };
    *cursor += sizeof(head) + texts;
    return true;
}

static bool rcpts_check(struct record_commit *c)
{
    size_t cursor = 0;
    struct spool_rcpt rcpt;
    for (uint32_t i = 0; i < c->envelope.rcpt_count; i++) {
        if (!rcpt_read(c->rcpts, &cursor, &rcpt))
            return false;
        c->held_count += rcpt.state == SPOOL_RCPT_HELD;
        c->waiting_count += rcpt.state == SPOOL_RCPT_WAITING;
    }
    return cursor == c->rcpts.len;
}

static void envelope_from(const struct commit_fixed *f, const struct slice texts[TEXT_COUNT],
                          struct spool_envelope *e)
{
    *e = (struct spool_envelope){
        .received_at = f->received_at,
        .reverse_path = texts[TEXT_REVERSE_PATH],
        .mail = {.has_size = (f->bits & COMMIT_HAS_SIZE) != 0,
                 .size = f->mail_size,
                 .body = (enum param_body)f->mail_body,
                 .smtputf8 = (f->bits & COMMIT_SMTPUTF8) != 0,
                 .dialects = dialects_of(f->bits),
                 .ret = (enum param_ret)f->mail_ret,
                 .envid = texts[TEXT_ENVID]},
        .helo = texts[TEXT_HELO],
        .client = texts[TEXT_CLIENT],
        .listener = texts[TEXT_LISTENER],
        .protocol = texts[TEXT_PROTOCOL],
        .trace = texts[TEXT_TRACE],
        .message_id = texts[TEXT_MESSAGE_ID],
        .flags = f->flags,
        .score = f->score,
        .hash = {f->hash[0], f->hash[1]},
        .content_bytes = f->content_bytes,
        .rcpt_count = f->rcpt_count,
    };
}

static uint64_t fixed_length(const struct commit_fixed *f)
{
    uint64_t total = sizeof(*f) + (uint64_t)f->extent_count * sizeof(struct record_extent);
    for (unsigned i = 0; i < TEXT_COUNT; i++)
        total += f->text_len[i];
    return total + f->rcpt_bytes;
}

uint64_t record_commit_length(struct slice bytes)
{
    struct commit_fixed f;
    if (bytes.len < sizeof(f))
        return UINT64_MAX;
    memcpy(&f, bytes.ptr, sizeof(f));
    return fixed_length(&f);
}

bool record_commit_decode(struct slice payload, struct record_commit *ret_commit)
{
    struct commit_fixed f;
    if (payload.len < sizeof(f))
        return false;
    memcpy(&f, payload.ptr, sizeof(f));
    if (f.mail_body > PARAM_BODY_BINARYMIME || f.mail_ret > PARAM_RET_HDRS ||
        (f.bits & ~(unsigned)COMMIT_BITS) != 0 || f.zero != 0 || f.queue_id == 0)
        return false;
    if (fixed_length(&f) != payload.len)
        return false;
    uint64_t text_at = sizeof(f) + (uint64_t)f.extent_count * sizeof(struct record_extent);
    struct slice texts[TEXT_COUNT];
    for (unsigned i = 0; i < TEXT_COUNT; i++) {
        texts[i] = slice_of(payload.ptr + text_at, f.text_len[i]);
        text_at += f.text_len[i];
    }
    struct record_commit c = {
        .queue_id = f.queue_id,
        .content_check = f.content_check,
        .extents = payload.ptr + sizeof(f),
        .extent_count = f.extent_count,
        .rcpts = slice_of(payload.ptr + text_at, f.rcpt_bytes),
    };
    envelope_from(&f, texts, &c.envelope);
    if (!rcpts_check(&c))
        return false;
    *ret_commit = c;
    return true;
}

struct record_extent record_commit_extent(const struct record_commit *c, uint32_t extent_idx)
{
    ASSERT(extent_idx < c->extent_count);
    struct record_extent e;
    memcpy(&e, c->extents + (size_t)extent_idx * sizeof(e), sizeof(e));
    return e;
}

bool record_commit_rcpt(const struct record_commit *c, size_t *cursor, struct spool_rcpt *ret_rcpt)
{
    if (*cursor >= c->rcpts.len)
        return false;
    bool is_read = rcpt_read(c->rcpts, cursor, ret_rcpt);
    ASSERT(is_read); /* record_commit_decode() has been through all of them */
    return true;
}
