/* The commands against a fake query engine, the real cache and no store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/control.h"
#include "cached/flush.h"
#include "common/answer.h"
#include "common/clock.h"
#include "tests/fake/fake_query.h"

enum { BOOT_MS = 500 * 1000 * 1000, WALL_S = 1790000000, MANY = 3 * FLUSH_RUNNING + 5 };

struct desk {
    struct control control;
    struct query_engine engine;
    struct stats stats;
    char *reply; /* the last one */
    size_t replies;
};

static int
set_up(void **state)
{
    struct desk *d = calloc(1, sizeof *d);

    clock_fake(BOOT_MS, WALL_S);
    d->control.base = event_base_new();
    d->control.engine = &d->engine;
    d->control.cache = cache_new(NULL, 64 << 20, 86400 * 1000);
    d->control.stats = &d->stats;
    *state = d;
    return 0;
}

static int
tear_down(void **state)
{
    struct desk *d = *state;

    control_done(&d->control);
    cache_free(d->control.cache);
    event_base_free(d->control.base);
    free(d->reply);
    free(d);
    return 0;
}

static void
on_reply(const char *payload, size_t len, void *arg)
{
    struct desk *d = arg;

    free(d->reply);
    d->reply = strndup(payload, len);
    d->replies++;
}

/* Runs a command; its reply, or "" when none has come yet. */
static const char *
run(struct desk *d, const char *command)
{
    size_t before = d->replies;

    control_run(&d->control, command, strlen(command), on_reply, d);
    return d->replies > before ? d->reply : "";
}

static json_t *
json_of(const char *reply)
{
    json_t *object;

    assert_int_equal(strncmp(reply, "OK ", 3), 0);
    object = json_loads(reply + 3, JSON_ALLOW_NUL, NULL);
    assert_true(json_is_object(object));
    return object;
}

static struct entry *
hold(struct desk *d, const char *domain, const char *mode)
{
    struct policy *policy;
    struct entry *e;
    char body[200];
    int len = snprintf(body, sizeof body,
                       "version: STSv1\r\nmode: %s\r\nmx: mx.%s\r\nmx: *.example.net\r\n"
                       "max_age: 86400\r\nx: \xc3\xa9\r\n",
                       mode, domain);

    assert_int_equal(policy_parse((struct span){body, (size_t)len}, "id1", &policy, NULL, 0),
                     STS_OK);
    e = cache_want(d->control.cache, domain);
    cache_set_policy(d->control.cache, e, policy, 0);
    return e;
}

static void
hold_many(struct desk *d)
{
    char domain[40];

    for (int i = 0; i < MANY; i++) {
        snprintf(domain, sizeof domain, "d%05d.example", i);
        hold(d, domain, "enforce");
    }
}

static void
remember_none(struct desk *d, const char *domain)
{
    struct cache *cache = d->control.cache;

    cache_set_none(cache, cache_want(cache, domain), STS_NO_RECORD, 300);
}

/* Lets the loop run until the reply is there, ending every refetch with `result` meanwhile. */
static const char *
run_to_end(struct desk *d, const char *command, struct refetch_result result)
{
    size_t before = d->replies;

    control_run(&d->control, command, strlen(command), on_reply, d);
    for (int i = 0; i < 10000 && d->replies == before; i++) {
        event_base_loop(d->control.base, EVLOOP_NONBLOCK);
        (void)fake_query_end_refetch(&d->engine, result);
    }
    assert_int_equal(d->replies, before + 1);
    return d->reply;
}

