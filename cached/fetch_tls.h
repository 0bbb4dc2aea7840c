/* fetch_tls - whom we believe to be a policy host: one store of CAs, and the name rules of
 * RFC 8461 s3.3 (DNS-IDs only, a wildcard only as the whole left-most label). */
#ifndef STS_CACHED_FETCH_TLS_H
#define STS_CACHED_FETCH_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/alloc.h"
#include "common/error.h"

struct fetch_tls;

/* What we learn of one connection's peer; a member of the transfer. */
struct tls_peer {
    int verdict;            /* X509_V_*; 0: good, or not come to it */
    char names[100];        /* after a failure: the DNS-IDs of the certificate, cut to fit */
    int64_t expires_s;      /* wall time of the certificate's notAfter; 0: none was seen */
    bool sent_close_notify; /* so what came before is whole: a TCP end can be forged */
};

/* Reads the CA file (NULL: the system's bundle), all at once: later connections share it, because
 * parsing 145 roots a connection costs 25 ms. NULL: `why`. */
MUST_CHECK struct fetch_tls *fetch_tls_new(const char *ca_file, char *why, size_t size);
void fetch_tls_free(struct fetch_tls *);

/* Lays our rules on one connection's SSL_CTX (handed over by curl's hook as void *), for `host`.
 * `peer` is written while it lives. False: must not connect. */
MUST_CHECK bool fetch_tls_prepare(const struct fetch_tls *, void *ssl_ctx, const char *host,
                                  struct tls_peer *peer);

/* Puts a failed verdict in our words. */
enum sts_error fetch_tls_judge(const struct tls_peer *, char *detail, size_t size);

#endif
