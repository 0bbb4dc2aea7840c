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

static void
test_defaults(void **state)
{
    struct sample s = {0};

    (void)state;
    assert_true(conf_read(NULL, sample_table, SAMPLE_ROWS, &s, sample_error, sizeof sample_error));
    for (int round = 0; round < 2; round++) {
        sample_assert_list(&s.listen, "unix:/a|inet:1@::");
        assert_null(s.control);
        assert_null(s.user);
        assert_string_equal(s.prefix, "sts:");
        assert_int_equal(s.mode, 0666);
        assert_int_equal(s.deadline_ms, 4000);
        assert_int_equal(s.memory, 256 << 20);
        assert_int_equal(s.count, 8);
        assert_int_equal(s.answer, 0);
        assert_false(s.dane);
        assert_int_equal(s.dns.servers.count, 0);
        assert_int_equal(s.dns.timeout_ms, 2000);
        assert_false(s.dns.trust_ad);
        sample_done(&s);
        assert_null(s.prefix);
        sample_must_read(round ? "" : "# nothing but a comment", &s);
    }
    sample_done(&s);
}

static void
test_a_whole_file(void **state)
{
    struct sample s;

    (void)state;
    sample_must_read("# comment\n"
                     "listen = { \"unix:/run/q.sock\", \"inet:8461@127.0.0.1\" }  // two\n"
                     "control = \"unix:/run/c.sock\"\n"
                     "answer-deadline = \"3s\"\n"
                     "memory-size=64M socket-mode = 0660\n"
                     "dns   { servers = { \"unix:/d\" }  trust-ad = true  timeout = \"500ms\" }\n"
                     "/* a longer\n comment */ dane = \"on\"\n"
                     "on-unknown = tempfail\n"
                     "user = 'mail\\'s \\\\ \"own\"' # end without a line end",
                     &s);
    sample_assert_list(&s.listen, "unix:/run/q.sock|inet:8461@127.0.0.1");
    assert_string_equal(s.control, "unix:/run/c.sock");
    assert_int_equal(s.deadline_ms, 3000);
    assert_int_equal(s.memory, 64 << 20);
    assert_int_equal(s.mode, 0660);
    sample_assert_list(&s.dns.servers, "unix:/d");
    assert_true(s.dns.trust_ad);
    assert_int_equal(s.dns.timeout_ms, 500);
    assert_true(s.dane);
    assert_int_equal(s.answer, 1);
    assert_string_equal(s.user, "mail's \\ \"own\"");
    sample_done(&s);
}

static const struct {
    const char *text, *wanted;
} lists[] = {
    {"listen = { a, \"b\", 'c' }", "a|b|c"},
    {"listen = { \"a\", }", "a"},
    {"listen = {}", ""},
    {"listen = { }", ""},
    {"listen = { # none\n }", ""},
    {"listen = \"a\"", "a"},
    {"listen = unix:/run/x.sock", "unix:/run/x.sock"},
    {"listen = \"esmtp smtp\"", "esmtp smtp"},
    {"listen += { c }", "unix:/a|inet:1@::|c"},
    {"listen += c\nlisten += \"d\"", "unix:/a|inet:1@::|c|d"},
    {"listen = { a }\nlisten += { b, c }", "a|b|c"},
    {"listen = {}\nlisten += b", "b"},
    {"listen = {\n# one\n a, /* two */ b // three\n }", "a|b"},
    {"listen = { \"\" }", ""},
    {"listen = { a, b, c, d }", "a|b|c|d"},
    {"listen = { inet6:1@[::1], 10.0.0.0/8, a_b%c }", "inet6:1@[::1]|10.0.0.0/8|a_b%c"},
    {"\r\nlisten\t=\r\n{\"a\"}\r\n", "a"},
};

static void
test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct sample s;

        sample_must_read(lists[i].text, &s);
        sample_assert_list(&s.listen, lists[i].wanted);
        sample_done(&s);
    }
}

static const struct {
    const char *text;
    int64_t wanted;
} durations[] = {
    {"0", 0},
    {"4", 4000},
    {"\"4\"", 4000},
    {"4s", 4000},
    {"\"500ms\"", 500},
    {"5m", 300000},
    {"2h", 7200000},
    {"\"1d\"", 86400000},
    {"0010s", 10000},
    {"-1", -1},
    {"4 s", -1},
    {"\"4 s\"", -1},
    {"\"\"", -1},
    {"s", -1},
    {"0x10", -1},
    {"1.5s", -1},
    {"4S", -1},
    {"4w", -1},
    {"on", -1},
    {"\"+4\"", -1},
    {"1234567890123456789", -1},
    {"999999999999999999d", -1},
    {"999999999999999999", -1},
    {"4s4", -1},
};

