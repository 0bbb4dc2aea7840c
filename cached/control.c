#include "cached/control.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cached/command.h"
#include "cached/describe.h"
#include "cached/exitcode.h"
#include "cached/flush.h"
#include "cached/held.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/glob.h"
#include "common/log.h"
#include "common/nexthop.h"

enum { LISTING_KEPT_MS = 60 * 1000, NAME_SIZE = 256 };

/* A command that waits for its reply. */
struct control_job {
    struct control_job *next, **link;
    struct control *control;
    control_reply_fn *reply; /* NULL: who asked is gone */
    void *arg;
    struct query_token *token;
    struct flush *flush;
    struct farm_job *farm_job;
    bool all;  /* of a flush: no glob that must match something */
    bool wait; /* the reply waits for the other nodes */
    enum exitcode (*exit_of)(const struct refetch_result *);
    struct buf out; /* the reply so far, while the nodes are waited for */
    enum exitcode exit_code;
};

/* A list that is being read page by page: kept so that its walk goes on instead of beginning anew.
 */
struct control_listing {
    struct held *held;
    char *glob;
    int64_t touched_ms;
};

/* --- jobs ------------------------------------------------------------------------------------- */

static struct control_job *
job_new(struct command *c)
{
    struct control_job *job = alloc_zero(1, sizeof(*job));

    job->control = c->control;
    job->reply = c->reply;
    job->arg = c->arg;
    job->next = c->control->jobs;
    job->link = &c->control->jobs;
    if (job->next != NULL)
        job->next->link = &job->next;
    c->control->jobs = job;
    return job;
}

static void
job_free(struct control_job *job)
{
    *job->link = job->next;
    if (job->next != NULL)
        job->next->link = job->link;
    free(job);
}

/* Ends a job with the JSON in `out`. The reply may run the next command. */
static void
job_reply(struct control_job *job, struct buf *out)
{
    control_reply_fn *reply = job->reply;
    void *arg = job->arg;

    job_free(job);
    if (reply != NULL)
        command_send_json(out, reply, arg);
    else
        buf_done(out);
}

static void
job_cancel(struct control_job *job)
{
    job->reply = NULL;
    if (job->token != NULL) {
        query_cancel(job->token);
        job_free(job);
    } else if (job->flush != NULL) {
        flush_cancel(job->flush);
    } else if (job->farm_job != NULL) {
        farm_cancel(job->farm_job);
        buf_done(&job->out);
        job_free(job);
    } /* flushes and fetches free their job when they end */
}

void
control_cancel(struct control *control, const void *arg)
{
    struct control_job *job, *next;

    for (job = control->jobs; job != NULL; job = next) {
        next = job->next;
        if (job->arg == arg && job->reply != NULL)
            job_cancel(job);
    }
}

static void
listing_free(struct control *control)
{
    if (control->listing == NULL)
        return;
    held_free(control->listing->held);
    free(control->listing->glob);
    free(control->listing);
    control->listing = NULL;
}

void
control_done(struct control *control)
{
    while (control->jobs != NULL) {
        if (control->jobs->flush != NULL)
            flush_abandon(control->jobs->flush);
        farm_cancel(control->jobs->farm_job);
        buf_done(&control->jobs->out);
        job_free(control->jobs);
    }
    listing_free(control);
}

/* --- what a command works on ------------------------------------------------------------------ */

/* The policy domain that the second word means; the command ends with an error when it means none.
 */
static bool
read_domain(struct command *c, char domain[DOMAIN_SIZE])
{
    struct nexthop hop = nexthop_parse(c->words[1], strlen(c->words[1]));

    if (hop.domain[0] == '\0') {
        command_reply_error(c, EXIT_BAD_USAGE, "%s: not a domain that can have a policy",
                            c->words[1]);
        return false;
    }
    memcpy(domain, hop.domain, DOMAIN_SIZE);
    return true;
}

/* --- query ------------------------------------------------------------------------------------ */

static void
write_judgement(const struct judgement *j, struct buf *out)
{
    command_begin_json(out);
    describe_judgement(j, out);
}

static void
on_judgement(const struct judgement *j, void *arg)
{
    struct buf out;

    write_judgement(j, &out);
    job_reply(arg, &out);
}

static void
reply_not_a_domain(struct command *c)
{
    struct judgement none = {
        .verdict = VERDICT_NONE, .reason = STS_NOT_A_DOMAIN, .domain = "", .detail = ""};
    struct buf out;

    write_judgement(&none, &out);
    command_send_json(&out, c->reply, c->arg);
}

/* Milliseconds; false when this is no number. */
static bool
read_wait(const char *text, int64_t *wait_ms)
{
    struct scan s = scan_bytes(text, strlen(text));
    uint64_t ms;

    if (!scan_number(&s, 9, &ms) || !scan_is_done(&s))
        return false;
    *wait_ms = (int64_t)ms;
    return true;
}

