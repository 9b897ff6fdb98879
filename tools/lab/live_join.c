/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_join.c - owns reading attempts and arrivals of a run in real time: who settled what in which
 * try, and when.
 *
 * All times in files are wall clock; those of a measure are model time from the first plan.
 */
#include "lab/live_join.h"
#include "base/assert.h"
#include "base/err.h"
#include "lab/account.h"
#include "lab/input.h"
#include "lab/lines.h"
#include "lab/live_fault.h"
#include "lab/live_plan.h"
#include "load/report.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NEIGHBOURS_MAX 64 /* connections may be taken in another order than they are made */
#define SERIES_BUCKETS_MAX 4096

#define LATE_LOG_US ((wall_us)500000) /* a program's log is read so late at most */

struct pair {
    bool is_committed_first, is_credited_first; /* by the first try */
    uint32_t copies, accepted;                  /* of all tries */
    wall_us stored_at;                          /* in a spool: when the first of them was begun */
};

struct
try {
    uint32_t message;
    uint32_t attempt;
    wall_us start_at, end_at;
    bool has_failed, has_connected;
};

struct message {
    wall_us planned_at, end_at;
    wall_us first_end_at;           /* of its first try */
    uint64_t first_conn, first_txn; /* that brought a copy; 0: none so far */
    bool has_settled;               /* any pair */
    bool has_run_out;               /* a pair that no further try will be made for */
};

struct join {
    const struct live_files *files;
    const struct lab_job *job;
    struct lab_measure *m;
    uint32_t rcpt_count;
    uint32_t bases[LAB_MIX_ROWS_MAX]; /* index of a source's first message */
    uint32_t message_count;
    struct message *messages;
    struct pair *pairs;
    uint32_t try_count, try_cap;
    struct try *tries;
    wall_us begin_at, end_at;
    FILE *rewritten; /* attempts of the source that is being completed */
};

static int64_t source_of(const struct join *j, uint64_t run)
{
    for (uint32_t i = 0; i < j->files->source_count; i++)
        if (j->files->sources[i].run == run)
            return i;
    return -1;
}

/* UINT32_MAX: not one of ours. */
static uint32_t message_of(const struct join *j, struct identity id)
{
    int64_t source = source_of(j, id.run);
    if (source < 0 || id.seq >= j->files->sources[source].messages)
        return UINT32_MAX;
    return j->bases[source] + (uint32_t)id.seq;
}

/* The number in "r7@lab.example"; UINT32_MAX: it is not one of the point. */
static uint32_t rcpt_of(const struct join *j, struct slice address)
{
    uint32_t number = 0;
    size_t at = 1;
    if (address.len < 3 || address.ptr[0] != 'r' || address.ptr[1] == '@')
        return UINT32_MAX;
    for (; at < address.len && address.ptr[at] != '@'; at++) {
        if (address.ptr[at] < '0' || address.ptr[at] > '9' || number > UINT32_MAX / 16)
            return UINT32_MAX;
        number = number * 10 + (address.ptr[at] - '0');
    }
    return number < j->rcpt_count ? number : UINT32_MAX;
}

static struct pair *pair_of(const struct join *j, uint32_t message, uint32_t rcpt)
{
    return &j->pairs[(size_t)message * j->rcpt_count + rcpt];
}

/* Model time since the run began. */
static clock_ns model_at(const struct join *j, wall_us at)
{
    wall_us since = at > j->begin_at ? at - j->begin_at : 0;
    return live_model_time(since * NS_PER_US, j->job->time_scale_ns);
}

/* --- attempts --------------------------------------------------------------------------------- */

static struct try *try_of(struct join *j, uint32_t message, const struct attempt *a)
{
    if (j->try_count > 0) {
        struct try *last = &j->tries[j->try_count - 1];
        if (last->message == message && last->attempt == a->attempt)
            return last;
    }
    if (j->try_count == j->try_cap) {
        uint32_t cap = j->try_cap > 0 ? 2 * j->try_cap : 1024;
        struct try *larger = realloc(j->tries, cap * sizeof(*larger));
        if (larger == NULL)
            return NULL;
        j->tries = larger;
        j->try_cap = cap;
    }
    j->tries[j->try_count] = (struct try){.message = message,
                                          .attempt = a->attempt,
                                          .start_at = a->start_at,
                                          .end_at = a->end_at,
                                          .has_connected = true};
    return &j->tries[j->try_count++];
}

