/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_print.c - owns the words for what was found. */
#include "lab/ledger_print.h"
#include "ctl_text.h"
#include <inttypes.h>

static const char *const cause_texts[] = {
    [LEDGER_CAUSE_GAVE_UP] = "the client gave up while the server committed",
    [LEDGER_CAUSE_LOST] = "the connection was lost before all replies were read",
    [LEDGER_CAUSE_NEXT_HOP] = "more than the attempts can have made: a next hop tried again",
    [LEDGER_CAUSE_UNKNOWN] = "unknown: answered 4xx or 5xx, or sent by nobody",
};
static const char *const ghost_texts[] = {
    [LEDGER_GHOST_GAVE_UP] = "the client never learned that it was taken",
    [LEDGER_GHOST_DEFERRED] = "answered 4xx, and kept",
    [LEDGER_GHOST_REFUSED] = "answered 5xx, and kept: A VIOLATION",
    [LEDGER_GHOST_UNSENT] = "never sent whole",
    [LEDGER_GHOST_UNKNOWN] = "of a known run, but in none of the attempts",
};

static void row(FILE *out, const char *name, uint64_t count, const char *text)
{
    fprintf(out, "%-14s %12" PRIu64 "%s%s\n", name, count, text[0] != '\0' ? "  " : "", text);
}

static void detail(FILE *out, uint64_t count, const char *text)
{
    if (count > 0)
        fprintf(out, "  %25" PRIu64 "  %s\n", count, text);
}

static uint64_t ghosts(const struct ledger_result *r)
{
    uint64_t sum = 0;
    for (uint32_t g = 1; g < LEDGER_GHOST_COUNT; g++)
        sum += r->ghosts[g];
    return sum;
}

void ledger_print_table(const struct ledger_result *r, uint64_t damaged, FILE *out)
{
    row(out, "messages", r->messages, "");
    row(out, "recipients", r->pairs, "pairs of a message and a recipient, each counted below");
    row(out, "attempts", r->attempts, "");
    row(out, "copies", r->arrivals, "that arrived");
    fputc('\n', out);
    row(out, "accepted", r->clients[LEDGER_ACCEPTED], "");
    row(out, "refused", r->clients[LEDGER_REFUSED], "5xx");
    row(out, "deferred", r->clients[LEDGER_DEFERRED], "4xx at the last attempt");
    row(out, "gave up", r->clients[LEDGER_GAVE_UP], "no reply that decides at the last attempt");
    detail(out, r->unfinished, "of these three were to be tried again when the run ended");
    fputc('\n', out);
    row(out, "delivered", r->delivered, "accepted and there");
    row(out, "LOST", r->lost, "accepted and not there");
    row(out, "DUPLICATED", r->duplicated, "");
    detail(out, r->copies_excess, "copies too many, of which");
    for (uint32_t c = 0; c < LEDGER_CAUSE_COUNT; c++)
        detail(out, r->causes[c], cause_texts[c]);
    row(out, "GHOST", ghosts(r), "there and not accepted");
    for (uint32_t g = 1; g < LEDGER_GHOST_COUNT; g++)
        detail(out, r->ghosts[g], ghost_texts[g]);
    fputc('\n', out);
    row(out, "left out", r->arrivals_foreign + r->arrivals_other_run, "arrivals");
    detail(out, r->arrivals_foreign, "without identity");
    detail(out, r->arrivals_other_run, "of other runs");
    if (damaged > 0)
        row(out, "DAMAGED", damaged, "lines or messages that could not be read: see above");
    if (r->ambiguous > 0)
        fprintf(out,
                "\n%" PRIu64 " messages have several recipients and copies that name none: losses "
                "and\nduplicates among these recipients may be hidden. --rcpt-from HEADER or "
                "--copy-per\nrecipient|message tells more.\n",
                r->ambiguous);
}

static const char *list_of(const struct ledger_item *item, unsigned list)
{
    if ((list & LEDGER_LIST_LOST) != 0 && item->is_lost)
        return "lost";
    if ((list & LEDGER_LIST_DUPLICATED) != 0 && item->excess > 0)
        return "duplicated";
    if ((list & LEDGER_LIST_GHOST) != 0 && item->ghost != LEDGER_GHOST_NONE)
        return "ghost";
    return NULL;
}

static void put_causes(const struct ledger_item *item, FILE *out)
{
    const char *between = "";
    for (uint32_t c = 0; c < LEDGER_CAUSE_COUNT; c++) {
        if (item->causes[c] == 0)
            continue;
        fprintf(out, "%s%u %s", between, item->causes[c], ledger_cause_name((enum ledger_cause)c));
        if (c == LEDGER_CAUSE_LOST && item->replies_due > 0)
            fprintf(out, " after %u of %u replies", item->replies_seen, item->replies_due);
        between = ", ";
    }
}

static void put_identity(struct identity id, FILE *out)
{
    fprintf(out, "%016" PRIx64 ".%" PRIu64, id.run, id.seq);
}

