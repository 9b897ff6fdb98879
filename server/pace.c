/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace.c - which replies leave together, and replies that leave with the commit.
 *
 * Pacing: the session formats all that is ready (tick), holds back what follows the opening of a
 * block until its end is ready (batch), or gives one reply at a time, of which each becomes a send
 * of its own (eager). The ends of the parts stand at the end of the chunk that holds the bytes.
 *
 * Linked replies: the kernel sends them itself once the sync has succeeded. So they have to be
 * known before: a copy of the session is told that the message is stored. This is the one place
 * where a success is formatted without the spool's proof, and nothing but ring_send_after_write()
 * may get those bytes: what the link guarantees takes the place of the proof (P1). The session
 * learns of the outcome as always, by txn_on_outcome(), and says the same again; pace_reconcile()
 * asserts that.
 *
 * Between the two nothing may be added to what the session will say first, so no block is opened
 * and no sign of life given meanwhile (budget.c looks at c->output). What is ready before the
 * commit does not wait for it: such a message is answered as with split.
 */
#include "pace.h"
#include "conn.h"
#include "shard.h"
#include "txn.h"
#include "base/assert.h"
#include <string.h>

#define ENDS_BYTES (RING_PARTS_MAX * sizeof(uint16_t))
#define EAGER_ROOM ((CHUNK_ROOM_MAX - ENDS_BYTES) / sizeof(uint16_t) * sizeof(uint16_t))
static_assert(CHUNK_BYTES <= UINT16_MAX, "the end of a part");
static_assert(EAGER_ROOM >= SESSION_OUTPUT_BYTES_MIN, "the longest reply");
static_assert(RING_PARTS_MAX <= UINT8_MAX, "conn.out_parts");

/* --- pacing --------------------------------------------------------------------------------- */

size_t pace_room(enum pacing pacing)
{
    return pacing == PACING_EAGER ? EAGER_ROOM : CHUNK_ROOM_MAX;
}

static uint16_t *ends_of(struct chunk *out)
{
    return (uint16_t *)(void *)(out->bytes + EAGER_ROOM);
}

static bool output_one_by_one(struct session *s, struct chunk *out, struct buf *b,
                              uint8_t *part_count)
{
    uint16_t *ends = ends_of(out);
    while (*part_count < RING_PARTS_MAX) {
        size_t before = b->len;
        bool is_complete = session_output_paced(s, b, SESSION_PACE_ONE);
        if (b->len > before)
            ends[(*part_count)++] = (uint16_t)b->len;
        if (is_complete || b->len == before)
            return is_complete;
    }
    return false;
}

bool pace_output(enum pacing pacing, struct session *s, struct chunk *out, uint8_t *part_count)
{
    struct buf b = buf_over(out->bytes, pace_room(pacing));
    bool is_complete = false;
    b.len = out->len;
    switch (pacing) {
    case PACING_TICK:
        is_complete = session_output(s, &b);
        break;
    case PACING_BATCH:
        is_complete = session_output_paced(s, &b, SESSION_PACE_WHOLE);
        break;
    case PACING_EAGER:
        is_complete = output_one_by_one(s, out, &b, part_count);
        break;
    }
    out->len = (uint32_t)b.len;
    return is_complete;
}

void pace_send(struct ring *ring, int32_t file, struct chunk *out, uint8_t part_count,
               struct ring_token token)
{
    struct slice bytes = slice_of(out->bytes, out->len);
    if (part_count > 1)
        ring_send_parts(ring, file, bytes, ends_of(out), part_count, token);
    else
        ring_send_quiet(ring, file, bytes, token);
}

/* --- replies linked to the commit ----------------------------------------------------------- */

/* What the client of @t will be told when it is stored, into @out; false: nothing can be linked. */
static bool foretell(struct shard *sh, struct txn *t, struct chunk *out, uint8_t *part_count)
{
    const struct session *now = &t->conn->session;
    enum pacing pacing = t->conn->listener->options->pacing;
    struct session later;
    if (t->rcpt_count > PACE_ENTRIES_MAX)
        return false;
    session_copy(&later, now, sh->entry_scratch);
    (void)pace_output(pacing, &later, out, part_count);
    if (out->len > 0) /* it does not have to wait for the disk */
        return false;
    txn_foretell(t, &later, sh->entry_scratch);
    (void)pace_output(pacing, &later, out, part_count);
    return out->len > 0;
}

static void link_reply(struct shard *sh, struct txn *t)
{
    struct conn *c = t->conn;
    uint8_t part_count = 0;
    if (c == NULL || t->state != TXN_COMMITTING || c->state != CONN_OPEN ||
        c->output != CONN_OUTPUT_FREE || c->out != NULL)
        return;
    struct chunk *out = chunk_take_spare(&sh->chunks);
    if (out == NULL)
        return;
    bool is_linked = foretell(sh, t, out, &part_count);
    if (is_linked) {
        uint16_t whole = (uint16_t)out->len;
        const uint16_t *ends = part_count > 0 ? ends_of(out) : &whole;
        struct ring_token token = conn_token(sh, c, RING_SEND);
        is_linked = ring_send_after_write(sh->ring, c->file, slice_of(out->bytes, out->len), ends,
                                          part_count > 0 ? part_count : 1, token);
    }
    if (!is_linked) {
        chunk_unref(&sh->chunks, out);
        return;
    }
    c->out = out;
    c->output = CONN_OUTPUT_LINKED;
    c->ops_count++;
    t->message.is_promised = true;
}

void pace_link_replies(struct shard *sh)
{
    struct spool_message *m;
    while ((m = spool_next_asked(sh->spool)) != NULL)
        link_reply(sh, CONTAINER_OF(m, struct txn, message));
}

void pace_landed(struct shard *sh, struct conn *c, int32_t res)
{
    ASSERT(c->output == CONN_OUTPUT_LINKED && c->out != NULL && c->out_sent == 0);
    if (res > 0) {
        ASSERT((uint32_t)res <= c->out->len);
        c->out_sent = (uint32_t)res;
        c->output = CONN_OUTPUT_AHEAD;
        metrics_add(&sh->metrics, METRIC_BYTES_SENT, (uint64_t)res);
        return;
    }
    /* Not written in full, not synced, or not taken: what is true is said when it is known. */
    c->output = CONN_OUTPUT_FREE;
    conn_out_give(sh, c);
    if (c->txn != NULL)
        c->txn->message.is_promised = false;
}

void pace_reconcile(struct shard *sh, struct conn *c, struct chunk *fresh)
{
    ASSERT(c->out_sent > 0 && c->out_sent <= fresh->len);
    bool is_foretold = memcmp(c->out->bytes, fresh->bytes, c->out_sent) == 0;
    ASSERT(is_foretold);
    chunk_unref(&sh->chunks, c->out);
    c->out = fresh;
    c->output = CONN_OUTPUT_FREE;
}
