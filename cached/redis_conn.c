#include "cached/redis_conn.h"
#include "common/clock.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { CONNECT_MIN_MS = 250, READ_SIZE = 16 * 1024, WHY_SIZE = 200, COMMAND_MAX = 4 * 1024 * 1024 };

enum state { CONNECTING, GREETING, UP, DOWN };

/* A command whose reply is outstanding. */
struct pending {
    TAILQ_ENTRY(pending) link;
    redis_reply_fn *reply;
    void *arg;
    int64_t timeout_ms;
    bool written;
};

TAILQ_HEAD(pending_list, pending);

struct redis_conn {
    struct event_base *base;
    struct bufferevent *bev;
    struct resp_reader *reader;
    const struct redis_conn_events *events;
    void *arg;
    char *username, *password;
    int64_t database, timeout_ms;
    struct event *timer;      /* the next reply is late */
    struct event *later;      /* what must not happen before a call has returned */
    struct pending_list sent; /* in order */
    struct pending_list lost; /* were never sent */
    size_t sent_count, greetings;
    enum state state;
    bool subscribed;
    bool is_tls;
    bool late;     /* once over the time already, by our own fault */
    unsigned busy; /* callbacks under way */
    bool freed;
    char fault[WHY_SIZE]; /* it could not even begin */
    char why[WHY_SIZE];
};

/* --- life ------------------------------------------------------------------------------------- */

static void
free_list(struct pending_list *list)
{
    struct pending *p;

    while ((p = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, p, link);
        free(p);
    }
}

static void
destroy(struct redis_conn *c)
{
    free_list(&c->sent);
    free_list(&c->lost);
    resp_reader_free(c->reader);
    free(c);
}

/* Stops everything that could call back. */
static void
close_all(struct redis_conn *c)
{
    if (c->bev != NULL)
        bufferevent_free(c->bev);
    c->bev = NULL;
    if (c->timer != NULL)
        event_free(c->timer);
    c->timer = NULL;
}

void
redis_conn_free(struct redis_conn *c)
{
    if (c == NULL || c->freed)
        return;
    c->freed = true;
    c->state = DOWN;
    close_all(c);
    event_free(c->later);
    c->later = NULL;
    if (c->password != NULL)
        memset(c->password, 0, strlen(c->password));
    free(c->username);
    free(c->password);
    if (c->busy == 0)
        destroy(c);
}

static void
enter(struct redis_conn *c)
{
    c->busy++;
}

/* False when the connection is gone by now. */
static bool
leave(struct redis_conn *c)
{
    if (--c->busy > 0 || !c->freed)
        return !c->freed;
    destroy(c);
    return false;
}

/* Those that are in the list by now: a callback may send more. */
static void
lose(struct redis_conn *c, struct pending_list *list)
{
    struct pending *p, *last = TAILQ_LAST(list, pending_list);
    bool more = last != NULL;

    while (more && !c->freed && (p = TAILQ_FIRST(list)) != NULL) {
        more = p != last;
        redis_reply_fn *reply = p->reply;
        void *arg = p->arg;

        TAILQ_REMOVE(list, p, link);
        free(p);
        if (reply != NULL)
            reply(NULL, arg);
    }
}

/* The end: first every command hears of it, then the owner. */
static void
go_down(struct redis_conn *c, const char *why)
{
    if (c->state == DOWN)
        return;
    snprintf(c->why, sizeof c->why, "%s", why);
    c->state = DOWN;
    close_all(c);
    enter(c);
    lose(c, &c->sent);
    lose(c, &c->lost);
    if (!c->freed)
        c->events->down(c->why, c->arg);
    (void)leave(c);
}

/* --- time ------------------------------------------------------------------------------------- */

static void
arm(struct redis_conn *c, int64_t ms)
{
    struct timeval wait = clock_timeval(ms);

    evtimer_add(c->timer, &wait);
}

/* While it is not up one time-out covers all; then each next reply has its own. */
static void
watch_next(struct redis_conn *c)
{
    struct pending *next = TAILQ_FIRST(&c->sent);

    c->late = false;
    if (c->state != UP)
        return;
    if (next != NULL)
        arm(c, next->timeout_ms);
    else
        evtimer_del(c->timer);
}

/* There is something to read, or we have not written yet: it is us who are late. */
static bool
is_waiting_for_us(const struct redis_conn *c)
{
    bool unsent = evbuffer_get_length(bufferevent_get_output(c->bev)) > 0;
    struct pollfd fd = {.fd = bufferevent_getfd(c->bev),
                        .events = c->state == CONNECTING || unsent ? POLLIN | POLLOUT : POLLIN};

    return fd.fd >= 0 && poll(&fd, 1, 0) > 0;
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
    struct redis_conn *c = arg;

    (void)fd, (void)what;
    if (is_waiting_for_us(c) && !c->late) {
        c->late = true;
        arm(c, c->timeout_ms);
        return;
    }
    go_down(c, c->state == CONNECTING ? "no connection in time" : "no reply in time");
}

