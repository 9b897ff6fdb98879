/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fakering.h - the file operations of io/ring.h on a simulated disk, for tests.
 *
 * Operations are carried out one at a time, when the test says so, on real files: these are what
 * a process sees (the page cache). Beside them the disk remembers what was under every sector that
 * was written and not synced since, so that fakering_image() can make the directory as a machine
 * would find it after losing power: each such sector kept, lost, or a mixture.
 *
 * Faults are scripted by the number of the write or sync that they hit.
 */
#ifndef SUPPORT_FAKERING_H
#define SUPPORT_FAKERING_H

#include "io/ring.h"

#define FAKERING_SECTOR 512
#define FAKERING_FAULTS_MAX 16

enum fakering_fault_kind {
    FAKERING_WRITE_ERROR, /* nothing is written; the result is @error */
    FAKERING_WRITE_TORN,  /* @bytes are written, the result is @error all the same */
    FAKERING_WRITE_SHORT, /* @bytes are written, and the result says so */
    FAKERING_SYNC_ERROR,  /* the result is @error; what was not synced never will be for sure */
};

struct fakering_fault {
    enum fakering_fault_kind kind;
    uint32_t at; /* which write, or which sync, from 0 */
    int error;   /* negative errno */
    uint64_t bytes;
};

struct ring *fakering_new(void);
void fakering_free(struct ring *r);
void fakering_advance(struct ring *r, uint64_t ns);
void fakering_fault(struct ring *r, const struct fakering_fault *fault);
void fakering_fault_clear(struct ring *r); /* forget all faults */

/* fakering_step() - carry out the oldest waiting operation. False: there is none. */
bool fakering_step(struct ring *r, struct ring_event *ret_event);
uint32_t fakering_waiting(const struct ring *r);
uint32_t fakering_writes(const struct ring *r); /* carried out so far */
uint32_t fakering_syncs(const struct ring *r);
uint32_t fakering_polls(const struct ring *r); /* armed and not yet fired */
/* fakering_poll_fire() - the oldest armed poll as an event. */
bool fakering_poll_fire(struct ring *r, struct ring_event *ret_event);

enum fakering_cut {
    FAKERING_KEEP, /* everything written is on the disk */
    FAKERING_LOSE, /* nothing that was not synced is */
    FAKERING_TEAR, /* sector by sector, by @seed */
};
/*
 * fakering_image() - what is in @from_dir after a power cut now, as a new directory @to_dir
 * Return: number of sectors that could be lost, or negative errno
 */
int fakering_image(struct ring *r, const char *from_dir, const char *to_dir, enum fakering_cut cut,
                   uint64_t seed);

#endif
