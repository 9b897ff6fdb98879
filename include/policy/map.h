/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - recipient maps in one LMDB file: format, reading.
 *
 * Format: the unnamed database of a file without subfolder. The key MAP_HEAD_KEY (it starts with
 * NUL, which no address does) holds text:
 *     postern-map 1 fold|exact  version, and whether local parts were folded; each line ends in LF
 *     ENTRIES                   number of entries, decimal
 *     CLASS                     one line for each class name, numbered from 1
 * Every other key is a key of table.h; its value is the class number, two octets, lower first.
 * Files are written by "posternctl map build" under another name and renamed.
 */
#ifndef POLICY_MAP_H
#define POLICY_MAP_H

#include "policy/table.h"

#define MAP_HEAD_KEY "\0postern"
#define MAP_HEAD_KEY_BYTES 8
#define MAP_VERSION_TEXT "postern-map 1"
#define MAP_VALUE_BYTES 2

struct map;

/* map_open() - 0, or a negative errno with @ret_error filled. */
MUST_CHECK int map_open(const char *path, struct map **ret_map, struct table_error *ret_error);
void map_close(struct map *m);

/* map_folds_local() - whether the local parts were folded when the map was built. */
bool map_folds_local(const struct map *m);
/* map_entry_count() - as the head says. */
uint64_t map_entry_count(const struct map *m);
/* map_class_count() - class names of the head; they are numbered from 1. */
uint16_t map_class_count(const struct map *m);
/* map_class_name() - borrowed from @m; @class_number 1 to map_class_count(). */
struct slice map_class_name(const struct map *m, uint16_t class_number);

/* map_txn_begin() - a read transaction, used by one thread at a time. */
MUST_CHECK int map_txn_begin(const struct map *m, void **ret_txn);
void map_txn_end(void *txn);

/* map_find() - the class number of @key, 0 when it was listed without a class. No allocation. */
MUST_CHECK enum table_result map_find(const struct map *m, void *txn, const struct table_key *key,
                                      uint16_t *ret_class_number);

/* map_walk() - every entry in key order, until @visit returns false. For tools. */
typedef bool (*map_visit_fn)(void *context, struct slice key, uint16_t class_number);
MUST_CHECK enum table_result map_walk(const struct map *m, void *txn, map_visit_fn visit,
                                      void *context);

#endif
