#include "cached/probes.h"

#include <assert.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "cached/stats.h"
#include "cached/table.h"
#include "common/clock.h"
#include "common/log.h"

/* A wait's place in the list of one host. */
struct place {
    LIST_ENTRY(place) link;
    struct probes_wait *wait;
};

struct host {
    struct table_link link;
    TAILQ_ENTRY(host) use;
    struct probes *probes;
    struct farm_job *look;     /* does another node know? Then */
    struct source_job *job;    /* the probe itself; both NULL: none runs */
    LIST_HEAD(, place) places; /* only while one runs */
    int64_t started_ms;        /* of what runs */
    int64_t until_ms;          /* the result counts until then; 0: there is none */
    enum sts_error error;
    char detail[SOURCE_DETAIL_SIZE];
    char name[];
};

struct probes_wait {
    LIST_ENTRY(probes_wait) link; /* in `waits`, or in `ready` */
    struct event *limit;
    struct place places[PROBES_WANT_MAX];
    size_t count;
    probes_done_fn *done;
    void *arg;
};

struct probes {
    struct event_base *base;
    struct source *source;
    struct farm *farm; /* NULL: this host is alone */
    struct stats *stats;
    struct table *table;
    TAILQ_HEAD(hosts, host) hosts; /* used last comes first */
    LIST_HEAD(, probes_wait) waits, ready;
    size_t running;
};

/* --- hosts ------------------------------------------------------------------------------------ */

static const char *
name_of(const struct table_link *link)
{
    const char *at = (const char *)link - offsetof(struct host, link);

    return ((const struct host *)(const void *)at)->name;
}

static struct host *
find(const struct probes *probes, const char *name)
{
    struct table_link *link = table_find(probes->table, name);

    return link != NULL ? (void *)((char *)link - offsetof(struct host, link)) : NULL;
}

static bool
is_running(const struct host *host)
{
    return host->job != NULL || host->look != NULL;
}

static void
forget(struct host *host)
{
    table_remove(host->probes->table, &host->link);
    TAILQ_REMOVE(&host->probes->hosts, host, use);
    free(host);
}

/* There is always one that does not run: far more are kept than run. */
static void
make_room(struct probes *probes)
{
    struct host *host = TAILQ_LAST(&probes->hosts, hosts);

    static_assert(PROBES_RUNNING_MAX < PROBES_HOSTS_MAX, "something can be forgotten");
    if (table_count(probes->table) < PROBES_HOSTS_MAX)
        return;
    while (is_running(host))
        host = TAILQ_PREV(host, hosts, use);
    forget(host);
}

static struct host *
add(struct probes *probes, const char *name)
{
    size_t size = strlen(name) + 1;
    struct host *host;

    make_room(probes);
    host = alloc_zero(1, sizeof *host + size);
    host->probes = probes;
    LIST_INIT(&host->places);
    memcpy(host->name, name, size);
    table_add(probes->table, &host->link);
    TAILQ_INSERT_HEAD(&probes->hosts, host, use);
    return host;
}

struct probe_memory
probes_look(struct probes *probes, const char *name)
{
    struct host *host = find(probes, name);
    int64_t now = clock_boot_ms();

    if (host != NULL) {
        TAILQ_REMOVE(&probes->hosts, host, use);
        TAILQ_INSERT_HEAD(&probes->hosts, host, use);
    }
    if (host != NULL && is_running(host))
        return (struct probe_memory){
            .state = PROBE_RUNNING, .detail = "", .running_ms = now - host->started_ms};
    if (host != NULL && now < host->until_ms)
        return (struct probe_memory){.state = PROBE_KNOWN,
                                     .error = host->error,
                                     .detail = host->detail,
                                     .left_ms = host->until_ms - now};
    if (probes->running >= PROBES_RUNNING_MAX)
        return (struct probe_memory){.state = PROBE_KNOWN, .error = STS_OVERLOAD, .detail = ""};
    return (struct probe_memory){.state = PROBE_UNKNOWN, .detail = ""};
}

const char *
probes_word(const struct probe_memory *memory)
{
    switch (memory->state) {
    case PROBE_UNKNOWN:
        return "not-asked";
    case PROBE_RUNNING:
        return "running";
    case PROBE_KNOWN:
        break;
    }
    return sts_error_name(memory->error);
}

/* --- waits ------------------------------------------------------------------------------------ */

static void
leave_hosts(struct probes_wait *wait)
{
    for (size_t i = 0; i < wait->count; i++)
        LIST_REMOVE(&wait->places[i], link);
    wait->count = 0;
}

void
probes_cancel(struct probes_wait *wait)
{
    if (wait == NULL)
        return;
    leave_hosts(wait);
    LIST_REMOVE(wait, link);
    event_free(wait->limit);
    free(wait);
}

static void
end(struct probes_wait *wait)
{
    probes_done_fn *done = wait->done;
    void *arg = wait->arg;

    probes_cancel(wait);
    done(arg);
}

static void
on_limit(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    end(arg);
}

/* First they are picked, then called: a callback may cancel any other wait. */
static void
end_waits(struct host *host)
{
    struct probes *probes = host->probes;
    struct place *place;
    struct probes_wait *wait;

    while ((place = LIST_FIRST(&host->places)) != NULL) {
        wait = place->wait;
        leave_hosts(wait);
        LIST_REMOVE(wait, link);
        LIST_INSERT_HEAD(&probes->ready, wait, link);
    }
    while ((wait = LIST_FIRST(&probes->ready)) != NULL)
        end(wait);
}

