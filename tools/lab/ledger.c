/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger.c - owns the join.
 *
 * One entry of 48 bytes a pair, found by a table of indices (open addressing, at most 5/8 full);
 * runs and addresses are stored once each. Attempts are not kept, only what the verdict needs of
 * them. Address number 0 stands for copies without a recipient. For the join the entries are sorted
 * by identity in place; the table is of no use after that.
 *
 * Which copy came from which attempt cannot be seen, so it is reckoned: each accepted attempt has
 * made one; what is more came from attempts that ended without a reply after all of the content had
 * left, first from those that the client gave up; then from attempts answered 4xx or 5xx; and more
 * copies than attempts were made behind the server.
 */
#include "lab/ledger.h"
#include "base/err.h"
#include "base/limits.h"
#include <stdlib.h>
#include <xxhash.h>

#define NO_ENTRY UINT32_MAX
#define NO_ADDRESS 0

static const char *const client_names[] = {"not sent", "accepted", "refused", "deferred",
                                           "gave up"};
static const char *const cause_names[] = {"gave_up", "connection_lost", "next_hop", "unknown"};
static const char *const ghost_names[] = {"none",    "gave_up", "deferred",
                                          "refused", "unsent",  "unknown"};
static_assert(ARRAY_COUNT(client_names) == LEDGER_CLIENT_COUNT, "a name each");
static_assert(ARRAY_COUNT(cause_names) == LEDGER_CAUSE_COUNT, "a name each");
static_assert(ARRAY_COUNT(ghost_names) == LEDGER_GHOST_COUNT, "a name each");

struct entry {
    uint64_t seq;
    uint32_t run;     /* number of the run */
    uint32_t address; /* number of the address */
    uint32_t copies;
    uint32_t last_attempt; /* highest number seen */
    uint16_t attempts;
    uint16_t accepted;
    uint16_t given_up; /* ended without a reply, all content sent: by the client */
    uint16_t broken;   /* the same: by the connection */
    uint16_t deferred; /* answered 4xx, all content sent */
    uint16_t refused;  /* answered 5xx, all content sent */
    uint16_t replies_seen, replies_due;
    uint8_t last_fate;
    bool will_retry;
};
static_assert(sizeof(struct entry) == 48, "said in the manual");

struct text { /* of an address */
    uint32_t offset, len;
};

struct ledger {
    enum ledger_copy_per copy_per;
    struct entry *entries;
    uint32_t entry_count, entry_cap;
    uint32_t *slots; /* entry index, or NO_ENTRY */
    uint32_t slot_count;
    uint64_t *runs;
    uint32_t run_count, run_cap;
    struct text *texts; /* addresses; number 0 is none */
    uint32_t text_count, text_cap;
    uint32_t *text_slots;
    uint32_t text_slot_count;
    uint8_t *pool;
    uint32_t pool_len, pool_cap;
    bool is_joined;
    struct ledger_result result;
};

const char *ledger_client_name(enum ledger_client c)
{
    ASSERT(c < LEDGER_CLIENT_COUNT);
    return client_names[c];
}

const char *ledger_cause_name(enum ledger_cause c)
{
    ASSERT(c < LEDGER_CAUSE_COUNT);
    return cause_names[c];
}

const char *ledger_ghost_name(enum ledger_ghost g)
{
    ASSERT(g < LEDGER_GHOST_COUNT);
    return ghost_names[g];
}

static uint16_t u16_of(uint32_t value)
{
    return value < UINT16_MAX ? (uint16_t)value : UINT16_MAX;
}

static void count_u16(uint16_t *counter)
{
    if (*counter < UINT16_MAX)
        (*counter)++;
}

/* @memory or, when it had to grow, its new place; unchanged when it could not. */
static void *grown(void *memory, uint32_t *cap, uint64_t need, size_t element_bytes,
                   int *ret_result)
{
    if (need <= *cap)
        return memory;
    uint64_t count = u64_max(need, (uint64_t)*cap + *cap / 2 + 64);
    count = u64_min(count, UINT32_MAX - 1);
    if (count < need) {
        *ret_result = -E2BIG;
        return memory;
    }
    void *more = realloc(memory, count * element_bytes);
    if (more == NULL) {
        *ret_result = -ENOMEM;
        return memory;
    }
    *cap = (uint32_t)count;
    return more;
}

