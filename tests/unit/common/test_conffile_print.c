#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/common/conffile_sample.h"

static char *
print(const struct sample *s)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    conf_print(sample_table, SAMPLE_ROWS, s, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void
test_print_golden(void **state)
{
    struct sample s;
    char *text;

    (void)state;
    sample_must_read("user = 'a\"\\\\b' dane = yes dns { trust-ad = yes } count = 9", &s);
    text = print(&s);
    assert_string_equal(text, "listen = { \"unix:/a\", \"inet:1@::\" }\n"
                              "control = \"\"\n"
                              "state = \"/state\"\n"
                              "user = \"a\\\"\\\\b\"\n"
                              "prefix = \"sts:\"\n"
                              "socket-mode = 0666\n"
                              "answer-deadline = 4s\n"
                              "memory-size = 256M\n"
                              "count = 9\n"
                              "on-unknown = accept\n"
                              "dane = on\n"
                              "dns {\n"
                              "    servers = { }\n"
                              "    timeout = 2s\n"
                              "    trust-ad = true\n"
                              "}\n");
    free(text);
    sample_done(&s);
}

static void
test_print_is_read_again(void **state)
{
    static const char *const files[] = {
        "",
        "listen = {} user = \"a b\\\\\" prefix = '' socket-mode = 0007 answer-deadline = 0",
        "answer-deadline = 1500ms memory-size = 1048577 on-unknown = tempfail dane = on",
        "control = \"/x # y\" dns { servers = { \"/a,b\", '/\"' } timeout = 60 trust-ad = on }",
        "answer-deadline = 25h user = \"$HOME // {x}\" memory-size = 3T listen = { \"\", x }",
    };

    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct sample first, second;
        char *text, *again;

        sample_must_read(files[i], &first);
        text = print(&first);
        sample_must_read(text, &second);
        again = print(&second);
        assert_string_equal(text, again);
        assert_int_equal(first.deadline_ms, second.deadline_ms);
        assert_int_equal(first.memory, second.memory);
        assert_int_equal(first.mode, second.mode);
        assert_int_equal(first.answer, second.answer);
        assert_int_equal(first.dane, second.dane);
        assert_int_equal(first.listen.count, second.listen.count);
        assert_int_equal(first.user == NULL, second.user == NULL);
        if (first.user != NULL)
            assert_string_equal(first.user, second.user);
        sample_done(&first);
        sample_done(&second);
        free(text);
        free(again);
    }
}

static void
test_keep_restart_values(void **state)
{
    struct sample running, next;
    struct buf names;

    (void)state;
    buf_init(&names, 100);
    sample_must_read("user = a listen = a dns { servers = { /a } timeout = 1 }", &running);
    sample_must_read("user = a listen = b dns { servers = { /a } timeout = 3 }", &next);
    conf_keep_restart_values(sample_table, SAMPLE_ROWS, &running, &next, &names);
    assert_int_equal(names.len, 0);
    sample_assert_list(&next.listen, "b");
    assert_int_equal(next.dns.timeout_ms, 3000);
    sample_done(&next);

    sample_must_read("user = b listen = c count = 9 dns { servers = { /a, /b } }", &next);
    conf_keep_restart_values(sample_table, SAMPLE_ROWS, &running, &next, &names);
    assert_string_equal(buf_string(&names), "dns.servers, user, count");
    buf_done(&names);
    assert_string_equal(next.user, "a");
    sample_assert_list(&next.dns.servers, "/a");
    sample_assert_list(&next.listen, "c");
    assert_int_equal(next.count, 8);
    sample_done(&running);
    sample_assert_list(&next.dns.servers, "/a");
    sample_done(&next);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print_golden),
        cmocka_unit_test(test_print_is_read_again),
        cmocka_unit_test(test_keep_restart_values),
    };
    return cmocka_run_group_tests(tests, sample_set_up, sample_tear_down);
}
