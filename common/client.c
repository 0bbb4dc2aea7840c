#include "common/client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/proto.h"

enum { CLOSED = -1, READ_SIZE = 4096, BACKLOG_WAIT_MS = 10, FAULT_SIZE = 160 };

struct client {
    struct sockspec spec;
    size_t reply_max;
    int fd; /* CLOSED, or connected and nothing is outstanding on it */
    struct buf in;
    int error; /* errno of CLIENT_NO_CONNECTION and NO_PERMISSION; 0: the daemon closed it */
    char fault[FAULT_SIZE];
};

struct client *
client_new(const struct sockspec *spec, size_t reply_max)
{
    struct client *c = alloc_zero(1, sizeof *c);

    c->spec = *spec;
    c->reply_max = reply_max;
    c->fd = CLOSED;
    buf_init(&c->in, reply_max + PROTO_HEAD_MAX);
    return c;
}

static void
disconnect(struct client *c)
{
    if (c->fd != CLOSED)
        close(c->fd);
    c->fd = CLOSED;
}

void
client_free(struct client *c)
{
    if (c == NULL)
        return;
    disconnect(c);
    buf_done(&c->in);
    free(c);
}

static int
left_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_boot_ms();

    return left > 0 ? (int)left : 0;
}

static enum client_status
fail(struct client *c, int error)
{
    c->error = error;
    return error == EACCES || error == EPERM ? CLIENT_NO_PERMISSION : CLIENT_NO_CONNECTION;
}

/* Waits until `events` are possible, at most until the deadline; looks once when it has passed. */
static enum client_status
wait_for(struct client *c, short events, int64_t deadline_ms)
{
    struct pollfd p = {.fd = c->fd, .events = events};
    int n;

    do
        n = poll(&p, 1, left_ms(deadline_ms));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail(c, errno);
    return n == 0 ? CLIENT_TIMEOUT : CLIENT_OK;
}

/* A unix socket whose backlog is full says EAGAIN and raises no event when there is room. */
static enum client_status
start_connect(struct client *c, int64_t deadline_ms)
{
    while ((c->fd = sockspec_connect(&c->spec)) < 0) {
        int left = left_ms(deadline_ms);

        if (errno != EAGAIN && errno != EINTR)
            return fail(c, errno);
        if (left == 0)
            return CLIENT_TIMEOUT;
        poll(NULL, 0, left < BACKLOG_WAIT_MS ? left : BACKLOG_WAIT_MS);
    }
    return CLIENT_OK;
}

static enum client_status
connect_to(struct client *c, int64_t deadline_ms)
{
    enum client_status status = start_connect(c, deadline_ms);
    int error = 0;
    socklen_t len = sizeof error;

    if (status == CLIENT_OK)
        status = wait_for(c, POLLOUT, deadline_ms);
    if (status == CLIENT_OK && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    return error != 0 ? fail(c, error) : status;
}

static enum client_status
send_all(struct client *c, const struct buf *frame, int64_t deadline_ms)
{
    for (size_t at = 0; at < frame->len;) {
        ssize_t n = send(c->fd, frame->data + at, frame->len - at, MSG_NOSIGNAL);

        if (n > 0)
            at += (size_t)n;
        else if (errno == EAGAIN) {
            enum client_status status = wait_for(c, POLLOUT, deadline_ms);
            if (status != CLIENT_OK)
                return status;
        } else if (errno != EINTR)
            return fail(c, errno);
    }
    return CLIENT_OK;
}

/* Appends what has come, waiting for something if need be. */
static enum client_status
receive_some(struct client *c, int64_t deadline_ms)
{
    size_t room = c->in.max - c->in.len;
    char *to = buf_room(&c->in, room < READ_SIZE ? room : READ_SIZE);

    for (;;) {
        enum client_status status = wait_for(c, POLLIN, deadline_ms);
        ssize_t n;

        if (status != CLIENT_OK)
            return status;
        n = recv(c->fd, to, room < READ_SIZE ? room : READ_SIZE, 0);
        if (n > 0) {
            buf_advance(&c->in, (size_t)n);
            return CLIENT_OK;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return fail(c, n == 0 ? 0 : errno);
    }
}

/* Nothing was asked for beyond the one reply: more bytes mean that we are out of step. */
static enum client_status
receive_reply(struct client *c, int64_t deadline_ms, struct buf *reply)
{
    enum proto_frame state;
    struct span payload;
    size_t used = 0;

    buf_reset(&c->in);
    do {
        enum client_status status = receive_some(c, deadline_ms);
        if (status != CLIENT_OK)
            return status;
        state = proto_decode(c->in.data, c->in.len, c->reply_max, &payload, &used);
    } while (state == PROTO_PARTIAL);
    if (state == PROTO_BAD || used != c->in.len)
        return CLIENT_BAD_REPLY;
    buf_add(reply, payload.at, payload.len);
    return buf_failed(reply) ? CLIENT_BAD_REPLY : CLIENT_OK;
}

static enum client_status
try_once(struct client *c, const struct buf *frame, int64_t deadline_ms, struct buf *reply)
{
    enum client_status status = c->fd == CLOSED ? connect_to(c, deadline_ms) : CLIENT_OK;

    buf_reset(reply);
    if (status == CLIENT_OK)
        status = send_all(c, frame, deadline_ms);
    if (status == CLIENT_OK)
        status = receive_reply(c, deadline_ms, reply);
    if (status != CLIENT_OK) {
        disconnect(c);
        buf_reset(reply);
    }
    return status;
}

/* A kept connection on which something waits to be read was closed, or holds what is no answer
 * of ours: it must not be taken for the next one. */
static bool
is_usable(const struct client *c)
{
    char byte;

    return c->fd != CLOSED && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EINTR);
}

enum client_status
client_ask(struct client *c, const char *request, size_t len, int timeout_ms, struct buf *reply)
{
    int64_t deadline_ms = clock_boot_ms() + timeout_ms;
    enum client_status status;
    struct buf frame;
    bool was_kept;

    buf_init(&frame, len + PROTO_HEAD_MAX);
    proto_encode(&frame, request, len);
    if (!is_usable(c))
        disconnect(c);
    was_kept = c->fd != CLOSED;
    status = try_once(c, &frame, deadline_ms, reply);
    if (was_kept && status != CLIENT_OK && status != CLIENT_TIMEOUT)
        status = try_once(c, &frame, deadline_ms, reply);
    buf_done(&frame);
    return status;
}

const char *
client_status_text(enum client_status status)
{
    static const char *const texts[] = {
        [CLIENT_OK] = "the cache daemon answered",
        [CLIENT_NO_CONNECTION] = "the cache daemon cannot be reached",
        [CLIENT_NO_PERMISSION] = "the socket of the cache daemon may not be used",
        [CLIENT_TIMEOUT] = "the cache daemon did not answer in time",
        [CLIENT_BAD_REPLY] = "the cache daemon sent a malformed reply",
    };

    return texts[status];
}

const char *
client_fault(struct client *c, enum client_status status)
{
    const char *text = client_status_text(status);
    bool has_cause = status == CLIENT_NO_CONNECTION || status == CLIENT_NO_PERMISSION;
    char cause[80];

    if (!has_cause)
        return text;
    snprintf(c->fault, sizeof c->fault, "%s: %s", text,
             c->error != 0 ? strerror_r(c->error, cause, sizeof cause)
                           : "it closed the connection");
    return c->fault;
}
