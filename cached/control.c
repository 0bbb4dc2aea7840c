#include "cached/control_parts.h"

#include <stdlib.h>
#include <string.h>

#include "cached/describe.h"
#include "cached/exitcode.h"
#include "cached/flush.h"
#include "cached/held.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/nexthop.h"

enum { LISTING_KEPT_MS = 60 * 1000 };

/* A list that is being read page by page: kept so that its walk goes on instead of beginning anew.
 */
struct control_listing {
    struct held *held;
    char *glob;
    int64_t touched_ms;
};

/* --- jobs ------------------------------------------------------------------------------------- */

struct control_job *
control_job_new(struct command *c)
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

void
control_job_reply(struct control_job *job, struct buf *out)
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
    } else if (job->check != NULL) {
        check_cancel(job->check);
        job_free(job);
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
        check_cancel(control->jobs->check);
        buf_done(&control->jobs->out);
        job_free(control->jobs);
    }
    listing_free(control);
}

/* --- what a command works on ------------------------------------------------------------------ */

bool
control_read_domain(struct command *c, char domain[DOMAIN_SIZE])
{
    struct nexthop hop;

    nexthop_parse(c->words[1], strlen(c->words[1]), &hop);
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
    control_job_reply(arg, &out);
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
    struct question question = {
        .want_mx = true, .want_probe = true, .wait_ms = -1, .arrived_ms = clock_boot_ms()};
    struct judgement now;
    struct control_job *job;
    struct nexthop hop;
    struct buf out;
    char wait[COMMAND_WORD_SIZE];

    if (command_take_value(c, "wait=", wait) && !read_wait(wait, &question.wait_ms)) {
        command_reply_error(c, EXIT_BAD_USAGE, "wait=%s: not a number of milliseconds", wait);
        return;
    }
    nexthop_parse(c->words[1], strlen(c->words[1]), &hop);
    if (hop.domain[0] == '\0') {
        reply_not_a_domain(c);
        return;
    }
    question.domain = hop.domain;
    question.now_ms = question.arrived_ms;
    question.host_only = hop.kind == NEXTHOP_HOST;
    job = control_job_new(c);
    if (query_ask(c->control->engine, &question, &now, &job->token)) {
        write_judgement(&now, &out);
        control_job_reply(job, &out);
    } else {
        query_when_done(job->token, on_judgement, job);
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

    if (!control_read_domain(c, domain))
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
run_config(struct command *c)
{
    struct buf out;

    command_begin_json(&out);
    describe_settings(c->control->settings, &out);
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
    {"flush", "flush DOMAIN|GLOB|--all [wait] [force]", 2, 4, control_run_flush},
    {"refresh", "refresh DOMAIN", 2, 2, control_run_refresh},
    {"check", "check DOMAIN", 2, 2, control_run_check},
    {"stats", "stats", 1, 1, run_stats},
    {"nodes", "nodes", 1, 1, control_run_nodes},
    {"config", "config", 1, 1, run_config},
};

void
control_run(struct control *control, const char *command, size_t len, control_reply_fn *reply,
            void *arg)
{
    struct command c = {.control = control, .reply = reply, .arg = arg};
    const char *fault = command_read(&c, command, len);

    if (fault != NULL) {
        command_reply_error(&c, EXIT_BAD_USAGE, "%s", fault);
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
