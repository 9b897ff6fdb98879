/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.c - recipient tables: keys, lines, lists in memory; maps are map.c's.
 *
 * A list is one block of entries and one array of slots, open addressing with linear probing, at
 * most half full. A slot holds 32 bits of the hash, so that a probe seldom touches an entry that is
 * not the one. Nothing changes after table_new_text() returned, so any number of threads may look
 * things up; the hash need not be keyed, since who fills the table is the operator.
 *
 * Invariants: no two entries have the same key; every class number is at most class_count; the last
 * '@' of a key ends its local part.
 */
#include "policy/table.h"
#include "base/buf.h"
#include "policy/map.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

struct entry { /* followed by the key's bytes, padded to 4 */
    uint32_t line;
    uint16_t class_number;
    uint16_t key_len;
};

struct table_slot {
    uint32_t tag;
    uint32_t entry_plus_1; /* offset in 4-octet units, plus 1; 0: empty */
};

struct table {
    struct map *map; /* NULL: a list */
    bool folds_local;
    uint64_t entry_count;

    struct table_slot *slots;
    uint32_t slot_mask;
    uint8_t *entries;
    size_t entries_len, entries_cap;
    struct slice *class_names; /* numbered from 1: at[0] is class 1 */
    uint16_t class_count;
};

#define ENTRY_ALIGN 4

uint64_t table_hash(const void *bytes, size_t len)
{
    return XXH3_64bits(bytes, len);
}

/* --- keys ----------------------------------------------------------------------------------- */

static bool key_put(struct table_key *key, uint8_t byte, bool folds)
{
    if (key->len == TABLE_KEY_BYTES_MAX)
        return false;
    key->bytes[key->len++] = folds ? ascii_lower(byte) : byte;
    return true;
}

bool table_key_make(struct slice local, struct slice domain, bool folds_local,
                    struct table_key *ret_key)
{
    ret_key->len = 0;
    if (local.len + domain.len + 1 > TABLE_KEY_BYTES_MAX + 2) /* 2: quotes that will go */
        return false;
    bool is_quoted = local.len >= 2 && local.ptr[0] == '"' && local.ptr[local.len - 1] == '"';
    size_t end = is_quoted ? local.len - 1 : local.len;
    for (size_t i = is_quoted ? 1 : 0; i < end; i++) {
        if (is_quoted && local.ptr[i] == '\\' && i + 1 < end)
            i++; /* RFC 5321 4.1.2: quoted-pairSMTP means the character itself */
        if (!key_put(ret_key, local.ptr[i], folds_local))
            return false;
    }
    if (!key_put(ret_key, '@', false))
        return false;
    for (size_t i = 0; i < domain.len; i++)
        if (!key_put(ret_key, domain.ptr[i], true))
            return false;
    return true;
}