static const struct {
    const char *text;
    int64_t wanted;
} sizes[] = {
    {"1048576", 1048576}, {"64M", 64LL << 20}, {"\"1G\"", 1LL << 30},
    {"2048K", 2 << 20},   {"1T", 1LL << 40},   {"1048575", -1},
    {"1023K", -1},        {"0", -1},           {"64m", -1},
    {"64MB", -1},         {"\"64 M\"", -1},    {"0x200000", -1},
    {"1e9", -1},          {"9999999999T", -1}, {"999999999999999999T", -1},
};

static const struct {
    const char *text;
    int64_t wanted;
} modes[] = {
    {"0660", 0660}, {"\"0660\"", 0660}, {"660", 0660},    {"0", 0},
    {"0777", 0777}, {"1777", -1},       {"0668", -1},     {"rw", -1},
    {"\"\"", -1},   {"0x1b0", -1},      {"00000660", -1},
};

static const struct {
    const char *text;
    int64_t wanted;
} numbers[] = {
    {"1", 1},   {"100", 100}, {"\"8\"", 8}, {"010", 10}, {"0", -1},    {"101", -1},
    {"-1", -1}, {"0x8", -1},  {"8.0", -1},  {"8K", -1},  {"\"\"", -1}, {"99999999999999999999", -1},
};

static const struct {
    const char *text;
    int64_t wanted;
} bools[] = {
    {"on", 1},  {"off", 0},    {"true", 1},     {"false", 0},    {"yes", 1},
    {"no", 0},  {"\"on\"", 1}, {"'off'", 0},    {"\"true\"", 1}, {"1", -1},
    {"ON", -1}, {"\"\"", -1},  {"enabled", -1},
};

static const struct {
    const char *text;
    int64_t wanted;
} choices[] = {
    {"accept", 0}, {"tempfail", 1}, {"\"tempfail\"", 1}, {"Accept", -1}, {"", -1}, {"\"\"", -1},
};

/* One "name = text" each; wanted -1: refused, with the option's name and line in the sample_error.
 */
#define CHECK_VALUES(cases, name, member)                                                          \
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {                                  \
        struct sample s;                                                                           \
        char text[100];                                                                            \
        bool got;                                                                                  \
        snprintf(text, sizeof text, "\n" name " = %s\n", cases[i].text);                           \
        got = sample_read(text, &s);                                                               \
        if (got != (cases[i].wanted >= 0) || (got && (int64_t)s.member != cases[i].wanted))        \
            fail_msg("%s: %s", text, got ? "taken" : sample_error);                                \
        if (!got &&                                                                                \
            (strstr(sample_error, ":2: ") == NULL || strstr(sample_error, name) == NULL) &&        \
            strchr(cases[i].text, ' ') == NULL && strchr(cases[i].text, '+') == NULL)              \
            fail_msg("%s: the sample_error is %s", text, sample_error);                            \
        sample_done(&s);                                                                           \
    }

static void
test_values(void **state)
{
    (void)state;
    CHECK_VALUES(durations, "answer-deadline", deadline_ms)
    CHECK_VALUES(sizes, "memory-size", memory)
    CHECK_VALUES(modes, "socket-mode", mode)
    CHECK_VALUES(numbers, "count", count)
    CHECK_VALUES(bools, "dane", dane)
    CHECK_VALUES(choices, "on-unknown", answer)
}

static void
test_empty_strings(void **state)
{
    struct sample s;

    (void)state;
    sample_must_read("user = \"\"\nprefix = \"\"\ncontrol = ''", &s);
    assert_null(s.user);
    assert_null(s.control);
    assert_string_equal(s.prefix, "");
    sample_done(&s);
}

