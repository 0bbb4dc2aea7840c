#include "cached/probe_smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/address.h"
#include "cached/fetch_loop.h"
#include "cached/fetch_tls.h"
#include "common/domain.h"

enum { SAID_SIZE = 80 };

struct probe_smtp {
    struct fetch_loop_item item; /* first: the loop hands it back */
    const struct fetch_transfer_rules *rules;
    char host[DOMAIN_SIZE];
    char address[INET6_ADDRSTRLEN];
    struct curl_slist *connect_to;
    struct tls_peer peer;
    bool is_blocked; /* by us, at connect */
    bool tls_began;  /* STARTTLS was accepted */
    bool tls_stands; /* and the host spoke under TLS */
    bool is_flooded;
    unsigned replies; /* whole ones; since TLS began, when it did */
    size_t reply_bytes;
    char said[SAID_SIZE]; /* the last line of the last reply */
    char curl_text[CURL_ERROR_SIZE];
    probe_smtp_done_fn *done;
    void *arg;
};

/* --- hooks ------------------------------------------------------------------- */

/* The last look at where we connect, after all of curl's own ideas. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct probe_smtp *s = arg;

    (void)purpose;
    if (!address_may_connect(&to->addr, s->rules->allowed)) {
        s->is_blocked = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static CURLcode
on_ssl_context(CURL *easy, void *ssl_ctx, void *arg)
{
    struct probe_smtp *s = arg;

    (void)easy;
    s->tls_began = true;
    s->replies = 0;
    return fetch_tls_prepare(s->rules->tls, ssl_ctx, s->host, &s->peer) ? CURLE_OK
                                                                        : CURLE_SSL_CERTPROBLEM;
}

/* The last line of a reply, without its end (RFC 5321 s4.2.1). */
static void
note_reply(struct probe_smtp *s, const char *line, size_t len)
{
    if (len < 4 || line[0] < '0' || line[0] > '9' || line[3] == '-')
        return;
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    snprintf(s->said, sizeof(s->said), "%.*s", (int)len, line);
    s->replies++;
}

/* Sees each line before curl does. The session ends here, at the answer to QUIT: left to its end,
 * curl would say QUIT once more and hold up the whole thread until that is answered, whatever its
 * time limit. */
static size_t
on_reply_line(char *line, size_t one, size_t len, void *arg)
{
    struct probe_smtp *s = arg;

    (void)one;
    s->reply_bytes += len;
    if (s->reply_bytes > PROBE_REPLIES_MAX) {
        s->is_flooded = true;
        return 0;
    }
    note_reply(s, line, len);
    s->tls_stands = s->tls_began;
    return s->tls_began && s->replies >= 2 ? 0 : len;
}

static size_t
on_body(char *bytes, size_t one, size_t len, void *arg)
{
    (void)bytes, (void)one, (void)len, (void)arg;
    return 0; /* curl passes replies on as such, but only those that ended the session above */
}

/* --- the outcome ------------------------------------------------------------- */

static bool
had_tls(const struct probe_smtp *s)
{
    curl_off_t us = 0;

    curl_easy_getinfo(s->item.easy, CURLINFO_APPCONNECT_TIME_T, &us);
    return s->tls_stands || (s->tls_began && us > 0);
}

static void
describe_refusal(struct probe_smtp *s, char *detail, size_t size)
{
    long os_error = 0;
    char text[64];

    curl_easy_getinfo(s->item.easy, CURLINFO_OS_ERRNO, &os_error);
    if (os_error == 0)
        snprintf(detail, size, "%s: cannot connect", s->address);
    else
        snprintf(detail, size, "%s: %s", s->address, strerror_r((int)os_error, text, sizeof(text)));
}

/* The host was reached, and TLS never began. Replies so far: greeting, EHLO, STARTTLS. */
static enum sts_error
judge_plain(const struct probe_smtp *s, CURLcode code, char *detail, size_t size)
{
    if (s->is_flooded) {
        snprintf(detail, size, "its replies are too long");
    } else if (code == CURLE_USE_SSL_FAILED && s->replies <= 2) {
        snprintf(detail, size, "STARTTLS is not offered");
        return STS_TLS_HANDSHAKE;
    } else if (code == CURLE_USE_SSL_FAILED) {
        snprintf(detail, size, "STARTTLS answered %s", s->said);
        return STS_TLS_HANDSHAKE;
    } else if (s->replies == 3 && strncmp(s->said, "220", 3) == 0) {
        /* Those bytes would count as said under TLS (RFC 3207 s6). */
        snprintf(detail, size, "it sent data behind its answer to STARTTLS");
        return STS_TLS_HANDSHAKE;
    } else if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_REMOTE_ACCESS_DENIED) {
        snprintf(detail, size, "%s answered %s",
                 s->replies <= 1 ? "the connection was" : "EHLO was",
                 s->said[0] ? s->said : "in no SMTP");
    } else {
        snprintf(detail, size, "the connection was cut %s",
                 s->replies == 0 ? "before a greeting" : "before TLS");
    }
    return STS_CONNECT_REFUSED;
}

