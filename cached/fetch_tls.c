#include "cached/fetch_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

struct fetch_tls {
    X509_STORE *store;
};

static bool
has_certificate(X509_STORE *store)
{
    STACK_OF(X509) *all = X509_STORE_get1_all_certs(store);
    bool found = sk_X509_num(all) > 0;

    sk_X509_pop_free(all, X509_free);
    return found;
}

struct fetch_tls *
fetch_tls_new(const char *ca_file, char *why, size_t size)
{
    struct fetch_tls *tls = alloc_zero(1, sizeof(*tls));

    if (ca_file == NULL)
        ca_file = SYSTEM_BUNDLE;
    tls->store = X509_STORE_new();
    if (tls->store == NULL)
        abort();
    ERR_clear_error();
    if (X509_STORE_load_file(tls->store, ca_file) == 1 && has_certificate(tls->store))
        return tls;
    unsigned long first = ERR_peek_error();
    const char *reason = ERR_SYSTEM_ERROR(first) ? strerror(ERR_GET_REASON(first))
                                                 : ERR_reason_error_string(ERR_peek_last_error());
    snprintf(why, size, "cannot read certificates from %s: %s", ca_file,
             reason ? reason : "there is none");
    ERR_clear_error();
    fetch_tls_free(tls);
    return NULL;
}

void
fetch_tls_free(struct fetch_tls *tls)
{
    if (tls == NULL)
        return;
    X509_STORE_free(tls->store);
    free(tls);
}

/* Lists the DNS-IDs of a certificate, for the operator. A name that would not fit whole ends it. */
static void
list_names(X509 *certificate, char *names, size_t size)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type != GEN_DNS)
            continue;
        const char *text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
        size_t len = (size_t)ASN1_STRING_length(name->d.dNSName);
        if (used + len + sizeof(", ...") >= size) {
            snprintf(names + used, size - used, "%s", used ? ", ..." : "...");
            break;
        }
        used +=
            (size_t)snprintf(names + used, size - used, "%s%.*s", used ? ", " : "", (int)len, text);
    }
    GENERAL_NAMES_free(all);
}

static int64_t
end_of(const X509 *certificate)
{
    struct tm at;

    return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &at) == 1 ? (int64_t)timegm(&at) : 0;
}

/* Stands in for OpenSSL's own verification, to keep its result and the names that it saw. */
static int
verify(X509_STORE_CTX *context, void *arg)
{
    struct tls_peer *peer = arg;
    int good = X509_verify_cert(context);
    X509 *certificate = X509_STORE_CTX_get0_cert(context);

    if (certificate != NULL)
        peer->expires_s = end_of(certificate);
    if (good == 1)
        return 1;
    peer->verdict = X509_STORE_CTX_get_error(context);
    if (peer->verdict == X509_V_OK)
        peer->verdict = X509_V_ERR_UNSPECIFIED;
    if (certificate != NULL)
        list_names(certificate, peer->names, sizeof(peer->names));
    return 0;
}

/* Sees the records as they come, because curl takes a body that ends with the connection for whole
 * even when somebody on the path cut it, and keeps to itself how TLS ended. */
static void
on_message(int is_written, int version, int type, const void *bytes, size_t len, SSL *ssl,
           void *arg)
{
    const unsigned char *alert = bytes; /* level, description */
    struct tls_peer *peer = arg;

    (void)version, (void)ssl;
    if (!is_written && type == SSL3_RT_ALERT && len == 2 && alert[1] == SSL3_AD_CLOSE_NOTIFY)
        peer->sent_close_notify = true;
}

bool
fetch_tls_prepare(const struct fetch_tls *tls, void *ssl_ctx, const char *host,
                  struct tls_peer *peer)
{
    SSL_CTX *context = ssl_ctx;
    X509_VERIFY_PARAM *rules = SSL_CTX_get0_param(context);

    /* curl's own host check, which comes after ours, would take a subject CN. */
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(rules, host, 0) != 1)
        return false;
    SSL_CTX_set1_cert_store(context, tls->store);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, verify, peer);
    SSL_CTX_set_msg_callback(context, on_message);
    SSL_CTX_set_msg_callback_arg(context, peer);
    return true;
}

enum sts_error
fetch_tls_judge(const struct tls_peer *peer, char *detail, size_t size)
{
    snprintf(detail, size, "%s", X509_verify_cert_error_string(peer->verdict));
    switch (peer->verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
        snprintf(detail, size, "certificate is for %s",
                 peer->names[0] ? peer->names : "no DNS name");
        return STS_TLS_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return STS_TLS_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return STS_TLS_NOT_YET_VALID;
    default:
        return STS_TLS_UNTRUSTED;
    }
}
