/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect.c - one row for each way to answer a message, and what follows from the answers of its
 * recipients.
 *
 * The rows are the table of the reply engine: does a reply open the block, does each recipient get
 * a line, does a last reply close it, may one reply stand for all, and where responsibility moves.
 * session_reply.c walks HELD -> OPENER -> INDIVIDUAL -> FINAL and leaves out the stages that the
 * row does not have. A dialect with a line format of its own adds a column, not a branch.
 */
#include "dialect.h"
#include "base/assert.h"

static const struct dialect_row rows[DIALECT_COUNT] = {
    [DIALECT_SMTP] = {.name = "smtp", .has_final = true, .owner = DIALECT_OWNER_FINAL},
    [DIALECT_LMTP] = {.name = "lmtp", .has_individual = true, .owner = DIALECT_OWNER_REPLY},
    [DIALECT_PRDR] = {.name = "prdr",
                      .opener = STATUS_PRDR_OPEN,
                      .has_individual = true,
                      .has_final = true,
                      .may_be_single = true,
                      .owner = DIALECT_OWNER_FINAL},
};

const struct dialect_row *dialect_row(enum dialect d)
{
    ASSERT(d < DIALECT_COUNT);
    return &rows[d];
}

const char *dialect_name(enum dialect d)
{
    return dialect_row(d)->name;
}

static bool answers_alike(const struct answer *a, const struct answer *b)
{
    const uint8_t *x = a->enhanced[0] != 0 ? a->enhanced : status_row(a->status)->enhanced;
    const uint8_t *y = b->enhanced[0] != 0 ? b->enhanced : status_row(b->status)->enhanced;
    if (answer_code(a) != answer_code(b) || memcmp(x, y, 3) != 0 || !slice_eq(a->text, b->text))
        return false;
    return a->text.len > 0 || a->status == b->status; /* the text of the table */
}

bool dialect_is_uniform(const struct session_entry *entries, uint32_t count)
{
    ASSERT(count > 0);
    for (uint32_t i = 1; i < count; i++) {
        if (entries[i].fate != entries[0].fate)
            return false;
        if (entries[i].fate == SESSION_FATE_REFUSED &&
            !answers_alike(&entries[i].answer, &entries[0].answer))
            return false;
    }
    return true;
}

struct answer dialect_final(const struct session_entry *entries, uint32_t count)
{
    bool has_temporary = false;
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].fate == SESSION_FATE_ACCEPTED) {
            /* About the message, not about this recipient: 250, not the code of his RCPT. */
            struct answer a = {.status = STATUS_STORED, .text = entries[i].answer.text};
            return a;
        }
        has_temporary |= status_is_temporary(entries[i].answer.status);
    }
    if (count > 0 && dialect_is_uniform(entries, count))
        return entries[0].answer;
    return ANSWER(has_temporary ? STATUS_ALL_DEFERRED : STATUS_ALL_REFUSED);
}

uint32_t dialect_accepted_count(const struct session_entry *entries, uint32_t count)
{
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < count; i++)
        accepted += entries[i].fate == SESSION_FATE_ACCEPTED;
    return accepted;
}
