/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queueid.c - owns the text form of queue ids. Apart from spool.c, so that tools which only read a
 * spool link without a ring.
 */
#include "spool/spool.h"

static const char queue_digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void queue_id_format(uint64_t queue_id, char ret_text[QUEUE_ID_CHARS + 1])
{
    for (int i = QUEUE_ID_CHARS - 1; i >= 0; i--) {
        ret_text[i] = queue_digits[queue_id & 31];
        queue_id >>= 5;
    }
    ret_text[QUEUE_ID_CHARS] = 0;
}

/* Crockford's reading: either case, O is 0, I and L are 1. */
static int queue_digit_value(uint8_t c)
{
    uint8_t upper = c >= 'a' && c <= 'z' ? (uint8_t)(c - 0x20) : c;
    if (upper == 'O')
        return 0;
    if (upper == 'I' || upper == 'L')
        return 1;
    const char *at = upper != 0 ? strchr(queue_digits, upper) : NULL;
    return at != NULL ? (int)(at - queue_digits) : -1;
}

bool queue_id_parse(struct slice text, uint64_t *ret_queue_id)
{
    if (text.len != QUEUE_ID_CHARS)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = queue_digit_value(text.ptr[i]);
        if (digit < 0 || (i == 0 && digit > 15)) /* 13 * 5 bits are one more than there are */
            return false;
        value = (value << 5) | (uint64_t)digit;
    }
    if (value == 0)
        return false;
    *ret_queue_id = value;
    return true;
}
