/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_read.c - reads back what report_json.c wrote. The file may come from anybody: everything
 * that later code relies on (sums of histograms, ranges, limits) is checked here. The grammar is
 * json-c's business.
 */
#include "base/err.h"
#include "load/report_field.h"
#include <json-c/json.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)512 * MIB)
#define SERIES_ROWS_MAX (7 * 24 * 3600)
#define NAME_BYTES_MAX 64

struct reader {
    char *text; /* the first thing that was wrong */
    size_t text_cap;
    bool has_failed;
};

static void fail(struct reader *rd, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void fail(struct reader *rd, const char *fmt, ...)
{
    if (rd->has_failed)
        return;
    rd->has_failed = true;
    va_list args;
    va_start(args, fmt);
    vsnprintf(rd->text, rd->text_cap, fmt, args);
    va_end(args);
}

/* The member @name of @from, when it is of @type; NULL, and the reader has failed, otherwise. */
static struct json_object *member(struct reader *rd, struct json_object *from, const char *name,
                                  enum json_type type)
{
    struct json_object *value = NULL;
    if (from == NULL)
        return NULL;
    if (!json_object_object_get_ex(from, name, &value))
        fail(rd, "not a report: \"%s\" is missing", name);
    else if (!json_object_is_type(value, type) &&
             !(type == json_type_double && json_object_is_type(value, json_type_int)))
        fail(rd, "not a report: \"%s\" is no %s", name, json_type_to_name(type));
    else
        return value;
    return NULL;
}

static uint64_t to_u64(struct reader *rd, struct json_object *value, const char *name, uint64_t max)
{
    if (value == NULL)
        return 0;
    uint64_t number = json_object_get_uint64(value);
    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0 ||
        number > max) {
        fail(rd, "not a report: a number in \"%s\" is out of range", name);
        return 0;
    }
    return number;
}

static uint64_t get_u64(struct reader *rd, struct json_object *from, const char *name, uint64_t max)
{
    return to_u64(rd, member(rd, from, name, json_type_int), name, max);
}

static uint64_t element_u64(struct reader *rd, struct json_object *array, size_t idx,
                            const char *name, uint64_t max)
{
    return to_u64(rd, json_object_array_get_idx(array, idx), name, max);
}

static void get_text(struct reader *rd, struct json_object *from, const char *name, char *to,
                     size_t cap)
{
    struct json_object *value = member(rd, from, name, json_type_string);
    if (value != NULL)
        snprintf(to, cap, "%s", json_object_get_string(value));
}

/* @digits hexadecimal digits of the text at @at. */
static uint64_t to_hex(struct reader *rd, const char *at, size_t digits, const char *name)
{
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        static const char alphabet[] = "0123456789abcdef";
        const char *digit = at[i] != '\0' ? strchr(alphabet, at[i]) : NULL;
        if (digit == NULL) {
            fail(rd, "not a report: \"%s\" is not hexadecimal", name);
            return 0;
        }
        value = value << 4 | (uint64_t)(digit - alphabet);
    }
    return value;
}

/* --- parts ------------------------------------------------------------------------------------ */

static void get_plain(struct reader *rd, struct json_object *root, struct load_report *r)
{
    char run[32] = "";
    char *base = (char *)r;
    for (size_t i = 0; i < report_text_count; i++)
        get_text(rd, root, report_texts[i].name, base + report_texts[i].at, report_texts[i].cap);
    for (size_t i = 0; i < report_double_count; i++) {
        struct json_object *value = member(rd, root, report_doubles[i].name, json_type_double);
        double number = value != NULL ? json_object_get_double(value) : 0;
        if (!isfinite(number))
            fail(rd, "not a report: \"%s\" is out of range", report_doubles[i].name);
        memcpy(base + report_doubles[i].at, &number, sizeof(number));
    }
    for (size_t i = 0; i < report_bool_count; i++) {
        struct json_object *value = member(rd, root, report_bools[i].name, json_type_boolean);
        bool is_true = value != NULL && json_object_get_boolean(value);
        memcpy(base + report_bools[i].at, &is_true, sizeof(is_true));
    }
    r->cpu_count = (uint32_t)get_u64(rd, root, "cpu_count", UINT32_MAX);
    get_text(rd, root, "run", run, sizeof(run));
    if (!rd->has_failed)
        r->run = to_hex(rd, run, 16, "run");
}

