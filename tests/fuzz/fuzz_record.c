/* fuzz_record - what decodes is encoded to the same bytes again, with the input's own sum and,
 * since no fuzzer guesses a digest, with a right one put behind it. Signed with a farm's key, it
 * decodes with that key and no other, and no more once a bit of it is changed. */
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cached/record.h"
#include "tests/fuzz/fuzz.h"

enum { CHANGES_MAX = 600 };

static struct farm_key *
new_key(char digit)
{
    struct farm_key *key;
    char path[40], why[200], line[2 * FARM_KEY_BYTES + 1];
    int fd = memfd_create("key", MFD_CLOEXEC);

    memset(line, digit, sizeof line - 1);
    line[sizeof line - 1] = '\n';
    REQUIRE(fd >= 0 && fchmod(fd, 0600) == 0);
    REQUIRE(write(fd, line, sizeof line) == (ssize_t)sizeof line);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    key = farm_key_read(path, why, sizeof why);
    REQUIRE(key != NULL);
    close(fd);
    return key;
}

/* Every byte of a short record, some of a long one; and one byte less or more. */
static void
check_altered(struct buf *record, const struct farm_key *key)
{
    struct record out;
    size_t step = 1 + record->len / CHANGES_MAX;

    for (size_t i = 0; i < record->len; i += i + step + 200 < record->len ? step : 1) {
        record->data[i] ^= (char)(1 << i % 8);
        REQUIRE(!record_decode(record->data, record->len, key, &out));
        record->data[i] ^= (char)(1 << i % 8);
    }
    REQUIRE(!record_decode(record->data, record->len - 1, key, &out));
    buf_add_char(record, '\n');
    REQUIRE(!record_decode(record->data, record->len, key, &out));
}

static void
check_signed(const struct record *record)
{
    static struct farm_key *own, *other;
    struct record out;
    struct buf bytes;

    if (own == NULL) {
        own = new_key('a');
        other = new_key('b');
    }
    buf_init(&bytes, RECORD_MAX);
    record_encode(record, own, &bytes);
    REQUIRE(!buf_failed(&bytes) && record_decode(bytes.data, bytes.len, own, &out));
    REQUIRE(out.kind == record->kind && out.seq == record->seq);
    REQUIRE(!record_decode(bytes.data, bytes.len, other, &out));
    REQUIRE(!record_decode(bytes.data, bytes.len, NULL, &out));
    check_altered(&bytes, own);
    buf_done(&bytes);
}

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
    check_signed(&record);
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
