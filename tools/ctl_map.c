/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_map.c - "posternctl map build | query | dump": recipient maps for sources "lmdb:PATH".
 *
 * Build reads the whole source, sorts its keys, and writes them in order in one transaction of a
 * new file beside the map, which gets its place by rename(2) once it is on stable storage. So the
 * file is as small as it can be, a server that uses the old one is not disturbed, and an error or a
 * crash leaves the old one as it was. Needs memory for the source and 24 bytes an entry.
 */
#include "ctl_map.h"
#include "base/base.h"
#include "ctl.h"
#include "policy/map.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: posternctl map build --from FILE --to MAP [--case fold|exact]\n"
    "       posternctl map query MAP ADDRESS...\n"
    "       posternctl map dump MAP\n"
    "\n"
    "FILE has one recipient a line, \"address [class]\", and comments after \"#\"; \"-\" is\n"
    "standard input. An address without a domain holds in every domain that uses the\n"
    "map. MAP is replaced as a whole; a running server sees the new one after a\n"
    "reload. --case must be what local_part_case is in the configuration (fold when\n"
    "it is not given). \"query\" finds an address as the server does.\n"
    "Exit status: 0; 1 when something failed or was not found; 2 for wrong usage.\n";

/* --- reading the source --------------------------------------------------------------------- */

struct build_entry {
    size_t key_offset; /* in keys */
    uint32_t line;
    uint16_t key_len;
    uint16_t class_number;
};

struct build {
    const struct ctl *ctl;
    const char *from;
    bool folds_local;
    struct build_entry *entries;
    size_t entry_count, entry_cap;
    uint8_t *keys;
    size_t keys_len, keys_cap;
    struct slice classes[TABLE_CLASS_COUNT_MAX]; /* into the source's text */
    uint16_t class_count;
};

static int failed_at(const struct build *b, uint32_t line, const char *reason)
{
    fprintf(b->ctl->err, "posternctl: %s:%u: %s\n", b->from, line, reason);
    return EXIT_FAILED;
}

static bool reserve(void **memory, size_t *cap, size_t need, size_t element_bytes)
{
    if (need <= *cap)
        return true;
    size_t grown = *cap < 1024 ? 1024 : *cap * 2;
    while (grown < need)
        grown *= 2;
    void *more = reallocarray(*memory, grown, element_bytes);
    if (more == NULL)
        return false;
    *memory = more;
    *cap = grown;
    return true;
}

/* 0 for no class; false when there are too many. */
static bool class_number(struct build *b, struct slice name, uint16_t *ret_number)
{
    *ret_number = 0;
    if (name.len == 0)
        return true;
    for (uint16_t i = 0; i < b->class_count; i++) {
        if (slice_eq(b->classes[i], name)) {
            *ret_number = (uint16_t)(i + 1);
            return true;
        }
    }
    if (b->class_count == TABLE_CLASS_COUNT_MAX)
        return false;
    b->classes[b->class_count++] = name;
    *ret_number = b->class_count;
    return true;
}

static int add_line(struct build *b, struct slice line, uint32_t number)
{
    struct table_line parsed;
    struct table_error error;
    enum table_line_result result = table_line_parse(line, b->folds_local, &parsed, &error);
    if (result == TABLE_LINE_BLANK)
        return EXIT_OK;
    if (result == TABLE_LINE_BAD)
        return failed_at(b, number, error.reason);
    struct build_entry e = {b->keys_len, number, (uint16_t)parsed.key.len, 0};
    if (!class_number(b, parsed.class_name, &e.class_number))
        return failed_at(b, number, "too many different classes");
    void *entries = b->entries;
    void *keys = b->keys;
    bool has_room = reserve(&entries, &b->entry_cap, b->entry_count + 1, sizeof(e));
    b->entries = entries;
    has_room = reserve(&keys, &b->keys_cap, b->keys_len + parsed.key.len, 1) && has_room;
    b->keys = keys;
    if (!has_room)
        return failed_at(b, number, "out of memory");
    b->entries[b->entry_count++] = e;
    memcpy(b->keys + b->keys_len, parsed.key.bytes, parsed.key.len);
    b->keys_len += parsed.key.len;
    return EXIT_OK;
}

