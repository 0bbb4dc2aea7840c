#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/answer.h"

#define SPAN(s) ((struct span){s, sizeof s - 1})

static const struct span two_mx[] = {SPAN("mx1.example.com"), SPAN("*.example.net")};
static const struct span two_hosts[] = {SPAN("mx1.example.com"), SPAN("b.example.net")};

static const struct answer secure = {
    .verdict = VERDICT_SECURE,
    .domain = "example.com",
    .mode = "enforce",
    .id = "20260801",
    .has_policy = true,
    .max_age_s = 604800,
    .expires_s = 1790000000,
    .mx = {two_mx, 2},
    .hosts = {two_hosts, 2},
    .source = SOURCE_MEMORY,
};
static const char secure_text[] =
    "verdict=secure domain=example.com mode=enforce id=20260801 max_age=604800 expires=1790000000 "
    "mx=mx1.example.com,*.example.net hosts=mx1.example.com,b.example.net source=memory reason=ok";

static const char empty_text[] = "verdict=unknown domain=- mode=- id=- max_age=- expires=- mx=- "
                                 "hosts=- source=- reason=not-a-domain";

static char *
format(const struct answer *a)
{
    struct buf out;

    buf_init(&out, 2 * ANSWER_MAX);
    answer_format(a, &out);
    assert_false(buf_failed(&out));
    return out.data;
}

static void
test_format_golden(void **state)
{
    static const struct answer empty = {
        .verdict = VERDICT_UNKNOWN, .domain = "", .reason = STS_NOT_A_DOMAIN};
    static const struct span odd[] = {SPAN("a,b"), SPAN("c=d\x7f")};
    const struct answer strange = {.verdict = VERDICT_NONE,
                                   .domain = "a b%\n\xc3\xa9~!",
                                   .has_policy = true,
                                   .mx = {odd, 2},
                                   .source = SOURCE_FETCH,
                                   .reason = STS_TLS_NAME};
    char *text;

    (void)state;
    text = format(&secure);
    assert_string_equal(text, secure_text);
    free(text);
    text = format(&empty);
    assert_string_equal(text, empty_text);
    free(text);
    text = format(&strange);
    assert_string_equal(text, "verdict=none domain=a%20b%25%0A%C3%A9~! mode=- id=- max_age=0 "
                              "expires=0 mx=a%2Cb,c%3Dd%7F hosts=- source=fetch reason=tls-name");
    free(text);
}

static void
test_parse_golden(void **state)
{
    struct answer_view view;

    (void)state;
    assert_true(answer_parse(secure_text, strlen(secure_text), &view));
    assert_int_equal(view.verdict, VERDICT_SECURE);
    assert_string_equal(view.domain, "example.com");
    assert_string_equal(view.mode, "enforce");
    assert_string_equal(view.id, "20260801");
    assert_int_equal(view.max_age_s, 604800);
    assert_int_equal(view.expires_s, 1790000000);
    assert_string_equal(view.mx, "mx1.example.com,*.example.net");
    assert_string_equal(view.hosts, "mx1.example.com,b.example.net");
    assert_string_equal(view.source, "memory");
    assert_int_equal(view.reason, STS_OK);
    answer_view_done(&view);

    assert_true(answer_parse(empty_text, strlen(empty_text), &view));
    assert_int_equal(view.verdict, VERDICT_UNKNOWN);
    assert_string_equal(view.domain, "");
    assert_string_equal(view.mode, "");
    assert_string_equal(view.mx, "");
    assert_string_equal(view.hosts, "");
    assert_string_equal(view.source, "");
    assert_int_equal(view.max_age_s, 0);
    assert_int_equal(view.reason, STS_NOT_A_DOMAIN);
    answer_view_done(&view);
}

