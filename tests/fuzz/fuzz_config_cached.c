/* Input: an sts-cached.conf. Whoever reads the settings need not look twice: each value lies
 * within what sts-cached.conf(5) says of it. */
#include "cached/settings.h"
#include "cached/settings_redis.h"
#include "common/sockspec.h"
#include "tests/fuzz/with_settings.h"

#define WITHIN(value, low, high) REQUIRE((value) >= (low) && (value) <= (high))

enum { SECOND = 1000, MINUTE = 60 * SECOND, DAY = 24 * 60 * MINUTE };

static const int64_t mib = 1 << 20, tib = INT64_C(1) << 40;

static void
check_socket(const char *text)
{
    struct sockspec spec;
    char why[128];

    REQUIRE(sockspec_parse(text, &spec, why, sizeof why));
}

static void
check_if_set(const char *text)
{
    if (text != NULL && text[0] != '\0')
        check_socket(text);
}

static void
check_sockets(const struct conf_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        check_socket(list->items[i]);
}

static void
check_numbers(const struct settings *s)
{
    WITHIN(s->socket_mode, 0, 0777);
    WITHIN(s->store_size, mib, tib);
    WITHIN(s->memory_size, mib, tib);
    WITHIN(s->answer_deadline_ms, 10, 60 * SECOND);
    WITHIN(s->refresh_interval_ms, 5 * MINUTE, INT64_C(30) * DAY);
    WITHIN(s->probe_port, 1, 65535);
    WITHIN(s->dns.timeout_ms, 10, 60 * SECOND);
    WITHIN(s->fetch.port, 1, 65535);
    WITHIN(s->fetch.timeout_ms, 100, 10 * MINUTE);
    WITHIN(s->fetch.max_running, 1, 10000);
    WITHIN(s->redis.database, 0, 65535);
    WITHIN(s->redis.timeout_ms, 1, 60 * SECOND);
    WITHIN(s->on_unknown, ANSWER_ACCEPT, ANSWER_TEMPFAIL);
    WITHIN(s->on_pending, ANSWER_ACCEPT, ANSWER_TEMPFAIL);
    WITHIN(s->mode, WORK_ENFORCE, WORK_OFF);
    WITHIN(s->dane_on_failure, DANE_FAILURE_STS, DANE_FAILURE_DEFER);
}

static void
check(const struct settings *s)
{
    check_numbers(s);
    check_sockets(&s->listen);
    check_sockets(&s->dns.servers);
    check_sockets(&s->redis.sentinels);
    check_if_set(s->control);
    check_if_set(s->http.listen);
    check_if_set(s->redis.server);
    REQUIRE(strlen(s->redis.prefix) >= 1 && strlen(s->redis.prefix) <= SETTINGS_PREFIX_MAX);
    REQUIRE(s->redis.server == NULL || s->redis.sentinels.count == 0);
    REQUIRE(s->redis.username == NULL || s->redis.password_file != NULL);
    REQUIRE((s->redis.cert_file == NULL) == (s->redis.key_file_tls == NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_settings(data, size, check);
    return 0;
}
