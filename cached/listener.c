#include "cached/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cached/settings.h"
#include "cached/turn.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "common/proto.h"
#include "common/sockspec.h"

enum {
    CONTROL_MODE = 0660,
    FIRST_SYSTEMD_FD = 3,
    ACCEPT_BATCH = 64,
    BREATH_MS = 200,
    GROUPS_MAX = 256
};

struct listening {
    struct listeners *all;
    struct event *readable, *again;
    int fd;
    bool control;
    char *path; /* of a unix socket that we made; NULL otherwise */
};

struct listeners {
    struct listening sockets[LISTENER_SOCKETS_MAX];
    size_t socket_count;
    struct conn_service service;
    TAILQ_HEAD(conn_list, conn_link) connections; /* idle longest first */
    size_t count, max;
    struct buf reply; /* for all connections */
    gid_t group;      /* socket-group, or (gid_t)-1 */
};

/* --- opening ------------------------------------------------------------------------------ */

static bool
open_socket(struct listeners *all, const char *text, mode_t mode, char *why, size_t size)
{
    struct listening *l = &all->sockets[all->socket_count];
    struct sockspec spec;
    char reason[160];

    if (all->socket_count == LISTENER_SOCKETS_MAX) {
        snprintf(why, size, "more than %d sockets in listen", LISTENER_SOCKETS_MAX);
        return false;
    }
    if (sockspec_parse(text, &spec, reason, sizeof reason)) {
        if (sockspec_is_unix(&spec))
            l->path = alloc_string(sockspec_path(&spec));
        l->fd = sockspec_listen(&spec, mode, all->group, reason, sizeof reason);
        if (l->fd >= 0) {
            all->socket_count++;
            return true;
        }
    }
    free(l->path);
    l->path = NULL;
    snprintf(why, size, "%s: %s", text, reason);
    return false;
}

/* A handed-over unix socket whose path is that of `control` is the control socket. */
static bool
is_control_socket(int fd, const char *control)
{
    struct sockaddr_un addr = {0};
    socklen_t len = sizeof addr;
    struct sockspec spec;
    char why[160];

    return getsockname(fd, (struct sockaddr *)&addr, &len) == 0 && addr.sun_family == AF_UNIX &&
           sockspec_parse(control, &spec, why, sizeof why) && sockspec_is_unix(&spec) &&
           strcmp(addr.sun_path, sockspec_path(&spec)) == 0;
}

/* Query sockets come from systemd when it hands over any; the control socket is made by us if it
 * is not among them. Returns whether there was any query socket. */
static bool
take_systemd_sockets(struct listeners *all, const struct settings *s, bool *control)
{
    int count = daemon_systemd_sockets();
    bool any = false;

    for (int i = 0; i < count && all->socket_count < LISTENER_SOCKETS_MAX; i++) {
        struct listening *l = &all->sockets[all->socket_count++];
        l->fd = FIRST_SYSTEMD_FD + i;
        (void)evutil_make_socket_nonblocking(l->fd);
        l->control = is_control_socket(l->fd, s->control);
        *control = *control || l->control;
        any = any || !l->control;
    }
    return any;
}

/* The daemon's own user may command, too, so the file must let it. An unknown user is told of when
 * privileges are dropped. */
static bool
give_to_user(const struct listening *l, const char *user, char *why, size_t size)
{
    unsigned uid, gid;

    if (l->path == NULL || user == NULL || geteuid() != 0 || !daemon_find_user(user, &uid, &gid) ||
        lchown(l->path, uid, (gid_t)-1) == 0)
        return true;
    snprintf(why, size, "%s: cannot be given to user %s: %s", l->path, user, strerror(errno));
    return false;
}

static bool
open_all(struct listeners *all, const struct settings *s, char *why, size_t size)
{
    bool control = false;

    if (s->socket_group != NULL && !sockspec_group(s->socket_group, &all->group)) {
        snprintf(why, size, "socket-group: there is no group \"%s\"", s->socket_group);
        return false;
    }
    if (!take_systemd_sockets(all, s, &control)) {
        for (size_t i = 0; i < s->listen.count; i++) {
            if (!open_socket(all, s->listen.items[i], (mode_t)s->socket_mode, why, size))
                return false;
        }
    }
    if (control)
        return true;
    if (!open_socket(all, s->control, CONTROL_MODE, why, size))
        return false;
    all->sockets[all->socket_count - 1].control = true;
    return give_to_user(&all->sockets[all->socket_count - 1], s->user, why, size);
}

struct listeners *
listeners_open(const struct settings *settings, char *why, size_t size)
{
    struct listeners *all = alloc_zero(1, sizeof *all);

    all->group = (gid_t)-1;
    TAILQ_INIT(&all->connections);
    if (open_all(all, settings, why, size))
        return all;
    listeners_close(all);
    return NULL;
}

/* --- who may command ---------------------------------------------------------------------- */