/* What a client that left tells of lateness: a reply was due and had not come, so nobody measured
 * it; or he left later than his limit says. Ahead of the content there is the envelope, which
 * counts as late here and is short. Of what a wire delays or swallows nothing can be told. */
static clock_ns late_at_end(const struct join *j, const struct attempt *a)
{
    const struct lab_point *p = j->job->point;
    struct live_sender senders[LAB_MIX_ROWS_MAX];
    int64_t source = source_of(j, a->id.run);
    if (a->sent != ATTEMPT_SENT_ALL || source < 0 || source >= live_senders(p, senders) ||
        j->files->sources[source].report == NULL || live_fault_needs_wire(p))
        return 0;
    const struct lab_client *client = senders[source].client;
    wall_us wall = a->end_at > a->start_at ? a->end_at - a->start_at : 0;
    clock_ns took = live_model_time(wall * NS_PER_US, j->job->time_scale_ns), late = 0;
    clock_ns due = CLOCK_NEVER;
    if (a->attempt == 0 || p->server.dialect == LAB_LMTP) /* who is left may have no list */
        due = live_reply_due(p, a->replies_seen);
    if (due == CLOCK_NEVER)
        due = live_reply_due(p, CLOCK_NEVER);
    if (a->cause == ATTEMPT_CAUSE_TIMEOUT && took > due)
        late = took - due;
    if (client->timer == LAB_TIMER_TOTAL && took > client->limit_ns)
        late = u64_max(late, took - client->limit_ns);
    return late;
}

static int take_attempt(struct join *j, const struct attempt *a)
{
    uint32_t message = message_of(j, a->id), rcpt = rcpt_of(j, a->address);
    if (message == UINT32_MAX || rcpt == UINT32_MAX)
        return -EBADMSG;
    struct message *m = &j->messages[message];
    struct try *t = try_of(j, message, a);
    if (t == NULL)
        return -ENOMEM;
    bool is_settled = a->fate == ATTEMPT_ACCEPTED || a->fate == ATTEMPT_REFUSED;
    t->has_failed |= a->fate == ATTEMPT_UNKNOWN;
    t->has_connected &= a->cause != ATTEMPT_CAUSE_CONNECT;
    if (a->attempt == 0 && (m->planned_at == 0 || a->planned_at < m->planned_at))
        m->planned_at = a->planned_at;
    if (a->end_at > m->end_at)
        m->end_at = a->end_at;
    m->has_settled |= is_settled;
    m->has_run_out |= !is_settled && !a->will_retry;
    struct pair *pair = pair_of(j, message, rcpt);
    pair->is_credited_first |= a->fate == ATTEMPT_ACCEPTED && a->attempt == 0;
    pair->accepted += a->fate == ATTEMPT_ACCEPTED;
    if (a->attempt == 0 && a->end_at > m->first_end_at)
        m->first_end_at = a->end_at;
    if (j->begin_at == 0 || a->planned_at < j->begin_at)
        j->begin_at = a->planned_at;
    if (a->end_at > j->end_at)
        j->end_at = a->end_at;
    j->m->late_ns = u64_max(j->m->late_ns, late_at_end(j, a));
    return 0;
}

typedef int (*take_line)(struct join *j, struct slice line, uint64_t run, FILE *out);

static int each_line(struct join *j, const char *path, uint64_t run, FILE *out, take_line take)
{
    struct lines l;
    struct slice line;
    int result = lines_open(&l, path);
    while (result == 0) {
        result = lines_next(&l, &line);
        if (result != LINES_GOOD)
            break;
        if (out != NULL && (fwrite(line.ptr, 1, line.len, out) != line.len || putc('\n', out) < 0))
            result = -EIO;
        else if (line.len > 0 && line.ptr[0] == '#')
            result = 0;
        else
            result = take(j, line, run, out);
    }
    lines_close(&l);
    return result > 0 ? 0 : result; /* damage was counted when the ledger read it */
}

static int attempt_line(struct join *j, struct slice line, uint64_t run, FILE *out)
{
    struct attempt a;
    (void)out;
    return attempts_parse(line, run, &a) ? take_attempt(j, &a) : -EBADMSG;
}

/* --- what a client does not tell, and the wire knows ------------------------------------------ */

