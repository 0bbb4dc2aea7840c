/* Input: a request on the control socket. */
#include <event2/event.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cached/control.h"
#include "cached/settings.h"
#include "common/log.h"
#include "tests/fake/fake_query.h"
#include "tests/fake/fake_source.h"
#include "tests/fuzz/fuzz.h"

enum { TURNS_MAX = 1000 };

static const char body[] = "version: STSv1\nmode: enforce\nmx: *.example\nmax_age: 86400\n";

static struct query_engine engine;
static struct stats stats;
static struct source source = {.side_by_side = true};

static void
set_up(struct control *control)
{
    static const char *const domains[] = {"a.example", "b.example", "mail.c.example"};
    struct policy *policy;
    char why[200];

    log_open("fuzz_control", true, LOG_LEVEL_ERROR);
    control->base = event_base_new();
    control->engine = &engine;
    control->stats = &stats;
    control->settings = settings_read(NULL, why, sizeof why);
    control->source = &source;
    control->cache = cache_new(NULL, 1 << 20, 86400 * 1000);
    for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++) {
        REQUIRE(policy_parse(body, sizeof body - 1, &policy, NULL, 0) == STS_OK);
        cache_set_policy(control->cache, cache_want(control->cache, domains[i]), policy, "1", 0);
    }
    cache_set_none(control->cache, cache_want(control->cache, "none.example"), STS_NO_RECORD, 300);
    engine.judgement = (struct judgement){.reason = STS_NO_RECORD, .domain = "x", .detail = ""};
}

/* "OK " and one JSON object, or "ERR ", a status and a text. */
static void
on_reply(const char *payload, size_t len, void *arg)
{
    int *replies = arg;

    ++*replies;
    if (len > 3 && memcmp(payload, "OK ", 3) == 0) {
        json_t *object = json_loadb(payload + 3, len - 3, JSON_ALLOW_NUL, NULL);
        REQUIRE(json_is_object(object));
        json_decref(object);
    } else {
        REQUIRE(len > 7 && memcmp(payload, "ERR ", 4) == 0);
        REQUIRE(payload[4] >= '1' && payload[4] <= '9');
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct control control;
    int replies = 0;

    if (control.base == NULL)
        set_up(&control);
    control_run(&control, (const char *)data, size, on_reply, &replies);
    for (int i = 0; i < TURNS_MAX && replies == 0; i++) {
        event_base_loop(control.base, EVLOOP_NONBLOCK);
        (void)fake_source_fail_one(&source, STS_DNS_SERVFAIL);
        (void)fake_query_end_refetch(&engine, (struct refetch_result){.outcome = REFETCH_RENEWED});
    }
    REQUIRE(replies == 1);
    return 0;
}
