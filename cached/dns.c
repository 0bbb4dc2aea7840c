#include "cached/dns.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/dns_exchange.h"
#include "cached/dns_line.h"
#include "cached/dns_servers.h"
#include "cached/settings.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"

#define RESOLV_CONF "/etc/resolv.conf"

enum {
    ROUNDS = 2, /* over all servers */
    WARN_EVERY_MS = 60 * 1000
};

struct dns {
    struct event_base *base;
    struct dns_servers *servers;
    int64_t timeout_ms;
    bool want_ad;
    struct dns_line *line;
    int64_t heard_ms;  /* boot time of the last reply of any server; 0: none yet */
    int64_t warned_ms; /* of the last warning that none answers; 0: none */
};

/* Of one look-up: first a try is made, then what came of it decides on the next step. */
struct dns_lookup {
    struct dns_line_item item; /* first: the line knows nothing else of a look-up */
    struct dns *dns;
    char name[DNS_HOST_SIZE]; /* what is asked for now: the first name or the end of a chain */
    enum dns_type type;
    dns_done_fn *done;
    void *arg;

    struct sockspec servers[DNS_SERVERS_MAX];
    size_t server_count;
    int64_t asked_ms;
    size_t tries;   /* that have ended, for this name */
    bool was_plain; /* the last try was without EDNS */
    struct dns_exchange *exchange;
    struct event *no_query; /* answers when nothing could be asked */

    int links; /* so far: CNAMEs, the smallest TTL, whether every reply was authentic */
    uint32_t ttl_s;
    bool authentic;
};

static void try_server(struct dns_lookup *, bool plain);
static void run_waiting(struct dns *);

struct dns *
dns_new(struct event_base *base, const struct settings *settings, char *why, size_t size)
{
    struct dns_servers *servers = dns_servers_new(&settings->dns.servers, RESOLV_CONF, why, size);
    struct dns *dns;

    if (servers == NULL)
        return NULL;
    dns = alloc_zero(1, sizeof(*dns));
    dns->base = base;
    dns->servers = servers;
    dns->timeout_ms = settings->dns.timeout_ms;
    dns->want_ad = settings->dns.trust_ad;
    dns->line = dns_line_new(DNS_RUNNING_MAX, DNS_SHARE_MAX);
    return dns;
}

static void
lookup_free(struct dns_lookup *lookup)
{
    dns_exchange_cancel(lookup->exchange);
    if (lookup->no_query != NULL)
        event_free(lookup->no_query);
    free(lookup);
}

void
dns_free(struct dns *dns)
{
    struct dns_lookup *lookup;

    if (dns == NULL)
        return;
    while ((lookup = (struct dns_lookup *)dns_line_any(dns->line)) != NULL) {
        dns_line_leave(dns->line, &lookup->item);
        lookup_free(lookup);
    }
    dns_line_free(dns->line);
    dns_servers_free(dns->servers);
    free(dns);
}

/* The look-up leaves the line before `done`, which may start others. */
static void
finish(struct dns_lookup *lookup, const struct dns_answer *answer)
{
    struct dns *dns = lookup->dns;

    dns_line_leave(dns->line, &lookup->item);
    run_waiting(dns);
    lookup->done(answer, lookup->arg);
    lookup_free(lookup);
}

static void
finish_failed(struct dns_lookup *lookup, enum sts_error error, const char *why)
{
    log_debug("dns: name=%s type=%d error=%s why=%s", lookup->name, (int)lookup->type,
              sts_error_name(error), why);
    finish(lookup, &(struct dns_answer){.error = error, .why = why});
}

static const struct sockspec *
current_server(const struct dns_lookup *lookup)
{
    return &lookup->servers[lookup->tries % lookup->server_count];
}

static void
ask(struct dns_lookup *lookup)
{
    lookup->asked_ms = clock_boot_ms();
    lookup->tries = 0;
    lookup->server_count = dns_servers_order(lookup->dns->servers, lookup->servers);
    try_server(lookup, false);
}

static void
ask_alias(struct dns_lookup *lookup, const struct dns_answer *answer)
{
    memcpy(lookup->name, answer->alias, sizeof(lookup->name));
    ask(lookup);
}

/* Silence about one name may be the fault of that name's own servers: only when nothing else was
 * answered meanwhile either it is worth a line. */
static void
warn_of_silence(struct dns_lookup *lookup, const char *why)
{
    struct dns *dns = lookup->dns;
    int64_t now_ms = clock_boot_ms();
    char server[SOCKSPEC_SIZE];
    struct buf servers;

    if (dns->heard_ms >= lookup->asked_ms ||
        (dns->warned_ms != 0 && now_ms - dns->warned_ms < WARN_EVERY_MS))
        return;
    dns->warned_ms = now_ms;
    buf_init(&servers, DNS_SERVERS_MAX * SOCKSPEC_SIZE);
    for (size_t i = 0; i < lookup->server_count; i++) {
        sockspec_format(&lookup->servers[i], server);
        buf_printf(&servers, "%s%s", i > 0 ? " " : "", server);
    }
    log_warning("no DNS server answers: asked %s for %s; the last fault: %s", buf_string(&servers),
                lookup->name, why);
    buf_done(&servers);
}