static void
on_later(evutil_socket_t fd, short what, void *arg)
{
    struct redis_conn *c = arg;

    (void)fd, (void)what;
    enter(c);
    lose(c, &c->lost);
    if (leave(c) && c->state != DOWN && c->fault[0] != '\0')
        go_down(c, c->fault);
}

static void
act_later(struct redis_conn *c)
{
    if (c->later != NULL)
        event_add(c->later, &(struct timeval){0, 0});
}

/* --- commands --------------------------------------------------------------------------------- */

static struct pending *
pending_new(redis_reply_fn *reply, void *arg, int64_t timeout_ms)
{
    struct pending *p = alloc_zero(1, sizeof *p);

    p->reply = reply;
    p->arg = arg;
    p->timeout_ms = timeout_ms;
    return p;
}

static bool
write_command(struct redis_conn *c, const struct span *arguments, size_t count)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);
    struct buf bytes;
    bool written;

    if (c->sent_count >= REDIS_CONN_PENDING_MAX || evbuffer_get_length(out) > REDIS_CONN_UNSENT_MAX)
        return false;
    buf_init(&bytes, COMMAND_MAX);
    resp_write(&bytes, arguments, count);
    written = !buf_failed(&bytes) && bufferevent_write(c->bev, bytes.data, bytes.len) == 0;
    buf_done(&bytes);
    return written;
}

static void
send_command(struct redis_conn *c, const struct span *arguments, size_t count, int64_t timeout_ms,
             redis_reply_fn *reply, void *arg)
{
    struct pending *p = pending_new(reply, arg, timeout_ms > 0 ? timeout_ms : c->timeout_ms);

    if (c->bev == NULL || !write_command(c, arguments, count)) {
        TAILQ_INSERT_TAIL(&c->lost, p, link);
        act_later(c);
        return;
    }
    TAILQ_INSERT_TAIL(&c->sent, p, link);
    if (c->sent_count++ == 0)
        watch_next(c);
}

void
redis_conn_send(struct redis_conn *c, const struct span *arguments, size_t count,
                int64_t timeout_ms, redis_reply_fn *reply, void *arg)
{
    struct pending *p;

    if (c->state == UP) {
        send_command(c, arguments, count, timeout_ms, reply, arg);
        return;
    }
    p = pending_new(reply, arg, 0);
    TAILQ_INSERT_TAIL(&c->lost, p, link); /* a macro that names it four times */
    act_later(c);
}

void
redis_conn_subscribe(struct redis_conn *c, const char *channel)
{
    struct span arguments[] = {{"SUBSCRIBE", 9}, {channel, strlen(channel)}};

    c->subscribed = true;
    redis_conn_send(c, arguments, 2, 0, NULL, NULL);
}

bool
redis_conn_is_up(const struct redis_conn *c)
{
    return c->state == UP;
}

/* --- AUTH and SELECT -------------------------------------------------------------------------- */

static void
be_up(struct redis_conn *c)
{
    c->state = UP;
    watch_next(c);
    if (TAILQ_EMPTY(&c->sent))
        evtimer_del(c->timer);
    c->events->up(c->arg);
}

static void
on_greeting(const struct resp *reply, void *arg)
{
    struct redis_conn *c = arg;
    char why[WHY_SIZE] = "refused: ";

    if (reply == NULL)
        return; /* `down` tells */
    if (resp_type(reply) != RESP_STATUS) {
        resp_say(reply, why, sizeof why);
        go_down(c, why);
    } else if (--c->greetings == 0) {
        be_up(c);
    }
}

static void
greet(struct redis_conn *c)
{
    struct span arguments[3] = {{"AUTH", 4}};
    char number[24];
    size_t count = 1;

    c->state = GREETING;
    if (c->password != NULL) {
        if (c->username != NULL)
            arguments[count++] = (struct span){c->username, strlen(c->username)};
        arguments[count++] = (struct span){c->password, strlen(c->password)};
        c->greetings++;
        send_command(c, arguments, count, 0, on_greeting, c);
    }
    if (c->database != 0) {
        snprintf(number, sizeof number, "%lld", (long long)c->database);
        arguments[0] = (struct span){"SELECT", 6};
        arguments[1] = (struct span){number, strlen(number)};
        c->greetings++;
        send_command(c, arguments, 2, 0, on_greeting, c);
    }
    if (c->greetings == 0)
        be_up(c);
}

/* --- replies ---------------------------------------------------------------------------------- */

static bool
is_message(const struct redis_conn *c, const struct resp *reply)
{
    return c->subscribed && span_is(resp_bytes(resp_item(reply, 0)), "message");
}

