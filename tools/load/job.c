/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job.c - makes and judges tries. The memory of a job is laid out as: the struct, recipients,
 * results, positions, addresses.
 */
#include "load/job.h"
#include "base/assert.h"

#define ALIGN 16

static size_t after_job(void)
{
    return ALIGN_UP(sizeof(struct job), ALIGN);
}

size_t job_bytes(const struct job_shape *shape)
{
    size_t rcpt_bytes = sizeof(struct client_rcpt) + sizeof(struct client_result) +
                        sizeof(uint32_t) + shape->address_bytes_max;
    return after_job() + shape->rcpt_count_max * rcpt_bytes + shape->address_bytes_max + 4 * ALIGN;
}

static void lay_out(struct job *j, const struct job_shape *shape)
{
    uint8_t *at = (uint8_t *)j + after_job();
    j->rcpts = (struct client_rcpt *)(void *)at;
    at += ALIGN_UP(shape->rcpt_count_max * sizeof(struct client_rcpt), ALIGN);
    j->results = (struct client_result *)(void *)at;
    at += ALIGN_UP(shape->rcpt_count_max * sizeof(struct client_result), ALIGN);
    j->rcpt_idxs = (uint32_t *)(void *)at;
    at += ALIGN_UP(shape->rcpt_count_max * sizeof(uint32_t), ALIGN);
    j->addresses = at;
}

static bool is_open(const uint64_t *open, uint32_t idx)
{
    return open == NULL || (open[idx / 64] >> (idx % 64) & 1) != 0;
}

void job_make(struct job *j, const struct job_shape *shape, const struct message_set *set,
              uint64_t seq, uint32_t attempt, const uint64_t *open)
{
    memset(j, 0, offsetof(struct job, message));
    lay_out(j, shape);
    j->seq = seq;
    j->attempt = attempt;
    j->cause = ATTEMPT_CAUSE_REPLY;
    j->phase = CLIENT_PHASE_IDLE;
    j->sent = ATTEMPT_SENT_NONE;
    j->replies_seen = j->replies_due = 0;
    j->dialect = DIALECT_COUNT;
    j->was_opened = j->has_block = false;
    struct buf head = buf_over(j->head, sizeof(j->head));
    message_make(set, seq, &head, &j->message);
    ASSERT(j->message.rcpt_count <= shape->rcpt_count_max);
    j->rcpt_total = j->message.rcpt_count;

    struct buf addresses =
        buf_over(j->addresses, (size_t)shape->address_bytes_max * (shape->rcpt_count_max + 1));
    message_address(set, seq, UINT32_MAX, &addresses);
    j->envelope = (struct client_message){
        .sender = buf_slice(&addresses),
        .params = {.smtputf8 = j->message.is_smtputf8,
                   .body = j->message.is_8bit ? PARAM_BODY_8BITMIME : PARAM_BODY_7BIT},
        .rcpts = j->rcpts,
        .content = j->message.content,
        .content_count = j->message.content_count,
        .is_plain = j->message.is_plain,
    };
    for (uint32_t i = 0; i < j->rcpt_total; i++) {
        if (!is_open(open, i))
            continue;
        size_t start = addresses.len;
        message_address(set, seq, i, &addresses);
        j->rcpts[j->rcpt_count] =
            (struct client_rcpt){.address = slice_of(addresses.ptr + start, addresses.len - start)};
        j->rcpt_idxs[j->rcpt_count++] = i;
    }
    ASSERT(!addresses.is_full);
    j->envelope.rcpt_count = j->rcpt_count;
    memset(j->results, 0, j->rcpt_count * sizeof(*j->results));
}

void job_fail(struct job *j, enum client_phase phase, uint16_t code, const uint16_t enhanced[3])
{
    for (uint32_t i = 0; i < j->rcpt_count; i++) {
        struct client_result *result = &j->results[i];
        bool is_decided = result->fate != CLIENT_FATE_OPEN && result->code != 0;
        if (is_decided)
            continue;
        result->fate = code / 100 == 5 ? CLIENT_FATE_FAIL : CLIENT_FATE_REQUEUE;
        result->phase = phase;
        result->code = code;
        if (enhanced != NULL)
            memcpy(result->enhanced, enhanced, sizeof(result->enhanced));
    }
}

enum attempt_fate job_fate(const struct job *j, uint32_t pos)
{
    ASSERT(pos < j->rcpt_count);
    const struct client_result *result = &j->results[pos];
    switch (result->fate) {
    case CLIENT_FATE_DONE:
        return ATTEMPT_ACCEPTED;
    case CLIENT_FATE_FAIL:
        return ATTEMPT_REFUSED;
    case CLIENT_FATE_OPEN:
    case CLIENT_FATE_REQUEUE:
        return result->code == 0 ? ATTEMPT_UNKNOWN : ATTEMPT_DEFERRED;
    }
    UNREACHABLE();
}
