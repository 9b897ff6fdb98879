/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dist.c - owns distributions: their text, drawing from them, their means. Drawing is pure; only
 * "file:" reads, while it is parsed.
 */
#include "load/dist.h"
#include "base/assert.h"
#include "base/err.h"
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct suffix {
    const char *text;
    double factor;
};
static const struct suffix number_suffixes[] = {{"", 1}};
static const struct suffix byte_suffixes[] = {
    {"", 1}, {"k", 0x1p10}, {"K", 0x1p10}, {"M", 0x1p20}, {"G", 0x1p30}};
static const struct suffix ns_suffixes[] = {{"", 1e9},  {"ns", 1},   {"us", 1e3},  {"ms", 1e6},
                                            {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};

static double suffix_factor(struct slice text, enum dist_unit unit)
{
    const struct suffix *table = unit == DIST_BYTES ? byte_suffixes
                                 : unit == DIST_NS  ? ns_suffixes
                                                    : number_suffixes;
    size_t count = unit == DIST_BYTES ? ARRAY_COUNT(byte_suffixes)
                   : unit == DIST_NS  ? ARRAY_COUNT(ns_suffixes)
                                      : ARRAY_COUNT(number_suffixes);
    for (size_t i = 0; i < count; i++)
        if (slice_eq(text, slice_str(table[i].text)))
            return table[i].factor;
    return 0;
}

static size_t digits(struct slice s)
{
    size_t len = 0;
    while (len < s.len && s.ptr[len] >= '0' && s.ptr[len] <= '9')
        len++;
    return len;
}

/* "12", "1.5k": in the unit's base. No sign, no exponent. */
static bool real_parse(struct slice text, enum dist_unit unit, double *ret_value,
                       bool *ret_has_fraction)
{
    char copy[64];
    size_t len = digits(text);
    bool has_fraction = len > 0 && len < text.len && text.ptr[len] == '.';
    if (has_fraction) {
        size_t more = digits(slice_from(text, len + 1));
        if (more == 0)
            return false;
        len += 1 + more;
    }
    double factor = suffix_factor(slice_from(text, len), unit);
    if (len == 0 || len >= sizeof(copy) || factor == 0)
        return false;
    memcpy(copy, text.ptr, len);
    copy[len] = '\0';
    *ret_value = strtod(copy, NULL) * factor;
    *ret_has_fraction = has_fraction;
    return true;
}

bool dist_number_parse(struct slice text, enum dist_unit unit, uint64_t *ret_value)
{
    double real;
    bool has_fraction;
    if (!real_parse(text, unit, &real, &has_fraction))
        return false;
    if ((has_fraction && unit == DIST_NUMBER) || real >= 0x1p63)
        return false;
    *ret_value = (uint64_t)llround(real);
    return true;
}

PRINTF_LIKE(3, 4) static int wrong(char *text, size_t cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, cap, fmt, args);
    va_end(args);
    return -EINVAL;
}

/* Two parameters with @between; the first has the unit. */
static bool pair_parse(struct slice text, char between, enum dist_unit first, enum dist_unit second,
                       double *ret_a, double *ret_b)
{
    bool has_fraction;
    size_t at = slice_find(text, (uint8_t)between);
    return at < text.len && real_parse(slice_first(text, at), first, ret_a, &has_fraction) &&
           real_parse(slice_from(text, at + 1), second, ret_b, &has_fraction);
}

static bool range_parse(struct dist *d, struct slice text, enum dist_unit unit)
{
    size_t at = slice_find(text, '-');
    return at < text.len && dist_number_parse(slice_first(text, at), unit, &d->low) &&
           dist_number_parse(slice_from(text, at + 1), unit, &d->high) && d->low <= d->high;
}

struct weighted {
    uint64_t value;
    double weight;
};

static int by_value(const void *a, const void *b)
{
    uint64_t x = ((const struct weighted *)a)->value, y = ((const struct weighted *)b)->value;
    return x < y ? -1 : x > y;
}

static struct slice word_take(struct slice *rest)
{
    size_t start = 0;
    while (start < rest->len && strchr(" \t\r\n", rest->ptr[start]) != NULL)
        start++;
    size_t end = start;
    while (end < rest->len && strchr(" \t\r\n", rest->ptr[end]) == NULL)
        end++;
    struct slice word = slice_of(rest->ptr + start, end - start);
    *rest = slice_from(*rest, end);
    return word;
}

/* 1: a value; 0: an empty line or a comment; -1: neither. */
static int line_parse(struct slice line, enum dist_unit unit, struct weighted *ret_entry)
{
    bool has_fraction;
    line.len = slice_find(line, '#');
    struct slice value = word_take(&line);
    struct slice weight = word_take(&line);
    struct slice more = word_take(&line);
    if (value.len == 0)
        return 0;
    ret_entry->weight = 1;
    if (more.len > 0 || !dist_number_parse(value, unit, &ret_entry->value))
        return -1;
    if (weight.len > 0 && !real_parse(weight, DIST_NUMBER, &ret_entry->weight, &has_fraction))
        return -1;
    return 1;
}

