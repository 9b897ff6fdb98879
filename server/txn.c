/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn.c - the life of one message between MAIL and its last reply.
 *
 *   ENVELOPE --DATA/BDAT--> CONTENT --end--> COMMITTING --outcome--> REPLYING --formatted--> free
 *       |                      |  \              ^  (nobody accepted: straight to REPLYING)
 *       |                      |   +-> WORKING --+  (work.c, where deciding takes time)
 *       +-------- abort -------+----> free, or DRAINING while the spool borrows memory
 *
 * Invariants
 * - A recipient is accepted (2xx) only in txn_reply_stored(), with the spool's proof, or when its
 *   class says discard, where nothing is owed.
 * - Body bytes have one owner: parts[] here (each part holds one pin), then the spool. They are
 *   copied only when the share of a receive buffer is too small to be worth holding
 *   (TXN_PIN_BYTES_MIN), when buffers run short, or when parts[] is full.
 * - Bodies, here and in the spool together, never hold the last sh->buffers_reserved receive
 *   buffers once a turn's events have been handled: what comes when only these are left is copied
 *   into chunks, its sender is stopped, and when there are no chunks either, the message is
 * refused.
 * - Once storing has failed, or the message is too big, content is scanned on and dropped, so that
 *   the session stays in step (CORE-43).
 */
#include "txn.h"
#include "conn.h"
#include "budget.h"
#include "doubt.h"
#include "shard.h"
#include "txnlog.h"
#include "work.h"
#include "base/assert.h"
#include "obs/trace.h"
#include <string.h>

static const uint32_t rcpt_table_caps[TXN_RCPT_TABLE_COUNT] = {128, 1024, RCPT_COUNT_HARD_MAX};

size_t txn_rcpt_table_bytes(uint32_t table_idx)
{
    return rcpt_table_caps[table_idx] *
           (sizeof(struct txn_rcpt) + sizeof(struct session_entry) + sizeof(struct policy_verdict));
}

static bool rcpts_grow(struct shard *sh, struct txn *t)
{
    uint32_t table_idx = 0;
    while (table_idx < TXN_RCPT_TABLE_COUNT && rcpt_table_caps[table_idx] <= t->rcpt_cap)
        table_idx++;
    if (table_idx == TXN_RCPT_TABLE_COUNT)
        return false;
    struct txn_rcpt *rcpts = pool_take(&sh->rcpt_tables[table_idx]);
    if (rcpts == NULL)
        return false;
    uint32_t cap = rcpt_table_caps[table_idx];
    memcpy(rcpts, t->rcpts, t->rcpt_count * sizeof(*rcpts));
    if (table_idx > 0)
        pool_give(&sh->rcpt_tables[table_idx - 1], t->rcpts);
    t->rcpts = rcpts;
    t->entries = (struct session_entry *)(void *)(rcpts + cap);
    t->verdicts = (struct policy_verdict *)(void *)(t->entries + cap);
    t->rcpt_cap = cap;
    return true;
}

static void rcpts_give(struct shard *sh, struct txn *t)
{
    for (uint32_t i = 0; i < TXN_RCPT_TABLE_COUNT; i++)
        if (t->rcpt_cap == rcpt_table_caps[i])
            pool_give(&sh->rcpt_tables[i], t->rcpts);
    t->rcpts = t->rcpts_inline;
    t->rcpt_cap = TXN_RCPTS_INLINE;
}

/* A copy of @s that lives as long as the transaction; false when memory for it is used up. */
static bool txn_copy(struct shard *sh, struct txn *t, struct slice s, struct slice *ret_copy)
{
    if (s.len == 0) {
        *ret_copy = SLICE_EMPTY;
        return true;
    }
    if (arena_copy(&t->arena, s, ret_copy))
        return true;
    if (t->arena_chunk_count == ARRAY_COUNT(t->arena_chunks) || s.len > CHUNK_ROOM_MAX)
        return false;
    struct chunk *c = chunk_take_spare(&sh->chunks);
    if (c == NULL)
        return false;
    t->arena_chunks[t->arena_chunk_count++] = c;
    arena_init(&t->arena, c->bytes, CHUNK_ROOM_MAX);
    return arena_copy(&t->arena, s, ret_copy);
}

static void txn_free(struct shard *sh, struct txn *t)
{
    ASSERT(t->part_count == 0);
    ASSERT(t->message.writes_pending == 0);
    ASSERT_SLOW(list_is_empty(&t->link) && list_is_empty(&t->sending));
    if (t->rules != NULL)
        rules_stream_give(t->rules_worker, t->rules);
    if (t->tail != NULL)
        chunk_unref(&sh->chunks, t->tail);
    for (uint32_t i = 0; i < t->arena_chunk_count; i++)
        chunk_unref(&sh->chunks, t->arena_chunks[i]);
    rcpts_give(sh, t);
    shard_epoch_give(sh, t->epoch);
    pool_give(&sh->txns, t);
}

