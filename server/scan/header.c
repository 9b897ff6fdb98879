/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header.c - counts Received fields and catches the Message-ID while the header goes by.
 *
 * A machine over content bytes, at any split. Most bytes are in lines that matter to nobody:
 * those are skipped by searching for the LF, most of them without a step of the machine. It owns
 * nothing but struct scan_header.
 *
 *   LINE --space, tab--> FOLD (the field goes on: VALUE_LEAD, VALUE or SKIP as before)
 *   LINE --CR--> EMPTY --LF--> OVER
 *   LINE --other--> NAME --name, spaces and colon--> VALUE_LEAD (first Message-ID) or SKIP
 *   NAME --no such name--> SKIP --CRLF--> LINE
 *   VALUE_LEAD --first byte that is no space--> VALUE --end of the token--> SKIP
 *
 * The Message-ID is kept as it stands: from '<' to '>', or, without brackets, up to white space.
 * White space inside the brackets, which can only be folding (RFC 5322 4.5.4), is left out. Spaces
 * may stand between name and colon (RFC 5322 4.5.8).
 */
#include "scan/header.h"

static const char header_received[] = "received";
static const char header_message_id[] = "message-id";

static_assert(sizeof(header_received) - 1 == sizeof(uint64_t), "compared as one word");

#define HEADER_CAN_BE_RECEIVED 1u
#define HEADER_CAN_BE_MESSAGE_ID 2u

static bool header_is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* header_name() - one more byte of a field name, or of the spaces and the colon behind it. */
static void header_name(struct scan_header *h, uint8_t c)
{
    uint8_t lower = ascii_lower(c);
    uint8_t names = h->names;

    if (names & HEADER_CAN_BE_RECEIVED) {
        if (h->name_len == sizeof(header_received) - 1) {
            if (c == ':')
                h->received_count++;
            if (!header_is_space(c))
                names &= (uint8_t)~HEADER_CAN_BE_RECEIVED;
        } else if (lower != (uint8_t)header_received[h->name_len]) {
            names &= (uint8_t)~HEADER_CAN_BE_RECEIVED;
        }
    } else if (names & HEADER_CAN_BE_MESSAGE_ID) {
        if (h->name_len == sizeof(header_message_id) - 1) {
            if (c == ':' && !h->has_message_id) {
                h->has_message_id = true;
                h->field = SCAN_HEADER_VALUE_LEAD;
                h->state = SCAN_HEADER_VALUE_LEAD;
                return;
            }
            if (!header_is_space(c))
                names = 0;
        } else if (lower != (uint8_t)header_message_id[h->name_len]) {
            names = 0;
        }
    }
    h->names = names;
    if (names == 0)
        h->state = SCAN_HEADER_SKIP;
    else if (!header_is_space(c))
        h->name_len++;
}

static void header_first_of_line(struct scan_header *h, uint8_t c)
{
    if (header_is_space(c)) {
        if (h->field == SCAN_HEADER_VALUE && !h->is_bracketed)
            h->field = SCAN_HEADER_SKIP;
        h->state = h->field;
        return;
    }
    h->field = SCAN_HEADER_SKIP;
    if (c == '\r') {
        h->state = SCAN_HEADER_EMPTY;
        return;
    }
    h->state = SCAN_HEADER_NAME;
    h->name_len = 0;
    h->names = ascii_lower(c) == 'r' ? HEADER_CAN_BE_RECEIVED : HEADER_CAN_BE_MESSAGE_ID;
    header_name(h, c);
}

/* header_value() - one byte of the Message-ID's value. */
static void header_value(struct scan_header *h, uint8_t c)
{
    if (c == '\r' || c == '\n' || (header_is_space(c) && h->is_bracketed))
        return;
    if (h->state == SCAN_HEADER_VALUE_LEAD) {
        if (header_is_space(c))
            return;
        h->is_bracketed = c == '<';
        h->field = SCAN_HEADER_VALUE;
        h->state = SCAN_HEADER_VALUE;
    } else if (header_is_space(c)) {
        h->field = SCAN_HEADER_SKIP;
        h->state = SCAN_HEADER_SKIP;
        return;
    }
    if (h->message_id_len < MESSAGE_ID_BYTES_MAX)
        h->message_id[h->message_id_len++] = c;
    if (h->is_bracketed && c == '>') {
        h->field = SCAN_HEADER_SKIP;
        h->state = SCAN_HEADER_SKIP;
    }
}

