/* redis_tls - whom to believe on a TLS connection to Redis, and who we are.
 * TLS 1.2 or later; the certificate must chain to the store and be for the server's address, or for
 * the name that was given instead. Only redis_conn asks for a session. */
#ifndef STS_CACHED_REDIS_TLS_H
#define STS_CACHED_REDIS_TLS_H

#include <stddef.h>

#include "common/alloc.h"
#include "common/sockspec.h"

struct redis_tls;
struct ssl_st;

/* `ca_file` is required, `cert_file` with `key_file` and `name` may be NULL. NULL: `why`. */
MUST_CHECK struct redis_tls *redis_tls_new(const char *ca_file, const char *cert_file,
                                           const char *key_file, const char *name, char *why,
                                           size_t size);
/* Accepts NULL. Sessions may outlive it. */
void redis_tls_free(struct redis_tls *);

/* A client session for a connection to `address` (OpenSSL's SSL, the caller's). */
MUST_CHECK struct ssl_st *redis_tls_session(const struct redis_tls *,
                                            const struct sockspec *address);
/* Why the handshake failed, half a sentence. */
void redis_tls_fault(struct ssl_st *, unsigned long error, char *why, size_t size);

#endif
