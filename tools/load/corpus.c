/* SPDX-License-Identifier: Apache-2.0 */
/* corpus.c - owns reading messages from folders, Maildirs and mbox files, one at a time. */
#include "load/corpus.h"
#include "base/err.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096

struct reader {
    corpus_sink sink;
    void *sink_arg;
    uint8_t *memory; /* of the converted message */
    size_t cap;
    char *text;
    size_t text_cap;
    uint64_t mbox_count, other_count; /* files of a folder of mbox files */
};

static int failed(struct reader *r, const char *path, int error)
{
    snprintf(r->text, r->text_cap, "%s: %s", path, err_text(error));
    return error;
}

static struct slice line_take(struct slice *rest)
{
    size_t len = slice_find(*rest, '\n');
    struct slice line = slice_first(*rest, len < rest->len ? len + 1 : len);
    *rest = slice_from(*rest, line.len);
    return line;
}

static bool is_quoted_from(struct slice line)
{
    size_t quotes = 0;
    while (quotes < line.len && line.ptr[quotes] == '>')
        quotes++;
    struct slice rest = slice_from(line, quotes);
    return quotes > 0 && rest.len >= 5 && memcmp(rest.ptr, "From ", 5) == 0;
}

/* A stretch without line end; returns bytes written. */
static size_t put_text(struct slice text, uint8_t *out, uint64_t *stray_count)
{
    if (text.len == 0)
        return 0;
    memcpy(out, text.ptr, text.len);
    for (;;) {
        uint8_t *cr = memchr(out, '\r', text.len);
        if (cr == NULL)
            return text.len;
        *cr = ' ';
        (*stray_count)++;
    }
}

size_t corpus_convert(struct slice in, bool is_mbox, uint8_t *out, uint64_t *stray_count)
{
    size_t len = 0;
    *stray_count = 0;
    while (in.len > 0) {
        struct slice line = line_take(&in);
        if (is_mbox && is_quoted_from(line))
            line = slice_from(line, 1);
        if (line.len > 0 && line.ptr[line.len - 1] == '\n')
            line.len--;
        if (line.len > 0 && line.ptr[line.len - 1] == '\r') /* also a lone CR as the last byte */
            line.len--;
        len += put_text(line, out + len, stray_count);
        out[len++] = '\r';
        out[len++] = '\n';
    }
    return len;
}

static int give(struct reader *r, struct slice raw, bool is_mbox, const char *path, size_t offset)
{
    if (raw.len > CORPUS_FILE_BYTES_MAX)
        return failed(r, path, -EFBIG);
    size_t need = corpus_convert_bytes_max(raw.len);
    if (need > r->cap) {
        free(r->memory);
        r->cap = size_max(need + need / 2, 64 * KIB);
        r->memory = malloc(r->cap);
        if (r->memory == NULL) {
            r->cap = 0;
            return failed(r, path, -ENOMEM);
        }
    }
    struct corpus_item item = {.path = path, .offset = offset};
    size_t len = corpus_convert(raw, is_mbox, r->memory, &item.stray_count);
    item.content = slice_of(r->memory, len);
    return r->sink(r->sink_arg, &item);
}

/* "From ann@example.com Thu Jan  1 00:00:00 1970": the time of day tells it from a sentence. */
static bool is_from_line(struct slice line)
{
    if (line.len < 5 || memcmp(line.ptr, "From ", 5) != 0)
        return false;
    for (size_t i = 6; i + 2 < line.len; i++) {
        const uint8_t *p = line.ptr + i;
        if (p[0] == ':' && p[-1] >= '0' && p[-1] <= '9' && p[1] >= '0' && p[1] <= '9')
            return true;
    }
    return false;
}

static bool is_empty_line(struct slice line)
{
    return line.len > 0 && (line.ptr[0] == '\n' || (line.len == 2 && line.ptr[0] == '\r'));
}

static int read_mbox(struct reader *r, struct slice all, const char *path)
{
    struct slice rest = all;
    bool is_after_empty = true;
    bool is_inside = false;
    size_t from = 0, start = 0, end = 0; /* of the running message; @end without an empty line */
    while (rest.len > 0) {
        size_t offset = (size_t)(rest.ptr - all.ptr);
        struct slice line = line_take(&rest);
        if (is_after_empty && is_from_line(line)) {
            if (is_inside) {
                int result = give(r, slice_of(all.ptr + start, end - start), true, path, from);
                if (result != 0)
                    return result;
            }
            is_inside = true;
            from = offset;
            start = end = (size_t)(rest.ptr - all.ptr);
            is_after_empty = false;
            continue;
        }
        if (!is_inside) {
            snprintf(r->text, r->text_cap, "%s: no mbox: no From_ line at its start", path);
            return -EBADMSG;
        }
        is_after_empty = is_empty_line(line);
        end = is_after_empty ? offset : (size_t)(rest.ptr - all.ptr);
    }
    return is_inside ? give(r, slice_of(all.ptr + start, end - start), true, path, from) : 0;
}

/* RFC 4155 appendix A: the first line begins with "From ". "From :" is a header field's old form
 * (RFC 5322 4.5.2). */
static bool is_mbox_start(struct slice all)
{
    size_t at = sizeof("From ") - 1;
    if (all.len < at || memcmp(all.ptr, "From ", at) != 0)
        return false;
    while (at < all.len && (all.ptr[at] == ' ' || all.ptr[at] == '\t'))
        at++;
    return at == all.len || all.ptr[at] != ':';
}

static int read_bytes(struct reader *r, struct slice all, enum corpus_kind kind, const char *path)
{
    if (kind == CORPUS_MBOX || (kind == CORPUS_ANY && is_mbox_start(all)))
        return read_mbox(r, all, path);
    return give(r, all, false, path, 0);
}