static void print_list(const struct ledger *l, unsigned list, FILE *out)
{
    struct ledger_item item;
    uint32_t idx = 0;
    while (ledger_next(l, &idx, &item)) {
        const char *name = list_of(&item, list);
        if (name == NULL)
            continue;
        fprintf(out, "%s\t", name);
        put_identity(item.id, out);
        fputc('\t', out);
        ctl_put_text(out, item.address.len > 0 ? item.address : SLICE_LIT("-"), CTL_TEXT_WORD);
        fprintf(out, "\t%s, attempts=%u, copies=%u", ledger_client_name(item.client),
                item.attempt_count, item.copies);
        if (list == LEDGER_LIST_DUPLICATED) {
            fputs(": ", out);
            put_causes(&item, out);
        } else if (list == LEDGER_LIST_GHOST) {
            fprintf(out, ": %s", ghost_texts[item.ghost]);
        }
        fputc('\n', out);
    }
}

void ledger_print_lists(const struct ledger *l, unsigned lists, FILE *out)
{
    for (unsigned list = 1; list <= LEDGER_LIST_GHOST; list <<= 1)
        if ((lists & list) != 0)
            print_list(l, list, out);
}

static void json_number(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, "  \"%s\": %" PRIu64 ",\n", name, value);
}

static void json_item(const struct ledger_item *item, bool is_first, FILE *out)
{
    fprintf(out, "%s    {\"id\": \"", is_first ? "\n" : ",\n");
    put_identity(item->id, out);
    fputs("\", \"recipient\": ", out);
    ctl_put_json(out, item->address);
    fprintf(out, ", \"client\": \"%s\", \"attempts\": %u, \"copies\": %u",
            ledger_client_name(item->client), item->attempt_count, item->copies);
    if (item->ghost != LEDGER_GHOST_NONE)
        fprintf(out, ", \"ghost\": \"%s\"", ledger_ghost_name(item->ghost));
    for (uint32_t c = 0; c < LEDGER_CAUSE_COUNT; c++)
        if (item->causes[c] > 0)
            fprintf(out, ", \"%s\": %u", ledger_cause_name((enum ledger_cause)c), item->causes[c]);
    if (item->causes[LEDGER_CAUSE_LOST] > 0 && item->replies_due > 0)
        fprintf(out, ", \"replies_seen\": %u, \"replies_due\": %u", item->replies_seen,
                item->replies_due);
    fputc('}', out);
}

static void json_lists(const struct ledger *l, unsigned lists, FILE *out)
{
    static const char *const names[] = {"lost", "duplicated", "ghost"};
    const char *between = "";
    fputs("  \"lists\": {", out);
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        struct ledger_item item;
        uint32_t idx = 0;
        bool is_first = true;
        if ((lists & 1u << i) == 0)
            continue;
        fprintf(out, "%s\n   \"%s\": [", between, names[i]);
        while (ledger_next(l, &idx, &item)) {
            if (list_of(&item, 1u << i) == NULL)
                continue;
            json_item(&item, is_first, out);
            is_first = false;
        }
        fputc(']', out);
        between = ",";
    }
    fputs("}\n", out);
}

void ledger_print_json(const struct ledger *l, const struct ledger_result *r, uint64_t damaged,
                       unsigned lists, FILE *out)
{
    fprintf(out, "{\n  \"version\": \"%s\",\n", POSTERN_VERSION);
    json_number(out, "messages", r->messages);
    json_number(out, "pairs", r->pairs);
    json_number(out, "attempts", r->attempts);
    json_number(out, "copies", r->arrivals);
    json_number(out, "copies_unnamed", r->arrivals_unnamed);
    json_number(out, "copies_reply_read", r->replies[ARRIVAL_REPLY_YES]);
    json_number(out, "copies_reply_not_read", r->replies[ARRIVAL_REPLY_NO]);
    json_number(out, "accepted", r->clients[LEDGER_ACCEPTED]);
    json_number(out, "refused", r->clients[LEDGER_REFUSED]);
    json_number(out, "deferred", r->clients[LEDGER_DEFERRED]);
    json_number(out, "gave_up", r->clients[LEDGER_GAVE_UP]);
    json_number(out, "unfinished", r->unfinished);
    json_number(out, "delivered", r->delivered);
    json_number(out, "lost", r->lost);
    json_number(out, "duplicated", r->duplicated);
    json_number(out, "copies_excess", r->copies_excess);
    fputs("  \"causes\": {", out);
    for (uint32_t c = 0; c < LEDGER_CAUSE_COUNT; c++)
        fprintf(out, "%s\"%s\": %" PRIu64, c > 0 ? ", " : "",
                ledger_cause_name((enum ledger_cause)c), r->causes[c]);
    fputs("},\n  \"ghosts\": {", out);
    for (uint32_t g = 1; g < LEDGER_GHOST_COUNT; g++)
        fprintf(out, "%s\"%s\": %" PRIu64, g > 1 ? ", " : "",
                ledger_ghost_name((enum ledger_ghost)g), r->ghosts[g]);
    fputs("},\n", out);
    json_number(out, "ghost", ghosts(r));
    json_number(out, "arrivals_without_identity", r->arrivals_foreign);
    json_number(out, "arrivals_of_other_runs", r->arrivals_other_run);
    json_number(out, "ambiguous_messages", r->ambiguous);
    json_number(out, "damaged", damaged);
    json_number(out, "memory_bytes", r->memory_bytes);
    json_lists(l, lists, out);
    fputs("}\n", out);
}
