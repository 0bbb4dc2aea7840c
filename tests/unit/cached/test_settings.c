#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cached/settings.h"
#include "common/log.h"
#include "tests/unit/common/settings_rows.h"

#define FOUR                                                                                       \
    "\"inet:1@127.0.0.1\", \"inet:2@127.0.0.1\", \"inet:3@127.0.0.1\", \"inet:4@127.0.0.1\", "
#define MIB (INT64_C(1) << 20)

static char path[] = "/tmp/test_settings.XXXXXX";

static void
write_config(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct settings *
settings_of(const char *text)
{
    char error[300];
    struct settings *s;

    write_config(text);
    s = settings_read(path, error, sizeof error);
    if (s == NULL)
        fail_msg("%s", error);
    return s;
}

static void
assert_list(const struct conf_list *list, size_t count, const char *first)
{
    assert_int_equal(list->count, count);
    if (count > 0)
        assert_string_equal(list->items[0], first);
}

static void
has_documented_defaults(void **state)
{
    char error[300];
    struct settings *s = settings_read(NULL, error, sizeof error);

    (void)state;
    assert_non_null(s);
    assert_list(&s->listen, 2, "unix:/run/sts-cached/query.sock");
    assert_string_equal(s->listen.items[1], "inet:8461@127.0.0.1");
    assert_string_equal(s->control, "unix:/run/sts-cached/control.sock");
    assert_int_equal(s->socket_mode, 0666);
    assert_null(s->socket_group);
    assert_null(s->user);
    assert_string_equal(s->state_directory, "/var/lib/sts-cached");
    assert_int_equal(s->store_size, 1024 * MIB);
    assert_int_equal(s->memory_size, 256 * MIB);
    assert_int_equal(s->answer_deadline_ms, 4000);
    assert_int_equal(s->refresh_interval_ms, 86400 * 1000);
    assert_int_equal(s->on_unknown, ANSWER_ACCEPT);
    assert_int_equal(s->on_pending, ANSWER_TEMPFAIL);
    assert_int_equal(s->mode, WORK_ENFORCE);
    assert_false(s->dane);
    assert_int_equal(s->dane_on_failure, 0); /* sts */
    assert_false(s->probe);
    assert_int_equal(s->probe_port, 25);
    assert_null(s->http.listen);
    settings_free(s);
}

static void
has_documented_defaults_of_sections(void **state)
{
    char error[300];
    struct settings *s = settings_read(NULL, error, sizeof error);

    (void)state;
    assert_non_null(s);
    assert_list(&s->dns.servers, 0, NULL);
    assert_int_equal(s->dns.timeout_ms, 2000);
    assert_false(s->dns.trust_ad);
    assert_string_equal(s->fetch.ca_file, "/etc/ssl/certs/ca-certificates.crt");
    assert_int_equal(s->fetch.port, 443);
    assert_int_equal(s->fetch.timeout_ms, 20000);
    assert_int_equal(s->fetch.max_running, 256);
    assert_list(&s->fetch.allow_address, 0, NULL);
    assert_string_equal(s->fetch.user_agent, "sts-milter/" PACKAGE_VERSION);
    assert_null(s->fetch.proxy);
    assert_null(s->redis.server);
    assert_list(&s->redis.sentinels, 0, NULL);
    assert_null(s->redis.master_name);
    assert_null(s->redis.username);
    assert_null(s->redis.password_file);
    assert_int_equal(s->redis.database, 0);
    assert_string_equal(s->redis.prefix, "sts:");
    assert_int_equal(s->redis.timeout_ms, 100);
    assert_null(s->redis.key_file);
    assert_false(s->redis.tls);
    assert_false(s->redis.insecure);
    settings_free(s);
}

/* The example that the operators are shown (but for the key, test_settings_redis). */
static void
reads_the_example(void **state)
{
    struct settings *s = settings_of(
        "listen = { \"unix:/run/sts-cached/query.sock\", \"inet:8461@127.0.0.1\" }\n"
        "control = \"unix:/run/sts-cached/control.sock\"\n"
        "state-directory = \"/var/lib/sts-cached\"\n"
        "answer-deadline = \"4s\"\n"
        "dns   { servers = { \"inet:53@127.0.0.1\" }  trust-ad = true  timeout = \"2s\" }\n"
        "fetch { ca-file = \"/etc/ssl/certs/ca-certificates.crt\"  port = 443  timeout = \"20s\"  "
        "allow-address = { \"127.0.0.0/8\" } }\n"
        "redis { server = \"inet:6379@127.0.0.1\"  prefix = \"sts:\" }\n");

    (void)state;
    assert_list(&s->listen, 2, "unix:/run/sts-cached/query.sock");
    assert_list(&s->dns.servers, 1, "inet:53@127.0.0.1");
    assert_true(s->dns.trust_ad);
    assert_list(&s->fetch.allow_address, 1, "127.0.0.0/8");
    assert_string_equal(s->redis.server, "inet:6379@127.0.0.1");
    assert_string_equal(s->redis.prefix, "sts:");
    settings_free(s);
}

static void
reads_every_choice(void **state)
{
    struct settings *s =
        settings_of("mode = observe\non-unknown = tempfail\non-pending = accept\n"
                    "dane = on\ndane-on-failure = defer\nsocket-mode = 0660\n"
                    "memory-size = 64M\nredis { sentinels = "
                    "{ \"inet:26379@127.0.0.1\" } master-name = sts timeout = 50ms tls = on }\n"
                    "http { listen = \"inet:9461@127.0.0.1\" }\n");

    (void)state;
    assert_int_equal(s->mode, WORK_OBSERVE);
    assert_int_equal(s->on_unknown, ANSWER_TEMPFAIL);
    assert_int_equal(s->on_pending, ANSWER_ACCEPT);
    assert_true(s->dane);
    assert_int_equal(s->dane_on_failure, 1);
    assert_int_equal(s->socket_mode, 0660);
    assert_int_equal(s->memory_size, 64 * MIB);
    assert_list(&s->redis.sentinels, 1, "inet:26379@127.0.0.1");
    assert_string_equal(s->redis.master_name, "sts");
    assert_int_equal(s->redis.timeout_ms, 50);
    assert_true(s->redis.tls);
    assert_string_equal(s->http.listen, "inet:9461@127.0.0.1");
    settings_free(s);
}

static const struct {
    const char *text, *place; /* where the message says that the fault is */
} faults[] = {
    {"probe-port = 25\nlistne = \"unix:/x\"\n", ":2: "},
    {"user = no-such-user-here\n", ":1: "},
    {"socket-group = no-such-group-here\n", ":1: "},
    {"mode = enforce\nstate-directory = \"relative\"\n", ":2: "},
    {"listen = { \"tcp:1@x\" }\n", ":1: "},
    {"control = x\n", ":1: "},
    {"mode = on\n", ":1: "},
    {"\non-pending = unknown\n", ":2: "},
    {"answer-deadline = 0\n", ":1: "},
    {"refresh-interval = 4m\n", ":1: "},
    {"probe-port = 65536\n", ":1: "},
    {"dns { servers = { \"127.0.0.1\" } }\n", ":1: "},
    {"dns { trust-ad = maybe }\n", ":1: "},
    {"fetch { port = 0 }\n", ":1: "},
    {"fetch {\nallow-address = { \"127.0.0.0/8\", \"here\" } }\n", ":2: "},
    {"fetch { allow-address = { \"127.0.0.0/33\" } }\n", ":1: "},
    {"dns { servers = { \"unix:/dns\" } }\n", ":1: "},
    {"redis { server = \"6379\" }\n", ":1: "},
    {"redis { prefix = \"sts:\"\n", ":"},
    {"\nlisten = { \"\" }\n", ":2: listen: \"\": a socket is "},
    {"mode = enforce\ncontrol = \"inet:8462@127.0.0.1\"\n",
     ":2: control: \"inet:8462@127.0.0.1\": the control socket is unix:/PATH"},
    {"mode = enforce\nlisten = { \"unix:/a\", \"inet:1@127.0.0.1\", \"unix:/a\" }\n",
     ":2: listen: \"unix:/a\" is given twice"},
    {"listen += { \"inet:08461@127.0.0.1\" }\n", ":1: listen: \"inet:08461@127.0.0.1\" is given"},
    {"\ncontrol = \"\"\n", ":2: control: \"\": a socket is "},
    {"\nstate-directory = \"\"\n", ":2: state-directory: \"\": the path must begin with /"},
    {"dns {\nservers = { \"\" } }\n", ":2: dns.servers: \"\": a socket is "},
    {"fetch {\nallow-address = { \"127.0.0.1\", \"\" } }\n",
     ":2: fetch.allow-address: \"\": no address and no network"},
    {"\nlisten = { " FOUR FOUR FOUR FOUR FOUR FOUR FOUR FOUR "}\n",
     ":2: listen: has 32 items, at most 31 are possible"},
    {"dns { servers = { " FOUR FOUR "\"inet:1@127.0.0.1\" } }\n",
     ":1: dns.servers: has 9 items, at most 8 are possible"},
};

static void
names_the_place_of_a_fault(void **state)
{
    char place[60], error[300];

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        write_config(faults[i].text);
        assert_null(settings_read(path, error, sizeof error));
        print_message("%s\n", error);
        snprintf(place, sizeof place, "%s%s", path, faults[i].place);
        assert_non_null(strstr(error, place));
    }
}