static int read_fd(struct reader *r, int fd, enum corpus_kind kind, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return failed(r, path, -errno);
    if (!S_ISREG(st.st_mode))
        return failed(r, path, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL);
    if (st.st_size == 0)
        return read_bytes(r, SLICE_EMPTY, kind, path);
    size_t len = (size_t)st.st_size;
    if (len <= 256 * KIB) { /* cheaper than a mapping */
        uint8_t bytes[256 * KIB];
        ssize_t got = read(fd, bytes, len);
        return got < 0 ? failed(r, path, -errno)
                       : read_bytes(r, slice_of(bytes, (size_t)got), kind, path);
    }
    void *mapped = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED)
        return failed(r, path, -errno);
    int result = read_bytes(r, slice_of(mapped, len), kind, path);
    munmap(mapped, len);
    return result;
}

static int read_file(struct reader *r, enum corpus_kind kind, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return failed(r, path, -errno);
    int result = read_fd(r, fd, kind, path);
    close(fd);
    return result;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* @kind: of what the folder belongs to: CORPUS_FOLDER, CORPUS_MAILDIR or CORPUS_MBOX. */
static int read_folder(struct reader *r, const char *path, unsigned depth, enum corpus_kind kind);

static bool is_wanted(const char *name, enum corpus_kind kind)
{
    static const char suffix[] = ".mbox";
    size_t len = strlen(name);
    return kind != CORPUS_MBOX ||
           (len >= sizeof(suffix) - 1 && strcmp(name + len - (sizeof(suffix) - 1), suffix) == 0);
}

static int read_entry(struct reader *r, const char *folder, const char *name, unsigned depth,
                      enum corpus_kind kind)
{
    char path[PATH_BYTES];
    struct stat st;
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof(path))
        return failed(r, folder, -ENAMETOOLONG);
    if (stat(path, &st) < 0) /* a Maildir in use: renamed meanwhile */
        return kind == CORPUS_MAILDIR && errno == ENOENT ? 0 : failed(r, path, -errno);
    if (S_ISDIR(st.st_mode))
        return kind == CORPUS_FOLDER ? read_folder(r, path, depth + 1, kind) : 0;
    if (!S_ISREG(st.st_mode))
        return 0;
    if (!is_wanted(name, kind)) {
        r->other_count++;
        return 0;
    }
    r->mbox_count += kind == CORPUS_MBOX;
    if (kind == CORPUS_FOLDER)
        kind = CORPUS_ANY;
    return read_file(r, kind == CORPUS_MAILDIR ? CORPUS_FILE : kind, path);
}

static int read_folder(struct reader *r, const char *path, unsigned depth, enum corpus_kind kind)
{
    struct dirent **entries = NULL;
    if (depth > CORPUS_DEPTH_MAX)
        return failed(r, path, -ELOOP);
    int count = scandir(path, &entries, is_visible, by_bytes);
    if (count < 0)
        return failed(r, path, -errno);
    int result = 0;
    for (int i = 0; i < count; i++) {
        if (result == 0)
            result = read_entry(r, path, entries[i]->d_name, depth, kind);
        free(entries[i]);
    }
    free(entries);
    return result;
}

static bool has_folder(const char *path, const char *name)
{
    char full[PATH_BYTES];
    struct stat st;
    int len = snprintf(full, sizeof(full), "%s/%s", path, name);
    return len > 0 && (size_t)len < sizeof(full) && stat(full, &st) == 0 && S_ISDIR(st.st_mode);
}

static int read_maildir(struct reader *r, const char *path)
{
    static const char *const parts[] = {"cur", "new"};
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        char full[PATH_BYTES];
        int len = snprintf(full, sizeof(full), "%s/%s", path, parts[i]);
        if (len < 0 || (size_t)len >= sizeof(full))
            return failed(r, path, -ENAMETOOLONG);
        int result = read_folder(r, full, 0, CORPUS_MAILDIR);
        if (result != 0)
            return result;
    }
    return 0;
}

/* What "posternctl spool export" makes. A folder of other files was meant otherwise. */
static int read_mbox_folder(struct reader *r, const char *path)
{
    int result = read_folder(r, path, 0, CORPUS_MBOX);
    if (result != 0 || r->mbox_count > 0 || r->other_count == 0)
        return result;
    snprintf(r->text, r->text_cap, "%s: no file in it ends in .mbox", path);
    return -EBADMSG;
}

/* What @path is, as far as it was not said. */
static int look(struct reader *r, const char *path, enum corpus_kind *kind, bool *ret_is_folder)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return failed(r, path, -errno);
    *ret_is_folder = S_ISDIR(st.st_mode);
    if (*kind == CORPUS_ANY && *ret_is_folder)
        *kind = has_folder(path, "cur") && has_folder(path, "new") ? CORPUS_MAILDIR : CORPUS_FOLDER;
    return 0;
}

int corpus_read(const char *path, enum corpus_kind kind, corpus_sink sink, void *sink_arg,
                char *ret_text, size_t text_cap)
{
    struct reader r = {.sink = sink, .sink_arg = sink_arg, .text = ret_text, .text_cap = text_cap};
    bool is_folder = false;
    int result = look(&r, path, &kind, &is_folder);
    if (result == 0) {
        if (kind == CORPUS_MAILDIR)
            result = read_maildir(&r, path);
        else if (kind == CORPUS_FOLDER)
            result = read_folder(&r, path, 0, kind);
        else if (kind == CORPUS_MBOX && is_folder)
            result = read_mbox_folder(&r, path);
        else
            result = read_file(&r, kind, path);
    }
    free(r.memory);
    return result;
}