/* header_step() - one byte; @h->is_after_cr still speaks of the byte before. */
static void header_step(struct scan_header *h, uint8_t c)
{
    if (c == '\n' && h->is_after_cr) {
        h->state = h->state == SCAN_HEADER_EMPTY ? SCAN_HEADER_OVER : SCAN_HEADER_LINE;
        return;
    }
    switch ((enum scan_header_state)h->state) {
    case SCAN_HEADER_LINE:
        header_first_of_line(h, c);
        break;
    case SCAN_HEADER_NAME:
        header_name(h, c);
        break;
    case SCAN_HEADER_VALUE_LEAD:
    case SCAN_HEADER_VALUE:
        header_value(h, c);
        break;
    case SCAN_HEADER_EMPTY: /* the CR was bare */
        h->state = SCAN_HEADER_SKIP;
        break;
    case SCAN_HEADER_SKIP:
        break;
    case SCAN_HEADER_OVER:
        UNREACHABLE();
    }
}

/* header_is_received() - the 8 bytes at @ptr are the name, in any case; all are letters. */
static bool header_is_received(const uint8_t *ptr)
{
    uint64_t bytes;
    uint64_t name;

    memcpy(&bytes, ptr, sizeof(bytes));
    memcpy(&name, header_received, sizeof(name));
    return (bytes | UINT64_C(0x2020202020202020)) == name;
}

/*
 * header_pass_line() - skip a line of no interest, without the machine
 *
 * @rest starts a line. Does nothing when the machine has to look, be it that not all of the name
 * is there.
 */
static void header_pass_line(struct scan_header *h, struct slice rest)
{
    switch (rest.ptr[0]) {
    case '\r':
        return;
    case ' ':
    case '\t':
        if (h->field != SCAN_HEADER_SKIP)
            return;
        break;
    case 'R':
    case 'r':
        if (rest.len < sizeof(header_received))
            return;
        if (header_is_received(rest.ptr)) {
            if (rest.ptr[sizeof(header_received) - 1] != ':')
                return;
            h->received_count++;
        }
        break;
    case 'M':
    case 'm':
        if (rest.len < 2 || ascii_lower(rest.ptr[1]) == 'e')
            return;
        break;
    }
    h->field = SCAN_HEADER_SKIP;
    h->state = SCAN_HEADER_SKIP;
}

/* header_value_run() - take the bytes of the Message-ID up to one that may mean something else. */
static size_t header_value_run(struct scan_header *h, struct slice rest)
{
    size_t len = 0;

    while (len < rest.len && rest.ptr[len] > ' ' && rest.ptr[len] != '>')
        len++;
    size_t kept = size_min(len, (size_t)MESSAGE_ID_BYTES_MAX - h->message_id_len);
    memcpy(h->message_id + h->message_id_len, rest.ptr, kept);
    h->message_id_len += (uint8_t)kept;
    if (len > 0)
        h->is_after_cr = false;
    return len;
}

size_t header_feed(struct scan_header *h, struct slice in)
{
    size_t pos = 0;

    ASSERT(!header_is_over(h));
    while (pos < in.len && !header_is_over(h)) {
        if (h->state == SCAN_HEADER_LINE)
            header_pass_line(h, slice_from(in, pos));
        if (h->state == SCAN_HEADER_SKIP) {
            size_t skip = slice_find(slice_from(in, pos), '\n');
            if (skip > 0)
                h->is_after_cr = in.ptr[pos + skip - 1] == '\r';
            pos += skip;
        } else if (h->state == SCAN_HEADER_VALUE) {
            pos += header_value_run(h, slice_from(in, pos));
        }
        if (pos == in.len)
            break;
        uint8_t c = in.ptr[pos++];
        header_step(h, c);
        h->is_after_cr = c == '\r';
    }
    h->bytes += pos;
    return pos;
}