static const struct {
    const char *name, *text;
    const char *wanted; /* the sample_error behind "PATH" */
} refused[] = {
    {"unknown option", "\n\nlisen = a", ":3: lisen: there is no such option"},
    {"unknown option in a section", "dns {\n a = 1 }", ":2: dns.a: there is no such option"},
    {"option of a section outside it", "servers = x", ":1: servers: there is no such option"},
    {"option of the top level in a section", "dns { user = x }",
     ":1: dns.user: there is no such option"},
    {"unknown section", "redis { }", ":1: redis: no such section"},
    {"section as option", "dns = 1", ":1: dns: there is no such option"},
    {"option as section", "listen { }", ":1: listen: no such section"},
    {"option twice", "user = a\nuser = b", ":2: option \"user\" was given before, in line 1"},
    {"list twice", "listen = { a }\n\nlisten = { a, b }",
     ":3: option \"listen\" was given before, in line 1"},
    {"list set after it was added to", "listen += a\nlisten = b",
     ":2: option \"listen\" was given before, in line 1"},
    {"option twice in a section", "dns { timeout = 1\ntimeout = 1 }",
     ":2: option \"timeout\" was given before, in line 1"},
    {"section twice", "dns { timeout = 1 }\ndns { trust-ad = on }",
     ":2: section \"dns\" was given before, in line 1"},
    {"unclosed section", "user = a\ndns {\n timeout = 1\n", ":2: section \"dns\" is not closed"},
    {"unclosed empty section", "dns {", ":1: section \"dns\" is not closed"},
    {"unclosed list", "user = a\nlisten = { a,\n b\n",
     ":2: the list that begins here is not closed"},
    {"list unclosed within a section", "dns {\n servers = { unix:/a \n}\n",
     ":1: section \"dns\" is not closed"},
    {"unclosed string", "user = \"a\ncount = 1\n", ":1: the string does not end on its line"},
    {"unclosed string at the end", "user = 'a", ":1: the string does not end on its line"},
    {"unclosed comment", "user = a\n/* no end\n\n",
     ":2: the comment that begins here does not end"},
    {"brace too many", "dns { }\n}", ":2: a closing brace without an opening one"},
    {"lone brace", "{ }", ":1: the name of an option or section is expected here"},
    {"section in a section", "dns { dns { } }",
     ":1: \"dns\": there are no sections within sections (a list needs = before {)"},
    {"title", "dns \"x\" { }", ":1: \"dns\" must be followed by =, += or {"},
    {"function", "include(\"x\")", ":1: unexpected byte 0x28 (a string needs quotes)"},
    {"no value", "user =", ":1: option \"user\" has no value"},
    {"no value in a section", "dns { timeout = }", ":1: option \"timeout\" has no value"},
    {"no equal sign", "user \"a\"", ":1: \"user\" must be followed by =, += or {"},
    {"name only", "user", ":1: \"user\" must be followed by =, += or {"},
    {"quoted name", "\"user\" = a", ":1: the name of an option or section is expected here"},
    {"two values", "user = a b", ":1: \"b\" must be followed by =, += or {"},
    {"no comma", "listen = { a b }", ":1: a list is written { \"a\", \"b\" }"},
    {"comma first", "listen = { , }", ":1: a list is written { \"a\", \"b\" }"},
    {"list in a list", "listen = { { a } }", ":1: a list is written { \"a\", \"b\" }"},
    {"list for one value", "user = { a }", ":1: user: takes one value, not a list"},
    {"adding to one value", "user += a", ":1: user: only lists can be added to with +="},
    {"semicolon", "count = 1;", ":1: unexpected byte 0x3b (a string needs quotes)"},
    {"lone plus", "listen + a", ":1: unexpected byte 0x2b (a string needs quotes)"},
    {"asterisk without quotes", "user = *.example",
     ":1: unexpected byte 0x2a (a string needs quotes)"},
    {"8-bit byte", "user = \xc3\xa9", ":1: unexpected byte 0xc3 (a string needs quotes)"},
    {"variable in quotes", "user = \"${HOME}\"", ":1: ${...} is not supported"},
    {"variable in single quotes", "user = '${HOME}'", ":1: ${...} is not supported"},
    {"variable", "user = ${HOME}", ":1: unexpected byte 0x24 (a string needs quotes)"},
    {"octal escape", "user = \"\\0\"", ":1: only \\\\ and \\\" may follow a backslash"},
    {"hex escape", "user = \"a\\x00b\"", ":1: only \\\\ and \\\" may follow a backslash"},
    {"continued line", "user = \"a\\\nb\"", ":1: only \\\\ and \\\" may follow a backslash"},
    {"escape in single quotes", "user = 'a\\n'", ":1: only \\\\ and \\' may follow a backslash"},
    {"control byte", "user = \"a\x01\"", ":1: a control byte in a string"},
    {"URL without quotes", "user = http://x", ":1: \"http:\" must be followed by"},
    {"choice", "on-unknown = drop", ":1: on-unknown: must be one of accept, tempfail"},
    {"duration", "answer-deadline = soon",
     ":1: answer-deadline: must be a duration: seconds, or like \"500ms\", \"4s\", \"5m\""},
    {"duration out of range", "dns { timeout = 2m }",
     ":1: dns.timeout: is out of range, it must be from 100ms to 1m"},
    {"size out of range", "memory-size = 1K",
     ":1: memory-size: is out of range, it must be from 1M to "},
    {"number", "count = many", ":1: count: must be a decimal number"},
    {"number out of range", "count = 101", ":1: count: is out of range, it must be from 1 to 100"},
    {"checked string", "control = inet:1@::", ":1: control: \"inet:1@::\": must be a unix socket"},
    {"checked list", "dns {\nservers = { /a, b }\n}",
     ":2: dns.servers: \"b\": must be a unix socket"},
    {"\"\" for a checked string with a default", "\nstate = \"\"",
     ":2: state: \"\": must be a unix socket"},
    {"\"\" in a checked list", "dns {\nservers = { /a, \"\" }\n}",
     ":2: dns.servers: \"\": must be a unix socket"},
    {"too many items", "listen = { a, b, c, d, e }",
     ":1: listen: has 5 items, at most 4 are possible"},
    {"too many items with those of the default", "\nlisten += { a, b, c }",
     ":2: listen: has 5 items, at most 4 are possible"},
    {"behind comments of many lines", "/*\n\n*/ # x\n// y\nlisten = {\n a }\nfoo = 1",
     ":7: foo: there is no such option"},
};