struct txn *txn_new(struct shard *sh, struct conn *c, const struct session_event *ev)
{
    struct txn *t = pool_take(&sh->txns);
    if (t == NULL) {
        metrics_add(&sh->metrics, METRIC_POOL_EMPTY, 1);
        return NULL;
    }
    memset(t, 0, offsetof(struct txn, arena_chunks));
    list_init(&t->link);
    list_init(&t->sending);
    timer_init(&t->timer, SHARD_OWNER_TXN);
    t->conn = c;
    t->epoch = shard_epoch_take(sh);
    t->rcpts = t->rcpts_inline;
    t->entries = t->entries_inline;
    t->verdicts = t->verdicts_inline;
    t->listener = c->listener->options;
    t->size_max = t->listener->session.size_max;
    t->rcpt_cap = TXN_RCPTS_INLINE;
    arena_init(&t->arena, t->arena_first, sizeof(t->arena_first));
    t->mail = ev->mail;
    t->phases.mail = ring_now(sh->ring);
    t->received_at = ring_wall(sh->ring);
    if (!txn_copy(sh, t, ev->path.whole, &t->reverse_path) ||
        !txn_copy(sh, t, ev->mail.envid, &t->mail.envid)) {
        txn_free(sh, t);
        return NULL;
    }
    metrics_add(&sh->metrics, METRIC_TXNS_STARTED, 1);
    return t;
}

static struct answer rcpt_decide(struct txn *t, const struct conn *c,
                                 const struct session_event *ev, struct policy_rcpt *decision)
{
    const struct policy *p = t->epoch->policy;
    *decision = policy_rcpt(p, &ev->path, t->mail.has_size ? t->mail.size : 0);
    if (c->listener->options->mixed == POLICY_MIXED_ONE_CLASS &&
        session_has_one_reply(&c->session) && !t->is_naming)
        return policy_one_class_answer(decision, t->rcpt_count, t->rcpts[0].class_idx);
    if (status_is_success(decision->answer.status) && session_may_decide_later(&c->session) &&
        policy_decides_later(policy_class(p, decision->class_idx)))
        return ANSWER(STATUS_RCPT_LATER); /* DEF-5; of the others 250 is the last word (DEF-6) */
    if (status_is_success(decision->answer.status) && t->is_naming) {
        struct policy_verdict v =
            policy_verdict(policy_class(p, decision->class_idx), &t->result, &t->hits);
        if (v.action == POLICY_REJECT || v.action == POLICY_DEFER)
            return v.answer; /* OTH-5: the content is known */
    }
    return decision->answer;
}

void txn_rcpt_refused(struct shard *sh, struct txn *t, struct slice rcpt, struct answer answer)
{
    t->rcpts_refused++;
    txnlog_rcpt_refused(sh, t, rcpt, answer);
}

struct answer txn_rcpt(struct shard *sh, struct txn *t, const struct session_event *ev)
{
    struct policy_rcpt decision;
    struct answer answer = rcpt_decide(t, t->conn, ev, &decision);
    if (!status_is_success(answer.status) && answer.status != STATUS_RCPT_LATER) {
        txn_rcpt_refused(sh, t, ev->path.whole, answer);
        return answer;
    }
    struct txn_rcpt *rcpt = NULL;
    if (t->rcpt_count < t->rcpt_cap || rcpts_grow(sh, t))
        rcpt = &t->rcpts[t->rcpt_count];
    if (rcpt == NULL || !txn_copy(sh, t, ev->path.whole, &rcpt->address) ||
        !txn_copy(sh, t, ev->rcpt.orcpt, &rcpt->orcpt)) {
        metrics_add(&sh->metrics, METRIC_POOL_EMPTY, 1);
        txn_rcpt_refused(sh, t, ev->path.whole, ANSWER(STATUS_TOO_MANY_RCPTS));
        return ANSWER(STATUS_TOO_MANY_RCPTS);
    }
    rcpt->class_idx = decision.class_idx;
    rcpt->rcpt_code = answer.code != 0 ? answer.code : status_row(answer.status)->code;
    rcpt->notify = ev->rcpt.notify;
    t->rcpt_count++;
    return answer;
}

struct answer txn_answer_for_outcome(enum spool_outcome outcome)
{
    switch (outcome) {
    case SPOOL_FULL:
        return ANSWER(STATUS_STORE_FULL); /* CORE-20: 452 4.3.1 */
    case SPOOL_FAILED:
        return ANSWER(STATUS_STORE_FAILED);
    case SPOOL_PENDING:
    case SPOOL_STORED:
        break;
    }
    return ANSWER(STATUS_NONE);
}

