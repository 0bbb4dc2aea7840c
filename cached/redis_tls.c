#include "cached/redis_tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct redis_tls {
    SSL_CTX *context;
    char *name;
};

static bool
fail(const char *file, char *why, size_t size)
{
    char text[200];

    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    snprintf(why, size, "%s: %s", file, text);
    return false;
}

static bool
load_files(SSL_CTX *context, const char *ca_file, const char *cert_file, const char *key_file,
           char *why, size_t size)
{
    if (SSL_CTX_load_verify_file(context, ca_file) != 1)
        return fail(ca_file, why, size);
    if (cert_file == NULL)
        return true;
    if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
        return fail(cert_file, why, size);
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return fail(key_file, why, size);
    return true;
}

struct redis_tls *
redis_tls_new(const char *ca_file, const char *cert_file, const char *key_file, const char *name,
              char *why, size_t size)
{
    struct redis_tls *tls = alloc_zero(1, sizeof *tls);

    ERR_clear_error();
    tls->name = name != NULL ? alloc_string(name) : NULL;
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->context == NULL) {
        (void)fail("OpenSSL", why, size);
    } else {
        SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
        SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
        if (load_files(tls->context, ca_file, cert_file, key_file, why, size))
            return tls;
    }
    redis_tls_free(tls);
    return NULL;
}

void
redis_tls_free(struct redis_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    free(tls->name);
    free(tls);
}

static bool
set_address(SSL *ssl, const struct sockspec *address)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    const struct sockaddr_in *four = (const void *)&address->addr;
    const struct sockaddr_in6 *six = (const void *)&address->addr;

    switch (address->addr.ss_family) {
    case AF_INET:
        return X509_VERIFY_PARAM_set1_ip(param, (const unsigned char *)&four->sin_addr, 4) == 1;
    case AF_INET6:
        return X509_VERIFY_PARAM_set1_ip(param, (const unsigned char *)&six->sin6_addr, 16) == 1;
    default:
        return X509_VERIFY_PARAM_set1_host(param, "localhost", 0) == 1;
    }
}

struct ssl_st *
redis_tls_session(const struct redis_tls *tls, const struct sockspec *address)
{
    SSL *ssl = SSL_new(tls->context);
    bool named = false;

    if (ssl != NULL)
        named = tls->name != NULL ? SSL_set1_host(ssl, tls->name) == 1 : set_address(ssl, address);
    if (!named) { /* out of memory, as nothing else can fail here */
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return ssl;
}

void
redis_tls_fault(struct ssl_st *ssl, unsigned long error, char *why, size_t size)
{
    long verify = SSL_get_verify_result(ssl);
    const char *reason = ERR_reason_error_string(error);

    if (verify != X509_V_OK)
        snprintf(why, size, "TLS: %s", X509_verify_cert_error_string(verify));
    else
        snprintf(why, size, "TLS: %s", reason != NULL ? reason : "the handshake failed");
}
