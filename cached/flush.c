/* What a flush still has to do lies in three places, worked off in this order: names of domains
 * without a policy; the walk through the policies held; the few domains queued from that walk. */
#include "cached/flush.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "cached/cache.h"
#include "cached/held.h"
#include "common/buf.h"
#include "common/glob.h"

enum { FORGET_A_STEP = 1000, NAMES_MAX = 512 * 1024 * 1024 };

struct flush {
    struct flush_request request;
    char *glob;
    flush_done_fn *done;
    void *arg;
    struct event *step;
    struct buf names; /* domains without a policy, NUL-terminated one after another */
    size_t names_at;
    struct held *held;
    bool at_end; /* `held` has no more */
    bool cancelled;
    char *queued[FLUSH_RUNNING]; /* domains whose turn comes next */
    size_t queued_count;
    size_t running;
    struct flush_result result;
};

static void
free_flush(struct flush *f)
{
    for (size_t i = 0; i < f->queued_count; i++)
        free(f->queued[i]);
    for (size_t i = 0; i < f->result.failure_count; i++) {
        free(f->result.failures[i].domain);
        free(f->result.failures[i].detail);
    }
    event_free(f->step);
    buf_done(&f->names);
    held_free(f->held);
    free(f->glob);
    free(f);
}

/* By a timer, not event_active(): that would run before the loop looks at its sockets again. */
static void
step_soon(struct flush *f)
{
    event_add(f->step, &(struct timeval){0, 0});
}

/* --- domains without a policy ----------------------------------------------------------------- */

static void
note_name(struct entry *e, void *arg)
{
    struct flush *f = arg;

    if (e->policy != NULL || !held_anything(e))
        return;
    if (f->glob == NULL || glob_matches(f->glob, e->domain))
        buf_add(&f->names, e->domain, strlen(e->domain) + 1);
}

static bool
names_left(const struct flush *f)
{
    return f->names_at < f->names.len;
}

static void
forget_some(struct flush *f)
{
    for (int i = 0; i < FORGET_A_STEP && names_left(f); i++) {
        const char *domain = f->names.data + f->names_at;
        struct entry *e = cache_get(f->request.cache, domain, false);

        if (e != NULL && e->policy == NULL) {
            cache_forget_outcome(f->request.cache, e);
            f->result.forgotten++;
        }
        f->names_at += strlen(domain) + 1;
    }
}

/* --- domains with one ------------------------------------------------------------------------- */

static void
note_failure(struct flush *f, const struct refetch_result *r)
{
    struct flush_failure *failure;

    if (f->result.failure_count == FLUSH_FAILURES_MAX)
        return;
    failure = &f->result.failures[f->result.failure_count++];
    failure->domain = alloc_string(r->domain);
    failure->detail = alloc_string(r->detail);
    failure->outcome = r->outcome;
    failure->error = r->error;
    failure->http_status = r->http_status;
}

static void start_fetches(struct flush *);

static void
on_refetched(const struct refetch_result *r, void *arg)
{
    struct flush *f = arg;

    f->running--;
    switch (r->outcome) {
    case REFETCH_RENEWED:
        f->result.renewed++;
        break;
    case REFETCH_KEPT:
        f->result.kept++;
        note_failure(f, r);
        break;
    case REFETCH_UNKNOWN:
    case REFETCH_NO_POLICY:
        f->result.no_policy++;
        note_failure(f, r);
        break;
    }
    if (!f->cancelled)
        start_fetches(f);
    if (f->cancelled || f->queued_count == 0)
        step_soon(f);
}

static void
start_fetches(struct flush *f)
{
    while (f->running < FLUSH_RUNNING && f->queued_count > 0) {
        char *domain = f->queued[--f->queued_count];

        f->running++;
        query_refetch(f->request.engine, domain, on_refetched, f);
        free(domain);
    }
}

static void
on_buried(void *arg)
{
    struct flush *f = arg;

    f->running--;
    step_soon(f);
}

static void
forget_queued(struct flush *f)
{
    while (f->queued_count > 0) {
        char *domain = f->queued[--f->queued_count];

        f->running += query_bury(f->request.engine, domain, on_buried, f);
        f->result.forgotten++;
        free(domain);
    }
}

static void
queue_domain(const struct held_policy *p, void *arg)
{
    struct flush *f = arg;

    f->queued[f->queued_count++] = alloc_string(p->domain);
}

/* --- the steps -------------------------------------------------------------------------------- */

static void
finish(struct flush *f)
{
    f->done(&f->result, f->arg);
    free_flush(f);
}

static void
work(struct flush *f)
{
    if (names_left(f)) {
        forget_some(f);
        step_soon(f);
        return;
    }
    if (f->queued_count == 0 && f->running < FLUSH_RUNNING && !f->at_end) {
        f->at_end = !held_next(f->held, FLUSH_RUNNING, queue_domain, f);
        if (f->queued_count == 0 || f->request.force)
            step_soon(f);
    }
    if (f->request.force)
        forget_queued(f);
    else
        start_fetches(f);
}

static void
on_step(evutil_socket_t fd, short what, void *arg)
{
    struct flush *f = arg;

    (void)fd;
    (void)what;
    if (!f->cancelled && (!f->at_end || names_left(f)))
        work(f);
    else if (f->running == 0 && (f->cancelled || f->queued_count == 0))
        finish(f);
}

struct flush *
flush_start(const struct flush_request *request, flush_done_fn *done, void *arg)
{
    struct flush *f = alloc_zero(1, sizeof(*f));

    f->request = *request;
    f->glob = request->glob != NULL ? alloc_string(request->glob) : NULL;
    f->done = done;
    f->arg = arg;
    f->step = evtimer_new(request->base, on_step, f);
    buf_init(&f->names, NAMES_MAX);
    cache_walk(request->cache, note_name, f);
    f->held = held_new(request->cache, request->store, f->glob, NULL);
    step_soon(f);
    return f;
}

void
flush_cancel(struct flush *f)
{
    f->cancelled = true;
    step_soon(f);
}

void
flush_abandon(struct flush *f)
{
    free_flush(f);
}
