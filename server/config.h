/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - text to a checked struct: what the server is told, complete and consistent.
 *
 * config_load() returns a configuration in which every value has been checked, every file it names
 * has been read or opened, and the policy has been made; or it returns one error that names file
 * and line. A configuration is read-only afterwards. The server's listeners point into it, so the
 * one that was loaded at start lives as long as the server; a reload loads another, takes policy
 * and the rest of what may change from it, and frees it.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include "knob.h"
#include "listener.h"
#include "policy/patience.h"
#include "policy/policy.h"
#include "policy/table.h"
#include "spool/spool.h"

#define CONFIG_LISTENER_COUNT_MAX 64
#define CONFIG_CLIENT_COUNT_MAX 256
#define CONFIG_LISTEN_DEFAULT "smtp://127.0.0.1:2525"

/* Fields that knobs fill are of the knob's type (knob.h); the rest is derived from them. */

struct config_top {
    char *hostname;
    uint32_t shard_count; /* 0: one per usable processor */
    uint32_t scan;        /* index; config_scan_isa() */
    char *rules_path;     /* NULL: the rules that ship with the program */
    char *delimiters;     /* recipient_delimiter */
    uint32_t folds_local; /* local_part_case = fold */
};

struct config_spool {
    char *dir;
    uint32_t durability;    /* enum spool_durability */
    uint32_t links_replies; /* commit_replies = linked */
    uint64_t segment_bytes;
    uint64_t reserve_bytes;
};

struct config_log {
    char *path;            /* NULL: standard error */
    uint64_t buffer_bytes; /* per shard */
};

struct config_limits { /* per shard, but for drain_ns */
    uint32_t conn_count_max;
    uint32_t txn_count_max;
    uint32_t buffer_count;  /* receive buffers of 64 KiB, a power of two */
    uint64_t message_bytes; /* memory for parts of messages that wait to be written */
    uint64_t session_ns_max;
    uint64_t drain_ns; /* how long SIGTERM lets sessions finish */
};

struct config_listener {
    char *name;
    const struct conftree_node *node; /* where it stands in the file, or NULL */
    char *address;
    uint32_t offers;
    uint32_t bare_newline;  /* 1: normalize */
    uint32_t early_talkers; /* 1: refuse */
    uint32_t pacing;        /* enum pacing */
    uint32_t tcp_nodelay;
    uint32_t mixed;
    uint32_t on_refusal;
    uint32_t unix_mode;
    uint64_t size_max;
    uint32_t rcpt_count_max, mail_count_max, error_count_max, received_count_max;
    uint32_t conn_count_max;
    uint64_t command_ns_max, block_ns_max, content_ns_max, send_ns_max;
    uint64_t rate_min, rate_grace_ns;
    uint64_t reply_ns_max;
    struct delay content_delay;
    uint32_t works_side_by_side; /* delay_order = concurrent */
    uint32_t allows_delays;
    uint32_t finishes_vanished;

    bool is_lmtp;
    struct listener_options options; /* made of the above */
};

struct config_client {
    char *name;
    const struct conftree_node *node; /* where it stands in the file, or NULL */
    struct knob_texts networks;
    struct knob_texts helos;
    uint64_t reply_ns;
};

struct config_class {
    char *name;
    const struct conftree_node *node; /* where it stands in the file, or NULL */
    uint64_t size_max;
    int32_t score_reject, score_defer;
    uint32_t flags_reject;
    uint32_t action;
    uint32_t acts_at_rcpt;
    struct delay delay;
    struct answer reject_reply, defer_reply, accept_reply, size_reply;
};

struct config_domain {
    char *name;
    const struct conftree_node *node; /* where it stands in the file, or NULL */
    char *class_name;
    struct knob_texts recipients;
};

struct config {
    struct region memory;
    bool has_file;
    char *path; /* of the file, "" without one */
    struct config_top top;
    struct config_spool spool;
    struct config_log log;
    struct config_limits limits;
    struct config_listener *listeners;
    uint32_t listener_count;
    struct config_client *clients;
    uint32_t client_count;
    struct patience_client *patient_clients; /* made of the above */
    struct config_class *classes;
    uint32_t class_count;
    struct config_domain *domains;
    uint32_t domain_count;
    struct policy *policy; /* one reference, given up by config_free() */
};

struct config_error {
    char text[600]; /* "FILE:LINE: what is wrong", or "--option: what is wrong" */
    uint32_t line;  /* 0: not a matter of one line */
};

/* The command line's words: NULL where an option was not given. They win over the file. */
struct config_overrides {
    const char *const *listen; /* replace all listeners of the file */
    uint32_t listen_count;
    const char *spool, *durability, *shards, *scan, *hostname, *rules;
};

/*
 * config_load() - file and command line to a checked configuration
 * @path:      NULL: no file: every recipient is accepted, and only loopback addresses and unix
 *             sockets can be listened on
 * @overrides: NULL: none
 *
 * Return: 0; -EINVAL, -ENOMEM or the errno of a file that cannot be read, with @ret_error filled
 */
MUST_CHECK int config_load(const char *path, const struct config_overrides *overrides,
                           struct config **ret_config, struct config_error *ret_error);

/* config_load_text() - the same for text in memory; @name stands for the file in errors, and its
 * folder is where relative paths start. */
MUST_CHECK int config_load_text(struct slice text, const char *name,
                                const struct config_overrides *overrides,
                                struct config **ret_config, struct config_error *ret_error);
void config_free(struct config *c); /* NULL is fine */

/* config_scan_isa() - for scan_init(): "auto", "avx2", ... */
const char *config_scan_isa(const struct config *c);

/* config_print() - the effective configuration, every setting, in a form that loads to the same. */
void config_print(const struct config *c, FILE *out);

/* config_print_reference() - every section and setting with type, unit, range, default, meaning. */
void config_print_reference(FILE *out);

/*
 * config_reload_differences() - settings that a reload cannot change and that differ
 * @out: their names, separated by ", "; is_full when there are more than fit
 * Return: how many
 */
uint32_t config_reload_differences(const struct config *old, const struct config *new,
                                   struct buf *out);

#endif
