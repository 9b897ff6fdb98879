/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.c - owns the run: its memory, the clock, who sends what and when, and the end.
 *
 * Messages arrive by a plan (open loop), or the next one begins when the last one is over at both
 * ends. Each goes to a sender, or has one of its own; a sender has one connection, and what is due
 * meanwhile waits in the order in which it became due. Each try is a new connection.
 *
 * Nothing is decided by addresses in memory or by the order of a hash: what is drawn comes from the
 * seed and from what it is drawn for (message, try), so it does not even depend on the order of
 * events.
 */
#include "lab/chance.h"
#include "lab/machines.h"
#include "lab/sim_account.h"
#include "lab/sim_client.h"
#include "lab/sim_ladder.h"
#include "lab/sim_server.h"
#include "lab/sim_wire.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#define EPOCH_US ((wall_us)1767225600 * 1000000) /* 2026-01-01 */
#define POOL_BYTES_MAX ((uint64_t)1 << 38)       /* of addresses, each */
#define POOL_COUNT_MAX ((uint64_t)1 << 23)
#define MESSAGE_BYTES_MAX (64 * MIB)
#define CUT_CHECK_NS (64 * NS_PER_S)
#define BODY_LINE "The quick brown fox has been waiting for this reply since the dot.\r\n"
#define RCPT_DIGITS_MAX 10

static const char hostname[] = "client.example";

void sim_fail(struct sim *sim, int result)
{
    ASSERT(result < 0);
    if (sim->failure == 0)
        sim->failure = result;
}

wall_us sim_wall(const struct sim *sim, clock_ns at)
{
    return EPOCH_US + (sim->now_base + at) / NS_PER_US;
}

void sim_push(struct sim *sim, const struct sim_conn *c, enum sim_event_kind kind, uint32_t arg,
              enum sim_rank rank, clock_ns after_ns)
{
    struct sim_event e = {.at = sim->now + after_ns,
                          .idx = pool_index(&sim->conns, c),
                          .generation = c->generation,
                          .arg = arg,
                          .kind = kind};
    sim_queue_push(&sim->queue, rank, e);
}

static void push_message(struct sim *sim, const struct sim_message *m, clock_ns after_ns)
{
    struct sim_event e = {.at = sim->now + after_ns,
                          .idx = pool_index(&sim->messages, m),
                          .generation = m->generation,
                          .kind = SIM_DUE};
    sim_queue_push(&sim->queue, SIM_RANK_WORK, e);
}

/* ---- connections ---- */

static size_t conn_bytes(uint32_t n)
{
    return ALIGN_UP(sizeof(struct sim_conn), 16) +
           (size_t)n * (sizeof(struct client_rcpt) + sizeof(struct session_entry) +
                        sizeof(struct sim_rcpt) + sizeof(struct client_result) + sizeof(uint32_t));
}

static void lay_out(struct sim_conn *c, uint32_t n)
{
    uint8_t *at = (uint8_t *)c + ALIGN_UP(sizeof(*c), 16);
    c->client_rcpts = (struct client_rcpt *)(void *)at;
    at += n * sizeof(*c->client_rcpts);
    c->entries = (struct session_entry *)(void *)at;
    at += n * sizeof(*c->entries);
    c->rcpts = (struct sim_rcpt *)(void *)at;
    at += n * sizeof(*c->rcpts);
    c->results = (struct client_result *)(void *)at;
    at += n * sizeof(*c->results);
    c->idxs = (uint32_t *)(void *)at;
}

/* The same octets on each try: a head of one length for all messages, and a body that all share. */
static void make_content(const struct sim *sim, struct sim_conn *c)
{
    struct buf head = buf_over(c->head, sizeof(c->head));
    BUF_PUT_LIT(&head, "From: <sender@client.example>\r\nMessage-ID: <pl.");
    identity_put(&head, (struct identity){sim->run, c->message->seq});
    BUF_PUT_LIT(&head, "@client.example>\r\nSubject: ");
    while (head.len < SIM_HEAD_BYTES_MAX - 4)
        buf_put_byte(&head, 'x');
    BUF_PUT_LIT(&head, "\r\n\r\n");
    ASSERT(!head.is_full);
    c->content[0] = buf_slice(&head);
    c->content[1] = slice_of(sim->body, sim->body_bytes);
}