struct answer txn_begin_content(struct shard *sh, struct txn *t)
{
    struct rules_stream *rules = rules_stream_take(sh->rules);
    if (rules == NULL) {
        metrics_add(&sh->metrics, METRIC_POOL_EMPTY, 1);
        return ANSWER(STATUS_NO_RESOURCES);
    }
    enum spool_outcome outcome =
        spool_begin(sh->spool, &t->message, t->mail.has_size ? t->mail.size : 0);
    if (outcome != SPOOL_PENDING) {
        rules_stream_give(sh->rules, rules);
        return txn_answer_for_outcome(outcome);
    }
    t->spool_begun = true;
    t->rules = rules;
    t->rules_worker = sh->rules;
    struct scan_options options = session_scan_options(&t->conn->session);
    options.key = spool_dir_key(sh->options.spool_dir);
    options.rules = rules;
    scan_begin(&t->scan, &options);
    t->state = TXN_CONTENT;
    list_push(&sh->sending, &t->sending);
    t->phases.content = ring_now(sh->ring);
    return ANSWER(STATUS_NONE);
}

/* --- body parts --------------------------------------------------------------------------- */

static void parts_drop(struct txn *t)
{
    for (uint32_t i = 0; i < t->part_count; i++)
        window_unpin(&t->parts[i].window);
    t->part_count = 0;
    t->part_bytes = 0;
    t->settled_count = 0;
    t->pinned_since = 0;
    if (!list_is_empty(&t->link))
        list_remove(&t->link);
}

/* Nothing more of this message will be stored; it is read to its end and refused then. */
static void content_give_up(struct shard *sh, struct txn *t, struct answer answer)
{
    parts_drop(t);
    list_remove(&t->sending);
    t->is_dropping = true;
    t->store_answer = answer;
    (void)sh;
}

void txn_hand_over(struct shard *sh, struct txn *t)
{
    if (t->part_count == 0)
        return;
    enum spool_outcome outcome = spool_append(sh->spool, &t->message, t->parts, t->part_count);
    parts_drop(t); /* the spool has pins of its own */
    if (outcome != SPOOL_PENDING)
        content_give_up(sh, t, txn_answer_for_outcome(outcome));
}

/* Room for @len more bytes in chunks, so that part_copy() cannot fail half way. */
static bool tail_reserve(struct shard *sh, struct txn *t, size_t len)
{
    ASSERT(len <= CHUNK_ROOM_MAX);
    if (t->tail != NULL && CHUNK_ROOM_MAX - t->tail->len >= len)
        return true;
    struct chunk *fresh = chunk_take_bulk(&sh->chunks);
    if (fresh == NULL)
        return false;
    if (t->tail != NULL)
        chunk_unref(&sh->chunks, t->tail);
    t->tail = fresh;
    return true;
}

/* Adds a part; the pin that it needs is taken here. There is room in parts[]. */
static void part_add(struct txn *t, struct slice bytes, const struct window *w)
{
    ASSERT(t->part_count < TXN_PARTS_MAX);
    window_pin(w);
    struct window own = *w;
    own.bytes = bytes;
    t->parts[t->part_count++] = (struct spool_part){bytes, own};
    t->part_bytes += bytes.len;
}

/* Copies @bytes behind what tail_reserve() made room for, joined to the part before if adjacent. */
static void part_copy(struct shard *sh, struct txn *t, struct slice bytes)
{
    struct slice copy = chunk_append(t->tail, bytes);
    ASSERT(copy.len == bytes.len);
    struct spool_part *last = t->part_count > 0 ? &t->parts[t->part_count - 1] : NULL;
    if (last != NULL && last->window.source == &sh->chunks.source &&
        last->bytes.ptr + last->bytes.len == copy.ptr) {
        last->bytes.len += copy.len;
        last->window.bytes = last->bytes;
        t->part_bytes += copy.len;
        return;
    }
    struct window w = chunk_window(&sh->chunks, t->tail, copy);
    part_add(t, copy, &w);
}

/* Moves @part into chunks, as many as it takes. When there are none, the message is given up. */
static void part_move(struct shard *sh, struct txn *t, const struct spool_part *part)
{
    struct slice left = part->bytes;
    while (left.len > 0) {
        if (t->part_count == TXN_PARTS_MAX)
            txn_hand_over(sh, t);
        if (t->is_dropping)
            return;
        if (part->window.source == &sh->chunks.source) { /* it is in one already */
            part_add(t, left, &part->window);
            return;
        }
        if (!tail_reserve(sh, t, 1)) {
            metrics_add(&sh->metrics, METRIC_POOL_EMPTY, 1);
            content_give_up(sh, t, ANSWER(STATUS_NO_RESOURCES));
            return;
        }
        size_t room = size_min(left.len, CHUNK_ROOM_MAX - t->tail->len);
        part_copy(sh, t, slice_first(left, room));
        left = slice_from(left, room);
    }
}

