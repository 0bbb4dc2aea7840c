/* Whose a domain is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cached/organisation.h"
#include "common/domain.h"

static const struct row {
    const char *name, *domain, *want;
} rows[] = {
    {"registered below a top level", "example.com", "example.com"},
    {"below that", "a.b.example.com", "example.com"},
    {"registered below a second level", "example.co.uk", "example.co.uk"},
    {"below that, too", "mail.example.co.uk", "example.co.uk"},
    {"a public suffix of one label", "com", "com"},
    {"a public suffix of two", "co.uk", "co.uk"},
    {"every name is a suffix there", "a.b.c.ck", "b.c.ck"},
    {"but for this one", "a.b.www.ck", "www.ck"},
    {"names given away by a company", "a.customer.github.io", "customer.github.io"},
    {"a top level in A-labels", "a.example.xn--fiqs8s", "example.xn--fiqs8s"},
    {"a second level in A-labels", "a.b.xn--55qx5d.cn", "b.xn--55qx5d.cn"},
    {"a top level that is not in the list", "a.b.example.invalid", "example.invalid"},
    {"one label that is not in the list", "localhost", "localhost"},
};

static void
test_whose_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *domain = rows[i].domain, *got = organisation_of(domain);

        print_message("%s\n", rows[i].name);
        assert_string_equal(got, rows[i].want);
        assert_ptr_equal(got, domain + strlen(domain) - strlen(got));
    }
}

static void
test_the_longest_name(void **state)
{
    char domain[DOMAIN_SIZE];

    (void)state;
    for (size_t i = 0; i < DOMAIN_SIZE - 1; i++)
        domain[i] = i % 2 == 0 ? 'a' : '.';
    domain[DOMAIN_SIZE - 1] = '\0';
    assert_string_equal(organisation_of(domain), "a.a");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whose_it_is),
        cmocka_unit_test(test_the_longest_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
