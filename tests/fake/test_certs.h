/* test_certs - makes the certificates that tests need, good and bad, while they run. */
#ifndef STS_TESTS_TEST_CERTS_H
#define STS_TESTS_TEST_CERTS_H

#include <openssl/ssl.h>

enum { TEST_CERT_NAMES = 3, TEST_DAY_S = 86400 };

enum test_signer {
    SIGNED_BY_ROOT, /* the one that is trusted */
    SIGNED_BY_INTERMEDIATE,
    SIGNED_BY_STRANGER,
    SIGNED_BY_ITSELF
};

/* The zero value is a good certificate without a name. */
struct test_cert {
    const char *names[TEST_CERT_NAMES]; /* DNS-IDs */
    const char *common_name;            /* NULL: "test" */
    enum test_signer signer;
    long starts_s, ends_s; /* from now; both 0: from an hour ago for a day */
    const char *usage;     /* extended key usage; NULL: serverAuth */
    int no_intermediate;   /* the server does not send the signer's certificate */
};

/* Makes the three CAs and writes the trusted root to `ca_path`. */
struct test_certs *test_certs_new(const char *ca_path);
void test_certs_free(struct test_certs *);

/* A server's SSL_CTX with a new key and the certificate. */
SSL_CTX *test_certs_server(struct test_certs *, const struct test_cert *);

#endif
