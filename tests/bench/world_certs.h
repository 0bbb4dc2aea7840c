/* world_certs - a CA, and a certificate for every policy host of the bench's world. */
#ifndef STS_TESTS_BENCH_WORLD_CERTS_H
#define STS_TESTS_BENCH_WORLD_CERTS_H

#include <openssl/ssl.h>

/* Writes the CA's certificate to `ca_path` and makes those of the first `count` policy domains
 * beforehand; others are made when first asked for. NULL: the file cannot be written. */
struct world_certs *world_certs_new(const char *ca_path, unsigned count);

/* The SSL_CTX of a server that shows each client the certificate of the name that it asks for. */
SSL_CTX *world_certs_server(struct world_certs *);

#endif