struct file_reader {
    const struct dist *dist;
    const char *path;
    enum dist_unit unit;
    struct weighted *entries;
    size_t count, cap;
};

static int file_add(struct file_reader *r, struct weighted entry)
{
    if (r->count == r->cap) {
        size_t cap = r->cap == 0 ? 64 : r->cap * 2;
        struct weighted *grown = realloc(r->entries, cap * sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        r->entries = grown;
        r->cap = cap;
    }
    r->entries[r->count++] = entry;
    return 0;
}

static int file_read(struct file_reader *r, FILE *f, char *text, size_t cap)
{
    char line[256];
    for (unsigned long number = 1; fgets(line, sizeof(line), f) != NULL; number++) {
        struct weighted entry;
        struct slice s = slice_str(line);
        int kind = s.len == sizeof(line) - 1 ? -1 : line_parse(s, r->unit, &entry);
        if (kind < 0)
            return wrong(text, cap, "%s:%lu: not \"VALUE [WEIGHT]\"", r->path, number);
        if (kind == 0 || entry.weight == 0)
            continue;
        if (entry.value < r->dist->low || entry.value > r->dist->high)
            return wrong(text, cap, "%s:%lu: the value is out of range", r->path, number);
        if (r->count == DIST_FILE_VALUES_MAX)
            return wrong(text, cap, "%s: more than %d values", r->path, DIST_FILE_VALUES_MAX);
        int result = file_add(r, entry);
        if (result < 0)
            return result;
    }
    if (ferror(f))
        return -EIO;
    return r->count > 0 ? 0 : wrong(text, cap, "%s: no values", r->path);
}

static int file_take(struct dist *d, const struct file_reader *r)
{
    double sum = 0;
    d->values = calloc(r->count, sizeof(*d->values));
    d->cumulated = calloc(r->count, sizeof(*d->cumulated));
    if (d->values == NULL || d->cumulated == NULL) {
        dist_deinit(d);
        return -ENOMEM;
    }
    qsort(r->entries, r->count, sizeof(*r->entries), by_value);
    for (size_t i = 0; i < r->count; i++) {
        sum += r->entries[i].weight;
        d->values[i] = r->entries[i].value;
        d->cumulated[i] = sum;
    }
    for (size_t i = 0; i < r->count; i++)
        d->cumulated[i] /= sum;
    d->value_count = (uint32_t)r->count;
    return 0;
}

/* Files only: a pipe can be read once, and a device without end. */
static int file_open(const char *path, FILE **ret_file, char *text, size_t cap)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int result = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
    FILE *f = NULL;
    if (result == 0 && !S_ISREG(st.st_mode))
        result = wrong(text, cap, "%s: is not a plain file", path);
    else if (result == 0 && (f = fdopen(fd, "r")) == NULL)
        result = -errno;
    if (result < 0 && fd >= 0)
        close(fd);
    if (result < 0 && result != -EINVAL)
        snprintf(text, cap, "%s: %s", path, err_text(result));
    if (result == 0)
        *ret_file = f;
    return result;
}

static int file_parse(struct dist *d, const char *path, enum dist_unit unit, char *text, size_t cap)
{
    struct file_reader r = {.dist = d, .path = path, .unit = unit};
    FILE *f = NULL;
    int opened = file_open(path, &f, text, cap);
    if (opened < 0)
        return opened;
    int result = file_read(&r, f, text, cap);
    fclose(f);
    if (result == 0)
        result = file_take(d, &r);
    if (result < 0 && result != -EINVAL)
        snprintf(text, cap, "%s: %s", path, err_text(result));
    free(r.entries);
    return result;
}

static int out_of_range(const struct dist *d, const char *what, enum dist_unit unit, char *text,
                        size_t cap)
{
    double factor = unit == DIST_NS ? 1e9 : 1;
    return wrong(text, cap, "\"%s\" is outside of %g to %g%s", what, (double)d->low / factor,
                 (double)d->high / factor,
                 unit == DIST_NS ? " seconds" : (unit == DIST_BYTES ? " octets" : ""));
}

static bool has_kind(struct slice *text, const char *kind)
{
    struct slice name = slice_str(kind);
    if (text->len < name.len || !slice_eq(slice_first(*text, name.len), name))
        return false;
    *text = slice_from(*text, name.len);
    return true;
}

