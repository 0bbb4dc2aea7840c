#include "tests/unit/cached/verdict_samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct policy *
verdict_sample_policy(const char *mode, const char *mx)
{
    struct policy *policy;
    char body[200];
    int len = snprintf(body, sizeof body, "version: STSv1\nmode: %s\n%smax_age: 604800\n", mode,
                       mx != NULL ? mx : "");

    assert_int_equal(policy_parse((struct span){body, (size_t)len}, "", &policy, NULL, 0), STS_OK);
    return policy;
}

static struct mx_set *
make_mx_set(const struct facts *f)
{
    struct mx_set *mx = calloc(1, sizeof *mx + 200);
    char *at = mx->names;

    mx->error = f->mx_error;
    mx->until_ms = NOW_MS + f->mx_until_ms;
    for (; mx->count < 3 && f->mx_hosts[mx->count] != NULL; mx->count++)
        at = stpcpy(at, f->mx_hosts[mx->count]) + 1;
    return mx;
}

struct entry *
verdict_sample(const struct facts *f)
{
    struct entry *e = calloc(1, sizeof *e + 1);

    if (f->mode != NULL)
        e->policy = verdict_sample_policy(f->mode, f->mx);
    e->expires_s = (uint32_t)(NOW_MS / 1000 + f->expires_in_s);
    if (f->checked_ago_ms != 0)
        e->checked_ms = (uint32_t)(NOW_MS - f->checked_ago_ms);
    if (f->has_mx_set)
        e->mx = make_mx_set(f);
    e->outcome = (uint8_t)f->outcome;
    e->outcome_unknown = f->unknown;
    e->outcome_until_s = f->outcome != STS_OK ? (uint32_t)(NOW_MS / 1000 + f->outcome_until_s) : 0;
    e->backoff_s = (uint16_t)f->backoff_s;
    if (f->failure != STS_OK) {
        e->failure = calloc(1, sizeof *e->failure + sizeof "why");
        e->failure->error = f->failure;
        e->failure->http_status = 503;
        strcpy(e->failure->detail, "why");
        cache_note_fetch(e, NOW_MS - f->tried_ago_ms);
    }
    return e;
}

void
verdict_sample_free(struct entry *e)
{
    policy_free(e->policy);
    free(e->mx);
    free(e->failure);
    free(e);
}
