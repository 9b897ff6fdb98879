/* SPDX-License-Identifier: Apache-2.0 */
/* input.c - owns reading the two text files, and what is said of damage. */
#include "lab/input.h"
#include "base/err.h"
#include "lab/lines.h"
#include <inttypes.h>

void input_damaged(struct input *in, const char *path, uint64_t line, const char *why)
{
    in->damaged++;
    if (in->damaged > INPUT_DAMAGE_NAMED_MAX)
        return;
    if (line > 0)
        fprintf(in->err, "postern-lab: %s:%" PRIu64 ": %s\n", path, line, why);
    else
        fprintf(in->err, "postern-lab: %s: %s\n", path, why);
    if (in->damaged == INPUT_DAMAGE_NAMED_MAX)
        fprintf(in->err, "postern-lab: more damage is counted, but not named\n");
}

int input_failed(const struct input *in, const char *path, int error)
{
    fprintf(in->err, "postern-lab: %s: %s\n", path, err_text(error));
    return error;
}

/* One good line; 0, 1 for damage, or negative errno. */
typedef int (*take_line)(struct input *in, struct slice line, uint64_t *run);

static int take_attempt(struct input *in, struct slice line, uint64_t *run)
{
    struct attempt a;
    if (line.len > 0 && line.ptr[0] == '#') { /* a head: files may be put one behind the other */
        bool is_head = slice_has_prefix_nocase(line, SLICE_LIT("#postern-"));
        return is_head && !attempts_parse_head(line, run);
    }
    return attempts_parse(line, *run, &a) ? ledger_add_attempt(in->ledger, &a) : 1;
}

static int take_arrival(struct input *in, struct slice line, uint64_t *run)
{
    struct arrival a;
    (void)run;
    if (line.len > 0 && line.ptr[0] == '#')
        return 0;
    return arrivals_parse(line, &a) ? ledger_add_arrival(in->ledger, &a, true) : 1;
}

static int read_lines(struct input *in, struct lines *l, const char *path, take_line take,
                      uint64_t run)
{
    for (;;) {
        struct slice line;
        int result = lines_next(l, &line);
        switch (result) {
        case LINES_GOOD:
            result = take(in, line, &run);
            if (result > 0)
                input_damaged(in, path, l->number, "a line that is not understood");
            break;
        case LINES_LONG:
            input_damaged(in, path, l->number, "a line without end");
            break;
        case LINES_CUT:
            input_damaged(in, path, l->number, "the last line is cut off");
            break;
        case LINES_END:
            return 0;
        default:
            break;
        }
        if (result < 0)
            return input_failed(in, path, result);
    }
}

/* The file begins with the head of its format. */
static int read_file(struct input *in, const char *path, bool is_attempts)
{
    struct lines l;
    struct slice line;
    uint64_t run = 0;
    int result = lines_open(&l, path);
    if (result == 0)
        result = lines_next(&l, &line);
    if (result < 0) {
        lines_close(&l);
        return input_failed(in, path, result);
    }
    bool is_good = result == LINES_GOOD &&
                   (is_attempts ? attempts_parse_head(line, &run) : arrivals_parse_head(line));
    if (is_good) {
        result = read_lines(in, &l, path, is_attempts ? take_attempt : take_arrival, run);
    } else {
        fprintf(in->err, "postern-lab: %s: does not begin with \"#postern-%s 1\"\n", path,
                is_attempts ? "attempts" : "arrivals");
        result = -EBADMSG;
    }
    lines_close(&l);
    return result;
}

int attempts_read(struct input *in, const char *path)
{
    return read_file(in, path, true);
}

int arrivals_read_sink(struct input *in, const char *path)
{
    return read_file(in, path, false);
}