static void
run_query(struct command *c)
{
    struct question question = {.want_mx = true, .wait_ms = -1, .arrived_ms = clock_boot_ms()};
    struct judgement now;
    struct control_job *job;
    struct nexthop hop;
    struct buf out;
    char wait[COMMAND_WORD_SIZE];

    if (command_take_value(c, "wait=", wait) && !read_wait(wait, &question.wait_ms)) {
        command_reply_error(c, EXIT_BAD_USAGE, "wait=%s: not a number of milliseconds", wait);
        return;
    }
    hop = nexthop_parse(c->words[1], strlen(c->words[1]));
    if (hop.domain[0] == '\0') {
        reply_not_a_domain(c);
        return;
    }
    question.domain = hop.domain;
    question.host_only = hop.kind == NEXTHOP_HOST;
    job = job_new(c);
    if (query_ask(c->control->engine, &question, &now, on_judgement, job, &job->token)) {
        write_judgement(&now, &out);
        job_reply(job, &out);
    }
}

/* --- show and list ---------------------------------------------------------------------------- */

struct showing {
    struct command *command;
    const struct entry *entry;
};

static void
show_policy(const struct held_policy *p, void *arg)
{
    struct showing *showing = arg;
    struct buf out;

    command_begin_json(&out);
    describe_held(p, showing->entry, &out);
    command_send_json(&out, showing->command->reply, showing->command->arg);
}

static void
run_show(struct command *c)
{
    struct control *control = c->control;
    struct showing showing = {.command = c};
    char domain[DOMAIN_SIZE];

    if (!read_domain(c, domain))
        return;
    showing.entry = cache_get(control->cache, domain, false);
    if (held_find(control->cache, control->store, domain, show_policy, &showing))
        return;
    if (held_anything(showing.entry) && showing.entry->outcome != STS_OK)
        command_reply_error(c, EXIT_NO_POLICY, "%s: not held (%s)", domain,
                            sts_error_text((enum sts_error)showing.entry->outcome));
    else
        command_reply_error(c, EXIT_NO_POLICY, "%s: not held", domain);
}

