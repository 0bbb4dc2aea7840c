/* farm_key - the farm's secret: what says that a node of the farm wrote something.
 * HMAC-SHA-256 under the first key of the file; what was signed under any key of it is accepted, so
 * that a key can be replaced node by node. Without a key file (loopback, or `insecure`) it is plain
 * SHA-256: then it finds damage, not forgery. Pure, apart from OpenSSL and reading the file. */
#ifndef STS_CACHED_FARM_KEY_H
#define STS_CACHED_FARM_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/alloc.h"

struct farm_key;

enum { FARM_KEY_BYTES = 32, FARM_KEYS_MAX = 8, FARM_MAC_DIGITS = 64 };

/* Reads `path`: 64 hex digits a line; blank lines and lines that begin with '#' are passed over. A
 * regular file that only its owner (and group) may read. NULL: `why` names file, line, fault. */
MUST_CHECK struct farm_key *farm_key_read(const char *path, char *why, size_t size);
/* One that signs without a secret. */
struct farm_key *farm_key_none(void);
void farm_key_free(struct farm_key *);

/* Writes 64 lower-case hex digits (no NUL) for the bytes; NULL for `key` is farm_key_none. */
void farm_key_sign(const struct farm_key *, const char *bytes, size_t len,
                   char mac[FARM_MAC_DIGITS]);
/* True when one of the keys signed the bytes so. Compares in constant time. */
MUST_CHECK bool farm_key_verify(const struct farm_key *, const char *bytes, size_t len,
                                const char mac[FARM_MAC_DIGITS]);
#endif
