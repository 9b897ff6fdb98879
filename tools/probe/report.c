/* SPDX-License-Identifier: Apache-2.0 */
/* report.c - writes what a run found. Transcripts hold printable ASCII only (transcript.c); the
 * other texts come from the command line and may be anything. */
#include "probe/report.h"
#include "base/err.h"
#include "load/outfile.h"
#include <stdlib.h>

static const char *const words[] = {
    [TRIAL_PASS] = "pass", [TRIAL_FAIL] = "fail", [TRIAL_WARN] = "warn", [TRIAL_SKIP] = "skip"};
static const char *const levels[] = {[CHECK_MUST] = "must", [CHECK_SHOULD] = "should"};

/* The id up to the slash: the rule in the sheets. */
static int rule_len(const struct check *c)
{
    return (int)strcspn(c->id, "/");
}

static double seconds(clock_ns ns)
{
    return (double)ns / (double)NS_PER_S;
}

/* --- text ------------------------------------------------------------------------------------- */

static const char *color_of(enum trial_outcome outcome, bool has_color)
{
    static const char *const colors[] = {[TRIAL_PASS] = "\x1b[32m",
                                         [TRIAL_FAIL] = "\x1b[1;31m",
                                         [TRIAL_WARN] = "\x1b[33m",
                                         [TRIAL_SKIP] = "\x1b[2m"};
    return has_color ? colors[outcome] : "";
}

static const char *color_end(bool has_color)
{
    return has_color ? "\x1b[0m" : "";
}

/* What a server says, without what would do something to a terminal. */
static void put_plain(FILE *out, const char *text)
{
    for (; *text != '\0' && *text != '\n'; text++)
        fputc(*text < ' ' || *text > '~' ? '?' : *text, out);
}

void report_text_begin(FILE *out, const struct run *r, bool has_color)
{
    const struct found *f = &r->probe->found;
    fprintf(out, "%s%s%s\n", has_color ? "\x1b[1m" : "", r->options->target.url,
            color_end(has_color));
    if (f->greeting[0] != '\0') {
        fputs("  greeting  ", out);
        put_plain(out, f->greeting);
        fputc('\n', out);
    }
    fputs("  name      ", out);
    put_plain(out, f->domain);
    fputs("\n  offers   ", out);
    int column = 12;
    for (uint32_t i = 0; i < f->count; i++) {
        int len = (int)(strlen(f->at[i].name) + strlen(f->at[i].params)) + 2;
        if (column + len > 100) {
            fputs("\n           ", out);
            column = 12;
        }
        column += len;
        fputc(' ', out);
        put_plain(out, f->at[i].name);
        fputs(*f->at[i].params != '\0' ? "=" : "", out);
        put_plain(out, f->at[i].params);
    }
    fputs(f->count == 0 ? " nothing\n" : "\n", out);
    fflush(out);
}

#define HEAD_LINES 24 /* of a transcript that are shown, when it is longer than both together */
#define TAIL_LINES 40

static void put_indented(FILE *out, const char *text)
{
    uint32_t count = 0, at = 0;
    for (const char *c = text; *c != '\0'; c++)
        count += *c == '\n';
    for (; *text != '\0'; at++) {
        size_t len = strcspn(text, "\n");
        bool is_hidden =
            count > HEAD_LINES + TAIL_LINES && at >= HEAD_LINES && at < count - TAIL_LINES;
        if (!is_hidden)
            fprintf(out, "          | %.*s\n", (int)len, text);
        else if (at == HEAD_LINES)
            fprintf(out, "          | ... (%u lines, see --json)\n",
                    count - HEAD_LINES - TAIL_LINES);
        text += len + (text[len] == '\n');
    }
}

static bool is_news(const struct run_row *row)
{
    return row->outcome == TRIAL_FAIL || row->outcome == TRIAL_WARN;
}

static bool is_shown(const struct run *r, const struct run_row *row)
{
    return !r->options->is_quiet || is_news(row);
}

