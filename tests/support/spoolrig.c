/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spoolrig.c - owns the ledger that crash and recovery tests compare a spool directory with.
 *
 * The rule, for each message: STORED and not deleted: there, byte for byte, with exactly its
 * recipients. Aborted, refused, failed: not there. Without an outcome, in doubt, or with a delete
 * that may be stored or not: either, but never changed. Nothing else is there.
 */
#include "spoolrig.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/rng.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void rig_dir_new(char *ret_path, size_t cap)
{
    static unsigned count;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    int len = snprintf(ret_path, cap, "%s/spoolrig-%d-%u", base, (int)getpid(), count++);
    ASSERT(len > 0 && (size_t)len < cap);
}

void rig_dir_remove(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(path);
}

/* --- windows ------------------------------------------------------------------------------- */

static void source_pin(struct window_source *source, uint32_t id)
{
    struct rig *r = (struct rig *)(void *)source;
    ASSERT(id < r->count);
    r->at[id]->pins++;
}

static void source_unpin(struct window_source *source, uint32_t id)
{
    struct rig *r = (struct rig *)(void *)source;
    ASSERT(id < r->count && r->at[id]->pins > 0);
    r->at[id]->pins--;
}

static const struct window_ops source_ops = {source_pin, source_unpin};

/* --- opening ------------------------------------------------------------------------------- */

void rig_start(struct rig *r)
{
    char text[256] = "";
    r->ring = fakering_new();
    fakering_advance(r->ring, r->count * NS_PER_S); /* every start is later than the one before */
    int result = spool_dir_open(&r->options, &r->spool_dir, text, sizeof(text));
    if (result < 0)
        fprintf(stderr, "%s\n", text);
    ASSERT(result == 0);
    result = spool_new(r->spool_dir, 0, r->ring, RIG_TOKEN_OWNER, &r->spool);
    ASSERT(result == 0);
}

void rig_stop(struct rig *r)
{
    spool_free(r->spool);
    spool_dir_close(r->spool_dir);
    fakering_free(r->ring);
    r->spool = NULL;
    r->spool_dir = NULL;
    r->ring = NULL;
}

void rig_open(struct rig *r, enum spool_durability durability)
{
    char dir[sizeof(r->dir)];
    rig_dir_new(dir, sizeof(dir));
    rig_open_at(r, dir, durability);
}

void rig_open_at(struct rig *r, const char *dir, enum spool_durability durability)
{
    *r = (struct rig){.source = {&source_ops}, .part_bytes = 6000};
    snprintf(r->dir, sizeof(r->dir), "%s", dir);
    r->options = (struct spool_options){
        .dir = r->dir,
        .durability = durability,
        .shard_count = 1,
        .segment_bytes = MIB,
        .reserve_bytes = 1,
        .is_keeper_manual = true,
    };
    rig_start(r);
}

void rig_forget(struct rig *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        free(r->at[i]->body);
        free(r->at[i]);
    }
    r->count = 0;
}

void rig_close(struct rig *r)
{
    if (r->spool_dir != NULL)
        rig_stop(r);
    rig_forget(r);
    rig_dir_remove(r->dir);
}

/* --- messages ------------------------------------------------------------------------------ */

struct rig_message *rig_begin(struct rig *r, size_t body_bytes)
{
    ASSERT(r->count < RIG_MESSAGES_MAX);
    struct rig_message *m = calloc(1, sizeof(*m));
    ASSERT(m != NULL);
    m->number = r->count;
    m->rcpt_count = 1 + r->count % RIG_RCPTS_MAX;
    m->body_bytes = body_bytes;
    m->body = malloc(body_bytes + 8);
    ASSERT(m->body != NULL);
    struct rng rng;
    rng_init(&rng, 1000 + r->count);
    for (size_t i = 0; i < body_bytes; i += 8) {
        uint64_t bytes = rng_next(&rng);
        memcpy(m->body + i, &bytes, 8);
    }
    r->at[r->count++] = m;
    if (spool_begin(r->spool, &m->m, body_bytes) != SPOOL_PENDING)
        m->phase = RIG_DONE;
    return m;
}

static uint32_t parts_fill(struct rig *r, struct rig_message *m, size_t bytes,
                           struct spool_part parts[RIG_PARTS_MAX])
{
    uint32_t count = 0;
    size_t end = m->appended + bytes;
    ASSERT(end <= m->body_bytes);
    while (m->appended < end) {
        ASSERT(count < RIG_PARTS_MAX);
        /* Now and then a small one, which is copied. */
        size_t most = count % 4 == 3 ? 700 : r->part_bytes;
        struct slice piece = slice_of(m->body + m->appended, size_min(most, end - m->appended));
        parts[count++] = (struct spool_part){piece, {piece, &r->source, m->number}};
        m->appended += piece.len;
    }
    return count;
}

