/* SPDX-License-Identifier: Apache-2.0 */
/* hash_scalar.c - the content hash in plain C, for every processor. */
#define XXH_VECTOR 0 /* XXH_SCALAR */
#include "scan/hash_impl.h"

const struct hash_impl hash_scalar = {hash_begin, hash_feed, hash_finish};