/* Moves what is not settled out of its receive buffer, which goes home at once. */
static void parts_move(struct shard *sh, struct txn *t)
{
    struct spool_part fresh[TXN_PARTS_MAX];
    uint32_t fresh_count = t->part_count - t->settled_count;
    memcpy(fresh, t->parts + t->settled_count, fresh_count * sizeof(*fresh));
    t->part_count = t->settled_count;
    for (uint32_t i = 0; i < fresh_count; i++)
        t->part_bytes -= fresh[i].bytes.len;
    for (uint32_t i = 0; i < fresh_count; i++) {
        if (!t->is_dropping)
            part_move(sh, t, &fresh[i]);
        window_unpin(&fresh[i].window);
    }
    metrics_add(&sh->metrics, METRIC_EVACUATIONS, 1);
}

/* parts[] is full: room for more of the window in hand. */
static void parts_make_room(struct shard *sh, struct txn *t)
{
    if (shard_buffers_are_short(sh))
        parts_move(sh, t);
    if (t->part_count >= TXN_PARTS_MAX / 2)
        txn_hand_over(sh, t);
}

void txn_body(struct shard *sh, struct txn *t, const struct slices *parts, const struct window *w)
{
    if (t->size_max > 0 && scan_content_bytes(&t->scan) > t->size_max && !t->is_dropping)
        content_give_up(sh, t, ANSWER(STATUS_TOO_BIG));
    for (uint32_t i = 0; i < parts->count && !t->is_dropping; i++) {
        struct slice bytes = parts->at[i];
        if (t->part_count == TXN_PARTS_MAX)
            parts_make_room(sh, t);
        if (t->is_dropping)
            break;
        if (bytes.len <= TXN_COPY_BYTES_MAX && t->part_count >= TXN_PARTS_MAX / 4 &&
            tail_reserve(sh, t, bytes.len))
            part_copy(sh, t, bytes);
        else
            part_add(t, bytes, w);
    }
}

void txn_settle(struct shard *sh, struct txn *t)
{
    size_t share = 0;
    for (uint32_t i = t->settled_count; i < t->part_count; i++)
        share += t->parts[i].bytes.len;
    if (share > 0 && shard_buffers_are_short(sh)) {
        parts_move(sh, t);
    } else if (share > 0 && share < TXN_PIN_BYTES_MIN && t->settled_count + 2 < TXN_PARTS_MAX &&
               tail_reserve(sh, t, share)) {
        struct spool_part fresh[TXN_PARTS_MAX];
        uint32_t fresh_count = t->part_count - t->settled_count;
        memcpy(fresh, t->parts + t->settled_count, fresh_count * sizeof(*fresh));
        t->part_count = t->settled_count;
        t->part_bytes -= share;
        for (uint32_t i = 0; i < fresh_count; i++) {
            part_copy(sh, t, fresh[i].bytes);
            window_unpin(&fresh[i].window);
        }
        share = 0;
    }
    if (share > 0 && t->part_count > 0 && t->pinned_since == 0) {
        t->pinned_since = ring_now(sh->ring);
        list_push(&sh->pinned, &t->link);
    }
    t->settled_count = t->part_count;
    if (t->part_bytes >= TXN_STREAM_BYTES)
        txn_hand_over(sh, t);
}

bool txn_must_wait(const struct shard *sh, const struct txn *t)
{
    if (t->state != TXN_CONTENT || t->is_dropping)
        return false;
    uint32_t spare = shard_buffers_spare(sh);
    uint64_t bound = u64_min(TXN_PENDING_BYTES_MAX, (uint64_t)spare * WINDOW_BYTES_MAX);
    bool is_stalled = t->conn->is_stalled;
    if (t->message.bytes_pending > (is_stalled ? bound / 2 : bound))
        return true;
    return spare <= (is_stalled ? sh->buffers_reserved : 0) && chunk_bulk_is_low(&sh->chunks);
}

void txn_evacuate(struct shard *sh, struct txn *t)
{
    metrics_add(&sh->metrics, METRIC_EVACUATIONS, 1);
    txn_hand_over(sh, t);
}

static void txn_spool_abort(struct shard *sh, struct txn *t)
{
    if (!t->spool_begun)
        return;
    t->spool_begun = false;
    t->is_draining = t->message.writes_pending > 0; /* then it comes back by spool_next_done() */
    spool_abort(sh->spool, &t->message);
}

