/* sts-cached - the cache daemon: starts its parts in order, and stops them in the mirror of it. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cached/cache.h"
#include "cached/cache_lmdb.h"
#include "cached/control.h"
#include "cached/farm.h"
#include "cached/fetch.h"
#include "cached/listener.h"
#include "cached/memory.h"
#include "cached/metrics.h"
#include "cached/refresh.h"
#include "cached/settings.h"
#include "cached/settings_redis.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/sockspec.h"

enum {
    WHY_SIZE = 512,
    RESERVED_FILES = 1536, /* for DNS, HTTPS, LMDB, logs */
    DRAIN_TICK_MS = 20,
    DRAIN_EXTRA_MS = 1000 /* beyond answer-deadline, until the last reply is written */
};

/* Everything that is started, in this order. */
struct program {
    struct daemon_options options;
    struct settings *settings;
    struct settings *begun_with; /* the farm keeps to these: what it reads only a restart changes */
    struct listeners *listeners;
    struct event_base *base;
    struct event *on_stop, *on_interrupt, *on_reload, *drain_timer;
    struct store *store;
    struct cache *cache;
    struct source *source;
    struct farm *farm;
    struct query_engine *engine;
    struct refresh *refresh;
    struct stats stats;
    struct control control;
    struct metrics *metrics;
    int metrics_fd; /* -1: no page */
    struct sockspec metrics_spec;
    size_t files_max;
    int64_t drain_until_ms;
    char why[WHY_SIZE];
};

/* The source has refused these settings: says it as a fault of the file, which has a line. */
static void
name_line(struct program *p, const struct settings *refused)
{
    char reason[WHY_SIZE];
    const char *option = fetcher_fault(refused, reason, sizeof reason);

    if (option != NULL)
        conf_fault(daemon_config_path(&p->options), "fetch", option, reason, p->why, sizeof p->why);
}

/* --- signals
 * --------------------------------------------------------------------------------------- */

static void
on_drain_tick(int fd, short what, void *arg)
{
    struct program *p = arg;
    bool is_done = listeners_connections(p->listeners) == 0 && !farm_is_sharing(p->farm);

    (void)fd, (void)what;
    if (is_done || clock_boot_ms() >= p->drain_until_ms)
        event_base_loopexit(p->base, NULL);
}

/* SIGTERM, SIGINT: what was asked is still answered, what was fetched is still shared. */
static void
on_stop(int fd, short what, void *arg)
{
    struct program *p = arg;
    struct timeval tick = {.tv_usec = DRAIN_TICK_MS * 1000};

    (void)fd, (void)what;
    if (p->drain_until_ms != 0)
        return;
    log_info("stopping");
    daemon_stopping();
    p->drain_until_ms = clock_boot_ms() + p->settings->answer_deadline_ms + DRAIN_EXTRA_MS;
    listeners_drain(p->listeners);
    event_add(p->drain_timer, &tick);
}

/* SIGHUP: all of the new settings, or none of them. */
static void
on_reload(int fd, short what, void *arg)
{
    struct program *p = arg;
    struct settings *next;

    (void)fd, (void)what;
    daemon_reloading();
    next = settings_reload(daemon_config_path(&p->options), p->settings, p->why, sizeof p->why);
    if (next != NULL && !source_reload(p->source, next, p->why, sizeof p->why)) {
        name_line(p, next);
        settings_free(next);
        next = NULL;
    }
    if (next == NULL) {
        log_error("reload: %s; the old settings stay in force", p->why);
    } else {
        cache_set_limits(p->cache, next->memory_size, next->refresh_interval_ms);
        query_engine_set_settings(p->engine, next);
        listeners_set_settings(p->listeners, next);
        p->control.settings = next;
        if (p->settings != p->begun_with)
            settings_free(p->settings);
        p->settings = next;
        log_info("reloaded %s", p->options.config);
    }
    daemon_ready();
}

/* --- the loop --------------------------------------------------------------------------------- */

