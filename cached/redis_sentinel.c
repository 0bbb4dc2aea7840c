#include "cached/redis_sentinel.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

enum {
    WHY_SIZE = 200,
    LISTEN_ELSEWHERE_MS = 100,
    LISTEN_AGAIN_MS = 1000, /* no Sentinel to listen to: look again after that */
    PULSE_S = 10,           /* a Sentinel that is gone without a word shows in no answer to PING */
    PULSE_TIMEOUT_MS = 2000
};

#define CHANNEL "+switch-master"

struct redis_sentinel {
    struct event_base *base;
    struct sockspec *addresses;
    size_t count, at, tried; /* `tried`: how many this question has cost */
    char *master_name;
    int64_t timeout_ms;
    const struct redis_tls *tls;
    const struct redis_sentinel_events *events;
    void *arg;
    struct redis_conn *asked;     /* the one that is being asked */
    struct redis_conn *listening; /* the one that tells of switches */
    struct event *next;           /* goes on to the next one */
    struct event *pulse;
    bool must_tell; /* redis_sentinel_ask waits for an answer; else only a listener is sought */
    struct sockspec known; /* the address told last */
    char why[WHY_SIZE];
};

/* --- who is master ---------------------------------------------------------------------------- */

static bool
is_safe_host(struct span host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (!ascii_is_alnum((unsigned char)host.at[i]) && host.at[i] != '.' && host.at[i] != ':')
            return false;
    }
    return host.len > 0 && host.len < 64;
}

/* [host, port]: an address; names are not looked up. */
static bool
read_address(const struct resp *reply, struct sockspec *out)
{
    struct span host = resp_bytes(resp_item(reply, 0)), port = resp_bytes(resp_item(reply, 1));
    struct scan digits = scan_bytes(port.at, port.len);
    uint64_t number;
    char spec[128];

    if (!is_safe_host(host) || !scan_number(&digits, 5, &number) || !scan_is_done(&digits))
        return false;
    snprintf(spec, sizeof spec, "%s:%u@%.*s",
             memchr(host.at, ':', host.len) != NULL ? "inet6" : "inet", (unsigned)number,
             (int)host.len, host.at);
    return sockspec_parse(spec, out, NULL, 0);
}

static bool
is_known(const struct redis_sentinel *s, const struct sockspec *address)
{
    return s->known.len == address->len &&
           memcmp(&s->known.addr, &address->addr, address->len) == 0;
}

/* The one that was asked becomes the one that tells. */
static void
listen_to_asked(struct redis_sentinel *s)
{
    redis_conn_free(s->listening);
    s->listening = s->asked;
    s->asked = NULL;
}

static void
take_address(struct redis_sentinel *s, const struct sockspec *address)
{
    bool must_tell = s->must_tell, is_new = !is_known(s, address);

    listen_to_asked(s);
    s->must_tell = false;
    s->known = *address;
    if (must_tell)
        s->events->told(address, NULL, s->arg);
    else if (is_new) /* it switched while nobody told */
        s->events->switched(s->arg);
}

static void
pass_over(struct redis_sentinel *s, const char *why)
{
    snprintf(s->why, sizeof s->why, "%s", why);
    redis_conn_free(s->asked);
    s->asked = NULL;
    s->at = (s->at + 1) % s->count;
    s->tried++;
    event_add(s->next, &(struct timeval){0, 0});
}

static void
on_address(const struct resp *reply, void *arg)
{
    struct redis_sentinel *s = arg;
    struct sockspec address;

    if (reply == NULL)
        return; /* on_down goes on */
    if (resp_type(reply) == RESP_NIL) {
        pass_over(s, "a Sentinel knows no such master-name");
    } else if (!read_address(reply, &address)) {
        pass_over(s, "a Sentinel did not tell the master's address");
    } else {
        take_address(s, &address);
    }
}

/* Both at once: no switch can happen between the answer and the subscription unseen. */
static void
on_up(void *arg)
{
    struct redis_sentinel *s = arg;
    struct span arguments[] = {
        {"SENTINEL", 8}, {"get-master-addr-by-name", 23}, {s->master_name, strlen(s->master_name)}};

    redis_conn_send(s->asked, arguments, 3, 0, on_address, s);
    redis_conn_subscribe(s->asked, CHANNEL);
}

