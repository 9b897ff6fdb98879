/* SPDX-License-Identifier: Apache-2.0 */
/* simworld.c - see simworld.h. */
#include "simworld.h"
#include "../support/testscan.h"
#include "policy/policy_build.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SPINS_MAX 20000 /* turns in a row in which no time passes */
#define TURNS_MAX 20000000

_Noreturn void simworld_fail(const struct simworld *w, struct slice received, const char *what,
                             const char *file, int line)
{
    fprintf(stderr, "seed %llu: %s:%d: %s\n", (unsigned long long)w->seed, file, line, what);
    if (received.len > 0)
        fprintf(stderr, "received:\n%.*s\n", (int)received.len, (const char *)received.ptr);
    abort();
}

/* --- the file system's room, for all of this program ------------------------------------------ */

static uint64_t space_bytes = UINT64_MAX;

void simworld_set_space(uint64_t bytes)
{
    space_bytes = bytes;
}

/* Takes the place of the C library's: how full the machine really is must not matter here. */
int fstatvfs(int fd, struct statvfs *st)
{
    (void)fd;
    uint64_t bytes = space_bytes == UINT64_MAX ? 1024 * (uint64_t)GIB : space_bytes;
    *st = (struct statvfs){.f_bsize = 4096, .f_frsize = 4096};
    st->f_bavail = st->f_bfree = st->f_blocks = bytes / 4096;
    return 0;
}

/* --- policy and rules ------------------------------------------------------------------------- */

static struct policy_class class_make(struct slice name, enum policy_action action)
{
    struct policy_class class = policy_class_default();
    class.name = name;
    class.action = action;
    return class;
}

static struct policy *policy_make(bool is_closed, uint64_t slow_ns)
{
    struct policy_build_options options = {.folds_local = true};
    struct policy_build *b = NULL;
    struct policy *p = NULL;
    struct table *t = NULL;
    struct table_error error;
    struct slice unknown;
    uint16_t class_idx;
    uint32_t domain, table;
    struct policy_class small = class_make(SLICE_LIT("small"), POLICY_ACCEPT);
    struct policy_class strict = class_make(SLICE_LIT("strict"), POLICY_ACCEPT);
    struct policy_class discard = class_make(SLICE_LIT("discard"), POLICY_DISCARD);
    struct policy_class hold = class_make(SLICE_LIT("hold"), POLICY_QUARANTINE);
    struct policy_class slow = class_make(SLICE_LIT("slow"), POLICY_ACCEPT);
    struct policy_class slowstrict = class_make(SLICE_LIT("slowstrict"), POLICY_ACCEPT);
    struct policy_class slower = class_make(SLICE_LIT("slower"), POLICY_ACCEPT);
    slow.delay = slowstrict.delay = (struct delay){.kind = DELAY_CONSTANT, .low = slow_ns};
    slower.delay = (struct delay){.kind = DELAY_CONSTANT, .low = 3 * slow_ns};
    slow.score_reject = POLICY_SCORE_OFF;
    slower.score_reject = POLICY_SCORE_OFF;
    slowstrict.score_reject = 1000;
    small.size_max = SIMWORLD_SMALL_BYTES_MAX;
    small.score_reject = POLICY_SCORE_OFF;
    strict.score_reject = 1000;
    struct slice list = is_closed ? SLICE_LIT("nobody-at-all@mx.example\n")
                                  : SLICE_LIT("any@mx.example\n"
                                              "small@mx.example small\n"
                                              "strict@mx.example strict\n"
                                              "discard@mx.example discard\n"
                                              "quarantine@mx.example hold\n"
                                              "slow@mx.example slow\n"
                                              "slower@mx.example slower\n"
                                              "slowstrict@mx.example slowstrict\n");
    bool is_made = policy_build_begin(&options, &b) == 0 &&
                   policy_build_class(b, &small, &class_idx) == POLICY_BUILD_OK &&
                   policy_build_class(b, &strict, &class_idx) == POLICY_BUILD_OK &&
                   policy_build_class(b, &discard, &class_idx) == POLICY_BUILD_OK &&
                   policy_build_class(b, &hold, &class_idx) == POLICY_BUILD_OK &&
                   policy_build_class(b, &slow, &class_idx) == POLICY_BUILD_OK &&
                   policy_build_class(b, &slower, &class_idx) == POLICY_BUILD_OK &&
                   policy_build_class(b, &slowstrict, &class_idx) == POLICY_BUILD_OK &&
                   policy_build_domain(b, SLICE_LIT("mx.example"), 0, &domain) == POLICY_BUILD_OK &&
                   table_new_text(list, true, &t, &error) == 0 &&
                   policy_build_table(b, t, &table, &unknown) == POLICY_BUILD_OK &&
                   policy_build_source_table(b, domain, table) == POLICY_BUILD_OK &&
                   policy_build_finish(b, &p) == 0;
    ASSERT(is_made);
    return p;
}

