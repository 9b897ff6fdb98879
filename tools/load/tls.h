/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.h - TLS of one connection over memory: ciphertext in, ciphertext out, no descriptors.
 *
 * A context belongs to one worker and one target: it keeps the sessions that the server gave, for
 * those connections that are to resume one. A ticket of TLS 1.3 is used once (RFC 8446 appendix
 * C.4), and the next comes behind the handshake that it was used for; so there must be one for each
 * of the connections that begin before that.
 */
#ifndef LOAD_TLS_H
#define LOAD_TLS_H

#include "base/buf.h"
#include "smtp/client.h"

struct tls_options {
    const char *ca_path;     /* file or folder of certificates to verify against; NULL: no check */
    const char *server_name; /* SNI, and the name that is verified; NULL: none (an address) */
    uint32_t sessions_max;   /* that are kept: the newest. 0: none is ever resumed */
};

struct tls_context;
struct tls;

/* tls_context_new() - 0 or a negative errno, with @ret_text. */
MUST_CHECK int tls_context_new(const struct tls_options *options, struct tls_context **ret_context,
                               char *ret_text, size_t text_cap);
void tls_context_free(struct tls_context *c);

/* tls_open() - a fresh client; @resumes: offer the newest session, if there is one. NULL: no
 * memory.
 */
struct tls *tls_open(struct tls_context *c, bool resumes);
void tls_close(struct tls *t);

enum tls_result { TLS_DONE, TLS_MORE, TLS_FAILED, TLS_ENDED };

/* tls_take() - ciphertext from the peer; false: no memory. */
MUST_CHECK bool tls_take(struct tls *t, struct slice cipher);
/* tls_handshake() - go on; DONE once it is complete, MORE: needs bytes, or has some to send. */
MUST_CHECK enum tls_result tls_handshake(struct tls *t);
bool tls_was_resumed(const struct tls *t);
/* tls_read() - decrypted bytes, in memory of @t that lives until the next call. DONE: there are
 * some; MORE: none yet; ENDED: the peer said that there are no more. */
MUST_CHECK enum tls_result tls_read(struct tls *t, struct slice *ret_plain);
/*
 * tls_output() - encrypt what the client machine has to say, as much as fits into @out
 * Return: true when there is more
 */
bool tls_output(struct tls *t, struct client *client, clock_ns now, struct buf *out);
/* tls_drain() - ciphertext of the handshake; true when there is more. */
bool tls_drain(struct tls *t, struct buf *out);
/* tls_has_output() - plaintext taken from the client machine is still waiting. */
bool tls_has_output(const struct tls *t);

#endif