static int slots_new(uint32_t count, uint32_t **ret_slots)
{
    uint32_t *slots = malloc((size_t)count * sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    memset(slots, 0xFF, (size_t)count * sizeof(*slots));
    *ret_slots = slots;
    return 0;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    x ^= x >> 32;
    x *= 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

/*
 * Addresses.
 */
static uint64_t text_hash(struct slice text)
{
    uint8_t lower[PATH_UTF8_BYTES_MAX];
    for (size_t i = 0; i < text.len; i++)
        lower[i] = ascii_lower(text.ptr[i]);
    return XXH3_64bits(lower, text.len);
}

static struct slice text_at(const struct ledger *l, uint32_t number)
{
    return slice_of(l->pool + l->texts[number].offset, l->texts[number].len);
}

static int text_slots_double(struct ledger *l)
{
    uint32_t *slots;
    uint32_t count = l->text_slot_count * 2;
    int result = slots_new(count, &slots);
    if (result < 0)
        return result;
    for (uint32_t i = 1; i < l->text_count; i++) {
        uint32_t at = (uint32_t)text_hash(text_at(l, i)) & (count - 1);
        while (slots[at] != NO_ENTRY)
            at = (at + 1) & (count - 1);
        slots[at] = i;
    }
    free(l->text_slots);
    l->text_slots = slots;
    l->text_slot_count = count;
    return 0;
}

static int text_add(struct ledger *l, struct slice text, uint32_t *ret_number)
{
    int result = 0;
    l->pool =
        grown(l->pool, &l->pool_cap, (uint64_t)l->pool_len + text.len, sizeof(*l->pool), &result);
    if (result == 0)
        l->texts =
            grown(l->texts, &l->text_cap, (uint64_t)l->text_count + 1, sizeof(*l->texts), &result);
    if (result < 0)
        return result;
    memcpy(l->pool + l->pool_len, text.ptr, text.len);
    l->texts[l->text_count] = (struct text){l->pool_len, (uint32_t)text.len};
    l->pool_len += (uint32_t)text.len;
    *ret_number = l->text_count++;
    return 0;
}

/* The number of an address, case ignored; @adds: given one when it has none, else NO_ENTRY. */
static int text_find(struct ledger *l, struct slice text, bool adds, uint32_t *ret_number)
{
    uint32_t mask = l->text_slot_count - 1;
    text = slice_first(text, PATH_UTF8_BYTES_MAX);
    uint32_t at = (uint32_t)text_hash(text) & mask;
    for (; l->text_slots[at] != NO_ENTRY; at = (at + 1) & mask) {
        if (slice_eq_nocase(text_at(l, l->text_slots[at]), text)) {
            *ret_number = l->text_slots[at];
            return 0;
        }
    }
    *ret_number = NO_ENTRY;
    if (!adds)
        return 0;
    int result = text_add(l, text, ret_number);
    if (result < 0)
        return result;
    l->text_slots[at] = *ret_number;
    return l->text_count > l->text_slot_count / 8 * 5 ? text_slots_double(l) : 0;
}

/*
 * Runs: few, so looked for one by one.
 */
static uint32_t run_find(const struct ledger *l, uint64_t run)
{
    for (uint32_t i = 0; i < l->run_count; i++)
        if (l->runs[i] == run)
            return i;
    return NO_ENTRY;
}

static int run_number(struct ledger *l, uint64_t run, uint32_t *ret_number)
{
    *ret_number = run_find(l, run);
    if (*ret_number != NO_ENTRY)
        return 0;
    int result = 0;
    l->runs = grown(l->runs, &l->run_cap, (uint64_t)l->run_count + 1, sizeof(*l->runs), &result);
    if (result < 0)
        return result;
    *ret_number = l->run_count;
    l->runs[l->run_count++] = run;
    return 0;
}

/*
 * Entries.
 */
static uint32_t entry_slot(uint64_t seq, uint32_t run, uint32_t address, uint32_t mask)
{
    return (uint32_t)mix(seq * 0x9E3779B97F4A7C15u ^ ((uint64_t)run << 32 | address)) & mask;
}

static int slots_double(struct ledger *l)
{
    uint32_t *slots;
    if (l->slot_count > UINT32_MAX / 2)
        return -E2BIG;
    uint32_t count = l->slot_count * 2;
    int result = slots_new(count, &slots);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < l->entry_count; i++) {
        const struct entry *e = &l->entries[i];
        uint32_t at = entry_slot(e->seq, e->run, e->address, count - 1);
        while (slots[at] != NO_ENTRY)
            at = (at + 1) & (count - 1);
        slots[at] = i;
    }
    free(l->slots);
    l->slots = slots;
    l->slot_count = count;
    return 0;
}

/* The entry of a pair; @adds: made when there is none, else *ret_entry is NULL. */
static int entry_find(struct ledger *l, uint64_t seq, uint32_t run, uint32_t address, bool adds,
                      struct entry **ret_entry)
{
    if (adds && l->entry_count >= l->slot_count / 8 * 5) {
        int result = slots_double(l);
        if (result < 0)
            return result;
    }
    uint32_t mask = l->slot_count - 1;
    uint32_t at = entry_slot(seq, run, address, mask);
    for (; l->slots[at] != NO_ENTRY; at = (at + 1) & mask) {
        struct entry *e = &l->entries[l->slots[at]];
        if (e->seq == seq && e->run == run && e->address == address) {
            *ret_entry = e;
            return 0;
        }
    }
    *ret_entry = NULL;
    if (!adds)
        return 0;
    int result = 0;
    l->entries = grown(l->entries, &l->entry_cap, (uint64_t)l->entry_count + 1, sizeof(*l->entries),
                       &result);
    if (result < 0)
        return result;
    l->slots[at] = l->entry_count;
    *ret_entry = &l->entries[l->entry_count++];
    **ret_entry = (struct entry){.seq = seq, .run = run, .address = address};
    return 0;
}

int ledger_new(enum ledger_copy_per copy_per, struct ledger **ret_ledger)
{
    struct ledger *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return -ENOMEM;
    l->copy_per = copy_per;
    l->slot_count = l->text_slot_count = 1024;
    l->text_count = 1; /* number 0: none */
    int result = 0;
    l->texts = grown(l->texts, &l->text_cap, 1, sizeof(*l->texts), &result);
    if (result == 0)
        result = slots_new(l->slot_count, &l->slots);
    if (result == 0)
        result = slots_new(l->text_slot_count, &l->text_slots);
    if (result < 0) {
        ledger_free(l);
        return result;
    }
    l->texts[0] = (struct text){0};
    *ret_ledger = l;
    return 0;
}

void ledger_free(struct ledger *l)
{
    if (l == NULL)
        return;
    free(l->entries);
    free(l->slots);
    free(l->runs);
    free(l->texts);
    free(l->text_slots);
    free(l->pool);
    free(l);
}

int ledger_clear(struct ledger *l)
{
    if (l->slots == NULL)
        l->slots = malloc((size_t)l->slot_count * sizeof(*l->slots));
    if (l->slots == NULL)
        return -ENOMEM;
    memset(l->slots, 0xFF, (size_t)l->slot_count * sizeof(*l->slots));
    memset(l->text_slots, 0xFF, (size_t)l->text_slot_count * sizeof(*l->text_slots));
    l->entry_count = l->run_count = l->pool_len = 0;
    l->text_count = 1;
    l->is_joined = false;
    l->result = (struct ledger_result){0};
    return 0;
}

static void note_unknown(struct entry *e, const struct attempt *a)
{
    switch (a->cause) {
    case ATTEMPT_CAUSE_TIMEOUT:
    case ATTEMPT_CAUSE_MISBEHAVIOUR:
    case ATTEMPT_CAUSE_STOPPED:
        count_u16(&e->given_up);
        return;
    case ATTEMPT_CAUSE_LOST:
    case ATTEMPT_CAUSE_PROTOCOL:
    case ATTEMPT_CAUSE_REPLY:
    case ATTEMPT_CAUSE_CONNECT:
    case ATTEMPT_CAUSE_TLS:
    case ATTEMPT_CAUSE_COUNT:
        count_u16(&e->broken);
        e->replies_seen = u16_of(a->replies_seen);
        e->replies_due = u16_of(a->replies_due);
        return;
    }
    UNREACHABLE();
}

static void note_attempt(struct entry *e, const struct attempt *a)
{
    bool is_all = a->sent == ATTEMPT_SENT_ALL;
    if (e->attempts == 0 || a->attempt >= e->last_attempt) {
        e->last_attempt = a->attempt;
        e->last_fate = (uint8_t)a->fate;
        e->will_retry = a->will_retry;
    }
    count_u16(&e->attempts);
    switch (a->fate) {
    case ATTEMPT_ACCEPTED:
        count_u16(&e->accepted);
        return;
    case ATTEMPT_DEFERRED:
        if (is_all)
            count_u16(&e->deferred);
        return;
    case ATTEMPT_REFUSED:
        if (is_all)
            count_u16(&e->refused);
        return;
    case ATTEMPT_UNKNOWN:
        if (is_all)
            note_unknown(e, a);
        return;
    case ATTEMPT_FATE_COUNT:
        break;
    }
    UNREACHABLE();
}

int ledger_add_attempt(struct ledger *l, const struct attempt *a)
{
    struct entry *e;
    uint32_t run;
    uint32_t address = NO_ADDRESS;
    ASSERT(!l->is_joined);
    int result = run_number(l, a->id.run, &run);
    if (result == 0 && a->address.len > 0)
        result = text_find(l, a->address, true, &address);
    if (result == 0)
        result = entry_find(l, a->id.seq, run, address, true, &e);
    if (result < 0)
        return result;
    note_attempt(e, a);
    l->result.attempts++;
    return 0;
}

/* The entry that a copy belongs to, for which @run is known. */
static int arrival_entry(struct ledger *l, const struct arrival *a, uint32_t run,
                         bool is_address_sure, struct entry **ret_entry)
{
    uint32_t address = NO_ADDRESS;
    if (a->address.len > 0) {
        int result = text_find(l, a->address, is_address_sure, &address);
        if (result == 0 && !is_address_sure && address != NO_ENTRY) {
            result = entry_find(l, a->id.seq, run, address, false, ret_entry);
            if (result < 0 || *ret_entry != NULL)
                return result;
        }
        if (result < 0)
            return result;
        if (!is_address_sure)
            address = NO_ADDRESS;
    }
    return entry_find(l, a->id.seq, run, address, true, ret_entry);
}

int ledger_add_arrival(struct ledger *l, const struct arrival *a, bool is_address_sure)
{
    struct entry *e;
    ASSERT(!l->is_joined);
    if (!a->has_id) {
        l->result.arrivals_foreign++;
        return 0;
    }
    uint32_t run = run_find(l, a->id.run);
    if (run == NO_ENTRY) {
        l->result.arrivals_other_run++;
        return 0;
    }
    int result = arrival_entry(l, a, run, is_address_sure, &e);
    if (result < 0)
        return result;
    e->copies++;
    l->result.arrivals++;
    l->result.arrivals_unnamed += e->address == NO_ADDRESS;
    l->result.replies[a->delivered]++;
    return 0;
}

/*
 * The join.
 */
static int by_identity(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->run != y->run)
        return x->run < y->run ? -1 : 1;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return x->address < y->address ? -1 : x->address > y->address;
}

