#include "tests/fake/dns_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/alloc.h"

enum { QUERY_MAX = 1024, HEADER_SIZE = 12, DRIBBLE = 100 };

struct dns_server {
    char spec[64];
    int fd; /* UDP */
    struct event *datagram;
    struct evconnlistener *listener;
    dns_step *const *steps;
    int asked, asked_by_tcp;
    bool forges, dribbles;
    struct packet reply;
};

void
dns_server_silent(struct packet *reply, const struct dns_question *question)
{
    (void)question;
    reply->len = 0;
}

/* The reply to `query` is in server->reply afterwards. */
static void
make_reply(struct dns_server *server, const uint8_t *query, size_t len, bool by_tcp)
{
    const struct dns_question question = {query, len, by_tcp, query[11] == 1};
    dns_step *step = *server->steps;

    if (server->steps[1] != NULL)
        server->steps++;
    server->asked++;
    server->asked_by_tcp += by_tcp;
    packet_reply(&server->reply, query, len, 0);
    step(&server->reply, &question);
}

static void
send_reply(struct dns_server *server, const struct sockaddr_in *to)
{
    const struct packet *reply = &server->reply;

    sendto(server->fd, reply->bytes, reply->len, 0, (const struct sockaddr *)to, sizeof(*to));
}

static void
send_forged(struct dns_server *server, const struct sockaddr_in *to)
{
    server->reply.bytes[0] ^= 0x55;
    send_reply(server, to);
    server->reply.bytes[0] ^= 0x55;
    server->reply.bytes[HEADER_SIZE + 1] ^= 0x01;
    send_reply(server, to);
    server->reply.bytes[HEADER_SIZE + 1] ^= 0x01;
}

static void
on_datagram(evutil_socket_t fd, short what, void *arg)
{
    struct dns_server *server = arg;
    uint8_t query[QUERY_MAX];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t len = recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);

    (void)what;
    if (len < HEADER_SIZE)
        return;
    make_reply(server, query, (size_t)len, false);
    if (server->reply.len == 0)
        return;
    if (server->forges)
        send_forged(server, &from);
    send_reply(server, &from);
}

/* One query on one TCP connection. */
struct connection {
    struct dns_server *server;
    int fd;
    struct event *event;
    uint8_t out[2 + PACKET_MAX];
    size_t len, sent;
};

static void
connection_free(struct connection *c)
{
    event_free(c->event);
    close(c->fd);
    free(c);
}

static void
watch(struct connection *c, short what, event_callback_fn on_ready)
{
    struct event_base *base = event_get_base(c->server->datagram);

    if (c->event != NULL)
        event_free(c->event);
    c->event = event_new(base, c->fd, (short)(what | EV_PERSIST), on_ready, c);
    event_add(c->event, NULL);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;
    size_t left = c->len - c->sent;

    if (c->server->dribbles && left > DRIBBLE)
        left = c->sent == 0 ? 1 : DRIBBLE; /* the length itself comes in two pieces */
    ssize_t len = send(fd, c->out + c->sent, left, MSG_NOSIGNAL);

    (void)what;
    if (len > 0)
        c->sent += (size_t)len;
    if (len < 0 || c->sent == c->len)
        connection_free(c);
}

/* The resolver writes prefix and query at once, so they are read at once. */
static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *c = arg;
    uint8_t in[2 + QUERY_MAX];
    ssize_t len = recv(fd, in, sizeof(in), 0);

    (void)what;
    if (len < 2 + HEADER_SIZE) {
        connection_free(c);
        return;
    }
    assert(len == 2 + (in[0] << 8 | in[1]));
    make_reply(c->server, in + 2, (size_t)len - 2, true);
    if (c->server->reply.len == 0) {
        connection_free(c);
        return;
    }
    c->len = 2 + c->server->reply.len;
    c->out[0] = (uint8_t)(c->server->reply.len >> 8);
    c->out[1] = (uint8_t)c->server->reply.len;
    memcpy(c->out + 2, c->server->reply.bytes, c->server->reply.len);
    watch(c, EV_WRITE, on_writable);
}

static void
on_connection(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
              int from_len, void *arg)
{
    struct connection *c = alloc_zero(1, sizeof(*c));

    (void)listener;
    (void)from;
    (void)from_len;
    c->server = arg;
    c->fd = fd;
    watch(c, EV_READ, on_readable);
}

/* UDP and TCP on the same port; another program may just have taken the TCP one. */
static bool
bind_port(struct dns_server *server, struct event_base *base)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *address = (struct sockaddr *)&at;
    socklen_t len = sizeof(at);

    server->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert(server->fd >= 0 && bind(server->fd, address, len) == 0);
    assert(getsockname(server->fd, address, &len) == 0);
    server->listener = evconnlistener_new_bind(base, on_connection, server, LEV_OPT_CLOSE_ON_FREE,
                                               64, address, sizeof(at));
    if (server->listener == NULL) {
        close(server->fd);
        return false;
    }
    snprintf(server->spec, sizeof(server->spec), "inet:%d@127.0.0.1", ntohs(at.sin_port));
    return true;
}

struct dns_server *
dns_server_new(struct event_base *base, dns_step *const *steps)
{
    struct dns_server *server = alloc_zero(1, sizeof(*server));
    int room = 1 << 22; /* for a burst of queries */

    while (!bind_port(server, base))
        ;
    setsockopt(server->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
    server->steps = steps;
    server->datagram = event_new(base, server->fd, EV_READ | EV_PERSIST, on_datagram, server);
    event_add(server->datagram, NULL);
    return server;
}

void
dns_server_free(struct dns_server *server)
{
    if (server == NULL)
        return;
    event_free(server->datagram);
    evconnlistener_free(server->listener);
    close(server->fd);
    free(server);
}

char *
dns_server_spec(struct dns_server *server)
{
    return server->spec;
}

int
dns_server_asked(const struct dns_server *server)
{
    return server->asked;
}

int
dns_server_asked_by_tcp(const struct dns_server *server)
{
    return server->asked_by_tcp;
}

void
dns_server_forge(struct dns_server *server)
{
    server->forges = true;
}

void
dns_server_dribble(struct dns_server *server)
{
    server->dribbles = true;
}
