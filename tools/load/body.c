/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body.c - owns generated bodies.
 *
 * A block of whole lines lies in a memory file, and the file is mapped many times, one mapping
 * behind the other: the lines go on for as long as is wanted and still fit in a cache. Stretches
 * begin at a line; what is missing to the wanted size behind the last whole line is one line more,
 * the end of the tail (or two, when a line of the block had to be left out).
 */
#include "load/body.h"
#include "base/assert.h"
#include "base/err.h"
#include "smtp/data.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINE_BYTES_MAX 998 /* RFC 5322 2.1.1, without CRLF */
#define TEXT_LINE_BYTES 76

struct body_row {
    const char *name;
    size_t line_bytes_max;
    char filler; /* for lines of a wanted length */
    size_t (*put_line)(struct rng *rng, uint8_t *line);
};

static size_t put_words(struct rng *rng, uint8_t *line, const char *const *words, uint32_t count)
{
    size_t want = TEXT_LINE_BYTES - rng_below(rng, 24);
    size_t len = 0;
    for (;;) {
        const char *word = words[rng_below(rng, count)];
        size_t word_len = strlen(word);
        if (len + (len > 0) + word_len > want)
            return len;
        if (len > 0)
            line[len++] = ' ';
        memcpy(line + len, word, word_len);
        len += word_len;
    }
}

static size_t put_text(struct rng *rng, uint8_t *line)
{
    static const char *const words[] = {
        "a",      "mail",   "is",      "sent",  "from",    "one",    "host",      "to",
        "the",    "other",  "and",     "each",  "of",      "them",   "keeps",     "it",
        "until",  "next",   "has",     "said",  "yes",     "then",   "nothing",   "more",
        "can",    "be",     "lost",    "on",    "way",     "but",    "sometimes", "there",
        "are",    "two",    "where",   "only",  "was",     "meant",  "because",   "an",
        "answer", "came",   "late",    "or",    "not",     "at",     "all,",      "which",
        "we",     "count",  "here",    "with",  "numbers", "that",   "anybody",   "may",
        "make",   "again.", "Letters", "cross", "while",   "clerks", "sleep,",    "so"};
    return put_words(rng, line, words, ARRAY_COUNT(words));
}

static size_t put_8bit(struct rng *rng, uint8_t *line)
{
    static const char *const words[] = {"\xc3\xbc"
                                        "ber",
                                        "sch\xc3\xb6n",
                                        "d\xc3\xa9j\xc3\xa0",
                                        "\xc3\xa9t\xc3\xa9",
                                        "\xce\xb3\xce\xb7",
                                        "\xd0\xbc\xd0\xb8\xd1\x80",
                                        "\xe2\x82\xac",
                                        "\xe6\x89\x8b\xe7\xb4\x99",
                                        "\xf0\x9f\x93\xae",
                                        "gr\xc3\xb6\xc3\x9f"
                                        "er",
                                        "\xc5\xbelu\xc5\xa5",
                                        "ma\xc3\xb1"
                                        "ana"};
    return put_words(rng, line, words, ARRAY_COUNT(words));
}

static size_t put_base64(struct rng *rng, uint8_t *line)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < TEXT_LINE_BYTES; i++)
        line[i] = (uint8_t)alphabet[rng_below(rng, 64)];
    return TEXT_LINE_BYTES;
}

static size_t put_dots(struct rng *rng, uint8_t *line)
{
    size_t dots = 1 + rng_below(rng, 4);
    memset(line, '.', dots);
    return dots + put_text(rng, line + dots) / 8; /* short lines: more dots to stuff */
}

static size_t put_long(struct rng *rng, uint8_t *line)
{
    for (size_t i = 0; i < LINE_BYTES_MAX; i++)
        line[i] = rng_below(rng, 8) == 0 ? ' ' : (uint8_t)('a' + rng_below(rng, 26));
    return LINE_BYTES_MAX;
}

static size_t put_empty(struct rng *rng, uint8_t *line)
{
    (void)rng;
    (void)line;
    return 0;
}

/* Each begins like the end of the data and goes on in another way. */
static size_t put_worst(struct rng *rng, uint8_t *line)
{
    static const char *const lines[] = {".",   "..", ". ",  ".x", ".\t", "",      "x.",
                                        "...", " .", "\t.", "x",  ". .", ".QUIT", "\\r\\n."};
    const char *text = lines[rng_below(rng, ARRAY_COUNT(lines))];
    size_t len = strlen(text);
    memcpy(line, text, len);
    return len;
}

static const struct body_row rows[] = {
    [MESSAGE_TEXT] = {"text", TEXT_LINE_BYTES, 'x', put_text},
    [MESSAGE_BASE64] = {"base64", TEXT_LINE_BYTES, 'A', put_base64},
    [MESSAGE_8BIT] = {"8bit", TEXT_LINE_BYTES, 'x', put_8bit},
    [MESSAGE_DOTS] = {"dots", TEXT_LINE_BYTES, '.', put_dots},
    [MESSAGE_LONG] = {"long", LINE_BYTES_MAX, 'x', put_long},
    [MESSAGE_EMPTY_LINES] = {"empty", 0, 'x', put_empty},
    [MESSAGE_WORST] = {"worst", 8, '.', put_worst},
};
static_assert(ARRAY_COUNT(rows) == MESSAGE_BODY_COUNT, "a row each");