static struct rules *rules_make(void)
{
    static const char text[] = "evil any 12 \"" SIMWORLD_EVIL_TEXT "\"\n";
    struct rules *rules = NULL;
    struct rules_error error;
    int result = rules_compile(slice_str(text), &rules, &error);
    ASSERT(result == 0);
    return rules;
}

void simworld_replace(struct simworld *w, bool is_closed)
{
    struct policy *policy = policy_make(is_closed, w->slow_ns);
    struct rules *rules = rules_make();
    CHECK_WORLD(w, shard_replace(&w->shard, policy, rules) == 0);
    policy_unref(policy);
    rules_unref(rules);
}

/* --- life ------------------------------------------------------------------------------------- */

static enum pacing sending_pacing;
static bool sending_linked;

void simworld_set_sending(enum pacing pacing, bool links_replies)
{
    sending_pacing = pacing;
    sending_linked = links_replies;
}

struct simworld_setup simworld_setup(uint64_t seed)
{
    return (struct simworld_setup){
        .sim = {.seed = seed, .network_ns_max = NS_PER_MS, .disk_ns_max = 2 * NS_PER_MS},
        .limits = {.conn_count_max = 64,
                   .txn_count_max = 64,
                   .chunk_count_max = 512,
                   .buffer_count = 16,
                   .session_ns_max = 3600 * NS_PER_S},
        .durability = SPOOL_DISK,
        .segment_bytes = 2 * MIB,
        .links_replies = sending_linked,
        .slow_ns = SIMWORLD_SLOW_NS,
        .listener =
            {
                .session =
                    {
                        .offers = SESSION_OFFER_ALL,
                        .hostname = SLICE_LIT("mx.example"),
                        .size_max = SIMWORLD_SIZE_MAX,
                        .rcpt_max = 100,
                        .error_max = 20,
                    },
                .pacing = sending_pacing,
                .mixed = POLICY_MIXED_WORST,
                .on_refusal = POLICY_REFUSAL_QUARANTINE,
                .command_ns_max = 60 * NS_PER_S,
                .block_ns_max = 30 * NS_PER_S,
                .content_ns_max = 600 * NS_PER_S,
                .send_ns_max = 20 * NS_PER_S,
                .reply_ns_max = 240 * NS_PER_S,
                .may_delay = true,
                .bytes_per_second_min = 10,
                .content_grace_ns = 30 * NS_PER_S,
            },
    };
}

static void dir_make(struct simworld *w)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(w->dir, sizeof(w->dir), "%s/shard-sim-XXXXXX", base);
    CHECK_WORLD(w, mkdtemp(w->dir) != NULL);
    char path[96];
    snprintf(path, sizeof(path), "%s/log", w->dir);
    w->log_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CHECK_WORLD(w, w->log_fd >= 0);
}

static void spool_open(struct simworld *w, const struct simworld_setup *setup)
{
    char text[512] = "";
    char dir[96];
    snprintf(dir, sizeof(dir), "%s/spool", w->dir);
    CHECK_WORLD(w, mkdir(dir, 0700) == 0);
    struct spool_options options = {.dir = dir,
                                    .durability = setup->durability,
                                    .shard_count = 1,
                                    .segment_bytes = setup->segment_bytes,
                                    .is_keeper_manual = true};
    if (spool_dir_open(&options, &w->spool_dir, text, sizeof(text)) < 0)
        simworld_fail(w, slice_str(text), "spool_dir_open", __FILE__, __LINE__);
}

void simworld_begin(struct simworld *w, const struct simworld_setup *setup)
{
    char text[512] = "";
    *w = (struct simworld){.seed = setup->sim.seed, .slow_ns = setup->slow_ns};
    simworld_set_space(UINT64_MAX);
    dir_make(w);
    spool_open(w, setup);
    for (int i = 0; i < SIMWORLD_LISTENER_COUNT; i++) {
        w->listeners[i] = setup->listener;
        w->listeners[i].name = i == SIMWORLD_LMTP ? SLICE_LIT("lmtp") : SLICE_LIT("smtp");
        w->listeners[i].session.protocol = i == SIMWORLD_LMTP ? SESSION_LMTP : SESSION_SMTP;
        if (i == SIMWORLD_LMTP && setup->is_unix)
            w->listeners[i].unix_path = "lmtp.sock"; /* as far as a shard is concerned */
    }
    struct policy *policy = policy_make(false, setup->slow_ns);
    struct rules *rules = rules_make();
    struct shard_options options = {
        .listener_count = SIMWORLD_LISTENER_COUNT,
        .listeners = w->listeners,
        .clients = setup->clients,
        .client_count = setup->client_count,
        .limits = setup->limits,
        .spool_dir = w->spool_dir,
        .durability = setup->durability,
        .links_replies = setup->links_replies,
        .policy = policy,
        .rules = rules,
        .hostname = SLICE_LIT("mx.example"),
        .log_fd = w->log_fd,
        .log_buffer_bytes = MIB,
    };
    sim_configure(&setup->sim);
    if (shard_init(&w->shard, &options, text, sizeof(text)) < 0)
        simworld_fail(w, slice_str(text), "shard_init", __FILE__, __LINE__);
    policy_unref(policy);
    rules_unref(rules);
    w->ring = w->shard.ring;
    for (uint32_t i = 0; i < SIMWORLD_LISTENER_COUNT; i++) {
        w->listen_fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        shard_listen(&w->shard, i, w->listen_fds[i]);
    }
}