static bool
peer_has_group(int fd, const struct ucred *peer, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t len = sizeof groups;

    if (peer->gid == group)
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return false;
    for (size_t i = 0; i < len / sizeof *groups; i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

static enum conn_kind
kind_of(const struct listening *l, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (!l->control)
        return CONN_QUERY;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return CONN_FORBIDDEN;
    if (peer.uid == 0 || peer.uid == geteuid())
        return CONN_CONTROL;
    if (l->all->group != (gid_t)-1 && peer_has_group(fd, &peer, l->all->group))
        return CONN_CONTROL;
    return CONN_FORBIDDEN;
}

/* --- accepting ------------------------------------------------------------------------------ */

static bool
make_room(struct listeners *all)
{
    struct conn_link *oldest = TAILQ_FIRST(&all->connections);

    if (all->count < all->max)
        return true;
    while (oldest != NULL && !conn_is_idle(oldest->conn))
        oldest = TAILQ_NEXT(oldest, entry); /* a flush of an hour must not be in the way */
    if (oldest == NULL || clock_boot_ms() - oldest->active_ms < LISTENER_IDLE_MIN_S * INT64_C(1000))
        return false;
    conn_close(oldest->conn);
    return true;
}

static void
add_connection(struct listening *l, int fd)
{
    struct listeners *all = l->all;
    struct conn *conn;
    int on = 1;

    if (!make_room(all)) {
        all->service.stats->connections_refused++;
        close(fd);
        return;
    }
    sockspec_keep_alive(fd);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails on unix: fine */
    conn = conn_new(&all->service, fd, kind_of(l, fd));
    TAILQ_INSERT_TAIL(&all->connections, conn_link(conn), entry);
    all->count++;
    all->service.stats->connections_accepted++;
    all->service.stats->connections_open = all->count;
}

static void
on_connection(int fd, short what, void *arg)
{
    struct listening *l = arg;
    struct timeval breath = {.tv_usec = BREATH_MS * 1000};

    (void)what;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            add_connection(l, client);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            event_del(l->readable);
            evtimer_add(l->again, &breath);
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

static void
on_breathed(int fd, short what, void *arg)
{
    struct listening *l = arg;

    (void)fd, (void)what;
    event_add(l->readable, NULL);
}

static void
on_closed(struct conn *conn, void *arg)
{
    struct listeners *all = arg;

    TAILQ_REMOVE(&all->connections, conn_link(conn), entry);
    all->count--;
    all->service.stats->connections_open = all->count;
}

static void
on_active(struct conn *conn, void *arg)
{
    struct listeners *all = arg;

    TAILQ_REMOVE(&all->connections, conn_link(conn), entry);
    TAILQ_INSERT_TAIL(&all->connections, conn_link(conn), entry);
}

void
listeners_start(struct listeners *all, const struct conn_service *service, size_t connections_max)
{
    all->service = *service;
    all->service.on_closed = on_closed;
    all->service.on_active = on_active;
    all->service.arg = all;
    all->service.reply = &all->reply;
    all->service.turn = turn_new(service->base);
    buf_init(&all->reply, PROTO_REPLY_MAX);
    all->max =
        connections_max < LISTENER_CONNECTIONS_MAX ? connections_max : LISTENER_CONNECTIONS_MAX;
    for (size_t i = 0; i < all->socket_count; i++) {
        struct listening *l = &all->sockets[i];
        l->all = all;
        l->readable = event_new(service->base, l->fd, EV_READ | EV_PERSIST, on_connection, l);
        l->again = evtimer_new(service->base, on_breathed, l);
        event_add(l->readable, NULL);
    }
}

void
listeners_set_settings(struct listeners *all, const struct settings *settings)
{
    all->service.settings = settings;
}

/* --- the end -------------------------------------------------------------------------------- */

static void
stop_listening(struct listening *l)
{
    if (l->readable != NULL) {
        event_free(l->readable);
        event_free(l->again);
    }
    l->readable = l->again = NULL;
    /* Before the close: after it another daemon may have bound the path. Not possible any more in a
     * folder of root's; then the next start clears it. */
    if (l->path != NULL)
        (void)unlink(l->path);
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    free(l->path);
    l->path = NULL;
}

void
listeners_drain(struct listeners *all)
{
    struct conn_link *link;

    for (size_t i = 0; i < all->socket_count; i++)
        stop_listening(&all->sockets[i]);
    TAILQ_FOREACH(link, &all->connections, entry)
    conn_drain(link->conn);
}

size_t
listeners_connections(const struct listeners *all)
{
    return all->count;
}

void
listeners_close(struct listeners *all)
{
    struct conn_link *link;

    if (all == NULL)
        return;
    for (size_t i = 0; i < all->socket_count; i++)
        stop_listening(&all->sockets[i]);
    while ((link = TAILQ_FIRST(&all->connections)) != NULL)
        conn_close(link->conn);
    turn_free(all->service.turn);
    buf_done(&all->reply);
    free(all);
}