static void
test_errors(void **state)
{
    static const struct {
        const char *command, *want;
    } rows[] = {
        {"", "ERR 64 "},
        {"   ", "ERR 64 "},
        {"nonsense", "ERR 64 nonsense: unknown command"},
        {"QUERY x.example", "ERR 64 "},
        {"query", "ERR 64 usage: query KEY"},
        {"query a b c", "ERR 64 "},
        {"query a.example wait=x", "ERR 64 "},
        {"query a.example wait=-1", "ERR 64 "},
        {"show", "ERR 64 "},
        {"show .example", "ERR 64 "},
        {"show [192.0.2.1]", "ERR 64 "},
        {"show x.example", "ERR 1 x.example: not held"},
        {"list a b", "ERR 64 "},
        {"list after=-x", "ERR 64 "},
        {"flush", "ERR 64 "},
        {"flush wait", "ERR 64 "},
        {"flush a b", "ERR 64 "},
        {"flush x.example", "ERR 1 x.example: not held"},
        {"flush x.example force", "ERR 1 x.example: not held"},
        {"refresh ..", "ERR 64 "},
        {"stats now", "ERR 64 "},
        {"nodes all", "ERR 64 "},
        {"a b c d e f g h i j k l m", "ERR 64 "},
    };
    struct desk *d = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *reply = run(d, rows[i].command);
        if (strncmp(reply, rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%s -> %s", rows[i].command, reply);
    }
    control_run(&d->control, "show a\0b.example", 16, on_reply, d);
    assert_int_equal(strncmp(d->reply, "ERR 64 ", 7), 0);
    assert_int_equal(d->engine.refetched + d->engine.forgotten, 0);
}

static void
test_query_tells_all(void **state)
{
    static const char want[] =
        "verdict=secure domain=a.example mode=enforce id=id1 max_age=86400 expires=1790086400 "
        "mx=mx.a.example,*.example.net hosts=mx.a.example source=memory reason=ok";
    struct desk *d = *state;
    struct entry *e = hold(d, "a.example", "enforce");
    static const uint8_t states[] = {DANE_NONE, DANE_USABLE};
    const struct fetch_result bad = {.error = STS_HTTP_STATUS, .http_status = 503};
    const char *verdict, *domain, *mode, *id, *source, *reason, *reply, *host, *dane;
    int max_age, expires, fetched, exit_code;
    json_t *object;

    d->engine.judgement = (struct judgement){.verdict = VERDICT_SECURE,
                                             .source = SOURCE_MEMORY,
                                             .domain = "a.example",
                                             .detail = "",
                                             .entry = e,
                                             .policy = e->policy,
                                             .expires_s = WALL_S + 86400,
                                             .hosts = {"mx.a.example"},
                                             .host_count = 1,
                                             .candidates = {"mx.a.example", "b.example"},
                                             .candidate_count = 2,
                                             .dane = states};
    object = json_of(run(d, "query User@A.Example. wait=1500"));
    assert_string_equal(d->engine.asked_domain, "a.example");
    assert_int_equal(d->engine.asked.wait_ms, 1500);
    assert_true(d->engine.asked.want_mx && d->engine.asked.want_probe);
    assert_int_equal(json_unpack(object,
                                 "{s:s s:s s:s s:s s:s s:s s:s s:i s:i s:i s:i s:[s] s:n s:n}",
                                 "verdict", &verdict, "domain", &domain, "mode", &mode, "id", &id,
                                 "source", &source, "reason", &reason, "reply", &reply, "max_age",
                                 &max_age, "expires", &expires, "fetched", &fetched, "exit",
                                 &exit_code, "hosts", &host, "detail", "http_status"),
                     0);
    assert_string_equal(reply, want);
    assert_string_equal(verdict, "secure");
    assert_string_equal(source, "memory");
    assert_string_equal(host, "mx.a.example");
    assert_int_equal(max_age, 86400);
    assert_int_equal(expires, WALL_S + 86400);
    assert_int_equal(fetched, WALL_S);
    assert_int_equal(exit_code, 0);
    assert_int_equal(json_array_size(json_object_get(object, "mx")), 2);
    assert_int_equal(json_unpack(object, "{s:{s:s}}", "dane", "b.example", &dane), 0);
    assert_string_equal(dane, "usable");
    json_decref(object);
    cache_note_failure(d->control.cache, e, "id2", 0, &bad);
    assert_non_null(strstr(run(d, "query a.example"), "\"http_status\":503,\"id\":\"id2\""));
}

static void
test_query_tells_what_probes_found(void **state)
{
    struct desk *d = *state;
    const char *host, *result, *detail, *other, *running;
    json_int_t until;
    json_t *object;

    d->engine.judgement = (struct judgement){
        .verdict = VERDICT_SECURE,
        .domain = "a.example",
        .detail = "",
        .probes = {{"mx.a.example",
                    {PROBE_KNOWN, STS_TLS_NAME, .detail = "for b.example", .left_ms = 60000}},
                   {"b.example", {PROBE_RUNNING, .detail = ""}}},
        .probe_count = 2};
    object = json_of(run(d, "query a.example"));
    assert_int_equal(json_unpack(object, "{s:[{s:s s:s s:s s:I}, {s:s s:s s:n s:n}]}", "probes",
                                 "host", &host, "result", &result, "detail", &detail, "until",
                                 &until, "host", &other, "result", &running, "detail", "until"),
                     0);
    assert_string_equal(host, "mx.a.example");
    assert_string_equal(result, "tls-name");
    assert_string_equal(detail, "for b.example");
    assert_int_equal(until, WALL_S + 60);
    assert_string_equal(other, "b.example");
    assert_string_equal(running, "running");
    json_decref(object);
}

static void
test_query_tells_why(void **state)
{
    struct desk *d = *state;
    const char *detail, *reason, *reply;
    int status, exit_code;
    json_t *object;

    d->engine.later = true;
    d->engine.judgement = (struct judgement){.verdict = VERDICT_NONE,
                                             .reason = STS_HTTP_STATUS,
                                             .domain = "b.example",
                                             .detail = "HTTP status 503",
                                             .http_status = 503};
    assert_string_equal(run(d, "verdict [b.example]:25"), "");
    assert_true(d->engine.asked.host_only);
    assert_int_equal(d->engine.asked.wait_ms, -1);
    fake_query_answer(&d->engine);
    object = json_of(d->reply);
    assert_int_equal(json_unpack(object, "{s:s s:s s:s s:i s:i s:n s:n s:n}", "detail", &detail,
                                 "reason", &reason, "reply", &reply, "http_status", &status, "exit",
                                 &exit_code, "mode", "expires", "dane"),
                     0);
    assert_string_equal(detail, "HTTP status 503");
    assert_string_equal(reason, "http-status");
    assert_string_equal(reply, "verdict=none domain=b.example mode=- id=- max_age=- expires=- mx=- "
                               "hosts=- source=- reason=http-status");
    assert_int_equal(status, 503);
    assert_int_equal(exit_code, 2);
    json_decref(object);

    d->engine.later = false;
    object = json_of(run(d, "query 192.0.2.1"));
    assert_int_equal(json_unpack(object, "{s:s s:i}", "reason", &reason, "exit", &exit_code), 0);
    assert_string_equal(reason, "not-a-domain");
    assert_int_equal(exit_code, 3);
    json_decref(object);
}

static void
test_show(void **state)
{
    struct desk *d = *state;
    struct entry *e = hold(d, "a.example", "testing");
    struct fetch_result failure = {.error = STS_TLS_NAME, .detail = "certificate is for \xff.test"};
    const char *body, *mode, *reason, *detail, *id;
    int exit_code, tried;
    json_t *object;

    cache_note_fetch(e, clock_boot_ms());
    cache_note_failure(d->control.cache, e, "id2", 0, &failure);
    object = json_of(run(d, "show A.example"));
    assert_int_equal(json_unpack(object, "{s:s s:s s:i s:{s:s s:s s:s s:i}}", "body", &body, "mode",
                                 &mode, "exit", &exit_code, "last_failure", "reason", &reason,
                                 "detail", &detail, "id", &id, "tried", &tried),
                     0);
    assert_string_equal(mode, "testing");
    assert_non_null(strstr(body, "mode: testing\r\nmx: mx.a.example\r\n"));
    assert_non_null(strstr(body, "x: \xc3\xa9\r\n"));
    assert_string_equal(reason, "tls-name");
    assert_string_equal(detail, "certificate is for \\xFF.test");
    assert_string_equal(id, "id2");
    assert_int_equal(tried, WALL_S);
    assert_int_equal(exit_code, 0);
    json_decref(object);

    hold(d, "none.example", "none");
    object = json_of(run(d, "show none.example"));
    assert_int_equal(json_integer_value(json_object_get(object, "exit")), 1);
    json_decref(object);

    remember_none(d, "no.example");
    assert_string_equal(run(d, "show no.example"),
                        "ERR 1 no.example: not held (the domain publishes no MTA-STS record)");
}

static void
test_list_comes_in_pages(void **state)
{
    struct desk *d = *state;
    char domain[40], command[80] = "list d*.EXAMPLE";
    size_t listed = 0, pages = 0;
    char last[40] = "";

    for (int i = 0; i < 2 * CONTROL_PAGE + 7; i++) {
        snprintf(domain, sizeof domain, "d%05d.example", i);
        hold(d, domain, "enforce");
    }
    hold(d, "other.example", "enforce");
    remember_none(d, "dno.example");
    for (bool more = true; more; pages++) {
        json_t *page = json_of(run(d, command)), *policy;
        const char *next = json_string_value(json_object_get(page, "next"));
        size_t i;

        json_array_foreach(json_object_get(page, "policies"), i, policy)
        {
            const char *name = json_string_value(json_object_get(policy, "domain"));
            assert_true(strcmp(name, last) > 0);
            strcpy(last, name);
            listed++;
        }
        more = next != NULL;
        snprintf(command, sizeof command, "list d*.example after=%s", more ? next : "");
        json_decref(page);
    }
    assert_int_equal(listed, 2 * CONTROL_PAGE + 7);
    assert_int_equal(pages, 3);
    assert_string_equal(run(d, "list nothing.*"), "OK {\"policies\":[],\"next\":null}");
    assert_non_null(
        strstr(run(d, "list other.example"),
               "OK {\"policies\":[{\"domain\":\"other.example\",\"mode\":\"enforce\","));
}

static void
test_flush_and_refresh_one(void **state)
{
    static const struct {
        const char *command;
        struct refetch_result result;
        const char *outcome;
        int want_exit;
    } rows[] = {
        {"flush a.example", {.outcome = REFETCH_RENEWED}, "renewed", 0},
        {"flush a.example wait",
         {.outcome = REFETCH_KEPT, .error = STS_HTTP_STATUS, .http_status = 503},
         "kept",
         2},
        {"flush no.example",
         {.outcome = REFETCH_NO_POLICY, .error = STS_NO_RECORD},
         "no-policy",
         0},
        {"refresh a.example", {.outcome = REFETCH_RENEWED}, "renewed", 0},
        {"refresh a.example", {.outcome = REFETCH_KEPT, .error = STS_TIMEOUT}, "kept", 2},
        {"refresh x.example",
         {.outcome = REFETCH_NO_POLICY, .error = STS_NO_RECORD},
         "no-policy",
         1},
        {"refresh x.example",
         {.outcome = REFETCH_NO_POLICY, .error = STS_TLS_NAME},
         "no-policy",
         3},
        {"refresh x.example", {.outcome = REFETCH_UNKNOWN, .error = STS_DNS_TIMEOUT}, "unknown", 2},
        {"flush no.example", {.outcome = REFETCH_UNKNOWN, .error = STS_DNS_TIMEOUT}, "unknown", 0},
    };
    struct desk *d = *state;

    hold(d, "a.example", "enforce");
    remember_none(d, "no.example");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *object = json_of(run_to_end(d, rows[i].command, rows[i].result));
        const char *outcome, *reason;
        int exit_code;

        assert_int_equal(json_unpack(object, "{s:s s:s s:i}", "outcome", &outcome, "reason",
                                     &reason, "exit", &exit_code),
                         0);
        assert_string_equal(outcome, rows[i].outcome);
        assert_string_equal(reason, sts_error_name(rows[i].result.error));
        assert_int_equal(exit_code, rows[i].want_exit);
        json_decref(object);
    }
}