static void make_envelope(struct sim *sim, struct sim_conn *c)
{
    const struct sim_message *m = c->message;
    uint32_t n = sim->point->rcpt_count;
    c->rcpt_count = 0;
    for (uint32_t idx = 0; idx < n; idx++) {
        if (!m->pairs[idx].is_open)
            continue;
        c->client_rcpts[c->rcpt_count] = sim->rcpts[idx];
        c->idxs[c->rcpt_count++] = idx;
    }
    ASSERT(c->rcpt_count == m->open_count && c->rcpt_count > 0);
    make_content(sim, c);
    c->envelope = (struct client_message){
        .sender = SLICE_LIT("sender@client.example"),
        .rcpts = c->client_rcpts,
        .rcpt_count = c->rcpt_count,
        .content = c->content,
        .content_count = sim->body_bytes > 0 ? 2 : 1,
    };
}

static void begin_try(struct sim *sim, struct sim_message *m)
{
    struct sim_conn *c = pool_take(&sim->conns);
    struct lab_bucket *bucket = sim_account_bucket(sim);
    if (c == NULL) {
        sim_fail(sim, -ENOMEM);
        return;
    }
    memset(c, 0, offsetof(struct sim_conn, head));
    lay_out(c, sim->point->rcpt_count);
    c->message = m;
    c->number = ++sim->conn_number;
    c->generation = ++sim->generation;
    c->attempt = m->attempt++;
    c->cut_at = CLOCK_NEVER;
    if (sim->options->ladder != NULL && sim->options->ladder_seq == m->seq)
        c->ladder = sim->options->ladder;
    chance_begin(&c->rng, sim->seed, m->seq, c->attempt);
    list_init(&c->live);
    list_push(&sim->conns_live, &c->live);
    m->conn_count++;
    if (bucket != NULL && c->attempt == 0)
        bucket->started++;
    else if (bucket != NULL)
        bucket->retries++;
    make_envelope(sim, c);
    sim_server_init(sim, c);
    sim_client_begin(sim, c);
}

static void end_message_if_over(struct sim *sim, struct sim_message *m);

static void end_conn_if_over(struct sim *sim, struct sim_conn *c)
{
    struct sim_message *m = c->message;
    bool has_server = c->server.is_open || !c->server.was_open;
    if (c->client.is_open || (has_server && !sim->is_stopping))
        return;
    sim_wire_drop(sim, c);
    list_remove(&c->live);
    pool_give(&sim->conns, c);
    m->conn_count--;
    end_message_if_over(sim, m);
}

/* ---- senders ---- */

/* The message's next try begins, or waits for its sender. */
static void dispatch(struct sim *sim, struct sim_message *m)
{
    struct sim_sender *sender = m->sender == SIM_NO_SENDER ? NULL : &sim->senders[m->sender];
    if (sender != NULL && sender->is_busy) {
        list_push(&sender->waiting, &m->queue);
        return;
    }
    if (sender != NULL)
        sender->is_busy = true;
    begin_try(sim, m);
}

void sim_client_gone(struct sim *sim, struct sim_conn *c)
{
    uint32_t number = c->message->sender;
    if (number == SIM_NO_SENDER || sim->is_stopping)
        return;
    struct sim_sender *sender = &sim->senders[number];
    struct list *next = list_pop(&sender->waiting);
    sender->is_busy = false;
    if (next != NULL)
        dispatch(sim, CONTAINER_OF(next, struct sim_message, queue));
}

/* ---- messages ---- */