/* In the order in which LMDB keeps keys. */
static int compare(const void *a, const void *b, void *context)
{
    const struct build_entry *x = a;
    const struct build_entry *y = b;
    const struct build *build = context;
    size_t len = size_min(x->key_len, y->key_len);
    int order = memcmp(build->keys + x->key_offset, build->keys + y->key_offset, len);
    if (order != 0)
        return order;
    if (x->key_len != y->key_len)
        return x->key_len < y->key_len ? -1 : 1;
    return x->line < y->line ? -1 : x->line > y->line;
}

static bool is_same_key(const struct build *b, const struct build_entry *x,
                        const struct build_entry *y)
{
    return slice_eq(slice_of(b->keys + x->key_offset, x->key_len),
                    slice_of(b->keys + y->key_offset, y->key_len));
}

/* Sorts; drops what was said twice; refuses what was said twice and differently. */
static int sort_entries(struct build *b)
{
    if (b->entry_count > 0)
        qsort_r(b->entries, b->entry_count, sizeof(*b->entries), compare, b);
    size_t kept = 0;
    for (size_t i = 0; i < b->entry_count; i++) {
        const struct build_entry *e = &b->entries[i];
        const struct build_entry *last = kept > 0 ? &b->entries[kept - 1] : NULL;
        if (last == NULL || !is_same_key(b, e, last)) {
            b->entries[kept++] = *e;
            continue;
        }
        if (e->class_number != last->class_number) {
            char reason[100];
            snprintf(reason, sizeof(reason),
                     "address given again with another class (first in line %u)", last->line);
            return failed_at(b, e->line, reason);
        }
    }
    b->entry_count = kept;
    return EXIT_OK;
}

static int read_source(struct build *b, struct slice *ret_text)
{
    FILE *in = strcmp(b->from, "-") == 0 ? stdin : fopen(b->from, "re");
    if (in == NULL)
        return ctl_failed(b->ctl, b->from, strerrordesc_np(errno));
    uint8_t *bytes = NULL;
    size_t len = 0, cap = 0;
    int status = EXIT_OK;
    for (;;) {
        void *memory = bytes;
        bool has_room = reserve(&memory, &cap, len + 65536, 1);
        bytes = memory;
        if (!has_room) {
            status = ctl_failed(b->ctl, b->from, "out of memory");
            break;
        }
        size_t got = fread(bytes + len, 1, cap - len, in);
        len += got;
        if (got == 0)
            break;
    }
    if (status == EXIT_OK && ferror(in))
        status = ctl_failed(b->ctl, b->from, strerrordesc_np(errno));
    if (in != stdin)
        fclose(in);
    *ret_text = slice_of(bytes, len);
    return status;
}

/* --- writing the map ------------------------------------------------------------------------ */

static int put(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, const void *value,
               size_t value_len)
{
    MDB_val k = {key_len, (void *)(uintptr_t)key};
    MDB_val v = {value_len, (void *)(uintptr_t)value};
    return mdb_put(txn, dbi, &k, &v, MDB_APPEND);
}

static int put_head(const struct build *b, MDB_txn *txn, MDB_dbi dbi)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        return ENOMEM;
    fprintf(out, "%s %s\n%zu\n", MAP_VERSION_TEXT, b->folds_local ? "fold" : "exact",
            b->entry_count);
    for (uint16_t i = 0; i < b->class_count; i++)
        fprintf(out, "%.*s\n", (int)b->classes[i].len, (const char *)b->classes[i].ptr);
    fclose(out);
    int rc = put(txn, dbi, MAP_HEAD_KEY, MAP_HEAD_KEY_BYTES, text, len);
    free(text);
    return rc;
}

static int put_all(const struct build *b, MDB_env *env)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (rc == 0)
        rc = put_head(b, txn, dbi);
    for (size_t i = 0; i < b->entry_count && rc == 0; i++) {
        const struct build_entry *e = &b->entries[i];
        const uint8_t value[MAP_VALUE_BYTES] = {(uint8_t)(e->class_number & 255),
                                                (uint8_t)(e->class_number >> 8)};
        rc = put(txn, dbi, b->keys + e->key_offset, e->key_len, value, sizeof(value));
    }
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static int write_file(const struct build *b, const char *path)
{
    MDB_env *env;
    int rc = mdb_env_create(&env);
    if (rc != 0)
        return rc;
    /* Address space, not disk: twice what keys and their nodes need, and some for the tree. */
    size_t map_bytes = 2 * (b->keys_len + b->entry_count * 16) + 64 * MIB;
    rc = mdb_env_set_mapsize(env, map_bytes & ~((size_t)65535));
    if (rc == 0)
        rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, 0666);
    if (rc == 0)
        rc = put_all(b, env);
    mdb_env_close(env);
    return rc;
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return errno;
    int err = fsync(fd) < 0 ? errno : 0;
    close(fd);
    return err;
}

