#include "tests/fake/fake_redis.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

enum { PEERS_MAX = 64, COMMANDS_MAX = 4096, COMMAND_SIZE = 1024 };

struct peer {
    struct fake_redis *server;
    struct bufferevent *bev; /* NULL: the place is free */
    bool subscribed;
    char command[COMMAND_SIZE];
    long words, bytes; /* still to come: of the command; of the word, -1: its length */
};

struct fake_redis {
    struct event_base *base;
    struct evconnlistener *listener;
    const struct fake_reply *table;
    struct peer peers[PEERS_MAX];
    char *commands[COMMANDS_MAX];
    int taken, asked, port;
    char spec[64];
};

static bool
begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static void
drop(struct peer *peer)
{
    if (peer->bev != NULL)
        bufferevent_free(peer->bev);
    peer->bev = NULL;
    peer->subscribed = false;
}

static void
answer(struct peer *peer)
{
    struct fake_redis *server = peer->server;
    const struct fake_reply *row = server->table;
    const char *reply = "-ERR unknown command\r\n";

    assert(server->asked < COMMANDS_MAX);
    server->commands[server->asked++] = alloc_string(peer->command);
    while (row->command != NULL && !begins(peer->command, row->command))
        row++;
    if (row->command != NULL) {
        reply = row->reply;
    } else if (begins(peer->command, "SUBSCRIBE ")) {
        peer->subscribed = true;
        reply = "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n";
    }
    if (reply != NULL)
        bufferevent_write(peer->bev, reply, strlen(reply));
}

/* One line or one word; false when it has not come whole. */
static bool
take_part(struct peer *peer, struct evbuffer *in)
{
    size_t used = strlen(peer->command);
    char *line;

    if (peer->words > 0 && peer->bytes >= 0) {
        if (evbuffer_get_length(in) < (size_t)peer->bytes + 2)
            return false;
        assert(used + 1 + (size_t)peer->bytes < COMMAND_SIZE);
        if (used > 0)
            peer->command[used++] = ' ';
        evbuffer_remove(in, peer->command + used, (size_t)peer->bytes);
        peer->command[used + (size_t)peer->bytes] = '\0';
        evbuffer_drain(in, 2);
        peer->bytes = -1;
        if (--peer->words == 0)
            answer(peer);
        return true;
    }
    line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF_STRICT);
    if (line == NULL)
        return false;
    assert(line[0] == (peer->words == 0 ? '*' : '$'));
    if (peer->words > 0) {
        peer->bytes = atol(line + 1);
    } else {
        peer->words = atol(line + 1);
        peer->bytes = -1;
        peer->command[0] = '\0';
    }
    free(line);
    return true;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
    struct peer *peer = arg;

    while (peer->bev == bev && take_part(peer, bufferevent_get_input(bev)))
        continue;
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev, (void)what;
    drop(arg);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len,
          void *arg)
{
    struct fake_redis *server = arg;
    struct peer *peer = server->peers;

    (void)listener, (void)from, (void)len;
    while (peer->bev != NULL)
        peer++;
    assert(peer < server->peers + PEERS_MAX);
    server->taken++;
    *peer = (struct peer){.server = server, .bytes = -1};
    peer->bev = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(peer->bev, on_read, NULL, on_event, peer);
    bufferevent_enable(peer->bev, EV_READ | EV_WRITE);
}

struct fake_redis *
fake_redis_new(struct event_base *base, const struct fake_reply *table)
{
    struct fake_redis *server = alloc_zero(1, sizeof *server);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;

    server->base = base;
    server->table = table;
    server->listener = evconnlistener_new_bind(base, on_accept, server, LEV_OPT_CLOSE_ON_FREE, 16,
                                               (struct sockaddr *)&in, sizeof in);
    assert(server->listener != NULL);
    getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&in, &len);
    server->port = ntohs(in.sin_port);
    snprintf(server->spec, sizeof server->spec, "inet:%d@127.0.0.1", server->port);
    return server;
}

void
fake_redis_cut(struct fake_redis *server)
{
    for (size_t i = 0; i < PEERS_MAX; i++)
        drop(&server->peers[i]);
}

void
fake_redis_free(struct fake_redis *server)
{
    if (server == NULL)
        return;
    fake_redis_cut(server);
    evconnlistener_free(server->listener);
    for (int i = 0; i < server->asked; i++)
        free(server->commands[i]);
    free(server);
}

void
fake_redis_set(struct fake_redis *server, const struct fake_reply *table)
{
    server->table = table;
}

void
fake_redis_publish(struct fake_redis *server, const char *channel, const char *text)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        if (server->peers[i].subscribed)
            evbuffer_add_printf(bufferevent_get_output(server->peers[i].bev),
                                "*3\r\n$7\r\nmessage\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                                strlen(channel), channel, strlen(text), text);
    }
}

char *
fake_redis_spec(struct fake_redis *server)
{
    return server->spec;
}

int
fake_redis_port(const struct fake_redis *server)
{
    return server->port;
}

int
fake_redis_taken(const struct fake_redis *server)
{
    return server->taken;
}

int
fake_redis_open(const struct fake_redis *server)
{
    int count = 0;

    for (size_t i = 0; i < PEERS_MAX; i++)
        count += server->peers[i].bev != NULL;
    return count;
}

int
fake_redis_subscribed(const struct fake_redis *server)
{
    int count = 0;

    for (size_t i = 0; i < PEERS_MAX; i++)
        count += server->peers[i].subscribed;
    return count;
}

int
fake_redis_asked(const struct fake_redis *server, const char *command)
{
    int count = 0;

    for (int i = 0; i < server->asked; i++)
        count += begins(server->commands[i], command);
    return count;
}