static clock_ns retry_after(const struct lab_client *config, uint32_t attempt)
{
    double ns = (double)config->retry_ns;
    if (config->retry_factor > 0)
        ns *= pow(config->retry_factor, attempt);
    if (config->retry_max_ns > 0)
        ns = fmin(ns, (double)config->retry_max_ns);
    return (clock_ns)ns;
}

void sim_try_over(struct sim *sim, struct sim_conn *c)
{
    struct sim_message *m = c->message;
    const struct lab_client *config = sim->clients[m->row];
    bool has_more = m->open_count > 0 && m->attempt < config->tries_max;
    if (sim->is_stopping)
        return;
    if (has_more) {
        clock_ns after_ns = retry_after(config, c->attempt);
        sim_ladder_note(sim, c, LADDER_CLIENT, after_ns, "waits for its next try, %u recipient%s",
                        m->open_count, m->open_count == 1 ? "" : "s");
        push_message(sim, m, after_ns);
        return;
    }
    struct lab_bucket *bucket = sim_account_bucket(sim);
    m->is_over = true;
    sim->measure->livelocks += m->open_count > 0 && !m->has_settled;
    hist_record(&sim->measure->settled, sim->now - m->planned_at);
    if (bucket != NULL)
        bucket->settled++;
}

static void plan_next(struct sim *sim);

static void end_message_if_over(struct sim *sim, struct sim_message *m)
{
    if (m->conn_count > 0 || (!m->is_over && !sim->is_stopping))
        return;
    if (m->attempt > 0)
        sim_account_over(sim, m);
    list_remove(&m->live);
    list_remove(&m->queue);
    pool_give(&sim->messages, m);
    if (sim->point->rate_per_s <= 0 && !sim->is_stopping)
        plan_next(sim);
}

/* Whose client it is: rows have their share of senders, or of messages where each has its own. */
static uint32_t row_at(const struct sim *sim, double share)
{
    const struct lab_mix *mix = &sim->point->mix;
    uint32_t row = 0;
    while (row + 1 < mix->count && share >= mix->rows[row].share)
        share -= mix->rows[row++].share;
    return row;
}

static void begin_message(struct sim *sim)
{
    const struct lab_point *p = sim->point;
    struct sim_message *m = pool_take(&sim->messages);
    if (m == NULL) {
        sim_fail(sim, -ENOMEM);
        return;
    }
    memset(m, 0, sizeof(*m) + p->rcpt_count * sizeof(m->pairs[0]));
    list_init(&m->live);
    list_init(&m->queue);
    list_push(&sim->messages_live, &m->live);
    m->seq = sim->planned_count++;
    m->planned_at = sim->now;
    m->generation = ++sim->generation;
    m->record_head = SIM_NO_RECORD;
    m->open_count = p->rcpt_count;
    for (uint32_t i = 0; i < p->rcpt_count; i++)
        m->pairs[i].is_open = true;
    m->sender = SIM_NO_SENDER;
    if (p->client_count > 0) {
        m->sender = (uint32_t)rng_below(&sim->plan_rng, p->client_count);
        m->row = sim->senders[m->sender].row;
    } else if (p->mix.count > 0) {
        m->row = row_at(sim, rng_unit(&sim->plan_rng));
    }
    dispatch(sim, m);
}

static void push_plan(struct sim *sim, clock_ns after_ns)
{
    struct sim_event e = {.at = sim->now + after_ns, .kind = SIM_PLAN};
    sim_queue_push(&sim->queue, SIM_RANK_WORK, e);
}

static void plan_next(struct sim *sim)
{
    double rate = sim->point->rate_per_s;
    if (sim->planned_count == sim->point->message_count)
        return;
    double s = rate > 0 ? -log1p(-rng_unit(&sim->plan_rng)) / rate : 0;
    push_plan(sim, (clock_ns)(s * (double)NS_PER_S));
}

