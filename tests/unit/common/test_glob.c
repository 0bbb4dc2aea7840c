#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/glob.h"

static void
test_glob(void **state)
{
    static const struct {
        const char *glob, *name;
        bool want;
    } rows[] = {
        {"*", "", true},
        {"*", "a.b.c", true},
        {"*.example.com", "a.b.example.com", true},
        {"*.example.com", "example.com", false},
        {"*example.com", "example.com", true},
        {"mail?.x", "mail1.x", true},
        {"mail?.x", "mail.x", false},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "a-b-b", false},
        {"*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"", "", true},
        {"", "a", false},
        {"x**", "xyz", true},
        {"[x]", "x", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (glob_matches(rows[i].glob, rows[i].name) != rows[i].want)
            fail_msg("%s on %s", rows[i].glob, rows[i].name);
    }
    assert_true(glob_is("*.x"));
    assert_true(glob_is("a?"));
    assert_false(glob_is("a.x"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_glob)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
