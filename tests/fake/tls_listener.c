#include "tests/fake/tls_listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 300 };

bool
tls_listener_wait(struct tls_listener *l, int fd, int timeout_ms)
{
    struct pollfd polls[2] = {{.fd = l->stop_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};

    poll(polls, 2, timeout_ms);
    return polls[0].revents == 0 && polls[1].revents != 0;
}

bool
tls_listener_is_stopped(struct tls_listener *l)
{
    struct pollfd stop = {.fd = l->stop_fd, .events = POLLIN};

    return poll(&stop, 1, 0) > 0;
}

static void *
run(void *arg)
{
    struct tls_listener *l = arg;
    struct timeval patience = {.tv_sec = 5};
    int fd;

    while (!tls_listener_is_stopped(l)) {
        if (!tls_listener_wait(l, l->fd, -1))
            continue;
        fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        l->connections++;
        l->serve(l->server, fd);
    }
    return NULL;
}

static void
listen_on(struct tls_listener *l, const char *address, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
    struct sockaddr *name = is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
    socklen_t len = is_v6 ? sizeof(v6) : sizeof(v4);
    const int on = 1;
    int bound;

    inet_pton(AF_INET, address, &v4.sin_addr);
    l->fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bound = bind(l->fd, name, len);
    assert(bound == 0);
    (void)bound;
    listen(l->fd, BACKLOG);
    getsockname(l->fd, name, &len);
    l->port = ntohs(is_v6 ? v6.sin6_port : v4.sin_port);
}

void
tls_listener_start(struct tls_listener *l, const char *address, uint16_t port, SSL_CTX *context,
                   int version, void (*serve)(void *server, int fd), void *server)
{
    l->context = context;
    l->serve = serve;
    l->server = server;
    if (version != 0) {
        SSL_CTX_set_min_proto_version(context, version);
        SSL_CTX_set_max_proto_version(context, version);
        SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
    }
    l->stop_fd = eventfd(0, EFD_CLOEXEC);
    listen_on(l, address, port);
    pthread_create(&l->thread, NULL, run, l);
}

void
tls_listener_stop(struct tls_listener *l)
{
    eventfd_write(l->stop_fd, 1);
    pthread_join(l->thread, NULL);
    close(l->fd);
    close(l->stop_fd);
    SSL_CTX_free(l->context);
}
