/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_verify.c - owns "posternctl spool verify": every record has been read by store_open(); here
 * every message is read too, and damage is told place by place.
 */
#include "base/err.h"
#include "ctl_spool_call.h"
#include "ctl_text.h"
#include <inttypes.h>
#include <stdlib.h>

struct verifying {
    const struct spool_call *call;
    uint64_t *affected; /* queue ids, perhaps repeated */
    uint32_t affected_count;
    uint64_t place_count;
    uint64_t tail_count;
    uint64_t held_count;
    uint64_t content_bytes;
    int status;
};

static void damage_tell(struct verifying *v, const struct store_damage *damage)
{
    if (damage->kind == STORE_DAMAGE_TAIL) {
        v->tail_count++;
        return;
    }
    v->status = EXIT_FAILED;
    v->place_count++;
    if (damage->queue_id != 0)
        v->affected[v->affected_count++] = damage->queue_id;
    spool_put_damage(v->call, v->call->ctl->out, damage);
    fputc('\n', v->call->ctl->out);
}

static int message_read(struct verifying *v, uint32_t message_idx, struct store_damage *damage)
{
    const struct store *s = v->call->store;
    struct store_message m;
    int result = store_load(s, message_idx, &m, damage);
    if (result < 0)
        return result;
    v->held_count += m.held_count > 0;
    v->content_bytes += m.envelope.content_bytes;
    store_message_free(&m);
    return store_content(s, message_idx, NULL, NULL, damage);
}

static void message_verify(struct verifying *v, uint32_t message_idx)
{
    uint64_t queue_id = store_queue_id(v->call->store, message_idx);
    struct store_damage damage;
    int result = message_read(v, message_idx, &damage);
    if (result == -EBADMSG && spool_is_damaged(v->call, queue_id, &damage))
        damage_tell(v, &damage);
    else if (result < 0 && result != -EBADMSG)
        v->status = spool_say(v->call, queue_id, err_text(result));
}

static int id_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static uint32_t affected_distinct(struct verifying *v)
{
    uint32_t count = 0;
    qsort(v->affected, v->affected_count, sizeof(*v->affected), id_compare);
    for (uint32_t i = 0; i < v->affected_count; i++)
        count += i == 0 || v->affected[i] != v->affected[i - 1];
    return count;
}

static void summary_put(struct verifying *v)
{
    FILE *out = v->call->ctl->out;
    const struct spool_recovery_stats *stats = store_stats(v->call->store);
    ctl_put_text(out, slice_str(v->call->dir), CTL_TEXT_LINE);
    fprintf(out,
            ": %u messages (%" PRIu64 " held), %" PRIu64 " bytes of content, %" PRIu64
            " segments, %" PRIu64 " records: ",
            store_count(v->call->store), v->held_count, v->content_bytes, stats->segments,
            stats->records);
    if (v->place_count > 0)
        fprintf(out, "%" PRIu64 " places damaged, %u messages known to be affected", v->place_count,
                affected_distinct(v));
    else
        fputs(v->status == EXIT_OK ? "no damage" : "not all of it could be read", out);
    if (v->tail_count > 0)
        fprintf(out, "; %" PRIu64 " unfinished (at a crash, or now), not accepted", v->tail_count);
    fputc('\n', out);
}

int spool_verify(struct spool_call *call)
{
    uint32_t count = store_count(call->store);
    uint32_t damage_count = store_damage_count(call->store);
    struct verifying v = {.call = call, .status = EXIT_OK};
    v.affected = calloc((size_t)count + damage_count + 1, sizeof(*v.affected));
    if (v.affected == NULL)
        return ctl_failed(call->ctl, call->dir, "out of memory");
    for (uint32_t i = 0; i < damage_count; i++)
        damage_tell(&v, store_damage_at(call->store, i));
    for (uint32_t i = 0; i < count && !ferror(call->ctl->out); i++)
        message_verify(&v, i);
    summary_put(&v);
    free(v.affected);
    return v.status;
}
