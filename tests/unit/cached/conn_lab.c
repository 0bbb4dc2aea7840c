#include "tests/unit/cached/conn_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- the server ------------------------------------------------------------------------------- */

static void
drop_peer(struct conn_lab *t)
{
    if (t->peer != NULL)
        bufferevent_free(t->peer);
    t->peer = NULL;
}

static void
on_peer_written(struct bufferevent *bev, void *arg)
{
    struct conn_lab *t = arg;

    (void)bev;
    if (t->script.then_close && *t->script.bytes == '\0')
        drop_peer(t);
}

/* The next part of the script; byte by byte one goes with each turn of the loop. */
static void
say(struct conn_lab *t)
{
    const char *bytes = t->script.bytes;
    size_t len;

    if (bytes == NULL || bytes[0] == '\0')
        return;
    len = t->script.byte_by_byte ? 1 : strlen(bytes);
    t->script.bytes += len;
    bufferevent_write(t->peer, bytes, len);
}

static void
on_peer_read(struct bufferevent *bev, void *arg)
{
    struct conn_lab *t = arg;

    evbuffer_drain(bufferevent_get_input(bev), SIZE_MAX);
    if (t->script.bytes != NULL)
        say(t);
}

static void
on_peer_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    if (!(what & BEV_EVENT_CONNECTED))
        drop_peer(arg);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len,
          void *arg)
{
    struct conn_lab *t = arg;
    int on = 1;

    (void)listener, (void)from, (void)len;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    t->peer = t->tls != NULL
                  ? bufferevent_openssl_socket_new(t->base, fd, SSL_new(t->tls),
                                                   BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
                  : bufferevent_socket_new(t->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(t->peer, on_peer_read, on_peer_written, on_peer_event, t);
    bufferevent_enable(t->peer, EV_WRITE);
    if (!t->script.deaf)
        bufferevent_enable(t->peer, EV_READ);
    if (t->script.at_once)
        say(t);
}

void
conn_lab_serve(struct conn_lab *t, struct conn_lab_script script)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char spec[64], why[128];
    socklen_t len = sizeof in;

    t->script = script;
    t->listener = evconnlistener_new_bind(t->base, on_accept, t, LEV_OPT_CLOSE_ON_FREE, 16,
                                          (struct sockaddr *)&in, sizeof in);
    assert_non_null(t->listener);
    getsockname(evconnlistener_get_fd(t->listener), (struct sockaddr *)&in, &len);
    snprintf(spec, sizeof spec, "inet:%d@127.0.0.1", ntohs(in.sin_port));
    assert_true(sockspec_parse(spec, &t->options.address, why, sizeof why));
}

void
conn_lab_listen(struct conn_lab *t, bool on)
{
    if (t->peer != NULL)
        (void)(on ? bufferevent_enable(t->peer, EV_READ) : bufferevent_disable(t->peer, EV_READ));
}

/* --- the connection --------------------------------------------------------------------------- */

static void
let_go(struct conn_lab *t, bool wanted)
{
    if (!wanted)
        return;
    redis_conn_free(t->conn);
    t->conn = NULL;
}

static void
on_up(void *arg)
{
    struct conn_lab *t = arg;

    t->ups++;
    assert_true(redis_conn_is_up(t->conn));
    let_go(t, t->frees_in_up);
}

static void
on_down(const char *why, void *arg)
{
    struct conn_lab *t = arg;

    t->downs++;
    snprintf(t->why, sizeof t->why, "%s", why);
    assert_false(redis_conn_is_up(t->conn));
    let_go(t, t->frees_in_down);
}

static void
on_message(const struct resp *message, void *arg)
{
    struct conn_lab *t = arg;
    struct span text = resp_bytes(resp_item(message, 2));

    t->messages++;
    let_go(t, t->frees_in_message);
    /* Borrowed until we return, though the connection is gone by now. */
    snprintf(t->text, sizeof t->text, "%.*s", (int)text.len, text.at);
}

static void
on_reply(const struct resp *reply, void *arg)
{
    struct conn_lab *t = arg;
    struct span text = resp_bytes(reply);

    t->replies++;
    t->nulls += reply == NULL;
    t->downs_at_reply = t->downs;
    if (resp_type(reply) == RESP_INTEGER)
        t->order = resp_integer(reply) == t->order + 1 ? t->order + 1 : -1;
    if (t->sends_in_reply)
        conn_lab_send(t, "AGAIN", NULL);
    let_go(t, t->frees_in_reply);
    snprintf(t->text, sizeof t->text, "%.*s", (int)text.len, text.at);
}

static const struct redis_conn_events events = {
    .up = on_up, .down = on_down, .message = on_message};

void
conn_lab_open(struct conn_lab *t)
{
    t->conn = redis_conn_new(t->base, &t->options, &events, t);
    assert_int_equal(t->ups + t->downs, 0);
}

void
conn_lab_open_to(struct conn_lab *t, struct fake_redis *server)
{
    char why[128];

    assert_true(sockspec_parse(fake_redis_spec(server), &t->options.address, why, sizeof why));
    conn_lab_open(t);
}

void
conn_lab_send(struct conn_lab *t, const char *one, const char *two)
{
    struct span arguments[] = {{one, strlen(one)}, {two, two != NULL ? strlen(two) : 0}};
    int before = t->replies;

    redis_conn_send(t->conn, arguments, two != NULL ? 2 : 1, 0, on_reply, t);
    assert_int_equal(t->replies, before);
}

void
conn_lab_send_for(struct conn_lab *t, const char *word, int64_t timeout_ms)
{
    redis_conn_send(t->conn, &(struct span){word, strlen(word)}, 1, timeout_ms, on_reply, t);
}

/* --- time and life ---------------------------------------------------------------------------- */

int64_t
conn_lab_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
turn_once(struct conn_lab *t)
{
    if (t->peer != NULL && t->script.byte_by_byte && t->script.at_once)
        say(t);
    event_base_loopexit(t->base, &(struct timeval){0, 2000});
    event_base_dispatch(t->base);
}

bool
conn_lab_reaches(struct conn_lab *t, const int *value, int wanted)
{
    int64_t end_ms = conn_lab_now_ms() + CONN_LAB_SOON_MS;

    while (*value < wanted && conn_lab_now_ms() < end_ms)
        turn_once(t);
    return *value >= wanted;
}

void
conn_lab_turn(struct conn_lab *t, int64_t ms)
{
    int64_t end_ms = conn_lab_now_ms() + ms;

    while (conn_lab_now_ms() < end_ms)
        turn_once(t);
}

int
conn_lab_begin(void **state)
{
    struct conn_lab *t = alloc_zero(1, sizeof *t);

    signal(SIGPIPE, SIG_IGN);
    t->base = event_base_new();
    t->options.timeout_ms = CONN_LAB_LATE_MS;
    *state = t;
    return 0;
}

int
conn_lab_end(void **state)
{
    struct conn_lab *t = *state;

    redis_conn_free(t->conn);
    drop_peer(t);
    if (t->listener != NULL)
        evconnlistener_free(t->listener);
    event_base_free(t->base);
    SSL_CTX_free(t->tls);
    free(t);
    return 0;
}