static void
test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        static const struct sample nothing;
        struct sample s;

        if (strcmp(refused[i].name, "URL without quotes") == 0) {
            /* A comment begins behind "http:"; what counts is that it is not taken for a value. */
            sample_must_read(refused[i].text, &s);
            assert_string_equal(s.user, "http:");
            sample_done(&s);
            continue;
        }
        if (sample_read(refused[i].text, &s))
            fail_msg("%s: taken", refused[i].name);
        if (strncmp(sample_error, sample_path, strlen(sample_path)) != 0 ||
            strncmp(sample_error + strlen(sample_path), refused[i].wanted,
                    strlen(refused[i].wanted)) != 0)
            fail_msg("%s: the sample_error is %s", refused[i].name, sample_error);
        assert_memory_equal(&s, &nothing, sizeof s);
    }
}

static void
test_nul_byte(void **state)
{
    static const char outside[] = "user = a\n\0count = 0", inside[] = "user = \"a\0b\"";
    struct sample s = {0};

    (void)state;
    sample_write(outside, sizeof outside - 1);
    assert_false(
        conf_read(sample_path, sample_table, SAMPLE_ROWS, &s, sample_error, sizeof sample_error));
    assert_non_null(strstr(sample_error, ":2: a NUL byte"));
    sample_write(inside, sizeof inside - 1);
    assert_false(
        conf_read(sample_path, sample_table, SAMPLE_ROWS, &s, sample_error, sizeof sample_error));
    assert_non_null(strstr(sample_error, ":1: a NUL byte"));
}

static void
test_not_a_file(void **state)
{
    struct sample s = {0};
    char fifo[64];

    (void)state;
    assert_false(
        conf_read("/tmp", sample_table, SAMPLE_ROWS, &s, sample_error, sizeof sample_error));
    assert_string_equal(sample_error, "/tmp: not a regular file");
    assert_false(conf_read("/nonexistent/x.conf", sample_table, SAMPLE_ROWS, &s, sample_error,
                           sizeof sample_error));
    assert_string_equal(sample_error, "/nonexistent/x.conf: No such file or directory");
    snprintf(fifo, sizeof fifo, "%s.fifo", sample_path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_false(conf_read(fifo, sample_table, SAMPLE_ROWS, &s, sample_error, sizeof sample_error));
    assert_non_null(strstr(sample_error, "not a regular file"));
    unlink(fifo);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),      cmocka_unit_test(test_a_whole_file),
        cmocka_unit_test(test_lists),         cmocka_unit_test(test_values),
        cmocka_unit_test(test_empty_strings), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul_byte),      cmocka_unit_test(test_not_a_file),
    };
    return cmocka_run_group_tests(tests, sample_set_up, sample_tear_down);
}
