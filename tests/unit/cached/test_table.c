#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "cached/table.h"
#include "common/alloc.h"

enum { ITEMS = 20000 };

struct item {
    struct table_link link;
    char key[24];
};

static const char *
key_of(const struct table_link *link)
{
    return ((const struct item *)link)->key;
}

static struct item *
make_items(void)
{
    struct item *items = alloc_zero(ITEMS, sizeof *items);

    for (int i = 0; i < ITEMS; i++)
        snprintf(items[i].key, sizeof items[i].key, "d%d.example", i);
    return items;
}

static void
test_finds_what_was_added(void **state)
{
    struct item *items = make_items();
    struct table *t = table_new(key_of);

    (void)state;
    assert_null(table_find(t, "d1.example"));
    for (int i = 0; i < ITEMS; i++)
        table_add(t, &items[i].link);
    assert_int_equal(table_count(t), ITEMS);
    for (int i = 0; i < ITEMS; i++)
        assert_ptr_equal(table_find(t, items[i].key), &items[i].link);
    assert_null(table_find(t, "d1.exampl"));
    assert_null(table_find(t, ""));
    table_free(t);
    free(items);
}

static void
test_removes_only_the_one(void **state)
{
    struct item *items = make_items();
    struct table *t = table_new(key_of);

    (void)state;
    for (int i = 0; i < ITEMS; i++)
        table_add(t, &items[i].link);
    for (int i = 0; i < ITEMS; i += 3)
        table_remove(t, &items[i].link);
    for (int i = 0; i < ITEMS; i++) {
        struct table_link *found = table_find(t, items[i].key);
        assert_ptr_equal(found, i % 3 == 0 ? NULL : &items[i].link);
    }
    assert_int_equal(table_count(t), ITEMS - (ITEMS + 2) / 3);
    table_free(t);
    free(items);
}

static void
test_free_accepts_null(void **state)
{
    (void)state;
    table_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_was_added),
        cmocka_unit_test(test_removes_only_the_one),
        cmocka_unit_test(test_free_accepts_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
