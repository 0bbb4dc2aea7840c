#include "tests/fake/tls_server.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fake/tls_listener.h"

enum { HELD_MAX = 300, DRIP_MS = 50, LINGER_MS = 2000 };

struct tls_server {
    struct tls_listener listener;
    const struct tls_script *script;
    struct tls_seen seen;
    int held[HELD_MAX];
    size_t held_count;
};

static bool
wait_for(struct tls_server *server, int fd, int timeout_ms)
{
    return tls_listener_wait(&server->listener, fd, timeout_ms);
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
    while (!tls_listener_is_stopped(&server->listener) && SSL_write(ssl, "x", 1) == 1)
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
    SSL *ssl = SSL_new(server->listener.context);
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
serve(void *arg, int fd)
{
    struct tls_server *server = arg;
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

struct tls_server *
tls_server_start(const char *address, uint16_t port, SSL_CTX *context,
                 const struct tls_script *script)
{
    struct tls_server *server = calloc(1, sizeof(*server));

    server->script = script;
    tls_listener_start(&server->listener, address, port, context, script->version, serve, server);
    return server;
}

uint16_t
tls_server_port(const struct tls_server *server)
{
    return server->listener.port;
}

size_t
tls_server_connections(struct tls_server *server)
{
    return server->listener.connections;
}

void
tls_server_stop(struct tls_server *server, struct tls_seen *seen)
{
    tls_listener_stop(&server->listener);
    for (size_t i = 0; i < server->held_count; i++)
        close(server->held[i]);
    server->seen.connections = server->listener.connections;
    if (seen != NULL)
        *seen = server->seen;
    free(server);
}
