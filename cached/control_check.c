/* The command that looks at a domain live. */
#include "cached/control_parts.h"

#include "cached/settings.h"
#include "common/log.h"

static void
on_checked(const struct check_report *report, void *arg)
{
    struct control_job *job = arg;
    struct buf out;

    job->check = NULL;
    command_begin_json(&out);
    check_report_json(report, &out);
    control_job_reply(job, &out);
}

static size_t
checks_running(const struct control *control)
{
    size_t count = 0;

    for (const struct control_job *job = control->jobs; job != NULL; job = job->next)
        count += job->check != NULL;
    return count;
}

void
control_run_check(struct command *c)
{
    struct control *control = c->control;
    char domain[DOMAIN_SIZE];
    struct check_order order = {.base = control->base,
                                .source = control->source,
                                .domain = domain,
                                .time_ms = CHECK_TIME_MS,
                                .trust_ad = control->settings->dns.trust_ad};
    struct control_job *job;

    if (!control_read_domain(c, domain))
        return;
    if (checks_running(control) >= CONTROL_CHECKS_MAX) {
        command_reply_error(c, EXIT_IN_DOUBT, "%d checks are under way; try again later",
                            CONTROL_CHECKS_MAX);
        return;
    }
    log_info("control check domain=%s", domain);
    job = control_job_new(c);
    job->check = check_start(&order, on_checked, job);
}