static const struct live_wire_note *cut_of(const struct join *j, uint32_t message, uint32_t attempt)
{
    for (uint32_t i = 0; i < j->files->note_count; i++) {
        const struct live_wire_note *n = &j->files->notes[i];
        if (n->message == message && n->attempt == attempt && !n->is_silent)
            return n;
    }
    return NULL;
}

static int put_rewritten(const struct join *j, const struct buf *line)
{
    ASSERT(!line->is_full);
    return fwrite(line->ptr, 1, line->len, j->rewritten) == line->len ? 0 : -EIO;
}

/* A connection that was cut: behind so many replies. */
static int complete_line(struct join *j, struct slice line, uint64_t run, FILE *out)
{
    struct attempt a;
    uint8_t memory[ATTEMPT_LINE_BYTES_MAX];
    struct buf text = buf_over(memory, sizeof(memory));
    (void)out;
    if (!attempts_parse(line, run, &a))
        return -EBADMSG;
    uint32_t message = message_of(j, a.id);
    const struct live_wire_note *cut = a.cause == ATTEMPT_CAUSE_LOST && message != UINT32_MAX
                                           ? cut_of(j, message, a.attempt)
                                           : NULL;
    if (cut != NULL) {
        a.replies_seen = cut->replies_seen;
        a.replies_due = cut->replies_due;
    }
    attempts_put(&text, &a);
    return put_rewritten(j, &text);
}

static int complete_attempts(struct join *j, const struct live_source *s)
{
    char path[4096];
    uint8_t memory[1024];
    struct buf head = buf_over(memory, sizeof(memory));
    int len = snprintf(path, sizeof(path), "%s.completed", s->attempts);
    if (len < 0 || (size_t)len >= sizeof(path))
        return -ENAMETOOLONG;
    j->rewritten = fopen(path, "we");
    if (j->rewritten == NULL)
        return -errno;
    attempts_put_head(&head, s->run);
    int result = put_rewritten(j, &head);
    if (result == 0)
        result = each_line(j, s->attempts, s->run, NULL, complete_line);
    if (fclose(j->rewritten) != 0 && result == 0)
        result = -errno;
    if (result == 0 && rename(path, s->attempts) < 0)
        result = -errno;
    return result;
}

/* --- tries ------------------------------------------------------------------------------------ */

static int by_start(const void *left, const void *right)
{
    const struct try *a = left, *b = right;
    if (a->has_connected != b->has_connected)
        return a->has_connected ? -1 : 1;
    if (a->start_at != b->start_at)
        return a->start_at < b->start_at ? -1 : 1;
    return a->message < b->message ? -1 : a->message > b->message;
}

static int take_attempts(struct join *j)
{
    int result = 0;
    for (uint32_t i = 0; i < j->files->source_count && result == 0; i++) {
        const struct live_source *s = &j->files->sources[i];
        result = each_line(j, s->attempts, s->run, j->job->attempts, attempt_line);
    }
    if (j->try_count > 0)
        qsort(j->tries, j->try_count, sizeof(*j->tries), by_start);
    return result;
}

/* --- arrivals --------------------------------------------------------------------------------- */

/* The try that was made over connection @conn (from 1), if it is one of @message. */
static const struct try *try_by_conn(const struct join *j, uint32_t message, uint64_t conn)
{
    for (uint64_t distance = 0; distance <= NEIGHBOURS_MAX; distance++) {
        for (int side = 0; side < 2; side++) {
            uint64_t idx = side == 0 ? conn - 1 + distance : conn - 1 - distance;
            if (idx < j->try_count && j->tries[idx].message == message &&
                j->tries[idx].has_connected)
                return &j->tries[idx];
        }
    }
    return NULL;
}

/*
 * Whether @a is of its message's first try. A program that is not ours may use a connection again,
 * so there it is told by order: the first transaction of all that brought copies is the first
 * try's. But when a server stops where its client has left, the first try may have brought none;
 * then what is there came later than the first try has ended.
 */
static bool is_of_first_try(const struct join *j, uint32_t message, const struct arrival *a)
{
    const struct message *m = &j->messages[message];
    if (j->files->has_try_a_connection) {
        const struct try *t = try_by_conn(j, message, a->conn);
        return t != NULL && t->attempt == 0;
    }
    if (!j->files->is_arrival_timed || a->conn != m->first_conn || a->txn != m->first_txn)
        return false;
    const struct lab_point *p = j->job->point;
    bool never_looks = p->server.vanished == LAB_VANISHED_RUN || p->client.half_closes;
    return never_looks || a->at <= m->first_end_at + LATE_LOG_US;
}

