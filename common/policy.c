#include "common/policy.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/domain.h"

/* A million policies are held in memory, so a policy is one block: this header, the patterns, the
 * id, the body, and behind it those patterns that the body does not hold in canonical form already.
 */
struct pattern {
    uint32_t at : 24; /* from the start of the body */
    uint32_t len : 8;
};

struct policy {
    uint32_t body_len;
    uint32_t max_age_s;
    uint16_t mx_count;
    uint8_t mode;
    uint8_t id_len;
    struct pattern mx[];
};

enum {
    KEY_NAME_MAX = 32,
    PATTERN_MAX = 2 + DOMAIN_SIZE, /* "*.", the name and its NUL */
    MX_LINE_MIN = 6                /* "mx:a.b" */
};

_Static_assert(POLICY_BODY_MAX / MX_LINE_MIN <= UINT16_MAX, "mx_count holds every pattern");
_Static_assert(2 * POLICY_BODY_MAX < 1 << 24, "an offset reaches every rewritten pattern");
_Static_assert(PATTERN_MAX - 1 <= UINT8_MAX, "a length fits");

/* --- lines -------------------------------------------------------------------------------- */

/* Takes one line and its LF or CRLF; a CR elsewhere is a byte of the line. */
static struct span
take_line(struct scan *rest)
{
    struct span line = scan_until(rest, '\n');

    if (scan_char(rest, '\n') && line.len && line.at[line.len - 1] == '\r')
        line.len--;
    while (line.len && ascii_is_blank((unsigned char)line.at[line.len - 1]))
        line.len--;
    return line;
}

bool
policy_next_line(struct scan *rest, struct span *line)
{
    while (!scan_is_done(rest)) {
        *line = take_line(rest);
        if (line->len)
            return true;
    }
    return false;
}

