/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_fuzz.c - framing of lines and verbs. Oracles: the same lines whole and at any split; a
 * line never holds CR or LF; verb and argument lie inside their line, in order.
 */
#include "base/assert.h"
#include "smtp/command.h"
#include "smtp/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 64

static uint64_t mix(uint64_t hash, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ s.ptr[i]) * 0x100000001B3u;
    return (hash ^ s.len) * 0x100000001B3u;
}

static uint64_t check_line(uint64_t hash, struct slice line)
{
    struct slice args;
    enum command c = command_split(line, &args);
    ASSERT(c < COMMAND_COUNT);
    ASSERT(slice_find(line, '\r') == line.len);
    ASSERT(slice_find(line, '\n') == line.len);
    ASSERT(line.len + 2 <= LIMIT);
    ASSERT(args.len == 0 || (args.ptr >= line.ptr && args.ptr + args.len <= line.ptr + line.len));
    ASSERT(args.len == 0 || (args.ptr[0] != ' ' && args.ptr[args.len - 1] != ' '));
    return mix(hash, line) + (uint64_t)c;
}

static uint64_t run(struct slice in, size_t step)
{
    bool is_skipping = false;
    uint64_t hash = 1;
    size_t start = 0;
    for (size_t end = size_min(step, in.len);; end = size_min(end + step, in.len)) {
        enum line_result result;
        do {
            struct slice line;
            size_t used;
            result =
                line_next(&is_skipping, slice_of(in.ptr + start, end - start), LIMIT, &line, &used);
            ASSERT(used <= end - start);
            start += used;
            if (result == LINE_OK)
                hash = check_line(hash, line);
            else if (result != LINE_MORE)
                hash = mix(hash, SLICE_LIT("bad")) + (uint64_t)result;
        } while (result == LINE_OK || result == LINE_TOO_LONG);
        if (result == LINE_BAD_ENDING || end == in.len)
            return hash;
        ASSERT(end - start <= LIMIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    uint64_t whole = run(in, in.len);
    ASSERT(run(in, 1) == whole);
    ASSERT(run(in, 1 + data[0]) == whole);
    return 0;
}
