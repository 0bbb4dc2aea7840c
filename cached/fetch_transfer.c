#include "cached/fetch_transfer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cached/address.h"
#include "cached/fetch_loop.h"
#include "cached/fetch_reply.h"
#include "cached/fetch_tls.h"
#include "common/domain.h"

enum {
    RECEIVE_SIZE = 16384, /* one TLS record */
    HOST_SIZE = DOMAIN_SIZE + sizeof("mta-sts.")
};

struct fetch_transfer {
    struct fetch_loop_item item; /* first: the loop hands it back */
    const struct fetch_transfer_rules *rules;
    char host[HOST_SIZE];
    char address[INET6_ADDRSTRLEN];
    struct curl_slist *connect_to;
    struct fetch_reply reply;
    struct tls_peer peer;
    bool is_blocked; /* by us, at connect */
    char curl_text[CURL_ERROR_SIZE];
    fetch_transfer_done_fn *done;
    void *arg;
};

/* --- hooks ------------------------------------------------------------------- */

/* The last look at where we connect, after all of curl's own ideas. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct fetch_transfer *t = arg;

    (void)purpose;
    if (t->rules->proxy == NULL && !address_may_connect(&to->addr, t->rules->allowed)) {
        t->is_blocked = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static CURLcode
on_ssl_context(CURL *easy, void *ssl_ctx, void *arg)
{
    struct fetch_transfer *t = arg;

    (void)easy;
    return fetch_tls_prepare(t->rules->tls, ssl_ctx, t->host, &t->peer) ? CURLE_OK
                                                                        : CURLE_SSL_CERTPROBLEM;
}

static size_t
on_header(char *line, size_t one, size_t len, void *arg)
{
    struct fetch_transfer *t = arg;

    (void)one;
    return fetch_reply_take_line(&t->reply, line, len) ? len : 0;
}

static size_t
on_body(char *bytes, size_t one, size_t len, void *arg)
{
    struct fetch_transfer *t = arg;

    (void)one;
    return fetch_reply_take_body(&t->reply, bytes, len) ? len : 0;
}

/* --- the outcome ------------------------------------------------------------- */

static bool
had_tls(const struct fetch_transfer *t)
{
    curl_off_t us = 0;

    curl_easy_getinfo(t->item.easy, CURLINFO_APPCONNECT_TIME_T, &us);
    return us > 0;
}

/* curl has checked a length and chunks; a body that only ends with the connection wants a
 * close_notify, else a cut one would pass. */
