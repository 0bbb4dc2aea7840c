#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

enum { CAUGHT_SIZE = 4096 };

static int old_stderr, ends[2];

static int
catch_stderr(void **state)
{
    (void)state;
    if (pipe(ends) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        return -1;
    old_stderr = dup(STDERR_FILENO);
    return dup2(ends[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int
give_back_stderr(void **state)
{
    (void)state;
    log_gather(false);
    dup2(old_stderr, STDERR_FILENO);
    close(old_stderr);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* What was written since the last call. */
static const char *
caught(void)
{
    static char bytes[CAUGHT_SIZE];
    ssize_t n = read(ends[0], bytes, sizeof bytes - 1);

    bytes[n > 0 ? n : 0] = '\0';
    return bytes;
}

static void
log_words(const char *const words[])
{
    struct log_line line = log_line_begin();

    for (; *words != NULL; words++)
        log_line_add(&line, *words);
    log_line_end(&line);
}

static void
test_foreign_bytes_are_escaped(void **state)
{
    (void)state;
    log_info("a%sz", "\n\x7f\xff");
    assert_string_equal(caught(), "info: a\\x0a\\x7f\\xffz\n");
    log_words((const char *const[]){"domain=", "seven7\x1f", " long enough", NULL});
    assert_string_equal(caught(), "info: domain=seven7\\x1f long enough\n");
    log_words((const char *const[]){"~", " ", "~~~~~~~~~~~~~~~~", NULL});
    assert_string_equal(caught(), "info: ~ ~~~~~~~~~~~~~~~~\n");
}

static void
test_every_byte_alone(void **state)
{
    char at[3][18], wanted[64];
    const unsigned places[] = {0, 7, 16}; /* first and last of eight, and behind them */

    (void)state;
    for (unsigned c = 1; c < 256; c++) {
        for (unsigned i = 0; i < 3; i++) {
            memset(at[i], 'x', 17);
            at[i][17] = '\0';
            at[i][places[i]] = (char)c;
            log_words((const char *const[]){at[i], NULL});
            if (c >= 0x20 && c <= 0x7e)
                snprintf(wanted, sizeof wanted, "info: %s\n", at[i]);
            else
                snprintf(wanted, sizeof wanted, "info: %.*s\\x%02x%s\n", (int)places[i], at[i], c,
                         at[i] + places[i] + 1);
            assert_string_equal(caught(), wanted);
        }
    }
}

static void
test_a_line_has_an_end(void **state)
{
    static char word[2 * LOG_LINE_MAX];

    (void)state;
    memset(word, 'w', sizeof word - 1);
    log_words((const char *const[]){word, word, NULL});
    assert_int_equal(strlen(caught()), LOG_LINE_MAX + 1);
    memset(word, '\x01', sizeof word - 1);
    log_words((const char *const[]){word, NULL});
    assert_in_range(strlen(caught()), LOG_LINE_MAX - 8, LOG_LINE_MAX + 1);
}

static void
test_gathers(void **state)
{
    (void)state;
    log_gather(true);
    log_info("one");
    log_debug("not wanted");
    log_info("two");
    assert_string_equal(caught(), "");
    log_flush();
    assert_string_equal(caught(), "info: one\ninfo: two\n");
    log_info("three");
    log_gather(false);
    assert_string_equal(caught(), "info: three\n");
    log_info("four");
    assert_string_equal(caught(), "info: four\n");
}

static void
test_a_warning_does_not_wait(void **state)
{
    (void)state;
    log_gather(true);
    log_info("before");
    log_warning("warning of something");
    assert_string_equal(caught(), "info: before\nwarning: warning of something\n");
    log_error("worse");
    assert_string_equal(caught(), "error: worse\n");
}

static void
test_gathers_only_so_much(void **state)
{
    size_t written = 0;

    (void)state;
    log_gather(true);
    for (unsigned i = 0; i < 25; i++) {
        log_info("%0993d", 1);
        for (size_t n; (n = strlen(caught())) > 0;)
            written += n;
    }
    assert_in_range(written, 14 * 1024, 16 * 1024);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_foreign_bytes_are_escaped, catch_stderr,
                                        give_back_stderr),
        cmocka_unit_test_setup_teardown(test_every_byte_alone, catch_stderr, give_back_stderr),
        cmocka_unit_test_setup_teardown(test_a_line_has_an_end, catch_stderr, give_back_stderr),
        cmocka_unit_test_setup_teardown(test_gathers, catch_stderr, give_back_stderr),
        cmocka_unit_test_setup_teardown(test_a_warning_does_not_wait, catch_stderr,
                                        give_back_stderr),
        cmocka_unit_test_setup_teardown(test_gathers_only_so_much, catch_stderr, give_back_stderr),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
