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

#include "cached/farm_key.h"
#include "cached/record.h"

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"
#define DIGIT8 ONES "\n" ONES "\n" ONES "\n" ONES "\n" ONES "\n" ONES "\n" ONES "\n" ONES "\n"

static char path[] = "/tmp/test_farm_key.XXXXXX";

static void
write_file(const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static struct farm_key *
read_keys(const char *text)
{
    char why[256] = "";
    struct farm_key *key;

    write_file(text, 0640);
    key = farm_key_read(path, why, sizeof why);
    if (key == NULL)
        fail_msg("%s", why);
    return key;
}

static void
test_signs_as_rfc_4231_does(void **state)
{
    /* The key of test case 1, filled up with zeros as HMAC itself does. */
    struct farm_key *key =
        read_keys("# RFC 4231 s4.2\n\n"
                  "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b000000000000000000000000\n");
    char mac[FARM_MAC_DIGITS];

    (void)state;
    farm_key_sign(key, "Hi There", 8, mac);
    assert_memory_equal(mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
                        FARM_MAC_DIGITS);
    farm_key_free(key);
}

static void
test_first_signs_all_are_accepted(void **state)
{
    struct farm_key *both = read_keys(ONES "\n" TWOS "\n"), *one = read_keys(ONES "\n");
    struct farm_key *two = read_keys(TWOS " \r\n");
    char mac[FARM_MAC_DIGITS], other[FARM_MAC_DIGITS];

    (void)state;
    farm_key_sign(both, "x", 1, mac);
    farm_key_sign(one, "x", 1, other);
    assert_memory_equal(mac, other, sizeof mac);
    farm_key_sign(two, "x", 1, other);
    assert_memory_not_equal(mac, other, sizeof mac);
    assert_true(farm_key_verify(both, "x", 1, other));
    assert_true(farm_key_verify(both, "x", 1, mac));
    assert_false(farm_key_verify(one, "x", 1, other));
    assert_false(farm_key_verify(two, "y", 1, other));
    assert_false(farm_key_verify(NULL, "x", 1, mac));
    farm_key_sign(NULL, "x", 1, other);
    assert_false(farm_key_verify(both, "x", 1, other)); /* no key is no way around one */
    farm_key_free(both);
    farm_key_free(one);
    farm_key_free(two);
}

static void
test_record_of_another_farm_is_none(void **state)
{
    struct farm_key *one = read_keys(ONES "\n"), *two = read_keys(TWOS "\n");
    struct farm_key *both = read_keys(TWOS "\n" ONES "\n"); /* one is on its way out */
    struct record r = {.domain = "a.b", .seq = 1, .body = {"X", 1}, .until_s = 1}, got;
    struct buf b;

    (void)state;
    r.error = STS_TIMEOUT;
    for (r.kind = RECORD_POLICY; r.kind <= RECORD_TOMBSTONE; r.kind++) {
        buf_init(&b, RECORD_MAX);
        record_encode(&r, one, &b);
        assert_true(record_decode(b.data, b.len, one, &got));
        assert_true(record_decode(b.data, b.len, both, &got));
        assert_false(record_decode(b.data, b.len, two, &got));
        assert_false(record_decode(b.data, b.len, NULL, &got));
        buf_reset(&b);
        record_encode(&r, both, &b);
        assert_true(record_decode(b.data, b.len, two, &got));
        assert_false(record_decode(b.data, b.len, one, &got));
        buf_reset(&b);
        record_encode(&r, NULL, &b);
        assert_false(record_decode(b.data, b.len, both, &got));
        buf_done(&b);
    }
    farm_key_free(one);
    farm_key_free(two);
    farm_key_free(both);
}

static void
test_faults_are_named(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *why;
    } rows[] = {
        {"", 0600, "no key in it"},
        {"# " ONES "\n", 0600, "no key in it"},
        {ONES, 0604, "others may read"},
        {ONES "1\n", 0600, ":1: a key is 64 hex digits"},
        {"#\n" ONES "\nzz\n", 0600, ":3: a key is 64 hex digits"},
        {" " ONES "\n", 0600, ":1: a key is 64 hex digits"},
        {DIGIT8 TWOS "\n", 0600, ":9: more than 8 keys"},
        {"#" DIGIT8, 0600, NULL},
        {ONES ONES ONES ONES, 0600, ":1: the line is too long"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[256] = "";
        struct farm_key *key;

        write_file(rows[i].text, rows[i].mode);
        key = farm_key_read(path, why, sizeof why);
        if ((key == NULL) != (rows[i].why != NULL) ||
            (rows[i].why != NULL && strstr(why, rows[i].why) == NULL))
            fail_msg("row %zu: %s", i, why);
        farm_key_free(key);
    }
}

static void
test_only_a_file_is_read(void **state)
{
    char why[256] = "";

    (void)state;
    assert_null(farm_key_read("/tmp", why, sizeof why));
    assert_non_null(strstr(why, "/tmp: not a regular file"));
    assert_null(farm_key_read("/nowhere/key", why, sizeof why));
    assert_non_null(strstr(why, "No such file"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signs_as_rfc_4231_does),
        cmocka_unit_test(test_first_signs_all_are_accepted),
        cmocka_unit_test(test_record_of_another_farm_is_none),
        cmocka_unit_test(test_faults_are_named),
        cmocka_unit_test(test_only_a_file_is_read),
    };
    int fd = mkstemp(path), failed;

    if (fd < 0)
        return 1;
    close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