static int sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return sync_path(".", O_DIRECTORY);
    snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    return sync_path(folder, O_DIRECTORY);
}

static int write_map(const struct build *b, const char *to)
{
    char temporary[PATH_MAX];
    int len = snprintf(temporary, sizeof(temporary), "%s.new-%ld", to, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof(temporary))
        return ctl_failed(b->ctl, to, "path too long");
    (void)unlink(temporary); /* left by a crash of a process with our number */
    int rc = write_file(b, temporary);
    if (rc == 0)
        rc = sync_path(temporary, 0);
    if (rc == 0 && rename(temporary, to) < 0)
        rc = errno;
    if (rc == 0)
        rc = sync_folder_of(to);
    if (rc == 0)
        return EXIT_OK;
    (void)unlink(temporary);
    return ctl_failed(b->ctl, to, mdb_strerror(rc));
}

/* --- verbs ---------------------------------------------------------------------------------- */

static int build_run(struct build *b, const char *to)
{
    struct slice text = SLICE_EMPTY;
    struct slice line;
    int status = read_source(b, &text);
    struct slice rest = text;
    for (uint32_t number = 1; status == EXIT_OK && table_line_take(&rest, &line); number++)
        status = add_line(b, line, number);
    if (status == EXIT_OK)
        status = sort_entries(b);
    if (status == EXIT_OK)
        status = write_map(b, to);
    if (status == EXIT_OK)
        fprintf(b->ctl->out, "%s: %zu recipients, %u classes\n", to, b->entry_count,
                b->class_count);
    free(b->entries);
    free(b->keys);
    free((void *)(uintptr_t)text.ptr);
    return status;
}

static int verb_build(const struct ctl *ctl, int argc, char **argv)
{
    const char *to = NULL;
    struct build b = {.ctl = ctl, .folds_local = true};
    for (int i = 2; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool is_case = strcmp(argv[i], "--case") == 0;
        if (value != NULL && strcmp(argv[i], "--from") == 0) {
            b.from = value;
        } else if (value != NULL && strcmp(argv[i], "--to") == 0) {
            to = value;
        } else if (value != NULL && is_case && strcmp(value, "exact") == 0) {
            b.folds_local = false;
        } else if (value == NULL || !is_case || strcmp(value, "fold") != 0) {
            fprintf(ctl->err, "posternctl: map build: '%s' is not understood\n%s", argv[i], usage);
            return EXIT_USAGE;
        }
    }
    if (b.from == NULL || to == NULL) {
        fprintf(ctl->err, "posternctl: map build needs --from and --to\n%s", usage);
        return EXIT_USAGE;
    }
    return build_run(&b, to);
}

static int open_table(const struct ctl *ctl, const char *path, struct map **ret_map, void **ret_txn)
{
    struct table_error error = {0};
    int err = map_open(path, ret_map, &error);
    if (err == 0) {
        err = map_txn_begin(*ret_map, ret_txn);
        if (err < 0)
            map_close(*ret_map);
    }
    if (err == 0)
        return EXIT_OK;
    return ctl_failed(ctl, path, error.reason[0] != '\0' ? error.reason : strerrordesc_np(-err));
}

/* A key as an address that table_line_parse() makes the same key of. */
static void print_key(FILE *out, struct slice key)
{
    size_t at = key.len;
    while (at > 0 && key.ptr[at - 1] != '@')
        at--;
    struct slice local = slice_first(key, at > 0 ? at - 1 : 0);
    struct table_line parsed;
    struct table_error error;
    bool is_plain = local.len > 0 && local.ptr[0] != '#' && slice_find(local, '@') == local.len &&
                    table_line_parse(local, false, &parsed, &error) == TABLE_LINE_ENTRY &&
                    parsed.key.len == local.len + 1;
    fputs(is_plain ? "" : "\"", out);
    for (size_t i = 0; i < local.len; i++)
        fprintf(out, "%s%c", !is_plain && strchr("\"\\", local.ptr[i]) != NULL ? "\\" : "",
                local.ptr[i]);
    fputs(is_plain ? "" : "\"", out);
    if (at < key.len)
        fprintf(out, "@%.*s", (int)(key.len - at), (const char *)key.ptr + at);
}