static bool
is_same_glob(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The walk that stands behind `after`, the kept one where it fits. */
static struct control_listing *
listing_at(struct control *control, const char *glob, const char *after)
{
    struct control_listing *l = control->listing;

    if (l == NULL || after[0] == '\0' || strcmp(held_position(l->held), after) != 0 ||
        !is_same_glob(l->glob, glob) || clock_boot_ms() - l->touched_ms > LISTING_KEPT_MS) {
        listing_free(control);
        l = control->listing = alloc_zero(1, sizeof(*l));
        l->glob = glob != NULL ? alloc_string(glob) : NULL;
        l->held = held_new(control->cache, control->store, glob, after);
    }
    l->touched_ms = clock_boot_ms();
    return l;
}

static void
list_policy(const struct held_policy *p, void *arg)
{
    struct buf *out = arg;

    if (out->data[out->len - 1] != '[')
        buf_add_char(out, ',');
    describe_policy(p, out);
}

static void
run_list(struct command *c)
{
    struct control *control = c->control;
    struct control_listing *listing;
    char after[COMMAND_WORD_SIZE] = "";
    struct buf out;

    if ((command_take_value(c, "after=", after) && !domain_is_normal(after)) || c->count > 2) {
        command_reply_error(c, EXIT_BAD_USAGE, "usage: list [GLOB] [after=DOMAIN]");
        return;
    }
    if (c->count > 1)
        ascii_lower_bytes(c->words[1], strlen(c->words[1]));
    listing = listing_at(control, c->count > 1 ? c->words[1] : NULL, after);
    command_begin_json(&out);
    buf_add_string(&out, "{\"policies\":[");
    if (held_next(listing->held, CONTROL_PAGE, list_policy, &out)) {
        buf_printf(&out, "],\"next\":\"%s\"}", held_position(listing->held));
    } else {
        buf_add_string(&out, "],\"next\":null}");
        listing_free(control);
    }
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
    if (r->outcome == REFETCH_NO_POLICY)
        return exitcode_of_verdict(VERDICT_NONE, r->error, r->http_status);
    return exit_of_flush(r);
}

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
on_confirmed(bool reachable, const struct farm_node *nodes, size_t count, void *arg)
{
    struct control_job *job = arg;
    bool all = reachable;
    struct buf out = job->out;

    job->farm_job = NULL;
    job->out = (struct buf){0};
    for (size_t i = 0; i < count; i++)
        all = all && nodes[i].confirmed;
    if (!all && job->exit_code == EXIT_DONE)
        job->exit_code = EXIT_IN_DOUBT;
    describe_end(nodes, count, job->exit_code, &out);
    job_reply(job, &out);
}

/* Ends the reply in `out`, whose object is still open, when all nodes have confirmed, should that
 * be waited for. */
static void
reply_when_confirmed(struct control_job *job, struct buf *out, enum exitcode exit_code)
{
    struct farm *farm = job->control->farm;
    struct farm_node alone;
    char name[NAME_SIZE];

    job->exit_code = exit_code;
    if (job->wait && farm != NULL && job->reply != NULL) {
        job->out = *out;
        job->farm_job = farm_wait(farm, on_confirmed, job);
        return;
    }
    alone = node_alone(name);
    describe_end(job->wait ? &alone : NULL, 1, exit_code, out);
    job_reply(job, out);
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
    struct control_job *job = job_new(c);

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
    job = job_new(c);
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
    struct control_job *job = job_new(c);

    log_info("control flush domain=%s force", domain);
    job->wait = wait;
    command_begin_json(&job->out);
    buf_printf(&job->out, "{\"domain\":\"%s\",\"outcome\":\"forgotten\"", domain);
    if (!query_bury(c->control->engine, domain, on_buried, job))
        on_buried(job);
}

static void
flush_one(struct command *c, bool force, bool wait)
{
    struct control *control = c->control;
    char domain[DOMAIN_SIZE];

    if (!read_domain(c, domain))
        return;
    farm_tell(control->farm, domain);
    if (!held_anything(cache_get(control->cache, domain, true)))
        command_reply_error(c, EXIT_NO_POLICY, "%s: not held", domain);
    else if (force)
        forget(c, domain, wait);
    else
        refetch(c, domain, exit_of_flush, wait);
}

static void
run_flush(struct command *c)
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

static void
run_refresh(struct command *c)
{
    char domain[DOMAIN_SIZE];

    if (read_domain(c, domain))
        refetch(c, domain, exit_of_refresh, false);
}

/* --- the daemon itself ------------------------------------------------------------------------ */

static void
run_stats(struct command *c)
{
    struct buf out;

    command_begin_json(&out);
    stats_json(c->control->stats, c->control->cache, c->control->store, &out);
    command_send_json(&out, c->reply, c->arg);
}

static void
on_nodes(bool reachable, const struct farm_node *nodes, size_t count, void *arg)
{
    struct control_job *job = arg;
    struct farm_node alone;
    char name[NAME_SIZE];
    struct buf out;

    job->farm_job = NULL;
    alone = node_alone(name);
    alone.confirmed = false; /* nobody else could be asked */
    command_begin_json(&out);
    describe_nodes(reachable ? nodes : &alone, reachable ? count : 1, &out);
    job_reply(job, &out);
}

static void
run_nodes(struct command *c)
{
    struct farm_node alone;
    char name[NAME_SIZE];
    struct control_job *job;
    struct buf out;

    if (c->control->farm != NULL) {
        job = job_new(c);
        job->farm_job = farm_nodes(c->control->farm, on_nodes, job);
        return;
    }
    alone = node_alone(name);
    command_begin_json(&out);
    describe_nodes(&alone, 1, &out);
    command_send_json(&out, c->reply, c->arg);
}

static const struct {
    const char *name, *usage;
    size_t words_min, words_max;
    void (*run)(struct command *);
} commands[] = {
    {"query", "query KEY [wait=MS]", 2, 3, run_query},
    {"verdict", "verdict KEY [wait=MS]", 2, 3, run_query},
    {"show", "show DOMAIN", 2, 2, run_show},
    {"list", "list [GLOB] [after=DOMAIN]", 1, 3, run_list},
    {"flush", "flush DOMAIN|GLOB|--all [wait] [force]", 2, 4, run_flush},
    {"refresh", "refresh DOMAIN", 2, 2, run_refresh},
    {"stats", "stats", 1, 1, run_stats},
    {"nodes", "nodes", 1, 1, run_nodes},
};

void
control_run(struct control *control, const char *command, size_t len, control_reply_fn *reply,
            void *arg)
{
    struct command c = {.control = control, .reply = reply, .arg = arg};

    if (!command_read(&c, command, len)) {
        command_reply_error(&c, EXIT_BAD_USAGE, "not a command");
        return;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, c.words[0]) != 0)
            continue;
        if (c.count < commands[i].words_min || c.count > commands[i].words_max)
            command_reply_error(&c, EXIT_BAD_USAGE, "usage: %s", commands[i].usage);
        else
            commands[i].run(&c);
        return;
    }
    command_reply_error(&c, EXIT_BAD_USAGE, "%s: unknown command", c.words[0]);
}
