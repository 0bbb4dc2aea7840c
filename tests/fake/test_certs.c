#include "tests/fake/test_certs.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct authority {
    X509 *certificate;
    EVP_PKEY *key;
};

struct test_certs {
    struct authority authorities[SIGNED_BY_ITSELF];
    long serial;
};

static void
add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert(extension != NULL);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* A certificate for `key` that still lacks its extensions and signature. */
static X509 *
draft(struct test_certs *certs, EVP_PKEY *key, const char *common_name, const X509 *issuer,
      const long life_s[2])
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);

    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++certs->serial);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1,
                               0);
    X509_set_issuer_name(certificate, issuer ? X509_get_subject_name(issuer) : name);
    X509_gmtime_adj(X509_getm_notBefore(certificate), life_s[0]);
    X509_gmtime_adj(X509_getm_notAfter(certificate), life_s[1]);
    X509_set_pubkey(certificate, key);
    return certificate;
}

static struct authority
make_authority(struct test_certs *certs, const char *name, const struct authority *parent)
{
    const long life_s[2] = {-TEST_DAY_S, 30 * TEST_DAY_S};
    struct authority made = {.key = EVP_EC_gen("P-256")};
    const struct authority *signer = parent ? parent : &made;

    made.certificate = draft(certs, made.key, name, parent ? parent->certificate : NULL, life_s);
    add_extension(made.certificate, signer->certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(made.certificate, signer->certificate, NID_key_usage, "critical,keyCertSign");
    add_extension(made.certificate, signer->certificate, NID_subject_key_identifier, "hash");
    X509_sign(made.certificate, signer->key, EVP_sha256());
    return made;
}

struct test_certs *
test_certs_new(const char *ca_path)
{
    struct test_certs *certs = calloc(1, sizeof(*certs));
    struct authority *all = certs->authorities;
    FILE *file = fopen(ca_path, "w");

    assert(file != NULL);
    all[SIGNED_BY_ROOT] = make_authority(certs, "Test Root", NULL);
    all[SIGNED_BY_INTERMEDIATE] = make_authority(certs, "Test Intermediate", &all[SIGNED_BY_ROOT]);
    all[SIGNED_BY_STRANGER] = make_authority(certs, "Stranger", NULL);
    PEM_write_X509(file, all[SIGNED_BY_ROOT].certificate);
    fclose(file);
    return certs;
}

void
test_certs_free(struct test_certs *certs)
{
    for (size_t i = 0; i < SIGNED_BY_ITSELF; i++) {
        X509_free(certs->authorities[i].certificate);
        EVP_PKEY_free(certs->authorities[i].key);
    }
    free(certs);
}

static void
add_names(X509 *certificate, const struct test_cert *want)
{
    char names[1024] = "";

    for (size_t i = 0; i < TEST_CERT_NAMES && want->names[i] != NULL; i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), "%sDNS:%s", i ? "," : "",
                 want->names[i]);
    if (names[0])
        add_extension(certificate, NULL, NID_subject_alt_name, names);
}

SSL_CTX *
test_certs_server(struct test_certs *certs, const struct test_cert *want)
{
    const long good_s[2] = {-3600, TEST_DAY_S}, own_s[2] = {want->starts_s, want->ends_s};
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    struct authority leaf = {.key = EVP_EC_gen("P-256")};
    const struct authority *signer =
        want->signer == SIGNED_BY_ITSELF ? &leaf : &certs->authorities[want->signer];

    leaf.certificate = draft(certs, leaf.key, want->common_name ? want->common_name : "test",
                             signer->certificate, own_s[0] || own_s[1] ? own_s : good_s);
    add_names(leaf.certificate, want);
    add_extension(leaf.certificate, NULL, NID_ext_key_usage,
                  want->usage ? want->usage : "serverAuth");
    X509_sign(leaf.certificate, signer->key, EVP_sha256());
    SSL_CTX_use_certificate(context, leaf.certificate);
    SSL_CTX_use_PrivateKey(context, leaf.key);
    if (want->signer == SIGNED_BY_INTERMEDIATE && !want->no_intermediate)
        SSL_CTX_add1_chain_cert(context, signer->certificate);
    X509_free(leaf.certificate);
    EVP_PKEY_free(leaf.key);
    return context;
}
