/* SPDX-License-Identifier: Apache-2.0 */
/* live_frame.c - owns the words of the live view, and what is left out where there is little room.
 */
#include "load/live_frame.h"
#include "load/plot.h"
#include "load/show.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define COLUMNS_DEFAULT 80
#define BAR_MIN 10
#define BAR_MAX 60

static const char *stage_word(const struct live_now *now)
{
    switch (now->stage) {
    case LIVE_CONNECTING:
        return "connecting";
    case LIVE_WARMING_UP:
        return "warming up";
    case LIVE_MEASURING:
        return "";
    case LIVE_FINISHING:
        return "finishing";
    }
    return "";
}

/* "0:25, 0:35 left" and what there is to say beside it. */
static void put_progress(char *to, size_t cap, const struct live_now *now)
{
    char percent[16] = "", left[48] = "";
    const char *stage = stage_word(now);
    if (now->share >= 0 && now->stage != LIVE_CONNECTING)
        snprintf(percent, sizeof(percent), "%3.0f %%  ", floor(100 * fmin(now->share, 1)));
    if (now->left_s >= 0 && now->stage != LIVE_CONNECTING && now->stage != LIVE_FINISHING)
        snprintf(left, sizeof(left), ", %s left", plot_show_time(ceil(now->left_s)).text);
    snprintf(to, cap, "%s%s%s%s%s", percent, plot_show_time(floor(now->elapsed_s)).text, left,
             *stage != '\0' ? ", " : "", stage);
}

static void put_bar_line(char *line, uint32_t columns, const struct live_now *now)
{
    char progress[LIVE_COLUMNS_MAX + 1];
    put_progress(progress, sizeof(progress), now);
    size_t len = strlen(progress);
    size_t room = columns > len + 4 ? columns - len - 4 : 0; /* brackets, two spaces */
    if (now->share < 0 || room < BAR_MIN || now->stage == LIVE_CONNECTING) {
        snprintf(line, columns + 1, "%s", progress);
        return;
    }
    size_t width = size_min(room, BAR_MAX);
    size_t filled = (size_t)((double)width * fmin(now->share, 1));
    line[0] = '[';
    for (size_t i = 0; i < width; i++)
        line[1 + i] = i < filled ? '=' : (i == filled ? '>' : ' ');
    snprintf(line + 1 + width, columns - width, "]  %s", progress);
}

/* Adds @field when it fits whole. */
static void add_field(char *line, uint32_t columns, const char *field)
{
    size_t used = strlen(line), len = strlen(field), gap = used > 0 ? 3 : 0;
    if (len > 0 && used + gap + len <= columns)
        snprintf(line + used, columns + 1 - used, "%*s%s", (int)gap, "", field);
}

/* The most important first. */
static void put_numbers(char *line, uint32_t columns, const struct live_now *now)
{
    char field[96];
    line[0] = '\0';
    if (now->stage == LIVE_CONNECTING || now->stage == LIVE_WARMING_UP) {
        snprintf(field, sizeof(field), "%u connections", now->connection_count);
        add_field(line, columns, field);
        snprintf(field, sizeof(field), "%u in flight", now->in_flight);
        add_field(line, columns, field);
        return;
    }
    snprintf(field, sizeof(field), "%s/s", show_rate(now->rate).text);
    if (now->rate_planned > 0 && columns >= 60)
        snprintf(field, sizeof(field), "%s/s of %s", show_rate(now->rate).text,
                 show_rate(now->rate_planned).text);
    add_field(line, columns, field);
    snprintf(field, sizeof(field), "p99 %s", now->has_latency ? show_ns(now->p99_ns).text : "-");
    if (columns >= 60)
        snprintf(field, sizeof(field), "p50 %s  p99 %s",
                 now->has_latency ? show_ns(now->p50_ns).text : "-",
                 now->has_latency ? show_ns(now->p99_ns).text : "-");
    add_field(line, columns, field);
    snprintf(field, sizeof(field), "%s errors", show_count(now->fault_count).text);
    add_field(line, columns, field);
    snprintf(field, sizeof(field), "%u in flight", now->in_flight);
    add_field(line, columns, field);
    snprintf(field, sizeof(field), "%s not accepted", show_count(now->not_accepted).text);
    add_field(line, columns, field);
    snprintf(field, sizeof(field), "%s done", show_count(now->done).text);
    add_field(line, columns, field);
    snprintf(field, sizeof(field), "%u connections", now->connection_count);
    add_field(line, columns, field);
}

void live_frame_make(struct live_frame *f, const struct live_now *now, uint32_t columns)
{
    columns = columns > 0 ? columns - 1 : COLUMNS_DEFAULT - 1; /* a full line may wrap */
    columns = columns < LIVE_COLUMNS_MAX ? columns : LIVE_COLUMNS_MAX;
    put_bar_line(f->lines[0], columns, now);
    put_numbers(f->lines[1], columns, now);
}

void live_frame_plain(char *ret_line, size_t cap, const struct live_now *now)
{
    char progress[LIVE_COLUMNS_MAX + 1];
    put_progress(progress, sizeof(progress), now);
    snprintf(ret_line, cap,
             "%s: %s/s, p50 %s, p99 %s, %u in flight, %u connections, %" PRIu64 " done, %" PRIu64
             " not accepted, %" PRIu64 " errors",
             progress, show_rate(now->rate).text,
             now->has_latency ? show_ns(now->p50_ns).text : "-",
             now->has_latency ? show_ns(now->p99_ns).text : "-", now->in_flight,
             now->connection_count, now->done, now->not_accepted, now->fault_count);
}