static void get_options(struct reader *rd, struct json_object *root, struct load_report *r)
{
    struct json_object *options = member(rd, root, "options", json_type_array);
    size_t count = options != NULL ? json_object_array_length(options) : 0;
    if (count > REPORT_PAIRS_MAX) {
        fail(rd, "not a report: too many options");
        return;
    }
    r->option_names = calloc(count + 1, NAME_BYTES_MAX);
    if (r->option_names == NULL) {
        fail(rd, "out of memory");
        return;
    }
    for (size_t i = 0; i < count && !rd->has_failed; i++) {
        struct json_object *pair = json_object_array_get_idx(options, i);
        char *name = r->option_names + i * NAME_BYTES_MAX;
        if (!json_object_is_type(pair, json_type_object)) {
            fail(rd, "not a report: an option is no object");
            return;
        }
        get_text(rd, pair, "name", name, NAME_BYTES_MAX);
        get_text(rd, pair, "value", r->options[i].value, sizeof(r->options[i].value));
        r->options[i].name = name;
        r->option_count = (uint32_t)i + 1;
    }
}

static void get_words(struct reader *rd, struct json_object *from, const char *name,
                      uint64_t *counts, uint32_t count, const char *(*word)(uint32_t))
{
    struct json_object *words = member(rd, from, name, json_type_object);
    for (uint32_t i = 0; i < count && words != NULL; i++)
        counts[i] = get_u64(rd, words, word(i), UINT64_MAX);
}

static const char *fate_word(uint32_t i)
{
    return attempt_fate_name(i);
}

static const char *cause_word(uint32_t i)
{
    return attempt_cause_name(i);
}

static const char *phase_word(uint32_t i)
{
    return load_reply_phase_name(i);
}

/* Reports from before there were dialects have none. */
static void get_dialects(struct reader *rd, struct json_object *counters, struct load_counters *c)
{
    if (!json_object_object_get_ex(counters, "dialects", NULL))
        return;
    struct json_object *dialects = member(rd, counters, "dialects", json_type_object);
    for (uint32_t d = 0; d < DIALECT_COUNT && dialects != NULL; d++) {
        struct load_dialect *l = &c->dialects[d];
        const char *name = dialect_name((enum dialect)d);
        struct json_object *from = member(rd, dialects, name, json_type_object);
        if (from == NULL)
            return;
        l->transactions = get_u64(rd, from, "transactions", UINT64_MAX);
        l->blocks = get_u64(rd, from, "blocks", UINT64_MAX);
        for (uint32_t f = 0; f < ATTEMPT_FATE_COUNT; f++)
            l->rcpts[f] = get_u64(rd, from, attempt_fate_name(f), UINT64_MAX);
    }
}

static void get_counters(struct reader *rd, struct json_object *root, struct load_counters *c)
{
    struct json_object *counters = member(rd, root, "counters", json_type_object);
    for (size_t i = 0; i < report_counter_count && counters != NULL; i++) {
        uint64_t value = get_u64(rd, counters, report_counters[i].name, UINT64_MAX);
        memcpy((char *)c + report_counters[i].at, &value, sizeof(value));
    }
    get_words(rd, counters, "rcpts", c->rcpts, ATTEMPT_FATE_COUNT, fate_word);
    get_words(rd, counters, "causes", c->causes, ATTEMPT_CAUSE_COUNT, cause_word);
    get_words(rd, counters, "timeouts", c->timeouts, CLIENT_PHASE_COUNT, phase_word);
    if (counters != NULL)
        get_dialects(rd, counters, c);
}

static uint8_t to_phase(struct reader *rd, const char *word)
{
    for (uint8_t p = 0; p < CLIENT_PHASE_COUNT; p++)
        if (strcmp(word, load_reply_phase_name(p)) == 0)
            return p;
    fail(rd, "not a report: an outcome has no phase");
    return 0;
}

static void get_outcomes(struct reader *rd, struct json_object *root, struct load_stats *s)
{
    struct json_object *outcomes = member(rd, root, "outcomes", json_type_array);
    size_t count = outcomes != NULL ? json_object_array_length(outcomes) : 0;
    if (count > LOAD_OUTCOMES_MAX)
        fail(rd, "not a report: too many outcomes");
    for (size_t i = 0; i < count && !rd->has_failed; i++) {
        struct json_object *from = json_object_array_get_idx(outcomes, i);
        struct load_outcome *o = &s->outcomes[i];
        char phase[16] = "";
        if (!json_object_is_type(from, json_type_object)) {
            fail(rd, "not a report: an outcome is no object");
            return;
        }
        get_text(rd, from, "phase", phase, sizeof(phase));
        o->phase = to_phase(rd, phase);
        o->code = (uint16_t)get_u64(rd, from, "code", UINT16_MAX);
        o->count = get_u64(rd, from, "count", UINT64_MAX);
        struct json_object *enhanced = member(rd, from, "enhanced", json_type_array);
        if (enhanced == NULL || json_object_array_length(enhanced) != ARRAY_COUNT(o->enhanced)) {
            fail(rd, "not a report: an enhanced code is not three numbers");
            return;
        }
        for (size_t k = 0; k < ARRAY_COUNT(o->enhanced); k++)
            o->enhanced[k] = (uint16_t)element_u64(rd, enhanced, k, "enhanced", UINT16_MAX);
        s->outcome_count = (uint32_t)i + 1;
    }
}

