/* The real fetcher against real TLS servers on the loopback: whom and what it believes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/policy.h"
#include "tests/fake/fetch_lab.h"

static const char *const loopback[] = {"127.0.0.1", NULL};

/* --- tables ------------------------------------------------------------------ */

#define HOUR 3600L

struct row {
    const char *name;
    enum sts_error want;
    const char *detail; /* must be part of it */
    struct tls_script script;
    struct test_cert cert; /* without a name: LAB_HOST */
    int status;
    size_t len;
    int timeout_ms; /* 0: AMPLE_MS */
};

/* Certificates; every server would send a good policy. */
static const struct row certificates[] = {
    {"its own name", STS_OK, "", .cert = {.names = {LAB_HOST}}, .len = 42},
    {"one of several names", STS_OK, "", .cert = {.names = {"a.test", LAB_HOST}}, .len = 42},
    {"upper case", STS_OK, "", .cert = {.names = {"MTA-STS.Example.Test"}}, .len = 42},
    {"wildcard label", STS_OK, "", .cert = {.names = {"*.example.test"}}, .len = 42},
    {"intermediate", STS_OK, "", .cert = {.signer = SIGNED_BY_INTERMEDIATE}, .len = 42},
    {"another name", STS_TLS_NAME, "a.test, b.test", .cert = {.names = {"a.test", "b.test"}}},
    {"the domain only", STS_TLS_NAME, "certificate is for example.test",
     .cert = {.names = {"example.test"}}},
    {"subject CN only", STS_TLS_NAME, "no DNS name",
     .cert = {.names = {""}, .common_name = LAB_HOST}},
    {"CN right, name wrong", STS_TLS_NAME, "a.test",
     .cert = {.names = {"a.test"}, .common_name = LAB_HOST}},
    {"partial wildcard", STS_TLS_NAME, "mta*", .cert = {.names = {"mta*.example.test"}}},
    {"partial wildcard, other end", STS_TLS_NAME, "*sts", .cert = {.names = {"*sts.example.test"}}},
    {"wildcard for two labels", STS_TLS_NAME, "*.test", .cert = {.names = {"*.test"}}},
    {"wildcard inside", STS_TLS_NAME, "mta-sts.*", .cert = {.names = {"mta-sts.*.test"}}},
    {"bare wildcard", STS_TLS_NAME, "*", .cert = {.names = {"*"}}},
    {"expired", STS_TLS_EXPIRED, "expired", .cert = {.starts_s = -9 * HOUR, .ends_s = -HOUR}},
    {"not yet valid", STS_TLS_NOT_YET_VALID, "not yet",
     .cert = {.starts_s = HOUR, .ends_s = 9 * HOUR}},
    {"self-signed", STS_TLS_UNTRUSTED, "self", .cert = {.signer = SIGNED_BY_ITSELF}},
    {"unknown CA", STS_TLS_UNTRUSTED, "issuer", .cert = {.signer = SIGNED_BY_STRANGER}},
    {"no intermediate", STS_TLS_UNTRUSTED, "issuer",
     .cert = {.signer = SIGNED_BY_INTERMEDIATE, .no_intermediate = 1}},
    {"for clients only", STS_TLS_UNTRUSTED, "purpose", .cert = {.usage = "clientAuth"}},
    {"unknown CA, wrong name", STS_TLS_UNTRUSTED, "issuer",
     .cert = {.names = {"a.test"}, .signer = SIGNED_BY_STRANGER}},
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
    "HTTP/1.1 " line "\r\nContent-Type: text/plain\r\nContent-Length: 42\r\n\r\n" LAB_BODY
#define TYPED(field) "HTTP/1.1 200 OK\r\n" field "Content-Length: 42\r\n\r\n" LAB_BODY
#define SCRIPT(...) .script = {.head = __VA_ARGS__}

static const struct row replies[] = {
    {"204", STS_HTTP_STATUS, "HTTP status 204", SCRIPT("HTTP/1.1 204 No Content\r\n\r\n"),
     .status = 204},
    {"206", STS_HTTP_STATUS, "206", SCRIPT(STATUS("206 Partial Content")), .status = 206},
    {"301", STS_HTTP_REDIRECT, "HTTP status 301",
     SCRIPT("HTTP/1.1 301 Moved\r\nLocation: https://" LAB_HOST "/x\r\nContent-Length: 0\r\n\r\n"),
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
    {"HTTP/1.0", STS_OK, "", SCRIPT("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" LAB_BODY),
     .len = 42},
    {"HTTP/0.9", STS_HTTP_STATUS, "", SCRIPT(LAB_BODY)},
    {"an interim reply", STS_OK, "",
     SCRIPT("HTTP/1.1 103 Early\r\nContent-Type: text/html\r\n\r\n" LAB_GOOD), .len = 42},
    {"another protocol", STS_HTTP_STATUS, "101", SCRIPT("HTTP/1.1 101 Switching\r\n\r\n"),
     .status = 101},
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
     SCRIPT(LAB_OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), .status = 200},

    {"empty body", STS_OK, "", SCRIPT(LAB_OK_HEAD "Content-Length: 0\r\n\r\n"), .len = 0},
    {"chunked", STS_OK, "",
     SCRIPT(LAB_OK_HEAD "Transfer-Encoding: chunked\r\n\r\n4\r\nvers\r\n3\r\nion\r\n0\r\n\r\n",
            .ending = END_SILENT),
     .len = 7},
    {"chunked with a trailer", STS_OK, "",
     SCRIPT(LAB_OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
                        "4\r\nvers\r\n0\r\nContent-Type: text/html\r\n\r\n"),
     .len = 4},
    {"chunks cut", STS_TRUNCATED, "",
     SCRIPT(LAB_OK_HEAD "Transfer-Encoding: chunked\r\n\r\n4\r\nvers\r\n"), .status = 200},
    {"bad chunk", STS_TRUNCATED, "",
     SCRIPT(LAB_OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nvers\r\n0\r\n\r\n"),
     .status = 200},
    {"length not reached", STS_TRUNCATED, "",
     SCRIPT(LAB_OK_HEAD "Content-Length: 43\r\n\r\n" LAB_BODY), .status = 200},
    {"length and more bytes", STS_OK, "",
     SCRIPT(LAB_OK_HEAD "Content-Length: 42\r\n\r\n" LAB_BODY LAB_BODY), .len = 42},
    {"length, then a bare FIN", STS_OK, "", SCRIPT(LAB_GOOD, .ending = END_BARE_FIN), .len = 42},
    {"close_notify, TLS 1.2", STS_OK, "",
     SCRIPT(LAB_OK_HEAD "\r\n" LAB_BODY, .version = TLS1_2_VERSION), .len = 42},
    {"close_notify, TLS 1.3", STS_OK, "",
     SCRIPT(LAB_OK_HEAD "\r\n" LAB_BODY, .version = TLS1_3_VERSION), .len = 42},
    {"bare FIN, TLS 1.2", STS_TRUNCATED, "",
     SCRIPT(LAB_OK_HEAD "\r\n" LAB_BODY, .version = TLS1_2_VERSION, .ending = END_BARE_FIN),
     .status = 200},
    {"bare FIN, TLS 1.3", STS_TRUNCATED, "",
     SCRIPT(LAB_OK_HEAD "\r\n" LAB_BODY, .version = TLS1_3_VERSION, .ending = END_BARE_FIN),
     .status = 200},
    {"bare FIN before the body", STS_TRUNCATED, "",
     SCRIPT(LAB_OK_HEAD "\r\n", .ending = END_BARE_FIN), .status = 200},
    {"bare FIN in the head", STS_TRUNCATED, "", SCRIPT(LAB_OK_HEAD, .ending = END_BARE_FIN),
     .status = 200},
    {"close_notify in the head", STS_TRUNCATED, "", SCRIPT(LAB_OK_HEAD), .status = 200},
    {"no reply", STS_TRUNCATED, "", SCRIPT("")},
    {"reset for a reply", STS_TRUNCATED, "", SCRIPT("", .ending = END_RESET)},
    {"reset in the body", STS_TRUNCATED, "",
     SCRIPT(LAB_OK_HEAD "\r\n" LAB_BODY, .ending = END_RESET),
     .status = -1}, /* the reset may overtake the reply */

    {"64 KiB, length", STS_OK, "",
     SCRIPT(LAB_OK_HEAD "Content-Length: 65536\r\n\r\n", "x", POLICY_BODY_MAX),
     .len = POLICY_BODY_MAX},
    {"64 KiB, close", STS_OK, "", SCRIPT(LAB_OK_HEAD "\r\n", "x", POLICY_BODY_MAX),
     .len = POLICY_BODY_MAX},
    {"64 KiB and one, length", STS_TOO_LARGE, "65536",
     SCRIPT(LAB_OK_HEAD "Content-Length: 65537\r\n\r\n", "x", POLICY_BODY_MAX + 1), .status = 200},
    {"64 KiB and one, close", STS_TOO_LARGE, "65536",
     SCRIPT(LAB_OK_HEAD "\r\n", "x", POLICY_BODY_MAX + 1), .status = 200},
    {"endless chunks", STS_TOO_LARGE, "65536",
     SCRIPT(LAB_OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", "4\r\naaaa\r\n", 100000),
     .status = 200},
    {"many headers", STS_TOO_LARGE, "headers", SCRIPT(LAB_OK_HEAD, "X-Flood: yes\r\n", 100000),
     .status = 200},
    {"a long header", STS_TOO_LARGE, "headers", SCRIPT(LAB_OK_HEAD "X: ", "x", 20000, "\r\n\r\n"),
     .status = 200},
    {"a huge header", STS_TOO_LARGE, "", SCRIPT(LAB_OK_HEAD "X: ", "x", 300000), .status = 200},
    {"many interim replies", STS_TOO_LARGE, "headers",
     SCRIPT("", "HTTP/1.1 100 Continue\r\n\r\n", 100000), .status = 100},
    {"many trailers", STS_TOO_LARGE, "headers",
     SCRIPT(LAB_OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: yes\r\n", 100000),
     .status = 200},

    {"silent after TLS", STS_TIMEOUT, "", SCRIPT("", .ending = END_SILENT), .timeout_ms = QUICK_MS},
    {"silent in the body", STS_TIMEOUT, "",
     SCRIPT(LAB_OK_HEAD "\r\n" LAB_BODY, .ending = END_SILENT), .status = 200,
     .timeout_ms = QUICK_MS},
    {"drip", STS_TIMEOUT, "", SCRIPT(LAB_OK_HEAD "\r\n", .ending = END_DRIP), .status = 200,
     .timeout_ms = QUICK_MS},
};

static void
check_row(const struct row *row)
{
    struct tls_script script = row->script;
    struct test_cert cert = row->cert;
    struct tls_server *server;
    struct settings settings;
    struct lab_outcome got;

    if (script.head == NULL)
        script.head = LAB_GOOD;
    if (cert.names[0] == NULL)
        cert.names[0] = LAB_HOST;
    else if (cert.names[0][0] == '\0')
        cert.names[0] = NULL;
    server = tls_server_start("127.0.0.1", 0, test_certs_server(lab_certs, &cert), &script);
    settings = lab_settings(tls_server_port(server), row->timeout_ms ? row->timeout_ms : AMPLE_MS);
    got = lab_fetch(&settings, loopback);
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

static void
test_request(void **state)
{
    struct tls_server *server = lab_start_good_server("127.0.0.1", 0);
    struct settings settings = lab_settings(tls_server_port(server), AMPLE_MS);
    struct tls_seen seen;
    struct lab_outcome got;

    (void)state;
    /* Neither may matter. */
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    got = lab_fetch(&settings, loopback);
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
    tls_server_stop(server, &seen);
    assert_int_equal(got.result.error, STS_OK);
    assert_string_equal(got.body, LAB_BODY);
    assert_string_equal(seen.sni, LAB_HOST);
    assert_int_equal(strncmp(seen.request, "GET /.well-known/mta-sts.txt HTTP/1.1\r\n", 39), 0);
    assert_non_null(strstr(seen.request, "\r\nHost: " LAB_HOST "\r\n"));
    assert_non_null(strstr(seen.request, "\r\nUser-Agent: sts-milter/" PACKAGE_VERSION "\r\n"));
    assert_null(strstr(seen.request, "Accept-Encoding"));
    assert_null(strstr(seen.request, "If-"));
    assert_int_equal(seen.connections, 1);
    free(got.body);
}

static void
test_user_agent(void **state)
{
    struct tls_server *server = lab_start_good_server("127.0.0.1", 0);
    struct settings settings = lab_settings(tls_server_port(server), AMPLE_MS);
    struct tls_seen seen;

    (void)state;
    settings.fetch.user_agent = (char[]){"mail farm 7"};
    free(lab_fetch(&settings, loopback).body);
    tls_server_stop(server, &seen);
    assert_non_null(strstr(seen.request, "\r\nUser-Agent: mail farm 7\r\n"));
}

static void
test_no_resolver_was_asked(void **state)
{
    (void)state;
    assert_int_equal(lab_resolver_calls, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_user_agent),
        cmocka_unit_test(test_no_resolver_was_asked), /* last */
    };
    return cmocka_run_group_tests(tests, lab_set_up, lab_tear_down);
}