/* --- probes ----------------------------------------------------------------------------------- */

static int64_t
longest_life_ms(enum sts_error error)
{
    return error == STS_OK ? PROBES_GOOD_MS : PROBES_BAD_MS;
}

static int64_t
life_of(const struct probe_result *result)
{
    int64_t life_ms = longest_life_ms(result->error);
    int64_t left_s = result->expires_s - clock_wall_s();

    if (result->error == STS_OK && left_s > 0 && left_s < life_ms / 1000)
        life_ms = left_s * 1000;
    return life_ms;
}

static void
settle(struct host *host, enum sts_error error, const char *detail, int64_t life_ms)
{
    host->error = error;
    snprintf(host->detail, sizeof host->detail, "%s", detail);
    host->until_ms = clock_boot_ms() + life_ms;
    host->probes->stats->probes_running = --host->probes->running;
}

static void
on_probe(const struct probe_result *result, void *arg)
{
    struct host *host = arg;
    struct probes *probes = host->probes;
    int64_t life_ms = life_of(result);

    host->job = NULL;
    settle(host, result->error, result->detail, life_ms);
    probes->stats->probes++;
    if (result->error != STS_OK)
        probes->stats->probes_failed[result->error]++;
    log_debug("probe mx=%s result=%s ms=%lld%s%s", host->name, sts_error_name(host->error),
              (long long)(clock_boot_ms() - host->started_ms), host->detail[0] ? " detail=" : "",
              host->detail);
    if (farm_is_up(probes->farm))
        farm_share_probe(probes->farm, host->name,
                         &(struct farm_probe){result->error, result->detail, life_ms / 1000});
    end_waits(host);
}

static void
ask_host(struct host *host)
{
    host->job = source_probe(host->probes->source, host->name, on_probe, host);
}

/* What another node found is as good as our own. */
static void
on_look(const struct farm_probe *found, void *arg)
{
    struct host *host = arg;
    int64_t left_ms;

    host->look = NULL;
    if (found == NULL) {
        ask_host(host);
        return;
    }
    left_ms = longest_life_ms(found->error);
    if (found->left_s < left_ms / 1000)
        left_ms = found->left_s * 1000;
    settle(host, found->error, found->detail, left_ms);
    end_waits(host);
}

static void
begin(struct host *host)
{
    struct probes *probes = host->probes;

    host->started_ms = clock_boot_ms();
    host->until_ms = 0;
    probes->stats->probes_running = ++probes->running;
    if (farm_is_up(probes->farm))
        host->look = farm_look_probe(probes->farm, host->name, on_look, host);
    else
        ask_host(host);
}

/* The host, running; NULL when there is nothing to wait for. */
static struct host *
want(struct probes *probes, const char *name)
{
    struct host *host;

    if (probes_look(probes, name).state == PROBE_KNOWN)
        return NULL;
    host = find(probes, name);
    if (host == NULL)
        host = add(probes, name);
    if (!is_running(host))
        begin(host);
    return host;
}

struct probes_wait *
probes_want(struct probes *probes, const char *const *hosts, size_t count, int64_t limit_ms,
            probes_done_fn *done, void *arg)
{
    struct probes_wait *wait = alloc_zero(1, sizeof *wait);
    struct timeval limit = clock_timeval(limit_ms);

    assert(count <= PROBES_WANT_MAX);
    wait->done = done;
    wait->arg = arg;
    wait->limit = evtimer_new(probes->base, on_limit, wait);
    evtimer_add(wait->limit, &limit);
    LIST_INSERT_HEAD(&probes->waits, wait, link);
    for (size_t i = 0; i < count; i++) {
        struct host *host = want(probes, hosts[i]);
        struct place *place = &wait->places[wait->count];

        if (host == NULL)
            continue;
        place->wait = wait;
        LIST_INSERT_HEAD(&host->places, place, link);
        wait->count++;
    }
    return wait;
}

/* --- the whole -------------------------------------------------------------------------------- */

struct probes *
probes_new(struct event_base *base, struct source *source, struct stats *stats)
{
    struct probes *probes = alloc_zero(1, sizeof *probes);

    probes->base = base;
    probes->source = source;
    probes->stats = stats;
    probes->table = table_new(name_of);
    TAILQ_INIT(&probes->hosts);
    LIST_INIT(&probes->waits);
    LIST_INIT(&probes->ready);
    return probes;
}

void
probes_join_farm(struct probes *probes, struct farm *farm)
{
    probes->farm = farm;
}

void
probes_forget(struct probes *probes)
{
    struct host *host, *next;

    for (host = TAILQ_FIRST(&probes->hosts); host != NULL; host = next) {
        next = TAILQ_NEXT(host, use);
        if (!is_running(host))
            forget(host);
    }
}

void
probes_free(struct probes *probes)
{
    struct host *host;

    if (probes == NULL)
        return;
    while (!LIST_EMPTY(&probes->ready))
        probes_cancel(LIST_FIRST(&probes->ready));
    while (!LIST_EMPTY(&probes->waits))
        probes_cancel(LIST_FIRST(&probes->waits));
    while ((host = TAILQ_FIRST(&probes->hosts)) != NULL) {
        source_cancel(host->job);
        farm_cancel(host->look);
        forget(host);
    }
    table_free(probes->table);
    free(probes);
}
