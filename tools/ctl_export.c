/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl_export.c - owns "posternctl spool export": one file a message, complete or not there at all.
 *
 * A file is written under a temporary name (Maildir: in tmp/), synced, and given its name by a
 * rename that refuses to replace anything; the directory is synced before the command ends. What
 * is wrong with one message is said, and the next one follows; when the target cannot be written,
 * nothing follows.
 */
#include "base/err.h"
#include "ctl_format.h"
#include "ctl_spool_call.h"
#include "ctl_text.h"
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES (NAME_MAX + 1)
#define HOST_BYTES 65 /* HOST_NAME_MAX and NUL */

struct export
{
    const struct spool_call *call;
    enum ctl_format_kind kind;
    int dir_fd; /* of --to */
    int tmp_fd; /* where files are written ... */
    int new_fd; /* ... and where they get their name; both may be dir_fd */
    char host[4 * HOST_BYTES];
    uint32_t done_count;
    bool is_stopped; /* the target cannot be written */
};

enum { EXPORT_SINK_FAILED = 1 };

static int target_failed(struct export *x, const char *name, int error)
{
    FILE *err = x->call->ctl->err;
    fputs("posternctl: cannot write ", err);
    ctl_put_text(err, slice_str(x->call->to), CTL_TEXT_LINE);
    fprintf(err, "%s%s: %s\n", name[0] != '\0' ? "/" : "", name, err_text(error));
    x->is_stopped = true;
    return EXIT_FAILED;
}

/* --- the target ------------------------------------------------------------------------------- */

/* Opens the directory @name below @at; makes it if need be, durably. */
static int dir_make(int at, const char *name, int *ret_fd)
{
    bool is_new = mkdirat(at, name, 0700) == 0;
    if (!is_new && errno != EEXIST)
        return -errno;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int parent = is_new ? openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (is_new && (parent < 0 || fsync(parent) < 0)) {
        int result = -errno;
        if (parent >= 0)
            close(parent);
        close(fd);
        return result;
    }
    if (parent >= 0)
        close(parent);
    *ret_fd = fd;
    return 0;
}

/* The host's name as Maildir wants it: "/" and ":" would mean something. */
static void host_init(struct export *x)
{
    char host[HOST_BYTES] = "";
    struct buf b = buf_over(x->host, sizeof(x->host) - 1);
    if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
        BUF_PUT_LIT(&b, "localhost");
    for (const char *at = host; *at != '\0'; at++) {
        uint8_t c = (uint8_t)*at;
        if (c > ' ' && c < 0x7F && c != '/' && c != ':' && c != '\\' && c != ',')
            buf_put_byte(&b, c);
        else
            buf_printf(&b, "\\%03o", c);
    }
    x->host[b.len] = '\0';
}

static int target_open(struct export *x)
{
    int result = dir_make(AT_FDCWD, x->call->to, &x->dir_fd);
    if (result < 0)
        return target_failed(x, "", result);
    x->tmp_fd = x->new_fd = x->dir_fd;
    if (x->kind != CTL_FORMAT_MAILDIR)
        return EXIT_OK;
    int cur_fd = -1;
    host_init(x);
    x->tmp_fd = x->new_fd = -1;
    if ((result = dir_make(x->dir_fd, "tmp", &x->tmp_fd)) < 0)
        return target_failed(x, "tmp", result);
    if ((result = dir_make(x->dir_fd, "new", &x->new_fd)) < 0)
        return target_failed(x, "new", result);
    if ((result = dir_make(x->dir_fd, "cur", &cur_fd)) < 0)
        return target_failed(x, "cur", result);
    close(cur_fd);
    return EXIT_OK;
}

static void target_close(struct export *x)
{
    if (x->tmp_fd != x->dir_fd && x->tmp_fd >= 0)
        close(x->tmp_fd);
    if (x->new_fd != x->dir_fd && x->new_fd >= 0)
        close(x->new_fd);
    if (x->dir_fd >= 0)
        close(x->dir_fd);
}

/* --- one file --------------------------------------------------------------------------------- */

struct export_names {
    char temporary[NAME_BYTES];
    char final[NAME_BYTES];
};

static void names_make(const struct export *x, uint64_t queue_id, struct export_names *n)
{
    char id[QUEUE_ID_CHARS + 1];
    queue_id_format(queue_id, id);
    wall_us now = x->call->now;
    int pid = (int)getpid();
    if (x->kind == CTL_FORMAT_MAILDIR) {
        /* Time of delivery, and what makes it unique on this host: a process says an id once. */
        snprintf(n->final, sizeof(n->final), "%llu.M%06uP%dQ%s.%.150s",
                 (unsigned long long)(now / 1000000), (unsigned)(now % 1000000), pid, id, x->host);
        memcpy(n->temporary, n->final, sizeof(n->temporary));
    } else {
        const char *suffix = x->kind == CTL_FORMAT_EML ? "eml" : "mbox";
        snprintf(n->final, sizeof(n->final), "%s.%s", id, suffix);
        /* With the time: what a killed process left must not stop one that has its number. */
        snprintf(n->temporary, sizeof(n->temporary), ".%s.%s.%d-%llu.tmp", id, suffix, pid,
                 (unsigned long long)now);
    }
}