/* The first row of its sheet that is printed. */
static bool is_first_shown(const struct run *r, size_t row_idx)
{
    for (size_t i = row_idx; i > 0 && r->rows[i - 1].sheet == r->rows[row_idx].sheet; i--)
        if (is_shown(r, &r->rows[i - 1]))
            return false;
    return true;
}

/* The rules that were skipped one after the other for the same reason, up to @end, in one line. */
static void put_skips(FILE *out, const struct run *r, size_t end, bool has_color)
{
    size_t first = end;
    while (first > 0 && r->rows[first - 1].outcome == TRIAL_SKIP &&
           r->rows[first - 1].sheet == r->rows[end - 1].sheet &&
           strcmp(r->rows[first - 1].reason, r->rows[end - 1].reason) == 0)
        first--;
    if (first == end || r->options->is_quiet || r->options->is_verbose)
        return;
    const struct run_row *row = &r->rows[first];
    fprintf(out, "  %sskip  ", color_of(TRIAL_SKIP, has_color));
    if (end - first == 1)
        fprintf(out, "%-22s %s (%s)", row->check->id, row->check->title, row->reason);
    else
        fprintf(out, "%s ... %s: %zu rules (%s)", row->check->id, r->rows[end - 1].check->id,
                end - first, row->reason);
    fprintf(out, "%s\n", color_end(has_color));
}

static bool continues_skips(const struct run *r, size_t row_idx)
{
    const struct run_row *row = &r->rows[row_idx], *before = row - 1;
    return row_idx > 0 && row->outcome == TRIAL_SKIP && before->outcome == TRIAL_SKIP &&
           row->sheet == before->sheet && strcmp(row->reason, before->reason) == 0;
}

void report_text_row(FILE *out, const struct run *r, size_t row_idx, bool has_color)
{
    static const char *const shown[] = {"pass", "FAIL", "warn", "skip"};
    const struct run_row *row = &r->rows[row_idx];
    if (row_idx > 0 && !continues_skips(r, row_idx))
        put_skips(out, r, row_idx, has_color);
    if (!is_shown(r, row))
        return;
    if (is_first_shown(r, row_idx))
        fprintf(out, "\n%s\n", row->sheet->title);
    if (row->outcome == TRIAL_SKIP && !r->options->is_verbose)
        return; /* together with those that follow */
    fprintf(out, "  %s%s%s  %-22s %s\n", color_of(row->outcome, has_color), shown[row->outcome],
            color_end(has_color), row->check->id, row->check->title);
    if (row->outcome != TRIAL_PASS)
        fprintf(out, "          %s%s%s\n", color_of(row->outcome, has_color), row->reason,
                color_end(has_color));
    put_indented(out, transcript_text(&row->transcript));
    if (row->transcript.left_out > 0)
        fprintf(out, "          | ... and %u lines more\n", row->transcript.left_out);
    fflush(out);
}

void report_text_end(FILE *out, const struct run *r, bool has_color)
{
    const uint32_t *c = r->counts;
    if (r->row_count > 0)
        put_skips(out, r, r->row_count, has_color);
    fprintf(out, "\n%zu rule%s: %s%u passed%s, %s%u failed%s, %s%u warned%s, %u skipped; %.1f s\n",
            r->row_count, r->row_count == 1 ? "" : "s", color_of(TRIAL_PASS, has_color),
            c[TRIAL_PASS], color_end(has_color),
            c[TRIAL_FAIL] > 0 ? color_of(TRIAL_FAIL, has_color) : "", c[TRIAL_FAIL],
            c[TRIAL_FAIL] > 0 ? color_end(has_color) : "",
            c[TRIAL_WARN] > 0 ? color_of(TRIAL_WARN, has_color) : "", c[TRIAL_WARN],
            c[TRIAL_WARN] > 0 ? color_end(has_color) : "", c[TRIAL_SKIP],
            seconds(r->ended_ns - r->began_ns));
    for (size_t i = 0; i < r->row_count; i++)
        if (r->rows[i].outcome == TRIAL_FAIL)
            fprintf(out, "  failed: %-22s %s\n", r->rows[i].check->id, r->rows[i].check->title);
    if (r->stopped != NULL)
        fprintf(out, "The run ended early: %s.\n", r->stopped);
    fprintf(out, "%u connections, %u replies; %u messages were left at the server.\n",
            r->probe->connection_count, r->probe->watch.reply_count, r->probe->messages_left);
}