static void
test_force_forgets(void **state)
{
    struct desk *d = *state;

    hold(d, "a.example", "enforce");
    assert_string_equal(run(d, "flush a.example force"),
                        "OK {\"domain\":\"a.example\",\"outcome\":\"forgotten\",\"reason\":null,"
                        "\"reason_text\":null,\"detail\":null,\"http_status\":null,\"nodes\":null,"
                        "\"redis_away\":null,\"exit\":0}");
    assert_string_equal(d->engine.last_forgotten, "a.example");
    hold(d, "b.example", "enforce");
    assert_non_null(
        strstr(run(d, "flush b.example wait force"), "\"http_status\":null,\"nodes\":[{\"name\":"));
    assert_non_null(strstr(run(d, "flush b.example force wait"),
                           "\"self\":true,\"confirmed\":true,\"last_seen\":1790000000}],"
                           "\"redis_away\":null,\"exit\":0}"));
    assert_int_equal(d->engine.refetched, 0);
}

static void
check_flush(const char *reply, int renewed, int kept, int forgotten, int failures, int exit_code)
{
    json_t *object = json_of(reply);
    int got_renewed, got_kept, got_forgotten, got_exit;

    assert_int_equal(json_unpack(object, "{s:i s:i s:i s:i}", "renewed", &got_renewed, "kept",
                                 &got_kept, "forgotten", &got_forgotten, "exit", &got_exit),
                     0);
    assert_int_equal(got_renewed, renewed);
    assert_int_equal(got_kept, kept);
    assert_int_equal(got_forgotten, forgotten);
    assert_int_equal(got_exit, exit_code);
    assert_int_equal(json_array_size(json_object_get(object, "failures")), failures);
    json_decref(object);
}