static enum sts_error
judge(struct probe_smtp *s, CURLcode code, char *detail, size_t size)
{
    if (had_tls(s) && s->peer.verdict == 0)
        return STS_OK; /* what it said to EHLO and QUIT does not matter */
    if (s->peer.verdict != 0)
        return fetch_tls_judge(&s->peer, detail, size);
    if (s->is_blocked) {
        snprintf(detail, size, "%s is not a public address", s->address);
        return STS_CONNECT_BLOCKED;
    }
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        describe_refusal(s, detail, size);
        return STS_CONNECT_REFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        snprintf(detail, size, "%s did not answer in time", s->address);
        return STS_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION: /* by curl's check although ours agreed */
        snprintf(detail, size, "%.*s", (int)size - 1, s->curl_text);
        return STS_TLS_NAME;
    default:
        if (!s->tls_began)
            return judge_plain(s, code, detail, size);
        snprintf(detail, size, "TLS handshake: %.*s", (int)size - 20,
                 s->curl_text[0] ? s->curl_text : curl_easy_strerror(code));
        return STS_TLS_HANDSHAKE;
    }
}

static void
discard(struct probe_smtp *s)
{
    curl_easy_cleanup(s->item.easy);
    curl_slist_free_all(s->connect_to);
    free(s);
}

static void
on_done(struct fetch_loop_item *item, CURLcode code)
{
    struct probe_smtp *s = (struct probe_smtp *)item;
    struct probe_result result = {.error = STS_OK};

    result.error = judge(s, code, result.detail, sizeof(result.detail));
    result.expires_s = s->peer.expires_s;
    /* Foreign words may stand in it: replies, certificates' names. */
    for (char *c = result.detail; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
    s->done(&result, s->arg);
    discard(s);
}

/* --- the start --------------------------------------------------------------- */

/* Returns whether curl took every rule. */
static bool
set_rules(struct probe_smtp *s, const struct probe_order *order)
{
    CURL *easy = s->item.easy;
    char url[2 * DOMAIN_SIZE + 16];
    bool ok = true;

    snprintf(url, sizeof(url), "smtp://%s/%s", s->host, order->helo);
#define SET(option, value) ok &= curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK
    SET(PROTOCOLS_STR, "smtp");
    SET(URL, url);
    SET(CONNECT_TO, s->connect_to);
    SET(USE_SSL, (long)CURLUSESSL_ALL);
    SET(CUSTOMREQUEST, "QUIT"); /* after the second EHLO */
    SET(CONNECTTIMEOUT_MS, (long)order->connect_ms);
    SET(TIMEOUT_MS, (long)order->total_ms);
    SET(FRESH_CONNECT, 1L);
    SET(FORBID_REUSE, 1L);
    SET(DNS_CACHE_TIMEOUT, 0L); /* curl goes through all that it remembers, each time */
    SET(NOSIGNAL, 1L);
    SET(PROXY, ""); /* also keeps the environment's variables out */
    SET(NOPROXY, "");
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(SSL_SESSIONID_CACHE, 0L);
    SET(CAINFO, NULL);
    SET(CAPATH, NULL);
    SET(ERRORBUFFER, s->curl_text);
    SET(OPENSOCKETFUNCTION, on_open_socket);
    SET(OPENSOCKETDATA, s);
    SET(SSL_CTX_FUNCTION, on_ssl_context);
    SET(SSL_CTX_DATA, s);
    SET(HEADERFUNCTION, on_reply_line);
    SET(HEADERDATA, s);
    SET(WRITEFUNCTION, on_body);
#undef SET
    return ok;
}

struct probe_smtp *
probe_smtp_start(const struct probe_order *order, probe_smtp_done_fn *done, void *arg)
{
    struct probe_smtp *s = alloc_zero(1, sizeof(*s));

    s->rules = order->rules;
    s->done = done;
    s->arg = arg;
    s->item.done = on_done;
    s->item.easy = curl_easy_init();
    snprintf(s->host, sizeof(s->host), "%s", order->host);
    s->connect_to = fetch_loop_target(order->address, order->port);
    fetch_loop_address(order->address, s->address);
    /* A rule that does not hold must not be forgotten: only a curl without OpenSSL or SMTP, or no
     * memory, brings us here. */
    if (s->item.easy == NULL || !set_rules(s, order))
        abort();
    fetch_loop_add(s->rules->loop, &s->item);
    return s;
}

void
probe_smtp_cancel(struct probe_smtp *s)
{
    fetch_loop_remove(s->rules->loop, &s->item);
    discard(s);
}