/* Columns may come in any order, and unknown ones are passed over. */
static size_t column_of(struct json_object *columns, const char *name)
{
    size_t count = json_object_array_length(columns);
    for (size_t i = 0; i < count; i++) {
        struct json_object *column = json_object_array_get_idx(columns, i);
        if (json_object_is_type(column, json_type_string) &&
            strcmp(json_object_get_string(column), name) == 0)
            return i;
    }
    return SIZE_MAX;
}

static void get_series(struct reader *rd, struct json_object *columns, struct json_object *rows,
                       struct load_stats *s)
{
    size_t row_count = json_object_array_length(rows);
    s->second_count = (uint32_t)row_count;
    for (size_t i = 0; i < report_second_count; i++) {
        const char *name = report_seconds[i].name;
        size_t column = column_of(columns, name);
        if (column == SIZE_MAX)
            fail(rd, "not a report: the series has no column \"%s\"", name);
        for (size_t row = 0; row < row_count && !rd->has_failed; row++) {
            struct json_object *cells = json_object_array_get_idx(rows, row);
            if (!json_object_is_type(cells, json_type_array) ||
                json_object_array_length(cells) <= column) {
                fail(rd, "not a report: row %zu of the series is too short", row);
                return;
            }
            uint64_t value = element_u64(rd, cells, column, name, UINT64_MAX);
            memcpy((char *)&s->seconds[row] + report_seconds[i].at, &value, sizeof(value));
        }
    }
}

/* --- histograms ------------------------------------------------------------------------------- */

static void get_buckets(struct reader *rd, struct json_object *buckets, struct hist *h)
{
    uint64_t total = 0;
    size_t count = json_object_array_length(buckets);
    for (size_t i = 0; i < count && !rd->has_failed; i++) {
        struct json_object *pair = json_object_array_get_idx(buckets, i);
        if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2) {
            fail(rd, "not a report: a bucket is not two numbers");
            return;
        }
        uint64_t low = element_u64(rd, pair, 0, "buckets", UINT64_MAX);
        uint64_t times = element_u64(rd, pair, 1, "buckets", UINT64_MAX);
        if (__builtin_add_overflow(total, times, &total))
            fail(rd, "not a report: more values than can be counted");
        h->counts[hist_index(h, low)] += times;
    }
    if (total != h->total)
        fail(rd, "not a report: the buckets of a histogram do not add up to its count");
}

static void get_hist(struct reader *rd, struct json_object *from, struct hist *h)
{
    if (from == NULL || !json_object_is_type(from, json_type_object)) {
        fail(rd, "not a report: a histogram is missing");
        return;
    }
    if (get_u64(rd, from, "sub_bits", 64) != h->sub_bits ||
        get_u64(rd, from, "top_bits", 64) != h->top_bits) {
        fail(rd, "a histogram has another precision than this version's");
        return;
    }
    h->total = get_u64(rd, from, "count", UINT64_MAX);
    if (h->total > 0) {
        char sum[40] = "";
        h->min = get_u64(rd, from, "min", UINT64_MAX);
        h->max = get_u64(rd, from, "max", UINT64_MAX);
        get_text(rd, from, "sum", sum, sizeof(sum));
        h->sum[1] = to_hex(rd, sum, 16, "sum");
        h->sum[0] = rd->has_failed ? 0 : to_hex(rd, sum + 16, 16, "sum");
        if (h->min > h->max)
            fail(rd, "not a report: the least value of a histogram is above the greatest");
    }
    struct json_object *buckets = member(rd, from, "buckets", json_type_array);
    if (buckets != NULL && !rd->has_failed)
        get_buckets(rd, buckets, h);
}

