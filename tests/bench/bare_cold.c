/* bare_cold - the least that learning policies takes: for each domain the TXT record, the addresses
 * of its policy host, a fresh TLS connection with everything verified, the file. One thread, one
 * epoll, one SSL_CTX. The bench's yardstick for cold domains.
 * usage: bare_cold DNS-PORT HTTPS-PORT CA-FILE FIRST COUNT AT-ONCE
 * Prints one line: domains, seconds, rate a second, microseconds of processor time a domain. Exit
 * status 1: one of them failed. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "tests/bench/names.h"
#include "tests/bench/times.h"
#include "tests/fake/dns_packet.h"

enum { BATCH = 64, QUERY_MAX = 300, REPLY_MAX = 4096, PATIENCE_MS = 60000, HEADER = 12 };

enum step { ASK_TXT, ASK_AAAA, ASK_A, FETCH };

struct tour {
    enum step step;
    int fd;
    unsigned id; /* of the query */
    char host[NAMES_SIZE + 16];
    SSL *ssl;
    bool asked;
    size_t len;
    char reply[REPLY_MAX];
};

struct client {
    int epoll;
    uint16_t dns_port, https_port;
    SSL_CTX *context;
    unsigned next, end, running;
};

static _Noreturn void
fail(const char *what)
{
    fprintf(stderr, "bare_cold: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static void
watch(struct client *c, struct tour *t, uint32_t events, int how)
{
    struct epoll_event event = {.events = events, .data.ptr = t};

    if (epoll_ctl(c->epoll, how, t->fd, &event) < 0)
        fail("epoll_ctl");
}

static void
connect_to(struct tour *t, int type, struct in_addr address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address};

    t->fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)connect(t->fd, (struct sockaddr *)&to, sizeof to);
}

/* --- DNS ---------------------------------------------------------------------- */

static size_t
write_query(unsigned char *query, unsigned id, const char *name, unsigned type)
{
    static const unsigned char flags[10] = {1, 0, 0, 1};
    size_t len = HEADER;

    query[0] = (unsigned char)(id >> 8);
    query[1] = (unsigned char)id;
    memcpy(query + 2, flags, sizeof flags);
    while (*name != '\0') {
        size_t label = strcspn(name, ".");
        query[len++] = (unsigned char)label;
        memcpy(query + len, name, label);
        len += label;
        name += label + (name[label] == '.');
    }
    query[len++] = 0;
    query[len++] = (unsigned char)(type >> 8);
    query[len++] = (unsigned char)type;
    query[len++] = 0;
    query[len++] = 1;
    return len;
}

/* A socket of its own for each query, as whoever fears forgers has it. */
static void
ask(struct client *c, struct tour *t, enum step step)
{
    const struct in_addr server = {.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned char query[QUERY_MAX], id[2];
    char name[NAMES_SIZE + 17];
    size_t len;

    RAND_bytes(id, sizeof id);
    t->id = (unsigned)id[0] << 8 | id[1];
    t->step = step;
    snprintf(name, sizeof name, "%s%s", step == ASK_TXT ? "_" : "", t->host);
    len = write_query(query, t->id, name,
                      step == ASK_TXT ? RR_TXT
                      : step == ASK_A ? RR_A
                                      : RR_AAAA);
    connect_to(t, SOCK_DGRAM, server, c->dns_port);
    if (send(t->fd, query, len, 0) != (ssize_t)len)
        fail("cannot ask DNS");
    watch(c, t, EPOLLIN, EPOLL_CTL_ADD);
}

static void
start_fetch(struct client *c, struct tour *t, const unsigned char *address)
{
    struct in_addr to;

    memcpy(&to, address, sizeof to);
    t->step = FETCH;
    connect_to(t, SOCK_STREAM, to, c->https_port);
    t->ssl = SSL_new(c->context);
    SSL_set_fd(t->ssl, t->fd);
    SSL_set_connect_state(t->ssl);
    SSL_set_tlsext_host_name(t->ssl, t->host);
    if (SSL_set1_host(t->ssl, t->host) != 1)
        fail("host name");
    watch(c, t, EPOLLOUT, EPOLL_CTL_ADD);
}

/* The world answers in the simplest form: nothing is compressed, the one record's data comes last.
 */
static void
on_dns(struct client *c, struct tour *t)
{
    unsigned char reply[REPLY_MAX];
    ssize_t n = recv(t->fd, reply, sizeof reply, 0);

    if (n < HEADER + 5 || ((unsigned)reply[0] << 8 | reply[1]) != t->id || (reply[3] & 15) != 0)
        fail("DNS answer");
    close(t->fd);
    switch (t->step) {
    case ASK_TXT:
        if (memmem(reply, (size_t)n, NAMES_RECORD, sizeof NAMES_RECORD - 1) == NULL)
            fail("TXT record");
        ask(c, t, ASK_AAAA);
        break;
    case ASK_AAAA:
        ask(c, t, ASK_A);
        break;
    case ASK_A:
        start_fetch(c, t, reply + n - 4);
        break;
    case FETCH:
        break;
    }
}

/* --- the fetch ------------------------------------------------------------------ */

static void begin(struct client *);

static void
finish(struct client *c, struct tour *t)
{
    t->reply[t->len] = '\0';
    if (strncmp(t->reply, "HTTP/1.1 200", 12) != 0 || strstr(t->reply, "mode: enforce\n") == NULL ||
        strstr(t->reply, "max_age: ") == NULL)
        fail("policy");
    SSL_shutdown(t->ssl);
    SSL_free(t->ssl);
    close(t->fd);
    free(t);
    c->running--;
    begin(c);
}

static void
go_on(struct client *c, struct tour *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        watch(c, t, EPOLLIN, EPOLL_CTL_MOD);
        return;
    case SSL_ERROR_WANT_WRITE:
        watch(c, t, EPOLLOUT, EPOLL_CTL_MOD);
        return;
    case SSL_ERROR_ZERO_RETURN:
        finish(c, t);
        return;
    default:
        fail("TLS");
    }
}

