/* SPDX-License-Identifier: Apache-2.0 */
/*
 * experiment_print.c - owns experiments as text again.
 *
 * A setting of a section is a section of its own, so that lists, which are axes by their order in
 * the file, keep that order wherever they stand. Named clients have no lists, so they stand
 * together, where the first one was; so does a mix.
 */
#include "lab/given.h"
#include <inttypes.h>
#include <string.h>

/* A word as it is, where it can be read so; else in quotes. */
static void put_text(struct slice text, FILE *out)
{
    bool is_plain = text.len > 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = ascii_lower(text.ptr[i]);
        is_plain = is_plain && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                                (c != '\0' && strchr("-_.:+%/", c) != NULL && i > 0));
    }
    if (is_plain) {
        fwrite(text.ptr, 1, text.len, out);
        return;
    }
    fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '"' || c == '\\')
            fputc('\\', out);
        if (c == '\n' || c == '\t')
            fputs(c == '\n' ? "\\n" : "\\t", out);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void put_plain(const char *name, const char *text, FILE *out)
{
    fprintf(out, "  %s = ", name);
    put_text(slice_str(text), out);
    fputc('\n', out);
}

static void put_plains(const struct lab_experiment *e, FILE *out)
{
    put_plain("title", e->title, out);
    put_plain("description", e->description, out);
    for (uint32_t i = 0; i < e->mode_count; i++) {
        fputs(i == 0 ? "  modes = [" : ", ", out);
        put_text(slice_str(e->modes[i]), out);
        fputs(i + 1 == e->mode_count ? "]\n" : "", out);
    }
    for (uint32_t i = 0; i < e->seed_count; i++)
        fprintf(out, "%s%" PRIu64 "%s", i == 0 ? "  seeds = [" : ", ", e->seeds[i],
                i + 1 == e->seed_count ? "]\n" : "");
    if (e->projected > 0)
        fprintf(out, "  projected = %" PRIu64 "\n", e->projected);
}

/* "limit = [30s, 60s]" */
static void put_setting(const struct lab_experiment *e, const struct lab_given *g, FILE *out)
{
    fprintf(out, "%s = ", g->setting->name);
    if (g->axis < 0) {
        put_text(g->text, out);
        return;
    }
    const struct lab_axis *a = &e->axes[g->axis];
    for (uint32_t i = 0; i < a->count; i++) {
        fputs(i == 0 ? "[" : ", ", out);
        put_text(slice_str(a->values[i].text), out);
    }
    fputc(']', out);
}

static bool is_of_mix(const struct lab_given *g)
{
    return g->phase == LAB_PHASE_MIX || g->phase == LAB_PHASE_MIX_LIKE;
}

static bool is_of_row(const struct lab_given *g, uint32_t row)
{
    size_t at = g->base - offsetof(struct lab_point, mix) - offsetof(struct lab_mix, rows);
    return is_of_mix(g) && at / sizeof(struct lab_mix_row) == row;
}

/* client "NAME" { ... }: number @client_idx of the named ones, or row @row of the mix, the other
 * one being -1. */
static void put_client(const struct lab_experiment *e, const char *indent, const char *name,
                       int32_t client_idx, int32_t row, FILE *out)
{
    fprintf(out, "%sclient \"%s\" {\n", indent, name);
    for (uint32_t i = 0; i < e->given_count; i++) {
        const struct lab_given *g = &e->given[e->given_order[i]];
        bool is_own = row >= 0 ? is_of_row(g, (uint32_t)row) : g->client_idx == client_idx;
        if (!is_own)
            continue;
        fprintf(out, "%s  ", indent);
        put_setting(e, g, out);
        fputc('\n', out);
    }
    fprintf(out, "%s}\n", indent);
}

static void put_named(const struct lab_experiment *e, FILE *out)
{
    const struct lab_axis *a = &e->axes[e->client_axis];
    for (uint32_t i = 0; i < a->count; i++)
        put_client(e, "  ", a->values[i].text, (int32_t)a->values[i].idx, -1, out);
}

static void put_mix(const struct lab_experiment *e, FILE *out)
{
    fputs("  mix {\n", out);
    for (uint32_t i = 0; i < e->mix_count; i++)
        put_client(e, "    ", e->mix_names[i], -1, (int32_t)i, out);
    fputs("  }\n", out);
}

void lab_experiment_print(const struct lab_experiment *e, FILE *out)
{
    fprintf(out, "experiment \"%s\" {\n", e->name);
    put_plains(e, out);
    for (uint32_t i = 0; i <= e->given_count; i++) {
        if (e->client_axis >= 0 && i == e->client_order)
            put_named(e, out);
        if (e->mix_count > 0 && i == e->mix_order)
            put_mix(e, out);
        if (i == e->given_count)
            break;
        const struct lab_given *g = &e->given[e->given_order[i]];
        const char *section = lab_section_name(g->setting->section);
        if (g->client_idx >= 0 || is_of_mix(g))
            continue;
        fprintf(out, "  %s%s", section, section[0] != '\0' ? " { " : "");
        put_setting(e, g, out);
        fputs(section[0] != '\0' ? " }\n" : "\n", out);
    }
    fputs("}\n", out);
}
