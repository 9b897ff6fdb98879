/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.c - reading recipient maps: LMDB files that never change once they have their name.
 *
 * Because a map is replaced by rename(2) and not written in place, it is opened without locks and
 * without a lock file (MDB_NOLOCK), may lie in a folder that the server cannot write, and one read
 * transaction serves a shard for as long as the map is open: there is no newer snapshot to see. A
 * lookup is then one descent of the tree in mapped memory. Transactions are not tied to threads
 * (MDB_NOTLS), but each is used by one at a time.
 *
 * Invariant: the file is at least as long as its last page, checked when it is opened, so that a
 * map that was cut short is refused at start and not met by SIGBUS later.
 */
#include "policy/map.h"
#include "base/assert.h"
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct map {
    MDB_env *env;
    MDB_dbi dbi;
    bool folds_local;
    uint64_t entry_count;
    uint16_t class_count;
    char *head; /* copy of the head's text; class names point into it */
    struct slice *class_names;
};

static int map_fail(struct table_error *error, const char *reason)
{
    error->line = 0;
    snprintf(error->reason, sizeof(error->reason), "%s", reason);
    return -EINVAL;
}

static int map_fail_lmdb(struct table_error *error, const char *step, int rc)
{
    error->line = 0;
    snprintf(error->reason, sizeof(error->reason), "%s: %s", step, mdb_strerror(rc));
    return rc > 0 ? -rc : -EINVAL; /* LMDB's own codes are negative */
}

static int head_parse_classes(struct map *m, struct slice rest, struct table_error *error)
{
    struct slice line;
    m->class_names = calloc(TABLE_CLASS_COUNT_MAX, sizeof(*m->class_names));
    if (m->class_names == NULL)
        return -ENOMEM;
    while (table_line_take(&rest, &line)) {
        if (m->class_count == TABLE_CLASS_COUNT_MAX || !table_class_name_is_valid(line))
            return map_fail(error, "the head of the map is damaged (classes)");
        m->class_names[m->class_count++] = line;
    }
    return 0;
}

static int head_parse(struct map *m, struct slice head, struct table_error *error)
{
    struct slice line;
    if (!table_line_take(&head, &line))
        return map_fail(error, "the head of the map is empty");
    if (slice_eq(line, SLICE_LIT(MAP_VERSION_TEXT " fold")))
        m->folds_local = true;
    else if (!slice_eq(line, SLICE_LIT(MAP_VERSION_TEXT " exact")))
        return map_fail(error, "not a map of a version that this program reads");
    if (!table_line_take(&head, &line) || line.len == 0 || line.len > 19)
        return map_fail(error, "the head of the map is damaged (count)");
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9')
            return map_fail(error, "the head of the map is damaged (count)");
        m->entry_count = m->entry_count * 10 + (line.ptr[i] - '0');
    }
    return head_parse_classes(m, head, error);
}

static int head_read(struct map *m, MDB_txn *txn, struct table_error *error)
{
    MDB_val key = {MAP_HEAD_KEY_BYTES, (void *)(uintptr_t)MAP_HEAD_KEY};
    MDB_val value;
    int rc = mdb_dbi_open(txn, NULL, 0, &m->dbi);
    if (rc != 0)
        return map_fail_lmdb(error, "cannot open the database", rc);
    rc = mdb_get(txn, m->dbi, &key, &value);
    if (rc == MDB_NOTFOUND)
        return map_fail(error, "not a map made by \"posternctl map build\"");
    if (rc != 0)
        return map_fail_lmdb(error, "cannot read the head", rc);
    m->head = malloc(value.mv_size + 1);
    if (m->head == NULL)
        return -ENOMEM;
    memcpy(m->head, value.mv_data, value.mv_size);
    return head_parse(m, slice_of(m->head, value.mv_size), error);
}

static int length_check(struct map *m, uint64_t file_bytes, struct table_error *error)
{
    MDB_envinfo info;
    MDB_stat stat;
    int rc = mdb_env_info(m->env, &info);
    if (rc == 0)
        rc = mdb_env_stat(m->env, &stat);
    if (rc != 0)
        return map_fail_lmdb(error, "cannot read the size", rc);
    if ((uint64_t)(info.me_last_pgno + 1) * stat.ms_psize > file_bytes)
        return map_fail(error, "the file was cut short");
    return 0;
}

