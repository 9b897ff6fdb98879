/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_pipe.c - owns octets under way: a ring of them, and a ring of pieces that says when which of
 * them arrive. Pieces arrive in the order in which they were put.
 */
#include "lab/live_pipe.h"
#include "base/assert.h"

void live_pipe_init(struct live_pipe *p, const struct live_link *link)
{
    p->link = link;
    p->busy_until = 0;
    p->end_at = CLOCK_NEVER;
    p->head = p->len = 0;
    p->first = p->count = 0;
}

static struct live_piece *piece_at(struct live_pipe *p, uint32_t idx)
{
    return &p->pieces[(p->first + idx) % LIVE_PIPE_PIECES];
}

/* When @len more octets have left. */
static clock_ns leave(struct live_pipe *p, size_t len, clock_ns now)
{
    double ns = p->link->bytes_per_s > 0 ? (double)len * 1e9 / p->link->bytes_per_s : 0;
    p->busy_until = u64_max(p->busy_until, now) + (clock_ns)ns;
    return p->busy_until;
}

size_t live_pipe_room(struct live_pipe *p, uint8_t **ret_at)
{
    if (p->len == 0)
        p->head = 0; /* memory that was touched is used again */
    uint32_t at = (p->head + p->len) % LIVE_PIPE_BYTES;
    uint32_t upto = at < p->head ? p->head : LIVE_PIPE_BYTES;
    *ret_at = p->bytes + at;
    if (p->count == LIVE_PIPE_PIECES || p->len == LIVE_PIPE_BYTES)
        return 0;
    return size_min(upto - at, LIVE_PIPE_PIECE_BYTES_MAX);
}

void live_pipe_put(struct live_pipe *p, size_t len, clock_ns now)
{
    uint8_t *at;
    ASSERT(len > 0 && len <= live_pipe_room(p, &at));
    ASSERT(p->end_at == CLOCK_NEVER);
    clock_ns arrives_at = leave(p, len, now) + p->link->delay_ns;
    p->len += (uint32_t)len;
    struct live_piece *last = p->count > 0 ? piece_at(p, p->count - 1) : NULL;
    if (last != NULL && last->at == arrives_at)
        last->len += (uint32_t)len;
    else
        *piece_at(p, p->count++) = (struct live_piece){arrives_at, (uint32_t)len};
}

void live_pipe_end(struct live_pipe *p, clock_ns now)
{
    if (p->end_at == CLOCK_NEVER)
        p->end_at = leave(p, 0, now) + p->link->delay_ns;
}

clock_ns live_pipe_due(const struct live_pipe *p)
{
    return p->count > 0 ? p->pieces[p->first].at : p->end_at;
}

struct slice live_pipe_peek(const struct live_pipe *p, clock_ns now)
{
    uint32_t len = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct live_piece *piece = &p->pieces[(p->first + i) % LIVE_PIPE_PIECES];
        if (piece->at > now)
            break;
        len += piece->len;
    }
    return slice_of(p->bytes + p->head, size_min(len, LIVE_PIPE_BYTES - p->head));
}

void live_pipe_take(struct live_pipe *p, size_t len)
{
    ASSERT(len <= p->len);
    p->head = (p->head + (uint32_t)len) % LIVE_PIPE_BYTES;
    p->len -= (uint32_t)len;
    while (len > 0) {
        struct live_piece *piece = piece_at(p, 0);
        size_t part = size_min(len, piece->len);
        ASSERT(p->count > 0);
        piece->len -= (uint32_t)part;
        len -= part;
        if (piece->len > 0)
            break;
        p->first = (p->first + 1) % LIVE_PIPE_PIECES;
        p->count--;
    }
}

bool live_pipe_has_ended(const struct live_pipe *p, clock_ns now)
{
    return p->count == 0 && p->end_at <= now;
}
