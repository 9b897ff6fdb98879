/* SPDX-License-Identifier: Apache-2.0 */
/* conftree_test.c - configuration text to a tree; every refusal with its line. */
#include "conftree.h"
#include "base/assert.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void show_node(const struct conftree_node *n, FILE *out)
{
    if (n->key.len > 0)
        fprintf(out, "%u:%.*s=", n->line, (int)n->key.len, (const char *)n->key.ptr);
    switch (n->kind) {
    case CONFTREE_WORD:
        fprintf(out, "%.*s", (int)n->text.len, (const char *)n->text.ptr);
        return;
    case CONFTREE_STRING:
        fprintf(out, "'%.*s'", (int)n->text.len, (const char *)n->text.ptr);
        return;
    case CONFTREE_LIST:
    case CONFTREE_SECTION:
        break;
    }
    bool is_list = n->kind == CONFTREE_LIST;
    if (n->label.len > 0)
        fprintf(out, "<%.*s>", (int)n->label.len, (const char *)n->label.ptr);
    fputc(is_list ? '[' : '{', out);
    for (const struct conftree_node *in = n->first; in != NULL; in = in->next) {
        show_node(in, out);
        fputs(in->next != NULL ? " " : "", out);
    }
    fputc(is_list ? ']' : '}', out);
}

/* The tree in a compact form: key=word, key='string', key=[list], key=<label>{section}. */
static void tree_expect(const char *text, const char *want)
{
    struct region memory = {0};
    struct conftree_node *root;
    struct conftree_error error;
    char *shown = NULL;
    size_t len = 0;
    int err = conftree_parse(slice_str(text), &memory, &root, &error);
    if (err < 0)
        print_error("%s: line %u: %s\n", text, error.line, error.reason);
    assert_int_equal(err, 0);
    FILE *out = open_memstream(&shown, &len);
    show_node(root, out);
    fclose(out);
    assert_string_equal(shown, want);
    free(shown);
    region_free(&memory);
}

static const struct {
    const char *text, *want;
} good_rows[] = {
    {"", "{}"},
    {"\n\n # nothing\n/* at\nall */\n", "{}"},
    {"\xEF\xBB\xBF"
     "a = b",
     "{1:a=b}"},
    {"a = b;", "{1:a=b}"},
    {"a b;", "{1:a=b}"},
    {"a: b,", "{1:a=b}"},
    {"a:b c", "{1:a:b=c}"},
    {"a = b\nc = d\r\ne f", "{1:a=b 2:c=d 3:e=f}"},
    {"a = b; c = d", "{1:a=b 1:c=d}"},
    {"a =\n b", "{1:a=b}"},
    {"\"a\" = \"b c\"", "{1:a='b c'}"},
    {"a = \"\\\"\\\\\\n\\t\xC3\xA4\"", "{1:a='\"\\\n\t\xC3\xA4'}"},
    {"a = \"\"", "{1:a=''}"},
    {"a = \"#;{}[]/*\"", "{1:a='#;{}[]/*'}"},
    {"u = smtp://127.0.0.1:25;", "{1:u=smtp://127.0.0.1:25}"},
    {"a = b # c\nd = e", "{1:a=b 2:d=e}"},
    {"a = b#c\nd = e", "{1:a=b 2:d=e}"},
    {"a = b /* c */; /**/ d = e", "{1:a=b 1:d=e}"},
    {"a = []", "{1:a=[]}"},
    {"a = [b]", "{1:a=[b]}"},
    {"a [b, \"c\",\n d,]; e = f", "{1:a=[b 'c' d] 2:e=f}"},
    {"a = [[b], c]", "{1:a=[[b] c]}"},
    {"s { a = b }", "{1:s={1:a=b}}"},
    {"s = { a = b; }; c = d", "{1:s={1:a=b} 1:c=d}"},
    {"s \"x y\" {\n a b\n c d }", "{1:s=<x y>{2:a=b 3:c=d}}"},
    {"s x\n{ }\nt\n{\n}", "{1:s=<x>{} 3:t={}}"},
    {"s { t { u = v } }", "{1:s={1:t={1:u=v}}}"},
    {"a b { }\na c { }", "{1:a=<b>{} 2:a=<c>{}}"},
};

