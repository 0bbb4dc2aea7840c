/* fuzz_record - what decodes is encoded to the same bytes again, with the input's own sum and,
 * since no fuzzer guesses a digest, with a right one put behind it. */
#include <openssl/evp.h>
#include <string.h>

#include "cached/record.h"
#include "tests/fuzz/fuzz.h"

static void
check(const char *bytes, size_t len)
{
    struct record record;
    struct buf again;

    if (!record_decode(bytes, len, NULL, &record))
        return;
    buf_init(&again, RECORD_MAX);
    record_encode(&record, NULL, &again);
    REQUIRE(again.len == len && memcmp(again.data, bytes, len) == 0);
    buf_done(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    struct buf summed;

    check((const char *)data, size);
    REQUIRE(EVP_Digest(data, size, sum, NULL, EVP_sha256(), NULL) == 1);
    buf_init(&summed, size + 100);
    buf_add(&summed, data, size);
    buf_add_string(&summed, "mac: ");
    for (int i = 0; i < 32; i++)
        buf_printf(&summed, "%02x", sum[i]);
    buf_add_char(&summed, '\n');
    check(summed.data, summed.len);
    buf_done(&summed);
    return 0;
}