static bool
is_key_byte(unsigned char c)
{
    return ascii_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* Splits "key:value"; false when there is no well-formed key right before a colon. */
static bool
split_line(struct span line, struct span *key, struct span *value)
{
    struct scan s = scan_bytes(line.at, line.len);

    *key = scan_while(&s, is_key_byte, KEY_NAME_MAX);
    if (key->len == 0 || !ascii_is_alnum((unsigned char)key->at[0]) || !scan_char(&s, ':'))
        return false;
    *value = span_trim((struct span){s.at, (size_t)(s.end - s.at)});
    return true;
}

/* sts-policy-ext-value: characters of UTF-8 but no controls, at least one. */
static bool
is_extension_value(struct span value)
{
    struct scan s = scan_bytes(value.at, value.len);

    while (!scan_is_done(&s)) {
        unsigned char c = (unsigned char)*s.at;

        if (c < 0x20 || c == 0x7f || !scan_utf8(&s))
            return false;
    }
    return value.len > 0;
}

/* --- mx patterns -------------------------------------------------------------------------- */

struct pattern_text {
    char text[PATTERN_MAX];
    size_t len;
};

/* Brings an mx value to canonical form; false when it is not ["*."] Domain (RFC 5321 s4.1.2). */
static bool
fold_pattern(struct span value, struct pattern_text *out)
{
    size_t prefix = value.len > 2 && memcmp(value.at, "*.", 2) == 0 ? 2 : 0;

    if (!domain_fold(value.at + prefix, value.len - prefix, out->text + prefix))
        return false;
    memcpy(out->text, "*.", prefix);
    out->len = strlen(out->text);
    return true;
}

/* Single labels and names that end in a number are valid in a file, but never match: as words of
 * an MTA's map they would mean something else (ambiguity 28). */
static bool
may_match(const struct pattern_text *pattern)
{
    const char *name = pattern->text[0] == '*' ? pattern->text + 2 : pattern->text;

    return domain_has_dot(name) && domain_is_normal(name);
}

/* True when the value in the body is the pattern already. */
static bool
is_canonical(struct span value, const struct pattern_text *pattern)
{
    return value.len == pattern->len && memcmp(value.at, pattern->text, value.len) == 0;
}

/* --- fields ------------------------------------------------------------------------------- */

struct reader {
    enum policy_mode mode;
    uint32_t max_age_s;
    unsigned seen;          /* a bit for each key */
    unsigned mx_count;      /* patterns that may match */
    size_t rewritten_len;   /* bytes of those that differ from the body */
    unsigned line;          /* counted from 1 */
    unsigned empty_mx_line; /* 0: none */
};

/* Each takes one value and returns NULL, or what is wrong with it. */
typedef const char *read_value_fn(struct reader *, struct span value);

static const char *
read_version(struct reader *r, struct span value)
{
    (void)r;
    return span_is(value, "STSv1") ? NULL : "version is not STSv1";
}

static const char *
read_mode(struct reader *r, struct span value)
{
    for (int mode = POLICY_MODE_NONE; mode <= POLICY_MODE_ENFORCE; mode++) {
        if (span_is(value, policy_mode_name((enum policy_mode)mode))) {
            r->mode = (enum policy_mode)mode;
            return NULL;
        }
    }
    return "mode is not enforce, testing or none";
}

static const char *
read_max_age(struct reader *r, struct span value)
{
    struct scan s = scan_bytes(value.at, value.len);
    uint64_t seconds;

    if (!scan_number(&s, 10, &seconds) || !scan_is_done(&s))
        return "max_age is not a number of 1 to 10 digits";
    r->max_age_s = seconds < POLICY_MAX_AGE_MAX ? (uint32_t)seconds : POLICY_MAX_AGE_MAX;
    return NULL;
}

static const char *
read_mx(struct reader *r, struct span value)
{
    struct pattern_text pattern;

    if (value.len == 0) {
        r->empty_mx_line = r->line; /* judged at the end: the mode may come later */
        return NULL;
    }
    if (!fold_pattern(value, &pattern))
        return "mx is not a host name or \"*.\" and a domain";
    if (may_match(&pattern)) {
        r->mx_count++;
        r->rewritten_len += is_canonical(value, &pattern) ? 0 : pattern.len;
    }
    return NULL;
}

enum { KEY_VERSION, KEY_MODE, KEY_MAX_AGE, KEY_MX, KEY_COUNT };

static const struct {
    const char *name;
    read_value_fn *read;
    bool repeats;
} keys[KEY_COUNT] = {
    [KEY_VERSION] = {"version", read_version, false},
    [KEY_MODE] = {"mode", read_mode, false},
    [KEY_MAX_AGE] = {"max_age", read_max_age, false},
    [KEY_MX] = {"mx", read_mx, true},
};

static const char *
read_line(struct reader *r, struct span line)
{
    struct span name, value;
    int key = 0;

    if (!split_line(line, &name, &value))
        return "no key before a colon";
    while (key < KEY_COUNT && !span_is(name, keys[key].name))
        key++;
    if (key == KEY_COUNT)
        return is_extension_value(value) ? NULL : "the value of an unknown key is malformed";
    if (!keys[key].repeats && (r->seen & 1u << key))
        return NULL; /* all but the first are ignored, whatever they say (RFC 8461 s3.2) */
    r->seen |= 1u << key;
    return keys[key].read(r, value);
}

static const char *
find_missing(struct reader *r)
{
    r->line = 0;
    if (!(r->seen & 1u << KEY_VERSION))
        return "version is missing";
    if (!(r->seen & 1u << KEY_MODE))
        return "mode is missing";
    if (!(r->seen & 1u << KEY_MAX_AGE))
        return "max_age is missing";
    if (r->mode == POLICY_MODE_NONE)
        return NULL; /* needs no mx, and an empty one must not block an opt-out (ambiguity 27) */
    if (!(r->seen & 1u << KEY_MX))
        return "mx is missing";
    r->line = r->empty_mx_line;
    return r->empty_mx_line ? "mx is empty" : NULL;
}

/* Reads the whole body; NULL, or what is wrong in r->line (0: in the file as a whole). */
static const char *
read_body(struct reader *r, struct span body)
{
    struct scan rest = scan_bytes(body.at, body.len);

    if (body.len && memchr(body.at, '\0', body.len))
        return "the file holds a NUL byte";
    while (!scan_is_done(&rest)) {
        struct span line = take_line(&rest);
        const char *fault;

        r->line++;
        fault = line.len ? read_line(r, line) : NULL;
        if (fault)
            return fault;
    }
    return find_missing(r);
}

/* --- the block ---------------------------------------------------------------------------- */

/* Room for all; of the texts only their lengths are known so far. */
static struct policy *
make_block(const struct policy *head, size_t rewritten_len)
{
    size_t patterns_size = head->mx_count * sizeof head->mx[0];
    struct policy *p =
        alloc_bytes(sizeof *p + patterns_size + head->id_len + 1 + head->body_len + rewritten_len);

    *p = *head;
    return p;
}

static char *
id_start(struct policy *p)
{
    return (char *)(p->mx + p->mx_count);
}

static const char *
body_start(const struct policy *p)
{
    return policy_id(p) + p->id_len + 1;
}

static size_t
rewritten_len(const struct policy *p)
{
    size_t len = 0;

    for (size_t i = 0; i < p->mx_count; i++)
        len += p->mx[i].at >= p->body_len ? p->mx[i].len : 0;
    return len;
}

/* Fills in the patterns of a body that read_body has found sound. */
static void
place_patterns(struct policy *p, char *body)
{
    struct scan rest = scan_bytes(body, p->body_len);
    char *rewritten = body + p->body_len;
    struct span line, name, value;
    struct pattern_text pattern;
    struct pattern *next = p->mx;

    while (policy_next_line(&rest, &line)) {
        if (!split_line(line, &name, &value) || !span_is(name, keys[KEY_MX].name) ||
            !fold_pattern(value, &pattern) || !may_match(&pattern))
            continue;
        next->len = (uint8_t)pattern.len;
        if (is_canonical(value, &pattern)) {
            next->at = (uint32_t)(value.at - body) & 0xffffff;
        } else {
            memcpy(rewritten, pattern.text, pattern.len);
            next->at = (uint32_t)(rewritten - body) & 0xffffff;
            rewritten += pattern.len;
        }
        next++;
    }
    assert(next == p->mx + p->mx_count && rewritten == body + p->body_len + rewritten_len(p));
}

static struct policy *
build(const struct reader *r, struct span body, const char *id)
{
    size_t id_len = strlen(id);
    struct policy head = {.body_len = (uint32_t)body.len,
                          .max_age_s = r->max_age_s,
                          .mx_count = (uint16_t)r->mx_count,
                          .mode = (uint8_t)r->mode,
                          .id_len = (uint8_t)id_len};
    struct policy *p;
    char *copy;

    assert(id_len <= UINT8_MAX);
    p = make_block(&head, r->rewritten_len);
    copy = id_start(p) + id_len + 1;
    memcpy(id_start(p), id, id_len + 1);
    memcpy(copy, body.at, body.len);
    place_patterns(p, copy);
    return p;
}

static enum sts_error
refuse(enum sts_error error, unsigned line, const char *fault, char *detail, size_t size)
{
    if (size && line)
        snprintf(detail, size, "line %u: %s", line, fault);
    else if (size)
        snprintf(detail, size, "%s", fault);
    return error;
}

enum sts_error
policy_parse(struct span body, const char *id, struct policy **out, char *detail,
             size_t detail_size)
{
    struct reader reader = {.seen = 0};
    const char *fault;

    *out = NULL;
    if (body.len > POLICY_BODY_MAX)
        return refuse(STS_TOO_LARGE, 0, "the file is larger than 64 KiB", detail, detail_size);
    fault = read_body(&reader, body);
    if (fault)
        return refuse(STS_POLICY_INVALID, reader.line, fault, detail, detail_size);
    *out = build(&reader, body, id);
    return STS_OK;
}

void
policy_free(struct policy *p)
{
    free(p);
}

/* --- questions ---------------------------------------------------------------------------- */

enum policy_mode
policy_mode(const struct policy *p)
{
    return (enum policy_mode)p->mode;
}

const char *
policy_mode_name(enum policy_mode mode)
{
    static const char *const names[] = {
        [POLICY_MODE_NONE] = "none",
        [POLICY_MODE_TESTING] = "testing",
        [POLICY_MODE_ENFORCE] = "enforce",
    };

    return names[mode];
}

const char *
policy_id(const struct policy *p)
{
    return (const char *)(p->mx + p->mx_count);
}

uint32_t
policy_max_age_s(const struct policy *p)
{
    return p->max_age_s;
}

uint32_t
policy_life_s(const struct policy *p)
{
    return p->max_age_s > POLICY_LIFE_MIN_S ? p->max_age_s : POLICY_LIFE_MIN_S;
}

size_t
policy_mx_count(const struct policy *p)
{
    return p->mx_count;
}

struct span
policy_mx(const struct policy *p, size_t index)
{
    assert(index < p->mx_count);
    return (struct span){body_start(p) + p->mx[index].at, p->mx[index].len};
}

struct span
policy_body(const struct policy *p)
{
    return (struct span){body_start(p), p->body_len};
}

/* A host and what is left of it behind its first label, dot included. */
struct host_name {
    struct span whole, parent;
};

static struct host_name
host_name(const char *host)
{
    struct host_name name = {.whole = {host, strlen(host)}};
    struct scan s = scan_bytes(host, name.whole.len);

    if (scan_until(&s, '.').len > 0)
        name.parent = (struct span){s.at, (size_t)(s.end - s.at)};
    return name;
}

static bool
matches(struct span pattern, const struct host_name *host)
{
    struct span want = host->whole;

    if (pattern.len > 2 && pattern.at[0] == '*') {
        pattern = (struct span){pattern.at + 1, pattern.len - 1};
        want = host->parent;
    }
    return pattern.len > 0 && pattern.len == want.len && memcmp(pattern.at, want.at, want.len) == 0;
}

bool
policy_pattern_matches(struct span pattern, const char *host)
{
    struct host_name name = host_name(host);

    return matches(pattern, &name);
}

bool
policy_lists_host(const struct policy *p, const char *host)
{
    struct host_name name = host_name(host);

    for (size_t i = 0; i < p->mx_count; i++) {
        if (matches(policy_mx(p, i), &name))
            return true;
    }
    return false;
}