enum spool_outcome rig_append(struct rig *r, struct rig_message *m, size_t bytes)
{
    struct spool_part parts[RIG_PARTS_MAX];
    uint32_t count = parts_fill(r, m, bytes, parts);
    return spool_append(r->spool, &m->m, parts, count);
}

struct rig_texts {
    char address[RIG_RCPTS_MAX][64];
    char trace[128];
    char message_id[64];
    char sender[64];
};

static void envelope_fill(const struct rig_message *m, struct rig_texts *t,
                          struct spool_rcpt rcpts[RIG_RCPTS_MAX], struct spool_envelope *e)
{
    for (uint32_t i = 0; i < m->rcpt_count; i++) {
        snprintf(t->address[i], sizeof(t->address[i]), "r%u-of-%u@example.org", i, m->number);
        rcpts[i] = (struct spool_rcpt){
            .address = slice_str(t->address[i]),
            .params = {.notify = (uint8_t)(i & 7), .orcpt = SLICE_LIT("rfc822;x@example.net")},
            .class_name = i % 2 == 0 ? SLICE_LIT("strict") : SLICE_LIT("lax"),
            .state = i == 1 ? SPOOL_RCPT_HELD : SPOOL_RCPT_ACTIVE,
        };
    }
    snprintf(t->trace, sizeof(t->trace), "Received: from a by b id %u\r\n", m->number);
    snprintf(t->message_id, sizeof(t->message_id), "<%u@example.org>", m->number);
    snprintf(t->sender, sizeof(t->sender), "s%u@example.com", m->number);
    *e = (struct spool_envelope){
        .received_at = 1700000000000000 + m->number,
        .reverse_path = m->number % 7 == 0 ? SLICE_EMPTY : slice_str(t->sender),
        .mail = {.has_size = true,
                 .size = m->body_bytes,
                 .body = PARAM_BODY_8BITMIME,
                 .dialects = SESSION_OFFER_PRDR,
                 .ret = PARAM_RET_HDRS,
                 .envid = SLICE_LIT("QQ314159")},
        .helo = SLICE_LIT("client.example"),
        .client = SLICE_LIT("192.0.2.1:1234"),
        .listener = SLICE_LIT("smtp"),
        .protocol = SLICE_LIT("ESMTP"),
        .trace = slice_str(t->trace),
        .message_id = slice_str(t->message_id),
        .flags = m->number,
        .score = -(int32_t)m->number,
        .hash = {m->number, ~(uint64_t)m->number},
        .content_bytes = m->body_bytes,
        .rcpts = rcpts,
        .rcpt_count = m->rcpt_count,
    };
}

static void take_done(struct rig *r);

void rig_commit(struct rig *r, struct rig_message *m)
{
    struct spool_part parts[RIG_PARTS_MAX];
    struct spool_rcpt rcpts[RIG_RCPTS_MAX];
    struct rig_texts texts;
    struct spool_envelope envelope;
    uint32_t count = parts_fill(r, m, m->body_bytes - m->appended, parts);
    envelope_fill(m, &texts, rcpts, &envelope);
    m->phase = RIG_COMMITTING;
    spool_commit(r->spool, &m->m, parts, count, &envelope);
    memset(&texts, 0xEE, sizeof(texts)); /* it was borrowed for the call only */
    memset(parts, 0xEE, sizeof(parts));
    take_done(r);
}

void rig_abort(struct rig *r, struct rig_message *m)
{
    bool is_pending = m->m.writes_pending > 0;
    m->phase = RIG_ABORTED;
    m->is_given_out = !is_pending;
    spool_abort(r->spool, &m->m);
}

struct rig_message *rig_store(struct rig *r, size_t body_bytes)
{
    struct rig_message *m = rig_begin(r, body_bytes);
    if (m->phase == RIG_OPEN)
        rig_commit(r, m);
    return m;
}

void rig_delete(struct rig *r, struct rig_message *m)
{
    m->fate = RIG_DELETING;
    enum spool_outcome outcome = spool_result(r->spool, m->m.proof.queue_id, SPOOL_RESULT_DELETE,
                                              SPOOL_RCPT_ALL, 1700000000000000);
    ASSERT(outcome == SPOOL_PENDING);
}

/* --- turns --------------------------------------------------------------------------------- */

