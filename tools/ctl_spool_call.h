/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_spool_call.h - one call of "posternctl spool VERB": its options, and the store it reads. */
#ifndef CTL_SPOOL_CALL_H
#define CTL_SPOOL_CALL_H

#include "ctl.h"
#include "spool/store.h"

struct spool_call {
    const struct ctl *ctl;
    const char *verb;
    wall_us now;
    const char *dir;
    const char *message_id, *sender, *rcpt, *class_name, *since, *until; /* list */
    const char *format, *to;                                             /* export */
    bool is_json, is_ids, is_header, is_content, is_raw, is_held, is_all, is_all_held, is_help;
    char **words; /* queue ids */
    uint32_t word_count;
    struct store *store;
};

/* The verbs. The store is open; words have been counted. Return: enum ctl_exit. */
int spool_list(struct spool_call *call);
int spool_show(struct spool_call *call);
int spool_verify(struct spool_call *call);
int spool_export(struct spool_call *call);
int spool_delete(struct spool_call *call);
int spool_requeue(struct spool_call *call);

/* spool_say() - "posternctl: QID: reason" on standard error; EXIT_FAILED. */
int spool_say(const struct spool_call *call, uint64_t queue_id, const char *reason);

/* spool_usage() - "posternctl: spool VERB: reason" on standard error; EXIT_USAGE. */
int spool_usage(const struct spool_call *call, const char *reason);

/*
 * spool_select() - the messages that the words name; what is no message is said
 * @ret_selected: one flag a message, from calloc()
 * Return: EXIT_OK, or EXIT_FAILED when a word names none (the others are selected)
 */
MUST_CHECK int spool_select(const struct spool_call *call, bool **ret_selected);

/*
 * spool_load() - a message of the picture
 * Return: EXIT_OK; EXIT_FAILED: damaged or deleted meanwhile, which has been said
 */
MUST_CHECK int spool_load(const struct spool_call *call, uint32_t message_idx,
                          struct store_message *ret_message);

/*
 * spool_trouble() - say what store_load() or store_content() ended with (a negative errno)
 * Return: EXIT_FAILED
 */
int spool_trouble(const struct spool_call *call, uint64_t queue_id, int result,
                  const struct store_damage *damage);

/*
 * spool_is_damaged() - look again at a message that seemed to be damaged, in a new picture: beside
 * a running server it may have been deleted, and its segment used again, since the store was opened
 * @damage: in, out
 */
MUST_CHECK bool spool_is_damaged(const struct spool_call *call, uint64_t queue_id,
                                 struct store_damage *damage);

/* spool_put_damage() - one line without its end. */
void spool_put_damage(const struct spool_call *call, FILE *out, const struct store_damage *damage);

#endif