bool table_class_name_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > TABLE_CLASS_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
        if (!is_alnum && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

static bool literal_is_valid(struct slice domain)
{
    if (domain.len < 3 || domain.ptr[domain.len - 1] != ']')
        return false;
    for (size_t i = 1; i < domain.len - 1; i++)
        if (domain.ptr[i] <= ' ' || domain.ptr[i] > '~' || strchr("[]\\@", domain.ptr[i]) != NULL)
            return false;
    return true;
}

bool table_domain_is_valid(struct slice domain)
{
    if (domain.len == 0 || domain.len > DOMAIN_BYTES_MAX)
        return false;
    if (domain.ptr[0] == '[')
        return literal_is_valid(domain);
    size_t label_len = 0;
    for (size_t i = 0; i < domain.len; i++) {
        uint8_t c = domain.ptr[i];
        bool is_inner = c == '-' || c == '.';
        bool is_alnum = (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
        if (!is_inner && !is_alnum && c < 0x80)
            return false;
        if (c == '.') {
            if (label_len == 0 || domain.ptr[i - 1] == '-')
                return false;
            label_len = 0;
            continue;
        }
        if (c == '-' && label_len == 0)
            return false;
        if (++label_len > 63 && c < 0x80)
            return false;
    }
    return label_len > 0 && domain.ptr[domain.len - 1] != '-';
}

/* --- lines ---------------------------------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* A word ends at blank space, outside of quotes. */
static struct slice word_take(struct slice *line)
{
    while (line->len > 0 && is_blank(line->ptr[0]))
        *line = slice_from(*line, 1);
    bool is_quoted = false;
    size_t end = 0;
    for (; end < line->len; end++) {
        uint8_t c = line->ptr[end];
        if (is_quoted && c == '\\' && end + 1 < line->len)
            end++;
        else if (c == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && is_blank(c))
            break;
    }
    struct slice word = slice_first(*line, end);
    *line = slice_from(*line, end);
    return word;
}

static bool quoted_local_is_valid(struct slice local)
{
    if (local.len < 3 || local.ptr[local.len - 1] != '"')
        return false;
    for (size_t i = 1; i < local.len - 1; i++) {
        uint8_t c = local.ptr[i];
        if (c == '\\' && i + 1 < local.len - 1)
            c = local.ptr[++i];
        else if (c == '"' || c == '\\')
            return false;
        if (c < ' ' || c == 0x7F)
            return false;
    }
    return true;
}

static bool local_is_valid(struct slice local)
{
    if (local.len == 0 || local.len > LOCAL_PART_BYTES_MAX)
        return false;
    if (local.ptr[0] == '"')
        return quoted_local_is_valid(local);
    for (size_t i = 0; i < local.len; i++) {
        uint8_t c = local.ptr[i];
        if (c <= ' ' || c == 0x7F || strchr("()<>[]:;@\\,\"", c) != NULL)
            return false;
        if (c == '.' && (i == 0 || i + 1 == local.len || local.ptr[i - 1] == '.'))
            return false;
    }
    return true;
}

/* The address's last "@" outside of quotes; its length when there is none. */
static size_t find_at(struct slice address)
{
    for (size_t i = address.len; i > 0; i--) {
        if (address.ptr[i - 1] == '"')
            break;
        if (address.ptr[i - 1] == '@')
            return i - 1;
    }
    return address.len;
}

static enum table_line_result line_bad(struct table_error *error, const char *what,
                                       struct slice text)
{
    char shown[65];
    size_t len = size_min(text.len, sizeof(shown) - 1);
    for (size_t i = 0; i < len; i++)
        shown[i] = text.ptr[i] >= ' ' && text.ptr[i] != 0x7F ? (char)text.ptr[i] : '?';
    shown[len] = '\0';
    snprintf(error->reason, sizeof(error->reason), "%s '%s%s'", what, shown,
             text.len > len ? "..." : "");
    return TABLE_LINE_BAD;
}

enum table_line_result table_line_parse(struct slice line, bool folds_local,
                                        struct table_line *ret_line, struct table_error *ret_error)
{
    if (line.len > TABLE_LINE_BYTES_MAX)
        return line_bad(ret_error, "line too long", slice_first(line, 20));
    if (line.len > 0 && memchr(line.ptr, '\0', line.len) != NULL)
        return line_bad(ret_error, "NUL in line", line);
    struct slice address = word_take(&line);
    if (address.len == 0 || address.ptr[0] == '#')
        return TABLE_LINE_BLANK;
    struct slice class_name = word_take(&line);
    if (class_name.len > 0 && class_name.ptr[0] == '#')
        class_name = SLICE_EMPTY;
    else {
        struct slice rest = word_take(&line);
        if (rest.len > 0 && rest.ptr[0] != '#')
            return line_bad(ret_error, "unexpected text after the class:", rest);
    }
    size_t at = find_at(address);
    struct slice local = slice_first(address, at);
    struct slice domain = slice_from(address, at + 1);
    if (!local_is_valid(local) || (at < address.len && !table_domain_is_valid(domain)))
        return line_bad(ret_error, "not an address:", address);
    if (class_name.len > 0 && !table_class_name_is_valid(class_name))
        return line_bad(ret_error, "not a class name:", class_name);
    if (!table_key_make(local, domain, folds_local, &ret_line->key))
        return line_bad(ret_error, "address too long:", address);
    ret_line->class_name = class_name;
    return TABLE_LINE_ENTRY;
}

bool table_line_take(struct slice *text, struct slice *ret_line)
{
    if (text->len == 0)
        return false;
    size_t end = slice_find(*text, '\n');
    struct slice line = slice_first(*text, end);
    *text = slice_from(*text, end + 1);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    *ret_line = line;
    return true;
}

/* --- lists ---------------------------------------------------------------------------------- */

static struct entry *entry_at(const struct table *t, uint32_t entry_plus_1)
{
    return (struct entry *)(void *)(t->entries + (size_t)(entry_plus_1 - 1) * ENTRY_ALIGN);
}

static struct slice entry_key(const struct entry *e)
{
    return slice_of(e + 1, e->key_len);
}

/* The slot of @key, or the empty one where it would stand. */
static struct table_slot *slot_find(const struct table *t, const struct table_key *key)
{
    uint64_t hash = table_hash(key->bytes, key->len);
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint32_t at = (uint32_t)hash & t->slot_mask;; at = (at + 1) & t->slot_mask) {
        struct table_slot *slot = &t->slots[at];
        if (slot->entry_plus_1 == 0)
            return slot;
        if (slot->tag == tag &&
            slice_eq(entry_key(entry_at(t, slot->entry_plus_1)), slice_of(key->bytes, key->len)))
            return slot;
    }
}

static int class_number_for(struct table *t, struct slice name, uint16_t *ret_number)
{
    *ret_number = 0;
    if (name.len == 0)
        return 0;
    for (uint16_t i = 0; i < t->class_count; i++) {
        if (slice_eq(t->class_names[i], name)) {
            *ret_number = (uint16_t)(i + 1);
            return 0;
        }
    }
    if (t->class_count == TABLE_CLASS_COUNT_MAX)
        return -E2BIG;
    struct slice *names = realloc(t->class_names, (t->class_count + 1u) * sizeof(*names));
    if (names == NULL)
        return -ENOMEM;
    t->class_names = names;
    uint8_t *copy = malloc(name.len);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, name.ptr, name.len);
    t->class_names[t->class_count++] = slice_of(copy, name.len);
    *ret_number = t->class_count;
    return 0;
}

