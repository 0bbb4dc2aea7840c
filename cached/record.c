#include "cached/record.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/policy.h"

#define MAGIC "sts1 policy\n"
#define NO_ID "-"
#define NUMBER_MAX 999999999999999999 /* what 18 digits hold */

enum { SUM_BYTES = 32, SUM_DIGITS = 2 * SUM_BYTES, SUM_LINE = 5 + SUM_DIGITS + 1, DIGITS_MAX = 18 };

/* Writes "sum: <hex>\n" for the bytes. */
static void
write_sum_line(const char *bytes, size_t len, char line[SUM_LINE])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    char *to = line + 5;

    if (EVP_Digest(bytes, len, sum, NULL, EVP_sha256(), NULL) != 1) {
        log_error("OpenSSL cannot compute SHA-256");
        abort(); /* as when memory runs out: nothing could be trusted or kept */
    }
    memcpy(line, "sum: ", 5);
    for (int i = 0; i < SUM_BYTES; i++) {
        *to++ = hex[sum[i] >> 4];
        *to++ = hex[sum[i] & 15];
    }
    *to = '\n';
}

void
record_encode(const struct record *r, struct buf *out)
{
    char sum[SUM_LINE];
    size_t start = out->len;

    assert(r->seq <= NUMBER_MAX && r->fetched_s >= 0 && r->refresh_s >= 0 && r->asked_day >= 0);
    buf_printf(out,
               MAGIC "domain: %s\nseq: %" PRIu64 "\nid: %s\nfetched: %" PRId64 "\nrefresh: %" PRId64
                     "\nasked: %" PRId64 "\nbody: %zu\n",
               r->domain, r->seq, r->id[0] ? r->id : NO_ID, r->fetched_s, r->refresh_s,
               r->asked_day, r->body.len);
    buf_add(out, r->body.at, r->body.len);
    buf_add_char(out, '\n');
    if (buf_failed(out))
        return;
    write_sum_line(out->data + start, out->len - start, sum);
    buf_add(out, sum, sizeof sum);
}

/* Takes "key: " and the rest of its line. */
static bool
take_line(struct scan *s, const char *key, struct span *value)
{
    if (!scan_word(s, key) || !scan_word(s, ": "))
        return false;
    *value = scan_until(s, '\n');
    return scan_char(s, '\n');
}

static bool
take_number(struct scan *s, const char *key, uint64_t *out)
{
    struct span value;
    struct scan digits;

    if (!take_line(s, key, &value) || (value.len > 1 && value.at[0] == '0'))
        return false;
    digits = scan_bytes(value.at, value.len);
    return scan_number(&digits, DIGITS_MAX, out) && scan_is_done(&digits);
}

static bool
take_time(struct scan *s, const char *key, int64_t *out)
{
    uint64_t number;

    if (!take_number(s, key, &number))
        return false;
    *out = (int64_t)number;
    return true;
}

static bool
take_domain(struct scan *s, char out[DOMAIN_SIZE])
{
    struct span value;

    if (!take_line(s, "domain", &value) || value.len == 0 || value.len >= DOMAIN_SIZE ||
        memchr(value.at, '\0', value.len) != NULL)
        return false;
    memcpy(out, value.at, value.len);
    out[value.len] = '\0';
    return domain_is_normal(out);
}

static bool
take_id(struct scan *s, char out[TXT_ID_SIZE])
{
    struct span value;

    if (!take_line(s, "id", &value) || value.len == 0 || value.len >= TXT_ID_SIZE)
        return false;
    if (span_is(value, NO_ID))
        value.len = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (!ascii_is_alnum((unsigned char)value.at[i]))
            return false;
    }
    memcpy(out, value.at, value.len);
    out[value.len] = '\0';
    return true;
}

static bool
take_body(struct scan *s, struct span *out)
{
    uint64_t len;

    if (!take_number(s, "body", &len) || len > POLICY_BODY_MAX ||
        (size_t)(s->end - s->at) != len + 1)
        return false;
    *out = (struct span){s->at, (size_t)len};
    s->at += len;
    return scan_char(s, '\n');
}

bool
record_decode(const char *bytes, size_t len, struct record *out)
{
    char sum[SUM_LINE];
    struct scan s;

    if (len < SUM_LINE || len > RECORD_MAX)
        return false;
    len -= SUM_LINE;
    write_sum_line(bytes, len, sum);
    if (memcmp(bytes + len, sum, SUM_LINE) != 0)
        return false;
    *out = (struct record){0};
    s = scan_bytes(bytes, len);
    return scan_word(&s, MAGIC) && take_domain(&s, out->domain) &&
           take_number(&s, "seq", &out->seq) && take_id(&s, out->id) &&
           take_time(&s, "fetched", &out->fetched_s) && take_time(&s, "refresh", &out->refresh_s) &&
           take_time(&s, "asked", &out->asked_day) && take_body(&s, &out->body);
}
