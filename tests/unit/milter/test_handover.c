#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/handover.h"

static struct settings *
defaults(void)
{
    char error[300];
    struct settings *s = settings_read(NULL, error, sizeof error);

    assert_non_null(s);
    return s;
}

static void
hands_over_settings_in_order(void **state)
{
    struct settings *s = defaults(), *got = NULL;
    char error[300] = "";
    int parent, child;

    (void)state;
    assert_true(handover_open(&parent, &child));
    for (s->wait_ms = 1; s->wait_ms <= 5; s->wait_ms++)
        assert_true(handover_send(parent, s));
    for (int64_t wait_ms = 1; wait_ms <= 5; wait_ms++) {
        assert_int_equal(handover_receive(child, &got, error, sizeof error), HANDOVER_SETTINGS);
        assert_int_equal(got->wait_ms, wait_ms);
        assert_string_equal(got->socket, s->socket);
        settings_free(got);
    }
    close(parent);
    assert_int_equal(handover_receive(child, &got, error, sizeof error), HANDOVER_CLOSED);
    close(child);
    settings_free(s);
}

/* Longer than what one packet of a socket holds. */
static void
hands_over_long_lists(void **state)
{
    enum { MANY = 7000 };
    struct settings *s = defaults(), *got = NULL;
    char error[300] = "";
    int parent, child;

    (void)state;
    s->exempt_domains.items = alloc_zero(MANY, sizeof *s->exempt_domains.items);
    s->exempt_domains.count = MANY;
    for (size_t i = 0; i < MANY; i++)
        s->exempt_domains.items[i] = alloc_string("a-name-of-some-length.example.com");
    assert_true(handover_open(&parent, &child));
    assert_true(handover_send(parent, s));
    assert_int_equal(handover_receive(child, &got, error, sizeof error), HANDOVER_SETTINGS);
    assert_int_equal(got->exempt_domains.count, MANY);
    settings_free(got);
    close(parent);
    close(child);
    settings_free(s);
}

static void
reports_what_is_no_settings(void **state)
{
    struct settings *got = NULL;
    char error[300] = "";
    int parent, child;

    (void)state;
    assert_true(handover_open(&parent, &child));
    assert_int_equal(send(parent, "S", 1, 0), 1);
    assert_int_equal(handover_receive(child, &got, error, sizeof error), HANDOVER_FAILED);
    assert_true(error[0] != '\0');
    close(parent);
    close(child);
}

/* A child that does not listen must not stop the parent. */
static void
never_waits_for_a_child(void **state)
{
    struct settings *s = defaults();
    int parent, child, sent = 0;

    (void)state;
    assert_true(handover_open(&parent, &child));
    while (sent < 100000 && handover_send(parent, s))
        sent++;
    assert_in_range(sent, 1, 99999);
    close(child);
    assert_false(handover_send(parent, s));
    close(parent);
    settings_free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_over_settings_in_order),
        cmocka_unit_test(hands_over_long_lists),
        cmocka_unit_test(reports_what_is_no_settings),
        cmocka_unit_test(never_waits_for_a_child),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
