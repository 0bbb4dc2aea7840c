/* Input: all that a policy host sends, through libcurl and the real fetch code; a first byte below
 * 32 is not sent but says how many bytes a write has. Only TLS is left out: curl_easy_setopt is
 * wrapped (see local.mk) so that curl speaks HTTP over a unix socket, at whose other end this file
 * is the policy host. */
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

enum {
    INPUT_MAX = 100 * 1000,
    SEND_BUFFER = 1 << 20,
    PIECE_MAX = 31,
    PIECES_MAX = 400,
    PATIENCE_MS = 60 * 1000 /* libFuzzer gives up before */
};

static struct event_base *base;
static struct fetch_transfer_rules rules;
static char name[32]; /* of the policy host's socket, in the abstract namespace */
static const char *reply;
static size_t reply_len, sent, piece, pieces;
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

/* --- framing, read once more ---------------------------------------------------- */

/* Behind `text`, in any case, where it first stands in the bytes; NULL: nowhere. */
static const char *
find(struct span bytes, const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i + len <= bytes.len; i++) {
        if (span_equal_nocase((struct span){bytes.at + i, len}, text))
            return bytes.at + i + len;
    }
    return NULL;
}

/* The body behind `head` begins with the bytes that were taken, and a length says that these are
 * all; of several curl takes the last. */
static bool
is_by_length(struct span head, struct scan rest, const struct fetch_result *result)
{
    const char *at, *end = head.at + head.len;
    char text[24];

    while ((at = find(head, "\ncontent-length:")) != NULL) {
        head = (struct span){at, (size_t)(end - at)};
        snprintf(text, sizeof(text), "%.*s", (int)head.len, head.at);
        if (strtoul(text, NULL, 10) == result->len && result->len <= (size_t)(rest.end - rest.at) &&
            memcmp(rest.at, result->body, result->len) == 0)
            return true;
    }
    return false;
}

/* The chunks behind `head`, as far as one of no bytes, are the bytes that were taken. */
static bool
is_by_chunks(struct span head, struct scan rest, const struct fetch_result *result)
{
    struct scan body = scan_bytes(result->body, result->len);

    while (find(head, "chunked") != NULL) {
        char *end, size[20] = "";
        struct span line = scan_until(&rest, '\n');
        size_t len;

        if (line.len > 0)
            memcpy(size, line.at, line.len < sizeof(size) ? line.len : sizeof(size) - 1);
        len = strtoul(size, &end, 16);
        if (end == size || !scan_char(&rest, '\n') || len > (size_t)(rest.end - rest.at))
            return false;
        if (len == 0)
            return scan_is_done(&body);
        if (len > (size_t)(body.end - body.at) || memcmp(rest.at, body.at, len) != 0)
            return false;
        body.at += len;
        rest.at += len;
        while (scan_char(&rest, '\r')) /* curl takes any number of them */
            ;
        if (!scan_char(&rest, '\n'))
            return false;
    }
    return false;
}

/* Behind a blank line begins a body that was whole when the stream ended. */
static bool
was_whole(const struct fetch_result *result)
{
    struct scan rest = scan_bytes(reply, reply_len);

    while (!scan_is_done(&rest)) {
        struct span line = scan_until(&rest, '\n');

        while (line.len > 0 && line.at[0] == '\r') /* "\r\r\n" is blank, too */
            line.at++, line.len--;
        if (!scan_char(&rest, '\n') || line.len > 0)
            continue;
        struct span head = {reply, (size_t)(rest.at - reply)};
        if (is_by_length(head, rest, result) || is_by_chunks(head, rest, result))
            return true;
    }
    return false;
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
        REQUIRE(was_whole(result));
    } else {
        REQUIRE(result->len == 0);
    }
}

static void
on_connection(int listener, short what, void *arg)
{
    int room = SEND_BUFFER;

    (void)what, (void)arg;
    connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    REQUIRE(connection >= 0);
    REQUIRE(setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
}

/* The next piece of the reply, whatever is asked, and behind the last the end of the stream. Of
 * many small pieces the rest is one. */
static void
send_piece(void)
{
    size_t left = reply_len - sent;
    ssize_t len;

    if (connection < 0 || sent > reply_len)
        return;
    if (left == 0) {
        REQUIRE(shutdown(connection, SHUT_WR) == 0);
        sent++; /* that was the end */
        return;
    }
    if (piece > 0 && piece < left && pieces++ < PIECES_MAX)
        left = piece;
    len = send(connection, reply + sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (len > 0)
        sent += (size_t)len;
    else if (errno != EAGAIN)
        sent = reply_len; /* it has hung up */
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
    const struct fetch_order order = {.domain = "example.com",
                                      .address = &address,
                                      .connect_ms = PATIENCE_MS,
                                      .total_ms = PATIENCE_MS};
    struct outcome outcome = {.calls = 0};

    if (base == NULL)
        set_up();
    piece = size > 0 && data[0] <= PIECE_MAX ? data[0] : 0;
    reply = (const char *)data + (size > 0 && data[0] <= PIECE_MAX);
    reply_len = (const char *)data + size - reply;
    reply_len = reply_len < INPUT_MAX ? reply_len : INPUT_MAX;
    sent = pieces = 0;
    (void)fetch_transfer_start(&rules, &order, on_done, &outcome);
    while (outcome.calls == 0) {
        REQUIRE(event_base_loop(base, EVLOOP_NONBLOCK) == 0);
        send_piece();
    }
    REQUIRE(outcome.calls == 1);
    REQUIRE(outcome.error != STS_TIMEOUT);
    close(connection);
    connection = -1;
    return 0;
}