/* --- decision, commit, replies -------------------------------------------------------------- */

void txn_make_verdicts(struct txn *t, const struct conn *c)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        if (t->whole.status != STATUS_NONE) {
            bool is_temporary = status_is_temporary(t->whole.status);
            t->verdicts[i] = (struct policy_verdict){
                .action = is_temporary ? POLICY_DEFER : POLICY_REJECT,
                .answer = t->whole,
                .reason = status_row(t->whole.status)->name,
            };
            continue;
        }
        uint16_t class_idx = t->rcpts[i].class_idx;
        if (i > 0 && class_idx == t->rcpts[i - 1].class_idx)
            t->verdicts[i] = t->verdicts[i - 1];
        else
            t->verdicts[i] =
                policy_verdict(policy_class(t->epoch->policy, class_idx), &t->result, &t->hits);
    }
    t->dialect = session_dialect(&c->session);
    t->has_one_reply = !dialect_has_list(t->dialect) && !t->is_naming; /* DRCP has told them */
}

void txn_mix_verdicts(struct txn *t)
{
    if (t->has_one_reply)
        t->is_mixed |= policy_mix(t->verdicts, t->rcpt_count, t->listener->on_refusal);
}

/* "stored as QUEUEID", unless the class has a text of its own. */
struct answer txn_accept_answer(struct txn *t, const struct policy_verdict *v)
{
    struct answer answer = v->answer;
    if (answer.text.len == 0)
        answer.text = slice_str(t->stored_text);
    return answer;
}

static void count_verdict(struct shard *sh, enum policy_action action)
{
    switch (action) {
    case POLICY_ACCEPT:
        metrics_add(&sh->metrics, METRIC_RCPTS_ACCEPTED, 1);
        break;
    case POLICY_QUARANTINE:
        metrics_add(&sh->metrics, METRIC_RCPTS_ACCEPTED, 1);
        metrics_add(&sh->metrics, METRIC_RCPTS_HELD, 1);
        break;
    case POLICY_DISCARD:
        metrics_add(&sh->metrics, METRIC_RCPTS_ACCEPTED, 1);
        metrics_add(&sh->metrics, METRIC_RCPTS_DISCARDED, 1);
        break;
    case POLICY_DEFER:
        metrics_add(&sh->metrics, METRIC_RCPTS_DEFERRED, 1);
        break;
    case POLICY_REJECT:
        metrics_add(&sh->metrics, METRIC_RCPTS_REFUSED, 1);
        break;
    }
}

void txn_defer_rcpt(struct txn *t, uint32_t rcpt_idx, struct answer answer)
{
    t->verdicts[rcpt_idx] = (struct policy_verdict){
        .action = POLICY_DEFER, .answer = answer, .reason = status_row(answer.status)->name};
}

/* The spool could not store it: who relied on that is told @failure, and where one reply must fit
 * all, so are those for whom nothing had to be stored. */
static void verdicts_fail(struct txn *t, struct answer failure)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (txn_verdict_is_stored(&t->verdicts[i]))
            txn_defer_rcpt(t, i, failure);
    if (t->has_one_reply || t->is_naming) /* OTH-7: ERCP is one reply, too */
        t->is_mixed |= policy_mix(t->verdicts, t->rcpt_count, POLICY_REFUSAL_QUARANTINE);
}

void txn_begin_entries(struct txn *t)
{
    session_set_entries(&t->conn->session, t->entries);
    t->has_entries = true;
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        t->entries[i].rcpt_code = t->rcpts[i].rcpt_code; /* the rest was cleared */
}

/* A commit may take as long as the reply budget; only then is it given up. */
bool txn_may_open_replies(const struct txn *t)
{
    return !t->is_opened && !t->has_one_reply &&
           session_reply_gap(&t->conn->session) >= session_phase_timeout(SESSION_PHASE_DECISION);
}

void txn_open_replies(struct txn *t)
{
    ASSERT(t->state == TXN_COMMITTING && t->conn != NULL);
    if (!txn_may_open_replies(t))
        return;
    struct session *s = &t->conn->session;
    t->is_opened = true;
    t->life_at = t->said_at = t->phases.decided;
    if (!t->has_entries)
        txn_begin_entries(t);
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        const struct policy_verdict *v = &t->verdicts[i];
        bool is_refused = !txn_verdict_is_stored(v) && v->action != POLICY_DISCARD;
        if (is_refused && t->entries[i].fate == SESSION_FATE_OPEN)
            session_refuse_rcpt(s, i, v->answer);
    }
    session_open_block(s);
}

