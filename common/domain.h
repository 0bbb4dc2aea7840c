/* domain - brings a name to the one form that is used as key, query name, URL host and SNI:
 * A-labels, lower case, no final dot (RFC 8461 s3.1, s3.2; requirements D, ambiguity 42). */
#ifndef STS_COMMON_DOMAIN_H
#define STS_COMMON_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>

/* 253 bytes of name and the NUL. */
enum { DOMAIN_SIZE = 254 };

/* Normalises the `len` bytes at `name` into `out`. Takes U-labels (strict UTF-8, IDNA2008
 * non-transitional), any case, one final dot. The result is LDH labels of 1-63 bytes, no label
 * begins or ends with a hyphen, at most 253 bytes in all; a single label is fine.
 * Refuses (false): empty names and labels, a leading dot, IPv4 and IPv6 literals, names whose last
 * label is all digits, underscores, control bytes, NUL, blanks, bytes that are no UTF-8. Pure-ASCII
 * names never reach libidn2, whose options delete or refuse what is legal (LIBRARIES 1g); they
 * allocate nothing. `out` is "" for a name that is refused. */
bool domain_normalise(const char *name, size_t len, char out[DOMAIN_SIZE]);

/* As domain_normalise, but refuses what is not ASCII. */
bool domain_normalise_ascii(const char *name, size_t len, char out[DOMAIN_SIZE]);

/* Brings what the grammar of RFC 5321 s4.1.2 calls a Domain to lower case without the final dot:
 * as above, but ASCII only, and the last label may be all digits (policy files may hold such). */
bool domain_fold(const char *name, size_t len, char out[DOMAIN_SIZE]);

/* Folds the name of an MX host. MTAs deliver to more than host names: to what has underscores, and
 * to what reads like an address. So `out` is what domain_normalise makes of the name, or, where
 * that refuses, lower case without the final dot: labels of 1-63 letters, digits, hyphens and
 * underscores. Refuses all else; `out` is "" then. */
bool domain_fold_mx_host(const char *name, size_t len, char out[DOMAIN_SIZE]);

/* True when `name` (NUL-terminated, lower case) is what domain_normalise produces. */
bool domain_is_normal(const char *name);

/* True when the name has two labels or more. */
bool domain_has_dot(const char *name);

#endif
