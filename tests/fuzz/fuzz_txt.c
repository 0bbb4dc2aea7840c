/* Input: TXT records, one a line. */
#include <string.h>

#include "common/txt.h"
#include "tests/fuzz/fuzz.h"

enum { RECORDS_MAX = 16 };

/* A record that says nothing but the id that was found must be read the same. */
static void
check_round_trip(const char *id)
{
    char record[64], again[TXT_ID_SIZE];
    int len = snprintf(record, sizeof record, "v=STSv1; id=%s;", id);
    struct span span = {record, (size_t)len};

    REQUIRE(txt_parse(&span, 1, again) == STS_OK);
    REQUIRE(strcmp(id, again) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scan s = scan_bytes((const char *)data, size);
    struct span records[RECORDS_MAX];
    char id[TXT_ID_SIZE];
    size_t count = 0;
    enum sts_error error;

    while (count < RECORDS_MAX && !scan_is_done(&s)) {
        records[count++] = scan_until(&s, '\n');
        scan_char(&s, '\n');
    }
    memset(id, 'x', sizeof id);
    error = txt_parse(records, count, id);
    REQUIRE(memchr(id, '\0', sizeof id) != NULL);
    if (error == STS_OK)
        check_round_trip(id);
    else
        REQUIRE(id[0] == '\0' && (error == STS_NO_RECORD || error == STS_SEVERAL_RECORDS ||
                                  error == STS_BAD_RECORD));
    return 0;
}
