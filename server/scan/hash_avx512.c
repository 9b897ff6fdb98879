/* SPDX-License-Identifier: Apache-2.0 */
/* hash_avx512.c - the content hash in AVX-512F, compiled alone with that flag. */
#define XXH_VECTOR 3 /* XXH_AVX512 */
#include "scan/hash_impl.h"

const struct hash_impl hash_avx512 = {hash_begin, hash_feed, hash_finish};