static void take_done(struct rig *r)
{
    struct spool_message *done;
    while ((done = spool_next_done(r->spool)) != NULL) {
        struct rig_message *m = CONTAINER_OF(done, struct rig_message, m);
        ASSERT(done->writes_pending == 0 && m->pins == 0);
        if (m->phase == RIG_ABORTED) {
            ASSERT(!m->is_given_out);
            m->is_given_out = true;
            continue;
        }
        ASSERT(m->phase == RIG_COMMITTING && done->outcome != SPOOL_PENDING);
        ASSERT(done->proof.is_committed == (done->outcome == SPOOL_STORED));
        m->phase = RIG_DONE;
    }
}

void rig_turn(struct rig *r)
{
    spool_turn(r->spool);
    take_done(r);
}

bool rig_step(struct rig *r)
{
    struct ring_event ev;
    if (!fakering_step(r->ring, &ev))
        return false;
    spool_on_event(r->spool, &ev);
    take_done(r);
    rig_turn(r);
    return true;
}

void rig_run(struct rig *r)
{
    uint64_t lost = spool_counters(r->spool)->results_lost;
    rig_turn(r);
    for (unsigned rounds = 0; rounds < 1000 && !spool_is_idle(r->spool); rounds++) {
        while (rig_step(r))
            ;
        struct ring_event ev;
        if (spool_is_idle(r->spool) || !fakering_poll_fire(r->ring, &ev))
            break;
        spool_dir_keep(r->spool_dir);
        spool_on_event(r->spool, &ev);
        rig_turn(r);
    }
    bool is_all_stored = spool_is_idle(r->spool) && !spool_is_stopped(r->spool) &&
                         lost == spool_counters(r->spool)->results_lost;
    for (uint32_t i = 0; i < r->count && is_all_stored; i++)
        if (r->at[i]->fate == RIG_DELETING)
            r->at[i]->fate = RIG_DELETED;
}

/* --- the ledger ---------------------------------------------------------------------------- */

static bool must_be_there(const struct rig_message *m)
{
    return m->phase == RIG_DONE && m->m.outcome == SPOOL_STORED && m->fate == RIG_KEPT;
}

static bool may_be_there(const struct rig_message *m)
{
    if (m->fate == RIG_DELETED || m->phase == RIG_ABORTED || m->phase == RIG_OPEN)
        return false;
    return m->phase == RIG_COMMITTING || m->m.outcome == SPOOL_STORED || m->m.is_in_doubt;
}

struct comparison {
    const uint8_t *body;
    size_t left;
    bool is_equal;
};

static int compare_piece(void *arg, struct slice bytes)
{
    struct comparison *c = arg;
    if (bytes.len > c->left || memcmp(c->body, bytes.ptr, bytes.len) != 0) {
        c->is_equal = false;
        return 1;
    }
    c->body += bytes.len;
    c->left -= bytes.len;
    return 0;
}

static bool envelope_is_equal(const struct spool_envelope *a, const struct spool_envelope *b)
{
    if (a->rcpt_count != b->rcpt_count || a->received_at != b->received_at ||
        !slice_eq(a->reverse_path, b->reverse_path) || !slice_eq(a->trace, b->trace) ||
        !slice_eq(a->message_id, b->message_id) || !slice_eq(a->client, b->client) ||
        !slice_eq(a->helo, b->helo) || !slice_eq(a->listener, b->listener) ||
        !slice_eq(a->protocol, b->protocol) || !slice_eq(a->mail.envid, b->mail.envid) ||
        a->mail.size != b->mail.size || a->mail.body != b->mail.body ||
        a->mail.ret != b->mail.ret || a->mail.dialects != b->mail.dialects ||
        a->flags != b->flags || a->score != b->score || a->hash[0] != b->hash[0] ||
        a->hash[1] != b->hash[1] || a->content_bytes != b->content_bytes)
        return false;
    for (uint32_t i = 0; i < a->rcpt_count; i++) {
        const struct spool_rcpt *x = &a->rcpts[i];
        const struct spool_rcpt *y = &b->rcpts[i];
        if (!slice_eq(x->address, y->address) || !slice_eq(x->class_name, y->class_name) ||
            !slice_eq(x->params.orcpt, y->params.orcpt) || x->params.notify != y->params.notify ||
            x->state != y->state)
            return false;
    }
    return true;
}

