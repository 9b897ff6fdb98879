/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_print.c - the effective configuration as text, the reference, and what a reload cannot
 * change. All three go over the table and know no setting by name.
 */
#include "config_table.h"
#include "base/assert.h"
#include <stdlib.h>

static void print_record(enum config_section section, const void *record, const char *indent,
                         FILE *out)
{
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct knob *k = &config_knobs[i];
        if (k->section != section)
            continue;
        fprintf(out, "%s%s = ", indent, k->name);
        knob_print(k, record, out);
        fputs(";\n", out);
    }
}

void config_print(const struct config *c, FILE *out)
{
    fprintf(out, "# effective configuration%s", c->has_file ? " of " : ", without a file");
    for (const char *p = c->path; *p != '\0'; p++)
        fputc((unsigned char)*p < ' ' ? '?' : *p, out); /* nothing may end the comment */
    fputc('\n', out);
    for (unsigned i = 0; i < CONFIG_SECTION_COUNT; i++) {
        enum config_section section = (enum config_section)i;
        const struct config_section_row *row = &config_sections[i];
        const void *record;
        for (uint32_t k = 0; (record = config_record(c, section, k)) != NULL; k++) {
            if (section == CONFIG_TOP) {
                print_record(section, record, "", out);
                continue;
            }
            fprintf(out, "\n%s ", row->name);
            if (row->is_labelled) {
                knob_print_quoted(slice_str(config_record_name(c, section, k)), out);
                fputc(' ', out);
            }
            fputs("{\n", out);
            print_record(section, record, "    ", out);
            fputs("}\n", out);
        }
    }
}

/* Words of @text in lines of at most 96 columns, each after @indent. */
static void print_wrapped(const char *text, const char *indent, FILE *out)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        if (column > 0 && column + 1 + len > 96) {
            fputc('\n', out);
            column = 0;
        }
        fprintf(out, "%s%.*s", column == 0 ? indent : " ", (int)len, text);
        column += (column == 0 ? strlen(indent) : 1) + len;
        text += len;
        text += *text == ' ' ? 1 : 0;
    }
    fputc('\n', out);
}

void config_print_reference(FILE *out)
{
    for (unsigned i = 0; i < CONFIG_SECTION_COUNT; i++) {
        const struct config_section_row *row = &config_sections[i];
        fprintf(out, "%s%s\n", i > 0 ? "\n" : "", row->name[0] != '\0' ? row->name : "(top)");
        print_wrapped(row->doc, "  ", out);
        for (size_t k = 0; k < config_knob_count; k++) {
            if (config_knobs[k].section != i)
                continue;
            fprintf(out, "\n  %s: ", config_knobs[k].name);
            knob_print_doc(&config_knobs[k], out);
            fprintf(out, "%s\n", config_knobs[k].is_reloadable ? "; reloaded on SIGHUP" : "");
            print_wrapped(config_knobs[k].doc, "      ", out);
        }
    }
}

/* --- reload --------------------------------------------------------------------------------- */

static bool is_same_value(const struct knob *k, const void *a, const void *b)
{
    char *texts[2] = {NULL, NULL};
    size_t lens[2] = {0, 0};
    const void *records[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        FILE *out = open_memstream(&texts[i], &lens[i]);
        if (out == NULL)
            break; /* then it counts as different, which is safe */
        knob_print(k, records[i], out);
        fclose(out);
    }
    bool is_same = texts[0] != NULL && texts[1] != NULL && strcmp(texts[0], texts[1]) == 0;
    free(texts[0]);
    free(texts[1]);
    return is_same;
}

static void report(struct buf *out, uint32_t *count, const char *section, const char *label,
                   const char *key)
{
    buf_printf(out, "%s%s%s%s%s%s", (*count)++ > 0 ? ", " : "", section,
               label[0] != '\0' ? " " : "", label, section[0] != '\0' && key[0] != '\0' ? "." : "",
               key);
}

static void compare_record(enum config_section section, const char *label, const void *old,
                           const void *new, struct buf *out, uint32_t *count)
{
    for (size_t i = 0; i < config_knob_count; i++) {
        const struct knob *k = &config_knobs[i];
        if (k->section == section && !k->is_reloadable && !is_same_value(k, old, new))
            report(out, count, config_sections[section].name, label, k->name);
    }
}

/* The record of that name, or NULL. */
static const void *find_record(const struct config *c, enum config_section s, const char *name)
{
    for (uint32_t i = 0; config_record(c, s, i) != NULL; i++)
        if (strcmp(config_record_name(c, s, i), name) == 0)
            return config_record(c, s, i);
    return NULL;
}

static void compare_labelled(enum config_section s, const struct config *old,
                             const struct config *new, struct buf *out, uint32_t *count)
{
    for (uint32_t i = 0; config_record(old, s, i) != NULL; i++) {
        const char *name = config_record_name(old, s, i);
        const void *other = find_record(new, s, name);
        if (other != NULL)
            compare_record(s, name, config_record(old, s, i), other, out, count);
        else
            report(out, count, config_sections[s].name, name, "");
    }
    for (uint32_t i = 0; config_record(new, s, i) != NULL; i++)
        if (find_record(old, s, config_record_name(new, s, i)) == NULL)
            report(out, count, config_sections[s].name, config_record_name(new, s, i), "");
}

uint32_t config_reload_differences(const struct config *old, const struct config *new,
                                   struct buf *out)
{
    uint32_t count = 0;
    for (unsigned i = 0; i < CONFIG_SECTION_COUNT; i++) {
        enum config_section s = (enum config_section)i;
        if (!config_sections[i].is_labelled)
            compare_record(s, "", config_record(old, s, 0), config_record(new, s, 0), out, &count);
    }
    compare_labelled(CONFIG_LISTENER, old, new, out, &count);
    compare_labelled(CONFIG_CLIENT, old, new, out, &count);
    return count;
}
