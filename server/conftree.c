/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conftree.c - recursive descent over configuration text, bounded in depth.
 *
 * One token is read ahead. A line end matters in one place only: it may stand for the ";" behind a
 * value, so each token remembers whether a line end came before it.
 *
 *     section = { item }                                item = key value end
 *     value   = word | string | list                         | key [label] "{" section "}" [end]
 *     list    = "[" [ value { "," value } [","] ] "]"   end  = ";" | "," | line end | before "}"
 */
#include "conftree.h"
#include "base/assert.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_PUNCT };

struct token {
    enum token_kind kind;
    uint8_t punct;
    bool is_after_line_end;
    uint32_t line;
    struct slice text;
};

struct parser {
    struct slice rest;
    uint32_t line;
    uint32_t depth;
    uint32_t comma_line; /* of the last comma that ended an item; 0: none has */
    struct token token;  /* the one read ahead */
    struct region *memory;
    struct conftree_error *error;
};

static int PRINTF_LIKE(3, 4) fail(struct parser *p, uint32_t line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(p->error->reason, sizeof(p->error->reason), fmt, args);
    va_end(args);
    p->error->line = line;
    return -EINVAL;
}

/* --- tokens --------------------------------------------------------------------------------- */

static void advance(struct parser *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p->line += p->rest.ptr[i] == '\n';
    p->rest = slice_from(p->rest, len);
}

static bool starts_with(const struct parser *p, struct slice text)
{
    return slice_eq(slice_first(p->rest, text.len), text);
}

static int skip_comment(struct parser *p)
{
    uint32_t line = p->line;
    advance(p, 2);
    while (p->rest.len > 0 && !starts_with(p, SLICE_LIT("*/")))
        advance(p, 1);
    if (p->rest.len == 0)
        return fail(p, line, "comment is not closed");
    advance(p, 2);
    return 0;
}

static int skip_space(struct parser *p)
{
    while (p->rest.len > 0) {
        uint8_t c = p->rest.ptr[0];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            advance(p, 1);
        } else if (c == '#') {
            advance(p, slice_find(p->rest, '\n'));
        } else if (starts_with(p, SLICE_LIT("/*"))) {
            int err = skip_comment(p);
            if (err < 0)
                return err;
        } else {
            break;
        }
    }
    return 0;
}

static int read_escape(struct parser *p, uint8_t *ret_byte)
{
    if (p->rest.len < 2)
        return fail(p, p->token.line, "string is not closed");
    switch (p->rest.ptr[1]) {
    case '"':
    case '\\':
        *ret_byte = p->rest.ptr[1];
        break;
    case 'n':
        *ret_byte = '\n';
        break;
    case 't':
        *ret_byte = '\t';
        break;
    default:
        return fail(p, p->line, "unknown escape in string: only \\\" \\\\ \\n \\t");
    }
    advance(p, 2);
    return 0;
}

/* Bytes up to the closing quote, escapes counted as they stand. */
static size_t quoted_bytes(struct slice rest)
{
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '"' && rest.ptr[len] != '\n')
        len += rest.ptr[len] == '\\' ? 2 : 1;
    return len;
}

static int read_string(struct parser *p)
{
    p->token.kind = TOKEN_STRING;
    advance(p, 1);
    size_t cap = quoted_bytes(p->rest);
    uint8_t *out = region_take(p->memory, cap);
    if (out == NULL)
        return -ENOMEM;
    size_t len = 0;
    for (;;) {
        if (p->rest.len == 0 || p->rest.ptr[0] == '\n')
            return fail(p, p->token.line, "string is not closed");
        uint8_t c = p->rest.ptr[0];
        if (c == '"')
            break;
        if (c == '\\') {
            int err = read_escape(p, &c);
            if (err < 0)
                return err;
        } else {
            if (c < ' ' && c != '\t')
                return fail(p, p->line, "control character in string");
            advance(p, 1);
        }
        ASSERT(len < cap);
        out[len++] = c;
    }
    advance(p, 1);
    p->token.text = slice_of(out, len);
    return 0;
}

static bool is_word_byte(uint8_t c)
{
    return c > ' ' && c != 0x7F && strchr("{}[];,=\"#'", c) == NULL;
}

static int read_word(struct parser *p)
{
    size_t len = 0;
    while (len < p->rest.len && is_word_byte(p->rest.ptr[len]))
        len++;
    if (len == 0) {
        uint8_t c = p->rest.ptr[0];
        if (c == '\'')
            return fail(p, p->line, "unexpected ': strings stand in double quotes");
        return fail(p, p->line, "unexpected byte 0x%02x", c);
    }
    p->token.kind = TOKEN_WORD;
    p->token.text = slice_first(p->rest, len);
    advance(p, len);
    return 0;
}