bool rig_is_whole(const struct rig *r, const struct store *store, uint32_t message_idx,
                  const struct rig_message *m, char *ret_text, size_t cap)
{
    (void)r;
    struct store_message found;
    struct store_damage damage;
    struct spool_rcpt rcpts[RIG_RCPTS_MAX];
    struct rig_texts texts;
    struct spool_envelope want;
    envelope_fill(m, &texts, rcpts, &want);
    int result = store_load(store, message_idx, &found, &damage);
    if (result < 0) {
        snprintf(ret_text, cap, "message %u: envelope: %s", m->number, err_name(result));
        return false;
    }
    bool is_equal = envelope_is_equal(&found.envelope, &want);
    store_message_free(&found);
    if (!is_equal) {
        snprintf(ret_text, cap, "message %u: another envelope", m->number);
        return false;
    }
    struct comparison c = {m->body, m->body_bytes, true};
    result = store_content(store, message_idx, compare_piece, &c, &damage);
    if (result == 0 && c.is_equal && c.left == 0)
        return true;
    snprintf(ret_text, cap, "message %u: content: result %d, %zu bytes left", m->number, result,
             c.left);
    return false;
}

bool rig_check_store(const struct rig *r, const char *dir, char *ret_text, size_t cap)
{
    struct store *store;
    if (store_open(dir, &store, ret_text, cap) < 0)
        return false;
    bool is_right = true;
    uint32_t found = 0;
    for (uint32_t i = 0; i < r->count && is_right; i++) {
        const struct rig_message *m = r->at[i];
        uint32_t idx;
        bool is_there = store_find(store, m->m.proof.queue_id, &idx);
        found += is_there;
        if (is_there ? !may_be_there(m) : must_be_there(m)) {
            snprintf(ret_text, cap, "message %u (phase %d, outcome %d, fate %d) is %s", m->number,
                     (int)m->phase, (int)m->m.outcome, (int)m->fate,
                     is_there ? "there" : "not there");
            is_right = false;
        }
        if (is_right && is_there)
            is_right = rig_is_whole(r, store, idx, m, ret_text, cap);
    }
    if (is_right && found != store_count(store)) {
        snprintf(ret_text, cap, "%u messages, %u of them known", store_count(store), found);
        is_right = false;
    }
    for (uint32_t i = 0; i < store_damage_count(store) && is_right; i++) {
        const struct store_damage *d = store_damage_at(store, i);
        if (d->kind == STORE_DAMAGE_TAIL)
            continue;
        snprintf(ret_text, cap, "damage of kind %d in %s at %llu", (int)d->kind, d->file,
                 (unsigned long long)d->offset);
        is_right = false;
    }
    store_close(store);
    return is_right;
}

bool rig_check(const struct rig *r, const char *dir, char *ret_text, size_t cap)
{
    struct spool_options options = r->options;
    options.dir = dir;
    struct spool_dir *d;
    if (spool_dir_open(&options, &d, ret_text, cap) < 0)
        return false;
    uint64_t live = spool_dir_stats(d)->messages_live;
    uint64_t damaged = spool_dir_stats(d)->damaged_records;
    spool_dir_close(d);
    if (!rig_check_store(r, dir, ret_text, cap))
        return false;
    uint64_t least = 0;
    uint64_t most = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        least += must_be_there(r->at[i]);
        most += may_be_there(r->at[i]);
    }
    if (damaged == 0 && live >= least && live <= most)
        return true;
    snprintf(ret_text, cap, "recovery found %llu messages and %llu damaged records",
             (unsigned long long)live, (unsigned long long)damaged);
    return false;
}

/* Every queue id in @dir, in order. */
static uint32_t ids_read(const char *dir, uint64_t ids[RIG_MESSAGES_MAX])
{
    char text[128];
    struct store *store;
    int result = store_open(dir, &store, text, sizeof(text));
    ASSERT(result == 0);
    uint32_t count = store_count(store);
    ASSERT(count <= RIG_MESSAGES_MAX);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = store_queue_id(store, i);
    store_close(store);
    return count;
}