static void on_plan(struct sim *sim)
{
    if (sim->point->rate_per_s <= 0) {
        /* Nothing is under way: what is left in the queue has become pointless, and the clock may
         * begin again, so that centuries of messages fit. */
        ASSERT(list_is_empty(&sim->messages_live));
        sim_queue_clear(&sim->queue);
        sim->now_base += sim->now;
        sim->now = 0;
    }
    begin_message(sim);
    if (sim->point->rate_per_s > 0)
        plan_next(sim);
}

/* ---- events ---- */

/* The network cuts @c: now, or not yet; a wait is short, so that little is left of dead ones. */
static void on_cut(struct sim *sim, struct sim_conn *c)
{
    if (!c->is_cut && c->cut_at > sim->now) {
        clock_ns after_ns = c->cut_at - sim->now;
        if (c->cut_at != CLOCK_NEVER)
            sim_push(sim, c, SIM_CUT, 0, SIM_RANK_WIRE, u64_min(after_ns, CUT_CHECK_NS));
        return;
    }
    if (c->is_cut_known)
        return; /* of two cuts the second one: there is nothing left to break */
    c->is_cut = c->is_cut_known = true;
    sim_ladder_cut(sim, c);
    sim_wire_drop(sim, c);
    c->pipes[SIM_UP].is_refused = c->pipes[SIM_DOWN].is_refused = true;
    sim_client_on_reset(sim, c);
    sim_server_on_reset(sim, c);
}

static void on_deliver(struct sim *sim, struct sim_conn *c, enum sim_way way)
{
    enum sim_mark mark;
    if (!sim_wire_deliver(sim, c, way, &mark))
        return;
    if (way == SIM_UP)
        sim_server_on_mark(sim, c, mark);
    else
        sim_client_on_mark(sim, c, mark);
}

static void on_conn_event(struct sim *sim, const struct sim_event *e)
{
    if (!pool_is_taken(&sim->conns, e->idx))
        return;
    struct sim_conn *c = pool_at(&sim->conns, e->idx);
    if (c->generation != e->generation)
        return;
    if (e->kind == SIM_DELIVER)
        on_deliver(sim, c, (enum sim_way)e->arg);
    else if (e->kind == SIM_CUT)
        on_cut(sim, c);
    else if (e->kind == SIM_LIMIT)
        sim_client_on_limit(sim, c);
    else
        sim_server_on_event(sim, c, e);
    end_conn_if_over(sim, c);
}

static void on_due(struct sim *sim, const struct sim_event *e)
{
    struct sim_message *m = pool_at(&sim->messages, e->idx);
    ASSERT(pool_is_taken(&sim->messages, e->idx) && m->generation == e->generation);
    dispatch(sim, m);
}

static void run(struct sim *sim)
{
    clock_ns end = sim->point->model_ns_max == 0 ? CLOCK_NEVER : sim->point->model_ns_max;
    struct sim_event e;
    while (sim->failure == 0 && sim_queue_pop(&sim->queue, &e)) {
        ASSERT(e.at >= sim->now);
        if (e.at > end - u64_min(end, sim->now_base)) {
            sim->now = end - u64_min(end, sim->now_base);
            break;
        }
        sim->now = e.at;
        sim->measure->events++;
        if (e.kind == SIM_PLAN)
            on_plan(sim);
        else if (e.kind == SIM_DUE)
            on_due(sim, &e);
        else
            on_conn_event(sim, &e);
        if (sim->queue.has_failed)
            sim_fail(sim, -ENOMEM);
        if (sim->planned_count == sim->point->message_count && list_is_empty(&sim->messages_live))
            break;
    }
}

/* The end of the run: clients stop, servers too, and what is known by then counts. */
static void stop(struct sim *sim)
{
    sim->is_stopping = true;
    while (!list_is_empty(&sim->conns_live)) {
        struct sim_conn *c = CONTAINER_OF(sim->conns_live.next, struct sim_conn, live);
        sim_client_stop(sim, c);
        sim_server_stop(sim, c);
        end_conn_if_over(sim, c);
    }
    while (!list_is_empty(&sim->messages_live))
        end_message_if_over(sim, CONTAINER_OF(sim->messages_live.next, struct sim_message, live));
}

