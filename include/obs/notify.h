/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - telling the service manager how we are (the sd_notify protocol), without its library.
 *
 * For the main thread only: the send may wait for the manager.
 */
#ifndef OBS_NOTIFY_H
#define OBS_NOTIFY_H

#include "base/clock.h"

/*
 * notify_send() - send @state, newline-separated "KEY=value" lines, to the socket in NOTIFY_SOCKET
 * Return: 1 sent; 0 there is no NOTIFY_SOCKET; -EAFNOSUPPORT for an address that is neither a path
 *         nor abstract ("@name"), -ENAMETOOLONG, or another negative errno
 */
int notify_send(const char *state);

/* The usual states; @status is one line for the operator ("listening on 2 shards"), or NULL. */
int notify_ready(const char *status);
/* notify_reloading() - @monotonic: CLOCK_MONOTONIC when the reload began; notify_ready() ends it.
 */
int notify_reloading(clock_ns monotonic);
int notify_stopping(const char *status);
int notify_status(const char *status);

#endif
