/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - read-only recipient tables: address -> class name, as a list in memory or an LMDB map.
 *
 * A key is "local@domain", or "local@" for an entry that holds in every domain that uses the
 * table; ASCII letters of the domain, and of the local part unless it is told not to, are folded to
 * lower case, and a quoted local part stands without its quotes. (The last "@" always separates,
 * since a domain has none, so no quoted local part can pose as another entry.)
 *
 * Line format of recipient files, lists and the source of maps:
 *     address [class]     # comment
 */
#ifndef POLICY_TABLE_H
#define POLICY_TABLE_H

#include "base/limits.h"
#include "base/slice.h"

#define TABLE_KEY_BYTES_MAX 500 /* LMDB's own limit is 511 */
#define TABLE_CLASS_BYTES_MAX 63
#define TABLE_CLASS_COUNT_MAX 1000
#define TABLE_LINE_BYTES_MAX 4096

struct table_error {
    uint32_t line; /* 1-based; 0 when it concerns the whole table */
    char reason[256];
};

/* --- keys and lines ------------------------------------------------------------------------- */

struct table_key {
    uint32_t len;
    uint8_t bytes[TABLE_KEY_BYTES_MAX];
};

/*
 * table_key_make() - the key of an address
 * @local:  as sent, quotes kept
 * @domain: empty for an entry of every domain
 * Return:  false when it is longer than any key can be (so it is in no table)
 */
MUST_CHECK bool table_key_make(struct slice local, struct slice domain, bool folds_local,
                               struct table_key *ret_key);

struct table_line {
    struct table_key key;
    struct slice class_name; /* empty: the domain's own */
};
enum table_line_result { TABLE_LINE_ENTRY, TABLE_LINE_BLANK, TABLE_LINE_BAD };

/*
 * table_line_parse() - one line without its line end
 * @ret_line:  filled for TABLE_LINE_ENTRY; slices into @line
 * @ret_error: reason filled for TABLE_LINE_BAD; its line number is the caller's business
 */
MUST_CHECK enum table_line_result table_line_parse(struct slice line, bool folds_local,
                                                   struct table_line *ret_line,
                                                   struct table_error *ret_error);

/* table_line_take() - cut the first line off @text, without LF or CRLF; false at the end. */
bool table_line_take(struct slice *text, struct slice *ret_line);

/* table_class_name_is_valid() - letters, digits, "-", "_" and ".", 1 to 63 of them. */
bool table_class_name_is_valid(struct slice name);

/* table_domain_is_valid() - labels of letters, digits, hyphens and bytes above 0x7F, or a "[...]"
 * literal. */
bool table_domain_is_valid(struct slice domain);

/* --- tables --------------------------------------------------------------------------------- */

struct table;

/* table_new_text() - a list in memory. 0, -EINVAL with @ret_error filled, or -ENOMEM. */
MUST_CHECK int table_new_text(struct slice text, bool folds_local, struct table **ret_table,
                              struct table_error *ret_error);

/*
 * table_new_map() - an LMDB map made by "posternctl map build" (format: map.h)
 *
 * The map is not loaded: pages come in as lookups touch them. A map is replaced by rename(2) and
 * never written in place; a table goes on with the file that it has opened.
 * Return: 0, -EINVAL or a negative errno with @ret_error filled
 */
MUST_CHECK int table_new_map(const char *path, struct table **ret_table,
                             struct table_error *ret_error);
void table_free(struct table *t);

/* table_folds_local() - as the list was made, or as the map was built. */
bool table_folds_local(const struct table *t);
/* table_entry_count() - different addresses. */
uint64_t table_entry_count(const struct table *t);

/* Class names that entries refer to, numbered from 1; number 0 is "no class given". */
uint16_t table_class_count(const struct table *t);
struct slice table_class_name(const struct table *t, uint16_t class_number);

/* One thread's access to a table. */
struct table_reader {
    const struct table *table;
    void *txn; /* read transaction of a map; NULL for a list */
};
MUST_CHECK int table_reader_open(const struct table *t, struct table_reader *ret_reader);
void table_reader_close(struct table_reader *r);

enum table_result { TABLE_FOUND, TABLE_NOT_FOUND, TABLE_DAMAGED };
/* table_find() - look @key up. Cost: one hash lookup, or one descent of the map's tree; no
 * allocation. */
MUST_CHECK enum table_result table_find(const struct table_reader *r, const struct table_key *key,
                                        uint16_t *ret_class_number);

/* table_hash() - what lists and domain tables are addressed by. */
uint64_t table_hash(const void *bytes, size_t len);

#endif
