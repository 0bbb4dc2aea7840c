#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cached/resp.h"

/* What comes of bytes: READY when one whole reply is there. */
static enum resp_status
outcome(const char *bytes, size_t len, size_t step)
{
    struct resp_reader *reader = resp_reader_new();
    enum resp_status status = RESP_AGAIN;
    const struct resp *reply;

    for (size_t at = 0; at < len && status == RESP_AGAIN; at += step) {
        if (!resp_feed(reader, bytes + at, len - at < step ? len - at : step))
            status = RESP_BROKEN;
        else
            status = resp_next(reader, &reply);
    }
    resp_reader_free(reader);
    return status;
}

static void
test_what_is_a_reply(void **state)
{
    static const struct {
        const char *bytes;
        enum resp_status want;
    } rows[] = {
        {"+OK\r\n", RESP_READY},
        {"-ERR no\r\n", RESP_READY},
        {":-12\r\n", RESP_READY},
        {"$-1\r\n", RESP_READY},
        {"$0\r\n\r\n", RESP_READY},
        {"$3\r\na\r\n\r\n", RESP_READY},
        {"*-1\r\n", RESP_READY},
        {"*0\r\n", RESP_READY},
        {"*2\r\n*1\r\n$1\r\nx\r\n:1\r\n", RESP_READY},
        {"*2\r\n:1\r\n", RESP_AGAIN},
        {"$5\r\nabc", RESP_AGAIN},
        {"+OK", RESP_AGAIN},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", RESP_READY},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", RESP_BROKEN},
        {"*2000000000\r\n", RESP_BROKEN},
        {"*4096\r\n", RESP_AGAIN},
        {"*4097\r\n", RESP_BROKEN},
        {"*-2\r\n", RESP_BROKEN},
        {"*99999999999999999999999999\r\n", RESP_BROKEN},
        {"*1a\r\n", RESP_BROKEN},
        {"*\r\n", RESP_BROKEN},
        {"$131072\r\n", RESP_AGAIN},
        {"$131073\r\n", RESP_BROKEN},
        {"$-2\r\n", RESP_BROKEN},
        {"$1\n", RESP_BROKEN},
        {"$1\r\nxyz\r\n", RESP_BROKEN},
        {"%1\r\n+a\r\n+b\r\n", RESP_BROKEN},
        {"_\r\n", RESP_BROKEN},
        {">1\r\n:1\r\n", RESP_BROKEN},
        {"HTTP/1.1 400 Bad Request\r\n", RESP_BROKEN},
        {"\r\n", RESP_BROKEN},
        {":1a\r\n", RESP_BROKEN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i].bytes);

        if (outcome(rows[i].bytes, len, len) != rows[i].want ||
            outcome(rows[i].bytes, len, 1) != rows[i].want)
            fail_msg("row %zu: %s", i, rows[i].bytes);
    }
}

static void
test_whole_reply_is_bounded(void **state)
{
    static char bulk[RESP_BULK_MAX + 2];
    struct resp_reader *reader = resp_reader_new();
    size_t sent = 0;

    (void)state;
    memset(bulk, 'x', RESP_BULK_MAX);
    memcpy(bulk + RESP_BULK_MAX, "\r\n", 2);
    assert_true(resp_feed(reader, "*4096\r\n", 7));
    while (sent < 200 && resp_feed(reader, "$131072\r\n", 9) &&
           resp_feed(reader, bulk, sizeof bulk))
        sent++;
    assert_in_range(sent, 126, 128);
    resp_reader_free(reader);
}

/* 4 bytes each on the wire, 100 in memory. */
static void
test_items_of_a_reply_are_bounded(void **state)
{
    struct resp_reader *reader = resp_reader_new();
    char hundred[6 + 100 * 4 + 1] = "*100\r\n";
    size_t arrays = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        strcat(hundred, ":1\r\n");
    assert_true(resp_feed(reader, "*4096\r\n", 7));
    while (arrays < 4095 && resp_feed(reader, hundred, sizeof hundred - 1))
        arrays++;
    assert_int_equal(arrays, (RESP_ITEMS_ALL_MAX - 1) / 101);
    resp_reader_free(reader);
}

static void
test_values(void **state)
{
    static const char bytes[] = "*4\r\n$3\r\na\0b\r\n:7\r\n-READONLY You can't\r\n$-1\r\n+OK\r\n";
    struct resp_reader *reader = resp_reader_new();
    const struct resp *r;

    (void)state;
    assert_true(resp_feed(reader, bytes, sizeof bytes - 1));
    assert_int_equal(resp_next(reader, &r), RESP_READY);
    assert_int_equal(resp_count(r), 4);
    assert_int_equal(resp_bytes(resp_item(r, 0)).len, 3);
    assert_memory_equal(resp_bytes(resp_item(r, 0)).at, "a\0b", 3);
    assert_int_equal(resp_integer(resp_item(r, 1)), 7);
    assert_true(resp_is_error(resp_item(r, 2), "READONLY"));
    assert_false(resp_is_error(resp_item(r, 2), "READ"));
    assert_int_equal(resp_type(resp_item(r, 3)), RESP_NIL);
    assert_null(resp_item(r, 4));
    assert_int_equal(resp_type(NULL), RESP_NIL);
    assert_int_equal(resp_bytes(NULL).len, 0);
    assert_int_equal(resp_next(reader, &r), RESP_READY);
    assert_int_equal(resp_type(r), RESP_STATUS);
    assert_int_equal(resp_next(reader, &r), RESP_AGAIN);
    resp_reader_free(reader);
}

static void
test_command_is_written_byte_for_byte(void **state)
{
    const struct span arguments[] = {{"SET", 3}, {"k\r\n", 3}, {NULL, 0}};
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    resp_write(&b, arguments, 3);
    assert_string_equal(buf_string(&b), "*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n");
    buf_done(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_a_reply),
        cmocka_unit_test(test_whole_reply_is_bounded),
        cmocka_unit_test(test_items_of_a_reply_are_bounded),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_command_is_written_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
