/* Input: one byte that picks the type asked for, then what the server says: one message for each
 * question that it hears, behind a byte of flags and two of length. Real sockets, so everything
 * between them and plain structs is run: UDP, TCP in pieces, the second try, aliases. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cached/dns.h"
#include "cached/settings.h"
#include "common/log.h"
#include "tests/fuzz/with_dns.h"

enum {
    OWN_ID = 1,       /* flags: the message gets the id and QR of the question, */
    OWN_QUESTION = 2, /* and its question behind the header; */
    ONE_MORE = 4,     /* the next message follows at once; */
    OWN_PREFIX = 8,   /* on TCP, its two-byte length is true */
    PIECE_SHIFT = 4,  /* and it comes in pieces of so many bytes (0: whole) */
    HEAD = 12,
    MESSAGE_MAX = 65536 + DNS_QUERY_SIZE,
    TIMEOUT_MS = 2,
    TIME_MAX_S = 5, /* of processor: at most nine questions, each tried twice or thrice */
    GROWTH_MAX_KIB = 64 * 1024
};

/* The server's side. */
static struct {
    int udp, listener, tcp; /* -1: closed */
    const uint8_t *at, *end;
    uint8_t out[2 + MESSAGE_MAX]; /* what TCP has still to send */
    size_t sent, len, piece;
} server;

struct outcome {
    int calls;
    enum dns_type type;
};

/* --- the server --------------------------------------------------------------------------- */

static int
listen_at(struct sockaddr_in *address, int type)
{
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    REQUIRE(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    REQUIRE(bind(fd, (const struct sockaddr *)address, sizeof *address) == 0);
    REQUIRE(type == SOCK_DGRAM || listen(fd, 1) == 0);
    return fd;
}

static size_t
question_len(const uint8_t *query, size_t len)
{
    size_t at = HEAD;

    while (at < len && query[at] != 0)
        at += (size_t)query[at] + 1;
    return at + 5 <= len ? at + 5 - HEAD : 0;
}

/* Writes the next message of the input; returns its flags. */
static uint8_t
compose(const uint8_t *query, size_t query_len, uint8_t *out, size_t *len)
{
    size_t left = (size_t)(server.end - server.at), want, question = 0;
    uint8_t flags = server.at[0];

    want = left > 2 ? (size_t)server.at[1] << 8 | server.at[2] : 0;
    server.at += left > 2 ? 3 : left;
    left = (size_t)(server.end - server.at);
    want = want < left ? want : left;
    if ((flags & OWN_QUESTION) && want >= HEAD && query_len > HEAD)
        question = question_len(query, query_len);
    size_t head = question > 0 ? HEAD : 0;
    memcpy(out, server.at, head);
    memcpy(out + head, query + head, question);
    memcpy(out + head + question, server.at + head, want - head);
    server.at += want;
    *len = want + question;
    if ((flags & OWN_ID) && *len > 2 && query_len > 2) {
        memcpy(out, query, 2);
        out[2] |= 0x80;
    }
    return flags;
}

/* A server with nothing left to say is gone. */
static void
answer_datagram(void)
{
    uint8_t query[DNS_QUERY_SIZE], out[MESSAGE_MAX], flags = ONE_MORE;
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t got;
    size_t len;

    if (server.udp < 0)
        return;
    got = recvfrom(server.udp, query, sizeof query, 0, (struct sockaddr *)&from, &from_len);
    while (got >= 0 && (flags & ONE_MORE) && server.at < server.end) {
        flags = compose(query, (size_t)got, out, &len);
        (void)sendto(server.udp, out, len, 0, (struct sockaddr *)&from, from_len);
    }
    if (server.at == server.end) {
        close(server.udp);
        server.udp = -1;
    }
}

static void
accept_stream(void)
{
    uint8_t flags;

    server.tcp = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    server.len = server.sent = 0;
    server.piece = sizeof server.out;
    if (server.tcp < 0 || server.at == server.end)
        return;
    flags = server.at[0];
    if (flags >> PIECE_SHIFT)
        server.piece = flags >> PIECE_SHIFT;
}

static void
close_stream(void)
{
    if (server.tcp >= 0)
        close(server.tcp);
    server.tcp = -1;
}

/* One piece a turn, and the end of the stream behind the last. */
static void
answer_stream(void)
{
    uint8_t query[2 + DNS_QUERY_SIZE], flags;
    ssize_t got;
    size_t left;

    if (server.len == 0) {
        got = recv(server.tcp, query, sizeof query, 0);
        if (got > 2 && server.at < server.end) {
            flags = compose(query + 2, (size_t)got - 2, server.out + 2, &server.len);
            server.out[0] = (uint8_t)(server.len >> 8);
            server.out[1] = (uint8_t)server.len;
            server.sent = flags & OWN_PREFIX ? 0 : 2;
            server.len += 2;
        } else if (got >= 0) {
            close_stream();
        }
        return;
    }
    left = server.len - server.sent;
    got = send(server.tcp, server.out + server.sent, left < server.piece ? left : server.piece,
               MSG_NOSIGNAL);
    server.sent += got > 0 ? (size_t)got : 0;
    if (server.sent == server.len)
        close_stream();
}

/* --- one look-up -------------------------------------------------------------------------- */

static void
on_done(const struct dns_answer *answer, void *arg)
{
    struct outcome *outcome = arg;

    outcome->calls++;
    REQUIRE(answer->alias[0] == '\0' && !answer->secure);
    fuzz_dns_check(answer, outcome->type, DNS_REPLY_MAX);
}

/* An address of our own, so that no other process has its port. */
static struct dns *
new_dns(struct event_base *base, struct sockaddr_in *address)
{
    char text[64], why[200], *item = text;
    struct settings settings = {.dns = {.servers = {&item, 1}, .timeout_ms = TIMEOUT_MS}};
    uint32_t process = (uint32_t)getpid();

    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_port = htons(5301),
                                    .sin_addr.s_addr =
                                        htonl(0x7f000000u | (process & 0x3fffff) | 0x400000u)};
    snprintf(text, sizeof text, "inet:5301@%s", inet_ntoa(address->sin_addr));
    log_open("fuzz_dns_exchange", true, LOG_LEVEL_ERROR);
    return dns_new(base, &settings, why, sizeof why);
}

static long
peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_base *base;
    static struct sockaddr_in address;
    static struct dns *dns;
    clock_t start = clock();
    long before_kib = peak_kib();
    struct outcome outcome = {.calls = 0};

    if (size == 0)
        return 0;
    if (base == NULL) {
        base = event_base_new();
        dns = new_dns(base, &address);
        server.tcp = -1;
    }
    server.at = data + 1;
    server.end = data + size;
    server.udp = listen_at(&address, SOCK_DGRAM);
    server.listener = listen_at(&address, SOCK_STREAM);
    outcome.type = fuzz_dns_type(data[0]);
    (void)dns_lookup_start(dns, "_mta-sts.example.com", outcome.type, on_done, &outcome);
    while (outcome.calls == 0) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        answer_datagram();
        if (server.tcp < 0)
            accept_stream();
        else
            answer_stream();
        REQUIRE(clock() - start < (clock_t)TIME_MAX_S * CLOCKS_PER_SEC);
    }
    close_stream();
    if (server.udp >= 0)
        close(server.udp);
    close(server.listener);
    REQUIRE(outcome.calls == 1 && event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
    REQUIRE(outcome.calls == 1);
    REQUIRE(peak_kib() - before_kib < GROWTH_MAX_KIB);
    return 0;
}