static bool is_unsure(const struct entry *e)
{
    return e->given_up > 0 || e->broken > 0;
}

/* Whether this round of share_out() gives a copy to @e: the neediest first. */
static bool is_due(const struct entry *e, unsigned round)
{
    switch (round) {
    case 0:
        return e->accepted > 0 && e->copies == 0;
    case 1:
        return is_unsure(e) && e->copies == 0;
    case 2:
        return is_unsure(e) && e->copies < (uint32_t)e->accepted + e->given_up + e->broken;
    case 3:
        return e->accepted > 0 || is_unsure(e);
    default:
        return true;
    }
}

/* @copies that name no recipient among the recipients of one message, @pairs of them. */
static void share_out(struct entry *pairs, uint32_t pair_count, uint32_t copies)
{
    for (unsigned round = 0; round < 5; round++) {
        bool is_given;
        do {
            is_given = false;
            for (uint32_t i = 0; i < pair_count && copies > 0; i++) {
                if (!is_due(&pairs[i], round))
                    continue;
                pairs[i].copies++;
                copies--;
                is_given = true;
            }
        } while (is_given);
    }
    ASSERT(copies == 0);
}

/* Each of @copies is for all whose message it can be. False: it can be nobody's. */
static bool share_with_all(struct entry *pairs, uint32_t pair_count, uint32_t copies)
{
    bool is_given = false;
    for (uint32_t i = 0; i < pair_count; i++) {
        if (pairs[i].accepted == 0 && !is_unsure(&pairs[i]))
            continue;
        pairs[i].copies += copies;
        is_given = true;
    }
    return is_given;
}

