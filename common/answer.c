#include "common/answer.h"

#include <stdlib.h>
#include <string.h>

static const char *const verdict_names[] = {
    [VERDICT_NONE] = "none",       [VERDICT_TESTING] = "testing", [VERDICT_SECURE] = "secure",
    [VERDICT_DANE] = "dane",       [VERDICT_REFUSE] = "refuse",   [VERDICT_PENDING] = "pending",
    [VERDICT_UNKNOWN] = "unknown",
};
static const char *const source_names[] = {
    [SOURCE_NONE] = "-",    [SOURCE_MEMORY] = "memory", [SOURCE_REDIS] = "redis",
    [SOURCE_LMDB] = "lmdb", [SOURCE_FETCH] = "fetch",
};
static const char *const mode_names[] = {"-", "enforce", "testing", "none"};

enum { MAX_AGE_DIGITS = 10, EXPIRES_DIGITS = 18 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *
verdict_name(enum verdict verdict)
{
    return verdict_names[verdict];
}

const char *
answer_source_name(enum answer_source source)
{
    return source_names[source];
}

/* --- writing ------------------------------------------------------------------ */

static bool
is_plain(unsigned char c)
{
    return c >= 0x21 && c <= 0x7e && c != '%' && c != '=' && c != ',';
}

static void
add_encoded(struct buf *out, const char *bytes, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (is_plain(c)) {
            buf_add_char(out, bytes[i]);
        } else {
            const char code[] = {'%', hex[c >> 4], hex[c & 15]};
            buf_add(out, code, sizeof code);
        }
    }
}

static void
add_value(struct buf *out, const char *value)
{
    if (value == NULL || value[0] == '\0')
        buf_add_char(out, '-');
    else
        add_encoded(out, value, strlen(value));
}

static void
add_list(struct buf *out, const struct span *items, size_t count)
{
    if (count == 0)
        buf_add_char(out, '-');
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        add_encoded(out, items[i].at, items[i].len);
    }
}

static size_t
encoded_length(struct span value)
{
    size_t len = value.len;

    for (size_t i = 0; i < value.len; i++) {
        if (!is_plain((unsigned char)value.at[i]))
            len += 2;
    }
    return len;
}

/* How many items, from the first on, can be written in `room` bytes, and how many these take. */
static size_t
count_fitting(const struct answer_list *list, size_t room, size_t *length)
{
    size_t count = 0;

    for (*length = 0; count < list->count; count++) {
        size_t len = encoded_length(list->items[count]) + (count > 0);
        if (*length + len > room)
            break;
        *length += len;
    }
    if (count == 0)
        *length = 1; /* "-" */
    return count;
}

static void
add_head(struct buf *out, const struct answer *a)
{
    buf_printf(out, "verdict=%s domain=", verdict_name(a->verdict));
    add_value(out, a->domain);
    buf_add_string(out, " mode=");
    add_value(out, a->mode);
    buf_add_string(out, " id=");
    add_value(out, a->id);
    if (a->has_policy)
        buf_printf(out, " max_age=%lu expires=%lld", (unsigned long)a->max_age_s,
                   (long long)a->expires_s);
    else
        buf_add_string(out, " max_age=- expires=-");
}

/* Bytes left for both lists when all else is written. */
static size_t
list_room(size_t head, const char *source, const char *reason)
{
    size_t fixed = strlen("OK ") + head + strlen(" mx= hosts= source= reason=") + strlen(source) +
                   strlen(reason);

    return fixed < ANSWER_MAX ? ANSWER_MAX - fixed : 0;
}

void
answer_format(const struct answer *a, struct buf *out)
{
    const char *source = answer_source_name(a->source), *reason = sts_error_name(a->reason);
    size_t start = out->len, room, hosts, mx, hosts_length, mx_length;

    add_head(out, a);
    room = list_room(out->len - start, source, reason);
    hosts = count_fitting(&a->hosts, room > 0 ? room - 1 : 0, &hosts_length);
    mx = count_fitting(&a->mx, room > hosts_length ? room - hosts_length : 0, &mx_length);
    buf_add_string(out, " mx=");
    add_list(out, a->mx.items, mx);
    buf_add_string(out, " hosts=");
    add_list(out, a->hosts.items, hosts);
    buf_printf(out, " source=%s reason=%s", source, reason);
}

/* --- reading ------------------------------------------------------------------ */

static int
hex_digit(char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *at = c ? memchr(digits, c >= 'a' && c <= 'f' ? c - 'a' + 'A' : c, 16) : NULL;

    return at != NULL ? (int)(at - digits) : -1;
}

