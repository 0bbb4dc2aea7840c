/* The commands that change something, here and in the farm, and the one that names its nodes. */
#include "cached/control_parts.h"

#include <string.h>
#include <unistd.h>

#include "cached/describe.h"
#include "cached/flush.h"
#include "cached/held.h"
#include "common/clock.h"
#include "common/glob.h"
#include "common/log.h"

enum { NAME_SIZE = 256 };

/* --- nodes ------------------------------------------------------------------------------------ */

/* This node, as a farm of its own. */
static struct farm_node
node_alone(char name[NAME_SIZE])
{
    if (gethostname(name, NAME_SIZE) != 0)
        strcpy(name, "localhost");
    name[NAME_SIZE - 1] = '\0';
    return (struct farm_node){
        .name = name, .self = true, .confirmed = true, .last_seen_s = clock_wall_s()};
}

static void
on_nodes(bool reachable, const struct farm_node *nodes, size_t count, void *arg)
{
    struct control_job *job = arg;
    struct describe_farm farm = {nodes, count, .has_redis = true, .is_away = !reachable};
    struct farm_node alone;
    char name[NAME_SIZE];
    struct buf out;

    job->farm_job = NULL;
    if (!reachable) {
        alone = node_alone(name);
        alone.confirmed = false; /* nobody else could be asked */
        farm.nodes = &alone;
        farm.count = 1;
    }
    command_begin_json(&out);
    describe_nodes(&farm, &out);
    control_job_reply(job, &out);
}

void
control_run_nodes(struct command *c)
{
    struct farm_node alone;
    char name[NAME_SIZE];
    struct control_job *job;
    struct buf out;

    if (c->control->farm != NULL) {
        job = control_job_new(c);
        job->farm_job = farm_nodes(c->control->farm, on_nodes, job);
        return;
    }
    alone = node_alone(name);
    command_begin_json(&out);
    describe_nodes(&(struct describe_farm){.nodes = &alone, .count = 1}, &out);
    command_send_json(&out, c->reply, c->arg);
}

/* --- flush and refresh ------------------------------------------------------------------------ */

/* A flush has done its work when nothing old is left. */
static enum exitcode
exit_of_flush(const struct refetch_result *r)
{
    return r->outcome == REFETCH_KEPT ? EXIT_IN_DOUBT : EXIT_DONE;
}

static enum exitcode
exit_of_refresh(const struct refetch_result *r)
{
    if (r->outcome == REFETCH_UNKNOWN)
        return EXIT_IN_DOUBT;
    if (r->outcome == REFETCH_NO_POLICY)
        return exitcode_of_verdict(VERDICT_NONE, r->error, r->http_status);
    return exit_of_flush(r);
}

static void
on_confirmed(bool reachable, const struct farm_node *nodes, size_t count, void *arg)
{
    struct describe_farm farm = {nodes, count, .has_redis = true, .is_away = !reachable};
    struct control_job *job = arg;
    bool all = reachable;
    struct buf out = job->out;

    job->farm_job = NULL;
    job->out = (struct buf){0};
    for (size_t i = 0; i < count; i++)
        all = all && nodes[i].confirmed;
    if (!all && job->exit_code == EXIT_DONE)
        job->exit_code = EXIT_IN_DOUBT;
    describe_end(&farm, job->exit_code, &out);
    control_job_reply(job, &out);
}

/* Ends the reply in `out`, whose object is still open, when all nodes have confirmed, should that
 * be waited for. */
static void
reply_when_confirmed(struct control_job *job, struct buf *out, enum exitcode exit_code)
{
    struct farm *farm = job->control->farm;
    struct describe_farm here;
    struct farm_node alone;
    char name[NAME_SIZE];

    job->exit_code = exit_code;
    if (job->wait && farm != NULL && job->reply != NULL) {
        job->out = *out;
        job->farm_job = farm_wait(farm, on_confirmed, job);
        return;
    }
    alone = node_alone(name);
    here = (struct describe_farm){.nodes = job->wait ? &alone : NULL,
                                  .count = 1,
                                  .has_redis = farm != NULL,
                                  .is_away = farm != NULL && !farm_is_up(farm)};
    describe_end(&here, exit_code, out);
    control_job_reply(job, out);
}

