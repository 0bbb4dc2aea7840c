/* HTTP reply heads and bodies, as curl cuts them: what is taken keeps every rule. */
#include <string.h>

#include "cached/fetch_reply.h"
#include "common/policy.h"
#include "tests/fuzz/fuzz.h"

/* The head line by line; returns how much of it was taken. */
static size_t
take_head(struct fetch_reply *reply, const char *bytes, size_t len)
{
    size_t at = 0, line;
    const char *end;

    while (at < len && !reply->head_done) {
        end = memchr(bytes + at, '\n', len - at);
        line = end != NULL ? (size_t)(end + 1 - (bytes + at)) : len - at;
        if (!fetch_reply_take_line(reply, bytes + at, line))
            break;
        at += line;
    }
    return at;
}

static void
check(const struct fetch_reply *reply)
{
    REQUIRE(reply->body.len <= POLICY_BODY_MAX);
    REQUIRE(memchr(reply->detail, '\0', sizeof(reply->detail)) != NULL);
    REQUIRE((reply->error == STS_OK) == (reply->detail[0] == '\0'));
    if (reply->error != STS_OK || !reply->head_done)
        return;
    REQUIRE(reply->status == 200 && reply->has_type && reply->type_is_plain);
    REQUIRE(!reply->is_encoded && reply->head_bytes <= FETCH_HEAD_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct fetch_reply reply;
    size_t head, step;

    fetch_reply_init(&reply);
    head = take_head(&reply, bytes, size);
    check(&reply);
    for (size_t at = head; reply.error == STS_OK && reply.head_done && at < size; at += step) {
        step = size - at < 1000 ? size - at : 1000;
        if (!fetch_reply_take_body(&reply, bytes + at, step))
            break;
    }
    check(&reply);
    fetch_reply_done(&reply);
    return 0;
}
