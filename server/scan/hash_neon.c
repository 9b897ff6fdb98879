/* SPDX-License-Identifier: Apache-2.0 */
/* hash_neon.c - the content hash in AArch64 Advanced SIMD. */
#define XXH_VECTOR 4 /* XXH_NEON */
#include "scan/hash_impl.h"

const struct hash_impl hash_neon = {hash_begin, hash_feed, hash_finish};
