/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool_keeper.c - the keeper as a thread beside a shard: segments come when they are needed, dead
 * ones come back, nothing is lost. Meant for the thread sanitizer too.
 */
#include "base/assert.h"
#include "spool/keeper.h"
#include "spoolrig.h"
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define MESSAGES 300

/* Until the message has its outcome, however long the keeper takes. */
static bool settle(struct rig *r)
{
    struct pollfd wake = {.fd = keeper_shard_at(r->spool_dir, 0)->wake_fd, .events = POLLIN};
    for (unsigned i = 0; i < 1000; i++) {
        rig_turn(r);
        while (rig_step(r))
            ;
        if (spool_is_idle(r->spool))
            return true;
        struct ring_event ev;
        if (poll(&wake, 1, 5000) == 1 && fakering_poll_fire(r->ring, &ev))
            spool_on_event(r->spool, &ev);
    }
    return false;
}

int main(void)
{
    static struct rig r;
    char text[256] = "";
    rig_open(&r, SPOOL_DISK);
    rig_stop(&r);
    r.options.is_keeper_manual = false;
    rig_start(&r);
    unsigned stored = 0;
    for (unsigned i = 0; i < MESSAGES; i++) {
        struct rig_message *m = rig_store(&r, i % 10 == 0 ? 1000 : 150000);
        if (!settle(&r))
            return 1;
        stored += m->m.outcome == SPOOL_STORED;
        if (i % 10 == 0)
            continue;
        rig_delete(&r, m);
        if (!settle(&r))
            return 1;
        m->fate = RIG_DELETED;
    }
    uint64_t recycled = spool_counters(r.spool)->segments_recycled;
    rig_stop(&r);
    r.options.is_keeper_manual = true;
    bool is_right = rig_check(&r, r.dir, text, sizeof(text));
    rig_close(&r);
    printf("%u stored, %llu segments recycled. %s\n", stored, (unsigned long long)recycled, text);
    return stored == MESSAGES && is_right ? 0 : 1;
}
