/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.c - owns the messages of a run.
 *
 * Whatever is drawn for a message comes from a generator of random numbers that begins anew for
 * each sequence number, so every worker and every retry gets the same. Making one is pure.
 */
#include "load/message.h"
#include "base/assert.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/limits.h"
#include "load/body.h"
#include "load/corpus.h"
#include "smtp/data.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DATE_DEFAULT_S 1767225600 /* 2026-01-01 */
#define FIXED_BYTES_MAX 640
#define CORPUS_BYTES_MAX (8 * GIB)

struct corpus_message {
    size_t offset, len;
    bool is_plain, is_8bit, is_smtputf8;
};

struct message_set {
    struct message_options options;
    struct body body; /* generated ones */
    uint8_t *corpus;  /* contents, one behind the other */
    size_t corpus_bytes, corpus_cap;
    struct corpus_message *messages;
    size_t message_count, message_cap;
    uint32_t rcpt_count_max; /* that the pattern can tell apart */
    bool is_address_utf8;
    uint8_t fixed_memory[FIXED_BYTES_MAX]; /* fields that are the same in all */
    size_t fixed_bytes;
};

PRINTF_LIKE(3, 4) static int wrong(char *text, size_t cap, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, cap, fmt, args);
    va_end(args);
    return -EINVAL;
}

static bool has_8bit(struct slice s)
{
    uint8_t all = 0;
    for (size_t i = 0; i < s.len; i++)
        all |= s.ptr[i];
    return (all & 0x80) != 0;
}

/* The generator of message @seq; @purpose keeps what is drawn for one thing from another. */
static struct rng rng_of(const struct message_set *set, uint64_t seq, uint64_t purpose)
{
    struct rng rng;
    rng_init(&rng, set->options.seed ^ (seq * 4 + purpose + 1) * 0xD6E8FEB86659FD93u);
    return rng;
}

enum { FOR_CONTENT, FOR_RCPTS };

/* How often @what ("%n") is in @pattern. */
static uint32_t count_of(const char *pattern, char what)
{
    uint32_t count = 0;
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%')
            continue;
        p++; /* "%%" is one thing */
        count += *p == what;
        if (*p == '\0')
            break;
    }
    return count;
}

static int check_pattern(const char *name, const char *pattern, const char *letters, char *text,
                         size_t cap)
{
    size_t numbers = 0;
    for (const char *p = pattern; *p != '\0'; p++) {
        uint8_t c = (uint8_t)*p;
        if (c <= 0x20 || c == 0x7F || c == '<' || c == '>')
            return wrong(text, cap, "%s: \"%s\" is no address", name, pattern);
        if (c != '%')
            continue;
        p++;
        if (*p == '\0' || strchr(letters, *p) == NULL)
            return wrong(text, cap, "%s: %% is followed by one of \"%s\"", name, letters);
        numbers++;
    }
    if (strlen(pattern) + numbers * 20 > MESSAGE_ADDRESS_BYTES_MAX)
        return wrong(text, cap, "%s: too long", name);
    return 0;
}

static int check_options(struct message_set *set, char *text, size_t cap)
{
    const struct message_options *o = &set->options;
    if (o->run == 0)
        return wrong(text, cap, "run: not 0");
    if (o->hostname == NULL || strlen(o->hostname) == 0 || strlen(o->hostname) > DOMAIN_BYTES_MAX)
        return wrong(text, cap, "hostname: 1 to %d octets", DOMAIN_BYTES_MAX);
    int result = check_pattern("hostname", o->hostname, "", text, cap);
    if (result == 0)
        result = check_pattern("sender", o->sender, "s%", text, cap);
    if (result == 0)
        result = check_pattern("rcpt", o->rcpt, "nis%", text, cap);
    if (result < 0)
        return result;
    if (o->rcpt[0] == '\0')
        return wrong(text, cap, "rcpt: empty");
    bool has_number = count_of(o->rcpt, 'n') > 0 && o->rcpt_users > 0;
    set->rcpt_count_max =
        count_of(o->rcpt, 'i') > 0 ? UINT32_MAX : (has_number ? o->rcpt_users : 1);
    if (o->rcpt_count.low > set->rcpt_count_max)
        return wrong(text, cap, "rcpt: \"%s\" makes %u different recipients, not %llu", o->rcpt,
                     set->rcpt_count_max, (unsigned long long)o->rcpt_count.low);
    if (o->corpus == NULL && o->size.high > MESSAGE_BYTES_MAX)
        return wrong(text, cap, "size: at most %llu", (unsigned long long)MESSAGE_BYTES_MAX);
    set->is_address_utf8 = has_8bit(slice_str(o->sender)) || has_8bit(slice_str(o->rcpt));
    return 0;
}