/* Room for the hash and the bytes of @line_count entries in @text_len bytes of text. */
static int list_reserve(struct table *t, uint64_t line_count, size_t text_len)
{
    uint64_t slots = 8;
    while (slots < 2 * line_count)
        slots *= 2;
    /* A key takes at most its text and one '@', rounded up, and an entry's head. */
    size_t cap = text_len + line_count * (sizeof(struct entry) + 1 + ENTRY_ALIGN);
    if (slots > UINT32_MAX || cap / ENTRY_ALIGN >= UINT32_MAX)
        return -E2BIG;
    t->slots = calloc(slots, sizeof(*t->slots));
    t->entries = malloc(cap + 1);
    if (t->slots == NULL || t->entries == NULL)
        return -ENOMEM;
    t->slot_mask = (uint32_t)(slots - 1);
    t->entries_cap = cap;
    return 0;
}

static int list_fail(struct table_error *error, uint32_t line, int err)
{
    error->line = line;
    if (err == -E2BIG)
        snprintf(error->reason, sizeof(error->reason), "%s",
                 line == 0 ? "too large for a list in memory: use a map"
                           : "too many different classes");
    return err == -E2BIG ? -EINVAL : err;
}

static int list_add(struct table *t, const struct table_line *line, uint32_t line_number,
                    struct table_error *error)
{
    uint16_t class_number;
    int err = class_number_for(t, line->class_name, &class_number);
    if (err < 0)
        return list_fail(error, line_number, err);
    struct table_slot *slot = slot_find(t, &line->key);
    if (slot->entry_plus_1 != 0) {
        const struct entry *old = entry_at(t, slot->entry_plus_1);
        if (old->class_number == class_number)
            return 0; /* said twice, harmless */
        snprintf(error->reason, sizeof(error->reason),
                 "address given again with another class (first in line %u)", old->line);
        error->line = line_number;
        return -EINVAL;
    }
    size_t bytes = ALIGN_UP(sizeof(struct entry) + line->key.len, (size_t)ENTRY_ALIGN);
    ASSERT(bytes <= t->entries_cap - t->entries_len);
    slot->tag = (uint32_t)(table_hash(line->key.bytes, line->key.len) >> 32);
    slot->entry_plus_1 = (uint32_t)(t->entries_len / ENTRY_ALIGN) + 1;
    struct entry *e = entry_at(t, slot->entry_plus_1);
    *e = (struct entry){line_number, class_number, (uint16_t)line->key.len};
    memcpy(e + 1, line->key.bytes, line->key.len);
    t->entries_len += bytes;
    t->entry_count++;
    return 0;
}