static void
on_tls(struct client *c, struct tour *t)
{
    char request[512];
    int n;

    ERR_clear_error();
    if (!t->asked) {
        n = SSL_do_handshake(t->ssl);
        if (n != 1) {
            go_on(c, t, n);
            return;
        }
        n = snprintf(request, sizeof request,
                     "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: %s\r\n"
                     "User-Agent: bare\r\nAccept: */*\r\n\r\n",
                     t->host);
        if (SSL_write(t->ssl, request, n) != n)
            fail("request");
        t->asked = true;
    }
    while ((n = SSL_read(t->ssl, t->reply + t->len, (int)(sizeof t->reply - 1 - t->len))) > 0)
        t->len += (size_t)n;
    go_on(c, t, n);
}

/* --- life ------------------------------------------------------------------------- */

static void
begin(struct client *c)
{
    struct tour *t;

    if (c->next == c->end)
        return;
    t = alloc_zero(1, sizeof *t);
    memcpy(t->host, "mta-sts.", 9);
    names_domain(NAMES_POLICY, c->next++, t->host + 8);
    c->running++;
    ask(c, t, ASK_TXT);
}

static SSL_CTX *
new_context(const char *ca_file)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (context == NULL || SSL_CTX_load_verify_file(context, ca_file) != 1)
        fail(ca_file);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

static double
cpu_us(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

int
main(int argc, char **argv)
{
    static struct client c;
    struct epoll_event events[BATCH];
    int64_t begin_ns = times_now_ns();
    double seconds;
    int n;

    if (argc != 7)
        fail("usage: bare_cold DNS-PORT HTTPS-PORT CA-FILE FIRST COUNT AT-ONCE");
    c.epoll = epoll_create1(EPOLL_CLOEXEC);
    c.dns_port = (uint16_t)strtoul(argv[1], NULL, 10);
    c.https_port = (uint16_t)strtoul(argv[2], NULL, 10);
    c.context = new_context(argv[3]);
    c.next = (unsigned)strtoul(argv[4], NULL, 10);
    c.end = c.next + (unsigned)strtoul(argv[5], NULL, 10);
    for (unsigned long i = strtoul(argv[6], NULL, 10); i > 0; i--)
        begin(&c);
    while (c.running > 0) {
        n = epoll_wait(c.epoll, events, BATCH, PATIENCE_MS);
        if (n == 0)
            fail("nothing for a minute");
        for (int i = 0; i < n; i++) {
            struct tour *t = events[i].data.ptr;
            if (t->step == FETCH)
                on_tls(&c, t);
            else
                on_dns(&c, t);
        }
    }
    seconds = (double)(times_now_ns() - begin_ns) / 1e9;
    printf("%s %.6f %.0f %.1f\n", argv[5], seconds, strtod(argv[5], NULL) / seconds,
           cpu_us() / strtod(argv[5], NULL));
    SSL_CTX_free(c.context);
    return 0;
}