const char *message_body_name(enum message_body b)
{
    ASSERT(b < MESSAGE_BODY_COUNT);
    return rows[b].name;
}

bool message_body_parse(const char *name, enum message_body *ret_body)
{
    for (uint32_t i = 0; i < MESSAGE_BODY_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *ret_body = (enum message_body)i;
            return true;
        }
    }
    return false;
}

/* A line of @len octets; 8-bit where the kind is. */
static void put_exact(const struct body_row *row, uint8_t *line, size_t len)
{
    memset(line, row->filler, len);
    if (row->put_line == put_8bit && len >= 2)
        memcpy(line, "\xc3\xa4", 2);
}

static void fill(const struct body_row *row, uint8_t *block, uint64_t seed)
{
    struct rng rng;
    uint8_t line[LINE_BYTES_MAX + TEXT_LINE_BYTES];
    size_t shortest = row->line_bytes_max == 0 ? 2 : BODY_BYTES_MIN;
    size_t left = BODY_BLOCK_BYTES;
    rng_init(&rng, seed);
    while (left > 0) {
        size_t len = row->put_line(&rng, line);
        if (left <= row->line_bytes_max + 2) {
            len = left - 2;
            put_exact(row, line, len);
        } else if (left - len - 2 < shortest) {
            len = left - 2 - shortest;
            put_exact(row, line, len);
        }
        ASSERT(len <= LINE_BYTES_MAX);
        memcpy(block, line, len);
        memcpy(block + len, "\r\n", 2);
        block += len + 2;
        left -= len + 2;
    }
}

static int map_all(struct body *b, int fd)
{
    /* The first mapping takes the address space, the others go over it. */
    void *base = mmap(NULL, b->mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    b->ptr = base;
    for (size_t at = 0; at < b->mapped_bytes; at += BODY_BLOCK_BYTES)
        if (mmap(b->ptr + at, BODY_BLOCK_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) ==
            MAP_FAILED)
            return -errno;
    return 0;
}

int body_init(struct body *b, enum message_body kind, uint64_t seed, uint64_t bytes_max)
{
    ASSERT(kind < MESSAGE_BODY_COUNT && bytes_max <= MESSAGE_BYTES_MAX);
    *b = (struct body){.kind = kind};
    b->mapped_bytes = ALIGN_UP((size_t)bytes_max, BODY_BLOCK_BYTES) + BODY_BLOCK_BYTES;
    memset(b->tail, rows[kind].filler, LINE_BYTES_MAX);
    memcpy(b->tail + LINE_BYTES_MAX, "\r\n", 2);
    uint8_t *block = malloc(BODY_BLOCK_BYTES);
    int fd = memfd_create("postern-load-body", MFD_CLOEXEC);
    int result = block == NULL ? -ENOMEM : (fd < 0 ? -errno : 0);
    if (result == 0) {
        fill(&rows[kind], block, seed);
        b->is_plain = rows[kind].filler != '.' && data_is_plain(slice_of(block, BODY_BLOCK_BYTES));
        ssize_t written = write(fd, block, BODY_BLOCK_BYTES);
        result = written < 0 ? -errno : (written == (ssize_t)BODY_BLOCK_BYTES ? 0 : -ENOSPC);
    }
    if (result == 0)
        result = map_all(b, fd);
    if (fd >= 0)
        close(fd);
    free(block);
    if (result < 0)
        body_deinit(b);
    return result;
}

void body_deinit(struct body *b)
{
    if (b->ptr != NULL)
        munmap(b->ptr, b->mapped_bytes);
    b->ptr = NULL;
}

/* End of the last whole line in the first @len octets; 0: none. */
static size_t lines_end(const uint8_t *text, size_t len)
{
    const uint8_t *lf = len > 0 ? memrchr(text, '\n', len) : NULL;
    return lf != NULL ? (size_t)(lf - text) + 1 : 0;
}

uint32_t body_cut(const struct body *b, uint64_t where, size_t bytes,
                  struct slice ret_parts[BODY_SLICES_MAX], size_t *ret_line_bytes)
{
    uint32_t count = 0;
    size_t start = lines_end(b->ptr, (size_t)(where % BODY_BLOCK_BYTES));
    const uint8_t *text = b->ptr + start;
    ASSERT(bytes == 0 || bytes >= BODY_BYTES_MIN);
    ASSERT(bytes <= b->mapped_bytes - BODY_BLOCK_BYTES);
    size_t len = lines_end(text, bytes);
    while (bytes - len > 0 && bytes - len < BODY_BYTES_MIN)
        len = lines_end(text, len - 1);
    if (len > 0)
        ret_parts[count++] = slice_of(text, len);
    size_t rest = bytes - len;
    if (rest > sizeof(b->tail)) {
        ret_parts[count++] = slice_of(b->tail + sizeof(b->tail) / 2, sizeof(b->tail) / 2);
        rest -= sizeof(b->tail) / 2;
    }
    if (rest > 0)
        ret_parts[count++] = slice_of(b->tail + sizeof(b->tail) - rest, rest);
    *ret_line_bytes = len;
    return count;
}
