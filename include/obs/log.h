/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one structured line an event: "key=value" pairs (logfmt), one line, always ASCII.
 *
 * log_line_*() build a line in a bounded buffer. A value that is empty or has anything but
 * printable ASCII without space, quote, equals sign and backslash is quoted, with \" \\ \n \r \t
 * and \xHH (every byte below 0x20 and above 0x7E) inside. A pair that does not fit ends the line:
 * it and what follows are left out, and "cut=true" stands at the end. Keys, levels and events are
 * the program's own words and are written as they are.
 *
 * The log writer keeps a shard's lines in a bounded buffer and writes them through the ring, one
 * write in flight. When the sink is slow, lines are dropped and counted, and a line that says how
 * many follows ("event=log-dropped lines=3 total=17"). A shard never waits for its log.
 */
#ifndef OBS_LOG_H
#define OBS_LOG_H

#include "base/buf.h"
#include "base/clock.h"
#include "io/ring.h"

#define LOG_LINE_BYTES_MAX 8192
#define LOG_LINE_BYTES_MIN 256 /* memory for a line: room for the head of every line */

struct log_line {
    struct buf buf;
    bool is_cut;
};

/*
 * log_line_begin() - 'time=2026-01-02T03:04:05.678901Z level=info event=EVENT' over @memory
 * @cap: LOG_LINE_BYTES_MIN or more
 * Cost: no allocation, no system call, no locale; the second is formatted once per thread
 */
void log_line_begin(struct log_line *l, void *memory, size_t cap, wall_us at, const char *level,
                    const char *event);
/* log_line_put_slice(), log_line_put_u64(), log_line_put_i64() - one pair; a number is divided by
 * 10^@decimals, at most 3. The functions below them measure a key when they are compiled. */
void log_line_put_slice(struct log_line *l, struct slice key, struct slice value);
void log_line_put_u64(struct log_line *l, struct slice key, uint64_t value, unsigned decimals);
void log_line_put_i64(struct log_line *l, struct slice key, int64_t value, unsigned decimals);

static inline void log_line_slice(struct log_line *l, const char *key, struct slice value)
{
    log_line_put_slice(l, slice_str(key), value);
}

static inline void log_line_str(struct log_line *l, const char *key, const char *value)
{
    log_line_put_slice(l, slice_str(key), slice_str(value));
}

static inline void log_line_u64(struct log_line *l, const char *key, uint64_t value)
{
    log_line_put_u64(l, slice_str(key), value, 0);
}

static inline void log_line_i64(struct log_line *l, const char *key, int64_t value)
{
    log_line_put_i64(l, slice_str(key), value, 0);
}

/* log_line_hundredths() - as "12.50" or "-0.05". */
static inline void log_line_hundredths(struct log_line *l, const char *key, int32_t value)
{
    log_line_put_i64(l, slice_str(key), value, 2);
}

/* log_line_ms() - nanoseconds as milliseconds with three decimals, cut off and not rounded. */
static inline void log_line_ms(struct log_line *l, const char *key, uint64_t ns)
{
    log_line_put_u64(l, slice_str(key), ns / NS_PER_US, 3);
}

/* log_line_end() - newline added; the bytes live in the memory given to begin. */
struct slice log_line_end(struct log_line *l);

struct log_writer;

/*
 * log_writer_new() - a writer onto @fd
 * @fd:           borrowed; append-only file, pipe, socket or terminal
 * @token_owner:  in the tokens of its operations; events with it go to log_writer_on_event()
 * @buffer_bytes: for lines that wait and lines being written, half each; LOG_WRITER_BYTES_MIN or
 *                more
 * @wait_ns:      how long a line may wait for others, so that they are written together; 0: a write
 *                starts in the turn in which there is something to write
 * Return: 0, -ENOMEM, or -EINVAL for a buffer that is too small
 */
#define LOG_WRITER_BYTES_MIN ((size_t)2 * LOG_LINE_BYTES_MAX)
MUST_CHECK int log_writer_new(struct ring *ring, int fd, uint8_t token_owner, size_t buffer_bytes,
                              uint64_t wait_ns, struct log_writer **ret_writer);
/* log_writer_free() - @w may be NULL; nothing may be in flight (idle, or the ring is gone). */
void log_writer_free(struct log_writer *w);
/* log_writer_put() - copy a complete line (newline at its end), or drop and count it. */
void log_writer_put(struct log_writer *w, struct slice line);
/* log_writer_turn() - once per turn of the shard: start a write when lines have waited long enough,
 * or when they fill a good part of the buffer. */
void log_writer_turn(struct log_writer *w);
/* log_writer_due() - when log_writer_turn() has something to do; CLOCK_NEVER: events come first. */
clock_ns log_writer_due(const struct log_writer *w);
void log_writer_on_event(struct log_writer *w, const struct ring_event *ev);
/* log_writer_is_idle() - nothing waits and nothing is in flight. */
bool log_writer_is_idle(const struct log_writer *w);
/* log_writer_dropped() - lines dropped so far, for lack of room or because a write failed. */
uint64_t log_writer_dropped(const struct log_writer *w);
/* log_writer_set_fd() - used when the log file is reopened; takes effect between writes. */
void log_writer_set_fd(struct log_writer *w, int fd);
/* log_writer_fd() - descriptor in use; the one before may be closed once this is the new one. */
int log_writer_fd(const struct log_writer *w);

/* log_direct() - start-up, reload and shutdown messages from the main thread: one write(2). */
void log_direct(int fd, struct slice line);

#endif
