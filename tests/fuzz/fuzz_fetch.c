/* Input: all that a policy host sends, through libcurl and the real fetch code. Only TLS is left
 * out: curl_easy_setopt is wrapped (see local.mk) so that curl speaks HTTP over a unix socket, at
 * whose other end this file is the policy host. */
#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cached/address.h"
#include "cached/fetch_loop.h"
#include "cached/fetch_transfer.h"
#include "common/policy.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 100 * 1000, SEND_BUFFER = 1 << 20 };

static struct event_base *base;
static struct fetch_transfer_rules rules;
static char name[32]; /* of the policy host's socket, in the abstract namespace */
static const char *reply;
static size_t reply_len;
static int connection = -1; /* the policy host's end */

/* --- the seam ----------------------------------------------------------------- */

CURLcode __real_curl_easy_setopt(CURL *easy, CURLoption option, ...);
CURLcode __wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...);

static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    (void)arg, (void)purpose;
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

CURLcode
__wrap_curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    CURLcode code;
    va_list list;

    va_start(list, option);
    switch (option) {
    case CURLOPT_URL:
        code = __real_curl_easy_setopt(easy, option, "http://mta-sts.example.com/");
        break;
    case CURLOPT_PROTOCOLS_STR:
        code = __real_curl_easy_setopt(easy, option, "http");
        break;
    case CURLOPT_OPENSOCKETFUNCTION:
        code = __real_curl_easy_setopt(easy, CURLOPT_ABSTRACT_UNIX_SOCKET, name);
        if (code == CURLE_OK)
            code = __real_curl_easy_setopt(easy, option, on_open_socket);
        break;
    default:
        if ((int)option < CURLOPTTYPE_OBJECTPOINT)
            code = __real_curl_easy_setopt(easy, option, va_arg(list, long));
        else
            code = __real_curl_easy_setopt(easy, option, va_arg(list, void *));
    }
    va_end(list);
    return code;
}

/* --- one transfer --------------------------------------------------------------- */

struct outcome {
    int calls;
    enum sts_error error;
};

/* Whatever was sent: what is taken for a policy's body came with status 200, within the limit and
 * whole; what is not says why, in words that fit a log line. */
static void
on_done(const struct fetch_result *result, bool try_next, void *arg)
{
    struct outcome *outcome = arg;

    (void)try_next;
    outcome->calls++;
    outcome->error = result->error;
    REQUIRE(result->len <= POLICY_BODY_MAX);
    for (const char *c = result->detail; *c; c++)
        REQUIRE(*c >= 0x20 && *c <= 0x7e);
    if (result->error == STS_OK) {
        REQUIRE(result->http_status == 200 && result->detail[0] == '\0');
        REQUIRE(result->body != NULL);
    } else {
        REQUIRE(result->len == 0);
    }
}

/* The whole reply, whatever is asked, and the end of the stream. */
static void
on_connection(int listener, short what, void *arg)
{
    int room = SEND_BUFFER;

    (void)what, (void)arg;
    connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    REQUIRE(connection >= 0);
    REQUIRE(setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
    for (size_t at = 0; at < reply_len;) {
        ssize_t sent = send(connection, reply + at, reply_len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN)
            break; /* this much, then */
        REQUIRE(sent > 0);
        at += (size_t)sent;
    }
    REQUIRE(shutdown(connection, SHUT_WR) == 0);
}

static void
set_up(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct event *event;

    snprintf(name, sizeof(name), "fuzz-fetch-%ld", (long)getpid());
    memcpy(address.sun_path + 1, name, strlen(name));
    REQUIRE(bind(listener, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) == 0);
    REQUIRE(listen(listener, 1) == 0);
    base = event_base_new();
    event = event_new(base, listener, EV_READ | EV_PERSIST, on_connection, NULL);
    REQUIRE(event != NULL && event_add(event, NULL) == 0);
    rules = (struct fetch_transfer_rules){
        .loop = fetch_loop_new(base), .port = 443, .user_agent = "fuzz"};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_storage address = {.ss_family = AF_INET};
    const struct fetch_order order = {
        .domain = "example.com", .address = &address, .connect_ms = 5000, .total_ms = 5000};
    struct outcome outcome = {.calls = 0};

    if (base == NULL)
        set_up();
    reply = (const char *)data;
    reply_len = size < INPUT_MAX ? size : INPUT_MAX;
    (void)fetch_transfer_start(&rules, &order, on_done, &outcome);
    while (outcome.calls == 0)
        REQUIRE(event_base_loop(base, EVLOOP_ONCE) == 0);
    REQUIRE(outcome.calls == 1);
    REQUIRE(outcome.error != STS_TIMEOUT);
    close(connection);
    connection = -1;
    return 0;
}
