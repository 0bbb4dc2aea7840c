#include "tests/bench/world_certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "tests/bench/names.h"

enum { DAY_S = 86400, NUMBERS_MAX = 1000000, ISSUER_SIZE = 32 };

struct world_certs {
    EVP_PKEY *ca_key, *host_key; /* one key for all hosts: it is the handshakes that count */
    X509 *ca;
    X509 *of_policy[NUMBERS_MAX]; /* by number; NULL: not made yet */
    long serial;
};

static void
must(int ok)
{
    if (ok <= 0)
        abort();
}

static void
extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    must(extension != NULL && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static X509 *
new_cert(struct world_certs *w, const char *common_name, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), ++w->serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(cert), 30 * (long)DAY_S);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1,
                               0);
    X509_set_pubkey(cert, key);
    return cert;
}

static void
make_ca(struct world_certs *w)
{
    w->ca = new_cert(w, "bench CA", w->ca_key);
    X509_set_issuer_name(w->ca, X509_get_subject_name(w->ca));
    extend(w->ca, w->ca, NID_basic_constraints, "critical,CA:TRUE");
    extend(w->ca, w->ca, NID_subject_key_identifier, "hash");
    must(X509_sign(w->ca, w->ca_key, EVP_sha256()));
}

static X509 *
make_host_cert(struct world_certs *w, const char *host)
{
    X509 *cert = new_cert(w, "policy host", w->host_key);
    char names[2 * NAMES_SIZE];

    snprintf(names, sizeof names, "DNS:%s", host);
    X509_set_issuer_name(cert, X509_get_subject_name(w->ca));
    extend(cert, w->ca, NID_subject_alt_name, names);
    extend(cert, w->ca, NID_ext_key_usage, "serverAuth");
    must(X509_sign(cert, w->ca_key, EVP_sha256()));
    return cert;
}

static X509 *
find(struct world_certs *w, const char *host)
{
    enum names_kind kind;
    unsigned number;

    if (!names_read(host, strlen(host), &kind, &number) || kind != NAMES_POLICY ||
        number >= NUMBERS_MAX)
        return NULL;
    if (w->of_policy[number] == NULL)
        w->of_policy[number] = make_host_cert(w, host);
    return w->of_policy[number];
}

struct world_certs *
world_certs_new(const char *ca_path, unsigned count)
{
    struct world_certs *w = alloc_zero(1, sizeof *w);
    FILE *out = fopen(ca_path, "w");
    char host[NAMES_SIZE + 16] = "mta-sts.";

    if (out == NULL) {
        free(w);
        return NULL;
    }
    w->ca_key = EVP_EC_gen("P-256");
    w->host_key = EVP_EC_gen("P-256");
    make_ca(w);
    must(PEM_write_X509(out, w->ca));
    fclose(out);
    for (unsigned i = 0; i < count; i++) {
        names_domain(NAMES_POLICY, i, host + strlen("mta-sts."));
        must(find(w, host) != NULL);
    }
    return w;
}

static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
    const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    X509 *cert = host != NULL ? find(arg, host) : NULL;

    (void)alert;
    return cert != NULL && SSL_use_certificate(ssl, cert) == 1 ? SSL_TLSEXT_ERR_OK
                                                               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

SSL_CTX *
world_certs_server(struct world_certs *w)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    must(context != NULL);
    must(SSL_CTX_use_certificate(context, make_host_cert(w, "nobody-bench.test")));
    must(SSL_CTX_use_PrivateKey(context, w->host_key));
    SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(context, w);
    SSL_CTX_set_num_tickets(context, 0);
    return context;
}
