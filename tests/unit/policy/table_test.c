/* SPDX-License-Identifier: Apache-2.0 */
/* table_test.c - keys, lines and lists of recipients; errors name the line. */
#include "policy/table.h"
#include "base/assert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void key_expect(const char *local, const char *domain, bool folds, const char *want)
{
    struct table_key key;
    assert_true(table_key_make(slice_str(local), slice_str(domain), folds, &key));
    assert_int_equal(key.len, strlen(want));
    assert_memory_equal(key.bytes, want, key.len);
}

static void keys_are_folded_and_unquoted(void **state)
{
    (void)state;
    key_expect("Alice", "Example.ORG", true, "alice@example.org");
    key_expect("Alice", "Example.ORG", false, "Alice@example.org");
    key_expect("Alice", "", true, "alice@");
    key_expect("\"Al\\\"i ce\"", "x.org", true, "al\"i ce@x.org");
    key_expect("\"a@b\"", "x.org", true, "a@b@x.org");
    key_expect("\xC3\x84pfel", "x.org", true, "\xC3\x84pfel@x.org"); /* only ASCII is folded */
    key_expect("\"", "x.org", true, "\"@x.org");
}

static void key_of_impossible_length_is_refused(void **state)
{
    (void)state;
    char text[TABLE_KEY_BYTES_MAX + 10];
    struct table_key key;
    memset(text, 'a', sizeof(text));
    assert_true(
        table_key_make(slice_of(text, TABLE_KEY_BYTES_MAX - 6), SLICE_LIT("b.org"), true, &key));
    assert_int_equal(key.len, TABLE_KEY_BYTES_MAX);
    for (size_t len = TABLE_KEY_BYTES_MAX - 5; len < sizeof(text); len++)
        assert_false(table_key_make(slice_of(text, len), SLICE_LIT("b.org"), true, &key));
}

static void lines_are_parsed(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum table_line_result result;
        const char *key, *class_name; /* or the reason's part */
    } rows[] = {
        {"", TABLE_LINE_BLANK, "", ""},
        {"   \t", TABLE_LINE_BLANK, "", ""},
        {"# alice", TABLE_LINE_BLANK, "", ""},
        {"  # alice", TABLE_LINE_BLANK, "", ""},
        {"alice", TABLE_LINE_ENTRY, "alice@", ""},
        {"alice strict", TABLE_LINE_ENTRY, "alice@", "strict"},
        {"\tAlice@Example.org\tstrict # her", TABLE_LINE_ENTRY, "alice@example.org", "strict"},
        {"alice # strict", TABLE_LINE_ENTRY, "alice@", ""},
        {"a#b strict", TABLE_LINE_ENTRY, "a#b@", "strict"},
        {"\"john doe\"@x.org lax", TABLE_LINE_ENTRY, "john doe@x.org", "lax"},
        {"\"a@b\" lax", TABLE_LINE_ENTRY, "a@b@", "lax"},
        {"bob@[192.0.2.1]", TABLE_LINE_ENTRY, "bob@[192.0.2.1]", ""},
        {"b\xC3\xB6@d\xC3\xB6main.org", TABLE_LINE_ENTRY, "b\xC3\xB6@d\xC3\xB6main.org", ""},
        {"alice strict lax", TABLE_LINE_BAD, "unexpected text after the class: 'lax'", ""},
        {"alice st!rict", TABLE_LINE_BAD, "not a class name: 'st!rict'", ""},
        {"@x.org", TABLE_LINE_BAD, "not an address: '@x.org'", ""},
        {"alice@", TABLE_LINE_BAD, "not an address: 'alice@'", ""},
        {"al..ice@x.org", TABLE_LINE_BAD, "not an address", ""},
        {".alice", TABLE_LINE_BAD, "not an address", ""},
        {"alice.", TABLE_LINE_BAD, "not an address", ""},
        {"a@b@x.org", TABLE_LINE_BAD, "not an address", ""},
        {"<alice@x.org>", TABLE_LINE_BAD, "not an address", ""},
        {"alice@x..org", TABLE_LINE_BAD, "not an address", ""},
        {"alice@-x.org", TABLE_LINE_BAD, "not an address", ""},
        {"alice@x-.org", TABLE_LINE_BAD, "not an address", ""},
        {"alice@x.org.", TABLE_LINE_BAD, "not an address", ""},
        {"alice@[192.0.2.1", TABLE_LINE_BAD, "not an address", ""},
        {"\"alice@x.org", TABLE_LINE_BAD, "not an address", ""},
        {"\"\"@x.org", TABLE_LINE_BAD, "not an address", ""},
        {"ali\x01"
         "ce",
         TABLE_LINE_BAD, "not an address: 'ali?ce'", ""},
        {"smtp:alice", TABLE_LINE_BAD, "not an address", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct table_line parsed;
        struct table_error error = {0};
        enum table_line_result result =
            table_line_parse(slice_str(rows[i].line), true, &parsed, &error);
        print_message("%s\n", rows[i].line);
        assert_int_equal(result, rows[i].result);
        if (result == TABLE_LINE_BAD)
            assert_non_null(strstr(error.reason, rows[i].key));
        if (result != TABLE_LINE_ENTRY)
            continue;
        assert_int_equal(parsed.key.len, strlen(rows[i].key));
        assert_memory_equal(parsed.key.bytes, rows[i].key, parsed.key.len);
        assert_true(slice_eq(parsed.class_name, slice_str(rows[i].class_name)));
    }
}