static int list_fill(struct table *t, struct slice text, struct table_error *error)
{
    uint64_t line_count = 0;
    struct slice rest = text;
    struct slice line;
    while (table_line_take(&rest, &line))
        line_count++;
    int err = list_reserve(t, line_count, text.len);
    if (err < 0)
        return list_fail(error, 0, err);
    rest = text;
    for (uint32_t number = 1; table_line_take(&rest, &line); number++) {
        struct table_line parsed;
        switch (table_line_parse(line, t->folds_local, &parsed, error)) {
        case TABLE_LINE_BLANK:
            break;
        case TABLE_LINE_BAD:
            error->line = number;
            return -EINVAL;
        case TABLE_LINE_ENTRY:
            err = list_add(t, &parsed, number, error);
            if (err < 0)
                return err;
            break;
        }
    }
    return 0;
}

int table_new_text(struct slice text, bool folds_local, struct table **ret_table,
                   struct table_error *ret_error)
{
    *ret_error = (struct table_error){0};
    struct table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return -ENOMEM;
    t->folds_local = folds_local;
    int err = list_fill(t, text, ret_error);
    if (err < 0) {
        table_free(t);
        return err;
    }
    *ret_table = t;
    return 0;
}

/* --- lists and maps alike ------------------------------------------------------------------- */

int table_new_map(const char *path, struct table **ret_table, struct table_error *ret_error)
{
    *ret_error = (struct table_error){0};
    struct map *map;
    int err = map_open(path, &map, ret_error);
    if (err < 0)
        return err;
    struct table *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        map_close(map);
        return -ENOMEM;
    }
    t->map = map;
    t->folds_local = map_folds_local(map);
    t->entry_count = map_entry_count(map);
    t->class_count = map_class_count(map);
    *ret_table = t;
    return 0;
}

void table_free(struct table *t)
{
    if (t == NULL)
        return;
    if (t->map != NULL) {
        map_close(t->map);
    } else {
        for (uint16_t i = 0; i < t->class_count; i++)
            free((void *)(uintptr_t)t->class_names[i].ptr);
    }
    free(t->class_names);
    free(t->slots);
    free(t->entries);
    free(t);
}

bool table_folds_local(const struct table *t)
{
    return t->folds_local;
}

uint64_t table_entry_count(const struct table *t)
{
    return t->entry_count;
}

uint16_t table_class_count(const struct table *t)
{
    return t->class_count;
}

struct slice table_class_name(const struct table *t, uint16_t class_number)
{
    ASSERT(class_number > 0 && class_number <= t->class_count);
    return t->map != NULL ? map_class_name(t->map, class_number) : t->class_names[class_number - 1];
}

int table_reader_open(const struct table *t, struct table_reader *ret_reader)
{
    void *txn = NULL;
    if (t->map != NULL) {
        int err = map_txn_begin(t->map, &txn);
        if (err < 0)
            return err;
    }
    *ret_reader = (struct table_reader){t, txn};
    return 0;
}

void table_reader_close(struct table_reader *r)
{
    if (r->txn != NULL)
        map_txn_end(r->txn);
    *r = (struct table_reader){0};
}

enum table_result table_find(const struct table_reader *r, const struct table_key *key,
                             uint16_t *ret_class_number)
{
    const struct table *t = r->table;
    if (t->map != NULL)
        return map_find(t->map, r->txn, key, ret_class_number);
    const struct table_slot *slot = slot_find(t, key);
    if (slot->entry_plus_1 == 0)
        return TABLE_NOT_FOUND;
    *ret_class_number = entry_at(t, slot->entry_plus_1)->class_number;
    ASSERT_SLOW(*ret_class_number <= t->class_count);
    return TABLE_FOUND;
}
