#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "cached/fetch_line.h"

enum { MANY = 8 };

static struct fetch_line *line;
static struct fetch_ticket a[MANY], b[MANY], c[MANY];

static struct fetch_line *
new_line(size_t in_all, size_t per_network, size_t per_address)
{
    const struct fetch_limits limits = {in_all, per_network, per_address};

    return fetch_line_new(&limits);
}

static struct sockaddr_storage
address(const char *text)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(443)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(&out, &v4, sizeof(v4));
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        memcpy(&out, &v6, sizeof(v6));
    }
    return out;
}

static void
join(struct fetch_ticket *tickets, size_t count, const char *where)
{
    struct sockaddr_storage to = address(where);

    for (size_t i = 0; i < count; i++)
        fetch_line_join(line, &tickets[i], &to);
}

static void
leave(struct fetch_ticket *tickets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fetch_line_leave(line, &tickets[i]);
}

static void
test_order_at_one_address(void **state)
{
    (void)state;
    line = new_line(100, 100, 2);
    assert_null(fetch_line_next(line));
    join(a, 4, "192.0.2.1");
    assert_ptr_equal(fetch_line_next(line), &a[0]);
    assert_ptr_equal(fetch_line_next(line), &a[1]);
    assert_null(fetch_line_next(line));
    fetch_line_leave(line, &a[1]);
    fetch_line_leave(line, &a[2]); /* while it waits: frees no place */
    assert_ptr_equal(fetch_line_next(line), &a[3]);
    assert_null(fetch_line_next(line));
    leave(a, 4); /* leaving twice does nothing */
    assert_null(fetch_line_next(line));
    fetch_line_free(line);
}

static void
test_addresses_take_turns(void **state)
{
    (void)state;
    line = new_line(100, 100, 3);
    join(a, MANY, "192.0.2.1");
    join(b, 2, "2001:db8::1");
    join(c, 1, "198.51.100.2");
    assert_ptr_equal(fetch_line_next(line), &a[0]);
    assert_ptr_equal(fetch_line_next(line), &b[0]);
    assert_ptr_equal(fetch_line_next(line), &c[0]);
    assert_ptr_equal(fetch_line_next(line), &a[1]);
    assert_ptr_equal(fetch_line_next(line), &b[1]);
    assert_ptr_equal(fetch_line_next(line), &a[2]);
    assert_null(fetch_line_next(line));
    leave(a, MANY);
    leave(b, 2);
    leave(c, 1);
    fetch_line_free(line);
}

static void
test_limit_in_all(void **state)
{
    (void)state;
    line = new_line(3, 3, 2);
    join(a, 3, "192.0.2.1");
    join(b, 3, "192.0.2.2");
    assert_ptr_equal(fetch_line_next(line), &a[0]);
    assert_ptr_equal(fetch_line_next(line), &b[0]);
    assert_ptr_equal(fetch_line_next(line), &a[1]);
    assert_null(fetch_line_next(line));
    fetch_line_leave(line, &b[0]);
    assert_ptr_equal(fetch_line_next(line), &b[1]);
    assert_null(fetch_line_next(line));
    leave(a, 3);
    leave(b, 3);
    fetch_line_free(line);
}

/* The port and the rest of the structure are no part of an address; its family is. */
static void
test_what_is_one_address(void **state)
{
    struct sockaddr_storage one = address("192.0.2.1"), other = one, v6 = address("::c000:201");

    (void)state;
    ((struct sockaddr_in *)&other)->sin_port = htons(8443);
    line = new_line(100, 100, 1);
    fetch_line_join(line, &a[0], &one);
    fetch_line_join(line, &a[1], &other);
    fetch_line_join(line, &a[2], &v6);
    assert_ptr_equal(fetch_line_next(line), &a[0]);
    assert_ptr_equal(fetch_line_next(line), &a[2]);
    assert_null(fetch_line_next(line));
    leave(a, 3);
    fetch_line_free(line);
}

