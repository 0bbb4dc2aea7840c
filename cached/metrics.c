#include "cached/metrics.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"

enum { PAGE_MAX = 256 * 1024, BODY_MAX = 1024, SWEEP_SECONDS = 1 };

/* A connection of evhttp's. It owns the bufferevent; our reference keeps the memory, so that the
 * sweep can see that evhttp has let it go. */
struct guest {
    struct bufferevent *bev;
    int64_t since_ms;
};

struct metrics {
    struct event_base *base;
    struct evhttp *http;
    struct evconnlistener *listener; /* owned by `http` */
    struct event *sweep;
    struct guest guests[METRICS_CONNECTIONS_MAX];
    const struct stats *stats;
    const struct cache *cache;
    struct store *store;
};

/* --- the pages -------------------------------------------------------------------------------- */

static void
send_page(struct evhttp_request *request, const char *type, struct buf *page)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

    evhttp_add_header(headers, "Connection", "close");
    if (buf_failed(page)) {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    } else {
        evhttp_add_header(headers, "Content-Type", type);
        evhttp_add_header(headers, "Cache-Control", "no-store");
        evbuffer_add(evhttp_request_get_output_buffer(request), page->data, page->len);
        evhttp_send_reply(request, HTTP_OK, "OK", NULL);
    }
    buf_done(page);
}

static void
on_metrics(struct evhttp_request *request, void *arg)
{
    const struct metrics *m = arg;
    struct buf page;

    buf_init(&page, PAGE_MAX);
    stats_prometheus(m->stats, m->cache, m->store, &page);
    send_page(request, "text/plain; version=0.0.4; charset=utf-8", &page);
}

static void
on_status(struct evhttp_request *request, void *arg)
{
    const struct metrics *m = arg;
    struct buf page;

    buf_init(&page, PAGE_MAX);
    stats_json(m->stats, m->cache, m->store, &page);
    buf_add_char(&page, '\n');
    send_page(request, "application/json", &page);
}

static void
on_other(struct evhttp_request *request, void *arg)
{
    (void)arg;
    evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
    evhttp_send_error(request, HTTP_NOTFOUND, NULL);
}

/* --- bounds ----------------------------------------------------------------------------------- */

/* evhttp sets callbacks as long as it uses a bufferevent, and bufferevent_free takes them away. */
static bool
guest_has_left(const struct guest *guest)
{
    bufferevent_event_cb on_event = NULL;

    bufferevent_getcb(guest->bev, NULL, NULL, &on_event, NULL);
    return on_event == NULL;
}

static void
forget_guest(struct guest *guest)
{
    bufferevent_decref(guest->bev);
    guest->bev = NULL;
}

static void
forget_who_left(struct metrics *m)
{
    for (size_t i = 0; i < METRICS_CONNECTIONS_MAX; i++) {
        if (m->guests[i].bev != NULL && guest_has_left(&m->guests[i]))
            forget_guest(&m->guests[i]);
    }
}

static struct guest *
free_place(struct metrics *m)
{
    for (size_t i = 0; i < METRICS_CONNECTIONS_MAX; i++) {
        if (m->guests[i].bev == NULL)
            return &m->guests[i];
    }
    return NULL;
}

/* Makes room again; who stays too long is shown the door (evhttp sees the end of the stream). */
static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct metrics *m = arg;
    int64_t limit_ms = clock_boot_ms() - METRICS_SECONDS_MAX * 1000;

    (void)fd;
    (void)what;
    forget_who_left(m);
    for (size_t i = 0; i < METRICS_CONNECTIONS_MAX; i++) {
        struct guest *guest = &m->guests[i];
        if (guest->bev != NULL && guest->since_ms < limit_ms)
            (void)shutdown(bufferevent_getfd(guest->bev), SHUT_RDWR);
    }
    if (free_place(m) != NULL)
        evconnlistener_enable(m->listener);
}

/* evhttp asks for a bufferevent when it has accepted a connection. */
static struct bufferevent *
on_guest(struct event_base *base, void *arg)
{
    struct metrics *m = arg;
    struct bufferevent *bev = bufferevent_socket_new(base, -1, 0);
    struct guest *guest;

    forget_who_left(m);
    guest = free_place(m);
    if (bev == NULL || guest == NULL)
        return bev;
    bufferevent_incref(bev);
    guest->bev = bev;
    guest->since_ms = clock_boot_ms();
    if (free_place(m) == NULL)
        evconnlistener_disable(m->listener);
    return bev;
}

/* --- start and stop --------------------------------------------------------------------------- */

static void
set_up_http(struct metrics *m)
{
    evhttp_set_allowed_methods(m->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(m->http, METRICS_HEAD_MAX);
    evhttp_set_max_body_size(m->http, BODY_MAX);
    evhttp_set_timeout(m->http, METRICS_SECONDS_MAX / 2);
    evhttp_set_bevcb(m->http, on_guest, m);
    evhttp_set_cb(m->http, "/metrics", on_metrics, m);
    evhttp_set_cb(m->http, "/status", on_status, m);
    evhttp_set_gencb(m->http, on_other, m);
}

struct metrics *
metrics_new(struct event_base *base, int fd, const struct stats *stats, const struct cache *cache,
            struct store *store, char *why, size_t size)
{
    struct metrics *m = alloc_zero(1, sizeof(*m));

    m->base = base;
    m->stats = stats;
    m->cache = cache;
    m->store = store;
    m->http = evhttp_new(base);
    m->sweep = event_new(base, -1, EV_PERSIST, on_sweep, m);
    m->listener = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE, 0, fd);
    if (m->listener == NULL) {
        snprintf(why, size, "the metrics page cannot listen");
        close(fd);
        metrics_free(m);
        return NULL;
    }
    set_up_http(m);
    evhttp_bind_listener(m->http, m->listener);
    event_add(m->sweep, &(struct timeval){SWEEP_SECONDS, 0});
    return m;
}

void
metrics_free(struct metrics *m)
{
    if (m == NULL)
        return;
    evhttp_free(m->http);
    event_free(m->sweep);
    for (size_t i = 0; i < METRICS_CONNECTIONS_MAX; i++) {
        if (m->guests[i].bev != NULL)
            forget_guest(&m->guests[i]);
    }
    free(m);
}
