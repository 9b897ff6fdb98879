/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_wire.c - owns the octets between the ends.
 *
 * Octets are copied into segments once, and read where they are. A segment makes one event; what is
 * sent while the last one has not arrived and would arrive at the same time joins it.
 */
#include "lab/sim_wire.h"
#include <errno.h>

static bool is_slow(const struct sim *sim)
{
    return lab_faults_have(&sim->point->faults, LAB_CUT_SLOW) && sim->point->faults.bytes_per_s > 0;
}

static clock_ns time_of(const struct sim *sim, size_t len)
{
    if (!is_slow(sim))
        return 0;
    double s = (double)len / (double)sim->point->faults.bytes_per_s;
    return (clock_ns)(s * (double)NS_PER_S);
}

/* When @len more octets have left. */
static clock_ns leave(const struct sim *sim, struct sim_pipe *p, size_t len)
{
    p->busy_until = u64_max(p->busy_until, sim->now) + time_of(sim, len);
    return p->busy_until;
}

clock_ns sim_wire_taken_at(const struct sim *sim, const struct sim_conn *c, enum sim_way way)
{
    clock_ns ahead_ns = time_of(sim, SIM_WIRE_AHEAD_BYTES);
    clock_ns busy_until = c->pipes[way].busy_until;
    return busy_until > sim->now + ahead_ns ? busy_until - ahead_ns : sim->now;
}

/* What is sent later does not arrive earlier. */
static struct sim_segment *append(struct sim *sim, struct sim_conn *c, enum sim_way way,
                                  enum sim_mark mark, clock_ns at)
{
    struct sim_pipe *p = &c->pipes[way];
    at = p->tail != NULL ? u64_max(at, p->tail->at) : at;
    struct sim_segment *s = pool_take(&sim->segments);
    if (s == NULL) {
        sim_fail(sim, -ENOMEM);
        return NULL;
    }
    s->next = NULL;
    s->at = at;
    s->len = s->offset = 0;
    s->mark = mark;
    if (p->tail != NULL)
        p->tail->next = s;
    else
        p->head = s;
    p->tail = s;
    sim_push(sim, c, SIM_DELIVER, way, SIM_RANK_WIRE, at - sim->now);
    return s;
}

void sim_wire_connect(struct sim *sim, struct sim_conn *c)
{
    clock_ns at = sim->now + 3 * sim->point->faults.one_way_ns;
    (void)append(sim, c, SIM_UP, SIM_MARK_SYN, at);
}

static struct sim_segment *segment_for(struct sim *sim, struct sim_conn *c, enum sim_way way,
                                       clock_ns at)
{
    struct sim_segment *last = c->pipes[way].tail;
    if (last != NULL && last->at == at && last->mark == SIM_MARK_NONE &&
        last->len < SIM_SEGMENT_BYTES)
        return last;
    return append(sim, c, way, SIM_MARK_NONE, at);
}

bool sim_wire_send(struct sim *sim, struct sim_conn *c, enum sim_way way, struct slice bytes)
{
    struct sim_pipe *p = &c->pipes[way];
    ASSERT(!p->has_fin);
    if (p->is_refused)
        return false;
    p->sent += bytes.len;
    while (bytes.len > 0 && !c->is_silent && !c->is_cut) {
        size_t len = size_min(bytes.len, SIM_SEGMENT_BYTES);
        clock_ns at = leave(sim, p, len) + sim->point->faults.one_way_ns;
        struct sim_segment *s = segment_for(sim, c, way, at);
        if (s == NULL)
            return true;
        len = size_min(len, SIM_SEGMENT_BYTES - s->len);
        memcpy(s->bytes + s->len, bytes.ptr, len);
        s->len += (uint32_t)len;
        p->queued_bytes += (uint32_t)len;
        bytes = slice_from(bytes, len);
    }
    return true;
}

void sim_wire_finish(struct sim *sim, struct sim_conn *c, enum sim_way way)
{
    struct sim_pipe *p = &c->pipes[way];
    if (p->has_fin)
        return;
    p->has_fin = true;
    if (c->is_silent || c->is_cut || p->is_refused)
        return;
    (void)append(sim, c, way, SIM_MARK_FIN, leave(sim, p, 0) + sim->point->faults.one_way_ns);
}