/* What is logged in a turn of the loop is written at its end, in one go. */
static void
serve(struct program *p)
{
    log_gather(true);
    while (event_base_loop(p->base, EVLOOP_ONCE) == 0 && !event_base_got_exit(p->base))
        log_flush();
    log_gather(false);
}

/* From before the sockets are there until somebody watches them. */
static void
hold_signals(int how)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(how, &set, NULL);
}

static void
watch_signals(struct program *p)
{
    p->on_stop = evsignal_new(p->base, SIGTERM, on_stop, p);
    p->on_interrupt = evsignal_new(p->base, SIGINT, on_stop, p);
    p->on_reload = evsignal_new(p->base, SIGHUP, on_reload, p);
    p->drain_timer = event_new(p->base, -1, EV_PERSIST, on_drain_tick, p);
    evsignal_add(p->on_stop, NULL);
    evsignal_add(p->on_interrupt, NULL);
    evsignal_add(p->on_reload, NULL);
}

/* --- starting
 * --------------------------------------------------------------------------------------- */

/* The state directory is private to the daemon's user. */
static bool
prepare_state_directory(struct program *p)
{
    const char *directory = p->settings->state_directory;
    unsigned uid, gid;

    if (mkdir(directory, 0700) < 0)
        return true; /* it is there, or store_open says what is wrong */
    if (p->settings->user == NULL || geteuid() != 0)
        return true;
    if (daemon_find_user(p->settings->user, &uid, &gid) && chown(directory, uid, gid) == 0)
        return true;
    snprintf(p->why, sizeof p->why, "%s: cannot be given to user %s", directory, p->settings->user);
    return false;
}

/* The page's socket is bound before privileges are dropped. */
static bool
open_metrics(struct program *p)
{
    struct sockspec *spec = &p->metrics_spec;
    char reason[160];

    p->metrics_fd = -1;
    if (p->settings->http.listen == NULL)
        return true;
    if (sockspec_parse(p->settings->http.listen, spec, reason, sizeof reason))
        p->metrics_fd = sockspec_listen(spec, 0666, (gid_t)-1, reason, sizeof reason);
    if (p->metrics_fd < 0)
        snprintf(p->why, sizeof p->why, "http listen: %s: %s", p->settings->http.listen, reason);
    return p->metrics_fd >= 0;
}

static bool
start_metrics(struct program *p)
{
    if (p->metrics_fd < 0)
        return true;
    p->metrics =
        metrics_new(p->base, p->metrics_fd, &p->stats, p->cache, p->store, p->why, sizeof p->why);
    return p->metrics != NULL;
}

static bool
join_farm(struct program *p)
{
    const struct settings *s = p->settings;

    if (!settings_redis_is_used(s))
        return true;
    p->farm = farm_new(p->base, s, p->cache, p->store, &p->stats, p->why, sizeof p->why);
    if (p->farm != NULL)
        query_engine_join_farm(p->engine, p->farm);
    return p->farm != NULL;
}

static bool
start_parts(struct program *p)
{
    const struct settings *s = p->settings;
    struct conn_service service;

    p->store = store_open(s->state_directory, s->store_size, p->why, sizeof p->why);
    if (p->store == NULL)
        return false;
    p->cache = cache_new(p->store, s->memory_size, s->refresh_interval_ms);
    p->source = source_new(p->base, s, p->why, sizeof p->why);
    if (p->source == NULL) {
        name_line(p, s);
        return false;
    }
    p->engine = query_engine_new(p->base, s, p->cache, p->source, &p->stats);
    if (!join_farm(p))
        return false;
    p->refresh = refresh_new(p->base, p->engine, p->cache, p->store);
    p->control = (struct control){.base = p->base,
                                  .engine = p->engine,
                                  .cache = p->cache,
                                  .store = p->store,
                                  .farm = p->farm,
                                  .stats = &p->stats,
                                  .source = p->source,
                                  .settings = s};
    service = (struct conn_service){.base = p->base,
                                    .engine = p->engine,
                                    .control = &p->control,
                                    .stats = &p->stats,
                                    .settings = s};
    listeners_start(p->listeners, &service,
                    p->files_max > 2 * RESERVED_FILES ? p->files_max - RESERVED_FILES
                                                      : p->files_max / 2);
    return start_metrics(p);
}