/* --- list ------------------------------------------------------------------------------------- */

void report_list(FILE *out, const struct probe_options *o)
{
    bool is_first = true;
    for (size_t i = 0; i < check_sheet_count; i++) {
        bool has_title = false;
        for (size_t k = 0; k < check_sheets[i]->count; k++) {
            char memory[256];
            const struct check *c = &check_sheets[i]->at[k];
            if (!check_is_chosen(c, o->only, o->skip))
                continue;
            if (!has_title)
                fprintf(out, "%s%s\n", is_first ? "" : "\n", check_sheets[i]->title);
            has_title = true;
            is_first = false;
            const char *text = run_needs_text(c, memory, sizeof(memory));
            fprintf(out, "  %-22s %-6s %s%s%s%s\n", c->id, levels[c->level], c->title,
                    *text != '\0' ? " [" : "", text, *text != '\0' ? "]" : "");
        }
    }
}

/* --- JSON ------------------------------------------------------------------------------------- */

void report_put_json(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c == '\n')
            fputs("\\n", out);
        else if (*c < ' ' || *c > '~')
            fprintf(out, "\\u%04x", *c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

static void put_json_row(FILE *out, const struct run_row *row)
{
    fprintf(out, "    {\"id\": \"%s\", \"rule\": \"%.*s\", \"sheet\": \"%s\", \"level\": \"%s\",\n",
            row->check->id, rule_len(row->check), row->check->id, row->sheet->name,
            levels[row->check->level]);
    fputs("     \"title\": ", out);
    report_put_json(out, row->check->title);
    fprintf(out, ", \"outcome\": \"%s\", \"seconds\": %.6f", words[row->outcome], seconds(row->ns));
    if (row->outcome != TRIAL_PASS) {
        fputs(",\n     \"reason\": ", out);
        report_put_json(out, row->reason);
    }
    const char *text = transcript_text(&row->transcript);
    if (*text != '\0') {
        fputs(",\n     \"transcript\": [", out);
        for (bool is_first = true; *text != '\0'; is_first = false) {
            char line[1024];
            size_t len = strcspn(text, "\n");
            snprintf(line, sizeof(line), "%.*s", (int)len, text);
            fputs(is_first ? "\n      " : ",\n      ", out);
            report_put_json(out, line);
            text += len + (text[len] == '\n');
        }
        fputc(']', out);
    }
    fputc('}', out);
}

void report_json(FILE *out, const struct run *r)
{
    const struct found *f = &r->probe->found;
    fprintf(out, "{\n  \"format\": \"postern-probe 1\", \"version\": \"%s\",\n  \"target\": ",
            POSTERN_VERSION);
    report_put_json(out, r->options->target.url);
    fputs(",\n  \"greeting\": ", out);
    report_put_json(out, f->greeting);
    fputs(",\n  \"name\": ", out);
    report_put_json(out, f->domain);
    fputs(",\n  \"offers\": {", out);
    for (uint32_t i = 0; i < f->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        report_put_json(out, f->at[i].name);
        fputs(": ", out);
        report_put_json(out, f->at[i].params);
    }
    fprintf(out,
            "},\n  \"passed\": %u, \"failed\": %u, \"warned\": %u, \"skipped\": %u,\n"
            "  \"seconds\": %.6f, \"connections\": %u, \"replies\": %u, \"messages_left\": %u,\n"
            "  \"stopped\": ",
            r->counts[TRIAL_PASS], r->counts[TRIAL_FAIL], r->counts[TRIAL_WARN],
            r->counts[TRIAL_SKIP], seconds(r->ended_ns - r->began_ns), r->probe->connection_count,
            r->probe->watch.reply_count, r->probe->messages_left);
    if (r->stopped != NULL)
        report_put_json(out, r->stopped);
    else
        fputs("null", out);
    fputs(",\n  \"rules\": [\n", out);
    for (size_t i = 0; i < r->row_count; i++) {
        put_json_row(out, &r->rows[i]);
        fputs(i + 1 < r->row_count ? ",\n" : "\n", out);
    }
    fputs("  ]\n}\n", out);
}

/* --- JUnit ------------------------------------------------------------------------------------ */

void report_put_xml(FILE *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        switch (*c) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\n':
            fputs("&#10;", out);
            break;
        default:
            fputc(*c < ' ' || *c > '~' ? '?' : *c, out);
            break;
        }
    }
}