/* ---- begin and end ---- */

static void configure(struct sim *sim)
{
    const struct lab_point *p = sim->point;
    bool is_lmtp = p->server.dialect == LAB_LMTP;
    uint32_t offer = dialect_offer(machines_dialect(p->server.dialect));
    sim->session_config = (struct session_config){
        .protocol = is_lmtp ? SESSION_LMTP : SESSION_SMTP,
        .offers = SESSION_OFFER_PIPELINING | SESSION_OFFER_8BITMIME | SESSION_OFFER_ENHANCED |
                  SESSION_OFFER_SIZE | offer,
        .hostname = SLICE_LIT("mx.example"),
        .rcpt_max = RCPT_COUNT_HARD_MAX,
    };
    sim->client_count = p->mix.count > 0 ? p->mix.count : 1;
    for (uint32_t i = 0; i < sim->client_count; i++) {
        const struct lab_client *client = p->mix.count > 0 ? &p->mix.rows[i].client : &p->client;
        sim->clients[i] = client;
        sim->client_configs[i] = (struct client_config){
            .protocol = is_lmtp ? CLIENT_LMTP : CLIENT_SMTP,
            .pipelining = client->half_closes ? CLIENT_PIPELINE_FULL : CLIENT_PIPELINE_ENVELOPE,
            .hostname = slice_str(hostname),
            .dialects = offer,
            .dialect_rcpt_min = p->server.dialect == LAB_ADAT ? 1 : LAB_LIST_RCPT_MIN,
        };
    }
}

static int make_rcpts(struct sim *sim)
{
    uint32_t n = sim->point->rcpt_count;
    sim->rcpts = calloc(n, sizeof(*sim->rcpts));
    sim->addresses = calloc(n, SIM_ADDRESS_BYTES_MAX);
    if (sim->rcpts == NULL || sim->addresses == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        struct buf text =
            buf_over(sim->addresses + (size_t)i * SIM_ADDRESS_BYTES_MAX, SIM_ADDRESS_BYTES_MAX);
        buf_put_byte(&text, 'r');
        buf_put_u64(&text, i);
        BUF_PUT_LIT(&text, "@mx.example");
        ASSERT(!text.is_full);
        sim->rcpts[i].address = buf_slice(&text);
    }
    return 0;
}

static int make_body(struct sim *sim)
{
    static const char line[] = BODY_LINE;
    const size_t len = sizeof(line) - 1;
    uint64_t bytes = sim->point->message_bytes;
    sim->body_bytes = bytes > SIM_HEAD_BYTES_MAX + 2 ? bytes - SIM_HEAD_BYTES_MAX : 2;
    sim->body = malloc(sim->body_bytes);
    if (sim->body == NULL)
        return -ENOMEM;
    /* Whole lines, and what is left as a shorter one, or as a longer last one. */
    size_t at = 0;
    for (; sim->body_bytes - at >= len + 2 || sim->body_bytes - at == len; at += len)
        memcpy(sim->body + at, line, len);
    memset(sim->body + at, 'x', sim->body_bytes - at);
    memcpy(sim->body + sim->body_bytes - 2, "\r\n", 2);
    return 0;
}

static int make_senders(struct sim *sim)
{
    uint32_t count = sim->point->client_count;
    if (count == 0)
        return 0;
    sim->senders = calloc(count, sizeof(*sim->senders));
    if (sim->senders == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        list_init(&sim->senders[i].waiting);
        if (sim->point->mix.count > 0)
            sim->senders[i].row = row_at(sim, (i + 0.5) / count);
    }
    return 0;
}

static int make_pool(struct pool *p, size_t object_bytes, uint64_t count)
{
    uint64_t limit = u64_min(POOL_BYTES_MAX / object_bytes, POOL_COUNT_MAX);
    return pool_init(p, object_bytes, (uint32_t)u64_min(limit, u64_max(count, 1)));
}

