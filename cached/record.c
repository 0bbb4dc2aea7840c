#include "cached/record.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/policy.h"

#define MAGIC "sts1 "
#define NOTHING "-"
#define NUMBER_MAX 999999999999999999 /* what 18 digits hold */

enum { MAC_LINE = 5 + FARM_MAC_DIGITS + 1, DIGITS_MAX = 18, STATUS_DIGITS_MAX = 3 };

static const char *const kinds[] = {"policy", "failure", "tombstone", "probe"};

/* --- writing ---------------------------------------------------------------------------------- */

static void
write_old_ids(const struct record *r, struct buf *out)
{
    buf_add_string(out, "old-ids: ");
    if (r->old_ids[0].id[0] == '\0')
        buf_add_string(out, NOTHING);
    for (size_t i = 0; i < RECORD_OLD_IDS && r->old_ids[i].id[0] != '\0'; i++)
        buf_printf(out, "%s%s=%" PRId64, i > 0 ? " " : "", r->old_ids[i].id,
                   r->old_ids[i].superseded_s);
    buf_add_char(out, '\n');
}

static void
write_policy(const struct record *r, struct buf *out)
{
    assert(r->refresh_s >= 0 && r->asked_day >= 0);
    buf_printf(out, "refresh: %" PRId64 "\nasked: %" PRId64 "\nbody: %zu\n", r->refresh_s,
               r->asked_day, r->body.len);
    buf_add(out, r->body.at, r->body.len);
    buf_add_char(out, '\n');
}

static void
write_error(const struct record *r, struct buf *out)
{
    assert((r->error != STS_OK || r->kind == RECORD_PROBE) && r->http_status >= 0 &&
           r->http_status < 1000);
    buf_printf(out, "error: %s %d ", sts_error_name(r->error), r->http_status);
    for (const char *at = r->detail; *at != '\0'; at++)
        buf_add_char(out, *at >= ' ' && *at <= '~' ? *at : '?');
    buf_add_char(out, '\n');
}

void
record_encode(const struct record *r, const struct farm_key *key, struct buf *out)
{
    char mac[FARM_MAC_DIGITS];
    size_t start = out->len;

    assert(r->seq <= NUMBER_MAX && r->fetched_s >= 0);
    buf_printf(out, MAGIC "%s\ndomain: %s\nseq: %" PRIu64 "\nid: %s\n", kinds[r->kind], r->domain,
               r->seq, r->id[0] ? r->id : NOTHING);
    write_old_ids(r, out);
    buf_printf(out, "fetched: %" PRId64 "\n", r->fetched_s);
    switch (r->kind) {
    case RECORD_POLICY:
        write_policy(r, out);
        break;
    case RECORD_FAILURE:
        write_error(r, out);
        break;
    case RECORD_PROBE:
        write_error(r, out);
        buf_printf(out, "until: %" PRId64 "\n", r->until_s);
        break;
    case RECORD_TOMBSTONE:
        buf_printf(out, "until: %" PRId64 "\n", r->until_s);
        break;
    }
    if (buf_failed(out))
        return;
    farm_key_sign(key, out->data + start, out->len - start, mac);
    buf_add_string(out, "mac: ");
    buf_add(out, mac, sizeof mac);
    buf_add_char(out, '\n');
}

/* --- reading ---------------------------------------------------------------------------------- */

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
read_number(struct span value, int digits_max, uint64_t *out)
{
    struct scan digits = scan_bytes(value.at, value.len);

    if (value.len > 1 && value.at[0] == '0')
        return false;
    return scan_number(&digits, digits_max, out) && scan_is_done(&digits);
}

static bool
take_number(struct scan *s, const char *key, uint64_t *out)
{
    struct span value;

    return take_line(s, key, &value) && read_number(value, DIGITS_MAX, out);
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
take_kind(struct scan *s, enum record_kind *out)
{
    struct span value;

    if (!scan_word(s, MAGIC))
        return false;
    value = scan_until(s, '\n');
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (span_is(value, kinds[i])) {
            *out = (enum record_kind)i;
            return scan_char(s, '\n');
        }
    }
    return false;
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

/* An id as it stands in a TXT record, never empty. */
static bool
read_id(struct span value, char out[TXT_ID_SIZE])
{
    if (value.len == 0 || value.len >= TXT_ID_SIZE)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (!ascii_is_alnum((unsigned char)value.at[i]))
            return false;
    }
    memcpy(out, value.at, value.len);
    out[value.len] = '\0';
    return true;
}

