/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace.h - when replies leave: pacing of a listener, and replies linked to the commit.
 */
#ifndef PACE_H
#define PACE_H

#include "chunk.h"
#include "io/ring.h"
#include "smtp/session.h"

struct shard;
struct conn;

enum pacing {
    PACING_TICK,  /* whatever is ready when the loop turns, in one send */
    PACING_BATCH, /* the replies to a message in one send after the last of them is ready */
    PACING_EAGER, /* each reply in a send of its own */
};

/* Recipients of a message whose replies are worked out ahead of its commit. */
#define PACE_ENTRIES_MAX 512

/* pace_room() - bytes of a chunk that replies may fill. */
size_t pace_room(enum pacing pacing);

/*
 * pace_output() - format replies that are ready behind those which @out has already
 * @part_count: in and out, the sends that @out is to leave in; 0: one
 *
 * Return: true when nothing that should leave now is left
 */
bool pace_output(enum pacing pacing, struct session *s, struct chunk *out, uint8_t *part_count);

/* pace_send() - begin to send @out, all of it, in @part_count sends (0: one), without waiting for
 * the peer. */
void pace_send(struct ring *ring, int32_t file, struct chunk *out, uint8_t part_count,
               struct ring_token token);

/*
 * pace_link_replies() - commit_replies = linked: right after spool_turn(), work out what the
 * clients of the messages in the write that it asked for will be told, and link that behind the
 * write
 *
 * What is said is found out on a copy of the session; the session itself goes on when the outcome
 * is known, and what it then says must begin with the bytes that have left (pace_landed()).
 */
void pace_link_replies(struct shard *sh);

/* pace_landed() - the result of the linked send: what left of c->out stands for what the session
 * will say; when nothing did, it is forgotten. */
void pace_landed(struct shard *sh, struct conn *c, int32_t res);

/* pace_reconcile() - @fresh is what the session says now that the outcome is known: it takes the
 * place of c->out, from which bytes have left ahead. */
void pace_reconcile(struct shard *sh, struct conn *c, struct chunk *fresh);

#endif
