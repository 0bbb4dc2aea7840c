#include "tests/fake/smtp_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 100 };

struct smtp_server {
    const struct smtp_script *script;
    SSL_CTX *context;
    int listen_fd, stop_fd;
    uint16_t port;
    pthread_t thread;
    _Atomic size_t connections;
    struct smtp_seen seen;
};

struct session {
    struct smtp_server *server;
    int fd;
    SSL *ssl; /* NULL: in the clear */
};

/* Waits until `fd` can be read; false when the server is to stop. */
static bool
wait_for(struct smtp_server *server, int fd)
{
    struct pollfd polls[2] = {{.fd = server->stop_fd, .events = POLLIN},
                              {.fd = fd, .events = POLLIN}};

    poll(polls, 2, -1);
    return polls[0].revents == 0;
}

static void
note(struct session *s, const char *word)
{
    char *all = s->server->seen.commands;
    size_t used = strlen(all);

    snprintf(all + used, sizeof(s->server->seen.commands) - used, "%s|", word);
}

static ssize_t
get(struct session *s, char *at, size_t len)
{
    return s->ssl != NULL ? SSL_read(s->ssl, at, (int)len) : read(s->fd, at, len);
}

static void
put(struct session *s, const char *bytes, size_t len)
{
    ssize_t sent = 0;

    if (len > 0)
        sent = s->ssl != NULL ? SSL_write(s->ssl, bytes, (int)len)
                              : send(s->fd, bytes, len, MSG_NOSIGNAL);
    (void)sent;
}

static void
hang(struct session *s)
{
    char rest[256];

    while (wait_for(s->server, s->fd) && read(s->fd, rest, sizeof(rest)) > 0)
        continue;
}

/* Says `reply`, or `usual` for NULL, or does what it stands for. False: the session is over. */
static bool
say(struct session *s, const char *reply, const char *usual)
{
    struct linger at_once = {.l_onoff = 1};

    if (reply == NULL)
        reply = usual;
    if (strcmp(reply, SMTP_HANG) == 0)
        hang(s);
    else if (strcmp(reply, SMTP_RESET) == 0)
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    else if (strcmp(reply, SMTP_CUT) != 0) {
        put(s, reply, strlen(reply));
        return true;
    }
    return false;
}

/* Reads one line into `line`; false at the end of the connection. */
static bool
hear(struct session *s, char *line, size_t size)
{
    size_t used = 0;

    while (used < size - 1 &&
           ((s->ssl != NULL && SSL_pending(s->ssl) > 0) || wait_for(s->server, s->fd)) &&
           get(s, line + used, 1) == 1) {
        if (line[used] == '\n') {
            line[used] = '\0';
            line[strcspn(line, "\r")] = '\0';
            note(s, line);
            return true;
        }
        used++;
    }
    return false;
}

static bool
start_tls(struct session *s)
{
    const char *handshake = s->server->script->handshake, *sni;

    if (handshake != NULL && !say(s, handshake, ""))
        return false;
    s->ssl = SSL_new(s->server->context);
    SSL_set_fd(s->ssl, s->fd);
    if (SSL_accept(s->ssl) != 1)
        return false;
    note(s, "[TLS]");
    sni = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
    snprintf(s->server->seen.sni, sizeof(s->server->seen.sni), "%s", sni ? sni : "");
    return true;
}

/* One command and its reply; false: over. */
static bool
serve_command(struct session *s)
{
    const struct smtp_script *script = s->server->script;
    char line[600];

    if (!hear(s, line, sizeof(line)))
        return false;
    if (strncmp(line, "EHLO", 4) == 0 && s->ssl == NULL)
        return say(s, script->ehlo, "250-mx\r\n250-STARTTLS\r\n250 SIZE\r\n");
    if (strncmp(line, "EHLO", 4) == 0)
        return say(s, script->ehlo_in_tls, "250-mx\r\n250 SIZE\r\n");
    if (strcmp(line, "STARTTLS") == 0) {
        if (!say(s, script->starttls, "220 go ahead\r\n"))
            return false;
        return (script->starttls != NULL && strncmp(script->starttls, "220", 3) != 0) ||
               start_tls(s);
    }
    if (strcmp(line, "QUIT") == 0)
        return say(s, script->quit, "221 bye\r\n") && script->quit != NULL;
    return say(s, NULL, "500 what?\r\n");
}

static void
serve(struct smtp_server *server, int fd)
{
    struct session s = {.server = server, .fd = fd};
    const struct smtp_script *script = server->script;

    server->seen.commands[0] = '\0';
    for (size_t i = 0; i < script->times; i++)
        put(&s, script->flood, strlen(script->flood));
    if (say(&s, script->greeting, "220 mx ESMTP\r\n"))
        while (serve_command(&s))
            continue;
    SSL_free(s.ssl);
    close(fd);
}

static void *
run(void *arg)
{
    struct smtp_server *server = arg;
    struct timeval patience = {.tv_sec = 5};
    int fd;

    while (wait_for(server, server->listen_fd)) {
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
listen_on(struct smtp_server *server, const char *address, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof(v4);
    const int on = 1;
    int bound;

    inet_pton(AF_INET, address, &v4.sin_addr);
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bound = bind(server->listen_fd, (struct sockaddr *)&v4, len);
    assert(bound == 0);
    (void)bound;
    listen(server->listen_fd, BACKLOG);
    getsockname(server->listen_fd, (struct sockaddr *)&v4, &len);
    server->port = ntohs(v4.sin_port);
}

struct smtp_server *
smtp_server_start(const char *address, uint16_t port, SSL_CTX *context,
                  const struct smtp_script *script)
{
    struct smtp_server *server = calloc(1, sizeof(*server));

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
smtp_server_port(const struct smtp_server *server)
{
    return server->port;
}

size_t
smtp_server_connections(struct smtp_server *server)
{
    return server->connections;
}

void
smtp_server_stop(struct smtp_server *server, struct smtp_seen *seen)
{
    eventfd_write(server->stop_fd, 1);
    pthread_join(server->thread, NULL);
    close(server->listen_fd);
    close(server->stop_fd);
    SSL_CTX_free(server->context);
    server->seen.connections = server->connections;
    if (seen != NULL)
        *seen = server->seen;
    free(server);
}
