/* The real fetcher against real TLS servers on the loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cached/fetch.h"
#include "cached/settings.h"
#include "common/clock.h"
#include "common/policy.h"
#include "tests/fake/test_certs.h"
#include "tests/fake/tls_server.h"

enum { QUICK_MS = 400, AMPLE_MS = 8000, GUARD_S = 20 };

static char ca_path[] = "/tmp/test-fetch-ca-XXXXXX";
static struct test_certs *certs;
static struct event_base *base;
static int resolver_calls;

/* Stands before the C library's: a fetch must never come here. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **result)
{
    (void)node, (void)service, (void)hints, (void)result;
    resolver_calls++;
    return EAI_FAIL;
}

/* --- one fetch --------------------------------------------------------------- */

struct outcome {
    int calls;
    struct fetch_result result;
    char *body;
};

static void
on_done(const struct fetch_result *result, void *arg)
{
    struct outcome *outcome = arg;

    outcome->calls++;
    outcome->result = *result;
    free(outcome->body);
    outcome->body = alloc_string_len(result->body, result->len);
}

static struct settings
make_settings(uint16_t port, int64_t timeout_ms)
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

static struct fetcher *
make_fetcher(const struct settings *settings)
{
    char why[200] = "";
    struct fetcher *fetcher = fetcher_new(base, settings, why, sizeof(why));

    if (fetcher == NULL)
        fail_msg("%s", why);
    return fetcher;
}

static struct sockaddr_storage
address(const char *text)
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
static void
wait_for(struct outcome *outcome)
{
    int64_t end_ms = clock_boot_ms() + GUARD_S * 1000;
    struct timeval tick = {.tv_usec = 50000};

    while (outcome->calls == 0 && clock_boot_ms() < end_ms) {
        event_base_loopexit(base, &tick);
        event_base_dispatch(base);
    }
    assert_int_equal(outcome->calls, 1);
}

/* Fetches mta-sts.example.test from `addresses` (NULL-terminated). */
static struct outcome
fetch_from(const struct settings *settings, const char *const *addresses)
{
    struct fetcher *fetcher = make_fetcher(settings);
    struct sockaddr_storage list[16];
    struct outcome outcome = {0};
    size_t count = 0;

    for (; addresses[count] != NULL; count++)
        list[count] = address(addresses[count]);
    fetch_start(fetcher, "example.test", list, count, on_done, &outcome);
    assert_int_equal(outcome.calls, 0);
    wait_for(&outcome);
    fetcher_free(fetcher);
    return outcome;
}

static const char *const loopback[] = {"127.0.0.1", NULL};

/* --- tables ------------------------------------------------------------------ */

#define NAME "mta-sts.example.test"
#define BODY "version: STSv1\nmode: none\nmax_age: 864000\n"
#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
#define GOOD OK_HEAD "Content-Length: 42\r\n\r\n" BODY
#define HOUR 3600L

struct row {
    const char *name;
    enum sts_error want;
    const char *detail; /* must be part of it */
    struct tls_script script;
    struct test_cert cert; /* without a name: NAME */
    int status;
    size_t len;
    int timeout_ms; /* 0: AMPLE_MS */
};