/* One message: entry 0 may hold copies without a recipient. */
static void share_message(struct ledger *l, struct entry *group, uint32_t count)
{
    struct entry *pairs = group + 1;
    uint32_t pair_count = count - 1;
    uint32_t copies = group[0].copies;
    if (group[0].address != NO_ADDRESS || group[0].attempts > 0 || copies == 0 || pair_count == 0)
        return; /* copies of a message that nobody sent stay where they are */
    group[0].copies = 0;
    if (l->copy_per == LEDGER_COPY_MESSAGE && share_with_all(pairs, pair_count, copies))
        return;
    share_out(pairs, pair_count, copies);
    if (l->copy_per != LEDGER_COPY_AUTO || pair_count == 1)
        return;
    l->result.ambiguous++;
    for (uint32_t i = 0; i < pair_count; i++)
        if (pairs[i].accepted > 0 && pairs[i].copies == 0)
            pairs[i].copies = 1;
}

static void share_all(struct ledger *l)
{
    uint32_t i = 0;
    while (i < l->entry_count) {
        uint32_t end = i + 1;
        while (end < l->entry_count && l->entries[end].run == l->entries[i].run &&
               l->entries[end].seq == l->entries[i].seq)
            end++;
        share_message(l, &l->entries[i], end - i);
        l->result.messages++;
        i = end;
    }
}

