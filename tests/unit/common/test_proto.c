#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/proto.h"

enum { MAX = 1000 };

static const struct {
    const char *name, *bytes;
    enum proto_frame wanted;
    const char *payload;
    size_t used;
} frames[] = {
    {"one frame", "5:hello,", PROTO_FRAME, "hello", 8},
    {"empty frame", "0:,", PROTO_FRAME, "", 3},
    {"a frame and more behind it", "2:ab,3:cde,", PROTO_FRAME, "ab", 5},
    {"commas and colons inside", "4::,:,,", PROTO_FRAME, ":,:,", 7},
    {"nothing yet", "", PROTO_PARTIAL, NULL, 0},
    {"digits only", "12", PROTO_PARTIAL, NULL, 0},
    {"a lone zero", "0", PROTO_PARTIAL, NULL, 0},
    {"no payload yet", "5:", PROTO_PARTIAL, NULL, 0},
    {"half a payload", "5:hel", PROTO_PARTIAL, NULL, 0},
    {"no comma yet", "5:hello", PROTO_PARTIAL, NULL, 0},
    {"largest length", "1000:", PROTO_PARTIAL, NULL, 0},
    {"wrong end", "5:hello;", PROTO_BAD, NULL, 0},
    {"payload longer than said", "2:abc,", PROTO_BAD, NULL, 0},
    {"length above the limit", "1001:", PROTO_BAD, NULL, 0},
    {"limit passed before the colon", "1001", PROTO_BAD, NULL, 0},
    {"length of many digits", "99999999999999999999999", PROTO_BAD, NULL, 0},
    {"leading zero", "05:hello,", PROTO_BAD, NULL, 0},
    {"two zeros", "00:,", PROTO_BAD, NULL, 0},
    {"no digit", ":hello,", PROTO_BAD, NULL, 0},
    {"no digit, empty", ":,", PROTO_BAD, NULL, 0},
    {"a sign", "+5:hello,", PROTO_BAD, NULL, 0},
    {"a minus", "-1:,", PROTO_BAD, NULL, 0},
    {"a blank", " 5:hello,", PROTO_BAD, NULL, 0},
    {"hexadecimal", "0x5:hello,", PROTO_BAD, NULL, 0},
    {"no colon", "5hello,", PROTO_BAD, NULL, 0},
    {"an HTTP request", "GET / HTTP/1.1\r\n", PROTO_BAD, NULL, 0},
};

static void
test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        struct span payload = {NULL, 0};
        size_t used = 0;
        enum proto_frame got =
            proto_decode(frames[i].bytes, strlen(frames[i].bytes), MAX, &payload, &used);

        if (got != frames[i].wanted)
            fail_msg("%s: got %d", frames[i].name, (int)got);
        if (got != PROTO_FRAME)
            continue;
        if (used != frames[i].used || !span_is(payload, frames[i].payload))
            fail_msg("%s: used %zu, payload \"%.*s\"", frames[i].name, used, (int)payload.len,
                     payload.at);
    }
}

/* Every prefix of a sound frame is PARTIAL: what comes in pieces is never taken for bad. */
static void
test_decode_in_pieces(void **state)
{
    static const char bytes[] = "11:sts a\0b.com,";
    struct span payload;
    size_t used;

    (void)state;
    for (size_t len = 0; len < sizeof bytes - 1; len++)
        assert_int_equal(proto_decode(bytes, len, MAX, &payload, &used), PROTO_PARTIAL);
    assert_int_equal(proto_decode(bytes, sizeof bytes - 1, MAX, &payload, &used), PROTO_FRAME);
    assert_int_equal(payload.len, 11);
    assert_memory_equal(payload.at, "sts a\0b.com", 11);
}

static void
test_encode(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, MAX);
    proto_encode(&out, "OK x", 4);
    proto_encode(&out, "", 0);
    assert_string_equal(buf_string(&out), "4:OK x,0:,");
    buf_done(&out);
}

static const struct {
    const char *payload, *name, *key;
} requests[] = {
    {"sts example.com", "sts", "example.com"},
    {"verdict example.com wait=0", "verdict", "example.com wait=0"},
    {"sts  x", "sts", " x"},
    {"sts ", "sts", ""},
    {"sts", "sts", ""},
    {" x", "", "x"},
    {"", "", ""},
};

static void
test_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct span name, key;
        const char *payload = requests[i].payload;

        proto_split((struct span){payload, strlen(payload)}, &name, &key);
        if (!span_is(name, requests[i].name) || !span_is(key, requests[i].key))
            fail_msg("\"%s\": \"%.*s\" and \"%.*s\"", payload, (int)name.len, name.at, (int)key.len,
                     key.at);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_in_pieces),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
