/* SPDX-License-Identifier: Apache-2.0 */
/* hash_sse2.c - the content hash in SSE2, which every x86-64 processor has. */
#define XXH_VECTOR 1 /* XXH_SSE2 */
#include "scan/hash_impl.h"

const struct hash_impl hash_sse2 = {hash_begin, hash_feed, hash_finish};
