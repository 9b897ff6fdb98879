/* SPDX-License-Identifier: Apache-2.0 */
/* live_fault.c - owns the choice between the programs and the wire. */
#include "lab/live_fault.h"

/* Systems of real programs take ahead of a slow or long link what they like; the model's 64 KB hold
 * a content that is not larger, with its envelope, on either. */
#define CONTENT_BYTES_MAX (48 * KIB)

bool live_fault_needs_wire(const struct lab_point *p)
{
    const struct lab_faults *f = &p->faults;
    bool has_script = p->server.program == LAB_PROGRAM_SINK;
    if (f->one_way_ns > 0 || lab_faults_have(f, LAB_CUT_HAZARD) ||
        lab_faults_have(f, LAB_CUT_BLACK_HOLE) || lab_faults_have(f, LAB_CUT_SLOW))
        return true;
    /* postern-load leaves in each try, or in none. postern-sink drops who is to read no more
     * replies when the next one is due: in ADAT, where that takes a command, and at the dot this is
     * late. */
    bool is_for_sink = f->cut_replies > 0 && p->server.dialect != LAB_ADAT;
    return lab_faults_have(f, LAB_CUT_AFTER_REPLIES) &&
           (has_script ? !is_for_sink : f->is_first_try_only);
}

static bool waits_for_ever(const struct lab_point *p)
{
    bool does = p->mix.count == 0 && p->client.limit_ns == CLOCK_NEVER;
    for (uint32_t i = 0; i < p->mix.count; i++)
        does |= p->mix.rows[i].client.limit_ns == CLOCK_NEVER;
    return does;
}

bool live_fault_can(const struct lab_point *p, char ret_reason[LIVE_REASON_BYTES_MAX])
{
    const struct lab_faults *f = &p->faults;
    if (lab_faults_have(f, LAB_CUT_BLACK_HOLE) && waits_for_ever(p))
        return live_cannot(ret_reason, "a client without a limit never leaves a black hole");
    /* Where the sink has read the end it reads no more. */
    bool breaks = lab_faults_have(f, LAB_CUT_HAZARD) || lab_faults_have(f, LAB_CUT_AFTER_REPLIES);
    if (breaks && live_fault_needs_wire(p) && p->client.half_closes &&
        p->server.vanished != LAB_VANISHED_RUN)
        return live_cannot(ret_reason, "who has half closed is not seen to break off");
    bool commits_at_dot = p->server.dialect == LAB_WRAPPED_B && p->server.pacing == LAB_STREAM &&
                          p->rcpt_count >= LAB_LIST_RCPT_MIN;
    if (lab_faults_have(f, LAB_CUT_AFTER_REPLIES) && f->cut_replies == 0 && commits_at_dot &&
        p->server.vanished == LAB_VANISHED_STOP)
        return live_cannot(
            ret_reason, "postern-sink does not look for its client before it commits at the dot");
    bool is_far = f->one_way_ns > 0 || lab_faults_have(f, LAB_CUT_SLOW);
    if (is_far && p->message_bytes > CONTENT_BYTES_MAX)
        return live_cannot(ret_reason,
                           "how much of more than 48 KB a system takes ahead of a slow or long "
                           "link is its own to say");
    return true;
}
