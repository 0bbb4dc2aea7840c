#include "tests/fake/tls_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HELD_MAX = 300, DRIP_MS = 50, LINGER_MS = 2000 };

struct tls_server {
    const struct tls_script *script;
    SSL_CTX *context;
    int listen_fd, stop_fd;
    uint16_t port;
    pthread_t thread;
    _Atomic size_t connections;
    struct tls_seen seen;
    int held[HELD_MAX];
    size_t held_count;
};

/* Waits until `fd` (-1: nothing) can be read; false when the server is to stop or time is up. */
static bool
wait_for(struct tls_server *server, int fd, int timeout_ms)
{
    struct pollfd polls[2] = {{.fd = server->stop_fd, .events = POLLIN},
                              {.fd = fd, .events = POLLIN}};

    poll(polls, 2, timeout_ms);
    return polls[0].revents == 0 && polls[1].revents != 0;
}

static bool
is_stopped(struct tls_server *server)
{
    struct pollfd stop = {.fd = server->stop_fd, .events = POLLIN};

    return poll(&stop, 1, 0) > 0;
}

static bool
read_request(struct tls_server *server, SSL *ssl)
{
    char *request = server->seen.request;
    size_t used = 0;
    int got;

    memset(request, 0, sizeof(server->seen.request));
    while (used < sizeof(server->seen.request) - 1 && strstr(request, "\r\n\r\n") == NULL) {
        got = SSL_read(ssl, request + used, (int)(sizeof(server->seen.request) - 1 - used));
        if (got <= 0)
            return false;
        used += (size_t)got;
    }
    return true;
}

static void
send_reply(struct tls_server *server, SSL *ssl)
{
    const struct tls_script *script = server->script;
    const char *tail = script->tail ? script->tail : "";
    size_t one = script->repeat ? strlen(script->repeat) : 0, len = strlen(script->head);
    char *reply = malloc(len + one * script->times + strlen(tail) + 1);

    memcpy(reply, script->head, len);
    for (size_t i = 0; i < script->times; i++, len += one)
        memcpy(reply + len, script->repeat, one);
    memcpy(reply + len, tail, strlen(tail));
    len += strlen(tail);
    if (len > 0)
        SSL_write(ssl, reply, (int)len);
    free(reply);
}

static void
drip(struct tls_server *server, SSL *ssl)
{
    while (!is_stopped(server) && SSL_write(ssl, "x", 1) == 1)
        wait_for(server, -1, DRIP_MS);
}

/* Closes so that the peer gets all that was written before the FIN. */
static void
close_gently(struct tls_server *server, int fd)
{
    char rest[256];

    shutdown(fd, SHUT_WR);
    while (wait_for(server, fd, LINGER_MS) && read(fd, rest, sizeof(rest)) > 0)
        continue;
    close(fd);
}

static void
close_with_reset(int fd)
{
    struct linger at_once = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

static void
end(struct tls_server *server, SSL *ssl, int fd)
{
    switch (server->script->ending) {
    case END_CLOSE_NOTIFY:
        SSL_shutdown(ssl);
        break;
    case END_RESET:
        close_with_reset(fd);
        return;
    case END_SILENT:
        wait_for(server, fd, -1);
        break;
    case END_DRIP:
        drip(server, ssl);
        break;
    default:
        break;
    }
    close_gently(server, fd);
}

static void
serve_tls(struct tls_server *server, int fd)
{
    SSL *ssl = SSL_new(server->context);
    const char *sni;

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && read_request(server, ssl)) {
        sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        strncpy(server->seen.sni, sni ? sni : "", sizeof(server->seen.sni) - 1);
        send_reply(server, ssl);
        end(server, ssl, fd);
    } else {
        close_gently(server, fd);
    }
    SSL_free(ssl);
}

static void
serve(struct tls_server *server, int fd)
{
    const char *head = server->script->head;

    switch (server->script->ending) {
    case END_AT_ACCEPT:
        close_gently(server, fd);
        break;
    case RESET_AT_ACCEPT:
        wait_for(server, fd, LINGER_MS);
        close_with_reset(fd);
        break;
    case NO_TLS:
        memset(server->seen.request, 0, sizeof(server->seen.request));
        if (read(fd, server->seen.request, sizeof(server->seen.request) - 1) > 0 &&
            write(fd, head, strlen(head)) > 0)
            close_gently(server, fd);
        break;
    case SILENT_AT_ACCEPT:
        assert(server->held_count < HELD_MAX);
        server->held[server->held_count++] = fd;
        break;
    default:
        serve_tls(server, fd);
        break;
    }
}

static void *
run(void *arg)
{
    struct tls_server *server = arg;
    struct timeval patience = {.tv_sec = 5};
    int fd;

    while (!is_stopped(server)) {
        if (!wait_for(server, server->listen_fd, -1))
            continue;
        fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        server->connections++;
        serve(server, fd);
    }
    return NULL;
}

static void
listen_on(struct tls_server *server, const char *address, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
    struct sockaddr *name = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t len = is_v6 ? sizeof(v6) : sizeof(v4);
    const int on = 1;
    int bound;

    inet_pton(AF_INET, address, &v4.sin_addr);
    server->listen_fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bound = bind(server->listen_fd, name, len);
    assert(bound == 0);
    listen(server->listen_fd, HELD_MAX);
    getsockname(server->listen_fd, name, &len);
    server->port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
}

struct tls_server *
tls_server_start(const char *address, uint16_t port, SSL_CTX *context,
                 const struct tls_script *script)
{
    struct tls_server *server = calloc(1, sizeof(*server));

    server->script = script;
    server->context = context;
    if (script->version != 0) {
        SSL_CTX_set_min_proto_version(context, script->version);
        SSL_CTX_set_max_proto_version(context, script->version);
        SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
    }
    server->stop_fd = eventfd(0, EFD_CLOEXEC);
    listen_on(server, address, port);
    pthread_create(&server->thread, NULL, run, server);
    return server;
}

uint16_t
tls_server_port(const struct tls_server *server)
{
    return server->port;
}

size_t
tls_server_connections(struct tls_server *server)
{
    return server->connections;
}

void
tls_server_stop(struct tls_server *server, struct tls_seen *seen)
{
    eventfd_write(server->stop_fd, 1);
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->held_count; i++)
        close(server->held[i]);
    close(server->listen_fd);
    close(server->stop_fd);
    SSL_CTX_free(server->context);
    server->seen.connections = server->connections;
    if (seen != NULL)
        *seen = server->seen;
    free(server);
}
