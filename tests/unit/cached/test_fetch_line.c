#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "cached/fetch_line.h"

enum { MANY = 8 };

static struct fetch_line *line;
static struct fetch_ticket a[MANY], b[MANY], c[MANY];

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
    line = fetch_line_new(100, 2);
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
    line = fetch_line_new(100, 3);
    join(a, MANY, "192.0.2.1");
    join(b, 2, "2001:db8::1");
    join(c, 1, "192.0.2.2");
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
    line = fetch_line_new(3, 2);
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
    line = fetch_line_new(100, 1);
    fetch_line_join(line, &a[0], &one);
    fetch_line_join(line, &a[1], &other);
    fetch_line_join(line, &a[2], &v6);
    assert_ptr_equal(fetch_line_next(line), &a[0]);
    assert_ptr_equal(fetch_line_next(line), &a[2]);
    assert_null(fetch_line_next(line));
    leave(a, 3);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