static bool
start(struct program *p)
{
    p->files_max = daemon_prepare_process();
    hold_signals(SIG_BLOCK);
    p->listeners = listeners_open(p->settings, p->why, sizeof p->why);
    if (p->listeners == NULL || !open_metrics(p) || !prepare_state_directory(p))
        return false;
    if (!p->options.foreground && !daemon_background()) {
        snprintf(p->why, sizeof p->why, "cannot go to the background");
        return false;
    }
    if (!daemon_drop_privileges(p->settings->user, p->why, sizeof p->why))
        return false;
    p->base = event_base_new();
    p->stats.started_s = clock_wall_s();
    watch_signals(p);
    hold_signals(SIG_UNBLOCK);
    return start_parts(p);
}

static void
stop(struct program *p)
{
    if (p->drain_timer != NULL) /* the loop runs once more, for the farm */
        event_del(p->drain_timer);
    metrics_free(p->metrics);
    if (p->metrics_fd >= 0 && sockspec_is_unix(&p->metrics_spec))
        (void)unlink(sockspec_path(&p->metrics_spec));
    listeners_close(p->listeners);
    refresh_free(p->refresh);
    query_engine_free(p->engine);
    control_done(&p->control);
    farm_free(p->farm);
    source_free(p->source);
    cache_free(p->cache);
    store_close(p->store);
    if (p->base != NULL) {
        event_free(p->drain_timer);
        event_free(p->on_reload);
        event_free(p->on_interrupt);
        event_free(p->on_stop);
        event_base_free(p->base);
    }
    if (p->settings != p->begun_with)
        settings_free(p->settings);
    settings_free(p->begun_with);
}

static int
run(struct program *p)
{
    if (!start(p)) {
        fprintf(stderr, "sts-cached: %s\n", p->why);
        if (!p->options.foreground)
            log_error("%s", p->why);
        stop(p);
        return DAEMON_EXIT_FAILURE;
    }
    log_info("ready");
    daemon_ready();
    serve(p);
    stop(p);
    log_info("stopped");
    return DAEMON_EXIT_OK;
}

/* What the source reads when it starts: CA file, DNS servers, allowed addresses. */
static bool
test_source(struct program *p, struct event_base *base)
{
    struct source *source = source_new(base, p->settings, p->why, sizeof p->why);

    if (source == NULL)
        name_line(p, p->settings);
    source_free(source);
    return source != NULL;
}

/* -t: also the files that only a start reads, as whom it reads them. */
static int
test(struct program *p)
{
    const struct settings *s = p->settings;
    struct event_base *base = event_base_new();
    bool good = (geteuid() != 0 || s->user == NULL ||
                 daemon_drop_privileges(s->user, p->why, sizeof p->why)) &&
                test_source(p, base) &&
                (!settings_redis_is_used(s) || farm_files_are_good(base, s, p->why, sizeof p->why));

    if (!good)
        fprintf(stderr, "sts-cached: %s\n", p->why);
    event_base_free(base);
    settings_free(p->settings);
    return good ? DAEMON_EXIT_OK : DAEMON_EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    static struct program program;
    struct program *p = &program;
    int exit_code;

    memory_prepare();
    if (!daemon_parse_args(argc, argv, SYSCONFDIR "/sts-cached.conf",
                           "sts-cached [-ftvV] [-c file] [--print-config]", &p->options,
                           &exit_code))
        return exit_code;
    p->settings = settings_read(daemon_config_path(&p->options), p->why, sizeof p->why);
    p->begun_with = p->settings;
    if (p->settings == NULL) {
        fprintf(stderr, "sts-cached: %s\n", p->why);
        return DAEMON_EXIT_FAILURE;
    }
    if (p->options.print_config)
        settings_print(p->settings, stdout);
    if (p->options.test)
        return test(p);
    if (p->options.print_config) {
        settings_free(p->settings);
        return DAEMON_EXIT_OK;
    }
    log_open("sts-cached", p->options.foreground,
             p->options.verbose > 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    return run(p);
}