static int format_sink(void *arg, struct slice bytes)
{
    struct ctl_format *f = arg;
    ctl_format_put(f, bytes);
    return ferror(f->out) ? EXPORT_SINK_FAILED : 0;
}

/* Gives the file its name unless there is one of that name. 0, -EEXIST, or negative errno. */
static int file_place(const struct export *x, const struct export_names *n)
{
    if (renameat2(x->tmp_fd, n->temporary, x->new_fd, n->final, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    /* A file system that cannot do that: a link refuses to replace as well. */
    if (linkat(x->tmp_fd, n->temporary, x->new_fd, n->final, 0) < 0)
        return -errno;
    return unlinkat(x->tmp_fd, n->temporary, 0) < 0 ? -errno : 0;
}

/* Writes all of the message. @ret_result: what was wrong with reading it; returned: with writing.
 */
static int file_write(const struct export *x, uint32_t message_idx, const struct store_message *m,
                      FILE *file, int *ret_result, struct store_damage *ret_damage)
{
    struct ctl_format format;
    ctl_format_begin(&format, file, x->kind, &m->envelope);
    errno = 0;
    *ret_result = store_content(x->call->store, message_idx, format_sink, &format, ret_damage);
    int error = errno;
    if (*ret_result < 0)
        return 0;
    if (*ret_result == 0) {
        ctl_format_end(&format);
        errno = 0;
        if (fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0)
            return 0;
        error = errno;
    }
    *ret_result = 0;
    return error > 0 ? -error : -EIO;
}

static int message_export(struct export *x, uint32_t message_idx, const struct store_message *m)
{
    struct export_names names;
    struct store_damage damage;
    struct stat st;
    int result = 0;
    names_make(x, m->queue_id, &names);
    if (fstatat(x->new_fd, names.final, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return spool_say(x->call, m->queue_id, "not exported: the file exists already");
    int fd = openat(x->tmp_fd, names.temporary,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return target_failed(x, names.temporary, -errno);
    FILE *file = fdopen(fd, "w");
    if (file == NULL)
        close(fd);
    int failure = file == NULL ? -ENOMEM : file_write(x, message_idx, m, file, &result, &damage);
    if (file != NULL && fclose(file) != 0 && failure == 0 && result == 0)
        failure = -errno;
    if (failure == 0 && result == 0)
        failure = file_place(x, &names);
    if (failure == 0 && result == 0) {
        x->done_count++;
        return EXIT_OK;
    }
    (void)unlinkat(x->tmp_fd, names.temporary, 0);
    if (result < 0)
        return spool_trouble(x->call, m->queue_id, result, &damage);
    if (failure == -EEXIST)
        return spool_say(x->call, m->queue_id, "not exported: the file exists already");
    return target_failed(x, names.final, failure);
}

/* --- all of them ------------------------------------------------------------------------------ */

static int export_some(struct export *x, const bool *selected, int status)
{
    const struct spool_call *call = x->call;
    uint32_t count = store_count(call->store);
    uint32_t left_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct store_message m;
        if (!selected[i] && !call->is_all && !call->is_held)
            continue;
        if (x->is_stopped && !call->is_held) {
            left_count++;
            continue;
        }
        if (spool_load(call, i, &m) != EXIT_OK) {
            status = EXIT_FAILED;
            continue;
        }
        if (call->is_held && m.held_count == 0)
            ; /* not wanted */
        else if (x->is_stopped)
            left_count++;
        else
            status |= message_export(x, i, &m);
        store_message_free(&m);
    }
    if (x->done_count > 0 && fsync(x->new_fd) < 0)
        status = target_failed(x, "", -errno);
    if (left_count > 0)
        fprintf(call->ctl->err, "posternctl: %u more messages were not exported\n", left_count);
    fprintf(call->ctl->out, "%u messages exported to ", x->done_count);
    ctl_put_text(call->ctl->out, slice_str(call->to), CTL_TEXT_LINE);
    fputc('\n', call->ctl->out);
    return status;
}

static bool format_parse(const char *text, enum ctl_format_kind *ret_kind)
{
    static const char *const names[] = {"eml", "mbox", "maildir"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (slice_eq_nocase(slice_str(text), slice_str(names[i]))) {
            *ret_kind = (enum ctl_format_kind)i;
            return true;
        }
    }
    return false;
}

int spool_export(struct spool_call *call)
{
    struct export x = {.call = call, .dir_fd = -1, .tmp_fd = -1, .new_fd = -1};
    bool *selected = NULL;
    if (call->format == NULL || !format_parse(call->format, &x.kind))
        return spool_usage(call, "--format must be eml, mbox or maildir");
    if (call->to == NULL)
        return spool_usage(call, "--to DIR is missing");
    if ((call->word_count > 0) + call->is_held + call->is_all > 1)
        return spool_usage(call, "queue ids, --held and --all exclude each other");
    call->is_all |= call->word_count == 0 && !call->is_held;
    int status = spool_select(call, &selected);
    if (selected == NULL)
        return status;
    int target = target_open(&x);
    status = target == EXIT_OK ? export_some(&x, selected, status) : target;
    target_close(&x);
    free(selected);
    return status;
}
