#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/scan.h"

static struct scan
scan_string(const char *text)
{
    return scan_bytes(text, strlen(text));
}

static void
test_steps_take_only_what_fits(void **state)
{
    struct scan s = scan_string("key=12;rest");
    uint64_t number;

    (void)state;
    assert_false(scan_word(&s, "keys"));
    assert_true(scan_word(&s, "key"));
    assert_false(scan_char(&s, ';'));
    assert_true(scan_char(&s, '='));
    assert_true(scan_number(&s, 4, &number));
    assert_int_equal(number, 12);
    assert_true(span_is(scan_until(&s, ';'), ""));
    assert_true(scan_char(&s, ';'));
    assert_true(span_is(scan_while(&s, ascii_is_alnum, 2), "re"));
    assert_true(span_is(scan_until(&s, ';'), "st"));
    assert_true(scan_is_done(&s));
    assert_false(scan_char(&s, 't'));
    assert_false(scan_word(&s, "t"));
}

static void
test_nothing_at_all(void **state)
{
    struct scan s = scan_bytes(NULL, 0);
    uint64_t number;

    (void)state;
    assert_true(scan_is_done(&s));
    assert_true(scan_word(&s, ""));
    assert_false(scan_char(&s, '\0'));
    assert_int_equal(scan_until(&s, '\0').len, 0);
    assert_int_equal(scan_while(&s, ascii_is_digit, 9).len, 0);
    assert_false(scan_number(&s, 9, &number));
    assert_false(scan_utf8(&s));
    assert_true(span_is((struct span){NULL, 0}, ""));
    assert_int_equal(span_trim((struct span){NULL, 0}).len, 0);
}

static void
test_numbers(void **state)
{
    static const struct {
        const char *text;
        int max_digits;
        bool fine;
        uint64_t value;
    } rows[] = {
        {"0", 10, true, 0},
        {"0000000042", 10, true, 42},
        {"9999999999", 10, true, 9999999999},
        {"00000000042", 10, false, 0},
        {"999999999999999999", 18, true, 999999999999999999},
        {"12x", 2, true, 12},
        {"123", 2, false, 0},
        {"-1", 10, false, 0},
        {"+1", 10, false, 0},
        {" 1", 10, false, 0},
        {"x", 10, false, 0},
        {"", 10, false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scan s = scan_string(rows[i].text);
        uint64_t value = 0;

        if (scan_number(&s, rows[i].max_digits, &value) != rows[i].fine || value != rows[i].value)
            fail_msg("number \"%s\"", rows[i].text);
        if (!rows[i].fine && s.at != rows[i].text)
            fail_msg("number \"%s\": a step was taken", rows[i].text);
    }
}

static void
test_utf8(void **state)
{
    static const struct {
        const char *name, *text;
        int characters; /* -1: refused somewhere */
    } rows[] = {
        {"ASCII", "abc", 3},
        {"controls", "\x01\x7f", 2},
        {"two bytes", "\xc2\x80\xdf\xbf", 2},
        {"three bytes", "\xe0\xa0\x80\xe2\x82\xac\xef\xbf\xbf", 3},
        {"four bytes", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 2},
        {"last before the surrogates", "\xed\x9f\xbf", 1},
        {"first after the surrogates", "\xee\x80\x80", 1},
        {"overlong slash", "\xc0\xaf", -1},
        {"overlong in two bytes", "\xc1\xbf", -1},
        {"overlong in three bytes", "\xe0\x9f\xbf", -1},
        {"overlong in four bytes", "\xf0\x8f\xbf\xbf", -1},
        {"surrogate", "\xed\xa0\x80", -1},
        {"above U+10FFFF", "\xf4\x90\x80\x80", -1},
        {"no such first byte", "\xf5\x80\x80\x80", -1},
        {"continuation alone", "\x80", -1},
        {"cut in two", "\xc3", -1},
        {"cut in three", "\xe2\x82", -1},
        {"cut in four", "\xf0\x9f\x98", -1},
        {"bad third byte", "\xe2\x82\x28", -1},
        {"bad fourth byte", "\xf0\x9f\x98\xc0", -1},
        {"Latin-1", "caf\xe9", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scan s = scan_string(rows[i].text);
        int characters = 0;

        while (scan_utf8(&s))
            characters++;
        if ((scan_is_done(&s) ? characters : -1) != rows[i].characters)
            fail_msg("%s", rows[i].name);
    }
}

static void
test_utf8_ends_with_the_bytes(void **state)
{
    static const char grin[] = "\xf0\x9f\x98\x80";

    (void)state;
    for (size_t len = 0; len < 4; len++) {
        struct scan s = scan_bytes(grin, len);

        assert_false(scan_utf8(&s));
        assert_ptr_equal(s.at, grin);
    }
}

static void
test_spans_and_case(void **state)
{
    char text[] = "AMiXeZ-09_\xc4";

    (void)state;
    assert_true(span_equal_nocase((struct span){"EnForce", 7}, "enforce"));
    assert_false(span_equal_nocase((struct span){"enforce", 6}, "enforce"));
    assert_false(span_equal_nocase((struct span){"[", 1}, "{"));
    assert_false(span_is((struct span){"Enforce", 7}, "enforce"));
    assert_false(span_is((struct span){"enforce", 7}, "enforce!"));
    assert_true(span_is(span_trim((struct span){" \ta b\t ", 7}), "a b"));
    assert_int_equal(span_trim((struct span){" \t ", 3}).len, 0);
    ascii_lower_bytes(text, strlen(text));
    assert_string_equal(text, "amixez-09_\xc4");
}

static void
test_ascii_tables(void **state)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char digits[] = "0123456789";

    (void)state;
    for (int c = 1; c < 256; c++) {
        bool is_digit = strchr(digits, c) != NULL;

        assert_int_equal(ascii_is_digit((unsigned char)c), is_digit);
        assert_int_equal(ascii_is_alnum((unsigned char)c), is_digit || strchr(letters, c) != NULL);
        assert_int_equal(ascii_is_blank((unsigned char)c), c == ' ' || c == '\t');
    }
    assert_false(ascii_is_digit(0) || ascii_is_alnum(0) || ascii_is_blank(0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_take_only_what_fits),
        cmocka_unit_test(test_nothing_at_all),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_utf8_ends_with_the_bytes),
        cmocka_unit_test(test_spans_and_case),
        cmocka_unit_test(test_ascii_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