static struct lab_bucket *bucket_of(const struct join *j, wall_us at)
{
    const struct lab_series *s = &j->m->series;
    if (s->at == NULL)
        return NULL;
    uint64_t idx = model_at(j, at) / s->width_ns;
    return &s->at[u64_min(idx, s->count - 1)];
}

static void add_rung(const struct join *j, uint32_t attempt, wall_us at, enum ladder_who who,
                     const char *text)
{
    struct rung *r = ladder_add(j->job->ladder, model_at(j, at), attempt, who, LADDER_NONE);
    if (r != NULL)
        snprintf(r->text, sizeof(r->text), "%s", text);
}

static bool wants_rungs(const struct join *j, uint32_t message)
{
    return j->job->ladder != NULL && message == j->job->ladder_seq;
}

/* The try that had begun last. */
static uint32_t attempt_at(const struct join *j, uint32_t message, wall_us at)
{
    uint32_t attempt = 0;
    for (uint32_t i = 0; i < j->try_count; i++)
        if (j->tries[i].message == message && j->tries[i].start_at <= at)
            attempt = j->tries[i].attempt > attempt ? j->tries[i].attempt : attempt;
    return attempt;
}

static uint32_t arrival_parse(const struct join *j, struct slice line, struct arrival *ret_arrival,
                              uint32_t *ret_rcpt)
{
    if (!arrivals_parse(line, ret_arrival) || !ret_arrival->has_id)
        return UINT32_MAX;
    *ret_rcpt = rcpt_of(j, ret_arrival->address);
    return *ret_rcpt == UINT32_MAX ? UINT32_MAX : message_of(j, ret_arrival->id);
}

/* First it is told which transaction was the first one of each message. */
static int note_first(struct join *j, struct slice line, uint64_t run, FILE *out)
{
    struct arrival a;
    uint32_t rcpt, message = arrival_parse(j, line, &a, &rcpt);
    (void)run;
    (void)out;
    if (message == UINT32_MAX)
        return 0;
    struct message *m = &j->messages[message];
    bool is_earlier = a.conn < m->first_conn || (a.conn == m->first_conn && a.txn < m->first_txn);
    if (m->first_conn == 0 || is_earlier) {
        m->first_conn = a.conn;
        m->first_txn = a.txn;
    }
    return 0;
}

static int arrival_line(struct join *j, struct slice line, uint64_t run, FILE *out)
{
    struct arrival a;
    uint32_t rcpt, message = arrival_parse(j, line, &a, &rcpt);
    (void)run;
    (void)out;
    if (message == UINT32_MAX)
        return 0;
    struct pair *pair = pair_of(j, message, rcpt);
    struct lab_bucket *bucket = bucket_of(j, a.at);
    if (bucket != NULL && pair->copies > 0)
        bucket->copies++;
    pair->copies++;
    pair->is_committed_first |= is_of_first_try(j, message, &a);
    if (wants_rungs(j, message) && j->files->is_arrival_timed) {
        char text[LADDER_TEXT_BYTES_MAX];
        snprintf(text, sizeof(text), "commits recipient %u", rcpt + 1);
        add_rung(j, attempt_at(j, message, a.at), a.at, LADDER_SERVER, text);
    }
    return 0;
}

/* --- the measure ------------------------------------------------------------------------------ */

static void count_tries(struct join *j)
{
    for (uint32_t i = 0; i < j->try_count; i++) {
        const struct try *t = &j->tries[i];
        struct lab_bucket *bucket = bucket_of(j, t->start_at);
        j->m->tries++;
        j->m->tries_failed += t->has_failed;
        if (bucket != NULL) {
            bucket->started += t->attempt == 0;
            bucket->retries += t->attempt > 0;
        }
        if (!wants_rungs(j, t->message))
            continue;
        add_rung(j, t->attempt, t->start_at, LADDER_CLIENT, "begins a try");
        add_rung(j, t->attempt, t->end_at, LADDER_CLIENT,
                 t->has_failed ? "ends it without all replies" : "has all replies");
    }
}

