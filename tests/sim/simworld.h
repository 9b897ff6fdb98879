/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simworld.h - one shard on the simulated ring, with its spool, policy, rules and log: what the
 * programs of this folder have in common.
 *
 * Recipients at mx.example: any@, small@ (at most SIMWORLD_SMALL_BYTES_MAX octets), strict@ (no
 * SIMWORLD_EVIL_TEXT in the content), discard@ and quarantine@; slow@, slowstrict@ (as strict@) and
 * slower@, on whom the work takes simworld_setup.slow_ns, and three times that.
 */
#ifndef SIMWORLD_H
#define SIMWORLD_H

#include "shard.h"
#include "simring.h"
#include "spool/store.h"

#define SIMWORLD_SMALL_BYTES_MAX 2000
#define SIMWORLD_EVIL_TEXT "EVIL-WORD-FOR-STRICT-PEOPLE"
#define SIMWORLD_SIZE_MAX 1000000
#define SIMWORLD_SLOW_NS (30 * NS_PER_S)

enum simworld_listener { SIMWORLD_SMTP, SIMWORLD_LMTP, SIMWORLD_LISTENER_COUNT };

struct simworld_setup {
    struct sim_options sim;
    struct shard_limits limits;
    enum spool_durability durability;
    uint64_t segment_bytes;
    bool links_replies;
    struct listener_options listener; /* for both, but for name and protocol */
    const struct patience_client *clients;
    uint32_t client_count;
    uint64_t slow_ns; /* SIMWORLD_SLOW_NS */
    bool is_unix;     /* the LMTP listener is a unix socket */
};

struct simworld {
    struct shard shard;
    struct ring *ring;
    struct spool_dir *spool_dir;
    struct store *store;
    uint64_t slow_ns;
    uint64_t *id_hashes; /* of the Message-ID of each message in the store */
    uint64_t seed;
    char dir[64];
    int log_fd;
    int listen_fds[SIMWORLD_LISTENER_COUNT];
    struct listener_options listeners[SIMWORLD_LISTENER_COUNT];
    uint32_t turns; /* since the world began */
    bool has_cut;
    bool is_keeper_asleep; /* no fresh segments while it is */
};

/* simworld_set_sending() - how replies leave in every world from now on, unless a test says
 * otherwise in its setup. */
void simworld_set_sending(enum pacing pacing, bool links_replies);
/* simworld_setup() - what a test changes before simworld_begin(). */
struct simworld_setup simworld_setup(uint64_t seed);
/* simworld_begin() - in a new scratch folder. */
void simworld_begin(struct simworld *w, const struct simworld_setup *setup);
/* simworld_turn() - one turn of the shard, the keeper's work, and checks that hold at any time. */
void simworld_turn(struct simworld *w);
/* simworld_run() - turns until @ns have passed. */
void simworld_run(struct simworld *w, uint64_t ns);
/* simworld_drain() - until the shard has stopped, which must be soon. */
void simworld_drain(struct simworld *w, uint64_t ns);
/* simworld_check_home() - nobody is connected: everything is where it belongs. */
void simworld_check_home(struct simworld *w);
/* simworld_power_cut() - this is the moment: what a restart would find now is what simworld_end()
 * shows, unsynced writes lost by chance. The shard goes on, as if on another machine. */
void simworld_power_cut(struct simworld *w);
/* simworld_end() - ends a shard that has stopped, recovers the spool, and opens the store. */
void simworld_end(struct simworld *w);
/* simworld_remove() - the folder and everything else. */
void simworld_remove(struct simworld *w);

/* simworld_metric() - a counter of the shard. */
uint64_t simworld_metric(const struct simworld *w, enum metric id);
/* simworld_logged() - number of times that @text stands in the log, after a short while. */
uint32_t simworld_logged(struct simworld *w, const char *text);
/* simworld_set_space() - what the file system says is free; UINT64_MAX: the truth. */
void simworld_set_space(uint64_t bytes);
/* simworld_replace() - a fresh policy and fresh rules. @is_closed: nobody at mx.example any more.
 */
void simworld_replace(struct simworld *w, bool is_closed);

struct simworld_found {
    uint32_t count; /* messages with this Message-ID */
    bool is_equal;  /* the content of each is @content (its prefix, for a dialogue cut short) */
    struct store_message message; /* the last; simworld_found_free() */
};
/* simworld_find() - in the store, after simworld_end(). */
struct simworld_found simworld_find(struct simworld *w, struct slice message_id,
                                    struct slice content);
void simworld_found_free(struct simworld_found *f);
/* simworld_found_has() - is @address among the recipients? */
bool simworld_found_has(const struct simworld_found *f, const char *address);

/* simworld_fail() - says the seed and @what, and ends the program. */
_Noreturn void simworld_fail(const struct simworld *w, struct slice received, const char *what,
                             const char *file, int line);

#define CHECK_PEER(w, peer, cond)                                                                  \
    do {                                                                                           \
        if (!(cond))                                                                               \
            simworld_fail((w), simpeer_received(peer), #cond, __FILE__, __LINE__);                 \
    } while (0)
#define CHECK_WORLD(w, cond)                                                                       \
    do {                                                                                           \
        if (!(cond))                                                                               \
            simworld_fail((w), SLICE_EMPTY, #cond, __FILE__, __LINE__);                            \
    } while (0)

#endif
