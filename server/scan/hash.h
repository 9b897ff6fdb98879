/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.h - the keyed 128-bit content hash, fed in pieces; private to scan/. See below for the
 * choice.
 */
#ifndef SCAN_HASH_H
#define SCAN_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_STATE_BYTES 640 /* of any alignment; asserted in hash_impl.h */
#define HASH_SECRET_BYTES 256

/* One build of the hash. All builds give the same result and share the state's layout. */
struct hash_impl {
    void (*begin)(void *state, const uint8_t *secret); /* @secret stays in use until finish */
    void (*feed)(void *state, const uint8_t *ptr, size_t len);
    void (*finish)(void *state, uint64_t ret_hash[2]);
};

extern const struct hash_impl hash_scalar;
extern const struct hash_impl hash_sse2;
extern const struct hash_impl hash_avx2;
extern const struct hash_impl hash_avx512;
extern const struct hash_impl hash_neon;

#endif