static void
fail_everywhere(struct dns_lookup *lookup, enum sts_error error, const char *fault)
{
    char server[SOCKSPEC_SIZE], why[DNS_WHY_SIZE];

    sockspec_format(current_server(lookup), server);
    snprintf(why, sizeof why, "%s: %s", server, fault);
    if (error == STS_DNS_TIMEOUT)
        warn_of_silence(lookup, why);
    finish_failed(lookup, error, why);
}

static void
try_next_server(struct dns_lookup *lookup, enum sts_error error, const char *why)
{
    if (lookup->tries + 1 == ROUNDS * lookup->server_count) {
        fail_everywhere(lookup, error, why);
        return;
    }
    lookup->tries++;
    try_server(lookup, lookup->tries >= lookup->server_count);
}

/* Joins an answer to what earlier queries of the chain brought. */
static void
join_chain(struct dns_lookup *lookup, struct dns_answer *answer)
{
    lookup->links += answer->links;
    lookup->authentic &= answer->authentic;
    answer->authentic = lookup->authentic;
    answer->secure = lookup->authentic && lookup->dns->want_ad;
    if (answer->ttl_s > lookup->ttl_s)
        answer->ttl_s = lookup->ttl_s;
    lookup->ttl_s = answer->ttl_s;
}

static void
judge_answer(struct dns_lookup *lookup, struct dns_answer *answer)
{
    if (answer->wants_plain && !lookup->was_plain) {
        try_server(lookup, true);
    } else if (sts_error_is_dns(answer->error)) {
        try_next_server(lookup, answer->error, answer->why);
    } else {
        join_chain(lookup, answer);
        if (lookup->links > DNS_CNAME_MAX)
            finish_failed(lookup, STS_DNS_BAD_REPLY,
                          "a chain of CNAMEs that is too long or a loop");
        else if (answer->alias[0] != '\0')
            ask_alias(lookup, answer);
        else
            finish(lookup, answer);
    }
}

static void
on_reply(const struct dns_reply *reply, void *arg)
{
    struct dns_lookup *lookup = arg;
    struct dns_answer answer;

    lookup->exchange = NULL;
    if (reply->error != STS_DNS_TIMEOUT)
        lookup->dns->heard_ms = clock_boot_ms();
    if (reply->error != STS_OK) {
        if (reply->error == STS_DNS_TIMEOUT)
            dns_servers_silent(lookup->dns->servers, current_server(lookup));
        try_next_server(lookup, reply->error, reply->why);
        return;
    }
    dns_parse_reply(reply->bytes, reply->len, lookup->name, lookup->type, &answer);
    judge_answer(lookup, &answer);
    dns_answer_done(&answer);
}

static void
on_no_query(evutil_socket_t fd, short what, void *arg)
{
    struct dns_lookup *lookup = arg;

    (void)fd, (void)what;
    if (dns_is_name(lookup->name))
        finish(lookup, &(struct dns_answer){.error = STS_DNS_SERVFAIL,
                                            .why = "no memory for the question"});
    else
        finish(lookup, &(struct dns_answer){.error = STS_NO_RECORD, .why = "", .nxdomain = true});
}

/* The second round waits three quarters as long: so the silence of one server is told as such, at
 * the default settings, just before the asker's deadline and not just after it. */
static int64_t
patience_ms(const struct dns_lookup *lookup)
{
    int64_t timeout_ms = lookup->dns->timeout_ms;

    return lookup->tries < lookup->server_count ? timeout_ms : timeout_ms * 3 / 4;
}

static void
try_server(struct dns_lookup *lookup, bool plain)
{
    struct dns *dns = lookup->dns;
    const struct dns_target target = {*current_server(lookup), patience_ms(lookup)};
    struct dns_query query;

    lookup->was_plain = plain;
    query.len = dns_build_query(lookup->name, lookup->type, plain, dns->want_ad, query.bytes);
    if (query.len > 0) {
        lookup->exchange = dns_exchange_start(dns->base, &query, &target, on_reply, lookup);
        return;
    }
    lookup->no_query = evtimer_new(dns->base, on_no_query, lookup);
    event_active(lookup->no_query, EV_TIMEOUT, 0);
}

static void
run_waiting(struct dns *dns)
{
    struct dns_lookup *lookup;

    while ((lookup = (struct dns_lookup *)dns_line_next(dns->line)) != NULL)
        ask(lookup);
}

struct dns_lookup *
dns_lookup_start(struct dns *dns, const char *name, enum dns_type type, dns_done_fn *done,
                 void *arg)
{
    struct dns_lookup *lookup = alloc_zero(1, sizeof(*lookup));
    size_t len = strlen(name);

    lookup->dns = dns;
    lookup->type = type;
    lookup->done = done;
    lookup->arg = arg;
    lookup->ttl_s = UINT32_MAX;
    lookup->authentic = true;
    if (len < sizeof(lookup->name)) /* else it stays empty, which is no name either */
        memcpy(lookup->name, name, len + 1);
    dns_line_join(dns->line, &lookup->item, name);
    run_waiting(dns);
    return lookup;
}

void
dns_lookup_cancel(struct dns_lookup *lookup)
{
    struct dns *dns;

    if (lookup == NULL)
        return;
    dns = lookup->dns;
    dns_line_leave(dns->line, &lookup->item);
    lookup_free(lookup);
    run_waiting(dns);
}
