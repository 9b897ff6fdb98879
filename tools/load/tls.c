/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls.c - OpenSSL over memory BIOs.
 *
 * Plaintext is gathered into records of up to 16 KiB, so that an envelope or a small message is one
 * record. Parts that did not fit into the caller's memory wait here.
 */
#include "load/tls.h"
#include "base/assert.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define RECORD_BYTES ((size_t)16384)
#define RECORD_ROOM (RECORD_BYTES + 512) /* with header, tag and padding */

struct tls_context {
    SSL_CTX *ssl;
    SSL_SESSION **sessions; /* from @session_first on, around the end; the newest is the last */
    uint32_t session_first, session_count, sessions_max;
    char *server_name;
    bool is_verified;
};

struct tls {
    struct tls_context *context;
    SSL *ssl;
    BIO *in, *out;
    struct slices parts; /* of the client machine, not encrypted yet */
    uint32_t part_idx;
    size_t part_offset;
    bool has_more; /* the client machine has more behind them */
    uint8_t commands[2 * CLIENT_COMMAND_BYTES_MAX];
    uint8_t plain[RECORD_BYTES];
};

static SSL_SESSION **session_at(struct tls_context *c, uint32_t idx)
{
    ASSERT(idx < c->sessions_max);
    return &c->sessions[(c->session_first + idx) % c->sessions_max];
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (c->sessions_max == 0)
        return 0;
    if (c->session_count == c->sessions_max) {
        SSL_SESSION_free(*session_at(c, 0));
        c->session_first = (c->session_first + 1) % c->sessions_max;
        c->session_count--;
    }
    *session_at(c, c->session_count++) = session;
    return 1; /* the reference is ours now */
}

/* Until TLS 1.2 a session may be resumed again and again, and brings no other. */
static void offer_session(struct tls_context *c, SSL *ssl)
{
    if (c->session_count == 0)
        return;
    SSL_SESSION *session = *session_at(c, c->session_count - 1);
    (void)SSL_set_session(ssl, session);
    if (SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION)
        return;
    SSL_SESSION_free(session);
    c->session_count--;
}

static bool load_ca(SSL_CTX *ssl, const char *path)
{
    struct stat st;
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    return SSL_CTX_load_verify_locations(ssl, is_folder ? NULL : path, is_folder ? path : NULL) ==
           1;
}

