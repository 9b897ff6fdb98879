/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spoolmaker.h - a small real spool with messages of the test's choosing, for tests of its readers.
 * (spoolrig.h is for tests of the writer: its messages follow from their number.)
 *
 * One shard, the smallest segments, durability "disk" on the simulated disk, and the command line
 * tool as a function. Every failure ends the test.
 */
#ifndef SUPPORT_SPOOLMAKER_H
#define SUPPORT_SPOOLMAKER_H

#include "fakering.h"
#include "spool/spool.h"

/* The clock of the simulated disk starts here, and queue ids of a shard with it. */
#define SPOOLMAKER_TIME ((wall_us)1800000000 * 1000000) /* 2027-01-15T08:00:00Z */

struct spoolmaker {
    char root[64];  /* a temporary folder of this test */
    char spool[96]; /* root/spool */
    struct ring *ring;
    struct spool_dir *dir;
    struct spool *shard; /* of the running "server"; NULL when stopped */
    char *out;           /* what the last spoolmaker_ctl() printed */
    size_t out_len;
    char *err;
    size_t err_len;
};

void spoolmaker_init(struct spoolmaker *sm);
/* spoolmaker_start(), spoolmaker_stop() - the "server"; it runs after init. */
void spoolmaker_start(struct spoolmaker *sm);
void spoolmaker_stop(struct spoolmaker *sm);
void spoolmaker_deinit(struct spoolmaker *sm);

/* spoolmaker_envelope() - one where every field is filled, for @rcpts. */
struct spool_envelope spoolmaker_envelope(const struct spool_rcpt *rcpts, uint32_t rcpt_count);
/* spoolmaker_rcpt() - of class "default", without parameters. */
struct spool_rcpt spoolmaker_rcpt(const char *address, enum spool_rcpt_state state);

/*
 * spoolmaker_add() - store a message, @content in pieces of @piece_bytes (0: whole), one DATA
 * record each
 * @envelope: content_bytes is set here
 * Return: its queue id
 */
uint64_t spoolmaker_add(struct spoolmaker *sm, struct spool_envelope envelope, struct slice content,
                        size_t piece_bytes);
/* spoolmaker_result() - what the server notes about one recipient, or SPOOL_RCPT_ALL. */
void spoolmaker_result(struct spoolmaker *sm, uint64_t queue_id, enum spool_result_op op,
                       uint32_t rcpt_idx);

/*
 * spoolmaker_ctl() - "posternctl spool @line" with out and err kept; words are split at spaces, and
 * %S is the spool, %R the root folder
 * Return: exit status
 */
int spoolmaker_ctl(struct spoolmaker *sm, const char *line);

/* spoolmaker_read() - a file below the root, NUL behind it; NULL: there is none. Freed by caller.
 */
char *spoolmaker_read(const struct spoolmaker *sm, const char *name, size_t *ret_len);
/* spoolmaker_damage() - change bytes of the segments where they equal @bytes. Return: places. */
unsigned spoolmaker_damage(const struct spoolmaker *sm, struct slice bytes);

#endif