/* Reads the next token into p->token. */
static int next(struct parser *p)
{
    uint32_t line_before = p->line;
    int err = skip_space(p);
    if (err < 0)
        return err;
    p->token = (struct token){.is_after_line_end = p->line != line_before, .line = p->line};
    if (p->rest.len == 0) {
        p->token.kind = TOKEN_END;
        p->token.is_after_line_end = true;
        return 0;
    }
    uint8_t c = p->rest.ptr[0];
    if (c == '"')
        return read_string(p);
    if (c != '\0' && strchr("{}[];,=", c) != NULL) {
        p->token.kind = TOKEN_PUNCT;
        p->token.punct = c;
        p->token.text = slice_first(p->rest, 1);
        advance(p, 1);
        return 0;
    }
    return read_word(p);
}

static bool is_punct(const struct parser *p, char punct)
{
    return p->token.kind == TOKEN_PUNCT && p->token.punct == (uint8_t)punct;
}

static bool is_text(const struct parser *p)
{
    return p->token.kind == TOKEN_WORD || p->token.kind == TOKEN_STRING;
}

static int fail_unexpected(struct parser *p, const char *wanted)
{
    if (p->token.kind == TOKEN_END)
        return fail(p, p->token.line, "the file ends where %s should be", wanted);
    return fail(p, p->token.line, "'%.*s' where %s should be", (int)size_min(p->token.text.len, 40),
                (const char *)p->token.text.ptr, wanted);
}

/* Two words side by side: what its writer may have meant as one, or as two values of a list. */
static int fail_blanks(struct parser *p, bool is_list)
{
    return fail(p, p->token.line, "unexpected '%.*s': %sa value with blanks needs quotes",
                (int)size_min(p->token.text.len, 40), (const char *)p->token.text.ptr,
                is_list ? "values of a list have commas between, and " : "");
}

/* --- grammar -------------------------------------------------------------------------------- */

static struct conftree_node *node_new(struct parser *p, enum conftree_kind kind, uint32_t line)
{
    struct conftree_node *node = region_take(p->memory, sizeof(*node));
    if (node != NULL) {
        node->kind = kind;
        node->line = line;
    }
    return node;
}

static int parse_value(struct parser *p, struct conftree_node **ret_node);

static int enter(struct parser *p)
{
    if (++p->depth > CONFTREE_DEPTH_MAX)
        return fail(p, p->token.line, "nested too deep");
    return next(p);
}

/* At "["; leaves the token behind "]". */
static int parse_list(struct parser *p, struct conftree_node *list)
{
    struct conftree_node **tail = &list->first;
    int err = enter(p);
    if (err < 0)
        return err;
    while (!is_punct(p, ']')) {
        if (p->token.kind == TOKEN_END)
            return fail(p, list->line, "list is not closed");
        err = parse_value(p, tail);
        if (err < 0)
            return err;
        tail = &(*tail)->next;
        if (is_punct(p, ','))
            err = next(p);
        else if (p->token.kind == TOKEN_END)
            err = fail(p, list->line, "list is not closed");
        else if (is_text(p))
            err = fail_blanks(p, true);
        else if (!is_punct(p, ']'))
            err = fail_unexpected(p, "',' or ']'");
        if (err < 0)
            return err;
    }
    p->depth--;
    return next(p);
}

/* A word or string that was read already, as a value. */
static int value_from(struct parser *p, const struct token *token, struct conftree_node **ret_node)
{
    struct conftree_node *node =
        node_new(p, token->kind == TOKEN_STRING ? CONFTREE_STRING : CONFTREE_WORD, token->line);
    if (node == NULL)
        return -ENOMEM;
    node->text = token->text;
    *ret_node = node;
    return 0;
}

/* At a value; leaves the token behind it. */
static int parse_value(struct parser *p, struct conftree_node **ret_node)
{
    if (is_punct(p, '[')) {
        *ret_node = node_new(p, CONFTREE_LIST, p->token.line);
        return *ret_node == NULL ? -ENOMEM : parse_list(p, *ret_node);
    }
    if (!is_text(p))
        return fail_unexpected(p, "a value");
    int err = value_from(p, &p->token, ret_node);
    return err < 0 ? err : next(p);
}

static int parse_items(struct parser *p, struct conftree_node *section, bool is_root);

/* At "{"; leaves the token behind "}". */
static int parse_section(struct parser *p, struct conftree_node *section)
{
    int err = enter(p);
    if (err == 0)
        err = parse_items(p, section, false);
    if (err < 0)
        return err;
    p->depth--;
    err = next(p);
    if (err == 0 && (is_punct(p, ';') || is_punct(p, ',')))
        err = next(p);
    return err;
}

