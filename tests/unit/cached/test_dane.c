#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cached/dane.h"

static const struct {
    const char *name;
    uint8_t usage, selector, matching;
    size_t len;
    bool usable;
} rows[] = {
    {"end entity, key, SHA-256", 3, 1, 1, 32, true},
    {"trust anchor, certificate, SHA-512", 2, 0, 2, 64, true},
    {"a whole certificate", 3, 0, 0, 1, true},
    {"a whole certificate of nothing", 3, 0, 0, 0, false},
    {"PKIX trust anchor", 0, 1, 1, 32, false},
    {"PKIX end entity", 1, 1, 1, 32, false},
    {"usage 4", 4, 1, 1, 32, false},
    {"usage 255", 255, 1, 1, 32, false},
    {"selector 2", 3, 2, 1, 32, false},
    {"matching 3", 3, 1, 3, 32, false},
    {"SHA-256, cut", 3, 1, 1, 31, false},
    {"SHA-256, too long", 3, 1, 1, 33, false},
    {"SHA-512 of SHA-256's length", 3, 1, 2, 32, false},
    {"SHA-512, too long", 2, 1, 2, 65, false},
};

static void
test_usable(void **state)
{
    static const char data[80];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct dane_record record = {
            rows[i].usage, rows[i].selector, rows[i].matching, {data, rows[i].len}};
        if (dane_is_usable(&record) != rows[i].usable)
            fail_msg("%s", rows[i].name);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_usable)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
