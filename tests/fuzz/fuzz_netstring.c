/* Input: what a peer sends on a query socket, any number of frames. */
#include <string.h>

#include "common/proto.h"
#include "tests/fuzz/fuzz.h"

/* There is one way to write a frame, and one byte less is never enough. */
static void
check_frame(const char *bytes, size_t used, struct span payload)
{
    struct span ignored;
    struct buf again;
    size_t less;

    buf_init(&again, used);
    proto_encode(&again, payload.at, payload.len);
    REQUIRE(again.len == used && memcmp(again.data, bytes, used) == 0);
    buf_done(&again);
    REQUIRE(proto_decode(bytes, used - 1, PROTO_REQUEST_MAX, &ignored, &less) == PROTO_PARTIAL);
}

static void
check_split(struct span payload)
{
    struct span name, key;

    proto_split(payload, &name, &key);
    REQUIRE(name.at == payload.at && key.at + key.len == payload.at + payload.len);
    REQUIRE(memchr(name.at, ' ', name.len) == NULL);
    REQUIRE(name.len == payload.len || name.len + 1 + key.len == payload.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct span payload;
    size_t used;

    while (proto_decode(bytes, size, PROTO_REQUEST_MAX, &payload, &used) == PROTO_FRAME) {
        REQUIRE(used <= size && payload.len <= PROTO_REQUEST_MAX);
        REQUIRE(payload.at > bytes && payload.at + payload.len < bytes + used);
        check_frame(bytes, used, payload);
        check_split(payload);
        bytes += used;
        size -= used;
    }
    return 0;
}