void simworld_turn(struct simworld *w)
{
    static uint32_t spins;
    clock_ns before = ring_now(w->ring);
    CHECK_WORLD(w, ++w->turns < TURNS_MAX);
    CHECK_WORLD(w, shard_turn(&w->shard, 100 * NS_PER_MS) == 0);
    spins = ring_now(w->ring) == before ? spins + 1 : 0;
    CHECK_WORLD(w, spins < SPINS_MAX);
    if (w->turns % 8 == 0 && !w->is_keeper_asleep)
        spool_dir_keep(w->spool_dir);
}

void simworld_run(struct simworld *w, uint64_t ns)
{
    clock_ns end = ring_now(w->ring) + ns;
    while (ring_now(w->ring) < end)
        simworld_turn(w);
}

void simworld_drain(struct simworld *w, uint64_t ns)
{
    clock_ns deadline = ring_now(w->ring) + ns;
    shard_drain(&w->shard, deadline);
    while (!w->shard.is_stopped) {
        simworld_turn(w);
        CHECK_WORLD(w, ring_now(w->ring) < deadline + 10 * NS_PER_S);
    }
}

void simworld_check_home(struct simworld *w)
{
    struct shard *sh = &w->shard;
    CHECK_WORLD(w, sh->conn_count == 0);
    CHECK_WORLD(w, pool_used_count(&sh->conns) == 0);
    CHECK_WORLD(w, pool_used_count(&sh->txns) == 0);
    CHECK_WORLD(w, pool_used_count(&sh->held) == 0);
    CHECK_WORLD(w, pool_used_count(&sh->doubts) == 0);
    CHECK_WORLD(w, pool_used_count(&sh->chunks.pool) == 0);
    for (uint32_t i = 0; i < TXN_RCPT_TABLE_COUNT; i++)
        CHECK_WORLD(w, pool_used_count(&sh->rcpt_tables[i]) == 0);
    CHECK_WORLD(w, ring_buffers_free(w->ring) == ring_buffers_count(w->ring));
    CHECK_WORLD(w, list_is_empty(&sh->pinned));
    CHECK_WORLD(w, list_is_empty(&sh->starved));
    CHECK_WORLD(w, list_is_empty(&sh->stalled));
    CHECK_WORLD(w, list_is_empty(&sh->dirty));
    CHECK_WORLD(w, sh->epoch->txn_count == 0);
    CHECK_WORLD(w, simworld_metric(w, METRIC_CONNS_OPEN) == 0);
    CHECK_WORLD(w, sim_files_open(w->ring) == 0);
    for (int i = 0; i < SIMWORLD_LISTENER_COUNT; i++)
        CHECK_WORLD(w, sh->listeners[i].conn_count == 0);
}

static void file_copy(const struct simworld *w, const char *from, const char *to)
{
    struct stat st;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK_WORLD(w, in >= 0 && out >= 0 && fstat(in, &st) == 0);
    for (off_t at = 0; at < st.st_size;) {
        ssize_t done = copy_file_range(in, &at, out, NULL, (size_t)(st.st_size - at), 0);
        CHECK_WORLD(w, done > 0);
    }
    close(in);
    close(out);
}

void simworld_power_cut(struct simworld *w)
{
    char from[96], to[96], from_file[400], to_file[400];
    struct dirent *entry;
    snprintf(from, sizeof(from), "%s/spool", w->dir);
    snprintf(to, sizeof(to), "%s/cut", w->dir);
    CHECK_WORLD(w, mkdir(to, 0700) == 0);
    DIR *dir = opendir(from);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(from_file, sizeof(from_file), "%s/%s", from, entry->d_name);
        snprintf(to_file, sizeof(to_file), "%s/%s", to, entry->d_name);
        file_copy(w, from_file, to_file);
    }
    closedir(dir);
    sim_power_cut(w->ring, to);
    w->has_cut = true;
}