static bool
is_whole(const struct fetch_transfer *t)
{
    curl_off_t length = -1;

    curl_easy_getinfo(t->item.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    return length >= 0 || t->reply.is_chunked || t->peer.sent_close_notify;
}

static void
describe_refusal(struct fetch_transfer *t, char *detail, size_t size)
{
    long os_error = 0;
    char text[64];

    curl_easy_getinfo(t->item.easy, CURLINFO_OS_ERRNO, &os_error);
    if (os_error == 0)
        snprintf(detail, size, "%.*s", (int)size - 1, t->curl_text);
    else
        snprintf(detail, size, "%s: %s", t->address, strerror_r((int)os_error, text, sizeof(text)));
}

/* What a transfer that curl gave up means to us; the reply and the certificate were fine. */
static enum sts_error
judge_code(struct fetch_transfer *t, CURLcode code, char *detail, size_t size)
{
    snprintf(detail, size, "%.*s", (int)size - 1,
             t->curl_text[0] ? t->curl_text : curl_easy_strerror(code));
    switch (code) {
    case CURLE_OK:
        if (t->reply.head_done && is_whole(t))
            return STS_OK;
        snprintf(detail, size, "the connection was cut");
        return STS_TRUNCATED;
    case CURLE_COULDNT_CONNECT:
        if (t->is_blocked) {
            snprintf(detail, size, "%s is not a public address", t->address);
            return STS_CONNECT_BLOCKED;
        }
        describe_refusal(t, detail, size);
        return STS_CONNECT_REFUSED;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
        return STS_CONNECT_REFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return STS_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION: /* by curl's check although ours agreed */
        return STS_TLS_NAME;
    case CURLE_UNSUPPORTED_PROTOCOL: /* bytes that are no HTTP/1 status line */
    case CURLE_WEIRD_SERVER_REPLY:
        return STS_HTTP_STATUS;
    case CURLE_OUT_OF_MEMORY: /* so says this curl of a header line above 100 KiB */
        return STS_TOO_LARGE;
    default: /* cut: before TLS stood, or after */
        if (had_tls(t))
            return STS_TRUNCATED;
        return t->rules->proxy != NULL ? STS_CONNECT_REFUSED : STS_TLS_HANDSHAKE;
    }
}

static void
judge(struct fetch_transfer *t, CURLcode code, struct fetch_result *result)
{
    const size_t size = sizeof(result->detail);

    *result = (struct fetch_result){.http_status = t->reply.status, .body = ""};
    if (t->reply.error != STS_OK) {
        result->error = t->reply.error;
        snprintf(result->detail, size, "%s", t->reply.detail);
    } else if (t->peer.verdict != 0) {
        result->error = fetch_tls_judge(&t->peer, result->detail, size);
    } else {
        result->error = judge_code(t, code, result->detail, size);
    }
    /* Foreign words may stand in it: certificates' names, curl's echo of a reply. */
    for (char *c = result->detail; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    if (result->error != STS_OK)
        return;
    result->detail[0] = '\0';
    result->body = buf_string(&t->reply.body);
    result->len = t->reply.body.len;
}

static void
discard(struct fetch_transfer *t)
{
    curl_easy_cleanup(t->item.easy);
    curl_slist_free_all(t->connect_to);
    fetch_reply_done(&t->reply);
    free(t);
}

static void
on_done(struct fetch_loop_item *item, CURLcode code)
{
    struct fetch_transfer *t = (struct fetch_transfer *)item;
    struct fetch_result result;

    judge(t, code, &result);
    t->done(&result,
            result.error == STS_CONNECT_REFUSED || result.error == STS_CONNECT_BLOCKED ||
                (result.error == STS_TIMEOUT && !had_tls(t)),
            t->arg);
    discard(t);
}

/* --- the start --------------------------------------------------------------- */

static void
set_target(struct fetch_transfer *t, const struct sockaddr_storage *address)
{
    const struct fetch_transfer_rules *rules = t->rules;

    t->connect_to = fetch_loop_target(rules->proxy == NULL ? address : NULL, rules->port);
    fetch_loop_address(address, t->address);
}

/* The rules of DESIGN 6. Returns whether curl took them all. */
static bool
set_rules(CURL *easy, const struct fetch_transfer_rules *rules)
{
    bool ok = true;

#define SET(option, value) ok &= curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK
    SET(PROTOCOLS_STR, "https");
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(FOLLOWLOCATION, 0L);
    SET(FRESH_CONNECT, 1L);
    SET(FORBID_REUSE, 1L);
    SET(DNS_CACHE_TIMEOUT, 0L); /* curl goes through all that it remembers, each time */
    SET(NOSIGNAL, 1L);
    SET(BUFFERSIZE, (long)RECEIVE_SIZE);
    SET(USERAGENT, rules->user_agent);
    /* "" keeps the environment's proxy variables out. */
    SET(PROXY, rules->proxy != NULL ? rules->proxy : "");
    SET(NOPROXY, "");
    SET(SUPPRESS_CONNECT_HEADERS, 1L);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(SSL_SESSIONID_CACHE, 0L);
    /* CAs come from our store by the hook; curl would read its own for each connection, in vain. */
    SET(CAINFO, NULL);
    SET(CAPATH, NULL);
#undef SET
    return ok;
}

static bool
set_order(struct fetch_transfer *t, const struct fetch_order *order)
{
    CURL *easy = t->item.easy;
    char url[HOST_SIZE + 64];
    bool ok = true;

    snprintf(url, sizeof(url), "https://%s/.well-known/mta-sts.txt", t->host);
#define SET(option, value) ok &= curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK
    SET(URL, url);
    SET(CONNECT_TO, t->connect_to);
    SET(CONNECTTIMEOUT_MS, (long)order->connect_ms);
    SET(TIMEOUT_MS, (long)order->total_ms);
    SET(ERRORBUFFER, t->curl_text);
    SET(OPENSOCKETFUNCTION, on_open_socket);
    SET(OPENSOCKETDATA, t);
    SET(SSL_CTX_FUNCTION, on_ssl_context);
    SET(SSL_CTX_DATA, t);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, t);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, t);
#undef SET
    return ok;
}

struct fetch_transfer *
fetch_transfer_start(const struct fetch_transfer_rules *rules, const struct fetch_order *order,
                     fetch_transfer_done_fn *done, void *arg)
{
    struct fetch_transfer *t = alloc_zero(1, sizeof(*t));

    t->rules = rules;
    t->done = done;
    t->arg = arg;
    t->item.done = on_done;
    t->item.easy = curl_easy_init();
    snprintf(t->host, sizeof(t->host), "mta-sts.%s", order->domain);
    fetch_reply_init(&t->reply);
    set_target(t, order->address);
    /* A rule that does not hold must not be forgotten: only a curl without OpenSSL, or no memory,
     * brings us here. */
    if (t->item.easy == NULL || !set_rules(t->item.easy, rules) || !set_order(t, order))
        abort();
    fetch_loop_add(rules->loop, &t->item);
    return t;
}

void
fetch_transfer_cancel(struct fetch_transfer *t)
{
    fetch_loop_remove(t->rules->loop, &t->item);
    discard(t);
}

bool
fetch_transfer_proxy_is_usable(const char *proxy)
{
    CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL;
    struct in6_addr address;
    bool usable = false;

    if (url != NULL && curl_url_set(url, CURLUPART_URL, proxy, CURLU_GUESS_SCHEME) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        host[strcspn(host, "]")] = '\0';
        usable = inet_pton(AF_INET, host, &address) == 1 ||
                 (host[0] == '[' && inet_pton(AF_INET6, host + 1, &address) == 1);
        usable = usable && strcmp(scheme, "http") == 0;
    }
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(url);
    return usable;
}
