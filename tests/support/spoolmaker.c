/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spoolmaker.c - owns a temporary folder with a spool in it, written by the real spool over the
 * simulated disk, one message at a time.
 */
#include "spoolmaker.h"
#include "base/assert.h"
#include "ctl_spool.h"
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_OWNER 7
#define WORDS_MAX 64

void spoolmaker_start(struct spoolmaker *sm)
{
    const struct spool_options options = {
        .dir = sm->spool,
        .durability = SPOOL_DISK,
        .shard_count = 1,
        .segment_bytes = MIB,
        .reserve_bytes = 1,
        .is_keeper_manual = true,
    };
    char text[256] = "";
    int result = spool_dir_open(&options, &sm->dir, text, sizeof(text));
    if (result < 0)
        fprintf(stderr, "%s\n", text);
    ASSERT(result == 0);
    sm->ring = fakering_new();
    result = spool_new(sm->dir, 0, sm->ring, TOKEN_OWNER, &sm->shard);
    ASSERT(result == 0);
}

void spoolmaker_stop(struct spoolmaker *sm)
{
    if (sm->shard == NULL)
        return;
    spool_free(sm->shard);
    spool_dir_close(sm->dir);
    fakering_free(sm->ring);
    sm->shard = NULL;
}

void spoolmaker_init(struct spoolmaker *sm)
{
    /* In memory where there is some: the tools sync every file. */
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    *sm = (struct spoolmaker){0};
    snprintf(sm->root, sizeof(sm->root), "%s/postern-spool-XXXXXX", base);
    const char *made = mkdtemp(sm->root);
    ASSERT(made != NULL);
    snprintf(sm->spool, sizeof(sm->spool), "%s/spool", sm->root);
    spoolmaker_start(sm);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    (void)chmod(path, 0700);
    return remove(path);
}