/* Every verdict, source and reason is written as a word that parse knows. */
static void
test_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < STS_ERROR_COUNT; i++) {
        struct answer a = secure;
        struct answer_view view;
        char *text;

        a.verdict = (enum verdict)(i % (VERDICT_UNKNOWN + 1));
        a.source = (enum answer_source)(i % (SOURCE_FETCH + 1));
        a.reason = (enum sts_error)i;
        a.domain = "odd=,% \t name";
        text = format(&a);
        assert_true(answer_parse(text, strlen(text), &view));
        assert_int_equal(view.verdict, a.verdict);
        assert_int_equal(view.reason, a.reason);
        assert_string_equal(view.domain, a.domain);
        if (a.source == SOURCE_NONE)
            assert_string_equal(view.source, "");
        else
            assert_string_equal(view.source, answer_source_name(a.source));
        answer_view_done(&view);
        free(text);
    }
}

/* Builds a reply from the golden one by writing `to` in place of `from`. */
static void
replace(const char *from, const char *to, char *out, size_t size)
{
    const char *at = strstr(secure_text, from);

    assert_non_null(at);
    snprintf(out, size, "%.*s%s%s", (int)(at - secure_text), secure_text, to, at + strlen(from));
}

static const struct {
    const char *name, *from, *to;
    bool wanted;
} changes[] = {
    {"nothing changed", "ok", "ok", true},
    {"encoded byte", "example.com mode", "%65xample.com mode", true},
    {"lower-case hex", "example.com mode", "a%2fb mode", true},
    {"encoded comma in a list", "*.example.net", "a%2Cb", true},
    {"largest id", "20260801", "12345678901234567890123456789012", true},
    {"id too long", "20260801", "123456789012345678901234567890123", false},
    {"unknown verdict", "verdict=secure", "verdict=fine", false},
    {"verdict in capitals", "verdict=secure", "verdict=SECURE", false},
    {"no verdict", "verdict=secure", "verdict=-", false},
    {"unknown mode", "enforce", "enforced", false},
    {"unknown source", "memory", "disk", false},
    {"unknown reason", "reason=ok", "reason=fine", false},
    {"empty reason", "reason=ok", "reason=-", false},
    {"empty value", "id=20260801", "id=", false},
    {"key missing", " id=20260801", "", false},
    {"key twice", "id=20260801", "id=1 id=1", false},
    {"keys in another order", "mode=enforce id=20260801", "id=20260801 mode=enforce", false},
    {"two blanks", " mode", "  mode", false},
    {"blank at the end", "reason=ok", "reason=ok ", false},
    {"blank at the start", "verdict", " verdict", false},
    {"key more", "reason=ok", "reason=ok more=1", false},
    {"line end", "reason=ok", "reason=ok\n", false},
    {"raw = in a value", "example.com mode", "a=b mode", false},
    {"raw comma in a value", "example.com mode", "a,b mode", false},
    {"raw 8-bit byte", "example.com mode", "\xe9 mode", false},
    {"half an escape", "example.com mode", "a%2 mode", false},
    {"lone %", "example.com mode", "a% mode", false},
    {"bad escape", "example.com mode", "a%2Gb mode", false},
    {"escaped NUL", "example.com mode", "a%00b mode", false},
    {"max_age with a sign", "=604800", "=-604800", false},
    {"max_age of 11 digits", "=604800", "=12345678901", false},
    {"max_age no number", "=604800", "=week", false},
    {"expires of 19 digits", "=1790000000", "=1234567890123456789", false},
    {"expires with a fraction", "=1790000000", "=1.5", false},
    {"comma at the end of a list", "b.example.net", "b.example.net,", false},
    {"comma at the start of a list", "mx=mx1", "mx=,mx1", false},
    {"two commas", "com,*", "com,,*", false},
    {"lone comma", "mx=mx1.example.com,*.example.net", "mx=,", false},
};

static void
test_parse_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct answer_view view;
        char text[600];
        bool got;

        replace(changes[i].from, changes[i].to, text, sizeof text);
        got = answer_parse(text, strlen(text), &view);
        if (got)
            answer_view_done(&view);
        if (got != changes[i].wanted)
            fail_msg("%s: %s", changes[i].name, text);
    }
}

static void
test_parse_refuses_every_cut(void **state)
{
    struct answer_view view;

    (void)state;
    /* "reason=ok" cut by its last byte is the first that could pass. */
    for (size_t len = 0; len < strlen(secure_text); len++)
        assert_false(answer_parse(secure_text, len, &view));
}

