/* world - the Internet of the bench in one process: a DNS server and all policy hosts (names.h).
 * usage: world DNS-PORT HTTPS-PORT CA-FILE COUNT
 * Writes the CA's certificate to CA-FILE, makes the certificates of COUNT policy hosts, listens on
 * 127.0.0.1 (DNS, UDP) and on all of 127.0.0.0/8 (HTTPS), and says "ready". */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/alloc.h"
#include "tests/bench/names.h"
#include "tests/bench/world_certs.h"
#include "tests/bench/world_dns.h"

enum { BATCH = 64, QUERY_MAX = 512, REPLY_MAX = 1024, REQUEST_MAX = 2048, BACKLOG = 4096 };

/* A client of a policy host. `ssl` NULL: of one that hangs. */
struct guest {
    int fd;
    SSL *ssl;
    bool answered;
    char request[REQUEST_MAX];
    size_t len;
};

struct world {
    int epoll, dns, https;
    SSL_CTX *context;
};

static _Noreturn void
fail(const char *what)
{
    fprintf(stderr, "world: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- DNS ---------------------------------------------------------------------- */

static void
answer_queries(struct world *w)
{
    static struct packet reply;
    unsigned char query[QUERY_MAX];
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    ssize_t n;

    while ((n = recvfrom(w->dns, query, sizeof query, MSG_DONTWAIT, (struct sockaddr *)&from,
                         &len)) > 0) {
        if (world_dns_answer(query, (size_t)n, &reply))
            (void)sendto(w->dns, reply.bytes, reply.len, 0, (struct sockaddr *)&from, len);
        len = sizeof from;
    }
}

/* --- policy hosts --------------------------------------------------------------- */

static void
drop(struct guest *g)
{
    SSL_free(g->ssl);
    close(g->fd);
    free(g);
}

static void
answer(struct guest *g)
{
    const char *host = SSL_get_servername(g->ssl, TLSEXT_NAMETYPE_host_name);
    char body[256], reply[REPLY_MAX];
    int len, body_len;

    body_len =
        snprintf(body, sizeof body, "version: STSv1\nmode: enforce\nmx: mx.%s\nmax_age: 604800\n",
                 host + strlen("mta-sts."));
    len = snprintf(reply, sizeof reply,
                   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                   "Connection: close\r\n\r\n%s",
                   body_len, body);
    g->answered = SSL_write(g->ssl, reply, len) == len;
    SSL_shutdown(g->ssl);
    shutdown(g->fd, SHUT_WR);
}

/* One step; false: it is over. */
static bool
serve(struct guest *g)
{
    int n;

    if (g->answered)
        return recv(g->fd, g->request, sizeof g->request, 0) > 0;
    n = SSL_read(g->ssl, g->request + g->len, (int)(sizeof g->request - 1 - g->len));
    if (n <= 0)
        return SSL_get_error(g->ssl, n) == SSL_ERROR_WANT_READ;
    g->len += (size_t)n;
    g->request[g->len] = '\0';
    if (strstr(g->request, "\r\n\r\n") != NULL)
        answer(g);
    return g->len < sizeof g->request - 1;
}

static void
watch(struct world *w, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll");
}

static void
welcome(struct world *w)
{
    struct sockaddr_in at;
    socklen_t len = sizeof at;
    struct guest *g;
    int fd;

    while ((fd = accept4(w->https, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        g = alloc_zero(1, sizeof *g);
        g->fd = fd;
        if (getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
            (ntohl(at.sin_addr.s_addr) >> 16 & 255) != WORLD_HANGING_NET) {
            g->ssl = SSL_new(w->context);
            SSL_set_fd(g->ssl, fd);
            SSL_set_accept_state(g->ssl);
        }
        watch(w, fd, g);
    }
}

static void
on_guest(struct guest *g)
{
    char sink[256];

    ERR_clear_error();
    if (g->ssl != NULL ? !serve(g) : recv(g->fd, sink, sizeof sink, 0) <= 0)
        drop(g);
}

/* --- life -------------------------------------------------------------------------- */

static int
open_socket(int type, in_addr_t address, const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                             .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, room = 4 << 20;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        fail(port);
    return fd;
}

int
main(int argc, char **argv)
{
    static struct world w;
    struct epoll_event events[BATCH];
    struct world_certs *certs;
    int n;

    if (argc != 5)
        fail("usage: world DNS-PORT HTTPS-PORT CA-FILE COUNT");
    certs = world_certs_new(argv[3], (unsigned)strtoul(argv[4], NULL, 10));
    if (certs == NULL)
        fail(argv[3]);
    w.context = world_certs_server(certs);
    w.epoll = epoll_create1(EPOLL_CLOEXEC);
    w.dns = open_socket(SOCK_DGRAM, INADDR_LOOPBACK, argv[1]);
    w.https = open_socket(SOCK_STREAM, INADDR_ANY, argv[2]);
    if (listen(w.https, BACKLOG) < 0)
        fail("listen");
    watch(&w, w.dns, &w.dns);
    watch(&w, w.https, &w.https);
    puts("ready");
    fflush(stdout);
    while ((n = epoll_wait(w.epoll, events, BATCH, -1)) >= 0 || errno == EINTR) {
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &w.dns)
                answer_queries(&w);
            else if (events[i].data.ptr == &w.https)
                welcome(&w);
            else
                on_guest(events[i].data.ptr);
        }
    }
    fail("epoll_wait");
}