static void get_hists(struct reader *rd, struct json_object *root, struct load_stats *s)
{
    struct json_object *latency = member(rd, root, "latency_ns", json_type_object);
    for (uint32_t p = 0; p < LOAD_PHASE_COUNT && !rd->has_failed; p++) {
        struct json_object *phase = member(rd, latency, load_phase_name(p), json_type_object);
        get_hist(rd, member(rd, phase, "planned", json_type_object), &s->planned[p]);
        get_hist(rd, member(rd, phase, "actual", json_type_object), &s->actual[p]);
    }
    struct json_object *replies = member(rd, root, "dot_to_reply_k_ns", json_type_array);
    for (uint32_t k = 0; k < LOAD_REPLY_K_MAX && !rd->has_failed; k++)
        get_hist(rd, json_object_array_get_idx(replies, k), &s->reply_k[k]);
    get_hist(rd, member(rd, root, "start_lag_ns", json_type_object), &s->start_lag);
    get_hist(rd, member(rd, root, "content_bytes", json_type_object), &s->sizes);
}

/* --- the whole -------------------------------------------------------------------------------- */

static int get_stats(struct reader *rd, struct json_object *root, struct load_report *r)
{
    struct json_object *series = member(rd, root, "series", json_type_object);
    struct json_object *columns = member(rd, series, "columns", json_type_array);
    struct json_object *rows = member(rd, series, "rows", json_type_array);
    if (columns == NULL || rows == NULL)
        return -EINVAL;
    if (json_object_array_length(rows) > SERIES_ROWS_MAX) {
        fail(rd, "not a report: the series is too long");
        return -EINVAL;
    }
    int result = load_stats_new((uint32_t)json_object_array_length(rows), &r->stats);
    if (result != 0) {
        fail(rd, "out of memory");
        return result;
    }
    r->stats->measure_at = get_u64(rd, root, "measure_after_ns", UINT64_MAX);
    get_series(rd, columns, rows, r->stats);
    get_counters(rd, root, &r->stats->counters);
    get_outcomes(rd, root, r->stats);
    get_hists(rd, root, r->stats);
    return 0;
}

static int get_report(struct reader *rd, struct json_object *root, struct load_report **ret_report)
{
    char format[64] = "";
    if (!json_object_is_type(root, json_type_object)) {
        fail(rd, "not a report: no JSON object");
        return -EINVAL;
    }
    get_text(rd, root, "format", format, sizeof(format));
    if (strcmp(format, REPORT_FORMAT) != 0)
        fail(rd, "not a report of postern-load");
    if (get_u64(rd, root, "format_version", UINT64_MAX) != REPORT_FORMAT_VERSION)
        fail(rd, "a report of another version of postern-load");
    if (rd->has_failed)
        return -EINVAL;
    struct load_report *r = report_new();
    if (r == NULL) {
        fail(rd, "out of memory");
        return -ENOMEM;
    }
    get_plain(rd, root, r);
    get_options(rd, root, r);
    int result = get_stats(rd, root, r);
    if (rd->has_failed) {
        report_free(r);
        return result != 0 ? result : -EINVAL;
    }
    *ret_report = r;
    return 0;
}

static int read_file(const char *path, char **ret_text, size_t *ret_len)
{
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return -errno;
    size_t cap = 64 * KIB, len = 0;
    char *text = NULL;
    int result = 0;
    while (result == 0) {
        char *more = realloc(text, cap);
        if (more == NULL) {
            result = -ENOMEM;
            break;
        }
        text = more;
        len += fread(text + len, 1, cap - len, in);
        if (len < cap)
            break;
        cap *= 2;
        result = cap > FILE_BYTES_MAX ? -EFBIG : 0;
    }
    if (result == 0 && ferror(in))
        result = errno != 0 ? -errno : -EIO;
    fclose(in);
    if (result != 0) {
        free(text);
        return result;
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}

int report_json_read(const char *path, struct load_report **ret_report, char *ret_text,
                     size_t text_cap)
{
    struct reader rd = {.text = ret_text, .text_cap = text_cap};
    char *text = NULL;
    size_t len = 0;
    int result = read_file(path, &text, &len);
    if (result != 0) {
        fail(&rd, "%s", err_text(result));
        return result;
    }
    struct json_tokener *tokener = json_tokener_new();
    if (tokener == NULL) {
        free(text);
        fail(&rd, "out of memory");
        return -ENOMEM;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct json_object *root =
        len <= INT32_MAX ? json_tokener_parse_ex(tokener, text, (int)len) : NULL;
    enum json_tokener_error error = json_tokener_get_error(tokener);
    if (error != json_tokener_success || root == NULL) {
        fail(&rd, "not JSON: %s at octet %zu",
             error == json_tokener_continue ? "ends too early" : json_tokener_error_desc(error),
             json_tokener_get_parse_end(tokener));
        result = -EINVAL;
    } else {
        result = get_report(&rd, root, ret_report);
    }
    json_object_put(root);
    json_tokener_free(tokener);
    free(text);
    return result;
}
