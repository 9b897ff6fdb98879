/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - the one pass over message content (P3).
 *
 * Bytes go in as they arrive, at any split; content slices come out, with dot stuffing removed by
 * gaps and never by moving bytes. On the way: end of data, bare CR, bare LF, NUL, bytes above
 * 0x7F, line lengths, end of the header, Received count, Message-ID, keyed content hash and
 * content rules. All state between calls is in struct scan.
 */
#ifndef SCAN_SCAN_H
#define SCAN_SCAN_H

#include "base/limits.h"
#include "base/slice.h"
#include "scan/frame.h"

enum scan_mode {
    SCAN_MODE_DATA,  /* dot-stuffed, ended by CRLF.CRLF; starts at the start of a line */
    SCAN_MODE_CHUNK, /* BDAT octets: no stuffing, no terminator, ended by scan_finish() */
};

/* Names as they stand in configuration, log and spool: "bare_cr", "bare_lf", "nul", "high", ... */
const char *scan_flag_name(enum scan_flag flag);

/* scan_flag_parse() - the flag for a name; 0 when unknown. */
uint32_t scan_flag_parse(struct slice name);

struct scan_kernel; /* one instruction set; private to scan/ */
struct rules_stream;

#define SCAN_KEY_BYTES 256
struct scan_key { /* secret of the content hash, the same for all shards and kept with the spool */
    uint8_t bytes[SCAN_KEY_BYTES];
};

struct scan_options {
    enum scan_mode mode;
    bool normalize_bare_lf; /* CORE-42 option: bare LF becomes CRLF; bare CR and NUL still flag */
    uint32_t received_max;  /* 0: RECEIVED_COUNT_MAX */
    const struct scan_key *key; /* NULL: no hash; must outlive the message */
    struct rules_stream
        *rules; /* NULL: no content rules; see rules.h for who opens and closes it */
};

struct scan_result {
    uint32_t flags;          /* enum scan_flag */
    uint64_t content_bytes;  /* octets with CRLF, without stuffing and terminator (CORE-20) */
    uint64_t header_bytes;   /* up to and with the empty line; content_bytes when there is none */
    uint64_t line_count;     /* line ends seen in the content */
    uint64_t line_bytes_max; /* longest line with its CRLF, without the stuffed dot */
    uint64_t bad_offset;     /* content offset of the first bare CR, bare LF or NUL; UINT64_MAX */
    uint32_t received_count;
    uint32_t message_id_len; /* 0: none seen; longer ones are cut at MESSAGE_ID_BYTES_MAX */
    uint8_t message_id[MESSAGE_ID_BYTES_MAX]; /* with angle brackets when they were there */
    uint64_t hash[2];
};

/*
 * scan_init() - choose the kernel once, before any thread starts
 * @isa:  "auto", "scalar", "sse42", "avx2", "avx512" or "neon"
 *
 * Return: 0, -EINVAL for an unknown name, -ENOTSUP when this processor (or build) lacks it
 */
MUST_CHECK int scan_init(const char *isa);

/* scan_isa_name() - the name of the chosen kernel. */
const char *scan_isa_name(void);

enum scan_header_state {
    SCAN_HEADER_LINE,       /* at the start of a line */
    SCAN_HEADER_NAME,       /* in a field name that may still be one we know */
    SCAN_HEADER_VALUE_LEAD, /* in the spaces before the Message-ID */
    SCAN_HEADER_VALUE,
    SCAN_HEADER_SKIP,  /* in a line of no interest */
    SCAN_HEADER_EMPTY, /* behind a CR that started a line */
    SCAN_HEADER_OVER,
};

struct scan_header {
    uint64_t bytes;
    uint32_t received_count;
    uint8_t state;    /* enum scan_header_state */
    uint8_t field;    /* the state to go on with when the next line is folded */
    uint8_t names;    /* field names that are still possible */
    uint8_t name_len; /* bytes of the name seen */
    bool is_after_cr;
    bool has_message_id;
    bool is_bracketed;
    uint8_t message_id_len;
    uint8_t message_id[MESSAGE_ID_BYTES_MAX];
};

#define SCAN_HASH_BYTES 640

/* Private to scan/; complete so that owners can embed it. Must not move while a message lasts. */
struct scan {
    const struct scan_kernel *kernel;
    struct rules_stream *rules;
    uint32_t received_max;
    bool is_hashed;
    bool is_ended;
    struct scan_frame frame;
    struct scan_header header;
    uint8_t hash[SCAN_HASH_BYTES]; /* holds its 64-byte aligned state at any alignment */
};

static_assert(sizeof(struct scan) <= 1024, "lives in every transaction");
static_assert(MESSAGE_ID_BYTES_MAX <= UINT8_MAX, "message_id_len");

/* scan_begin() - start a message. All earlier state is forgotten. */
void scan_begin(struct scan *s, const struct scan_options *options);

/*
 * scan_feed() - scan the next bytes of the message
 * @in:      borrowed for the call; any bytes, any split
 * @parts:   out, content slices in order, into @in or into static storage; overwritten
 * @ret_end: out, true when the end of data was consumed (SCAN_MODE_DATA only)
 *
 * Shape:   @in 0..WINDOW_BYTES_MAX bytes; at most SLICES_MAX parts, so a call may consume less
 *          than @in without being at the end: call again with the rest
 * Return:  bytes consumed; after the end of data the rest of @in is untouched (next commands)
 * Cost:    one pass; no allocation, no system call
 * Source:  RFC 5321 4.1.1.4, 4.5.2; CORE-40..44
 */
MUST_CHECK size_t scan_feed(struct scan *s, struct slice in, struct slices *parts, bool *ret_end);

/*
 * scan_finish() - close the message and get the result
 * @tail: out, last content slices that were held back (a lone CR at the end of BDAT content)
 *
 * Called once, after the end of data or after the last chunk. Ends the rules stream, too: after it
 * rules_stream_hits() is complete.
 */
void scan_finish(struct scan *s, struct slices *tail, struct scan_result *ret_result);

/* scan_content_bytes() - content octets seen so far, for limits enforced on the way. */
uint64_t scan_content_bytes(const struct scan *s);

#endif
