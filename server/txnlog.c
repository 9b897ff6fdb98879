/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txnlog.c - the fields of the log lines, in one place. Names are those of README's table.
 *
 * The queue id in a line is the one in the reply, in the Received field and in the spool, so that a
 * message can be found from each of them; message_id leads from the message back to the line.
 */
#include "txnlog.h"
#include "conn.h"
#include "listener.h"
#include "shard.h"
#include "txn.h"
#include "base/assert.h"
#include "base/err.h"
#include "obs/log.h"
#include "spool/spool.h"
#include <errno.h>

/* Room that must be left for a recipient and the end of the line. */
#define RCPT_FIELD_BYTES_MAX (2 * PATH_UTF8_BYTES_MAX + 128)

static void begin(struct shard *sh, struct log_line *l, const char *level, const char *event)
{
    log_line_begin(l, sh->log_scratch, sizeof(sh->log_scratch), ring_wall(sh->ring), level, event);
    log_line_u64(l, "shard", sh->options.shard_idx);
}

static void put(struct shard *sh, struct log_line *l)
{
    log_writer_put(sh->log, log_line_end(l));
}

static void put_client(struct log_line *l, const struct conn *c)
{
    char memory[64];
    struct slice client;
    conn_client_text(c, memory, sizeof(memory), &client);
    log_line_slice(l, "client", client);
    log_line_slice(l, "listener", c->listener->options->name);
    log_line_slice(l, "helo", conn_helo(c));
}

static uint64_t span(clock_ns from, clock_ns to)
{
    return from != 0 && to > from ? to - from : 0;
}

static void put_flags(struct log_line *l, uint32_t flags)
{
    uint8_t memory[256];
    struct buf b = buf_over(memory, sizeof(memory));
    for (uint32_t bit = 1; bit != 0 && bit <= flags; bit <<= 1) {
        if ((flags & bit) == 0)
            continue;
        if (b.len > 0)
            buf_put_byte(&b, ',');
        buf_put(&b, slice_str(scan_flag_name((enum scan_flag)bit)));
    }
    if (b.len > 0)
        log_line_slice(l, "flags", buf_slice(&b));
}

static void put_rules(struct log_line *l, const struct rules_hits *hits)
{
    uint8_t memory[1024];
    struct buf b = buf_over(memory, sizeof(memory));
    uint32_t count = hits->count < RULES_HITS_MAX ? hits->count : RULES_HITS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        if (b.len > 0)
            buf_put_byte(&b, ',');
        buf_put(&b, rules_name(hits->rules, hits->rule_idx[i]));
    }
    if (b.len > 0)
        log_line_slice(l, "rules", buf_slice(&b));
    log_line_hundredths(l, "score", hits->score);
}

/* "ann@mx.example class=strict accept 250 score": one value, four words. */
static void put_rcpt(struct log_line *l, const struct txn *t, uint32_t i)
{
    const struct policy_verdict *v = &t->verdicts[i];
    uint8_t memory[PATH_UTF8_BYTES_MAX + 128];
    struct buf b = buf_over(memory, sizeof(memory));
    uint16_t code = v->answer.code != 0 ? v->answer.code : status_row(v->answer.status)->code;
    buf_put(&b, t->rcpts[i].address);
    buf_put_byte(&b, ' ');
    buf_put(&b, policy_class(t->epoch->policy, t->rcpts[i].class_idx)->name);
    buf_put_byte(&b, ' ');
    buf_put(&b, slice_str(policy_action_name(v->action)));
    buf_put_byte(&b, ' ');
    buf_put_u64(&b, code);
    buf_put_byte(&b, ' ');
    buf_put(&b, slice_str(v->reason));
    log_line_slice(l, "rcpt", buf_slice(&b));
}

static void put_rcpts(struct shard *sh, struct log_line *l, const struct txn *t)
{
    for (uint32_t i = 0; i < t->rcpt_count; i++) {
        if (buf_room(&l->buf) < RCPT_FIELD_BYTES_MAX) {
            log_line_str(l, "more", "true");
            put(sh, l);
            begin(sh, l, "info", "recipients");
            log_line_str(l, "qid", t->queue_id_text);
        }
        put_rcpt(l, t, i);
    }
}

void txnlog_done(struct shard *sh, const struct txn *t)
{
    struct log_line l;
    const struct txn_phases *p = &t->phases;
    begin(sh, &l, "info", "transaction");
    log_line_str(&l, "qid", t->queue_id_text);
    log_line_slice(&l, "client", t->client_text);
    log_line_slice(&l, "listener", t->listener->name);
    log_line_slice(&l, "helo", t->conn != NULL ? conn_helo(t->conn) : t->helo);
    log_line_str(&l, "dialect", dialect_name(t->dialect));
    log_line_slice(&l, "from", t->reverse_path);
    log_line_u64(&l, "size", t->result.content_bytes);
    log_line_slice(&l, "message_id", slice_of(t->result.message_id, t->result.message_id_len));
    put_flags(&l, t->result.flags);
    put_rules(&l, &t->hits);
    bool is_stored = t->is_committed;
    log_line_str(&l, "outcome",
                 is_stored ? "stored" : (t->message.is_in_doubt ? "in_doubt" : "not_stored"));
    log_line_str(&l, "durability", spool_durability_name(sh->options.durability));
    if (t->message.error != 0 && t->message.error != -ECANCELED) /* given up by ourselves */
        log_line_str(&l, "error", err_name(t->message.error));
    if (t->is_mixed)
        log_line_str(&l, "mixed", "true");
    if (t->is_over_budget)
        log_line_str(&l, "budget_ended", "true");
    if (t->is_client_gone)
        log_line_str(&l, "client_gone", "true");
    log_line_ms(&l, "t_envelope", span(p->mail, p->content));
    log_line_ms(&l, "t_content", span(p->content, p->end));
    log_line_ms(&l, "t_decide", span(p->end, p->decided));
    log_line_ms(&l, "t_commit", span(p->decided, p->committed));
    log_line_ms(&l, "t_reply", span(p->replied, ring_now(sh->ring)));
    log_line_ms(&l, "t_total", span(p->mail, ring_now(sh->ring)));
    log_line_u64(&l, "rcpts", t->rcpt_count);
    log_line_u64(&l, "rcpts_refused", t->rcpts_refused);
    put_rcpts(sh, &l, t);
    put(sh, &l);
}

