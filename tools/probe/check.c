/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - the list of sheets, and which of their checks a list of patterns chooses. */
#include "probe/check.h"
#include <regex.h>
#include <stdio.h>
#include <string.h>

const struct check_sheet *const check_sheets[] = {
    &check_core,   &check_limits,  &check_end,       &check_chunk,  &check_tls,
    &check_lmtp,   &check_prdr,    &check_deferrals, &check_exdata, &check_holzer,
    &check_others, &check_smuggle, &check_always,
};
const size_t check_sheet_count = ARRAY_COUNT(check_sheets);

size_t check_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < check_sheet_count; i++)
        count += check_sheets[i]->count;
    return count;
}

/* The next item of a list, made a pattern for the whole id; false at the end. */
static bool next_pattern(const char **list, char *pattern, size_t cap)
{
    size_t len;
    do {
        *list += **list == ',';
        len = strcspn(*list, ",");
    } while (len == 0 && **list != '\0');
    if (len == 0)
        return false;
    snprintf(pattern, cap, "^(%.*s)([-/].*)?$", (int)len, *list);
    *list += len;
    return true;
}

static bool list_matches(const char *list, const char *id)
{
    char pattern[256];
    while (next_pattern(&list, pattern, sizeof(pattern))) {
        regex_t regex;
        if (regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
            continue;
        bool is_match = regexec(&regex, id, 0, NULL, 0) == 0;
        regfree(&regex);
        if (is_match)
            return true;
    }
    return false;
}

bool check_is_chosen(const struct check *c, const char *only, const char *skip)
{
    return (only == NULL || list_matches(only, c->id)) &&
           (skip == NULL || !list_matches(skip, c->id));
}

static bool matches_any(const char *pattern)
{
    regex_t regex;
    bool is_match = false;
    if (regcomp(&regex, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
        return false;
    for (size_t i = 0; i < check_sheet_count; i++)
        for (size_t k = 0; k < check_sheets[i]->count; k++)
            is_match = is_match || regexec(&regex, check_sheets[i]->at[k].id, 0, NULL, 0) == 0;
    regfree(&regex);
    return is_match;
}

bool check_pattern_is_good(const char *list, char *ret_text, size_t text_cap)
{
    char pattern[256];
    const char *at = list;
    if (!next_pattern(&at, pattern, sizeof(pattern))) {
        snprintf(ret_text, text_cap, "%s: no rule is named", list);
        return false;
    }
    do {
        if (!matches_any(pattern)) {
            snprintf(ret_text, text_cap, "%s: matches no rule; see --list", list);
            return false;
        }
    } while (next_pattern(&at, pattern, sizeof(pattern)));
    return true;
}
