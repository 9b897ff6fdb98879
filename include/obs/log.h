/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one structured line an event: "key=value" pairs (logfmt), one line, UTF-8 safe.
 *
 * log_line_*() build a line in a bounded buffer; values with anything but printable ASCII without
 * space, quote, equals sign or backslash are quoted with \" \\ \n \r \t \xHH. A line that does not
 * fit is ended with "cut=true". The log writer keeps a shard's lines in a bounded buffer and writes
 * them through the ring, one write in flight; when the sink is slow, lines are dropped and counted,
 * and a line that says how many follows. A shard never waits for its log.
 */
#ifndef OBS_LOG_H
#define OBS_LOG_H

#include "base/buf.h"
#include "base/clock.h"
#include "io/ring.h"

#define LOG_LINE_BYTES_MAX 8192

struct log_line {
    struct buf buf;
    bool is_cut;
};

/* log_line_begin() - 'time=2026-01-02T03:04:05.678901Z level=info event=EVENT' over @memory. */
void log_line_begin(struct log_line *l, void *memory, size_t cap, wall_us at, const char *level,
                    const char *event);
void log_line_slice(struct log_line *l, const char *key, struct slice value);
void log_line_str(struct log_line *l, const char *key, const char *value);
void log_line_u64(struct log_line *l, const char *key, uint64_t value);
void log_line_i64(struct log_line *l, const char *key, int64_t value);
/* hundredths as "12.50" */
void log_line_hundredths(struct log_line *l, const char *key, int32_t value);
/* nanoseconds as milliseconds with three decimals */
void log_line_ms(struct log_line *l, const char *key, uint64_t ns);
/* log_line_end() - newline added; the bytes live in the memory given to begin. */
struct slice log_line_end(struct log_line *l);

struct log_writer;
/* log_writer_new() - @fd is borrowed; @buffer_bytes for lines that wait. */
MUST_CHECK int log_writer_new(struct ring *ring, int fd, uint8_t token_owner, size_t buffer_bytes,
                              struct log_writer **ret_writer);
void log_writer_free(struct log_writer *w);
void log_writer_put(struct log_writer *w, struct slice line);
void log_writer_turn(struct log_writer *w);
void log_writer_on_event(struct log_writer *w, const struct ring_event *ev);
bool log_writer_is_idle(const struct log_writer *w);
uint64_t log_writer_dropped(const struct log_writer *w);
/* log_writer_set_fd() - used when the log file is reopened; takes effect between writes. */
void log_writer_set_fd(struct log_writer *w, int fd);

/* log_direct() - start-up, reload and shutdown messages from the main thread: one write(2). */
void log_direct(int fd, struct slice line);

#endif