static uint64_t content_bytes(const struct txn *t)
{
    switch (t->state) {
    case TXN_ENVELOPE:
        return 0;
    case TXN_CONTENT:
        return scan_content_bytes(&t->scan);
    case TXN_WORKING:
    case TXN_COMMITTING:
    case TXN_REPLYING:
        return t->result.content_bytes;
    }
    UNREACHABLE();
}

void txnlog_aborted(struct shard *sh, const struct txn *t, const char *why)
{
    struct log_line l;
    begin(sh, &l, "info", "aborted");
    put_client(&l, t->conn);
    log_line_slice(&l, "from", t->reverse_path);
    log_line_u64(&l, "rcpts", t->rcpt_count);
    log_line_u64(&l, "rcpts_refused", t->rcpts_refused);
    log_line_u64(&l, "size", content_bytes(t));
    log_line_str(&l, "reason", why);
    log_line_ms(&l, "t_total", span(t->phases.mail, ring_now(sh->ring)));
    put(sh, &l);
}

void txnlog_rcpt_refused(struct shard *sh, const struct txn *t, struct slice rcpt,
                         struct answer answer)
{
    struct log_line l;
    const struct status_row *row = status_row(answer.status);
    begin(sh, &l, "info", "rcpt_refused");
    put_client(&l, t->conn);
    log_line_slice(&l, "from", t->reverse_path);
    log_line_slice(&l, "rcpt", rcpt);
    log_line_u64(&l, "code", answer.code != 0 ? answer.code : row->code);
    log_line_str(&l, "reason", row->name);
    put(sh, &l);
}

void txnlog_conn_ended(struct shard *sh, const struct conn *c)
{
    struct log_line l;
    begin(sh, &l, "warning", "connection_ended");
    put_client(&l, c);
    log_line_str(&l, "reason", c->end_reason);
    log_line_ms(&l, "t_open", span(c->opened_at, ring_now(sh->ring)));
    put(sh, &l);
}

void txnlog_refused(struct shard *sh, const struct conn *c, const char *command,
                    struct slice reverse_path, struct answer answer)
{
    struct log_line l;
    const struct status_row *row = status_row(answer.status);
    begin(sh, &l, "warning", "refused");
    put_client(&l, c);
    log_line_slice(&l, "from", reverse_path);
    log_line_str(&l, "command", command);
    log_line_u64(&l, "code", answer.code != 0 ? answer.code : row->code);
    log_line_str(&l, "reason", row->name);
    put(sh, &l);
}

void txnlog_budget_ended(struct shard *sh, const struct txn *t)
{
    struct log_line l;
    uint32_t open_count = 0;
    bool is_working = t->state == TXN_WORKING;
    for (uint32_t i = 0; i < t->rcpt_count && is_working; i++)
        open_count += t->rcpts[i].stage == TXN_STAGE_OPEN;
    begin(sh, &l, "warning", "reply_budget_ended");
    log_line_str(&l, "qid", t->queue_id_text);
    put_client(&l, t->conn);
    log_line_str(&l, "dialect", dialect_name(t->dialect));
    log_line_str(&l, "waiting_for", is_working && open_count > 0 ? "decision" : "store");
    log_line_u64(&l, "rcpts", t->rcpt_count);
    log_line_u64(&l, "rcpts_undecided", open_count);
    log_line_ms(&l, "t_waited", span(t->phases.end, ring_now(sh->ring)));
    put(sh, &l);
}

void txnlog_late(struct shard *sh, const struct txn *t)
{
    struct log_line l;
    begin(sh, &l, "warning", "commit_late");
    log_line_str(&l, "qid", t->queue_id_text);
    log_line_str(&l, "outcome", t->message.is_in_doubt ? "in_doubt" : "removed");
    log_line_ms(&l, "t_total", span(t->phases.mail, ring_now(sh->ring)));
    put(sh, &l);
}

void txnlog_doubt(struct shard *sh, const struct conn *c, uint64_t queue_id)
{
    struct log_line l;
    char text[QUEUE_ID_CHARS + 1];
    queue_id_format(queue_id, text);
    begin(sh, &l, "info", "reply_in_doubt");
    log_line_str(&l, "qid", text);
    if (c != NULL)
        put_client(&l, c);
    put(sh, &l);
}

void txnlog_hung(struct shard *sh, uint32_t doubtful_count)
{
    struct log_line l;
    begin(sh, &l, "error", "stopped_hung");
    log_line_u64(&l, "messages_in_doubt", doubtful_count);
    log_line_u64(&l, "connections", sh->conn_count);
    log_line_str(&l, "durability", spool_durability_name(sh->options.durability));
    put(sh, &l);
}