static void *grown(void *memory, size_t need, size_t *cap, size_t element_bytes)
{
    if (need <= *cap)
        return memory;
    size_t count = size_max(need, *cap + *cap / 2 + 64);
    void *more = realloc(memory, count * element_bytes);
    if (more != NULL)
        *cap = count;
    return more;
}

/* The header, up to the first empty line; all when there is none. */
static struct slice header_of(struct slice content)
{
    const uint8_t *end = content.len > 0 ? memmem(content.ptr, content.len, "\r\n\r\n", 4) : NULL;
    return end != NULL ? slice_first(content, (size_t)(end - content.ptr) + 2) : content;
}

static int corpus_add(void *arg, const struct corpus_item *item)
{
    struct message_set *set = arg;
    if (item->content.len > CORPUS_BYTES_MAX - set->corpus_bytes)
        return -EFBIG;
    uint8_t *bytes = grown(set->corpus, set->corpus_bytes + item->content.len, &set->corpus_cap, 1);
    if (bytes == NULL)
        return -ENOMEM;
    set->corpus = bytes;
    struct corpus_message *messages =
        grown(set->messages, set->message_count + 1, &set->message_cap, sizeof(*messages));
    if (messages == NULL)
        return -ENOMEM;
    set->messages = messages;
    if (item->content.len > 0)
        memcpy(set->corpus + set->corpus_bytes, item->content.ptr, item->content.len);
    messages[set->message_count++] = (struct corpus_message){
        .offset = set->corpus_bytes,
        .len = item->content.len,
        .is_plain = data_is_plain(item->content),
        .is_8bit = has_8bit(item->content),
        .is_smtputf8 = has_8bit(header_of(item->content)),
    };
    set->corpus_bytes += item->content.len;
    return 0;
}

static int corpus_load(struct message_set *set, char *text, size_t cap)
{
    const char *path = set->options.corpus;
    text[0] = '\0';
    int result = corpus_read(path, CORPUS_ANY, corpus_add, set, text, cap);
    if (result < 0 && text[0] == '\0')
        snprintf(text, cap, "%s: %s", path, err_text(result));
    if (result == 0 && set->message_count == 0)
        return wrong(text, cap, "%s: no messages", path);
    return result;
}

static void put_fixed(struct message_set *set)
{
    const struct message_options *o = &set->options;
    struct buf b = buf_over(set->fixed_memory, sizeof(set->fixed_memory));
    struct civil date = civil_from_unix(o->date > 0 ? o->date / 1000000 : DATE_DEFAULT_S);
    buf_put_byte(&b, '@');
    buf_put(&b, slice_str(o->hostname));
    BUF_PUT_LIT(&b, ">\r\nDate: ");
    civil_put_rfc5322(&b, &date);
    BUF_PUT_LIT(&b, "\r\nTo: undisclosed-recipients:;\r\nMIME-Version: 1.0\r\n"
                    "Content-Type: text/plain; charset=");
    buf_put(&b, slice_str(o->body == MESSAGE_8BIT ? "utf-8" : "us-ascii"));
    BUF_PUT_LIT(&b, "\r\nContent-Transfer-Encoding: ");
    buf_put(&b, slice_str(o->body == MESSAGE_8BIT     ? "8bit"
                          : o->body == MESSAGE_BASE64 ? "base64"
                                                      : "7bit"));
    BUF_PUT_LIT(&b, "\r\nFrom: <");
    ASSERT(!b.is_full);
    set->fixed_bytes = b.len;
}

int message_set_new(const struct message_options *options, struct message_set **ret_set,
                    char *ret_text, size_t text_cap)
{
    struct message_set *set = calloc(1, sizeof(*set));
    if (set == NULL)
        return -ENOMEM;
    set->options = *options;
    int result = check_options(set, ret_text, text_cap);
    if (result == 0 && options->corpus != NULL) {
        result = corpus_load(set, ret_text, text_cap);
    } else if (result == 0) {
        put_fixed(set);
        result = body_init(&set->body, options->body, options->seed, options->size.high);
        if (result < 0)
            snprintf(ret_text, text_cap, "memory for bodies: %s", err_text(result));
    }
    if (result < 0) {
        message_set_free(set);
        return result;
    }
    *ret_set = set;
    return 0;
}

void message_set_free(struct message_set *set)
{
    if (set == NULL)
        return;
    body_deinit(&set->body);
    free(set->corpus);
    free(set->messages);
    free(set);
}

uint64_t message_set_count(const struct message_set *set)
{
    return set->message_count;
}

