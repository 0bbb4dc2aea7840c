/* bare_epoll - the least that a server of this protocol can do: one thread, one epoll; a read,
 * netstrings parsed, answers made from the name alone, a write. The bench's yardstick.
 * usage: bare_epoll SOCKET... */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/proto.h"
#include "common/sockspec.h"
#include "tests/bench/names.h"

enum { BATCH = 64, IN_SIZE = 16384, OUT_SIZE = 131072, ANSWERS_AT_ONCE = 512 };

struct peer {
    int fd;
    bool listens;
    size_t in_len;
    char in[IN_SIZE];
};

static void
add_peer(int epoll, int fd, bool listens)
{
    struct peer *p = alloc_zero(1, sizeof *p);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};

    p->fd = fd;
    p->listens = listens;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        abort();
}

static void
drop(struct peer *p)
{
    close(p->fd);
    free(p);
}

static void
answer(struct peer *p)
{
    char out[OUT_SIZE];
    size_t out_len = 0, at = 0, used;
    struct span payload, name, key;
    ssize_t n = read(p->fd, p->in + p->in_len, sizeof p->in - p->in_len);

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            drop(p);
        return;
    }
    p->in_len += (size_t)n;
    for (int i = 0;
         i < ANSWERS_AT_ONCE && proto_decode(p->in + at, p->in_len - at, PROTO_REQUEST_MAX,
                                             &payload, &used) == PROTO_FRAME;
         i++) {
        proto_split(payload, &name, &key);
        if (key.len == 0 || key.len >= NAMES_SIZE)
            break;
        out_len += names_answer(key.at, key.len, out + out_len);
        at += used;
    }
    memmove(p->in, p->in + at, p->in_len - at);
    p->in_len -= at;
    if (out_len > 0 && send(p->fd, out, out_len, MSG_NOSIGNAL) != (ssize_t)out_len)
        drop(p);
}

int
main(int argc, char **argv)
{
    struct epoll_event events[BATCH];
    int epoll = epoll_create1(EPOLL_CLOEXEC), fd, n;
    struct sockspec spec;
    char why[128];

    for (int i = 1; i < argc; i++) {
        if (!sockspec_parse(argv[i], &spec, why, sizeof why) ||
            (fd = sockspec_listen(&spec, 0666, (gid_t)-1, why, sizeof why)) < 0) {
            fprintf(stderr, "bare_epoll: %s: %s\n", argv[i], why);
            return 1;
        }
        add_peer(epoll, fd, true);
    }
    while ((n = epoll_wait(epoll, events, BATCH, -1)) >= 0 || errno == EINTR) {
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (!p->listens)
                answer(p);
            else if ((fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
                add_peer(epoll, fd, false);
        }
    }
    return 1;
}
