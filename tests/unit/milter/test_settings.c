#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/settings.h"
#include "tests/unit/common/settings_rows.h"

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
    if (!s)
        fail_msg("%s", error);
    return s;
}

static void
has_documented_defaults(void **state)
{
    char error[300];
    struct settings *s = settings_read(NULL, error, sizeof error);

    (void)state;
    assert_non_null(s);
    assert_string_equal(s->socket, "unix:/run/sts-milter/milter.sock");
    assert_string_equal(s->cache, "unix:/run/sts-cached/query.sock");
    assert_int_equal(s->socket_mode, 0660);
    assert_null(s->socket_group);
    assert_null(s->user);
    assert_int_equal(s->processes, 8);
    assert_int_equal(s->wait_ms, 500);
    assert_int_equal(s->timeout_ms, 7210 * 1000);
    assert_int_equal(s->role, ROLE_GATE);
    assert_int_equal(s->mode, MODE_ENFORCE);
    assert_int_equal(s->on_refuse, REFUSE_TEMPFAIL);
    assert_int_equal(s->exempt_clients.count, 0);
    assert_false(s->add_header);
    settings_free(s);
}

static void
resolves_doubt_by_role(void **state)
{
    static const struct {
        const char *config;
        int pending, unknown, down;
    } cases[] = {
        {"role = gate", DOUBT_ACCEPT, DOUBT_ACCEPT, DOUBT_ACCEPT},
        {"role = wall", DOUBT_TEMPFAIL, DOUBT_TEMPFAIL, DOUBT_TEMPFAIL},
        {"role = wall\non-pending = accept", DOUBT_ACCEPT, DOUBT_TEMPFAIL, DOUBT_TEMPFAIL},
        {"role = gate\non-unknown = tempfail", DOUBT_ACCEPT, DOUBT_TEMPFAIL, DOUBT_ACCEPT},
        {"on-cache-down = tempfail\non-pending = by-role", DOUBT_ACCEPT, DOUBT_ACCEPT,
         DOUBT_TEMPFAIL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings *s = settings_of(cases[i].config);
        assert_int_equal(s->on_pending, cases[i].pending);
        assert_int_equal(s->on_unknown, cases[i].unknown);
        assert_int_equal(s->on_cache_down, cases[i].down);
        settings_free(s);
    }
}

static void
knows_remote_mailers(void **state)
{
    static const char *const remote[] = {"esmtp", "smtp", "smtp8", "dsmtp", "relay", "ESMTP"};
    static const char *const other[] = {"local", "lmtp", "esmt", "esmtps", ""};
    struct settings *s = settings_of("");
    struct settings *own = settings_of("remote-mailers = { \"Uucp\" }");

    (void)state;
    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++)
        assert_true(settings_is_remote_mailer(s, remote[i]));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_false(settings_is_remote_mailer(s, other[i]));
    assert_true(settings_is_remote_mailer(own, "uucp"));
    assert_false(settings_is_remote_mailer(own, "esmtp"));
    settings_free(s);
    settings_free(own);
}

static void
knows_exempt_domains(void **state)
{
    static const struct {
        const char *domain;
        bool is_exempt;
    } cases[] = {
        {"example.com", true},  {"a.example.com", false},     {"xexample.com", false},
        {"below.test", false},  {"a.below.test", true},       {"a.b.below.test", true},
        {"xbelow.test", false}, {"xn--bcher-kva.test", true}, {"com", false},
    };
    struct settings *s =
        settings_of("exempt-domains = { \"Example.COM.\", \".Below.test\", \"b\xc3\xbc"
                    "cher.test\" }");

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (settings_is_exempt_domain(s, cases[i].domain) != cases[i].is_exempt)
            fail_msg("%s", cases[i].domain);
    }
    settings_free(s);
}

static void
refuses_bad_values(void **state)
{
    static const char *const cases[] = {
        "role = door",
        "mode = off",
        "on-refuse = accept",
        "on-pending = reject",
        "processes = 0",
        "processes = 257",
        "wait = \"31s\"",
        "timeout = 1",
        "socket = \"http://x\"",
        "cache = \"inet:x@127.0.0.1\"",
        "exempt-clients = { \"192.0.2.1/24\" }",
        "exempt-clients = { \"localhost\" }",
        "exempt-domains = { \"a..b\" }",
        "exempt-domains = { \"192.0.2.1\" }",
        "exempt-domains = { \".\" }",
        "no-such-option = 1",
        "cache = \"\"",
        "socket = \"\"",
        "exempt-clients = { \"\" }",
        "exempt-domains = { \"\" }",
        "remote-mailers = { \"smtp\", \"\" }",
        "user = no-such-user-here",
        "user = \"nobody:no-such-group-here\"",
        "socket-group = no-such-group-here",
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char error[300] = "", wanted[64];
        write_config(cases[i]);
        if (settings_read(path, error, sizeof error))
            fail_msg("accepted: %s", cases[i]);
        snprintf(wanted, sizeof wanted, "%s:1: ", path);
        if (strncmp(error, wanted, strlen(wanted)) != 0)
            fail_msg("%s gives \"%s\"", cases[i], error);
    }
}

static char *
printed(const struct settings *s)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    settings_print(s, out);
    fclose(out);
    return text;
}

static void
prints_what_it_reads(void **state)
{
    struct settings *s = settings_of("role = wall\non-unknown = accept\nwait = \"1500ms\"\n"
                                     "exempt-domains = { \".A.test\" }\nuser = \"mail:adm\"\n"
                                     "exempt-clients = { \"::1\" }\nadd-header = on");
    char *first = printed(s), *second;
    struct settings *again = settings_of(first);

    (void)state;
    second = printed(again);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "on-pending = tempfail"));
    assert_non_null(strstr(first, "\".a.test\""));
    free(first);
    free(second);
    settings_free(s);
    settings_free(again);
}

static void
keeps_restart_values_on_reload(void **state)
{
    struct settings *running = settings_of("processes = 2\nwait = 1");
    struct settings *next;
    char error[300];

    (void)state;
    write_config("processes = 3\nwait = 2\ncache = \"unix:/x\"");
    next = settings_reload(path, running, error, sizeof error);
    assert_non_null(next);
    assert_int_equal(next->processes, 2);
    assert_int_equal(next->wait_ms, 2000);
    assert_string_equal(next->cache, "unix:/x");
    settings_free(next);
    write_config("wait = forever");
    assert_null(settings_reload(path, running, error, sizeof error));
    settings_free(running);
}

static bool
print_settings(const char *file, FILE *out, char *error, size_t size)
{
    struct settings *s = settings_read(file, error, size);

    if (!s)
        return false;
    settings_print(s, out);
    settings_free(s);
    return true;
}

static void
no_option_takes_nonsense(void **state)
{
    static const char *const words[] = {"remote-mailers", NULL};
    static const char *const zeros[] = {"socket-mode", "wait", NULL};
    const struct settings_rows rows = {
        .print = print_settings, .path = path, .words = words, .zeros = zeros, .count = 18};

    (void)state;
    settings_rows_check(&rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_documented_defaults),
        cmocka_unit_test(resolves_doubt_by_role),
        cmocka_unit_test(knows_remote_mailers),
        cmocka_unit_test(knows_exempt_domains),
        cmocka_unit_test(refuses_bad_values),
        cmocka_unit_test(prints_what_it_reads),
        cmocka_unit_test(keeps_restart_values_on_reload),
        cmocka_unit_test(no_option_takes_nonsense),
    };
    int fd = mkstemp(path), failed;

    close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