static void line_with_nul_or_too_long_is_refused(void **state)
{
    (void)state;
    struct table_line parsed;
    struct table_error error;
    assert_int_equal(table_line_parse(SLICE_LIT("ali\0ce"), true, &parsed, &error), TABLE_LINE_BAD);
    static char text[TABLE_LINE_BYTES_MAX + 1];
    memset(text, 'a', sizeof(text));
    assert_int_equal(table_line_parse(slice_of(text, sizeof(text)), true, &parsed, &error),
                     TABLE_LINE_BAD);
    assert_non_null(strstr(error.reason, "line too long"));
    /* RFC 5321 4.5.3.1.1: a local part has at most 64 octets. */
    assert_int_equal(table_line_parse(slice_of(text, 64), true, &parsed, &error), TABLE_LINE_ENTRY);
    assert_int_equal(table_line_parse(slice_of(text, 65), true, &parsed, &error), TABLE_LINE_BAD);
}

static struct table *list(const char *text)
{
    struct table *t;
    struct table_error error;
    assert_int_equal(table_new_text(slice_str(text), true, &t, &error), 0);
    return t;
}

/* The class of @key: "" for none, "-" when it is not in the table. */
static struct slice find(const struct table *t, const char *key)
{
    struct table_reader r;
    struct table_key k = {.len = (uint32_t)strlen(key)};
    uint16_t number = UINT16_MAX;
    memcpy(k.bytes, key, k.len);
    assert_int_equal(table_reader_open(t, &r), 0);
    enum table_result result = table_find(&r, &k, &number);
    table_reader_close(&r);
    if (result == TABLE_NOT_FOUND)
        return SLICE_LIT("-");
    assert_int_equal(result, TABLE_FOUND);
    return number == 0 ? SLICE_EMPTY : table_class_name(t, number);
}

static void list_finds_what_it_was_given(void **state)
{
    (void)state;
    struct table *t = list("# staff\r\nalice strict\r\nBob@x.org\n\ncarol lax\nalice strict\nd");
    assert_int_equal(table_entry_count(t), 4);
    assert_int_equal(table_class_count(t), 2);
    assert_true(slice_eq(find(t, "alice@"), SLICE_LIT("strict")));
    assert_true(slice_eq(find(t, "bob@x.org"), SLICE_EMPTY));
    assert_true(slice_eq(find(t, "carol@"), SLICE_LIT("lax")));
    assert_true(slice_eq(find(t, "d@"), SLICE_EMPTY));
    assert_true(slice_eq(find(t, "e@"), SLICE_LIT("-")));
    assert_true(slice_eq(find(t, "alice"), SLICE_LIT("-")));
    assert_true(slice_eq(find(t, "alice@x.org"), SLICE_LIT("-")));
    table_free(t);
}

static void empty_list_finds_nothing(void **state)
{
    (void)state;
    struct table *t = list("");
    assert_int_equal(table_entry_count(t), 0);
    assert_true(slice_eq(find(t, "alice@"), SLICE_LIT("-")));
    table_free(t);
}

static void list_errors_name_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line;
        const char *reason;
    } rows[] = {
        {"alice\nbob\nnot an address at all\n", 3, "unexpected text after the class: 'address'"},
        {"alice a\r\n\r\n# x\r\nALICE b\r\n", 4, "another class (first in line 1)"},
        {"alice\nalice b", 2, "another class (first in line 1)"},
        {"@", 1, "not an address: '@'"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct table *t = NULL;
        struct table_error error;
        assert_int_equal(table_new_text(slice_str(rows[i].text), true, &t, &error), -EINVAL);
        assert_null(t);
        assert_int_equal(error.line, rows[i].line);
        assert_non_null(strstr(error.reason, rows[i].reason));
    }
}

static void list_of_100000_entries(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    size_t cap = (size_t)COUNT * 40, len = 0;
    char *text = malloc(cap);
    assert_non_null(text);
    for (int i = 0; i < COUNT; i++)
        len += (size_t)snprintf(text + len, cap - len, "User%d@Example.org class-%d\n", i, i % 7);
    struct table *t;
    struct table_error error;
    assert_int_equal(table_new_text(slice_of(text, len), true, &t, &error), 0);
    free(text);
    assert_int_equal(table_entry_count(t), COUNT);
    assert_int_equal(table_class_count(t), 7);
    for (int i = 0; i < COUNT; i++) {
        char key[40], class_name[16];
        snprintf(key, sizeof(key), "user%d@example.org", i);
        snprintf(class_name, sizeof(class_name), "class-%d", i % 7);
        assert_true(slice_eq(find(t, key), slice_str(class_name)));
        snprintf(key, sizeof(key), "user%d@example.com", i);
        assert_true(slice_eq(find(t, key), SLICE_LIT("-")));
    }
    table_free(t);
}

static void list_has_a_limit_of_classes(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    for (int i = 0; i <= TABLE_CLASS_COUNT_MAX; i++)
        fprintf(out, "u%d c%d\n", i, i);
    fclose(out);
    struct table *t;
    struct table_error error;
    assert_int_equal(table_new_text(slice_of(text, len), true, &t, &error), -EINVAL);
    assert_int_equal(error.line, TABLE_CLASS_COUNT_MAX + 1);
    assert_non_null(strstr(error.reason, "too many different classes"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_folded_and_unquoted),
        cmocka_unit_test(key_of_impossible_length_is_refused),
        cmocka_unit_test(lines_are_parsed),
        cmocka_unit_test(line_with_nul_or_too_long_is_refused),
        cmocka_unit_test(list_finds_what_it_was_given),
        cmocka_unit_test(empty_list_finds_nothing),
        cmocka_unit_test(list_errors_name_the_line),
        cmocka_unit_test(list_of_100000_entries),
        cmocka_unit_test(list_has_a_limit_of_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