static void
test_flush_many(void **state)
{
    struct refetch_result good = {.outcome = REFETCH_RENEWED};
    struct refetch_result bad = {.outcome = REFETCH_KEPT, .error = STS_TIMEOUT};
    struct refetch_result status_500 = {
        .outcome = REFETCH_KEPT, .error = STS_HTTP_STATUS, .http_status = 500};
    struct desk *d = *state;

    hold_many(d);
    remember_none(d, "dno.example");
    remember_none(d, "other.example");
    check_flush(run_to_end(d, "flush d*", good), MANY, 0, 1, 0, 0);
    assert_int_equal(d->engine.refetched, MANY);
    assert_int_equal(d->engine.running_max, FLUSH_RUNNING);
    assert_int_equal(d->engine.forgotten, 0);
    assert_int_equal(cache_get(d->control.cache, "other.example", false)->outcome, STS_NO_RECORD);
    check_flush(run_to_end(d, "flush --all wait", bad), 0, MANY, 1, MANY, 2);
    check_flush(run_to_end(d, "flush --all force", good), 0, 0, MANY, 0, 0);
    assert_int_equal(d->engine.forgotten, MANY);
    assert_int_equal(d->engine.refetched, 2 * MANY);
    check_flush(run_to_end(d, "flush nothing.*", good), 0, 0, 0, 0, 1);
    hold(d, "why.example", "enforce");
    assert_non_null(strstr(run_to_end(d, "flush why.*", status_500), "\"http_status\":500"));
}

