/* Input: an sts-milter.conf, as in fuzz_config_cached. */
#include "common/domain.h"
#include "common/sockspec.h"
#include "milter/network.h"
#include "milter/settings.h"
#include "tests/fuzz/with_settings.h"

#define WITHIN(value, low, high) REQUIRE((value) >= (low) && (value) <= (high))

static void
check_socket(const char *text)
{
    struct sockspec spec;
    char why[128];

    REQUIRE(text[0] == '\0' || sockspec_parse(text, &spec, why, sizeof why));
}

/* What the callbacks compare with and never look at again. */
static void
check_exemptions(const struct settings *s)
{
    struct network net;

    for (size_t i = 0; i < s->exempt_clients.count; i++) {
        REQUIRE(network_parse(s->exempt_clients.items[i], &net));
    }
    for (size_t i = 0; i < s->exempt_domains.count; i++) {
        const char *item = s->exempt_domains.items[i];
        REQUIRE(domain_is_normal(item + (item[0] == '.')));
    }
    (void)settings_is_remote_mailer(s, "esmtp");
    REQUIRE(!settings_is_exempt_domain(s, ""));
}

static void
check(const struct settings *s)
{
    check_socket(s->socket);
    check_socket(s->cache);
    check_exemptions(s);
    WITHIN(s->socket_mode, 0, 0777);
    WITHIN(s->processes, 1, 256);
    WITHIN(s->timeout_ms, 10 * 1000, 86400 * 1000);
    WITHIN(s->wait_ms, 0, 30 * 1000);
    WITHIN(s->role, ROLE_GATE, ROLE_WALL);
    WITHIN(s->mode, MODE_ENFORCE, MODE_OBSERVE);
    WITHIN(s->on_refuse, REFUSE_TEMPFAIL, REFUSE_QUARANTINE);
    WITHIN(s->on_pending, DOUBT_ACCEPT, DOUBT_TEMPFAIL);
    WITHIN(s->on_unknown, DOUBT_ACCEPT, DOUBT_TEMPFAIL);
    WITHIN(s->on_cache_down, DOUBT_ACCEPT, DOUBT_TEMPFAIL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_settings(data, size, check);
    return 0;
}