static uint32_t tries_max(const struct sim *sim)
{
    uint32_t tries = 1;
    for (uint32_t i = 0; i < sim->client_count; i++)
        tries = (uint32_t)u64_max(tries, sim->clients[i]->tries_max);
    return tries;
}

/* Room for as much as can be under way at once: all messages, or the one whose turn it is. */
static int make_pools(struct sim *sim)
{
    uint32_t n = sim->point->rcpt_count;
    uint64_t messages = sim->point->rate_per_s > 0 ? sim->point->message_count : 1;
    uint64_t tries = u64_min(messages, POOL_COUNT_MAX) * tries_max(sim);
    uint64_t segments = 16 + 2 * n + 2 * sim->body_bytes / SIM_SEGMENT_BYTES; /* of a connection */
    int result = make_pool(&sim->conns, conn_bytes(n), tries);
    if (result == 0)
        result = make_pool(&sim->messages, sizeof(struct sim_message) + n * sizeof(struct sim_pair),
                           messages);
    if (result == 0)
        result = make_pool(&sim->segments, sizeof(struct sim_segment),
                           u64_min(tries, POOL_COUNT_MAX) * segments);
    if (result == 0)
        result = make_pool(&sim->records, sizeof(struct sim_record),
                           u64_min(tries, POOL_COUNT_MAX) * n * 2);
    if (result == 0)
        result = make_pool(&sim->scans, sizeof(struct scan), tries);
    return result;
}

static int begin(struct sim *sim)
{
    list_init(&sim->conns_live);
    list_init(&sim->messages_live);
    list_init(&sim->waiting);
    sim->run = chance_mix(sim->seed, 0x706F7374u);
    sim->run += sim->run == 0;
    rng_init(&sim->plan_rng, chance_mix(sim->seed, 0x706C616Eu));
    configure(sim);
    int result = make_rcpts(sim);
    if (result == 0)
        result = make_body(sim);
    if (result == 0)
        result = make_senders(sim);
    if (result == 0)
        result = make_pools(sim);
    return result == 0 ? sim_account_begin(sim) : result;
}

static void end(struct sim *sim)
{
    pool_deinit(&sim->conns);
    pool_deinit(&sim->messages);
    pool_deinit(&sim->segments);
    pool_deinit(&sim->records);
    pool_deinit(&sim->scans);
    sim_queue_deinit(&sim->queue);
    sim_account_deinit(sim);
    free(sim->senders);
    free(sim->rcpts);
    free(sim->addresses);
    free(sim->body);
    free(sim);
}

static bool is_sensible(const struct lab_point *p)
{
    double shares = 0;
    for (uint32_t i = 0; i < p->mix.count; i++)
        shares += p->mix.rows[i].share;
    return p->rcpt_count > 0 && p->rcpt_count <= RCPT_COUNT_HARD_MAX && p->message_count > 0 &&
           p->mix.count <= LAB_MIX_ROWS_MAX && (p->mix.count == 0 || fabs(shares - 1) < 1e-6) &&
           p->message_bytes <= MESSAGE_BYTES_MAX &&
           p->server.refused_share + p->server.deferred_share <= 1;
}

static double real_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int lab_sim(const struct lab_point *p, uint64_t seed, const struct lab_sim_options *o,
            struct lab_measure *ret_measure)
{
    double began = real_now();
    if (!is_sensible(p))
        return -EINVAL;
    struct sim *sim = calloc(1, sizeof(*sim));
    if (sim == NULL)
        return -ENOMEM;
    machines_begin();
    sim->point = p;
    sim->options = o;
    sim->measure = ret_measure;
    sim->seed = ret_measure->seed = seed;
    int result = begin(sim);
    if (result == 0) {
        plan_next(sim);
        run(sim);
        ret_measure->model_ns = sim->now_base + sim->now;
        stop(sim);
        sim_account_end(sim);
        result = sim->failure;
    }
    end(sim);
    ret_measure->real_s = real_now() - began;
    return result;
}