int dist_parse(struct dist *d, const char *text, enum dist_unit unit, uint64_t low, uint64_t high,
               char *ret_text, size_t text_cap)
{
    ASSERT(low <= high);
    struct slice rest = slice_str(text);
    struct dist made = {.low = low, .high = high};
    bool has_fraction;
    bool is_good = true;
    if (has_kind(&rest, "uniform:")) {
        made.kind = DIST_UNIFORM;
        is_good = range_parse(&made, rest, unit);
    } else if (has_kind(&rest, "exp:")) {
        made.kind = DIST_EXP;
        is_good = real_parse(rest, unit, &made.a, &has_fraction);
    } else if (has_kind(&rest, "lognormal:")) {
        made.kind = DIST_LOGNORMAL;
        is_good = pair_parse(rest, ',', unit, DIST_NUMBER, &made.a, &made.b) && made.a > 0;
    } else if (has_kind(&rest, "normal:")) {
        made.kind = DIST_NORMAL;
        is_good = pair_parse(rest, ',', unit, unit, &made.a, &made.b);
    } else if (has_kind(&rest, "file:")) {
        made.kind = DIST_FILE;
        int result = file_parse(&made, (const char *)rest.ptr, unit, ret_text, text_cap);
        if (result < 0)
            return result;
    } else {
        made.kind = DIST_CONSTANT;
        is_good = dist_number_parse(rest, unit, &made.low);
        made.high = made.low;
    }
    if (!is_good)
        return wrong(ret_text, text_cap,
                     "\"%s\" is no number and none of uniform:LOW-HIGH, exp:MEAN, "
                     "lognormal:MEDIAN,SIGMA, normal:MEAN,SD, file:PATH",
                     text);
    if (made.low < low || made.high > high)
        return out_of_range(&(struct dist){.low = low, .high = high}, text, unit, ret_text,
                            text_cap);
    *d = made;
    return 0;
}

void dist_deinit(struct dist *d)
{
    free(d->values);
    free(d->cumulated);
    d->values = NULL;
    d->cumulated = NULL;
    d->value_count = 0;
}

/* Box and Muller; two draws each time, so that nothing is carried from call to call. */
static double draw_normal(struct rng *rng)
{
    double radius = sqrt(-2 * log(1 - rng_unit(rng)));
    return radius * cos(2 * M_PI * rng_unit(rng));
}

static uint64_t cut(const struct dist *d, double x)
{
    if (!(x > (double)d->low))
        return d->low;
    return x >= (double)d->high ? d->high : (uint64_t)(x + 0.5);
}

static uint64_t draw_file(const struct dist *d, struct rng *rng)
{
    double u = rng_unit(rng);
    uint32_t low = 0, high = d->value_count - 1; /* the last one has the share 1 */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (u < d->cumulated[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return d->values[low];
}

uint64_t dist_draw(const struct dist *d, struct rng *rng)
{
    switch (d->kind) {
    case DIST_CONSTANT:
        return d->low;
    case DIST_UNIFORM:
        return d->high - d->low == UINT64_MAX ? rng_next(rng)
                                              : d->low + rng_below(rng, d->high - d->low + 1);
    case DIST_EXP:
        return cut(d, -d->a * log(1 - rng_unit(rng)));
    case DIST_LOGNORMAL:
        return cut(d, d->a * exp(d->b * draw_normal(rng)));
    case DIST_NORMAL:
        return cut(d, d->a + d->b * draw_normal(rng));
    case DIST_FILE:
        return draw_file(d, rng);
    }
    UNREACHABLE();
}

/* Share of the standard normal distribution below @x. */
static double phi(double x)
{
    return erfc(-x / M_SQRT2) / 2;
}

static double mean_exp(double mean, double low, double high)
{
    return mean > 0 ? low + mean * (exp(-low / mean) - exp(-high / mean)) : low;
}

static double mean_normal(double mean, double sd, double low, double high)
{
    if (sd <= 0)
        return fmin(fmax(mean, low), high);
    double a = (low - mean) / sd, b = (high - mean) / sd;
    double density = (exp(-a * a / 2) - exp(-b * b / 2)) / sqrt(2 * M_PI);
    return low * phi(a) + high * phi(-b) + mean * (phi(b) - phi(a)) + sd * density;
}

static double mean_lognormal(double median, double sigma, double low, double high)
{
    if (sigma <= 0)
        return fmin(fmax(median, low), high);
    double a = low > 0 ? log(low / median) / sigma : -INFINITY;
    double b = log(high / median) / sigma;
    double inside = median * exp(sigma * sigma / 2) * (phi(b - sigma) - phi(a - sigma));
    return low * phi(a) + high * phi(-b) + inside;
}

static double mean_file(const struct dist *d)
{
    double sum = 0, before = 0;
    for (uint32_t i = 0; i < d->value_count; i++) {
        sum += (double)d->values[i] * (d->cumulated[i] - before);
        before = d->cumulated[i];
    }
    return sum;
}

double dist_mean(const struct dist *d)
{
    double low = (double)d->low, high = (double)d->high;
    switch (d->kind) {
    case DIST_CONSTANT:
        return low;
    case DIST_UNIFORM:
        return (low + high) / 2;
    case DIST_EXP:
        return mean_exp(d->a, low, high);
    case DIST_LOGNORMAL:
        return mean_lognormal(d->a, d->b, low, high);
    case DIST_NORMAL:
        return mean_normal(d->a, d->b, low, high);
    case DIST_FILE:
        return mean_file(d);
    }
    UNREACHABLE();
}