/* Two networks take turns, and so do the two addresses of one of them. */
static void
test_networks_take_turns(void **state)
{
    (void)state;
    line = new_line(100, 4, 3);
    join(a, MANY, "192.0.2.1");
    join(c, MANY, "192.0.2.2");
    join(b, 3, "2001:db8::1");
    assert_ptr_equal(fetch_line_next(line), &a[0]);
    assert_ptr_equal(fetch_line_next(line), &b[0]);
    assert_ptr_equal(fetch_line_next(line), &c[0]);
    assert_ptr_equal(fetch_line_next(line), &b[1]);
    assert_ptr_equal(fetch_line_next(line), &a[1]);
    assert_ptr_equal(fetch_line_next(line), &b[2]);
    assert_ptr_equal(fetch_line_next(line), &c[1]);
    assert_null(fetch_line_next(line)); /* the network's four */
    fetch_line_leave(line, &a[0]);
    assert_ptr_equal(fetch_line_next(line), &a[2]);
    assert_null(fetch_line_next(line));
    leave(a, MANY);
    leave(b, 3);
    leave(c, MANY);
    fetch_line_free(line);
}

static const struct network_row {
    const char *name, *one, *other;
    bool is_same;
} network_rows[] = {
    {"IPv4: the last byte", "192.0.2.1", "192.0.2.254", true},
    {"IPv4: the third", "192.0.2.1", "192.0.3.1", false},
    {"IPv6: the second half", "2001:db8:0:1::1", "2001:db8:0:1:ffff::", true},
    {"IPv6: the last byte of a /64", "2001:db8:0:100::1", "2001:db8:0:1ff::1", true},
    {"IPv6: the one before", "2001:db8:0:100::1", "2001:db8:0:200::1", false},
    {"NAT64: as IPv4", "64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", true},
    {"NAT64: its third byte", "64:ff9b::192.0.2.1", "64:ff9b::192.0.3.1", false},
    {"v4-mapped is IPv4", "192.0.2.1", "::ffff:192.0.2.2", true},
    {"but nothing else is", "0.0.0.1", "::1", false},
};

static void
test_what_is_one_network(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(network_rows) / sizeof(*network_rows); i++) {
        print_message("%s\n", network_rows[i].name);
        line = new_line(100, 1, 1);
        join(a, 1, network_rows[i].one);
        join(b, 1, network_rows[i].other);
        assert_ptr_equal(fetch_line_next(line), &a[0]);
        assert_ptr_equal(fetch_line_next(line), network_rows[i].is_same ? NULL : &b[0]);
        leave(a, 1);
        leave(b, 1);
        fetch_line_free(line);
    }
}

/* Somebody has an address for each of a thousand hosts that hang. */
static void
test_a_network_of_hanging_hosts_holds_up_nobody(void **state)
{
    static struct fetch_ticket hanging[1000];
    size_t running = 0;

    (void)state;
    line = new_line(256, 64, 16);
    for (unsigned i = 0; i < 1000; i++) {
        char text[INET6_ADDRSTRLEN];

        snprintf(text, sizeof(text), "2001:db8:0:1::%x", i + 1);
        join(&hanging[i], 1, text);
        running += fetch_line_next(line) != NULL;
    }
    assert_int_equal(running, 64);
    join(a, 2, "192.0.2.1");
    assert_ptr_equal(fetch_line_next(line), &a[0]);
    fetch_line_leave(line, &hanging[0]); /* and when they go on, it is turn and turn about */
    fetch_line_leave(line, &hanging[1]);
    assert_non_null(fetch_line_next(line));
    assert_true(a[1].running || fetch_line_next(line) == &a[1]);
    leave(a, 2);
    leave(hanging, 1000);
    fetch_line_free(line);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_at_one_address),
        cmocka_unit_test(test_addresses_take_turns),
        cmocka_unit_test(test_limit_in_all),
        cmocka_unit_test(test_what_is_one_address),
        cmocka_unit_test(test_networks_take_turns),
        cmocka_unit_test(test_what_is_one_network),
        cmocka_unit_test(test_a_network_of_hanging_hosts_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
