#include "cached/dns_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

enum { ALL = 6, SHARE = 4, MANY = 20 };

static struct dns_line *line;
static struct dns_line_item items[MANY], others[MANY];

static int
setup(void **state)
{
    (void)state;
    line = dns_line_new(ALL, SHARE);
    return 0;
}

static int
teardown(void **state)
{
    struct dns_line_item *item;

    (void)state;
    while ((item = dns_line_any(line)) != NULL)
        dns_line_leave(line, item);
    dns_line_free(line);
    return 0;
}

static void
join(struct dns_line_item *item, const char *below, int n)
{
    char name[64];

    snprintf(name, sizeof name, "_mta-sts.d%d.%s", n, below);
    dns_line_join(line, item, name);
}

static void
assert_next(const struct dns_line_item *item)
{
    assert_ptr_equal(dns_line_next(line), item);
}

static void
test_first_come_first_served(void **state)
{
    (void)state;
    for (int n = 0; n < MANY; n++)
        join(&items[n], "one.test", n);
    for (int n = 0; n < SHARE; n++)
        assert_next(&items[n]);
    assert_next(NULL);
    dns_line_leave(line, &items[2]);
    dns_line_leave(line, &items[SHARE]); /* waits yet */
    assert_next(&items[SHARE + 1]);
    assert_next(NULL);
}

static void
test_one_leaves_room(void **state)
{
    (void)state;
    for (int n = 0; n < MANY; n++)
        join(&items[n], "one.test", n);
    for (int n = 0; n < SHARE; n++)
        assert_next(&items[n]);
    for (int n = 0; n < MANY; n++)
        join(&others[n], "two.co.uk", n);
    assert_next(&others[0]);
    assert_next(&others[1]);
    assert_next(NULL); /* all places are taken */
    dns_line_leave(line, &items[0]);
    assert_next(&others[2]); /* it was their turn */
    dns_line_leave(line, &items[1]);
    assert_next(&items[SHARE]);
    assert_next(NULL);
}

static void
test_who_comes_new_has_the_next_turn(void **state)
{
    (void)state;
    for (int n = 0; n < MANY; n++)
        join(&items[n], n % 2 ? "one.test" : "two.test", n);
    for (int n = 0; n < ALL; n++)
        assert_next(&items[n]);
    join(&others[0], "new.test", 0);
    dns_line_leave(line, &items[0]);
    dns_line_leave(line, &items[1]);
    dns_line_leave(line, &items[2]);
    assert_next(&items[ALL]);
    assert_next(&items[ALL + 1]);
    assert_next(&others[0]);
    assert_next(NULL);
}

static void
test_neighbours_below_a_public_suffix(void **state)
{
    (void)state;
    for (int n = 0; n < MANY; n++)
        dns_line_join(line, &items[n], n == 7 ? "mta-sts.b.co.uk" : "mta-sts.a.co.uk");
    for (int n = 0; n < 2; n++)
        assert_int_equal(dns_line_next(line) == &items[7], n == 1);
    for (int n = 2; n < SHARE + 1; n++)
        assert_non_null(dns_line_next(line));
    assert_next(NULL);
}

int
main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_first_come_first_served),
        TEST(test_one_leaves_room),
        TEST(test_who_comes_new_has_the_next_turn),
        TEST(test_neighbours_below_a_public_suffix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