static void
take_reply(struct redis_conn *c, const struct resp *reply)
{
    struct pending *p = TAILQ_FIRST(&c->sent);
    redis_reply_fn *fn;
    void *arg;

    if (is_message(c, reply)) {
        if (c->events->message != NULL)
            c->events->message(reply, c->arg);
        return;
    }
    if (p == NULL) {
        go_down(c, "a reply to nothing");
        return;
    }
    TAILQ_REMOVE(&c->sent, p, link);
    c->sent_count--;
    fn = p->reply;
    arg = p->arg;
    free(p);
    watch_next(c);
    if (fn != NULL)
        fn(reply, arg);
}

/* Handles what has come whole; false when it breaks the protocol. */
static bool
take_replies(struct redis_conn *c)
{
    const struct resp *reply;
    enum resp_status status = RESP_AGAIN;

    while (c->state != DOWN && (status = resp_next(c->reader, &reply)) == RESP_READY)
        take_reply(c, reply);
    return status != RESP_BROKEN;
}

static void
on_read(struct bufferevent *bev, void *arg)
{
    struct redis_conn *c = arg;
    char bytes[READ_SIZE];
    bool good = true;
    size_t len;

    enter(c);
    while (good && c->state != DOWN && (len = bufferevent_read(bev, bytes, sizeof bytes)) > 0)
        good = resp_feed(c->reader, bytes, len) && take_replies(c);
    if (leave(c) && !good)
        go_down(c, "bytes that are no reply");
}

/* --- the connection --------------------------------------------------------------------------- */

static void
on_connected(struct redis_conn *c)
{
    int fd = bufferevent_getfd(c->bev), on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* a unix socket has none */
    enter(c);
    greet(c);
    (void)leave(c);
}

/* Only from now on can the server be late with these; for the next one the time begins, unless it
 * was written before: what others send after it is no sign of life from the server. */
static void
on_written(struct bufferevent *bev, void *arg)
{
    struct redis_conn *c = arg;
    struct pending *next = TAILQ_FIRST(&c->sent), *p;

    if (next == NULL || evbuffer_get_length(bufferevent_get_output(bev)) > 0)
        return;
    if (!next->written)
        watch_next(c);
    for (p = TAILQ_LAST(&c->sent, pending_list); p != NULL && !p->written;
         p = TAILQ_PREV(p, pending_list, link))
        p->written = true;
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
    struct redis_conn *c = arg;
    char why[WHY_SIZE] = "closed by the server";

    if (what & BEV_EVENT_CONNECTED) {
        on_connected(c);
        return;
    }
    if (c->is_tls && (what & BEV_EVENT_ERROR)) {
        unsigned long error = bufferevent_get_openssl_error(bev);

        if (error != 0 || c->state == CONNECTING)
            redis_tls_fault(bufferevent_openssl_get_ssl(bev), error, why, sizeof why);
    }
    if (strcmp(why, "closed by the server") == 0 && (what & BEV_EVENT_ERROR) && errno != 0)
        snprintf(why, sizeof why, "%s", strerror(EVUTIL_SOCKET_ERROR()));
    go_down(c, why);
}

static struct bufferevent *
new_bufferevent(struct redis_conn *c, const struct redis_options *options)
{
    enum { FLAGS = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS };
    struct ssl_st *ssl;

    if (options->tls == NULL)
        return bufferevent_socket_new(c->base, -1, FLAGS);
    ssl = redis_tls_session(options->tls, &options->address);
    return ssl != NULL
               ? bufferevent_openssl_socket_new(c->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, FLAGS)
               : NULL;
}

static void
connect_to(struct redis_conn *c, const struct redis_options *options)
{
    struct sockaddr_storage address = options->address.addr;

    c->bev = new_bufferevent(c, options);
    if (c->bev != NULL) {
        bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
        bufferevent_enable(c->bev, EV_READ | EV_WRITE);
        if (bufferevent_socket_connect(c->bev, (struct sockaddr *)&address,
                                       (int)options->address.len) == 0)
            return;
    }
    snprintf(c->fault, sizeof c->fault, "%s", strerror(errno));
    act_later(c);
}

struct redis_conn *
redis_conn_new(struct event_base *base, const struct redis_options *options,
               const struct redis_conn_events *events, void *arg)
{
    struct redis_conn *c = alloc_zero(1, sizeof *c);

    c->base = base;
    c->events = events;
    c->arg = arg;
    c->username = options->username != NULL ? alloc_string(options->username) : NULL;
    c->password = options->password != NULL ? alloc_string(options->password) : NULL;
    c->database = options->database;
    c->timeout_ms = options->timeout_ms;
    c->is_tls = options->tls != NULL;
    c->reader = resp_reader_new();
    TAILQ_INIT(&c->sent);
    TAILQ_INIT(&c->lost);
    c->timer = evtimer_new(base, on_late, c);
    c->later = evtimer_new(base, on_later, c);
    arm(c, c->timeout_ms > CONNECT_MIN_MS ? c->timeout_ms : CONNECT_MIN_MS);
    connect_to(c, options);
    return c;
}
