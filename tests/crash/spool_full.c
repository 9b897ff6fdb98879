/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spool_full.c - a file system that is really full: a tmpfs of 8 MiB, and the file size limit of
 * the process. Nothing that was stored is lost, what does not fit is refused, deletes go through,
 * and when there is room again it is used. Needs the right to mount; else it is skipped (77).
 */
#include "base/assert.h"
#include "base/err.h"
#include "spoolrig.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SKIP 77

static char mount_dir[] = "/tmp/spool_full-XXXXXX";
static struct rig rig;
static char text[256];

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            printf("%s:%d: %s is not so (%s)\n", __FILE__, __LINE__, #cond, text);                 \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* Stores until something is refused. Returns what was stored. */
static unsigned fill(size_t body_bytes)
{
    unsigned stored = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct rig_message *m = rig_store(&rig, body_bytes);
        rig_run(&rig);
        spool_dir_keep(rig.spool_dir);
        if (m->m.outcome != SPOOL_STORED) {
            ASSERT(m->m.outcome == SPOOL_FULL && m->m.error == -ENOSPC && !m->m.is_in_doubt);
            return stored;
        }
        stored++;
    }
    return stored;
}

static void delete_all(void)
{
    for (uint32_t i = 0; i < rig.count; i++)
        if (rig.at[i]->m.outcome == SPOOL_STORED && rig.at[i]->fate == RIG_KEPT)
            rig_delete(&rig, rig.at[i]);
    rig_run(&rig);
}

static int full_by_mail(void)
{
    unsigned stored = fill(100000);
    printf("%u messages of 100000 bytes fit\n", stored);
    CHECK(stored >= 30 && stored < 80);
    /* Known before any content is read. */
    CHECK(spool_can_store(rig.spool, 100000) == SPOOL_FULL);
    CHECK(rig_begin(&rig, 100000)->m.outcome == SPOOL_FULL);
    CHECK(!spool_is_stopped(rig.spool));
    CHECK(rig_check_store(&rig, rig.dir, text, sizeof(text)));
    /* A restart finds all of it, and is as full as before. */
    rig_stop(&rig);
    rig_start(&rig);
    CHECK(fill(100000) <= 12); /* the rest of the last segment is not used by a new run */
    CHECK(rig_check_store(&rig, rig.dir, text, sizeof(text)));
    delete_all(); /* there is always room for that */
    CHECK(spool_counters(rig.spool)->results_lost == 0);
    CHECK(rig_check_store(&rig, rig.dir, text, sizeof(text)));
    for (unsigned i = 0; i < 3; i++)
        spool_dir_keep(rig.spool_dir);
    stored = fill(100000);
    printf("%u after everything was deleted\n", stored);
    CHECK(stored >= 20);
    CHECK(rig_check_store(&rig, rig.dir, text, sizeof(text)));
    delete_all();
    return 0;
}

/* Somebody else takes every byte: the reserve and the segments that exist carry on. */
static int full_by_others(void)
{
    char path[256];
    static uint8_t junk[65536];
    snprintf(path, sizeof(path), "%s/junk", mount_dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    struct rig_message *kept = rig_store(&rig, 5000);
    rig_run(&rig);
    CHECK(kept->m.outcome == SPOOL_STORED);
    while (write(fd, junk, sizeof(junk)) > 0)
        ;
    (void)fill(100000);
    CHECK(!spool_is_stopped(rig.spool));
    CHECK(rig_check_store(&rig, rig.dir, text, sizeof(text)));
    rig_stop(&rig);
    rig_start(&rig); /* opens without a byte to spare */
    CHECK(rig_check_store(&rig, rig.dir, text, sizeof(text)));
    delete_all();
    CHECK(rig_check_store(&rig, rig.dir, text, sizeof(text)));
    close(fd);
    unlink(path);
    for (unsigned i = 0; i < 3; i++)
        spool_dir_keep(rig.spool_dir);
    struct rig_message *later = rig_store(&rig, 100000);
    rig_run(&rig);
    CHECK(later->m.outcome == SPOOL_STORED);
    CHECK(rig_check_store(&rig, rig.dir, text, sizeof(text)));
    return 0;
}

/* Segments cannot be made for another reason: EFBIG. */
static int too_big(void)
{
    struct rlimit before;
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    struct rlimit low = {300000, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &low) == 0);
    unsigned refused = 0;
    for (unsigned i = 0; i < 60 && refused == 0; i++) {
        struct rig_message *m = rig_begin(&rig, 200000);
        if (m->phase == RIG_OPEN) {
            rig_abort(&rig, m);
            break;
        }
        refused += m->m.outcome == SPOOL_FULL;
    }
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    spool_dir_keep(rig.spool_dir);
    struct rig_message *later = rig_store(&rig, 200000);
    rig_run(&rig);
    CHECK(later->m.outcome == SPOOL_STORED);
    CHECK(rig_check_store(&rig, rig.dir, text, sizeof(text)));
    return 0;
}

int main(void)
{
    /* A mount namespace of its own: the mount goes with the process, whatever happens. */
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return SKIP;
    if (mkdtemp(mount_dir) == NULL)
        return 1;
    if (mount("spool", mount_dir, "tmpfs", 0, "size=8m") < 0) {
        rmdir(mount_dir);
        return SKIP;
    }
    char dir[64];
    snprintf(dir, sizeof(dir), "%s/spool", mount_dir);
    rig_open_at(&rig, dir, SPOOL_DISK);
    int result = full_by_mail();
    if (result == 0)
        result = full_by_others();
    if (result == 0)
        result = too_big();
    rig_close(&rig);
    umount(mount_dir);
    rmdir(mount_dir);
    return result;
}
