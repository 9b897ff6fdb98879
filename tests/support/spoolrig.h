/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spoolrig.h - one shard's spool on the simulated disk, with messages whose content and envelope
 * follow from their number, and the ledger of what became of them.
 *
 * rig_check() opens a spool directory (the rig's own, or what a power cut left of it) and compares
 * it with the ledger: P1 and P2 of the design.
 */
#ifndef SUPPORT_SPOOLRIG_H
#define SUPPORT_SPOOLRIG_H

#include "fakering.h"
#include "spool/spool.h"
#include "spool/store.h"

#define RIG_MESSAGES_MAX 512
#define RIG_RCPTS_MAX 5
#define RIG_PARTS_MAX 1024
#define RIG_TOKEN_OWNER 7

enum rig_phase {
    RIG_OPEN, /* begun, perhaps part of the body appended */
    RIG_COMMITTING,
    RIG_ABORTED,
    RIG_DONE, /* spool_next_done() gave it out, or spool_begin() refused it */
};

enum rig_fate { /* results asked for */
                RIG_KEPT,
                RIG_DELETING, /* the record may be stored or not */
                RIG_DELETED,  /* it is */
};

struct rig_message {
    struct spool_message m;
    enum rig_phase phase;
    enum rig_fate fate;
    bool is_given_out; /* an aborted one that had writes pending has come back */
    uint32_t number;
    uint32_t rcpt_count;
    uint8_t *body;
    size_t body_bytes;
    size_t appended;
    uint32_t pins; /* of windows into the body, by the spool */
};

struct rig {
    struct window_source source; /* first: the windows' */
    char dir[128];
    struct spool_options options;
    struct ring *ring;
    struct spool_dir *spool_dir;
    struct spool *spool;
    uint32_t part_bytes; /* body parts are that large */
    uint32_t count;
    struct rig_message *at[RIG_MESSAGES_MAX];
};

/* rig_dir_new() - a name in memory-backed storage where there is some; nothing is made. */
void rig_dir_new(char *ret_path, size_t cap);
void rig_dir_remove(const char *path);

/* rig_open() - a new directory with the smallest segments, ring, spool. */
void rig_open(struct rig *r, enum spool_durability durability);
/* rig_open_at() - the same in @dir, which need not exist. */
void rig_open_at(struct rig *r, const char *dir, enum spool_durability durability);
/* rig_stop() - free spool, directory handle and ring, as on a clean end; the files stay. */
void rig_stop(struct rig *r);
/* rig_start() - the other half: open what is there. */
void rig_start(struct rig *r);
void rig_close(struct rig *r);  /* all of it, files too */
void rig_forget(struct rig *r); /* an empty ledger */

/* rig_begin() - message with @body_bytes of content; the outcome is its m.outcome when refused. */
struct rig_message *rig_begin(struct rig *r, size_t body_bytes);
enum spool_outcome rig_append(struct rig *r, struct rig_message *m, size_t bytes);
void rig_commit(struct rig *r, struct rig_message *m);
void rig_abort(struct rig *r, struct rig_message *m);
/* rig_store() - begin and commit at once. */
struct rig_message *rig_store(struct rig *r, size_t body_bytes);
void rig_delete(struct rig *r, struct rig_message *m);

/* rig_turn() - the end of a shard's turn: start what can be started, take what is done. */
void rig_turn(struct rig *r);
/* rig_step() - one operation of the ring and its turn. False: nothing was in flight. */
bool rig_step(struct rig *r);
/* rig_run() - until nothing is in flight; the keeper works whenever the spool waits for it. */
void rig_run(struct rig *r);

/*
 * rig_check() - recover @dir and compare it with the ledger
 * @ret_text: what is wrong
 */
bool rig_check(const struct rig *r, const char *dir, char *ret_text, size_t cap);

/* rig_check_store() - the same, reading only: as a tool beside the server. */
bool rig_check_store(const struct rig *r, const char *dir, char *ret_text, size_t cap);

/* rig_is_whole() - does message @message_idx of @store equal number @number of the ledger? */
bool rig_is_whole(const struct rig *r, const struct store *store, uint32_t message_idx,
                  const struct rig_message *m, char *ret_text, size_t cap);

/*
 * rig_cut_check() - the power goes now: rig_check() on what is left; then one more message is
 * stored there and the power goes again: what the first recovery found must be found again
 */
bool rig_cut_check(struct rig *r, enum fakering_cut cut, uint64_t seed, char *ret_text, size_t cap);

/*
 * rig_script() - a random run that @seed decides: messages of all sizes, appended in pieces,
 * stored, aborted, deleted; turns, operations, the keeper; faults when @fault_count is not 0
 * @after: called after every operation that was carried out; false ends the run
 *
 * Return: false when @after did
 */
typedef bool (*rig_hook)(void *arg, struct rig *r);
bool rig_script(struct rig *r, uint64_t seed, uint32_t action_count, uint32_t fault_count,
                rig_hook after, void *after_arg);

#endif
