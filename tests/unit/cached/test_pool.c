#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cached/pool.h"

enum { SIZE = 304, BLOCKS = 5 };

static const char zeros[SIZE];

static void
test_what_was_given_back_is_taken_again_and_zero(void **state)
{
    struct pool pool;
    char *blocks[BLOCKS];

    (void)state;
    pool_init(&pool, SIZE);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = pool_take(&pool);
        assert_memory_equal(blocks[i], zeros, SIZE);
        memset(blocks[i], 0xa5, SIZE);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        pool_give(&pool, blocks[i]);
    for (size_t i = BLOCKS; i-- > 0;) {
        assert_ptr_equal(pool_take(&pool), blocks[i]);
        assert_memory_equal(blocks[i], zeros, SIZE);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        pool_give(&pool, blocks[i]);
    pool_done(&pool);
}

static void
test_blocks_in_use_are_each_their_own(void **state)
{
    struct pool pool;
    char *first, *second, *third;

    (void)state;
    pool_init(&pool, SIZE);
    first = pool_take(&pool);
    second = pool_take(&pool);
    memset(first, 1, SIZE);
    memset(second, 2, SIZE);
    pool_give(&pool, first);
    first = pool_take(&pool);
    third = pool_take(&pool);
    assert_ptr_not_equal(first, second);
    assert_ptr_not_equal(third, second);
    assert_ptr_not_equal(third, first);
    memset(first, 1, SIZE);
    memset(third, 3, SIZE);
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(second[i], 2);
    pool_give(&pool, third);
    pool_give(&pool, second);
    pool_give(&pool, first);
    pool_done(&pool);
}

static void
test_pool_that_is_done_is_empty(void **state)
{
    struct pool pool;

    (void)state;
    pool_init(&pool, SIZE);
    pool_done(&pool);
    pool_give(&pool, pool_take(&pool));
    pool_done(&pool);
    assert_null(pool.idle);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_given_back_is_taken_again_and_zero),
        cmocka_unit_test(test_blocks_in_use_are_each_their_own),
        cmocka_unit_test(test_pool_that_is_done_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