static void put_pattern(struct buf *out, const char *pattern, uint64_t seq, uint32_t rcpt_idx,
                        uint64_t number)
{
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%') {
            buf_put_byte(out, (uint8_t)*p);
            continue;
        }
        p++;
        if (*p == '%')
            buf_put_byte(out, '%');
        else
            buf_put_u64(out, *p == 's' ? seq : (*p == 'i' ? rcpt_idx : number));
    }
}

void message_address(const struct message_set *set, uint64_t seq, uint32_t rcpt_idx,
                     struct buf *out)
{
    const struct message_options *o = &set->options;
    if (rcpt_idx == UINT32_MAX) {
        put_pattern(out, o->sender, seq, 0, 0);
        return;
    }
    uint64_t number = 0;
    if (o->rcpt_users > 0) {
        struct rng rng = rng_of(set, seq, FOR_RCPTS);
        number = (rng_below(&rng, o->rcpt_users) + rcpt_idx) % o->rcpt_users;
    }
    put_pattern(out, o->rcpt, seq, rcpt_idx, number);
}

/* Up to the text of Subject, which is the last field. */
static void put_head(const struct message_set *set, uint64_t seq, struct buf *head)
{
    BUF_PUT_LIT(head, "Message-ID: <pl.");
    identity_put(head, (struct identity){set->options.run, seq});
    buf_put(head, slice_of(set->fixed_memory, set->fixed_bytes));
    size_t start = head->len;
    put_pattern(head, set->options.sender, seq, 0, 0);
    if (head->len == start || head->len - start > PATH_BYTES_MAX) { /* no sender fits in a line */
        head->len = start;
        BUF_PUT_LIT(head, "postern-load@");
        buf_put(head, slice_str(set->options.hostname));
    }
    BUF_PUT_LIT(head, ">\r\nSubject: message ");
    buf_put_u64(head, seq);
}

static void make_generated(const struct message_set *set, uint64_t seq, struct buf *head,
                           struct message *m, struct rng *rng)
{
    static const struct slice end = SLICE_INIT("\r\n\r\n");
    struct slice parts[BODY_SLICES_MAX];
    size_t line_bytes;
    uint64_t size = dist_draw(&set->options.size, rng);
    put_head(set, seq, head);
    size_t bytes = size > head->len + end.len ? (size_t)size - head->len - end.len : 0;
    for (; bytes > 0 && bytes < BODY_BYTES_MIN; bytes--) /* too few for a line */
        buf_put_byte(head, '.');
    buf_put(head, end);
    ASSERT(!head->is_full);
    uint32_t count = body_cut(&set->body, rng_next(rng), bytes, parts, &line_bytes);
    m->content[m->content_count++] = buf_slice(head);
    for (uint32_t i = 0; i < count; i++)
        m->content[m->content_count++] = parts[i];
    m->content_bytes = head->len + bytes;
    m->is_plain = set->body.is_plain;
    m->is_8bit = (set->options.body == MESSAGE_8BIT && line_bytes > 0) || set->is_address_utf8;
    m->is_smtputf8 = set->is_address_utf8;
}

static void make_from_corpus(const struct message_set *set, uint64_t seq, struct buf *head,
                             struct message *m)
{
    const struct corpus_message *from = &set->messages[seq % set->message_count];
    if (set->options.adds_identity) {
        BUF_PUT_LIT(head, IDENTITY_FIELD ": ");
        identity_put(head, m->id);
        BUF_PUT_LIT(head, "\r\n");
        ASSERT(!head->is_full);
        m->content[m->content_count++] = buf_slice(head);
    }
    if (from->len > 0)
        m->content[m->content_count++] = slice_of(set->corpus + from->offset, from->len);
    m->content_bytes = head->len + from->len;
    m->is_plain = from->is_plain;
    m->is_8bit = from->is_8bit;
    m->is_smtputf8 = from->is_smtputf8 || set->is_address_utf8;
}

void message_make(const struct message_set *set, uint64_t seq, struct buf *head,
                  struct message *ret_message)
{
    struct rng rng = rng_of(set, seq, FOR_CONTENT);
    ASSERT(head->len == 0);
    *ret_message = (struct message){.id = {set->options.run, seq}};
    uint64_t rcpts = u64_min(dist_draw(&set->options.rcpt_count, &rng), set->rcpt_count_max);
    ret_message->rcpt_count = (uint32_t)u64_max(rcpts, 1);
    if (set->message_count > 0)
        make_from_corpus(set, seq, head, ret_message);
    else
        make_generated(set, seq, head, ret_message, &rng);
}