/* The answer of each recipient who has none yet. */
static void entries_fill(struct txn *t, struct session *s, const struct session_entry *entries,
                         const struct commit_proof *proof)
{
    /* Nothing is owed to a discarding recipient, so there is nothing to prove for him. */
    const struct commit_proof nothing_owed = {.queue_id = t->message.proof.queue_id,
                                              .is_committed = true};
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        const struct policy_verdict *v = &t->verdicts[i];
        uint8_t fate = entries[i].fate;
        if (fate == SESSION_FATE_ACCEPTED || fate == SESSION_FATE_REFUSED)
            continue;
        if (txn_verdict_is_stored(v))
            session_accept_rcpt(s, i, txn_accept_answer(t, v), proof);
        else if (v->action == POLICY_DISCARD)
            session_accept_rcpt(s, i, txn_accept_answer(t, v), &nothing_owed);
        else
            session_refuse_rcpt(s, i, v->answer);
    }
}

void txn_foretell(struct txn *t, struct session *copy, struct session_entry *entries)
{
    /* The link is the proof: see pace.c. */
    const struct commit_proof linked = {.queue_id = t->message.proof.queue_id,
                                        .is_committed = true};
    ASSERT(t->state == TXN_COMMITTING);
    if (!t->has_entries) {
        session_set_entries(copy, entries);
        for (uint32_t i = 0; i < t->rcpt_count; i++)
            entries[i].rcpt_code = t->rcpts[i].rcpt_code;
    }
    entries_fill(t, copy, entries, &linked);
    session_finish(copy, ANSWER(STATUS_NONE));
}

/* All that the session has to say. Somebody for whom nothing is owed hears of a loss, too, where
 * the last reply is about everybody; so that is his verdict. */
static void reply_session(struct txn *t, struct session *s)
{
    struct answer lost;
    if (!t->has_entries)
        txn_begin_entries(t);
    entries_fill(t, s, t->entries, &t->message.proof);
    session_finish(s, ANSWER(STATUS_NONE));
    if (!session_is_lost(s, &lost))
        return;
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->verdicts[i].action == POLICY_DISCARD)
            txn_defer_rcpt(t, i, lost);
}

void txn_reply(struct shard *sh, struct txn *t, struct answer failure)
{
    bool is_stored = t->is_committed || t->message.outcome == SPOOL_STORED;
    if (!is_stored && failure.status != STATUS_NONE)
        verdicts_fail(t, failure);
    timer_disarm(&t->timer);
    t->state = TXN_REPLYING;
    t->is_committed = is_stored;
    t->phases.replied = ring_now(sh->ring);
    metrics_add(&sh->metrics, is_stored ? METRIC_TXNS_STORED : METRIC_TXNS_REFUSED, 1);
    if (t->conn != NULL)
        reply_session(t, &t->conn->session);
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        count_verdict(sh, t->verdicts[i].action);
    if (t->conn != NULL)
        conn_resume(sh, t->conn);
    else
        txn_replied(sh, t);
}

/* The Received field; the client's address and the names were checked when they were read. */
static struct slice txn_trace(struct shard *sh, const struct txn *t, bool is_esmtp, struct buf *out)
{
    const struct conn *c = t->conn;
    struct trace_info info = {
        .helo = c != NULL ? conn_helo(c) : t->helo,
        .client = c != NULL ? conn_client_address(c) : &t->peer,
        .hostname = sh->options.hostname,
        .is_lmtp = t->listener->session.protocol == SESSION_LMTP,
        .is_esmtp = is_esmtp,
        .is_utf8 = t->mail.smtputf8,
        .queue_id = slice_of(t->queue_id_text, QUEUE_ID_CHARS),
        .rcpt = t->rcpt_count == 1 ? t->rcpts[0].address : SLICE_EMPTY, /* CORE-50 */
        .date = t->received_at,
    };
    bool is_complete = trace_received(out, &info);
    ASSERT(is_complete);
    return buf_slice(out);
}

struct spool_rcpt txn_spool_rcpt(const struct txn *t, uint32_t rcpt_idx)
{
    const struct txn_rcpt *r = &t->rcpts[rcpt_idx];
    bool is_held = t->verdicts[rcpt_idx].action == POLICY_QUARANTINE;
    return (struct spool_rcpt){
        .address = r->address,
        .params = {.notify = r->notify, .orcpt = r->orcpt},
        .class_name = policy_class(t->epoch->policy, r->class_idx)->name,
        .state = is_held ? SPOOL_RCPT_HELD : SPOOL_RCPT_ACTIVE,
    };
}

static uint32_t stored_rcpts(struct shard *sh, const struct txn *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (txn_verdict_is_stored(&t->verdicts[i]))
            sh->rcpt_scratch[count++] = txn_spool_rcpt(t, i);
    return count;
}

