#include "tests/fake/query_lab.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

enum { BOOT_MS = 500 * 1000 * 1000, WALL_S = 1790000000, DAY_MS = 86400 * 1000 };

struct lab *
lab_new(void)
{
    struct lab *lab = alloc_zero(1, sizeof *lab);

    lab->boot_ms = BOOT_MS;
    lab->wall_s = WALL_S;
    lab_pass(lab, 0);
    lab->settings.answer_deadline_ms = LAB_DEADLINE_MS;
    lab->base = event_base_new();
    lab->cache = cache_new(NULL, 64 << 20, DAY_MS);
    lab->engine =
        query_engine_new(lab->base, &lab->settings, lab->cache, &lab->source, &lab->stats);
    return lab;
}

void
lab_free(struct lab *lab)
{
    query_engine_free(lab->engine);
    assert_int_equal(lab->source.running, 0);
    cache_free(lab->cache);
    event_base_free(lab->base);
    free(lab);
}

int
lab_set_up(void **state)
{
    *state = lab_new();
    return 0;
}

int
lab_tear_down(void **state)
{
    lab_free(*state);
    return 0;
}

void
lab_pass(struct lab *lab, int64_t seconds)
{
    lab->boot_ms += seconds * 1000;
    lab->wall_s += seconds;
    clock_fake(lab->boot_ms, lab->wall_s);
}

static void
note(struct asker *asker, const struct judgement *j)
{
    asker->answers++;
    asker->verdict = j->verdict;
    asker->reason = j->reason;
    snprintf(asker->detail, sizeof asker->detail, "%s", j->detail);
    asker->source = j->source;
    asker->has_policy = j->policy != NULL;
    asker->hosts[0] = '\0';
    for (size_t i = 0; i < j->host_count; i++)
        snprintf(asker->hosts + strlen(asker->hosts), sizeof asker->hosts - strlen(asker->hosts),
                 "%s%s", i > 0 ? " " : "", j->hosts[i]);
}

static void
on_answer(const struct judgement *j, void *arg)
{
    note(arg, j);
}

void
lab_put(struct lab *lab, struct question question, struct asker *asker)
{
    struct judgement now;

    memset(asker, 0, sizeof *asker);
    if (question.domain == NULL)
        question.domain = LAB_DOMAIN;
    question.arrived_ms = question.now_ms = lab->boot_ms;
    asker->at_once = query_ask(lab->engine, &question, &now, &asker->token);
    if (asker->at_once)
        note(asker, &now);
    else
        query_when_done(asker->token, on_answer, asker);
}

void
lab_ask(struct lab *lab, struct asker *asker)
{
    lab_put(lab, (struct question){.wait_ms = -1}, asker);
}

void
lab_ask_mx(struct lab *lab, struct asker *asker)
{
    lab_put(lab, (struct question){.wait_ms = -1, .want_mx = true}, asker);
}

void
lab_wait(struct lab *lab, struct asker *asker)
{
    static const struct timeval patience = {.tv_sec = 5};

    event_base_loopexit(lab->base, &patience);
    while (asker->answers == 0 && !event_base_got_exit(lab->base))
        assert_int_equal(event_base_loop(lab->base, EVLOOP_ONCE), 0);
    assert_int_equal(asker->answers, 1);
}

void
lab_txt(struct lab *lab, const char *id)
{
    char text[64];
    struct span record = {text, (size_t)snprintf(text, sizeof text, "v=STSv1; id=%s;", id)};
    struct txt_result result = {.ttl_s = LAB_TTL_S, .records = &record, .count = 1};

    fake_source_end_txt(&lab->source, LAB_DOMAIN, &result);
}

void
lab_txt_fails(struct lab *lab, enum sts_error error, uint32_t ttl_s)
{
    struct txt_result result = {.error = error, .ttl_s = ttl_s};

    fake_source_end_txt(&lab->source, LAB_DOMAIN, &result);
}

void
lab_fetch_body(struct lab *lab, const char *body)
{
    struct fetch_result result = {.http_status = 200, .body = body, .len = strlen(body)};

    fake_source_end_fetch(&lab->source, LAB_DOMAIN, &result);
}

void
lab_fetch(struct lab *lab, const char *mode, unsigned max_age_s)
{
    char body[200];

    snprintf(body, sizeof body, "version: STSv1\nmode: %s\nmx: *.%s\nmax_age: %u\n", mode,
             LAB_DOMAIN, max_age_s);
    lab_fetch_body(lab, body);
}

void
lab_fetch_fails(struct lab *lab, enum sts_error error)
{
    struct fetch_result result = {.error = error};

    fake_source_end_fetch(&lab->source, LAB_DOMAIN, &result);
}

void
lab_mx(struct lab *lab, enum sts_error error, const char *host)
{
    struct mx_result result = {
        .error = error, .ttl_s = 300, .hosts = &host, .count = error == STS_OK};

    fake_source_end_mx(&lab->source, LAB_DOMAIN, &result);
}

void
lab_mx_dane(struct lab *lab, const char *host, enum dane_state state)
{
    struct mx_result result = {.ttl_s = 300,
                               .hosts = &host,
                               .count = 1,
                               .secure = true,
                               .with_dane = true,
                               .dane = &state,
                               .dane_error = state == DANE_FAILED ? STS_DNS_SERVFAIL : STS_OK};

    assert_true(lab->source.with_dane);
    fake_source_end_mx(&lab->source, LAB_DOMAIN, &result);
}

void
lab_hold(struct lab *lab, const char *id, const char *mode, unsigned max_age_s)
{
    struct asker asker;

    lab_ask(lab, &asker);
    lab_txt(lab, id);
    lab_fetch(lab, mode, max_age_s);
    assert_int_equal(asker.answers, 1);
    assert_true(asker.has_policy);
}

enum fake_job
lab_running(const struct lab *lab)
{
    return fake_source_running(&lab->source, LAB_DOMAIN);
}