static void good_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good_rows); i++)
        tree_expect(good_rows[i].text, good_rows[i].want);
}

static void bad_text_names_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t line;
        const char *reason;
    } rows[] = {
        {"a", 1, "'a' has no value"},
        {"\na\nb = c", 2, "'a' has no value"},
        {"a = ;", 1, "';' where a value should be"},
        {"a =", 1, "the file ends where a value should be"},
        {"a = b c;", 1, "unexpected 'c': a value with blanks needs quotes"},
        {"a = \"b\" c", 1, "unexpected 'c'"},
        {"a = b = c", 1, "'=' where ';' should be"},
        {"= b", 1, "'=' where a key should be"},
        {"a = b;;", 1, "';' where a key should be"},
        {"\n\na = \"b", 3, "string is not closed"},
        {"a = \"b\nc\"", 1, "string is not closed"},
        {"a = \"b\\", 1, "string is not closed"},
        {"a = \"\\x\"", 1, "unknown escape"},
        {"a = \"\x01\"", 1, "control character"},
        {"a = 'b'", 1, "double quotes"},
        {"a = \x01", 1, "unexpected byte 0x01"},
        {"a = b\n}", 2, "'}' without a section"},
        {"\ns {\n a = b\n", 2, "section is not closed"},
        {"s {\n a = [b\n", 2, "list is not closed"},
        {"a = [\n b\n c ]", 3,
         "unexpected 'c': values of a list have commas between, and a value "
         "with blanks needs quotes"},
        {"a = [\"b\" c]", 1, "unexpected 'c': values of a list have commas between"},
        {"a = b,c;", 1, "'c' has no value; a value with a comma in it needs quotes"},
        {"a = b,c\n", 1, "'c' has no value; a value with a comma in it needs quotes"},
        {"s { a = b,c }", 1, "'c' has no value; a value with a comma in it needs quotes"},
        {"a = b,\nc\n", 2, "'c' has no value"},
        {"a = [b;]", 1, "';' where ',' or ']' should be"},
        {"a = [,]", 1, "',' where a value should be"},
        {"a = [b }", 1, "'}' where ',' or ']' should be"},
        {"/* x\n\n", 1, "comment is not closed"},
        {"\n.include \"/etc/passwd\"", 2, "there are no includes"},
        {"a = [[[[[[[[[b]]]]]]]]]", 1, "nested too deep"},
        {"a{a{a{a{a{a{a{a{\na{}}}}}}}}}", 2, "nested too deep"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct region memory = {0};
        struct conftree_node *root;
        struct conftree_error error;
        int err = conftree_parse(slice_str(rows[i].text), &memory, &root, &error);
        assert_int_equal(err, -EINVAL);
        if (strstr(error.reason, rows[i].reason) == NULL || error.line != rows[i].line)
            print_error("%s: line %u: %s\n", rows[i].text, error.line, error.reason);
        assert_non_null(strstr(error.reason, rows[i].reason));
        assert_int_equal(error.line, rows[i].line);
        region_free(&memory);
    }
}

static void nul_is_refused(void **state)
{
    (void)state;
    struct region memory = {0};
    struct conftree_node *root;
    struct conftree_error error;
    assert_int_equal(conftree_parse(SLICE_LIT("a = \0b"), &memory, &root, &error), -EINVAL);
    assert_non_null(strstr(error.reason, "0x00"));
    region_free(&memory);
}

static void region_gives_zeroed_aligned_memory(void **state)
{
    (void)state;
    struct region memory = {0};
    for (size_t size = 0; size < 40000; size = size * 2 + 1) {
        uint8_t *bytes = region_take(&memory, size);
        assert_non_null(bytes);
        assert_int_equal((uintptr_t)bytes % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(bytes[i], 0);
        memset(bytes, 0xAA, size);
    }
    assert_null(region_take(&memory, SIZE_MAX));
    assert_string_equal(region_text(&memory, SLICE_LIT("text")), "text");
    region_free(&memory);
    region_free(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_text),
        cmocka_unit_test(bad_text_names_the_line),
        cmocka_unit_test(nul_is_refused),
        cmocka_unit_test(region_gives_zeroed_aligned_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