static int parse_end(struct parser *p)
{
    if (is_punct(p, ','))
        p->comma_line = p->token.line;
    if (is_punct(p, ';') || is_punct(p, ','))
        return next(p);
    if (p->token.is_after_line_end || is_punct(p, '}'))
        return 0;
    if (is_text(p))
        return fail_blanks(p, false);
    return fail_unexpected(p, "';'");
}

/* "key:" was read as one word, because values such as smtp://... have colons. */
static bool key_trim_colon(struct token *key)
{
    if (key->kind != TOKEN_WORD || key->text.len < 2 || key->text.ptr[key->text.len - 1] != ':')
        return false;
    key->text.len--;
    return true;
}

/* At a word or string that is a value, or the label of a section. */
static int parse_text_or_label(struct parser *p, bool may_be_label, struct conftree_node **ret_node)
{
    struct token first = p->token;
    int err = next(p);
    if (err < 0)
        return err;
    if (may_be_label && is_punct(p, '{')) {
        struct conftree_node *section = node_new(p, CONFTREE_SECTION, first.line);
        if (section == NULL)
            return -ENOMEM;
        section->label = first.text;
        *ret_node = section;
        return parse_section(p, section);
    }
    err = value_from(p, &first, ret_node);
    return err < 0 ? err : parse_end(p);
}

static int parse_item_rest(struct parser *p, bool has_mark, struct conftree_node **ret_node)
{
    if (is_punct(p, '{')) {
        *ret_node = node_new(p, CONFTREE_SECTION, p->token.line);
        return *ret_node == NULL ? -ENOMEM : parse_section(p, *ret_node);
    }
    if (is_text(p))
        return parse_text_or_label(p, !has_mark, ret_node);
    int err = parse_value(p, ret_node);
    return err < 0 ? err : parse_end(p);
}

static int parse_item(struct parser *p, struct conftree_node **ret_node)
{
    if (!is_text(p))
        return fail_unexpected(p, "a key");
    struct token key = p->token;
    int shown = (int)size_min(key.text.len, 40);
    if (key.kind == TOKEN_WORD && key.text.ptr[0] == '.')
        return fail(p, key.line, "'%.*s': there are no includes and no macros", shown,
                    (const char *)key.text.ptr);
    bool has_mark = key_trim_colon(&key);
    int err = next(p);
    if (err == 0 && is_punct(p, '=') && !has_mark) {
        has_mark = true;
        err = next(p);
    }
    if (err < 0)
        return err;
    bool is_bare =
        !has_mark && !is_punct(p, '{') &&
        (p->token.is_after_line_end || is_punct(p, ';') || is_punct(p, ',') || is_punct(p, '}'));
    if (is_bare && p->comma_line == key.line)
        return fail(p, key.line, "'%.*s' has no value; a value with a comma in it needs quotes",
                    shown, (const char *)key.text.ptr);
    if (is_bare && p->token.is_after_line_end)
        return fail(p, key.line, "'%.*s' has no value", shown, (const char *)key.text.ptr);
    err = parse_item_rest(p, has_mark, ret_node);
    if (err < 0)
        return err;
    (*ret_node)->key = key.text;
    (*ret_node)->line = key.line;
    return 0;
}

/* Leaves the token at the "}" of the section, or at the end of the file. */
static int parse_items(struct parser *p, struct conftree_node *section, bool is_root)
{
    struct conftree_node **tail = &section->first;
    while (p->token.kind != TOKEN_END && !is_punct(p, '}')) {
        int err = parse_item(p, tail);
        if (err < 0)
            return err;
        tail = &(*tail)->next;
    }
    if (is_root && p->token.kind != TOKEN_END)
        return fail(p, p->token.line, "'}' without a section that it closes");
    if (!is_root && p->token.kind == TOKEN_END)
        return fail(p, section->line, "section is not closed");
    return 0;
}

int conftree_parse(struct slice text, struct region *memory, struct conftree_node **ret_root,
                   struct conftree_error *ret_error)
{
    *ret_error = (struct conftree_error){0};
    struct parser p = {.rest = text, .line = 1, .memory = memory, .error = ret_error};
    if (text.len > CONFTREE_TEXT_BYTES_MAX)
        return fail(&p, 0, "the file is larger than %zu bytes", CONFTREE_TEXT_BYTES_MAX);
    if (starts_with(&p, SLICE_LIT("\xEF\xBB\xBF")))
        advance(&p, 3);
    struct conftree_node *root = node_new(&p, CONFTREE_SECTION, 1);
    if (root == NULL)
        return -ENOMEM;
    int err = next(&p);
    if (err == 0)
        err = parse_items(&p, root, true);
    if (err < 0)
        return err;
    *ret_root = root;
    return 0;
}
