#include "tests/fake/dns_lab.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <event2/event.h>
#include <stdio.h>

#include "common/clock.h"

enum { LAB_END_MS = 20000 };

void
dns_lab_on_done(const struct dns_answer *answer, void *arg)
{
    struct dns_lab_result *result = arg;

    result->calls++;
    result->error = answer->error;
    result->nxdomain = answer->nxdomain;
    result->authentic = answer->authentic;
    result->secure = answer->secure;
    result->ttl_s = answer->ttl_s;
    result->count = answer->count;
    snprintf(result->why, sizeof(result->why), "%s", answer->why);
    if (answer->error == STS_OK && answer->count > 0)
        snprintf(result->text, sizeof(result->text), "%.*s", (int)answer->records[0].text.len,
                 answer->records[0].text.at);
}

static int64_t
timeout_for(dns_step *const *steps)
{
    for (; steps != NULL && *steps != NULL; steps++) {
        if (*steps == dns_server_silent)
            return DNS_LAB_TIMEOUT_MS;
    }
    return DNS_LAB_PATIENCE_MS;
}

void
dns_lab_open(struct dns_lab *lab, dns_step *const *first, dns_step *const *second)
{
    char why[256] = "";
    dns_step *const *steps[DNS_LAB_SERVERS] = {first, second};

    *lab = (struct dns_lab){.base = event_base_new()};
    for (size_t i = 0; i < DNS_LAB_SERVERS && steps[i] != NULL; i++) {
        lab->servers[i] = dns_server_new(lab->base, steps[i]);
        lab->specs[i] = dns_server_spec(lab->servers[i]);
        lab->settings.dns.servers.count++;
    }
    lab->settings.dns.servers.items = lab->specs;
    lab->settings.dns.timeout_ms = timeout_for(first);
    lab->dns = dns_new(lab->base, &lab->settings, why, sizeof(why));
    if (lab->dns == NULL)
        fail_msg("%s", why);
}

void
dns_lab_trust_ad(struct dns_lab *lab)
{
    char why[256] = "";

    dns_free(lab->dns);
    lab->settings.dns.trust_ad = true;
    lab->dns = dns_new(lab->base, &lab->settings, why, sizeof(why));
    if (lab->dns == NULL)
        fail_msg("%s", why);
}

void
dns_lab_close(struct dns_lab *lab)
{
    dns_free(lab->dns);
    for (size_t i = 0; i < DNS_LAB_SERVERS; i++)
        dns_server_free(lab->servers[i]);
    event_base_loop(lab->base, EVLOOP_NONBLOCK);
    event_base_free(lab->base);
}

void
dns_lab_turn(struct dns_lab *lab, const int *calls, int wanted)
{
    int64_t end_ms = clock_boot_ms() + LAB_END_MS;

    while (*calls < wanted && clock_boot_ms() < end_ms) {
        const struct timeval soon = {0, 10000};
        event_base_loopexit(lab->base, &soon);
        event_base_loop(lab->base, EVLOOP_ONCE);
    }
    assert_int_equal(*calls, wanted);
}

void
dns_lab_look_up(struct dns_lab *lab, const char *name)
{
    int64_t start_ms = clock_boot_ms();

    lab->result = (struct dns_lab_result){0};
    assert_non_null(dns_lookup_start(lab->dns, name, DNS_TXT, dns_lab_on_done, &lab->result));
    assert_int_equal(lab->result.calls, 0);
    dns_lab_turn(lab, &lab->result.calls, 1);
    lab->took_ms = clock_boot_ms() - start_ms;
}
