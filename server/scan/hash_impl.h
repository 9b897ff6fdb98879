/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash_impl.h - the body of each hash_*.c: XXH3 inlined for one instruction set.
 *
 * The including file defines XXH_VECTOR, includes this header and names the table of functions.
 * All of xxHash is static in that file, so nothing of it reaches code built with other flags.
 */
#ifndef SCAN_HASH_IMPL_H
#define SCAN_HASH_IMPL_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "scan/hash.h"
#include <assert.h>

static_assert(sizeof(XXH3_state_t) + 64 <= HASH_STATE_BYTES, "a state and its alignment fit");
static_assert(HASH_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 takes the whole key");

/* The owner's storage has any alignment and does not move while a message lasts. */
static inline XXH3_state_t *hash_state(void *storage)
{
    return (XXH3_state_t *)(void *)(((uintptr_t)storage + 63) & ~(uintptr_t)63);
}

static void hash_begin(void *storage, const uint8_t *secret)
{
    (void)XXH3_128bits_reset_withSecret(hash_state(storage), secret, HASH_SECRET_BYTES);
}

static void hash_feed(void *storage, const uint8_t *ptr, size_t len)
{
    (void)XXH3_128bits_update(hash_state(storage), ptr, len);
}

static void hash_finish(void *storage, uint64_t ret_hash[2])
{
    XXH128_hash_t h = XXH3_128bits_digest(hash_state(storage));

    ret_hash[0] = h.low64;
    ret_hash[1] = h.high64;
}

#endif
