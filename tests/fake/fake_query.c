#include "tests/fake/fake_query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/policy.h"

bool
query_ask(struct query_engine *q, const struct question *question, struct judgement *now,
          struct query_token **token)
{
    q->asked = *question;
    strcpy(q->asked_domain, question->domain);
    if (!q->later) {
        *now = q->judgement;
        return true;
    }
    *token = (struct query_token *)q;
    return false;
}

void
query_when_done(struct query_token *token, query_done_fn *done, void *arg)
{
    struct query_engine *q = (struct query_engine *)token;

    q->done = done;
    q->arg = arg;
}

void
query_cancel(struct query_token *token)
{
    ((struct query_engine *)token)->done = NULL;
}

void
fake_query_answer(struct query_engine *q)
{
    query_done_fn *done = q->done;

    assert(done != NULL);
    q->done = NULL;
    done(&q->judgement, q->arg);
}

void
query_refetch(struct query_engine *q, const char *domain, query_refetch_fn *done, void *arg)
{
    struct fake_refetch *r = &q->refetches[q->running];

    assert(q->running < FAKE_REFETCHES_MAX);
    strcpy(r->domain, domain);
    r->done = done;
    r->arg = arg;
    q->running++;
    q->refetched++;
    if (q->running > q->running_max)
        q->running_max = q->running;
}

bool
fake_query_end_refetch(struct query_engine *q, struct refetch_result result)
{
    struct fake_refetch first = q->refetches[0];

    if (q->running == 0)
        return false;
    q->running--;
    memmove(q->refetches, q->refetches + 1, q->running * sizeof(q->refetches[0]));
    result.domain = first.domain;
    if (result.detail == NULL)
        result.detail = "";
    first.done(&result, first.arg);
    return true;
}

void
query_forget(struct query_engine *q, const char *domain)
{
    q->forgotten++;
    strcpy(q->last_forgotten, domain);
}

void
query_recheck(struct query_engine *q, const char *domain)
{
    (void)domain;
    q->rechecked++;
}

void
query_note_no_domain(struct query_engine *engine, int64_t arrived_ms)
{
    (void)engine;
    (void)arrived_ms;
}

bool
query_bury(struct query_engine *q, const char *domain, farm_done_fn *done, void *arg)
{
    (void)done;
    (void)arg;
    query_forget(q, domain);
    return false;
}

void
fake_query_judge_by_long_list(struct query_engine *q, int hosts)
{
    struct buf body;
    enum sts_error error;

    buf_init(&body, POLICY_BODY_MAX);
    buf_add_string(&body, "version: STSv1\nmode: enforce\nmax_age: 86400\n");
    for (int i = 0; i < hosts; i++)
        buf_printf(&body, "mx: h%04d.example\n", i);
    q->entry = alloc_zero(1, sizeof *q->entry + DOMAIN_SIZE);
    error = policy_parse((struct span){body.data, body.len}, "", &q->entry->policy, NULL, 0);
    assert(error == STS_OK);
    (void)error;
    buf_done(&body);
    q->judgement.verdict = VERDICT_SECURE;
    q->judgement.reason = STS_OK;
    q->judgement.entry = q->entry;
    q->judgement.policy = q->entry->policy;
}

void
fake_query_done(struct query_engine *q)
{
    if (q->entry != NULL)
        policy_free(q->entry->policy);
    free(q->entry);
}