static void
a_reload_takes_what_it_can(void **state)
{
    struct settings *running = settings_of("user = nobody\nmode = enforce\n"), *next;
    char error[300];

    (void)state;
    write_config("user = daemon\nmode = off\nredis { prefix = \"x:\" }\ndns { timeout = 3s }\n");
    next = settings_reload(path, running, error, sizeof error);
    assert_non_null(next);
    assert_string_equal(next->user, "nobody"); /* only a restart changes it */
    assert_string_equal(next->redis.prefix, "sts:");
    assert_int_equal(next->mode, WORK_OFF);
    assert_int_equal(next->dns.timeout_ms, 3000);
    settings_free(next);
    write_config("mode = of\n");
    assert_null(settings_reload(path, running, error, sizeof error));
    settings_free(running);
}

/* --print-config writes a file that means the same. */
static void
prints_what_it_can_read(void **state)
{
    struct settings *s = settings_of("mode = observe\nlisten = { \"unix:/a b\" }\n"
                                     "redis { server = \"unix:/r\" }\nanswer-deadline = 250ms\n");
    struct settings *again;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    settings_print(s, out);
    fclose(out);
    again = settings_of(text);
    assert_list(&again->listen, 1, "unix:/a b");
    assert_int_equal(again->mode, WORK_OBSERVE);
    assert_int_equal(again->answer_deadline_ms, 250);
    assert_string_equal(again->redis.server, "unix:/r");
    assert_null(again->user);
    settings_free(again);
    settings_free(s);
    free(text);
}

static bool
print_settings(const char *file, FILE *out, char *error, size_t size)
{
    struct settings *s = settings_read(file, error, size);

    if (s == NULL)
        return false;
    settings_print(s, out);
    settings_free(s);
    return true;
}

static void
no_option_takes_nonsense(void **state)
{
    /* The fetcher reads the proxy. */
    static const char *const words[] = {"fetch.user-agent", "fetch.proxy",  "redis.master-name",
                                        "redis.username",   "redis.prefix", NULL};
    static const char *const zeros[] = {"socket-mode", "redis.database", NULL};
    const struct settings_rows rows = {
        .print = print_settings, .path = path, .words = words, .zeros = zeros, .count = 42};

    (void)state;
    settings_rows_check(&rows);
}

static int
make_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int
remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_documented_defaults),
        cmocka_unit_test(has_documented_defaults_of_sections),
        cmocka_unit_test(reads_the_example),
        cmocka_unit_test(reads_every_choice),
        cmocka_unit_test(names_the_place_of_a_fault),
        cmocka_unit_test(a_reload_takes_what_it_can),
        cmocka_unit_test(prints_what_it_can_read),
        cmocka_unit_test(no_option_takes_nonsense),
    };

    log_open("test_settings", true, LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
