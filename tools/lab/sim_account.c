/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_account.c - owns the ledger, the files, the measure.
 *
 * A record keeps of an attempt or arrival what the ledger looks at; the files get all of it at
 * once.
 */
#include "lab/sim_account.h"
#include "base/err.h"
#include "lab/account.h"
#include "lab/sim_ladder.h"
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define LEDGER_PAIRS_MAX 8192 /* as long as no message has more */
#define SERIES_BUCKETS_MIN 64

static void write_out(struct sim *sim, FILE *file, const struct buf *line)
{
    ASSERT(!line->is_full);
    if (fwrite(line->ptr, 1, line->len, file) != line->len)
        sim_fail(sim, -EIO);
}

static int begin_files(struct sim *sim)
{
    uint8_t memory[1024];
    if (sim->options->attempts != NULL) {
        struct buf head = buf_over(memory, sizeof(memory));
        attempts_put_head(&head, sim->run);
        write_out(sim, sim->options->attempts, &head);
    }
    if (sim->options->arrivals != NULL) {
        sim->hash = XXH3_createState();
        if (sim->hash == NULL)
            return -ENOMEM;
        struct buf head = buf_over(memory, sizeof(memory));
        arrivals_put_head(&head);
        write_out(sim, sim->options->arrivals, &head);
    }
    return sim->failure;
}

int sim_account_begin(struct sim *sim)
{
    struct lab_series *series = &sim->measure->series;
    int result = ledger_new(LEDGER_COPY_RCPT, &sim->ledger);
    if (result == 0)
        result = begin_files(sim);
    if (result < 0 || sim->options->series_width_ns == 0)
        return result;
    series->at = calloc(SIM_SERIES_BUCKETS_MAX, sizeof(*series->at));
    series->width_ns = sim->options->series_width_ns;
    return series->at == NULL ? -ENOMEM : 0;
}

/* ---- series ---- */

/* Half as many buckets, twice as wide. */
static void halve(struct lab_series *series)
{
    for (uint32_t i = 0; i < SIM_SERIES_BUCKETS_MAX / 2; i++) {
        const struct lab_bucket *a = &series->at[2 * i], *b = &series->at[2 * i + 1];
        series->at[i] = (struct lab_bucket){
            .started = a->started + b->started,
            .retries = a->retries + b->retries,
            .in_work = u64_max(a->in_work, b->in_work),
            .settled = a->settled + b->settled,
            .copies = a->copies + b->copies,
        };
    }
    memset(&series->at[SIM_SERIES_BUCKETS_MAX / 2], 0,
           SIM_SERIES_BUCKETS_MAX / 2 * sizeof(*series->at));
    series->count = (series->count + 1) / 2;
    series->width_ns *= 2;
}

struct lab_bucket *sim_account_bucket(struct sim *sim)
{
    struct lab_series *series = &sim->measure->series;
    if (series->at == NULL)
        return NULL;
    clock_ns at = sim->now_base + sim->now;
    while (at / series->width_ns >= SIM_SERIES_BUCKETS_MAX)
        halve(series);
    uint32_t idx = (uint32_t)(at / series->width_ns);
    for (; series->count <= idx; series->count++)
        series->at[series->count].in_work = sim->at_hand_noted;
    return &series->at[idx];
}

void sim_account_at_hand(struct sim *sim)
{
    struct lab_bucket *bucket = sim_account_bucket(sim);
    sim->at_hand_noted = sim->at_hand;
    if (bucket != NULL)
        bucket->in_work = u64_max(bucket->in_work, sim->at_hand);
}

/* ---- records ---- */

static struct sim_record *add_record(struct sim *sim, struct sim_message *m)
{
    struct sim_record *r = pool_take(&sim->records);
    if (r == NULL) {
        sim_fail(sim, -ENOMEM);
        return NULL;
    }
    *r = (struct sim_record){.next = SIM_NO_RECORD};
    uint32_t idx = pool_index(&sim->records, r);
    if (m->record_head == SIM_NO_RECORD)
        m->record_head = idx;
    else
        ((struct sim_record *)pool_at(&sim->records, m->record_tail))->next = idx;
    m->record_tail = idx;
    return r;
}

void sim_account_try(struct sim *sim, struct sim_message *m, const struct attempt *a)
{
    struct sim_record *r = add_record(sim, m);
    if (r == NULL)
        return;
    r->rcpt_idx = a->rcpt_idx;
    r->attempt = a->attempt;
    r->replies_seen = a->replies_seen;
    r->replies_due = a->replies_due;
    r->will_retry = a->will_retry;
    r->fate = (uint8_t)a->fate;
    r->cause = (uint8_t)a->cause;
    r->sent = (uint8_t)a->sent;
    if (sim->options->attempts != NULL) {
        uint8_t memory[ATTEMPT_LINE_BYTES_MAX];
        struct buf line = buf_over(memory, sizeof(memory));
        attempts_put(&line, a);
        write_out(sim, sim->options->attempts, &line);
    }
}