static void print_class(FILE *out, const struct map *m, uint16_t number)
{
    struct slice name = number > 0 ? map_class_name(m, number) : SLICE_EMPTY;
    fprintf(out, "%s%.*s\n", number > 0 ? " " : "", (int)name.len, (const char *)name.ptr);
}

struct dump {
    const struct map *map;
    FILE *out;
};

static bool dump_entry(void *context, struct slice key, uint16_t class_number)
{
    const struct dump *d = context;
    print_key(d->out, key);
    print_class(d->out, d->map, class_number);
    return !ferror(d->out);
}

static int verb_dump(const struct ctl *ctl, int argc, char **argv)
{
    struct map *map;
    void *txn;
    if (argc != 3) {
        fputs(usage, ctl->err);
        return EXIT_USAGE;
    }
    int status = open_table(ctl, argv[2], &map, &txn);
    if (status != EXIT_OK)
        return status;
    struct dump d = {map, ctl->out};
    if (map_walk(map, txn, dump_entry, &d) == TABLE_DAMAGED)
        status = ctl_failed(ctl, argv[2], "the map is damaged");
    map_txn_end(txn);
    map_close(map);
    return status;
}

/* As the server looks it up: the address, then its local part alone. */
static int query_one(const struct ctl *ctl, const struct map *map, void *txn, const char *address)
{
    struct table_line parsed;
    struct table_error error;
    uint16_t number = 0;
    if (table_line_parse(slice_str(address), map_folds_local(map), &parsed, &error) !=
        TABLE_LINE_ENTRY)
        return ctl_failed(ctl, address, "not an address");
    enum table_result result = map_find(map, txn, &parsed.key, &number);
    uint32_t at = parsed.key.len;
    while (at > 0 && parsed.key.bytes[at - 1] != '@')
        at--;
    if (result == TABLE_NOT_FOUND && at < parsed.key.len) {
        parsed.key.len = at;
        result = map_find(map, txn, &parsed.key, &number);
    }
    if (result == TABLE_DAMAGED)
        return ctl_failed(ctl, address, "the map is damaged");
    if (result == TABLE_NOT_FOUND)
        return ctl_failed(ctl, address, "not in the map");
    fputs(address, ctl->out);
    print_class(ctl->out, map, number);
    return EXIT_OK;
}

static int verb_query(const struct ctl *ctl, int argc, char **argv)
{
    struct map *map;
    void *txn;
    if (argc < 4) {
        fputs(usage, ctl->err);
        return EXIT_USAGE;
    }
    int status = open_table(ctl, argv[2], &map, &txn);
    if (status != EXIT_OK)
        return status;
    for (int i = 3; i < argc; i++)
        status |= query_one(ctl, map, txn, argv[i]);
    map_txn_end(txn);
    map_close(map);
    return status;
}

int ctl_map_run(int argc, char **argv, FILE *out, FILE *err)
{
    const struct ctl ctl = {out, err};
    const char *verb = argc > 1 ? argv[1] : "";
    const char *last = argv[argc - 1];
    if (strcmp(verb, "help") == 0 || strcmp(last, "--help") == 0 || strcmp(last, "-h") == 0) {
        fputs(usage, out);
        return ctl_finish(&ctl, EXIT_OK);
    }
    if (strcmp(verb, "build") == 0)
        return ctl_finish(&ctl, verb_build(&ctl, argc, argv));
    if (strcmp(verb, "query") == 0)
        return ctl_finish(&ctl, verb_query(&ctl, argc, argv));
    if (strcmp(verb, "dump") == 0)
        return ctl_finish(&ctl, verb_dump(&ctl, argc, argv));
    fputs(usage, err);
    return EXIT_USAGE;
}

int ctl_map_main(int argc, char **argv)
{
    return ctl_map_run(argc, argv, stdout, stderr);
}