/* Two at a time would double what the policy hosts get. */
static void
test_one_flush_at_a_time(void **state)
{
    struct desk *d = *state;

    hold(d, "a.example", "enforce");
    assert_string_equal(run(d, "flush --all"), "");
    assert_int_equal(strncmp(run(d, "flush --all"), "ERR 2 ", 6), 0);
}

/* No reply after control_cancel, whatever was asked; control_done frees what is left (ASan). */
static void
test_cancel(void **state)
{
    struct refetch_result good = {.outcome = REFETCH_RENEWED};
    struct desk *d = *state;
    size_t before;

    d->engine.later = true;
    hold(d, "a.example", "enforce");
    hold(d, "b.example", "enforce");
    assert_string_equal(run(d, "query a.example"), "");
    assert_string_equal(run(d, "refresh a.example"), "");
    assert_string_equal(run(d, "flush --all"), "");
    event_base_loop(d->control.base, EVLOOP_NONBLOCK);
    assert_int_equal(d->engine.running, 3);
    before = d->replies;
    control_cancel(&d->control, d);
    assert_null(d->engine.done);
    assert_true(fake_query_end_refetch(&d->engine, good));
    assert_true(fake_query_end_refetch(&d->engine, good));
    event_base_loop(d->control.base, EVLOOP_NONBLOCK);
    assert_int_equal(d->replies, before);
    assert_non_null(d->control.jobs); /* one fetch of the flush is still under way */
    assert_true(fake_query_end_refetch(&d->engine, good));
    event_base_loop(d->control.base, EVLOOP_NONBLOCK);
    assert_null(d->control.jobs);
    assert_string_equal(run(d, "flush --all"), "");
}

/* Cancelled with domains in its queue, it waits for what runs and starts nothing more. */
static void
test_cancelled_flush_ends(void **state)
{
    struct refetch_result good = {.outcome = REFETCH_RENEWED};
    struct desk *d = *state;

    hold_many(d);
    assert_string_equal(run(d, "flush --all"), "");
    event_base_loop(d->control.base, EVLOOP_NONBLOCK);
    assert_true(fake_query_end_refetch(&d->engine, good));
    event_base_loop(d->control.base, EVLOOP_NONBLOCK);
    assert_int_equal(d->engine.refetched, FLUSH_RUNNING + 1);
    control_cancel(&d->control, d);
    event_base_loop(d->control.base, EVLOOP_NONBLOCK);
    while (fake_query_end_refetch(&d->engine, good))
        ;
    event_base_loop(d->control.base, EVLOOP_NONBLOCK);
    assert_int_equal(d->engine.refetched, FLUSH_RUNNING + 1);
    assert_null(d->control.jobs);
    assert_int_equal(d->replies, 0);
}

static void
test_stats_and_nodes(void **state)
{
    struct desk *d = *state;
    json_t *object;
    const char *name;
    int questions, policies, confirmed;

    d->stats.questions = 5;
    hold(d, "a.example", "enforce");
    object = json_of(run(d, "stats"));
    assert_int_equal(json_unpack(object, "{s:i s:{s:i}}", "questions", &questions, "cache",
                                 "policies", &policies),
                     0);
    assert_int_equal(questions, 5);
    assert_int_equal(policies, 1);
    json_decref(object);
    object = json_of(run(d, "nodes"));
    assert_int_equal(
        json_unpack(object, "{s:[{s:s s:b}]}", "nodes", "name", &name, "confirmed", &confirmed), 0);
    assert_true(name[0] != '\0');
    assert_true(confirmed);
    json_decref(object);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_query_tells_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_query_tells_what_probes_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_query_tells_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_show, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list_comes_in_pages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flush_and_refresh_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_force_forgets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flush_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_flush_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled_flush_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stats_and_nodes, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