void sim_account_commit(struct sim *sim, struct sim_conn *c, struct sim_rcpt *r)
{
    struct sim_pair *pair = &c->message->pairs[r->idx];
    struct lab_bucket *bucket = pair->commits > 0 ? sim_account_bucket(sim) : NULL;
    ASSERT(!r->is_committed);
    r->is_committed = true;
    r->committed_at = sim->now;
    pair->committed_at = sim->now;
    pair->commits++;
    pair->is_read = false;
    pair->was_committed_first |= c->attempt == 0;
    if (bucket != NULL)
        bucket->copies++;
}

static uint64_t hash_of(const struct sim *sim, const struct sim_conn *c)
{
    XXH3_64bits_reset(sim->hash);
    for (uint32_t i = 0; i < c->envelope.content_count; i++)
        XXH3_64bits_update(sim->hash, c->content[i].ptr, c->content[i].len);
    return XXH3_64bits_digest(sim->hash);
}

void sim_account_arrival(struct sim *sim, const struct sim_conn *c, const struct sim_rcpt *rcpt,
                         enum arrival_delivered delivered, const char *via)
{
    struct sim_record *r = add_record(sim, c->message);
    if (r == NULL)
        return;
    r->is_arrival = true;
    r->rcpt_idx = rcpt->idx;
    r->attempt = c->attempt;
    r->delivered = (uint8_t)delivered;
    if (sim->options->arrivals == NULL)
        return;
    uint8_t memory[ARRIVAL_LINE_BYTES_MAX];
    struct buf line = buf_over(memory, sizeof(memory));
    const struct arrival a = {
        .has_id = true,
        .id = {sim->run, c->message->seq},
        .rcpt_idx = (uint32_t)(rcpt - c->rcpts),
        .address = sim->rcpts[rcpt->idx].address,
        .at = sim_wall(sim, rcpt->committed_at),
        .content_bytes = c->content[0].len + c->content[1].len,
        .hash = hash_of(sim, c),
        .code = rcpt->reply_end == UINT64_MAX ? 0 : 250,
        .delivered = delivered,
        .conn = c->number,
        .txn = 1,
        .via = slice_str(via),
    };
    arrivals_put(&line, &a);
    write_out(sim, sim->options->arrivals, &line);
}

/* ---- the ledger ---- */

static int add_to_ledger(struct sim *sim, const struct sim_message *m, const struct sim_record *r)
{
    const struct identity id = {sim->run, m->seq};
    const struct slice address = sim->rcpts[r->rcpt_idx].address;
    if (r->is_arrival) {
        const struct arrival a = {.has_id = true,
                                  .id = id,
                                  .rcpt_idx = r->rcpt_idx,
                                  .address = address,
                                  .delivered = (enum arrival_delivered)r->delivered};
        return ledger_add_arrival(sim->ledger, &a, true);
    }
    const struct attempt a = {.id = id,
                              .attempt = r->attempt,
                              .rcpt_idx = r->rcpt_idx,
                              .address = address,
                              .fate = (enum attempt_fate)r->fate,
                              .cause = (enum attempt_cause)r->cause,
                              .sent = (enum attempt_sent)r->sent,
                              .replies_seen = r->replies_seen,
                              .replies_due = r->replies_due,
                              .will_retry = r->will_retry};
    return ledger_add_attempt(sim->ledger, &a);
}

static void join(struct sim *sim)
{
    account_join(sim->ledger, sim->measure);
    sim->ledger_pairs = 0;
    int result = ledger_clear(sim->ledger);
    if (result < 0)
        sim_fail(sim, result);
}

/* D of DUP section 3: what the first try has left at the server without the client's credit. */
static uint64_t first_try_copies(const struct sim *sim, const struct sim_message *m)
{
    uint64_t copies = 0;
    for (uint32_t i = 0; i < sim->point->rcpt_count; i++) {
        const struct sim_pair *pair = &m->pairs[i];
        copies += pair->was_committed_first && !pair->was_credited_first;
    }
    return copies;
}

void sim_account_over(struct sim *sim, struct sim_message *m)
{
    uint64_t copies = first_try_copies(sim, m);
    int result = 0;
    sim->measure->copies_first_try += copies;
    sim->measure->copies_first_try_sq += copies * copies;
    /* All attempts come before the arrivals. */
    for (unsigned pass = 0; pass < 2; pass++) {
        for (uint32_t idx = m->record_head; idx != SIM_NO_RECORD && result == 0;) {
            const struct sim_record *r = pool_at(&sim->records, idx);
            if (r->is_arrival == (pass == 1))
                result = add_to_ledger(sim, m, r);
            idx = r->next;
        }
    }
    while (m->record_head != SIM_NO_RECORD) {
        struct sim_record *r = pool_at(&sim->records, m->record_head);
        m->record_head = r->next;
        pool_give(&sim->records, r);
    }
    if (result < 0)
        sim_fail(sim, result);
    sim->ledger_pairs += sim->point->rcpt_count;
    if (sim->ledger_pairs >= LEDGER_PAIRS_MAX)
        join(sim);
}

void sim_account_deinit(struct sim *sim)
{
    ledger_free(sim->ledger);
    XXH3_freeState(sim->hash);
}

void sim_account_end(struct sim *sim)
{
    join(sim);
}