static enum ledger_client client_of(const struct entry *e)
{
    if (e->attempts == 0)
        return LEDGER_NOT_SENT;
    if (e->accepted > 0)
        return LEDGER_ACCEPTED;
    switch ((enum attempt_fate)e->last_fate) {
    case ATTEMPT_REFUSED:
        return LEDGER_REFUSED;
    case ATTEMPT_DEFERRED:
        return LEDGER_DEFERRED;
    case ATTEMPT_UNKNOWN:
        return LEDGER_GAVE_UP;
    case ATTEMPT_ACCEPTED:
    case ATTEMPT_FATE_COUNT:
        break;
    }
    UNREACHABLE();
}

static enum ledger_ghost ghost_of(const struct entry *e)
{
    if (e->copies == 0)
        return LEDGER_GHOST_NONE;
    switch (client_of(e)) {
    case LEDGER_ACCEPTED:
        return LEDGER_GHOST_NONE;
    case LEDGER_NOT_SENT:
        return LEDGER_GHOST_UNKNOWN;
    case LEDGER_REFUSED:
    case LEDGER_DEFERRED:
    case LEDGER_GAVE_UP:
    case LEDGER_CLIENT_COUNT:
        break;
    }
    if (e->given_up > 0 || e->broken > 0)
        return LEDGER_GHOST_GAVE_UP;
    if (e->last_fate == ATTEMPT_REFUSED)
        return LEDGER_GHOST_REFUSED;
    return e->last_fate == ATTEMPT_DEFERRED ? LEDGER_GHOST_DEFERRED : LEDGER_GHOST_UNSENT;
}