/* The server starts on @dir, stores one more message and loses power again. */
static bool again_check(const struct rig *r, const char *dir, char *ret_text, size_t cap)
{
    uint64_t before[RIG_MESSAGES_MAX];
    uint64_t after[RIG_MESSAGES_MAX];
    uint32_t before_count = ids_read(dir, before);
    struct rig next = {.source = {&source_ops}, .options = r->options, .part_bytes = 6000};
    next.options.dir = dir;
    rig_start(&next);
    struct rig_message *m = rig_store(&next, 3000);
    rig_run(&next);
    bool is_stored = m->m.outcome == SPOOL_STORED;
    uint64_t id = m->m.proof.queue_id;
    char image[128];
    rig_dir_new(image, sizeof(image));
    int result = fakering_image(next.ring, dir, image, FAKERING_LOSE, 0);
    ASSERT(result >= 0);
    rig_stop(&next);
    free(m->body);
    free(m);
    uint32_t after_count = ids_read(image, after);
    bool is_right = true;
    rig_dir_remove(image);
    uint32_t k = 0;
    for (uint32_t i = 0; i < after_count; i++) {
        if (after[i] == id)
            continue;
        is_right &= k < before_count && before[k++] == after[i];
    }
    if (is_right && is_stored && k == before_count && after_count == k + 1)
        return true;
    snprintf(ret_text, cap, "%u messages at the first recovery, %u (stored one more: %d) after",
             before_count, after_count, is_stored);
    return false;
}

bool rig_cut_check(struct rig *r, enum fakering_cut cut, uint64_t seed, char *ret_text, size_t cap)
{
    char dir[128];
    rig_dir_new(dir, sizeof(dir));
    int result = fakering_image(r->ring, r->dir, dir, cut, seed);
    ASSERT(result >= 0);
    bool is_right = rig_check(r, dir, ret_text, cap);
    if (is_right && r->options.durability == SPOOL_DISK)
        is_right = again_check(r, dir, ret_text, cap);
    rig_dir_remove(dir);
    return is_right;
}

/* --- random runs ----------------------------------------------------------------------------- */

static size_t size_pick(struct rng *rng)
{
    switch (rng_below(rng, 10)) {
    case 0:
        return 0;
    case 1:
    case 2:
        return 50000 + rng_below(rng, 200000);
    case 3:
        return 400000 + rng_below(rng, 900000);
    default:
        return 1 + rng_below(rng, 9000);
    }
}

/* Any message in @phase that was not deleted, or NULL. */
static struct rig_message *message_pick(struct rig *r, struct rng *rng, enum rig_phase phase)
{
    uint32_t start = r->count == 0 ? 0 : (uint32_t)rng_below(rng, r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        struct rig_message *m = r->at[(start + i) % r->count];
        bool is_usable = phase != RIG_DONE || m->m.outcome == SPOOL_STORED;
        if (m->phase == phase && m->fate == RIG_KEPT && is_usable)
            return m;
    }
    return NULL;
}

static void script_message(struct rig *r, struct rng *rng)
{
    struct rig_message *m = message_pick(r, rng, RIG_OPEN);
    uint64_t dice = rng_below(rng, 8);
    if (m == NULL || dice < 3) {
        (void)rig_begin(r, size_pick(rng));
    } else if (dice < 4) {
        rig_abort(r, m);
    } else if (dice < 6 && m->body_bytes > m->appended) {
        size_t left = m->body_bytes - m->appended;
        if (rig_append(r, m, size_min(left, 1 + rng_below(rng, 120000))) != SPOOL_PENDING)
            rig_abort(r, m);
    } else {
        rig_commit(r, m);
    }
}

static void script_fault(struct rig *r, struct rng *rng, uint32_t action_count)
{
    struct fakering_fault f = {
        .kind = (enum fakering_fault_kind)rng_below(rng, 4),
        .at = (uint32_t)rng_below(rng, action_count / 4 + 1),
        .error = rng_below(rng, 2) == 0 ? -EIO : -ENOSPC,
        .bytes = 1 + rng_below(rng, 20000),
    };
    fakering_fault(r->ring, &f);
}

bool rig_script(struct rig *r, uint64_t seed, uint32_t action_count, uint32_t fault_count,
                rig_hook after, void *after_arg)
{
    struct rng rng;
    rng_init(&rng, seed);
    for (uint32_t i = 0; i < fault_count; i++)
        script_fault(r, &rng, action_count);
    for (uint32_t i = 0; i < action_count && r->count < RIG_MESSAGES_MAX - 1; i++) {
        struct rig_message *m;
        struct ring_event ev;
        switch (rng_below(&rng, 8)) {
        case 0:
            m = message_pick(r, &rng, RIG_DONE);
            if (m != NULL && !spool_is_stopped(r->spool))
                rig_delete(r, m);
            break;
        case 1:
            spool_dir_keep(r->spool_dir);
            if (fakering_poll_fire(r->ring, &ev))
                spool_on_event(r->spool, &ev);
            break;
        case 2:
        case 3:
        case 4:
            script_message(r, &rng);
            break;
        default:
            rig_turn(r);
            if (rig_step(r) && !after(after_arg, r))
                return false;
        }
    }
    rig_run(r);
    return after(after_arg, r);
}
