/* SPDX-License-Identifier: Apache-2.0 */
/* mode.c - owns the table of the ways to run a point. */
#include "lab/mode.h"
#include "lab/live.h"
#include "lab/sim.h"
#include <string.h>

static int run_sim(const struct lab_job *job, struct lab_measure *ret_measure)
{
    const struct lab_sim_options options = {
        .attempts = job->attempts,
        .arrivals = job->arrivals,
        .ladder = job->ladder,
        .ladder_seq = job->ladder_seq,
        .series_width_ns = job->series_width_ns,
    };
    return lab_sim(job->point, job->seed, &options, ret_measure);
}

const struct lab_mode lab_modes[] = {
    {.name = "sim",
     .doc = "server and client machines on a simulated network and clock",
     .is_parallel = true,
     .run = run_sim,
     .note = ""},
    {.name = "live",
     .doc = "postern-load and postern-sink or posternd (server.program) on unix sockets, in scaled "
            "time",
     .is_parallel = true,
     .can_run = live_can_run,
     .run = live_run,
     .precision = live_precision,
     .note = "postern-load against the server that server.program names over a unix socket (TCP "
             "where vanished = write), in real time. A reply that is due nearer to a limit than "
             "the precision may be found on "
             "either side of it."},
    {.name = "real-client",
     .doc = "Postfix, Exim or OpenSMTPD (client.like) as client of postern-sink, in scaled time",
     .can_run = live_client_can_run,
     .run = live_client_run,
     .precision = live_precision,
     .note = "The mail program that client.like names, over TCP, in real time. Its log tells what "
             "it learned; the pauses between tries are its own, whole seconds; replies are not "
             "timed."},
    {.name = "real-server",
     .doc = "postern-load against Exim, Dovecot or Cyrus (server.program), in scaled time",
     .can_run = live_server_can_run,
     .run = live_server_run,
     .precision = live_precision,
     .note = "postern-load against the mail program that server.program names, over TCP, in real "
             "time. What arrived is what its mailboxes hold in the end; its work takes as long as "
             "it takes."},
    {.name = NULL},
};

const struct lab_mode *lab_mode_find(const char *name)
{
    for (const struct lab_mode *m = lab_modes; m->name != NULL; m++)
        if (strcmp(m->name, name) == 0)
            return m;
    return NULL;
}

void lab_modes_print(FILE *out)
{
    for (const struct lab_mode *m = lab_modes; m->name != NULL; m++)
        fprintf(out, "%s%s", m == lab_modes ? "" : ", ", m->name);
}
