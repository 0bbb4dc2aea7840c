/* Input: what a Redis sends, any number of replies. However it is cut, the same comes of it; and
 * it costs no memory that was not sent for. */
#include <malloc.h>
#include <string.h>

#include "cached/resp.h"
#include "tests/fuzz/fuzz.h"

enum { MEMORY_BASE = 256 * 1024, MEMORY_PER_BYTE = 64 };

/* With sanitizers mallinfo2 knows nothing, and they do. */
__attribute__((weak)) size_t __sanitizer_get_current_allocated_bytes(void);

static size_t
allocated(void)
{
    struct mallinfo2 info;

    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* Touches every byte that a reply has, and adds them up. */
static uint64_t
sum_of(const struct resp *r, size_t depth)
{
    struct span bytes = resp_bytes(r);
    uint64_t sum = (uint64_t)resp_type(r) + (uint64_t)resp_integer(r);

    REQUIRE(depth <= RESP_DEPTH_MAX && bytes.len <= RESP_REPLY_MAX);
    for (size_t i = 0; i < bytes.len; i++)
        sum = sum * 31 + (unsigned char)bytes.at[i];
    for (size_t i = 0; i < resp_count(r); i++)
        sum = sum * 37 + sum_of(resp_item(r, i), depth + 1);
    return sum;
}

static uint64_t
read_all(const char *bytes, size_t len, size_t step)
{
    size_t before = allocated();
    struct resp_reader *reader = resp_reader_new();
    enum resp_status status = RESP_AGAIN;
    const struct resp *reply;
    uint64_t sum = 0;
    bool good = true;

    for (size_t at = 0; good && at < len; at += step) {
        good = resp_feed(reader, bytes + at, len - at < step ? len - at : step);
        while (good && (status = resp_next(reader, &reply)) == RESP_READY)
            sum = sum * 41 + sum_of(reply, 0);
        REQUIRE(allocated() <= before + MEMORY_BASE + MEMORY_PER_BYTE * len);
        good = good && status != RESP_BROKEN;
    }
    resp_reader_free(reader);
    return good ? sum : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;

    REQUIRE(size > 4096 || read_all(bytes, size, size > 0 ? size : 1) == read_all(bytes, size, 7));
    (void)read_all(bytes, size, 4096);
    return 0;
}