static int map_open_in(struct map *m, const char *path, struct table_error *error)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return map_fail_lmdb(error, "cannot open", errno);
    if (!S_ISREG(st.st_mode))
        return map_fail(error, "not a regular file");
    if (st.st_size == 0)
        return map_fail(error, "the file is empty");
    int rc = mdb_env_create(&m->env);
    if (rc != 0)
        return map_fail_lmdb(error, "cannot make an environment", rc);
    rc = mdb_env_set_mapsize(m->env, (size_t)st.st_size);
    if (rc == 0)
        rc = mdb_env_open(m->env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0);
    if (rc != 0)
        return map_fail_lmdb(error, "cannot open", rc);
    int err = length_check(m, (uint64_t)st.st_size, error);
    if (err < 0)
        return err;
    MDB_txn *txn;
    rc = mdb_txn_begin(m->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return map_fail_lmdb(error, "cannot begin to read", rc);
    err = head_read(m, txn, error);
    if (err < 0) {
        mdb_txn_abort(txn);
        return err;
    }
    return mdb_txn_commit(txn) == 0 ? 0 : map_fail(error, "cannot end reading");
}

int map_open(const char *path, struct map **ret_map, struct table_error *ret_error)
{
    struct map *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return -ENOMEM;
    int err = map_open_in(m, path, ret_error);
    if (err < 0) {
        map_close(m);
        return err;
    }
    *ret_map = m;
    return 0;
}

void map_close(struct map *m)
{
    if (m == NULL)
        return;
    if (m->env != NULL)
        mdb_env_close(m->env);
    free(m->class_names);
    free(m->head);
    free(m);
}

bool map_folds_local(const struct map *m)
{
    return m->folds_local;
}

uint64_t map_entry_count(const struct map *m)
{
    return m->entry_count;
}

uint16_t map_class_count(const struct map *m)
{
    return m->class_count;
}

struct slice map_class_name(const struct map *m, uint16_t class_number)
{
    ASSERT(class_number > 0 && class_number <= m->class_count);
    return m->class_names[class_number - 1];
}

int map_txn_begin(const struct map *m, void **ret_txn)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(m->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc > 0 ? -rc : -EIO;
    *ret_txn = txn;
    return 0;
}

void map_txn_end(void *txn)
{
    mdb_txn_abort(txn);
}

static bool value_read(const struct map *m, const MDB_val *value, uint16_t *ret_class_number)
{
    if (value->mv_size != MAP_VALUE_BYTES)
        return false;
    const uint8_t *bytes = value->mv_data;
    uint16_t number = (uint16_t)(bytes[0] | bytes[1] << 8);
    if (number > m->class_count)
        return false;
    *ret_class_number = number;
    return true;
}

enum table_result map_find(const struct map *m, void *txn, const struct table_key *key,
                           uint16_t *ret_class_number)
{
    if (key->len == 0 || key->bytes[0] == '\0')
        return TABLE_NOT_FOUND;
    MDB_val k = {key->len, (void *)(uintptr_t)key->bytes};
    MDB_val value;
    int rc = mdb_get(txn, m->dbi, &k, &value);
    if (rc == MDB_NOTFOUND)
        return TABLE_NOT_FOUND;
    if (rc != 0 || !value_read(m, &value, ret_class_number))
        return TABLE_DAMAGED;
    return TABLE_FOUND;
}

enum table_result map_walk(const struct map *m, void *txn, map_visit_fn visit, void *context)
{
    MDB_cursor *cursor;
    if (mdb_cursor_open(txn, m->dbi, &cursor) != 0)
        return TABLE_DAMAGED;
    MDB_val key, value;
    enum table_result result = TABLE_FOUND;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        struct slice bytes = slice_of(key.mv_data, key.mv_size);
        uint16_t class_number;
        if (slice_eq(bytes, slice_of(MAP_HEAD_KEY, MAP_HEAD_KEY_BYTES)))
            continue;
        if (!value_read(m, &value, &class_number)) {
            result = TABLE_DAMAGED;
            break;
        }
        if (!visit(context, bytes, class_number))
            break;
    }
    if (rc != 0 && rc != MDB_NOTFOUND)
        result = TABLE_DAMAGED;
    mdb_cursor_close(cursor);
    return result;
}
