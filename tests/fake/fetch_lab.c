#include "tests/fake/fetch_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

enum { GUARD_S = 20 };

static char ca_path[] = "/tmp/test-fetch-ca-XXXXXX";
struct test_certs *lab_certs;
struct event_base *lab_base;
int lab_resolver_calls, lab_transfers;

/* Stands before the C library's: a fetch must never come here. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **result)
{
    (void)node, (void)service, (void)hints, (void)result;
    lab_resolver_calls++;
    return EAI_FAIL;
}

/* Stands before curl's, and counts. */
CURLMcode
curl_multi_add_handle(CURLM *multi, CURL *easy)
{
    CURLMcode (*next)(CURLM *, CURL *);

    *(void **)&next = dlsym(RTLD_NEXT, "curl_multi_add_handle");
    lab_transfers++;
    return next(multi, easy);
}

void
lab_on_done(const struct fetch_result *result, void *arg)
{
    struct lab_outcome *outcome = arg;

    outcome->calls++;
    outcome->result = *result;
    free(outcome->body);
    outcome->body = alloc_string_len(result->body, result->len);
}

struct settings
lab_settings(uint16_t port, int64_t timeout_ms)
{
    static char v4[] = "127.0.0.0/8", v6[] = "::1", *allowed[] = {v4, v6};
    struct settings settings = {0};

    settings.fetch.ca_file = ca_path;
    settings.fetch.port = port;
    settings.fetch.timeout_ms = timeout_ms;
    settings.fetch.max_running = 256;
    settings.fetch.allow_address.items = allowed;
    settings.fetch.allow_address.count = 2;
    return settings;
}

struct fetcher *
lab_fetcher(const struct settings *settings)
{
    char why[200] = "";
    struct fetcher *fetcher = fetcher_new(lab_base, settings, why, sizeof(why));

    if (fetcher == NULL)
        fail_msg("%s", why);
    return fetcher;
}

struct sockaddr_storage
lab_address(const char *text)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        memcpy(&out, &v4, sizeof(v4));
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        memcpy(&out, &v6, sizeof(v6));
    else
        fail_msg("%s is no address", text);
    return out;
}

/* Runs the loop until `outcome` has its call. */
void
lab_wait(struct lab_outcome *outcome)
{
    int64_t end_ms = clock_boot_ms() + GUARD_S * 1000;
    struct timeval tick = {.tv_usec = 50000};

    while (outcome->calls == 0 && clock_boot_ms() < end_ms) {
        event_base_loopexit(lab_base, &tick);
        event_base_dispatch(lab_base);
    }
    assert_int_equal(outcome->calls, 1);
}

/* Fetches mta-sts.example.test from `addresses` (NULL-terminated). */
struct lab_outcome
lab_fetch(const struct settings *settings, const char *const *addresses)
{
    struct fetcher *fetcher = lab_fetcher(settings);
    struct sockaddr_storage list[16];
    struct lab_outcome outcome = {0};
    size_t count = 0;

    for (; addresses[count] != NULL; count++)
        list[count] = lab_address(addresses[count]);
    fetch_start(fetcher, "example.test", list, count, lab_on_done, &outcome);
    assert_int_equal(outcome.calls, 0);
    lab_wait(&outcome);
    fetcher_free(fetcher);
    return outcome;
}

struct tls_server *
lab_start_good_server(const char *where, uint16_t port)
{
    static const struct tls_script good = {.head = LAB_GOOD};
    static const struct test_cert cert = {.names = {LAB_HOST}};

    return tls_server_start(where, port, test_certs_server(lab_certs, &cert), &good);
}

/* OpenSSL itself, as it is set up today, speaks no TLS 1.1 and would hide that nobody else refuses
 * it. Must come before OpenSSL is used. */
static void
allow_old_tls(void)
{
    static const char rules[] = "openssl_conf = all\n[all]\nssl_conf = ssl\n"
                                "[ssl]\nsystem_default = old\n"
                                "[old]\nMinProtocol = TLSv1\nCipherString = ALL:@SECLEVEL=0\n";
    char path[] = "/tmp/test-fetch-ssl-XXXXXX";
    int fd = mkstemp(path);

    assert_int_equal(write(fd, rules, sizeof rules - 1), sizeof rules - 1);
    close(fd);
    setenv("OPENSSL_CONF", path, 1);
    assert_int_equal(OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL), 1);
    unsetenv("OPENSSL_CONF");
    unlink(path);
}

int
lab_set_up(void **state)
{
    int fd = mkstemp(ca_path);

    (void)state;
    if (fd < 0)
        return -1;
    allow_old_tls();
    close(fd);
    signal(SIGPIPE, SIG_IGN);
    lab_certs = test_certs_new(ca_path);
    lab_base = event_base_new();
    return 0;
}

int
lab_tear_down(void **state)
{
    (void)state;
    event_base_free(lab_base);
    test_certs_free(lab_certs);
    unlink(ca_path);
    return 0;
}
