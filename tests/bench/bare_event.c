/* bare_event - the same server as bare_epoll over libevent's bufferevents, as they come.
 * usage: bare_event SOCKET... */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/proto.h"
#include "common/sockspec.h"
#include "tests/bench/names.h"

static void
on_readable(struct bufferevent *b, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(b);
    size_t len = evbuffer_get_length(in), at = 0, used, out_len;
    const char *bytes = (const char *)evbuffer_pullup(in, -1);
    struct span payload, name, key;
    char out[NAMES_FRAME_SIZE];

    (void)arg;
    while (proto_decode(bytes + at, len - at, PROTO_REQUEST_MAX, &payload, &used) == PROTO_FRAME) {
        proto_split(payload, &name, &key);
        if (key.len == 0 || key.len >= NAMES_SIZE)
            break;
        out_len = names_answer(key.at, key.len, out);
        bufferevent_write(b, out, out_len);
        at += used;
    }
    evbuffer_drain(in, at);
}

static void
on_end(struct bufferevent *b, short what, void *arg)
{
    (void)what, (void)arg;
    bufferevent_free(b);
}

static void
on_accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
            int address_len, void *arg)
{
    struct bufferevent *b =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

    (void)address, (void)address_len, (void)arg;
    bufferevent_setcb(b, on_readable, NULL, on_end, NULL);
    bufferevent_enable(b, EV_READ | EV_WRITE);
}

int
main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    struct sockspec spec;
    char why[128];
    int fd;

    for (int i = 1; i < argc; i++) {
        if (!sockspec_parse(argv[i], &spec, why, sizeof why) ||
            (fd = sockspec_listen(&spec, 0666, (gid_t)-1, why, sizeof why)) < 0) {
            fprintf(stderr, "bare_event: %s: %s\n", argv[i], why);
            return 1;
        }
        if (evconnlistener_new(base, on_accepted, NULL, LEV_OPT_CLOSE_ON_FREE, 0, fd) == NULL)
            return 1;
    }
    event_base_dispatch(base);
    return 1;
}