/* Certificates; every server would send a good policy. */
static const struct row certificates[] = {
    {"its own name", STS_OK, "", .cert = {{NAME}}, .len = 42},
    {"one of several names", STS_OK, "", .cert = {{"a.test", NAME}}, .len = 42},
    {"upper case", STS_OK, "", .cert = {{"MTA-STS.Example.Test"}}, .len = 42},
    {"wildcard label", STS_OK, "", .cert = {{"*.example.test"}}, .len = 42},
    {"intermediate", STS_OK, "", .cert = {.signer = SIGNED_BY_INTERMEDIATE}, .len = 42},
    {"another name", STS_TLS_NAME, "a.test, b.test", .cert = {{"a.test", "b.test"}}},
    {"the domain only", STS_TLS_NAME, "certificate is for example.test",
     .cert = {{"example.test"}}},
    {"subject CN only", STS_TLS_NAME, "no DNS name", .cert = {{""}, NAME}},
    {"CN right, name wrong", STS_TLS_NAME, "a.test", .cert = {{"a.test"}, NAME}},
    {"partial wildcard", STS_TLS_NAME, "mta*", .cert = {{"mta*.example.test"}}},
    {"partial wildcard, other end", STS_TLS_NAME, "*sts", .cert = {{"*sts.example.test"}}},
    {"wildcard for two labels", STS_TLS_NAME, "*.test", .cert = {{"*.test"}}},
    {"wildcard inside", STS_TLS_NAME, "mta-sts.*", .cert = {{"mta-sts.*.test"}}},
    {"bare wildcard", STS_TLS_NAME, "*", .cert = {{"*"}}},
    {"expired", STS_TLS_EXPIRED, "expired", .cert = {.starts_s = -9 * HOUR, .ends_s = -HOUR}},
    {"not yet valid", STS_TLS_NOT_YET_VALID, "not yet",
     .cert = {.starts_s = HOUR, .ends_s = 9 * HOUR}},
    {"self-signed", STS_TLS_UNTRUSTED, "self", .cert = {.signer = SIGNED_BY_ITSELF}},
    {"unknown CA", STS_TLS_UNTRUSTED, "issuer", .cert = {.signer = SIGNED_BY_STRANGER}},
    {"no intermediate", STS_TLS_UNTRUSTED, "issuer",
     .cert = {.signer = SIGNED_BY_INTERMEDIATE, .no_intermediate = 1}},
    {"for clients only", STS_TLS_UNTRUSTED, "purpose", .cert = {.usage = "clientAuth"}},
    {"unknown CA, wrong name", STS_TLS_UNTRUSTED, "issuer",
     .cert = {{"a.test"}, .signer = SIGNED_BY_STRANGER}},
    {"TLS 1.3", STS_OK, "", .script = {.version = TLS1_3_VERSION}, .len = 42},
    {"TLS 1.2", STS_OK, "", .script = {.version = TLS1_2_VERSION}, .len = 42},
    {"TLS 1.1", STS_TLS_HANDSHAKE, "version", .script = {.version = TLS1_1_VERSION}},
    {"TLS 1.0", STS_TLS_HANDSHAKE, "version", .script = {.version = TLS1_VERSION}},
    {"closed at accept", STS_TLS_HANDSHAKE, "", .script = {.ending = END_AT_ACCEPT}},
    {"reset in the handshake", STS_TLS_HANDSHAKE, "", .script = {.ending = RESET_AT_ACCEPT}},
    {"no TLS", STS_TLS_HANDSHAKE, "", .script = {.ending = NO_TLS}},
    {"silent handshake", STS_TIMEOUT, "", .script = {.ending = SILENT_AT_ACCEPT},
     .timeout_ms = QUICK_MS},
};

#define STATUS(line)                                                                               \
    "HTTP/1.1 " line "\r\nContent-Type: text/plain\r\nContent-Length: 42\r\n\r\n" BODY
#define TYPED(field) "HTTP/1.1 200 OK\r\n" field "Content-Length: 42\r\n\r\n" BODY
#define SCRIPT(...) .script = {.head = __VA_ARGS__}

