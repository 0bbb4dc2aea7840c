/* Input: a request on the control socket; then, each behind a blank line, what the world says when
 * it is looked at: TXT records, one a line; MX hosts, one a line; the policy file. What is not
 * there cannot be looked up. */
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

enum { TURNS_MAX = 1000, LINES_MAX = 100 };

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
        REQUIRE(policy_parse((struct span){body, sizeof body - 1}, "1", &policy, NULL, 0) ==
                STS_OK);
        cache_set_policy(control->cache, cache_want(control->cache, domains[i]), policy, 0);
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

/* --- the world ---------------------------------------------------------------------------- */

struct spoken {
    struct fake_world world;
    struct span lines[LINES_MAX];
    char hosts[SOURCE_MX_MAX][DOMAIN_SIZE];
    const char *host_names[SOURCE_MX_MAX];
};

/* Takes the bytes up to the next blank line. */
static struct span
take_part(struct span *rest)
{
    const char *blank = rest->len > 0 ? memmem(rest->at, rest->len, "\n\n", 2) : NULL;
    struct span part = {rest->at, blank != NULL ? (size_t)(blank - rest->at) : rest->len};
    size_t used = blank != NULL ? part.len + 2 : part.len;

    *rest = (struct span){rest->at + used, rest->len - used};
    return part;
}

static struct txt_result
txt_of(struct span part, struct span lines[LINES_MAX])
{
    struct scan rest = scan_bytes(part.at, part.len);
    size_t count = 0;

    while (count < LINES_MAX && !scan_is_done(&rest)) {
        lines[count++] = scan_until(&rest, '\n');
        (void)scan_char(&rest, '\n');
    }
    if (count == 0)
        return (struct txt_result){.error = STS_DNS_SERVFAIL};
    return (struct txt_result){.records = lines, .count = count, .ttl_s = 300};
}

static bool
is_among(const char *host, char hosts[][DOMAIN_SIZE], size_t count)
{
    while (count > 0 && strcmp(host, hosts[count - 1]) != 0)
        count--;
    return count > 0;
}

/* As source.h says: host names, each once. */
static struct mx_result
mx_of(struct span part, struct spoken *spoken)
{
    struct scan rest = scan_bytes(part.at, part.len);
    size_t count = 0;

    while (count < SOURCE_MX_MAX && !scan_is_done(&rest)) {
        struct span line = scan_until(&rest, '\n');
        (void)scan_char(&rest, '\n');
        spoken->host_names[count] = spoken->hosts[count];
        if (domain_normalise(line.at, line.len, spoken->hosts[count]))
            count += !is_among(spoken->hosts[count], spoken->hosts, count);
    }
    if (part.len == 0)
        return (struct mx_result){.error = STS_DNS_SERVFAIL};
    if (count == 0)
        return (struct mx_result){.error = STS_NULL_MX};
    return (struct mx_result){.hosts = spoken->host_names, .count = count, .ttl_s = 300};
}

static struct fetch_result
fetch_of(struct span part)
{
    if (part.len == 0)
        return (struct fetch_result){.error = STS_DNS_SERVFAIL, .body = ""};
    return (struct fetch_result){.http_status = 200, .body = part.at, .len = part.len};
}

static void
speak(struct span rest, struct spoken *spoken)
{
    struct fake_world *world = &spoken->world;

    world->txt = txt_of(take_part(&rest), spoken->lines);
    world->tlsrpt = world->txt;
    world->mx = mx_of(take_part(&rest), spoken);
    world->fetch = fetch_of(rest);
    world->probe.error = world->fetch.error != STS_OK ? STS_CONNECT_REFUSED : STS_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct control control;
    static struct spoken spoken;
    struct span rest = {(const char *)data, size}, request = take_part(&rest);
    int replies = 0;

    if (control.base == NULL)
        set_up(&control);
    speak(rest, &spoken);
    control_run(&control, request.at, request.len, on_reply, &replies);
    for (int i = 0; i < TURNS_MAX && replies == 0; i++) {
        event_base_loop(control.base, EVLOOP_NONBLOCK);
        (void)fake_source_end_one(&source, &spoken.world);
        (void)fake_query_end_refetch(&engine, (struct refetch_result){.outcome = REFETCH_RENEWED});
    }
    REQUIRE(replies == 1);
    return 0;
}