void txn_commit(struct shard *sh, struct txn *t, const struct spool_rcpt *rcpts,
                uint32_t rcpt_count)
{
    const struct conn *c = t->conn;
    uint8_t trace_memory[TRACE_BYTES_MAX];
    struct buf trace = buf_over(trace_memory, sizeof(trace_memory));
    bool is_lmtp = t->listener->session.protocol == SESSION_LMTP;
    bool is_esmtp = c != NULL ? session_is_esmtp(&c->session) : t->is_esmtp;
    struct spool_envelope envelope = {
        .received_at = t->received_at,
        .reverse_path = t->reverse_path,
        .mail = t->mail,
        .helo = c != NULL ? conn_helo(c) : t->helo,
        .client = t->client_text,
        .listener = t->listener->name,
        .protocol = slice_str(trace_protocol(is_lmtp, is_esmtp, t->mail.smtputf8)),
        .trace = txn_trace(sh, t, is_esmtp, &trace),
        .message_id = slice_of(t->result.message_id, t->result.message_id_len),
        .flags = t->result.flags,
        .score = t->hits.score,
        .hash = {t->result.hash[0], t->result.hash[1]},
        .content_bytes = t->result.content_bytes,
        .rcpts = rcpts,
        .rcpt_count = rcpt_count,
    };
    t->spool_begun = false; /* it is the spool's to end now */
    spool_commit(sh->spool, &t->message, t->parts, t->part_count, &envelope);
    parts_drop(t);
}

/* What is known when the content is complete. */
static void content_end(struct shard *sh, struct txn *t, const struct session_event *ev)
{
    struct conn *c = t->conn;
    ASSERT(t->state == TXN_CONTENT);
    ASSERT(t->rcpt_count == session_rcpt_count(&c->session));
    list_remove(&t->sending);
    t->phases.end = ring_now(sh->ring);
    t->result = *ev->scan;
    rules_stream_hits(t->rules, &t->hits);
    metrics_add(&sh->metrics, METRIC_BYTES_CONTENT, t->result.content_bytes);
    if (t->hits.count > 0)
        metrics_add(&sh->metrics, METRIC_RULE_HITS, 1);
    if (ev->answer.status == STATUS_BAD_LINE_ENDING)
        metrics_add(&sh->metrics, METRIC_BAD_LINE_ENDINGS, 1);
    t->whole = ev->answer;
    if (t->whole.status == STATUS_NONE && t->settled_count < t->part_count &&
        shard_buffers_are_short(sh))
        parts_move(sh, t);
    if (t->whole.status == STATUS_NONE && t->is_dropping)
        t->whole = t->store_answer;
    queue_id_format(t->message.proof.queue_id, t->queue_id_text);
    memcpy(t->stored_text, "stored as ", 10);
    memcpy(t->stored_text + 10, t->queue_id_text, QUEUE_ID_CHARS + 1);
    conn_client_text(c, t->client_memory, sizeof(t->client_memory), &t->client_text);
}

static bool has_refusal(const struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++)
        if (t->verdicts[i].action == POLICY_REJECT || t->verdicts[i].action == POLICY_DEFER)
            return true;
    return false;
}

void txn_commit_decided(struct shard *sh, struct txn *t)
{
    txn_mix_verdicts(t);
    t->phases.decided = ring_now(sh->ring);
    uint32_t stored_count = stored_rcpts(sh, t);
    if (stored_count > 0) {
        t->state = TXN_COMMITTING;
        txn_commit(sh, t, sh->rcpt_scratch, stored_count);
        if (t->conn != NULL && t->state == TXN_COMMITTING && has_refusal(t))
            txn_open_replies(t); /* beside one who is stored: it will be a block */
        return;
    }
    parts_drop(t);
    txn_spool_abort(sh, t);
    txn_reply(sh, t, ANSWER(STATUS_NONE));
}

/* The decision begins, and with it the reply budget. */
static void decide(struct shard *sh, struct txn *t)
{
    t->budget_at = ring_now(sh->ring) + budget_ns(&sh->options, t->conn);
    if (work_begin(sh, t))
        return;
    txn_make_verdicts(t, t->conn);
    txn_commit_decided(sh, t);
}

void txn_end(struct shard *sh, struct txn *t, const struct session_event *ev)
{
    content_end(sh, t, ev);
    decide(sh, t);
}

