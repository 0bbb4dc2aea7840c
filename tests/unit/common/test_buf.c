#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/buf.h"

static void
test_grows_to_its_limit(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    for (int i = 0; i < 100; i++)
        buf_add_char(&b, 'x');
    assert_false(buf_failed(&b));
    assert_int_equal(strlen(buf_string(&b)), 100);
    buf_add_char(&b, 'y');
    assert_true(buf_failed(&b));
    assert_int_equal(b.len, 100);
    buf_done(&b);
}

static void
test_failure_sticks_until_reset(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 8);
    buf_printf(&b, "%s", "123456789");
    buf_add_string(&b, "1");
    assert_true(buf_failed(&b));
    assert_string_equal(buf_string(&b), "");
    buf_reset(&b);
    buf_printf(&b, "%d-%s", 12, "34567");
    assert_false(buf_failed(&b));
    assert_string_equal(buf_string(&b), "12-34567");
    buf_done(&b);
}

static void
test_consume(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    buf_add(&b, "ab\0cd", 5);
    buf_consume(&b, 3);
    assert_int_equal(b.len, 2);
    assert_string_equal(buf_string(&b), "cd");
    buf_consume(&b, 99);
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

static void
test_numbers(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    buf_add_number(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_number(&b, 1203);
    buf_add_char(&b, ' ');
    buf_add_number(&b, UINT64_MAX);
    assert_string_equal(buf_string(&b), "0 1203 18446744073709551615");
    buf_done(&b);
}

/* Whether it goes into the room that is there, wants more, or is too long. */
static void
test_printf_at_any_length(void **state)
{
    struct buf b;
    char wanted[300] = "";

    (void)state;
    for (int width = 1; width < 250; width++) {
        buf_init(&b, 200);
        buf_add_string(&b, "ab");
        buf_printf(&b, "%*d", width, 7);
        assert_int_equal(buf_failed(&b), width > 198);
        snprintf(wanted, sizeof wanted, "ab%*d", width, 7);
        assert_string_equal(buf_string(&b), width > 198 ? "ab" : wanted);
        buf_done(&b);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_to_its_limit),
        cmocka_unit_test(test_failure_sticks_until_reset),
        cmocka_unit_test(test_consume),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_printf_at_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