static void tell_faults(const struct join *j)
{
    for (uint32_t i = 0; i < j->files->note_count; i++) {
        const struct live_wire_note *n = &j->files->notes[i];
        char text[LADDER_TEXT_BYTES_MAX];
        if (!wants_rungs(j, n->message))
            continue;
        if (n->is_silent)
            snprintf(text, sizeof(text), "black hole: nothing passes any more");
        else
            snprintf(text, sizeof(text), "connection cut, behind %u answer%s", n->answers,
                     n->answers == 1 ? "" : "s");
        add_rung(j, n->attempt, n->at, LADDER_WIRE, text);
    }
}

/* Where nobody knows when copies came, one that no reply stands for is the first try's. */
static bool costs_first_try(const struct join *j, const struct message *m, const struct pair *p)
{
    if (p->is_credited_first)
        return false;
    if (j->files->is_spool)
        return p->copies > 0 && p->stored_at <= m->first_end_at;
    return j->files->is_arrival_timed ? p->is_committed_first : p->copies > p->accepted;
}

static void count_message(struct join *j, uint32_t idx)
{
    const struct message *m = &j->messages[idx];
    uint64_t copies = 0;
    for (uint32_t r = 0; r < j->rcpt_count; r++)
        copies += costs_first_try(j, m, pair_of(j, idx, r));
    j->m->copies_first_try += copies;
    j->m->copies_first_try_sq += copies * copies;
    if (m->end_at == 0)
        return; /* never begun */
    j->m->livelocks += m->has_run_out && !m->has_settled;
    struct lab_bucket *bucket = bucket_of(j, m->end_at);
    if (bucket != NULL)
        bucket->settled++;
    wall_us took = m->end_at > m->planned_at ? m->end_at - m->planned_at : 0;
    hist_record(&j->m->settled, live_model_time(took * NS_PER_US, j->job->time_scale_ns));
}

static int series_begin(struct join *j)
{
    struct lab_series *s = &j->m->series;
    if (j->job->series_width_ns == 0)
        return 0;
    s->width_ns = j->job->series_width_ns;
    while (j->m->model_ns / s->width_ns >= SERIES_BUCKETS_MAX)
        s->width_ns *= 2;
    s->count = (uint32_t)(j->m->model_ns / s->width_ns) + 1;
    s->at = calloc(s->count, sizeof(*s->at));
    return s->at == NULL ? -ENOMEM : 0;
}

static int rungs_by_time(const void *left, const void *right)
{
    const struct rung *a = left, *b = right;
    return a->at < b->at ? -1 : a->at > b->at;
}

static int read_all(struct join *j)
{
    int result = take_attempts(j);
    if (result < 0)
        return result;
    j->m->model_ns = model_at(j, j->end_at);
    result = series_begin(j);
    if (result == 0 && !j->files->is_spool)
        result = each_line(j, j->files->arrivals, 0, NULL, note_first);
    if (result == 0 && !j->files->is_spool)
        result = each_line(j, j->files->arrivals, 0, j->job->arrivals, arrival_line);
    if (result < 0)
        return result;
    count_tries(j);
    tell_faults(j);
    for (uint32_t i = 0; i < j->message_count; i++)
        count_message(j, i);
    struct ladder *l = j->job->ladder;
    if (l != NULL && l->count > 0)
        qsort(l->rungs, l->count, sizeof(*l->rungs), rungs_by_time);
    return 0;
}

/* --- what postern-load measured --------------------------------------------------------------- */

static void add_scaled(struct hist *to, const struct hist *from, clock_ns scale)
{
    struct hist_bucket b;
    uint32_t idx = 0;
    while (hist_next(from, &idx, &b)) {
        uint64_t value = b.low + (b.high - b.low) / 2;
        if (b.high >= from->max && b.low <= from->max)
            value = from->max;
        hist_record_many(to, live_model_time(value, scale), b.count);
    }
}

static clock_ns late_by(const struct hist *seen, clock_ns due_model, clock_ns scale)
{
    if (seen->total == 0 || due_model == CLOCK_NEVER)
        return 0;
    clock_ns at = live_model_time(seen->max, scale);
    return at > due_model ? at - due_model : 0;
}