/* "<master name> <old ip> <old port> <new ip> <new port>" */
static void
on_message(const struct resp *message, void *arg)
{
    struct redis_sentinel *s = arg;
    struct span text = resp_bytes(resp_item(message, 2));
    size_t len = strlen(s->master_name);

    if (text.len > len && memcmp(text.at, s->master_name, len) == 0 && text.at[len] == ' ')
        s->events->switched(s->arg);
}

/* Begins the round of all Sentinels. */
static void
go_round(struct redis_sentinel *s, int after_ms)
{
    struct timeval after = clock_timeval(after_ms);

    s->tried = 0;
    event_add(s->next, &after);
}

/* Either the one being asked, or the one listened to: which one is gone shows in who is not up. */
static void
on_down(const char *why, void *arg)
{
    struct redis_sentinel *s = arg;

    if (s->listening != NULL && !redis_conn_is_up(s->listening)) {
        redis_conn_free(s->listening);
        s->listening = NULL;
        if (s->asked == NULL &&
            !evtimer_pending(s->next, NULL)) { /* somebody must tell of switches */
            redis_sentinel_distrust(s);
            go_round(s, LISTEN_ELSEWHERE_MS);
        }
        return;
    }
    pass_over(s, why);
}

static void
on_pulse(evutil_socket_t fd, short what, void *arg)
{
    struct redis_sentinel *s = arg;

    (void)fd, (void)what;
    if (s->listening != NULL)
        redis_conn_send(s->listening, &(struct span){"PING", 4}, 1, PULSE_TIMEOUT_MS, NULL, NULL);
}

static const struct redis_conn_events conn_events = {
    .up = on_up, .down = on_down, .message = on_message};

static void
none_answered(struct redis_sentinel *s)
{
    if (s->must_tell) {
        s->must_tell = false;
        s->events->told(NULL, s->why, s->arg);
    } else {
        go_round(s, LISTEN_AGAIN_MS);
    }
}

static void
try_next(struct redis_sentinel *s)
{
    struct redis_options options = {.timeout_ms = s->timeout_ms, .tls = s->tls};

    if (s->tried == s->count) {
        none_answered(s);
        return;
    }
    options.address = s->addresses[s->at];
    s->asked = redis_conn_new(s->base, &options, &conn_events, s);
}

static void
on_next(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    try_next(arg);
}

void
redis_sentinel_ask(struct redis_sentinel *s)
{
    redis_conn_free(s->asked);
    s->asked = NULL;
    s->must_tell = true;
    go_round(s, 0);
}

void
redis_sentinel_distrust(struct redis_sentinel *s)
{
    s->at = (s->at + 1) % s->count;
}

struct redis_sentinel *
redis_sentinel_new(struct event_base *base, const struct conf_list *sentinels,
                   const char *master_name, int64_t timeout_ms, const struct redis_tls *tls,
                   const struct redis_sentinel_events *events, void *arg)
{
    struct redis_sentinel *s = alloc_zero(1, sizeof *s);

    s->base = base;
    s->count = sentinels->count;
    s->addresses = alloc_zero(s->count, sizeof *s->addresses);
    for (size_t i = 0; i < s->count; i++) {
        if (!sockspec_parse(sentinels->items[i], &s->addresses[i], NULL, 0))
            log_error("redis sentinels: %s", sentinels->items[i]);
    }
    s->master_name = alloc_string(master_name);
    s->timeout_ms = timeout_ms;
    s->tls = tls;
    s->events = events;
    s->arg = arg;
    s->next = evtimer_new(base, on_next, s);
    s->pulse = event_new(base, -1, EV_PERSIST, on_pulse, s);
    event_add(s->pulse, &(struct timeval){.tv_sec = PULSE_S});
    return s;
}

void
redis_sentinel_free(struct redis_sentinel *s)
{
    if (s == NULL)
        return;
    redis_conn_free(s->asked);
    redis_conn_free(s->listening);
    event_free(s->next);
    event_free(s->pulse);
    free(s->addresses);
    free(s->master_name);
    free(s);
}