static void
test_domain_limit(void **state)
{
    char name[255], *text;
    struct answer a = secure;
    struct answer_view view;

    (void)state;
    memset(name, 'a', sizeof name);
    name[253] = '\0';
    a.domain = name;
    text = format(&a);
    assert_true(answer_parse(text, strlen(text), &view));
    assert_string_equal(view.domain, name);
    answer_view_done(&view);
    free(text);
    name[253] = 'a';
    name[254] = '\0';
    text = format(&a);
    assert_false(answer_parse(text, strlen(text), &view));
    free(text);
}

static size_t
count_items(const char *list)
{
    size_t count = list[0] != '\0';

    for (; *list; list++)
        count += *list == ',';
    return count;
}

enum { MANY = 4000, ITEM = 30 };

/* An answer whose lists have `mx` and `hosts` items of ITEM bytes; what is left of them. */
static void
cut(size_t mx, size_t hosts, size_t *mx_left, size_t *hosts_left, size_t *len)
{
    static const char item[ITEM + 1] = "mail-0000000000000.example.net";
    struct span *items = calloc(MANY, sizeof *items);
    struct answer a = secure;
    struct answer_view view;
    char *text;

    assert_non_null(items);
    for (size_t i = 0; i < MANY; i++)
        items[i] = (struct span){item, ITEM};
    a.mx = (struct answer_list){items, mx};
    a.hosts = (struct answer_list){items, hosts};
    text = format(&a);
    *len = strlen(text) + strlen("OK ");
    assert_true(answer_parse(text, strlen(text), &view));
    *mx_left = count_items(view.mx);
    *hosts_left = count_items(view.hosts);
    answer_view_done(&view);
    free(text);
    free(items);
}

static void
test_long_lists_are_cut(void **state)
{
    size_t mx, hosts, len;

    (void)state;
    cut(1000, 1000, &mx, &hosts, &len);
    assert_int_equal(mx, 1000);
    assert_int_equal(hosts, 1000);
    cut(MANY, 1000, &mx, &hosts, &len);
    assert_int_equal(hosts, 1000);
    assert_in_range(mx, 1, MANY - 1);
    assert_in_range(len, ANSWER_MAX - ITEM, ANSWER_MAX);
    cut(MANY, MANY, &mx, &hosts, &len);
    assert_int_equal(mx, 0);
    assert_in_range(hosts, 3000, MANY - 1);
    assert_in_range(len, ANSWER_MAX - ITEM, ANSWER_MAX);
}

/* The longest list that fits is kept whole, and one byte more costs an item. */
static void
check_cut_to_the_byte(struct answer *a, struct answer_list *cut_list, const char *kept)
{
    static const size_t around = 3;
    char *big = calloc(1, ANSWER_MAX + 100);
    struct span items[2] = {{"a", 1}, {big, 0}};
    char *text;
    size_t fixed;

    assert_non_null(big);
    memset(big, 'x', ANSWER_MAX + 50);
    *cut_list = (struct answer_list){items, 2};
    text = format(a);
    fixed = strlen("OK ") + strlen(text);
    free(text);
    for (size_t len = ANSWER_MAX - fixed - around; len <= ANSWER_MAX - fixed + around; len++) {
        items[1].len = len;
        text = format(a);
        assert_int_equal(strstr(text, kept) != NULL, fixed + len <= ANSWER_MAX);
        assert_true(strlen("OK ") + strlen(text) <= ANSWER_MAX);
        free(text);
    }
    free(big);
}
static void
test_cut_to_the_byte(void **state)
{
    struct answer a = secure;

    (void)state;
    check_cut_to_the_byte(&a, &a.mx, "mx=a,xxx");
    a.mx.count = 0;
    check_cut_to_the_byte(&a, &a.hosts, "hosts=a,xxx");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_golden),
        cmocka_unit_test(test_parse_golden),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_parse_refuses_every_cut),
        cmocka_unit_test(test_domain_limit),
        cmocka_unit_test(test_long_lists_are_cut),
        cmocka_unit_test(test_cut_to_the_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