static int take_report(struct join *j, const char *path, FILE *err)
{
    char text[200];
    struct load_report *r;
    clock_ns scale = j->job->time_scale_ns, late;
    int result = report_json_read(path, &r, text, sizeof(text));
    if (result < 0) {
        fprintf(err, "postern-lab: %s: %s\n", path, text);
        return result;
    }
    const struct load_stats *s = r->stats;
    add_scaled(&j->m->dot_to_first, &s->actual[LOAD_PHASE_FIRST_REPLY], scale);
    add_scaled(&j->m->dot_to_last, &s->actual[LOAD_PHASE_LAST_REPLY], scale);
    late = live_model_time(s->start_lag.max, scale);
    for (uint32_t k = 0; k < LOAD_REPLY_K_MAX && k < j->rcpt_count; k++)
        late = u64_max(late, late_by(&s->reply_k[k], live_reply_due(j->job->point, k), scale));
    late = u64_max(late, late_by(&s->actual[LOAD_PHASE_LAST_REPLY],
                                 live_reply_due(j->job->point, CLOCK_NEVER), scale));
    j->m->late_ns = u64_max(j->m->late_ns, late);
    report_free(r);
    return 0;
}

/* --- the ledger ------------------------------------------------------------------------------- */

/* A copy in a spool, which is not read twice: into its pair, and into the file. */
static int on_copy(void *arg, const struct arrival *a)
{
    struct join *j = arg;
    uint8_t memory[ARRIVAL_LINE_BYTES_MAX];
    struct buf line = buf_over(memory, sizeof(memory));
    uint32_t rcpt = a->has_id ? rcpt_of(j, a->address) : UINT32_MAX;
    uint32_t message = rcpt != UINT32_MAX ? message_of(j, a->id) : UINT32_MAX;
    if (message == UINT32_MAX)
        return 0;
    struct pair *pair = pair_of(j, message, rcpt);
    if (pair->copies == 0 || a->at < pair->stored_at)
        pair->stored_at = a->at;
    pair->copies++;
    arrivals_put(&line, a);
    bool is_told =
        j->job->arrivals == NULL || fwrite(line.ptr, 1, line.len, j->job->arrivals) == line.len;
    return is_told ? 0 : -EIO;
}

static int add_spool(struct input *in, const char *path)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the reader has memory of its own */
    const struct join *j = in->arg;
    uint8_t memory[ARRIVAL_LINE_BYTES_MAX];
    struct buf head = buf_over(memory, sizeof(memory));
    arrivals_put_head(&head);
    if (j->job->arrivals != NULL && fwrite(head.ptr, 1, head.len, j->job->arrivals) != head.len)
        return -EIO;
    pthread_mutex_lock(&lock);
    int result = arrivals_read_spool(in, path);
    pthread_mutex_unlock(&lock);
    return result;
}

static int take_ledger(struct join *j, FILE *err)
{
    struct input in = {.err = err, .on_copy = on_copy, .arg = j};
    int result = ledger_new(LEDGER_COPY_RCPT, &in.ledger);
    for (uint32_t i = 0; i < j->files->source_count && result == 0; i++)
        result = attempts_read(&in, j->files->sources[i].attempts);
    if (result == 0 && j->files->is_spool)
        result = add_spool(&in, j->files->arrivals);
    else if (result == 0)
        result = arrivals_read_sink(&in, j->files->arrivals);
    if (result == 0 && in.damaged > 0)
        result = -EBADMSG;
    if (result == 0)
        account_join(in.ledger, j->m);
    ledger_free(in.ledger);
    return result;
}

int live_join(const struct live_files *files, const struct lab_job *job, struct lab_measure *m,
              FILE *err)
{
    struct join j = {.files = files, .job = job, .m = m, .rcpt_count = job->point->rcpt_count};
    for (uint32_t i = 0; i < files->source_count; i++) {
        j.bases[i] = j.message_count;
        j.message_count += (uint32_t)files->sources[i].messages;
    }
    j.messages = calloc(j.message_count + 1, sizeof(*j.messages));
    j.pairs = calloc((size_t)j.message_count * j.rcpt_count + 1, sizeof(*j.pairs));
    int result = j.messages != NULL && j.pairs != NULL ? 0 : -ENOMEM;
    for (uint32_t i = 0; i < files->source_count && result == 0; i++)
        if (files->sources[i].report == NULL && files->note_count > 0)
            result = complete_attempts(&j, &files->sources[i]);
    if (result == 0)
        result = take_ledger(&j, err);
    if (result == 0)
        result = read_all(&j);
    for (uint32_t i = 0; i < files->source_count && result == 0; i++)
        if (files->sources[i].report != NULL)
            result = take_report(&j, files->sources[i].report, err);
    free(j.messages);
    free(j.pairs);
    free(j.tries);
    return result;
}