static const struct row replies[] = {
    {"204", STS_HTTP_STATUS, "HTTP status 204", SCRIPT("HTTP/1.1 204 No Content\r\n\r\n"),
     .status = 204},
    {"206", STS_HTTP_STATUS, "206", SCRIPT(STATUS("206 Partial Content")), .status = 206},
    {"301", STS_HTTP_REDIRECT, "HTTP status 301",
     SCRIPT("HTTP/1.1 301 Moved\r\nLocation: https://" NAME "/x\r\nContent-Length: 0\r\n\r\n"),
     .status = 301},
    {"302 with a policy", STS_HTTP_REDIRECT, "302", SCRIPT(STATUS("302 Found")), .status = 302},
    {"304", STS_HTTP_REDIRECT, "304", SCRIPT("HTTP/1.1 304 Not Modified\r\n\r\n"), .status = 304},
    {"401", STS_HTTP_STATUS, "401", SCRIPT(STATUS("401 Unauthorized")), .status = 401},
    {"404 with a policy", STS_HTTP_STATUS, "HTTP status 404", SCRIPT(STATUS("404 Not Found")),
     .status = 404},
    {"404 that never ends", STS_HTTP_STATUS, "404",
     SCRIPT("HTTP/1.1 404 Not Found\r\n\r\n", .ending = END_DRIP), .status = 404},
    {"503", STS_HTTP_STATUS, "503", SCRIPT(STATUS("503 Away")), .status = 503},
    {"999", STS_HTTP_STATUS, "999", SCRIPT(STATUS("999 Odd")), .status = 999},
    {"HTTP/1.0", STS_OK, "", SCRIPT("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" BODY),
     .len = 42},
    {"HTTP/0.9", STS_HTTP_STATUS, "", SCRIPT(BODY)},
    {"an interim reply", STS_OK, "",
     SCRIPT("HTTP/1.1 103 Early\r\nContent-Type: text/html\r\n\r\n" GOOD), .len = 42},
    {"only an interim reply", STS_TRUNCATED, "", SCRIPT("HTTP/1.1 103 Early\r\n\r\n"),
     .status = 103},

    {"type with parameters", STS_OK, "",
     SCRIPT(TYPED("Content-Type: text/plain; charset=utf-8; x=\"y\"\r\n")), .len = 42},
    {"type in capitals", STS_OK, "", SCRIPT(TYPED("CONTENT-TYPE:TEXT/Plain ;a\r\n")), .len = 42},
    {"text/html", STS_HTTP_TYPE, "text/plain", SCRIPT(TYPED("Content-Type: text/html\r\n")),
     .status = 200},
    {"text/plainer", STS_HTTP_TYPE, "", SCRIPT(TYPED("Content-Type: text/plainer\r\n")),
     .status = 200},
    {"a list of types", STS_HTTP_TYPE, "", SCRIPT(TYPED("Content-Type: text/plain, a/b\r\n")),
     .status = 200},
    {"two types", STS_HTTP_TYPE, "",
     SCRIPT(TYPED("Content-Type: text/html\r\nContent-Type: text/plain\r\n")), .status = 200},
    {"empty type", STS_HTTP_TYPE, "", SCRIPT(TYPED("Content-Type:\r\n")), .status = 200},
    {"no type", STS_HTTP_TYPE, "no Content-Type", SCRIPT(TYPED("")), .status = 200},
    {"gzip", STS_HTTP_TYPE, "encoded",
     SCRIPT(TYPED("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n")), .status = 200},
    {"identity", STS_OK, "",
     SCRIPT(TYPED("Content-Type: text/plain\r\nContent-Encoding: identity\r\n")), .len = 42},
    {"gzip as transfer encoding", STS_HTTP_TYPE, "encoded",
     SCRIPT(OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), .status = 200},

    {"empty body", STS_OK, "", SCRIPT(OK_HEAD "Content-Length: 0\r\n\r\n"), .len = 0},
    {"chunked", STS_OK, "",
     SCRIPT(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n4\r\nvers\r\n3\r\nion\r\n0\r\n\r\n",
            .ending = END_SILENT),
     .len = 7},
    {"chunked with a trailer", STS_OK, "",
     SCRIPT(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
                    "4\r\nvers\r\n0\r\nContent-Type: text/html\r\n\r\n"),
     .len = 4},
    {"chunks cut", STS_TRUNCATED, "",
     SCRIPT(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n4\r\nvers\r\n"), .status = 200},
    {"bad chunk", STS_TRUNCATED, "",
     SCRIPT(OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nvers\r\n0\r\n\r\n"), .status = 200},
    {"length not reached", STS_TRUNCATED, "", SCRIPT(OK_HEAD "Content-Length: 43\r\n\r\n" BODY),
     .status = 200},
    {"length and more bytes", STS_OK, "", SCRIPT(OK_HEAD "Content-Length: 42\r\n\r\n" BODY BODY),
     .len = 42},
    {"length, then a bare FIN", STS_OK, "", SCRIPT(GOOD, .ending = END_BARE_FIN), .len = 42},
    {"close_notify, TLS 1.2", STS_OK, "", SCRIPT(OK_HEAD "\r\n" BODY, .version = TLS1_2_VERSION),
     .len = 42},
    {"close_notify, TLS 1.3", STS_OK, "", SCRIPT(OK_HEAD "\r\n" BODY, .version = TLS1_3_VERSION),
     .len = 42},
    {"bare FIN, TLS 1.2", STS_TRUNCATED, "",
     SCRIPT(OK_HEAD "\r\n" BODY, .version = TLS1_2_VERSION, .ending = END_BARE_FIN), .status = 200},
    {"bare FIN, TLS 1.3", STS_TRUNCATED, "",
     SCRIPT(OK_HEAD "\r\n" BODY, .version = TLS1_3_VERSION, .ending = END_BARE_FIN), .status = 200},
    {"bare FIN before the body", STS_TRUNCATED, "", SCRIPT(OK_HEAD "\r\n", .ending = END_BARE_FIN),
     .status = 200},
    {"bare FIN in the head", STS_TRUNCATED, "", SCRIPT(OK_HEAD, .ending = END_BARE_FIN),
     .status = 200},
    {"close_notify in the head", STS_TRUNCATED, "", SCRIPT(OK_HEAD), .status = 200},
    {"no reply", STS_TRUNCATED, "", SCRIPT("")},
    {"reset for a reply", STS_TRUNCATED, "", SCRIPT("", .ending = END_RESET)},
    {"reset in the body", STS_TRUNCATED, "", SCRIPT(OK_HEAD "\r\n" BODY, .ending = END_RESET),
     .status = -1}, /* the reset may overtake the reply */

    {"64 KiB, length", STS_OK, "",
     SCRIPT(OK_HEAD "Content-Length: 65536\r\n\r\n", "x", POLICY_BODY_MAX), .len = POLICY_BODY_MAX},
    {"64 KiB, close", STS_OK, "", SCRIPT(OK_HEAD "\r\n", "x", POLICY_BODY_MAX),
     .len = POLICY_BODY_MAX},
    {"64 KiB and one, length", STS_TOO_LARGE, "65536",
     SCRIPT(OK_HEAD "Content-Length: 65537\r\n\r\n", "x", POLICY_BODY_MAX + 1), .status = 200},
    {"64 KiB and one, close", STS_TOO_LARGE, "65536",
     SCRIPT(OK_HEAD "\r\n", "x", POLICY_BODY_MAX + 1), .status = 200},
    {"endless chunks", STS_TOO_LARGE, "65536",
     SCRIPT(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", "4\r\naaaa\r\n", 100000), .status = 200},
    {"many headers", STS_TOO_LARGE, "headers", SCRIPT(OK_HEAD, "X-Flood: yes\r\n", 100000),
     .status = 200},
    {"a long header", STS_TOO_LARGE, "headers", SCRIPT(OK_HEAD "X: ", "x", 20000, "\r\n\r\n"),
     .status = 200},
    {"a huge header", STS_TOO_LARGE, "", SCRIPT(OK_HEAD "X: ", "x", 300000), .status = 200},
    {"many interim replies", STS_TOO_LARGE, "headers",
     SCRIPT("", "HTTP/1.1 100 Continue\r\n\r\n", 100000), .status = 100},
    {"many trailers", STS_TOO_LARGE, "headers",
     SCRIPT(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: yes\r\n", 100000),
     .status = 200},

    {"silent after TLS", STS_TIMEOUT, "", SCRIPT("", .ending = END_SILENT), .timeout_ms = QUICK_MS},
    {"silent in the body", STS_TIMEOUT, "", SCRIPT(OK_HEAD "\r\n" BODY, .ending = END_SILENT),
     .status = 200, .timeout_ms = QUICK_MS},
    {"drip", STS_TIMEOUT, "", SCRIPT(OK_HEAD "\r\n", .ending = END_DRIP), .status = 200,
     .timeout_ms = QUICK_MS},
};

static void
check_row(const struct row *row)
{
    struct tls_script script = row->script;
    struct test_cert cert = row->cert;
    struct tls_server *server;
    struct settings settings;
    struct outcome got;

    if (script.head == NULL)
        script.head = GOOD;
    if (cert.names[0] == NULL)
        cert.names[0] = NAME;
    else if (cert.names[0][0] == '\0')
        cert.names[0] = NULL;
    server = tls_server_start("127.0.0.1", 0, test_certs_server(certs, &cert), &script);
    settings = make_settings(tls_server_port(server), row->timeout_ms ? row->timeout_ms : AMPLE_MS);
    got = fetch_from(&settings, loopback);
    tls_server_stop(server, NULL);
    free(got.body);
    if (got.result.error != row->want)
        fail_msg("%s: got %s (%s), want %s", row->name, sts_error_name(got.result.error),
                 got.result.detail, sts_error_name(row->want));
    if (strstr(got.result.detail, row->detail) == NULL)
        fail_msg("%s: detail is \"%s\"", row->name, got.result.detail);
    if ((got.result.detail[0] != '\0') != (row->want != STS_OK))
        fail_msg("%s: a detail exactly on errors", row->name);
    if (row->status >= 0 && got.result.http_status != (row->want == STS_OK ? 200 : row->status))
        fail_msg("%s: status is %d", row->name, got.result.http_status);
    if (got.result.len != row->len)
        fail_msg("%s: %zu bytes", row->name, got.result.len);
}

static void
test_certificates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(certificates) / sizeof(*certificates); i++)
        check_row(&certificates[i]);
}

static void
test_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++)
        check_row(&replies[i]);
}

/* --- what is asked ----------------------------------------------------------- */

static struct tls_server *
start_good_server(const char *where, uint16_t port)
{
    static const struct tls_script good = {.head = GOOD};
    static const struct test_cert cert = {.names = {NAME}};

    return tls_server_start(where, port, test_certs_server(certs, &cert), &good);
}

static void
test_request(void **state)
{
    struct tls_server *server = start_good_server("127.0.0.1", 0);
    struct settings settings = make_settings(tls_server_port(server), AMPLE_MS);
    struct tls_seen seen;
    struct outcome got;

    (void)state;
    /* Neither may matter. */
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    got = fetch_from(&settings, loopback);
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
    tls_server_stop(server, &seen);
    assert_int_equal(got.result.error, STS_OK);
    assert_string_equal(got.body, BODY);
    assert_string_equal(seen.sni, NAME);
    assert_int_equal(strncmp(seen.request, "GET /.well-known/mta-sts.txt HTTP/1.1\r\n", 39), 0);
    assert_non_null(strstr(seen.request, "\r\nHost: " NAME "\r\n"));
    assert_non_null(strstr(seen.request, "\r\nUser-Agent: sts-milter/" PACKAGE_VERSION "\r\n"));
    assert_null(strstr(seen.request, "Accept-Encoding"));
    assert_null(strstr(seen.request, "If-"));
    assert_int_equal(seen.connections, 1);
    free(got.body);
}

static void
test_user_agent(void **state)
{
    struct tls_server *server = start_good_server("127.0.0.1", 0);
    struct settings settings = make_settings(tls_server_port(server), AMPLE_MS);
    struct tls_seen seen;

    (void)state;
    settings.fetch.user_agent = (char[]){"mail farm 7"};
    free(fetch_from(&settings, loopback).body);
    tls_server_stop(server, &seen);
    assert_non_null(strstr(seen.request, "\r\nUser-Agent: mail farm 7\r\n"));
}

/* --- addresses --------------------------------------------------------------- */

static void
check_addresses(const struct settings *settings, const char *const *addresses, enum sts_error want)
{
    struct outcome got = fetch_from(settings, addresses);

    if (got.result.error != want)
        fail_msg("%s, ...: got %s (%s)", addresses[0], sts_error_name(got.result.error),
                 got.result.detail);
    free(got.body);
}

static void
test_several_addresses(void **state)
{
    static const struct tls_script silent = {.ending = SILENT_AT_ACCEPT};
    static const struct test_cert other = {.names = {"a.test"}};
    struct tls_server *good = start_good_server("127.0.0.1", 0);
    uint16_t port = tls_server_port(good);
    struct tls_server *mute =
        tls_server_start("127.0.0.2", port, test_certs_server(certs, &other), &silent);
    static const struct tls_script fine = {.head = GOOD};
    struct tls_server *wrong =
        tls_server_start("127.0.0.3", port, test_certs_server(certs, &other), &fine);
    struct settings settings = make_settings(port, AMPLE_MS / 4);

    (void)state;
    /* Nobody listens on 127.0.0.9. */
    check_addresses(&settings, (const char *[]){"127.0.0.9", "127.0.0.1", NULL}, STS_OK);
    check_addresses(&settings, (const char *[]){"127.0.0.9", NULL}, STS_CONNECT_REFUSED);
    check_addresses(&settings, (const char *[]){"10.0.0.1", "127.0.0.1", NULL}, STS_OK);
    check_addresses(&settings, (const char *[]){"127.0.0.2", "127.0.0.1", NULL}, STS_OK);
    check_addresses(&settings, (const char *[]){"127.0.0.2", "127.0.0.9", NULL},
                    STS_CONNECT_REFUSED);
    check_addresses(&settings, (const char *[]){"127.0.0.9", "10.0.0.1", NULL},
                    STS_CONNECT_BLOCKED);
    /* A server that can be heard decides, whatever the others would say. */
    check_addresses(&settings, (const char *[]){"127.0.0.3", "127.0.0.1", NULL}, STS_TLS_NAME);
    tls_server_stop(good, NULL);
    tls_server_stop(mute, NULL);
    tls_server_stop(wrong, NULL);
}

static void
test_blocked_addresses(void **state)
{
    struct tls_server *server = start_good_server("127.0.0.1", 0);
    struct settings settings = make_settings(tls_server_port(server), AMPLE_MS);
    struct tls_seen seen;

    (void)state;
    settings.fetch.allow_address.count = 0;
    check_addresses(&settings, loopback, STS_CONNECT_BLOCKED);
    check_addresses(&settings, (const char *[]){"::ffff:127.0.0.1", "127.0.0.1", "::1", NULL},
                    STS_CONNECT_BLOCKED);
    tls_server_stop(server, &seen);
    assert_int_equal(seen.connections, 0);
}

static void
test_ipv6(void **state)
{
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 here = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int bound = bind(probe, (struct sockaddr *)&here, sizeof(here));
    struct tls_server *server;
    struct settings settings;

    (void)state;
    close(probe);
    if (bound < 0)
        skip();
    server = start_good_server("::1", 0);
    settings = make_settings(tls_server_port(server), AMPLE_MS);
    check_addresses(&settings, (const char *[]){"::1", NULL}, STS_OK);
    tls_server_stop(server, NULL);
}

/* --- many at once ------------------------------------------------------------ */

enum { MANY = 40 };

static void
start_many(struct fetcher *fetcher, const char *where, struct fetch **fetches,
           struct outcome *outcome)
{
    struct sockaddr_storage to = address(where);

    for (size_t i = 0; i < MANY; i++)
        fetches[i] = fetch_start(fetcher, "example.test", &to, 1, on_done, outcome);
}

static void
run_for(int ms)
{
    struct timeval span = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    event_base_loopexit(base, &span);
    event_base_dispatch(base);
}

/* Without an end: only the limits say how many connections there are. */
static void
test_limits(void **state)
{
    static const struct tls_script silent = {.ending = SILENT_AT_ACCEPT};
    static const struct test_cert cert = {.names = {NAME}};
    struct tls_server *one =
        tls_server_start("127.0.0.1", 0, test_certs_server(certs, &cert), &silent);
    uint16_t port = tls_server_port(one);
    struct tls_server *two =
        tls_server_start("127.0.0.2", port, test_certs_server(certs, &cert), &silent);
    struct settings settings = make_settings(port, 60000);
    struct fetch *fetches[2 * MANY];
    struct outcome outcome = {0};
    struct fetcher *fetcher;

    (void)state;
    settings.fetch.max_running = 20;
    fetcher = make_fetcher(&settings);
    start_many(fetcher, "127.0.0.1", fetches, &outcome);
    run_for(300);
    assert_int_equal(tls_server_connections(one), 16);
    start_many(fetcher, "127.0.0.2", fetches + MANY, &outcome);
    run_for(300);
    assert_int_equal(tls_server_connections(one), 16);
    assert_int_equal(tls_server_connections(two), 4);
    for (size_t i = 0; i < 5; i++) /* five places get free: by turns */
        fetch_cancel(fetches[i]);
    run_for(300);
    assert_int_equal(tls_server_connections(one) + tls_server_connections(two), 25);
    assert_true(tls_server_connections(two) >= 6);
    assert_int_equal(outcome.calls, 0);
    fetcher_free(fetcher); /* with all of them under way */
    tls_server_stop(one, NULL);
    tls_server_stop(two, NULL);
}

/* The clock of those in line does not run: all are served, although together they take longer than
 * the timeout of one. */
static void
test_waiting_costs_no_time(void **state)
{
    static const struct tls_script silent = {.ending = SILENT_AT_ACCEPT};
    static const struct test_cert cert = {.names = {NAME}};
    struct tls_server *server =
        tls_server_start("127.0.0.1", 0, test_certs_server(certs, &cert), &silent);
    struct settings settings = make_settings(tls_server_port(server), 300);
    struct fetcher *fetcher = make_fetcher(&settings);
    struct fetch *fetches[MANY];
    struct outcome outcome = {0};
    int64_t end_ms = clock_boot_ms() + GUARD_S * 1000;

    (void)state;
    start_many(fetcher, "127.0.0.1", fetches, &outcome);
    while (outcome.calls < MANY && clock_boot_ms() < end_ms)
        run_for(50);
    assert_int_equal(outcome.calls, MANY);
    assert_int_equal(tls_server_connections(server), MANY);
    free(outcome.body);
    fetcher_free(fetcher);
    tls_server_stop(server, NULL);
}

static void
test_cancel(void **state)
{
    struct tls_server *server = start_good_server("127.0.0.1", 0);
    struct settings settings = make_settings(tls_server_port(server), AMPLE_MS);
    struct fetcher *fetcher = make_fetcher(&settings);
    struct sockaddr_storage to = address("127.0.0.1");
    struct outcome dropped = {0}, kept = {0};
    struct fetch *first = fetch_start(fetcher, "example.test", &to, 1, on_done, &dropped);
    struct fetch *second;

    (void)state;
    fetch_cancel(first); /* before the loop saw it */
    second = fetch_start(fetcher, "example.test", &to, 1, on_done, &dropped);
    event_base_loop(base, EVLOOP_ONCE);
    fetch_cancel(second); /* connecting */
    fetch_start(fetcher, "example.test", &to, 1, on_done, &kept);
    wait_for(&kept);
    assert_int_equal(kept.result.error, STS_OK);
    assert_int_equal(dropped.calls, 0);
    free(kept.body);
    fetcher_free(fetcher);
    tls_server_stop(server, NULL);
}

/* --- settings ---------------------------------------------------------------- */

static void
check_refusal(const struct settings *settings, const char *want)
{
    char why[200] = "";

    assert_null(fetcher_new(base, settings, why, sizeof(why)));
    if (strstr(why, want) == NULL)
        fail_msg("why is \"%s\"", why);
}

static void
test_bad_settings(void **state)
{
    struct settings settings = make_settings(443, AMPLE_MS);
    char *odd[] = {(char[]){"127.0.0.1"}, (char[]){"not-an-address"}};

    (void)state;
    settings.fetch.ca_file = (char[]){"/nonexistent/ca.pem"};
    check_refusal(&settings, "/nonexistent/ca.pem");
    settings.fetch.ca_file = (char[]){"/dev/null"};
    check_refusal(&settings, "/dev/null");
    settings = make_settings(443, AMPLE_MS);
    settings.fetch.allow_address.items = odd;
    check_refusal(&settings, "not-an-address");
    settings = make_settings(443, AMPLE_MS);
    settings.fetch.proxy = (char[]){"http://proxy.example:3128"};
    check_refusal(&settings, "proxy.example");
}

/* A proxy gets a CONNECT for the name; what stands behind it here is no proxy, so it ends there. */
static void
test_proxy(void **state)
{
    static const struct tls_script silent = {.ending = SILENT_AT_ACCEPT};
    static const struct test_cert cert = {.names = {NAME}};
    struct tls_server *server =
        tls_server_start("127.0.0.1", 0, test_certs_server(certs, &cert), &silent);
    struct settings settings = make_settings(443, QUICK_MS);
    char proxy[64];
    struct tls_seen seen;

    (void)state;
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", tls_server_port(server));
    settings.fetch.proxy = proxy;
    check_addresses(&settings, (const char *[]){"192.0.2.1", "192.0.2.2", NULL}, STS_TIMEOUT);
    tls_server_stop(server, &seen);
    assert_int_equal(seen.connections, 1);
}

static void
test_no_resolver_was_asked(void **state)
{
    (void)state;
    assert_int_equal(resolver_calls, 0);
}

static int
set_up(void **state)
{
    int fd = mkstemp(ca_path);

    (void)state;
    if (fd < 0)
        return -1;
    close(fd);
    signal(SIGPIPE, SIG_IGN);
    certs = test_certs_new(ca_path);
    base = event_base_new();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    event_base_free(base);
    test_certs_free(certs);
    unlink(ca_path);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_user_agent),
        cmocka_unit_test(test_several_addresses),
        cmocka_unit_test(test_blocked_addresses),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_waiting_costs_no_time),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_bad_settings),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_no_resolver_was_asked), /* last */
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
