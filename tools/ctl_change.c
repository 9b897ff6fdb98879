/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_change.c - owns "posternctl spool delete" and "requeue": which messages they may be done to,
 * and one entry of the control log for each.
 */
#include "ctl_spool_call.h"
#include "ctl_text.h"
#include <stdlib.h>

struct change {
    enum spool_result_op op;
    const char *done; /* for the summary */
};

/* Is message @message_idx, which was named, to be changed? False: it has been said why not. */
static bool named_is_right(const struct spool_call *call, const struct change *change,
                           uint32_t message_idx)
{
    struct store_message m;
    if (change->op == SPOOL_RESULT_DELETE)
        return true; /* also what is damaged may be deleted */
    if (spool_load(call, message_idx, &m) != EXIT_OK)
        return false;
    bool is_held = m.held_count > 0;
    if (!is_held)
        spool_say(call, m.queue_id, "has no recipient that is held");
    store_message_free(&m);
    return is_held;
}

/* The same for a message that --all-held came upon. */
static bool found_is_right(const struct spool_call *call, const struct change *change,
                           uint32_t message_idx, int *status)
{
    struct store_message m;
    if (spool_load(call, message_idx, &m) != EXIT_OK) {
        *status = EXIT_FAILED;
        return false;
    }
    bool is_right = m.held_count > 0;
    if (is_right && change->op == SPOOL_RESULT_DELETE && m.active_count > 0) {
        *status = spool_say(call, m.queue_id,
                            "has an active recipient too, not deleted (name it to delete it)");
        is_right = false;
    }
    store_message_free(&m);
    return is_right;
}

static int append(const struct spool_call *call, const struct change *change,
                  const uint64_t *queue_ids, uint32_t count, int status)
{
    char text[512];
    if (count > 0 && store_control_append(call->dir, queue_ids, count, change->op, call->now, text,
                                          sizeof(text)) < 0) {
        fputs("posternctl: ", call->ctl->err);
        ctl_put_text(call->ctl->err, slice_str(text), CTL_TEXT_LINE);
        fprintf(call->ctl->err, "; of %u messages none is known to be %s\n", count, change->done);
        return EXIT_FAILED;
    }
    fprintf(call->ctl->out, "%u messages %s\n", count, change->done);
    return status;
}

static int change_run(struct spool_call *call, const struct change *change)
{
    bool *selected = NULL;
    uint32_t count = store_count(call->store);
    if ((call->word_count > 0) == call->is_all_held)
        return spool_usage(call, "give queue ids, or --all-held");
    uint64_t *queue_ids = calloc((size_t)count + 1, sizeof(*queue_ids));
    int status = spool_select(call, &selected);
    if (queue_ids == NULL || selected == NULL) {
        free(queue_ids);
        free(selected);
        return ctl_failed(call->ctl, call->dir, "out of memory");
    }
    uint32_t queue_id_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool is_right;
        if (call->is_all_held)
            is_right = found_is_right(call, change, i, &status);
        else if (!selected[i])
            continue;
        else
            is_right = named_is_right(call, change, i);
        if (is_right)
            queue_ids[queue_id_count++] = store_queue_id(call->store, i);
        else if (selected[i])
            status = EXIT_FAILED;
    }
    status = append(call, change, queue_ids, queue_id_count, status);
    free(queue_ids);
    free(selected);
    return status;
}

int spool_delete(struct spool_call *call)
{
    return change_run(call, &(struct change){SPOOL_RESULT_DELETE, "deleted"});
}

int spool_requeue(struct spool_call *call)
{
    return change_run(call, &(struct change){SPOOL_RESULT_RELEASE, "requeued"});
}
