#include "cached/fetch_loop.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"

struct fetch_loop {
    struct event_base *base;
    struct event *timer;
    CURLM *multi;
};

static void
report_done(struct fetch_loop *loop)
{
    struct fetch_loop_item *item;
    CURLMsg *message;
    CURLcode code;
    int left;

    while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&item);
        curl_multi_remove_handle(loop->multi, item->easy); /* ends the life of `message` */
        item->done(item, code);
    }
}

static void
act(struct fetch_loop *loop, curl_socket_t fd, int what)
{
    int running;

    curl_multi_socket_action(loop->multi, fd, what, &running);
    report_done(loop);
}

static void
on_ready(evutil_socket_t fd, short kind, void *arg)
{
    act(arg, fd, (kind & EV_READ ? CURL_CSELECT_IN : 0) | (kind & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_time(evutil_socket_t fd, short kind, void *arg)
{
    (void)fd, (void)kind;
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* curl says what it waits for on a socket; `watch` is the event that we assigned to it, if any. */
static int
on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *watch)
{
    struct fetch_loop *loop = arg;
    struct event *event = watch;
    short kind = EV_PERSIST;

    (void)easy;
    if (event != NULL)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        kind |= (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
        event = event_new(loop->base, fd, kind, on_ready, loop);
        if (event == NULL || event_add(event, NULL) < 0)
            abort();
    }
    curl_multi_assign(loop->multi, fd, event);
    return 0;
}

static int
on_timer_wanted(CURLM *multi, long ms, void *arg)
{
    struct fetch_loop *loop = arg;
    struct timeval after = clock_timeval(ms);

    (void)multi;
    if (ms < 0)
        event_del(loop->timer);
    else
        event_add(loop->timer, &after);
    return 0;
}

struct fetch_loop *
fetch_loop_new(struct event_base *base)
{
    struct fetch_loop *loop = alloc_zero(1, sizeof(*loop));

    curl_global_init(CURL_GLOBAL_DEFAULT);
    loop->base = base;
    loop->multi = curl_multi_init();
    loop->timer = evtimer_new(base, on_time, loop);
    if (loop->multi == NULL || loop->timer == NULL)
        abort();
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
    return loop;
}

void
fetch_loop_free(struct fetch_loop *loop)
{
    if (loop == NULL)
        return;
    curl_multi_cleanup(loop->multi);
    event_free(loop->timer);
    free(loop);
    curl_global_cleanup();
}

void
fetch_loop_add(struct fetch_loop *loop, struct fetch_loop_item *item)
{
    if (curl_easy_setopt(item->easy, CURLOPT_PRIVATE, item) != CURLE_OK ||
        curl_multi_add_handle(loop->multi, item->easy) != CURLM_OK)
        abort();
}

void
fetch_loop_remove(struct fetch_loop *loop, struct fetch_loop_item *item)
{
    curl_multi_remove_handle(loop->multi, item->easy);
}

/* --- targets ---------------------------------------------------------------------------------- */

void
fetch_loop_address(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN])
{
    bool is_v6 = address->ss_family == AF_INET6;

    inet_ntop(address->ss_family,
              is_v6 ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                    : (const void *)&((const struct sockaddr_in *)address)->sin_addr,
              out, INET6_ADDRSTRLEN);
}

void
fetch_loop_describe_blocked(const struct sockaddr_storage *address, char *out, size_t size)
{
    char text[INET6_ADDRSTRLEN];

    fetch_loop_address(address, text);
    snprintf(out, size, "%s is not a public address", text);
}

/* Empty host and port stand for whatever the URL says. */
struct curl_slist *
fetch_loop_target(const struct sockaddr_storage *address, uint16_t port)
{
    char host[INET6_ADDRSTRLEN] = "", target[INET6_ADDRSTRLEN + 16];
    struct curl_slist *list;

    if (address != NULL)
        fetch_loop_address(address, host);
    snprintf(target, sizeof(target),
             address != NULL && address->ss_family == AF_INET6 ? "::[%s]:%u" : "::%s:%u", host,
             port);
    list = curl_slist_append(NULL, target);
    if (list == NULL)
        abort();
    return list;
}
