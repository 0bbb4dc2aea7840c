#include "tests/fake/smtp_server.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fake/tls_listener.h"

struct smtp_server {
    struct tls_listener listener;
    const struct smtp_script *script;
    struct smtp_seen seen;
};

struct session {
    struct smtp_server *server;
    int fd;
    SSL *ssl; /* NULL: in the clear */
};

static bool
wait_for_peer(struct session *s)
{
    return tls_listener_wait(&s->server->listener, s->fd, -1);
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

    while (wait_for_peer(s) && read(s->fd, rest, sizeof(rest)) > 0)
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

    while (used < size - 1 && ((s->ssl != NULL && SSL_pending(s->ssl) > 0) || wait_for_peer(s)) &&
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
    s->ssl = SSL_new(s->server->listener.context);
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
serve(void *arg, int fd)
{
    struct smtp_server *server = arg;
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

struct smtp_server *
smtp_server_start(const char *address, uint16_t port, SSL_CTX *context,
                  const struct smtp_script *script)
{
    struct smtp_server *server = calloc(1, sizeof(*server));

    server->script = script;
    tls_listener_start(&server->listener, address, port, context, script->version, serve, server);
    return server;
}

uint16_t
smtp_server_port(const struct smtp_server *server)
{
    return server->listener.port;
}

size_t
smtp_server_connections(struct smtp_server *server)
{
    return server->listener.connections;
}

void
smtp_server_stop(struct smtp_server *server, struct smtp_seen *seen)
{
    tls_listener_stop(&server->listener);
    server->seen.connections = server->listener.connections;
    if (seen != NULL)
        *seen = server->seen;
    free(server);
}