static void
on_refetched(const struct refetch_result *r, void *arg)
{
    struct control_job *job = arg;
    struct buf out;

    command_begin_json(&out);
    describe_refetch(r, &out);
    reply_when_confirmed(job, &out, job->exit_of(r));
}

static void
refetch(struct command *c, const char *domain,
        enum exitcode (*exit_of)(const struct refetch_result *), bool wait)
{
    struct control_job *job = control_job_new(c);

    job->exit_of = exit_of;
    job->wait = wait;
    log_info("control %s domain=%s", c->words[0], domain);
    query_refetch(c->control->engine, domain, on_refetched, job);
}

static void
on_flushed(const struct flush_result *r, void *arg)
{
    bool none_held = r->renewed + r->kept + r->no_policy + r->forgotten == 0;
    struct control_job *job = arg;
    struct buf out;

    job->flush = NULL;
    command_begin_json(&out);
    describe_flush(r, &out);
    reply_when_confirmed(job, &out,
                         none_held && !job->all ? EXIT_NO_POLICY
                         : r->kept > 0          ? EXIT_IN_DOUBT
                                                : EXIT_DONE);
}

static void
flush_many(struct command *c, const char *glob, bool force, bool wait)
{
    struct control *control = c->control;
    struct flush_request request = {.base = control->base,
                                    .engine = control->engine,
                                    .cache = control->cache,
                                    .store = control->store,
                                    .glob = glob,
                                    .force = force};
    struct control_job *job;

    for (job = control->jobs; job != NULL; job = job->next) {
        if (job->flush != NULL) {
            command_reply_error(c, EXIT_IN_DOUBT, "another flush is under way");
            return;
        }
    }
    log_info("control flush %s%s", c->words[1], force ? " force" : "");
    farm_tell(control->farm, glob != NULL ? glob : "*");
    job = control_job_new(c);
    job->all = glob == NULL;
    job->wait = wait;
    job->flush = flush_start(&request, on_flushed, job);
}

static void
on_buried(void *arg)
{
    struct control_job *job = arg;
    struct buf out = job->out;

    job->out = (struct buf){0};
    reply_when_confirmed(job, &out, EXIT_DONE);
}

static void
forget(struct command *c, const char *domain, bool wait)
{
    struct control_job *job = control_job_new(c);

    log_info("control flush domain=%s force", domain);
    job->wait = wait;
    command_begin_json(&job->out);
    describe_forgotten(domain, &job->out);
    if (!query_bury(c->control->engine, domain, on_buried, job))
        on_buried(job);
}

static void
flush_one(struct command *c, bool force, bool wait)
{
    struct control *control = c->control;
    char domain[DOMAIN_SIZE];

    if (!control_read_domain(c, domain))
        return;
    farm_tell(control->farm, domain);
    if (!held_anything(cache_get(control->cache, domain, true)))
        command_reply_error(c, EXIT_NO_POLICY, "%s: not held", domain);
    else if (force)
        forget(c, domain, wait);
    else
        refetch(c, domain, exit_of_flush, wait);
}

void
control_run_flush(struct command *c)
{
    bool force = command_take_flag(c, "force"), wait = command_take_flag(c, "wait");

    if (c->count != 2) {
        command_reply_error(c, EXIT_BAD_USAGE, "usage: flush DOMAIN|GLOB|--all [wait] [force]");
    } else if (strcmp(c->words[1], "--all") == 0) {
        flush_many(c, NULL, force, wait);
    } else if (glob_is(c->words[1])) {
        ascii_lower_bytes(c->words[1], strlen(c->words[1]));
        flush_many(c, c->words[1], force, wait);
    } else {
        flush_one(c, force, wait);
    }
}

void
control_run_refresh(struct command *c)
{
    char domain[DOMAIN_SIZE];

    if (control_read_domain(c, domain))
        refetch(c, domain, exit_of_refresh, false);
}