static bool
take_id(struct scan *s, char out[TXT_ID_SIZE])
{
    struct span value;

    if (!take_line(s, "id", &value))
        return false;
    out[0] = '\0';
    return span_is(value, NOTHING) || read_id(value, out);
}

/* "id=time" */
static bool
read_old_id(struct span word, struct record_old_id *out)
{
    struct scan s = scan_bytes(word.at, word.len);
    struct span id = scan_until(&s, '=');
    uint64_t time;

    if (!scan_char(&s, '=') ||
        !read_number((struct span){s.at, (size_t)(s.end - s.at)}, DIGITS_MAX, &time))
        return false;
    out->superseded_s = (int64_t)time;
    return read_id(id, out->id);
}

static bool
take_old_ids(struct scan *s, struct record_old_id out[RECORD_OLD_IDS])
{
    struct span value;
    struct scan words;

    if (!take_line(s, "old-ids", &value))
        return false;
    if (span_is(value, NOTHING))
        return true;
    words = scan_bytes(value.at, value.len);
    for (size_t i = 0; i < RECORD_OLD_IDS; i++) {
        if (!read_old_id(scan_until(&words, ' '), &out[i]))
            return false;
        if (scan_is_done(&words))
            return true;
        if (!scan_char(&words, ' '))
            return false;
    }
    return false;
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

/* "reason status detail" */
static bool
take_error(struct scan *s, struct record *out)
{
    struct span value, name, status, detail;
    struct scan words;
    uint64_t number;

    if (!take_line(s, "error", &value))
        return false;
    words = scan_bytes(value.at, value.len);
    name = scan_until(&words, ' ');
    if (!scan_char(&words, ' '))
        return false;
    status = scan_until(&words, ' ');
    if (!scan_char(&words, ' ') || !sts_error_from_name(name.at, name.len, &out->error) ||
        (out->error == STS_OK && out->kind != RECORD_PROBE) ||
        !read_number(status, STATUS_DIGITS_MAX, &number))
        return false;
    out->http_status = (int)number;
    detail = (struct span){words.at, (size_t)(words.end - words.at)};
    if (detail.len >= sizeof out->detail)
        return false;
    for (size_t i = 0; i < detail.len; i++) {
        if (detail.at[i] < ' ' || detail.at[i] > '~')
            return false;
    }
    memcpy(out->detail, detail.at, detail.len);
    return true;
}

static bool
take_rest(struct scan *s, struct record *out)
{
    switch (out->kind) {
    case RECORD_POLICY:
        return take_time(s, "refresh", &out->refresh_s) && take_time(s, "asked", &out->asked_day) &&
               take_body(s, &out->body);
    case RECORD_FAILURE:
        return take_error(s, out);
    case RECORD_PROBE:
        return take_error(s, out) && take_time(s, "until", &out->until_s);
    case RECORD_TOMBSTONE:
        break;
    }
    return take_time(s, "until", &out->until_s);
}

/* Takes the last line away. */
static bool
is_signed(const char *bytes, size_t *len, const struct farm_key *key)
{
    const char *line;

    if (*len < MAC_LINE || *len > RECORD_MAX)
        return false;
    *len -= MAC_LINE;
    line = bytes + *len;
    return memcmp(line, "mac: ", 5) == 0 && line[MAC_LINE - 1] == '\n' &&
           farm_key_verify(key, bytes, *len, line + 5);
}

bool
record_decode(const char *bytes, size_t len, const struct farm_key *key, struct record *out)
{
    struct scan s;

    *out = (struct record){0};
    if (!is_signed(bytes, &len, key))
        return false;
    s = scan_bytes(bytes, len);
    return take_kind(&s, &out->kind) && take_domain(&s, out->domain) &&
           take_number(&s, "seq", &out->seq) && take_id(&s, out->id) &&
           take_old_ids(&s, out->old_ids) && take_time(&s, "fetched", &out->fetched_s) &&
           take_rest(&s, out) && scan_is_done(&s);
}
