#include "cached/dns_exchange.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cached/dns_screen.h"
#include "common/buf.h"
#include "common/clock.h"

enum {
    PREFIX_SIZE = 2, /* the length before a message on TCP */
    /* Without a socket (too many open files, no route) a try fails, but not at once: the next one
     * would fare no better. */
    NO_SOCKET_MS = 50
};

struct dns_exchange {
    struct event_base *base;
    struct dns_query query;
    struct sockspec server;
    int fd; /* -1: none */
    struct event *io, *deadline;
    const char *late; /* what it means that the deadline comes */
    size_t sent;      /* TCP: bytes of prefix and query */
    struct buf in;    /* TCP: prefix and reply */
    dns_exchange_fn *done;
    void *arg;
};

static void
close_socket(struct dns_exchange *x)
{
    if (x->io != NULL)
        event_free(x->io);
    if (x->fd >= 0)
        close(x->fd);
    x->io = NULL;
    x->fd = -1;
}

static void
exchange_free(struct dns_exchange *x)
{
    close_socket(x);
    event_free(x->deadline);
    buf_done(&x->in);
    free(x);
}

static void
finish(struct dns_exchange *x, const struct dns_reply *reply)
{
    close_socket(x);
    event_del(x->deadline);
    x->done(reply, x->arg);
    exchange_free(x);
}

static void
finish_failed(struct dns_exchange *x, enum sts_error error, const char *why)
{
    finish(x, &(struct dns_reply){.error = error, .why = why});
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct dns_exchange *x = arg;

    (void)fd;
    (void)what;
    finish_failed(x, STS_DNS_TIMEOUT, x->late);
}

static void
watch(struct dns_exchange *x, short what, event_callback_fn on_ready)
{
    if (x->io != NULL)
        event_free(x->io);
    x->io = event_new(x->base, x->fd, (short)(what | EV_PERSIST), on_ready, x);
    event_add(x->io, NULL); /* should it fail, the deadline comes */
}

/* --- TCP ------------------------------------------------------------------------------ */

static void
judge_stream(struct dns_exchange *x, const uint8_t *reply, size_t len)
{
    const char *why;

    switch (dns_screen(x->query.bytes, x->query.len, reply, len, &why)) {
    case DNS_SCREEN_OK:
        finish(x, &(struct dns_reply){.error = STS_OK, .why = "", .bytes = reply, .len = len});
        break;
    case DNS_SCREEN_BAD:
        finish_failed(x, STS_DNS_BAD_REPLY, why);
        break;
    case DNS_SCREEN_TRUNCATED:
        finish_failed(x, STS_DNS_BAD_REPLY, "a reply over TCP is cut");
        break;
    case DNS_SCREEN_OTHER:
        finish_failed(x, STS_DNS_BAD_REPLY, "the reply over TCP is to another question");
        break;
    }
}

static void
on_stream_readable(evutil_socket_t fd, short what, void *arg)
{
    struct dns_exchange *x = arg;
    const uint8_t *in = (const uint8_t *)x->in.data;
    size_t whole = PREFIX_SIZE;

    (void)what;
    if (x->in.len >= PREFIX_SIZE)
        whole += (size_t)in[0] << 8 | in[1];
    char *room = buf_room(&x->in, whole - x->in.len);
    if (room == NULL) {
        finish_failed(x, STS_DNS_BAD_REPLY, "the reply is too large");
        return;
    }
    ssize_t len = recv(fd, room, whole - x->in.len, 0);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        finish_failed(x, STS_DNS_BAD_REPLY, "the TCP connection broke off");
        return;
    }
    buf_advance(&x->in, (size_t)len);
    if (whole > PREFIX_SIZE && x->in.len == whole)
        judge_stream(x, (const uint8_t *)x->in.data + PREFIX_SIZE, whole - PREFIX_SIZE);
}

static void
on_stream_writable(evutil_socket_t fd, short what, void *arg)
{
    struct dns_exchange *x = arg;
    uint8_t message[PREFIX_SIZE + DNS_QUERY_SIZE];
    size_t whole = PREFIX_SIZE + x->query.len;

    (void)what;
    message[0] = (uint8_t)(x->query.len >> 8);
    message[1] = (uint8_t)x->query.len;
    memcpy(message + PREFIX_SIZE, x->query.bytes, x->query.len);
    ssize_t len = send(fd, message + x->sent, whole - x->sent, MSG_NOSIGNAL);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len < 0) {
        finish_failed(x, STS_DNS_TIMEOUT, "the reply is cut and the server does not speak TCP");
        return;
    }
    x->sent += (size_t)len;
    if (x->sent == whole)
        watch(x, EV_READ, on_stream_readable);
}

static void
start_stream(struct dns_exchange *x)
{
    close_socket(x);
    x->fd = sockspec_connect(&x->server);
    if (x->fd < 0)
        finish_failed(x, STS_DNS_TIMEOUT, "the reply is cut and there is no TCP connection");
    else
        watch(x, EV_WRITE, on_stream_writable);
}

/* --- UDP ------------------------------------------------------------------------------ */

static void
on_datagram(evutil_socket_t fd, short what, void *arg)
{
    struct dns_exchange *x = arg;
    uint8_t reply[DNS_REPLY_MAX + 1]; /* one more, so that the screen sees what is too large */
    const char *why;

    (void)what;
    ssize_t len = recv(fd, reply, sizeof(reply), 0);
    if (len < 0) {
        if (errno != EAGAIN && errno != EINTR)
            finish_failed(x, STS_DNS_TIMEOUT, "no DNS server is there");
        return;
    }
    switch (dns_screen(x->query.bytes, x->query.len, reply, (size_t)len, &why)) {
    case DNS_SCREEN_OK:
        finish(x,
               &(struct dns_reply){.error = STS_OK, .why = "", .bytes = reply, .len = (size_t)len});
        break;
    case DNS_SCREEN_BAD:
        finish_failed(x, STS_DNS_BAD_REPLY, why);
        break;
    case DNS_SCREEN_TRUNCATED:
        start_stream(x);
        break;
    case DNS_SCREEN_OTHER:
        break; /* forged or late: the true one may still come */
    }
}

/* Connected, so that the kernel drops what comes from elsewhere; it picks a random port. */
static int
send_datagram(const struct sockspec *server, const struct dns_query *query)
{
    const void *address = &server->addr;
    int fd = socket(server->addr.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (connect(fd, address, server->len) == 0 &&
        send(fd, query->bytes, query->len, MSG_NOSIGNAL) >= 0)
        return fd;
    close(fd);
    return -1;
}

struct dns_exchange *
dns_exchange_start(struct event_base *base, const struct dns_query *query,
                   const struct dns_target *target, dns_exchange_fn *done, void *arg)
{
    struct dns_exchange *x = alloc_zero(1, sizeof(*x));
    int64_t wait_ms = target->timeout_ms;

    x->base = base;
    x->query = *query;
    x->server = target->server;
    x->done = done;
    x->arg = arg;
    x->late = "no reply in time";
    buf_init(&x->in, PREFIX_SIZE + DNS_REPLY_MAX);
    x->fd = send_datagram(&x->server, query);
    if (x->fd >= 0) {
        watch(x, EV_READ, on_datagram);
    } else {
        x->late = "the query could not be sent";
        wait_ms = NO_SOCKET_MS;
    }
    x->deadline = evtimer_new(base, on_deadline, x);
    const struct timeval wait = clock_timeval(wait_ms);
    evtimer_add(x->deadline, &wait);
    return x;
}

void
dns_exchange_cancel(struct dns_exchange *x)
{
    if (x != NULL)
        exchange_free(x);
}
