/* SPDX-License-Identifier: Apache-2.0 */
/* txn.c - owns the memory of a message: envelope texts, recipients, start and hash of content. */
#include "txn.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define RCPTS_FIRST 16
#define TEXT_BYTES_FIRST 1024

struct txn *txn_new(void)
{
    struct txn *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    list_init(&t->link);
    t->stored.fd = -1;
    return t;
}

void txn_free(struct txn *t)
{
    if (t == NULL)
        return;
    store_abort(&t->stored);
    XXH3_freeState(t->hash);
    free(t->head);
    free(t->text);
    free(t->entries);
    free(t->rcpts);
    free(t->works);
    free(t);
}

static bool text_put(struct txn *t, struct slice s)
{
    if (s.len > t->text_cap - t->text_len) {
        size_t cap = t->text_cap == 0 ? TEXT_BYTES_FIRST : (size_t)t->text_cap * 2;
        while (cap - t->text_len < s.len)
            cap *= 2;
        if (cap > UINT32_MAX)
            return false;
        uint8_t *text = realloc(t->text, cap);
        if (text == NULL)
            return false;
        t->text = text;
        t->text_cap = (uint32_t)cap;
    }
    if (s.len > 0)
        memcpy(t->text + t->text_len, s.ptr, s.len);
    t->text_len += (uint32_t)s.len;
    return true;
}

void txn_begin(struct txn *t, uint32_t number, struct slice sender)
{
    ASSERT(t->stored.fd < 0);
    t->number = number;
    t->rcpt_seen = 0;
    t->rcpt_count = 0;
    t->text_len = 0;
    t->sender_len = 0;
    t->head_len = 0;
    t->is_hashing = false;
    t->is_keeping_head = false;
    t->has_id = false;
    t->attempt = 0;
    t->content_bytes = 0;
    t->content_hash = 0;
    t->dot = (struct script_effect){0};
    t->refusal = t->whole = ANSWER(STATUS_NONE);
    t->line_idx = t->lines_said = t->lines_max = 0;
    t->answer_bytes = 0;
    t->is_naming = t->is_answering = t->is_promised = t->is_last_due = false;
    t->has_failed = false;
    t->stage = TXN_DONE;
    t->begun_count = t->decided_count = t->writing_count = 0;
    t->answered_idx = t->shown_idx = t->tweak_count = t->work_count = 0;
    t->is_dropping = t->is_unheard = t->is_writing_opener = t->is_opener_written = false;
    t->stage_at = t->opener_at = t->opener_written_at = t->budget_at = t->gap_at = CLOCK_NEVER;
    if (text_put(t, sender))
        t->sender_len = (uint32_t)sender.len;
}

bool txn_add_rcpt(struct txn *t, uint32_t rcpt_idx, struct slice address)
{
    if (t->rcpt_count == t->rcpt_cap) {
        uint32_t cap = t->rcpt_cap == 0 ? RCPTS_FIRST : t->rcpt_cap * 2;
        struct sink_rcpt *rcpts = realloc(t->rcpts, cap * sizeof(*rcpts));
        if (rcpts == NULL)
            return false;
        t->rcpts = rcpts;
        struct session_entry *entries = realloc(t->entries, cap * sizeof(*entries));
        if (entries == NULL)
            return false;
        t->entries = entries;
        uint32_t *works = realloc(t->works, cap * sizeof(*works));
        if (works == NULL)
            return false;
        t->works = works;
        t->rcpt_cap = cap;
    }
    struct sink_rcpt *r = &t->rcpts[t->rcpt_count];
    *r = (struct sink_rcpt){
        .text_at = t->text_len,
        .text_len = (uint32_t)address.len,
        .rcpt_idx = rcpt_idx,
        .reply_end = TXN_REPLY_NEVER,
        .own_end = TXN_REPLY_NEVER,
    };
    t->entries[t->rcpt_count].rcpt_code = 0;
    if (!text_put(t, address))
        return false;
    t->rcpt_count++;
    return true;
}

bool txn_begin_content(struct txn *t, bool wants_hash, bool wants_head)
{
    if (wants_hash && t->hash == NULL && (t->hash = XXH3_createState()) == NULL)
        return false;
    if (wants_head && t->head == NULL && (t->head = malloc(TXN_HEAD_BYTES_MAX)) == NULL)
        return false;
    if (wants_hash && XXH3_64bits_reset(t->hash) != XXH_OK)
        return false;
    t->is_hashing = wants_hash;
    t->is_keeping_head = wants_head;
    return true;
}

void txn_body(struct txn *t, const struct slices *parts)
{
    for (uint32_t i = 0; i < parts->count; i++) {
        struct slice part = parts->at[i];
        if (t->is_hashing)
            XXH3_64bits_update(t->hash, part.ptr, part.len);
        if (t->is_keeping_head && t->head_len < TXN_HEAD_BYTES_MAX) {
            struct slice first = slice_first(part, TXN_HEAD_BYTES_MAX - t->head_len);
            memcpy(t->head + t->head_len, first.ptr, first.len);
            t->head_len += (uint32_t)first.len;
        }
    }
}

void txn_end_content(struct txn *t, const struct scan_result *scan)
{
    t->content_bytes = scan->content_bytes;
    if (t->is_hashing)
        t->content_hash = XXH3_64bits_digest(t->hash);
    if (!t->is_keeping_head)
        return;
    t->has_id = identity_find(slice_of(t->head, t->head_len), &t->id);
    if (!t->has_id && scan->message_id_len > 0) /* behind what was kept */
        t->has_id =
            identity_from_message_id(slice_of(scan->message_id, scan->message_id_len), &t->id);
}

/* --- works ----------------------------------------------------------------------------------- */

static bool is_over_before(const struct txn *t, uint32_t a, uint32_t b)
{
    const struct sink_rcpt *left = &t->rcpts[a], *right = &t->rcpts[b];
    return left->due != right->due ? left->due < right->due : left->due_order < right->due_order;
}

void txn_push_work(struct txn *t, uint32_t idx, clock_ns due)
{
    ASSERT(t->work_count < t->rcpt_count);
    t->rcpts[idx].due = due;
    t->rcpts[idx].due_order = t->work_order++;
    uint32_t at = t->work_count++;
    while (at > 0 && is_over_before(t, idx, t->works[(at - 1) / 2])) {
        t->works[at] = t->works[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    t->works[at] = idx;
}

uint32_t txn_first_work(const struct txn *t)
{
    return t->work_count > 0 ? t->works[0] : UINT32_MAX;
}

void txn_pop_work(struct txn *t)
{
    ASSERT(t->work_count > 0);
    uint32_t last = t->works[--t->work_count], at = 0;
    for (uint32_t next = 1; next < t->work_count; next = 2 * at + 1) {
        if (next + 1 < t->work_count && is_over_before(t, t->works[next + 1], t->works[next]))
            next++;
        if (!is_over_before(t, t->works[next], last))
            break;
        t->works[at] = t->works[next];
        at = next;
    }
    t->works[at] = last;
}

struct slice txn_sender(const struct txn *t)
{
    return slice_of(t->text, t->sender_len);
}

struct slice txn_rcpt(const struct txn *t, uint32_t idx)
{
    return slice_of(t->text + t->rcpts[idx].text_at, t->rcpts[idx].text_len);
}