void txn_name_rcpts(struct shard *sh, struct txn *t, const struct session_event *ev)
{
    content_end(sh, t, ev);
    if (t->whole.status == STATUS_NONE)
        txn_hand_over(sh, t); /* who takes his time to name them holds no receive buffers */
    if (t->whole.status == STATUS_NONE && t->is_dropping)
        t->whole = t->store_answer;
    if (t->whole.status == STATUS_NONE) {
        t->is_naming = true;
        session_name_rcpts(&t->conn->session);
        return;
    }
    parts_drop(t);
    txn_spool_abort(sh, t);
    t->state = TXN_REPLYING;
    t->phases.decided = t->phases.replied = t->phases.end;
    metrics_add(&sh->metrics, METRIC_TXNS_REFUSED, 1);
    session_finish(&t->conn->session, t->whole);
}

void txn_commit_named(struct shard *sh, struct txn *t)
{
    ASSERT(t->is_naming && t->rcpt_count > 0);
    ASSERT(t->rcpt_count == session_rcpt_count(&t->conn->session));
    if (t->is_dropping)
        t->whole = t->store_answer;
    decide(sh, t);
}

void txn_expire(struct shard *sh, struct txn *t)
{
    ASSERT(t->state == TXN_COMMITTING && t->message.outcome == SPOOL_PENDING);
    spool_void(sh->spool, &t->message);
    t->is_draining = true;
    t->is_void = true;
    verdicts_fail(t, ANSWER(STATUS_DECISION_TIMEOUT));
    txn_reply(sh, t, ANSWER(STATUS_NONE));
}

void txn_on_outcome(struct shard *sh, struct txn *t)
{
    if (t->is_draining) { /* the last borrowed byte of an aborted message came home */
        t->is_draining = false;
        if (t->is_void && (t->message.is_late || t->message.is_in_doubt)) {
            metrics_add(&sh->metrics, METRIC_COMMITS_LATE, 1);
            txnlog_late(sh, t);
        }
        if (t->is_replied)
            txn_free(sh, t);
        return;
    }
    if (t->state == TXN_WORKING) {
        work_on_outcome(sh, t);
        return;
    }
    ASSERT(t->state == TXN_COMMITTING);
    t->phases.committed = ring_now(sh->ring);
    /* A restart may find it, or not: neither 2xx nor 4xx would be true. */
    if (t->message.is_in_doubt && t->conn != NULL)
        conn_drop(sh, t->conn, "store in doubt");
    txn_reply(sh, t, txn_answer_for_outcome(t->message.outcome));
}

static void txn_finish(struct shard *sh, struct txn *t)
{
    if (t->conn != NULL) {
        t->conn->txn = NULL;
        t->conn = NULL;
    }
    t->is_replied = true;
    if (!t->is_draining)
        txn_free(sh, t);
}

void txn_abort(struct shard *sh, struct txn *t, const char *why)
{
    ASSERT(t->state < TXN_REPLYING && !t->is_committed);
    timer_disarm(&t->timer);
    if (t->state >= TXN_CONTENT || t->rcpt_count > 0) {
        metrics_add(&sh->metrics, METRIC_TXNS_ABORTED, 1);
        txnlog_aborted(sh, t, why);
    }
    list_remove(&t->sending);
    parts_drop(t);
    txn_spool_abort(sh, t);
    txn_finish(sh, t);
}

void txn_keep_helo(struct shard *sh, struct txn *t)
{
    if (!txn_copy(sh, t, conn_helo(t->conn), &t->helo))
        t->helo = SLICE_EMPTY; /* its line does without */
}

bool txn_take_back(struct shard *sh, struct txn *t)
{
    if (t->message.outcome != SPOOL_PENDING || spool_is_written(&t->message))
        return false;
    spool_void(sh->spool, &t->message);
    t->is_draining = true;
    return true;
}

void txn_detach(struct shard *sh, struct txn *t)
{
    switch (t->state) {
    case TXN_ENVELOPE:
    case TXN_CONTENT:
        txn_abort(sh, t, "connection lost");
        return;
    case TXN_WORKING:
        work_vanish(sh, t);
        return;
    case TXN_COMMITTING:
        if (!t->listener->finishes_vanished && txn_take_back(sh, t)) {
            txn_abort(sh, t, "connection lost");
            return;
        }
        /* Too late to take back: finished and logged without the client. */
        txn_keep_helo(sh, t);
        t->conn->txn = NULL;
        t->conn = NULL;
        t->is_client_gone = true;
        return;
    case TXN_REPLYING:
        t->is_client_gone = true;
        txn_replied(sh, t);
        return;
    }
    UNREACHABLE();
}

void txn_replied(struct shard *sh, struct txn *t)
{
    ASSERT(t->state == TXN_REPLYING);
    txnlog_done(sh, t);
    if (t->is_committed)
        doubt_begin(sh, t->conn, t->message.proof.queue_id);
    txn_finish(sh, t);
}