/* Takes up to @available of what is left to explain. */
static uint32_t take(uint32_t *left, uint32_t available)
{
    uint32_t taken = *left < available ? *left : available;
    *left -= taken;
    return taken;
}

static void explain(const struct entry *e, struct ledger_item *item)
{
    uint32_t right = e->accepted > 0 ? e->accepted : 1;
    uint32_t given_up = e->given_up, broken = e->broken;
    uint32_t answered = (uint32_t)e->deferred + e->refused;
    if (e->copies <= right)
        return;
    uint32_t left = item->excess = e->copies - right;
    if (e->attempts == 0) {
        item->causes[LEDGER_CAUSE_UNKNOWN] = left;
        return;
    }
    if (e->accepted == 0) { /* the first copy came from one of them */
        if (broken > 0)
            broken--;
        else if (given_up > 0)
            given_up--;
        else if (answered > 0)
            answered--;
    }
    item->causes[LEDGER_CAUSE_GAVE_UP] = take(&left, given_up);
    item->causes[LEDGER_CAUSE_LOST] = take(&left, broken);
    item->causes[LEDGER_CAUSE_UNKNOWN] = take(&left, answered);
    item->causes[LEDGER_CAUSE_NEXT_HOP] = left;
}

static struct ledger_item item_of(const struct ledger *l, const struct entry *e)
{
    struct ledger_item item = {
        .id = {l->runs[e->run], e->seq},
        .address = text_at(l, e->address),
        .client = client_of(e),
        .attempt_count = e->attempts,
        .copies = e->copies,
        .is_unfinished = e->accepted == 0 && e->will_retry,
        .is_lost = e->accepted > 0 && e->copies == 0,
        .ghost = ghost_of(e),
        .replies_seen = e->replies_seen,
        .replies_due = e->replies_due,
    };
    explain(e, &item);
    return item;
}

static bool is_pair(const struct entry *e)
{
    return e->attempts > 0 || e->copies > 0;
}

void ledger_join(struct ledger *l, struct ledger_result *ret_result)
{
    struct ledger_result *r = &l->result;
    ASSERT(!l->is_joined);
    l->is_joined = true;
    r->memory_bytes = (uint64_t)l->entry_cap * sizeof(*l->entries) +
                      ((uint64_t)l->slot_count + l->text_slot_count) * sizeof(*l->slots) +
                      (uint64_t)l->text_cap * sizeof(*l->texts) + l->pool_cap;
    free(l->slots);
    l->slots = NULL;
    if (l->entry_count > 0)
        qsort(l->entries, l->entry_count, sizeof(*l->entries), by_identity);
    share_all(l);
    for (uint32_t i = 0; i < l->entry_count; i++) {
        if (!is_pair(&l->entries[i]))
            continue;
        struct ledger_item item = item_of(l, &l->entries[i]);
        r->pairs++;
        r->clients[item.client]++;
        r->unfinished += item.is_unfinished;
        r->delivered += item.client == LEDGER_ACCEPTED && item.copies > 0;
        r->lost += item.is_lost;
        r->duplicated += item.excess > 0;
        r->copies_excess += item.excess;
        for (uint32_t c = 0; c < LEDGER_CAUSE_COUNT; c++)
            r->causes[c] += item.causes[c];
        r->ghosts[item.ghost] += item.ghost != LEDGER_GHOST_NONE;
    }
    *ret_result = *r;
}

bool ledger_next(const struct ledger *l, uint32_t *idx, struct ledger_item *ret_item)
{
    ASSERT(l->is_joined);
    while (*idx < l->entry_count && !is_pair(&l->entries[*idx]))
        (*idx)++;
    if (*idx == l->entry_count)
        return false;
    *ret_item = item_of(l, &l->entries[(*idx)++]);
    return true;
}