int tls_context_new(const struct tls_options *options, struct tls_context **ret_context,
                    char *ret_text, size_t text_cap)
{
    struct tls_context *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->ssl = SSL_CTX_new(TLS_client_method());
    c->sessions_max = options->sessions_max;
    c->sessions = calloc((size_t)c->sessions_max + 1, sizeof(SSL_SESSION *));
    if (options->server_name != NULL)
        c->server_name = strdup(options->server_name);
    if (c->ssl == NULL || c->sessions == NULL ||
        (options->server_name != NULL && c->server_name == NULL)) {
        snprintf(ret_text, text_cap, "TLS: out of memory");
        tls_context_free(c);
        return -ENOMEM;
    }
    SSL_CTX_set_app_data(c->ssl, c);
    SSL_CTX_set_session_cache_mode(c->ssl,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(c->ssl, on_session);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_verify(c->ssl, options->ca_path != NULL ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    c->is_verified = options->ca_path != NULL;
    if (options->ca_path != NULL && !load_ca(c->ssl, options->ca_path)) {
        snprintf(ret_text, text_cap, "%s: no certificates could be read from it", options->ca_path);
        ERR_clear_error();
        tls_context_free(c);
        return -EINVAL;
    }
    *ret_context = c;
    return 0;
}

void tls_context_free(struct tls_context *c)
{
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->session_count; i++)
        SSL_SESSION_free(*session_at(c, i));
    free(c->sessions);
    SSL_CTX_free(c->ssl);
    free(c->server_name);
    free(c);
}

struct tls *tls_open(struct tls_context *c, bool resumes)
{
    struct tls *t = malloc(sizeof(*t));
    if (t == NULL)
        return NULL;
    t->context = c;
    t->parts.count = 0;
    t->part_idx = 0;
    t->part_offset = 0;
    t->has_more = false;
    t->ssl = SSL_new(c->ssl);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (t->ssl == NULL || t->in == NULL || t->out == NULL) {
        BIO_free(t->in);
        BIO_free(t->out);
        SSL_free(t->ssl);
        free(t);
        return NULL;
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_connect_state(t->ssl);
    if (c->server_name != NULL) {
        (void)SSL_set_tlsext_host_name(t->ssl, c->server_name);
        if (c->is_verified)
            (void)SSL_set1_host(t->ssl, c->server_name);
    }
    if (resumes)
        offer_session(c, t->ssl);
    return t;
}

void tls_close(struct tls *t)
{
    if (t == NULL)
        return;
    SSL_set_shutdown(t->ssl,
                     SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* keeps the session good */
    SSL_free(t->ssl);
    free(t);
}

bool tls_take(struct tls *t, struct slice cipher)
{
    ASSERT(cipher.len <= INT32_MAX);
    return cipher.len == 0 || BIO_write(t->in, cipher.ptr, (int)cipher.len) == (int)cipher.len;
}

static enum tls_result result_of(struct tls *t, int result)
{
    int error = SSL_get_error(t->ssl, result);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return TLS_MORE;
    return error == SSL_ERROR_ZERO_RETURN ? TLS_ENDED : TLS_FAILED;
}

enum tls_result tls_handshake(struct tls *t)
{
    int result = SSL_do_handshake(t->ssl);
    return result == 1 ? TLS_DONE : result_of(t, result);
}

bool tls_was_resumed(const struct tls *t)
{
    return SSL_session_reused(t->ssl) == 1;
}

enum tls_result tls_read(struct tls *t, struct slice *ret_plain)
{
    int result = SSL_read(t->ssl, t->plain, (int)sizeof(t->plain));
    if (result <= 0)
        return result_of(t, result);
    *ret_plain = slice_of(t->plain, (size_t)result);
    return TLS_DONE;
}

bool tls_drain(struct tls *t, struct buf *out)
{
    int got = BIO_read(t->out, out->ptr + out->len, (int)buf_room(out));
    if (got > 0)
        out->len += (size_t)got;
    return BIO_ctrl_pending(t->out) > 0;
}

bool tls_has_output(const struct tls *t)
{
    return t->part_idx < t->parts.count || t->has_more || BIO_ctrl_pending(t->out) > 0;
}

/* The next plaintext for one record, gathered where it is in pieces. */
static struct slice next_record(struct tls *t, uint8_t *memory)
{
    struct slice first = slice_from(t->parts.at[t->part_idx], t->part_offset);
    if (first.len >= RECORD_BYTES) {
        t->part_offset += RECORD_BYTES;
        return slice_first(first, RECORD_BYTES);
    }
    struct buf record = buf_over(memory, RECORD_BYTES);
    while (t->part_idx < t->parts.count && buf_room(&record) > 0) {
        struct slice rest = slice_from(t->parts.at[t->part_idx], t->part_offset);
        struct slice piece = slice_first(rest, buf_room(&record));
        buf_put(&record, piece);
        t->part_offset += piece.len;
        if (piece.len == rest.len) {
            t->part_idx++;
            t->part_offset = 0;
        }
    }
    return buf_slice(&record);
}

bool tls_output(struct tls *t, struct client *client, clock_ns now, struct buf *out)
{
    uint8_t memory[RECORD_BYTES];
    if (tls_drain(t, out))
        return true;
    if (t->part_idx == t->parts.count) {
        struct buf scratch = buf_over(t->commands, sizeof(t->commands));
        t->has_more = client_output(client, now, &scratch, &t->parts);
        t->part_idx = 0;
        t->part_offset = 0;
    }
    while (t->part_idx < t->parts.count && buf_room(out) >= RECORD_ROOM) {
        struct slice record = next_record(t, memory);
        if (record.len > 0 && SSL_write(t->ssl, record.ptr, (int)record.len) <= 0)
            ERR_clear_error(); /* reading finds the same failure, and reports it */
        (void)tls_drain(t, out);
    }
    return tls_has_output(t);
}
