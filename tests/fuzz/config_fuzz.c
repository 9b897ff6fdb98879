/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_fuzz.c - configuration text. Oracle: an error has words, and a line of the text unless
 * something is missing from the whole; what loads, printed, loads to the same.
 *
 * No file outside of a folder that does not exist is opened: absolute recipient sources are left
 * out, since they could name a device.
 */
#include "base/assert.h"
#include "config.h"
#include <stdlib.h>

#define NAME "/nonexistent/postern.conf"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_absolute_source(struct slice text)
{
    for (size_t i = 0; i + 6 <= text.len; i++) {
        struct slice at = slice_from(text, i);
        if (slice_has_prefix_nocase(at, SLICE_LIT("file:/")) ||
            slice_has_prefix_nocase(at, SLICE_LIT("lmdb:/")) ||
            slice_has_prefix_nocase(at, SLICE_LIT("file:\\")) ||
            slice_has_prefix_nocase(at, SLICE_LIT("lmdb:\\")))
            return true;
    }
    return false;
}

static uint32_t line_count(struct slice text)
{
    uint32_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == '\n';
    return count;
}

static void check_error(struct slice text, const struct config_error *error)
{
    ASSERT(strncmp(error->text, NAME, strlen(NAME)) == 0);
    ASSERT(strlen(error->text) > strlen(NAME) + 2);
    ASSERT(error->line <= line_count(text));
    if (error->line == 0)
        ASSERT(strstr(error->text, "no listener") != NULL ||
               strstr(error->text, "no domain") != NULL);
}

static char *printed(const struct config *c)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ASSERT(out != NULL);
    config_print(c, out);
    fclose(out);
    return text;
}

static void check_again(const struct config *c)
{
    char *first = printed(c);
    struct config *again;
    struct config_error error;
    uint8_t memory[512];
    struct buf differences = buf_over(memory, sizeof(memory));
    int err = config_load_text(slice_str(first), NAME, NULL, &again, &error);
    if (err < 0)
        fprintf(stderr, "%s\n%s\n", error.text, first);
    ASSERT(err == 0);
    char *second = printed(again);
    ASSERT(strcmp(first, second) == 0);
    ASSERT(config_reload_differences(c, again, &differences) == 0);
    ASSERT(policy_class_count(c->policy) == policy_class_count(again->policy));
    const struct path postmaster = {.local = SLICE_LIT("Postmaster")};
    struct policy_rcpt decided = policy_rcpt(again->policy, &postmaster, 0);
    ASSERT(decided.answer.status == STATUS_RCPT_OK);
    free(first);
    free(second);
    config_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct config *c = NULL;
    struct config_error error;
    if (has_absolute_source(text))
        return 0;
    if (config_load_text(text, NAME, NULL, &c, &error) < 0) {
        ASSERT(c == NULL);
        check_error(text, &error);
        return 0;
    }
    check_again(c);
    config_free(c);
    return 0;
}
