/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_join.h - what programs wrote while a point ran, into a measure.
 *
 * The ledger tells of pairs. Of which try a copy is, it does not know; that is told here, by the
 * connection where each try has its own, else by time.
 */
#ifndef LAB_LIVE_JOIN_H
#define LAB_LIVE_JOIN_H

#include "lab/ladder.h"
#include "lab/live_wire.h"
#include "lab/mode.h"

struct live_source {
    const char *attempts; /* a file of one run */
    const char *report;   /* JSON of postern-load; NULL: there is none */
    uint64_t run;
    uint64_t messages; /* sequence numbers are below */
};

struct live_files {
    struct live_source sources[LAB_MIX_ROWS_MAX];
    uint32_t source_count;
    const char *arrivals; /* a file as of postern-sink; or a spool */
    bool is_spool;
    bool is_arrival_timed;              /* else nobody knows of which try a copy is */
    bool has_try_a_connection;          /* and only one */
    const struct live_wire_note *notes; /* of faults; messages of all sources counted through */
    uint32_t note_count;
};

/*
 * live_join() - adds everything that the files tell to @m; ladder and series if @job wants them
 * @err: damage and errors are said here
 * Return: 0 or a negative errno
 */
MUST_CHECK int live_join(const struct live_files *files, const struct lab_job *job,
                         struct lab_measure *m, FILE *err);

#endif