/* Decodes the byte at `value.at[*i]`, which `*i` then points behind; -1 when it is malformed. */
static int
decode_byte(struct span value, size_t *i)
{
    unsigned char c = (unsigned char)value.at[*i];
    int high, low;

    if (c != '%')
        return is_plain(c) ? value.at[(*i)++] : -1;
    if (value.len - *i < 3)
        return -1;
    high = hex_digit(value.at[*i + 1]);
    low = hex_digit(value.at[*i + 2]);
    *i += 3;
    return high < 0 || low < 0 || high + low == 0 ? -1 : high << 4 | low; /* no NUL */
}

/* Decodes into `out`, which has room for `size` bytes with the NUL. */
static bool
decode(struct span value, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < value.len;) {
        int c = decode_byte(value, &i);
        if (c < 0 || n + 1 >= size)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return true;
}

static bool
decode_value(struct span value, char *out, size_t size)
{
    return decode(span_is(value, "-") ? (struct span){value.at, 0} : value, out, size);
}

/* The list as one string, its items still separated by commas; NULL when it is malformed. */
static char *
decode_list(struct span value)
{
    char *out = alloc_zero(value.len + 1, 1), *to = out;
    struct scan rest = scan_bytes(value.at, value.len);

    if (span_is(value, "-"))
        return out;
    while (!scan_is_done(&rest)) {
        struct span item = scan_until(&rest, ',');
        bool more = scan_char(&rest, ',');
        if (item.len == 0 || more == scan_is_done(&rest) || !decode(item, to, item.len + 1)) {
            free(out);
            return NULL;
        }
        to += strlen(to);
        if (more)
            *to++ = ',';
    }
    return out;
}

static bool
read_number(struct span value, int max_digits, uint64_t *out)
{
    struct scan digits = scan_bytes(value.at, value.len);

    *out = 0;
    return span_is(value, "-") || (scan_number(&digits, max_digits, out) && scan_is_done(&digits));
}

/* The index of the word that `value` is, or -1. */
static int
find_word(struct span value, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_is(value, words[i]))
            return (int)i;
    }
    return -1;
}

enum field { VERDICT, DOMAIN, MODE, ID, MAX_AGE, EXPIRES, MX, HOSTS, SOURCE, REASON, FIELDS };

static bool
take_fields(struct scan *rest, struct span fields[FIELDS])
{
    static const char *const keys[FIELDS] = {
        "verdict=",  " domain=", " mode=",  " id=",     " max_age=",
        " expires=", " mx=",     " hosts=", " source=", " reason="};

    for (int i = 0; i < FIELDS; i++) {
        if (!scan_word(rest, keys[i]))
            return false;
        fields[i] = scan_until(rest, ' ');
        if (fields[i].len == 0)
            return false; /* what is empty is written "-" */
    }
    return scan_is_done(rest);
}

static bool
read_scalars(const struct span fields[FIELDS], struct answer_view *out)
{
    int verdict = find_word(fields[VERDICT], verdict_names, COUNT(verdict_names));
    uint64_t expires;

    if (verdict < 0 || find_word(fields[MODE], mode_names, COUNT(mode_names)) < 0 ||
        find_word(fields[SOURCE], source_names, COUNT(source_names)) < 0 ||
        !read_number(fields[EXPIRES], EXPIRES_DIGITS, &expires))
        return false;
    out->verdict = (enum verdict)verdict;
    out->expires_s = (int64_t)expires;
    return decode_value(fields[DOMAIN], out->domain, sizeof out->domain) &&
           decode_value(fields[MODE], out->mode, sizeof out->mode) &&
           decode_value(fields[ID], out->id, sizeof out->id) &&
           read_number(fields[MAX_AGE], MAX_AGE_DIGITS, &out->max_age_s) &&
           decode_value(fields[SOURCE], out->source, sizeof out->source) &&
           sts_error_from_name(fields[REASON].at, fields[REASON].len, &out->reason);
}

bool
answer_parse(const char *bytes, size_t len, struct answer_view *out)
{
    struct scan rest = scan_bytes(bytes, len);
    struct span fields[FIELDS];

    *out = (struct answer_view){0};
    if (len > ANSWER_MAX || !take_fields(&rest, fields) || !read_scalars(fields, out))
        return false;
    out->mx = decode_list(fields[MX]);
    out->hosts = decode_list(fields[HOSTS]);
    if (out->mx != NULL && out->hosts != NULL)
        return true;
    answer_view_done(out);
    return false;
}

void
answer_view_done(struct answer_view *view)
{
    free(view->mx);
    free(view->hosts);
    free(view->probes);
    view->mx = view->hosts = view->probes = NULL;
}
