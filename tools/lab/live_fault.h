/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_fault.h - who makes a point's faults in real time: postern-sink and postern-load where they
 * can, else the wire, and then all of them. Pure.
 */
#ifndef LAB_LIVE_FAULT_H
#define LAB_LIVE_FAULT_H

#include "lab/live_plan.h"

/* live_fault_needs_wire() - the network of @p is more than the sockets of this machine. */
bool live_fault_needs_wire(const struct lab_point *p);
/* live_fault_can() - whether what goes wrong in @p can be made to go wrong. */
MUST_CHECK bool live_fault_can(const struct lab_point *p, char ret_reason[LIVE_REASON_BYTES_MAX]);

#endif
