/* SPDX-License-Identifier: Apache-2.0 */
/* hash_avx2.c - the content hash in AVX2, compiled alone with that flag. */
#define XXH_VECTOR 2 /* XXH_AVX2 */
#include "scan/hash_impl.h"

const struct hash_impl hash_avx2 = {hash_begin, hash_feed, hash_finish};
