#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "cached/command.h"

static const struct {
    const char *request;
    size_t want; /* words; 0: refused */
} rows[] = {
    {"stats", 1},
    {"  list   *.example  after=a.example ", 3},
    {"a b c d e f", 6},
    {"a b c d e f g", 0},
    {"", 0},
    {"    ", 0},
    {"tab\tis no blank", 3},
};

static void
test_reads_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct command c = {.count = 0};
        bool read = command_read(&c, rows[i].request, strlen(rows[i].request)) == NULL;

        if (read != (rows[i].want > 0) || (read && c.count != rows[i].want))
            fail_msg("\"%s\": %d, %zu words", rows[i].request, read, c.count);
    }
}

static void
test_words_are_bounded(void **state)
{
    char long_word[COMMAND_WORD_SIZE + 1];
    struct command c = {.count = 0};

    (void)state;
    memset(long_word, 'x', sizeof long_word);
    assert_string_equal(command_read(&c, long_word, COMMAND_WORD_SIZE), "the argument is too long");
    c.count = 0;
    assert_null(command_read(&c, long_word, COMMAND_WORD_SIZE - 1));
    assert_int_equal(strlen(c.words[0]), COMMAND_WORD_SIZE - 1);
    c.count = 0;
    assert_string_equal(command_read(&c, "show a\0b", 8), "not a command");
}

static void
test_takes_flags_and_values(void **state)
{
    static const char request[] = "flush wait a.example after=x force";
    struct command c = {.count = 0};
    char value[COMMAND_WORD_SIZE];

    (void)state;
    assert_null(command_read(&c, request, sizeof request - 1));
    assert_true(command_take_flag(&c, "force"));
    assert_false(command_take_flag(&c, "force"));
    assert_true(command_take_flag(&c, "wait"));
    assert_false(command_take_flag(&c, "flush")); /* the command itself is none */
    assert_true(command_take_value(&c, "after=", value));
    assert_string_equal(value, "x");
    assert_false(command_take_value(&c, "after=", value));
    assert_int_equal(c.count, 2);
    assert_string_equal(c.words[1], "a.example");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_words),
        cmocka_unit_test(test_words_are_bounded),
        cmocka_unit_test(test_takes_flags_and_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