static void put_junit_row(FILE *out, const struct run_row *row)
{
    fprintf(out, "    <testcase classname=\"postern-probe.%s\" name=\"", row->sheet->name);
    report_put_xml(out, row->check->id);
    fputs(": ", out);
    report_put_xml(out, row->check->title);
    fprintf(out, "\" time=\"%.6f\">", seconds(row->ns));
    if (row->outcome == TRIAL_SKIP || row->outcome == TRIAL_FAIL) {
        fputs(row->outcome == TRIAL_SKIP ? "<skipped" : "<failure type=\"rule\"", out);
        fputs(" message=\"", out);
        report_put_xml(out, row->reason);
        fputs("\">", out);
        report_put_xml(out, transcript_text(&row->transcript));
        fputs(row->outcome == TRIAL_SKIP ? "</skipped>" : "</failure>", out);
    } else if (row->outcome == TRIAL_WARN) {
        fputs("<system-out>warning: ", out);
        report_put_xml(out, row->reason);
        fputs("\n", out);
        report_put_xml(out, transcript_text(&row->transcript));
        fputs("</system-out>", out);
    }
    fputs("</testcase>\n", out);
}

/* A suite a sheet. */
static void put_junit_suite(FILE *out, const struct run *r, size_t first, size_t end)
{
    uint32_t failed = 0, skipped = 0;
    clock_ns ns = 0;
    for (size_t i = first; i < end; i++) {
        failed += r->rows[i].outcome == TRIAL_FAIL;
        skipped += r->rows[i].outcome == TRIAL_SKIP;
        ns += r->rows[i].ns;
    }
    fputs("  <testsuite name=\"", out);
    report_put_xml(out, r->rows[first].sheet->title);
    fprintf(out, "\" tests=\"%zu\" failures=\"%u\" errors=\"0\" skipped=\"%u\" time=\"%.6f\">\n",
            end - first, failed, skipped, seconds(ns));
    for (size_t i = first; i < end; i++)
        put_junit_row(out, &r->rows[i]);
    fputs("  </testsuite>\n", out);
}

void report_junit(FILE *out, const struct run *r)
{
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"postern-probe ", out);
    report_put_xml(out, r->options->target.url);
    fprintf(out, "\" tests=\"%zu\" failures=\"%u\" errors=\"0\" skipped=\"%u\" time=\"%.6f\">\n",
            r->row_count, r->counts[TRIAL_FAIL], r->counts[TRIAL_SKIP],
            seconds(r->ended_ns - r->began_ns));
    for (size_t first = 0, end; first < r->row_count; first = end) {
        for (end = first + 1; end < r->row_count && r->rows[end].sheet == r->rows[first].sheet;)
            end++;
        put_junit_suite(out, r, first, end);
    }
    fputs("</testsuites>\n", out);
}

/* --- files ------------------------------------------------------------------------------------ */

bool report_write(const struct run *r, const char *path,
                  void (*write)(FILE *out, const struct run *r))
{
    struct outfile file;
    int result = outfile_open(&file, path);
    if (result == 0) {
        write(file.file, r);
        result = outfile_end(&file);
    }
    if (result < 0)
        fprintf(stderr, "postern-probe: %s: %s\n", path, err_text(result));
    return result == 0;
}