static uint64_t id_hash(struct slice id)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < id.len; i++)
        hash = (hash ^ id.ptr[i]) * 1099511628211u;
    return hash;
}

static void ids_load(struct simworld *w)
{
    struct store_message message;
    struct store_damage damage;
    w->id_hashes = calloc(store_count(w->store) + 1, sizeof(*w->id_hashes));
    CHECK_WORLD(w, w->id_hashes != NULL);
    for (uint32_t i = 0; i < store_count(w->store); i++) {
        CHECK_WORLD(w, store_load(w->store, i, &message, &damage) == 0);
        w->id_hashes[i] = id_hash(message.envelope.message_id);
        store_message_free(&message);
    }
}

void simworld_end(struct simworld *w)
{
    char text[512] = "";
    char dir[96];
    struct spool_dir *recovered;
    shard_deinit(&w->shard);
    w->ring = NULL;
    spool_dir_close(w->spool_dir);
    close(w->log_fd);
    snprintf(dir, sizeof(dir), "%s/%s", w->dir, w->has_cut ? "cut" : "spool");
    struct spool_options options = {.dir = dir,
                                    .durability = SPOOL_DISK,
                                    .shard_count = 1,
                                    .segment_bytes = MIB,
                                    .is_keeper_manual = true};
    if (spool_dir_open(&options, &recovered, text, sizeof(text)) < 0)
        simworld_fail(w, slice_str(text), "recovery", __FILE__, __LINE__);
    spool_dir_close(recovered);
    if (store_open(dir, &w->store, text, sizeof(text)) < 0)
        simworld_fail(w, slice_str(text), "store_open", __FILE__, __LINE__);
    ids_load(w);
}

static void dir_remove(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char name[512];
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' && (entry->d_name[1] == '.' || entry->d_name[1] == 0))
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (unlink(name) < 0)
            dir_remove(name);
    }
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
}

void simworld_remove(struct simworld *w)
{
    store_close(w->store);
    free(w->id_hashes);
    dir_remove(w->dir);
}

/* --- what can be seen of it ------------------------------------------------------------------- */

uint64_t simworld_metric(const struct simworld *w, enum metric id)
{
    return w->shard.metrics.value[id];
}

uint32_t simworld_logged(struct simworld *w, const char *text)
{
    struct stat st;
    uint32_t count = 0;
    simworld_run(w, 100 * NS_PER_MS); /* lines wait for each other for a while */
    CHECK_WORLD(w, fstat(w->log_fd, &st) == 0);
    char *all = calloc(1, (size_t)st.st_size + 1);
    CHECK_WORLD(w, all != NULL && pread(w->log_fd, all, (size_t)st.st_size, 0) == st.st_size);
    for (const char *at = all; (at = strstr(at, text)) != NULL; at++)
        count++;
    free(all);
    return count;
}

struct content_check {
    struct slice content;
    size_t len;
    bool is_equal;
};

static int content_compare(void *arg, struct slice bytes)
{
    struct content_check *check = arg;
    check->is_equal &= check->len + bytes.len <= check->content.len &&
                       memcmp(check->content.ptr + check->len, bytes.ptr, bytes.len) == 0;
    check->len += bytes.len;
    return 0;
}

struct simworld_found simworld_find(struct simworld *w, struct slice message_id,
                                    struct slice content)
{
    struct simworld_found found = {.is_equal = true};
    struct store_message message;
    struct store_damage damage;
    uint64_t hash = id_hash(message_id);
    for (uint32_t i = 0; i < store_count(w->store); i++) {
        if (w->id_hashes[i] != hash)
            continue;
        CHECK_WORLD(w, store_load(w->store, i, &message, &damage) == 0);
        if (!slice_eq(message.envelope.message_id, message_id)) {
            store_message_free(&message);
            continue;
        }
        struct content_check check = {content, 0, true};
        CHECK_WORLD(w, store_content(w->store, i, content_compare, &check, &damage) == 0);
        found.is_equal &= check.is_equal && check.len == content.len;
        simworld_found_free(&found);
        found.message = message;
        found.count++;
    }
    return found;
}

void simworld_found_free(struct simworld_found *f)
{
    if (f->count > 0)
        store_message_free(&f->message);
}

bool simworld_found_has(const struct simworld_found *f, const char *address)
{
    for (uint32_t i = 0; f->count > 0 && i < f->message.envelope.rcpt_count; i++)
        if (!f->message.is_gone[i] &&
            slice_eq(f->message.envelope.rcpts[i].address, slice_str(address)))
            return true;
    return false;
}