void spoolmaker_deinit(struct spoolmaker *sm)
{
    spoolmaker_stop(sm);
    free(sm->out);
    free(sm->err);
    nftw(sm->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct spool_rcpt spoolmaker_rcpt(const char *address, enum spool_rcpt_state state)
{
    return (struct spool_rcpt){
        .address = slice_str(address), .class_name = SLICE_LIT("default"), .state = state};
}

struct spool_envelope spoolmaker_envelope(const struct spool_rcpt *rcpts, uint32_t rcpt_count)
{
    return (struct spool_envelope){
        .received_at = SPOOLMAKER_TIME + 123456,
        .reverse_path = SLICE_LIT("ann@example.com"),
        .mail = {.has_size = true,
                 .size = 4321,
                 .body = PARAM_BODY_8BITMIME,
                 .dialects = SESSION_OFFER_PRDR,
                 .ret = PARAM_RET_HDRS,
                 .envid = SLICE_LIT("QQ314159")},
        .helo = SLICE_LIT("client.example"),
        .client = SLICE_LIT("192.0.2.1:1234"),
        .listener = SLICE_LIT("smtp://127.0.0.1:2525"),
        .protocol = SLICE_LIT("ESMTP"),
        .trace = SLICE_LIT("Received: from client.example ([192.0.2.1])\r\n\tby mx.example\r\n"),
        .message_id = SLICE_LIT("<1@example.com>"),
        .flags = SCAN_FLAG_HIGH | SCAN_FLAG_LONG_LINE,
        .score = -1250,
        .hash = {0x0123456789ABCDEF, 0xFEDCBA9876543210},
        .rcpts = rcpts,
        .rcpt_count = rcpt_count,
    };
}

/* Until nothing is in flight; the keeper works whenever the spool waits for it. */
static void run(struct spoolmaker *sm)
{
    struct ring_event ev;
    spool_turn(sm->shard);
    for (unsigned rounds = 0; rounds < 1000; rounds++) {
        while (fakering_step(sm->ring, &ev)) {
            spool_on_event(sm->shard, &ev);
            spool_turn(sm->shard);
        }
        if (!fakering_poll_fire(sm->ring, &ev))
            break;
        spool_dir_keep(sm->dir);
        spool_on_event(sm->shard, &ev);
        spool_turn(sm->shard);
    }
}

uint64_t spoolmaker_add(struct spoolmaker *sm, struct spool_envelope envelope, struct slice content,
                        size_t piece_bytes)
{
    struct spool_message m;
    enum spool_outcome outcome = spool_begin(sm->shard, &m, content.len);
    ASSERT(outcome == SPOOL_PENDING);
    envelope.content_bytes = content.len;
    while (piece_bytes > 0 && content.len > piece_bytes) {
        struct spool_part part = {.bytes = slice_first(content, piece_bytes)};
        outcome = spool_append(sm->shard, &m, &part, 1);
        ASSERT(outcome == SPOOL_PENDING);
        run(sm);
        content = slice_from(content, piece_bytes);
    }
    struct spool_part rest = {.bytes = content};
    spool_commit(sm->shard, &m, &rest, content.len > 0 ? 1 : 0, &envelope);
    run(sm);
    struct spool_message *done = spool_next_done(sm->shard);
    ASSERT(done == &m && m.outcome == SPOOL_STORED);
    return m.proof.queue_id;
}

void spoolmaker_result(struct spoolmaker *sm, uint64_t queue_id, enum spool_result_op op,
                       uint32_t rcpt_idx)
{
    enum spool_outcome outcome = spool_result(sm->shard, queue_id, op, rcpt_idx, SPOOLMAKER_TIME);
    ASSERT(outcome == SPOOL_PENDING);
    spool_flush(sm->shard);
    run(sm);
}

/* --- the tool --------------------------------------------------------------------------------- */

static char *word_expand(const struct spoolmaker *sm, const char *word, size_t len)
{
    char *text = NULL;
    size_t text_len = 0;
    FILE *f = open_memstream(&text, &text_len);
    ASSERT(f != NULL);
    for (size_t i = 0; i < len; i++) {
        bool is_name = word[i] == '%' && i + 1 < len;
        if (is_name && word[i + 1] == 'S')
            fputs(sm->spool, f);
        else if (is_name && word[i + 1] == 'R')
            fputs(sm->root, f);
        else
            fputc(word[i], f);
        i += is_name;
    }
    fclose(f);
    return text;
}

int spoolmaker_ctl(struct spoolmaker *sm, const char *line)
{
    char *words[WORDS_MAX + 1] = {word_expand(sm, "spool", 5)};
    int count = 1;
    while (*line != '\0') {
        size_t len = strcspn(line, " ");
        ASSERT(count < WORDS_MAX);
        if (len > 0)
            words[count++] = word_expand(sm, line, len);
        line += len;
        line += *line == ' ';
    }
    char *argv[WORDS_MAX + 1];
    memcpy(argv, words, sizeof(argv));
    free(sm->out);
    free(sm->err);
    FILE *out = open_memstream(&sm->out, &sm->out_len);
    FILE *err = open_memstream(&sm->err, &sm->err_len);
    ASSERT(out != NULL && err != NULL);
    int status = ctl_spool_run(count, argv, out, err, SPOOLMAKER_TIME + 5000007);
    fclose(out);
    fclose(err);
    while (count > 0)
        free(words[--count]);
    return status;
}

/* --- files ------------------------------------------------------------------------------------ */

static char *file_read(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return NULL;
    struct stat st;
    int result = fstat(fileno(f), &st);
    ASSERT(result == 0);
    char *text = malloc((size_t)st.st_size + 1);
    ASSERT(text != NULL);
    *ret_len = fread(text, 1, (size_t)st.st_size, f);
    text[*ret_len] = '\0';
    fclose(f);
    return text;
}

char *spoolmaker_read(const struct spoolmaker *sm, const char *name, size_t *ret_len)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", sm->root, name);
    return file_read(path, ret_len);
}

static unsigned file_damage(const char *path, struct slice bytes)
{
    size_t len;
    unsigned places = 0;
    char *text = file_read(path, &len);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ASSERT(text != NULL && fd >= 0);
    const char *at = text;
    while ((at = memmem(at, len - (size_t)(at - text), bytes.ptr, bytes.len)) != NULL) {
        uint8_t changed = (uint8_t)*at ^ 1;
        ssize_t done = pwrite(fd, &changed, 1, at - text);
        ASSERT(done == 1);
        places++;
        at++;
    }
    close(fd);
    free(text);
    return places;
}

unsigned spoolmaker_damage(const struct spoolmaker *sm, struct slice bytes)
{
    unsigned places = 0;
    DIR *dir = opendir(sm->spool);
    ASSERT(dir != NULL);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", sm->spool, e->d_name);
        size_t len = strlen(e->d_name);
        if (len > 4 && strcmp(e->d_name + len - 4, ".seg") == 0)
            places += file_damage(path, bytes);
    }
    closedir(dir);
    return places;
}