/* The receiver of @way has closed: what comes for it is answered so. */
static void refuse(struct sim *sim, struct sim_conn *c, enum sim_way way)
{
    enum sim_way back = way == SIM_UP ? SIM_DOWN : SIM_UP;
    if (!c->is_silent && !c->is_cut)
        (void)append(sim, c, back, SIM_MARK_RST, sim->now + sim->point->faults.one_way_ns);
}

bool sim_wire_deliver(struct sim *sim, struct sim_conn *c, enum sim_way way,
                      enum sim_mark *ret_mark)
{
    struct sim_pipe *p = &c->pipes[way];
    struct sim_segment *s = p->head;
    bool is_open = way == SIM_DOWN ? c->client.is_open : c->server.is_open;
    if (s == NULL)
        return false; /* it was dropped */
    ASSERT(s->at == sim->now);
    p->head = s->next;
    if (p->head == NULL)
        p->tail = NULL;
    s->next = NULL;
    *ret_mark = s->mark;
    p->queued_bytes -= s->len;
    if (s->mark == SIM_MARK_RST)
        c->pipes[way == SIM_UP ? SIM_DOWN : SIM_UP].is_refused = true;
    if (!is_open && s->mark != SIM_MARK_SYN) {
        if (s->len > 0)
            refuse(sim, c, way);
        pool_give(&sim->segments, s);
        return false;
    }
    if (s->mark != SIM_MARK_NONE) {
        pool_give(&sim->segments, s);
        return true;
    }
    p->delivered += s->len;
    if (p->in_tail != NULL)
        p->in_tail->next = s;
    else
        p->in_head = s;
    p->in_tail = s;
    return true;
}

static void give_all(struct sim *sim, struct sim_segment **head, struct sim_segment **tail)
{
    while (*head != NULL) {
        struct sim_segment *s = *head;
        *head = s->next;
        pool_give(&sim->segments, s);
    }
    *tail = NULL;
}

void sim_wire_drop(struct sim *sim, struct sim_conn *c)
{
    for (unsigned way = 0; way < 2; way++) {
        struct sim_pipe *p = &c->pipes[way];
        for (const struct sim_segment *s = p->in_head; s != NULL; s = s->next)
            p->delivered -= s->len - s->offset;
        give_all(sim, &p->head, &p->tail);
        give_all(sim, &p->in_head, &p->in_tail);
        p->queued_bytes = 0;
    }
}

struct slice sim_wire_peek(const struct sim_pipe *p)
{
    const struct sim_segment *s = p->in_head;
    return s == NULL ? SLICE_EMPTY : slice_of(s->bytes + s->offset, s->len - s->offset);
}

void sim_wire_consume(struct sim *sim, struct sim_pipe *p, size_t len)
{
    struct sim_segment *s = p->in_head;
    if (s == NULL)
        return;
    s->offset += (uint32_t)len;
    ASSERT(s->offset <= s->len);
    if (s->offset < s->len)
        return;
    p->in_head = s->next;
    if (p->in_head == NULL)
        p->in_tail = NULL;
    pool_give(&sim->segments, s);
}

bool sim_wire_join(struct sim *sim, struct sim_pipe *p)
{
    struct sim_segment *s = p->in_head;
    struct sim_segment *next = s != NULL ? s->next : NULL;
    if (next == NULL)
        return false;
    s->len -= s->offset;
    memmove(s->bytes, s->bytes + s->offset, s->len);
    s->offset = 0;
    size_t len = size_min(next->len - next->offset, SIM_SEGMENT_BYTES - s->len);
    memcpy(s->bytes + s->len, next->bytes + next->offset, len);
    s->len += (uint32_t)len;
    next->offset += (uint32_t)len;
    if (next->offset == next->len) {
        s->next = next->next;
        if (p->in_tail == next)
            p->in_tail = s;
        pool_give(&sim->segments, next);
    }
    return len > 0;
}
