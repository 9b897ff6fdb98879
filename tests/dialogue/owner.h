/* SPDX-License-Identifier: Apache-2.0 */
/*
 * owner.h - a test's owner of one session: keeps input that was not consumed, answers events
 * through a table of functions, collects output and content.
 */
#ifndef DIALOGUE_OWNER_H
#define DIALOGUE_OWNER_H

#include "smtp/session.h"

struct bytes { /* a growing buffer */
    uint8_t *ptr;
    size_t len;
    size_t cap;
};

void bytes_put(struct bytes *b, struct slice s);
void bytes_free(struct bytes *b);
static inline struct slice bytes_slice(const struct bytes *b)
{
    return slice_of(b->ptr, b->len);
}

#define OWNER_LATER ANSWER(STATUS_NONE) /* the answer comes later */
#define OWNER_SLOTS_MAX 16

struct owner;
struct owner_ops {
    struct answer (*on_mail)(struct owner *o, const struct session_event *ev);
    struct answer (*on_rcpt)(struct owner *o, const struct session_event *ev);
    /* STATUS_OK: begin. */
    struct answer (*on_content)(struct owner *o);
    /* Entries are set; decide them and call session_finish(), or return and do it later. */
    void (*on_end)(struct owner *o, const struct session_event *ev);
};

struct owner {
    struct session session;
    struct scan scan;
    const struct owner_ops *ops;
    void *ctx;
    size_t out_room; /* room that session_output() gets at once; 0: plenty */
    struct bytes held;
    struct bytes out;
    struct bytes body;   /* content of the message in progress or just completed */
    struct bytes bodies; /* of all completed ones, each ended by a NUL-free mark "\n--\n" */
    struct bytes trace;  /* one letter for each event */
    struct session_entry *entries;
    uint32_t later[OWNER_SLOTS_MAX]; /* slots that wait, in order */
    uint32_t later_count;
    uint32_t content_slot;
    bool has_content_slot;
    uint16_t rcpt_codes[RCPT_COUNT_HARD_MAX];
    uint32_t accepted_count; /* messages with a success in them */
    bool is_closed;          /* EV_CLOSE was seen */
};

void owner_init(struct owner *o, const struct session_config *config, const struct owner_ops *ops,
                void *ctx);
void owner_deinit(struct owner *o);

/* owner_feed() - receive @in, run the machine as far as it goes, collect output. */
void owner_feed(struct owner *o, struct slice in);

/* owner_pump() - the same without new input. */
void owner_pump(struct owner *o);

/* owner_answer() - decide the oldest slot that was left for later. */
void owner_answer(struct owner *o, struct answer answer);

/* owner_accept() - accept one entry with a proof of commit. */
void owner_accept(struct owner *o, uint32_t idx, struct answer answer);

/* owner_accept_all() - on_end: accept all, or refuse all as the machine demands. */
void owner_accept_all(struct owner *o, const struct session_event *ev);

/* owner_check_output() - every line of @out is ended by CRLF, has a code and at most 512 octets. */
void owner_check_output(struct slice out);

#endif
