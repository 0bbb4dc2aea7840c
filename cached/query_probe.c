/* The step of a question that probes MX hosts, and what is told of it. */
#include "cached/query_engine.h"

#include <stdio.h>

#include "cached/settings.h"
#include "common/buf.h"
#include "common/clock.h"

enum { SLACK_MS = 20 /* so that a probe that outlives the wait counts as late */ };

enum verdict_need
query_judge_probes(const struct query_engine *q, int64_t now_ms, struct judgement *j)
{
    if (!q->settings->probe || !verdict_can_be_probed(j))
        return VERDICT_FINAL;
    for (size_t i = 0; i < j->host_count && i < PROBES_WANT_MAX; i++)
        j->probes[j->probe_count++] =
            (struct verdict_probe){j->hosts[i], probes_look(q->probes, j->hosts[i])};
    return verdict_judge_probes(j, q->settings->answer_deadline_ms, now_ms);
}

static void
on_probes(void *arg)
{
    struct resolution *r = arg;

    r->probes_wait = NULL;
    query_take_up(r, STEP_PROBE);
}

/* All that may still decide are asked at once: the time of an asker is short. */
static bool
wait_for_probes(struct resolution *r, bool host_only)
{
    struct query_engine *q = r->engine;
    struct judgement *j = &q->judgement;
    struct question asked = {
        .domain = r->entry->domain, .want_mx = true, .host_only = host_only, .want_probe = true};
    const char *hosts[PROBES_WANT_MAX];
    size_t count = 0;

    if (query_judge(q, r->entry, &asked, clock_boot_ms(), j) != VERDICT_NEEDS_PROBE)
        return false;
    for (size_t i = 0; i < j->probe_count; i++) {
        if (j->probes[i].memory.state != PROBE_KNOWN)
            hosts[count++] = j->probes[i].host;
    }
    r->probes_wait = probes_want(q->probes, hosts, count,
                                 q->settings->answer_deadline_ms + SLACK_MS, on_probes, r);
    return true;
}

/* Comes back here after each result, until nothing can change the verdict. */
enum step_result
query_step_probe(struct resolution *r)
{
    bool waits = (r->want_probe && wait_for_probes(r, false)) ||
                 (r->want_host_probe && wait_for_probes(r, true));

    return waits ? WAIT : NEXT;
}

void
query_describe_probes(const struct judgement *j, char text[QUERY_PROBES_TEXT_SIZE])
{
    static const char rest[] = ", ...";
    bool is_any_at_fault = false;
    struct buf out;

    text[0] = '\0';
    if (j->probe_count == 0)
        return;
    buf_init(&out, QUERY_PROBES_TEXT_SIZE - sizeof rest);
    for (size_t i = 0; i < j->probe_count; i++) {
        const struct probe_memory *m = &j->probes[i].memory;

        is_any_at_fault |= m->state == PROBE_KNOWN && m->error != STS_OK;
        buf_printf(&out, "%s%s %s%s%s%s", i > 0 ? ", " : "", j->probes[i].host, probes_word(m),
                   m->detail[0] ? " (" : "", m->detail, m->detail[0] ? ")" : "");
    }
    snprintf(text, QUERY_PROBES_TEXT_SIZE, "%s%s", is_any_at_fault ? buf_string(&out) : "",
             is_any_at_fault && buf_failed(&out) ? rest : "");
    buf_done(&out);
}
